/* agent/frame: every field wrong, as soon as its byte is there; every bound on both sides. */
#include "agent/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void
wrong_field(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[8];
		size_t n;
		const char *field, *expected, *got;
	} rows[] = {
	    {"first byte of the magic", {0x37}, 1, "magic", "expected 36", "got 37"},
	    {"a TLS record", {0x16, 0x03, 0x01, 0x02}, 1, "magic", "expected 36", "got 16"},
	    {"HTTP", "GET /", 1, "magic", "expected 36", "got 47"},
	    {"second byte of the magic", {0x36, 0xe1}, 2, "magic", "expected e0", "got e1"},
	    {"version", {0x36, 0xe0, 0x10}, 3, "version", "expected 11", "got 10"},
	    {"type", {0x36, 0xe0, 0x11, 0x02}, 4, "type", "expected 00 or 01", "got 02"},
	    {"highest type", {0x36, 0xe0, 0x11, 0xff}, 4, "type", "expected 00 or 01", "got ff"},
	    {"no length", {0x36, 0xe0, 0x11, 0, 0, 0, 0, 0}, 8, "length", "expected 9 to 69640", "got 0"},
	    {"a header only", {0x36, 0xe0, 0x11, 0, 0, 0, 0, 8}, 8, "length", "expected 9 to 69640", "got 8"},
	    {"one too long",
	     {0x36, 0xe0, 0x11, 1, 0, 0x01, 0x10, 0x09},
	     8,
	     "length",
	     "expected 9 to 69640",
	     "got 69641"},
	    {"little-endian", {0x36, 0xe0, 0x11, 0, 9, 0, 0, 0}, 8, "length", "expected 9 to 69640", "got 150994944"},
	    {"beyond 31 bits",
	     {0x36, 0xe0, 0x11, 0, 0xff, 0xff, 0xff, 0xff},
	     8,
	     "length",
	     "expected 9 to 69640",
	     "got 4294967295"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame f = {.len = 77};
		struct err e = ERR_NONE;
		uint8_t p[8];

		print_message("  %s\n", rows[i].what);
		memcpy(p, rows[i].bytes, sizeof(p));
		/* one byte before, nothing is known; with it, nothing more is waited for */
		assert_int_equal(frame_parse(p, rows[i].n - 1, &f, &e), 0);
		assert_int_equal(frame_parse(p, rows[i].n, &f, &e), -EPROTO);
		assert_int_equal(e.code, -EPROTO);
		if (!strstr(e.text, rows[i].field) || !strstr(e.text, rows[i].expected) || !strstr(e.text, rows[i].got))
			fail_msg("'%s' does not name %s, %s, %s", e.text, rows[i].field, rows[i].expected, rows[i].got);
		assert_int_equal(f.len, 77);
	}
}

/* A frame that arrives byte by byte, in a copy of its exact size each time. */
static void
every_bound(void **state)
{
	static const struct {
		const char *what;
		enum frame_type type;
		size_t total;
	} rows[] = {
	    {"shortest message", FRAME_MESSAGE, 9},
	    {"shortest packet", FRAME_PACKET, 9},
	    {"in between", FRAME_MESSAGE, 0x1234},
	    {"longest", FRAME_PACKET, 69640},
	};

	(void)state;
	assert_int_equal(PROFILE_FRAME_MAX, 65536 + 4096 + 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static const size_t arrived[] = {0, 1, 2, 3, 4, 5, 7, 8};
		uint8_t head[PROFILE_FRAME_HEADER], *p = calloc(1, rows[i].total + 1);
		struct frame f = {.len = 77777};

		print_message("  %s\n", rows[i].what);
		assert_non_null(p);
		frame_header(head, rows[i].type, rows[i].total - PROFILE_FRAME_HEADER);
		memcpy(p, head, sizeof(head));
		for (size_t k = 0; k < sizeof(arrived) / sizeof(arrived[0]); k++)
			assert_int_equal(frame_parse(p, arrived[k], &f, NULL), 0);
		assert_int_equal(frame_parse(p, rows[i].total - 1, &f, NULL), 0);
		assert_int_equal(f.len, 77777);
		/* what follows is the next frame's */
		p[rows[i].total] = 0xff;
		for (size_t more = 0; more < 2; more++) {
			assert_int_equal(frame_parse(p, rows[i].total + more, &f, NULL), rows[i].total);
			assert_int_equal(f.type, rows[i].type);
			assert_ptr_equal(f.body, p + PROFILE_FRAME_HEADER);
			assert_int_equal(f.len, rows[i].total - PROFILE_FRAME_HEADER);
		}
		free(p);
	}
}

static void
header_of_the_profile(void **state)
{
	static const uint8_t message[] = {0x36, 0xe0, 0x11, 0x00, 0x00, 0x00, 0x00, 0x14};
	static const uint8_t packet[] = {0x36, 0xe0, 0x11, 0x01, 0x00, 0x01, 0x10, 0x08};
	uint8_t head[PROFILE_FRAME_HEADER];

	(void)state;
	frame_header(head, FRAME_MESSAGE, 12);
	assert_memory_equal(head, message, sizeof(message));
	frame_header(head, FRAME_PACKET, 69632);
	assert_memory_equal(head, packet, sizeof(packet));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wrong_field),
	    cmocka_unit_test(every_bound),
	    cmocka_unit_test(header_of_the_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
