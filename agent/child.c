#include "agent/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/landlock.h"
#include "agent/said.h"
#include "agent/spawn.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"

struct child {
	struct loop *loop;
	struct spawned proc;
	struct said said;
	struct loop_io *end_io, *said_io;
	struct loop_timer *timer;
	mono_t deadline, stall;
	int64_t timeout_ms, stall_ms;
	child_done_fn *done;
	void *ctx;
};

void
child_free(struct child *c)
{
	if (!c)
		return;
	loop_io_free(c->end_io);
	loop_io_free(c->said_io);
	loop_timer_free(c->timer);
	if (c->proc.pid > 0)
		spawn_kill(&c->proc);
	said_close(&c->said);
	free(c);
}

/* Over, whichever way: the owner is told last, when nothing of it is left. */
static void
finish(struct child *c, int status, const struct err *e)
{
	child_done_fn *done = c->done;
	void *ctx = c->ctx;
	char said[CHILD_SAID];
	const struct child_end end = {.rc = e->code, .status = status, .why = e->text, .said = said};

	said_close(&c->said); /* a last line may be without its end */
	snprintf(said, sizeof(said), "%s", c->said.last);
	child_free(c);
	done(ctx, &end);
}

static void
on_said(void *ctx, uint32_t events)
{
	struct child *c = ctx;
	struct err e = ERR_NONE;

	(void)events;
	child_progress(c);
	if (said_read(&c->said, &e))
		finish(c, -1, &e);
	else if (c->said.fd < 0) { /* closed: the watch went with it */
		loop_io_free(c->said_io);
		c->said_io = NULL;
	}
}

/* What is still in the pipe; not what somebody who stayed behind goes on writing into it. */
static int
read_rest(struct child *c, struct err *e)
{
	int rc = 0;
	size_t before;

	do {
		before = c->said.bytes;
		rc = c->said.fd < 0 ? 0 : said_read(&c->said, e);
	} while (!rc && c->said.bytes > before);
	return rc;
}

static void
on_end(void *ctx, uint32_t events)
{
	struct child *c = ctx;
	struct err e = ERR_NONE;
	siginfo_t how;

	(void)events;
	if (!spawn_ended(&c->proc, &how))
		return;
	if (!read_rest(c, &e))
		spawn_judge(&how, &e);
	finish(c, how.si_code == CLD_EXITED ? how.si_status : -1, &e);
}

static void
on_timer(void *ctx)
{
	struct child *c = ctx;
	mono_t now = clock_mono();
	struct err e = ERR_NONE;

	if (mono_due(c->deadline, now))
		err_set(&e, -ETIMEDOUT, "it did not end within %lld s", (long long)(c->timeout_ms + 999) / 1000);
	else if (mono_due(c->stall, now))
		err_set(&e, -ETIMEDOUT, "nothing came of it for %lld s", (long long)(c->stall_ms + 999) / 1000);
	if (e.code)
		finish(c, -1, &e);
	else
		loop_timer_at(c->timer, mono_min(c->deadline, c->stall));
}

void
child_progress(struct child *c)
{
	/* the timer finds out when it fires */
	if (c->stall_ms)
		c->stall = mono_in(clock_mono(), c->stall_ms);
}

/* 0 also without Landlock. */
static int
make_rules(const struct child_spec *spec, int *ruleset, struct err *e)
{
	int rc = spec->readable ? landlock_rules(spec->readable, spec->network, ruleset, e) : 0;

	if (rc != -EOPNOTSUPP)
		return rc;
	log_debug(DBG_PACKAGE, "[child] %s: %s: its user's rights are its only limits", spec->path, e->text);
	return 0;
}

static int
run(struct child *c, const struct child_spec *spec, int null, struct err *e)
{
	struct spawn_spec s = {
	    .path = spec->path,
	    .argv = spec->argv,
	    .user = spec->user,
	    .fd = {spec->in < 0 ? null : spec->in, spec->out < 0 ? null : spec->out, -1},
	    .no_network = !spec->network,
	    .alone = spec->alone,
	    .no_files = !spec->writes_files,
	    .memory_max = spec->memory_max,
	};
	int ruleset = -1;
	int rc = make_rules(spec, &ruleset, e);

	if (rc)
		return rc;
	s.ruleset = ruleset < 0 ? NULL : &ruleset;
	rc = spawn_pipe(&c->said.fd, &s.fd[SPAWN_ERR], true);
	if (!rc) {
		rc = spawn(&s, &c->proc);
		close(s.fd[SPAWN_ERR]);
	}
	if (ruleset >= 0)
		close(ruleset);
	return rc ? err_sys(e, rc, "starting %s", spec->path) : 0;
}

static int
watch(struct child *c, const struct child_spec *spec, struct err *e)
{
	mono_t now = clock_mono();

	c->end_io = loop_io_new(c->loop, c->proc.pidfd, EPOLLIN, on_end, c);
	c->said_io = loop_io_new(c->loop, c->said.fd, EPOLLIN, on_said, c);
	c->timer = loop_timer_new(c->loop, on_timer, c);
	if (!c->end_io || !c->said_io || !c->timer)
		return err_sys(e, -ENOMEM, "starting %s", spec->path);
	c->timeout_ms = spec->timeout_ms;
	c->stall_ms = spec->stall_ms;
	c->deadline = mono_in(now, spec->timeout_ms);
	c->stall = spec->stall_ms ? mono_in(now, spec->stall_ms) : MONO_NEVER;
	loop_timer_at(c->timer, mono_min(c->deadline, c->stall));
	return 0;
}

int
child_start(struct loop *l, const struct child_spec *spec, child_done_fn *done, void *ctx, struct child **out,
	    struct err *e)
{
	struct child *c = calloc(1, sizeof(*c));
	int null, rc;

	if (!c)
		return err_sys(e, -ENOMEM, "starting %s", spec->path);
	*c = (struct child){.loop = l, .proc = {-1, -1}, .done = done, .ctx = ctx};
	said_init(&c->said, "child", spec->path, DBG_PACKAGE, CHILD_STDERR_MAX);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	rc = null < 0 ? err_sys(e, -errno, "/dev/null") : run(c, spec, null, e);
	if (null >= 0)
		close(null);
	if (!rc)
		rc = watch(c, spec, e);
	if (rc) {
		child_free(c);
		return rc;
	}
	*out = c;
	return 0;
}
