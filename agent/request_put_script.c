/* put_script: a CLI script of the manager's; its output goes back line by line as it appears (wire profile, section 5).
 *
 * It runs on a copy of the configuration, some commands a turn. When it has changed that, the difference is installed
 * with the journal, the test and the rollback of any install, and the verdict ends the output. When the channel is gone
 * before, the script stops, and nothing has happened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/history.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "agent/trial.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/codes.h"
#include "config/script.h"

enum {
	STEP = 64,                 /* commands in a turn */
	OUTPUT_WAITS = 256 * 1024, /* bytes the manager has not taken: the script waits, too */
	OUTPUT_MAX = 64 * 1024 * 1024,
};

struct put_script {
	struct request_install way; /* first */
	char id[PROFILE_SCRIPT_ID_MAX + 1];
	bool force, taken, told;
	struct buf text;
	struct script *script;
	struct trial *trial;
	struct loop_task *task;
	size_t at;
	unsigned failed;
	char refusal[320]; /* lives as long as the channel: its close carries it */
};

static void
note(struct put_script *p, const char *result, const char *reason)
{
	struct history_entry x = {.when_s = clock_wall().s,
				  .commands = p->script ? (unsigned)script_count(p->script) : 0,
				  .done = (unsigned)p->at,
				  .failed = p->failed};
	struct err e = ERR_NONE;

	snprintf(x.user, sizeof(x.user), "%s", session_peer_serial(p->way.session));
	snprintf(x.id, sizeof(x.id), "%s", p->id);
	if (!strcmp(result, "pending"))
		snprintf(x.install, sizeof(x.install), "%s", p->way.id);
	snprintf(x.result, sizeof(x.result), "%s", result);
	snprintf(x.reason, sizeof(x.reason), "%s", reason);
	if (history_add(p->way.home->history, &x, &e))
		log_say(LOG_LEVEL_WARNING, "%s", e.text);
	p->told = true;
}

/* The script runs no more; its output may still be on its way. */
static void
release(struct put_script *p)
{
	if (p->task)
		p->way.home->script_runs = false;
	loop_task_free(p->task);
	p->task = NULL;
	trial_free(p->trial);
	p->trial = NULL;
	script_free(p->script);
	p->script = NULL;
	request_release(p->way.home, &p->text);
}

static void
write_line(struct put_script *p, const char *text)
{
	if (channel_write(p->way.channel, text, strlen(text)))
		log_debug(DBG_ERROR, "[script] %s: output could not be queued", p->id);
}

/* The last line, and the end of the stream. The channel closes when the manager has it. */
static void
end_output(struct put_script *p, const char *result, const char *reason, int code)
{
	char line[400];

	snprintf(p->refusal, sizeof(p->refusal), "%s", reason);
	snprintf(line, sizeof(line), *reason ? "result=%s reason=%s\n" : "result=%s%s\n", result, reason);
	write_line(p, line);
	channel_write_end(p->way.channel);
	channel_close_when_delivered(p->way.channel, code, code ? p->refusal : "done");
}

static void
refuse(struct put_script *p, const char *reason, int code)
{
	note(p, "refused", reason);
	end_output(p, "refused", reason, code);
	release(p);
}

/* All commands have run. */
static void
finish(struct put_script *p)
{
	struct err e = ERR_NONE;
	int rc;

	trial_reset(p->trial);
	if (!trial_changed(p->trial)) {
		note(p, "done", "");
		end_output(p, "done", "", 0);
		release(p);
		return;
	}
	rc = request_install_trial(&p->way, p->trial, p->force, &e);
	if (rc) {
		refuse(p, e.text, request_install_refusal(rc));
		return;
	}
	log_say(LOG_LEVEL_NOTICE, "script %s of manager %s is installed as %s", p->id,
		session_peer_serial(p->way.session), p->way.id);
	note(p, "pending", "");
	release(p);
}

static void
run_command(struct put_script *p, const struct command *c)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct err e = ERR_NONE;
	int code = trial_run(p->trial, c, &out, &e);

	if (code) {
		p->failed++;
		buf_printf(&out, "%s\nCommand fail. Return code %d\n", e.text, code);
	}
	if (out.len && channel_write(p->way.channel, buf_head(&out), out.len))
		log_debug(DBG_ERROR, "[script] %s: output could not be queued", p->id);
	buf_free(&out);
}

static void
on_task(void *ctx)
{
	struct put_script *p = ctx;
	struct channels *cs = session_channels(p->way.session);
	size_t count = script_count(p->script);

	for (int i = 0; i < STEP && p->at < count && channel_unacked(p->way.channel) < OUTPUT_WAITS; i++)
		run_command(p, script_at(p->script, p->at++));
	if (p->at == count)
		finish(p);
	else if (channel_unacked(p->way.channel) < OUTPUT_WAITS)
		loop_task_soon(p->task);
	channels_pump(cs);
}

/* The manager has taken output: the script may go on. */
static void
on_acked(void *ctx)
{
	struct put_script *p = ctx;

	if (p->task)
		loop_task_soon(p->task);
}

static int
begin(struct put_script *p, struct err *e)
{
	struct requests *rq = p->way.home;

	if (script_parse("script", (const char *)buf_head(&p->text), p->text.len, &p->script, e)) {
		refuse(p, e->text, PROFILE_MALFORMED);
		return 0;
	}
	request_release(rq, &p->text);
	if (rq->script_runs) {
		refuse(p, "another script runs", PROFILE_BUSY);
		return 0;
	}
	p->trial = trial_new(rq->device, rq->install);
	p->task = p->trial ? loop_task_new(rq->loop, on_task, p) : NULL;
	if (!p->task) {
		err_set(e, 0, "no memory");
		return PROFILE_FAILED;
	}
	rq->script_runs = true;
	loop_task_soon(p->task);
	return 0;
}

static int
on_data(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	struct put_script *p = ctx;

	if (!p->taken)
		return request_hold(p->way.home, &p->text, bytes, n, e);
	err_set(e, 0, "nothing is expected after the script");
	return PROFILE_MALFORMED;
}

static int
on_end(void *ctx, struct err *e)
{
	struct put_script *p = ctx;

	if (p->taken) {
		err_set(e, 0, "nothing is expected after the script");
		return PROFILE_MALFORMED;
	}
	p->taken = true;
	return begin(p, e);
}

static void
on_delivered(void *ctx)
{
	struct put_script *p = ctx;

	request_install_delivered(&p->way);
}

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct put_script *p = ctx;

	(void)code;
	if (p->taken && !p->told)
		note(p, "stopped", reason);
	request_install_closed(&p->way);
	release(p);
	free(p);
}

/* What the system refused of it; what went well is no news. */
static void
on_line(struct request_install *w, int code, const char *command)
{
	struct buf line = BUF_INIT(SCRIPT_MAX_BYTES);

	if (code && !buf_printf(&line, "%d: %s\n", code, command) &&
	    channel_write(w->channel, buf_head(&line), line.len))
		log_debug(DBG_ERROR, "[install] %s: a result line could not be queued", w->id);
	buf_free(&line);
}

static void
on_verdict(struct request_install *w, const struct receipt *r)
{
	end_output((struct put_script *)w, receipt_verdict_name(r->verdict),
		   r->verdict == RECEIPT_COMMITTED ? "" : r->cause, 0);
}

int
request_put_script(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		   struct err *e)
{
	struct put_script *p;
	const char *id;
	bool force;

	if (request_take_id(m, "script_id", PROFILE_SCRIPT_ID_MAX, &id, e) || request_take_flag(m, "force", &force, e))
		return PROFILE_MALFORMED;
	p = calloc(1, sizeof(*p));
	if (!p) {
		err_set(e, 0, "no memory");
		return PROFILE_FAILED;
	}
	*p =
	    (struct put_script){.way = {.home = rq, .session = s, .line = on_line, .done = on_verdict}, .force = force};
	p->text = BUF_INIT(SCRIPT_MAX_BYTES);
	snprintf(p->id, sizeof(p->id), "%s", id);
	snprintf(p->way.id, sizeof(p->way.id), "script-%s", id);
	*ops = (struct channel_ops){.ctx = p,
				    .data = on_data,
				    .end = on_end,
				    .acked = on_acked,
				    .delivered = on_delivered,
				    .closed = on_closed};
	return 0;
}
