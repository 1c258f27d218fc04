/* update: when a manager has something newer, ask for it: at most one request in an interval, at a time drawn by lot so
 * that a manager's devices do not all come at once. No socket, no clock.
 *
 * Guide, "FortiManager passive mode": the device compares what the manager says with what it has, and fetches itself.
 * What comes of it is agent_packages.c's.
 */
#ifndef AGENT_UPDATE_H
#define AGENT_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum { UPDATE_WHAT_MAX = 160 };

struct update_versions {
	const char *os, *av, *ips; /* "" : not said */
};

struct update {
	mono_t due;        /* of the request that waits; MONO_NEVER: none does */
	mono_t not_before; /* the next interval's beginning */
	uint64_t newer, requests, malformed;
	char what[UPDATE_WHAT_MAX]; /* what is newer, in words: "av 1.00000 -> 2.00000" */
};

void update_init(struct update *u);

/* What the manager has, against what is here. `random` draws the lot. */
void update_offer(struct update *u, const struct update_versions *here, const struct update_versions *manager,
		  uint32_t random, mono_t now);
void update_cancel(struct update *u); /* automatic updates are off: nothing waits any more */

mono_t update_deadline(const struct update *u);
/* True when a request is due: it counts as made, and u->what says for what. */
bool update_take(struct update *u, mono_t now);

/* Less than 0, 0 or more as versions of numbers and dots order. -EINVAL in *rc when one is no such version. */
int update_compare(const char *a, const char *b, int *rc);

#endif
