#include "agent/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "base/err.h"
#include "base/loop.h"

enum { SOCKETS_MAX = 16, QUERY_MS = 3000, QUERY_TRIES = 2 };

struct watched {
	struct resolve *home;
	struct loop_io *io;
	int fd;
};

struct resolve {
	struct loop *loop;
	ares_channel channel;
	bool library; /* ares_library_init() was called for us */
	struct watched sockets[SOCKETS_MAX];
	struct loop_timer *timer;
	struct loop_task
	    *done; /* the answer is given from a fresh turn: c-ares does not bear being freed by its callback */
	resolve_fn *fn;
	void *ctx;
	bool cancelled;
	struct addr addrs[RESOLVE_MAX];
	size_t count;
	struct err why;
};

static void
release(struct resolve *r)
{
	r->cancelled = true;
	if (r->channel)
		ares_destroy(r->channel); /* ends the query: on_answer() is called and sees `cancelled` */
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		loop_io_free(r->sockets[i].io);
	loop_timer_free(r->timer);
	loop_task_free(r->done);
	if (r->library)
		ares_library_cleanup();
	free(r);
}

static void
arm_timer(struct resolve *r)
{
	struct timeval tv, *left = ares_timeout(r->channel, NULL, &tv);

	loop_timer_at(r->timer, left ? mono_in(clock_mono(), (int64_t)left->tv_sec * 1000 + left->tv_usec / 1000 + 1)
				     : MONO_NEVER);
}

static void
on_socket(void *ctx, uint32_t events)
{
	const struct watched *s = ctx;
	struct resolve *r = s->home;
	int fd = s->fd;

	ares_process_fd(r->channel, events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	arm_timer(r);
}

static void
on_timer(void *ctx)
{
	struct resolve *r = ctx;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timer(r);
}

/* c-ares tells which of its sockets it wants watched, and for what; 0 and 0 when it is about to close one. */
static void
on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolve *r = ctx;
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
	size_t slot = SOCKETS_MAX;

	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (r->sockets[i].io && r->sockets[i].fd == fd)
			slot = i;
		else if (!r->sockets[i].io && slot == SOCKETS_MAX && events)
			slot = i;
	}
	if (slot == SOCKETS_MAX)
		return;
	if (r->sockets[slot].io) {
		if (events) {
			loop_io_want(r->sockets[slot].io, events);
		} else {
			loop_io_free(r->sockets[slot].io);
			r->sockets[slot].io = NULL;
		}
		return;
	}
	r->sockets[slot].home = r;
	r->sockets[slot].fd = fd;
	r->sockets[slot].io = loop_io_new(r->loop, fd, events, on_socket, &r->sockets[slot]);
}

static void
on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve *r = ctx;

	(void)timeouts;
	if (status == ARES_SUCCESS) {
		for (const struct ares_addrinfo_node *n = info->nodes; n && r->count < RESOLVE_MAX; n = n->ai_next) {
			struct addr *a = &r->addrs[r->count];

			*a = (struct addr){.family = n->ai_family, .prefix = n->ai_family == AF_INET ? 32 : 128};
			if (n->ai_family == AF_INET)
				memcpy(a->bytes, &((const struct sockaddr_in *)n->ai_addr)->sin_addr, 4);
			else if (n->ai_family == AF_INET6)
				memcpy(a->bytes, &((const struct sockaddr_in6 *)n->ai_addr)->sin6_addr, 16);
			else
				continue;
			r->count++;
		}
	}
	if (info)
		ares_freeaddrinfo(info);
	if (!r->count)
		err_set(&r->why, -ENOENT, "%s", ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status));
	if (!r->cancelled)
		loop_task_soon(r->done);
}

static void
on_done(void *ctx)
{
	struct resolve *r = ctx;
	struct resolve answer = *r; /* the query is over before its owner hears of it, so that it may start another */

	release(r);
	answer.fn(answer.ctx, answer.addrs, answer.count, &answer.why);
}

static int
open_channel(struct resolve *r, const char *conf, struct err *e)
{
	struct ares_options o = {.sock_state_cb = on_socket_state,
				 .sock_state_cb_data = r,
				 .timeout = QUERY_MS,
				 .tries = QUERY_TRIES,
				 .resolvconf_path = (char *)(uintptr_t)conf};
	int rc = ares_library_init(ARES_LIB_INIT_ALL);

	if (rc != ARES_SUCCESS)
		return err_set(e, -EIO, "resolver: %s", ares_strerror(rc));
	r->library = true;
	rc = ares_init_options(&r->channel, &o,
			       ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF);
	if (rc != ARES_SUCCESS)
		return err_set(e, -EIO, "resolver: %s", ares_strerror(rc));
	return 0;
}

int
resolve_start(struct loop *l, const char *conf, const char *name, resolve_fn *fn, void *ctx, struct resolve **out,
	      struct err *e)
{
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct resolve *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_sys(e, -ENOMEM, "resolver");
	r->loop = l;
	r->fn = fn;
	r->ctx = ctx;
	r->timer = loop_timer_new(l, on_timer, r);
	r->done = loop_task_new(l, on_done, r);
	rc = r->timer && r->done ? open_channel(r, conf, e) : err_sys(e, -ENOMEM, "resolver");
	if (rc) {
		release(r);
		return rc;
	}
	ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, r);
	arm_timer(r);
	*out = r;
	return 0;
}

void
resolve_cancel(struct resolve *r)
{
	if (r)
		release(r);
}
