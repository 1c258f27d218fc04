/* order: in which order entries must be made, and which of them then have to be moved. */
#ifndef CONFIG_ORDER_H
#define CONFIG_ORDER_H

#include <stdbool.h>
#include <stddef.h>

struct entry;
struct table;

/* All entries of a top-level table, those that are referred to before those that refer to them, otherwise as in the
 * table; the caller frees *out. NULL for an empty table. 0 or -ENOMEM. */
int order_entries(const struct table *t, const struct entry ***out);

/* Positions of the entries of one table, found by the entry. */
struct order_rank {
	const struct entry *entry;
	size_t rank;
};

/* The caller frees *out. NULL for an empty table. 0 or -ENOMEM. */
int order_ranks(const struct table *t, struct order_rank **out);
size_t order_rank(const struct order_rank *ranks, size_t n, const struct entry *e);

/* `have` is a permutation of 0…n-1: the ranks of things in the order they are in now. Marks in stays[rank] the largest
 * set that is in order already; moving each of the others behind its predecessor, by rising rank, sorts them all.
 * 0 or -ENOMEM. */
int order_stays(const size_t *have, size_t n, bool *stays);

#endif
