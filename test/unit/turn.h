/* turn: lets an event loop run in a test, until something holds. The clock runs as ever and can be put forward: tests
 * that include this name clock_mono in their wrap line.
 */
#ifndef TEST_UNIT_TURN_H
#define TEST_UNIT_TURN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"

static int64_t turn_offset_ms; /* how far the clock was put forward */

mono_t __real_clock_mono(void);
mono_t __wrap_clock_mono(void);

mono_t
__wrap_clock_mono(void)
{
	return mono_in(__real_clock_mono(), turn_offset_ms);
}

struct turn_wait {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*until)(void);
	int64_t end_ms; /* by the real clock */
	bool reached;
};

static inline void
turn_look(void *ctx)
{
	struct turn_wait *w = ctx;

	w->reached = w->until && w->until();
	if (w->reached || __real_clock_mono().ms >= w->end_ms)
		loop_stop(w->loop);
	else
		loop_timer_at(w->timer, mono_in(clock_mono(), 1));
}

/* Runs the loop until `until` holds (true) or real milliseconds have passed (false). */
static inline bool
turn_run(struct loop *l, bool (*until)(void), int64_t ms)
{
	struct turn_wait w = {.loop = l, .until = until, .end_ms = __real_clock_mono().ms + ms};

	w.timer = loop_timer_new(l, turn_look, &w);
	assert_non_null(w.timer);
	loop_timer_at(w.timer, clock_mono());
	assert_int_equal(loop_run(l), 0);
	loop_timer_free(w.timer);
	return w.reached;
}

/* Puts the clock forward; what is due then runs in the next turns. */
static inline void
turn_forward(struct loop *l, int64_t ms)
{
	turn_offset_ms += ms;
	turn_run(l, NULL, 20);
}

#endif
