/* resolve: host names to addresses with c-ares, in the event loop.
 *
 * A resolver exists only while a query runs: it reads the resolver configuration anew each time, and costs nothing
 * when idle.
 */
#ifndef AGENT_RESOLVE_H
#define AGENT_RESOLVE_H

#include <stddef.h>

#include "base/addr.h"

struct err;
struct loop;
struct resolve;

enum { RESOLVE_MAX = 16 };

/* Called once: addresses in the order to try (at least one), or count 0 and the reason. The query is over by then and
 * must not be cancelled any more. */
typedef void resolve_fn(void *ctx, const struct addr *addrs, size_t count, const struct err *why);

/* Starts a query for both IP versions; `conf` is a resolv.conf. 0, or -errno with nothing started. The answer may come
 * before this returns only in the next loop turn, never from inside. */
int resolve_start(struct loop *l, const char *conf, const char *name, resolve_fn *fn, void *ctx, struct resolve **out,
		  struct err *e);
void resolve_cancel(struct resolve *r); /* NULL-safe; the callback is not called */

#endif
