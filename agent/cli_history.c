#include "agent/cli_history.h"

#include <stdlib.h>

#include "agent/history.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"

static void
show_json(const struct history *h, struct buf *out)
{
	struct cJSON *root = json_new_object(), *all = json_add_array(root, "scripts");
	char *text;

	for (size_t i = history_count(h); i; i--)
		json_add(all, NULL, history_json(history_at(h, i - 1)));
	text = json_pretty(root);
	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_free(root);
}

static void
show_one(const struct history_entry *x, struct buf *out)
{
	char when[32];

	buf_printf(out, "%s  %-20s %-20s %s, %u of %u commands, %u failed\n", text_utc(when, sizeof(when), x->when_s),
		   x->user, x->id, x->result, x->done, x->commands, x->failed);
	if (*x->install)
		buf_printf(out, "    install %s\n", x->install);
	if (*x->reason)
		buf_printf(out, "    %s\n", x->reason);
}

void
cli_history_show(const struct history *h, bool json, struct buf *out)
{
	if (json) {
		show_json(h, out);
		return;
	}
	if (history_count(h))
		buf_str(out, "Ran (UTC)            By                   Script               Result\n");
	else
		buf_str(out, "No manager has pushed a script yet.\n");
	for (size_t i = history_count(h); i; i--)
		show_one(history_at(h, i - 1), out);
}
