/* system: a box's addresses, routes and name, in a namespace of its own: as a boot leaves them, as they are, and as a
 * configuration wants them. Read by the `ip` program and worked out from the tree anew, so that nothing of the product
 * judges itself.
 */
#ifndef TEST_FAULT_SYSTEM_H
#define TEST_FAULT_SYSTEM_H

#include <stdbool.h>

struct tree;

enum { SYSTEM_TEXT = 8192 };

/* Files of the host, which a boot leaves as they are, and a folder that a boot empties. */
#define SYSTEM_HOST "/run/faults/host"
#define SYSTEM_RUN "/run/faults/run"

/* Enters namespaces of its own (network, names, mounts) with an empty /run and the devices wan1 and lan1. Ends the
 * program when it cannot: a test that cannot run must not look as if it had. */
void system_enter(void);

/* As after a boot: no addresses and routes but those somebody put there by hand, and the name "booted". */
void system_boot(void);

/* The files of the host as they were before the agent. A boot does not touch them. */
void system_host(void);

/* Runs one line of `ip`, for a test that disturbs. */
void system_disturb(const char *line);

/* Sorted lines: what is there; what there should be with this configuration and what was put there by hand. */
void system_read(char text[SYSTEM_TEXT]);
void system_expect(const struct tree *t, char text[SYSTEM_TEXT]);

/* The first line that is in one and not in the other, "+LINE" or "-LINE"; false: they are the same. */
bool system_differ(const char *is, const char *should, char line[256]);

#endif
