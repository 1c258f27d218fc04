#include "config/index.h"

#include "config_world.h"

struct thing {
	char *key;
	int number;
	char text[8];
};

static void
things_are_found_by_key(void **state)
{
	enum { THINGS = 500 };
	static struct thing things[THINGS];
	void *root = NULL;

	(void)state;
	assert_null(index_find(&root, "a"));
	for (int i = 0; i < THINGS; i++) {
		things[i] = (struct thing){.number = i};
		things[i].key = things[i].text;
		snprintf(things[i].text, sizeof(things[i].text), "%d", i * 7 % THINGS);
		assert_true(index_add(&root, &things[i]));
	}
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(index_find(&root, things[i].key), &things[i]);
	for (int i = 0; i < THINGS; i += 2)
		index_remove(&root, &things[i]);
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(index_find(&root, things[i].key), i % 2 ? &things[i] : NULL);
	index_clear(&root, NULL);
	assert_null(root);
}

static void
a_thing_can_take_the_place_of_another(void **state)
{
	char key[] = "k", same[] = "k";
	struct thing a = {.key = key}, b = {.key = same};
	void *root = NULL;

	(void)state;
	assert_true(index_add(&root, &a));
	index_replace(&root, &b);
	assert_ptr_equal(index_find(&root, "k"), &b);
	index_remove(&root, &a);
	assert_null(index_find(&root, "k"));
	index_clear(&root, NULL);
}

static int cleared;

static void
count_cleared(void *thing)
{
	cleared += ((struct thing *)thing)->number;
}

static void
clearing_visits_everything_once(void **state)
{
	char one[] = "1", two[] = "2";
	struct thing a = {.key = one, .number = 1}, b = {.key = two, .number = 10};
	void *root = NULL;

	(void)state;
	assert_true(index_add(&root, &a));
	assert_true(index_add(&root, &b));
	index_clear(&root, count_cleared);
	assert_int_equal(cleared, 11);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(things_are_found_by_key),
	    cmocka_unit_test(a_thing_can_take_the_place_of_another),
	    cmocka_unit_test(clearing_visits_everything_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
