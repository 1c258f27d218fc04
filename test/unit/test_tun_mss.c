#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "test/unit/packets.h"
#include "tun/mss.h"

enum { ACK = 0x10, SYN = 0x02 };

static void
lowered(void **state)
{
	static const struct {
		const char *what;
		bool v6;
		uint8_t flags, options[12]; /* written over the packet's 12 bytes of options */
		size_t ip_options, mtu;
		int value_at, want; /* offset in the options, -1: none; value afterwards */
	} rows[] = {
	    {"fits", false, SYN, {2, 4, 0x05, 0xb4}, 0, 1500, 2, 1460},
	    {"one too large", false, SYN, {2, 4, 0x05, 0xb5}, 0, 1500, 2, 1460},
	    {"largest", false, SYN, {2, 4, 0xff, 0xff}, 0, 1500, 2, 1460},
	    {"smaller", false, SYN, {2, 4, 0x02, 0x18}, 0, 1500, 2, 536},
	    {"answer", false, SYN | ACK, {2, 4, 0x23, 0x00}, 0, 1400, 2, 1360},
	    {"IPv6", true, SYN, {2, 4, 0x23, 0x00}, 0, 1500, 2, 1440},
	    {"behind others", false, SYN, {4, 2, 1, 1, 2, 4, 0x23, 0x00}, 0, 1500, 6, 1460},
	    {"at an odd place", false, SYN, {1, 2, 4, 0x23, 0x00}, 0, 1500, 3, 1460},
	    {"at an odd place, IPv6", true, SYN, {3, 3, 7, 2, 4, 0x23, 0x00}, 0, 1280, 5, 1220},
	    {"last", false, SYN, {1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 0x23, 0x00}, 0, 1500, 10, 1460},
	    {"IP options", false, SYN, {2, 4, 0x23, 0x00}, 8, 1500, 2, 1460},
	    {"MTU below all headers", false, SYN, {2, 4, 0x23, 0x00}, 0, 40, 2, 0x2300},
	    {"no SYN", false, ACK, {2, 4, 0x23, 0x00}, 0, 1500, -1, 0},
	    {"none", false, SYN, {1, 1, 4, 2}, 0, 1500, -1, 0},
	    {"behind the end of options", false, SYN, {0, 2, 4, 0x23, 0x00}, 0, 1500, -1, 0},
	    {"length 0", false, SYN, {3, 0, 2, 4, 0x23, 0x00}, 0, 1500, -1, 0},
	    {"length beyond the end", false, SYN, {3, 13, 2, 4, 0x23, 0x00}, 0, 1500, -1, 0},
	    {"cut off", false, SYN, {1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 0x23}, 0, 1500, -1, 0},
	    {"wrong length", false, SYN, {2, 3, 0x23, 2, 2, 0, 0}, 0, 1500, -1, 0},
	    {"IPv6 behind another header", true, SYN, {2, 4, 0x23, 0x00}, 8, 1500, -1, 0},
	};
	uint8_t pkt[200], was[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packets_shape s = {.v6 = rows[i].v6, .flags = rows[i].flags, .options = 12, .payload = 3};
		size_t len, l4, at, options;

		s.ip_options = rows[i].ip_options;
		len = packets_build(pkt, &s);
		l4 = packets_l4(&s);
		options = l4 + 20;
		memcpy(pkt + options, rows[i].options, 12);
		packets_put(pkt + l4 + 16, 2, 0);
		packets_put(pkt + l4 + 16, 2, 0xffff - packets_l4_sum(pkt, len, l4, false));
		memcpy(was, pkt, len);
		at = mss_find(pkt, len);
		if (at != (rows[i].value_at < 0 ? 0 : options + (size_t)rows[i].value_at))
			fail_msg("%s: found at %zu", rows[i].what, at);
		if (!at)
			continue;
		mss_clamp(pkt, at, rows[i].mtu);
		if ((int)packets_get(pkt + at) != rows[i].want || packets_wrong(pkt, len, l4, false))
			fail_msg("%s: %u, %s", rows[i].what, packets_get(pkt + at), packets_wrong(pkt, len, l4, false));
		memcpy(pkt + at, was + at, 2);
		memcpy(pkt + l4 + 16, was + l4 + 16, 2);
		assert_memory_equal(pkt, was, len); /* nothing else has changed */
	}
}

/* Cut at any byte, the options are not read beyond the end; a wrong sum does not become right. */
static void
cut_and_damaged(void **state)
{
	const struct packets_shape s = {.flags = SYN, .options = 12};
	uint8_t pkt[200];
	size_t len, at;

	(void)state;
	for (size_t n = 20; n < 52; n++) {
		uint8_t *exact = malloc(n);

		assert_non_null(exact);
		packets_build(pkt, &s);
		memset(pkt + 40, 1, 8);
		memcpy(pkt + 48, "\2\4\x23", 4);
		memcpy(exact, pkt, n);
		assert_int_equal(mss_find(exact, n), 0);
		free(exact);
	}
	len = packets_build(pkt, &s);
	memcpy(pkt + 40, "\2\4\x23", 4);
	at = mss_find(pkt, len);
	assert_int_equal(at, 42);
	mss_clamp(pkt, at, 1500);
	assert_string_equal(packets_wrong(pkt, len, 20, false), "sum");
	/* a fragment behind the first has no header */
	pkt[7] = 1;
	assert_int_equal(mss_find(pkt, len), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lowered),
	    cmocka_unit_test(cut_and_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
