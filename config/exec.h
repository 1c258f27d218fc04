/* exec: runs commands against a tree, as one operator, script or install would.
 *
 * An executor stands somewhere in the tree (`config`, `edit`) and holds the uncommitted entry. An entry is committed by
 * `next`, or by `end`; then it is checked (required attributes, references), handed to `apply`, and kept only when that
 * says CLI_OK: otherwise the tree keeps the entry as it was before. `abort` drops the uncommitted entry.
 * In a block whose `config` or `edit` failed every command up to and with its `end` or `next` fails with the same code;
 * an executor for people (exec_set_interactive) stays where it was instead.
 *
 * Several executors may stand in one tree. Each works on copies; a commit onto an entry that somebody else changed
 * since the `edit` fails with CLI_CONFLICT and changes nothing.
 */
#ifndef CONFIG_EXEC_H
#define CONFIG_EXEC_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct command;
struct entry;
struct err;
struct exec;
struct schema_table;
struct tree;

/* One committed change of a top-level entry, nested tables included. */
struct change {
	const struct schema_table *table;
	const char *key;         /* "" for a singleton */
	const struct entry *old; /* NULL: created */
	const struct entry *new; /* NULL: deleted */
	const struct tree *tree; /* already with the change */
};

struct exec_ops {
	/* Brings the running system in line. CLI_OK or a code with its reason. NULL: nothing to do (a dry run). A
	 * renamed entry is one deleted and one created; when the creation fails the old one is created again. Moving an
	 * entry within its table is not told. */
	int (*apply)(void *ctx, const struct change *c, struct err *e);
	/* `get`, `execute`, `diagnose` that name no table, words still as typed. CLI_PARSE for an unknown one.
	 * Output goes to `out`, never NULL. NULL: such commands are CLI_PARSE. */
	int (*other)(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e);
	/* Asked before every command that would change something, and again before a commit: CLI_OK, or CLI_DENIED/…
	 * when nothing may change now. Looking around is never asked for. May be NULL. */
	int (*may_change)(void *ctx, struct err *e);
	/* Something was changed and the outermost `end` (or `abort`, or exec_reset(), or exec_free()) is through: save,
	 * if that is yours to do. May be NULL. */
	void (*changed)(void *ctx);
	void *ctx;
};

/* Borrows the tree; the ops are copied. `bootstrap` admits tables that exist in the bootstrap file only. NULL: no
 * memory. */
struct exec *exec_new(struct tree *t, const struct exec_ops *ops, bool bootstrap);
void exec_free(struct exec *x); /* NULL-safe; drops what is uncommitted */

/* For a shell: a `config` or `edit` that fails changes nothing, so that the next line is not lost. */
void exec_set_interactive(struct exec *x);

/* Runs one command. Output of show/get is appended to `out` (may be NULL for none). Returns CLI_OK or a code; then `e`
 * has the reason line ("entry not found in datasource", "command parse error before 'x'"). */
int exec_run(struct exec *x, const struct command *c, struct buf *out, struct err *e);

/* Where the executor stands: "" at the top, "(interface) " … for a prompt: the last word of the table or the key. Valid
 * until the next call. */
const char *exec_prompt(struct exec *x);
bool exec_at_top(const struct exec *x);
void exec_reset(struct exec *x); /* back to the top, uncommitted entry dropped */

/* Candidates that may follow the words typed so far, for completion: verbs, tables, attributes, options, keys, one a
 * line "WORD\tHELP\n" into `out`. The last word is a prefix (may be ""). */
void exec_complete(const struct exec *x, size_t argc, const char *const argv[], struct buf *out);

#endif
