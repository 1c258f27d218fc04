/* package/denylist: read whole or not at all. */
#include "package/denylist.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

static const struct {
	const char *what, *text;
	const char *reason; /* NULL: it is read */
	bool a, b;
} lists[] = {
    {"nothing", "", NULL, false, false},
    {"a key", KEY_A "\n", NULL, true, false},
    {"a key without the line's end", KEY_A, NULL, true, false},
    {"two", KEY_A "\n" KEY_B "\n", NULL, true, true},
    {"comments and blank lines", "# lost\n\n" KEY_B "\n# end", NULL, false, true},
    {"a short one", KEY_A "\n0011\n", "line 2: 64 hex digits expected", false, false},
    {"a long one", KEY_A "0\n", "line 1", false, false},
    {"no hex", "\n\nz" KEY_A "\n", "line 3", false, false},
    {"a blank behind it", KEY_A " \n", "line 1", false, false},
    {"a carriage return", KEY_A "\r\n", "line 1", false, false},
};

static void
test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct denylist *d = NULL;
		struct err e = ERR_NONE;
		int rc = denylist_parse(lists[i].text, strlen(lists[i].text), &d, &e);

		if (rc != (lists[i].reason ? -EINVAL : 0) || (rc && (d || !strstr(e.text, lists[i].reason))))
			fail_msg("%s: %d, %s", lists[i].what, rc, e.text);
		if (denylist_has(d, KEY_A) != lists[i].a || denylist_has(d, KEY_B) != lists[i].b)
			fail_msg("%s: other keys", lists[i].what);
		denylist_free(d);
	}
}

static void
test_no_list(void **state)
{
	struct denylist *d = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_false(denylist_has(NULL, KEY_A));
	assert_int_equal(denylist_load("/nonexistent/denylist", &d, &e), -ENOENT);
	assert_null(d);
	assert_non_null(strstr(e.text, "/nonexistent/denylist"));
	denylist_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_no_list)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
