#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"

enum { EVENTS_A_TURN = 16, SIGNALS_MAX = 8 };

struct loop_io {
	struct loop *loop;
	int fd;
	uint32_t events;
	loop_io_fn *fn;
	void *ctx;
	bool dead;
	struct loop_io *next;
};

struct loop_timer {
	struct loop *loop;
	mono_t deadline; /* MONO_NEVER: disarmed and in no list */
	uint64_t round;  /* the loop's round it was armed in */
	loop_fn *fn;
	void *ctx;
	struct loop_timer *next; /* armed timers, soonest first */
};

struct loop_task {
	struct loop *loop;
	loop_fn *fn;
	void *ctx;
	bool queued;
	uint64_t round; /* the loop's round it was asked for in */
	struct loop_task *next;
};

struct loop {
	int epfd;
	bool stop;
	uint64_t round; /* one for each run of the timers and each run of the tasks */
	struct loop_io *ios;
	struct loop_timer *timers;
	struct loop_task *tasks, **tasks_end;
	int sigfd;
	sigset_t sigs;
	struct loop_io *sigio;
	struct {
		int signo;
		loop_signal_fn *fn;
		void *ctx;
	} handlers[SIGNALS_MAX];
	unsigned handler_count;
};

struct loop *
loop_new(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l) {
		err_sys(e, -ENOMEM, "event loop");
		return NULL;
	}
	l->sigfd = -1;
	l->tasks_end = &l->tasks;
	sigemptyset(&l->sigs);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		err_sys(e, -errno, "epoll_create1");
		free(l);
		return NULL;
	}
	return l;
}

/* Frees what callbacks have deleted since the last sweep. */
static void
sweep(struct loop *l, bool all)
{
	struct loop_io **p = &l->ios;

	while (*p) {
		struct loop_io *io = *p;

		if (io->dead || all) {
			*p = io->next;
			free(io);
		} else {
			p = &io->next;
		}
	}
}

void
loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->sigfd >= 0)
		close(l->sigfd);
	sweep(l, true);
	close(l->epfd);
	free(l);
}

struct loop_io *
loop_io_new(struct loop *l, int fd, uint32_t events, loop_io_fn *fn, void *ctx)
{
	struct loop_io *io = calloc(1, sizeof(*io));
	struct epoll_event ev = {.events = events};

	if (!io)
		return NULL;
	*io = (struct loop_io){.loop = l, .fd = fd, .events = events, .fn = fn, .ctx = ctx, .next = l->ios};
	ev.data.ptr = io;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev)) {
		free(io);
		return NULL;
	}
	l->ios = io;
	return io;
}

void
loop_io_want(struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (io->dead || io->events == events)
		return;
	io->events = events;
	epoll_ctl(io->loop->epfd, EPOLL_CTL_MOD, io->fd, &ev);
}

void
loop_io_free(struct loop_io *io)
{
	if (!io || io->dead)
		return;
	epoll_ctl(io->loop->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	io->dead = true; /* events of this turn may still point here */
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *ctx)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct loop_timer){.loop = l, .deadline = MONO_NEVER, .fn = fn, .ctx = ctx};
	return t;
}

static void
timer_unlink(struct loop_timer *t)
{
	for (struct loop_timer **p = &t->loop->timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->next = NULL;
}

void
loop_timer_at(struct loop_timer *t, mono_t deadline)
{
	struct loop_timer **p = &t->loop->timers;

	if (t->deadline.ms == deadline.ms)
		return;
	timer_unlink(t);
	t->deadline = deadline;
	t->round = t->loop->round;
	if (deadline.ms == MONO_NEVER.ms)
		return;
	while (*p && (*p)->deadline.ms <= deadline.ms)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	timer_unlink(t);
	free(t);
}

struct loop_task *
loop_task_new(struct loop *l, loop_fn *fn, void *ctx)
{
	struct loop_task *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct loop_task){.loop = l, .fn = fn, .ctx = ctx};
	return t;
}

void
loop_task_soon(struct loop_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->round = t->loop->round;
	t->next = NULL;
	*t->loop->tasks_end = t;
	t->loop->tasks_end = &t->next;
}

void
loop_task_free(struct loop_task *t)
{
	struct loop *l;

	if (!t)
		return;
	l = t->loop;
	for (struct loop_task **p = &l->tasks; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			if (l->tasks_end == &t->next)
				l->tasks_end = p;
			break;
		}
	}
	free(t);
}

static void
on_signalfd(void *ctx, uint32_t events)
{
	struct loop *l = ctx;
	struct signalfd_siginfo si;

	(void)events;
	while (read(l->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		for (unsigned i = 0; i < l->handler_count; i++) {
			if (l->handlers[i].signo == (int)si.ssi_signo)
				l->handlers[i].fn(l->handlers[i].ctx, (int)si.ssi_signo);
		}
	}
}

int
loop_signal(struct loop *l, int signo, loop_signal_fn *fn, void *ctx)
{
	int fd;

	if (l->handler_count == SIGNALS_MAX)
		return -ENOSPC;
	sigaddset(&l->sigs, signo);
	if (sigprocmask(SIG_BLOCK, &l->sigs, NULL))
		return -errno;
	fd = signalfd(l->sigfd, &l->sigs, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	l->sigfd = fd;
	if (!l->sigio) {
		l->sigio = loop_io_new(l, fd, EPOLLIN, on_signalfd, l);
		if (!l->sigio)
			return -ENOMEM;
	}
	l->handlers[l->handler_count].signo = signo;
	l->handlers[l->handler_count].fn = fn;
	l->handlers[l->handler_count].ctx = ctx;
	l->handler_count++;
	return 0;
}

/* The first timer that is due and was armed before this round: one armed anew for now waits for the next turn, so
 * that it cannot keep the descriptors from being served. */
static struct loop_timer *
next_due(struct loop *l, mono_t now)
{
	struct loop_timer *t = l->timers;

	while (t && mono_due(t->deadline, now) && t->round >= l->round)
		t = t->next;
	return t && mono_due(t->deadline, now) ? t : NULL;
}

static void
run_timers(struct loop *l)
{
	mono_t now = clock_mono();
	struct loop_timer *t;

	l->round++;
	while (!l->stop && (t = next_due(l, now))) {
		timer_unlink(t);
		t->deadline = MONO_NEVER;
		t->fn(t->ctx);
	}
}

/* The tasks asked for so far; those they ask for run in the next turn. */
static void
run_tasks(struct loop *l)
{
	l->round++;
	while (!l->stop && l->tasks && l->tasks->round < l->round) {
		struct loop_task *t = l->tasks;

		l->tasks = t->next;
		if (!l->tasks)
			l->tasks_end = &l->tasks;
		t->next = NULL;
		t->queued = false;
		t->fn(t->ctx);
	}
}

static int
wait_ms(const struct loop *l)
{
	int64_t left;

	if (l->tasks)
		return 0;
	if (!l->timers)
		return -1;
	left = mono_left_ms(l->timers->deadline, clock_mono());
	return left > INT_MAX ? INT_MAX : (int)left;
}

int
loop_run(struct loop *l)
{
	struct epoll_event evs[EVENTS_A_TURN];

	l->stop = false;
	while (!l->stop) {
		int n = epoll_wait(l->epfd, evs, EVENTS_A_TURN, wait_ms(l));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && !l->stop; i++) {
			struct loop_io *io = evs[i].data.ptr;

			if (!io->dead)
				io->fn(io->ctx, evs[i].events);
		}
		run_timers(l);
		run_tasks(l);
		sweep(l, false);
	}
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}
