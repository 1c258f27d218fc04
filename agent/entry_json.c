#include "agent/entry_json.h"

#include "base/json.h"
#include "config/schema.h"
#include "config/tree.h"

static void
add_attributes(struct cJSON *j, const struct entry *en)
{
	const struct schema_table *t = entry_table(en);

	for (size_t i = 0; i < t->attr_count; i++) {
		const char *name = t->attrs[i].name;
		struct cJSON *list;

		if (!t->attrs[i].list) {
			json_add_str(j, name, entry_get(en, name));
			continue;
		}
		list = json_add_array(j, name);
		for (size_t v = 0; v < entry_count(en, name); v++)
			json_add_str(list, NULL, entry_value(en, name, v));
	}
}

static void add_entry(struct cJSON *j, const struct entry *en);

static void
add_nested(struct cJSON *j, const struct entry *en, const struct schema_table *t)
{
	const struct entry *inner = entry_child_first(en, t->path);
	struct cJSON *list;

	if (t->singleton) {
		add_entry(json_add_object(j, t->path), inner);
		return;
	}
	list = json_add_array(j, t->path);
	for (; inner; inner = entry_next(inner)) {
		struct cJSON *one = json_add_object(list, NULL);

		json_add_str(one, t->key.name, entry_key(inner));
		add_entry(one, inner);
	}
}

/* As deep as the schema nests tables, which is bounded (SCHEMA_NESTING_MAX). */
static void
add_entry(struct cJSON *j, const struct entry *en)
{
	const struct schema_table *t = entry_table(en);

	add_attributes(j, en);
	for (size_t i = 0; i < t->child_count; i++)
		add_nested(j, en, t->children[i]);
}

struct cJSON *
entry_json(const struct entry *en)
{
	struct cJSON *j = en ? json_new_object() : NULL;

	if (j)
		add_entry(j, en);
	return j;
}
