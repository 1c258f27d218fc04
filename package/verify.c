#include "package/verify.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "package/cms.h"
#include "package/container.h"
#include "package/payload.h"
#include "package/types.h"

enum { PIECE = 256 * 1024, STEP = 1024 * 1024 };

enum stage { STAGE_TAIL, STAGE_DATA, STAGE_JUDGE, STAGE_READ, STAGE_PAYLOAD, STAGE_DONE };

struct verify {
	int fd, copy_fd; /* borrowed */
	struct container_object o;
	struct anchor_check check;
	struct finding f;
	enum stage stage;
	bool is_signed;
	uint8_t *tail; /* owned: signature and record; of an unsigned object the bytes where a record would be */
	uint32_t tail_len;
	struct cms cms; /* in the tail */
	int cms_rc;
	struct err cms_why;
	struct cms_hash *hash; /* owned; NULL: no digest is wanted */
	uint32_t sum, done;
	struct payload *payload; /* owned */
	uint8_t *piece;          /* owned while the data are read: a job has many objects verified and waiting */
};

/* --- reading it -----------------------------------------------------------------------------------------------------
 */

/* Bytes of the object, which thereby are read from their source for the only time when they are copied. */
static int
take(struct verify *v, uint8_t *dst, uint32_t len, uint32_t at)
{
	int rc = container_pread(v->fd, dst, len, v->o.at + at, &v->f.why);

	for (uint32_t done = 0; !rc && v->copy_fd >= 0 && done < len;) {
		ssize_t n = pwrite(v->copy_fd, dst + done, len - done, at + done);

		if (n < 0 && errno != EINTR)
			rc = err_sys(&v->f.why, -errno, "copy of the object");
		done += n > 0 ? (uint32_t)n : 0;
	}
	return rc;
}

/* The record, and the signature before it, whose form is judged after the sum over the data: a broken download is no
 * bad signature. */
static int
take_tail(struct verify *v)
{
	struct object_parts *p = &v->f.parts;
	uint32_t len = v->o.len < FORMAT_RECORD ? v->o.len : FORMAT_RECORD;
	uint8_t record[FORMAT_RECORD] = {0};
	int rc = take(v, record, len, v->o.len - len);

	if (!rc)
		rc = object_divide_at(record, v->o.len, p, &v->is_signed, &v->f.why);
	if (rc)
		return rc;
	v->f.failed = VERIFY_CHECKSUM;
	v->tail_len = p->cms_len + len;
	v->tail = malloc(v->tail_len);
	if (!v->tail)
		return err_sys(&v->f.why, -ENOMEM, "signature");
	memcpy(v->tail + p->cms_len, record, len);
	if (!v->is_signed)
		return 0;
	rc = take(v, v->tail, p->cms_len, p->raw_len);
	if (!rc)
		v->cms_rc = cms_parse(v->tail, p->cms_len, &v->cms, &v->cms_why);
	return rc;
}

static int
read_tail(struct verify *v)
{
	int rc = take_tail(v);

	if (rc || v->cms_rc)
		return rc;
	v->hash = cms_hash_new(v->is_signed ? v->cms.digest : CMS_SHA256);
	return v->hash ? 0 : err_sys(&v->f.why, -ENOMEM, "digest");
}

/* A piece of what is before the tail. */
static int
read_piece(struct verify *v, uint32_t left)
{
	uint32_t n = left < PIECE ? left : PIECE;
	int rc = take(v, v->piece, n, v->done);

	if (rc)
		return rc;
	v->sum = libdeflate_crc32(v->sum, v->piece, n);
	if (v->hash && cms_hash_add(v->hash, v->piece, n))
		return err_sys(&v->f.why, -EIO, "digest");
	v->done += n;
	return 0;
}

static void
drop_piece(struct verify *v)
{
	free(v->piece);
	v->piece = NULL;
}

static int
end_data(struct verify *v)
{
	drop_piece(v);
	v->sum = libdeflate_crc32(v->sum, v->tail, v->tail_len);
	v->done += v->tail_len;
	if (v->hash && !v->is_signed && cms_hash_add(v->hash, v->tail, v->tail_len))
		return err_sys(&v->f.why, -EIO, "digest");
	if (v->hash && cms_hash_end(v->hash, v->f.digest, &v->f.digest_len))
		return err_sys(&v->f.why, -EIO, "digest");
	if (v->copy_fd >= 0) {
		v->fd = v->copy_fd;
		v->o.at = 0;
	}
	return 0;
}

/* Sum and digest in one pass. 1: there is more. */
static int
read_data(struct verify *v)
{
	uint32_t end = v->o.len - v->tail_len, until = end - v->done < STEP ? end : v->done + STEP;
	int rc = 0;

	if (!v->piece)
		v->piece = malloc(PIECE);
	if (!v->piece)
		return err_sys(&v->f.why, -ENOMEM, "object");
	while (!rc && v->done < until)
		rc = read_piece(v, until - v->done);
	if (rc || v->done < end)
		return rc ? rc : 1;
	return end_data(v);
}

/* --- judging it -----------------------------------------------------------------------------------------------------
 */

static int
check_signature(struct verify *v)
{
	static const enum verify_check steps[] = {
	    [CMS_STEP_DIGEST] = VERIFY_DIGEST,
	    [CMS_STEP_SIGNER] = VERIFY_SIGNER,
	    [CMS_STEP_SIGNATURE] = VERIFY_SIGNATURE,
	};
	enum cms_step step = CMS_STEP_DIGEST;
	int rc;

	if (v->cms_rc) {
		v->f.why = v->cms_why;
		return v->cms_rc;
	}
	rc = cms_verify(&v->cms, v->f.digest, v->f.digest_len, &v->check, &v->f.signer, &step, &v->f.why);
	if (rc)
		v->f.failed = steps[step];
	return rc;
}

/* Each check names itself before it runs. */
static int
judge(struct verify *v)
{
	int rc;

	v->f.failed = VERIFY_CHECKSUM;
	if (!v->o.bare && v->sum != v->o.crc)
		return err_set(&v->f.why, -EBADMSG, "CRC-32 of the data: %08x expected, %08x found", v->o.crc, v->sum);
	v->f.failed = VERIFY_LABEL;
	rc = object_read_label(v->fd, &v->o, &v->f.parts, &v->f.label, &v->f.kind, &v->f.why);
	if (rc)
		return rc;
	v->f.failed = VERIFY_CMS;
	return v->is_signed ? check_signature(v) : 0;
}

/* The only place that finds an object good. */
static void
pass(struct verify *v)
{
	v->f.failed = VERIFY_NONE;
	v->f.signature = v->is_signed ? SIGNATURE_VALID : SIGNATURE_NONE;
}

/* --- one after the other --------------------------------------------------------------------------------------------
 */

/* What is a verdict ends it; everything else is trouble on our side. */
static int
conclude(struct verify *v, int rc)
{
	v->stage = STAGE_DONE;
	v->f.signature = SIGNATURE_BAD;
	v->f.signer = (struct anchor_signer){0};
	return rc == -EBADMSG || rc == -EACCES ? 0 : rc;
}

int
verify_read(struct verify *v)
{
	int rc = 0;

	if (v->stage == STAGE_TAIL)
		rc = read_tail(v);
	else if (v->stage == STAGE_DATA)
		rc = read_data(v);
	else if (v->stage == STAGE_JUDGE)
		rc = judge(v);
	else
		return 0;
	if (rc < 0)
		return conclude(v, rc);
	if (!rc && ++v->stage == STAGE_READ)
		pass(v);
	return v->stage != STAGE_READ;
}

/* True when the payload's turn begins: the caller then makes it. */
static bool
begin_payload(struct verify *v)
{
	if (v->stage != STAGE_READ)
		return false;
	v->stage = STAGE_PAYLOAD;
	v->f.failed = VERIFY_PAYLOAD;
	v->f.signature = SIGNATURE_BAD;
	return true;
}

/* `rc`: of making it. */
static int
step_payload(struct verify *v, int rc)
{
	if (v->stage != STAGE_PAYLOAD)
		return 0;
	if (!rc)
		rc = payload_step(v->payload, &v->f.why);
	if (rc)
		return rc > 0 ? 1 : conclude(v, rc);
	v->f.unpacked_len = payload_len(v->payload);
	v->stage = STAGE_DONE;
	pass(v);
	return 0;
}

int
verify_unpack(struct verify *v, payload_sink_fn *sink, void *ctx)
{
	int rc = 0;

	if (begin_payload(v))
		rc = payload_new(v->fd, &v->f.label, v->f.kind->max, sink, ctx, &v->payload, &v->f.why);
	return step_payload(v, rc);
}

int
verify_unpack_file(struct verify *v, int to_fd)
{
	int rc = 0;

	if (begin_payload(v))
		rc = payload_new_file(v->fd, &v->f.label, v->f.kind->max, to_fd, &v->payload, &v->f.why);
	return step_payload(v, rc);
}

int
verify_new(int fd, const struct container_object *o, const struct anchor_check *check, int copy_fd, struct verify **out,
	   struct err *e)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (!v)
		return err_sys(e, -ENOMEM, "object");
	v->fd = fd;
	v->copy_fd = copy_fd;
	v->o = *o;
	v->check = *check;
	v->f = (struct finding){.signature = SIGNATURE_BAD, .failed = VERIFY_RECORD};
	v->sum = libdeflate_crc32(0, NULL, 0);
	*out = v;
	return 0;
}

void
verify_free(struct verify *v)
{
	if (!v)
		return;
	payload_free(v->payload);
	cms_hash_free(v->hash);
	drop_piece(v);
	free(v->tail);
	free(v);
}

const struct finding *
verify_finding(const struct verify *v)
{
	return &v->f;
}

uint64_t
verify_progress(const struct verify *v)
{
	return (uint64_t)v->done + (v->payload ? payload_taken(v->payload) : 0);
}

uint64_t
verify_unpacked(const struct verify *v)
{
	return v->payload ? payload_len(v->payload) : 0;
}

int
verify_object(int fd, const struct container_object *o, const struct anchor_check *check, struct finding *out)
{
	struct finding f = {.signature = SIGNATURE_BAD, .failed = VERIFY_RECORD};
	struct verify *v = NULL;
	int rc = verify_new(fd, o, check, -1, &v, &f.why);

	if (rc) {
		*out = f;
		return rc;
	}
	do
		rc = verify_read(v);
	while (rc > 0);
	while (!rc && v->stage != STAGE_DONE) {
		rc = verify_unpack(v, NULL, NULL);
		rc = rc > 0 ? 0 : rc;
	}
	*out = v->f;
	verify_free(v);
	return rc;
}

enum verdict
verify_decide(const struct finding *f, enum update_way way, enum level level)
{
	return level_decide(way, level, !f->kind || f->kind->forced, f->signature);
}

const char *
verify_check_name(enum verify_check c)
{
	static const char *const names[] = {"record", "checksum", "label",     "cms",
					    "digest", "signer",   "signature", "payload"};

	return c < VERIFY_NONE ? names[c] : "none";
}
