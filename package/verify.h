/* verify: is an object whole, what it is called, and signed; and if not, what is wrong.
 *
 * One pass over the data for sum and digest, and one to unpack what they hold, in bounded memory and bounded pieces.
 * With a file to copy to, every byte is read from its source once, and what is judged and unpacked is the copy: nothing
 * can be swapped in between. What is to become of an object is level.h's to say.
 */
#ifndef PACKAGE_VERIFY_H
#define PACKAGE_VERIFY_H

#include <stdint.h>

#include "base/err.h"
#include "package/anchor.h"
#include "package/cms.h"
#include "package/level.h"
#include "package/object.h"
#include "package/payload.h"

struct container_object;
struct object_type;

/* What is checked, in this order; the first that fails ends it. */
enum verify_check {
	VERIFY_RECORD,    /* the code-signing record agrees with the object's length */
	VERIFY_CHECKSUM,  /* the header's sum over the data */
	VERIFY_LABEL,     /* the inner header agrees with the lengths, the table of types and the header outside */
	VERIFY_CMS,       /* the signature has the one form that is accepted */
	VERIFY_DIGEST,    /* it is one of these bytes */
	VERIFY_SIGNER,    /* its signer may sign packages */
	VERIFY_SIGNATURE, /* and has signed it */
	VERIFY_PAYLOAD,   /* it can be unpacked, within bounds */
	VERIFY_NONE,      /* none of them failed */
};

struct finding {
	enum signature signature; /* valid, or none, only if no check failed */
	enum verify_check failed;
	struct err why;                 /* of the failed one */
	const struct object_type *kind; /* NULL until the label is read */
	struct object_parts parts;      /* zeros until the record is */
	struct object_label label;      /* zeros until the label is */
	struct anchor_signer signer;    /* empty unless the signature is valid */
	uint8_t digest[CMS_DIGEST_MAX]; /* of the raw bytes: the signature's, SHA-256 where there is none */
	size_t digest_len;              /* 0: not known, for the signature has not the form of one */
	uint32_t unpacked_len;          /* of the payload */
};

/* One object being verified. */
struct verify;

/* `fd` and what `check` points to are borrowed; `copy_fd` (borrowed, open for both; -1: none) is an empty file that the
 * object is copied to. 0 or -ENOMEM. */
int verify_new(int fd, const struct container_object *o, const struct anchor_check *check, int copy_fd,
	       struct verify **out, struct err *e);
void verify_free(struct verify *v); /* NULL-safe */

/* All checks but the payload's. 1: there is more to do; 0: done, and the finding stands, without the payload. -errno:
 * it could not be found out (memory, an error of a file); the finding then says bad and why. */
int verify_read(struct verify *v);

/* After verify_read() found nothing bad: the payload, given to `sink` (NULL: only looked at), as payload.h says. As
 * above; until it is through, the finding says bad. Sink and context are those of the first call. */
int verify_unpack(struct verify *v, payload_sink_fn *sink, void *ctx);
int verify_unpack_file(struct verify *v, int to_fd); /* the same into a file, borrowed, from its position on */

const struct finding *verify_finding(const struct verify *v);
uint64_t verify_progress(const struct verify *v); /* bytes done with, of both passes */
uint64_t verify_unpacked(const struct verify *v); /* bytes of the payload that came out so far */

/* All at once, the payload only looked at. 0 with the finding, or -errno when it could not be found out, with a finding
 * that says bad and why. */
int verify_object(int fd, const struct container_object *o, const struct anchor_check *check, struct finding *out);

/* As level_decide(), for what was found. An object of no known kind counts as one that has to be signed. */
enum verdict verify_decide(const struct finding *f, enum update_way way, enum level level);

const char *verify_check_name(enum verify_check c); /* "record", "checksum", … */

#endif
