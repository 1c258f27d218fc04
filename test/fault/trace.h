/* trace: runs a process one system call at a time, counts them, and spoils one: kills after it, or makes it fail.
 *
 * By ptrace, so that what is tested is the program as it is shipped. Counting begins at a mark and ends at another; the
 * calls before set the scene. x86-64 only.
 */
#ifndef TEST_FAULT_TRACE_H
#define TEST_FAULT_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_log;

/* TRACE_BURST: beyond what one request is tried again for. */
enum { TRACE_CALLS = 8192, TRACE_WHAT = 200, TRACE_BURST = 16 };

enum trace_deed {
	TRACE_NOTHING,
	TRACE_KILL,       /* SIGKILL once the n-th counted call has been done */
	TRACE_FAIL,       /* the n-th call that can be spoiled is not done and fails */
	TRACE_FAIL_FROM,  /* so does every later one that would change a file */
	TRACE_FAIL_BURST, /* so do the next TRACE_BURST - 1 of the same kind */
	TRACE_SHORT,      /* of the n-th, a write, half is done, and it says so */
	TRACE_TORN,       /* of the n-th, a write, half is done, and it fails */
	TRACE_LIE,        /* every call of one kind is not done and says that it was: for the test of the tests */
};

/* What a call is to us. Those of the first kind are counted, but only the others can be spoiled. */
enum trace_kind { TRACE_PLAIN, TRACE_FILE, TRACE_NETLINK, TRACE_SYSTEM };

struct trace_call {
	long nr;
	enum trace_kind kind;
	bool changes; /* a file: it would change something */
	char what[TRACE_WHAT];
};

struct trace_plan {
	const char *state_dir;  /* absolute: files below it count as files */
	const char *begin_path; /* counting begins when a path with this in it is opened; NULL: at trace_mark(true) */
	enum trace_deed deed;
	unsigned at; /* from 1 */
	int error;   /* positive errno */
	long lie_nr;
	const char *lie_path;  /* in the path of what is lied about; NULL: any */
	struct disk_log *disk; /* every change of a file is noted there; NULL: not */
};

struct trace_result {
	unsigned calls;    /* counted */
	unsigned spoilers; /* of them, those that can be spoiled */
	bool struck;       /* the deed was done */
	int status;        /* as of waitpid() */
	char what[TRACE_WHAT];
	struct trace_call *list; /* the spoilers, TRACE_CALLS at most; the caller's, or NULL */
};

/* In the process that is to be traced: stops until trace_run() takes it. */
void trace_wait(void);
/* … begins and ends the counting. */
void trace_mark(bool begin);

/* Takes a child that waits in trace_wait() to its end. 0 or -errno; then the child is gone, too. */
int trace_run(pid_t child, const struct trace_plan *plan, struct trace_result *out);

#endif
