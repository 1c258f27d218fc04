/* rollback/install: the states of one install, in virtual time. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/rollback_box.h"

static bool
lines_have(const char *part)
{
	return memmem(buf_head(&box.lines), box.lines.len, part, strlen(part)) != NULL;
}

static void
expect_verdict(enum receipt_verdict v, const char *cause)
{
	if (box.verdicts != 1 || box.last.verdict != v || !strstr(box.last.cause, cause))
		fail_msg("%d verdicts, the last '%s', cause '%s'; '%s' with '%s' expected", box.verdicts,
			 receipt_verdict_name(box.last.verdict), box.last.cause, receipt_verdict_name(v), cause);
}

/* Invariant 6. */
static void
refused_requests(void **state)
{
	static const struct {
		const char *what, *id, *manager, *set, *unset;
		size_t set_len;
		int rc;
		const char *reason;
	} rows[] = {
	    {"no id", "", MANAGER, box_set, "", 0, -EINVAL, "install_id"},
	    {"id with a slash", "../x", MANAGER, box_set, "", 0, -EINVAL, "install_id"},
	    {"id of 65", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", MANAGER, box_set, "", 0,
	     -EINVAL, "install_id"},
	    {"serial too long", "i", "FMG-00000000000000000000000000000000", box_set, "", 0, -EINVAL, "serial"},
	    {"unknown verb", "i", MANAGER, "config system interface\nfrob\nend\n", "", 0, -EINVAL, "set:2:1"},
	    {"end is missing", "i", MANAGER, "config system interface\n", "", 0, -EINVAL, "set:"},
	    {"end too many", "i", MANAGER, "end\n", "", 0, -EINVAL, "set:1:1"},
	    {"open quote", "i", MANAGER, "config system interface\nedit \"x\n", "", 0, -EINVAL, "set:"},
	    {"unset script is wrong", "i", MANAGER, box_set, "next\n", 0, -EINVAL, "unset:1:1"},
	    {"too long", "i", MANAGER, box_set, "", SCRIPT_MAX_BYTES + 1, -EFBIG, "8388609"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct install_request r = {
		    .id = rows[i].id,
		    .manager = rows[i].manager,
		    .set = rows[i].set,
		    .unset = rows[i].unset,
		    .set_len = rows[i].set_len ? rows[i].set_len : strlen(rows[i].set),
		    .unset_len = strlen(rows[i].unset),
		};
		struct err e = ERR_NONE;
		int rc = install_begin(box.in, &r, box.now, &e);

		if (rc != rows[i].rc || e.code != rows[i].rc || !strstr(e.text, rows[i].reason))
			fail_msg("%s: %d '%s'", rows[i].what, rc, e.text);
		box_check_over(rows[i].what, 0);
		assert_int_equal(receipts_count(box.receipts), 0);
		assert_int_equal(box.verdicts, 0);
	}
	assert_true(box_memory_is(false));
}

static void
second_install_is_busy(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_begin(), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(box_begin_with("", "", true, &e), -EBUSY);
		assert_non_null(strstr(e.text, "install-1"));
		if (install_busy(box.in))
			install_step(box.in, box.now);
	}
	box.up_in_test = true;
	box_drive();
	expect_verdict(RECEIPT_COMMITTED, "fresh session with " MANAGER);
}

static void
commit(void **state)
{
	struct revision r;
	const struct receipt *kept;

	(void)state;
	box.up_in_test = true;
	assert_int_equal(box_begin(), 0);
	assert_true(fixture_exists("install.journal"));
	assert_true(box_memory_is(false));
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_TESTING);
	assert_true(box_memory_is(true));
	/* memory only, so far */
	assert_false(box_saved_is_memory());
	assert_string_equal(box.asked, MANAGER);
	assert_true(lines_have("set: 0: get sys status\n"));
	assert_true(lines_have("set: 0: set ip 192.168.49.81 255.255.255.0\n"));
	assert_true(lines_have("set: -61: config no such table\n"));
	assert_false(lines_have("nobody reads"));
	box_drive();
	box_check_over("commit", 0);
	assert_true(box_memory_is(true));
	expect_verdict(RECEIPT_COMMITTED, "fresh session");
	assert_int_equal(store_revisions(box.store, &r, 1), 1);
	assert_non_null(strstr(r.who, "install-1"));
	kept = receipts_find(box.receipts, "install-1");
	assert_int_equal(kept->failures[0].line, 11);
	assert_string_equal(kept->failures[0].text, "config no such table");
	assert_int_equal(box.ended, 1);
	assert_int_equal(install_deadline(box.in).ms, MONO_NEVER.ms);
}

/* Guide, "Example": 900 seconds, the unset commands, one of which fails; then the agent restores the rest. */
static void
roll_back(void **state)
{
	mono_t begun = box.now;
	struct install_status st;
	const struct receipt *kept;

	(void)state;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	box.now = mono_in(begun, INSTALL_TEST_MS - 1);
	assert_int_equal(install_deadline(box.in).ms, box.now.ms + 1);
	install_tick(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_TESTING);
	install_status(box.in, box.now, &st);
	assert_int_equal(st.left_ms, 1);
	assert_int_equal(st.commands, 12);
	assert_int_equal(st.done, 12);
	assert_int_equal(st.failed, 2);
	box.now = mono_in(box.now, 1);
	install_tick(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_REVERTING);
	assert_int_equal(box.ended, 1);
	box_run_commands();
	assert_int_equal(box_state(), INSTALL_RETESTING);
	assert_true(box_memory_is(false));
	assert_true(box_system_is_memory());
	assert_true(lines_have("unset: -23: unset type\n"));
	assert_true(lines_have("restore: 0: delete \"new1\"\n") || lines_have("restore: 0: delete new1\n"));
	assert_int_equal(box.retests, 1);
	box.now = mono_in(box.now, 1000);
	install_on_session(box.in, MANAGER, box.now);
	box_check_over("roll back", 0);
	expect_verdict(RECEIPT_ROLLED_BACK, "no fresh session with " MANAGER " within 900 s");
	kept = receipts_find(box.receipts, "install-1");
	assert_true(kept->restored >= 2);
	assert_int_equal(kept->spent_ms[INSTALL_TESTING], INSTALL_TEST_MS);
	assert_int_equal(kept->spent_ms[INSTALL_RETESTING], 1000);
	assert_true(kept->failures[kept->failure_count - 1].unset);
}

/* Every pair: an unlisted one is refused and changes nothing, a listed one leads where the table says. */
static void
every_pair(void **state)
{
	(void)state;
	for (int s = 0; s < INSTALL_STATES; s++) {
		for (int ev = 0; ev < INSTALL_EVENTS; ev++) {
			const struct install_row *row = states_row((enum install_state)s, (enum install_event)ev);
			struct err e = ERR_NONE;
			long size;
			int rc;

			box_teardown(state);
			box_setup(state);
			assert_int_equal(box_begin(), 0);
			box_run_commands();
			size = fixture_size("install.journal");
			box.in->state = (enum install_state)s;
			rc = install_change(box.in, (enum install_event)ev, box.now, &e);
			if (!row) {
				assert_int_equal(rc, -EPROTO);
				assert_int_equal(box.in->state, s);
				assert_int_equal(fixture_size("install.journal"), size);
				assert_true(box_memory_is(true));
				assert_int_equal(box.verdicts, 0);
			} else {
				/* committing does not stay */
				assert_int_equal(rc, 0);
				assert_int_equal(box.in->state,
						 row->next == INSTALL_COMMITTING ? INSTALL_IDLE : row->next);
				assert_int_equal(fixture_exists("install.journal"), box.in->state != INSTALL_IDLE);
				assert_int_equal(box.verdicts, box.in->state == INSTALL_IDLE);
			}
		}
	}
}

/* A set script of many commands. */
static char *
long_script(int gets)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_str(&b, box_set);
	for (int i = 0; i < gets; i++)
		buf_str(&b, "get sys status\n");
	return buf_steal(&b, NULL);
}

static void
commands_run_in_slices(void **state)
{
	char *script = long_script(5 * INSTALL_STEP);
	struct err e = ERR_NONE;
	int steps = 0;

	(void)state;
	assert_int_equal(box_begin_with(script, "", false, &e), 0);
	for (; install_busy(box.in); steps++) {
		size_t before = box.lines.len;

		install_step(box.in, box.now);
		assert_true(box.lines.len - before <= INSTALL_STEP * 60);
	}
	assert_true(steps >= 6);
	free(script);
}

static bool
always_enough(void *ctx)
{
	(void)ctx;
	return true;
}

/* Commands that take long leave the rest to the next turn of the event loop, one by one if need be. */
static void
slow_commands_run_one_by_one(void **state)
{
	struct install_ops ops = box_ops();
	struct install_files files = {.state_dir = fixture_dir, .boot_id = "boot-0"};
	struct err e = ERR_NONE;
	bool applied = false;
	int steps = 0;

	(void)state;
	ops.enough = always_enough;
	install_free(box.in);
	box.in = NULL;
	assert_int_equal(install_new(&files, box.store, box.receipts, box.reboots, &ops, &box.in, &e), 0);
	assert_int_equal(install_resume(box.in, box.now, &applied, &e), 0);
	assert_int_equal(box_begin(), 0);
	for (; install_busy(box.in); steps++) {
		size_t before = box.lines.len;

		install_step(box.in, box.now);
		assert_true(box.lines.len - before <= 60);
	}
	assert_true(steps > 3);
}

/* 900 s are counted from the first set command, also while commands run. */
static void
time_is_over_while_applying(void **state)
{
	char *script = long_script(5 * INSTALL_STEP);
	struct err e = ERR_NONE;
	mono_t begun;

	(void)state;
	assert_int_equal(box_begin_with(script, "", false, &e), 0);
	box.now = mono_in(box.now, 5000);
	begun = box.now;
	install_step(box.in, box.now);
	install_step(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_APPLYING);
	assert_int_equal(install_deadline(box.in).ms, begun.ms + INSTALL_TEST_MS);
	box.now = mono_in(begun, INSTALL_TEST_MS);
	install_step(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_REVERTING);
	box.up_in_retest = true;
	box_drive();
	box_check_over("time over while applying", 0);
	expect_verdict(RECEIPT_ROLLED_BACK, "the set script took more than 900 s");
	free(script);
}

static void
session_that_proves_nothing(void **state)
{
	(void)state;
	assert_int_equal(box_begin(), 0);
	install_on_session(box.in, MANAGER, box.now);
	assert_int_equal(box_state(), INSTALL_JOURNALED);
	install_step(box.in, box.now);
	install_on_session(box.in, MANAGER, box.now);
	box_run_commands();
	install_on_session(box.in, OTHER_MANAGER, box.now);
	install_on_session(box.in, "", box.now);
	assert_int_equal(box_state(), INSTALL_TESTING);
	install_on_session(box.in, MANAGER, box.now);
	assert_int_equal(box_state(), INSTALL_IDLE);
	install_on_session(box.in, MANAGER, box.now);
	assert_int_equal(box.verdicts, 1);
}

static void
another_manager_configured(void **state)
{
	static const char set[] = "config system central-management\nset fmg \"192.0.2.9\"\nend\n";
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_begin_with(set, "", false, &e), 0);
	box_run_commands();
	assert_string_equal(box.asked, "any");
	install_on_session(box.in, OTHER_MANAGER, box.now);
	expect_verdict(RECEIPT_COMMITTED, OTHER_MANAGER);
}

static void
operator_ends_it(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(install_confirm(box.in, box.now, &e), -ENOENT);
	assert_int_equal(install_revert(box.in, box.now, &e), -ENOENT);
	assert_int_equal(box_begin(), 0);
	assert_int_equal(install_confirm(box.in, box.now, &e), -ENOENT);
	box_run_commands();
	assert_int_equal(install_confirm(box.in, box.now, &e), 0);
	expect_verdict(RECEIPT_COMMITTED, "confirmed on the device");
	box_check_over("confirm", 0);
	box.verdicts = 0;
	assert_int_equal(
	    box_begin_with("config system interface\nedit \"wan1\"\nset mtu 1400\nnext\nend\n", "", false, &e), 0);
	box_run_commands();
	assert_int_equal(install_revert(box.in, box.now, &e), 0);
	box_run_commands();
	assert_int_equal(install_revert(box.in, box.now, &e), -ENOENT);
	install_on_session(box.in, MANAGER, box.now);
	expect_verdict(RECEIPT_ROLLED_BACK, "reverted on the device");
	box_check_over("revert", 0);
}

/* Invariant 5. */
static void
same_install_again(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	box.up_in_retest = true;
	assert_int_equal(box_begin(), 0);
	box_drive();
	expect_verdict(RECEIPT_ROLLED_BACK, "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(box_begin_with(box_set, box_unset, false, &e), -EALREADY);
		assert_false(fixture_exists("install.journal"));
		/* and so after a restart */
		box_stop();
		box_start();
	}
	assert_int_equal(box_begin_with(box_set, box_unset, true, &e), 0);
	box.up_in_test = true;
	box_drive();
	assert_int_equal(box.last.verdict, RECEIPT_COMMITTED);
}

/* What the system refuses to take back is taken back in memory, so that memory and file agree. */
static void
system_refuses_to_go_back(void **state)
{
	(void)state;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	box.refuse = "system interface/wan1";
	box.settle_rc = -ENODEV;
	box.up_in_retest = true;
	box_drive();
	assert_true(box_memory_is(false));
	expect_verdict(RECEIPT_ROLLED_BACK, "bringing the system in line: wan9");
	box_check_over("system refuses", 0);
}

/* "9 of 12 commands reversible", before the first command is run; the manager sees it in the receipt. */
static void
dry_run_comes_first(void **state)
{
	static const unsigned lines[] = {6, 7, 9};
	const struct receipt *kept;
	struct install_status st;

	(void)state;
	assert_int_equal(box_begin(), 0);
	assert_true(install_dry_slice(box.in));
	assert_int_equal(box.sim->applies, 0);
	assert_int_equal(box.lines.len, 0);
	assert_true(box_memory_is(false));
	install_status(box.in, box.now, &st);
	assert_int_equal(st.state, INSTALL_JOURNALED);
	assert_true(st.dry);
	assert_int_equal(st.dry_commands, 12);
	assert_int_equal(st.dry_reversible, 9);
	box.up_in_test = true;
	box_drive();
	kept = receipts_find(box.receipts, "install-1");
	assert_true(kept->dry.made);
	assert_false(kept->dry.back);
	assert_int_equal(kept->dry.commands, 12);
	assert_int_equal(kept->dry.reversible, 9);
	assert_int_equal(kept->dry.named_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(kept->dry.named[i].line, lines[i]);
	assert_string_equal(kept->dry.named[2].text, "delete \"wan2\"");
}

/* A script of megabytes does not hold up the loop, and is over before the first command. */
static void
dry_run_goes_in_slices(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct install_status st;
	struct err e = ERR_NONE;
	char *script;
	int steps = 0;

	(void)state;
	for (int i = 0; i < INSTALL_DRY_STEP; i++)
		buf_printf(&b, "config system interface\nedit \"new1\"\nset alias \"%d\"\nnext\nend\n", i);
	script = buf_steal(&b, NULL);
	assert_int_equal(box_begin_with(script, "", false, &e), 0);
	for (; box_state() == INSTALL_JOURNALED; steps++) {
		assert_int_equal(box.sim->applies, 0);
		assert_int_equal(install_deadline(box.in).ms, MONO_NEVER.ms);
		install_step(box.in, box.now);
		install_status(box.in, box.now, &st);
		if (st.state == INSTALL_JOURNALED) {
			assert_string_equal(st.phase, "dry run");
			assert_int_equal(st.done, (steps + 1) * INSTALL_DRY_STEP);
			assert_int_equal(st.commands, 10 * INSTALL_DRY_STEP);
		}
	}
	assert_int_equal(steps, 10);
	assert_int_equal(st.dry_reversible, 3 * INSTALL_DRY_STEP);
	free(script);
}

static const char two_more[] = "config system interface\n"
			       "edit \"new1\"\nset alias \"one\"\nnext\n"
			       "edit \"new2\"\nset alias \"two\"\nnext\n"
			       "end\n";

/* The last made goes first; here the system wants it the other way round. */
static void
order_that_the_system_does_not_take(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_begin_with(two_more, "", false, &e), 0);
	box_run_commands();
	box.refuse = "system interface/new2";
	box.as_long_as = "system interface/new1";
	box.up_in_retest = true;
	box_drive();
	assert_true(lines_have("restore: -1000: delete \"new2\"\n"));
	assert_true(lines_have("restore: 0: delete \"new2\"\n"));
	expect_verdict(RECEIPT_ROLLED_BACK, "");
	assert_null(strstr(box.last.cause, "go back"));
	assert_int_equal(box.last.restored, 2);
	box_check_over("in the second pass", 0);
}

/* Nor for ever: what the system does not give back at all is tried twice, taken back in memory, and named. */
static void
impossible_revert_is_not_tried_for_ever(void **state)
{
	struct err e = ERR_NONE;
	int before;

	(void)state;
	assert_int_equal(box_begin_with(two_more, "", false, &e), 0);
	box_run_commands();
	box.refuse = "system interface/new2";
	box.up_in_retest = true;
	before = box.sim->applies;
	box_drive();
	assert_int_equal(box.sim->applies - before, 3); /* new2, new1, new2 */
	expect_verdict(RECEIPT_ROLLED_BACK,
		       "the system did not let go back: system interface new2 (the system refuses");
	assert_true(box_memory_is(false));
	box_check("refused for good", 0, false);
	assert_int_equal(install_deadline(box.in).ms, MONO_NEVER.ms);
}

static void
system_refuses_the_install(void **state)
{
	(void)state;
	box.refuse = "system interface/wan1";
	box.up_in_test = true;
	assert_int_equal(box_begin(), 0);
	box_drive();
	assert_true(lines_have("set: -1000: next\n"));
	assert_int_equal(box.last.verdict, RECEIPT_COMMITTED);
	assert_true(box_saved_is_memory());
	assert_true(box_in_system("system interface/wan1", "192.168.48.81"));
}

static void
secrets_are_masked(void **state)
{
	static const char set[] = "config system admin\nedit \"a\"\nset password \"hunter2\"\nnext\nend\n"
				  "config unknown table\nset psksecret hunter2\nend\n";
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_begin_with(set, "", false, &e), 0);
	box_run_commands();
	box_drive();
	assert_true(lines_have("***"));
	assert_false(lines_have("hunter2"));
	assert_false(fixture_contains("receipts.jsonl", "hunter2"));
}

static void
empty_scripts(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	box.up_in_test = true;
	assert_int_equal(box_begin_with("", "", false, &e), 0);
	box_drive();
	expect_verdict(RECEIPT_COMMITTED, "");
	box_check_over("empty scripts", 0);
}

static void
damage_saved_file(void)
{
	box_write_config("config");
}

static void
use_up_reboots(void)
{
	struct err e = ERR_NONE;

	for (int i = 0; i < REBOOTS_MAX; i++)
		assert_int_equal(reboots_note(box.reboots, "before", &e), 0);
}

static void
block_record(void)
{
	/* a folder in the way of the record's temporary file */
	assert_int_equal(mkdir(fixture_path("reboots.json.tmp"), 0700), 0);
	fixture_write("reboots.json.tmp/x", "");
}

static void
reboot_is_not_done(void **state)
{
	static const struct {
		const char *what;
		bool wanted, works;
		void (*before)(void);
		int asked;
		const char *cause;
	} rows[] = {
	    {"policy", false, true, NULL, 0, "no reboot: not allowed"},
	    {"three already", true, true, use_up_reboots, 0, "3 reboots in the last 24 hours"},
	    {"saved file damaged", true, true, damage_saved_file, 0, "the saved configuration cannot be loaded"},
	    {"record cannot be written", true, true, block_record, 0, "reboots.json.tmp"},
	    {"the system refuses", true, false, NULL, 1, "reboot failed: not permitted"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		box_teardown(state);
		box_setup(state);
		box.reboot_wanted = rows[i].wanted;
		box.reboot_works = rows[i].works;
		assert_int_equal(box_begin(), 0);
		box_run_commands();
		if (rows[i].before)
			rows[i].before();
		box_drive();
		if (box.reboots_asked != rows[i].asked)
			fail_msg("%s: %d reboots", rows[i].what, box.reboots_asked);
		expect_verdict(RECEIPT_ROLLED_BACK, rows[i].cause);
		assert_true(box_memory_is(false));
		assert_true(box_system_is_memory());
		assert_false(fixture_exists("install.journal"));
	}
}

static void
reboot(void **state)
{
	(void)state;
	box.reboot_wanted = true;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
	box_run_commands();
	/* 300 s of retest */
	assert_int_equal(install_deadline(box.in).ms, box.now.ms + INSTALL_RETEST_MS);
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_REBOOTING);
	assert_int_equal(box.reboots_asked, 1);
	assert_true(box.manager_allowed);
	assert_int_equal(reboots_recent(box.reboots), 1);
	assert_non_null(strstr(reboots_last_reason(box.reboots), "install-1"));
	box_power_cycle();
	box_check_over("reboot", 0);
	expect_verdict(RECEIPT_REBOOTED, "no session within 300 s after the rollback");
	assert_int_equal(reboots_recent(box.reboots), 1);
}

static void
reboot_that_does_not_happen(void **state)
{
	(void)state;
	box.reboot_wanted = true;
	assert_int_equal(box_begin(), 0);
	while (box_state() != INSTALL_REBOOTING) {
		box_run_commands();
		box.now = install_deadline(box.in);
		install_tick(box.in, box.now);
	}
	box.now = mono_in(box.now, INSTALL_REBOOT_MS - 1);
	install_tick(box.in, box.now);
	assert_int_equal(box_state(), INSTALL_REBOOTING);
	box.now = mono_in(box.now, 1);
	install_tick(box.in, box.now);
	expect_verdict(RECEIPT_ROLLED_BACK, "reboot failed: still running 300 s later");
	box_check_over("reboot that does not happen", 0);
}

static void
step_once(void)
{
	install_step(box.in, box.now);
}

static void
session(void)
{
	install_on_session(box.in, MANAGER, box.now);
}

static void
time_over(void)
{
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
}

/* The mark of the next state cannot be written: forward only with it, back also without. */
static void
mark_that_cannot_be_written(void **state)
{
	static const struct {
		const char *what;
		enum install_state from, then;
		void (*event)(void);
		enum receipt_verdict verdict;
		bool marked; /* the cause names the journal */
	} rows[] = {
	    {"before the first command", INSTALL_JOURNALED, INSTALL_IDLE, step_once, RECEIPT_REFUSED, true},
	    {"testing", INSTALL_APPLYING, INSTALL_REVERTING, step_once, RECEIPT_ROLLED_BACK, true},
	    {"committing", INSTALL_TESTING, INSTALL_REVERTING, session, RECEIPT_ROLLED_BACK, true},
	    {"reverting", INSTALL_TESTING, INSTALL_REVERTING, time_over, RECEIPT_ROLLED_BACK, false},
	    {"retesting", INSTALL_REVERTING, INSTALL_RETESTING, box_run_commands, RECEIPT_ROLLED_BACK, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		box_teardown(state);
		box_setup(state);
		assert_int_equal(box_begin(), 0);
		while (box_state() != rows[i].from) {
			if (install_busy(box.in))
				step_once();
			else
				time_over();
		}
		faults_set(FAULT_ONCE, 1, EIO);
		rows[i].event();
		assert_true(faults.hit);
		faults_clear();
		if (box_state() != rows[i].then)
			fail_msg("%s: then %s", rows[i].what, install_state_name(box_state()));
		box.up_in_retest = true;
		box_drive();
		expect_verdict(rows[i].verdict, rows[i].marked ? "journal: " : "");
		assert_true(rows[i].marked || !strstr(box.last.cause, "journal"));
		assert_true(box_memory_is(false));
		box_check_over(rows[i].what, 0);
	}
}

static bool
last_mark_is(enum install_state s)
{
	struct journal *j = NULL;
	struct err e = ERR_NONE;
	bool yes;

	assert_int_equal(journal_load(fixture_dir, &j, &e), 0);
	yes = !journal_damage(j) && journal_last(j)->state == s;
	journal_close(j);
	return yes;
}

/* Whichever call fails between the end of the retest and the reboot: either none is done, or record and mark are. */
static void
no_reboot_without_record_and_mark(void **state)
{
	int refused = 0, n = 0;
	bool hit;

	do {
		box_teardown(state);
		box_setup(state);
		box.reboot_wanted = true;
		assert_int_equal(box_begin(), 0);
		while (box_state() != INSTALL_RETESTING) {
			box_run_commands();
			if (box_state() == INSTALL_TESTING)
				time_over();
		}
		faults_set(FAULT_ONCE, ++n, EIO);
		time_over();
		hit = faults.hit;
		faults_clear();
		if (box.reboots_asked) {
			assert_int_equal(box_state(), INSTALL_REBOOTING);
			assert_true(fixture_contains("reboots.json", "install-1"));
			assert_true(last_mark_is(INSTALL_REBOOTING));
		} else {
			refused++;
			expect_verdict(RECEIPT_ROLLED_BACK, "");
			box_check_over("no reboot", n);
		}
	} while (hit);
	assert_true(refused >= 8);
}

/* A folder in the way of the saved file's temporary one. */
static void
save_that_fails(void **state)
{
	(void)state;
	box.up_in_test = box.up_in_retest = true;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	assert_int_equal(mkdir(fixture_path("sys_config.conf.tmp"), 0700), 0);
	fixture_write("sys_config.conf.tmp/x", "");
	box_drive();
	expect_verdict(RECEIPT_ROLLED_BACK, "save failed: ");
	assert_true(box_memory_is(false));
	box_check_over("save fails", 0);
}

/* The revision cannot be written: committed all the same, and tried again each 30 s. */
static void
revision_is_made_up_for(void **state)
{
	struct revision r;

	(void)state;
	box.up_in_test = true;
	assert_int_equal(box_begin(), 0);
	box_run_commands();
	assert_int_equal(mkdir(fixture_path("revisions/000002.conf.tmp"), 0700), 0);
	box_drive();
	expect_verdict(RECEIPT_COMMITTED, "");
	assert_true(store_unfinished(box.store));
	assert_int_equal(install_deadline(box.in).ms, box.now.ms + INSTALL_CHORES_MS);
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
	assert_int_equal(install_deadline(box.in).ms, box.now.ms + INSTALL_CHORES_MS);
	assert_int_equal(rmdir(fixture_path("revisions/000002.conf.tmp")), 0);
	box.now = install_deadline(box.in);
	install_tick(box.in, box.now);
	assert_int_equal(install_deadline(box.in).ms, MONO_NEVER.ms);
	assert_int_equal(store_revisions(box.store, &r, 1), 1);
	assert_int_equal(r.number, 2);
}

static void
boot_id_has_a_bound(void **state)
{
	char boot[BOOT_ID_MAX + 1];
	struct install_files f = {.state_dir = fixture_dir, .boot_id = boot};
	struct install_ops ops = box_ops();
	struct install *in = NULL;
	struct err e = ERR_NONE;

	(void)state;
	memset(boot, 'b', sizeof(boot));
	boot[BOOT_ID_MAX] = '\0';
	assert_int_equal(install_new(&f, box.store, box.receipts, box.reboots, &ops, &in, &e), -EINVAL);
	assert_null(in);
	install_free(NULL);
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(refused_requests),
	    IN_BOX(second_install_is_busy),
	    IN_BOX(commit),
	    IN_BOX(roll_back),
	    IN_BOX(every_pair),
	    IN_BOX(commands_run_in_slices),
	    IN_BOX(slow_commands_run_one_by_one),
	    IN_BOX(time_is_over_while_applying),
	    IN_BOX(session_that_proves_nothing),
	    IN_BOX(another_manager_configured),
	    IN_BOX(operator_ends_it),
	    IN_BOX(same_install_again),
	    IN_BOX(system_refuses_to_go_back),
	    IN_BOX(dry_run_comes_first),
	    IN_BOX(dry_run_goes_in_slices),
	    IN_BOX(order_that_the_system_does_not_take),
	    IN_BOX(impossible_revert_is_not_tried_for_ever),
	    IN_BOX(system_refuses_the_install),
	    IN_BOX(secrets_are_masked),
	    IN_BOX(empty_scripts),
	    IN_BOX(reboot_is_not_done),
	    IN_BOX(reboot),
	    IN_BOX(reboot_that_does_not_happen),
	    IN_BOX(mark_that_cannot_be_written),
	    IN_BOX(no_reboot_without_record_and_mark),
	    IN_BOX(save_that_fails),
	    IN_BOX(revision_is_made_up_for),
	    IN_BOX(boot_id_has_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
