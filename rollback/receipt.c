#include "rollback/receipt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "rollback/install.h"

/* 100 receipts of 1,000 failures each, every byte of them escaped, stay below this. */
enum { RECEIPTS_BYTES = 128 * 1024 * 1024 };

struct receipts {
	char path[PATH_MAX];
	struct receipt kept[RECEIPTS_KEPT]; /* oldest first */
	size_t count;
	bool unwritten;
};

static const char *const verdicts[] = {
    [RECEIPT_COMMITTED] = "committed",   [RECEIPT_ROLLED_BACK] = "rolled-back", [RECEIPT_REBOOTED] = "rebooted",
    [RECEIPT_POWER_LOST] = "power-lost", [RECEIPT_REFUSED] = "refused",
};

enum { VERDICTS = sizeof(verdicts) / sizeof(verdicts[0]) };

const char *
receipt_verdict_name(enum receipt_verdict v)
{
	return (unsigned)v < VERDICTS ? verdicts[v] : "unknown";
}

void
receipt_init(struct receipt *r)
{
	*r = (struct receipt){.verdict = RECEIPT_REFUSED};
}

void
receipt_clear(struct receipt *r)
{
	for (size_t i = 0; i < r->failure_count; i++)
		free(r->failures[i].text);
	free(r->failures);
	for (size_t i = 0; i < r->dry.named_count; i++)
		free(r->dry.named[i].text);
	receipt_init(r);
}

static void
count_times(struct receipt *r, int code, unsigned times)
{
	size_t i = 0;

	while (i < r->count_used && r->counts[i].code != code)
		i++;
	if (i == RECEIPT_CODES)
		return;
	if (i == r->count_used)
		r->counts[r->count_used++] = (struct receipt_count){.code = code};
	r->counts[i].times += times;
}

void
receipt_count(struct receipt *r, int code)
{
	count_times(r, code, 1);
}

/* How much of a command is kept; a UTF-8 sequence is not cut in two. */
static size_t
kept_length(const char *text)
{
	size_t n = strnlen(text, RECEIPT_COMMAND_MAX + 1);

	if (n <= RECEIPT_COMMAND_MAX)
		return n;
	n = RECEIPT_COMMAND_MAX;
	while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

int
receipt_fail(struct receipt *r, int code, unsigned line, bool unset, const char *text)
{
	struct receipt_failure f = {.code = code, .line = line, .unset = unset};
	size_t n = r->failure_count;

	if (n == RECEIPT_FAILURES)
		return 0;
	/* room grows at powers of two */
	if (!(n & (n - 1))) {
		struct receipt_failure *more = realloc(r->failures, (n ? 2 * n : 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->failures = more;
	}
	f.text = strndup(text, kept_length(text));
	if (!f.text)
		return -ENOMEM;
	r->failures[r->failure_count++] = f;
	return 0;
}

int
receipt_name(struct receipt *r, unsigned line, const char *text)
{
	struct receipt_dry *d = &r->dry;
	char *copy;

	if (d->named_count == RECEIPT_NAMED)
		return 0;
	copy = strndup(text, kept_length(text));
	if (!copy)
		return -ENOMEM;
	d->named[d->named_count].line = line;
	d->named[d->named_count++].text = copy;
	return 0;
}

static void
put_counts(struct cJSON *root, const struct receipt *r)
{
	struct cJSON *counts = json_add_object(root, "counts");
	char code[16];

	for (size_t i = 0; i < r->count_used; i++) {
		snprintf(code, sizeof(code), "%d", r->counts[i].code);
		json_add_int(counts, code, r->counts[i].times);
	}
}

static void
put_failures(struct cJSON *root, const struct receipt *r)
{
	struct cJSON *failures = json_add_array(root, "failures");

	for (size_t i = 0; i < r->failure_count; i++) {
		const struct receipt_failure *f = &r->failures[i];
		struct cJSON *one = json_new_object();

		json_add_int(one, "code", f->code);
		json_add_int(one, "line", f->line);
		json_add_str(one, "script", f->unset ? "unset" : "set");
		json_add_str(one, "command", f->text);
		json_add(failures, NULL, one);
	}
}

static void
put_dry_run(struct cJSON *root, const struct receipt_dry *d)
{
	struct cJSON *dry = json_add_object(root, "dry-run"), *list;

	json_add_int(dry, "commands", d->commands);
	json_add_int(dry, "reversible", d->reversible);
	json_add_bool(dry, "back", d->back);
	list = json_add_array(dry, "not-reversible");
	for (size_t i = 0; i < d->named_count; i++) {
		struct cJSON *one = json_new_object();

		json_add_int(one, "line", d->named[i].line);
		json_add_str(one, "command", d->named[i].text);
		json_add(list, NULL, one);
	}
}

static void
put_times(struct cJSON *root, const struct receipt *r)
{
	struct cJSON *times = json_add_object(root, "times");

	for (int s = INSTALL_IDLE + 1; s < INSTALL_STATES; s++) {
		if (r->spent_ms[s])
			json_add_int(times, install_state_name((enum install_state)s), r->spent_ms[s]);
	}
}

struct cJSON *
receipt_json(const struct receipt *r)
{
	struct cJSON *root = json_new_object();

	if (!root)
		return NULL;
	json_add_str(root, "id", r->id);
	json_add_str(root, "manager", r->manager);
	json_add_str(root, "verdict", receipt_verdict_name(r->verdict));
	json_add_str(root, "cause", r->cause);
	json_add_int(root, "when", r->when_s);
	json_add_str(root, "set-digest", r->set_digest);
	json_add_str(root, "unset-digest", r->unset_digest);
	put_counts(root, r);
	put_failures(root, r);
	if (r->dry.made)
		put_dry_run(root, &r->dry);
	json_add_int(root, "restored", r->restored);
	put_times(root, r);
	json_add_bool(root, "delivered", r->delivered);
	return root;
}

static int
read_verdict(const struct cJSON *j, enum receipt_verdict *out, struct err *e)
{
	const char *text;
	int rc = json_get_str(j, "verdict", &text, e);

	if (rc)
		return rc;
	for (int v = 0; v < VERDICTS; v++) {
		if (!strcmp(text, verdicts[v])) {
			*out = (enum receipt_verdict)v;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "key \"verdict\": not one of the known ones");
}

static int
read_numbers(const struct cJSON *j, struct receipt *r, struct err *e)
{
	int64_t restored;
	int rc = json_get_int(j, "when", INT64_MIN / 1024, INT64_MAX / 1024, &r->when_s, e);

	if (!rc)
		rc = json_get_int(j, "restored", 0, UINT_MAX, &restored, e);
	if (!rc)
		rc = json_get_bool(j, "delivered", &r->delivered, e);
	if (!rc)
		r->restored = (unsigned)restored;
	return rc;
}

static int
read_counts(const struct cJSON *j, struct receipt *r, struct err *e)
{
	const struct cJSON *counts = json_get_object(j, "counts");

	if (!counts)
		return err_set(e, -EINVAL, "key \"counts\": an object expected");
	for (const struct cJSON *c = json_first(counts); c; c = json_next(c)) {
		int64_t code, times;

		if (text_i64(json_key(c), INT_MIN, INT_MAX, &code))
			return err_set(e, -EINVAL, "key \"counts\": codes expected as names");
		if (json_get_int(counts, json_key(c), 0, UINT_MAX, &times, e))
			return -EINVAL;
		count_times(r, (int)code, (unsigned)times);
	}
	return 0;
}

static int
read_failures(const struct cJSON *j, struct receipt *r, struct err *e)
{
	const struct cJSON *failures = json_get_array(j, "failures");

	if (!failures)
		return err_set(e, -EINVAL, "key \"failures\": an array expected");
	for (const struct cJSON *f = json_first(failures); f; f = json_next(f)) {
		const char *script, *command;
		int64_t code, line;
		int rc = json_get_int(f, "code", INT_MIN, INT_MAX, &code, e);

		if (!rc)
			rc = json_get_int(f, "line", 0, UINT_MAX, &line, e);
		if (!rc)
			rc = json_get_str(f, "script", &script, e);
		if (!rc)
			rc = json_get_str(f, "command", &command, e);
		if (rc)
			return rc;
		rc = receipt_fail(r, (int)code, (unsigned)line, !strcmp(script, "unset"), command);
		if (rc)
			return err_sys(e, rc, "receipt");
	}
	return 0;
}

static int
read_named(const struct cJSON *dry, struct receipt *r, struct err *e)
{
	const struct cJSON *list = json_get_array(dry, "not-reversible");

	if (!list)
		return err_set(e, -EINVAL, "key \"not-reversible\": an array expected");
	for (const struct cJSON *one = json_first(list); one; one = json_next(one)) {
		const char *command;
		int64_t line;
		int rc = json_get_int(one, "line", 0, UINT_MAX, &line, e);

		if (!rc)
			rc = json_get_str(one, "command", &command, e);
		if (rc)
			return rc;
		rc = receipt_name(r, (unsigned)line, command);
		if (rc)
			return err_sys(e, rc, "receipt");
	}
	return 0;
}

/* Receipts of earlier versions have none. */
static int
read_dry_run(const struct cJSON *j, struct receipt *r, struct err *e)
{
	const struct cJSON *dry = json_get_object(j, "dry-run");
	int64_t commands, reversible;
	int rc;

	if (!dry)
		return json_get(j, "dry-run") ? err_set(e, -EINVAL, "key \"dry-run\": an object expected") : 0;
	rc = json_get_int(dry, "commands", 0, UINT_MAX, &commands, e);
	if (!rc)
		rc = json_get_int(dry, "reversible", 0, commands, &reversible, e);
	if (!rc)
		rc = json_get_bool(dry, "back", &r->dry.back, e);
	if (!rc)
		rc = read_named(dry, r, e);
	if (rc)
		return rc;
	r->dry.made = true;
	r->dry.commands = (unsigned)commands;
	r->dry.reversible = (unsigned)reversible;
	return 0;
}

static int
read_times(const struct cJSON *j, struct receipt *r, struct err *e)
{
	const struct cJSON *times = json_get_object(j, "times");

	if (!times)
		return err_set(e, -EINVAL, "key \"times\": an object expected");
	for (int s = INSTALL_IDLE + 1; s < INSTALL_STATES; s++) {
		const char *name = install_state_name((enum install_state)s);

		if (json_get(times, name) && json_get_int(times, name, 0, INT64_MAX / 1024, &r->spent_ms[s], e))
			return -EINVAL;
	}
	return 0;
}

int
receipt_from_json(const struct cJSON *j, struct receipt *out, struct err *e)
{
	struct receipt r;
	int rc;

	receipt_init(&r);
	rc = json_get_text(j, "id", r.id, sizeof(r.id), e);
	if (!rc)
		rc = json_get_text(j, "manager", r.manager, sizeof(r.manager), e);
	if (!rc)
		rc = json_get_text(j, "cause", r.cause, sizeof(r.cause), e);
	if (!rc)
		rc = json_get_text(j, "set-digest", r.set_digest, sizeof(r.set_digest), e);
	if (!rc)
		rc = json_get_text(j, "unset-digest", r.unset_digest, sizeof(r.unset_digest), e);
	if (!rc)
		rc = read_verdict(j, &r.verdict, e);
	if (!rc)
		rc = read_numbers(j, &r, e);
	if (!rc)
		rc = read_counts(j, &r, e);
	if (!rc)
		rc = read_failures(j, &r, e);
	if (!rc)
		rc = read_dry_run(j, &r, e);
	if (!rc)
		rc = read_times(j, &r, e);
	if (rc)
		receipt_clear(&r);
	else
		*out = r;
	return rc;
}

static void
drop_oldest(struct receipts *rs)
{
	receipt_clear(&rs->kept[0]);
	rs->count--;
	memmove(&rs->kept[0], &rs->kept[1], rs->count * sizeof(rs->kept[0]));
}

/* Takes what `r` owns. */
static void
keep(struct receipts *rs, struct receipt *r)
{
	if (rs->count == RECEIPTS_KEPT)
		drop_oldest(rs);
	rs->kept[rs->count++] = *r;
	receipt_init(r);
}

static int
read_line(struct receipts *rs, const char *line, size_t len, struct err *e)
{
	struct cJSON *j = json_parse(line, len, e);
	struct receipt r;
	int rc;

	if (!j)
		return -EINVAL;
	rc = receipt_from_json(j, &r, e);
	json_free(j);
	if (!rc)
		keep(rs, &r);
	return rc;
}

/* Every good line is kept; the first bad one's reason is in `e`. */
static int
read_lines(struct receipts *rs, const char *text, size_t len, struct err *e)
{
	unsigned number = 0;
	int bad = 0;

	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		struct err why = ERR_NONE;
		int rc = read_line(rs, text, n, &why);

		number++;
		if (rc == -ENOMEM)
			return err_sys(e, rc, "%s", rs->path);
		if (rc && !bad)
			bad = err_set(e, -EBADMSG, "%s:%u: %.200s", rs->path, number, why.text);
		text += n + (end ? 1 : 0);
		len -= n + (end ? 1 : 0);
	}
	return bad;
}

/* The file is damaged: it is kept beside, and what was good in it is written anew with the next change. */
static void
rescue(struct receipts *rs, const struct err *why)
{
	struct err e = ERR_NONE;

	log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_ERROR, "Receipts damaged", "file", rs->path, "reason", why->text, NULL);
	if (file_link_aside(rs->path, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
	rs->unwritten = true;
}

int
receipts_open(const char *state_dir, struct receipts **out, struct err *e)
{
	struct receipts *rs = calloc(1, sizeof(*rs));
	struct err why = ERR_NONE;
	char *text = NULL;
	size_t len = 0;
	int n, rc;

	if (!rs)
		return err_sys(e, -ENOMEM, "receipts");
	n = snprintf(rs->path, sizeof(rs->path), "%s/receipts.jsonl", state_dir);
	if (n < 0 || (size_t)n >= sizeof(rs->path)) {
		free(rs);
		return err_sys(e, -ENAMETOOLONG, "%s", state_dir);
	}
	rc = file_read(rs->path, RECEIPTS_BYTES, &text, &len, &why);
	if (!rc)
		rc = read_lines(rs, text, len, &why);
	free(text);
	if (rc == -ENOMEM) {
		receipts_free(rs);
		*e = why;
		return rc;
	}
	if (rc && rc != -ENOENT)
		rescue(rs, &why);
	*out = rs;
	return 0;
}

void
receipts_free(struct receipts *rs)
{
	if (!rs)
		return;
	for (size_t i = 0; i < rs->count; i++)
		receipt_clear(&rs->kept[i]);
	free(rs);
}

size_t
receipts_count(const struct receipts *rs)
{
	return rs->count;
}

const struct receipt *
receipts_at(const struct receipts *rs, size_t i)
{
	return i < rs->count ? &rs->kept[i] : NULL;
}

const struct receipt *
receipts_find(const struct receipts *rs, const char *id)
{
	for (size_t i = rs->count; i-- > 0;) {
		if (!strcmp(rs->kept[i].id, id))
			return &rs->kept[i];
	}
	return NULL;
}

static int
put_receipt(struct buf *b, const struct receipt *r)
{
	struct cJSON *j = receipt_json(r);
	char *line = j ? json_line(j) : NULL;
	int rc = -ENOMEM;

	if (line)
		rc = buf_printf(b, "%s\n", line);
	free(line);
	json_free(j);
	return rc;
}

static int
save(struct receipts *rs, struct err *e)
{
	struct buf b = BUF_INIT(RECEIPTS_BYTES);
	bool renamed = false;
	int rc = 0;

	rs->unwritten = true;
	for (size_t i = 0; i < rs->count && !rc; i++)
		rc = put_receipt(&b, &rs->kept[i]);
	if (rc)
		err_sys(e, rc, "%s", rs->path);
	else
		rc = file_replace(rs->path, buf_head(&b), b.len, 0600, &renamed, e);
	buf_free(&b);
	if (!rc)
		rs->unwritten = false;
	return rc;
}

int
receipts_add(struct receipts *rs, struct receipt *r, struct err *e)
{
	keep(rs, r);
	return save(rs, e);
}

bool
receipts_unwritten(const struct receipts *rs)
{
	return rs->unwritten;
}

int
receipts_flush(struct receipts *rs, struct err *e)
{
	return rs->unwritten ? save(rs, e) : 0;
}

/* Some manager waits for it. */
static bool
is_owed(const struct receipt *r)
{
	return !r->delivered && r->manager[0];
}

const struct receipt *
receipts_undelivered(const struct receipts *rs, const char *serial)
{
	for (size_t i = 0; i < rs->count; i++) {
		const struct receipt *r = &rs->kept[i];

		if (is_owed(r) && (!serial || !strcmp(r->manager, serial)))
			return r;
	}
	return NULL;
}

int
receipts_delivered(struct receipts *rs, const char *id, struct err *e)
{
	for (size_t i = 0; i < rs->count; i++) {
		struct receipt *r = &rs->kept[i];

		if (is_owed(r) && !strcmp(r->id, id)) {
			r->delivered = true;
			return save(rs, e);
		}
	}
	return err_set(e, -ENOENT, "no receipt of install %.64s waits for delivery", id);
}

const struct receipt *
receipts_rolled_back(const struct receipts *rs, const char *set_digest, const char *unset_digest)
{
	for (size_t i = rs->count; i-- > 0;) {
		const struct receipt *r = &rs->kept[i];

		/* a refused install never ran: it says nothing about the scripts */
		if (r->verdict == RECEIPT_REFUSED || strcmp(r->set_digest, set_digest) ||
		    strcmp(r->unset_digest, unset_digest))
			continue;
		return r->verdict != RECEIPT_COMMITTED ? r : NULL;
	}
	return NULL;
}
