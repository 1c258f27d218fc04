/* package/types: the guide's objects, and nothing that only looks like one. */
#include "package/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Guide, the listing of `diagnose autoupdate signature check-all`, and the types it forces to be signed. */
static const struct {
	const char *name;
	unsigned id, sub;
	bool forced;
} guide[] = {
    {"aven", 7, 28, true},       {"virdb", 2, 2, true},       {"etdb", 2, 7, true},         {"exdb", 2, 4, true},
    {"avai", 2, 19, true},       {"fcni", 9, 0, false},       {"contract", 10, 0, false},   {"idsen", 30, 78, true},
    {"ipscfgscr", 30, 50, true}, {"fldb", 34, 2, true},       {"idsdb", 4, 24, true},       {"idsetdb", 4, 26, true},
    {"idsurldb", 5, 1, true},    {"appdb", 38, 1, true},      {"isdb", 39, 1, true},        {"geoip", 28, 0, false},
    {"ffdb_low", 31, 11, false}, {"ffdb_med", 31, 9, false},  {"ffdb_high", 31, 10, false}, {"uwdb", 32, 1, false},
    {"certdb", 33, 0, false},    {"mmdb", 35, 1, true},       {"dnsbot", 36, 1, false},     {"sfas", 40, 0, false},
    {"mcdb", 42, 1, false},      {"anphipats", 49, 1, false},
};

static void
test_guide(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(guide) / sizeof(guide[0]); i++) {
		const struct object_type *t = types_called(guide[i].name);

		if (!t || t->id != guide[i].id || t->sub != guide[i].sub || t->forced != guide[i].forced)
			fail_msg("%s", guide[i].name);
	}
	assert_int_equal(types_count(), sizeof(guide) / sizeof(guide[0]) + 1); /* and the deny-list */
	assert_true(types_called("denylist")->forced);
}

/* Type and sub-id name one object; so do type and name, and the name alone; each fits where it is written, and belongs
 * to one command. */
static void
test_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < types_count(); i++) {
		const struct object_type *t = types_at(i);

		assert_int_equal(strlen(t->type), 4);
		assert_true(strlen(t->name) < 20 && t->title[0] && t->max);
		assert_true(t->family == PKG_AV || t->family == PKG_IPS || t->family == PKG_OTHER);
		assert_int_equal(types_index(t), i);
		assert_ptr_equal(types_called(t->name), t);
		assert_ptr_equal(types_find(t->type, t->sub), t);
		assert_ptr_equal(types_named(t->type, t->name, strlen(t->name)), t);
	}
	assert_null(types_at(types_count()));
}

static void
test_strangers(void **state)
{
	(void)state;
	assert_null(types_find("NIDS", 25));
	assert_null(types_find("nids", 24));
	assert_null(types_find("../.", 24));
	assert_null(types_named("NIDS", "idsd", 4));
	assert_null(types_named("NIDS", "idsdbx", 6));
	assert_null(types_named("APDB", "idsdb", 5));
	assert_null(types_named("NIDS", "", 0));
	assert_null(types_called(""));
	assert_null(types_called("idsd"));
	assert_null(types_called("../idsdb"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_guide),
	    cmocka_unit_test(test_unique),
	    cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
