/* install_private: what the files of the install share; nobody else includes it but tests.
 */
#ifndef ROLLBACK_INSTALL_PRIVATE_H
#define ROLLBACK_INSTALL_PRIVATE_H

#include "base/err.h"
#include "rollback/install.h"
#include "rollback/journal.h"
#include "rollback/states.h"

struct dry_run;
struct script;

/* A script being run. */
struct run {
	enum install_script which;
	const struct script *script; /* borrowed from the job */
	size_t next;
	struct exec *exec; /* owned */
	bool memory_only;
	struct err why; /* of the last command that failed */
};

/* How far a revert is. */
enum way_back { BACK_UNSET, BACK_RESTORE, BACK_MEMORY };

/* What belongs to the one install that is pending. */
struct job {
	struct journal_head head;
	struct tree *saved;                   /* owned: the configuration to go back to */
	struct script *set, *unset, *restore; /* owned */
	struct dry_run *dry;                  /* owned; while it runs */
	struct run run;
	enum way_back back;
	unsigned passes; /* of the restore, with the system */
	size_t differed; /* lines of the last one */
	struct receipt receipt;
	int64_t retest_ms; /* what is left of the retest */
	unsigned starts;
	bool applied;     /* the whole set script was run */
	bool in_memory;   /* the running tree has it, which after a start of the agent it has not */
	bool any_manager; /* it changes `system central-management`, or is an operator's */
	bool unproven;    /* an operator's, and no session can come about */
	bool testing;     /* a fresh session is asked for */
	char cause[256];
};

struct install {
	struct install_ops ops;
	struct store *store;
	struct receipts *receipts;
	struct reboots *reboots;
	char *state_dir;
	char boot_id[BOOT_ID_MAX];
	enum install_state state;
	mono_t entered, deadline;
	mono_t chores;           /* next try of what is left over */
	bool leftover;           /* a journal nobody needs could not be removed */
	struct journal *journal; /* NULL in IDLE */
	struct job job;
};

/* The one function that changes the state: mark on disk, log line, action. An event that means nothing in this state
 * is logged and changes nothing: -EPROTO. A mark that cannot be written: see states_need_mark(). */
int install_change(struct install *in, enum install_event ev, mono_t now, struct err *e);

/* Adds to the cause in the receipt, "; " between. */
void install_because(struct install *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void install_act(struct install *in, enum install_action a, mono_t now);
void install_job_clear(struct install *in);

/* Parses the two scripts into the job. 0, -EINVAL with position, or -ENOMEM. */
int install_scripts(struct job *job, const struct journal_head *h, struct err *e);

/* Starts a script with a new executor; -ENOMEM when there is none to be had. */
int run_start(struct install *in, enum install_script which, const struct script *s, enum install_means means);
/* Runs some of its commands. True when it is through. */
bool run_slice(struct install *in);
void run_stop(struct install *in);

/* After a start of the agent: brings memory to what it was, saved configuration plus set script. */
int run_rebuild(struct install *in, enum install_means means);

/* Starts the commands that lead from the running to the saved tree. False: there are none; or, of those with the
 * system, one pass more would be of no use. What the system refuses in the order of the one pass it may take in the
 * next. */
bool run_restore(struct install *in, enum install_means means);

/* Says in the log and in the cause which entries the system did not let go back. */
void run_name_refused(struct install *in);

/* Runs some of the dry run. True when it is through, and the receipt has what it found. */
bool install_dry_slice(struct install *in);

/* Tries what is left over. */
void install_chores(struct install *in, mono_t now);

#endif
