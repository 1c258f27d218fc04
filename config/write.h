/* write: commands as text. The first failure sticks and everything after it is dropped. */
#ifndef CONFIG_WRITE_H
#define CONFIG_WRITE_H

#include <stddef.h>

struct buf;
struct entry;
struct schema_attr;
struct schema_table;
struct table;

struct writer {
	struct buf *out;
	unsigned flags; /* enum print_flags */
	unsigned depth; /* indentation steps */
	int rc;
};

/* One line of plain words after the indentation; NULL ends them. */
void write_line(struct writer *w, const char *word, ...) __attribute__((sentinel));
void write_quoted(struct writer *w, const char *text); /* "…" with \" and \\ */

void write_config(struct writer *w, const struct schema_table *t); /* "config PATH", one step in */
void write_edit(struct writer *w, const struct entry *e);          /* "edit KEY", one step in */
void write_close(struct writer *w, const char *verb);              /* one step out, "next" or "end" */
void write_delete(struct writer *w, const struct entry *e);

/* "set NAME VALUES" from packed values, or `set NAME ""` for none. */
void write_set(struct writer *w, const struct schema_attr *a, const char *text, size_t size);

/* "move" lines that bring entries from the order `have` into that of the table; returns how many in *moves (may be
 * NULL). */
void write_moves(struct writer *w, const struct table *want, const struct entry *const *have, size_t *moves);

#endif
