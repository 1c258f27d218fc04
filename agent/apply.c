#include "agent/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apply_parts.h"
#include "agent/handlers.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/tree.h"
#include "tun/netlink.h"

#define INTERFACES "system interface"

static int
take_options(struct apply *a, const struct apply_options *o, struct err *e)
{
	const char *slash = *o->run_dir ? "/" : "";
	int n = snprintf(a->hostname_found, sizeof(a->hostname_found), "%s%shostname.before-fgfmd", o->run_dir, slash);
	int m = snprintf(a->found_list, sizeof(a->found_list), "%s%saddresses.before-fgfmd", o->run_dir, slash);

	a->system = o->system;
	if (n < 0 || (size_t)n >= sizeof(a->hostname_found) || m < 0 || (size_t)m >= sizeof(a->found_list) ||
	    text_copy(a->resolv_conf, sizeof(a->resolv_conf), o->resolv_conf) ||
	    text_copy(a->localtime, sizeof(a->localtime), o->localtime) ||
	    text_copy(a->zoneinfo, sizeof(a->zoneinfo), o->zoneinfo))
		return err_sys(e, -ENAMETOOLONG, "files of the host");
	apply_found_load(a);
	a->handlers = handlers_new(o->handler_dir, o->handler_user);
	return a->handlers ? 0 : err_sys(e, -ENOMEM, "handlers in %s", o->handler_dir);
}

int
apply_new(const struct apply_options *o, struct apply **out, struct err *e)
{
	struct apply *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return err_sys(e, -ENOMEM, "appliers");
	rc = take_options(a, o, e);
	if (!rc)
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
	apply_owed_clear(a);
	apply_found_free(a);
	apply_route_forget(a);
	handlers_free(a->handlers);
	netlink_free(a->nl);
	free(a->said);
	free(a);
}

/* The kernel drops routes together with addresses and links, and cuts VLANs to their parent. What cannot come back
 * waits for its device, as after a start; the interface itself is as it was asked to be. */
static int
interface_and_rest(struct apply *a, const struct change *c, struct err *e)
{
	unsigned effect = apply_interface_effect(c);
	struct err why = ERR_NONE;
	int rc;

	apply_interface_find(a, c);
	rc = apply_interface_change(a, c, e);
	if (rc != CLI_OK) {
		(void)apply_routes_through(a, c->tree, c->key, false, NULL);
		return rc;
	}
	if ((effect & INTERFACE_RESIZES) && apply_interface_vlans(a, c->tree, c->key, &why) != CLI_OK)
		log_say(LOG_LEVEL_WARNING, "%s, after a change of %s", why.text, c->key);
	if ((effect & INTERFACE_MOVES) && apply_routes_through(a, c->tree, c->key, true, &why) != CLI_OK)
		log_say(LOG_LEVEL_WARNING, "%s, after a change of %s", why.text, c->key);
	return CLI_OK;
}

/* Appliers in the order of a start: routes need their interfaces. `alone` is the one for a single change. */
static const struct part {
	const char *applied_by;
	bool files; /* what it writes are files */
	apply_fn *with_all, *alone;
	int (*drift)(struct apply *a, const struct entry *en, const struct drift *d, struct err *e);
} parts[] = {
    {"global", true, apply_global_change, apply_global_change, apply_global_drift},
    {"interface", false, apply_interface_change, interface_and_rest, apply_interface_drift},
    {"route", false, apply_route_change, apply_route_change, apply_route_drift},
    {"dns", true, apply_dns_change, apply_dns_change, apply_dns_drift},
};

enum { PARTS = sizeof(parts) / sizeof(*parts) };

static const struct part *
part_of(const struct schema_table *table)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].applied_by, table->applied_by))
			return &parts[i];
	return NULL;
}

apply_fn *
apply_fn_of(const struct schema_table *table)
{
	const struct part *p = part_of(table);

	return p ? p->alone : NULL;
}

bool
apply_is_own(const struct schema_table *table)
{
	return part_of(table) != NULL;
}

/* Nobody of the agent's applies it: a program may. */
static bool
is_for_handlers(const struct schema_table *table)
{
	return !*table->applied_by;
}

int
apply_change(struct apply *a, const struct change *c, struct err *e)
{
	const struct part *p = part_of(c->table);

	if (p)
		return apply_owing(a, p->alone, p->files, c, e);
	a->last_owed = false;
	return is_for_handlers(c->table) ? handlers_change(a->handlers, c, e) : CLI_OK;
}

/* Something in it is not at its default. */
static bool
speaks(const struct entry *en)
{
	const struct schema_table *t = entry_table(en);

	for (size_t i = 0; i < t->attr_count; i++)
		if (entry_is_set(en, t->attrs[i].name))
			return true;
	for (size_t i = 0; i < t->child_count; i++) {
		const struct entry *inner = entry_child_first(en, t->children[i]->path);

		if (inner && (!t->children[i]->singleton || speaks(inner)))
			return true;
	}
	return false;
}

static int
with_handler(struct apply *a, const struct change *c, struct err *e)
{
	return c->table->singleton && !speaks(c->new) ? CLI_OK : handlers_change(a->handlers, c, e);
}

static int
whole_table(struct apply *a, const struct part *p, const struct tree *t, const struct schema_table *table,
	    struct err *e)
{
	int failed = 0;

	for (const struct entry *en = tree_first(t, table->path); en; en = entry_next(en)) {
		const struct change c = {.table = table, .key = entry_key(en), .new = en, .tree = t};
		struct err why = ERR_NONE;

		if ((p ? apply_owing(a, p->with_all, p->files, &c, &why) : with_handler(a, &c, &why)) == CLI_OK)
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

	for (size_t p = 0; p <= PARTS; p++) {
		for (size_t i = 0; i < schema_count(s); i++) {
			const struct schema_table *table = schema_at(s, i);

			if (p < PARTS && part_of(table) == &parts[p])
				failed += whole_table(a, &parts[p], t, table, failed ? NULL : e);
			else if (p == PARTS && is_for_handlers(table) && handlers_have(a->handlers, table))
				failed += whole_table(a, NULL, t, table, failed ? NULL : e);
		}
	}
	return failed;
}

int
apply_again(struct apply *a, const struct tree *t, const struct schema_table *table, const char *key, struct err *e)
{
	const struct entry *en = tree_entry(t, table->path, key);
	const struct change c = {.table = table, .key = key, .new = en, .tree = t};

	return en ? apply_change(a, &c, e) : CLI_OK;
}

/* What was taken from a device, by the kernel or by somebody, comes back with it: not without a word. */
static void
on_missing(void *ctx, const struct apply_difference *x)
{
	(void)ctx;
	if (strcmp(x->expected, "none") != 0 && strcmp(x->what, "device") != 0)
		log_say(LOG_LEVEL_NOTICE, "interface %s has come up: %s %s is set, it was %s", x->key, x->what,
			x->expected, x->found);
}

/* What hangs on a device: VLANs, then the routes through it. */
static int
link_and_rest(struct apply *a, const struct change *c, struct err *e)
{
	int rc = CLI_OK;

	if (c->new)
		rc = apply_interface_change(a, c, e);
	if (rc == CLI_OK && c->new)
		rc = apply_interface_vlans(a, c->tree, c->key, e);
	return rc == CLI_OK ? apply_routes_through(a, c->tree, c->key, false, e) : rc;
}

int
apply_link(struct apply *a, const struct tree *t, const char *name, struct err *e)
{
	const struct schema_table *table = schema_find(tree_schema(t), INTERFACES);
	const struct entry *en = tree_entry(t, INTERFACES, name);
	/* old and new alike: nothing is taken away, what is missing comes */
	const struct change c = {.table = table, .key = name, .old = en, .new = en, .tree = t};
	const struct drift d = {.table = INTERFACES, .fn = on_missing};

	if (en)
		(void)apply_interface_drift(a, en, &d, NULL);
	return apply_owing(a, link_and_rest, false, &c, e);
}

/* --- handlers ----------------------------------------------------------------------------------------------------- */

void
apply_rest(struct apply *a)
{
	handlers_rest(a->handlers);
}

void
apply_turn(struct apply *a)
{
	handlers_turn(a->handlers);
}

bool
apply_is_slow(const struct apply *a)
{
	return handlers_waited_ms(a->handlers) >= HANDLER_SLOW_MS;
}

void
apply_say_kept(struct apply *a, const struct tree *t)
{
	const struct schema *s = tree_schema(t);

	if (!a->said)
		a->said = calloc(schema_count(s), sizeof(*a->said));
	for (size_t i = 0; a->said && i < schema_count(s); i++) {
		const struct schema_table *table = schema_at(s, i);
		const struct entry *first = tree_first(t, table->path);

		if (a->said[i] || !is_for_handlers(table) || !first || (table->singleton && !speaks(first)) ||
		    handlers_have(a->handlers, table))
			continue;
		a->said[i] = true;
		log_say(LOG_LEVEL_NOTICE, "%s: nothing applies this table, it is kept in the configuration only",
			table->path);
	}
}

/* --- drift -------------------------------------------------------------------------------------------------------- */

void
drift_say(const struct drift *d, const char *key, const char *what, const char *expected, const char *found)
{
	const struct apply_difference one = {
	    .table = d->table, .key = key, .what = what, .expected = expected, .found = found};

	d->fn(d->ctx, &one);
}

int
apply_drift(struct apply *a, const struct tree *t, apply_drift_fn *fn, void *ctx, struct err *e)
{
	const struct schema *s = tree_schema(t);
	int result = CLI_OK;

	for (size_t i = 0; i < schema_count(s); i++) {
		const struct schema_table *table = schema_at(s, i);
		const struct drift d = {.table = table->path, .fn = fn, .ctx = ctx};
		const struct part *p = part_of(table);

		for (const struct entry *en = p ? tree_first(t, table->path) : NULL; en; en = entry_next(en)) {
			struct err why = ERR_NONE;

			if (p->drift(a, en, &d, &why) && result == CLI_OK)
				result = err_set(e, CLI_FAILED, "%s %s: %s", table->path, entry_key(en), why.text);
		}
	}
	return result;
}
