/* `config system interface`: address, MTU, up or down. The key is the name of a Linux device. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/tree.h"
#include "tun/netlink.h"

enum { MTU_ETHERNET = 1500 };

/* What an entry asks of its device. */
struct wish {
	struct addr ip; /* family 0: none */
	unsigned mtu;   /* 0: as it is */
	bool spoken;    /* there is an entry: `up` means something */
	bool up;
};

/* The device as it was before the change, for taking it back. */
struct snapshot {
	struct link_facts link;
	struct addr *addrs; /* owned */
	size_t count;
};

/* 0.0.0.0 is none. */
static int
parse_ip(const char *text, struct addr *out)
{
	struct addr a;

	if (!*text)
		return 0;
	if (addr_parse_and_mask(text, &a))
		return -EINVAL;
	if (!addr_is_any(&a))
		*out = a;
	return 0;
}

static bool
overrides_mtu(const struct entry *en)
{
	return en && entry_enabled(en, "mtu-override");
}

static int
wish_of(const struct entry *en, struct wish *out, struct err *e)
{
	*out = (struct wish){.spoken = en != NULL};
	if (!en)
		return CLI_OK;
	if (parse_ip(entry_get(en, "ip"), &out->ip))
		return err_set(e, CLI_BAD_ADDRESS, "%s: ip \"%.40s\", an IPv4 address and mask were expected",
			       entry_key(en), entry_get(en, "ip"));
	out->up = strcmp(entry_get(en, "status"), "down") != 0;
	if (overrides_mtu(en))
		out->mtu = (unsigned)entry_int(en, "mtu");
	return CLI_OK;
}

static bool
same_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && (!a->family || addr_equal(a, b));
}

bool
apply_interface_moves(const struct change *c)
{
	struct wish from, to;

	if (wish_of(c->old, &from, NULL) != CLI_OK || wish_of(c->new, &to, NULL) != CLI_OK)
		return true;
	return !same_ip(&from.ip, &to.ip) || (to.spoken && to.up != (from.spoken && from.up));
}

static bool
holds(const struct addr *all, size_t count, const struct addr *a)
{
	for (size_t i = 0; i < count; i++)
		if (addr_equal(&all[i], a))
			return true;
	return false;
}

/* All addresses of a device; the caller frees *out. */
static int
read_addrs(struct netlink *nl, const char *dev, struct addr **out, size_t *count, struct err *e)
{
	struct addr *all = NULL;
	size_t room = 0, n = 0;
	int rc;

	for (;;) {
		rc = netlink_addrs(nl, dev, all, room, &n, e);
		if (rc || n <= room)
			break;
		free(all);
		room = n + 8; /* some may come meanwhile */
		all = calloc(room, sizeof(*all));
		if (!all)
			return err_sys(e, -ENOMEM, "addresses of %s", dev);
	}
	if (rc) {
		free(all);
		return rc;
	}
	*out = all;
	*count = n;
	return 0;
}

static int
take_snapshot(struct netlink *nl, const char *dev, struct snapshot *s, struct err *e)
{
	int rc = netlink_link(nl, dev, &s->link, e);

	return rc ? rc : read_addrs(nl, s->link.name, &s->addrs, &s->count, e);
}

/* Lets the kernel keep the other addresses of a subnet when its first one goes; otherwise it takes them all. Returns
 * the switch as it was, for putting it back; '\0': it could not be changed. */
static char
set_promotion(const struct link_facts *link, char value)
{
	char path[96], was = '\0';
	int fd;

	/* the kernel's own name of the device: no '/' in it */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/promote_secondaries", link->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return '\0';
	if (pread(fd, &was, 1, 0) != 1 || (was != value && pwrite(fd, &value, 1, 0) != 1))
		was = '\0';
	close(fd);
	return was;
}

/* Takes one address away and nothing else: what the kernel drops with it comes back. */
static int
remove_address(struct netlink *nl, const struct snapshot *s, const struct addr *gone, const struct addr *added,
	       struct err *e)
{
	char was = set_promotion(&s->link, '1');
	struct addr *now = NULL;
	size_t count = 0;
	int rc;

	rc = netlink_addr_del(nl, s->link.name, gone, e);
	if (was)
		(void)set_promotion(&s->link, was);
	if (!rc)
		rc = read_addrs(nl, s->link.name, &now, &count, e);
	for (size_t i = 0; !rc && i < s->count; i++)
		if (!addr_equal(&s->addrs[i], gone) && !holds(now, count, &s->addrs[i]))
			rc = netlink_addr_add(nl, s->link.name, &s->addrs[i], e);
	if (!rc && added->family && !holds(now, count, added))
		rc = netlink_addr_add(nl, s->link.name, added, e);
	free(now);
	return rc;
}

/* The new address first, so that the device is never without one: with its last address it would lose all its routes,
 * also those that others made. The old one last: put back after a failure it would come behind the other addresses of
 * its subnet, and no longer be the source of what the box sends. */
static int
bring(struct netlink *nl, const struct snapshot *s, const struct wish *from, const struct wish *to, struct err *e)
{
	const char *dev = s->link.name;
	int rc = 0;

	if (to->mtu && to->mtu != s->link.mtu)
		rc = netlink_link_set_mtu(nl, dev, to->mtu, e);
	if (!rc && to->spoken && to->up && !s->link.up)
		rc = netlink_link_set_up(nl, dev, true, e);
	if (!rc && to->ip.family)
		rc = netlink_addr_add(nl, dev, &to->ip, e);
	if (!rc && to->spoken && !to->up && s->link.up)
		rc = netlink_link_set_up(nl, dev, false, e);
	if (!rc && from->ip.family && !same_ip(&from->ip, &to->ip))
		rc = remove_address(nl, s, &from->ip, &to->ip, e);
	return rc;
}

/* Reads back what was written. */
static int
verify(struct netlink *nl, const char *dev, const struct wish *from, const struct wish *to, struct err *e)
{
	struct snapshot now = {.count = 0};
	char text[ADDR_TEXT];
	int rc = take_snapshot(nl, dev, &now, e);

	if (!rc && to->mtu && now.link.mtu != to->mtu)
		rc = err_set(e, -EIO, "%s: MTU %u read back, %u was set", dev, now.link.mtu, to->mtu);
	if (!rc && to->spoken && now.link.up != to->up)
		rc = err_set(e, -EIO, "%s: still %s", dev, now.link.up ? "up" : "down");
	if (!rc && to->ip.family && !holds(now.addrs, now.count, &to->ip))
		rc = err_set(e, -EIO, "%s: address %s was set and is not there", dev, addr_cidr(text, &to->ip));
	if (!rc && from->ip.family && !same_ip(&from->ip, &to->ip) && holds(now.addrs, now.count, &from->ip))
		rc = err_set(e, -EIO, "%s: address %s was removed and is still there", dev, addr_cidr(text, &from->ip));
	free(now.addrs);
	return rc;
}

/* Back to the snapshot, as far as it goes: the reason for being here is what the caller reports. */
static void
undo(struct netlink *nl, const struct snapshot *s, const struct wish *to)
{
	const char *dev = s->link.name;
	struct err why = ERR_NONE;
	int rc = 0;

	if (to->mtu && to->mtu != s->link.mtu && netlink_link_set_mtu(nl, dev, s->link.mtu, &why))
		rc = -1;
	if (s->link.up && netlink_link_set_up(nl, dev, true, &why))
		rc = -1;
	for (size_t i = 0; i < s->count; i++)
		if (netlink_addr_add(nl, dev, &s->addrs[i], &why))
			rc = -1;
	if (to->ip.family && !holds(s->addrs, s->count, &to->ip) && netlink_addr_del(nl, dev, &to->ip, &why))
		rc = -1;
	if (!s->link.up && netlink_link_set_up(nl, dev, false, &why))
		rc = -1;
	if (rc)
		log_say(LOG_LEVEL_ERROR, "taking a change of %s back: %s", dev, why.text);
}

static int
change_device(struct apply *a, const char *dev, const struct wish *from, const struct wish *to, struct err *e)
{
	struct snapshot s = {.count = 0};
	int rc = take_snapshot(a->nl, dev, &s, e);

	if (rc == -ENODEV) {
		log_debug(DBG_CONFIG, "[apply] interface %s waits: no such device", dev);
		rc = 0;
	} else if (!rc) {
		rc = bring(a->nl, &s, from, to, e);
		if (!rc)
			rc = verify(a->nl, dev, from, to, e);
		if (rc)
			undo(a->nl, &s, to);
	}
	free(s.addrs);
	return rc;
}

int
apply_interface_change(struct apply *a, const struct change *c, struct err *e)
{
	struct err why = ERR_NONE;
	struct wish from, to;
	int rc;

	rc = wish_of(c->old, &from, e);
	if (rc == CLI_OK)
		rc = wish_of(c->new, &to, e);
	if (rc != CLI_OK)
		return rc;
	if (overrides_mtu(c->old) && !overrides_mtu(c->new))
		to.mtu = MTU_ETHERNET;
	/* An entry that goes takes its address along; the link stays as it is. */
	if (change_device(a, c->key, &from, &to, &why))
		return err_set(e, CLI_FAILED, "%s", why.text);
	return CLI_OK;
}
