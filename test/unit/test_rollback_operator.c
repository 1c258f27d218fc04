/* rollback/install: installs of an operator's on the device, which no manager has sent. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rollback_box.h"

static const char set_alias[] = "config system interface\nedit \"wan1\"\nset alias \"mine\"\nnext\nend\n";
static const char unset_alias[] = "config system interface\nedit \"wan1\"\nunset alias\nnext\nend\n";

static struct install_status
status(void)
{
	struct install_status st;

	install_status(box.in, box.now, &st);
	return st;
}

static void
begin(const char *set)
{
	struct err e = ERR_NONE;

	if (box_begin_own(set, unset_alias, &e))
		fail_msg("%s", e.text);
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_TESTING);
}

static void
time_over(void)
{
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
}

/* Whichever trusted manager comes proves it good. */
static void
any_manager_proves_it(void **state)
{
	struct revision r;

	(void)state;
	begin(set_alias);
	assert_string_equal(box.asked, "any");
	assert_string_equal(status().manager, "");
	assert_string_equal(status().phase, "waiting for a fresh session");
	assert_false(status().awaits_operator);
	install_on_session(box.in, OTHER_MANAGER, box.now);
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_int_equal(box.last.verdict, RECEIPT_COMMITTED);
	assert_non_null(strstr(box.last.cause, OTHER_MANAGER));
	assert_int_equal(store_revisions(box.store, &r, 1), 1);
	assert_string_equal(r.who, "install own-1 on the device");
	assert_null(receipts_undelivered(box.receipts, NULL));
}

static void
no_session_takes_it_back(void **state)
{
	(void)state;
	begin(set_alias);
	time_over();
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_RETESTING);
	assert_string_equal(box.asked, "any");
	install_on_session(box.in, OTHER_MANAGER, box.now);
	assert_int_equal(box.last.verdict, RECEIPT_ROLLED_BACK);
	assert_non_null(strstr(box.last.cause, "no fresh session with any manager within 900 s"));
	box_check_over("no session", 0);
}

/* Nothing can be proven: as a confirmed commit it stands when the operator says so, and only then. */
static void
nobody_to_prove_it(void **state)
{
	static const struct {
		const char *what;
		void (*end)(void);
		enum receipt_verdict verdict;
		const char *cause;
	} rows[] = {
	    {"confirmed", NULL, RECEIPT_COMMITTED, "confirmed on the device"},
	    {"nothing said", time_over, RECEIPT_ROLLED_BACK, "not confirmed on the device within 900 s"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		box_teardown(state);
		box_setup(state);
		box.nobody = true;
		box.reboot_wanted = true;
		begin(set_alias);
		assert_true(status().awaits_operator);
		assert_string_equal(status().phase, "waiting to be confirmed on the device");
		assert_int_equal(status().left_ms, INSTALL_TEST_MS);
		if (rows[i].end)
			rows[i].end();
		else
			assert_int_equal(install_confirm(box.in, box.now, &e), 0);
		box_run_commands();
		/* nor is there a session to wait for, or a reboot that would bring one */
		if (box_state() != INSTALL_IDLE || box.retests || box.reboots_asked || box.verdicts != 1 ||
		    box.last.verdict != rows[i].verdict || !strstr(box.last.cause, rows[i].cause))
			fail_msg("%s: %s '%s'", rows[i].what, receipt_verdict_name(box.last.verdict), box.last.cause);
		assert_true(box_saved_is_memory());
		assert_true(box_system_is_memory());
		assert_false(fixture_exists("install.journal"));
	}
}

/* A manager before or after is one that can prove something. */
static void
manager_before_or_after(void **state)
{
	static const char named[] = "config system central-management\nset fmg \"192.0.2.1\"\nend\n";
	static const char unnamed[] = "config system central-management\nunset fmg\nend\n";
	char saved[1024];

	(void)state;
	box.nobody = true;
	begin(named);
	assert_false(status().awaits_operator);
	time_over();
	box_run_commands();
	/* back to where there was none */
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_non_null(strstr(box.last.cause, "no manager is configured"));
	box_teardown(state);
	box_setup(state);
	box.nobody = true;
	snprintf(saved, sizeof(saved), "%s%s", box_saved, named);
	box_write_config(saved);
	box_power_cycle();
	begin(unnamed);
	assert_false(status().awaits_operator);
	time_over();
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_RETESTING);
	install_on_session(box.in, MANAGER, box.now);
	assert_int_equal(box_state(), INSTALL_IDLE);
}

/* It survives the agent like any other, and time goes on. */
static void
agent_started_again(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	box.nobody = true;
	begin(set_alias);
	box.now = mono_in(box.now, 600000);
	box_stop();
	box_start();
	assert_int_equal(box_state(), INSTALL_TESTING);
	assert_true(status().awaits_operator);
	assert_int_equal(status().left_ms, INSTALL_TEST_MS - 600000);
	assert_int_equal(install_revert(box.in, box.now, &e), 0);
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_int_equal(box.last.verdict, RECEIPT_ROLLED_BACK);
	assert_string_equal(box.last.manager, "");
	box_check_over("started again", 0);
}

/* The operator may try again what was rolled back. */
static void
again_after_a_rollback(void **state)
{
	(void)state;
	box.nobody = true;
	begin(set_alias);
	time_over();
	box_run_commands();
	begin(set_alias);
}

/* Each tells what it was about. */
static void
words_for_who_is_too_early_or_too_late(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(install_confirm(box.in, box.now, &e), -ENOENT);
	assert_string_equal(e.text, "no install is pending");
	assert_int_equal(box_begin_own(set_alias, unset_alias, &e), 0);
	assert_int_equal(install_confirm(box.in, box.now, &e), -ENOENT);
	assert_string_equal(e.text, "install own-1 is journaled (dry run); it can be confirmed only while testing");
	box_run_commands();
	assert_int_equal(install_revert(box.in, box.now, &e), 0);
	assert_int_equal(install_revert(box.in, box.now, &e), -ENOENT);
	assert_string_equal(e.text, "install own-1 is reverting (unset script); it can be reverted only while testing");
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(any_manager_proves_it),
	    IN_BOX(no_session_takes_it_back),
	    IN_BOX(nobody_to_prove_it),
	    IN_BOX(manager_before_or_after),
	    IN_BOX(agent_started_again),
	    IN_BOX(again_after_a_rollback),
	    IN_BOX(words_for_who_is_too_early_or_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
