#include "trustlist/trustlist.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

enum { FILE_MAX = 64 * 1024 }; /* ten entries need less than 4 KiB */

#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */

struct trust_list {
	char *path; /* owned */
	size_t count;
	struct trust_entry entries[TRUST_SLOTS];
	bool damaged;
};

static const char *const how_names[] = {
    [TRUST_FIRST_CONTACT] = "first-contact",
    [TRUST_PINNED] = "pinned",
    [TRUST_REGISTER_DEVICE] = "register-device",
    [TRUST_MANAGER_INITIATED] = "manager-initiated",
};

const char *
trust_how_name(enum trust_how how)
{
	return how_names[how];
}

static bool
is_manager_serial(const char *s)
{
	return cert_is_serial(s) && !strncmp(s, "FMG", 3);
}

static bool
is_digest(const char *s)
{
	return strlen(s) == CERT_DIGEST_TEXT - 1 && strspn(s, "0123456789abcdef") == CERT_DIGEST_TEXT - 1;
}

static int
read_digest(const struct cJSON *v, const char *key, char dst[CERT_DIGEST_TEXT], struct err *e)
{
	const char *text = NULL;
	int rc = json_get_str(v, key, &text, e);

	if (rc)
		return rc;
	if (!is_digest(text))
		return err_set(e, -EINVAL, "key \"%s\": 64 hex digits expected", key);
	return text_copy(dst, CERT_DIGEST_TEXT, text);
}

static int
read_serial(const struct cJSON *v, char dst[CERT_SERIAL_MAX], struct err *e)
{
	const char *text = NULL;
	int rc = json_get_str(v, "serial", &text, e);

	if (rc)
		return rc;
	if (!is_manager_serial(text))
		return err_set(e, -EINVAL, "key \"serial\": a manager's serial number expected");
	return text_copy(dst, CERT_SERIAL_MAX, text);
}

static int
read_how(const struct cJSON *v, enum trust_how *out, struct err *e)
{
	const char *text = NULL;
	int rc = json_get_str(v, "how", &text, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof(how_names) / sizeof(how_names[0]); i++) {
		if (!strcmp(text, how_names[i])) {
			*out = (enum trust_how)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "key \"how\": not a known way of registration");
}

/* Appends one entry; `slot` counts from 1 and must be what the entry says. */
static int
read_entry(struct trust_list *l, const struct cJSON *v, int64_t slot, struct err *e)
{
	struct trust_entry entry = {0};
	int64_t said;
	int rc;

	if (slot > TRUST_SLOTS)
		return err_set(e, -EINVAL, "more than %d entries", TRUST_SLOTS);
	if (!json_is_object(v))
		return err_set(e, -EINVAL, "entry %d: an object expected", (int)slot);
	rc = json_get_int(v, "slot", slot, slot, &said, e);
	if (!rc)
		rc = read_serial(v, entry.serial, e);
	if (!rc)
		rc = read_digest(v, "issuer-key", entry.issuer_key, e);
	if (!rc)
		rc = read_digest(v, "key", entry.key, e);
	if (!rc)
		rc = json_get_int(v, "added", 0, LAST_SECOND, &entry.added_s, e);
	if (!rc)
		rc = json_get_int(v, "last-used", 0, LAST_SECOND, &entry.used_s, e);
	if (!rc)
		rc = read_how(v, &entry.how, e);
	if (!rc && trust_list_find(l, entry.serial))
		rc = err_set(e, -EINVAL, "%s stands there twice", entry.serial);
	if (rc) {
		err_in(e, "entry %d", (int)slot);
		return rc;
	}
	l->entries[l->count++] = entry;
	return 0;
}

/* Fills an empty list; on failure what was read so far stands in it. */
static int
read_text(struct trust_list *l, const char *text, size_t len, struct err *e)
{
	struct cJSON *root = json_parse(text, len, e);
	const struct cJSON *entries;
	int64_t slots, slot = 0;
	int rc;

	if (!root)
		return -EINVAL;
	rc = json_is_object(root) ? json_get_int(root, "slots", TRUST_SLOTS, TRUST_SLOTS, &slots, e)
				  : err_set(e, -EINVAL, "an object expected");
	entries = rc ? NULL : json_get_array(root, "entries");
	if (!rc && !entries)
		rc = err_set(e, -EINVAL, "key \"entries\": an array expected");
	for (const struct cJSON *v = json_first(entries); !rc && v; v = json_next(v))
		rc = read_entry(l, v, ++slot, e);
	json_free(root);
	return rc;
}

static void
mark_damaged(struct trust_list *l)
{
	memset(l->entries, 0, sizeof(l->entries));
	l->count = 0;
	l->damaged = true;
}

/* `why` says what is wrong; where the file went is added. The list is damaged even when it cannot be set aside. */
static int
set_aside(struct trust_list *l, const struct err *why, struct err *e)
{
	struct err sub = ERR_NONE;

	mark_damaged(l);
	if (file_set_aside(l->path, &sub))
		return err_set(e, -EBADMSG, "%s: %s; it could not be set aside: %s", l->path, why->text, sub.text);
	return err_set(e, -EBADMSG, "%s: %s; kept as %s.corrupt", l->path, why->text, l->path);
}

/* No file. Beside a .corrupt one that is the damage of an earlier start: an empty list would open the door to first
 * contact for whoever dials after a restart. */
static int
read_missing(struct trust_list *l, struct err *e)
{
	char aside[PATH_MAX];
	int n = snprintf(aside, sizeof(aside), "%s.corrupt", l->path);

	if (n < 0 || (size_t)n >= sizeof(aside))
		return err_sys(e, -ENAMETOOLONG, "%s", l->path);
	if (access(aside, F_OK))
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", aside);
	mark_damaged(l);
	return err_set(e, -EBADMSG, "%s: was damaged earlier and is kept as %s", l->path, aside);
}

static int
read_file(struct trust_list *l, struct err *e)
{
	struct err why = ERR_NONE;
	char *text = NULL;
	size_t len = 0;
	int rc = file_read(l->path, FILE_MAX, &text, &len, &why);

	if (rc == -ENOENT)
		return read_missing(l, e);
	if (rc == -EFBIG || rc == -EISDIR) {
		err_set(&why, rc, rc == -EFBIG ? "too big for a trusted list" : "not a regular file");
		return set_aside(l, &why, e);
	}
	if (rc)
		return err_set(e, rc, "%s", why.text);
	rc = read_text(l, text, len, &why);
	free(text);
	return rc ? set_aside(l, &why, e) : 0;
}

int
trust_list_load(const char *path, struct trust_list **out, struct err *e)
{
	struct trust_list *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	if (l)
		l->path = strdup(path);
	if (!l || !l->path)
		err_sys(e, rc, "%s", path);
	else
		rc = read_file(l, e);
	if (!rc || rc == -EBADMSG) {
		*out = l;
		l = NULL;
	}
	trust_list_free(l);
	return rc;
}

int
trust_list_peek(const char *path, struct trust_list **out, struct err *e)
{
	struct trust_list *l = calloc(1, sizeof(*l));
	char *text = NULL;
	size_t len = 0;
	int rc = l ? file_read(path, FILE_MAX, &text, &len, e) : err_sys(e, -ENOMEM, "%s", path);

	if (rc == -ENOENT)
		rc = 0;
	else if (!rc && read_text(l, text, len, e))
		rc = -EBADMSG;
	if (rc)
		err_in(e, "%s", path);
	else
		*out = l;
	if (rc)
		trust_list_free(l);
	free(text);
	return rc;
}

void
trust_list_free(struct trust_list *l)
{
	if (!l)
		return;
	free(l->path);
	free(l);
}

size_t
trust_list_count(const struct trust_list *l)
{
	return l->count;
}

const struct trust_entry *
trust_list_at(const struct trust_list *l, size_t i)
{
	return i < l->count ? &l->entries[i] : NULL;
}

const struct trust_entry *
trust_list_find(const struct trust_list *l, const char *serial)
{
	for (size_t i = 0; i < l->count; i++) {
		if (!strcmp(l->entries[i].serial, serial))
			return &l->entries[i];
	}
	return NULL;
}

bool
trust_list_damaged(const struct trust_list *l)
{
	return l->damaged;
}

enum trust_answer
trust_list_check(const struct trust_list *l, const struct cert_facts *peer)
{
	const struct trust_entry *entry = trust_list_find(l, peer->serial);

	if (!entry)
		return TRUST_UNKNOWN;
	if (strcmp(entry->issuer_key, peer->issuer_key) != 0)
		return TRUST_OTHER_ISSUER;
	return strcmp(entry->key, peer->key) ? TRUST_RENEWED : TRUST_LISTED;
}

struct cJSON *
trust_list_json(const struct trust_list *l)
{
	struct cJSON *root = json_new_object();
	struct cJSON *entries;

	if (!root)
		return NULL;
	json_add_int(root, "slots", TRUST_SLOTS);
	entries = json_add_array(root, "entries");
	for (size_t i = 0; i < l->count; i++) {
		const struct trust_entry *entry = &l->entries[i];
		struct cJSON *v = json_add_object(entries, NULL);

		json_add_int(v, "slot", (int64_t)i + 1);
		json_add_str(v, "serial", entry->serial);
		json_add_str(v, "issuer-key", entry->issuer_key);
		json_add_str(v, "key", entry->key);
		json_add_int(v, "added", entry->added_s);
		json_add_str(v, "how", trust_how_name(entry->how));
		json_add_int(v, "last-used", entry->used_s);
	}
	return root;
}

/* What is written must read back: json drops members when memory runs out, and a list without them would be found
 * damaged at the next start. */
static int
text_of(const struct trust_list *l, char **out)
{
	struct trust_list copy = {0};
	struct cJSON *root = trust_list_json(l);
	char *text = root ? json_pretty(root) : NULL;

	json_free(root);
	if (!text || read_text(&copy, text, strlen(text), NULL) || copy.count != l->count) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}

/* Writes `next`, then makes it the list. */
static int
commit(struct trust_list *l, const struct trust_list *next, struct err *e)
{
	bool renamed = false;
	char *text = NULL;
	int rc = text_of(next, &text);

	if (rc)
		return err_sys(e, rc, "%s", l->path);
	rc = file_replace(l->path, text, strlen(text), 0600, &renamed, e);
	free(text);
	if (!rc || renamed)
		*l = *next;
	return rc;
}

int
trust_list_add(struct trust_list *l, const struct cert_facts *peer, enum trust_how how, int64_t now_s, struct err *e)
{
	struct trust_list next = *l;
	struct trust_entry *entry;

	if (!is_manager_serial(peer->serial) || !is_digest(peer->issuer_key) || !is_digest(peer->key))
		return err_set(e, -EINVAL, "trusted list: only a manager with a verified certificate can be added");
	if (trust_list_find(l, peer->serial))
		return err_set(e, -EEXIST, "%s is in the trusted list already", peer->serial);
	if (l->count == TRUST_SLOTS)
		return err_set(e, -ENOSPC, "trusted list full (%d)", TRUST_SLOTS);
	entry = &next.entries[next.count++];
	*entry = (struct trust_entry){.added_s = now_s, .how = how};
	memcpy(entry->serial, peer->serial, sizeof(entry->serial));
	memcpy(entry->issuer_key, peer->issuer_key, sizeof(entry->issuer_key));
	memcpy(entry->key, peer->key, sizeof(entry->key));
	next.damaged = false;
	return commit(l, &next, e);
}

int
trust_list_used(struct trust_list *l, const struct cert_facts *peer, int64_t now_s, struct err *e)
{
	const struct trust_entry *old = trust_list_find(l, peer->serial);
	struct trust_list next = *l;
	struct trust_entry *entry;

	if (!old)
		return err_set(e, -ENOENT, "%s is not in the trusted list", peer->serial);
	if (strcmp(old->issuer_key, peer->issuer_key) != 0 || !is_digest(peer->key))
		return err_set(e, -EPERM, "%s is listed with another issuer", peer->serial);
	entry = &next.entries[old - l->entries];
	entry->used_s = now_s;
	memcpy(entry->key, peer->key, sizeof(entry->key));
	return commit(l, &next, e);
}

int
trust_list_remove(struct trust_list *l, const char *serial, struct err *e)
{
	const struct trust_entry *old = trust_list_find(l, serial);
	struct trust_list next = *l;
	char shown[64];
	size_t i;

	if (!old)
		return err_set(e, -ENOENT, "%s is not in the trusted list",
			       text_escape(shown, sizeof(shown), serial, strlen(serial)));
	i = (size_t)(old - l->entries);
	memmove(&next.entries[i], &next.entries[i + 1], (next.count - i - 1) * sizeof(next.entries[0]));
	next.count--;
	return commit(l, &next, e);
}
