#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "test/unit/packets.h"
#include "tun/join.h"
#include "tun/segment.h"

enum { CWR = 0x80, ECE = 0x40, URG = 0x20, ACK = 0x10, PSH = 0x08, RST = 0x04, SYN = 0x02, FIN = 0x01 };
enum { UNITS = 4096, MSS = 1000 };

/* What came out, each unit as one flat packet. */
static struct out {
	size_t count, packets[UNITS], len[UNITS];
	struct virtio_net_hdr about[UNITS];
	uint8_t *bytes[UNITS];
} out;

static struct join join;

static void
collect(void *ctx, const struct join_unit *u)
{
	struct out *o = ctx;
	size_t n = 0;

	assert_true(o->count < UNITS);
	for (int i = 1; i < u->count; i++)
		n += u->part[i].iov_len;
	o->bytes[o->count] = malloc(n);
	assert_non_null(o->bytes[o->count]);
	o->len[o->count] = n;
	o->packets[o->count] = u->packets;
	o->about[o->count] = u->about;
	n = 0;
	for (int i = 1; i < u->count; i++) {
		memcpy(o->bytes[o->count] + n, u->part[i].iov_base, u->part[i].iov_len);
		n += u->part[i].iov_len;
	}
	o->count++;
}

static int
setup(void **state)
{
	(void)state;
	out = (struct out){0};
	join = (struct join){.sink = collect, .ctx = &out};
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (out.count)
		free(out.bytes[--out.count]);
	return 0;
}

/* --- two packets -------------------------------------------------------------------------------------------------- */

/* A row says again what it is about. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define FIRST .payload = MSS, .id = 5, .seq = 100, .ack = 7
#define NEXT .payload = MSS, .id = 6, .seq = 100 + MSS, .ack = 7, .at = MSS

struct pair {
	const char *what;
	struct packets_shape a, b;
	int at, flip; /* this byte of the second packet is turned by `flip` after its sums were made */
};

static void
take_pair(const struct pair *p)
{
	static uint8_t a[PACKETS_MAX], b[PACKETS_MAX], was_a[PACKETS_MAX], was_b[PACKETS_MAX];
	size_t a_len = packets_build(a, &p->a), b_len = packets_build(b, &p->b);

	b[p->at] ^= (uint8_t)p->flip;
	memcpy(was_a, a, a_len);
	memcpy(was_b, b, b_len);
	join_add(&join, a, a_len);
	join_add(&join, b, b_len);
	join_flush(&join);
	if (out.count != 2)
		return;
	if (out.len[0] != a_len || memcmp(out.bytes[0], was_a, a_len) != 0 || out.len[1] != b_len ||
	    memcmp(out.bytes[1], was_b, b_len) != 0)
		fail_msg("%s: something else came out", p->what);
	for (int i = 0; i < 2; i++) {
		static const struct virtio_net_hdr none;

		assert_int_equal(out.packets[i], 1);
		assert_memory_equal(&out.about[i], &none, sizeof(none));
	}
}

/* Anything that differs keeps two packets apart: they pass as they came, in their order. */
static void
kept_apart(void **state)
{
	static const struct pair rows[] = {
	    {"a gap", {FIRST}, {NEXT, .seq = 101 + MSS}, 0, 0},
	    {"an overlap", {FIRST}, {NEXT, .seq = 99 + MSS}, 0, 0},
	    {"the same again", {FIRST}, {FIRST}, 0, 0},
	    {"another port", {FIRST}, {NEXT, .port = 40001}, 0, 0},
	    {"another acknowledgement", {FIRST}, {NEXT, .ack = 8}, 0, 0},
	    {"another window", {FIRST}, {NEXT, .window = 501}, 0, 0},
	    {"another service", {FIRST}, {NEXT, .tos = 4}, 0, 0},
	    {"congestion was met", {FIRST, .tos = 2}, {NEXT, .tos = 3}, 0, 0},
	    {"another lifetime", {FIRST}, {NEXT, .ttl = 63}, 0, 0},
	    {"DF in one", {FIRST}, {NEXT, .df = true}, 0, 0},
	    {"identification jumps", {FIRST}, {NEXT, .id = 7}, 0, 0},
	    {"identification falls", {FIRST}, {NEXT, .id = 4}, 0, 0},
	    {"identification stands still", {FIRST}, {NEXT, .id = 5}, 0, 0},
	    {"identification jumps with DF", {FIRST, .df = true}, {NEXT, .df = true, .id = 7}, 0, 0},
	    {"options in one", {FIRST}, {NEXT, .options = 12}, 0, 0},
	    {"another time stamp", {FIRST, .options = 12}, {NEXT, .options = 12, .stamp = 1}, 0, 0},
	    {"IP options", {FIRST, .ip_options = 4}, {NEXT, .ip_options = 4}, 0, 0},
	    {"larger than the first", {FIRST}, {NEXT, .payload = MSS + 1}, 0, 0},
	    {"no payload", {FIRST}, {NEXT, .payload = 0}, 0, 0},
	    {"first without payload", {FIRST, .payload = 0}, {NEXT, .seq = 100}, 0, 0},
	    {"first has PSH", {FIRST, .flags = ACK | PSH}, {NEXT}, 0, 0},
	    {"first has FIN", {FIRST, .flags = ACK | FIN}, {NEXT}, 0, 0},
	    {"SYN", {FIRST}, {NEXT, .flags = ACK | SYN}, 0, 0},
	    {"RST", {FIRST}, {NEXT, .flags = ACK | RST}, 0, 0},
	    {"URG", {FIRST}, {NEXT, .flags = ACK | URG}, 0, 0},
	    {"URG in both", {FIRST, .flags = ACK | URG}, {NEXT, .flags = ACK | URG}, 0, 0},
	    {"SYN in both", {FIRST, .flags = SYN}, {NEXT, .flags = SYN}, 0, 0},
	    {"ECE in one", {FIRST}, {NEXT, .flags = ACK | ECE}, 0, 0},
	    {"CWR in the second", {FIRST}, {NEXT, .flags = ACK | CWR}, 0, 0},
	    {"CWR in both", {FIRST, .flags = ACK | CWR}, {NEXT, .flags = ACK | CWR}, 0, 0},
	    {"accurate ECN in one", {FIRST}, {NEXT}, 32, 1},
	    {"payload damaged", {FIRST}, {NEXT}, 100, 0x10},
	    {"sum damaged", {FIRST}, {NEXT}, 36, 1},
	    {"IPv4 header sum damaged", {FIRST}, {NEXT}, 10, 1},
	    {"reserved IPv4 flag", {FIRST}, {NEXT}, 6, 0x80},
	    {"a fragment", {FIRST}, {NEXT}, 7, 1},
	    {"a first fragment", {FIRST}, {NEXT}, 6, 0x20},
	    {"TCP header too short", {FIRST}, {NEXT}, 32, 0x10},
	    {"TCP header too long", {FIRST, .payload = 30}, {NEXT, .payload = 30, .seq = 130}, 32, 0xa0},
	    {"urgent pointer in one", {FIRST}, {NEXT}, 39, 1},
	    {"another source", {FIRST}, {NEXT, .from = 1}, 0, 0},
	    {"v6: another source", {.v6 = true, FIRST}, {.v6 = true, NEXT, .from = 1}, 0, 0},
	    {"v6: flow label", {.v6 = true, FIRST}, {.v6 = true, NEXT, .label = 1}, 0, 0},
	    {"v6: traffic class", {.v6 = true, FIRST}, {.v6 = true, NEXT, .tos = 1}, 0, 0},
	    {"v6: hops", {.v6 = true, FIRST}, {.v6 = true, NEXT, .ttl = 9}, 0, 0},
	    {"v6: extension header", {.v6 = true, FIRST, .ip_options = 8}, {.v6 = true, NEXT, .ip_options = 8}, 0, 0},
	    {"v6: payload damaged", {.v6 = true, FIRST}, {.v6 = true, NEXT}, 1059, 1},
	    {"v4 and v6", {FIRST}, {.v6 = true, NEXT}, 0, 0},
	    {"UDP", {.udp = true, FIRST}, {.udp = true, NEXT}, 0, 0},
	    {"UDP over IPv6", {.udp = true, .v6 = true, FIRST}, {.udp = true, .v6 = true, NEXT}, 0, 0},
	    {"together too long", {FIRST, .payload = 40000}, {NEXT, .payload = 25496, .seq = 40100}, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		take_pair(&rows[i]);
		if (out.count != 2)
			fail_msg("%s: %zu came out", rows[i].what, out.count);
		teardown(state);
		setup(state);
	}
}

static void
joined(void **state)
{
	static const struct pair rows[] = {
	    {"plain", {FIRST}, {NEXT}, 0, 0},
	    {"shorter", {FIRST}, {NEXT, .payload = 1}, 0, 0},
	    {"PSH in the second", {FIRST}, {NEXT, .flags = ACK | PSH}, 0, 0},
	    {"FIN in the second", {FIRST}, {NEXT, .flags = ACK | FIN | PSH}, 0, 0},
	    {"CWR in the first", {FIRST, .flags = ACK | CWR}, {NEXT}, 0, 0},
	    {"ECE in both", {FIRST, .flags = ACK | ECE}, {NEXT, .flags = ACK | ECE}, 0, 0},
	    {"time stamps", {FIRST, .options = 12}, {NEXT, .options = 12}, 0, 0},
	    {"DF", {FIRST, .df = true}, {NEXT, .df = true}, 0, 0},
	    {"sequence wraps", {FIRST, .seq = 0xffffffff}, {NEXT, .seq = MSS - 1}, 0, 0},
	    {"identification wraps", {FIRST, .id = 0xffff}, {NEXT, .id = 0}, 0, 0},
	    {"v6", {.v6 = true, FIRST, .label = 3, .tos = 9}, {.v6 = true, NEXT, .label = 3, .tos = 9}, 0, 0},
	    {"as long as can be", {FIRST, .payload = 40000}, {NEXT, .payload = 25495, .seq = 40100}, 0, 0},
	};
	static uint8_t whole[PACKETS_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packets_shape s = rows[i].a;
		size_t l4 = packets_l4(&s), len;
		uint32_t pseudo;

		take_pair(&rows[i]);
		s.flags = (uint8_t)((s.flags ? s.flags : ACK) | (rows[i].b.flags & (PSH | FIN)));
		s.payload += rows[i].b.payload;
		len = packets_build(whole, &s);
		pseudo = packets_sum((uint32_t)(6 + len - l4), whole + (s.v6 ? 8 : 12), s.v6 ? 32 : 8);
		packets_put(whole + l4 + 16, 2, pseudo);
		if (s.payload - rows[i].a.payload && rows[i].a.payload == MSS)
			for (size_t k = 0; k < rows[i].b.payload; k++)
				whole[packets_header(&s) + MSS + k] = packets_pattern(MSS + k);
		if (out.count != 1 || out.packets[0] != 2 || out.len[0] != len)
			fail_msg("%s: %zu came out", rows[i].what, out.count);
		if (rows[i].a.payload == MSS)
			assert_memory_equal(out.bytes[0], whole, len);
		assert_int_equal(out.about[0].flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(out.about[0].gso_type & 0x7f, s.v6 ? 4 : 1);
		assert_int_equal(!!(out.about[0].gso_type & VIRTIO_NET_HDR_GSO_ECN), !!(s.flags & CWR));
		assert_int_equal(out.about[0].gso_size, rows[i].a.payload);
		assert_int_equal(out.about[0].hdr_len, packets_header(&s));
		assert_int_equal(out.about[0].csum_start, l4);
		assert_int_equal(out.about[0].csum_offset, 16);
		teardown(state);
		setup(state);
	}
}

/* Identifications that stand still with DF set: RFC 6864 allows it, and joins as the kernel does. But not a mixture. */
static void
identification_stands_still(void **state)
{
	static uint8_t pkt[4][2000];
	static const uint16_t ids[] = {5, 5, 5, 6};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct packets_shape s = {.payload = MSS, .df = true, .id = ids[i], .seq = (uint32_t)(MSS * i)};

		join_add(&join, pkt[i], packets_build(pkt[i], &s));
	}
	join_flush(&join);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.packets[0], 3);
	assert_int_equal(out.packets[1], 1);
}

/* When a run ends: not later than this, and what follows is a new one. */
static void
run_ends(void **state)
{
	static const struct {
		const char *what;
		size_t count, odd; /* packets, and the one that is different */
		size_t payload;
		uint8_t flags;
		size_t before_flush; /* units that came out without being asked for */
	} rows[] = {
	    {"nothing happens", 5, 9, 0, 0, 0},
	    {"PSH", 5, 2, MSS, ACK | PSH, 1},
	    {"FIN", 5, 4, MSS, ACK | FIN, 1},
	    {"a short one", 5, 2, MSS - 1, ACK, 1},
	    {"as many parts as there may be", JOIN_PARTS, 99, 0, 0, 0},
	    {"one more", JOIN_PARTS + 1, 99, 0, 0, 1},
	};
	static uint8_t pkt[JOIN_PARTS + 1][2000];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t seq = 1;

		for (size_t k = 0; k < rows[i].count; k++) {
			struct packets_shape s = {.payload = MSS, .id = (uint16_t)k, .seq = seq};

			if (k == rows[i].odd) {
				s.payload = rows[i].payload;
				s.flags = rows[i].flags;
			}
			seq += (uint32_t)s.payload;
			join_add(&join, pkt[k], packets_build(pkt[k], &s));
		}
		if (out.count != rows[i].before_flush)
			fail_msg("%s: %zu units", rows[i].what, out.count);
		join_flush(&join);
		join_flush(&join);
		assert_in_range(out.count, 1, 2);
		teardown(state);
		setup(state);
	}
}

/* The ninth flow makes room by sending the oldest on its way; at the end they leave as they came. */
static void
more_flows_than_places(void **state)
{
	static uint8_t pkt[JOIN_FLOWS + 1][2000];

	(void)state;
	for (size_t i = 0; i <= JOIN_FLOWS; i++) {
		struct packets_shape s = {.payload = MSS, .port = (uint16_t)(1000 + i)};

		assert_int_equal(out.count, 0);
		join_add(&join, pkt[i], packets_build(pkt[i], &s));
	}
	assert_int_equal(out.count, 1);
	join_flush(&join);
	assert_int_equal(out.count, JOIN_FLOWS + 1);
	for (size_t i = 0; i <= JOIN_FLOWS; i++)
		assert_int_equal(packets_get(out.bytes[i] + 20), 1000 + i);
}

/* --- any traffic -------------------------------------------------------------------------------------------------- */

enum { TRAFFIC = 3000, PACKET = 1600 };

/* One of the sizes, marks and accidents of real traffic, for one of a dozen flows. */
static size_t
throw_packet(uint8_t *pkt, uint64_t *dice, struct packets_shape flows[12])
{
	struct packets_shape *f = &flows[packets_dice(dice, 12)], s;
	size_t len;

	f->payload = packets_dice(dice, 8) ? 100 : packets_dice(dice, 120);
	f->flags = (uint8_t)(packets_dice(dice, 10) ? ACK : ACK | packets_dice(dice, 256));
	s = *f;
	if (!packets_dice(dice, 15))
		s.seq += packets_dice(dice, 3);
	if (!packets_dice(dice, 15))
		s.ip_options = 8;
	len = packets_build(pkt, &s);
	if (!packets_dice(dice, 15))
		pkt[packets_dice(dice, (uint32_t)len)] ^= 1;
	f->seq += (uint32_t)f->payload;
	f->at += f->payload;
	if (!f->df || packets_dice(dice, 20) == 0)
		f->id++;
	return len;
}

static bool
same_flow(const uint8_t *a, const uint8_t *b)
{
	bool v6 = a[0] / 16 == 6;
	size_t l4 = v6 ? 40 : 20;

	/* TCP with nothing between: others are flows of their own by their bytes */
	return a[0] / 16 == b[0] / 16 && !memcmp(a + (v6 ? 8 : 12), b + (v6 ? 8 : 12), v6 ? 32 : 8) &&
	       !memcmp(a + l4, b + l4, 4);
}

/* Every packet that went in comes out, byte for byte once cut again, and behind those of its flow that went in before
 * it. Identifications that stood still count up afterwards. */
static void
nothing_lost_or_reordered(void **state)
{
	static uint8_t in[TRAFFIC][PACKET], was[TRAFFIC][PACKET], piece[PACKETS_MAX];
	static size_t len[TRAFFIC];
	static bool gone[TRAFFIC];
	struct packets_shape flows[12] = {{0}};
	size_t joined_packets = 0;
	uint64_t dice = 11;

	(void)state;
	for (size_t i = 0; i < 12; i++)
		flows[i] = (struct packets_shape){.v6 = i % 3 == 0,
						  .udp = i > 9,
						  .port = (uint16_t)(1000 + i),
						  .df = i % 2,
						  .options = i > 9 ? 0 : i / 4 * 12};
	for (size_t i = 0; i < TRAFFIC; i++) {
		len[i] = throw_packet(in[i], &dice, flows);
		memcpy(was[i], in[i], len[i]);
		join_add(&join, in[i], len[i]);
		if (!packets_dice(&dice, 40))
			join_flush(&join);
	}
	join_flush(&join);
	for (size_t u = 0; u < out.count; u++) {
		struct segment s;

		assert_int_equal(segment_begin(&s, out.bytes[u], out.len[u], &out.about[u], 65535), 0);
		joined_packets += out.packets[u] > 1 ? out.packets[u] : 0;
		while (segment_len(&s)) {
			size_t n = segment_next(&s, piece), i = 0;

			/* the first of its flow that is not gone yet has to be it */
			while (i < TRAFFIC && (gone[i] || !same_flow(was[i], piece)))
				i++;
			assert_true(i < TRAFFIC);
			if (out.packets[u] > 1 && piece[0] == 0x45) {
				memcpy(piece + 4, was[i] + 4, 2);
				memcpy(piece + 10, was[i] + 10, 2);
			}
			if (n != len[i] || memcmp(piece, was[i], n) != 0)
				fail_msg("unit %zu: not packet %zu", u, i);
			gone[i] = true;
		}
	}
	for (size_t i = 0; i < TRAFFIC; i++)
		assert_true(gone[i]);
	assert_true(joined_packets > TRAFFIC / 4);
}

/* What was cut comes together again as it was. */
static void
cut_and_joined(void **state)
{
	static uint8_t large[PACKETS_MAX], parts[JOIN_PARTS][PACKET];
	uint64_t dice = 5;

	for (int i = 0; i < 200; i++) {
		struct packets_shape s = {.v6 = packets_dice(&dice, 2), .id = (uint16_t)packets_dice(&dice, 65536)};
		size_t size = 1 + packets_dice(&dice, 1400), len, l4, count = 0;
		struct virtio_net_hdr h = {.flags = 1, .gso_type = s.v6 ? 4 : 1, .csum_offset = 16};
		struct segment cut;

		s.seq = packets_dice(&dice, UINT32_MAX);
		s.flags = (uint8_t)(ACK | (packets_dice(&dice, 2) ? PSH : 0) | (packets_dice(&dice, 3) ? 0 : CWR));
		s.options = 4 * packets_dice(&dice, 11);
		s.payload =
		    size + 1 +
		    packets_dice(&dice, (uint32_t)(size * (JOIN_PARTS - 2) < 60000 ? size * (JOIN_PARTS - 2) : 60000));
		l4 = packets_l4(&s);
		h.gso_size = (uint16_t)size;
		h.csum_start = (uint16_t)l4;
		h.hdr_len = (uint16_t)packets_header(&s);
		h.gso_type |= s.flags & CWR ? VIRTIO_NET_HDR_GSO_ECN : 0;
		len = packets_build(large, &s);
		packets_put(large + l4 + 16, 2,
			    packets_sum((uint32_t)(6 + len - l4), large + (s.v6 ? 8 : 12), s.v6 ? 32 : 8));
		assert_int_equal(segment_begin(&cut, large, len, &h, PACKET), 0);
		while (segment_len(&cut)) {
			size_t n = segment_next(&cut, parts[count]);

			join_add(&join, parts[count++], n);
		}
		join_flush(&join);
		assert_int_equal(out.count, 1);
		assert_int_equal(out.packets[0], count);
		assert_int_equal(out.len[0], len);
		assert_memory_equal(out.bytes[0], large, len);
		assert_memory_equal(&out.about[0], &h, sizeof(h));
		teardown(state);
		setup(state);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(kept_apart, setup, teardown),
	    cmocka_unit_test_setup_teardown(joined, setup, teardown),
	    cmocka_unit_test_setup_teardown(identification_stands_still, setup, teardown),
	    cmocka_unit_test_setup_teardown(run_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(more_flows_than_places, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_lost_or_reordered, setup, teardown),
	    cmocka_unit_test_setup_teardown(cut_and_joined, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
