#include "tun/netlink_request.h"

#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/text.h"
#include "tun/netlink.h"
#include "tun/netns.h"

enum { REQUEST_TRIES = 5 };

struct netlink {
	struct nl_sock *sk;
	uint32_t seq; /* of the request under way */
	request_fn *fn;
	void *ctx;
	bool done, interrupted;
	bool lost;      /* it or its answer did not get through */
	int error;      /* the kernel's -errno, or 0 */
	char said[128]; /* the kernel's sentence, or "" */
	uint64_t unanswered;
};

static int
errno_of(int nle)
{
	switch (abs(nle)) {
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
		return -EPERM;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	default:
		return -EIO;
	}
}

/* What is left of a dump that was given up belongs to nobody. */
static int
on_sequence(struct nl_msg *msg, void *ctx)
{
	const struct netlink *n = ctx;

	return nlmsg_hdr(msg)->nlmsg_seq == n->seq ? NL_OK : NL_SKIP;
}

static int
on_message(struct nl_msg *msg, void *ctx)
{
	struct netlink *n = ctx;

	if (n->fn)
		n->fn(n->ctx, nlmsg_hdr(msg));
	return NL_OK;
}

static int
on_ack(struct nl_msg *msg, void *ctx)
{
	struct netlink *n = ctx;

	(void)msg;
	n->done = true;
	return NL_OK;
}

/* The end of a dump carries its outcome. */
static int
on_finish(struct nl_msg *msg, void *ctx)
{
	struct netlink *n = ctx;
	int outcome = 0;

	if (nlmsg_datalen(nlmsg_hdr(msg)) >= (int)sizeof(outcome))
		memcpy(&outcome, nlmsg_data(nlmsg_hdr(msg)), sizeof(outcome));
	if (outcome < 0)
		n->error = outcome;
	n->done = true;
	return NL_OK;
}

static int
on_interrupted(struct nl_msg *msg, void *ctx)
{
	struct netlink *n = ctx;

	(void)msg;
	n->interrupted = true;
	return NL_OK;
}

/* With NETLINK_CAP_ACK no copy of the request lies between the error and what the kernel says about it. */
static void
take_sentence(struct netlink *n, const struct nlmsgerr *failure)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)((const char *)failure - NLMSG_HDRLEN);
	size_t head = NLMSG_ALIGN(sizeof(*failure));
	const struct nlattr *text;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || !(h->nlmsg_flags & NLM_F_CAPPED) ||
	    h->nlmsg_len < NLMSG_HDRLEN + head)
		return;
	text = nla_find((const struct nlattr *)((const char *)failure + head),
			(int)(h->nlmsg_len - NLMSG_HDRLEN - head), NLMSGERR_ATTR_MSG);
	if (text && nla_len(text) > 0)
		text_escape(n->said, sizeof(n->said), nla_data(text), strnlen(nla_data(text), (size_t)nla_len(text)));
}

static int
on_error(struct sockaddr_nl *from, struct nlmsgerr *failure, void *ctx)
{
	struct netlink *n = ctx;
	const struct nlmsghdr *h = (const struct nlmsghdr *)((const char *)failure - NLMSG_HDRLEN);

	(void)from;
	if (h->nlmsg_seq != n->seq)
		return NL_SKIP;
	n->error = failure->error;
	n->done = true;
	take_sentence(n, failure);
	return NL_SKIP;
}

static int
set_callbacks(struct netlink *n)
{
	static const struct {
		enum nl_cb_type type;
		nl_recvmsg_msg_cb_t fn;
	} table[] = {
	    {NL_CB_SEQ_CHECK, on_sequence}, {NL_CB_VALID, on_message},         {NL_CB_ACK, on_ack},
	    {NL_CB_FINISH, on_finish},      {NL_CB_DUMP_INTR, on_interrupted},
	};
	int rc = nl_socket_modify_err_cb(n->sk, NL_CB_CUSTOM, on_error, n);

	for (size_t i = 0; !rc && i < sizeof(table) / sizeof(*table); i++)
		rc = nl_socket_modify_cb(n->sk, table[i].type, NL_CB_CUSTOM, table[i].fn, n);
	return rc;
}

static int
connect_here(void *ctx, struct err *e)
{
	struct netlink *n = ctx;
	const int on = 1;
	int rc;

	n->sk = nl_socket_alloc();
	if (!n->sk)
		return err_sys(e, -ENOMEM, "netlink socket");
	rc = set_callbacks(n);
	if (!rc)
		rc = nl_connect(n->sk, NETLINK_ROUTE);
	if (rc)
		return err_set(e, errno_of(rc), "netlink socket: %s", nl_geterror(rc));
	/* Older kernels lack these: then errors come without a sentence, and dumps are filtered here alone. */
	setsockopt(nl_socket_get_fd(n->sk), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(n->sk), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(n->sk), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

int
netlink_open(int netns_fd, struct netlink **out, struct err *e)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return err_sys(e, -ENOMEM, "netlink socket");
	rc = netns_fd < 0 ? connect_here(n, e) : netns_run(netns_fd, connect_here, n, e);
	if (rc) {
		netlink_free(n);
		return rc;
	}
	*out = n;
	return 0;
}

void
netlink_free(struct netlink *n)
{
	if (!n)
		return;
	nl_socket_free(n->sk);
	free(n);
}

struct nl_msg *
request_new(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

struct nl_msg *
request_put(struct nl_msg *msg, int attribute, const void *data, size_t size)
{
	if (msg && nla_put(msg, attribute, (int)size, data) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

struct nl_msg *
request_put_u32(struct nl_msg *msg, int attribute, uint32_t value)
{
	return request_put(msg, attribute, &value, sizeof(value));
}

static int
run_once(struct netlink *n, struct nl_msg *msg)
{
	int rc;

	n->done = n->interrupted = false;
	n->error = 0;
	n->said[0] = '\0';
	if (n->fn)
		n->fn(n->ctx, NULL);
	nlmsg_hdr(msg)->nlmsg_seq = n->seq = nl_socket_use_seq(n->sk);
	rc = nl_send_auto(n->sk, msg);
	while (rc >= 0 && !n->done)
		rc = nl_recvmsgs_default(n->sk);
	n->lost = rc < 0;
	if (n->lost)
		return errno_of(rc);
	return n->error ? n->error : n->interrupted ? -EINTR : 0;
}

/* The kernel begins no dump on a socket that has not heard the last one to its end. */
static void
forget_answers(const struct netlink *n)
{
	char first;

	while (recv(nl_socket_get_fd(n->sk), &first, sizeof(first), MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
}

static bool
is_passing(int rc)
{
	return rc == -EINTR || rc == -ENOMEM || rc == -ENOBUFS;
}

/* A dump that was disturbed is asked for again. So is what did not get through, for want of memory or room: whether the
 * kernel has done it is not known then, and what is there already, or gone already, is no error. */
int
request_run(struct netlink *n, struct nl_msg *msg, request_fn *fn, void *ctx)
{
	int rc = -EINTR;

	n->lost = false;
	if (!msg) {
		n->said[0] = '\0';
		return -ENOMEM;
	}
	n->fn = fn;
	n->ctx = ctx;
	for (int left = REQUEST_TRIES; left && (n->lost || rc == -EINTR); left--) {
		rc = run_once(n, msg);
		if (n->lost)
			forget_answers(n);
	}
	if (n->lost || is_passing(rc))
		n->unanswered++;
	n->fn = NULL;
	n->ctx = NULL;
	nlmsg_free(msg);
	return rc;
}

uint64_t
netlink_unanswered(const struct netlink *n)
{
	return n->unanswered;
}

int
request_failed(const struct netlink *n, struct err *e, int rc, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!n->said[0])
		return err_sys(e, rc, "%s", what);
	return err_set(e, rc, "%s: %s (%s)", what, strerror(-rc), n->said);
}

size_t
request_address_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

int
request_ifname(const struct netlink *n, int ifindex, char name[16])
{
	struct ifreq r = {.ifr_ifindex = ifindex};

	_Static_assert(sizeof(r.ifr_name) == 16, "device names are 15 characters and a NUL");
	if (ioctl(nl_socket_get_fd(n->sk), SIOCGIFNAME, &r))
		return -errno;
	memcpy(name, r.ifr_name, 16);
	name[15] = '\0';
	return 0;
}

int
request_ifindex(const struct netlink *n, const char *name)
{
	struct ifreq r = {.ifr_ifindex = 0};
	size_t len = strlen(name);

	if (len >= sizeof(r.ifr_name))
		return -ENODEV;
	memcpy(r.ifr_name, name, len + 1);
	return ioctl(nl_socket_get_fd(n->sk), SIOCGIFINDEX, &r) ? -errno : r.ifr_ifindex;
}
