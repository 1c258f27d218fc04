/* types: the objects there are, by type, sub-id and name.
 *
 * Guide, "To verify the status for all object signatures": names and numbers; "All AV and IPS packages are forced to
 * use the signature". A type or name that came from outside is matched here and never becomes a path.
 */
#ifndef PACKAGE_TYPES_H
#define PACKAGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which command installs it by hand; a set of them is what one may install. */
enum { PKG_AV = 1, PKG_IPS = 2, PKG_OTHER = 4, PKG_ALL = PKG_AV | PKG_IPS | PKG_OTHER };

struct object_type {
	char type[5];      /* as in the headers */
	uint8_t id;        /* as in `NAME(ID,SUB)` */
	uint16_t sub;      /* tells the objects of a type apart */
	const char *name;  /* the description in the object's header */
	bool forced;       /* the guide: has to be signed */
	unsigned family;   /* PKG_AV, PKG_IPS or PKG_OTHER */
	uint32_t max;      /* bytes, and what it may unpack to */
	const char *title; /* for people; the guide's where it gives one */
};

/* NULL: there is no such object. `type` has four bytes and no NUL, `name` is as long as `len` says. */
const struct object_type *types_find(const char type[4], uint16_t sub);
const struct object_type *types_named(const char type[4], const void *name, size_t len);

size_t types_count(void);
const struct object_type *types_at(size_t i);
size_t types_index(const struct object_type *kind); /* of one from the table */

/* By its name alone, which no other has; NULL: none. */
const struct object_type *types_called(const char *name);

#endif
