/* package/pkg_check: what is damaged gives way to the version before it; what is only distrusted does not. */
// wrap: log_event
#include "package/pkg_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/package_box.h"

static void
install(const char *file)
{
	struct pkg_job_params p = box_params(UPDATE_MANUAL, LEVEL_0);
	struct box_script s = {.yes_older = true};
	struct pkg_result r = {0};

	p.check.now_s = 1577836800; /* all signers' time */
	p.check.denied = NULL;
	assert_int_equal(box_update(&p, box_file(file), &s, &r, NULL), 0);
	assert_string_equal(r.why.text, "");
	assert_int_equal(r.code, 0);
}

static void
shell(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", box.folder, words);
	assert_int_equal(system(command), 0);
}

/* What was found of the only kind there is. */
static struct pkg_checked
run_check(const struct anchor_check *check)
{
	struct pkg_checked found = {0};
	struct pkg_check *c = NULL;
	struct err e = ERR_NONE;
	size_t files = open_files();

	assert_int_equal(pkg_check_new(box.store, check, NULL, &c, &e), 0);
	while (pkg_check_step(c))
		;
	assert_int_equal(pkg_check_count(c), 1);
	found = *pkg_check_at(c, 0);
	assert_null(pkg_check_at(c, 1));
	pkg_check_free(c);
	assert_int_equal(open_files(), files);
	return found;
}

static const struct {
	const char *what, *before, *file, *damage;
	bool deny, no_anchors;
	enum signature found;
	const char *reason, *after; /* what is current then */
	enum pkg_health health;
} cases[] = {
    {"good", "old.pkg", "new.pkg", ":", .found = SIGNATURE_VALID, .after = "19.00264", .health = PKG_GOOD},
    {"one of several pieces", NULL, "large.pkg", ":", .found = SIGNATURE_VALID, .after = "19.00264",
     .health = PKG_GOOD},
    {"one of several pieces, the last one changed", "old.pkg", "large.pkg",
     "printf x | dd of=NIDS/24/19.00264/payload bs=1 seek=2999900 conv=notrunc status=none", .found = SIGNATURE_BAD,
     .reason = "not what the object unpacks to", .after = "19.00263", .health = PKG_GOOD},
    {"a signer whose time is over", NULL, "expired.pkg", ":", .found = SIGNATURE_VALID, .after = "19.00264",
     .health = PKG_GOOD},
    {"a signer that is revoked now", "old.pkg", "denied.pkg", ":", .deny = true, .found = SIGNATURE_BAD,
     .reason = "revoked", .after = "19.00264", .health = PKG_BAD},
    {"nobody to accept a signer", "old.pkg", "new.pkg", ":", .no_anchors = true, .found = SIGNATURE_BAD,
     .reason = "no authorities", .after = "19.00264", .health = PKG_BAD},
    {"a payload that was changed", "old.pkg", "new.pkg",
     "printf x | dd of=NIDS/24/19.00264/payload bs=1 seek=9 conv=notrunc status=none", .found = SIGNATURE_BAD,
     .reason = "not what the object unpacks to", .after = "19.00263", .health = PKG_GOOD},
    {"a payload that goes on", "old.pkg", "new.pkg", "echo >> NIDS/24/19.00264/payload", .found = SIGNATURE_BAD,
     .reason = "not what the object unpacks to", .after = "19.00263", .health = PKG_GOOD},
    {"a payload that was cut off", "old.pkg", "new.pkg", "truncate -s -1 NIDS/24/19.00264/payload",
     .found = SIGNATURE_BAD, .reason = "not what the object unpacks to", .after = "19.00263", .health = PKG_GOOD},
    {"an object that was changed", "old.pkg", "new.pkg",
     "printf x | dd of=NIDS/24/19.00264/object.x bs=1 seek=50 conv=notrunc status=none", .found = SIGNATURE_BAD,
     .reason = "of the content", .after = "19.00263", .health = PKG_GOOD},
    {"an object that is gone", "old.pkg", "new.pkg", "rm NIDS/24/19.00264/object.x", .found = SIGNATURE_BAD,
     .reason = "object", .after = "19.00263", .health = PKG_GOOD},
    {"a version that is gone", "old.pkg", "new.pkg", "rm -r NIDS/24/19.00264", .found = SIGNATURE_BAD,
     .reason = "19.00264", .after = "19.00263", .health = PKG_GOOD},
    {"damaged, and nothing before", NULL, "new.pkg", "echo >> NIDS/24/19.00264/payload", .found = SIGNATURE_BAD,
     .reason = "unpacks to", .after = "none"},
    {"damaged, and so is the one before", "old.pkg", "new.pkg",
     "echo | tee -a NIDS/24/19.00264/payload >> NIDS/24/19.00263/payload", .found = SIGNATURE_BAD,
     .reason = "unpacks to", .after = "none"},
    {"another one's signature beside it", "old.pkg", "new.pkg",
     "cp NIDS/24/19.00263/object.x NIDS/24/19.00264/object.x", .found = SIGNATURE_BAD, .reason = "version 19.00264",
     .after = "19.00263", .health = PKG_GOOD},
};

static void
check_case(size_t i)
{
	struct anchor_check check = fixture_check();
	const struct pkg_installed *in;
	struct pkg_checked found;

	assert_int_equal(box_open(), 0);
	if (cases[i].before)
		install(cases[i].before);
	install(cases[i].file);
	shell(cases[i].damage);
	assert_int_equal(box_reopen(), 0);
	box_hush();
	if (!cases[i].deny)
		check.denied = NULL;
	if (cases[i].no_anchors)
		check.anchors = NULL;
	found = run_check(&check);
	if (found.signature != cases[i].found || strcmp(box_version("idsdb"), cases[i].after) ||
	    (cases[i].reason && !strstr(found.why.text, cases[i].reason)))
		fail_msg("%s: %d, %s, %s", cases[i].what, found.signature, box_version("idsdb"), found.why.text);
	assert_int_equal(found.replaced, strcmp(cases[i].after, "19.00264") != 0);
	assert_int_equal(found.signature == SIGNATURE_BAD, box_event("0100041009 0 "));
	in = pkg_store_current(box.store, types_called("idsdb"));
	if (in && in->health != cases[i].health)
		fail_msg("%s: health %d", cases[i].what, in->health);
	/* and it is so on disk, with nothing left over */
	box_hush();
	assert_int_equal(box_reopen(), 0);
	assert_string_equal(box_version("idsdb"), cases[i].after);
	assert_int_equal(box.events.len, 0);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(i);
}

/* What counts as bad is replaced whatever its version. */
static void
test_bad_gives_way(void **state)
{
	struct anchor_check check = fixture_check();
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r;

	(void)state;
	assert_int_equal(box_open(), 0);
	install("denied.pkg");
	p = box_params(UPDATE_AUTOMATIC, LEVEL_1);
	assert_int_equal(box_update(&p, box_file("old.pkg"), &s, &r, NULL), 0);
	assert_false(r.changed);
	assert_int_equal(run_check(&check).signature, SIGNATURE_BAD);
	assert_int_equal(box_update(&p, box_file("old.pkg"), &s, &r, NULL), 0);
	assert_true(r.changed);
	assert_string_equal(box_version("idsdb"), "19.00263");
}

/* Somebody installs at the moment: nothing is replaced under him. */
static void
test_beside_a_job(void **state)
{
	struct anchor_check check = fixture_check();
	struct pkg_store *other = NULL;
	struct pkg_job_params p;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(box_open(), 0);
	install("old.pkg");
	install("new.pkg");
	shell("echo >> NIDS/24/19.00264/payload");
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	p.store = other;
	assert_int_equal(pkg_job_new(&p, box_file("old.pkg"), &job, &e), 0);
	assert_false(run_check(&check).replaced);
	assert_string_equal(box_version("idsdb"), "19.00264");
	pkg_job_free(job);
	assert_true(run_check(&check).replaced);
	pkg_store_free(other);
}

/* Somebody else installs another one after so many steps of a check that finds both versions damaged. False: by then it
 * was through. */
static bool
survives_after(int steps)
{
	struct anchor_check check = fixture_check();
	struct box_object o = {.name = "idsdb", .version = "19.00300"};
	struct pkg_job_params p = box_params(UPDATE_MANUAL, LEVEL_0);
	struct box_script s = {0};
	struct pkg_check *c = NULL;
	struct pkg_result r;
	struct err e = ERR_NONE;
	bool early;

	assert_int_equal(pkg_store_open(box.folder, &p.store, &e), 0);
	assert_int_equal(pkg_check_new(box.store, &check, types_called("idsdb"), &c, &e), 0);
	while (steps--)
		assert_int_equal(pkg_check_step(c), 1);
	early = !pkg_check_count(c) || !pkg_check_at(c, 0)->replaced;
	if (early) {
		assert_int_equal(box_update(&p, box_package(&o, 1), &s, &r, NULL), 0);
		assert_int_equal(r.code, 0);
		while (pkg_check_step(c))
			;
		assert_false(pkg_check_at(c, 0)->replaced);
		assert_int_equal(box_reopen(), 0);
		assert_string_equal(box_version("idsdb"), "19.00300");
	}
	pkg_check_free(c);
	pkg_store_free(p.store);
	return early;
}

static void
test_replaced_meanwhile(void **state)
{
	int steps = 0;

	(void)state;
	do {
		assert_int_equal(box_open(), 0);
		install("old.pkg");
		install("new.pkg");
		shell("echo | tee -a NIDS/24/19.00264/payload >> NIDS/24/19.00263/payload");
	} while (survives_after(steps++));
	assert_true(steps > 2);
}

/* Guide, "To verify the status for all object signatures". */
static void
test_lines(void **state)
{
	static const struct {
		const char *name;
		enum signature signature;
		const char *line;
	} lines[] = {
	    {"aven", SIGNATURE_VALID, "aven(7,28) signature is valid."},
	    {"fcni", SIGNATURE_NONE, "fcni(9,0) signature check passed."},
	    {"fcni", SIGNATURE_VALID, "fcni(9,0) signature is valid."},
	    {"ipscfgscr", SIGNATURE_NONE, "ipscfgscr(30,50) signature is missing."},
	    {"ffdb_high", SIGNATURE_BAD, "ffdb_high(31,10) signature is invalid."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct pkg_checked c = {.kind = types_called(lines[i].name), .signature = lines[i].signature};
		char text[PKG_CHECKED_TEXT];

		assert_string_equal(pkg_checked_text(&c, text), lines[i].line);
	}
}

static int
start(void **state)
{
	(void)state;
	if (fixture_start() || fixture_mkpkg("-o %s/old.pkg --signer ec idsdb=19.00263"))
		return -1;
	return fixture_mkpkg("-o %s/expired.pkg --break signer-expired") ||
	       fixture_mkpkg("-o %s/denied.pkg --break signer-denied") ||
	       fixture_mkpkg("-o %s/large.pkg --raw-len 3000000 idsdb=19.00264") ||
	       fixture_mkpkg("-o %s/new.pkg --zlib idsdb=19.00264");
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
	    cmocka_unit_test(test_cases),        cmocka_unit_test(test_bad_gives_way),
	    cmocka_unit_test(test_beside_a_job), cmocka_unit_test(test_replaced_meanwhile),
	    cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
