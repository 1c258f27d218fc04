#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

// wrap: request_new

#include "base/err.h"
#include "base/text.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"
#include "tun/netlink_request.h"

static struct netlink *nl;
static unsigned dumps; /* of routes, asked for so far */

struct nl_msg *__real_request_new(int type, int flags, const void *header, size_t size);
struct nl_msg *__wrap_request_new(int type, int flags, const void *header, size_t size);

struct nl_msg *
__wrap_request_new(int type, int flags, const void *header, size_t size)
{
	dumps += type == RTM_GETROUTE && (flags & NLM_F_DUMP) == NLM_F_DUMP;
	return __real_request_new(type, flags, header, size);
}

struct way {
	const char *what, *dst, *gateway, *dev;
	uint32_t metric, table;
	bool blackhole;
	const char *src;
};

static struct addr
host(const char *text)
{
	struct addr a = {0};

	if (*text && addr_parse_host(text, &a))
		fail_msg("%s", text);
	return a;
}

static struct route
route_of(const struct way *w)
{
	struct route r = {.metric = w->metric, .table = w->table, .blackhole = w->blackhole};

	if (addr_parse_prefix(w->dst, &r.dst))
		fail_msg("%s", w->dst);
	r.gateway = host(w->gateway);
	r.src = host(w->src ? w->src : "");
	assert_int_equal(text_copy(r.dev, sizeof(r.dev), w->dev), 0);
	return r;
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	return netlink_open(-1, &nl, &e) || fixture_veth("wan1", "peer1") ||
	       fixture_sh("ip addr add 192.0.2.1/24 dev wan1 && ip addr add 2001:db8::1/64 dev wan1 nodad");
}

static int
teardown(void **state)
{
	(void)state;
	netlink_free(nl);
	return fixture_sh("ip route flush table all proto static 2>/dev/null; ip -6 route flush table all proto static "
			  "2>/dev/null; ip link del wan1");
}

static bool
there(const struct route *r)
{
	bool found = false;
	struct err e = ERR_NONE;

	if (netlink_route_there(nl, r, &found, &e))
		fail_msg("%s", e.text);
	return found;
}

static void
refused(void **state)
{
	static const struct {
		struct way way;
		int want;
		const char *reason;
	} cases[] = {
	    {{.what = "no such device", .dst = "10.0.0.0/8", .gateway = "", .dev = "nosuch0"}, -ENODEV, "nosuch0"},
	    {{.what = "gateway nobody reaches", .dst = "10.0.0.0/8", .gateway = "198.51.100.1", .dev = "wan1"},
	     -ENETUNREACH,
	     "route to 10.0.0.0/8 via 198.51.100.1 dev wan1: Network is unreachable (Nexthop has invalid "
	     "gateway)"},
	    {{.what = "gateway nobody reaches, any device", .dst = "10.0.0.0/8", .gateway = "198.51.100.1", .dev = ""},
	     -ENETUNREACH,
	     "198.51.100.1"},
	    {{.what = "bits beyond the prefix", .dst = "10.1.2.3/8", .gateway = "192.0.2.254", .dev = "wan1"},
	     -EINVAL,
	     "10.1.2.3/8"},
	    {{.what = "two families", .dst = "10.0.0.0/8", .gateway = "2001:db8::2", .dev = "wan1"}, -EINVAL, "family"},
	    {{.what = "source of the other family",
	      .dst = "10.0.0.0/8",
	      .gateway = "",
	      .dev = "wan1",
	      .src = "2001:db8::1"},
	     -EINVAL,
	     "family"},
	    {{.what = "source that is not ours",
	      .dst = "10.0.0.0/8",
	      .gateway = "",
	      .dev = "wan1",
	      .src = "198.51.100.9"},
	     -EINVAL,
	     "10.0.0.0/8"},
	    {{.what = "blackhole with a device", .dst = "10.0.0.0/8", .gateway = "", .dev = "wan1", .blackhole = true},
	     -EINVAL,
	     "blackhole"},
	    {{.what = "neither gateway nor device", .dst = "10.0.0.0/8", .gateway = "", .dev = ""},
	     -ENODEV,
	     "10.0.0.0/8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route r = route_of(&cases[i].way);
		struct err e = ERR_NONE;
		int rc = netlink_route_add(nl, &r, &e);

		if (rc != cases[i].want || !strstr(e.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].way.what, rc, e.text);
		assert_false(there(&r));
	}
}

static void
no_destination(void **state)
{
	struct route r = {.dev = "wan1"};
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(netlink_route_add(nl, &r, &e), -EINVAL);
	assert_int_equal(netlink_route_del(nl, &r, &e), -EINVAL);
}

static const struct way ways[] = {
    {.what = "by gateway and device", .dst = "10.0.0.0/8", .gateway = "192.0.2.254", .dev = "wan1", .metric = 7},
    {.what = "by gateway", .dst = "10.1.0.0/16", .gateway = "192.0.2.254", .dev = ""},
    {.what = "by device", .dst = "10.2.0.0/16", .gateway = "", .dev = "wan1"},
    {.what = "default", .dst = "0.0.0.0/0", .gateway = "192.0.2.254", .dev = "wan1", .metric = 655361},
    {.what = "host", .dst = "10.3.3.3/32", .gateway = "", .dev = "wan1", .src = "192.0.2.1"},
    {.what = "blackhole", .dst = "10.4.0.0/16", .gateway = "", .dev = "", .metric = 65024, .blackhole = true},
    {.what = "table 300", .dst = "10.5.0.0/16", .gateway = "192.0.2.254", .dev = "wan1", .table = 300},
    {.what = "IPv6 by gateway and device", .dst = "2001:db8:a::/48", .gateway = "2001:db8::2", .dev = "wan1"},
    {.what = "IPv6 by device", .dst = "2001:db8:b::/48", .gateway = "", .dev = "wan1", .metric = 9},
    {.what = "IPv6 default", .dst = "::/0", .gateway = "2001:db8::2", .dev = "wan1", .metric = 655361},
    {.what = "IPv6 host", .dst = "2001:db8:c::1/128", .gateway = "", .dev = "wan1", .src = "2001:db8::1"},
    {.what = "IPv6 blackhole", .dst = "2001:db8:d::/48", .gateway = "", .dev = "", .metric = 5, .blackhole = true},
    {.what = "IPv6 table 300", .dst = "2001:db8:e::/48", .gateway = "2001:db8::2", .dev = "wan1", .table = 300},
};

static void
add_and_delete(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct route r = route_of(&ways[i]);
		struct err e = ERR_NONE;
		struct route all[64];
		size_t before, with, after;

		print_message("%s\n", ways[i].what);
		assert_int_equal(netlink_routes(nl, 0, all, 64, &before, &e), 0);
		assert_false(there(&r));
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		if (netlink_route_add(nl, &r, &e))
			fail_msg("%s", e.text);
		assert_true(there(&r));
		assert_int_equal(netlink_route_add(nl, &r, &e), 0);
		assert_int_equal(netlink_routes(nl, 0, all, 64, &with, &e), 0);
		assert_int_equal(with, before + 1);
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		assert_false(there(&r));
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		assert_int_equal(netlink_routes(nl, 0, all, 64, &after, &e), 0);
		assert_int_equal(after, before);
	}
}

static void
read_back_in_full(void **state)
{
	struct way w = {.dst = "10.3.0.0/16", .gateway = "192.0.2.254", .dev = "wan1", .metric = 7, .src = "192.0.2.1"};
	struct route r = route_of(&w), all[64], other;
	struct err e = ERR_NONE;
	size_t n, seen = 0;

	(void)state;
	assert_int_equal(netlink_route_add(nl, &r, &e), 0);
	assert_int_equal(netlink_routes(nl, AF_INET, all, 64, &n, &e), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i].dst.family, AF_INET);
		if (!addr_equal(&all[i].dst, &r.dst))
			continue;
		seen++;
		assert_true(addr_same_host(&all[i].gateway, &r.gateway) && addr_same_host(&all[i].src, &r.src));
		assert_string_equal(all[i].dev, "wan1");
		assert_int_equal(all[i].metric, 7);
		assert_int_equal(all[i].table, 0);
		assert_int_equal(all[i].protocol, RTPROT_STATIC);
		assert_false(all[i].blackhole);
	}
	assert_int_equal(seen, 1);
	other = r;
	other.metric = 8;
	assert_false(there(&other));
	other = r;
	other.gateway = host("192.0.2.253");
	assert_false(there(&other));
	other = r;
	other.dev[0] = '\0';
	other.table = RT_TABLE_MAIN;
	assert_true(there(&other));
	strcpy(other.dev, "lo");
	assert_false(there(&other));
	other = r;
	strcpy(other.dev, "nosuch0"); /* a device that is gone took its routes along */
	assert_int_equal(netlink_route_del(nl, &other, &e), 0);
	assert_true(there(&r));
}

static size_t
count_lines(const char *command)
{
	char line[64], counted[160];

	snprintf(counted, sizeof(counted), "%s | wc -l", command);
	return (size_t)atoi(fixture_line(line, sizeof(line), counted));
}

/* What somebody else made stays, whatever we add and delete beside it. */
static void
others_stay(void **state)
{
	static const struct {
		const char *what, *theirs, *show;
		struct way ours;
		size_t both;
	} cases[] = {
	    {"same way",
	     "ip route add 10.0.0.0/8 via 192.0.2.254 dev wan1 metric 7",
	     "ip route show 10.0.0.0/8",
	     {.dst = "10.0.0.0/8", .gateway = "192.0.2.254", .dev = "wan1", .metric = 7},
	     2},
	    {"another gateway",
	     "ip route add 10.0.0.0/8 via 192.0.2.253 dev wan1 metric 7",
	     "ip route show 10.0.0.0/8",
	     {.dst = "10.0.0.0/8", .gateway = "192.0.2.254", .dev = "wan1", .metric = 7},
	     2},
	    {"IPv6, the same way",
	     "ip route add 2001:db8:a::/48 via 2001:db8::2 dev wan1 metric 7",
	     "ip -6 route show 2001:db8:a::/48",
	     {.dst = "2001:db8:a::/48", .gateway = "2001:db8::2", .dev = "wan1", .metric = 7},
	     1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route r = route_of(&cases[i].ours);
		struct err e = ERR_NONE;

		print_message("%s\n", cases[i].what);
		assert_int_equal(fixture_sh("%s", cases[i].theirs), 0);
		assert_int_equal(netlink_route_add(nl, &r, &e), 0);
		assert_true(there(&r));
		assert_int_equal(count_lines(cases[i].show), cases[i].both);
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		assert_int_equal(count_lines(cases[i].show), 1);
		assert_int_equal(
		    fixture_sh("ip %s route flush %s", r.dst.family == AF_INET6 ? "-6" : "-4", cases[i].ours.dst), 0);
	}
}

static void
several_ways(void **state)
{
	struct route all[64];
	struct err e = ERR_NONE;
	struct addr a = host("192.0.2.253"), b = host("192.0.2.254");
	size_t n, seen = 0;

	(void)state;
	assert_int_equal(fixture_sh("ip route add 10.9.0.0/16 nexthop via 192.0.2.253 dev wan1 "
				    "nexthop via 192.0.2.254 dev wan1"),
			 0);
	assert_int_equal(netlink_routes(nl, AF_INET, all, 64, &n, &e), 0);
	for (size_t i = 0; i < n; i++)
		seen += all[i].dst.prefix == 16 && !strcmp(all[i].dev, "wan1") &&
			(addr_same_host(&all[i].gateway, &a) || addr_same_host(&all[i].gateway, &b));
	assert_int_equal(seen, 2);
}

static void
kernel_tables_left_out(void **state)
{
	struct route all[64];
	struct err e = ERR_NONE;
	size_t n;

	(void)state;
	assert_int_equal(netlink_routes(nl, 0, all, 64, &n, &e), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_not_equal(all[i].table, RT_TABLE_LOCAL);
		assert_true(all[i].dst.bytes[0] != 0xff && all[i].dst.bytes[0] != 127);
	}
	assert_int_equal(netlink_routes(nl, AF_INET6, all, 64, &n, &e), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i].dst.family, AF_INET6);
}

static void
get(void **state)
{
	static const struct {
		const char *what, *dst, *dev, *src;
		int want;
	} cases[] = {
	    {"nothing leads there", "203.0.113.1", NULL, NULL, -ENETUNREACH},
	    {"IPv6, nothing leads there", "2001:db8:ffff::1", NULL, NULL, -ENETUNREACH},
	    {"blackhole", "10.4.0.1", NULL, NULL, -ENETUNREACH},
	    {"IPv6 blackhole", "2001:db8:d::1", NULL, NULL, -ENETUNREACH},
	    {"on the link", "192.0.2.77", "wan1", "192.0.2.1", 0},
	    {"by a gateway", "10.0.0.9", "wan1", "192.0.2.1", 0},
	    {"ourselves", "192.0.2.1", "lo", "192.0.2.1", 0},
	    {"IPv6 by a gateway", "2001:db8:a::5", "wan1", "2001:db8::1", 0},
	};
	struct route r;
	struct err e = ERR_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		r = route_of(&ways[i]);
		if (r.dst.prefix && !r.table)
			assert_int_equal(netlink_route_add(nl, &r, &e), 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr dst = host(cases[i].dst), src = {.family = 77}, want;
		char dev[16] = "untouched";
		int rc = netlink_route_get(nl, &dst, dev, &src, &e);

		if (rc != cases[i].want)
			fail_msg("%s: %d %s", cases[i].what, rc, e.text);
		if (rc) {
			assert_string_equal(dev, "untouched");
			assert_int_equal(src.family, 77);
			assert_non_null(strstr(e.text, cases[i].dst));
			continue;
		}
		want = host(cases[i].src);
		assert_string_equal(dev, cases[i].dev);
		assert_true(addr_same_host(&src, &want));
	}
}

/* What was just added is found by asking for it alone, also beside others like it, and nothing else is taken for it. */
static void
found_without_reading_all(void **state)
{
	static const struct way cases[] = {
	    {"default", "0.0.0.0/0", "192.0.2.254", "wan1", 7, 0, false, NULL},
	    {"worse default", "0.0.0.0/0", "192.0.2.253", "wan1", 8, 0, false, NULL},
	    {"network", "10.0.0.0/8", "192.0.2.254", "wan1", 7, 0, false, NULL},
	    {"network in it", "10.0.0.0/24", "192.0.2.254", "wan1", 7, 0, false, NULL},
	    {"the same, worse", "10.0.0.0/24", "192.0.2.254", "wan1", 9, 0, false, NULL},
	    {"the same, another way", "10.0.0.0/24", "192.0.2.253", "wan1", 7, 0, false, NULL},
	    {"no gateway", "10.1.0.0/24", "", "wan1", 7, 0, false, NULL},
	    {"blackhole", "10.2.0.0/24", "", "", 7, 0, true, NULL},
	    {"no device", "10.3.0.0/24", "192.0.2.254", "", 7, 0, false, NULL},
	    {"another table", "10.0.0.0/24", "192.0.2.254", "wan1", 7, 300, false, NULL},
	    {"IPv6 network", "2001:db8:a::/48", "2001:db8::2", "wan1", 7, 0, false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route r = route_of(&cases[i]);
		struct err e = ERR_NONE;

		print_message("%s\n", cases[i].what);
		assert_false(there(&r));
		assert_false(there(&r)); /* the question has not made it */
		assert_int_equal(netlink_route_add(nl, &r, &e), 0);
		dumps = 0;
		assert_true(there(&r));
		assert_int_equal(dumps, 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route r = route_of(&cases[i]);
		struct err e = ERR_NONE;

		assert_true(there(&r));
		assert_int_equal(netlink_route_del(nl, &r, &e), 0);
		assert_false(there(&r));
	}
}

/* More than one buffer full, and the numbers stay right. */
static void
many(void **state)
{
	struct err e = ERR_NONE;
	struct route one[1];
	size_t n;

	(void)state;
	assert_int_equal(fixture_sh("for a in $(seq 0 9); do for b in $(seq 0 199); do "
				    "echo route add 10.$a.$b.0/24 dev wan1; done; done | ip -batch -"),
			 0);
	assert_int_equal(netlink_routes(nl, AF_INET, one, 1, &n, &e), 0);
	assert_int_equal(n, 2001);
	assert_int_equal(netlink_routes(nl, AF_INET, NULL, 0, &n, &e), 0);
	assert_int_equal(n, 2001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_destination, setup, teardown),
	    cmocka_unit_test_setup_teardown(add_and_delete, setup, teardown),
	    cmocka_unit_test_setup_teardown(read_back_in_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(others_stay, setup, teardown),
	    cmocka_unit_test_setup_teardown(several_ways, setup, teardown),
	    cmocka_unit_test_setup_teardown(kernel_tables_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(get, setup, teardown),
	    cmocka_unit_test_setup_teardown(found_without_reading_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
