#include <errno.h>
#include <nettle/gcm.h>
#include <nettle/nettle-meta.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/gcm_cipher.h"

/* The tables of a key take 4 kB of this. */
struct gcm_cipher {
	const struct nettle_cipher *aes;
	struct gcm_key hash;
	struct gcm_ctx message;
	union {
		struct aes128_ctx aes128;
		struct aes192_ctx aes192;
		struct aes256_ctx aes256;
	} key;
};

const char *
gcm_cipher_library(void)
{
	return "nettle";
}

bool
gcm_cipher_is_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	enum { ARM64_HWCAP_AES = 1 << 3, ARM64_HWCAP_PMULL = 1 << 4 }; /* the kernel's asm/hwcap.h */
	const unsigned long wanted = ARM64_HWCAP_AES | ARM64_HWCAP_PMULL;

	return (getauxval(AT_HWCAP) & wanted) == wanted;
#else
	return false;
#endif
}

int
gcm_cipher_new(const uint8_t *key, unsigned bits, struct gcm_cipher **out)
{
	const struct nettle_cipher *aes = bits == 128   ? &nettle_aes128
					  : bits == 192 ? &nettle_aes192
					  : bits == 256 ? &nettle_aes256
							: NULL;
	struct gcm_cipher *c;

	if (!aes)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->aes = aes;
	aes->set_encrypt_key(&c->key, key);
	gcm_set_key(&c->hash, &c->key, aes->encrypt);
	*out = c;
	return 0;
}

void
gcm_cipher_free(struct gcm_cipher *c)
{
	if (!c)
		return;
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static void
begin(struct gcm_cipher *c, const struct gcm_message *m)
{
	gcm_set_iv(&c->message, &c->hash, m->iv_len, m->iv);
	if (m->aad_len)
		gcm_update(&c->message, &c->hash, m->aad_len, m->aad);
}

void
gcm_cipher_seal(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t tag[GCM_TAG_BYTES])
{
	begin(c, m);
	if (m->len)
		gcm_encrypt(&c->message, &c->hash, &c->key, c->aes->encrypt, m->len, out, m->in);
	gcm_digest(&c->message, &c->hash, &c->key, c->aes->encrypt, GCM_TAG_BYTES, tag);
}

void
gcm_cipher_open(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t tag[GCM_TAG_BYTES])
{
	begin(c, m);
	if (m->len)
		gcm_decrypt(&c->message, &c->hash, &c->key, c->aes->encrypt, m->len, out, m->in);
	gcm_digest(&c->message, &c->hash, &c->key, c->aes->encrypt, GCM_TAG_BYTES, tag);
}
