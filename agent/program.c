#include "agent/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/said.h"
#include "agent/spawn.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

enum { IN = SPAWN_IN, OUT = SPAWN_OUT, ERR = SPAWN_ERR };

struct program {
	struct spawned proc;
	int fd[ERR]; /* our ends of its input and output; -1: closed */
	char heard[PROGRAM_LINE];
	size_t heard_len;
	struct said said;
};

int
program_user(const char *name, struct program_user *out, struct err *e)
{
	struct program_user u;
	struct passwd *pw;
	uint64_t number;
	FILE *f;

	if (!text_u64(name, INT_MAX, &number)) {
		*out = (struct program_user){.uid = (uid_t)number, .gid = (gid_t)number};
		return 0;
	}
	f = fopen("/etc/passwd", "re");
	if (!f)
		return err_sys(e, -errno, "/etc/passwd");
	while ((pw = fgetpwent(f)) && strcmp(pw->pw_name, name) != 0)
		;
	if (pw)
		u = (struct program_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	fclose(f);
	if (!pw)
		return err_set(e, -ENOENT, "user \"%.40s\": not in /etc/passwd", name);
	*out = u;
	return 0;
}

/* Nobody but root and ourselves could have changed it. */
static int
check_owner(const char *path, const struct stat *st, struct err *e)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, -EPERM, "%s: owned by user %u, root was expected", path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, -EPERM, "%s: mode %04o, nobody else may write to it", path,
			       (unsigned)st->st_mode & 07777U);
	return 0;
}

int
program_check(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;
	int n;

	n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (n <= 0 || (size_t)n >= sizeof(folder))
		return err_set(e, -EPERM, "%s: a full path was expected", path);
	if (lstat(path, &st))
		return err_sys(e, errno == ENOTDIR ? -ENOENT : -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EPERM, "%s: not a regular file", path);
	if (!(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return err_set(e, -EPERM, "%s: not executable", path);
	if (check_owner(path, &st, e))
		return -EPERM;
	if (stat(folder, &st))
		return err_sys(e, -errno, "%s", folder);
	return check_owner(folder, &st, e);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

static void
close_all(int fd[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
}

static void
close_pipes(struct program *p)
{
	close_all(p->fd, ERR);
	said_close(&p->said);
}

int
program_start(const char *path, const struct program_user *user, struct program **out, struct err *e)
{
	struct program *p = calloc(1, sizeof(*p));
	struct spawn_spec spec = {.path = path, .user = user, .fd = {-1, -1, -1}};
	int rc;

	if (!p)
		return err_sys(e, -ENOMEM, "starting %s", path);
	memset(p->fd, -1, sizeof(p->fd));
	said_init(&p->said, "handler", path, DBG_CONFIG, PROGRAM_STDERR_MAX);
	rc = spawn_pipe(&spec.fd[IN], &p->fd[IN], false);
	if (!rc)
		rc = spawn_pipe(&p->fd[OUT], &spec.fd[OUT], true);
	if (!rc)
		rc = spawn_pipe(&p->said.fd, &spec.fd[ERR], true);
	if (!rc)
		rc = spawn(&spec, &p->proc);
	close_all(spec.fd, SPAWN_FDS);
	if (rc) {
		close_pipes(p);
		free(p);
		return err_sys(e, rc, "starting %s", path);
	}
	*out = p;
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* 0, -EPIPE or -EMSGSIZE. */
static int
read_answer(struct program *p, struct err *e)
{
	ssize_t n;

	n = read(p->fd[OUT], p->heard + p->heard_len, sizeof(p->heard) - p->heard_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(e, -EPIPE, "it ended, or closed its output, without an answer");
	p->heard_len += (size_t)n;
	if (p->heard_len == sizeof(p->heard) && !memchr(p->heard, '\n', p->heard_len))
		return err_set(e, -EMSGSIZE, "an answer longer than %d bytes", PROGRAM_LINE - 1);
	return 0;
}

static int
write_line(struct program *p, const char *line, size_t len, size_t *done, struct err *e)
{
	ssize_t n = write(p->fd[IN], line + *done, len - *done); /* SIGPIPE is ignored by the daemon */

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_set(e, -EPIPE, "it ended, or closed its input: %s", strerror(errno));
	if (n > 0)
		*done += (size_t)n;
	return 0;
}

/* Waits once, for what it says and for room to write what is left. */
static int
turn(struct program *p, const char *line, size_t len, size_t *done, int64_t left_ms, struct err *e)
{
	struct pollfd fds[SPAWN_FDS] = {
	    [IN] = {.fd = *done < len ? p->fd[IN] : -1, .events = POLLOUT},
	    [OUT] = {.fd = p->fd[OUT], .events = POLLIN},
	    [ERR] = {.fd = p->said.fd, .events = POLLIN},
	};
	int rc = poll(fds, SPAWN_FDS, (int)left_ms);

	if (rc < 0 && errno != EINTR)
		return err_sys(e, -errno, "poll");
	if (rc <= 0)
		return 0;
	rc = fds[ERR].revents ? said_read(&p->said, e) : 0;
	if (!rc && fds[OUT].revents)
		rc = read_answer(p, e);
	if (!rc && fds[IN].revents)
		rc = write_line(p, line, len, done, e);
	return rc;
}

/* Takes the line from what was heard. Nothing may follow it: nobody asked. */
static int
take_answer(struct program *p, const char *end, char answer[PROGRAM_LINE], struct err *e)
{
	size_t n = (size_t)(end - p->heard);

	if (n + 1 != p->heard_len)
		return err_set(e, -EMSGSIZE, "more than one line for an answer");
	memcpy(answer, p->heard, n);
	answer[n] = '\0';
	p->heard_len = 0;
	return 0;
}

/* What it said since its last answer would be taken for the next one. */
static int
check_silent(struct program *p, struct err *e)
{
	struct pollfd out = {.fd = p->fd[OUT], .events = POLLIN};
	int rc = poll(&out, 1, 0) > 0 ? read_answer(p, e) : 0;

	return rc || !p->heard_len ? rc : err_set(e, -EMSGSIZE, "more than one line for an answer");
}

int
program_ask(struct program *p, const char *line, size_t len, int64_t timeout_ms, char answer[PROGRAM_LINE],
	    struct err *e)
{
	mono_t deadline = mono_in(clock_mono(), timeout_ms);
	size_t done = 0;
	int silent = check_silent(p, e);

	if (silent)
		return silent;
	for (;;) {
		int64_t left = mono_left_ms(deadline, clock_mono());
		const char *end;
		int rc;

		if (!left)
			return err_set(e, -ETIMEDOUT, "no answer within %lld s",
				       (long long)((timeout_ms + 999) / 1000));
		rc = turn(p, line, len, &done, left, e);
		if (rc)
			return rc;
		end = memchr(p->heard, '\n', p->heard_len);
		if (end && done < len)
			return err_set(e, -EMSGSIZE, "an answer before the change was read");
		if (end)
			return take_answer(p, end, answer, e);
	}
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

/* Both outputs end with the last process that has them, but one that stays behind has no claim to be waited for: the
 * end of the program itself is looked for in between. */
static int
await_end(struct program *p, int64_t timeout_ms, siginfo_t *how)
{
	mono_t deadline = mono_in(clock_mono(), timeout_ms);
	struct err e;
	char rest[512];

	while (!spawn_ended(&p->proc, how)) {
		struct pollfd fds[] = {{.fd = p->fd[OUT], .events = POLLIN}, {.fd = p->said.fd, .events = POLLIN}};
		int64_t left = mono_left_ms(deadline, clock_mono());

		if (!left)
			return -ETIMEDOUT;
		(void)poll(fds, 2, left < 20 ? (int)left : 20);
		if (fds[0].revents && read(p->fd[OUT], rest, sizeof(rest)) <= 0) {
			close(p->fd[OUT]);
			p->fd[OUT] = -1;
		}
		if (fds[1].revents && said_read(&p->said, &e))
			return -EMSGSIZE;
	}
	return 0;
}

int
program_end(struct program *p, int64_t timeout_ms, struct err *e)
{
	siginfo_t how;
	int rc;

	if (!p)
		return 0;
	close_all(&p->fd[IN], 1);
	rc = await_end(p, timeout_ms, &how);
	if (rc == -ETIMEDOUT)
		err_set(e, rc, "it did not end within %lld s of its last change", (long long)(timeout_ms / 1000));
	else
		rc = rc ? err_set(e, rc, "it said too much at its end") : spawn_judge(&how, e);
	spawn_kill(&p->proc);
	close_pipes(p);
	free(p);
	return rc;
}
