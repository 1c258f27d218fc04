/* netns_fixture: namespaces of its own for a test program, and devices in them.
 *
 * The program loses nothing of the host's and leaves nothing behind: network, host name and mounts are private.
 */
#ifndef TEST_UNIT_NETNS_FIXTURE_H
#define TEST_UNIT_NETNS_FIXTURE_H

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* Enters fresh namespaces with an empty /run, lo up. New devices get no IPv6 link-local addresses: those come and go in
 * the kernel's own time, seconds after a device has come up. Anything missing is a failure of the program: a test that
 * cannot run must not look as if it had. */
static inline void
fixture_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS) || mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) ||
	    mount("none", "/run", "tmpfs", 0, "mode=0755") || system("ip link set lo up") ||
	    system("echo 1 > /proc/sys/net/ipv6/conf/default/addr_gen_mode")) {
		fprintf(stderr, "these tests need root, private namespaces and iproute2: %s\n", strerror(errno));
		exit(1);
	}
}

/* Runs a command line of the test's own making; its exit status. */
static inline int __attribute__((format(printf, 1, 2))) fixture_sh(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return system(line);
}

/* One line of a file of /proc or of a command's output into `dst`. */
static inline const char *
fixture_line(char *dst, size_t size, const char *command)
{
	FILE *f = popen(command, "r");

	dst[0] = '\0';
	if (f) {
		if (fgets(dst, (int)size, f))
			dst[strcspn(dst, "\n")] = '\0';
		pclose(f);
	}
	return dst;
}

/* Waits until a device that has come up has its IPv6 multicast route: the kernel adds it from a work queue, and it must
 * not come between what a test counts. */
static inline int
fixture_device_rests(const char *dev)
{
	char command[256], line[64];

	snprintf(command, sizeof(command),
		 "ip -6 route show table local type multicast dev %s | grep -q ff00 && echo rests", dev);
	for (int i = 0; i < 6000; i++) {
		fixture_line(line, sizeof(line), command);
		if (*line)
			return 0;
		usleep(10 * 1000);
	}
	return -1;
}

/* A pair of connected devices, both up. Removing one removes both. */
static inline int
fixture_veth(const char *a, const char *b)
{
	return fixture_sh("ip link add %s type veth peer name %s && ip link set %s up && ip link set %s up", a, b, a,
			  b) ||
	       fixture_device_rests(a) || fixture_device_rests(b);
}

#endif
