#include "agent/update.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/profile.h"

enum { PARTS = 8, DIGITS = 9 };

/* "7.4.1" as numbers; what is left out counts as 0. */
static int
parse_version(const char *s, uint32_t out[PARTS])
{
	memset(out, 0, PARTS * sizeof(*out));
	for (size_t i = 0; i < PARTS; i++) {
		size_t digits = strspn(s, "0123456789");

		if (!digits || digits > DIGITS)
			return -EINVAL;
		for (size_t k = 0; k < digits; k++)
			out[i] = out[i] * 10 + (uint32_t)(s[k] - '0');
		s += digits;
		if (!*s)
			return 0;
		if (*s++ != '.')
			return -EINVAL;
	}
	return -EINVAL;
}

int
update_compare(const char *a, const char *b, int *rc)
{
	uint32_t x[PARTS], y[PARTS];

	*rc = parse_version(a, x) || parse_version(b, y) ? -EINVAL : 0;
	for (size_t i = 0; !*rc && i < PARTS; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

void
update_init(struct update *u)
{
	*u = (struct update){.due = MONO_NEVER};
}

/* Adds "av 1.0 -> 2.0" to `what` when that of the manager is newer. */
static bool
is_newer(struct update *u, const char *name, const char *here, const char *manager, char what[UPDATE_WHAT_MAX])
{
	size_t used = strlen(what);
	int rc, order;

	if (!*manager)
		return false;
	order = update_compare(here, manager, &rc);
	if (rc)
		u->malformed++;
	if (rc || order >= 0)
		return false;
	snprintf(what + used, UPDATE_WHAT_MAX - used, "%s%s %s -> %s", used ? ", " : "", name, here, manager);
	return true;
}

void
update_offer(struct update *u, const struct update_versions *here, const struct update_versions *manager,
	     uint32_t random, mono_t now)
{
	char what[UPDATE_WHAT_MAX] = "";
	bool any = is_newer(u, "os", here->os, manager->os, what);
	mono_t from;

	any |= is_newer(u, "av", here->av, manager->av, what);
	any |= is_newer(u, "ips", here->ips, manager->ips, what);
	if (!any)
		return;
	u->newer++;
	memcpy(u->what, what, sizeof(u->what));
	if (u->due.ms != MONO_NEVER.ms)
		return;
	from = mono_due(u->not_before, now) ? now : u->not_before;
	u->due = mono_in(from, random % (PROFILE_UPDATE_JITTER_MS + 1));
}

void
update_cancel(struct update *u)
{
	u->due = MONO_NEVER;
}

mono_t
update_deadline(const struct update *u)
{
	return u->due;
}

bool
update_take(struct update *u, mono_t now)
{
	if (!mono_due(u->due, now))
		return false;
	u->due = MONO_NEVER;
	u->not_before = mono_in(now, PROFILE_UPDATE_INTERVAL_MS);
	u->requests++;
	return true;
}
