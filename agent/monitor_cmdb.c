#include "agent/monitor_cmdb.h"

#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/device.h"
#include "agent/entry_json.h"
#include "agent/monitor.h"
#include "base/json.h"
#include "base/text.h"
#include "config/schema.h"
#include "config/tree.h"

enum { PATH_MAX_BYTES = 512 };

/* The longest table path that the first parts spell; what follows it is a key, which may hold a '/' itself. */
static const struct schema_table *
find_table(const struct schema *s, const char *path, const char **key)
{
	const struct schema_table *t;
	char words[PATH_MAX_BYTES];

	if (text_copy(words, sizeof(words), path))
		return NULL;
	for (char *p = words; *p; p++) {
		if (*p == '/')
			*p = ' ';
	}
	for (;;) {
		char *end;

		t = schema_find(s, words);
		if (t && memchr(path, ' ', strlen(words)))
			return NULL; /* not by another spelling */
		if (t && !t->bootstrap_only) {
			*key = path + strlen(words);
			*key += **key == '/';
			return t;
		}
		end = strrchr(words, ' ');
		if (!end)
			return NULL;
		*end = '\0';
	}
}

static struct cJSON *
row(const struct schema_table *t, const struct entry *en)
{
	struct cJSON *j = entry_json_masked(en);

	if (j && !t->singleton)
		json_add_str(j, t->key.name, entry_key(en));
	return j;
}

static void
add_page(const struct tree *tree, const struct schema_table *t, const struct monitor_query *q, struct cJSON *root)
{
	const struct entry *en = tree_first(tree, t->path);
	struct cJSON *list = json_add_array(root, "results");
	size_t done = 0;

	for (uint64_t i = 0; en && i < q->start; i++)
		en = entry_next(en);
	for (; en && done < q->count; done++, en = entry_next(en))
		json_add(list, NULL, row(t, en));
	json_add_int(root, "size", (int64_t)tree_count(tree, t->path));
	if (en)
		json_add_int(root, "next", (int64_t)(q->start + done));
}

int
monitor_cmdb(const struct agent_parts *p, const char *path, const struct monitor_query *q, struct cJSON *root)
{
	const struct tree *tree = device_running(p->device);
	const char *key = "";
	const struct schema_table *t = find_table(p->schema, path, &key);
	const struct entry *en;

	if (!t || (t->singleton && *key))
		return -ENOENT;
	if (!t->singleton && !*key) {
		add_page(tree, t, q, root);
		return 0;
	}
	en = tree_entry(tree, t->path, key);
	if (!en)
		return -ENOENT;
	json_add(root, "results", row(t, en));
	return 0;
}
