/* Changes that may be half done, for a reason that passes: they are made again later, towards what the configuration
 * says by then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/tree.h"
#include "tun/netlink.h"

enum { OWED_MAX = 4096 };

struct owed {
	struct owed *next;
	const struct schema_table *table;
	char *key;              /* owned */
	struct entry *sides[2]; /* owned: before and after the change, or NULL. Either may be in the system by half. */
};

static void
owed_free(struct owed *o)
{
	if (!o)
		return;
	entry_free(o->sides[0]);
	entry_free(o->sides[1]);
	free(o->key);
	free(o);
}

void
apply_owed_clear(struct apply *a)
{
	while (a->owed) {
		struct owed *first = a->owed;

		a->owed = first->next;
		owed_free(first);
	}
}

size_t
apply_owed(const struct apply *a)
{
	size_t n = 0;

	for (const struct owed *o = a->owed; o; o = o->next)
		n++;
	return n;
}

bool
apply_is_owed(const struct apply *a, const struct change *c)
{
	for (const struct owed *o = a->owed; o; o = o->next)
		if (o->table == c->table && !strcmp(o->key, c->key))
			return true;
	return a->paying;
}

static bool
same_side(const struct entry *a, const struct entry *b)
{
	return a && b ? entry_equal(a, b) : a == b;
}

static bool
is_of(const struct owed *o, const struct change *c)
{
	return o->table == c->table && !strcmp(o->key, c->key) && same_side(o->sides[0], c->old) &&
	       same_side(o->sides[1], c->new);
}

/* A kernel that answers nothing any more is no passing matter: the list has an end. */
static int
add(struct apply *a, const struct change *c)
{
	struct owed **end = &a->owed, *o;
	unsigned n = 0;

	for (; *end; end = &(*end)->next, n++)
		if (is_of(*end, c))
			return 0;
	o = n < OWED_MAX ? calloc(1, sizeof(*o)) : NULL;
	if (!o)
		return n < OWED_MAX ? -ENOMEM : -E2BIG;
	o->table = c->table;
	o->key = strdup(c->key);
	o->sides[0] = c->old ? entry_copy(c->old, NULL) : NULL;
	o->sides[1] = c->new ? entry_copy(c->new, NULL) : NULL;
	if (!o->key || (c->old && !o->sides[0]) || (c->new && !o->sides[1])) {
		owed_free(o);
		return -ENOMEM;
	}
	*end = o;
	return 0;
}

int
apply_owing(struct apply *a, apply_fn *fn, bool files, const struct change *c, struct err *e)
{
	uint64_t before = netlink_unanswered(a->nl);
	int rc = fn(a, c, e), added;
	char shown[64];

	a->last_owed = false;
	if (netlink_unanswered(a->nl) == before && !(files && rc == CLI_FAILED))
		return rc;
	a->still_open = true;
	added = a->paying ? 0 : add(a, c);
	a->last_owed = !added && rc != CLI_OK;
	if (added)
		log_say(LOG_LEVEL_ERROR, "%s %s: may be half done, and cannot be tried again later: %s", c->table->path,
			text_escape(shown, sizeof(shown), c->key, strlen(c->key)), strerror(-added));
	return rc;
}

bool
apply_will_be_paid(const struct apply *a)
{
	return a->last_owed;
}

/* Takes away what there is of either side and should not be. CLI_OK, or the last failure. */
static int
pay_one(struct apply *a, const struct tree *t, const struct owed *o, struct err *e)
{
	struct change c = {.table = o->table, .key = o->key, .new = tree_entry(t, o->table->path, o->key), .tree = t};
	int rc = CLI_OK, one;

	for (int i = 0; i < 2; i++) {
		c.old = o->sides[i];
		one = c.old || c.new ? apply_change(a, &c, e) : CLI_OK;
		if (one != CLI_OK)
			rc = one;
	}
	if (rc == CLI_OK && !strcmp(o->table->applied_by, "interface"))
		rc = apply_link(a, t, o->key, e);
	return rc;
}

static void
say(const struct owed *o, const char *what)
{
	char shown[64];

	log_say(LOG_LEVEL_ERROR, "%s %s: %s", o->table->path, text_escape(shown, sizeof(shown), o->key, strlen(o->key)),
		what);
}

static void
put_last(struct apply *a, struct owed *o)
{
	struct owed **end = &a->owed;

	while (*end)
		end = &(*end)->next;
	o->next = NULL;
	*end = o;
}

/* What the system refuses for good is named, and is not owed any more. */
size_t
apply_pay(struct apply *a, const struct tree *t, struct err *e)
{
	size_t n = apply_owed(a), left = 0;

	/* counted with every change of the tree; these are none */
	apply_route_forget(a);
	a->paying = true;
	while (n--) {
		struct owed *o = a->owed;
		struct err why = ERR_NONE;
		int rc;

		a->owed = o->next;
		a->still_open = false;
		rc = pay_one(a, t, o, &why);
		if (!a->still_open) {
			if (rc != CLI_OK)
				say(o, why.text);
			owed_free(o);
			continue;
		}
		if (rc == CLI_OK)
			err_set(&why, CLI_FAILED, "%s: not all of it was answered by the kernel", o->table->path);
		if (!left++ && e)
			*e = why;
		put_last(a, o);
	}
	a->paying = false;
	apply_route_forget(a);
	return left;
}

void
apply_write_off(struct apply *a)
{
	for (const struct owed *o = a->owed; o; o = o->next)
		say(o, "may be other than the configuration says, and is not tried again");
	apply_owed_clear(a);
}
