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
step(struct lexer *l)
{
	if (l->text[l->at++] == '\n') {
		l->line++;
		l->column = 1;
	} else {
		l->column++;
	}
}

static void
advance(struct lexer *l, size_t n)
{
	if (!memchr(l->text + l->at, '\n', n)) {
		l->at += n;
		l->column += (unsigned)n;
		return;
	}
	for (; n; n--)
		step(l);
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

/* How many bytes mean themselves, up to one that may not. */
static size_t
plain_span(const char *start, const char *end, bool quoted)
{
	/* 1: outside quotes, 2: inside, 3: both */
	static const unsigned char special[256] = {
	    ['\0'] = 3, ['"'] = 3, ['\\'] = 3, [' '] = 1, ['\t'] = 1, ['\r'] = 1, ['\v'] = 1, ['\f'] = 1, ['\n'] = 1,
	};
	unsigned char here = quoted ? 2 : 1;
	const char *p = start;

	while (p < end && !(special[(unsigned char)*p] & here))
		p++;
	return (size_t)(p - start);
}

static size_t
cook(char *dst, size_t at, const char *src, size_t n)
{
	if (dst)
		memcpy(dst + at, src, n);
	return n;
}

/* One pass over a word, which starts at `p`. With `dst` the cooked bytes are written there too. */
static struct word
scan_word(const char *p, const char *end, char *dst)
{
	struct word w = {0};
	const char *start = p;

	while (p < end) {
		size_t span = plain_span(p, end, w.quote != NULL);

		w.cooked += cook(dst, w.cooked, p, span);
		p += span;
		if (p == end || (!w.quote && (is_blank(*p) || *p == '\n')))
			break;
		span = escape_span(p, end, w.quote != NULL);
		if (span == 1 && *p == '"') {
			w.quote = w.quote ? NULL : p;
			p++;
			continue;
		}
		if (!*p && !w.nul)
			w.nul = p;
		w.cooked += cook(dst, w.cooked, p + span - 1, 1);
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

	for (; l->at < l->len; step(l)) {
		char c = l->text[l->at];

		if (is_blank(c))
			continue;
		if (c == '\n') {
			if (!lines)
				return;
			comment = false;
		} else if (c == '#') {
			comment = true;
		} else if (!c || !comment) {
			return;
		}
	}
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The command as written, from `start` to `end`, on one line and without control characters. Most have none. */
static char *
one_line(struct arena *a, const char *start, const char *end)
{
	size_t extra = 0, used = 0;
	const char *odd = start;
	char *dst;

	while (odd < end && !is_control(*odd))
		odd++;
	for (const char *p = odd; p < end; p++)
		extra += *p == '\n';
	dst = arena_bytes(a, (size_t)(end - start) + extra + 1);
	if (!dst)
		return NULL;
	used = (size_t)(odd - start);
	memcpy(dst, start, used);
	for (const char *p = odd; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '\n') {
			dst[used++] = '\\';
			c = 'n';
		} else if (is_blank(*p)) {
			c = ' ';
		} else if (is_control(*p)) {
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
	if (w.cooked == w.raw)
		memcpy(dst, p, w.raw);
	else
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
