/* pkg_copy: signed objects as files in a folder, for the other units of a cluster.
 *
 * Guide: signed packages are "saved to disk with a special extension (.x)", which lets a primary hand them to its
 * secondaries. The guide's secondary trusts such a file; ours verifies it again (pkg_job_new_copies()). A folder's
 * files are found by the names of the table of types, never by what stands in the folder. How it gets from one unit to
 * the other is the cluster's business.
 */
#ifndef PACKAGE_PKG_COPY_H
#define PACKAGE_PKG_COPY_H

#include <stddef.h>

#include "package/format.h"
#include "package/pkg_job.h"

struct err;
struct pkg_store;

/* Writes what is current and signed to `folder`, made (0700) where it is missing, as NAME.x, 0600, each replaced whole.
 * Others there are left alone. Takes as long as it takes. 0 with how many, or -errno, with some written. */
int pkg_copy_export(const struct pkg_store *s, const char *folder, size_t *count, struct err *e);

/* Opens what there is of NAME.x in `folder`: regular files, no symbolic links. 0 with *n of them, for
 * pkg_job_new_copies(), which takes them; -ENOENT: none; or -errno, with none open. */
int pkg_copy_open(const char *folder, struct pkg_copy out[FORMAT_OBJECTS_MAX], size_t *n, struct err *e);
void pkg_copy_close(struct pkg_copy *copies, size_t n);

#endif
