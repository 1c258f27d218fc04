/* inet: offsets and bits of IP, TCP and UDP headers (RFC 791, 8200, 9293, 768), for the files that cut and join. */
#ifndef TUN_INET_H
#define TUN_INET_H

#include <stddef.h>
#include <stdint.h>

enum {
	INET_V4_HEADER = 20,
	INET_V4_LENGTH = 2,
	INET_V4_ID = 4,
	INET_V4_FRAGMENT = 6,
	INET_V4_TTL = 8,
	INET_V4_PROTOCOL = 9,
	INET_V4_SOURCE = 12, /* the destination follows, 4 bytes each */
	INET_V4_DF = 0x4000,
	INET_V4_FRAGMENTED = 0x3fff, /* more fragments, or an offset */

	INET_V6_HEADER = 40,
	INET_V6_LENGTH = 4, /* without this header */
	INET_V6_NEXT = 6,
	INET_V6_HOPS = 7,
	INET_V6_SOURCE = 8, /* the destination follows, 16 bytes each */

	INET_TCP = 6,
	INET_TCP_HEADER = 20,
	INET_TCP_SEQ = 4,
	INET_TCP_ACK = 8,
	INET_TCP_OFFSET = 12, /* high half: header length in words; low half: flags too */
	INET_TCP_FLAGS = 13,
	INET_TCP_WINDOW = 14,
	INET_TCP_SUM = 16,

	INET_ICMP6 = 58,

	INET_UDP = 17,
	INET_UDP_HEADER = 8,
	INET_UDP_LENGTH = 4,
	INET_UDP_SUM = 6,
};

enum {
	INET_FIN = 0x01,
	INET_SYN = 0x02,
	INET_RST = 0x04,
	INET_PSH = 0x08,
	INET_URG = 0x20,
	INET_ECE = 0x40,
	INET_CWR = 0x80,
};

static inline uint16_t
inet_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void
inet_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t
inet_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
inet_put32(uint8_t *p, uint32_t v)
{
	inet_put16(p, v >> 16);
	inet_put16(p + 2, v & 0xffff);
}

#endif
