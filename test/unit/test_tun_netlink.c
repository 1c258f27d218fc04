#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"

static struct netlink *nl;

static struct addr
prefix(const char *text)
{
	struct addr a = {0};

	if (addr_parse_prefix(text, &a))
		fail_msg("%s", text);
	return a;
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	return netlink_open(-1, &nl, &e) || fixture_veth("wan1", "peer1");
}

static int
teardown(void **state)
{
	(void)state;
	netlink_free(nl);
	return fixture_sh("ip link del wan1");
}

static bool
has(const char *dev, const char *cidr)
{
	struct addr all[32], want = prefix(cidr);
	size_t n;

	assert_int_equal(netlink_addrs(nl, dev, all, 32, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&all[i], &want))
			return true;
	return false;
}

static void
missing_device(void **state)
{
	static const struct {
		const char *what, *name;
	} cases[] = {
	    {"no such device", "nosuch0"},       {"empty name", ""},    {"too long a name", "a-name-of-twenty-chr"},
	    {"an alias is no device", "wan1:0"}, {"a path", "../wan1"},
	};
	struct addr a = prefix("192.0.2.1/24"), all[1];
	struct link_facts facts = {.ifindex = 77};
	size_t count = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *dev = cases[i].name;
		struct err e = ERR_NONE;

		print_message("%s\n", cases[i].what);
		assert_int_equal(netlink_link(nl, dev, &facts, &e), -ENODEV);
		assert_non_null(strstr(e.text, "no device"));
		assert_int_equal(e.code, -ENODEV);
		assert_int_equal(facts.ifindex, 77);
		assert_int_equal(netlink_link_set_up(nl, dev, true, &e), -ENODEV);
		assert_int_equal(netlink_link_set_mtu(nl, dev, 1400, NULL), -ENODEV);
		assert_int_equal(netlink_link_no_linklocal(nl, dev, &e), -ENODEV);
		assert_int_equal(netlink_addrs(nl, dev, all, 1, &count, &e), -ENODEV);
		assert_int_equal(count, 77);
		assert_int_equal(netlink_addr_add(nl, dev, &a, &e), -ENODEV);
		assert_int_equal(netlink_addr_del(nl, dev, &a, &e), 0);
	}
}

static void
link_changes(void **state)
{
	struct link_facts f;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(netlink_link(nl, "wan1", &f, &e), 0);
	assert_string_equal(f.name, "wan1");
	assert_true(f.ifindex > 0 && f.up && f.running);
	assert_int_equal(f.mtu, 1500);
	assert_true(f.mac[0] || f.mac[5]);
	assert_int_equal(netlink_link_set_mtu(nl, "wan1", 1400, &e), 0);
	assert_int_equal(netlink_link_set_up(nl, "wan1", false, &e), 0);
	assert_int_equal(netlink_link(nl, "wan1", &f, &e), 0);
	assert_true(!f.up && !f.running && f.mtu == 1400);
	assert_int_equal(netlink_link_set_up(nl, "wan1", false, &e), 0);
	assert_int_equal(netlink_link_set_up(nl, "wan1", true, &e), 0);
	assert_int_equal(netlink_link(nl, "wan1", &f, &e), 0);
	assert_true(f.up);
}

/* The reason has the device, the system's text, and the kernel's sentence where there is one. */
static void
refusals(void **state)
{
	struct addr broken = prefix("192.0.2.1/24");
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(netlink_link_set_mtu(nl, "wan1", 70000, &e), -EINVAL);
	assert_non_null(strstr(e.text, "wan1"));
	assert_non_null(strstr(e.text, "70000"));
	assert_non_null(strstr(e.text, "Invalid argument"));
	assert_non_null(strstr(e.text, "(mtu greater than device maximum)"));
	broken.prefix = 33;
	assert_int_equal(netlink_addr_add(nl, "wan1", &broken, &e), -EINVAL);
	assert_non_null(strstr(e.text, "192.0.2.1/33"));
	/* and the socket is as good as before */
	assert_int_equal(netlink_link_set_mtu(nl, "wan1", 1400, &e), 0);
}

static void
linklocal(void **state)
{
	char line[256];
	struct err e = ERR_NONE;

	(void)state;
	/* a pair with the kernel's own rule */
	assert_int_equal(
	    fixture_sh("cd /proc/sys/net/ipv6/conf/default && ip link del wan1 && echo 0 > addr_gen_mode && "
		       "ip link add wan1 type veth peer name peer1 && echo 1 > addr_gen_mode && "
		       "ip link set peer1 up"),
	    0);
	assert_int_equal(netlink_link_no_linklocal(nl, "wan1", &e), 0);
	assert_string_equal(fixture_line(line, sizeof(line), "cat /proc/sys/net/ipv6/conf/wan1/addr_gen_mode"), "1");
	assert_int_equal(netlink_link_set_up(nl, "wan1", true, &e), 0);
	assert_int_equal(fixture_device_rests("wan1"), 0);
	assert_string_equal(fixture_line(line, sizeof(line), "ip -6 addr show dev wan1"), "");
	/* the neighbour, with the kernel's own rule, has one: it does not count as an address */
	assert_int_equal(fixture_device_rests("peer1"), 0);
	assert_string_not_equal(fixture_line(line, sizeof(line), "ip -6 addr show dev peer1"), "");
	assert_false(has("peer1", "fe80::1/64"));
}

static void
addresses(void **state)
{
	static const struct {
		const char *what, *cidr;
	} cases[] = {
	    {"IPv4", "192.0.2.1/24"},     {"IPv4 host", "192.0.2.9/32"},    {"IPv4 pair", "192.0.2.64/31"},
	    {"IPv6", "2001:db8:1::1/64"}, {"IPv6 host", "2001:db8::9/128"},
	};
	struct err e = ERR_NONE;
	struct addr a, all[2];
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		print_message("%s\n", cases[i].what);
		a = prefix(cases[i].cidr);
		assert_false(has("wan1", cases[i].cidr));
		assert_int_equal(netlink_addr_del(nl, "wan1", &a, &e), 0);
		assert_int_equal(netlink_addr_add(nl, "wan1", &a, &e), 0);
		assert_true(has("wan1", cases[i].cidr));
		assert_false(has("peer1", cases[i].cidr));
		assert_int_equal(netlink_addr_add(nl, "wan1", &a, &e), 0);
	}
	/* more than there is room for: counted in full */
	assert_int_equal(netlink_addrs(nl, "wan1", all, 2, &count, &e), 0);
	assert_int_equal(count, 5);
	assert_int_equal(netlink_addrs(nl, "wan1", NULL, 0, &count, &e), 0);
	assert_int_equal(count, 5);
	a = prefix("2001:db8:1::1/48");
	assert_int_equal(netlink_addr_add(nl, "wan1", &a, &e), -EEXIST);
	assert_non_null(strstr(e.text, "prefix length 64"));
	a = prefix("192.0.2.1/25"); /* the same host with another prefix is another address */
	assert_int_equal(netlink_addr_del(nl, "wan1", &a, &e), 0);
	assert_true(has("wan1", "192.0.2.1/24"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		a = prefix(cases[i].cidr);
		assert_int_equal(netlink_addr_del(nl, "wan1", &a, &e), 0);
		assert_false(has("wan1", cases[i].cidr));
		assert_int_equal(netlink_addr_del(nl, "wan1", &a, &e), 0);
	}
}

static void
point_to_point(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip addr add 192.0.2.1 peer 192.0.2.200/32 dev wan1"), 0);
	assert_true(has("wan1", "192.0.2.1/32"));
	assert_false(has("wan1", "192.0.2.200/32"));
}

static void
links(void **state)
{
	struct link_facts all[8];
	struct err e = ERR_NONE;
	size_t count, seen = 0;

	(void)state;
	assert_int_equal(netlink_links(nl, all, 8, &count, &e), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		seen += !strcmp(all[i].name, "lo") || !strcmp(all[i].name, "wan1") || !strcmp(all[i].name, "peer1");
	assert_int_equal(seen, 3);
	assert_int_equal(netlink_links(nl, all, 1, &count, &e), 0);
	assert_int_equal(count, 3);
}

/* A socket of another namespace sees that one only, and the caller stays where it was. */
static void
other_namespace(void **state)
{
	struct netlink *other = NULL;
	struct link_facts f;
	struct err e = ERR_NONE;
	int fd;

	(void)state;
	assert_int_equal(fixture_sh("ip netns add fgfm-nl"), 0);
	fd = open("/run/netns/fgfm-nl", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(netlink_open(fd, &other, &e), 0);
	assert_int_equal(netlink_link(other, "lo", &f, &e), 0);
	assert_false(f.up);
	assert_int_equal(netlink_link(other, "wan1", &f, &e), -ENODEV);
	netlink_free(other);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(netlink_open(fd, &other, &e), -EINVAL);
	assert_non_null(strstr(e.text, "entering"));
	close(fd);
	assert_int_equal(netlink_link(nl, "wan1", &f, &e), 0);
	assert_int_equal(fixture_sh("ip netns del fgfm-nl"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(missing_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(link_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(linklocal, setup, teardown),
	    cmocka_unit_test_setup_teardown(addresses, setup, teardown),
	    cmocka_unit_test_setup_teardown(point_to_point, setup, teardown),
	    cmocka_unit_test_setup_teardown(links, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_namespace, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
