#include "tun/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/text.h"
#include "tun/netlink_request.h"

_Static_assert(IFNAMSIZ == sizeof(((struct link_facts *)0)->name), "device names are 15 characters and a NUL");

static bool
possible_name(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ;
}

struct link_answer {
	struct link_facts facts;
	bool there;
};

/* What made the device, and of a VLAN its id. */
static void
take_kind(struct link_facts *out, struct nlattr *info)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1], *vlan[IFLA_VLAN_MAX + 1];

	if (!info || nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) < 0 || !tb[IFLA_INFO_KIND])
		return;
	nla_strlcpy(out->kind, tb[IFLA_INFO_KIND], sizeof(out->kind));
	if (strcmp(out->kind, "vlan") != 0 || !tb[IFLA_INFO_DATA] ||
	    nla_parse_nested(vlan, IFLA_VLAN_MAX, tb[IFLA_INFO_DATA], NULL) < 0)
		return;
	if (vlan[IFLA_VLAN_ID] && nla_len(vlan[IFLA_VLAN_ID]) >= 2)
		out->vlan = nla_get_u16(vlan[IFLA_VLAN_ID]);
}

static void
take_link(void *ctx, const struct nlmsghdr *h)
{
	struct link_answer *out = ctx;
	const struct ifinfomsg *info;
	struct nlattr *tb[IFLA_MAX + 1];

	if (!h || h->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*info), tb, IFLA_MAX, NULL) < 0)
		return;
	info = nlmsg_data(h);
	*out = (struct link_answer){.there = true};
	out->facts.ifindex = info->ifi_index;
	out->facts.up = info->ifi_flags & IFF_UP;
	out->facts.running = info->ifi_flags & IFF_RUNNING;
	out->facts.noarp = info->ifi_flags & (IFF_NOARP | IFF_LOOPBACK);
	if (tb[IFLA_IFNAME])
		nla_strlcpy(out->facts.name, tb[IFLA_IFNAME], sizeof(out->facts.name));
	if (tb[IFLA_MTU] && nla_len(tb[IFLA_MTU]) >= 4)
		out->facts.mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == (int)sizeof(out->facts.mac))
		memcpy(out->facts.mac, nla_data(tb[IFLA_ADDRESS]), sizeof(out->facts.mac));
	if (tb[IFLA_LINK] && nla_len(tb[IFLA_LINK]) >= 4)
		out->facts.parent = (int)nla_get_u32(tb[IFLA_LINK]);
	if (tb[IFLA_GROUP] && nla_len(tb[IFLA_GROUP]) >= 4)
		out->facts.group = nla_get_u32(tb[IFLA_GROUP]);
	take_kind(&out->facts, tb[IFLA_LINKINFO]);
}

/* Asked by netlink and never by ioctl: SIOCGIFINDEX makes the kernel load a module called like the device, and names
 * come from a manager. */
int
netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct link_answer answer = {.there = false};
	struct nl_msg *msg;
	int rc;

	if (!possible_name(name))
		return err_set(e, -ENODEV, "no device \"%.32s\"", name);
	msg = request_new(RTM_GETLINK, 0, &info, sizeof(info));
	msg = request_put(msg, IFLA_IFNAME, name, strlen(name) + 1);
	msg = request_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	rc = request_run(n, msg, take_link, &answer);
	if (rc == -ENODEV || (!rc && !answer.there))
		return err_set(e, -ENODEV, "no device %s", name);
	if (rc)
		return request_failed(n, e, rc, "looking up device %s", name);
	*out = answer.facts;
	return 0;
}

struct links_answer {
	struct link_facts *out;
	size_t max, count;
};

static void
take_links(void *ctx, const struct nlmsghdr *h)
{
	struct links_answer *a = ctx;
	struct link_answer one = {.there = false};

	if (!h) {
		a->count = 0;
		return;
	}
	take_link(&one, h);
	if (!one.there)
		return;
	if (a->count < a->max)
		a->out[a->count] = one.facts;
	a->count++;
}

int
netlink_links(struct netlink *n, struct link_facts out[], size_t max, size_t *count, struct err *e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct links_answer a = {.out = out, .max = max};
	struct nl_msg *msg = request_new(RTM_GETLINK, NLM_F_DUMP, &info, sizeof(info));
	int rc;

	msg = request_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	rc = request_run(n, msg, take_links, &a);
	if (rc)
		return request_failed(n, e, rc, "listing devices");
	*count = a.count;
	return 0;
}

/* A change of the device called `name`; the kernel looks it up itself. NULL: no memory. */
static struct nl_msg *
change_link(const char *name, unsigned flags, unsigned mask)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_flags = flags, .ifi_change = mask};
	struct nl_msg *msg = request_new(RTM_SETLINK, 0, &info, sizeof(info));

	return request_put(msg, IFLA_IFNAME, name, strlen(name) + 1);
}

int
netlink_link_set_up(struct netlink *n, const char *name, bool up, struct err *e)
{
	int rc;

	if (!possible_name(name))
		return err_set(e, -ENODEV, "no device \"%.32s\"", name);
	rc = request_run(n, change_link(name, up ? IFF_UP : 0, IFF_UP), NULL, NULL);
	return rc ? request_failed(n, e, rc, "setting %s %s", name, up ? "up" : "down") : 0;
}

int
netlink_link_set_mtu(struct netlink *n, const char *name, unsigned mtu, struct err *e)
{
	int rc;

	if (!possible_name(name))
		return err_set(e, -ENODEV, "no device \"%.32s\"", name);
	rc = request_run(n, request_put_u32(change_link(name, 0, 0), IFLA_MTU, mtu), NULL, NULL);
	return rc ? request_failed(n, e, rc, "setting the MTU of %s to %u", name, mtu) : 0;
}

/* IFLA_AF_SPEC { AF_INET6 { IFLA_INET6_ADDR_GEN_MODE: none } } */
static int
put_no_linklocal(struct nl_msg *msg)
{
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *v6 = spec ? nla_nest_start(msg, AF_INET6) : NULL;

	if (!v6 || nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0)
		return -ENOMEM;
	nla_nest_end(msg, v6);
	nla_nest_end(msg, spec);
	return 0;
}

int
netlink_link_no_linklocal(struct netlink *n, const char *name, struct err *e)
{
	struct nl_msg *msg;
	int rc;

	if (!possible_name(name))
		return err_set(e, -ENODEV, "no device \"%.32s\"", name);
	msg = change_link(name, 0, 0);
	if (msg && put_no_linklocal(msg)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	rc = request_run(n, msg, NULL, NULL);
	/* without IPv6 on the device there is no link-local address either */
	if (!rc || rc == -EAFNOSUPPORT)
		return 0;
	return request_failed(n, e, rc, "turning off link-local addresses of %s", name);
}

struct addrs_answer {
	struct addr *out;
	size_t max, count;
	int ifindex;
	bool set_only; /* no leased or autoconfigured ones, and none of the host's own */
};

static void
take_addr(void *ctx, const struct nlmsghdr *h)
{
	struct addrs_answer *a = ctx;
	const struct ifaddrmsg *info;
	struct nlattr *tb[IFA_MAX + 1], *at;
	struct addr got = {0};

	if (!h) {
		a->count = 0;
		return;
	}
	if (h->nlmsg_type != RTM_NEWADDR ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*info), tb, IFA_MAX, NULL) < 0)
		return;
	info = nlmsg_data(h);
	if ((int)info->ifa_index != a->ifindex || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) ||
	    (info->ifa_family == AF_INET6 && info->ifa_scope == RT_SCOPE_LINK))
		return;
	if (a->set_only && (!(info->ifa_flags & IFA_F_PERMANENT) || info->ifa_scope == RT_SCOPE_HOST))
		return;
	/* On a point-to-point device IFA_ADDRESS is the other end. */
	at = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!at || nla_len(at) != (int)request_address_bytes(info->ifa_family))
		return;
	got.family = info->ifa_family;
	got.prefix = info->ifa_prefixlen;
	memcpy(got.bytes, nla_data(at), request_address_bytes(got.family));
	if (a->count < a->max)
		a->out[a->count] = got;
	a->count++;
}

static int
read_addrs(struct netlink *n, const char *dev, struct addrs_answer *a, struct err *e)
{
	struct ifaddrmsg info = {.ifa_family = AF_UNSPEC};
	struct link_facts link;
	int rc;

	rc = netlink_link(n, dev, &link, e);
	if (rc)
		return rc;
	a->ifindex = link.ifindex;
	info.ifa_index = (unsigned)link.ifindex;
	rc = request_run(n, request_new(RTM_GETADDR, NLM_F_DUMP, &info, sizeof(info)), take_addr, a);
	return rc ? request_failed(n, e, rc, "reading the addresses of %s", dev) : 0;
}

int
netlink_addrs(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e)
{
	struct addrs_answer a = {.out = out, .max = max};
	int rc = read_addrs(n, dev, &a, e);

	if (!rc)
		*count = a.count;
	return rc;
}

int
netlink_addrs_set(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e)
{
	struct addrs_answer a = {.out = out, .max = max, .set_only = true};
	int rc = read_addrs(n, dev, &a, e);

	if (!rc)
		*count = a.count;
	return rc;
}

static int
change_addr(struct netlink *n, int type, int flags, const struct link_facts *link, const struct addr *a)
{
	struct ifaddrmsg info = {
	    .ifa_family = (unsigned char)a->family,
	    .ifa_prefixlen = a->prefix,
	    .ifa_index = (unsigned)link->ifindex,
	    /* Without neighbours nobody is asked for duplicates anyway, but the kernel comes to that later, and until
	     * then nothing can be bound to the address. */
	    .ifa_flags = link->noarp && a->family == AF_INET6 ? IFA_F_NODAD : 0,
	};
	struct nl_msg *msg = request_new(type, flags, &info, sizeof(info));

	msg = request_put(msg, IFA_LOCAL, a->bytes, request_address_bytes(a->family));
	msg = request_put(msg, IFA_ADDRESS, a->bytes, request_address_bytes(a->family));
	return request_run(n, msg, NULL, NULL);
}

/* The kernel says EEXIST for an IPv6 address also when it is there with another prefix length. */
static int
already_there(struct netlink *n, const char *dev, const struct addr *a, struct err *e)
{
	struct addr all[64];
	char text[ADDR_TEXT];
	size_t count;
	int rc = netlink_addrs(n, dev, all, sizeof(all) / sizeof(*all), &count, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < count && i < sizeof(all) / sizeof(*all); i++)
		if (addr_same_host(&all[i], a) && !addr_equal(&all[i], a))
			return err_set(e, -EEXIST, "adding %s to %s: it is there with prefix length %u",
				       addr_cidr(text, a), dev, all[i].prefix);
	return 0;
}

int
netlink_addr_add(struct netlink *n, const char *dev, const struct addr *a, struct err *e)
{
	struct link_facts link;
	char text[ADDR_TEXT];
	int rc;

	rc = netlink_link(n, dev, &link, e);
	if (rc)
		return rc;
	rc = change_addr(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &link, a);
	if (rc == -EEXIST)
		return a->family == AF_INET6 ? already_there(n, dev, a, e) : 0;
	return rc ? request_failed(n, e, rc, "adding %s to %s", addr_cidr(text, a), dev) : 0;
}

int
netlink_addr_del(struct netlink *n, const char *dev, const struct addr *a, struct err *e)
{
	struct link_facts link;
	char text[ADDR_TEXT];
	int rc;

	rc = netlink_link(n, dev, &link, e);
	if (rc)
		return rc == -ENODEV ? 0 : rc;
	rc = change_addr(n, RTM_DELADDR, 0, &link, a);
	if (!rc || rc == -EADDRNOTAVAIL)
		return 0;
	return request_failed(n, e, rc, "removing %s from %s", addr_cidr(text, a), dev);
}
