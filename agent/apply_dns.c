/* `config system dns`: the resolver file (`config agent` / `set resolv-conf`). The agent's own look-ups read it anew
 * each time (agent/resolve.h), so they follow at once.
 *
 * The file is replaced whole. One that is not ours is kept beside it until the configuration names no servers any more.
 * A symbolic link belongs to another program (systemd-resolved, resolvconf), which would write over what we put at its
 * end, or miss its link: that is a conflict for the operator to settle.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/tree.h"

#define MAKER "# Written by fgfmd from `config system dns`.\n"

enum { RESOLV_MAX = 64 * 1024 };

static const char *const servers[] = {"primary", "secondary", "ip6-primary", "ip6-secondary"};

enum { SERVERS = sizeof(servers) / sizeof(*servers) };

static bool
names_server(const struct entry *en, const char *attr)
{
	const char *v = entry_get(en, attr);

	return *v && strcmp(v, "0.0.0.0") != 0 && strcmp(v, "::") != 0;
}

/* The configuration speaks of DNS. */
static bool
speaks(const struct entry *en)
{
	for (size_t i = 0; en && i < SERVERS; i++)
		if (names_server(en, servers[i]))
			return true;
	return en && entry_count(en, "domain") > 0;
}

/* It becomes a word of a file that other programs read. */
static bool
is_domain(const char *s)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return false;
	return true;
}

static int
put_domains(const struct entry *en, struct buf *out, struct err *e)
{
	size_t n = entry_count(en, "domain");
	char shown[64];

	for (size_t i = 0; i < n; i++) {
		const char *v = entry_value(en, "domain", i);

		if (!is_domain(v))
			return err_set(e, CLI_INVALID, "domain \"%s\": a domain name was expected",
				       text_escape(shown, sizeof(shown), v, strlen(v)));
		buf_printf(out, "%s %s", i ? "" : "search", v);
	}
	if (n)
		buf_str(out, "\n");
	return CLI_OK;
}

static int
render(const struct entry *en, struct buf *out, struct err *e)
{
	int rc;

	buf_str(out, MAKER "# What stood here before is beside it, as NAME.before-fgfmd; changes made by hand are not "
			   "looked at.\n");
	rc = put_domains(en, out, e);
	if (rc != CLI_OK)
		return rc;
	for (size_t i = 0; i < SERVERS; i++)
		if (names_server(en, servers[i]))
			buf_printf(out, "nameserver %s\n", entry_get(en, servers[i]));
	if (entry_is_set(en, "timeout") || entry_is_set(en, "retry"))
		buf_printf(out, "options timeout:%lld attempts:%lld\n", entry_int(en, "timeout"),
			   entry_int(en, "retry") + 1);
	return out->error ? err_sys(e, CLI_FAILED, "the resolver file") : CLI_OK;
}

/* What is there: its text in *out (NULL: nothing), which the caller frees. -ELOOP: a symbolic link; or -errno. */
static int
read_now(const char *path, char **out, struct err *e)
{
	char target[PATH_MAX];
	size_t len;
	ssize_t n;
	int rc;

	n = readlink(path, target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = '\0';
		return err_set(e, -ELOOP, "%s is a symbolic link to %.160s: only a file is replaced", path, target);
	}
	rc = file_read(path, RESOLV_MAX, out, &len, e);
	if (rc == -ENOENT) {
		*out = NULL;
		return 0;
	}
	return rc;
}

static bool
is_ours(const char *text)
{
	return text && !strncmp(text, MAKER, strlen(MAKER));
}

static int
verify(const char *path, const char *want, struct err *e)
{
	char *now = NULL;
	int rc = read_now(path, &now, e);

	if (!rc && (!now || strcmp(now, want) != 0))
		rc = err_set(e, -EIO, "%s: read back is not what was written", path);
	free(now);
	return rc;
}

static int
put(const char *path, const char *want, struct err *e)
{
	bool renamed = false, had = aside_there(path);
	char *now = NULL;
	int rc = read_now(path, &now, e);

	if (!rc && now && !strcmp(now, want))
		goto out;
	if (!rc && !is_ours(now))
		rc = aside_keep(path, e);
	if (!rc)
		rc = file_replace(path, want, strlen(want), 0644, &renamed, e);
	if (rc && !renamed && !had)
		aside_drop(path);
	/* not on disk for sure, but in force; a power cut brings the old file back, and the next start this one */
	if (rc && renamed)
		log_say(LOG_LEVEL_WARNING, "%s", e->text);
	if (!rc || renamed)
		rc = verify(path, want, e);
out:
	free(now);
	return rc;
}

/* What others put there since stays, and so does what is kept beside it. */
static int
take_away(const char *path, struct err *e)
{
	struct err why = ERR_NONE;
	char *now = NULL;
	int rc = read_now(path, &now, &why);

	if (aside_same(path)) {
		aside_drop(path);
		rc = 0;
	} else if (rc || (now && !is_ours(now))) {
		log_say(LOG_LEVEL_NOTICE, "%s is not ours any more and stays%s%s", path, rc ? ": " : "", why.text);
		rc = 0;
	} else {
		rc = aside_restore(path, e);
	}
	free(now);
	return rc;
}

/* Unlike addresses the file outlives a boot: with the power an install may go that had written it. */
static bool
is_left_over(const char *path)
{
	bool left = aside_there(path);
	char *now = NULL;

	if (left && !aside_same(path))
		left = !read_now(path, &now, NULL) && is_ours(now);
	free(now);
	return left;
}

int
apply_dns_change(struct apply *a, const struct change *c, struct err *e)
{
	struct buf text = BUF_INIT(RESOLV_MAX);
	struct err why = ERR_NONE;
	char *want = NULL;
	int rc = CLI_OK;

	if (!a->system || (!speaks(c->old) && !speaks(c->new) && !is_left_over(a->resolv_conf)))
		return CLI_OK;
	if (speaks(c->new)) {
		rc = render(c->new, &text, e);
		want = rc == CLI_OK ? buf_steal(&text, NULL) : NULL;
		if (rc == CLI_OK && !want)
			rc = err_sys(e, CLI_FAILED, "the resolver file");
	}
	if (rc == CLI_OK) {
		rc = want ? put(a->resolv_conf, want, &why) : take_away(a->resolv_conf, &why);
		if (rc)
			rc = err_set(e, rc == -ELOOP ? CLI_CONFLICT : CLI_FAILED, "%s", why.text);
	}
	free(want);
	buf_free(&text);
	return rc;
}

/* --- drift -------------------------------------------------------------------------------------------------------- */

/* The lines that mean something, on one. */
static char *
summary(char *dst, size_t size, const char *text)
{
	size_t used = 0;

	dst[0] = '\0';
	while (text && *text) {
		size_t n = strcspn(text, "\n");

		if (n && *text != '#' && *text != ';' && used + 3 < size) {
			if (used)
				used += strlen(strcpy(dst + used, "; "));
			text_escape(dst + used, size - used, text, n);
			used += strlen(dst + used);
		}
		text += n + (text[n] == '\n');
	}
	return dst;
}

int
apply_dns_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e)
{
	struct buf text = BUF_INIT(RESOLV_MAX);
	char expected[512], found[512], *want = NULL, *now = NULL;
	struct err why = ERR_NONE;
	int rc;

	if (!a->system || !speaks(en))
		return 0;
	rc = render(en, &text, e);
	want = rc == CLI_OK ? buf_steal(&text, NULL) : NULL;
	if (!want)
		goto out;
	summary(expected, sizeof(expected), want);
	rc = read_now(a->resolv_conf, &now, &why);
	if (rc)
		drift_say(d, "", "resolv-conf", expected, why.text);
	else if (!now)
		drift_say(d, "", "resolv-conf", expected, "none");
	else if (strcmp(now, want) != 0)
		drift_say(d, "", "resolv-conf", expected, summary(found, sizeof(found), now));
	rc = 0;
out:
	free(want);
	free(now);
	buf_free(&text);
	return rc;
}
