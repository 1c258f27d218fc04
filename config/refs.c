#include "config/refs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/node.h"
#include "config/reason.h"
#include "config/schema.h"
#include "config/value.h"

int
refs_walk(const struct entry *e, refs_fn *fn, void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < e->value_count && !rc; i++) {
		const struct value *v = &e->values[i];
		const struct schema_attr *a = &e->schema->attrs[v->attr];
		const char *key = NULL;

		while (a->type == ATTR_REFERENCE && !rc && (key = value_next(v->text, v->size, key)))
			rc = schema_is_predefined(a, key) ? 0 : fn(ctx, a, key);
	}
	for (size_t i = 0; i < e->schema->child_count && !rc; i++) {
		for (const struct entry *c = e->children[i].first; c && !rc; c = c->next)
			rc = refs_walk(c, fn, ctx);
	}
	return rc;
}

static bool
names_table(const struct schema_table *t, const char *path)
{
	for (size_t i = 0; i < t->attr_count; i++) {
		for (size_t k = 0; k < t->attrs[i].refers_count; k++) {
			if (!strcmp(t->attrs[i].refers[k], path))
				return true;
		}
	}
	for (size_t i = 0; i < t->child_count; i++) {
		if (names_table(t->children[i], path))
			return true;
	}
	return false;
}

bool
refs_within(const struct schema_table *t)
{
	return names_table(t, t->path);
}

/* The entry a reference names; NULL: none, or "" for no reference. A name is in one of the tables at most. */
static struct entry *
referred(const struct tree *t, const struct schema_attr *a, const char *key)
{
	struct entry *e = NULL;

	for (size_t i = 0; *key && i < a->refers_count && !e; i++)
		e = table_find(tree_table(t, schema_find(t->schema, a->refers[i])), key);
	return e;
}

static int
not_found(struct err *e, const struct schema_attr *a, const char *key)
{
	char shown[80];

	return err_set(e, CLI_NOT_FOUND, "entry not found in datasource: attribute '%s', value '%s'", a->name,
		       text_escape(shown, sizeof(shown), key, strlen(key)));
}

/* Counting in or out, with how many references are still to be taken: counting in stops at a name that nothing has,
 * and counting out then takes as many as had been counted. */
struct counting {
	const struct tree *tree;
	size_t done, limit;
	struct err *e;
};

static int
count_in(void *ctx, const struct schema_attr *a, const char *key)
{
	struct counting *c = ctx;
	struct entry *e = referred(c->tree, a, key);

	if (!e)
		return *key ? not_found(c->e, a, key) : CLI_OK;
	e->refs++;
	c->done++;
	return CLI_OK;
}

static int
count_out(void *ctx, const struct schema_attr *a, const char *key)
{
	struct counting *c = ctx;
	struct entry *e = c->done < c->limit ? referred(c->tree, a, key) : NULL;

	if (e) {
		e->refs--;
		c->done++;
	}
	return c->done == c->limit;
}

int
refs_add(struct tree *t, const struct entry *e, struct err *err)
{
	struct counting in = {.tree = t, .e = err}, out = {.tree = t};
	int rc = refs_walk(e, count_in, &in);

	out.limit = in.done;
	if (rc)
		refs_walk(e, count_out, &out);
	return rc;
}

void
refs_drop(struct tree *t, const struct entry *e)
{
	struct counting out = {.tree = t, .limit = SIZE_MAX};

	refs_walk(e, count_out, &out);
}

struct checking {
	const struct tree *tree;
	struct err *e;
};

static int
check_one(void *ctx, const struct schema_attr *a, const char *key)
{
	struct checking *c = ctx;

	return !*key || referred(c->tree, a, key) ? CLI_OK : not_found(c->e, a, key);
}

int
refs_check(const struct tree *t, const struct entry *e, struct err *err)
{
	struct checking c = {t, err};

	return refs_walk(e, check_one, &c);
}

/* Entries a walk has still to look at. */
struct todo {
	struct table *table;
	struct entry **entries;
	size_t count, cap;
	uint64_t mark;
};

static int
todo_add(void *ctx, const struct schema_attr *a, const char *key)
{
	struct todo *todo = ctx;
	struct entry *e, **more;
	size_t cap = todo->cap ? 2 * todo->cap : 16;

	for (size_t i = 0; i < a->refers_count; i++) {
		if (strcmp(a->refers[i], todo->table->schema->path))
			continue;
		e = table_find(todo->table, key);
		if (!e || e->mark == todo->mark)
			continue;
		if (todo->count == todo->cap) {
			more = realloc(todo->entries, cap * sizeof(*more));
			if (!more)
				return -ENOMEM;
			todo->entries = more;
			todo->cap = cap;
		}
		e->mark = todo->mark;
		todo->entries[todo->count++] = e;
	}
	return 0;
}

int
refs_check_loop(struct tree *t, struct entry *e, struct err *err)
{
	struct todo todo = {.table = tree_table(t, e->schema), .mark = ++t->mark};
	int rc;

	/* Nothing leads back to what nobody names. Loops cross no tables, for references only go to earlier ones. */
	if (!e->refs || !refs_within(e->schema))
		return CLI_OK;
	rc = refs_walk(e, todo_add, &todo);
	while (!rc && e->mark != todo.mark && todo.count)
		rc = refs_walk(todo.entries[--todo.count], todo_add, &todo);
	free(todo.entries);
	if (rc)
		return reason_memory(err);
	if (e->mark == todo.mark)
		return err_set(err, CLI_CONFLICT, "value conflicts with settings: the entry would refer to itself");
	return CLI_OK;
}
