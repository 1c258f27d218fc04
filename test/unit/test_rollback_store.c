/* rollback/store: at every instant a complete old or a complete new configuration. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "config/codes.h"
#include "config/schema.h"
#include "config/tree.h"
#include "rollback/store.h"
#include "test/unit/rollback_faults.h"
#include "test/unit/rollback_fixture.h"

static struct schema *schema;

static struct store *
open_store(void)
{
	struct store *st = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(store_open(fixture_dir, schema, &st, &e), 0);
	return st;
}

/* A configuration that is known by one value. */
static struct tree *
config(const char *alias)
{
	struct tree *t = tree_new(schema);
	struct err e = ERR_NONE;

	assert_non_null(t);
	if (*alias)
		assert_int_equal(tree_set(t, "system interface", "wan1", "alias", &alias, 1, &e), CLI_OK);
	return t;
}

static bool
is_config(const struct tree *t, const char *alias)
{
	struct tree *should = config(alias);
	bool same = tree_equal(t, should);

	tree_free(should);
	return same;
}

static void
save(struct store *st, const char *alias)
{
	struct tree *t = config(alias);
	struct err e = ERR_NONE;
	bool renamed = false;

	assert_int_equal(store_save(st, t, alias, 1700000000, &renamed, &e), 0);
	assert_true(renamed);
	tree_free(t);
}

static char complaints[1000];

static void
complain(void *ctx, const char *line)
{
	(void)ctx;
	snprintf(complaints + strlen(complaints), sizeof(complaints) - strlen(complaints), "%s\n", line);
}

/* Loads with a fresh store; what came must be `alias`. Returns the store. */
static struct store *
load(const char *alias, enum store_source want, struct err *e)
{
	struct store *st = open_store();
	enum store_source source = STORE_EMPTY;
	struct tree *t = NULL;

	complaints[0] = '\0';
	assert_int_equal(store_load(st, &t, &source, complain, NULL, e), 0);
	assert_int_equal(source, want);
	if (!is_config(t, alias))
		fail_msg("not the configuration '%s'", alias);
	tree_free(t);
	return st;
}

static void
damaged_file(void **state)
{
	static const struct {
		const char *what, *text;
		size_t len;
	} rows[] = {
	    {"no bytes", "", 0},
	    {"zeros", "\0\0\0\0\0\0\0\0", 8},
	    {"cut inside a block", "config system interface\n    edit \"wan1\"\n", 39},
	    {"cut inside quotes", "config system interface\n    edit \"wa", 35},
	    {"no configuration",
	     "\x7f"
	     "ELF",
	     4},
	    {"an end too many", "end\n", 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store *st = open_store();
		struct err e = ERR_NONE;
		char digest[SHA256_TEXT];

		save(st, "old");
		save(st, rows[i].what);
		memcpy(digest, store_digest(st), sizeof(digest));
		store_free(st);
		fixture_write_bytes("sys_config.conf", rows[i].text, rows[i].len);
		st = load(rows[i].what, STORE_REVISION, &e);
		assert_string_equal(store_digest(st), digest);
		assert_non_null(strstr(e.text, "sys_config.conf"));
		assert_non_null(strstr(e.text, "takes its place"));
		store_free(st);
		if (rows[i].len && !fixture_exists("sys_config.conf.corrupt"))
			fail_msg("%s: not kept aside", rows[i].what);
		/* on disk too: the next start finds nothing wrong */
		e = (struct err)ERR_NONE;
		store_free(load(rows[i].what, STORE_SAVED, &e));
		assert_string_equal(e.text, "");
	}
}

static void
damaged_revision_too(void **state)
{
	struct store *st = open_store();
	struct tree *t = NULL;
	struct err e = ERR_NONE;
	char *text;
	size_t len = 0;

	(void)state;
	save(st, "one");
	save(st, "two");
	text = fixture_read("revisions/000002.conf", &len);
	*strstr(strstr(text, "alias"), "two") = 'T';
	fixture_write_bytes("revisions/000002.conf", text, len);
	fixture_write("revisions/000003.conf", "# when=1 digest=zz who=\n");
	fixture_write("revisions/000004.conf", "");
	fixture_write("revisions/README", "");
	fixture_write("revisions/5.conf", "");
	free(text);
	assert_int_equal(store_revision_load(st, 2, &t, NULL, NULL, &e), -EBADMSG);
	assert_int_equal(store_revision_load(st, 3, &t, NULL, NULL, &e), -EBADMSG);
	assert_int_equal(store_revision_load(st, 4, &t, NULL, NULL, &e), -EBADMSG);
	assert_int_equal(store_revision_load(st, 7, &t, NULL, NULL, &e), -ENOENT);
	assert_null(t);
	store_free(st);
	fixture_write("sys_config.conf", "config");
	store_free(load("one", STORE_REVISION, &e));
}

static void
damaged_without_revisions(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	fixture_write("sys_config.conf", "config system interface\n");
	store_free(load("", STORE_EMPTY, &e));
	assert_non_null(strstr(e.text, "sys_config.conf:"));
	assert_true(fixture_exists("sys_config.conf.corrupt"));
	assert_false(fixture_exists("sys_config.conf"));
}

static void
lost_file_comes_back(void **state)
{
	struct store *st = open_store();
	struct err e = ERR_NONE;

	(void)state;
	save(st, "one");
	store_free(st);
	assert_int_equal(unlink(fixture_path("sys_config.conf")), 0);
	store_free(load("one", STORE_REVISION, &e));
	assert_non_null(strstr(e.text, "No such file"));
	store_free(load("one", STORE_SAVED, &e));
}

static void
first_start_is_empty(void **state)
{
	static const char of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	struct err e = ERR_NONE;
	struct store *st = load("", STORE_EMPTY, &e);
	struct revision r;

	(void)state;
	assert_string_equal(e.text, "");
	assert_string_equal(store_digest(st), of_nothing);
	assert_int_equal(store_revisions(st, &r, 1), 0);
	assert_int_equal(store_check(st, &e), -ENOENT);
	assert_int_equal(store_keep(st, "x", 0, &e), 0);
	store_free(st);
}

/* An empty configuration, once saved, is not an empty file. */
static void
saved_empty_is_no_lost_one(void **state)
{
	struct store *st = open_store();
	struct err e = ERR_NONE;

	(void)state;
	save(st, "one");
	save(st, "");
	store_free(st);
	store_free(load("", STORE_SAVED, &e));
}

static void
bad_lines_are_left_out(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	fixture_write("sys_config.conf", "config system interface\n"
					 "    edit \"wan1\"\n"
					 "        set alias \"x\"\n"
					 "        set from-a-later-version 1\n"
					 "    next\n"
					 "end\n");
	store_free(load("x", STORE_SAVED, &e));
	assert_non_null(strstr(complaints, "sys_config.conf:4:9: "));
}

static void
only_the_owner_reads_it(void **state)
{
	static const char *const names[] = {"sys_config.conf", "revisions/000001.conf"};
	struct store *st = open_store();
	struct stat file;

	(void)state;
	save(st, "one");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(stat(fixture_path(names[i]), &file), 0);
		assert_int_equal(file.st_mode & 0777, 0600);
	}
	assert_int_equal(stat(fixture_path("revisions"), &file), 0);
	assert_int_equal(file.st_mode & 0777, 0700);
	store_free(st);
}

static void
last_ten_revisions(void **state)
{
	struct store *st = open_store();
	struct revision r[STORE_REVISIONS + 2];
	struct tree *t = NULL;
	struct err e = ERR_NONE;
	char name[16];

	(void)state;
	for (int i = 1; i <= STORE_REVISIONS + 3; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		save(st, name);
	}
	assert_int_equal(store_revisions(st, r, STORE_REVISIONS + 2), STORE_REVISIONS);
	assert_int_equal(r[0].number, STORE_REVISIONS + 3);
	assert_string_equal(r[0].who, "n13");
	assert_int_equal(r[0].when_s, 1700000000);
	assert_string_equal(r[0].digest, store_digest(st));
	assert_int_equal(r[STORE_REVISIONS - 1].number, 4);
	assert_int_equal(store_revisions(st, r, 2), 2);
	assert_int_equal(store_revision_load(st, 4, &t, NULL, NULL, &e), 0);
	assert_true(is_config(t, "n4"));
	tree_free(t);
	store_free(st);
}

static void
on_complaint(void *ctx, const char *line)
{
	(void)buf_printf(ctx, "%s\n", line);
}

/* An attribute that no schema knows any more: named and left out, the rest is there. */
static void
revision_of_another_schema(void **state)
{
	static const char text[] = "config system interface\n    edit \"wan1\"\n        set flurb 1\n        set alias "
				   "\"kept\"\n    next\nend\n";
	char digest[SHA256_TEXT], file[512];
	struct store *st = open_store();
	struct buf said = BUF_INIT(4096);
	struct tree *t = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(crypto_sha256_text(text, sizeof(text) - 1, digest), 0);
	snprintf(file, sizeof(file), "# when=1 digest=%s who=long ago\n%s", digest, text);
	fixture_write("revisions/000001.conf", file);
	assert_int_equal(store_revision_load(st, 1, &t, on_complaint, &said, &e), 0);
	assert_true(is_config(t, "kept"));
	buf_put(&said, "", 1);
	assert_non_null(strstr((const char *)buf_head(&said), "000001.conf:3:"));
	assert_non_null(strstr((const char *)buf_head(&said), "flurb"));
	assert_null(memchr(buf_head(&said), '\n', said.len - 2));
	buf_free(&said);
	tree_free(t);
	store_free(st);
}

static void
who_is_one_line(void **state)
{
	struct store *st = open_store();
	struct tree *t = config("x");
	struct revision r;
	struct err e = ERR_NONE;
	bool renamed;
	char who[400];

	(void)state;
	memset(who, 'w', sizeof(who));
	memcpy(who, "a\nconfig x", 10);
	who[sizeof(who) - 1] = '\0';
	assert_int_equal(store_save(st, t, who, 5, &renamed, &e), 0);
	assert_int_equal(store_revisions(st, &r, 1), 1);
	assert_memory_equal(r.who, "a\\nconfig x", 11);
	tree_free(t);
	store_free(st);
}

static void
keep_makes_up_for_a_missing_revision(void **state)
{
	struct store *st = open_store();
	struct revision r[3];
	struct err e = ERR_NONE;

	(void)state;
	save(st, "one");
	assert_int_equal(store_keep(st, "again", 6, &e), 0);
	assert_int_equal(store_revisions(st, r, 3), 1);
	fixture_write("sys_config.conf", "# by hand\n");
	assert_int_equal(store_keep(st, "found", 7, &e), 0);
	assert_int_equal(store_revisions(st, r, 3), 2);
	assert_string_equal(r[0].who, "found");
	store_free(st);
}

/* Every call fails once: what is on disk is old or new, as *renamed says, and store_finish() does the rest. */
static void
save_fails_at_every_call(void **state)
{
	int n = 0, after_rename = 0;

	(void)state;
	do {
		struct store *st = open_store();
		struct tree *t = config("new");
		struct revision r[3];
		struct err e = ERR_NONE;
		bool renamed = false;
		int rc;

		save(st, "old");
		faults_set(FAULT_ONCE, ++n, ENOSPC);
		rc = store_save(st, t, "new", 2, &renamed, &e);
		faults.kind = FAULT_NONE;
		store_free(load(renamed ? "new" : "old", STORE_SAVED, &e));
		if (!rc)
			assert_true(renamed);
		if (rc && renamed) {
			after_rename++;
			assert_true(store_unfinished(st));
			assert_string_not_equal(e.text, "");
		}
		assert_int_equal(store_finish(st, &e), 0);
		assert_false(store_unfinished(st));
		assert_int_equal(store_revisions(st, r, 3), renamed ? 2 : 1);
		assert_string_equal(r[0].digest, store_digest(st));
		tree_free(t);
		store_free(st);
		fixture_empty();
	} while (faults.hit);
	faults_clear();
	assert_true(n > 10);
	assert_true(after_rename > 4);
}

static void
full_disk_from_every_call_on(void **state)
{
	int n = 0;

	(void)state;
	do {
		struct store *st = open_store();
		struct tree *t = config("new");
		struct err e = ERR_NONE;
		bool renamed = false;

		save(st, "old");
		faults_set(FAULT_ALL, ++n, EROFS);
		store_save(st, t, "new", 2, &renamed, &e);
		store_free(st);
		st = load(renamed ? "new" : "old", STORE_SAVED, &e);
		faults.kind = FAULT_NONE;
		tree_free(t);
		store_free(st);
		fixture_empty();
	} while (faults.hit);
	faults_clear();
}

static void
dies_at_every_call(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_DIE, FAULT_DIE_TORN};
	int status = 0, n = 0;

	(void)state;
	do {
		n++;
		for (size_t k = 0; k < 2; k++) {
			struct store *st = open_store();
			enum store_source source;
			struct tree *t = NULL;
			struct err e = ERR_NONE;
			pid_t pid;

			save(st, "old");
			pid = fork();
			if (!pid) {
				bool renamed;

				t = config("new");
				faults_set(kinds[k], n, EIO);
				store_save(st, t, "new", 2, &renamed, &e);
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			store_free(st);
			st = open_store();
			assert_int_equal(store_load(st, &t, &source, NULL, NULL, &e), 0);
			assert_int_equal(source, STORE_SAVED);
			assert_true(is_config(t, "old") || is_config(t, "new"));
			tree_free(t);
			/* nothing that was left behind is in the way of the next save */
			save(st, "next");
			store_free(st);
			store_free(load("next", STORE_SAVED, &e));
			fixture_empty();
		}
	} while (WEXITSTATUS(status) == FAULT_EXIT);
	assert_true(n > 10);
}

static void
fallback_fails_at_every_call(void **state)
{
	int n = 0;

	(void)state;
	do {
		struct store *st = open_store();
		enum store_source source = STORE_EMPTY;
		struct tree *t = NULL;
		struct err e = ERR_NONE;

		save(st, "one");
		store_free(st);
		fixture_write("sys_config.conf", "config");
		st = open_store();
		faults_set(FAULT_ONCE, ++n, EIO);
		assert_int_equal(store_load(st, &t, &source, NULL, NULL, &e), 0);
		faults.kind = FAULT_NONE;
		tree_free(t);
		store_free(st);
		/* whatever failed, the next start comes to the configuration */
		st = open_store();
		assert_int_equal(store_load(st, &t, &source, NULL, NULL, &e), 0);
		if (!is_config(t, "one"))
			fail_msg("lost after a failure of call %d", n);
		tree_free(t);
		store_free(st);
		fixture_empty();
	} while (faults.hit);
	faults_clear();
	assert_true(n > 8);
}

static void
check_says_whether_it_could_be_loaded(void **state)
{
	struct store *st = open_store();
	struct err e = ERR_NONE;

	(void)state;
	save(st, "one");
	assert_int_equal(store_check(st, &e), 0);
	fixture_write("sys_config.conf", "config");
	assert_int_equal(store_check(st, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "sys_config.conf:1:"));
	store_free(st);
}

static int
make_schema(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	schema = schema_new();
	return schema ? schema_add_builtin(schema, &e) : -1;
}

static int
drop_schema(void **state)
{
	(void)state;
	schema_free(schema);
	return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(damaged_file),
	    IN_FOLDER(damaged_revision_too),
	    IN_FOLDER(damaged_without_revisions),
	    IN_FOLDER(lost_file_comes_back),
	    IN_FOLDER(first_start_is_empty),
	    IN_FOLDER(saved_empty_is_no_lost_one),
	    IN_FOLDER(bad_lines_are_left_out),
	    IN_FOLDER(only_the_owner_reads_it),
	    IN_FOLDER(last_ten_revisions),
	    IN_FOLDER(revision_of_another_schema),
	    IN_FOLDER(who_is_one_line),
	    IN_FOLDER(keep_makes_up_for_a_missing_revision),
	    IN_FOLDER(save_fails_at_every_call),
	    IN_FOLDER(full_disk_from_every_call_on),
	    IN_FOLDER(dies_at_every_call),
	    IN_FOLDER(fallback_fails_at_every_call),
	    IN_FOLDER(check_says_whether_it_could_be_loaded),
	};

	return cmocka_run_group_tests(tests, make_schema, drop_schema);
}
