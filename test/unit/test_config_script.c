#include "config/script.h"

#include "config_world.h"

static void
form_is_checked(void **state)
{
	static const struct {
		const char *what, *text;
		int rc;
		const char *reason;
	} cases[] = {
	    {"unknown verb", "config a\n  frob x\nend\n", CLI_PARSE, "f:2:3: unknown command 'frob x'"},
	    {"ambiguous verb", "config a\ns b c\nend\n", CLI_PARSE, "f:2:1: unknown command 's b c'"},
	    {"edit outside config", "edit a\n", CLI_PARSE, "f:1:1: 'edit' outside 'config'"},
	    {"edit inside edit", "config a\nedit 1\nedit 2\nend\n", CLI_PARSE, "f:3:1: 'edit' inside 'edit'"},
	    {"next outside edit", "config a\nnext\nend\n", CLI_PARSE, "f:2:1: 'next' outside 'edit'"},
	    {"next at the top", "next\n", CLI_PARSE, "f:1:1: 'next' outside 'edit'"},
	    {"an end too many", "config a\nend\nend\n", CLI_PARSE, "f:3:1: 'end' or 'abort' without"},
	    {"an abort too many", "abort\n", CLI_PARSE, "f:1:1: 'end' or 'abort' without"},
	    {"open block", "config a\nedit 1\n", CLI_INCOMPLETE,
	     "f:3:1: end of text, 'end' expected for the 'config' at 1:1"},
	    {"open nested block", "config a\nedit 1\nconfig b\nend\n", CLI_INCOMPLETE, "f:5:1: end of text"},
	    {"open quote", "config a\nset x \"y\nend\n", CLI_INCOMPLETE, "f:2:7: quote not closed"},
	    {"nothing", "", CLI_OK, NULL},
	    {"abbreviated", "conf sys int\ned 1\nne\nen\n", CLI_OK, NULL},
	    {"end closes edit", "config a\nedit 1\nend\n", CLI_OK, NULL},
	    {"abort closes edit", "config a\nedit 1\nabort\n", CLI_OK, NULL},
	    {"nested in a singleton", "config a\nconfig b\nedit 1\nnext\nend\nend\n", CLI_OK, NULL},
	    {"unknown tables are not its business", "config no such\nset x\nend\nget y\nexecute z\n", CLI_OK, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct script *s = NULL;
		struct err e = ERR_NONE;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(script_parse("f", cases[i].text, strlen(cases[i].text), &s, &e), cases[i].rc);
		if (cases[i].reason) {
			assert_memory_equal(e.text, cases[i].reason, strlen(cases[i].reason));
			assert_null(s);
		}
		script_free(s);
	}
}

static void
blocks_are_bounded(void **state)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct script *s = NULL;
	struct err e = ERR_NONE;

	(void)state;
	for (int i = 0; i < 33; i++)
		assert_int_equal(buf_str(&b, "config a\n"), 0);
	assert_int_equal(script_parse("f", (const char *)buf_head(&b), b.len, &s, &e), CLI_TOO_LONG);
	assert_non_null(strstr(e.text, "f:33:1: "));
	buf_free(&b);
}

static void
too_long_a_text_is_not_read(void **state)
{
	struct script *s = NULL;

	(void)state;
	assert_int_equal(script_parse("f", "", (size_t)CONFIG_MAX_BYTES + 1, &s, NULL), CLI_TOO_LONG);
	assert_int_equal(script_parse_line("", (size_t)SCRIPT_MAX_BYTES + 1, &s, NULL), CLI_TOO_LONG);
	assert_null(s);
}

static void
commands_keep_their_order_and_place(void **state)
{
	const char *text = "config a\n  set b \"c d\"\nend\n";
	struct script *s;

	(void)state;
	assert_int_equal(script_parse("f", text, strlen(text), &s, NULL), CLI_OK);
	assert_int_equal(script_count(s), 3);
	assert_int_equal(script_at(s, 1)->line, 2);
	assert_int_equal(script_at(s, 1)->column, 3);
	assert_int_equal(script_at(s, 1)->argc, 3);
	assert_string_equal(script_at(s, 1)->argv[2], "c d");
	assert_string_equal(script_at(s, 1)->text, "set b \"c d\"");
	script_free(s);
	script_free(NULL);
}

static void
a_reader_gives_the_same_one_by_one(void **state)
{
	static const char text[] = "config a\n  set b \"c d\"\n  edit x\n next\nend\n# done\n";
	struct reader *r = reader_new("f", text, strlen(text));
	struct command c;
	struct script *s;

	(void)state;
	assert_non_null(r);
	assert_int_equal(script_parse("f", text, strlen(text), &s, NULL), CLI_OK);
	for (size_t i = 0; i < script_count(s); i++) {
		assert_int_equal(reader_next(r, &c, NULL), CLI_OK);
		assert_int_equal(c.line, script_at(s, i)->line);
		assert_int_equal(c.column, script_at(s, i)->column);
		assert_int_equal(c.argc, script_at(s, i)->argc);
		assert_string_equal(c.text, script_at(s, i)->text);
		assert_string_equal(c.argv[c.argc - 1], script_at(s, i)->argv[c.argc - 1]);
	}
	assert_int_equal(reader_next(r, &c, NULL), CLI_OK);
	assert_int_equal(c.argc, 0);
	reader_free(r);
	reader_free(NULL);
	script_free(s);
}

static void
a_reader_stops_where_the_form_ends(void **state)
{
	static const struct {
		const char *what, *text, *reason;
		int good; /* commands before */
		int rc;
	} cases[] = {
	    {"unknown verb", "config a\nfoo\nend\n", "f:2:1: ", 1, CLI_PARSE},
	    {"open block", "config a\nset b c\n", "f:3:1: ", 2, CLI_INCOMPLETE},
	    {"open quote", "config a\nset b \"c\n", "f:2:7: ", 1, CLI_INCOMPLETE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reader *r = reader_new("f", cases[i].text, strlen(cases[i].text));
		struct err e = ERR_NONE;
		struct command c = {.argc = 1};

		print_message("  %s\n", cases[i].what);
		for (int n = 0; n < cases[i].good; n++)
			assert_int_equal(reader_next(r, &c, &e), CLI_OK);
		assert_int_equal(reader_next(r, &c, &e), cases[i].rc);
		assert_memory_equal(e.text, cases[i].reason, strlen(cases[i].reason));
		reader_free(r);
	}
}

static void
lines_are_one_command(void **state)
{
	static const struct {
		const char *what, *text;
		int rc;
		size_t argc;
	} cases[] = {
	    {"two commands", "a\nb", CLI_PARSE, 0},
	    {"open quote", "set a \"b", CLI_INCOMPLETE, 0},
	    {"empty", "", CLI_OK, 0},
	    {"comment", "  # x", CLI_OK, 0},
	    {"a command with its line end", "get x\n", CLI_OK, 2},
	    {"continued quote", "set a \"b\nc\"", CLI_OK, 3},
	    {"no verb is asked for", "exit", CLI_OK, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct script *s = NULL;
		struct err e = ERR_NONE;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(script_parse_line(cases[i].text, strlen(cases[i].text), &s, &e), cases[i].rc);
		if (!cases[i].rc) {
			assert_int_equal(script_count(s), 1);
			assert_int_equal(script_at(s, 0)->argc, cases[i].argc);
		}
		script_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(form_is_checked),
	    cmocka_unit_test(blocks_are_bounded),
	    cmocka_unit_test(too_long_a_text_is_not_read),
	    cmocka_unit_test(commands_keep_their_order_and_place),
	    cmocka_unit_test(a_reader_gives_the_same_one_by_one),
	    cmocka_unit_test(a_reader_stops_where_the_form_ends),
	    cmocka_unit_test(lines_are_one_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
