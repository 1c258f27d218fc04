/* join: received TCP segments of one flow back into one large packet (GRO), so that the local stack sees few. Pure.
 *
 * Joined is what the kernel's own receive offload would join: segments that follow each other without a gap, alike in
 * all that their headers say, whose checksums are right; the joined packet cut again gives the same segments, but for
 * identifications that stood still (RFC 6864, section 4.1). Anything else passes as it came. What is of one flow leaves
 * in the order it came in.
 */
#ifndef TUN_JOIN_H
#define TUN_JOIN_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { JOIN_FLOWS = 8, JOIN_PARTS = 64 };

/* What goes to the device at once: `count` parts, of them part[0] free for whoever has something to put before, and
 * what the device has to be told; `packets` of `bytes` together came in for it. */
struct join_unit {
	struct iovec *part;
	int count;
	struct virtio_net_hdr about;
	size_t packets, bytes;
};

typedef void join_sink(void *ctx, const struct join_unit *u);

/* Segments of one flow that are together. */
struct join_flow {
	size_t packets; /* 0: free */
	uint64_t born;  /* the lower, the longer it waits */
	size_t l4, header, size, payload;
	uint32_t next_seq;
	uint16_t id_step; /* between two IPv4 identifications, known from the second packet on */
	struct iovec part[1 + JOIN_PARTS];
};

/* A plain value; all zero but for sink and ctx to begin with. */
struct join {
	join_sink *sink;
	void *ctx;
	uint64_t born;
	size_t used; /* flows that are not free */
	struct join_flow flows[JOIN_FLOWS];
};

/* Takes a packet that has passed packet_check(). It is borrowed, and its headers may change, until join_flush(); the
 * sink may be called at once, for this one or for others before it. */
void join_add(struct join *j, uint8_t *pkt, size_t len);

/* Gives everything that waits to the sink. */
void join_flush(struct join *j);

#endif
