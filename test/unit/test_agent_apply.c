#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "config/load.h"
#include "test/unit/apply_fixture.h"

/* A configuration that was read from a file: nothing of it is applied yet. */
static struct tree *
saved(const char *text)
{
	struct tree *t = tree_new(fixture_schema);
	struct err e = ERR_NONE;

	assert_non_null(t);
	if (load_text(t, "test", text, strlen(text), false, NULL, NULL, &e))
		fail_msg("%s", e.text);
	return t;
}

/* Routes before interfaces, interfaces after what refers to them: the order of the text is none of applying. */
static const char config[] = "config system interface\n"
			     "edit wan1\nset ip 192.0.2.1/24\nnext\n"
			     "edit lan1\nset ip 198.51.100.1/24\nset mtu-override enable\nset mtu 1400\nnext\n"
			     "edit late1\nset ip 10.9.0.1/16\nnext\nend\n"
			     "config router static\n"
			     "edit 1\nset gateway 192.0.2.254\nset device wan1\nnext\n"
			     "edit 2\nset dst 10.8.0.0/16\nset gateway 10.9.0.254\nset device late1\nnext\n"
			     "edit 3\nset dst 172.16.0.0/12\nset blackhole enable\nnext\nend\n"
			     "config system global\nset hostname box-1\nend\n";

static void
whole_tree(void **state)
{
	struct tree *t = saved(config);
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(fixture_sh("ip addr add 203.0.113.9/24 dev wan1; ip route add 10.7.0.0/16 via 203.0.113.1; "
				    "ip link set wan1 down; ip link set lan1 down"),
			 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(apply_all(fixture_apply, t, &e), 0);
		assert_int_equal(fixture_count("ip -o link show wan1", "state UP"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet 192.0.2.1/24"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet 203.0.113.9/24"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev lan1", "inet 198.51.100.1/24"), 1);
		assert_int_equal(fixture_count("ip -o link show lan1", "mtu 1400 "), 1);
		assert_int_equal(fixture_count("ip route show proto static", "."), 2);
		assert_int_equal(fixture_count("uname -n", "^box-1$"), 1);
	}
	tree_free(t);
}

/* One that fails does not stop the others; the first reason is handed out. */
static void
goes_on(void **state)
{
	struct tree *t = saved("config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\nend\n"
			       "config router static\n"
			       "edit 1\nset dst 10.1.0.0/16\nset gateway 203.0.113.1\nset device wan1\nnext\n"
			       "edit 2\nset dst 10.2.0.0/16\nset gateway 203.0.113.2\nset device wan1\nnext\n"
			       "edit 3\nset dst 10.3.0.0/16\nset gateway 192.0.2.254\nset device wan1\nnext\nend\n");
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(apply_all(fixture_apply, t, &e), 2);
	assert_non_null(strstr(e.text, "10.1.0.0/16"));
	assert_int_equal(apply_all(fixture_apply, t, NULL), 2);
	assert_int_equal(fixture_count("ip route show proto static", "10.3.0.0/16"), 1);
	tree_free(t);
}

/* The device comes late: its entry and its routes are applied then, and once more is no change. */
static void
link_appears(void **state)
{
	struct tree *t = saved(config);
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(apply_all(fixture_apply, t, &e), 0);
	assert_int_equal(apply_link(fixture_apply, t, "late1", &e), CLI_OK);
	assert_int_equal(apply_link(fixture_apply, t, "nobody0", &e), CLI_OK);
	assert_int_equal(apply_link(fixture_apply, t, "", &e), CLI_OK);
	assert_int_equal(fixture_sh("ip link add late1 type veth peer name late2"), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(apply_link(fixture_apply, t, "late1", &e), CLI_OK);
		assert_int_equal(fixture_count("ip -o link show late1", "[<,]UP[,>]"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev late1", "inet 10.9.0.1/16"), 1);
		assert_int_equal(fixture_count("ip route show proto static", "10.8.0.0/16 via 10.9.0.254"), 1);
	}
	/* the kernel drops routes with the link; with the link they come back */
	assert_int_equal(fixture_sh("ip link set wan1 down && ip link set wan1 up"), 0);
	assert_int_equal(fixture_count("ip route show proto static", "^default"), 0);
	assert_int_equal(apply_link(fixture_apply, t, "wan1", &e), CLI_OK);
	assert_int_equal(fixture_count("ip route show proto static", "^default"), 1);
	tree_free(t);
}

/* Applying what is in force already makes no event: a watcher that applies on events does not chase itself. */
static void
silent_when_done(void **state)
{
	struct tree *t = saved(config);
	struct err e = ERR_NONE;
	char line[64];

	(void)state;
	assert_int_equal(apply_all(fixture_apply, t, &e), 0);
	assert_int_equal(fixture_sh("ip monitor link address route > /run/events & echo $! > /run/monitor; sleep 0.3"),
			 0);
	assert_int_equal(apply_link(fixture_apply, t, "wan1", &e), CLI_OK);
	assert_int_equal(apply_all(fixture_apply, t, &e), 0);
	assert_int_equal(fixture_sh("sleep 0.3; kill $(cat /run/monitor)"), 0);
	assert_string_equal(fixture_line(line, sizeof(line), "cat /run/events"), "");
	tree_free(t);
}

static void
link_refused(void **state)
{
	struct tree *t = saved("config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\nend\n"
			       "config router static\nedit 7\nset gateway 203.0.113.1\nset device wan1\nnext\nend\n");
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(apply_link(fixture_apply, t, "wan1", &e), CLI_FAILED);
	assert_non_null(strstr(e.text, "router static 7"));
	assert_non_null(strstr(e.text, "203.0.113.1"));
	assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet 192.0.2.1/24"), 1);
	tree_free(t);
}

/* Guide, "FGFM built-in recovery", its example: the management address changes, and changes back. */
static void
recovery_example(void **state)
{
	(void)state;
	assert_int_equal(
	    fixture_cli("config system interface\nedit wan1\nset ip 192.168.48.81 255.255.255.0\nnext\nend\n"
			"config router static\nedit 1\nset gateway 192.168.48.1\nset device wan1\nnext\nend"),
	    CLI_OK);
	assert_int_equal(
	    fixture_cli("config system interface\nedit wan1\nset ip 192.168.49.81 255.255.255.0\nnext\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet 192.168.49.81/24"), 1);
	assert_int_equal(fixture_count("ip route", "^default"), 0);
	assert_int_equal(
	    fixture_cli("config system interface\nedit wan1\nset ip 192.168.48.81 255.255.255.0\nnext\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -o -4 addr show dev wan1", "inet"), 1);
	assert_int_equal(fixture_count("ip route", "^default via 192.168.48.1 dev wan1"), 1);
}

static void
tables_of_others(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config system dm\nset rollback-allow-reboot enable\nend"), CLI_OK);
	apply_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(whole_tree, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(goes_on, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(link_appears, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(silent_when_done, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(link_refused, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(recovery_example, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(tables_of_others, fixture_apply_setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
