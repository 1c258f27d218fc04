/* connect_tcp: a port of this device's loopback, for a manager, if `tcp-forward` names it. Never a shell.
 *
 * Bytes are copied both ways as they are. Neither side is read faster than the other takes: the manager's are
 * acknowledged when the port has them, and the port is read while the manager's window has room.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/message.h"
#include "agent/profile.h"
#include "agent/requests.h"
#include "agent/session.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"

enum { PIECE = 8192 };

struct forward {
	struct requests *home;
	struct session *session;
	struct channel *channel;
	int fd;
	uint16_t port;
	bool second; /* ::1 is tried after 127.0.0.1 */
	bool connected, ended;
	struct loop_io *io;
	struct buf to_port; /* not acknowledged to the manager yet, so its window bounds them */
};

static void
close_port(struct forward *f)
{
	loop_io_free(f->io);
	f->io = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void
forward_free(struct forward *f)
{
	close_port(f);
	buf_free(&f->to_port);
	free(f);
}

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct forward *f = ctx;

	log_debug(DBG_CHANNEL, "[forward] port %u: closed with %d: %s", f->port, code, reason);
	forward_free(f);
}

static void on_port(void *ctx, uint32_t events);

/* What the loop has to tell of: nothing of the port's while the manager's window is full. Then there is no watch at
 * all, since a port that hung up would be told of again and again. 0 or ENOMEM. */
static int
watch(struct forward *f)
{
	uint32_t events = 0;

	if (f->connected && !f->ended && channel_unacked(f->channel) < channel_peer_window(f->channel))
		events |= EPOLLIN;
	if (!f->connected || f->to_port.len)
		events |= EPOLLOUT;
	if (f->io && events) {
		loop_io_want(f->io, events);
		return 0;
	}
	loop_io_free(f->io);
	f->io = events ? loop_io_new(f->home->loop, f->fd, events, on_port, f) : NULL;
	return events && !f->io ? ENOMEM : 0;
}

/* 0, or the errno of a port that takes no more. */
static int
write_some(struct forward *f)
{
	size_t took = 0;

	while (f->connected && f->to_port.len) {
		ssize_t n = send(f->fd, buf_head(&f->to_port), f->to_port.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return errno;
		if (n < 0)
			break;
		buf_take(&f->to_port, (size_t)n);
		took += (size_t)n;
	}
	if (took)
		channel_took(f->channel, took);
	return 0;
}

static int
read_some(struct forward *f)
{
	uint8_t piece[PIECE];
	size_t unacked = channel_unacked(f->channel), window = channel_peer_window(f->channel);
	ssize_t n;

	if (unacked >= window)
		return 0;
	n = recv(f->fd, piece, window - unacked < PIECE ? window - unacked : PIECE, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	if (!n) {
		f->ended = true;
		channel_close_when_delivered(f->channel, 0, "the port was closed");
		return 0;
	}
	return channel_write(f->channel, piece, (size_t)n) ? ENOMEM : 0;
}

/* 0: under way, or the errno. */
static int
begin_connect(struct forward *f, int family)
{
	const struct sockaddr_in v4 = {
	    .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(f->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *to = family == AF_INET ? (const void *)&v4 : (const void *)&v6;

	close_port(f);
	f->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || (connect(f->fd, to, family == AF_INET ? sizeof(v4) : sizeof(v6)) && errno != EINPROGRESS))
		return errno;
	return watch(f);
}

static int
connect_second(struct forward *f)
{
	f->second = true;
	return begin_connect(f, AF_INET6);
}

/* The outcome of connect(). 0, or its errno. */
static int
finish_connect(struct forward *f)
{
	int rc = 0;
	socklen_t len = sizeof(rc);

	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &rc, &len))
		rc = errno;
	if (rc && !f->second)
		return connect_second(f);
	f->connected = !rc;
	return rc;
}

static void
on_port(void *ctx, uint32_t events)
{
	struct forward *f = ctx;
	struct channels *cs = session_channels(f->session);
	int rc = f->connected ? 0 : finish_connect(f);

	if (!rc && f->connected)
		rc = write_some(f);
	if (!rc && f->connected && !f->ended && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		rc = read_some(f);
	if (!rc)
		rc = watch(f);
	if (rc)
		channel_close(f->channel, PROFILE_FAILED, "the port does not answer");
	channels_pump(cs);
}

static int
on_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct forward *f = ctx;

	if (!buf_put(&f->to_port, p, n) && !write_some(f) && !watch(f))
		return 0;
	err_set(e, 0, "the port takes no more");
	return PROFILE_FAILED;
}

static int
on_end(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

static void
on_acked(void *ctx)
{
	struct forward *f = ctx;

	if (watch(f))
		log_debug(DBG_ERROR, "[forward] port %u: no memory; its time-out will end it", f->port);
}

/* A port nobody named is refused without a try: what listens on this device is not the manager's to find out. */
static int
check(const struct requests *rq, const struct session *s, const struct message *m, uint16_t *port, struct err *e)
{
	bool shell = message_get(m, "cmd") || message_get(m, "terminal");
	uint64_t n;

	if (!shell && !text_u64(message_str(m, "tcp_port"), UINT16_MAX, &n) && n &&
	    rq->port_allowed(rq->ctx, (uint16_t)n)) {
		*port = (uint16_t)n;
		return 0;
	}
	log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "Manager asked for local access", "serial", session_peer_serial(s),
		  "asked", shell ? "a shell" : "a connection to a local port", "action", "refused", NULL);
	err_set(e, 0, "%s is not given", shell ? "a shell" : "a connection to a local port");
	return PROFILE_FORBIDDEN;
}

static struct forward *
forward_new(struct requests *rq, struct session *s, uint16_t port)
{
	struct forward *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return NULL;
	*f = (struct forward){.home = rq, .session = s, .fd = -1, .port = port};
	f->to_port = BUF_INIT(2 * PROFILE_FRAME_MAX);
	rc = begin_connect(f, AF_INET);
	if (rc)
		rc = connect_second(f);
	if (!rc)
		return f;
	forward_free(f);
	return NULL;
}

int
request_connect_tcp(struct requests *rq, struct session *s, const struct message *m, mono_t now, struct err *e)
{
	struct channel_ops ops = {.data = on_data, .end = on_end, .acked = on_acked, .closed = on_closed};
	uint32_t peer_id, window;
	uint16_t port;
	struct forward *f;
	int code = check(rq, s, m, &port, e);

	if (!code)
		code = request_take_numbers(m, &peer_id, &window, e);
	if (code)
		return code;
	f = forward_new(rq, s, port);
	if (!f) {
		err_set(e, 0, "the port does not answer");
		return PROFILE_FAILED;
	}
	ops.ctx = f;
	f->channel = channel_accept(session_channels(s), peer_id, window, &ops, now);
	if (!f->channel) {
		forward_free(f);
		err_set(e, 0, "%d channels are open, or number %u is in use", PROFILE_CHANNELS_MAX, peer_id);
		return PROFILE_BUSY;
	}
	channel_set_raw(f->channel);
	log_say(LOG_LEVEL_NOTICE, "port %u of this device is opened to manager %s", port, session_peer_serial(s));
	session_reply_channel(s, PROFILE_GET_TCP, peer_id, channel_id(f->channel));
	return 0;
}
