/* Completion: what may follow the words typed so far. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/codes.h"
#include "config/exec_private.h"
#include "config/node.h"
#include "config/tree.h"

/* Candidates so far; a candidate that memory or the ceiling cuts off is only missing. */
struct offer {
	const struct exec *x;
	const struct frame *f; /* NULL at the top */
	const char *prefix;
	struct buf *out;
};

static void
offer(struct offer *o, const char *word, size_t len, const char *help)
{
	size_t typed = strlen(o->prefix);

	if (len >= typed && !strncmp(word, o->prefix, typed))
		(void)buf_printf(o->out, "%.*s\t%s\n", (int)len, word, help);
}

static void
offer_text(struct offer *o, const char *word, const char *help)
{
	offer(o, word, strlen(word), help);
}

/* What can be done where the executor stands. */
static bool
verb_fits(const struct frame *f, enum verb v)
{
	switch (v) {
	case VERB_CONFIG:
		return !f || (f->draft && f->schema->child_count);
	case VERB_EDIT:
	case VERB_DELETE:
	case VERB_PURGE:
	case VERB_RENAME:
	case VERB_CLONE:
	case VERB_MOVE:
		return f && !f->draft;
	case VERB_SET:
	case VERB_UNSET:
	case VERB_APPEND:
	case VERB_SELECT:
	case VERB_UNSELECT:
		return f && f->draft;
	case VERB_NEXT:
		return f && f->draft && !f->schema->singleton;
	case VERB_END:
	case VERB_ABORT:
		return f;
	case VERB_EXECUTE:
	case VERB_DIAGNOSE:
		return !f;
	default:
		return true;
	}
}

static void
offer_verbs(struct offer *o)
{
	for (enum verb v = 0; v < VERB_COUNT; v++) {
		if (verb_fits(o->f, v))
			offer_text(o, verb_name(v), verb_help(v));
	}
}

static void
offer_keys(struct offer *o, const struct table *t)
{
	for (const struct entry *e = t->first; e; e = e->next) {
		if (!t->schema->singleton)
			offer_text(o, e->key, t->schema->path);
	}
}

/* True when the words typed spell the beginning of the path; *at is then what follows in it. */
static bool
path_follows(const char *path, const char *const words[], size_t n, const char **at)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(path, " "), typed = strlen(words[i]);

		if (typed > len || strncmp(path, words[i], typed) || !path[len])
			return false;
		path += len + 1;
	}
	*at = path;
	return true;
}

/* The next words of table paths, each once. */
static void
offer_paths(struct offer *o, const char *const words[], size_t n)
{
	const struct schema *s = tree_schema(o->x->tree);
	const char *at, *earlier;

	for (size_t i = 0; i < schema_count(s); i++) {
		const struct schema_table *t = schema_at(s, i);
		bool seen = t->bootstrap_only && !o->x->bootstrap;
		size_t len;

		if (seen || !path_follows(t->path, words, n, &at))
			continue;
		len = strcspn(at, " ");
		for (size_t k = 0; k < i && !seen; k++) {
			if (path_follows(schema_at(s, k)->path, words, n, &earlier))
				seen = strcspn(earlier, " ") == len && !strncmp(earlier, at, len);
		}
		if (!seen)
			offer(o, at, len, at[len] ? "" : t->help);
	}
}

static void
offer_children(struct offer *o)
{
	for (size_t i = 0; i < o->f->schema->child_count; i++)
		offer_text(o, o->f->schema->children[i]->path, o->f->schema->children[i]->help);
}

static void
offer_attrs(struct offer *o)
{
	for (size_t i = 0; i < o->f->schema->attr_count; i++)
		offer_text(o, o->f->schema->attrs[i].name, o->f->schema->attrs[i].help);
}

/* The names a reference may hold: keys of entries, and those that need none. */
static void
offer_references(struct offer *o, const struct schema_attr *a)
{
	bool entry;

	for (size_t i = 0; i < a->refers_count; i++)
		offer_keys(o, tree_table(o->x->tree, schema_find(tree_schema(o->x->tree), a->refers[i])));
	for (size_t i = 0; i < a->predefined_count; i++) {
		entry = false;
		for (size_t k = 0; k < a->refers_count && !entry; k++)
			entry = tree_entry(o->x->tree, a->refers[k], a->predefined[i]) != NULL;
		if (!entry)
			offer_text(o, a->predefined[i], "Always there.");
	}
}

static void
offer_values(struct offer *o, const char *word)
{
	const struct schema_attr *a;

	if (schema_match_attr(o->f->schema, word, &a, NULL))
		return;
	for (size_t i = 0; i < a->option_count; i++)
		offer_text(o, a->options[i].name, a->options[i].help);
	offer_references(o, a);
}

static void
offer_setting(struct offer *o, enum verb v, const char *const words[], size_t n)
{
	if (!n)
		offer_attrs(o);
	else if (v != VERB_UNSET)
		offer_values(o, words[0]);
}

static void
offer_view(struct offer *o, enum verb v, const char *const words[], size_t n)
{
	const struct schema_table *s;
	size_t used;

	if (o->f) {
		if (!o->f->draft && !n)
			offer_keys(o, frame_table(o->x, o->f));
		return;
	}
	if (v == VERB_SHOW && n && !strcmp(words[0], "full-configuration")) {
		words++;
		n--;
	} else if (v == VERB_SHOW && !n) {
		offer_text(o, "full-configuration", "With defaults.");
	}
	offer_paths(o, words, n);
	if (n && !schema_match_first(tree_schema(o->x->tree), o->x->bootstrap, words, n, &s, &used, NULL) && used == n)
		offer_keys(o, tree_table(o->x->tree, s));
}

/* `words` are those between the verb and the one being typed. */
static void
offer_words(struct offer *o, enum verb v, const char *const words[], size_t n)
{
	switch (v) {
	case VERB_CONFIG:
		if (!o->f)
			offer_paths(o, words, n);
		else if (!n)
			offer_children(o);
		break;
	case VERB_SHOW:
	case VERB_GET:
		offer_view(o, v, words, n);
		break;
	case VERB_RENAME:
	case VERB_CLONE:
		if (n == 1)
			offer_text(o, "to", "");
		/* fall through */
	case VERB_EDIT:
	case VERB_DELETE:
		if (!n)
			offer_keys(o, frame_table(o->x, o->f));
		break;
	case VERB_MOVE:
		if (n == 1) {
			offer_text(o, "before", "");
			offer_text(o, "after", "");
		} else if (n == 0 || n == 2) {
			offer_keys(o, frame_table(o->x, o->f));
		}
		break;
	case VERB_SET:
	case VERB_UNSET:
	case VERB_APPEND:
	case VERB_SELECT:
	case VERB_UNSELECT:
		offer_setting(o, v, words, n);
		break;
	default:
		break;
	}
}

void
exec_complete(const struct exec *x, size_t argc, const char *const argv[], struct buf *out)
{
	struct offer o = {.x = x, .prefix = argc ? argv[argc - 1] : "", .out = out};
	enum verb v;

	o.f = x->depth ? &x->frames[x->depth - 1] : NULL;
	if (argc < 2)
		offer_verbs(&o);
	else if (!verb_match(argv[0], &v) && verb_fits(o.f, v))
		offer_words(&o, v, argv + 1, argc - 2);
}
