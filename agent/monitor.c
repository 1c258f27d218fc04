#include "agent/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inlet.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "tun/netns.h"

/* One connection. The library's own time-outs begin anew with every byte; these do not. */
struct client {
	struct monitor *home;
	int fd; /* the library's; -1: the place is free */
	mono_t due;
};

struct monitor {
	struct loop *loop;
	monitor_answer_fn *answer;
	void *ctx;
	struct MHD_Daemon *daemon;
	struct loop_io *io;
	struct loop_timer *timer;
	struct loop_task *again;
	struct client clients[MONITOR_CLIENTS];
	size_t count;
};

/* --- the socket --------------------------------------------------------------------------------------------------- */

struct wanted {
	const struct addr *local;
	const char *device;
	uint16_t port;
	int fd;
};

/* Inside the namespace. */
static int
open_socket(void *ctx, struct err *e)
{
	struct wanted *w = ctx;
	struct sockaddr_storage ss;
	socklen_t len = inlet_sockaddr(w->local, w->port, &ss);
	char text[ADDR_TEXT];
	const int on = 1;

	w->fd = socket(w->local->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (w->fd < 0)
		return err_sys(e, -errno, "socket");
	/* FREEBIND: an IPv6 address may still be tentative */
	if (setsockopt(w->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(w->fd, SOL_IP, IP_FREEBIND, &on, sizeof(on)))
		return err_sys(e, -errno, "socket options");
	if (setsockopt(w->fd, SOL_SOCKET, SO_BINDTODEVICE, w->device, (socklen_t)strlen(w->device) + 1))
		return err_sys(e, -errno, "binding to device %s", w->device);
	if (bind(w->fd, (struct sockaddr *)&ss, len) || listen(w->fd, MONITOR_CLIENTS))
		return err_sys(e, -errno, "listening at %s port %u", addr_host(text, w->local), w->port);
	return 0;
}

int
monitor_listen(int netns_fd, const struct addr *local, const char *device, uint16_t port, int *fd, struct err *e)
{
	struct wanted w = {.local = local, .device = device, .port = port, .fd = -1};
	int rc = netns_run(netns_fd, open_socket, &w, e);

	if (rc && w.fd >= 0)
		close(w.fd);
	if (!rc)
		*fd = w.fd;
	return rc;
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void
touch_timer(struct monitor *m)
{
	mono_t first = MONO_NEVER;

	for (size_t i = 0; i < MONITOR_CLIENTS; i++) {
		if (m->clients[i].fd >= 0)
			first = mono_min(first, m->clients[i].due);
	}
	loop_timer_at(m->timer, first);
}

/* The library has no call to end a connection: it hears of the end from the socket. */
static void
on_timer(void *ctx)
{
	struct monitor *m = ctx;
	mono_t now = clock_mono();

	for (size_t i = 0; i < MONITOR_CLIENTS; i++) {
		struct client *k = &m->clients[i];

		if (k->fd < 0 || !mono_due(k->due, now))
			continue;
		log_debug(DBG_TUNNEL, "[monitor] a client took too long");
		shutdown(k->fd, SHUT_RDWR);
		k->due = MONO_NEVER;
	}
	touch_timer(m);
}

static void
run(struct monitor *m)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(m->daemon);
	/* it leaves work for another call, so that one busy connection does not keep us here */
	if (MHD_get_timeout(m->daemon, &ms) == MHD_YES && !ms)
		loop_task_soon(m->again);
	touch_timer(m);
}

static void
on_ready(void *ctx, uint32_t events)
{
	(void)events;
	run(ctx);
}

static void
on_again(void *ctx)
{
	run(ctx);
}

/* --- what the library asks and tells ------------------------------------------------------------------------------ */

static void __attribute__((format(printf, 2, 0))) on_library_line(void *ctx, const char *fmt, va_list ap)
{
	char line[256], shown[300];

	(void)ctx;
	if (!log_wants(DBG_TUNNEL))
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug(DBG_TUNNEL, "[monitor] %s", text_escape(shown, sizeof(shown), line, strlen(line)));
}

static void
client_begin(struct monitor *m, struct MHD_Connection *c, void **place)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; i < MONITOR_CLIENTS && info; i++) {
		struct client *k = &m->clients[i];

		if (k->fd >= 0)
			continue;
		*k = (struct client){
		    .home = m, .fd = info->connect_fd, .due = mono_in(clock_mono(), MONITOR_REQUEST_MS)};
		m->count++;
		*place = k;
		return;
	}
}

static void
on_connection(void *ctx, struct MHD_Connection *c, void **place, enum MHD_ConnectionNotificationCode what)
{
	struct monitor *m = ctx;
	struct client *k = *place;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		client_begin(m, c, place);
	} else if (k) {
		k->fd = -1;
		*place = NULL;
		if (!--m->count)
			malloc_trim(0); /* an answer may have been large; the agent is not */
	}
}

static const char *
argument(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
}

/* 0 or -EINVAL */
static int
parse_page(struct MHD_Connection *c, struct monitor_query *q)
{
	const char *start = argument(c, "start"), *count = argument(c, "count");
	uint64_t n = MONITOR_PAGE;

	if (start && text_u64(start, UINT32_MAX, &q->start))
		return -EINVAL;
	if (count && (text_u64(count, UINT32_MAX, &n) || !n))
		return -EINVAL;
	q->count = n < MONITOR_PAGE ? (size_t)n : MONITOR_PAGE;
	return 0;
}

static void
refuse(struct monitor_answer *out, unsigned status, const char *text)
{
	out->status = status;
	out->type = "text/plain";
	buf_str(&out->body, text);
}

/* Takes the answer's body. */
static enum MHD_Result
send_answer(struct MHD_Connection *c, struct monitor_answer *a)
{
	enum MHD_Result rc = MHD_NO;
	struct MHD_Response *r;
	size_t len;
	char *text;

	if (a->body.error) {
		buf_free(&a->body);
		refuse(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer is too large, or there is no memory\n");
	}
	text = buf_steal(&a->body, &len);
	if (!text)
		return MHD_NO;
	r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(text);
		return MHD_NO;
	}
	/* one request a connection: nobody holds one of the few for longer than he needs it */
	if (MHD_add_response_header(r, "Connection", "close") && MHD_add_response_header(r, "Content-Type", a->type) &&
	    MHD_add_response_header(r, "Cache-Control", "no-store") &&
	    (a->status != MHD_HTTP_METHOD_NOT_ALLOWED || MHD_add_response_header(r, "Allow", "GET, HEAD")))
		rc = MHD_queue_response(c, a->status, r);
	MHD_destroy_response(r);
	return rc;
}

/* The header of a request is there. A body, if one is to come, is not waited for. */
static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version,
	   const char *data, size_t *size, void **place)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *k = info ? info->socket_context : NULL;
	struct monitor *m = ctx;
	struct monitor_query q = {.path = url};
	struct monitor_answer a = {
	    .status = MHD_HTTP_OK, .type = "application/json", .body = BUF_INIT(MONITOR_BODY_MAX)};
	char shown[120];

	(void)version;
	(void)data;
	(void)size;
	(void)place;
	if (!k)
		return MHD_NO;
	log_debug(DBG_TUNNEL, "[monitor] %.8s %s", method, text_escape(shown, sizeof(shown), url, strlen(url)));
	k->due = mono_in(clock_mono(), MONITOR_ANSWER_MS);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		refuse(&a, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only: nothing here can be changed\n");
	else if (parse_page(c, &q))
		refuse(&a, MHD_HTTP_BAD_REQUEST, "start and count: numbers expected, count from 1\n");
	else
		m->answer(m->ctx, &q, &a);
	return send_answer(c, &a);
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static struct MHD_Daemon *
start_daemon(struct monitor *m, int listen_fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL,
				on_request, m, MHD_OPTION_EXTERNAL_LOGGER, on_library_line, m, MHD_OPTION_LISTEN_SOCKET,
				listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MONITOR_CLIENTS,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)MONITOR_CLIENTS_EACH,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MONITOR_REQUEST_MAX,
				MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)1024, MHD_OPTION_NOTIFY_CONNECTION,
				on_connection, m, MHD_OPTION_END);
}

/* The library's epoll becomes a descriptor of ours. */
static int
attach(struct monitor *m, struct err *e)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	m->timer = loop_timer_new(m->loop, on_timer, m);
	m->again = loop_task_new(m->loop, on_again, m);
	if (info && m->timer && m->again)
		m->io = loop_io_new(m->loop, info->epoll_fd, EPOLLIN, on_ready, m);
	return m->io ? 0 : err_sys(e, -ENOMEM, "monitor");
}

int
monitor_new(struct loop *l, int listen_fd, monitor_answer_fn *answer, void *ctx, struct monitor **out, struct err *e)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int rc;

	if (!m) {
		close(listen_fd);
		return err_sys(e, -ENOMEM, "monitor");
	}
	m->loop = l;
	m->answer = answer;
	m->ctx = ctx;
	for (size_t i = 0; i < MONITOR_CLIENTS; i++)
		m->clients[i].fd = -1;
	m->daemon = start_daemon(m, listen_fd);
	if (!m->daemon) {
		/* some of its failures close the socket, others do not */
		if (fcntl(listen_fd, F_GETFD) >= 0)
			close(listen_fd);
		free(m);
		return err_set(e, -EIO, "monitor: the HTTP library does not start");
	}
	rc = attach(m, e);
	if (rc)
		monitor_free(m);
	else
		*out = m;
	return rc;
}

void
monitor_free(struct monitor *m)
{
	if (!m)
		return;
	loop_io_free(m->io); /* before the library closes its descriptor */
	MHD_stop_daemon(m->daemon);
	loop_timer_free(m->timer);
	loop_task_free(m->again);
	free(m);
}
