#include "config/diff.h"

#include <errno.h>

#include "config/load.h"
#include "config_world.h"

static char *
diff_text(const struct tree *from, const struct tree *to, size_t *lines)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);
	char *text;

	assert_int_equal(diff_trees(from, to, &b, lines), 0);
	text = buf_steal(&b, NULL);
	assert_non_null(text);
	return text;
}

static void
differences_are_commands(void **state)
{
	static const struct {
		const char *what, *from, *to, *diff;
		size_t lines;
	} cases[] = {
	    {"none", "config net port\nedit a\nend\n", "config net port\nedit a\nend\n", "", 0},
	    {"set and unset", "config box global\nset note x\nend\n", "config box global\nset timeout 7\nend\n",
	     "config box global\n    set timeout 7\n    unset note\nend\n", 2},
	    {"a fixed attribute", "config net port\nedit a\nset type vlan\nend\n", "config net port\nedit a\nend\n",
	     "config net port\n    edit \"a\"\n        set type physical\n    next\nend\n", 1},
	    {"created", "", "config net port\nedit a\nset comment x\nend\n",
	     "config net port\n    edit \"a\"\n        set comment \"x\"\n    next\nend\n", 2},
	    {"created empty", "", "config net port\nedit a\nend\n", "config net port\n    edit \"a\"\n    next\nend\n",
	     1},
	    {"deleted", "config net port\nedit a\nend\n", "", "config net port\n    delete \"a\"\nend\n", 1},
	    {"moved", "config net port\nedit a\nnext\nedit b\nnext\nedit c\nend\n",
	     "config net port\nedit c\nnext\nedit a\nnext\nedit b\nend\n",
	     "config net port\n    move \"c\" before \"a\"\nend\n", 1},
	    {"created in the middle", "config net port\nedit a\nnext\nedit c\nend\n",
	     "config net port\nedit a\nnext\nedit b\nnext\nedit c\nend\n",
	     "config net port\n    edit \"b\"\n    next\n    move \"c\" after \"b\"\nend\n", 2},
	    {"referred to, both gone", "config net port\nedit a\nend\nconfig net route\nedit 1\nset device a\nend\n",
	     "", "config net route\n    delete 1\nend\nconfig net port\n    delete \"a\"\nend\n", 2},
	    {"referred to another", "config net port\nedit a\nend\nconfig net route\nedit 1\nset device a\nend\n",
	     "config net port\nedit b\nend\nconfig net route\nedit 1\nset device b\nend\n",
	     "config net port\n    edit \"b\"\n    next\nend\nconfig net route\n    edit 1\n        set device \"b\"\n"
	     "    next\nend\nconfig net port\n    delete \"a\"\nend\n",
	     3},
	    {"nested",
	     "config net port\nedit a\nconfig second\nedit 1\nset ip 1.1.1.1/8\nnext\nedit 2\nset ip "
	     "2.2.2.2/8\nend\nend\n",
	     "config net port\nedit a\nconfig second\nedit 2\nset ip 3.3.3.3/8\nend\nend\n",
	     "config net port\n    edit \"a\"\n        config second\n            delete 1\n            edit 2\n"
	     "                set ip 3.3.3.3 255.0.0.0\n            next\n        end\n    next\nend\n",
	     2},
	    {"nested singleton", "config box global\nconfig proxy\nset status enable\nend\nend\n", "",
	     "config box global\n    config proxy\n        unset status\n    end\nend\n", 1},
	    {"a reference turned around", "config net port\nedit a\nnext\nedit b\nset parent a\nend\n",
	     "config net port\nedit b\nnext\nedit a\nset parent b\nnext\nmove a before b\nend\n",
	     "config net port\n    edit \"b\"\n        unset parent\n    next\n    edit \"a\"\n        set parent "
	     "\"b\"\n"
	     "    next\nend\n",
	     2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *from = world_new();
		struct world *to = world_new_on(from->schema);
		size_t lines = 99;
		char *text;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(from, cases[i].from), 0);
		assert_int_equal(world_run(to, cases[i].to), 0);
		text = diff_text(from->tree, to->tree, &lines);
		assert_string_equal(text, cases[i].diff);
		assert_int_equal(lines, cases[i].lines);
		free(text);
		from->schema = NULL;
		world_free(from);
		world_free(to);
	}
}

static void
secrets_are_masked_for_people(void **state)
{
	struct world *w = world_new();
	struct tree *empty = tree_new(w->schema);
	struct buf b = BUF_INIT(1024);

	(void)state;
	world_run(w, "config box global\nset secret hunter2\nend\n");
	assert_int_equal(diff_show(empty, w->tree, &b, NULL), 0);
	assert_int_equal(buf_put(&b, "", 1), 0);
	assert_string_equal((const char *)buf_head(&b), "config box global\n    set secret ENC ***\nend\n");
	buf_free(&b);
	tree_free(empty);
	world_free(w);
}

static void
failures_leave_nothing_behind(void **state)
{
	struct world *a = world_new(), *b = world_new();
	struct tree *empty = tree_new(a->schema);
	struct buf out = BUF_INIT(30);
	size_t lines = 42;

	(void)state;
	world_run(a, "config net port\nedit a\nset comment x\nend\n");
	assert_int_equal(diff_trees(empty, a->tree, &out, &lines), -EMSGSIZE);
	assert_int_equal(diff_trees(a->tree, b->tree, &out, &lines), -EINVAL);
	assert_int_equal(out.len, 0);
	assert_int_equal(lines, 42);
	buf_free(&out);
	tree_free(empty);
	world_free(a);
	world_free(b);
}

/* The difference between any two trees leads from the one to the other without a single failure. */
static void
differences_lead_there(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct world *a = world_new();
		struct world *b = world_new_on(a->schema);
		struct err e = ERR_NONE;
		size_t lines;
		char *text;

		world_shake(a, &seed, 40);
		if (round % 2) { /* a relative */
			tree_free(b->tree);
			b->tree = tree_clone(a->tree);
			world_enter(b, false);
		}
		world_shake(b, &seed, 30);
		text = diff_text(a->tree, b->tree, &lines);
		assert_int_equal(*text != 0, !tree_equal(a->tree, b->tree));
		assert_int_equal(load_text(a->tree, "diff", text, strlen(text), false, NULL, NULL, &e), 0);
		assert_true(tree_equal(a->tree, b->tree));
		free(text);
		a->schema = NULL;
		world_free(a);
		world_free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(differences_are_commands),
	    cmocka_unit_test(secrets_are_masked_for_people),
	    cmocka_unit_test(failures_leave_nothing_behind),
	    cmocka_unit_test(differences_lead_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
