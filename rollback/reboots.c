#include "rollback/reboots.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

enum { REBOOTS_BYTES = 64 * 1024, REASON_MAX = 256 };

/* A thousand years in seconds: what a sane record stays below. */
#define UPTIME_MAX (INT64_C(1000) * 366 * 24 * 3600)

struct reboots {
	char path[PATH_MAX];
	int64_t uptime_s; /* accumulated over all runs */
	int64_t unsaved_s;
	int64_t at_s[REBOOTS_MAX]; /* in accumulated uptime, oldest first */
	size_t count;
	char reason[REASON_MAX];
};

/* The record's numbers, checked: times in order and none in the future. */
static int
read_times(const struct cJSON *j, struct reboots *r, struct err *e)
{
	const struct cJSON *at = json_get_array(j, "reboots");
	int64_t before = 0;

	if (!at)
		return err_set(e, -EINVAL, "key \"reboots\": an array expected");
	for (const struct cJSON *v = json_first(at); v; v = json_next(v)) {
		int64_t when;
		int rc = json_get_int(v, "at", before, r->uptime_s, &when, e);

		if (rc)
			return rc;
		if (r->count == REBOOTS_MAX)
			return err_set(e, -EINVAL, "key \"reboots\": at most %d expected", REBOOTS_MAX);
		r->at_s[r->count++] = before = when;
	}
	return 0;
}

static int
read_record(const char *text, size_t len, struct reboots *r, struct err *e)
{
	struct cJSON *j = json_parse(text, len, e);
	const char *reason;
	int rc;

	if (!j)
		return -EBADMSG;
	rc = json_get_int(j, "uptime", 0, UPTIME_MAX, &r->uptime_s, e);
	if (!rc)
		rc = json_get_str(j, "reason", &reason, e);
	if (!rc && text_copy(r->reason, sizeof(r->reason), reason))
		rc = err_set(e, -EINVAL, "key \"reason\": too long");
	if (!rc)
		rc = read_times(j, r, e);
	json_free(j);
	return rc ? -EBADMSG : 0; /* never -ENOENT of a key, which means a missing file to the caller */
}

/* A box that cannot tell how often it rebooted must not loop: as many as allowed, just now. */
static void
assume_full(struct reboots *r, const struct err *why)
{
	struct err e = ERR_NONE;

	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Record of reboots damaged", "file", r->path, "reason",
		  why->text, NULL);
	r->uptime_s = 0;
	r->count = REBOOTS_MAX;
	memset(r->at_s, 0, sizeof(r->at_s));
	text_copy(r->reason, sizeof(r->reason), "unknown: the record was damaged");
	/* the damaged file keeps its place until the new one replaces it: a missing one would count as none so far */
	if (file_link_aside(r->path, &e) || reboots_save(r, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
}

int
reboots_open(const char *state_dir, struct reboots **out, struct err *e)
{
	struct reboots *r = calloc(1, sizeof(*r));
	struct err why = ERR_NONE;
	char *text = NULL;
	size_t len = 0;
	int n, rc;

	if (!r)
		return err_sys(e, -ENOMEM, "record of reboots");
	n = snprintf(r->path, sizeof(r->path), "%s/reboots.json", state_dir);
	if (n < 0 || (size_t)n >= sizeof(r->path)) {
		free(r);
		return err_sys(e, -ENAMETOOLONG, "%s", state_dir);
	}
	rc = file_read(r->path, REBOOTS_BYTES, &text, &len, &why);
	if (!rc)
		rc = read_record(text, len, r, &why);
	free(text);
	if (rc && rc != -ENOENT)
		assume_full(r, &why);
	*out = r;
	return 0;
}

void
reboots_free(struct reboots *r)
{
	free(r);
}

int
reboots_save(struct reboots *r, struct err *e)
{
	struct cJSON *j = json_new_object(), *at;
	char *line = NULL;
	int rc = -ENOMEM;

	json_add_int(j, "uptime", r->uptime_s);
	json_add_str(j, "reason", r->reason);
	at = json_add_array(j, "reboots");
	for (size_t i = 0; i < r->count; i++) {
		struct cJSON *one = json_new_object();

		json_add_int(one, "at", r->at_s[i]);
		json_add(at, NULL, one);
	}
	if (j)
		line = json_line(j);
	if (line)
		rc = file_replace(r->path, line, strlen(line), 0600, NULL, e);
	else
		err_sys(e, rc, "%s", r->path);
	free(line);
	json_free(j);
	if (!rc)
		r->unsaved_s = 0;
	return rc;
}

void
reboots_uptime(struct reboots *r, int64_t seconds)
{
	struct err e = ERR_NONE;

	if (seconds <= 0 || r->uptime_s > UPTIME_MAX - seconds)
		return;
	r->uptime_s += seconds;
	r->unsaved_s += seconds;
	if (r->unsaved_s < REBOOTS_SAVE_S)
		return;
	/* tried again in an hour: uptime not written only makes the limit stricter */
	if (reboots_save(r, &e)) {
		log_debug(DBG_ERROR, "%s", e.text);
		r->unsaved_s = 0;
	}
}

size_t
reboots_recent(const struct reboots *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->uptime_s - r->at_s[i] < REBOOTS_WINDOW_S;
	return n;
}

int
reboots_note(struct reboots *r, const char *reason, struct err *e)
{
	struct reboots old = *r;
	int rc;

	if (reboots_recent(r) >= REBOOTS_MAX)
		return err_set(e, -EDQUOT, "%d reboots in the last 24 hours of uptime already", REBOOTS_MAX);
	if (r->count == REBOOTS_MAX) {
		memmove(&r->at_s[0], &r->at_s[1], (REBOOTS_MAX - 1) * sizeof(r->at_s[0]));
		r->count--;
	}
	r->at_s[r->count++] = r->uptime_s;
	text_escape(r->reason, sizeof(r->reason), reason, strlen(reason));
	rc = reboots_save(r, e);
	if (rc)
		*r = old;
	return rc;
}

const char *
reboots_last_reason(const struct reboots *r)
{
	return r->reason;
}
