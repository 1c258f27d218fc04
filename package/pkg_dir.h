/* pkg_dir: folders of the store, by descriptor. No symbolic link is followed, whatever stands where a folder should.
 */
#ifndef PACKAGE_PKG_DIR_H
#define PACKAGE_PKG_DIR_H

#include <stdbool.h>

struct err;

/* A folder in `at`. With `make` it is made (0700), durably, where it is missing; something else that stands there is
 * removed then if it is no folder. The descriptor is the caller's. -errno, with the name in `e`; -ENOENT: there is
 * none. */
int pkg_dir_open(int at, const char *name, bool make, struct err *e);

int pkg_dir_sync(int fd, const char *name, struct err *e);

/* Removes what `name` is, and what is in it. Missing is no error. */
int pkg_dir_remove(int at, const char *name, struct err *e);

/* The same for everything in a folder, which stays. */
int pkg_dir_empty(int fd, struct err *e);

/* Each name in the folder but "." and "..". What `each` returns, other than 0, ends it and is returned. */
typedef int pkg_dir_each_fn(void *ctx, int fd, const char *name);
int pkg_dir_walk(int fd, pkg_dir_each_fn *each, void *ctx, struct err *e);

/* A symbolic link `name` to `target`, in the place of whatever was called so; atomically where it was a link. Not yet
 * durable. */
int pkg_dir_link(int fd, const char *name, const char *target, struct err *e);

#endif
