#include "tun/segment.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "tun/checksum.h"
#include "tun/inet.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* kernel 6.2 */
#endif

enum { HOP_BY_HOP = 0, ROUTING = 43, DESTINATION = 60 };

/* Offset of the `protocol` header behind IPv6 extension headers that each piece may repeat; 0: there is none. */
static size_t
find_v6(const uint8_t *pkt, size_t len, uint8_t protocol)
{
	uint8_t next = pkt[INET_V6_NEXT];
	size_t at = INET_V6_HEADER;

	while (next != protocol) {
		if ((next != HOP_BY_HOP && next != ROUTING && next != DESTINATION) || len - at < 8)
			return 0;
		next = pkt[at];
		at += 8U * (pkt[at + 1] + 1U);
		if (at >= len)
			return 0;
	}
	return at;
}

static size_t
find_l4(const uint8_t *pkt, size_t len, bool v6, uint8_t protocol)
{
	if (v6)
		return find_v6(pkt, len, protocol);
	if (pkt[INET_V4_PROTOCOL] != protocol || inet_get16(pkt + INET_V4_FRAGMENT) & INET_V4_FRAGMENTED)
		return 0;
	return (pkt[0] & 0x0fU) * 4U;
}

/* Linux, skb_checksum_help(): the field holds the pseudo header's sum. UDP sends a sum of 0 as all ones (RFC 768). */
static int
complete(uint8_t *pkt, size_t len, size_t start, size_t offset, bool v6)
{
	size_t first = v6 ? INET_V6_HEADER : (pkt[0] & 0x0fU) * 4U;
	uint16_t sum;

	if (start < first || start > len || len - start < 2 || offset > len - start - 2)
		return -EINVAL;
	sum = checksum_fold(checksum_add(0, pkt + start, len - start));
	if (!sum)
		sum = 0xffff;
	memcpy(pkt + start + offset, &sum, sizeof(sum));
	return 0;
}

static int
begin_whole(struct segment *s, const struct virtio_net_hdr *h, size_t mtu)
{
	if (s->len > mtu)
		return -EMSGSIZE;
	s->header = 0;
	s->size = s->len;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return complete(s->pkt, s->len, h->csum_start, h->csum_offset, s->v6);
	return 0;
}

/* A stream can be cut anywhere, so one that was made for a larger MTU still passes; datagrams cannot. */
static int
fit(struct segment *s, size_t mtu)
{
	if (s->header + s->size <= mtu || s->len <= mtu)
		return 0;
	if (!s->tcp || mtu <= s->header)
		return -EMSGSIZE;
	s->size = mtu - s->header;
	return 0;
}

static int
begin_cut(struct segment *s, const struct virtio_net_hdr *h, size_t mtu)
{
	size_t field = s->tcp ? INET_TCP_SUM : INET_UDP_SUM, least = s->tcp ? INET_TCP_HEADER : INET_UDP_HEADER;

	s->l4 = find_l4(s->pkt, s->len, s->v6, s->tcp ? INET_TCP : INET_UDP);
	if (!s->l4 || s->len - s->l4 < least || !h->gso_size || !(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    h->csum_start != s->l4 || h->csum_offset != field)
		return -EINVAL;
	s->header = s->l4 + (s->tcp ? (s->pkt[s->l4 + INET_TCP_OFFSET] >> 4) * 4U : INET_UDP_HEADER);
	if (s->header < s->l4 + least || s->header > s->len)
		return -EINVAL;
	s->at = s->header;
	s->size = h->gso_size;
	return fit(s, mtu);
}

static int
begin(struct segment *s, const struct virtio_net_hdr *h, size_t mtu)
{
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return begin_whole(s, h, mtu);
	case VIRTIO_NET_HDR_GSO_TCPV4:
		s->tcp = true;
		return s->v6 ? -EINVAL : begin_cut(s, h, mtu);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->tcp = true;
		return s->v6 ? begin_cut(s, h, mtu) : -EINVAL;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return begin_cut(s, h, mtu);
	default:
		return -EINVAL;
	}
}

int
segment_begin(struct segment *s, uint8_t *pkt, size_t len, const struct virtio_net_hdr *h, size_t mtu)
{
	int rc;

	*s = (struct segment){.pkt = pkt, .len = len, .v6 = pkt[0] >> 4 == 6};
	rc = begin(s, h, mtu);
	if (rc)
		*s = (struct segment){0};
	return rc;
}

size_t
segment_len(const struct segment *s)
{
	size_t left = s->len - s->at;

	return s->len ? s->header + (left < s->size ? left : s->size) : 0;
}

/* Linux, inet_gso_segment(): identifications count up, with DF as without. */
static void
put_ip(const struct segment *s, uint8_t *dst, size_t len)
{
	if (s->v6) {
		inet_put16(dst + INET_V6_LENGTH, len - INET_V6_HEADER);
		return;
	}
	inet_put16(dst + INET_V4_LENGTH, len);
	inet_put16(dst + INET_V4_ID, inet_get16(s->pkt + INET_V4_ID) + s->index);
	checksum_put_v4(dst, (dst[0] & 0x0fU) * 4U);
}

/* Linux, tcp_gso_segment(): the end of the stream belongs to the last piece, and "congestion window reduced" is said
 * once (RFC 3168, section 6.1.2). */
static void
put_tcp(const struct segment *s, uint8_t *tcp, bool last)
{
	inet_put32(tcp + INET_TCP_SEQ, inet_get32(tcp + INET_TCP_SEQ) + (uint32_t)(s->at - s->header));
	if (!last)
		tcp[INET_TCP_FLAGS] &= (uint8_t) ~(INET_FIN | INET_PSH);
	if (s->index)
		tcp[INET_TCP_FLAGS] &= (uint8_t)~INET_CWR;
}

static void
put_sum(const struct segment *s, uint8_t *dst, size_t len)
{
	uint8_t *field = dst + s->l4 + (s->tcp ? INET_TCP_SUM : INET_UDP_SUM);
	uint16_t sum = 0;

	memcpy(field, &sum, sizeof(sum));
	sum = checksum_fold(checksum_add(checksum_pseudo(dst, s->v6, s->tcp ? INET_TCP : INET_UDP, len - s->l4),
					 dst + s->l4, len - s->l4));
	if (!sum && !s->tcp)
		sum = 0xffff;
	memcpy(field, &sum, sizeof(sum));
}

size_t
segment_next(struct segment *s, uint8_t *dst)
{
	size_t len = segment_len(s), payload = len - s->header;
	bool last = s->at + payload == s->len;

	if (!len)
		return 0;
	memcpy(dst, s->pkt, s->header);
	memcpy(dst + s->header, s->pkt + s->at, payload);
	if (s->l4) {
		put_ip(s, dst, len);
		if (s->tcp)
			put_tcp(s, dst + s->l4, last);
		else
			inet_put16(dst + s->l4 + INET_UDP_LENGTH, len - s->l4);
		put_sum(s, dst, len);
	}
	s->at += payload;
	s->index++;
	if (last)
		*s = (struct segment){0};
	return len;
}
