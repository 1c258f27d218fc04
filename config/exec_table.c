/* Commands that change the entries of a table, outside an edit. */
#include <stdlib.h>
#include <string.h>

#include "config/codes.h"
#include "config/exec_private.h"
#include "config/node.h"
#include "config/order.h"
#include "config/reason.h"
#include "config/refs.h"

/* The entry a word names, which must be there. */
static int
find(struct run *r, struct table *t, const char *word, struct entry **out)
{
	char *key;
	int rc = run_key(r, word, &key);

	if (rc)
		return rc;
	*out = table_find(t, key);
	free(key);
	return *out ? CLI_OK : reason_not_found(r->e, word);
}

/* The key a word gives to an entry to come, which must be free. */
static int
find_free(struct run *r, struct table *t, const char *word, char **out)
{
	char *key;
	int rc = run_key(r, word, &key);

	if (rc)
		return rc;
	if (table_find(t, key)) {
		free(key);
		return reason_duplicate(r->e, word);
	}
	*out = key;
	return CLI_OK;
}

static int
delete_entry(struct run *r, struct table *t, struct entry *e)
{
	int rc;

	if (r->f->nested) {
		table_remove(t, e);
		entry_free(e);
		return CLI_OK;
	}
	rc = tree_take(r->x->tree, e, r->e);
	if (rc)
		return rc;
	rc = run_apply(r, e, NULL);
	if (rc) {
		tree_untake(r->x->tree, e);
		return rc;
	}
	tree_gone(r->x->tree, e);
	r->x->changed = true;
	return CLI_OK;
}

static int
run_delete(struct run *r, struct table *t)
{
	struct entry *e;
	int rc = run_words(r, 1);

	if (!rc)
		rc = find(r, t, r->argv[1], &e);
	return rc ? rc : delete_entry(r, t, e);
}

/* Goes on after an entry that cannot be deleted; the first reason is the answer. */
static int
run_purge(struct run *r, struct table *t)
{
	const struct entry **order = NULL;
	struct err first = ERR_NONE;
	size_t n = t->count;
	int rc = run_words(r, 0), failed = CLI_OK;

	if (rc)
		return rc;
	if (r->f->nested) {
		table_clear(t);
		return CLI_OK;
	}
	if (order_entries(t, &order))
		return reason_memory(r->e);
	while (n-- > 0) {
		rc = delete_entry(r, t, table_find(t, order[n]->key));
		if (rc && !failed) {
			failed = rc;
			first = *r->e;
		}
	}
	free(order);
	if (failed)
		*r->e = first;
	return failed;
}

/* The second half of a renaming: the new entry in the place of the old one, which is hidden. */
static int
put_renamed(struct run *r, struct entry *renamed, struct entry *before)
{
	struct tree *t = r->x->tree;
	struct entry *none;
	int rc = tree_put(t, renamed, before, &none, r->e);

	if (rc)
		return rc;
	if (!before)
		table_move(tree_table(t, renamed->schema), renamed, NULL);
	rc = run_apply(r, NULL, renamed);
	if (rc)
		tree_unput(t, renamed, NULL);
	return rc;
}

/* Deleted and created anew in the same place; the old one comes back when the new one cannot be. */
static int
rename_in_tree(struct run *r, struct entry *e, struct entry *renamed)
{
	struct err why;
	int rc = tree_take(r->x->tree, e, r->e);

	if (rc)
		return rc;
	rc = run_apply(r, e, NULL);
	if (rc) {
		tree_untake(r->x->tree, e);
		return rc;
	}
	rc = put_renamed(r, renamed, e->prev);
	if (rc) {
		tree_untake(r->x->tree, e);
		why = *r->e;
		(void)run_apply(r, NULL, e); /* the answer is the failure, not what became of mending it */
		*r->e = why;
		return rc;
	}
	tree_gone(r->x->tree, e);
	r->x->changed = true;
	return CLI_OK;
}

static int
rename_nested(struct run *r, struct table *t, struct entry *e, struct entry *renamed)
{
	if (table_insert(t, renamed, e))
		return reason_memory(r->e);
	table_remove(t, e);
	entry_free(e);
	return CLI_OK;
}

/* rename OLD to NEW, clone OLD to NEW. */
static int
run_copy(struct run *r, struct table *t)
{
	struct entry *e, *copy;
	char *key = NULL;
	int rc = run_words(r, 3);

	if (!rc && strcmp(r->argv[2], "to"))
		rc = reason_before(r->e, r->argv[2]);
	if (!rc)
		rc = find(r, t, r->argv[1], &e);
	if (!rc)
		rc = find_free(r, t, r->argv[3], &key);
	if (rc)
		return rc;
	copy = entry_copy(e, key);
	free(key);
	if (!copy)
		return reason_memory(r->e);
	if (r->verb == VERB_CLONE)
		return run_put(r, t, copy, NULL);
	rc = r->f->nested ? rename_nested(r, t, e, copy) : rename_in_tree(r, e, copy);
	if (rc)
		entry_free(copy);
	return rc;
}

/* move KEY before|after KEY. */
static int
run_move(struct run *r, struct table *t)
{
	struct entry *e = NULL, *other = NULL;
	bool before;
	int rc = run_words(r, 3);

	if (rc)
		return rc;
	before = !strcmp(r->argv[2], "before");
	if (!before && strcmp(r->argv[2], "after"))
		return reason_before(r->e, r->argv[2]);
	rc = find(r, t, r->argv[1], &e);
	if (!rc)
		rc = find(r, t, r->argv[3], &other);
	if (rc || e == other || (before ? e->next == other : e->prev == other))
		return rc;
	table_move(t, e, before ? other->prev : other);
	if (!r->f->nested) {
		tree_touch(r->x->tree, t->schema);
		r->x->changed = true;
	}
	return CLI_OK;
}

int
run_table(struct run *r)
{
	struct table *t;
	int rc;

	if (!r->f || r->f->draft)
		return reason_before(r->e, r->argv[0]);
	rc = run_may_change(r);
	if (rc)
		return rc;
	t = frame_table(r->x, r->f);
	switch (r->verb) {
	case VERB_DELETE:
		return run_delete(r, t);
	case VERB_PURGE:
		return run_purge(r, t);
	case VERB_MOVE:
		return run_move(r, t);
	default:
		return run_copy(r, t);
	}
}
