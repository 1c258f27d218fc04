/* package/container: what headers say is held against the file and against each other. */
#include "package/container.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "package/types.h"
#include "test/unit/package_fixture.h"

enum { DATA = 50, OBJECT = 128 + DATA, TWO = 64 + 2 * OBJECT };

/* Two objects, by hand; sums and lengths are right. */
static void
make_two(uint8_t p[TWO])
{
	memset(p, 0, TWO);
	memcpy(p, "PUTF7.2.0", 9);
	fixture_put32(p + 12, 2);
	fixture_put32(p + 16, TWO - 64);
	fixture_put32(p + 20, 64);
	memcpy(p + 24, "202202231700", 12);
	for (int i = 0; i < 2; i++) {
		uint8_t *h = p + 64 + i * OBJECT;

		memcpy(h, i ? "NIDSidsetdb" : "NIDSidsdb", i ? 11 : 9);
		fixture_put32(h + 44, 7);
		fixture_put32(h + 48, DATA);
		fixture_put32(h + 52, 128);
		memcpy(h + 56, "7.2.0", 5);
		memset(h + 128, 'a' + i, DATA);
		fixture_put32(h + 120, (uint32_t)crc32(0, h + 128, DATA));
		fixture_put32(h + 124, (uint32_t)crc32(crc32(0, h, 124), (const Bytef *)"H1dN", 4));
	}
	fixture_put32(p + 60, (uint32_t)crc32(crc32(0, p, 60), (const Bytef *)"B1gS", 4));
}

static int
read_bytes(const uint8_t *p, size_t len, struct container *c, struct err *e)
{
	int fd = fixture_memory(p, len), rc;

	assert_true(fd >= 0);
	rc = container_read(fd, c, e);
	close(fd);
	return rc;
}

static void
test_two_objects(void **state)
{
	struct container c;
	uint8_t p[TWO];

	(void)state;
	make_two(p);
	assert_int_equal(read_bytes(p, sizeof(p), &c, NULL), 0);
	assert_string_equal(c.version, "7.2.0");
	assert_string_equal(c.time, "202202231700");
	assert_int_equal(c.count, 2);
	assert_int_equal(c.size, TWO);
	for (size_t i = 0; i < 2; i++) {
		const struct container_object *o = &c.objects[i];

		assert_string_equal(o->type, "NIDS");
		assert_string_equal(o->name, i ? "idsetdb" : "idsdb");
		assert_string_equal(o->os_version, "7.2.0");
		assert_int_equal(o->flags, 7);
		assert_int_equal(o->at, 64 + i * OBJECT + 128);
		assert_int_equal(o->len, DATA);
		assert_true(o->header_intact);
	}
}

/* Every byte of the package's header is under its sum; of the objects' headers a wrong sum is noted. */
static void
test_each_bit_of_the_headers(void **state)
{
	struct container c;
	uint8_t p[TWO];

	(void)state;
	for (size_t bit = 0; bit < 64 * 8; bit++) {
		make_two(p);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (read_bytes(p, sizeof(p), &c, NULL) != -EBADMSG)
			fail_msg("bit %zu of the package header", bit);
	}
	for (size_t bit = 0; bit < 128 * 8; bit++) {
		make_two(p);
		p[64 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (!read_bytes(p, sizeof(p), &c, NULL) && c.objects[0].header_intact)
			fail_msg("bit %zu of an object's header", bit);
	}
}

static void
test_cut_off_anywhere(void **state)
{
	struct container c = {.count = 77};
	struct err e = ERR_NONE;
	uint8_t p[TWO];

	(void)state;
	make_two(p);
	for (size_t len = 0; len < sizeof(p); len++) {
		if (read_bytes(p, len, &c, &e) != -EBADMSG || !strstr(e.text, "expected"))
			assert_non_null(strstr(e.text, "bytes follow"));
	}
	/* and with a header that knows: the objects do not fit */
	for (size_t len = 64; len < sizeof(p); len++) {
		make_two(p);
		fixture_put32(p + 16, (uint32_t)len - 64);
		fixture_put32(p + 60, (uint32_t)crc32(crc32(0, p, 60), (const Bytef *)"B1gS", 4));
		if (read_bytes(p, len, &c, &e) != -EBADMSG || !strstr(e.text, "object"))
			fail_msg("cut to %zu bytes: %s", len, e.text);
	}
	assert_int_equal(c.count, 77);
}

static void
test_no_package(void **state)
{
	struct container c;
	struct err e = ERR_NONE;
	int fd, ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(container_read(ends[0], &c, &e), -EINVAL);
	assert_non_null(strstr(e.text, "regular file"));
	close(ends[0]);
	close(ends[1]);
	fd = fixture_memory("", 0);
	assert_int_equal(ftruncate(fd, (off_t)FORMAT_BYTES_MAX + 1), 0);
	assert_int_equal(container_read(fd, &c, &e), -EFBIG);
	close(fd);
}

static void
test_pread(void **state)
{
	int fd = fixture_memory("abcdef", 6);
	struct err e = ERR_NONE;
	char b[8];

	(void)state;
	assert_int_equal(container_pread(fd, b, 3, 2, &e), 0);
	assert_memory_equal(b, "cde", 3);
	assert_int_equal(container_pread(fd, b, 3, 4, &e), -EBADMSG);
	assert_string_equal(e.text, "package: 1 more bytes expected, the file's end found");
	assert_int_equal(container_pread(-1, b, 1, 0, &e), -EBADF);
	close(fd);
}

/* An object alone: its length is the file's, its kind what the caller says, and there is no sum to hold it against. */
static void
test_bare(void **state)
{
	const struct object_type *kind = types_called("idsetdb");
	struct container_object o = {.len = 7};
	uint8_t data[34] = "FOBJ";
	int fd = fixture_memory(data, 33), pipes[2];
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(container_bare(fd, kind, &o, &e), 0);
	assert_string_equal(o.type, "NIDS");
	assert_string_equal(o.name, "idsetdb");
	assert_true(o.at == 0 && o.len == 33 && o.bare);
	assert_int_equal(ftruncate(fd, 32), 0);
	assert_int_equal(container_bare(fd, kind, &o, &e), -EBADMSG);
	assert_int_equal(ftruncate(fd, (off_t)FORMAT_BYTES_MAX + 1), 0);
	assert_int_equal(container_bare(fd, kind, &o, &e), -EFBIG);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(container_bare(pipes[0], kind, &o, &e), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(o.len, 33);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_two_objects),
	    cmocka_unit_test(test_each_bit_of_the_headers),
	    cmocka_unit_test(test_cut_off_anywhere),
	    cmocka_unit_test(test_no_package),
	    cmocka_unit_test(test_pread),
	    cmocka_unit_test(test_bare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
