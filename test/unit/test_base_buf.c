/* base/buf: the ceiling, the queue, memory that runs out, and a reader that cannot run past its end. */
// wrap: malloc
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool no_memory;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *
__wrap_malloc(size_t n)
{
	return no_memory ? NULL : __real_malloc(n);
}

static void
assert_holds(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(buf_head(b), text, b->len);
}

static void
ceiling(void **state)
{
	static const struct {
		const char *what, *first, *more;
		int rc;
		const char *held;
	} rows[] = {
	    {"one too many at once", "", "123456", -EMSGSIZE, ""},
	    {"one too many in the end", "1234", "56", -EMSGSIZE, "1234"},
	    {"anything when full", "12345", "6", -EMSGSIZE, "12345"},
	    {"exactly at once", "", "12345", 0, "12345"},
	    {"exactly in the end", "12", "345", 0, "12345"},
	    {"nothing when full", "12345", "", 0, "12345"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(5);

		print_message("  %s\n", rows[i].what);
		assert_int_equal(buf_str(&b, rows[i].first), 0);
		assert_int_equal(buf_put(&b, rows[i].more, strlen(rows[i].more)), rows[i].rc);
		assert_int_equal(b.error, rows[i].rc);
		assert_holds(&b, rows[i].held);
		buf_free(&b);
		assert_int_equal(b.max, 5);
	}
}

static void
ceiling_holds_for_every_way_in(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	assert_int_equal(buf_printf(&b, "%d", 123456), -EMSGSIZE);
	assert_null(buf_room(&b, 6));
	assert_null(buf_room(&b, SIZE_MAX));
	assert_int_equal(buf_put(&b, "", SIZE_MAX), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_printf(&b, "%d", 12345), 0);
	assert_holds(&b, "12345");
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	buf_free(&b);
	b = BUF_INIT(0);
	assert_int_equal(buf_str(&b, ""), 0);
	assert_int_equal(buf_str(&b, "x"), -EMSGSIZE);
	buf_free(&b);
}

static void
memory_runs_out(void **state)
{
	struct buf b = BUF_INIT(10000);
	char many[1000];

	(void)state;
	memset(many, 'x', sizeof(many));
	no_memory = true;
	assert_int_equal(buf_str(&b, "a"), -ENOMEM);
	assert_int_equal(buf_printf(&b, "a"), -ENOMEM);
	assert_null(buf_room(&b, 1));
	assert_null(buf_steal(&b, NULL));
	assert_int_equal(b.len, 0);
	no_memory = false;
	assert_int_equal(buf_str(&b, "abc"), 0);
	no_memory = true;
	assert_int_equal(buf_put(&b, many, sizeof(many)), -ENOMEM);
	no_memory = false;
	assert_holds(&b, "abc");
	buf_free(&b);
}

static void
first_failure_is_remembered(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	no_memory = true;
	assert_int_equal(buf_str(&b, "a"), -ENOMEM);
	no_memory = false;
	assert_int_equal(buf_str(&b, "123456"), -EMSGSIZE);
	assert_int_equal(buf_str(&b, "1"), 0);
	assert_int_equal(b.error, -ENOMEM);
	buf_free(&b);
	assert_int_equal(b.error, 0);
	buf_free(&b);
	assert_holds(&b, "");
}

/* A long history of appends and takes of many sizes against a plain array. */
static void
queue_keeps_the_order(void **state)
{
	struct buf b = BUF_INIT(3000);
	uint8_t chunk[300], next_in = 0, next_out = 0;
	unsigned seed = 1;

	(void)state;
	for (int turn = 0; turn < 20000; turn++) {
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 255;

		if (turn / 100 % 2 == 0) {
			for (size_t i = 0; i < n; i++)
				chunk[i] = (uint8_t)(next_in + i);
			if (!buf_put(&b, chunk, n))
				next_in = (uint8_t)(next_in + n);
			continue;
		}
		if (n > b.len)
			n = b.len;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_head(&b)[i], next_out++);
		buf_take(&b, n);
	}
	assert_true(b.cap <= 2 * 3000 + 256);
	buf_free(&b);
}

static void
emptied_is_free(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_non_null(buf_head(&b));
	buf_str(&b, "abcdef");
	buf_take(&b, 0);
	buf_take(&b, 2);
	assert_holds(&b, "cdef");
	buf_cut(&b, 3);
	assert_holds(&b, "cde");
	buf_take(&b, 3);
	assert_null(b.data);
	buf_str(&b, "x");
	buf_cut(&b, 0);
	assert_null(b.data);
}

static void
stolen_text(void **state)
{
	struct buf b = BUF_INIT(6);
	size_t len = 77;
	char *p;

	(void)state;
	p = buf_steal(&b, &len);
	assert_string_equal(p, "");
	assert_int_equal(len, 0);
	free(p);
	buf_str(&b, "abcdef");
	buf_take(&b, 2);
	p = buf_steal(&b, &len);
	assert_string_equal(p, "cdef");
	assert_int_equal(len, 4);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 6);
	free(p);
	buf_str(&b, "full67");
	p = buf_steal(&b, NULL);
	assert_string_equal(p, "full67");
	free(p);
}

static void
room_is_given_and_used(void **state)
{
	struct buf b = BUF_INIT(1000);
	uint8_t *p = buf_room(&b, 1000);

	(void)state;
	assert_non_null(p);
	memset(p, 'x', 1000);
	buf_grew(&b, 3);
	assert_holds(&b, "xxx");
	assert_non_null(buf_room(&b, 997));
	assert_null(buf_room(&b, 998));
	buf_free(&b);
}

static void
reader_stops_at_the_end(void **state)
{
	static const uint8_t bytes[] = {0xff, 0x80, 0x01, 0x80, 0x00, 0x00, 0x02};
	struct rd r = rd_init(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(rd_u8(&r), 0xff);
	assert_int_equal(rd_u16be(&r), 0x8001);
	assert_true(rd_u32be(&r) == 0x80000002u);
	assert_int_equal(r.left, 0);
	assert_false(r.bad);
	assert_ptr_equal(rd_bytes(&r, 0), bytes + sizeof(bytes));
	assert_int_equal(rd_u8(&r), 0);
	assert_true(r.bad);
	assert_null(rd_bytes(&r, 0));
}

/* Emptied in whatever way, its storage serves the next bytes; freed, it is free. */
static void
emptied_is_kept(void **state)
{
	struct buf b = BUF_INIT(1000);
	uint8_t *storage;

	(void)state;
	b.keep = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(buf_put(&b, "0123456789", 10), 0);
		storage = b.data;
		buf_take(&b, 4);
		buf_take(&b, 6);
		assert_ptr_equal(b.data, storage);
		assert_int_equal(b.len + b.off, 0);
		assert_int_equal(buf_put(&b, "abc", 3), 0);
		assert_memory_equal(buf_head(&b), "abc", 3);
		buf_cut(&b, 0);
		assert_ptr_equal(b.data, storage);
	}
	assert_int_equal(buf_put(&b, "x", 1), 0);
	b.keep = false;
	buf_take(&b, 1);
	assert_null(b.data);
	b.keep = true;
	buf_free(&b);
	assert_true(b.keep);
	assert_int_equal(b.max, 1000);
}

static void
short_read_spoils_the_rest(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct rd r = rd_init(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(rd_u32be(&r), 0);
	assert_true(r.bad);
	assert_int_equal(r.left, 3);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_u16be(&r), 0);
	assert_null(rd_bytes(&r, 1));
	r = rd_init(bytes, sizeof(bytes));
	assert_null(rd_bytes(&r, SIZE_MAX));
	r = rd_init(bytes, 1);
	assert_int_equal(rd_u16be(&r), 0);
	r = rd_init(NULL, 0);
	assert_int_equal(rd_u8(&r), 0);
	assert_true(r.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ceiling),
	    cmocka_unit_test(ceiling_holds_for_every_way_in),
	    cmocka_unit_test(memory_runs_out),
	    cmocka_unit_test(first_failure_is_remembered),
	    cmocka_unit_test(queue_keeps_the_order),
	    cmocka_unit_test(emptied_is_free),
	    cmocka_unit_test(emptied_is_kept),
	    cmocka_unit_test(stolen_text),
	    cmocka_unit_test(room_is_given_and_used),
	    cmocka_unit_test(reader_stops_at_the_end),
	    cmocka_unit_test(short_read_spoils_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
