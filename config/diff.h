/* diff: what leads from one tree to another, as commands. */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include <stddef.h>

struct buf;
struct tree;

/* Appends commands to `out` that change `from` into `to` when executed on `from`: entries deleted only after whatever
 * referred to them, created before. Empty when the trees are equal. Secrets are in clear: what people see comes from
 * diff_show(). *lines (may be NULL) counts set, unset, delete, move and create commands. Both trees have the same
 * schema. 0 or -errno. */
int diff_trees(const struct tree *from, const struct tree *to, struct buf *out, size_t *lines);

/* The same for reading: secrets are masked. */
int diff_show(const struct tree *from, const struct tree *to, struct buf *out, size_t *lines);

#endif
