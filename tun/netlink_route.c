#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/text.h"
#include "tun/netlink.h"
#include "tun/netlink_request.h"

/* "10.0.0.0/8 via 192.0.2.1 dev wan1", for reasons. */
static const char *
describe(char *dst, size_t size, const struct route *r)
{
	char net[ADDR_TEXT], gateway[ADDR_TEXT];

	snprintf(dst, size, "route to %s%s%s%s%s%s", addr_cidr(net, &r->dst), r->gateway.family ? " via " : "",
		 addr_host(gateway, &r->gateway), *r->dev ? " dev " : "", r->dev, r->blackhole ? " (blackhole)" : "");
	return dst;
}

static struct rtmsg
header_of(const struct route *r)
{
	struct rtmsg h = {
	    .rtm_family = (unsigned char)r->dst.family,
	    .rtm_dst_len = r->dst.prefix,
	    .rtm_protocol = RTPROT_STATIC,
	    .rtm_type = r->blackhole ? RTN_BLACKHOLE : RTN_UNICAST,
	    .rtm_scope = RT_SCOPE_UNIVERSE,
	};

	/* the long form of the table follows as an attribute */
	h.rtm_table = (unsigned char)(r->table && r->table < 256 ? r->table : RT_TABLE_MAIN);
	if (!r->blackhole && !r->gateway.family && r->dst.family == AF_INET)
		h.rtm_scope = RT_SCOPE_LINK;
	return h;
}

/* The message for `r`; its device has the index `oif`, 0 for none. NULL: no memory. */
static struct nl_msg *
message_of(int type, int flags, const struct rtmsg *h, const struct route *r, int oif)
{
	struct nl_msg *msg = request_new(type, flags, h, sizeof(*h));
	size_t size = request_address_bytes(r->dst.family);

	msg = request_put(msg, RTA_DST, r->dst.bytes, size);
	msg = request_put_u32(msg, RTA_TABLE, r->table ? r->table : RT_TABLE_MAIN);
	if (r->metric)
		msg = request_put_u32(msg, RTA_PRIORITY, r->metric);
	if (r->gateway.family)
		msg = request_put(msg, RTA_GATEWAY, r->gateway.bytes, size);
	if (r->src.family)
		msg = request_put(msg, RTA_PREFSRC, r->src.bytes, size);
	if (oif)
		msg = request_put_u32(msg, RTA_OIF, (uint32_t)oif);
	return msg;
}

static int
check_families(const struct route *r, struct err *e)
{
	char text[160];

	if (r->dst.family != AF_INET && r->dst.family != AF_INET6)
		return err_set(e, -EINVAL, "route without a destination");
	if ((r->gateway.family && r->gateway.family != r->dst.family) ||
	    (r->src.family && r->src.family != r->dst.family))
		return err_set(e, -EINVAL, "%s: addresses of one family were expected",
			       describe(text, sizeof(text), r));
	return 0;
}

/* Index of the route's device: 0 for none. */
static int
device_of(struct netlink *n, const struct route *r, int *oif, struct err *e)
{
	struct link_facts link;
	int rc;

	*oif = *r->dev ? request_ifindex(n, r->dev) : 0;
	if (*oif >= 0)
		return 0;
	rc = netlink_link(n, r->dev, &link, e); /* says what is wrong */
	if (!rc)
		*oif = link.ifindex;
	return rc;
}

int
netlink_route_add(struct netlink *n, const struct route *r, struct err *e)
{
	struct rtmsg h = header_of(r);
	char text[160];
	int oif;
	int rc;

	rc = check_families(r, e);
	if (!rc)
		rc = device_of(n, r, &oif, e);
	if (rc)
		return rc;
	rc = request_run(n, message_of(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, &h, r, oif), NULL, NULL);
	if (!rc || rc == -EEXIST)
		return 0;
	return request_failed(n, e, rc, "%s", describe(text, sizeof(text), r));
}

int
netlink_route_del(struct netlink *n, const struct route *r, struct err *e)
{
	struct rtmsg h = header_of(r);
	char text[160];
	int oif;
	int rc;

	rc = check_families(r, e);
	if (!rc)
		rc = device_of(n, r, &oif, e);
	if (rc)
		return rc == -ENODEV ? 0 : rc;
	h.rtm_scope = RT_SCOPE_NOWHERE; /* any */
	rc = request_run(n, message_of(RTM_DELROUTE, 0, &h, r, oif), NULL, NULL);
	if (!rc || rc == -ESRCH)
		return 0;
	return request_failed(n, e, rc, "removing %s", describe(text, sizeof(text), r));
}

struct routes_answer {
	const struct netlink *n;
	struct route *out;
	size_t max, count;
	const struct route *want; /* count only what matches this; NULL: all */
	int family;
};

static void
take_address(struct addr *out, int family, const struct nlattr *at, uint8_t prefix)
{
	if (!at || nla_len(at) != (int)request_address_bytes(family))
		return;
	*out = (struct addr){.family = family, .prefix = prefix};
	memcpy(out->bytes, nla_data(at), request_address_bytes(family));
}

static uint32_t
take_u32(const struct nlattr *at)
{
	return at && nla_len(at) >= 4 ? nla_get_u32(at) : 0;
}

static bool
matches(const struct route *want, const struct route *r)
{
	return addr_equal(&want->dst, &r->dst) && want->table == r->table && want->blackhole == r->blackhole &&
	       (!want->metric || want->metric == r->metric) && want->gateway.family == r->gateway.family &&
	       (!want->gateway.family || addr_same_host(&want->gateway, &r->gateway)) &&
	       (!want->src.family || addr_same_host(&want->src, &r->src)) &&
	       (!*want->dev || want->blackhole || !strcmp(want->dev, r->dev));
}

static void
keep(struct routes_answer *a, const struct route *r)
{
	if (a->want && !matches(a->want, r))
		return;
	if (a->count < a->max)
		a->out[a->count] = *r;
	a->count++;
}

static void
set_way(const struct routes_answer *a, struct route *r, const struct nlattr *gateway, int oif)
{
	uint8_t full = r->dst.family == AF_INET ? 32 : 128;

	r->gateway = (struct addr){.family = 0};
	take_address(&r->gateway, r->dst.family, gateway, full);
	if (oif <= 0 || request_ifname(a->n, oif, r->dev))
		r->dev[0] = '\0';
}

/* Not by RTNH_OK(), which reads a header before it knows that there is one. */
static void
keep_ways(struct routes_answer *a, struct route *r, const struct nlattr *ways)
{
	const uint8_t *at = nla_data(ways);
	size_t left = (size_t)nla_len(ways);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const struct rtnexthop *)at;
		size_t len = hop->rtnh_len, step = RTNH_ALIGN(len);
		const struct nlattr *attrs = (const struct nlattr *)(at + sizeof(*hop));

		if (len < sizeof(*hop) || len > left)
			return;
		set_way(a, r, nla_find(attrs, (int)(len - sizeof(*hop)), RTA_GATEWAY), hop->rtnh_ifindex);
		keep(a, r);
		if (step >= left)
			return;
		at += step;
		left -= step;
	}
}

/* What a configuration or a person would call a route, of the families known here. */
static bool
is_wanted(const struct routes_answer *a, const struct rtmsg *m, uint32_t table)
{
	return (m->rtm_family == AF_INET || m->rtm_family == AF_INET6) && (!a->family || m->rtm_family == a->family) &&
	       (m->rtm_type == RTN_UNICAST || m->rtm_type == RTN_BLACKHOLE) && table != RT_TABLE_LOCAL &&
	       !(m->rtm_flags & RTM_F_CLONED);
}

static void
take_route(void *ctx, const struct nlmsghdr *h)
{
	struct routes_answer *a = ctx;
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *m;
	struct route r = {.metric = 0};

	if (!h) {
		a->count = 0;
		return;
	}
	if (h->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, RTA_MAX, NULL) < 0)
		return;
	m = nlmsg_data(h);
	r.table = tb[RTA_TABLE] ? take_u32(tb[RTA_TABLE]) : m->rtm_table;
	if (!is_wanted(a, m, r.table))
		return;
	if (r.table == RT_TABLE_MAIN)
		r.table = 0;
	r.dst = (struct addr){.family = m->rtm_family, .prefix = m->rtm_dst_len};
	take_address(&r.dst, m->rtm_family, tb[RTA_DST], m->rtm_dst_len);
	take_address(&r.src, m->rtm_family, tb[RTA_PREFSRC], m->rtm_family == AF_INET ? 32 : 128);
	r.metric = take_u32(tb[RTA_PRIORITY]);
	r.blackhole = m->rtm_type == RTN_BLACKHOLE;
	r.protocol = m->rtm_protocol;
	if (tb[RTA_MULTIPATH]) {
		keep_ways(a, &r, tb[RTA_MULTIPATH]);
		return;
	}
	set_way(a, &r, tb[RTA_GATEWAY], (int)take_u32(tb[RTA_OIF]));
	keep(a, &r);
}

int
netlink_routes(struct netlink *n, int family, struct route out[], size_t max, size_t *count, struct err *e)
{
	struct routes_answer a = {.n = n, .out = out, .max = max, .family = family};
	struct rtmsg m = {.rtm_family = (unsigned char)family};
	int rc = request_run(n, request_new(RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m)), take_route, &a);

	if (rc)
		return request_failed(n, e, rc, "reading the routes");
	*count = a.count;
	return 0;
}

static int
look_for(struct netlink *n, const struct route *want, uint8_t protocol, bool *there)
{
	struct routes_answer a = {.n = n, .want = want, .family = want->dst.family};
	struct rtmsg m = {.rtm_family = (unsigned char)want->dst.family, .rtm_protocol = protocol};
	struct nl_msg *msg = request_new(RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m));
	int rc;

	msg = request_put_u32(msg, RTA_TABLE, want->table ? want->table : RT_TABLE_MAIN);
	rc = request_run(n, msg, take_route, &a);
	if (rc == -ENOENT) /* no such table yet: it has no routes */
		rc = 0;
	if (!rc)
		*there = a.count > 0;
	return rc;
}

/* Asks the kernel for one route instead of reading them all, which would make applying many routes quadratic. -EEXIST
 * is certain; anything else tells nothing.
 *
 * IPv4: to add the same route again, without permission to create one, fails with -EEXIST where the very same is there
 * and with -ENOENT where it is not, and changes nothing (fib_table_insert()). IPv6 creates it even so; there the route
 * by which the network's first address goes is asked for, which is the one looked for unless a better one hides it. */
static int
ask_for(struct netlink *n, const struct route *want, int oif)
{
	struct rtmsg h = header_of(want);
	struct routes_answer a = {.n = n, .want = want, .family = want->dst.family};
	struct rtmsg m = {.rtm_family = AF_INET6, .rtm_dst_len = 128, .rtm_flags = RTM_F_FIB_MATCH};
	struct nl_msg *msg;

	if (want->dst.family == AF_INET)
		return request_run(n, message_of(RTM_NEWROUTE, 0, &h, want, oif), NULL, NULL);
	msg = request_put(request_new(RTM_GETROUTE, 0, &m, sizeof(m)), RTA_DST, want->dst.bytes, 16);
	return !request_run(n, msg, take_route, &a) && a.count ? -EEXIST : -ENOENT;
}

/* If not by asking: first among the static ones alone, which a kernel that knows strict requests picks out itself: a
 * box with a full routing table hands over a few. */
int
netlink_route_there(struct netlink *n, const struct route *r, bool *there, struct err *e)
{
	struct route want = *r;
	bool found = false;
	char text[160];
	int oif, rc;

	if (want.table == RT_TABLE_MAIN)
		want.table = 0;
	if (!check_families(r, NULL) && !device_of(n, r, &oif, NULL) && ask_for(n, &want, oif) == -EEXIST) {
		*there = true;
		return 0;
	}
	rc = look_for(n, &want, RTPROT_STATIC, &found);
	if (!rc && !found)
		rc = look_for(n, &want, RTPROT_UNSPEC, &found);
	if (rc)
		return request_failed(n, e, rc, "reading back the %s", describe(text, sizeof(text), r));
	*there = found;
	return 0;
}

struct get_answer {
	const struct netlink *n;
	char dev[16];
	struct addr src;
	int type;
};

static void
take_get(void *ctx, const struct nlmsghdr *h)
{
	struct get_answer *a = ctx;
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *m;

	if (!h || h->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*m), tb, RTA_MAX, NULL) < 0)
		return;
	m = nlmsg_data(h);
	a->type = m->rtm_type;
	take_address(&a->src, m->rtm_family, tb[RTA_PREFSRC], m->rtm_family == AF_INET ? 32 : 128);
	if (request_ifname(a->n, (int)take_u32(tb[RTA_OIF]), a->dev))
		a->dev[0] = '\0';
}

int
netlink_route_get(struct netlink *n, const struct addr *dst, char dev[16], struct addr *src, struct err *e)
{
	struct get_answer a = {.n = n, .type = RTN_UNREACHABLE};
	struct rtmsg m = {.rtm_family = (unsigned char)dst->family};
	struct nl_msg *msg;
	char text[ADDR_TEXT];
	int rc;

	m.rtm_dst_len = dst->family == AF_INET ? 32 : 128;
	msg = request_new(RTM_GETROUTE, 0, &m, sizeof(m));
	rc = request_run(n, request_put(msg, RTA_DST, dst->bytes, request_address_bytes(dst->family)), take_get, &a);
	/* the answers to a blackhole, a prohibit and an unreachable route */
	if (rc == -EINVAL || rc == -EACCES || rc == -EHOSTUNREACH)
		rc = -ENETUNREACH;
	if (!rc && ((a.type != RTN_UNICAST && a.type != RTN_LOCAL) || !*a.dev))
		rc = -ENETUNREACH;
	if (rc)
		return request_failed(n, e, rc, "route to %s", addr_host(text, dst));
	if (dev)
		memcpy(dev, a.dev, sizeof(a.dev));
	if (src)
		*src = a.src;
	return 0;
}
