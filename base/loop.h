/* loop: one epoll with descriptors, timers, signals and deferred work. One thread.
 *
 * Timers are the time-out of epoll_wait, computed from clock_mono(). A callback may delete itself or any other
 * handle: the loop frees them at the end of the turn.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

#include "base/clock.h"

struct err;
struct loop;
struct loop_io;
struct loop_timer;
struct loop_task;

typedef void loop_io_fn(void *ctx, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR … */
typedef void loop_fn(void *ctx);
typedef void loop_signal_fn(void *ctx, int signo);

struct loop *loop_new(struct err *e);
void loop_free(struct loop *l); /* NULL-safe; watches still there are freed, their descriptors not closed; timers and
				 * tasks must be gone by then */

/* Runs until loop_stop(). Returns 0 or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Watches `fd` (borrowed) for `events`. NULL on failure. Delete before closing the descriptor. */
struct loop_io *loop_io_new(struct loop *l, int fd, uint32_t events, loop_io_fn *fn, void *ctx);
void loop_io_want(struct loop_io *io, uint32_t events);
void loop_io_free(struct loop_io *io); /* NULL-safe */

/* A timer, disarmed. Fires once for each arming. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *ctx);
void loop_timer_at(struct loop_timer *t, mono_t deadline); /* MONO_NEVER disarms */
void loop_timer_free(struct loop_timer *t);                /* NULL-safe */

/* Work for the end of this turn, or for the next turn when asked for from a task. Once for each request. */
struct loop_task *loop_task_new(struct loop *l, loop_fn *fn, void *ctx);
void loop_task_soon(struct loop_task *t);
void loop_task_free(struct loop_task *t); /* NULL-safe */

/* Blocks `signo` and delivers it through the loop. 0 or -errno. At most 8 signals. */
int loop_signal(struct loop *l, int signo, loop_signal_fn *fn, void *ctx);

#endif
