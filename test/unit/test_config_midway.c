#include "config/midway.h"

#include "config/diff.h"
#include "config/load.h"
#include "config_world.h"

/* Ports and groups are one family, since a group names either; so do the two below. */
static const char more[] =
    "{\"tables\":["
    "{\"path\":\"use\",\"attributes\":[{\"name\":\"note\",\"type\":\"string\"},"
    " {\"name\":\"what\",\"type\":\"reference\",\"list\":true,\"refers\":[\"net port\",\"net group\"]}],"
    " \"tables\":[{\"path\":\"once\",\"attributes\":[{\"name\":\"what\",\"type\":\"reference\","
    "  \"refers\":[\"net port\",\"net group\"]}]},"
    " {\"path\":\"each\",\"key\":{\"name\":\"id\",\"type\":\"integer\"},\"attributes\":[{\"name\":\"what\","
    "  \"type\":\"reference\",\"refers\":[\"net port\",\"net group\"]}]}]},"
    "{\"path\":\"rule\",\"key\":{\"name\":\"id\",\"type\":\"integer\"},\"attributes\":["
    " {\"name\":\"what\",\"type\":\"reference\",\"list\":true,\"refers\":[\"net port\",\"net "
    "group\"],\"required\":true},"
    " {\"name\":\"rule\",\"type\":\"reference\",\"refers\":[\"rule\"]}]}]}";

static struct schema *
schema(void)
{
	struct schema *s = world_schema_new();
	struct err e = ERR_NONE;

	if (schema_add_json(s, "more.json", more, strlen(more), &e))
		fail_msg("%s", e.text);
	return s;
}

static struct tree *
tree_of(const struct schema *s, const char *text)
{
	struct tree *t = tree_new(s);
	struct err e = ERR_NONE;

	assert_non_null(t);
	if (load_text(t, "text", text, strlen(text), false, NULL, NULL, &e))
		fail_msg("%s", text);
	return t;
}

#define PORTS "config net port\nedit a\nnext\nedit p\nend\n"
#define X_PORT "config net port\nedit x\nend\n"
#define X_GROUP "config net group\nedit x\nset member p\nend\n"

static void
names_move_between_tables(void **state)
{
	static const struct {
		const char *what, *from, *to;
		const char *kept; /* of `from` at the stop between; NULL: no stop is needed */
	} cases[] = {
	    {"nothing moves", PORTS, PORTS X_GROUP, NULL},
	    {"another name of the table", PORTS X_PORT, PORTS "config net port\nedit y\nend\n", NULL},
	    {"a name of a table that is no family", PORTS "config rule\nedit 1\nset what a\nend\n",
	     PORTS "config net route\nedit 1\nset device a\nend\n", NULL},
	    {"unused, there", PORTS X_PORT, PORTS X_GROUP, PORTS},
	    {"unused, back", PORTS X_GROUP, PORTS X_PORT, PORTS},
	    {"used by what stays", PORTS X_PORT "config rule\nedit 1\nset what a x\nnext\nedit 2\nset what a\nend\n",
	     PORTS X_GROUP "config rule\nedit 1\nset what a x\nnext\nedit 2\nset what a\nend\n",
	     PORTS "config rule\nedit 2\nset what a\nend\n"},
	    {"used by a user of it",
	     PORTS X_PORT
	     "config rule\nedit 1\nset what x\nnext\nedit 2\nset what a\nset rule 1\nnext\nedit 3\nset what a\nend\n",
	     PORTS X_GROUP
	     "config rule\nedit 1\nset what x\nnext\nedit 2\nset what a\nset rule 1\nnext\nedit 3\nset what a\nend\n",
	     PORTS "config rule\nedit 3\nset what a\nend\n"},
	    {"used by an earlier entry of a table",
	     PORTS X_PORT
	     "config net group\nedit g\nset member a\nnext\nedit h\nset member x\nnext\nedit g\nset member h\nend\n",
	     PORTS "config net group\nedit x\nset member p\nend\n", PORTS},
	    {"it used what uses it now",
	     PORTS "config net group\nedit g\nset member a\nnext\nedit x\nset member g\nend\n",
	     PORTS X_PORT "config net group\nedit g\nset member x\nend\n",
	     PORTS "config net group\nedit g\nset member a\nend\n"},
	    {"used by a singleton",
	     PORTS X_PORT
	     "config use\nset note n\nset what a x\nconfig once\nset what x\nend\nconfig each\nedit 1\nset "
	     "what x\nend\nend\n",
	     PORTS X_GROUP "config use\nset note n\nset what a x\nconfig once\nset what x\nend\nconfig each\nedit "
			   "1\nset what x\nend\nend\n",
	     PORTS},
	    {"used by a singleton below one", PORTS X_PORT "config use\nconfig once\nset what x\nend\nend\n",
	     PORTS X_GROUP "config use\nconfig once\nset what x\nend\nend\n", PORTS},
	    {"the order stays", PORTS X_PORT "config rule\nedit 1\nset what x\nnext\nedit 2\nset what a\nend\n",
	     PORTS X_GROUP "config rule\nedit 1\nset what x\nnext\nedit 2\nset what a\nend\n",
	     PORTS "config rule\nedit 2\nset what a\nend\n"},
	};
	struct schema *s = schema();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tree *from = tree_of(s, cases[i].from), *to = tree_of(s, cases[i].to), *stop, *kept;
		struct buf text = BUF_INIT(65536);
		struct err e = ERR_NONE;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(midway_tree(from, to, &stop), 0);
		assert_int_equal(stop != NULL, cases[i].kept != NULL);
		if (stop) {
			kept = tree_of(s, cases[i].kept);
			assert_true(tree_equal(stop, kept));
			tree_free(kept);
		}
		assert_int_equal(diff_trees(from, to, &text, NULL), 0);
		assert_int_equal(
		    load_text(from, "diff", (const char *)buf_head(&text), text.len, false, NULL, NULL, &e), 0);
		assert_true(tree_equal(from, to));
		buf_free(&text);
		tree_free(stop);
		tree_free(from);
		tree_free(to);
	}
	schema_free(s);
}

static void
a_name_is_given_once_in_a_family(void **state)
{
	static const struct {
		const char *what, *text, *codes;
	} cases[] = {
	    {"new", "config net group\nedit a\nset member p\nnext\nend\n", "0 0 0 -15 0"},
	    {"in the other table", "config net group\nedit g\nset member p\nend\nconfig net port\nedit g\nend\n",
	     "0 0 0 0 0 0 -15"},
	    {"cloned", "config net group\nedit g\nset member p\nnext\nclone g to a\nend\n", "0 0 0 0 -15 0"},
	    {"renamed", "config net group\nedit g\nset member p\nnext\nrename g to a\nend\n", "0 0 0 0 -15 0"},
	    {"free again", "config net port\ndelete a\nend\nconfig net group\nedit a\nset member p\nend\n",
	     "0 0 0 0 0 0 0"},
	    {"a number of a table that is no family",
	     "config rule\nedit 1\nset what a\nend\nconfig net route\nedit "
	     "1\nset device a\nend\n",
	     "0 0 0 0 0 0 0 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new_on(schema());

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, PORTS), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		if (strstr(cases[i].codes, "-15"))
			assert_non_null(strstr(w->err.text, "is there already, in 'net "));
		world_free(w);
	}
}

static void
a_predefined_name_is_given_in_its_table_only(void **state)
{
	static const char more_shop[] =
	    "{\"tables\":[{\"path\":\"shop group\",\"key\":{\"name\":\"k\",\"type\":\"string\"},"
	    "\"attributes\":[{\"name\":\"m\",\"type\":\"reference\",\"refers\":[\"shop "
	    "item\",\"shop group\"]}]}]}";
	struct world *w;
	struct schema *s = world_schema_new();

	(void)state;
	assert_int_equal(schema_add_json(s, "shop.json", world_shop, strlen(world_shop), NULL), 0);
	assert_int_equal(schema_add_json(s, "group.json", more_shop, strlen(more_shop), NULL), 0);
	w = world_new_on(s);
	world_run(w, "config shop group\nedit all\nnext\nedit some\nnext\nend\nconfig shop item\nedit all\nend\n");
	assert_string_equal(w->codes, "0 0 -15 0 0 0 0 0 0");
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_move_between_tables),
	    cmocka_unit_test(a_name_is_given_once_in_a_family),
	    cmocka_unit_test(a_predefined_name_is_given_in_its_table_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
