/* apply_parts: what the apply_*.c files share; nobody else includes it. */
#ifndef AGENT_APPLY_PARTS_H
#define AGENT_APPLY_PARTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/apply.h"

struct addr;
struct change;
struct entry;
struct err;
struct found;
struct handlers;
struct netlink;
struct schema_table;
struct tree;

enum { APPLY_PATH = 512 };

struct apply {
	struct netlink *nl;        /* owned */
	struct handlers *handlers; /* owned */
	bool system;
	char resolv_conf[APPLY_PATH], localtime[APPLY_PATH], zoneinfo[APPLY_PATH];
	char hostname_found[APPLY_PATH]; /* file with the host's name as it was before the configuration named it */
	bool *said;                      /* owned: tables that were said to be applied by nothing, by their index */
	struct {
		void *routes; /* a tally of the routes that entries ask for */
		const struct tree *tree;
		const struct schema_table *table;
		uint64_t revision; /* of the tree when they were counted */
	} asked;
	char found_list[APPLY_PATH]; /* file with what follows */
	struct found *found;         /* owned: addresses that were there before the configuration named them */
	size_t found_count;
	bool noting;
	struct owed *owed; /* owned: the oldest first */
	bool last_owed;    /* the last change that failed is among them */
	bool paying, still_open;
};

/* One change by one of the appliers: CLI_OK, or a code with its reason. */
typedef int apply_fn(struct apply *a, const struct change *c, struct err *e);

/* apply_owed.c. Makes a change, and remembers it when it may be half done: a request was not answered, or `files` and
 * one could not be written. */
int apply_owing(struct apply *a, apply_fn *fn, bool files, const struct change *c, struct err *e);
void apply_owed_clear(struct apply *a);
/* What the entry's device or file holds may be the rest of a change of ours. */
bool apply_is_owed(const struct apply *a, const struct change *c);

/* apply_found.c. Remembers an address that is on a device already, from the first apply_own() on. */
void apply_found_note(struct apply *a, const char *dev, const struct addr *addr);
bool apply_found_there(const struct apply *a, const char *dev, const struct addr *addr);
void apply_found_load(struct apply *a); /* what an agent that was killed had noted */
void apply_found_free(struct apply *a);

/* A change asks for addresses that are there already. */
void apply_interface_find(struct apply *a, const struct change *c);

/* The applier of a table for a single change, which takes along what stands on it; NULL: it is not the agent's. */
apply_fn *apply_fn_of(const struct schema_table *table);

void apply_route_forget(struct apply *a); /* frees what was counted */

/* One change each: CLI_OK, or a code with its reason, and then the system is as before. */
int apply_interface_change(struct apply *a, const struct change *c, struct err *e);
int apply_route_change(struct apply *a, const struct change *c, struct err *e);
int apply_global_change(struct apply *a, const struct change *c, struct err *e);
int apply_dns_change(struct apply *a, const struct change *c, struct err *e);

/* What a change of an interface does to what stands on it. */
enum {
	INTERFACE_MOVES = 1,   /* addresses come or go, or it goes up or down */
	INTERFACE_RESIZES = 2, /* its MTU */
};
unsigned apply_interface_effect(const struct change *c);

/* The VLANs on a device: those that wait for it are made, and their MTU follows. CLI_OK, or the first failure; the
 * others are tried. */
int apply_interface_vlans(struct apply *a, const struct tree *t, const char *parent, struct err *e);

/* The static routes through a device (and those that leave the device to the kernel), as far as they can be: those that
 * were dropped with an address or by the link going down come back. `renew`: the device's addresses are others now, so
 * each is taken away first, and stays away where its gateway cannot be reached any more: what runs must be what the
 * same configuration gives after a reboot. CLI_OK, or the first failure; the others are tried. */
int apply_routes_through(struct apply *a, const struct tree *t, const char *dev, bool renew, struct err *e);

/* Who hears of a difference, and whose table it is in. */
struct drift {
	const char *table;
	apply_drift_fn *fn;
	void *ctx;
};
void drift_say(const struct drift *d, const char *key, const char *what, const char *expected, const char *found);

/* Differences between one entry and the system. 0, or a code with its reason when the system cannot be read. */
int apply_interface_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e);
int apply_route_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e);
int apply_global_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e);
int apply_dns_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e);

/* apply_made.c: a device that exists only for an entry of `config system interface`. */
enum made_kind { MADE_NOT, MADE_VLAN, MADE_LOOPBACK };

struct made_device {
	enum made_kind kind;
	char parent[16];
	unsigned vlan;
};

int made_device_of(const struct entry *en, struct made_device *out, struct err *e); /* CLI_OK or a code */
bool made_device_same(const struct made_device *a, const struct made_device *b);
/* Makes it if there is none; *made says so. 0; -EEXIST: the name is another device's; -ENODEV: no parent yet. */
int made_device_add(struct netlink *nl, const char *name, const struct made_device *d, bool *made, struct err *e);
/* Removes it if it is one and ours; *gone says so. 0 or -errno. */
int made_device_remove(struct netlink *nl, const char *name, const struct made_device *d, bool *gone, struct err *e);

/* apply_aside.c: the file that was there before ours, beside it as PATH.before-fgfmd. */
bool aside_there(const char *path);
/* It was kept, and is still there: whoever kept it did not come to replacing it. */
bool aside_same(const char *path);
/* Gives the file PATH that second name; an older one there is overwritten. Of a missing PATH it keeps that it was
 * missing. 0 or -errno. */
int aside_keep(const char *path, struct err *e);
/* Puts it back in the place of PATH; removes PATH where there was none. Nothing kept: nothing done. 0 or -errno. */
int aside_restore(const char *path, struct err *e);
/* Forgets what is kept, when PATH is still the same file. */
void aside_drop(const char *path);

#endif
