/* program: another program, asked line by line.
 *
 * Started without a shell, with an environment of its own, in a session of its own, as another user if that is wanted,
 * without new privileges, and with no descriptor but its three; it dies with the agent. What it says is hostile:
 * bounded in length, one line for each line it was given; what it says on standard error goes to the debug log,
 * escaped. Calls block, each for a bounded time.
 */
#ifndef AGENT_PROGRAM_H
#define AGENT_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct program;

enum {
	PROGRAM_LINE = 4096,            /* bytes of an answer, its end included */
	PROGRAM_STDERR_MAX = 64 * 1024, /* bytes on standard error */
};

struct program_user {
	uid_t uid;
	gid_t gid;
};

/* A name of /etc/passwd, or a number, which is the group, too. Not by the name service: its modules would stay in
 * memory for good. 0, or -ENOENT. */
int program_user(const char *name, struct program_user *out, struct err *e);

/* A file may be started if it is a regular one, and it and its folder are root's or the agent's own, and nobody else
 * can write to them. 0, -ENOENT when there is no such file, or -EPERM with the reason. */
int program_check(const char *path, struct err *e);

/* Starts `path`; `user` NULL: as the agent itself. 0 or -errno. */
int program_start(const char *path, const struct program_user *user, struct program **out, struct err *e);

/* Writes a line (with its end) and reads the answer, without its end, within the time. 0; -ETIMEDOUT, -EPIPE when it
 * has ended, -EMSGSIZE when it says too much, or -errno. After a failure only program_end() makes sense. */
int program_ask(struct program *p, const char *line, size_t len, int64_t timeout_ms, char answer[PROGRAM_LINE],
		struct err *e);

/* Closes its input, and waits until it has ended; then, or when that takes too long, everything left of its session is
 * killed. Frees. 0 when it ended by itself with status 0; -EIO or -ETIMEDOUT with the reason. NULL-safe. */
int program_end(struct program *p, int64_t timeout_ms, struct err *e);

#endif
