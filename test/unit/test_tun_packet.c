#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tun/packet.h"

#define V4_LOCAL "169.254.0.2"
#define V4_OTHER "192.168.48.46"
#define V6_LOCAL "2001:db8::2"
#define V6_OTHER "2001:db8::1"
#define V4_MAPPED "::ffff:169.254.0.2"

struct shape {
	const char *what;
	const char *tunnel; /* "" : none */
	enum packet_way way;
	uint8_t first;   /* version and, for v4, header length */
	int declared;    /* length field; -1: what fits `len` */
	size_t len;      /* bytes handed over */
	const char *src; /* family of the packet's addresses is theirs */
	const char *dst;
	enum packet_verdict want;
};

static const struct shape shapes[] = {
    {"nothing", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 0, 0, NULL, NULL, PACKET_SHORT},
    {"v4, one byte", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 1, 1, NULL, NULL, PACKET_SHORT},
    {"v4, 19 bytes", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 19, 19, NULL, NULL, PACKET_SHORT},
    {"v6, one byte", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, 0, 1, NULL, NULL, PACKET_SHORT},
    {"v6, 39 bytes", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, 0, 39, NULL, NULL, PACKET_SHORT},
    {"version 0", V4_LOCAL, PACKET_FROM_MANAGER, 0x05, 40, 40, V4_OTHER, V4_LOCAL, PACKET_VERSION},
    {"version 5", V4_LOCAL, PACKET_FROM_MANAGER, 0x55, 40, 40, V4_OTHER, V4_LOCAL, PACKET_VERSION},
    {"version 7", V6_LOCAL, PACKET_FROM_MANAGER, 0x70, 0, 40, V6_OTHER, V6_LOCAL, PACKET_VERSION},
    {"version 15, one byte", V4_LOCAL, PACKET_FROM_DEVICE, 0xf5, 0, 1, NULL, NULL, PACKET_VERSION},
    {"v4 header length 0", V4_LOCAL, PACKET_FROM_MANAGER, 0x40, -1, 40, V4_OTHER, V4_LOCAL, PACKET_HEADER},
    {"v4 header length 16", V4_LOCAL, PACKET_FROM_MANAGER, 0x44, -1, 40, V4_OTHER, V4_LOCAL, PACKET_HEADER},
    {"v4 header beyond the packet", V4_LOCAL, PACKET_FROM_MANAGER, 0x46, -1, 20, V4_OTHER, V4_LOCAL, PACKET_HEADER},
    {"v4 header of 60 in 56", V4_LOCAL, PACKET_FROM_MANAGER, 0x4f, -1, 56, V4_OTHER, V4_LOCAL, PACKET_HEADER},
    {"v4 says more", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 41, 40, V4_OTHER, V4_LOCAL, PACKET_LENGTH},
    {"v4 says less", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 39, 40, V4_OTHER, V4_LOCAL, PACKET_LENGTH},
    {"v4 says 0", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, 0, 40, V4_OTHER, V4_LOCAL, PACKET_LENGTH},
    {"v4 says less than its header", V4_LOCAL, PACKET_FROM_DEVICE, 0x46, 20, 24, V4_LOCAL, V4_OTHER, PACKET_LENGTH},
    {"v4 says 65535", V4_LOCAL, PACKET_FROM_DEVICE, 0x45, 65535, 40, V4_LOCAL, V4_OTHER, PACKET_LENGTH},
    {"v6 says more", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, 1, 40, V6_OTHER, V6_LOCAL, PACKET_LENGTH},
    {"v6 says less", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, 7, 48, V6_OTHER, V6_LOCAL, PACKET_LENGTH},
    {"v6 jumbogram", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, 0, 48, V6_OTHER, V6_LOCAL, PACKET_LENGTH},
    {"v4, no address yet", "", PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, V4_LOCAL, PACKET_NO_ADDRESS},
    {"v6, no address yet", "", PACKET_FROM_DEVICE, 0x60, -1, 40, V6_LOCAL, V6_OTHER, PACKET_NO_ADDRESS},
    {"v4 in, tunnel is v6", V6_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, V4_LOCAL, PACKET_NO_ADDRESS},
    {"v6 in, tunnel is v4", V4_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, V6_LOCAL, PACKET_NO_ADDRESS},
    {"router solicitation out, tunnel is v4", V4_LOCAL, PACKET_FROM_DEVICE, 0x60, -1, 48, "::", "ff02::2",
     PACKET_NO_ADDRESS},
    {"v4-mapped in", V4_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, V4_MAPPED, PACKET_NO_ADDRESS},
    {"v4-mapped out", V4_LOCAL, PACKET_FROM_DEVICE, 0x60, -1, 40, V4_MAPPED, V6_OTHER, PACKET_NO_ADDRESS},
    {"v4-mapped in, tunnel is v6", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, V4_MAPPED,
     PACKET_DESTINATION},
    {"v4 for another", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "169.254.0.3", PACKET_DESTINATION},
    {"v4 for the sender", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_LOCAL, V4_OTHER, PACKET_DESTINATION},
    {"v4 for loopback", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "127.0.0.1", PACKET_DESTINATION},
    {"v4 broadcast", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "255.255.255.255", PACKET_DESTINATION},
    {"v4 net broadcast", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "169.254.255.255", PACKET_DESTINATION},
    {"v4 multicast", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "224.0.0.1", PACKET_DESTINATION},
    {"v4 for 0.0.0.0", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 40, V4_OTHER, "0.0.0.0", PACKET_DESTINATION},
    {"v6 for another", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, "2001:db8::3", PACKET_DESTINATION},
    {"v6 all nodes", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, "ff02::1", PACKET_DESTINATION},
    {"v6 link-local", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, "fe80::2", PACKET_DESTINATION},
    {"v6 loopback", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, "::1", PACKET_DESTINATION},
    {"v4 out, another's source", V4_LOCAL, PACKET_FROM_DEVICE, 0x45, -1, 40, "10.0.0.1", V4_OTHER, PACKET_SOURCE},
    {"v4 out, no source", V4_LOCAL, PACKET_FROM_DEVICE, 0x45, -1, 40, "0.0.0.0", V4_OTHER, PACKET_SOURCE},
    {"v4 out, the manager's source", V4_LOCAL, PACKET_FROM_DEVICE, 0x45, -1, 40, V4_OTHER, V4_LOCAL, PACKET_SOURCE},
    {"v6 out, link-local source", V6_LOCAL, PACKET_FROM_DEVICE, 0x60, -1, 40, "fe80::2", V6_OTHER, PACKET_SOURCE},
    {"v6 out, last byte differs", V6_LOCAL, PACKET_FROM_DEVICE, 0x60, -1, 40, "2001:db8::3", V6_OTHER, PACKET_SOURCE},
    {"v4 header alone", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 20, V4_OTHER, V4_LOCAL, PACKET_PASS},
    {"v4 with options", V4_LOCAL, PACKET_FROM_MANAGER, 0x4f, -1, 60, V4_OTHER, V4_LOCAL, PACKET_PASS},
    {"v4 of 65535", V4_LOCAL, PACKET_FROM_MANAGER, 0x45, -1, 65535, V4_OTHER, V4_LOCAL, PACKET_PASS},
    {"v4 out", V4_LOCAL, PACKET_FROM_DEVICE, 0x45, -1, 1500, V4_LOCAL, V4_OTHER, PACKET_PASS},
    {"v6 header alone", V6_LOCAL, PACKET_FROM_MANAGER, 0x60, -1, 40, V6_OTHER, V6_LOCAL, PACKET_PASS},
    {"v6 with a traffic class", V6_LOCAL, PACKET_FROM_MANAGER, 0x6f, -1, 48, V6_OTHER, V6_LOCAL, PACKET_PASS},
    {"v6 out", V6_LOCAL, PACKET_FROM_DEVICE, 0x60, -1, 1500, V6_LOCAL, V6_OTHER, PACKET_PASS},
};

static void
put_address(uint8_t *pkt, size_t size, size_t off4, size_t off6, const char *text)
{
	struct addr a;
	size_t off, n;

	if (!text)
		return;
	assert_int_equal(addr_parse_host(text, &a), 0);
	off = a.family == AF_INET ? off4 : off6;
	n = a.family == AF_INET ? 4 : 16;
	assert_true(off + n <= size);
	memcpy(pkt + off, a.bytes, n);
}

/* Exactly `len` bytes from the heap, so that a read beyond them is seen by the sanitizer. */
static uint8_t *
build(const struct shape *s)
{
	uint8_t *pkt = calloc(1, s->len ? s->len : 1);
	int v6 = s->first >> 4 == 6;
	size_t at = v6 ? 4 : 2;
	size_t declared = s->declared >= 0 ? (size_t)s->declared : v6 ? s->len - 40 : s->len;

	assert_non_null(pkt);
	if (s->len)
		pkt[0] = s->first;
	if (s->len >= at + 2) {
		pkt[at] = (uint8_t)(declared >> 8);
		pkt[at + 1] = (uint8_t)declared;
	}
	put_address(pkt, s->len, 12, 8, s->src);
	put_address(pkt, s->len, 16, 24, s->dst);
	return pkt;
}

static void
verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		const struct shape *s = &shapes[i];
		struct addr tunnel = {0};
		uint8_t *pkt = build(s);
		enum packet_verdict got;

		if (*s->tunnel)
			assert_int_equal(addr_parse_host(s->tunnel, &tunnel), 0);
		got = packet_check(pkt, s->len, s->way, &tunnel);
		if (got != s->want)
			fail_msg("%s: %s, expected %s", s->what, packet_verdict_name(got),
				 packet_verdict_name(s->want));
		free(pkt);
	}
}

/* Every first byte and every length up to 80: never a pass unless version, header and length fit. */
static void
every_start(void **state)
{
	struct addr tunnel;

	(void)state;
	assert_int_equal(addr_parse_host("0.0.0.0", &tunnel), 0);
	for (size_t len = 0; len <= 80; len++) {
		uint8_t *pkt = calloc(1, len ? len : 1);

		assert_non_null(pkt);
		if (len >= 4)
			pkt[3] = (uint8_t)len;
		for (unsigned first = 0; len && first < 256; first++) {
			size_t header = (first & 15U) * 4U;
			int fits = first >> 4 == 4 && len >= 20 && header >= 20 && header <= len;

			pkt[0] = (uint8_t)first;
			assert_int_equal(packet_check(pkt, len, PACKET_FROM_MANAGER, &tunnel) == PACKET_PASS, fits);
		}
		free(pkt);
	}
}

static void
names(void **state)
{
	(void)state;
	for (int v = 0; v < PACKET_VERDICTS; v++)
		for (int w = 0; w < v; w++)
			assert_string_not_equal(packet_verdict_name(v), packet_verdict_name(w));
	assert_string_equal(packet_verdict_name(PACKET_PASS), "pass");
	assert_string_equal(packet_verdict_name(PACKET_NO_ADDRESS), "no-address");
	assert_string_equal(packet_verdict_name(PACKET_VERDICTS), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verdicts),
	    cmocka_unit_test(every_start),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
