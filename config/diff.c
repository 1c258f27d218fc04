#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/midway.h"
#include "config/node.h"
#include "config/order.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/tree.h"
#include "config/write.h"

struct diff {
	struct writer w;
	size_t lines;
};

/* A block opened in the hope that something comes into it. */
struct opening {
	size_t before, after; /* lengths of the output */
};

static struct opening
open_table(struct diff *d, const struct schema_table *t)
{
	struct opening o = {.before = d->w.out->len};

	write_config(&d->w, t);
	o.after = d->w.out->len;
	return o;
}

/* Closes the block, or takes it back when it stayed empty. */
static void
close_table(struct diff *d, struct opening o)
{
	if (d->w.out->len > o.after || d->w.rc) {
		write_close(&d->w, "end");
		return;
	}
	buf_cut(d->w.out, o.before);
	d->w.depth--;
}

static bool
same_value(const struct value *a, const struct value *b)
{
	if (!a || !b)
		return a == b;
	return a->count == b->count && a->size == b->size && !memcmp(a->text, b->text, a->size);
}

static void
diff_attr(struct diff *d, const struct schema_attr *a, const struct value *from, const struct value *to)
{
	if (same_value(from, to))
		return;
	d->lines++;
	if (to)
		write_set(&d->w, a, to->text, to->size);
	else if (a->fixed) /* cannot be unset, but has a default to set */
		write_set(&d->w, a, a->fallback, a->fallback_size);
	else
		write_line(&d->w, "unset", a->name, NULL);
}

static void diff_nested(struct diff *d, const struct table *from, const struct table *to);

/* What makes `from` (NULL: a new entry) the same as `to`. */
static void
diff_body(struct diff *d, const struct entry *from, const struct entry *to)
{
	const struct schema_table *s = to->schema;

	for (size_t i = 0; i < s->attr_count; i++)
		diff_attr(d, &s->attrs[i], from ? entry_stored(from, &s->attrs[i]) : NULL,
			  entry_stored(to, &s->attrs[i]));
	for (size_t i = 0; i < s->child_count; i++)
		diff_nested(d, from ? &from->children[i] : NULL, &to->children[i]);
}

static void
diff_entry(struct diff *d, const struct entry *from, const struct entry *to)
{
	if (from && entry_equal(from, to))
		return;
	if (!from)
		d->lines++;
	write_edit(&d->w, to);
	diff_body(d, from, to);
	write_close(&d->w, "next");
}

static void
diff_delete(struct diff *d, const struct entry *e)
{
	write_delete(&d->w, e);
	d->lines++;
}

/* Moves into the order of `to`. `made` lists its entries in the order in which new ones come into being, behind those
 * of `from`. */
static void
diff_moves(struct diff *d, const struct table *from, const struct table *to, const struct entry *const *made)
{
	const struct entry **have, *twin;
	size_t used = 0;

	if (to->count < 2)
		return;
	have = calloc(to->count, sizeof(*have));
	if (!have) {
		d->w.rc = -ENOMEM;
		return;
	}
	for (const struct entry *e = from ? from->first : NULL; e; e = e->next) {
		twin = table_find(to, e->key);
		if (twin)
			have[used++] = twin;
	}
	for (size_t i = 0; i < to->count; i++) {
		if (!from || !table_find(from, made[i]->key))
			have[used++] = made[i];
	}
	write_moves(&d->w, to, have, &d->lines);
	free(have);
}

/* Entries that are new or changed, each after what it refers to, then their order. */
static void
diff_made(struct diff *d, const struct table *from, const struct table *to)
{
	const struct entry **made;
	int rc = order_entries(to, &made);

	if (rc) {
		d->w.rc = d->w.rc ? d->w.rc : rc;
		return;
	}
	for (size_t i = 0; i < to->count; i++)
		diff_entry(d, from ? table_find(from, made[i]->key) : NULL, made[i]);
	diff_moves(d, from, to, made);
	free(made);
}

/* Entries that are gone, each before what it refers to. */
static void
diff_gone(struct diff *d, const struct table *from, const struct table *to)
{
	const struct entry **order;
	int rc = order_entries(from, &order);

	if (rc) {
		d->w.rc = d->w.rc ? d->w.rc : rc;
		return;
	}
	for (size_t i = from->count; i-- > 0;) {
		if (!table_find(to, order[i]->key))
			diff_delete(d, order[i]);
	}
	free(order);
}

static void
diff_nested(struct diff *d, const struct table *from, const struct table *to)
{
	struct opening o;

	if (from ? table_equal(from, to) : !to->count)
		return;
	o = open_table(d, to->schema);
	if (to->schema->singleton) {
		diff_body(d, from ? from->first : NULL, to->first);
	} else {
		if (from)
			diff_gone(d, from, to);
		diff_made(d, from, to);
	}
	close_table(d, o);
}

static void
diff_table(struct diff *d, const struct table *from, const struct table *to)
{
	struct opening o = open_table(d, to->schema);

	if (to->schema->singleton)
		diff_body(d, from->first, to->first);
	else
		diff_made(d, from, to);
	close_table(d, o);
}

/* References go back to earlier tables: what is new comes in the order of the tables, what is gone goes in reverse when
 * nothing names it any more. */
static void
diff_step(struct diff *d, const struct tree *from, const struct tree *to)
{
	struct opening o;

	for (size_t i = 0; i < to->count; i++) {
		if (!table_equal(&from->tables[i], &to->tables[i]))
			diff_table(d, &from->tables[i], &to->tables[i]);
	}
	for (size_t i = to->count; i-- > 0;) {
		if (from->tables[i].schema->singleton || !from->tables[i].count)
			continue;
		o = open_table(d, from->tables[i].schema);
		diff_gone(d, &from->tables[i], &to->tables[i]);
		close_table(d, o);
	}
}

static int
diff_run(const struct tree *from, const struct tree *to, unsigned flags, struct buf *out, size_t *lines)
{
	struct diff d = {.w = {.out = out, .flags = flags}};
	struct tree *midway = NULL;
	size_t before = out->len;

	if (from->schema != to->schema)
		return -EINVAL;
	d.w.rc = midway_tree(from, to, &midway);
	if (!d.w.rc && midway)
		diff_step(&d, from, midway);
	if (!d.w.rc)
		diff_step(&d, midway ? midway : from, to);
	tree_free(midway);
	if (d.w.rc)
		buf_cut(out, before);
	else if (lines)
		*lines = d.lines;
	return d.w.rc;
}

int
diff_trees(const struct tree *from, const struct tree *to, struct buf *out, size_t *lines)
{
	return diff_run(from, to, PRINT_SECRETS, out, lines);
}

int
diff_show(const struct tree *from, const struct tree *to, struct buf *out, size_t *lines)
{
	return diff_run(from, to, 0, out, lines);
}
