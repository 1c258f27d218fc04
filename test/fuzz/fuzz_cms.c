/* fuzz_cms: signatures. Whatever is accepted here, OpenSSL accepts: its CMS_verify() is the oracle, in this program
 * only.
 *
 * The first two bytes, big-endian, are the length of the content; it and the signature follow. So both can change. The
 * seeds are good signatures, and broken ones, of test/mkpkg under test/fuzz/package-root.pem.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "package/anchor.h"
#include "package/cms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1767225600 };
#define ROOT "test/fuzz/package-root.pem"

static X509_STORE *
open_store(void)
{
	X509_STORE *store = X509_STORE_new();

	if (!store || X509_STORE_load_file(store, ROOT) != 1)
		abort();
	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), NOW);
	X509_STORE_set_purpose(store, X509_PURPOSE_ANY);
	return store;
}

static bool
oracle_accepts(X509_STORE *store, struct der content, struct der signature)
{
	BIO *in = BIO_new_mem_buf(content.p, (int)content.len), *out = BIO_new(BIO_s_null());
	const unsigned char *p = signature.p;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)signature.len);
	bool good = cms && p == signature.p + signature.len && CMS_verify(cms, NULL, store, in, out, CMS_BINARY) == 1;

	CMS_ContentInfo_free(cms);
	BIO_free(in);
	BIO_free(out);
	ERR_clear_error();
	return good;
}

static void
check_text(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			abort();
	}
}

static bool
we_accept(const struct anchors *anchors, struct der content, struct der signature)
{
	struct anchor_check check = {.anchors = anchors, .now_s = NOW};
	uint8_t digest[CMS_DIGEST_MAX];
	enum cms_step step = CMS_STEP_DIGEST;
	struct anchor_signer signer;
	struct err e = ERR_NONE;
	struct cms_hash *h;
	struct cms c;
	size_t len;
	int rc = cms_parse(signature.p, signature.len, &c, &e);

	if (rc) {
		if (rc != -EBADMSG || !e.text[0])
			abort();
		check_text(e.text);
		return false;
	}
	h = cms_hash_new(c.digest);
	if (!h || cms_hash_add(h, content.p, content.len) || cms_hash_end(h, digest, &len))
		abort();
	cms_hash_free(h);
	rc = cms_verify(&c, digest, len, &check, &signer, &step, &e);
	if (rc && rc != -EBADMSG && rc != -EACCES)
		abort();
	check_text(e.text);
	return !rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct anchors *anchors;
	static X509_STORE *store;
	struct der content, signature;

	if (!anchors) {
		if (anchors_load(ROOT, &anchors, NULL))
			abort();
		store = open_store();
	}
	if (size < 2)
		return 0;
	content = (struct der){data + 2, (size_t)(data[0] << 8 | data[1])};
	if (content.len > size - 2)
		return 0;
	signature = (struct der){content.p + content.len, size - 2 - content.len};
	if (we_accept(anchors, content, signature) && !oracle_accepts(store, content, signature))
		abort();
	return 0;
}
