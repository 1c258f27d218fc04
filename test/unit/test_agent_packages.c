/* agent/packages: the job's pieces in the loop, and a vendor's programs. The job is a script of steps. */
// wrap: clock_mono epoll_wait pkg_job_step pkg_job_free pkg_job_question pkg_job_answer pkg_job_run pkg_job_ran
// wrap: pkg_job_result pkg_job_progress
#include "agent/packages.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "package/pkg_job.h"
#include "test/unit/rollback_fixture.h"
#include "test/unit/turn.h"

static struct {
	struct loop *loop;
	struct packages *p;
	const char *steps; /* 'm'ore, 'a'sk, 'v'alidate, 'r'eload, 'd'one */
	char at;
	int freed;
	struct pkg_question question;
	struct pkg_run run;
	struct pkg_result result;
	struct buf told;
	bool free_in_done;
} t;

enum pkg_step __wrap_pkg_job_step(struct pkg_job *job);
void __wrap_pkg_job_free(struct pkg_job *job);
const struct pkg_question *__wrap_pkg_job_question(const struct pkg_job *job);
void __wrap_pkg_job_answer(struct pkg_job *job, bool yes, const uint8_t digest[32]);
const struct pkg_run *__wrap_pkg_job_run(const struct pkg_job *job);
void __wrap_pkg_job_ran(struct pkg_job *job, int rc, const char *why);
const struct pkg_result *__wrap_pkg_job_result(const struct pkg_job *job);
void __wrap_pkg_job_progress(const struct pkg_job *job, uint64_t *done, uint64_t *total);

enum pkg_step
__wrap_pkg_job_step(struct pkg_job *job)
{
	assert_ptr_equal(job, &t);
	t.at = *t.steps++;
	t.run.what = t.at == 'v' ? PKG_VALIDATE : PKG_RELOAD;
	t.run.payload_path = t.at == 'v' ? NULL : "/payload";
	switch (t.at) {
	case 'm':
		return PKG_MORE;
	case 'a':
		return PKG_ASK;
	case 'd':
		return PKG_DONE;
	default:
		lseek(t.run.payload_fd, 0, SEEK_SET);
		return PKG_RUN;
	}
}

void
__wrap_pkg_job_free(struct pkg_job *job)
{
	assert_ptr_equal(job, &t);
	t.freed++;
}

const struct pkg_question *
__wrap_pkg_job_question(const struct pkg_job *job)
{
	(void)job;
	return t.at == 'a' ? &t.question : NULL;
}

void
__wrap_pkg_job_answer(struct pkg_job *job, bool yes, const uint8_t digest[32])
{
	(void)job;
	t.at = '-';
	buf_printf(&t.told, "%s %02x|", yes ? "yes" : "no", digest[0]);
}

const struct pkg_run *
__wrap_pkg_job_run(const struct pkg_job *job)
{
	(void)job;
	return &t.run;
}

void
__wrap_pkg_job_ran(struct pkg_job *job, int rc, const char *why)
{
	(void)job;
	buf_printf(&t.told, "ran %d %s|", rc, why ? why : "");
}

const struct pkg_result *
__wrap_pkg_job_result(const struct pkg_job *job)
{
	(void)job;
	return &t.result;
}

void
__wrap_pkg_job_progress(const struct pkg_job *job, uint64_t *done, uint64_t *total)
{
	(void)job;
	*done = 5;
	*total = 9;
}

static void
on_ask(void *ctx, const struct pkg_question *q)
{
	assert_ptr_equal(ctx, &t);
	buf_printf(&t.told, "ask %02x|", q->digest[0]);
}

static void
on_progress(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	buf_printf(&t.told, "%d of %d|", (int)done, (int)total);
}

static void
on_done(void *ctx, const struct pkg_result *r)
{
	(void)ctx;
	buf_printf(&t.told, "done %d|", r->code);
	if (t.free_in_done) {
		packages_free(t.p);
		t.p = NULL;
	}
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	if (fixture_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	t.told = BUF_INIT(64 * 1024);
	t.loop = loop_new(&e);
	t.question.digest[0] = 7;
	fixture_write("payload", "0123456789");
	t.run = (struct pkg_run){.kind = types_called("idsdb"),
				 .version = {19, 264},
				 .is_signed = true,
				 .payload_fd = open(fixture_path("payload"), O_RDONLY | O_CLOEXEC)};
	return t.loop && t.run.payload_fd >= 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	packages_free(t.p);
	loop_free(t.loop);
	buf_free(&t.told);
	close(t.run.payload_fd);
	return fixture_teardown(state);
}

static int
begin(const char *steps, const char *user, struct err *e)
{
	const struct packages_programs programs = {.dir = fixture_dir, .validator_user = user, .hook_user = ""};
	const struct packages_ops ops = {.ctx = &t, .ask = on_ask, .progress = on_progress, .done = on_done};

	t.steps = steps;
	return packages_new(t.loop, (struct pkg_job *)&t, &programs, &ops, &t.p, e);
}

static void
start(const char *steps)
{
	struct err e = ERR_NONE;

	if (begin(steps, "", &e))
		fail_msg("%s", e.text);
	assert_int_equal(t.told.len, 0); /* not before it has returned */
}

static const char *
told(void)
{
	static char text[4096];

	turn_quiet(t.loop);
	snprintf(text, sizeof(text), "%.*s", (int)t.told.len, (const char *)buf_head(&t.told));
	buf_cut(&t.told, 0);
	return text;
}

static void
program(const char *name, const char *text, mode_t mode)
{
	fixture_write(name, text);
	assert_int_equal(chmod(fixture_path(name), mode), 0);
}

static bool
ran(void)
{
	return memmem(buf_head(&t.told), t.told.len, "done", 4) != NULL;
}

static void
steps(void **state)
{
	(void)state;
	t.result.code = PKG_CODE_FAILED;
	start("mmd");
	assert_string_equal(told(), "5 of 9|5 of 9|done -64|");
	assert_int_equal(t.freed, 0);
	packages_free(t.p);
	assert_int_equal(t.freed, 1);
	t.free_in_done = true;
	start("d");
	assert_string_equal(told(), "done -64|");
	assert_int_equal(t.freed, 2);
	packages_free(NULL);
}

static void
questions(void **state)
{
	const uint8_t digest[32] = {7};

	(void)state;
	start("mamd");
	packages_answer(t.p, true, digest); /* nobody has asked */
	assert_string_equal(told(), "5 of 9|ask 07|");
	packages_answer(t.p, true, digest);
	packages_answer(t.p, true, digest); /* once only */
	assert_string_equal(told(), "yes 07|5 of 9|done 0|");
}

static void
no_programs(void **state)
{
	(void)state;
	start("vrd");
	assert_string_equal(told(), "ran 0 |ran 0 |done 0|");
}

static void
programs(void **state)
{
	static const struct {
		const char *what, *text, *steps, *told;
		mode_t mode;
	} rows[] = {
	    {"it has the payload", "#!/bin/sh\n[ \"$(cat)\" = 0123456789 ]\n", "vd", "ran 0 |done 0|", 0755},
	    {"it is told what it is", "#!/bin/sh\n[ \"$*\" = 'idsdb 19.00264 signed' ]\n", "vd", "ran 0 |done 0|",
	     0755},
	    {"it refuses", "#!/bin/sh\necho 'no %s database' >&2\nexit 3\n", "vd", "ran 3 ", 0755},
	    {"it says why", "#!/bin/sh\necho 'no %s database' >&2\nexit 3\n", "vd", "no %s database|done 0|", 0755},
	    {"it is killed", "#!/bin/sh\nkill -9 $$\n", "vd", "ran -5 ", 0755},
	    {"anybody can write to it", "#!/bin/sh\nexit 0\n", "vd", "ran -1 ", 0777},
	    {"it is no program", "#!/nonexistent\n", "vd", "ran -2 ", 0755},
	    {"a hook has the path", "#!/bin/sh\n[ \"$*\" = 'idsdb 19.00264 signed /payload' ]\n", "rd",
	     "ran 0 |done 0|", 0755},
	    {"a hook fails", "#!/bin/sh\nexit 1\n", "rd", "ran 1 ", 0755},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *said;

		program(rows[i].steps[0] == 'v' ? "package.idsdb.validate" : "package.idsdb.reload", rows[i].text,
			rows[i].mode);
		start(rows[i].steps);
		turn_run(t.loop, ran, TURN_SOON_MS);
		said = told();
		if (!strstr(said, rows[i].told))
			fail_msg("%s: %s", rows[i].what, said);
		packages_free(t.p);
		t.p = NULL;
	}
}

/* In the middle of a program: it is ended, and nobody is told. */
static void
freed_while_one_runs(void **state)
{
	(void)state;
	program("package.idsdb.validate", "#!/bin/sh\nexec sleep 1000\n", 0755);
	start("vd");
	turn_run(t.loop, NULL, 50);
	packages_free(t.p);
	t.p = NULL;
	assert_int_equal(t.freed, 1);
	assert_string_equal(told(), "");
}

static void
what_cannot_begin(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(begin("d", "nobody-of-that-name", &e), -ENOENT);
	assert_int_equal(t.freed, 1); /* the job was taken all the same */
	assert_null(t.p);
}

static void
trust(void **state)
{
	struct packages_trust trust = {.anchors = NULL};
	struct err e = ERR_NONE;
	char ca[PATH_MAX];

	(void)state;
	fixture_write("ca", "no certificate");
	snprintf(ca, sizeof(ca), "%s", fixture_path("ca"));
	assert_int_not_equal(packages_trust_read(ca, fixture_path("level"), NULL, 5, &trust, &e), 0);
	assert_non_null(strstr(e.text, "/ca"));
	assert_null(trust.anchors);
	packages_trust_free(&trust);
	packages_trust_free(&trust);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(steps, setup, teardown),
	    cmocka_unit_test_setup_teardown(questions, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_programs, setup, teardown),
	    cmocka_unit_test_setup_teardown(programs, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_while_one_runs, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_cannot_begin, setup, teardown),
	    cmocka_unit_test_setup_teardown(trust, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
