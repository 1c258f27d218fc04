/* mbed: what differs between mbedTLS 2.28 and 3.6, and the random source handed to it.
 *
 * Included only by the files that speak to mbedTLS itself (agent/tls.c, trustlist/cert.c, package/cms.c).
 */
#ifndef BASE_MBED_H
#define BASE_MBED_H

#include <stdbool.h>
#include <stddef.h>

struct mbedtls_pk_context;
struct mbedtls_ssl_config;

/* The random callback for every mbedTLS function that wants one: the kernel's generator. `ctx` is not used. */
int mbed_random(void *ctx, unsigned char *out, size_t len);

/* Parses a private key, PEM (with its NUL counted in `len`) or DER, without a pass phrase. 0 or an mbedTLS error. */
int mbed_parse_key(struct mbedtls_pk_context *pk, const unsigned char *key, size_t len);

/* TLS 1.2 at least, 1.3 where the library has it. */
void mbed_conf_versions(struct mbedtls_ssl_config *conf);

/* True for a return of the record functions that means "call again", besides WANT_READ and WANT_WRITE:
 * a TLS 1.3 session ticket arrived. */
bool mbed_call_again(int rc);

/* Text for an mbedTLS error code, "NAME (-0xNNNN)". Returns dst. */
char *mbed_strerror(char *dst, size_t size, int rc);

/* "2.28.3" … of the library in use. Returns dst. */
char *mbed_version(char *dst, size_t size);

#endif
