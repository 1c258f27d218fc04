#include "config/tree.h"

#include <malloc.h>

#include "config_world.h"

static int
set(struct world *w, const char *path, const char *key, const char *attr, const char *value)
{
	return tree_set(w->tree, path, key, attr, &value, value ? 1 : 0, &w->err);
}

static void
code_sets_what_a_command_could(void **state)
{
	static const struct {
		const char *what, *path, *key, *attr, *value;
		int rc;
	} cases[] = {
	    {"unknown table", "no", "", "a", "b", CLI_PARSE},
	    {"abbreviated table", "net por", "a", "comment", "b", CLI_PARSE},
	    {"unknown attribute", "net port", "a", "no", "b", CLI_PARSE},
	    {"no key", "net port", NULL, "comment", "b", CLI_INVALID},
	    {"bad key", "net route", "x", "gateway", "1.1.1.1", CLI_INVALID},
	    {"bad value", "net route", "1", "gateway", "1.1.1", CLI_BAD_ADDRESS},
	    {"value too long", "box global", "", "hostname", "123456789", CLI_TOO_LONG},
	    {"missing reference", "net route", "1", "device", "no", CLI_NOT_FOUND},
	    {"fixed", "net port", "a", "type", NULL, CLI_IN_USE},
	    {"singleton without a key", "box global", NULL, "hostname", "h", CLI_OK},
	    {"an entry is made", "net port", "new", "comment", "b", CLI_OK},
	    {"reference", "net route", "1", "device", "a", CLI_OK},
	    {"unset", "net port", "a", "comment", NULL, CLI_OK},
	    {"unset of a new entry", "net port", "new", "comment", NULL, CLI_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		char *before, *after;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(set(w, "net port", "a", "comment", "x"), CLI_OK);
		before = world_text_of(w->tree, 0);
		assert_int_equal(set(w, cases[i].path, cases[i].key, cases[i].attr, cases[i].value), cases[i].rc);
		after = world_text_of(w->tree, 0);
		assert_int_equal(!strcmp(before, after), cases[i].rc != 0);
		free(before);
		free(after);
		world_free(w);
	}
}

static void
values_are_read(void **state)
{
	struct world *w = world_new();
	const struct entry *g, *p;

	(void)state;
	assert_int_equal(world_run(w,
				   "config box global\nset servers one two\nset timeout -3\nconfig proxy\nset status "
				   "enable\nend\nend\nconfig net port\nedit a\nnext\nedit b\nend\n"),
			 0);
	g = tree_entry(w->tree, "box global", "");
	assert_non_null(g);
	assert_string_equal(entry_get(g, "servers"), "one");
	assert_string_equal(entry_value(g, "servers", 1), "two");
	assert_null(entry_value(g, "servers", 2));
	assert_int_equal(entry_count(g, "servers"), 2);
	assert_string_equal(entry_value(g, "features", 1), "ssh");
	assert_int_equal(entry_count(g, "features"), 2);
	assert_false(entry_is_set(g, "features"));
	assert_true(entry_is_set(g, "servers"));
	assert_int_equal(entry_int(g, "timeout"), -3);
	assert_int_equal(entry_int(g, "hostname"), 0);
	assert_string_equal(entry_get(g, "hostname"), "box");
	assert_string_equal(entry_get(g, "note"), "");
	assert_null(entry_value(g, "note", 0));
	assert_string_equal(entry_get(g, "no such"), "");
	assert_int_equal(entry_count(g, "no such"), 0);
	assert_true(entry_enabled(entry_child_first(g, "proxy"), "status"));
	assert_null(entry_child_first(g, "no such"));
	p = tree_first(w->tree, "net port");
	assert_string_equal(entry_key(p), "a");
	assert_string_equal(entry_table(p)->path, "net port");
	assert_string_equal(entry_key(entry_next(p)), "b");
	assert_null(entry_next(entry_next(p)));
	assert_int_equal(tree_count(w->tree, "net port"), 2);
	assert_int_equal(tree_count(w->tree, "no such"), 0);
	assert_null(tree_first(w->tree, "no such"));
	assert_null(tree_entry(w->tree, "net port", "c"));
	world_free(w);
}

static void
clones_are_equal_and_apart(void **state)
{
	struct world *w = world_new();
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct tree *copy;

		world_shake(w, &seed, 20);
		copy = tree_clone(w->tree);
		assert_non_null(copy);
		assert_true(tree_equal(copy, w->tree));
		assert_int_equal(tree_revision(copy), tree_revision(w->tree));
		assert_ptr_equal(tree_schema(copy), w->schema);
		assert_int_equal(tree_set(copy, "net port", "zz", "comment", &(const char *){"x"}, 1, NULL), CLI_OK);
		assert_false(tree_equal(copy, w->tree));
		tree_free(copy);
	}
	tree_free(NULL);
	world_free(w);
}

static void
order_counts_in_equality(void **state)
{
	struct world *a = world_new();
	struct tree *b;

	(void)state;
	world_run(a, "config net port\nedit a\nnext\nedit b\nend\n");
	b = tree_clone(a->tree);
	world_run(a, "config net port\nmove b before a\nend\n");
	assert_false(tree_equal(a->tree, b));
	assert_true(entry_equal(tree_entry(a->tree, "net port", "a"), tree_entry(b, "net port", "a")));
	assert_false(entry_equal(tree_entry(b, "net port", "b"), tree_entry(b, "net port", "a")));
	assert_false(entry_equal(tree_entry(b, "net port", "b"), NULL));
	assert_true(entry_equal(NULL, NULL));
	tree_free(b);
	world_free(a);
}

static void
every_change_is_a_revision(void **state)
{
	static const char *const changes[] = {
	    "config net port\nedit a\nend\n",
	    "config net port\nedit b\nend\n",
	    "config net port\nedit a\nset comment x\nend\n",
	    "config net port\nmove b before a\nend\n",
	    "config net port\nrename a to c\nend\n",
	    "config net port\nclone c to d\nend\n",
	    "config net port\ndelete d\nend\n",
	    "config net port\npurge\nend\n",
	};
	struct world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		uint64_t before = tree_revision(w->tree);

		print_message("  %s", changes[i]);
		assert_int_equal(world_run(w, changes[i]), 0);
		assert_true(tree_revision(w->tree) > before);
		before = tree_revision(w->tree);
		world_run(w, "config net port\nedit c\nabort\nshow\n");
		assert_int_equal(tree_revision(w->tree), before);
	}
	world_free(w);
}

/* Less than 200 bytes an attribute, keys and entries included, at 100,000 entries of 5 attributes. */
static void
many_entries_are_small(void **state)
{
	enum { ENTRIES = 100000, ATTRS = 5 };
	struct world *w = world_new();
	char text[256];
	size_t before, used;

	(void)state;
	world_run(w, "config net port\nedit a\nend\n");
	before = mallinfo2().uordblks;
	w->ops = (struct exec_ops){.ctx = NULL};
	world_enter(w, false);
	world_run(w, "config net port\n");
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(text, sizeof(text),
			 "edit p%d\nset ip 10.%d.%d.1/24\nset ip6 2001:db8::%x:%x/64\nset type vlan\nset parent a\n"
			 "set comment \"port %d\"\nnext\n",
			 i, i >> 8 & 255, i & 255, i >> 8, i & 255, i);
		assert_int_equal(world_run(w, text), 0);
	}
	world_run(w, "end\n");
	assert_int_equal(tree_count(w->tree, "net port"), ENTRIES + 1);
	used = mallinfo2().uordblks - before;
	print_message("  %zu bytes an attribute\n", used / ENTRIES / ATTRS);
	assert_true(used / ENTRIES / ATTRS < 200);
	world_run(w, "config net port\npurge\nend\n");
	assert_int_equal(tree_count(w->tree, "net port"), 0);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(code_sets_what_a_command_could), cmocka_unit_test(values_are_read),
	    cmocka_unit_test(clones_are_equal_and_apart),     cmocka_unit_test(order_counts_in_equality),
	    cmocka_unit_test(every_change_is_a_revision),     cmocka_unit_test(many_entries_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
