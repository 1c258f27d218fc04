/* agent/gzip: streams of gzip members, in pieces, with a bound on what they may grow to. */
#include "agent/gzip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

enum { MANY = 1024 * 1024 };

static struct buf got;
static int data_rc;

static int
on_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)e;
	assert_int_equal(buf_put(&got, p, n), 0);
	return data_rc;
}

static int
setup(void **state)
{
	(void)state;
	got = BUF_INIT(64 * MANY);
	data_rc = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&got);
	return 0;
}

/* One member of this text. */
static struct buf
packed(struct gzip *z, const void *text, size_t len)
{
	struct buf b = BUF_INIT(64 * MANY);

	assert_int_equal(gzip_put(z, text, len, &b), 0);
	assert_int_equal(gzip_end(z, &b), 0);
	return b;
}

static int
take(struct gunzip *g, const struct buf *b, size_t piece, struct err *e)
{
	int rc = 0;

	for (size_t at = 0; at < b->len && !rc; at += piece)
		rc = gunzip_take(g, buf_head(b) + at, b->len - at < piece ? b->len - at : piece, on_data, NULL, e);
	return rc;
}

/* Text that gzip makes smaller, but not by much. */
static char *
words(size_t len)
{
	char *text = malloc(len);
	unsigned seed = 1;

	assert_non_null(text);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245u + 12345u;
		text[i] = (char)('a' + (seed >> 16) % 26);
	}
	return text;
}

static void
in_pieces(void **state)
{
	static const size_t pieces[] = {1, 7, 4096, 100000, 2 * MANY};
	char *text = words(MANY);
	struct gzip *z = gzip_new();
	struct buf b = packed(z, text, MANY);

	(void)state;
	assert_true(b.len < MANY);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct gunzip *g = gunzip_new();
		struct err e = ERR_NONE;

		buf_cut(&got, 0);
		assert_int_equal(take(g, &b, pieces[i], &e), 0);
		assert_int_equal(gunzip_end(g, &e), 0);
		assert_int_equal(got.len, MANY);
		assert_memory_equal(buf_head(&got), text, MANY);
		gunzip_free(g);
	}
	buf_free(&b);
	gzip_free(z);
	free(text);
}

/* A line can be read before the next one is written. */
static void
lines_come_at_once(void **state)
{
	struct gzip *z = gzip_new();
	struct gunzip *g = gunzip_new();
	struct buf b = BUF_INIT(MANY);
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(gzip_put(z, "first\n", 6, &b), 0);
	assert_int_equal(take(g, &b, MANY, &e), 0);
	assert_int_equal(got.len, 6);
	assert_int_equal(gunzip_end(g, &e), -EPROTO);
	buf_free(&b);
	gunzip_free(g);
	gzip_free(z);
}

/* One stream after the other on one channel; one without a byte between them. */
static void
several_streams(void **state)
{
	struct gzip *z = gzip_new();
	struct gunzip *g = gunzip_new();
	struct err e = ERR_NONE;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct buf b = packed(z, "again", 5);

		assert_int_equal(take(g, &b, 3, &e), 0);
		assert_int_equal(gunzip_end(g, &e), 0);
		assert_int_equal(gunzip_end(g, &e), 0);
		buf_free(&b);
	}
	assert_int_equal(got.len, 15);
	gunzip_free(g);
	gzip_free(z);
}

static void
hostile_bytes(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		int rc, end;
	} rows[] = {
	    {"text", "config system", 13, -EPROTO, 0},
	    {"zlib, not gzip", "\x78\x9c\x03\x00\x00\x00\x00\x01", 8, -EPROTO, 0},
	    {"a header alone", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10, 0, -EPROTO},
	    {"another method", "\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x03", 10, -EPROTO, 0},
	    {"an empty member", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20,
	     0, 0},
	    {"a byte after it", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00x", 21,
	     -EPROTO, 0},
	    {"a wrong sum", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x01\x00\x00\x00\x00\x00\x00\x00", 20,
	     -EPROTO, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gunzip *g = gunzip_new();
		struct err e = ERR_NONE;
		int rc = gunzip_take(g, (const uint8_t *)rows[i].bytes, rows[i].len, on_data, NULL, &e);

		if (rc != rows[i].rc || (!rc && gunzip_end(g, &e) != rows[i].end))
			fail_msg("%s: %d %s", rows[i].what, rc, e.text);
		assert_int_equal(got.len, 0);
		gunzip_free(g);
	}
}

/* "Decompressed at most 100 times the compressed bytes": never more is handed on, whatever else would follow. */
static void
bombs(void **state)
{
	char *text = calloc(1, MANY);
	struct gzip *z = gzip_new();
	struct buf b = packed(z, text, MANY);
	struct gunzip *g = gunzip_new();
	struct err e = ERR_NONE;

	(void)state;
	assert_true(b.len * GZIP_RATIO_MAX < MANY);
	assert_int_equal(take(g, &b, 100, &e), -EFBIG);
	assert_true(got.len <= b.len * GZIP_RATIO_MAX);
	gunzip_free(g);
	buf_free(&b);
	gzip_free(z);
	free(text);
}

/* The owner's own bound. */
static void
owner_has_enough(void **state)
{
	struct gzip *z = gzip_new();
	struct buf b = packed(z, "enough", 6);
	struct gunzip *g = gunzip_new();
	struct err e = ERR_NONE;

	(void)state;
	data_rc = 413;
	assert_int_equal(take(g, &b, 100, &e), 413);
	gunzip_free(g);
	buf_free(&b);
	gzip_free(z);
}

static void
output_is_bounded(void **state)
{
	char *text = words(MANY);
	struct gzip *z = gzip_new();
	struct buf b = BUF_INIT(10000);

	(void)state;
	assert_int_equal(gzip_put(z, text, MANY, &b), -EMSGSIZE);
	buf_free(&b);
	gzip_free(z);
	gzip_free(NULL);
	gunzip_free(NULL);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(in_pieces, setup, teardown),
	    cmocka_unit_test_setup_teardown(lines_come_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(several_streams, setup, teardown),
	    cmocka_unit_test_setup_teardown(hostile_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(bombs, setup, teardown),
	    cmocka_unit_test_setup_teardown(owner_has_enough, setup, teardown),
	    cmocka_unit_test_setup_teardown(output_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
