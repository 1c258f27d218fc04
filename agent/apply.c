#include "agent/apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "base/log.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/tree.h"
#include "tun/netlink.h"

#define INTERFACES "system interface"

int
apply_new(bool system, struct apply **out, struct err *e)
{
	struct apply *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return err_sys(e, -ENOMEM, "appliers");
	a->system = system;
	if (gethostname(a->found_hostname, sizeof(a->found_hostname)))
		a->found_hostname[0] = '\0';
	rc = netlink_open(-1, &a->nl, e);
	if (rc) {
		apply_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

void
apply_free(struct apply *a)
{
	if (!a)
		return;
	apply_route_forget(a);
	netlink_free(a->nl);
	free(a);
}

/* The kernel drops routes together with addresses and links. One that cannot come back waits for its device, as after
 * a start; the interface itself is as it was asked to be. */
static int
interface_and_routes(struct apply *a, const struct change *c, struct err *e)
{
	int rc = apply_interface_change(a, c, e);
	struct err why = ERR_NONE;

	if (rc != CLI_OK) {
		(void)apply_routes_through(a, c->tree, c->key, false, NULL);
		return rc;
	}
	if (apply_interface_moves(c) && apply_routes_through(a, c->tree, c->key, true, &why) != CLI_OK)
		log_say(LOG_LEVEL_WARNING, "%s, after a change of %s", why.text, c->key);
	return CLI_OK;
}

/* Appliers in the order of a start: routes need their interfaces. `alone` is the one for a single change. */
static const struct part {
	const char *applied_by;
	int (*with_all)(struct apply *a, const struct change *c, struct err *e);
	int (*alone)(struct apply *a, const struct change *c, struct err *e);
} parts[] = {
    {"global", apply_system_change, apply_system_change},
    {"interface", apply_interface_change, interface_and_routes},
    {"route", apply_route_change, apply_route_change},
};

enum { PARTS = sizeof(parts) / sizeof(*parts) };

int
apply_change(struct apply *a, const struct change *c, struct err *e)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].applied_by, c->table->applied_by))
			return parts[i].alone(a, c, e);
	return CLI_OK;
}

static int
whole_table(struct apply *a, const struct part *p, const struct tree *t, const struct schema_table *table,
	    struct err *e)
{
	int failed = 0;

	for (const struct entry *en = tree_first(t, table->path); en; en = entry_next(en)) {
		const struct change c = {.table = table, .key = entry_key(en), .new = en, .tree = t};
		struct err why = ERR_NONE;

		if (p->with_all(a, &c, &why) == CLI_OK)
			continue;
		log_say(LOG_LEVEL_ERROR, "%s %s: %s", table->path, c.key, why.text);
		if (!failed++ && e)
			*e = why;
	}
	return failed;
}

int
apply_all(struct apply *a, const struct tree *t, struct err *e)
{
	const struct schema *s = tree_schema(t);
	int failed = 0;

	for (size_t p = 0; p < PARTS; p++) {
		for (size_t i = 0; i < schema_count(s); i++) {
			const struct schema_table *table = schema_at(s, i);

			if (!strcmp(parts[p].applied_by, table->applied_by))
				failed += whole_table(a, &parts[p], t, table, failed ? NULL : e);
		}
	}
	return failed;
}

int
apply_link(struct apply *a, const struct tree *t, const char *name, struct err *e)
{
	const struct entry *en = tree_entry(t, INTERFACES, name);
	int rc;

	if (en) {
		/* old and new alike: nothing is taken away, what is missing comes */
		const struct change c = {
		    .table = entry_table(en), .key = entry_key(en), .old = en, .new = en, .tree = t};

		rc = apply_interface_change(a, &c, e);
		if (rc != CLI_OK)
			return rc;
	}
	return apply_routes_through(a, t, name, false, e);
}
