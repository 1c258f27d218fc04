/* cms: a detached signature (RFC 5652), in the one form that is accepted, and whether it is good.
 *
 * Accepted: SignedData version 1 in DER; one digest algorithm, SHA-256, -384 or -512, the same in both places; no
 * content; 1 to 4 certificates; no CRLs; one signer, by issuer and serial number; signed attributes with content-type
 * and message-digest once each, and signing-time, which is ignored; no unsigned attributes; RSA PKCS #1 from 2,048
 * bits, or ECDSA on P-256 or P-384. Signer and chain: anchor.h. Everything else is refused with the field, what was
 * expected and what was found. This room trusts no certificate that is in no chain, and so no byte that nobody signed.
 */
#ifndef PACKAGE_CMS_H
#define PACKAGE_CMS_H

#include <stddef.h>
#include <stdint.h>

#include "package/der.h"
#include "package/format.h"

struct anchor_check;
struct anchor_signer;
struct err;

enum cms_digest { CMS_SHA256, CMS_SHA384, CMS_SHA512 };
enum cms_signature { CMS_RSA, CMS_ECDSA };
enum { CMS_DIGEST_MAX = 64 };

/* What a signature says of itself; everything points into the bytes it was read from. */
struct cms {
	enum cms_digest digest;
	enum cms_signature algorithm;
	struct der certs[FORMAT_CERTS_MAX];
	size_t cert_count;
	struct der issuer, serial; /* of the signer's certificate */
	struct der attributes;     /* the signed ones, as they stand there: tag [0] */
	struct der message_digest; /* from them: of the content */
	struct der signature;      /* over them */
};

/* Reads `len` bytes (borrowed, as long as *out is used). Nothing is verified. 0 or -EBADMSG. */
int cms_parse(const void *p, size_t len, struct cms *out, struct err *e);

/* Digest of the content, piece by piece. */
struct cms_hash;
struct cms_hash *cms_hash_new(enum cms_digest digest);                          /* NULL: no memory */
int cms_hash_add(struct cms_hash *h, const void *data, size_t len);             /* 0 or -EIO */
int cms_hash_end(struct cms_hash *h, uint8_t out[CMS_DIGEST_MAX], size_t *len); /* 0 or -EIO */
void cms_hash_free(struct cms_hash *h);                                         /* NULL-safe */

const char *cms_digest_name(enum cms_digest digest); /* "SHA-256" … */

/* Which step refused. */
enum cms_step { CMS_STEP_DIGEST, CMS_STEP_SIGNER, CMS_STEP_SIGNATURE };

/* The verdict: the content's digest is the one signed, the signer's certificate leads to an anchor by the rules of
 * `check` (borrowed), and the signature is its key's. 0, and *signer says whose; -EBADMSG (not good), -EACCES (a
 * certificate is not acceptable), or another error that has nothing to do with the signature; then *step tells. */
int cms_verify(const struct cms *c, const uint8_t *digest, size_t digest_len, const struct anchor_check *check,
	       struct anchor_signer *signer, enum cms_step *step, struct err *e);

#endif
