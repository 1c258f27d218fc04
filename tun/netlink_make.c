/* Devices that exist only because we say so: VLANs, and devices with nothing behind them. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "tun/netlink.h"
#include "tun/netlink_request.h"

/* IFLA_LINKINFO { kind, data { id, flags } }. With loose binding the parent going down does not take the VLAN down:
 * what is up is said for each device by itself. */
static int
put_kind(struct nl_msg *msg, const char *kind, unsigned vlan)
{
	const struct ifla_vlan_flags flags = {.flags = VLAN_FLAG_LOOSE_BINDING, .mask = VLAN_FLAG_LOOSE_BINDING};
	struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO), *data;

	if (!info || nla_put_string(msg, IFLA_INFO_KIND, kind) < 0)
		return -ENOMEM;
	if (vlan) {
		data = nla_nest_start(msg, IFLA_INFO_DATA);
		if (!data || nla_put_u16(msg, IFLA_VLAN_ID, (uint16_t)vlan) < 0 ||
		    nla_put(msg, IFLA_VLAN_FLAGS, sizeof(flags), &flags) < 0)
			return -ENOMEM;
		nla_nest_end(msg, data);
	}
	nla_nest_end(msg, info);
	return 0;
}

/* `parent` and `vlan` 0: none. */
static int
make_link(struct netlink *n, const char *name, const char *kind, int parent, unsigned vlan, struct err *e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg;
	int rc;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return err_set(e, -EINVAL, "device \"%.32s\": a name of 1 to 15 characters was expected", name);
	msg = request_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	msg = request_put(msg, IFLA_IFNAME, name, strlen(name) + 1);
	msg = request_put_u32(msg, IFLA_GROUP, NETLINK_OURS);
	if (parent)
		msg = request_put_u32(msg, IFLA_LINK, (uint32_t)parent);
	if (msg && put_kind(msg, kind, vlan)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	rc = request_run(n, msg, NULL, NULL);
	return rc ? request_failed(n, e, rc, "making the %s device %s", kind, name) : 0;
}

int
netlink_vlan_add(struct netlink *n, const char *name, const char *parent, unsigned id, struct err *e)
{
	struct link_facts below;
	int rc;

	if (!id || id > NETLINK_VLAN_MAX)
		return err_set(e, -EINVAL, "%s: VLAN %u, 1 to %d was expected", name, id, NETLINK_VLAN_MAX);
	rc = netlink_link(n, parent, &below, e);
	return rc ? rc : make_link(n, name, "vlan", below.ifindex, id, e);
}

int
netlink_dummy_add(struct netlink *n, const char *name, struct err *e)
{
	return make_link(n, name, "dummy", 0, 0, e);
}

/* By its index: the name may be another device's by now. */
int
netlink_link_del(struct netlink *n, const struct link_facts *link, struct err *e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = link->ifindex};
	int rc;

	if (link->ifindex <= 0)
		return err_set(e, -EINVAL, "removing device %s: no index", link->name);
	rc = request_run(n, request_new(RTM_DELLINK, 0, &info, sizeof(info)), NULL, NULL);
	if (!rc || rc == -ENODEV)
		return 0;
	return request_failed(n, e, rc, "removing device %s", link->name);
}
