#include "config/lexer.h"

#include "config/arena.h"
#include "config_world.h"

/* The words of all commands, "|" between words and "/" between commands. */
static int
lex(const char *text, size_t len, char *words, size_t size, struct err *e)
{
	struct lexer l = lexer_start("f", text, len);
	struct arena a = {0};
	struct command c;
	size_t used = 0;
	int rc;

	words[0] = '\0';
	while (!(rc = lexer_next(&l, &a, &c, e)) && c.argc) {
		for (size_t i = 0; i < c.argc; i++)
			used += (size_t)snprintf(words + used, size - used, "%s%s",
						 i      ? "|"
						 : used ? "/"
							: "",
						 c.argv[i]);
	}
	arena_free(&a);
	return rc;
}

static void
words_are_cut(void **state)
{
	static const struct {
		const char *what, *text, *words;
	} cases[] = {
	    {"nothing", "", ""},
	    {"blank lines", " \t\r\n\n", ""},
	    {"only a comment", "# set a b", ""},
	    {"words", "set  a\tb \n", "set|a|b"},
	    {"CR LF", "a b\r\nc\r\n", "a|b/c"},
	    {"quoted", "a \"b c\"", "a|b c"},
	    {"empty quotes are a word", "a \"\"", "a|"},
	    {"quotes inside a word", "a\"b c\"d", "ab cd"},
	    {"escaped quote and backslash", "\"a\\\"b\\\\c\"", "a\"b\\c"},
	    {"other backslashes stay", "\"a\\nb\" c\\d", "a\\nb|c\\d"},
	    {"escaped blank outside quotes", "a\\ b", "a b"},
	    {"backslash at the end", "a\\", "a\\"},
	    {"a line end in quotes", "a \"b\nc\" d\ne", "a|b\nc|d/e"},
	    {"comment after a command", "a b # c\nd", "a|b/d"},
	    {"hash inside a word", "a#b", "a#b"},
	    {"hash in quotes", "\"#b\"", "#b"},
	    {"quote in a comment", "# it's \"open\na", "a"},
	    {"bytes above ASCII", "\xc3\xa4 \xff", "\xc3\xa4|\xff"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_NONE;
		char words[256];

		print_message("  %s\n", cases[i].what);
		assert_int_equal(lex(cases[i].text, strlen(cases[i].text), words, sizeof(words), &e), CLI_OK);
		assert_string_equal(words, cases[i].words);
	}
}

static void
damage_is_located(void **state)
{
	static const struct {
		const char *what, *text;
		size_t len;
		int rc;
		const char *reason;
	} cases[] = {
	    {"open quote", "a\n  b \"c\nd", 9, CLI_INCOMPLETE, "f:2:5: quote not closed"},
	    {"open quote with an escape", "\"a\\\"", 4, CLI_INCOMPLETE, "f:1:1: quote not closed"},
	    {"NUL in a word", "a\nb\0c", 5, CLI_PARSE, "f:2:2: NUL byte"},
	    {"NUL between words", "a \0 b", 5, CLI_PARSE, "f:1:3: NUL byte"},
	    {"NUL in a comment", "# a\0", 4, CLI_PARSE, "f:1:4: NUL byte"},
	    {"NUL in quotes, second line", "\"a\nb\0\"", 6, CLI_PARSE, "f:2:2: NUL byte"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_NONE;
		char words[256];

		print_message("  %s\n", cases[i].what);
		assert_int_equal(lex(cases[i].text, cases[i].len, words, sizeof(words), &e), cases[i].rc);
		assert_memory_equal(e.text, cases[i].reason, strlen(cases[i].reason));
	}
}

static void
words_of_a_command_are_bounded(void **state)
{
	char *text = malloc(2 * (WORDS_MAX + 1));
	struct lexer l;
	struct arena a = {0};
	struct command c;
	struct err e = ERR_NONE;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i <= WORDS_MAX; i++)
		memcpy(text + 2 * i, "a ", 2);
	l = lexer_start("f", text, 2 * WORDS_MAX);
	assert_int_equal(lexer_next(&l, &a, &c, &e), CLI_OK);
	assert_int_equal(c.argc, WORDS_MAX);
	l = lexer_start("f", text, 2 * WORDS_MAX + 1);
	assert_int_equal(lexer_next(&l, &a, &c, &e), CLI_TOO_LONG);
	arena_free(&a);
	free(text);
}

static void
a_command_knows_its_place_and_text(void **state)
{
	const char *text = "# first\n\n   set a \"b\nc\"\t\x1b # not this\n";
	struct lexer l = lexer_start("f", text, strlen(text));
	struct arena a = {0};
	struct command c;

	(void)state;
	assert_int_equal(lexer_next(&l, &a, &c, NULL), CLI_OK);
	assert_int_equal(c.line, 3);
	assert_int_equal(c.column, 4);
	assert_string_equal(c.text, "set a \"b\\nc\" ?");
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_are_cut),
	    cmocka_unit_test(damage_is_located),
	    cmocka_unit_test(words_of_a_command_are_bounded),
	    cmocka_unit_test(a_command_knows_its_place_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
