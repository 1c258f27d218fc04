/* dialer: which address of which manager is tried next, and when. No socket, no clock.
 *
 * Wire profile, section 3: all addresses of all configured managers in turn, the last good one first; a failed round is
 * followed by a backoff with jitter; a success or a change of links, addresses or routes resets it.
 */
#ifndef AGENT_DIALER_H
#define AGENT_DIALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

struct dialer;
struct err;

enum { DIALER_TARGETS = 16, DIALER_NAME_MAX = 256 };

struct dialer_ops {
	void *ctx;
	/* Starts an attempt. Its end is reported by dialer_failed() or dialer_succeeded(), not from inside this call.
	 */
	void (*dial)(void *ctx, const char *target, const struct addr *a);
	/* Starts a look-up; dialer_resolved() ends it, not from inside this call. */
	void (*resolve)(void *ctx, const char *name);
	void (*resolve_stop)(void *ctx);
	uint32_t (*random)(void *ctx);
};

struct dialer *dialer_new(const struct dialer_ops *ops); /* NULL: no memory */
void dialer_free(struct dialer *d);

/* The configured managers, names or addresses; this starts a new round at once, or a second after the attempt
 * under way has failed. */
void dialer_set_targets(struct dialer *d, const char *const names[], size_t count, mono_t now);
size_t dialer_target_count(const struct dialer *d);

/* The address last connected to, tried first as long as its target is configured. */
void dialer_remember(struct dialer *d, const char *target, const struct addr *a);

/* Whether a connection is wanted. Wanting one starts a round at once, unless a backoff is running. */
void dialer_want(struct dialer *d, bool want, mono_t now);
/* The same after a session that was lost soon after it had come up: not at once, so that a manager that accepts and
 * drops is not dialled in a tight loop. */
void dialer_want_later(struct dialer *d, mono_t now);
bool dialer_wants(const struct dialer *d);

void dialer_resolved(struct dialer *d, const struct addr *addrs, size_t count, mono_t now);
void dialer_failed(struct dialer *d, mono_t now);       /* the attempt under way is over without success */
void dialer_start_failed(struct dialer *d, mono_t now); /* what `dial` or `resolve` was to start has not begun */
void dialer_succeeded(struct dialer *d);                /* `get ip` was answered with 200: remembered, backoff reset */
void dialer_kick(struct dialer *d, mono_t now);         /* something changed: dial within a second */
/* Everything the attempt under way rests on has changed: when it has ended, or now, a new round begins at once. */
void dialer_restart(struct dialer *d, mono_t now);
void dialer_again(struct dialer *d, mono_t now); /* the same address at once, out of turn */

mono_t dialer_deadline(const struct dialer *d);
void dialer_tick(struct dialer *d, mono_t now);

bool dialer_busy(const struct dialer *d); /* an attempt or a look-up is under way */

#endif
