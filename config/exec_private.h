/* exec_private: what the files of the executor share. */
#ifndef CONFIG_EXEC_PRIVATE_H
#define CONFIG_EXEC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/verb.h"

struct table;

enum { FRAMES_MAX = SCHEMA_NESTING_MAX + 2, PROMPT_MAX = 96 };

/* One open `config`. */
struct frame {
	const struct schema_table *schema;
	struct table *nested; /* of the draft in the frame below; NULL: the tree's own table */
	struct entry *draft;  /* owned: the entry of the open `edit`, or the singleton's; NULL: between edits */
	uint64_t stamp;       /* of the tree's entry when the draft was made; 0: there was none */
};

/* A block that could not be entered. */
enum dead { DEAD_NOT, DEAD_CONFIG, DEAD_EDIT };

struct exec {
	struct tree *tree;
	struct exec_ops ops;
	bool bootstrap, interactive;
	struct frame frames[FRAMES_MAX];
	size_t depth;
	enum dead dead;
	size_t dead_depth; /* `config` blocks opened in it */
	struct err dead_why;
	bool changed; /* and not reported yet */
	char prompt[PROMPT_MAX];
};

/* One command on its way through. */
struct run {
	struct exec *x;
	struct frame *f; /* the innermost, NULL at the top */
	enum verb verb;
	size_t argc;
	const char *const *argv; /* [0] is the verb */
	struct buf *out;
	struct err *e;
};

/* The table a frame stands in. */
struct table *frame_table(const struct exec *x, const struct frame *f);

int run_may_change(struct run *r);
/* Tells the system about a change of a top-level entry. */
int run_apply(struct run *r, const struct entry *old, const struct entry *new);
/* Exactly `n` words after the verb: CLI_OK, CLI_INCOMPLETE or CLI_PARSE. */
int run_words(struct run *r, size_t n);
/* A key in its canonical form, which the caller frees. */
int run_key(struct run *r, const char *word, char **out);
/* Puts a new or changed entry into a table and applies it; takes `draft`. */
int run_put(struct run *r, struct table *t, struct entry *draft, struct entry *after);

/* exec_entry.c: set, unset, append, select, unselect on the draft. */
int run_entry(struct run *r);
/* exec_table.c: delete, purge, rename, clone, move in a table. */
int run_table(struct run *r);
/* exec_show.c */
int run_show(struct run *r);
int run_get(struct run *r);

#endif
