/* agent/monitor_host: texts of /proc, good and bad, and the load computed from them. */
#include "agent/monitor_host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
cpu(void **state)
{
	static const struct {
		const char *what, *text;
		int rc;
		uint64_t user, steal;
	} cases[] = {
	    {"a kernel of today", "cpu  10 2 30 400 5 6 7 8 0 0\ncpu0 1 1 1 1\n", 0, 10, 8},
	    {"an old one", "cpu 10 2 30 400\n", 0, 10, 0},
	    {"too short", "cpu 10 2 30\n", -EINVAL, 0, 0},
	    {"something else", "intr 10 2 30 4\n", -EINVAL, 0, 0},
	    {"nothing", "", -EINVAL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host_cpu c = {0};

		if (host_parse_cpu(cases[i].text, &c) != cases[i].rc || c.user != cases[i].user ||
		    c.steal != cases[i].steal)
			fail_msg("%s", cases[i].what);
	}
}

static void
memory(void **state)
{
	static const struct {
		const char *what, *text;
		int rc;
		uint64_t available;
	} cases[] = {
	    {"both", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   600 kB\n", 0, 600},
	    {"none available", "MemTotal:  1000 kB\nMemFree: 1 kB\n", -EINVAL, 0},
	    {"inside a line", "X MemTotal: 1000 kB\nMemAvailable: 6 kB\n", -EINVAL, 0},
	    {"no number", "MemTotal: kB\nMemAvailable: 6 kB\n", -EINVAL, 0},
	    {"nothing", "", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host_memory m = {0};

		if (host_parse_memory(cases[i].text, &m) != cases[i].rc || m.available_kb != cases[i].available)
			fail_msg("%s", cases[i].what);
	}
}

static void
links(void **state)
{
	static const char text[] = "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
				   "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   "a-name-of-15-by:18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   "a-name-that-is-too-long: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   " short: 1 2 3\n   : 1 2 3 4 5 6 7 8 9 10 11 12\n wan1: 21 0 0 0 0 0 0 0 22 0 0 23";
	struct host_link l[4];

	(void)state;
	assert_int_equal(host_parse_links(text, l, 4), 3);
	assert_string_equal(l[0].name, "lo");
	assert_int_equal(l[0].rx_dropped, 4);
	assert_int_equal(l[0].tx_bytes, 9);
	assert_int_equal(l[0].tx_dropped, 12);
	assert_string_equal(l[1].name, "a-name-of-15-by");
	assert_true(l[1].rx_bytes == UINT64_MAX);
	assert_string_equal(l[2].name, "wan1");
	assert_int_equal(l[2].tx_dropped, 23);
	assert_int_equal(host_parse_links(text, l, 1), 1);
	assert_int_equal(host_parse_links("", l, 4), 0);
}

static void
load(void **state)
{
	struct host_cpu first = {.user = 50, .idle = 100, .iowait = 50},
			second = {.user = 150, .idle = 150, .iowait = 100};
	struct host_cpu back = {.user = 160, .idle = 150, .iowait = 90};
	struct host_load l = {.percent = 0};

	(void)state;
	assert_int_equal(host_load(&l, &first, (mono_t){5000}), 25); /* since the machine's start */
	assert_int_equal(host_load(&l, &second, (mono_t){5999}), 25);
	assert_int_equal(host_load(&l, &second, (mono_t){6000}), 50);
	assert_int_equal(host_load(&l, &second, (mono_t){7000}), 0); /* no time has passed */
	assert_int_equal(host_load(&l, &back, (mono_t){8000}), 100);
}

static void
this_machine(void **state)
{
	struct host_link l[HOST_LINKS_MAX];
	struct host_memory m;
	struct host_cpu c;
	uint64_t sessions;
	bool tracked;

	(void)state;
	assert_int_equal(host_cpu(&c), 0);
	assert_true(c.user + c.system + c.idle > 0);
	assert_int_equal(host_memory(&m), 0);
	assert_in_range(m.available_kb, 1, m.total_kb);
	assert_true(host_links(l, HOST_LINKS_MAX) > 0);
	assert_int_equal(host_sessions(&sessions, &tracked), 0);
	assert_true(host_own_memory_kb() > 100);
	assert_true(host_processors() > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cpu), cmocka_unit_test(memory), cmocka_unit_test(links),
					   cmocka_unit_test(load), cmocka_unit_test(this_machine)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
