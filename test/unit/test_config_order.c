#include "config/order.h"

#include "config/node.h"
#include "config_world.h"

static void
as_many_as_can_stay(void **state)
{
	static const struct {
		const char *what;
		size_t have[6], n;
		const char *stays; /* by rank */
	} cases[] = {
	    {"nothing", {0}, 0, ""},
	    {"one", {0}, 1, "y"},
	    {"in order", {0, 1, 2}, 3, "yyy"},
	    {"reversed", {2, 1, 0}, 3, "ynn"},
	    {"last to the front", {1, 2, 3, 0}, 4, "nyyy"},
	    {"first to the end", {3, 0, 1, 2}, 4, "yyyn"},
	    {"two swapped", {0, 2, 1, 3}, 4, "yyny"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool stays[6];

		print_message("  %s\n", cases[i].what);
		assert_int_equal(order_stays(cases[i].have, cases[i].n, stays), 0);
		for (size_t k = 0; k < cases[i].n; k++)
			assert_int_equal(stays[k], cases[i].stays[k] == 'y');
	}
}

static void
what_is_referred_to_comes_first(void **state)
{
	static const struct {
		const char *what, *text, *order;
	} cases[] = {
	    {"no references", "edit c\nnext\nedit a\nnext\nedit b\n", "cab"},
	    {"in order already", "edit a\nnext\nedit b\nset parent a\n", "ab"},
	    {"forward", "edit a\nnext\nedit b\nnext\nedit a\nset parent b\n", "ba"},
	    {"a chain", "edit a\nnext\nedit b\nnext\nedit c\nnext\nedit a\nset parent b\nnext\nedit b\nset parent c\n",
	     "cba"},
	    {"a diamond",
	     "edit d\nnext\nedit b\nnext\nedit c\nnext\nedit a\nnext\nedit b\nset parent a\nnext\nedit c\nset parent "
	     "a\nnext\n"
	     "edit d\nset parent b\nconfig second\nedit 1\nset ip 1.1.1.1/8\nset via c\nend\n",
	     "acbd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		const struct table *t = tree_table(w->tree, schema_find(w->schema, "net port"));
		const struct entry **order;
		char keys[8] = "";

		print_message("  %s\n", cases[i].what);
		world_run(w, "config net port\n");
		assert_int_equal(world_run(w, cases[i].text), 0);
		world_run(w, "end\n");
		assert_int_equal(order_entries(t, &order), 0);
		for (size_t k = 0; k < t->count; k++)
			strcat(keys, order[k]->key);
		assert_string_equal(keys, cases[i].order);
		free(order);
		world_free(w);
	}
}

/* A chain as long as the table, in the worst order: no recursion, no square. */
static void
long_chains_are_ordered(void **state)
{
	enum { LENGTH = 20000 };
	struct world *w = world_new();
	const struct table *t = tree_table(w->tree, schema_find(w->schema, "net port"));
	const struct entry **order;
	char text[128];

	(void)state;
	w->ops = (struct exec_ops){.ctx = NULL};
	world_enter(w, false);
	world_run(w, "config net port\n");
	for (int i = LENGTH; i > 0; i--) {
		snprintf(text, sizeof(text), "edit p%d\nset parent %s\nnext\nmove p%d before p%d\n", i, "\"\"", i,
			 i + 1);
		world_run(w, text);
		snprintf(text, sizeof(text), "edit p%d\nset parent p%d\nnext\n", i, i + 1);
		if (i < LENGTH)
			assert_int_equal(world_run(w, text), 0);
	}
	world_run(w, "end\n");
	assert_int_equal(order_entries(t, &order), 0);
	for (int i = 0; i < LENGTH; i++)
		assert_int_equal(atoi(order[i]->key + 1), LENGTH - i);
	free(order);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_many_as_can_stay),
	    cmocka_unit_test(what_is_referred_to_comes_first),
	    cmocka_unit_test(long_chains_are_ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
