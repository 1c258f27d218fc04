/* object: what an object's data consist of: raw bytes, signature, record; and what the signed header in the raw bytes
 * says of itself.
 *
 * Guide, "CS INFO": the record's first bytes; data_len = obj_len + sig_len. Nothing is verified here.
 */
#ifndef PACKAGE_OBJECT_H
#define PACKAGE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "package/version.h"

struct container_object;
struct err;
struct object_type;

/* How the data divide. */
struct object_parts {
	uint32_t raw_len; /* the guide's obj_len */
	uint32_t cms_len; /* 0: there is no signature */
	uint32_t sig_len; /* with the record; 0 without */
};

/* What stands under the signature, in front of the payload. */
struct object_label {
	char type[5];
	uint16_t sub;
	struct version version;
	uint64_t built_s;                 /* seconds since 1970 */
	uint32_t os_build;                /* the least it is for */
	uint32_t payload_at, payload_len; /* in the file */
};

/* Looks for the record. Data that end in one are signed, whatever else is wrong with them: *is_signed says so also when
 * it is -EBADMSG. `record`: the last FORMAT_RECORD bytes of `len`; where there are not so many it is not looked at. */
int object_divide_at(const uint8_t *record, uint32_t len, struct object_parts *out, bool *is_signed, struct err *e);

/* The same, from a file. */
int object_divide(int fd, const struct container_object *o, struct object_parts *out, bool *is_signed, struct err *e);

/* Reads the label and holds it against the parts, the table of types and what the header outside says. 0 with *kind, or
 * -EBADMSG with what was expected and found. */
int object_read_label(int fd, const struct container_object *o, const struct object_parts *parts,
		      struct object_label *out, const struct object_type **kind, struct err *e);

#endif
