/* mss: the segment size that the ends of a TCP connection promise each other in their SYNs. Pure.
 *
 * An end behind the tunnel does not see the tunnel's MTU; what fits through it is said for it, both ways.
 */
#ifndef TUN_MSS_H
#define TUN_MSS_H

#include <stddef.h>
#include <stdint.h>

/* Offset of the value in the MSS option of a SYN that passed packet_check(); 0: no SYN, or none in it. IPv6 with
 * extension headers is left alone. */
size_t mss_find(const uint8_t *pkt, size_t len);

/* Lowers the value at that offset to what fits into `mtu`, and keeps a right checksum right. */
void mss_clamp(uint8_t *pkt, size_t at, size_t mtu);

#endif
