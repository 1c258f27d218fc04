/* agent/cli: the commands of a shell, and the few a manager's script may use. */
// wrap: agent_parts agent_register agent_unregister agent_set_mgmtid agent_end_install uplink_view
// wrap: agent_packages_restore agent_packages_update agent_packages_check agent_packages_answer agent_packages_cancel
#include "agent/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "test/unit/agent_order.h"
#include "test/unit/agent_shell.h"

static const char saved[] = "config system global\n"
			    "    set hostname \"old\"\n"
			    "end\n"
			    "config box secret\n"
			    "    set password \"topsecret\"\n"
			    "end\n";

static struct {
	struct cli *cli;
	struct buf out, lines;
	struct buf told; /* by a command that goes on: "say:…", "ask:KIND DIGEST …", "at:…", "done:CODE …" */
	struct err err;
} t;

static void
on_line(void *ctx, const char *line)
{
	(void)ctx;
	buf_printf(&t.lines, "%s\n", line);
}

static void
on_output(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	buf_printf(&t.told, "say:%.*s|", (int)len, text);
}

static void
on_ask(void *ctx, const struct packages_question *q)
{
	(void)ctx;
	buf_printf(&t.told, "ask:%d %02x %s|", q->kind, q->digest[0], q->text);
}

static void
on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	(void)ctx;
	buf_printf(&t.told, "at:%s %d of %d|", what, (int)done, (int)total);
}

static void
on_done(void *ctx, struct cli_result r, const char *reason)
{
	(void)ctx;
	assert_false(r.pending || r.incomplete);
	buf_printf(&t.told, "done:%d %s|", r.code, reason);
}

static const struct cli_ops shell_ops = {
    .line = on_line, .output = on_output, .ask = on_ask, .progress = on_progress, .done = on_done};

static int
setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	t.out = BUF_INIT(16 * 1024 * 1024);
	t.lines = BUF_INIT(1024 * 1024);
	t.told = BUF_INIT(1024 * 1024);
	memset(&order, 0, sizeof(order));
	shell_open(saved);
	t.cli = cli_new(shell_agent(), "uid 1000", &shell_ops);
	return t.cli ? 0 : -1;
}

static int
teardown(void **state)
{
	cli_free(t.cli);
	buf_free(&t.out);
	buf_free(&t.lines);
	buf_free(&t.told);
	shell_close();
	return fixture_teardown(state);
}

static struct cli_result
run_fd(const char *text, bool json, int fd)
{
	buf_cut(&t.out, 0);
	t.err = (struct err)ERR_NONE;
	return cli_run(t.cli, text, strlen(text), json, fd, &t.out, &t.err);
}

static int
run(const char *text)
{
	return run_fd(text, false, -1).code;
}

static const char *
output(void)
{
	buf_put(&t.out, "", 1);
	buf_cut(&t.out, t.out.len - 1);
	return (const char *)buf_head(&t.out);
}

static bool
lines_have(const char *part)
{
	return memmem(buf_head(&t.lines), t.lines.len, part, strlen(part)) != NULL;
}

/* --- the table of commands ---------------------------------------------------------------------------------------- */

static void
words_and_abbreviations(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *reason; /* in the error, or in the output when it succeeds */
	} rows[] = {
	    {"get system status", CLI_OK, "Serial-Number: FGVM010000000001"},
	    {"ge sys stat", CLI_OK, "Serial-Number:"},
	    {"g system status", CLI_OK, "Serial-Number:"},
	    {"get system mgmt-csum", CLI_OK, "global: "},
	    {"get sys mg", CLI_OK, "all: "},
	    {"get system checksum status", CLI_OK, "Saved: yes"},
	    {"diag fdsm cent", CLI_OK, "Connection status: Down"},
	    {"diagnose fgfm trust-list", CLI_OK, " 1  (empty)"},
	    {"diagnose fgfm t", CLI_OK, "10  (empty)"},
	    {"diagnose fgfm session", CLI_OK, "State: none"},
	    {"diagnose fgfm install-session", CLI_OK, "State: idle"},
	    {"diagnose fgfm", CLI_INCOMPLETE, "incomplete command"},
	    {"diagnose f", CLI_PARSE, "ambiguous command before 'f'"},
	    {"diagnose fgfm x", CLI_PARSE, "command parse error before 'x'"},
	    {"diagnose fgfm session now", CLI_PARSE, "command parse error before 'now'"},
	    {"diagnose", CLI_INCOMPLETE, "incomplete"},
	    {"execute", CLI_INCOMPLETE, "incomplete"},
	    {"execute reboot", CLI_PARSE, "command parse error before 'reboot'"},
	    {"execute fgfm install", CLI_INCOMPLETE, "incomplete"},
	    {"execute central-mgmt register-device FMG-VM0000000002", CLI_INCOMPLETE, "SERIAL PASSWORD"},
	    {"execute central-mgmt register-device a b c", CLI_PARSE, "before 'c'"},
	    {"diagnose test application fgfmd", CLI_OK, "1. dump"},
	    {"diagnose test application fgfmd 3", CLI_OK, "10  (empty)"},
	    {"diagnose test application fgfmd 0", CLI_INVALID, "a number of 1 to "},
	    {"diagnose test application fgfmd %n", CLI_INVALID, "a number of 1 to "},
	    {"diagnose %s%n", CLI_PARSE, "before '%s%n'"},
	    {"get system \"sta\\\\tus\"", CLI_PARSE, "before"},
	    {"frobnicate", CLI_PARSE, "frobnicate"},
	    {"get system \"status", CLI_INCOMPLETE, ""},
	    {"", CLI_OK, ""},
	    {"   # a comment", CLI_OK, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = run(rows[i].text);

		if (code != rows[i].code || !strstr(code ? t.err.text : output(), rows[i].reason))
			fail_msg("%s: %d \"%s\" \"%s\"", rows[i].text, code, t.err.text, output());
		assert_true(cli_at_top(t.cli));
	}
}

/* Words longer than the table's, of which there are more. */
static void
hostile_words(void **state)
{
	char text[8192];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "diagnose ", 9);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(run(text), CLI_PARSE);
	assert_true(strlen(t.err.text) < sizeof(t.err.text) - 1);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 ? ' ' : 'g';
	assert_int_not_equal(run(text), CLI_OK);
	assert_int_not_equal(run("diagnose debug application fgfmd 255 x y z a b c d"), CLI_OK);
}

/* "From a manager these are -37 (permission denied)" */
static void
a_manager_only_looks(void **state)
{
	static const struct {
		const char *words[5];
		int code;
		const char *reason;
	} rows[] = {
	    {{"execute", "central-mgmt", "register-device", "FMG-VM0000000002", "x"}, CLI_DENIED, "permission denied"},
	    {{"execute", "central-mgmt", "unregister-device", "FMG-VM0000000001"}, CLI_DENIED, "permission denied"},
	    {{"exec", "cent", "unreg", "FMG-VM0000000001"}, CLI_DENIED, "permission denied"},
	    {{"execute", "central-mgmt", "set-mgmt-id", "1"}, CLI_DENIED, "permission denied"},
	    {{"execute", "fgfm", "install", "confirm"}, CLI_DENIED, "permission denied"},
	    {{"execute", "fgfm", "install", "revert"}, CLI_DENIED, "permission denied"},
	    {{"execute", "restore", "config", "/etc/passwd"}, CLI_DENIED, "permission denied"},
	    {{"execute", "backup", "config", "/tmp/x"}, CLI_DENIED, "permission denied"},
	    {{"execute", "revision", "restore", "1"}, CLI_DENIED, "permission denied"},
	    {{"diagnose", "debug", "enable"}, CLI_DENIED, "permission denied"},
	    {{"execute", "restore", "ips", "tftp", "x"}, CLI_DENIED, "permission denied"},
	    {{"execute", "restore", "av", "file", "/tmp/x"}, CLI_DENIED, "permission denied"},
	    {{"execute", "update-now"}, CLI_DENIED, "permission denied"},
	    {{"diagnose", "autoupdate", "versions"}, CLI_DENIED, "permission denied"},
	    {{"diagnose", "autoupdate", "signature", "check-all"}, CLI_DENIED, "permission denied"},
	    {{"get", "system", "status"}, CLI_OK, NULL},
	    {{"get", "sys", "status"}, CLI_OK, NULL},
	    {{"get", "system", "mgmt-csum"}, CLI_OK, NULL},
	    {{"get", "no", "such"}, CLI_PARSE, "command parse error"},
	    {{"get", "system", "status", "x"}, CLI_PARSE, "before 'x'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		size_t argc = 0;
		int code;

		while (argc < 5 && rows[i].words[argc])
			argc++;
		buf_cut(&t.out, 0);
		code = cli_other_for_manager(shell_agent(), argc, rows[i].words, &t.out, &e);
		if (code != rows[i].code || (rows[i].reason && !strstr(e.text, rows[i].reason)))
			fail_msg("%s %s: %d \"%s\"", rows[i].words[0], rows[i].words[1], code, e.text);
		assert_int_equal(t.out.len > 0, code == CLI_OK);
		assert_string_equal(shell.asked, "");
		assert_string_equal(order.asked, "");
	}
}

static void
the_agent_is_asked(void **state)
{
	static const struct {
		const char *text, *asked;
		int answer, code;
	} rows[] = {
	    {"execute central-mgmt register-device FMG-VM0000000002 \"pass word\"",
	     "register FMG-VM0000000002 pass word uid 1000", 0, CLI_OK},
	    {"exec cent reg FMG-VM0000000002 %n%s", "register FMG-VM0000000002 %n%s uid 1000", CLI_INVALID,
	     CLI_INVALID},
	    {"execute central-mgmt set-mgmt-id 247331677", "set-mgmt-id 247331677 uid 1000 ", 0, CLI_OK},
	    {"execute central-mgmt set-mgmt-id %n", "set-mgmt-id %n uid 1000 ", CLI_INVALID, CLI_INVALID},
	    {"execute central-mgmt unregister-device FMG-VM0000000001", "unregister FMG-VM0000000001 uid 1000 ", 0,
	     CLI_OK},
	    {"execute central-mgmt unregister-device nobody", "unregister nobody uid 1000 ", CLI_NOT_FOUND,
	     CLI_NOT_FOUND},
	    {"execute fgfm install confirm", "confirm   ", 0, CLI_OK},
	    {"execute fgfm install revert", "revert   ", -ENOENT, CLI_CONFLICT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code;

		shell.asked[0] = '\0';
		shell.answer = rows[i].answer;
		code = run(rows[i].text);
		if (code != rows[i].code || strcmp(shell.asked, rows[i].asked))
			fail_msg("%s: %d \"%s\"", rows[i].text, code, shell.asked);
		assert_int_equal(strcmp(t.err.text, "the agent does not want to") == 0, code != CLI_OK);
		assert_null(strstr(output(), "pass"));
	}
}

/* --- commands that go on ------------------------------------------------------------------------------------------ */

/* What was told since the last call. */
static const char *
told(void)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%.*s", (int)t.told.len, (const char *)buf_head(&t.told));
	buf_cut(&t.told, 0);
	return text;
}

static void
what_is_ordered_of_packages(void **state)
{
	static const struct {
		const char *text, *asked;
	} rows[] = {
	    {"execute restore ips tftp nids.pkg 192.0.2.55", "restore ips tftp nids.pkg|192.0.2.55|-|uid 1000"},
	    {"exec rest av tf \"%n .pkg\" host", "restore av tftp %n .pkg|host|-|uid 1000"},
	    {"execute restore av https https://host/x.pkg", "restore av https https://host/x.pkg||-|uid 1000"},
	    {"execute restore ips file /tmp/x.pkg", "restore ips file /tmp/x.pkg||c|uid 1000"},
	    {"execute update-now", "update uid 1000"},
	    {"diagnose autoupdate signature check-all", "check"},
	};
	int fd = open(fixture_path("sys_config.conf"), O_RDONLY | O_CLOEXEC);
	size_t word;
	bool write;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli_result r = run_fd(rows[i].text, false, fd);

		if (r.code || !r.pending || strcmp(order.asked, rows[i].asked))
			fail_msg("%s: %d \"%s\"", rows[i].text, r.code, order.asked);
		order_done(CLI_OK, "");
		assert_string_equal(told(), "done:0 |");
	}
	close(fd);
	assert_true(cli_file_wanted("execute restore ips file /tmp/x.pkg", 35, &word, &write));
	assert_true(word == 4 && !write);
	assert_int_equal(run("execute restore ips tftp nids.pkg"), CLI_INCOMPLETE);
	assert_int_equal(run("execute restore ips ftp x"), CLI_PARSE);
	order.answer = CLI_CONFLICT;
	assert_int_equal(run("execute update-now"), CLI_CONFLICT);
	assert_string_equal(t.err.text, "an update is under way");
	assert_string_equal(told(), "");
}

static void
a_command_goes_on(void **state)
{
	const uint8_t digest[PACKAGES_DIGEST] = {7};
	struct cli_result r = run_fd("execute update-now", false, -1);

	(void)state;
	assert_true(r.pending);
	order_ask(PACKAGES_UNSIGNED, 7, "sure? (y/n)");
	order.watch.progress(order.watch.ctx, "fetching", 5, 9);
	order_say("%s\n");
	assert_string_equal(told(), "ask:1 07 sure? (y/n)|at:fetching 5 of 9|say:%s\n|");
	cli_answer(t.cli, true, digest);
	cli_answer(t.cli, false, digest);
	assert_string_equal(order.answers, "yes 07 no 07 ");
	order_done(CLI_REFUSED, "why");
	assert_string_equal(told(), "done:-64 why|");
	/* over: nobody is answered or cancelled any more */
	cli_answer(t.cli, true, digest);
	cli_cancel(t.cli);
	assert_string_equal(order.answers, "yes 07 no 07 ");
	assert_int_equal(order.cancelled, 0);
	assert_string_equal(told(), "");
}

/* What it says is one object at its end. */
static void
a_command_goes_on_as_json(void **state)
{
	(void)state;
	assert_true(run_fd("execute update-now", true, -1).pending);
	assert_string_equal(output(), "");
	order_say("one\n");
	order_say("two\n");
	assert_string_equal(told(), "");
	order_done(CLI_REFUSED, "why");
	assert_string_equal(told(), "say:{\n\t\"code\":\t-64,\n\t\"error\":\t\"why\",\n\t\"output\":\t"
				    "\"one\\ntwo\\n\"\n}\n|done:-64 why|");
	run_fd("execute update-now", true, -1);
	order_done(CLI_OK, "");
	assert_string_equal(told(), "say:{\n\t\"code\":\t0\n}\n|done:0 |");
}

static void
a_command_is_cancelled(void **state)
{
	(void)state;
	run("execute update-now");
	cli_cancel(t.cli);
	assert_int_equal(order.cancelled, 1);
	assert_string_equal(told(), "done:-64 cancelled|");
	run("execute update-now");
	order.goes_on = true;
	cli_cancel(t.cli);
	order.goes_on = false;
	assert_string_equal(told(), "done:-64 cancelled; a database that is being reloaded is installed all the same|");
	run("execute update-now");
	cli_free(t.cli);
	assert_int_equal(order.cancelled, 3);
	assert_string_equal(told(), "");
	t.cli = cli_new(shell_agent(), "uid 0", &shell_ops);
	run("execute update-now");
	order_done(CLI_OK, "");
	cli_free(t.cli);
	t.cli = NULL;
	assert_int_equal(order.cancelled, 3);
}

/* `diagnose debug application updated`: one kind of lines, beside those of fgfmd. */
static void
debug_lines_of_packages(void **state)
{
	(void)state;
	run("diagnose debug application fgfmd 0");
	run("diagnose debug application updated -1");
	run("diagnose debug enable");
	log_debug(DBG_SESSION, "of the session");
	log_raw(DBG_PACKAGE, "of a package");
	assert_true(lines_have("of a package\n"));
	assert_false(lines_have("of the session"));
	run("diagnose debug application updated 0");
	log_raw(DBG_PACKAGE, "of another");
	assert_false(lines_have("of another"));
	assert_int_equal(run("diagnose debug application updated x"), CLI_INVALID);
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

/* "saved when its outermost `end` completes" */
static void
a_change_is_saved_at_its_end(void **state)
{
	struct revision r[STORE_REVISIONS];

	(void)state;
	assert_int_equal(run("config system global"), CLI_OK);
	assert_string_equal(cli_prompt(t.cli), "(global) ");
	assert_false(cli_at_top(t.cli));
	assert_int_equal(run("set hostname \"new\""), CLI_OK);
	assert_true(fixture_contains("sys_config.conf", "old"));
	assert_int_equal(run("end"), CLI_OK);
	assert_string_equal(cli_prompt(t.cli), "");
	assert_true(fixture_contains("sys_config.conf", "new"));
	assert_true(store_revisions(box.store, r, STORE_REVISIONS) > 0);
	assert_non_null(strstr(r[0].who, "uid 1000"));
	cli_set_interactive(t.cli);
	assert_int_equal(run("config agent"), CLI_PARSE); /* the bootstrap file's */
	assert_int_equal(run("config no such"), CLI_PARSE);
	assert_int_equal(run("show system global"), CLI_OK);
	assert_non_null(strstr(output(), "set hostname \"new\""));
	assert_int_equal(run("show box secret"), CLI_OK);
	assert_non_null(strstr(output(), "password"));
	assert_null(strstr(output(), "topsecret"));
}

/* Committed entries count when the shell goes away, what is not committed is dropped. */
static void
a_shell_goes_away(void **state)
{
	(void)state;
	run("config system interface");
	run("edit \"wan1\"");
	run("set alias \"first\"");
	run("next");
	run("edit \"wan2\"");
	run("set alias \"second\"");
	cli_free(t.cli);
	t.cli = cli_new(shell_agent(), "uid 0", &shell_ops);
	assert_true(fixture_contains("sys_config.conf", "first"));
	assert_false(fixture_contains("sys_config.conf", "second"));
	assert_true(cli_at_top(t.cli));
}

/* "is refused (`install pending`) while an install is" */
static void
nothing_changes_during_an_install(void **state)
{
	static const char *const refused[] = {"set hostname \"mine\"", "unset hostname"};
	int fd = open(fixture_path("sys_config.conf"), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	shell_begin_install();
	for (size_t i = 0; i < 2; i++) {
		run("config system global");
		assert_int_equal(run(refused[i]), CLI_DENIED);
		assert_non_null(strstr(t.err.text, "install pending (i-1, testing)"));
		run("end");
	}
	assert_true(cli_at_top(t.cli));
	assert_int_equal(run_fd("execute restore config x", false, fd).code, CLI_DENIED);
	assert_string_equal(box_get("system global", "", "hostname"), "new");
	assert_true(fixture_contains("sys_config.conf", "old"));
	assert_int_equal(run("show system global"), CLI_OK); /* looking is allowed */
	assert_int_equal(run("get system checksum status"), CLI_OK);
	assert_non_null(strstr(output(), "Saved: no, an install is pending"));
	close(fd);
}

/* The install began while the shell stood in a block: its end saves nothing of the install. */
static void
an_install_begins_inside_a_block(void **state)
{
	(void)state;
	run("config system global");
	shell_begin_install();
	run("end");
	assert_true(fixture_contains("sys_config.conf", "old"));
	run("config system interface");
	run("edit \"wan1\"");
	cli_free(t.cli);
	t.cli = cli_new(shell_agent(), "uid 0", &shell_ops);
	assert_true(fixture_contains("sys_config.conf", "old"));
	assert_int_equal(box_state(), INSTALL_TESTING);
}

static void
interactive_shells_stay_where_they_are(void **state)
{
	(void)state;
	run("config no such");
	assert_int_equal(run("set hostname \"x\""), CLI_PARSE); /* a script: inside the block that failed */
	run("end");
	cli_set_interactive(t.cli);
	assert_int_equal(run("config no such"), CLI_PARSE);
	assert_int_equal(run("get system status"), CLI_OK);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void
which_commands_want_a_file(void **state)
{
	static const struct {
		const char *text;
		bool wanted, write;
	} rows[] = {
	    {"execute backup config /tmp/x", true, true},
	    {"exec back conf \"a b\"", true, true},
	    {"execute restore config x", true, false},
	    {"execute restore config", false, false},
	    {"execute restore config x y", false, false},
	    {"get system status", false, false},
	    {"execute res", false, false},
	    {"config system global", false, false},
	    {"execute restore config \"x", false, false},
	    {"", false, false},
	    {"frobnicate x", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t word = 99;
		bool write = !rows[i].write;

		if (cli_file_wanted(rows[i].text, strlen(rows[i].text), &word, &write) != rows[i].wanted)
			fail_msg("%s", rows[i].text);
		if (rows[i].wanted) {
			assert_int_equal(word, 3);
			assert_int_equal(write, rows[i].write);
		}
	}
}

static void
backup_and_restore(void **state)
{
	int fd = open(fixture_path("backup"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(run_fd("execute backup config backup", false, fd).code, CLI_OK);
	assert_true(fixture_contains("backup", "topsecret")); /* it could not be restored without */
	run("config system global");
	run("set hostname \"new\"");
	run("end");
	assert_int_equal(run_fd("execute restore config backup", false, fd).code, CLI_OK);
	assert_string_equal(box_get("system global", "", "hostname"), "old");
	assert_true(fixture_contains("sys_config.conf", "old"));
	close(fd);
	fd = open(fixture_path("backup"), O_RDWR | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "config no such\nend\n", 19), 19);
	assert_int_equal(run_fd("execute restore config backup", false, fd).code, CLI_PARSE);
	assert_non_null(strstr(t.err.text, "nothing was changed"));
	close(fd);
	fd = open(fixture_path("backup"), O_RDWR | O_TRUNC | O_CLOEXEC);
	assert_int_equal(run_fd("execute restore config backup", false, fd).code, CLI_FAILED);
	assert_non_null(strstr(t.err.text, "backup: it configures nothing; nothing was changed"));
	assert_string_equal(box_get("system global", "", "hostname"), "old");
	assert_int_equal(write(fd, "# cut\nconfig system interface\nend\n", 34), 34);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(run_fd("execute restore config backup", false, fd).code, CLI_FAILED);
	assert_true(fixture_contains("sys_config.conf", "old"));
	close(fd);
	assert_int_equal(run_fd("execute restore config backup", false, -1).code, CLI_FAILED);
	assert_int_equal(run_fd("execute backup config backup", false, -1).code, CLI_FAILED);
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(run_fd("execute backup config full", false, fd).code, CLI_FAILED);
	assert_non_null(strstr(t.err.text, "full: No space left"));
	close(fd);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

/* The one value a command prints. */
static struct cJSON *
run_json(const char *text, int code)
{
	struct cli_result r = run_fd(text, true, -1);
	struct err e = ERR_NONE;
	struct cJSON *j = json_parse((const char *)buf_head(&t.out), t.out.len, &e);

	if (r.code != code || !j)
		fail_msg("%s: %d, %s: %s", text, r.code, e.text, output());
	return j;
}

static void
json_of_commands(void **state)
{
	static const struct {
		const char *what, *text;
		int code;
		const char *error, *output; /* NULL: not there */
	} rows[] = {
	    {"no output", "diagnose debug disable", CLI_OK, NULL, NULL},
	    {"plain output", "show system global", CLI_OK, NULL, "set hostname \"old\""},
	    {"an error", "diagnose fgfm x", CLI_PARSE, "command parse error before 'x'", NULL},
	    {"hostile words", "diagnose \"%n\\\"\x01\"", CLI_PARSE, "command parse error before", NULL},
	    {"a list", "diagnose test application fgfmd", CLI_OK, NULL, "1. dump"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cJSON *j = run_json(rows[i].text, rows[i].code);
		const char *text = NULL;
		int64_t code = 1;

		assert_int_equal(json_get_int(j, "code", -2000, 0, &code, NULL), 0);
		assert_int_equal(code, rows[i].code);
		assert_int_equal(!json_get_str(j, "error", &text, NULL), rows[i].error != NULL);
		assert_true(!rows[i].error || strstr(text, rows[i].error));
		assert_int_equal(!json_get_str(j, "output", &text, NULL), rows[i].output != NULL);
		assert_true(!rows[i].output || strstr(text, rows[i].output));
		json_free(j);
	}
	assert_int_equal(run_fd("", true, -1).code, CLI_OK);
	assert_int_equal(t.out.len, 0);
	assert_true(run_fd("get system \"sta", true, -1).incomplete);
	assert_int_equal(t.out.len, 0);
}

/* A command that knows JSON is not wrapped; when it fails it is. */
static void
json_of_its_own(void **state)
{
	static const char *const texts[] = {"get system status",
					    "get system mgmt-csum",
					    "get system checksum status",
					    "diagnose fdsm central-mgmt-status",
					    "diagnose fgfm trust-list",
					    "diagnose fgfm session",
					    "diagnose fgfm install-session"};
	struct cJSON *j;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		j = run_json(texts[i], CLI_OK);
		assert_null(json_get(j, "code"));
		json_free(j);
	}
	j = run_json("get system status x", CLI_PARSE);
	assert_non_null(json_get(j, "code"));
	json_free(j);
}

/* --- debug lines -------------------------------------------------------------------------------------------------- */

static void
debug_lines(void **state)
{
	(void)state;
	log_debug(DBG_SESSION, "before");
	assert_int_equal(run("diagnose debug enable"), CLI_OK);
	log_debug(DBG_SESSION, "all of them at first");
	assert_int_equal(run("diagnose debug application fgfmd 4"), CLI_OK);
	log_debug(DBG_SESSION, "masked");
	log_debug(DBG_MESSAGE, "chosen");
	log_raw(DBG_CLI, "0: not yet");
	assert_int_equal(run("diagnose debug cli 8"), CLI_OK);
	log_raw(DBG_CLI | DBG_CONFIG, "0: end");
	assert_int_equal(run("diagnose debug cli 0"), CLI_OK);
	log_raw(DBG_CLI, "0: no more");
	assert_int_equal(run("diagnose debug application fgfmd -1"), CLI_OK);
	log_debug(DBG_PACKET, "all again");
	assert_int_equal(run("diagnose debug disable"), CLI_OK);
	log_debug(DBG_PACKET, "after");
	buf_put(&t.lines, "", 1);
	assert_string_equal((const char *)buf_head(&t.lines), "FGFMs: all of them at first\nFGFMs: chosen\n0: end\n"
							      "FGFMs: all again\n");
	assert_int_equal(run("diagnose debug application fgfmd 256"), CLI_INVALID);
	assert_int_equal(run("diagnose debug application fgfmd x"), CLI_INVALID);
	assert_int_equal(run("diagnose debug cli 9"), CLI_INVALID);
}

/* A shell that goes away takes its lines with it. */
static void
debug_lines_end_with_the_shell(void **state)
{
	(void)state;
	run("diagnose debug enable");
	cli_free(t.cli);
	log_debug(DBG_SESSION, "nobody hears this");
	t.cli = NULL;
	assert_false(lines_have("nobody"));
	cli_free(NULL);
}

/* --- completion --------------------------------------------------------------------------------------------------- */

static void
completion(void **state)
{
	static const struct {
		const char *text, *has, *lacks;
	} rows[] = {
	    {"", "diagnose\t", NULL},
	    {"dia", "diagnose\t", "get\t"},
	    {"diagnose ", "fgfm\t", "status\t"},
	    {"diagnose fgfm ", "trust-list\tthe ten slots", "fgfm\t"},
	    {"diagnose fgfm tr", "trust-list\t", "session\t"},
	    {"diagnose x ", "", "\t"},
	    {"get system ", "mgmt-csum\t", NULL},
	    {"config system gl", "global\t", "interface\t"},
	    {"execute central-mgmt unregister-device ", "", "register-device\t"},
	    {"get \"", "", "\t"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_cut(&t.out, 0);
		cli_complete(t.cli, rows[i].text, strlen(rows[i].text), &t.out);
		if (!strstr(output(), rows[i].has) || (rows[i].lacks && strstr(output(), rows[i].lacks)))
			fail_msg("\"%s\": %s", rows[i].text, output());
	}
	/* inside a block the table's attributes only */
	run("config system global");
	buf_cut(&t.out, 0);
	cli_complete(t.cli, "set host", 8, &t.out);
	assert_non_null(strstr(output(), "hostname\t"));
	buf_cut(&t.out, 0);
	cli_complete(t.cli, "dia", 3, &t.out);
	assert_null(strstr(output(), "diagnose"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(words_and_abbreviations, setup, teardown),
	    cmocka_unit_test_setup_teardown(hostile_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_manager_only_looks, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_agent_is_asked, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_ordered_of_packages, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_command_goes_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_command_goes_on_as_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_command_is_cancelled, setup, teardown),
	    cmocka_unit_test_setup_teardown(debug_lines_of_packages, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_change_is_saved_at_its_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_shell_goes_away, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_changes_during_an_install, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_install_begins_inside_a_block, setup, teardown),
	    cmocka_unit_test_setup_teardown(interactive_shells_stay_where_they_are, setup, teardown),
	    cmocka_unit_test_setup_teardown(which_commands_want_a_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(backup_and_restore, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_of_commands, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_of_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(debug_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(debug_lines_end_with_the_shell, setup, teardown),
	    cmocka_unit_test_setup_teardown(completion, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
