#include "test/fault/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/fault/disk.h"

#ifndef __x86_64__
#error "the fault matrix sets registers of x86-64"
#endif

enum { MARK = 0x6666, MARK_BEGIN = 1, MARK_END = 2, SOCKETS = 1024, PATH_SIZE = 512, DATA_MAX = 1 << 20 };

/* A system call under way. */
struct call {
	long nr;
	uint64_t args[6];
	enum trace_kind kind;
	bool changes, counted, spoiled;
	char path[PATH_SIZE], to[PATH_SIZE]; /* relative to the state folder if below it, else as they are; "" */
	bool ours;                           /* `path` is below the state folder */
	bool existed;                        /* the file an open is to make was there */
	uint64_t at;                         /* offset of a write */
	uint8_t *data;                       /* of a write; owned */
	size_t len;
};

struct tracer {
	const struct trace_plan *plan;
	struct trace_result *out;
	pid_t pid;
	bool counting;
	bool netlink[SOCKETS];
	unsigned burst; /* calls that failed in it */
	struct call call;
};

static const struct {
	long nr;
	const char *name;
} names[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_pread64, "pread"},
    {SYS_pwrite64, "pwrite"},
    {SYS_writev, "writev"},
    {SYS_openat, "open"},
    {SYS_close, "close"},
    {SYS_fstat, "fstat"},
    {SYS_newfstatat, "stat"},
    {SYS_lseek, "lseek"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_rename, "rename"},
    {SYS_renameat, "rename"},
    {SYS_renameat2, "rename"},
    {SYS_unlink, "unlink"},
    {SYS_unlinkat, "unlink"},
    {SYS_link, "link"},
    {SYS_linkat, "link"},
    {SYS_fallocate, "fallocate"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_fchmod, "fchmod"},
    {SYS_mkdir, "mkdir"},
    {SYS_mkdirat, "mkdir"},
    {SYS_getdents64, "getdents"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_sendto, "sendto"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_sethostname, "sethostname"},
    {SYS_brk, "brk"},
    {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_epoll_pwait, "epoll_wait"},
    {SYS_uname, "uname"},
    {SYS_ioctl, "ioctl"},
};

static const char *
name_of(long nr)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].nr == nr)
			return names[i].name;
	}
	return "system call";
}

void
trace_wait(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		_exit(127);
}

/* A call that no kernel knows, which does nothing: its arguments are the message. */
void
trace_mark(bool begin)
{
	prctl(MARK, begin ? MARK_BEGIN : MARK_END, 0, 0, 0);
}

static void
read_memory(pid_t pid, uint64_t from, void *dst, size_t len)
{
	struct iovec here = {.iov_base = dst, .iov_len = len};
	struct iovec there = {.iov_base = (void *)(uintptr_t)from, .iov_len = len};

	if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		memset(dst, 0, len);
}

/* Never across the end of a page: the next may not be there. */
static void
read_string(pid_t pid, uint64_t from, char *dst, size_t size)
{
	size_t used = 0;

	memset(dst, 0, size);
	while (used < size - 1) {
		size_t n = 4096 - (from + used) % 4096;

		if (n > size - 1 - used)
			n = size - 1 - used;
		read_memory(pid, from + used, dst + used, n);
		if (memchr(dst + used, '\0', n))
			return;
		used += n;
	}
}

/* Takes the state folder off the front; true when it was there. */
static bool
below(const struct trace_plan *p, char path[PATH_SIZE])
{
	size_t n = strlen(p->state_dir);

	if (strncmp(path, p->state_dir, n) || (path[n] != '/' && path[n] != '\0'))
		return false;
	n += path[n] == '/';
	memmove(path, path + n, strlen(path + n) + 1);
	return true;
}

static void
path_of_fd(const struct tracer *t, uint64_t fd, char path[PATH_SIZE])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", t->pid, (int)fd);
	n = readlink(link, path, PATH_SIZE - 1);
	path[n > 0 ? n : 0] = '\0';
}

static bool
is_folder(const struct tracer *t, uint64_t fd)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", t->pid, (int)fd);
	return !stat(link, &st) && S_ISDIR(st.st_mode);
}

static uint64_t
offset_of(const struct tracer *t, uint64_t fd)
{
	char path[64];
	unsigned long long at = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", t->pid, (int)fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "pos: %llu", &at) != 1)
		at = 0;
	fclose(f);
	return at;
}

/* --- what a call is ----------------------------------------------------------------------------------------------- */

static void
look_at_fd(struct tracer *t, bool changes)
{
	struct call *c = &t->call;

	path_of_fd(t, c->args[0], c->path);
	c->ours = below(t->plan, c->path);
	if (c->ours)
		c->kind = TRACE_FILE;
	else if (changes && !strncmp(c->path, "/proc/sys/", 10))
		c->kind = TRACE_SYSTEM;
	c->changes = changes && c->ours;
}

static void
look_at_path(struct tracer *t, int arg, int arg_to, bool changes)
{
	struct call *c = &t->call;
	struct stat st;

	read_string(t->pid, c->args[arg], c->path, sizeof(c->path));
	c->existed = !lstat(c->path, &st);
	if (arg_to >= 0) {
		read_string(t->pid, c->args[arg_to], c->to, sizeof(c->to));
		below(t->plan, c->to);
	}
	c->ours = below(t->plan, c->path);
	if (c->ours)
		c->kind = TRACE_FILE;
	else if (!strncmp(c->path, "/proc/sys/net/", 14))
		c->kind = TRACE_SYSTEM;
	c->changes = changes && c->ours;
}

static void
look_at_write(struct tracer *t)
{
	struct call *c = &t->call;

	look_at_fd(t, true);
	if (!c->ours || !t->plan->disk)
		return;
	c->len = c->args[2] < DATA_MAX ? c->args[2] : DATA_MAX;
	c->data = malloc(c->len + 1);
	if (!c->data)
		abort();
	read_memory(t->pid, c->args[1], c->data, c->len);
	c->at = c->nr == SYS_pwrite64 ? c->args[3] : offset_of(t, c->args[0]);
}

static void
look_at_socket(struct tracer *t)
{
	struct call *c = &t->call;

	if (c->args[0] < SOCKETS && t->netlink[c->args[0]])
		c->kind = TRACE_NETLINK;
}

static const struct {
	long nr;
	int from, to; /* arguments that are paths; -1: none */
} by_path[] = {
    {SYS_rename, 0, 1},  {SYS_renameat, 1, 3},  {SYS_renameat2, 1, 3}, {SYS_link, 0, 1},     {SYS_linkat, 1, 3},
    {SYS_unlink, 0, -1}, {SYS_unlinkat, 1, -1}, {SYS_mkdir, 0, -1},    {SYS_mkdirat, 1, -1},
};

/* A change of names. */
static void
classify_names(struct tracer *t)
{
	for (size_t i = 0; i < sizeof(by_path) / sizeof(by_path[0]); i++) {
		if (by_path[i].nr == t->call.nr)
			look_at_path(t, by_path[i].from, by_path[i].to, true);
	}
}

static void
classify(struct tracer *t)
{
	struct call *c = &t->call;

	switch (c->nr) {
	case SYS_write:
	case SYS_pwrite64:
		look_at_write(t);
		return;
	case SYS_read:
	case SYS_pread64:
	case SYS_getdents64:
		look_at_fd(t, false);
		return;
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_fallocate:
	case SYS_ftruncate:
	case SYS_fchmod:
		look_at_fd(t, true);
		return;
	case SYS_openat:
		look_at_path(t, 1, -1, c->args[2] & (O_CREAT | O_WRONLY | O_RDWR));
		return;
	case SYS_sendmsg:
	case SYS_sendto:
	case SYS_recvmsg:
	case SYS_recvfrom:
		look_at_socket(t);
		return;
	case SYS_sethostname:
		c->kind = TRACE_SYSTEM;
		return;
	default:
		classify_names(t);
		return;
	}
}

static void
describe(const struct call *c, char dst[TRACE_WHAT])
{
	if (c->to[0])
		snprintf(dst, TRACE_WHAT, "%s(%.80s, %.80s)", name_of(c->nr), c->path, c->to);
	else if (c->path[0])
		snprintf(dst, TRACE_WHAT, "%s(%.160s)", name_of(c->nr), c->path);
	else if (!strcmp(name_of(c->nr), "system call"))
		snprintf(dst, TRACE_WHAT, "system call %ld", c->nr);
	else
		snprintf(dst, TRACE_WHAT, "%s()", name_of(c->nr));
}

/* --- spoiling ----------------------------------------------------------------------------------------------------- */

static void
set_register(pid_t pid, int reg, uint64_t value)
{
	ptrace(PTRACE_POKEUSER, pid, (void *)(sizeof(long) * (size_t)reg), (void *)(uintptr_t)value);
}

static bool
is_write(const struct call *c)
{
	return c->nr == SYS_write || c->nr == SYS_pwrite64;
}

static bool
is_lied_about(const struct trace_plan *p, const struct call *c)
{
	return p->deed == TRACE_LIE && c->nr == p->lie_nr && c->ours &&
	       (!p->lie_path || strstr(c->path, p->lie_path) || strstr(c->to, p->lie_path));
}

/* A disk that is full still lets go of files, and flushes what it has. */
static bool
fails_later(const struct trace_plan *p, const struct call *c)
{
	bool lets = c->nr == SYS_unlink || c->nr == SYS_unlinkat || c->nr == SYS_fsync || c->nr == SYS_fdatasync;

	return p->deed == TRACE_FAIL_FROM && c->changes && !(p->error == ENOSPC && lets);
}

static bool
in_burst(const struct tracer *t, const struct call *c)
{
	return t->plan->deed == TRACE_FAIL_BURST && t->out->spoilers > t->plan->at && t->burst < TRACE_BURST &&
	       c->kind == TRACE_NETLINK;
}

static bool
is_struck(const struct tracer *t, const struct call *c)
{
	const struct trace_plan *p = t->plan;

	if (is_lied_about(p, c))
		return true;
	if (p->deed == TRACE_NOTHING || p->deed == TRACE_KILL || p->deed == TRACE_LIE)
		return false;
	return t->out->spoilers == p->at || in_burst(t, c) || (t->out->spoilers > p->at && fails_later(p, c));
}

static void
spoil(struct tracer *t)
{
	const struct trace_plan *p = t->plan;
	struct call *c = &t->call;
	bool half = (p->deed == TRACE_SHORT || p->deed == TRACE_TORN) && is_write(c) && c->args[2] > 1;

	if (!t->out->struck)
		describe(c, t->out->what);
	t->out->struck = true;
	t->burst++;
	c->spoiled = p->deed != TRACE_SHORT;
	if (half) {
		c->len /= 2;
		set_register(t->pid, RDX, c->args[2] / 2);
	} else {
		set_register(t->pid, ORIG_RAX, (uint64_t)-1);
		c->spoiled = true;
	}
}

static void
on_entry(struct tracer *t, const struct __ptrace_syscall_info *info)
{
	struct call *c = &t->call;
	struct trace_result *out = t->out;

	free(c->data);
	*c = (struct call){.nr = (long)info->entry.nr};
	memcpy(c->args, info->entry.args, sizeof(c->args));
	if (!t->counting && c->nr != SYS_openat)
		return;
	classify(t);
	if (!t->counting && (!t->plan->begin_path || !strstr(c->path, t->plan->begin_path)))
		return;
	c->counted = t->counting = true;
	if (c->kind == TRACE_PLAIN)
		return;
	out->spoilers++;
	if (out->list && out->spoilers <= TRACE_CALLS) {
		struct trace_call *one = &out->list[out->spoilers - 1];

		*one = (struct trace_call){.nr = c->nr, .kind = c->kind, .changes = c->changes};
		describe(c, one->what);
	}
	if (is_struck(t, c))
		spoil(t);
}

/* --- after a call ------------------------------------------------------------------------------------------------- */

static void
note_open(const struct call *c, struct disk_log *l)
{
	if ((c->args[2] & O_CREAT) && !c->existed)
		disk_note(l, DISK_CREATE, c->path, NULL, 0, NULL, 0);
	else if (c->args[2] & O_TRUNC)
		disk_note(l, DISK_SIZE, c->path, NULL, 0, NULL, 0);
}

static void
note_change(const struct tracer *t, int64_t result)
{
	const struct call *c = &t->call;
	struct disk_log *l = t->plan->disk;

	switch (c->nr) {
	case SYS_openat:
		note_open(c, l);
		return;
	case SYS_write:
	case SYS_pwrite64:
		disk_note(l, DISK_WRITE, c->path, NULL, c->at, c->data,
			  (size_t)result < c->len ? (size_t)result : c->len);
		return;
	case SYS_ftruncate:
		disk_note(l, DISK_SIZE, c->path, NULL, c->args[1], NULL, 0);
		return;
	case SYS_fsync:
	case SYS_fdatasync:
		disk_note(l, is_folder(t, c->args[0]) ? DISK_SYNC_FOLDER : DISK_SYNC, c->path, NULL, 0, NULL, 0);
		return;
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
		disk_note(l, DISK_RENAME, c->path, c->to, 0, NULL, 0);
		return;
	case SYS_unlink:
	case SYS_unlinkat:
		disk_note(l, DISK_UNLINK, c->path, NULL, 0, NULL, 0);
		return;
	case SYS_link:
	case SYS_linkat:
		disk_note(l, DISK_LINK, c->path, c->to, 0, NULL, 0);
		return;
	default:
		return;
	}
}

static void
watch_sockets(struct tracer *t, int64_t result)
{
	const struct call *c = &t->call;

	if (c->nr == SYS_socket && result >= 0 && result < SOCKETS)
		t->netlink[result] = c->args[0] == AF_NETLINK;
	else if (c->nr == SYS_close && c->args[0] < SOCKETS)
		t->netlink[c->args[0]] = false;
}

static int64_t
spoiled_result(const struct tracer *t)
{
	int64_t result = t->plan->deed == TRACE_LIE ? 0 : -t->plan->error;

	set_register(t->pid, RAX, (uint64_t)result);
	return result;
}

static void
on_exit_stop(struct tracer *t, const struct __ptrace_syscall_info *info)
{
	struct call *c = &t->call;
	int64_t result = info->exit.rval;
	bool torn = c->spoiled && c->data && t->plan->deed == TRACE_TORN;

	if (t->plan->disk && c->counted && c->ours && c->changes && result >= 0 && (!c->spoiled || torn))
		note_change(t, result);
	if (c->spoiled)
		result = spoiled_result(t);
	watch_sockets(t, result);
	if (c->counted) {
		t->out->calls++;
		if (t->plan->deed == TRACE_KILL && t->out->calls == t->plan->at) {
			describe(c, t->out->what);
			t->out->struck = true;
			kill(t->pid, SIGKILL);
		}
	}
	if (c->nr == SYS_prctl && c->args[0] == MARK)
		t->counting = c->args[1] == MARK_BEGIN;
}

static int
on_stop(struct tracer *t)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, (void *)sizeof(info), &info) <= 0)
		return errno == ESRCH ? 0 : -errno; /* killed meanwhile: the wait will say so */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		on_entry(t, &info);
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		on_exit_stop(t, &info);
	return 0;
}

/* Goes on to the next stop. 1: it is over. */
static int
next_stop(struct tracer *t, int *signal_to_give)
{
	int status, rc = 0;

	if (ptrace(PTRACE_SYSCALL, t->pid, NULL, (void *)(intptr_t)*signal_to_give) && errno != ESRCH)
		return -errno;
	if (waitpid(t->pid, &status, 0) < 0)
		return -errno;
	t->out->status = status;
	*signal_to_give = 0;
	if (!WIFSTOPPED(status))
		return 1;
	if (WSTOPSIG(status) == (SIGTRAP | 0x80))
		rc = on_stop(t);
	else if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
		*signal_to_give = WSTOPSIG(status);
	return rc;
}

int
trace_run(pid_t child, const struct trace_plan *plan, struct trace_result *out)
{
	struct tracer t = {.plan = plan, .out = out, .pid = child};
	int signal_to_give = 0, rc = 0, status;

	if (waitpid(child, &status, 0) < 0)
		return -errno;
	if (!WIFSTOPPED(status))
		return -ECHILD;
	if (ptrace(PTRACE_SETOPTIONS, child, NULL,
		   (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC)))
		rc = -errno;
	while (!rc)
		rc = next_stop(&t, &signal_to_give);
	if (rc < 0) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	free(t.call.data);
	return rc < 0 ? rc : 0;
}
