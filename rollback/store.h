/* store: the saved configuration on disk and its revisions.
 *
 * `<state>/sys_config.conf` is replaced whole or not at all; `<state>/revisions/` keeps the last 10, each a comment
 * line and then the bytes of the saved file. A saved file that cannot be read or parsed is kept aside as .corrupt and
 * the newest revision that parses takes its place, on disk too (recovery rules). Both hold secrets in clear: mode 0600.
 */
#ifndef ROLLBACK_STORE_H
#define ROLLBACK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"

struct err;
struct schema;
struct store;
struct tree;

enum { STORE_REVISIONS = 10 };

/* Borrows the schema. Makes the folders (0700). Reads nothing yet. */
int store_open(const char *state_dir, const struct schema *s, struct store **out, struct err *e);
void store_free(struct store *st); /* NULL-safe */

enum store_source { STORE_SAVED, STORE_REVISION, STORE_EMPTY };

/* The configuration to start with, owned by the caller, and where it came from. A file that is missing or has no bytes
 * is an empty tree, unless there are revisions: a box that was configured once must not come up empty. When the file
 * was damaged or lost `e` names it and what took its place, while the call still returns 0. Lines of the file that fail
 * (an attribute no schema knows any more) are reported to `complain` (may be NULL) as "FILE:LINE:COLUMN: text" and left
 * out: a box must come up. Negative only when nothing usable could be built at all (no memory). */
int store_load(struct store *st, struct tree **out, enum store_source *source,
	       void (*complain)(void *ctx, const char *line), void *ctx, struct err *e);

/* Whether the saved file, as it is on disk now, could be read and parsed by a next start: 0, or why not in `e`. */
int store_check(const struct store *st, struct err *e);

/* SHA-256 (hex) of the saved file's bytes as last loaded or saved; of no bytes when there is none. */
const char *store_digest(const struct store *st);

/* Writes `t` as the saved configuration and keeps a numbered revision with `who` (one line, who changed it and why).
 * *renamed says whether the new content is in place: after that nothing is undone, and what failed is in `e`. */
int store_save(struct store *st, const struct tree *t, const char *who, int64_t now_s, bool *renamed, struct err *e);

/* What is left of a save that got past its rename (folder fsync, revision): tries again. 0 when nothing is left. */
int store_finish(struct store *st, struct err *e);
bool store_unfinished(const struct store *st);

/* Keeps a revision of the saved file as it is on disk, unless the newest one is the same: after a start that found the
 * file newer than its revisions. None to keep is no error. */
int store_keep(struct store *st, const char *who, int64_t now_s, struct err *e);

struct revision {
	unsigned number; /* grows for ever */
	int64_t when_s;
	char who[128];
	char digest[SHA256_TEXT];
};

/* Newest first; at most `max`. Returns how many. */
size_t store_revisions(const struct store *st, struct revision out[], size_t max);

/* One of them as a tree, owned by the caller. -ENOENT, or what else was wrong with its file. Lines that fail (an
 * attribute no schema knows any more) go to `complain` (may be NULL) as in store_load() and are left out. */
int store_revision_load(const struct store *st, unsigned number, struct tree **out,
			void (*complain)(void *ctx, const char *line), void *ctx, struct err *e);

#endif
