/* agent/privileges: what is left of root's power, seen from a child that gave the rest away. */
// wrap: prctl syscall
#include "agent/privileges.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

enum { NOBODY = 65534, NONE = -1 };

/* The call that fails, by its first argument. */
static struct {
	long prctl, syscall;
	int error;
} broken = {NONE, NONE, 0};

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

int
__wrap_prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < 4; i++)
		a[i] = (unsigned long)va_arg(ap, int); /* the program passes small numbers as int */
	va_end(ap);
	if (option == broken.prctl) {
		errno = broken.error;
		return -1;
	}
	return __real_prctl(option, a[0], a[1], a[2], a[3]);
}

long
__wrap_syscall(long number, ...)
{
	va_list ap;
	void *head, *data;

	va_start(ap, number);
	head = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	if (number == broken.syscall) {
		errno = broken.error;
		return -1;
	}
	return __real_syscall(number, head, data);
}

/* A line's hexadecimal or decimal number in /proc/self/status; all ones when it is missing. */
static uint64_t
status_of(const char *key, int base)
{
	FILE *f = fopen("/proc/self/status", "r");
	uint64_t value = UINT64_MAX;
	char line[200];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			sscanf(line + strlen(key) + 1, base == 16 ? "%" SCNx64 : "%" SCNo64, &value);
	}
	if (f)
		fclose(f);
	return value;
}

/* Runs `fn` in a child, because what it gives away does not come back. Its result is the child's exit code. */
static int
in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static uint64_t
bit(int cap)
{
	return UINT64_C(1) << cap;
}

static uint64_t
kept(void)
{
	return bit(CAP_NET_ADMIN) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_NET_RAW) | bit(CAP_SYS_ADMIN) |
	       bit(CAP_SYS_BOOT) | bit(CAP_DAC_OVERRIDE) | bit(CAP_CHOWN) | bit(CAP_FOWNER) | bit(CAP_SETUID) |
	       bit(CAP_SETGID) | bit(CAP_KILL);
}

/* The checks below answer 0, or the number of the first one that failed. */
static int
root_is_limited(void)
{
	uint64_t had = status_of("CapEff", 16), could = status_of("CapBnd", 16);
	struct err e = ERR_NONE;

	if (privileges_limit(&e))
		return 1;
	if (status_of("CapEff", 16) != (had & kept()) || status_of("CapPrm", 16) != (had & kept()))
		return 2;
	if (status_of("CapInh", 16))
		return 3;
	/* without CAP_SETPCAP the bounding set is somebody else's */
	if (status_of("CapBnd", 16) != (had & bit(CAP_SETPCAP) ? could & kept() : could))
		return 4;
	if (status_of("NoNewPrivs", 8) != 1)
		return 5;
	if (__real_prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
		return 6;
	if (umask(0) != 0022)
		return 7;
	/* and again: a second start of the same process image finds nothing to do */
	return privileges_limit(&e) ? 8 : 0;
}

static int
no_setpcap_is_no_error(void)
{
	struct err e = ERR_NONE;

	broken.prctl = PR_CAPBSET_DROP;
	broken.error = EPERM;
	if (privileges_limit(&e))
		return 1;
	return status_of("CapEff", 16) & ~kept() ? 2 : 0;
}

static int
nobody_is_no_error(void)
{
	struct err e = ERR_NONE;

	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	if (privileges_limit(&e))
		return 2;
	return status_of("NoNewPrivs", 8) == 1 && umask(0) == 0022 ? 0 : 3;
}

static const struct failure {
	const char *what;
	long prctl, syscall;
	int error;
	const char *reason;
} failures[] = {
    {"core files", PR_SET_DUMPABLE, NONE, EINVAL, "PR_SET_DUMPABLE"},
    {"new privileges", PR_SET_NO_NEW_PRIVS, NONE, EINVAL, "PR_SET_NO_NEW_PRIVS"},
    {"the bounding set", PR_CAPBSET_DROP, NONE, EINVAL, "dropping capability 2"},
    {"reading its own", NONE, SYS_capget, EFAULT, "capget"},
    {"setting its own", NONE, SYS_capset, EPERM, "capset"},
};

static const struct failure *failing;

static int
fails_with_a_reason(void)
{
	struct err e = ERR_NONE;

	broken.prctl = failing->prctl;
	broken.syscall = failing->syscall;
	broken.error = failing->error;
	if (privileges_limit(&e) != -failing->error)
		return 1;
	return e.code == -failing->error && strstr(e.text, failing->reason) ? 0 : 2;
}

static void
each_failure_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		print_message("  %s\n", failures[i].what);
		failing = &failures[i];
		if (geteuid() != 0 && (failing->syscall != NONE || failing->prctl == PR_CAPBSET_DROP))
			continue;
		assert_int_equal(in_child(fails_with_a_reason), 0);
	}
}

static void
root_keeps_what_it_needs(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(root_is_limited), 0);
}

static void
container_took_setpcap(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(no_setpcap_is_no_error), 0);
}

static void
not_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(nobody_is_no_error), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_failure_is_told),
	    cmocka_unit_test(root_keeps_what_it_needs),
	    cmocka_unit_test(container_took_setpcap),
	    cmocka_unit_test(not_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
