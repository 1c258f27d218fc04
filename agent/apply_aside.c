/* The file that was there before ours. It is kept beside it, as PATH.before-fgfmd, under two names for a moment and
 * never under none, so that no crash and no power cut loses it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "base/file.h"

static int
name_with(char dst[PATH_MAX], const char *path, const char *end)
{
	int n = snprintf(dst, PATH_MAX, "%s%s", path, end);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

bool
aside_there(const char *path)
{
	char aside[PATH_MAX];
	struct stat st;

	return !name_with(aside, path, ".before-fgfmd") && !lstat(aside, &st);
}

bool
aside_same(const char *path)
{
	char aside[PATH_MAX];
	struct stat one, two;

	return !name_with(aside, path, ".before-fgfmd") && !lstat(path, &one) && !lstat(aside, &two) &&
	       one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Says that nothing was there: an empty file that nobody may read. */
static bool
is_mark(const char *aside)
{
	struct stat st;

	return !lstat(aside, &st) && S_ISREG(st.st_mode) && !st.st_size && !(st.st_mode & 07777);
}

static int
make_mark(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* By a link and a rename: link() alone does not replace what is there. */
int
aside_keep(const char *path, struct err *e)
{
	char aside[PATH_MAX], tmp[PATH_MAX];
	int rc;

	if (name_with(aside, path, ".before-fgfmd") || name_with(tmp, path, ".before-fgfmd.tmp"))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	if (unlink(tmp) && errno != ENOENT)
		return err_sys(e, -errno, "removing the stale %s", tmp);
	if (link(path, tmp) && (errno != ENOENT || make_mark(tmp)))
		return err_sys(e, -errno, "keeping %s as %s", path, aside);
	if (!rename(tmp, aside))
		return file_sync_parent(aside, e);
	rc = err_sys(e, -errno, "renaming %s to %s", tmp, aside);
	unlink(tmp);
	return rc;
}

int
aside_restore(const char *path, struct err *e)
{
	char aside[PATH_MAX];

	if (name_with(aside, path, ".before-fgfmd"))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	if (is_mark(aside)) {
		int rc = file_remove(path, e);

		return rc ? rc : file_remove(aside, e);
	}
	if (rename(aside, path))
		return errno == ENOENT ? 0 : err_sys(e, -errno, "renaming %s to %s", aside, path);
	return file_sync_parent(path, e);
}

void
aside_drop(const char *path)
{
	char aside[PATH_MAX];

	if (!name_with(aside, path, ".before-fgfmd"))
		(void)file_remove(aside, NULL);
}
