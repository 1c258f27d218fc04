/* package/pkg_store, pkg_place, pkg_dir: whatever fails or dies in the middle of an update, what is current is the
 * whole old or the whole new version, with one before it.
 */
// wrap: open write fsync rename unlink link fallocate log_event
// wrap: openat pwrite copy_file_range renameat linkat symlinkat unlinkat mkdirat
#include "package/pkg_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "package/pkg_check.h"
#include "package/pkg_dir.h"
#include "test/unit/package_box.h"
#include "test/unit/package_faults.h"

/* --- updates that go wrong ------------------------------------------------------------------------------------------
 */

static const struct story {
	const char *what;
	const char *before[2]; /* installed one after the other; NULL: not */
	const char *offered;
	int reload_rc;
	const char *after; /* when nothing goes wrong */
} stories[] = {
    {"a newer one", {"19.00004", "19.00005"}, "19.00006", 0, "19.00006"},
    {"the first", {NULL, NULL}, "19.00006", 0, "19.00006"},
    {"the second", {"19.00005", NULL}, "19.00006", 0, "19.00006"},
    {"the same again", {"19.00004", "19.00005"}, "19.00005", 0, "19.00005"},
    {"the one before again", {"19.00004", "19.00005"}, "19.00004", 0, "19.00004"},
    {"one that cannot be loaded", {"19.00004", "19.00005"}, "19.00006", -EIO, "19.00005"},
};

/* The n-th call of the update itself fails; 0: none does. */
static int
offer_faulty(const char *version, int reload_rc, enum fault_kind kind, int n, int error, struct pkg_result *r)
{
	struct box_object o = {.name = "idsdb", .version = version};
	struct box_script s = {.yes_older = true, .reload_rc = reload_rc};
	struct pkg_job_params p = box_params(UPDATE_MANUAL, LEVEL_0);
	int fd = box_package(&o, 1), rc;

	memset(&durable, 0, sizeof(durable));
	faults_set(kind, n, error);
	rc = box_update(&p, fd, &s, r, NULL);
	faults.kind = FAULT_NONE;
	return rc;
}

static int
offer(const char *version, int reload_rc, struct pkg_result *r)
{
	return offer_faulty(version, reload_rc, FAULT_NONE, 0, 0, r);
}

static void
prepare(const struct story *s)
{
	struct pkg_result r = {0};

	assert_int_equal(box_open(), 0);
	for (int i = 0; i < 2 && s->before[i]; i++) {
		assert_int_equal(offer(s->before[i], 0, &r), 0);
		assert_int_equal(r.code, 0);
	}
	box_hush();
}

static const char *
version_before(const struct story *s)
{
	return s->before[1] ? s->before[1] : s->before[0] ? s->before[0] : "none";
}

/* Object and payload of what is current agree, and it is what it says. */
static void
assert_whole(const struct story *s, int n)
{
	struct anchor_check check = fixture_check();
	struct pkg_check *c = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(pkg_check_new(box.store, &check, NULL, &c, &e), 0);
	while (pkg_check_step(c))
		;
	for (size_t i = 0; i < pkg_check_count(c); i++) {
		if (pkg_check_at(c, i)->signature != SIGNATURE_NONE)
			fail_msg("%s, call %d: %s", s->what, n, pkg_check_at(c, i)->why.text);
	}
	pkg_check_free(c);
}

/* After a new start: current is one or the other, with its link and at most one version beside it, nothing else. */
static void
assert_in_order(const struct story *s, int n, const char *one, const char *other)
{
	size_t before = !!s->before[0] + !!s->before[1], kept = box_count("NIDS/24");
	const char *v;

	box_hush();
	assert_int_equal(box_reopen(), 0);
	v = box_version("idsdb");
	if (strcmp(v, one) && strcmp(v, other))
		fail_msg("%s, call %d: %s is current, %s or %s expected", s->what, n, v, one, other);
	if (box.events.len)
		fail_msg("%s, call %d: %s", s->what, n, box_text(&box.events));
	assert_whole(s, n);
	assert_int_equal(box_count(".staging"), 0);
	kept = box_count("NIDS/24");
	/* the link, what it names, and one before if there was one */
	if (kept != (before ? (before > 1 || !strcmp(v, s->offered) ? 3 : 2) : !strcmp(v, "none") ? 0 : 2))
		fail_msg("%s, call %d: %zu files beside %s", s->what, n, kept, v);
}

/* Each call in turn fails: the update says that it has, and all is as before; or it has not mattered. */
static void
fail_at_each_call(const struct story *s, enum fault_kind kind, int error)
{
	bool hit = true;

	for (int n = 1; hit; n++) {
		struct pkg_result r = {.code = 1};
		int rc;

		prepare(s);
		rc = offer_faulty(s->offered, s->reload_rc, kind, n, error, &r);
		hit = faults.hit;
		assert_true(rc == 0 || rc == -error);
		assert_string_equal(box_version("idsdb"), rc || r.code ? version_before(s) : s->after);
		assert_in_order(s, n, box_version("idsdb"), "");
	}
}

static void
test_a_call_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		fail_at_each_call(&stories[i], FAULT_ONCE, ENOSPC);
	fail_at_each_call(&stories[0], FAULT_TORN, EIO);
}

/* A disk that takes nothing any more, from each call on. What cannot be taken back stays, whole. */
static void
test_the_disk_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		bool hit = true;

		for (int n = 1; hit; n++) {
			struct pkg_result r = {.code = 1};

			prepare(&stories[i]);
			(void)offer_faulty(stories[i].offered, stories[i].reload_rc, FAULT_ALL, n, EROFS, &r);
			hit = faults.hit;
			assert_in_order(&stories[i], n, version_before(&stories[i]), stories[i].offered);
		}
	}
}

/* Dies before each call in turn, or in the middle of a write. */
static void
die_at_each_call(const struct story *s, enum fault_kind kind)
{
	int status = 0;

	for (int n = 1; n == 1 || WEXITSTATUS(status) == FAULT_EXIT; n++) {
		pid_t pid;

		prepare(s);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct pkg_result r;

			_exit(offer_faulty(s->offered, s->reload_rc, kind, n, EIO, &r) ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_EXIT));
		assert_in_order(s, n, version_before(s), s->offered);
	}
}

static void
test_killed_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		die_at_each_call(&stories[i], FAULT_DIE);
	die_at_each_call(&stories[0], FAULT_DIE_TORN);
}

/* Power may go at any time: a version that becomes current is on disk, its folder and its name, too. */
static void
test_on_disk_before_it_is_current(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct pkg_result r = {0};

		prepare(&stories[i]);
		assert_int_equal(offer(stories[i].offered, 0, &r), 0);
		assert_int_equal(durable.swaps, 1);
		assert_int_equal(durable.early, 0);
	}
}

/* --- what is found on disk ------------------------------------------------------------------------------------------
 */

static void
shell(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", box.folder, words);
	assert_int_equal(system(command), 0);
}

/* Nothing in the folder leads out of it. */
static void
test_links_are_not_followed(void **state)
{
	static const char *const links[] = {
	    "rm -r .staging && ln -s ../outside .staging",
	    "ln -s ../../outside .staging/new",
	    "ln -s ../../outside/file .staging/object.x",
	    "rm -rf NIDS/24 && ln -s ../../outside NIDS/24",
	    "rm -rf NIDS && ln -s ../outside NIDS",
	    "ln -sfn ../../../outside NIDS/24/current",
	    "rm -r NIDS/24/19.00005 && ln -s ../../../outside NIDS/24/19.00005",
	};
	struct pkg_result r = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		prepare(&stories[0]);
		shell("mkdir -p ../outside && echo kept > ../outside/file");
		shell(links[i]);
		assert_int_equal(box_reopen(), 0);
		(void)offer("19.00006", 0, &r);
		shell("test \"$(ls -A ../outside)\" = file && grep -q kept ../outside/file");
		assert_int_equal(box_reopen(), 0);
		assert_string_equal(box_version("idsdb"), "19.00006");
		assert_int_equal(box_count(".staging"), 0);
	}
}

static const struct {
	const char *what, *words, *reason;
} damages[] = {
    {"no object", "rm NIDS/24/19.00005/object", "object"},
    {"no payload", "rm NIDS/24/19.00005/payload", "payload"},
    {"a folder in place of the payload", "rm NIDS/24/19.00005/payload && mkdir NIDS/24/19.00005/payload", "payload"},
    {"another version's object", "cp NIDS/24/19.00004/object NIDS/24/19.00005/object", "version 19.00005"},
    {"an object of nothing", ": > NIDS/24/19.00005/object", "header"},
    {"an unsigned one that says it is signed", "mv NIDS/24/19.00005/object NIDS/24/19.00005/object.x", "a signature"},
    {"a link to nowhere", "ln -sfn 19.00009 NIDS/24/current", "19.00009"},
    {"a file in place of the link", "rm NIDS/24/current && echo > NIDS/24/current", "a link"},
};

/* It is said, counts as none, and the version before is kept until somebody looks at it. */
static void
test_damage_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		prepare(&stories[0]);
		shell(damages[i].words);
		assert_int_equal(box_reopen(), 0);
		if (strcmp(box_version("idsdb"), "none") || !box_event("0100053430") || !box_event(damages[i].reason))
			fail_msg("%s: %s: %s", damages[i].what, box_version("idsdb"), box_text(&box.events));
		shell("test -e NIDS/24/19.00004/object");
	}
}

static void
test_reread(void **state)
{
	const struct object_type *kind = types_called("idsdb");
	struct pkg_store *mine, *other = NULL;
	struct anchor_check check = fixture_check();
	struct pkg_check *c = NULL;
	struct pkg_result r;
	struct err e = ERR_NONE;

	(void)state;
	prepare(&stories[0]);
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	assert_int_equal(pkg_store_current(other, kind)->health, PKG_UNCHECKED);
	assert_int_equal(pkg_check_new(other, &check, kind, &c, &e), 0);
	while (pkg_check_step(c))
		;
	pkg_check_free(c);
	assert_int_equal(pkg_store_current(other, kind)->health, PKG_GOOD);
	assert_int_equal(pkg_store_reread(other, &e), 0);
	assert_int_equal(pkg_store_current(other, kind)->health, PKG_GOOD);
	assert_int_equal(offer("19.00006", 0, &r), 0);
	assert_int_equal(pkg_store_current(other, kind)->version.minor, 5);
	assert_int_equal(pkg_store_reread(other, &e), 0);
	assert_int_equal(pkg_store_current(other, kind)->version.minor, 6);
	assert_int_equal(pkg_store_current(other, kind)->health, PKG_UNCHECKED);
	/* and what was put there just now is good for who put it */
	mine = box.store;
	assert_int_equal(pkg_store_current(mine, kind)->health, PKG_GOOD);
	pkg_store_free(other);
}

/* Somebody else is at work: staging is his. */
static void
test_opened_beside_a_job(void **state)
{
	struct box_object o = {.name = "idsdb", .version = "19.00006"};
	struct pkg_job_params p;
	struct pkg_store *other = NULL;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;

	(void)state;
	prepare(&stories[0]);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &job, &e), 0);
	shell("mkdir -p .staging/new");
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	assert_int_equal(box_count(".staging"), 1);
	pkg_store_free(other);
	pkg_job_free(job);
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	assert_int_equal(box_count(".staging"), 0);
	pkg_store_free(other);
}

static void
test_no_folder(void **state)
{
	struct pkg_store *s = NULL;
	struct err e = ERR_NONE;

	(void)state;
	prepare(&stories[0]);
	shell("echo > ../file");
	assert_int_equal(pkg_store_open(fixture_path("file"), &s, &e), -ENOTDIR);
	assert_null(s);
	pkg_store_free(NULL);
}

static int
start(void **state)
{
	(void)state;
	return fixture_start() || fixture_mkpkg("-o %s/signed.pkg");
}

static int
stop(void **state)
{
	box_close();
	return fixture_stop(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_call_fails),
	    cmocka_unit_test(test_the_disk_is_gone),
	    cmocka_unit_test(test_killed_anywhere),
	    cmocka_unit_test(test_on_disk_before_it_is_current),
	    cmocka_unit_test(test_links_are_not_followed),
	    cmocka_unit_test(test_damage_is_found),
	    cmocka_unit_test(test_reread),
	    cmocka_unit_test(test_opened_beside_a_job),
	    cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
