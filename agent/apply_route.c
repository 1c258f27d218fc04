/* `config router static` and `static6`: routes of the main table, marked RTPROT_STATIC.
 *
 * The metric is distance * 65536 + priority, so that the kernel prefers as FortiOS does: the smaller distance first,
 * among equals the smaller priority.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/apply_parts.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/tally.h"
#include "config/tree.h"
#include "tun/netlink.h"

enum { ROUTE_WORD = 2 * ADDR_TEXT + 64 };

/* A route as an entry asks for it. */
struct wish {
	bool active; /* false: no entry, or it is disabled */
	struct route route;
};

static void
clear_host_bits(struct addr *a)
{
	unsigned bytes = a->family == AF_INET ? 4 : 16;

	for (unsigned bit = a->prefix; bit < bytes * 8; bit++)
		a->bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

/* "ADDRESS MASK" or "ADDRESS/LENGTH". */
static int
parse_dst(const char *text, struct addr *out)
{
	struct addr a;

	if (addr_parse_and_mask(text, &a) && addr_parse_prefix(text, &a))
		return -EINVAL;
	clear_host_bits(&a);
	*out = a;
	return 0;
}

static int
parse_gateway(const char *text, struct addr *out)
{
	struct addr a;

	if (!*text)
		return 0;
	if (addr_parse_host(text, &a))
		return -EINVAL;
	if (!addr_is_any(&a))
		*out = a;
	return 0;
}

static int
wish_of(const struct entry *en, struct wish *out, struct err *e)
{
	struct route r = {.metric = 0};

	*out = (struct wish){.active = false};
	if (!en || strcmp(entry_get(en, "status"), "disable") == 0)
		return CLI_OK;
	if (parse_dst(entry_get(en, "dst"), &r.dst) || parse_gateway(entry_get(en, "gateway"), &r.gateway) ||
	    (r.gateway.family && r.gateway.family != r.dst.family))
		return err_set(e, CLI_BAD_ADDRESS,
			       "dst \"%.80s\", gateway \"%.80s\": addresses of one family were expected",
			       entry_get(en, "dst"), entry_get(en, "gateway"));
	if (text_copy(r.dev, sizeof(r.dev), entry_get(en, "device")))
		return err_set(e, CLI_TOO_LONG, "device \"%.40s\": at most 15 characters were expected",
			       entry_get(en, "device"));
	r.metric = (uint32_t)(entry_int(en, "distance") << 16 | entry_int(en, "priority"));
	r.blackhole = entry_enabled(en, "blackhole");
	if (r.blackhole) { /* the kernel takes neither with it */
		r.gateway.family = 0;
		r.dev[0] = '\0';
	} else if (!r.gateway.family && !*r.dev) {
		return err_set(e, CLI_REQUIRED, "a gateway or a device is required");
	}
	out->active = true;
	out->route = r;
	return CLI_OK;
}

static bool
same_route(const struct route *a, const struct route *b)
{
	return addr_equal(&a->dst, &b->dst) && a->gateway.family == b->gateway.family &&
	       (!a->gateway.family || addr_same_host(&a->gateway, &b->gateway)) && !strcmp(a->dev, b->dev) &&
	       a->metric == b->metric && a->blackhole == b->blackhole;
}

/* What same_route() compares, as a word. */
static const char *
route_word(const struct route *r, char dst[ROUTE_WORD])
{
	char net[ADDR_TEXT], gateway[ADDR_TEXT];

	snprintf(dst, ROUTE_WORD, "%s %s %s %u %d", addr_cidr(net, &r->dst),
		 r->gateway.family ? addr_host(gateway, &r->gateway) : "-", r->dev, r->metric, r->blackhole);
	return dst;
}

void
apply_route_forget(struct apply *a)
{
	tally_clear(&a->asked.routes);
	a->asked.tree = NULL;
}

static int
count_wish(struct apply *a, const struct wish *w)
{
	char word[ROUTE_WORD];

	return w->active ? tally_add(&a->asked.routes, route_word(&w->route, word)) : 0;
}

static int
count_all(struct apply *a, const struct change *c)
{
	int rc = 0;

	apply_route_forget(a);
	for (const struct entry *en = tree_first(c->tree, c->table->path); en && !rc; en = entry_next(en)) {
		struct wish w;

		if (wish_of(en, &w, NULL) == CLI_OK)
			rc = count_wish(a, &w);
	}
	return rc;
}

/* What was counted before the change becomes what is asked for with it. */
static int
count_change(struct apply *a, const struct change *c, const struct wish *from, const struct wish *to)
{
	char word[ROUTE_WORD];

	if (from->active && !tally_count(&a->asked.routes, route_word(&from->route, word)))
		return count_all(a, c);
	if (from->active)
		tally_drop(&a->asked.routes, word);
	return count_wish(a, to);
}

/* Counts what the entries of the changed table ask for, if that is `needed`; and once it was, each change that follows
 * the last one, as they do in a block of commands. To look at all entries each time would make many deletions
 * quadratic. 0 or -ENOMEM. */
static int
count_asked(struct apply *a, const struct change *c, const struct wish *from, const struct wish *to, bool needed)
{
	bool known = a->asked.tree == c->tree && a->asked.table == c->table;
	uint64_t now = tree_revision(c->tree);
	int rc = 0;

	if (known && a->asked.revision == now)
		return 0;
	if (known && a->asked.revision + 1 == now)
		rc = count_change(a, c, from, to);
	else if (needed)
		rc = count_all(a, c);
	else
		return 0;
	if (rc) {
		apply_route_forget(a);
		return rc;
	}
	a->asked.tree = c->tree;
	a->asked.table = c->table;
	a->asked.revision = now;
	return 0;
}

/* Another entry than the changed one, which asks for `own` now, asks for the route. */
static bool
shared(const struct apply *a, const struct wish *own, const struct route *r)
{
	size_t mine = own->active && same_route(&own->route, r);
	char word[ROUTE_WORD];

	return tally_count(&a->asked.routes, route_word(r, word)) > mine;
}

/* A route waits while its device is missing or down: the kernel would not take it. Where the kernel does not say, it is
 * asked to take the route: an entry that waits is committed, and would not be in the system. */
static bool
waits(struct netlink *nl, const struct route *r)
{
	struct link_facts link;
	int rc;

	if (!*r->dev)
		return false;
	rc = netlink_link(nl, r->dev, &link, NULL);
	if (rc ? rc != -ENODEV : link.up)
		return false;
	log_debug(DBG_CONFIG, "[apply] a static route waits for device %s", r->dev);
	return true;
}

/* Adds and reads back. */
static int
add_route(struct netlink *nl, const struct route *r, struct err *e)
{
	bool there = false;
	char text[ADDR_TEXT];
	int rc;

	rc = netlink_route_add(nl, r, e);
	if (!rc)
		rc = netlink_route_there(nl, r, &there, e);
	if (!rc && !there)
		rc = err_set(e, -EIO, "route to %s was set and is not there", addr_cidr(text, &r->dst));
	return rc;
}

/* The new route before the old one goes: no moment without. */
static int
exchange(struct apply *a, const struct change *c, const struct wish *from, const struct wish *to, struct err *e)
{
	bool add = to->active && !waits(a->nl, &to->route);
	bool same = from->active && to->active && same_route(&from->route, &to->route);
	bool leave = from->active && !same;
	bool had = false;
	int rc = count_asked(a, c, from, to, leave);

	if (rc)
		return err_sys(e, rc, "counting routes");
	leave = leave && !shared(a, to, &from->route);
	if (add && leave)
		rc = netlink_route_there(a->nl, &to->route, &had, e);
	if (!rc && add)
		rc = add_route(a->nl, &to->route, e);
	if (!rc && leave)
		rc = netlink_route_del(a->nl, &from->route, e);
	/* whether it is gone is not known when the kernel did not say */
	if (rc && leave && !waits(a->nl, &from->route))
		(void)add_route(a->nl, &from->route, NULL);
	if (rc && add && !had && !same && !count_asked(a, c, from, to, true) && !shared(a, to, &to->route))
		(void)netlink_route_del(a->nl, &to->route, NULL);
	return rc;
}

int
apply_route_change(struct apply *a, const struct change *c, struct err *e)
{
	struct err why = ERR_NONE;
	struct wish from, to;
	int rc;

	/* an old entry that makes no sense never was a route */
	(void)wish_of(c->old, &from, NULL);
	rc = wish_of(c->new, &to, e);
	if (rc != CLI_OK)
		return rc;
	if (exchange(a, c, &from, &to, &why))
		return err_set(e, CLI_FAILED, "%s", why.text);
	return CLI_OK;
}

static int
reapply(struct netlink *nl, const struct route *r, bool renew, struct err *e)
{
	int rc;

	if (waits(nl, r))
		return 0;
	if (renew && *r->dev) {
		rc = netlink_route_del(nl, r, e);
		if (rc)
			return rc;
	}
	return add_route(nl, r, e);
}

static int
table_through(struct apply *a, const struct tree *t, const struct schema_table *table, const char *dev, bool renew,
	      struct err *e)
{
	int result = CLI_OK;

	for (const struct entry *en = tree_first(t, table->path); en; en = entry_next(en)) {
		struct err why = ERR_NONE;
		struct wish w;

		if (wish_of(en, &w, NULL) != CLI_OK || !w.active || w.route.blackhole ||
		    (*w.route.dev && strcmp(w.route.dev, dev) != 0))
			continue;
		if (!reapply(a->nl, &w.route, renew, &why) || result != CLI_OK)
			continue;
		result = err_set(e, CLI_FAILED, "%s %s: %s", table->path, entry_key(en), why.text);
	}
	return result;
}

int
apply_routes_through(struct apply *a, const struct tree *t, const char *dev, bool renew, struct err *e)
{
	const struct schema *s = tree_schema(t);
	int result = CLI_OK;

	for (size_t i = 0; i < schema_count(s); i++) {
		const struct schema_table *table = schema_at(s, i);
		int rc = CLI_OK;

		if (!strcmp(table->applied_by, "route"))
			rc = table_through(a, t, table, dev, renew, result == CLI_OK ? e : NULL);
		if (result == CLI_OK)
			result = rc;
	}
	return result;
}

int
apply_route_drift(struct apply *a, const struct entry *en, const struct drift *d, struct err *e)
{
	char net[ADDR_TEXT], gateway[ADDR_TEXT], text[192];
	bool there = false;
	struct wish w;
	int rc = wish_of(en, &w, e);

	if (rc != CLI_OK || !w.active || waits(a->nl, &w.route))
		return rc;
	rc = netlink_route_there(a->nl, &w.route, &there, e);
	if (rc || there)
		return rc;
	snprintf(text, sizeof(text), "%s%s%s%s%s%s metric %u", addr_cidr(net, &w.route.dst),
		 w.route.gateway.family ? " via " : "", addr_host(gateway, &w.route.gateway),
		 *w.route.dev ? " dev " : "", w.route.dev, w.route.blackhole ? " blackhole" : "", w.route.metric);
	drift_say(d, entry_key(en), "route", text, "none");
	return 0;
}
