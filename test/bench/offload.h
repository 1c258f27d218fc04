/* offload: the benchmark manager's TUN side: large packets cut on the way out, packets of one TCP flow joined on the
 * way in. IPv4 without options and IPv6 without extension headers; everything else passes as it is.
 */
#ifndef BENCH_OFFLOAD_H
#define BENCH_OFFLOAD_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OFFLOAD_PACKET_MAX = 65535 };

/* Writes what stands before each packet of so many bytes. */
typedef void offload_header_fn(uint8_t *at, size_t packet_len);

/* Cuts a packet from the TUN into those that its segment size says, with their checksums, each behind `gap` bytes that
 * `header` fills. Returns the bytes written to `out`, 0 for a packet that is not what its header says or has no room.
 */
size_t offload_cut(const struct virtio_net_hdr *h, uint8_t *packet, size_t len, uint8_t *out, size_t room, size_t gap,
		   offload_header_fn *header);

struct offload_join;

/* Joins for one TUN (borrowed). */
struct offload_join *offload_join_new(int tun_fd);

/* Takes a packet that stays where it is until the next offload_join_flush(). */
void offload_join_add(struct offload_join *j, const uint8_t *packet, size_t len);

/* Writes what is still held. */
void offload_join_flush(struct offload_join *j);

/* Packets the TUN did not take. */
uint64_t offload_join_dropped(const struct offload_join *j);

#endif
