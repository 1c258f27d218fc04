#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "package/container.h"
#include "package/pkg_job_private.h"
#include "package/pkg_status.h"

/* Guide, the samples of `diagnose debug application updated -1`, without its line numbers. Where it has no words ours
 * are its way of writing. Nothing that has no signature is called verified. */

static const char *
manual_function(const struct object_type *kind)
{
	return kind->family == PKG_IPS  ? "upd_manual_idsdb"
	       : kind->family == PKG_AV ? "upd_manual_virdb"
					: "upd_manual_obj";
}

void
pkg_say_found(const struct pkg_job *job, size_t i)
{
	const struct container_object *o = &job->items[i].o;
	const struct object_type *kind = types_named(o->type, o->name, strlen(o->name));

	if (!kind)
		return;
	if (job->p.way == UPDATE_MANUAL && i == 0)
		log_raw(DBG_PACKAGE, "%s-Updating %s db", manual_function(kind),
			kind->family == PKG_IPS ? "ids" : "av");
	log_raw(DBG_PACKAGE, "doInstallUpdatePackage-Full obj found for %s%03u", kind->type, kind->sub);
	log_raw(DBG_PACKAGE, "doInstallUpdatePackage-Updating obj %s", kind->type);
	log_raw(DBG_PACKAGE, "installUpdateObject-Step 1:Unpack obj %u, Total=1, cur=0", kind->id);
}

/* The record's first bytes, as the guide shows them. */
static void
say_record(const struct pkg_job *job, size_t i)
{
	const struct pkg_object_result *r = &job->results[i];
	uint8_t record[15];
	char hex[2 * sizeof(record) + 1];

	if (container_pread(job->items[i].object_fd, record, sizeof(record), r->data_len - FORMAT_RECORD, NULL))
		return;
	log_raw(DBG_PACKAGE, "__dump_ctx-CS INFO: %s", text_hex(hex, sizeof(hex), record, sizeof(record)));
	log_raw(DBG_PACKAGE, "__dump_ctx-Sig len: %" PRIu32, r->sig_len - FORMAT_RECORD);
	log_raw(DBG_PACKAGE, "__dump_ctx-Raw len: %" PRIu32, r->obj_len);
	log_raw(DBG_PACKAGE, "__cms_verify-Verification succeeded.");
}

void
pkg_say_verified(const struct pkg_job *job, size_t i)
{
	const struct pkg_object_result *r = &job->results[i];
	const char *what = r->sig_len ? "Signature verified" : "No signature";

	if (!log_wants(DBG_PACKAGE))
		return;
	if (r->sig_len)
		say_record(job, i);
	log_raw(DBG_PACKAGE,
		"installUpdateObject-%s for obj %u, ret=0, data_len=%" PRIu32 ", obj_len=%" PRIu32 ", sig_len=%" PRIu32
		".",
		what, r->kind->id, r->data_len, r->obj_len, r->sig_len);
}

static bool
is_of_signature(enum pkg_refusal r)
{
	return r == PKG_REFUSAL_SIGNATURE || r == PKG_REFUSAL_UNSIGNED;
}

/* Guide, the sample with level 2: result 2 is that of an object without signature. */
static void
debug_refused(const struct pkg_job *job, const struct pkg_object_result *r)
{
	bool of_signature = is_of_signature(r->refusal);
	int result = r->refusal == PKG_REFUSAL_UNSIGNED ? 2 : 1;

	if (of_signature)
		log_raw(DBG_PACKAGE, "__upd_obj_signature_split-Signature verify and split failed, result=%d.", result);
	if (of_signature && r->kind)
		log_raw(DBG_PACKAGE,
			"installUpdateObject-Failed signature verifying for obj %u, ret=-1, forced=%d, len=%" PRIu32,
			r->kind->id, r->kind->forced, r->data_len);
	log_raw(DBG_PACKAGE, "installUpdateObject-%s: %s", r->name, r->why.text);
	if (job->p.way == UPDATE_MANUAL && r->kind)
		log_raw(DBG_PACKAGE, "%s-Update failed on %s%u(%s) (%d,%d)", manual_function(r->kind), r->kind->type,
			r->kind->sub, r->kind->name, of_signature ? -5 : -1, of_signature ? result : 0);
}

static const char *
family_name(unsigned families)
{
	return families == PKG_IPS ? "ips" : families == PKG_AV ? "av" : "other";
}

/* `restore-ips`, `update`, `ha-copy` */
static const char *
action_name(const struct pkg_job_params *p, const char *tail, char dst[32])
{
	if (p->way == UPDATE_MANUAL)
		snprintf(dst, 32, "restore-%s%s", family_name(p->families), tail);
	else
		snprintf(dst, 32, "%s", p->way == UPDATE_HA ? "ha-copy" : "update");
	return dst;
}

void
pkg_say_refused(const struct pkg_job *job, size_t i)
{
	const struct pkg_object_result *r = &job->results[i];
	char msg[128], action[32];

	debug_refused(job, r);
	action_name(&job->p, "", action);
	if (is_of_signature(r->refusal)) {
		snprintf(msg, sizeof(msg), "Fortigate %s signature invalid.", r->name);
		log_event(EVENT_SIGNATURE_INVALID, LOG_LEVEL_CRITICAL, "FortiGate database signature invalid", "user",
			  job->p.user, "ui", job->p.ui, "action", action, "status", "failure", "msg", msg, "reason",
			  r->why.text, NULL);
		return;
	}
	log_event(EVENT_UPDATE_REFUSED, LOG_LEVEL_WARNING, "Package object refused", "user", job->p.user, "ui",
		  job->p.ui, "action", action, "status", "failure", "object", r->name, "cause",
		  pkg_refusal_name(r->refusal), "reason", r->why.text, NULL);
}

void
pkg_say_unpacked(const struct pkg_job *job, size_t i)
{
	log_raw(DBG_PACKAGE, "installUpdateObject-Step 2:Prepare temp file for obj %u", job->results[i].kind->id);
	log_raw(DBG_PACKAGE, "installUpdObjRest-Step 7:Validate object");
}

void
pkg_say_placed(const struct pkg_job *job, size_t i, const char *to)
{
	const struct pkg_object_result *r = &job->results[i];
	const struct pkg_placed *p = &job->items[i].placed;

	if (p->before[0])
		log_raw(DBG_PACKAGE, "installUpdObjRest-Step 5:Backup %s/%u/current->%s", r->kind->type, r->kind->sub,
			p->before);
	log_raw(DBG_PACKAGE, "installUpdObjRest-Step 6:Copy new object %s->%s/%u/current", to, r->kind->type,
		r->kind->sub);
}

void
pkg_say_installed(const struct pkg_job *job, size_t i)
{
	const struct object_type *kind = job->results[i].kind;

	/* those that update themselves need none */
	if (!job->results[i].sig_len && job->p.way != UPDATE_AUTOMATIC)
		log_say(LOG_LEVEL_WARNING, "%s: an object without signature was installed", kind->name);
	log_raw(DBG_PACKAGE, "__update_status-%s%03u(%s) installed successfully", kind->type, kind->sub, kind->name);
}

void
pkg_say_status(bool wrote, const struct err *failed)
{
	log_raw(DBG_PACKAGE, "upd_status_save_status-try to save on status file");
	if (failed) {
		log_raw(DBG_PACKAGE, "upd_status_save_status-%s", failed->text);
		log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Package status not written", "reason", failed->text,
			  NULL);
	} else {
		log_raw(DBG_PACKAGE, "upd_status_save_status-%s",
			wrote ? "Wrote status file" : "Status file is up-to-date");
	}
}

/* "idsdb(19.00264) idsetdb(19.00264)", as far as it fits. */
static void
list_objects(const struct pkg_job *job, enum pkg_outcome outcome, char *dst, size_t size)
{
	size_t used = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < job->count; i++) {
		const struct pkg_object_result *r = &job->results[i];
		char version[VERSION_TEXT];
		int n;

		if (r->outcome != outcome || (outcome == PKG_REFUSED && r->refusal == PKG_REFUSAL_NONE))
			continue;
		n = snprintf(dst + used, size - used, "%s%s(%s)", used ? " " : "", r->name,
			     version_text(version, r->version));
		if (n < 0 || (size_t)n >= size - used) {
			dst[used] = '\0';
			return;
		}
		used += (size_t)n;
	}
}

static void
debug_end(const struct pkg_job *job)
{
	for (size_t i = 0; job->p.way == UPDATE_MANUAL && i < job->count; i++) {
		const struct pkg_object_result *r = &job->results[i];

		if (r->outcome == PKG_INSTALLED)
			log_raw(DBG_PACKAGE, "%s-Update successful on %s%u(%s))", manual_function(r->kind),
				r->kind->type, r->kind->sub, r->kind->name);
	}
}

static void
event_installed(const struct pkg_job *job)
{
	bool by_hand = job->p.way == UPDATE_MANUAL, ips = job->p.families == PKG_IPS, av = job->p.families == PKG_AV;
	const char *id = by_hand && ips  ? EVENT_UPDATE_IPS_BY_HAND
			 : by_hand && av ? EVENT_UPDATE_AV_BY_HAND
					 : EVENT_UPDATE_DONE;
	const char *desc = by_hand && ips  ? "IPS package - Admin update successful"
			   : by_hand && av ? "AV package - Admin update successful"
					   : "FortiGate update succeeded";
	char objects[768], msg[1024];

	if (job->p.way == UPDATE_HA) {
		id = EVENT_UPDATE_COPIED;
		desc = "Package objects copied from another unit";
	}
	list_objects(job, PKG_INSTALLED, objects, sizeof(objects));
	snprintf(msg, sizeof(msg), "Fortigate %s %s%s%s", by_hand ? "updated" : "update now", objects,
		 job->p.from ? " from " : "", job->p.from ? job->p.from : "");
	log_event(id, LOG_LEVEL_NOTICE, desc, "user", job->p.user, "ui", job->p.ui, "status", "update", "msg", msg,
		  NULL);
}

/* The command has failed, one for all of it. */
static void
event_command_failed(const struct pkg_job_params *p, const char *why)
{
	const char *user = p->user ? p->user : "", *ui = p->ui ? p->ui : "";
	char action[32], msg[256];

	action_name(p, "-package", action);
	if (p->way == UPDATE_MANUAL) {
		snprintf(msg, sizeof(msg), "User %s failed to restore %s package file from %s", user,
			 p->families == PKG_IPS  ? "IPS"
			 : p->families == PKG_AV ? "AV"
						 : "FortiGuard",
			 ui);
		log_event(EVENT_RESTORE_FAILED, LOG_LEVEL_NOTICE, "FortiGuard service failed to restore", "user", user,
			  "ui", ui, "action", action, "msg", msg, NULL);
		return;
	}
	log_event(EVENT_UPDATE_FAILED, LOG_LEVEL_CRITICAL, "FortiGate update failed", "user", user, "ui", ui, "action",
		  action, "status", "failure", "msg", why, NULL);
}

void
pkg_job_not_fetched(const struct pkg_job_params *p, const char *why)
{
	log_raw(DBG_PACKAGE, "upd_comm-%s%s%s", p->from ? p->from : "", p->from ? ": " : "", why);
	event_command_failed(p, why);
}

static void
event_failed(const struct pkg_job *job)
{
	const struct pkg_result *r = &job->result;
	char action[32];

	if (r->why.code && !job->count)
		log_event(EVENT_UPDATE_REFUSED, LOG_LEVEL_WARNING, "Package refused", "user", job->p.user, "ui",
			  job->p.ui, "action", action_name(&job->p, "-package", action), "status", "failure", "object",
			  "package", "cause", pkg_refusal_name(PKG_REFUSAL_DAMAGED), "reason", r->why.text, NULL);
	event_command_failed(&job->p, r->summary);
}

void
pkg_say_end(const struct pkg_job *job)
{
	debug_end(job);
	if (job->result.changed)
		event_installed(job);
	if (job->result.code)
		event_failed(job);
}

void
pkg_say_summary(struct pkg_job *job)
{
	static const struct {
		enum pkg_outcome outcome;
		const char *title;
	} parts[] = {{PKG_INSTALLED, "installed"}, {PKG_NO_UPDATE, "no updates"}, {PKG_REFUSED, "refused"}};
	char *dst = job->result.summary;
	size_t size = sizeof(job->result.summary), used = 0;

	dst[0] = '\0';
	if (!job->count)
		snprintf(dst, size, "package refused: %.200s", job->result.why.text);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char list[160];
		int n;

		list_objects(job, parts[i].outcome, list, sizeof(list));
		if (!list[0])
			continue;
		n = snprintf(dst + used, size - used, "%s%s: %s", used ? "; " : "", parts[i].title, list);
		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

/* The first line is the guide's title. */
static const char unsigned_text[] =
    "******WARNING: This package file has no signature for validation.******\n"
    "Who made it, and whether somebody changed it since, cannot be told. What it brings\n"
    "runs on this unit. Accept it only if you know where it comes from.\n";

void
pkg_say_question(struct pkg_job *job, enum pkg_ask what)
{
	struct buf b = BUF_INIT(QUESTION_TEXT - 1);
	char offered[VERSION_TEXT], installed[VERSION_TEXT];

	buf_str(&b, what == PKG_ASK_UNSIGNED ? unsigned_text : "What is installed is newer than this package.\n");
	for (size_t i = 0; i < job->count; i++) {
		const struct pkg_object_result *r = &job->results[i];
		const struct item *it = &job->items[i];

		if (r->outcome != PKG_REFUSED || r->refusal != PKG_REFUSAL_NONE)
			continue;
		if (what == PKG_ASK_UNSIGNED ? !it->asks_unsigned : !it->asks_older)
			continue;
		buf_printf(&b, "  %s %s", r->name, version_text(offered, r->version));
		if (r->had_before)
			buf_printf(&b, ", installed is %s", version_text(installed, r->before));
		buf_str(&b, "\n");
	}
	snprintf(job->question_text, sizeof(job->question_text), "%.*s", (int)b.len, (const char *)buf_head(&b));
	buf_free(&b);
}
