/* agent/child: how a program in the loop ends, what it is kept from, and that nothing of it stays behind. */
#include "agent/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/landlock.h"
#include "agent/program.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

enum { LONG_MS = 60 * 1000, TEXT = 512 };

static const struct program_user somebody = {.uid = 4711, .gid = 4712};
static const struct program_user root = {.uid = 0, .gid = 0};

static char folder[64];

struct ended {
	struct loop *loop;
	int times, rc, status;
	char why[TEXT], said[TEXT];
};

static const char *
path_to(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *
script(const char *body)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s", path_to("p"));
	f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", body);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

static int
setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test-child-XXXXXX");
	return mkdtemp(folder) && !chmod(folder, 0755) ? 0 : -1;
}

static int
teardown(void **state)
{
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", folder);
	return system(line);
}

static void
on_done(void *ctx, const struct child_end *end)
{
	struct ended *d = ctx;

	d->times++;
	d->rc = end->rc;
	d->status = end->status;
	snprintf(d->why, sizeof(d->why), "%s", end->why);
	snprintf(d->said, sizeof(d->said), "%s", end->said);
	loop_stop(d->loop);
}

static struct child_spec
plain(const char *body)
{
	return (struct child_spec){
	    .path = script(body), .in = -1, .out = -1, .network = true, .writes_files = true, .timeout_ms = LONG_MS};
}

/* Runs it to its end. */
static struct ended
end_of(const struct child_spec *spec)
{
	struct err e = ERR_NONE;
	struct ended d = {.loop = loop_new(&e)};
	struct child *c = NULL;

	assert_non_null(d.loop);
	if (child_start(d.loop, spec, on_done, &d, &c, &e))
		fail_msg("%s", e.text);
	assert_int_equal(d.times, 0);
	assert_int_equal(loop_run(d.loop), 0);
	loop_free(d.loop);
	assert_int_equal(d.times, 1);
	return d;
}

/* --- how it ends -------------------------------------------------------------------------------------------------- */

static void
ends(void **state)
{
	static const struct {
		const char *what, *body;
		int64_t timeout_ms, stall_ms;
		int rc, status;
		const char *why, *said;
	} cases[] = {
	    {"well", "exit 0", LONG_MS, LONG_MS, 0, 0, "", ""},
	    {"well, with words", "echo one >&2; echo two >&2; exit 0", LONG_MS, 0, 0, 0, "", "two"},
	    {"with a status", "echo why >&2; exit 7", LONG_MS, 0, -EIO, 7, "it ended with status 7", "why"},
	    {"with half a line", "printf 'because\\033[1m' >&2; exit 1", LONG_MS, 0, -EIO, 1, "status 1",
	     "because\\x1b[1m"},
	    {"after its standard error", "echo last >&2; exec 2>&-; sleep 0.1; exit 3", LONG_MS, 0, -EIO, 3, "status 3",
	     "last"},
	    {"by a signal", "kill -15 $$", LONG_MS, 0, -EIO, -1, "it was ended by signal 15", ""},
	    {"not in time", "trap '' TERM HUP; sleep 600", 300, LONG_MS, -ETIMEDOUT, -1, "it did not end within 1 s",
	     ""},
	    {"without getting on", "sleep 600", LONG_MS, 300, -ETIMEDOUT, -1, "nothing came of it for 1 s", ""},
	    {"with much noise", "yes >&2", LONG_MS, LONG_MS, -EMSGSIZE, -1, "more than 65536 bytes on standard error",
	     "y"},
	    {"with much noise at its end", "head -c 65537 /dev/zero >&2", LONG_MS, 0, -EMSGSIZE, -2, "more than 65536",
	     NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct child_spec spec = plain(cases[i].body);
		struct ended d;

		spec.timeout_ms = cases[i].timeout_ms;
		spec.stall_ms = cases[i].stall_ms;
		d = end_of(&spec);
		if (d.rc != cases[i].rc || (cases[i].status != -2 && d.status != cases[i].status) ||
		    !strstr(d.why, cases[i].why) || (cases[i].said && strcmp(d.said, cases[i].said) != 0))
			fail_msg("%s: %d, %d \"%s\" \"%s\"", cases[i].what, d.rc, d.status, d.why, d.said);
	}
}

/* Who gets on may take his time. */
static void
words_are_progress(void **state)
{
	struct child_spec spec = plain("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; sleep 0.2; done");
	struct ended d;

	(void)state;
	spec.stall_ms = 1500;
	d = end_of(&spec);
	assert_int_equal(d.rc, 0);
	assert_string_equal(d.said, "10");
}

struct helped {
	struct ended d;
	struct child *child;
	struct loop_timer *timer;
	int left;
};

static void
help(void *ctx)
{
	struct helped *h = ctx;

	child_progress(h->child);
	loop_timer_at(h->timer, --h->left ? mono_in(clock_mono(), 100) : MONO_NEVER);
}

/* The owner sees progress that the child does not tell of; without it the limit counts from the last time. */
static void
owner_reports_progress(void **state)
{
	struct child_spec spec = plain("sleep 600");
	struct err e = ERR_NONE;
	struct helped h = {.d = {.loop = loop_new(&e)}, .left = 15};
	mono_t begun = clock_mono();

	(void)state;
	spec.stall_ms = 1000;
	assert_int_equal(child_start(h.d.loop, &spec, on_done, &h.d, &h.child, &e), 0);
	h.timer = loop_timer_new(h.d.loop, help, &h);
	loop_timer_at(h.timer, begun);
	assert_int_equal(loop_run(h.d.loop), 0);
	loop_timer_free(h.timer);
	loop_free(h.d.loop);
	assert_int_equal(h.left, 0);
	assert_int_equal(h.d.rc, -ETIMEDOUT);
	assert_true(clock_mono().ms - begun.ms >= 2400);
}

static void
cannot_start(void **state)
{
	struct child_spec spec = plain("exit 0");
	struct err e = ERR_NONE;
	struct loop *l = loop_new(&e);
	struct child *c = NULL;

	(void)state;
	spec.path = "/nowhere/p";
	assert_int_equal(child_start(l, &spec, on_done, NULL, &c, &e), -ENOENT);
	assert_non_null(strstr(e.text, "starting /nowhere/p"));
	spec.path = path_to("p");
	spec.user = &somebody;
	assert_int_equal(chmod(spec.path, 0700), 0);
	assert_int_equal(child_start(l, &spec, on_done, NULL, &c, &e), -EACCES);
	assert_null(c);
	child_free(NULL);
	loop_free(l);
}

/* --- what stays behind -------------------------------------------------------------------------------------------- */

static int
read_number(const char *name)
{
	FILE *f = fopen(path_to(name), "r");
	int n = 0;

	if (f && fscanf(f, "%d", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

/* Waits for a file with a number. */
static int
number(const char *name)
{
	int n = 0;

	for (int i = 0; i < 1000 && !(n = read_number(name)); i++)
		usleep(10 * 1000);
	return n;
}

static bool
is_gone(int pid)
{
	char exe[64], target[64];

	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	for (int i = 0; i < 500; i++) {
		if (readlink(exe, target, sizeof(target)) < 0)
			return true;
		usleep(10 * 1000);
	}
	return false;
}

/* Its end, and being freed, take its children along. */
static void
nothing_stays(void **state)
{
	static const char family[] = "sleep 600 & echo $! > $0.child; ";
	struct child_spec spec;
	struct err e = ERR_NONE;
	struct ended d = {.loop = loop_new(&e)};
	struct child *c = NULL;
	char body[128];

	(void)state;
	snprintf(body, sizeof(body), "%s exit 0", family);
	spec = plain(body);
	assert_int_equal(end_of(&spec).rc, 0);
	assert_true(is_gone(number("p.child")));
	unlink(path_to("p.child"));
	snprintf(body, sizeof(body), "%s echo $$ > $0.self; sleep 600", family);
	spec = plain(body);
	assert_int_equal(child_start(d.loop, &spec, on_done, &d, &c, &e), 0);
	assert_true(number("p.child") && number("p.self"));
	child_free(c);
	assert_true(is_gone(number("p.child")) && is_gone(number("p.self")));
	assert_int_equal(d.times, 0);
	loop_free(d.loop);
}

/* --- what it gets, and what it is kept from ----------------------------------------------------------------------- */

static void
takes_descriptors_and_words(void **state)
{
	const char *const argv[] = {"name", "a b", "$(id)", NULL};
	struct child_spec spec = plain("read x; echo \"$x|$1|$2|$#\"");
	char got[64] = "";
	int in, out;

	(void)state;
	in = open(path_to("in"), O_RDWR | O_CREAT, 0600);
	out = open(path_to("out"), O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(in, "heard\n", 6), 6);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	spec.in = in;
	spec.out = out;
	spec.argv = argv;
	assert_int_equal(end_of(&spec).rc, 0);
	assert_true(pread(out, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, "heard|a b|$(id)|2\n");
	close(in);
	close(out);
}

struct kept {
	const char *what, *body;
	const struct program_user *user;
	bool network, alone, writes_files;
	uint64_t memory_max;
	int rc;
	const char *said; /* or why */
};

static void
check_kept(const struct kept *k, const char *const *readable)
{
	struct child_spec spec = plain(k->body);
	struct ended d;

	spec.user = k->user;
	spec.network = k->network;
	spec.alone = k->alone;
	spec.writes_files = k->writes_files;
	spec.memory_max = k->memory_max;
	spec.readable = readable;
	d = end_of(&spec);
	if (d.rc != k->rc || (!strstr(d.said, k->said) && !strstr(d.why, k->said)))
		fail_msg("%s: %d \"%s\" \"%s\"", k->what, d.rc, d.why, d.said);
}

static void
limits(void **state)
{
	static const struct kept cases[] = {
	    {"no network", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n' >&2", &somebody, false, false, true,
	     0, 0, "lo"},
	    {"no second process", "sleep 0; true", &somebody, true, true, true, 0, -EIO, "annot fork"},
	    {"another program instead", "exec true", &somebody, true, true, true, 0, 0, ""},
	    {"files", "printf x > $0.file", &root, true, false, true, 0, 0, ""},
	    {"no files", "printf x > $0.file", &root, true, false, false, 0, -EIO, "signal 25"},
	    {"little memory", "exec dd if=/dev/zero of=/dev/null bs=100M count=1", &somebody, true, false, true,
	     UINT64_C(64) << 20, -EIO, "memory exhausted"},
	    {"enough of it", "exec dd if=/dev/zero of=/dev/null bs=10M count=1", &somebody, true, false, true,
	     UINT64_C(64) << 20, 0, ""},
	    {"no core", "ulimit -c >&2", &somebody, true, false, true, 0, 0, "0"},
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_kept(&cases[i], NULL);
}

/* Even root reads and writes what was named, and nothing else. */
static void
confined(void **state)
{
	static const struct kept cases[] = {
	    {"reads what is named", "read x < ${0%/*}/open/a; echo $x >&2", &root, true, false, true, 0, 0, "hello"},
	    {"lists it", "cd ${0%/*}/open; echo * >&2", &root, true, false, true, 0, 0, "a"},
	    {"the user file", "read x < /etc/passwd", &root, true, false, true, 0, -EIO,
	     "/etc/passwd: Permission denied"},
	    {"beside what is named", "read x < ${0%/*}/shut/b", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"by a way round", "read x < ${0%/*}/open/../shut/b", &root, true, false, true, 0, -EIO,
	     "ermission denied"},
	    {"by a link", "read x < ${0%/*}/open/link", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"writes", "echo x > ${0%/*}/open/a", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"makes", "mkdir ${0%/*}/open/c", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"removes", "rm -f ${0%/*}/open/a", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"devices", "read x < /dev/zero", &root, true, false, true, 0, -EIO, "ermission denied"},
	    {"nowhere", "echo x > /dev/null; read x < /dev/null; true", &root, true, false, true, 0, 0, ""},
	    {"as somebody", "read x < ${0%/*}/open/a; echo $x >&2", &somebody, true, false, true, 0, 0, "hello"},
	};
	char open_folder[128], self[128], line[512];
	const char *const readable[] = {self, open_folder, "/bin", "/usr", "/lib", "/lib64", "/nowhere", NULL};
	struct err e = ERR_NONE;
	int ruleset = -1;

	(void)state;
	if (geteuid() != 0 || landlock_rules(readable + 2, true, &ruleset, &e) == -EOPNOTSUPP)
		skip();
	close(ruleset);
	snprintf(self, sizeof(self), "%s", path_to("p"));
	snprintf(open_folder, sizeof(open_folder), "%s", path_to("open"));
	snprintf(line, sizeof(line),
		 "cd %s && mkdir open shut && echo hello > open/a && echo x > shut/b && ln -s ../shut/b open/link",
		 folder);
	assert_int_equal(system(line), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_kept(&cases[i], readable);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(words_are_progress, setup, teardown),
	    cmocka_unit_test_setup_teardown(owner_reports_progress, setup, teardown),
	    cmocka_unit_test_setup_teardown(cannot_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(takes_descriptors_and_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(limits, setup, teardown),
	    cmocka_unit_test_setup_teardown(confined, setup, teardown),
	};

	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
