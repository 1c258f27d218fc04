#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/packets.h"
#include "tun/checksum.h"

/* RFC 1071, section 3, and sums whose carries have to come round. */
static void
known(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t len;
		uint16_t want;
	} rows[] = {
	    {"nothing", {0}, 0, 0xffff},
	    {"the RFC's", {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 8, 0x220d},
	    {"odd", {0x12, 0x34, 0x56}, 3, 0x97cb},
	    {"all ones", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 10, 0},
	    {"one carry", {0xff, 0xff, 0x00, 0x01}, 4, 0xfffe},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint16_t sum = checksum_fold(checksum_add(0, rows[i].bytes, rows[i].len));
		uint8_t got[2];

		memcpy(got, &sum, 2);
		if (packets_get(got) != rows[i].want)
			fail_msg("%s: %04x", rows[i].what, packets_get(got));
	}
}

/* Every length and offset, bytes that carry often, against the sum of two bytes at a time. */
static void
every_length(void **state)
{
	uint8_t bytes[400];
	uint64_t dice = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = packets_dice(&dice, 3) ? 0xff : (uint8_t)packets_dice(&dice, 256);
	for (size_t at = 0; at < 16; at++) {
		for (size_t n = 0; n < 300; n++) {
			uint64_t whole = checksum_add(UINT64_MAX, bytes + at, n);
			uint64_t parts = checksum_add(checksum_add(UINT64_MAX, bytes + at, n / 4 * 2),
						      bytes + at + n / 4 * 2, n - n / 4 * 2);
			uint16_t sum = checksum_partial(whole);
			uint8_t got[2];

			memcpy(got, &sum, 2);
			/* all ones are one of the two ways to say nothing */
			if (packets_get(got) % 0xffff != packets_sum(0, bytes + at, n) % 0xffff)
				fail_msg("%zu bytes at %zu", n, at);
			assert_int_equal(checksum_partial(parts) % 0xffff, sum % 0xffff);
		}
	}
}

static void
headers(void **state)
{
	const struct packets_shape shapes[] = {{.payload = 3}, {.v6 = true, .payload = 7}, {.udp = true, .payload = 1}};
	uint8_t pkt[200], good[200];

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		size_t len = packets_build(pkt, &shapes[i]), l4 = packets_l4(&shapes[i]);
		uint8_t protocol = shapes[i].udp ? 17 : 6;

		memcpy(good, pkt, len);
		assert_int_equal(checksum_fold(checksum_add(checksum_pseudo(pkt, shapes[i].v6, protocol, len - l4),
							    pkt + l4, len - l4)),
				 0);
		if (shapes[i].v6)
			continue;
		memset(pkt + 10, 0xa5, 2);
		checksum_put_v4(pkt, 20);
		assert_memory_equal(pkt, good, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known),
	    cmocka_unit_test(every_length),
	    cmocka_unit_test(headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
