#include "agent/tls.h"

#include <errno.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mbed.h"
#include "trustlist/cert.h"

enum { CERT_FILE_MAX = 1024 * 1024, CRL_FILE_MAX = 8 * 1024 * 1024, KEY_FILE_MAX = 64 * 1024 };

enum {
	RECORD_MAX = 16384 + 2048 + 5, /* RFC 5246, section 6.2.3 */
	RECEIVE_IDLE = 4096,           /* bytes asked of the socket at once */
	RECEIVE_BUSY = 256 * 1024,
};

struct tls_creds {
	size_t refs;
	mbedtls_x509_crt own, ca;
	mbedtls_x509_crl crl;
	mbedtls_pk_context key;
	bool has_crl;
	char *ca_name; /* owned; for messages */
	struct cert_facts facts;
};

struct tls_conn {
	struct tls_creds *creds; /* a reference */
	int fd;                  /* borrowed */
	int io_errno;            /* of the last failed send() or recv() */
	bool up;                 /* the handshake is complete and the peer verified */
	bool notified;           /* close_notify was put behind what waits */
	struct buf out;          /* records that wait for the socket */
	uint8_t *in;             /* received and not yet asked for by the library: in_len bytes from in_at on */
	size_t in_at, in_len, in_size;
	size_t in_want; /* size the storage gets when it is empty next time */
	bool dry;       /* the socket gave less than it was asked for: it is empty */
	enum tls_level level;
	mbedtls_ssl_config conf;
	bool pkcs1; /* RSA-PSS is not offered */
	mbedtls_ssl_context ssl;
	struct cert_check check;
	int suites[TLS_SUITES_MAX];
};

/* RFC 8446, appendix B.4. 2.28 does not know the names. */
enum {
	TLS13_AES_128_GCM_SHA256 = 0x1301,
	TLS13_AES_256_GCM_SHA384 = 0x1302,
	TLS13_CHACHA20_POLY1305_SHA256 = 0x1303,
	TLS13_AES_128_CCM_SHA256 = 0x1304,
};

static const int suites_chacha[] = {
    TLS13_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};
static const int suites_gcm[] = {
    TLS13_AES_256_GCM_SHA384,
    TLS13_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    0,
};
static const int suites_dhe[] = {MBEDTLS_TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, 0};
static const int suites_ccm[] = {
    TLS13_AES_128_CCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CCM,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_256_CCM,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_128_CCM,
    0,
};
static const int suites_cbc[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_256_CBC_SHA256,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_128_CBC_SHA256,
    0,
};

static size_t
add_suites(int out[TLS_SUITES_MAX], size_t used, const int *more)
{
	for (; *more && used < TLS_SUITES_MAX - 1; more++) {
		if (mbedtls_ssl_ciphersuite_from_id(*more))
			out[used++] = *more;
	}
	out[used] = 0;
	return used;
}

size_t
tls_suites(enum tls_level level, bool fast_aes, int out[TLS_SUITES_MAX])
{
	size_t n = add_suites(out, 0, fast_aes ? suites_gcm : suites_chacha);

	n = add_suites(out, n, fast_aes ? suites_chacha : suites_gcm);
	n = add_suites(out, n, suites_dhe);
	if (level != TLS_LEVEL_HIGH)
		n = add_suites(out, n, suites_ccm);
	if (level == TLS_LEVEL_LOW)
		n = add_suites(out, n, suites_cbc);
	return n;
}

/* A PEM file that was cut off has a block without an end, which the library skips without a word. */
static size_t
count_blocks(const char *text)
{
	size_t n = 0;

	while ((text = strstr(text, "-----BEGIN CERTIFICATE-----"))) {
		n++;
		text++;
	}
	return n;
}

static int
read_certificates(const char *path, mbedtls_x509_crt *out, struct err *e)
{
	char why[200];
	char *text = NULL;
	size_t len = 0, blocks, n = 0;
	int rc = file_read(path, CERT_FILE_MAX, &text, &len, e);

	if (rc)
		return rc;
	rc = mbedtls_x509_crt_parse(out, (const unsigned char *)text, mbed_input_size(text, len));
	blocks = count_blocks(text);
	free(text);
	for (const mbedtls_x509_crt *c = out; c && c->raw.p; c = c->next)
		n++;
	if (rc < 0)
		return err_set(e, -EINVAL, "%s: not a certificate: %s", path, mbed_strerror(why, sizeof(why), rc));
	if (rc > 0 || (blocks && blocks != n))
		return err_set(e, -EINVAL, "%s: only %zu of its %zu certificates can be read", path, n, blocks);
	return 0;
}

static int
read_ca(const char *path, mbedtls_x509_crt *out, struct err *e)
{
	int rc = read_certificates(path, out, e);

	if (rc)
		return rc;
	for (const mbedtls_x509_crt *c = out; c; c = c->next) {
		if (mbed_is_ca(c))
			return 0;
	}
	return err_set(e, -EINVAL, "%s: no CA certificate in it (basicConstraints CA:TRUE expected)", path);
}

typedef int parse_fn(void *out, const unsigned char *text, size_t size);

static int
parse_crl(void *out, const unsigned char *text, size_t size)
{
	return mbedtls_x509_crl_parse(out, text, size);
}

static int
parse_key(void *out, const unsigned char *text, size_t size)
{
	return mbed_parse_key(out, text, size);
}

static int
read_parsed(const char *path, size_t max, parse_fn *parse, void *out, const char *what, struct err *e)
{
	char why[200];
	char *text = NULL;
	size_t len = 0;
	int rc = file_read(path, max, &text, &len, e);

	if (rc)
		return rc;
	rc = parse(out, (const unsigned char *)text, mbed_input_size(text, len));
	explicit_bzero(text, len); /* it may be a key */
	free(text);
	if (rc == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
		return err_set(e, -EINVAL, "%s: a pass phrase protects the key, one without is expected", path);
	if (rc)
		return err_set(e, -EINVAL, "%s: not a %s: %s", path, what, mbed_strerror(why, sizeof(why), rc));
	return 0;
}

static int
read_own(const struct tls_files *files, struct tls_creds *c, struct err *e)
{
	int rc = read_certificates(files->certificate, &c->own, e);

	if (rc)
		return rc;
	rc = cert_read(&c->own, &c->facts, e);
	if (rc) {
		err_in(e, "%s", files->certificate);
		return rc;
	}
	rc = read_parsed(files->private_key, KEY_FILE_MAX, parse_key, &c->key, "private key", e);
	if (rc)
		return rc;
	if (!mbed_key_matches(&c->own.pk, &c->key))
		return err_set(e, -EINVAL, "%s: the key does not belong to the certificate in %s", files->private_key,
			       files->certificate);
	return 0;
}

int
tls_creds_load(const struct tls_files *files, struct tls_creds **out, struct err *e)
{
	struct tls_creds *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_sys(e, -ENOMEM, "%s", files->certificate);
	c->refs = 1;
	mbedtls_x509_crt_init(&c->own);
	mbedtls_x509_crt_init(&c->ca);
	mbedtls_x509_crl_init(&c->crl);
	mbedtls_pk_init(&c->key);
	c->ca_name = strdup(files->ca_certificate);
	c->has_crl = files->crl && *files->crl;
	rc = c->ca_name ? read_own(files, c, e) : err_sys(e, -ENOMEM, "%s", files->certificate);
	if (!rc)
		rc = read_ca(files->ca_certificate, &c->ca, e);
	if (!rc && c->has_crl)
		rc = read_parsed(files->crl, CRL_FILE_MAX, parse_crl, &c->crl, "revocation list", e);
	if (!rc) {
		*out = c;
		c = NULL;
	}
	tls_creds_free(c);
	return rc;
}

void
tls_creds_free(struct tls_creds *c)
{
	if (!c || --c->refs)
		return;
	mbedtls_pk_free(&c->key);
	mbedtls_x509_crl_free(&c->crl);
	mbedtls_x509_crt_free(&c->ca);
	mbedtls_x509_crt_free(&c->own);
	free(c->ca_name);
	free(c);
}

const char *
tls_creds_serial(const struct tls_creds *c)
{
	return c->facts.serial;
}

void
tls_creds_validity(const struct tls_creds *c, int64_t *not_before_s, int64_t *not_after_s)
{
	*not_before_s = c->facts.not_before_s;
	*not_after_s = c->facts.not_after_s;
}

/* Bytes sent, 0 when the socket takes none now, or -errno. */
static ssize_t
send_some(const struct tls_conn *t, const void *data, size_t len)
{
	ssize_t n;

	do
		n = send(t->fd, data, len, MSG_NOSIGNAL); /* the library's own function would raise SIGPIPE */
	while (n < 0 && errno == EINTR);
	return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

/* The library's send callback. Records are collected: many go out with one system call, and none is ever left with the
 * library half-sent. A handshake goes straight to the socket. */
static int
bio_send(void *ctx, const unsigned char *data, size_t len)
{
	struct tls_conn *t = ctx;
	ssize_t n;

	if (t->up) {
		n = buf_put(&t->out, data, len);
		if (!n)
			return (int)len;
	} else {
		n = send_some(t, data, len);
		if (n >= 0)
			return n ? (int)n : MBEDTLS_ERR_SSL_WANT_WRITE;
	}
	t->io_errno = (int)-n;
	return MBEDTLS_ERR_NET_SEND_FAILED;
}

/* Fills the empty storage. Bytes received, 0 at the end, or a code for the library. */
static int
receive(struct tls_conn *t)
{
	ssize_t n;

	if (t->in_size != t->in_want) {
		free(t->in);
		t->in = malloc(t->in_want);
		t->in_size = t->in ? t->in_want : 0;
	}
	do
		n = t->in ? recv(t->fd, t->in, t->in_size, 0) : -1;
	while (t->in && n < 0 && errno == EINTR);
	if (n > 0) {
		t->dry = (size_t)n < t->in_size;
		t->in_at = 0;
		t->in_len = (size_t)n;
	}
	if (n >= 0)
		return (int)n;
	if (t->in && (errno == EAGAIN || errno == EWOULDBLOCK))
		return MBEDTLS_ERR_SSL_WANT_READ;
	t->io_errno = t->in ? errno : ENOMEM;
	return MBEDTLS_ERR_NET_RECV_FAILED;
}

/* The library's receive callback: it asks for a record's head and body one by one, the socket is asked for many. */
static int
bio_recv(void *ctx, unsigned char *data, size_t size)
{
	struct tls_conn *t = ctx;
	int rc;

	if (!t->in_len && t->dry) {
		t->dry = false;
		return MBEDTLS_ERR_SSL_WANT_READ;
	}
	rc = t->in_len ? 1 : receive(t);
	if (rc <= 0)
		return rc;
	if (size > t->in_len)
		size = t->in_len;
	memcpy(data, t->in + t->in_at, size);
	t->in_at += size;
	t->in_len -= size;
	return (int)size;
}

static int
configure(struct tls_conn *t)
{
	mbedtls_ssl_config *conf = &t->conf;
	struct tls_creds *c = t->creds;
	int rc = mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
					     MBEDTLS_SSL_PRESET_DEFAULT);

	if (rc)
		return rc;
	mbed_conf_versions(conf);
	mbed_conf_strength(conf);
	tls_suites(t->level, mbed_has_fast_aes(), t->suites);
	mbedtls_ssl_conf_ciphersuites(conf, t->suites);
	mbedtls_ssl_conf_rng(conf, mbed_random, NULL);
	mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_cert_profile(conf, cert_profile());
	mbedtls_ssl_conf_ca_chain(conf, &c->ca, c->has_crl ? &c->crl : NULL);
	mbedtls_ssl_conf_verify(conf, cert_verify_cb, &t->check);
	mbedtls_ssl_conf_session_tickets(conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
	mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
	return mbedtls_ssl_conf_own_cert(conf, &c->own, &c->key);
}

int
tls_new(struct tls_creds *c, int fd, enum tls_level level, const char *sni, int64_t now_s, struct tls_conn **out,
	struct err *e)
{
	struct tls_conn *t = calloc(1, sizeof(*t));
	char why[200];
	int rc;

	if (!t)
		return err_sys(e, -ENOMEM, "TLS");
	t->creds = c;
	c->refs++;
	t->fd = fd;
	t->level = level;
	t->out = BUF_INIT(TLS_UNSENT_MAX + 2 * RECORD_MAX);
	t->in_want = RECEIVE_IDLE;
	cert_check_init(&t->check, now_s);
	t->check.crl = c->has_crl ? &c->crl : NULL;
	t->check.anchors = &c->ca;
	t->check.anchors_name = c->ca_name;
	mbedtls_ssl_config_init(&t->conf);
	mbedtls_ssl_init(&t->ssl);
	rc = configure(t);
	if (!rc)
		rc = mbedtls_ssl_setup(&t->ssl, &t->conf);
	/* also without a name: 3.6 insists that somebody decided so */
	if (!rc)
		rc = mbedtls_ssl_set_hostname(&t->ssl, sni && *sni ? sni : NULL);
	if (rc) {
		tls_free(t);
		return err_set(e, -ENOMEM, "TLS: %s", mbed_strerror(why, sizeof(why), rc));
	}
	mbedtls_ssl_set_bio(&t->ssl, t, bio_send, bio_recv, NULL);
	*out = t;
	return 0;
}

void
tls_free(struct tls_conn *t)
{
	if (!t)
		return;
	mbedtls_ssl_free(&t->ssl);
	mbedtls_ssl_config_free(&t->conf);
	tls_creds_free(t->creds);
	buf_free(&t->out);
	free(t->in);
	free(t);
}

/* What the peer meant by an alert, for somebody who has to mend it. */
static int
explain_alert(const struct tls_conn *t, struct err *e)
{
	static const char *const levels[] = {
	    [TLS_LEVEL_HIGH] = "high",
	    [TLS_LEVEL_DEFAULT] = "default",
	    [TLS_LEVEL_LOW] = "low",
	};
	int alert = mbed_last_alert(&t->ssl);

	switch (alert) {
	case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
	case MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY:
		return err_set(e, -EPROTO,
			       "the peer refused (alert %d): no cipher suite in common (level %s) or no TLS 1.2", alert,
			       levels[t->level]);
	case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
		return err_set(e, -EPROTO, "the peer accepts no TLS version from 1.2 on (alert %d)", alert);
	case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
		return err_set(e, -EACCES, "the peer does not know the CA of our certificate (alert %d)", alert);
	case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
		return err_set(e, -EACCES, "the peer finds our certificate expired (alert %d)", alert);
	case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
		return err_set(e, -EACCES, "the peer finds our certificate revoked (alert %d)", alert);
	case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
	case MBEDTLS_SSL_ALERT_MSG_NO_CERT:
	case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
	case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
	case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
		return err_set(e, -EACCES, "the peer refused our certificate (alert %d)", alert);
	default:
		return err_set(e, -EPROTO, "the peer ended the connection (alert %d)", alert);
	}
}

/* A library error in words. Returns TLS_ERROR, so that callers end with it. */
static enum tls_step
explain(const struct tls_conn *t, int rc, struct err *e)
{
	char text[200];

	if (rc == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
		explain_alert(t, e);
	else if (rc == MBEDTLS_ERR_NET_SEND_FAILED)
		err_sys(e, -t->io_errno, "sending");
	else if (rc == MBEDTLS_ERR_NET_RECV_FAILED)
		err_sys(e, -t->io_errno, "receiving");
	else if (rc == MBEDTLS_ERR_SSL_CONN_EOF || rc == 0)
		err_set(e, -ECONNRESET, "the peer closed the connection without close_notify");
	else if (mbed_is_version_refused(rc))
		err_set(e, -EPROTO, "the peer chose a TLS version below 1.2");
	else if (rc == MBEDTLS_ERR_SSL_INVALID_RECORD)
		err_set(e, -EPROTO, "the peer does not speak TLS, or its record was damaged");
	else
		err_set(e, -EPROTO, "%s", mbed_strerror(text, sizeof(text), rc));
	return TLS_ERROR;
}

/* The chain's verdict where there is one, otherwise what the library says. */
static enum tls_step
explain_handshake(struct tls_conn *t, int rc, struct err *e)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&t->ssl);
	char why[300];

	/* the library looks at curve and usage once more after the callback */
	if (t->check.seen && !t->check.flags && flags != ~0U)
		t->check.flags = flags;
	if (!rc || (t->check.seen && t->check.flags))
		err_set(e, -EACCES, "%s", cert_why(why, sizeof(why), &t->check));
	else if (rc == MBEDTLS_ERR_SSL_CONN_EOF || rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		err_set(e, -ECONNRESET, "the peer closed the connection during the handshake");
	else if (!t->pkcs1 && mbed_is_pss_refused(&t->ssl, rc))
		err_set(e, -EPROTONOSUPPORT,
			"the peer signed TLS 1.2 with RSA-PSS, which this library does not take, or "
			"proposed what is too weak");
	else
		explain(t, rc, e);
	err_in(e, "TLS handshake");
	return TLS_ERROR;
}

void
tls_offer_pkcs1(struct tls_conn *t)
{
	t->pkcs1 = true;
	mbed_conf_pkcs1(&t->conf);
}

enum tls_step
tls_handshake(struct tls_conn *t, struct err *e)
{
	int rc;

	do
		rc = mbedtls_ssl_handshake(&t->ssl);
	while (mbed_call_again(rc));
	if (rc == MBEDTLS_ERR_SSL_WANT_READ)
		return TLS_WANT_READ;
	if (rc == MBEDTLS_ERR_SSL_WANT_WRITE)
		return TLS_WANT_WRITE;
	if (rc || !t->check.seen || t->check.flags || mbedtls_ssl_get_verify_result(&t->ssl))
		return explain_handshake(t, rc, e);
	t->up = true;
	t->dry = false;
	return TLS_DONE;
}

const struct cert_check *
tls_peer(const struct tls_conn *t)
{
	return &t->check;
}

enum tls_step
tls_read(struct tls_conn *t, void *dst, size_t size, size_t *n, struct err *e)
{
	int rc;

	if (!t->up) {
		err_set(e, -EPERM, "read before the TLS handshake");
		return TLS_ERROR;
	}
	do
		rc = mbedtls_ssl_read(&t->ssl, dst, size);
	while (mbed_call_again(rc));
	if (rc > 0) {
		*n = (size_t)rc;
		return TLS_DONE;
	}
	if (rc == MBEDTLS_ERR_SSL_WANT_READ)
		return TLS_WANT_READ;
	if (rc == MBEDTLS_ERR_SSL_WANT_WRITE)
		return TLS_WANT_WRITE;
	if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return TLS_CLOSED;
	(void)tls_flush(t, NULL); /* the library's alert, if it had one to say */
	return explain(t, rc, e);
}

bool
tls_pending(const struct tls_conn *t)
{
	return t->in_len || mbedtls_ssl_check_pending(&t->ssl);
}

enum tls_step
tls_write(struct tls_conn *t, const void *src, size_t len, size_t *n, struct err *e)
{
	int rc;

	if (!t->up) {
		err_set(e, -EPERM, "write before the TLS handshake");
		return TLS_ERROR;
	}
	if (t->out.len >= TLS_UNSENT_MAX)
		return TLS_WANT_WRITE;
	do
		rc = mbedtls_ssl_write(&t->ssl, src, len);
	while (mbed_call_again(rc));
	if (rc < 0)
		return explain(t, rc, e);
	*n = (size_t)rc;
	return TLS_DONE;
}

enum tls_step
tls_flush(struct tls_conn *t, struct err *e)
{
	ssize_t n = t->out.len ? send_some(t, buf_head(&t->out), t->out.len) : 0;

	if (n < 0) {
		err_sys(e, (int)n, "sending");
		return TLS_ERROR;
	}
	buf_take(&t->out, (size_t)n);
	return t->out.len ? TLS_WANT_WRITE : TLS_DONE;
}

enum tls_step
tls_close(struct tls_conn *t)
{
	if (t->up && !t->notified) {
		t->notified = true;
		if (mbedtls_ssl_close_notify(&t->ssl))
			return TLS_ERROR;
	}
	return tls_flush(t, NULL);
}

void
tls_load(struct tls_conn *t, bool busy)
{
	t->out.keep = busy;
	t->in_want = busy ? RECEIVE_BUSY : RECEIVE_IDLE;
	if (!busy && !t->out.len)
		buf_free(&t->out);
	if (!busy && !t->in_len) {
		free(t->in);
		t->in = NULL;
		t->in_size = 0;
	}
}

const char *
tls_version(const struct tls_conn *t)
{
	return t->up ? mbedtls_ssl_get_version(&t->ssl) : "";
}

const char *
tls_suite(const struct tls_conn *t)
{
	return t->up ? mbedtls_ssl_get_ciphersuite(&t->ssl) : "";
}
