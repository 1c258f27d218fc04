#include "tun/checksum.h"

#include <arpa/inet.h>
#include <string.h>

enum { V4_SUM = 10, V4_ADDRESSES = 12, V6_ADDRESSES = 8 };

static uint64_t
load(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* With the carry brought round: the sum stays the same modulo 2^16 - 1. */
static uint64_t
plus(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

uint64_t
checksum_add(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0, rest = 0;

	/* four sums beside each other: one alone waits for its carry at each step */
	for (; n >= 32; p += 32, n -= 32) {
		sum = plus(sum, load(p));
		a = plus(a, load(p + 8));
		b = plus(b, load(p + 16));
		c = plus(c, load(p + 24));
	}
	for (; n >= 8; p += 8, n -= 8)
		sum = plus(sum, load(p));
	memcpy(&rest, p, n);
	return plus(plus(sum, rest), plus(plus(a, b), c));
}

uint64_t
checksum_pseudo(const uint8_t *pkt, bool v6, uint8_t protocol, size_t len)
{
	uint64_t sum = v6 ? checksum_add(0, pkt + V6_ADDRESSES, 32) : checksum_add(0, pkt + V4_ADDRESSES, 8);

	return plus(sum, (uint64_t)htons(protocol) + htonl((uint32_t)len));
}

uint16_t
checksum_partial(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffffU);
	sum = (sum >> 32) + (sum & 0xffffffffU);
	sum = (sum >> 16) + (sum & 0xffffU);
	sum = (sum >> 16) + (sum & 0xffffU);
	return (uint16_t)((sum >> 16) + sum);
}

uint16_t
checksum_fold(uint64_t sum)
{
	return (uint16_t)~checksum_partial(sum);
}

void
checksum_put_v4(uint8_t *pkt, size_t header)
{
	uint16_t sum = 0;

	memcpy(pkt + V4_SUM, &sum, sizeof(sum));
	sum = checksum_fold(checksum_add(0, pkt, header));
	memcpy(pkt + V4_SUM, &sum, sizeof(sum));
}
