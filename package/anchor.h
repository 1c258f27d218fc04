/* anchor: the authorities that packages are signed under, and the way from a signer's certificate to one of them.
 *
 * The signer: no CA, keyUsage with digitalSignature, extendedKeyUsage with codeSigning by name. Above it authorities
 * that may sign certificates, path lengths kept, and where one limits what for, codeSigning among it. The library's
 * check knows neither rule about code signing. Name constraints are refused, for the library would not look at them.
 * Dates are judged at a time the caller gives.
 */
#ifndef PACKAGE_ANCHOR_H
#define PACKAGE_ANCHOR_H

#include <stddef.h>
#include <stdint.h>

struct anchors;
struct cms;
struct denylist;
struct err;
struct mbedtls_x509_crt;

enum { ANCHOR_NAME = 128, ANCHOR_KEY_TEXT = 65 };

/* PEM or DER; each has to be a root that says CA:TRUE. 0 or -errno, with the file's name in `e`. */
int anchors_load(const char *path, struct anchors **out, struct err *e);
int anchors_parse(const char *name, const void *data, size_t len, struct anchors **out, struct err *e);
void anchors_free(struct anchors *a); /* NULL-safe */

enum anchor_occasion {
	ANCHOR_NEW,       /* something that is to be installed */
	ANCHOR_INSTALLED, /* something that has been accepted: it stays good when its signer's time is over */
};

struct anchor_check {
	const struct anchors *anchors; /* borrowed; NULL: nobody may sign */
	const struct denylist *denied; /* borrowed; NULL: nobody is */
	int64_t now_s;                 /* the latest of clock, build time and last good time */
	enum anchor_occasion occasion;
};

struct anchor_signer {
	char subject[ANCHOR_NAME]; /* escaped, for people */
	char key[ANCHOR_KEY_TEXT]; /* SHA-256 of SubjectPublicKeyInfo, hex: what a deny-list names */
	int64_t not_after_s;
};

/* Finds the signer's certificate in `c` and the way to an anchor; every other certificate in there has to be on it, or
 * be an anchor. `chain` is the caller's, initialized; its first is then the signer's. 0 and *signer, -EACCES with the
 * certificate and the rule it breaks, -EBADMSG when one cannot be read, or -ENOMEM. */
int anchor_verify(const struct anchor_check *check, const struct cms *c, struct mbedtls_x509_crt *chain,
		  struct anchor_signer *signer, struct err *e);

#endif
