#include "config/write.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/format.h"
#include "config/node.h"
#include "config/order.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/value.h"

enum { STEP = 4 };

static void
put(struct writer *w, const char *text, size_t n)
{
	if (!w->rc)
		w->rc = buf_put(w->out, text, n);
}

static void
put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void
indent(struct writer *w)
{
	static const char step[STEP + 1] = "    ";

	for (unsigned i = 0; i < w->depth; i++)
		put(w, step, STEP);
}

void
write_line(struct writer *w, const char *word, ...)
{
	va_list ap;

	indent(w);
	put_text(w, word);
	va_start(ap, word);
	while ((word = va_arg(ap, const char *))) {
		put_text(w, " ");
		put_text(w, word);
	}
	va_end(ap);
	put_text(w, "\n");
}

void
write_quoted(struct writer *w, const char *text)
{
	put_text(w, "\"");
	while (*text) {
		size_t plain = strcspn(text, "\"\\");

		put(w, text, plain);
		text += plain;
		if (*text) {
			put_text(w, "\\");
			put(w, text++, 1);
		}
	}
	put_text(w, "\"");
}

static void
put_key(struct writer *w, const struct entry *e)
{
	if (e->schema->key.type == ATTR_INTEGER)
		put_text(w, e->key);
	else
		write_quoted(w, e->key);
}

void
write_config(struct writer *w, const struct schema_table *t)
{
	write_line(w, "config", t->path, NULL);
	w->depth++;
}

void
write_edit(struct writer *w, const struct entry *e)
{
	indent(w);
	put_text(w, "edit ");
	put_key(w, e);
	put_text(w, "\n");
	w->depth++;
}

void
write_close(struct writer *w, const char *verb)
{
	w->depth--;
	write_line(w, verb, NULL);
}

void
write_delete(struct writer *w, const struct entry *e)
{
	indent(w);
	put_text(w, "delete ");
	put_key(w, e);
	put_text(w, "\n");
}

static bool
is_quoted(const struct schema_attr *a)
{
	if (a->type == ATTR_STRING)
		return format_is_quoted(a->format);
	return a->type == ATTR_REFERENCE || a->type == ATTR_PASSWORD;
}

void
write_set(struct writer *w, const struct schema_attr *a, const char *text, size_t size)
{
	const char *v = NULL;

	if (a->secret && !(w->flags & PRINT_SECRETS)) {
		write_line(w, "set", a->name, "ENC", "***", NULL);
		return;
	}
	indent(w);
	put_text(w, "set ");
	put_text(w, a->name);
	if (!size)
		put_text(w, " \"\"");
	while ((v = value_next(text, size, v))) {
		put_text(w, " ");
		if (is_quoted(a))
			write_quoted(w, v);
		else
			put_text(w, v);
	}
	put_text(w, "\n");
}

static void
write_move(struct writer *w, const struct entry *e, const char *where, const struct entry *other)
{
	indent(w);
	put_text(w, "move ");
	put_key(w, e);
	put_text(w, where);
	put_key(w, other);
	put_text(w, "\n");
}

/* `stays` says by rank which entries need no move; there is at least one. */
static size_t
move_others(struct writer *w, const struct table *want, const bool *stays)
{
	const struct entry *anchor = want->first;
	size_t rank = 0, moves = 0;

	while (!stays[rank]) {
		anchor = anchor->next;
		rank++;
	}
	rank = 0;
	for (const struct entry *e = want->first; e; e = e->next, rank++) {
		if (stays[rank])
			continue;
		if (e->prev)
			write_move(w, e, " after ", e->prev);
		else
			write_move(w, e, " before ", anchor);
		moves++;
	}
	return moves;
}

void
write_moves(struct writer *w, const struct table *want, const struct entry *const *have, size_t *moves)
{
	struct order_rank *ranks = NULL;
	size_t n = want->count, *order, count = 0;
	bool *stays;
	int rc = 0;

	if (n < 2)
		return;
	order = calloc(n, sizeof(*order));
	stays = calloc(n, sizeof(*stays));
	rc = order && stays ? order_ranks(want, &ranks) : -ENOMEM;
	for (size_t i = 0; !rc && i < n; i++)
		order[i] = order_rank(ranks, n, have[i]);
	if (!rc)
		rc = order_stays(order, n, stays);
	if (!rc)
		count = move_others(w, want, stays);
	else if (!w->rc)
		w->rc = rc;
	if (moves)
		*moves += count;
	free(ranks);
	free(order);
	free(stays);
}
