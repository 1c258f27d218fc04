#include "tun/mss.h"

#include <string.h>

#include "tun/checksum.h"
#include "tun/inet.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_MSS_LEN = 4 };

static size_t
tcp_at(const uint8_t *pkt, size_t len)
{
	size_t at = INET_V6_HEADER;

	if (pkt[0] >> 4 == 6) {
		if (pkt[INET_V6_NEXT] != INET_TCP)
			return 0;
	} else {
		at = (pkt[0] & 0x0fU) * 4U;
		/* a first fragment has its TCP header, the others have none */
		if (pkt[INET_V4_PROTOCOL] != INET_TCP || inet_get16(pkt + INET_V4_FRAGMENT) & 0x1fff)
			return 0;
	}
	return len >= at + INET_TCP_HEADER && pkt[at + INET_TCP_FLAGS] & INET_SYN ? at : 0;
}

size_t
mss_find(const uint8_t *pkt, size_t len)
{
	size_t tcp = tcp_at(pkt, len), at = tcp + INET_TCP_HEADER, end;

	if (!tcp)
		return 0;
	end = tcp + (pkt[tcp + INET_TCP_OFFSET] >> 4) * 4U;
	if (end > len)
		end = len;
	while (at + 1 < end && pkt[at] != OPTION_END) {
		size_t size = pkt[at] == OPTION_NOP ? 1 : pkt[at + 1];

		if (!size || at + size > end)
			return 0;
		if (pkt[at] == OPTION_MSS && size == OPTION_MSS_LEN)
			return at + 2;
		at += size;
	}
	return 0;
}

/* RFC 1624, equation 3. A field at an odd offset counts with its bytes swapped, as in the sum itself. */
static void
replace(uint8_t *field, const uint8_t *old, const uint8_t *new, size_t at)
{
	uint8_t was[4] = {0}, is[4] = {0};
	uint16_t sum, removed;

	memcpy(was + at % 2, old, 2);
	memcpy(is + at % 2, new, 2);
	memcpy(&sum, field, sizeof(sum));
	removed = (uint16_t)~checksum_partial(checksum_add(0, was, sizeof(was)));
	sum = checksum_fold(checksum_add((uint16_t)~sum + (uint64_t)removed, is, sizeof(is)));
	memcpy(field, &sum, sizeof(sum));
}

void
mss_clamp(uint8_t *pkt, size_t at, size_t mtu)
{
	size_t tcp = pkt[0] >> 4 == 6 ? INET_V6_HEADER : (pkt[0] & 0x0fU) * 4U;
	size_t headers = (pkt[0] >> 4 == 6 ? INET_V6_HEADER : INET_V4_HEADER) + INET_TCP_HEADER;
	uint8_t old[2], new[2];

	if (mtu <= headers || inet_get16(pkt + at) <= mtu - headers)
		return;
	memcpy(old, pkt + at, sizeof(old));
	inet_put16(new, mtu - headers);
	memcpy(pkt + at, new, sizeof(new));
	replace(pkt + tcp + INET_TCP_SUM, old, new, at - tcp);
}
