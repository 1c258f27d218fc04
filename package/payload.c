#include "package/payload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/err.h"
#include "package/container.h"
#include "package/format.h"
#include "package/object.h"

enum { PIECE = 32 * 1024 };

struct extract {
	payload_sink_fn *sink;
	void *ctx;
	uint64_t max, done;
	uint8_t in[PIECE], out[PIECE];
};

static int
give(struct extract *x, const uint8_t *data, size_t len, struct err *e)
{
	int rc = 0;

	if (len > x->max - x->done)
		return err_set(e, -EBADMSG, "payload: at most %llu bytes expected, more found",
			       (unsigned long long)x->max);
	x->done += len;
	if (x->sink && len)
		rc = x->sink(x->ctx, data, len);
	return rc ? err_sys(e, rc, "payload") : 0;
}

/* Unpacks what is in `z`; *end is set when the stream is complete. */
static int
inflate_piece(struct extract *x, z_stream *z, bool *end, struct err *e)
{
	int rc = 0, got = Z_OK;

	while (!rc && got == Z_OK && (z->avail_in || !z->avail_out)) {
		z->next_out = x->out;
		z->avail_out = PIECE;
		got = inflate(z, Z_NO_FLUSH);
		if (got == Z_OK || got == Z_STREAM_END)
			rc = give(x, x->out, PIECE - z->avail_out, e);
	}
	if (rc)
		return rc;
	if (got == Z_MEM_ERROR)
		return err_sys(e, -ENOMEM, "payload");
	if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR)
		return err_set(e, -EBADMSG, "payload: a zlib stream expected, %s found", z->msg ? z->msg : "an error");
	*end = got == Z_STREAM_END;
	return 0;
}

static int
unpack(struct extract *x, int fd, uint32_t at, uint32_t left, struct err *e)
{
	z_stream z = {0};
	bool end = false;
	int rc = 0;

	if (inflateInit(&z) != Z_OK)
		return err_sys(e, -ENOMEM, "payload");
	while (!rc && left && !end) {
		uint32_t n = left < PIECE ? left : PIECE;

		rc = container_pread(fd, x->in, n, at, e);
		z.next_in = x->in;
		z.avail_in = n;
		z.avail_out = PIECE;
		at += n;
		left -= n;
		if (!rc)
			rc = inflate_piece(x, &z, &end, e);
	}
	if (!rc && !end)
		rc = err_set(e, -EBADMSG, "payload: the end of its zlib stream expected, the end of the data found");
	else if (!rc && (left || z.avail_in))
		rc = err_set(e, -EBADMSG, "payload: %u bytes found behind the end of its zlib stream",
			     left + z.avail_in);
	inflateEnd(&z);
	return rc;
}

static int
copy(struct extract *x, int fd, uint32_t at, uint32_t left, struct err *e)
{
	int rc = 0;

	while (!rc && left) {
		uint32_t n = left < PIECE ? left : PIECE;

		rc = container_pread(fd, x->in, n, at, e);
		if (!rc)
			rc = give(x, x->in, n, e);
		at += n;
		left -= n;
	}
	return rc;
}

static int
is_packed(int fd, const struct object_label *l, bool *packed, struct err *e)
{
	uint8_t b[2] = {0};
	int rc = l->payload_len < sizeof(b) ? 0 : container_pread(fd, b, sizeof(b), l->payload_at, e);

	if (!rc)
		*packed = b[0] == FORMAT_ZLIB_FIRST && (b[0] << 8 | b[1]) % FORMAT_ZLIB_CHECK == 0;
	return rc;
}

int
payload_extract(int fd, const struct object_label *l, uint32_t max, payload_sink_fn *sink, void *ctx, uint32_t *len,
		struct err *e)
{
	struct extract *x = malloc(sizeof(*x));
	bool packed;
	int rc;

	if (!x)
		return err_sys(e, -ENOMEM, "payload");
	x->sink = sink;
	x->ctx = ctx;
	x->done = 0;
	x->max = (uint64_t)l->payload_len * FORMAT_RATIO_MAX;
	if (x->max > max)
		x->max = max;
	rc = is_packed(fd, l, &packed, e);
	if (!rc)
		rc = packed ? unpack(x, fd, l->payload_at, l->payload_len, e)
			    : copy(x, fd, l->payload_at, l->payload_len, e);
	if (!rc)
		*len = (uint32_t)x->done;
	free(x);
	return rc;
}
