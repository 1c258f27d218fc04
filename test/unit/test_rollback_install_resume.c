/* rollback/install_resume: the start rules, one by one. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rollback_box.h"

/* The agent ends with an install in this state, its set script run where the state says so. */
static void
die_in(enum install_state s, unsigned starts)
{
	struct journal *j = NULL;
	struct journal_mark m;
	struct err e = ERR_NONE;

	assert_int_equal(box_begin(), 0);
	if (s != INSTALL_JOURNALED)
		box_run_commands();
	box_stop();
	if (s == INSTALL_JOURNALED)
		return;
	assert_int_equal(journal_load(fixture_dir, &j, &e), 0);
	m = *journal_last(j);
	m.state = s;
	m.starts = starts;
	m.applied = s != INSTALL_APPLYING;
	m.left_ms = s == INSTALL_RETESTING ? INSTALL_RETEST_MS : m.left_ms;
	m.deadline_ms = box.now.ms + m.left_ms;
	assert_int_equal(journal_append(j, &m, &e), 0);
	journal_close(j);
}

static void
expect_verdict(const char *what, enum receipt_verdict v, const char *cause)
{
	if (box.verdicts != 1 || box.last.verdict != v || !strstr(box.last.cause, cause))
		fail_msg("%s: %d verdicts, the last '%s', cause '%s'; '%s' with '%s' expected", what, box.verdicts,
			 receipt_verdict_name(box.last.verdict), box.last.cause, receipt_verdict_name(v), cause);
}

static void
each_state_in_the_same_boot(void **state)
{
	static const struct {
		enum install_state died, after;
		enum receipt_verdict verdict; /* once driven to the end with no manager in reach until the retest */
		bool new_one;
		const char *cause;
	} rows[] = {
	    {INSTALL_JOURNALED, INSTALL_IDLE, RECEIPT_REFUSED, false, "ended before the first command"},
	    {INSTALL_APPLYING, INSTALL_REVERTING, RECEIPT_ROLLED_BACK, false, "agent died while applying"},
	    {INSTALL_TESTING, INSTALL_TESTING, RECEIPT_ROLLED_BACK, false, "no fresh session"},
	    {INSTALL_COMMITTING, INSTALL_IDLE, RECEIPT_COMMITTED, true, ""},
	    {INSTALL_REVERTING, INSTALL_REVERTING, RECEIPT_ROLLED_BACK, false, ""},
	    {INSTALL_RETESTING, INSTALL_REVERTING, RECEIPT_ROLLED_BACK, false, ""},
	    {INSTALL_REBOOTING, INSTALL_IDLE, RECEIPT_ROLLED_BACK, false, "reboot failed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *what = install_state_name(rows[i].died);

		box_teardown(state);
		box_setup(state);
		die_in(rows[i].died, 0);
		if (rows[i].died == INSTALL_REBOOTING)
			memset(box.sim->rows, 0, sizeof(box.sim->rows));
		if (rows[i].died == INSTALL_REBOOTING)
			sim_put(box.sim, "by hand", "another program's address");
		box_start();
		if (box_state() != rows[i].after)
			fail_msg("%s: then %s", what, install_state_name(box_state()));
		box.up_in_retest = true;
		box_drive();
		expect_verdict(what, rows[i].verdict, rows[i].cause);
		box_check_over(what, 0);
		assert_true(box_memory_is(rows[i].new_one));
		assert_int_equal(receipts_count(box.receipts), 1);
	}
}

static void
each_state_in_another_boot(void **state)
{
	static const struct {
		enum install_state died;
		enum receipt_verdict verdict;
	} rows[] = {
	    {INSTALL_JOURNALED, RECEIPT_REFUSED},    {INSTALL_APPLYING, RECEIPT_POWER_LOST},
	    {INSTALL_TESTING, RECEIPT_POWER_LOST},   {INSTALL_COMMITTING, RECEIPT_POWER_LOST},
	    {INSTALL_REVERTING, RECEIPT_POWER_LOST}, {INSTALL_RETESTING, RECEIPT_POWER_LOST},
	    {INSTALL_REBOOTING, RECEIPT_REBOOTED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *what = install_state_name(rows[i].died);

		box_teardown(state);
		box_setup(state);
		die_in(rows[i].died, 3);
		box_power_cycle();
		expect_verdict(what, rows[i].verdict, "");
		box_check_over(what, 0);
		assert_true(box_memory_is(false));
		assert_int_equal(box.tests, rows[i].died == INSTALL_JOURNALED ? 0 : 1);
		assert_int_equal(receipts_rolled_back(box.receipts, receipts_at(box.receipts, 0)->set_digest,
						      receipts_at(box.receipts, 0)->unset_digest) != NULL,
				 rows[i].died != INSTALL_JOURNALED);
		/* what the dry run had found is in the journal */
		assert_int_equal(receipts_at(box.receipts, 0)->dry.made, rows[i].died != INSTALL_JOURNALED);
		assert_int_equal(receipts_at(box.receipts, 0)->dry.commands,
				 rows[i].died == INSTALL_JOURNALED ? 0 : 12);
		assert_int_equal(receipts_at(box.receipts, 0)->dry.reversible,
				 rows[i].died == INSTALL_JOURNALED ? 0 : 9);
	}
}

/* Memory and the saved file are the new configuration; only the journal is left. */
static void
save_had_happened(void **state)
{
	for (int other_boot = 0; other_boot < 2; other_boot++) {
		struct revision r;
		char text[2048];

		box_teardown(state);
		box_setup(state);
		die_in(INSTALL_COMMITTING, 0);
		snprintf(text, sizeof(text), "%s%s", box_saved, box_set);
		box_write_config(text);
		if (other_boot)
			box_power_cycle();
		else
			box_start();
		expect_verdict("saved", RECEIPT_COMMITTED, "");
		assert_true(box_memory_is(true));
		/* the revision that was missing is there */
		assert_int_equal(store_revisions(box.store, &r, 1), 1);
		assert_string_equal(r.digest, store_digest(box.store));
		assert_string_equal(r.who, "install install-1 of " MANAGER);
	}
}

/* Only committing replaces the file: in another state a new digest is somebody else's doing. */
static void
saved_file_changed_by_somebody_else(void **state)
{
	(void)state;
	die_in(INSTALL_TESTING, 0);
	box_write_config("config system interface\nedit \"wan1\"\nset ip 192.168.48.99/24\nnext\nend\n");
	box_start();
	assert_int_equal(box_state(), INSTALL_REVERTING);
	box.up_in_retest = true;
	box_drive();
	expect_verdict("changed", RECEIPT_ROLLED_BACK, "changed or lost meanwhile");
	assert_true(box_saved_is_memory());
	assert_true(box_in_system("system interface/wan1", "192.168.48.99"));
}

static void
testing_is_resumed_three_times(void **state)
{
	mono_t begun = box.now;

	(void)state;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	for (int i = 1; i <= INSTALL_STARTS_MAX; i++) {
		struct install_status st;

		box_stop();
		box.now = mono_in(box.now, 10000);
		box_start();
		assert_int_equal(box_state(), INSTALL_TESTING);
		assert_true(box_memory_is(true));
		assert_true(box_system_is_memory());
		assert_string_equal(box.asked, MANAGER);
		assert_int_equal(install_deadline(box.in).ms, begun.ms + INSTALL_TEST_MS);
		install_status(box.in, box.now, &st);
		assert_int_equal(st.starts, i);
		assert_int_equal(st.left_ms, INSTALL_TEST_MS - 10000 * i);
	}
	box_stop();
	box_start();
	assert_int_equal(box_state(), INSTALL_REVERTING);
	box.up_in_retest = true;
	box_drive();
	expect_verdict("fourth start", RECEIPT_ROLLED_BACK, "started 4 times while testing");
	box_check_over("fourth start", 0);
	assert_true(box_memory_is(false));
}

static void
resumed_test_commits(void **state)
{
	(void)state;
	die_in(INSTALL_TESTING, 0);
	box.up_in_test = true;
	box_start();
	box_drive();
	expect_verdict("resumed", RECEIPT_COMMITTED, "");
	box_check_over("resumed", 0);
	assert_true(box_memory_is(true));
	/* what the set script came to is counted anew, and once */
	assert_int_equal(box.last.counts[0].times, 10);
	assert_int_equal(box.last.counts[1].times, 2);
}

/* left = clamp(deadline − now, 0, left at the last mark) */
static void
time_left(void **state)
{
	static const struct {
		const char *what;
		int64_t later_ms, left_ms;
	} rows[] = {
	    {"at once", 0, INSTALL_TEST_MS},
	    {"later", 1000, INSTALL_TEST_MS - 1000},
	    {"a clock that ran backwards", -1000, INSTALL_TEST_MS},
	    {"at the deadline", INSTALL_TEST_MS, 0},
	    {"long after it", 10 * INSTALL_TEST_MS, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct install_status st;

		box_teardown(state);
		box_setup(state);
		die_in(INSTALL_TESTING, 0);
		box.now.ms += rows[i].later_ms;
		box_start();
		install_status(box.in, box.now, &st);
		if (st.left_ms != rows[i].left_ms)
			fail_msg("%s: %lld ms left", rows[i].what, (long long)st.left_ms);
	}
}

static void
retesting_keeps_its_time(void **state)
{
	(void)state;
	die_in(INSTALL_RETESTING, 0);
	for (int i = 0; i < 2; i++) {
		box.now = mono_in(box.now, 100 * 1000);
		box_start();
		/* dying again while reverting loses nothing of it */
		box_stop();
		box_start();
		box_run_commands();
		assert_int_equal(box_state(), INSTALL_RETESTING);
		assert_int_equal(mono_left_ms(install_deadline(box.in), box.now), (200 - 100 * i) * 1000);
		if (i == 0)
			box_stop();
	}
}

/* The way back kills the agent again and again: then without its commands. */
static void
revert_that_kills_is_given_up(void **state)
{
	(void)state;
	die_in(INSTALL_REVERTING, INSTALL_STARTS_MAX);
	box_start();
	assert_int_equal(box_state(), INSTALL_RETESTING);
	assert_true(box_memory_is(false));
	assert_int_equal(box.retests, 1);
	assert_false(install_busy(box.in));
	install_on_session(box.in, MANAGER, box.now);
	expect_verdict("given up", RECEIPT_ROLLED_BACK, "started 4 times while reverting");
	assert_true(box_saved_is_memory());
}

/* Dying on the way back is counted by itself: a test that was resumed three times leaves three tries. */
static void
starts_are_counted_anew(void **state)
{
	(void)state;
	die_in(INSTALL_TESTING, INSTALL_STARTS_MAX);
	for (int i = 0; i <= INSTALL_STARTS_MAX; i++) {
		box_start();
		assert_int_equal(box_state(), INSTALL_REVERTING);
		box_stop();
	}
	box_start();
	assert_int_equal(box_state(), INSTALL_RETESTING);
}

/* Whatever part of the install the system had taken, it is taken back. */
static void
partly_applied(void **state)
{
	static const struct {
		const char *what;
		const char *there[2], *gone;
	} rows[] = {
	    {"nothing", {NULL}, NULL},
	    {"the address", {"system interface/wan1"}, NULL},
	    {"address and new interface", {"system interface/wan1", "system interface/new1"}, NULL},
	    {"everything", {"system interface/wan1", "system interface/new1"}, "system interface/wan2"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		box_teardown(state);
		box_setup(state);
		die_in(INSTALL_APPLYING, 0);
		box.sim->rows[sim_find(box.sim, "system interface/new1")].name[0] = '\0';
		sim_put(box.sim, "system interface/wan2", "as before");
		for (size_t k = 0; k < 2 && rows[i].there[k]; k++)
			sim_put(box.sim, rows[i].there[k], "of the install");
		if (rows[i].gone)
			box.sim->rows[sim_find(box.sim, rows[i].gone)].name[0] = '\0';
		box.up_in_retest = true;
		box.settles = box.sim->applies = 0;
		box_start();
		/* what may have killed the agent is not done to the system once more */
		assert_int_equal(box.settles + box.sim->applies, 0);
		box_drive();
		box_check_over(rows[i].what, (int)i);
		assert_true(box_memory_is(false));
	}
}

static void
damaged_journal(void **state)
{
	char *text;
	size_t len = 0;

	(void)state;
	die_in(INSTALL_TESTING, 0);
	text = fixture_read("install.journal", &len);
	assert_non_null(text);
	*(char *)memmem(text, len, "delete", 6) = 'D';
	fixture_write_bytes("install.journal", text, len);
	free(text);
	box_start();
	expect_verdict("damaged", RECEIPT_ROLLED_BACK, "journal damaged: ");
	assert_string_equal(box.last.id, "install-1");
	assert_true(box_memory_is(false));
	assert_true(fixture_exists("install.journal.corrupt"));
	assert_false(fixture_exists("install.journal"));
	assert_int_equal(box_state(), INSTALL_IDLE);
}

/* Whole, but not of this program's making. */
static void
journal_without_sense(void **state)
{
	struct journal_head h = {.id = "x", .set = "end\n", .set_len = 4, .unset = ""};
	struct journal_mark m = {.state = INSTALL_TESTING};
	struct journal *j = NULL;
	struct err e = ERR_NONE;

	(void)state;
	box_stop();
	assert_int_equal(journal_create(fixture_dir, &h, &m, &j, &e), 0);
	journal_close(j);
	box_start();
	expect_verdict("no script", RECEIPT_ROLLED_BACK, "journal damaged: set:1:1");
	assert_true(box_memory_is(false));
	assert_false(fixture_exists("install.journal"));
}

/* The agent died between receipt and removal of the journal. */
static void
verdict_was_there_already(void **state)
{
	char *text;
	size_t len = 0;

	(void)state;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	text = fixture_read("install.journal", &len);
	box.up_in_retest = true;
	box_drive();
	expect_verdict("first", RECEIPT_ROLLED_BACK, "");
	box_stop();
	fixture_write_bytes("install.journal", text, len);
	free(text);
	box_start();
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_int_equal(box.verdicts, 1);
	assert_int_equal(receipts_count(box.receipts), 1);
	box_check_over("leftover", 0);
}

static void
no_journal(void **state)
{
	(void)state;
	box_stop();
	box_start();
	assert_int_equal(box.verdicts, 0);
	box_check_over("none", 0);
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(each_state_in_the_same_boot),
	    IN_BOX(each_state_in_another_boot),
	    IN_BOX(save_had_happened),
	    IN_BOX(saved_file_changed_by_somebody_else),
	    IN_BOX(testing_is_resumed_three_times),
	    IN_BOX(resumed_test_commits),
	    IN_BOX(time_left),
	    IN_BOX(retesting_keeps_its_time),
	    IN_BOX(revert_that_kills_is_given_up),
	    IN_BOX(starts_are_counted_anew),
	    IN_BOX(partly_applied),
	    IN_BOX(damaged_journal),
	    IN_BOX(journal_without_sense),
	    IN_BOX(verdict_was_there_already),
	    IN_BOX(no_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
