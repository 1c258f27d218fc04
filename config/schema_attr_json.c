/* Reading the attributes of schema files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "config/arena.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/value.h"

enum { LENGTH_DEFAULT = 255 };

/* JSON numbers are doubles: beyond this they are not whole any more. */
static const int64_t WHOLE_MAX = INT64_C(1) << 53;
static const int64_t INTEGER_MAX = UINT32_MAX;

static int
read_type(struct reader *r, const struct cJSON *obj, enum attr_type *out)
{
	static const char *const names[] = {
	    [ATTR_STRING] = "string",
	    [ATTR_INTEGER] = "integer",
	    [ATTR_OPTION] = "option",
	    [ATTR_IPV4_MASK] = "ipv4-mask",
	    [ATTR_IPV4] = "ipv4",
	    [ATTR_IPV6] = "ipv6",
	    [ATTR_MAC] = "mac",
	    [ATTR_IPV6_PREFIX] = "ipv6-prefix",
	    [ATTR_REFERENCE] = "reference",
	    [ATTR_PASSWORD] = "password",
	};
	const char *text;

	if (json_get_str(obj, "type", &text, r->e))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], text)) {
			*out = (enum attr_type)i;
			return 0;
		}
	}
	return err_set(r->e, -EINVAL, "unknown type \"%.64s\"", text);
}

/* "ping" or {"name": "ping", "help": "…"}. */
static int
read_option(struct reader *r, const struct cJSON *v, struct schema_option *out)
{
	static const char *const keys[] = {"name", "help", NULL};
	const char *text = json_string(v);
	int rc;

	if (text) {
		if (!reader_is_name(text, NAME_OPTION))
			return err_set(r->e, -EINVAL, "option \"%.64s\": not a name", text);
		*out = (struct schema_option){arena_text(r->arena, text), ""};
		return out->name ? 0 : reader_no_memory(r);
	}
	rc = reader_check_object(r, v, keys);
	if (!rc)
		rc = reader_name(r, v, "name", NAME_OPTION, &out->name);
	if (!rc)
		rc = reader_text(r, v, "help", "", &out->help);
	return rc;
}

static int
read_options(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	const struct cJSON *array;
	struct schema_option *options;
	size_t n, used = 0;
	int rc = reader_array(r, obj, "options", &array, &n);

	if (rc)
		return rc;
	if ((a->type == ATTR_OPTION) != (n > 0))
		return err_set(r->e, -EINVAL, "key \"options\": expected for type \"option\", and only there");
	options = arena_alloc(r->arena, n * sizeof(*options));
	if (!options)
		return reader_no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v)) {
		rc = read_option(r, v, &options[used]);
		for (size_t i = 0; !rc && i < used; i++) {
			if (!strcmp(options[i].name, options[used].name))
				rc = err_set(r->e, -EINVAL, "option \"%s\" stands twice", options[i].name);
		}
		used++;
	}
	a->options = options;
	a->option_count = n;
	return rc;
}

const struct schema_table *
reader_find_table(const struct reader *r, const char *path)
{
	for (size_t i = 0; i < r->added_count; i++) {
		if (!strcmp(r->added[i]->path, path))
			return r->added[i];
	}
	return schema_find(r->schema, path);
}

static bool
is_among(const char *text, const char *const list[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i], text))
			return true;
	}
	return false;
}

/* An array of texts, each of them of a form and once, at the end of what *out has already. */
static int
read_names(struct reader *r, const struct cJSON *array, const struct schema_attr *form, const char *out[],
	   size_t *count)
{
	for (const struct cJSON *v = json_first(array); v; v = json_next(v)) {
		const char *text = json_string(v);
		char *canonical;

		if (!text)
			return err_set(r->e, -EINVAL, "texts expected");
		if (value_key(form, text, &canonical, r->e))
			return -EINVAL;
		out[*count] = arena_text(r->arena, canonical);
		free(canonical);
		if (!out[*count])
			return reader_no_memory(r);
		if (is_among(out[*count], out, *count))
			return err_set(r->e, -EINVAL, "\"%.64s\" stands twice", text);
		++*count;
	}
	return 0;
}

int
reader_predefined(struct reader *r, const struct cJSON *obj, const struct schema_attr *form, const char *const **out,
		  size_t *count)
{
	const struct cJSON *array;
	const char **names;
	size_t n, used = 0;
	int rc = reader_array(r, obj, "predefined", &array, &n);

	if (rc)
		return rc;
	names = arena_alloc(r->arena, n * sizeof(*names));
	if (!names)
		return reader_no_memory(r);
	rc = read_names(r, array, form, names, &used);
	if (rc) {
		err_in(r->e, "key \"predefined\"");
		return rc;
	}
	*out = names;
	*count = used;
	return 0;
}

/* The names of the attribute's own list and those of every table it refers to. */
static int
gather_predefined(struct reader *r, const struct cJSON *obj, const struct schema_table *const tables[],
		  struct schema_attr *a)
{
	struct schema_attr form = *a;
	const char *const *own;
	const char **names;
	size_t own_count, n, used = 0;
	int rc;

	form.list = false;
	rc = reader_predefined(r, obj, &form, &own, &own_count);
	if (rc)
		return rc;
	n = own_count;
	for (size_t i = 0; i < a->refers_count; i++)
		n += tables[i]->predefined_count;
	names = arena_alloc(r->arena, n * sizeof(*names));
	if (!names)
		return reader_no_memory(r);
	for (size_t i = 0; i < own_count; i++)
		names[used++] = own[i];
	for (size_t i = 0; i < a->refers_count; i++) {
		for (size_t k = 0; k < tables[i]->predefined_count; k++) {
			if (!is_among(tables[i]->predefined[k], names, used))
				names[used++] = tables[i]->predefined[k];
		}
	}
	a->predefined = names;
	a->predefined_count = used;
	return 0;
}

static bool
same_family(const struct schema_family *a, const struct schema_table *const tables[], size_t n)
{
	return a->count == n && !memcmp(a->tables, tables, n * sizeof(tables[0]));
}

/* Notes that the tables are named together. */
static int
note_family(struct reader *r, const struct schema_table *const tables[], size_t n)
{
	struct family_item *item;

	if (n < 2)
		return 0;
	for (size_t i = 0; i < schema_family_count(r->schema); i++) {
		if (same_family(schema_family_at(r->schema, i), tables, n))
			return 0;
	}
	for (item = r->families; item; item = item->next) {
		if (same_family(&item->family, tables, n))
			return 0;
	}
	item = arena_alloc(r->arena, sizeof(*item));
	if (!item)
		return reader_no_memory(r);
	*item = (struct family_item){{tables, n}, r->families};
	r->families = item;
	r->family_count++;
	return 0;
}

/* References go back only, so that printing and installing in table order always finds what is referred to. */
static int
read_refers(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_attr *a)
{
	const struct schema_table **tables;
	const struct cJSON *array;
	const char **refers;
	size_t n, used = 0;
	int rc = reader_array(r, obj, "refers", &array, &n);

	if (rc)
		return rc;
	if ((a->type == ATTR_REFERENCE) != (n > 0))
		return err_set(r->e, -EINVAL, "key \"refers\": expected for type \"reference\", and only there");
	if (!n && json_get(obj, "predefined"))
		return err_set(r->e, -EINVAL, "key \"predefined\": for type \"reference\" only");
	refers = arena_alloc(r->arena, n * sizeof(*refers));
	tables = arena_alloc(r->arena, n * sizeof(*tables));
	if (!refers || !tables)
		return reader_no_memory(r);
	for (const struct cJSON *v = json_first(array); v; v = json_next(v), used++) {
		const char *path = json_string(v);
		const struct schema_table *t = path ? reader_find_table(r, path) : NULL;

		if (path && !strcmp(path, top->path))
			t = top;
		if (!t || t->singleton)
			return err_set(r->e, -EINVAL, "key \"refers\": \"%.64s\" is no earlier table with entries",
				       path ? path : "");
		if (is_among(t->path, refers, used))
			return err_set(r->e, -EINVAL, "key \"refers\": \"%.64s\" stands twice", path);
		refers[used] = t->path;
		tables[used] = t;
	}
	a->refers = refers;
	a->refers_count = n;
	rc = note_family(r, tables, n);
	return rc ? rc : gather_predefined(r, obj, tables, a);
}

/* A default is never looked up: it must be a name that needs no entry. */
static int
check_reference_default(struct reader *r, const struct schema_attr *a, const struct packed *p)
{
	const char *v = NULL;

	while (a->type == ATTR_REFERENCE && (v = value_next(p->text, p->size, v))) {
		if (*v && !schema_is_predefined(a, v))
			return err_set(r->e, -EINVAL, "key \"default\": a predefined name expected");
	}
	return 0;
}

/* The texts of "default": one, or an array of them for a list. */
static int
read_default_words(struct reader *r, const struct cJSON *v, const struct schema_attr *a, const char *words[], size_t *n)
{
	if (a->list != json_is_array(v) || (!a->list && !json_string(v)))
		return err_set(r->e, -EINVAL, "key \"default\": %s expected", a->list ? "an array of texts" : "text");
	if (!a->list)
		words[(*n)++] = json_string(v);
	for (const struct cJSON *m = a->list ? json_first(v) : NULL; m; m = json_next(m)) {
		if (*n == SCHEMA_VALUES_MAX || !json_string(m))
			return err_set(r->e, -EINVAL, "key \"default\": at most %d texts expected", SCHEMA_VALUES_MAX);
		words[(*n)++] = json_string(m);
	}
	return 0;
}

/* Checked and made canonical like a `set`. */
static int
read_default(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	const struct cJSON *v = json_get(obj, "default");
	const char *words[SCHEMA_VALUES_MAX];
	struct packed p;
	size_t n = 0;
	int rc;

	if (!v)
		return 0;
	if (a->required || a->when || a->secret)
		return err_set(r->e, -EINVAL, "key \"default\": not for a required or a secret attribute");
	rc = read_default_words(r, v, a, words, &n);
	if (rc)
		return rc;
	if (value_pack(a, words, n, &p, r->e)) {
		err_in(r->e, "key \"default\"");
		return -EINVAL;
	}
	rc = check_reference_default(r, a, &p);
	if (!rc && (p.size > 1 || p.count > 1)) {
		char *text = arena_bytes(r->arena, p.size);

		a->fallback = text ? memcpy(text, p.text, p.size) : NULL;
		a->fallback_size = p.size;
		a->fallback_count = p.count;
		rc = text ? 0 : reader_no_memory(r);
	}
	free(p.text);
	return rc;
}

/* "required-when": {"type": ["fqdn"]}: the name of an option read before, and those of its values that count. */
static int
read_when(struct reader *r, const struct cJSON *obj, struct schema_attr *attrs, size_t n)
{
	const struct cJSON *v = json_get(obj, "required-when"), *only = v ? json_first(v) : NULL;
	const struct schema_attr *when = NULL;
	const char **values;
	size_t count, used = 0;
	int rc;

	if (!v)
		return 0;
	if (attrs[n].required)
		return err_set(r->e, -EINVAL, "not together with \"required\"");
	if (!json_is_object(v) || !only || json_next(only))
		return err_set(r->e, -EINVAL, "an object with one attribute expected");
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(attrs[i].name, json_key(only)))
			when = &attrs[i];
	}
	if (!when || when->type != ATTR_OPTION || when->list)
		return err_set(r->e, -EINVAL, "\"%.64s\" is no earlier attribute with one option", json_key(only));
	rc = reader_array(r, v, json_key(only), &only, &count);
	values = rc ? NULL : arena_alloc(r->arena, count * sizeof(*values));
	if (!rc && !values)
		rc = reader_no_memory(r);
	if (!rc)
		rc = read_names(r, only, when, values, &used);
	if (!rc && !used)
		rc = err_set(r->e, -EINVAL, "at least one option expected");
	attrs[n].when = when;
	attrs[n].when_values = values;
	attrs[n].when_count = used;
	return rc;
}

/* "format": of one text or of each in a list. */
static int
read_format(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	const char *name;

	if (!json_get(obj, "format"))
		return 0;
	if (a->type != ATTR_STRING || a->secret)
		return err_set(r->e, -EINVAL, "key \"format\": for type \"string\" only, and not for secrets");
	if (json_get_str(obj, "format", &name, r->e))
		return -EINVAL;
	if (format_find(name, &a->format))
		return err_set(r->e, -EINVAL, "unknown format \"%.64s\"", name);
	return 0;
}

static int
read_bounds(struct reader *r, const struct cJSON *obj, bool key, struct schema_attr *a)
{
	bool text = a->type == ATTR_STRING || a->type == ATTR_PASSWORD || a->type == ATTR_REFERENCE;
	int64_t length, values, limit = key ? SCHEMA_KEY_MAX : SCHEMA_LENGTH_MAX;
	int rc = 0;

	if (!text && json_get(obj, "max-length"))
		return err_set(r->e, -EINVAL, "key \"max-length\": for texts only");
	if (a->type != ATTR_INTEGER && (json_get(obj, "min") || json_get(obj, "max")))
		return err_set(r->e, -EINVAL, "key \"min\" or \"max\": for type \"integer\" only");
	if (!a->list && json_get(obj, "max-values"))
		return err_set(r->e, -EINVAL, "key \"max-values\": for lists only");
	rc = reader_int(r, obj, "max-length", 1, limit, LENGTH_DEFAULT, &length);
	if (!rc)
		rc = reader_int(r, obj, "max-values", 1, SCHEMA_VALUES_MAX, SCHEMA_VALUES_MAX, &values);
	if (!rc)
		rc = reader_int(r, obj, "min", -WHOLE_MAX, WHOLE_MAX, 0, &a->min);
	if (!rc)
		rc = reader_int(r, obj, "max", a->min, WHOLE_MAX, a->min > INTEGER_MAX ? WHOLE_MAX : INTEGER_MAX,
				&a->max);
	if (rc)
		return -EINVAL;
	a->max_length = (size_t)length;
	a->max_values = (unsigned)values;
	return 0;
}

/* What an attribute is, and what goes with that. */
static int
read_flags(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	int rc = read_type(r, obj, &a->type);

	if (!rc)
		rc = reader_bool(r, obj, "list", &a->list);
	if (!rc)
		rc = reader_bool(r, obj, "required", &a->required);
	if (!rc)
		rc = reader_bool(r, obj, "fixed", &a->fixed);
	if (!rc)
		rc = reader_bool(r, obj, "secret", &a->secret);
	if (!rc)
		rc = reader_bool(r, obj, "hashed", &a->hashed);
	if (!rc && a->hashed && a->type != ATTR_PASSWORD)
		rc = err_set(r->e, -EINVAL, "key \"hashed\": for type \"password\" only");
	if (!rc && a->type == ATTR_PASSWORD)
		a->secret = true;
	if (!rc && a->secret && (a->list || (a->type != ATTR_PASSWORD && a->type != ATTR_STRING)))
		rc = err_set(r->e, -EINVAL, "key \"secret\": for single texts only");
	return rc;
}

int
reader_attr(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_attr *attrs,
	    size_t n)
{
	static const char *const keys[] = {"name",          "help",       "type",       "default", "list",
					   "required",      "fixed",      "secret",     "min",     "max",
					   "options",       "max-length", "max-values", "refers",  "predefined",
					   "required-when", "format",     "hashed",     NULL};
	struct schema_attr *a = &attrs[n];
	int rc = reader_name(r, obj, "name", NAME_WORD, &a->name);

	if (!rc)
		rc = reader_check_object(r, obj, keys);
	if (!rc)
		rc = reader_text(r, obj, "help", "", &a->help);
	if (!rc)
		rc = read_flags(r, obj, a);
	if (!rc)
		rc = read_bounds(r, obj, false, a);
	if (!rc)
		rc = read_format(r, obj, a);
	if (!rc)
		rc = read_options(r, obj, a);
	if (!rc)
		rc = read_refers(r, obj, top, a);
	if (!rc && read_when(r, obj, attrs, n)) {
		err_in(r->e, "key \"required-when\"");
		rc = -EINVAL;
	}
	if (!rc)
		rc = read_default(r, obj, a);
	if (!rc && a->fixed && !a->required && !a->fallback)
		rc = err_set(r->e, -EINVAL, "key \"fixed\": a default or \"required\" expected with it");
	return rc;
}

int
reader_key(struct reader *r, const struct cJSON *obj, struct schema_attr *key)
{
	static const char *const keys[] = {"name", "help", "type", "min", "max", "max-length", NULL};
	int rc = reader_check_object(r, obj, keys);

	if (!rc)
		rc = reader_name(r, obj, "name", NAME_WORD, &key->name);
	if (!rc)
		rc = reader_text(r, obj, "help", "", &key->help);
	if (!rc)
		rc = read_type(r, obj, &key->type);
	if (!rc && key->type != ATTR_STRING && key->type != ATTR_INTEGER)
		rc = err_set(r->e, -EINVAL, "type \"string\" or \"integer\" expected");
	if (!rc)
		rc = read_bounds(r, obj, true, key);
	key->required = true;
	return rc;
}
