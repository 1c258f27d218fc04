/* install: one configuration install from acceptance to verdict: apply, test, commit or roll back.
 *
 * Guide, "FGFM recovery logic", made precise in the project's recovery rules. One table of states and events; virtual
 * time: every call takes `now`, install_deadline() says when to call install_tick() next. It opens no connection
 * itself: it asks for a fresh session and is told when one is up. The 900 seconds are a constant that nothing
 * configures.
 */
#ifndef ROLLBACK_INSTALL_H
#define ROLLBACK_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "rollback/receipt.h"

struct err;
struct exec;
struct install;
struct reboots;
struct store;
struct tree;

enum {
	INSTALL_TEST_MS = 900 * 1000,
	INSTALL_RETEST_MS = 300 * 1000,
	INSTALL_REBOOT_MS = 300 * 1000,
	INSTALL_CHORES_MS = 30 * 1000, /* between tries of what a disk refused */
	INSTALL_STEP = 64,             /* commands run by one install_step() */
	INSTALL_DRY_STEP = 512,        /* … in the dry run, where no system is asked */
	INSTALL_STARTS_MAX = 3
};

enum install_state {
	INSTALL_IDLE,
	INSTALL_JOURNALED,
	INSTALL_APPLYING,
	INSTALL_TESTING,
	INSTALL_COMMITTING,
	INSTALL_REVERTING,
	INSTALL_RETESTING,
	INSTALL_REBOOTING,
	INSTALL_STATES,
};

const char *install_state_name(enum install_state s); /* "idle", "journaled", … */

enum install_script { INSTALL_SET, INSTALL_UNSET, INSTALL_RESTORE };

/* What an executor works on. AGAIN: the system took these commands before the agent was started anew; what it cannot
 * take now for a passing reason it takes later, and the command has not failed. */
enum install_means { INSTALL_MEMORY, INSTALL_SYSTEM, INSTALL_SYSTEM_AGAIN };

/* None of these may call back into the install, but for install_status() and install_deadline(). */
struct install_ops {
	void *ctx;

	/* The running configuration (borrowed, changes while the executor runs), and an executor on it, with or without
	 * the appliers of the running system. The caller frees the executor. */
	struct tree *(*running)(void *ctx);
	struct exec *(*executor)(void *ctx, enum install_means means);

	/* Brings what executors have changed of the running system in line with the running tree (idempotent). Reports
	 * what it could not do. */
	int (*settle)(void *ctx, struct err *e);

	/* Asked after each command: the rest of the script waits for the next install_step(). NULL: never. */
	bool (*enough)(void *ctx);

	/* One command is done: "CODE: COMMAND" to the manager (set script) and to `diagnose debug cli 8` (all). What
	 * may be a secret in it is masked. */
	void (*line)(void *ctx, enum install_script which, int code, const char *command);

	/* A fresh session is wanted: with `serial`, or with any trusted manager when that is NULL. test_end() when it
	 * is no longer wanted. */
	void (*test_begin)(void *ctx, const char *serial, bool retest);
	void (*test_end)(void *ctx);

	/* The verdict, when the state is IDLE again and the receipt is kept. */
	void (*verdict)(void *ctx, const struct receipt *r);

	/* Reboots, or starts the configured command. 0 once that is under way. Policy (`system dm`) is asked first. */
	bool (*reboot_wanted)(void *ctx, bool manager_allows);
	int (*reboot)(void *ctx, struct err *e);

	/* Whether a session with a manager can come about under a configuration: without one nothing can be tested, and
	 * an operator's install waits for the operator's word. May be NULL: it can. */
	bool (*can_prove)(void *ctx, const struct tree *t);

	/* Wall clock seconds, for records only. */
	int64_t (*wall_s)(void *ctx);
};

struct install_files {
	const char *state_dir;
	const char *boot_id; /* of this boot; copied */
};

/* Borrows store, receipts, reboots and ops (copied struct, borrowed ctx). Nothing is read yet. */
int install_new(const struct install_files *f, struct store *st, struct receipts *rs, struct reboots *rb,
		const struct install_ops *ops, struct install **out, struct err *e);
void install_free(struct install *in); /* NULL-safe; leaves the journal as it is */

/* Once at start, after the saved configuration is in memory as the running one, before it is applied: reads the journal
 * and goes on as the start rules say. Then the agent applies the running tree, unless *applied says that it must not:
 * a revert is under way, and the running tree is what is being taken back. Every callback may come from here. Negative
 * only for want of memory: nothing was done then. */
int install_resume(struct install *in, mono_t now, bool *applied, struct err *e);

struct install_request {
	const char *id;
	const char *manager;     /* "": an operator's on the device. Any trusted manager's session proves it good; where
				  * no session can come about, before or after, the operator's confirmation does. */
	const char *set, *unset; /* texts; copied */
	size_t set_len, unset_len;
	bool manager_allows_reboot, force;
};

/* Accepts (0: journaled, apply follows from install_step()) or refuses, leaving nothing: -EBUSY one is pending,
 * -EALREADY the same was rolled back before, -EINVAL the form is wrong (`e` has line and column), -EFBIG, or the
 * journal's -errno. The caller logs a refusal when it answers. */
int install_begin(struct install *in, const struct install_request *r, mono_t now, struct err *e);

/* Commands wait to be run: call install_step() in the next loop turn. A step runs some commands and returns. */
bool install_busy(const struct install *in);
void install_step(struct install *in, mono_t now);

/* Time-outs of the state, and new tries of what the disk refused: journal to remove, receipt, revision. After a
 * store_save() of its own that left something the agent calls install_tick() once. */
mono_t install_deadline(const struct install *in);
void install_tick(struct install *in, mono_t now);

/* A fresh session passed everything (TCP, TLS, three checks, `get ip` answered with 200). Counts while one is wanted
 * only, and with the manager it is wanted with. */
void install_on_session(struct install *in, const char *serial, mono_t now);

/* An operator ends a pending install. -ENOENT: none is pending or not in a state to be ended so. */
int install_confirm(struct install *in, mono_t now, struct err *e);
int install_revert(struct install *in, mono_t now, struct err *e);

struct install_status {
	enum install_state state;
	char id[INSTALL_ID_MAX];
	char manager[33];
	const char *phase;     /* in words; static */
	size_t commands, done; /* of the script that runs or ran last */
	unsigned failed;
	bool dry;                              /* the dry run was made: */
	unsigned dry_commands, dry_reversible; /* struct receipt_dry */
	bool awaits_operator; /* no session can prove it: it stands when it is confirmed on the device */
	int64_t left_ms;      /* to the state's deadline; -1: none */
	unsigned starts;
	char cause[256];
};

void install_status(const struct install *in, mono_t now, struct install_status *out);

#endif
