#include "agent/history.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

enum { FILE_MAX = 256 * 1024 };

struct history {
	char *path;
	struct history_entry kept[HISTORY_KEPT];
	size_t count;
};

struct cJSON *
history_json(const struct history_entry *x)
{
	struct cJSON *j = json_new_object();

	json_add_int(j, "time", x->when_s);
	json_add_str(j, "user", x->user);
	json_add_str(j, "id", x->id);
	json_add_str(j, "install", x->install);
	json_add_int(j, "commands", x->commands);
	json_add_int(j, "done", x->done);
	json_add_int(j, "failed", x->failed);
	json_add_str(j, "result", x->result);
	json_add_str(j, "reason", x->reason);
	return j;
}

static int
read_count(const struct cJSON *j, const char *key, unsigned *out, struct err *e)
{
	int64_t n;
	int rc = json_get_int(j, key, 0, UINT_MAX, &n, e);

	if (!rc)
		*out = (unsigned)n;
	return rc;
}

static int
read_entry(const struct cJSON *j, struct history_entry *out, struct err *e)
{
	struct history_entry x;
	int rc = json_get_int(j, "time", INT64_MIN / 2048, INT64_MAX / 2048, &x.when_s, e);

	if (!rc)
		rc = json_get_text(j, "user", x.user, sizeof(x.user), e);
	if (!rc)
		rc = json_get_text(j, "id", x.id, sizeof(x.id), e);
	if (!rc)
		rc = json_get_text(j, "install", x.install, sizeof(x.install), e);
	if (!rc)
		rc = read_count(j, "commands", &x.commands, e);
	if (!rc)
		rc = read_count(j, "done", &x.done, e);
	if (!rc)
		rc = read_count(j, "failed", &x.failed, e);
	if (!rc)
		rc = json_get_text(j, "result", x.result, sizeof(x.result), e);
	if (!rc)
		rc = json_get_text(j, "reason", x.reason, sizeof(x.reason), e);
	if (!rc)
		*out = x;
	return rc;
}

static void
keep(struct history *h, const struct history_entry *x)
{
	if (h->count == HISTORY_KEPT) {
		h->count--;
		memmove(&h->kept[0], &h->kept[1], h->count * sizeof(h->kept[0]));
	}
	h->kept[h->count++] = *x;
}

static int
read_line(struct history *h, const char *line, size_t len, struct err *e)
{
	struct cJSON *j = json_parse(line, len, e);
	struct history_entry x;
	int rc = j ? read_entry(j, &x, e) : -EINVAL;

	if (!rc)
		keep(h, &x);
	json_free(j);
	return rc;
}

/* The good lines are in memory. 0, or the first error. */
static int
read_lines(struct history *h, const char *text, size_t len, struct err *e)
{
	struct err first = ERR_NONE;

	for (const char *p = text, *end = text + len; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
		struct err why = ERR_NONE;

		if (n && read_line(h, p, n, &why) && !first.code)
			first = why;
		p += n + 1;
	}
	if (first.code)
		*e = first;
	return first.code;
}

static int
write_all(const struct history *h, struct err *e)
{
	struct buf b = BUF_INIT(FILE_MAX);
	int rc;

	for (size_t i = 0; i < h->count; i++) {
		struct cJSON *j = history_json(&h->kept[i]);
		char *line = json_line(j);

		buf_printf(&b, "%s\n", line ? line : "");
		free(line);
		json_free(j);
	}
	rc = b.error ? err_sys(e, b.error, "%s", h->path) : file_replace(h->path, buf_head(&b), b.len, 0600, NULL, e);
	buf_free(&b);
	return rc;
}

/* What is wrong with the file is no reason not to start. */
static void
load(struct history *h)
{
	struct err e = ERR_NONE, why = ERR_NONE;
	char *text = NULL;
	size_t len = 0;
	int rc = file_read(h->path, FILE_MAX, &text, &len, &e);

	if (rc == -ENOENT)
		return;
	if (!rc)
		rc = read_lines(h, text, len, &e);
	free(text);
	if (!rc)
		return;
	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_WARNING, "History of scripts damaged", "reason", e.text, NULL);
	if (file_link_aside(h->path, &why) || write_all(h, &why))
		log_say(LOG_LEVEL_WARNING, "%s", why.text);
}

int
history_open(const char *state_dir, struct history **out, struct err *e)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h || asprintf(&h->path, "%s/script-history.jsonl", state_dir) < 0) {
		free(h);
		return err_sys(e, -ENOMEM, "history of scripts");
	}
	load(h);
	*out = h;
	return 0;
}

void
history_free(struct history *h)
{
	if (!h)
		return;
	free(h->path);
	free(h);
}

size_t
history_count(const struct history *h)
{
	return h->count;
}

const struct history_entry *
history_at(const struct history *h, size_t i)
{
	return &h->kept[i];
}

int
history_add(struct history *h, const struct history_entry *x, struct err *e)
{
	keep(h, x);
	return write_all(h, e);
}

int
history_settle(struct history *h, const char *install, const char *result, const char *reason, struct err *e)
{
	for (size_t i = h->count; i; i--) {
		struct history_entry *x = &h->kept[i - 1];

		if (strcmp(x->install, install) != 0 || strcmp(x->result, "pending") != 0)
			continue;
		snprintf(x->result, sizeof(x->result), "%s", result);
		snprintf(x->reason, sizeof(x->reason), "%s", reason);
		return write_all(h, e);
	}
	return 0;
}
