/* supervise: runs the daemon under trace.h, for tests that drive it from outside.
 *
 *   supervise STATE-DIRECTORY REPORT count|kill|fail NUMBER ERRNO PROGRAM…
 *
 * Counting begins when the journal is about to be made. At the end one line is in REPORT: "CALLS SPOILERS STRUCK WHAT".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/fault/trace.h"

enum { ARG_STATE = 1, ARG_REPORT, ARG_DEED, ARG_NUMBER, ARG_ERRNO, ARG_PROGRAM };

static int
report(const char *path, const struct trace_result *r)
{
	FILE *f = fopen(path, "we");
	int rc;

	if (!f)
		return -errno;
	rc = fprintf(f, "%u %u %d %s\n", r->calls, r->spoilers, r->struck, r->what) < 0 ? -EIO : 0;
	return fclose(f) ? -errno : rc;
}

static enum trace_deed
deed_of(const char *word)
{
	return !strcmp(word, "kill") ? TRACE_KILL : !strcmp(word, "fail") ? TRACE_FAIL : TRACE_NOTHING;
}

int
main(int argc, char *argv[])
{
	struct trace_plan plan = {.begin_path = "install.journal.tmp"};
	struct trace_result r = {.calls = 0};
	pid_t pid;

	if (argc <= ARG_PROGRAM) {
		fprintf(stderr, "usage: supervise STATE-DIRECTORY REPORT count|kill|fail NUMBER ERRNO PROGRAM...\n");
		return 2;
	}
	plan.state_dir = argv[ARG_STATE];
	plan.deed = deed_of(argv[ARG_DEED]);
	plan.at = (unsigned)strtoul(argv[ARG_NUMBER], NULL, 10);
	plan.error = (int)strtol(argv[ARG_ERRNO], NULL, 10);
	pid = fork();
	if (!pid) {
		trace_wait();
		execvp(argv[ARG_PROGRAM], &argv[ARG_PROGRAM]);
		_exit(127);
	}
	if (pid < 0 || trace_run(pid, &plan, &r) || report(argv[ARG_REPORT], &r)) {
		perror("supervise");
		return 2;
	}
	return WIFEXITED(r.status) ? WEXITSTATUS(r.status) : 1;
}
