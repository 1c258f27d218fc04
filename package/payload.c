#include "package/payload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/err.h"
#include "base/file.h"
#include "package/container.h"
#include "package/format.h"
#include "package/object.h"

enum { PIECE = 64 * 1024, STEP = 1024 * 1024 };

struct payload {
	int fd, to_fd; /* borrowed; to_fd: -1, or takes the payload instead of a sink */
	uint32_t begin, at, left;
	payload_sink_fn *sink;
	void *ctx;
	uint64_t max, done;
	bool packed, end; /* end: of the zlib stream */
	bool in_kernel;   /* not packed, from file to file */
	z_stream z;
	uint8_t in[PIECE], out[PIECE];
};

static int
too_much(uint64_t max, struct err *e)
{
	return err_set(e, -EBADMSG, "payload: at most %llu bytes expected, more found", (unsigned long long)max);
}

static int
give(struct payload *p, const uint8_t *data, size_t len, struct err *e)
{
	int rc = 0;

	if (len > p->max - p->done)
		return too_much(p->max, e);
	p->done += len;
	if (!len)
		return 0;
	if (p->to_fd >= 0)
		rc = file_write_all(p->to_fd, data, len);
	else if (p->sink)
		rc = p->sink(p->ctx, data, len);
	return rc ? err_sys(e, rc, "payload") : 0;
}

/* The next piece of the object, into `in`. */
static int
take(struct payload *p, uint32_t *len, struct err *e)
{
	uint32_t n = p->left < PIECE ? p->left : PIECE;
	int rc = container_pread(p->fd, p->in, n, p->at, e);

	if (rc)
		return rc;
	p->at += n;
	p->left -= n;
	*len = n;
	return 0;
}

/* One buffer full of what comes out; *worked counts bytes in and out. */
static int
inflate_piece(struct payload *p, uint32_t *worked, struct err *e)
{
	uint32_t n = p->z.avail_in;
	int got, rc = 0;

	if (!n && p->left) {
		rc = take(p, &n, e);
		p->z.next_in = p->in;
		p->z.avail_in = n;
	}
	if (rc)
		return rc;
	p->z.next_out = p->out;
	p->z.avail_out = PIECE;
	got = inflate(&p->z, Z_NO_FLUSH);
	*worked += n - p->z.avail_in + PIECE - p->z.avail_out;
	if (got == Z_MEM_ERROR)
		return err_sys(e, -ENOMEM, "payload");
	if (got == Z_BUF_ERROR && !p->left)
		return err_set(e, -EBADMSG, "payload: the end of its zlib stream expected, the end of the data found");
	if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR)
		return err_set(e, -EBADMSG, "payload: a zlib stream expected, %s found",
			       p->z.msg ? p->z.msg : "an error");
	p->end = got == Z_STREAM_END;
	return give(p, p->out, PIECE - p->z.avail_out, e);
}

static int
unpack(struct payload *p, struct err *e)
{
	uint32_t worked = 0;
	int rc = 0;

	while (!rc && !p->end && worked < STEP)
		rc = inflate_piece(p, &worked, e);
	if (rc)
		return rc;
	if (p->end && (p->left || p->z.avail_in))
		return err_set(e, -EBADMSG, "payload: %u bytes found behind the end of its zlib stream",
			       p->left + p->z.avail_in);
	return !p->end;
}

static int
copy(struct payload *p, struct err *e)
{
	uint32_t n = 0, worked = 0;
	int rc = 0;

	while (!rc && p->left && worked < STEP) {
		rc = take(p, &n, e);
		if (!rc)
			rc = give(p, p->in, n, e);
		worked += n;
	}
	return rc ? rc : p->left > 0;
}

static bool
cannot_here(int error)
{
	return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

/* From file to file within the kernel. Where that is not possible, or at the file's end, copy() goes on. */
static int
copy_range(struct payload *p, struct err *e)
{
	uint32_t until = p->left < STEP ? 0 : p->left - STEP;

	while (p->left > until) {
		off64_t from = p->at;
		ssize_t n = copy_file_range(p->fd, &from, p->to_fd, NULL, p->left - until, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !cannot_here(errno))
			return err_sys(e, -errno, "payload");
		if (n <= 0) {
			p->in_kernel = false;
			return copy(p, e);
		}
		p->at += (uint32_t)n;
		p->left -= (uint32_t)n;
		p->done += (uint32_t)n;
	}
	return p->left > 0;
}

/* Nobody takes it, and it is as it came. */
static int
skip(struct payload *p)
{
	p->at += p->left;
	p->done += p->left;
	p->left = 0;
	return 0;
}

int
payload_step(struct payload *p, struct err *e)
{
	if (p->packed)
		return unpack(p, e);
	if (p->in_kernel)
		return copy_range(p, e);
	return p->sink || p->to_fd >= 0 ? copy(p, e) : skip(p);
}

uint32_t
payload_len(const struct payload *p)
{
	return (uint32_t)p->done;
}

uint32_t
payload_taken(const struct payload *p)
{
	return p->at - p->begin - p->z.avail_in;
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

static int
make(int fd, const struct object_label *l, uint32_t max, struct payload **out, struct err *e)
{
	uint64_t most = (uint64_t)l->payload_len * FORMAT_RATIO_MAX;
	struct payload *p = malloc(sizeof(*p));
	bool packed = false;
	int rc;

	if (!p)
		return err_sys(e, -ENOMEM, "payload");
	rc = is_packed(fd, l, &packed, e);
	p->fd = fd;
	p->to_fd = -1;
	p->begin = p->at = l->payload_at;
	p->left = l->payload_len;
	p->sink = NULL;
	p->max = most < max ? most : max;
	p->done = 0;
	p->packed = p->end = p->in_kernel = false;
	p->z = (z_stream){0};
	if (!rc && !packed && l->payload_len > p->max)
		rc = too_much(p->max, e);
	if (!rc && packed && inflateInit(&p->z) != Z_OK)
		rc = err_sys(e, -ENOMEM, "payload");
	if (rc) {
		payload_free(p);
		return rc;
	}
	p->packed = packed;
	*out = p;
	return 0;
}

int
payload_new(int fd, const struct object_label *l, uint32_t max, payload_sink_fn *sink, void *ctx, struct payload **out,
	    struct err *e)
{
	int rc = make(fd, l, max, out, e);

	if (rc)
		return rc;
	(*out)->sink = sink;
	(*out)->ctx = ctx;
	return 0;
}

int
payload_new_file(int fd, const struct object_label *l, uint32_t max, int to_fd, struct payload **out, struct err *e)
{
	int rc = make(fd, l, max, out, e);

	if (rc)
		return rc;
	(*out)->to_fd = to_fd;
	(*out)->in_kernel = !(*out)->packed;
	return 0;
}

void
payload_free(struct payload *p)
{
	if (!p)
		return;
	if (p->packed)
		inflateEnd(&p->z);
	free(p);
}

int
payload_extract(int fd, const struct object_label *l, uint32_t max, payload_sink_fn *sink, void *ctx, uint32_t *len,
		struct err *e)
{
	struct payload *p = NULL;
	int rc = payload_new(fd, l, max, sink, ctx, &p, e);

	if (rc)
		return rc;
	do
		rc = payload_step(p, e);
	while (rc > 0);
	if (!rc)
		*len = payload_len(p);
	payload_free(p);
	return rc;
}
