#include "tun/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "tun/netlink.h"
#include "tun/netns.h"

#define TUN_PATH "/dev/net/tun"

enum {
	DROPS_A_READ = 64, /* packets one tun_read() drops before it lets the loop serve others */
	MTU_MIN = 68,      /* RFC 791 */
	MTU_MAX = 65535,
};

struct tun {
	char *netns;
	char name[IFNAMSIZ];
	unsigned mtu;
	int ns_fd;               /* -1: not open */
	int fd;                  /* -1: no device */
	struct netlink *nl;      /* in the namespace */
	struct addr local, peer; /* wanted and, while there is a device, set */
	struct packet_counters counters;
};

/* Runs inside the namespace: a TUN device belongs to the one its file was opened in. IFF_TUN_EXCL, for a persistent
 * device of that name would be taken over with whatever addresses, routes and readers it has. */
static int
attach(void *ctx, struct err *e)
{
	struct tun *t = ctx;
	struct ifreq r = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL)};
	int fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_sys(e, -errno, "opening %s", TUN_PATH);
	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	if (!ioctl(fd, TUNSETIFF, &r)) {
		t->fd = fd;
		return 0;
	}
	rc = -errno;
	close(fd);
	if (rc == -EBUSY)
		return err_set(e, -EBUSY,
			       "device %s is in namespace %s already and not ours: \"ip -n %s link del %s\" removes it",
			       t->name, t->netns, t->netns, t->name);
	return err_sys(e, rc, "making TUN device %s", t->name);
}

/* Guide, "Protocol operation on FortiGate": the virtual domain holds one device. Another one is somebody's decision,
 * and no reason to leave the box unmanaged; forwarding is off. But it is said. Devices that are down, such as those
 * the kernel puts into every namespace for its own tunnel protocols, carry nothing. */
static void
report_strangers(const struct tun *t)
{
	struct link_facts all[32];
	size_t count = 0;

	if (netlink_links(t->nl, all, sizeof(all) / sizeof(*all), &count, NULL))
		return;
	for (size_t i = 0; i < count && i < sizeof(all) / sizeof(*all); i++)
		if (all[i].up && strcmp(all[i].name, "lo") && strcmp(all[i].name, t->name))
			log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "Device of others in the isolated namespace",
				  "netns", t->netns, "device", all[i].name, NULL);
}

static int
make_device(struct tun *t, struct err *e)
{
	int rc;

	rc = netns_open(t->netns, &t->ns_fd, NULL, e);
	if (!rc)
		rc = netlink_open(t->ns_fd, &t->nl, e);
	if (!rc)
		rc = netns_run(t->ns_fd, attach, t, e);
	if (!rc)
		rc = netlink_link_set_mtu(t->nl, t->name, t->mtu, e);
	if (!rc) /* before it is up, for then the kernel asks for routers at once */
		rc = netlink_link_no_linklocal(t->nl, t->name, e);
	if (!rc)
		rc = netlink_link_set_up(t->nl, t->name, true, e);
	if (!rc)
		report_strangers(t);
	return rc;
}

static void
close_all(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	netlink_free(t->nl);
	if (t->ns_fd >= 0)
		close(t->ns_fd);
	t->fd = t->ns_fd = -1;
	t->nl = NULL;
}

int
tun_new(const struct tun_config *c, struct tun **out, struct err *e)
{
	struct tun *t;
	int rc;

	if (!*c->name || strlen(c->name) >= IFNAMSIZ || strpbrk(c->name, "/:% \t\n") || !strcmp(c->name, "lo"))
		return err_set(e, -EINVAL, "tunnel device \"%.32s\": a name of 1 to 15 characters was expected",
			       c->name);
	if (c->mtu < MTU_MIN || c->mtu > MTU_MAX)
		return err_set(e, -EINVAL, "tunnel device %s: MTU %u, %d to %d was expected", c->name, c->mtu, MTU_MIN,
			       MTU_MAX);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_sys(e, -ENOMEM, "tunnel device %s", c->name);
	t->fd = t->ns_fd = -1;
	t->mtu = c->mtu;
	t->netns = strdup(c->netns);
	rc = t->netns ? text_copy(t->name, sizeof(t->name), c->name) : -ENOMEM;
	if (rc)
		err_sys(e, rc, "tunnel device %s", c->name);
	else
		rc = make_device(t, e);
	if (rc) {
		tun_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void
tun_free(struct tun *t)
{
	if (!t)
		return;
	close_all(t);
	free(t->netns);
	free(t);
}

/* An address one host can have on a tunnel: it comes from a manager. */
static bool
is_host(const struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t loopback[16] = {[15] = 1};

	if (addr_is_any(a))
		return false;
	if (a->family == AF_INET)
		return a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224;
	return a->family == AF_INET6 && a->bytes[0] != 0xff && memcmp(a->bytes, mapped, sizeof(mapped)) != 0 &&
	       memcmp(a->bytes, loopback, sizeof(loopback)) != 0 &&
	       !(a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

static int
check_pair(const struct addr *local, const struct addr *peer, struct err *e)
{
	char text[ADDR_TEXT];

	if (!local->family)
		return 0;
	if (!is_host(local))
		return err_set(e, -EINVAL, "tunnel address %s: a host's address was expected", addr_host(text, local));
	if (!peer->family)
		return 0;
	if (!is_host(peer) || peer->family != local->family || addr_same_host(peer, local))
		return err_set(e, -EINVAL,
			       "manager's tunnel address %s: another host's of the same family was expected",
			       addr_host(text, peer));
	return 0;
}

/* A route through the device: to `dst`, or everything of a family for an empty one. */
static int
add_route(struct tun *t, const struct addr *dst, int family, struct err *e)
{
	struct route r = {.dst = {.family = family}};

	if (dst)
		r.dst = *dst;
	if (t->local.family == family)
		r.src = t->local;
	memcpy(r.dev, t->name, sizeof(r.dev));
	return netlink_route_add(t->nl, &r, e);
}

/* A host address brings no route: the peer needs its own, and everybody behind it the defaults. */
static int
set_now(struct tun *t, struct err *e)
{
	int other = t->local.family == AF_INET ? AF_INET6 : AF_INET;
	struct err ignored = ERR_NONE;
	int rc;

	rc = netlink_link_set_up(t->nl, t->name, true, e);
	if (!rc)
		rc = netlink_addr_add(t->nl, t->name, &t->local, e);
	if (!rc && t->peer.family)
		rc = add_route(t, &t->peer, t->local.family, e);
	if (!rc)
		rc = add_route(t, NULL, t->local.family, e);
	/* A kernel or an MTU without IPv6 has no such default route, and nothing to route either. */
	if (!rc && add_route(t, NULL, other, &ignored))
		log_debug(DBG_TUNNEL, "%s", ignored.text);
	return rc;
}

/* Takes every address from the device. Its routes go with the link: down and up again drops all of them, those that
 * somebody else added, too. */
static int
clear_now(struct tun *t, struct err *e)
{
	struct addr all[16];
	size_t count = 0;
	int rc;

	t->local.family = t->peer.family = 0;
	rc = netlink_link_set_up(t->nl, t->name, false, e);
	do {
		if (!rc)
			rc = netlink_addrs(t->nl, t->name, all, sizeof(all) / sizeof(*all), &count, e);
		for (size_t i = 0; !rc && i < count && i < sizeof(all) / sizeof(*all); i++)
			rc = netlink_addr_del(t->nl, t->name, &all[i], e);
	} while (!rc && count > sizeof(all) / sizeof(*all));
	if (!rc)
		rc = netlink_link_set_up(t->nl, t->name, true, e);
	return rc;
}

static struct addr
as_host(const struct addr *a)
{
	struct addr h = *a;

	h.prefix = h.family == AF_INET ? 32 : 128;
	return h;
}

static bool
same(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && (!a->family || addr_same_host(a, b));
}

static int
replace_now(struct tun *t, const struct addr *local, const struct addr *peer, struct err *e)
{
	int rc = clear_now(t, e);

	if (rc || !local->family)
		return rc;
	t->local = *local;
	t->peer = *peer;
	return set_now(t, e);
}

static int
set_addresses(struct tun *t, const struct addr *local, const struct addr *peer, struct err *e)
{
	if (t->fd < 0)
		return err_set(e, -ENODEV, "device %s was deleted", t->name);
	/* said again by the manager: connections over it go on, and what is missing comes back */
	if (t->local.family && same(&t->local, local) && same(&t->peer, peer))
		return set_now(t, e);
	return replace_now(t, local, peer, e);
}

int
tun_set_addresses(struct tun *t, const struct addr *local, const struct addr *peer, struct err *e)
{
	struct addr new_local = as_host(local), new_peer = as_host(peer);
	int rc;

	rc = check_pair(&new_local, &new_peer, e);
	if (!rc)
		rc = set_addresses(t, &new_local, &new_peer, e);
	if (rc == -ENODEV) {
		t->local = new_local;
		t->peer = new_peer;
	} else if (rc && t->fd >= 0) {
		(void)clear_now(t, NULL);
	} else if (rc) {
		t->local.family = t->peer.family = 0;
	}
	return rc;
}

void
tun_addresses(const struct tun *t, struct addr *local, struct addr *peer)
{
	*local = t->local;
	*peer = t->peer;
}

int
tun_fd(const struct tun *t)
{
	return t->fd;
}

int
tun_netns_fd(const struct tun *t)
{
	return t->ns_fd;
}

int
tun_read(struct tun *t, uint8_t *dst, size_t size, size_t *len)
{
	if (t->fd < 0)
		return -ENODEV;
	for (int i = 0; i < DROPS_A_READ; i++) {
		ssize_t n = read(t->fd, dst, size);
		enum packet_verdict v;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EBADFD ? -ENODEV : errno == EAGAIN || errno == EIO ? -EAGAIN : -errno;
		v = (size_t)n > t->mtu ? PACKET_TOO_BIG : packet_check(dst, (size_t)n, PACKET_FROM_DEVICE, &t->local);
		if (v == PACKET_PASS) {
			t->counters.out_packets++;
			t->counters.out_bytes += (uint64_t)n;
			*len = (size_t)n;
			return 0;
		}
		t->counters.drops[v][PACKET_FROM_DEVICE]++;
	}
	return -EAGAIN;
}

int
tun_write(struct tun *t, const uint8_t *pkt, size_t len)
{
	enum packet_verdict v;
	ssize_t n;

	if (t->fd < 0)
		return -ENODEV;
	v = packet_check(pkt, len, PACKET_FROM_MANAGER, &t->local);
	if (v == PACKET_PASS && len > t->mtu)
		v = PACKET_TOO_BIG;
	if (v == PACKET_PASS) {
		do {
			n = write(t->fd, pkt, len);
		} while (n < 0 && errno == EINTR);
		if (n < 0 && errno == EBADFD)
			return -ENODEV;
		if (n >= 0) {
			t->counters.in_packets++;
			t->counters.in_bytes += len;
			return 0;
		}
		v = PACKET_QUEUE_FULL; /* or the device is down: it could not take it */
	}
	t->counters.drops[v][PACKET_FROM_MANAGER]++;
	return 0;
}

int
tun_recreate(struct tun *t, struct err *e)
{
	struct addr local = t->local, peer = t->peer;
	int rc;

	close_all(t);
	rc = make_device(t, e);
	if (!rc) {
		t->local.family = t->peer.family = 0;
		rc = tun_set_addresses(t, &local, &peer, e);
	}
	if (rc) {
		close_all(t);
		t->local = local;
		t->peer = peer;
	}
	return rc;
}

const struct packet_counters *
tun_counters(const struct tun *t)
{
	return &t->counters;
}
