#include "tun/packet.h"

#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"

enum { V4_HEADER = 20, V6_HEADER = 40, V4_SOURCE = 12, V4_DESTINATION = 16, V6_SOURCE = 8, V6_DESTINATION = 24 };

/* The end of the packet that has to be the tunnel address. */
static enum packet_verdict
check_end(const uint8_t *pkt, size_t source, size_t destination, size_t size, enum packet_way way,
	  const struct addr *tunnel)
{
	if (way == PACKET_FROM_MANAGER)
		return memcmp(pkt + destination, tunnel->bytes, size) ? PACKET_DESTINATION : PACKET_PASS;
	return memcmp(pkt + source, tunnel->bytes, size) ? PACKET_SOURCE : PACKET_PASS;
}

static enum packet_verdict
check_v4(const uint8_t *pkt, size_t len, enum packet_way way, const struct addr *tunnel)
{
	struct rd r = rd_init(pkt, len);
	size_t header, total;

	if (len < V4_HEADER)
		return PACKET_SHORT;
	header = (rd_u8(&r) & 0x0fU) * 4U;
	rd_u8(&r);
	total = rd_u16be(&r);
	if (header < V4_HEADER || header > len)
		return PACKET_HEADER;
	if (total != len)
		return PACKET_LENGTH;
	if (tunnel->family != AF_INET)
		return PACKET_NO_ADDRESS;
	return check_end(pkt, V4_SOURCE, V4_DESTINATION, 4, way, tunnel);
}

/* A jumbogram says 0 and is longer: it fails the length check, as no device here is that large. */
static enum packet_verdict
check_v6(const uint8_t *pkt, size_t len, enum packet_way way, const struct addr *tunnel)
{
	struct rd r = rd_init(pkt, len);

	if (len < V6_HEADER)
		return PACKET_SHORT;
	rd_u32be(&r);
	if (rd_u16be(&r) != len - V6_HEADER)
		return PACKET_LENGTH;
	if (tunnel->family != AF_INET6)
		return PACKET_NO_ADDRESS;
	return check_end(pkt, V6_SOURCE, V6_DESTINATION, 16, way, tunnel);
}

enum packet_verdict
packet_check(const uint8_t *pkt, size_t len, enum packet_way way, const struct addr *tunnel)
{
	if (!len)
		return PACKET_SHORT;
	switch (pkt[0] >> 4) {
	case 4:
		return check_v4(pkt, len, way, tunnel);
	case 6:
		return check_v6(pkt, len, way, tunnel);
	default:
		return PACKET_VERSION;
	}
}

const char *
packet_verdict_name(enum packet_verdict v)
{
	static const char *const names[PACKET_VERDICTS] = {
	    [PACKET_PASS] = "pass",
	    [PACKET_SHORT] = "short",
	    [PACKET_VERSION] = "version",
	    [PACKET_LENGTH] = "length",
	    [PACKET_HEADER] = "header",
	    [PACKET_SOURCE] = "source",
	    [PACKET_DESTINATION] = "destination",
	    [PACKET_NO_ADDRESS] = "no-address",
	    [PACKET_TOO_BIG] = "too-big",
	    [PACKET_QUEUE_FULL] = "queue-full",
	};

	return (unsigned)v < PACKET_VERDICTS ? names[v] : "unknown";
}
