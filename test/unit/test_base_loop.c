/* base/loop: callbacks that remove themselves and each other, in a time of their own.
 *
 * epoll_wait() is replaced: where it would sleep, the clock moves on instead, and a sleep without end fails the
 * test, unless that counts turns.
 */
// wrap: epoll_wait epoll_create1 clock_mono calloc
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

static struct {
	struct loop *loop;
	int64_t now;
	int turns, turns_max; /* the loop stops after so many, 0: it stops itself */
	int slept;            /* the longest time-out asked for */
	int wait_error;       /* of the next epoll_wait(), once */
	bool no_epoll, no_memory;
	char told[200]; /* what the callbacks wrote, in order */
	sigset_t mask;
} world;

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
mono_t __wrap_clock_mono(void);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

int
__wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	int n;

	if (world.wait_error) {
		errno = world.wait_error;
		world.wait_error = 0;
		return -1;
	}
	if (world.turns_max && ++world.turns > world.turns_max) {
		loop_stop(world.loop);
		return 0;
	}
	n = __real_epoll_wait(fd, events, max, 0);
	if (n)
		return n;
	if (timeout < 0 && !world.turns_max)
		fail_msg("the loop sleeps for ever; so far: %s", world.told);
	if (timeout < 0)
		return 0;
	if (timeout > world.slept)
		world.slept = timeout;
	world.now += timeout;
	return 0;
}

int
__wrap_epoll_create1(int flags)
{
	errno = EMFILE;
	return world.no_epoll ? -1 : __real_epoll_create1(flags);
}

mono_t
__wrap_clock_mono(void)
{
	return (mono_t){world.now};
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return world.no_memory ? NULL : __real_calloc(n, size);
}

static int
set_up(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	memset(&world, 0, sizeof(world));
	sigprocmask(SIG_SETMASK, NULL, &world.mask);
	world.now = 1000;
	world.loop = loop_new(&e);
	return world.loop ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	world.no_memory = false;
	loop_free(world.loop);
	sigprocmask(SIG_SETMASK, &world.mask, NULL);
	return 0;
}

static void
tell(const char *word)
{
	assert_true(strlen(world.told) + strlen(word) + 2 < sizeof(world.told));
	strcat(world.told, *world.told ? " " : "");
	strcat(world.told, word);
}

static void
assert_told(const char *expected)
{
	assert_string_equal(world.told, expected);
	world.told[0] = '\0';
}

/* Turns the loop so many times, idle or not. */
static void
turn(int turns)
{
	world.turns = 0;
	world.turns_max = turns;
	assert_int_equal(loop_run(world.loop), 0);
}

/* A thing with a name that does something when it is called. */
struct actor {
	const char *name;
	struct loop_io *io;
	struct loop_timer *timer;
	struct loop_task *task;
	int fd, other_end;   /* a pipe, -1: none */
	bool drain;          /* reads what arrived */
	bool goes;           /* removes its own handle */
	bool stops;          /* the loop */
	struct actor *kills; /* removes that one's handles */
	struct actor *asks;  /* asks for that one's task */
	struct actor *arms;  /* that one's timer … */
	int64_t arms_in;     /* … for so many milliseconds from now */
	int64_t arms_times;  /* so many times at most */
	struct actor *disarms;
};

static void
go(struct actor *a)
{
	loop_io_free(a->io);
	loop_timer_free(a->timer);
	loop_task_free(a->task);
	a->io = NULL;
	a->timer = NULL;
	a->task = NULL;
}

static void
act(void *ctx)
{
	struct actor *a = ctx;
	char byte;

	tell(a->name);
	if (a->drain)
		assert_int_equal(read(a->fd, &byte, 1), 1);
	if (a->kills)
		go(a->kills);
	if (a->asks)
		loop_task_soon(a->asks->task);
	if (a->disarms)
		loop_timer_at(a->disarms->timer, MONO_NEVER);
	if (a->arms && a->arms_times-- > 0)
		loop_timer_at(a->arms->timer, mono_in((mono_t){world.now}, a->arms_in));
	if (a->stops)
		loop_stop(world.loop);
	if (a->goes)
		go(a);
}

static void
act_io(void *ctx, uint32_t events)
{
	assert_true(events & EPOLLIN);
	act(ctx);
}

static void
act_signal(void *ctx, int signo)
{
	char text[20];

	snprintf(text, sizeof(text), "%s%d", (const char *)ctx, signo == SIGUSR1 ? 1 : 2);
	tell(text);
}

static struct actor
with_timer(const char *name)
{
	return (struct actor){.name = name, .fd = -1};
}

static void
new_timer(struct actor *a, int64_t at)
{
	a->timer = loop_timer_new(world.loop, act, a);
	assert_non_null(a->timer);
	loop_timer_at(a->timer, (mono_t){at});
}

static void
new_task(struct actor *a)
{
	a->task = loop_task_new(world.loop, act, a);
	assert_non_null(a->task);
}

/* Watches a pipe in which a byte lies. */
static void
new_pipe(struct actor *a)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	a->fd = fds[0];
	a->other_end = fds[1];
	assert_int_equal(write(a->other_end, "x", 1), 1);
	a->io = loop_io_new(world.loop, a->fd, EPOLLIN, act_io, a);
	assert_non_null(a->io);
}

static void
end_pipe(struct actor *a)
{
	go(a);
	close(a->fd);
	close(a->other_end);
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static void
nothing_to_make_it_of(void **state)
{
	struct err e = ERR_NONE;
	FILE *file = tmpfile();
	int signo = SIGUSR1;

	(void)state;
	world.no_epoll = true;
	assert_null(loop_new(&e));
	assert_int_equal(e.code, -EMFILE);
	assert_null(loop_io_new(world.loop, -1, EPOLLIN, act_io, NULL));
	assert_null(loop_io_new(world.loop, fileno(file), EPOLLIN, act_io, NULL)); /* epoll takes no plain files */
	world.no_memory = true;
	assert_null(loop_new(&e));
	assert_int_equal(e.code, -ENOMEM);
	assert_null(loop_io_new(world.loop, 0, EPOLLIN, act_io, NULL));
	assert_null(loop_timer_new(world.loop, act, NULL));
	assert_null(loop_task_new(world.loop, act, NULL));
	assert_int_equal(loop_signal(world.loop, signo, act_signal, NULL), -ENOMEM);
	world.no_memory = false;
	loop_free(NULL);
	loop_io_free(NULL);
	loop_timer_free(NULL);
	loop_task_free(NULL);
	fclose(file);
}

static void
waiting_fails(void **state)
{
	struct actor a = with_timer("a");

	(void)state;
	world.wait_error = EBADF;
	assert_int_equal(loop_run(world.loop), -EBADF);
	world.wait_error = EINTR;
	a.stops = true;
	new_timer(&a, 1001);
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("a");
	go(&a);
}

static void
watch_removes_itself(void **state)
{
	struct actor a = {.name = "a", .goes = true}, b = {.name = "b"};

	(void)state;
	new_pipe(&a);
	new_pipe(&b);
	turn(2);
	assert_told("a b b");
	end_pipe(&a);
	end_pipe(&b);
}

/* Both are ready in the same turn; whichever is served first, the other is not called any more. */
static void
watches_remove_each_other(void **state)
{
	struct actor a = {.name = "a"}, b = {.name = "b"};

	(void)state;
	new_pipe(&a);
	new_pipe(&b);
	a.kills = &b;
	b.kills = &a;
	turn(1);
	assert_int_equal(strlen(world.told), 1);
	end_pipe(&a);
	end_pipe(&b);
}

static struct actor *reborn;

static void
replace_by_reborn(void *ctx, uint32_t events)
{
	struct actor *a = ctx;
	struct loop_io *io = a->io;

	(void)events;
	tell(a->name);
	loop_io_free(io);
	loop_io_free(io); /* twice is once */
	loop_io_want(io, EPOLLIN | EPOLLOUT);
	a->io = NULL;
	reborn->fd = a->fd;
	reborn->io = loop_io_new(world.loop, reborn->fd, EPOLLIN, act_io, reborn);
	assert_non_null(reborn->io);
}

/* A descriptor may be watched anew from its own callback. */
static void
watch_is_replaced(void **state)
{
	struct actor a = {.name = "a"}, b = {.name = "b"};

	(void)state;
	new_pipe(&a);
	loop_io_free(a.io);
	turn(1); /* swept */
	a.io = loop_io_new(world.loop, a.fd, EPOLLIN, replace_by_reborn, &a);
	reborn = &b;
	turn(2);
	assert_told("a b");
	go(&b);
	end_pipe(&a);
}

static void
only_wanted_events(void **state)
{
	struct actor a = {.name = "a"};

	(void)state;
	new_pipe(&a);
	loop_io_want(a.io, 0);
	turn(1);
	assert_told("");
	loop_io_want(a.io, EPOLLIN);
	turn(1);
	assert_told("a");
	end_pipe(&a);
}

static void
more_than_fit_in_a_turn(void **state)
{
	struct actor many[40];

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		many[i] = (struct actor){.name = "x", .drain = true};
		new_pipe(&many[i]);
	}
	turn(3);
	assert_int_equal(strlen(world.told), 2 * 40 - 1);
	for (size_t i = 0; i < 40; i++)
		end_pipe(&many[i]);
}

/* Watches that nobody freed go with the loop; the descriptor is not closed. */
static void
loop_goes_before_its_watches(void **state)
{
	struct actor a = {.name = "a"};

	(void)state;
	new_pipe(&a);
	loop_free(world.loop);
	assert_true(fcntl(a.fd, F_GETFD) >= 0);
	close(a.fd);
	close(a.other_end);
	world.loop = loop_new(NULL);
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

static void
timers_in_order(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b"), c = with_timer("c"), d = with_timer("d");

	(void)state;
	new_timer(&a, 901000);
	new_timer(&b, 1500);
	new_timer(&c, 1500);
	new_timer(&d, 1400);
	loop_timer_at(d.timer, (mono_t){1600});
	a.stops = true;
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("b c d a");
	assert_true(world.now == 901000);
	go(&a);
	go(&b);
	go(&c);
	go(&d);
}

static void
disarmed(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b"), c = with_timer("c");

	(void)state;
	new_timer(&a, 1001);
	new_timer(&b, 1001);
	new_timer(&c, 2000);
	loop_timer_at(a.timer, MONO_NEVER);
	loop_timer_at(a.timer, MONO_NEVER);
	b.disarms = &c; /* from a callback */
	b.arms = &b;
	b.arms_in = 5000;
	b.arms_times = 1;
	b.stops = true;
	assert_int_equal(loop_run(world.loop), 0);
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("b b");
	assert_true(world.now == 6001);
	go(&a);
	go(&b);
	go(&c);
}

static void
timer_fires_once_for_each_arming(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b");

	(void)state;
	new_timer(&a, 1001);
	loop_timer_at(a.timer, (mono_t){1001});
	new_timer(&b, 3000);
	b.stops = true;
	a.arms = &a;
	a.arms_in = 10;
	a.arms_times = 2;
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("a a a b");
	go(&a);
	go(&b);
}

static void
timers_remove_each_other(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b"), c = with_timer("c");

	(void)state;
	new_timer(&a, 1001);
	new_timer(&b, 1001);
	new_timer(&c, 1001);
	a.kills = &b;
	a.goes = true;
	c.goes = true;
	turn(2);
	assert_told("a c");
}

/* One that is always due again does not keep the descriptors from being served, nor other timers. */
static void
timer_armed_for_now_waits_a_turn(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b"), io = {.name = "io"};

	(void)state;
	new_timer(&a, 1000);
	new_timer(&b, 1000);
	a.arms = &a;
	a.arms_times = 100;
	new_pipe(&io);
	turn(3);
	assert_told("io a b io a io a");
	go(&a);
	go(&b);
	end_pipe(&io);
}

/* … nor one that is armed for the past by another callback. */
static void
timer_armed_by_another(void **state)
{
	struct actor a = with_timer("a"), b = with_timer("b");

	(void)state;
	new_timer(&a, 1000);
	new_timer(&b, INT64_MAX);
	a.arms = &b;
	a.arms_in = -500;
	a.arms_times = 1;
	turn(1);
	assert_told("a");
	turn(1);
	assert_told("b");
	go(&a);
	go(&b);
}

static void
far_timer(void **state)
{
	struct actor a = with_timer("a");

	(void)state;
	new_timer(&a, INT64_MAX - 1);
	turn(2);
	assert_told("");
	assert_int_equal(world.slept, 0x7fffffff); /* as long as epoll can */
	go(&a);
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void
task_once_for_each_request(void **state)
{
	struct actor a = {.name = "a"}, b = {.name = "b"};

	(void)state;
	new_task(&a);
	new_task(&b);
	loop_task_soon(b.task);
	loop_task_soon(a.task);
	loop_task_soon(b.task);
	turn(2);
	assert_told("b a");
	loop_task_soon(b.task);
	turn(1);
	assert_told("b");
	go(&a);
	go(&b);
}

static void
task_after_everything_of_its_turn(void **state)
{
	struct actor io = {.name = "io"}, timer = with_timer("timer"), task = {.name = "task"};

	(void)state;
	new_pipe(&io);
	new_timer(&timer, 1000);
	new_task(&task);
	io.asks = &task;
	turn(1);
	assert_told("io timer task");
	go(&timer);
	go(&task);
	end_pipe(&io);
}

/* Asked for by a task, itself or another, it runs in the next turn: descriptors come in between. */
static void
tasks_ask_for_tasks(void **state)
{
	struct actor a = {.name = "a"}, b = {.name = "b"}, io = {.name = "io"};

	(void)state;
	new_task(&a);
	new_task(&b);
	new_pipe(&io);
	a.asks = &b;
	b.asks = &b;
	loop_task_soon(a.task);
	turn(3);
	assert_told("io a io b io b");
	go(&a);
	go(&b);
	end_pipe(&io);
}

static void
tasks_are_removed(void **state)
{
	static const struct {
		const char *what;
		size_t killed; /* by the first one, of 0…3 */
		const char *told;
	} rows[] = {
	    {"itself", 0, "a b c d"},
	    {"the next", 1, "a c d"},
	    {"in the middle", 2, "a b d"},
	    {"the last", 3, "a b c"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct actor t[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}},
			     late = {.name = "late"};

		print_message("  %s\n", rows[i].what);
		for (size_t k = 0; k < 4; k++) {
			new_task(&t[k]);
			loop_task_soon(t[k].task);
		}
		new_task(&late);
		t[0].kills = &t[rows[i].killed];
		turn(1);
		assert_told(rows[i].told);
		/* the queue still has its end */
		loop_task_soon(late.task);
		turn(1);
		assert_told("late");
		for (size_t k = 0; k < 4; k++)
			go(&t[k]);
		go(&late);
	}
}

static void
queued_task_is_removed_from_outside(void **state)
{
	struct actor a = {.name = "a"}, b = {.name = "b"};

	(void)state;
	new_task(&a);
	new_task(&b);
	loop_task_soon(a.task);
	go(&a);
	loop_task_soon(b.task);
	turn(1);
	assert_told("b");
	go(&b);
}

/* --- stopping ----------------------------------------------------------------------------------------------------- */

static void
stopped_at_once(void **state)
{
	struct actor io = {.name = "io", .stops = true}, t1 = with_timer("t1"), t2 = with_timer("t2");
	struct actor a = {.name = "a"}, b = {.name = "b", .stops = true}, c = {.name = "c", .stops = true};

	(void)state;
	new_pipe(&io);
	new_timer(&t1, 1000);
	new_timer(&t2, 1000);
	new_task(&a);
	new_task(&b);
	new_task(&c);
	loop_task_soon(b.task);
	loop_task_soon(c.task);
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("io"); /* neither timers nor tasks, and both are there in the next run */
	io.stops = false;
	t1.stops = true;
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("io t1");
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("io t2 b");
	assert_int_equal(loop_run(world.loop), 0);
	assert_told("io c");
	go(&t1);
	go(&t2);
	go(&a);
	go(&b);
	go(&c);
	end_pipe(&io);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

static void
signals(void **state)
{
	char a[] = "a", b[] = "b", c[] = "c";

	(void)state;
	assert_int_equal(loop_signal(world.loop, SIGUSR1, act_signal, a), 0);
	assert_int_equal(loop_signal(world.loop, SIGUSR2, act_signal, b), 0);
	assert_int_equal(loop_signal(world.loop, SIGUSR1, act_signal, c), 0);
	raise(SIGUSR1);
	raise(SIGUSR2);
	raise(SIGUSR2); /* pending already */
	turn(2);
	assert_told("a1 c1 b2");
	raise(SIGUSR1);
	turn(1);
	assert_told("a1 c1");
}

static void
too_many_signals(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(loop_signal(world.loop, SIGUSR1, act_signal, NULL), 0);
	assert_int_equal(loop_signal(world.loop, SIGUSR2, act_signal, NULL), -ENOSPC);
}

#define IN_A_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_A_LOOP(nothing_to_make_it_of),
	    IN_A_LOOP(waiting_fails),
	    IN_A_LOOP(watch_removes_itself),
	    IN_A_LOOP(watches_remove_each_other),
	    IN_A_LOOP(watch_is_replaced),
	    IN_A_LOOP(only_wanted_events),
	    IN_A_LOOP(more_than_fit_in_a_turn),
	    IN_A_LOOP(loop_goes_before_its_watches),
	    IN_A_LOOP(timers_in_order),
	    IN_A_LOOP(disarmed),
	    IN_A_LOOP(timer_fires_once_for_each_arming),
	    IN_A_LOOP(timers_remove_each_other),
	    IN_A_LOOP(timer_armed_for_now_waits_a_turn),
	    IN_A_LOOP(timer_armed_by_another),
	    IN_A_LOOP(far_timer),
	    IN_A_LOOP(task_once_for_each_request),
	    IN_A_LOOP(task_after_everything_of_its_turn),
	    IN_A_LOOP(tasks_ask_for_tasks),
	    IN_A_LOOP(tasks_are_removed),
	    IN_A_LOOP(queued_task_is_removed_from_outside),
	    IN_A_LOOP(stopped_at_once),
	    IN_A_LOOP(signals),
	    IN_A_LOOP(too_many_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
