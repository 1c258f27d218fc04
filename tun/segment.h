/* segment: cuts a large packet of the kernel's into IP packets of the tunnel's size (GSO). Pure.
 *
 * The kernel hands TCP streams and UDP batches over in pieces of up to 64 KiB with the checksum left open. The manager
 * may be a plain device that could only drop or fragment them, so they are cut here, before they are framed: as the
 * kernel would, so that nobody on the way can tell.
 */
#ifndef TUN_SEGMENT_H
#define TUN_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtio_net_hdr;

/* A packet on its way into pieces. All zero: nothing is left. */
struct segment {
	uint8_t *pkt; /* borrowed, until nothing is left */
	size_t len;   /* 0: nothing is left */
	size_t l4;    /* offset of the TCP or UDP header; 0: one piece as it is */
	size_t header;
	size_t size; /* payload of each piece but the last */
	size_t at;   /* offset of the next piece's payload */
	size_t index;
	bool v6, tcp;
};

/* Takes a packet of `len` > 0 bytes whose IP header has passed packet_check(), with what the kernel says about it; both
 * are believed only after their bounds were checked. A packet that is not to be cut gets the checksum it lacks. Pieces
 * have at most `mtu` bytes. 0, -EINVAL: header and packet contradict each other, or -EMSGSIZE: it cannot be brought
 * down to `mtu`. Then nothing is left. */
int segment_begin(struct segment *s, uint8_t *pkt, size_t len, const struct virtio_net_hdr *h, size_t mtu);

/* Length of the next piece; 0: nothing is left. */
size_t segment_len(const struct segment *s);

/* Writes the next piece, segment_len() bytes of it, which it returns. */
size_t segment_next(struct segment *s, uint8_t *dst);

#endif
