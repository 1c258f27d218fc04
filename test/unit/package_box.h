/* package_box: a store in a folder of its own, updates that run to their end with answers given before, and what was
 * said of them. For tests that name "wrap: log_event"; beside package_fixture.h.
 */
#ifndef TEST_UNIT_PACKAGE_BOX_H
#define TEST_UNIT_PACKAGE_BOX_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "package/object.h"
#include "package/pkg_job.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "test/unit/package_fixture.h"
#include "test/unit/open_files.h"

enum { BOX_NOW = 1645661796, BOX_BUILD = 1254 };

static struct {
	char folder[128]; /* of the store */
	struct pkg_store *store;
	struct pkg_status *status;
	struct buf events, lines;
	struct log_sink sink;
} box;

/* --- what is said ---------------------------------------------------------------------------------------------------
 */

void __wrap_log_event(const char *logid, enum log_level level, const char *desc, ...);

/* "ID desc|key=value|…" */
void
__wrap_log_event(const char *logid, enum log_level level, const char *desc, ...)
{
	const char *key;
	va_list ap;

	buf_printf(&box.events, "%s %d %s", logid, level, desc);
	va_start(ap, desc);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);

		buf_printf(&box.events, "|%s=%s", key, value ? value : "");
	}
	va_end(ap);
	buf_str(&box.events, "\n");
}

static inline void
box_line(void *ctx, const char *line)
{
	buf_printf(ctx, "%s\n", line);
}

static inline const char *
box_text(struct buf *b)
{
	buf_put(b, "", 1);
	buf_cut(b, b->len - 1);
	return (const char *)buf_head(b);
}

static inline void
box_hush(void)
{
	buf_cut(&box.events, 0);
	buf_cut(&box.lines, 0);
}

static inline bool
box_event(const char *words)
{
	return strstr(box_text(&box.events), words) != NULL;
}

static inline bool
box_said(const char *words)
{
	return strstr(box_text(&box.lines), words) != NULL;
}

/* --- the store ------------------------------------------------------------------------------------------------------
 */

static inline int
box_reopen(void)
{
	struct err e = ERR_NONE;

	pkg_store_free(box.store);
	pkg_status_free(box.status);
	box.store = NULL;
	box.status = NULL;
	if (!pkg_store_open(box.folder, &box.store, &e) && !pkg_status_load(box.folder, &box.status, &e))
		return 0;
	fprintf(stderr, "%s\n", e.text);
	return -1;
}

static inline int
box_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Anew: nothing installed, nothing said. */
static inline int
box_open(void)
{
	snprintf(box.folder, sizeof(box.folder), "%s/state", fixture_folder);
	nftw(box.folder, box_remove, 16, FTW_DEPTH | FTW_PHYS);
	box.events.max = box.lines.max = 1024 * 1024;
	box_hush();
	if (!box.sink.line) {
		box.sink = (struct log_sink){.line = box_line, .ctx = &box.lines};
		log_attach(&box.sink);
		log_sink_mask(&box.sink, DBG_PACKAGE);
	}
	return box_reopen();
}

static inline void
box_close(void)
{
	pkg_store_free(box.store);
	pkg_status_free(box.status);
	box.store = NULL;
	box.status = NULL;
	log_detach(&box.sink);
	box.sink.line = NULL;
	buf_free(&box.events);
	buf_free(&box.lines);
}

/* "19.00264", or "none". */
static inline const char *
box_version(const char *name)
{
	static char text[VERSION_TEXT];
	const struct pkg_installed *in = pkg_store_current(box.store, types_called(name));

	return in ? version_text(text, in->version) : "none";
}

static inline size_t
box_count(const char *sub)
{
	char path[256];
	DIR *d;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", box.folder, sub);
	d = opendir(path);
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return n;
}

static struct buf box_seen;

static inline int
box_see(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char *text = NULL, digest[SHA256_TEXT] = "";
	size_t len = 0;
	ssize_t n;

	(void)st;
	if (!strcmp(path + at->base, ".lock"))
		return 0;
	if (type == FTW_F && !file_read(path, 64 * 1024 * 1024, &text, &len, NULL))
		crypto_sha256_text(text, len, digest);
	else if (type == FTW_SL && (n = readlink(path, digest, sizeof(digest) - 1)) >= 0)
		digest[n] = '\0';
	free(text);
	return buf_printf(&box_seen, "%s %d %s\n", path + strlen(box.folder), type, digest);
}

static inline int
box_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything in the folder by name, link, and content: two of them are equal when nothing has changed. The caller's. */
static inline char *
box_picture(void)
{
	char *lines[256], *save = NULL, *text;
	struct buf sorted = BUF_INIT(1024 * 1024);
	size_t n = 0;

	box_seen.max = 1024 * 1024;
	if (nftw(box.folder, box_see, 16, FTW_PHYS))
		abort();
	text = buf_steal(&box_seen, NULL);
	for (char *line = strtok_r(text, "\n", &save); line && n < 256; line = strtok_r(NULL, "\n", &save))
		lines[n++] = line;
	qsort(lines, n, sizeof(lines[0]), box_compare);
	for (size_t i = 0; i < n; i++)
		buf_printf(&sorted, "%s\n", lines[i]);
	free(text);
	return buf_steal(&sorted, NULL);
}

/* --- packages without signature -------------------------------------------------------------------------------------
 */

struct box_object {
	const char *name, *version;
	uint32_t os_build;
	const char *payload; /* NULL: its name */
};

static inline uint8_t *
box_put_be(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		*p++ = (uint8_t)(v >> 8 * i);
	return p;
}

/* Header and data. */
static inline void
box_put_object(struct buf *b, const struct box_object *o)
{
	const struct object_type *kind = types_called(o->name);
	const char *payload = o->payload ? o->payload : o->name;
	uint32_t payload_len = (uint32_t)strlen(payload);
	uint8_t head[128] = {0}, inner[33] = "FOBJ\1", *p = inner + 5;
	struct version v = {0, 0};
	uLong sum;

	if (version_parse(o->version, &v))
		abort();

	memcpy(p, kind->type, 4);
	p = box_put_be(p + 4, kind->sub, 2);
	p = box_put_be(p, v.major, 2);
	p = box_put_be(p, v.minor, 4);
	p = box_put_be(p, BOX_NOW, 8);
	p = box_put_be(p, o->os_build, 4);
	box_put_be(p, payload_len, 4);
	memcpy(head, kind->type, 4);
	memcpy(head + 4, kind->name, strlen(kind->name));
	fixture_put32(head + 48, 33 + payload_len);
	fixture_put32(head + 52, 128);
	sum = crc32(crc32(0, inner, 33), (const Bytef *)payload, payload_len);
	fixture_put32(head + 120, (uint32_t)sum);
	fixture_put32(head + 124, (uint32_t)crc32(crc32(0, head, 124), (const Bytef *)"H1dN", 4));
	buf_put(b, head, sizeof(head));
	buf_put(b, inner, sizeof(inner));
	buf_put(b, payload, payload_len);
}

/* A package of them, in memory. */
static inline int
box_package(const struct box_object *objects, size_t n)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);
	uint8_t head[64] = "PUTF7.2.0";
	int fd;

	buf_put(&b, head, sizeof(head));
	for (size_t i = 0; i < n; i++)
		box_put_object(&b, &objects[i]);
	fixture_put32(head + 12, (uint32_t)n);
	fixture_put32(head + 16, (uint32_t)b.len - 64);
	fixture_put32(head + 20, 64);
	memcpy(head + 24, "202202231700", 12);
	fixture_put32(head + 60, (uint32_t)crc32(crc32(0, head, 60), (const Bytef *)"B1gS", 4));
	memcpy(b.data + b.off, head, sizeof(head));
	fd = fixture_memory(buf_head(&b), b.len);
	buf_free(&b);
	return fd;
}

/* A file of the folder, for reading. */
static inline int
box_file(const char *name)
{
	return open(fixture_path(name), O_RDONLY | O_CLOEXEC);
}

/* --- running an update ----------------------------------------------------------------------------------------------
 */

/* How the world answers, and what it was asked. */
struct box_script {
	bool yes_unsigned, yes_older, wrong_digest;
	int validate_rc, reload_rc;
	int steps_max; /* it is broken off after so many; 0: never */
	unsigned asked_unsigned, asked_older, validated, reloaded;
	char question[1024], loaded[VERSION_TEXT];
};

static inline struct pkg_job_params
box_params(enum update_way way, enum level level)
{
	return (struct pkg_job_params){
	    .store = box.store,
	    .status = box.status,
	    .check = fixture_check(),
	    .level = level,
	    .way = way,
	    .families = PKG_ALL,
	    .os_build = BOX_BUILD,
	    .now_s = BOX_NOW,
	    .user = "admin",
	    .ui = "ssh(192.0.2.9)",
	};
}

static inline void
box_answer(struct pkg_job *job, struct box_script *s)
{
	const struct pkg_question *q = pkg_job_question(job);
	bool is_unsigned = q->what == PKG_ASK_UNSIGNED;
	uint8_t digest[32];

	memcpy(digest, q->digest, sizeof(digest));
	digest[0] ^= s->wrong_digest;
	s->asked_unsigned += is_unsigned;
	s->asked_older += !is_unsigned;
	snprintf(s->question, sizeof(s->question), "%s", q->text);
	pkg_job_answer(job, is_unsigned ? s->yes_unsigned : s->yes_older, digest);
}

static inline void
box_execute(struct pkg_job *job, struct box_script *s)
{
	const struct pkg_run *run = pkg_job_run(job);
	bool validate = run->what == PKG_VALIDATE;

	s->validated += validate;
	s->reloaded += !validate;
	if (!validate)
		version_text(s->loaded, run->version);
	pkg_job_ran(job, validate ? s->validate_rc : s->reload_rc, "because");
}

/* To its end or, broken off, as far as it may go: then NULL. */
static inline const struct pkg_result *
box_run(struct pkg_job *job, struct box_script *s)
{
	for (int i = 0; !s->steps_max || i < s->steps_max; i++) {
		enum pkg_step step = pkg_job_step(job);

		if (step == PKG_ASK)
			box_answer(job, s);
		else if (step == PKG_RUN)
			box_execute(job, s);
		else if (step == PKG_DONE)
			return pkg_job_result(job);
	}
	return NULL;
}

/* The whole of it. What `out` says of objects is gone; the first one's result is in *first (may be NULL). */
static inline int
box_update(const struct pkg_job_params *p, int fd, struct box_script *s, struct pkg_result *out,
	   struct pkg_object_result *first)
{
	const struct pkg_result *r;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;
	int rc = pkg_job_new(p, fd, &job, &e);

	if (rc)
		return rc;
	r = box_run(job, s);
	if (r)
		*out = *r;
	if (r && first && r->count)
		*first = r->objects[0];
	pkg_job_free(job);
	return r ? 0 : -ECANCELED;
}

#endif
