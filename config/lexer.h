/* lexer: text as commands, one at a time, without looking at what they mean.
 *
 * Words stand between blanks; "…" keeps blanks and line ends; \" and \\ inside and outside quotes, and "\ " outside,
 * mean the character itself, any other backslash means a backslash. A word that begins with # begins a comment. A
 * command ends with its line.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <stddef.h>

struct arena;
struct command;
struct err;

struct lexer {
	const char *name; /* for messages, NULL: a single typed line */
	const char *text; /* borrowed, need not end with NUL */
	size_t len, at;
	unsigned line, column; /* of `at`, from 1, in bytes */
};

struct lexer lexer_start(const char *name, const char *text, size_t len);

/* The next command, its strings in `a`; argc 0 at the end of the text. CLI_OK, CLI_PARSE (NUL byte), CLI_INCOMPLETE
 * (end of text inside quotes), CLI_TOO_LONG (more than WORDS_MAX words), CLI_FAILED (no memory). */
int lexer_next(struct lexer *l, struct arena *a, struct command *out, struct err *e);

/* Fills `e` with "NAME:LINE:COLUMN: …" and returns `code`. */
int lexer_fail(const struct lexer *l, unsigned line, unsigned column, int code, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#endif
