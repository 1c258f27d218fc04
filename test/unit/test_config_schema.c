#include "config/schema.h"

#include "config_world.h"

static const char paths[] =
    "{\"tables\":["
    "{\"path\":\"system dns\"},{\"path\":\"system dns-database\",\"key\":{\"name\":\"n\",\"type\":\"string\"}},"
    "{\"path\":\"system ntp\"},{\"path\":\"system ntp server\"},"
    "{\"path\":\"router static\"},{\"path\":\"router static6\"},"
    "{\"path\":\"router info\"},{\"path\":\"rule\"},"
    "{\"path\":\"log syslogd setting\"},{\"path\":\"log syslogd2 setting\"},"
    "{\"path\":\"agent\",\"bootstrap-only\":true},{\"path\":\"antivirus\"}]}";

static struct schema *
make(void)
{
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	assert_non_null(s);
	if (schema_add_json(s, "paths", paths, strlen(paths), &e))
		fail_msg("%s", e.text);
	return s;
}

static size_t
split(char *text, const char *words[8])
{
	size_t n = 0;

	for (char *w = strtok(text, " "); w && n < 8; w = strtok(NULL, " "))
		words[n++] = w;
	return n;
}

static void
tables_are_matched_by_their_words(void **state)
{
	static const struct {
		const char *what, *words;
		int rc;
		const char *found; /* the path, or what the reason has */
	} cases[] = {
	    {"nothing", "", CLI_INCOMPLETE, "incomplete"},
	    {"unknown", "firewall policy", CLI_PARSE, "'firewall'"},
	    {"unknown second word", "system foo", CLI_PARSE, "'foo'"},
	    {"too many words", "router static x", CLI_PARSE, "'x'"},
	    {"ambiguous first word", "r static", CLI_PARSE, "ambiguous"},
	    {"ambiguous second word", "system d", CLI_PARSE, "ambiguous"},
	    {"only a beginning", "system", CLI_INCOMPLETE, "incomplete"},
	    {"abbreviated beginning", "log syslogd2", CLI_INCOMPLETE, "incomplete"},
	    {"exact", "system dns", CLI_OK, "system dns"},
	    {"exact beats longer", "router static", CLI_OK, "router static"},
	    {"the longer one", "router static6", CLI_OK, "router static6"},
	    {"abbreviated", "sy dns-", CLI_OK, "system dns-database"},
	    {"one path begins another", "sys ntp", CLI_OK, "system ntp"},
	    {"the inner one", "sys nt s", CLI_OK, "system ntp server"},
	    {"three words", "lo syslogd s", CLI_OK, "log syslogd setting"},
	    {"bootstrap", "ag", CLI_OK, "agent"},
	};
	struct schema *s = make();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct schema_table *t = NULL;
		struct err e = ERR_NONE;
		const char *words[8];
		char text[64];
		size_t n;

		print_message("  %s\n", cases[i].what);
		strcpy(text, cases[i].words);
		n = split(text, words);
		assert_int_equal(schema_match(s, words, n, &t, &e), cases[i].rc);
		if (cases[i].rc)
			assert_non_null(strstr(e.text, cases[i].found));
		else
			assert_string_equal(t->path, cases[i].found);
	}
	schema_free(s);
}

static void
the_longest_table_is_taken_off_the_front(void **state)
{
	static const struct {
		const char *what, *words;
		bool bootstrap;
		int rc;
		const char *path;
		size_t used;
	} cases[] = {
	    {"nothing fits", "foo", true, CLI_PARSE, NULL, 0},
	    {"bootstrap only", "agent", false, CLI_PARSE, NULL, 0},
	    {"bootstrap does not stand in the way", "a", false, CLI_OK, "antivirus", 1},
	    {"bootstrap makes it ambiguous", "a", true, CLI_PARSE, NULL, 0},
	    {"a key after it", "system dns-database x", false, CLI_OK, "system dns-database", 2},
	    {"the longer path", "system ntp server x", false, CLI_OK, "system ntp server", 3},
	    {"the shorter path", "system ntp x", false, CLI_OK, "system ntp", 2},
	};
	struct schema *s = make();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct schema_table *t = NULL;
		const char *words[8];
		char text[64];
		size_t n, used = 0;

		print_message("  %s\n", cases[i].what);
		strcpy(text, cases[i].words);
		n = split(text, words);
		assert_int_equal(schema_match_first(s, cases[i].bootstrap, words, n, &t, &used, NULL), cases[i].rc);
		assert_int_equal(used, cases[i].used);
		if (!cases[i].rc)
			assert_string_equal(t->path, cases[i].path);
	}
	schema_free(s);
}

static void
attributes_and_children_are_matched(void **state)
{
	struct schema *s = world_schema_new();
	const struct schema_table *hidden = schema_find(s, "hidden"), *port = schema_find(s, "net port");
	const struct schema_attr *a = NULL;
	struct err e;

	(void)state;
	assert_int_equal(schema_match_attr(hidden, "", &a, &e), CLI_PARSE);
	assert_int_equal(schema_match_attr(hidden, "x", &a, &e), CLI_PARSE);
	assert_int_equal(schema_match_attr(port, "i", &a, &e), CLI_PARSE);
	assert_non_null(strstr(e.text, "ambiguous"));
	assert_null(a);
	assert_int_equal(schema_match_attr(hidden, "ab", &a, &e), CLI_OK);
	assert_string_equal(a->name, "ab");
	assert_int_equal(schema_match_attr(port, "par", &a, &e), CLI_OK);
	assert_string_equal(a->name, "parent");
	assert_null(schema_attr(port, "par"));
	assert_null(schema_child(port, ""));
	assert_null(schema_child(port, "seconds"));
	assert_string_equal(schema_child(port, "sec")->path, "second");
	assert_null(schema_find(s, "net"));
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_are_matched_by_their_words),
	    cmocka_unit_test(the_longest_table_is_taken_off_the_front),
	    cmocka_unit_test(attributes_and_children_are_matched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
