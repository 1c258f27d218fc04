/* pkg_status: when and how each object was last updated, and until when it is paid for.
 *
 * `<dir>/status.json`, replaced whole, after everything it tells of is on disk. It is for people: what is installed is
 * decided by the store alone. A damaged file is kept aside as .corrupt and begins anew.
 */
#ifndef PACKAGE_PKG_STATUS_H
#define PACKAGE_PKG_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "package/level.h"

struct err;
struct object_type;
struct pkg_status;

enum pkg_last_result { PKG_RESULT_NONE, PKG_RESULT_INSTALLED, PKG_RESULT_NO_UPDATES };

/* Of one kind. */
struct pkg_record {
	int64_t updated_s; /* wall clock, seconds since 1970; 0: never */
	enum update_way way;
	int64_t attempted_s; /* the last time one was offered, or asked for; 0: never */
	enum pkg_last_result result;
	uint32_t expires; /* the contract's last day, yyyymmdd; 0: none known */
};

/* Missing: nothing is known yet. Damaged: the same, with an event, and the file aside. 0, or -errno: it cannot be told
 * what is in it. */
int pkg_status_load(const char *dir, struct pkg_status **out, struct err *e);
void pkg_status_free(struct pkg_status *st); /* NULL-safe */

/* As the load does, into the same struct: another process may have written it. Nothing happens while there is something
 * that could not be written yet. 0, or -errno with nothing changed. */
int pkg_status_reread(struct pkg_status *st, struct err *e);

/* Never NULL for a kind of the table. */
const struct pkg_record *pkg_status_of(const struct pkg_status *st, const struct object_type *kind);

void pkg_status_installed(struct pkg_status *st, const struct object_type *kind, enum update_way way, int64_t now_s);
void pkg_status_unchanged(struct pkg_status *st, const struct object_type *kind, int64_t now_s); /* No Updates */

/* What a contract object says replaces what the last one said. Its payload: lines `NAME yyyymmdd`. 0, -EBADMSG with the
 * line in `e` and nothing changed, or -ENOMEM. pkg_status_judge_contract() only looks. */
int pkg_status_set_contract(struct pkg_status *st, const char *text, size_t len, struct err *e);
int pkg_status_judge_contract(const char *text, size_t len, struct err *e);

/* Writes it unless nothing has changed since it was read or written; *wrote (may be NULL) says which. 0 or -errno, and
 * the next call tries again. */
int pkg_status_save(struct pkg_status *st, bool *wrote, struct err *e);

const char *pkg_way_name(enum update_way way);            /* the guide's: "scheduled", "manual"; "ha" */
const char *pkg_last_result_name(enum pkg_last_result r); /* the guide's: "Updates Installed", "No Updates"; "n/a" */

#endif
