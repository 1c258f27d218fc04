#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: sethostname gethostname

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "test/unit/apply_fixture.h"

static bool refuse_set;
static const char *lie; /* what gethostname() says instead; NULL: the truth */

int __real_sethostname(const char *name, size_t len);
int __wrap_sethostname(const char *name, size_t len);
int __real_gethostname(char *name, size_t len);
int __wrap_gethostname(char *name, size_t len);

int
__wrap_sethostname(const char *name, size_t len)
{
	if (refuse_set) {
		errno = EPERM;
		return -1;
	}
	return __real_sethostname(name, len);
}

int
__wrap_gethostname(char *name, size_t len)
{
	if (!lie)
		return __real_gethostname(name, len);
	snprintf(name, len, "%s", lie);
	return 0;
}

static int
setup(void **state)
{
	refuse_set = false;
	lie = NULL;
	return sethostname("factory", 7) || fixture_apply_setup(state);
}

static const char *
name_now(void)
{
	static char name[128];

	assert_int_equal(__real_gethostname(name, sizeof(name)), 0);
	return name;
}

static void
refused(void **state)
{
	(void)state;
	refuse_set = true;
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nend"), CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "hostname box-1: Operation not permitted"));
	assert_string_equal(name_now(), "factory");
	refuse_set = false;
	lie = "other";
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nend"), CLI_FAILED);
	assert_non_null(strstr(fixture_err.text, "read back as \"other\""));
}

static void
named(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config system global\nset admintimeout 9\nend"), CLI_OK);
	assert_string_equal(name_now(), "factory");
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nend"), CLI_OK);
	assert_string_equal(name_now(), "box-1");
	refuse_set = true; /* nothing to do: nothing is done */
	assert_int_equal(fixture_cli("config system global\nset admintimeout 8\nend"), CLI_OK);
	refuse_set = false;
	assert_int_equal(fixture_cli("config system global\nset hostname box-2\nend"), CLI_OK);
	assert_string_equal(name_now(), "box-2");
	/* a configuration that names it no more gives back what it found */
	assert_int_equal(fixture_cli("config system global\nunset hostname\nend"), CLI_OK);
	assert_string_equal(name_now(), "factory");
}

static void
left_alone(void **state)
{
	(void)state;
	apply_free(fixture_apply);
	assert_int_equal(apply_new(false, &fixture_apply, &fixture_err), 0);
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nend"), CLI_OK);
	assert_int_equal(fixture_cli("config system global\nunset hostname\nend"), CLI_OK);
	assert_string_equal(name_now(), "factory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refused, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(named, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(left_alone, setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
