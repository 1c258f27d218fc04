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
#include "config/script.h"

struct put_config {
	struct request_install way; /* first */
	bool allow_reboot, force;
	bool unset_runs; /* the second stream is being received */
	bool taken;      /* both streams are in */
	struct buf set, unset;
	char refusal[320]; /* lives as long as the channel: its close carries it */
};

/* Both scripts are of no more use here. */
static void
release_scripts(struct put_config *p)
{
	request_release(p->way.home, &p->set);
	request_release(p->way.home, &p->unset);
}

static void
write_text(struct put_config *p, const char *text)
{
	if (p->way.channel && channel_write(p->way.channel, text, strlen(text)))
		log_debug(DBG_ERROR, "[install] %s: a result line could not be queued", p->way.id);
}

/* The last line of the exchange, and the stream's end. The channel closes when the manager has it. */
static void
write_result(struct put_config *p, const char *verdict, const char *reason, int code)
{
	char line[400];

	snprintf(line, sizeof(line), *reason ? "result=%s reason=%s\n" : "result=%s%s\n", verdict, reason);
	write_text(p, line);
	if (!p->way.channel)
		return;
	channel_write_end(p->way.channel);
	channel_close_when_delivered(p->way.channel, code, code ? p->refusal : "done");
}

/* Both scripts are here: accept the install, or refuse it whole. */
static void
begin_install(struct put_config *p)
{
	struct install_request r = {
	    .id = p->way.id,
	    .manager = session_peer_serial(p->way.session),
	    .set = (const char *)buf_head(&p->set),
	    .set_len = p->set.len,
	    .unset = (const char *)buf_head(&p->unset),
	    .unset_len = p->unset.len,
	    .manager_allows_reboot = p->allow_reboot,
	    .force = p->force,
	};
	struct err e = ERR_NONE;
	int rc = request_install_begin(&p->way, &r, &e);

	release_scripts(p);
	if (!rc)
		return;
	snprintf(p->refusal, sizeof(p->refusal), "%s", e.text);
	write_result(p, "refused", e.text, request_install_refusal(rc));
}

static int
on_data(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	struct put_config *p = ctx;
	struct buf *b = p->unset_runs ? &p->unset : &p->set;

	if (p->taken) {
		err_set(e, 0, "nothing is expected after the unset script");
		return PROFILE_MALFORMED;
	}
	return request_hold(p->way.home, b, bytes, n, e);
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

	request_install_delivered(&p->way);
}

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct put_config *p = ctx;

	(void)code;
	if (!p->taken)
		log_debug(DBG_CONFIG, "[install] %s: exchange ended before both scripts were here: %s", p->way.id,
			  reason);
	request_install_closed(&p->way);
	release_scripts(p);
	free(p);
}

/* One command of the set script is done: to the manager, as long as the install's channel is open. */
static void
on_line(struct request_install *w, int code, const char *command)
{
	struct buf line = BUF_INIT(SCRIPT_MAX_BYTES);

	if (!buf_printf(&line, "%d: %s\n", code, command) && w->channel &&
	    channel_write(w->channel, buf_head(&line), line.len))
		log_debug(DBG_ERROR, "[install] %s: a result line could not be queued", w->id);
	buf_free(&line);
}

static void
on_verdict(struct request_install *w, const struct receipt *r)
{
	struct put_config *p = (struct put_config *)w;

	snprintf(p->refusal, sizeof(p->refusal), "%s", r->cause);
	write_result(p, receipt_verdict_name(r->verdict), r->verdict == RECEIPT_COMMITTED ? "" : r->cause, 0);
}

int
request_put_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		   struct err *e)
{
	struct install_status st;
	struct put_config *p;
	bool allow_reboot, force;
	const char *id;

	if (request_take_id(m, "install_id", INSTALL_ID_MAX - 1, &id, e) ||
	    request_take_flag(m, "rollback_allow_reboot", &allow_reboot, e) || request_take_flag(m, "force", &force, e))
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
	*p = (struct put_config){.way = {.home = rq, .session = s, .line = on_line, .done = on_verdict},
				 .allow_reboot = allow_reboot,
				 .force = force};
	p->set = BUF_INIT(SCRIPT_MAX_BYTES);
	p->unset = BUF_INIT(SCRIPT_MAX_BYTES);
	snprintf(p->way.id, sizeof(p->way.id), "%s", id);
	*ops = (struct channel_ops){
	    .ctx = p, .data = on_data, .end = on_end, .delivered = on_delivered, .closed = on_closed};
	return 0;
}
