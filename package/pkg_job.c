#include "package/pkg_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "package/cms.h"
#include "package/denylist.h"
#include "package/pkg_job_private.h"
#include "package/pkg_status.h"

/* Written data go to the disk in windows of this size, and at most so much of them is under way. */
enum { WINDOW = 2 * 1024 * 1024, UNDER_WAY = 8 * 1024 * 1024 };

/* --- one object's files ---------------------------------------------------------------------------------------------
 */

/* Or the fsync at the end would stop everything for as long as a large file takes. What fails here fails there again.
 */
static void
write_behind(int fd, uint64_t written, uint64_t *begun)
{
	for (; written - *begun >= WINDOW; *begun += WINDOW) {
		sync_file_range(fd, (off64_t)*begun, WINDOW, SYNC_FILE_RANGE_WRITE);
		if (*begun >= UNDER_WAY)
			sync_file_range(fd, (off64_t)(*begun - UNDER_WAY), WINDOW,
					SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
					    SYNC_FILE_RANGE_WAIT_AFTER);
	}
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Nothing of it is needed any more. */
static void
drop(struct pkg_job *job, struct item *it)
{
	verify_free(it->v);
	it->v = NULL;
	close_fd(&it->object_fd);
	close_fd(&it->payload_fd);
	if (!job->is_package)
		close_fd(&it->source_fd);
}

/* --- what becomes of an object --------------------------------------------------------------------------------------
 */

static void
refuse(struct pkg_job *job, size_t i, enum pkg_refusal refusal, struct err why)
{
	struct pkg_object_result *r = &job->results[i];

	r->outcome = PKG_REFUSED;
	r->refusal = refusal;
	r->why = why;
	pkg_say_refused(job, i);
	drop(job, &job->items[i]);
}

static bool
is_refused(const struct pkg_object_result *r)
{
	return r->outcome == PKG_REFUSED && r->refusal != PKG_REFUSAL_NONE;
}

/* Still on its way to be installed. */
static bool
goes_on(const struct pkg_object_result *r)
{
	return r->outcome == PKG_REFUSED && r->refusal == PKG_REFUSAL_NONE;
}

static void
note_finding(struct pkg_object_result *r, const struct finding *f, const struct pkg_store *store)
{
	const struct pkg_installed *in;

	r->signature = f->signature;
	r->obj_len = f->parts.raw_len;
	r->sig_len = f->parts.sig_len;
	r->version = f->label.version;
	r->kind = f->kind;
	if (!f->kind)
		return;
	snprintf(r->name, sizeof(r->name), "%s", f->kind->name);
	in = pkg_store_current(store, f->kind);
	r->had_before = in && in->health != PKG_BAD;
	if (r->had_before)
		r->before = in->version;
}

/* Everything but the signature. */
static bool
refuse_by_rule(struct pkg_job *job, size_t i, const struct finding *f)
{
	struct err why = ERR_NONE;

	if (!(f->kind->family & job->p.families)) {
		err_set(&why, -EPERM, "it is not what this command installs");
		refuse(job, i, PKG_REFUSAL_FAMILY, why);
		return true;
	}
	if (f->label.os_build > job->p.os_build) {
		err_set(&why, -EPERM, "it is for build %u and later, this is %u", f->label.os_build, job->p.os_build);
		refuse(job, i, PKG_REFUSAL_BUILD, why);
		return true;
	}
	return false;
}

/* By hand the same is installed again, and an older one if somebody says yes. A manager or server that offers an older
 * one may only be behind what was installed by hand: nothing has failed, but it is logged. */
static void
judge_version(struct pkg_job *job, size_t i)
{
	struct pkg_object_result *r = &job->results[i];
	int order = r->had_before ? version_compare(r->version, r->before) : 1;
	char offered[VERSION_TEXT], installed[VERSION_TEXT];
	struct err why = ERR_NONE;

	if (order > 0)
		return;
	if (job->p.way == UPDATE_MANUAL) {
		job->items[i].asks_older = order < 0;
	} else if (order < 0) {
		err_set(&why, -EPERM, "version %s or later expected, %s found", version_text(installed, r->before),
			version_text(offered, r->version));
		refuse(job, i, PKG_REFUSAL_OLDER, why);
		if (job->p.way == UPDATE_AUTOMATIC)
			r->outcome = PKG_NO_UPDATE;
	} else {
		r->outcome = PKG_NO_UPDATE;
		pkg_status_unchanged(job->p.status, r->kind, job->p.now_s);
		drop(job, &job->items[i]);
	}
}

static void
judge_good(struct pkg_job *job, size_t i, const struct finding *f)
{
	enum verdict verdict = verify_decide(f, job->p.way, job->p.level);
	struct err why = ERR_NONE;

	if (verdict == VERDICT_REJECT) {
		err_set(&why, -EPERM, "it has no signature, which level %s and this way of updating ask for",
			level_name(job->p.level));
		refuse(job, i, PKG_REFUSAL_UNSIGNED, why);
		return;
	}
	pkg_say_verified(job, i);
	if (refuse_by_rule(job, i, f))
		return;
	job->items[i].asks_unsigned = verdict == VERDICT_ASK;
	judge_version(job, i);
}

static void
judge(struct pkg_job *job, size_t i, int rc)
{
	const struct finding *f = verify_finding(job->items[i].v);
	bool by_signature = f->failed == VERIFY_RECORD || (f->failed >= VERIFY_CMS && f->failed <= VERIFY_SIGNATURE);

	note_finding(&job->results[i], f, job->p.store);
	if (rc)
		refuse(job, i, PKG_REFUSAL_TROUBLE, f->why);
	else if (f->failed != VERIFY_NONE)
		refuse(job, i, by_signature ? PKG_REFUSAL_SIGNATURE : PKG_REFUSAL_DAMAGED, f->why);
	else
		judge_good(job, i, f);
}

/* --- phases: reading ------------------------------------------------------------------------------------------------
 */

static enum pkg_step
next(struct pkg_job *job, enum phase phase)
{
	job->phase = phase;
	job->at = 0;
	return PKG_MORE;
}

static void
add_item(struct pkg_job *job, int source_fd, const struct container_object *o)
{
	struct pkg_object_result *r = &job->results[job->count];

	job->items[job->count++] = (struct item){.source_fd = source_fd, .o = *o, .object_fd = -1, .payload_fd = -1};
	text_escape(r->name, sizeof(r->name), o->name, strlen(o->name));
	r->data_len = o->len;
}

static enum pkg_step
step_open(struct pkg_job *job)
{
	struct container c;

	if (!job->is_package)
		return next(job, PHASE_VERIFY);
	if (container_read(job->package_fd, &c, &job->result.why))
		return next(job, PHASE_END);
	for (size_t i = 0; i < c.count; i++) {
		if (!c.objects[i].header_intact)
			log_say(LOG_LEVEL_WARNING, "package: the sum of the header of object %zu is wrong", i + 1);
		add_item(job, job->package_fd, &c.objects[i]);
	}
	return next(job, PHASE_VERIFY);
}

static int
begin_item(struct pkg_job *job, struct item *it, struct err *e)
{
	int rc = 0;

	if (!job->is_package) {
		/* its kind is the caller's word, which add_item() has not lost */
		rc = container_bare(it->source_fd, types_called(it->o.name), &it->o, e);
		job->results[job->at].data_len = it->o.len;
	}
	if (!rc)
		rc = pkg_store_new_file(job->p.store, &it->object_fd, e);
	if (!rc)
		rc = verify_new(it->source_fd, &it->o, &job->p.check, it->object_fd, &it->v, e);
	return rc;
}

static enum pkg_step
step_verify(struct pkg_job *job)
{
	struct err e = ERR_NONE;
	struct item *it;
	int rc;

	if (job->at == job->count)
		return next(job, PHASE_ASK_UNSIGNED);
	it = &job->items[job->at];
	if (!it->v) {
		pkg_say_found(job, job->at);
		rc = begin_item(job, it, &e);
		if (rc)
			refuse(job, job->at++, rc == -EBADMSG ? PKG_REFUSAL_DAMAGED : PKG_REFUSAL_TROUBLE, e);
		return PKG_MORE;
	}
	rc = verify_read(it->v);
	write_behind(it->object_fd, verify_progress(it->v), &it->object_begun);
	if (rc <= 0)
		judge(job, job->at++, rc);
	return PKG_MORE;
}

/* --- phases: questions ----------------------------------------------------------------------------------------------
 */

static bool
asks(const struct pkg_job *job, size_t i, enum pkg_ask what)
{
	const struct item *it = &job->items[i];

	return goes_on(&job->results[i]) && (what == PKG_ASK_UNSIGNED ? it->asks_unsigned : it->asks_older);
}

/* Of what the answer is about: names and digests. */
static int
digest_question(struct pkg_job *job, enum pkg_ask what)
{
	struct cms_hash *h = cms_hash_new(CMS_SHA256);
	uint8_t digest[CMS_DIGEST_MAX];
	size_t len = 0;
	int rc = h ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && i < job->count; i++) {
		const struct pkg_object_result *r = &job->results[i];
		const struct finding *f = asks(job, i, what) ? verify_finding(job->items[i].v) : NULL;

		if (f)
			rc = cms_hash_add(h, r->name, strlen(r->name) + 1);
		if (f && !rc)
			rc = cms_hash_add(h, f->digest, f->digest_len);
	}
	if (!rc)
		rc = cms_hash_end(h, digest, &len);
	if (!rc)
		memcpy(job->question.digest, digest, sizeof(job->question.digest));
	cms_hash_free(h);
	return rc;
}

/* Without a yes: no. */
static void
decline(struct pkg_job *job, enum pkg_ask what)
{
	struct err why = ERR_NONE;

	for (size_t i = 0; i < job->count; i++) {
		if (!asks(job, i, what))
			continue;
		err_set(&why, -ECANCELED, "it %s, and nobody said yes to that",
			what == PKG_ASK_UNSIGNED ? "has no signature" : "is older than what is installed");
		refuse(job, i, PKG_REFUSAL_DECLINED, why);
	}
}

static enum pkg_step
ask(struct pkg_job *job, enum pkg_ask what, enum phase after)
{
	bool asked = job->question.text != NULL;
	bool any = false;

	for (size_t i = 0; i < job->count; i++)
		any |= asks(job, i, what);
	if (any && !asked && !digest_question(job, what)) {
		pkg_say_question(job, what);
		job->question.what = what;
		job->question.text = job->question_text;
		return PKG_ASK;
	}
	if (any && !job->answered_yes)
		decline(job, what);
	job->question = (struct pkg_question){0};
	job->answered_yes = false;
	return next(job, after);
}

static enum pkg_step
step_ask_unsigned(struct pkg_job *job)
{
	return ask(job, PKG_ASK_UNSIGNED, PHASE_ASK_OLDER);
}

static enum pkg_step
step_ask_older(struct pkg_job *job)
{
	return ask(job, PKG_ASK_OLDER, PHASE_UNPACK);
}

const struct pkg_question *
pkg_job_question(const struct pkg_job *job)
{
	return job->question.text ? &job->question : NULL;
}

void
pkg_job_answer(struct pkg_job *job, bool yes, const uint8_t digest[32])
{
	job->answered_yes =
	    yes && job->question.text && !memcmp(digest, job->question.digest, sizeof(job->question.digest));
}

/* --- phases: installing ---------------------------------------------------------------------------------------------
 */

/* For reading only, and with a position of its own. */
static int
reopen(int fd, int *out, struct err *e)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	*out = open(self, O_RDONLY | O_CLOEXEC);
	return *out < 0 ? err_sys(e, -errno, "payload") : 0;
}

/* Somebody else runs it; until then it has failed. `in`: what a hook is to load; NULL: a validator. */
static int
want_program(struct pkg_job *job, int payload_fd, const struct pkg_installed *in, struct err *e)
{
	enum pkg_program what = in ? PKG_RELOAD : PKG_VALIDATE;
	const struct pkg_object_result *r = &job->results[job->at];
	int rc = reopen(payload_fd, &job->run_fd, e);

	if (rc)
		return rc;
	job->run = (struct pkg_run){
	    .what = what,
	    .kind = r->kind,
	    .version = in ? in->version : r->version,
	    .is_signed = in ? in->is_signed : r->sig_len > 0,
	    .payload_fd = job->run_fd,
	    .payload_path = in ? in->payload_path : NULL,
	};
	job->ran_rc = -ECANCELED;
	err_set(&job->ran_why, -ECANCELED, "nobody has run its %s", what == PKG_VALIDATE ? "validator" : "reload hook");
	return 0;
}

static void
end_program(struct pkg_job *job)
{
	close_fd(&job->run_fd);
	job->run = (struct pkg_run){0};
}

const struct pkg_run *
pkg_job_run(const struct pkg_job *job)
{
	return job->run.kind ? &job->run : NULL;
}

void
pkg_job_ran(struct pkg_job *job, int rc, const char *why)
{
	if (!job->run.kind)
		return;
	job->ran_rc = rc;
	err_set(&job->ran_why, rc, "its %s %s%s%s", job->run.what == PKG_VALIDATE ? "validator" : "reload hook",
		rc > 0 ? "refused it" : "failed", why ? ": " : "", why ? why : "");
}

/* What this program reads itself has to make sense to it. */
static int
judge_payload(const struct pkg_job *job, size_t i, struct err *e)
{
	const char *name = job->results[i].name;
	bool is_deny = !strcmp(name, FORMAT_DENY_NAME);
	struct denylist *denied = NULL;
	char *text = NULL;
	size_t len;
	int rc;

	if (!is_deny && strcmp(name, FORMAT_CONTRACT_NAME) != 0)
		return 0;
	rc = file_read_fd(job->items[i].payload_fd, name, FORMAT_SMALL_MAX, &text, &len, e);
	if (!rc)
		rc = is_deny ? denylist_parse(text, len, &denied, e) : pkg_status_judge_contract(text, len, e);
	denylist_free(denied);
	free(text);
	return rc;
}

static enum pkg_step
validate(struct pkg_job *job)
{
	struct item *it = &job->items[job->at];
	struct err e = ERR_NONE;

	pkg_say_unpacked(job, job->at);
	if (judge_payload(job, job->at, &e)) {
		refuse(job, job->at++, PKG_REFUSAL_VALIDATOR, e);
		return PKG_MORE;
	}
	if (want_program(job, it->payload_fd, NULL, &e)) {
		refuse(job, job->at++, PKG_REFUSAL_TROUBLE, e);
		return PKG_MORE;
	}
	job->phase = PHASE_VALIDATED;
	return PKG_RUN;
}

static void
decline_rest(struct pkg_job *job)
{
	struct err why = ERR_NONE;

	err_set(&why, -ECANCELED, "the update was broken off");
	for (; job->at < job->count; job->at++) {
		if (goes_on(&job->results[job->at]))
			refuse(job, job->at, PKG_REFUSAL_DECLINED, why);
	}
}

static enum pkg_step
step_unpack(struct pkg_job *job)
{
	struct err e = ERR_NONE;
	struct item *it;
	int rc;

	if (job->stopped)
		decline_rest(job);
	while (job->at < job->count && !goes_on(&job->results[job->at]))
		job->at++;
	if (job->at == job->count)
		return next(job, PHASE_END);
	it = &job->items[job->at];
	if (it->payload_fd < 0 && pkg_store_new_file(job->p.store, &it->payload_fd, &e)) {
		refuse(job, job->at++, PKG_REFUSAL_TROUBLE, e);
		return PKG_MORE;
	}
	rc = verify_unpack_file(it->v, it->payload_fd);
	write_behind(it->payload_fd, verify_unpacked(it->v), &it->payload_begun);
	if (rc > 0)
		return PKG_MORE;
	if (!rc && verify_finding(it->v)->failed == VERIFY_NONE)
		return validate(job);
	e = verify_finding(it->v)->why;
	job->results[job->at].signature = SIGNATURE_BAD;
	refuse(job, job->at++, rc ? PKG_REFUSAL_TROUBLE : PKG_REFUSAL_DAMAGED, e);
	return PKG_MORE;
}

/* Puts everything back as it was, and refuses it. */
static void
take_back(struct pkg_job *job, enum pkg_refusal refusal, struct err why)
{
	struct pkg_placed *p = &job->items[job->at].placed;
	struct err e = ERR_NONE;

	if (p->kind && pkg_store_back(job->p.store, p, &e))
		log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_CRITICAL, "Package object could not be taken back", "object",
			  job->results[job->at].name, "reason", e.text, NULL);
	p->kind = NULL;
	refuse(job, job->at, refusal, why);
}

/* One file at a time: a disk may take its time for each. 1: there was one; 0: both are on disk. */
static int
flush_one(struct item *it, struct err *e)
{
	int fd = it->flushed == 0 ? it->object_fd : it->flushed == 1 ? it->payload_fd : -1;

	if (fd < 0)
		return 0;
	it->flushed++;
	return fsync(fd) ? err_sys(e, -errno, "fsync of an object") : 1;
}

static enum pkg_step
fail_placing(struct pkg_job *job, struct err why)
{
	take_back(job, PKG_REFUSAL_TROUBLE, why);
	job->at++;
	job->phase = PHASE_UNPACK;
	return PKG_MORE;
}

static enum pkg_step
step_place(struct pkg_job *job)
{
	struct item *it = &job->items[job->at];
	const struct pkg_object_result *r = &job->results[job->at];
	struct err e = ERR_NONE;
	int rc = flush_one(it, &e);

	if (rc > 0)
		return PKG_MORE;
	if (!rc)
		rc = pkg_store_put(job->p.store, r->kind, r->version, r->sig_len > 0, it->object_fd, it->payload_fd,
				   &it->placed, &e);
	if (rc)
		return fail_placing(job, e);
	pkg_say_placed(job, job->at, it->placed.name);
	job->phase = PHASE_SWAP;
	return PKG_MORE;
}

static enum pkg_step
step_swap(struct pkg_job *job)
{
	struct item *it = &job->items[job->at];
	struct err e = ERR_NONE;
	int rc = pkg_store_swap(job->p.store, &it->placed, &e);

	if (!rc)
		rc = want_program(job, it->payload_fd, pkg_store_coming(job->p.store), &e);
	if (rc)
		return fail_placing(job, e);
	job->phase = PHASE_RELOADED;
	return PKG_RUN;
}

static enum pkg_step
step_validated(struct pkg_job *job)
{
	end_program(job);
	job->phase = job->ran_rc ? PHASE_UNPACK : PHASE_PLACE;
	if (job->ran_rc)
		refuse(job, job->at++, job->ran_rc > 0 ? PKG_REFUSAL_VALIDATOR : PKG_REFUSAL_TROUBLE, job->ran_why);
	return PKG_MORE;
}

/* What the hook was to load is gone again; it has to load what is there now. */
static enum pkg_step
reload_before(struct pkg_job *job)
{
	const struct pkg_object_result *r = &job->results[job->at];
	const struct pkg_installed *in = pkg_store_current(job->p.store, r->kind);
	struct err e = ERR_NONE;
	int fd = in ? open(in->payload_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1, rc = -ENOENT;

	if (fd >= 0)
		rc = want_program(job, fd, in, &e);
	close_fd(&fd);
	job->phase = PHASE_RELOADED_BEFORE;
	return rc ? PKG_MORE : PKG_RUN;
}

/* The date on which it ends is the contract's; it has been read once already. */
static void
take_contract(struct pkg_job *job, size_t i)
{
	struct err e = ERR_NONE;
	char *text = NULL;
	size_t len;
	int rc = file_read_fd(job->items[i].payload_fd, FORMAT_CONTRACT_NAME, FORMAT_SMALL_MAX, &text, &len, &e);

	if (!rc)
		rc = pkg_status_set_contract(job->p.status, text, len, &e);
	if (rc)
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	free(text);
}

static enum pkg_step
step_reloaded(struct pkg_job *job)
{
	struct pkg_object_result *r = &job->results[job->at];
	struct item *it = &job->items[job->at];

	end_program(job);
	if (job->ran_rc) {
		take_back(job, PKG_REFUSAL_RELOAD, job->ran_why);
		return reload_before(job);
	}
	pkg_store_settle(job->p.store, &it->placed);
	r->outcome = PKG_INSTALLED;
	job->result.changed = true;
	if (!strcmp(r->name, FORMAT_CONTRACT_NAME))
		take_contract(job, job->at);
	pkg_status_installed(job->p.status, r->kind, job->p.way, job->p.now_s);
	pkg_say_installed(job, job->at);
	drop(job, it);
	job->at++;
	job->phase = PHASE_UNPACK;
	return PKG_MORE;
}

static enum pkg_step
step_reloaded_before(struct pkg_job *job)
{
	if (job->run.kind && job->ran_rc)
		log_say(LOG_LEVEL_ERROR, "%s, after going back: %s", job->run.kind->name, job->ran_why.text);
	end_program(job);
	job->at++;
	job->phase = PHASE_UNPACK;
	return PKG_MORE;
}

/* --- phases: the end ------------------------------------------------------------------------------------------------
 */

static void
conclude(struct pkg_job *job)
{
	struct err e = ERR_NONE;
	bool wrote = false;
	int rc;

	job->concluded = true;
	rc = pkg_status_save(job->p.status, &wrote, &e);
	pkg_say_status(wrote, rc ? &e : NULL);
	job->result.code = job->result.why.code ? PKG_CODE_FAILED : 0;
	for (size_t i = 0; i < job->count; i++) {
		if (is_refused(&job->results[i]))
			job->result.code = PKG_CODE_FAILED;
	}
	if (rc && !job->result.why.code)
		job->result.why = e;
	job->result.count = job->count;
	job->result.objects = job->results;
	pkg_say_summary(job);
	pkg_say_end(job);
	pkg_store_unlock(job->p.store);
}

static enum pkg_step
step_end(struct pkg_job *job)
{
	conclude(job);
	job->phase = PHASE_DONE;
	return PKG_DONE;
}

static enum pkg_step
step_done(struct pkg_job *job)
{
	(void)job;
	return PKG_DONE;
}

enum pkg_step
pkg_job_step(struct pkg_job *job)
{
	static enum pkg_step (*const steps[])(struct pkg_job *) = {
	    [PHASE_OPEN] = step_open,
	    [PHASE_VERIFY] = step_verify,
	    [PHASE_ASK_UNSIGNED] = step_ask_unsigned,
	    [PHASE_ASK_OLDER] = step_ask_older,
	    [PHASE_UNPACK] = step_unpack,
	    [PHASE_VALIDATED] = step_validated,
	    [PHASE_PLACE] = step_place,
	    [PHASE_SWAP] = step_swap,
	    [PHASE_RELOADED] = step_reloaded,
	    [PHASE_RELOADED_BEFORE] = step_reloaded_before,
	    [PHASE_END] = step_end,
	    [PHASE_DONE] = step_done,
	};

	return steps[job->phase](job);
}

const struct pkg_result *
pkg_job_result(const struct pkg_job *job)
{
	return job->phase == PHASE_DONE ? &job->result : NULL;
}

/* Each object is read twice. What needs no second time, or not even one, has had both. */
void
pkg_job_progress(const struct pkg_job *job, uint64_t *done, uint64_t *total)
{
	*done = *total = 0;
	for (size_t i = 0; i < job->count; i++) {
		uint64_t both = 2 * (uint64_t)job->results[i].data_len;

		*total += both;
		if (!goes_on(&job->results[i]))
			*done += both;
		else if (job->items[i].v)
			*done += verify_progress(job->items[i].v);
	}
}

/* --- beginning ------------------------------------------------------------------------------------------------------
 */

/* Until it had the lock, another process may have installed something: what is judged by has to be what is there. */
static int
read_store(struct pkg_job *job, struct err *e)
{
	int rc = pkg_store_reread(job->p.store, e);

	if (!rc)
		rc = pkg_status_reread(job->p.status, e);
	if (!rc)
		rc = pkg_store_denylist(job->p.store, &job->denied, e);
	if (!rc && job->denied)
		job->p.check.denied = job->denied;
	return rc;
}

static int
new_job(const struct pkg_job_params *p, struct pkg_job **out, struct err *e)
{
	struct pkg_job *job = calloc(1, sizeof(*job));
	int rc;

	if (!job)
		return err_sys(e, -ENOMEM, "update");
	job->p = *p;
	job->p.check.occasion = ANCHOR_NEW;
	job->package_fd = job->run_fd = -1;
	rc = pkg_store_lock(p->store, e);
	if (!rc) {
		rc = read_store(job, e);
		if (rc)
			pkg_store_unlock(p->store);
	}
	if (rc) {
		free(job);
		return rc;
	}
	*out = job;
	return 0;
}

int
pkg_job_new(const struct pkg_job_params *p, int fd, struct pkg_job **out, struct err *e)
{
	struct pkg_job *job = NULL;
	int rc = new_job(p, &job, e);

	if (rc) {
		close(fd);
		return rc;
	}
	job->is_package = true;
	job->package_fd = fd;
	*out = job;
	return 0;
}

int
pkg_job_new_copies(const struct pkg_job_params *p, const struct pkg_copy *copies, size_t n, struct pkg_job **out,
		   struct err *e)
{
	struct pkg_job *job = NULL;
	int rc = n && n <= FORMAT_OBJECTS_MAX ? new_job(p, &job, e)
					      : err_set(e, -EINVAL, "1 to %d objects expected", FORMAT_OBJECTS_MAX);

	for (size_t i = 0; i < n; i++) {
		struct container_object o = {.bare = true};

		if (rc) {
			close(copies[i].fd);
			continue;
		}
		memcpy(o.type, copies[i].kind->type, sizeof(copies[i].kind->type));
		snprintf(o.name, sizeof(o.name), "%s", copies[i].kind->name);
		add_item(job, copies[i].fd, &o);
	}
	if (!rc)
		*out = job;
	return rc;
}

bool
pkg_job_stop(struct pkg_job *job)
{
	job->stopped = true;
	return job->phase != PHASE_RELOADED && job->phase != PHASE_RELOADED_BEFORE;
}

void
pkg_job_free(struct pkg_job *job)
{
	struct err why = ERR_NONE;

	if (!job)
		return;
	if (job->phase == PHASE_SWAP || job->phase == PHASE_RELOADED) {
		err_set(&why, -ECANCELED, "the update was broken off");
		take_back(job, PKG_REFUSAL_RELOAD, why);
	}
	if (!job->concluded && job->result.changed)
		conclude(job);
	for (size_t i = 0; i < job->count; i++)
		drop(job, &job->items[i]);
	end_program(job);
	close_fd(&job->package_fd);
	if (!job->concluded)
		pkg_store_unlock(job->p.store);
	denylist_free(job->denied);
	free(job);
}

const char *
pkg_refusal_name(enum pkg_refusal r)
{
	static const char *const names[] = {"none",  "damaged", "signature", "unsigned", "declined", "older",
					    "build", "family",  "validator", "reload",   "trouble"};

	return names[r];
}
