/* base/clock: deadlines at their edges, and clocks that run. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void
deadlines(void **state)
{
	static const struct {
		const char *what;
		int64_t now, in, deadline;
	} rows[] = {
	    {"at once", 5, 0, 5},
	    {"later", 5, 900000, 900005},
	    {"earlier", 5, -3, 2},
	    {"before the boot", 5, -8, -3},
	    {"just never", 5, INT64_MAX - 5, INT64_MAX},
	    {"the last moment before it", 5, INT64_MAX - 6, INT64_MAX - 1},
	    {"never and more", 5, INT64_MAX - 4, INT64_MAX},
	    {"never from now on", INT64_MAX, INT64_MAX, INT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_true(mono_in((mono_t){rows[i].now}, rows[i].in).ms == rows[i].deadline);
	}
}

static void
due_and_left(void **state)
{
	static const struct {
		const char *what;
		int64_t deadline, now;
		bool due;
		int64_t left;
	} rows[] = {
	    {"one millisecond early", 101, 100, false, 1},
	    {"now", 100, 100, true, 0},
	    {"late", 99, 100, true, 0},
	    {"very late", -1, INT64_MAX - 1, true, 0},
	    {"never", INT64_MAX, 100, false, INT64_MAX},
	    {"hardly ever", INT64_MAX - 1, 100, false, INT64_MAX - 101},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const mono_t deadline = {rows[i].deadline}, now = {rows[i].now};

		print_message("  %s\n", rows[i].what);
		assert_int_equal(mono_due(deadline, now), rows[i].due);
		assert_true(mono_left_ms(deadline, now) == rows[i].left);
		assert_true(mono_min(deadline, now).ms ==
			    (rows[i].deadline < rows[i].now ? rows[i].deadline : rows[i].now));
		assert_true(mono_min(now, deadline).ms == mono_min(deadline, now).ms);
	}
}

/* Suspend counts: 900 seconds of a rollback do not stop because the box slept. */
static void
monotonic_counts_from_boot(void **state)
{
	struct timespec boot;
	mono_t a, b;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
	a = clock_mono();
	b = clock_mono();
	assert_true(a.ms >= (int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000);
	assert_true(a.ms - boot.tv_sec * 1000 < 60000);
	assert_true(b.ms >= a.ms);
}

static void
wall_is_the_systems(void **state)
{
	time_t before = time(NULL);
	wall_t w = clock_wall();

	(void)state;
	/* time() may lag a tick behind */
	assert_true(w.s >= before - 1 && w.s <= time(NULL) + 1);
	assert_in_range(w.ns, 0, 999999999);
}

static void
build_is_a_lower_bound(void **state)
{
	(void)state;
	assert_true(clock_build_s() > 1577836800); /* 2020 */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(deadlines),
	    cmocka_unit_test(due_and_left),
	    cmocka_unit_test(monotonic_counts_from_boot),
	    cmocka_unit_test(wall_is_the_systems),
	    cmocka_unit_test(build_is_a_lower_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
