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

/* Also over a restart of the agent: it is not the agent's memory that knows the old name. */
static void
found_again(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nend"), CLI_OK);
	assert_int_equal(fixture_host(true), 0);
	assert_int_equal(fixture_cli("config system global\nset hostname box-2\nend"), CLI_OK);
	assert_int_equal(fixture_cli("config system global\nunset hostname\nend"), CLI_OK);
	assert_string_equal(name_now(), "factory");
	assert_int_equal(fixture_count("ls /run/host", "hostname"), 0);
}

static const char *
zone_now(void)
{
	static char line[128];

	return fixture_line(line, sizeof(line),
			    "cd /run/host; ls -l localtime* | sed 's/.* localtime/localtime/' | xargs");
}

static int
zone(const char *name)
{
	char text[256];

	snprintf(text, sizeof(text), "config system global\nset timezone \"%s\"\nend", name);
	return fixture_cli(text);
}

static void
no_zones(void **state)
{
	static const struct {
		const char *what, *name;
	} cases[] = {
	    {"none of that name", "Area/North"},
	    {"a folder", "Area"},
	    {"no time zone", "Area/Text"},
	    {"a way out", "../zoneinfo/Area/East"},
	    {"a full path", "/run/host/zoneinfo/Area/East"},
	    {"a dot", "./Area/East"},
	    {"an empty part", "Area//East"},
	    {"a folder's end", "Area/East/"},
	    {"a blank", "Area/Ea st"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[256];

		snprintf(text, sizeof(text), "config system global\nset hostname box-9\nset timezone \"%s\"\nend",
			 cases[i].name);
		if (fixture_cli(text) != CLI_INVALID || !strstr(fixture_err.text, "Area/City"))
			fail_msg("%s: \"%s\"", cases[i].what, fixture_err.text);
		assert_string_equal(zone_now(), "");
		assert_string_equal(name_now(), "factory"); /* the other half of the same entry */
	}
}

static void
zones(void **state)
{
	static const struct {
		const char *what, *before, *set;
	} cases[] = {
	    {"a link", "ln -s zoneinfo/Area/West localtime", "localtime -> zoneinfo/Area/West"},
	    {"a file", "echo mine > localtime", "localtime"},
	    {"nothing", "true", ""},
	    {"the wanted one", "ln -s /run/host/zoneinfo/Area/East localtime",
	     "localtime -> /run/host/zoneinfo/Area/East"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		print_message("%s\n", cases[i].what);
		assert_int_equal(fixture_sh("cd /run/host; rm -f localtime*; %s", cases[i].before), 0);
		assert_string_equal(zone_now(), cases[i].set);
		assert_int_equal(zone("Area/East"), CLI_OK);
		assert_int_equal(fixture_host(true), 0); /* a restart in between */
		assert_int_equal(zone("Area/West"), CLI_OK);
		assert_non_null(strstr(zone_now(), "localtime -> /run/host/zoneinfo/Area/West"));
		assert_int_equal(zone("Area/East"), CLI_OK);
		assert_non_null(strstr(zone_now(), "localtime -> /run/host/zoneinfo/Area/East"));
		assert_int_equal(fixture_cli("config system global\nunset timezone\nend"), CLI_OK);
		assert_string_equal(zone_now(), cases[i].set);
	}
	/* somebody else's choice since then stays */
	assert_int_equal(zone("Area/East"), CLI_OK);
	assert_int_equal(fixture_sh("ln -sf Mars /run/host/localtime"), 0);
	assert_int_equal(fixture_cli("config system global\nunset timezone\nend"), CLI_OK);
	assert_non_null(strstr(zone_now(), "localtime -> Mars"));
	/* a number is FortiOS's own, and kept */
	assert_int_equal(zone("04"), CLI_OK);
	assert_int_equal(fixture_cli("config system global\nunset timezone\nend"), CLI_OK);
	assert_non_null(strstr(zone_now(), "localtime -> Mars"));
}

static void
left_alone(void **state)
{
	(void)state;
	assert_int_equal(fixture_host(false), 0);
	assert_int_equal(fixture_cli("config system global\nset hostname box-1\nset timezone Area/East\nend"), CLI_OK);
	assert_int_equal(fixture_cli("config system global\nunset hostname\nunset timezone\nend"), CLI_OK);
	assert_string_equal(name_now(), "factory");
	assert_string_equal(zone_now(), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(refused, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(named, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(found_again, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(no_zones, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(zones, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(left_alone, setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
