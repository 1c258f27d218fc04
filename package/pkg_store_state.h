/* pkg_store_state: what pkg_store.c and pkg_place.c share, and nobody else sees.
 */
#ifndef PACKAGE_PKG_STORE_STATE_H
#define PACKAGE_PKG_STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "package/pkg_store.h"
#include "package/pkg_store_private.h"

#define PKG_STAGING ".staging"

struct slot {
	bool present;
	uint64_t ino; /* of the object's file */
	struct pkg_installed in;
};

struct pkg_store {
	char *folder;
	int fd;             /* of the folder */
	int lock_fd;        /* -1: not held */
	struct slot *slots; /* by types_index() */
	struct slot coming; /* current on disk, and not yet for good */
};

/* The folder of one kind, `NIDS/24`; the caller's. -ENOENT unless `make`. */
int pkg_store_open_kind(const struct pkg_store *s, const struct object_type *kind, bool make, struct err *e);

bool pkg_store_is_version(const char *name, struct version *v);

/* A link that names a version. 0, -ENOENT, or -EBADMSG: it names something else, or is no link. */
int pkg_store_read_link(int fd, const char *link, char name[PKG_VERSION_NAME]);

/* What is on disk now; empty: none. The caller's: pkg_store_clear_slot(). 0, also when there is none, or -errno. */
int pkg_store_read_slot(const struct pkg_store *s, const struct object_type *kind, struct slot *out, struct err *e);
void pkg_store_clear_slot(struct slot *slot);

/* Removes versions that are neither current nor the one before, and links that were not finished. Where what is current
 * cannot be told, nothing is removed. */
int pkg_store_tidy_kind(struct pkg_store *s, const struct object_type *kind, struct err *e);

#endif
