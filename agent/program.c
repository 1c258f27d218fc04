#include "agent/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

enum { IN, OUT, ERR, PIPES, LOG_LINE = 512, REAP_MS = 1000 };

struct program {
	char name[128]; /* for messages */
	pid_t pid;
	int fd[PIPES]; /* our ends; -1: closed */
	char heard[PROGRAM_LINE];
	size_t heard_len;
	size_t stderr_bytes;
	char said[LOG_LINE]; /* the line of standard error that is not complete yet */
	size_t said_len;
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

/* From here to the end only what is safe between fork and exec. */

static int
become(const struct program_user *user)
{
	if (!user)
		return 0;
	if (setgroups(0, NULL) || setgid(user->gid) || setuid(user->uid))
		return -errno;
	return 0;
}

static void
restore_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Its three descriptors, away from their places first: one of them may stand on another's. */
static int
place(const int theirs[PIPES])
{
	int high[PIPES];

	for (int i = 0; i < PIPES; i++) {
		high[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, PIPES);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < PIPES; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

/* The new process. Reports through `report`, which closes when the program runs. */
static void __attribute__((noreturn))
run_child(const char *path, const struct program_user *user, const int theirs[PIPES], int report, pid_t parent)
{
	static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	const char *const argv[] = {path, NULL};
	int rc = 0;

	if (setsid() < 0)
		rc = -errno;
	restore_signals();
	umask(022);
	if (!rc)
		rc = chdir("/") ? -errno : place(theirs);
	if (!rc)
		rc = become(user);
	/* after the change of user, which would clear it */
	if (!rc && (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		rc = -errno;
	if (!rc && getppid() != parent)
		rc = -ESRCH;
	if (!rc) {
		/* all of ours are closed by exec; those that libraries or who started us left open are closed, too */
		(void)close_range(PIPES, ~0U, CLOSE_RANGE_CLOEXEC);
		execve(path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
		rc = -errno;
	}
	if (write(report, &rc, sizeof(rc)) < 0)
		_exit(126);
	_exit(127);
}

/* What the child said before its program ran: 0 it runs, or -errno. */
static int
read_report(int fd)
{
	int rc = 0;
	ssize_t n;

	do {
		n = read(fd, &rc, sizeof(rc));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(rc) ? rc : 0;
}

static int
fork_child(struct program *p, const char *path, const struct program_user *user, const int theirs[PIPES])
{
	pid_t parent = getpid();
	int report[2];
	int rc;

	if (pipe2(report, O_CLOEXEC))
		return -errno;
	p->pid = fork();
	if (!p->pid)
		run_child(path, user, theirs, report[1], parent);
	rc = p->pid < 0 ? -errno : 0;
	close(report[1]);
	if (!rc)
		rc = read_report(report[0]);
	close(report[0]);
	if (rc && p->pid > 0)
		(void)waitpid(p->pid, NULL, 0);
	return rc;
}

int
program_start(const char *path, const struct program_user *user, struct program **out, struct err *e)
{
	struct program *p = calloc(1, sizeof(*p));
	int theirs[PIPES] = {-1, -1, -1};
	const char *slash = strrchr(path, '/');
	int rc = p ? 0 : -ENOMEM;

	if (p)
		memset(p->fd, -1, sizeof(p->fd));
	for (int i = 0; !rc && i < PIPES; i++) {
		int ends[2]; /* reading, writing */

		if (pipe2(ends, O_CLOEXEC)) {
			rc = -errno;
			break;
		}
		p->fd[i] = ends[i == IN];
		theirs[i] = ends[i != IN];
		if (fcntl(p->fd[i], F_SETFL, O_NONBLOCK))
			rc = -errno;
	}
	if (!rc) {
		snprintf(p->name, sizeof(p->name), "%s", slash ? slash + 1 : path);
		rc = fork_child(p, path, user, theirs);
	}
	close_all(theirs, PIPES);
	if (rc) {
		if (p)
			close_all(p->fd, PIPES);
		free(p);
		return err_sys(e, rc, "starting %s", path);
	}
	*out = p;
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void
log_said(struct program *p)
{
	char shown[LOG_LINE * 2];

	if (p->said_len)
		log_debug(DBG_CONFIG, "[handler] %s: %s", p->name,
			  text_escape(shown, sizeof(shown), p->said, p->said_len));
	p->said_len = 0;
}

static void
take_said(struct program *p, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n')
			p->said[p->said_len++] = bytes[i];
		if (bytes[i] == '\n' || p->said_len == sizeof(p->said))
			log_said(p);
	}
}

/* 0 or -EMSGSIZE. */
static int
read_stderr(struct program *p, struct err *e)
{
	char bytes[4096];
	ssize_t n = read(p->fd[ERR], bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close(p->fd[ERR]);
		p->fd[ERR] = -1;
		return 0;
	}
	take_said(p, bytes, (size_t)n);
	p->stderr_bytes += (size_t)n;
	if (p->stderr_bytes > PROGRAM_STDERR_MAX)
		return err_set(e, -EMSGSIZE, "more than %d bytes on standard error", PROGRAM_STDERR_MAX);
	return 0;
}

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
	struct pollfd fds[PIPES] = {
	    [IN] = {.fd = *done < len ? p->fd[IN] : -1, .events = POLLOUT},
	    [OUT] = {.fd = p->fd[OUT], .events = POLLIN},
	    [ERR] = {.fd = p->fd[ERR], .events = POLLIN},
	};
	int rc = poll(fds, PIPES, (int)left_ms);

	if (rc < 0 && errno != EINTR)
		return err_sys(e, -errno, "poll");
	if (rc <= 0)
		return 0;
	rc = fds[ERR].revents ? read_stderr(p, e) : 0;
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

/* True when it has ended; it is not reaped, so that its id stays its own. */
static bool
has_ended(const struct program *p, siginfo_t *how)
{
	*how = (siginfo_t){.si_pid = 0};
	return waitid(P_PID, (id_t)p->pid, how, WEXITED | WNOHANG | WNOWAIT) || how->si_pid == p->pid;
}

/* Both outputs end with the last process that has them, but one that stays behind has no claim to be waited for: the
 * end of the program itself is looked for in between. */
static int
await_end(struct program *p, int64_t timeout_ms, siginfo_t *how)
{
	mono_t deadline = mono_in(clock_mono(), timeout_ms);
	struct err e;
	char rest[512];

	while (!has_ended(p, how)) {
		struct pollfd fds[] = {{.fd = p->fd[OUT], .events = POLLIN}, {.fd = p->fd[ERR], .events = POLLIN}};
		int64_t left = mono_left_ms(deadline, clock_mono());

		if (!left)
			return -ETIMEDOUT;
		(void)poll(fds, 2, left < 20 ? (int)left : 20);
		if (fds[0].revents && read(p->fd[OUT], rest, sizeof(rest)) <= 0) {
			close(p->fd[OUT]);
			p->fd[OUT] = -1;
		}
		if (fds[1].revents && read_stderr(p, &e))
			return -EMSGSIZE;
	}
	return 0;
}

static int
judge(const siginfo_t *how, struct err *e)
{
	if (how->si_code == CLD_EXITED && !how->si_status)
		return 0;
	if (how->si_code == CLD_EXITED)
		return err_set(e, -EIO, "it ended with status %d", how->si_status);
	return err_set(e, -EIO, "it was ended by signal %d", how->si_status);
}

/* Not for ever: a process that hangs in the kernel does not even die. */
static void
reap(const struct program *p)
{
	mono_t deadline = mono_in(clock_mono(), REAP_MS);

	while (!waitpid(p->pid, NULL, WNOHANG) && !mono_due(deadline, clock_mono()))
		(void)poll(NULL, 0, 1);
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
		rc = rc ? err_set(e, rc, "it said too much at its end") : judge(&how, e);
	/* its session, and so its group, is its own: nobody else is in it */
	(void)kill(-p->pid, SIGKILL);
	reap(p);
	log_said(p);
	close_all(p->fd, PIPES);
	free(p);
	return rc;
}
