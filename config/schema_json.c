/* Reading schema files: etc/schema.schema.json describes the format, this file enforces it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "config/reason.h"
#include "config/schema.h"
#include "config/schema_private.h"
#include "config/value.h"

enum { LENGTH_DEFAULT = 255, ITEMS_MAX = 1000 };

/* JSON numbers are doubles: beyond this they are not whole any more. */
static const int64_t WHOLE_MAX = INT64_C(1) << 53;
static const int64_t INTEGER_MAX = UINT32_MAX;

struct reader {
	const struct schema *schema;
	struct arena *arena;
	struct err *e;
	const struct schema_table **added; /* top-level tables of this file so far */
	size_t added_count;
};

static int
no_memory(struct reader *r)
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

/* An object with no keys but these (NULL-terminated). */
static int
check_object(struct reader *r, const struct cJSON *obj, const char *const keys[])
{
	if (!json_is_object(obj))
		return err_set(r->e, -EINVAL, "an object expected");
	for (const struct cJSON *m = json_first(obj); m; m = json_next(m)) {
		if (!in_list(json_key(m), keys))
			return err_set(r->e, -EINVAL, "unknown key \"%.64s\"", json_key(m));
	}
	return 0;
}

/* Letters, digits and - _ . + in words; words with one space between where `words`. */
static bool
is_name(const char *s, bool words)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+";
	size_t n;

	if (strlen(s) > SCHEMA_NAME_MAX)
		return false;
	for (;;) {
		n = strspn(s, letters);
		if (!n || (s[n] && (!words || s[n] != ' ')))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static int
read_name(struct reader *r, const struct cJSON *obj, const char *key, bool words, const char **out)
{
	const char *text;
	int rc = json_get_str(obj, key, &text, r->e);

	if (rc)
		return err_set(r->e, -EINVAL, "key \"%s\": a name expected", key);
	if (!is_name(text, words))
		return err_set(r->e, -EINVAL, "key \"%s\": letters, digits, '-', '_', '.', '+' expected in \"%.64s\"",
			       key, text);
	*out = arena_text(r->arena, text);
	return *out ? 0 : no_memory(r);
}

/* Text that may be missing: then `fallback`. */
static int
read_text(struct reader *r, const struct cJSON *obj, const char *key, const char *fallback, const char **out)
{
	const char *text = fallback;

	if (json_get(obj, key) && json_get_str(obj, key, &text, r->e))
		return -EINVAL;
	*out = text ? arena_text(r->arena, text) : NULL;
	return text && !*out ? no_memory(r) : 0;
}

static int
read_bool(struct reader *r, const struct cJSON *obj, const char *key, bool *out)
{
	*out = false;
	return json_get(obj, key) ? json_get_bool(obj, key, out, r->e) : 0;
}

static int
read_int(struct reader *r, const struct cJSON *obj, const char *key, int64_t min, int64_t max, int64_t fallback,
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

/* An array that may be missing, and how many items it has. */
static int
read_array(struct reader *r, const struct cJSON *obj, const char *key, const struct cJSON **out, size_t *n)
{
	*out = json_get_array(obj, key);
	if (json_get(obj, key) && !*out)
		return err_set(r->e, -EINVAL, "key \"%s\": an array expected", key);
	*n = count_items(*out);
	if (*n > ITEMS_MAX)
		return err_set(r->e, -EINVAL, "key \"%s\": at most %d items expected", key, ITEMS_MAX);
	return 0;
}

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
		if (!is_name(text, false))
			return err_set(r->e, -EINVAL, "option \"%.64s\": not a name", text);
		*out = (struct schema_option){arena_text(r->arena, text), ""};
		return out->name ? 0 : no_memory(r);
	}
	rc = check_object(r, v, keys);
	if (!rc)
		rc = read_name(r, v, "name", false, &out->name);
	if (!rc)
		rc = read_text(r, v, "help", "", &out->help);
	return rc;
}

static int
read_options(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	const struct cJSON *array;
	struct schema_option *options;
	size_t n, used = 0;
	int rc = read_array(r, obj, "options", &array, &n);

	if (rc)
		return rc;
	if ((a->type == ATTR_OPTION) != (n > 0))
		return err_set(r->e, -EINVAL, "key \"options\": expected for type \"option\", and only there");
	options = arena_alloc(r->arena, n * sizeof(*options));
	if (!options)
		return no_memory(r);
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

static const struct schema_table *
find_known(const struct reader *r, const char *path)
{
	for (size_t i = 0; i < r->added_count; i++) {
		if (!strcmp(r->added[i]->path, path))
			return r->added[i];
	}
	return schema_find(r->schema, path);
}

/* References go back only, so that printing and installing in table order always finds what is referred to. */
static int
read_refers(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_attr *a)
{
	const struct cJSON *array;
	const char **refers;
	size_t n, used = 0;
	int rc = read_array(r, obj, "refers", &array, &n);

	if (rc)
		return rc;
	if ((a->type == ATTR_REFERENCE) != (n > 0))
		return err_set(r->e, -EINVAL, "key \"refers\": expected for type \"reference\", and only there");
	refers = arena_alloc(r->arena, n * sizeof(*refers));
	if (!refers)
		return no_memory(r);
	for (const struct cJSON *v = json_first(array); v; v = json_next(v)) {
		const char *path = json_string(v);
		const struct schema_table *t = path ? find_known(r, path) : NULL;

		if (path && !strcmp(path, top->path))
			t = top;
		if (!t || t->singleton)
			return err_set(r->e, -EINVAL, "key \"refers\": \"%.64s\" is no earlier table with entries",
				       path ? path : "");
		refers[used++] = t->path;
	}
	a->refers = refers;
	a->refers_count = n;
	return 0;
}

/* "default": text, or an array of texts for a list. Checked and made canonical like a `set`. */
static int
read_default(struct reader *r, const struct cJSON *obj, struct schema_attr *a)
{
	const struct cJSON *v = json_get(obj, "default");
	const char *words[SCHEMA_VALUES_MAX];
	struct packed p;
	size_t n = 0;

	if (!v)
		return 0;
	if (a->required || a->secret)
		return err_set(r->e, -EINVAL, "key \"default\": not for a required or a secret attribute");
	if (a->list != json_is_array(v) || (!a->list && !json_string(v)))
		return err_set(r->e, -EINVAL, "key \"default\": %s expected", a->list ? "an array of texts" : "text");
	if (!a->list)
		words[n++] = json_string(v);
	for (const struct cJSON *m = a->list ? json_first(v) : NULL; m; m = json_next(m)) {
		if (n == SCHEMA_VALUES_MAX || !json_string(m))
			return err_set(r->e, -EINVAL, "key \"default\": at most %d texts expected", SCHEMA_VALUES_MAX);
		words[n++] = json_string(m);
	}
	if (value_pack(a, words, n, &p, r->e)) {
		err_in(r->e, "key \"default\"");
		return -EINVAL;
	}
	if (p.size > 1 || p.count > 1) {
		char *text = arena_bytes(r->arena, p.size);

		a->fallback = text ? memcpy(text, p.text, p.size) : NULL;
		a->fallback_size = p.size;
		a->fallback_count = p.count;
	}
	free(p.text);
	return p.size > 1 && !a->fallback ? no_memory(r) : 0;
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
	rc = read_int(r, obj, "max-length", 1, limit, LENGTH_DEFAULT, &length);
	if (!rc)
		rc = read_int(r, obj, "max-values", 1, SCHEMA_VALUES_MAX, SCHEMA_VALUES_MAX, &values);
	if (!rc)
		rc = read_int(r, obj, "min", -WHOLE_MAX, WHOLE_MAX, 0, &a->min);
	if (!rc)
		rc =
		    read_int(r, obj, "max", a->min, WHOLE_MAX, a->min > INTEGER_MAX ? WHOLE_MAX : INTEGER_MAX, &a->max);
	if (rc)
		return -EINVAL;
	a->max_length = (size_t)length;
	a->max_values = (unsigned)values;
	return 0;
}

static int
read_attr(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_attr *a)
{
	static const char *const keys[] = {"name",     "help",       "type",       "default", "list",
					   "required", "fixed",      "secret",     "min",     "max",
					   "options",  "max-length", "max-values", "refers",  NULL};
	int rc = read_name(r, obj, "name", false, &a->name);

	if (!rc)
		rc = check_object(r, obj, keys);
	if (!rc)
		rc = read_text(r, obj, "help", "", &a->help);
	if (!rc)
		rc = read_type(r, obj, &a->type);
	if (!rc)
		rc = read_bool(r, obj, "list", &a->list);
	if (!rc)
		rc = read_bool(r, obj, "required", &a->required);
	if (!rc)
		rc = read_bool(r, obj, "fixed", &a->fixed);
	if (!rc)
		rc = read_bool(r, obj, "secret", &a->secret);
	if (!rc && a->type == ATTR_PASSWORD)
		a->secret = true;
	if (!rc && a->secret && (a->list || (a->type != ATTR_PASSWORD && a->type != ATTR_STRING)))
		rc = err_set(r->e, -EINVAL, "key \"secret\": for single texts only");
	if (!rc)
		rc = read_bounds(r, obj, false, a);
	if (!rc)
		rc = read_options(r, obj, a);
	if (!rc)
		rc = read_refers(r, obj, top, a);
	if (!rc)
		rc = read_default(r, obj, a);
	if (!rc && a->fixed && !a->required && !a->fallback)
		rc = err_set(r->e, -EINVAL, "key \"fixed\": a default or \"required\" expected with it");
	return rc;
}

static int
read_attrs(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_table *t)
{
	const struct cJSON *array;
	struct schema_attr *attrs;
	size_t n, used = 0;
	int rc = read_array(r, obj, "attributes", &array, &n);

	if (rc)
		return rc;
	attrs = arena_alloc(r->arena, n * sizeof(*attrs));
	if (!attrs)
		return no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v), used++) {
		rc = read_attr(r, v, top, &attrs[used]);
		for (size_t i = 0; !rc && i < used; i++) {
			if (!strcmp(attrs[i].name, attrs[used].name))
				rc = err_set(r->e, -EINVAL, "a second one of that name");
		}
		if (rc && attrs[used].name)
			err_in(r->e, "attribute \"%s\"", attrs[used].name);
		else if (rc)
			err_in(r->e, "attribute %zu", used + 1);
	}
	t->attrs = attrs;
	t->attr_count = n;
	return rc;
}

/* The key's form; a table without one is a singleton. */
static int
read_key(struct reader *r, const struct cJSON *obj, struct schema_table *t)
{
	static const char *const keys[] = {"name", "help", "type", "min", "max", "max-length", NULL};
	const struct cJSON *key = json_get(obj, "key");
	int rc;

	t->singleton = !key;
	if (!key)
		return 0;
	rc = check_object(r, key, keys);
	if (!rc)
		rc = read_name(r, key, "name", false, &t->key.name);
	if (!rc)
		rc = read_text(r, key, "help", "", &t->key.help);
	if (!rc)
		rc = read_type(r, key, &t->key.type);
	if (!rc && t->key.type != ATTR_STRING && t->key.type != ATTR_INTEGER)
		rc = err_set(r->e, -EINVAL, "type \"string\" or \"integer\" expected");
	if (!rc)
		rc = read_bounds(r, key, true, &t->key);
	t->key.required = true;
	if (rc)
		err_in(r->e, "key \"key\"");
	return rc;
}

static int read_table(struct reader *r, const struct cJSON *obj, const struct schema_table *top,
		      const struct schema_table *parent, struct schema_table *t);

static int
read_children(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_table *t)
{
	const struct cJSON *array;
	const struct schema_table **children;
	struct schema_table *tables;
	size_t n, used = 0, depth = 0;
	int rc = read_array(r, obj, "tables", &array, &n);

	if (rc)
		return rc;
	for (const struct schema_table *p = t; p; p = p->parent)
		depth++;
	if (n && depth > SCHEMA_NESTING_MAX)
		return err_set(r->e, -EINVAL, "tables nested more than %d deep", SCHEMA_NESTING_MAX);
	tables = arena_alloc(r->arena, n * sizeof(*tables));
	children = arena_alloc(r->arena, n * sizeof(*children));
	if (!tables || !children)
		return no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v), used++) {
		rc = read_table(r, v, top, t, &tables[used]);
		children[used] = &tables[used];
		for (size_t i = 0; !rc && i < used; i++) {
			if (!strcmp(tables[i].path, tables[used].path))
				rc = err_set(r->e, -EINVAL, "table \"%s\" stands twice", tables[i].path);
		}
	}
	t->children = children;
	t->child_count = n;
	return rc;
}

/* What only a table at the top has. */
static int
read_placing(struct reader *r, const struct cJSON *obj, struct schema_table *t)
{
	const char *scope = "global";
	int rc = read_text(r, obj, "applied-by", "", &t->applied_by);

	if (!rc)
		rc = read_bool(r, obj, "bootstrap-only", &t->bootstrap_only);
	if (!rc)
		rc = read_bool(r, obj, "unsummed", &t->unsummed);
	if (!rc && json_get(obj, "scope"))
		rc = json_get_str(obj, "scope", &scope, r->e);
	if (!rc && strcmp(scope, "global") && strcmp(scope, "vdom"))
		rc = err_set(r->e, -EINVAL, "key \"scope\": \"global\" or \"vdom\" expected");
	t->per_vdom = !strcmp(scope, "vdom");
	return rc;
}

static int
read_table(struct reader *r, const struct cJSON *obj, const struct schema_table *top, const struct schema_table *parent,
	   struct schema_table *t)
{
	static const char *const nested_keys[] = {"path", "help", "key", "attributes", "tables", NULL};
	static const char *const keys[] = {"path",       "help",           "key",      "attributes", "tables",
					   "applied-by", "bootstrap-only", "unsummed", "scope",      NULL};
	int rc = read_name(r, obj, "path", !parent, &t->path);

	t->parent = parent;
	t->applied_by = "";
	if (!rc)
		rc = check_object(r, obj, parent ? nested_keys : keys);
	if (!rc)
		rc = read_text(r, obj, "help", "", &t->help);
	if (!rc && !parent)
		rc = read_placing(r, obj, t);
	if (!rc)
		rc = read_key(r, obj, t);
	if (!rc)
		rc = read_attrs(r, obj, top, t);
	if (!rc)
		rc = read_children(r, obj, top, t);
	if (rc && t->path)
		err_in(r->e, "table \"%s\"", t->path);
	return rc;
}

/* The whole file into the reader's arena; nothing of it is in the schema yet. */
static int
read_file(struct reader *r, const struct cJSON *root)
{
	static const char *const keys[] = {"$schema", "tables", NULL};
	const struct cJSON *array;
	struct schema_table *tables;
	size_t n;
	int rc = check_object(r, root, keys);

	if (!rc)
		rc = read_array(r, root, "tables", &array, &n);
	if (rc)
		return rc;
	if (!n)
		return err_set(r->e, -EINVAL, "key \"tables\": at least one expected");
	tables = arena_alloc(r->arena, n * sizeof(*tables));
	r->added = arena_alloc(r->arena, n * sizeof(*r->added));
	if (!tables || !r->added)
		return no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v)) {
		struct schema_table *t = &tables[r->added_count];

		rc = read_table(r, v, t, NULL, t);
		if (!rc && find_known(r, t->path))
			rc = err_set(r->e, -EEXIST, "table \"%s\" exists already", t->path);
		t->index = (unsigned)(r->schema->count + r->added_count);
		if (!rc)
			r->added[r->added_count++] = t;
	}
	return rc;
}

/* Takes what was read into the schema. */
static int
keep(struct schema *s, const struct reader *r, struct schema_source *src)
{
	const struct schema_table **tables;

	tables = realloc(s->tables, (s->count + r->added_count) * sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	memcpy(tables + s->count, r->added, r->added_count * sizeof(*tables));
	s->tables = tables;
	s->count += r->added_count;
	src->next = s->sources;
	s->sources = src;
	return 0;
}

int
schema_add_json(struct schema *s, const char *name, const char *text, size_t len, struct err *e)
{
	struct schema_source *src = calloc(1, sizeof(*src));
	struct err why = ERR_NONE;
	struct reader r = {.schema = s, .e = &why};
	struct cJSON *root = NULL;
	int rc;

	if (!src) {
		rc = no_memory(&r);
		goto out;
	}
	r.arena = &src->arena;
	root = json_parse(text, len, &why);
	rc = root ? read_file(&r, root) : -EINVAL;
	if (!rc && keep(s, &r, src))
		rc = no_memory(&r);
	if (!rc)
		src = NULL;
out:
	if (rc)
		err_set(e, rc, "%s: %s", name, why.text);
	if (src)
		arena_free(&src->arena);
	free(src);
	json_free(root);
	return rc;
}

int
schema_add_builtin(struct schema *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < schema_builtin_count && !rc; i++)
		rc = schema_add_json(s, schema_builtin[i].name, schema_builtin[i].text, schema_builtin[i].len, e);
	return rc;
}

static int
is_schema_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".json");
}

/* By bytes, whatever the locale says: the order decides which table may refer to which. */
static int
compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
add_path(struct schema *s, const char *folder, const char *file, struct err *e)
{
	char *path, *text = NULL;
	size_t len;
	int rc;

	if (asprintf(&path, "%s/%s", folder, file) < 0)
		return err_set(e, -ENOMEM, "%s: out of memory", file);
	rc = file_read(path, SCHEMA_FILE_MAX, &text, &len, e);
	if (!rc)
		rc = schema_add_json(s, path, text, len, e);
	free(text);
	free(path);
	return rc;
}

int
schema_add_folder(struct schema *s, const char *path, struct err *e)
{
	struct dirent **files = NULL;
	int n = scandir(path, &files, is_schema_file, compare_names);
	int first = 0;

	if (n < 0) {
		int code = -errno;

		return err_sys(e, code, "%s", path);
	}
	for (int i = 0; i < n; i++) {
		struct err why = ERR_NONE;
		int rc = add_path(s, path, files[i]->d_name, &why);

		if (rc && !first) {
			first = rc;
			if (e)
				*e = why;
		}
		free(files[i]);
	}
	free(files);
	return first;
}
