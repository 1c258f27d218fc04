#include "package/pkg_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "package/container.h"
#include "package/pkg_store_private.h"
#include "package/types.h"
#include "package/verify.h"

enum { PIECE = 16 * 1024 };

struct pkg_check {
	struct pkg_store *store; /* borrowed */
	struct anchor_check check;
	size_t at, end;                 /* the kind at work, the one behind the last */
	enum pkg_which which;           /* of that kind */
	char current[PKG_VERSION_NAME]; /* of that kind, when it was opened; "": the link cannot be read */
	struct pkg_files files;         /* owned */
	struct verify *v;               /* owned; NULL: not begun */
	bool differs;
	uint32_t compared; /* bytes of the payload */
	size_t count;
	struct pkg_checked *found; /* owned; one for each kind */
};

/* --- one version ----------------------------------------------------------------------------------------------------
 */

static int
compare_payload(void *ctx, const void *data, size_t len)
{
	struct pkg_check *c = ctx;
	uint8_t piece[PIECE];

	for (size_t done = 0; done < len;) {
		size_t n = len - done < PIECE ? len - done : PIECE;
		int rc = container_pread(c->files.payload_fd, piece, n, c->compared, NULL);

		if (!rc && memcmp(piece, (const uint8_t *)data + done, n) != 0)
			rc = -EBADMSG;
		c->differs |= rc == -EBADMSG;
		if (rc)
			return rc;
		c->compared += (uint32_t)n;
		done += n;
	}
	return 0;
}

static int
begin(struct pkg_check *c, const struct object_type *kind, struct err *e)
{
	struct container_object o;
	int rc;

	c->files.name[0] = '\0';
	rc = pkg_store_files(c->store, kind, c->which, &c->files, e);
	if (c->which == PKG_CURRENT)
		memcpy(c->current, c->files.name, sizeof(c->current));
	if (!rc)
		rc = container_bare(c->files.object_fd, kind, &o, e);
	if (!rc)
		rc = verify_new(c->files.object_fd, &o, &c->check, -1, &c->v, e);
	c->compared = 0;
	c->differs = false;
	return rc;
}

/* 1: there is more. 0: found out; `out` says what. -errno: nothing is known but why. */
static int
step_version(struct pkg_check *c, struct finding *out, struct err *e)
{
	int rc = verify_read(c->v);

	if (!rc) /* does nothing where reading found something bad, and goes on where it has begun */
		rc = verify_unpack(c->v, compare_payload, c);
	*out = *verify_finding(c->v);
	*e = out->why;
	if (rc)
		return rc;
	/* it may also go on behind what was compared */
	if (c->differs || (out->failed == VERIFY_NONE && c->compared != c->files.payload_len)) {
		out->failed = VERIFY_PAYLOAD;
		out->signature = SIGNATURE_BAD;
		err_set(e, -EBADMSG, "payload: what is on disk is not what the object unpacks to");
	}
	return 0;
}

static void
end_version(struct pkg_check *c)
{
	verify_free(c->v);
	c->v = NULL;
	pkg_files_close(&c->files);
}

/* --- one kind -------------------------------------------------------------------------------------------------------
 */

static void
next_kind(struct pkg_check *c)
{
	c->at++;
	c->which = PKG_CURRENT;
}

static void
note(struct pkg_check *c, enum signature signature, const struct err *why)
{
	const struct object_type *kind = types_at(c->at);

	c->found[c->count++] = (struct pkg_checked){.kind = kind, .signature = signature, .why = *why};
	if (signature == SIGNATURE_BAD)
		log_event(EVENT_SIGNATURE_INVALID, LOG_LEVEL_CRITICAL, "FortiGate database signature invalid", "action",
			  "check", "status", "failure", "object", kind->name, "reason", why->text, NULL);
}

/* Another process may have installed something while this one was reading: that is not what was found to be bad. */
static int
still_current(const struct pkg_check *c, struct err *e)
{
	struct pkg_files now = {.object_fd = -1, .payload_fd = -1};

	(void)pkg_store_files(c->store, types_at(c->at), PKG_CURRENT, &now, NULL);
	pkg_files_close(&now);
	return strcmp(now.name, c->current) ? err_set(e, -EBUSY, "%s is current by now", now.name) : 0;
}

/* `name` NULL: by none. With the lock taken by somebody else, it is left to the next check. */
static void
replace(struct pkg_check *c, const char *name, enum pkg_health health)
{
	const struct object_type *kind = types_at(c->at);
	struct err e = ERR_NONE;
	int rc = pkg_store_lock(c->store, &e);

	if (!rc) {
		rc = still_current(c, &e);
		if (!rc)
			rc = pkg_store_replace(c->store, kind, name, &e);
		pkg_store_unlock(c->store);
	}
	if (rc) {
		log_say(LOG_LEVEL_ERROR, "%s: the version before it does not take its place: %s", kind->name, e.text);
		return;
	}
	c->found[c->count - 1].replaced = true;
	pkg_store_set_health(c->store, kind, health);
	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Installed package object replaced", "object", kind->name, "by",
		  name ? name : "none", NULL);
}

/* The signer alone is not acceptable any more: the bytes are what he signed. */
static bool
is_damaged(const struct finding *f)
{
	return f->failed != VERIFY_SIGNER;
}

static void
judge_current(struct pkg_check *c, const struct finding *f, const struct err *why)
{
	bool good = f->failed == VERIFY_NONE;

	note(c, f->signature, why);
	pkg_store_set_health(c->store, types_at(c->at), good ? PKG_GOOD : PKG_BAD);
	if (good || !is_damaged(f))
		next_kind(c);
	else
		c->which = PKG_OLDER;
}

static void
judge_older(struct pkg_check *c, const struct finding *f, const char *name)
{
	bool damaged = f->failed != VERIFY_NONE && is_damaged(f);

	replace(c, damaged ? NULL : name, f->failed == VERIFY_NONE ? PKG_GOOD : PKG_BAD);
	next_kind(c);
}

/* It could not be opened. */
static void
give_up(struct pkg_check *c, int rc, const struct err *why)
{
	if (c->which == PKG_OLDER) {
		if (rc == -ENOENT || rc == -EBADMSG)
			replace(c, NULL, PKG_UNCHECKED);
		next_kind(c);
	} else if (rc == -ENOENT) {
		next_kind(c);
	} else {
		note(c, SIGNATURE_BAD, why);
		if (rc == -EBADMSG)
			c->which = PKG_OLDER;
		else
			next_kind(c);
	}
}

int
pkg_check_step(struct pkg_check *c)
{
	char name[PKG_VERSION_NAME];
	struct err e = ERR_NONE;
	struct finding f;
	int rc;

	if (c->at == c->end)
		return 0;
	rc = c->v ? 0 : begin(c, types_at(c->at), &e);
	if (rc) {
		end_version(c);
		give_up(c, rc, &e);
		return 1;
	}
	rc = step_version(c, &f, &e);
	if (rc > 0)
		return 1;
	memcpy(name, c->files.name, sizeof(name));
	end_version(c);
	if (rc)
		give_up(c, rc, &e);
	else if (c->which == PKG_CURRENT)
		judge_current(c, &f, &e);
	else
		judge_older(c, &f, name);
	return 1;
}

/* --- all of them ----------------------------------------------------------------------------------------------------
 */

int
pkg_check_new(struct pkg_store *s, const struct anchor_check *check, const struct object_type *kind,
	      struct pkg_check **out, struct err *e)
{
	struct pkg_check *c = calloc(1, sizeof(*c));

	if (c)
		c->found = calloc(types_count(), sizeof(*c->found));
	if (!c || !c->found) {
		free(c);
		return err_sys(e, -ENOMEM, "check");
	}
	c->store = s;
	c->check = *check;
	c->check.occasion = ANCHOR_INSTALLED;
	c->files.object_fd = c->files.payload_fd = -1;
	c->at = kind ? types_index(kind) : 0;
	c->end = kind ? c->at + 1 : types_count();
	*out = c;
	return 0;
}

void
pkg_check_free(struct pkg_check *c)
{
	if (!c)
		return;
	end_version(c);
	free(c->found);
	free(c);
}

size_t
pkg_check_count(const struct pkg_check *c)
{
	return c->count;
}

const struct pkg_checked *
pkg_check_at(const struct pkg_check *c, size_t i)
{
	return i < c->count ? &c->found[i] : NULL;
}

/* Guide, "To verify the status for all object signatures". */
char *
pkg_checked_text(const struct pkg_checked *c, char dst[PKG_CHECKED_TEXT])
{
	const char *words = c->signature == SIGNATURE_VALID ? "signature is valid."
			    : c->signature == SIGNATURE_BAD ? "signature is invalid."
			    : c->kind->forced               ? "signature is missing."
							    : "signature check passed.";

	snprintf(dst, PKG_CHECKED_TEXT, "%s(%u,%u) %s", c->kind->name, c->kind->id, c->kind->sub, words);
	return dst;
}
