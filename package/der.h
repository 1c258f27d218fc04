/* der: a strict reader of DER (X.690, section 10), for bytes that a signature check depends on.
 *
 * One value has one encoding here: definite and shortest lengths, shortest integers, sorted sets, no strings in pieces,
 * no tags above 30. The TLS library's reader takes more than that, and what two readers understand differently is a way
 * around a signature. der_check() goes through a whole value once; then struct der reads it without surprises.
 */
#ifndef PACKAGE_DER_H
#define PACKAGE_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT_0 = 0xa0, /* constructed */
	DER_CONTEXT_1 = 0xa1,
	DER_CONTEXT_3 = 0xa3,
	DER_DEPTH_MAX = 24,
};

/* Borrowed bytes: what is left to read, or one value. */
struct der {
	const uint8_t *p;
	size_t len;
};

/* One element: its tag, its contents, and all of it. */
struct der_item {
	uint8_t tag;
	struct der body;
	struct der whole;
};

/* 0 when `in` is exactly one value in DER, down to DER_DEPTH_MAX. -EBADMSG: `e` says what is wrong at which offset. */
int der_check(struct der in, struct err *e);

/* Takes the next element off `in`. 0, or -EBADMSG with both untouched: none is left, or it is malformed. */
int der_next(struct der *in, struct der_item *out);

/* The same for an element that must have this tag; `what` is for the reason: "NAME: TAG expected, TAG found". */
int der_take(struct der *in, uint8_t tag, const char *what, struct der_item *out, struct err *e);

/* True when the next element has this tag. */
bool der_is_next(const struct der *in, uint8_t tag);

/* -EBADMSG unless everything in `in` has been read. */
int der_end(const struct der *in, const char *what, struct err *e);

bool der_equal(struct der a, struct der b);

/* The order of a SET's elements in DER. */
bool der_is_sorted(struct der a, struct der b);

/* A SEQUENCE of two positive integers and nothing else, as an ECDSA signature is. */
bool der_is_integer_pair(struct der in);

#endif
