/* crypto: digests and random bytes, without naming the library behind them.
 *
 * base/mbed.c implements this and base/mbed.h: it is the one file that knows mbedTLS 2.28 from 3.6.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, MD5_BYTES = 16, SHA256_TEXT = 2 * SHA256_BYTES + 1 };

/* Once, after daemonizing and before any TLS (PSA keeps per-process state). 0 or -EIO. */
int crypto_start(void);
void crypto_stop(void);

/* Digest of `len` bytes. 0 or -EIO. MD5 is the protocol's checksum, never a security measure. */
int crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES]);
int crypto_md5(const void *data, size_t len, uint8_t out[MD5_BYTES]);

/* MD5 piece by piece. A plain value: a copy of it goes on from where the original was. Each 0 or -EIO. */
struct crypto_md5 {
	uint64_t state[12];
};
int crypto_md5_start(struct crypto_md5 *m);
int crypto_md5_add(struct crypto_md5 *m, const void *data, size_t len);
int crypto_md5_end(const struct crypto_md5 *m, uint8_t out[MD5_BYTES]); /* of what was added so far; leaves `m` */

/* SHA-256 as lower-case hex text. 0 or -EIO. */
int crypto_sha256_text(const void *data, size_t len, char out[SHA256_TEXT]);

/* From the kernel. 0 or -errno. */
int crypto_random(void *out, size_t len);

#endif
