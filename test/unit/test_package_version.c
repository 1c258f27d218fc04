/* package/version: read, shown, compared. */
#include "package/version.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
	const char *what, *text;
	int rc;
	struct version v;
} texts[] = {
    {"the guide's", "19.00264", 0, {19, 264}},
    {"five digits", "89.09892", 0, {89, 9892}},
    {"zero", "0.00000", 0, {0, 0}},
    {"the highest", "65535.99999", 0, {65535, 99999}},
    {"a major too high", "65536.00000", -ERANGE, {0, 0}},
    {"six digits behind", "1.000000", -EINVAL, {0, 0}},
    {"four digits behind", "1.0000", -EINVAL, {0, 0}},
    {"no point", "100000", -EINVAL, {0, 0}},
    {"no major", ".00001", -EINVAL, {0, 0}},
    {"a sign", "-1.00001", -EINVAL, {0, 0}},
    {"letters", "1.0000x", -EINVAL, {0, 0}},
    {"a long major", "000001.00001", -EINVAL, {0, 0}},
};

static void
test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct version v = {7, 7};
		char text[VERSION_TEXT];
		int rc = version_parse(texts[i].text, &v);

		if (!rc != !texts[i].rc)
			fail_msg("%s: %d", texts[i].what, rc);
		if (rc) {
			assert_int_equal(v.major, 7);
			continue;
		}
		assert_int_equal(version_compare(v, texts[i].v), 0);
		assert_string_equal(version_text(text, v), texts[i].text);
	}
}

static void
test_order(void **state)
{
	static const struct version rising[] = {{0, 0}, {0, 99999}, {1, 0}, {19, 261}, {19, 264}, {20, 1}, {65535, 0}};
	int n = sizeof(rising) / sizeof(rising[0]);

	(void)state;
	for (int a = 0; a < n; a++) {
		for (int b = 0; b < n; b++) {
			int order = version_compare(rising[a], rising[b]);

			assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_order)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
