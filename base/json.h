/* json: thin strict helpers over cJSON, so that cJSON is named in few files.
 *
 * Reading is strict: a length and a depth bound, valid UTF-8 (RFC 8259, 8.1), no duplicate keys, nothing after the
 * value, integers that are integers, of at most 53 bits. `struct cJSON` is the library's; a value is owned by its
 * parent, the root by whoever holds it.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct err;

enum { JSON_DEPTH_MAX = 32 };

/* Parses exactly one value out of `len` bytes. The caller frees the result. NULL: `e` says where and why. */
struct cJSON *json_parse(const char *text, size_t len, struct err *e);
void json_free(struct cJSON *root); /* NULL-safe */

/* One line of text without spaces, or indented. The caller frees it. NULL: no memory. */
char *json_line(const struct cJSON *root);
char *json_pretty(const struct cJSON *root);

/* Members. -ENOENT missing, -EINVAL wrong type or range. The string stays the object's. `e` names the key. */
int json_get_str(const struct cJSON *obj, const char *key, const char **out, struct err *e);
/* The same into `dst` of `size` bytes; -EINVAL also when it is longer. */
int json_get_text(const struct cJSON *obj, const char *key, char *dst, size_t size, struct err *e);
int json_get_int(const struct cJSON *obj, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e);
int json_get_bool(const struct cJSON *obj, const char *key, bool *out, struct err *e);
const struct cJSON *json_get(const struct cJSON *obj, const char *key); /* NULL: none */
const struct cJSON *json_get_array(const struct cJSON *obj, const char *key);
const struct cJSON *json_get_object(const struct cJSON *obj, const char *key);

/* Walking an array or an object: first, next; NULL at the end. */
const struct cJSON *json_first(const struct cJSON *parent);
const struct cJSON *json_next(const struct cJSON *value);
const char *json_key(const struct cJSON *value);    /* its name inside an object */
const char *json_string(const struct cJSON *value); /* NULL unless it is a string */
bool json_is_object(const struct cJSON *value);
bool json_is_array(const struct cJSON *value);
bool json_is_null(const struct cJSON *value);

/* Building. New members are owned by `parent`. Memory running out drops the member: output then lacks a key. With an
 * array as parent `key` is NULL. NULL text becomes null, a byte that is not UTF-8's a question mark. */
struct cJSON *json_new_object(void);
struct cJSON *json_new_array(void);
void json_add_str(struct cJSON *parent, const char *key, const char *text);
void json_add_int(struct cJSON *parent, const char *key, int64_t value);
void json_add_bool(struct cJSON *parent, const char *key, bool value);
struct cJSON *json_add_object(struct cJSON *parent, const char *key);
struct cJSON *json_add_array(struct cJSON *parent, const char *key);
void json_add(struct cJSON *parent, const char *key, struct cJSON *child); /* takes `child` */

#endif
