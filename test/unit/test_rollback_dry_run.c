/* rollback/dry_run: which commands of a set script its unset script takes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/dry_run.h"

static const char tables[] =
    "{\"tables\":["
    "{\"path\":\"t one\",\"attributes\":[{\"name\":\"a\",\"type\":\"string\"},"
    " {\"name\":\"bee\",\"type\":\"integer\",\"min\":0,\"max\":9,\"default\":\"5\"}]},"
    "{\"path\":\"t many\",\"key\":{\"name\":\"k\",\"type\":\"string\",\"max-length\":15},\"attributes\":["
    " {\"name\":\"a\",\"type\":\"string\"},{\"name\":\"b\",\"type\":\"string\"},"
    " {\"name\":\"list\",\"type\":\"string\",\"list\":true}],"
    " \"tables\":[{\"path\":\"sub\",\"key\":{\"name\":\"k\",\"type\":\"integer\",\"min\":1,\"max\":99},\"attributes\":["
    "  {\"name\":\"c\",\"type\":\"string\"}]}]},"
    "{\"path\":\"t user\",\"key\":{\"name\":\"k\",\"type\":\"string\",\"max-length\":15},\"attributes\":["
    " {\"name\":\"ref\",\"type\":\"reference\",\"refers\":[\"t many\"],\"required\":true}]}"
    "]}";

static const char before[] = "config t one\nset a old\nend\n"
			     "config t many\n"
			     "edit e1\nset a 1\nset b 1\nset list x y\n"
			     "config sub\nedit 1\nset c one\nnext\nedit 2\nnext\nend\nnext\n"
			     "edit e2\nset a 2\nnext\n"
			     "edit e3\nset a 3\nnext\n"
			     "end\n";

static struct schema *schema;

static int
group_setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	schema = schema_new();
	if (!schema || schema_add_json(schema, "test", tables, sizeof(tables) - 1, &e)) {
		print_error("%s\n", e.text);
		return -1;
	}
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	schema_free(schema);
	return 0;
}

static struct tree *
load(const char *text)
{
	struct tree *t = tree_new(schema);
	struct err e = ERR_NONE;

	if (load_text(t, "before", text, strlen(text), false, NULL, NULL, &e))
		fail_msg("%s", e.text);
	return t;
}

static struct script *
parse(const char *text)
{
	struct script *s = NULL;
	struct err e = ERR_NONE;

	if (script_parse("script", text, strlen(text), &s, &e))
		fail_msg("%s: %s", text, e.text);
	return s;
}

static void
on_name(void *ctx, const struct command *c)
{
	buf_printf(ctx, "%u ", c->line);
}

struct outcome {
	struct dry_run_result r;
	char lines[256]; /* "3 7 " */
	size_t steps;
};

static struct outcome
try_scripts(const char *set_text, const char *unset_text, size_t slice)
{
	struct buf names = BUF_INIT(4096);
	struct tree *t = load(before);
	struct script *set = parse(set_text), *unset = parse(unset_text);
	struct dry_run *d = dry_run_new(t, set, unset);
	struct outcome o = {.steps = 1};

	assert_non_null(d);
	while (!dry_run_step(d, slice)) {
		assert_true(dry_run_done(d) <= dry_run_total(d));
		assert_true(dry_run_done(d) <= o.steps * slice);
		o.steps++;
	}
	assert_int_equal(dry_run_done(d), dry_run_total(d));
	dry_run_result(d, on_name, &names, &o.r);
	snprintf(o.lines, sizeof(o.lines), "%.*s", (int)names.len, (const char *)buf_head(&names));
	buf_free(&names);
	dry_run_free(d);
	/* what it borrowed is as it was */
	assert_int_equal(script_count(set), o.r.commands);
	script_free(set);
	script_free(unset);
	{
		struct tree *again = load(before);

		assert_true(tree_equal(t, again));
		tree_free(again);
	}
	tree_free(t);
	return o;
}

#define MANY(body) "config t many\n" body "end\n"
#define E1(body) MANY("edit e1\n" body "next\n")

static const struct {
	const char *what, *set, *unset;
	const char *lines; /* of the commands that are not reversible */
	bool back;
} rows[] = {
    {"nothing", "", "", "", true},
    {"one attribute and its inverse", E1("set a 9\n"), E1("set a 1\n"), "", true},
    {"one of two is forgotten", E1("set a 9\nset b 9\n"), E1("set a 1\n"), "4 ", false},
    {"another value", E1("set a 9\n"), E1("set a 8\n"), "3 ", false},
    {"abbreviated", "conf t many\ned e1\nset b 9\nne\nen\n", "", "3 ", false},
    {"of a singleton", "config t one\nset a 9\nset bee 1\nend\n", "config t one\nset a old\nend\n", "3 ", false},
    {"a default that was not stored", "config t one\nset bee 1\nend\n", "config t one\nunset bee\nend\n", "", true},
    {"unset is not taken back", E1("unset a\n"), "", "3 ", false},
    {"append, select and unselect", E1("append list z\nselect list y z\nunselect list z\n"), "", "3 4 5 ", false},
    {"append and its inverse", E1("append list z\n"), E1("set list x y\n"), "", true},
    {"values in another order", E1("append list z\n"), E1("set list y x\n"), "3 ", false},
    {"set again to what it was", E1("set a 9\nset a 1\n"), "", "", true},
    {"both of two sets are blamed", E1("set a 8\nset a 9\n"), "", "3 4 ", false},
    {"a new entry is left", MANY("edit n\nset a 1\nnext\n"), "", "2 3 ", false},
    {"a new entry is deleted", MANY("edit n\nset a 1\nnext\n"), MANY("delete n\n"), "", true},
    {"an entry is deleted", MANY("delete e2\n"), "", "2 ", false},
    {"the last is deleted and made again", MANY("delete e3\n"), MANY("edit e3\nset a 3\nnext\n"), "", true},
    {"made again, with less", MANY("delete e3\n"), MANY("edit e3\nnext\n"), "2 ", false},
    {"made again, elsewhere", MANY("delete e2\n"), MANY("edit e2\nset a 2\nnext\n"), "2 ", false},
    {"made again and moved", MANY("delete e2\n"), MANY("edit e2\nset a 2\nnext\nmove e2 before e3\n"), "", true},
    {"edited, then deleted", MANY("edit e2\nset a 9\nnext\ndelete e2\n"), "", "3 5 ", false},
    {"made and deleted by the set script", MANY("edit n\nset a 1\nnext\ndelete n\n"), "", "", true},
    {"purge", MANY("purge\n"), MANY("edit e1\nset a 1\nnext\n"), "2 ", false},
    {"purge of what the set script made", "config t user\nedit u\nset ref e1\nnext\npurge\nend\n", "", "", true},
    {"rename", MANY("rename e2 to n\n"), "", "2 ", false},
    {"rename and back", MANY("rename e2 to n\n"), MANY("rename n to e2\n"), "", true},
    {"clone", MANY("clone e2 to n\n"), "", "2 ", false},
    {"clone and delete", MANY("clone e2 to n\n"), MANY("delete n\n"), "", true},
    {"move", MANY("move e3 before e1\n"), "", "2 ", false},
    {"move and back", MANY("move e3 before e1\n"), MANY("move e3 after e2\n"), "", true},
    {"order is that of those that stayed", MANY("move e3 before e1\nedit n\nnext\n"), MANY("move e3 after e2\n"), "3 ",
     false},
    {"nested attribute", E1("config sub\nedit 1\nset c 9\nnext\nend\n"), "", "5 ", false},
    {"nested attribute and its inverse", E1("config sub\nedit 01\nset c 9\nnext\nend\n"),
     E1("config sub\nedit 1\nset c one\nnext\nend\n"), "", true},
    {"nested entries", E1("config sub\ndelete 2\nedit 3\nnext\nend\n"), "", "4 5 ", false},
    {"nested, in an entry that is new", MANY("edit n\nconfig sub\nedit 1\nset c x\nnext\nend\nnext\n"), "", "2 4 5 ",
     false},
    {"nested purge", E1("config sub\npurge\nend\n"), "", "4 ", false},
    {"nested move", E1("config sub\nmove 1 after 2\nend\n"), "", "4 ", false},
    {"an unset script that does not run", E1("set a 9\n"), "config t none\nset a 1\nend\n", "3 ", false},
    {"commands that fail change nothing", "config t none\nset a 1\nend\n" E1("set nothing 1\nset a 9\n"), "", "7 ",
     false},
    {"a failed block in a block",
     MANY("edit waytoolongakeyforthis\nconfig sub\nedit 1\nset c 1\nnext\nend\nnext\n"
	  "edit e1\nset a 9\nnext\n"),
     "", "10 ", false},
    {"a commit that fails", "config t user\nedit u\nset ref nobody\nnext\nend\n" E1("set a 9\n"), "", "8 ", false},
    {"aborted", E1("set a 9\nabort\nconfig t many\nedit e2\n"), "", "", true},
    {"looking around", "get sys status\nshow\nconfig t one\nget\nend\n", "show full-configuration\n", "", true},
    {"entry ended by the block", "config t many\nedit e1\nset a 9\nend\nconfig t one\nset a 9\nend\n", "", "3 6 ",
     false},
    {"the unset script changes more", E1("set a 9\n"), E1("set a 1\nset b 9\n"), "", false},
};

static void
each_command(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o = try_scripts(rows[i].set, rows[i].unset, 1000);
		size_t named = 0;

		for (const char *p = o.lines; *p; p++)
			named += *p == ' ';
		if (strcmp(o.lines, rows[i].lines) || o.r.back != rows[i].back ||
		    o.r.commands - o.r.reversible != named)
			fail_msg("%s: not reversible: '%s', %zu of %zu, back %d", rows[i].what, o.lines, o.r.reversible,
				 o.r.commands, o.r.back);
	}
}

/* However thin the slices are, the outcome is the same. */
static void
in_slices(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome whole = try_scripts(rows[i].set, rows[i].unset, 1000);

		for (size_t slice = 1; slice < 4; slice++) {
			struct outcome o = try_scripts(rows[i].set, rows[i].unset, slice);

			if (strcmp(o.lines, whole.lines) || o.r.reversible != whole.r.reversible)
				fail_msg("%s: '%s' in slices of %zu", rows[i].what, o.lines, slice);
		}
	}
}

/* Blocks deeper than any schema, entered and not. */
static void
deep_blocks(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct outcome o;
	char *text;

	(void)state;
	buf_str(&b, "config t many\nedit e1\nset a 9\n");
	for (int i = 0; i < 30; i++)
		buf_str(&b, "config sub\nedit 1\n");
	for (int i = 0; i < 30; i++)
		buf_str(&b, "set c 1\nnext\nend\n");
	buf_str(&b, "next\nend\n");
	text = buf_steal(&b, NULL);
	o = try_scripts(text, "", 100);
	assert_false(o.r.back);
	/* line 151 is in the one nested block that is there */
	assert_string_equal(o.lines, "3 151 ");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_command),
	    cmocka_unit_test(in_slices),
	    cmocka_unit_test(deep_blocks),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
