#include "agent/json_rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/entry_json.h"
#include "agent/profile.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

enum {
	URL_MAX = 1024,
	PARTS_MAX = 16,
	OUTPUT_MAX = 1024 * 1024,
	VALUES_MAX = WORDS_MAX - 2, /* beside "set" and the name */
};

enum method { GET, SET, ADD, UPDATE, DELETE, EXEC, METHODS };

static const char *const method_names[METHODS] = {"get", "set", "add", "update", "delete", "exec"};

/* Where a url leads. */
struct place {
	char text[URL_MAX]; /* the parts, each with its NUL */
	const char *part[PARTS_MAX];
	size_t count;
	const struct schema_table *table; /* the top-level one */
	size_t words;                     /* parts that are its path's */
};

struct request {
	const struct json_rpc_ops *ops;
	enum method method;
	bool may_write; /* asked, and it may */
};

/* --- urls --------------------------------------------------------------------------------------------------------- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of a url, percent-coded or not, without control characters. -1: not valid. */
static int
url_byte(const char **p)
{
	int high, low, c = (unsigned char)*(*p)++;

	if (c == '%') {
		high = hex_digit(**p);
		low = high < 0 ? -1 : hex_digit((*p)[1]);
		if (low < 0)
			return -1;
		*p += 2;
		c = high * 16 + low;
	}
	return c < 0x20 || c == 0x7f ? -1 : c;
}

/* Divides what stands after the prefix. 0 or -EINVAL. */
static int
split(const char *url, struct place *out)
{
	size_t used = 0;

	while (*url) {
		if (out->count == PARTS_MAX || *url == '/')
			return -EINVAL;
		out->part[out->count++] = out->text + used;
		while (*url && *url != '/') {
			int c = url_byte(&url);

			if (c < 0 || used + 2 > sizeof(out->text))
				return -EINVAL;
			out->text[used++] = (char)c;
		}
		out->text[used++] = '\0';
		if (*url == '/' && url[1])
			url++;
		else if (*url == '/')
			return -EINVAL;
	}
	return out->count ? 0 : -EINVAL;
}

static int
split_url(const char *url, struct place *out, struct err *e)
{
	static const char *const prefixes[] = {"/cli/global/", "/api/v2/cmdb/"};

	*out = (struct place){.count = 0};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(url, prefixes[i], n) != 0)
			continue;
		if (!split(url + n, out))
			return 0;
		err_set(e, 0, "url: not valid");
		return PROFILE_MALFORMED;
	}
	err_set(e, 0, "url: /cli/global/… or /api/v2/cmdb/… expected");
	return PROFILE_UNKNOWN;
}

/* The path of a table of the first `n` parts; a dot divides its words as well. */
static void
table_path(const struct place *p, size_t n, char path[SCHEMA_NAME_MAX + 1])
{
	size_t used = 0;

	path[0] = '\0';
	for (size_t i = 0; i < n && used <= SCHEMA_NAME_MAX; i++)
		used += (size_t)snprintf(path + used, SCHEMA_NAME_MAX + 1 - used, "%s%s", i ? " " : "", p->part[i]);
	for (char *c = path; *c; c++) {
		if (*c == '.')
			*c = ' ';
	}
}

/* The longest table path that the first parts spell. 0 or a reply code. */
static int
find_table(const struct schema *s, struct place *p, struct err *e)
{
	char path[SCHEMA_NAME_MAX + 1];

	for (size_t n = p->count; n && !p->table; n--) {
		table_path(p, n, path);
		p->table = schema_find(s, path);
		p->words = n;
	}
	if (!p->table) {
		err_set(e, 0, "no such table");
		return PROFILE_UNKNOWN;
	}
	if (p->table->bootstrap_only) {
		err_set(e, 0, "this table is not a manager's");
		return PROFILE_FORBIDDEN;
	}
	return 0;
}

/* --- get ---------------------------------------------------------------------------------------------------------- */

static struct cJSON *
entry_with_key(const struct entry *en)
{
	const struct schema_table *t = entry_table(en);
	struct cJSON *j = entry_json_masked(en);

	if (j && !t->singleton)
		json_add_str(j, t->key.name, entry_key(en));
	return j;
}

static struct cJSON *
all_entries(const struct entry *first)
{
	struct cJSON *j = json_new_array();

	for (; first; first = entry_next(first))
		json_add(j, NULL, entry_with_key(first));
	return j;
}

static const struct entry *
find_key(const struct entry *first, const char *key)
{
	while (first && strcmp(entry_key(first), key) != 0)
		first = entry_next(first);
	return first;
}

static int
not_found(struct err *e)
{
	err_set(e, 0, "entry not found in datasource");
	return CLI_NOT_FOUND;
}

/* Down from a table's entries along the parts that are left: key, table, key … */
static int
get_below(const struct entry *first, const struct schema_table *t, const char *const part[], size_t left,
	  struct cJSON **out, struct err *e)
{
	const struct entry *en = first;

	while (left || t->singleton) {
		if (!t->singleton) {
			en = find_key(en, *part++);
			left--;
			if (!en)
				return not_found(e);
		}
		if (!left) {
			*out = entry_with_key(en);
			return CLI_OK;
		}
		t = schema_child(entry_table(en), *part++);
		left--;
		if (!t) {
			err_set(e, 0, "no such table inside the entry");
			return PROFILE_UNKNOWN;
		}
		en = entry_child_first(en, t->path);
	}
	*out = all_entries(en);
	return CLI_OK;
}

static int
run_get(const struct request *r, const struct place *p, struct cJSON **data, struct err *e)
{
	const struct tree *t = r->ops->tree(r->ops->ctx);

	return get_below(tree_first(t, p->table->path), p->table, p->part + p->words, p->count - p->words, data, e);
}

/* --- set, add, update, delete ------------------------------------------------------------------------------------- */

static int
run_words(const struct request *r, const char *const argv[], size_t argc, struct err *e)
{
	const struct command c = {.line = 1, .column = 1, .text = argv[0], .argc = argc, .argv = argv};

	return r->ops->run(r->ops->ctx, &c, e);
}

static int
run_one(const struct request *r, const char *verb, const char *word, struct err *e)
{
	const char *const argv[] = {verb, word};

	return run_words(r, argv, word ? 2 : 1, e);
}

/* "config" with the words of the table's path. */
static int
run_config(const struct request *r, const struct schema_table *t, struct err *e)
{
	char path[SCHEMA_NAME_MAX + 1], *save = NULL;
	const char *argv[PARTS_MAX] = {"config"};
	size_t argc = 1;

	snprintf(path, sizeof(path), "%s", t->path);
	for (char *w = strtok_r(path, " ", &save); w && argc < PARTS_MAX; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	return run_words(r, argv, argc, e);
}

/* A value as the word of a command, which the caller frees. NULL: no text can mean it. */
static char *
value_word(const struct cJSON *v)
{
	const char *s = json_string(v);
	char *line;

	if (s)
		return strdup(s);
	if (json_is_object(v) || json_is_array(v))
		return NULL;
	line = json_line(v);
	if (!line || !strcmp(line, "null")) { /* a number beyond all bounds is written like this, too */
		free(line);
		return NULL;
	}
	if (!strcmp(line, "true") || !strcmp(line, "false")) {
		const char *word = !strcmp(line, "true") ? "enable" : "disable";

		free(line);
		return strdup(word);
	}
	return line;
}

static int
bad_value(const char *name, struct err *e)
{
	char shown[64];

	err_set(e, 0, "data: \"%s\": text, a number, true, false, null, or a list of at most %d such expected",
		text_escape(shown, sizeof(shown), name, strlen(name)), VALUES_MAX);
	return PROFILE_MALFORMED;
}

static int
run_set(const struct request *r, const struct cJSON *v, struct err *e)
{
	const char *name = json_key(v), *argv[WORDS_MAX] = {"set", name};
	const struct cJSON *one = json_is_array(v) ? json_first(v) : v;
	char *words[VALUES_MAX];
	size_t n = 0;
	int code = 0;

	if (json_is_null(v) || (json_is_array(v) && !one)) /* the default */
		return run_one(r, "unset", name, e);
	while (one && !code) {
		char *word = n < VALUES_MAX ? value_word(one) : NULL;

		if (word) {
			words[n] = word;
			argv[2 + n++] = word;
		} else {
			code = bad_value(name, e);
		}
		one = json_is_array(v) ? json_next(one) : NULL;
	}
	if (!code)
		code = run_words(r, argv, 2 + n, e);
	while (n)
		free(words[--n]);
	return code;
}

/* All attributes of an entry but its key, which names it. */
static int
run_sets(const struct request *r, const struct schema_table *t, const struct cJSON *data, struct err *e)
{
	int code = 0;

	for (const struct cJSON *v = json_first(data); v && !code; v = json_next(v)) {
		if (t->singleton || strcmp(json_key(v), t->key.name) != 0)
			code = run_set(r, v, e);
	}
	return code;
}

/* The entry that is to be written is there, or is not, as the method wants it. */
static int
check_there(const struct request *r, const struct schema_table *t, const struct entry *first, const char *key,
	    struct err *e)
{
	bool there;

	if (r->method == SET)
		return CLI_OK;
	/* of a top-level table each commit puts another entry into the tree: `first` may be gone by now */
	there = t->parent ? find_key(first, key) != NULL : tree_entry(r->ops->tree(r->ops->ctx), t->path, key) != NULL;

	if (r->method == ADD && there) {
		err_set(e, 0, "a duplicate entry already exists");
		return CLI_DUPLICATE;
	}
	return (r->method == UPDATE || r->method == DELETE) && !there ? not_found(e) : CLI_OK;
}

/* Inside a table: one entry, by its key. */
static int
write_entry(const struct request *r, const struct schema_table *t, const struct entry *first, const char *key,
	    const struct cJSON *data, struct err *e)
{
	int code = check_there(r, t, first, key, e);

	if (!code && r->method == DELETE)
		return run_one(r, "delete", key, e);
	if (!code)
		code = run_one(r, "edit", key, e);
	if (!code)
		code = run_sets(r, t, data, e);
	return code ? code : run_one(r, "next", NULL, e);
}

static int
key_missing(const struct schema_table *t, struct err *e)
{
	err_set(e, 0, "data: key \"%s\" of the entry is missing", t->key.name);
	return PROFILE_MALFORMED;
}

/* A whole table is written entry by entry, each naming itself. */
static int
write_table(const struct request *r, const struct schema_table *t, const struct entry *first, const struct cJSON *data,
	    struct err *e)
{
	const struct cJSON *one = json_is_array(data) ? json_first(data) : data;
	int code = one ? 0 : key_missing(t, e);

	while (one && !code) {
		const struct cJSON *k = json_is_object(one) ? json_get(one, t->key.name) : NULL;
		char *key = k ? value_word(k) : NULL;

		code = key ? write_entry(r, t, first, key, one, e) : key_missing(t, e);
		free(key);
		one = json_is_array(data) ? json_next(one) : NULL;
	}
	return code;
}

/* From the table that `config` has just entered down to what is written, and up again. */
static int
write_below(const struct request *r, const struct schema_table *t, const struct entry *first, const char *const part[],
	    size_t left, const struct cJSON *data, struct err *e)
{
	const struct schema_table *child;
	const struct entry *en = first;
	size_t keys = t->singleton ? 0 : 1;
	int code;

	if (left <= keys && t->singleton && r->method != DELETE)
		return run_sets(r, t, data, e);
	if (left <= keys && !t->singleton)
		return left ? write_entry(r, t, first, part[0], data, e) : write_table(r, t, first, data, e);
	child = left > keys ? schema_child(t, part[keys]) : NULL;
	if (!child) {
		err_set(e, 0, left > keys ? "no such table inside the entry" : "this table has no entries to delete");
		return left > keys ? PROFILE_UNKNOWN : PROFILE_MALFORMED;
	}
	if (keys) {
		en = find_key(first, part[0]);
		code = en ? run_one(r, "edit", part[0], e) : not_found(e);
		if (code)
			return code;
	}
	en = entry_child_first(en, child->path);
	code = run_config(r, child, e);
	if (!code)
		code = write_below(r, child, en, part + keys + 1, left - keys - 1, data, e);
	if (!code)
		code = run_one(r, "end", NULL, e);
	return code || !keys ? code : run_one(r, "next", NULL, e);
}

static int
run_write(struct request *r, const struct place *p, const struct cJSON *data, struct err *e)
{
	const struct json_rpc_ops *ops = r->ops;
	static const struct cJSON *const nothing;
	const struct entry *first;
	int code = 0;

	if (!r->may_write)
		code = ops->may_write(ops->ctx, e);
	r->may_write = !code;
	if (code)
		return code;
	if (r->method != DELETE && !json_is_object(data) && !json_is_array(data)) {
		err_set(e, 0, "data: an object expected");
		return PROFILE_MALFORMED;
	}
	if (p->table->singleton && json_is_array(data)) {
		err_set(e, 0, "data: an object expected");
		return PROFILE_MALFORMED;
	}
	first = tree_first(ops->tree(ops->ctx), p->table->path);
	code = run_config(r, p->table, e);
	if (!code)
		code = write_below(r, p->table, first, p->part + p->words, p->count - p->words,
				   r->method == DELETE ? nothing : data, e);
	return code ? code : run_one(r, "end", NULL, e);
}

/* --- exec --------------------------------------------------------------------------------------------------------- */

/* What a manager may look at; everything else that can be executed is the operator's. */
static int
run_exec(const struct request *r, const struct place *p, struct cJSON **data, struct err *e)
{
	static const char *const allowed[] = {"get system status", "get system mgmt-csum",
					      "get system checksum status"};
	char line[SCHEMA_NAME_MAX + 1];
	struct buf out = BUF_INIT(OUTPUT_MAX);
	int code = PROFILE_FORBIDDEN;
	char *text;

	table_path(p, p->count, line);
	err_set(e, 0, "this command is not a manager's");
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (!strcmp(line, allowed[i]))
			code = r->ops->show(r->ops->ctx, p->count, p->part, &out, e);
	}
	text = code ? NULL : buf_steal(&out, NULL);
	if (text) {
		*data = json_new_object();
		json_add_str(*data, "output", text);
	}
	free(text);
	buf_free(&out);
	return code;
}

/* --- a request ---------------------------------------------------------------------------------------------------- */

static int
run_param(struct request *r, const struct cJSON *param, const char **url, struct cJSON **data, struct err *e)
{
	const struct schema *s = tree_schema(r->ops->tree(r->ops->ctx));
	struct place p;
	int code;

	if (!json_is_object(param) || json_get_str(param, "url", url, e)) {
		err_set(e, 0, "params: an object with \"url\" expected");
		return PROFILE_MALFORMED;
	}
	code = split_url(*url, &p, e);
	if (!code && r->method == EXEC)
		return run_exec(r, &p, data, e);
	if (!code)
		code = find_table(s, &p, e);
	if (code)
		return code;
	if (r->method == GET)
		return run_get(r, &p, data, e);
	code = run_write(r, &p, json_get(param, "data"), e);
	if (code)
		r->ops->reset(r->ops->ctx);
	return code;
}

static void
add_status(struct cJSON *parent, const char *key, int code, const char *message)
{
	struct cJSON *status = json_add_object(parent, key);

	json_add_int(status, "code", code);
	json_add_str(status, "message", message);
}

/* True when it went well. */
static bool
add_result(struct request *r, const struct cJSON *param, struct cJSON *results)
{
	struct cJSON *one = json_new_object(), *data = NULL;
	struct err e = ERR_NONE;
	const char *url = "";
	int code = run_param(r, param, &url, &data, &e);

	add_status(one, "status", code, code ? e.text : "OK");
	json_add_str(one, "url", url);
	if (data)
		json_add(one, "data", data);
	json_add(results, NULL, one);
	return !code;
}

/* A whole number, or text; what else it is comes back as null. */
static void
echo_id(const struct cJSON *root, struct cJSON *reply)
{
	const char *text = NULL;
	int64_t n;

	if (json_is_object(root) && !json_get_int(root, "id", INT64_MIN / 2048, INT64_MAX / 2048, &n, NULL))
		json_add_int(reply, "id", n);
	else if (json_is_object(root) && !json_get_str(root, "id", &text, NULL))
		json_add_str(reply, "id", text);
	else
		json_add_str(reply, "id", NULL);
}

/* 0, or a reply code. */
static int
read_request(const struct cJSON *root, enum method *method, const struct cJSON **params, struct err *e)
{
	const char *name;
	size_t n = 0;

	if (!json_is_object(root) || json_get_str(root, "method", &name, e) || !json_get_array(root, "params")) {
		err_set(e, 0, "an object with \"method\" and an array \"params\" expected");
		return PROFILE_MALFORMED;
	}
	for (*method = GET; *method < METHODS && strcmp(name, method_names[*method]) != 0;)
		(*method)++;
	if (*method == METHODS) {
		err_set(e, 0, "method: get, set, add, update, delete or exec expected");
		return PROFILE_UNKNOWN;
	}
	*params = json_get_array(root, "params");
	for (const struct cJSON *p = json_first(*params); p; p = json_next(p))
		n++;
	if (n && n <= PROFILE_JSON_PARAMS)
		return 0;
	err_set(e, 0, "params: 1 to %d expected", PROFILE_JSON_PARAMS);
	return n ? PROFILE_TOO_LARGE : PROFILE_MALFORMED;
}

struct cJSON *
json_rpc_run(const struct json_rpc_ops *ops, const char *text, size_t len, bool *writes)
{
	struct request r = {.ops = ops};
	const struct cJSON *params = NULL;
	struct cJSON *reply = json_new_object(), *root, *results;
	struct err e = ERR_NONE;
	bool good = true;
	int code;

	*writes = false;
	root = json_parse(text, len, &e);
	code = root ? read_request(root, &r.method, &params, &e) : PROFILE_MALFORMED;
	echo_id(root, reply);
	if (code) {
		add_status(reply, "error", code, e.text);
	} else {
		results = json_add_array(reply, "result");
		for (const struct cJSON *p = json_first(params); p; p = json_next(p))
			good &= add_result(&r, p, results);
		*writes = good && r.may_write;
	}
	json_free(root);
	return reply;
}
