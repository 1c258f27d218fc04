#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: setns

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"
#include "tun/netns.h"

static int setns_left = -1; /* calls that work before one fails; -1: all do */

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);

int
__wrap_setns(int fd, int type)
{
	if (!setns_left) {
		errno = EPERM;
		return -1;
	}
	if (setns_left > 0)
		setns_left--;
	return __real_setns(fd, type);
}

static ino_t
here(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/thread-self/ns/net", &st), 0);
	return st.st_ino;
}

static ino_t
inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static int
read_rule(void *ctx, struct err *e)
{
	char *line = ctx, command[256];

	(void)e;
	snprintf(command, sizeof(command), "cat %.200s", line);
	fixture_line(line, 200, command);
	return 0;
}

static int
cleanup(void **state)
{
	(void)state;
	setns_left = -1;
	netns_remove("fgfm-t", NULL);
	return 0;
}

static void
bad_names(void **state)
{
	static const struct {
		const char *what, *name;
	} cases[] = {
	    {"empty", ""},
	    {"this folder", "."},
	    {"parent", ".."},
	    {"slash", "a/b"},
	    {"path", "/proc/1/ns/net"},
	    {"leading out", "../../etc/x"},
	    {"257 bytes",
	     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
	};
	int fd = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		print_message("%s\n", cases[i].what);
		assert_int_equal(netns_open(cases[i].name, &fd, NULL, &e), -EINVAL);
		assert_non_null(strstr(e.text, "plain file name"));
		assert_int_equal(netns_remove(cases[i].name, &e), -EINVAL);
		assert_int_equal(fd, 77);
	}
}

/* Fails before anything is there, and afterwards: never half a namespace, never a lost way home. */
static void
failures(void **state)
{
	ino_t home = here();
	struct stat st;
	int fd = 77;

	(void)state;
	/* the third setns() is the way back from netns_run() and may not fail */
	for (int left = 1; left <= 3; left += 2) {
		struct err e = ERR_NONE;

		setns_left = left;
		assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), -EPERM);
		setns_left = -1;
		assert_non_null(strstr(e.text, "entering"));
		assert_non_null(strstr(e.text, "fgfm-t"));
		assert_int_equal(fd, 77);
		assert_int_equal(here(), home);
		assert_int_equal(lstat("/run/netns/fgfm-t", &st), -1);
	}
}

static int
never(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	fail_msg("ran in the wrong namespace");
	return 0;
}

static int
nothing(void *ctx, struct err *e)
{
	(void)e;
	*(ino_t *)ctx = here();
	return -EXDEV;
}

static void
running(void **state)
{
	ino_t home = here(), inside = 0;
	struct err e = ERR_NONE;
	int status, fd;
	pid_t pid;

	(void)state;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(netns_run(fd, never, NULL, &e), -EINVAL);
	close(fd);
	assert_int_equal(netns_run(-1, never, NULL, &e), -EBADF);
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
	assert_int_equal(netns_run(fd, nothing, &inside, &e), -EXDEV);
	assert_int_equal(inside, inode(fd));
	assert_int_equal(here(), home);
	/* no way back: the process ends rather than go on in the tunnel's namespace */
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		setns_left = 1;
		netns_run(fd, nothing, &inside, &e);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	close(fd);
}

static void
created_and_adopted(void **state)
{
	ino_t home = here();
	struct err e = ERR_NONE;
	struct stat st;
	bool created;
	int a, b;

	(void)state;
	assert_int_equal(netns_open("fgfm-t", &a, &created, &e), 0);
	assert_true(created);
	assert_int_equal(here(), home);
	assert_int_not_equal(inode(a), home);
	assert_int_equal(fcntl(a, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(stat("/run/netns", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fixture_sh("ip netns exec fgfm-t true"), 0);
	assert_int_equal(netns_open("fgfm-t", &b, &created, &e), 0);
	assert_false(created);
	assert_int_equal(inode(a), inode(b));
	close(a);
	close(b);
	/* one that "ip netns" made is as good */
	assert_int_equal(netns_remove("fgfm-t", &e), 0);
	assert_int_equal(netns_remove("fgfm-t", &e), 0);
	assert_int_equal(fixture_sh("ip netns add fgfm-t"), 0);
	assert_int_equal(netns_open("fgfm-t", &a, &created, &e), 0);
	assert_false(created);
	close(a);
}

/* Mounted where other mount namespaces see it, as those of "ip netns" are. */
static void
propagates(void **state)
{
	static const char *const count = "grep -c ' /run/netns' /proc/self/mountinfo";
	struct err e = ERR_NONE;
	char first[512], second[512];
	int fd;

	(void)state;
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
	close(fd);
	fixture_line(first, sizeof(first), "grep ' /run/netns/fgfm-t ' /proc/self/mountinfo | grep -c shared:");
	assert_string_equal(first, "1");
	fixture_line(first, sizeof(first), count);
	/* once more does not pile mounts up */
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
	close(fd);
	assert_string_equal(fixture_line(second, sizeof(second), count), first);
}

static void
stale_files(void **state)
{
	static const struct {
		const char *what, *make;
		int want;
	} cases[] = {
	    {"left by a reboot", "touch /run/netns/fgfm-t", 0},
	    {"a text", "echo hello > /run/netns/fgfm-t", 0},
	    {"a symbolic link to our own", "ln -s /proc/self/ns/net /run/netns/fgfm-t", 0},
	    {"a link into nothing", "ln -s /nowhere /run/netns/fgfm-t", 0},
	    {"a FIFO", "mkfifo /run/netns/fgfm-t", 0},
	    {"another kind of namespace", "touch /run/netns/fgfm-t && mount --bind /proc/self/ns/uts /run/netns/fgfm-t",
	     0},
	    {"mounted twice",
	     "touch /run/netns/fgfm-t && mount --bind /proc/self/ns/uts /run/netns/fgfm-t && "
	     "mount --bind /proc/self/ns/ipc /run/netns/fgfm-t",
	     0},
	    {"a folder", "mkdir /run/netns/fgfm-t", -EISDIR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		bool created = false;
		int fd = -1, rc;

		print_message("%s\n", cases[i].what);
		assert_int_equal(fixture_sh("mkdir -p /run/netns && %s", cases[i].make), 0);
		rc = netns_open("fgfm-t", &fd, &created, &e);
		if (rc != cases[i].want)
			fail_msg("%s: %d %s", cases[i].what, rc, e.text);
		if (rc) {
			assert_non_null(strstr(e.text, "/run/netns/fgfm-t"));
			assert_int_equal(fixture_sh("rmdir /run/netns/fgfm-t"), 0);
			continue;
		}
		assert_true(created);
		assert_int_not_equal(inode(fd), here());
		close(fd);
		assert_int_equal(netns_remove("fgfm-t", &e), 0);
	}
}

static void
own_namespace_refused(void **state)
{
	struct err e = ERR_NONE;
	char line[64];
	int fd = 77;

	(void)state;
	assert_int_equal(
	    fixture_sh("sysctl -qw net.ipv4.ip_forward=1; mkdir -p /run/netns && touch /run/netns/fgfm-t && "
		       "mount --bind /proc/self/ns/net /run/netns/fgfm-t"),
	    0);
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.text, "host's own"));
	assert_int_equal(fd, 77);
	assert_string_equal(fixture_line(line, sizeof(line), "sysctl -n net.ipv4.ip_forward"), "1");
}

static void
rules(void **state)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
	    {"/proc/sys/net/ipv4/ip_forward", "0"},
	    {"/proc/sys/net/ipv4/conf/all/forwarding", "0"},
	    {"/proc/sys/net/ipv4/conf/default/forwarding", "0"},
	    {"/proc/sys/net/ipv4/conf/all/accept_redirects", "0"},
	    {"/proc/sys/net/ipv4/conf/default/accept_redirects", "0"},
	    {"/proc/sys/net/ipv4/conf/default/accept_source_route", "0"},
	    {"/proc/sys/net/ipv4/conf/all/send_redirects", "0"},
	    {"/proc/sys/net/ipv4/conf/default/send_redirects", "0"},
	    {"/proc/sys/net/ipv4/conf/all/rp_filter", "1"},
	    {"/proc/sys/net/ipv6/conf/all/forwarding", "0"},
	    {"/proc/sys/net/ipv6/conf/default/forwarding", "0"},
	    {"/proc/sys/net/ipv6/conf/all/accept_ra", "0"},
	    {"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
	    {"/proc/sys/net/ipv6/conf/default/router_solicitations", "0"},
	    {"/proc/sys/net/ipv6/conf/default/accept_redirects", "0"},
	    {"/proc/sys/net/ipv6/conf/default/accept_source_route", "0"},
	};
	struct err e = ERR_NONE;
	char line[200];
	int fd;

	(void)state;
	/* the host forwards, and somebody opened up the namespace before it was adopted */
	assert_int_equal(
	    fixture_sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip netns add fgfm-t; "
		       "ip netns exec fgfm-t sysctl -qw net.ipv4.ip_forward=1 "
		       "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_ra=2 "
		       "net.ipv4.conf.all.accept_redirects=1 net.ipv4.conf.lo.forwarding=1"),
	    0);
	for (int adopted = 1; adopted >= 0; adopted--) {
		assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			strcpy(line, cases[i].path);
			assert_int_equal(netns_run(fd, read_rule, line, &e), 0);
			if (strcmp(line, cases[i].want))
				fail_msg("%s: %s, expected %s", cases[i].path, line, cases[i].want);
		}
		close(fd);
		fixture_line(line, sizeof(line), "ip -n fgfm-t -br link show up | cut -d' ' -f1");
		assert_string_equal(line, "lo");
		assert_int_equal(netns_remove("fgfm-t", &e), 0);
	}
	/* and nothing of that reached the host */
	assert_string_equal(fixture_line(line, sizeof(line), "sysctl -n net.ipv4.ip_forward"), "1");
	assert_string_equal(fixture_line(line, sizeof(line), "sysctl -n net.ipv6.conf.all.forwarding"), "1");
}

/* A container may have the right values already, and no right to write them. */
static void
rules_read_only(void **state)
{
	struct err e = ERR_NONE;
	int fd = 77;

	(void)state;
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
	close(fd);
	assert_int_equal(fixture_sh("mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys"), 0);
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), 0);
	close(fd);
	assert_int_equal(netns_remove("fgfm-t", &e), 0);
	fd = 77;
	assert_int_equal(netns_open("fgfm-t", &fd, NULL, &e), -EROFS);
	assert_non_null(strstr(e.text, "/proc/sys/net/"));
	assert_int_equal(fd, 77);
	assert_int_equal(access("/run/netns/fgfm-t", F_OK), -1);
	assert_int_equal(fixture_sh("umount /proc/sys"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(bad_names, cleanup),
	    cmocka_unit_test_teardown(failures, cleanup),
	    cmocka_unit_test_teardown(running, cleanup),
	    cmocka_unit_test_teardown(created_and_adopted, cleanup),
	    cmocka_unit_test_teardown(propagates, cleanup),
	    cmocka_unit_test_teardown(stale_files, cleanup),
	    cmocka_unit_test_teardown(own_namespace_refused, cleanup),
	    cmocka_unit_test_teardown(rules, cleanup),
	    cmocka_unit_test_teardown(rules_read_only, cleanup),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
