/* Reading schema files: etc/schema.schema.json describes the format, this file enforces it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "config/reader.h"
#include "config/schema.h"
#include "config/schema_private.h"

static int
read_attrs(struct reader *r, const struct cJSON *obj, const struct schema_table *top, struct schema_table *t)
{
	const struct cJSON *array;
	struct schema_attr *attrs;
	size_t n, used = 0;
	int rc = reader_array(r, obj, "attributes", &array, &n);

	if (rc)
		return rc;
	attrs = arena_alloc(r->arena, n * sizeof(*attrs));
	if (!attrs)
		return reader_no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v), used++) {
		rc = reader_attr(r, v, top, attrs, used);
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
	const struct cJSON *key = json_get(obj, "key");
	int rc;

	t->singleton = !key;
	if (!key)
		return json_get(obj, "predefined")
			   ? err_set(r->e, -EINVAL, "key \"predefined\": for tables with a key only")
			   : 0;
	rc = reader_key(r, key, &t->key);
	if (rc) {
		err_in(r->e, "key \"key\"");
		return rc;
	}
	return reader_predefined(r, obj, &t->key, &t->predefined, &t->predefined_count);
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
	int rc = reader_array(r, obj, "tables", &array, &n);

	if (rc)
		return rc;
	for (const struct schema_table *p = t; p; p = p->parent)
		depth++;
	if (n && depth > SCHEMA_NESTING_MAX)
		return err_set(r->e, -EINVAL, "tables nested more than %d deep", SCHEMA_NESTING_MAX);
	tables = arena_alloc(r->arena, n * sizeof(*tables));
	children = arena_alloc(r->arena, n * sizeof(*children));
	if (!tables || !children)
		return reader_no_memory(r);
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
	int rc = reader_text(r, obj, "applied-by", "", &t->applied_by);

	if (!rc)
		rc = reader_bool(r, obj, "bootstrap-only", &t->bootstrap_only);
	if (!rc)
		rc = reader_bool(r, obj, "unsummed", &t->unsummed);
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
	static const char *const keys[] = {"path",           "help",     "key",   "attributes", "tables", "applied-by",
					   "bootstrap-only", "unsummed", "scope", "predefined", NULL};
	int rc = reader_name(r, obj, "path", parent ? NAME_WORD : NAME_WORDS, &t->path);

	t->parent = parent;
	t->applied_by = "";
	if (!rc)
		rc = reader_check_object(r, obj, parent ? nested_keys : keys);
	if (!rc)
		rc = reader_text(r, obj, "help", "", &t->help);
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
	const char *form;
	size_t n;
	int rc = reader_check_object(r, root, keys);

	if (!rc)
		rc = reader_text(r, root, "$schema", "", &form); /* for editors */
	if (!rc)
		rc = reader_array(r, root, "tables", &array, &n);
	if (rc)
		return rc;
	if (!n)
		return err_set(r->e, -EINVAL, "key \"tables\": at least one expected");
	tables = arena_alloc(r->arena, n * sizeof(*tables));
	r->added = arena_alloc(r->arena, n * sizeof(*r->added));
	if (!tables || !r->added)
		return reader_no_memory(r);
	for (const struct cJSON *v = json_first(array); v && !rc; v = json_next(v)) {
		struct schema_table *t = &tables[r->added_count];

		rc = read_table(r, v, t, NULL, t);
		if (!rc && reader_find_table(r, t->path))
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
	const struct schema_table **tables = realloc(s->tables, (s->count + r->added_count) * sizeof(*tables));
	struct schema_family *families;

	if (!tables)
		return -ENOMEM;
	s->tables = tables;
	families = realloc(s->families, (s->family_count + r->family_count + 1) * sizeof(*families));
	if (!families)
		return -ENOMEM;
	s->families = families;
	memcpy(tables + s->count, r->added, r->added_count * sizeof(*tables));
	s->count += r->added_count;
	for (const struct family_item *f = r->families; f; f = f->next)
		families[s->family_count++] = f->family;
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
		rc = reader_no_memory(&r);
		goto out;
	}
	r.arena = &src->arena;
	root = json_parse(text, len, &why);
	rc = root ? read_file(&r, root) : -EINVAL;
	if (!rc && keep(s, &r, src))
		rc = reader_no_memory(&r);
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

/* A daemon reads the texts once: their pages need not stay. Who reads them again gets them from the file again. */
static void
forget_texts(void)
{
	const struct schema_builtin *last = &schema_builtin[schema_builtin_count - 1];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)schema_builtin[0].text + page - 1;
	uintptr_t end = (uintptr_t)last->text + last->len;

	start -= start % page;
	end -= end % page;
	if (start < end)
		madvise((void *)start, end - start, MADV_DONTNEED);
}

int
schema_add_builtin(struct schema *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < schema_builtin_count && !rc; i++)
		rc = schema_add_json(s, schema_builtin[i].name, schema_builtin[i].text, schema_builtin[i].len, e);
	forget_texts();
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
