#include "agent/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/landlock.h"
#include "agent/program.h"
#include "base/clock.h"
#include "base/err.h"

enum { REAP_MS = 1000 };

/* --- the new process: from here on only what is safe between fork and exec ------------------------------------------
 */

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

/* Its descriptors, away from their places first: one of them may stand on another's. */
static int
place(const int theirs[SPAWN_FDS])
{
	int high[SPAWN_FDS];

	for (int i = 0; i < SPAWN_FDS; i++) {
		high[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, SPAWN_FDS);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < SPAWN_FDS; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

static int
limit(int what, rlim_t value)
{
	const struct rlimit r = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(what, &r) ? -errno : 0;
}

/* After the change of user: the number of processes is counted for each, and would else keep exec from working. */
static int
set_limits(const struct spawn_spec *s)
{
	int rc = s->alone ? limit(RLIMIT_NPROC, 1) : 0;

	if (!rc && s->no_files)
		rc = limit(RLIMIT_FSIZE, 0);
	if (!rc && s->memory_max)
		rc = limit(RLIMIT_AS, s->memory_max);
	return rc ? rc : limit(RLIMIT_CORE, 0);
}

static int
prepare(const struct spawn_spec *s, pid_t parent)
{
	int rc = setsid() < 0 ? -errno : 0;

	restore_signals();
	umask(022);
	if (!rc)
		rc = chdir("/") ? -errno : place(s->fd);
	/* who may not make namespaces has Landlock alone */
	if (!rc && s->no_network && unshare(CLONE_NEWNET) && errno != EPERM && errno != EINVAL)
		rc = -errno;
	if (!rc)
		rc = become(s->user);
	if (!rc)
		rc = set_limits(s);
	/* after the change of user, which would clear the first */
	if (!rc && (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		rc = -errno;
	if (!rc && s->ruleset)
		rc = landlock_enter(*s->ruleset);
	return !rc && getppid() != parent ? -ESRCH : rc;
}

/* Reports through `report`, which closes when the program runs. */
static void __attribute__((noreturn)) run_child(const struct spawn_spec *s, int report, pid_t parent)
{
	static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	const char *const alone[] = {s->path, NULL};
	const char *const *argv = s->argv ? s->argv : alone;
	int rc = prepare(s, parent);

	if (!rc) {
		/* all of ours are closed by exec; those that libraries or who started us left open are closed, too */
		(void)close_range(SPAWN_FDS, ~0U, CLOSE_RANGE_CLOEXEC);
		execve(s->path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
		rc = -errno;
	}
	if (write(report, &rc, sizeof(rc)) < 0)
		_exit(126);
	_exit(127);
}

/* --- the agent ------------------------------------------------------------------------------------------------------
 */

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

int
spawn_pipe(int *reading, int *writing, bool ours_reads)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	if (fcntl(ends[ours_reads ? 0 : 1], F_SETFL, O_NONBLOCK)) {
		close(ends[0]);
		close(ends[1]);
		return -errno;
	}
	*reading = ends[0];
	*writing = ends[1];
	return 0;
}

int
spawn(const struct spawn_spec *spec, struct spawned *out)
{
	struct spawned s = {.pid = -1, .pidfd = -1};
	pid_t parent = getpid();
	int report[2];
	int rc;

	if (pipe2(report, O_CLOEXEC))
		return -errno;
	s.pid = fork();
	if (!s.pid)
		run_child(spec, report[1], parent);
	rc = s.pid < 0 ? -errno : 0;
	close(report[1]);
	if (!rc)
		rc = read_report(report[0]);
	close(report[0]);
	if (!rc) {
		s.pidfd = pidfd_open(s.pid, 0);
		rc = s.pidfd < 0 ? -errno : 0;
	}
	if (rc && s.pid > 0)
		spawn_kill(&s);
	if (!rc)
		*out = s;
	return rc;
}

bool
spawn_ended(const struct spawned *s, siginfo_t *how)
{
	*how = (siginfo_t){.si_pid = 0};
	return waitid(P_PID, (id_t)s->pid, how, WEXITED | WNOHANG | WNOWAIT) || how->si_pid == s->pid;
}

int
spawn_judge(const siginfo_t *how, struct err *e)
{
	if (how->si_code == CLD_EXITED && !how->si_status)
		return 0;
	if (how->si_code == CLD_EXITED)
		return err_set(e, -EIO, "it ended with status %d", how->si_status);
	return err_set(e, -EIO, "it was ended by signal %d", how->si_status);
}

void
spawn_kill(struct spawned *s)
{
	mono_t deadline = mono_in(clock_mono(), REAP_MS);

	/* its session, and so its group, is its own: nobody else is in it */
	(void)kill(-s->pid, SIGKILL);
	while (!waitpid(s->pid, NULL, WNOHANG) && !mono_due(deadline, clock_mono())) {
		struct pollfd end = {.fd = s->pidfd, .events = POLLIN};

		(void)poll(&end, 1, 1);
	}
	if (s->pidfd >= 0)
		close(s->pidfd);
	*s = (struct spawned){.pid = -1, .pidfd = -1};
}
