/* base/gcm_replace: published vectors by mbedTLS's own functions, the same answers as mbedTLS gives for whatever it is
 * asked, everything it is not meant for left to mbedTLS, and TLS coming by it. */
// wrap: gcm_cipher_is_fast gcm_cipher_new gcm_cipher_seal gcm_cipher_open mbedtls_cipher_auth_encrypt_ext
#include "base/gcm.h"

#include <errno.h>
#include <mbedtls/cipher.h>
#include <mbedtls/gcm.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/gcm_cipher.h"
#include "base/mbed.h"

#define VECTORS "test/golden/gcm/"

enum { MESSAGE_MAX = 20000, FIELD_MAX = 1024, TLS13_AES_128_GCM_SHA256 = 0x1301 };

/* What happens behind the functions: who is called how often, and what goes wrong there. */
static struct {
	bool slow, no_memory, deaf;
	size_t wrong_from; /* messages of at least this length come out wrong; 0: none does */
	unsigned sealed, opened;
} world;

bool __real_gcm_cipher_is_fast(void);
bool __wrap_gcm_cipher_is_fast(void);
int __real_gcm_cipher_new(const uint8_t *key, unsigned bits, struct gcm_cipher **out);
int __wrap_gcm_cipher_new(const uint8_t *key, unsigned bits, struct gcm_cipher **out);
void __real_gcm_cipher_seal(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag);
void __wrap_gcm_cipher_seal(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag);
void __real_gcm_cipher_open(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag);
void __wrap_gcm_cipher_open(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag);
typedef int encrypt_ext_fn(mbedtls_cipher_context_t *, const unsigned char *, size_t, const unsigned char *, size_t,
			   const unsigned char *, size_t, unsigned char *, size_t, size_t *, size_t);
encrypt_ext_fn __real_mbedtls_cipher_auth_encrypt_ext, __wrap_mbedtls_cipher_auth_encrypt_ext;

/* The tests' machine counts as one with instructions: vectors and comparisons hold without them, too. */
bool
__wrap_gcm_cipher_is_fast(void)
{
	return !world.slow;
}

int
__wrap_gcm_cipher_new(const uint8_t *key, unsigned bits, struct gcm_cipher **out)
{
	return world.no_memory ? -ENOMEM : __real_gcm_cipher_new(key, bits, out);
}

void
__wrap_gcm_cipher_seal(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag)
{
	world.sealed++;
	__real_gcm_cipher_seal(c, m, out, tag);
	if (world.wrong_from && m->len >= world.wrong_from)
		tag[15] ^= 1;
}

void
__wrap_gcm_cipher_open(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t *tag)
{
	world.opened++;
	__real_gcm_cipher_open(c, m, out, tag);
}

int
__wrap_mbedtls_cipher_auth_encrypt_ext(mbedtls_cipher_context_t *c, const unsigned char *iv, size_t iv_len,
				       const unsigned char *aad, size_t aad_len, const unsigned char *in, size_t len,
				       unsigned char *out, size_t size, size_t *n, size_t tag_len)
{
	if (!world.deaf)
		return __real_mbedtls_cipher_auth_encrypt_ext(c, iv, iv_len, aad, aad_len, in, len, out, size, n,
							      tag_len);
	*n = len + tag_len;
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	srandom(1);
	return crypto_start() || gcm_start(NULL);
}

static int
tear_down(void **state)
{
	(void)state;
	crypto_stop();
	return 0;
}

/* A context whose key only mbedTLS has. */
static int
set_stock_key(mbedtls_gcm_context *ctx, const uint8_t *key, unsigned bits)
{
	int rc;

	world.slow = true;
	assert_int_equal(gcm_start(NULL), -ENOTSUP);
	mbedtls_gcm_init(ctx);
	rc = mbedtls_gcm_setkey(ctx, MBEDTLS_CIPHER_ID_AES, key, bits);
	world.slow = false;
	assert_int_equal(gcm_start(NULL), 0);
	return rc;
}

static void
set_key(mbedtls_gcm_context *ctx, const uint8_t *key, unsigned bits)
{
	mbedtls_gcm_init(ctx);
	assert_int_equal(mbedtls_gcm_setkey(ctx, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
}

static void
fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)random();
}

/* How often the other library computes one message sealed and opened by a key set now. */
static unsigned
served(void)
{
	uint8_t key[16] = {1}, data[40] = {2}, iv[12] = {3}, tag[16];
	unsigned before = world.sealed + world.opened;
	mbedtls_gcm_context ctx;

	set_key(&ctx, key, 128);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(&ctx, MBEDTLS_GCM_ENCRYPT, sizeof(data), iv, sizeof(iv), NULL, 0,
						   data, data, sizeof(tag), tag),
			 0);
	assert_int_equal(
	    mbedtls_gcm_auth_decrypt(&ctx, sizeof(data), iv, sizeof(iv), NULL, 0, tag, sizeof(tag), data, data), 0);
	assert_int_equal(data[0], 2);
	mbedtls_gcm_free(&ctx);
	return world.sealed + world.opened - before;
}

/* --- the start ---------------------------------------------------------------------------------------------------- */

static void
not_put_in(void **state)
{
	static const struct {
		const char *what;
		bool slow, no_memory, deaf;
		size_t wrong_from;
		int rc;
		const char *why;
	} rows[] = {
	    {"no instructions", true, false, false, 0, -ENOTSUP, "this processor has no instructions"},
	    {"no memory for a key", false, true, false, 0, -ENOMEM, "a key of 128 bits"},
	    {"wrong answers", false, false, false, 1, -EIO, "the self-test of AES-128-GCM fails"},
	    {"long messages only", false, false, false, 1000, -EIO, "the self-test of AES-128-GCM fails"},
	    {"the library goes another way", false, false, true, 0, -ENOSYS, "does not call the functions replaced"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		print_message("  %s\n", rows[i].what);
		memset(&world, 0, sizeof(world));
		world.slow = rows[i].slow;
		world.no_memory = rows[i].no_memory;
		world.deaf = rows[i].deaf;
		world.wrong_from = rows[i].wrong_from;
		assert_int_equal(gcm_start(&e), rows[i].rc);
		assert_non_null(strstr(e.text, rows[i].why));
		assert_false(gcm_is_replaced());
		assert_string_equal(gcm_name(), "mbed TLS");
		assert_int_equal(served(), 0);
	}
}

static void
put_in(void **state)
{
	(void)state;
	assert_int_equal(gcm_start(NULL), 0);
	assert_true(gcm_is_replaced());
	assert_string_equal(gcm_name(), "nettle");
	assert_true(mbed_has_fast_aes());
	assert_int_equal(served(), 2);
}

static void
without_memory_for_a_key_mbedtls_computes(void **state)
{
	(void)state;
	world.no_memory = true;
	assert_int_equal(served(), 0);
}

/* --- published vectors -------------------------------------------------------------------------------------------- */

/* One vector of either form: NIST's "Key = …", "PT = …", "FAIL", Wycheproof's "key = …", "msg = …", "result = …". */
struct vector {
	uint8_t key[32], iv[FIELD_MAX], aad[FIELD_MAX], text[FIELD_MAX], sealed[FIELD_MAX], tag[16];
	size_t key_len, iv_len, aad_len, text_len, sealed_len, tag_len;
	bool has_text, has_key, refused;
};

static size_t
unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;
	unsigned byte;

	for (; n < size && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	assert_int_equal(strspn(hex, "0123456789abcdef"), 2 * n);
	return n;
}

static void
take_line(struct vector *v, const char *line)
{
	char name[32] = "";
	const char *value = strchr(line, '=');

	sscanf(line, "%31[A-Za-z]", name);
	value = value ? value + 1 + strspn(value + 1, " ") : "";
	if (!strcasecmp(name, "key")) {
		v->key_len = unhex(value, v->key, sizeof(v->key));
		v->has_key = true;
	} else if (!strcasecmp(name, "iv")) {
		v->iv_len = unhex(value, v->iv, sizeof(v->iv));
	} else if (!strcasecmp(name, "aad")) {
		v->aad_len = unhex(value, v->aad, sizeof(v->aad));
	} else if (!strcasecmp(name, "pt") || !strcmp(name, "msg")) {
		v->text_len = unhex(value, v->text, sizeof(v->text));
		v->has_text = true;
	} else if (!strcasecmp(name, "ct")) {
		v->sealed_len = unhex(value, v->sealed, sizeof(v->sealed));
	} else if (!strcasecmp(name, "tag")) {
		v->tag_len = unhex(value, v->tag, sizeof(v->tag));
	} else if (!strcmp(name, "FAIL") || !strncmp(line, "result = invalid", 16)) {
		v->refused = true;
	}
}

static void
check_opened(mbedtls_gcm_context *ctx, const struct vector *v)
{
	static const uint8_t zero[FIELD_MAX];
	uint8_t data[FIELD_MAX];
	int rc;

	memset(data, 0xa5, sizeof(data));
	rc = mbedtls_gcm_auth_decrypt(ctx, v->sealed_len, v->iv, v->iv_len, v->aad, v->aad_len, v->tag, v->tag_len,
				      v->sealed, data);
	if (!v->iv_len) {
		assert_int_equal(rc, MBEDTLS_ERR_GCM_BAD_INPUT);
	} else if (v->refused) {
		assert_int_equal(rc, MBEDTLS_ERR_GCM_AUTH_FAILED);
		assert_memory_equal(data, zero, v->sealed_len);
	} else {
		assert_int_equal(rc, 0);
		assert_memory_equal(data, v->text, v->text_len);
	}
}

static void
check_sealed(mbedtls_gcm_context *ctx, const struct vector *v)
{
	uint8_t data[FIELD_MAX], tag[16] = {0};
	bool same;

	assert_int_equal(mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_ENCRYPT, v->text_len, v->iv, v->iv_len, v->aad,
						   v->aad_len, v->text, data, v->tag_len, tag),
			 v->iv_len ? 0 : MBEDTLS_ERR_GCM_BAD_INPUT);
	if (!v->iv_len)
		return;
	same = !memcmp(data, v->sealed, v->sealed_len) && !memcmp(tag, v->tag, v->tag_len);
	assert_int_equal(same, !v->refused);
}

static void
check_vector(const struct vector *v)
{
	mbedtls_gcm_context ctx;

	set_key(&ctx, v->key, (unsigned)v->key_len * 8);
	check_opened(&ctx, v);
	if (v->has_text)
		check_sealed(&ctx, v);
	mbedtls_gcm_free(&ctx);
}

static size_t
run_file(const char *path)
{
	static struct vector v;
	FILE *f = fopen(path, "r");
	char line[2 * FIELD_MAX + 64];
	size_t n = 0;
	bool more;

	assert_non_null(f);
	memset(&v, 0, sizeof(v));
	do {
		more = fgets(line, sizeof(line), f);
		if (more && line[0] != '\n') {
			line[strcspn(line, "\n")] = '\0';
			take_line(&v, line);
			continue;
		}
		if (v.has_key) {
			check_vector(&v);
			n++;
		}
		memset(&v, 0, sizeof(v));
	} while (more);
	fclose(f);
	return n;
}

static void
vectors(void **state)
{
	static const struct {
		const char *what, *path;
		size_t vectors;
	} rows[] = {
	    {"NIST, sealed with 128 bits", VECTORS "gcmEncryptExtIV128.rsp", 99},
	    {"NIST, sealed with 192 bits", VECTORS "gcmEncryptExtIV192.rsp", 57},
	    {"NIST, sealed with 256 bits", VECTORS "gcmEncryptExtIV256.rsp", 99},
	    {"NIST, opened with 128 bits", VECTORS "gcmDecrypt128.rsp", 148},
	    {"NIST, opened with 192 bits", VECTORS "gcmDecrypt192.rsp", 84},
	    {"NIST, opened with 256 bits", VECTORS "gcmDecrypt256.rsp", 148},
	    {"Wycheproof", VECTORS "wycheproof.txt", 256},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned before = world.sealed + world.opened;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(run_file(rows[i].path), rows[i].vectors);
		/* the six of Wycheproof without an initialization vector are mbedTLS's to refuse */
		assert_true(world.sealed + world.opened - before >= rows[i].vectors - 6);
	}
}

/* --- beside mbedTLS's own ----------------------------------------------------------------------------------------- */

/* A message of random lengths, with the same key in both. */
struct pair {
	mbedtls_gcm_context ours, stock;
	uint8_t iv[300], aad[300], in[MESSAGE_MAX];
	size_t iv_len, aad_len, len, tag_len;
};

static void
make_pair(struct pair *p)
{
	unsigned bits = 128 + 64 * (unsigned)(random() % 3);
	uint8_t key[32];

	fill(key, sizeof(key));
	fill(p->iv, sizeof(p->iv));
	fill(p->aad, sizeof(p->aad));
	p->iv_len = random() % 2 ? 12 : 1 + (size_t)random() % sizeof(p->iv);
	p->aad_len = random() % 4 ? 13 : (size_t)random() % sizeof(p->aad);
	p->len = (size_t)random() % (random() % 4 ? 600 : MESSAGE_MAX);
	p->tag_len = random() % 2 ? 16 : 4 + (size_t)random() % 13;
	fill(p->in, p->len);
	set_key(&p->ours, key, bits);
	assert_int_equal(set_stock_key(&p->stock, key, bits), 0);
}

static void
free_pair(struct pair *p)
{
	mbedtls_gcm_free(&p->ours);
	mbedtls_gcm_free(&p->stock);
}

static int
crypt(mbedtls_gcm_context *ctx, const struct pair *p, int mode, const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	return mbedtls_gcm_crypt_and_tag(ctx, mode, p->len, p->iv, p->iv_len, p->aad, p->aad_len, in, out, p->tag_len,
					 tag);
}

static int
open_message(mbedtls_gcm_context *ctx, const struct pair *p, const uint8_t *tag, const uint8_t *in, uint8_t *out)
{
	return mbedtls_gcm_auth_decrypt(ctx, p->len, p->iv, p->iv_len, p->aad, p->aad_len, tag, p->tag_len, in, out);
}

/* One bit of the tag, of the additional data or of the text is another. */
static void
check_altered(struct pair *p, uint8_t *sealed, uint8_t *tag)
{
	static uint8_t out[MESSAGE_MAX];
	static const uint8_t zero[MESSAGE_MAX];
	uint8_t *at[] = {tag + (size_t)random() % p->tag_len, p->aad_len ? p->aad + (size_t)random() % p->aad_len : tag,
			 p->len ? sealed + (size_t)random() % p->len : tag};

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint8_t bit = (uint8_t)(1 << (random() % 8));

		*at[i] ^= bit;
		memset(out, 1, p->len);
		assert_int_equal(open_message(&p->ours, p, tag, sealed, out), MBEDTLS_ERR_GCM_AUTH_FAILED);
		assert_memory_equal(out, zero, p->len);
		*at[i] ^= bit;
	}
}

static void
check_pair(struct pair *p)
{
	static uint8_t ours[MESSAGE_MAX], theirs[MESSAGE_MAX];
	uint8_t tag[16] = {0}, want[16] = {0};
	unsigned before = world.sealed + world.opened;

	/* apart, then in place */
	assert_int_equal(crypt(&p->stock, p, MBEDTLS_GCM_ENCRYPT, p->in, theirs, want), 0);
	assert_int_equal(world.sealed + world.opened, before);
	assert_int_equal(crypt(&p->ours, p, MBEDTLS_GCM_ENCRYPT, p->in, ours, tag), 0);
	assert_memory_equal(ours, theirs, p->len);
	assert_memory_equal(tag, want, sizeof(tag)); /* nothing beyond tag_len is written */
	memcpy(ours, p->in, p->len);
	assert_int_equal(crypt(&p->ours, p, MBEDTLS_GCM_ENCRYPT, ours, ours, tag), 0);
	assert_memory_equal(ours, theirs, p->len);
	check_altered(p, ours, tag);
	assert_int_equal(open_message(&p->ours, p, tag, ours, ours), 0);
	assert_memory_equal(ours, p->in, p->len);
	/* decrypting with the tag handed out, and sealed by one, opened by the other */
	assert_int_equal(crypt(&p->ours, p, MBEDTLS_GCM_DECRYPT, theirs, ours, tag), 0);
	assert_memory_equal(ours, p->in, p->len);
	assert_memory_equal(tag, want, sizeof(tag));
	assert_int_equal(open_message(&p->stock, p, tag, theirs, theirs), 0);
	assert_memory_equal(theirs, p->in, p->len);
	assert_int_equal(world.sealed + world.opened - before, 7);
}

static void
random_messages(void **state)
{
	static struct pair p;

	(void)state;
	for (int i = 0; i < 500; i++) {
		make_pair(&p);
		check_pair(&p);
		free_pair(&p);
	}
}

static void
odd_calls_get_mbedtls_answers(void **state)
{
	static const struct {
		const char *what;
		size_t iv_len, tag_len, len;
		int shift; /* the output begins so far behind the input */
	} rows[] = {
	    {"no initialization vector", 0, 16, 64, 0},
	    {"a tag of 3 bytes", 12, 3, 64, 0},
	    {"a tag of 17 bytes", 12, 17, 64, 0},
	    {"no tag", 12, 0, 64, 0},
	    {"output over the input's end", 12, 16, 64, 1},
	    {"output over the input's end, by more than a block", 12, 16, 64, 40},
	    {"output over the input's beginning", 12, 16, 64, -1},
	    {"output over the input's beginning, by more than a block", 12, 16, 64, -40},
	    {"output right behind the input", 12, 16, 64, 64},
	    {"output right before the input", 12, 16, 64, -64},
	    {"nothing but a tag", 12, 16, 0, 0},
	};
	static struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t data[2][192], tag[2][32];
		int rc[2];

		print_message("  %s\n", rows[i].what);
		make_pair(&p);
		memset(tag, 0, sizeof(tag));
		p.iv_len = rows[i].iv_len;
		p.tag_len = rows[i].tag_len;
		p.len = rows[i].len;
		fill(data[0], sizeof(data[0]));
		memcpy(data[1], data[0], sizeof(data[0]));
		rc[0] = crypt(&p.ours, &p, MBEDTLS_GCM_ENCRYPT, data[0] + 64, data[0] + 64 + rows[i].shift, tag[0]);
		rc[1] = crypt(&p.stock, &p, MBEDTLS_GCM_ENCRYPT, data[1] + 64, data[1] + 64 + rows[i].shift, tag[1]);
		assert_int_equal(rc[0], rc[1]);
		assert_memory_equal(data[0], data[1], sizeof(data[0]));
		assert_memory_equal(tag[0], tag[1], sizeof(tag[0]));
		rc[0] = open_message(&p.ours, &p, tag[0], data[0] + 64, data[0] + 64 + rows[i].shift);
		rc[1] = open_message(&p.stock, &p, tag[1], data[1] + 64, data[1] + 64 + rows[i].shift);
		assert_int_equal(rc[0], rc[1]);
		assert_memory_equal(data[0], data[1], sizeof(data[0]));
		free_pair(&p);
	}
}

/* --- messages in pieces ------------------------------------------------------------------------------------------- */

/* As mbedTLS's own callers do it, in the form of either version. 2.28 wants whole blocks but for the last piece. */
#if MBEDTLS_VERSION_MAJOR >= 3
static void
stream(mbedtls_gcm_context *ctx, const struct pair *p, int mode, const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	size_t n, aad = p->aad_len ? (size_t)random() % p->aad_len : 0;

	assert_int_equal(mbedtls_gcm_starts(ctx, mode, p->iv, p->iv_len), 0);
	assert_int_equal(mbedtls_gcm_update_ad(ctx, p->aad, aad), 0);
	assert_int_equal(mbedtls_gcm_update_ad(ctx, p->aad + aad, p->aad_len - aad), 0);
	for (size_t at = 0; at < p->len; at += n) {
		size_t piece = 1 + (size_t)random() % (p->len - at);

		assert_int_equal(mbedtls_gcm_update(ctx, in + at, piece, out + at, piece, &n), 0);
		assert_int_equal(n, piece);
	}
	assert_int_equal(mbedtls_gcm_finish(ctx, NULL, 0, &n, tag, p->tag_len), 0);
}
#else
static void
stream(mbedtls_gcm_context *ctx, const struct pair *p, int mode, const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	size_t piece;

	assert_int_equal(mbedtls_gcm_starts(ctx, mode, p->iv, p->iv_len, p->aad, p->aad_len), 0);
	for (size_t at = 0; at < p->len; at += piece) {
		piece = 16 * (1 + (size_t)random() % 40);
		if (piece > p->len - at)
			piece = p->len - at;
		assert_int_equal(mbedtls_gcm_update(ctx, piece, in + at, out + at), 0);
	}
	assert_int_equal(mbedtls_gcm_finish(ctx, tag, p->tag_len), 0);
}
#endif

static void
pieces(void **state)
{
	static struct pair p;
	static uint8_t whole[MESSAGE_MAX], data[MESSAGE_MAX];

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint8_t tag[16] = {0}, want[16] = {0};

		/* whole messages before, between and after, with one context */
		make_pair(&p);
		assert_int_equal(crypt(&p.ours, &p, MBEDTLS_GCM_ENCRYPT, p.in, whole, want), 0);
		stream(&p.ours, &p, MBEDTLS_GCM_ENCRYPT, p.in, data, tag);
		assert_memory_equal(data, whole, p.len);
		assert_memory_equal(tag, want, sizeof(tag));
		assert_int_equal(open_message(&p.ours, &p, tag, data, data), 0);
		assert_memory_equal(data, p.in, p.len);
		stream(&p.ours, &p, MBEDTLS_GCM_DECRYPT, whole, data, tag);
		assert_memory_equal(data, p.in, p.len);
		assert_memory_equal(tag, want, sizeof(tag));
		assert_int_equal(crypt(&p.ours, &p, MBEDTLS_GCM_ENCRYPT, p.in, data, tag), 0);
		assert_memory_equal(data, whole, p.len);
		free_pair(&p);
	}
}

/* --- the life of contexts ----------------------------------------------------------------------------------------- */

/* The tag tells whose key it is. */
static void
check_key(mbedtls_gcm_context *ctx, const uint8_t *key, unsigned bits)
{
	uint8_t iv[12] = {1}, data[32] = {2}, want[32] = {2}, tag[16], expected[16];
	mbedtls_gcm_context stock;

	assert_int_equal(set_stock_key(&stock, key, bits), 0);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(&stock, MBEDTLS_GCM_ENCRYPT, sizeof(want), iv, sizeof(iv), NULL, 0,
						   want, want, sizeof(expected), expected),
			 0);
	mbedtls_gcm_free(&stock);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_ENCRYPT, sizeof(data), iv, sizeof(iv), NULL, 0,
						   data, data, sizeof(tag), tag),
			 0);
	assert_memory_equal(tag, expected, sizeof(tag));
	assert_memory_equal(data, want, sizeof(data));
}

static void
many_contexts(void **state)
{
	enum { CONTEXTS = 24 };
	static mbedtls_gcm_context ctx[CONTEXTS];
	uint8_t keys[CONTEXTS][32];
	bool set[CONTEXTS] = {false};

	(void)state;
	fill(keys[0], sizeof(keys));
	for (int i = 0; i < 600; i++) {
		size_t k = (size_t)random() % CONTEXTS;

		if (!set[k])
			set_key(&ctx[k], keys[k], 256);
		else
			mbedtls_gcm_free(&ctx[k]);
		set[k] = !set[k];
		k = (size_t)random() % CONTEXTS;
		if (set[k])
			check_key(&ctx[k], keys[k], 256);
	}
	for (size_t k = 0; k < CONTEXTS; k++) {
		if (set[k])
			mbedtls_gcm_free(&ctx[k]);
	}
}

static void
one_context(void **state)
{
	uint8_t first[16] = {1}, second[32] = {2};
	unsigned before;
	mbedtls_gcm_context ctx;

	(void)state;
	set_key(&ctx, first, 128);
	check_key(&ctx, first, 128);
	print_message("  another key in the same context\n");
	assert_int_equal(mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_AES, second, 256), 0);
	check_key(&ctx, second, 256);
	print_message("  a key of no length there is\n");
	assert_int_not_equal(mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_AES, second, 100), 0);
	print_message("  a key of another cipher\n");
	before = world.sealed;
	assert_int_equal(mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_CAMELLIA, second, 256), 0);
	assert_int_equal(
	    mbedtls_gcm_crypt_and_tag(&ctx, MBEDTLS_GCM_ENCRYPT, 16, second, 12, NULL, 0, first, first, 16, second), 0);
	assert_int_equal(world.sealed, before);
	print_message("  freed twice, used again\n");
	mbedtls_gcm_free(&ctx);
	mbedtls_gcm_free(&ctx);
	mbedtls_gcm_free(NULL);
	set_key(&ctx, first, 128);
	check_key(&ctx, first, 128);
	mbedtls_gcm_free(&ctx);
}

/* --- the library's own callers ------------------------------------------------------------------------------------ */

static void
psa_comes_by(void **state)
{
	psa_key_attributes_t a = PSA_KEY_ATTRIBUTES_INIT;
	uint8_t bytes[32] = {1}, text[100] = {2}, iv[12] = {3}, sealed[116], opened[100];
	psa_key_id_t key;
	size_t n;

	(void)state;
	psa_set_key_usage_flags(&a, PSA_KEY_USAGE_ENCRYPT | PSA_KEY_USAGE_DECRYPT);
	psa_set_key_algorithm(&a, PSA_ALG_GCM);
	psa_set_key_type(&a, PSA_KEY_TYPE_AES);
	assert_int_equal(psa_import_key(&a, bytes, sizeof(bytes), &key), PSA_SUCCESS);
	world.sealed = world.opened = 0;
	assert_int_equal(
	    psa_aead_encrypt(key, PSA_ALG_GCM, iv, sizeof(iv), NULL, 0, text, sizeof(text), sealed, sizeof(sealed), &n),
	    PSA_SUCCESS);
	assert_int_equal(
	    psa_aead_decrypt(key, PSA_ALG_GCM, iv, sizeof(iv), NULL, 0, sealed, n, opened, sizeof(opened), &n),
	    PSA_SUCCESS);
	assert_memory_equal(opened, text, sizeof(text));
	assert_int_equal(world.sealed, 1);
	assert_int_equal(world.opened, 1);
	sealed[5] ^= 1;
	assert_int_equal(psa_aead_decrypt(key, PSA_ALG_GCM, iv, sizeof(iv), NULL, 0, sealed, sizeof(sealed), opened,
					  sizeof(opened), &n),
			 PSA_ERROR_INVALID_SIGNATURE);
	psa_destroy_key(key);
}

/* One direction between two ends in this process. */
struct pipe {
	uint8_t bytes[40000];
	size_t used;
};

struct end {
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	struct pipe *in, *out;
};

static int
pipe_send(void *ctx, const unsigned char *data, size_t len)
{
	struct pipe *p = ((struct end *)ctx)->out;

	if (len > sizeof(p->bytes) - p->used)
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	memcpy(p->bytes + p->used, data, len);
	p->used += len;
	return (int)len;
}

static int
pipe_recv(void *ctx, unsigned char *data, size_t size)
{
	struct pipe *p = ((struct end *)ctx)->in;
	size_t n = p->used < size ? p->used : size;

	if (!n)
		return MBEDTLS_ERR_SSL_WANT_READ;
	memcpy(data, p->bytes, n);
	memmove(p->bytes, p->bytes + n, p->used - n);
	p->used -= n;
	return (int)n;
}

/* A key both have takes the place of certificates. */
static void
make_end(struct end *e, int role, bool only_12, const int *suites, struct pipe *in, struct pipe *out)
{
	static const unsigned char psk[32] = {7};

	mbedtls_ssl_init(&e->ssl);
	mbedtls_ssl_config_init(&e->conf);
	e->in = in;
	e->out = out;
	assert_int_equal(
	    mbedtls_ssl_config_defaults(&e->conf, role, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT), 0);
	if (only_12)
		mbed_conf_pkcs1(&e->conf);
	mbedtls_ssl_conf_rng(&e->conf, mbed_random, NULL);
	mbedtls_ssl_conf_ciphersuites(&e->conf, suites);
	assert_int_equal(mbedtls_ssl_conf_psk(&e->conf, psk, sizeof(psk), (const unsigned char *)"unit", 4), 0);
	assert_int_equal(mbedtls_ssl_setup(&e->ssl, &e->conf), 0);
	assert_int_equal(mbedtls_ssl_set_hostname(&e->ssl, NULL), 0);
	mbedtls_ssl_set_bio(&e->ssl, e, pipe_send, pipe_recv, NULL);
}

static void
free_end(struct end *e)
{
	mbedtls_ssl_free(&e->ssl);
	mbedtls_ssl_config_free(&e->conf);
}

static bool
is_waiting(int rc)
{
	return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE || mbed_call_again(rc);
}

static void
shake_hands(struct end *a, struct end *b)
{
	int left = -1, right = -1;

	for (int i = 0; i < 100 && (left || right); i++) {
		left = mbedtls_ssl_handshake(&a->ssl);
		assert_true(!left || is_waiting(left));
		right = mbedtls_ssl_handshake(&b->ssl);
		assert_true(!right || is_waiting(right));
	}
	assert_int_equal(left, 0);
	assert_int_equal(right, 0);
}

/* One full record; both ends are ours, so each is sealed and opened once. */
static void
pass_record(struct end *from, struct end *to)
{
	static uint8_t out[16000], in[16000];
	size_t got = 0;
	int rc;

	fill(out, sizeof(out));
	world.sealed = world.opened = 0;
	assert_int_equal(mbedtls_ssl_write(&from->ssl, out, sizeof(out)), sizeof(out));
	while (got < sizeof(in)) {
		rc = mbedtls_ssl_read(&to->ssl, in + got, sizeof(in) - got);
		if (rc < 0 && mbed_call_again(rc))
			continue;
		assert_true(rc > 0);
		got += (size_t)rc;
	}
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(world.sealed, 1);
	assert_true(world.opened >= 1);
}

static void
tls_comes_by(void **state)
{
	static const struct {
		const char *what;
		bool only_12;
		int suites[3];
	} rows[] = {
	    {"AES-256", true, {MBEDTLS_TLS_PSK_WITH_AES_256_GCM_SHA384, 0}},
	    /* with 3.6 TLS 1.3, which takes keys of this kind with SHA-256 only */
	    {"AES-128", false, {TLS13_AES_128_GCM_SHA256, MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256, 0}},
	};
	static struct pipe up, down;
	static struct end client, server;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t byte = 0;

		up.used = down.used = 0;
		make_end(&client, MBEDTLS_SSL_IS_CLIENT, rows[i].only_12, rows[i].suites, &down, &up);
		make_end(&server, MBEDTLS_SSL_IS_SERVER, rows[i].only_12, rows[i].suites, &up, &down);
		shake_hands(&client, &server);
		print_message("  %s: %s, %s\n", rows[i].what, mbedtls_ssl_get_version(&client.ssl),
			      mbedtls_ssl_get_ciphersuite(&client.ssl));
		pass_record(&client, &server);
		pass_record(&server, &client);
		assert_int_equal(mbedtls_ssl_write(&client.ssl, &byte, 1), 1);
		up.bytes[up.used - 1] ^= 1;
		assert_int_equal(mbedtls_ssl_read(&server.ssl, &byte, 1), MBEDTLS_ERR_SSL_INVALID_MAC);
		free_end(&client);
		free_end(&server);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(not_put_in, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(put_in, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(without_memory_for_a_key_mbedtls_computes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(vectors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(random_messages, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(odd_calls_get_mbedtls_answers, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(pieces, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(many_contexts, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(one_context, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(psa_comes_by, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(tls_comes_by, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
