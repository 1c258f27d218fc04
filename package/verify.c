#include "package/verify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/err.h"
#include "package/cms.h"
#include "package/container.h"
#include "package/payload.h"
#include "package/types.h"

enum { PIECE = 64 * 1024 };

/* One object being verified. */
struct job {
	int fd;
	const struct container_object *o;
	const struct anchor_check *check;
	struct finding *f;
	bool is_signed;
	uint8_t *cms_bytes; /* owned */
	struct cms cms;
	int cms_rc;
	struct err cms_why;
	uint8_t digest[CMS_DIGEST_MAX];
	size_t digest_len;
	uint32_t sum;
};

/* Its form is judged after the sum over the data: a broken download is no bad signature. */
static int
read_cms(struct job *j)
{
	const struct object_parts *p = &j->f->parts;
	int rc;

	if (!j->is_signed)
		return 0;
	j->cms_bytes = malloc(p->cms_len);
	if (!j->cms_bytes)
		return err_sys(&j->f->why, -ENOMEM, "signature");
	rc = container_pread(j->fd, j->cms_bytes, p->cms_len, j->o->at + p->raw_len, &j->f->why);
	if (!rc)
		j->cms_rc = cms_parse(j->cms_bytes, p->cms_len, &j->cms, &j->cms_why);
	return rc;
}

static int
read_data(struct job *j, struct cms_hash *h, uint8_t *piece)
{
	uLong sum = crc32(0, Z_NULL, 0);
	uint32_t done = 0, raw = j->f->parts.raw_len;
	int rc = 0;

	while (!rc && done < j->o->len) {
		uint32_t n = j->o->len - done < PIECE ? j->o->len - done : PIECE;

		rc = container_pread(j->fd, piece, n, j->o->at + done, &j->f->why);
		if (rc)
			return rc;
		sum = crc32(sum, piece, n);
		if (h && done < raw && cms_hash_add(h, piece, raw - done < n ? raw - done : n))
			return err_sys(&j->f->why, -EIO, "digest");
		done += n;
	}
	j->sum = (uint32_t)sum;
	if (h && cms_hash_end(h, j->digest, &j->digest_len))
		return err_sys(&j->f->why, -EIO, "digest");
	return 0;
}

/* Sum and digest in one pass. */
static int
pass_over_data(struct job *j)
{
	bool hashed = j->is_signed && !j->cms_rc;
	struct cms_hash *h = hashed ? cms_hash_new(j->cms.digest) : NULL;
	uint8_t *piece = malloc(PIECE);
	int rc = -ENOMEM;

	if (!piece || (hashed && !h))
		err_sys(&j->f->why, rc, "data");
	else
		rc = read_data(j, h, piece);
	free(piece);
	cms_hash_free(h);
	return rc;
}

static int
check_record(struct job *j)
{
	return object_divide(j->fd, j->o, &j->f->parts, &j->is_signed, &j->f->why);
}

static int
check_checksum(struct job *j)
{
	int rc = read_cms(j);

	if (!rc)
		rc = pass_over_data(j);
	if (rc || j->sum == j->o->crc)
		return rc;
	return err_set(&j->f->why, -EBADMSG, "CRC-32 of the data: %08x expected, %08x found", j->o->crc, j->sum);
}

static int
check_label(struct job *j)
{
	return object_read_label(j->fd, j->o, &j->f->parts, &j->f->label, &j->f->kind, &j->f->why);
}

static int
check_payload(struct job *j)
{
	return payload_extract(j->fd, &j->f->label, j->f->kind->max, NULL, NULL, &j->f->unpacked_len, &j->f->why);
}

static int
check_signature(struct job *j)
{
	static const enum verify_check steps[] = {
	    [CMS_STEP_DIGEST] = VERIFY_DIGEST,
	    [CMS_STEP_SIGNER] = VERIFY_SIGNER,
	    [CMS_STEP_SIGNATURE] = VERIFY_SIGNATURE,
	};
	enum cms_step step = CMS_STEP_DIGEST;
	int rc;

	if (j->cms_rc) {
		j->f->why = j->cms_why;
		return j->cms_rc;
	}
	rc = cms_verify(&j->cms, j->digest, j->digest_len, j->check, &j->f->signer, &step, &j->f->why);
	if (rc)
		j->f->failed = steps[step];
	return rc;
}

/* Each step names itself before it runs; VERIFY_NONE is set when all have passed. */
static int
run(struct job *j)
{
	int rc;

	j->f->failed = VERIFY_RECORD;
	rc = check_record(j);
	if (rc)
		return rc;
	j->f->failed = VERIFY_CHECKSUM;
	rc = check_checksum(j);
	if (rc)
		return rc;
	j->f->failed = VERIFY_LABEL;
	rc = check_label(j);
	if (rc)
		return rc;
	j->f->failed = VERIFY_CMS;
	rc = j->is_signed ? check_signature(j) : 0;
	if (rc)
		return rc;
	j->f->failed = VERIFY_PAYLOAD;
	rc = check_payload(j);
	if (rc)
		return rc;
	j->f->failed = VERIFY_NONE;
	j->f->signature = j->is_signed ? SIGNATURE_VALID : SIGNATURE_NONE;
	return 0;
}

int
verify_object(int fd, const struct container_object *o, const struct anchor_check *check, struct finding *out)
{
	struct finding f = {.signature = SIGNATURE_BAD, .failed = VERIFY_RECORD};
	struct job j = {.fd = fd, .o = o, .check = check, .f = &f};
	int rc = run(&j);

	free(j.cms_bytes);
	if (f.signature != SIGNATURE_VALID)
		f.signer = (struct anchor_signer){0};
	*out = f;
	/* these are verdicts; everything else is trouble on our side */
	return rc == -EBADMSG || rc == -EACCES ? 0 : rc;
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
