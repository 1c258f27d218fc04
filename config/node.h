/* node: what a tree is made of. For the files of this room that build, change or walk trees.
 *
 * An entry lives in one table, or in none while it is somebody's draft. Every list keeps the order of printing; the
 * index beside it finds a key in logarithmic time whatever keys a manager chooses.
 */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/tree.h"

struct err;
struct packed;
struct schema;
struct schema_attr;
struct schema_table;

/* A stored value; text as in struct packed. */
struct value {
	char *text;
	uint32_t size;
	uint16_t count;
	uint16_t attr; /* position in the schema */
};

struct table {
	const struct schema_table *schema;
	struct entry *first, *last;
	void *index; /* config/index.h: all entries, hidden ones too, by key */
	size_t count;
	uint64_t revision; /* of the tree when it last changed; of top-level tables */
};

struct entry {
	char *key; /* first, for the index; stands behind the struct */
	const struct schema_table *schema;
	struct entry *prev, *next;
	struct value *values;   /* in schema order */
	struct table *children; /* one for each nested table of the schema */
	uint64_t stamp;         /* revision of the tree that brought this entry: another content has another one */
	uint64_t mark;          /* of a walk through references */
	uint16_t value_count;
	bool hidden;   /* in the index, but neither found nor listed */
	uint32_t refs; /* how often it is named; of top-level tables (config/refs.h) */
};

struct tree {
	const struct schema *schema;
	struct table *tables; /* one for each top-level table of the schema */
	size_t count;
	uint64_t revision, mark;
};

/* A new entry without values, in no table; singletons below it have their entry. NULL: no memory. */
struct entry *entry_new(const struct schema_table *s, const char *key);

/* The stored value, or NULL. */
const struct value *entry_stored(const struct entry *e, const struct schema_attr *a);
/* The bytes of the stored value or of the default; none: *size 0. */
const char *entry_bytes(const struct entry *e, const struct schema_attr *a, size_t *size);
/* Stores what `p` owns, or drops what is stored when that is the default. Takes p->text in any case. 0 or -ENOMEM. */
int entry_store(struct entry *e, const struct schema_attr *a, struct packed *p);
void entry_drop(struct entry *e, const struct schema_attr *a);
/* Entry without stored values and nested entries. */
bool entry_is_empty(const struct entry *e);
struct table *entry_child(const struct entry *e, const struct schema_table *child);

void table_clear(struct table *t);                              /* frees its entries */
bool table_equal(const struct table *a, const struct table *b); /* same entries in the same order */
struct entry *table_find(const struct table *t, const char *key);
/* Puts an entry after `after`, or first. 0 or -ENOMEM. */
int table_insert(struct table *t, struct entry *e, struct entry *after);
/* Puts `with` in the place of `e`, which has the same key and is in no table afterwards. Cannot fail. */
void table_swap(struct table *t, struct entry *e, struct entry *with);
void table_remove(struct table *t, struct entry *e); /* in no table afterwards */
void table_move(struct table *t, struct entry *e, struct entry *after);
/* Takes an entry out of sight and back to where it was: a removal that can be undone without memory. */
void table_hide(struct table *t, struct entry *e);
void table_unhide(struct table *t, struct entry *e);

/* A change of a top-level table in two steps, so that what follows from it can fail. */

/* Puts `draft` into the tree and checks its references. CLI_OK and the entry it replaces in *old (NULL: none), or a
 * code with its reason and nothing changed. A new one is placed after `after` (NULL: last). Then tree_keep() or
 * tree_unput(), which leaves the draft in no table, the caller's again. */
int tree_put(struct tree *t, struct entry *draft, struct entry *after, struct entry **old, struct err *e);
void tree_keep(struct tree *t, struct entry *old);
void tree_unput(struct tree *t, struct entry *draft, struct entry *old);

/* Hides an entry nobody refers to, or CLI_IN_USE. Then tree_gone() or tree_untake(). */
int tree_take(struct tree *t, struct entry *entry, struct err *e);
void tree_gone(struct tree *t, struct entry *entry);
void tree_untake(struct tree *t, struct entry *entry);

struct table *tree_table(const struct tree *t, const struct schema_table *s);

/* A new revision of the tree, which brings a change of the table. Returns it. */
uint64_t tree_touch(struct tree *t, const struct schema_table *s);

/* CLI_OK, or CLI_REQUIRED naming the attribute that is missing. */
int entry_check_required(const struct entry *e, struct err *err);

#endif
