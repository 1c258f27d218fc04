#include "config/script.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "config/arena.h"
#include "config/codes.h"
#include "config/lexer.h"
#include "config/verb.h"

enum { BLOCKS_MAX = 32 };

struct script {
	struct arena arena; /* words and texts */
	struct command *commands;
	size_t count, cap;
};

/* The `config` blocks that are open, innermost last. */
struct blocks {
	struct {
		unsigned line, column;
		bool edit; /* inside an `edit` */
	} open[BLOCKS_MAX];
	size_t depth;
};

static int
script_push(struct script *s, const struct command *c)
{
	struct command *more;
	size_t cap;

	if (s->count == s->cap) {
		cap = s->cap ? 2 * s->cap : 1;
		more = realloc(s->commands, cap * sizeof(*more));
		if (!more)
			return CLI_FAILED;
		s->commands = more;
		s->cap = cap;
	}
	s->commands[s->count++] = *c;
	return CLI_OK;
}

static int
block_enter(struct blocks *b, const struct lexer *l, const struct command *c, struct err *e)
{
	if (b->depth == BLOCKS_MAX)
		return lexer_fail(l, c->line, c->column, CLI_TOO_LONG, e, "'config' nested more than %d deep",
				  BLOCKS_MAX);
	b->open[b->depth].line = c->line;
	b->open[b->depth].column = c->column;
	b->open[b->depth++].edit = false;
	return CLI_OK;
}

/* Follows the blocks; no other command has a form beyond its words. */
static int
block_check(struct blocks *b, const struct lexer *l, const struct command *c, enum verb verb, struct err *e)
{
	bool edit = b->depth && b->open[b->depth - 1].edit;
	const char *missing = NULL;

	switch (verb) {
	case VERB_CONFIG:
		return block_enter(b, l, c, e);
	case VERB_EDIT:
		missing = edit ? "'edit' inside 'edit', 'next' expected before it" : "'edit' outside 'config'";
		if (edit || !b->depth)
			break;
		b->open[b->depth - 1].edit = true;
		return CLI_OK;
	case VERB_NEXT:
		missing = "'next' outside 'edit'";
		if (!edit)
			break;
		b->open[b->depth - 1].edit = false;
		return CLI_OK;
	case VERB_END:
	case VERB_ABORT:
		missing = "'end' or 'abort' without its 'config'";
		if (!b->depth)
			break;
		b->depth--;
		return CLI_OK;
	default:
		return CLI_OK;
	}
	return lexer_fail(l, c->line, c->column, CLI_PARSE, e, "%s", missing);
}

/* The next command of a text, its strings in `a`; argc 0 at the end. */
static int
read_one(struct lexer *l, struct blocks *b, struct arena *a, struct command *out, struct err *e)
{
	struct command c;
	enum verb verb;
	char shown[80];
	int rc = lexer_next(l, a, &c, e);

	if (rc)
		return rc;
	if (!c.argc && b->depth)
		return lexer_fail(l, l->line, l->column, CLI_INCOMPLETE, e,
				  "end of text, 'end' expected for the 'config' at %u:%u", b->open[b->depth - 1].line,
				  b->open[b->depth - 1].column);
	if (c.argc && verb_match(c.argv[0], &verb))
		return lexer_fail(l, c.line, c.column, CLI_PARSE, e, "unknown command '%s', a verb expected",
				  text_escape(shown, sizeof(shown), c.text, strlen(c.text)));
	rc = c.argc ? block_check(b, l, &c, verb, e) : CLI_OK;
	if (!rc)
		*out = c;
	return rc;
}

static int
script_read(struct script *s, struct lexer *l, struct err *e)
{
	struct blocks blocks = {.depth = 0};
	struct command c;
	int rc;

	while (!(rc = read_one(l, &blocks, &s->arena, &c, e)) && c.argc) {
		if (script_push(s, &c))
			return err_set(e, CLI_FAILED, "out of memory");
	}
	return rc;
}

static int
check_length(const char *name, size_t len, struct err *e)
{
	if (len <= CONFIG_MAX_BYTES)
		return CLI_OK;
	return err_set(e, CLI_TOO_LONG, "%s: %zu bytes, at most %d expected", name, len, CONFIG_MAX_BYTES);
}

int
script_parse(const char *name, const char *text, size_t len, struct script **out, struct err *e)
{
	struct lexer l = lexer_start(name, text, len);
	struct script *s;
	int rc = check_length(name, len, e);

	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, CLI_FAILED, "out of memory");
	rc = script_read(s, &l, e);
	if (rc) {
		script_free(s);
		return rc;
	}
	*out = s;
	return CLI_OK;
}

struct reader {
	struct arena arena; /* of one command */
	struct lexer lexer;
	struct blocks blocks;
};

struct reader *
reader_new(const char *name, const char *text, size_t len)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (r)
		r->lexer = lexer_start(name, text, len);
	return r;
}

void
reader_free(struct reader *r)
{
	if (!r)
		return;
	arena_free(&r->arena);
	free(r);
}

int
reader_next(struct reader *r, struct command *out, struct err *e)
{
	int rc = check_length(r->lexer.name, r->lexer.len, e);

	arena_reset(&r->arena);
	return rc ? rc : read_one(&r->lexer, &r->blocks, &r->arena, out, e);
}

static int
line_read(struct script *s, struct lexer *l, struct err *e)
{
	struct command c, more;
	int rc = lexer_next(l, &s->arena, &c, e);

	if (!rc)
		rc = lexer_next(l, &s->arena, &more, e);
	if (rc)
		return rc;
	if (more.argc)
		return lexer_fail(l, more.line, more.column, CLI_PARSE, e, "a second command, one line expected");
	return script_push(s, &c) ? err_set(e, CLI_FAILED, "out of memory") : CLI_OK;
}

int
script_parse_line(const char *text, size_t len, struct script **out, struct err *e)
{
	struct lexer l = lexer_start(NULL, text, len);
	struct script *s;
	int rc;

	if (len > SCRIPT_MAX_BYTES)
		return err_set(e, CLI_TOO_LONG, "%zu bytes, at most %d expected", len, SCRIPT_MAX_BYTES);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, CLI_FAILED, "out of memory");
	rc = line_read(s, &l, e);
	if (rc) {
		script_free(s);
		return rc;
	}
	*out = s;
	return CLI_OK;
}

void
script_free(struct script *s)
{
	if (!s)
		return;
	arena_free(&s->arena);
	free(s->commands);
	free(s);
}

size_t
script_count(const struct script *s)
{
	return s->count;
}

const struct command *
script_at(const struct script *s, size_t i)
{
	return &s->commands[i];
}
