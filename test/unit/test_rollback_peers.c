/* rollback/install: what went wrong with the rollbacks of other agents, each with a test of its own. The rollback that
 * cannot be done and is tried for ever is in test_rollback_install.c, the one that was never tried end to end in
 * test/netns/test_rollback.py. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rollback_box.h"

static const char other[] = "config system interface\nedit \"wan1\"\nset mtu 1400\nnext\nend\n";

static void
deadline(void)
{
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
}

/* Runs until the commands of a pending install are through. */
static void
begin_testing(void)
{
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_TESTING);
}

/* Nothing is left that could still act: no deadline, no work, and a day later everything is as it was. */
static void
check_disarmed(const char *what)
{
	int applies = box.sim->applies, verdicts = box.verdicts;

	if (install_deadline(box.in).ms != MONO_NEVER.ms || install_busy(box.in))
		fail_msg("%s: something is still armed", what);
	box.now = mono_in(box.now, INT64_C(24) * 3600 * 1000);
	install_tick(box.in, box.now);
	install_step(box.in, box.now);
	install_on_session(box.in, MANAGER, box.now);
	if (box.sim->applies != applies || box.verdicts != verdicts)
		fail_msg("%s: something happened later", what);
	assert_true(box_saved_is_memory());
	assert_true(box_system_is_memory());
}

/* netopeer2 #1826: a confirmation whose commit fails takes the install back at once, and leaves no timer behind. */
static void
failed_commit_leaves_no_rollback_armed(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	begin_testing();
	assert_int_equal(mkdir(fixture_path("sys_config.conf.tmp"), 0700), 0);
	fixture_write("sys_config.conf.tmp/x", "");
	assert_int_equal(install_confirm(box.in, box.now, &e), 0);
	assert_int_equal(box_state(), INSTALL_REVERTING);
	box.up_in_retest = true;
	box_drive();
	assert_int_equal(box.last.verdict, RECEIPT_ROLLED_BACK);
	assert_non_null(strstr(box.last.cause, "save failed: "));
	check_disarmed("a commit that failed");
}

static void
good_commit_leaves_no_rollback_armed(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	begin_testing();
	assert_int_equal(install_confirm(box.in, box.now, &e), 0);
	assert_int_equal(box.last.verdict, RECEIPT_COMMITTED);
	check_disarmed("a commit");
	assert_true(box_memory_is(true));
}

/* netopeer2 #1371: whatever else is asked of the install meanwhile, its time goes on and it is taken back. */
static void
unrelated_requests_stop_no_rollback(void **state)
{
	struct install_status st;
	struct err e = ERR_NONE;
	mono_t due;

	(void)state;
	begin_testing();
	due = install_deadline(box.in);
	assert_int_equal(box_begin_with(other, "", true, &e), -EBUSY);
	assert_int_equal(box_begin_own(other, "", &e), -EBUSY);
	assert_int_equal(box_begin_with("frobnicate\n", "", true, &e), -EBUSY);
	install_on_session(box.in, OTHER_MANAGER, box.now);
	install_status(box.in, box.now, &st);
	install_step(box.in, box.now);
	install_tick(box.in, box.now);
	assert_int_equal(install_deadline(box.in).ms, due.ms);
	deadline();
	assert_int_equal(box_state(), INSTALL_REVERTING);
	assert_int_equal(box_begin_with(other, "", true, &e), -EBUSY);
	box.up_in_retest = true;
	box_drive();
	assert_int_equal(box.last.verdict, RECEIPT_ROLLED_BACK);
	box_check_over("unrelated requests", 0);
	assert_true(box_memory_is(false));
}

/* netopeer2 #1821: after each verdict the next install is let in. */
static void
no_verdict_leaks_a_lock(void **state)
{
	static const struct {
		const char *what;
		bool in_test, in_retest, reboot;
		enum receipt_verdict verdict;
	} rows[] = {
	    {"committed", true, true, false, RECEIPT_COMMITTED},
	    {"rolled back", false, true, false, RECEIPT_ROLLED_BACK},
	    {"rolled back, offline", false, false, false, RECEIPT_ROLLED_BACK},
	    {"rebooted", false, false, true, RECEIPT_REBOOTED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		box_teardown(state);
		box_setup(state);
		box.up_in_test = rows[i].in_test;
		box.up_in_retest = rows[i].in_retest;
		box.reboot_wanted = rows[i].reboot;
		assert_int_equal(box_begin(), 0);
		box_drive();
		if (box.last.verdict != rows[i].verdict)
			fail_msg("%s: %s", rows[i].what, receipt_verdict_name(box.last.verdict));
		box.up_in_test = true;
		if (box_begin_with(other, "", false, &e))
			fail_msg("%s: %s", rows[i].what, e.text);
		box_drive();
		assert_int_equal(box.last.verdict, RECEIPT_COMMITTED);
	}
}

/* netopeer2 #1207: a second install changes nothing of what the first goes back to. */
static void
second_install_leaves_the_baseline_alone(void **state)
{
	struct err e = ERR_NONE;
	char *before, *after;
	size_t len = 0, len2 = 0;

	(void)state;
	begin_testing();
	before = fixture_read("install.journal", &len);
	assert_int_equal(box_begin_with(other, "", true, &e), -EBUSY);
	assert_non_null(strstr(e.text, "install-1"));
	after = fixture_read("install.journal", &len2);
	assert_int_equal(len, len2);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
	box.up_in_retest = true;
	box_drive();
	assert_int_equal(box.last.verdict, RECEIPT_ROLLED_BACK);
	assert_string_equal(box.last.id, "install-1");
	assert_true(box_memory_is(false));
	box_check_over("second install", 0);
}

static void
refuse_the_mark(void)
{
	faults_set(FAULT_ONCE, 1, EIO);
	install_step(box.in, box.now);
	faults_clear();
}

static void
die_while_testing(void)
{
	box_run_commands();
	box_stop();
	box_start();
	box.up_in_test = true;
	box_drive();
}

static void
lose_power(void)
{
	box_run_commands();
	box_power_cycle();
}

/* The agent ended between the rename of the saved file and the receipt. */
static void
be_saved_and_die(void)
{
	char text[2048];
	struct journal_mark m;

	box_run_commands();
	m = *journal_last(box.in->journal);
	m.state = INSTALL_COMMITTING;
	assert_int_equal(journal_append(box.in->journal, &m, NULL), 0);
	snprintf(text, sizeof(text), "%s%s", box_saved, box_set);
	box_stop();
	box_write_config(text);
	box_start();
}

static void
revert(void)
{
	struct err e = ERR_NONE;

	box_run_commands();
	assert_int_equal(install_revert(box.in, box.now, &e), 0);
	box.up_in_retest = true;
	box_drive();
}

static void
drive(void)
{
	box_drive();
}

/* meta-balena #1918: whoever reads the receipt or the log learns why it ended as it did. */
static void
every_verdict_says_why(void **state)
{
	static const struct {
		const char *what;
		void (*story)(void);
		enum receipt_verdict verdict;
		const char *cause;
	} rows[] = {
	    {"no session, offline", drive, RECEIPT_ROLLED_BACK,
	     "no fresh session with " MANAGER " within 900 s; no session within 300 s after the rollback; no reboot: "
	     "not allowed"},
	    {"the operator's word", revert, RECEIPT_ROLLED_BACK, "reverted on the device; fresh session with " MANAGER},
	    {"no mark", refuse_the_mark, RECEIPT_REFUSED, "journal: "},
	    {"a start meanwhile", die_while_testing, RECEIPT_COMMITTED, "fresh session with " MANAGER},
	    {"power lost", lose_power, RECEIPT_POWER_LOST, "the machine restarted while testing"},
	    {"saved, and no more", be_saved_and_die, RECEIPT_COMMITTED, "it had been saved when the agent ended"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		box_teardown(state);
		box_setup(state);
		assert_int_equal(box_begin(), 0);
		rows[i].story();
		if (box.verdicts != 1 || box.last.verdict != rows[i].verdict || !strstr(box.last.cause, rows[i].cause))
			fail_msg("%s: %d verdicts, %s: '%s'", rows[i].what, box.verdicts,
				 receipt_verdict_name(box.last.verdict), box.last.cause);
	}
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(failed_commit_leaves_no_rollback_armed),   IN_BOX(good_commit_leaves_no_rollback_armed),
	    IN_BOX(unrelated_requests_stop_no_rollback),      IN_BOX(no_verdict_leaks_a_lock),
	    IN_BOX(second_install_leaves_the_baseline_alone), IN_BOX(every_verdict_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
