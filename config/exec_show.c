/* Commands that look: show prints commands, get prints values. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/codes.h"
#include "config/exec_private.h"
#include "config/node.h"
#include "config/print.h"
#include "config/print_private.h"
#include "config/reason.h"
#include "config/tree.h"
#include "config/value.h"
#include "config/write.h"

enum { NAME_WIDTH = 20 };

/* What a show or get is about. */
struct view {
	const struct table *table; /* NULL: everything */
	const struct entry *entry; /* NULL: the whole table */
	unsigned flags;
};

static int
finish(struct run *r, int rc)
{
	return rc ? err_set(r->e, CLI_FAILED, "the output is too long") : CLI_OK;
}

/* The entry of the table that a word names. */
static int
view_key(struct run *r, struct view *v, const char *word)
{
	char *key;
	int rc;

	if (v->table->schema->singleton)
		return reason_before(r->e, word);
	rc = value_key(&v->table->schema->key, word, &key, r->e);
	if (rc)
		return rc;
	v->entry = table_find(v->table, key);
	free(key);
	return v->entry ? CLI_OK : reason_not_found(r->e, word);
}

/* By the words after the verb: a table and perhaps a key. CLI_PARSE or CLI_INCOMPLETE: they name none. */
static int
view_words(struct run *r, struct view *v, const char *const words[], size_t n)
{
	const struct schema_table *s;
	size_t used;
	int rc = schema_match_first(tree_schema(r->x->tree), r->x->bootstrap, words, n, &s, &used, r->e);

	if (rc)
		return rc;
	v->table = tree_table(r->x->tree, s);
	if (n > used + 1)
		return reason_before(r->e, words[used + 1]);
	return n > used ? view_key(r, v, words[used]) : CLI_OK;
}

/* Where the executor stands; inside, one word may name an entry of the table. */
static int
view_here(struct run *r, struct view *v, const char *const words[], size_t n)
{
	v->table = frame_table(r->x, r->f);
	v->entry = r->f->draft;
	if (!n)
		return CLI_OK;
	if (r->f->draft || n > 1)
		return reason_before(r->e, words[0]);
	return view_key(r, v, words[0]);
}

static int
show(struct run *r, const struct view *v)
{
	struct writer w = {.out = r->out, .flags = v->flags};

	if (!v->table)
		return finish(r, print_tree(r->x->tree, v->flags, r->out));
	if (!v->entry) {
		print_nodes(&w, v->table);
		return finish(r, w.rc);
	}
	write_config(&w, v->table->schema);
	if (v->table->schema->singleton) {
		print_body(&w, v->entry);
	} else {
		write_edit(&w, v->entry);
		print_body(&w, v->entry);
		write_close(&w, "next");
	}
	write_close(&w, "end");
	return finish(r, w.rc);
}

int
run_show(struct run *r)
{
	struct view v = {.table = NULL};
	const char *const *words = r->argv + 1;
	size_t n = r->argc - 1;
	int rc = CLI_OK;

	if (n && strlen(words[0]) >= strlen("full") && !strncmp("full-configuration", words[0], strlen(words[0]))) {
		v.flags = PRINT_FULL;
		words++;
		n--;
	}
	if (r->f)
		rc = view_here(r, &v, words, n);
	else if (n)
		rc = view_words(r, &v, words, n);
	return rc ? rc : show(r, &v);
}

/* "name                : value value" */
static void
get_line(struct writer *w, const char *name, const char *text, size_t size)
{
	const char *v = NULL;

	if (!w->rc)
		w->rc = buf_printf(w->out, "%*s%-*s:", (int)(4 * w->depth), "", NAME_WIDTH, name);
	while (!w->rc && (v = value_next(text, size, v)))
		w->rc = buf_printf(w->out, " %s", v);
	if (!w->rc)
		w->rc = buf_str(w->out, "\n");
}

static void get_table(struct writer *w, const struct table *t);

static void
get_entry(struct writer *w, const struct entry *e)
{
	const struct schema_table *s = e->schema;

	if (!s->singleton)
		get_line(w, s->key.name, e->key, strlen(e->key) + 1);
	for (size_t i = 0; i < s->attr_count; i++) {
		size_t size;
		const char *text = entry_bytes(e, &s->attrs[i], &size);

		if (s->attrs[i].secret && size)
			get_line(w, s->attrs[i].name, "*", sizeof("*"));
		else
			get_line(w, s->attrs[i].name, text, size);
	}
	for (size_t i = 0; i < s->child_count; i++) {
		get_line(w, s->children[i]->path, NULL, 0);
		w->depth++;
		get_table(w, &e->children[i]);
		w->depth--;
	}
}

static void
get_table(struct writer *w, const struct table *t)
{
	for (const struct entry *e = t->first; e; e = e->next) {
		if (!t->schema->singleton)
			write_line(w, "== [", e->key, "]", NULL);
		get_entry(w, e);
	}
}

int
run_get(struct run *r)
{
	struct writer w = {.out = r->out};
	struct view v = {.table = NULL};
	int rc;

	if (r->f && (r->argc == 1 || (!r->f->draft && r->argc == 2)))
		rc = view_here(r, &v, r->argv + 1, r->argc - 1);
	else
		rc = view_words(r, &v, r->argv + 1, r->argc - 1);
	if (!v.table && r->argc > 1 && r->x->ops.other)
		return r->x->ops.other(r->x->ops.ctx, r->argc, r->argv, r->out, r->e);
	if (rc)
		return rc;
	if (v.entry)
		get_entry(&w, v.entry);
	else
		get_table(&w, v.table);
	return finish(r, w.rc);
}
