#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"

static struct netlink_watch *watch;
static char seen[16384]; /* "|link wan1 up|route|" */

static void
note(void *ctx, const char *what)
{
	size_t n = strlen(seen);

	assert_ptr_equal(ctx, &watch);
	snprintf(seen + n, sizeof(seen) - n, "%s|", what);
}

/* Takes what is there; messages are queued before the command that caused them ends. */
static const char *
drain(void)
{
	struct pollfd p = {.fd = netlink_watch_fd(watch), .events = POLLIN};

	strcpy(seen, "|");
	while (poll(&p, 1, 50) > 0)
		assert_int_equal(netlink_watch_read(watch), 0);
	return seen;
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	return fixture_veth("wan1", "peer1") || netlink_watch_open(-1, note, &watch, &watch, &e);
}

static int
teardown(void **state)
{
	(void)state;
	netlink_watch_free(watch);
	return fixture_sh("ip link del wan1 2>/dev/null; true");
}

static void
changes(void **state)
{
	static const struct {
		const char *what, *command;
		const char *expect[3]; /* all of these are reported */
		const char *never;
	} cases[] = {
	    {"nothing", "true", {"|"}, "a"},
	    {"link down", "ip link set wan1 down", {"|link wan1 down|", "|link peer1 down|"}, " up|"},
	    {"link up", "ip link set wan1 up", {"|link wan1 up|", "|link peer1 up|"}, " gone|"},
	    {"carrier lost", "ip link set peer1 down", {"|link wan1 down|"}, " up|"},
	    {"carrier back", "ip link set peer1 up", {"|link wan1 up|"}, " gone|"},
	    {"address", "ip addr add 192.0.2.1/24 dev wan1", {"|address wan1|", "|route|"}, "link"},
	    {"IPv6 address", "ip addr add 2001:db8::1/64 dev wan1 nodad", {"|address wan1|", "|route|"}, "link"},
	    {"route", "ip route add 10.0.0.0/8 via 192.0.2.2", {"|route|"}, "address"},
	    {"IPv6 route", "ip route add 2001:db8:a::/48 via 2001:db8::2", {"|route|"}, "address"},
	    {"route gone", "ip route del 10.0.0.0/8", {"|route|"}, "link"},
	    {"route of the kernel's own table", "ip route add local 203.0.113.1 dev lo table local", {"|"}, "a"},
	    {"neighbour", "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev wan1", {"|"}, "a"},
	    {"address gone", "ip addr del 192.0.2.1/24 dev wan1", {"|address wan1|"}, "link"},
	    {"device gone", "ip link del wan1", {"|link wan1 gone|", "|link peer1 gone|"}, " up|"},
	    {"device new",
	     "ip link add wan1 type veth peer name peer1",
	     {"|link wan1 new|", "|link peer1 new|"},
	     " up|"},
	    {"device renamed",
	     "ip link set wan1 name lan1 && ip link set lan1 name wan1",
	     {"|link lan1 new|", "|link wan1 new|"},
	     " up|"},
	    {"set up without a carrier", "ip link set wan1 up", {"|link wan1 down|"}, " new|"},
	    {"set down", "ip link set wan1 down", {"|link wan1 down|"}, "link wan1 new|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		drain();
		assert_int_equal(fixture_sh("%s", cases[i].command), 0);
		drain();
		for (size_t k = 0; k < 3 && cases[i].expect[k]; k++)
			if (!strstr(seen, cases[i].expect[k]))
				fail_msg("%s: \"%s\", expected %s", cases[i].what, seen, cases[i].expect[k]);
		if (strstr(seen, cases[i].never))
			fail_msg("%s: \"%s\", unexpected %s", cases[i].what, seen, cases[i].never);
	}
}

/* One datagram that asks for a reply of the neighbour, or for nothing. */
static void
talk(const char *to, size_t len)
{
	static const char zeros[2000];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(s >= 0);
	assert_int_equal(inet_pton(AF_INET, to, &at.sin_addr), 1);
	(void)sendto(s, zeros, len, 0, (const struct sockaddr *)&at, sizeof(at));
	(void)sendto(s, zeros, len, 0, (const struct sockaddr *)&at, sizeof(at));
	close(s);
}

/* Traffic makes neighbours, and a smaller path MTU that was learnt makes a cached route. Neither wakes anybody. */
static void
traffic_is_silent(void **state)
{
	char line[256];

	(void)state;
	assert_int_equal(
	    fixture_sh("ip netns add fgfm-watch && ip link set peer1 netns fgfm-watch && "
		       "ip -n fgfm-watch addr add 192.0.2.2/24 dev peer1 && ip -n fgfm-watch link set peer1 up && "
		       "ip netns exec fgfm-watch sysctl -qw net.ipv4.ip_forward=1 && "
		       "ip -n fgfm-watch link add far1 mtu 1200 type veth peer name far2 && "
		       "ip -n fgfm-watch link set far1 up && ip -n fgfm-watch link set far2 up && "
		       "ip -n fgfm-watch addr add 10.0.0.1/8 dev far1 && "
		       "ip addr add 192.0.2.1/24 dev wan1 && ip route add 10.0.0.0/8 via 192.0.2.2"),
	    0);
	drain();
	talk("192.0.2.2", 10);
	for (int i = 0; i < 10; i++)
		talk("10.1.1.1", 1400);
	assert_string_equal(drain(), "|");
	/* and it was indeed learnt */
	fixture_line(line, sizeof(line), "ip route get 10.1.1.1 | grep -o 'mtu 1200'");
	assert_string_equal(line, "mtu 1200");
	assert_int_equal(fixture_sh("ip netns del fgfm-watch"), 0);
}

/* More changes than the socket queues: said once more, and the watch goes on. */
static void
overrun(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("ip addr add 192.0.2.1/24 dev wan1"), 0);
	drain();
	assert_int_equal(fixture_sh("for a in $(seq 0 39); do for b in $(seq 0 249); do "
				    "echo route add 10.$a.$b.0/24 dev wan1; done; done | ip -batch -"),
			 0);
	drain();
	assert_non_null(strstr(seen, "|overrun|"));
	assert_int_equal(fixture_sh("ip link set wan1 down"), 0);
	drain();
	assert_non_null(strstr(seen, "|link wan1 down|"));
}

/* Hundreds of routes in one read are one change. */
static void
routes_fold(void **state)
{
	const char *at;
	size_t n = 0;

	(void)state;
	assert_int_equal(fixture_sh("ip addr add 192.0.2.1/24 dev wan1"), 0);
	drain();
	assert_int_equal(
	    fixture_sh("for a in $(seq 1 120); do echo route add 10.$a.0.0/16 dev wan1; done | ip -batch -"), 0);
	drain();
	for (at = seen; (at = strstr(at, "route|")); at++)
		n++;
	assert_in_range(n, 1, 4);
}

static void
other_namespace(void **state)
{
	struct err e = ERR_NONE;
	int fd;

	(void)state;
	netlink_watch_free(watch);
	watch = NULL;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(netlink_watch_open(fd, note, &watch, &watch, &e), -EINVAL);
	assert_null(watch);
	close(fd);
	assert_int_equal(fixture_sh("ip netns add fgfm-watch2"), 0);
	fd = open("/run/netns/fgfm-watch2", O_RDONLY | O_CLOEXEC);
	assert_int_equal(netlink_watch_open(fd, note, &watch, &watch, &e), 0);
	close(fd);
	assert_int_equal(fixture_sh("ip link set wan1 down; ip -n fgfm-watch2 link add far1 type veth peer name far2"),
			 0);
	drain();
	assert_null(strstr(seen, "wan1"));
	assert_non_null(strstr(seen, "|link far1 new|"));
	assert_int_equal(fixture_sh("ip -n fgfm-watch2 addr add 192.0.2.1/24 dev far1"), 0);
	drain();
	assert_non_null(strstr(seen, "|address far1|"));
	assert_int_equal(fixture_sh("ip netns del fgfm-watch2"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(traffic_is_silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(overrun, setup, teardown),
	    cmocka_unit_test_setup_teardown(routes_fold, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_namespace, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
