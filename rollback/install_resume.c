#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "config/tree.h"
#include "rollback/install_private.h"
#include "rollback/store.h"

/* The wall clock plays no part, and a journal from a clock that ran otherwise can only shorten the time. */
static int64_t
left_of(const struct journal_mark *m, mono_t now)
{
	int64_t left = m->deadline_ms - now.ms;

	if (left > m->left_ms)
		left = m->left_ms;
	return left < 0 ? 0 : left;
}

/* What the receipt can say of an install known from its journal alone. */
static void
describe(struct job *job, const struct journal_head *h)
{
	struct receipt *r = &job->receipt;

	job->head = *h;
	job->head.set = job->head.unset = NULL;
	memcpy(r->id, h->id, sizeof(r->id));
	memcpy(r->manager, h->manager, sizeof(r->manager));
	r->when_s = h->when_s;
	if (h->set)
		crypto_sha256_text(h->set, h->set_len, r->set_digest);
	if (h->unset)
		crypto_sha256_text(h->unset, h->unset_len, r->unset_digest);
}

static void
take_mark(struct install *in, const struct journal_mark *m, mono_t now)
{
	struct job *job = &in->job;

	in->state = m->state;
	in->entered = now;
	in->deadline = m->state == INSTALL_TESTING ? mono_in(now, left_of(m, now)) : MONO_NEVER;
	job->starts = m->starts;
	job->applied = m->applied;
	job->retest_ms = m->state == INSTALL_RETESTING ? left_of(m, now) : m->retest_ms;
	job->receipt.dry.made = m->dry;
	job->receipt.dry.back = m->dry_back;
	job->receipt.dry.commands = m->dry_commands;
	job->receipt.dry.reversible = m->dry_reversible;
	job->receipt.restored = m->restored;
	memcpy(job->receipt.spent_ms, m->spent_ms, sizeof(m->spent_ms));
	memcpy(job->cause, m->cause, sizeof(job->cause));
}

/* The journal is kept aside, the saved configuration is what there is. */
static int
give_up_journal(struct install *in, const char *why, mono_t now)
{
	struct err e = ERR_NONE;
	struct receipt *r = &in->job.receipt;

	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Journal damaged", "install", r->id, "reason", why, NULL);
	snprintf(r->cause, sizeof(r->cause), "journal damaged: %.200s", why);
	r->verdict = RECEIPT_ROLLED_BACK;
	in->leftover = journal_set_aside(in->state_dir, &e) != 0;
	if (in->leftover)
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	if (receipts_add(in->receipts, r, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	journal_close(in->journal);
	in->journal = NULL;
	in->state = INSTALL_IDLE;
	install_job_clear(in);
	install_chores(in, now);
	in->ops.verdict(in->ops.ctx, receipts_at(in->receipts, receipts_count(in->receipts) - 1));
	return 0;
}

/* The agent died after the receipt and before the journal was gone. */
static bool
is_over(const struct install *in)
{
	const struct receipt *r = &in->job.receipt;

	for (size_t i = receipts_count(in->receipts); i-- > 0;) {
		const struct receipt *old = receipts_at(in->receipts, i);

		if (!strcmp(old->id, r->id) && old->when_s == r->when_s && !strcmp(old->set_digest, r->set_digest) &&
		    !strcmp(old->unset_digest, r->unset_digest))
			return true;
	}
	return false;
}

static int
drop_journal(struct install *in, mono_t now)
{
	struct err e = ERR_NONE;

	journal_close(in->journal);
	in->journal = NULL;
	in->state = INSTALL_IDLE;
	in->leftover = journal_remove(in->state_dir, &e) != 0;
	if (in->leftover)
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	install_job_clear(in);
	install_chores(in, now);
	return 0;
}

/* The start rules. Only committing replaces the saved file: a file that changed in another state was changed by
 * somebody else, or lost, and no test can be gone on with beside it. */
static enum install_event
what_happened(struct install *in)
{
	struct job *job = &in->job;
	bool same_file = !strcmp(job->head.saved_digest, store_digest(in->store));
	bool counted = in->state == INSTALL_TESTING || in->state == INSTALL_COMMITTING ||
		       in->state == INSTALL_REVERTING || in->state == INSTALL_RETESTING;

	if (in->state == INSTALL_COMMITTING && !same_file) {
		install_because(in, "it had been saved when the agent ended");
		return ON_FOUND_SAVED;
	}
	if (strcmp(job->head.boot_id, in->boot_id)) {
		if (in->state != INSTALL_REBOOTING)
			install_because(in, "the machine restarted while %s", install_state_name(in->state));
		return ON_OTHER_BOOT;
	}
	if (counted && job->starts >= INSTALL_STARTS_MAX) {
		install_because(
		    in, "the agent was started %u times while %s%s", job->starts + 1, install_state_name(in->state),
		    in->state == INSTALL_REVERTING ? ", what is left of the install stays in the system" : "");
		return ON_UNFIT;
	}
	if (in->state == INSTALL_TESTING && !same_file) {
		install_because(in, "the saved configuration was changed or lost meanwhile");
		return ON_UNFIT;
	}
	if (in->state == INSTALL_JOURNALED)
		install_because(in, "the agent ended before the first command");
	if (in->state == INSTALL_APPLYING)
		install_because(in, "agent died while applying");
	if (in->state == INSTALL_REBOOTING)
		install_because(in, "reboot failed: the agent was started again in the same boot");
	return ON_RESTARTED;
}

/* Sets the job up from the journal. */
static int
prepare(struct install *in, struct err *e)
{
	struct job *job = &in->job;
	int rc = install_scripts(job, journal_head(in->journal), e);

	if (rc)
		return rc;
	job->saved = tree_clone(in->ops.running(in->ops.ctx));
	return job->saved ? 0 : err_sys(e, -ENOMEM, "the saved configuration");
}

int
install_resume(struct install *in, mono_t now, bool *applied, struct err *e)
{
	struct err why = ERR_NONE;
	enum install_event ev;
	int rc;

	*applied = false;
	rc = journal_load(in->state_dir, &in->journal, &why);
	if (rc) {
		in->journal = NULL;
		install_chores(in, now);
		return rc == -ENOENT ? 0 : err_set(e, rc, "%s", why.text);
	}
	describe(&in->job, journal_head(in->journal));
	if (journal_damage(in->journal))
		return give_up_journal(in, journal_damage(in->journal), now);
	if (is_over(in))
		return drop_journal(in, now);
	rc = prepare(in, &why);
	if (rc == -EINVAL)
		return give_up_journal(in, why.text, now);
	if (rc) {
		install_job_clear(in);
		journal_close(in->journal);
		in->journal = NULL;
		return err_set(e, rc, "%s", why.text);
	}
	take_mark(in, journal_last(in->journal), now);
	ev = what_happened(in);
	in->job.starts++;
	install_change(in, ev, now, NULL);
	*applied = in->state == INSTALL_REVERTING;
	return 0;
}
