/* child: another program in the event loop, confined, watched and ended.
 *
 * It is started without a shell, with an environment of its own, in a session of its own, as another user if that is
 * wanted, without new privileges, with no descriptor but three, and dies with the agent. Where the kernel has Landlock,
 * it can be given the files it may read, and then reads and writes no others. What it says on standard error is bounded
 * and goes to the debug log, escaped. Its end is noticed through a pidfd; then everything left of its session is
 * killed.
 *
 * Nothing here blocks. program.h has the other kind: one that is asked line by line, by who has to wait for the answer.
 */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct child;
struct err;
struct loop;
struct program_user;

enum {
	CHILD_STDERR_MAX = 64 * 1024, /* bytes on standard error; with more it is ended */
	CHILD_SAID = 256,             /* characters of a line there, escaped; the rest is cut */
};

/* Everything is borrowed, and only for the call. */
struct child_spec {
	const char *path;                /* full; program_check() is the caller's to make */
	const char *const *argv;         /* name first, NULL last; NULL: the path alone */
	const struct program_user *user; /* NULL: the agent's own */
	int in, out;                     /* become its standard input and output; -1: /dev/null */
	const char *const *readable; /* NULL last: files and folders it may read and execute, and nothing else; those
				      * that do not exist are left out. NULL: no limit but the user's own */
	bool network;                /* false: none at all, in a namespace of its own where the agent may make one */
	bool alone;                  /* it may start no further process and no thread; does not bind root */
	bool writes_files;           /* false: none of any size; pipes and the like do not count */
	uint64_t memory_max;         /* bytes of address space; 0: no limit */
	int64_t timeout_ms;          /* for all of it */
	int64_t stall_ms;            /* for each part of it, see child_progress(); 0: no such limit */
};

struct child_end {
	int rc;           /* 0: it ended by itself with status 0; -EIO, -ETIMEDOUT, -EMSGSIZE */
	int status;       /* what it ended with; -1: it was ended */
	const char *why;  /* in words; "" with rc 0 */
	const char *said; /* its last line on standard error, escaped; "" : none */
};

/* Called once, from the loop; the child is over by then, and child_free() must not be called any more. */
typedef void child_done_fn(void *ctx, const struct child_end *end);

/* 0, or -errno with nothing started: -ENOENT, -EACCES, … */
int child_start(struct loop *l, const struct child_spec *spec, child_done_fn *done, void *ctx, struct child **out,
		struct err *e);

/* It got on: its stall limit begins anew. A line on standard error says the same. */
void child_progress(struct child *c);

/* Kills it, with its session; done is not called. NULL-safe. */
void child_free(struct child *c);

#endif
