/* mbed: what differs between mbedTLS 2.28 and 3.6, and the random source handed to it.
 *
 * Included only by the files that speak to mbedTLS itself (agent/tls.c, trustlist/cert.c, package/cms.c,
 * package/anchor.c).
 */
#ifndef BASE_MBED_H
#define BASE_MBED_H

#include <stdbool.h>
#include <stddef.h>

struct mbedtls_pk_context;
struct mbedtls_ssl_config;
struct mbedtls_ssl_context;
struct mbedtls_x509_crt;

/* The random callback for every mbedTLS function that wants one: the kernel's generator. `ctx` is not used. */
int mbed_random(void *ctx, unsigned char *out, size_t len);

/* The length to hand to mbedTLS' parsers for `len` bytes followed by a NUL: PEM is counted with it, DER without. */
size_t mbed_input_size(const char *data, size_t len);

/* Parses a private key, PEM (with its NUL counted in `len`) or DER, without a pass phrase. 0 or an mbedTLS error. */
int mbed_parse_key(struct mbedtls_pk_context *pk, const unsigned char *key, size_t len);

/* True when `private_key` belongs to `public_key`. */
bool mbed_key_matches(const struct mbedtls_pk_context *public_key, const struct mbedtls_pk_context *private_key);

/* True for a certificate whose basic constraints say CA. */
bool mbed_is_ca(const struct mbedtls_x509_crt *crt);

/* True when AES-GCM runs on instructions of this processor: by what the library was built for and the processor has,
 * or because gcm_start() put another library's behind it. */
bool mbed_has_fast_aes(void);

/* Key exchange over X25519, P-256, P-384 and P-521, or finite fields of 2,048 bits; signatures over SHA-256 and up. */
void mbed_conf_strength(struct mbedtls_ssl_config *conf);

/* TLS 1.2 at least, 1.3 where the library has it. */
void mbed_conf_versions(struct mbedtls_ssl_config *conf);

/* True when a handshake failed because the peer signed TLS 1.2 with RSA-PSS: 3.6 offers that for 1.3 and cannot offer
 * it for 1.3 alone. The next attempt, with mbed_conf_pkcs1(), offers neither 1.3 nor RSA-PSS. Never true with 2.28. */
struct mbedtls_ssl_context;
bool mbed_is_pss_refused(const struct mbedtls_ssl_context *ssl, int rc);
void mbed_conf_pkcs1(struct mbedtls_ssl_config *conf);

/* True for a return of the record functions that means "call again", besides WANT_READ and WANT_WRITE:
 * a TLS 1.3 session ticket arrived. */
bool mbed_call_again(int rc);

/* True when `rc` says that the peer chose a protocol version below the least accepted one. */
bool mbed_is_version_refused(int rc);

/* The alert (RFC 8446, section 6) behind a function's MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, while nothing more was
 * read. */
int mbed_last_alert(const struct mbedtls_ssl_context *ssl);

/* Text for an mbedTLS error code, "NAME (-0xNNNN)". Returns dst. */
char *mbed_strerror(char *dst, size_t size, int rc);

/* "2.28.3" … of the library in use. Returns dst. */
char *mbed_version(char *dst, size_t size);

#endif
