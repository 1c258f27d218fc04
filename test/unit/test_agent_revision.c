/* agent/revision: an earlier configuration comes back as an install. */
#include "agent/revision.h"

#include "base/buf.h"
#include "test/unit/agent_box.h"

static const char named[] =
    "config system central-management\n    set type fortimanager\n    set fmg \"192.0.2.1\"\nend\n";

static const char first[] = "config system global\n    set hostname \"one\"\nend\n"
			    "config box secret\n    set password \"topsecret\"\nend\n";

static const char second[] = "config system global\n    set hostname \"two\"\nend\n"
			     "config system interface\n    edit \"wan1\"\n        set alias \"added\"\n    next\nend\n"
			     "config router static\n    edit 7\n        set device \"wan1\"\n    next\nend\n";

static int
teardown(void **state)
{
	box_close();
	return fixture_teardown(state);
}

/* Revision 1 is `first` (and `more`), revision 2 what runs: `second`. */
static void
open_two(const char *more)
{
	struct err e = ERR_NONE;
	char text[1024];

	snprintf(text, sizeof(text), "%s%s", first, more);
	box_open(text, NULL);
	assert_int_equal(store_keep(box.store, "at first", 1, &e), 0);
	if (device_replace(box.device, "second", second, sizeof(second) - 1, "uid 0", &e))
		fail_msg("%s", e.text);
}

static int
restore(unsigned number, struct revision_begun *begun, struct err *e)
{
	const struct revision_parts p = {.device = box.device, .store = box.store, .install = box.install};

	return revision_restore(&p, number, box.now, NULL, NULL, begun, e);
}

static void
confirmed(void **state)
{
	struct revision_begun begun = {.id = ""};
	const struct receipt *r;
	struct revision newest;
	struct err e = ERR_NONE;

	(void)state;
	open_two("");
	assert_int_equal(restore(1, &begun, &e), 0);
	assert_int_equal(strncmp(begun.id, "revision-1-", 11), 0);
	assert_true(begun.awaits_operator);
	assert_string_equal(box_get("system global", "", "hostname"), "two");
	box_step();
	assert_int_equal(box_state(), INSTALL_TESTING);
	assert_string_equal(box.wanted, "any");
	assert_string_equal(box_get("system global", "", "hostname"), "one");
	assert_string_equal(box_get("box secret", "", "password"), "topsecret");
	assert_true(fixture_contains("sys_config.conf", "two"));
	assert_int_equal(install_confirm(box.install, box.now, &e), 0);
	assert_true(fixture_contains("sys_config.conf", "one"));
	assert_false(fixture_contains("sys_config.conf", "added"));
	assert_int_equal(store_revisions(box.store, &newest, 1), 1);
	assert_int_equal(newest.number, 3);
	assert_non_null(strstr(newest.who, begun.id));
	r = receipts_find(box.receipts, begun.id);
	assert_int_equal(r->verdict, RECEIPT_COMMITTED);
	/* the way back is the whole inverse */
	assert_true(r->dry.back);
	assert_int_equal(r->dry.commands, r->dry.reversible);
	assert_int_equal(r->counts[0].times, r->dry.commands);
	assert_false(fixture_contains("receipts.jsonl", "topsecret"));
}

static void
rolled_back(void **state)
{
	struct revision_begun begun;
	const struct receipt *r;
	struct err e = ERR_NONE;

	(void)state;
	open_two("");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(restore(1, &begun, &e), 0);
		box_step();
		box.now = install_deadline(box.install);
		install_tick(box.install, box.now);
		box_step();
		assert_int_equal(box_state(), INSTALL_IDLE);
		r = receipts_at(box.receipts, receipts_count(box.receipts) - 1);
		assert_int_equal(r->verdict, RECEIPT_ROLLED_BACK);
		assert_int_equal(r->restored, 0);
		assert_string_equal(box_get("system global", "", "hostname"), "two");
		assert_string_equal(box_get("system interface", "wan1", "alias"), "added");
		assert_true(fixture_contains("sys_config.conf", "two"));
	}
}

static void
who_proves_it(void **state)
{
	struct revision_begun begun;
	struct err e = ERR_NONE;

	(void)state;
	open_two(named);
	assert_int_equal(restore(1, &begun, &e), 0);
	assert_false(begun.awaits_operator);
}

static void
refused(void **state)
{
	static const struct {
		const char *what;
		unsigned number;
		bool pending;
		int rc;
		const char *reason;
	} rows[] = {
	    {"no such one", 9, false, -ENOENT, "there is no revision 9: `execute revision list`"},
	    {"what runs", 2, false, -EALREADY, "revision 2 is what runs already"},
	    {"an install is pending", 1, true, -EBUSY, "install revision-1-"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct revision_begun begun = {.id = "untouched"};
		struct err e = ERR_NONE;
		int rc;

		teardown(state);
		assert_int_equal(fixture_setup(state), 0);
		open_two("");
		if (rows[i].pending)
			assert_int_equal(restore(1, &(struct revision_begun){.id = ""}, &e), 0);
		rc = restore(rows[i].number, &begun, &e);
		if (rc != rows[i].rc || !strstr(e.text, rows[i].reason))
			fail_msg("%s: %d '%s'", rows[i].what, rc, e.text);
		assert_string_equal(begun.id, "untouched");
		assert_int_equal(fixture_exists("install.journal"), rows[i].pending);
	}
}

/* Larger than any install: refused whole. */
static void
difference_too_large(void **state)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);
	struct revision_begun begun;
	struct err e = ERR_NONE;
	char alias[256];

	(void)state;
	box_open(first, NULL);
	assert_int_equal(store_keep(box.store, "at first", 1, &e), 0);
	memset(alias, 'a', sizeof(alias) - 1);
	alias[sizeof(alias) - 1] = '\0';
	buf_str(&b, "config system interface\n");
	for (int i = 0; i < 40000; i++)
		buf_printf(&b, "edit \"x%d\"\nset alias \"%.24s\"\nset description \"%.200s\"\nnext\n", i, alias,
			   alias);
	buf_str(&b, "end\n");
	buf_put(&b, "", 1);
	box_close();
	box_open((const char *)buf_head(&b), NULL);
	buf_free(&b);
	assert_int_equal(restore(1, &begun, &e), -EFBIG);
	assert_non_null(strstr(e.text, "larger than the 8388608 bytes"));
	assert_false(fixture_exists("install.journal"));
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, fixture_setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(confirmed), IN_BOX(rolled_back),          IN_BOX(who_proves_it),
	    IN_BOX(refused),   IN_BOX(difference_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
