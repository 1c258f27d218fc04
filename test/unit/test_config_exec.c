#include "config/exec.h"

#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "config_world.h"

static void
commands_give_their_codes(void **state)
{
	static const struct {
		const char *what, *text, *codes, *applied;
	} cases[] = {
	    {"nothing", "\n# x\n", "", ""},
	    {"unknown verb", "frob", "-61", ""},
	    {"unknown table", "config no such\nset a b\nend\n", "-61 -61 -61", ""},
	    {"bootstrap table", "config boot\nset file x\nend\n", "-61 -61 -61", ""},
	    {"half a table", "config net\nend\n", "-160 -160", ""},
	    {"config alone", "config\nend\n", "-160 -160", ""},
	    {"words after a table", "config box global x\nend\n", "-61 -61", ""},
	    {"set at the top", "set a b\n", "-61", ""},
	    {"set in a table", "config net port\nset ip 1.1.1.1/8\nend\n", "0 -61 0", ""},
	    {"end at the top", "end\n", "-61", ""},
	    {"end with words", "config box global\nend x\nend\n", "0 -61 0", ""},
	    {"next at the top", "next\n", "-61", ""},
	    {"next in a singleton", "config box global\nnext\nend\n", "0 -61 0", ""},
	    {"next outside edit", "config net port\nnext\nend\n", "0 -61 0", ""},
	    {"edit at the top", "edit a\nget box known\n", "-61 0", ""},
	    {"edit without a key", "config net port\nedit\nset ip x\nnext\nend\n", "0 -160 -160 -160 0", ""},
	    {"edit with two keys", "config net port\nedit a b\nnext\nend\n", "0 -61 -61 0", ""},
	    {"edit in an edit", "config net port\nedit a\nedit b\nend\n", "0 0 -61 0", "+a"},
	    {"edit in a singleton", "config box global\nset timeout 9\nedit a\nset note x\nnext\nend\n",
	     "0 0 -61 -61 -61 0", "~box global"},
	    {"edit in a singleton, ended", "config box global\nset timeout 9\nedit a\nset note x\nend\nget x known\n",
	     "0 0 -61 -61 -61 0", "~box global"},
	    {"key too long", "config net port\nedit 1234567890123456\nset ip x\nnext\nedit b\nend\n", "0 -1 -1 -1 0 0",
	     "+b"},
	    {"key of a wrong type", "config net route\nedit x\nset device a\nend\n", "0 -651 -651 -651", ""},
	    {"failed edit, ended", "config net route\nedit x\nend\nconfig net port\nend\n", "0 -651 -651 0 0", ""},
	    {"blocks in a failed block", "config no\nedit 1\nconfig x\nedit 2\nnext\nend\nnext\nend\nget x known\n",
	     "-61 -61 -61 -61 -61 -61 -61 -61 0", ""},
	    {"block in a failed edit",
	     "config net port\nedit \"\"\nconfig second\nedit 1\nnext\nend\nnext\nedit a\nend\n",
	     "0 -651 -651 -651 -651 -651 -651 0 0", "+a"},
	    {"block in a failed edit, ended", "config net port\nedit \"\"\nconfig second\nend\nend\nget x known\n",
	     "0 -651 -651 -651 -651 0", ""},
	    {"unknown nested table", "config net port\nedit a\nconfig no\nset x y\nend\nset ip 1.1.1.1/8\nend\n",
	     "0 0 -61 -61 -61 0 0", "+a"},
	    {"table in a table", "config net port\nconfig second\nend\nend\n", "0 -61 -61 0", ""},
	    {"other table inside", "config box global\nconfig net port\nend\nend\n", "0 -61 -61 0", ""},
	    {"abbreviations", "conf ne po\ned a\nse i 1.1.1.1/8\nset ip 1.1.1.1/8\nne\nen\n", "0 0 -61 0 0 0", "+a"},
	    {"an entry is created", "config net port\nedit a\nnext\nend\n", "0 0 0 0", "+a"},
	    {"end is an implicit next", "config net port\nedit a\nend\n", "0 0 0", "+a"},
	    {"entries in a block", "config net port\nedit a\nnext\nedit b\nnext\nedit a\nset comment x\nend\n",
	     "0 0 0 0 0 0 0 0", "+a +b ~a"},
	    {"abort drops the entry", "config net port\nedit a\nnext\nedit b\nabort\nget x known\n", "0 0 0 0 0 0",
	     "+a"},
	    {"abort drops a singleton", "config box global\nset timeout 7\nabort\n", "0 0 0", ""},
	    {"no change, no call", "config box global\nset timeout 5\nset hostname box\nend\n", "0 0 0 0", ""},
	    {"back and forth, no call", "config box global\nset timeout 7\nunset timeout\nend\n", "0 0 0 0", ""},
	    {"missing attribute", "config net route\nedit 1\nset gateway 1.1.1.1\nnext\nend\n", "0 0 0 -56 0", ""},
	    {"missing reference", "config net route\nedit 1\nset device a\nnext\nend\n", "0 0 0 -3 0", ""},
	    {"missing reference at end", "config net route\nedit 1\nset device a\nend\nget x known\n", "0 0 0 -3 0",
	     ""},
	    {"reference", "config net port\nedit a\nend\nconfig net route\nedit 1\nset device a\nend\n",
	     "0 0 0 0 0 0 0", "+a +1"},
	    {"reference to itself", "config net port\nedit a\nset parent a\nend\n", "0 0 0 -7", ""},
	    {"nested",
	     "config net port\nedit a\nconfig second\nedit 1\nset ip 1.1.1.1/8\nconfig deep\nedit "
	     "d\nend\nnext\nend\nend\n",
	     "0 0 0 0 0 0 0 0 0 0 0", "+a"},
	    {"nested, missing attribute", "config net port\nedit a\nconfig second\nedit 1\nnext\nend\nend\n",
	     "0 0 0 0 -56 0 0", "+a"},
	    {"nested, missing reference",
	     "config net port\nedit a\nconfig second\nedit 1\nset ip 1.1.1.1/8\nset via b\nnext\nend\nend\n",
	     "0 0 0 0 0 0 -3 0 0", "+a"},
	    {"nested singleton", "config box global\nconfig proxy\nset status enable\nend\nend\n", "0 0 0 0 0",
	     "~box global"},
	    {"unknown other", "execute x\ndiagnose y\nget z\n", "-61 -61 -61", ""},
	    {"known other", "execute known\ndiag known\nget a known\n", "0 0 0", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();

		print_message("  %s\n", cases[i].what);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(w->applied, cases[i].applied);
		assert_true(exec_at_top(w->exec));
		assert_int_equal(w->saved > 0, *cases[i].applied != 0);
		world_free(w);
	}
}

static void
what_the_system_refuses_is_not_kept(void **state)
{
	static const struct {
		const char *what, *text, *codes, *kept;
		unsigned apply_ok;
	} cases[] = {
	    {"new entry", "config net port\nedit b\nset ip 1.1.1.1/8\nnext\nend\n", "0 0 0 -8 0", NULL, 0},
	    {"new entry at end", "config net port\nedit b\nset ip 1.1.1.1/8\nend\n", "0 0 0 -8", NULL, 0},
	    {"changed entry", "config net port\nedit a\nset ip 1.1.1.1/8\nnext\nend\n", "0 0 0 -8 0", NULL, 0},
	    {"singleton", "config box global\nset timeout 7\nend\n", "0 0 -8", NULL, 0},
	    {"deletion", "config net port\ndelete a\nend\n", "0 -8 0", NULL, 0},
	    {"deletion of the last", "config net port\ndelete z\nend\n", "0 -8 0", NULL, 0},
	    {"purge", "config net port\npurge\nend\n", "0 -8 0", NULL, 0},
	    {"renaming, its deletion", "config net port\nrename a to c\nend\n", "0 -8 0", NULL, 0},
	    {"renaming, its creation", "config net port\nrename a to c\nend\n", "0 -8 0", NULL, 1},
	    {"renaming, its creation, last", "config net port\nrename z to c\nend\n", "0 -8 0", NULL, 1},
	    {"clone", "config net port\nclone a to c\nend\n", "0 -8 0", NULL, 0},
	    {"the first of two", "config net port\nedit b\nnext\nedit c\nnext\nend\n", "0 0 0 0 -8 0", "edit \"b\"\n",
	     1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		char *before, *after;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, "config net port\nedit a\nset comment x\nconfig second\nedit 1\nset ip "
					      "2.2.2.2/8\nend\nnext\nedit m\nnext\nedit z\nend\n"),
				 0);
		before = world_text_of(w->tree, PRINT_SECRETS);
		w->apply_code = CLI_BAD_ADDRESS;
		w->apply_ok = cases[i].apply_ok;
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(w->err.text, "the system said no");
		after = world_text_of(w->tree, PRINT_SECRETS);
		if (cases[i].kept)
			assert_non_null(strstr(after, cases[i].kept));
		else
			assert_string_equal(after, before);
		free(before);
		free(after);
		w->apply_code = 0;
		assert_int_equal(world_run(w, "config net port\npurge\nend\n"), 0);
		world_free(w);
	}
}

static void
nothing_changes_while_it_may_not(void **state)
{
	static const struct {
		const char *what, *text, *codes;
	} cases[] = {
	    {"looking", "config net port\nedit a\nshow\nget\nnext\nend\nshow\n", "0 0 0 0 0 0 0"},
	    {"set", "config box global\nset timeout 7\nend\n", "0 -37 0"},
	    {"unset", "config net port\nedit a\nunset comment\nend\n", "0 0 -37 0"},
	    {"append", "config box global\nappend servers a\nend\n", "0 -37 0"},
	    {"a new entry", "config net port\nedit b\nset comment x\nnext\nend\n", "0 -37 -37 -37 0"},
	    {"delete", "config net port\ndelete a\nend\n", "0 -37 0"},
	    {"purge", "config net port\npurge\nend\n", "0 -37 0"},
	    {"rename", "config net port\nrename a to b\nend\n", "0 -37 0"},
	    {"clone", "config net port\nclone a to b\nend\n", "0 -37 0"},
	    {"move", "config net port\nmove a after b\nend\n", "0 -37 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		uint64_t revision;

		print_message("  %s\n", cases[i].what);
		world_run(w, "config net port\nedit a\nset comment x\nend\n");
		w->saved = 0;
		w->may_code = CLI_DENIED;
		revision = tree_revision(w->tree);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_string_equal(w->applied, "");
		assert_int_equal(w->saved, 0);
		assert_int_equal(tree_revision(w->tree), revision);
		world_free(w);
	}
}

static void
a_draft_is_refused_when_changes_end_meanwhile(void **state)
{
	struct world *w = world_new();

	(void)state;
	assert_int_equal(world_run(w, "config box global\nset timeout 7\n"), 0);
	w->may_code = CLI_DENIED;
	assert_int_equal(world_run(w, "end\n"), 1);
	assert_string_equal(w->codes, "-37");
	assert_string_equal(entry_get(tree_entry(w->tree, "box global", ""), "timeout"), "5");
	assert_true(exec_at_top(w->exec));
	world_free(w);
}

static void
two_executors_do_not_overwrite_each_other(void **state)
{
	static const struct {
		const char *what, *mine, *theirs, *codes;
	} cases[] = {
	    {"other entries", "config net port\nedit a\nset comment x\n", "config net port\nedit b\nend\n", "0"},
	    {"both create", "config net port\nedit c\nset comment x\n", "config net port\nedit c\nend\n", "-7"},
	    {"both change", "config net port\nedit a\nset comment x\n",
	     "config net port\nedit a\nset ip 1.1.1.1/8\nend\n", "-7"},
	    {"one deletes", "config net port\nedit a\nset comment x\n", "config net port\ndelete a\nend\n", "-7"},
	    {"deleted and made again", "config net port\nedit a\nset comment x\n",
	     "config net port\ndelete a\nedit a\nend\n", "-7"},
	    {"singleton", "config box global\nset timeout 9\n", "config box global\nset note x\nend\n", "-7"},
	    {"only looked", "config box global\n", "config box global\nset note x\nend\n", "-7"},
	    {"the same change", "config box global\nset note x\n", "config box global\nset note x\nend\n", "0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		struct exec *mine = w->exec;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, "config net port\nedit a\nend\n"), 0);
		assert_int_equal(world_run(w, cases[i].mine), 0);
		w->exec = exec_new(w->tree, &w->ops, false);
		assert_non_null(w->exec);
		assert_int_equal(world_run(w, cases[i].theirs), 0);
		exec_free(w->exec);
		w->exec = mine;
		world_run(w, "end\n");
		assert_string_equal(w->codes, cases[i].codes);
		world_free(w);
	}
}

static void
changes_are_reported_once(void **state)
{
	struct world *w = world_new();

	(void)state;
	world_run(w, "config net port\nedit a\nnext\ndelete a\nedit b\nnext\n");
	assert_int_equal(w->saved, 0);
	world_run(w, "end\n");
	assert_int_equal(w->saved, 1);
	world_run(w, "config net port\nedit c\nnext\nedit d\n");
	exec_reset(w->exec);
	assert_int_equal(w->saved, 2);
	assert_null(tree_entry(w->tree, "net port", "d"));
	world_run(w, "config net port\nmove b after c\nabort\n");
	assert_int_equal(w->saved, 3);
	world_run(w, "config net port\nedit d\nconfig second\nedit 1\nset ip 1.1.1.1/8\nnext\nend\nabort\n");
	assert_int_equal(w->saved, 3);
	world_run(w, "config net port\ndelete b\n");
	exec_free(w->exec);
	w->exec = NULL;
	assert_int_equal(w->saved, 4);
	world_free(w);
}

static void
the_prompt_shows_the_place(void **state)
{
	struct world *w = world_new();

	(void)state;
	assert_string_equal(exec_prompt(w->exec), "");
	world_run(w, "config net port\n");
	assert_string_equal(exec_prompt(w->exec), "(port) ");
	world_run(w, "edit a\n");
	assert_string_equal(exec_prompt(w->exec), "(a) ");
	world_run(w, "config second\n");
	assert_string_equal(exec_prompt(w->exec), "(second) ");
	world_run(w, "end\nnext\n");
	assert_string_equal(exec_prompt(w->exec), "(port) ");
	world_run(w, "end\nconfig box global\n");
	assert_string_equal(exec_prompt(w->exec), "(global) ");
	exec_reset(w->exec);
	assert_string_equal(exec_prompt(w->exec), "");
	world_free(w);
}

static void
a_shell_stays_where_it_is(void **state)
{
	struct world *w = world_new();

	(void)state;
	exec_set_interactive(w->exec);
	world_run(w, "config nosuch\nget x known\nconfig net port\nedit \"\"\nedit a\nend\n");
	assert_string_equal(w->codes, "-61 0 0 -651 0 0");
	assert_non_null(tree_entry(w->tree, "net port", "a"));
	world_free(w);
}

static void
the_bootstrap_file_has_its_table(void **state)
{
	struct world *w = world_new();

	(void)state;
	world_enter(w, true);
	assert_int_equal(world_run(w, "config boot\nset file /x\nend\n"), 0);
	assert_string_equal(entry_get(tree_entry(w->tree, "boot", ""), "file"), "/x");
	world_free(w);
}

static void
an_executor_needs_no_ops(void **state)
{
	static const struct exec_ops none;
	struct world *w = world_new();

	(void)state;
	exec_free(w->exec);
	w->exec = exec_new(w->tree, &none, false);
	world_run(w, "config net port\nedit a\nend\nexecute known\nget x known\n");
	assert_string_equal(w->codes, "0 0 0 -61 -61");
	world_free(w);
}

/* test/golden/config: NAME.base is the configuration before, NAME.script runs on it, NAME.codes has one line for each
 * command as `diagnose debug cli 8` prints them, NAME.output is what `show` and `get` in it print, where there is such
 * a file, NAME.result is the configuration afterwards. */
static char *
golden(const char *name, const char *suffix)
{
	char path[300], *text;
	size_t len;
	struct err e;

	snprintf(path, sizeof(path), "test/golden/config/%s.%s", name, suffix);
	if (file_read(path, 1024 * 1024, &text, &len, &e))
		fail_msg("%s", e.text);
	return text;
}

static void
run_script(struct world *w, const char *name, const char *text, struct buf *codes, struct buf *out)
{
	struct script *s;
	struct err e = ERR_NONE;

	if (script_parse(name, text, strlen(text), &s, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < script_count(s); i++) {
		const struct command *c = script_at(s, i);
		int rc = exec_run(w->exec, c, out, &e);

		assert_int_equal(buf_printf(codes, "%d: %s\n", rc, c->text), 0);
	}
	script_free(s);
}

static int
guide_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	(void)argc;
	(void)argv;
	(void)out;
	(void)e;
	return CLI_OK;
}

static void
check_output(const char *name, struct buf *out)
{
	char path[300], *expected;

	snprintf(path, sizeof(path), "test/golden/config/%s.output", name);
	if (access(path, R_OK))
		return;
	expected = golden(name, "output");
	assert_int_equal(buf_put(out, "", 1), 0);
	assert_string_equal((const char *)buf_head(out), expected);
	free(expected);
}

static void
run_golden(const char *name)
{
	struct schema *s = schema_new();
	char *base = golden(name, "base"), *script = golden(name, "script"), *expected = golden(name, "codes");
	char *result = golden(name, "result"), *text;
	struct buf ignored = BUF_INIT(1024 * 1024), codes = BUF_INIT(1024 * 1024), out = BUF_INIT(1024 * 1024);
	struct world *w;

	assert_int_equal(schema_add_builtin(s, NULL), 0);
	w = world_new_on(s);
	w->ops.other = guide_other;
	world_enter(w, false);
	run_script(w, name, base, &ignored, NULL);
	run_script(w, name, script, &codes, &out);
	assert_int_equal(buf_put(&codes, "", 1), 0);
	assert_string_equal((const char *)buf_head(&codes), expected);
	text = world_text_of(w->tree, PRINT_SECRETS);
	assert_string_equal(text, result);
	free(text);
	free(base);
	free(script);
	free(expected);
	free(result);
	check_output(name, &out);
	buf_free(&ignored);
	buf_free(&codes);
	buf_free(&out);
	world_free(w);
}

static void
golden_scripts_run(void **state)
{
	DIR *d = opendir("test/golden/config");
	struct dirent *f;
	unsigned n = 0;

	(void)state;
	assert_non_null(d);
	while ((f = readdir(d))) {
		char *suffix = strstr(f->d_name, ".script");

		if (!suffix)
			continue;
		*suffix = '\0';
		print_message("  %s\n", f->d_name);
		run_golden(f->d_name);
		n++;
	}
	closedir(d);
	assert_true(n >= 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_give_their_codes),
	    cmocka_unit_test(what_the_system_refuses_is_not_kept),
	    cmocka_unit_test(nothing_changes_while_it_may_not),
	    cmocka_unit_test(a_draft_is_refused_when_changes_end_meanwhile),
	    cmocka_unit_test(two_executors_do_not_overwrite_each_other),
	    cmocka_unit_test(changes_are_reported_once),
	    cmocka_unit_test(the_prompt_shows_the_place),
	    cmocka_unit_test(a_shell_stays_where_it_is),
	    cmocka_unit_test(the_bootstrap_file_has_its_table),
	    cmocka_unit_test(an_executor_needs_no_ops),
	    cmocka_unit_test(golden_scripts_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
