/* agent/apply_owed: changes that the kernel left unanswered. libnl's calls are taken instead of the system's: from one
 * request on so many fail that trying each of them again does not help.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// wrap: sethostname log_say

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/unit/apply_fixture.h"

enum { BURST = 16, MANY = 1 << 30 };

static int before = MANY, burst; /* requests that get through, and those that do not after them */
static int name_error;

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (before-- > 0 || burst-- <= 0)
		return syscall(SYS_sendmsg, fd, m, flags);
	errno = ENOBUFS;
	return -1;
}

int __real_sethostname(const char *name, size_t len);
int __wrap_sethostname(const char *name, size_t len);

int
__wrap_sethostname(const char *name, size_t len)
{
	errno = name_error;
	return name_error ? -1 : __real_sethostname(name, len);
}

static char said[512]; /* the last line of the log */

void __wrap_log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void
__wrap_log_say(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

static void
break_after(int requests)
{
	before = requests;
	burst = BURST;
}

static void
mend(void)
{
	before = MANY;
}

static const char scene[] = "config system interface\n"
			    "edit wan1\nset ip 192.0.2.1/24\nnext\n"
			    "edit lan1\nset ip 198.51.100.1/24\nnext\n"
			    "end\n"
			    "config router static\n"
			    "edit 1\nset dst 10.1.0.0/16\nset gateway 192.0.2.254\nset device wan1\nnext\n"
			    "end\n";

static int
setup(void **state)
{
	mend();
	name_error = 0;
	return fixture_apply_setup(state) || fixture_cli(scene) != CLI_OK;
}

static void
on_difference(void *ctx, const struct apply_difference *d)
{
	print_message("%s %s: %s: expected %s, found %s\n", d->table, d->key, d->what, d->expected, d->found);
	(*(unsigned *)ctx)++;
}

/* The system as the tree says, no more and no less; what is asked of it again changes nothing. */
static void
assert_settled(const char *what, int requests)
{
	unsigned differences = 0;
	int static_routes = fixture_count("ip route show proto static", ".");

	if (apply_drift(fixture_apply, fixture_tree, on_difference, &differences, NULL) != CLI_OK || differences)
		fail_msg("%s, broken after %d requests: %u differences", what, requests, differences);
	if ((size_t)static_routes != tree_count(fixture_tree, "router static"))
		fail_msg("%s, broken after %d requests: %d routes", what, requests, static_routes);
}

static void
pay(const char *what, int requests)
{
	struct err e = ERR_NONE;

	if (apply_pay(fixture_apply, fixture_tree, &e))
		fail_msg("%s, broken after %d requests: still owed: %s", what, requests, e.text);
	assert_int_equal(apply_owed(fixture_apply), 0);
}

/* Whether the command was refused or not: afterwards system and tree agree. */
static void
what_breaks_off_is_brought_in_line(void **state)
{
	static const struct {
		const char *what, *there, *back;
	} cases[] = {
	    {"an address moves with its route", "config system interface\nedit wan1\nset ip 192.0.2.7/24\nnext\nend\n",
	     "config system interface\nedit wan1\nset ip 192.0.2.1/24\nnext\nend\n"},
	    {"a size", "config system interface\nedit lan1\nset mtu-override enable\nset mtu 1400\nnext\nend\n",
	     "config system interface\nedit lan1\nunset mtu-override\nunset mtu\nnext\nend\n"},
	    {"a second address",
	     "config system interface\nedit lan1\nset secondary-IP enable\nconfig secondaryip\nedit 1\n"
	     "set ip 198.51.100.9/24\nnext\nend\nnext\nend\n",
	     "config system interface\nedit lan1\nunset secondary-IP\nconfig secondaryip\npurge\nend\nnext\nend\n"},
	    {"a route by another way", "config router static\nedit 1\nset gateway 192.0.2.253\nnext\nend\n",
	     "config router static\nedit 1\nset gateway 192.0.2.254\nnext\nend\n"},
	    {"a route that comes and goes",
	     "config router static\nedit 2\nset dst 10.2.0.0/16\nset blackhole enable\nnext\nend\n",
	     "config router static\ndelete 2\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool met = true;

		for (int n = 0; met; n++) {
			break_after(n);
			(void)fixture_cli(n % 2 ? cases[i].back : cases[i].there);
			met = burst < BURST;
			mend();
			pay(cases[i].what, n);
			assert_settled(cases[i].what, n);
			(void)fixture_cli(n % 2 ? cases[i].back : cases[i].there);
			assert_settled(cases[i].what, n);
		}
	}
}

/* A start in which nothing gets through at first. */
static void
a_start_is_made_up_for(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(fixture_sh("ip addr flush dev wan1; ip addr flush dev lan1"), 0);
	break_after(0);
	burst = MANY;
	assert_true(apply_all(fixture_apply, fixture_tree, &e) > 0);
	assert_int_equal(apply_owed(fixture_apply), 3);
	/* as long as it goes on it is owed */
	assert_int_equal(apply_pay(fixture_apply, fixture_tree, &e), 3);
	assert_non_null(strstr(e.text, "wan1"));
	mend();
	pay("a start", 0);
	assert_settled("a start", 0);
}

/* A device that came up while the kernel was out of memory; one without an entry has routes, too. */
static void
a_link_is_made_up_for(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(fixture_sh("ip addr flush dev wan1"), 0);
	break_after(0);
	assert_int_not_equal(apply_link(fixture_apply, fixture_tree, "wan1", &e), CLI_OK);
	mend();
	pay("a link", 0);
	assert_settled("a link", 0);
}

static void
what_is_given_up_is_named(void **state)
{
	(void)state;
	break_after(0);
	burst = MANY;
	assert_int_equal(fixture_cli("config system interface\nedit wan1\nset ip 192.0.2.9/24\nnext\nend\n"),
			 CLI_FAILED);
	assert_true(apply_will_be_paid(fixture_apply));
	mend();
	assert_int_equal(apply_owed(fixture_apply), 1);
	apply_write_off(fixture_apply);
	assert_non_null(strstr(said, "system interface wan1: may be other than the configuration says"));
	assert_int_equal(apply_owed(fixture_apply), 0);
}

/* What the kernel says no to is answered, and stays refused. */
static void
refusals_are_not_owed(void **state)
{
	(void)state;
	assert_int_equal(fixture_cli("config router static\nedit 2\nset dst 10.2.0.0/16\nset gateway 203.0.113.1\n"
				     "set device wan1\nnext\nend\n"),
			 CLI_FAILED);
	assert_false(apply_will_be_paid(fixture_apply));
	assert_int_equal(apply_owed(fixture_apply), 0);
	assert_settled("a refusal", 0);
}

/* The same change that fails twice is owed once; what the configuration says by then counts. */
static void
names_too(void **state)
{
	struct err e = ERR_NONE;
	char name[64];

	(void)state;
	name_error = EPERM;
	assert_int_equal(fixture_cli("config system global\nset hostname first\nend\n"), CLI_FAILED);
	assert_int_equal(fixture_cli("config system global\nset hostname first\nend\n"), CLI_FAILED);
	assert_int_equal(apply_owed(fixture_apply), 1);
	name_error = 0;
	assert_int_equal(fixture_cli("config system global\nset hostname second\nend\n"), CLI_OK);
	assert_int_equal(apply_pay(fixture_apply, fixture_tree, &e), 0);
	assert_string_equal(fixture_line(name, sizeof(name), "hostname"), "second");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_breaks_off_is_brought_in_line, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(a_start_is_made_up_for, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(a_link_is_made_up_for, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(what_is_given_up_is_named, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(refusals_are_not_owed, setup, fixture_apply_teardown),
	    cmocka_unit_test_setup_teardown(names_too, setup, fixture_apply_teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
