#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/err.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"

static struct netlink *nl;

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
	return fixture_sh("ip link del wan1; ip link del dum1 2>/dev/null; true");
}

static void
refusals(void **state)
{
	static const struct {
		const char *what, *name, *parent;
		unsigned id;
		int want;
		const char *reason;
	} cases[] = {
	    {"no such parent", "vlan10", "nosuch0", 10, -ENODEV, "no device nosuch0"},
	    {"id 0", "vlan10", "wan1", 0, -EINVAL, "vlan10: VLAN 0, 1 to 4094"},
	    {"id too large", "vlan10", "wan1", 4095, -EINVAL, "VLAN 4095"},
	    {"empty name", "", "wan1", 10, -EINVAL, "a name of 1 to 15"},
	    {"long name", "a-name-of-16-cha", "wan1", 10, -EINVAL, "a name of 1 to 15"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		int rc = netlink_vlan_add(nl, cases[i].name, cases[i].parent, cases[i].id, &e);

		if (rc != cases[i].want || !strstr(e.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
	}
	assert_int_equal(netlink_dummy_add(nl, "", NULL), -EINVAL);
	assert_int_equal(netlink_link_del(nl, &(struct link_facts){.name = "lo"}, NULL), -EINVAL);
}

/* Some kernels are built without these devices: then they say so, and the rest cannot be seen here. */
static bool
kernel_lacks(int rc, const char *reason)
{
	if (rc != -EOPNOTSUPP)
		return false;
	assert_non_null(strstr(reason, "Operation not supported"));
	return true;
}

static void
vlans(void **state)
{
	struct link_facts wan1, vlan;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(netlink_link(nl, "wan1", &wan1, NULL), 0);
	assert_string_equal(wan1.kind, "veth");
	assert_int_equal(wan1.group, 0);
	if (kernel_lacks(netlink_vlan_add(nl, "vlan10", "wan1", 10, &e), e.text))
		skip();
	assert_int_equal(netlink_link(nl, "vlan10", &vlan, &e), 0);
	assert_string_equal(vlan.kind, "vlan");
	assert_int_equal(vlan.vlan, 10);
	assert_int_equal(vlan.parent, wan1.ifindex);
	assert_int_equal(vlan.group, NETLINK_OURS);
	assert_false(vlan.up);
	/* up and down by itself */
	assert_int_equal(fixture_sh("ip link set vlan10 up && ip link set wan1 down"), 0);
	assert_int_equal(netlink_link(nl, "vlan10", &vlan, NULL), 0);
	assert_true(vlan.up);
	assert_int_equal(netlink_vlan_add(nl, "vlan11", "wan1", 10, NULL), -EEXIST); /* the same VLAN once more */
	assert_int_equal(netlink_vlan_add(nl, "peer1", "wan1", 11, NULL), -EEXIST);
	assert_int_equal(netlink_vlan_add(nl, "a/b", "wan1", 11, NULL), -EINVAL);
	assert_int_equal(netlink_link_del(nl, &vlan, NULL), 0);
	assert_int_equal(netlink_link_del(nl, &vlan, NULL), 0);
	assert_int_equal(netlink_link(nl, "vlan10", &vlan, NULL), -ENODEV);
}

static void
dummies(void **state)
{
	struct link_facts dummy;
	struct err e = ERR_NONE;
	char line[64];

	(void)state;
	if (kernel_lacks(netlink_dummy_add(nl, "dum1", &e), e.text))
		skip();
	assert_int_equal(netlink_link(nl, "dum1", &dummy, NULL), 0);
	assert_string_equal(dummy.kind, "dummy");
	assert_int_equal(dummy.group, NETLINK_OURS);
	assert_string_equal(fixture_line(line, sizeof(line), "ip -br link show group 26215 | wc -l"), "1");
	assert_int_equal(netlink_dummy_add(nl, "dum1", NULL), -EEXIST);
	assert_int_equal(netlink_link_del(nl, &dummy, NULL), 0);
	assert_int_equal(netlink_link(nl, "dum1", &dummy, NULL), -ENODEV);
}

/* Whatever the kind, by its index: the device may have another name by now. */
static void
removed(void **state)
{
	struct link_facts wan1;

	(void)state;
	assert_int_equal(netlink_link(nl, "wan1", &wan1, NULL), 0);
	assert_int_equal(fixture_sh("ip link set wan1 down && ip link set wan1 name wan2 && "
				    "ip link add wan1 type bridge"),
			 0);
	for (int again = 0; again < 2; again++)
		assert_int_equal(netlink_link_del(nl, &wan1, NULL), 0);
	assert_int_equal(netlink_link(nl, "wan2", &wan1, NULL), -ENODEV);
	assert_int_equal(netlink_link(nl, "wan1", &wan1, NULL), 0);
	assert_string_equal(wan1.kind, "bridge");
}

/* Only what somebody has set: no leases, nothing the host gives itself. */
static void
set_addresses(void **state)
{
	struct addr all[8];
	size_t count = 0;
	char text[ADDR_TEXT];

	(void)state;
	assert_int_equal(fixture_sh("ip addr add 192.0.2.1/24 dev wan1; "
				    "ip addr add 192.0.2.2/24 dev wan1 valid_lft 600 preferred_lft 600"),
			 0);
	assert_int_equal(netlink_addrs(nl, "wan1", all, 8, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(netlink_addrs_set(nl, "wan1", all, 8, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(addr_cidr(text, &all[0]), "192.0.2.1/24");
	assert_int_equal(netlink_addrs_set(nl, "lo", all, 8, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(netlink_addrs_set(nl, "nosuch0", all, 8, &count, NULL), -ENODEV);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(vlans, setup, teardown),
	    cmocka_unit_test_setup_teardown(dummies, setup, teardown),
	    cmocka_unit_test_setup_teardown(removed, setup, teardown),
	    cmocka_unit_test_setup_teardown(set_addresses, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
