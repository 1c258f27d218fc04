/* agent/cli_revision: `execute revision …` as typed. */
// wrap: agent_parts agent_register agent_unregister agent_set_mgmtid agent_end_install agent_restore_revision
// uplink_view
#include "agent/cli_revision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/cli.h"
#include "agent/revision.h"
#include "base/buf.h"
#include "base/json.h"
#include "test/unit/agent_shell.h"

static const char saved[] = "config system global\n    set hostname \"one\"\nend\n"
			    "config box secret\n    set password \"topsecret\"\nend\n";

static struct {
	struct cli *cli;
	struct buf out;
	struct err err;
} t;

/* As the agent's, but that nothing runs the install. */
int __wrap_agent_restore_revision(struct agent *a, unsigned number, const char *who,
				  void (*complain)(void *ctx, const char *line), void *ctx, struct revision_begun *out,
				  struct err *e);

int
__wrap_agent_restore_revision(struct agent *a, unsigned number, const char *who,
			      void (*complain)(void *ctx, const char *line), void *ctx, struct revision_begun *out,
			      struct err *e)
{
	const struct revision_parts p = {.device = box.device, .store = box.store, .install = box.install};

	(void)a;
	snprintf(shell.asked, sizeof(shell.asked), "restore %u %s", number, who);
	return revision_restore(&p, number, box.now, complain, ctx, out, e);
}

static int
run_as(const char *text, bool json)
{
	buf_cut(&t.out, 0);
	t.err = (struct err)ERR_NONE;
	return cli_run(t.cli, text, strlen(text), json, -1, &t.out, &t.err).code;
}

static int
run(const char *text)
{
	return run_as(text, false);
}

static const char *
output(void)
{
	buf_put(&t.out, "", 1);
	buf_cut(&t.out, t.out.len - 1);
	return (const char *)buf_head(&t.out);
}

static void
on_line(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	if (fixture_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	t.out = BUF_INIT(1024 * 1024);
	shell_open(saved);
	t.cli = cli_new(shell_agent(), "uid 1000", &(const struct cli_ops){.line = on_line});
	return t.cli ? store_keep(box.store, "at first", 1767225600, &e) : -1;
}

static int
teardown(void **state)
{
	cli_free(t.cli);
	buf_free(&t.out);
	shell_close();
	return fixture_teardown(state);
}

static void
change(const char *name, const char *password)
{
	char line[128];

	assert_int_equal(run("config system global"), CLI_OK);
	snprintf(line, sizeof(line), "set hostname \"%s\"", name);
	assert_int_equal(run(line), CLI_OK);
	assert_int_equal(run("end"), CLI_OK);
	assert_int_equal(run("config box secret"), CLI_OK);
	snprintf(line, sizeof(line), "set password \"%s\"", password);
	assert_int_equal(run(line), CLI_OK);
	assert_int_equal(run("end"), CLI_OK);
}

/* A revision of a vendor's schema that is gone. */
static void
write_old_revision(unsigned number)
{
	static const char text[] = "config gone table\n    set password hidden\nend\n"
				   "config system global\n    set hostname \"old\"\nend\n";
	char digest[SHA256_TEXT], file[512], name[32];

	assert_int_equal(crypto_sha256_text(text, sizeof(text) - 1, digest), 0);
	snprintf(file, sizeof(file), "# when=1 digest=%s who=long ago\n%s", digest, text);
	snprintf(name, sizeof(name), "revisions/%06u.conf", number);
	fixture_write(name, file);
}

static void
list(void **state)
{
	(void)state;
	change("two", "topsecret");
	assert_int_equal(run("execute revision list"), CLI_OK);
	assert_non_null(strstr(output(), "       2  "));
	assert_non_null(strstr(output(), "uid 1000  (the saved one)\n"));
	assert_non_null(strstr(output(), "       1  2026-01-01 00:00:00  at first\n"));
	assert_true(strstr(output(), "uid 1000") < strstr(output(), "at first"));
	assert_int_equal(run("exe rev li"), CLI_OK);
}

static void
list_for_programs(void **state)
{
	const struct cJSON *all, *one;
	struct cJSON *j;
	struct err e = ERR_NONE;
	const char *who = NULL;
	int64_t number = 0;
	bool is_saved = false;

	(void)state;
	change("two", "topsecret");
	assert_int_equal(run_as("execute revision list", true), CLI_OK);
	j = json_parse(output(), t.out.len, &e);
	assert_non_null(j);
	all = json_get_array(j, "revisions");
	assert_non_null(all);
	one = json_first(all);
	assert_int_equal(json_get_int(one, "number", 1, 99, &number, &e), 0);
	assert_int_equal(number, 2);
	assert_int_equal(json_get_bool(one, "saved", &is_saved, &e), 0);
	assert_true(is_saved);
	assert_int_equal(json_get_str(json_next(one), "who", &who, &e), 0);
	assert_string_equal(who, "at first");
	assert_non_null(json_get(one, "when"));
	assert_non_null(json_get(one, "digest"));
	json_free(j);
}

static void
nothing_saved_yet(void **state)
{
	(void)state;
	unlink(fixture_path("revisions/000001.conf"));
	assert_int_equal(run("execute revision list"), CLI_OK);
	assert_string_equal(output(), "No configuration was saved yet.\n");
}

/* What changed is seen, no secret is, not even in that it changed to what. */
static void
diff(void **state)
{
	static const struct {
		const char *text, *has, *has_not;
	} rows[] = {
	    {"execute revision diff 1 3", "set hostname \"two\"", "set hostname \"one\""},
	    {"execute revision diff 3 1", "set hostname \"one\"", "set hostname \"two\""},
	    {"execute revision diff 1", "set hostname \"two\"", "set hostname \"one\""},
	    {"execute revision diff 1 2", "set hostname", "password"},
	    {"execute revision diff 2 3", "password", "hostname"},
	    {"execute revision diff 2 2", "# no difference\n", "set"},
	    {"execute revision diff 3", "# no difference\n", "set"},
	};

	(void)state;
	change("two", "othersecret");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (run(rows[i].text))
			fail_msg("%s: %s", rows[i].text, t.err.text);
		if (!strstr(output(), rows[i].has) || strstr(output(), rows[i].has_not) ||
		    strstr(output(), "topsecret") || strstr(output(), "othersecret"))
			fail_msg("%s: %s", rows[i].text, output());
	}
}

static void
numbers_that_are_wrong(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *reason;
	} rows[] = {
	    {"execute revision", CLI_INCOMPLETE, "incomplete"},
	    {"execute revision diff", CLI_INCOMPLETE, "A [B]"},
	    {"execute revision diff 1 2 3", CLI_PARSE, "before '3'"},
	    {"execute revision diff x", CLI_INVALID, "the number of a revision expected"},
	    {"execute revision diff 0", CLI_INVALID, "the number of a revision expected"},
	    {"execute revision diff -1", CLI_INVALID, "the number of a revision expected"},
	    {"execute revision diff 99999999999999999999", CLI_INVALID, "the number of a revision expected"},
	    {"execute revision diff 4", CLI_NOT_FOUND, "there is no revision 4"},
	    {"execute revision diff 1 4", CLI_NOT_FOUND, "there is no revision 4"},
	    {"execute revision restore", CLI_INCOMPLETE, "N: "},
	    {"execute revision restore ../1", CLI_INVALID, "the number of a revision expected"},
	    {"execute revision restore 4", CLI_NOT_FOUND, "there is no revision 4"},
	    {"execute revision restore 1", CLI_CONFLICT, "revision 1 is what runs already"},
	    {"execute revision list now", CLI_PARSE, "before 'now'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = run(rows[i].text);

		if (code != rows[i].code || !strstr(t.err.text, rows[i].reason))
			fail_msg("%s: %d '%s'", rows[i].text, code, t.err.text);
		assert_false(fixture_exists("install.journal"));
	}
}

static void
restore(void **state)
{
	(void)state;
	change("two", "topsecret");
	assert_int_equal(run("execute revision restore 1"), CLI_OK);
	assert_string_equal(shell.asked, "restore 1 uid 1000");
	assert_non_null(strstr(output(), "Revision 1 is being restored as install revision-1-"));
	assert_non_null(strstr(output(), "within 15 minutes with\n`execute fgfm install confirm`"));
	assert_non_null(strstr(output(), "`execute fgfm install revert` takes it back"));
	assert_int_equal(run("execute revision restore 1"), CLI_DENIED);
	assert_non_null(strstr(t.err.text, "is pending"));
	box_step();
	assert_string_equal(box_get("system global", "", "hostname"), "one");
	/* looking is allowed while it is pending */
	assert_int_equal(run("execute revision list"), CLI_OK);
	assert_int_equal(run("execute revision diff 1"), CLI_OK);
}

static void
restore_with_a_manager(void **state)
{
	(void)state;
	run("config system central-management");
	run("set type fortimanager");
	run("set fmg 192.0.2.1");
	assert_int_equal(run("end"), CLI_OK);
	assert_int_equal(run("execute revision restore 1"), CLI_OK);
	assert_non_null(strstr(output(), "a fresh session with a trusted manager"));
	assert_non_null(strstr(output(), "rolled back after 15 minutes"));
}

static void
what_no_schema_knows(void **state)
{
	(void)state;
	write_old_revision(7);
	assert_int_equal(run("execute revision diff 7"), CLI_OK);
	assert_non_null(strstr(output(), "# left out: "));
	assert_non_null(strstr(output(), "000007.conf:1:"));
	assert_non_null(strstr(output(), "set hostname \"one\""));
	assert_null(strstr(output(), "hidden"));
	assert_int_equal(run("execute revision restore 7"), CLI_OK);
	assert_non_null(strstr(output(), "# left out: "));
	assert_null(strstr(output(), "hidden"));
	box_step();
	assert_string_equal(box_get("system global", "", "hostname"), "old");
}

#define IN_SHELL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_SHELL(list),
	    IN_SHELL(list_for_programs),
	    IN_SHELL(nothing_saved_yet),
	    IN_SHELL(diff),
	    IN_SHELL(numbers_that_are_wrong),
	    IN_SHELL(restore),
	    IN_SHELL(restore_with_a_manager),
	    IN_SHELL(what_no_schema_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
