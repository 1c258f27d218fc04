/* print: a tree as text that parses back to the identical tree. */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include <stdbool.h>

struct buf;
struct entry;
struct schema_table;
struct tree;

enum print_flags {
	PRINT_FULL = 1,     /* with defaults, as `show full-configuration` */
	PRINT_SECRETS = 2,  /* secrets in clear: the saved file and installs only; otherwise masked as "ENC ***" */
	PRINT_CHECKSUM = 4, /* what the checksum is taken of: without unsummed tables and `set uuid` lines */
};

/* 0 or -ENOMEM / -EMSGSIZE from the buffer. Four spaces an indentation step, "\n" line ends. */
int print_tree(const struct tree *t, unsigned flags, struct buf *out);
int print_table(const struct tree *t, const struct schema_table *table, unsigned flags, struct buf *out);
int print_entry(const struct entry *e, unsigned flags,
		struct buf *out); /* "edit …" to "next", or a singleton's lines */

#endif
