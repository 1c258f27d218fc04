/* base/err: a reason that is cut, kept, or not wanted. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = sizeof(((struct err *)NULL)->text) };

/* Exactly the longest text that fits, and one byte more than that. */
static const char *
long_text(size_t n)
{
	static char text[ROOM + 2];

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

static void
nobody_asks_for_the_reason(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EINVAL, "%d", 1), -EINVAL);
	assert_int_equal(err_sys(NULL, -ENOENT, "%d", 1), -ENOENT);
	assert_int_equal(err_in(NULL, "%d", 1), 0);
}

static void
long_reason_is_cut(void **state)
{
	static const struct {
		const char *what;
		size_t n, kept;
	} rows[] = {
	    {"fits", ROOM - 1, ROOM - 1},
	    {"one too many", ROOM, ROOM - 1},
	    {"two too many", ROOM + 1, ROOM - 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(err_set(&e, -EIO, "%s", long_text(rows[i].n)), -EIO);
		assert_int_equal(strlen(e.text), rows[i].kept);
		assert_int_equal(err_sys(&e, -EIO, "%s", long_text(rows[i].n)), -EIO);
		assert_int_equal(strlen(e.text), rows[i].kept);
		assert_int_equal(err_in(&e, "%s", long_text(rows[i].n)), -EIO);
		assert_int_equal(strlen(e.text), rows[i].kept);
	}
}

static void
context_goes_before_and_the_end_is_cut(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	err_set(&e, -EIO, "%s", long_text(ROOM - 1));
	assert_int_equal(err_in(&e, "slot %d", 3), -EIO);
	assert_int_equal(e.code, -EIO);
	assert_int_equal(strlen(e.text), ROOM - 1);
	assert_memory_equal(e.text, "slot 3: xxx", 11);
}

static void
reason_is_code_and_words(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "%s: %d expected", "a", 3), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "a: 3 expected");
	assert_int_equal(err_sys(&e, -ENOENT, "/x"), -ENOENT);
	assert_int_equal(e.code, -ENOENT);
	assert_string_equal(e.text, "/x: No such file or directory");
	assert_int_equal(err_in(&e, "reading %s", "y"), -ENOENT);
	assert_string_equal(e.text, "reading y: /x: No such file or directory");
}

/* What came from outside may look like a format. */
static void
old_reason_is_no_format(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	err_set(&e, -EINVAL, "%s", "%s%n%d");
	err_in(&e, "a");
	assert_string_equal(e.text, "a: %s%n%d");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_asks_for_the_reason),
	    cmocka_unit_test(long_reason_is_cut),
	    cmocka_unit_test(context_goes_before_and_the_end_is_cut),
	    cmocka_unit_test(reason_is_code_and_words),
	    cmocka_unit_test(old_reason_is_no_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
