/* pkg_store: the objects that are installed, on disk.
 *
 *   <dir>/.lock                         held by whoever installs, in whichever process
 *   <dir>/.staging/                     emptied at open
 *   <dir>/NIDS/24/19.00264/object.x     exactly as it was signed; `object` where it is not
 *   <dir>/NIDS/24/19.00264/payload      what was in it, unpacked
 *   <dir>/NIDS/24/19.00264/older        symbolic link to the version before it, which is kept
 *   <dir>/NIDS/24/current               symbolic link to 19.00264
 *
 * `current` is the one thing that decides: it is replaced atomically, and what it names is complete on disk before. A
 * version that is installed once more gets a folder of its own, 19.00264-2. Names come from the table of types and from
 * numbers; nothing that a package says becomes a path, and no symbolic link but these two is followed.
 * Verifying what is here: pkg_check.h. Putting something here: pkg_job.h.
 */
#ifndef PACKAGE_PKG_STORE_H
#define PACKAGE_PKG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "package/version.h"

struct denylist;
struct err;
struct object_type;
struct pkg_store;

enum pkg_health {
	PKG_UNCHECKED, /* not yet verified since it was opened */
	PKG_GOOD,
	PKG_BAD, /* kept only because there is nothing better: as if there were none for whoever compares versions */
};

/* Valid until the store is read again, changed by a job, or freed. */
struct pkg_installed {
	const struct object_type *kind;
	struct version version;
	bool is_signed;
	uint64_t built_s; /* seconds since 1970, as its maker says */
	uint32_t os_build;
	uint32_t object_len, payload_len; /* bytes */
	enum pkg_health health;
	char *object_path, *payload_path; /* the store's; below the version's own folder */
};

/* Makes the folder (0700) where it is missing, and reads it. Unless somebody holds the lock it is tidied: staging is
 * emptied, versions that are neither current nor the one before are removed. A kind that is damaged is logged and
 * counts as none. 0 or -errno. */
int pkg_store_open(const char *dir, struct pkg_store **out, struct err *e);
void pkg_store_free(struct pkg_store *s); /* NULL-safe */

/* Reads it again: another process may have installed something. What has not changed keeps its health. */
int pkg_store_reread(struct pkg_store *s, struct err *e);

/* NULL: none is installed. */
const struct pkg_installed *pkg_store_current(const struct pkg_store *s, const struct object_type *kind);

/* The installed list of keys that sign no more, owned by the caller; *out is NULL where none is installed. -errno:
 * there is one and it cannot be read, and then nothing new may be accepted. */
int pkg_store_denylist(const struct pkg_store *s, struct denylist **out, struct err *e);

/* Its folder, for who watches it or stages a download there: with O_TMPFILE, so that nothing is left of it. */
const char *pkg_store_folder(const struct pkg_store *s);

#endif
