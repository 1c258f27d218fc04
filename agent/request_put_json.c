/* put_json_cmd: one JSON-RPC request, one reply (wire profile, section 5). What it changes is changed on a copy first
 * and then installed, with the journal, the test and the rollback of any install; the reply comes with the verdict. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/json_rpc.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "agent/trial.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

enum { PIECE = 16 * 1024 };

struct put_json {
	struct request_install way; /* first */
	struct buf text;
	bool taken;
	struct trial *trial;
	struct cJSON *reply;
	struct cJSON *failed; /* in the reply; NULL: none */
};

/* The reply, and the end of it. 0, or the reply code of what it is too large for. */
static int
answer(struct put_json *p, struct err *e)
{
	char *line = json_line(p->reply);
	size_t left = line ? strlen(line) : 0;
	int rc = line ? 0 : -ENOMEM;

	for (const char *at = line; left && !rc;) {
		size_t n = left < PIECE ? left : PIECE;

		rc = channel_write(p->way.channel, at, n);
		at += n;
		left -= n;
	}
	free(line);
	if (!rc)
		rc = channel_write_end(p->way.channel);
	if (rc) {
		err_set(e, 0, rc == -EMSGSIZE ? "the reply is too large" : "no memory");
		return rc == -EMSGSIZE ? PROFILE_TOO_LARGE : PROFILE_FAILED;
	}
	channel_close_when_delivered(p->way.channel, 0, "done");
	return 0;
}

/* What came of the install. Anything but a commit is the failure of the whole request. */
static void
add_install(struct put_json *p, const char *verdict, int code, const char *cause)
{
	struct cJSON *j = json_add_object(p->reply, "install");

	json_add_str(j, "id", p->way.id);
	json_add_str(j, "result", verdict);
	if (!code)
		return;
	j = json_add_object(p->reply, "error");
	json_add_int(j, "code", code);
	json_add_str(j, "message", cause);
}

/* --- what a request may do ---------------------------------------------------------------------------------------- */

static const struct tree *
op_tree(void *ctx)
{
	struct put_json *p = ctx;

	return p->trial ? trial_tree(p->trial) : device_running(p->way.home->device);
}

static int
op_may_write(void *ctx, struct err *e)
{
	struct put_json *p = ctx;
	int code = request_may_push(p->way.home, e);

	if (code)
		return code;
	if (!p->trial)
		p->trial = trial_new(p->way.home->device, p->way.home->install);
	if (p->trial)
		return 0;
	err_set(e, 0, "no memory");
	return PROFILE_FAILED;
}

static int
op_run(void *ctx, const struct command *c, struct err *e)
{
	struct put_json *p = ctx;

	return trial_run(p->trial, c, NULL, e);
}

static void
op_reset(void *ctx)
{
	struct put_json *p = ctx;

	if (p->trial)
		trial_reset(p->trial);
}

static int
op_show(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	struct put_json *p = ctx;

	return device_other(p->way.home->device, argc, argv, out, e);
}

/* --- the exchange ------------------------------------------------------------------------------------------------- */

/* True when the reply has to wait for the verdict. */
static bool
begin_install(struct put_json *p)
{
	struct err e = ERR_NONE;
	int rc;

	if (!trial_changed(p->trial))
		return false;
	snprintf(p->way.id, sizeof(p->way.id), "json-%" PRId64 "-%u", clock_wall().s, ++p->way.home->json_count);
	rc = request_install_trial(&p->way, p->trial, true, &e);
	if (rc)
		add_install(p, "refused", request_install_refusal(rc), e.text);
	return !rc;
}

static int
on_end(void *ctx, struct err *e)
{
	struct put_json *p = ctx;
	const struct json_rpc_ops ops = {
	    .ctx = p, .tree = op_tree, .may_write = op_may_write, .run = op_run, .reset = op_reset, .show = op_show};
	bool writes;

	if (p->taken) {
		err_set(e, 0, "nothing is expected after the request");
		return PROFILE_MALFORMED;
	}
	p->taken = true;
	p->reply = json_rpc_run(&ops, (const char *)buf_head(&p->text), p->text.len, &writes);
	request_release(p->way.home, &p->text);
	if (writes && begin_install(p))
		return 0;
	return answer(p, e);
}

static int
on_data(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	struct put_json *p = ctx;

	if (!p->taken)
		return request_hold(p->way.home, &p->text, bytes, n, e);
	err_set(e, 0, "nothing is expected after the request");
	return PROFILE_MALFORMED;
}

static void
on_delivered(void *ctx)
{
	struct put_json *p = ctx;

	request_install_delivered(&p->way);
}

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct put_json *p = ctx;

	(void)code;
	(void)reason;
	request_install_closed(&p->way);
	request_release(p->way.home, &p->text);
	trial_free(p->trial);
	json_free(p->reply);
	free(p);
}

/* A command that the system refused does not stop an install; the reply names it. */
static void
on_line(struct request_install *w, int code, const char *command)
{
	struct put_json *p = (struct put_json *)w;
	struct cJSON *one;

	if (!code)
		return;
	one = json_new_object();
	json_add_int(one, "code", code);
	json_add_str(one, "command", command);
	if (!p->failed)
		p->failed = json_add_array(p->reply, "failed");
	json_add(p->failed, NULL, one);
}

static void
on_verdict(struct request_install *w, const struct receipt *r)
{
	struct put_json *p = (struct put_json *)w;
	struct err e = ERR_NONE;

	add_install(p, receipt_verdict_name(r->verdict), r->verdict == RECEIPT_COMMITTED ? 0 : PROFILE_FAILED,
		    r->cause);
	if (answer(p, &e))
		log_debug(DBG_ERROR, "[install] %s: %s", w->id, e.text);
}

int
request_put_json(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		 struct err *e)
{
	struct put_json *p = calloc(1, sizeof(*p));

	(void)m;
	if (!p) {
		err_set(e, 0, "no memory");
		return PROFILE_FAILED;
	}
	p->way = (struct request_install){.home = rq, .session = s, .line = on_line, .done = on_verdict};
	p->text = BUF_INIT(PROFILE_JSON_MAX);
	*ops = (struct channel_ops){
	    .ctx = p, .data = on_data, .end = on_end, .delivered = on_delivered, .closed = on_closed};
	return 0;
}
