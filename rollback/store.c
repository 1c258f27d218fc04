#include "rollback/store.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/load.h"
#include "config/print.h"
#include "config/script.h"
#include "config/tree.h"

enum {
	REVISION_LINE = 512,  /* the comment line of a revision is shorter */
	REVISIONS_SEEN = 64,  /* looked at in the folder; older ones beyond are left alone */
	REVISION_DIGITS = 10, /* of UINT_MAX */
};

/* First line of the saved file, so that an empty configuration is not an empty file. */
static const char title[] = "# fgfmd device configuration\n";

/* A revision not yet on disk. */
struct pending {
	char *text; /* owned; NULL: none */
	size_t len;
	unsigned number; /* 0: not yet chosen */
};

struct store {
	char path[PATH_MAX];
	char folder[PATH_MAX]; /* of the revisions */
	const struct schema *schema;
	char digest[SHA256_TEXT];
	bool unsynced; /* the folder of the saved file */
	struct pending pending;
};

/* A folder that cannot be made keeps nobody from starting: a box with a disk gone read-only must still reach its
 * manager. What cannot be written says so then. */
static void
make_folders(const struct store *st, const char *state_dir)
{
	struct err e = ERR_NONE;

	if (file_make_dir(state_dir, 0700, &e) || file_make_dir(st->folder, 0700, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
}

int
store_open(const char *state_dir, const struct schema *s, struct store **out, struct err *e)
{
	struct store *st = calloc(1, sizeof(*st));
	int n, rc;

	if (!st)
		return err_sys(e, -ENOMEM, "store");
	st->schema = s;
	n = snprintf(st->path, sizeof(st->path), "%s/sys_config.conf", state_dir);
	if (n > 0 && (size_t)n < sizeof(st->path))
		n = snprintf(st->folder, sizeof(st->folder), "%s/revisions", state_dir);
	if (n < 0 || (size_t)n >= sizeof(st->folder))
		rc = err_sys(e, -ENAMETOOLONG, "%s", state_dir);
	else
		rc = crypto_sha256_text("", 0, st->digest);
	if (!rc)
		make_folders(st, state_dir);
	if (rc) {
		store_free(st);
		return rc;
	}
	*out = st;
	return 0;
}

void
store_free(struct store *st)
{
	if (!st)
		return;
	free(st->pending.text);
	free(st);
}

const char *
store_digest(const struct store *st)
{
	return st->digest;
}

/* Text that is to become a tree, and who hears of its bad lines. */
struct source {
	const char *name;
	const char *text;
	size_t len;
	void (*complain)(void *ctx, const char *line);
	void *ctx;
};

/* -EBADMSG: the text has not the form of a configuration. */
static int
form_error(int code, struct err *e)
{
	int rc = code == CLI_FAILED || code == -ENOMEM ? -ENOMEM : -EBADMSG;

	if (e)
		e->code = rc;
	return rc;
}

static int
build_tree(const struct store *st, const struct source *src, struct tree **out, struct err *e)
{
	struct tree *t = tree_new(st->schema);
	int rc;

	if (!t)
		return err_sys(e, -ENOMEM, "%s", src->name);
	rc = load_text(t, src->name, src->text, src->len, false, src->complain, src->ctx, e);
	if (rc < 0) {
		tree_free(t);
		return form_error(rc, e);
	}
	*out = t;
	return 0;
}

static int
revision_path(const struct store *st, unsigned number, char dst[PATH_MAX], struct err *e)
{
	int n = snprintf(dst, PATH_MAX, "%s/%06u.conf", st->folder, number);

	return n < 0 || n >= PATH_MAX ? err_sys(e, -ENAMETOOLONG, "%s", st->folder) : 0;
}

/* 0 for a name that is none of a revision. */
static unsigned
revision_number(const char *name)
{
	const char *dot = strchr(name, '.');
	char digits[REVISION_DIGITS + 1];
	uint64_t v;

	if (!dot || strcmp(dot, ".conf") || dot - name < 6 || dot - name > REVISION_DIGITS)
		return 0;
	snprintf(digits, sizeof(digits), "%.*s", (int)(dot - name), name);
	return text_u64(digits, UINT_MAX - 1, &v) ? 0 : (unsigned)v;
}

/* Keeps `list` in order, newest first, and the newest of all. */
static size_t
insert_number(unsigned list[REVISIONS_SEEN], size_t n, unsigned number)
{
	size_t at = n;

	while (at && list[at - 1] < number)
		at--;
	if (at == REVISIONS_SEEN)
		return n;
	if (n == REVISIONS_SEEN)
		n--;
	memmove(&list[at + 1], &list[at], (n - at) * sizeof(list[0]));
	list[at] = number;
	return n + 1;
}

static int
list_numbers(const struct store *st, unsigned list[REVISIONS_SEEN], size_t *n, struct err *e)
{
	DIR *d = opendir(st->folder);
	struct dirent *entry;

	if (!d)
		return err_sys(e, -errno, "%s", st->folder);
	*n = 0;
	while ((entry = readdir(d))) {
		unsigned number = revision_number(entry->d_name);

		if (number)
			*n = insert_number(list, *n, number);
	}
	closedir(d);
	return 0;
}

/* "# when=SECONDS digest=HEX who=TEXT\n" and the text of the saved file. 0: the header's length, or -EBADMSG. */
static int
read_header(const char *text, size_t len, struct revision *r, size_t *header)
{
	char line[REVISION_LINE];
	const char *end = memchr(text, '\n', len < sizeof(line) ? len : sizeof(line));
	int used = 0;

	if (!end)
		return -EBADMSG;
	snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
	if (sscanf(line, "# when=%" SCNd64 " digest=%64[0-9a-f] who=%n", &r->when_s, r->digest, &used) != 2 || !used)
		return -EBADMSG;
	snprintf(r->who, sizeof(r->who), "%s", line + used);
	*header = (size_t)(end - text) + 1;
	return 0;
}

/* A revision's file, whole and undamaged: its body is *text from *body on. The caller frees *text. */
static int
read_revision(const struct store *st, unsigned number, struct revision *r, char **text, size_t *body, size_t *len,
	      struct err *e)
{
	char path[PATH_MAX], digest[SHA256_TEXT];
	int rc = revision_path(st, number, path, e);

	if (!rc)
		rc = file_read(path, CONFIG_MAX_BYTES + REVISION_LINE, text, len, e);
	if (rc)
		return rc;
	r->number = number;
	if (read_header(*text, *len, r, body))
		rc = err_set(e, -EBADMSG, "%s:1:1: the line of a revision expected", path);
	else if (crypto_sha256_text(*text + *body, *len - *body, digest))
		rc = err_sys(e, -EIO, "%s", path);
	else if (strcmp(digest, r->digest))
		rc = err_set(e, -EBADMSG, "%s: its digest is not the one of its first line", path);
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}

size_t
store_revisions(const struct store *st, struct revision out[], size_t max)
{
	unsigned list[REVISIONS_SEEN];
	size_t n = 0, used = 0;

	if (list_numbers(st, list, &n, NULL))
		return 0;
	for (size_t i = 0; i < n && used < max; i++) {
		struct err e = ERR_NONE;
		struct revision r;
		size_t body, len;
		char *text;

		if (read_revision(st, list[i], &r, &text, &body, &len, &e)) {
			log_debug(DBG_ERROR, "%s", e.text);
			continue;
		}
		free(text);
		out[used++] = r;
	}
	return used;
}

int
store_revision_load(const struct store *st, unsigned number, struct tree **out,
		    void (*complain)(void *ctx, const char *line), void *ctx, struct err *e)
{
	struct revision r;
	size_t body = 0, len = 0;
	char *text = NULL;
	char path[PATH_MAX];
	int rc = read_revision(st, number, &r, &text, &body, &len, e);

	if (!rc)
		rc = revision_path(st, number, path, e);
	if (!rc) {
		const struct source src = {
		    .name = path, .text = text + body, .len = len - body, .complain = complain, .ctx = ctx};

		rc = build_tree(st, &src, out, e);
	}
	free(text);
	return rc;
}

static int
adopt_revision(struct store *st, unsigned number, const struct source *listener, struct tree **out, struct err *e)
{
	struct revision r;
	size_t body = 0, len = 0;
	char *text = NULL;
	char path[PATH_MAX];
	struct source src = *listener;
	int rc = revision_path(st, number, path, e);

	if (!rc)
		rc = read_revision(st, number, &r, &text, &body, &len, e);
	if (rc)
		return rc;
	src.name = path;
	src.text = text + body;
	src.len = len - body;
	rc = build_tree(st, &src, out, e);
	if (!rc)
		memcpy(st->digest, r.digest, sizeof(st->digest));
	free(text);
	return rc;
}

/* Makes the revision that was adopted the saved file. Failing is no harm: the next start comes to the same one. */
static int
put_back(struct store *st, unsigned number, struct err *e)
{
	struct revision r;
	size_t body = 0, len = 0;
	char *text = NULL;
	int rc = read_revision(st, number, &r, &text, &body, &len, e);

	if (!rc)
		rc = file_replace(st->path, text + body, len - body, 0600, NULL, e);
	free(text);
	return rc;
}

/* The newest revision that parses. -ENOENT: there is none. */
static int
adopt_newest(struct store *st, const struct source *listener, struct tree **out, unsigned *number)
{
	unsigned list[REVISIONS_SEEN];
	size_t n = 0;
	struct err e = ERR_NONE;

	if (list_numbers(st, list, &n, &e)) {
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
		return -ENOENT;
	}
	for (size_t i = 0; i < n; i++) {
		int rc = adopt_revision(st, list[i], listener, out, &e);

		if (!rc) {
			*number = list[i];
			return 0;
		}
		if (rc == -ENOMEM)
			return rc;
		log_say(LOG_LEVEL_WARNING, "%s", e.text);
	}
	return -ENOENT;
}

static int
empty_tree(struct store *st, struct tree **out, struct err *e)
{
	struct tree *t = tree_new(st->schema);

	if (!t)
		return err_sys(e, -ENOMEM, "configuration");
	*out = t;
	return crypto_sha256_text("", 0, st->digest);
}

/* The saved file could not be used, for the reason in `why`. */
static int
load_instead(struct store *st, const struct source *listener, const struct err *why, struct tree **out,
	     enum store_source *source, struct err *e)
{
	bool damaged = why->code != -ENOENT;
	struct err trouble = ERR_NONE;
	unsigned number = 0;
	int rc, aside = damaged ? file_link_aside(st->path, &trouble) : 0;

	rc = adopt_newest(st, listener, out, &number);
	if (!rc) {
		*source = STORE_REVISION;
		err_set(e, -EBADMSG, "%.200s; revision %u takes its place", why->text, number);
		/* a damaged file that could not be kept is not replaced either */
		if (aside || put_back(st, number, &trouble))
			log_say(LOG_LEVEL_ERROR, "%s", trouble.text);
		return 0;
	}
	if (rc == -ENOMEM)
		return err_sys(e, rc, "configuration");
	if (damaged)
		err_set(e, -EBADMSG, "%.200s; no revision can take its place", why->text);
	if (damaged && (aside || file_remove(st->path, &trouble)))
		log_say(LOG_LEVEL_ERROR, "%s", trouble.text);
	*source = STORE_EMPTY;
	return empty_tree(st, out, e);
}

/* -ENOENT also for a file of no bytes, which is what a crash makes of some files on some file systems. */
static int
read_saved(const struct store *st, char **text, size_t *len, struct err *e)
{
	int rc = file_read(st->path, CONFIG_MAX_BYTES, text, len, e);

	if (rc || *len)
		return rc;
	free(*text);
	*text = NULL;
	return err_set(e, -ENOENT, "%s: no bytes in it", st->path);
}

int
store_load(struct store *st, struct tree **out, enum store_source *source,
	   void (*complain)(void *ctx, const char *line), void *ctx, struct err *e)
{
	struct source src = {.name = st->path, .complain = complain, .ctx = ctx};
	struct err why = ERR_NONE;
	char *text = NULL;
	int rc = read_saved(st, &text, &src.len, &why);

	src.text = text;
	if (!rc)
		rc = build_tree(st, &src, out, &why);
	if (!rc && crypto_sha256_text(text, src.len, st->digest)) {
		tree_free(*out);
		*out = NULL;
		rc = err_sys(&why, -EIO, "%s", st->path);
	}
	free(text);
	if (!rc) {
		*source = STORE_SAVED;
		return 0;
	}
	if (rc == -ENOMEM)
		return err_set(e, rc, "%s", why.text);
	return load_instead(st, &src, &why, out, source, e);
}

int
store_check(const struct store *st, struct err *e)
{
	struct script *s = NULL;
	char *text = NULL;
	size_t len = 0;
	int rc = read_saved(st, &text, &len, e);

	if (!rc) {
		rc = script_parse(st->path, text, len, &s, e);
		if (rc)
			rc = form_error(rc, e);
	}
	script_free(s);
	free(text);
	return rc;
}

/* The bytes of the saved file. */
static int
render(const struct tree *t, struct buf *b)
{
	int rc = buf_str(b, title);

	return rc ? rc : print_tree(t, PRINT_SECRETS, b);
}

/* The revision to write, made before anything changes: memory cannot run out after the rename. */
static int
prepare_revision(const void *body, size_t len, const char *digest, const char *who, int64_t now_s, struct pending *out)
{
	struct buf b = BUF_INIT(CONFIG_MAX_BYTES + REVISION_LINE);
	char safe[sizeof(((struct revision *)NULL)->who)];
	int rc;

	text_escape(safe, sizeof(safe), who, strlen(who));
	rc = buf_printf(&b, "# when=%" PRId64 " digest=%s who=%s\n", now_s, digest, safe);
	if (!rc)
		rc = buf_put(&b, body, len);
	if (!rc) {
		out->number = 0;
		out->text = buf_steal(&b, &out->len);
		if (!out->text)
			rc = -ENOMEM;
	}
	buf_free(&b);
	return rc;
}

static void
prune(const struct store *st)
{
	unsigned list[REVISIONS_SEEN];
	size_t n = 0;
	char path[PATH_MAX];

	if (list_numbers(st, list, &n, NULL))
		return;
	/* one that cannot be removed now is met again after the next save */
	for (size_t i = STORE_REVISIONS; i < n; i++) {
		if (!revision_path(st, list[i], path, NULL) && unlink(path))
			log_debug(DBG_ERROR, "removing %s: %s", path, strerror(errno));
	}
}

static int
write_revision(struct store *st, struct err *e)
{
	unsigned list[REVISIONS_SEEN];
	size_t n = 0;
	char path[PATH_MAX];
	int rc = 0;

	if (!st->pending.number) {
		rc = list_numbers(st, list, &n, e);
		if (rc)
			return rc;
		st->pending.number = (n ? list[0] : 0) + 1;
	}
	rc = revision_path(st, st->pending.number, path, e);
	if (!rc)
		rc = file_replace(path, st->pending.text, st->pending.len, 0600, NULL, e);
	if (rc)
		return rc;
	free(st->pending.text);
	st->pending = (struct pending){.text = NULL};
	prune(st);
	return 0;
}

bool
store_unfinished(const struct store *st)
{
	return st->unsynced || st->pending.text;
}

int
store_finish(struct store *st, struct err *e)
{
	int rc = 0;

	if (st->unsynced) {
		rc = file_sync_parent(st->path, e);
		if (!rc)
			st->unsynced = false;
	}
	if (st->pending.text) {
		int written = write_revision(st, rc ? NULL : e);

		rc = rc ? rc : written;
	}
	return rc;
}

/* Takes over what is to be written next. */
static void
pend(struct store *st, const struct pending *p)
{
	if (st->pending.text) {
		log_debug(DBG_ERROR, "a revision could not be written and is overtaken by a newer one");
		free(st->pending.text);
	}
	st->pending = *p;
}

/* Puts the text in place. The pending revision is taken over once that is done. */
static int
replace(struct store *st, const struct buf *b, const char digest[SHA256_TEXT], struct pending *p, bool *renamed,
	struct err *e)
{
	int rc = file_replace(st->path, buf_head(b), b->len, 0600, renamed, e);

	if (!*renamed) {
		free(p->text);
		return rc;
	}
	memcpy(st->digest, digest, sizeof(st->digest));
	st->unsynced = rc != 0;
	pend(st, p);
	return store_finish(st, e);
}

int
store_save(struct store *st, const struct tree *t, const char *who, int64_t now_s, bool *renamed, struct err *e)
{
	struct buf b = BUF_INIT(CONFIG_MAX_BYTES);
	struct pending p = {.text = NULL};
	char digest[SHA256_TEXT];
	int rc;

	*renamed = false;
	store_finish(st, NULL);
	rc = render(t, &b);
	if (!rc)
		rc = crypto_sha256_text(buf_head(&b), b.len, digest);
	if (!rc)
		rc = prepare_revision(buf_head(&b), b.len, digest, who, now_s, &p);
	if (rc)
		err_sys(e, rc, "%s", st->path);
	else
		rc = replace(st, &b, digest, &p, renamed, e);
	buf_free(&b);
	return rc;
}

int
store_keep(struct store *st, const char *who, int64_t now_s, struct err *e)
{
	struct revision newest;
	struct pending p;
	char digest[SHA256_TEXT];
	char *text = NULL;
	size_t len = 0;
	int rc = read_saved(st, &text, &len, e);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = crypto_sha256_text(text, len, digest);
	if (!rc && store_revisions(st, &newest, 1) && !strcmp(newest.digest, digest)) {
		free(text);
		return 0;
	}
	if (!rc)
		rc = prepare_revision(text, len, digest, who, now_s, &p);
	free(text);
	if (rc)
		return err_sys(e, rc, "%s", st->path);
	pend(st, &p);
	return store_finish(st, e);
}
