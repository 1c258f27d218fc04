/* rollback/journal: torn, damaged, full and read-only. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rollback/journal.h"
#include "test/unit/rollback_faults.h"
#include "test/unit/rollback_fixture.h"

static const char set_text[] = "config system interface\nend\n";

static struct journal_head
sample_head(void)
{
	struct journal_head h = {
	    .id = "install-1",
	    .manager = "FMG-VM0000000001",
	    .saved_digest = "00ff",
	    .boot_id = "boot-1",
	    .when_s = 1700000000,
	    .manager_allows_reboot = true,
	    .set = set_text,
	    .set_len = sizeof(set_text) - 1,
	    .unset = "",
	};

	return h;
}

static struct journal_mark
mark(enum install_state s, unsigned starts)
{
	struct journal_mark m = {.state = s, .starts = starts, .retest_ms = INSTALL_RETEST_MS};

	return m;
}

static struct journal *
create(void)
{
	struct journal_head h = sample_head();
	struct journal_mark m = mark(INSTALL_JOURNALED, 0);
	struct journal *j = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(journal_create(fixture_dir, &h, &m, &j, &e), 0);
	return j;
}

static void
append(struct journal *j, enum install_state s)
{
	struct journal_mark m = mark(s, 0);
	struct err e = ERR_NONE;

	assert_int_equal(journal_append(j, &m, &e), 0);
}

static struct journal *
load(void)
{
	struct journal *j = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(journal_load(fixture_dir, &j, &e), 0);
	return j;
}

static enum install_state
state_on_disk(void)
{
	struct journal *j = load();
	enum install_state s = journal_damage(j) ? INSTALL_STATES : journal_last(j)->state;

	journal_close(j);
	return s;
}

static void
none_there(void **state)
{
	struct journal *j = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(journal_load(fixture_dir, &j, &e), -ENOENT);
	assert_null(j);
	assert_int_equal(journal_remove(fixture_dir, &e), 0);
}

static void
everything_survives(void **state)
{
	struct journal *j = create();
	struct journal_mark m = {.state = INSTALL_TESTING,
				 .starts = 2,
				 .deadline_ms = 123456,
				 .left_ms = 899999,
				 .retest_ms = 1000,
				 .applied = true,
				 .dry = true,
				 .dry_commands = 43,
				 .dry_reversible = 41,
				 .restored = 4,
				 .spent_ms = {[INSTALL_APPLYING] = 17},
				 .cause = "a \"cause\""};
	const struct journal_head *h;
	const struct journal_mark *back;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(journal_append(j, &m, &e), 0);
	journal_close(j);
	j = load();
	assert_null(journal_damage(j));
	h = journal_head(j);
	assert_string_equal(h->id, "install-1");
	assert_string_equal(h->manager, "FMG-VM0000000001");
	assert_string_equal(h->saved_digest, "00ff");
	assert_string_equal(h->boot_id, "boot-1");
	assert_int_equal(h->when_s, 1700000000);
	assert_true(h->manager_allows_reboot);
	assert_int_equal(h->set_len, sizeof(set_text) - 1);
	assert_memory_equal(h->set, set_text, h->set_len);
	assert_int_equal(h->unset_len, 0);
	back = journal_last(j);
	assert_int_equal(back->state, INSTALL_TESTING);
	assert_int_equal(back->starts, 2);
	assert_int_equal(back->deadline_ms, 123456);
	assert_int_equal(back->left_ms, 899999);
	assert_int_equal(back->retest_ms, 1000);
	assert_true(back->applied);
	assert_true(back->dry);
	assert_false(back->dry_back);
	assert_int_equal(back->dry_commands, 43);
	assert_int_equal(back->dry_reversible, 41);
	assert_int_equal(back->restored, 4);
	assert_int_equal(back->spent_ms[INSTALL_APPLYING], 17);
	assert_string_equal(back->cause, "a \"cause\"");
	journal_close(j);
}

/* Cut anywhere: the last whole mark counts, or, inside what the install is, the journal is damaged. */
static void
torn_at_every_byte(void **state)
{
	struct journal *j = create();
	size_t len, first = (size_t)fixture_size("install.journal"), second;
	char *text;

	(void)state;
	append(j, INSTALL_APPLYING);
	second = (size_t)fixture_size("install.journal");
	append(j, INSTALL_TESTING);
	journal_close(j);
	text = fixture_read("install.journal", &len);
	for (size_t n = 0; n < len; n++) {
		enum install_state want = n < first    ? INSTALL_STATES
					  : n < second ? INSTALL_JOURNALED
						       : INSTALL_APPLYING;

		fixture_write_bytes("install.journal", text, n);
		if (state_on_disk() != want)
			fail_msg("cut to %zu bytes: state %d, %d expected", n, state_on_disk(), want);
		/* and the next mark goes where the torn one was */
		if (n >= first) {
			j = load();
			append(j, INSTALL_REVERTING);
			journal_close(j);
			assert_int_equal(state_on_disk(), INSTALL_REVERTING);
		}
	}
	free(text);
}

/* A flipped bit in the last mark looks like a torn one; before it, it is damage. */
static void
damaged_at_every_byte(void **state)
{
	struct journal *j = create();
	size_t len, second;
	char *text;

	(void)state;
	append(j, INSTALL_APPLYING);
	second = (size_t)fixture_size("install.journal");
	append(j, INSTALL_TESTING);
	journal_close(j);
	text = fixture_read("install.journal", &len);
	for (size_t n = 0; n < len; n++) {
		enum install_state want = n < second ? INSTALL_STATES : INSTALL_APPLYING;

		text[n] ^= 0x10;
		fixture_write_bytes("install.journal", text, len);
		if (state_on_disk() != want)
			fail_msg("byte %zu: state %d, %d expected", n, state_on_disk(), want);
		text[n] ^= 0x10;
	}
	free(text);
}

static void
damage_keeps_what_is_known(void **state)
{
	struct journal *j = create();
	struct journal_mark m = mark(INSTALL_TESTING, 0);
	struct err e = ERR_NONE;
	size_t len;
	char *text;

	(void)state;
	append(j, INSTALL_APPLYING);
	append(j, INSTALL_TESTING);
	journal_close(j);
	text = fixture_read("install.journal", &len);
	text[strlen("fjr1") + 400] ^= 1;
	fixture_write_bytes("install.journal", text, len);
	free(text);
	j = load();
	assert_non_null(journal_damage(j));
	assert_string_equal(journal_head(j)->id, "install-1");
	assert_int_equal(journal_append(j, &m, &e), -EBADMSG);
	journal_close(j);
	assert_int_equal(journal_set_aside(fixture_dir, &e), 0);
	assert_true(fixture_exists("install.journal.corrupt"));
	assert_false(fixture_exists("install.journal"));
}

/* What a crash leaves behind the last mark on some file systems. */
static void
zeros_behind_the_end_are_torn(void **state)
{
	struct journal *j = create();
	char zeros[4096] = {0};
	FILE *f;

	(void)state;
	append(j, INSTALL_APPLYING);
	journal_close(j);
	f = fopen(fixture_path("install.journal"), "a");
	assert_non_null(f);
	assert_int_equal(fwrite(zeros, sizeof(zeros), 1, f), 1);
	fclose(f);
	assert_int_equal(state_on_disk(), INSTALL_APPLYING);
}

/* Records that are whole but in the wrong place: two journals mixed up. */
static void
order_of_records_is_checked(void **state)
{
	struct journal *j = create();
	long first = fixture_size("install.journal"), second;
	char *text, *mixed;
	size_t len;

	(void)state;
	append(j, INSTALL_APPLYING);
	second = fixture_size("install.journal");
	append(j, INSTALL_TESTING);
	journal_close(j);
	text = fixture_read("install.journal", &len);
	mixed = calloc(1, 2 * len);
	memcpy(mixed, text, (size_t)first);
	memcpy(mixed + first, text + second, len - (size_t)second);
	fixture_write_bytes("install.journal", mixed, (size_t)first + len - (size_t)second);
	assert_int_equal(state_on_disk(), INSTALL_STATES);
	memcpy(mixed, text, len);
	memcpy(mixed + len, text + second, len - (size_t)second);
	fixture_write_bytes("install.journal", mixed, 2 * len - (size_t)second);
	assert_int_equal(state_on_disk(), INSTALL_STATES);
	free(mixed);
	free(text);
}

static void
not_a_file(void **state)
{
	struct journal *j;

	(void)state;
	assert_int_equal(mkdir(fixture_path("install.journal"), 0700), 0);
	j = load();
	assert_non_null(journal_damage(j));
	journal_close(j);
}

static void
create_fails_at_every_call(void **state)
{
	int n = 0;

	(void)state;
	do {
		struct journal_head h = sample_head();
		struct journal_mark m = mark(INSTALL_JOURNALED, 0);
		struct journal *j = NULL;
		struct err e = ERR_NONE;
		int rc;

		faults_set(FAULT_ONCE, ++n, ENOSPC);
		rc = journal_create(fixture_dir, &h, &m, &j, &e);
		faults.kind = FAULT_NONE;
		if (rc) {
			assert_null(j);
			assert_non_null(strstr(e.text, fixture_dir));
			/* whole or not there, never something between */
			if (fixture_exists("install.journal"))
				assert_int_equal(state_on_disk(), INSTALL_JOURNALED);
		}
		journal_close(j);
		assert_int_equal(journal_remove(fixture_dir, &e), 0);
		assert_false(fixture_exists("install.journal"));
	} while (faults.hit);
	assert_true(n > 6);
}

static void
append_fails_at_every_call(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_ONCE, FAULT_TORN};
	int n = 0;

	(void)state;
	do {
		n++;
		for (size_t k = 0; k < 2; k++) {
			struct journal_mark m = mark(INSTALL_APPLYING, 0);
			struct journal *j = create();
			struct err e = ERR_NONE;
			int rc;

			faults_set(kinds[k], n, EIO);
			rc = journal_append(j, &m, &e);
			faults.kind = FAULT_NONE;
			assert_int_equal(rc, faults.hit ? -EIO : 0);
			assert_int_equal(journal_last(j)->state, rc ? INSTALL_JOURNALED : INSTALL_APPLYING);
			append(j, INSTALL_REVERTING);
			journal_close(j);
			assert_int_equal(state_on_disk(), INSTALL_REVERTING);
		}
	} while (faults.hit);
	assert_true(n > 2);
}

static void
no_room_no_install(void **state)
{
	static const struct {
		const char *what;
		int error, rc;
	} rows[] = {
	    {"full", ENOSPC, -ENOSPC},
	    {"file system without the call", EOPNOTSUPP, 0},
	    {"kernel without the call", ENOSYS, 0},
	};
	struct journal_head h = sample_head();
	struct journal_mark m = mark(INSTALL_JOURNALED, 0);
	struct err e = ERR_NONE;
	int n = 0;

	(void)state;
	/* which call it is: the one whose ENOSYS is no failure */
	for (;;) {
		struct journal *j = NULL;
		int rc;

		faults_set(FAULT_ONCE, ++n, ENOSYS);
		rc = journal_create(fixture_dir, &h, &m, &j, &e);
		journal_close(j);
		if (!rc)
			break;
	}
	assert_true(faults.hit);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal *j = NULL;

		faults_clear();
		assert_int_equal(journal_remove(fixture_dir, &e), 0);
		faults_set(FAULT_ONCE, n, rows[i].error);
		if (journal_create(fixture_dir, &h, &m, &j, &e) != rows[i].rc)
			fail_msg("%s", rows[i].what);
		journal_close(j);
	}
	faults_clear();
}

static void
only_the_owner_reads_it(void **state)
{
	struct stat st;

	(void)state;
	journal_close(create());
	assert_int_equal(stat(fixture_path("install.journal"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* room for later marks is there already */
	assert_true(st.st_blocks * 512 >= st.st_size + JOURNAL_ROOM / 2);
}

/* What could not be read once is no damage. */
static void
read_again(void **state)
{
	static const struct {
		const char *what;
		int error;
	} cases[] = {
	    {"an error of the disk, once", EIO},
	    {"no descriptor left, for a moment", EMFILE},
	};

	(void)state;
	journal_close(create());
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct journal *j;

		faults_set(FAULT_ONCE, 1, cases[i].error);
		j = load();
		if (!faults.hit || journal_damage(j))
			fail_msg("%s", cases[i].what);
		faults_clear();
		journal_close(j);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(none_there, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(everything_survives, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(torn_at_every_byte, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(damaged_at_every_byte, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(damage_keeps_what_is_known, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(zeros_behind_the_end_are_torn, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(order_of_records_is_checked, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(not_a_file, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(create_fails_at_every_call, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(append_fails_at_every_call, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(read_again, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(no_room_no_install, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(only_the_owner_reads_it, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
