#include "config_world.h"

static void
keys_of(const struct entry *e, char keys[64])
{
	keys[0] = '\0';
	for (; e; e = entry_next(e))
		strcat(keys, entry_key(e));
}

static const struct {
	const char *what, *text, *codes, *keys;
	const char *applied; /* at the top */
} cases[] = {
    {"delete nothing", "delete", "-160", "123", ""},
    {"delete two", "delete 1 2", "-61", "123", ""},
    {"delete what is not there", "delete 4", "-3", "123", ""},
    {"delete with a bad key", "delete \"\"", "-651", "123", ""},
    {"delete", "delete 2", "0", "13", "-2"},
    {"delete the first and the last", "delete 1\ndelete 3", "0 0", "2", "-1 -3"},
    {"purge with a word", "purge 1", "-61", "123", ""},
    {"purge", "purge\npurge", "0 0", "", "-3 -2 -1"},
    {"rename without to", "rename 1 4", "-160", "123", ""},
    {"rename with another word", "rename 1 as 4", "-61", "123", ""},
    {"rename what is not there", "rename 4 to 5", "-3", "123", ""},
    {"rename to one that is there", "rename 1 to 2", "-15", "123", ""},
    {"rename to itself", "rename 1 to 1", "-15", "123", ""},
    {"rename to a bad key", "rename 1 to \"\"", "-651", "123", ""},
    {"rename the first", "rename 1 to 7", "0", "723", "-1 +7"},
    {"rename the middle", "rename 2 to 7", "0", "173", "-2 +7"},
    {"rename the last", "rename 3 to 7", "0", "127", "-3 +7"},
    {"clone what is not there", "clone 4 to 5", "-3", "123", ""},
    {"clone to one that is there", "clone 1 to 2", "-15", "123", ""},
    {"clone", "clone 1 to 4", "0", "1234", "+4"},
    {"move alone", "move 1", "-160", "123", ""},
    {"move with another word", "move 1 behind 2", "-61", "123", ""},
    {"move what is not there", "move 4 after 1", "-3", "123", ""},
    {"move to what is not there", "move 1 after 4", "-3", "123", ""},
    {"move after", "move 1 after 2", "0", "213", ""},
    {"move to the end", "move 1 after 3", "0", "231", ""},
    {"move to the front", "move 3 before 1", "0", "312", ""},
    {"move before", "move 3 before 2", "0", "132", ""},
    {"move to where it is", "move 1 before 2\nmove 2 after 1", "0 0", "123", ""},
    {"move next to itself", "move 1 before 1\nmove 1 after 1", "0 0", "123", ""},
    {"in an edit", "edit 1\ndelete 2\npurge\nmove 1 after 2\nabort", "0 -61 -61 -61 0", "123", ""},
};

static void
tables_are_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		char keys[64];

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, "config net port\nedit 1\nnext\nedit 2\nnext\nedit 3\nnext\n"), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(w->applied, cases[i].applied);
		keys_of(tree_first(w->tree, "net port"), keys);
		assert_string_equal(keys, cases[i].keys);
		assert_int_equal(tree_count(w->tree, "net port"), strlen(keys));
		world_free(w);
	}
}

/* The same in a nested table: nothing is applied before the entry around it is. */
static void
nested_tables_are_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w;
		char keys[64];

		if (strstr(cases[i].text, "abort"))
			continue;
		print_message("  %s\n", cases[i].what);
		w = world_new();
		assert_int_equal(
		    world_run(w, "config net port\nedit a\nconfig second\nedit 1\nset ip 1.1.1.1/8\nnext\nedit "
				 "2\nset ip 1.1.1.1/8\nnext\nedit 3\nset ip 1.1.1.1/8\nend\nnext\n"
				 "edit a\nconfig second\n"),
		    0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(w->applied, "");
		keys_of(entry_child_first(tree_entry(w->tree, "net port", "a"), "second"), keys);
		assert_string_equal(keys, "123");
		assert_int_equal(world_run(w, "end\nnext\nend\n"), 0);
		keys_of(entry_child_first(tree_entry(w->tree, "net port", "a"), "second"), keys);
		assert_string_equal(keys, cases[i].keys);
		assert_string_equal(w->applied, strcmp(keys, "123") ? "~a" : "");
		world_free(w);
	}
}

static void
a_purge_goes_past_what_is_used(void **state)
{
	struct world *w = world_new();
	char keys[64];

	(void)state;
	world_run(
	    w,
	    "config net port\nedit 1\nnext\nedit 2\nnext\nedit 3\nend\nconfig net route\nedit 1\nset device 2\nend\n");
	world_run(w, "config net port\npurge\nend\n");
	assert_string_equal(w->codes, "0 -23 0");
	assert_string_equal(w->applied, "-3 -1");
	keys_of(tree_first(w->tree, "net port"), keys);
	assert_string_equal(keys, "2");
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_are_changed),
	    cmocka_unit_test(nested_tables_are_changed),
	    cmocka_unit_test(a_purge_goes_past_what_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
