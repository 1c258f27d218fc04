#include "base/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

/* The library keeps numbers as doubles: a whole number beyond this may be another one than was written. */
#define JSON_WHOLE_MAX 9007199254740991.0

/* What the library takes and we do not. Depth is checked before parsing: its own limit is 1,000 and its parser
 * recurses. */
static int
check_bytes(const char *text, size_t len, struct err *e)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		size_t span = text_utf8(text + i, len - i);

		if (!span)
			return err_set(e, -EINVAL, "JSON: not UTF-8 at offset %zu", i);
		i += span - 1;
		if (c == '\0')
			return err_set(e, -EINVAL, "JSON: NUL byte at offset %zu", i);
		if (quoted) {
			/* the library would end the text there */
			if (len - i >= sizeof("\\u0000") - 1 && !memcmp(text + i, "\\u0000", sizeof("\\u0000") - 1))
				return err_set(e, -EINVAL, "JSON: NUL character at offset %zu", i);
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return err_set(e, -EINVAL, "JSON: deeper than %d levels at offset %zu", JSON_DEPTH_MAX,
					       i);
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* No object below `value` names a key twice. Sorted, so that a hostile object of many keys costs n log n. */
static int
check_duplicates(const cJSON *value, struct err *e)
{
	const cJSON *child;
	const char **names;
	size_t n = 0, i = 0;
	int rc = 0;

	cJSON_ArrayForEach (child, value) {
		rc = check_duplicates(child, e);
		if (rc)
			return rc;
		n++;
	}
	if (!cJSON_IsObject(value) || n < 2)
		return 0;
	names = calloc(n, sizeof(*names));
	if (!names)
		return err_sys(e, -ENOMEM, "JSON");
	cJSON_ArrayForEach (child, value)
		names[i++] = child->string;
	qsort(names, n, sizeof(*names), compare_names);
	for (i = 1; i < n && !rc; i++) {
		if (!strcmp(names[i - 1], names[i]))
			rc = err_set(e, -EINVAL, "JSON: key \"%.64s\" stands twice in one object", names[i]);
	}
	free(names);
	return rc;
}

static bool
only_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p == end;
}

struct cJSON *
json_parse(const char *text, size_t len, struct err *e)
{
	const char *end = NULL;
	cJSON *root;

	if (check_bytes(text, len, e))
		return NULL;
	root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	if (!root) {
		err_set(e, -EINVAL, "JSON: not valid at offset %td", end ? end - text : (ptrdiff_t)0);
		return NULL;
	}
	if (!only_space(end, text + len)) {
		err_set(e, -EINVAL, "JSON: text after the value at offset %td", end - text);
		cJSON_Delete(root);
		return NULL;
	}
	if (check_duplicates(root, e)) {
		cJSON_Delete(root);
		return NULL;
	}
	return root;
}

void
json_free(struct cJSON *root)
{
	cJSON_Delete(root);
}

char *
json_line(const struct cJSON *root)
{
	return cJSON_PrintUnformatted(root);
}

char *
json_pretty(const struct cJSON *root)
{
	return cJSON_Print(root);
}

const struct cJSON *
json_get(const struct cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

const struct cJSON *
json_get_array(const struct cJSON *obj, const char *key)
{
	const cJSON *v = json_get(obj, key);

	return cJSON_IsArray(v) ? v : NULL;
}

const struct cJSON *
json_get_object(const struct cJSON *obj, const char *key)
{
	const cJSON *v = json_get(obj, key);

	return cJSON_IsObject(v) ? v : NULL;
}

int
json_get_str(const struct cJSON *obj, const char *key, const char **out, struct err *e)
{
	const cJSON *v = json_get(obj, key);

	if (!v)
		return err_set(e, -ENOENT, "key \"%s\" is missing", key);
	if (!cJSON_IsString(v))
		return err_set(e, -EINVAL, "key \"%s\": text expected", key);
	*out = v->valuestring;
	return 0;
}

int
json_get_text(const struct cJSON *obj, const char *key, char *dst, size_t size, struct err *e)
{
	const char *text;
	int rc = json_get_str(obj, key, &text, e);

	if (!rc && text_copy(dst, size, text))
		rc = err_set(e, -EINVAL, "key \"%s\": at most %zu bytes expected", key, size - 1);
	return rc;
}

/* Without floor(): the mathematics library would be 280 kB of every agent's memory for this one call. */
static bool
is_whole(double d)
{
	return d >= -JSON_WHOLE_MAX && d <= JSON_WHOLE_MAX && d == (double)(int64_t)d;
}

int
json_get_int(const struct cJSON *obj, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e)
{
	const cJSON *v = json_get(obj, key);

	if (!v)
		return err_set(e, -ENOENT, "key \"%s\" is missing", key);
	if (!cJSON_IsNumber(v) || !is_whole(v->valuedouble))
		return err_set(e, -EINVAL, "key \"%s\": whole number expected", key);
	if (v->valuedouble < (double)min || v->valuedouble > (double)max)
		return err_set(e, -EINVAL, "key \"%s\": %" PRId64 "…%" PRId64 " expected", key, min, max);
	*out = (int64_t)v->valuedouble;
	return 0;
}

int
json_get_bool(const struct cJSON *obj, const char *key, bool *out, struct err *e)
{
	const cJSON *v = json_get(obj, key);

	if (!v)
		return err_set(e, -ENOENT, "key \"%s\" is missing", key);
	if (!cJSON_IsBool(v))
		return err_set(e, -EINVAL, "key \"%s\": true or false expected", key);
	*out = cJSON_IsTrue(v);
	return 0;
}

const struct cJSON *
json_first(const struct cJSON *parent)
{
	return parent ? parent->child : NULL;
}

const struct cJSON *
json_next(const struct cJSON *value)
{
	return value->next;
}

const char *
json_key(const struct cJSON *value)
{
	return value->string;
}

const char *
json_string(const struct cJSON *value)
{
	return cJSON_IsString(value) ? value->valuestring : NULL;
}

bool
json_is_object(const struct cJSON *value)
{
	return cJSON_IsObject(value);
}

bool
json_is_null(const struct cJSON *value)
{
	return cJSON_IsNull(value);
}

bool
json_is_array(const struct cJSON *value)
{
	return cJSON_IsArray(value);
}

struct cJSON *
json_new_object(void)
{
	return cJSON_CreateObject();
}

struct cJSON *
json_new_array(void)
{
	return cJSON_CreateArray();
}

/* The child once its parent has it; NULL, and the child freed, when that failed. */
static struct cJSON *
attach(struct cJSON *parent, const char *key, cJSON *child)
{
	bool ok = false;

	if (parent && child)
		ok = key ? cJSON_AddItemToObject(parent, key, child) : cJSON_AddItemToArray(parent, child);
	if (ok)
		return child;
	cJSON_Delete(child);
	return NULL;
}

void
json_add(struct cJSON *parent, const char *key, struct cJSON *child)
{
	attach(parent, key, child);
}

/* Text that was cut to fit, or never was any. */
static cJSON *
new_text(const char *text)
{
	cJSON *new = cJSON_CreateString(text);
	size_t span;

	for (char *p = new ? new->valuestring : NULL; p &&*p; p += span) {
		span = text_utf8(p, TEXT_UTF8_MAX);
		if (!span)
			*p = '?';
		span = span ? span : 1;
	}
	return new;
}

void
json_add_str(struct cJSON *parent, const char *key, const char *text)
{
	json_add(parent, key, text ? new_text(text) : cJSON_CreateNull());
}

void
json_add_int(struct cJSON *parent, const char *key, int64_t value)
{
	json_add(parent, key, cJSON_CreateNumber((double)value));
}

void
json_add_bool(struct cJSON *parent, const char *key, bool value)
{
	json_add(parent, key, cJSON_CreateBool(value));
}

struct cJSON *
json_add_object(struct cJSON *parent, const char *key)
{
	return attach(parent, key, cJSON_CreateObject());
}

struct cJSON *
json_add_array(struct cJSON *parent, const char *key)
{
	return attach(parent, key, cJSON_CreateArray());
}
