#include "config/arena.h"

#include <stdalign.h>

#include "config_world.h"

static void
pieces_are_apart_and_aligned(void **state)
{
	enum { PIECES = 2000 };
	struct arena a = {0};
	unsigned char *pieces[PIECES];

	(void)state;
	for (size_t i = 0; i < PIECES; i++) {
		size_t n = i % 97 + 1;

		assert_non_null(arena_bytes(&a, i % 5));
		pieces[i] = arena_alloc(&a, n);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(pieces[i][k], 0);
		memset(pieces[i], (int)(i & 255), n);
	}
	for (size_t i = 0; i < PIECES; i++) {
		for (size_t k = 0; k < i % 97 + 1; k++)
			assert_int_equal(pieces[i][k], i & 255);
	}
	arena_free(&a);
	arena_free(&a);
	assert_null(a.chunks);
}

static void
large_pieces_and_texts_fit(void **state)
{
	struct arena a = {0};
	char *text;

	(void)state;
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_non_null(memset(arena_alloc(&a, 3 * 1024 * 1024), 1, 3 * 1024 * 1024));
	text = arena_text(&a, "text");
	assert_string_equal(text, "text");
	assert_string_equal(arena_text(&a, ""), "");
	arena_free(&a);
}

static void
a_reset_arena_gives_the_same_memory_again(void **state)
{
	struct arena a = {0};
	char *first, *again;

	(void)state;
	arena_reset(&a);
	assert_null(a.chunks);
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_bytes(&a, 100));
	arena_reset(&a);
	first = arena_bytes(&a, 100);
	arena_reset(&a);
	again = arena_alloc(&a, 100);
	assert_ptr_equal(again, first);
	for (int i = 0; i < 100; i++)
		assert_int_equal(again[i], 0);
	arena_free(&a);
}

static void
little_is_left_over(void **state)
{
	struct arena a = {0};
	size_t used = 0;
	char *first;

	(void)state;
	for (int i = 0; i < 10000; i++, used += 20) {
		assert_non_null(arena_bytes(&a, 20));
		assert_true(a.held <= used + 20 + used / 4 + 1024);
	}
	arena_reset(&a);
	for (size_t k = 0; k < used; k++)
		assert_non_null(arena_bytes(&a, 1));
	arena_reset(&a);
	/* what was needed once, up to 256 kB, is one piece from then on */
	first = arena_bytes(&a, 1);
	assert_non_null(first);
	for (size_t k = 1; k < used; k++)
		assert_ptr_equal(arena_bytes(&a, 1), first + k);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_are_apart_and_aligned),
	    cmocka_unit_test(large_pieces_and_texts_fit),
	    cmocka_unit_test(a_reset_arena_gives_the_same_memory_again),
	    cmocka_unit_test(little_is_left_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
