/* fake_manager: a manager in the same process and the same loop: TLS over loopback by mbedTLS' server side. What it
 * says is decided by the test, by default what a good one does.
 */
#ifndef TEST_UNIT_FAKE_MANAGER_H
#define TEST_UNIT_FAKE_MANAGER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/frame.h"
#include "agent/tls.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/mbed.h"
#include "test/replay/wire.h"
#include "test/unit/turn.h"

#define FAKE_CERTS "test/unit/certs/"
#define FAKE_SERIAL "FMG-VM0000000001"

enum { FAKE_NOW_S = 1767225600, FAKE_LINKS = 16, FAKE_LINES = 64 };

/* One connection to it. */
struct fake_link {
	struct fake *home;
	int fd; /* -1: closed */
	struct loop_io *io;
	mbedtls_ssl_context ssl;
	bool tls_up, closing, deaf; /* deaf: reads nothing any more */
	bool ended;                 /* the device has closed it in order */
	struct buf in, out;
	char *lines[FAKE_LINES]; /* messages received */
	size_t count;
	size_t packets, packets_first; /* IP packets, and those before the first message */
	size_t in_bytes, records;      /* received; a record is read in one go */
};

struct fake {
	struct loop *loop;
	int fd;
	uint16_t port;
	struct loop_io *io;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt crt;
	mbedtls_pk_context key;
	struct fake_link links[FAKE_LINKS]; /* in the order of their coming */
	size_t count;

	/* what it does */
	const char *auth;   /* reply to `get auth`; NULL: none */
	const char *ip;     /* … to `get ip` */
	bool silent;        /* TCP only */
	bool one_session;   /* answers a second one with `second` */
	const char *second; /* NULL: by closing it */
};

static inline int
fake_send_raw(void *ctx, const unsigned char *data, size_t len)
{
	ssize_t n = send(*(int *)ctx, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : -1;
}

static inline int
fake_recv_raw(void *ctx, unsigned char *data, size_t size)
{
	ssize_t n = recv(*(int *)ctx, data, size, MSG_DONTWAIT);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : -1;
}

static inline void
fake_drop(struct fake_link *k)
{
	if (k->fd < 0)
		return;
	loop_io_free(k->io);
	k->io = NULL;
	close(k->fd);
	k->fd = -1;
}

static inline void
fake_flush(struct fake_link *k)
{
	while (k->fd >= 0 && k->tls_up && k->out.len) {
		int n = mbedtls_ssl_write(&k->ssl, buf_head(&k->out), k->out.len < 16000 ? k->out.len : 16000);

		if (n == MBEDTLS_ERR_SSL_WANT_WRITE || n == MBEDTLS_ERR_SSL_WANT_READ)
			return;
		if (n < 0) {
			fake_drop(k);
			return;
		}
		buf_take(&k->out, (size_t)n);
	}
	if (k->fd >= 0 && k->closing) {
		mbedtls_ssl_close_notify(&k->ssl);
		fake_drop(k);
	}
}

/* Bytes as they are, then a flush. */
static inline void
fake_bytes(struct fake_link *k, const void *data, size_t len)
{
	assert_int_equal(buf_put(&k->out, data, len), 0);
	fake_flush(k);
}

static inline void
fake_frame(struct fake_link *k, enum frame_type type, const void *body, size_t len)
{
	uint8_t header[PROFILE_FRAME_HEADER];

	frame_header(header, type, len);
	assert_int_equal(buf_put(&k->out, header, sizeof(header)), 0);
	fake_bytes(k, body, len);
}

static inline void
fake_say(struct fake_link *k, const char *line)
{
	size_t size;
	uint8_t *body = wire_body(line, NULL, 0, &size);

	fake_frame(k, FRAME_MESSAGE, body, size);
	free(body);
}

/* Closes it in order. */
static inline void
fake_close(struct fake_link *k)
{
	k->closing = true;
	fake_flush(k);
}

/* Closes it without a word of TLS. */
static inline void
fake_reset(struct fake_link *k)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	fake_drop(k);
}

static inline bool
fake_has_another(const struct fake_link *k)
{
	for (size_t i = 0; i < k->home->count; i++) {
		const struct fake_link *other = &k->home->links[i];

		if (other != k && other->fd >= 0 && !other->closing)
			return true;
	}
	return false;
}

static inline void
fake_answer(struct fake_link *k, const char *line)
{
	struct fake *f = k->home;
	bool ip = !strncmp(line, "get ip|", 7);

	if (ip && f->one_session && fake_has_another(k)) {
		if (f->second)
			fake_say(k, f->second);
		else
			fake_close(k);
	} else if (ip && f->ip) {
		fake_say(k, f->ip);
	} else if (!strncmp(line, "get auth|", 9) && f->auth) {
		fake_say(k, f->auth);
	}
}

static inline void
fake_take(struct fake_link *k, const struct frame *fr)
{
	if (fr->type == FRAME_PACKET) {
		k->packets++;
		return;
	}
	if (k->count == FAKE_LINES)
		fail_msg("the device sends more messages than any test expects");
	if (!k->count)
		k->packets_first = k->packets;
	k->lines[k->count] = wire_line(fr->body, fr->len);
	k->count++;
	fake_answer(k, k->lines[k->count - 1]);
}

static inline void
fake_read(struct fake_link *k)
{
	uint8_t chunk[16384];

	while (k->fd >= 0) {
		int n = mbedtls_ssl_read(&k->ssl, chunk, sizeof(chunk));
		struct frame fr;
		ssize_t whole;

		if (n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE || mbed_call_again(n))
			return;
		if (n <= 0) {
			k->ended = n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || !n;
			fake_drop(k);
			return;
		}
		k->in_bytes += (size_t)n;
		k->records++;
		assert_int_equal(buf_put(&k->in, chunk, (size_t)n), 0);
		while (k->fd >= 0 && k->in.len &&
		       (whole = frame_parse(k->in.data + k->in.off, k->in.len, &fr, NULL)) != 0) {
			assert_true(whole > 0);
			fake_take(k, &fr);
			buf_take(&k->in, (size_t)whole);
		}
	}
}

static inline void
fake_on_link(void *ctx, uint32_t events)
{
	struct fake_link *k = ctx;
	int rc;

	(void)events;
	if (k->deaf || k->home->silent) {
		loop_io_want(k->io, 0);
		return;
	}
	if (!k->tls_up) {
		rc = mbedtls_ssl_handshake(&k->ssl);
		if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
			return;
		if (rc) {
			fake_drop(k);
			return;
		}
		k->tls_up = true;
	}
	fake_read(k);
	fake_flush(k);
}

/* A connection, whoever has opened it: takes the descriptor. */
static inline struct fake_link *
fake_take_over(struct fake *f, int fd)
{
	struct fake_link *k = &f->links[f->count];

	if (f->count == FAKE_LINKS)
		fail_msg("the device dials more often than any test expects");
	*k = (struct fake_link){.home = f, .fd = fd, .in = BUF_INIT(1024 * 1024), .out = BUF_INIT(64 * 1024 * 1024)};
	f->count++;
	mbedtls_ssl_init(&k->ssl);
	assert_int_equal(mbedtls_ssl_setup(&k->ssl, &f->conf), 0);
	mbedtls_ssl_set_bio(&k->ssl, &k->fd, fake_send_raw, fake_recv_raw, NULL);
	k->io = loop_io_new(f->loop, fd, EPOLLIN, fake_on_link, k);
	assert_non_null(k->io);
	return k;
}

static inline void
fake_on_accept(void *ctx, uint32_t events)
{
	struct fake *f = ctx;
	int fd = accept4(f->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0)
		fake_take_over(f, fd);
}

static inline void
fake_key(struct fake *f, const char *path)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(file_read(path, 65536, &text, &len, NULL), 0);
	assert_int_equal(mbed_parse_key(&f->key, (unsigned char *)text, len + 1), 0);
	free(text);
}

static inline int
fake_socket(uint16_t *port, int backlog)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/* `crt` as in FAKE_CERTS, with leaf.key. */
static inline void
fake_start(struct fake *f, struct loop *l, const char *crt)
{
	char path[128];

	*f = (struct fake){.loop = l,
			   .auth = "reply 200|request=auth|serialno=" FAKE_SERIAL,
			   .ip = "reply 200|request=ip|register_status=1|ip=169.254.0.2|fmg_ip=169.254.0.1"};
	mbedtls_ssl_config_init(&f->conf);
	mbedtls_x509_crt_init(&f->crt);
	mbedtls_pk_init(&f->key);
	snprintf(path, sizeof(path), FAKE_CERTS "%s.pem", crt);
	assert_int_equal(mbedtls_x509_crt_parse_file(&f->crt, path), 0);
	fake_key(f, FAKE_CERTS "leaf.key");
	assert_int_equal(mbedtls_ssl_config_defaults(&f->conf, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
						     MBEDTLS_SSL_PRESET_DEFAULT),
			 0);
	mbedtls_ssl_conf_rng(&f->conf, mbed_random, NULL);
	mbedtls_ssl_conf_authmode(&f->conf, MBEDTLS_SSL_VERIFY_OPTIONAL);
	mbedtls_ssl_conf_ca_chain(&f->conf, &f->crt, NULL);
	assert_int_equal(mbedtls_ssl_conf_own_cert(&f->conf, &f->crt, &f->key), 0);
	f->fd = fake_socket(&f->port, 16);
	f->io = loop_io_new(l, f->fd, EPOLLIN, fake_on_accept, f);
	assert_non_null(f->io);
}

static inline void
fake_stop(struct fake *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct fake_link *k = &f->links[i];

		fake_drop(k);
		mbedtls_ssl_free(&k->ssl);
		buf_free(&k->in);
		buf_free(&k->out);
		while (k->count)
			free(k->lines[--k->count]);
	}
	loop_io_free(f->io);
	if (f->fd >= 0)
		close(f->fd);
	mbedtls_ssl_config_free(&f->conf);
	mbedtls_x509_crt_free(&f->crt);
	mbedtls_pk_free(&f->key);
	*f = (struct fake){.fd = -1};
}

static inline struct tls_creds *
fake_creds(void)
{
	const struct tls_files files = {FAKE_CERTS "device.pem", FAKE_CERTS "leaf.key", FAKE_CERTS "ca.pem", ""};
	struct tls_creds *c = NULL;
	struct err e = ERR_NONE;

	if (tls_creds_load(&files, &c, &e))
		fail_msg("%s", e.text);
	return c;
}

/* How many of its connections are open. */
static inline size_t
fake_open(const struct fake *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += f->links[i].fd >= 0;
	return n;
}

#endif
