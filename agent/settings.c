#include "agent/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "config/schema.h"
#include "config/tree.h"

enum { BOOTSTRAP_MAX = 1024 * 1024 };

struct settings {
	struct tree *tree;
	const struct entry *agent;
};

/* Reads and executes the file. How many lines failed, or a negative code; *out is set unless that is negative. */
static int
load(const char *path, const struct schema *schema, load_complain_fn *complain, void *ctx, struct settings **out,
     struct err *e)
{
	struct settings *s = calloc(1, sizeof(*s));
	char *text = NULL;
	size_t len;
	int rc;

	if (!s)
		return err_sys(e, -ENOMEM, "%s", path);
	rc = file_read(path, BOOTSTRAP_MAX, &text, &len, e);
	if (rc)
		goto out;
	s->tree = tree_new(schema);
	rc = s->tree ? load_text(s->tree, path, text, len, true, complain, ctx, e) : err_sys(e, -ENOMEM, "%s", path);
	if (rc < 0)
		goto out;
	s->agent = tree_entry(s->tree, "agent", "");
	*out = s;
	s = NULL;
out:
	free(text);
	settings_free(s);
	return rc;
}

struct first_complaint {
	load_complain_fn *next;
	void *ctx;
	struct err *e;
	bool seen;
};

static void
note_complaint(void *ctx, const char *line)
{
	struct first_complaint *f = ctx;

	if (!f->seen)
		err_set(f->e, -EINVAL, "%s", line);
	f->seen = true;
	if (f->next)
		f->next(f->ctx, line);
}

int
settings_load(const char *path, const struct schema *schema, load_complain_fn *complain, void *ctx,
	      struct settings **out, struct err *e)
{
	struct first_complaint first = {.next = complain, .ctx = ctx, .e = e};
	struct settings *s = NULL;
	int rc = load(path, schema, note_complaint, &first, &s, e);

	if (rc < 0 && complain)
		complain(ctx, e->text);
	if (rc) {
		settings_free(s);
		return -EINVAL;
	}
	*out = s;
	return 0;
}

struct settings *
settings_check(const char *path, const struct schema *schema, load_complain_fn *complain, void *ctx)
{
	struct settings *s = NULL;
	struct err e = ERR_NONE;

	if (load(path, schema, complain, ctx, &s, &e) < 0)
		complain(ctx, e.text);
	return s;
}

void
settings_free(struct settings *s)
{
	if (!s)
		return;
	tree_free(s->tree);
	free(s);
}

const char *
settings_get(const struct settings *s, const char *option)
{
	return entry_get(s->agent, option);
}

long long
settings_int(const struct settings *s, const char *option)
{
	return entry_int(s->agent, option);
}

bool
settings_enabled(const struct settings *s, const char *option)
{
	return entry_enabled(s->agent, option);
}

bool
settings_has(const struct settings *s, const char *option, const char *value)
{
	for (size_t i = 0; i < entry_count(s->agent, option); i++) {
		if (!strcmp(entry_value(s->agent, option, i), value))
			return true;
	}
	return false;
}

static char *
join(const char *folder, const char *name, char *dst, size_t size)
{
	int n = snprintf(dst, size, "%s/%s", folder, name);

	if (n < 0 || (size_t)n >= size)
		dst[0] = '\0';
	return dst;
}

char *
settings_state_path(const struct settings *s, const char *name, char *dst, size_t size)
{
	return join(settings_get(s, "state-directory"), name, dst, size);
}

char *
settings_run_path(const struct settings *s, const char *name, char *dst, size_t size)
{
	return join(settings_get(s, "run-directory"), name, dst, size);
}

const char *
settings_restart_needed(const struct settings *a, const struct settings *b)
{
	static const char *const fixed[] = {"state-directory", "run-directory", "schema-directory",  "netns",
					    "tun-device",      "apply-system",  "handler-directory", "handler-user",
					    "resolv-conf",     "localtime",     "zoneinfo-directory"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (strcmp(settings_get(a, fixed[i]), settings_get(b, fixed[i])) != 0)
			return fixed[i];
	}
	return NULL;
}
