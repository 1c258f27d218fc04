/* agent/history: the last scripts, kept over restarts and damage. */
#include "agent/history.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rollback_fixture.h"

#define NAME "script-history.jsonl"

static struct history *h;

static void
open_it(void)
{
	struct err e = ERR_NONE;

	history_free(h);
	h = NULL;
	assert_int_equal(history_open(fixture_dir, &h, &e), 0);
}

static int
setup(void **state)
{
	return fixture_setup(state);
}

static int
teardown(void **state)
{
	history_free(h);
	h = NULL;
	return fixture_teardown(state);
}

static struct history_entry
entry(unsigned number, const char *result)
{
	struct history_entry x = {.when_s = 1767225600 + number, .user = "FMG-VM0000000001", .commands = 3, .done = 2};

	snprintf(x.id, sizeof(x.id), "s%u", number);
	snprintf(x.install, sizeof(x.install), "script-s%u", number);
	snprintf(x.result, sizeof(x.result), "%s", result);
	return x;
}

static void
add(unsigned number, const char *result)
{
	const struct history_entry x = entry(number, result);
	struct err e = ERR_NONE;

	assert_int_equal(history_add(h, &x, &e), 0);
}

static void
the_newest_thirty(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(history_count(h), 0);
	for (unsigned i = 0; i < HISTORY_KEPT + 5; i++)
		add(i, "done");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(history_count(h), HISTORY_KEPT);
		assert_string_equal(history_at(h, 0)->id, "s5");
		assert_string_equal(history_at(h, HISTORY_KEPT - 1)->id, "s34");
		assert_int_equal(history_at(h, 0)->when_s, 1767225605);
		assert_int_equal(history_at(h, 0)->done, 2);
		assert_string_equal(history_at(h, 0)->user, "FMG-VM0000000001");
		open_it();
	}
}

/* The newest script that waits for this install; none other. */
static void
verdicts(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	open_it();
	add(1, "pending");
	add(1, "done");
	add(1, "pending");
	add(2, "pending");
	assert_int_equal(history_settle(h, "script-s1", "rolled-back", "no \"session\"\n", &e), 0);
	open_it();
	assert_string_equal(history_at(h, 0)->result, "pending");
	assert_string_equal(history_at(h, 1)->result, "done");
	assert_string_equal(history_at(h, 2)->result, "rolled-back");
	assert_string_equal(history_at(h, 2)->reason, "no \"session\"\n");
	assert_string_equal(history_at(h, 3)->result, "pending");
	assert_int_equal(history_settle(h, "i-1", "committed", "", &e), 0);
}

/* Good lines stay, the file as it was is kept aside. */
static void
damage(void **state)
{
	static const struct {
		const char *what, *line;
	} rows[] = {
	    {"no JSON", "{\"tame\":"},
	    {"no object", "[1]"},
	    {"a key is missing", "{\"time\":1}"},
	    {"a text too long",
	     "{\"time\":1,\"user\":\"FMG-VM0000000001FMG-VM0000000001FMG-VM0000000001\",\"id\":\"a\",\"install\":\"\","
	     "\"commands\":1,\"done\":1,\"failed\":0,\"result\":\"done\",\"reason\":\"\"}"},
	    {"a negative count",
	     "{\"time\":1,\"user\":\"F\",\"id\":\"a\",\"install\":\"\",\"commands\":-1,\"done\":1,\"failed\":0,"
	     "\"result\":\"done\",\"reason\":\"\"}"},
	};
	static const char good[] =
	    "{\"time\":1,\"user\":\"F\",\"id\":\"good\",\"install\":\"\",\"commands\":1,\"done\":1,"
	    "\"failed\":0,\"result\":\"done\",\"reason\":\"\"}\n";
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "%s\n%s", rows[i].line, good);
		fixture_write(NAME, text);
		open_it();
		if (history_count(h) != 1 || strcmp(history_at(h, 0)->id, "good") != 0 ||
		    !fixture_exists(NAME ".corrupt") || fixture_contains(NAME, rows[i].line))
			fail_msg("%s", rows[i].what);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_newest_thirty, setup, teardown),
	    cmocka_unit_test_setup_teardown(verdicts, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
