/* turn: lets an event loop run in a test, until something holds or until nothing moves any more.
 *
 * Nothing here depends on how fast the machine is. What comes is waited for. That nothing comes is told by turns of the
 * loop in which nothing came, not by a time that may have passed before the first of them. The clock goes on by what
 * the loop waits, can be put forward, and stands still while the program waits for a processor. Tests that include this
 * name clock_mono and epoll_wait in their wrap line.
 */
#ifndef TEST_UNIT_TURN_H
#define TEST_UNIT_TURN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/loop.h"

/* Longer than anything takes on the slowest machine, and how many empty turns in a row are the end of it. */
enum { TURN_SOON_MS = 60000, TURN_EMPTY = 6 };

static struct {
	int64_t now_ms;  /* 0: not read yet */
	int64_t real_ms; /* the real clock when it went on last */
	int empty;       /* turns in a row that waited, and nothing came */
} turn;

mono_t __real_clock_mono(void);
mono_t __wrap_clock_mono(void);
int __real_epoll_wait(int epfd, struct epoll_event *evs, int count, int ms);
int __wrap_epoll_wait(int epfd, struct epoll_event *evs, int count, int ms);

mono_t
__wrap_clock_mono(void)
{
	if (!turn.now_ms)
		turn.now_ms = turn.real_ms = __real_clock_mono().ms;
	return (mono_t){turn.now_ms};
}

/* A turn takes a millisecond at the most, or what the loop has waited for. */
int
__wrap_epoll_wait(int epfd, struct epoll_event *evs, int count, int ms)
{
	int n = __real_epoll_wait(epfd, evs, count, ms);
	int64_t most = !n && ms > 0 ? ms : 1, real_ms = __real_clock_mono().ms, took = real_ms - turn.real_ms;

	turn.real_ms = real_ms;
	turn.now_ms += took < most ? took : most;
	if (n)
		turn.empty = 0;
	else if (ms)
		turn.empty++;
	return n;
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

/* Runs the loop until `until` holds (true) or nothing moves any more (false). */
static inline bool
turn_settle(struct loop *l, bool (*until)(void))
{
	bool reached = false;
	int64_t end_ms = __real_clock_mono().ms + TURN_SOON_MS;

	turn.empty = 0;
	while (!reached && turn.empty < TURN_EMPTY) {
		assert_true(__real_clock_mono().ms < end_ms);
		reached = turn_run(l, until, 1);
	}
	return reached;
}

static inline void
turn_quiet(struct loop *l)
{
	turn_settle(l, NULL);
}

/* Puts the clock forward; what is due then runs, and what comes of it. */
static inline void
turn_forward(struct loop *l, int64_t ms)
{
	turn.now_ms = mono_in(clock_mono(), ms).ms;
	turn_quiet(l);
}

#endif
