/* memory: what the agent remembers of its manager between two starts, in `<state>/manager.json`.
 *
 * Guide, "Keep-Alive messages": a device comes back by the last-known address and serial number. Nothing here is needed
 * to come up: a missing or damaged file only makes the first dial less direct.
 */
#ifndef AGENT_MEMORY_H
#define AGENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct err;

struct memory {
	char path[512];
	char mgmtid[64];      /* "" before the first one */
	char first_fmgid[40]; /* serial of the manager the device is bound to; "" before the first registration */
	char target[256];     /* configured name of the manager last connected to */
	struct addr address;  /* the address it was reached at; family 0: none */
	int64_t last_good_s;  /* wall clock of the last authenticated session: time is not before this */
};

/* Reads the file. Missing: empty. Damaged: set aside, empty, -EBADMSG with the reason. One that cannot be read is left
 * alone: empty, and that error. `m` is usable in any case. */
int memory_load(struct memory *m, const char *path, struct err *e);
/* The last good time for somebody who only looks: nothing is set aside. 0 where none is known. */
int64_t memory_peek_last_good_s(const char *path);
int memory_save(const struct memory *m, struct err *e);

#endif
