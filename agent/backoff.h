/* backoff: when to dial next. Pure: random numbers come in, a delay goes out.
 *
 * Wire profile, section 3: first at once, then exponential 1 s to 60 s with full jitter and at least 1 s, so that a
 * fleet does not come back in one second after its manager's restart. The first delay is 1 to 2 s already: with a
 * ceiling of 1 s it would be the same for all of a fleet.
 */
#ifndef AGENT_BACKOFF_H
#define AGENT_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 60 * 1000, BACKOFF_KICK_MS = 500 };

struct backoff {
	unsigned failures; /* rounds that failed since the last success or reset */
};

void backoff_reset(struct backoff *b);

/* Notes a failed round; the delay until the next one in milliseconds. `random` is uniform over all of uint32_t. */
int64_t backoff_next(struct backoff *b, uint32_t random);

#endif
