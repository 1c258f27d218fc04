/* package_faults: what rollback_faults.h does, for calls by descriptor, too; and what a power loss would show: when a
 * version becomes current, it has to be on disk.
 *
 * For a test that names "wrap: open write fsync rename unlink link fallocate openat pwrite copy_file_range renameat
 * linkat symlinkat unlinkat mkdirat".
 */
#ifndef TEST_UNIT_PACKAGE_FAULTS_H
#define TEST_UNIT_PACKAGE_FAULTS_H

#include <string.h>
#include <sys/stat.h>

#define __wrap_write rollback_wrap_write
#define __wrap_fsync rollback_wrap_fsync
#include "test/unit/rollback_faults.h"
#undef __wrap_write
#undef __wrap_fsync

enum { FAULT_INODES = 64 };

/* What was written and is not on disk yet. */
static struct {
	ino_t inodes[FAULT_INODES];
	size_t count;
	ino_t moved_to; /* the folder a version was moved to; 0: that is on disk */
	unsigned swaps, early;
} durable;

static ino_t
inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static void
note_written(int fd)
{
	ino_t ino = inode_of(fd);

	for (size_t i = 0; i < durable.count; i++) {
		if (durable.inodes[i] == ino)
			return;
	}
	if (durable.count == FAULT_INODES)
		abort();
	durable.inodes[durable.count++] = ino;
}

static void
note_synced(int fd)
{
	ino_t ino = inode_of(fd);

	if (durable.moved_to == ino)
		durable.moved_to = 0;
	for (size_t i = 0; i < durable.count; i++) {
		if (durable.inodes[i] == ino)
			durable.inodes[i] = durable.inodes[--durable.count];
	}
}

int __wrap_openat(int at, const char *path, int flags, ...);
int __real_openat(int at, const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags);
ssize_t __real_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags);
int __wrap_renameat(int from_at, const char *from, int to_at, const char *to);
int __real_renameat(int from_at, const char *from, int to_at, const char *to);
int __wrap_linkat(int from_at, const char *from, int to_at, const char *to, int flags);
int __real_linkat(int from_at, const char *from, int to_at, const char *to, int flags);
int __wrap_symlinkat(const char *target, int at, const char *name);
int __real_symlinkat(const char *target, int at, const char *name);
int __wrap_unlinkat(int at, const char *name, int flags);
int __real_unlinkat(int at, const char *name, int flags);
int __wrap_mkdirat(int at, const char *name, mode_t mode);
int __real_mkdirat(int at, const char *name, mode_t mode);

int
__wrap_openat(int at, const char *path, int flags, ...)
{
	bool changes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
	mode_t mode = 0;
	va_list ap;

	if (changes) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (faults_now() && (faults.kind != FAULT_ALL || changes))
		return -1;
	return __real_openat(at, path, flags, mode);
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	note_written(fd);
	return rollback_wrap_write(fd, data, len);
}

ssize_t
__wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	note_written(fd);
	if (!faults_at_write(true))
		return __real_pwrite(fd, data, len, at);
	if (faults.kind != FAULT_TORN && faults.kind != FAULT_DIE_TORN)
		return -1;
	if (__real_pwrite(fd, data, len / 2, at) < 0)
		abort();
	if (faults.kind == FAULT_DIE_TORN)
		_exit(FAULT_EXIT);
	errno = faults.error;
	return -1;
}

ssize_t
__wrap_copy_file_range(int from_fd, off64_t *from_at, int to_fd, off64_t *to_at, size_t len, unsigned flags)
{
	note_written(to_fd);
	if (!faults_at_write(true))
		return __real_copy_file_range(from_fd, from_at, to_fd, to_at, len, flags);
	if (faults.kind != FAULT_TORN && faults.kind != FAULT_DIE_TORN)
		return -1;
	if (__real_copy_file_range(from_fd, from_at, to_fd, to_at, len / 2, flags) < 0)
		abort();
	if (faults.kind == FAULT_DIE_TORN)
		_exit(FAULT_EXIT);
	errno = faults.error;
	return -1;
}

int
__wrap_fsync(int fd)
{
	int rc = rollback_wrap_fsync(fd);

	if (!rc)
		note_synced(fd);
	return rc;
}

int
__wrap_renameat(int from_at, const char *from, int to_at, const char *to)
{
	if (faults_now())
		return -1;
	if (!strcmp(to, "current") && strcmp(from, ".back") != 0) {
		durable.swaps++;
		durable.early += durable.count || durable.moved_to;
	} else if (!strcmp(from, "new")) {
		durable.moved_to = inode_of(to_at);
	}
	return __real_renameat(from_at, from, to_at, to);
}

int
__wrap_linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	if (faults_now())
		return -1;
	note_written(to_at);
	return __real_linkat(from_at, from, to_at, to, flags);
}

int
__wrap_symlinkat(const char *target, int at, const char *name)
{
	return faults_now() ? -1 : __real_symlinkat(target, at, name);
}

int
__wrap_unlinkat(int at, const char *name, int flags)
{
	return faults_now() ? -1 : __real_unlinkat(at, name, flags);
}

int
__wrap_mkdirat(int at, const char *name, mode_t mode)
{
	return faults_now() ? -1 : __real_mkdirat(at, name, mode);
}

#endif
