/* `config system interface`: addresses, MTU, up or down, and the VLANs. The key is the name of a Linux device. */
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
	struct addr *addrs; /* owned; the first address first */
	size_t count;
	unsigned mtu; /* 0: as it is */
	bool spoken;  /* there is an entry: `up` means something */
	bool up;
	struct made_device device;
};

/* The device as it was before the change, for taking it back. */
struct snapshot {
	struct link_facts link; /* ifindex 0: there was none */
	struct addr *addrs;     /* owned */
	size_t count;
};

static void
wish_clear(struct wish *w)
{
	free(w->addrs);
	*w = (struct wish){.count = 0};
}

static bool
holds(const struct addr *all, size_t count, const struct addr *a)
{
	for (size_t i = 0; i < count; i++)
		if (addr_equal(&all[i], a))
			return true;
	return false;
}

/* 0.0.0.0 and :: are none. */
static int
want_address(struct wish *w, const char *text, struct err *e)
{
	struct addr a, *more;

	if (!*text)
		return CLI_OK;
	if (addr_parse_and_mask(text, &a) && addr_parse_prefix(text, &a))
		return err_set(e, CLI_BAD_ADDRESS, "address \"%.60s\": with its mask or prefix length was expected",
			       text);
	if (addr_is_any(&a) || holds(w->addrs, w->count, &a))
		return CLI_OK;
	more = realloc(w->addrs, (w->count + 1) * sizeof(*more));
	if (!more)
		return err_sys(e, CLI_FAILED, "addresses");
	w->addrs = more;
	w->addrs[w->count++] = a;
	return CLI_OK;
}

/* The first one, the secondary ones, those of IPv6. */
static int
want_addresses(struct wish *w, const struct entry *en, struct err *e)
{
	const struct entry *v6 = entry_child_first(en, "ipv6");
	int rc = want_address(w, entry_get(en, "ip"), e);

	if (entry_enabled(en, "secondary-IP")) {
		for (const struct entry *s = entry_child_first(en, "secondaryip"); !rc && s; s = entry_next(s))
			rc = want_address(w, entry_get(s, "ip"), e);
	}
	if (!rc)
		rc = want_address(w, entry_get(v6, "ip6-address"), e);
	for (const struct entry *x = entry_child_first(v6, "ip6-extra-addr"); !rc && x; x = entry_next(x))
		rc = want_address(w, entry_key(x), e);
	return rc;
}

static bool
overrides_mtu(const struct entry *en)
{
	return en && entry_enabled(en, "mtu-override");
}

/* CLI_OK, then wish_clear() is due; or a code with its reason. */
static int
wish_of(const struct entry *en, struct wish *out, struct err *e)
{
	struct wish w = {.spoken = en != NULL};
	int rc = CLI_OK;

	if (en) {
		rc = made_device_of(en, &w.device, e);
		if (rc == CLI_OK)
			rc = want_addresses(&w, en, e);
		w.up = strcmp(entry_get(en, "status"), "down") != 0;
		if (overrides_mtu(en))
			w.mtu = (unsigned)entry_int(en, "mtu");
	}
	if (rc != CLI_OK) {
		wish_clear(&w);
		err_in(e, "%s", entry_key(en));
		return rc;
	}
	*out = w;
	return CLI_OK;
}

static bool
same_addresses(const struct wish *a, const struct wish *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!addr_equal(&a->addrs[i], &b->addrs[i]))
			return false;
	return true;
}

static unsigned
compare(const struct wish *from, const struct wish *to)
{
	unsigned found = 0;

	if (!same_addresses(from, to) || (to->spoken && to->up != (from->spoken && from->up)) ||
	    !made_device_same(&from->device, &to->device))
		found |= INTERFACE_MOVES;
	if (from->mtu != to->mtu)
		found |= INTERFACE_RESIZES;
	return found;
}

unsigned
apply_interface_effect(const struct change *c)
{
	struct wish from = {.count = 0}, to = {.count = 0};
	unsigned found = INTERFACE_MOVES | INTERFACE_RESIZES;

	if (wish_of(c->old, &from, NULL) == CLI_OK && wish_of(c->new, &to, NULL) == CLI_OK)
		found = compare(&from, &to);
	wish_clear(&from);
	wish_clear(&to);
	return found;
}

typedef int addrs_fn(struct netlink *n, const char *dev, struct addr out[], size_t max, size_t *count, struct err *e);

/* All addresses of a device; the caller frees *out. */
static int
read_addrs(struct netlink *nl, addrs_fn *read, const char *dev, struct addr **out, size_t *count, struct err *e)
{
	struct addr *all = NULL;
	size_t room = 0, n = 0;
	int rc;

	for (;;) {
		rc = read(nl, dev, all, room, &n, e);
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

	return rc ? rc : read_addrs(nl, netlink_addrs, s->link.name, &s->addrs, &s->count, e);
}

/* With this switch the kernel keeps the other addresses of a subnet when its first one goes; otherwise it takes them
 * all. Any number but 0 turns it on: ours tells a switch that a killed agent has left on from one that is somebody's
 * setting.
 */
enum { PROMOTE_NO = '0', PROMOTE_FOR_NOW = '2' };

static void
swap_promotion(const struct link_facts *link, char from, char to)
{
	char path[96], now = '\0';
	int fd;

	/* the kernel's own name of the device: no '/' in it */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/promote_secondaries", link->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (pread(fd, &now, 1, 0) == 1 && now == from && pwrite(fd, &to, 1, 0) != 1)
		log_debug(DBG_ERROR, "[apply] %s stays %c", path, from);
	close(fd);
}

/* What `w` asks for and the kernel can hold: a device that is down has no IPv6 addresses. */
static bool
can_hold(const struct wish *w, const struct addr *a)
{
	return a->family != AF_INET6 || w->up;
}

/* In the way of an IPv6 address stands the same one with another prefix length. Only one of `ours` is taken away. */
static int
put_address(struct netlink *nl, const char *dev, const struct addr *a, const struct wish *ours, struct err *e)
{
	int rc = netlink_addr_add(nl, dev, a, e);

	for (size_t i = 0; rc == -EEXIST && i < ours->count; i++) {
		if (!addr_same_host(&ours->addrs[i], a))
			continue;
		rc = netlink_addr_del(nl, dev, &ours->addrs[i], e);
		if (!rc)
			rc = netlink_addr_add(nl, dev, a, e);
	}
	return rc;
}

static bool
is_leaving(const struct wish *from, const struct wish *to, const struct addr *a)
{
	return holds(from->addrs, from->count, a) && !holds(to->addrs, to->count, a);
}

/* What the kernel dropped together with an address comes back. */
static int
put_back(struct netlink *nl, const struct snapshot *s, const struct wish *from, const struct wish *to, struct err *e)
{
	struct addr *now = NULL;
	size_t count = 0;
	int rc = read_addrs(nl, netlink_addrs, s->link.name, &now, &count, e);

	for (size_t i = 0; !rc && i < s->count; i++)
		if (s->addrs[i].family == AF_INET && !is_leaving(from, to, &s->addrs[i]) &&
		    !holds(now, count, &s->addrs[i]))
			rc = netlink_addr_add(nl, s->link.name, &s->addrs[i], e);
	for (size_t i = 0; !rc && i < to->count; i++)
		if (to->addrs[i].family == AF_INET && !holds(now, count, &to->addrs[i]))
			rc = netlink_addr_add(nl, s->link.name, &to->addrs[i], e);
	free(now);
	return rc;
}

/* Takes addresses away and nothing else. */
static int
remove_addresses(struct netlink *nl, const struct snapshot *s, const struct wish *from, const struct wish *to,
		 struct err *e)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < from->count; i++)
		any = any || is_leaving(from, to, &from->addrs[i]);
	if (!any)
		return 0;
	swap_promotion(&s->link, PROMOTE_NO, PROMOTE_FOR_NOW);
	for (size_t i = 0; !rc && i < from->count; i++)
		if (is_leaving(from, to, &from->addrs[i]))
			rc = netlink_addr_del(nl, s->link.name, &from->addrs[i], e);
	swap_promotion(&s->link, PROMOTE_FOR_NOW, PROMOTE_NO);
	return rc ? rc : put_back(nl, s, from, to, e);
}

/* The new addresses first, so that the device is never without one: with its last address it would lose all its routes,
 * also those that others made. The old ones last: put back after a failure they would come behind the other addresses
 * of their subnet, and no longer be the source of what the box sends. */
static int
bring(struct netlink *nl, const struct snapshot *s, const struct wish *from, const struct wish *to, struct err *e)
{
	const char *dev = s->link.name;
	int rc = 0;

	if (to->mtu && to->mtu != s->link.mtu)
		rc = netlink_link_set_mtu(nl, dev, to->mtu, e);
	if (!rc && to->spoken && to->up && !s->link.up)
		rc = netlink_link_set_up(nl, dev, true, e);
	for (size_t i = 0; !rc && i < to->count; i++)
		if (can_hold(to, &to->addrs[i]))
			rc = put_address(nl, dev, &to->addrs[i], from, e);
	if (!rc && to->spoken && !to->up && s->link.up)
		rc = netlink_link_set_up(nl, dev, false, e);
	return rc ? rc : remove_addresses(nl, s, from, to, e);
}

static int
verify_addresses(const struct snapshot *now, const struct wish *from, const struct wish *to, struct err *e)
{
	const char *dev = now->link.name;
	char text[ADDR_TEXT];

	for (size_t i = 0; i < to->count; i++)
		if (can_hold(to, &to->addrs[i]) && !holds(now->addrs, now->count, &to->addrs[i]))
			return err_set(e, -EIO, "%s: address %s was set and is not there", dev,
				       addr_cidr(text, &to->addrs[i]));
	for (size_t i = 0; i < from->count; i++)
		if (is_leaving(from, to, &from->addrs[i]) && holds(now->addrs, now->count, &from->addrs[i]))
			return err_set(e, -EIO, "%s: address %s was removed and is still there", dev,
				       addr_cidr(text, &from->addrs[i]));
	return 0;
}

/* Reads back what was written. */
static int
verify(struct netlink *nl, const char *dev, const struct wish *from, const struct wish *to, struct err *e)
{
	struct snapshot now = {.count = 0};
	int rc = take_snapshot(nl, dev, &now, e);

	if (!rc && to->mtu && now.link.mtu != to->mtu)
		rc = err_set(e, -EIO, "%s: MTU %u read back, %u was set", dev, now.link.mtu, to->mtu);
	if (!rc && to->spoken && now.link.up != to->up)
		rc = err_set(e, -EIO, "%s: still %s", dev, now.link.up ? "up" : "down");
	if (!rc)
		rc = verify_addresses(&now, from, to, e);
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
		if (put_address(nl, dev, &s->addrs[i], to, &why))
			rc = -1;
	for (size_t i = 0; i < to->count; i++)
		if (!holds(s->addrs, s->count, &to->addrs[i]) && netlink_addr_del(nl, dev, &to->addrs[i], &why))
			rc = -1;
	if (!s->link.up && netlink_link_set_up(nl, dev, false, &why))
		rc = -1;
	if (rc)
		log_say(LOG_LEVEL_ERROR, "taking a change of %s back: %s", dev, why.text);
}

/* The settings of a device that is there by now, or waits. */
static int
configure(struct netlink *nl, const char *dev, const struct wish *from, const struct wish *to, struct err *e)
{
	struct snapshot s = {.count = 0};
	int rc = take_snapshot(nl, dev, &s, e);

	if (rc == -ENODEV) {
		log_debug(DBG_CONFIG, "[apply] interface %s waits: no such device", dev);
		rc = 0;
	} else if (!rc) {
		rc = bring(nl, &s, from, to, e);
		if (!rc)
			rc = verify(nl, dev, from, to, e);
		if (rc)
			undo(nl, &s, to);
		/* also that of an agent which did not come so far */
		swap_promotion(&s.link, PROMOTE_FOR_NOW, PROMOTE_NO);
	}
	free(s.addrs);
	return rc;
}

/* A device of ours that was taken away for another one, or for good, with all that was on it. */
static void
make_again(struct netlink *nl, const char *dev, const struct snapshot *before, const struct made_device *d)
{
	static const struct wish nothing;
	struct err why = ERR_NONE;
	struct snapshot s = *before;
	bool made;

	if (made_device_add(nl, dev, d, &made, &why) || netlink_link(nl, dev, &s.link, &why)) {
		log_say(LOG_LEVEL_ERROR, "taking a change of %s back: %s", dev, why.text);
		return;
	}
	s.link.up = before->link.up;
	if (netlink_link_set_mtu(nl, dev, before->link.mtu, &why))
		log_say(LOG_LEVEL_ERROR, "taking a change of %s back: %s", dev, why.text);
	undo(nl, &s, &nothing);
}

/* A device that is made for the entry goes before its successor comes: the kernel gives a VLAN only once. */
static int
change_device(struct netlink *nl, const char *dev, const struct wish *from, const struct wish *to, struct err *e)
{
	bool leaves = from->device.kind != MADE_NOT && !made_device_same(&from->device, &to->device);
	struct snapshot before = {.count = 0};
	bool gone = false, made = false;
	int rc = leaves ? take_snapshot(nl, dev, &before, e) : 0;

	if (leaves && !rc)
		rc = made_device_remove(nl, dev, &from->device, &gone, e);
	if (!rc || rc == -ENODEV)
		rc = made_device_add(nl, dev, &to->device, &made, e);
	if (rc == -ENODEV) {
		log_debug(DBG_CONFIG, "[apply] interface %s waits: no device %s", dev, to->device.parent);
		rc = 0;
	} else if (!rc) {
		rc = configure(nl, dev, from, to, e);
	}
	if (rc && made)
		(void)made_device_remove(nl, dev, &to->device, &made, NULL);
	if (rc && gone)
		make_again(nl, dev, &before, &from->device);
	free(before.addrs);
	return rc;
}

/* Of a device that is no longer given one. */
static unsigned
default_mtu(struct netlink *nl, const struct made_device *d)
{
	struct link_facts parent;

	return d->kind == MADE_VLAN && !netlink_link(nl, d->parent, &parent, NULL) ? parent.mtu : MTU_ETHERNET;
}

void
apply_interface_find(struct apply *a, const struct change *c)
{
	struct wish from = {.count = 0}, to = {.count = 0};
	struct snapshot s = {.count = 0};

	/* what a change that is half done has left there is no find */
	if (!a->noting || apply_is_owed(a, c))
		return;
	if (wish_of(c->old, &from, NULL) == CLI_OK && wish_of(c->new, &to, NULL) == CLI_OK &&
	    !same_addresses(&from, &to) && !take_snapshot(a->nl, c->key, &s, NULL)) {
		for (size_t i = 0; i < to.count; i++)
			if (!holds(from.addrs, from.count, &to.addrs[i]) && holds(s.addrs, s.count, &to.addrs[i]))
				apply_found_note(a, s.link.name, &to.addrs[i]);
	}
	free(s.addrs);
	wish_clear(&from);
	wish_clear(&to);
}

/* Addresses the host had before the configuration named them are not ours to take away. */
static void
spare_found(const struct apply *a, const char *dev, struct wish *from, const struct wish *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < from->count; i++) {
		if (apply_found_there(a, dev, &from->addrs[i]) && is_leaving(from, to, &from->addrs[i]))
			log_debug(DBG_CONFIG, "[apply] an address stays on %s: it was there before", dev);
		else
			from->addrs[kept++] = from->addrs[i];
	}
	from->count = kept;
}

int
apply_interface_change(struct apply *a, const struct change *c, struct err *e)
{
	struct wish from = {.count = 0}, to = {.count = 0};
	struct err why = ERR_NONE;
	int rc;

	rc = wish_of(c->old, &from, e);
	if (rc == CLI_OK)
		rc = wish_of(c->new, &to, e);
	if (rc == CLI_OK && overrides_mtu(c->old) && !overrides_mtu(c->new))
		to.mtu = default_mtu(a->nl, &to.device);
	if (rc == CLI_OK)
		spare_found(a, c->key, &from, &to);
	/* An entry that goes takes its addresses along; a link that was not made for it stays as it is. */
	if (rc == CLI_OK) {
		rc = change_device(a->nl, c->key, &from, &to, &why);
		if (rc)
			rc = err_set(e, rc == -EEXIST ? CLI_CONFLICT : CLI_FAILED, "%s", why.text);
	}
	wish_clear(&from);
	wish_clear(&to);
	return rc;
}

/* --- VLANs on an interface ---------------------------------------------------------------------------------------- */

/* The kernel cuts the MTU of a VLAN down to its parent's, and never gives it back. */
static int
follow_mtu(struct apply *a, const struct entry *en, const struct link_facts *parent, struct err *e)
{
	unsigned want = overrides_mtu(en) ? (unsigned)entry_int(en, "mtu") : parent->mtu;
	struct link_facts l;

	if (netlink_link(a->nl, entry_key(en), &l, NULL) || l.group != NETLINK_OURS || l.mtu == want ||
	    want > parent->mtu)
		return 0;
	return netlink_link_set_mtu(a->nl, l.name, want, e);
}

/* A VLAN that waited for its parent is made; the kernel had taken it away with a parent that was gone for a while. */
static int
bring_vlan(struct apply *a, const struct tree *t, const struct entry *en, struct err *e)
{
	const struct change c = {.table = entry_table(en), .key = entry_key(en), .old = en, .new = en, .tree = t};
	struct link_facts l;

	if (!netlink_link(a->nl, c.key, &l, NULL))
		return CLI_OK;
	return apply_interface_change(a, &c, e);
}

int
apply_interface_vlans(struct apply *a, const struct tree *t, const char *parent, struct err *e)
{
	struct link_facts above;
	int result = CLI_OK;

	if (netlink_link(a->nl, parent, &above, NULL))
		return CLI_OK;
	for (const struct entry *en = tree_first(t, "system interface"); en; en = entry_next(en)) {
		struct err why = ERR_NONE;
		struct made_device d;

		if (made_device_of(en, &d, NULL) != CLI_OK || d.kind != MADE_VLAN || strcmp(d.parent, parent) != 0)
			continue;
		if (bring_vlan(a, t, en, &why) == CLI_OK && !follow_mtu(a, en, &above, &why))
			continue;
		if (result == CLI_OK)
			result = err_set(e, CLI_FAILED, "interface %s: %s", entry_key(en), why.text);
	}
	return result;
}

/* --- drift -------------------------------------------------------------------------------------------------------- */

static void
addresses_drift(const struct drift *d, const char *dev, const struct wish *w, const struct addr *now, size_t count)
{
	char text[ADDR_TEXT];

	for (size_t i = 0; i < w->count; i++)
		if (can_hold(w, &w->addrs[i]) && !holds(now, count, &w->addrs[i]))
			drift_say(d, dev, "address", addr_cidr(text, &w->addrs[i]), "none");
	for (size_t i = 0; i < count; i++)
		if (!holds(w->addrs, w->count, &now[i]))
			drift_say(d, dev, "address", "none", addr_cidr(text, &now[i]));
}

static void
device_drift(const struct drift *d, const char *dev, const struct wish *w, const struct link_facts *l)
{
	char expected[16], found[16];

	if (w->up != l->up)
		drift_say(d, dev, "status", w->up ? "up" : "down", l->up ? "up" : "down");
	if (!w->mtu || w->mtu == l->mtu)
		return;
	snprintf(expected, sizeof(expected), "%u", w->mtu);
	snprintf(found, sizeof(found), "%u", l->mtu);
	drift_say(d, dev, "mtu", expected, found);
}

int
apply_interface_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e)
{
	struct wish w = {.count = 0};
	struct addr *now = NULL;
	struct link_facts l;
	size_t count = 0;
	int rc = wish_of(en, &w, e);

	if (rc)
		return rc;
	rc = netlink_link(a->nl, entry_key(en), &l, e);
	if (rc == -ENODEV) {
		drift_say(d, entry_key(en), "device", "present", "missing");
		rc = 0;
	} else if (!rc) {
		rc = read_addrs(a->nl, netlink_addrs_set, l.name, &now, &count, e);
		if (!rc) {
			device_drift(d, l.name, &w, &l);
			addresses_drift(d, l.name, &w, now, count);
		}
	}
	free(now);
	wish_clear(&w);
	return rc;
}
