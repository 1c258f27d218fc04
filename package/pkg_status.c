#include "package/pkg_status.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "package/format.h"
#include "package/types.h"

enum { FILE_MAX = 64 * 1024, LINE_MAX_BYTES = 64 };

struct pkg_status {
	char path[PATH_MAX];
	bool changed;
	struct pkg_record *records; /* by types_index() */
};

static const char *const way_names[] = {"scheduled", "manual", "ha"};

const char *
pkg_way_name(enum update_way way)
{
	return way_names[way];
}

const char *
pkg_last_result_name(enum pkg_last_result r)
{
	static const char *const names[] = {"n/a", "Updates Installed", "No Updates"};

	return names[r];
}

/* --- the file -------------------------------------------------------------------------------------------------------
 */

static int
read_way(const struct cJSON *j, enum update_way *way, struct err *e)
{
	const char *text;
	int rc = json_get_str(j, "way", &text, e);

	for (size_t i = 0; !rc && i < UPDATE_WAYS; i++) {
		if (!strcmp(text, way_names[i])) {
			*way = (enum update_way)i;
			return 0;
		}
	}
	return rc ? rc : err_set(e, -EINVAL, "key \"way\": scheduled, manual or ha expected");
}

static int
read_record(const struct cJSON *j, struct pkg_record *out, struct err *e)
{
	static const int64_t latest_s = INT64_C(1) << 40;
	struct pkg_record r = {0};
	int64_t result, expires;
	int rc = read_way(j, &r.way, e);

	if (!rc)
		rc = json_get_int(j, "updated", 0, latest_s, &r.updated_s, e);
	if (!rc)
		rc = json_get_int(j, "attempted", 0, latest_s, &r.attempted_s, e);
	if (!rc)
		rc = json_get_int(j, "result", PKG_RESULT_NONE, PKG_RESULT_NO_UPDATES, &result, e);
	if (!rc)
		rc = json_get_int(j, "expires", 0, 99991231, &expires, e);
	if (rc)
		return rc;
	r.result = (enum pkg_last_result)result;
	r.expires = (uint32_t)expires;
	*out = r;
	return 0;
}

/* Kinds that a later version knew are left out. */
static int
read_records(struct pkg_record *records, const struct cJSON *root, struct err *e)
{
	if (!json_is_object(root))
		return err_set(e, -EINVAL, "an object expected");
	for (const struct cJSON *j = json_first(root); j; j = json_next(j)) {
		const struct object_type *kind = types_called(json_key(j));
		int rc;

		if (!kind)
			continue;
		if (!json_is_object(j))
			return err_set(e, -EINVAL, "key \"%s\": an object expected", kind->name);
		rc = read_record(j, &records[types_index(kind)], e);
		if (rc)
			return err_in(e, "%s", kind->name);
	}
	return 0;
}

static int
read_file(const struct pkg_status *st, struct pkg_record *records, struct err *e)
{
	struct cJSON *root;
	char *text = NULL;
	size_t len;
	int rc = file_read(st->path, FILE_MAX, &text, &len, e);

	if (rc)
		return rc;
	root = json_parse(text, len, e);
	/* a missing key is no missing file */
	rc = root && !read_records(records, root, e) ? 0 : -EBADMSG;
	json_free(root);
	free(text);
	return rc;
}

static void
start_anew(struct pkg_status *st, const struct err *why)
{
	struct err e = ERR_NONE;

	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Package status damaged", "file", st->path, "reason", why->text,
		  NULL);
	memset(st->records, 0, types_count() * sizeof(*st->records));
	if (file_link_aside(st->path, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	st->changed = true;
}

int
pkg_status_load(const char *dir, struct pkg_status **out, struct err *e)
{
	struct pkg_status *st = calloc(1, sizeof(*st));
	int n, rc;

	if (st)
		st->records = calloc(types_count(), sizeof(*st->records));
	if (!st || !st->records) {
		pkg_status_free(st);
		return err_sys(e, -ENOMEM, "package status");
	}
	n = snprintf(st->path, sizeof(st->path), "%s/status.json", dir);
	if (n < 0 || (size_t)n >= sizeof(st->path)) {
		pkg_status_free(st);
		return err_sys(e, -ENAMETOOLONG, "%s", dir);
	}
	rc = pkg_status_reread(st, e);
	if (rc) {
		pkg_status_free(st);
		return rc;
	}
	*out = st;
	return 0;
}

/* Of what is on disk; everything else may be over the next time. */
static bool
is_damage(int rc)
{
	return rc == -EBADMSG || rc == -EFBIG || rc == -EISDIR || rc == -EIO;
}

int
pkg_status_reread(struct pkg_status *st, struct err *e)
{
	struct pkg_record *fresh;
	struct err why = ERR_NONE;
	int rc;

	if (st->changed)
		return 0;
	fresh = calloc(types_count(), sizeof(*fresh));
	rc = fresh ? read_file(st, fresh, &why) : err_sys(&why, -ENOMEM, "package status");
	if (!rc || rc == -ENOENT) {
		free(st->records);
		st->records = fresh;
		return 0;
	}
	free(fresh);
	if (!is_damage(rc))
		return err_set(e, rc, "%s", why.text);
	start_anew(st, &why);
	return 0;
}

void
pkg_status_free(struct pkg_status *st)
{
	if (!st)
		return;
	free(st->records);
	free(st);
}

static bool
is_empty(const struct pkg_record *r)
{
	return !r->updated_s && !r->attempted_s && !r->expires && r->result == PKG_RESULT_NONE;
}

static char *
text_of(const struct pkg_status *st)
{
	struct cJSON *root = json_new_object();
	char *text;

	for (size_t i = 0; root && i < types_count(); i++) {
		const struct pkg_record *r = &st->records[i];
		struct cJSON *j = is_empty(r) ? NULL : json_add_object(root, types_at(i)->name);

		if (!j)
			continue;
		json_add_str(j, "way", way_names[r->way]);
		json_add_int(j, "updated", r->updated_s);
		json_add_int(j, "attempted", r->attempted_s);
		json_add_int(j, "result", r->result);
		json_add_int(j, "expires", r->expires);
	}
	text = root ? json_pretty(root) : NULL;
	json_free(root);
	return text;
}

int
pkg_status_save(struct pkg_status *st, bool *wrote, struct err *e)
{
	char *text;
	int rc;

	if (wrote)
		*wrote = false;
	if (!st->changed)
		return 0;
	text = text_of(st);
	if (!text)
		return err_sys(e, -ENOMEM, "%s", st->path);
	rc = file_replace(st->path, text, strlen(text), 0600, NULL, e);
	free(text);
	if (rc)
		return rc;
	st->changed = false;
	if (wrote)
		*wrote = true;
	return 0;
}

/* --- what is known --------------------------------------------------------------------------------------------------
 */

const struct pkg_record *
pkg_status_of(const struct pkg_status *st, const struct object_type *kind)
{
	return &st->records[types_index(kind)];
}

static void
attempted(struct pkg_status *st, const struct object_type *kind, enum pkg_last_result result, int64_t now_s)
{
	struct pkg_record *r = &st->records[types_index(kind)];

	r->attempted_s = now_s;
	r->result = result;
	st->changed = true;
}

void
pkg_status_installed(struct pkg_status *st, const struct object_type *kind, enum update_way way, int64_t now_s)
{
	struct pkg_record *r = &st->records[types_index(kind)];

	r->updated_s = now_s;
	r->way = way;
	attempted(st, kind, PKG_RESULT_INSTALLED, now_s);
}

void
pkg_status_unchanged(struct pkg_status *st, const struct object_type *kind, int64_t now_s)
{
	attempted(st, kind, PKG_RESULT_NO_UPDATES, now_s);
}

/* --- contracts ------------------------------------------------------------------------------------------------------
 */

static bool
is_day(uint64_t yyyymmdd)
{
	static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t year = yyyymmdd / 10000, month = yyyymmdd / 100 % 100, day = yyyymmdd % 100;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (year < 1970 || !month || month > 12 || !day)
		return false;
	return day <= days[month - 1] + (month == 2 && leap);
}

/* "NAME yyyymmdd", of an object in the table. */
static int
read_line(const char *line, size_t len, uint32_t *expires)
{
	const struct object_type *kind;
	char text[LINE_MAX_BYTES], *day;
	uint64_t v;

	if (len >= sizeof(text) || memchr(line, '\0', len))
		return -EBADMSG;
	memcpy(text, line, len);
	text[len] = '\0';
	day = strchr(text, ' ');
	if (!day)
		return -EBADMSG;
	*day++ = '\0';
	kind = types_called(text);
	if (!kind || strlen(day) != 8 || text_u64(day, 99991231, &v) || !is_day(v))
		return -EBADMSG;
	expires[types_index(kind)] = (uint32_t)v;
	return 0;
}

/* `expires` has a place for each type. */
static int
read_contract(const char *text, size_t len, uint32_t *expires, struct err *e)
{
	size_t at = 0, number = 0;

	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		number++;
		if (n && text[at] != '#' && read_line(text + at, n, expires))
			return err_set(e, -EBADMSG, "contract: line %zu: \"NAME yyyymmdd\" of a known object expected",
				       number);
		at += n + 1;
	}
	return 0;
}

static int
take_contract(struct pkg_status *st, const char *text, size_t len, struct err *e)
{
	uint32_t *expires = calloc(types_count(), sizeof(*expires));
	int rc = expires ? read_contract(text, len, expires, e) : err_sys(e, -ENOMEM, "contract");

	for (size_t i = 0; !rc && st && i < types_count(); i++) {
		st->changed |= st->records[i].expires != expires[i];
		st->records[i].expires = expires[i];
	}
	free(expires);
	return rc;
}

int
pkg_status_judge_contract(const char *text, size_t len, struct err *e)
{
	return take_contract(NULL, text, len, e);
}

int
pkg_status_set_contract(struct pkg_status *st, const char *text, size_t len, struct err *e)
{
	return take_contract(st, text, len, e);
}
