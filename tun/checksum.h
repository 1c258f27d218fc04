/* checksum: the Internet checksum (RFC 1071) of IP, TCP and UDP. Pure.
 *
 * Sums are taken over memory as it lies there, whatever the processor's byte order (RFC 1071, section 2 B): what
 * checksum_fold() gives is stored with memcpy, and constants are added in network order.
 */
#ifndef TUN_CHECKSUM_H
#define TUN_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adds `n` bytes to a sum. Only the last part of what is summed may have an odd length. */
uint64_t checksum_add(uint64_t sum, const void *p, size_t n);

/* The pseudo header of TCP and UDP: addresses out of the IP header at `pkt`, protocol, length of header and data. */
uint64_t checksum_pseudo(const uint8_t *pkt, bool v6, uint8_t protocol, size_t len);

/* The sum in 16 bits, not complemented: what a checksum field holds that somebody else completes. */
uint16_t checksum_partial(uint64_t sum);
/* The checksum: 0 for data that contains its own, intact. */
uint16_t checksum_fold(uint64_t sum);

/* Completes the IPv4 header at `pkt` of `header` bytes. */
void checksum_put_v4(uint8_t *pkt, size_t header);

#endif
