/* base/gcm_stock: mbedTLS as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/gcm.h"

static void
nothing_is_replaced(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(gcm_start(&e), 0);
	assert_string_equal(e.text, "");
	assert_false(gcm_is_replaced());
	assert_string_equal(gcm_name(), "mbed TLS");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_replaced)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
