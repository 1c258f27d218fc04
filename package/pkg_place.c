#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "package/pkg_dir.h"
#include "package/pkg_store_private.h"
#include "package/pkg_store_state.h"
#include "package/types.h"

#define NEW "new"    /* in staging: the folder that becomes a version's */
#define BACK ".back" /* beside `current`: made before it changes, so that going back needs no room on the disk */

int
pkg_store_new_file(const struct pkg_store *s, int *fd, struct err *e)
{
	int got = openat(s->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (got < 0)
		return err_sys(e, -errno, "a file in %s", s->folder);
	*fd = got;
	return 0;
}

/* --- putting it there -----------------------------------------------------------------------------------------------
 */

static int
give_name(int fd, int dir_fd, const char *name, struct err *e)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW) ? err_sys(e, -errno, "%s", name) : 0;
}

static int
fill_folder(int dir_fd, const struct pkg_placed *p, bool is_signed, int object_fd, int payload_fd, struct err *e)
{
	int rc = give_name(object_fd, dir_fd, is_signed ? "object.x" : "object", e);

	if (!rc)
		rc = give_name(payload_fd, dir_fd, "payload", e);
	if (!rc && p->before[0] && symlinkat(p->before, dir_fd, "older"))
		rc = err_sys(e, -errno, "older");
	return rc ? rc : pkg_dir_sync(dir_fd, "a version's folder", e);
}

/* Only the current version and the one before may be there, so that a few tries are enough. */
static int
choose_name(int sub_fd, struct version v, char name[PKG_VERSION_NAME], struct err *e)
{
	char text[VERSION_TEXT];
	struct stat st;

	version_text(text, v);
	for (unsigned i = 1; i <= 9; i++) {
		snprintf(name, PKG_VERSION_NAME, i > 1 ? "%s-%u" : "%s", text, i);
		if (fstatat(sub_fd, name, &st, AT_SYMLINK_NOFOLLOW))
			return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", name);
	}
	return err_set(e, -EEXIST, "%s: there are nine of it already", text);
}

static int
stage(int staging_fd, const struct pkg_placed *p, bool is_signed, int object_fd, int payload_fd, struct err *e)
{
	int rc = pkg_dir_remove(staging_fd, NEW, e), dir_fd;

	if (rc)
		return rc;
	dir_fd = pkg_dir_open(staging_fd, NEW, true, e);
	if (dir_fd < 0)
		return dir_fd;
	rc = fill_folder(dir_fd, p, is_signed, object_fd, payload_fd, e);
	close(dir_fd);
	return rc;
}

static int
move_there(int staging_fd, int sub_fd, const struct pkg_placed *p, struct err *e)
{
	int rc;

	if (renameat(staging_fd, NEW, sub_fd, p->name))
		return err_sys(e, -errno, "%s", p->name);
	rc = pkg_dir_sync(sub_fd, p->kind->name, e);
	if (rc)
		pkg_dir_remove(sub_fd, p->name, NULL);
	return rc;
}

int
pkg_store_put(struct pkg_store *s, const struct object_type *kind, struct version v, bool is_signed, int object_fd,
	      int payload_fd, struct pkg_placed *out, struct err *e)
{
	struct pkg_placed p = {.kind = kind};
	int staging_fd = pkg_dir_open(s->fd, PKG_STAGING, true, e), sub_fd, rc;

	if (staging_fd < 0)
		return staging_fd;
	rc = sub_fd = pkg_store_open_kind(s, kind, true, e);
	if (sub_fd >= 0) {
		/* a link that names nothing is replaced */
		if (pkg_store_read_link(sub_fd, "current", p.before))
			p.before[0] = '\0';
		rc = choose_name(sub_fd, v, p.name, e);
	}
	if (!rc)
		rc = stage(staging_fd, &p, is_signed, object_fd, payload_fd, e);
	if (!rc)
		rc = move_there(staging_fd, sub_fd, &p, e);
	if (!rc)
		*out = p;
	else
		pkg_dir_remove(staging_fd, NEW, NULL);
	if (sub_fd >= 0)
		close(sub_fd);
	close(staging_fd);
	return rc;
}

/* --- making it current ----------------------------------------------------------------------------------------------
 */

static int
swap(int sub_fd, struct pkg_placed *p, struct err *e)
{
	int rc = p->before[0] ? pkg_dir_link(sub_fd, BACK, p->before, e) : pkg_dir_remove(sub_fd, BACK, e);

	if (!rc)
		rc = pkg_dir_link(sub_fd, "current", p->name, e);
	if (rc)
		return rc;
	p->swapped = true;
	return pkg_dir_sync(sub_fd, p->kind->name, e);
}

int
pkg_store_swap(struct pkg_store *s, struct pkg_placed *p, struct err *e)
{
	int sub_fd = pkg_store_open_kind(s, p->kind, false, e), rc;

	if (sub_fd < 0)
		return sub_fd;
	rc = swap(sub_fd, p, e);
	close(sub_fd);
	pkg_store_clear_slot(&s->coming);
	return rc ? rc : pkg_store_read_slot(s, p->kind, &s->coming, e);
}

const struct pkg_installed *
pkg_store_coming(const struct pkg_store *s)
{
	return &s->coming.in;
}

static int
go_back(int sub_fd, struct pkg_placed *p, struct err *e)
{
	int failed;

	if (!p->swapped)
		return 0;
	failed = p->before[0] ? renameat(sub_fd, BACK, sub_fd, "current") : unlinkat(sub_fd, "current", 0);
	if (failed)
		return err_sys(e, -errno, "%s: going back from version %s", p->kind->name, p->name);
	p->swapped = false;
	return pkg_dir_sync(sub_fd, p->kind->name, e);
}

int
pkg_store_back(struct pkg_store *s, struct pkg_placed *p, struct err *e)
{
	int sub_fd = pkg_store_open_kind(s, p->kind, false, e), rc;
	struct err why = ERR_NONE;

	if (sub_fd < 0)
		return sub_fd;
	pkg_store_clear_slot(&s->coming);
	rc = go_back(sub_fd, p, e);
	/* still current: it must not go */
	if (!p->swapped && (pkg_dir_remove(sub_fd, p->name, &why) || pkg_dir_remove(sub_fd, BACK, &why)))
		log_say(LOG_LEVEL_WARNING, "%s: %s", p->kind->name, why.text);
	close(sub_fd);
	return rc;
}

void
pkg_store_settle(struct pkg_store *s, struct pkg_placed *p)
{
	struct slot *slot = &s->slots[types_index(p->kind)];
	struct err e = ERR_NONE;

	pkg_store_clear_slot(slot);
	*slot = s->coming;
	slot->in.health = PKG_GOOD;
	s->coming = (struct slot){0};
	if (pkg_store_tidy_kind(s, p->kind, &e))
		log_say(LOG_LEVEL_WARNING, "%s: %s", p->kind->name, e.text);
}

int
pkg_store_replace(struct pkg_store *s, const struct object_type *kind, const char *name, struct err *e)
{
	int sub_fd = pkg_store_open_kind(s, kind, false, e), rc;

	if (sub_fd < 0)
		return sub_fd;
	rc = name ? pkg_dir_link(sub_fd, "current", name, e) : pkg_dir_remove(sub_fd, "current", e);
	if (!rc)
		rc = pkg_dir_sync(sub_fd, kind->name, e);
	close(sub_fd);
	if (!rc)
		rc = pkg_store_tidy_kind(s, kind, e);
	return rc ? rc : pkg_store_read_kind(s, kind, e);
}

/* --- what need not stay ---------------------------------------------------------------------------------------------
 */

struct kept {
	char current[PKG_VERSION_NAME], older[PKG_VERSION_NAME];
	struct err *e;
};

static int
remove_unless_kept(void *ctx, int fd, const char *name)
{
	const struct kept *k = ctx;
	struct version v;
	bool ours = pkg_store_is_version(name, &v) || name[0] == '.';

	return ours && strcmp(name, k->current) && strcmp(name, k->older) ? pkg_dir_remove(fd, name, k->e) : 0;
}

/* False: what is current cannot be told. */
static bool
find_kept(int sub_fd, struct kept *k)
{
	int rc = pkg_store_read_link(sub_fd, "current", k->current), fd;

	if (rc)
		return rc == -ENOENT;
	fd = pkg_dir_open(sub_fd, k->current, false, NULL);
	if (fd < 0)
		return false;
	rc = pkg_store_read_link(fd, "older", k->older);
	close(fd);
	return !rc || rc == -ENOENT;
}

int
pkg_store_tidy_kind(struct pkg_store *s, const struct object_type *kind, struct err *e)
{
	struct kept k = {.e = e};
	int sub_fd = pkg_store_open_kind(s, kind, false, e), rc = 0;

	if (sub_fd < 0)
		return sub_fd == -ENOENT ? 0 : sub_fd;
	if (find_kept(sub_fd, &k))
		rc = pkg_dir_walk(sub_fd, remove_unless_kept, &k, e);
	close(sub_fd);
	return rc;
}
