/* mbedTLS's functions for whole messages of AES-GCM, served by another library.
 *
 * How they come in, by linking alone. Each function F is defined twice here, as __wrap_F and, weak, as F itself:
 *
 * - Static mbedTLS: -Wl,--wrap=F turns the archive's calls of F into __wrap_F. The archive's own F is strong, takes the
 *   place of the weak one, and is reached as __real_F.
 * - Shared mbedTLS: the linker exports the program's F, for the library refers to it, and the dynamic linker finds the
 *   program's before the library's. The library's own is reached by dlsym(RTLD_NEXT).
 *
 * A context keeps mbedTLS's own state complete, so that whatever is not replaced finds what it expects; it has no room
 * for more, so the other library's key is found by the context's address. That list, and what is in use, belong to the
 * process as the functions do: there is nothing to hand a structure through.
 */
#include <dlfcn.h>
#include <errno.h>
#include <mbedtls/cipher.h>
#include <mbedtls/gcm.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/gcm.h"
#include "base/gcm_cipher.h"

/* Longer messages than TLS has are left to mbedTLS, which knows the standard's limits. */
enum { MESSAGE_MAX = 1 << 20 };

typedef int setkey_fn(mbedtls_gcm_context *, mbedtls_cipher_id_t, const unsigned char *, unsigned);
typedef int crypt_fn(mbedtls_gcm_context *, int, size_t, const unsigned char *, size_t, const unsigned char *, size_t,
		     const unsigned char *, unsigned char *, size_t, unsigned char *);
typedef int decrypt_fn(mbedtls_gcm_context *, size_t, const unsigned char *, size_t, const unsigned char *, size_t,
		       const unsigned char *, size_t, const unsigned char *, unsigned char *);
typedef void free_fn(mbedtls_gcm_context *);

setkey_fn __real_mbedtls_gcm_setkey, __wrap_mbedtls_gcm_setkey;
crypt_fn __real_mbedtls_gcm_crypt_and_tag, __wrap_mbedtls_gcm_crypt_and_tag;
decrypt_fn __real_mbedtls_gcm_auth_decrypt, __wrap_mbedtls_gcm_auth_decrypt;
free_fn __real_mbedtls_gcm_free, __wrap_mbedtls_gcm_free;

/* A context's key in the other library. */
struct held {
	const mbedtls_gcm_context *of; /* borrowed; an address to find it by */
	struct gcm_cipher *cipher;     /* owned */
	struct held *next;             /* owned */
};

static struct {
	bool replaced;     /* keys set from now on are the other library's, too */
	unsigned served;   /* messages the other library computed */
	struct held *held; /* two for each connection */
	struct {
		setkey_fn *setkey;
		crypt_fn *crypt;
		decrypt_fn *decrypt;
		free_fn *free;
	} stock; /* mbedTLS's own; see find_stock() */
} gcm;

/* mbedTLS's own functions, looked up with the first call of any. */
static void
find_stock(void)
{
	if (gcm.stock.setkey)
		return;
	gcm.stock.crypt = (crypt_fn *)dlsym(RTLD_NEXT, "mbedtls_gcm_crypt_and_tag");
	gcm.stock.decrypt = (decrypt_fn *)dlsym(RTLD_NEXT, "mbedtls_gcm_auth_decrypt");
	gcm.stock.free = (free_fn *)dlsym(RTLD_NEXT, "mbedtls_gcm_free");
	gcm.stock.setkey = (setkey_fn *)dlsym(RTLD_NEXT, "mbedtls_gcm_setkey");
	if (gcm.stock.setkey)
		return;
	gcm.stock.crypt = __real_mbedtls_gcm_crypt_and_tag;
	gcm.stock.decrypt = __real_mbedtls_gcm_auth_decrypt;
	gcm.stock.free = __real_mbedtls_gcm_free;
	gcm.stock.setkey = __real_mbedtls_gcm_setkey;
}

/* --- the keys held beside mbedTLS's contexts ---------------------------------------------------------------------- */

/* Where the entry of a context hangs, or would. */
static struct held **
find_held(const mbedtls_gcm_context *ctx)
{
	struct held **at = &gcm.held;

	while (*at && (*at)->of != ctx)
		at = &(*at)->next;
	return at;
}

static void
drop(const mbedtls_gcm_context *ctx)
{
	struct held **at = find_held(ctx), *h = *at;

	if (!h)
		return;
	*at = h->next;
	gcm_cipher_free(h->cipher);
	free(h);
}

/* Without memory for it mbedTLS computes with this key. */
static void
hold(const mbedtls_gcm_context *ctx, const uint8_t *key, unsigned bits)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h || gcm_cipher_new(key, bits, &h->cipher)) {
		free(h);
		return;
	}
	h->of = ctx;
	h->next = gcm.held;
	gcm.held = h;
}

/* True for what both sides understand alike. The rest is mbedTLS's to do or to refuse: no initialization vector, a tag
 * too short, output that overlaps the input without being it. */
static bool
is_served(const struct gcm_message *m, const uint8_t *out, size_t tag_len)
{
	uintptr_t from = (uintptr_t)m->in, to = (uintptr_t)out;
	bool apart = from == to || from + m->len <= to || to + m->len <= from;

	return m->iv_len && m->iv_len <= MESSAGE_MAX && m->aad_len <= MESSAGE_MAX && m->len <= MESSAGE_MAX && apart &&
	       tag_len >= GCM_TAG_MIN && tag_len <= GCM_TAG_BYTES;
}

/* --- in place of mbedTLS's ---------------------------------------------------------------------------------------- */

int
__wrap_mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher, const unsigned char *key, unsigned bits)
{
	int rc;

	find_stock();
	drop(ctx);
	rc = gcm.stock.setkey(ctx, cipher, key, bits);
	if (!rc && gcm.replaced && cipher == MBEDTLS_CIPHER_ID_AES)
		hold(ctx, key, bits);
	return rc;
}

int
__wrap_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t len, const unsigned char *iv, size_t iv_len,
				 const unsigned char *aad, size_t aad_len, const unsigned char *in, unsigned char *out,
				 size_t tag_len, unsigned char *tag)
{
	struct gcm_message m = {.iv = iv, .iv_len = iv_len, .aad = aad, .aad_len = aad_len, .in = in, .len = len};
	const struct held *h = *find_held(ctx);
	uint8_t whole[GCM_TAG_BYTES];

	find_stock();
	if (!h || !is_served(&m, out, tag_len))
		return gcm.stock.crypt(ctx, mode, len, iv, iv_len, aad, aad_len, in, out, tag_len, tag);
	if (mode == MBEDTLS_GCM_ENCRYPT)
		gcm_cipher_seal(h->cipher, &m, out, whole);
	else
		gcm_cipher_open(h->cipher, &m, out, whole);
	gcm.served++;
	memcpy(tag, whole, tag_len);
	return 0;
}

/* In constant time: how much of a forged tag is right must not show. */
static bool
is_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	volatile uint8_t differs = 0;

	for (size_t i = 0; i < len; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

int
__wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t len, const unsigned char *iv, size_t iv_len,
				const unsigned char *aad, size_t aad_len, const unsigned char *tag, size_t tag_len,
				const unsigned char *in, unsigned char *out)
{
	struct gcm_message m = {.iv = iv, .iv_len = iv_len, .aad = aad, .aad_len = aad_len, .in = in, .len = len};
	const struct held *h = *find_held(ctx);
	uint8_t expected[GCM_TAG_BYTES];

	find_stock();
	if (!h || !is_served(&m, out, tag_len))
		return gcm.stock.decrypt(ctx, len, iv, iv_len, aad, aad_len, tag, tag_len, in, out);
	gcm_cipher_open(h->cipher, &m, out, expected);
	gcm.served++;
	if (is_same(expected, tag, tag_len))
		return 0;
	explicit_bzero(out, len);
	return MBEDTLS_ERR_GCM_AUTH_FAILED;
}

void
__wrap_mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
	find_stock();
	drop(ctx);
	gcm.stock.free(ctx);
}

/* What a shared mbedTLS finds in the program; a static one brings its own in their place. */
#define WEAK_NAME_OF(name) __attribute__((weak, alias(#name)))
setkey_fn mbedtls_gcm_setkey WEAK_NAME_OF(__wrap_mbedtls_gcm_setkey);
crypt_fn mbedtls_gcm_crypt_and_tag WEAK_NAME_OF(__wrap_mbedtls_gcm_crypt_and_tag);
decrypt_fn mbedtls_gcm_auth_decrypt WEAK_NAME_OF(__wrap_mbedtls_gcm_auth_decrypt);
free_fn mbedtls_gcm_free WEAK_NAME_OF(__wrap_mbedtls_gcm_free);

/* --- proof at start ----------------------------------------------------------------------------------------------- */

/* Test cases 4, 10 and 16 of "The Galois/Counter Mode of Operation" (McGrew and Viega, 2005, appendix B): one message,
 * three lengths of key. A tag covers the cipher text, so the tags alone prove it. */
static const uint8_t case_key[32] = {
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
};
static const uint8_t case_iv[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t case_aad[20] = {
    0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
    0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2,
};
static const uint8_t case_text[60] = {
    0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
    0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
    0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
    0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39,
};
static const struct {
	unsigned bits;
	uint8_t tag[GCM_TAG_BYTES];
} cases[] = {
    {128, {0x5b, 0xc9, 0x4f, 0xbc, 0x32, 0x21, 0xa5, 0xdb, 0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47}},
    {192, {0x25, 0x19, 0x49, 0x8e, 0x80, 0xf1, 0x47, 0x8f, 0x37, 0xba, 0x55, 0xbd, 0x6d, 0x27, 0x61, 0x8c}},
    {256, {0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b}},
};

/* The published answer, there and back. */
static bool
is_answer_right(struct gcm_cipher *c, const uint8_t want[GCM_TAG_BYTES])
{
	struct gcm_message m = {case_iv, case_aad, case_text, sizeof(case_iv), sizeof(case_aad), sizeof(case_text)};
	uint8_t data[sizeof(case_text)], sealed[GCM_TAG_BYTES], opened[GCM_TAG_BYTES];

	gcm_cipher_seal(c, &m, data, sealed);
	m.in = data;
	gcm_cipher_open(c, &m, data, opened);
	return !memcmp(sealed, want, GCM_TAG_BYTES) && !memcmp(opened, want, GCM_TAG_BYTES) &&
	       !memcmp(data, case_text, sizeof(case_text));
}

/* One message long enough for every inner loop of either library, by both. */
static bool
is_like_stock(struct gcm_cipher *c, unsigned bits)
{
	uint8_t ours[1037] = {1}, theirs[sizeof(ours)] = {1}, tag[GCM_TAG_BYTES], want[GCM_TAG_BYTES] = {0};
	struct gcm_message m = {case_iv, case_aad, ours, sizeof(case_iv), sizeof(case_aad), sizeof(ours)};
	mbedtls_gcm_context stock;
	int rc;

	mbedtls_gcm_init(&stock);
	rc = gcm.stock.setkey(&stock, MBEDTLS_CIPHER_ID_AES, case_key, bits);
	if (!rc)
		rc = gcm.stock.crypt(&stock, MBEDTLS_GCM_ENCRYPT, sizeof(theirs), case_iv, sizeof(case_iv), case_aad,
				     sizeof(case_aad), theirs, theirs, GCM_TAG_BYTES, want);
	gcm.stock.free(&stock);
	gcm_cipher_seal(c, &m, ours, tag);
	return !rc && !memcmp(ours, theirs, sizeof(ours)) && !memcmp(tag, want, sizeof(tag));
}

static int
self_test(struct err *e)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gcm_cipher *c = NULL;
		bool good;
		int rc = gcm_cipher_new(case_key, cases[i].bits, &c);

		if (rc)
			return err_sys(e, rc, "a key of %u bits", cases[i].bits);
		good = is_answer_right(c, cases[i].tag) && is_like_stock(c, cases[i].bits);
		gcm_cipher_free(c);
		if (!good)
			return err_set(e, -EIO, "the self-test of AES-%u-GCM fails", cases[i].bits);
	}
	return 0;
}

/* A message by the way the record layer takes, which a library linked with -Bsymbolic would not have come by here. */
static int
check_way(struct err *e)
{
	unsigned before = gcm.served;
	uint8_t out[sizeof(case_text) + GCM_TAG_BYTES];
	mbedtls_cipher_context_t c;
	size_t n;
	int rc;

	mbedtls_cipher_init(&c);
	rc = mbedtls_cipher_setup(&c, mbedtls_cipher_info_from_type(MBEDTLS_CIPHER_AES_256_GCM));
	if (!rc)
		rc = mbedtls_cipher_setkey(&c, case_key, 256, MBEDTLS_ENCRYPT);
	if (!rc)
		rc = mbedtls_cipher_auth_encrypt_ext(&c, case_iv, sizeof(case_iv), case_aad, sizeof(case_aad),
						     case_text, sizeof(case_text), out, sizeof(out), &n, GCM_TAG_BYTES);
	mbedtls_cipher_free(&c);
	if (rc || gcm.served == before)
		return err_set(e, -ENOSYS, "the TLS library does not call the functions replaced");
	return 0;
}

int
gcm_start(struct err *e)
{
	int rc;

	gcm.replaced = false;
	if (!gcm_cipher_is_fast())
		return err_set(e, -ENOTSUP, "this processor has no instructions for AES and its multiplication");
	find_stock();
	rc = self_test(e);
	if (rc)
		return rc;
	gcm.replaced = true;
	rc = check_way(e);
	gcm.replaced = !rc;
	return rc;
}

bool
gcm_is_replaced(void)
{
	return gcm.replaced;
}

const char *
gcm_name(void)
{
	return gcm.replaced ? gcm_cipher_library() : "mbed TLS";
}
