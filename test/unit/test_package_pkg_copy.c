/* package/pkg_copy: what goes out comes in again on another unit, verified there; what was forged meanwhile does not.
 */
// wrap: log_event
#include "package/pkg_copy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/package_box.h"

static void
shell(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", fixture_folder, words);
	assert_int_equal(system(command), 0);
}

/* A primary with two signed objects and one that is not; its copies are in "copies", and the store is another's then.
 */
static void
export_from_primary(void)
{
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r;
	struct err e = ERR_NONE;
	size_t count = 0;

	shell("rm -rf copies");
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(box_update(&p, box_file("two.pkg"), &s, &r, NULL), 0);
	assert_int_equal(box_update(&p, box_file("fcni.pkg"), &s, &r, NULL), 0);
	assert_string_equal(box_version("fcni"), "19.00264");
	assert_int_equal(pkg_copy_export(box.store, fixture_path("copies"), &count, &e), 0);
	assert_int_equal(count, 2);
	assert_int_equal(box_open(), 0);
}

static int
import(enum level level, struct box_script *s, struct pkg_result *out, struct err *e)
{
	struct pkg_job_params p = box_params(UPDATE_HA, level);
	struct pkg_copy copies[FORMAT_OBJECTS_MAX];
	struct pkg_job *job = NULL;
	const struct pkg_result *r;
	size_t n = 0, files = open_files();
	int rc = pkg_copy_open(fixture_path("copies"), copies, &n, e);

	if (rc) {
		assert_int_equal(open_files(), files);
		return rc;
	}
	assert_int_equal(pkg_job_new_copies(&p, copies, n, &job, e), 0);
	r = box_run(job, s);
	assert_non_null(r);
	*out = *r;
	if (r->count && r->objects[0].why.code)
		*e = r->objects[0].why;
	pkg_job_free(job);
	assert_int_equal(open_files(), files);
	return 0;
}

static void
test_out_and_in(void **state)
{
	struct box_script s = {0};
	struct pkg_result r;
	struct err e = ERR_NONE;

	(void)state;
	export_from_primary();
	shell("test \"$(ls -A copies)\" = \"$(printf 'idsdb.x\\nidsetdb.x')\" && test $(stat -c %a copies/idsdb.x) = "
	      "600");
	assert_int_equal(import(LEVEL_2, &s, &r, &e), 0);
	assert_int_equal(r.code, 0);
	assert_string_equal(r.summary, "installed: idsdb(19.00264) idsetdb(19.00264)");
	assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->way, UPDATE_HA);
	assert_true(box_event("0100053462 3 Package objects copied from another unit|"));
	assert_int_equal(s.validated, 2);
	/* once more: nothing new */
	assert_int_equal(import(LEVEL_2, &s, &r, &e), 0);
	assert_string_equal(r.summary, "no updates: idsdb(19.00264) idsetdb(19.00264)");
}

static const struct {
	const char *what, *words;
	int rc; /* of opening them */
	const char *reason, *summary;
} forged[] = {
    {"a changed byte", "printf x | dd of=copies/idsdb.x bs=1 seek=50 conv=notrunc status=none", 0, "of the content",
     "installed: idsetdb(19.00264); refused: idsdb(19.00264)"},
    {"another object's copy", "cp copies/idsetdb.x copies/idsdb.x", 0, "label: idsdb expected",
     "installed: idsetdb(19.00264); refused: idsdb(0.00000)"},
    {"without its signature", "truncate -s 233 copies/idsdb.x", 0, "it has no signature",
     "installed: idsetdb(19.00264); refused: idsdb(19.00264)"},
    {"cut off", "truncate -s -1 copies/idsdb.x", 0, "", "installed: idsetdb(19.00264); refused: idsdb(0.00000)"},
    {"no bytes", ": > copies/idsdb.x", 0, "bytes expected", "installed: idsetdb(19.00264); refused: idsdb(0.00000)"},
    {"a symbolic link", "mv copies/idsdb.x x && ln -s ../x copies/idsdb.x", -ELOOP, "idsdb.x", NULL},
    {"a pipe", "rm copies/idsdb.x && mkfifo copies/idsdb.x", -EINVAL, "a regular file expected", NULL},
    {"a folder", "rm copies/idsdb.x && mkdir copies/idsdb.x", -EINVAL, "a regular file expected", NULL},
    {"none", "rm copies/*", -ENOENT, "no copies", NULL},
    {"no folder", "rm -r copies", -ENOENT, "copies", NULL},
    {"others' files", "rm copies/*; touch copies/idsdb copies/x.x 'copies/idsdb.x.x'", -ENOENT, "no copies", NULL},
};

static void
test_forged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct box_script s = {0};
		struct pkg_result r = {0};
		struct err e = ERR_NONE;
		int rc;

		export_from_primary();
		shell(forged[i].words);
		rc = import(LEVEL_1, &s, &r, &e);
		if (rc != forged[i].rc || !strstr(e.text, forged[i].reason))
			fail_msg("%s: %d, %s", forged[i].what, rc, e.text);
		if (forged[i].summary)
			assert_string_equal(r.summary, forged[i].summary);
		assert_string_equal(box_version("idsdb"), "none");
	}
}

/* At level 0 what has no signature is taken, by the secondary's own rule, and said. */
static void
test_unsigned_at_level_0(void **state)
{
	struct box_script s = {0};
	struct pkg_result r = {0};
	struct err e = ERR_NONE;

	(void)state;
	export_from_primary();
	shell("truncate -s 233 copies/idsdb.x");
	assert_int_equal(import(LEVEL_0, &s, &r, &e), 0);
	assert_int_equal(r.code, 0);
	assert_int_equal(s.asked_unsigned, 0);
	assert_string_equal(box_version("idsdb"), "19.00264");
	assert_false(pkg_store_current(box.store, types_called("idsdb"))->is_signed);
}

static void
test_nothing_to_import(void **state)
{
	struct pkg_job_params p;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_HA, LEVEL_1);
	assert_int_equal(pkg_job_new_copies(&p, NULL, 0, &job, &e), -EINVAL);
	assert_null(job);
}

static void
test_export_fails(void **state)
{
	struct err e = ERR_NONE;
	size_t count = 7;

	(void)state;
	export_from_primary();
	shell("rm -rf copies && touch copies");
	assert_int_equal(pkg_copy_export(box.store, fixture_path("copies"), &count, &e), -ENOTDIR);
	assert_int_equal(count, 7);
	shell("rm copies");
	assert_int_equal(pkg_copy_export(box.store, fixture_path("copies"), &count, &e), 0);
	assert_int_equal(count, 0);
}

static int
start(void **state)
{
	(void)state;
	if (fixture_start() || fixture_mkpkg("-o %s/two.pkg idsdb idsetdb"))
		return -1;
	return fixture_mkpkg("-o %s/fcni.pkg --unsigned fcni fcni");
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
	    cmocka_unit_test(test_out_and_in),          cmocka_unit_test(test_forged),
	    cmocka_unit_test(test_unsigned_at_level_0), cmocka_unit_test(test_nothing_to_import),
	    cmocka_unit_test(test_export_fails),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
