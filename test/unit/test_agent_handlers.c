#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: clock_mono

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/handlers.h"
#include "base/clock.h"
#include "test/unit/apply_fixture.h"

static int64_t ahead_ms; /* of the real clock */
static int64_t each_ms;  /* by which every look at it takes it further */

mono_t __real_clock_mono(void);
mono_t __wrap_clock_mono(void);

mono_t
__wrap_clock_mono(void)
{
	mono_t now = __real_clock_mono();

	ahead_ms += each_ms;
	now.ms += ahead_ms;
	return now;
}

static const char vendor[] =
    "{\"tables\":[{\"path\":\"box thing\",\"key\":{\"name\":\"id\",\"type\":\"integer\"},\"attributes\":["
    "{\"name\":\"v\",\"type\":\"string\"},{\"name\":\"w\",\"type\":\"string\",\"list\":true}]},"
    "{\"path\":\"box one\",\"attributes\":[{\"name\":\"v\",\"type\":\"string\"}]},"
    "{\"path\":\"box else\",\"attributes\":[{\"name\":\"v\",\"type\":\"string\"}]}]}";

/* A handler of `table`; what it hears goes to /run/handlers/heard, its starts and ends to /run/handlers/runs. */
static void
handler(const char *table, const char *on_line)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/run/handlers/%s", table);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
		"#!/bin/sh\nfolder=${0%%/*}\necho start >> $folder/runs\nwhile IFS= read -r line; do\n"
		"printf '%%s\\n' \"$line\" >> $folder/heard\n%s\ndone\necho end >> $folder/runs\n",
		on_line);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
}

static const char *
lines_of(const char *name)
{
	static char text[4096];
	char command[128];

	snprintf(command, sizeof(command), "cat /run/handlers/%s 2>/dev/null | tr '\\n' ' '", name);
	return fixture_line(text, sizeof(text), command);
}

static int
setup(void **state)
{
	if (fixture_apply_setup(state))
		return -1;
	ahead_ms = each_ms = 0;
	/* a schema may grow until the first tree is made of it */
	exec_free(fixture_exec);
	tree_free(fixture_tree);
	if (schema_add_json(fixture_schema, "vendor", vendor, strlen(vendor), &fixture_err))
		return -1;
	fixture_tree = tree_new(fixture_schema);
	fixture_exec = exec_new(fixture_tree, &(const struct exec_ops){.apply = fixture_on_apply}, false);
	return fixture_exec ? 0 : -1;
}

/* A handler that takes everything. */
#define OK "echo '{\"code\":0}'"

static int
thing(int id, const char *v)
{
	char text[128];

	snprintf(text, sizeof(text), "config box thing\nedit %d\nset v %s\nnext\nend", id, v);
	return fixture_cli(text);
}

static void
none(void **state)
{
	const struct schema_table *table = schema_find(fixture_schema, "box thing");
	struct handlers *h = handlers_new("/run/handlers", ""), *nowhere = handlers_new("", "");

	(void)state;
	assert_int_equal(thing(1, "a"), CLI_OK);
	assert_false(handlers_have(h, table));
	handler("box.thing", OK);
	assert_true(handlers_have(h, table));
	assert_false(handlers_have(nowhere, table));
	handlers_free(h);
	handlers_free(nowhere);
	handlers_free(NULL);
}

/* What breaks the rules: the command fails and says why, the tree keeps what it had, and no other change of this table
 * is tried before the rest. */
static void
rules_broken(void **state)
{
	static const struct {
		const char *what, *body, *reason;
	} cases[] = {
	    {"hangs", "sleep 600", "handler of box thing: no answer within 10 s"},
	    {"dies", "exit 1", "it ended, or closed its output"},
	    {"floods", "yes", "more than one line"},
	    {"says nothing sensible", "echo fine", "answer \"fine\": {\"code\":0} or less"},
	    {"binary", "printf '\\033[2J\\001\\n'", "answer \"\\x1b[2J\\x01\""},
	    {"an array", "echo '[0]'", "were expected"},
	    {"no code", "echo '{\"message\":\"x\"}'", "were expected"},
	    {"a code above 0", "echo '{\"code\":5}'", "were expected"},
	    {"a code too far below", "echo '{\"code\":-100000}'", "were expected"},
	    {"a code that is text", "echo '{\"code\":\"0\"}'", "were expected"},
	    {"a message that is none", "echo '{\"code\":-1,\"message\":7}'", "were expected"},
	    {"two at once", "printf '{\"code\":0}\\n{\"code\":0}\\n'", "more than one line"},
	    {"more after the answer", "echo '{\"code\":0} x'", "were expected"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc;

		assert_int_equal(fixture_sh("rm -f /run/handlers/*"), 0);
		handler("box.thing", cases[i].body);
		each_ms = strcmp(cases[i].what, "hangs") ? 0 : 3000;
		rc = thing(1, "a");
		if (rc != CLI_FAILED || !strstr(fixture_err.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		assert_int_equal(tree_count(fixture_tree, "box thing"), 0);
		assert_int_equal(thing(2, "a"), CLI_FAILED);
		assert_non_null(strstr(fixture_err.text, cases[i].reason));
		assert_int_equal(fixture_count("cat /run/handlers/runs", "start"), 1);
		apply_rest(fixture_apply);
		apply_turn(fixture_apply);
		/* and then it is given another chance */
		handler("box.thing", OK);
		assert_int_equal(thing(2, "a"), CLI_OK);
		assert_int_equal(fixture_cli("config box thing\npurge\nend"), CLI_OK);
		apply_rest(fixture_apply);
	}
}

static void
not_to_be_started(void **state)
{
	static const struct {
		const char *what, *make, *reason;
	} cases[] = {
	    {"others may write", "chmod 777 box.thing", "nobody else may write"},
	    {"a link", "mv box.thing x; ln -s x box.thing", "not a regular file"},
	    {"somebody else's", "chown 12345 box.thing", "root was expected"},
	    {"no such interpreter", "echo '#!/none' > box.thing", "starting /run/handlers/box.thing: No such file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(fixture_sh("rm -f /run/handlers/*"), 0);
		handler("box.thing", OK);
		assert_int_equal(fixture_sh("cd /run/handlers && %s", cases[i].make), 0);
		if (thing(1, "a") != CLI_FAILED || !strstr(fixture_err.text, cases[i].reason))
			fail_msg("%s: \"%s\"", cases[i].what, fixture_err.text);
		assert_string_equal(lines_of("runs"), "");
		apply_rest(fixture_apply);
	}
}

/* Its code is the command's result. */
static void
results(void **state)
{
	static const struct {
		const char *what, *answer;
		int want;
		const char *reason;
	} cases[] = {
	    {"yes", "{\"code\":0,\"message\":\"ignored\"}", CLI_OK, ""},
	    {"no, with a reason", "{\"code\":-7,\"message\":\"taken\"}", -7, "box thing: taken"},
	    {"no, without", "{\"code\":-651}", -651, "box thing: refused by its handler"},
	    {"no, for the terminal", "{\"code\":-1,\"message\":\"a\\\\u001b[2J\\\\nb\"}", -1,
	     "box thing: a\\x1b[2J\\nb"},
	    {"with more to say", "{\"code\":0,\"took\":5}", CLI_OK, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char body[256];
		int rc;

		snprintf(body, sizeof(body), "printf '%%b\\n' '%s'", cases[i].answer);
		handler("box.thing", body);
		rc = thing((int)i, "a");
		if (rc != cases[i].want || (rc && !strstr(fixture_err.text, cases[i].reason)))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		assert_int_equal(tree_entry(fixture_tree, "box thing", (char[]){(char)('0' + i), '\0'}) != NULL, !rc);
		apply_rest(fixture_apply);
	}
}

/* One run for many changes, each with what was and what is. */
static void
changes(void **state)
{
	static const char want[] =
	    "{\"table\":\"box thing\",\"operation\":\"create\",\"key\":\"1\",\"old\":null,"
	    "\"new\":{\"v\":\"a\",\"w\":[]}} "
	    "{\"table\":\"box thing\",\"operation\":\"change\",\"key\":\"1\",\"old\":{\"v\":\"a\",\"w\":[]},"
	    "\"new\":{\"v\":\"a\",\"w\":[\"x\",\"y z\"]}} "
	    "{\"table\":\"box thing\",\"operation\":\"delete\",\"key\":\"1\",\"old\":{\"v\":\"a\",\"w\":[\"x\",\"y "
	    "z\"]},"
	    "\"new\":null} ";

	(void)state;
	handler("box.thing", OK);
	assert_int_equal(thing(1, "a"), CLI_OK);
	assert_int_equal(fixture_cli("config box thing\nedit 1\nset w x \"y z\"\nnext\ndelete 1\nend"), CLI_OK);
	assert_string_equal(lines_of("heard"), want);
	assert_string_equal(lines_of("runs"), "start ");
	apply_rest(fixture_apply);
	assert_string_equal(lines_of("runs"), "start end ");
	assert_int_equal(thing(1, "a"), CLI_OK);
	apply_free(fixture_apply); /* ends it, too */
	fixture_apply = NULL;
	assert_string_equal(lines_of("runs"), "start end start end ");
}

/* At start a handler hears of every entry, and of a table without keys when something is set in it. */
static void
whole_tables(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(thing(1, "a"), CLI_OK);
	assert_int_equal(thing(2, "b"), CLI_OK);
	apply_rest(fixture_apply);
	handler("box.thing", OK);
	handler("box.one", "echo '{\"code\":-1,\"message\":\"no\"}'");
	assert_int_equal(apply_all(fixture_apply, fixture_tree, &e), 0);
	assert_int_equal(fixture_count("cat /run/handlers/heard", "\"operation\":\"create\""), 2);
	apply_rest(fixture_apply);
	assert_string_equal(lines_of("runs"), "start end ");
	assert_int_equal(fixture_sh("mv /run/handlers/box.one /run/handlers/x"), 0);
	assert_int_equal(fixture_cli("config box one\nset v x\nend"), CLI_OK);
	assert_int_equal(fixture_sh("mv /run/handlers/x /run/handlers/box.one"), 0);
	assert_int_equal(apply_all(fixture_apply, fixture_tree, &e), 0); /* it is known to have none until the rest */
	apply_rest(fixture_apply);
	assert_int_equal(apply_all(fixture_apply, fixture_tree, &e), 1);
	assert_string_equal(e.text, "box one: no");
}

/* The event loop is not kept for ever: an install goes on in the next turn, and a minute is all there is in one. */
static void
time_in_one_turn(void **state)
{
	(void)state;
	handler("box.thing", OK);
	assert_int_equal(thing(1, "a"), CLI_OK);
	assert_false(apply_is_slow(fixture_apply));
	each_ms = 400;
	assert_int_equal(thing(2, "a"), CLI_OK);
	assert_true(apply_is_slow(fixture_apply));
	apply_turn(fixture_apply);
	assert_false(apply_is_slow(fixture_apply));
	each_ms = 2000;
	for (int i = 3; i < 100; i++) {
		if (thing(i, "a") == CLI_OK)
			continue;
		assert_non_null(strstr(fixture_err.text, "no answer within"));
		assert_true(i > 5);
		apply_rest(fixture_apply);
		apply_turn(fixture_apply);
		each_ms = 0;
		assert_int_equal(thing(i, "a"), CLI_OK);
		return;
	}
	fail_msg("a minute never ended");
}

/* Tables that nothing applies are named in the log, once. */
static void
kept_only(void **state)
{
	char line[256];

	(void)state;
	handler("box.thing", OK);
	assert_int_equal(thing(1, "a"), CLI_OK);
	assert_int_equal(fixture_cli("config box else\nset v x\nend"), CLI_OK);
	fflush(stderr);
	assert_int_equal(dup2(2, 90), 90);
	assert_non_null(freopen("/run/host/log", "w", stderr));
	apply_say_kept(fixture_apply, fixture_tree);
	apply_say_kept(fixture_apply, fixture_tree);
	fflush(stderr);
	assert_int_equal(dup2(90, 2), 2);
	assert_int_equal(fixture_count("cat /run/host/log", "."), 1);
	fixture_line(line, sizeof(line), "cat /run/host/log");
	assert_non_null(strstr(line, "box else: nothing applies this table"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(none, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(rules_broken, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(not_to_be_started, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(results, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(changes, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(whole_tables, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(time_in_one_turn, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(kept_only, setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
