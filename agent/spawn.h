/* spawn: starting another program with nothing of ours, and ending it with all that it started.
 *
 * No shell, an environment of its own, a session of its own, no new privileges, three descriptors, and its death when
 * the agent dies. program.h and child.h stand on this.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct program_user;

enum { SPAWN_IN, SPAWN_OUT, SPAWN_ERR, SPAWN_FDS };

struct spawn_spec {
	const char *path;
	const char *const *argv;         /* NULL last; NULL: the path alone */
	const struct program_user *user; /* NULL: the agent's own */
	int fd[SPAWN_FDS];               /* borrowed */
	const int *ruleset;              /* of landlock.h; NULL: none */
	bool no_network;                 /* a network namespace of its own, with nothing in it, if we may make one */
	bool alone;                      /* no further processes or threads; does not bind root */
	bool no_files;                   /* writes no regular file */
	uint64_t memory_max;             /* bytes of address space; 0: no limit */
};

struct spawned {
	pid_t pid;
	int pidfd; /* readable once it has ended */
};

/* A pipe: the end to be given to a program blocks, ours does not; `ours_reads` says which is which. 0 or -errno. */
int spawn_pipe(int *reading, int *writing, bool ours_reads);

/* Returns once the program runs: 0, or -errno. */
int spawn(const struct spawn_spec *spec, struct spawned *out);

/* True when it has ended; it is not reaped, so that its id stays its own. */
bool spawn_ended(const struct spawned *s, siginfo_t *how);

/* 0 when it ended by itself with status 0; else -EIO and how. */
int spawn_judge(const siginfo_t *how, struct err *e);

/* Kills everything left of its session, and reaps it. Not for ever: a process that hangs in the kernel does not die. */
void spawn_kill(struct spawned *s);

#endif
