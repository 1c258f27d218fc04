/* The two sample files people start from: they parse, and the bootstrap file shows every option with its default; the
 * manual page about them leaves nothing out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "config/load.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

#define BOOTSTRAP "etc/fgfmd.conf"
#define SAVED "etc/sys_config.conf"
#define MANUAL "etc/man/fgfmd.conf.5"

enum { SAMPLE_MAX = 64 * 1024 };

struct samples {
	struct schema *schema;
	struct tree *tree;
	char *text; /* of the sample last read */
	size_t len;
	char first[512]; /* complaint of the last load */
};

static int
setup(void **state)
{
	struct samples *s = calloc(1, sizeof(*s));
	struct err e = ERR_NONE;

	assert_non_null(s);
	s->schema = schema_new();
	assert_non_null(s->schema);
	if (schema_add_builtin(s->schema, &e))
		fail_msg("%s", e.text);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct samples *s = *state;

	tree_free(s->tree);
	schema_free(s->schema);
	free(s->text);
	free(s);
	return 0;
}

static void
read_sample(struct samples *s, const char *path)
{
	struct err e = ERR_NONE;

	free(s->text);
	s->text = NULL;
	if (file_read(path, SAMPLE_MAX, &s->text, &s->len, &e))
		fail_msg("%s (run from the top of the repository)", e.text);
}

static void
complain(void *ctx, const char *line)
{
	struct samples *s = ctx;

	if (!s->first[0])
		snprintf(s->first, sizeof(s->first), "%s", line);
}

/* How many commands failed, or a negative code; s->first is the first complaint. */
static int
load(struct samples *s, const char *name, const char *text, size_t len, bool bootstrap)
{
	struct err e = ERR_NONE;
	int rc;

	tree_free(s->tree);
	s->tree = tree_new(s->schema);
	assert_non_null(s->tree);
	s->first[0] = '\0';
	rc = load_text(s->tree, name, text, len, bootstrap, complain, s, &e);
	if (rc < 0)
		snprintf(s->first, sizeof(s->first), "%s", e.text);
	return rc;
}

/* The sample with one line more before its last `end`: a failing line must be seen and its place be told. */
static void
a_wrong_line_would_be_found(void **state)
{
	static const struct {
		const char *what, *path, *line, *complaint;
		bool bootstrap;
	} cases[] = {
	    {"unknown option of the agent", BOOTSTRAP, "set colour blue", "'colour'", true},
	    {"port out of range", BOOTSTRAP, "set manager-port 65536", "65535", true},
	    {"neither enable nor disable", BOOTSTRAP, "set listen perhaps", "'perhaps'", true},
	    {"name of a device too long", BOOTSTRAP, "set tun-device abcdefghijklmnop", "15", true},
	    {"unknown attribute", SAVED, "set colour blue", "'colour'", false},
	    {"wrong choice", SAVED, "set rollback-allow-reboot perhaps", "'perhaps'", false},
	};
	struct samples *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_INIT(SAMPLE_MAX);
		const char *end;

		print_message("  %s\n", cases[i].what);
		read_sample(s, cases[i].path);
		end = s->text + s->len - strlen("end\n");
		assert_string_equal(end, "end\n");
		assert_int_equal(buf_put(&b, s->text, (size_t)(end - s->text)), 0);
		assert_int_equal(buf_printf(&b, "%s\n%s", cases[i].line, end), 0);
		assert_int_equal(load(s, cases[i].path, (const char *)buf_head(&b), b.len, cases[i].bootstrap), 1);
		assert_int_equal(strncmp(s->first, cases[i].path, strlen(cases[i].path)), 0);
		assert_non_null(strstr(s->first, cases[i].complaint));
		buf_free(&b);
	}
}

/* An unbalanced block is an error of the whole file. */
static void
a_sample_cut_short_has_no_form(void **state)
{
	static const char *const paths[] = {BOOTSTRAP, SAVED};
	struct samples *s = *state;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		read_sample(s, paths[i]);
		assert_true(load(s, paths[i], s->text, s->len - strlen("end\n"), true) < 0);
		assert_non_null(strstr(s->first, paths[i]));
	}
}

/* `config agent` exists in the bootstrap file only, whoever writes it elsewhere. */
static void
the_bootstrap_file_is_no_device_configuration(void **state)
{
	struct samples *s = *state;

	read_sample(s, BOOTSTRAP);
	assert_true(load(s, BOOTSTRAP, s->text, s->len, false) > 0);
	assert_non_null(strstr(s->first, "'agent'"));
}

static void
each_sample_loads_without_a_failing_line(void **state)
{
	static const struct {
		const char *path;
		bool bootstrap;
	} cases[] = {{BOOTSTRAP, true}, {SAVED, false}};
	struct samples *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_sample(s, cases[i].path);
		if (load(s, cases[i].path, s->text, s->len, cases[i].bootstrap))
			fail_msg("%s", s->first);
	}
}

/* How often `set NAME` or `unset NAME` stands in the script. */
static unsigned
times_named(const struct script *sc, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < script_count(sc); i++) {
		const struct command *c = script_at(sc, i);

		if (c->argc > 1 && (!strcmp(c->argv[0], "set") || !strcmp(c->argv[0], "unset")) &&
		    !strcmp(c->argv[1], name))
			n++;
	}
	return n;
}

/* Values that equal the default are not stored, so a sample that says nothing else leaves the tree empty. */
static void
the_bootstrap_file_names_every_option_with_its_default(void **state)
{
	struct samples *s = *state;
	const struct schema_table *t = schema_find(s->schema, "agent");
	const struct entry *agent;
	struct script *sc = NULL;
	struct err e = ERR_NONE;

	read_sample(s, BOOTSTRAP);
	assert_int_equal(load(s, BOOTSTRAP, s->text, s->len, true), 0);
	if (script_parse(BOOTSTRAP, s->text, s->len, &sc, &e))
		fail_msg("%s", e.text);
	agent = tree_entry(s->tree, "agent", "");
	assert_true(t->attr_count > 0);
	for (size_t i = 0; i < t->attr_count; i++) {
		const struct schema_attr *a = &t->attrs[i];

		if (times_named(sc, a->name) != 1)
			fail_msg("%s: %s stands there %u times, once expected", BOOTSTRAP, a->name,
				 times_named(sc, a->name));
		if (entry_is_set(agent, a->name))
			fail_msg("%s: %s is \"%s\", the default is \"%s\"", BOOTSTRAP, a->name,
				 entry_get(agent, a->name), a->fallback ? a->fallback : "");
	}
	script_free(sc);
}

/* As a word of its own in a line of macros: names of options stand nowhere else in the manual's source. */
static bool
manual_names(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strstr(text, name); p; p = strstr(p + 1, name)) {
		if (p > text && p[-1] == ' ' && strchr(" \n", p[len]))
			return true;
	}
	return false;
}

static void
the_manual_names_every_attribute(void **state)
{
	struct samples *s = *state;

	read_sample(s, MANUAL);
	assert_false(manual_names(s->text, "colour"));
	assert_false(manual_names(s->text, "tcp-forwar"));
	for (size_t i = 0; i < schema_count(s->schema); i++) {
		const struct schema_table *t = schema_at(s->schema, i);

		for (size_t k = 0; k < t->attr_count; k++) {
			if (!manual_names(s->text, t->attrs[k].name))
				fail_msg("%s: nothing about %s of `config %s`", MANUAL, t->attrs[k].name, t->path);
		}
	}
}

/* What README and the manual tell people to look at in it. */
static void
the_saved_sample_shows_a_device_with_a_manager(void **state)
{
	struct samples *s = *state;
	const struct entry *cm;

	read_sample(s, SAVED);
	assert_int_equal(load(s, SAVED, s->text, s->len, false), 0);
	cm = tree_entry(s->tree, "system central-management", "");
	assert_string_equal(entry_get(cm, "type"), "fortimanager");
	assert_true(entry_count(cm, "fmg") > 0);
	assert_int_equal(strncmp(entry_get(cm, "serial-number"), "FMG", 3), 0);
	assert_true(tree_count(s->tree, "system interface") > 0);
	assert_true(tree_count(s->tree, "router static") > 0);
}

/* What the daemon writes after it has read the sample means the same. */
static void
the_saved_sample_survives_being_saved(void **state)
{
	struct samples *s = *state;
	struct tree *before;
	struct buf b = BUF_INIT(SAMPLE_MAX);

	read_sample(s, SAVED);
	assert_int_equal(load(s, SAVED, s->text, s->len, false), 0);
	before = s->tree;
	s->tree = NULL;
	assert_int_equal(print_tree(before, PRINT_SECRETS, &b), 0);
	assert_int_equal(load(s, "again", (const char *)buf_head(&b), b.len, false), 0);
	assert_true(tree_equal(before, s->tree));
	buf_free(&b);
	tree_free(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_wrong_line_would_be_found, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_sample_cut_short_has_no_form, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_bootstrap_file_is_no_device_configuration, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_sample_loads_without_a_failing_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_bootstrap_file_names_every_option_with_its_default, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_manual_names_every_attribute, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_saved_sample_shows_a_device_with_a_manager, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_saved_sample_survives_being_saved, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
