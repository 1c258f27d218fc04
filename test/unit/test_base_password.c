/* base/password: hashes that are salted, of one cost, and give nothing away. */
#include "base/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
a_password_matches_its_hash_alone(void **state)
{
	char hash[PASSWORD_HASH_TEXT], again[PASSWORD_HASH_TEXT];

	(void)state;
	assert_int_equal(password_hash("Local-Admin-7", hash), 0);
	assert_int_equal(strncmp(hash, "$y$j9T$", 7), 0);
	assert_null(strstr(hash, "Local"));
	assert_true(password_matches("Local-Admin-7", hash));
	assert_false(password_matches("local-admin-7", hash));
	assert_false(password_matches("Local-Admin-7 ", hash));
	assert_false(password_matches("", hash));
	/* a salt of its own each time */
	assert_int_equal(password_hash("Local-Admin-7", again), 0);
	assert_string_not_equal(hash, again);
	assert_true(password_matches("Local-Admin-7", again));
}

static void
what_is_no_hash_of_ours_matches_nothing(void **state)
{
	static const struct {
		const char *what, *hash;
	} cases[] = {
	    {"no hash", NULL},
	    {"nothing", ""},
	    {"the password itself", "secret"},
	    {"a setting without a hash", "$y$j9T$uCbtGV5XhqDjnZeJmLzBz."},
	    {"DES", "abJnggxhB/yWI"},
	    {"MD5", "$1$abcdefgh$G//4keteveJp0qb8z2DxG/"},
	    {"yescrypt that takes minutes", "$y$jFT$uCbtGV5XhqDjnZeJmLzBz.$"},
	    {"another vendor's", "SH2nPXCJp0qb8z2DxG"},
	    {"a marker of failure", "*0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (password_matches("secret", cases[i].hash))
			fail_msg("%s", cases[i].what);
	}
}

static void
what_cannot_be_hashed(void **state)
{
	char endless[1024], hash[PASSWORD_HASH_TEXT] = "as before";

	(void)state;
	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_true(password_hash(endless, hash) < 0);
	assert_string_equal(hash, "as before");
	assert_false(password_matches(endless, "*0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_password_matches_its_hash_alone),
	    cmocka_unit_test(what_is_no_hash_of_ours_matches_nothing),
	    cmocka_unit_test(what_cannot_be_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
