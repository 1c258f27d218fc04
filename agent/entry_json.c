#include "agent/entry_json.h"

#include <stdbool.h>

#include "base/json.h"
#include "config/schema.h"
#include "config/tree.h"

/* A value as it may be shown; an empty one hides nothing. */
static const char *
shown(const struct schema_attr *a, const char *value, bool masked)
{
	return masked && a->secret && *value ? ENTRY_JSON_MASK : value;
}

static void
add_attributes(struct cJSON *j, const struct entry *en, bool masked)
{
	const struct schema_table *t = entry_table(en);

	for (size_t i = 0; i < t->attr_count; i++) {
		const char *name = t->attrs[i].name;
		struct cJSON *list;

		if (!t->attrs[i].list) {
			json_add_str(j, name, shown(&t->attrs[i], entry_get(en, name), masked));
			continue;
		}
		list = json_add_array(j, name);
		for (size_t v = 0; v < entry_count(en, name); v++)
			json_add_str(list, NULL, shown(&t->attrs[i], entry_value(en, name, v), masked));
	}
}

static void add_entry(struct cJSON *j, const struct entry *en, bool masked);

static void
add_nested(struct cJSON *j, const struct entry *en, const struct schema_table *t, bool masked)
{
	const struct entry *inner = entry_child_first(en, t->path);
	struct cJSON *list;

	if (t->singleton) {
		add_entry(json_add_object(j, t->path), inner, masked);
		return;
	}
	list = json_add_array(j, t->path);
	for (; inner; inner = entry_next(inner)) {
		struct cJSON *one = json_add_object(list, NULL);

		json_add_str(one, t->key.name, entry_key(inner));
		add_entry(one, inner, masked);
	}
}

/* As deep as the schema nests tables, which is bounded (SCHEMA_NESTING_MAX). */
static void
add_entry(struct cJSON *j, const struct entry *en, bool masked)
{
	const struct schema_table *t = entry_table(en);

	add_attributes(j, en, masked);
	for (size_t i = 0; i < t->child_count; i++)
		add_nested(j, en, t->children[i], masked);
}

static struct cJSON *
make(const struct entry *en, bool masked)
{
	struct cJSON *j = en ? json_new_object() : NULL;

	if (j)
		add_entry(j, en, masked);
	return j;
}

struct cJSON *
entry_json(const struct entry *en)
{
	return make(en, false);
}

struct cJSON *
entry_json_masked(const struct entry *en)
{
	return make(en, true);
}
