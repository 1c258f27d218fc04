/* config/load: a text with bad lines gives the rest; a text without form gives nothing. */
#include "config/load.h"

#include "config_world.h"

static char complaints[2000];

static void
complain(void *ctx, const char *line)
{
	assert_ptr_equal(ctx, complaints);
	snprintf(complaints + strlen(complaints), sizeof(complaints) - strlen(complaints), "%s\n", line);
}

/* The tree of a world in which one value is set, to see what a load leaves of it. */
static struct tree *
tree_with_note(const struct schema *s)
{
	struct tree *t = tree_new(s);
	const char *note = "before";
	struct err e = ERR_NONE;

	assert_non_null(t);
	assert_int_equal(tree_set(t, "box global", "", "note", &note, 1, &e), CLI_OK);
	return t;
}

static void
without_form_nothing_changes(void **state)
{
	static const struct {
		const char *what, *text;
		int rc;
		const char *reason;
	} rows[] = {
	    {"open quote", "config box global\nset note \"x\nend\n", CLI_INCOMPLETE, "f.conf:2:10: "},
	    {"open block", "config box global\nset note x\n", CLI_INCOMPLETE, "f.conf:"},
	    {"an end too many", "config box global\nset note x\nend\nend\n", CLI_PARSE, "f.conf:4:1: "},
	    {"edit outside", "edit a\n", CLI_PARSE, "f.conf:1:1: "},
	    {"next outside", "config box global\nnext\nend\n", CLI_PARSE, "f.conf:2:1: "},
	    {"unknown verb", "config box global\nset note x\nend\nfrobnicate\n", CLI_PARSE, "f.conf:4:1: "},
	};
	struct schema *s = world_schema_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tree *t = tree_with_note(s);
		struct err e = ERR_NONE;

		print_message("  %s\n", rows[i].what);
		complaints[0] = '\0';
		assert_int_equal(
		    load_text(t, "f.conf", rows[i].text, strlen(rows[i].text), false, complain, complaints, &e),
		    rows[i].rc);
		if (strncmp(e.text, rows[i].reason, strlen(rows[i].reason)) != 0)
			fail_msg("'%s' is not at '%s'", e.text, rows[i].reason);
		assert_string_equal(complaints, "");
		assert_string_equal(entry_get(tree_entry(t, "box global", ""), "note"), "before");
		tree_free(t);
	}
	schema_free(s);
}

static void
nul_has_no_form(void **state)
{
	struct schema *s = world_schema_new();
	struct tree *t = tree_with_note(s);
	struct err e = ERR_NONE;

	(void)state;
	assert_true(load_text(t, "f", "config box global\nset note \0\nend\n", 32, false, NULL, NULL, &e) < 0);
	assert_memory_equal(e.text, "f:2:10: ", 8);
	tree_free(t);
	schema_free(s);
}

static void
bad_lines_are_told_and_left_out(void **state)
{
	static const struct {
		const char *what, *text;
		bool bootstrap;
		int failed;
		const char *places; /* what the complaints begin with, "" none */
		const char *note;
	} rows[] = {
	    {"nothing", "", false, 0, "", "before"},
	    {"only comments", "# a\n\n", false, 0, "", "before"},
	    {"all good", "config box global\n set note x\nend\n", false, 0, "", "x"},
	    {"unknown attribute", "config box global\n  set other 1\n set note x\nend\n", false, 1, "f:2:3: ", "x"},
	    {"value out of range", "config box global\nset timeout 481\nset note x\nend\n", false, 1, "f:2:1: ", "x"},
	    {"unset of what is not there", "config box global\nunset other\nset note x\nend\n", false, 1,
	     "f:2:1: ", "x"},
	    {"bootstrap table elsewhere", "config boot\nset file x\nend\n", false, 3, "f:1:1: ", "before"},
	    {"bootstrap table at its place", "config boot\nset file x\nend\n", true, 0, "", "before"},
	    {"a command is no configuration", "execute reboot\nconfig box global\nset note x\nend\n", false, 1,
	     "f:1:1: ", "x"},
	    {"a question is none", "get system status\nconfig box global\nset note x\nend\n", false, 1, "f:1:1: ", "x"},
	};
	struct schema *s = world_schema_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tree *t = tree_with_note(s);
		struct err e = ERR_NONE;
		int failed;

		print_message("  %s\n", rows[i].what);
		complaints[0] = '\0';
		failed =
		    load_text(t, "f", rows[i].text, strlen(rows[i].text), rows[i].bootstrap, complain, complaints, &e);
		if (failed != rows[i].failed)
			fail_msg("%d lines failed: %s", failed, complaints);
		assert_memory_equal(complaints, rows[i].places, strlen(rows[i].places));
		assert_int_equal(!*complaints, !rows[i].failed);
		assert_string_equal(entry_get(tree_entry(t, "box global", ""), "note"), rows[i].note);
		/* nobody need listen */
		assert_int_equal(
		    load_text(t, "f", rows[i].text, strlen(rows[i].text), rows[i].bootstrap, NULL, NULL, &e), failed);
		tree_free(t);
	}
	schema_free(s);
}

/* Output that nobody takes is no trouble: `show` and `get` in a file. */
static void
output_goes_nowhere(void **state)
{
	static const char *const texts[] = {
	    "show\n",           "show full-configuration\n",           "get\n",
	    "get box global\n", "config box global\nshow\nget\nend\n", "config net port\nshow\nend\n"};
	struct schema *s = world_schema_new();
	struct tree *t = tree_with_note(s);
	struct err e = ERR_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		print_message("  %zu\n", i);
		assert_true(load_text(t, "f", texts[i], strlen(texts[i]), false, NULL, NULL, &e) >= 0);
	}
	tree_free(t);
	schema_free(s);
}

/* What is printed loads again as the same. */
static void
printed_loads_as_the_same(void **state)
{
	struct world *w = world_new();
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct tree *again = tree_new(w->schema);
		struct err e = ERR_NONE;
		char *text;

		world_enter(w, false);
		world_shake(w, &seed, 40);
		text = world_text_of(w->tree, PRINT_SECRETS);
		assert_non_null(again);
		complaints[0] = '\0';
		load_text(again, "f", text, strlen(text), false, complain, complaints, &e);
		assert_string_equal(complaints, "");
		assert_true(tree_equal(w->tree, again));
		tree_free(again);
		free(text);
	}
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_form_nothing_changes),    cmocka_unit_test(nul_has_no_form),
	    cmocka_unit_test(bad_lines_are_told_and_left_out), cmocka_unit_test(output_goes_nowhere),
	    cmocka_unit_test(printed_loads_as_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
