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

struct command {
	const char *name;
	bool pushes; /* changes the configuration: `system central-management` may forbid it */
	int (*begin)(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		     struct err *e);
	void (*opened)(void *ctx, struct channel *ch);
};

static const struct command commands[] = {
    {PROFILE_CMD_GET_CONFIG, false, request_get_config, request_get_config_opened},
    {PROFILE_CMD_PUT_CONFIG, true, request_put_config, request_put_config_opened},
};

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

/* What the administrator lets a manager do (`config system central-management`). */
static int
check_policy(const struct requests *rq, const struct command *c, struct err *e)
{
	const struct entry *cm = tree_entry(device_running(rq->device), "system central-management", "");

	if (!c->pushes)
		return 0;
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

/* The numbers of an opening message. 0 or a reply code. */
static int
take_numbers(const struct message *m, uint32_t *peer_id, uint32_t *window, struct err *e)
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
	if (message_get(m, "deflate")) {
		err_set(e, 0, "compressed streams are not supported");
		return PROFILE_MALFORMED;
	}
	*peer_id = (uint32_t)id;
	*window = (uint32_t)(size > PROFILE_WINDOW_MAX ? PROFILE_WINDOW_MAX : size);
	return 0;
}

/* 0, or the code of the refusal. */
static int
open_exchange(struct requests *rq, struct session *s, const struct message *m, mono_t now, struct err *e)
{
	const struct command *c = find_command(message_str(m, "file_exch_cmd"));
	struct channels *cs = session_channels(s);
	struct channel_ops ops = {0};
	struct channel *ch;
	uint32_t peer_id, window;
	int code;

	if (!c) {
		err_set(e, 0, "unknown file_exch_cmd");
		return PROFILE_UNKNOWN;
	}
	code = take_numbers(m, &peer_id, &window, e);
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

static int
refuse_tcp(struct session *s, const struct message *m, struct err *e)
{
	const char *asked =
	    message_get(m, "cmd") || message_get(m, "terminal") ? "a shell" : "a connection to a local port";

	log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "Manager asked for local access", "serial", session_peer_serial(s),
		  "asked", asked, "action", "refused", NULL);
	err_set(e, 0, "%s is not given", asked);
	return PROFILE_FORBIDDEN;
}

void
request_take(struct requests *rq, struct session *s, const struct message *m, mono_t now)
{
	struct err e = ERR_NONE;
	int code;

	if (!strcmp(m->argument, PROFILE_GET_FILE)) {
		code = open_exchange(rq, s, m, now, &e);
	} else if (!strcmp(m->argument, PROFILE_GET_TCP)) {
		code = refuse_tcp(s, m, &e);
	} else {
		err_set(&e, 0, "unknown request");
		code = PROFILE_UNKNOWN;
	}
	if (!code)
		return;
	log_debug(DBG_SESSION, "[session] get %s refused with %d: %s", m->argument, code, e.text);
	session_reply(s, m->argument, (unsigned)code, e.text);
}
