/* offload: what the kernel may leave to the reader of a TUN device: large packets and open checksums.
 *
 * Each kernel can do something else, down to nothing; the device works with whatever is granted.
 */
#ifndef TUN_OFFLOAD_H
#define TUN_OFFLOAD_H

#include <stdbool.h>

struct err;
struct ifreq;

/* Makes the device `r` names of a freshly opened /dev/net/tun, with a virtio_net_hdr before each packet where the
 * kernel knows that (*header), and asks for as much as it grants then: TCP and UDP batches, TCP alone, open checksums,
 * nothing. 0 or -errno of TUNSETIFF. */
int offload_attach(int fd, struct ifreq *r, bool *header);

#endif
