/* device: the TUN device inside the isolated namespace, its address and routes, and whole packets in and out.
 *
 * Guide, "Tunneling": decrypted packets go to this device and no other. The manager's address is its peer; the default
 * routes of the namespace, v4 and v6, go through it. A device deleted from outside is noticed and made again.
 */
#ifndef TUN_DEVICE_H
#define TUN_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tun/packet.h"

struct err;
struct tun;

struct tun_config {
	const char *netns; /* name of the isolated namespace */
	const char *name;  /* of the device, at most 15 characters; borrowed for the call, as the other */
	unsigned mtu;      /* bytes of an inner packet, 68…65535 */
};

/* Opens or adopts the namespace and makes the device, up, without an address. -EBUSY: one of that name is there, left
 * by somebody else. A device of a dead agent is none: it went with the agent's descriptor. */
int tun_new(const struct tun_config *c, struct tun **out, struct err *e);
void tun_free(struct tun *t); /* NULL-safe; the device goes, the namespace stays */

/* The tunnel address and the manager's end, both hosts (prefix lengths are not looked at); they replace what was there,
 * family 0 clears. The same pair again disturbs nothing. Routes follow: to the peer, and the defaults of both families.
 * -EINVAL for what no host can have: loopback, multicast, link-local IPv6, two families, twice the same. A failure
 * leaves the device without an address, but -ENODEV: deleted, as with tun_read(); then tun_recreate() sets this pair.
 */
int tun_set_addresses(struct tun *t, const struct addr *local, const struct addr *peer, struct err *e);
void tun_addresses(const struct tun *t, struct addr *local, struct addr *peer); /* family 0: none */

/* Both belong to the tun, and both may change with tun_recreate(): take the descriptor out of the loop before that.
 * tun_fd() is -1 while there is no device. */
int tun_fd(const struct tun *t);
int tun_netns_fd(const struct tun *t);

/* Bytes of the largest packet: the configured MTU, or the device's where somebody made that larger; no less than what
 * tun_read() would give next. */
size_t tun_largest(const struct tun *t);

/* How many packets, each perhaps one of 64 kB, the kernel keeps for tun_read(): TUN_QUEUE_LONG from the beginning. A
 * change may drop what is on its way, and what a shorter one cannot hold. A device that is not there gets it from
 * tun_recreate(). */
enum { TUN_QUEUE_LONG = 256, TUN_QUEUE_SHORT = 32 };
void tun_set_queue(struct tun *t, int packets);

/* Gives one packet of the device's that passes packet_check(): *len > 0. The kernel's large packets come out in pieces
 * with their checksums, one with each call, SYNs with a segment size that fits the device. Packets that do not pass are
 * dropped and counted, a bounded number in one call. -EAGAIN: none waits, or the bound was reached and the descriptor
 * is still readable. -EMSGSIZE: `size` is below tun_largest(), which may have grown meanwhile: the packet waits.
 * -ENODEV: the device was deleted: call tun_recreate() and watch the new descriptor. The descriptor need not be
 * readable for pieces to be left: read until an error. */
int tun_read(struct tun *t, uint8_t *dst, size_t size, size_t *len);

/* Gives a manager's packet to the device if it passes; dropped and counted otherwise, also when the device cannot take
 * it. It is borrowed until tun_flush() and may be changed: TCP segments that follow each other are written as one.
 * 0, or -ENODEV as above. */
int tun_write(struct tun *t, uint8_t *pkt, size_t len);
int tun_flush(struct tun *t); /* writes what tun_write() held back; as tun_write() */

/* Makes the device again, with the addresses it had, and its namespace where that was removed from outside. After a
 * failure there is no device; it may be called again. */
int tun_recreate(struct tun *t, struct err *e);

const struct packet_counters *tun_counters(const struct tun *t);

#endif
