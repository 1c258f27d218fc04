#include "rollback/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "config/script.h"

/* A record: magic, kind, number, length of the payload, SHA-256 of all that and the payload, payload. */
enum {
	MAGIC_BYTES = 4,
	PREFIX_BYTES = MAGIC_BYTES + 1 + 4 + 4,
	HEADER_BYTES = PREFIX_BYTES + SHA256_BYTES,
	/* both scripts, and marks of more starts than any box will see */
	JOURNAL_BYTES = 2 * SCRIPT_MAX_BYTES + 16 * 1024 * 1024,
	READ_TRIES = 3,
};

static const uint8_t magic[MAGIC_BYTES] = {'f', 'j', 'r', '1'};

/* Kinds of records, in the order they stand; marks go on to the end. */
static const char kinds[] = "hsum";

enum { KIND_HEAD, KIND_SET, KIND_UNSET, KIND_MARK };

struct record {
	char kind;
	uint32_t number;
	const uint8_t *payload;
	size_t len;
};

struct journal {
	struct journal_head head;
	struct journal_mark last;
	char path[PATH_MAX];
	char *text; /* of a loaded one: the whole file, which the scripts of the head point into */
	char damage[256];
	int fd;
	off_t end;       /* of the last good record */
	uint32_t number; /* of the next record */
};

static int
path_of(const char *state_dir, char dst[PATH_MAX], struct err *e)
{
	int n = snprintf(dst, PATH_MAX, "%s/install.journal", state_dir);

	return n < 0 || n >= PATH_MAX ? err_sys(e, -ENAMETOOLONG, "%s", state_dir) : 0;
}

static void
put_u32be(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Digest of a record: its prefix and its payload, which stand together but for the digest between them. */
static int
digest_of(const uint8_t prefix[PREFIX_BYTES], const uint8_t *payload, size_t len, uint8_t out[SHA256_BYTES])
{
	uint8_t both[PREFIX_BYTES + SHA256_BYTES];

	memcpy(both, prefix, PREFIX_BYTES);
	if (crypto_sha256(payload, len, both + PREFIX_BYTES))
		return -EIO;
	return crypto_sha256(both, sizeof(both), out);
}

static int
put_record(struct buf *b, int kind, uint32_t number, const void *payload, size_t len)
{
	uint8_t header[HEADER_BYTES];
	int rc;

	memcpy(header, magic, MAGIC_BYTES);
	header[MAGIC_BYTES] = (uint8_t)kinds[kind];
	put_u32be(header + MAGIC_BYTES + 1, number);
	put_u32be(header + MAGIC_BYTES + 5, (uint32_t)len);
	rc = digest_of(header, payload, len, header + PREFIX_BYTES);
	if (!rc)
		rc = buf_put(b, header, sizeof(header));
	return rc ? rc : buf_put(b, payload, len);
}

static int
put_json(struct buf *b, int kind, uint32_t number, struct cJSON *j)
{
	char *line = j ? json_line(j) : NULL;
	int rc = line ? put_record(b, kind, number, line, strlen(line)) : -ENOMEM;

	free(line);
	json_free(j);
	return rc;
}

static struct cJSON *
head_json(const struct journal_head *h)
{
	struct cJSON *j = json_new_object();

	json_add_str(j, "id", h->id);
	json_add_str(j, "manager", h->manager);
	json_add_str(j, "saved-digest", h->saved_digest);
	json_add_str(j, "boot", h->boot_id);
	json_add_int(j, "when", h->when_s);
	json_add_bool(j, "reboot", h->manager_allows_reboot);
	return j;
}

static struct cJSON *
mark_json(const struct journal_mark *m)
{
	struct cJSON *j = json_new_object();
	struct cJSON *spent;

	json_add_str(j, "state", install_state_name(m->state));
	json_add_int(j, "starts", m->starts);
	json_add_int(j, "deadline", m->deadline_ms);
	json_add_int(j, "left", m->left_ms);
	json_add_int(j, "retest", m->retest_ms);
	json_add_bool(j, "applied", m->applied);
	if (m->dry) {
		json_add_bool(j, "dry-back", m->dry_back);
		json_add_int(j, "dry-commands", m->dry_commands);
		json_add_int(j, "dry-reversible", m->dry_reversible);
	}
	json_add_int(j, "restored", m->restored);
	json_add_str(j, "cause", m->cause);
	spent = json_add_object(j, "spent");
	for (int s = 0; s < INSTALL_STATES; s++)
		json_add_int(spent, install_state_name((enum install_state)s), m->spent_ms[s]);
	return j;
}

static int
read_head(const struct cJSON *j, struct journal_head *h, struct err *e)
{
	int rc = json_get_text(j, "id", h->id, sizeof(h->id), e);

	if (!rc)
		rc = json_get_text(j, "manager", h->manager, sizeof(h->manager), e);
	if (!rc)
		rc = json_get_text(j, "saved-digest", h->saved_digest, sizeof(h->saved_digest), e);
	if (!rc)
		rc = json_get_text(j, "boot", h->boot_id, sizeof(h->boot_id), e);
	if (!rc)
		rc = json_get_int(j, "when", INT64_MIN / 1024, INT64_MAX / 1024, &h->when_s, e);
	return rc ? rc : json_get_bool(j, "reboot", &h->manager_allows_reboot, e);
}

static int
read_state(const struct cJSON *j, enum install_state *out, struct err *e)
{
	const char *text;
	int rc = json_get_str(j, "state", &text, e);

	if (rc)
		return rc;
	for (int s = INSTALL_IDLE + 1; s < INSTALL_STATES; s++) {
		if (!strcmp(text, install_state_name((enum install_state)s))) {
			*out = (enum install_state)s;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "key \"state\": a state of an install expected");
}

static int
read_spent(const struct cJSON *j, struct journal_mark *m, struct err *e)
{
	const struct cJSON *spent = json_get_object(j, "spent");
	int rc = spent ? 0 : err_set(e, -EINVAL, "key \"spent\": an object expected");

	for (int s = 0; s < INSTALL_STATES && !rc; s++)
		rc = json_get_int(spent, install_state_name((enum install_state)s), 0, INT64_MAX / 1024,
				  &m->spent_ms[s], e);
	return rc;
}

/* All of it or nothing: a mark from before the dry run has none. */
static int
read_dry_run(const struct cJSON *j, struct journal_mark *m, struct err *e)
{
	int64_t commands, reversible;
	int rc;

	if (!json_get(j, "dry-commands"))
		return 0;
	rc = json_get_int(j, "dry-commands", 0, UINT_MAX, &commands, e);
	if (!rc)
		rc = json_get_int(j, "dry-reversible", 0, commands, &reversible, e);
	if (!rc)
		rc = json_get_bool(j, "dry-back", &m->dry_back, e);
	if (rc)
		return rc;
	m->dry = true;
	m->dry_commands = (unsigned)commands;
	m->dry_reversible = (unsigned)reversible;
	return 0;
}

static int
read_mark(const struct cJSON *j, struct journal_mark *m, struct err *e)
{
	int64_t starts, restored;
	int rc = read_state(j, &m->state, e);

	if (!rc)
		rc = json_get_int(j, "starts", 0, UINT_MAX, &starts, e);
	if (!rc)
		rc = json_get_int(j, "deadline", 0, INT64_MAX / 1024, &m->deadline_ms, e);
	if (!rc)
		rc = json_get_int(j, "left", 0, INSTALL_TEST_MS, &m->left_ms, e);
	if (!rc)
		rc = json_get_int(j, "retest", 0, INSTALL_RETEST_MS, &m->retest_ms, e);
	if (!rc)
		rc = json_get_bool(j, "applied", &m->applied, e);
	if (!rc)
		rc = json_get_int(j, "restored", 0, UINT_MAX, &restored, e);
	if (!rc)
		rc = json_get_text(j, "cause", m->cause, sizeof(m->cause), e);
	if (!rc)
		rc = read_spent(j, m, e);
	if (!rc)
		rc = read_dry_run(j, m, e);
	if (rc)
		return rc;
	m->starts = (unsigned)starts;
	m->restored = (unsigned)restored;
	return 0;
}

/* The record at `p`, whole and undamaged, or false. */
static bool
get_record(const uint8_t *p, size_t left, struct record *out)
{
	struct rd r = rd_init(p, left);
	const uint8_t *m = rd_bytes(&r, MAGIC_BYTES);
	uint8_t kind = rd_u8(&r);
	uint32_t number = rd_u32be(&r), len = rd_u32be(&r);
	const uint8_t *digest = rd_bytes(&r, SHA256_BYTES);
	const uint8_t *payload = rd_bytes(&r, len);
	uint8_t should[SHA256_BYTES];

	if (r.bad || memcmp(m, magic, MAGIC_BYTES) || digest_of(p, payload, len, should) ||
	    memcmp(digest, should, SHA256_BYTES))
		return false;
	*out = (struct record){.kind = (char)kind, .number = number, .payload = payload, .len = len};
	return true;
}

/* Whether a whole record begins anywhere in these bytes: then what stands before it was not just torn off. */
static bool
record_within(const uint8_t *p, size_t left)
{
	struct record r;
	const uint8_t *at;

	while ((at = memmem(p, left, magic, MAGIC_BYTES))) {
		left -= (size_t)(at - p);
		if (get_record(at, left, &r))
			return true;
		p = at + 1;
		left--;
	}
	return false;
}

static int
take_json(struct journal *j, const struct record *r, struct err *e)
{
	struct cJSON *root = json_parse((const char *)r->payload, r->len, e);
	struct journal_mark m = {.state = INSTALL_IDLE};
	int rc;

	if (!root)
		return -EINVAL;
	if (r->kind == kinds[KIND_HEAD]) {
		rc = read_head(root, &j->head, e);
	} else {
		rc = read_mark(root, &m, e);
		if (!rc)
			j->last = m;
	}
	json_free(root);
	return rc;
}

static int
take_record(struct journal *j, const struct record *r, struct err *e)
{
	size_t kind = j->number < KIND_MARK ? j->number : KIND_MARK;

	if (r->number != j->number || r->kind != kinds[kind])
		return err_set(e, -EBADMSG, "record %u: out of order", j->number);
	if (kind == KIND_SET) {
		j->head.set = (const char *)r->payload;
		j->head.set_len = r->len;
	} else if (kind == KIND_UNSET) {
		j->head.unset = (const char *)r->payload;
		j->head.unset_len = r->len;
	} else if (take_json(j, r, e)) {
		err_in(e, "record %u", j->number);
		return -EBADMSG;
	}
	j->number++;
	return 0;
}

/* Reads as far as it is good. A torn end is silently left out; -EBADMSG for damage. */
static int
take_all(struct journal *j, const uint8_t *p, size_t len, struct err *e)
{
	size_t pos = 0;

	while (pos < len) {
		struct record r;
		int rc;

		if (!get_record(p + pos, len - pos, &r)) {
			if (j->number > KIND_MARK && !record_within(p + pos + 1, len - pos - 1))
				break;
			return err_set(e, -EBADMSG, "record %u, at byte %zu, is damaged", j->number, pos);
		}
		rc = take_record(j, &r, e);
		if (rc)
			return rc;
		pos += HEADER_BYTES + r.len;
	}
	if (j->number <= KIND_MARK)
		return err_set(e, -EBADMSG, "it ends after %u records", j->number);
	j->end = (off_t)pos;
	return 0;
}

static struct journal *
journal_new(const char *state_dir, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j) {
		err_sys(e, -ENOMEM, "journal");
		return NULL;
	}
	j->fd = -1;
	if (path_of(state_dir, j->path, e)) {
		free(j);
		return NULL;
	}
	return j;
}

void
journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->text);
	free(j);
}

/* Blocks for the marks to come. A file system that cannot do that has no promise to keep. */
static int
reserve(struct journal *j, struct err *e)
{
	if (!fallocate(j->fd, FALLOC_FL_KEEP_SIZE, j->end, JOURNAL_ROOM) || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	return err_sys(e, -errno, "room for %s", j->path);
}

static int
put_all(struct buf *b, const struct journal_head *h, const struct journal_mark *m)
{
	int rc = put_json(b, KIND_HEAD, KIND_HEAD, head_json(h));

	if (!rc)
		rc = put_record(b, KIND_SET, KIND_SET, h->set, h->set_len);
	if (!rc)
		rc = put_record(b, KIND_UNSET, KIND_UNSET, h->unset, h->unset_len);
	return rc ? rc : put_json(b, KIND_MARK, KIND_MARK, mark_json(m));
}

/* The new file in place, open, with room behind its end. */
static int
place(struct journal *j, const struct buf *b, struct err *e)
{
	int rc = file_replace(j->path, buf_head(b), b->len, 0600, NULL, e);

	if (rc)
		return rc;
	j->end = (off_t)b->len;
	j->fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0)
		return err_sys(e, -errno, "%s", j->path);
	rc = reserve(j, e);
	if (!rc && fsync(j->fd))
		rc = err_sys(e, -errno, "fsync of %s", j->path);
	return rc;
}

int
journal_create(const char *state_dir, const struct journal_head *head, const struct journal_mark *m,
	       struct journal **out, struct err *e)
{
	struct buf b = BUF_INIT(JOURNAL_BYTES);
	struct journal *j = journal_new(state_dir, e);
	int rc;

	if (!j)
		return e ? e->code : -ENOMEM;
	rc = put_all(&b, head, m);
	if (rc)
		err_sys(e, rc, "journal");
	else
		rc = place(j, &b, e);
	buf_free(&b);
	if (rc) {
		journal_close(j);
		return rc;
	}
	j->head = *head;
	j->head.set = j->head.unset = NULL;
	j->head.set_len = j->head.unset_len = 0;
	j->last = *m;
	j->number = KIND_MARK + 1;
	*out = j;
	return 0;
}

/* No descriptor left, a disk that answers the next time: what is taken for damaged is given up for good, and with it
 * the way back in the system. */
static int
read_patiently(struct journal *j, size_t *len, struct err *e)
{
	int rc = -EIO;

	for (int left = READ_TRIES; left && rc && rc != -ENOENT && rc != -ENOMEM; left--)
		rc = file_read(j->path, JOURNAL_BYTES, &j->text, len, e);
	return rc;
}

int
journal_load(const char *state_dir, struct journal **out, struct err *e)
{
	struct journal *j = journal_new(state_dir, e);
	struct err why = ERR_NONE;
	size_t len = 0;
	int rc;

	if (!j)
		return e ? e->code : -ENOMEM;
	rc = read_patiently(j, &len, &why);
	if (rc == -ENOENT || rc == -ENOMEM) {
		journal_close(j);
		return err_set(e, rc, "%s", why.text);
	}
	if (!rc)
		rc = take_all(j, (const uint8_t *)j->text, len, &why);
	if (!rc) {
		/* without a descriptor it can still be read: then every further mark fails */
		j->fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (j->fd >= 0)
			reserve(j, NULL);
	} else {
		snprintf(j->damage, sizeof(j->damage), "%s", why.text);
	}
	*out = j;
	return 0;
}

const char *
journal_damage(const struct journal *j)
{
	return j->damage[0] ? j->damage : NULL;
}

const struct journal_head *
journal_head(const struct journal *j)
{
	return &j->head;
}

const struct journal_mark *
journal_last(const struct journal *j)
{
	return &j->last;
}

static int
write_mark(struct journal *j, const struct buf *b, struct err *e)
{
	int rc;

	if (j->fd < 0)
		j->fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0)
		return err_sys(e, -errno, "%s", j->path);
	if (lseek(j->fd, j->end, SEEK_SET) < 0)
		return err_sys(e, -errno, "%s", j->path);
	rc = file_write_all(j->fd, buf_head(b), b->len);
	if (rc)
		return err_sys(e, rc, "writing %s", j->path);
	return fsync(j->fd) ? err_sys(e, -errno, "fsync of %s", j->path) : 0;
}

int
journal_append(struct journal *j, const struct journal_mark *m, struct err *e)
{
	struct buf b = BUF_INIT(JOURNAL_ROOM);
	int rc;

	if (j->damage[0])
		return err_set(e, -EBADMSG, "%s: %s", j->path, j->damage);
	rc = put_json(&b, KIND_MARK, j->number, mark_json(m));
	if (rc)
		err_sys(e, rc, "%s", j->path);
	else
		rc = write_mark(j, &b, e);
	if (!rc) {
		j->end += (off_t)b.len;
		j->number++;
		j->last = *m;
	}
	buf_free(&b);
	return rc;
}

int
journal_remove(const char *state_dir, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(state_dir, path, e);

	return rc ? rc : file_remove(path, e);
}

int
journal_set_aside(const char *state_dir, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(state_dir, path, e);

	return rc ? rc : file_set_aside(path, e);
}
