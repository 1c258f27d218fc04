#include "agent/admin.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/password.h"
#include "config/tree.h"

enum { TRUSTHOSTS = 10 };

static bool
is_super(const struct tree *t, const char *profile)
{
	const struct entry *p = tree_entry(t, "system accprofile", profile);

	if (!strcmp(profile, "super_admin"))
		return true;
	return p && !strcmp(entry_get(p, "scope"), "global") && !strcmp(entry_get(p, "sysgrp"), "read-write");
}

/* Where trusted hosts of that IP version are set, only those; otherwise any. */
static bool
may_come_from(const struct entry *admin, const struct addr *from)
{
	bool six = from->family == AF_INET6, any_set = false;

	for (unsigned i = 1; i <= TRUSTHOSTS; i++) {
		char name[32];
		struct addr net = {0};

		snprintf(name, sizeof(name), six ? "ip6-trusthost%u" : "trusthost%u", i);
		if (!entry_is_set(admin, name))
			continue;
		any_set = true;
		if (!(six ? addr_parse_prefix : addr_parse_and_mask)(entry_get(admin, name), &net) &&
		    addr_covers(&net, from))
			return true;
	}
	return !any_set;
}

/* The hash to compare with; NULL: there is nobody of that name who may. */
static const char *
hash_of(const struct tree *t, const char *user, const struct addr *from)
{
	static const char mark[] = "ENC ";
	const struct entry *admin = *user ? tree_entry(t, "system admin", user) : NULL;
	const char *stored;

	if (!admin || entry_enabled(admin, "remote-auth") || entry_enabled(admin, "peer-auth") ||
	    !is_super(t, entry_get(admin, "accprofile")) || !may_come_from(admin, from))
		return NULL;
	stored = entry_get(admin, "password");
	return strncmp(stored, mark, strlen(mark)) ? NULL : stored + strlen(mark);
}

enum auth_login
admin_login(struct admin_gate *g, const struct tree *t, const char *user, const char *password, const struct addr *from,
	    mono_t now)
{
	if (!mono_due(g->locked_until, now))
		return LOGIN_LOCKED;
	if (password_matches(password, hash_of(t, user, from))) {
		g->failed = 0;
		return LOGIN_GOOD;
	}
	if (++g->failed >= ADMIN_TRIES) {
		g->failed = 0;
		g->locked_until = mono_in(now, ADMIN_LOCK_MS);
	}
	return LOGIN_BAD;
}
