#include "config/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "config/arena.h"
#include "config/schema.h"
#include "config/value.h"

enum { ITEMS_MAX = 1000 };

int
reader_no_memory(struct reader *r)
{
	return err_set(r->e, -ENOMEM, "out of memory");
}

static bool
in_list(const char *word, const char *const list[])
{
	for (size_t i = 0; list[i]; i++) {
		if (!strcmp(list[i], word))
			return true;
	}
	return false;
}

int
reader_check_object(struct reader *r, const struct cJSON *obj, const char *const keys[])
{
	if (!json_is_object(obj))
		return err_set(r->e, -EINVAL, "an object expected");
	for (const struct cJSON *m = json_first(obj); m; m = json_next(m)) {
		if (!in_list(json_key(m), keys))
			return err_set(r->e, -EINVAL, "unknown key \"%.64s\"", json_key(m));
	}
	return 0;
}

/* Words have one space between. */
bool
reader_is_name(const char *s, enum name_kind kind)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+/";
	size_t n;

	if (strlen(s) > SCHEMA_NAME_MAX)
		return false;
	for (;;) {
		n = strspn(s, letters);
		if (!n || (s[n] && (kind != NAME_WORDS || s[n] != ' ')))
			return false;
		if (kind != NAME_OPTION && memchr(s, '/', n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

int
reader_name(struct reader *r, const struct cJSON *obj, const char *key, enum name_kind kind, const char **out)
{
	const char *text;
	int rc = json_get_str(obj, key, &text, r->e);

	if (rc)
		return err_set(r->e, -EINVAL, "key \"%s\": a name expected", key);
	if (!reader_is_name(text, kind))
		return err_set(r->e, -EINVAL, "key \"%s\": letters, digits, '-', '_', '.', '+' expected in \"%.64s\"",
			       key, text);
	*out = arena_text(r->arena, text);
	return *out ? 0 : reader_no_memory(r);
}

int
reader_text(struct reader *r, const struct cJSON *obj, const char *key, const char *fallback, const char **out)
{
	const struct schema_attr line = {.name = key, .type = ATTR_STRING, .max_length = SCHEMA_LENGTH_MAX};
	const char *text = fallback;
	char *clean = NULL;

	if (json_get(obj, key) && json_get_str(obj, key, &text, r->e))
		return -EINVAL;
	/* shown on terminals, a line each */
	if (*text && value_key(&line, text, &clean, r->e))
		return -EINVAL;
	free(clean);
	*out = arena_text(r->arena, text);
	return *out ? 0 : reader_no_memory(r);
}

int
reader_bool(struct reader *r, const struct cJSON *obj, const char *key, bool *out)
{
	*out = false;
	return json_get(obj, key) ? json_get_bool(obj, key, out, r->e) : 0;
}

int
reader_int(struct reader *r, const struct cJSON *obj, const char *key, int64_t min, int64_t max, int64_t fallback,
	   int64_t *out)
{
	*out = fallback;
	return json_get(obj, key) ? json_get_int(obj, key, min, max, out, r->e) : 0;
}

static size_t
count_items(const struct cJSON *array)
{
	size_t n = 0;

	for (const struct cJSON *v = json_first(array); v; v = json_next(v))
		n++;
	return n;
}

int
reader_array(struct reader *r, const struct cJSON *obj, const char *key, const struct cJSON **out, size_t *n)
{
	*out = json_get_array(obj, key);
	if (json_get(obj, key) && !*out)
		return err_set(r->e, -EINVAL, "key \"%s\": an array expected", key);
	*n = count_items(*out);
	if (*n > ITEMS_MAX)
		return err_set(r->e, -EINVAL, "key \"%s\": at most %d items expected", key, ITEMS_MAX);
	return 0;
}
