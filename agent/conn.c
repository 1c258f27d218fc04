#include "agent/conn.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inlet.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

enum {
	RECORD_MAX = 16384,       /* bytes handed to TLS at once: one record */
	BATCH_MAX = 128 * 1024,   /* bytes received before they are handed out */
	BATCHES_A_TURN = 2,       /* then the other descriptors get their turn */
	BUSY_BYTES = 32 * 1024,   /* so many at once, and storage is kept for the next */
	REST_MS = 1000,           /* without such a batch, and it is given back */
	NOTSENT_LOW = 128 * 1024, /* bytes the kernel takes beyond what it may send: more only makes everything late */
	CLOSE_MS = 1000,
	KEEPALIVE_IDLE_S = 30, /* a dead path is noticed by TCP within about a minute */
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_PROBES = 3,
	USER_TIMEOUT_MS = 60 * 1000,
};

_Static_assert(CONN_PACKETS_LOW + RECORD_MAX <= TLS_UNSENT_MAX, "what a turn brings goes out with one system call");

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
	bool unflushed; /* packets in `in` were handed out */
	bool readable;  /* there may be more to read */
	struct buf messages, packets;
	size_t begun;    /* bytes of a packet frame that must go out before a message may: the rest of it */
	bool want_write; /* records wait for the socket to be writable */
	bool was_full;
	struct loop_timer *rest; /* armed under load: gives storage back */
	bool busy;               /* much has passed since it was armed */
	bool report;             /* `closed` has to be reported from the loop */
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

static int
set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* A dead path must show, small messages must not wait, and a lossy path must not starve us: BBR does not take every
 * lost packet for congestion. What an old kernel refuses is no reason to stay away. */
static void
tune_socket(int fd)
{
	static const char bbr[] = "bbr";

	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOW);
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, bbr, sizeof(bbr) - 1);
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
		n = inlet_sockaddr(&t->source, 0, &ss);
		if (bind(c->fd, (struct sockaddr *)&ss, n))
			return err_sys(e, -errno, "binding to source %s", addr_host(text, &t->source));
	}
	n = inlet_sockaddr(&t->addr, t->port, &ss);
	if (connect(c->fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		return err_sys(e, -errno, "connecting");
	return 0;
}

static void
on_connected(struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(int);
	uint16_t port;
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
		inlet_addr(&ss, &c->local, &port);
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
		c->readable = true; /* what came with the end of it */
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

/* Storage is kept while much passes, and not when it is idle. The timer runs for the change from one to the other only:
 * it wakes nobody who is idle already. */
static void
keep_storage(struct conn *c, bool keep)
{
	c->in.keep = c->packets.keep = keep;
	tls_load(c->tls, keep);
	if (keep)
		return;
	if (!c->in.len)
		buf_free(&c->in);
	if (!c->packets.len)
		buf_free(&c->packets);
	malloc_trim(0); /* hundreds of kB that would stay with the allocator */
}

static void
note_load(struct conn *c, size_t bytes)
{
	if (bytes < BUSY_BYTES)
		return;
	c->busy = true;
	if (c->in.keep)
		return;
	keep_storage(c, true);
	loop_timer_at(c->rest, mono_in(clock_mono(), REST_MS));
}

static void
on_rest(void *ctx)
{
	struct conn *c = ctx;

	if (c->busy)
		loop_timer_at(c->rest, mono_in(clock_mono(), REST_MS));
	else
		keep_storage(c, false);
	c->busy = false;
}

static void
flush_packets(struct conn *c)
{
	bool any = c->unflushed;

	c->unflushed = false;
	if (any && c->ops.flush)
		c->ops.flush(c->ops.ctx);
}

/* Every whole frame received so far, to the owner. A callback may close the connection. The owner holds on to packets,
 * so their bytes are given up together, after the last. */
static void
deliver_frames(struct conn *c)
{
	size_t taken = 0;

	while (c->step == CONN_OPEN && taken < c->in.len) {
		struct frame f;
		struct err e;
		ssize_t n = frame_parse(c->in.data + c->in.off + taken, c->in.len - taken, &f, &e);

		if (n < 0)
			finish(c, &e);
		if (n <= 0)
			break;
		c->count.in_frames++;
		c->count.in_bytes += (uint64_t)n;
		if (f.type == FRAME_MESSAGE)
			flush_packets(c); /* what a message causes may take its time, or move the tunnel */
		else
			c->unflushed = true;
		c->ops.frame(c->ops.ctx, &f);
		taken += (size_t)n;
	}
	flush_packets(c);
	buf_take(&c->in, taken);
}

/* Decrypts what has come, up to a batch. TLS_DONE: there may be more. */
static enum tls_step
read_batch(struct conn *c, struct err *e)
{
	enum tls_step s = TLS_DONE;
	size_t before = c->in.len;

	do {
		uint8_t *dst = buf_room(&c->in, RECORD_MAX);
		size_t n = 0;

		if (!dst) {
			err_set(e, -ENOMEM, "no memory for received bytes");
			return TLS_ERROR;
		}
		s = tls_read(c->tls, dst, RECORD_MAX, &n, e);
		buf_grew(&c->in, s == TLS_DONE ? n : 0);
	} while (s == TLS_DONE && c->in.len + RECORD_MAX < BATCH_MAX);
	note_load(c, c->in.len - before);
	return s;
}

static void
do_read(struct conn *c)
{
	enum tls_step s = TLS_DONE;
	struct err e = ERR_NONE;

	for (int i = 0; i < BATCHES_A_TURN && s == TLS_DONE && c->step == CONN_OPEN; i++) {
		s = read_batch(c, &e);
		deliver_frames(c);
	}
	if (c->step != CONN_OPEN)
		return;
	c->readable = s == TLS_DONE;
	if (s == TLS_DONE)
		loop_task_soon(c->again);
	else if (s == TLS_ERROR)
		finish(c, &e);
	else if (s == TLS_CLOSED && c->in.len)
		finish_text(c, -EPROTO, "closed by the peer inside a frame");
	else if (s == TLS_CLOSED)
		finish_text(c, 0, "closed by the peer");
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static size_t
one_record(size_t n)
{
	return n < RECORD_MAX ? n : RECORD_MAX;
}

/* The next record: messages overtake packets, but only between two frames. Packet frames go on over the end of a
 * record. NULL: nothing waits. */
static struct buf *
next_record(struct conn *c, size_t *len)
{
	if (c->messages.len && !c->begun) {
		*len = one_record(c->messages.len);
		return &c->messages;
	}
	*len = one_record(c->messages.len ? c->begun : c->packets.len);
	return c->packets.len ? &c->packets : NULL;
}

/* What is left of the packet frame in which the next `n` bytes of the queue end. */
static size_t
rest_of_frame(const struct conn *c, size_t n)
{
	const uint8_t *head = buf_head(&c->packets);
	size_t end = c->begun;

	while (end < n) {
		struct rd r = rd_init(head + end + 4, 4);

		end += rd_u32be(&r);
	}
	return end - n;
}

static void
wrote(struct conn *c, struct buf *b, size_t n)
{
	size_t held = b->cap;

	if (b == &c->packets)
		c->begun = rest_of_frame(c, n);
	buf_take(b, n);
	if (b == &c->messages && !b->len)
		note_load(c, held); /* a long queue is a load, too: its room is given back likewise */
	c->count.out_bytes += n;
}

/* Queued bytes into records, as many as may wait for the socket. False: there was nothing to do. */
static bool
encrypt(struct conn *c)
{
	enum tls_step s = TLS_DONE;
	bool any = false;

	while (s == TLS_DONE) {
		struct err e = ERR_NONE;
		size_t len, n = 0;
		struct buf *b = next_record(c, &len);

		if (!b)
			break;
		s = tls_write(c->tls, buf_head(b), len, &n, &e);
		if (s == TLS_DONE)
			wrote(c, b, n);
		else if (s == TLS_ERROR)
			finish(c, &e);
		any |= s == TLS_DONE;
	}
	return any && s != TLS_ERROR;
}

/* Sends until nothing waits or the socket has enough. While records wait no more are made: messages that come meanwhile
 * still overtake the packets. */
static void
do_write(struct conn *c)
{
	struct err e = ERR_NONE;
	enum tls_step s;

	do {
		s = tls_flush(c->tls, &e);
	} while (s == TLS_DONE && encrypt(c));
	c->want_write = s == TLS_WANT_WRITE;
	if (s == TLS_ERROR)
		finish(c, &e);
	if (c->was_full && c->step == CONN_OPEN && conn_queued(c) < CONN_LOW && !c->want_write) {
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
	if (c->step == CONN_OPEN && c->readable)
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

	c->readable |= events & ~(uint32_t)EPOLLOUT;
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

/* Over `fd`, which is taken, or over a new connection for -1. */
static int
conn_new(struct loop *l, struct tls_creds *creds, int fd, const struct conn_target *t, const struct conn_ops *ops,
	 struct conn **out, struct err *e)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (!c) {
		if (fd >= 0)
			close(fd);
		return err_sys(e, -ENOMEM, "connection");
	}
	*c = (struct conn){.loop = l, .ops = *ops, .step = CONN_TCP, .fd = fd, .target = *t};
	c->in = BUF_INIT(BATCH_MAX + PROFILE_FRAME_MAX);
	c->messages = BUF_INIT(CONN_QUEUE_MAX);
	c->packets = BUF_INIT(CONN_PACKETS_LOW + PROFILE_FRAME_MAX);
	strncpy(c->device, t->device, sizeof(c->device) - 1);
	c->target.device = c->device;
	c->target.sni = NULL;
	if (fd < 0)
		rc = open_socket(c, e);
	else
		tune_socket(fd);
	if (!rc)
		rc = tls_new(creds, c->fd, t->level, t->sni[0] ? t->sni : NULL, t->now_s, &c->tls, e);
	if (rc)
		goto out;
	if (t->pkcs1)
		tls_offer_pkcs1(c->tls);
	rc = -ENOMEM;
	c->timer = loop_timer_new(l, on_timer, c);
	c->rest = loop_timer_new(l, on_rest, c);
	c->again = loop_task_new(l, on_again, c);
	if (c->timer && c->rest && c->again)
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

int
conn_dial(struct loop *l, struct tls_creds *creds, const struct conn_target *t, const struct conn_ops *ops,
	  struct conn **out, struct err *e)
{
	return conn_new(l, creds, -1, t, ops, out, e);
}

/* Connected already: the socket is writable at once, and the rest is as with one that was dialled. */
int
conn_accept(struct loop *l, struct tls_creds *creds, int fd, const struct conn_target *t, const struct conn_ops *ops,
	    struct conn **out, struct err *e)
{
	return conn_new(l, creds, fd, t, ops, out, e);
}

void
conn_free(struct conn *c)
{
	bool loaded;

	if (!c)
		return;
	loaded = c->in.keep;
	loop_io_free(c->io);
	loop_timer_free(c->timer);
	loop_timer_free(c->rest);
	loop_task_free(c->again);
	tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->in);
	buf_free(&c->messages);
	buf_free(&c->packets);
	free(c);
	if (loaded) /* the timer that would do it is gone */
		malloc_trim(0);
}

static void
write_soon(struct conn *c)
{
	if (!c->want_write)
		loop_task_soon(c->again);
}

int
conn_send(struct conn *c, const void *body, size_t len)
{
	uint8_t header[PROFILE_FRAME_HEADER];
	struct buf *b = &c->messages;

	if (c->step != CONN_OPEN)
		return -ENOTCONN;
	if (b->len + sizeof(header) + len > b->max)
		return -ENOBUFS;
	/* one reservation for both parts: a frame goes in whole or not at all */
	if (!buf_room(b, sizeof(header) + len))
		return -ENOMEM;
	frame_header(header, FRAME_MESSAGE, len);
	buf_put(b, header, sizeof(header));
	buf_put(b, body, len);
	c->count.out_frames++;
	if (conn_queued(c) >= CONN_LOW)
		c->was_full = true;
	write_soon(c);
	return 0;
}

uint8_t *
conn_packet_room(struct conn *c, size_t max)
{
	uint8_t *p;

	if (c->step != CONN_OPEN)
		return NULL;
	if (c->want_write || c->packets.len >= CONN_PACKETS_LOW) {
		c->was_full = true;
		return NULL;
	}
	note_load(c, c->packets.len);
	p = buf_room(&c->packets, PROFILE_FRAME_HEADER + max);
	if (!p)
		finish_text(c, -ENOMEM, "no memory for packets");
	return p ? p + PROFILE_FRAME_HEADER : NULL;
}

void
conn_packet_ready(struct conn *c, size_t len)
{
	size_t total = PROFILE_FRAME_HEADER + len;

	frame_header(c->packets.data + c->packets.off + c->packets.len, FRAME_PACKET, len);
	buf_grew(&c->packets, total);
	c->count.out_frames++;
	write_soon(c);
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
	buf_cut(&c->packets, c->begun);
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
