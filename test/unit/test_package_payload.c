/* package/payload: everything that is in it and nothing else, in pieces, within bounds. */
#include "package/payload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "package/object.h"
#include "test/unit/package_fixture.h"

enum { LONG = 300000, MAX = 1024 * 1024, LEAD = 5 };

struct taken {
	uint8_t data[LONG];
	size_t len;
	int answer;
};

static int
take(void *ctx, const void *data, size_t len)
{
	struct taken *t = ctx;

	if (t->answer)
		return t->answer;
	assert_true(len <= sizeof(t->data) - t->len);
	memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

/* Something that does not pack well, so that the packed form has many pieces, too. */
static void
fill(uint8_t *p, size_t len)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24 & 0x3f);
	}
	p[0] = 'd';
}

/* `data` behind a few other bytes. */
static int
extract(const void *data, size_t len, uint32_t max, payload_sink_fn *sink, struct taken *t, uint32_t *out,
	struct err *e)
{
	struct object_label l = {.payload_at = LEAD, .payload_len = (uint32_t)len};
	int fd = fixture_memory("other", LEAD), rc;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), 0);
	assert_int_equal(file_write_all(fd, "behind", 6), 0);
	rc = payload_extract(fd, &l, max, sink, t, out, e);
	close(fd);
	return rc;
}

static void
test_lengths(void **state)
{
	static const size_t lengths[] = {1, 2, 32767, 32768, 32769, 65536, LONG};
	static uint8_t plain[LONG], packed[LONG + 1000];
	static struct taken t;
	uint32_t out = 0;

	(void)state;
	fill(plain, sizeof(plain));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uLongf n = sizeof(packed);

		t.len = 0;
		assert_int_equal(extract(plain, lengths[i], MAX, take, &t, &out, NULL), 0);
		assert_int_equal(out, lengths[i]);
		assert_int_equal(t.len, lengths[i]);
		assert_memory_equal(t.data, plain, lengths[i]);
		assert_int_equal(compress2(packed, &n, plain, lengths[i], 9), Z_OK);
		t.len = 0;
		assert_int_equal(extract(packed, n, MAX, take, &t, &out, NULL), 0);
		assert_int_equal(out, lengths[i]);
		assert_int_equal(t.len, lengths[i]);
		assert_memory_equal(t.data, plain, lengths[i]);
	}
	assert_int_equal(extract(plain, 0, MAX, take, &t, &out, NULL), 0);
	assert_int_equal(out, 0);
}

/* The stream is whole, or nothing is said of its length. */
static void
test_packed_cut_off(void **state)
{
	static uint8_t plain[2000], packed[4000];
	uLongf n = sizeof(packed);
	struct err e = ERR_NONE;
	uint32_t out = 99;

	(void)state;
	fill(plain, sizeof(plain));
	assert_int_equal(compress2(packed, &n, plain, sizeof(plain), 9), Z_OK);
	for (size_t len = 2; len < n; len++)
		assert_int_equal(extract(packed, len, MAX, NULL, NULL, &out, &e), -EBADMSG);
	assert_int_equal(out, 99);
	packed[n] = 0;
	assert_int_equal(extract(packed, n + 1, MAX, NULL, NULL, &out, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "1 bytes found behind"));
	assert_int_equal(extract(packed, n, MAX, NULL, NULL, &out, &e), 0);
	assert_int_equal(out, sizeof(plain));
}

static void
test_bounds(void **state)
{
	static uint8_t zeros[LONG], packed[4000];
	uLongf n = sizeof(packed);
	struct err e = ERR_NONE;
	uint32_t out;

	(void)state;
	/* a bomb, by what it packs */
	assert_int_equal(compress2(packed, &n, zeros, sizeof(zeros), 9), Z_OK);
	assert_true(n * 100 < sizeof(zeros));
	assert_int_equal(extract(packed, n, MAX, NULL, NULL, &out, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "at most"));
	/* and by what its type may have */
	fill(zeros, 1000);
	assert_int_equal(extract(zeros, 1000, 999, NULL, NULL, &out, &e), -EBADMSG);
	assert_string_equal(e.text, "payload: at most 999 bytes expected, more found");
	assert_int_equal(extract(zeros, 1000, 1000, NULL, NULL, &out, &e), 0);
}

static void
test_sink_refuses(void **state)
{
	static struct taken t = {.answer = -ENOSPC};
	struct err e = ERR_NONE;
	uint32_t out;

	(void)state;
	assert_int_equal(extract("data", 4, MAX, take, &t, &out, &e), -ENOSPC);
	assert_int_equal(t.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_packed_cut_off),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_sink_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
