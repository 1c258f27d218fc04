/* get_config: the running configuration as text, with defaults when full=1 (wire profile, section 5). */
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/print.h"
#include "config/script.h"

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

int
request_get_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		   struct err *e)
{
	bool full = !strcmp(message_str(m, "full"), "1");
	struct get_config *g = calloc(1, sizeof(*g));

	(void)s;
	if (!g) {
		err_set(e, 0, "no memory");
		return PROFILE_FAILED;
	}
	g->text = BUF_INIT(CONFIG_MAX_BYTES);
	/* a backup without its secrets could not be restored: the manager is trusted with them, over TLS */
	if (print_tree(device_running(rq->device), PRINT_SECRETS | (full ? PRINT_FULL : 0u), &g->text)) {
		err_set(e, 0, "the configuration could not be printed: no memory");
		on_closed(g, 0, NULL);
		return PROFILE_FAILED;
	}
	*ops = (struct channel_ops){.ctx = g, .data = request_no_data, .end = request_no_end, .closed = on_closed};
	return 0;
}

void
request_get_config_opened(void *ctx, struct channel *ch)
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
