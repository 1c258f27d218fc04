/* apply_parts: what the apply_*.c files share; nobody else includes it. */
#ifndef AGENT_APPLY_PARTS_H
#define AGENT_APPLY_PARTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct change;
struct err;
struct netlink;
struct schema_table;
struct tree;

struct apply {
	struct netlink *nl; /* owned */
	bool system;
	char found_hostname[HOST_NAME_MAX + 1]; /* the host's before the configuration named it; "" if unknown */
	struct {
		void *routes; /* a tally of the routes that entries ask for */
		const struct tree *tree;
		const struct schema_table *table;
		uint64_t revision; /* of the tree when they were counted */
	} asked;
};

void apply_route_forget(struct apply *a); /* frees what was counted */

/* One change each: CLI_OK, or a code with its reason, and then the system is as before. */
int apply_interface_change(struct apply *a, const struct change *c, struct err *e);
int apply_route_change(struct apply *a, const struct change *c, struct err *e);
int apply_system_change(struct apply *a, const struct change *c, struct err *e);

/* The change takes an address from the interface or gives it one, or sets it up or down. */
bool apply_interface_moves(const struct change *c);

/* The static routes through a device (and those that leave the device to the kernel), as far as they can be: those that
 * were dropped with an address or by the link going down come back. `renew`: the device's addresses are others now, so
 * each is taken away first, and stays away where its gateway cannot be reached any more: what runs must be what the
 * same configuration gives after a reboot. CLI_OK, or the first failure; the others are tried. */
int apply_routes_through(struct apply *a, const struct tree *t, const char *dev, bool renew, struct err *e);

#endif
