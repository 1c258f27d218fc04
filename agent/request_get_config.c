/* get_config: the running configuration as text, with defaults when full=1 (wire profile, section 5); get_config_diff:
 * what has changed since the configuration the manager knows, as commands ("auto update"). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/checksum.h"
#include "config/diff.h"
#include "config/print.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/store.h"

enum { PIECE = 16 * 1024 }; /* of the stream's coding */

struct get_config {
	struct buf text;
};

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct get_config *g = ctx;

	(void)code;
	(void)reason;
	buf_free(&g->text);
	free(g);
}

static struct get_config *
new_text(struct channel_ops *ops, struct err *e)
{
	struct get_config *g = calloc(1, sizeof(*g));

	if (!g) {
		err_set(e, 0, "no memory");
		return NULL;
	}
	g->text = BUF_INIT(CONFIG_MAX_BYTES);
	*ops = (struct channel_ops){.ctx = g, .data = request_no_data, .end = request_no_end, .closed = on_closed};
	return g;
}

int
request_get_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		   struct err *e)
{
	bool full = !strcmp(message_str(m, "full"), "1");
	struct get_config *g = new_text(ops, e);

	(void)s;
	if (!g)
		return PROFILE_FAILED;
	/* a backup without its secrets could not be restored: the manager is trusted with them, over TLS */
	if (print_tree(device_running(rq->device), PRINT_SECRETS | (full ? PRINT_FULL : 0u), &g->text)) {
		err_set(e, 0, "the configuration could not be printed: no memory");
		on_closed(g, 0, NULL);
		return PROFILE_FAILED;
	}
	return 0;
}

static bool
has_checksum(const struct tree *t, const char *want)
{
	struct checksums sums;
	char text[CHECKSUM_TEXT];

	return !checksum_tree(t, &sums) && !strcmp(checksum_text(text, sums.all), want);
}

/* The revision with this checksum, owned by the caller. -ENOENT: none has it. */
static int
find_base(const struct requests *rq, const char *want, struct tree **out)
{
	struct revision list[STORE_REVISIONS];
	size_t n = store_revisions(rq->store, list, STORE_REVISIONS);

	for (size_t i = 0; i < n; i++) {
		struct tree *t = NULL;

		if (store_revision_load(rq->store, list[i].number, &t, NULL, NULL, NULL))
			continue;
		if (has_checksum(t, want)) {
			*out = t;
			return 0;
		}
		tree_free(t);
	}
	return -ENOENT;
}

static int
print_changes(const struct requests *rq, const char *base, struct buf *out, struct err *e)
{
	struct tree *running = device_running(rq->device), *from = NULL;
	char text[CHECKSUM_TEXT];
	int rc;

	if (!strcmp(checksum_text(text, device_checksum(rq->device)), base))
		return 0;
	if (find_base(rq, base, &from)) {
		err_set(e, 0, "no configuration with that checksum is kept: get_config gives all of it");
		return PROFILE_UNKNOWN;
	}
	rc = diff_trees(from, running, out, NULL);
	tree_free(from);
	if (rc)
		err_set(e, 0, "the difference could not be printed: no memory");
	return rc ? PROFILE_FAILED : 0;
}

int
request_get_config_diff(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
			struct err *e)
{
	const char *base = message_str(m, PROFILE_KEY_BASE);
	struct get_config *g;
	int code;

	(void)s;
	if (strlen(base) != CHECKSUM_TEXT - 1) {
		err_set(e, 0, PROFILE_KEY_BASE "= of 16 octets expected, as in a keep-alive");
		return PROFILE_MALFORMED;
	}
	g = new_text(ops, e);
	if (!g)
		return PROFILE_FAILED;
	code = print_changes(rq, base, &g->text, e);
	if (code)
		on_closed(g, 0, NULL);
	return code;
}

void
request_text_opened(void *ctx, struct channel *ch)
{
	struct get_config *g = ctx;
	int rc = 0;

	while (!rc && g->text.len) {
		size_t n = g->text.len < PIECE ? g->text.len : PIECE;

		rc = channel_write(ch, buf_head(&g->text), n);
		buf_take(&g->text, n);
	}
	if (!rc)
		rc = channel_write_end(ch);
	if (rc)
		channel_close(ch, PROFILE_FAILED, "no memory");
	else
		channel_close_when_delivered(ch, 0, "done");
}
