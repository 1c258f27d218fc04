#include "tun/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "tun/netlink.h"

#define NETNS_DIR "/run/netns"
#define NETNS_SELF "/proc/thread-self/ns/net" /* the thread's, where /proc/self would be the first thread's */

static int
own_namespace(struct err *e)
{
	int fd = open(NETNS_SELF, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, -errno, "opening %s", NETNS_SELF) : fd;
}

/* Leaving the wrong namespace entered would send the manager's connection, and every address the configuration sets,
 * into the tunnel's: there is no way on. */
static void
come_back(int home)
{
	if (!setns(home, CLONE_NEWNET))
		return;
	log_say(LOG_LEVEL_CRITICAL, "returning to the host's network namespace: %s", strerror(errno));
	abort();
}

int
netns_run(int fd, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e)
{
	int home = own_namespace(e);
	int rc;

	if (home < 0)
		return home;
	if (setns(fd, CLONE_NEWNET)) {
		rc = err_sys(e, -errno, "entering the network namespace");
	} else {
		rc = fn(ctx, e);
		come_back(home);
	}
	close(home);
	return rc;
}

/* The name becomes one component of a path. */
static int
path_of(const char *name, char path[PATH_MAX], struct err *e)
{
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") || strlen(name) > NAME_MAX)
		return err_set(e, -EINVAL, "namespace name \"%.64s\": a plain file name was expected", name);
	snprintf(path, PATH_MAX, "%s/%s", NETNS_DIR, name);
	return 0;
}

/* A shared mount point, as iproute2 makes it: a namespace mounted here then appears in every mount namespace of the
 * host, and its removal there as well. */
static int
prepare_dir(struct err *e)
{
	if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
		return err_sys(e, -errno, "creating %s", NETNS_DIR);
	if (!mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return 0;
	if (errno != EINVAL) /* EINVAL: not a mount point yet */
		return err_sys(e, -errno, "making %s shared", NETNS_DIR);
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL))
		return err_sys(e, -errno, "mounting %s on itself", NETNS_DIR);
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return err_sys(e, -errno, "making %s shared", NETNS_DIR);
	return 0;
}

/* 0 and *out, or -ENOENT for nothing there, -ESTALE for something that is no network namespace. */
static int
open_existing(const char *path, int *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);

	if (fd < 0 && (errno == ELOOP || errno == ENXIO))
		return -ESTALE;
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_sys(e, -errno, "%s", path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return -ESTALE;
	}
	*out = fd;
	return 0;
}

/* The host's own namespace under the tunnel's name would lose its forwarding to our rules, and the tunnel its
 * isolation. */
static int
refuse_own(int fd, const char *path, struct err *e)
{
	struct stat theirs, ours;

	if (fstat(fd, &theirs) || stat(NETNS_SELF, &ours))
		return err_sys(e, -errno, "%s", path);
	if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
		return err_set(e, -EINVAL, "%s: the host's own network namespace, a separate one was expected", path);
	return 0;
}

static int
remove_path(const char *path, struct err *e)
{
	/* mounts may lie one on another */
	while (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
		continue;
	if (errno != EINVAL && errno != ENOENT)
		return err_sys(e, -errno, "unmounting %s", path);
	if (unlink(path) && errno != ENOENT)
		return err_sys(e, -errno, "removing %s", path);
	return 0;
}

/* The thread is inside the new namespace only between unshare() and the setns() back; the bind mount keeps it alive. */
static int
mount_new(const char *path, struct err *e)
{
	int home = own_namespace(e);
	int rc = 0;

	if (home < 0)
		return home;
	if (unshare(CLONE_NEWNET)) {
		rc = err_sys(e, -errno, "creating a network namespace");
	} else {
		if (mount(NETNS_SELF, path, "none", MS_BIND, NULL))
			rc = err_sys(e, -errno, "mounting the network namespace on %s", path);
		come_back(home);
	}
	close(home);
	return rc;
}

static int
create(const char *path, int *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return err_sys(e, -errno, "creating %s", path);
	close(fd);
	rc = mount_new(path, e);
	if (!rc) {
		rc = open_existing(path, out, e);
		if (rc == -ESTALE || rc == -ENOENT)
			err_set(e, rc, "%s: no network namespace although one was just mounted there", path);
	}
	if (rc)
		remove_path(path, NULL);
	return rc;
}

/* Writes only what differs: a container may show /proc/sys read-only with the right values in it. Without IPv6 in the
 * kernel its files are missing, and there is nothing to forbid. */
static int
set_rule(const char *path, const char *value, struct err *e)
{
	char old[16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", path);
	n = read(fd, old, sizeof(old) - 1);
	close(fd);
	if (n > 0 && (size_t)n == strlen(value) + 1 && !memcmp(old, value, (size_t)n - 1) && old[n - 1] == '\n')
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	rc = file_write_all(fd, value, strlen(value));
	if (rc)
		err_sys(e, rc, "writing %s to %s", value, path);
	close(fd);
	return rc;
}

/* Guide, "Security concerns": decrypted packets are for the local stack alone. A fresh namespace can inherit
 * forwarding from the host. Both "all" and "default", for some switches are the OR of two levels; "lo" has its copies
 * from before; a tunnel device takes the defaults. */
static int
write_rules(void *ctx, struct err *e)
{
	static const struct {
		const char *family, *key, *value;
	} rules[] = {
	    {"ipv4", "forwarding", "0"},       {"ipv4", "accept_redirects", "0"},
	    {"ipv4", "secure_redirects", "0"}, {"ipv4", "accept_source_route", "0"},
	    {"ipv4", "send_redirects", "0"},   {"ipv4", "rp_filter", "1"},
	    {"ipv6", "forwarding", "0"},       {"ipv6", "accept_ra", "0"},
	    {"ipv6", "autoconf", "0"},         {"ipv6", "router_solicitations", "0"},
	    {"ipv6", "accept_redirects", "0"}, {"ipv6", "accept_source_route", "0"},
	};
	static const char *const devices[] = {"all", "default", "lo"};
	char path[128];
	int rc;

	(void)ctx;
	rc = set_rule("/proc/sys/net/ipv4/ip_forward", "0", e);
	for (size_t r = 0; !rc && r < sizeof(rules) / sizeof(*rules); r++) {
		for (size_t d = 0; !rc && d < sizeof(devices) / sizeof(*devices); d++) {
			snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", rules[r].family, devices[d],
				 rules[r].key);
			rc = set_rule(path, rules[r].value, e);
		}
	}
	return rc;
}

static int
apply_rules(int fd, const char *name, struct err *e)
{
	struct netlink *n = NULL;
	int rc;

	rc = netns_run(fd, write_rules, NULL, e);
	if (!rc)
		rc = netlink_open(fd, &n, e);
	if (!rc)
		rc = netlink_link_set_up(n, "lo", true, e);
	if (rc)
		err_in(e, "namespace %s", name);
	netlink_free(n);
	return rc;
}

int
netns_open(const char *name, int *fd, bool *created, struct err *e)
{
	char path[PATH_MAX];
	bool fresh = false;
	int ns = -1;
	int rc;

	rc = path_of(name, path, e);
	if (!rc)
		rc = prepare_dir(e);
	if (rc)
		return rc;
	rc = open_existing(path, &ns, e);
	if (rc == -ESTALE) {
		rc = remove_path(path, e);
		if (!rc) {
			log_say(LOG_LEVEL_WARNING, "%s was no network namespace and is replaced", path);
			rc = -ENOENT;
		}
	}
	if (rc == -ENOENT) {
		fresh = true;
		rc = create(path, &ns, e);
	}
	if (!rc)
		rc = refuse_own(ns, path, e);
	if (!rc)
		rc = apply_rules(ns, name, e);
	if (rc) {
		if (ns >= 0)
			close(ns);
		if (fresh && ns >= 0)
			remove_path(path, NULL);
		return rc;
	}
	*fd = ns;
	if (created)
		*created = fresh;
	return 0;
}

int
netns_remove(const char *name, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(name, path, e);

	return rc ? rc : remove_path(path, e);
}
