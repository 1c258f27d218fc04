/* agent/control_wire: pieces that are cut, too large, or several at once. */
#include "agent/control_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void
not_whole(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[8];
		size_t n, max;
		long rc;
	} rows[] = {
	    {"nothing", {0}, 0, 100, 0},
	    {"only its type", {'C'}, 1, 100, 0},
	    {"half a length", {'C', 0, 0, 0}, 4, 100, 0},
	    {"a body is missing", {'C', 0, 0, 0, 3, 'a', 'b'}, 7, 100, 0},
	    {"as large as may be, not there yet", {'C', 0, 0, 0, 3}, 5, 3, 0},
	    {"one too large, known from its head", {'C', 0, 0, 0, 4}, 5, 3, -EPROTO},
	    {"anything too large", {'C', 0, 0, 0, 1, 'a'}, 6, 0, -EPROTO},
	    {"the largest length", {'C', 0xff, 0xff, 0xff, 0xff}, 5, CONTROL_PIECE_MAX, -EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum control_type type = CONTROL_DEBUG;
		const uint8_t *body = NULL;
		size_t len = 77;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(control_piece(rows[i].bytes, rows[i].n, rows[i].max, &type, &body, &len), rows[i].rc);
		assert_int_equal(type, CONTROL_DEBUG);
		assert_int_equal(len, 77);
	}
}

static void
there_and_back(void **state)
{
	static const struct {
		enum control_type type;
		const char *body;
		size_t len;
	} rows[] = {
	    {CONTROL_COMMAND, "\0get system status", 18},
	    {CONTROL_END, "", 0},
	    {CONTROL_RESULT, "\xff\xff\xff\x60\0# \0\0", 9},
	};
	struct buf b = BUF_INIT(1000);
	enum control_type type;
	const uint8_t *body;
	uint8_t *exact;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(control_put(&b, rows[i].type, rows[i].body, rows[i].len), 0);
	exact = malloc(b.len);
	assert_non_null(exact);
	memcpy(exact, buf_head(&b), b.len);
	for (size_t i = 0, at = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		long whole = control_piece(exact + at, b.len - at, 100, &type, &body, &len);

		assert_int_equal(whole, CONTROL_HEAD + rows[i].len);
		/* not one byte less is a piece */
		assert_int_equal(control_piece(exact + at, (size_t)whole - 1, 100, &type, &body, &len), 0);
		assert_int_equal(type, rows[i].type);
		assert_int_equal(len, rows[i].len);
		assert_memory_equal(exact + at + CONTROL_HEAD, rows[i].body, len);
		at += (size_t)whole;
	}
	free(exact);
	buf_free(&b);
}

static void
both_parts_or_nothing(void **state)
{
	struct buf b = BUF_INIT(CONTROL_HEAD + 3);

	(void)state;
	assert_int_equal(control_put(&b, CONTROL_OUTPUT, "abcd", 4), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	assert_int_equal(control_put(&b, CONTROL_OUTPUT, "abc", 3), 0);
	assert_int_equal(b.len, CONTROL_HEAD + 3);
	assert_memory_equal(buf_head(&b), "O\0\0\0\3abc", 8);
	assert_int_equal(control_put(&b, CONTROL_END, "", 0), -EMSGSIZE);
	assert_int_equal(b.len, CONTROL_HEAD + 3);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(not_whole),
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(both_parts_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
