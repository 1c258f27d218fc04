/* `get file_exchange` and what else a manager may ask for: checks, policy, dispatch. */
#include <string.h>

#include "agent/device.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/tree.h"

/* What `system central-management` has to allow. JSON requests that only read are judged by themselves. */
enum needs { NEEDS_NOTHING, NEEDS_PUSH, NEEDS_SCRIPTS };

struct exchange {
	const char *name;
	enum needs needs;
	int (*begin)(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		     struct err *e);
	void (*opened)(void *ctx, struct channel *ch);
};

static const struct exchange exchanges[] = {
    {PROFILE_CMD_GET_CONFIG, NEEDS_NOTHING, request_get_config, request_text_opened},
    {PROFILE_CMD_GET_DIFF, NEEDS_NOTHING, request_get_config_diff, request_text_opened},
    {PROFILE_CMD_PUT_CONFIG, NEEDS_PUSH, request_put_config, request_install_opened},
    {PROFILE_CMD_PUT_SCRIPT, NEEDS_SCRIPTS, request_put_script, request_install_opened},
    {PROFILE_CMD_PUT_JSON, NEEDS_NOTHING, request_put_json, request_install_opened},
};

static const struct exchange *
find_exchange(const char *name)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		if (!strcmp(exchanges[i].name, name))
			return &exchanges[i];
	}
	return NULL;
}

int
request_may_push(const struct requests *rq, struct err *e)
{
	const struct entry *cm = tree_entry(device_running(rq->device), "system central-management", "");

	if (!strcmp(entry_get(cm, "mode"), "backup")) {
		err_set(e, 0, "central management is in backup mode");
		return PROFILE_FORBIDDEN;
	}
	if (!entry_enabled(cm, "allow-push-configuration")) {
		err_set(e, 0, "allow-push-configuration is disabled");
		return PROFILE_FORBIDDEN;
	}
	return 0;
}

static int
check_policy(const struct requests *rq, const struct exchange *c, struct err *e)
{
	const struct entry *cm = tree_entry(device_running(rq->device), "system central-management", "");

	if (c->needs == NEEDS_NOTHING)
		return 0;
	if (c->needs == NEEDS_SCRIPTS && !entry_enabled(cm, "schedule-script-restore")) {
		err_set(e, 0, "schedule-script-restore is disabled");
		return PROFILE_FORBIDDEN;
	}
	return request_may_push(rq, e);
}

int
request_take_numbers(const struct message *m, uint32_t *peer_id, uint32_t *window, struct err *e)
{
	const char *window_text = message_get(m, "chan_window_sz");
	uint64_t id, size = PROFILE_WINDOW;

	if (text_u64(message_str(m, "localid"), UINT32_MAX, &id)) {
		err_set(e, 0, "localid= is not a channel number");
		return PROFILE_MALFORMED;
	}
	if (window_text && (text_u64(window_text, UINT32_MAX, &size) || !size)) {
		err_set(e, 0, "chan_window_sz= is not a window in bytes");
		return PROFILE_MALFORMED;
	}
	*peer_id = (uint32_t)id;
	*window = (uint32_t)(size > PROFILE_WINDOW_MAX ? PROFILE_WINDOW_MAX : size);
	return 0;
}

static int
take_deflate(const struct message *m, bool *gzip, struct err *e)
{
	const char *how = message_get(m, "deflate");

	if (how && strcmp(how, PROFILE_DEFLATE_GZIP) != 0) {
		err_set(e, 0, "deflate= is not " PROFILE_DEFLATE_GZIP);
		return PROFILE_MALFORMED;
	}
	*gzip = how != NULL;
	return 0;
}

/* 0, or the code of the refusal. */
static int
open_exchange(struct requests *rq, struct session *s, const struct message *m, mono_t now, struct err *e)
{
	const struct exchange *c = find_exchange(message_str(m, "file_exch_cmd"));
	struct channels *cs = session_channels(s);
	struct channel_ops ops = {0};
	struct channel *ch;
	uint32_t peer_id, window;
	bool gzip = false;
	int code;

	if (!c) {
		err_set(e, 0, "unknown file_exch_cmd");
		return PROFILE_UNKNOWN;
	}
	code = request_take_numbers(m, &peer_id, &window, e);
	if (!code)
		code = take_deflate(m, &gzip, e);
	if (!code)
		code = check_policy(rq, c, e);
	if (!code && channels_count(cs) == PROFILE_CHANNELS_MAX) {
		err_set(e, 0, "%d channels are open", PROFILE_CHANNELS_MAX);
		code = PROFILE_BUSY;
	}
	if (!code)
		code = c->begin(rq, s, m, &ops, e);
	if (code)
		return code;
	ch = channel_accept(cs, peer_id, window, &ops, now);
	if (!ch) {
		err_set(e, 0, "channel number %u is in use", peer_id);
		ops.closed(ops.ctx, PROFILE_BUSY, e->text);
		return PROFILE_BUSY;
	}
	if (gzip)
		channel_set_gzip(ch);
	session_reply_channel(s, PROFILE_GET_FILE, peer_id, channel_id(ch));
	c->opened(ops.ctx, ch);
	channels_pump(cs);
	return 0;
}

int
request_no_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)p;
	err_set(e, 0, "nothing is expected on this channel, got %zu bytes", n);
	return PROFILE_MALFORMED;
}

int
request_no_end(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

void
request_take(struct requests *rq, struct session *s, const struct message *m, mono_t now)
{
	struct err e = ERR_NONE;
	int code;

	if (!strcmp(m->argument, PROFILE_GET_FILE)) {
		code = open_exchange(rq, s, m, now, &e);
	} else if (!strcmp(m->argument, PROFILE_GET_TCP)) {
		code = request_connect_tcp(rq, s, m, now, &e);
	} else {
		err_set(&e, 0, "unknown request");
		code = PROFILE_UNKNOWN;
	}
	if (!code)
		return;
	log_debug(DBG_SESSION, "[session] get %s refused with %d: %s", m->argument, code, e.text);
	session_reply(s, m->argument, (unsigned)code, e.text);
}
