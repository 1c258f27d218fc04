/* secret: commands of a script as they may be shown: what may be a password is masked.
 */
#ifndef ROLLBACK_SECRET_H
#define ROLLBACK_SECRET_H

struct command;
struct schema;

enum { SECRET_LINE = 256 };

/* The command's text, or "set NAME ***" in `dst` when NAME may abbreviate a secret attribute of any table, or sounds
 * like one. Errs on the side of masking. Valid as long as both arguments. */
const char *secret_mask(const struct schema *s, const struct command *c, char dst[SECRET_LINE]);

#endif
