#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: rename fsync

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "test/unit/apply_fixture.h"

static int rename_left = -1; /* calls that work before one is refused; -1: all do */
static int fsync_left = -1;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int
__wrap_rename(const char *from, const char *to)
{
	if (rename_left >= 0 && rename_left-- == 0) {
		errno = EBUSY;
		return -1;
	}
	return __real_rename(from, to);
}

int
__wrap_fsync(int fd)
{
	if (fsync_left >= 0 && fsync_left-- == 0) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

static int
setup(void **state)
{
	rename_left = -1;
	fsync_left = -1;
	return fixture_apply_setup(state);
}

/* The folder as one line: names, links, and what the files say. */
static const char *
host(void)
{
	static char line[1024];

	return fixture_line(line, sizeof(line),
			    "cd /run/host; for f in resolv*; do [ -e $f ] || [ -L $f ] || continue; printf '%s=' $f; "
			    "readlink $f || grep -v '^#' $f | xargs | tr '\\n' ';'; done | xargs");
}

static int
dns(const char *lines)
{
	char text[1024];

	snprintf(text, sizeof(text), "config system dns\n%s\nend", lines);
	return fixture_cli(text);
}

static void
refusals(void **state)
{
	static const struct {
		const char *what, *before, *lines;
		int renames, want;
		const char *reason, *after;
	} cases[] = {
	    {"a link", "ln -s /run/stub.conf resolv.conf", "set primary 192.0.2.53", -1, CLI_CONFLICT,
	     "/run/host/resolv.conf is a symbolic link to /run/stub.conf", "resolv.conf=/run/stub.conf"},
	    {"a folder", "mkdir resolv.conf", "set primary 192.0.2.53", -1, CLI_FAILED, "not a regular file", NULL},
	    {"domain with a line end", "echo old > resolv.conf", "set domain \"a\nnameserver 203.0.113.1\"", -1,
	     CLI_INVALID, "domain \"a\\nname", "resolv.conf=old;"},
	    {"domain with a blank", "echo old > resolv.conf", "set domain \"a b\"", -1, CLI_INVALID, "a domain name",
	     "resolv.conf=old;"},
	    {"keeping the old one", "echo old > resolv.conf", "set primary 192.0.2.53", 0, CLI_FAILED,
	     "before-fgfmd: Device or resource busy", "resolv.conf=old;"},
	    {"replacing it", "echo old > resolv.conf", "set primary 192.0.2.53", 1, CLI_FAILED,
	     "resolv.conf: Device or resource busy", "resolv.conf=old;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc;

		assert_int_equal(fixture_sh("cd /run/host; rm -rf resolv*; %s", cases[i].before), 0);
		rename_left = cases[i].renames;
		rc = dns(cases[i].lines);
		rename_left = -1;
		if (rc != cases[i].want || !strstr(fixture_err.text, cases[i].reason))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, fixture_err.text);
		if (cases[i].after)
			assert_string_equal(host(), cases[i].after);
		assert_string_equal(entry_get(tree_entry(fixture_tree, "system dns", ""), "primary"), "0.0.0.0");
	}
}

static void
forms(void **state)
{
	static const struct {
		const char *what, *lines, *want;
	} cases[] = {
	    {"one", "set primary 192.0.2.53", "resolv.conf=nameserver 192.0.2.53;"},
	    {"all", "set secondary 192.0.2.54\nset ip6-primary 2001:db8::53\nset ip6-secondary 2001:db8::54",
	     "resolv.conf=nameserver 192.0.2.53 nameserver 192.0.2.54 nameserver 2001:db8::53 nameserver "
	     "2001:db8::54;"},
	    {"domains", "unset secondary\nunset ip6-primary\nunset ip6-secondary\nset domain example.org a-b.test",
	     "resolv.conf=search example.org a-b.test nameserver 192.0.2.53;"},
	    {"times", "unset domain\nset timeout 3\nset retry 0",
	     "resolv.conf=nameserver 192.0.2.53 options timeout:3 attempts:1;"},
	    {"what is kept only", "unset timeout\nunset retry\nset protocol dot", "resolv.conf=nameserver 192.0.2.53;"},
	    {"none", "unset primary", ""},
	    {"what means nothing alone", "set timeout 3", ""},
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (dns(cases[i].lines) != CLI_OK)
			fail_msg("%s: %s", cases[i].what, fixture_err.text);
		if (!*cases[i].want)
			assert_string_equal(host(), "");
		else if (strncmp(host(), cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("%s: %s", cases[i].what, host());
	}
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	assert_non_null(
	    strstr(fixture_line(line, sizeof(line), "head -n 1 /run/host/resolv.conf"), "Written by fgfmd"));
	assert_string_equal(fixture_line(line, sizeof(line), "stat -c %a /run/host/resolv.conf"), "644");
}

/* Nothing is lost: what stood there comes back, also to an agent that was started in between. */
static void
what_was_there_comes_back(void **state)
{
	(void)state;
	assert_int_equal(fixture_sh("printf 'nameserver 203.0.113.9\n# mine\n' > /run/host/resolv.conf"), 0);
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	assert_string_equal(host(),
			    "resolv.conf=nameserver 192.0.2.53;resolv.conf.before-fgfmd=nameserver 203.0.113.9;");
	assert_int_equal(fixture_host(true), 0);
	assert_int_equal(dns("set primary 192.0.2.54"), CLI_OK);
	assert_int_equal(dns("unset primary"), CLI_OK);
	assert_string_equal(host(), "resolv.conf=nameserver 203.0.113.9;");
	assert_int_equal(fixture_sh("grep -q mine /run/host/resolv.conf"), 0);
	/* what another program wrote since is newer, and what stands there is no business of ours any more */
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	assert_int_equal(fixture_sh("echo lease > /run/host/resolv.conf"), 0);
	assert_int_equal(dns("unset primary"), CLI_OK);
	assert_non_null(strstr(host(), "resolv.conf=lease;"));
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	assert_int_equal(dns("unset primary"), CLI_OK);
	assert_string_equal(host(), "resolv.conf=lease;");
}

/* In place, but perhaps not for a power cut: the next start puts it there again. */
static void
not_on_disk(void **state)
{
	(void)state;
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	fsync_left = 0; /* of the file: it is not replaced */
	assert_int_equal(dns("set primary 192.0.2.54"), CLI_FAILED);
	assert_non_null(strstr(host(), "resolv.conf=nameserver 192.0.2.53;"));
	fsync_left = 1; /* of the folder */
	assert_int_equal(dns("set primary 192.0.2.54"), CLI_OK);
	fsync_left = -1;
	assert_non_null(strstr(host(), "resolv.conf=nameserver 192.0.2.54;"));
}

static void
left_alone(void **state)
{
	(void)state;
	assert_int_equal(fixture_host(false), 0);
	assert_int_equal(dns("set primary 192.0.2.53"), CLI_OK);
	assert_string_equal(host(), "");
}

/* Of an agent that was killed, or of an install that went with the power: the file outlives both. */
static void
what_was_left_over(void **state)
{
	static const struct {
		const char *what, *found, *after;
	} cases[] = {
	    {"ours, and the old one aside",
	     "echo old > resolv.conf.before-fgfmd; printf '%s\\nnameserver 192.0.2.53\\n' "
	     "'# Written by fgfmd from `config system dns`.' > resolv.conf",
	     "resolv.conf=old;"},
	    {"kept, not replaced yet", "echo old > resolv.conf; ln resolv.conf resolv.conf.before-fgfmd",
	     "resolv.conf=old;"},
	    {"another's since", "echo old > resolv.conf.before-fgfmd; echo new > resolv.conf",
	     "resolv.conf=new;resolv.conf.before-fgfmd=old;"},
	    {"nothing", "echo old > resolv.conf", "resolv.conf=old;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		assert_int_equal(fixture_sh("cd /run/host; rm -rf resolv*"), 0);
		if (fixture_sh("cd /run/host; %s", cases[i].found))
			fail_msg("%s", cases[i].what);
		assert_int_equal(apply_all(fixture_apply, fixture_tree, &e), 0);
		if (strcmp(host(), cases[i].after) != 0)
			fail_msg("%s: %s", cases[i].what, host());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_was_left_over, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(refusals, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(forms, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(what_was_there_comes_back, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(not_on_disk, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(left_alone, setup, fixture_apply_teardown),
	};

	fixture_enter();
	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
