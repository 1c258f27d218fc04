/* pkg_store_private: changing what is installed, for pkg_job.c, pkg_check.c and pkg_copy.c only.
 */
#ifndef PACKAGE_PKG_STORE_PRIVATE_H
#define PACKAGE_PKG_STORE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "package/object.h"
#include "package/pkg_store.h"

enum { PKG_VERSION_NAME = VERSION_TEXT + 4 }; /* a version's folder: 19.00264, 19.00264-2 */

/* One process at a time, for as long as it changes something. -EBUSY: it is held, also by this store. */
int pkg_store_lock(struct pkg_store *s, struct err *e);
void pkg_store_unlock(struct pkg_store *s); /* NULL-safe; no lock is no error */

/* A file without a name, for an object or a payload; gone when closed unless it is put somewhere. */
int pkg_store_new_file(const struct pkg_store *s, int *fd, struct err *e);

/* The files of one version, open for reading. */
struct pkg_files {
	char name[PKG_VERSION_NAME];
	int object_fd, payload_fd;
	uint32_t object_len, payload_len;
	uint64_t object_ino;
	bool is_signed;
	struct object_label label;
};

enum pkg_which { PKG_CURRENT, PKG_OLDER };

/* What `current` names, or the version before it; where the link that tells is damaged, the only other one. Its form is
 * held against its name, nothing is verified. 0 (close it again); -ENOENT: there is none; -EBADMSG: not what it should
 * be, which out->name tells then as far as it is known; or another error. */
int pkg_store_files(const struct pkg_store *s, const struct object_type *kind, enum pkg_which which,
		    struct pkg_files *out, struct err *e);
void pkg_files_close(struct pkg_files *f);

/* What is about to become current: a plain value. */
struct pkg_placed {
	const struct object_type *kind;
	char name[PKG_VERSION_NAME], before[PKG_VERSION_NAME]; /* before: "" for none */
	bool swapped;
};

/* Gives both files (borrowed, on disk) names in a folder of their own beside the current one, which stays current;
 * durably. The lock is held. */
int pkg_store_put(struct pkg_store *s, const struct object_type *kind, struct version v, bool is_signed, int object_fd,
		  int payload_fd, struct pkg_placed *out, struct err *e);

/* Makes it current, durably, and reads it: pkg_store_coming(), while pkg_store_current() is still what was before.
 * After a failure, and also later: pkg_store_back(). */
int pkg_store_swap(struct pkg_store *s, struct pkg_placed *p, struct err *e);
const struct pkg_installed *pkg_store_coming(const struct pkg_store *s);

/* As if it had never been put there. -errno: it could not be undone, and that is an emergency. */
int pkg_store_back(struct pkg_store *s, struct pkg_placed *p, struct err *e);

/* It stays: it was verified just now, and the version before it is the only other one that is kept. What cannot be
 * removed is removed at the next open. */
void pkg_store_settle(struct pkg_store *s, struct pkg_placed *p);

/* The version before takes the place of the current one, which is removed; `name` NULL: none does. The lock is held. */
int pkg_store_replace(struct pkg_store *s, const struct object_type *kind, const char *name, struct err *e);

/* Reads one kind again. 0, also when there is none; -EBADMSG, -EIO, -ENOTDIR, -ELOOP: it is damaged, and counts as
 * none; another -errno: nothing is known that was not known before. */
int pkg_store_read_kind(struct pkg_store *s, const struct object_type *kind, struct err *e);

void pkg_store_set_health(struct pkg_store *s, const struct object_type *kind, enum pkg_health h);

/* The path of `current`'s target may be longer than one may think: "…/NIDS/24/19.00264/payload", the caller's. */
char *pkg_store_path(const struct pkg_store *s, const struct object_type *kind, const char *name, const char *file);

#endif
