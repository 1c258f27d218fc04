/* reader: the fields of a schema file on their way into memory. For the files of this room that read schemas.
 *
 * What is read is kept in the arena of its file. Each function returns 0 or -errno with its reason in r->e and leaves
 * its output as it was, but for the fields of a struct that is dropped with the file.
 */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/schema.h"

struct arena;
struct cJSON;
struct err;

struct family_item {
	struct schema_family family;
	struct family_item *next;
};

struct reader {
	const struct schema *schema;
	struct arena *arena;
	struct err *e;
	const struct schema_table **added; /* top-level tables of this file so far */
	size_t added_count;
	struct family_item *families; /* tables that references of this file name together */
	size_t family_count;
};

/* Letters, digits, '-', '_', '.', '+'; of options '/' as well. */
enum name_kind { NAME_WORD, NAME_WORDS, NAME_OPTION };

int reader_no_memory(struct reader *r);
bool reader_is_name(const char *s, enum name_kind kind);

/* An object with no keys but these; NULL ends them. */
int reader_check_object(struct reader *r, const struct cJSON *obj, const char *const keys[]);
int reader_name(struct reader *r, const struct cJSON *obj, const char *key, enum name_kind kind, const char **out);

/* These may be missing. */
int reader_text(struct reader *r, const struct cJSON *obj, const char *key, const char *fallback, const char **out);
int reader_bool(struct reader *r, const struct cJSON *obj, const char *key, bool *out); /* missing: false */
int reader_int(struct reader *r, const struct cJSON *obj, const char *key, int64_t min, int64_t max, int64_t fallback,
	       int64_t *out);
/* An array and how many items it has; missing: NULL and 0. */
int reader_array(struct reader *r, const struct cJSON *obj, const char *key, const struct cJSON **out, size_t *n);

/* schema_attr_json.c: attributes, and what a key has in common with them. */

/* The n-th attribute of a table into attrs[n], the earlier ones before it. `top` is the outermost table around it. */
int reader_attr(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_attr *attrs,
		size_t n);
int reader_key(struct reader *r, const struct cJSON *obj, struct schema_attr *key);
/* "predefined" of a table: names of the form of its keys. */
int reader_predefined(struct reader *r, const struct cJSON *obj, const struct schema_attr *form,
		      const char *const **out, size_t *count);
/* A table of this file or an earlier one; NULL: none. */
const struct schema_table *reader_find_table(const struct reader *r, const char *path);

#endif
