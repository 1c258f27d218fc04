/* base/text: numbers at their edges, escapes at the edge of a buffer. */
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { GUARD = 0x5a };

/* A buffer whose bytes beyond `size` must not change. */
static char guarded[64];

static char *
guard(void)
{
	memset(guarded, GUARD, sizeof(guarded));
	return guarded;
}

static void
assert_guarded(size_t size)
{
	for (size_t i = size; i < sizeof(guarded); i++)
		assert_int_equal(guarded[i], GUARD);
}

static void
copies_that_fit(void **state)
{
	static const struct {
		const char *what, *src;
		size_t size;
		int rc;
		const char *dst;
	} rows[] = {
	    {"one too long", "abcd", 4, -ENAMETOOLONG, ""},
	    {"much too long", "abcdefgh", 1, -ENAMETOOLONG, ""},
	    {"exactly", "abc", 4, 0, "abc"},
	    {"empty in one byte", "", 1, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_int_equal(text_copy(guard(), rows[i].size, rows[i].src), rows[i].rc);
		assert_string_equal(guarded, rows[i].dst);
		assert_guarded(rows[i].size);
	}
}

static void
escapes(void **state)
{
	static const struct {
		const char *what, *src;
		size_t len;
		const char *shown;
	} rows[] = {
	    {"nothing", "", 0, ""},
	    {"plain", "a b~", 4, "a b~"},
	    {"line ends and tab", "\r\n\t", 3, "\\r\\n\\t"},
	    {"backslash", "\\n", 2, "\\\\n"},
	    {"NUL, escape, delete", "\0\x1b\x7f", 3, "\\x00\\x1b\\x7f"},
	    {"quotes stay", "\"'", 2, "\"'"},
	    {"UTF-8", "\xc3\xa4", 2, "\\xc3\\xa4"},
	    {"C1 control of a terminal", "\x9b", 1, "\\x9b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t exact = strlen(rows[i].shown) + 1;

		print_message("  %s\n", rows[i].what);
		/* what fits to the byte is whole */
		assert_string_equal(text_escape(guard(), exact, rows[i].src, rows[i].len), rows[i].shown);
		assert_guarded(exact);
		assert_string_equal(text_escape(guard(), sizeof(guarded), rows[i].src, rows[i].len), rows[i].shown);
	}
}

static void
escapes_are_cut(void **state)
{
	static const struct {
		const char *what, *src;
		size_t size;
		const char *shown;
	} rows[] = {
	    {"no room at all", "abcd", 0, NULL},
	    {"room for the end only", "abcd", 1, ""},
	    {"not even the dots", "abcd", 3, ""},
	    {"the dots alone", "abcd", 4, "..."},
	    {"a byte and the dots", "abcdef", 5, "a..."},
	    {"one byte too long", "abcdefgh", 8, "abcd..."},
	    {"a long escape does not fit", "abcd\x01", 8, "abcd..."},
	    {"no escape is cut in two", "a\x01\x01", 8, "a..."},
	    {"an escape before the dots", "\x01\x01", 8, "\\x01..."},
	    {"a pair is not cut in two", "aaa\n\n", 7, "aaa..."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_ptr_equal(text_escape(guard(), rows[i].size, rows[i].src, strlen(rows[i].src)), guarded);
		if (rows[i].shown)
			assert_string_equal(guarded, rows[i].shown);
		assert_guarded(rows[i].size);
	}
}

static void
unsigned_numbers(void **state)
{
	static const struct {
		const char *what, *text;
		uint64_t max;
		int rc;
		uint64_t value;
	} rows[] = {
	    {"empty", "", 9, -EINVAL, 0},
	    {"a sign", "+1", 9, -EINVAL, 0},
	    {"negative", "-1", 9, -EINVAL, 0},
	    {"space before", " 1", 9, -EINVAL, 0},
	    {"space after", "1 ", 9, -EINVAL, 0},
	    {"hexadecimal", "0x1", 9, -EINVAL, 0},
	    {"a letter", "a", UINT64_MAX, -EINVAL, 0},
	    {"beside the digits", "/", UINT64_MAX, -EINVAL, 0},
	    {"on the other side", ":", UINT64_MAX, -EINVAL, 0},
	    {"max 0: zero", "0", 0, 0, 0},
	    {"max 0: zeros", "000", 0, 0, 0},
	    {"max 0: one", "1", 0, -ERANGE, 0},
	    {"max 0: ten", "10", 0, -ERANGE, 0},
	    {"max 9: nine", "9", 9, 0, 9},
	    {"max 9: ten", "10", 9, -ERANGE, 0},
	    {"max 9: nine and zeros", "0009", 9, 0, 9},
	    {"max 10: ten", "10", 10, 0, 10},
	    {"max 10: eleven", "11", 10, -ERANGE, 0},
	    {"max 19: twenty", "20", 19, -ERANGE, 0},
	    {"the largest", "18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
	    {"one more", "18446744073709551616", UINT64_MAX, -ERANGE, 0},
	    {"wraps around", "184467440737095516160", UINT64_MAX, -ERANGE, 0},
	    {"the largest but one", "18446744073709551615", UINT64_MAX - 1, -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t v = 77;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(text_u64(rows[i].text, rows[i].max, &v), rows[i].rc);
		assert_true(v == (rows[i].rc ? 77 : rows[i].value));
	}
}

static void
signed_numbers(void **state)
{
	static const struct {
		const char *what, *text;
		int64_t min, max;
		int rc;
		int64_t value;
	} rows[] = {
	    {"empty", "", -9, 9, -EINVAL, 0},
	    {"only a sign", "-", -9, 9, -EINVAL, 0},
	    {"two signs", "--1", -9, 9, -EINVAL, 0},
	    {"plus", "+1", -9, 9, -EINVAL, 0},
	    {"a sign where none may be", "-1", 0, 9, -EINVAL, 0},
	    {"minus zero where none may be", "-0", 0, 9, -EINVAL, 0},
	    {"minus zero", "-0", -1, 9, 0, 0},
	    {"below", "-10", -9, 9, -ERANGE, 0},
	    {"above", "10", -9, 9, -ERANGE, 0},
	    {"least", "-9", -9, 9, 0, -9},
	    {"most", "9", -9, 9, 0, 9},
	    {"below a positive least", "4", 5, 9, -ERANGE, 0},
	    {"only one value", "0", 0, 0, 0, 0},
	    {"the smallest", "-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
	    {"one less", "-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 0},
	    {"the smallest but one", "-9223372036854775807", INT64_MIN, INT64_MAX, 0, -INT64_MAX},
	    {"out of its range", "-9223372036854775808", -INT64_MAX, INT64_MAX, -ERANGE, 0},
	    {"the largest", "9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
	    {"one more", "9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t v = 77;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(text_i64(rows[i].text, rows[i].min, rows[i].max, &v), rows[i].rc);
		assert_true(v == (rows[i].rc ? 77 : rows[i].value));
	}
}

static void
hex_back_is_strict(void **state)
{
	static const struct {
		const char *what, *hex;
		size_t len;
		int rc;
	} rows[] = {
	    {"odd", "abc", 1, -EINVAL},
	    {"short", "ab", 2, -EINVAL},
	    {"long", "abcdef", 2, -EINVAL},
	    {"no digit first", "g0", 1, -EINVAL},
	    {"no digit second", "0:", 1, -EINVAL},
	    {"sign", "+1", 1, -EINVAL},
	    {"bad at the end", "0102xx", 3, -EINVAL},
	    {"both cases", "aBCd", 2, 0},
	    {"none", "", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_int_equal(text_unhex(guard(), rows[i].len, rows[i].hex), rows[i].rc);
		assert_guarded(rows[i].rc ? 0 : rows[i].len);
	}
	assert_int_equal(text_unhex(guarded, 2, "aBC0"), 0);
	assert_memory_equal(guarded, "\xab\xc0", 2);
}

static void
hex_fits(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff};

	(void)state;
	assert_string_equal(text_hex(guard(), 9, bytes, 4), "000ff0ff");
	assert_guarded(9);
	/* whole bytes or nothing */
	assert_string_equal(text_hex(guard(), 8, bytes, 4), "000ff0");
	assert_guarded(8);
	assert_string_equal(text_hex(guard(), 1, bytes, 4), "");
	text_hex(guard(), 0, bytes, 4);
	assert_guarded(0);
}

static void
times(void **state)
{
	static const struct {
		const char *what;
		int64_t s;
		const char *shown;
	} rows[] = {
	    {"the beginning", 0, "1970-01-01 00:00:00"},
	    {"before it", -1, "1969-12-31 23:59:59"},
	    {"beyond 32 bits", INT64_C(4294967296), "2106-02-07 06:28:16"},
	    {"no such year", INT64_MAX, "@9223372036854775807"},
	    {"none on the other side", INT64_MIN, "@-9223372036854775808"},
	};
	char text[40];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_string_equal(text_utc(text, sizeof(text), rows[i].s), rows[i].shown);
	}
	text_utc(guard(), 5, 0);
	assert_guarded(5);
}

static void
spans(void **state)
{
	static const struct {
		const char *what;
		int64_t s;
		const char *shown;
	} rows[] = {
	    {"none", 0, "00:00:00"},
	    {"a minute less one", 59, "00:00:59"},
	    {"a day less one", 86399, "23:59:59"},
	    {"a day", 86400, "1d 00:00:00"},
	    {"the header's example", 3 * 86400 + 4 * 3600 + 5 * 60 + 6, "3d 04:05:06"},
	};
	char text[40];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_string_equal(text_span(text, sizeof(text), rows[i].s), rows[i].shown);
	}
	text_span(guard(), 4, INT64_MAX);
	assert_guarded(4);
}

/* RFC 4648, section 10, and what needs the last two digits. */
static void
base64(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
	    {"", ""},
	    {"f", "Zg=="},
	    {"fo", "Zm8="},
	    {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff\xfe", "+//+"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].text) + 1;

		assert_string_equal(text_base64(guard(), size, rows[i].bytes, strlen(rows[i].bytes)), rows[i].text);
		assert_guarded(size);
	}
	assert_string_equal(text_base64(guard(), 8, "foobar", 6), "");
	assert_string_equal(text_base64(guard(), 1, "f", 1), "");
	text_base64(guard(), 0, "f", 1);
	assert_guarded(0);
}

static void
characters(void **state)
{
	static const struct {
		const char *what, *text;
		size_t len, span;
	} rows[] = {
	    {"nothing", "a", 0, 0},
	    {"NUL", "", 1, 1},
	    {"last of one byte", "\x7f", 1, 1},
	    {"continuation alone", "\x80", 4, 0},
	    {"overlong of two", "\xc1\xbf", 4, 0},
	    {"first of two", "\xc2\x80", 4, 2},
	    {"last of two", "\xdf\xbf", 2, 2},
	    {"two, cut", "\xdf\xbf", 1, 0},
	    {"two, ended", "\xdf", 4, 0},
	    {"overlong of three", "\xe0\x9f\xbf", 4, 0},
	    {"first of three", "\xe0\xa0\x80", 4, 3},
	    {"three, cut", "\xe0\xa0\x80", 2, 0},
	    {"three, ended", "\xe0\xa0", 4, 0},
	    {"last before the surrogates", "\xed\x9f\xbf", 4, 3},
	    {"first surrogate", "\xed\xa0\x80", 4, 0},
	    {"last of three", "\xef\xbf\xbf", 4, 3},
	    {"overlong of four", "\xf0\x8f\xbf\xbf", 4, 0},
	    {"first of four", "\xf0\x90\x80\x80", 4, 4},
	    {"four, its last wrong", "\xf1\x80\x80\x41", 4, 0},
	    {"last of four", "\xf4\x8f\xbf\xbf", 4, 4},
	    {"beyond it", "\xf4\x90\x80\x80", 4, 0},
	    {"never a byte", "\xff", 4, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_int_equal(text_utf8(rows[i].text, rows[i].len), rows[i].span);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies_that_fit),  cmocka_unit_test(escapes),        cmocka_unit_test(escapes_are_cut),
	    cmocka_unit_test(unsigned_numbers), cmocka_unit_test(signed_numbers), cmocka_unit_test(hex_back_is_strict),
	    cmocka_unit_test(hex_fits),         cmocka_unit_test(times),          cmocka_unit_test(spans),
	    cmocka_unit_test(base64),           cmocka_unit_test(characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
