#include "agent/listener.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inlet.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

enum {
	BACKLOG = 16,
	CALLS_A_TURN = 8,  /* then the other descriptors get their turn */
	BREATHE_MS = 1000, /* without descriptors or memory accepting again at once would only spin */
	SOCKETS = 2,
};

struct socket_in {
	struct listener *home;
	int family, fd;
	uint16_t port;
	struct loop_io *io;
};

struct listener {
	struct listener_ops ops;
	struct socket_in in[SOCKETS];
	struct loop_timer *breath;
	uint64_t refused;
};

/* --- what came in ------------------------------------------------------------------------------------------------- */

/* The device a connection came in by: the kernel keeps it as the packet information of the connection's first packet
 * (ip(7), IP_PKTOPTIONS). 0: it does not say. */
static unsigned
ifindex_of(int fd, int family)
{
	union {
		struct cmsghdr align;
		char bytes[256];
	} room;
	struct msghdr m = {.msg_control = room.bytes};
	socklen_t n = sizeof(room.bytes);
	bool v4 = family == AF_INET;

	if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTOPTIONS : IPV6_2292PKTOPTIONS, room.bytes, &n))
		return 0;
	m.msg_controllen = n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo four;
		struct in6_pktinfo six;

		if (v4 && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&four, CMSG_DATA(c), sizeof(four));
			return (unsigned)four.ipi_ifindex;
		}
		if (!v4 && c->cmsg_level == IPPROTO_IPV6 &&
		    (c->cmsg_type == IPV6_PKTINFO || c->cmsg_type == IPV6_2292PKTINFO)) {
			memcpy(&six, CMSG_DATA(c), sizeof(six));
			return six.ipi6_ifindex;
		}
	}
	return 0;
}

/* Reset, not closed in order: nothing of it stays behind, in TIME-WAIT neither. */
static void
reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void
judge_call(struct listener *ls, int fd, const struct sockaddr_storage *peer)
{
	struct listener_call c = {.fd = fd};
	struct sockaddr_storage local;
	socklen_t n = sizeof(local);
	char name[IF_NAMESIZE] = "", from[ADDR_TEXT];
	uint16_t port;

	inlet_addr(peer, &c.peer, &c.peer_port);
	if (getsockname(fd, (struct sockaddr *)&local, &n)) {
		reset(fd);
		return;
	}
	inlet_addr(&local, &c.local, &port);
	if (if_indextoname(ifindex_of(fd, peer->ss_family), name))
		memcpy(c.interface, name, sizeof(c.interface));
	if (name[0] && ls->ops.allowed(ls->ops.ctx, name, &c.local)) {
		ls->ops.take(ls->ops.ctx, &c);
		return;
	}
	ls->refused++;
	log_debug(DBG_SESSION, "[listen] %s came in by interface %s, where fgfm is not allowed: refused",
		  addr_host(from, &c.peer), name[0] ? name : "(unknown)");
	reset(fd);
}

static void
on_breath(void *ctx)
{
	struct listener *ls = ctx;

	for (size_t i = 0; i < SOCKETS; i++) {
		if (ls->in[i].io)
			loop_io_want(ls->in[i].io, EPOLLIN);
	}
}

static void
on_call(void *ctx, uint32_t events)
{
	struct socket_in *s = ctx;

	(void)events;
	for (int i = 0; i < CALLS_A_TURN; i++) {
		struct sockaddr_storage peer;
		socklen_t n = sizeof(peer);
		int fd = accept4(s->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			judge_call(s->home, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_debug(DBG_ERROR, "[listen] accepting: %s; again in a second", strerror(errno));
			loop_io_want(s->io, 0);
			loop_timer_at(s->home->breath, mono_in(clock_mono(), BREATHE_MS));
		}
		return; /* nothing left, or a connection that is gone already: told again if there are more */
	}
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int
open_socket(struct loop *l, struct socket_in *s, struct err *e)
{
	s->fd = inlet_open(s->family, SOCK_STREAM, s->port, &s->port, e);
	if (s->fd < 0)
		return s->fd;
	if (listen(s->fd, BACKLOG))
		return err_sys(e, -errno, "listening at TCP port %u", s->port);
	s->io = loop_io_new(l, s->fd, EPOLLIN, on_call, s);
	return s->io ? 0 : err_sys(e, -ENOMEM, "listening");
}

static void
close_socket(struct socket_in *s)
{
	loop_io_free(s->io);
	s->io = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->port = 0;
}

int
listener_open(struct loop *l, uint16_t port4, uint16_t port6, const struct listener_ops *ops, struct listener **out,
	      struct err *e)
{
	struct listener *ls = calloc(1, sizeof(*ls));
	int rc[SOCKETS];

	if (!ls)
		return err_sys(e, -ENOMEM, "listening");
	ls->ops = *ops;
	ls->in[0] = (struct socket_in){.home = ls, .family = AF_INET, .fd = -1, .port = port4};
	ls->in[1] = (struct socket_in){.home = ls, .family = AF_INET6, .fd = -1, .port = port6};
	ls->breath = loop_timer_new(l, on_breath, ls);
	if (!ls->breath) {
		listener_close(ls);
		return err_sys(e, -ENOMEM, "listening");
	}
	for (size_t i = 0; i < SOCKETS; i++) {
		rc[i] = open_socket(l, &ls->in[i], e);
		if (!rc[i])
			continue;
		if (rc[i] != -EAFNOSUPPORT && rc[i] != -EADDRNOTAVAIL)
			log_say(LOG_LEVEL_WARNING, "%s", e->text);
		close_socket(&ls->in[i]);
	}
	if (rc[0] && rc[1]) {
		listener_close(ls);
		return rc[0];
	}
	*out = ls;
	return 0;
}

void
listener_close(struct listener *ls)
{
	if (!ls)
		return;
	for (size_t i = 0; i < SOCKETS; i++)
		close_socket(&ls->in[i]);
	loop_timer_free(ls->breath);
	free(ls);
}

uint16_t
listener_port(const struct listener *ls, int family)
{
	return ls->in[family == AF_INET ? 0 : 1].port;
}

uint64_t
listener_refused(const struct listener *ls)
{
	return ls->refused;
}
