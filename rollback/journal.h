/* journal: what an install in progress must remember over the death of the agent, in `<state>/install.journal`.
 *
 * Append-only: what the install is and its two scripts, once, then one mark for each change of state. Every record
 * carries its number, length and SHA-256. A last record that is torn counts as not written; damage before a good
 * record, or in what the install is, makes the journal damaged. It comes into being whole, by rename, with room for
 * later marks preallocated: a disk that fills up during an install does not stop it.
 * It decides nothing: what a mark means is the install's business.
 */
#ifndef ROLLBACK_JOURNAL_H
#define ROLLBACK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "rollback/install.h"
#include "rollback/receipt.h"

struct err;
struct journal;

enum { BOOT_ID_MAX = 64, JOURNAL_ROOM = 64 * 1024 };

/* What stays the same as long as the install lasts. */
struct journal_head {
	char id[INSTALL_ID_MAX];
	char manager[33];
	char saved_digest[SHA256_TEXT]; /* of the saved configuration at the beginning */
	char boot_id[BOOT_ID_MAX];
	int64_t when_s; /* wall clock, for the receipt only */
	bool manager_allows_reboot;
	const char *set, *unset; /* not NUL-terminated; of a loaded journal they are the journal's */
	size_t set_len, unset_len;
};

struct journal_mark {
	enum install_state state;
	unsigned starts;     /* of the agent since testing, or since reverting, began */
	int64_t deadline_ms; /* boot-time clock; 0: the state has none */
	int64_t left_ms;     /* to the deadline when this was written */
	int64_t retest_ms;   /* what is left of the retest, once it began; INSTALL_RETEST_MS before */
	bool applied;        /* the whole set script was run */
	bool dry;            /* the dry run was made; journals of earlier versions do not say */
	bool dry_back;       /* struct receipt_dry, but for the names */
	unsigned dry_commands, dry_reversible;
	unsigned restored;
	int64_t spent_ms[INSTALL_STATES];
	char cause[256];
};

/* Makes the journal with its first mark, durable when this returns 0. On failure none is left, as far as the disk
 * allows. `head` is copied but for the scripts, which are not kept. */
int journal_create(const char *state_dir, const struct journal_head *head, const struct journal_mark *m,
		   struct journal **out, struct err *e);

/* Reads the one there is: -ENOENT for none. A damaged one comes back too, with as much of its head as was good and with
 * journal_damage() saying why; nothing can be appended to it. */
int journal_load(const char *state_dir, struct journal **out, struct err *e);
const char *journal_damage(const struct journal *j); /* NULL: it is sound */
void journal_close(struct journal *j);               /* NULL-safe; the file stays */

const struct journal_head *journal_head(const struct journal *j);
const struct journal_mark *journal_last(const struct journal *j); /* of a sound one */

/* Adds a mark, durable when this returns 0. After a failure the last good mark counts, and the next one is written over
 * what the failed one left. */
int journal_append(struct journal *j, const struct journal_mark *m, struct err *e);

/* Removes the file, durably. None there is no error. */
int journal_remove(const char *state_dir, struct err *e);

/* Keeps the damaged file as install.journal.corrupt. */
int journal_set_aside(const char *state_dir, struct err *e);

#endif
