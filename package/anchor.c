#include "package/anchor.h"

#include <errno.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mbed.h"
#include "base/text.h"
#include "package/cms.h"
#include "package/denylist.h"

enum { FILE_MAX = 1024 * 1024 };

struct anchors {
	mbedtls_x509_crt certs;
	char name[256];
};

static bool
same_bytes(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
	return a->len == b->len && !memcmp(a->p, b->p, a->len);
}

static void
read_subject(char dst[ANCHOR_NAME], const mbedtls_x509_name *name)
{
	char text[1024];
	int n = mbedtls_x509_dn_gets(text, sizeof(text), name);

	text_escape(dst, ANCHOR_NAME, text, n < 0 ? 0 : (size_t)n);
}

static int64_t
seconds_of(const mbedtls_x509_time *t)
{
	struct tm tm = {
	    .tm_year = t->year - 1900,
	    .tm_mon = t->mon - 1,
	    .tm_mday = t->day,
	    .tm_hour = t->hour,
	    .tm_min = t->min,
	    .tm_sec = t->sec,
	};

	return timegm(&tm);
}

/* --- the authorities ---------------------------------------------------------------------------------------------- */

static int
judge_anchors(const struct anchors *a, struct err *e)
{
	char subject[ANCHOR_NAME];

	for (const mbedtls_x509_crt *crt = &a->certs; crt; crt = crt->next) {
		read_subject(subject, &crt->subject);
		if (!mbed_is_ca(crt))
			return err_set(e, -EINVAL, "%s: %s: a certificate with CA:TRUE expected", a->name, subject);
		if (!same_bytes(&crt->subject_raw, &crt->issuer_raw))
			return err_set(e, -EINVAL, "%s: %s: a root expected, one issued by another found", a->name,
				       subject);
	}
	return 0;
}

int
anchors_parse(const char *name, const void *data, size_t len, struct anchors **out, struct err *e)
{
	struct anchors *a = calloc(1, sizeof(*a));
	char *copy = malloc(len + 1), why[200];
	int rc = -ENOMEM;

	if (!a || !copy) {
		err_sys(e, rc, "%s", name);
		goto out;
	}
	mbedtls_x509_crt_init(&a->certs);
	snprintf(a->name, sizeof(a->name), "%s", name);
	memcpy(copy, data, len);
	copy[len] = '\0';
	rc = mbedtls_x509_crt_parse(&a->certs, (const unsigned char *)copy, mbed_input_size(copy, len));
	if (rc < 0)
		rc = err_set(e, -EINVAL, "%s: no certificates: %s", name, mbed_strerror(why, sizeof(why), rc));
	else if (rc > 0)
		rc = err_set(e, -EINVAL, "%s: %d of the certificates cannot be read", name, rc);
	else
		rc = judge_anchors(a, e);
	if (!rc) {
		*out = a;
		a = NULL;
	}
out:
	free(copy);
	anchors_free(a);
	return rc;
}

int
anchors_load(const char *path, struct anchors **out, struct err *e)
{
	char *text = NULL;
	size_t len;
	int rc = file_read(path, FILE_MAX, &text, &len, e);

	if (!rc)
		rc = anchors_parse(path, text, len, out, e);
	free(text);
	return rc;
}

void
anchors_free(struct anchors *a)
{
	if (!a)
		return;
	mbedtls_x509_crt_free(&a->certs);
	free(a);
}

/* --- the rules ---------------------------------------------------------------------------------------------------- */

/* What the library accepts. Its default takes more curves and shorter digests. */
static const mbedtls_x509_crt_profile profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
		   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSA) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) |
		   MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA),
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) | MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1),
    .rsa_min_bitlen = 2048,
};

/* The extension's own words are left to the library; this says whether it is there. */
static bool
has_extension(const mbedtls_x509_crt *crt, uint8_t last_of_oid)
{
	const uint8_t oid[] = {0x55, 0x1d, last_of_oid};
	struct der in = {crt->v3_ext.p, crt->v3_ext.len};
	struct der_item list, extension, id;

	if (!in.len || der_next(&in, &list))
		return false;
	while (!der_next(&list.body, &extension)) {
		if (!der_next(&extension.body, &id) && der_equal(id.body, (struct der){oid, sizeof(oid)}))
			return true;
	}
	return false;
}

enum { EXTENSION_KEY_USAGE = 15, EXTENSION_NAME_CONSTRAINTS = 30 };

/* By name: anyExtendedKeyUsage does not do. */
static bool
names_code_signing(const mbedtls_x509_crt *crt)
{
	for (const mbedtls_x509_sequence *s = &crt->ext_key_usage; s && s->buf.p; s = s->next) {
		if (!MBEDTLS_OID_CMP(MBEDTLS_OID_CODE_SIGNING, &s->buf))
			return true;
	}
	return false;
}

static bool
dates_hold(const struct anchor_check *check, const mbedtls_x509_crt *crt)
{
	return seconds_of(&crt->valid_from) <= check->now_s &&
	       (check->occasion == ANCHOR_INSTALLED || seconds_of(&crt->valid_to) >= check->now_s);
}

/* A renewed root keeps name and key. With both in the file the library picks one by the system's clock, which may be
 * the wrong one at `now_s`. */
static bool
dates_good(const struct anchor_check *check, const mbedtls_x509_crt *crt, int depth)
{
	if (dates_hold(check, crt))
		return true;
	for (const mbedtls_x509_crt *a = depth ? &check->anchors->certs : NULL; a; a = a->next) {
		if (same_bytes(&a->subject_raw, &crt->subject_raw) && same_bytes(&a->pk_raw, &crt->pk_raw) &&
		    dates_hold(check, a))
			return true;
	}
	return false;
}

/* --- the way ------------------------------------------------------------------------------------------------------ */

struct walk {
	const struct anchor_check *check;
	bool seen; /* down to the signer's */
	bool bad;
	const mbedtls_x509_crt *passed[FORMAT_CERTS_MAX + 8]; /* the library goes 8 intermediates far */
	size_t passed_count;
	struct anchor_signer signer;
	struct err *e;
};

__attribute__((format(printf, 3, 4))) static void
refuse(struct walk *w, const char *subject, const char *fmt, ...)
{
	char reason[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	w->bad = true;
	err_set(w->e, -EACCES, "certificate %s: %s", subject, reason);
}

static void
judge_dates(struct walk *w, const mbedtls_x509_crt *crt, int depth, const char *subject)
{
	bool early = seconds_of(&crt->valid_from) > w->check->now_s;
	char when[32], now[32];

	if (dates_good(w->check, crt, depth))
		return;
	text_utc(when, sizeof(when), seconds_of(early ? &crt->valid_from : &crt->valid_to));
	refuse(w, subject, "%s %s (judged at %s)", early ? "not valid before" : "expired on", when,
	       text_utc(now, sizeof(now), w->check->now_s));
}

static void
judge_signer(struct walk *w, const mbedtls_x509_crt *crt, const char *subject)
{
	if (mbed_is_ca(crt))
		refuse(w, subject, "CA:FALSE expected of a signer, CA:TRUE found");
	else if (!has_extension(crt, EXTENSION_KEY_USAGE) ||
		 mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE))
		refuse(w, subject, "keyUsage with digitalSignature expected, %s found",
		       has_extension(crt, EXTENSION_KEY_USAGE) ? "others" : "none");
	else if (!names_code_signing(crt))
		refuse(w, subject, "extendedKeyUsage with codeSigning expected, %s found",
		       crt->ext_key_usage.buf.p ? "others" : "none");
}

/* What the library found on its own. */
static void
judge_flags(struct walk *w, const mbedtls_x509_crt *crt, uint32_t flags, const char *subject)
{
	char issuer[ANCHOR_NAME];

	flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
	read_subject(issuer, &crt->issuer);
	if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
		refuse(w, subject, "issued by %s: no authority of that name and key that may sign it, in %s", issuer,
		       w->check->anchors->name);
	else if (flags & MBEDTLS_X509_BADCERT_BAD_MD)
		refuse(w, subject, "signed with SHA-256, SHA-384 or SHA-512 expected, a weaker digest found");
	else if (flags & (MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY))
		refuse(w, subject, "RSA PKCS #1 from 2048 bits or ECDSA P-256 or P-384 expected, another key found");
	else if (flags)
		refuse(w, subject, "verification flags 0x%x", flags);
}

/* From the anchor down to depth 0: what is said last is about the certificate nearest to the signer. */
static int
walk_cb(void *ctx, struct mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	struct walk *w = ctx;
	struct anchor_signer s = {.not_after_s = seconds_of(&crt->valid_to)};

	read_subject(s.subject, &crt->subject);
	if (w->passed_count < sizeof(w->passed) / sizeof(w->passed[0]))
		w->passed[w->passed_count++] = crt;
	if (crypto_sha256_text(crt->pk_raw.p, crt->pk_raw.len, s.key))
		refuse(w, s.subject, "no digest of its key");
	judge_flags(w, crt, *flags, s.subject);
	judge_dates(w, crt, depth, s.subject);
	if (has_extension(crt, EXTENSION_NAME_CONSTRAINTS))
		refuse(w, s.subject, "name constraints, which are not supported");
	if (depth == 0)
		judge_signer(w, crt, s.subject);
	else if (crt->ext_key_usage.buf.p && !names_code_signing(crt))
		refuse(w, s.subject,
		       "extendedKeyUsage of an authority with codeSigning among it expected, others found");
	if (denylist_has(w->check->denied, s.key))
		refuse(w, s.subject, "revoked: its key %s is in the deny-list", s.key);
	if (depth == 0) {
		w->signer = s;
		w->seen = true;
	}
	*flags = w->bad ? MBEDTLS_X509_BADCERT_OTHER : 0;
	return 0;
}

/* Bytes that nobody signed are no part of a signature: each certificate is on the way, or known. */
static int
judge_rest(const struct walk *w, const mbedtls_x509_crt *chain, struct err *e)
{
	char subject[ANCHOR_NAME];

	for (const mbedtls_x509_crt *crt = chain; crt; crt = crt->next) {
		bool known = false;

		for (size_t i = 0; i < w->passed_count; i++)
			known |= w->passed[i] == crt;
		for (const mbedtls_x509_crt *a = &w->check->anchors->certs; a; a = a->next)
			known |= same_bytes(&a->raw, &crt->raw);
		if (known)
			continue;
		read_subject(subject, &crt->subject);
		return err_set(e, -EACCES,
			       "certificate %s: it is not needed; only the signer's and those above it "
			       "expected",
			       subject);
	}
	return 0;
}

static int
add_cert(mbedtls_x509_crt *list, struct der cert, struct err *e)
{
	char why[200];
	int rc = mbedtls_x509_crt_parse_der(list, cert.p, cert.len);

	if (!rc)
		return 0;
	return err_set(e, rc == MBEDTLS_ERR_X509_ALLOC_FAILED ? -ENOMEM : -EBADMSG,
		       "a certificate that can be read expected: %s", mbed_strerror(why, sizeof(why), rc));
}

/* The index of the only certificate with this issuer and serial number. */
static int
find_signer(const struct cms *c, size_t *out, struct err *e)
{
	size_t found = c->cert_count;

	for (size_t i = 0; i < c->cert_count; i++) {
		mbedtls_x509_crt crt;
		bool match;
		int rc;

		mbedtls_x509_crt_init(&crt);
		rc = add_cert(&crt, c->certs[i], e);
		match = !rc && der_equal(c->issuer, (struct der){crt.issuer_raw.p, crt.issuer_raw.len}) &&
			der_equal(c->serial, (struct der){crt.serial.p, crt.serial.len});
		mbedtls_x509_crt_free(&crt);
		if (rc)
			return rc;
		if (match && found < c->cert_count)
			return err_set(e, -EACCES,
				       "signer: one certificate with its issuer and serial number expected, "
				       "several found");
		if (match)
			found = i;
	}
	if (found == c->cert_count)
		return err_set(e, -EACCES,
			       "signer: a certificate with its issuer and serial number expected, none found");
	*out = found;
	return 0;
}

static int
walk(const struct anchor_check *check, mbedtls_x509_crt *chain, struct walk *w, struct err *e)
{
	uint32_t flags = ~0U;
	char why[200];
	int rc = mbedtls_x509_crt_verify_with_profile(chain, (mbedtls_x509_crt *)&check->anchors->certs, NULL, &profile,
						      NULL, &flags, walk_cb, w);

	if (w->bad)
		return -EACCES;
	if (rc || flags || !w->seen)
		return err_set(e, -EACCES, "certificates: %s", mbed_strerror(why, sizeof(why), rc));
	return judge_rest(w, chain, e);
}

int
anchor_verify(const struct anchor_check *check, const struct cms *c, struct mbedtls_x509_crt *chain,
	      struct anchor_signer *signer, struct err *e)
{
	struct err why = ERR_NONE;
	struct walk w = {.check = check, .e = &why};
	size_t first = 0;
	int rc = check->anchors ? find_signer(c, &first, &why)
				: err_set(&why, -EACCES, "signer: there are no authorities to accept it");

	if (!rc)
		rc = add_cert(chain, c->certs[first], &why);
	for (size_t i = 0; !rc && i < c->cert_count; i++) {
		if (i != first)
			rc = add_cert(chain, c->certs[i], &why);
	}
	if (!rc)
		rc = walk(check, chain, &w, &why);
	if (rc)
		return err_set(e, rc, "%s", why.text);
	*signer = w.signer;
	return 0;
}
