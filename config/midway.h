/* midway: a stop on the way from one tree to another, where a name moves from one table to another of its family.
 *
 * A name stands in one table of a family (config/schema.h), so the old entry has to go before the new one can come, and
 * cannot while something refers to it.
 */
#ifndef CONFIG_MIDWAY_H
#define CONFIG_MIDWAY_H

struct tree;

/* *out is `from` without the entries whose name moves and without everything that refers to those, the caller's to
 * free; NULL where no name moves, which is nearly always. 0 or -ENOMEM. */
int midway_tree(const struct tree *from, const struct tree *to, struct tree **out);

#endif
