/* cert: what a manager's certificate says, and the checks on it that mbedTLS leaves to its user.
 *
 * Identity is the serial number in the subject's CN (wire profile, section 1); host names play no part. Dates are
 * judged at a time the caller gives, because a box whose clock starts in 1970 must still reach its manager.
 */
#ifndef TRUSTLIST_CERT_H
#define TRUSTLIST_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CERT_SERIAL_MAX = 33, CERT_DIGEST_TEXT = 65, CERT_NAME_MAX = 128, CERT_RULE_MAX = 160 };

struct err;
struct mbedtls_x509_crl;
struct mbedtls_x509_crt;
struct mbedtls_x509_crt_profile;

struct cert_facts {
	char serial[CERT_SERIAL_MAX]; /* "" when neither CN nor a DNS subjectAltName is a serial number */
	bool manager;                 /* the serial begins with FMG */
	bool server_auth;             /* no extendedKeyUsage, or one that includes serverAuth itself (not "any") */
	bool signs;                   /* no keyUsage, or one that includes digitalSignature */
	char subject[CERT_NAME_MAX];  /* escaped, for people */
	char issuer[CERT_NAME_MAX];
	char key[CERT_DIGEST_TEXT];        /* SHA-256 of SubjectPublicKeyInfo, hex */
	char issuer_key[CERT_DIGEST_TEXT]; /* the same of the certificate that issued it; "" unless a chain to a
					      configured CA was found */
	int64_t not_before_s, not_after_s; /* seconds since 1970; both belong to the validity */
};

/* Facts of one certificate. Nothing is trusted here: it only reads. 0, or -EINVAL when a field cannot be read or the
 * identity is ambiguous: several CNs, a NUL byte in the CN, or several serials among the DNS names that stand in for
 * a CN which is none. */
int cert_read(const struct mbedtls_x509_crt *crt, struct cert_facts *out, struct err *e);

/* The same from DER or PEM bytes (for tests, fuzzing, `fgfmd -t`); of several certificates the first. */
int cert_read_bytes(const void *data, size_t len, struct cert_facts *out, struct err *e);

/* True for a serial number as managers and devices carry it: "FMG", "FG" or "FGVM"… then [A-Z0-9-], 8…32 characters. */
bool cert_is_serial(const char *s);

/* What signatures and keys a chain may use: SHA-256 and up, RSA from 2,048 bits, P-256, P-384, P-521. */
const struct mbedtls_x509_crt_profile *cert_profile(void);

/* The verify callback's state for one handshake. The library judges dates by the system clock; this judges them at
 * `now_s` instead, and walks the CRL itself (releases of 2.28 forget revocations dated after the clock). */
struct cert_check {
	int64_t now_s;                          /* the latest of clock, build time and last good time */
	const struct mbedtls_x509_crl *crl;     /* borrowed; NULL: none configured */
	const struct mbedtls_x509_crt *anchors; /* borrowed; the configured CA certificates, NULL allowed */
	const char *anchors_name;               /* borrowed; the file they came from, for cert_why() */
	/* results */
	bool seen;      /* the callback saw the manager's own certificate */
	uint32_t flags; /* MBEDTLS_X509_BADCERT_… that remain, of the whole chain; start with ~0 */
	struct cert_facts facts;
	bool crl_stale;   /* the CRL's next update has passed: revocations in it still hold; to be logged */
	bool crl_missing; /* a CRL is configured, but none of an authority in this chain; to be logged */
	/* for cert_why(): the certificate nearest to the manager's that something is wrong with */
	uint32_t blamed_flags;
	int blamed_depth;
	struct cert_facts blamed;
	char rule[CERT_RULE_MAX]; /* which of our own rules the manager's certificate breaks; "" */
	/* the callback's own, from one depth to the next */
	uint32_t found;
	char key_above[CERT_DIGEST_TEXT];
};

/* A check that has seen nothing and therefore fails; the caller then fills in what is borrowed. */
void cert_check_init(struct cert_check *c, int64_t now_s);

/* An mbedtls_ssl_conf_verify() callback; `ctx` is a struct cert_check. Fills facts, issuer key included, and gives back
 * flags with dates and revocation judged anew. Also refuses there: no serial, not a manager's, EKU, key usage, and a
 * certificate that no CA issued (self-signed), even when it stands in the CA file. */
int cert_verify_cb(void *ctx, struct mbedtls_x509_crt *crt, int depth, uint32_t *flags);

/* Why the chain is bad, in words with expected and presented values; "" when `flags` is 0. Returns dst. */
char *cert_why(char *dst, size_t size, const struct cert_check *c);

/* The three checks of the guide, in its order, for the verdict lines. */
enum cert_verdict { VERDICT_NOT_MADE, VERDICT_PASS, VERDICT_FAIL };

#endif
