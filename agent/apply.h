/* apply: brings the running system in line with the configuration: interfaces, static routes, the host's own names.
 *
 * Called once for each committed entry, and for the whole tree at start and after a revert. Every operation is
 * idempotent and touches only what the configuration speaks of: an address or route added by hand stays.
 */
#ifndef AGENT_APPLY_H
#define AGENT_APPLY_H

#include <stdbool.h>

struct apply;
struct change;
struct err;
struct tree;

/* Opens netlink in the agent's own namespace. `system` false: hostname, DNS and time zone of the host are left alone
 * (`config agent` / `set apply-system disable`). */
int apply_new(bool system, struct apply **out, struct err *e);
void apply_free(struct apply *a); /* NULL-safe */

/* One committed change. CLI_OK, or a code with its reason: then what this call had done so far is undone again. A
 * device that does not exist (yet) is no error: the entry waits for apply_link(); so does a route whose device is down.
 * Written values are read back. After a change of an interface the static routes through it are applied again; one
 * whose gateway is out of reach by then is taken away, waits and is logged, and the interface's change stands.
 * Tables that somebody else applies are CLI_OK. */
int apply_change(struct apply *a, const struct change *c, struct err *e);

/* The whole tree, interfaces before routes. Goes on after a failure, which it logs; returns how many entries failed,
 * the first one's reason in `e`. Takes nothing away. */
int apply_all(struct apply *a, const struct tree *t, struct err *e);

/* A link of this name has appeared ("link NAME new" of netlink_watch) or come up: its entry and the routes through it
 * are applied (again). CLI_OK, or the first code. What is in force already makes no event. */
int apply_link(struct apply *a, const struct tree *t, const char *name, struct err *e);

#endif
