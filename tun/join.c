#include "tun/join.h"

#include <stdbool.h>
#include <string.h>

#include "tun/checksum.h"
#include "tun/inet.h"

enum { TOTAL_MAX = 65535 };

/* What a packet is to the joiner. */
enum kind {
	KIND_OTHER,  /* no TCP: nothing here has to go before it */
	KIND_UNSURE, /* TCP whose flow cannot be told, a fragment or behind options: everything goes before it */
	KIND_TCP,
};

struct segment_view {
	uint8_t *pkt;
	size_t len, l4, header, payload;
	bool v6;
	uint8_t flags;
};

static enum kind
look(uint8_t *pkt, size_t len, struct segment_view *v)
{
	*v = (struct segment_view){.pkt = pkt, .len = len, .v6 = pkt[0] >> 4 == 6};
	if (v->v6) {
		v->l4 = INET_V6_HEADER;
		if (pkt[INET_V6_NEXT] != INET_TCP)
			return pkt[INET_V6_NEXT] == INET_UDP || pkt[INET_V6_NEXT] == INET_ICMP6 ? KIND_OTHER
												: KIND_UNSURE;
	} else {
		v->l4 = INET_V4_HEADER;
		if (pkt[INET_V4_PROTOCOL] != INET_TCP)
			return KIND_OTHER;
		if (pkt[0] != 0x45 || inet_get16(pkt + INET_V4_FRAGMENT) & INET_V4_FRAGMENTED)
			return KIND_UNSURE;
	}
	if (len < v->l4 + INET_TCP_HEADER)
		return KIND_UNSURE;
	v->header = v->l4 + (pkt[v->l4 + INET_TCP_OFFSET] >> 4) * 4U;
	if (v->header < v->l4 + INET_TCP_HEADER || v->header > len)
		return KIND_UNSURE;
	v->payload = len - v->header;
	v->flags = pkt[v->l4 + INET_TCP_FLAGS];
	return KIND_TCP;
}

static const uint8_t *
first_of(const struct join_flow *f)
{
	return f->part[1].iov_base;
}

static bool
same_flow(const struct join_flow *f, const struct segment_view *v)
{
	const uint8_t *a = first_of(f), *b = v->pkt;

	/* both ports at once; then both addresses */
	if (f->l4 != v->l4 || memcmp(a + f->l4, b + v->l4, 4) != 0)
		return false;
	return v->v6 ? !memcmp(a + INET_V6_SOURCE, b + INET_V6_SOURCE, 32)
		     : !memcmp(a + INET_V4_SOURCE, b + INET_V4_SOURCE, 8);
}

static struct join_flow *
find(struct join *j, const struct segment_view *v)
{
	for (size_t i = 0; j->used && i < JOIN_FLOWS; i++) {
		if (j->flows[i].packets && same_flow(&j->flows[i], v))
			return &j->flows[i];
	}
	return NULL;
}

/* --- giving away -------------------------------------------------------------------------------------------------- */

static void
give_one(struct join *j, uint8_t *pkt, size_t len)
{
	struct iovec part[2] = {[1] = {.iov_base = pkt, .iov_len = len}};
	const struct join_unit u = {.part = part, .count = 2, .packets = 1, .bytes = len};

	j->sink(j->ctx, &u);
}

/* The first packet's headers for all of it. The checksum is left to whoever needs it: the segments' were right. */
static void
put_headers(const struct join_flow *f, uint8_t *pkt, bool v6)
{
	size_t len = f->header + f->payload;
	uint16_t sum;

	if (v6) {
		inet_put16(pkt + INET_V6_LENGTH, len - INET_V6_HEADER);
	} else {
		inet_put16(pkt + INET_V4_LENGTH, len);
		checksum_put_v4(pkt, INET_V4_HEADER);
	}
	sum = checksum_partial(checksum_pseudo(pkt, v6, INET_TCP, len - f->l4));
	memcpy(pkt + f->l4 + INET_TCP_SUM, &sum, sizeof(sum));
}

static void
give_flow(struct join *j, struct join_flow *f)
{
	uint8_t *pkt = f->part[1].iov_base;
	bool v6 = pkt[0] >> 4 == 6;
	struct join_unit u = {.part = f->part, .count = (int)f->packets + 1, .packets = f->packets};

	u.bytes = f->payload + f->header * f->packets;
	if (f->packets > 1) {
		put_headers(f, pkt, v6);
		u.about.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		u.about.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		if (pkt[f->l4 + INET_TCP_FLAGS] & INET_CWR)
			u.about.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		u.about.hdr_len = (uint16_t)f->header;
		u.about.gso_size = (uint16_t)f->size;
		u.about.csum_start = (uint16_t)f->l4;
		u.about.csum_offset = INET_TCP_SUM;
	}
	f->packets = 0;
	j->used--;
	j->sink(j->ctx, &u);
}

static struct join_flow *
oldest(struct join *j)
{
	struct join_flow *best = NULL;

	for (size_t i = 0; i < JOIN_FLOWS; i++) {
		struct join_flow *f = &j->flows[i];

		if (f->packets && (!best || f->born < best->born))
			best = f;
	}
	return best;
}

void
join_flush(struct join *j)
{
	while (j->used)
		give_flow(j, oldest(j));
}

/* --- taking ------------------------------------------------------------------------------------------------------- */

static bool
sums_right(const struct segment_view *v)
{
	const uint8_t *p = v->pkt;

	if (!v->v6 && checksum_fold(checksum_add(0, p, INET_V4_HEADER)))
		return false;
	return !checksum_fold(
	    checksum_add(checksum_pseudo(p, v->v6, INET_TCP, v->len - v->l4), p + v->l4, v->len - v->l4));
}

/* Linux, inet_gro_receive(): service, lifetime and DF are alike, and identifications count up; with DF they may also
 * stand still. */
static bool
same_v4(const struct join_flow *f, const struct segment_view *v, uint16_t *step)
{
	const uint8_t *a = first_of(f), *b = v->pkt;
	uint16_t since = (uint16_t)(inet_get16(b + INET_V4_ID) - inet_get16(a + INET_V4_ID));
	bool fixed = inet_get16(a + INET_V4_FRAGMENT) & INET_V4_DF;

	if (a[1] != b[1] || a[INET_V4_TTL] != b[INET_V4_TTL] ||
	    memcmp(a + INET_V4_FRAGMENT, b + INET_V4_FRAGMENT, 2) != 0)
		return false;
	*step = f->packets == 1 ? since : f->id_step;
	if (*step > 1 || (!*step && !fixed))
		return false;
	return since == (uint16_t)(*step * f->packets);
}

/* Linux, ipv6_gro_receive(): version, traffic class and flow label; lifetime. */
static bool
same_v6(const struct join_flow *f, const struct segment_view *v)
{
	const uint8_t *a = first_of(f), *b = v->pkt;

	return !memcmp(a, b, 4) && a[INET_V6_HOPS] == b[INET_V6_HOPS];
}

/* Linux, tcp_gro_receive(): flags but those that may close a run, acknowledgement, window and options are alike. */
static bool
same_tcp(const struct join_flow *f, const struct segment_view *v)
{
	const uint8_t *a = first_of(f) + f->l4, *b = v->pkt + v->l4;
	const uint8_t loose = INET_FIN | INET_PSH | INET_CWR;

	return f->header == v->header && !(v->flags & INET_CWR) &&
	       !((a[INET_TCP_FLAGS] ^ b[INET_TCP_FLAGS]) & ~loose) && a[INET_TCP_OFFSET] == b[INET_TCP_OFFSET] &&
	       !memcmp(a + INET_TCP_ACK, b + INET_TCP_ACK, 4) && !memcmp(a + INET_TCP_WINDOW, b + INET_TCP_WINDOW, 2) &&
	       !memcmp(a + INET_TCP_SUM + 2, b + INET_TCP_SUM + 2, f->header - f->l4 - INET_TCP_SUM - 2);
}

static bool
append(struct join_flow *f, const struct segment_view *v)
{
	uint16_t step = 0;

	if (!v->payload || v->payload > f->size || f->packets == JOIN_PARTS ||
	    f->header + f->payload + v->payload > TOTAL_MAX ||
	    inet_get32(v->pkt + v->l4 + INET_TCP_SEQ) != f->next_seq || !same_tcp(f, v))
		return false;
	if (v->v6 ? !same_v6(f, v) : !same_v4(f, v, &step))
		return false;
	if (!sums_right(v))
		return false;
	f->part[1 + f->packets] = (struct iovec){.iov_base = v->pkt + v->header, .iov_len = v->payload};
	f->packets++;
	f->payload += v->payload;
	f->next_seq += (uint32_t)v->payload;
	f->id_step = step;
	((uint8_t *)f->part[1].iov_base)[f->l4 + INET_TCP_FLAGS] |= v->flags & (INET_FIN | INET_PSH);
	return true;
}

/* A segment that others may follow. */
static bool
is_first(const struct segment_view *v)
{
	return v->payload && !(v->flags & (INET_FIN | INET_SYN | INET_RST | INET_PSH | INET_URG)) && sums_right(v);
}

static void
start(struct join *j, const struct segment_view *v)
{
	struct join_flow *f = j->flows;

	if (j->used == JOIN_FLOWS)
		give_flow(j, oldest(j));
	while (f->packets)
		f++;
	f->packets = 1;
	f->born = j->born++;
	f->l4 = v->l4;
	f->header = v->header;
	f->size = f->payload = v->payload;
	f->next_seq = inet_get32(v->pkt + v->l4 + INET_TCP_SEQ) + (uint32_t)v->payload;
	f->part[1] = (struct iovec){.iov_base = v->pkt, .iov_len = v->len};
	j->used++;
}

static void
add_tcp(struct join *j, const struct segment_view *v)
{
	struct join_flow *f = find(j, v);

	if (f && append(f, v)) {
		/* a short one or one that asks for delivery ends the run */
		if (v->payload < f->size || v->flags & (INET_FIN | INET_PSH))
			give_flow(j, f);
		return;
	}
	if (f)
		give_flow(j, f);
	if (is_first(v))
		start(j, v);
	else
		give_one(j, v->pkt, v->len);
}

void
join_add(struct join *j, uint8_t *pkt, size_t len)
{
	struct segment_view v;
	enum kind kind = look(pkt, len, &v);

	if (kind == KIND_TCP) {
		add_tcp(j, &v);
		return;
	}
	if (kind == KIND_UNSURE)
		join_flush(j);
	give_one(j, pkt, len);
}
