/* clock: the one place that reads clocks.
 *
 * Logic takes `now` as an argument and gives its next deadline back, so that a test runs 900 seconds
 * in none. Monotonic and wall time are different types and cannot be mixed.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	int64_t ms; /* milliseconds since boot, suspend included (CLOCK_BOOTTIME) */
} mono_t;

typedef struct {
	int64_t s;  /* seconds since 1970-01-01 00:00:00 UTC */
	int32_t ns; /* 0…999,999,999 */
} wall_t;

#define MONO_NEVER ((mono_t){INT64_MAX})

mono_t clock_mono(void);
wall_t clock_wall(void);

/* Seconds of wall time at which this binary was built: a lower bound for "now" on a box whose clock lost power. */
int64_t clock_build_s(void);

static inline mono_t
mono_in(mono_t now, int64_t ms)
{
	return (mono_t){ms > INT64_MAX - now.ms ? INT64_MAX : now.ms + ms};
}

static inline bool
mono_due(mono_t deadline, mono_t now)
{
	return deadline.ms <= now.ms;
}

static inline mono_t
mono_min(mono_t a, mono_t b)
{
	return a.ms < b.ms ? a : b;
}

/* Milliseconds from `now` to `deadline`, never below 0; INT64_MAX for MONO_NEVER. */
static inline int64_t
mono_left_ms(mono_t deadline, mono_t now)
{
	if (deadline.ms == INT64_MAX)
		return INT64_MAX;
	return deadline.ms > now.ms ? deadline.ms - now.ms : 0;
}

#endif
