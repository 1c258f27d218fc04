// wrap: malloc calloc
#include "config/tally.h"

#include <errno.h>

#include "config_world.h"

static long allowed = -1; /* allocations until one fails; -1: none does */

static bool
refuse(void)
{
	return allowed >= 0 && allowed-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_malloc(size_t n)
{
	return refuse() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : __real_calloc(n, size);
}

static void
words_count_until_they_are_dropped(void **state)
{
	void *root = NULL;

	(void)state;
	assert_int_equal(tally_count(&root, "a"), 0);
	for (size_t i = 1; i <= 3; i++) {
		assert_int_equal(tally_add(&root, "a"), 0);
		assert_int_equal(tally_count(&root, "a"), i);
	}
	assert_int_equal(tally_add(&root, ""), 0);
	assert_int_equal(tally_count(&root, ""), 1);
	assert_int_equal(tally_count(&root, "b"), 0);
	for (size_t i = 3; i-- > 0;) {
		tally_drop(&root, "a");
		assert_int_equal(tally_count(&root, "a"), i);
	}
	tally_drop(&root, "");
	assert_null(root);
	tally_clear(&root);
}

static void
a_word_that_finds_no_memory_does_not_count(void **state)
{
	void *root = NULL;
	int failures = 0;

	(void)state;
	assert_int_equal(tally_add(&root, "a"), 0);
	for (int i = 0; i < 20; i++) {
		char word[16];
		int rc = -ENOMEM;

		snprintf(word, sizeof(word), "w%d", i);
		for (long n = 0; rc; n++) {
			allowed = n;
			rc = tally_add(&root, word);
			allowed = -1;
			assert_int_equal(tally_count(&root, word), !rc);
			failures += rc == -ENOMEM;
		}
	}
	assert_true(failures > 20);
	assert_int_equal(tally_count(&root, "a"), 1);
	tally_clear(&root);
	assert_null(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_count_until_they_are_dropped),
	    cmocka_unit_test(a_word_that_finds_no_memory_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
