#include "agent/gzip.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	GZIP_ONLY = 16, /* added to the window's bits: a gzip member, and nothing else */
	IN_BITS = 15,   /* the largest window that a peer may use */
	OUT_BITS = 12,  /* 16 channels may be open: a small window and little memory each */
	OUT_LEVEL = 5,
	PIECE = 4096,
};

struct gunzip {
	z_stream z;
	uint64_t in, out;
	bool ended;
};

struct gunzip *
gunzip_new(void)
{
	struct gunzip *g = calloc(1, sizeof(*g));

	if (g && inflateInit2(&g->z, IN_BITS + GZIP_ONLY) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

void
gunzip_free(struct gunzip *g)
{
	if (!g)
		return;
	inflateEnd(&g->z);
	free(g);
}

/* One piece of output at most. 0, or as gunzip_take(). */
static int
inflate_piece(struct gunzip *g, uint8_t piece[PIECE], size_t *made, struct err *e)
{
	uInt before = g->z.avail_in;
	int rc;

	g->z.next_out = piece;
	g->z.avail_out = PIECE;
	rc = inflate(&g->z, Z_NO_FLUSH);
	if (rc == Z_MEM_ERROR)
		return err_sys(e, -ENOMEM, "gzip");
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return err_set(e, -EPROTO, "gzip: not valid after %llu bytes", (unsigned long long)g->in);
	*made = PIECE - g->z.avail_out;
	g->in += before - g->z.avail_in;
	g->out += *made;
	g->ended = rc == Z_STREAM_END;
	if (g->out > g->in * GZIP_RATIO_MAX)
		return err_set(e, -EFBIG, "gzip: more than %d times its size", GZIP_RATIO_MAX);
	return 0;
}

int
gunzip_take(struct gunzip *g, const uint8_t *p, size_t n,
	    int (*data)(void *ctx, const uint8_t *p, size_t n, struct err *e), void *ctx, struct err *e)
{
	uint8_t piece[PIECE];
	size_t made = PIECE;

	g->z.next_in = (Bytef *)(uintptr_t)p; /* read only, whatever the library's type says */
	g->z.avail_in = (uInt)n;
	/* a piece that was filled may not have been all there was */
	while (!g->ended && (g->z.avail_in || made == PIECE)) {
		int rc = inflate_piece(g, piece, &made, e);

		if (!rc && made)
			rc = data(ctx, piece, made, e);
		if (rc)
			return rc;
	}
	if (g->z.avail_in)
		return err_set(e, -EPROTO, "gzip: %u bytes after the end of the member", g->z.avail_in);
	return 0;
}

int
gunzip_end(struct gunzip *g, struct err *e)
{
	if (g->in && !g->ended)
		return err_set(e, -EPROTO, "gzip: the stream ends inside the member");
	inflateReset(&g->z);
	g->in = g->out = 0;
	g->ended = false;
	return 0;
}

struct gzip {
	z_stream z;
};

struct gzip *
gzip_new(void)
{
	struct gzip *z = calloc(1, sizeof(*z));

	if (z && deflateInit2(&z->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, OUT_BITS + GZIP_ONLY, OUT_LEVEL,
			      Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

void
gzip_free(struct gzip *z)
{
	if (!z)
		return;
	deflateEnd(&z->z);
	free(z);
}

static int
deflate_all(struct gzip *z, const void *p, size_t n, int flush, struct buf *out)
{
	z->z.next_in = (Bytef *)(uintptr_t)p;
	z->z.avail_in = (uInt)n;
	do {
		uint8_t *room = buf_room(out, PIECE);

		if (!room)
			return out->error;
		z->z.next_out = room;
		z->z.avail_out = PIECE;
		deflate(&z->z, flush); /* fails on a broken state only, and then makes nothing */
		buf_grew(out, PIECE - z->z.avail_out);
	} while (!z->z.avail_out);
	return 0;
}

int
gzip_put(struct gzip *z, const void *p, size_t n, struct buf *out)
{
	return n ? deflate_all(z, p, n, Z_SYNC_FLUSH, out) : 0;
}

int
gzip_end(struct gzip *z, struct buf *out)
{
	int rc = deflate_all(z, NULL, 0, Z_FINISH, out);

	deflateReset(&z->z);
	return rc;
}
