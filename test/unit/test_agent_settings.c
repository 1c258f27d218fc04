/* agent/settings: a bootstrap file with bad lines is refused whole, with the place of each. */
#include "agent/settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/schema.h"
#include "test/unit/rollback_fixture.h"

static struct schema *schema;
static char complaints[4000];

static int
set_up(void **state)
{
	struct err e = ERR_NONE;

	schema = schema_new();
	if (!schema || schema_add_builtin(schema, &e))
		return -1;
	return fixture_setup(state);
}

static int
tear_down(void **state)
{
	schema_free(schema);
	return fixture_teardown(state);
}

static void
complain(void *ctx, const char *line)
{
	assert_ptr_equal(ctx, complaints);
	snprintf(complaints + strlen(complaints), sizeof(complaints) - strlen(complaints), "%s\n", line);
}

static int
load(const char *name, struct settings **out, struct err *e)
{
	complaints[0] = '\0';
	return settings_load(fixture_path(name), schema, complain, complaints, out, e);
}

/* The settings of a good text. */
static struct settings *
settings_of(const char *text)
{
	struct settings *s = NULL;
	struct err e = ERR_NONE;

	fixture_write("fgfmd.conf", text);
	if (load("fgfmd.conf", &s, &e))
		fail_msg("%s", e.text);
	assert_string_equal(complaints, "");
	return s;
}

static size_t
lines_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void
refused(void **state)
{
	static const struct {
		const char *what, *text;
		const char *places[3]; /* "LINE:COLUMN" of each complaint */
		bool rest;             /* settings_check() goes on with the rest */
	} rows[] = {
	    {"unknown option", "config agent\n  set no-such-option 1\nend\n", {"2:3"}, true},
	    {"value out of range", "config agent\nset listen-port 65536\nend\n", {"2:1"}, true},
	    {"no such choice", "config agent\nset listen maybe\nend\n", {"2:1"}, true},
	    {"two bad lines and a good one",
	     "config agent\nset build x\nset netns isolated\nset sni\nend\n",
	     {"2:1", "4:1"},
	     true},
	    {"open block", "config agent\nset netns isolated\n", {"3:1"}, false},
	    {"open quote", "config agent\nset sni \"a\nend\n", {"2:9"}, false},
	    {"an end too many", "end\n", {"1:1"}, false},
	    {"no configuration at all", "[agent]\nnetns = x\n", {"1:1"}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings *s = (struct settings *)1;
		struct err e = ERR_NONE;
		char place[PATH_MAX + 40];
		size_t count = 0;

		print_message("  %s\n", rows[i].what);
		fixture_write("fgfmd.conf", rows[i].text);
		assert_int_equal(load("fgfmd.conf", &s, &e), -EINVAL);
		assert_ptr_equal(s, (struct settings *)1);
		for (; count < 3 && rows[i].places[count]; count++) {
			snprintf(place, sizeof(place), "%s/fgfmd.conf:%s: ", fixture_dir, rows[i].places[count]);
			if (!strstr(complaints, place))
				fail_msg("%s is not among: %s", place, complaints);
			if (!count) /* the first one also where a single reason is wanted */
				assert_memory_equal(e.text, place, strlen(place));
		}
		assert_int_equal(lines_of(complaints), count);
		/* nobody need listen to all of them */
		assert_int_equal(settings_load(fixture_path("fgfmd.conf"), schema, NULL, NULL, &s, &e), -EINVAL);

		complaints[0] = '\0';
		s = settings_check(fixture_path("fgfmd.conf"), schema, complain, complaints);
		assert_int_equal(lines_of(complaints), count);
		assert_int_equal(s != NULL, rows[i].rest);
		if (s)
			assert_string_equal(settings_get(s, "netns"), count == 2 ? "isolated" : "fgfm");
		settings_free(s);
	}
}

static void
unreadable(void **state)
{
	static char big[1024 * 1024 + 2];
	static const struct {
		const char *what, *name, *reason;
	} rows[] = {
	    {"missing", "none", "No such file"},
	    {"a folder", ".", "not a regular file"},
	    {"too large", "big", "at most 1048576"},
	};

	(void)state;
	memset(big, '\n', sizeof(big) - 1);
	fixture_write("big", big);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings *s = NULL;
		struct err e = ERR_NONE;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(load(rows[i].name, &s, &e), -EINVAL);
		assert_null(s);
		assert_non_null(strstr(e.text, rows[i].reason));
		assert_non_null(strstr(complaints, rows[i].reason));
		complaints[0] = '\0';
		assert_null(settings_check(fixture_path(rows[i].name), schema, complain, complaints));
		assert_non_null(strstr(complaints, rows[i].reason));
	}
	settings_free(NULL);
}

static void
defaults(void **state)
{
	struct settings *s = settings_of("");

	(void)state;
	assert_string_equal(settings_get(s, "netns"), "fgfm");
	assert_string_equal(settings_get(s, "sni"), "");
	assert_int_equal(settings_int(s, "manager-port"), 541);
	assert_false(settings_enabled(s, "listen"));
	assert_true(settings_enabled(s, "apply-system"));
	settings_free(s);
}

static void
values(void **state)
{
	struct settings *s =
	    settings_of("# a comment\nconfig agent\n"
			"    set netns \"iso lated\"\n    set manager-port 10541\n    set listen enable\n"
			"    set apply-system disable\nend\n");

	(void)state;
	assert_string_equal(settings_get(s, "netns"), "iso lated");
	assert_int_equal(settings_int(s, "manager-port"), 10541);
	assert_true(settings_enabled(s, "listen"));
	assert_false(settings_enabled(s, "apply-system"));
	assert_null(settings_check(fixture_path("none"), schema, complain, complaints));
	settings_free(s);
	s = settings_check(fixture_path("fgfmd.conf"), schema, complain, complaints);
	assert_int_equal(settings_int(s, "manager-port"), 10541);
	settings_free(s);
}

static void
paths(void **state)
{
	struct settings *s = settings_of("config agent\nset state-directory /s\nset run-directory /run/x\nend\n");
	char path[20] = "x";

	(void)state;
	assert_string_equal(settings_state_path(s, "manager.json", path, sizeof(path)), "/s/manager.json");
	assert_string_equal(settings_run_path(s, "control", path, sizeof(path)), "/run/x/control");
	/* one that is cut would be another file */
	assert_string_equal(settings_state_path(s, "abcd", path, 8), "/s/abcd");
	assert_string_equal(settings_state_path(s, "abcd", path, 7), "");
	settings_free(s);
}

static void
what_needs_a_restart(void **state)
{
	static const struct {
		const char *option, *value;
		bool restart;
	} rows[] = {
	    {"state-directory", "/a", true},
	    {"run-directory", "/a", true},
	    {"schema-directory", "/a", true},
	    {"netns", "a", true},
	    {"tun-device", "a", true},
	    {"apply-system", "disable", true},
	    {"handler-directory", "/a", true},
	    {"handler-user", "a", true},
	    {"resolv-conf", "/a", true},
	    {"localtime", "/a", true},
	    {"zoneinfo-directory", "/a", true},
	    {"certificate", "/a", false},
	    {"private-key", "/a", false},
	    {"ca-certificate", "/a", false},
	    {"crl", "/a", false},
	    {"manager-port", "1", false},
	    {"listen", "enable", false},
	    {"tcp-forward", "22", false},
	    {"sni", "a", false},
	};
	struct settings *a = settings_of(""), *b = settings_of("# the same\n");

	(void)state;
	assert_null(settings_restart_needed(a, b));
	settings_free(b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *which;
		char text[200];

		print_message("  %s\n", rows[i].option);
		snprintf(text, sizeof(text), "config agent\nset %s %s\nend\n", rows[i].option, rows[i].value);
		b = settings_of(text);
		which = settings_restart_needed(a, b);
		if (rows[i].restart)
			assert_string_equal(which, rows[i].option);
		else
			assert_null(which);
		settings_free(b);
	}
	settings_free(a);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_A_FOLDER(refused), IN_A_FOLDER(unreadable), IN_A_FOLDER(defaults),
	    IN_A_FOLDER(values),  IN_A_FOLDER(paths),      IN_A_FOLDER(what_needs_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
