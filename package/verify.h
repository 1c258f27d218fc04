/* verify: is an object whole, what it is called, and signed; and if not, what is wrong.
 *
 * One pass over the data for sum and digest, in bounded memory, and one to unpack what they hold; both from the
 * descriptor that the payload is extracted from later, so that nothing can be swapped in between. What is to become of
 * an object is level.h's to say.
 */
#ifndef PACKAGE_VERIFY_H
#define PACKAGE_VERIFY_H

#include <stdint.h>

#include "base/err.h"
#include "package/anchor.h"
#include "package/level.h"
#include "package/object.h"

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
	uint32_t unpacked_len;          /* of the payload */
};

/* 0 with the finding, or -errno when it could not be found out (memory, an error of the file), with a finding that says
 * bad and why. */
int verify_object(int fd, const struct container_object *o, const struct anchor_check *check, struct finding *out);

/* As level_decide(), for what was found. An object of no known kind counts as one that has to be signed. */
enum verdict verify_decide(const struct finding *f, enum update_way way, enum level level);

const char *verify_check_name(enum verify_check c); /* "record", "checksum", … */

#endif
