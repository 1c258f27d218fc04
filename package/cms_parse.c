#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "package/cms.h"

/* Object identifiers, without tag and length. */
#define OID(...)                                                                                                       \
	{                                                                                                              \
		(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                                 \
	}
static const struct der oid_data = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01);
static const struct der oid_signed_data = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02);
static const struct der oid_content_type = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03);
static const struct der oid_message_digest = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04);
static const struct der oid_signing_time = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05);
static const struct der oid_rsa = OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);

/* RFC 5754: the digest, and the signature algorithms that go with it. */
static const struct {
	struct der digest, rsa, ecdsa;
	const char *name;
	size_t len;
} digests[] = {
    [CMS_SHA256] = {OID(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01),
		    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
		    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02), "SHA-256", 32},
    [CMS_SHA384] = {OID(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02),
		    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c),
		    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03), "SHA-384", 48},
    [CMS_SHA512] = {OID(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03),
		    OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d),
		    OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04), "SHA-512", 64},
};

const char *
cms_digest_name(enum cms_digest digest)
{
	return digests[digest].name;
}

static int
take_oid(struct der *in, struct der expected, const char *what, struct err *e)
{
	struct der_item oid;
	int rc = der_take(in, DER_OID, what, &oid, e);

	if (rc || der_equal(oid.body, expected))
		return rc;
	return err_set(e, -EBADMSG, "%s: another one than expected", what);
}

/* Versions are one byte. */
static int
take_version(struct der *in, uint8_t expected, const char *what, struct err *e)
{
	struct der_item v;
	int rc = der_take(in, DER_INTEGER, what, &v, e);

	if (rc || (v.body.len == 1 && v.body.p[0] == expected))
		return rc;
	if (v.body.len > 1)
		return err_set(e, -EBADMSG, "%s: %u expected, a number of %zu bytes found", what, expected, v.body.len);
	return err_set(e, -EBADMSG, "%s: %u expected, %u found", what, expected, v.body.p[0]);
}

/* AlgorithmIdentifier: what stands there, and whether its parameters are absent or NULL. */
static int
take_algorithm(struct der *in, const char *what, struct der *oid, bool *null, struct err *e)
{
	struct der_item seq, id, parameter;
	int rc = der_take(in, DER_SEQUENCE, what, &seq, e);

	if (!rc)
		rc = der_take(&seq.body, DER_OID, what, &id, e);
	if (rc)
		return rc;
	*null = seq.body.len > 0;
	if (*null)
		rc = der_take(&seq.body, DER_NULL, what, &parameter, e);
	if (!rc)
		rc = der_end(&seq.body, what, e);
	if (!rc)
		*oid = id.body;
	return rc;
}

static int
take_digest_algorithm(struct der *in, const char *what, enum cms_digest *out, struct err *e)
{
	struct der oid;
	bool null;
	int rc = take_algorithm(in, what, &oid, &null, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		if (der_equal(oid, digests[i].digest)) {
			*out = (enum cms_digest)i;
			return 0;
		}
	}
	return err_set(e, -EBADMSG, "%s: SHA-256, SHA-384 or SHA-512 expected, another found", what);
}

/* RFC 3370 and 5754: rsaEncryption and the ones with a digest have NULL parameters, ECDSA has none. */
static int
take_signature_algorithm(struct der *in, struct cms *c, struct err *e)
{
	static const char what[] = "signature algorithm";
	struct der oid;
	bool null;
	int rc = take_algorithm(in, what, &oid, &null, e);

	if (rc)
		return rc;
	if (der_equal(oid, oid_rsa) || der_equal(oid, digests[c->digest].rsa)) {
		c->algorithm = CMS_RSA;
		return null ? 0 : err_set(e, -EBADMSG, "%s: parameters NULL expected, none found", what);
	}
	if (der_equal(oid, digests[c->digest].ecdsa)) {
		c->algorithm = CMS_ECDSA;
		return null ? err_set(e, -EBADMSG, "%s: no parameters expected, NULL found", what) : 0;
	}
	return err_set(e, -EBADMSG, "%s: RSA PKCS #1 or ECDSA with %s expected, another found", what,
		       digests[c->digest].name);
}

static int
take_digest_set(struct der *in, struct cms *c, struct err *e)
{
	struct der_item set;
	int rc = der_take(in, DER_SET, "digest algorithms", &set, e);

	if (!rc && !set.body.len)
		return err_set(e, -EBADMSG, "digest algorithms: one expected, none found");
	if (!rc)
		rc = take_digest_algorithm(&set.body, "digest algorithms", &c->digest, e);
	if (!rc && set.body.len)
		return err_set(e, -EBADMSG, "digest algorithms: one expected, several found");
	return rc;
}

static int
take_content_info(struct der *in, struct err *e)
{
	struct der_item seq;
	int rc = der_take(in, DER_SEQUENCE, "content info", &seq, e);

	if (!rc)
		rc = take_oid(&seq.body, oid_data, "content type", e);
	if (!rc && seq.body.len)
		return err_set(e, -EBADMSG, "content: none expected in a detached signature, some found");
	return rc;
}

static int
take_certificates(struct der *in, struct cms *c, struct err *e)
{
	struct der_item set, cert;
	int rc;

	if (!der_is_next(in, DER_CONTEXT_0))
		return err_set(e, -EBADMSG, "certificates: 1 to %d expected, none found", FORMAT_CERTS_MAX);
	rc = der_take(in, DER_CONTEXT_0, "certificates", &set, e);
	if (!rc && !set.body.len)
		return err_set(e, -EBADMSG, "certificates: 1 to %d expected, none found", FORMAT_CERTS_MAX);
	while (!rc && set.body.len) {
		if (c->cert_count == FORMAT_CERTS_MAX)
			return err_set(e, -EBADMSG, "certificates: at most %d expected, more found", FORMAT_CERTS_MAX);
		rc = der_take(&set.body, DER_SEQUENCE, "certificate", &cert, e);
		if (!rc && c->cert_count && !der_is_sorted(c->certs[c->cert_count - 1], cert.whole))
			return err_set(e, -EBADMSG, "certificates: sorted as DER asks expected, unsorted found");
		if (!rc)
			c->certs[c->cert_count++] = cert.whole;
	}
	return rc;
}

/* --- the signer --------------------------------------------------------------------------------------------------- */

struct attributes {
	struct der_item content_type, message_digest, signing_time; /* tag 0: not there */
};

static int
take_attribute(struct der *in, struct attributes *a, struct err *e)
{
	struct der_item seq, oid, set, value, *slot;
	int rc = der_take(in, DER_SEQUENCE, "signed attribute", &seq, e);

	if (!rc)
		rc = der_take(&seq.body, DER_OID, "signed attribute", &oid, e);
	if (!rc)
		rc = der_take(&seq.body, DER_SET, "signed attribute", &set, e);
	if (!rc)
		rc = der_end(&seq.body, "signed attribute", e);
	if (rc)
		return rc;
	slot = der_equal(oid.body, oid_content_type)     ? &a->content_type
	       : der_equal(oid.body, oid_message_digest) ? &a->message_digest
	       : der_equal(oid.body, oid_signing_time)   ? &a->signing_time
							 : NULL;
	if (!slot)
		return err_set(e, -EBADMSG,
			       "signed attributes: content-type, message-digest, signing-time expected, "
			       "another found");
	if (slot->tag)
		return err_set(e, -EBADMSG, "signed attributes: each once expected, one found twice");
	if (der_next(&set.body, &value) || set.body.len)
		return err_set(e, -EBADMSG, "signed attributes: one value each expected, none or several found");
	*slot = value;
	return 0;
}

static int
judge_attributes(const struct attributes *a, struct cms *c, struct err *e)
{
	uint8_t when = a->signing_time.tag;

	if (a->content_type.tag != DER_OID || !der_equal(a->content_type.body, oid_data))
		return err_set(e, -EBADMSG, "signed attributes: content-type data expected, %s found",
			       a->content_type.tag ? "another" : "none");
	if (a->message_digest.tag != DER_OCTET_STRING)
		return err_set(e, -EBADMSG, "signed attributes: message-digest expected, %s found",
			       a->message_digest.tag ? "something else" : "none");
	if (a->message_digest.body.len != digests[c->digest].len)
		return err_set(e, -EBADMSG, "message-digest: %zu bytes expected for %s, %zu found",
			       digests[c->digest].len, digests[c->digest].name, a->message_digest.body.len);
	if (when && when != DER_UTC_TIME && when != DER_GENERALIZED_TIME)
		return err_set(e, -EBADMSG, "signing-time: a time expected, tag 0x%02x found", when);
	c->message_digest = a->message_digest.body;
	return 0;
}

/* They are signed with the tag of a SET, so they have to be sorted like one; der_check() has not seen that tag. */
static int
take_attributes(struct der *in, struct cms *c, struct err *e)
{
	struct attributes a = {0};
	struct der_item set;
	struct der last = {0};
	int rc;

	if (!der_is_next(in, DER_CONTEXT_0))
		return err_set(e, -EBADMSG, "signed attributes: expected, none found");
	rc = der_take(in, DER_CONTEXT_0, "signed attributes", &set, e);
	if (rc)
		return rc;
	c->attributes = set.whole;
	while (!rc && set.body.len) {
		struct der at = set.body;

		rc = take_attribute(&set.body, &a, e);
		at.len -= set.body.len;
		if (!rc && last.p && !der_is_sorted(last, at))
			rc = err_set(e, -EBADMSG, "signed attributes: sorted as DER asks expected, unsorted found");
		last = at;
	}
	return rc ? rc : judge_attributes(&a, c, e);
}

static int
take_identity(struct der *in, struct cms *c, struct err *e)
{
	struct der_item seq, issuer, serial;
	int rc = der_take(in, DER_SEQUENCE, "signer's issuer and serial number", &seq, e);

	if (!rc)
		rc = der_take(&seq.body, DER_SEQUENCE, "signer's issuer", &issuer, e);
	if (!rc)
		rc = der_take(&seq.body, DER_INTEGER, "signer's serial number", &serial, e);
	if (!rc)
		rc = der_end(&seq.body, "signer's issuer and serial number", e);
	if (rc)
		return rc;
	c->issuer = issuer.whole;
	c->serial = serial.body;
	return 0;
}

static int
take_signer(struct der *in, struct cms *c, struct err *e)
{
	struct der_item seq, signature;
	enum cms_digest digest = CMS_SHA256;
	int rc = der_take(in, DER_SEQUENCE, "signer", &seq, e);

	if (!rc)
		rc = take_version(&seq.body, 1, "signer's version", e);
	if (!rc)
		rc = take_identity(&seq.body, c, e);
	if (!rc)
		rc = take_digest_algorithm(&seq.body, "signer's digest algorithm", &digest, e);
	if (!rc && digest != c->digest)
		return err_set(e, -EBADMSG, "signer's digest algorithm: %s expected, as before, %s found",
			       digests[c->digest].name, digests[digest].name);
	if (!rc)
		rc = take_attributes(&seq.body, c, e);
	if (!rc)
		rc = take_signature_algorithm(&seq.body, c, e);
	if (!rc)
		rc = der_take(&seq.body, DER_OCTET_STRING, "signature", &signature, e);
	if (rc)
		return rc;
	c->signature = signature.body;
	if (der_is_next(&seq.body, DER_CONTEXT_1))
		return err_set(e, -EBADMSG, "unsigned attributes: none expected, some found");
	return der_end(&seq.body, "signer", e);
}

static int
take_signers(struct der *in, struct cms *c, struct err *e)
{
	struct der_item set;
	int rc = der_take(in, DER_SET, "signers", &set, e);

	if (!rc && !set.body.len)
		return err_set(e, -EBADMSG, "signers: one expected, none found");
	if (!rc)
		rc = take_signer(&set.body, c, e);
	if (!rc && set.body.len)
		return err_set(e, -EBADMSG, "signers: one expected, several found");
	return rc;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int
parse_signed_data(struct der in, struct cms *c, struct err *e)
{
	int rc = take_version(&in, 1, "SignedData version", e);

	if (!rc)
		rc = take_digest_set(&in, c, e);
	if (!rc)
		rc = take_content_info(&in, e);
	if (!rc)
		rc = take_certificates(&in, c, e);
	if (!rc && der_is_next(&in, DER_CONTEXT_1))
		return err_set(e, -EBADMSG, "CRLs: none expected, some found");
	if (!rc)
		rc = take_signers(&in, c, e);
	return rc ? rc : der_end(&in, "SignedData", e);
}

int
cms_parse(const void *p, size_t len, struct cms *out, struct err *e)
{
	struct der in = {p, len};
	struct der_item outer, wrapped, data;
	struct cms c = {0};
	int rc = der_check(in, e);

	if (!rc)
		rc = der_take(&in, DER_SEQUENCE, "CMS", &outer, e);
	if (!rc)
		rc = take_oid(&outer.body, oid_signed_data, "CMS type", e);
	if (!rc)
		rc = der_take(&outer.body, DER_CONTEXT_0, "CMS", &wrapped, e);
	if (!rc)
		rc = der_end(&outer.body, "CMS", e);
	if (!rc)
		rc = der_take(&wrapped.body, DER_SEQUENCE, "SignedData", &data, e);
	if (!rc)
		rc = der_end(&wrapped.body, "CMS", e);
	if (rc)
		return rc;
	rc = parse_signed_data(data.body, &c, e);
	if (!rc)
		*out = c;
	return rc;
}
