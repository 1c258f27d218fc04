/* landlock: what a program that is to be started may reach (landlock(7)): files by name, no TCP, nobody's signals.
 *
 * The kernel's rules only ever take away. What an older kernel does not know is not taken away; where it knows none of
 * it, the program runs with the rights of its user alone.
 */
#ifndef AGENT_LANDLOCK_H
#define AGENT_LANDLOCK_H

#include <stdbool.h>

struct err;

/* Rules for a program that may read and execute `readable` (NULL last; files, or folders with what is below; those that
 * do not exist are left out), use /dev/null, and nothing else: no other file, no TCP port to listen at, no TCP
 * connection unless `connect`. 0 and a descriptor; -EOPNOTSUPP where the kernel has no Landlock; or -errno. */
int landlock_rules(const char *const *readable, bool connect, int *ruleset, struct err *e);

/* For a process without new privileges, between fork and exec: from here on the rules hold. 0 or -errno. */
int landlock_enter(int ruleset);

#endif
