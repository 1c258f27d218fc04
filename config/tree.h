/* tree: a configuration in memory: tables, entries, values in canonical text.
 *
 * Pure: no files, no sockets, no clock. A tree borrows its schema, which must outlive it. Values that equal the default
 * are not stored, so that two trees that mean the same are equal. Memory running out fails the change that needed it
 * and leaves the tree as it was.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry;
struct err;
struct schema;
struct schema_attr;
struct schema_table;
struct tree;

struct tree *tree_new(const struct schema *s); /* NULL: no memory */
struct tree *tree_clone(const struct tree *t); /* deep; NULL: no memory */
void tree_free(struct tree *t);                /* NULL-safe */
const struct schema *tree_schema(const struct tree *t);
bool tree_equal(const struct tree *a, const struct tree *b); /* same entries in the same order */

/* Grows with every change of the tree: what was computed from it is fresh while this is the same. */
uint64_t tree_revision(const struct tree *t);

/* Reading. `path` is exact ("system interface"). A singleton always has its one entry (key ""). Pointers stay valid
 * until the next change of that tree. */
const struct entry *tree_entry(const struct tree *t, const char *path, const char *key);
const struct entry *tree_first(const struct tree *t, const char *path);
const struct entry *entry_next(const struct entry *e);
size_t tree_count(const struct tree *t, const char *path);

const char *entry_key(const struct entry *e);
const struct schema_table *entry_table(const struct entry *e);
bool entry_is_set(const struct entry *e, const char *attr); /* stored, that is: not the default */

/* A single value or its default; "" where there is neither. */
const char *entry_get(const struct entry *e, const char *attr);
/* The i-th value of a list (or of a single value); NULL past the end. */
const char *entry_value(const struct entry *e, const char *attr, size_t i);
size_t entry_count(const struct entry *e, const char *attr);
bool entry_enabled(const struct entry *e, const char *attr); /* the value is "enable" */
long long entry_int(const struct entry *e, const char *attr);

/* Entries of a nested table. */
const struct entry *entry_child_first(const struct entry *e, const char *table);

/* Deep comparison of two entries of one table; either may be NULL. */
bool entry_equal(const struct entry *a, const struct entry *b);

/* A deep copy that stands in no table, with another key unless `key` is NULL. NULL: no memory. */
struct entry *entry_copy(const struct entry *e, const char *key);
void entry_free(struct entry *e); /* NULL-safe; only of an entry in no table */

/* Changing from code, with the same checks as `set` and its commit (type, range, reference), but an entry need not be
 * complete. Creates the entry where needed; `key` of a singleton is "" or NULL. No values: the default (`unset`).
 * Returns CLI_OK or a code with its reason in `e`. */
int tree_set(struct tree *t, const char *path, const char *key, const char *attr, const char *const values[], size_t n,
	     struct err *e);

#endif
