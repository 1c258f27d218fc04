/* `config system global`: the host's name and its time zone. The UTS namespace is the agent's: tests run in one of
 * their own.
 *
 * The time zone is a symbolic link, replaced by a rename. Link and name as they were found are kept, and come back when
 * the configuration does not speak of them any more.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/tree.h"

static const char *
value_of(const struct entry *en, const char *attr)
{
	return en ? entry_get(en, attr) : "";
}

/* --- name --------------------------------------------------------------------------------------------------------- */

static int
set_hostname(const char *name, struct err *e)
{
	char now[HOST_NAME_MAX + 1] = "";
	size_t len = strlen(name);

	if (len > HOST_NAME_MAX)
		return err_set(e, CLI_TOO_LONG, "hostname: %zu bytes, at most %d expected", len, HOST_NAME_MAX);
	if (!gethostname(now, sizeof(now)) && !strcmp(now, name))
		return CLI_OK;
	if (sethostname(name, len))
		return err_set(e, CLI_FAILED, "hostname %s: %s", name, strerror(errno));
	if (gethostname(now, sizeof(now)) || strcmp(now, name))
		return err_set(e, CLI_FAILED, "hostname %s: read back as \"%.64s\"", name, now);
	return CLI_OK;
}

/* In the run directory, which a boot empties, as it gives the host its name anew. The first one found counts, also over
 * restarts of the agent. */
static int
keep_hostname(const struct apply *a, struct err *e)
{
	char now[HOST_NAME_MAX + 1] = "";
	struct err why = ERR_NONE;

	if (!access(a->hostname_found, F_OK))
		return CLI_OK;
	if (gethostname(now, sizeof(now)))
		return err_set(e, CLI_FAILED, "hostname: %s", strerror(errno));
	if (file_replace(a->hostname_found, now, strlen(now), 0644, NULL, &why))
		return err_set(e, CLI_FAILED, "keeping the host's name: %s", why.text);
	return CLI_OK;
}

static int
restore_hostname(const struct apply *a, struct err *e)
{
	struct err why = ERR_NONE;
	char *name = NULL;
	size_t len;
	int rc = file_read(a->hostname_found, HOST_NAME_MAX, &name, &len, &why);

	if (rc == -ENOENT)
		return CLI_OK;
	if (rc)
		return err_set(e, CLI_FAILED, "the host's name before: %s", why.text);
	rc = len ? set_hostname(name, e) : CLI_OK;
	if (rc == CLI_OK && file_remove(a->hostname_found, &why))
		log_say(LOG_LEVEL_WARNING, "%s", why.text);
	free(name);
	return rc;
}

/* An empty name (the default) is nothing the configuration speaks of: the host keeps the one it has, or gets back the
 * one it had before the configuration named it. */
static int
change_hostname(struct apply *a, const char *before, const char *name, struct err *e)
{
	int rc;

	if (!*name)
		return *before ? restore_hostname(a, e) : CLI_OK;
	rc = keep_hostname(a, e);
	return rc == CLI_OK ? set_hostname(name, e) : rc;
}

/* --- time zone ---------------------------------------------------------------------------------------------------- */

/* FortiOS up to 7.2 names time zones by numbers of its own. */
static bool
is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name);
}

/* A file below the folder of time zones, on no way around. */
static bool
is_zone_name(const char *name)
{
	char before = '/';

	for (const char *p = name; *p; before = *p++)
		if ((!isalnum((unsigned char)*p) && !strchr("/_+-", *p)) || (*p == '/' && before == '/'))
			return false;
	return before != '/';
}

static int
zone_path(const struct apply *a, const char *name, char path[PATH_MAX], struct err *e)
{
	char magic[4] = "", shown[80];
	struct stat st;
	FILE *f = NULL;
	int n = 0;

	if (is_zone_name(name))
		n = snprintf(path, PATH_MAX, "%s/%s", a->zoneinfo, name);
	if (n > 0 && n < PATH_MAX && !stat(path, &st) && S_ISREG(st.st_mode))
		f = fopen(path, "re");
	if (f && fread(magic, 1, sizeof(magic), f) != sizeof(magic))
		magic[0] = '\0';
	if (f)
		fclose(f);
	if (memcmp(magic, "TZif", sizeof(magic)) != 0)
		return err_set(e, CLI_INVALID, "timezone \"%s\": Area/City of a time zone in %s was expected",
			       text_escape(shown, sizeof(shown), name, strlen(name)), a->zoneinfo);
	return CLI_OK;
}

/* Where the link leads; "" where there is none. */
static const char *
read_zone(const struct apply *a, char target[PATH_MAX])
{
	ssize_t n = readlink(a->localtime, target, PATH_MAX - 1);

	target[n < 0 ? 0 : n] = '\0';
	return target;
}

static int
replace_link(const char *path, const char *target, struct err *e)
{
	char tmp[PATH_MAX];
	int n = snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	int rc;

	if (n < 0 || (size_t)n >= sizeof(tmp))
		return err_sys(e, -ENAMETOOLONG, "%s", path);
	if (unlink(tmp) && errno != ENOENT)
		return err_sys(e, -errno, "removing the stale %s", tmp);
	if (symlink(target, tmp))
		return err_sys(e, -errno, "creating %s", tmp);
	if (!rename(tmp, path))
		return file_sync_parent(path, e);
	rc = err_sys(e, -errno, "renaming %s to %s", tmp, path);
	unlink(tmp);
	return rc;
}

/* What is found first is kept, the same as wanted or not: it would go with ours otherwise. */
static int
set_zone(struct apply *a, const char *name, struct err *e)
{
	char path[PATH_MAX], now[PATH_MAX];
	struct err why = ERR_NONE;
	int rc = zone_path(a, name, path, e);

	if (rc != CLI_OK)
		return rc;
	if (!aside_there(a->localtime))
		rc = aside_keep(a->localtime, &why);
	if (!rc && strcmp(read_zone(a, now), path) != 0)
		rc = replace_link(a->localtime, path, &why);
	if (!rc && strcmp(read_zone(a, now), path) != 0)
		rc = err_set(&why, -EIO, "%s: read back as \"%.80s\"", a->localtime, now);
	tzset(); /* of our own event log, too */
	return rc ? err_set(e, CLI_FAILED, "time zone: %s", why.text) : CLI_OK;
}

/* What others put there since stays. */
static int
restore_zone(struct apply *a, const char *before, struct err *e)
{
	char path[PATH_MAX], now[PATH_MAX];
	struct err why = ERR_NONE;
	int rc;

	if (!aside_there(a->localtime))
		return CLI_OK;
	if (zone_path(a, before, path, NULL) != CLI_OK || strcmp(read_zone(a, now), path) != 0) {
		log_say(LOG_LEVEL_NOTICE, "%s is not ours any more and stays", a->localtime);
		return CLI_OK;
	}
	rc = aside_restore(a->localtime, &why);
	tzset();
	return rc ? err_set(e, CLI_FAILED, "time zone: %s", why.text) : CLI_OK;
}

static int
change_zone(struct apply *a, const char *before, const char *name, struct err *e)
{
	if (is_number(name))
		log_say(LOG_LEVEL_WARNING, "timezone %s: a number of FortiOS is kept and not applied", name);
	if (*name && !is_number(name))
		return set_zone(a, name, e);
	return *before && !is_number(before) ? restore_zone(a, before, e) : CLI_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
apply_global_change(struct apply *a, const struct change *c, struct err *e)
{
	const char *host[] = {value_of(c->old, "hostname"), value_of(c->new, "hostname")};
	const char *zone[] = {value_of(c->old, "timezone"), value_of(c->new, "timezone")};
	struct err why = ERR_NONE;
	int rc;

	if (!a->system)
		return CLI_OK;
	rc = change_hostname(a, host[0], host[1], e);
	if (rc != CLI_OK)
		return rc;
	rc = change_zone(a, zone[0], zone[1], e);
	if (rc != CLI_OK && strcmp(host[0], host[1]) != 0 && change_hostname(a, host[1], host[0], &why) != CLI_OK)
		log_say(LOG_LEVEL_ERROR, "taking the hostname back: %s", why.text);
	return rc;
}

int
apply_global_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e)
{
	const char *host = entry_get(en, "hostname"), *zone = entry_get(en, "timezone");
	char name[HOST_NAME_MAX + 1] = "", path[PATH_MAX], now[PATH_MAX], shown[160];

	if (!a->system)
		return 0;
	if (*host && gethostname(name, sizeof(name)))
		return err_sys(e, -errno, "hostname");
	if (*host && strcmp(host, name) != 0)
		drift_say(d, "", "hostname", host, text_escape(shown, sizeof(shown), name, strlen(name)));
	if (!*zone || is_number(zone) || zone_path(a, zone, path, NULL) != CLI_OK)
		return 0;
	if (strcmp(read_zone(a, now), path) != 0)
		drift_say(d, "", "timezone", path, *now ? text_escape(shown, sizeof(shown), now, strlen(now)) : "none");
	return 0;
}
