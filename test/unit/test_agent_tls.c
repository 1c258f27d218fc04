/* agent/tls: credentials, the handshake with good and bad peers, and data over a stingy socket.
 *
 * The peer is mbedTLS' server side in the same process, or bytes as another kind of peer would send them.
 */
#include "agent/tls.h"

#include <errno.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mbed.h"
#include "base/text.h"
#include "trustlist/cert.h"

/* Made by test/unit/make-certs; the tests run from the top of the source tree. */
#define CERTS "test/unit/certs/"

enum { NOW = 1767225600, ROUNDS = 200000, MEGABYTE = 1024 * 1024 };

/* The manager's side. */
struct server {
	int fd; /* owned */
	mbedtls_ssl_config conf;
	mbedtls_ssl_context ssl;
	mbedtls_x509_crt crt;
	mbedtls_pk_context key;
	char name[64]; /* the SNI it was asked for */
};

struct pair {
	struct tls_creds *creds;
	struct tls_conn *client;
	int fd; /* the client's, owned */
	struct server server;
};

static int
server_send(void *ctx, const unsigned char *data, size_t len)
{
	ssize_t n = send(*(int *)ctx, data, len, MSG_NOSIGNAL);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : -1;
}

static int
server_recv(void *ctx, unsigned char *data, size_t size)
{
	ssize_t n = recv(*(int *)ctx, data, size, 0);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : -1;
}

static int
server_name(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *name, size_t len)
{
	struct server *s = ctx;

	(void)ssl;
	snprintf(s->name, sizeof(s->name), "%.*s", (int)len, (const char *)name);
	return 0;
}

#if MBEDTLS_VERSION_MAJOR >= 3
static const char newest_version[] = "TLSv1.3";
#else
static const char newest_version[] = "TLSv1.2";
#endif

static void
only_tls12(mbedtls_ssl_config *conf)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	(void)conf;
#endif
}

static void
server_key(struct server *s, const char *name)
{
	char path[128];
	char *text = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), CERTS "%s", name);
	assert_int_equal(file_read(path, 65536, &text, &len, NULL), 0);
	assert_int_equal(mbed_parse_key(&s->key, (unsigned char *)text, len + 1), 0);
	free(text);
}

/* `suites` NULL: all the library has. */
static void
server_start(struct server *s, int fd, const char *crt, const char *key, const int *suites, bool tls12)
{
	char path[128];

	s->fd = fd;
	mbedtls_ssl_config_init(&s->conf);
	mbedtls_ssl_init(&s->ssl);
	mbedtls_x509_crt_init(&s->crt);
	mbedtls_pk_init(&s->key);
	snprintf(path, sizeof(path), CERTS "%s.pem", crt);
	assert_int_equal(mbedtls_x509_crt_parse_file(&s->crt, path), 0);
	server_key(s, key);
	assert_int_equal(mbedtls_ssl_config_defaults(&s->conf, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
						     MBEDTLS_SSL_PRESET_DEFAULT),
			 0);
	mbedtls_ssl_conf_rng(&s->conf, mbed_random, NULL);
	mbedtls_ssl_conf_authmode(&s->conf, MBEDTLS_SSL_VERIFY_OPTIONAL);
	mbedtls_ssl_conf_ca_chain(&s->conf, &s->crt, NULL);
	mbedtls_ssl_conf_sni(&s->conf, server_name, s);
	if (suites)
		mbedtls_ssl_conf_ciphersuites(&s->conf, suites);
	if (tls12)
		only_tls12(&s->conf);
	assert_int_equal(mbedtls_ssl_conf_own_cert(&s->conf, &s->crt, &s->key), 0);
	assert_int_equal(mbedtls_ssl_setup(&s->ssl, &s->conf), 0);
	mbedtls_ssl_set_bio(&s->ssl, &s->fd, server_send, server_recv, NULL);
}

static void
server_stop(struct server *s)
{
	mbedtls_ssl_free(&s->ssl);
	mbedtls_ssl_config_free(&s->conf);
	mbedtls_pk_free(&s->key);
	mbedtls_x509_crt_free(&s->crt);
	if (s->fd >= 0)
		close(s->fd);
}

static void
make_sockets(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static struct tls_creds *
load_creds(const char *ca, const char *crl)
{
	struct tls_files files = {CERTS "device.pem", CERTS "leaf.key", ca, crl};
	struct tls_creds *c = NULL;
	struct err e = ERR_NONE;

	if (tls_creds_load(&files, &c, &e))
		fail_msg("%s", e.text);
	return c;
}

static void
pair_start(struct pair *p, const char *crt, const char *key, const int *suites, bool tls12)
{
	int fds[2];

	memset(p, 0, sizeof(*p));
	make_sockets(fds);
	p->fd = fds[0];
	server_start(&p->server, fds[1], crt, key, suites, tls12);
	p->creds = load_creds(CERTS "ca.pem", "");
	assert_int_equal(tls_new(p->creds, p->fd, TLS_LEVEL_HIGH, NULL, NOW, &p->client, NULL), 0);
}

static void
pair_stop(struct pair *p)
{
	tls_free(p->client);
	tls_creds_free(p->creds);
	close(p->fd);
	server_stop(&p->server);
}

/* Both sides step by step until the client is done or has failed, then the server's rest. */
static enum tls_step
shake(struct tls_conn *client, struct server *s, struct err *e)
{
	enum tls_step step = TLS_WANT_WRITE;
	int rc = MBEDTLS_ERR_SSL_WANT_READ;

	for (int i = 0; i < ROUNDS && (step == TLS_WANT_READ || step == TLS_WANT_WRITE); i++) {
		step = tls_handshake(client, e);
		if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
			rc = mbedtls_ssl_handshake(&s->ssl);
	}
	for (int i = 0; i < 10 && step == TLS_DONE && rc; i++)
		rc = mbedtls_ssl_handshake(&s->ssl);
	if (step == TLS_DONE)
		assert_int_equal(rc, 0);
	return step;
}

static void
pair_up(struct pair *p)
{
	struct err e = ERR_NONE;

	if (shake(p->client, &p->server, &e) != TLS_DONE)
		fail_msg("%s", e.text);
}

static const int gcm_only[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 0};
static const int dhe_only[] = {MBEDTLS_TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, 0};
static const int ccm_only[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, 0};
static const int cbc_only[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, 0};
static const int sha1_only[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, 0};

/* A server of this library will not present a certificate for clients, nor one that may not sign: those are tested on
 * the verify callback alone. */
static const struct shake_case {
	const char *what, *crt, *key, *ca, *crl;
	enum tls_level level;
	const int *suites;
	const char *why;   /* in the error; NULL: it succeeds */
	const char *suite; /* when it succeeds; NULL: any */
} shake_cases[] = {
    {"expired", "manager-expired",
     .why = "TLS handshake: certificate O=Unit, CN=FMG-VM0000000001: expired on "
	    "2023-12-31 23:59:59 (judged at 2026-01-01 00:00:00)"},
    {"not yet valid", "manager-future", .why = "not valid before 2090-01-01"},
    {"wrong CA", "manager-other", .why = "issued by O=Unit, CN=Other CA, not by a CA in " CERTS "ca.pem"},
    {"CA of the same name", "manager-twin", .why = "not by a CA in " CERTS "ca.pem"},
    {"revoked", "manager-revoked", .crl = CERTS "crl.pem", .why = "revoked by O=Unit, CN=Unit CA"},
    {"forged CRL", "manager", .crl = CERTS "crl-forged.pem", .why = "CRL in its issuer's name was not signed"},
    {"a device posing as a manager", "poser", .why = "serial FGVM010000000099 is not a manager's"},
    {"no serial", "no-serial", .why = "neither CN nor a DNS name is a serial number"},
    {"any usage", "manager-anyeku", .why = "extendedKeyUsage lacks serverAuth"},
    {"self-signed, in the CA file", "manager-self", .ca = CERTS "self-ca.pem", .why = "self-signed"},
    {"SHA-1", "manager-sha1", .why = "weak digest"},
    {"SHA-224", "manager-sha224", .why = "weak digest"},
    {"RSA of 1024 bits", "manager-weak", "weak.key", .why = "RSA of 2048 bits or more"},
    {"good", .crt = "manager"},
    {"good, DER files", "manager", .ca = CERTS "ca.der", .crl = CERTS "crl.der"},
    {"good, key renewed", "manager-renewed", .key = "renewed.key"},
    {"good, RSA", "manager-rsa", .key = "rsa.key"},
    {"good, no extensions", .crt = "manager-plain"},
    {"good, intermediate", .crt = "manager-inter"},
    {"good, CRL lapsed", "manager", .crl = CERTS "crl-stale.pem"},
    {"good, expired CA beside its renewal", "manager", .ca = CERTS "both-ca.pem"},
};

static void
run_shake(const struct shake_case *t, bool tls12)
{
	struct tls_creds *creds = load_creds(t->ca ? t->ca : CERTS "ca.pem", t->crl ? t->crl : "");
	struct tls_conn *client = NULL;
	struct server s = {0};
	struct err e = ERR_NONE;
	enum tls_step step;
	int fds[2];

	make_sockets(fds);
	server_start(&s, fds[1], t->crt, t->key ? t->key : "leaf.key", t->suites, tls12);
	assert_int_equal(tls_new(creds, fds[0], t->level, NULL, NOW, &client, &e), 0);
	assert_string_equal(tls_version(client), "");
	step = shake(client, &s, &e);
	if (step != (t->why ? TLS_ERROR : TLS_DONE) || !strstr(e.text, t->why ? t->why : ""))
		fail_msg("%s%s: step %d \"%s\"", t->what, tls12 ? " (1.2)" : "", step, e.text);
	if (t->why) {
		char byte = 0;
		size_t n = 0;

		/* nothing goes over a connection whose peer was refused: the other side never gets through either */
		for (int i = 0; i < 3; i++)
			assert_int_not_equal(mbedtls_ssl_handshake(&s.ssl), 0);
		assert_int_equal(tls_write(client, &byte, 1, &n, &e), TLS_ERROR);
		assert_int_equal(tls_read(client, &byte, 1, &n, &e), TLS_ERROR);
		assert_string_equal(tls_suite(client), "");
	} else {
		assert_true(tls_peer(client)->seen);
		assert_int_equal(tls_peer(client)->flags, 0);
		assert_string_equal(tls_peer(client)->facts.serial, "FMG-VM0000000001");
		assert_int_equal(strlen(tls_peer(client)->facts.issuer_key), CERT_DIGEST_TEXT - 1);
		if (t->suite && strcmp(tls_suite(client), t->suite) != 0)
			fail_msg("%s: %s", t->what, tls_suite(client));
	}
	tls_free(client);
	close(fds[0]);
	server_stop(&s);
	tls_creds_free(creds);
}

static void
handshakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shake_cases) / sizeof(shake_cases[0]); i++) {
		run_shake(&shake_cases[i], true);
		run_shake(&shake_cases[i], false);
	}
}

static void
levels(void **state)
{
	static const char none[] = "no cipher suite in common (level ";
	static const struct shake_case cases[] = {
	    {"high: CBC", "manager", .suites = cbc_only, .why = none},
	    {"high: CCM", "manager", .suites = ccm_only, .why = none},
	    {"default: CBC", "manager", .level = TLS_LEVEL_DEFAULT, .suites = cbc_only, .why = none},
	    {"low: SHA-1", "manager", .level = TLS_LEVEL_LOW, .suites = sha1_only, .why = none},
	    {"high: GCM", "manager", .suites = gcm_only, .suite = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384"},
	    {"high: DHE", "manager-rsa", "rsa.key", .suites = dhe_only, .suite = "TLS-DHE-RSA-WITH-AES-256-GCM-SHA384"},
	    {"default: CCM", "manager", .level = TLS_LEVEL_DEFAULT, .suites = ccm_only,
	     .suite = "TLS-ECDHE-ECDSA-WITH-AES-128-CCM"},
	    {"low: CBC", "manager", .level = TLS_LEVEL_LOW, .suites = cbc_only,
	     .suite = "TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_shake(&cases[i], true);
}

/* Groups and curves are chosen by the server: 1,024 bits of finite field are refused. */
static void
weak_key_exchange(void **state)
{
	/* RFC 2409, section 6.2 */
	static const char prime[] = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"
				    "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"
				    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
				    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff";
	static const unsigned char generator[] = {2};
	unsigned char p_bytes[128];
	struct err e = ERR_NONE;
	struct pair p;

	(void)state;
	assert_int_equal(text_unhex(p_bytes, sizeof(p_bytes), prime), 0);
	pair_start(&p, "manager-rsa", "rsa.key", dhe_only, true);
	assert_int_equal(mbedtls_ssl_conf_dh_param_bin(&p.server.conf, p_bytes, sizeof(p_bytes), generator, 1), 0);
	tls_offer_pkcs1(p.client); /* with RSA-PSS on offer 3.6 cannot tell which of the two it was */
	assert_int_equal(shake(p.client, &p.server, &e), TLS_ERROR);
	assert_int_equal(e.code, -EPROTO);
	pair_stop(&p);
}

static void
offers(void **state)
{
	static const char *const never[] = {"3DES", "-DES", "RC4", "MD5", "NULL", "PSK", "WITH-RSA", "anon"};
	size_t last = 0;

	(void)state;
	for (int level = TLS_LEVEL_HIGH; level <= TLS_LEVEL_LOW; level++) {
		int fast[TLS_SUITES_MAX], slow[TLS_SUITES_MAX];
		size_t n = tls_suites((enum tls_level)level, true, fast);

		assert_int_equal(tls_suites((enum tls_level)level, false, slow), n);
		assert_int_equal(fast[n], 0);
		assert_true(n > last);
		last = n;
		assert_non_null(strstr(mbedtls_ssl_get_ciphersuite_name(fast[0]), "AES-256-GCM"));
		assert_non_null(strstr(mbedtls_ssl_get_ciphersuite_name(slow[0]), "CHACHA20"));
		for (size_t i = 0; i < n; i++) {
			const char *name = mbedtls_ssl_get_ciphersuite_name(fast[i]);
			size_t len = strlen(name);

			for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++) {
				if (strstr(name, never[k]))
					fail_msg("%s is offered", name);
			}
			if (!strcmp(name + len - 4, "-SHA") || (level < TLS_LEVEL_LOW && strstr(name, "CBC")) ||
			    (level < TLS_LEVEL_DEFAULT && strstr(name, "CCM")))
				fail_msg("%s is offered at level %d", name, level);
		}
	}
}

/* Peers that are no manager's TLS server: what they send first, and what an operator is told. */
static void
strange_peers(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		const char *why;
	} cases[] = {
	    {"closes at once", "", 0, "TLS handshake: the peer closed the connection during the handshake"},
	    {"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", 28, "the peer does not speak TLS"},
	    {"alert handshake_failure", "\x15\x03\x03\0\2\2\x28", 7,
	     "the peer refused (alert 40): no cipher suite in common (level high)"},
	    {"alert protocol_version", "\x15\x03\x03\0\2\2\x46", 7,
	     "the peer accepts no TLS version from 1.2 on (alert 70)"},
	    {"alert unknown_ca", "\x15\x03\x03\0\2\2\x30", 7, "the peer does not know the CA of our certificate"},
	    {"alert certificate_expired", "\x15\x03\x03\0\2\2\x2d", 7, "the peer finds our certificate expired"},
	    {"alert certificate_revoked", "\x15\x03\x03\0\2\2\x2c", 7, "the peer finds our certificate revoked"},
	    {"alert bad_certificate", "\x15\x03\x03\0\2\2\x2a", 7, "the peer refused our certificate (alert 42)"},
	    {"alert internal_error", "\x15\x03\x03\0\2\2\x50", 7, "the peer ended the connection (alert 80)"},
	    {"TLS 1.1",
	     "\x16\x03\x02\0\x2a\x02\0\0\x26\x03\x02"
	     "0123456789abcdef0123456789abcdef\0\xc0\x09\0",
	     47, "the peer chose a TLS version below 1.2"},
	};
	struct tls_creds *creds = load_creds(CERTS "ca.pem", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_conn *client = NULL;
		struct err e = ERR_NONE;
		enum tls_step step;
		int fds[2];

		make_sockets(fds);
		assert_int_equal(write(fds[1], cases[i].bytes, cases[i].len), cases[i].len);
		shutdown(fds[1], SHUT_WR);
		assert_int_equal(tls_new(creds, fds[0], TLS_LEVEL_HIGH, NULL, NOW, &client, NULL), 0);
		do
			step = tls_handshake(client, &e);
		while (step == TLS_WANT_READ || step == TLS_WANT_WRITE);
		if (step != TLS_ERROR || !strstr(e.text, cases[i].why) || tls_peer(client)->seen)
			fail_msg("%s: step %d \"%s\"", cases[i].what, step, e.text);
		tls_free(client);
		close(fds[0]);
		close(fds[1]);
	}
	tls_creds_free(creds);
}

static void
reset_is_told(void **state)
{
	struct tls_creds *creds = load_creds(CERTS "ca.pem", "");
	struct tls_conn *client = NULL;
	struct err e = ERR_NONE;
	int fds[2];

	(void)state;
	make_sockets(fds);
	close(fds[1]);
	assert_int_equal(tls_new(creds, fds[0], TLS_LEVEL_HIGH, NULL, NOW, &client, NULL), 0);
	assert_int_equal(tls_handshake(client, &e), TLS_ERROR);
	assert_int_equal(e.code, -EPIPE);
	assert_string_equal(e.text, "TLS handshake: sending: Broken pipe");
	tls_free(client);
	close(fds[0]);
	tls_creds_free(creds);
}

static void
our_side(void **state)
{
	static const char name[] = "fmg.example";
	const mbedtls_x509_crt *device;
	struct cert_facts facts;
	struct pair p;
	char longest[400];
	struct tls_conn *no = NULL;
	struct err e = ERR_NONE;

	(void)state;
	pair_start(&p, "manager", "leaf.key", NULL, false);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_not_equal(tls_new(p.creds, p.fd, TLS_LEVEL_HIGH, longest, NOW, &no, &e), 0);
	assert_null(no);
	/* the name is sent, and not compared with the certificate */
	tls_free(p.client);
	assert_int_equal(tls_new(p.creds, p.fd, TLS_LEVEL_HIGH, name, NOW, &p.client, NULL), 0);
	pair_up(&p);
	assert_string_equal(p.server.name, name);
	device = mbedtls_ssl_get_peer_cert(&p.server.ssl);
	assert_non_null(device);
	assert_int_equal(cert_read(device, &facts, NULL), 0);
	assert_string_equal(facts.serial, tls_creds_serial(p.creds));
	assert_string_equal(tls_version(p.client), newest_version);
	pair_stop(&p);
}

/* A reload drops the daemon's reference while a session still uses the old files. */
static void
creds_outlive_their_owner(void **state)
{
	struct pair p;

	(void)state;
	pair_start(&p, "manager", "leaf.key", NULL, false);
	tls_creds_free(p.creds);
	p.creds = NULL;
	pair_up(&p);
	pair_stop(&p);
	tls_free(NULL);
}

static unsigned char
pattern(size_t at)
{
	return (unsigned char)((at * 2654435761U) >> 13);
}

/* A megabyte to an echo and back, through sockets that hold a few KiB: every WANT_* is taken. */
static void
megabyte_both_ways(void **state)
{
	static unsigned char out[MEGABYTE], in[MEGABYTE], echo[5000];
	size_t sent = 0, got = 0, held = 0, held_at = 0, n, waits = 0;
	int small = 1; /* the kernel makes it the least it allows */
	struct err e = ERR_NONE;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < MEGABYTE; i++)
		out[i] = pattern(i);
	pair_start(&p, "manager", "leaf.key", NULL, false);
	setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(p.server.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	pair_up(&p);
	for (int i = 0; i < ROUNDS && got < MEGABYTE; i++) {
		enum tls_step step =
		    sent < MEGABYTE ? tls_write(p.client, out + sent, MEGABYTE - sent, &n, &e) : TLS_WANT_READ;
		int rc;

		if (step == TLS_DONE)
			sent += n;
		assert_int_not_equal(step, TLS_ERROR);
		step = tls_flush(p.client, &e);
		waits += step == TLS_WANT_WRITE;
		assert_int_not_equal(step, TLS_ERROR);
		if (!held) {
			rc = mbedtls_ssl_read(&p.server.ssl, echo, sizeof(echo));
			held = rc > 0 ? (size_t)rc : 0;
			held_at = 0;
		}
		while (held && (rc = mbedtls_ssl_write(&p.server.ssl, echo + held_at, held)) > 0) {
			held -= (size_t)rc;
			held_at += (size_t)rc;
		}
		do {
			step = tls_read(p.client, in + got, MEGABYTE - got < 777 ? MEGABYTE - got : 777, &n, &e);
			if (step == TLS_DONE)
				got += n;
		} while (step == TLS_DONE && got < MEGABYTE && tls_pending(p.client));
		assert_true(step == TLS_DONE || step == TLS_WANT_READ);
	}
	assert_int_equal(got, MEGABYTE);
	assert_memory_equal(in, out, MEGABYTE);
	assert_true(waits > 0);
	assert_false(tls_pending(p.client));
	pair_stop(&p);
}

/* Reads what is there on the server's side and compares it with the pattern from *at on. Returns what ended it. */
static int
server_drain(struct server *s, size_t *at)
{
	unsigned char part[3000];
	int rc;

	while ((rc = mbedtls_ssl_read(&s->ssl, part, sizeof(part))) > 0) {
		for (int i = 0; i < rc; i++)
			assert_int_equal(part[i], pattern((*at)++));
	}
	return rc;
}

/* Records wait up to a bound, and nothing is taken beyond it: the caller may have other bytes to say the next time. Not
 * one is counted that was not taken. */
static void
bounded_until_flushed(void **state)
{
	static unsigned char out[400000];
	size_t sent = 0, got = 0, len = 100, n = 0, refused = 0;
	struct err e = ERR_NONE;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = pattern(i);
	pair_start(&p, "manager", "leaf.key", NULL, false);
	pair_up(&p);
	for (int i = 0; i < ROUNDS && sent < sizeof(out); i++) {
		size_t most = sizeof(out) - sent;
		enum tls_step step = tls_write(p.client, out + sent, len < most ? len : most, &n, &e);

		len = 100 + (size_t)i * 37 % 5000;
		if (step == TLS_DONE) {
			sent += n;
			continue;
		}
		assert_int_equal(step, TLS_WANT_WRITE);
		assert_true(sent - got > TLS_UNSENT_MAX / 2);
		assert_true(sent - got < TLS_UNSENT_MAX + 5000);
		refused++;
		while (tls_flush(p.client, &e) == TLS_WANT_WRITE)
			server_drain(&p.server, &got);
		server_drain(&p.server, &got);
		assert_int_equal(got, sent);
	}
	while (tls_flush(p.client, &e) == TLS_WANT_WRITE)
		server_drain(&p.server, &got);
	server_drain(&p.server, &got);
	assert_true(refused >= sizeof(out) / (TLS_UNSENT_MAX + 5000));
	assert_int_equal(sent, sizeof(out));
	assert_int_equal(got, sizeof(out));
	assert_int_equal(tls_flush(p.client, &e), TLS_DONE);
	pair_stop(&p);
}

static void
peer_closes(void **state)
{
	unsigned char data[16];
	struct err e = ERR_NONE;
	struct pair p;
	size_t n = 0;

	(void)state;
	pair_start(&p, "manager", "leaf.key", NULL, false);
	pair_up(&p);
	assert_int_equal(tls_read(p.client, data, sizeof(data), &n, &e), TLS_WANT_READ);
	assert_int_equal(mbedtls_ssl_write(&p.server.ssl, (const unsigned char *)"last", 4), 4);
	mbedtls_ssl_close_notify(&p.server.ssl);
	assert_int_equal(tls_read(p.client, data, sizeof(data), &n, &e), TLS_DONE);
	assert_int_equal(n, 4);
	assert_int_equal(tls_read(p.client, data, sizeof(data), &n, &e), TLS_CLOSED);
	pair_stop(&p);
}

static void
peer_vanishes(void **state)
{
	unsigned char data[16];
	struct err e = ERR_NONE;
	struct pair p;
	size_t n = 0;

	(void)state;
	pair_start(&p, "manager", "leaf.key", NULL, false);
	pair_up(&p);
	close(p.server.fd);
	p.server.fd = -1;
	assert_int_equal(tls_read(p.client, data, sizeof(data), &n, &e), TLS_ERROR);
	assert_int_equal(e.code, -ECONNRESET);
	assert_string_equal(e.text, "the peer closed the connection without close_notify");
	assert_int_equal(tls_write(p.client, "x", 1, &n, &e), TLS_DONE);
	assert_int_equal(tls_flush(p.client, &e), TLS_ERROR);
	assert_string_equal(e.text, "sending: Broken pipe");
	assert_int_equal(tls_close(p.client), TLS_ERROR);
	pair_stop(&p);
}

/* A byte turned on the way ends the connection. */
static void
damaged_record(void **state)
{
	unsigned char data[256];
	struct err e = ERR_NONE;
	struct pair p;
	ssize_t len;
	size_t n = 0;

	(void)state;
	pair_start(&p, "manager", "leaf.key", NULL, true);
	pair_up(&p);
	assert_int_equal(mbedtls_ssl_write(&p.server.ssl, (const unsigned char *)"hello", 5), 5);
	len = recv(p.fd, data, sizeof(data), 0);
	assert_true(len > 8);
	data[len - 1] ^= 1;
	assert_int_equal(send(p.server.fd, data, (size_t)len, 0), len);
	assert_int_equal(tls_read(p.client, data, sizeof(data), &n, &e), TLS_ERROR);
	assert_int_equal(e.code, -EPROTO);
	pair_stop(&p);
}

/* Records wait half-sent when we close: they and the notice all arrive. */
static void
we_close(void **state)
{
	static unsigned char out[MEGABYTE];
	enum tls_step step = TLS_DONE;
	struct err e = ERR_NONE;
	struct pair p;
	size_t n = 0, got = 0, sent = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = pattern(i);
	pair_start(&p, "manager", "leaf.key", NULL, false);
	assert_int_equal(tls_close(p.client), TLS_DONE); /* nothing to say yet */
	pair_up(&p);
	while (step == TLS_DONE && sent < sizeof(out)) {
		step = tls_write(p.client, out + sent, 1000, &n, &e);
		sent += step == TLS_DONE ? n : 0;
	}
	assert_int_equal(step, TLS_WANT_WRITE);
	while ((step = tls_close(p.client)) == TLS_WANT_WRITE)
		server_drain(&p.server, &got);
	assert_int_equal(step, TLS_DONE);
	assert_int_equal(server_drain(&p.server, &got), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
	assert_int_equal(got, sent);
	pair_stop(&p);
}

static void
bad_files(void **state)
{
	static const struct {
		const char *what, *crt, *key, *ca, *crl;
		const char *why; /* after the path of the one to blame */
		int code;
	} cases[] = {
	    {"no certificate", CERTS "none.pem", .why = "none.pem: No such file", .code = -ENOENT},
	    {"certificate is a folder", CERTS, .why = "not a regular file", .code = -EISDIR},
	    {"certificate is a key", CERTS "leaf.key", .why = "leaf.key: not a certificate", .code = -EINVAL},
	    {"certificate of nobody certain", CERTS "manager-twocn.pem", .why = "manager-twocn.pem: the subject has",
	     .code = -EINVAL},
	    {"no key", .key = CERTS "none.key", .why = "none.key: No such file", .code = -ENOENT},
	    {"key is a certificate", .key = CERTS "ca.pem", .why = "ca.pem: not a private key", .code = -EINVAL},
	    {"key behind a pass phrase", .key = CERTS "locked.key", .why = "locked.key: a pass phrase protects",
	     .code = -EINVAL},
	    {"key of another", .key = CERTS "renewed.key",
	     .why = "renewed.key: the key does not belong to the "
		    "certificate in " CERTS "device.pem",
	     .code = -EINVAL},
	    {"key of another kind", .key = CERTS "rsa.key", .why = "rsa.key: the key does not belong", .code = -EINVAL},
	    {"no CA", .ca = CERTS "none.pem", .why = "none.pem: No such file", .code = -ENOENT},
	    {"CA file without a CA", .ca = CERTS "manager.pem", .why = "manager.pem: no CA certificate in it",
	     .code = -EINVAL},
	    {"CA is a CRL", .ca = CERTS "crl.pem", .why = "crl.pem: not a certificate", .code = -EINVAL},
	    {"no CRL", .crl = CERTS "none.pem", .why = "none.pem: No such file", .code = -ENOENT},
	    {"CRL is a certificate", .crl = CERTS "ca.pem", .why = "ca.pem: not a revocation list", .code = -EINVAL},
	    {"good", .crl = CERTS "crl.pem"},
	    {"good, DER", CERTS "device.der", CERTS "leaf.key.der", CERTS "ca.der", .crl = CERTS "crl.der"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_files files = {
		    cases[i].crt ? cases[i].crt : CERTS "device.pem",
		    cases[i].key ? cases[i].key : CERTS "leaf.key",
		    cases[i].ca ? cases[i].ca : CERTS "ca.pem",
		    cases[i].crl,
		};
		struct tls_creds *c = NULL;
		struct err e = ERR_NONE;
		int rc = tls_creds_load(&files, &c, &e);

		if (rc != cases[i].code || !strstr(e.text, cases[i].why ? cases[i].why : "") || !c != !!rc)
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		tls_creds_free(c);
	}
}

/* A CA file that lost its tail must not quietly become a shorter list. */
static void
bundle_cut_off(void **state)
{
	char dir[] = "/tmp/fgfmd-tls-XXXXXX", path[64];
	struct tls_files files = {CERTS "device.pem", CERTS "leaf.key", path, ""};
	struct tls_creds *c = NULL;
	struct err e = ERR_NONE;
	char *text = NULL;
	size_t len = 0;
	int rc;

	(void)state;
	assert_int_equal(file_read(CERTS "both-ca.pem", 65536, &text, &len, NULL), 0);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	assert_int_equal(file_replace(path, text, len - 200, 0600, NULL, NULL), 0);
	rc = tls_creds_load(&files, &c, &e);
	unlink(path);
	rmdir(dir);
	free(text);
	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(e.text, "only 1 of its 2 certificates can be read"));
}

static void
own_facts(void **state)
{
	struct tls_creds *c = load_creds(CERTS "ca.pem", "");
	int64_t from = 0, to = 0;

	(void)state;
	assert_string_equal(tls_creds_serial(c), "FGVM010000000001");
	tls_creds_validity(c, &from, &to);
	assert_int_equal(from, 1577836800);
	assert_int_equal(to, 4733510399); /* 2119-12-31 23:59:59 */
	tls_creds_free(c);
	tls_creds_free(NULL);
}

static int
start(void **state)
{
	(void)state;
	return crypto_start();
}

static int
stop(void **state)
{
	(void)state;
	crypto_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshakes),         cmocka_unit_test(levels),
	    cmocka_unit_test(weak_key_exchange),  cmocka_unit_test(offers),
	    cmocka_unit_test(strange_peers),      cmocka_unit_test(reset_is_told),
	    cmocka_unit_test(our_side),           cmocka_unit_test(creds_outlive_their_owner),
	    cmocka_unit_test(megabyte_both_ways), cmocka_unit_test(bounded_until_flushed),
	    cmocka_unit_test(peer_closes),        cmocka_unit_test(peer_vanishes),
	    cmocka_unit_test(damaged_record),     cmocka_unit_test(we_close),
	    cmocka_unit_test(bad_files),          cmocka_unit_test(bundle_cut_off),
	    cmocka_unit_test(own_facts),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
