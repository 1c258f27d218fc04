/* admin: local administrators (`config system admin`), as far as they vouch for a manager that opens the first contact.
 *
 * Only one who may do everything on the box can hand it over: profile super_admin, or one of scope global with sysgrp
 * read-write. Accounts that another server or a certificate vouches for do not count, nor do those without a password.
 */
#ifndef AGENT_ADMIN_H
#define AGENT_ADMIN_H

#include "agent/auth.h"
#include "base/clock.h"

struct addr;
struct tree;

enum { ADMIN_TRIES = 3, ADMIN_LOCK_MS = 60 * 1000 };

/* Of all users together: every try costs the agent some time, whoever makes it. */
struct admin_gate {
	unsigned failed; /* in a row */
	mono_t locked_until;
};

/* LOGIN_GOOD, LOGIN_BAD or LOGIN_LOCKED. Takes tens of milliseconds unless it is locked. */
enum auth_login admin_login(struct admin_gate *g, const struct tree *t, const char *user, const char *password,
			    const struct addr *from, mono_t now);

#endif
