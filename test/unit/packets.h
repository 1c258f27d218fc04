/* packets: builds IP packets and judges them, for the tests of what cuts and joins. Shares nothing with tun/: sums are
 * taken two bytes at a time, as RFC 1071 writes it.
 */
#ifndef TEST_UNIT_PACKETS_H
#define TEST_UNIT_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PACKETS_MAX = 65536 };

struct packets_shape {
	bool v6, udp;
	uint8_t tos, ttl;   /* 0 and 0: 64 */
	uint16_t id;        /* v4 */
	bool df;            /* v4 */
	uint32_t label;     /* v6 */
	uint8_t from;       /* added to the sender's address */
	uint16_t port;      /* of the sender */
	uint32_t seq, ack;  /* TCP */
	uint8_t flags;      /* TCP; 0: ACK */
	uint16_t window;    /* TCP; 0: 500 */
	size_t options;     /* bytes of TCP options, a multiple of 4: a time stamp repeated */
	uint8_t stamp;      /* in it */
	size_t ip_options;  /* v4: bytes, a multiple of 4; v6: destination options, a multiple of 8 */
	size_t payload, at; /* bytes of the pattern, from this one on */
};

static inline void
packets_put(uint8_t *p, unsigned bytes, uint32_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

static inline unsigned
packets_get(const uint8_t *p)
{
	return p[0] * 256U + p[1];
}

static inline uint32_t
packets_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : p[i] * 256U;
	while (sum > 0xffff)
		sum = sum % 65536 + sum / 65536;
	return sum;
}

/* The sum over addresses, protocol, length, and the TCP or UDP part itself. */
static inline uint32_t
packets_l4_sum(const uint8_t *pkt, size_t len, size_t l4, bool udp)
{
	bool v6 = pkt[0] / 16 == 6;
	uint32_t sum = packets_sum((uint32_t)((udp ? 17 : 6) + len - l4), pkt + (v6 ? 8 : 12), v6 ? 32 : 8);

	return packets_sum(sum, pkt + l4, len - l4);
}

static inline uint8_t
packets_pattern(size_t at)
{
	return (uint8_t)((at * 2654435761U) >> 11);
}

static inline size_t
packets_l4(const struct packets_shape *s)
{
	return (s->v6 ? 40 : 20) + s->ip_options;
}

static inline size_t
packets_header(const struct packets_shape *s)
{
	return packets_l4(s) + (s->udp ? 8 : 20 + s->options);
}

static inline void
packets_ip(uint8_t *pkt, const struct packets_shape *s, size_t len)
{
	static const uint8_t ends4[] = {192, 168, 48, 46, 169, 254, 0, 2};
	static const uint8_t ends6[] = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
					0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
	uint8_t protocol = s->udp ? 17 : 6;

	memset(pkt, 0, packets_header(s));
	if (s->v6) {
		packets_put(pkt, 4, 0x60000000U | (uint32_t)s->tos << 20 | s->label);
		packets_put(pkt + 4, 2, (uint32_t)(len - 40));
		pkt[6] = s->ip_options ? 60 : protocol;
		pkt[7] = s->ttl ? s->ttl : 64;
		memcpy(pkt + 8, ends6, sizeof(ends6));
		pkt[23] = (uint8_t)(pkt[23] + s->from);
		if (s->ip_options) {
			pkt[40] = protocol;
			pkt[41] = (uint8_t)(s->ip_options / 8 - 1);
			pkt[42] = 1; /* PadN */
			pkt[43] = (uint8_t)(s->ip_options - 4);
		}
		return;
	}
	pkt[0] = (uint8_t)(0x45 + s->ip_options / 4);
	pkt[1] = s->tos;
	packets_put(pkt + 2, 2, (uint32_t)len);
	packets_put(pkt + 4, 2, s->id);
	pkt[6] = s->df ? 0x40 : 0;
	pkt[8] = s->ttl ? s->ttl : 64;
	pkt[9] = protocol;
	memcpy(pkt + 12, ends4, sizeof(ends4));
	pkt[15] = (uint8_t)(pkt[15] + s->from);
	memset(pkt + 20, 1, s->ip_options);
	packets_put(pkt + 10, 2, 0xffff - packets_sum(0, pkt, packets_l4(s)));
}

/* Writes the whole packet, with the sums right. Returns its length. */
static inline size_t
packets_build(uint8_t *pkt, const struct packets_shape *s)
{
	size_t l4 = packets_l4(s), header = packets_header(s), len = header + s->payload;
	uint8_t *t = pkt + l4;
	uint32_t sum;

	packets_ip(pkt, s, len);
	packets_put(t, 2, s->port ? s->port : 40000);
	packets_put(t + 2, 2, 443);
	if (s->udp) {
		packets_put(t + 4, 2, (uint32_t)(len - l4));
	} else {
		packets_put(t + 4, 4, s->seq);
		packets_put(t + 8, 4, s->ack);
		t[12] = (uint8_t)((20 + s->options) / 4 * 16);
		t[13] = s->flags ? s->flags : 0x10;
		packets_put(t + 14, 2, s->window ? s->window : 500);
		for (size_t i = 0; i + 4 <= s->options; i += 4)
			packets_put(t + 20 + i, 4, 0x01010101U * (s->stamp + 1U));
	}
	for (size_t i = 0; i < s->payload; i++)
		pkt[header + i] = packets_pattern(s->at + i);
	sum = 0xffff - packets_l4_sum(pkt, len, l4, s->udp);
	packets_put(t + (s->udp ? 6 : 16), 2, s->udp && !sum ? 0xffff : sum);
	return len;
}

/* What is wrong with a packet's lengths and sums; NULL: nothing. */
static inline const char *
packets_wrong(const uint8_t *pkt, size_t len, size_t l4, bool udp)
{
	bool v6 = pkt[0] / 16 == 6;

	if (v6 ? packets_get(pkt + 4) != len - 40 : packets_get(pkt + 2) != len)
		return "IP length";
	if (!v6 && packets_sum(0, pkt, (pkt[0] % 16) * 4U) != 0xffff)
		return "IP header sum";
	if (udp && packets_get(pkt + l4 + 4) != len - l4)
		return "UDP length";
	if (udp && !packets_get(pkt + l4 + 6))
		return "UDP without a sum";
	return packets_l4_sum(pkt, len, l4, udp) == 0xffff ? NULL : "sum";
}

/* Numbers for tests that throw dice: the same in each run. */
static inline uint32_t
packets_dice(uint64_t *state, uint32_t below)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(*state >> 33) % below;
}

#endif
