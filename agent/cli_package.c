#include "agent/cli_package.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/types.h"
#include "package/version.h"

enum { WHEN = 40, PER_MONTH = 100, PER_YEAR = 10000, TM_YEAR = 1900 };

/* As the guide shows it, in local time; "n/a" for never. */
static const char *
when_text(char dst[WHEN], int64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!s || !localtime_r(&t, &tm) || !strftime(dst, WHEN, "%a %b %e %H:%M:%S %Y", &tm))
		snprintf(dst, WHEN, "n/a");
	return dst;
}

/* Of yyyymmdd. */
static const char *
day_text(char dst[WHEN], uint32_t day)
{
	struct tm tm = {.tm_year = (int)(day / PER_YEAR) - TM_YEAR,
			.tm_mon = (int)(day / PER_MONTH % PER_MONTH) - 1,
			.tm_mday = (int)(day % PER_MONTH),
			.tm_hour = 12};

	if (!day || timegm(&tm) == -1 || !strftime(dst, WHEN, "%a %b %e %Y", &tm))
		snprintf(dst, WHEN, "n/a");
	return dst;
}

static const char *
health_name(enum pkg_health h)
{
	return h == PKG_GOOD ? "good" : h == PKG_BAD ? "bad" : "unchecked";
}

static void
put_kind(const struct pkg_installed *i, const struct pkg_record *r, struct buf *out)
{
	char version[VERSION_TEXT], when[WHEN];

	buf_printf(out, "%s\n---------\nVersion: %s%s%s\n", i->kind->title, version_text(version, i->version),
		   i->is_signed ? " signed" : "", i->health == PKG_BAD ? " invalid" : "");
	buf_printf(out, "Contract Expiry Date: %s\n", day_text(when, r->expires));
	if (r->updated_s)
		buf_printf(out, "Last Updated using %s update on %s\n", pkg_way_name(r->way),
			   when_text(when, r->updated_s));
	buf_printf(out, "Last Update Attempt: %s\n", when_text(when, r->attempted_s));
	buf_printf(out, "Result: %s\n\n", pkg_last_result_name(r->result));
}

static void
add_kind(struct cJSON *list, const struct pkg_installed *i, const struct pkg_record *r)
{
	struct cJSON *j = json_add_object(list, NULL);
	char version[VERSION_TEXT], day[WHEN] = "";

	if (r->expires)
		snprintf(day, sizeof(day), "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32, r->expires / PER_YEAR,
			 r->expires / PER_MONTH % PER_MONTH, r->expires % PER_MONTH);
	json_add_str(j, "name", i->kind->name);
	json_add_str(j, "title", i->kind->title);
	json_add_int(j, "id", i->kind->id);
	json_add_int(j, "sub", i->kind->sub);
	json_add_str(j, "version", version_text(version, i->version));
	json_add_bool(j, "signed", i->is_signed);
	json_add_str(j, "health", health_name(i->health));
	json_add_str(j, "contract-expiry", day);
	json_add_int(j, "last-updated", r->updated_s);
	json_add_str(j, "last-updated-by", r->updated_s ? pkg_way_name(r->way) : "");
	json_add_int(j, "last-attempt", r->attempted_s);
	json_add_str(j, "result", pkg_last_result_name(r->result));
}

void
cli_package_json(const struct pkg_store *store, const struct pkg_status *status, struct cJSON *list)
{
	for (size_t n = 0; store && n < types_count(); n++) {
		const struct pkg_installed *i = pkg_store_current(store, types_at(n));

		if (i)
			add_kind(list, i, pkg_status_of(status, i->kind));
	}
}

static void
versions_json(const struct pkg_store *store, const struct pkg_status *status, struct buf *out)
{
	struct cJSON *root = json_new_object();
	char *text;

	cli_package_json(store, status, json_add_array(root, "objects"));
	text = json_pretty(root);
	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_free(root);
}

void
cli_package_versions(const struct pkg_store *store, const struct pkg_status *status, bool json, struct buf *out)
{
	size_t before = out->len;

	if (json) {
		versions_json(store, status, out);
		return;
	}
	for (size_t n = 0; store && n < types_count(); n++) {
		const struct pkg_installed *i = pkg_store_current(store, types_at(n));

		if (i)
			put_kind(i, pkg_status_of(status, i->kind), out);
	}
	if (out->len == before)
		buf_str(out, "Nothing is installed.\n");
}
