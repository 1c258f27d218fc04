/* value: what the words after `set NAME` mean for an attribute: checked, and in the one text that means it. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct schema_attr;

/* Values one after the other, each with its NUL. Zero bytes: no value. */
struct packed {
	char *text; /* owned */
	size_t size;
	size_t count;
};

/* Checks and packs the words of a command. References are checked for their form only. CLI_OK, or a code with its
 * reason; the caller frees out->text. */
int value_pack(const struct schema_attr *a, const char *const words[], size_t n, struct packed *out, struct err *e);

/* The canonical form of an entry's key, which the caller frees. */
int value_key(const struct schema_attr *key, const char *word, char **out, struct err *e);

/* The same bytes as the default (no default: no text). */
bool value_is_default(const struct schema_attr *a, const struct packed *p);

/* One value after another: the first for NULL, NULL after the last. */
const char *value_next(const char *text, size_t size, const char *value);

/* The option that `word` names or abbreviates; NULL: none or several. */
const char *value_option(const struct schema_attr *a, const char *word);

#endif
