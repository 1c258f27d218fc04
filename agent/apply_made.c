/* Devices that are made for an entry of `config system interface`: VLANs and loopbacks. One that was there before, or
 * that somebody else made since, is used as far as it is what the entry asks for, and never removed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/tree.h"
#include "tun/netlink.h"

/* FortiOS prints no `type` for a VLAN: an entry with a VLAN id and an interface below is one. */
int
made_device_of(const struct entry *en, struct made_device *out, struct err *e)
{
	const char *type = entry_get(en, "type"), *below = entry_get(en, "interface");
	struct made_device d = {.vlan = (unsigned)entry_int(en, "vlanid")};

	if (!strcmp(type, "loopback"))
		d.kind = MADE_LOOPBACK;
	else if (!strcmp(type, "vlan") || (!strcmp(type, "physical") && d.vlan && *below))
		d.kind = MADE_VLAN;
	if (d.kind == MADE_VLAN && (!d.vlan || !*below))
		return err_set(e, CLI_REQUIRED, "a VLAN needs vlanid and interface");
	if (d.kind == MADE_VLAN && text_copy(d.parent, sizeof(d.parent), below))
		return err_set(e, CLI_TOO_LONG, "interface \"%.40s\": at most 15 characters were expected", below);
	if (d.kind == MADE_VLAN && !strcmp(below, entry_key(en)))
		return err_set(e, CLI_CONFLICT, "a VLAN on itself");
	*out = d;
	return CLI_OK;
}

bool
made_device_same(const struct made_device *a, const struct made_device *b)
{
	return a->kind == b->kind && (a->kind != MADE_VLAN || (a->vlan == b->vlan && !strcmp(a->parent, b->parent)));
}

/* The device is what the entry asks for. */
static bool
fits(struct netlink *nl, const struct link_facts *l, const struct made_device *d)
{
	struct link_facts parent;

	if (d->kind == MADE_LOOPBACK)
		return !strcmp(l->kind, "dummy") || !strcmp(l->name, "lo");
	return !strcmp(l->kind, "vlan") && l->vlan == d->vlan && !netlink_link(nl, d->parent, &parent, NULL) &&
	       l->parent == parent.ifindex;
}

static char *
describe(char *dst, size_t size, const struct made_device *d)
{
	if (d->kind == MADE_VLAN)
		snprintf(dst, size, "VLAN %u on %s", d->vlan, d->parent);
	else
		snprintf(dst, size, "loopback");
	return dst;
}

int
made_device_add(struct netlink *nl, const char *name, const struct made_device *d, bool *made, struct err *e)
{
	struct link_facts l;
	char text[48];
	int rc;

	if (d->kind == MADE_NOT)
		return 0;
	rc = netlink_link(nl, name, &l, e);
	if (!rc && !fits(nl, &l, d))
		return err_set(e, -EEXIST, "%s: a device of that name is there and is no %s", name,
			       describe(text, sizeof(text), d));
	if (rc != -ENODEV)
		return rc;
	rc = d->kind == MADE_VLAN ? netlink_vlan_add(nl, name, d->parent, d->vlan, e) : netlink_dummy_add(nl, name, e);
	if (!rc)
		*made = true;
	return rc;
}

int
made_device_remove(struct netlink *nl, const char *name, const struct made_device *d, bool *gone, struct err *e)
{
	struct link_facts l;
	int rc;

	if (d->kind == MADE_NOT)
		return 0;
	rc = netlink_link(nl, name, &l, e);
	if (rc)
		return rc == -ENODEV ? 0 : rc;
	if (l.group != NETLINK_OURS || !fits(nl, &l, d))
		return 0;
	rc = netlink_link_del(nl, &l, e);
	if (!rc)
		*gone = true;
	return rc;
}
