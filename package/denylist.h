/* denylist: keys that sign no more. It comes as the payload of a signed object, a line for each key:
 * the SHA-256 of its SubjectPublicKeyInfo as 64 hex digits. Blank lines and lines that begin with # do not count.
 */
#ifndef PACKAGE_DENYLIST_H
#define PACKAGE_DENYLIST_H

#include <stdbool.h>
#include <stddef.h>

struct denylist;
struct err;

/* Any other line is an error of the whole: a list read in part would let somebody in. 0, -EINVAL with the line, or
 * -ENOMEM. The result is the caller's. */
int denylist_parse(const char *text, size_t len, struct denylist **out, struct err *e);
int denylist_load(const char *path, struct denylist **out, struct err *e);
void denylist_free(struct denylist *d); /* NULL-safe */

/* `key`: 64 lower-case hex digits. A NULL list is empty. */
bool denylist_has(const struct denylist *d, const char *key);

#endif
