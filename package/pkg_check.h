/* pkg_check: verifies what is installed, piece by piece: at start, and when somebody asks.
 *
 * As for something new, but that a signer's time may be over by now; and the payload on disk has to be what the object
 * unpacks to. Where an object is damaged and the version before it is good, that takes its place; where that is not
 * good either, none is current, so that the next update brings one. One whose signer is not acceptable any more stays,
 * for it is what there is, but counts as bad: the next update replaces it whatever its version.
 */
#ifndef PACKAGE_PKG_CHECK_H
#define PACKAGE_PKG_CHECK_H

#include <stddef.h>

#include "base/err.h"
#include "package/anchor.h"
#include "package/level.h"

struct object_type;
struct pkg_check;
struct pkg_store;

/* What became of one object. */
struct pkg_checked {
	const struct object_type *kind;
	enum signature signature; /* of what was current; bad also where the payload is not the object's */
	struct err why;           /* of a bad one */
	bool replaced;            /* by the version before it, or by none */
};

/* Borrows the store, and copies *check, whose authorities and list stay borrowed. `kind` NULL: everything installed.
 * `check->occasion` is not looked at. Nothing is verified yet. 0, or -ENOMEM. */
int pkg_check_new(struct pkg_store *s, const struct anchor_check *check, const struct object_type *kind,
		  struct pkg_check **out, struct err *e);
void pkg_check_free(struct pkg_check *c); /* NULL-safe, at any time */

/* A bounded piece of work. 1: there is more; 0: done. Trouble with one object is in its `why`. An event is logged for
 * each bad one. */
int pkg_check_step(struct pkg_check *c);

/* What has been found so far, in the table's order. */
size_t pkg_check_count(const struct pkg_check *c);
const struct pkg_checked *pkg_check_at(const struct pkg_check *c, size_t i);

/* The line of `diagnose autoupdate signature check-all`, without its end: "idsdb(4,24) signature is valid." */
enum { PKG_CHECKED_TEXT = 96 };
char *pkg_checked_text(const struct pkg_checked *c, char dst[PKG_CHECKED_TEXT]); /* returns dst */

#endif
