#include "config_world.h"

static const char setup[] =
    "config box global\nset timeout 7\nset secret hunter2\nend\n"
    "config net port\nedit a\nset comment x\nconfig second\nedit 1\nset ip 1.1.1.1/8\nend\nnext\n"
    "edit b\nend\n";

static void
show_prints_commands(void **state)
{
	static const struct {
		const char *what, *text, *codes, *shown;
	} cases[] = {
	    {"unknown table", "show no such", "-61", ""},
	    {"bootstrap table", "show boot", "-61", ""},
	    {"unknown key", "show net port c", "-3", ""},
	    {"a key out of form", "show net route x", "-651", ""},
	    {"a key in another form", "config net route\nedit 7\nset device a\nend\nshow net route 007", "0 0 0 0 0",
	     "config net route\n    edit 7\n        set device \"a\"\n    next\nend\n"},
	    {"key of a singleton", "show box global a", "-61", ""},
	    {"words too many", "show net port a b", "-61", ""},
	    {"a table", "show box global", "0", "config box global\n    set timeout 7\n    set secret ENC ***\nend\n"},
	    {"an empty table", "show net route", "0", ""},
	    {"an entry", "sh net port b", "0", "config net port\n    edit \"b\"\n    next\nend\n"},
	    {"an entry in full", "show full net port b", "0",
	     "config net port\n    edit \"b\"\n        set ip 0.0.0.0 0.0.0.0\n        unset ip6\n        unset mac\n"
	     "        set type physical\n        unset parent\n        unset comment\n        config second\n        "
	     "end\n"
	     "    next\nend\n"},
	    {"in a table, an entry", "config net port\nshow b\nend", "0 0 0",
	     "config net port\n    edit \"b\"\n    next\nend\n"},
	    {"in an edit, what is not committed", "config net port\nedit b\nset comment y\nshow\nabort", "0 0 0 0 0",
	     "config net port\n    edit \"b\"\n        set comment \"y\"\n    next\nend\n"},
	    {"in an edit, a word", "config net port\nedit b\nshow x\nabort", "0 0 -61 0", ""},
	    {"in a nested table", "config net port\nedit a\nconfig second\nshow\nabort\nabort", "0 0 0 0 0 0",
	     "config second\n    edit 1\n        set ip 1.1.1.1 255.0.0.0\n    next\nend\n"},
	    {"in a singleton", "config box global\nset timeout 9\nshow\nabort", "0 0 0 0",
	     "config box global\n    set timeout 9\n    set secret ENC ***\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, setup), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(world_output(w), cases[i].shown);
		world_free(w);
	}
}

static void
show_alone_prints_everything(void **state)
{
	struct world *w = world_new();
	char *text;

	(void)state;
	world_run(w, setup);
	assert_int_equal(world_run(w, "show\n"), 0);
	text = world_text_of(w->tree, 0);
	assert_string_equal(world_output(w), text);
	free(text);
	assert_int_equal(world_run(w, "show full-configuration\n"), 0);
	text = world_text_of(w->tree, PRINT_FULL);
	assert_string_equal(world_output(w), text);
	assert_null(strstr(text, "config boot"));
	free(text);
	world_free(w);
}

static void
get_prints_values(void **state)
{
	static const char global[] = "hostname            : box\ntimeout             : 7\nsecret              : *\n"
				     "servers             :\nfeatures            : web ssh\nnote                :\n"
				     "proxy               :\n    status              : disable\n";
	static const char port_a[] =
	    "name                : a\nip                  : 0.0.0.0 0.0.0.0\n"
	    "ip6                 :\nmac                 :\ntype                : physical\n"
	    "parent              :\ncomment             : x\nsecond              :\n"
	    "    == [ 1 ]\n    id                  : 1\n    ip                  : 1.1.1.1 255.0.0.0\n"
	    "    via                 :\n    deep                :\n";
	static const struct {
		const char *what, *text, *codes, *shown;
	} cases[] = {
	    {"nothing", "get", "-160", ""},
	    {"unknown", "get no such", "-61", ""},
	    {"unknown key", "get net port c", "-3", ""},
	    {"somebody else's", "get net known", "0", "known!\n"},
	    {"a singleton", "get box global", "0", global},
	    {"an entry", "get net port a", "0", port_a},
	    {"in an edit", "config net port\nedit a\nget\nabort", "0 0 0 0", port_a},
	    {"in a table", "config net port\nget a\nend", "0 0 0", port_a},
	    {"in a block, from the top", "config net port\nedit b\nget box global\nabort", "0 0 0 0", global},
	    {"an empty table", "get net route", "0", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, setup), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(world_output(w), cases[i].shown);
		world_free(w);
	}
}

static void
output_has_a_ceiling(void **state)
{
	struct world *w = world_new();

	(void)state;
	world_run(w, setup);
	buf_free(&w->out);
	w->out = BUF_INIT(10);
	world_run(w, "show\nget box global\nshow net port a\n");
	assert_string_equal(w->codes, "-1000 -1000 -1000");
	assert_string_equal(w->err.text, "the output is too long");
	world_free(w);
}

static void
output_need_not_be_wanted(void **state)
{
	struct world *w = world_new();
	struct script *s;
	static const char *const lines[] = {"show", "get box global", "get x known", "get x y"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(script_parse_line(lines[i], strlen(lines[i]), &s, NULL), CLI_OK);
		assert_int_equal(exec_run(w->exec, script_at(s, 0), NULL, NULL), i < 3 ? CLI_OK : CLI_PARSE);
		script_free(s);
	}
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(show_prints_commands),      cmocka_unit_test(show_alone_prints_everything),
	    cmocka_unit_test(get_prints_values),         cmocka_unit_test(output_has_a_ceiling),
	    cmocka_unit_test(output_need_not_be_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
