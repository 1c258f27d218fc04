/* netlink: links, addresses and routes of one namespace. Only the files netlink*.c of this room include libnl.
 * Blocking, but only against the local kernel; nothing is kept between two calls.
 *
 * Reasons name the device or the destination, the system's text, and what the kernel itself says about the refusal.
 */
#ifndef TUN_NETLINK_H
#define TUN_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct err;
struct netlink;

/* A socket in the namespace of `netns_fd`, or in the caller's own for -1. */
int netlink_open(int netns_fd, struct netlink **out, struct err *e);
void netlink_free(struct netlink *n); /* NULL-safe */

/* How many requests stayed without an answer, or met a kernel without memory, each time they were made: for a passing
 * reason, that is, and whether they were carried out is not known. */
uint64_t netlink_unanswered(const struct netlink *n);

struct link_facts {
	int ifindex;
	char name[16];
	unsigned mtu;
	bool up;      /* administratively */
	bool running; /* carrier */
	bool noarp;   /* has no neighbours to resolve: a tunnel, loopback */
	uint8_t mac[6];
	char kind[16];  /* "vlan", "dummy", "veth"; "" where a driver made it */
	int parent;     /* ifindex of the device below; 0: none. Of a veth it may mean one in another namespace */
	uint16_t vlan;  /* id of a VLAN; 0: none */
	uint32_t group; /* NETLINK_OURS: made by netlink_vlan_add() or netlink_dummy_add() */
};

/* The group of the devices made here, set by the kernel in the moment it makes one: a mark that no crash can part from
 * the device, and that `ip link show group 26215` lists. */
enum { NETLINK_OURS = 26215, NETLINK_VLAN_MAX = 4094 };

/* -ENODEV where there is no such device: of these four, of netlink_addrs…() and of netlink_addr_add(). */
int netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e);
int netlink_link_set_up(struct netlink *n, const char *name, bool up, struct err *e);
int netlink_link_set_mtu(struct netlink *n, const char *name, unsigned mtu, struct err *e);
/* addr_gen_mode none: no link-local address, so no unasked router solicitation. */
int netlink_link_no_linklocal(struct netlink *n, const char *name, struct err *e);

/* A VLAN, or a device with nothing behind it, down. A VLAN goes up and down on its own, not with its parent. -ENODEV:
 * no such parent. -EEXIST: the name is in use, or another device is that VLAN already. */
int netlink_vlan_add(struct netlink *n, const char *name, const char *parent, unsigned id, struct err *e);
int netlink_dummy_add(struct netlink *n, const char *name, struct err *e);
/* Removes the device with this index (and name, for messages). One that is gone is no error. */
int netlink_link_del(struct netlink *n, const struct link_facts *link, struct err *e);

/* All devices, at most `max`; *count is set to how many there are. */
int netlink_links(struct netlink *n, struct link_facts out[], size_t max, size_t *count, struct err *e);

/* Adding what is there already and deleting what is not (the device included) are no errors. -EEXIST: an IPv6 address
 * that is there with another prefix length. Read back: see netlink_addrs(). */
int netlink_addr_add(struct netlink *n, const char *dev, const struct addr *a, struct err *e);
int netlink_addr_del(struct netlink *n, const char *dev, const struct addr *a, struct err *e);

/* Addresses of a device, at most `max`; *count is set to how many there are. Link-local IPv6 ones are left out. */
int netlink_addrs(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e);
/* The same without what is not somebody's setting: leased and autoconfigured addresses, and those of the host itself.
 */
int netlink_addrs_set(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e);

struct route {
	struct addr dst;     /* any address with prefix 0: default; no bits set beyond the prefix */
	struct addr gateway; /* family 0: none */
	char dev[16];        /* "": the kernel's choice by the gateway */
	uint32_t metric;     /* priority; 0: the kernel's default */
	uint32_t table;      /* 0: main */
	bool blackhole;
	struct addr src;  /* preferred source; family 0: none */
	uint8_t protocol; /* read: RTPROT_*, who made it. Ours are RTPROT_STATIC, whatever stands here */
};

/* Adding one that is there already is no error. One to the same destination with the same metric by another way, ours
 * or not, stays beside it: nothing is replaced. Deleting takes away only what was made with RTPROT_STATIC; a missing
 * one (or its device) is no error. -ENODEV where the device to add through does not exist. */
int netlink_route_add(struct netlink *n, const struct route *r, struct err *e);
int netlink_route_del(struct netlink *n, const struct route *r, struct err *e);

/* True when that route is there, whoever made it. What `r` leaves to the kernel (dev, metric) matches anything. */
int netlink_route_there(struct netlink *n, const struct route *r, bool *there, struct err *e);

/* Routes of a family, or both for 0, at most `max`; *count is set to how many there are. A route with several ways
 * gives one entry for each. The kernel's own tables of local addresses and cached routes are left out. */
int netlink_routes(struct netlink *n, int family, struct route out[], size_t max, size_t *count, struct err *e);

/* The device by which a packet to `dst` leaves, and the source it would carry ("ip route get"; family 0: none yet);
 * either may be NULL. -ENETUNREACH, also where a route refuses the destination, or another -errno. */
int netlink_route_get(struct netlink *n, const struct addr *dst, char dev[16], struct addr *src, struct err *e);

/* Changes of links, addresses and routes in the namespace, as a readable descriptor for an event loop. */
struct netlink_watch;

/* "link NAME up": carries packets; "link NAME down"; "link NAME new": is there and down, having appeared or got its
 * name; "link NAME gone"; "address NAME" ("address" alone when the device is gone, too); "route" (once for each
 * netlink_watch_read()); "overrun": the kernel dropped messages, anything may have changed. The callback may not free
 * the watch. */
typedef void netlink_watch_fn(void *ctx, const char *what);
int netlink_watch_open(int netns_fd, netlink_watch_fn *fn, void *ctx, struct netlink_watch **out, struct err *e);
int netlink_watch_fd(const struct netlink_watch *w);
/* When readable. Takes a bounded number of messages: a level-triggered loop calls again. 0 or -errno */
int netlink_watch_read(struct netlink_watch *w);
void netlink_watch_free(struct netlink_watch *w); /* NULL-safe */

#endif
