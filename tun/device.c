#include "tun/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "tun/join.h"
#include "tun/mss.h"
#include "tun/netlink.h"
#include "tun/netns.h"
#include "tun/offload.h"
#include "tun/segment.h"

#define TUN_PATH "/dev/net/tun"

enum {
	DROPS_A_READ = 64, /* packets one tun_read() drops before it lets the loop serve others */
	MTU_MIN = 68,      /* RFC 791 */
	MTU_MAX = 65535,
	HEADER = sizeof(struct virtio_net_hdr),
	PACKET_MAX = 65536,
};

struct tun {
	char *netns;
	char name[IFNAMSIZ];
	unsigned mtu;            /* as configured */
	unsigned mtu_now;        /* of the device when it was last looked at */
	int queue;               /* packets the kernel keeps for us */
	int ns_fd;               /* -1: not open */
	int fd;                  /* -1: no device */
	int control_fd;          /* a socket in the namespace, to ask for the device's MTU; -1: none */
	bool header;             /* a virtio_net_hdr comes before each packet */
	struct netlink *nl;      /* in the namespace */
	struct addr local, peer; /* wanted and, while there is a device, set */
	struct packet_counters counters;
	struct segment cut; /* what was read last and is not yet handed out; in `in` */
	struct join join;
	int write_rc; /* of the writes since it was last asked for */
	uint8_t *
	    in; /* what was read last: HEADER + PACKET_MAX bytes; pages that idle traffic does not touch cost nothing */
};

static void
name_device(const struct tun *t, struct ifreq *r)
{
	*r = (struct ifreq){0};
	memcpy(r->ifr_name, t->name, sizeof(r->ifr_name));
}

static int
set_queue(const struct tun *t, int packets)
{
	struct ifreq r;

	name_device(t, &r);
	r.ifr_qlen = packets;
	return ioctl(t->control_fd, SIOCSIFTXQLEN, &r) ? -errno : 0;
}

static int
open_control(struct tun *t, struct err *e)
{
	int rc;

	t->control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->control_fd < 0)
		return err_sys(e, -errno, "socket in namespace %s", t->netns);
	rc = set_queue(t, t->queue);
	return rc ? err_sys(e, rc, "queue length of device %s", t->name) : 0;
}

/* Somebody else may have changed it. Asked when it matters, for a SYN or a packet that looks too large: nobody has to
 * be woken up for it. */
static void
look_at_mtu(struct tun *t)
{
	struct ifreq r;

	name_device(t, &r);
	if (!ioctl(t->control_fd, SIOCGIFMTU, &r) && r.ifr_mtu >= MTU_MIN)
		t->mtu_now = (unsigned)r.ifr_mtu;
}

/* The largest packet, either way. An MTU made smaller from outside does not count: the manager goes on sending what was
 * agreed with it, and the device takes that. */
static size_t
largest(const struct tun *t)
{
	return t->mtu_now > t->mtu ? t->mtu_now : t->mtu;
}

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
	rc = offload_attach(fd, &r, &t->header);
	if (!rc) {
		t->fd = fd;
		return open_control(t, e);
	}
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

	t->mtu_now = t->mtu;
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

static join_sink give;

/* Those of another address or device. */
static void
forget_packets(struct tun *t)
{
	t->cut = (struct segment){0};
	t->join = (struct join){.sink = give, .ctx = t};
}

static void
close_all(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->control_fd >= 0)
		close(t->control_fd);
	netlink_free(t->nl);
	if (t->ns_fd >= 0)
		close(t->ns_fd);
	t->fd = t->ns_fd = t->control_fd = -1;
	t->nl = NULL;
	forget_packets(t);
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
	t->fd = t->ns_fd = t->control_fd = -1;
	t->mtu = c->mtu;
	t->queue = TUN_QUEUE_LONG;
	forget_packets(t);
	t->netns = strdup(c->netns);
	t->in = malloc(HEADER + PACKET_MAX);
	rc = t->netns && t->in ? text_copy(t->name, sizeof(t->name), c->name) : -ENOMEM;
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
	free(t->in);
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
	forget_packets(t);
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

void
tun_set_queue(struct tun *t, int packets)
{
	int rc = 0;

	if (packets == t->queue)
		return;
	if (t->fd >= 0)
		rc = set_queue(t, packets);
	if (!rc || rc == -ENODEV)
		t->queue = packets;
	else
		log_debug(DBG_ERROR, "[tunnel] queue length of device %s: %s", t->name, strerror(-rc));
}

size_t
tun_largest(const struct tun *t)
{
	size_t waits = segment_len(&t->cut); /* read while the MTU was larger, perhaps */

	return waits > largest(t) ? waits : largest(t);
}

/* --- from the device ---------------------------------------------------------------------------------------------- */

/* Judges what was read before it is cut: a piece has the addresses of the whole. */
static enum packet_verdict
take_read(struct tun *t, const struct virtio_net_hdr *h, uint8_t *pkt, size_t len)
{
	enum packet_verdict v = packet_check(pkt, len, PACKET_FROM_DEVICE, &t->local);
	int rc;

	if (v != PACKET_PASS)
		return v;
	rc = segment_begin(&t->cut, pkt, len, h, largest(t));
	if (rc == -EMSGSIZE) {
		look_at_mtu(t);
		rc = segment_begin(&t->cut, pkt, len, h, largest(t));
	}
	return rc == -EMSGSIZE ? PACKET_TOO_BIG : rc ? PACKET_HEADER : PACKET_PASS;
}

/* One packet, perhaps a large one, into `cut`. 0 also when it was dropped. */
static int
read_one(struct tun *t)
{
	struct virtio_net_hdr h = {0};
	size_t before = t->header ? HEADER : 0;
	enum packet_verdict v = PACKET_SHORT;
	ssize_t n;

	do {
		n = read(t->fd, t->in + HEADER - before, PACKET_MAX + before);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EBADFD ? -ENODEV : errno == EAGAIN || errno == EIO ? -EAGAIN : -errno;
	if (before)
		memcpy(&h, t->in, sizeof(h));
	if ((size_t)n > before)
		v = take_read(t, &h, t->in + HEADER, (size_t)n - before);
	if (v != PACKET_PASS)
		t->counters.drops[v][PACKET_FROM_DEVICE]++;
	return 0;
}

static void
clamp_mss(struct tun *t, uint8_t *pkt, size_t len)
{
	size_t at = mss_find(pkt, len);

	if (!at)
		return;
	look_at_mtu(t);
	mss_clamp(pkt, at, t->mtu_now);
}

int
tun_read(struct tun *t, uint8_t *dst, size_t size, size_t *len)
{
	if (t->fd < 0)
		return -ENODEV;
	for (int i = 0; i < DROPS_A_READ && !segment_len(&t->cut); i++) {
		int rc = read_one(t);

		if (rc)
			return rc;
	}
	if (!segment_len(&t->cut))
		return -EAGAIN;
	if (segment_len(&t->cut) > size)
		return -EMSGSIZE;
	*len = segment_next(&t->cut, dst);
	clamp_mss(t, dst, *len);
	t->counters.out_packets++;
	t->counters.out_bytes += *len;
	return 0;
}

/* --- to the device ------------------------------------------------------------------------------------------------ */

/* The joiner's sink. The kernel takes a packet as far as the receiving socket within the call, so there is no queue
 * that could be full: what it refuses it has no memory for, or the device is down. */
static void
give(void *ctx, const struct join_unit *u)
{
	struct tun *t = ctx;
	int skip = t->header ? 0 : 1;
	struct virtio_net_hdr h = u->about;
	ssize_t n;

	u->part[0] = (struct iovec){.iov_base = &h, .iov_len = sizeof(h)};
	do {
		n = writev(t->fd, u->part + skip, u->count - skip);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		t->counters.in_packets += u->packets;
		t->counters.in_bytes += u->bytes;
	} else if (errno == EBADFD) {
		t->write_rc = -ENODEV;
	} else {
		t->counters.drops[PACKET_QUEUE_FULL][PACKET_FROM_MANAGER] += u->packets;
	}
}

static int
write_result(struct tun *t)
{
	int rc = t->write_rc;

	t->write_rc = 0;
	return rc;
}

int
tun_write(struct tun *t, uint8_t *pkt, size_t len)
{
	enum packet_verdict v;

	if (t->fd < 0)
		return -ENODEV;
	v = packet_check(pkt, len, PACKET_FROM_MANAGER, &t->local);
	if (v == PACKET_PASS && len > largest(t)) {
		look_at_mtu(t);
		v = len > largest(t) ? PACKET_TOO_BIG : PACKET_PASS;
	}
	if (v != PACKET_PASS) {
		t->counters.drops[v][PACKET_FROM_MANAGER]++;
		return 0;
	}
	clamp_mss(t, pkt, len);
	if (t->header) {
		join_add(&t->join, pkt, len);
	} else {
		struct iovec part[2] = {[1] = {.iov_base = pkt, .iov_len = len}};

		give(t, &(struct join_unit){.part = part, .count = 2, .packets = 1, .bytes = len});
	}
	return write_result(t);
}

int
tun_flush(struct tun *t)
{
	if (t->fd < 0)
		return -ENODEV;
	join_flush(&t->join);
	return write_result(t);
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
