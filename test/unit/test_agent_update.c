/* agent/update: what is newer, and how often that leads to a request. */
#include "agent/update.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/profile.h"

static const struct update_versions here = {.os = "7.2.4", .av = "90.02345", .ips = "0.00000"};

static void
versions_order_by_their_numbers(void **state)
{
	static const struct {
		const char *what, *a, *b;
		int order, rc;
	} cases[] = {
	    {"the same", "7.2.4", "7.2.4", 0, 0},
	    {"newer patch", "7.2.4", "7.2.5", -1, 0},
	    {"numbers, not letters", "7.2.4", "7.10.0", -1, 0},
	    {"older", "7.2.4", "6.9.9", 1, 0},
	    {"what is left out is 0", "7.2", "7.2.0", 0, 0},
	    {"leading zeros", "90.02345", "90.2346", -1, 0},
	    {"no number", "7.2.4", "latest", 0, -1},
	    {"nothing", "", "1", 0, -1},
	    {"a dot too many", "7.2.4", "7.2.", 0, -1},
	    {"a sign", "7.2.4", "-7.2", 0, -1},
	    {"more than 32 bits", "1", "9999999999", 0, -1},
	    {"parts without end", "1", "1.1.1.1.1.1.1.1.1", 0, -1},
	    {"a blank", "1", "2 ", 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc, order = update_compare(cases[i].a, cases[i].b, &rc);

		if (order != cases[i].order || !rc != !cases[i].rc)
			fail_msg("%s: %d, %d", cases[i].what, order, rc);
	}
}

static void
only_what_is_newer_counts(void **state)
{
	static const struct {
		const char *what;
		struct update_versions manager;
		const char *said; /* NULL: no request */
	} cases[] = {
	    {"nothing said", {"", "", ""}, NULL},
	    {"the same", {"7.2.4", "90.02345", "0.00000"}, NULL},
	    {"older", {"7.0.0", "89", "0"}, NULL},
	    {"newer system", {"7.2.5", "", ""}, "os 7.2.4 -> 7.2.5"},
	    {"newer signatures", {"7.2.4", "91.00001", "2.1"}, "av 90.02345 -> 91.00001, ips 0.00000 -> 2.1"},
	    {"rubbish beside something newer", {"%s%n", "91", ""}, "av 90.02345 -> 91"},
	    {"rubbish", {"%s%n", "", "\x1b[2J"}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct update u;

		update_init(&u);
		update_offer(&u, &here, &cases[i].manager, 0, (mono_t){1000});
		if (update_take(&u, (mono_t){1000}) != (cases[i].said != NULL))
			fail_msg("%s", cases[i].what);
		if (cases[i].said)
			assert_string_equal(u.what, cases[i].said);
	}
}

static void
one_request_in_an_interval(void **state)
{
	static const struct update_versions newer = {.os = "8.0", .av = "", .ips = ""};
	mono_t now = {5000};
	struct update u;

	(void)state;
	update_init(&u);
	assert_false(update_take(&u, now));
	update_offer(&u, &here, &newer, 1234, now);
	assert_int_equal(update_deadline(&u).ms, 5000 + 1234);
	/* a later draw does not move it, be it sooner or later */
	update_offer(&u, &here, &newer, 0, (mono_t){5100});
	assert_int_equal(update_deadline(&u).ms, 5000 + 1234);
	assert_false(update_take(&u, (mono_t){6233}));
	assert_true(update_take(&u, (mono_t){6234}));
	assert_false(update_take(&u, (mono_t){6234}));
	/* a thousand notices: the next request comes in the next interval */
	for (int i = 0; i < 1000; i++)
		update_offer(&u, &here, &newer, (uint32_t)i * 7919, (mono_t){6300 + i});
	assert_true(update_deadline(&u).ms >= 6234 + PROFILE_UPDATE_INTERVAL_MS);
	assert_true(update_deadline(&u).ms <= 6234 + PROFILE_UPDATE_INTERVAL_MS + PROFILE_UPDATE_JITTER_MS);
	assert_int_equal(u.requests, 1);
	update_cancel(&u);
	assert_int_equal(update_deadline(&u).ms, MONO_NEVER.ms);
}

static void
the_lot_is_within_its_bounds(void **state)
{
	static const struct update_versions newer = {.os = "8.0", .av = "", .ips = ""};
	static const uint32_t lots[] = {0, 1, PROFILE_UPDATE_JITTER_MS, PROFILE_UPDATE_JITTER_MS + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(lots) / sizeof(lots[0]); i++) {
		struct update u;

		update_init(&u);
		update_offer(&u, &here, &newer, lots[i], (mono_t){1});
		assert_in_range(update_deadline(&u).ms, 1, 1 + PROFILE_UPDATE_JITTER_MS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(versions_order_by_their_numbers),
	    cmocka_unit_test(only_what_is_newer_counts),
	    cmocka_unit_test(one_request_in_an_interval),
	    cmocka_unit_test(the_lot_is_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
