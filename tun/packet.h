/* packet: which IP packets may pass the tunnel. Pure.
 *
 * Guide, "Security concerns": nothing leaks. A packet from the manager must be for the tunnel address, one from the
 * device must come from it, and neither may lie about its length.
 */
#ifndef TUN_PACKET_H
#define TUN_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum packet_verdict {
	PACKET_PASS,
	PACKET_SHORT,       /* less than a header */
	PACKET_VERSION,     /* neither 4 nor 6 */
	PACKET_LENGTH,      /* its length field is not the length it came with */
	PACKET_HEADER,      /* header length below 20 or beyond the packet */
	PACKET_SOURCE,      /* from the device, but not from the tunnel address */
	PACKET_DESTINATION, /* from the manager, but not for the tunnel address */
	PACKET_NO_ADDRESS,  /* the tunnel has no address of that family */
	PACKET_TOO_BIG,     /* larger than the device's MTU */
	PACKET_QUEUE_FULL,  /* the device or the session could not take it */
	PACKET_VERDICTS,
};

enum packet_way { PACKET_FROM_MANAGER, PACKET_FROM_DEVICE };

/* `pkt` is a whole packet of `len` bytes. `tunnel` is the tunnel address, family 0 for none. Everything but what is
 * addressed to it (or comes from it, of the device's) fails: broadcast and multicast as well. */
enum packet_verdict packet_check(const uint8_t *pkt, size_t len, enum packet_way way, const struct addr *tunnel);

/* "pass", "length", "no-address", … stable: counters are named so */
const char *packet_verdict_name(enum packet_verdict v);

struct packet_counters {
	uint64_t in_packets, in_bytes;      /* from the manager to the device */
	uint64_t out_packets, out_bytes;    /* from the device to the manager */
	uint64_t drops[PACKET_VERDICTS][2]; /* [verdict][enum packet_way] */
};

#endif
