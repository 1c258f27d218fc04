/* agent/spawn: what a new program starts with, why one does not start, and how all of it ends. Programs at work are in
 * test_agent_program.c and test_agent_child.c.
 */
#include "agent/spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/program.h"
#include "base/err.h"

enum { SOON_MS = 60 * 1000, TEXT = 512 };

static const struct program_user somebody = {.uid = 4711, .gid = 4712};

/* Its ends of three pipes, and ours. */
static struct {
	int theirs[SPAWN_FDS], ours[SPAWN_FDS];
} t;

static int
setup(void **state)
{
	(void)state;
	return spawn_pipe(&t.theirs[SPAWN_IN], &t.ours[SPAWN_IN], false) ||
	       spawn_pipe(&t.ours[SPAWN_OUT], &t.theirs[SPAWN_OUT], true) ||
	       spawn_pipe(&t.ours[SPAWN_ERR], &t.theirs[SPAWN_ERR], true);
}

static void
close_theirs(void)
{
	for (int i = 0; i < SPAWN_FDS; i++) {
		if (t.theirs[i] >= 0)
			close(t.theirs[i]);
		t.theirs[i] = -1;
	}
}

static int
teardown(void **state)
{
	(void)state;
	close_theirs();
	for (int i = 0; i < SPAWN_FDS; i++)
		close(t.ours[i]);
	return 0;
}

static struct spawn_spec
shell(const char *const argv[])
{
	return (struct spawn_spec){
	    .path = "/bin/sh", .argv = argv, .fd = {t.theirs[SPAWN_IN], t.theirs[SPAWN_OUT], t.theirs[SPAWN_ERR]}};
}

static struct spawned
started(const struct spawn_spec *spec)
{
	struct spawned s = {.pid = 0};
	int rc = spawn(spec, &s);

	if (rc)
		fail_msg("%s: %s", spec->path, strerror(-rc));
	close_theirs();
	assert_true(s.pid > 0 && s.pidfd >= 0);
	return s;
}

/* The shell with this to do. */
static struct spawned
running(const char *command)
{
	const char *const argv[] = {"sh", "-c", command, NULL};
	const struct spawn_spec spec = shell(argv);

	return started(&spec);
}

static void
wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, SOON_MS), 1);
}

/* What comes until the pipe's end. */
static const char *
read_end(int fd)
{
	static char text[TEXT];
	size_t len = 0;
	ssize_t n;

	do {
		wait_for(fd);
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = '\0';
	return text;
}

static int
end_of(struct spawned *s, struct err *e)
{
	siginfo_t how;
	int rc;

	wait_for(s->pidfd);
	assert_true(spawn_ended(s, &how));
	rc = spawn_judge(&how, e);
	spawn_kill(s);
	return rc;
}

/* --- what does not start ------------------------------------------------------------------------------------------ */

static void
cannot_start(void **state)
{
	static const int no_rules = -1;
	static const struct {
		const char *what;
		struct spawn_spec spec;
		int rc;
	} cases[] = {
	    {"no such program", {.path = "/nowhere/p"}, -ENOENT},
	    {"a folder", {.path = "/"}, -EACCES},
	    {"no program", {.path = "/etc/passwd"}, -EACCES},
	    {"a descriptor that is not open", {.path = "/bin/sh", .fd = {-1, -1, -1}}, -EBADF},
	    {"rules that are none", {.path = "/bin/sh", .ruleset = &no_rules}, -EBADF},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spawned s = {.pid = 77, .pidfd = 78};
		struct spawn_spec spec = cases[i].spec;
		int rc;

		if (!spec.fd[0])
			memcpy(spec.fd, t.theirs, sizeof(spec.fd));
		rc = spawn(&spec, &s);
		if (rc != cases[i].rc || s.pid != 77 || s.pidfd != 78)
			fail_msg("%s: %d", cases[i].what, rc);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
		assert_int_equal(errno, ECHILD);
	}
}

/* --- what it starts with ------------------------------------------------------------------------------------------ */

static void
check_start(const char *what, const char *command, const char *want)
{
	const char *const argv[] = {"sh", "-c", command, "zero", "one", NULL};
	const struct spawn_spec spec = shell(argv);
	struct spawned s;
	const char *said;

	assert_int_equal(write(t.ours[SPAWN_IN], "heard\n", 6), 6);
	s = started(&spec);
	said = read_end(t.ours[SPAWN_OUT]);
	if (strcmp(said, want) != 0)
		fail_msg("%s: \"%s\"", what, said);
	spawn_kill(&s);
}

/* Nothing of the agent's, and nothing of who started the agent. */
static void
starts_with(void **state)
{
	static const struct {
		const char *what, *command, *want;
	} cases[] = {
	    {"environment", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort",
	     "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"},
	    {"descriptors", "cd /proc/$$/fd; echo *", "0 1 2 3\n"}, /* with the one that lists them */
	    {"session", "set -- $(cat /proc/$$/stat); [ $6 = $$ ] && [ $5 = $$ ] && echo own", "own\n"},
	    {"signals blocked", "grep SigBlk /proc/$$/status | tr -d '\\t'", "SigBlk:0000000000000000\n"},
	    {"a signal ignored", "kill -PIPE $$; echo still here", ""},
	    {"folder", "pwd", "/\n"},
	    {"mask", "umask", "0022\n"},
	    {"new privileges", "grep NoNewPrivs /proc/$$/status | tr -d '\\t'", "NoNewPrivs:1\n"},
	    {"input", "read a; echo $a", "heard\n"},
	    {"words", "echo $0 $1 $#", "zero one 1\n"},
	};
	int leaked = fcntl(0, F_DUPFD, 50); /* as a library might leave one */
	mode_t mask = umask(077);
	sigset_t some, before;

	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigprocmask(SIG_BLOCK, &some, &before);
	setenv("SECRET", "x", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_start(cases[i].what, cases[i].command, cases[i].want);
		assert_int_equal(teardown(state) || setup(state), 0);
	}
	unsetenv("SECRET");
	sigprocmask(SIG_SETMASK, &before, NULL);
	umask(mask);
	close(leaked);
}

static void
no_words(void **state)
{
	struct spawn_spec spec = shell(NULL);
	struct spawned s = started(&spec);

	(void)state;
	assert_int_equal(write(t.ours[SPAWN_IN], "echo $0 $#\nexit\n", 16), 16);
	assert_string_equal(read_end(t.ours[SPAWN_OUT]), "/bin/sh 0\n");
	assert_int_equal(end_of(&s, NULL), 0);
}

static void
somebody_else(void **state)
{
	const char *const argv[] = {"sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/$$/status | tr -d '\\t'", NULL};
	struct spawn_spec spec = shell(argv);
	const gid_t mine = 4713;
	struct spawned s;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(setgroups(1, &mine), 0);
	spec.user = &somebody;
	s = started(&spec);
	assert_int_equal(setgroups(0, NULL), 0);
	assert_string_equal(read_end(t.ours[SPAWN_OUT]), "4711\n4712\n4712\nCapEff:0000000000000000\n");
	assert_int_equal(end_of(&s, NULL), 0);
}

/* As the kernel has them, read by the shell alone: it may not be allowed to start another program. */
static void
limits(void **state)
{
	static const struct {
		const char *limit, *want;
		struct spawn_spec spec;
	} cases[] = {
	    {"Max processes ", "1\n", {.alone = true}},
	    {"Max file size ", "0\n", {.no_files = true}},
	    {"Max address space ", "67108864\n", {.memory_max = UINT64_C(64) << 20}},
	    {"Max core file size ", "0\n", {.alone = false}},
	};
	struct rlimit core, raised;

	if (geteuid() != 0) /* root's processes are not counted */
		skip();
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	raised = (struct rlimit){.rlim_cur = core.rlim_max, .rlim_max = core.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_CORE, &raised), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const argv[] = {
		    "sh", "-c",
		    "while read x; do case $x in \"$0\"*) set -- ${x#\"$0\"}; echo $1;; esac; done < /proc/$$/limits",
		    cases[i].limit, NULL};
		struct spawn_spec spec = cases[i].spec;
		struct spawned s;
		const char *said;

		spec.path = "/bin/sh";
		spec.argv = argv;
		memcpy(spec.fd, t.theirs, sizeof(spec.fd));
		s = started(&spec);
		said = read_end(t.ours[SPAWN_OUT]);
		if (strcmp(said, cases[i].want) != 0)
			fail_msg("%s: \"%s\"", cases[i].limit, said);
		assert_int_equal(end_of(&s, NULL), 0);
		assert_int_equal(teardown(state) || setup(state), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_CORE, &core), 0);
}

static void
no_network(void **state)
{
	const char *const argv[] = {"sh", "-c", "readlink /proc/$$/ns/net | tr -d '\\n'", NULL};
	struct spawn_spec spec = shell(argv);
	char own[64] = "";
	struct spawned s;
	const char *said;

	(void)state;
	if (geteuid() != 0)
		skip();
	spec.no_network = true;
	s = started(&spec);
	said = read_end(t.ours[SPAWN_OUT]);
	assert_true(readlink("/proc/self/ns/net", own, sizeof(own) - 1) > 0);
	assert_non_null(strstr(said, "net:["));
	assert_string_not_equal(said, own);
	assert_int_equal(end_of(&s, NULL), 0);
}

/* Descriptors that stand on each other's places. */
static void
crossed_descriptors(void **state)
{
	const char *const argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	struct spawn_spec spec = shell(argv);
	int kept[SPAWN_FDS], rc;
	struct spawned s;

	(void)state;
	for (int i = 0; i < SPAWN_FDS; i++)
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
	dup2(t.theirs[SPAWN_ERR], 0);
	dup2(t.theirs[SPAWN_IN], 1);
	dup2(t.theirs[SPAWN_OUT], 2);
	spec.fd[SPAWN_IN] = 1;
	spec.fd[SPAWN_OUT] = 2;
	spec.fd[SPAWN_ERR] = 0;
	rc = spawn(&spec, &s);
	for (int i = 0; i < SPAWN_FDS; i++) {
		dup2(kept[i], i);
		close(kept[i]);
	}
	close_theirs();
	assert_int_equal(rc, 0);
	assert_string_equal(read_end(t.ours[SPAWN_OUT]), "out\n");
	assert_string_equal(read_end(t.ours[SPAWN_ERR]), "err\n");
	assert_int_equal(end_of(&s, NULL), 0);
}

/* --- how it ends -------------------------------------------------------------------------------------------------- */

static void
ends(void **state)
{
	static const struct {
		const char *what, *command;
		int rc;
		const char *why;
	} cases[] = {
	    {"well", "exit 0", 0, ""},
	    {"with a status", "exit 7", -EIO, "it ended with status 7"},
	    {"by a signal", "kill -KILL $$", -EIO, "it was ended by signal 9"},
	    {"by one that dumps core", "kill -QUIT $$", -EIO, "it was ended by signal 3"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spawned s = running(cases[i].command);
		struct err e = ERR_NONE;
		int rc = end_of(&s, &e);

		if (rc != cases[i].rc || strcmp(e.text, cases[i].why) != 0)
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		assert_int_equal(teardown(state) || setup(state), 0);
	}
}

/* Asking does not reap it: until it is killed nobody else can get its id. */
static void
keeps_its_id(void **state)
{
	struct spawned s = running("read a; exit 3");
	pid_t pid = s.pid;
	siginfo_t how;

	(void)state;
	assert_false(spawn_ended(&s, &how));
	assert_int_equal(write(t.ours[SPAWN_IN], "\n", 1), 1);
	wait_for(s.pidfd);
	for (int i = 0; i < 2; i++) {
		assert_true(spawn_ended(&s, &how));
		assert_int_equal(how.si_status, 3);
	}
	assert_int_equal(kill(pid, 0), 0);
	spawn_kill(&s);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(s.pid, -1);
	assert_int_equal(s.pidfd, -1);
}

/* Also what ignores polite words; the pipe ends when the last one that holds it is gone. */
static void
killed_with_its_children(void **state)
{
	struct spawned s =
	    running("trap '' TERM HUP INT; sleep 600 & sh -c 'sleep 600; true' & echo up; sleep 600; true");
	int pidfd = s.pidfd;
	char up[3];

	(void)state;
	wait_for(t.ours[SPAWN_OUT]);
	assert_int_equal(read(t.ours[SPAWN_OUT], up, sizeof(up)), 3);
	spawn_kill(&s);
	assert_int_equal(fcntl(pidfd, F_GETFD), -1);
	assert_string_equal(read_end(t.ours[SPAWN_OUT]), "");
}

/* The agent's death, which nobody is left to clean up after: its pipe ends. */
static void
dies_with_the_agent(void **state)
{
	char up[3];
	const char *const argv[] = {"sh", "-c", "echo up; exec sleep 600", NULL};
	const struct spawn_spec spec = shell(argv);
	struct spawned s;
	pid_t agent;

	(void)state;
	agent = fork();
	if (!agent) {
		if (!spawn(&spec, &s))
			pause();
		_exit(1);
	}
	close_theirs();
	wait_for(t.ours[SPAWN_OUT]);
	assert_int_equal(read(t.ours[SPAWN_OUT], up, sizeof(up)), 3);
	assert_int_equal(kill(agent, SIGKILL), 0);
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	assert_string_equal(read_end(t.ours[SPAWN_OUT]), "");
}

/* --- its pipes ---------------------------------------------------------------------------------------------------- */

static void
pipes(void **state)
{
	static const struct {
		const char *what;
		bool ours_reads;
	} cases[] = {
	    {"we read", true},
	    {"we write", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd[2] = {-1, -1};

		assert_int_equal(spawn_pipe(&fd[0], &fd[1], cases[i].ours_reads), 0);
		for (int n = 0; n < 2; n++) {
			bool ours = cases[i].ours_reads == (n == 0);

			if (!(fcntl(fd[n], F_GETFL) & O_NONBLOCK) == ours || !(fcntl(fd[n], F_GETFD) & FD_CLOEXEC))
				fail_msg("%s: end %d", cases[i].what, n);
		}
		assert_int_equal(write(fd[1], "x", 1), 1);
		wait_for(fd[0]);
		close(fd[0]);
		close(fd[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(cannot_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(starts_with, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(somebody_else, setup, teardown),
	    cmocka_unit_test_setup_teardown(limits, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_network, setup, teardown),
	    cmocka_unit_test_setup_teardown(crossed_descriptors, setup, teardown),
	    cmocka_unit_test_setup_teardown(ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(keeps_its_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(killed_with_its_children, setup, teardown),
	    cmocka_unit_test_setup_teardown(dies_with_the_agent, setup, teardown),
	    cmocka_unit_test(pipes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
