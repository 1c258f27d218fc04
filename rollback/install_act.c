#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "config/tree.h"
#include "rollback/install_private.h"
#include "rollback/reboots.h"
#include "rollback/store.h"

static void
fail(struct install *in, mono_t now)
{
	install_change(in, ON_FAILED, now, NULL);
}

static void
act_apply(struct install *in, mono_t now)
{
	in->job.in_memory = true;
	if (run_start(in, INSTALL_SET, in->job.set, INSTALL_SYSTEM)) {
		install_because(in, "no memory for the set script");
		fail(in, now);
	}
}

/* Recovery rules: with another manager configured, any trusted one proves the configuration good. */
static bool
changes_manager(const struct install *in)
{
	static const char path[] = "system central-management";

	return !entry_equal(tree_first(in->ops.running(in->ops.ctx), path), tree_first(in->job.saved, path));
}

/* A test of nothing proves nothing: with no manager before and after only the operator can say that it is good. */
static bool
can_prove(const struct install *in, const struct tree *t)
{
	return !in->ops.can_prove || in->ops.can_prove(in->ops.ctx, t);
}

static bool
is_operators(const struct install *in)
{
	return !in->job.head.manager[0];
}

/* What the receipt and the revision say of where it came from. */
static void
describe_source(const struct install *in, char dst[128])
{
	if (is_operators(in))
		snprintf(dst, 128, "install %s on the device", in->job.head.id);
	else
		snprintf(dst, 128, "install %s of %s", in->job.head.id, in->job.head.manager);
}

static void
ask_session(struct install *in, bool retest)
{
	in->job.testing = true;
	in->ops.test_begin(in->ops.ctx, in->job.any_manager ? NULL : in->job.head.manager, retest);
}

/* For whoever reads the log while it hangs. */
static void
tell_test(const struct install *in, mono_t now)
{
	const struct job *job = &in->job;
	long long left_s = mono_left_ms(in->deadline, now) / 1000;

	if (job->unproven)
		log_say(
		    LOG_LEVEL_NOTICE,
		    "install %s: applied; no manager can prove it: `execute fgfm install confirm` within %lld s, or "
		    "it is rolled back",
		    job->head.id, left_s);
	else
		log_say(LOG_LEVEL_NOTICE, "install %s: applied; a fresh session with %s is waited for, at most %lld s",
			job->head.id, job->any_manager ? "any trusted manager" : job->head.manager, left_s);
}

static void
act_test(struct install *in, mono_t now)
{
	if (run_rebuild(in, INSTALL_SYSTEM_AGAIN)) {
		install_because(in, "no memory to rebuild the configuration");
		fail(in, now);
		return;
	}
	in->job.any_manager = is_operators(in) || changes_manager(in);
	in->job.unproven =
	    is_operators(in) && !can_prove(in, in->job.saved) && !can_prove(in, in->ops.running(in->ops.ctx));
	tell_test(in, now);
	ask_session(in, false);
}

/* Back on a configuration under which nobody can be met: there is nothing to wait for, and a reboot would help
 * nobody. */
static void
act_retest(struct install *in, mono_t now)
{
	if (is_operators(in) && !can_prove(in, in->job.saved)) {
		install_because(in, "no session to test it with: no manager is configured");
		install_change(in, ON_DEADLINE, now, NULL);
		return;
	}
	ask_session(in, true);
}

static void
act_commit(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;
	bool renamed = false;
	char who[128];
	int rc = run_rebuild(in, INSTALL_SYSTEM_AGAIN);

	if (rc) {
		install_because(in, "save failed: no memory to rebuild the configuration");
		fail(in, now);
		return;
	}
	describe_source(in, who);
	rc = store_save(in->store, in->ops.running(in->ops.ctx), who, in->ops.wall_s(in->ops.ctx), &renamed, &e);
	if (!renamed) {
		install_because(in, "save failed: %s", e.text);
		fail(in, now);
		return;
	}
	/* the new file is in place: what is left is tried again by install_chores() */
	if (rc)
		log_say(LOG_LEVEL_ERROR, "install %s is saved, but: %s", in->job.head.id, e.text);
	install_change(in, ON_SAVED, now, NULL);
}

static void
act_revert(struct install *in)
{
	log_say(LOG_LEVEL_WARNING, "install %s: rolling back: %s", in->job.head.id, in->job.cause);
	run_stop(in);
	/* without appliers: whatever part the system had taken is taken back by what follows, which is idempotent */
	if (run_rebuild(in, INSTALL_MEMORY))
		install_because(in, "no memory to rebuild the configuration");
	in->job.any_manager = in->job.any_manager || is_operators(in) || changes_manager(in);
	in->job.back = BACK_UNSET;
	in->job.passes = 0;
	if (run_start(in, INSTALL_UNSET, in->job.unset, INSTALL_SYSTEM))
		install_because(in, "no memory for the unset script");
}

static void
act_reboot(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;

	log_event(EVENT_REBOOT, LOG_LEVEL_CRITICAL, "Reboot to the saved configuration", "install", in->job.head.id,
		  "reason", in->job.cause, NULL);
	if (in->ops.reboot(in->ops.ctx, &e)) {
		install_because(in, "reboot failed: %s", e.text);
		fail(in, now);
	}
}

static void
log_verdict(const struct receipt *r)
{
	const char *verdict = receipt_verdict_name(r->verdict);

	if (r->verdict == RECEIPT_COMMITTED)
		log_event(EVENT_INSTALL_COMMITTED, LOG_LEVEL_NOTICE, "Install committed", "install", r->id, "manager",
			  r->manager, "reason", r->cause, NULL);
	else if (r->verdict == RECEIPT_REFUSED)
		log_event(EVENT_INSTALL_REFUSED, LOG_LEVEL_WARNING, "Install refused", "install", r->id, "manager",
			  r->manager, "reason", r->cause, NULL);
	else
		log_event(EVENT_INSTALL_ROLLED_BACK, LOG_LEVEL_WARNING, "Install rolled back", "install", r->id,
			  "manager", r->manager, "result", verdict, "reason", r->cause, NULL);
}

/* The end: first the receipt, then the journal goes. Dying between them leaves a journal whose receipt is there
 * already, which the next start recognises. A receipt that the disk refuses is kept in memory, told to the manager, and
 * tried again by install_chores(). The journal does not stay for it: in IDLE it would stand for a pending install, and
 * a boot with it would call a committed one lost. So a receipt is lost where the disk refuses it until the agent ends.
 */
static void
finish(struct install *in, enum receipt_verdict verdict, mono_t now)
{
	struct receipt *r = &in->job.receipt;
	struct err e = ERR_NONE;

	r->verdict = verdict;
	snprintf(r->cause, sizeof(r->cause), "%s", in->job.cause);
	log_verdict(r);
	if (receipts_add(in->receipts, r, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	journal_close(in->journal);
	in->journal = NULL;
	in->leftover = journal_remove(in->state_dir, &e) != 0;
	if (in->leftover)
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	install_job_clear(in);
	install_chores(in, now);
	in->ops.verdict(in->ops.ctx, receipts_at(in->receipts, receipts_count(in->receipts) - 1));
}

static void
act_committed(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;
	char who[128];

	/* of a save that ended with the agent, the revision may be missing */
	describe_source(in, who);
	if (!store_unfinished(in->store) && store_keep(in->store, who, in->ops.wall_s(in->ops.ctx), &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	finish(in, RECEIPT_COMMITTED, now);
}

void
install_act(struct install *in, enum install_action a, mono_t now)
{
	switch (a) {
	case ACTION_NONE:
		return;
	case ACTION_APPLY:
		act_apply(in, now);
		return;
	case ACTION_TEST:
		act_test(in, now);
		return;
	case ACTION_COMMIT:
		act_commit(in, now);
		return;
	case ACTION_REVERT:
		act_revert(in);
		return;
	case ACTION_RETEST:
		act_retest(in, now);
		return;
	case ACTION_REBOOT:
		act_reboot(in, now);
		return;
	case ACTION_COMMITTED:
		act_committed(in, now);
		return;
	case ACTION_ROLLED_BACK:
		finish(in, RECEIPT_ROLLED_BACK, now);
		return;
	case ACTION_REBOOTED:
		finish(in, RECEIPT_REBOOTED, now);
		return;
	case ACTION_POWER_LOST:
		finish(in, RECEIPT_POWER_LOST, now);
		return;
	case ACTION_REFUSED:
		finish(in, RECEIPT_REFUSED, now);
		return;
	}
}
