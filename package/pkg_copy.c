#include "package/pkg_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "package/container.h"
#include "package/pkg_dir.h"
#include "package/pkg_store.h"
#include "package/types.h"

enum { NAME = 64, PIECE = 64 * 1024 };

/* --- out ------------------------------------------------------------------------------------------------------------
 */

static int
copy_bytes(int from, int to, uint32_t len, struct err *e)
{
	uint8_t piece[PIECE];
	int rc = 0;

	for (uint32_t at = 0; !rc && at < len;) {
		uint32_t n = len - at < PIECE ? len - at : PIECE;

		rc = container_pread(from, piece, n, at, e);
		if (rc)
			return rc;
		rc = file_write_all(to, piece, n);
		if (rc)
			err_sys(e, rc, "writing");
		at += n;
	}
	return rc;
}

/* Whole or not at all. */
static int
write_copy(int folder_fd, const char *name, int from, uint32_t len, struct err *e)
{
	char temporary[NAME + 8];
	int fd, rc;

	snprintf(temporary, sizeof(temporary), ".%s.tmp", name);
	if (unlinkat(folder_fd, temporary, 0) && errno != ENOENT)
		return err_sys(e, -errno, "%s", temporary);
	fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "%s", temporary);
	rc = copy_bytes(from, fd, len, e);
	if (!rc && fsync(fd))
		rc = err_sys(e, -errno, "fsync");
	close(fd);
	if (!rc && renameat(folder_fd, temporary, folder_fd, name))
		rc = err_sys(e, -errno, "%s", name);
	if (rc)
		unlinkat(folder_fd, temporary, 0);
	return rc;
}

static int
export_one(const struct pkg_installed *in, int folder_fd, struct err *e)
{
	char name[NAME];
	int fd = open(in->object_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(e, -errno, "%s", in->object_path);
	snprintf(name, sizeof(name), "%s.x", in->kind->name);
	rc = write_copy(folder_fd, name, fd, in->object_len, e);
	close(fd);
	return rc ? err_in(e, "%s", name) : 0;
}

int
pkg_copy_export(const struct pkg_store *s, const char *folder, size_t *count, struct err *e)
{
	size_t done = 0;
	int rc = file_make_dir(folder, 0700, e), fd;

	if (rc)
		return rc;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "%s", folder);
	for (size_t i = 0; !rc && i < types_count(); i++) {
		const struct pkg_installed *in = pkg_store_current(s, types_at(i));

		if (!in || !in->is_signed)
			continue;
		rc = export_one(in, fd, e);
		done += !rc;
	}
	if (!rc)
		rc = pkg_dir_sync(fd, folder, e);
	close(fd);
	if (!rc)
		*count = done;
	return rc;
}

/* --- in -------------------------------------------------------------------------------------------------------------
 */

/* -1 and 0: there is none. */
static int
open_one(int folder_fd, const struct object_type *kind, int *out, struct err *e)
{
	char name[NAME];
	struct stat st;
	int fd;

	*out = -1;
	snprintf(name, sizeof(name), "%s.x", kind->name);
	fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", name);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, -EINVAL, "%s: a regular file expected", name);
	}
	*out = fd;
	return 0;
}

int
pkg_copy_open(const char *folder, struct pkg_copy out[FORMAT_OBJECTS_MAX], size_t *n, struct err *e)
{
	int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	size_t used = 0;

	if (folder_fd < 0)
		return err_sys(e, -errno, "%s", folder);
	for (size_t i = 0; !rc && i < types_count() && used < FORMAT_OBJECTS_MAX; i++) {
		int fd;

		rc = open_one(folder_fd, types_at(i), &fd, e);
		if (!rc && fd >= 0)
			out[used++] = (struct pkg_copy){.kind = types_at(i), .fd = fd};
	}
	close(folder_fd);
	if (!rc && !used)
		rc = err_set(e, -ENOENT, "%s: no copies of signed objects found", folder);
	if (rc)
		pkg_copy_close(out, used);
	else
		*n = used;
	return rc;
}

void
pkg_copy_close(struct pkg_copy *copies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(copies[i].fd);
}
