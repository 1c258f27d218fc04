/* agent/admin: who may vouch for a manager, and how often one may guess. */
#include "agent/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/tree.h"

static const char config[] = "config system accprofile\n"
			     "edit \"rw\"\nset scope global\nset sysgrp read-write\nnext\n"
			     "edit \"vdom-rw\"\nset scope vdom\nset sysgrp read-write\nnext\n"
			     "edit \"ro\"\nset scope global\nset sysgrp read\nnext\nend\n"
			     "config system admin\n"
			     "edit \"admin\"\nset accprofile \"super_admin\"\nset password \"right\"\nnext\n"
			     "edit \"rw\"\nset accprofile \"rw\"\nset password \"right\"\nnext\n"
			     "edit \"vdom\"\nset accprofile \"vdom-rw\"\nset password \"right\"\nnext\n"
			     "edit \"ro\"\nset accprofile \"ro\"\nset password \"right\"\nnext\n"
			     "edit \"near\"\nset accprofile \"super_admin\"\nset password \"right\"\n"
			     "set trusthost1 10.1.0.0 255.255.0.0\nset trusthost3 192.0.2.0 255.255.255.0\nnext\n"
			     "edit \"near6\"\nset accprofile \"super_admin\"\nset password \"right\"\n"
			     "set ip6-trusthost2 2001:db8::/32\nnext\n"
			     "edit \"none\"\nset accprofile \"super_admin\"\nnext\n"
			     "edit \"foreign\"\nset accprofile \"super_admin\"\nset password ENC SH2right\nnext\n"
			     "edit \"cert\"\nset accprofile \"super_admin\"\nset password \"right\"\n"
			     "set peer-group g\nset peer-auth enable\nnext\nend\n";

static struct schema *schema;
static struct tree *tree;

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	schema = schema_new();
	if (!schema || schema_add_builtin(schema, &e))
		return -1;
	tree = tree_new(schema);
	return tree ? load_text(tree, "config", config, strlen(config), false, NULL, NULL, &e) : -1;
}

static int
teardown(void **state)
{
	(void)state;
	tree_free(tree);
	schema_free(schema);
	return 0;
}

static enum auth_login
login(struct admin_gate *g, const char *user, const char *password, const char *from, int64_t at_ms)
{
	struct addr a;

	assert_int_equal(addr_parse_host(from, &a), 0);
	return admin_login(g, tree, user, password, &a, (mono_t){at_ms});
}

static void
who_may(void **state)
{
	static const struct {
		const char *what, *user, *password, *from;
		enum auth_login login;
	} cases[] = {
	    {"super_admin", "admin", "right", "198.51.100.1", LOGIN_GOOD},
	    {"wrong password", "admin", "wrong", "198.51.100.1", LOGIN_BAD},
	    {"no password given", "admin", "", "198.51.100.1", LOGIN_BAD},
	    {"nobody", "root", "right", "198.51.100.1", LOGIN_BAD},
	    {"no name", "", "right", "198.51.100.1", LOGIN_BAD},
	    {"profile that may change the box", "rw", "right", "198.51.100.1", LOGIN_GOOD},
	    {"profile of a virtual domain", "vdom", "right", "198.51.100.1", LOGIN_BAD},
	    {"profile that only reads", "ro", "right", "198.51.100.1", LOGIN_BAD},
	    {"from a trusted host", "near", "right", "192.0.2.7", LOGIN_GOOD},
	    {"from elsewhere", "near", "right", "192.0.3.7", LOGIN_BAD},
	    {"from a trusted IPv6 host", "near6", "right", "2001:db8::7", LOGIN_GOOD},
	    {"from elsewhere by IPv6", "near6", "right", "2001:db9::7", LOGIN_BAD},
	    {"no password set", "none", "", "198.51.100.1", LOGIN_BAD},
	    {"a hash that is not ours", "foreign", "right", "198.51.100.1", LOGIN_BAD},
	    {"the text of a hash", "foreign", "SH2right", "198.51.100.1", LOGIN_BAD},
	    {"one who needs a certificate", "cert", "right", "198.51.100.1", LOGIN_BAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct admin_gate g = {0};

		if (login(&g, cases[i].user, cases[i].password, cases[i].from, 1) != cases[i].login)
			fail_msg("%s", cases[i].what);
	}
}

static void
guesses_are_limited(void **state)
{
	struct admin_gate g = {0};

	(void)state;
	for (int i = 0; i < ADMIN_TRIES; i++)
		assert_int_equal(login(&g, "nobody", "guess", "192.0.2.1", 1000), LOGIN_BAD);
	assert_int_equal(login(&g, "admin", "right", "192.0.2.1", 1000), LOGIN_LOCKED);
	assert_int_equal(login(&g, "admin", "right", "192.0.2.2", 1000 + ADMIN_LOCK_MS - 1), LOGIN_LOCKED);
	assert_int_equal(login(&g, "admin", "right", "192.0.2.1", 1000 + ADMIN_LOCK_MS), LOGIN_GOOD);
	/* a good one begins the count anew */
	assert_int_equal(login(&g, "admin", "guess", "192.0.2.1", 90000), LOGIN_BAD);
	assert_int_equal(login(&g, "admin", "guess", "192.0.2.1", 90000), LOGIN_BAD);
	assert_int_equal(login(&g, "admin", "right", "192.0.2.1", 90000), LOGIN_GOOD);
	assert_int_equal(login(&g, "admin", "guess", "192.0.2.1", 90000), LOGIN_BAD);
	assert_int_equal(login(&g, "admin", "right", "192.0.2.1", 90000), LOGIN_GOOD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_may),
	    cmocka_unit_test(guesses_are_limited),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
