#include "config/verb.h"

#include "config_world.h"

static void
verbs_are_matched(void **state)
{
	static const struct {
		const char *what, *word;
		int rc;
		enum verb verb;
	} cases[] = {
	    {"empty", "", CLI_PARSE, 0},
	    {"unknown", "frobnicate", CLI_PARSE, 0},
	    {"two begin so", "se", CLI_PARSE, 0},
	    {"three begin so", "s", CLI_PARSE, 0},
	    {"longer than the verb", "endx", CLI_PARSE, 0},
	    {"not lower case", "END", CLI_PARSE, 0},
	    {"exact", "set", CLI_OK, VERB_SET},
	    {"unique", "conf", CLI_OK, VERB_CONFIG},
	    {"unique to the letter", "uns", CLI_PARSE, 0},
	    {"unset", "unset", CLI_OK, VERB_UNSET},
	    {"unselect", "unsel", CLI_OK, VERB_UNSELECT},
	    {"execute", "ex", CLI_OK, VERB_EXECUTE},
	    {"diagnose", "di", CLI_OK, VERB_DIAGNOSE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum verb v = VERB_COUNT;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(verb_match(cases[i].word, &v), cases[i].rc);
		assert_int_equal(v, cases[i].rc ? VERB_COUNT : cases[i].verb);
	}
}

static void
every_verb_matches_itself_and_has_help(void **state)
{
	(void)state;
	for (enum verb v = 0; v < VERB_COUNT; v++) {
		enum verb found = VERB_COUNT;

		assert_int_equal(verb_match(verb_name(v), &found), CLI_OK);
		assert_int_equal(found, v);
		assert_true(strlen(verb_help(v)) > 5);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verbs_are_matched),
	    cmocka_unit_test(every_verb_matches_itself_and_has_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
