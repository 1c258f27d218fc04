#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "tun/netlink.h"
#include "tun/netns.h"

enum {
	READS_A_CALL = 64,
	QUEUE_BYTES = 256 * 1024, /* a burst of some hundred route changes passes without an overrun */
	MESSAGE_BYTES = 32 * 1024,
};

struct netlink_watch {
	struct nl_sock *sk;
	netlink_watch_fn *fn;
	void *ctx;
	bool route; /* one was seen in this call of netlink_watch_read() */
};

static int
subscribe_here(void *ctx, struct err *e)
{
	struct netlink_watch *w = ctx;
	int rc;

	w->sk = nl_socket_alloc();
	if (!w->sk)
		return err_sys(e, -ENOMEM, "netlink watch");
	rc = nl_connect(w->sk, NETLINK_ROUTE);
	if (!rc)
		rc = nl_socket_set_nonblocking(w->sk);
	if (!rc)
		rc = nl_socket_set_buffer_size(w->sk, QUEUE_BYTES, 0);
	if (!rc)
		rc = nl_socket_add_memberships(w->sk, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
					       RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NONE);
	return rc ? err_set(e, -EIO, "netlink watch: %s", nl_geterror(rc)) : 0;
}

int
netlink_watch_open(int netns_fd, netlink_watch_fn *fn, void *ctx, struct netlink_watch **out, struct err *e)
{
	struct netlink_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return err_sys(e, -ENOMEM, "netlink watch");
	w->fn = fn;
	w->ctx = ctx;
	rc = netns_fd < 0 ? subscribe_here(w, e) : netns_run(netns_fd, subscribe_here, w, e);
	if (rc) {
		netlink_watch_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

void
netlink_watch_free(struct netlink_watch *w)
{
	if (!w)
		return;
	nl_socket_free(w->sk);
	free(w);
}

int
netlink_watch_fd(const struct netlink_watch *w)
{
	return nl_socket_get_fd(w->sk);
}

/* A device that is down and was not just set down has appeared, or got its name: for the latter the kernel has no mark
 * but an empty list of changes, and devices are renamed while they are down. */
static const char *
state_of(const struct nlmsghdr *h, const struct ifinfomsg *info)
{
	if (h->nlmsg_type == RTM_DELLINK)
		return "gone";
	if (!(info->ifi_flags & IFF_UP))
		return info->ifi_change == ~0U || !info->ifi_change ? "new" : "down";
	return info->ifi_flags & IFF_RUNNING ? "up" : "down";
}

/* Left out: a bridge's view of its ports (another family), and wireless scan results. */
static void
on_link(struct netlink_watch *w, struct nlmsghdr *h)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *info;
	char what[64];

	if (nlmsg_parse(h, sizeof(*info), tb, IFLA_MAX, NULL) < 0 || !tb[IFLA_IFNAME])
		return;
	info = nlmsg_data(h);
	if (info->ifi_family != AF_UNSPEC || tb[IFLA_WIRELESS])
		return;
	snprintf(what, sizeof(what), "link %.15s %s", nla_get_string(tb[IFLA_IFNAME]), state_of(h, info));
	w->fn(w->ctx, what);
}

static void
on_address(struct netlink_watch *w, struct nlmsghdr *h)
{
	const struct ifaddrmsg *info = nlmsg_data(h);
	struct ifreq r = {0};
	char what[64];

	if (!nlmsg_valid_hdr(h, sizeof(*info)))
		return;
	r.ifr_ifindex = (int)info->ifa_index;
	if (ioctl(nl_socket_get_fd(w->sk), SIOCGIFNAME, &r))
		snprintf(what, sizeof(what), "address");
	else
		snprintf(what, sizeof(what), "address %.15s", r.ifr_name);
	w->fn(w->ctx, what);
}

/* The kernel clones routes as traffic flows (path MTU, redirects), and keeps a table of its own for each local address:
 * the first are nobody's change, the second were reported as addresses. */
static void
on_route(struct netlink_watch *w, struct nlmsghdr *h)
{
	const struct rtmsg *m = nlmsg_data(h);

	if (!nlmsg_valid_hdr(h, sizeof(*m)) || (m->rtm_flags & RTM_F_CLONED) || m->rtm_table == RT_TABLE_LOCAL ||
	    m->rtm_type == RTN_MULTICAST)
		return;
	w->route = true;
}

static void
on_message(struct netlink_watch *w, struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(w, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_address(w, h);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route(w, h);
		break;
	default:
		break;
	}
}

/* One datagram: 1 read, 0 none waits, or -errno. */
static int
read_one(struct netlink_watch *w)
{
	union {
		struct nlmsghdr head;
		char bytes[MESSAGE_BYTES];
	} in; /* on the stack: most messages fill one page of it */
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = in.bytes, .iov_len = sizeof(in.bytes)};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(nl_socket_get_fd(w->sk), &m, 0);
	int left = (int)n;

	if (n < 0 && (errno == ENOBUFS || errno == EINTR)) {
		if (errno == ENOBUFS)
			w->fn(w->ctx, "overrun");
		return 1;
	}
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	if (from.nl_pid) /* only the kernel's word counts */
		return 1;
	if (m.msg_flags & MSG_TRUNC) {
		w->fn(w->ctx, "overrun");
		return 1;
	}
	for (struct nlmsghdr *h = &in.head; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
		on_message(w, h);
	return 1;
}

int
netlink_watch_read(struct netlink_watch *w)
{
	int rc = 1;

	w->route = false;
	for (int i = 0; i < READS_A_CALL && rc > 0; i++)
		rc = read_one(w);
	if (w->route)
		w->fn(w->ctx, "route");
	return rc < 0 ? rc : 0;
}
