#include "config/checksum.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/text.h"
#include "config/node.h"
#include "config/print.h"
#include "config/print_private.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/write.h"

enum part { PART_GLOBAL = 1, PART_VDOM = 2, PART_ALL = PART_GLOBAL | PART_VDOM };

/* Bytes of a text between two states that are kept: 16 kB are digested in about 30 microseconds. */
enum { STRIDE = 16 * 1024 };

enum { STREAM_GLOBAL, STREAM_VDOM, STREAM_ALL, STREAMS };

/* Things of one size in a row. */
struct row {
	char *data;
	size_t len, cap; /* bytes */
};

/* An entry's part of the text. The stamp names its content: a change brings another one. */
struct piece {
	uint64_t stamp;
	size_t size;
};

/* The text of a table as it was when last looked at. */
struct sheet {
	const struct table *table;
	uint64_t revision; /* of the table then */
	bool fresh;        /* has been looked at */
	struct row text;   /* with "config" and "end", also of a table without entries */
	struct row pieces; /* struct piece */
	size_t head;       /* bytes before the first piece */
};

/* One text to digest, made of sheets. points[i] is the state after i strides; there is always the first. */
struct stream {
	unsigned part;
	struct row points; /* struct crypto_md5 */
	uint8_t sum[MD5_BYTES];
	bool known; /* the sum is that of the sheets */
};

struct checksum_cache {
	struct sheet *sheets; /* of the tables that count, in order */
	size_t count;
	struct stream streams[STREAMS];
};

/* Puts `n` bytes in the place of `old` ones at `at`. 0 or -ENOMEM. */
static int
row_splice(struct row *r, size_t at, size_t old, const void *src, size_t n)
{
	size_t len = r->len - old + n;

	if (len > r->cap) {
		size_t cap = len + len / 8;
		char *more = realloc(r->data, cap);

		if (!more)
			return -ENOMEM;
		r->data = more;
		r->cap = cap;
	}
	if (r->len > at + old)
		memmove(r->data + at + n, r->data + at + old, r->len - at - old);
	if (n)
		memcpy(r->data + at, src, n);
	r->len = len;
	return 0;
}

static void
row_free(struct row *r)
{
	free(r->data);
	*r = (struct row){NULL, 0, 0};
}

/* What a sheet adds to the text: a table without entries has none. */
static size_t
sheet_size(const struct sheet *s)
{
	return s->table->schema->singleton || s->pieces.len ? s->text.len : 0;
}

static void
forget(struct checksum_cache *c)
{
	for (size_t i = 0; i < c->count; i++) {
		row_free(&c->sheets[i].text);
		row_free(&c->sheets[i].pieces);
		c->sheets[i].fresh = false;
	}
	for (size_t i = 0; i < STREAMS; i++) {
		row_free(&c->streams[i].points);
		c->streams[i].known = false;
	}
}

static bool
counts_in(const struct sheet *s, const struct stream *st)
{
	return st->part & (s->table->schema->per_vdom ? PART_VDOM : PART_GLOBAL);
}

/* From byte `at` of the sheet on, the texts it is in are other ones. */
static void
cut_streams(struct checksum_cache *c, const struct sheet *changed, size_t at)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *st = &c->streams[i];
		size_t same = at, keep;

		if (!counts_in(changed, st))
			continue;
		st->known = false;
		for (const struct sheet *s = c->sheets; s < changed; s++)
			same += counts_in(s, st) ? sheet_size(s) : 0;
		keep = (same / STRIDE + 1) * sizeof(struct crypto_md5);
		if (st->points.len > keep)
			st->points.len = keep;
	}
}

/* "config" and "end" of a table with entries, between which they come. */
static int
sheet_begin(struct sheet *s)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	struct writer w = {.out = &text};
	int rc;

	if (s->fresh || s->table->schema->singleton)
		return 0;
	write_config(&w, s->table->schema);
	s->head = text.len;
	write_close(&w, "end");
	rc = w.rc ? w.rc : row_splice(&s->text, 0, s->text.len, buf_head(&text), text.len);
	buf_free(&text);
	return rc;
}

/* The entries between `from` and `to` of the row that are not what they were. */
struct gap {
	const struct entry *first; /* in the table now */
	size_t entries;            /* so many are there now */
	size_t at, old_pieces;     /* where they are among the pieces, and how many those were */
	size_t text_at, old_text;  /* the same in bytes of text */
};

static struct gap
find_gap(const struct sheet *s)
{
	const struct piece *p = (const struct piece *)(const void *)s->pieces.data;
	size_t left = s->pieces.len / sizeof(*p);
	struct gap g = {.first = s->table->first, .entries = s->table->count, .text_at = s->head};

	while (left && g.entries && p[g.at].stamp == g.first->stamp) {
		g.text_at += p[g.at++].size;
		g.first = g.first->next;
		g.entries--;
		left--;
	}
	for (const struct entry *e = s->table->last; left && g.entries; e = e->prev) {
		if (p[g.at + left - 1].stamp != e->stamp)
			break;
		g.entries--;
		left--;
	}
	g.old_pieces = left;
	while (left)
		g.old_text += p[g.at + --left].size;
	return g;
}

static int
print_gap(const struct sheet *s, const struct gap *g, struct buf *text, struct piece *pieces)
{
	bool single = s->table->schema->singleton;
	struct writer w = {.out = text, .flags = PRINT_SECRETS | PRINT_CHECKSUM, .depth = single ? 0 : 1};
	const struct entry *e = g->first;

	for (size_t i = 0; i < g->entries && !w.rc; i++, e = e->next) {
		size_t before = text->len;

		if (single)
			print_nodes(&w, s->table);
		else
			print_edit(&w, e);
		pieces[i] = (struct piece){e->stamp, text->len - before};
	}
	return w.rc;
}

/* Brings one sheet up to date. */
static int
sheet_refresh(struct checksum_cache *c, struct sheet *s)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	struct piece *pieces = NULL;
	const size_t size = sizeof(*pieces);
	bool filled = s->pieces.len > 0;
	struct gap g;
	int rc = sheet_begin(s);

	if (rc)
		return rc;
	g = find_gap(s);
	pieces = calloc(g.entries + 1, size);
	rc = pieces ? print_gap(s, &g, &text, pieces) : -ENOMEM;
	if (!rc)
		rc = row_splice(&s->text, g.text_at, g.old_text, buf_head(&text), text.len);
	if (!rc)
		rc = row_splice(&s->pieces, g.at * size, g.old_pieces * size, pieces, g.entries * size);
	/* with the first entry comes the head, and goes with the last */
	if (!rc)
		cut_streams(c, s, filled && s->pieces.len ? g.text_at : 0);
	s->revision = s->table->revision;
	s->fresh = true;
	free(pieces);
	buf_free(&text);
	return rc;
}

static size_t
stream_strides(const struct stream *st)
{
	return st->points.len / sizeof(struct crypto_md5) - 1;
}

/* Digests text and keeps the state at the end of each stride; *at is where the text has come to. */
static int
stream_add(struct stream *st, struct crypto_md5 *m, size_t *at, const char *text, size_t n)
{
	int rc = 0;

	while (n && !rc) {
		size_t room = STRIDE - *at % STRIDE, take = n < room ? n : room;

		rc = crypto_md5_add(m, text, take);
		text += take;
		n -= take;
		*at += take;
		if (!rc && *at % STRIDE == 0)
			rc = row_splice(&st->points, st->points.len, 0, m, sizeof(*m));
	}
	return rc;
}

/* Digests at most about `most` bytes more; the sum is known when all of them are through. */
static int
stream_sum(const struct checksum_cache *c, struct stream *st, size_t most)
{
	struct crypto_md5 m;
	size_t skip, at, end;
	bool all = true;
	int rc = 0;

	if (st->known)
		return 0;
	if (!st->points.len) {
		rc = crypto_md5_start(&m);
		if (!rc)
			rc = row_splice(&st->points, 0, 0, &m, sizeof(m));
		if (rc)
			return rc;
	}
	memcpy(&m, st->points.data + st->points.len - sizeof(m), sizeof(m));
	skip = at = stream_strides(st) * STRIDE;
	end = most < SIZE_MAX - at ? at + most : SIZE_MAX;
	for (size_t i = 0; i < c->count && !rc && all; i++) {
		const struct sheet *s = &c->sheets[i];
		size_t size = counts_in(s, st) ? sheet_size(s) : 0;
		size_t from = skip < size ? skip : size, take = size - from;

		all = take <= end - at;
		if (!all)
			take = end - at;
		skip -= from;
		if (take)
			rc = stream_add(st, &m, &at, s->text.data + from, take);
	}
	if (rc || !all)
		return rc;
	rc = crypto_md5_end(&m, st->sum);
	st->known = !rc;
	return rc;
}

struct checksum_cache *
checksum_cache_new(const struct tree *t)
{
	struct checksum_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->streams[STREAM_GLOBAL].part = PART_GLOBAL;
	c->streams[STREAM_VDOM].part = PART_VDOM;
	c->streams[STREAM_ALL].part = PART_ALL;
	c->sheets = calloc(t->count + 1, sizeof(*c->sheets));
	if (!c->sheets) {
		checksum_cache_free(c);
		return NULL;
	}
	for (size_t i = 0; i < t->count; i++) {
		if (!t->tables[i].schema->unsummed)
			c->sheets[c->count++].table = &t->tables[i];
	}
	return c;
}

void
checksum_cache_free(struct checksum_cache *c)
{
	if (!c)
		return;
	forget(c);
	free(c->sheets);
	free(c);
}

/* Brings the sums from stream `first` to `last` up to date, or `most` bytes of each nearer to it. */
static int
refresh(struct checksum_cache *c, int first, int last, size_t most)
{
	int rc = 0;

	for (size_t i = 0; i < c->count && !rc; i++) {
		struct sheet *s = &c->sheets[i];

		if (!s->fresh || s->revision != s->table->revision)
			rc = sheet_refresh(c, s);
	}
	for (int i = first; i <= last && !rc; i++)
		rc = stream_sum(c, &c->streams[i], most);
	if (rc)
		forget(c);
	return rc;
}

int
checksum_cache_all(struct checksum_cache *c, uint8_t sum[16])
{
	int rc = refresh(c, STREAM_ALL, STREAM_ALL, SIZE_MAX);

	if (!rc)
		memcpy(sum, c->streams[STREAM_ALL].sum, MD5_BYTES);
	return rc;
}

int
checksum_cache_step(struct checksum_cache *c, bool *more)
{
	int rc = refresh(c, STREAM_ALL, STREAM_ALL, CHECKSUM_STEP);

	if (!rc)
		*more = !c->streams[STREAM_ALL].known;
	return rc;
}

int
checksum_cache_sums(struct checksum_cache *c, struct checksums *out)
{
	int rc = refresh(c, STREAM_GLOBAL, STREAM_ALL, SIZE_MAX);

	if (rc)
		return rc;
	memcpy(out->global, c->streams[STREAM_GLOBAL].sum, MD5_BYTES);
	memcpy(out->root, c->streams[STREAM_VDOM].sum, MD5_BYTES);
	memcpy(out->all, c->streams[STREAM_ALL].sum, MD5_BYTES);
	return 0;
}

int
checksum_tree(const struct tree *t, struct checksums *out)
{
	struct checksum_cache *c = checksum_cache_new(t);
	int rc = c ? checksum_cache_sums(c, out) : -ENOMEM;

	checksum_cache_free(c);
	return rc;
}

char *
checksum_text(char dst[CHECKSUM_TEXT], const uint8_t sum[16])
{
	for (int i = 0; i < 16; i++) {
		text_hex(dst + 3 * i, 3, &sum[i], 1);
		dst[3 * i + 2] = i < 15 ? ' ' : '\0';
	}
	return dst;
}
