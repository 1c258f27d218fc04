/* tun/device: the device in its namespace, with the kernel's own stack at the other end. */
// wrap: ioctl
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "test/unit/netns_fixture.h"
#include "test/unit/packets.h"
#include "tun/device.h"
#include "tun/netns.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* kernel 6.2 */
#define TUN_F_USO6 0x40
#endif

#define NS "fgfm-t"
#define DEV "fgfm0"

enum { PORT = 4500, MTU = 1400 };

static struct tun *tun;

/* What this kernel does not know, so that it stands for an older one. */
static struct {
	short flags;       /* of TUNSETIFF */
	uintptr_t offload; /* of TUNSETOFFLOAD */
} unknown;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	bool refused = false;

	if (request == TUNSETIFF)
		refused = ((const struct ifreq *)arg)->ifr_flags & unknown.flags;
	else if (request == TUNSETOFFLOAD)
		refused = (uintptr_t)arg & unknown.offload;
	errno = EINVAL;
	return refused ? -1 : __real_ioctl(fd, request, arg);
}

static struct addr
host(const char *text)
{
	struct addr a = {0};

	if (*text && addr_parse_host(text, &a))
		fail_msg("%s", text);
	return a;
}

static int
set(const char *local, const char *peer, struct err *e)
{
	struct addr l = host(local), p = host(peer);

	return tun_set_addresses(tun, &l, &p, e);
}

static int
setup(void **state)
{
	const struct tun_config c = {.netns = NS, .name = DEV, .mtu = MTU};
	struct err e = ERR_NONE;

	(void)state;
	if (tun_new(&c, &tun, &e))
		fail_msg("%s", e.text);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tun_free(tun);
	tun = NULL;
	netns_remove(NS, NULL);
	return 0;
}

/* First line that a command prints inside the namespace. */
static const char *
inside(const char *command)
{
	static char line[512];
	char full[512];

	snprintf(full, sizeof(full), "ip netns exec %s sh -c \"%s\"", NS, command);
	return fixture_line(line, sizeof(line), full);
}

static void
bad_config(void **state)
{
	static const struct {
		const char *what;
		struct tun_config c;
		int want;
	} cases[] = {
	    {"no name", {NS, "", 1500}, -EINVAL},
	    {"16 characters", {NS, "sixteen-letters1", 1500}, -EINVAL},
	    {"loopback", {NS, "lo", 1500}, -EINVAL},
	    {"a template", {NS, "tun%d", 1500}, -EINVAL},
	    {"a slash", {NS, "a/b", 1500}, -EINVAL},
	    {"a space", {NS, "a b", 1500}, -EINVAL},
	    {"MTU 67", {NS, DEV, 67}, -EINVAL},
	    {"MTU 65536", {NS, DEV, 65536}, -EINVAL},
	    {"namespace with a slash", {"../x", DEV, 1500}, -EINVAL},
	    {"namespace without a name", {"", DEV, 1500}, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		struct tun *t = NULL;
		int rc = tun_new(&cases[i].c, &t, &e);

		if (rc != cases[i].want || t || !*e.text)
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
	}
	tun_free(NULL);
}

/* What somebody else left under our name is not taken over. */
static void
name_taken(void **state)
{
	static const struct {
		const char *what, *make;
	} cases[] = {
	    {"a persistent TUN device", "ip -n " NS " tuntap add " DEV " mode tun"},
	    {"a TAP device", "ip -n " NS " tuntap add " DEV " mode tap"},
	    {"another kind of device", "ip -n " NS " link add " DEV " type veth peer name other"},
	};
	const struct tun_config c = {.netns = NS, .name = DEV, .mtu = MTU};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		struct tun *t = NULL;

		assert_int_equal(fixture_sh("ip netns add " NS " && %s", cases[i].make), 0);
		assert_int_equal(tun_new(&c, &t, &e), -EBUSY);
		assert_null(t);
		assert_non_null(strstr(e.text, DEV));
		assert_non_null(strstr(e.text, "ip -n " NS " link del " DEV));
		assert_int_equal(fixture_sh("ip -n " NS " link del " DEV), 0);
		assert_int_equal(tun_new(&c, &t, &e), 0);
		tun_free(t);
		assert_int_equal(netns_remove(NS, &e), 0);
	}
}

static void
fresh_device(void **state)
{
	struct addr l, p;

	(void)state;
	assert_int_equal(fcntl(tun_fd(tun), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(tun_fd(tun), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_string_equal(inside("ip -br link show dev " DEV " | grep -c 'POINTOPOINT.*UP'"), "1");
	assert_string_equal(inside("ip link show dev " DEV " | grep -o 'mtu 1400'"), "mtu 1400");
	assert_string_equal(inside("ip link show dev " DEV " | grep -o 'qlen 256'"), "qlen 256");
	assert_string_equal(inside("ip link | grep -c '^[0-9]'"), "2");
	assert_string_equal(inside("ip addr show dev " DEV " | grep inet"), "");
	assert_string_equal(inside("ip route; ip -6 route"), "");
	assert_string_equal(inside("cat /proc/sys/net/ipv4/conf/" DEV "/rp_filter"), "1");
	assert_string_equal(inside("cat /proc/sys/net/ipv4/conf/" DEV "/send_redirects"), "0");
	assert_string_equal(inside("cat /proc/sys/net/ipv6/conf/" DEV "/accept_ra"), "0");
	assert_int_equal(fixture_sh("ip link show " DEV " 2>/dev/null"), 256);
	tun_addresses(tun, &l, &p);
	assert_true(!l.family && !p.family);
}

static void
bad_addresses(void **state)
{
	static const struct {
		const char *what, *local, *peer;
	} cases[] = {
	    {"loopback", "127.0.0.1", "192.168.48.46"},
	    {"any", "0.0.0.0", "192.168.48.46"},
	    {"this network", "0.1.2.3", "192.168.48.46"},
	    {"multicast", "224.0.0.1", "192.168.48.46"},
	    {"broadcast", "255.255.255.255", "192.168.48.46"},
	    {"peer loopback", "169.254.0.2", "127.0.0.2"},
	    {"peer multicast", "169.254.0.2", "239.1.1.1"},
	    {"peer of the other family", "169.254.0.2", "2001:db8::1"},
	    {"peer ourselves", "169.254.0.2", "169.254.0.2"},
	    {"IPv6 any", "::", "2001:db8::1"},
	    {"IPv6 loopback", "::1", "2001:db8::1"},
	    {"IPv6 multicast", "ff02::1", "2001:db8::1"},
	    {"IPv6 link-local", "fe80::1", "2001:db8::1"},
	    {"IPv4-mapped", "::ffff:169.254.0.2", "2001:db8::1"},
	    {"peer IPv4-mapped", "2001:db8::2", "::ffff:192.0.2.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		struct addr l, p;
		int rc;

		assert_int_equal(set("169.254.9.9", "192.168.48.46", &e), 0);
		rc = set(cases[i].local, cases[i].peer, &e);
		if (rc != -EINVAL || !strstr(e.text, "expected"))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		tun_addresses(tun, &l, &p);
		assert_true(!l.family && !p.family);
		assert_string_equal(inside("ip addr show dev " DEV " | grep inet; ip route; ip -6 route"), "");
	}
}

static void
routes_follow(void **state)
{
	static const struct {
		const char *what, *local, *peer;
		const char *present[6]; /* words of lines of "ip addr; ip route; ip -6 route" */
		int lines;              /* routes, v4 and v6, without what the kernel adds */
	} cases[] = {
	    {"IPv4 with a peer",
	     "169.254.0.2",
	     "192.168.48.46",
	     {"inet 169.254.0.2/32", "192.168.48.46 .*scope link src 169.254.0.2",
	      "default .*scope link src 169.254.0.2", "^default dev " DEV " proto static metric 1024"},
	     3},
	    {"IPv6 with a peer",
	     "2001:db8::2",
	     "2001:db8:1::1",
	     {"inet6 2001:db8::2/128", "2001:db8:1::1 dev", "default .*src 2001:db8::2", "^default .*scope link"},
	     3},
	    {"IPv4 alone", "169.254.0.3", "", {"inet 169.254.0.3/32", "default .*src 169.254.0.3"}, 2},
	    {"cleared", "", "", {NULL}, 0},
	    {"cleared again", "", "192.168.48.46", {NULL}, 0},
	    {"IPv4 after that", "169.254.0.2", "192.168.48.47", {"192.168.48.47 .*src 169.254.0.2"}, 3},
	};
	char command[256], want[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		print_message("%s\n", cases[i].what);
		if (set(cases[i].local, cases[i].peer, &e))
			fail_msg("%s", e.text);
		for (int k = 0; k < 6 && cases[i].present[k]; k++) {
			snprintf(command, sizeof(command), "(ip addr; ip route; ip -6 route) | grep -c '%s'",
				 cases[i].present[k]);
			if (!atoi(inside(command)))
				fail_msg("%s: no line \"%s\"", cases[i].what, cases[i].present[k]);
		}
		snprintf(want, sizeof(want), "%d", cases[i].lines);
		assert_string_equal(inside("(ip route; ip -6 route) | grep -c 'proto static'"), want);
		snprintf(want, sizeof(want), "%d", *cases[i].local ? 1 : 0);
		assert_string_equal(inside("ip addr show dev " DEV " | grep -c inet"), want);
	}
}

static int
open_udp(void *ctx, struct err *e)
{
	const struct addr *a = ctx;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = {0};
	int s = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	at.any.sa_family = (sa_family_t)a->family;
	if (a->family == AF_INET) {
		at.v4.sin_port = htons(PORT);
		memcpy(&at.v4.sin_addr, a->bytes, 4);
	} else {
		at.v6.sin6_port = htons(PORT);
		memcpy(&at.v6.sin6_addr, a->bytes, 16);
	}
	if (s < 0 || bind(s, &at.any, a->family == AF_INET ? sizeof(at.v4) : sizeof(at.v6)))
		return err_sys(e, -errno, "udp");
	return s;
}

/* A socket of the namespace, on the tunnel address. */
static int
udp(const char *at)
{
	struct addr a = host(at);
	struct err e = ERR_NONE;
	int s = netns_run(tun_netns_fd(tun), open_udp, &a, &e);

	if (s < 0)
		fail_msg("%s", e.text);
	return s;
}

/* To the manager's end. */
static void
send_hundred(int s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};

	assert_int_equal(inet_pton(AF_INET, "192.168.48.46", &to.sin_addr), 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
}

static uint16_t
sum(const uint8_t *p, size_t n, uint32_t start)
{
	for (size_t i = 0; i < n; i++)
		start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)~start;
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A datagram as a manager would send it: `len` bytes of payload "xxx…". Returns the packet's length. */
static size_t
datagram(uint8_t *pkt, const char *from, const char *to, size_t len)
{
	struct addr src = host(from), dst = host(to);
	bool v6 = src.family == AF_INET6;
	size_t size = v6 ? 16 : 4, header = v6 ? 40 : 20, at = v6 ? 8 : 12;
	uint8_t *u = pkt + header;

	memset(pkt, 0, header + 8);
	memcpy(pkt + at, src.bytes, size);
	memcpy(pkt + at + size, dst.bytes, size);
	put16(u, 443);
	put16(u + 2, PORT);
	put16(u + 4, (unsigned)(len + 8));
	memset(u + 8, 'x', len);
	pkt[0] = v6 ? 0x60 : 0x45;
	put16(pkt + (v6 ? 4 : 2), (unsigned)(len + 8 + (v6 ? 0 : header)));
	pkt[v6 ? 6 : 9] = 17;
	pkt[v6 ? 7 : 8] = 64;
	put16(u + 6, sum(pkt + at, 2 * size + 8 + len, (uint32_t)(17 + len + 8)));
	if (!v6)
		put16(pkt + 10, sum(pkt, header, 0));
	return header + 8 + len;
}

/* What the stack delivers, it delivers a moment after it was handed over. */
static ssize_t
receive(int s, void *dst, size_t size, struct sockaddr *from, socklen_t *from_size)
{
	struct pollfd p = {.fd = s, .events = POLLIN};

	return poll(&p, 1, 5000) > 0 ? recvfrom(s, dst, size, MSG_DONTWAIT, from, from_size) : -1;
}

/* The kernel puts an IPv6 address into its table of local ones from a work queue: an instant later. */
static void
wait_local(const char *address)
{
	char command[128];

	snprintf(command, sizeof(command), "(ip route show table local; ip -6 route show table local) | grep -c '%s'",
		 address);
	for (int i = 0; i < 100 && !atoi(inside(command)); i++)
		usleep(20000);
}

static void
packets_both_ways(void **state)
{
	static const struct {
		const char *what, *local, *peer;
		size_t header;
	} cases[] = {
	    {"IPv4", "169.254.0.2", "192.168.48.46", 28},
	    {"IPv6", "2001:db8::2", "2001:db8:1::1", 48},
	};
	uint8_t pkt[2048];
	char got[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct packet_counters *c = tun_counters(tun);
		uint64_t in = c->in_packets, out = c->out_packets, in_bytes = c->in_bytes, out_bytes = c->out_bytes;
		union {
			struct sockaddr any;
			struct sockaddr_in6 v6;
		} from;
		socklen_t from_size = sizeof(from);
		struct err e = ERR_NONE;
		size_t len = 77;
		int s;

		print_message("%s\n", cases[i].what);
		assert_int_equal(set(cases[i].local, cases[i].peer, &e), 0);
		wait_local(cases[i].local);
		s = udp(cases[i].local);
		assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
		assert_int_equal(len, 77);
		assert_int_equal(tun_write(tun, pkt, datagram(pkt, cases[i].peer, cases[i].local, 5)), 0);
		assert_int_equal(receive(s, got, sizeof(got), &from.any, &from_size), 5);
		assert_memory_equal(got, "xxxxx", 5);
		assert_int_equal(sendto(s, "answer", 6, 0, &from.any, from_size), 6);
		assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), 0);
		assert_int_equal(len, cases[i].header + 6);
		assert_memory_equal(pkt + len - 6, "answer", 6);
		assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
		assert_int_equal(c->in_packets, in + 1);
		assert_int_equal(c->in_bytes, in_bytes + cases[i].header + 5);
		assert_int_equal(c->out_packets, out + 1);
		assert_int_equal(c->out_bytes, out_bytes + cases[i].header + 6);
		close(s);
	}
}

static void
dropped_from_manager(void **state)
{
	static const struct {
		const char *what, *to;
		size_t payload, cut;
		enum packet_verdict want;
	} cases[] = {
	    {"nothing", "169.254.0.2", 5, 33, PACKET_SHORT},
	    {"cut", "169.254.0.2", 5, 1, PACKET_LENGTH},
	    {"for another", "169.254.0.3", 5, 0, PACKET_DESTINATION},
	    {"for the peer", "192.168.48.46", 5, 0, PACKET_DESTINATION},
	    {"for everybody", "255.255.255.255", 5, 0, PACKET_DESTINATION},
	    {"one byte too many", "169.254.0.2", MTU - 27, 0, PACKET_TOO_BIG},
	};
	const struct packet_counters *c = tun_counters(tun);
	struct err e = ERR_NONE;
	uint8_t pkt[2048];
	char got[16];
	int s;

	(void)state;
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 5)), 0);
	assert_int_equal(c->drops[PACKET_NO_ADDRESS][PACKET_FROM_MANAGER], 1);
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	s = udp("169.254.0.2");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t before = c->drops[cases[i].want][PACKET_FROM_MANAGER];
		size_t len = datagram(pkt, "192.168.48.46", cases[i].to, cases[i].payload) - cases[i].cut;

		assert_int_equal(tun_write(tun, pkt, len), 0);
		if (c->drops[cases[i].want][PACKET_FROM_MANAGER] != before + 1)
			fail_msg("%s: not counted", cases[i].what);
		assert_int_equal(recv(s, got, sizeof(got), MSG_DONTWAIT), -1);
	}
	assert_int_equal(c->in_packets, 0);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", MTU - 28)), 0);
	assert_int_equal(c->in_packets, 1);
	/* somebody set the device down: it takes nothing, and that is no reason to fail */
	assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " down"), 0);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 5)), 0);
	assert_int_equal(c->drops[PACKET_QUEUE_FULL][PACKET_FROM_MANAGER], 1);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &(size_t){0}), -EAGAIN);
	/* and the manager's next word brings it back */
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 5)), 0);
	assert_int_equal(c->in_packets, 2);
	close(s);
}

/* What others in the namespace send under another source never reaches the manager; a flood of it is bounded. */
static void
dropped_from_device(void **state)
{
	const struct packet_counters *c = tun_counters(tun);
	struct pollfd p = {.events = POLLIN};
	struct err e = ERR_NONE;
	uint8_t pkt[2048];
	size_t len;
	int s, calls = 0;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(fixture_sh("ip -n " NS " addr add 10.9.9.9/32 dev " DEV), 0);
	s = udp("10.9.9.9");
	send_hundred(s);
	p.fd = tun_fd(tun);
	while (poll(&p, 1, 0) > 0) {
		assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
		calls++;
	}
	assert_int_equal(c->drops[PACKET_SOURCE][PACKET_FROM_DEVICE], 100);
	assert_int_equal(c->out_packets, 0);
	assert_int_equal(calls, 2);
	close(s);
}

/* What was asked for is there at once, and in a device made again; what the queue cannot hold is the kernel's to drop.
 */
static void
queue_length(void **state)
{
	struct err e = ERR_NONE;
	uint8_t pkt[2048];
	size_t len;
	int s, waiting = 0;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	tun_set_queue(tun, TUN_QUEUE_SHORT);
	assert_string_equal(inside("ip link show dev " DEV " | grep -o 'qlen 32'"), "qlen 32");
	s = udp("169.254.0.2");
	send_hundred(s);
	while (!tun_read(tun, pkt, sizeof(pkt), &len))
		waiting++;
	assert_int_equal(waiting, 32);
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV), 0);
	tun_set_queue(tun, TUN_QUEUE_LONG);
	assert_int_equal(tun_recreate(tun, &e), 0);
	assert_string_equal(inside("ip link show dev " DEV " | grep -o 'qlen 256'"), "qlen 256");
	close(s);
}

#define UDP_SEGMENT_OPTION 103 /* linux/udp.h */

/* A batch of the kernel's, and a packet with an open sum, come out as packets a plain device could have sent. */
static void
large_packets_are_cut(void **state)
{
	static const struct {
		const char *what, *local, *peer;
		size_t l4, batch, each, pieces;
	} cases[] = {
	    {"IPv4", "169.254.0.2", "192.168.48.46", 20, 5100, 1000, 6},
	    {"IPv6", "2001:db8::2", "2001:db8:1::1", 40, 13000, 1300, 10},
	    {"not to be cut", "169.254.0.2", "192.168.48.46", 20, 900, 1000, 1},
	};
	static uint8_t data[20000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		struct addr peer = host(cases[i].peer);
		struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(9)};
		struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
		int size = (int)cases[i].each, s;
		size_t pieces = 0, len = 0, bytes = 0;
		bool v4 = cases[i].l4 == 20;
		uint8_t pkt[MTU];

		assert_int_equal(set(cases[i].local, cases[i].peer, &e), 0);
		wait_local(cases[i].local);
		s = udp(cases[i].local);
		memcpy(&to4.sin_addr, peer.bytes, 4);
		memcpy(&to6.sin6_addr, peer.bytes, 16);
		if (setsockopt(s, IPPROTO_UDP, UDP_SEGMENT_OPTION, &size, sizeof(size)))
			fail_msg("UDP_SEGMENT: %s", strerror(errno));
		assert_int_equal(sendto(s, data, cases[i].batch, 0,
					v4 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6,
					v4 ? sizeof(to4) : sizeof(to6)),
				 cases[i].batch);
		for (; !tun_read(tun, pkt, sizeof(pkt), &len); pieces++) {
			const char *wrong = packets_wrong(pkt, len, cases[i].l4, true);

			if (wrong)
				fail_msg("%s: piece %zu: %s", cases[i].what, pieces, wrong);
			bytes += len - cases[i].l4 - 8;
		}
		assert_int_equal(pieces, cases[i].pieces);
		assert_int_equal(bytes, cases[i].batch);
		close(s);
	}
}

/* The less a kernel leaves to us, the more it does itself; packets are the same. */
static void
older_kernels(void **state)
{
	static const struct {
		const char *what;
		short flags;
		uintptr_t offload;
	} rows[] = {
	    {"no UDP batches", 0, TUN_F_USO4 | TUN_F_USO6},
	    {"checksums alone", 0, ~(uintptr_t)TUN_F_CSUM},
	    {"a header and nothing else", 0, ~(uintptr_t)0},
	    {"no header", IFF_VNET_HDR, ~(uintptr_t)0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		print_message("%s\n", rows[i].what);
		unknown.flags = rows[i].flags;
		unknown.offload = rows[i].offload;
		setup(state);
		packets_both_ways(state);
		large_packets_are_cut(state);
		teardown(state);
	}
	unknown.flags = 0;
	unknown.offload = 0;
}

static int
open_raw(void *ctx, struct err *e)
{
	int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);

	(void)ctx;
	return s < 0 ? err_sys(e, -errno, "raw socket") : s;
}

/* Segments of a flow reach the stack as one packet, and one whose sum is wrong does not hide among them. */
static void
segments_are_joined(void **state)
{
	static uint8_t pkt[6][MTU], got[65536];
	struct err e = ERR_NONE;
	struct pollfd p = {.fd = -1};
	int s;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	s = netns_run(tun_netns_fd(tun), open_raw, NULL, &e);
	assert_true(s >= 0);
	p = (struct pollfd){.fd = s, .events = POLLIN};
	for (size_t i = 0; i < 6; i++) {
		struct packets_shape shape = {
		    .payload = 1000, .id = (uint16_t)i, .seq = (uint32_t)(1000 * i), .at = 1000 * i};
		size_t len = packets_build(pkt[i], &shape);

		pkt[i][60] ^= i == 5;
		assert_int_equal(tun_write(tun, pkt[i], len), 0);
	}
	assert_int_equal(poll(&p, 1, 0), 1); /* the damaged one sent the others on their way */
	assert_int_equal(tun_flush(tun), 0);
	assert_int_equal(receive(s, got, sizeof(got), NULL, NULL), 40 + 5000);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(got[40 + i], packets_pattern(i));
	assert_int_equal(tun_counters(tun)->in_packets, 6);
	assert_int_equal(tun_counters(tun)->in_bytes, 6 * 1040);
	close(s);
}

/* An MTU changed from outside: a larger one counts both ways; with a smaller one the manager's packets still come in.
 */
static void
mtu_is_followed(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	const struct packet_counters *c = tun_counters(tun);
	static uint8_t pkt[65536], data[5000];
	struct err e = ERR_NONE;
	size_t len = 0;
	int s;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(inet_pton(AF_INET, "192.168.48.46", &to.sin_addr), 1);
	s = udp("169.254.0.2");
	assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " mtu 9000"), 0);
	assert_int_equal(tun_largest(tun), MTU);
	assert_int_equal(sendto(s, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(data));
	assert_int_equal(tun_read(tun, pkt, tun_largest(tun), &len), -EMSGSIZE);
	assert_int_equal(tun_largest(tun), 9000);
	assert_int_equal(tun_read(tun, pkt, tun_largest(tun), &len), 0);
	assert_int_equal(len, sizeof(data) + 28);
	assert_null(packets_wrong(pkt, len, 20, true));
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 8000)), 0);
	assert_int_equal(receive(s, pkt, sizeof(pkt), NULL, NULL), 8000);
	assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " mtu 600"), 0);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", MTU - 28)), 0);
	assert_int_equal(receive(s, pkt, sizeof(pkt), NULL, NULL), MTU - 28);
	assert_int_equal(c->drops[PACKET_TOO_BIG][PACKET_FROM_MANAGER], 0);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 9000 - 27)), 0);
	assert_int_equal(c->drops[PACKET_TOO_BIG][PACKET_FROM_MANAGER], 1);
	assert_int_equal(tun_largest(tun), MTU); /* it was looked at again */
	close(s);
}

/* A packet that was read waits for room. Its size goes on to be said when the MTU has shrunk meanwhile: whoever asks
 * for so much gets it, and does not ask for ever. */
static void
a_waiting_packet_is_given(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	static uint8_t pkt[65536], data[5000];
	struct err e = ERR_NONE;
	size_t len = 0;
	int s;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(inet_pton(AF_INET, "192.168.48.46", &to.sin_addr), 1);
	s = udp("169.254.0.2");
	assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " mtu 9000"), 0);
	assert_int_equal(sendto(s, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(data));
	assert_int_equal(tun_read(tun, pkt, MTU, &len), -EMSGSIZE);
	assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " mtu 1400"), 0);
	/* one that is too large lets the device be asked */
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 9000 - 27)), 0);
	assert_int_equal(tun_largest(tun), sizeof(data) + 28);
	assert_int_equal(tun_read(tun, pkt, tun_largest(tun), &len), 0);
	assert_int_equal(len, sizeof(data) + 28);
	assert_int_equal(tun_largest(tun), MTU);
	close(s);
}

/* The promise in a SYN is brought down to what fits the device at that moment. */
static void
syn_is_clamped(void **state)
{
	static const struct {
		const char *what;
		unsigned mtu, want;
	} rows[] = {
	    {"as made", MTU, MTU - 40}, {"smaller", 700, 660}, {"larger", 9000, 8960}, {"largest", 65535, 65495}};
	struct err e = ERR_NONE;
	int s;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	s = netns_run(tun_netns_fd(tun), open_raw, NULL, &e);
	assert_true(s >= 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct packets_shape shape = {.flags = 2, .options = 4};
		uint8_t pkt[MTU], got[MTU];
		size_t len = packets_build(pkt, &shape);

		memcpy(pkt + 40, "\2\4\xff\xff", 4);
		packets_put(pkt + 36, 2, 0);
		packets_put(pkt + 36, 2, 0xffff - packets_l4_sum(pkt, len, 20, false));
		assert_int_equal(fixture_sh("ip -n " NS " link set " DEV " mtu %u", rows[i].mtu), 0);
		assert_int_equal(tun_write(tun, pkt, len), 0);
		assert_int_equal(receive(s, got, sizeof(got), NULL, NULL), len);
		if (packets_get(got + 42) != rows[i].want || packets_wrong(got, len, 20, false))
			fail_msg("%s: %u", rows[i].what, packets_get(got + 42));
	}
	close(s);
}

/* Pieces of a packet that came from an address are not sent from another. */
static void
pieces_go_with_their_address(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int size = 1000, s;
	struct err e = ERR_NONE;
	static uint8_t data[5000];
	uint8_t pkt[MTU];
	size_t len = 0;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(inet_pton(AF_INET, "192.168.48.46", &to.sin_addr), 1);
	s = udp("169.254.0.2");
	assert_int_equal(setsockopt(s, IPPROTO_UDP, UDP_SEGMENT_OPTION, &size, sizeof(size)), 0);
	assert_int_equal(sendto(s, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(data));
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), 0);
	assert_int_equal(set("169.254.0.3", "192.168.48.46", &e), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
	close(s);
}

/* With an address and with none, the device sends nothing by itself: no router solicitation, no multicast report. */
static void
silent(void **state)
{
	struct pollfd p = {.fd = tun_fd(tun), .events = POLLIN};
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(poll(&p, 1, 1200), 0);
	if (set("2001:db8::2", "2001:db8:1::1", &e))
		fail_msg("%s", e.text);
	assert_int_equal(poll(&p, 1, 1200), 0);
}

static void
said_again(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	/* a mark that replacing the address would wipe out */
	assert_int_equal(fixture_sh("ip -n " NS " route add 10.0.0.0/8 dev " DEV " && ip -n " NS " route del default"),
			 0);
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_string_equal(inside("ip route | grep -c -e ^10.0.0.0/8 -e ^default"), "2");
	/* the namespace forwards nothing whatever routes it has */
	assert_int_equal(set("169.254.0.2", "192.168.48.47", &e), 0);
	assert_string_equal(inside("ip route | grep -c ^10.0.0.0/8"), "0");
}

static void
deleted(void **state)
{
	struct err e = ERR_NONE;
	struct addr l, p;
	uint8_t pkt[2048];
	size_t len;
	int s;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -ENODEV);
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 5)), -ENODEV);
	assert_int_equal(tun_recreate(tun, &e), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
	s = udp("169.254.0.2");
	assert_int_equal(tun_write(tun, pkt, datagram(pkt, "192.168.48.46", "169.254.0.2", 5)), 0);
	assert_int_equal(receive(s, pkt, sizeof(pkt), NULL, NULL), 5);
	close(s);
	/* noticed by somebody who wanted to set an address */
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV), 0);
	assert_int_equal(set("169.254.0.3", "192.168.48.46", &e), -ENODEV);
	assert_int_equal(tun_recreate(tun, &e), 0);
	tun_addresses(tun, &l, &p);
	p = host("169.254.0.3");
	assert_true(addr_same_host(&l, &p));
	assert_string_equal(inside("ip addr show dev " DEV " | grep -c 169.254.0.3/32"), "1");
}

static void
namespace_deleted(void **state)
{
	struct err e = ERR_NONE;
	struct stat old, new;
	uint8_t pkt[2048];
	size_t len;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(fstat(tun_netns_fd(tun), &old), 0);
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV " && ip netns del " NS), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -ENODEV);
	assert_int_equal(tun_recreate(tun, &e), 0);
	assert_int_equal(fstat(tun_netns_fd(tun), &new), 0);
	assert_int_equal(access("/run/netns/" NS, F_OK), 0);
	assert_string_equal(inside("ip addr show dev " DEV " | grep -c 169.254.0.2/32"), "1");
	/* only the name is gone, the device not yet: the next one is where the name leads */
	assert_int_equal(fixture_sh("ip netns del " NS), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
	assert_int_equal(tun_recreate(tun, &e), 0);
	assert_string_equal(inside("ip route | grep -c ^default"), "1");
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -EAGAIN);
}

static void
recreate_fails(void **state)
{
	struct err e = ERR_NONE;
	uint8_t pkt[2048];
	struct addr l, p;
	size_t len;

	(void)state;
	assert_int_equal(set("169.254.0.2", "192.168.48.46", &e), 0);
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV " && ip -n " NS " tuntap add " DEV " mode tun"), 0);
	assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -ENODEV);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tun_recreate(tun, &e), -EBUSY);
		assert_int_equal(tun_fd(tun), -1);
		assert_int_equal(tun_read(tun, pkt, sizeof(pkt), &len), -ENODEV);
		assert_int_equal(tun_write(tun, pkt, 40), -ENODEV);
		assert_int_equal(set("127.0.0.1", "192.168.48.46", &e), -EINVAL);
		tun_addresses(tun, &l, &p);
		assert_false(l.family);
		assert_int_equal(set("169.254.0.5", "192.168.48.46", &e), -ENODEV);
	}
	assert_int_equal(fixture_sh("ip -n " NS " link del " DEV), 0);
	assert_int_equal(tun_recreate(tun, &e), 0);
	tun_addresses(tun, &l, &p);
	p = host("169.254.0.5");
	assert_true(addr_same_host(&l, &p));
	assert_string_equal(inside("ip addr show dev " DEV " | grep -c 169.254.0.5/32"), "1");
}

/* An agent that died leaves no device behind, and the next one takes the namespace as it is. */
static void
successor(void **state)
{
	const struct tun_config c = {.netns = NS, .name = DEV, .mtu = 1500};
	struct err e = ERR_NONE;
	struct stat old, new;
	struct tun *t = NULL;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid)
		_exit(tun_new(&c, &t, &e) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(stat("/run/netns/" NS, &old), 0);
	assert_int_equal(tun_new(&c, &t, &e), 0);
	assert_int_equal(fstat(tun_netns_fd(t), &new), 0);
	assert_int_equal(old.st_ino, new.st_ino);
	assert_string_equal(inside("ip link | grep -c '^[0-9]'"), "2");
	tun_free(t);
	assert_int_equal(access("/run/netns/" NS, F_OK), 0);
	assert_string_equal(inside("ip link | grep -c '^[0-9]'"), "1");
	netns_remove(NS, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_config),
	    cmocka_unit_test(name_taken),
	    cmocka_unit_test(successor),
	    cmocka_unit_test_setup_teardown(fresh_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_addresses, setup, teardown),
	    cmocka_unit_test_setup_teardown(routes_follow, setup, teardown),
	    cmocka_unit_test_setup_teardown(packets_both_ways, setup, teardown),
	    cmocka_unit_test_setup_teardown(dropped_from_manager, setup, teardown),
	    cmocka_unit_test_setup_teardown(dropped_from_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(queue_length, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_packets_are_cut, setup, teardown),
	    cmocka_unit_test(older_kernels),
	    cmocka_unit_test_setup_teardown(segments_are_joined, setup, teardown),
	    cmocka_unit_test_setup_teardown(mtu_is_followed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_waiting_packet_is_given, setup, teardown),
	    cmocka_unit_test_setup_teardown(syn_is_clamped, setup, teardown),
	    cmocka_unit_test_setup_teardown(pieces_go_with_their_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(said_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(deleted, setup, teardown),
	    cmocka_unit_test_setup_teardown(namespace_deleted, setup, teardown),
	    cmocka_unit_test_setup_teardown(recreate_fails, setup, teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
