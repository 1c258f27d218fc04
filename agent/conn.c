#include "agent/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

enum {
	READ_CHUNK = 16384,
	READS_A_TURN = 8,   /* then the other descriptors get their turn */
	RECORD_MAX = 16384, /* bytes handed to TLS at once: one record */
	CLOSE_MS = 1000,
	KEEPALIVE_IDLE_S = 30, /* a dead path is noticed by TCP within about a minute */
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_PROBES = 3,
	USER_TIMEOUT_MS = 60 * 1000,
};

struct conn {
	struct loop *loop;
	struct conn_ops ops;
	enum conn_step step;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer; /* connect and handshake time-outs, end of closing */
	struct loop_task *again;  /* bytes wait inside the TLS library, or a close has to be reported */
	struct tls_conn *tls;     /* made at once, used when TCP is up */
	struct conn_target target;
	char device[16];
	struct buf in;
	struct buf messages, packets;
	struct buf *writing; /* the queue whose head is in TLS' hands; NULL: none */
	size_t writing_len;
	size_t packets_left; /* bytes of packet frames that must go out before a message may: up to a frame's end */
	bool want_write;     /* TLS waits for the socket to be writable */
	bool was_full;
	bool report; /* `closed` has to be reported from the loop */
	struct err why;
	struct addr local;
	struct conn_counters count;
};

static void conn_work(struct conn *c);

static void
set_want(struct conn *c)
{
	uint32_t events = 0;

	if (!c->io)
		return;
	if (c->step == CONN_TCP || c->want_write)
		events |= EPOLLOUT;
	if (c->step == CONN_TLS || c->step == CONN_OPEN)
		events |= EPOLLIN;
	loop_io_want(c->io, events);
}

/* The connection is over. Reported from a fresh turn, so that no callback frees what its caller still uses. */
static void
finish(struct conn *c, const struct err *why)
{
	if (c->step == CONN_CLOSED)
		return;
	c->step = CONN_CLOSED;
	c->why = *why;
	c->report = true;
	loop_io_free(c->io);
	c->io = NULL;
	loop_timer_at(c->timer, MONO_NEVER);
	loop_task_soon(c->again);
}

static void
finish_text(struct conn *c, int code, const char *text)
{
	struct err e;

	err_set(&e, code, "%s", text);
	finish(c, &e);
}

static void
set_step(struct conn *c, enum conn_step step)
{
	c->step = step;
	set_want(c);
	if (c->ops.step)
		c->ops.step(c->ops.ctx, step);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static socklen_t
to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->bytes, 16);
	return sizeof(*in6);
}

static void
from_sockaddr(const struct sockaddr_storage *ss, struct addr *a)
{
	*a = (struct addr){.family = ss->ss_family, .prefix = ss->ss_family == AF_INET ? 32 : 128};
	if (ss->ss_family == AF_INET)
		memcpy(a->bytes, &((const struct sockaddr_in *)ss)->sin_addr, 4);
	else
		memcpy(a->bytes, &((const struct sockaddr_in6 *)ss)->sin6_addr, 16);
}

static int
set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* A dead path must show, and small messages must not wait. What an old kernel refuses is no reason to stay away. */
static void
tune_socket(int fd)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

static int
open_socket(struct conn *c, struct err *e)
{
	const struct conn_target *t = &c->target;
	struct sockaddr_storage ss;
	socklen_t n;
	char text[ADDR_TEXT];

	c->fd = socket(t->addr.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_sys(e, -errno, "socket");
	tune_socket(c->fd);
	if (c->device[0] && setsockopt(c->fd, SOL_SOCKET, SO_BINDTODEVICE, c->device, (socklen_t)strlen(c->device) + 1))
		return err_sys(e, -errno, "binding to interface %s", c->device);
	if (t->source.family) {
		n = to_sockaddr(&t->source, 0, &ss);
		if (bind(c->fd, (struct sockaddr *)&ss, n))
			return err_sys(e, -errno, "binding to source %s", addr_host(text, &t->source));
	}
	n = to_sockaddr(&t->addr, t->port, &ss);
	if (connect(c->fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		return err_sys(e, -errno, "connecting");
	return 0;
}

static void
on_connected(struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(int);
	int so_error = 0;
	struct err e;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &so_error, &n);
	if (so_error) {
		err_sys(&e, -so_error, "TCP connection");
		finish(c, &e);
		return;
	}
	n = sizeof(ss);
	if (!getsockname(c->fd, (struct sockaddr *)&ss, &n))
		from_sockaddr(&ss, &c->local);
	loop_timer_at(c->timer, mono_in(clock_mono(), PROFILE_HANDSHAKE_MS));
	set_step(c, CONN_TLS);
}

static void
do_handshake(struct conn *c)
{
	struct err e = ERR_NONE;
	enum tls_step s = tls_handshake(c->tls, &e);

	c->want_write = s == TLS_WANT_WRITE;
	switch (s) {
	case TLS_DONE:
		loop_timer_at(c->timer, MONO_NEVER);
		set_step(c, CONN_OPEN);
		break;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		set_want(c);
		break;
	case TLS_CLOSED:
		finish_text(c, -ECONNRESET, "closed by the peer during the TLS handshake");
		break;
	case TLS_ERROR:
		finish(c, &e);
		break;
	}
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* Every whole frame received so far, to the owner. A callback may close the connection. */
static void
deliver_frames(struct conn *c)
{
	while (c->step == CONN_OPEN && c->in.len) {
		struct frame f;
		struct err e;
		ssize_t n = frame_parse(c->in.data + c->in.off, c->in.len, &f, &e);

		if (n < 0)
			finish(c, &e);
		if (n <= 0)
			return;
		c->count.in_frames++;
		c->count.in_bytes += (uint64_t)n;
		c->ops.frame(c->ops.ctx, &f);
		buf_take(&c->in, (size_t)n);
	}
}

/* False when there is nothing more to read for now. */
static bool
read_once(struct conn *c)
{
	struct err e = ERR_NONE;
	uint8_t chunk[READ_CHUNK];
	enum tls_step s;
	size_t n = 0;

	s = tls_read(c->tls, chunk, sizeof(chunk), &n, &e);
	switch (s) {
	case TLS_DONE:
		if (buf_put(&c->in, chunk, n)) {
			finish_text(c, -ENOMEM, "no memory for received bytes");
			return false;
		}
		deliver_frames(c);
		return c->step == CONN_OPEN;
	case TLS_WANT_WRITE:
		c->want_write = true;
		return false;
	case TLS_WANT_READ:
		return false;
	case TLS_CLOSED:
		if (c->in.len)
			finish_text(c, -EPROTO, "closed by the peer inside a frame");
		else
			finish_text(c, 0, "closed by the peer");
		return false;
	case TLS_ERROR:
		finish(c, &e);
		return false;
	}
	return false;
}

static void
do_read(struct conn *c)
{
	for (int i = 0; i < READS_A_TURN; i++) {
		if (!read_once(c))
			return;
	}
	loop_task_soon(c->again);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Bytes of the whole frames at the head of the packet queue that fit into one record; at least one frame. */
static size_t
whole_frames(const struct buf *b)
{
	struct rd r = rd_init(buf_head(b), b->len);
	size_t sum = 0;

	while (r.left && !r.bad) {
		uint32_t total;

		rd_bytes(&r, 4);
		total = rd_u32be(&r);
		if (sum && sum + total > RECORD_MAX)
			break;
		sum += total;
		rd_bytes(&r, total - PROFILE_FRAME_HEADER);
	}
	return sum;
}

static size_t
one_record(size_t n)
{
	return n < RECORD_MAX ? n : RECORD_MAX;
}

/* What goes into the next record: messages overtake packets, but only between two frames. False: nothing waits. */
static bool
pick_queue(struct conn *c)
{
	if (c->writing)
		return true;
	if (!c->packets_left && c->messages.len) {
		c->writing = &c->messages;
		c->writing_len = one_record(c->messages.len);
		return true;
	}
	if (!c->packets_left)
		c->packets_left = whole_frames(&c->packets);
	if (!c->packets_left)
		return false;
	c->writing = &c->packets;
	c->writing_len = one_record(c->packets_left);
	return true;
}

static void
wrote(struct conn *c, size_t n)
{
	if (c->writing == &c->packets)
		c->packets_left -= n;
	buf_take(c->writing, n);
	c->writing = NULL;
	c->count.out_bytes += n;
}

/* Hands queued bytes to TLS until it or the socket has enough. */
static void
do_write(struct conn *c)
{
	c->want_write = false;
	while ((c->step == CONN_OPEN || c->step == CONN_CLOSING) && pick_queue(c)) {
		struct err e = ERR_NONE;
		size_t n = 0;
		enum tls_step s = tls_write(c->tls, buf_head(c->writing), c->writing_len, &n, &e);

		if (s == TLS_DONE) {
			wrote(c, n);
			continue;
		}
		if (s == TLS_WANT_WRITE)
			c->want_write = true;
		else if (s != TLS_WANT_READ)
			finish(c, &e);
		break;
	}
	if (c->was_full && conn_queued(c) < CONN_LOW && c->step == CONN_OPEN) {
		c->was_full = false;
		if (c->ops.room)
			c->ops.room(c->ops.ctx);
	}
}

static void
do_close(struct conn *c)
{
	do_write(c);
	if (c->step != CONN_CLOSING || c->want_write)
		return;
	if (tls_close(c->tls) == TLS_WANT_WRITE)
		c->want_write = true;
	else
		finish_text(c, 0, "closed");
}

/* --- the loop's side ---------------------------------------------------------------------------------------------- */

static void
conn_work(struct conn *c)
{
	if (c->step == CONN_TLS)
		do_handshake(c);
	if (c->step == CONN_OPEN)
		do_read(c);
	if (c->step == CONN_OPEN)
		do_write(c);
	if (c->step == CONN_CLOSING)
		do_close(c);
	set_want(c);
}

static void
on_io(void *ctx, uint32_t events)
{
	struct conn *c = ctx;

	(void)events;
	if (c->step == CONN_TCP)
		on_connected(c);
	conn_work(c);
}

static void
on_again(void *ctx)
{
	struct conn *c = ctx;

	if (!c->report) {
		conn_work(c);
		return;
	}
	c->report = false;
	c->ops.closed(c->ops.ctx, &c->why);
}

static void
on_timer(void *ctx)
{
	struct conn *c = ctx;

	switch (c->step) {
	case CONN_TCP:
		finish_text(c, -ETIMEDOUT, "TCP connection: no answer within 30 seconds");
		break;
	case CONN_TLS:
		finish_text(c, -ETIMEDOUT, "TLS handshake: not complete within 60 seconds");
		break;
	default:
		finish_text(c, 0, "closed");
		break;
	}
}

int
conn_dial(struct loop *l, struct tls_creds *creds, const struct conn_target *t, const struct conn_ops *ops,
	  struct conn **out, struct err *e)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_sys(e, -ENOMEM, "connection");
	*c = (struct conn){.loop = l, .ops = *ops, .step = CONN_TCP, .fd = -1, .target = *t};
	c->in = BUF_INIT(PROFILE_FRAME_MAX + READ_CHUNK);
	c->messages = BUF_INIT(CONN_QUEUE_MAX);
	c->packets = BUF_INIT(CONN_PACKETS_MAX);
	strncpy(c->device, t->device, sizeof(c->device) - 1);
	c->target.device = c->device;
	c->target.sni = NULL;
	rc = open_socket(c, e);
	if (!rc)
		rc = tls_new(creds, c->fd, t->level, t->sni[0] ? t->sni : NULL, t->now_s, &c->tls, e);
	if (rc)
		goto out;
	if (t->pkcs1)
		tls_offer_pkcs1(c->tls);
	rc = -ENOMEM;
	c->timer = loop_timer_new(l, on_timer, c);
	c->again = loop_task_new(l, on_again, c);
	if (c->timer && c->again)
		c->io = loop_io_new(l, c->fd, EPOLLOUT, on_io, c);
	if (!c->io) {
		err_sys(e, rc, "connection");
		goto out;
	}
	loop_timer_at(c->timer, mono_in(clock_mono(), PROFILE_CONNECT_MS));
	*out = c;
	return 0;
out:
	conn_free(c);
	return rc;
}

void
conn_free(struct conn *c)
{
	if (!c)
		return;
	loop_io_free(c->io);
	loop_timer_free(c->timer);
	loop_task_free(c->again);
	tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->in);
	buf_free(&c->messages);
	buf_free(&c->packets);
	free(c);
}

int
conn_send(struct conn *c, enum frame_type type, const void *body, size_t len)
{
	struct buf *b = type == FRAME_PACKET ? &c->packets : &c->messages;
	uint8_t header[PROFILE_FRAME_HEADER];

	if (c->step != CONN_OPEN)
		return -ENOTCONN;
	if (b->len + sizeof(header) + len > b->max)
		return -ENOBUFS;
	/* one reservation for both parts: a frame goes in whole or not at all */
	if (!buf_room(b, sizeof(header) + len))
		return -ENOMEM;
	frame_header(header, type, len);
	buf_put(b, header, sizeof(header));
	buf_put(b, body, len);
	c->count.out_frames++;
	if (conn_queued(c) >= CONN_LOW)
		c->was_full = true;
	if (!c->want_write)
		loop_task_soon(c->again);
	return 0;
}

size_t
conn_queued(const struct conn *c)
{
	return c->messages.len;
}

void
conn_close(struct conn *c)
{
	if (c->step == CONN_CLOSING || c->step == CONN_CLOSED)
		return;
	if (c->step != CONN_OPEN) {
		finish_text(c, 0, "closed");
		return;
	}
	c->step = CONN_CLOSING;
	/* packets nobody will answer do not delay the end; a frame begun has to go out whole */
	buf_cut(&c->packets, c->packets_left);
	loop_timer_at(c->timer, mono_in(clock_mono(), CLOSE_MS));
	loop_task_soon(c->again);
}

void
conn_abort(struct conn *c, const struct err *why)
{
	finish(c, why);
}

enum conn_step
conn_step(const struct conn *c)
{
	return c->step;
}

const struct cert_check *
conn_peer(const struct conn *c)
{
	return c->tls ? tls_peer(c->tls) : NULL;
}

const char *
conn_tls_version(const struct conn *c)
{
	return c->tls ? tls_version(c->tls) : "";
}

const char *
conn_tls_suite(const struct conn *c)
{
	return c->tls ? tls_suite(c->tls) : "";
}

void
conn_addresses(const struct conn *c, struct addr *local, struct addr *remote, uint16_t *port)
{
	*local = c->local;
	*remote = c->target.addr;
	*port = c->target.port;
}

const struct conn_counters *
conn_counters(const struct conn *c)
{
	return &c->count;
}
