#include "config/print.h"

#include <errno.h>

#include "config/load.h"
#include "config_world.h"

static void
trees_are_printed(void **state)
{
	static const struct {
		const char *what, *text;
		unsigned flags;
		const char *printed;
	} cases[] = {
	    {"nothing", "", 0, ""},
	    {"a singleton",
	     "config box global\nset note \"say \\\"hi\\\" \\\\\"\nset features ssh\nset servers \"a b\" c\nend\n", 0,
	     "config box global\n    set servers \"a b\" \"c\"\n    set features ssh\n    set note \"say \\\"hi\\\" "
	     "\\\\\"\nend\n"},
	    {"an empty list that is not the default", "config box global\nset features \"\"\nend\n", 0,
	     "config box global\n    set features \"\"\nend\n"},
	    {"an empty text that is not the default", "config box global\nset hostname \"\"\nend\n", 0,
	     "config box global\n    set hostname \"\"\nend\n"},
	    {"a masked secret", "config box global\nset secret pass\nend\n", 0,
	     "config box global\n    set secret ENC ***\nend\n"},
	    {"a secret in clear", "config box global\nset secret ENC a\"\"b\nend\n", PRINT_SECRETS,
	     "config box global\n    set secret \"ENC ab\"\nend\n"},
	    {"a nested singleton", "config box global\nconfig proxy\nset status enable\nend\nend\n", 0,
	     "config box global\n    config proxy\n        set status enable\n    end\nend\n"},
	    {"entries",
	     "config net port\nedit \"a b\"\nnext\nedit b\nconfig second\nedit 07\nset ip 1.1.1.1/8\nend\nend\n", 0,
	     "config net port\n    edit \"a b\"\n    next\n    edit \"b\"\n        config second\n            edit 7\n"
	     "                set ip 1.1.1.1 255.0.0.0\n            next\n        end\n    next\nend\n"},
	    {"a forward reference", "config net port\nedit a\nnext\nedit b\nnext\nedit a\nset parent b\nend\n", 0,
	     "config net port\n    edit \"b\"\n    next\n    edit \"a\"\n        set parent \"b\"\n    next\n"
	     "    move \"b\" after \"a\"\nend\n"},
	    {"a forward reference, summed", "config net port\nedit a\nnext\nedit b\nnext\nedit a\nset parent b\nend\n",
	     PRINT_CHECKSUM,
	     "config net port\n    edit \"a\"\n        set parent \"b\"\n    next\n    edit \"b\"\n    next\nend\n"},
	    {"unsummed tables and uuid",
	     "config hidden\nset a x\nend\nconfig net port\nedit a\nend\nconfig net route\nedit 1\nset uuid 1-2\nset "
	     "device "
	     "a\nend\n",
	     PRINT_CHECKSUM,
	     "config net port\n    edit \"a\"\n    next\nend\nconfig net route\n    edit 1\n        set device \"a\"\n"
	     "    next\nend\n"},
	    {"with defaults", "config net port\nedit a\nend\n", PRINT_FULL,
	     "config box global\n    set hostname \"box\"\n    set timeout 5\n    unset secret\n    unset servers\n"
	     "    set features web ssh\n    unset note\n    config proxy\n        set status disable\n    end\nend\n"
	     "config net port\n    edit \"a\"\n        set ip 0.0.0.0 0.0.0.0\n        unset ip6\n        unset mac\n"
	     "        set type physical\n        unset parent\n        unset comment\n        config second\n        "
	     "end\n"
	     "    next\nend\nconfig net route\nend\nconfig net group\nend\nconfig hidden\n    unset a\n    unset ab\n"
	     "    unset abc\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		char *text;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, cases[i].text), 0);
		text = world_text_of(w->tree, cases[i].flags);
		assert_string_equal(text, cases[i].printed);
		free(text);
		world_free(w);
	}
}

static void
parts_are_printed(void **state)
{
	struct world *w = world_new();
	struct buf b = BUF_INIT(1024);

	(void)state;
	world_run(w, "config net port\nedit a\nset comment x\nend\nconfig box global\nset timeout 7\nend\n");
	assert_int_equal(print_table(w->tree, schema_find(w->schema, "net port"), 0, &b), 0);
	assert_int_equal(print_table(w->tree, schema_find(w->schema, "net route"), 0, &b), 0);
	assert_int_equal(print_entry(tree_first(w->tree, "net port"), 0, &b), 0);
	assert_int_equal(print_entry(tree_first(w->tree, "box global"), 0, &b), 0);
	assert_int_equal(buf_put(&b, "", 1), 0);
	assert_string_equal((const char *)buf_head(&b),
			    "config net port\n    edit \"a\"\n        set comment \"x\"\n    next\nend\n"
			    "edit \"a\"\n    set comment \"x\"\nnext\nset timeout 7\n");
	buf_free(&b);
	world_free(w);
}

static void
a_full_buffer_keeps_what_it_had(void **state)
{
	struct world *w = world_new();
	struct buf b = BUF_INIT(20);

	(void)state;
	world_run(w, "config net port\nedit a\nset comment x\nend\n");
	assert_int_equal(buf_str(&b, "before"), 0);
	assert_int_equal(print_tree(w->tree, 0, &b), -EMSGSIZE);
	assert_int_equal(b.len, 6);
	buf_free(&b);
	world_free(w);
}

/* What is printed makes the same tree again, with and without defaults, and without a single failure. */
static void
texts_make_the_tree_again(void **state)
{
	static const unsigned flags[] = {PRINT_SECRETS, PRINT_SECRETS | PRINT_FULL};
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 100; round++) {
		struct world *w = world_new();

		world_shake(w, &seed, 60);
		for (size_t i = 0; i < 2; i++) {
			char *text = world_text_of(w->tree, flags[i]);
			struct tree *again = tree_new(w->schema);
			struct err e = ERR_NONE;

			assert_non_null(again);
			assert_int_equal(load_text(again, "t", text, strlen(text), false, NULL, NULL, &e), 0);
			assert_true(tree_equal(again, w->tree));
			tree_free(again);
			free(text);
		}
		world_free(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trees_are_printed),
	    cmocka_unit_test(parts_are_printed),
	    cmocka_unit_test(a_full_buffer_keeps_what_it_had),
	    cmocka_unit_test(texts_make_the_tree_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
