#include "config/refs.h"

#include "config/node.h"
#include "config_world.h"

static size_t
count(const struct tree *t, const char *key)
{
	const struct entry *e = tree_entry(t, "net port", key);

	return e ? e->refs : 0;
}

static void
used_entries_stay(void **state)
{
	static const struct {
		const char *what, *text, *codes;
	} cases[] = {
	    {"by a route", "config net route\nedit 1\nset device a\nend\nconfig net port\ndelete a\nend\n",
	     "0 0 0 0 0 -23 0"},
	    {"renamed", "config net route\nedit 1\nset device a\nend\nconfig net port\nrename a to c\nend\n",
	     "0 0 0 0 0 -23 0"},
	    {"by a nested entry",
	     "config net port\nedit b\nconfig second\nedit 1\nset ip 1.1.1.1/8\nset via a\nend\nnext\ndelete a\nend\n",
	     "0 0 0 0 0 0 0 0 -23 0"},
	    {"by a list", "config net group\nedit g\nset member b a\nend\nconfig net port\ndelete a\nend\n",
	     "0 0 0 0 0 -23 0"},
	    {"purged with the others", "config net route\nedit 1\nset device a\nend\nconfig net port\npurge\nend\n",
	     "0 0 0 0 0 -23 0"},
	    {"not any more",
	     "config net route\nedit 1\nset device a\nnext\nedit 1\nset device b\nend\nconfig net port\n"
	     "delete a\nend\n",
	     "0 0 0 0 0 0 0 0 0 0"},
	    {"user deleted",
	     "config net route\nedit 1\nset device a\nnext\ndelete 1\nend\nconfig net port\ndelete a\nend\n",
	     "0 0 0 0 0 0 0 0 0"},
	    {"only in a draft", "config net route\nedit 1\nset device a\nabort\nconfig net port\ndelete a\nend\n",
	     "0 0 0 0 0 0 0"},
	    {"in the table itself, purged", "config net port\nedit a\nset parent b\nnext\npurge\nend\n", "0 0 0 0 0 0"},
	    {"clone counts, too",
	     "config net route\nedit 1\nset device a\nnext\nclone 1 to 2\ndelete 1\nend\nconfig net port\ndelete "
	     "a\nend\n",
	     "0 0 0 0 0 0 0 0 -23 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();

		print_message("  %s\n", cases[i].what);
		world_run(w, "config net port\nedit a\nnext\nedit b\nend\n");
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		world_free(w);
	}
}

static void
predefined_names_need_no_entry(void **state)
{
	static const struct {
		const char *what, *text, *codes;
	} cases[] = {
	    {"no such name", "config shop rule\nedit 1\nset item some\nend\n", "0 0 0 -3"},
	    {"one among predefined ones", "config shop rule\nedit 1\nset item all some none\nend\n", "0 0 0 -3"},
	    {"of another attribute", "config shop rule\nedit 1\nset item any\nend\n", "0 0 0 -3"},
	    {"of another table", "config shop rule\nedit 1\nset port all\nend\n", "0 0 0 -3"},
	    {"of this attribute alone", "config net route\nedit 1\nset device any\nend\n", "0 0 0 -3"},
	    {"not in the case they are written in", "config shop rule\nedit 1\nset item ALL\nend\n", "0 0 0 -3"},
	    {"of the table", "config shop rule\nedit 1\nset item all none\nend\n", "0 0 0 0"},
	    {"of the attribute", "config shop rule\nedit 1\nset port any\nend\n", "0 0 0 0"},
	    {"inside the table itself", "config shop item\nedit a\nset part all\nend\n", "0 0 0 0"},
	    {"not an entry to delete", "config shop item\ndelete all\nend\n", "0 -3 0"},
	    {"made an entry", "config shop item\nedit all\nend\nconfig shop rule\nedit 1\nset item all\nend\n",
	     "0 0 0 0 0 0 0"},
	    {"and deleted although it is named",
	     "config shop rule\nedit 1\nset item all\nend\nconfig shop item\nedit all\nnext\ndelete all\nend\n",
	     "0 0 0 0 0 0 0 0 0"},
	    {"and renamed although it is named",
	     "config shop rule\nedit 1\nset item all\nend\nconfig shop item\nedit all\nnext\nrename all to b\nend\n",
	     "0 0 0 0 0 0 0 0 0"},
	    {"another name is not deleted",
	     "config shop item\nedit a\nend\nconfig shop rule\nedit 1\nset item all a\nend\n"
	     "config shop item\ndelete a\nend\n",
	     "0 0 0 0 0 0 0 0 -23 0"},
	    {"no loop through one", "config shop item\nedit a\nset part all\nnext\nedit all\nset part a\nend\n",
	     "0 0 0 0 0 0 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new_shop();
		char *text;

		print_message("  %s\n", cases[i].what);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		text = world_text_of(w->tree, PRINT_SECRETS);
		assert_null(strstr(text, "edit \"none\""));
		free(text);
		world_free(w);
	}
}

static void
loops_are_refused(void **state)
{
	static const struct {
		const char *what, *text;
		int last;
	} cases[] = {
	    {"itself", "edit a\nset parent a\n", CLI_CONFLICT},
	    {"two", "edit a\nset parent b\nnext\nedit b\nset parent a\n", CLI_CONFLICT},
	    {"three", "edit a\nset parent b\nnext\nedit b\nset parent c\nnext\nedit c\nset parent a\n", CLI_CONFLICT},
	    {"through a nested entry",
	     "edit a\nset parent b\nnext\nedit b\nconfig second\nedit 1\nset ip 1.1.1.1/8\nset via a\nend\n",
	     CLI_CONFLICT},
	    {"a diamond is none",
	     "edit d\nset parent b\nconfig second\nedit 1\nset ip 1.1.1.1/8\nset via c\nend\nnext\nedit b\nset parent "
	     "a\n"
	     "next\nedit c\nset parent a\n",
	     CLI_OK},
	    {"turned around", "edit a\nset parent b\nnext\nedit a\nunset parent\nnext\nedit b\nset parent a\n", CLI_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();

		print_message("  %s\n", cases[i].what);
		world_run(w, "config net port\nedit a\nnext\nedit b\nnext\nedit c\nend\nconfig net port\n");
		assert_int_equal(world_run(w, cases[i].text), 0);
		assert_int_equal(world_run(w, "next\n"), cases[i].last != CLI_OK);
		assert_int_equal(atoi(w->codes), cases[i].last);
		exec_reset(w->exec);
		assert_int_equal(world_run(w, "config net port\npurge\nend\n"), 0);
		world_free(w);
	}
}

/* What is counted is what the entries say, whatever happened before. */
static int
tally(void *ctx, const struct schema_attr *a, const char *key)
{
	(void)a;
	return strcmp(key, "a") ? 0 : (++*(size_t *)ctx, 0);
}

static void
counts_stay_true(void **state)
{
	static const char *const users[] = {"net port", "net route", "net group"};
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct world *w = world_new();

		for (int i = 0; i < 20; i++) {
			struct tree *copy;
			size_t expected = 0;

			w->apply_code = i % 3 ? 0 : CLI_FAILED;
			world_shake(w, &seed, 15);
			for (size_t k = 0; k < 3; k++) {
				for (const struct entry *e = tree_first(w->tree, users[k]); e; e = entry_next(e))
					refs_walk(e, tally, &expected);
			}
			assert_int_equal(count(w->tree, "a"), expected);
			copy = tree_clone(w->tree);
			assert_non_null(copy);
			assert_int_equal(count(copy, "a"), expected);
			tree_free(copy);
		}
		world_free(w);
	}
}

static void
tables_know_whether_they_refer_to_themselves(void **state)
{
	struct schema *s = world_schema_new();

	(void)state;
	assert_true(refs_within(schema_find(s, "net port")));
	assert_true(refs_within(schema_find(s, "net group")));
	assert_false(refs_within(schema_find(s, "net route")));
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(used_entries_stay),
	    cmocka_unit_test(predefined_names_need_no_entry),
	    cmocka_unit_test(loops_are_refused),
	    cmocka_unit_test(counts_stay_true),
	    cmocka_unit_test(tables_know_whether_they_refer_to_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
