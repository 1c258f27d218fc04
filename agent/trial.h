/* trial: a copy of the running configuration that a script or a request changes first; then what leads there, as an
 * install with the same safety as any other. Nothing of it touches the running configuration or the system.
 */
#ifndef AGENT_TRIAL_H
#define AGENT_TRIAL_H

#include <stdbool.h>

struct buf;
struct command;
struct device;
struct err;
struct install;
struct tree;
struct trial;

/* Borrows both. Changes are denied while an install is pending. NULL: no memory. */
struct trial *trial_new(struct device *d, const struct install *in);
void trial_free(struct trial *t); /* NULL-safe */

const struct tree *trial_tree(const struct trial *t);

/* As exec_run(), on the copy; `get` and the like show the device itself. */
int trial_run(struct trial *t, const struct command *c, struct buf *out, struct err *e);

/* Drops what is not committed. */
void trial_reset(struct trial *t);

bool trial_changed(const struct trial *t);

/* Appends what leads from the running configuration to the copy, and back. 0 or -errno: -ESTALE when something else has
 * changed the running one meanwhile, which would be undone, -EFBIG too large for an install. */
int trial_scripts(const struct trial *t, struct buf *set, struct buf *unset, struct err *e);

/* What leads from one configuration to another, as the script of an install. 0, -EFBIG or -errno. */
int trial_script_between(const struct tree *from, const struct tree *to, struct buf *out, struct err *e);

#endif
