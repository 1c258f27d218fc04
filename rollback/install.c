#include "rollback/install.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/dry_run.h"
#include "rollback/install_private.h"
#include "rollback/reboots.h"
#include "rollback/store.h"

void
install_job_clear(struct install *in)
{
	struct job *job = &in->job;

	run_stop(in);
	script_free(job->set);
	script_free(job->unset);
	script_free(job->restore);
	dry_run_free(job->dry);
	tree_free(job->saved);
	receipt_clear(&job->receipt);
	*job = (struct job){.retest_ms = INSTALL_RETEST_MS};
}

int
install_new(const struct install_files *f, struct store *st, struct receipts *rs, struct reboots *rb,
	    const struct install_ops *ops, struct install **out, struct err *e)
{
	struct install *in = calloc(1, sizeof(*in));

	if (!in)
		return err_sys(e, -ENOMEM, "install");
	in->ops = *ops;
	in->store = st;
	in->receipts = rs;
	in->reboots = rb;
	in->deadline = in->chores = MONO_NEVER;
	install_job_clear(in);
	in->state_dir = strdup(f->state_dir);
	if (!in->state_dir) {
		install_free(in);
		return err_sys(e, -ENOMEM, "install");
	}
	if (text_copy(in->boot_id, sizeof(in->boot_id), f->boot_id)) {
		install_free(in);
		return err_set(e, -EINVAL, "boot id: at most %d bytes expected", BOOT_ID_MAX - 1);
	}
	*out = in;
	return 0;
}

void
install_free(struct install *in)
{
	if (!in)
		return;
	install_job_clear(in);
	journal_close(in->journal);
	free(in->state_dir);
	free(in);
}

void
install_because(struct install *in, const char *fmt, ...)
{
	char *cause = in->job.cause;
	size_t used = strlen(cause), size = sizeof(in->job.cause);
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (used && used + 2 < size) {
		memcpy(cause + used, "; ", 3);
		used += 2;
	}
	text_escape(cause + used, size - used, text, strlen(text));
}

static mono_t
deadline_in(const struct install *in, enum install_state s, mono_t now)
{
	switch (s) {
	case INSTALL_APPLYING:
		return mono_in(now, INSTALL_TEST_MS);
	case INSTALL_TESTING:
		return in->deadline; /* counted from the first set command on */
	case INSTALL_RETESTING:
		return mono_in(now, in->job.retest_ms);
	case INSTALL_REBOOTING:
		return mono_in(now, INSTALL_REBOOT_MS);
	default:
		return MONO_NEVER;
	}
}

/* Guide, "FGFM recovery logic": nothing of the install is done before the journal says that it will be. */
static int
write_mark(struct install *in, enum install_state next, mono_t deadline, mono_t now, struct err *e)
{
	const struct job *job = &in->job;
	bool timed = deadline.ms != MONO_NEVER.ms;
	struct journal_mark m = {
	    .state = next,
	    .starts = job->starts,
	    .deadline_ms = timed ? deadline.ms : 0,
	    .left_ms = timed ? mono_left_ms(deadline, now) : 0,
	    .retest_ms = job->retest_ms,
	    .applied = job->applied,
	    .dry = job->receipt.dry.made,
	    .dry_back = job->receipt.dry.back,
	    .dry_commands = job->receipt.dry.commands,
	    .dry_reversible = job->receipt.dry.reversible,
	    .restored = job->receipt.restored,
	};

	memcpy(m.spent_ms, job->receipt.spent_ms, sizeof(m.spent_ms));
	m.spent_ms[in->state] += now.ms - in->entered.ms;
	memcpy(m.cause, job->cause, sizeof(m.cause));
	if (next == INSTALL_IDLE)
		return 0; /* the receipt says it, and the journal goes */
	if (!in->journal)
		return journal_create(in->state_dir, &job->head, &m, &in->journal, e);
	return journal_append(in->journal, &m, e);
}

static void
enter(struct install *in, enum install_state next, mono_t deadline, mono_t now)
{
	struct job *job = &in->job;

	job->receipt.spent_ms[in->state] += now.ms - in->entered.ms;
	if (job->testing) {
		job->testing = false;
		in->ops.test_end(in->ops.ctx);
	}
	in->state = next;
	in->entered = now;
	in->deadline = deadline;
}

/* Starts of the agent are counted from the beginning of testing, and anew from that of reverting. */
static bool
counts_anew(enum install_state now, enum install_state next)
{
	return next == INSTALL_REVERTING && now != INSTALL_REVERTING && now != INSTALL_RETESTING;
}

int
install_change(struct install *in, enum install_event ev, mono_t now, struct err *e)
{
	const struct install_row *row = states_row(in->state, ev);
	const char *from = install_state_name(in->state);
	struct err why = ERR_NONE;
	mono_t deadline;

	if (!row) {
		log_debug(DBG_ERROR | DBG_CONFIG, "install: event '%s' means nothing while %s", states_event_name(ev),
			  from);
		return err_set(e, -EPROTO, "%s is not possible while %s", states_event_name(ev), from);
	}
	if (counts_anew(in->state, row->next))
		in->job.starts = 0;
	deadline = deadline_in(in, row->next, now);
	if (write_mark(in, row->next, deadline, now, &why)) {
		if (in->state == INSTALL_IDLE)
			return err_set(e, why.code, "%s", why.text);
		log_say(LOG_LEVEL_ERROR, "install %s: %s", in->job.head.id, why.text);
		if (states_need_mark(row->next)) {
			install_because(in, "journal: %s", why.text);
			return install_change(in, ON_FAILED, now, e);
		}
	}
	log_debug(DBG_CONFIG, "install %s: %s, %s -> %s", in->job.head.id, states_event_name(ev), from,
		  install_state_name(row->next));
	enter(in, row->next, deadline, now);
	install_act(in, row->action, now);
	return 0;
}

static bool
id_is_good(const char *id)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strnlen(id, INSTALL_ID_MAX);

	return n && n < INSTALL_ID_MAX && strspn(id, allowed) == n;
}

/* What the request says, checked, in the job. */
static int
take_request(struct install *in, const struct install_request *r, struct err *e)
{
	struct job *job = &in->job;
	struct journal_head *h = &job->head;

	if (!id_is_good(r->id))
		return err_set(e, -EINVAL, "install_id: 1 to %d of A-Z a-z 0-9 . _ - expected", INSTALL_ID_MAX - 1);
	if (text_copy(h->manager, sizeof(h->manager), r->manager))
		return err_set(e, -EINVAL, "manager's serial number: at most %zu bytes expected",
			       sizeof(h->manager) - 1);
	if (r->set_len > SCRIPT_MAX_BYTES || r->unset_len > SCRIPT_MAX_BYTES)
		return err_set(e, -EFBIG, "script of %zu bytes, at most %d expected",
			       r->set_len > r->unset_len ? r->set_len : r->unset_len, SCRIPT_MAX_BYTES);
	text_copy(h->id, sizeof(h->id), r->id);
	text_copy(h->saved_digest, sizeof(h->saved_digest), store_digest(in->store));
	text_copy(h->boot_id, sizeof(h->boot_id), in->boot_id);
	h->when_s = in->ops.wall_s(in->ops.ctx);
	h->manager_allows_reboot = r->manager_allows_reboot;
	h->set = r->set;
	h->set_len = r->set_len;
	h->unset = r->unset;
	h->unset_len = r->unset_len;
	return install_scripts(job, h, e);
}

/* The same install again would end the same way: whoever sends it is told how that was. */
static int
check_repeat(const struct install *in, const struct receipt *rc, struct err *e)
{
	const struct receipt *earlier = receipts_rolled_back(in->receipts, rc->set_digest, rc->unset_digest);
	char when[32];

	if (!earlier)
		return 0;
	return err_set(e, -EALREADY, "the same install was rolled back before: %s of %s UTC, %s: %.140s", earlier->id,
		       text_utc(when, sizeof(when), earlier->when_s), receipt_verdict_name(earlier->verdict),
		       earlier->cause);
}

static int
start_receipt(struct install *in, const struct install_request *r, struct err *e)
{
	const struct journal_head *h = &in->job.head;
	struct receipt *rc = &in->job.receipt;

	memcpy(rc->id, h->id, sizeof(rc->id));
	memcpy(rc->manager, h->manager, sizeof(rc->manager));
	rc->when_s = h->when_s;
	if (crypto_sha256_text(r->set, r->set_len, rc->set_digest) ||
	    crypto_sha256_text(r->unset, r->unset_len, rc->unset_digest))
		return err_sys(e, -EIO, "digest of the scripts");
	if (!r->force && check_repeat(in, rc, e))
		return -EALREADY;
	in->job.saved = tree_clone(in->ops.running(in->ops.ctx));
	return in->job.saved ? 0 : err_sys(e, -ENOMEM, "copy of the configuration");
}

int
install_begin(struct install *in, const struct install_request *r, mono_t now, struct err *e)
{
	int rc;

	if (in->state != INSTALL_IDLE)
		return err_set(e, -EBUSY, "install %s is pending (%s)", in->job.head.id, install_state_name(in->state));
	in->entered = now;
	rc = take_request(in, r, e);
	if (!rc)
		rc = start_receipt(in, r, e);
	if (!rc) {
		rc = install_change(in, ON_ACCEPT, now, e);
		/* a journal that failed half-way may be in place already */
		in->leftover = rc && journal_remove(in->state_dir, NULL);
	}
	if (rc) {
		install_job_clear(in);
		install_chores(in, now);
		return rc;
	}
	in->job.head.set = in->job.head.unset = NULL;
	log_event(EVENT_INSTALL_BEGUN, LOG_LEVEL_NOTICE, "Install begun", "install", in->job.head.id, "manager",
		  in->job.head.manager, NULL);
	return 0;
}

bool
install_busy(const struct install *in)
{
	return in->state == INSTALL_JOURNALED || in->state == INSTALL_APPLYING || in->state == INSTALL_REVERTING;
}

static void
end_revert(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;

	if (!tree_equal(in->ops.running(in->ops.ctx), in->job.saved))
		install_because(in, "the configuration in memory could not be restored in full");
	if (in->ops.settle(in->ops.ctx, &e))
		install_because(in, "bringing the system in line: %s", e.text);
	install_change(in, ON_REVERTED, now, NULL);
}

/* The unset script; then what still differs, with the system, again as long as that helps; then what the system
 * refused, in memory alone: the saved file, memory and the next start agree. */
static void
step_revert(struct install *in, mono_t now)
{
	struct job *job = &in->job;

	if (!run_slice(in))
		return;
	if (job->back == BACK_UNSET)
		job->back = BACK_RESTORE;
	if (job->back == BACK_RESTORE) {
		if (run_restore(in, INSTALL_SYSTEM))
			return;
		run_name_refused(in);
		job->back = BACK_MEMORY;
		if (run_restore(in, INSTALL_MEMORY))
			return;
	}
	end_revert(in, now);
}

static void
step_apply(struct install *in, mono_t now)
{
	if (mono_due(in->deadline, now)) {
		install_because(in, "the set script took more than %d s", INSTALL_TEST_MS / 1000);
		install_change(in, ON_DEADLINE, now, NULL);
	} else if (run_slice(in)) {
		in->job.applied = true;
		install_change(in, ON_APPLIED, now, NULL);
	}
}

void
install_step(struct install *in, mono_t now)
{
	if (in->state == INSTALL_JOURNALED && install_dry_slice(in))
		install_change(in, ON_START, now, NULL);
	else if (in->state == INSTALL_APPLYING)
		step_apply(in, now);
	else if (in->state == INSTALL_REVERTING)
		step_revert(in, now);
}

static bool
work_left(const struct install *in)
{
	return in->leftover || store_unfinished(in->store) || receipts_unwritten(in->receipts);
}

void
install_chores(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;

	if (in->leftover && !in->journal && !journal_remove(in->state_dir, &e))
		in->leftover = false;
	if (receipts_unwritten(in->receipts))
		receipts_flush(in->receipts, &e);
	if (store_unfinished(in->store))
		store_finish(in->store, &e);
	if (work_left(in))
		log_debug(DBG_ERROR, "%s", e.text);
	in->chores = work_left(in) ? mono_in(now, INSTALL_CHORES_MS) : MONO_NEVER;
}

mono_t
install_deadline(const struct install *in)
{
	return mono_min(in->deadline, in->chores);
}

/* Everything that must be so before this box is rebooted. */
static int
may_reboot(struct install *in, struct err *e)
{
	struct err why = ERR_NONE;
	char reason[128];

	if (!in->ops.reboot_wanted(in->ops.ctx, in->job.head.manager_allows_reboot))
		return err_set(e, -EPERM, "not allowed");
	if (store_check(in->store, &why))
		return err_set(e, why.code, "the saved configuration cannot be loaded: %.200s", why.text);
	snprintf(reason, sizeof(reason), "install %s: no session after the rollback", in->job.head.id);
	return reboots_note(in->reboots, reason, e);
}

static void
end_test(struct install *in, mono_t now)
{
	const struct job *job = &in->job;

	if (job->unproven)
		install_because(in, "not confirmed on the device within %d s", INSTALL_TEST_MS / 1000);
	else
		install_because(in, "no fresh session with %s within %d s",
				job->any_manager ? "any manager" : job->head.manager, INSTALL_TEST_MS / 1000);
	install_change(in, ON_DEADLINE, now, NULL);
}

static void
end_retest(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;

	install_because(in, "no session within %d s after the rollback", INSTALL_RETEST_MS / 1000);
	if (!may_reboot(in, &e)) {
		install_change(in, ON_REBOOT, now, NULL);
		return;
	}
	install_because(in, "no reboot: %s", e.text);
	install_change(in, ON_DEADLINE, now, NULL);
}

static void
on_deadline(struct install *in, mono_t now)
{
	switch (in->state) {
	case INSTALL_APPLYING:
		step_apply(in, now);
		return;
	case INSTALL_TESTING:
		end_test(in, now);
		return;
	case INSTALL_RETESTING:
		end_retest(in, now);
		return;
	case INSTALL_REBOOTING:
		install_because(in, "reboot failed: still running %d s later", INSTALL_REBOOT_MS / 1000);
		install_change(in, ON_DEADLINE, now, NULL);
		return;
	default:
		return;
	}
}

void
install_tick(struct install *in, mono_t now)
{
	if (mono_due(in->chores, now) || (in->chores.ms == MONO_NEVER.ms && work_left(in)))
		install_chores(in, now);
	if (mono_due(in->deadline, now))
		on_deadline(in, now);
}

void
install_on_session(struct install *in, const char *serial, mono_t now)
{
	if (in->state != INSTALL_TESTING && in->state != INSTALL_RETESTING)
		return;
	if (!in->job.any_manager && strcmp(serial, in->job.head.manager)) {
		log_debug(DBG_CONFIG, "install %s: a session with %s is no proof, %s is waited for", in->job.head.id,
			  serial, in->job.head.manager);
		return;
	}
	install_because(in, "fresh session with %s", serial);
	install_change(in, ON_SESSION, now, NULL);
}

static const char *
phase_of(const struct install *in)
{
	static const char *const names[INSTALL_STATES] = {
	    [INSTALL_IDLE] = "nothing pending",
	    [INSTALL_JOURNALED] = "dry run",
	    [INSTALL_APPLYING] = "set script",
	    [INSTALL_TESTING] = "waiting for a fresh session",
	    [INSTALL_COMMITTING] = "saving",
	    [INSTALL_REVERTING] = "unset script",
	    [INSTALL_RETESTING] = "waiting for a session after the rollback",
	    [INSTALL_REBOOTING] = "waiting for the reboot",
	};

	if (in->state == INSTALL_REVERTING && in->job.back != BACK_UNSET)
		return in->job.back == BACK_RESTORE ? "restoring what differs" : "restoring in memory";
	if (in->state == INSTALL_TESTING && in->job.unproven)
		return "waiting to be confirmed on the device";
	return names[in->state];
}

static int
by_operator(struct install *in, enum install_event ev, const char *what, mono_t now, struct err *e)
{
	if (in->state == INSTALL_IDLE)
		return err_set(e, -ENOENT, "no install is pending");
	if (!states_row(in->state, ev))
		return err_set(e, -ENOENT, "install %s is %s (%s); it can be %s only while testing", in->job.head.id,
			       install_state_name(in->state), phase_of(in), what);
	install_because(in, "%s on the device", what);
	install_change(in, ev, now, NULL);
	return 0;
}

int
install_confirm(struct install *in, mono_t now, struct err *e)
{
	return by_operator(in, ON_CONFIRM, "confirmed", now, e);
}

int
install_revert(struct install *in, mono_t now, struct err *e)
{
	return by_operator(in, ON_REVERT, "reverted", now, e);
}

void
install_status(const struct install *in, mono_t now, struct install_status *out)
{
	const struct job *job = &in->job;

	*out = (struct install_status){.state = in->state, .left_ms = -1, .starts = job->starts};
	memcpy(out->id, job->head.id, sizeof(out->id));
	memcpy(out->manager, job->head.manager, sizeof(out->manager));
	memcpy(out->cause, job->cause, sizeof(out->cause));
	if (in->deadline.ms != MONO_NEVER.ms)
		out->left_ms = mono_left_ms(in->deadline, now);
	out->phase = phase_of(in);
	out->awaits_operator = in->state == INSTALL_TESTING && job->unproven;
	out->dry = job->receipt.dry.made;
	out->dry_commands = job->receipt.dry.commands;
	out->dry_reversible = job->receipt.dry.reversible;
	if (job->dry) {
		out->commands = dry_run_total(job->dry);
		out->done = dry_run_done(job->dry);
	} else if (job->run.script) {
		out->commands = script_count(job->run.script);
		out->done = job->run.next;
	}
	for (size_t i = 0; i < job->receipt.count_used; i++)
		out->failed += job->receipt.counts[i].code ? job->receipt.counts[i].times : 0;
}
