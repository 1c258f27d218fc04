/* rollback/reboots: the count that keeps a box from looping. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rollback/reboots.h"
#include "test/unit/rollback_faults.h"
#include "test/unit/rollback_fixture.h"

static struct reboots *
open_them(void)
{
	struct reboots *r = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(reboots_open(fixture_dir, &r, &e), 0);
	return r;
}

static void
damaged_record_counts_as_full(void **state)
{
	static const struct {
		const char *what, *text;
	} rows[] = {
	    {"no bytes", ""},
	    {"no JSON", "{\"uptime\":"},
	    {"no uptime", "{\"reason\":\"\",\"reboots\":[]}"},
	    {"uptime negative", "{\"uptime\":-1,\"reason\":\"\",\"reboots\":[]}"},
	    {"uptime beyond reason", "{\"uptime\":1e18,\"reason\":\"\",\"reboots\":[]}"},
	    {"no list", "{\"uptime\":1,\"reason\":\"\"}"},
	    {"reboot in the future", "{\"uptime\":1,\"reason\":\"\",\"reboots\":[{\"at\":2}]}"},
	    {"out of order", "{\"uptime\":9,\"reason\":\"\",\"reboots\":[{\"at\":2},{\"at\":1}]}"},
	    {"too many", "{\"uptime\":9,\"reason\":\"\",\"reboots\":[{\"at\":1},{\"at\":1},{\"at\":1},{\"at\":1}]}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		struct reboots *r;

		fixture_write("reboots.json", rows[i].text);
		r = open_them();
		if (reboots_recent(r) != REBOOTS_MAX || reboots_note(r, "x", &e) != -EDQUOT)
			fail_msg("%s: a reboot would be allowed", rows[i].what);
		if (!fixture_exists("reboots.json.corrupt"))
			fail_msg("%s: not kept aside", rows[i].what);
		reboots_free(r);
		/* what was written anew says the same */
		r = open_them();
		assert_int_equal(reboots_recent(r), REBOOTS_MAX);
		reboots_uptime(r, REBOOTS_WINDOW_S - 1);
		assert_int_equal(reboots_recent(r), REBOOTS_MAX);
		reboots_uptime(r, 1);
		assert_int_equal(reboots_recent(r), 0);
		reboots_free(r);
	}
}

static void
damage_stays_full_when_nothing_can_be_written(void **state)
{
	struct reboots *r;

	(void)state;
	for (int n = 1; n < 12; n++) {
		fixture_write("reboots.json", "damaged");
		faults_set(FAULT_ALL, n, EROFS);
		r = open_them();
		assert_int_equal(reboots_recent(r), REBOOTS_MAX);
		reboots_free(r);
		faults_clear();
		r = open_them();
		assert_int_equal(reboots_recent(r), REBOOTS_MAX);
		reboots_free(r);
	}
}

static void
missing_record_is_none_so_far(void **state)
{
	struct reboots *r = open_them();

	(void)state;
	assert_int_equal(reboots_recent(r), 0);
	assert_string_equal(reboots_last_reason(r), "");
	assert_false(fixture_exists("reboots.json"));
	reboots_free(r);
}

static void
three_in_a_day_of_uptime(void **state)
{
	struct reboots *r = open_them();
	struct err e = ERR_NONE;

	(void)state;
	for (int i = 0; i < REBOOTS_MAX; i++) {
		assert_int_equal(reboots_note(r, "no session", &e), 0);
		reboots_free(r);
		r = open_them();
		reboots_uptime(r, 600);
	}
	assert_int_equal(reboots_note(r, "one more", &e), -EDQUOT);
	assert_non_null(strstr(e.text, "24 hours"));
	assert_string_equal(reboots_last_reason(r), "no session");
	/* the first of them leaves the window */
	reboots_uptime(r, REBOOTS_WINDOW_S - 3 * 600);
	assert_int_equal(reboots_recent(r), 2);
	assert_int_equal(reboots_note(r, "one more", &e), 0);
	assert_int_equal(reboots_recent(r), 3);
	assert_string_equal(reboots_last_reason(r), "one more");
	reboots_free(r);
}

static void
uptime_is_written_each_hour(void **state)
{
	struct reboots *r = open_them();

	(void)state;
	reboots_uptime(r, REBOOTS_SAVE_S - 1);
	reboots_uptime(r, 0);
	reboots_uptime(r, -5);
	assert_false(fixture_exists("reboots.json"));
	reboots_uptime(r, 1);
	assert_true(fixture_contains("reboots.json", "\"uptime\":3600"));
	reboots_free(r);
}

static void
note_that_cannot_be_written_is_none(void **state)
{
	struct err e = ERR_NONE;
	int n = 0;

	(void)state;
	do {
		struct reboots *r;

		unlink(fixture_path("reboots.json"));
		r = open_them();
		faults_set(FAULT_ONCE, ++n, ENOSPC);
		if (reboots_note(r, "x", &e)) {
			assert_int_equal(reboots_recent(r), 0);
			assert_string_equal(reboots_last_reason(r), "");
		} else {
			assert_int_equal(reboots_recent(r), 1);
		}
		reboots_free(r);
	} while (faults.hit);
	faults_clear();
	assert_true(n > 4);
}

static void
reason_is_one_printable_line(void **state)
{
	struct reboots *r = open_them();
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(reboots_note(r, "a\nb\x1b[2J\xff", &e), 0);
	reboots_free(r);
	r = open_them();
	assert_string_equal(reboots_last_reason(r), "a\\nb\\x1b[2J\\xff");
	reboots_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(damaged_record_counts_as_full, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(damage_stays_full_when_nothing_can_be_written, fixture_setup,
					    fixture_teardown),
	    cmocka_unit_test_setup_teardown(missing_record_is_none_so_far, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(three_in_a_day_of_uptime, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(uptime_is_written_each_hour, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(note_that_cannot_be_written_is_none, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(reason_is_one_printable_line, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
