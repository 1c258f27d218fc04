#include "agent/packages.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/child.h"
#include "agent/program.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "package/denylist.h"
#include "package/format.h"
#include "package/pkg_job.h"
#include "package/pkg_store.h"
#include "package/types.h"
#include "package/version.h"

enum {
	VALIDATE_MS = 10 * 60 * 1000, /* a database of 500 MB on a slow box */
	RELOAD_MS = 2 * 60 * 1000,
	VALIDATE_MEMORY = 1024 * 1024 * 1024,
	WHY = 512,
};

/* --- what packages are judged by ---------------------------------------------------------------------------------- */

int
packages_trust_read(const char *ca, const char *level_file, const struct pkg_store *store, int64_t now_s,
		    struct packages_trust *out, struct err *e)
{
	struct packages_trust t = {.anchors = NULL};
	int rc = anchors_load(ca, &t.anchors, e);

	if (!rc && store)
		rc = pkg_store_denylist(store, &t.denied, e);
	if (rc) {
		packages_trust_free(&t);
		return rc;
	}
	t.check =
	    (struct anchor_check){.anchors = t.anchors, .denied = t.denied, .now_s = now_s, .occasion = ANCHOR_NEW};
	t.level = level_read(FORMAT_LEVEL_VARIABLE, level_file, t.level_why);
	*out = t;
	return 0;
}

void
packages_trust_free(struct packages_trust *t)
{
	anchors_free(t->anchors);
	denylist_free(t->denied);
	*t = (struct packages_trust){.anchors = NULL};
}

/* --- a vendor's programs ------------------------------------------------------------------------------------------ */

/* Whom a program runs as. */
struct user {
	struct program_user ids;
	bool own; /* who runs this */
};

struct packages {
	struct loop *loop;
	struct pkg_job *job;
	struct packages_ops ops;
	struct loop_task *task;
	struct child *child; /* NULL: none runs */
	struct user validator, hook;
	char dir[PATH_MAX];
};

static void
on_program_done(void *ctx, const struct child_end *end)
{
	struct packages *p = ctx;
	char why[WHY];

	p->child = NULL;
	snprintf(why, sizeof(why), "%s%s%s", end->why, *end->said ? ": " : "", end->said);
	pkg_job_ran(p->job, end->status > 0 ? end->status : end->rc, end->rc ? why : NULL);
	loop_task_soon(p->task);
}

/* It reads what every program needs and the folder it is in. */
static int
start_validator(struct packages *p, struct child_spec *s, struct err *e)
{
	const char *const readable[] = {
	    "/usr",      "/lib",         "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache",
	    "/dev/null", "/dev/urandom", p->dir,   NULL};

	s->readable = readable;
	s->memory_max = VALIDATE_MEMORY;
	s->timeout_ms = VALIDATE_MS;
	return child_start(p->loop, s, on_program_done, p, &p->child, e);
}

static int
start_hook(struct packages *p, struct child_spec *s, struct err *e)
{
	s->network = true;
	s->writes_files = true;
	s->timeout_ms = RELOAD_MS;
	return child_start(p->loop, s, on_program_done, p, &p->child, e);
}

static int
start_program(struct packages *p, const char *path, const struct pkg_run *r, struct err *e)
{
	char version[VERSION_TEXT];
	const struct user *user = r->what == PKG_VALIDATE ? &p->validator : &p->hook;
	const char *const argv[] = {path,
				    r->kind->name,
				    version_text(version, r->version),
				    r->is_signed ? "signed" : "unsigned",
				    r->what == PKG_RELOAD ? r->payload_path : NULL,
				    NULL};
	struct child_spec s = {
	    .path = path, .argv = argv, .user = user->own ? NULL : &user->ids, .in = r->payload_fd, .out = -1};

	log_debug(DBG_PACKAGE, "[package] %s %s", path, version);
	return r->what == PKG_VALIDATE ? start_validator(p, &s, e) : start_hook(p, &s, e);
}

static void
run_program(struct packages *p)
{
	const struct pkg_run *r = pkg_job_run(p->job);
	char path[PATH_MAX + 64];
	struct err e = ERR_NONE;
	int rc;

	snprintf(path, sizeof(path), "%s/package.%s.%s", p->dir, r->kind->name,
		 r->what == PKG_VALIDATE ? "validate" : "reload");
	rc = program_check(path, &e);
	if (rc == -ENOENT) { /* it is nobody's duty to have one */
		pkg_job_ran(p->job, 0, NULL);
		loop_task_soon(p->task);
		return;
	}
	if (!rc)
		rc = start_program(p, path, r, &e);
	if (rc) {
		pkg_job_ran(p->job, rc, e.text);
		loop_task_soon(p->task);
	}
}

/* --- the job ------------------------------------------------------------------------------------------------------ */

static void
go_on(struct packages *p)
{
	uint64_t done, total;

	pkg_job_progress(p->job, &done, &total);
	p->ops.progress(p->ops.ctx, done, total);
	loop_task_soon(p->task);
}

static void
on_task(void *ctx)
{
	struct packages *p = ctx;

	switch (pkg_job_step(p->job)) {
	case PKG_MORE:
		go_on(p);
		break;
	case PKG_ASK:
		p->ops.ask(p->ops.ctx, pkg_job_question(p->job));
		break;
	case PKG_RUN:
		run_program(p);
		break;
	case PKG_DONE:
		p->ops.done(p->ops.ctx, pkg_job_result(p->job));
		break;
	}
}

void
packages_answer(struct packages *p, bool yes, const uint8_t digest[32])
{
	if (!pkg_job_question(p->job))
		return;
	pkg_job_answer(p->job, yes, digest);
	loop_task_soon(p->task);
}

static int
find_user(struct user *u, const char *name, struct err *e)
{
	u->own = !*name;
	return u->own ? 0 : program_user(name, &u->ids, e);
}

int
packages_new(struct loop *l, struct pkg_job *job, const struct packages_programs *programs,
	     const struct packages_ops *ops, struct packages **out, struct err *e)
{
	struct packages *p = calloc(1, sizeof(*p));
	int rc = 0;

	if (!p) {
		pkg_job_free(job);
		return err_sys(e, -ENOMEM, "packages");
	}
	*p = (struct packages){.loop = l, .job = job, .ops = *ops};
	p->task = loop_task_new(l, on_task, p);
	if (!p->task)
		rc = err_sys(e, -ENOMEM, "packages");
	else if (text_copy(p->dir, sizeof(p->dir), programs->dir))
		rc = err_sys(e, -ENAMETOOLONG, "handler directory");
	if (!rc)
		rc = find_user(&p->validator, programs->validator_user, e);
	if (!rc)
		rc = find_user(&p->hook, programs->hook_user, e);
	if (rc) {
		packages_free(p);
		return rc;
	}
	loop_task_soon(p->task);
	*out = p;
	return 0;
}

bool
packages_stop(struct packages *p)
{
	return pkg_job_stop(p->job);
}

void
packages_free(struct packages *p)
{
	if (!p)
		return;
	child_free(p->child);
	loop_task_free(p->task);
	pkg_job_free(p->job);
	free(p);
}
