#include "config/midway.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "config/node.h"
#include "config/order.h"
#include "config/refs.h"
#include "config/schema.h"
#include "config/tree.h"

/* True when the entry's name stands in another table of its family in `to`. */
static bool
name_moves(const struct entry *e, const struct tree *to)
{
	for (size_t i = 0; i < schema_family_count(to->schema); i++) {
		const struct schema_family *f = schema_family_at(to->schema, i);

		for (size_t k = 0; schema_family_has(f, e->schema) && k < f->count; k++) {
			if (f->tables[k] != e->schema && table_find(tree_table(to, f->tables[k]), e->key))
				return true;
		}
	}
	return false;
}

static bool
any_name_moves(const struct tree *from, const struct tree *to)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct table *t = &from->tables[i];

		for (const struct entry *e = t->schema->singleton ? NULL : t->first; e; e = e->next) {
			if (!table_find(&to->tables[i], e->key) && name_moves(e, to))
				return true;
		}
	}
	return false;
}

/* True for a reference to an entry that has to go. */
static int
names_marked(void *ctx, const struct schema_attr *a, const char *key)
{
	const struct tree *t = ctx;

	for (size_t i = 0; i < a->refers_count; i++) {
		const struct entry *e = tree_entry(t, a->refers[i], key);

		if (e && e->mark == t->mark)
			return 1;
	}
	return 0;
}

/* Back to its defaults: a singleton cannot go. */
static void
empty_singleton(struct entry *e)
{
	while (e->value_count)
		entry_drop(e, &e->schema->attrs[e->values[e->value_count - 1].attr]);
	for (size_t i = 0; i < e->schema->child_count; i++) {
		struct table *child = &e->children[i];

		if (child->schema->singleton)
			empty_singleton(child->first);
		else
			table_clear(child);
	}
}

/* Marks what moves and what refers to something marked: references go back only, so that one look in the order in which
 * entries come into being finds all. */
static int
mark_table(struct tree *t, struct table *tab, const struct tree *to)
{
	const struct entry **order;
	size_t n = tab->count;
	int rc = order_entries(tab, &order);

	for (size_t i = 0; !rc && i < n; i++) {
		struct entry *e = table_find(tab, order[i]->key);
		bool gone = !tab->schema->singleton && !table_find(tree_table(to, tab->schema), e->key);

		if ((gone && name_moves(e, to)) || refs_walk(e, names_marked, t))
			e->mark = t->mark;
	}
	if (!rc)
		free(order);
	return rc;
}

static void
drop_marked(struct tree *t)
{
	for (size_t i = 0; i < t->count; i++) {
		for (struct entry *e = t->tables[i].first, *next; e; e = next) {
			next = e->next;
			if (e->mark != t->mark)
				continue;
			if (!t->tables[i].schema->singleton) {
				tree_gone(t, e);
				continue;
			}
			refs_drop(t, e);
			empty_singleton(e);
		}
	}
}

int
midway_tree(const struct tree *from, const struct tree *to, struct tree **out)
{
	struct tree *t;
	int rc = 0;

	*out = NULL;
	if (!any_name_moves(from, to))
		return 0;
	t = tree_clone(from);
	if (!t)
		return -ENOMEM;
	t->mark++;
	for (size_t i = 0; !rc && i < t->count; i++)
		rc = mark_table(t, &t->tables[i], to);
	if (rc) {
		tree_free(t);
		return rc;
	}
	drop_marked(t);
	*out = t;
	return 0;
}
