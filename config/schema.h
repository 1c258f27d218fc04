/* schema: which tables and attributes there are. Read from JSON (etc/schema.d), compiled in or from a folder.
 *
 * A schema is built once at start and is read-only afterwards; trees and executors borrow it.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/format.h"

struct err;
struct schema;

enum {
	SCHEMA_FILE_MAX = 1024 * 1024,
	SCHEMA_NAME_MAX = 127,     /* bytes of a table path, attribute or option name */
	SCHEMA_LENGTH_MAX = 65535, /* bytes of a value */
	SCHEMA_KEY_MAX = 255,
	SCHEMA_VALUES_MAX = 1000, /* of a list: fits one `set` command */
	SCHEMA_NESTING_MAX = 4,   /* tables in tables */
};

enum attr_type {
	ATTR_STRING,    /* length */
	ATTR_INTEGER,   /* min…max */
	ATTR_OPTION,    /* one of a list */
	ATTR_IPV4_MASK, /* "A.B.C.D M.M.M.M" or "A.B.C.D/N", printed in the first form */
	ATTR_IPV4,
	ATTR_IPV6,
	ATTR_IPV6_PREFIX,
	ATTR_MAC,
	ATTR_REFERENCE, /* the key of an entry of another table */
	ATTR_PASSWORD,
};

struct schema_option {
	const char *name;
	const char *help;
};

struct schema_attr {
	const char *name;
	const char *help;
	const char *fallback; /* default in canonical text; NULL: none, the attribute is empty */
	size_t fallback_size; /* a list's default is several values one after the other, each with its NUL: all bytes */
	size_t fallback_count;
	enum attr_type type;
	enum attr_format format; /* of a string */
	bool list;               /* several values, in order, each once */
	bool required;           /* an entry without it cannot be committed: -56 */
	bool fixed;              /* cannot be unset: -23; has a default or is required */
	bool secret;             /* masked in every output but the saved file */
	bool hashed;             /* of a password: kept as a salted hash alone */
	unsigned max_values;     /* of a list */
	size_t max_length;       /* of one value, bytes */
	int64_t min, max;        /* of an integer */
	const struct schema_option *options;
	size_t option_count;
	const char *const *refers; /* table paths a reference may name: the own table or earlier ones */
	size_t refers_count;
	const char *const *predefined; /* names that a reference may hold and that need no entry */
	size_t predefined_count;
	const struct schema_attr *when; /* an earlier option of the table: required only while it has one of these */
	const char *const *when_values;
	size_t when_count;
};

struct schema_table {
	const char *path; /* "system interface"; of a nested table only its own name, "server-list" */
	const char *help;
	const struct schema_table *parent; /* NULL at the top */
	bool singleton;
	struct schema_attr key; /* of a table with entries: what a key looks like (string or integer) */
	const struct schema_attr *attrs;
	size_t attr_count;
	const struct schema_table *const *children;
	size_t child_count;
	const char *const *predefined; /* keys that references to the table may name though no entry has them */
	size_t predefined_count;
	const char *applied_by; /* "interface", "route", "global", "agent", "" … : the agent's appliers by name */
	bool bootstrap_only;    /* `config agent`: -61 anywhere but in the bootstrap file */
	bool unsummed;          /* left out of the checksums */
	bool per_vdom;          /* belongs to a vdom, not to the whole box: the checksum it counts in */
	unsigned index;         /* position among all top-level tables, in file order: order of printing and applying */
};

/* Tables that some reference may name in place of each other: a name stands in one of them at most. */
struct schema_family {
	const struct schema_table *const *tables;
	size_t count;
};

struct schema *schema_new(void);
void schema_free(struct schema *s); /* NULL-safe */

/* The project's own tables. 0 or -errno with file and position in `e`. */
int schema_add_builtin(struct schema *s, struct err *e);

/* One schema file's text; `name` is for messages. All of it is added or nothing. A table that exists already, an
 * unknown key, type or default outside the range are errors. */
int schema_add_json(struct schema *s, const char *name, const char *text, size_t len, struct err *e);

/* Every *.json of a folder in name order. Missing folder: -ENOENT (the caller warns). A bad file is named in `e`, and
 * nothing of it is added; the rest is. Returns the first error. */
int schema_add_folder(struct schema *s, const char *path, struct err *e);

size_t schema_count(const struct schema *s);
const struct schema_table *schema_at(const struct schema *s, size_t i);           /* top-level tables in order */
const struct schema_table *schema_find(const struct schema *s, const char *path); /* exact; NULL: none */
size_t schema_family_count(const struct schema *s);
const struct schema_family *schema_family_at(const struct schema *s, size_t i);
bool schema_family_has(const struct schema_family *f, const struct schema_table *t);

/* A table by the words of a command, each possibly abbreviated where unique: {"sys","int"}. All words must be used.
 * Returns 0, CLI_PARSE (unknown or ambiguous; `e` quotes the word) or CLI_INCOMPLETE. */
int schema_match(const struct schema *s, const char *const words[], size_t n, const struct schema_table **out,
		 struct err *e);

/* As schema_match(), but takes the longest table path that the first words spell and says in *used how many those are;
 * without `bootstrap` the tables of the bootstrap file do not exist. */
int schema_match_first(const struct schema *s, bool bootstrap, const char *const words[], size_t n,
		       const struct schema_table **out, size_t *used, struct err *e);

const struct schema_table *schema_child(const struct schema_table *t,
					const char *name);                             /* abbreviation allowed; NULL */
const struct schema_attr *schema_attr(const struct schema_table *t, const char *name); /* exact */
/* True when a reference's value is a name that needs no entry; when a table has it as one. */
bool schema_is_predefined(const struct schema_attr *a, const char *key);
bool schema_predefines(const struct schema_table *t, const char *key);
/* By abbreviation where unique. 0 or CLI_PARSE. */
int schema_match_attr(const struct schema_table *t, const char *word, const struct schema_attr **out, struct err *e);

#endif
