/* package/payload: everything that is in it and nothing else, in pieces, within bounds. */
// wrap: copy_file_range
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

/* What the kernel answers: an error from the call after so many on (-1 stands for the end of the file), or at most so
 * much at once; zeros: as it does. */
static struct {
	int error;
	unsigned after;
	size_t most;
	unsigned calls;
} kernel;

ssize_t __wrap_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags);
ssize_t __real_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags);

ssize_t
__wrap_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags)
{
	if (kernel.error && kernel.calls++ >= kernel.after) {
		errno = kernel.error;
		if (kernel.error == EINTR)
			kernel.error = 0;
		return kernel.error < 0 ? 0 : -1;
	}
	kernel.calls += !kernel.error;
	if (kernel.most && len > kernel.most)
		len = kernel.most;
	return __real_copy_file_range(from_fd, from_at, to_fd, to_at, len, flags);
}

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

/* `data` into a file that has something in it already. */
static int
extract_to(const void *data, size_t len, uint32_t max, int to_fd, uint32_t *out, struct err *e)
{
	struct object_label l = {.payload_at = LEAD, .payload_len = (uint32_t)len};
	int fd = fixture_memory("other", LEAD), rc;
	struct payload *p = NULL;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), 0);
	assert_int_equal(file_write_all(fd, "behind", 6), 0);
	rc = payload_new_file(fd, &l, max, to_fd, &p, e);
	while (!rc && (rc = payload_step(p, e)) > 0)
		rc = 0;
	*out = p ? payload_len(p) : 0;
	payload_free(p);
	close(fd);
	return rc;
}

static void
check_file(const uint8_t *data, size_t len, const uint8_t *plain, size_t plain_len)
{
	static uint8_t back[3 * 1024 * 1024];
	int fd = fixture_memory("there", 5);
	uint32_t out;

	assert_int_equal(extract_to(data, len, sizeof(back), fd, &out, NULL), 0);
	assert_int_equal(out, plain_len);
	assert_int_equal(pread(fd, back, sizeof(back), 0), 5 + plain_len);
	assert_memory_equal(back, "there", 5);
	assert_memory_equal(back + 5, plain, plain_len);
	close(fd);
}

static void
test_into_a_file(void **state)
{
	enum { SEVERAL_STEPS = 5 * 1024 * 1024 / 2 };
	static uint8_t plain[SEVERAL_STEPS], packed[SEVERAL_STEPS + 10000];
	static const int errors[] = {EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EINTR, -1};
	uLongf n = sizeof(packed);
	struct err e = ERR_NONE;
	uint32_t out;
	int fd;

	(void)state;
	fill(plain, sizeof(plain));
	assert_int_equal(compress2(packed, &n, plain, sizeof(plain), 1), Z_OK);
	check_file(packed, n, plain, sizeof(plain));
	assert_int_equal(kernel.calls, 0);
	check_file(plain, sizeof(plain), plain, sizeof(plain));
	assert_true(kernel.calls > 0);
	for (size_t i = 0; i < 2 * sizeof(errors) / sizeof(errors[0]); i++) {
		kernel.error = errors[i / 2];
		kernel.after = i % 2 ? 13 : 0; /* some of it has been copied, in the middle of a step */
		kernel.most = 100000;
		kernel.calls = 0;
		check_file(plain, sizeof(plain), plain, sizeof(plain));
		assert_true(kernel.error == 0 || kernel.calls == kernel.after + 1);
	}
	kernel.error = ENOSPC;
	kernel.after = 0;
	fd = fixture_memory("there", 5);
	assert_int_equal(extract_to(plain, LONG, MAX, fd, &out, &e), -ENOSPC);
	memset(&kernel, 0, sizeof(kernel));
	assert_int_equal(extract_to(plain, LONG, LONG - 1, fd, &out, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "at most"));
	assert_int_equal(lseek(fd, 0, SEEK_END), 5);
	close(fd);
}

/* What nobody takes is not read, but for the two bytes that tell whether it is packed. */
static void
test_passed_over(void **state)
{
	struct object_label l = {.payload_at = LEAD, .payload_len = LONG};
	int fd = fixture_memory("other and no more", 17);
	struct payload *p = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(payload_new(fd, &l, MAX, NULL, NULL, &p, &e), 0);
	assert_int_equal(payload_step(p, &e), 0);
	assert_int_equal(payload_len(p), LONG);
	assert_int_equal(payload_taken(p), LONG);
	payload_free(p);
	close(fd);
}

/* The file is shorter than its label said. */
static void
test_file_ends_early(void **state)
{
	struct object_label l = {.payload_at = LEAD, .payload_len = LONG};
	int fd = fixture_memory("other and no more", 17), to_fd = fixture_memory("", 0);
	struct err e = ERR_NONE;
	struct payload *p = NULL;
	int rc;

	(void)state;
	assert_int_equal(payload_new_file(fd, &l, MAX, to_fd, &p, &e), 0);
	do
		rc = payload_step(p, &e);
	while (rc > 0);
	assert_int_equal(rc, -EBADMSG);
	assert_non_null(strstr(e.text, "the file's end found"));
	payload_free(p);
	close(fd);
	close(to_fd);
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
	    cmocka_unit_test(test_lengths),      cmocka_unit_test(test_packed_cut_off),
	    cmocka_unit_test(test_bounds),       cmocka_unit_test(test_into_a_file),
	    cmocka_unit_test(test_passed_over),  cmocka_unit_test(test_file_ends_early),
	    cmocka_unit_test(test_sink_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
