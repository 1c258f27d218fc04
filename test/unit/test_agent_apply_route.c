#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: netlink_route_del netlink_route_there netlink_link

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "test/unit/apply_fixture.h"
#include "tun/netlink.h"

static int del_left = -1, there_left = -1, link_left = -1; /* calls that work before one is refused; -1: all do */

int __real_netlink_route_del(struct netlink *n, const struct route *r, struct err *e);
int __wrap_netlink_route_del(struct netlink *n, const struct route *r, struct err *e);
int __real_netlink_route_there(struct netlink *n, const struct route *r, bool *there, struct err *e);
int __wrap_netlink_route_there(struct netlink *n, const struct route *r, bool *there, struct err *e);

static bool
refuse(int *left)
{
	if (*left < 0)
		return false;
	return (*left)-- == 0;
}

int
__wrap_netlink_route_del(struct netlink *n, const struct route *r, struct err *e)
{
	if (refuse(&del_left))
		return err_sys(e, -EPERM, "removing a route through %s", r->dev);
	return __real_netlink_route_del(n, r, e);
}

int
__wrap_netlink_route_there(struct netlink *n, const struct route *r, bool *there, struct err *e)
{
	if (refuse(&there_left)) {
		*there = false;
		return 0;
	}
	return __real_netlink_route_there(n, r, there, e);
}

int __real_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e);
int __wrap_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e);

int
__wrap_netlink_link(struct netlink *n, const char *name, struct link_facts *out, struct err *e)
{
	if (refuse(&link_left))
		return err_sys(e, -ENOMEM, "looking up device %s", name);
	return __real_netlink_link(n, name, out, e);
}

static int
setup(void **state)
{
	del_left = there_left = link_left = -1;
	return fixture_apply_setup(state) ||
	       fixture_cli("config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\n"
			   "edit lan1\nset ip 198.51.100.1/24\nnext\nedit late1\nnext\nend") != CLI_OK;
}

static int
set(int number, const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "config router static\nedit %d\n%s\nnext\nend\n", number, lines);
	return fixture_cli(text);
}

static void
ok(int number, const char *lines)
{
	if (set(number, lines) != CLI_OK)
		fail_msg("%s: %s", lines, fixture_err.text);
}

static void delete (int number)
{
	char text[128];

	snprintf(text, sizeof(text), "config router static\ndelete %d\nend\n", number);
	assert_int_equal(fixture_cli(text), CLI_OK);
}

static int
routes(const char *pattern)
{
	return fixture_count("ip route show proto static", pattern);
}

static void
forms(void **state)
{
	static const struct {
		const char *what, *lines, *show;
	} cases[] = {
	    {"default by gateway and device", "set gateway 192.0.2.254\nset device wan1",
	     "^default via 192.0.2.254 dev wan1 .*metric 655361"},
	    {"network", "set dst 10.0.0.0 255.0.0.0\nset gateway 192.0.2.254\nset device wan1",
	     "^10.0.0.0/8 via 192.0.2.254 dev wan1 .*metric 655361"},
	    {"bits beyond the mask", "set dst 10.1.2.3 255.255.0.0\nset gateway 192.0.2.254\nset device wan1",
	     "^10.1.0.0/16 via 192.0.2.254"},
	    {"host", "set dst 10.1.2.3/32\nset device wan1", "^10.1.2.3 dev wan1 scope link"},
	    {"gateway alone", "set dst 10.0.0.0/8\nset gateway 198.51.100.9", "^10.0.0.0/8 via 198.51.100.9 dev lan1"},
	    {"distance and priority", "set device wan1\nset distance 3\nset priority 700",
	     "^default dev wan1 .*metric 197308"},
	    {"largest", "set device wan1\nset distance 255\nset priority 65535", "^default dev wan1 .*metric 16777215"},
	    {"blackhole", "set dst 10.0.0.0/8\nset blackhole enable\nset distance 254",
	     "^blackhole 10.0.0.0/8 .*metric"},
	    {"blackhole with a device", "set dst 10.0.0.0/8\nset blackhole enable\nset device wan1",
	     "^blackhole 10.0.0.0/8 .*metric"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ok(1, cases[i].lines);
		if (routes(cases[i].show) != 1 || routes(".") != 1) {
			fixture_sh("ip route");
			fail_msg("%s: no line \"%s\"", cases[i].what, cases[i].show);
		}
		delete (1);
		assert_int_equal(routes("."), 0);
	}
}

static void
refusals(void **state)
{
	static const struct {
		const char *what, *lines;
		int want;
		const char *reason;
	} cases[] = {
	    {"neither way", "set dst 10.0.0.0/8", CLI_REQUIRED, "gateway or a device"},
	    {"gateway out of reach", "set gateway 203.0.113.1\nset device wan1", CLI_FAILED,
	     "route to 0.0.0.0/0 via 203.0.113.1 dev wan1: Network is unreachable (Nexthop has invalid gateway)"},
	    {"gateway of the other device", "set gateway 198.51.100.9\nset device wan1", CLI_FAILED, "dev wan1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc = set(1, cases[i].lines);

		if (rc != cases[i].want || !strstr(fixture_err.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		assert_int_equal(routes("."), 0);
		assert_int_equal(tree_count(fixture_tree, "router static"), 0);
	}
}

/* A change that fails leaves the old route and the old entry. */
static void
changes_undone(void **state)
{
	(void)state;
	ok(1, "set gateway 192.0.2.254\nset device wan1");
	assert_int_equal(set(1, "set gateway 203.0.113.1"), CLI_FAILED);
	assert_int_equal(routes("via 192.0.2.254"), 1);
	del_left = 0;
	assert_int_equal(set(1, "set gateway 192.0.2.253"), CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "removing a route"));
	assert_int_equal(routes("."), 1);
	assert_int_equal(routes("via 192.0.2.254"), 1);
	there_left = 1;
	assert_int_equal(set(1, "set gateway 192.0.2.253"), CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "is not there"));
	assert_int_equal(routes("via 192.0.2.254"), 1);
	assert_string_equal(entry_get(tree_entry(fixture_tree, "router static", "1"), "gateway"), "192.0.2.254");
	del_left = 0;
	assert_int_equal(fixture_cli("config router static\ndelete 1\nend"), CLI_FAILED);
	assert_int_equal(routes("."), 1);
	assert_int_equal(tree_count(fixture_tree, "router static"), 1);
}

static void
changes(void **state)
{
	static const struct {
		const char *what, *lines, *show;
	} cases[] = {
	    {"created", "set gateway 192.0.2.254\nset device wan1", "^default via 192.0.2.254"},
	    {"gateway", "set gateway 192.0.2.253", "^default via 192.0.2.253"},
	    {"destination", "set dst 10.0.0.0/8", "^10.0.0.0/8 via 192.0.2.253"},
	    {"only a comment", "set comment x", "^10.0.0.0/8 via 192.0.2.253"},
	    {"device", "set device lan1\nset gateway 198.51.100.9", "^10.0.0.0/8 via 198.51.100.9 dev lan1"},
	    {"priority", "set priority 9", "metric 655369"},
	    {"disabled", "set status disable", NULL},
	    {"changed while disabled", "set dst 10.7.0.0/16", NULL},
	    {"enabled", "set status enable", "^10.7.0.0/16 via 198.51.100.9"},
	    {"device that is not there", "unset gateway\nset device late1", NULL},
	    {"and back", "set device wan1", "^10.7.0.0/16 dev wan1"},
	    {"blackhole", "set blackhole enable", "^blackhole 10.7.0.0/16"},
	    {"no blackhole", "unset blackhole", "^10.7.0.0/16 dev wan1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ok(1, cases[i].lines);
		if (routes(".") != (cases[i].show ? 1 : 0) || (cases[i].show && routes(cases[i].show) != 1)) {
			fixture_sh("ip route");
			fail_msg("%s", cases[i].what);
		}
	}
}

static void
down_device_waits(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip link set wan1 down"), 0);
	ok(1, "set gateway 192.0.2.254\nset device wan1");
	assert_int_equal(routes("."), 0);
	delete (1);
}

/* Two entries for the same destination stand side by side; two that are alike share one route. */
/* A device nobody can tell anything of is not one that is down. */
static void
unknown_device_does_not_wait(void **state)
{
	(void)state;
	link_left = 0;
	ok(1, "set dst 10.1.0.0/16\nset gateway 192.0.2.254\nset device wan1");
	assert_int_equal(routes("10.1.0.0/16"), 1);
}

static void
several_entries(void **state)
{
	(void)state;
	ok(1, "set gateway 192.0.2.254\nset device wan1");
	ok(2, "set gateway 192.0.2.253\nset device wan1");
	ok(3, "set gateway 198.51.100.9\nset device lan1\nset distance 20");
	assert_int_equal(routes("^default"), 3);
	delete (2);
	assert_int_equal(routes("^default"), 2);
	assert_int_equal(routes("via 192.0.2.254"), 1);
	ok(4, "set gateway 192.0.2.254\nset device wan1");
	assert_int_equal(routes("^default"), 2);
	delete (1);
	assert_int_equal(routes("via 192.0.2.254"), 1);
	delete (4);
	assert_int_equal(routes("^default"), 1);
}

enum { GATEWAYS = 4, ENTRIES = 6 };

/* Each route that some entry asks for is there, once, and no other. */
static void
assert_as_configured(int step)
{
	bool wanted[GATEWAYS] = {false}, found[GATEWAYS] = {false};
	FILE *f = popen("ip route show proto static", "r");
	char line[128];

	for (const struct entry *en = tree_first(fixture_tree, "router static"); en; en = entry_next(en)) {
		int i = atoi(entry_get(en, "gateway") + strlen("192.0.2."));

		if (!strcmp(entry_get(en, "status"), "enable"))
			wanted[i - 200] = true;
	}
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *via = strstr(line, "via 192.0.2.");
		int i = via ? atoi(via + strlen("via 192.0.2.")) - 200 : -1;

		if (i < 0 || i >= GATEWAYS || found[i])
			fail_msg("step %d: not asked for: %s", step, line);
		found[i] = true;
	}
	assert_int_equal(pclose(f), 0);
	for (int i = 0; i < GATEWAYS; i++) {
		if (found[i] != wanted[i])
			fail_msg("step %d: route via 192.0.2.%d", step, 200 + i);
	}
}

static int
any_change(int form, int entry, int other, int gateway)
{
	char text[256];

	switch (form) {
	case 0:
	case 1:
		snprintf(text, sizeof(text), "set gateway 192.0.2.%d\nset device wan1\nset status enable", gateway);
		return set(entry, text);
	case 2:
		snprintf(text, sizeof(text), "set gateway 192.0.2.%d\nset device wan1\nset status disable", gateway);
		return set(entry, text);
	case 3:
		return set(entry, "set gateway 203.0.113.1");
	case 4:
		return set(entry, "set device wan1\nset gateway 192.0.2.200\nset comment x");
	case 5:
		snprintf(text, sizeof(text), "config router static\ndelete %d\nend", entry);
		break;
	case 6:
		snprintf(text, sizeof(text), "config router static\ndelete %d\ndelete %d\nend", entry, other);
		break;
	case 7:
		snprintf(text, sizeof(text), "config router static\nrename %d to %d\nend", entry, other);
		break;
	case 8:
		snprintf(text, sizeof(text), "config router static\nmove %d before %d\nend", entry, other);
		break;
	default:
		snprintf(text, sizeof(text), "config system interface\nedit lan1\nset alias a%d\nend", gateway);
	}
	return fixture_cli(text);
}

/* Few routes and many entries that ask for them, in any order, with changes between that are refused, or that the
 * routes hear nothing of. */
static void
entries_share_routes(void **state)
{
	unsigned long long seed = 3;
	int dice[4], refused = 0;

	(void)state;
	for (int step = 0; step < 250; step++) {
		for (int i = 0; i < 4; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			dice[i] = (int)(seed >> 40);
		}
		del_left = step % 7 ? -1 : 0;
		refused += any_change(dice[0] % 10, 1 + dice[1] % ENTRIES, 1 + dice[2] % ENTRIES,
				      200 + dice[3] % GATEWAYS) != CLI_OK;
		del_left = -1;
		assert_as_configured(step);
	}
	assert_in_range(refused, 20, 200);
}

static void
others_stay(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip route add default via 192.0.2.200 dev wan1 metric 655361 && "
				    "ip route add 10.0.0.0/8 via 192.0.2.200 dev wan1"),
			 0);
	ok(1, "set gateway 192.0.2.254\nset device wan1");
	ok(2, "set dst 10.0.0.0/8\nset gateway 192.0.2.254\nset device wan1");
	ok(3, "set gateway 192.0.2.200\nset device wan1");
	assert_int_equal(fixture_count("ip route", "^default"), 3);
	delete (1);
	delete (2);
	delete (3);
	assert_int_equal(fixture_count("ip route", "via 192.0.2.200"), 2);
	assert_int_equal(routes("."), 0);
	/* deleted behind our back: no error */
	ok(1, "set gateway 192.0.2.254\nset device wan1");
	assert_int_equal(fixture_sh("ip route flush proto static"), 0);
	delete (1);
}

static void
forms6(void **state)
{
	static const struct {
		const char *what, *lines, *show;
	} cases[] = {
	    {"default", "set gateway 2001:db8::fe\nset device wan1",
	     "^default via 2001:db8::fe dev wan1 .*metric 656384"},
	    {"network", "set dst 2001:db8:8::/48\nset gateway 2001:db8::fe",
	     "^2001:db8:8::/48 via 2001:db8::fe dev wan1 "},
	    {"bits beyond the prefix", "set dst 2001:db8:8::5/48\nset device wan1", "^2001:db8:8::/48 dev wan1 "},
	    {"a gateway on the link", "set gateway fe80::1\nset device wan1", "^default via fe80::1 dev wan1 "},
	    {"distance and priority", "set device wan1\nset distance 3\nset priority 700",
	     "^default dev wan1 .*metric 197308"},
	    {"blackhole", "set dst 2001:db8:8::/48\nset blackhole enable", "^blackhole 2001:db8:8::/48 "},
	};

	(void)state;
	assert_int_equal(fixture_cli("config system interface\nedit wan1\nconfig ipv6\n"
				     "set ip6-address 2001:db8::1/64\nend\nnext\nend"),
			 CLI_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[256];

		snprintf(text, sizeof(text), "config router static6\nedit 1\n%s\nnext\nend\n", cases[i].lines);
		if (fixture_cli(text) != CLI_OK)
			fail_msg("%s: %s", cases[i].what, fixture_err.text);
		if (fixture_count("ip -6 route show proto static", cases[i].show) != 1 ||
		    fixture_count("ip -6 route show proto static", ".") != 1)
			fail_msg("%s", cases[i].what);
		assert_int_equal(fixture_cli("config router static6\ndelete 1\nend"), CLI_OK);
		assert_int_equal(fixture_count("ip -6 route show proto static", "."), 0);
	}
	assert_int_equal(fixture_cli("config router static6\nedit 1\nset dst 2001:db8:8::/48\nnext\nend"),
			 CLI_REQUIRED);
	assert_int_equal(
	    fixture_cli("config router static6\nedit 1\nset gateway 2001:db8:9::1\nset device lan1\nnext\nend"),
	    CLI_FAILED);
}

/* Two ways to one network are two entries, in the kernel one route with two ways; each goes alone. They follow the
 * address of their device. */
static void
several_entries6(void **state)
{
	(void)state;
	assert_int_equal(
	    fixture_cli(
		"config system interface\nedit wan1\nconfig ipv6\nset ip6-address 2001:db8::1/64\nend\nnext\nend\n"
		"config router static6\nedit 1\nset gateway 2001:db8::fe\nset device wan1\nnext\n"
		"edit 2\nset gateway 2001:db8::fd\nset device wan1\nnext\nend"),
	    CLI_OK);
	assert_int_equal(fixture_count("ip -6 route show proto static", "via 2001:db8::f[de]"), 2);
	assert_int_equal(fixture_cli("config system interface\nedit wan1\nset status down\nnext\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -6 route show proto static", "via 2001:db8::f[de]"), 0);
	assert_int_equal(fixture_cli("config system interface\nedit wan1\nset status up\nnext\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -6 route show proto static", "via 2001:db8::f[de]"), 2);
	assert_int_equal(fixture_cli("config router static6\ndelete 1\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -6 route show proto static", "via 2001:db8::fe"), 0);
	assert_int_equal(fixture_count("ip -6 route show proto static", "via 2001:db8::fd"), 1);
	assert_int_equal(fixture_cli("config router static6\ndelete 2\nend"), CLI_OK);
	assert_int_equal(fixture_count("ip -6 route show proto static", "."), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refusals, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(changes_undone, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(forms, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(changes, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(down_device_waits, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(unknown_device_does_not_wait, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(several_entries, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(entries_share_routes, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(others_stay, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(forms6, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(several_entries6, setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
