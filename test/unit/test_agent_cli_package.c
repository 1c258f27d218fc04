/* agent/cli_package: what is installed, as the guide shows it, and as JSON. */
// wrap: pkg_store_current pkg_status_of
#include "agent/cli_package.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/types.h"

static struct {
	struct pkg_installed idsdb, fcni;
	struct pkg_record records[2];
	bool empty;
	struct buf out;
} t;

/* Never looked into: the two functions below stand before them. */
static const struct pkg_store *
store(void)
{
	return (const struct pkg_store *)&t;
}

static const struct pkg_status *
status(void)
{
	return (const struct pkg_status *)&t;
}

const struct pkg_installed *__wrap_pkg_store_current(const struct pkg_store *s, const struct object_type *kind);
const struct pkg_record *__wrap_pkg_status_of(const struct pkg_status *st, const struct object_type *kind);

const struct pkg_installed *
__wrap_pkg_store_current(const struct pkg_store *s, const struct object_type *kind)
{
	(void)s;
	if (t.empty)
		return NULL;
	return kind == t.idsdb.kind ? &t.idsdb : kind == t.fcni.kind ? &t.fcni : NULL;
}

const struct pkg_record *
__wrap_pkg_status_of(const struct pkg_status *st, const struct object_type *kind)
{
	(void)st;
	return &t.records[kind == t.fcni.kind];
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.out = BUF_INIT(64 * 1024);
	t.idsdb = (struct pkg_installed){
	    .kind = types_called("idsdb"), .version = {19, 264}, .is_signed = true, .health = PKG_GOOD};
	t.fcni = (struct pkg_installed){.kind = types_called("fcni"), .version = {1, 2}, .health = PKG_BAD};
	t.records[0] = (struct pkg_record){.updated_s = 1645661182,
					   .way = UPDATE_MANUAL,
					   .attempted_s = 1645679423,
					   .result = PKG_RESULT_NO_UPDATES,
					   .expires = 20310101};
	return setenv("TZ", "UTC", 1);
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&t.out);
	return 0;
}

static const char *
output(void)
{
	buf_put(&t.out, "", 1);
	return (const char *)buf_head(&t.out);
}

static void
as_the_guide_shows_it(void **state)
{
	(void)state;
	tzset();
	cli_package_versions(store(), status(), false, &t.out);
	assert_string_equal(output(), "FortiGuard servers\n---------\nVersion: 1.00002 invalid\n"
				      "Contract Expiry Date: n/a\nLast Update Attempt: n/a\nResult: n/a\n\n"
				      "Attack Definitions\n---------\nVersion: 19.00264 signed\n"
				      "Contract Expiry Date: Wed Jan  1 2031\n"
				      "Last Updated using manual update on Thu Feb 24 00:06:22 2022\n"
				      "Last Update Attempt: Thu Feb 24 05:10:23 2022\nResult: No Updates\n\n");
}

static void
as_json(void **state)
{
	(void)state;
	cli_package_versions(store(), status(), true, &t.out);
	assert_non_null(strstr(output(), "\"name\":\t\"idsdb\""));
	assert_non_null(strstr(output(), "\"contract-expiry\":\t\"2031-01-01\""));
	assert_non_null(strstr(output(), "\"last-updated-by\":\t\"manual\""));
	assert_non_null(strstr(output(), "\"health\":\t\"bad\""));
	assert_non_null(strstr(output(), "\"last-updated-by\":\t\"\""));
}

static void
nothing_there(void **state)
{
	(void)state;
	cli_package_versions(NULL, NULL, false, &t.out);
	assert_string_equal(output(), "Nothing is installed.\n");
	buf_cut(&t.out, 0);
	t.empty = true;
	cli_package_versions(store(), status(), false, &t.out);
	assert_string_equal(output(), "Nothing is installed.\n");
	buf_cut(&t.out, 0);
	cli_package_versions(NULL, NULL, true, &t.out);
	assert_string_equal(output(), "{\n\t\"objects\":\t[]\n}\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(as_the_guide_shows_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(as_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
