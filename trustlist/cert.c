#include "trustlist/cert.h"

#include <errno.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/mbed.h"
#include "base/text.h"

enum { SERIAL_SHORTEST = 8 };

/* By length, so that a NUL byte is a character like any other that does not belong there. */
static bool
is_serial(const void *text, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *p = text;

	if (len < SERIAL_SHORTEST || len >= CERT_SERIAL_MAX)
		return false;
	if (strncmp(p, "FMG", 3) && strncmp(p, "FG", 2))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!memchr(allowed, p[i], sizeof(allowed) - 1))
			return false;
	}
	return true;
}

bool
cert_is_serial(const char *s)
{
	return is_serial(s, strlen(s));
}

/* The subject's only CN, NULL when it has none. */
static int
find_cn(const mbedtls_x509_crt *crt, const mbedtls_x509_buf **out, struct err *e)
{
	const mbedtls_x509_buf *cn = NULL;

	for (const mbedtls_x509_name *n = &crt->subject; n; n = n->next) {
		if (!n->oid.p || MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &n->oid))
			continue;
		if (cn)
			return err_set(e, -EINVAL, "the subject has several CNs, one expected");
		cn = &n->val;
	}
	if (cn && memchr(cn->p, '\0', cn->len))
		return err_set(e, -EINVAL, "the subject's CN holds a NUL byte");
	*out = cn;
	return 0;
}

/* The only serial number among the DNS names, "" when there is none. */
static int
read_dns_serial(const mbedtls_x509_crt *crt, char serial[CERT_SERIAL_MAX], struct err *e)
{
	const mbedtls_x509_buf *found = NULL;

	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s && s->buf.p; s = s->next) {
		if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != MBEDTLS_X509_SAN_DNS_NAME ||
		    !is_serial(s->buf.p, s->buf.len))
			continue;
		if (found && (found->len != s->buf.len || memcmp(found->p, s->buf.p, s->buf.len)))
			return err_set(e, -EINVAL, "several serial numbers among the DNS names, one expected");
		found = &s->buf;
	}
	snprintf(serial, CERT_SERIAL_MAX, "%.*s", found ? (int)found->len : 0, found ? (const char *)found->p : "");
	return 0;
}

/* Wire profile, section 1: the CN is the serial; a DNS name counts only if the CN is none. */
static int
read_identity(const mbedtls_x509_crt *crt, struct cert_facts *out, struct err *e)
{
	const mbedtls_x509_buf *cn = NULL;
	char serial[CERT_SERIAL_MAX];
	int rc;

	rc = find_cn(crt, &cn, e);
	if (rc)
		return rc;
	if (cn && is_serial(cn->p, cn->len))
		snprintf(serial, sizeof(serial), "%.*s", (int)cn->len, (const char *)cn->p);
	else
		rc = read_dns_serial(crt, serial, e);
	if (rc)
		return rc;
	memcpy(out->serial, serial, sizeof(serial));
	out->manager = !strncmp(serial, "FMG", 3);
	return 0;
}

static void
read_name(char dst[CERT_NAME_MAX], const mbedtls_x509_name *name)
{
	static const char unreadable[] = "(a name that cannot be shown)";
	char text[1024];
	int n = mbedtls_x509_dn_gets(text, sizeof(text), name);

	if (n < 0)
		snprintf(dst, CERT_NAME_MAX, "%s", unreadable);
	else
		text_escape(dst, CERT_NAME_MAX, text, (size_t)n);
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

/* Our rule asks for serverAuth itself; the library also takes anyExtendedKeyUsage. */
static bool
has_server_auth(const mbedtls_x509_crt *crt)
{
	const mbedtls_x509_sequence *s = &crt->ext_key_usage;

	if (!s->buf.p)
		return true;
	for (; s; s = s->next) {
		if (!MBEDTLS_OID_CMP(MBEDTLS_OID_SERVER_AUTH, &s->buf))
			return true;
	}
	return false;
}

/* Everything but the identity: also what is asked of a CA certificate. */
static int
read_common(const mbedtls_x509_crt *crt, struct cert_facts *out, struct err *e)
{
	int rc = crypto_sha256_text(crt->pk_raw.p, crt->pk_raw.len, out->key);

	if (rc)
		return err_sys(e, rc, "digest of the public key");
	read_name(out->subject, &crt->subject);
	read_name(out->issuer, &crt->issuer);
	out->not_before_s = seconds_of(&crt->valid_from);
	out->not_after_s = seconds_of(&crt->valid_to);
	out->server_auth = has_server_auth(crt);
	out->signs = !mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
	return 0;
}

int
cert_read(const struct mbedtls_x509_crt *crt, struct cert_facts *out, struct err *e)
{
	struct cert_facts facts = {0};
	int rc = read_common(crt, &facts, e);

	if (!rc)
		rc = read_identity(crt, &facts, e);
	if (!rc)
		*out = facts;
	return rc;
}

int
cert_read_bytes(const void *data, size_t len, struct cert_facts *out, struct err *e)
{
	mbedtls_x509_crt crt;
	char why[200];
	char *copy;
	int rc;

	mbedtls_x509_crt_init(&crt);
	copy = malloc(len + 1);
	if (!copy)
		return err_sys(e, -ENOMEM, "certificate");
	memcpy(copy, data, len);
	copy[len] = '\0';
	rc = mbedtls_x509_crt_parse(&crt, (const unsigned char *)copy, mbed_input_size(copy, len));
	if (rc < 0)
		rc = err_set(e, -EINVAL, "not a certificate: %s", mbed_strerror(why, sizeof(why), rc));
	else if (rc > 0)
		rc = err_set(e, -EINVAL, "%d of the certificates cannot be read", rc);
	else
		rc = cert_read(&crt, out, e);
	mbedtls_x509_crt_free(&crt);
	free(copy);
	return rc;
}

const struct mbedtls_x509_crt_profile *
cert_profile(void)
{
	static const mbedtls_x509_crt_profile profile = {
	    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
			   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
	    .allowed_pks = MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSA) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSASSA_PSS) |
			   MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA),
	    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
			      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1) |
			      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP521R1),
	    .rsa_min_bitlen = 2048,
	};

	return &profile;
}

void
cert_check_init(struct cert_check *c, int64_t now_s)
{
	*c = (struct cert_check){.now_s = now_s, .flags = ~0U};
}

static uint32_t
dates_at(const mbedtls_x509_crt *crt, int64_t now_s)
{
	if (seconds_of(&crt->valid_to) < now_s)
		return MBEDTLS_X509_BADCERT_EXPIRED;
	return seconds_of(&crt->valid_from) > now_s ? MBEDTLS_X509_BADCERT_FUTURE : 0;
}

static bool
same_bytes(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
	return a->len == b->len && !memcmp(a->p, b->p, a->len);
}

/* A renewed CA keeps name and key. With both certificates in the file, the library picks one by the system clock, which
 * may be the wrong one at `now_s`: what a valid twin among the anchors vouches for is as good. */
static uint32_t
judge_dates(const struct cert_check *c, const mbedtls_x509_crt *crt, int depth)
{
	uint32_t bad = dates_at(crt, c->now_s);

	for (const mbedtls_x509_crt *a = depth ? c->anchors : NULL; bad && a; a = a->next) {
		if (same_bytes(&a->subject_raw, &crt->subject_raw) && same_bytes(&a->pk_raw, &crt->pk_raw))
			bad = dates_at(a, c->now_s);
	}
	return bad;
}

/* As lax as the library's own comparison, which decides whether a CRL's signature was looked at: string types do not
 * matter, nor does ASCII case. */
static bool
same_name(const mbedtls_x509_name *a, const mbedtls_x509_name *b)
{
	for (; a && b; a = a->next, b = b->next) {
		if (!same_bytes(&a->oid, &b->oid) || a->val.len != b->val.len ||
		    strncasecmp((const char *)a->val.p, (const char *)b->val.p, a->val.len))
			return false;
	}
	return !a && !b;
}

/* A lapsed CRL does not refuse the manager: the box must not be lost the day nobody renewed a file on it. */
static uint32_t
judge_revocation(struct cert_check *c, const mbedtls_x509_crt *crt)
{
	bool found = !c->crl || same_name(&crt->issuer, &crt->subject);
	uint32_t bad = 0;

	for (const mbedtls_x509_crl *l = c->crl; l; l = l->next) {
		if (!same_name(&l->issuer, &crt->issuer))
			continue;
		found = true;
		if (l->next_update.year && seconds_of(&l->next_update) < c->now_s)
			c->crl_stale = true;
		for (const mbedtls_x509_crl_entry *r = &l->entry; r && r->serial.len; r = r->next) {
			if (same_bytes(&r->serial, &crt->serial))
				bad = MBEDTLS_X509_BADCERT_REVOKED;
		}
	}
	c->crl_missing |= !found;
	return bad;
}

/* What is asked of the manager's own certificate beyond its chain (wire profile, section 1). A certificate that stands
 * in the CA file itself is trusted by the library with nobody above it: then no issuer could be remembered. */
static uint32_t
judge_manager(struct cert_check *c, const mbedtls_x509_crt *crt, struct cert_facts *facts, bool trusted)
{
	struct err why = ERR_NONE;
	uint32_t bad = 0;

	if (read_identity(crt, facts, &why))
		snprintf(c->rule, sizeof(c->rule), "%s", why.text);
	else if (!facts->serial[0])
		snprintf(c->rule, sizeof(c->rule), "neither CN nor a DNS name is a serial number");
	else if (!facts->manager)
		snprintf(c->rule, sizeof(c->rule), "serial %s is not a manager's, FMG… expected", facts->serial);
	else if (trusted && !c->key_above[0])
		snprintf(c->rule, sizeof(c->rule), "self-signed, a certificate issued by a CA expected");
	if (c->rule[0])
		bad |= MBEDTLS_X509_BADCERT_OTHER;
	if (!facts->server_auth)
		bad |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
	if (!facts->signs)
		bad |= MBEDTLS_X509_BADCERT_KEY_USAGE;
	return bad;
}

/* Called from the trust anchor down to depth 0, so `key_above` is the key of the certificate that issued this one. */
int
cert_verify_cb(void *ctx, struct mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	/* CN_MISMATCH: the library compares a configured SNI with the names; identity is the serial number */
	const uint32_t ours = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE | MBEDTLS_X509_BADCRL_EXPIRED |
			      MBEDTLS_X509_BADCRL_FUTURE | MBEDTLS_X509_BADCERT_CN_MISMATCH;
	struct cert_check *c = ctx;
	struct cert_facts facts = {0};
	uint32_t bad = *flags & ~ours;

	if (read_common(crt, &facts, NULL))
		bad |= MBEDTLS_X509_BADCERT_OTHER;
	bad |= judge_dates(c, crt, depth);
	bad |= judge_revocation(c, crt);
	if (depth == 0)
		bad |= judge_manager(c, crt, &facts, !(bad & MBEDTLS_X509_BADCERT_NOT_TRUSTED));
	c->found |= bad;
	if (bad) {
		c->blamed_flags = bad;
		c->blamed_depth = depth;
		c->blamed = facts;
	}
	if (depth == 0) {
		if (!(c->found & MBEDTLS_X509_BADCERT_NOT_TRUSTED))
			memcpy(facts.issuer_key, c->key_above, sizeof(facts.issuer_key));
		c->facts = facts;
		c->seen = true;
		c->flags = c->found;
	}
	memcpy(c->key_above, facts.key, sizeof(c->key_above));
	*flags = bad;
	return 0;
}

__attribute__((format(printf, 3, 4))) static void
add_reason(char *dst, size_t size, const char *fmt, ...)
{
	size_t used = strlen(dst);
	va_list ap;

	if (used + 3 >= size)
		return;
	if (used) {
		memcpy(dst + used, "; ", 3);
		used += 2;
	}
	va_start(ap, fmt);
	vsnprintf(dst + used, size - used, fmt, ap);
	va_end(ap);
}

/* The reasons that name a value of the certificate. */
static void
add_presented(char *dst, size_t size, const struct cert_check *c, const struct cert_facts *who, uint32_t bad)
{
	char when[32], now[32];

	text_utc(now, sizeof(now), c->now_s);
	if (bad & MBEDTLS_X509_BADCERT_EXPIRED)
		add_reason(dst, size, "expired on %s (judged at %s)", text_utc(when, sizeof(when), who->not_after_s),
			   now);
	if (bad & MBEDTLS_X509_BADCERT_FUTURE)
		add_reason(dst, size, "not valid before %s (judged at %s)",
			   text_utc(when, sizeof(when), who->not_before_s), now);
	if (bad & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
		add_reason(dst, size, "issued by %s, not by a CA in %s", who->issuer,
			   c->anchors_name ? c->anchors_name : "the configured file");
	if (bad & MBEDTLS_X509_BADCERT_REVOKED)
		add_reason(dst, size, "revoked by %s", who->issuer);
	if (bad & MBEDTLS_X509_BADCERT_OTHER)
		add_reason(dst, size, "%s", c->rule[0] ? c->rule : "its fields cannot be read");
}

/* The reasons that say it all by themselves; returns the flags that none of them explains. */
static uint32_t
add_general(char *dst, size_t size, uint32_t bad)
{
	static const struct {
		uint32_t flags;
		const char *text;
	} reasons[] = {
	    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "its extendedKeyUsage lacks serverAuth"},
	    {MBEDTLS_X509_BADCERT_KEY_USAGE, "its keyUsage lacks digitalSignature"},
	    {MBEDTLS_X509_BADCERT_BAD_MD, "signed with a weak digest, SHA-256 or better expected"},
	    {MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
	     "weak key in the chain, RSA of 2048 bits or more or P-256, P-384, P-521 expected"},
	    {MBEDTLS_X509_BADCRL_NOT_TRUSTED, "the CRL in its issuer's name was not signed by its issuer"},
	    {MBEDTLS_X509_BADCRL_BAD_MD | MBEDTLS_X509_BADCRL_BAD_PK | MBEDTLS_X509_BADCRL_BAD_KEY,
	     "its issuer's CRL has a weak signature"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (bad & reasons[i].flags)
			add_reason(dst, size, "%s", reasons[i].text);
		bad &= ~reasons[i].flags;
	}
	return bad;
}

char *
cert_why(char *dst, size_t size, const struct cert_check *c)
{
	const uint32_t presented = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE |
				   MBEDTLS_X509_BADCERT_NOT_TRUSTED | MBEDTLS_X509_BADCERT_REVOKED |
				   MBEDTLS_X509_BADCERT_OTHER;
	const struct cert_facts *who = c->blamed_flags ? &c->blamed : &c->facts;
	uint32_t bad = c->blamed_flags ? c->blamed_flags : c->flags;
	char reasons[240] = "";

	if (!c->flags || !c->seen) {
		snprintf(dst, size, "%s", c->flags ? "no certificate was presented" : "");
		return dst;
	}
	add_presented(reasons, sizeof(reasons), c, who, bad);
	bad = add_general(reasons, sizeof(reasons), bad) & ~presented;
	if (bad)
		add_reason(reasons, sizeof(reasons), "verification flags 0x%x", bad);
	snprintf(dst, size, "%scertificate %s: %s", c->blamed_flags && c->blamed_depth ? "CA " : "", who->subject,
		 reasons);
	return dst;
}
