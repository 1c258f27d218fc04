/* refs: who refers to whom. An entry of a top-level table counts how often entries of the tree name it, so that a
 * deletion knows at once whether something still needs it. References form no loops. */
#ifndef CONFIG_REFS_H
#define CONFIG_REFS_H

#include <stdbool.h>
#include <stddef.h>

struct entry;
struct err;
struct schema_attr;
struct schema_table;
struct tree;

/* Calls `fn` for every reference an entry holds, nested tables included, until it returns non-zero; returns that.
 * A predefined name is none: it needs no entry and keeps none from being deleted. */
typedef int refs_fn(void *ctx, const struct schema_attr *a, const char *key);
int refs_walk(const struct entry *e, refs_fn *fn, void *ctx);

/* True when an entry of the table can refer to another one of the same table. */
bool refs_within(const struct schema_table *t);

/* Counts the references of an entry in, and out. CLI_OK, or CLI_NOT_FOUND for one that names no entry of the tree; then
 * none is counted. A reference whose entry is gone meanwhile is not counted out. */
int refs_add(struct tree *t, const struct entry *e, struct err *err);
void refs_drop(struct tree *t, const struct entry *e);

/* The same question without counting. */
int refs_check(const struct tree *t, const struct entry *e, struct err *err);

/* The entry, which is in the tree and counted, does not refer to itself on any way: CLI_OK or CLI_CONFLICT. */
int refs_check_loop(struct tree *t, struct entry *e, struct err *err);

#endif
