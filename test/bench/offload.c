#include "test/bench/offload.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* linux/virtio_net.h of older kernels lacks it. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { FLOWS = 8, PIECES = 64, HEADERS_MAX = 100 };

/* --- checksums ---------------------------------------------------------------------------------------------------- */

/* One's complement sum in the machine's byte order, which is as good as any (RFC 1071, section 2 B). */
static uint64_t
sum(const uint8_t *p, size_t len, uint64_t total)
{
	uint64_t even = 0, odd = 0;
	uint32_t a, b;
	uint16_t w = 0;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&a, p, 4);
		memcpy(&b, p + 4, 4);
		even += a;
		odd += b;
	}
	total += even + odd;
	for (; len >= 2; p += 2, len -= 2) {
		memcpy(&w, p, 2);
		total += w;
	}
	w = 0;
	memcpy(&w, p, len);
	return total + w;
}

static uint16_t
fold(uint64_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

/* Where things are in a TCP or UDP packet. */
struct layout {
	bool v6;
	uint8_t protocol;
	size_t l3, headers; /* bytes of the IP header; of both headers */
};

static bool
find_layout(const uint8_t *p, size_t len, struct layout *l)
{
	l->v6 = len && p[0] >> 4 == 6;
	l->l3 = l->v6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	if (len < l->l3 || (!l->v6 && p[0] != 0x45))
		return false;
	l->protocol = l->v6 ? p[6] : p[9];
	if (!l->v6 && (((const struct iphdr *)p)->frag_off & htons(IP_MF | IP_OFFMASK)))
		return false;
	if (l->protocol == IPPROTO_UDP) {
		l->headers = l->l3 + sizeof(struct udphdr);
		return len >= l->headers;
	}
	if (l->protocol != IPPROTO_TCP || len < l->l3 + sizeof(struct tcphdr))
		return false;
	l->headers = l->l3 + (p[l->l3 + 12] >> 4) * 4u;
	return l->headers >= l->l3 + sizeof(struct tcphdr) && l->headers <= len;
}

/* Addresses, protocol and length of what follows the IP header. */
static uint64_t
pseudo_sum(const uint8_t *p, const struct layout *l, size_t l4_len)
{
	uint64_t total = htons(l->protocol);

	total += htons((uint16_t)(l4_len >> 16)) + htons((uint16_t)l4_len);
	return l->v6 ? sum(p + 8, 32, total) : sum(p + 12, 8, total);
}

static void
set_length(uint8_t *p, const struct layout *l, size_t len)
{
	struct iphdr *v4 = (struct iphdr *)p;

	if (l->v6) {
		((struct ip6_hdr *)p)->ip6_plen = htons((uint16_t)(len - l->l3));
		return;
	}
	v4->tot_len = htons((uint16_t)len);
	v4->check = 0;
	v4->check = (uint16_t)~fold(sum(p, l->l3, 0));
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void
finish_checksum(const struct virtio_net_hdr *h, uint8_t *p, size_t len)
{
	size_t at = (size_t)h->csum_start + h->csum_offset;
	uint16_t check;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->csum_start > len || at + 2 > len)
		return;
	check = (uint16_t)~fold(sum(p + h->csum_start, len - h->csum_start, 0));
	memcpy(p + at, &check, 2);
}

/* Headers of the piece that begins `offset` bytes into the payload and whose payload, `n` bytes, stands in place. */
static void
finish_piece(uint8_t *p, const struct layout *l, size_t offset, size_t n, unsigned number, bool last)
{
	struct tcphdr *tcp = (struct tcphdr *)(p + l->l3);
	struct udphdr *udp = (struct udphdr *)(p + l->l3);
	size_t l4_len = l->headers - l->l3 + n;
	uint16_t *check = l->protocol == IPPROTO_TCP ? &tcp->check : &udp->check;

	if (!l->v6)
		((struct iphdr *)p)->id = htons((uint16_t)(ntohs(((struct iphdr *)p)->id) + number));
	set_length(p, l, l->headers + n);
	if (l->protocol == IPPROTO_TCP) {
		tcp->seq = htonl(ntohl(tcp->seq) + (uint32_t)offset);
		if (!last)
			tcp->fin = tcp->psh = 0;
		if (number)
			tcp->res2 &= 1; /* CWR is said once (RFC 3168, section 6.1.2) */
	} else {
		udp->len = htons((uint16_t)l4_len);
	}
	*check = 0;
	*check = (uint16_t)~fold(sum(p + l->l3, l4_len, pseudo_sum(p, l, l4_len)));
	if (l->protocol == IPPROTO_UDP && !*check)
		*check = 0xffff;
}

size_t
offload_cut(const struct virtio_net_hdr *h, uint8_t *packet, size_t len, uint8_t *out, size_t room, size_t gap,
	    offload_header_fn *header)
{
	struct layout l;
	size_t used = 0, n;
	unsigned number = 0;

	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (gap + len > room)
			return 0;
		finish_checksum(h, packet, len);
		header(out, len);
		memcpy(out + gap, packet, len);
		return gap + len;
	}
	if (!h->gso_size || !find_layout(packet, len, &l))
		return 0;
	for (size_t at = 0; at < len - l.headers; at += n, number++) {
		n = len - l.headers - at < h->gso_size ? len - l.headers - at : h->gso_size;
		if (used + gap + l.headers + n > room)
			return 0;
		header(out + used, l.headers + n);
		memcpy(out + used + gap, packet, l.headers);
		memcpy(out + used + gap + l.headers, packet + l.headers + at, n);
		finish_piece(out + used + gap, &l, at, n, number, at + n == len - l.headers);
		used += gap + l.headers + n;
	}
	return used;
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* Packets of one flow that follow each other. pieces[1] on are payloads, where they came to lie. */
struct flow {
	size_t count; /* of payloads; 0: free */
	size_t len, size;
	struct layout layout;
	const uint8_t *first; /* the first packet, whole */
	uint8_t headers[HEADERS_MAX];
	struct iovec pieces[PIECES + 2];
};

struct offload_join {
	int fd;
	size_t oldest;
	uint64_t dropped;
	struct flow flows[FLOWS];
};

struct offload_join *
offload_join_new(int tun_fd)
{
	struct offload_join *j = calloc(1, sizeof(*j));

	if (j)
		j->fd = tun_fd;
	return j;
}

uint64_t
offload_join_dropped(const struct offload_join *j)
{
	return j->dropped;
}

static void
write_plain(struct offload_join *j, const uint8_t *packet, size_t len)
{
	struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};
	struct iovec v[] = {{&h, sizeof(h)}, {(void *)packet, len}};

	if (writev(j->fd, v, 2) < 0)
		j->dropped++;
}

static void
write_flow(struct offload_join *j, struct flow *f)
{
	struct tcphdr *tcp = (struct tcphdr *)(f->headers + f->layout.l3);
	size_t l4_len = f->layout.headers - f->layout.l3 + f->len;
	struct virtio_net_hdr h = {
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = f->layout.v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
	    .hdr_len = (uint16_t)f->layout.headers,
	    .gso_size = (uint16_t)f->size,
	    .csum_start = (uint16_t)f->layout.l3,
	    .csum_offset = offsetof(struct tcphdr, check),
	};

	if (f->count == 1) {
		write_plain(j, f->first, f->layout.headers + f->len);
	} else if (f->count) {
		set_length(f->headers, &f->layout, f->layout.headers + f->len);
		tcp->check = fold(pseudo_sum(f->headers, &f->layout, l4_len));
		f->pieces[0] = (struct iovec){&h, sizeof(h)};
		f->pieces[1] = (struct iovec){f->headers, f->layout.headers};
		if (writev(j->fd, f->pieces, (int)f->count + 2) < 0)
			j->dropped += f->count;
	}
	f->count = 0;
}

static bool
is_same_flow(const struct flow *f, const uint8_t *p, const struct layout *l)
{
	size_t at = l->v6 ? 8 : 12;

	return f->count && f->layout.v6 == l->v6 && !memcmp(f->headers + at, p + at, l->l3 - at) &&
	       !memcmp(f->headers + l->l3, p + l->l3, 4);
}

/* Data and nothing else in its flags, and whole: what may stand in the middle of a joined packet. */
static bool
is_joinable(const uint8_t *p, size_t len, const struct layout *l)
{
	const struct tcphdr *tcp = (const struct tcphdr *)(p + l->l3);
	size_t l4_len = len - l->l3;

	return len > l->headers && l->headers <= HEADERS_MAX && !tcp->syn && !tcp->fin && !tcp->rst && !tcp->urg &&
	       !tcp->res2 && fold(sum(p + l->l3, l4_len, pseudo_sum(p, l, l4_len))) == 0xffff;
}

/* As the kernel joins: everything alike but the sequence number, which goes on, and no piece after a shorter one. */
static bool
goes_on(const struct flow *f, const uint8_t *p, size_t payload, const struct layout *l)
{
	const struct tcphdr *tcp = (const struct tcphdr *)(p + l->l3),
			    *first = (const struct tcphdr *)(f->headers + l->l3);

	return l->headers == f->layout.headers && f->len % f->size == 0 && payload <= f->size && f->count < PIECES &&
	       l->headers + f->len + payload <= OFFLOAD_PACKET_MAX &&
	       ntohl(tcp->seq) == ntohl(first->seq) + (uint32_t)f->len && tcp->ack_seq == first->ack_seq &&
	       tcp->window == first->window && !first->psh &&
	       (l->v6 || (p[1] == f->headers[1] && p[8] == f->headers[8])) &&
	       !memcmp(tcp + 1, first + 1, l->headers - l->l3 - sizeof(*tcp));
}

static void
append(struct flow *f, const uint8_t *p, size_t payload)
{
	struct tcphdr *first = (struct tcphdr *)(f->headers + f->layout.l3);

	first->psh |= ((const struct tcphdr *)(p + f->layout.l3))->psh;
	f->pieces[f->count + 2] = (struct iovec){(void *)(p + f->layout.headers), payload};
	f->count++;
	f->len += payload;
}

static void
begin(struct flow *f, const uint8_t *p, size_t payload, const struct layout *l)
{
	f->layout = *l;
	f->first = p;
	f->len = 0;
	f->size = payload;
	memcpy(f->headers, p, l->headers);
	append(f, p, payload);
}

void
offload_join_add(struct offload_join *j, const uint8_t *packet, size_t len)
{
	struct flow *f = NULL;
	struct layout l;

	if (!find_layout(packet, len, &l) || l.protocol != IPPROTO_TCP) {
		write_plain(j, packet, len);
		return;
	}
	for (size_t i = 0; i < FLOWS; i++) {
		if (is_same_flow(&j->flows[i], packet, &l))
			f = &j->flows[i];
	}
	if (!is_joinable(packet, len, &l)) {
		if (f)
			write_flow(j, f);
		write_plain(j, packet, len);
		return;
	}
	if (f && goes_on(f, packet, len - l.headers, &l)) {
		append(f, packet, len - l.headers);
		return;
	}
	if (!f) {
		f = &j->flows[j->oldest];
		j->oldest = (j->oldest + 1) % FLOWS;
	}
	write_flow(j, f);
	begin(f, packet, len - l.headers, &l);
}

void
offload_join_flush(struct offload_join *j)
{
	for (size_t i = 0; i < FLOWS; i++)
		write_flow(j, &j->flows[i]);
}
