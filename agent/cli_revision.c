#include "agent/cli_revision.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/device.h"
#include "agent/revision.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/diff.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/store.h"

static void
list_json(const struct revision *list, size_t n, const char *saved, struct buf *out)
{
	struct cJSON *root = json_new_object(), *all = json_add_array(root, "revisions");
	char *text;

	for (size_t i = 0; i < n; i++) {
		struct cJSON *one = json_new_object();

		json_add_int(one, "number", list[i].number);
		json_add_int(one, "when", list[i].when_s);
		json_add_str(one, "who", list[i].who);
		json_add_str(one, "digest", list[i].digest);
		json_add_bool(one, "saved", !strcmp(list[i].digest, saved));
		json_add(all, NULL, one);
	}
	text = json_pretty(root);
	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_free(root);
}

static void
list_text(const struct revision *list, size_t n, const char *saved, struct buf *out)
{
	char when[32];

	if (n)
		buf_str(out, "Revision  Saved (UTC)          By\n");
	else
		buf_str(out, "No configuration was saved yet.\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%8u  %s  %s%s\n", list[i].number, text_utc(when, sizeof(when), list[i].when_s),
			   list[i].who, strcmp(list[i].digest, saved) ? "" : "  (the saved one)");
}

void
cli_revision_list(struct agent *a, bool json, struct buf *out)
{
	struct revision list[STORE_REVISIONS];
	struct agent_parts p;
	size_t n;

	agent_parts(a, &p);
	n = store_revisions(p.store, list, STORE_REVISIONS);
	(json ? list_json : list_text)(list, n, store_digest(p.store), out);
}

static int
parse_number(const char *text, unsigned *out, struct err *e)
{
	uint64_t v;

	if (text_u64(text, UINT_MAX - 1, &v) || !v)
		return err_set(e, CLI_INVALID, "the number of a revision expected");
	*out = (unsigned)v;
	return CLI_OK;
}

/* -errno into what the CLI prints. */
static int
code_of(int rc)
{
	switch (rc) {
	case 0:
		return CLI_OK;
	case -ENOENT:
		return CLI_NOT_FOUND;
	case -EBUSY:
		return CLI_DENIED; /* as every change while an install is pending */
	case -EALREADY:
		return CLI_CONFLICT;
	case -EFBIG:
		return CLI_TOO_LONG;
	default:
		return CLI_FAILED;
	}
}

static void
on_complaint(void *ctx, const char *line)
{
	(void)buf_printf(ctx, "# left out: %s\n", line);
}

static int
load(const struct agent_parts *p, const char *text, struct tree **out, struct buf *said, struct err *e)
{
	unsigned number = 0;
	int rc = parse_number(text, &number, e);

	if (rc)
		return rc;
	rc = store_revision_load(p->store, number, out, on_complaint, said, e);
	if (rc == -ENOENT)
		err_set(e, rc, "there is no revision %u: `execute revision list` shows those there are", number);
	return code_of(rc);
}

int
cli_revision_diff(struct agent *a, const char *from, const char *to, struct buf *out, struct err *e)
{
	struct tree *one = NULL, *other = NULL;
	struct agent_parts p;
	size_t before;
	int rc;

	agent_parts(a, &p);
	rc = load(&p, from, &one, out, e);
	if (!rc && to)
		rc = load(&p, to, &other, out, e);
	before = out->len;
	if (!rc && diff_show(one, other ? other : device_running(p.device), out, NULL))
		rc = err_set(e, CLI_FAILED, "the difference cannot be shown: too large, or no memory");
	if (!rc && out->len == before)
		buf_str(out, "# no difference\n");
	tree_free(one);
	tree_free(other);
	return rc;
}

/* What happens next, for whoever has just typed it. */
static void
say_next(const struct revision_begun *b, unsigned number, struct buf *out)
{
	const int minutes = INSTALL_TEST_MS / 1000 / 60;

	buf_printf(out, "Revision %u is being restored as install %s.\n", number, b->id);
	if (b->awaits_operator)
		buf_printf(out,
			   "No manager is configured that could prove it good. Keep it within %d minutes with\n"
			   "`execute fgfm install confirm`; otherwise it is rolled back.\n",
			   minutes);
	else
		buf_printf(out,
			   "It is kept as soon as a fresh session with a trusted manager is up; without one it is\n"
			   "rolled back after %d minutes. `execute fgfm install confirm` keeps it before.\n",
			   minutes);
	buf_str(out, "`execute fgfm install revert` takes it back; `diagnose fgfm install-session` shows how far it "
		     "is.\n");
}

int
cli_revision_restore(struct agent *a, const char *number, const char *who, struct buf *out, struct err *e)
{
	struct revision_begun begun;
	unsigned n = 0;
	int rc = parse_number(number, &n, e);

	if (rc)
		return rc;
	rc = code_of(agent_restore_revision(a, n, who, on_complaint, out, &begun, e));
	if (!rc)
		say_next(&begun, n, out);
	return rc;
}
