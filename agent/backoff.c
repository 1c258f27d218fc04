#include "agent/backoff.h"

void
backoff_reset(struct backoff *b)
{
	b->failures = 0;
}

int64_t
backoff_next(struct backoff *b, uint32_t random)
{
	int64_t ceiling = 2 * BACKOFF_MIN_MS;

	for (unsigned i = 0; i < b->failures && ceiling < BACKOFF_MAX_MS; i++)
		ceiling *= 2;
	if (ceiling > BACKOFF_MAX_MS)
		ceiling = BACKOFF_MAX_MS;
	b->failures++;
	return BACKOFF_MIN_MS + (int64_t)((uint64_t)random * (uint64_t)(ceiling - BACKOFF_MIN_MS + 1) >> 32);
}
