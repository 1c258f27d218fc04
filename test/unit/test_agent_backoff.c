/* agent/backoff: 1 s to 60 s with full jitter (wire profile, section 3). */
#include "agent/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
ceilings(void **state)
{
	static const int64_t ceiling_ms[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
	static const uint32_t randoms[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX};

	(void)state;
	for (size_t r = 0; r < sizeof(randoms) / sizeof(randoms[0]); r++) {
		struct backoff b = {0};

		for (size_t i = 0; i < sizeof(ceiling_ms) / sizeof(ceiling_ms[0]); i++) {
			int64_t ms = backoff_next(&b, randoms[r]), middle = (1000 + ceiling_ms[i]) / 2;

			assert_in_range(ms, 1000, ceiling_ms[i]);
			if (randoms[r] < 2)
				assert_int_equal(ms, 1000);
			else if (randoms[r] == UINT32_MAX)
				assert_int_equal(ms, ceiling_ms[i]);
			else
				assert_in_range(ms, middle - 1, middle + 1);
		}
	}
}

static void
reset_begins_anew(void **state)
{
	struct backoff b = {0};

	(void)state;
	for (int i = 0; i < 5; i++)
		backoff_next(&b, 0);
	assert_int_equal(backoff_next(&b, UINT32_MAX), 60000);
	backoff_reset(&b);
	assert_int_equal(backoff_next(&b, UINT32_MAX), 2000);
	assert_int_equal(backoff_next(&b, UINT32_MAX), 4000);
}

/* A manager that is away for years. */
static void
never_beyond_the_ceiling(void **state)
{
	struct backoff b = {.failures = UINT32_MAX - 1};

	(void)state;
	assert_int_equal(backoff_next(&b, UINT32_MAX), 60000);
	assert_int_equal(backoff_next(&b, UINT32_MAX), 60000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ceilings),
	    cmocka_unit_test(reset_begins_anew),
	    cmocka_unit_test(never_beyond_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
