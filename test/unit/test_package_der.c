/* package/der: one encoding for one value, and no way out of the bytes given. */
#include "package/der.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

#define BYTES(s)                                                                                                       \
	{                                                                                                              \
		(const uint8_t *)(s), sizeof(s) - 1                                                                    \
	}

static const struct {
	const char *what;
	struct der in;
	const char *reason; /* NULL: it is DER */
} values[] = {
    {"a NULL", BYTES("\x05\x00"), NULL},
    {"an empty sequence", BYTES("\x30\x00"), NULL},
    {"a sequence of two", BYTES("\x30\x05\x02\x01\x00\x05\x00"), NULL},
    {"sequences in sequences", BYTES("\x30\x04\x30\x02\x30\x00"), NULL},
    {"a sorted set", BYTES("\x31\x06\x02\x01\x01\x02\x01\x02"), NULL},
    {"an element twice in a set", BYTES("\x31\x06\x02\x01\x01\x02\x01\x01"), NULL},
    {"true", BYTES("\x01\x01\xff"), NULL},
    {"a negative integer", BYTES("\x02\x01\x80"), NULL},
    {"an integer with the zero it needs", BYTES("\x02\x02\x00\x80"), NULL},
    {"bits with padding", BYTES("\x03\x02\x07\x80"), NULL},
    {"no bits", BYTES("\x03\x01\x00"), NULL},
    {"an identifier", BYTES("\x06\x03\x55\x1d\x0f"), NULL},
    {"context tags with any bytes", BYTES("\x80\x02\xff\xff"), NULL},
    {"nothing", BYTES(""), "cut off"},
    {"a tag alone", BYTES("\x05"), "cut off"},
    {"a long tag", BYTES("\x1f\x81\x01\x00"), "a tag above 30"},
    {"contents missing", BYTES("\x04\x02\x00"), "beyond the end"},
    {"more than its parent", BYTES("\x30\x03\x04\x02\x00"), "beyond the end found at byte 2"},
    {"indefinite", BYTES("\x30\x80\x05\x00\x00\x00"), "an indefinite length"},
    {"one length byte too many", BYTES("\x04\x81\x01\x00"), "shortest form"},
    {"a length that begins with zero", BYTES("\x04\x82\x00\x80"), "shortest form"},
    {"a length of five bytes", BYTES("\x04\x85\x01\x00\x00\x00\x00"), "shortest form"},
    {"trailing bytes", BYTES("\x05\x00\x05\x00"), "trailing bytes found at byte 2"},
    {"a NULL with contents", BYTES("\x05\x01\x00"), "NULL"},
    {"a boolean of 1", BYTES("\x01\x01\x01"), "BOOLEAN"},
    {"an empty integer", BYTES("\x02\x00"), "INTEGER"},
    {"an integer with a zero too many", BYTES("\x02\x02\x00\x7f"), "INTEGER"},
    {"a negative with ff too many", BYTES("\x02\x02\xff\x80"), "INTEGER"},
    {"bits with ones in the padding", BYTES("\x03\x02\x07\x81"), "BIT STRING"},
    {"nine bits of padding", BYTES("\x03\x02\x09\x00"), "BIT STRING"},
    {"padding of nothing", BYTES("\x03\x01\x01"), "BIT STRING"},
    {"an empty identifier", BYTES("\x06\x00"), "OBJECT IDENTIFIER"},
    {"an identifier cut off", BYTES("\x06\x02\x55\x80"), "OBJECT IDENTIFIER"},
    {"an identifier with a long part", BYTES("\x06\x03\x55\x80\x01"), "OBJECT IDENTIFIER"},
    {"a string in pieces", BYTES("\x24\x04\x04\x02\x00\x00"), "in pieces"},
    {"a sequence that is not constructed", BYTES("\x10\x00"), "not constructed"},
    {"end of contents", BYTES("\x00\x00"), "end of contents"},
    {"an unsorted set", BYTES("\x31\x06\x02\x01\x02\x02\x01\x01"), "not sorted"},
    {"wrong deep inside", BYTES("\x30\x06\xa0\x04\x30\x02\x02\x00"),
     "INTEGER not in its shortest form found at byte 6"},
};

static void
test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct err e = ERR_NONE;
		int rc = der_check(values[i].in, &e);

		if (rc != (values[i].reason ? -EBADMSG : 0) || (rc && !strstr(e.text, values[i].reason)))
			fail_msg("%s: %d, \"%s\"", values[i].what, rc, e.text);
	}
}

/* Each value cut off anywhere is an error, and nothing behind its end is read (the copy is exactly as long). */
static void
test_cut_off_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		for (size_t len = 0; !values[i].reason && len < values[i].in.len; len++) {
			uint8_t *copy = malloc(len + 1);

			memcpy(copy, values[i].in.p, len);
			if (der_check((struct der){copy, len}, NULL) != -EBADMSG)
				fail_msg("%s: cut to %zu bytes", values[i].what, len);
			free(copy);
		}
	}
}

static void
test_depth(void **state)
{
	uint8_t nested[2 * (DER_DEPTH_MAX + 2)];
	struct err e = ERR_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(nested); i += 2) {
		nested[i] = 0x30;
		nested[i + 1] = (uint8_t)(sizeof(nested) - i - 2);
	}
	/* the outermost is left out: as deep as allowed */
	assert_int_equal(der_check((struct der){nested + 4, sizeof(nested) - 4}, &e), 0);
	assert_int_equal(der_check((struct der){nested, sizeof(nested)}, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "more levels"));
}

static void
test_take(void **state)
{
	struct der in = BYTES("\x02\x01\x05\x05\x00");
	struct der_item item = {0};
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(der_take(&in, DER_OID, "thing", &item, &e), -EBADMSG);
	assert_string_equal(e.text, "thing: tag 0x06 expected, 0x02 found");
	assert_int_equal(item.tag, 0);
	assert_int_equal(in.len, 5);
	assert_int_equal(der_take(&in, DER_INTEGER, "thing", &item, &e), 0);
	assert_int_equal(item.body.len, 1);
	assert_int_equal(item.whole.len, 3);
	assert_true(der_is_next(&in, DER_NULL));
	assert_int_equal(der_end(&in, "thing", &e), -EBADMSG);
	assert_int_equal(der_next(&in, &item), 0);
	assert_int_equal(der_end(&in, "thing", &e), 0);
	assert_int_equal(der_take(&in, DER_NULL, "thing", &item, &e), -EBADMSG);
	assert_string_equal(e.text, "thing: tag 0x05 expected, nothing found");
}

static const struct {
	const char *what;
	struct der in;
	bool good;
} pairs[] = {
    {"two integers", BYTES("\x30\x06\x02\x01\x01\x02\x01\x02"), true},
    {"with the zero one needs", BYTES("\x30\x07\x02\x02\x00\xff\x02\x01\x02"), true},
    {"a zero too many", BYTES("\x30\x07\x02\x02\x00\x01\x02\x01\x02"), false},
    {"a negative one", BYTES("\x30\x06\x02\x01\x81\x02\x01\x02"), false},
    {"one", BYTES("\x30\x03\x02\x01\x01"), false},
    {"three", BYTES("\x30\x09\x02\x01\x01\x02\x01\x02\x02\x01\x03"), false},
    {"trailing bytes", BYTES("\x30\x06\x02\x01\x01\x02\x01\x02\x00"), false},
    {"another type", BYTES("\x30\x06\x04\x01\x01\x02\x01\x02"), false},
    {"a set", BYTES("\x31\x06\x02\x01\x01\x02\x01\x02"), false},
    {"nothing", BYTES(""), false},
};

static void
test_integer_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (der_is_integer_pair(pairs[i].in) != pairs[i].good)
			fail_msg("%s", pairs[i].what);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values), cmocka_unit_test(test_cut_off_anywhere), cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_take),   cmocka_unit_test(test_integer_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
