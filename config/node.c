#include "config/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "config/codes.h"
#include "config/index.h"
#include "config/schema.h"
#include "config/tree.h"
#include "config/value.h"

void
table_clear(struct table *t)
{
	index_clear(&t->index, NULL);
	while (t->first) {
		struct entry *e = t->first;

		t->first = e->next;
		entry_free(e);
	}
	t->last = NULL;
	t->count = 0;
}

void
entry_free(struct entry *e)
{
	if (!e)
		return;
	for (size_t i = 0; e->children && i < e->schema->child_count; i++)
		table_clear(&e->children[i]);
	for (size_t i = 0; i < e->value_count; i++)
		free(e->values[i].text);
	free(e->children);
	free(e->values);
	free(e);
}

static char *
copy_bytes(const char *text, size_t size)
{
	char *p = malloc(size ? size : 1);

	return p && size ? memcpy(p, text, size) : p;
}

/* An entry with its nested tables, all empty. */
static struct entry *
entry_bare(const struct schema_table *s, const char *key)
{
	size_t size = strlen(key) + 1;
	struct entry *e = calloc(1, sizeof(*e) + size);

	if (!e)
		return NULL;
	e->schema = s;
	e->key = memcpy(e + 1, key, size);
	e->children = s->child_count ? calloc(s->child_count, sizeof(*e->children)) : NULL;
	if (s->child_count && !e->children) {
		entry_free(e);
		return NULL;
	}
	for (size_t i = 0; i < s->child_count; i++)
		e->children[i].schema = s->children[i];
	return e;
}

struct entry *
entry_new(const struct schema_table *s, const char *key)
{
	struct entry *e = entry_bare(s, key), *only;

	for (size_t i = 0; e && i < s->child_count; i++) {
		if (!s->children[i]->singleton)
			continue;
		only = entry_new(s->children[i], "");
		if (!only || table_insert(&e->children[i], only, NULL)) {
			entry_free(only);
			entry_free(e);
			return NULL;
		}
	}
	return e;
}

static int
copy_values(struct entry *to, const struct entry *from)
{
	if (!from->value_count)
		return 0;
	to->values = calloc(from->value_count, sizeof(*to->values));
	if (!to->values)
		return -ENOMEM;
	for (; to->value_count < from->value_count; to->value_count++) {
		struct value v = from->values[to->value_count];

		v.text = copy_bytes(v.text, v.size);
		if (!v.text)
			return -ENOMEM;
		to->values[to->value_count] = v;
	}
	return 0;
}

static int
copy_table(struct table *to, const struct table *from)
{
	for (const struct entry *e = from->first; e; e = e->next) {
		struct entry *copy = entry_copy(e, NULL);

		if (!copy || table_insert(to, copy, to->last)) {
			entry_free(copy);
			return -ENOMEM;
		}
	}
	return 0;
}

struct entry *
entry_copy(const struct entry *e, const char *key)
{
	struct entry *copy = entry_bare(e->schema, key ? key : e->key);
	int rc = copy ? copy_values(copy, e) : -ENOMEM;

	for (size_t i = 0; !rc && i < e->schema->child_count; i++)
		rc = copy_table(&copy->children[i], &e->children[i]);
	if (rc) {
		entry_free(copy);
		return NULL;
	}
	copy->stamp = e->stamp;
	return copy;
}

/* Where the value of an attribute is, or would have to be put. */
static size_t
value_place(const struct entry *e, const struct schema_attr *a)
{
	size_t attr = (size_t)(a - e->schema->attrs), low = 0, high = e->value_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (e->values[mid].attr < attr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct value *
entry_stored(const struct entry *e, const struct schema_attr *a)
{
	size_t i = value_place(e, a);

	return i < e->value_count && e->values[i].attr == a - e->schema->attrs ? &e->values[i] : NULL;
}

const char *
entry_bytes(const struct entry *e, const struct schema_attr *a, size_t *size)
{
	const struct value *v = entry_stored(e, a);

	*size = v ? v->size : a->fallback_size;
	return v ? v->text : a->fallback;
}

void
entry_drop(struct entry *e, const struct schema_attr *a)
{
	size_t i = value_place(e, a);

	if (!entry_stored(e, a))
		return;
	free(e->values[i].text);
	e->value_count--;
	memmove(&e->values[i], &e->values[i + 1], (e->value_count - i) * sizeof(*e->values));
}

int
entry_store(struct entry *e, const struct schema_attr *a, struct packed *p)
{
	struct value v = {p->text, (uint32_t)p->size, (uint16_t)p->count, (uint16_t)(a - e->schema->attrs)};
	size_t i = value_place(e, a);
	struct value *more;

	p->text = NULL;
	if (value_is_default(a, &(struct packed){v.text, v.size, v.count})) {
		free(v.text);
		entry_drop(e, a);
		return 0;
	}
	if (entry_stored(e, a)) {
		free(e->values[i].text);
		e->values[i] = v;
		return 0;
	}
	more = realloc(e->values, (e->value_count + 1u) * sizeof(*more));
	if (!more) {
		free(v.text);
		return -ENOMEM;
	}
	memmove(&more[i + 1], &more[i], (e->value_count - i) * sizeof(*more));
	more[i] = v;
	e->values = more;
	e->value_count++;
	return 0;
}

bool
entry_is_empty(const struct entry *e)
{
	if (e->value_count)
		return false;
	for (size_t i = 0; i < e->schema->child_count; i++) {
		const struct table *t = &e->children[i];

		/* a singleton table always has its one entry: that may be empty */
		if (t->first && (!t->schema->singleton || !entry_is_empty(t->first)))
			return false;
	}
	return true;
}

struct table *
entry_child(const struct entry *e, const struct schema_table *child)
{
	for (size_t i = 0; i < e->schema->child_count; i++) {
		if (e->schema->children[i] == child)
			return &e->children[i];
	}
	return NULL;
}

bool
table_equal(const struct table *a, const struct table *b)
{
	const struct entry *x = a->first, *y = b->first;

	if (a->count != b->count)
		return false;
	for (; x && y; x = x->next, y = y->next) {
		if (!entry_equal(x, y))
			return false;
	}
	return !x && !y;
}

bool
entry_equal(const struct entry *a, const struct entry *b)
{
	if (!a || !b)
		return a == b;
	if (strcmp(a->key, b->key) || a->value_count != b->value_count)
		return false;
	for (size_t i = 0; i < a->value_count; i++) {
		const struct value *x = &a->values[i], *y = &b->values[i];

		if (x->attr != y->attr || x->count != y->count || x->size != y->size ||
		    memcmp(x->text, y->text, x->size))
			return false;
	}
	for (size_t i = 0; i < a->schema->child_count; i++) {
		if (!table_equal(&a->children[i], &b->children[i]))
			return false;
	}
	return true;
}

struct entry *
table_find(const struct table *t, const char *key)
{
	struct entry *e = index_find(&t->index, key);

	return e && !e->hidden ? e : NULL;
}

static void
link_after(struct table *t, struct entry *e, struct entry *after)
{
	e->prev = after;
	e->next = after ? after->next : t->first;
	*(e->prev ? &e->prev->next : &t->first) = e;
	*(e->next ? &e->next->prev : &t->last) = e;
	t->count++;
}

/* Leaves the entry's own pointers as they are: table_unhide() needs them. */
static void
unlink_entry(struct table *t, struct entry *e)
{
	*(e->prev ? &e->prev->next : &t->first) = e->next;
	*(e->next ? &e->next->prev : &t->last) = e->prev;
	t->count--;
}

int
table_insert(struct table *t, struct entry *e, struct entry *after)
{
	if (!index_add(&t->index, e))
		return -ENOMEM;
	link_after(t, e, after);
	return 0;
}

void
table_swap(struct table *t, struct entry *e, struct entry *with)
{
	index_replace(&t->index, with);
	unlink_entry(t, e);
	link_after(t, with, e->prev);
	e->prev = e->next = NULL;
}

void
table_remove(struct table *t, struct entry *e)
{
	index_remove(&t->index, e);
	if (!e->hidden)
		unlink_entry(t, e);
	e->prev = e->next = NULL;
}

void
table_move(struct table *t, struct entry *e, struct entry *after)
{
	if (after == e)
		return;
	unlink_entry(t, e);
	link_after(t, e, after);
}

void
table_hide(struct table *t, struct entry *e)
{
	unlink_entry(t, e);
	e->hidden = true;
}

void
table_unhide(struct table *t, struct entry *e)
{
	link_after(t, e, e->prev);
	e->hidden = false;
}

static bool
is_required(const struct entry *e, const struct schema_attr *a)
{
	const char *now;
	size_t size;

	if (!a->when)
		return a->required;
	now = entry_bytes(e, a->when, &size);
	for (size_t i = 0; size && i < a->when_count; i++) {
		if (!strcmp(now, a->when_values[i]))
			return true;
	}
	return false;
}

int
entry_check_required(const struct entry *e, struct err *err)
{
	for (size_t i = 0; i < e->schema->attr_count; i++) {
		const struct schema_attr *a = &e->schema->attrs[i];

		if (!entry_stored(e, a) && is_required(e, a))
			return err_set(err, CLI_REQUIRED, "empty values are not allowed: attribute '%s' must be set",
				       a->name);
	}
	return CLI_OK;
}
