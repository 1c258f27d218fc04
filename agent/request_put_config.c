/* put_config: a configuration install (wire profile, sections 5 and 6): the set script, then the unset script; back go
 * "CODE: COMMAND" lines and a line result=…. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/script.h"

enum { SCRIPTS_HELD_MAX = 2 * SCRIPT_MAX_BYTES };

struct put_config {
	struct requests *home;
	struct session *session;
	struct channel *channel;
	char id[INSTALL_ID_MAX];
	bool allow_reboot, force;
	bool unset_runs; /* the second stream is being received */
	bool taken;      /* both streams are in */
	bool told;       /* the result line is written */
	bool verdict;    /* … and it is the verdict of an accepted install */
	struct buf set, unset;
	char refusal[320]; /* lives as long as the channel: its close carries it */
};

/* Both scripts are of no more use here. */
static void
release_scripts(struct put_config *p)
{
	p->home->scripts_held -= p->set.len + p->unset.len;
	buf_free(&p->set);
	buf_free(&p->unset);
}

static void
write_text(struct put_config *p, const char *text)
{
	if (p->channel && channel_write(p->channel, text, strlen(text)))
		log_debug(DBG_ERROR, "[install] %s: a result line could not be queued", p->id);
}

/* The last line of the exchange, and the stream's end. The channel closes when the manager has it. */
static void
write_result(struct put_config *p, const char *verdict, const char *reason, int code)
{
	char line[400];

	snprintf(line, sizeof(line), *reason ? "result=%s reason=%s\n" : "result=%s%s\n", verdict, reason);
	write_text(p, line);
	if (p->channel)
		channel_write_end(p->channel);
	p->told = true;
	if (p->channel)
		channel_close_when_delivered(p->channel, code, code ? p->refusal : "done");
}

static int
refusal_code(int rc)
{
	switch (rc) {
	case -EBUSY:
	case -EALREADY:
		return PROFILE_BUSY;
	case -EINVAL:
		return PROFILE_MALFORMED;
	case -EFBIG:
		return PROFILE_TOO_LARGE;
	default:
		return PROFILE_FAILED;
	}
}

/* Both scripts are here: accept the install, or refuse it whole. */
static void
begin_install(struct put_config *p)
{
	struct install_request r = {
	    .id = p->id,
	    .manager = session_peer_serial(p->session),
	    .set = (const char *)buf_head(&p->set),
	    .set_len = p->set.len,
	    .unset = (const char *)buf_head(&p->unset),
	    .unset_len = p->unset.len,
	    .manager_allows_reboot = p->allow_reboot,
	    .force = p->force,
	};
	struct err e = ERR_NONE;
	int rc;

	/* what a shell has committed inside a block it has not ended belongs to the configuration installed upon */
	rc = device_save_changes(p->home->device, "operator", &e);
	if (!rc)
		rc = install_begin(p->home->install, &r, clock_mono(), &e);
	release_scripts(p);
	if (!rc) {
		p->home->put_config = p;
		loop_task_soon(p->home->install_task);
		return;
	}
	loop_task_soon(p->home->install_task); /* a refusal may have left it something to tidy up */
	log_event(EVENT_INSTALL_REFUSED, LOG_LEVEL_WARNING, "Install refused", "install", p->id, "serial", r.manager,
		  "reason", e.text, NULL);
	snprintf(p->refusal, sizeof(p->refusal), "%s", e.text);
	write_result(p, "refused", e.text, refusal_code(rc));
}

static int
on_data(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	struct put_config *p = ctx;
	struct buf *b = p->unset_runs ? &p->unset : &p->set;
	int rc;

	if (p->taken) {
		err_set(e, 0, "nothing is expected after the unset script");
		return PROFILE_MALFORMED;
	}
	if (p->home->scripts_held + n > SCRIPTS_HELD_MAX) {
		err_set(e, 0, "scripts of all exchanges larger than %d bytes together", SCRIPTS_HELD_MAX);
		return PROFILE_TOO_LARGE;
	}
	rc = buf_put(b, bytes, n);
	if (!rc)
		p->home->scripts_held += n;
	if (rc == -EMSGSIZE) {
		err_set(e, 0, "script larger than %d bytes", SCRIPT_MAX_BYTES);
		return PROFILE_TOO_LARGE;
	}
	if (rc)
		err_set(e, 0, "no memory");
	return rc ? PROFILE_FAILED : 0;
}

static int
on_end(void *ctx, struct err *e)
{
	struct put_config *p = ctx;

	if (p->taken) {
		err_set(e, 0, "nothing is expected after the unset script");
		return PROFILE_MALFORMED;
	}
	if (!p->unset_runs) {
		p->unset_runs = true;
		return 0;
	}
	p->taken = true;
	begin_install(p);
	return 0;
}

static void
on_delivered(void *ctx)
{
	struct put_config *p = ctx;
	struct err e = ERR_NONE;

	if (p->verdict && receipts_delivered(p->home->receipts, p->id, &e))
		log_say(LOG_LEVEL_WARNING, "install %s: its delivery could not be noted: %s", p->id, e.text);
}

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct put_config *p = ctx;

	(void)code;
	if (!p->taken)
		log_debug(DBG_CONFIG, "[install] %s: exchange ended before both scripts were here: %s", p->id, reason);
	if (p->home->put_config == p)
		p->home->put_config = NULL;
	if (p->home->verdict_out == p) {
		p->home->verdict_out = NULL;
		p->home->results_wanted(p->home->ctx); /* whatever was not acknowledged goes another way */
	}
	release_scripts(p);
	free(p);
}

static bool
is_install_id(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n < INSTALL_ID_MAX && !s[n];
}

static int
take_flag(const struct message *m, const char *key, bool *out, struct err *e)
{
	const char *v = message_str(m, key);

	if (*v && strcmp(v, "0") != 0 && strcmp(v, "1") != 0) {
		err_set(e, 0, "%s= is neither 0 nor 1", key);
		return PROFILE_MALFORMED;
	}
	*out = !strcmp(v, "1");
	return 0;
}

int
request_put_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		   struct err *e)
{
	const char *id = message_str(m, "install_id");
	struct install_status st;
	struct put_config *p;
	bool allow_reboot, force;

	if (!is_install_id(id)) {
		err_set(e, 0, "install_id= of 1 to %d characters [A-Za-z0-9._-] expected", INSTALL_ID_MAX - 1);
		return PROFILE_MALFORMED;
	}
	if (take_flag(m, "rollback_allow_reboot", &allow_reboot, e) || take_flag(m, "force", &force, e))
		return PROFILE_MALFORMED;
	install_status(rq->install, clock_mono(), &st);
	if (st.state != INSTALL_IDLE) {
		err_set(e, 0, "install %s is pending", st.id);
		return PROFILE_BUSY;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		err_set(e, 0, "no memory");
		return PROFILE_FAILED;
	}
	*p = (struct put_config){.home = rq, .session = s, .allow_reboot = allow_reboot, .force = force};
	p->set = BUF_INIT(SCRIPT_MAX_BYTES);
	p->unset = BUF_INIT(SCRIPT_MAX_BYTES);
	snprintf(p->id, sizeof(p->id), "%s", id);
	*ops = (struct channel_ops){
	    .ctx = p, .data = on_data, .end = on_end, .delivered = on_delivered, .closed = on_closed};
	return 0;
}

void
request_put_config_opened(void *ctx, struct channel *ch)
{
	struct put_config *p = ctx;

	p->channel = ch;
}

void
request_put_config_line(struct requests *rq, int code, const char *command)
{
	struct buf line = BUF_INIT(SCRIPT_MAX_BYTES);

	if (!rq->put_config)
		return;
	if (!buf_printf(&line, "%d: %s\n", code, command) && rq->put_config->channel &&
	    channel_write(rq->put_config->channel, buf_head(&line), line.len))
		log_debug(DBG_ERROR, "[install] %s: a result line could not be queued", rq->put_config->id);
	buf_free(&line);
	channels_pump(session_channels(rq->put_config->session));
}

void
request_put_config_verdict(struct requests *rq, const struct receipt *r)
{
	struct put_config *p = rq->put_config;

	rq->put_config = NULL;
	if (!p || strcmp(p->id, r->id) != 0)
		return;
	p->verdict = true;
	rq->verdict_out = p;
	snprintf(p->refusal, sizeof(p->refusal), "%s", r->cause);
	write_result(p, receipt_verdict_name(r->verdict), r->verdict == RECEIPT_COMMITTED ? "" : r->cause, 0);
	channels_pump(session_channels(p->session));
}
