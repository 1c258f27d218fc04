#include "package/pkg_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "package/container.h"
#include "package/denylist.h"
#include "package/pkg_dir.h"
#include "package/pkg_store_private.h"
#include "package/pkg_store_state.h"
#include "package/types.h"

/* --- its folders ----------------------------------------------------------------------------------------------------
 */

int
pkg_store_open_kind(const struct pkg_store *s, const struct object_type *kind, bool make, struct err *e)
{
	char sub[8];
	int type_fd = pkg_dir_open(s->fd, kind->type, make, e), fd;

	if (type_fd < 0)
		return type_fd;
	snprintf(sub, sizeof(sub), "%u", kind->sub);
	fd = pkg_dir_open(type_fd, sub, make, e);
	close(type_fd);
	return fd;
}

/* "19.00264", and where it was installed again "19.00264-2". */
bool
pkg_store_is_version(const char *name, struct version *v)
{
	char text[PKG_VERSION_NAME];
	size_t n = strcspn(name, "-");

	if (n >= sizeof(text) || (name[n] && (name[n + 1] < '2' || name[n + 1] > '9' || name[n + 2])))
		return false;
	memcpy(text, name, n);
	text[n] = '\0';
	return !version_parse(text, v);
}

int
pkg_store_read_link(int fd, const char *link, char name[PKG_VERSION_NAME])
{
	struct version v;
	char text[PKG_VERSION_NAME];
	ssize_t n = readlinkat(fd, link, text, sizeof(text));

	if (n < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	if (n == sizeof(text))
		return -EBADMSG;
	text[n] = '\0';
	if (!pkg_store_is_version(text, &v))
		return -EBADMSG;
	memcpy(name, text, (size_t)n + 1);
	return 0;
}

char *
pkg_store_path(const struct pkg_store *s, const struct object_type *kind, const char *name, const char *file)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s/%u/%s/%s", s->folder, kind->type, kind->sub, name, file) < 0 ? NULL : path;
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

void
pkg_files_close(struct pkg_files *f)
{
	if (f->object_fd >= 0)
		close(f->object_fd);
	if (f->payload_fd >= 0)
		close(f->payload_fd);
	f->object_fd = f->payload_fd = -1;
}

static int
open_file(int dir_fd, const char *name, int *fd, uint32_t *len, uint64_t *ino, struct err *e)
{
	struct stat st;

	*fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st))
		return err_sys(e, errno == ENOENT || errno == ELOOP ? -EBADMSG : -errno, "%s", name);
	if (!S_ISREG(st.st_mode) || st.st_size > UINT32_MAX)
		return err_set(e, -EBADMSG, "%s: a regular file expected", name);
	*len = (uint32_t)st.st_size;
	*ino = st.st_ino;
	return 0;
}

/* The object's own label, which has to be that of the folder it is in. */
static int
read_label(struct pkg_files *f, const struct object_type *kind, struct err *e)
{
	const struct object_type *found;
	struct container_object o;
	struct object_parts parts;
	struct version v;
	bool has_record;
	int rc = container_bare(f->object_fd, kind, &o, e);

	if (!rc)
		rc = object_divide(f->object_fd, &o, &parts, &has_record, e);
	if (!rc && has_record != f->is_signed)
		rc = err_set(e, -EBADMSG, "object: %s expected", f->is_signed ? "a signature" : "no signature");
	if (!rc)
		rc = object_read_label(f->object_fd, &o, &parts, &f->label, &found, e);
	if (!rc && (!pkg_store_is_version(f->name, &v) || version_compare(v, f->label.version) != 0))
		rc = err_set(e, -EBADMSG, "object: version %s expected", f->name);
	return rc;
}

static int
open_version(int sub_fd, const struct object_type *kind, struct pkg_files *f, struct err *e)
{
	int dir_fd = pkg_dir_open(sub_fd, f->name, false, e), rc;
	uint64_t ignored;

	if (dir_fd < 0)
		return dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP ? -EBADMSG : dir_fd;
	f->is_signed = !faccessat(dir_fd, "object.x", F_OK, AT_SYMLINK_NOFOLLOW);
	rc = open_file(dir_fd, f->is_signed ? "object.x" : "object", &f->object_fd, &f->object_len, &f->object_ino, e);
	if (!rc)
		rc = open_file(dir_fd, "payload", &f->payload_fd, &f->payload_len, &ignored, e);
	if (!rc)
		rc = read_label(f, kind, e);
	close(dir_fd);
	return rc;
}

struct others {
	const char *but;
	char name[PKG_VERSION_NAME];
	unsigned count;
};

static int
note_other(void *ctx, int fd, const char *name)
{
	struct others *o = ctx;
	struct version v;

	(void)fd;
	if (pkg_store_is_version(name, &v) && strcmp(name, o->but) != 0) {
		snprintf(o->name, sizeof(o->name), "%s", name);
		o->count++;
	}
	return 0;
}

/* Which version is meant. Of the older one the current one tells; where that cannot, the only other one is it. */
static int
choose(int sub_fd, enum pkg_which which, char name[PKG_VERSION_NAME])
{
	char current[PKG_VERSION_NAME] = "";
	struct others others = {.but = current};
	int rc = pkg_store_read_link(sub_fd, "current", current), fd;

	if (which == PKG_CURRENT) {
		memcpy(name, current, sizeof(current));
		return rc;
	}
	fd = rc ? -1 : pkg_dir_open(sub_fd, current, false, NULL);
	if (fd >= 0) {
		rc = pkg_store_read_link(fd, "older", name);
		close(fd);
		if (rc != -EBADMSG)
			return rc;
	}
	rc = pkg_dir_walk(sub_fd, note_other, &others, NULL);
	if (rc || others.count != 1)
		return rc ? rc : -ENOENT;
	memcpy(name, others.name, sizeof(others.name));
	return 0;
}

int
pkg_store_files(const struct pkg_store *s, const struct object_type *kind, enum pkg_which which, struct pkg_files *out,
		struct err *e)
{
	struct pkg_files f = {.object_fd = -1, .payload_fd = -1};
	int sub_fd = pkg_store_open_kind(s, kind, false, e), rc;

	if (sub_fd < 0)
		return sub_fd;
	rc = choose(sub_fd, which, f.name);
	if (rc)
		err_set(e, rc, "%s: %s", kind->name, rc == -ENOENT ? "none installed" : "a link to a version expected");
	else
		rc = open_version(sub_fd, kind, &f, e);
	close(sub_fd);
	if (rc) {
		pkg_files_close(&f);
		if (e && rc != -ENOENT)
			err_in(e, "%s %s", kind->name, f.name);
		memcpy(out->name, f.name, sizeof(f.name));
		return rc;
	}
	*out = f;
	return 0;
}

void
pkg_store_clear_slot(struct slot *slot)
{
	free(slot->in.object_path);
	free(slot->in.payload_path);
	*slot = (struct slot){0};
}

static int
fill_slot(const struct pkg_store *s, const struct object_type *kind, const struct pkg_files *f, struct slot *out)
{
	struct slot slot = {
	    .present = true,
	    .ino = f->object_ino,
	    .in = {.kind = kind,
		   .version = f->label.version,
		   .is_signed = f->is_signed,
		   .built_s = f->label.built_s,
		   .os_build = f->label.os_build,
		   .object_len = f->object_len,
		   .payload_len = f->payload_len,
		   .object_path = pkg_store_path(s, kind, f->name, f->is_signed ? "object.x" : "object"),
		   .payload_path = pkg_store_path(s, kind, f->name, "payload")},
	};

	if (!slot.in.object_path || !slot.in.payload_path) {
		pkg_store_clear_slot(&slot);
		return -ENOMEM;
	}
	*out = slot;
	return 0;
}

static bool
same_object(const struct slot *a, const struct slot *b)
{
	return a->present && b->present && a->ino == b->ino && a->in.object_len == b->in.object_len &&
	       !strcmp(a->in.object_path, b->in.object_path);
}

int
pkg_store_read_slot(const struct pkg_store *s, const struct object_type *kind, struct slot *out, struct err *e)
{
	struct pkg_files f;
	int rc = pkg_store_files(s, kind, PKG_CURRENT, &f, e);

	*out = (struct slot){0};
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = fill_slot(s, kind, &f, out);
	pkg_files_close(&f);
	return rc ? err_sys(e, rc, "%s", kind->name) : 0;
}

/* Of what is on disk; everything else may be over the next time. */
static bool
is_damage(int rc)
{
	return rc == -EBADMSG || rc == -EIO || rc == -ENOTDIR || rc == -ELOOP;
}

int
pkg_store_read_kind(struct pkg_store *s, const struct object_type *kind, struct err *e)
{
	struct slot *slot = &s->slots[types_index(kind)], found;
	int rc = pkg_store_read_slot(s, kind, &found, e);

	if (rc && !is_damage(rc))
		return rc;
	if (same_object(slot, &found))
		found.in.health = slot->in.health;
	pkg_store_clear_slot(slot);
	*slot = found;
	return rc;
}

int
pkg_store_reread(struct pkg_store *s, struct err *e)
{
	for (size_t i = 0; i < types_count(); i++) {
		struct err why = ERR_NONE;
		int rc = pkg_store_read_kind(s, types_at(i), &why);

		if (rc && !is_damage(rc))
			return err_set(e, rc, "%s", why.text);
		if (rc)
			log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Installed package object damaged", "object",
				  types_at(i)->name, "reason", why.text, NULL);
	}
	return 0;
}

const struct pkg_installed *
pkg_store_current(const struct pkg_store *s, const struct object_type *kind)
{
	const struct slot *slot = &s->slots[types_index(kind)];

	return slot->present ? &slot->in : NULL;
}

void
pkg_store_set_health(struct pkg_store *s, const struct object_type *kind, enum pkg_health h)
{
	s->slots[types_index(kind)].in.health = h;
}

/* As it is on disk: one that is damaged counts as none, but not here. */
int
pkg_store_denylist(const struct pkg_store *s, struct denylist **out, struct err *e)
{
	const struct object_type *kind = types_called(FORMAT_DENY_NAME);
	struct err why = ERR_NONE;
	struct pkg_files f;
	char *text = NULL;
	size_t len;
	int rc = pkg_store_files(s, kind, PKG_CURRENT, &f, &why);

	if (rc == -ENOENT) {
		*out = NULL;
		return 0;
	}
	if (!rc) {
		rc = file_read_fd(f.payload_fd, kind->name, FORMAT_SMALL_MAX, &text, &len, &why);
		pkg_files_close(&f);
	}
	if (!rc)
		rc = denylist_parse(text, len, out, &why);
	free(text);
	return rc ? err_set(e, rc, "%s", why.text) : 0;
}

const char *
pkg_store_folder(const struct pkg_store *s)
{
	return s->folder;
}

/* --- the lock -------------------------------------------------------------------------------------------------------
 */

int
pkg_store_lock(struct pkg_store *s, struct err *e)
{
	int fd, rc;

	if (s->lock_fd >= 0)
		return err_set(e, -EBUSY, "another update is under way");
	fd = openat(s->fd, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "%s/.lock", s->folder);
	if (!flock(fd, LOCK_EX | LOCK_NB)) {
		s->lock_fd = fd;
		return 0;
	}
	rc = errno == EWOULDBLOCK ? err_set(e, -EBUSY, "another update is under way, in another process")
				  : err_sys(e, -errno, "%s/.lock", s->folder);
	close(fd);
	return rc;
}

void
pkg_store_unlock(struct pkg_store *s)
{
	if (!s || s->lock_fd < 0)
		return;
	close(s->lock_fd);
	s->lock_fd = -1;
}

/* --- opening --------------------------------------------------------------------------------------------------------
 */

/* Nobody else is at work. What cannot be tidied up stays until the next time. */
static void
tidy(struct pkg_store *s)
{
	struct err e = ERR_NONE;
	int fd = pkg_dir_open(s->fd, PKG_STAGING, true, &e), rc = fd;

	if (fd >= 0) {
		rc = pkg_dir_empty(fd, &e);
		close(fd);
	}
	for (size_t i = 0; i < types_count() && rc >= 0; i++)
		rc = pkg_store_tidy_kind(s, types_at(i), &e);
	if (rc < 0)
		log_say(LOG_LEVEL_WARNING, "%s: tidying up: %s", s->folder, e.text);
}

static int
open_folder(struct pkg_store *s, const char *dir, struct err *e)
{
	int rc = file_make_dir(dir, 0700, e);

	s->folder = strdup(dir);
	s->slots = calloc(types_count(), sizeof(*s->slots));
	if (rc)
		return rc;
	if (!s->folder || !s->slots)
		return err_sys(e, -ENOMEM, "%s", dir);
	s->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->fd < 0 ? err_sys(e, -errno, "%s", dir) : 0;
}

int
pkg_store_open(const char *dir, struct pkg_store **out, struct err *e)
{
	struct pkg_store *s = calloc(1, sizeof(*s));
	struct err why = ERR_NONE;
	int rc;

	if (!s)
		return err_sys(e, -ENOMEM, "%s", dir);
	s->fd = s->lock_fd = -1;
	rc = open_folder(s, dir, e);
	if (!rc && !pkg_store_lock(s, &why)) {
		tidy(s);
		pkg_store_unlock(s);
	}
	if (!rc)
		rc = pkg_store_reread(s, e);
	if (rc) {
		pkg_store_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void
pkg_store_free(struct pkg_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->slots && i < types_count(); i++)
		pkg_store_clear_slot(&s->slots[i]);
	pkg_store_clear_slot(&s->coming);
	pkg_store_unlock(s);
	if (s->fd >= 0)
		close(s->fd);
	free(s->slots);
	free(s->folder);
	free(s);
}
