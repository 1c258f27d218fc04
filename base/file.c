#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

int
file_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct err *e)
{
	struct stat st;
	size_t used = 0;
	char *p;

	if (fstat(fd, &st))
		return err_sys(e, -errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EISDIR, "%s: not a regular file", name);
	if ((uintmax_t)st.st_size > max)
		return err_set(e, -EFBIG, "%s: %jd bytes, at most %zu expected", name, (intmax_t)st.st_size, max);
	p = malloc((size_t)st.st_size + 1);
	if (!p)
		return err_sys(e, -ENOMEM, "%s", name);
	while (used < (size_t)st.st_size) {
		ssize_t n = pread(fd, p + used, (size_t)st.st_size - used, (off_t)used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int rc = err_sys(e, -errno, "%s", name);
			free(p);
			return rc;
		}
		if (!n)
			break;
		used += (size_t)n;
	}
	p[used] = '\0';
	*out = p;
	*len = used;
	return 0;
}

int
file_read(const char *path, size_t max, char **out, size_t *len, struct err *e)
{
	/* O_NONBLOCK: a FIFO in the way must not stall the daemon; it is refused as not regular */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	rc = file_read_fd(fd, path, max, out, len, e);
	close(fd);
	return rc;
}

int
file_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
parent_of(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');
	int n;

	if (!slash)
		n = snprintf(dir, size, ".");
	else if (slash == path)
		n = snprintf(dir, size, "/");
	else
		n = snprintf(dir, size, "%.*s", (int)(slash - path), path);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int
file_sync_parent(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	int fd, rc;

	rc = parent_of(path, dir, sizeof(dir));
	if (rc)
		return err_sys(e, rc, "%s", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "%s", dir);
	rc = fsync(fd) ? err_sys(e, -errno, "fsync of %s", dir) : 0;
	close(fd);
	return rc;
}

/* A new file beside the target, on disk with its content. Removes what it made when it fails. */
static int
write_temporary(const char *tmp, const void *data, size_t len, mode_t mode, struct err *e)
{
	int fd, rc;

	if (unlink(tmp) && errno != ENOENT)
		return err_sys(e, -errno, "removing the stale %s", tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, -errno, "creating %s", tmp);
	rc = file_write_all(fd, data, len);
	if (rc)
		err_sys(e, rc, "writing %s", tmp);
	else if (fchmod(fd, mode))
		rc = err_sys(e, -errno, "chmod of %s", tmp);
	else if (fsync(fd))
		rc = err_sys(e, -errno, "fsync of %s", tmp);
	if (close(fd) && !rc)
		rc = err_sys(e, -errno, "closing %s", tmp);
	if (rc)
		unlink(tmp);
	return rc;
}

int
file_replace(const char *path, const void *data, size_t len, mode_t mode, bool *renamed, struct err *e)
{
	char tmp[PATH_MAX];
	int n, rc;

	if (renamed)
		*renamed = false;
	n = snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	if (n < 0 || (size_t)n >= sizeof(tmp))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	rc = write_temporary(tmp, data, len, mode, e);
	if (rc)
		return rc;
	if (rename(tmp, path)) {
		rc = err_sys(e, -errno, "renaming %s to %s", tmp, path);
		unlink(tmp);
		return rc;
	}
	if (renamed)
		*renamed = true;
	return file_sync_parent(path, e);
}

int
file_remove(const char *path, struct err *e)
{
	if (unlink(path))
		return errno == ENOENT ? 0 : err_sys(e, -errno, "removing %s", path);
	return file_sync_parent(path, e);
}

int
file_set_aside(const char *path, struct err *e)
{
	char aside[PATH_MAX];
	int n = snprintf(aside, sizeof(aside), "%s.corrupt", path);

	if (n < 0 || (size_t)n >= sizeof(aside))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	if (rename(path, aside))
		return err_sys(e, -errno, "renaming %s to %s", path, aside);
	return file_sync_parent(path, e);
}

int
file_link_aside(const char *path, struct err *e)
{
	char aside[PATH_MAX];
	int n = snprintf(aside, sizeof(aside), "%s.corrupt", path);

	if (n < 0 || (size_t)n >= sizeof(aside))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	if (unlink(aside) && errno != ENOENT)
		return err_sys(e, -errno, "removing the older %s", aside);
	if (!link(path, aside))
		return file_sync_parent(path, e);
	if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK)
		return file_set_aside(path, e);
	return err_sys(e, -errno, "linking %s to %s", path, aside);
}

int
file_make_dir(const char *path, mode_t mode, struct err *e)
{
	char dir[PATH_MAX];
	size_t n = strlen(path);
	struct stat st;

	if (!n || n >= sizeof(dir))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	memcpy(dir, path, n + 1);
	while (n > 1 && dir[n - 1] == '/')
		dir[--n] = '\0'; /* else the folder itself would be made as a parent */
	for (char *p = dir + 1;; p++) {
		char keep = *p;

		if (keep != '/' && keep != '\0')
			continue;
		*p = '\0';
		if (mkdir(dir, keep ? 0755 : mode) && errno != EEXIST)
			return err_sys(e, -errno, "creating folder %s", dir);
		if (!keep)
			break;
		*p = keep;
	}
	if (stat(dir, &st))
		return err_sys(e, -errno, "creating folder %s", dir);
	return S_ISDIR(st.st_mode) ? 0 : err_sys(e, -ENOTDIR, "creating folder %s", dir);
}
