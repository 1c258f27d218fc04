/* gcm_cipher: AES-GCM (NIST SP 800-38D) of whole messages by the library that make's GCM= names.
 *
 * What stands behind base/gcm_replace.c, and knows nothing of mbedTLS. Messages are computed whether or not the
 * processor has instructions for AES; gcm_cipher_is_fast() says if it does.
 */
#ifndef BASE_GCM_CIPHER_H
#define BASE_GCM_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GCM_TAG_MIN = 4, GCM_TAG_BYTES = 16 };

struct gcm_cipher;

/* Additional data, initialization vector and input of one message; `len` is that of the input and of the output. */
struct gcm_message {
	const uint8_t *iv, *aad, *in;
	size_t iv_len, aad_len, len;
};

/* The library's name. */
const char *gcm_cipher_library(void);

/* True when AES and the multiplication of GCM run on instructions, whose time tells nothing about the key. */
bool gcm_cipher_is_fast(void);

/* A key of 128, 192 or 256 bits. *out is owned by the caller. 0, -EINVAL or -ENOMEM. */
int gcm_cipher_new(const uint8_t *key, unsigned bits, struct gcm_cipher **out);
void gcm_cipher_free(struct gcm_cipher *c); /* NULL-safe; wipes the key */

/* Both write m->len bytes to `out`, which is m->in or does not overlap it, and the whole tag. Opening does not judge
 * the tag: whoever calls compares it and keeps the plain text back until then. `iv_len` is at least 1. */
void gcm_cipher_seal(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t tag[GCM_TAG_BYTES]);
void gcm_cipher_open(struct gcm_cipher *c, const struct gcm_message *m, uint8_t *out, uint8_t tag[GCM_TAG_BYTES]);

#endif
