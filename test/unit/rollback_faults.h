/* rollback_faults: a disk that fails, or a process that dies, at the n-th call that matters.
 *
 * Defines the replacements themselves: for one source file of a test program, which names the functions in a line
 * "wrap: open write fsync rename unlink link fallocate". Only calls on the fixture's folder count (a descriptor always
 * does: the program opens no others).
 */
#ifndef TEST_UNIT_ROLLBACK_FAULTS_H
#define TEST_UNIT_ROLLBACK_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_ONCE,     /* the n-th call fails */
	FAULT_ALL,      /* the n-th and every later call that would change the disk fails */
	FAULT_TORN,     /* the n-th call, if it is a write, writes half and fails */
	FAULT_DIE,      /* the process ends instead of the n-th call */
	FAULT_DIE_TORN, /* … and half of it is done, if it is a write */
};

enum { FAULT_EXIT = 77 };

static struct {
	enum fault_kind kind;
	int at, error;
	int calls;
	bool hit;
	bool dirty; /* something was written or renamed and not yet synced */
} faults;

static inline void
faults_set(enum fault_kind kind, int at, int error)
{
	faults.kind = kind;
	faults.at = at;
	faults.error = error;
	faults.calls = 0;
	faults.hit = false;
}

static inline void
faults_clear(void)
{
	faults_set(FAULT_NONE, 0, 0);
}

/* True when this call has to fail; errno is set then. */
static bool
faults_at_write(bool write)
{
	int n = ++faults.calls;

	if (faults.kind == FAULT_NONE || n < faults.at || (n > faults.at && faults.kind != FAULT_ALL))
		return false;
	faults.hit = true;
	if (faults.kind == FAULT_DIE || (faults.kind == FAULT_DIE_TORN && !write))
		_exit(FAULT_EXIT);
	errno = faults.error;
	return true;
}

static bool
faults_now(void)
{
	return faults_at_write(false);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);

int
__wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	/* a full disk can still be read */
	if (faults_now() && (faults.kind != FAULT_ALL || flags & O_CREAT || flags & (O_WRONLY | O_RDWR)))
		return -1;
	return __real_open(path, flags, mode);
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	if (faults_at_write(true)) {
		if (faults.kind != FAULT_TORN && faults.kind != FAULT_DIE_TORN)
			return -1;
		if (__real_write(fd, data, len / 2) < 0)
			abort();
		if (faults.kind == FAULT_DIE_TORN)
			_exit(FAULT_EXIT);
		errno = faults.error;
		return -1;
	}
	faults.dirty = true;
	return __real_write(fd, data, len);
}

int
__wrap_fsync(int fd)
{
	if (faults_now())
		return -1;
	/* the machine does not go down during a test, and thousands of stories are told */
	(void)fd;
	faults.dirty = false;
	return 0;
}

int
__wrap_rename(const char *from, const char *to)
{
	if (faults_now())
		return -1;
	faults.dirty = true;
	return __real_rename(from, to);
}

int
__wrap_unlink(const char *path)
{
	if (faults_now())
		return -1;
	return __real_unlink(path);
}

int
__wrap_link(const char *from, const char *to)
{
	return faults_now() ? -1 : __real_link(from, to);
}

int
__wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return faults_now() ? -1 : __real_fallocate(fd, mode, offset, len);
}

#endif
