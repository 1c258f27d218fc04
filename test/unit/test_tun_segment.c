#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "test/unit/packets.h"
#include "tun/segment.h"

enum { UDP_L4 = 5, CWR = 0x80, ECE = 0x40, ACK = 0x10, PSH = 0x08, FIN = 0x01 };

/* What the kernel says with a large packet of that shape, whose sum it leaves open. */
static struct virtio_net_hdr
about(const struct packets_shape *s, size_t size)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};

	h.gso_type = s->udp ? UDP_L4 : s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	h.gso_size = (uint16_t)size;
	h.hdr_len = (uint16_t)packets_header(s);
	h.csum_start = (uint16_t)packets_l4(s);
	h.csum_offset = s->udp ? 6 : 16;
	return h;
}

/* The field as the kernel leaves it: the sum of the pseudo header. */
static void
leave_open(uint8_t *pkt, size_t len, const struct packets_shape *s)
{
	size_t l4 = packets_l4(s);
	uint32_t sum = packets_sum((uint32_t)((s->udp ? 17 : 6) + len - l4), pkt + (s->v6 ? 8 : 12), s->v6 ? 32 : 8);

	packets_put(pkt + l4 + (s->udp ? 6 : 16), 2, sum);
}

/* --- golden ------------------------------------------------------------------------------------------------------- */

/* Identification and sequence number wrap; CWR in the first piece alone, PSH and FIN in the last. */
static void
golden(void **state)
{
	static const struct {
		const char *what, *large;
		struct packets_shape shape;
		size_t size;
		const char *pieces[4];
	} rows[] = {
	    {"TCP over IPv4",
	     "45000032ffff400040069fefa9fe0002c0a8302e9c4001bbfffffffe01020304509901f4757600006162636465666768696a",
	     {0},
	     4,
	     {"4500002cffff400040069ff5a9fe0002c0a8302e9c4001bbfffffffe01020304509001f4abbe000061626364",
	      "4500002c0000400040069ff5a9fe0002c0a8302e9c4001bb0000000201020304501001f4a433000065666768",
	      "4500002a0001400040069ff6a9fe0002c0a8302e9c4001bb0000000601020304501901f4078d0000696a"}},
	    {"UDP over IPv6",
	     "60000000000d114020010db800000000000000000000000220010db80001000000000000000000019c4001bb000ddc9b"
	     "6162636465",
	     {.v6 = true, .udp = true},
	     3,
	     {"60000000000b114020010db800000000000000000000000220010db80001000000000000000000019c4001bb000b4204616263",
	      "60000000000a114020010db800000000000000000000000220010db80001000000000000000000019c4001bb000aa2036465"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].large) / 2, count = 0;
		struct virtio_net_hdr h = about(&rows[i].shape, rows[i].size);
		uint8_t pkt[200], piece[200];
		struct segment s;

		assert_int_equal(text_unhex(pkt, len, rows[i].large), 0);
		leave_open(pkt, len, &rows[i].shape);
		h.gso_type |= i ? 0 : VIRTIO_NET_HDR_GSO_ECN;
		assert_int_equal(segment_begin(&s, pkt, len, &h, 1500), 0);
		for (; segment_len(&s); count++) {
			size_t n = segment_len(&s);
			char hex[401];

			assert_int_equal(segment_next(&s, piece), n);
			text_hex(hex, sizeof(hex), piece, n);
			if (!rows[i].pieces[count] || strcmp(hex, rows[i].pieces[count]) != 0)
				fail_msg("%s, piece %zu: %s", rows[i].what, count, hex);
		}
		assert_null(rows[i].pieces[count]);
	}
}

/* --- every shape -------------------------------------------------------------------------------------------------- */

static uint8_t large[PACKETS_MAX], piece[PACKETS_MAX], again[PACKETS_MAX];

/* The piece that shape has to give: built anew. */
static size_t
expected(uint8_t *dst, const struct packets_shape *whole, size_t size, size_t index)
{
	struct packets_shape s = *whole;
	size_t at = size * index;
	uint8_t flags = whole->flags ? whole->flags : ACK;

	s.at += at;
	s.payload = whole->payload - at < size ? whole->payload - at : size;
	s.id = (uint16_t)(s.id + index);
	s.seq += (uint32_t)at;
	if (at + s.payload < whole->payload)
		flags &= (uint8_t) ~(PSH | FIN);
	if (index)
		flags &= (uint8_t)~CWR;
	s.flags = flags;
	return packets_build(dst, &s);
}

static void
cut(const char *what, const struct packets_shape *shape, size_t given, size_t mtu, size_t size)
{
	struct virtio_net_hdr h = about(shape, given);
	size_t len = packets_build(large, shape), count = 0, wanted = (shape->payload + size - 1) / size;
	struct segment s;
	int rc;

	leave_open(large, len, shape);
	rc = segment_begin(&s, large, len, &h, mtu);
	if (rc)
		fail_msg("%s: %d", what, rc);
	for (; segment_len(&s); count++) {
		size_t n = segment_len(&s), want = expected(again, shape, size, count);

		if (n != want || n > mtu || segment_next(&s, piece) != n || memcmp(piece, again, n) != 0)
			fail_msg("%s: piece %zu of %zu bytes, %zu expected", what, count, n, want);
		if (packets_wrong(piece, n, packets_l4(shape), shape->udp))
			fail_msg("%s: piece %zu: %s", what, count,
				 packets_wrong(piece, n, packets_l4(shape), shape->udp));
	}
	if (count != (wanted ? wanted : 1))
		fail_msg("%s: %zu pieces", what, count);
	assert_int_equal(segment_next(&s, piece), 0);
}

static void
shapes_are_cut(void **state)
{
	static const struct {
		const char *what;
		struct packets_shape shape;
		size_t size, mtu, want; /* as the kernel says, the tunnel's, what pieces have */
	} rows[] = {
	    {"TCP4", {.payload = 14480}, 1448, 1500, 1448},
	    {"TCP4, largest", {.payload = 65495}, 1460, 1500, 1460},
	    {"TCP4, one byte over", {.payload = 1461}, 1460, 1500, 1460},
	    {"TCP4, nothing to cut", {.payload = 100}, 1460, 1500, 1460},
	    {"TCP4, no payload", {.payload = 0}, 1460, 1500, 1460},
	    {"TCP4, pieces of one byte", {.payload = 33}, 1, 1500, 1},
	    {"TCP4, odd pieces", {.payload = 9999}, 777, 1500, 777},
	    {"TCP4, time stamps", {.payload = 10000, .options = 12, .stamp = 7}, 1448, 1500, 1448},
	    {"TCP4, longest options", {.payload = 9000, .options = 40}, 1400, 1500, 1400},
	    {"TCP4, IP options", {.payload = 9000, .ip_options = 40}, 1400, 1500, 1400},
	    {"TCP4, id wraps", {.payload = 9000, .id = 0xfffe}, 1448, 1500, 1448},
	    {"TCP4, don't fragment", {.payload = 9000, .df = true, .id = 9}, 1448, 1500, 1448},
	    {"TCP4, seq wraps", {.payload = 9000, .seq = 0xfffffff0}, 1448, 1500, 1448},
	    {"TCP4, PSH", {.payload = 9000, .flags = ACK | PSH}, 1448, 1500, 1448},
	    {"TCP4, FIN and PSH", {.payload = 9000, .flags = ACK | PSH | FIN}, 1448, 1500, 1448},
	    {"TCP4, CWR", {.payload = 9000, .flags = ACK | CWR, .tos = 2}, 1448, 1500, 1448},
	    {"TCP4, CWR in one piece", {.payload = 90, .flags = ACK | CWR | PSH}, 1448, 1500, 1448},
	    {"TCP4, ECE stays", {.payload = 9000, .flags = ACK | ECE, .tos = 3}, 1448, 1500, 1448},
	    {"TCP4, made for a larger MTU", {.payload = 30000}, 8960, 1500, 1460},
	    {"TCP4, small enough as it is", {.payload = 1400}, 8960, 1500, 8960},
	    {"TCP6", {.v6 = true, .payload = 20000, .label = 0x12345, .tos = 0xb8}, 1440, 1500, 1440},
	    {"TCP6, largest", {.v6 = true, .payload = 65475}, 1440, 1500, 1440},
	    {"TCP6, extension header", {.v6 = true, .payload = 5000, .ip_options = 16}, 1400, 1500, 1400},
	    {"TCP6, PSH, CWR", {.v6 = true, .payload = 5000, .flags = ACK | PSH | CWR}, 1400, 1500, 1400},
	    {"UDP4", {.udp = true, .payload = 12000, .id = 0xffff}, 1200, 1500, 1200},
	    {"UDP4, odd rest", {.udp = true, .payload = 12001}, 1472, 1500, 1472},
	    {"UDP4, one", {.udp = true, .payload = 12}, 1472, 1500, 1472},
	    {"UDP6", {.udp = true, .v6 = true, .payload = 12000}, 1452, 1500, 1452},
	    {"UDP6, extension header", {.udp = true, .v6 = true, .payload = 900, .ip_options = 8}, 33, 1500, 33},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cut(rows[i].what, &rows[i].shape, rows[i].size, rows[i].mtu, rows[i].want);
}

static void
any_shape_is_cut(void **state)
{
	uint64_t dice = 7;

	(void)state;
	for (int i = 0; i < 400; i++) {
		struct packets_shape s = {.v6 = packets_dice(&dice, 2), .udp = packets_dice(&dice, 3) == 0};
		size_t size = 1 + packets_dice(&dice, i % 4 ? 1400 : 50);
		char what[32];

		s.tos = (uint8_t)packets_dice(&dice, 256);
		s.ttl = (uint8_t)(1 + packets_dice(&dice, 255));
		s.id = (uint16_t)packets_dice(&dice, 65536);
		s.df = packets_dice(&dice, 2);
		s.seq = packets_dice(&dice, UINT32_MAX);
		s.flags = (uint8_t)(ACK | packets_dice(&dice, 256));
		s.options = s.udp ? 0 : 4 * packets_dice(&dice, 11);
		s.ip_options = s.v6 ? 8 * packets_dice(&dice, 3) : 4 * packets_dice(&dice, 11);
		s.payload = packets_dice(&dice, (uint32_t)(size * 20 < 60000 ? size * 20 : 60000));
		s.at = packets_dice(&dice, 1000);
		snprintf(what, sizeof(what), "throw %d", i);
		cut(what, &s, size, 1600, size);
	}
}

/* UDP says a sum of nothing as all ones. There is a port that makes it so. */
static void
udp_sum_of_zero(void **state)
{
	struct packets_shape shape = {.udp = true, .payload = 4};
	size_t found = 0;

	(void)state;
	while (++shape.port) {
		packets_build(large, &shape);
		if (packets_get(large + 26) != 0xffff)
			continue;
		cut("a sum of zero", &shape, 1400, 1500, 1400);
		found++;
	}
	assert_int_equal(found, 1);
}

/* --- whole packets ------------------------------------------------------------------------------------------------ */

static void
open_sums_are_completed(void **state)
{
	const struct packets_shape shapes[] = {{.payload = 100, .options = 12},
					       {.v6 = true, .payload = 33},
					       {.udp = true, .payload = 1},
					       {.udp = true, .v6 = true, .payload = 1200}};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		size_t len = packets_build(large, &shapes[i]);
		struct virtio_net_hdr h = about(&shapes[i], 0);
		struct segment s;

		memcpy(again, large, len);
		leave_open(large, len, &shapes[i]);
		h.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		assert_int_equal(segment_begin(&s, large, len, &h, 1500), 0);
		assert_int_equal(segment_next(&s, piece), len);
		assert_memory_equal(piece, again, len);
		assert_int_equal(segment_len(&s), 0);
	}
}

/* Without a word of the kernel's nothing is changed, right or wrong. */
static void
others_pass_untouched(void **state)
{
	static const struct virtio_net_hdr none;
	struct segment s;

	(void)state;
	for (size_t n = 1; n <= 1500; n++) {
		for (size_t i = 0; i < n; i++)
			large[i] = packets_pattern(n + i);
		memcpy(again, large, n);
		assert_int_equal(segment_begin(&s, large, n, &none, 1500), 0);
		assert_int_equal(segment_next(&s, piece), n);
		assert_memory_equal(piece, again, n);
	}
	assert_int_equal(segment_begin(&s, large, 1501, &none, 1500), -EMSGSIZE);
	assert_int_equal(segment_len(&s), 0);
}

/* --- what cannot be ----------------------------------------------------------------------------------------------- */

static void
contradictions(void **state)
{
	static const struct packets_shape tcp4 = {.payload = 3000}, tcp6 = {.v6 = true, .payload = 3000},
					  udp4 = {.udp = true, .payload = 3000},
					  ext6 = {.v6 = true, .payload = 100, .ip_options = 8};
	static const struct {
		const char *what;
		const struct packets_shape *shape;
		int at, byte; /* written into the packet; at -1: none */
		size_t len;   /* given instead; 0: the packet's */
		struct virtio_net_hdr h;
		int want;
	} rows[] = {
	    {"size 0", &tcp4, -1, 0, 0, {1, 1, 40, 0, 20, 16}, -EINVAL},
	    {"sum not open", &tcp4, -1, 0, 0, {0, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"unknown type", &tcp4, -1, 0, 0, {1, 7, 40, 1400, 20, 16}, -EINVAL},
	    {"fragmentation of UDP", &udp4, -1, 0, 0, {1, 3, 28, 1400, 20, 6}, -EINVAL},
	    {"v4 called v6", &tcp4, -1, 0, 0, {1, 4, 40, 1400, 20, 16}, -EINVAL},
	    {"v6 called v4", &tcp6, -1, 0, 0, {1, 1, 60, 1400, 40, 16}, -EINVAL},
	    {"UDP called TCP", &udp4, -1, 0, 0, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"TCP called UDP", &tcp4, -1, 0, 0, {1, 5, 28, 1400, 20, 6}, -EINVAL},
	    {"sum starts in the IP header", &tcp4, -1, 0, 0, {1, 1, 40, 1400, 12, 16}, -EINVAL},
	    {"sum starts behind", &tcp4, -1, 0, 0, {1, 1, 40, 1400, 65535, 16}, -EINVAL},
	    {"sum is elsewhere", &tcp4, -1, 0, 0, {1, 1, 40, 1400, 20, 6}, -EINVAL},
	    {"a fragment", &tcp4, 7, 1, 0, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"a first fragment", &tcp4, 6, 0x20, 0, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"TCP header too short", &tcp4, 32, 0x40, 0, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"TCP header beyond the end", &tcp4, 32, 0xf0, 60, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"cut inside TCP", &tcp4, -1, 0, 39, {1, 1, 40, 1400, 20, 16}, -EINVAL},
	    {"cut inside UDP", &udp4, -1, 0, 27, {1, 5, 28, 1400, 20, 6}, -EINVAL},
	    {"v6 fragment header", &tcp6, 6, 44, 0, {1, 4, 60, 1400, 40, 16}, -EINVAL},
	    {"v6 without next header", &tcp6, 6, 59, 0, {1, 4, 60, 1400, 40, 16}, -EINVAL},
	    {"v6 extension beyond the end", &ext6, 41, 255, 0, {1, 4, 68, 1400, 48, 16}, -EINVAL},
	    {"v6 extension cut", &ext6, -1, 0, 44, {1, 4, 68, 1400, 48, 16}, -EINVAL},
	    {"datagrams larger than the MTU", &udp4, -1, 0, 0, {1, 5, 28, 1473, 20, 6}, -EMSGSIZE},
	    {"open sum in the IP header", &tcp4, -1, 0, 400, {1, 0, 0, 0, 10, 0}, -EINVAL},
	    {"open sum in the last byte", &tcp4, -1, 0, 400, {1, 0, 0, 0, 20, 379}, -EINVAL},
	    {"open sum behind the end", &tcp4, -1, 0, 400, {1, 0, 0, 0, 20, 65535}, -EINVAL},
	    {"open sum starts behind the end", &tcp4, -1, 0, 400, {1, 0, 0, 0, 401, 0}, -EINVAL},
	    {"open sum in a v6 address", &tcp6, -1, 0, 400, {1, 0, 0, 0, 8, 2}, -EINVAL},
	    {"too large and not to be cut", &tcp4, -1, 0, 0, {0, 0, 0, 0, 0, 0}, -EMSGSIZE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = packets_build(large, rows[i].shape);
		uint8_t *exact;
		struct segment s;
		int rc;

		if (rows[i].at >= 0)
			large[rows[i].at] = (uint8_t)rows[i].byte;
		len = rows[i].len ? rows[i].len : len;
		exact = malloc(len); /* a sanitizer sees the byte behind it */
		assert_non_null(exact);
		memcpy(exact, large, len);
		rc = segment_begin(&s, exact, len, &rows[i].h, 1500);
		if (rc != rows[i].want || segment_len(&s) || segment_next(&s, piece))
			fail_msg("%s: %d", rows[i].what, rc);
		assert_memory_equal(exact, large, len);
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden),
	    cmocka_unit_test(shapes_are_cut),
	    cmocka_unit_test(any_shape_is_cut),
	    cmocka_unit_test(udp_sum_of_zero),
	    cmocka_unit_test(open_sums_are_completed),
	    cmocka_unit_test(others_pass_untouched),
	    cmocka_unit_test(contradictions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
