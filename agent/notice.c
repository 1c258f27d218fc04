#include "agent/notice.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/inlet.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

enum { SOCKETS = 2, DATAGRAMS_A_TURN = 16 };

struct socket_in {
	struct notice *home;
	int family, fd;
	uint16_t port;
	struct loop_io *io;
};

struct notice {
	struct notice_ops ops;
	struct notice_counters count;
	struct socket_in in[SOCKETS];
};

static void
judge_datagram(struct notice *n, uint8_t *p, size_t len, const struct addr *source)
{
	struct message m;
	struct err e = ERR_NONE;
	char text[ADDR_TEXT];

	if (!n->ops.from_manager(n->ops.ctx, source)) {
		n->count.foreign++;
		log_debug(DBG_PACKAGE, "[notice] %s is not the manager: ignored", addr_host(text, source));
		return;
	}
	/* the NUL that ends a message may be left out: a datagram has an end of its own */
	if (!len || p[len - 1] != '\0')
		p[len++] = '\0';
	if (message_parse(p, len, &m, &e) || strcmp(m.verb, PROFILE_VERB_KEEPALIVE) != 0 || m.data_len) {
		n->count.malformed++;
		log_debug(DBG_PACKAGE, "[notice] of %s: %s", addr_host(text, source),
			  e.text[0] ? e.text : "a keep-alive was expected");
		return;
	}
	n->count.taken++;
	n->ops.take(n->ops.ctx, &m);
}

static void
on_datagram(void *ctx, uint32_t events)
{
	struct socket_in *s = ctx;
	struct notice *n = s->home;
	uint8_t bytes[PROFILE_NOTICE_MAX + 2];

	(void)events;
	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		ssize_t len =
		    recvfrom(s->fd, bytes, PROFILE_NOTICE_MAX + 1, MSG_TRUNC, (struct sockaddr *)&from, &size);
		struct addr source;
		uint16_t port;

		if (len < 0)
			return;
		inlet_addr(&from, &source, &port);
		if (len <= PROFILE_NOTICE_MAX)
			judge_datagram(n, bytes, (size_t)len, &source);
		else
			n->count.malformed++;
	}
}

static int
open_socket(struct loop *l, struct socket_in *s, struct err *e)
{
	s->fd = inlet_open(s->family, SOCK_DGRAM, s->port, &s->port, e);
	if (s->fd < 0)
		return s->fd;
	s->io = loop_io_new(l, s->fd, EPOLLIN, on_datagram, s);
	return s->io ? 0 : err_sys(e, -ENOMEM, "notices of the manager");
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
notice_open(struct loop *l, uint16_t port, const struct notice_ops *ops, struct notice **out, struct err *e)
{
	struct notice *n = calloc(1, sizeof(*n));
	int rc[SOCKETS];

	if (!n)
		return err_sys(e, -ENOMEM, "notices of the manager");
	n->ops = *ops;
	for (size_t i = 0; i < SOCKETS; i++) {
		n->in[i] = (struct socket_in){.home = n, .family = i ? AF_INET6 : AF_INET, .fd = -1, .port = port};
		rc[i] = open_socket(l, &n->in[i], e);
		if (!rc[i])
			continue;
		if (rc[i] != -EAFNOSUPPORT)
			log_say(LOG_LEVEL_WARNING, "%s", e->text);
		close_socket(&n->in[i]);
	}
	if (rc[0] && rc[1]) {
		notice_close(n);
		return rc[0];
	}
	*out = n;
	return 0;
}

void
notice_close(struct notice *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < SOCKETS; i++)
		close_socket(&n->in[i]);
	free(n);
}

uint16_t
notice_port(const struct notice *n, int family)
{
	return n->in[family == AF_INET ? 0 : 1].port;
}

const struct notice_counters *
notice_counters(const struct notice *n)
{
	return &n->count;
}
