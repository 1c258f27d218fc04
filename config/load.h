/* load: a whole configuration text into a tree, memory only, telling of each line that fails. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct tree;

/* Called for each command that fails: "NAME:LINE:COLUMN: text". */
typedef void load_complain_fn(void *ctx, const char *line);

/* Executes `text` on `t`. Returns how many commands failed (the rest is in the tree), or a negative code when the
 * text has no form at all; then `e` has "NAME:LINE:COLUMN: text" and the tree is as it was. CLI_FAILED or -ENOMEM is
 * memory that ran out, and may leave a part of it in the tree. `complain` may be NULL. */
int load_text(struct tree *t, const char *name, const char *text, size_t len, bool bootstrap,
	      load_complain_fn *complain, void *ctx, struct err *e);

#endif
