/* Packages in the agent: what is installed, what an operator orders, and updates on schedule or on a manager's word. */
#include "agent/agent_packages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/agent_packages_private.h"
#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/profile.h"
#include "agent/settings.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/tree.h"
#include "package/format.h"
#include "package/pkg_check.h"
#include "package/pkg_job.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/types.h"

enum {
	ANSWER_MS = 2 * 60 * 1000, /* then it is no */
	CHECK_MS = 10 * 1000,      /* after the start; dialling comes first */
	REOPEN_MS = 60 * 1000,
	PATH_SIZE = 512,
	TEXT = 1024,
	QUESTION = 5 * 1024,
};

#define UI "fgfmctl"

/* --- what is installed -------------------------------------------------------------------------------------------- */

static void
note_version(const struct agent_packages *p, const char *name, char dst[VERSION_TEXT])
{
	const struct pkg_installed *i = p->store ? pkg_store_current(p->store, types_called(name)) : NULL;

	if (i && i->health != PKG_BAD)
		version_text(dst, i->version);
	else
		text_copy(dst, VERSION_TEXT, PROFILE_NO_DATABASE);
}

/* Another list of denied keys is a reason to look again at all that is installed. */
static void
note_versions(struct agent_packages *p)
{
	char before[VERSION_TEXT];

	text_copy(before, sizeof(before), p->denied);
	note_version(p, "virdb", p->av);
	note_version(p, "idsdb", p->ips);
	note_version(p, FORMAT_DENY_NAME, p->denied);
	if (p->store && strcmp(before, p->denied) != 0)
		loop_timer_at(p->check_timer, mono_in(clock_mono(), CHECK_MS));
}

const char *
agent_packages_av(const struct agent *a)
{
	return a->packages ? a->packages->av : PROFILE_NO_DATABASE;
}

const char *
agent_packages_ips(const struct agent *a)
{
	return a->packages ? a->packages->ips : PROFILE_NO_DATABASE;
}

const struct pkg_store *
agent_packages_store(const struct agent *a)
{
	return a->packages ? a->packages->store : NULL;
}

const struct pkg_status *
agent_packages_status(const struct agent *a)
{
	return a->packages ? a->packages->status : NULL;
}

/* Another process, or this one, has changed something. */
static void
read_again(struct agent_packages *p)
{
	struct err e = ERR_NONE;

	p->changed = false;
	if (pkg_store_reread(p->store, &e) || pkg_status_reread(p->status, &e))
		log_say(LOG_LEVEL_WARNING, "packages: %s", e.text);
	note_versions(p);
}

static void
on_changed(void *ctx, uint32_t events)
{
	struct agent_packages *p = ctx;
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)events;
	while (read(p->watch_fd, buffer, sizeof(buffer)) > 0)
		p->changed = true;
	if (p->changed && p->stage == STAGE_IDLE)
		read_again(p);
}

/* The status is written last, and whole. Without the watch only what fgfmctl imports is noticed late. */
static void
watch_store(struct agent_packages *p)
{
	p->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->watch_fd >= 0 && inotify_add_watch(p->watch_fd, pkg_store_folder(p->store), IN_MOVED_TO) >= 0)
		p->watch_io = loop_io_new(p->agent->loop, p->watch_fd, EPOLLIN, on_changed, p);
	if (!p->watch_io)
		log_say(LOG_LEVEL_WARNING, "packages: changes by others are not noticed");
}

/* --- the end of what is under way --------------------------------------------------------------------------------- */

static void
plan_next(struct agent_packages *p)
{
	loop_timer_at(p->schedule_timer, autoupdate_deadline(&p->schedule, clock_mono()));
}

static void
drop_work(struct agent_packages *p)
{
	fetch_cancel(p->fetch);
	packages_free(p->run);
	pkg_check_free(p->check);
	p->fetch = NULL;
	p->run = NULL;
	p->check = NULL;
	packages_trust_free(&p->trust);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->stage = STAGE_IDLE;
	p->asked = false;
	loop_timer_at(p->patience, MONO_NEVER);
}

static void
end_work(struct agent_packages *p, bool ok)
{
	drop_work(p);
	if (p->changed)
		read_again(p);
	note_versions(p);
	if (p->counted)
		autoupdate_done(&p->schedule, ok, clock_mono());
	p->counted = false;
	plan_next(p);
	malloc_trim(0); /* a job's buffers, and what a library held for it */
}

/* `again`: another try may find something else. */
static void
conclude(struct agent_packages *p, int code, const char *reason, bool again)
{
	const struct packages_watch w = p->watch;
	bool watched = p->watched;

	p->watched = false;
	end_work(p, !again);
	if (watched)
		w.done(w.ctx, code, reason);
	else if (code != CLI_OK)
		log_debug(DBG_PACKAGE | DBG_ERROR, "[package] %s", reason);
}

static void
finish(struct agent_packages *p, int code, const char *reason)
{
	conclude(p, code, reason, code != CLI_OK);
}

bool
agent_packages_cancel(struct agent *a)
{
	struct agent_packages *p = a->packages;
	bool over = p->stage != STAGE_INSTALL || packages_stop(p->run);

	p->watched = false;
	if (over)
		end_work(p, false);
	return over;
}

static void say(struct agent_packages *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct agent_packages *p, const char *fmt, ...)
{
	char text[TEXT];
	va_list ap;

	if (!p->watched)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->watch.say(p->watch.ctx, text);
}

static void
ask(struct agent_packages *p, enum packages_asks kind, const uint8_t *digest, const char *text)
{
	struct packages_question q = {.kind = kind, .text = text};

	if (digest)
		memcpy(q.digest, digest, sizeof(q.digest));
	p->asked = true;
	loop_timer_at(p->patience, mono_in(clock_mono(), ANSWER_MS));
	p->watch.ask(p->watch.ctx, &q);
}

/* --- installing --------------------------------------------------------------------------------------------------- */

static void
on_job_ask(void *ctx, const struct pkg_question *q)
{
	struct agent_packages *p = ctx;
	char text[QUESTION];

	if (!p->watched) { /* nobody is there to say yes */
		packages_answer(p->run, false, q->digest);
		return;
	}
	snprintf(text, sizeof(text), "%sDo you want to continue? (y/n)", q->text);
	ask(p, q->what == PKG_ASK_OLDER ? PACKAGES_OLDER : PACKAGES_UNSIGNED, q->digest, text);
}

static void
on_job_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct agent_packages *p = ctx;

	if (p->watched)
		p->watch.progress(p->watch.ctx, "installing", done, total);
}

static void
tell_refusals(struct agent_packages *p, const struct pkg_result *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct pkg_object_result *o = &r->objects[i];

		if (o->outcome == PKG_REFUSED)
			say(p, "%s: %s\n", o->name, o->why.text);
	}
}

/* What came may have been damaged on its way, the trouble may be our own, and who could not reload it may be able to
 * later. What was refused for what it is would be refused again. */
static bool
may_go_better(const struct pkg_result *r)
{
	bool may = r->code && r->why.code;

	for (size_t i = 0; i < r->count; i++) {
		enum pkg_refusal refusal = r->objects[i].refusal;

		may |=
		    refusal == PKG_REFUSAL_DAMAGED || refusal == PKG_REFUSAL_TROUBLE || refusal == PKG_REFUSAL_RELOAD;
	}
	return may;
}

static void
on_job_done(void *ctx, const struct pkg_result *r)
{
	struct agent_packages *p = ctx;
	char reason[sizeof(r->summary) + sizeof(r->why.text) + 4];

	tell_refusals(p, r);
	snprintf(reason, sizeof(reason), "%s%s%s", r->summary, r->why.code ? ": " : "", r->why.code ? r->why.text : "");
	if (!r->code)
		say(p, "%s\n", reason);
	conclude(p, r->code ? CLI_REFUSED : CLI_OK, reason, may_go_better(r));
}

static struct pkg_job_params
params_of(const struct agent_packages *p)
{
	return (struct pkg_job_params){
	    .store = p->store,
	    .status = p->status,
	    .check = p->trust.check,
	    .level = p->trust.level,
	    .way = p->way,
	    .families = p->families,
	    .os_build = (uint32_t)settings_int(p->agent->settings, "build"),
	    .now_s = clock_wall().s,
	    .user = p->watched ? p->user : NULL,
	    .ui = p->watched ? UI : NULL,
	    .from = p->from[0] && p->way == UPDATE_AUTOMATIC ? p->from : NULL, /* the guide has it there alone */
	};
}

static int
make_job(struct agent_packages *p, struct pkg_job **out, struct err *e)
{
	const struct pkg_job_params params = params_of(p);
	int fd = p->fd;

	p->fd = -1;
	return pkg_job_new(&params, fd, out, e);
}

static void
install(struct agent_packages *p)
{
	const struct packages_programs programs = {.dir = settings_get(p->agent->settings, "handler-directory"),
						   .validator_user = settings_get(p->agent->settings, "fetch-user"),
						   .hook_user = settings_get(p->agent->settings, "handler-user")};
	const struct packages_ops ops = {.ctx = p, .ask = on_job_ask, .progress = on_job_progress, .done = on_job_done};
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;
	int rc = make_job(p, &job, &e);

	if (!rc)
		rc = packages_new(p->agent->loop, job, &programs, &ops, &p->run, &e);
	if (rc)
		finish(p, rc == -EBUSY ? CLI_CONFLICT : CLI_FAILED, e.text);
	else
		p->stage = STAGE_INSTALL;
}

/* --- fetching ----------------------------------------------------------------------------------------------------- */

static const char *
kind_of(const struct agent_packages *p)
{
	return p->families & PKG_IPS ? "IPS" : "AV";
}

static void
on_fetch_progress(void *ctx, uint64_t bytes, uint64_t total)
{
	struct agent_packages *p = ctx;

	if (p->watched)
		p->watch.progress(p->watch.ctx, "fetching", bytes, total);
}

static void
note_failure(struct agent_packages *p, const char *why)
{
	const struct pkg_job_params params = params_of(p);

	snprintf(p->failed, sizeof(p->failed), "%s", why);
	pkg_job_not_fetched(&params, why);
	if (p->way == UPDATE_AUTOMATIC)
		say(p, "%s: %s\n", p->from, why);
	p->server++;
}

static void
nothing_newer(struct agent_packages *p)
{
	struct err e = ERR_NONE;

	for (size_t i = 0; i < types_count(); i++) {
		if (pkg_store_current(p->store, types_at(i)))
			pkg_status_unchanged(p->status, types_at(i), clock_wall().s);
	}
	if (pkg_status_save(p->status, NULL, &e))
		log_say(LOG_LEVEL_WARNING, "packages: %s", e.text);
	say(p, "%s has nothing newer.\n", p->from);
	finish(p, CLI_OK, "");
}

static void fetch_next(struct agent_packages *p);

static void
on_fetch_done(void *ctx, int rc, int fd, const char *why)
{
	struct agent_packages *p = ctx;

	p->fetch = NULL;
	if (rc) {
		note_failure(p, why);
		fetch_next(p);
	} else if (fd < 0) {
		nothing_newer(p);
	} else {
		p->fd = fd;
		if (p->way == UPDATE_MANUAL)
			say(p, "Get %s database from %s server OK.\n", kind_of(p),
			    p->source == PACKAGES_TFTP ? "tftp" : "https");
		install(p);
	}
}

static int
begin_fetch(struct agent_packages *p, struct err *e)
{
	static const struct fetch_ops ops = {.progress = on_fetch_progress, .done = on_fetch_done};

	return packages_fetch(p, &ops, e);
}

/* From the next server that has not failed. What an operator named is the only one. */
static void
fetch_next(struct agent_packages *p)
{
	struct err e = ERR_NONE;
	int rc = p->failed[0] && p->way == UPDATE_MANUAL ? PACKAGES_NOBODY : begin_fetch(p, &e);

	while (rc < 0) {
		note_failure(p, e.text);
		rc = p->way == UPDATE_MANUAL ? PACKAGES_NOBODY : begin_fetch(p, &e);
	}
	if (rc == PACKAGES_NOBODY) {
		finish(p, p->way == UPDATE_MANUAL ? CLI_REFUSED : CLI_FAILED, p->failed[0] ? p->failed : e.text);
		return;
	}
	p->stage = STAGE_FETCH;
	if (p->way == UPDATE_AUTOMATIC)
		say(p, "Connect to %s ...\n", p->from);
}

static void
get_package(struct agent_packages *p)
{
	say(p, "Please wait...\n");
	if (p->source == PACKAGES_FILE) {
		install(p);
		return;
	}
	if (p->source == PACKAGES_TFTP)
		say(p, "\nConnect to tftp server %s ...\n", p->host);
	else
		say(p, "\nConnect to https server ...\n");
	fetch_next(p);
}

/* --- verifying what is installed ---------------------------------------------------------------------------------- */

static void
tell_findings(struct agent_packages *p)
{
	char line[PKG_CHECKED_TEXT];

	for (; p->reported < pkg_check_count(p->check); p->reported++)
		say(p, "%s\n", pkg_checked_text(pkg_check_at(p->check, p->reported), line));
}

static void
check_more(struct agent_packages *p)
{
	bool more = pkg_check_step(p->check) > 0;

	tell_findings(p);
	if (more) {
		loop_task_soon(p->task);
		return;
	}
	say(p, "update objects signature check finished.\n");
	finish(p, CLI_OK, "");
}

static int
read_trust(struct agent_packages *p, const struct pkg_store *store, struct err *e)
{
	const struct settings *s = p->agent->settings;

	return packages_trust_read(settings_get(s, "package-ca"), settings_get(s, "security-level-file"), store,
				   agent_trust_time_s(p->agent), &p->trust, e);
}

static int
begin_check(struct agent_packages *p, struct err *e)
{
	int rc = read_trust(p, p->store, e);

	if (rc) /* where it is the list that is damaged, this is what replaces it */
		rc = read_trust(p, NULL, e);
	if (!rc)
		rc = pkg_check_new(p->store, &p->trust.check, NULL, &p->check, e);
	if (rc) {
		packages_trust_free(&p->trust);
		return rc;
	}
	p->stage = STAGE_CHECK;
	p->reported = 0;
	loop_task_soon(p->task);
	return 0;
}

static bool
any_installed(const struct agent_packages *p)
{
	for (size_t i = 0; i < types_count(); i++) {
		if (pkg_store_current(p->store, types_at(i)))
			return true;
	}
	return false;
}

/* --- updates on schedule ------------------------------------------------------------------------------------------ */

/* The same trouble again is not said again. */
static void
say_trouble(struct agent_packages *p, const char *why)
{
	if (strcmp(p->said, why) != 0)
		log_say(LOG_LEVEL_WARNING, "no update of packages: %s", why);
	text_copy(p->said, sizeof(p->said), why);
}

static void
begin_automatic(struct agent_packages *p)
{
	p->way = UPDATE_AUTOMATIC;
	p->families = PKG_ALL;
	p->server = 0;
	p->from[0] = p->failed[0] = '\0';
}

static void
on_schedule_timer(void *ctx)
{
	struct agent_packages *p = ctx;
	enum autoupdate_why why = autoupdate_take(&p->schedule, clock_mono(), clock_wall());
	struct err e = ERR_NONE;

	if (why == AUTOUPDATE_NOT_DUE) {
		plan_next(p);
		return;
	}
	p->counted = true;
	if (p->stage == STAGE_CHECK) { /* our own: an operator's counts as an update under way */
		drop_work(p);
		loop_timer_at(p->check_timer, mono_in(clock_mono(), CHECK_MS));
	}
	log_debug(DBG_PACKAGE, "[package] an update begins: %s", autoupdate_why_name(why));
	begin_automatic(p);
	if (read_trust(p, p->store, &e)) {
		say_trouble(p, e.text);
		end_work(p, true); /* another try would find nothing else */
		return;
	}
	p->said[0] = '\0';
	fetch_next(p);
}

void
agent_packages_notice(struct agent *a)
{
	struct agent_packages *p = a->packages;

	if (!p || !p->store)
		return;
	autoupdate_notice(&p->schedule);
	plan_next(p);
}

void
agent_configure_packages(struct agent *a)
{
	struct agent_packages *p = a->packages;
	struct autoupdate_plan plan;

	if (!p || !p->store)
		return;
	autoupdate_plan(a->stopping ? NULL : tree_entry(device_running(a->device), "system autoupdate schedule", ""),
			&plan);
	autoupdate_follow(&p->schedule, &plan, clock_mono(), clock_wall());
	plan_next(p);
}

/* --- opening the store -------------------------------------------------------------------------------------------- */

/* When the last update on schedule began. */
static int64_t
last_attempt_s(const struct agent_packages *p)
{
	int64_t last = 0;

	for (size_t i = 0; i < types_count(); i++) {
		int64_t s = pkg_status_of(p->status, types_at(i))->attempted_s;

		last = s > last ? s : last;
	}
	return last;
}

/* After the first dial has begun: nothing of packages delays it. */
static void
open_store(struct agent_packages *p)
{
	struct agent *a = p->agent;
	char dir[PATH_SIZE];
	uint32_t seed = 0;

	settings_state_path(a->settings, "packages", dir, sizeof(dir));
	if (pkg_store_open(dir, &p->store, &p->trouble) || pkg_status_load(dir, &p->status, &p->trouble)) {
		say_trouble(p, p->trouble.text);
		pkg_store_free(p->store);
		p->store = NULL;
		loop_timer_at(p->check_timer, mono_in(clock_mono(), REOPEN_MS));
		return;
	}
	note_versions(p);
	watch_store(p);
	crypto_random(&seed, sizeof(seed)); /* without randomness many boxes may ask at once */
	autoupdate_init(&p->schedule, last_attempt_s(p), seed);
	agent_configure_packages(a);
	loop_timer_at(p->check_timer, mono_in(clock_mono(), CHECK_MS));
}

static void
on_check_timer(void *ctx)
{
	struct agent_packages *p = ctx;
	struct err e = ERR_NONE;

	if (!p->store)
		open_store(p);
	else if (p->stage != STAGE_IDLE)
		loop_timer_at(p->check_timer, mono_in(clock_mono(), CHECK_MS));
	else if (any_installed(p) && begin_check(p, &e))
		log_say(LOG_LEVEL_WARNING, "packages: what is installed is not verified: %s", e.text);
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

static void
on_patience(void *ctx)
{
	struct agent_packages *p = ctx;
	static const uint8_t nothing[PACKAGES_DIGEST];

	say(p, "\nNobody has answered.\n");
	agent_packages_answer(p->agent, false, nothing);
}

static void
on_task(void *ctx)
{
	struct agent_packages *p = ctx;
	char text[128];

	if (p->stage == STAGE_CHECK) {
		check_more(p);
	} else if (p->stage == STAGE_OVERWRITE) {
		snprintf(text, sizeof(text),
			 "This operation will overwrite the current %s package!\nDo you want to continue? (y/n)",
			 kind_of(p));
		ask(p, PACKAGES_OVERWRITE, NULL, text);
	} else if (p->stage == STAGE_FETCH && !p->fetch) { /* a check that made way may have asked for this turn */
		fetch_next(p);
	}
}

/* One thing at a time. The agent's own check of what is installed makes way, and comes again. */
static int
may_begin(struct agent_packages *p, const struct packages_watch *w, struct err *e)
{
	if (!p->store)
		open_store(p); /* what kept it may be over */
	if (!p->store) {
		*e = p->trouble;
		return CLI_FAILED;
	}
	if (p->stage == STAGE_CHECK && !p->watched) {
		drop_work(p);
		loop_timer_at(p->check_timer, mono_in(clock_mono(), CHECK_MS));
	}
	if (p->stage != STAGE_IDLE || !autoupdate_begin(&p->schedule)) {
		err_set(e, -EBUSY, "an update is under way");
		return CLI_CONFLICT;
	}
	p->watch = *w;
	p->watched = p->counted = true;
	return CLI_OK;
}

/* Takes back what may_begin() has begun. */
static int
could_not_begin(struct agent_packages *p)
{
	p->watched = false;
	end_work(p, false);
	return CLI_FAILED;
}

static int
take_order(struct agent_packages *p, const struct packages_order *o, struct err *e)
{
	p->source = o->source;
	p->way = UPDATE_MANUAL;
	p->families = o->av ? PKG_AV : PKG_IPS;
	p->from[0] = p->failed[0] = '\0';
	snprintf(p->user, sizeof(p->user), "%s", o->user);
	if (text_copy(p->host, sizeof(p->host), o->server) ||
	    (o->source != PACKAGES_FILE && text_copy(p->name, sizeof(p->name), o->name)))
		return err_set(e, -ENAMETOOLONG, "the name is too long");
	if (o->source == PACKAGES_FILE) {
		p->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
		if (p->fd < 0)
			return err_sys(e, -errno, "%s", o->name);
	}
	return read_trust(p, p->store, e);
}

int
agent_packages_restore(struct agent *a, const struct packages_order *o, const struct packages_watch *w, struct err *e)
{
	struct agent_packages *p = a->packages;
	int code = may_begin(p, w, e);

	if (code)
		return code;
	if (take_order(p, o, e))
		return could_not_begin(p);
	p->stage = STAGE_OVERWRITE;
	loop_task_soon(p->task);
	return CLI_OK;
}

int
agent_packages_update(struct agent *a, const char *user, const struct packages_watch *w, struct err *e)
{
	struct agent_packages *p = a->packages;
	int code = may_begin(p, w, e);

	if (code)
		return code;
	begin_automatic(p);
	snprintf(p->user, sizeof(p->user), "%s", user);
	if (read_trust(p, p->store, e))
		return could_not_begin(p);
	p->stage = STAGE_FETCH;
	loop_task_soon(p->task);
	return CLI_OK;
}

int
agent_packages_check(struct agent *a, const struct packages_watch *w, struct err *e)
{
	struct agent_packages *p = a->packages;
	int code = may_begin(p, w, e);

	if (!code && begin_check(p, e))
		return could_not_begin(p);
	return code;
}

void
agent_packages_answer(struct agent *a, bool yes, const uint8_t digest[PACKAGES_DIGEST])
{
	static const uint8_t nothing[PACKAGES_DIGEST];
	struct agent_packages *p = a->packages;

	if (!p->asked)
		return;
	p->asked = false;
	loop_timer_at(p->patience, MONO_NEVER);
	if (p->stage == STAGE_INSTALL)
		packages_answer(p->run, yes, digest);
	else if (p->stage == STAGE_OVERWRITE && yes && !memcmp(digest, nothing, sizeof(nothing)))
		get_package(p);
	else if (p->stage == STAGE_OVERWRITE)
		finish(p, CLI_REFUSED, "nothing is changed");
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* `task` opens first, and then does what is ordered. */
static void
on_first_task(void *ctx)
{
	struct agent_packages *p = ctx;

	if (p->store)
		on_task(p);
	else
		open_store(p);
}

int
agent_open_packages(struct agent *a, struct err *e)
{
	struct agent_packages *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, -ENOMEM, "packages");
	*p = (struct agent_packages){.agent = a, .watch_fd = -1, .fd = -1};
	a->packages = p;
	note_versions(p);
	p->task = loop_task_new(a->loop, on_first_task, p);
	p->schedule_timer = loop_timer_new(a->loop, on_schedule_timer, p);
	p->check_timer = loop_timer_new(a->loop, on_check_timer, p);
	p->patience = loop_timer_new(a->loop, on_patience, p);
	if (!p->task || !p->schedule_timer || !p->check_timer || !p->patience)
		return err_sys(e, -ENOMEM, "packages");
	loop_task_soon(p->task);
	return 0;
}

void
agent_close_packages(struct agent *a)
{
	struct agent_packages *p = a->packages;

	if (!p)
		return;
	if (p->patience)
		drop_work(p);
	loop_io_free(p->watch_io);
	if (p->watch_fd >= 0)
		close(p->watch_fd);
	loop_task_free(p->task);
	loop_timer_free(p->schedule_timer);
	loop_timer_free(p->check_timer);
	loop_timer_free(p->patience);
	pkg_store_free(p->store);
	pkg_status_free(p->status);
	free(p);
	a->packages = NULL;
}
