#include "config/lexer.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/arena.h"
#include "config/codes.h"
#include "config/script.h"

struct lexer
lexer_start(const char *name, const char *text, size_t len)
{
	return (struct lexer){.name = name, .text = text, .len = len, .line = 1, .column = 1};
}

int
lexer_fail(const struct lexer *l, unsigned line, unsigned column, int code, struct err *e, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!l->name)
		return err_set(e, code, "column %u: %s", column, what);
	return err_set(e, code, "%s:%u:%u: %s", l->name, line, column, what);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void
advance(struct lexer *l, size_t n)
{
	for (; n; n--, l->at++) {
		if (l->text[l->at] == '\n') {
			l->line++;
			l->column = 1;
		} else {
			l->column++;
		}
	}
}

/* How many bytes an escape takes at `p`: 2 for one of the known ones, else 1. */
static size_t
escape_span(const char *p, const char *end, bool quoted)
{
	if (p[0] != '\\' || p + 1 == end)
		return 1;
	return p[1] == '\\' || p[1] == '"' || (p[1] == ' ' && !quoted) ? 2 : 1;
}

struct word {
	size_t raw;        /* bytes of the text */
	size_t cooked;     /* bytes without quotes and escapes */
	const char *quote; /* the quote that is open at the end of the text, or NULL */
	const char *nul;   /* a NUL byte in it, or NULL */
};

/* One pass over a word, which starts at `p`. With `dst` the cooked bytes are written there too. */
static struct word
scan_word(const char *p, const char *end, char *dst)
{
	struct word w = {0};
	const char *start = p;

	while (p < end && (w.quote || (!is_blank(*p) && *p != '\n'))) {
		size_t span = escape_span(p, end, w.quote != NULL);

		if (span == 1 && *p == '"') {
			w.quote = w.quote ? NULL : p;
			p++;
			continue;
		}
		if (!*p && !w.nul)
			w.nul = p;
		if (dst)
			dst[w.cooked] = p[span - 1];
		w.cooked++;
		p += span;
	}
	w.raw = (size_t)(p - start);
	return w;
}

/* Blanks, and for the start of a command also line ends and whole comments. Stops at a NUL byte wherever it is: as a
 * word that is an error. */
static void
skip(struct lexer *l, bool lines)
{
	bool comment = false;

	while (l->at < l->len) {
		char c = l->text[l->at];

		if (c == '\n') {
			if (!lines)
				return;
			comment = false;
		} else if (c == '#') {
			comment = true;
		} else if (!c || (!comment && !is_blank(c))) {
			return;
		}
		advance(l, 1);
	}
}

/* The command as written, from `start` to `end`, on one line and without control characters. */
static char *
one_line(struct arena *a, const char *start, const char *end)
{
	size_t n = (size_t)(end - start), extra = 0, used = 0;
	char *dst;

	for (const char *p = start; p < end; p++)
		extra += *p == '\n';
	dst = arena_bytes(a, n + extra + 1);
	if (!dst)
		return NULL;
	for (const char *p = start; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '\n') {
			dst[used++] = '\\';
			c = 'n';
		} else if (is_blank(*p)) {
			c = ' ';
		} else if (c < 0x20 || c == 0x7f) {
			c = '?';
		}
		dst[used++] = (char)c;
	}
	dst[used] = '\0';
	return dst;
}

/* Where byte `p` of the word at the lexer's place is, for a message. */
static int
word_fail(const struct lexer *l, const char *p, int code, const char *what, struct err *e)
{
	struct lexer at = *l;

	advance(&at, (size_t)(p - (l->text + l->at)));
	return lexer_fail(l, at.line, at.column, code, e, "%s", what);
}

static int
next_word(struct lexer *l, struct arena *a, const char **out, struct err *e)
{
	const char *p = l->text + l->at, *end = l->text + l->len;
	struct word w = scan_word(p, end, NULL);
	char *dst;

	if (w.nul)
		return word_fail(l, w.nul, CLI_PARSE, "NUL byte, text expected", e);
	if (w.quote)
		return word_fail(l, w.quote, CLI_INCOMPLETE, "quote not closed, '\"' expected before the end", e);
	dst = arena_bytes(a, w.cooked + 1);
	if (!dst)
		return err_set(e, CLI_FAILED, "out of memory");
	scan_word(p, end, dst);
	dst[w.cooked] = '\0';
	advance(l, w.raw);
	*out = dst;
	return CLI_OK;
}

static int
next_words(struct lexer *l, struct arena *a, const char *words[WORDS_MAX], size_t *n, const char **end, struct err *e)
{
	int rc;

	for (*n = 0; skip(l, false), l->at < l->len && l->text[l->at] != '\n'; ++*n) {
		if (*n == WORDS_MAX)
			return lexer_fail(l, l->line, l->column, CLI_TOO_LONG, e, "more than %d words in a command",
					  WORDS_MAX);
		rc = next_word(l, a, &words[*n], e);
		if (rc)
			return rc;
		*end = l->text + l->at;
	}
	return CLI_OK;
}

int
lexer_next(struct lexer *l, struct arena *a, struct command *out, struct err *e)
{
	const char *words[WORDS_MAX], *start, *end;
	struct command c;
	const char **argv;
	int rc;

	skip(l, true);
	c = (struct command){.line = l->line, .column = l->column, .text = ""};
	start = end = l->text + l->at;
	rc = next_words(l, a, words, &c.argc, &end, e);
	if (rc)
		return rc;
	if (c.argc) {
		argv = arena_alloc(a, c.argc * sizeof(*argv));
		c.text = one_line(a, start, end);
		if (!argv || !c.text)
			return err_set(e, CLI_FAILED, "out of memory");
		memcpy(argv, words, c.argc * sizeof(*argv));
		c.argv = argv;
	}
	*out = c;
	return CLI_OK;
}
