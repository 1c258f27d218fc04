#include "config/order.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/node.h"
#include "config/refs.h"
#include "config/schema.h"

static int
compare_ranks(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct order_rank *)a)->entry;
	uintptr_t y = (uintptr_t)((const struct order_rank *)b)->entry;

	return (x > y) - (x < y);
}

int
order_ranks(const struct table *t, struct order_rank **out)
{
	struct order_rank *ranks = NULL;
	size_t n = 0;

	if (t->count) {
		ranks = calloc(t->count, sizeof(*ranks));
		if (!ranks)
			return -ENOMEM;
	}
	for (const struct entry *e = t->first; e; e = e->next, n++)
		ranks[n] = (struct order_rank){e, n};
	if (n)
		qsort(ranks, n, sizeof(*ranks), compare_ranks);
	*out = ranks;
	return 0;
}

size_t
order_rank(const struct order_rank *ranks, size_t n, const struct entry *e)
{
	struct order_rank probe = {e, 0};
	const struct order_rank *r = bsearch(&probe, ranks, n, sizeof(*ranks), compare_ranks);

	return r->rank;
}

/* A walk through the references of a table, depth first, without recursion: chains may be as long as the table. */
struct walk {
	const struct table *table;
	const struct order_rank *ranks;
	uint8_t *states; /* by rank */
	const struct entry **stack;
	size_t depth, cap;
	const struct entry **out;
	size_t used;
};

enum { WALK_NEW, WALK_OPEN, WALK_DONE };

static uint8_t *
walk_state(struct walk *w, const struct entry *e)
{
	return &w->states[order_rank(w->ranks, w->table->count, e)];
}

static int
walk_push(struct walk *w, const struct entry *e)
{
	size_t cap = w->cap ? 2 * w->cap : 64;
	const struct entry **more;

	if (w->depth == w->cap) {
		more = realloc(w->stack, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		w->stack = more;
		w->cap = cap;
	}
	w->stack[w->depth++] = e;
	return 0;
}

static int
walk_reference(void *ctx, const struct schema_attr *a, const char *key)
{
	struct walk *w = ctx;
	const struct entry *e;

	for (size_t i = 0; i < a->refers_count; i++) {
		e = strcmp(a->refers[i], w->table->schema->path) ? NULL : table_find(w->table, key);
		if (e && *walk_state(w, e) == WALK_NEW && walk_push(w, e))
			return -ENOMEM;
	}
	return 0;
}

/* Puts out everything the entry needs, then the entry. */
static int
walk_from(struct walk *w, const struct entry *root)
{
	int rc = walk_push(w, root);

	while (!rc && w->depth) {
		const struct entry *e = w->stack[w->depth - 1];
		uint8_t *state = walk_state(w, e);

		if (*state == WALK_NEW) {
			*state = WALK_OPEN;
			rc = refs_walk(e, walk_reference, w);
			continue;
		}
		if (*state == WALK_OPEN) {
			*state = WALK_DONE;
			w->out[w->used++] = e;
		}
		w->depth--;
	}
	return rc;
}

int
order_entries(const struct table *t, const struct entry ***out)
{
	struct order_rank *ranks = NULL;
	struct walk w = {.table = t};
	bool within = refs_within(t->schema);
	int rc = 0;

	if (!t->count) {
		*out = NULL;
		return 0;
	}
	w.out = calloc(t->count, sizeof(*w.out));
	w.states = calloc(t->count, 1);
	if (!w.out || !w.states)
		rc = -ENOMEM;
	if (!rc && within)
		rc = order_ranks(t, &ranks);
	w.ranks = ranks;
	for (const struct entry *e = t->first; e && !rc; e = e->next) {
		if (within)
			rc = walk_from(&w, e);
		else
			w.out[w.used++] = e;
	}
	free(ranks);
	free(w.states);
	free(w.stack);
	if (rc)
		free(w.out);
	else
		*out = w.out;
	return rc;
}

/* The longest rising subsequence: `tails[k]` is where the best one of length k + 1 ends, `before` links back. */
int
order_stays(const size_t *have, size_t n, bool *stays)
{
	size_t *tails = calloc(n + 1, sizeof(*tails)), *before = calloc(n + 1, sizeof(*before));
	size_t length = 0, at;
	int rc = tails && before ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && i < n; i++) {
		size_t low = 0, high = length;

		while (low < high) {
			size_t mid = (low + high) / 2;

			if (have[tails[mid]] < have[i])
				low = mid + 1;
			else
				high = mid;
		}
		before[i] = low ? tails[low - 1] : n;
		tails[low] = i;
		if (low == length)
			length++;
	}
	if (!rc) {
		memset(stays, 0, n * sizeof(*stays));
		for (at = length ? tails[length - 1] : n; at != n; at = before[at])
			stays[have[at]] = true;
	}
	free(tails);
	free(before);
	return rc;
}
