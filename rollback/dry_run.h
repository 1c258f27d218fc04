/* dry_run: what the unset script of an install takes back, found out on a copy before anything is changed.
 *
 * The set script and then the unset script run on a copy of the configuration, which should be back where it was then.
 * A command of the set script is reversible when nothing that it changed is left different:
 *
 *   set, unset, append, select, unselect   the attribute has the value of before
 *   edit, clone … to, rename … to          an entry that was not there before is not there
 *   delete, rename                         the entry is there, the same, and its table in the same order
 *   purge                                  … each entry of the table
 *   move                                   the entries that stayed stand in the same order
 *
 * In a nested table the last three look at the table as a whole. Commands that fail, and those that change nothing by
 * themselves (config, next, end, get, show, …), are reversible. The copy takes every change: what a system would refuse
 * is not known beforehand. It changes nothing, and decides nothing: an install that is not reversible is taken back by
 * the agent's own inverse.
 */
#ifndef ROLLBACK_DRY_RUN_H
#define ROLLBACK_DRY_RUN_H

#include <stdbool.h>
#include <stddef.h>

struct command;
struct dry_run;
struct script;
struct tree;

/* Borrows all three for as long as it lives. NULL: no memory. */
struct dry_run *dry_run_new(const struct tree *before, const struct script *set, const struct script *unset);
void dry_run_free(struct dry_run *d); /* NULL-safe */

/* Runs at most so many commands. True when it is through. */
bool dry_run_step(struct dry_run *d, size_t commands);

/* How far it is: steps of dry_run_step() in commands. */
size_t dry_run_done(const struct dry_run *d);
size_t dry_run_total(const struct dry_run *d);

struct dry_run_result {
	size_t commands, reversible; /* of the set script */
	bool back; /* the copy is as before. Not so with every command reversible: the unset script changes more */
};

/* Once it is through. Each command that is not reversible goes to `name`, in the order of the script. */
void dry_run_result(const struct dry_run *d, void (*name)(void *ctx, const struct command *c), void *ctx,
		    struct dry_run_result *out);

#endif
