#include "package/pkg_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

enum { DEPTH = 4, OPEN_DIR = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

int
pkg_dir_sync(int fd, const char *name, struct err *e)
{
	return fsync(fd) ? err_sys(e, -errno, "fsync of %s", name) : 0;
}

int
pkg_dir_open(int at, const char *name, bool make, struct err *e)
{
	int fd = openat(at, name, OPEN_DIR), rc;

	if (fd >= 0)
		return fd;
	if (!make || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP))
		return err_sys(e, -errno, "folder %s", name);
	if (errno != ENOENT && unlinkat(at, name, 0))
		return err_sys(e, -errno, "folder %s", name);
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return err_sys(e, -errno, "creating folder %s", name);
	rc = pkg_dir_sync(at, name, e);
	if (rc)
		return rc;
	fd = openat(at, name, OPEN_DIR);
	return fd < 0 ? err_sys(e, -errno, "folder %s", name) : fd;
}

int
pkg_dir_walk(int fd, pkg_dir_each_fn *each, void *ctx, struct err *e)
{
	int again = openat(fd, ".", OPEN_DIR), rc = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!d) {
		rc = err_sys(e, -errno, "folder");
		if (again >= 0)
			close(again);
		return rc;
	}
	while (!rc && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = each(ctx, fd, entry->d_name);
	}
	closedir(d);
	return rc;
}

struct removal {
	unsigned depth;
	struct err *e;
};

static int
remove_one(void *ctx, int at, const char *name)
{
	struct removal *up = ctx, in = {up->depth + 1, up->e};
	int fd, rc;

	if (!unlinkat(at, name, 0) || errno == ENOENT)
		return 0;
	if ((errno != EISDIR && errno != EPERM) || up->depth >= DEPTH)
		return err_sys(up->e, -errno, "removing %s", name);
	fd = pkg_dir_open(at, name, false, up->e);
	if (fd < 0)
		return fd;
	rc = pkg_dir_walk(fd, remove_one, &in, up->e);
	close(fd);
	if (!rc && unlinkat(at, name, AT_REMOVEDIR))
		rc = err_sys(up->e, -errno, "removing %s", name);
	return rc;
}

int
pkg_dir_remove(int at, const char *name, struct err *e)
{
	struct removal r = {.e = e};

	return remove_one(&r, at, name);
}

int
pkg_dir_empty(int fd, struct err *e)
{
	struct removal r = {.e = e};

	return pkg_dir_walk(fd, remove_one, &r, e);
}

int
pkg_dir_link(int fd, const char *name, const char *target, struct err *e)
{
	char next[64];
	int rc;

	snprintf(next, sizeof(next), ".%s.next", name);
	rc = pkg_dir_remove(fd, next, e);
	if (rc)
		return rc;
	if (symlinkat(target, fd, next))
		return err_sys(e, -errno, "linking %s to %s", name, target);
	if (!renameat(fd, next, fd, name))
		return 0;
	rc = err_sys(e, -errno, "linking %s to %s", name, target);
	unlinkat(fd, next, 0);
	return rc;
}
