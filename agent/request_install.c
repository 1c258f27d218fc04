/* What every request has in common that becomes an install: its beginning, and its lines and verdict on the way back,
 * whether it came as two scripts, as one, or as JSON (wire profile, section 6). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/device.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "agent/trial.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/script.h"

int
request_install_refusal(int rc)
{
	switch (rc) {
	case -EBUSY:
	case -EALREADY:
	case -ESTALE:
		return PROFILE_BUSY;
	case -EINVAL:
		return PROFILE_MALFORMED;
	case -EFBIG:
		return PROFILE_TOO_LARGE;
	default:
		return PROFILE_FAILED;
	}
}

int
request_install_begin(struct request_install *w, const struct install_request *r, struct err *e)
{
	struct requests *rq = w->home;
	/* what a shell has committed inside a block it has not ended belongs to the configuration installed upon */
	int rc = device_save_changes(rq->device, "operator", e);

	if (!rc)
		rc = install_begin(rq->install, r, clock_mono(), e);
	loop_task_soon(rq->install_task); /* a refusal may have left it something to tidy up */
	if (!rc) {
		rq->pending = w;
		return 0;
	}
	log_event(EVENT_INSTALL_REFUSED, LOG_LEVEL_WARNING, "Install refused", "install", w->id, "serial", r->manager,
		  "reason", e->text, NULL);
	return rc;
}

int
request_install_trial(struct request_install *w, const struct trial *t, bool force, struct err *e)
{
	struct buf set = BUF_INIT(SCRIPT_MAX_BYTES), unset = BUF_INIT(SCRIPT_MAX_BYTES);
	int rc = trial_scripts(t, &set, &unset, e);

	if (!rc) {
		const struct install_request r = {.id = w->id,
						  .manager = session_peer_serial(w->session),
						  .set = (const char *)buf_head(&set),
						  .set_len = set.len,
						  .unset = (const char *)buf_head(&unset),
						  .unset_len = unset.len,
						  .force = force};

		rc = request_install_begin(w, &r, e);
	}
	buf_free(&set);
	buf_free(&unset);
	return rc;
}

void
request_install_opened(void *ctx, struct channel *ch)
{
	struct request_install *w = ctx;

	w->channel = ch;
}

void
request_install_delivered(struct request_install *w)
{
	struct err e = ERR_NONE;

	if (w->verdict && receipts_delivered(w->home->receipts, w->id, &e))
		log_say(LOG_LEVEL_WARNING, "install %s: its delivery could not be noted: %s", w->id, e.text);
}

void
request_install_closed(struct request_install *w)
{
	struct requests *rq = w->home;

	if (rq->pending == w)
		rq->pending = NULL;
	if (rq->verdict_out == w) {
		rq->verdict_out = NULL;
		rq->results_wanted(rq->ctx); /* whatever was not acknowledged goes another way */
	}
}

void
request_install_line(struct requests *rq, int code, const char *command)
{
	if (!rq->pending)
		return;
	rq->pending->line(rq->pending, code, command);
	channels_pump(session_channels(rq->pending->session));
}

void
request_install_verdict(struct requests *rq, const struct receipt *r)
{
	struct request_install *w = rq->pending;

	rq->pending = NULL;
	if (!w || strcmp(w->id, r->id) != 0)
		return;
	w->verdict = true;
	rq->verdict_out = w;
	w->done(w, r);
	channels_pump(session_channels(w->session));
}

/* --- what opening messages have in common ------------------------------------------------------------------------- */

int
request_take_id(const struct message *m, const char *key, size_t max, const char **out, struct err *e)
{
	const char *s = message_str(m, key);
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	if (!n || n > max || s[n]) {
		err_set(e, 0, "%s= of 1 to %zu characters [A-Za-z0-9._-] expected", key, max);
		return PROFILE_MALFORMED;
	}
	*out = s;
	return 0;
}

int
request_take_flag(const struct message *m, const char *key, bool *out, struct err *e)
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
request_hold(struct requests *rq, struct buf *b, const uint8_t *bytes, size_t n, struct err *e)
{
	int rc;

	if (rq->scripts_held + n > REQUEST_HELD_MAX) {
		err_set(e, 0, "scripts of all exchanges larger than %d bytes together", REQUEST_HELD_MAX);
		return PROFILE_TOO_LARGE;
	}
	rc = buf_put(b, bytes, n);
	if (!rc)
		rq->scripts_held += n;
	if (rc == -EMSGSIZE) {
		err_set(e, 0, "script larger than %zu bytes", b->max);
		return PROFILE_TOO_LARGE;
	}
	if (rc)
		err_set(e, 0, "no memory");
	return rc ? PROFILE_FAILED : 0;
}

void
request_release(struct requests *rq, struct buf *b)
{
	rq->scripts_held -= b->len;
	buf_free(b);
}
