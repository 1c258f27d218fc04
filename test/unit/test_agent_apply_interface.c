#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: netlink_link_set_up netlink_addr_del netlink_addrs netlink_link netlink_vlan_add netlink_dummy_add

#include <cmocka.h>
#include <errno.h>

#include "base/addr.h"
#include "test/unit/apply_fixture.h"
#include "tun/netlink.h"

/* Calls of each that work before one is refused; -1: all do. */
static int set_up_left = -1, addr_del_left = -1, addrs_left = -1;

int __real_netlink_link_set_up(struct netlink *n, const char *name, bool up, struct err *e);
int __wrap_netlink_link_set_up(struct netlink *n, const char *name, bool up, struct err *e);
int __real_netlink_addr_del(struct netlink *n, const char *dev, const struct addr *a, struct err *e);
int __wrap_netlink_addr_del(struct netlink *n, const char *dev, const struct addr *a, struct err *e);
int __real_netlink_addrs(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count,
			 struct err *e);
int __wrap_netlink_addrs(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count,
			 struct err *e);

static bool
refuse(int *left)
{
	if (*left < 0)
		return false;
	return (*left)-- == 0;
}

int
__wrap_netlink_link_set_up(struct netlink *n, const char *name, bool up, struct err *e)
{
	if (refuse(&set_up_left))
		return err_sys(e, -EBUSY, "setting %s %s", name, up ? "up" : "down");
	return __real_netlink_link_set_up(n, name, up, e);
}

int
__wrap_netlink_addr_del(struct netlink *n, const char *dev, const struct addr *a, struct err *e)
{
	if (refuse(&addr_del_left))
		return err_sys(e, -EPERM, "removing an address from %s", dev);
	return __real_netlink_addr_del(n, dev, a, e);
}

/* A read back that does not show what was written. */
int
__wrap_netlink_addrs(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e)
{
	if (refuse(&addrs_left)) {
		*count = 0;
		return 0;
	}
	return __real_netlink_addrs(n, dev, out, max, count, e);
}

/* Not every kernel has VLANs and dummies. Where they are missing macvlans and bridges stand for them. */
static struct {
	char name[16];
	unsigned id;
} vlans[8];

int __real_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e);
int __wrap_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e);
int __real_netlink_vlan_add(struct netlink *n, const char *name, const char *parent, unsigned id, struct err *e);
int __wrap_netlink_vlan_add(struct netlink *n, const char *name, const char *parent, unsigned id, struct err *e);
int __real_netlink_dummy_add(struct netlink *n, const char *name, struct err *e);
int __wrap_netlink_dummy_add(struct netlink *n, const char *name, struct err *e);

int
__wrap_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e)
{
	int rc = __real_netlink_link(n, name, out, e);

	if (!rc && !strcmp(out->kind, "bridge"))
		snprintf(out->kind, sizeof(out->kind), "dummy");
	if (rc || strcmp(out->kind, "macvlan") != 0)
		return rc;
	snprintf(out->kind, sizeof(out->kind), "vlan");
	for (size_t i = 0; i < sizeof(vlans) / sizeof(*vlans); i++)
		if (!strcmp(vlans[i].name, name))
			out->vlan = (uint16_t)vlans[i].id;
	return 0;
}

static void
stand_in_vlan(const char *name, const char *parent, unsigned id, int group)
{
	size_t i = 0;

	while (*vlans[i].name && strcmp(vlans[i].name, name) != 0)
		i++;
	snprintf(vlans[i].name, sizeof(vlans[i].name), "%s", name);
	vlans[i].id = id;
	assert_int_equal(fixture_sh("ip link add link %s name %s group %d type macvlan", parent, name, group), 0);
}

int
__wrap_netlink_vlan_add(struct netlink *n, const char *name, const char *parent, unsigned id, struct err *e)
{
	int rc = __real_netlink_vlan_add(n, name, parent, id, e);

	if (rc != -EOPNOTSUPP)
		return rc;
	stand_in_vlan(name, parent, id, NETLINK_OURS);
	return 0;
}

int
__wrap_netlink_dummy_add(struct netlink *n, const char *name, struct err *e)
{
	int rc = __real_netlink_dummy_add(n, name, e);

	if (rc != -EOPNOTSUPP)
		return rc;
	return fixture_sh("ip link add %s group %d type bridge", name, NETLINK_OURS);
}

static int
setup(void **state)
{
	memset(vlans, 0, sizeof(vlans));
	set_up_left = addr_del_left = addrs_left = -1;
	return fixture_apply_setup(state);
}

static int
set(const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "config system interface\nedit wan1\n%s\nnext\nend\n", lines);
	return fixture_cli(text);
}

static int
addresses(const char *pattern)
{
	return fixture_count("ip -4 -o addr show dev wan1", pattern);
}

static void
ok(const char *lines)
{
	if (set(lines) != CLI_OK)
		fail_msg("%s: %s", lines, fixture_err.text);
}

static void
missing_device_waits(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config system interface\nedit late1\nset ip 192.0.2.1/24\nset status down\nnext\n"
				     "delete late1\nend\n"),
			 CLI_OK);
}

static void
address_comes_and_goes(void **state)
{
	(void)state;
	ok("set ip 192.0.2.1 255.255.255.0");
	assert_int_equal(addresses("inet 192.0.2.1/24"), 1);
	ok("set ip 198.51.100.1/30");
	assert_int_equal(addresses("inet 198.51.100.1/30"), 1);
	assert_int_equal(addresses("inet"), 1);
	ok("set ip 198.51.100.1/29"); /* the same host with another mask */
	assert_int_equal(addresses("inet 198.51.100.1/29"), 1);
	assert_int_equal(addresses("inet"), 1);
	ok("set ip 0.0.0.0 0.0.0.0");
	assert_int_equal(addresses("inet"), 0);
	ok("set ip 192.0.2.9/32");
	ok("unset ip");
	assert_int_equal(addresses("inet"), 0);
	ok("set ip 192.0.2.9/32");
	assert_int_equal(fixture_cli("config system interface\ndelete wan1\nend\n"), CLI_OK);
	assert_int_equal(addresses("inet"), 0);
	assert_int_equal(fixture_count("ip -o link show wan1", "state UP"), 1);
}

/* Whatever the order of addresses in the kernel: those of others stay when ours goes, and ours when an older goes. */
static void
others_stay(void **state)
{
	static const struct {
		const char *what;
		int promote;
		const char *first, *hand;
	} cases[] = {
	    {"ours was first", 0, "set ip 192.0.2.1/24", "ip addr add 192.0.2.77/24 dev wan1"},
	    {"ours was first, the kernel promotes", 1, "set ip 192.0.2.1/24", "ip addr add 192.0.2.77/24 dev wan1"},
	    {"several of others", 0, "set ip 192.0.2.1/24",
	     "ip addr add 192.0.2.77/24 dev wan1; ip addr add 192.0.2.78/24 dev wan1; ip addr add 10.0.0.1/8 dev wan1"},
	    {"IPv6", 0, "set ip 192.0.2.1/24",
	     "ip addr add 192.0.2.77/24 dev wan1; ip addr add 2001:db8::1/64 dev wan1"},
	};
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int before;

		print_message("%s\n", cases[i].what);
		assert_int_equal(
		    fixture_sh("echo %d > /proc/sys/net/ipv4/conf/wan1/promote_secondaries", cases[i].promote), 0);
		ok(cases[i].first);
		assert_int_equal(fixture_sh("%s; ip route add 10.99.0.0/16 via 192.0.2.254", cases[i].hand), 0);
		before = fixture_count("ip -o addr show dev wan1", "inet");
		/* to another of the same subnet, of another subnet, and to none */
		ok("set ip 192.0.2.2/24");
		assert_int_equal(addresses("inet 192.0.2.2/24"), 1);
		assert_int_equal(addresses("inet 192.0.2.77/24"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet"), before);
		assert_int_equal(fixture_count("ip route", "10.99.0.0/16 via 192.0.2.254"), 1);
		ok("set ip 198.51.100.1/24");
		assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet"), before);
		ok("set ip 0.0.0.0/0");
		assert_int_equal(addresses("inet 192.0.2.77/24"), 1);
		assert_int_equal(fixture_count("ip -o addr show dev wan1", "inet"), before - 1);
		assert_int_equal(fixture_count("ip route", "10.99.0.0/16 via 192.0.2.254"), 1);
		snprintf(line, sizeof(line), "%d", cases[i].promote);
		assert_int_equal(fixture_count("cat /proc/sys/net/ipv4/conf/wan1/promote_secondaries", line), 1);
		assert_int_equal(fixture_sh("ip addr flush dev wan1; ip route flush 10.99.0.0/16"), 0);
	}
}

/* The address was there by hand already: it becomes ours without a gap, and a later one replaces it. */
static void
adopts(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip addr add 192.0.2.1/24 dev wan1"), 0);
	ok("set ip 192.0.2.1/24");
	assert_int_equal(addresses("inet"), 1);
	ok("set ip 192.0.2.2/24");
	assert_int_equal(addresses("inet"), 1);
	/* gone behind our back: no error */
	assert_int_equal(fixture_sh("ip addr flush dev wan1"), 0);
	ok("set ip 192.0.2.3/24");
	assert_int_equal(addresses("inet 192.0.2.3/24"), 1);
}

static void
status_and_mtu(void **state)
{
	static const struct {
		const char *what, *lines, *flags, *mtu;
	} cases[] = {
	    {"down", "set status down", "state DOWN", "mtu 1500 "},
	    {"still down", "set description x", "state DOWN", "mtu 1500 "},
	    {"up again", "set status up", "state UP", "mtu 1500 "},
	    {"down and up in one", "set status down\nset status up", "state UP", "mtu 1500 "},
	    {"mtu alone does nothing", "set mtu 1400", "state UP", "mtu 1500 "},
	    {"mtu in force", "set mtu-override enable", "state UP", "mtu 1400 "},
	    {"another mtu, down", "set mtu 1280\nset status down", "state DOWN", "mtu 1280 "},
	    {"no more mtu, up", "unset mtu-override\nset status up", "state UP", "mtu 1500 "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ok(cases[i].lines);
		if (fixture_count("ip -o link show wan1", cases[i].flags) != 1 ||
		    fixture_count("ip -o link show wan1", cases[i].mtu) != 1)
			fail_msg("%s", cases[i].what);
	}
	/* addresses and status at once, both ways */
	ok("set ip 192.0.2.1/24\nset status down");
	assert_int_equal(addresses("inet 192.0.2.1/24"), 1);
	ok("set ip 192.0.2.2/24\nset status up");
	assert_int_equal(addresses("inet 192.0.2.2/24"), 1);
	assert_int_equal(addresses("inet"), 1);
	/* an entry that goes leaves no MTU of its own behind */
	ok("set mtu-override enable");
	assert_int_equal(fixture_count("ip -o link show wan1", "mtu 1280 "), 1);
	assert_int_equal(fixture_cli("config system interface\ndelete wan1\nend\n"), CLI_OK);
	assert_int_equal(fixture_count("ip -o link show wan1", "mtu 1500 "), 1);
}

/* Each step refused in turn: the code, a reason that names the device, and a system and a tree as before. */
static void
refused(void **state)
{
	static const struct {
		const char *what, *lines;
		int *which, after;
		const char *reason;
	} cases[] = {
	    {"removing the old address", "set ip 198.51.100.1/24\nset mtu 1300", &addr_del_left, 0, "removing"},
	    {"setting it down", "set ip 198.51.100.1/24\nset status down", &set_up_left, 0,
	     "setting wan1 down: Device"},
	    {"reading back nothing", "set ip 198.51.100.1/24", &addrs_left, 4, "is not there"},
	    {"reading back at once nothing", "set mtu 1300", &addrs_left, 2, "is not there"},
	};
	char before[4096], after[4096];
	static const char *const show =
	    "(ip -o link show wan1 | grep -o 'mtu.*state [A-Z]*'; ip -4 -o addr show dev wan1 | "
	    "grep -o 'inet [^ ]*' | sort; ip route | sed 's/ src .*//') | tr '\n' ';'";

	(void)state;
	ok("set ip 192.0.2.1/24\nset mtu 1400\nset mtu-override enable");
	assert_int_equal(fixture_sh("ip addr add 192.0.2.77/24 dev wan1"), 0);
	assert_int_equal(
	    fixture_cli("config router static\nedit 1\nset gateway 192.0.2.254\nset device wan1\nnext\nend"), CLI_OK);
	fixture_line(before, sizeof(before), show);
	assert_non_null(strstr(before, "192.0.2.77"));
	assert_non_null(strstr(before, "default via"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc;

		*cases[i].which = cases[i].after;
		rc = set(cases[i].lines);
		*cases[i].which = -1;
		if (rc != CLI_FAILED || !strstr(fixture_err.text, cases[i].reason) || !strstr(fixture_err.text, "wan1"))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		fixture_line(after, sizeof(after), show);
		if (strcmp(before, after) != 0)
			fail_msg("%s:\n%s\n%s", cases[i].what, before, after);
		assert_string_equal(entry_get(tree_entry(fixture_tree, "system interface", "wan1"), "ip"),
				    "192.0.2.1 255.255.255.0");
	}
}

static void
refused_up(void **state)
{
	(void)state;
	ok("set ip 192.0.2.1/24\nset status down");
	set_up_left = 0;
	assert_int_equal(set("set ip 192.0.2.2/24\nset mtu 1400\nset mtu-override enable\nset status up"), CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "setting wan1 up"));
	assert_int_equal(fixture_count("ip -o link show wan1", "state DOWN"), 1);
	assert_int_equal(fixture_count("ip -o link show wan1", "mtu 1500 "), 1);
	assert_int_equal(addresses("inet 192.0.2.1/24"), 1);
	assert_int_equal(addresses("inet"), 1);
}

/* The kernel's own refusal, with its own words. */
static void
refused_by_the_kernel(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip tuntap add late1 mode tap"), 0);
	assert_int_equal(fixture_cli("config system interface\nedit late1\nset mtu 65535\nset mtu-override enable\n"
				     "set ip 192.0.2.1/24\nnext\nend"),
			 CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "late1"));
	assert_non_null(strstr(fixture_err.text, "Invalid argument (mtu greater than device maximum)"));
	assert_int_equal(fixture_count("ip -o addr show dev late1", "192.0.2.1"), 0);
	assert_null(tree_entry(fixture_tree, "system interface", "late1"));
}

/* Static routes through the device follow its address, as after a start with this configuration. */
static void
routes_follow(void **state)
{
	(void)state;
	ok("set ip 192.0.2.1/24");
	assert_int_equal(
	    fixture_cli("config router static\n"
			"edit 1\nset gateway 192.0.2.254\nset device wan1\nnext\n"
			"edit 2\nset dst 10.0.0.0/8\nset device wan1\nnext\n"
			"edit 3\nset dst 172.16.0.0/12\nset gateway 192.0.2.253\nset device wan1\nnext\nend"),
	    CLI_OK);
	assert_int_equal(fixture_count("ip route", "proto static"), 3);
	ok("set ip 192.0.2.2/24");
	assert_int_equal(fixture_count("ip route", "proto static"), 3);
	ok("set status down");
	assert_int_equal(fixture_count("ip route", "proto static"), 0);
	ok("set status up");
	assert_int_equal(fixture_count("ip route", "proto static"), 3);
	/* gateways that are out of reach now wait, rather than linger until the next reboot */
	ok("set ip 198.51.100.1/24");
	assert_int_equal(fixture_count("ip route", "proto static"), 1);
	ok("set ip 192.0.2.1/24");
	assert_int_equal(fixture_count("ip route", "proto static"), 3);
	ok("set ip 0.0.0.0/0");
	assert_int_equal(fixture_count("ip route", "proto static"), 1);
	ok("set ip 192.0.2.1/24");
	assert_int_equal(fixture_count("ip route", "proto static"), 3);
}

static int
addresses6(const char *pattern)
{
	return fixture_count("ip -6 -o addr show dev wan1 scope global", pattern);
}

static void
several_addresses(void **state)
{
	static const struct {
		const char *what, *lines, *v4, *v6; /* every address, in the kernel's order */
	} cases[] = {
	    {"secondary ones alone do not count", "config secondaryip\nedit 1\nset ip 198.51.100.1/24\nnext\nend", "",
	     ""},
	    {"once they are enabled", "set ip 192.0.2.1/24\nset secondary-IP enable", "192.0.2.1/24 198.51.100.1/24",
	     ""},
	    {"in the same subnet", "config secondaryip\nedit 2\nset ip 192.0.2.2/24\nnext\nend",
	     "192.0.2.1/24 198.51.100.1/24 192.0.2.2/24", ""},
	    {"the first one goes, the others stay", "set ip 203.0.113.1/24",
	     "198.51.100.1/24 192.0.2.2/24 203.0.113.1/24", ""},
	    {"a secondary one becomes the first", "set ip 198.51.100.1/24\nconfig secondaryip\ndelete 1\nend",
	     "198.51.100.1/24 192.0.2.2/24", ""},
	    {"the same twice", "config secondaryip\nedit 3\nset ip 198.51.100.1/24\nnext\nend",
	     "198.51.100.1/24 192.0.2.2/24", ""},
	    {"one of the two stays", "config secondaryip\ndelete 3\nend", "198.51.100.1/24 192.0.2.2/24", ""},
	    {"disabled", "unset secondary-IP", "198.51.100.1/24", ""},
	    {"IPv6", "config ipv6\nset ip6-address 2001:db8::1/64\nend", "198.51.100.1/24", "2001:db8::1/64"},
	    {"another prefix length", "config ipv6\nset ip6-address 2001:db8::1/48\nend", "198.51.100.1/24",
	     "2001:db8::1/48"},
	    {"a further one", "config ipv6\nconfig ip6-extra-addr\nedit 2001:db8:1::1/64\nnext\nend\nend",
	     "198.51.100.1/24", "2001:db8::1/48 2001:db8:1::1/64"},
	    {"no more IPv4", "set ip 0.0.0.0/0", "", "2001:db8::1/48 2001:db8:1::1/64"},
	    {"no more IPv6", "config ipv6\nunset ip6-address\nconfig ip6-extra-addr\npurge\nend\nend", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char v4[256], v6[256];

		ok(cases[i].lines);
		fixture_line(v4, sizeof(v4), "ip -4 -o addr show dev wan1 | awk '{print $4}' | sort | xargs");
		fixture_line(v6, sizeof(v6),
			     "ip -6 -o addr show dev wan1 scope global | awk '{print $4}' | sort | xargs");
		for (const char *list = cases[i].v4; *list;) {
			size_t n = strcspn(list, " ");
			char one[64];

			snprintf(one, sizeof(one), "%.*s", (int)n, list);
			if (!strstr(v4, one))
				fail_msg("%s: no %s in %s", cases[i].what, one, v4);
			list += n + (list[n] == ' ');
		}
		assert_int_equal(strlen(v4), strlen(cases[i].v4));
		if (strlen(v6) != strlen(cases[i].v6) || (*v6 && !strstr(v6, "2001:db8::1/")))
			fail_msg("%s: %s", cases[i].what, v6);
	}
}

/* The kernel takes IPv6 addresses away with the link, and knows a host only once on a device. */
static void
ipv6_by_the_link(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip addr add 2001:db8:7::7/64 dev wan1"), 0);
	ok("set status down\nconfig ipv6\nset ip6-address 2001:db8::1/64\nend");
	assert_int_equal(addresses6("inet6"), 0);
	ok("set status up");
	assert_int_equal(addresses6("2001:db8::1/64"), 1);
	ok("set status down");
	ok("set status up");
	assert_int_equal(addresses6("2001:db8::1/64"), 1);
	/* with an address of somebody else's in the way it is a conflict, and nothing has changed */
	assert_int_equal(fixture_sh("ip addr add 2001:db8:7::7/64 dev wan1"), 0);
	assert_int_equal(
	    set("set mtu-override enable\nset mtu 1400\nconfig ipv6\nset ip6-address 2001:db8:7::7/48\nend"),
	    CLI_CONFLICT);
	assert_non_null(strstr(fixture_err.text, "prefix length 64"));
	assert_int_equal(addresses6("2001:db8:7::7/64"), 1);
	assert_int_equal(addresses6("2001:db8::1/64"), 1);
	assert_int_equal(fixture_count("ip -o link show wan1", "mtu 1500 "), 1);
	/* a failure after another prefix length was set */
	ok("set ip 192.0.2.1/24\nconfig ipv6\nset ip6-address 2001:db8::1/64\nend");
	addr_del_left = 1;
	assert_int_equal(set("set ip 192.0.2.2/24\nconfig ipv6\nset ip6-address 2001:db8::1/48\nend"), CLI_FAILED);
	addr_del_left = -1;
	assert_int_equal(addresses6("2001:db8::1/64"), 1);
	assert_int_equal(addresses("192.0.2.1/24"), 1);
	assert_int_equal(addresses("inet"), 1);
}

static int
vlan(const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "config system interface\nedit wan1\nnext\nedit lan1\nnext\nedit vlan10\n%s\nnext\nend\n", lines);
	return fixture_cli(text);
}

static int
there(const char *name, const char *pattern)
{
	char command[64];

	snprintf(command, sizeof(command), "ip -d -o link show %s", name);
	return fixture_count(command, pattern);
}

static void
vlans_come_and_go(void **state)
{
	(void)state;
	assert_int_equal(vlan("set type vlan\nset interface wan1\nset vlanid 10\nset ip 10.10.0.1/24"), CLI_OK);
	assert_int_equal(there("vlan10", "vlan10@wan1"), 1);
	assert_int_equal(there("vlan10", "[<,]UP[,>]"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.10.0.1/24"), 1);
	/* another parent: another device, with the same address */
	assert_int_equal(vlan("set interface lan1"), CLI_OK);
	assert_int_equal(there("vlan10", "vlan10@lan1"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.10.0.1/24"), 1);
	/* gone behind our back: made again by what touches the entry */
	assert_int_equal(fixture_sh("ip link del vlan10"), 0);
	assert_int_equal(vlan("set alias x"), CLI_OK);
	assert_int_equal(there("vlan10", "vlan10@lan1"), 1);
	assert_int_equal(fixture_cli("config system interface\ndelete vlan10\nend"), CLI_OK);
	assert_int_equal(there("vlan10", "."), 0);
	/* as FortiOS prints it, without a type */
	assert_int_equal(vlan("set interface wan1\nset vlanid 10\nset status down"), CLI_OK);
	assert_int_equal(there("vlan10", "state DOWN"), 1);
	assert_int_equal(vlan("set vlanid 0"), CLI_OK);
	assert_int_equal(there("vlan10", "."), 0);
	/* a loopback */
	assert_int_equal(
	    fixture_cli("config system interface\nedit lo9\nset type loopback\nset ip 10.9.9.9/32\nnext\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -o addr show dev lo9", "10.9.9.9/32"), 1);
	assert_int_equal(fixture_cli("config system interface\ndelete lo9\nend"), CLI_OK);
	assert_int_equal(there("lo9", "."), 0);
	/* the one that every box has is used, and stays */
	assert_int_equal(fixture_cli("config system interface\nedit lo\nset type loopback\nset ip 10.9.9.9/32\nnext\n"
				     "delete lo\nend"),
			 CLI_OK);
	assert_int_equal(there("lo", "."), 1);
	assert_int_equal(fixture_count("ip -o addr show dev lo", "10.9.9.9/32"), 0);
}

static void
vlans_of_others(void **state)
{
	static const struct {
		const char *what, *lines;
		int want;
		const char *reason;
	} cases[] = {
	    {"no id", "set type vlan\nset interface wan1", CLI_REQUIRED, "vlan10: a VLAN needs vlanid and interface"},
	    {"no parent", "set type vlan\nset vlanid 10", CLI_REQUIRED, "a VLAN needs"},
	    {"another id", "set interface wan1\nset vlanid 11", CLI_CONFLICT, "no VLAN 11 on wan1"},
	    {"another parent", "set interface lan1\nset vlanid 10", CLI_CONFLICT, "no VLAN 10 on lan1"},
	    {"no VLAN at all", "set type loopback", CLI_CONFLICT, "no loopback"},
	};

	(void)state;
	if (fixture_sh("ip link add link wan1 name vlan10 type vlan id 10 2>/dev/null"))
		stand_in_vlan("vlan10", "wan1", 10, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc = vlan(cases[i].lines);

		if (rc != cases[i].want || !strstr(fixture_err.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		assert_int_equal(there("vlan10", "vlan10@wan1"), 1);
		assert_null(tree_entry(fixture_tree, "system interface", "vlan10"));
	}
	/* the one that is right is used, and never removed */
	assert_int_equal(vlan("set interface wan1\nset vlanid 10\nset ip 10.10.0.1/24"), CLI_OK);
	assert_int_equal(fixture_cli("config system interface\ndelete vlan10\nend"), CLI_OK);
	assert_int_equal(there("vlan10", "vlan10@wan1"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.10.0.1/24"), 0);
	assert_int_equal(fixture_sh("ip link del vlan10"), 0);
}

/* What fails half-way leaves the VLAN that was there, or none. */
static void
vlans_undone(void **state)
{
	(void)state;
	set_up_left = 0;
	assert_int_equal(vlan("set interface wan1\nset vlanid 10"), CLI_FAILED);
	set_up_left = -1;
	assert_int_equal(there("vlan10", "."), 0);
	assert_int_equal(vlan("set interface wan1\nset vlanid 10\nset ip 10.10.0.1/24"), CLI_OK);
	assert_int_equal(fixture_sh("ip addr add 10.77.0.1/24 dev vlan10"), 0);
	set_up_left = 0;
	assert_int_equal(vlan("set vlanid 20\nset interface lan1\nset ip 10.20.0.1/24"), CLI_FAILED);
	set_up_left = -1;
	assert_int_equal(there("vlan10", "vlan10@wan1"), 1);
	assert_int_equal(there("vlan10", "[<,]UP[,>]"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.10.0.1/24"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.77.0.1/24"), 1);
	assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.20.0.1/24"), 0);
	assert_int_equal(fixture_cli("config system interface\ndelete vlan10\nend"), CLI_OK);
}

/* Parents come late, go, and change their size. */
static void
vlans_follow_their_parent(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(fixture_cli("config system interface\nedit late1\nnext\nedit vlan10\nset interface late1\n"
				     "set vlanid 10\nset ip 10.10.0.1/24\nnext\nend"),
			 CLI_OK);
	assert_int_equal(there("vlan10", "."), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(fixture_sh("ip link add late1 type veth peer name late2"), 0);
		assert_int_equal(apply_link(fixture_apply, fixture_tree, "late1", &e), CLI_OK);
		assert_int_equal(fixture_count("ip -o addr show dev vlan10", "10.10.0.1/24"), 1);
		assert_int_equal(fixture_sh("ip link del late1"), 0); /* and the VLAN on it */
		assert_int_equal(there("vlan10", "."), 0);
	}
	assert_int_equal(fixture_sh("ip link add late1 type veth peer name late2"), 0);
	assert_int_equal(apply_link(fixture_apply, fixture_tree, "late1", &e), CLI_OK);
	assert_int_equal(
	    fixture_cli("config system interface\nedit late1\nset mtu-override enable\nset mtu 1400\nnext\nend"),
	    CLI_OK);
	assert_int_equal(there("vlan10", "mtu 1400 "), 1);
	assert_int_equal(fixture_cli("config system interface\nedit late1\nunset mtu-override\nnext\nend"), CLI_OK);
	assert_int_equal(there("vlan10", "mtu 1500 "), 1);
	assert_int_equal(
	    fixture_cli("config system interface\nedit vlan10\nset mtu-override enable\nset mtu 1300\nnext\nend"),
	    CLI_OK);
	assert_int_equal(there("vlan10", "mtu 1300 "), 1);
	assert_int_equal(fixture_cli("config system interface\nedit vlan10\nunset mtu-override\nnext\nend"), CLI_OK);
	assert_int_equal(there("vlan10", "mtu 1500 "), 1);
}

/* What the host had before an install named it stays when that is taken back; what is saved is the configuration's. */
static void
addresses_of_the_host(void **state)
{
	static const struct {
		const char *what;
		bool saved, killed;
		int left;
	} cases[] = {
	    {"taken back", false, false, 1},
	    {"taken back by the agent's next life", false, true, 1},
	    {"saved before", true, false, 0},
	    {"saved before, in another life", true, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		apply_own(fixture_apply);
		assert_int_equal(
		    fixture_sh("ip address add 192.0.2.7/24 dev wan1; ip address add 2001:db8::7/64 dev wan1 nodad"),
		    0);
		ok("set ip 192.0.2.7/24\nset secondary-IP enable\nconfig secondaryip\nedit 1\nset ip "
		   "192.0.2.8/24\nnext\nend\n"
		   "config ipv6\nset ip6-address 2001:db8::7/64\nend");
		if (cases[i].saved)
			apply_own(fixture_apply);
		if (cases[i].killed)
			assert_int_equal(fixture_host(true), 0);
		ok("unset ip\nset secondary-IP disable\nconfig ipv6\nunset ip6-address\nend");
		if (fixture_count("ip -o address show dev wan1", "192.0.2.7/24") != cases[i].left ||
		    fixture_count("ip -o address show dev wan1", "2001:db8::7/64") != cases[i].left ||
		    fixture_count("ip -o address show dev wan1", "192.0.2.8/24"))
			fail_msg("%s: not %d", cases[i].what, cases[i].left);
		assert_int_equal(fixture_sh("ip address flush dev wan1"), 0);
	}
	apply_own(fixture_apply);
	assert_int_equal(fixture_sh("! ls /run/host/addresses.before-fgfmd 2> /dev/null"), 0);
}

/* One that a killed agent has left on goes off; somebody's own stays. */
static void
a_switch_left_on(void **state)
{
	static const struct {
		const char *what;
		int found, left;
	} cases[] = {{"ours", 2, 0}, {"an operator's", 1, 1}, {"off", 0, 0}};
	char line[8];

	(void)state;
	ok("set ip 192.0.2.1/24");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		assert_int_equal(
		    fixture_sh("echo %d > /proc/sys/net/ipv4/conf/wan1/promote_secondaries", cases[i].found), 0);
		assert_int_equal(apply_all(fixture_apply, fixture_tree, &e), 0);
		snprintf(line, sizeof(line), "%d", cases[i].left);
		if (fixture_count("cat /proc/sys/net/ipv4/conf/wan1/promote_secondaries", line) != 1)
			fail_msg("%s: not %s", cases[i].what, line);
	}
}

/* An argument is a pattern of the tests to run, "vlans*": check-vm has no time for those that any kernel shows. */
int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_switch_left_on, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(addresses_of_the_host, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(missing_device_waits, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(refused, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(refused_up, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(refused_by_the_kernel, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(address_comes_and_goes, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(others_stay, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(adopts, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(status_and_mtu, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(routes_follow, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(several_addresses, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(ipv6_by_the_link, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(vlans_of_others, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(vlans_undone, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(vlans_come_and_go, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(vlans_follow_their_parent, setup, fixture_apply_teardown),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
