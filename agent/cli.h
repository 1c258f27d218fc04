/* cli: the commands of an operator's shell, and the few of them a manager's script may use.
 *
 * One `struct cli` for each connected shell: where it stands in the configuration, and what debug lines it wants to
 * see. Configuration commands go to config/exec; `get`, `execute` and `diagnose` that name no table are in one table
 * here. Nearly all of them are through when cli_run() returns; an update of packages goes on.
 */
#ifndef AGENT_CLI_H
#define AGENT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent_packages.h"

struct agent;
struct buf;
struct cli;
struct err;

struct cli_result {
	int code;        /* CLI_OK or what FortiOS would print */
	bool incomplete; /* inside a quote: give the next line, too */
	bool pending;    /* it goes on: cli_ops.done() tells how it ended, and no other may run until then */
};

/* What a shell tells its client. All but `line` are of a command that goes on after cli_run(). */
struct cli_ops {
	void *ctx;
	void (*line)(void *ctx, const char *line); /* a debug line, while this shell has them enabled */
	void (*output)(void *ctx, const char *text, size_t len);
	void (*ask)(void *ctx, const struct packages_question *q); /* answered with cli_answer() */
	void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
	void (*done)(void *ctx, struct cli_result r, const char *reason);
};

/* `ops` is copied. `who` is for the log: "uid 0". */
struct cli *cli_new(struct agent *a, const char *who, const struct cli_ops *ops);
/* Somebody types: a `config` or `edit` that fails leaves the shell where it was. */
void cli_set_interactive(struct cli *c);
void cli_free(struct cli *c); /* NULL-safe; what is not committed is dropped, what goes on is cancelled */

/* When the command names a file the client has to open first: the index of that word in the command and whether it is
 * written. False: it names none (or is no command at all). */
bool cli_file_wanted(const char *text, size_t len, size_t *word, bool *write);

/* Runs one command. Output goes to `out`; with `json` as JSON. `fd` is the file cli_file_wanted() asked for, or -1. The
 * reason of a failure is in `e`. */
struct cli_result cli_run(struct cli *c, const char *text, size_t len, bool json, int fd, struct buf *out,
			  struct err *e);

/* To what the pending command asked last, and to it as a whole. Without one they do nothing. */
void cli_answer(struct cli *c, bool yes, const uint8_t digest[PACKAGES_DIGEST]);
void cli_cancel(struct cli *c);

const char *cli_prompt(const struct cli *c); /* "(interface) " or "" */
bool cli_at_top(const struct cli *c);
void cli_complete(const struct cli *c, const char *text, size_t len, struct buf *out); /* "WORD\tHELP\n"… */

/* exec_ops.other for scripts of a manager's; ctx is the agent. */
int cli_other_for_manager(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e);

#endif
