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

#include "agent/program.h"
#include "base/err.h"
#include "base/log.h"

static char folder[64];

static const char *
path_to(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* A shell script that the agent may start. */
static const char *
script(const char *name, const char *body)
{
	const char *path = path_to(name);
	FILE *f = fopen(path, "w");

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
	snprintf(folder, sizeof(folder), "/tmp/test-program-XXXXXX");
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

static struct program *
started(const char *body)
{
	struct program *p = NULL;
	struct err e = ERR_NONE;

	if (program_start(script("p", body), NULL, &p, &e))
		fail_msg("%s", e.text);
	return p;
}

static const char *
said(const char *name)
{
	static char line[256];
	FILE *f = fopen(path_to(name), "r");

	line[0] = '\0';
	if (f) {
		if (fgets(line, sizeof(line), f))
			line[strcspn(line, "\n")] = '\0';
		fclose(f);
	}
	return line;
}

/* --- who may be started ------------------------------------------------------------------------------------------- */

static void
checked(void **state)
{
	static const struct {
		const char *what, *make;
		int want;
		const char *reason;
	} cases[] = {
	    {"good", "true", 0, ""},
	    {"missing", "rm p", -ENOENT, "p: No such file"},
	    {"a folder", "rm p; mkdir p", -EPERM, "not a regular file"},
	    {"a link", "mv p q; ln -s q p", -EPERM, "not a regular file"},
	    {"a FIFO", "rm p; mkfifo p", -EPERM, "not a regular file"},
	    {"not executable", "chmod 644 p", -EPERM, "not executable"},
	    {"others may write", "chmod 757 p", -EPERM, "mode 0757, nobody else may write"},
	    {"the group may write", "chmod 775 p", -EPERM, "mode 0775"},
	    {"somebody else's", "chown 12345 p", -EPERM, "owned by user 12345, root was expected"},
	    {"the folder is open", "chmod 777 .", -EPERM, "mode 0777, nobody else"},
	    {"the folder is somebody else's", "chown 12345 .", -EPERM, "owned by user 12345"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		char line[256];
		int rc;

		script("p", "exit 0");
		snprintf(line, sizeof(line), "cd %s && %s", folder, cases[i].make);
		assert_int_equal(system(line), 0);
		rc = program_check(path_to("p"), &e);
		if (rc != cases[i].want || !strstr(e.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
	assert_int_equal(program_check("p", NULL), -EPERM);
	assert_int_equal(program_check("", NULL), -EPERM);
}

static void
users(void **state)
{
	struct program_user u = {.uid = 7, .gid = 7};
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(program_user("no-such-user", &u, &e), -ENOENT);
	assert_non_null(strstr(e.text, "user \"no-such-user\""));
	assert_int_equal(u.uid, 7);
	assert_int_equal(program_user("root", &u, &e), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(program_user("nobody", &u, &e), 0);
	assert_int_equal(u.uid, 65534);
	assert_int_equal(program_user("4711", &u, &e), 0);
	assert_int_equal(u.uid, 4711);
	assert_int_equal(u.gid, 4711);
}

static void
cannot_start(void **state)
{
	const struct program_user nobody = {.uid = 65534, .gid = 65534};
	struct program *p = NULL;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(program_start(path_to("none"), NULL, &p, &e), -ENOENT);
	assert_non_null(strstr(e.text, "starting "));
	assert_int_equal(chmod(script("p", "exit 0"), 0700), 0);
	assert_int_equal(program_start(path_to("p"), &nobody, &p, &e), -EACCES);
	assert_null(p);
	assert_int_equal(program_end(NULL, 0, NULL), 0);
}

/* --- what it gets ------------------------------------------------------------------------------------------------- */

/* Nothing of ours: environment, descriptors, session, signals, folder, and nothing to gain. */
static void
starts_clean(void **state)
{
	const struct program_user somebody = {.uid = 4711, .gid = 4712};
	static const struct {
		const char *what, *command, *want;
	} cases[] = {
	    {"environment", "env | grep -v -e ^PWD= -e ^_= -e ^OLDPWD= | sort -r | tr '\\n' ' '",
	     "PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "},
	    {"descriptors", "", "0 1 10 2 3"},
	    {"session", "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo own", "own"},
	    {"signals blocked", "grep SigBlk /proc/$$/status | tr -d '\\t'", "SigBlk:0000000000000000"},
	    /* the C library keeps two for itself, above these */
	    {"signals ignored", "echo $((0x$(grep SigIgn /proc/$$/status | cut -f2) & 0x7fffffff))", "0"},
	    {"folder", "pwd", "/"},
	    {"new privileges", "grep NoNewPrivs /proc/$$/status | tr -d '\\t'", "NoNewPrivs:1"},
	    {"capabilities", "grep CapEff /proc/$$/status | tr -d '\\t'", "CapEff:0000000000000000"},
	    {"user", "id -u", "4711"},
	    {"groups", "id -G", "4712"},
	    {"mask", "umask", "0022"},
	};
	int leaked = fcntl(0, F_DUPFD, 50); /* as a library might leave one */
	sigset_t some, before;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigprocmask(SIG_BLOCK, &some, &before);
	setenv("SECRET", "x", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char body[256], answer[PROGRAM_LINE];
		struct program *p = NULL;
		struct err e = ERR_NONE;

		snprintf(body, sizeof(body), "read x; echo \"$(%s)\"", cases[i].command);
		if (!strcmp(cases[i].what, "descriptors")) /* 3 and 10 are the shell's own */
			snprintf(body, sizeof(body), "read x; cd /proc/$$/fd; echo *");
		assert_int_equal(program_start(script("p", body), &somebody, &p, &e), 0);
		if (program_ask(p, "x\n", 2, 5000, answer, &e) || strcmp(answer, cases[i].want) != 0)
			fail_msg("%s: \"%s\" %s", cases[i].what, answer, e.text);
		assert_int_equal(program_end(p, 5000, &e), 0);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	unsetenv("SECRET");
	close(leaked);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void
questions_and_answers(void **state)
{
	struct program *p = started("while read x; do echo \"heard $x\"; echo \"wrote $x\" >&2; done");
	char answer[PROGRAM_LINE], line[32], *huge;
	struct err e = ERR_NONE;

	(void)state;
	for (int i = 0; i < 50; i++) {
		int n = snprintf(line, sizeof(line), "%d\n", i);

		assert_int_equal(program_ask(p, line, (size_t)n, 5000, answer, &e), 0);
		snprintf(line, sizeof(line), "heard %d", i);
		assert_string_equal(answer, line);
	}
	assert_int_equal(program_end(p, 5000, &e), 0);
	/* longer than any pipe */
	p = started("wc -l; exit 0");
	huge = malloc(1 << 20);
	assert_non_null(huge);
	memset(huge, 'x', 1 << 20);
	huge[(1 << 20) - 1] = '\n';
	assert_int_equal(program_ask(p, huge, 1 << 20, 500, answer, &e), -ETIMEDOUT); /* it waits for the end */
	free(huge);
	assert_int_equal(program_end(p, 5000, &e), 0);
}

static void
rules_broken(void **state)
{
	static const struct {
		const char *what, *body;
		int want;
		const char *reason;
	} cases[] = {
	    {"no answer", "read x; sleep 60", -ETIMEDOUT, "no answer within 1 s"},
	    {"it does not even read", "sleep 60", -ETIMEDOUT, "no answer within 1 s"},
	    {"half an answer", "read x; printf '{\"code\"'; sleep 60", -ETIMEDOUT, "no answer within"},
	    {"drop by drop", "read x; while printf x; do sleep 0.1; done", -ETIMEDOUT, "no answer within"},
	    {"ends", "read x; exit 3", -EPIPE, "it ended, or closed its output"},
	    {"half an answer, and ends", "read x; printf half", -EPIPE, "it ended"},
	    {"is killed", "read x; kill -9 $$", -EPIPE, "it ended"},
	    {"closes its output", "read x; exec >&-; sleep 60", -EPIPE, "it ended, or closed its output"},
	    {"ends at once", "exit 0", -EPIPE, "it ended"},
	    {"a long answer", "read x; head -c 5000 /dev/zero | tr '\\0' x; echo", -EMSGSIZE,
	     "an answer longer than 4095 bytes"},
	    {"an endless answer", "read x; yes | tr -d '\\n'", -EMSGSIZE, "an answer longer than"},
	    {"two answers", "read x; printf 'a\\nb\\n'; sleep 60", -EMSGSIZE, "more than one line"},
	    {"endless answers", "read x; yes", -EMSGSIZE, "more than one line"},
	    {"endless on standard error", "read x; yes >&2", -EMSGSIZE, "more than 65536 bytes on standard error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct program *p = started(cases[i].body);
		char answer[PROGRAM_LINE] = "untouched";
		struct err e = ERR_NONE;
		int rc = program_ask(p, "change\n", 7, cases[i].want == -ETIMEDOUT ? 1000 : 60000, answer, &e);

		if (rc != cases[i].want || !strstr(e.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		assert_string_equal(answer, "untouched");
		(void)program_end(p, 0, &e);
	}
}

/* A line that nobody asked for is found at the next question. */
static void
unasked(void **state)
{
	char answer[PROGRAM_LINE];
	struct program *p;
	struct err e = ERR_NONE;

	(void)state;
	p = started("read x; echo a; while ! test -e $0.go; do sleep 0.01; done; echo b; touch $0.b; read x; sleep 60");
	assert_int_equal(program_ask(p, "1\n", 2, 60000, answer, &e), 0);
	assert_string_equal(answer, "a");
	assert_int_equal(mkfifo(path_to("p.go"), 0600), 0);
	for (int i = 0; i < 500 && access(path_to("p.b"), F_OK); i++)
		usleep(10 * 1000);
	assert_int_equal(program_ask(p, "2\n", 2, 5000, answer, &e), -EMSGSIZE);
	(void)program_end(p, 0, &e);
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void
ends(void **state)
{
	static const struct {
		const char *what, *body;
		int64_t ms;
		int want;
		const char *reason;
	} cases[] = {
	    {"by itself", "while read x; do :; done; exit 0", 5000, 0, ""},
	    {"with a last word", "while read x; do :; done; echo bye; echo bye >&2; exit 0", 5000, 0, ""},
	    {"with a status", "while read x; do :; done; exit 7", 5000, -EIO, "it ended with status 7"},
	    {"by a signal", "kill -15 $$", 5000, -EIO, "it was ended by signal 15"},
	    {"not at all", "sleep 60", 200, -ETIMEDOUT, "did not end within"},
	    {"not for a polite word", "trap '' TERM HUP INT; while :; do sleep 1; done", 200, -ETIMEDOUT,
	     "did not end"},
	    {"with much noise", "yes >&2", 5000, -EMSGSIZE, "said too much"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct program *p = started(cases[i].body);
		struct err e = ERR_NONE;
		int rc = program_end(p, cases[i].ms, &e);

		if (rc != cases[i].want || !strstr(e.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
	}
}

/* Its children end with it, and it is not waited for them. */
static void
ends_with_its_children(void **state)
{
	struct program *p = started("sleep 600 & echo $! > $0.child; while read x; do :; done");
	struct err e = ERR_NONE;
	char stat[64];
	int gone = 0;

	(void)state;
	for (int i = 0; i < 500 && !*said("p.child"); i++)
		usleep(10 * 1000);
	assert_int_equal(program_end(p, 5000, &e), 0);
	snprintf(stat, sizeof(stat), "/proc/%d/exe", atoi(said("p.child")));
	for (int i = 0; i < 500 && !gone; i++) {
		char target[64];

		gone = readlink(stat, target, sizeof(target)) < 0;
		usleep(10 * 1000);
	}
	assert_true(gone);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(checked, setup, teardown),
	    cmocka_unit_test_setup_teardown(users, setup, teardown),
	    cmocka_unit_test_setup_teardown(cannot_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(starts_clean, setup, teardown),
	    cmocka_unit_test_setup_teardown(questions_and_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(rules_broken, setup, teardown),
	    cmocka_unit_test_setup_teardown(unasked, setup, teardown),
	    cmocka_unit_test_setup_teardown(ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(ends_with_its_children, setup, teardown),
	};

	log_open("test", true, false);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
