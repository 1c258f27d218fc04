/* script: text of the CLI as a list of commands, checked for form only.
 *
 * The form is words, "quoted words" with \" and \\ (may span lines), # comments, and balanced config/edit/next/end.
 * Unknown tables and attributes are no business of this file: they fail when executed.
 */
#ifndef CONFIG_SCRIPT_H
#define CONFIG_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct script;

enum { SCRIPT_MAX_BYTES = 8 * 1024 * 1024, CONFIG_MAX_BYTES = 64 * 1024 * 1024, WORDS_MAX = 1024 };

struct command {
	unsigned line, column; /* where its first word starts, from 1 */
	const char *text;      /* as written, on one line: what "CODE: COMMAND" prints */
	size_t argc;
	const char *const *argv; /* unquoted words */
};

/* Parses the whole text. Returns 0 and *out, which the caller frees, or CLI_PARSE / CLI_INCOMPLETE (end of text inside
 * a quote or a block) / CLI_TOO_LONG; then `e` reads "NAME:LINE:COLUMN: what, what was expected". An unknown verb, a
 * NUL byte, an `edit` outside `config`, a `next` outside `edit`, an `end` too many are errors here. */
int script_parse(const char *name, const char *text, size_t len, struct script **out, struct err *e);
void script_free(struct script *s); /* NULL-safe */

size_t script_count(const struct script *s);
const struct command *script_at(const struct script *s, size_t i); /* valid as long as the script */

/* The same text command by command, for whoever needs no more than one at a time: what script_parse() would refuse is
 * refused when the reader comes to it. */
struct reader;
struct reader *reader_new(const char *name, const char *text, size_t len); /* borrows all; NULL: no memory */
void reader_free(struct reader *r);                                        /* NULL-safe */

/* The next command, valid until the next call; argc 0 at the end of the text. CLI_OK or a code as script_parse()'s. */
int reader_next(struct reader *r, struct command *out, struct err *e);

/* For shells, one line at a time: parses `text` as exactly one command (empty or comment: argc 0, returns 0).
 * CLI_INCOMPLETE: inside a quote, give the next line too. The caller frees *out with script_free(). Blocks are not
 * checked. */
int script_parse_line(const char *text, size_t len, struct script **out, struct err *e);

#endif
