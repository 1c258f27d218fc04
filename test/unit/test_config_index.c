// wrap: calloc
#include "config/index.h"

#include "config_world.h"

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

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

/* Beside the plainest index there is, at every size on the way up and down. */
static void
adding_and_removing_at_random_loses_nothing(void **state)
{
	enum { THINGS = 300, STEPS = 20000 };
	static struct thing things[THINGS];
	bool in[THINGS] = {false};
	uint64_t seed = 1;
	void *root = NULL;

	(void)state;
	for (int i = 0; i < THINGS; i++) {
		things[i].key = things[i].text;
		snprintf(things[i].text, sizeof(things[i].text), "k%d", i);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned reach = 1 + world_random(&seed, step < STEPS / 2 ? THINGS : 20);
		unsigned i = world_random(&seed, reach), probe = world_random(&seed, THINGS);

		if (in[i])
			index_remove(&root, &things[i]);
		else
			assert_true(index_add(&root, &things[i]));
		in[i] = !in[i];
		assert_ptr_equal(index_find(&root, things[i].key), in[i] ? &things[i] : NULL);
		assert_ptr_equal(index_find(&root, things[probe].key), in[probe] ? &things[probe] : NULL);
	}
	for (int i = 0; i < THINGS; i++) {
		if (in[i])
			index_remove(&root, &things[i]);
	}
	assert_null(root);
}

static void
an_index_that_cannot_grow_stays_as_it_is(void **state)
{
	static struct thing things[40];
	void *root = NULL;
	int added = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		things[i].key = things[i].text;
		snprintf(things[i].text, sizeof(things[i].text), "%d", i);
		no_memory = true;
		if (!index_add(&root, &things[i])) {
			assert_null(index_find(&root, things[i].key));
			no_memory = false;
			assert_true(index_add(&root, &things[i]));
			added++;
		}
		no_memory = false;
		for (int k = 0; k <= i; k++)
			assert_ptr_equal(index_find(&root, things[k].key), &things[k]);
	}
	assert_in_range(added, 1, 10);
	index_clear(&root, NULL);
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
	    cmocka_unit_test(adding_and_removing_at_random_loses_nothing),
	    cmocka_unit_test(an_index_that_cannot_grow_stays_as_it_is),
	    cmocka_unit_test(a_thing_can_take_the_place_of_another),
	    cmocka_unit_test(clearing_visits_everything_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
