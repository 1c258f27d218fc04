/* agent/landlock: what is asked of each version of the kernel, and what the one at hand then keeps a process from. */
// wrap: syscall
#include "agent/landlock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "test/unit/open_files.h"

enum { NONE = -1, NOT_ENTERED = 255, PATH = 128 };

/* The attributes as the newest headers have them. */
struct attributes {
	uint64_t fs, net, scoped;
};

/* A kernel of this version, which makes no rules; 0: the real one. */
static struct {
	long version, broken; /* the call that fails; NONE */
	int error;
	struct attributes asked;
} kernel = {.broken = NONE};

static char folder[64];
static struct sockaddr_in server;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static long
pretend(long number, const struct attributes *attributes)
{
	if (number != SYS_landlock_create_ruleset)
		return 0;
	if (!attributes)
		return kernel.version;
	kernel.asked = *attributes;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

long
__wrap_syscall(long number, ...)
{
	long a[4];
	va_list ap;

	va_start(ap, number);
	for (size_t i = 0; i < 4; i++)
		a[i] = va_arg(ap, long); /* as the C library reads them, whatever was passed */
	va_end(ap);
	if (number == kernel.broken) {
		errno = kernel.error;
		return -1;
	}
	if (kernel.version)
		return pretend(number, (const struct attributes *)a[0]);
	return __real_syscall(number, a[0], a[1], a[2], a[3]);
}

static const char *
path_to(const char *name)
{
	static char path[PATH];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int
run(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd '%s' && %s", folder, command);
	return system(line);
}

static int
setup(void **state)
{
	(void)state;
	kernel.version = 0;
	kernel.broken = NONE;
	snprintf(folder, sizeof(folder), "/tmp/test-landlock-XXXXXX");
	return mkdtemp(folder)
		   ? run("mkdir open shut && echo a > open/a && echo b > shut/b && ln -s ../shut/b open/link && "
			 "echo n > named && ln -s loop loop && chmod 755 open/a named shut/b")
		   : -1;
}

static int
teardown(void **state)
{
	char line[128];

	(void)state;
	kernel.version = 0;
	kernel.broken = NONE;
	snprintf(line, sizeof(line), "rm -rf '%s'", folder);
	return system(line);
}

/* --- what is asked of the kernel ---------------------------------------------------------------------------------- */

static void
no_rules(void **state)
{
	static const struct {
		const char *what;
		long broken;
		int error;
		const char *path;
		int rc;
		const char *why;
	} cases[] = {
	    {"no Landlock", SYS_landlock_create_ruleset, ENOSYS, "named", -EOPNOTSUPP, "no Landlock"},
	    {"Landlock that is off", SYS_landlock_create_ruleset, EOPNOTSUPP, "named", -EOPNOTSUPP, "no Landlock"},
	    {"a rule that is refused", SYS_landlock_add_rule, EINVAL, "named", -EINVAL, "Landlock: /dev/null: "},
	    {"a path without end", NONE, 0, "loop", -ELOOP, "/loop: "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const readable[] = {path_to(cases[i].path), NULL};
		int files = open_files(), ruleset = 77, rc;
		struct err e = ERR_NONE;

		kernel.version = 1;
		kernel.broken = cases[i].broken;
		kernel.error = cases[i].error;
		rc = landlock_rules(readable, true, &ruleset, &e);
		if (rc != cases[i].rc || ruleset != 77 || !strstr(e.text, cases[i].why))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		assert_int_equal(open_files(), files);
	}
}

/* Everything it knows, and nothing it does not: it would refuse that. */
static void
versions(void **state)
{
	static const struct {
		const char *what;
		long version;
		bool connect;
		struct attributes want;
	} cases[] = {
	    {"the first", 1, false, {0x1fff, 0, 0}},
	    {"other folders", 2, false, {0x3fff, 0, 0}},
	    {"truncating", 3, false, {0x7fff, 0, 0}},
	    {"TCP", 4, false, {0x7fff, 3, 0}},
	    {"TCP, and it may connect", 4, true, {0x7fff, 1, 0}},
	    {"devices", 5, false, {0xffff, 3, 0}},
	    {"signals and sockets", 6, false, {0xffff, 3, 3}},
	    {"the same, and it may connect", 6, true, {0xffff, 1, 3}},
	    {"one to come", 99, false, {0xffff, 3, 3}},
	};
	const char *const readable[] = {NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		int ruleset = -1;

		kernel.version = cases[i].version;
		assert_int_equal(landlock_rules(readable, cases[i].connect, &ruleset, &e), 0);
		if (memcmp(&kernel.asked, &cases[i].want, sizeof(kernel.asked)) != 0)
			fail_msg("%s: files %llx, net %llx, scopes %llx", cases[i].what,
				 (unsigned long long)kernel.asked.fs, (unsigned long long)kernel.asked.net,
				 (unsigned long long)kernel.asked.scoped);
		close(ruleset);
	}
}

/* --- what it keeps a process from --------------------------------------------------------------------------------- */

static int
done(int fd)
{
	return fd < 0 ? errno : 0;
}

static int
reads(const char *path)
{
	return done(open(path, O_RDONLY | O_CLOEXEC));
}

static int
writes(const char *path)
{
	return done(open(path, O_WRONLY | O_CLOEXEC));
}

static int
makes(const char *path)
{
	return done(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
truncates(const char *path)
{
	return done(truncate(path, 0));
}

static int
removes(const char *path)
{
	return done(unlink(path));
}

/* What it finds is no program, if it may look. */
static int
executes(const char *path)
{
	char *const argv[] = {NULL}, *const env[] = {NULL};

	execve(path, argv, env);
	return errno == ENOEXEC ? 0 : errno;
}

static int
connects(const char *path)
{
	(void)path;
	return done(connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&server, sizeof(server)));
}

static int
listens(const char *path)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)path;
	return done(bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&any, sizeof(any)));
}

static int
signals(const char *path)
{
	(void)path;
	return done(kill(getppid(), 0));
}

static int
enters_nothing(const char *path)
{
	(void)path;
	return -landlock_enter(-1);
}

/* In a process of its own: 0 or the errno. */
static int
attempt(int ruleset, int (*act)(const char *path), const char *path)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || landlock_enter(ruleset))
			_exit(NOT_ENTERED);
		_exit(act(path));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), NOT_ENTERED);
	return WEXITSTATUS(status);
}

/* Of this kernel: 0 and less is none. */
static long
version_here(void)
{
	return __real_syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static int
start_server(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(server);

	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)&server, sizeof(server)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&server, &size), 0);
	return fd;
}

/* Root, too. */
static void
keeps_from(void **state)
{
	static const struct {
		const char *what;
		int (*act)(const char *path);
		const char *name; /* in the folder, or absolute */
		bool connect;
		long version; /* that knows of it */
		int want;
	} cases[] = {
	    {"reading what is beside", reads, "shut/b", true, 1, EACCES},
	    {"by a way round", reads, "open/../shut/b", true, 1, EACCES},
	    {"by a link", reads, "open/link", true, 1, EACCES},
	    {"reading the system's", reads, "/etc/passwd", true, 1, EACCES},
	    {"reading a device", reads, "/dev/zero", true, 1, EACCES},
	    {"listing what is beside", reads, ".", true, 1, EACCES},
	    {"executing what is beside", executes, "shut/b", true, 1, EACCES},
	    {"writing what it reads", writes, "open/a", true, 1, EACCES},
	    {"writing the file it reads", writes, "named", true, 1, EACCES},
	    {"making one", makes, "open/new", true, 1, EACCES},
	    {"removing one", removes, "open/a", true, 1, EACCES},
	    {"truncating one", truncates, "open/a", true, 3, EACCES},
	    {"connecting", connects, "", false, 4, EACCES},
	    {"listening", listens, "", false, 4, EACCES},
	    {"listening, where it may connect", listens, "", true, 4, EACCES},
	    {"signals to others", signals, "", true, 6, EPERM},
	    {"reading nothing", reads, "open/none", true, 1, ENOENT},
	    {"no rules after these", enters_nothing, "", true, 1, EBADF},
	    {"not from reading", reads, "open/a", true, 1, 0},
	    {"not from listing", reads, "open", true, 1, 0},
	    {"not from executing", executes, "open/a", true, 1, 0},
	    {"not from the file that is named", reads, "named", true, 1, 0},
	    {"not from executing that", executes, "named", true, 1, 0},
	    {"not from writing nowhere", writes, "/dev/null", true, 1, 0},
	    {"not from reading nothing", reads, "/dev/null", true, 1, 0},
	    {"not from connecting", connects, "", true, 1, 0},
	};
	char open_folder[PATH], named[PATH], below_a_file[2 * PATH];
	const char *const readable[] = {"/nowhere", below_a_file, open_folder, named, NULL};
	int listening;

	(void)state;
	if (version_here() < 1)
		skip();
	listening = start_server();
	snprintf(open_folder, sizeof(open_folder), "%s", path_to("open"));
	snprintf(named, sizeof(named), "%s", path_to("named"));
	snprintf(below_a_file, sizeof(below_a_file), "%s/x", named);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *name = cases[i].name;
		struct err e = ERR_NONE;
		int ruleset = -1, got;

		if (version_here() < cases[i].version)
			continue;
		assert_int_equal(landlock_rules(readable, cases[i].connect, &ruleset, &e), 0);
		got = attempt(ruleset, cases[i].act, *name == '/' ? name : path_to(name));
		if (got != cases[i].want)
			fail_msg("%s: %s", cases[i].what, strerror(got));
		close(ruleset);
	}
	close(listening);
}

/* The next program does not get them. */
static void
closes_at_exec(void **state)
{
	const char *const readable[] = {NULL};
	int ruleset = -1;

	(void)state;
	if (version_here() < 1)
		skip();
	assert_int_equal(landlock_rules(readable, false, &ruleset, NULL), 0);
	assert_true(fcntl(ruleset, F_GETFD) & FD_CLOEXEC);
	close(ruleset);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(no_rules, setup, teardown),
	    cmocka_unit_test_setup_teardown(versions, setup, teardown),
	    cmocka_unit_test_setup_teardown(keeps_from, setup, teardown),
	    cmocka_unit_test_setup_teardown(closes_at_exec, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
