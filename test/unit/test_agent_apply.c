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

/* A mark of ours among the events. By the time it is seen those before it are, too. */
static bool
event_comes(const char *mark)
{
	return !fixture_sh("timeout 60 sh -c 'until grep -q %s /run/events; do "
			   "ip route add blackhole %s; ip route del blackhole %s; done'",
			   mark, mark, mark);
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
	assert_int_equal(fixture_sh("ip monitor link address route > /run/events & echo $! > /run/monitor"), 0);
	assert_true(event_comes("203.0.113.1"));
	assert_int_equal(apply_link(fixture_apply, t, "wan1", &e), CLI_OK);
	assert_int_equal(apply_all(fixture_apply, t, &e), 0);
	assert_true(event_comes("203.0.113.2"));
	assert_int_equal(fixture_sh("kill $(cat /run/monitor)"), 0);
	assert_string_equal(fixture_line(line, sizeof(line), "grep -v blackhole /run/events"), "");
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

static struct {
	char lines[1024];
	size_t used;
} found;

static void
on_difference(void *ctx, const struct apply_difference *x)
{
	(void)ctx;
	found.used += (size_t)snprintf(found.lines + found.used, sizeof(found.lines) - found.used,
				       "%s %s: %s %s, found %s\n", x->table, x->key, x->what, x->expected, x->found);
}

static const char *
drift(void)
{
	struct err e = ERR_NONE;

	memset(&found, 0, sizeof(found));
	if (apply_drift(fixture_apply, fixture_tree, on_difference, NULL, &e) != CLI_OK)
		fail_msg("%s", e.text);
	return found.lines;
}

/* What something else changed is told, each thing with both values, and stays as it is. */
static void
differences(void **state)
{
	static const struct {
		const char *what, *change, *want;
	} cases[] = {
	    {"nothing", "true", ""},
	    {"an address of ours", "ip addr del 198.51.100.1/24 dev lan1",
	     "system interface lan1: address 198.51.100.1/24, found none\n"},
	    {"an address of others", "ip addr add 203.0.113.7/24 dev lan1",
	     "system interface lan1: address none, found 203.0.113.7/24\n"},
	    {"a leased address is nobody's setting",
	     "ip addr add 203.0.113.7/24 dev lan1 valid_lft 600 preferred_lft 600", ""},
	    {"of IPv6", "ip addr del 2001:db8::1/64 dev lan1; ip addr add 2001:db8::2/64 dev lan1",
	     "system interface lan1: address 2001:db8::1/64, found none\n"
	     "system interface lan1: address none, found 2001:db8::2/64\n"},
	    {"size", "ip link set lan1 mtu 1300", "system interface lan1: mtu 1400, found 1300\n"},
	    {"down", "ip link set lan1 down",
	     "system interface lan1: status up, found down\n"
	     "system interface lan1: address 2001:db8::1/64, found none\n"},
	    {"a route", "ip route del 10.8.0.0/16",
	     "router static 1: route 10.8.0.0/16 via 192.0.2.254 dev wan1 metric 655361, found none\n"},
	    {"a route of IPv6", "ip -6 route del 2001:db8:8::/48",
	     "router static6 1: route 2001:db8:8::/48 dev lan1 metric 656384, found none\n"},
	    {"a route of others is no concern", "ip route add 10.7.0.0/16 via 192.0.2.254", ""},
	    {"the name", "hostname other", "system global : hostname box-1, found other\n"},
	    {"the time zone", "ln -sf Mars /run/host/localtime",
	     "system global : timezone /run/host/zoneinfo/Area/East, found Mars\n"},
	    {"no time zone", "rm /run/host/localtime",
	     "system global : timezone /run/host/zoneinfo/Area/East, found none\n"},
	    {"name servers", "printf '# x\\nnameserver 203.0.113.53\\nsearch z\\n' > /run/host/resolv.conf",
	     "system dns : resolv-conf search example.org; nameserver 192.0.2.53, found nameserver 203.0.113.53; "
	     "search "
	     "z\n"},
	    {"no name servers", "rm /run/host/resolv.conf",
	     "system dns : resolv-conf search example.org; nameserver 192.0.2.53, found none\n"},
	    {"a link to name servers", "ln -sf stub /run/host/resolv.conf",
	     "system dns : resolv-conf search example.org; nameserver 192.0.2.53, found /run/host/resolv.conf is a "
	     "symbolic link to stub: only a file is replaced\n"},
	};
	static const char all[] =
	    "config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\n"
	    "edit lan1\nset ip 198.51.100.1/24\nset mtu-override enable\nset mtu 1400\n"
	    "config ipv6\nset ip6-address 2001:db8::1/64\nend\nnext\nend\n"
	    "config router static\nedit 1\nset dst 10.8.0.0/16\nset gateway 192.0.2.254\nset device wan1\nnext\nend\n"
	    "config router static6\nedit 1\nset dst 2001:db8:8::/48\nset device lan1\nnext\nend\n"
	    "config system dns\nset primary 192.0.2.53\nset domain example.org\nend\n"
	    "config system global\nset hostname box-1\nset timezone Area/East\nend\n";

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (fixture_cli(all) != CLI_OK)
			fail_msg("%s", fixture_err.text);
		assert_int_equal(fixture_sh("%s", cases[i].change), 0);
		for (int again = 0; again < 2; again++)
			if (strcmp(drift(), cases[i].want) != 0)
				fail_msg("%s:\n%s", cases[i].what, found.lines);
		assert_int_equal(fixture_apply_teardown(state), 0);
		assert_int_equal(fixture_apply_setup(state), 0);
	}
}

/* A device that is not there is one difference; with `apply-system disable` the host's own files are none. */
static void
no_differences(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config system interface\nedit late1\nset ip 10.9.0.1/16\nnext\nend\n"
				     "config router static\nedit 1\nset dst 10.8.0.0/16\nset device late1\nnext\nend\n"
				     "config system global\nset hostname box-1\nset timezone 04\nend\n"
				     "config system dns\nset primary 192.0.2.53\nend\n"),
			 CLI_OK);
	assert_string_equal(drift(), "system interface late1: device present, found missing\n");
	assert_int_equal(fixture_sh("hostname other; rm /run/host/resolv.conf"), 0);
	assert_int_equal(fixture_host(false), 0);
	assert_string_equal(drift(), "system interface late1: device present, found missing\n");
}

/* One entry alone is brought back; the rest stays as somebody else left it. */
static void
one_entry_again(void **state)
{
	const struct schema_table *interfaces = schema_find(fixture_schema, "system interface");
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(fixture_cli("config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\n"
				     "edit lan1\nset ip 198.51.100.1/24\nnext\nend\n"),
			 CLI_OK);
	assert_int_equal(fixture_sh("ip addr flush dev wan1; ip addr flush dev lan1"), 0);
	assert_int_equal(apply_again(fixture_apply, fixture_tree, interfaces, "wan1", &e), CLI_OK);
	assert_int_equal(apply_again(fixture_apply, fixture_tree, interfaces, "nobody0", &e), CLI_OK);
	assert_string_equal(drift(), "system interface lan1: address 198.51.100.1/24, found none\n");
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
	    cmocka_unit_test_setup_teardown(differences, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(no_differences, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(one_entry_again, fixture_apply_setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(tables_of_others, fixture_apply_setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
