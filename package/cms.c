#include "package/cms.h"

#include <errno.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mbed.h"
#include "base/text.h"
#include "package/anchor.h"

struct cms_hash {
	mbedtls_md_context_t md;
	size_t len; /* of the digest */
};

static const mbedtls_md_info_t *
info_of(enum cms_digest digest)
{
	static const mbedtls_md_type_t types[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512};

	return mbedtls_md_info_from_type(types[digest]);
}

struct cms_hash *
cms_hash_new(enum cms_digest digest)
{
	struct cms_hash *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	mbedtls_md_init(&h->md);
	h->len = mbedtls_md_get_size(info_of(digest));
	if (mbedtls_md_setup(&h->md, info_of(digest), 0) || mbedtls_md_starts(&h->md)) {
		cms_hash_free(h);
		return NULL;
	}
	return h;
}

int
cms_hash_add(struct cms_hash *h, const void *data, size_t len)
{
	return mbedtls_md_update(&h->md, data, len) ? -EIO : 0;
}

int
cms_hash_end(struct cms_hash *h, uint8_t out[CMS_DIGEST_MAX], size_t *len)
{
	uint8_t digest[MBEDTLS_MD_MAX_SIZE];

	if (mbedtls_md_finish(&h->md, digest))
		return -EIO;
	memcpy(out, digest, h->len);
	*len = h->len;
	return 0;
}

void
cms_hash_free(struct cms_hash *h)
{
	if (!h)
		return;
	mbedtls_md_free(&h->md);
	free(h);
}

/* Outside of a CMS they are a SET, and signed with that tag (RFC 5652, section 5.4). */
static int
hash_attributes(const struct cms *c, uint8_t out[CMS_DIGEST_MAX], size_t *len)
{
	struct cms_hash *h = cms_hash_new(c->digest);
	uint8_t tag = DER_SET;
	int rc = h ? cms_hash_add(h, &tag, 1) : -ENOMEM;

	if (!rc)
		rc = cms_hash_add(h, c->attributes.p + 1, c->attributes.len - 1);
	if (!rc)
		rc = cms_hash_end(h, out, len);
	cms_hash_free(h);
	return rc;
}

static int
check_digest(const struct cms *c, const uint8_t *digest, size_t len, struct err *e)
{
	char expected[2 * CMS_DIGEST_MAX + 1], found[2 * CMS_DIGEST_MAX + 1];

	if (der_equal(c->message_digest, (struct der){digest, len}))
		return 0;
	text_hex(expected, sizeof(expected), c->message_digest.p, c->message_digest.len);
	text_hex(found, sizeof(found), digest, len);
	return err_set(e, -EBADMSG, "%s of the content: %.64s expected, %.64s found", cms_digest_name(c->digest),
		       expected, found);
}

static int
check_signature(const struct cms *c, mbedtls_pk_context *pk, struct err *e)
{
	static const mbedtls_md_type_t types[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512};
	uint8_t hash[CMS_DIGEST_MAX];
	char why[200];
	size_t len;
	int rc;

	if (!mbedtls_pk_can_do(pk, c->algorithm == CMS_RSA ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECDSA))
		return err_set(e, -EBADMSG, "signature: the signer's kind of key expected, %s found",
			       c->algorithm == CMS_RSA ? "RSA" : "ECDSA");
	/* the library takes longer forms of the two numbers */
	if (c->algorithm == CMS_ECDSA && !der_is_integer_pair(c->signature))
		return err_set(e, -EBADMSG, "signature: two positive INTEGERs in DER expected, something else found");
	rc = hash_attributes(c, hash, &len);
	if (rc)
		return err_sys(e, rc, "digest of the signed attributes");
	rc = mbedtls_pk_verify(pk, types[c->digest], hash, len, c->signature.p, c->signature.len);
	if (rc == MBEDTLS_ERR_PK_ALLOC_FAILED)
		return err_sys(e, -ENOMEM, "signature");
	if (rc)
		return err_set(e, -EBADMSG, "signature: not the signer's over these attributes: %s",
			       mbed_strerror(why, sizeof(why), rc));
	return 0;
}

int
cms_verify(const struct cms *c, const uint8_t *digest, size_t digest_len, const struct anchor_check *check,
	   struct anchor_signer *signer, enum cms_step *step, struct err *e)
{
	struct anchor_signer s;
	enum cms_step at = CMS_STEP_DIGEST;
	mbedtls_x509_crt chain;
	int rc = check_digest(c, digest, digest_len, e);

	mbedtls_x509_crt_init(&chain);
	if (rc)
		goto out;
	at = CMS_STEP_SIGNER;
	rc = anchor_verify(check, c, &chain, &s, e);
	if (rc)
		goto out;
	at = CMS_STEP_SIGNATURE;
	rc = check_signature(c, &chain.pk, e);
out:
	mbedtls_x509_crt_free(&chain);
	if (rc)
		*step = at;
	else
		*signer = s;
	return rc;
}
