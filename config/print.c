#include "config/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/node.h"
#include "config/order.h"
#include "config/print_private.h"
#include "config/schema.h"
#include "config/write.h"

static void
print_attr(struct writer *w, const struct entry *e, const struct schema_attr *a)
{
	const struct value *v = entry_stored(e, a);

	if ((w->flags & PRINT_CHECKSUM) && !strcmp(a->name, "uuid"))
		return;
	if (v)
		write_set(w, a, v->text, v->size);
	else if ((w->flags & PRINT_FULL) && a->fallback)
		write_set(w, a, a->fallback, a->fallback_size);
	else if ((w->flags & PRINT_FULL) && !a->required)
		write_line(w, "unset", a->name, NULL);
}

void
print_body(struct writer *w, const struct entry *e)
{
	if (w->flags & PRINT_FULL) {
		for (size_t i = 0; i < e->schema->attr_count; i++)
			print_attr(w, e, &e->schema->attrs[i]);
	} else {
		for (size_t i = 0; i < e->value_count; i++)
			print_attr(w, e, &e->schema->attrs[e->values[i].attr]);
	}
	for (size_t i = 0; i < e->schema->child_count; i++)
		print_nodes(w, &e->children[i]);
}

void
print_edit(struct writer *w, const struct entry *e)
{
	write_edit(w, e);
	print_body(w, e);
	write_close(w, "next");
}

/* Entries that refer to later ones of their table cannot be made in the order of the table: they come after those, and
 * moves put them back. The checksum is of the plain order. */
static void
print_entries(struct writer *w, const struct table *t)
{
	const struct entry **order;
	int rc;

	if (t->schema->parent || (w->flags & PRINT_CHECKSUM)) {
		for (const struct entry *e = t->first; e; e = e->next)
			print_edit(w, e);
		return;
	}
	rc = order_entries(t, &order);
	if (rc) {
		w->rc = w->rc ? w->rc : rc;
		return;
	}
	for (size_t i = 0; i < t->count; i++)
		print_edit(w, order[i]);
	write_moves(w, t, order, NULL);
	free(order);
}

/* A table of the bootstrap file is printed only where it has been used: elsewhere it does not exist. */
static bool
is_worth_it(const struct writer *w, const struct table *t)
{
	bool full = (w->flags & PRINT_FULL) && !t->schema->bootstrap_only;

	return full || (t->schema->singleton ? !entry_is_empty(t->first) : t->first != NULL);
}

void
print_nodes(struct writer *w, const struct table *t)
{
	if (!is_worth_it(w, t))
		return;
	write_config(w, t->schema);
	if (t->schema->singleton)
		print_body(w, t->first);
	else
		print_entries(w, t);
	write_close(w, "end");
}

/* Leaves nothing behind when something failed. */
static int
finish(struct writer *w, size_t before)
{
	if (w->rc)
		buf_cut(w->out, before);
	return w->rc;
}

int
print_tree(const struct tree *t, unsigned flags, struct buf *out)
{
	struct writer w = {.out = out, .flags = flags};
	size_t before = out->len;

	for (size_t i = 0; i < t->count && !w.rc; i++) {
		if (!(flags & PRINT_CHECKSUM) || !t->tables[i].schema->unsummed)
			print_nodes(&w, &t->tables[i]);
	}
	return finish(&w, before);
}

int
print_table(const struct tree *t, const struct schema_table *table, unsigned flags, struct buf *out)
{
	struct writer w = {.out = out, .flags = flags};
	size_t before = out->len;

	print_nodes(&w, tree_table(t, table));
	return finish(&w, before);
}

int
print_entry(const struct entry *e, unsigned flags, struct buf *out)
{
	struct writer w = {.out = out, .flags = flags};
	size_t before = out->len;

	if (e->schema->singleton)
		print_body(&w, e);
	else
		print_edit(&w, e);
	return finish(&w, before);
}
