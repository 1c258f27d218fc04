/* put_install_result: the agent brings a receipt to the manager (wire profile, section 5): at least once, in each new
 * session until it is acknowledged. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

static void
on_delivered(void *ctx)
{
	struct requests *rq = ctx;
	struct err e = ERR_NONE;

	rq->result_taken = true;
	if (receipts_delivered(rq->receipts, rq->result_id, &e))
		log_say(LOG_LEVEL_WARNING, "install %s: its delivery could not be noted: %s", rq->result_id, e.text);
	log_debug(DBG_CONFIG, "[install] %s: the manager has the receipt", rq->result_id);
}

/* Delivered: the next one may go. Refused or broken off: not again in this session. */
static void
on_closed(void *ctx, int code, const char *reason)
{
	struct requests *rq = ctx;
	struct session *s = rq->result_session;

	(void)code;
	if (!rq->result_taken) {
		log_debug(DBG_CONFIG, "[install] %s: receipt not delivered: %s", rq->result_id, reason);
		return;
	}
	rq->result_session = NULL;
	if (s)
		request_results(rq, s, clock_mono());
}

static int
send_receipt(struct requests *rq, struct session *s, const char *text, mono_t now)
{
	struct channel_ops ops = {
	    .ctx = rq, .data = request_no_data, .end = request_no_end, .delivered = on_delivered, .closed = on_closed};
	const char *const pairs[] = {"install_id", rq->result_id, NULL};
	struct channel *ch = channel_ask(session_channels(s), &ops, now);
	int rc;

	if (!ch)
		return -EAGAIN;
	rc = channel_write(ch, text, strlen(text));
	if (!rc)
		rc = channel_write_end(ch);
	if (!rc)
		rc = session_ask_file(s, channel_id(ch), PROFILE_CMD_INSTALL_RESULT, pairs);
	if (rc)
		channel_close(ch, 0, "could not be sent");
	else
		channel_close_when_delivered(ch, 0, "done");
	return rc;
}

void
request_results(struct requests *rq, struct session *s, mono_t now)
{
	const struct receipt *r = receipts_undelivered(rq->receipts, session_peer_serial(s));
	struct cJSON *j;
	char *text;

	if (!r || rq->result_session || !session_privileged(s))
		return;
	if (rq->verdict_out)
		return; /* it may be just this one; asked again when that exchange has ended */
	j = receipt_json(r);
	text = json_line(j);
	json_free(j);
	if (!text)
		return;
	rq->result_session = s;
	rq->result_taken = false;
	snprintf(rq->result_id, sizeof(rq->result_id), "%s", r->id);
	if (send_receipt(rq, s, text, now))
		log_debug(DBG_ERROR, "[install] %s: the receipt could not be sent in this session", rq->result_id);
	free(text);
}

void
request_session_gone(struct requests *rq, const struct session *s)
{
	if (rq->result_session != s)
		return;
	rq->result_session = NULL;
	rq->results_wanted(rq->ctx); /* the session that has taken its place may have asked in vain */
}
