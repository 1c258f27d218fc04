/* device: the configuration of this box: the running tree, what applies it, and the saved one.
 *
 * Installs change the running tree through device_executor(); operators through a shell, whose change is saved when its
 * outermost `end` is through, or undone when it cannot be saved. When no install is pending, running and saved
 * configuration are the same.
 */
#ifndef AGENT_DEVICE_H
#define AGENT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/apply.h"
#include "base/clock.h"
#include "config/checksum.h"
#include "config/load.h"
#include "rollback/install.h"

struct buf;
struct change;
struct device;
struct err;
struct exec;
struct schema;
struct store;
struct tree;

struct device_ops {
	void *ctx;
	/* The running configuration has changed: checksums, managers, names may differ. */
	void (*changed)(void *ctx);
	/* `get`, `execute`, `diagnose` inside a script of a manager's. */
	int (*other)(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e);
};

/* Borrows schema, store and apply (NULL: nothing is applied). Loads the saved configuration into memory; what of it
 * fails goes to `complain`, and is left out. When the saved file was damaged `e` says what took its place, and the call
 * still returns 0. */
int device_new(const struct schema *s, struct store *st, struct apply *a, const struct device_ops *ops,
	       load_complain_fn *complain, void *complain_ctx, struct device **out, struct err *e);
void device_free(struct device *d); /* NULL-safe */

struct tree *device_running(struct device *d);
const struct checksums *device_checksums(struct device *d); /* computed when asked for and changed since */
const uint8_t *device_checksum(struct device *d);           /* that of everything alone: 16 bytes */
/* Some of the work that device_checksum() would have to do, within a millisecond; true while something is left. */
bool device_checksum_step(struct device *d);

/* Whether a configuration names a manager to dial: without one no session can prove a configuration good. */
bool device_names_manager(const struct tree *t);

/* Brings the running system in line with the whole running tree, as after a boot: what is missing comes, and what it
 * finds different is said in the log before. How many entries failed; the first reason in `e`. */
int device_settle(struct device *d, struct err *e);

/* The same for the entries alone that executors have changed since the last call of either of these two: a revert
 * touches nothing else (recovery.md, invariant 4). */
int device_settle_changed(struct device *d, struct err *e);
void device_forget_changed(struct device *d);

/* No install is pending, and the saved configuration is in force: what it names is its own (apply_own()). At a start,
 * and at every verdict; after its own saves the device does it itself. */
void device_own(struct device *d);

/* What these two and the executors could not bring about for a passing reason (apply_pay()) is tried again:
 * device_tick() when device_deadline() is due, at longer and longer intervals, until it has come about or was in vain
 * SETTLE_TRIES times. MONO_NEVER: nothing is owed. The log tells the beginning and the end. */
enum { SETTLE_MIN_MS = 1000, SETTLE_MAX_MS = 64 * 1000, SETTLE_TRIES = 12 };
mono_t device_deadline(const struct device *d);
void device_tick(struct device *d, mono_t now);

/* Where the running system differs from the running tree. CLI_OK or CLI_FAILED, as apply_drift(). */
int device_drift(struct device *d, apply_drift_fn *fn, void *ctx, struct err *e);

/* For the programs that apply tables (agent/apply.h): an install's script or a command is through; a turn of the event
 * loop begins; it has taken long enough. */
void device_rest(struct device *d);
void device_turn(struct device *d);
bool device_is_slow(const struct device *d);
void device_say_kept(struct device *d);

/* An executor for an install's scripts; the caller frees it. NULL: no memory. */
struct exec *device_executor(struct device *d, enum install_means means);

/* A command of a manager's that names no table (device_ops.other). */
int device_other(struct device *d, size_t argc, const char *const argv[], struct buf *out, struct err *e);

/* What an operator's shell puts into its own executor's hooks: applies one committed change and remembers that it has
 * to be saved. */
int device_apply_for_shell(struct device *d, const struct change *c, struct err *e);
void
device_changed_by_shell(struct device *d); /* exec_ops.changed of a shell: what no applier hears of, an order, too */

/* Once a shell stands at the top again: saves what was changed, as a revision by `who`. 0, or the error of the save;
 * then the change is undone in memory and in the system. */
int device_save_changes(struct device *d, const char *who, struct err *e);

/* Replaces the whole configuration by `text` (a backup): the difference is executed and saved, or undone. One that
 * configures nothing is refused. 0 or a CLI code. */
int device_replace(struct device *d, const char *name, const char *text, size_t len, const char *who, struct err *e);

#endif
