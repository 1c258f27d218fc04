/* tls: one TLS client connection to a manager, non-blocking, mutual, by mbedTLS.
 *
 * Refuses: TLS below 1.2, a chain that does not verify (the handshake itself fails, so nothing is sent over it), SHA-1,
 * DES and RC4 at any level. Host names are not checked: identity is the serial number (guide, "authentication").
 */
#ifndef AGENT_TLS_H
#define AGENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cert_check;
struct err;
struct tls_conn;
struct tls_creds;

enum tls_level { TLS_LEVEL_HIGH, TLS_LEVEL_DEFAULT, TLS_LEVEL_LOW };

enum { TLS_SUITES_MAX = 32 };

/* What is offered at a level (wire profile, section 1), best first, as IANA numbers ended by 0, leaving out what the
 * library lacks. ChaCha20 comes first unless `fast_aes`. Returns how many. */
size_t tls_suites(enum tls_level level, bool fast_aes, int out[TLS_SUITES_MAX]);

struct tls_files {
	const char *certificate, *private_key, *ca_certificate; /* paths, PEM or DER */
	const char *crl;                                        /* path or "" */
};

/* Reads and checks the files: the key belongs to the certificate, the CA file holds at least one CA certificate.
 * Errors read "PATH: what", codes are -EINVAL for a bad file, else file_read()'s. The strings in `files` are not kept.
 * Shared by connections by reference count: tls_creds_free() drops the caller's. */
int tls_creds_load(const struct tls_files *files, struct tls_creds **out, struct err *e);
void tls_creds_free(struct tls_creds *c); /* NULL-safe */

/* The device's own serial: the CN of its certificate ("" when that is no serial), and its validity. */
const char *tls_creds_serial(const struct tls_creds *c);
void tls_creds_validity(const struct tls_creds *c, int64_t *not_before_s, int64_t *not_after_s);

enum tls_step {
	TLS_DONE,       /* the step is complete */
	TLS_WANT_READ,  /* call again when the descriptor is readable */
	TLS_WANT_WRITE, /* … writable */
	TLS_CLOSED,     /* the peer closed cleanly */
	TLS_ERROR,      /* see the error; the connection is of no more use */
};

/* A connection over a connected non-blocking socket (borrowed, closed by its owner after tls_free()). `now_s` is the
 * time dates are judged at. `sni` may be NULL. */
int tls_new(struct tls_creds *c, int fd, enum tls_level level, const char *sni, int64_t now_s, struct tls_conn **out,
	    struct err *e);
void tls_free(struct tls_conn *t); /* NULL-safe; sends nothing */

/* Before the handshake: TLS 1.2 with RSA signatures of PKCS #1 only. For a peer whose handshake failed with
 * -EPROTONOSUPPORT: it signs TLS 1.2 with RSA-PSS as soon as that is offered, which mbedTLS 3.6 then refuses. */
void tls_offer_pkcs1(struct tls_conn *t);

enum tls_step tls_handshake(struct tls_conn *t, struct err *e);

/* What is known about the peer; `seen` says whether it presented a certificate at all. Also after a failed handshake.
 */
const struct cert_check *tls_peer(const struct tls_conn *t);

/* Reads up to `size` bytes of plain text: TLS_DONE with *n > 0. A connection that ends without close_notify is an
 * error: it may have been cut. */
enum tls_step tls_read(struct tls_conn *t, void *dst, size_t size, size_t *n, struct err *e);
/* Bytes of the peer's wait here or inside the library: read again before sleeping. */
bool tls_pending(const struct tls_conn *t);

enum { TLS_UNSENT_MAX = 80 * 1024 };

/* Encrypts up to `len` bytes, as one record: TLS_DONE with 0 < *n <= len. The record waits for tls_flush().
 * TLS_WANT_WRITE when TLS_UNSENT_MAX bytes of such wait: nothing was taken, flush first. */
enum tls_step tls_write(struct tls_conn *t, const void *src, size_t len, size_t *n, struct err *e);

/* Sends what waits, with one system call: TLS_DONE when nothing is left, TLS_WANT_WRITE or TLS_ERROR. */
enum tls_step tls_flush(struct tls_conn *t, struct err *e);

/* Sends close_notify behind what waits; TLS_DONE, TLS_WANT_WRITE or TLS_ERROR. Nothing is sent before the handshake is
 * complete. */
enum tls_step tls_close(struct tls_conn *t);

/* Much passes (true): what is received at once becomes more, and storage is kept. False gives back what is empty. */
void tls_load(struct tls_conn *t, bool busy);

const char *tls_version(const struct tls_conn *t); /* "TLSv1.2"; "" before the handshake */
const char *tls_suite(const struct tls_conn *t);

#endif
