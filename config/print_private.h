/* print_private: printing of parts, for the files of this room. */
#ifndef CONFIG_PRINT_PRIVATE_H
#define CONFIG_PRINT_PRIVATE_H

struct entry;
struct table;
struct writer;

/* The `set` lines of an entry and its nested tables. */
void print_body(struct writer *w, const struct entry *e);
/* From "edit" to "next". */
void print_edit(struct writer *w, const struct entry *e);
/* From "config" to "end"; nothing when there is nothing to say. */
void print_nodes(struct writer *w, const struct table *t);

#endif
