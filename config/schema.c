#include "config/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "config/codes.h"
#include "config/reason.h"
#include "config/schema_private.h"

struct schema *
schema_new(void)
{
	return calloc(1, sizeof(struct schema));
}

void
schema_free(struct schema *s)
{
	if (!s)
		return;
	while (s->sources) {
		struct schema_source *src = s->sources;

		s->sources = src->next;
		arena_free(&src->arena);
		free(src);
	}
	free(s->tables);
	free(s->families);
	free(s);
}

size_t
schema_count(const struct schema *s)
{
	return s->count;
}

const struct schema_table *
schema_at(const struct schema *s, size_t i)
{
	return s->tables[i];
}

const struct schema_table *
schema_find(const struct schema *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!strcmp(s->tables[i]->path, path))
			return s->tables[i];
	}
	return NULL;
}

size_t
schema_family_count(const struct schema *s)
{
	return s->family_count;
}

const struct schema_family *
schema_family_at(const struct schema *s, size_t i)
{
	return &s->families[i];
}

bool
schema_family_has(const struct schema_family *f, const struct schema_table *t)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->tables[i] == t)
			return true;
	}
	return false;
}

/* A path while it is being spelled word by word, always in full. */
struct spelling {
	char path[SCHEMA_NAME_MAX + 2]; /* ends with a space unless empty */
	size_t len;
};

/* The word of `path` that follows the spelling, or NULL when the path does not begin so or ends there. */
static const char *
following_word(const struct spelling *sp, const char *path, size_t *len)
{
	if (strlen(path) <= sp->len || strncmp(path, sp->path, sp->len))
		return NULL;
	*len = strcspn(path + sp->len, " ");
	return path + sp->len;
}

static bool
visible(const struct schema_table *t, bool bootstrap)
{
	return bootstrap || !t->bootstrap_only;
}

/* Adds the one full word that `word` stands for. */
static int
spell(struct spelling *sp, const struct schema *s, bool bootstrap, const char *word, struct err *e)
{
	size_t typed = strlen(word), found_len = 0, len;
	const char *found = NULL, *next;
	bool exact = false;

	for (size_t i = 0; i < s->count && !exact; i++) {
		next = visible(s->tables[i], bootstrap) ? following_word(sp, s->tables[i]->path, &len) : NULL;
		if (!next || !typed || len < typed || strncmp(next, word, typed))
			continue;
		exact = len == typed;
		if (found && !exact && (len != found_len || strncmp(found, next, len)))
			return reason_ambiguous(e, word);
		found = next;
		found_len = len;
	}
	if (!found)
		return reason_before(e, word);
	memcpy(sp->path + sp->len, found, found_len);
	sp->len += found_len;
	sp->path[sp->len++] = ' ';
	return CLI_OK;
}

static const struct schema_table *
spelled(const struct spelling *sp, const struct schema *s, bool bootstrap)
{
	for (size_t i = 0; i < s->count; i++) {
		const char *path = s->tables[i]->path;

		if (visible(s->tables[i], bootstrap) && strlen(path) == sp->len - 1 &&
		    !strncmp(path, sp->path, sp->len - 1))
			return s->tables[i];
	}
	return NULL;
}

int
schema_match_first(const struct schema *s, bool bootstrap, const char *const words[], size_t n,
		   const struct schema_table **out, size_t *used, struct err *e)
{
	const struct schema_table *longest = NULL, *t;
	struct spelling sp = {.len = 0};
	size_t longest_used = 0;
	int rc = CLI_OK;

	for (size_t i = 0; i < n; i++) {
		rc = spell(&sp, s, bootstrap, words[i], e);
		if (rc)
			break;
		t = spelled(&sp, s, bootstrap);
		if (t) {
			longest = t;
			longest_used = i + 1;
		}
	}
	if (!longest)
		return rc ? rc : reason_incomplete(e);
	*out = longest;
	*used = longest_used;
	return CLI_OK;
}

int
schema_match(const struct schema *s, const char *const words[], size_t n, const struct schema_table **out,
	     struct err *e)
{
	const struct schema_table *t;
	struct spelling sp = {.len = 0};
	int rc;

	for (size_t i = 0; i < n; i++) {
		rc = spell(&sp, s, true, words[i], e);
		if (rc)
			return rc;
	}
	t = n ? spelled(&sp, s, true) : NULL;
	if (!t)
		return reason_incomplete(e);
	*out = t;
	return CLI_OK;
}

const struct schema_table *
schema_child(const struct schema_table *t, const char *name)
{
	const struct schema_table *found = NULL;
	size_t len = strlen(name);

	for (size_t i = 0; i < t->child_count; i++) {
		if (strncmp(t->children[i]->path, name, len))
			continue;
		if (!t->children[i]->path[len])
			return t->children[i];
		if (found)
			return NULL;
		found = t->children[i];
	}
	return len ? found : NULL;
}

const struct schema_attr *
schema_attr(const struct schema_table *t, const char *name)
{
	for (size_t i = 0; i < t->attr_count; i++) {
		if (!strcmp(t->attrs[i].name, name))
			return &t->attrs[i];
	}
	return NULL;
}

static bool
is_among(const char *key, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], key))
			return true;
	}
	return false;
}

bool
schema_is_predefined(const struct schema_attr *a, const char *key)
{
	return is_among(key, a->predefined, a->predefined_count);
}

bool
schema_predefines(const struct schema_table *t, const char *key)
{
	return is_among(key, t->predefined, t->predefined_count);
}

int
schema_match_attr(const struct schema_table *t, const char *word, const struct schema_attr **out, struct err *e)
{
	const struct schema_attr *found = schema_attr(t, word);
	size_t len = strlen(word);

	for (size_t i = 0; !found && len && i < t->attr_count; i++) {
		if (strncmp(t->attrs[i].name, word, len))
			continue;
		/* The next match makes it ambiguous: attributes are few, so that one is looked for here. */
		for (size_t k = i + 1; k < t->attr_count; k++) {
			if (!strncmp(t->attrs[k].name, word, len))
				return reason_ambiguous(e, word);
		}
		found = &t->attrs[i];
	}
	if (!found)
		return reason_before(e, word);
	*out = found;
	return CLI_OK;
}
