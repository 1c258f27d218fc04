#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/node.h"
#include "config/reason.h"
#include "config/refs.h"
#include "config/schema.h"
#include "config/value.h"

void
tree_free(struct tree *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->tables && i < t->count; i++)
		table_clear(&t->tables[i]);
	free(t->tables);
	free(t);
}

/* Tables without any entry, not even those of singletons. */
static struct tree *
tree_bare(const struct schema *s)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->schema = s;
	t->count = schema_count(s);
	t->tables = calloc(t->count ? t->count : 1, sizeof(*t->tables));
	if (!t->tables) {
		tree_free(t);
		return NULL;
	}
	for (size_t i = 0; i < t->count; i++)
		t->tables[i].schema = schema_at(s, i);
	return t;
}

struct tree *
tree_new(const struct schema *s)
{
	struct tree *t = tree_bare(s);
	struct entry *only;

	for (size_t i = 0; t && i < t->count; i++) {
		if (!t->tables[i].schema->singleton)
			continue;
		only = entry_new(t->tables[i].schema, "");
		if (!only || table_insert(&t->tables[i], only, NULL)) {
			entry_free(only);
			tree_free(t);
			return NULL;
		}
	}
	return t;
}

static int
clone_entry(struct table *tab, const struct entry *e)
{
	struct entry *copy = entry_copy(e, NULL);

	if (!copy || table_insert(tab, copy, tab->last)) {
		entry_free(copy);
		return CLI_FAILED;
	}
	copy->refs = e->refs;
	return CLI_OK;
}

struct tree *
tree_clone(const struct tree *t)
{
	struct tree *copy = tree_bare(t->schema);
	int rc = copy ? 0 : CLI_FAILED;

	for (size_t i = 0; !rc && i < t->count; i++) {
		for (const struct entry *e = t->tables[i].first; e && !rc; e = e->next)
			rc = clone_entry(&copy->tables[i], e);
	}
	if (rc) {
		tree_free(copy);
		return NULL;
	}
	copy->revision = t->revision;
	return copy;
}

const struct schema *
tree_schema(const struct tree *t)
{
	return t->schema;
}

uint64_t
tree_revision(const struct tree *t)
{
	return t->revision;
}

bool
tree_equal(const struct tree *a, const struct tree *b)
{
	if (a->schema != b->schema)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!table_equal(&a->tables[i], &b->tables[i]))
			return false;
	}
	return true;
}

struct table *
tree_table(const struct tree *t, const struct schema_table *s)
{
	return &t->tables[s->index];
}

uint64_t
tree_touch(struct tree *t, const struct schema_table *s)
{
	return tree_table(t, s)->revision = ++t->revision;
}

static struct table *
table_of(const struct tree *t, const char *path)
{
	const struct schema_table *s = schema_find(t->schema, path);

	return s ? tree_table(t, s) : NULL;
}

const struct entry *
tree_entry(const struct tree *t, const char *path, const char *key)
{
	const struct table *tab = table_of(t, path);

	return tab ? table_find(tab, key ? key : "") : NULL;
}

const struct entry *
tree_first(const struct tree *t, const char *path)
{
	const struct table *tab = table_of(t, path);

	return tab ? tab->first : NULL;
}

const struct entry *
entry_next(const struct entry *e)
{
	return e->next;
}

size_t
tree_count(const struct tree *t, const char *path)
{
	const struct table *tab = table_of(t, path);

	return tab ? tab->count : 0;
}

const char *
entry_key(const struct entry *e)
{
	return e->key;
}

const struct schema_table *
entry_table(const struct entry *e)
{
	return e->schema;
}

bool
entry_is_set(const struct entry *e, const char *attr)
{
	const struct schema_attr *a = schema_attr(e->schema, attr);

	return a && entry_stored(e, a);
}

const char *
entry_value(const struct entry *e, const char *attr, size_t i)
{
	const struct schema_attr *a = schema_attr(e->schema, attr);
	const char *text, *v;
	size_t size;

	if (!a)
		return NULL;
	text = entry_bytes(e, a, &size);
	v = value_next(text, size, NULL);
	while (v && i--)
		v = value_next(text, size, v);
	return v;
}

const char *
entry_get(const struct entry *e, const char *attr)
{
	const char *v = entry_value(e, attr, 0);

	return v ? v : "";
}

size_t
entry_count(const struct entry *e, const char *attr)
{
	const struct schema_attr *a = schema_attr(e->schema, attr);
	const struct value *v = a ? entry_stored(e, a) : NULL;

	if (!a)
		return 0;
	return v ? v->count : a->fallback_count;
}

bool
entry_enabled(const struct entry *e, const char *attr)
{
	return !strcmp(entry_get(e, attr), "enable");
}

long long
entry_int(const struct entry *e, const char *attr)
{
	int64_t v = 0;

	return text_i64(entry_get(e, attr), INT64_MIN, INT64_MAX, &v) ? 0 : v;
}

const struct entry *
entry_child_first(const struct entry *e, const char *table)
{
	for (size_t i = 0; i < e->schema->child_count; i++) {
		if (!strcmp(e->schema->children[i]->path, table))
			return e->children[i].first;
	}
	return NULL;
}

/* Where one name could mean two entries, the second is refused. */
static int
check_name(const struct tree *t, const struct entry *draft, struct err *e)
{
	char shown[80];

	for (size_t i = 0; i < schema_family_count(t->schema); i++) {
		const struct schema_family *f = schema_family_at(t->schema, i);

		for (size_t k = 0; schema_family_has(f, draft->schema) && k < f->count; k++) {
			const struct schema_table *s = f->tables[k];

			if (s == draft->schema ||
			    (!schema_predefines(s, draft->key) && !table_find(tree_table(t, s), draft->key)))
				continue;
			return err_set(e, CLI_DUPLICATE, "duplicate: '%s' is there already, in '%s'",
				       text_escape(shown, sizeof(shown), draft->key, strlen(draft->key)), s->path);
		}
	}
	return CLI_OK;
}

/* Who named the one names the other. */
static void
swap(struct table *tab, struct entry *e, struct entry *with)
{
	table_swap(tab, e, with);
	with->refs = e->refs;
	e->refs = 0;
}

/* What tree_put() did to the table, undone. */
static void
take_out(struct tree *t, struct entry *draft, struct entry *old)
{
	struct table *tab = tree_table(t, draft->schema);

	if (old)
		swap(tab, draft, old);
	else
		table_remove(tab, draft);
	tree_touch(t, draft->schema);
}

int
tree_put(struct tree *t, struct entry *draft, struct entry *after, struct entry **old, struct err *e)
{
	struct table *tab = tree_table(t, draft->schema);
	struct entry *current = table_find(tab, draft->key);
	int rc = current ? CLI_OK : check_name(t, draft, e);

	if (rc)
		return rc;
	if (current)
		swap(tab, current, draft);
	else if (table_insert(tab, draft, after ? after : tab->last))
		return reason_memory(e);
	rc = refs_add(t, draft, e);
	if (rc) {
		take_out(t, draft, current);
		return rc;
	}
	rc = refs_check_loop(t, draft, e);
	if (rc) {
		tree_unput(t, draft, current);
		return rc;
	}
	draft->stamp = tree_touch(t, draft->schema);
	*old = current;
	return CLI_OK;
}

void
tree_keep(struct tree *t, struct entry *old)
{
	if (old)
		refs_drop(t, old);
	entry_free(old);
}

void
tree_unput(struct tree *t, struct entry *draft, struct entry *old)
{
	refs_drop(t, draft); /* first: it may name itself */
	take_out(t, draft, old);
}

int
tree_take(struct tree *t, struct entry *entry, struct err *e)
{
	char shown[80];

	if (entry->refs)
		return err_set(e, CLI_IN_USE, "the entry '%s' is used by other entries",
			       text_escape(shown, sizeof(shown), entry->key, strlen(entry->key)));
	table_hide(tree_table(t, entry->schema), entry);
	tree_touch(t, entry->schema);
	return CLI_OK;
}

void
tree_gone(struct tree *t, struct entry *entry)
{
	table_remove(tree_table(t, entry->schema), entry);
	refs_drop(t, entry);
	entry_free(entry);
}

void
tree_untake(struct tree *t, struct entry *entry)
{
	table_unhide(tree_table(t, entry->schema), entry);
	tree_touch(t, entry->schema);
}

/* The entry with the one attribute changed, in no table yet. */
static int
changed_copy(const struct table *tab, const char *key, const struct schema_attr *a, const char *const values[],
	     size_t n, struct entry **out, struct err *e)
{
	const struct entry *current = table_find(tab, key);
	struct entry *draft = current ? entry_copy(current, NULL) : entry_new(tab->schema, key);
	struct packed p;
	int rc;

	if (!draft)
		return reason_memory(e);
	if (!n) {
		entry_drop(draft, a);
		*out = draft;
		return CLI_OK;
	}
	rc = value_pack(a, values, n, &p, e);
	if (!rc && entry_store(draft, a, &p))
		rc = reason_memory(e);
	if (rc)
		entry_free(draft);
	else
		*out = draft;
	return rc;
}

static int
set_in_table(struct tree *t, struct table *tab, const char *key, const struct schema_attr *a,
	     const char *const values[], size_t n, struct err *e)
{
	struct entry *draft = NULL, *old;
	int rc = changed_copy(tab, key, a, values, n, &draft, e);

	if (rc)
		return rc;
	if (entry_equal(draft, table_find(tab, key))) {
		entry_free(draft);
		return CLI_OK;
	}
	rc = tree_put(t, draft, NULL, &old, e);
	if (rc)
		entry_free(draft);
	else
		tree_keep(t, old);
	return rc;
}

int
tree_set(struct tree *t, const char *path, const char *key, const char *attr, const char *const values[], size_t n,
	 struct err *e)
{
	struct table *tab = table_of(t, path);
	const struct schema_attr *a = tab ? schema_attr(tab->schema, attr) : NULL;
	char *canonical = NULL;
	int rc;

	if (!a)
		return reason_before(e, tab ? attr : path);
	if (!n && a->fixed)
		return err_set(e, CLI_IN_USE, "attribute '%s' cannot be unset", a->name);
	if (!tab->schema->singleton) {
		rc = value_key(&tab->schema->key, key ? key : "", &canonical, e);
		if (rc)
			return rc;
	}
	rc = set_in_table(t, tab, canonical ? canonical : "", a, values, n, e);
	free(canonical);
	return rc;
}
