#include "agent/tftp_relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inlet.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

enum { DATAGRAMS_A_TURN = 16, DATAGRAM_MAX = 4096 };

/* One side: a socket, and who is at its other end. */
struct side {
	int fd;
	struct loop_io *io;
	struct sockaddr_storage peer;
	socklen_t peer_size;
	bool pinned; /* the peer's port is known, too */
};

struct tftp_relay {
	struct side client, server;
	uint16_t port;
	uint64_t foreign;
	tftp_relay_fn *failed;
	void *ctx;
};

static bool
same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b, bool *same_port)
{
	struct addr x, y;
	uint16_t p, q;

	inlet_addr(a, &x, &p);
	inlet_addr(b, &y, &q);
	*same_port = p == q;
	return addr_same_host(&x, &y);
}

/* The first that comes from where the peer is says which port it has. */
static bool
is_peer(struct side *s, const struct sockaddr_storage *from, socklen_t size)
{
	bool same_port;

	if (!same_host(&s->peer, from, &same_port) || (s->pinned && !same_port))
		return false;
	if (!s->pinned) {
		s->peer = *from;
		s->peer_size = size;
		s->pinned = true;
	}
	return true;
}

static void
count_foreign(struct tftp_relay *r, const struct sockaddr_storage *from)
{
	char text[ADDR_TEXT];
	struct addr a;
	uint16_t port;

	if (r->foreign++)
		return;
	inlet_addr(from, &a, &port);
	log_debug(DBG_PACKAGE, "[fetch] a datagram of %s port %u is not the TFTP server's: ignored",
		  addr_host(text, &a), port);
}

/* The first error ends it: the sockets are not watched any more. */
static void
fail(struct tftp_relay *r, int rc)
{
	loop_io_free(r->client.io);
	loop_io_free(r->server.io);
	r->client.io = r->server.io = NULL;
	r->failed(r->ctx, rc);
}

static bool
is_transient(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* What came on one side goes to the peer of the other. Before there is a client nobody can have answered. */
static int
pass(struct tftp_relay *r, struct side *from, struct side *to)
{
	uint8_t bytes[DATAGRAM_MAX];

	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct sockaddr_storage source = {.ss_family = AF_UNSPEC};
		socklen_t size = sizeof(source);
		ssize_t n = recvfrom(from->fd, bytes, sizeof(bytes), MSG_TRUNC, (struct sockaddr *)&source, &size);

		if (n < 0)
			return is_transient(errno) ? 0 : -errno;
		if (!(from == &r->client || r->client.pinned) || !is_peer(from, &source, size))
			count_foreign(r, &source);
		/* lost datagrams are sent again by who sent them */
		else if (n <= DATAGRAM_MAX &&
			 sendto(to->fd, bytes, (size_t)n, 0, (struct sockaddr *)&to->peer, to->peer_size) < 0 &&
			 !is_transient(errno))
			return -errno;
	}
	return 0;
}

static void
on_client(void *ctx, uint32_t events)
{
	struct tftp_relay *r = ctx;
	int rc = pass(r, &r->client, &r->server);

	(void)events;
	if (rc)
		fail(r, rc);
}

/* Errors that the network reports reach an unconnected socket only when it asks for them; without, those that came are
 * forgotten, too. */
static int
want_errors(const struct side *s, int want)
{
	if (s->peer.ss_family == AF_INET)
		return setsockopt(s->fd, IPPROTO_IP, IP_RECVERR, &want, sizeof(want)) ? -errno : 0;
	return setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVERR, &want, sizeof(want)) ? -errno : 0;
}

static void
on_server(void *ctx, uint32_t events)
{
	struct tftp_relay *r = ctx;
	bool pinned = r->server.pinned;
	int rc = pass(r, &r->server, &r->client);

	(void)events;
	/* an answer is better news than any error: one at the end only says that the server has forgotten us */
	if (!rc && !pinned && r->server.pinned)
		rc = want_errors(&r->server, 0);
	if (rc)
		fail(r, rc);
}

/* A socket at a loopback port that the kernel chooses. 0 or -errno. */
static int
open_client(struct tftp_relay *r)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	struct addr any;

	r->client.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->client.fd < 0 || bind(r->client.fd, (struct sockaddr *)&here, sizeof(here)) ||
	    getsockname(r->client.fd, (struct sockaddr *)&bound, &size))
		return -errno;
	inlet_addr(&bound, &any, &r->port);
	r->client.peer = bound; /* its host, which is this one; the port is not known yet */
	return 0;
}

static int
open_server(struct tftp_relay *r, const struct addr *server, uint16_t port, struct err *e)
{
	uint16_t own;
	int rc;

	r->server.peer_size = inlet_sockaddr(server, port, &r->server.peer);
	r->server.fd = inlet_open(server->family, SOCK_DGRAM, 0, &own, e);
	if (r->server.fd < 0)
		return r->server.fd;
	rc = want_errors(&r->server, 1);
	return rc ? err_sys(e, rc, "relay for TFTP") : 0;
}

int
tftp_relay_open(struct loop *l, const struct addr *server, uint16_t port, tftp_relay_fn *failed, void *ctx,
		struct tftp_relay **out, struct err *e)
{
	struct tftp_relay *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_sys(e, -ENOMEM, "relay for TFTP");
	*r = (struct tftp_relay){.client = {.fd = -1}, .server = {.fd = -1}, .failed = failed, .ctx = ctx};
	rc = open_client(r);
	rc = rc ? err_sys(e, rc, "relay for TFTP") : open_server(r, server, port, e);
	if (!rc) {
		r->client.io = loop_io_new(l, r->client.fd, EPOLLIN, on_client, r);
		r->server.io = loop_io_new(l, r->server.fd, EPOLLIN, on_server, r);
		if (!r->client.io || !r->server.io)
			rc = err_sys(e, -ENOMEM, "relay for TFTP");
	}
	if (rc) {
		tftp_relay_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

static void
close_side(struct side *s)
{
	loop_io_free(s->io);
	if (s->fd >= 0)
		close(s->fd);
}

void
tftp_relay_close(struct tftp_relay *r)
{
	if (!r)
		return;
	close_side(&r->client);
	close_side(&r->server);
	free(r);
}

uint16_t
tftp_relay_port(const struct tftp_relay *r)
{
	return r->port;
}

uint64_t
tftp_relay_foreign(const struct tftp_relay *r)
{
	return r->foreign;
}
