#include "agent/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/agent_packages.h"
#include "agent/cli_history.h"
#include "agent/cli_package.h"
#include "agent/cli_revision.h"
#include "agent/cli_show.h"
#include "agent/device.h"
#include "agent/explain.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/print.h"
#include "config/script.h"
#include "config/verb.h"
#include "rollback/install.h"

enum { COMMAND_WORDS = 5, OUTPUT_MAX = 72 * 1024 * 1024 };

struct cli {
	struct agent *agent;
	struct exec *exec;
	struct cli_ops ops;
	char who[32];
	struct log_sink sink;
	unsigned mask;   /* of `diagnose debug application fgfmd` */
	bool cli_lines;  /* `diagnose debug cli 8` */
	bool debug;      /* `diagnose debug enable` */
	bool json;       /* of the command that runs */
	bool json_done;  /* it has written JSON itself */
	bool pending;    /* it goes on */
	struct buf held; /* what it has said, when that becomes JSON */
	int fd;
};

/* One command that is no table. `c` is NULL when a manager's script asks: `get` is all it may use. */
struct call {
	struct agent *agent;
	struct cli *c;
	const struct cli_command *command;
	size_t argc; /* arguments after the command's words */
	const char *const *argv;
	struct buf *out;
	bool json;
};

enum flags {
	FILE_IN = 1,  /* its argument is a file the client opens for reading */
	FILE_OUT = 2, /* … for writing */
	HAS_JSON = 4,
};

struct cli_command {
	const char *words[COMMAND_WORDS + 1];
	size_t min, max; /* arguments */
	unsigned flags;
	const char *help;
	int (*run)(struct call *k, struct err *e);
};

/* --- what the commands do ----------------------------------------------------------------------------------------- */

static int
run_status(struct call *k, struct err *e)
{
	(void)e;
	cli_show_status(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_management(struct call *k, struct err *e)
{
	(void)e;
	cli_show_management(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_trust(struct call *k, struct err *e)
{
	(void)e;
	cli_show_trust(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_session(struct call *k, struct err *e)
{
	(void)e;
	cli_show_session(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_install(struct call *k, struct err *e)
{
	(void)e;
	cli_show_install(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_checksums(struct call *k, struct err *e)
{
	(void)e;
	cli_show_checksums(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_sync(struct call *k, struct err *e)
{
	(void)e;
	cli_show_sync(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_history(struct call *k, struct err *e)
{
	struct agent_parts p;

	(void)e;
	agent_parts(k->agent, &p);
	cli_history_show(p.history, k->json, k->out);
	return CLI_OK;
}

static int
run_explain(struct call *k, struct err *e)
{
	(void)e;
	explain_show(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_versions(struct call *k, struct err *e)
{
	struct agent_parts p;

	(void)e;
	agent_parts(k->agent, &p);
	cli_package_versions(p.packages, p.package_status, k->json, k->out);
	return CLI_OK;
}

static int
run_drift(struct call *k, struct err *e)
{
	return cli_show_drift(k->agent, k->json, k->out, e);
}

static int
run_register(struct call *k, struct err *e)
{
	int code = agent_register(k->agent, k->argv[0], k->argv[1], k->c->who, e);

	if (!code && !k->json)
		buf_printf(k->out, "%s is admitted for 10 minutes.\n", k->argv[0]);
	return code;
}

static int
run_unregister(struct call *k, struct err *e)
{
	return agent_unregister(k->agent, k->argv[0], k->c->who, e);
}

static int
run_set_mgmtid(struct call *k, struct err *e)
{
	return agent_set_mgmtid(k->agent, k->argv[0], k->c->who, e);
}

/* The pending install, or the one that was. */
static void
see_install(const struct call *k, struct install_status *out)
{
	struct agent_parts p;

	agent_parts(k->agent, &p);
	install_status(p.install, clock_mono(), out);
}

static int
run_confirm(struct call *k, struct err *e)
{
	struct install_status was, is;

	see_install(k, &was);
	if (agent_end_install(k->agent, true, e))
		return CLI_CONFLICT;
	see_install(k, &is);
	if (is.state != INSTALL_IDLE) {
		err_set(e, -EIO, "install %s is not kept but rolled back: %.200s", is.id, is.cause);
		return CLI_FAILED;
	}
	buf_printf(k->out, "Install %s is kept, and saved.\n", was.id);
	return CLI_OK;
}

static int
run_revert(struct call *k, struct err *e)
{
	struct install_status was;

	see_install(k, &was);
	if (agent_end_install(k->agent, false, e))
		return CLI_CONFLICT;
	buf_printf(k->out, "Install %s is being undone; `diagnose fgfm install-session` shows how far it is.\n",
		   was.id);
	return CLI_OK;
}

static int
run_revision_list(struct call *k, struct err *e)
{
	(void)e;
	cli_revision_list(k->agent, k->json, k->out);
	return CLI_OK;
}

static int
run_revision_diff(struct call *k, struct err *e)
{
	return cli_revision_diff(k->agent, k->argv[0], k->argc > 1 ? k->argv[1] : NULL, k->out, e);
}

static int
run_revision_restore(struct call *k, struct err *e)
{
	return cli_revision_restore(k->agent, k->argv[0], k->c->who, k->out, e);
}

static int
run_backup(struct call *k, struct err *e)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	struct agent_parts p;
	int rc;

	agent_parts(k->agent, &p);
	rc = print_tree(device_running(p.device), PRINT_SECRETS, &text);
	if (!rc)
		rc = file_write_all(k->c->fd, buf_head(&text), text.len);
	buf_free(&text);
	if (rc)
		err_sys(e, rc, "%s", k->argv[0]);
	return rc ? CLI_FAILED : CLI_OK;
}

/* Nothing may change while an install is pending: its baseline is the saved configuration. */
static int
check_no_install(struct agent *a, struct err *e)
{
	struct install_status st;
	struct agent_parts p;

	agent_parts(a, &p);
	install_status(p.install, clock_mono(), &st);
	if (st.state == INSTALL_IDLE)
		return CLI_OK;
	err_set(e, -EBUSY, "install pending (%s, %s)", st.id, install_state_name(st.state));
	return CLI_DENIED;
}

static int
run_restore(struct call *k, struct err *e)
{
	struct agent_parts p;
	char *text = NULL;
	size_t len;
	int code = check_no_install(k->agent, e);

	if (code)
		return code;
	if (file_read_fd(k->c->fd, k->argv[0], CONFIG_MAX_BYTES, &text, &len, e))
		return CLI_FAILED;
	agent_parts(k->agent, &p);
	code = device_replace(p.device, k->argv[0], text, len, k->c->who, e);
	free(text);
	return code;
}

static void
refresh_sink(struct cli *c)
{
	log_sink_mask(&c->sink, c->debug ? c->mask | (c->cli_lines ? DBG_CLI : 0u) : 0);
}

static int
run_debug_mask(struct call *k, struct err *e)
{
	int64_t level;

	if (text_i64(k->argv[0], -1, DBG_ALL, &level)) {
		err_set(e, -EINVAL, "a debug level of -1 to %d expected", DBG_ALL);
		return CLI_INVALID;
	}
	k->c->mask = level < 0 ? DBG_ALL : (unsigned)level;
	refresh_sink(k->c);
	return CLI_OK;
}

/* The vendor's name of what deals with packages there; it has one kind of lines here. */
static int
run_debug_updated(struct call *k, struct err *e)
{
	int64_t level;

	if (text_i64(k->argv[0], -1, DBG_ALL, &level)) {
		err_set(e, -EINVAL, "a debug level of -1 to %d expected", DBG_ALL);
		return CLI_INVALID;
	}
	k->c->mask = level ? k->c->mask | DBG_PACKAGE : k->c->mask & ~(unsigned)DBG_PACKAGE;
	refresh_sink(k->c);
	return CLI_OK;
}

static int
run_debug_cli(struct call *k, struct err *e)
{
	uint64_t level;

	if (text_u64(k->argv[0], 8, &level)) {
		err_set(e, -EINVAL, "a level of 0 to 8 expected");
		return CLI_INVALID;
	}
	k->c->cli_lines = level > 0;
	refresh_sink(k->c);
	return CLI_OK;
}

static int
run_debug_enable(struct call *k, struct err *e)
{
	(void)e;
	k->c->debug = true;
	refresh_sink(k->c);
	return CLI_OK;
}

static int
run_debug_disable(struct call *k, struct err *e)
{
	(void)e;
	k->c->debug = false;
	refresh_sink(k->c);
	return CLI_OK;
}

/* Dumps for whoever looks for a fault: everything the status commands know, by number. */
static int
run_test(struct call *k, struct err *e)
{
	static const struct {
		const char *text;
		void (*show)(struct agent *a, bool json, struct buf *out);
	} dumps[] = {
	    {"dump connection and registration", cli_show_management},
	    {"dump session, timers and counters", cli_show_session},
	    {"dump trusted list", cli_show_trust},
	    {"dump install and last receipt", cli_show_install},
	    {"dump checksums", cli_show_checksums},
	    {"dump how far the connection came", explain_show},
	};
	const size_t count = sizeof(dumps) / sizeof(dumps[0]);
	uint64_t n = 0;

	if (!k->argc) {
		for (size_t i = 0; i < count; i++)
			buf_printf(k->out, "%zu. %s\n", i + 1, dumps[i].text);
		return CLI_OK;
	}
	if (text_u64(k->argv[0], count, &n) || !n) {
		err_set(e, -EINVAL, "a number of 1 to %zu expected", count);
		return CLI_INVALID;
	}
	dumps[n - 1].show(k->agent, false, k->out);
	return CLI_OK;
}

/* --- commands that go on ------------------------------------------------------------------------------------------ */

/* Output of a command that knows no JSON, as JSON. */
static void
wrap_json(int code, const char *reason, struct buf *plain, struct buf *out)
{
	struct cJSON *j = json_new_object();
	char *text = buf_steal(plain, NULL), *line;

	json_add_int(j, "code", code);
	if (code)
		json_add_str(j, "error", reason);
	if (text && *text)
		json_add_str(j, "output", text);
	line = json_pretty(j);
	if (line)
		buf_printf(out, "%s\n", line);
	free(line);
	free(text);
	json_free(j);
}

static void
on_work_say(void *ctx, const char *text)
{
	struct cli *c = ctx;

	if (c->json)
		buf_str(&c->held, text);
	else
		c->ops.output(c->ops.ctx, text, strlen(text));
}

static void
on_work_ask(void *ctx, const struct packages_question *q)
{
	struct cli *c = ctx;

	c->ops.ask(c->ops.ctx, q);
}

static void
on_work_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	struct cli *c = ctx;

	c->ops.progress(c->ops.ctx, what, done, total);
}

static void
on_work_done(void *ctx, int code, const char *reason)
{
	const struct cli_result r = {.code = code};
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct cli *c = ctx;

	c->pending = false;
	if (c->json) {
		wrap_json(code, reason, &c->held, &out);
		c->ops.output(c->ops.ctx, (const char *)buf_head(&out), out.len);
		buf_free(&out);
	}
	c->ops.done(c->ops.ctx, r, reason);
}

static struct packages_watch
watch_of(struct cli *c)
{
	return (struct packages_watch){
	    .ctx = c, .say = on_work_say, .ask = on_work_ask, .progress = on_work_progress, .done = on_work_done};
}

static int
goes_on(struct cli *c, int code)
{
	c->pending = code == CLI_OK;
	return code;
}

/* restore ips|av tftp|https|file: its words say which. */
static int
run_restore_package(struct call *k, struct err *e)
{
	const char *source = k->command->words[3];
	const struct packages_watch w = watch_of(k->c);
	const struct packages_order o = {
	    .av = !strcmp(k->command->words[2], "av"),
	    .source = !strcmp(source, "tftp")    ? PACKAGES_TFTP
		      : !strcmp(source, "https") ? PACKAGES_HTTPS
						 : PACKAGES_FILE,
	    .name = k->argv[0],
	    .server = k->argc > 1 ? k->argv[1] : "",
	    .fd = k->c->fd,
	    .user = k->c->who,
	};

	return goes_on(k->c, agent_packages_restore(k->agent, &o, &w, e));
}

static int
run_update_now(struct call *k, struct err *e)
{
	const struct packages_watch w = watch_of(k->c);

	return goes_on(k->c, agent_packages_update(k->agent, k->c->who, &w, e));
}

static int
run_signatures(struct call *k, struct err *e)
{
	const struct packages_watch w = watch_of(k->c);

	return goes_on(k->c, agent_packages_check(k->agent, &w, e));
}

void
cli_answer(struct cli *c, bool yes, const uint8_t digest[PACKAGES_DIGEST])
{
	if (c->pending)
		agent_packages_answer(c->agent, yes, digest);
}

void
cli_cancel(struct cli *c)
{
	if (!c->pending)
		return;
	if (agent_packages_cancel(c->agent))
		on_work_done(c, CLI_REFUSED, "cancelled");
	else
		on_work_done(c, CLI_REFUSED, "cancelled; a database that is being reloaded is installed all the same");
}

static const struct cli_command commands[] = {
    {{"get", "system", "status"}, 0, 0, HAS_JSON, "version, serial, host name, uptime", run_status},
    {{"get", "system", "mgmt-csum"}, 0, 0, HAS_JSON, "checksums of the running configuration", run_checksums},
    {{"get", "system", "checksum", "status"}, 0, 0, HAS_JSON, "checksums, and whether they are saved", run_sync},
    {{"diagnose", "fdsm", "central-mgmt-status"}, 0, 0, HAS_JSON, "connection to the manager", run_management},
    {{"diagnose", "fgfm", "trust-list"}, 0, 0, HAS_JSON, "the ten slots of the trusted list", run_trust},
    {{"diagnose", "fgfm", "session"}, 0, 0, HAS_JSON, "TLS, certificate, timers, counters", run_session},
    {{"diagnose", "fgfm", "install-session"}, 0, 0, HAS_JSON, "the pending install and the last receipt", run_install},
    {{"diagnose", "fgfm", "script-history"}, 0, 0, HAS_JSON, "the last scripts of managers", run_history},
    {{"diagnose", "fgfm", "explain"}, 0, 0, HAS_JSON, "how far the connection came, and what failed", run_explain},
    {{"diagnose", "fgfm", "drift"}, 0, 0, HAS_JSON, "what something else changed of the system", run_drift},
    {{"diagnose", "autoupdate", "versions"}, 0, 0, HAS_JSON, "the packages' objects that are installed", run_versions},
    {{"diagnose", "autoupdate", "signature", "check-all"}, 0, 0, 0, "verify what is installed", run_signatures},
    {{"diagnose", "debug", "application", "fgfmd"},
     1,
     1,
     0,
     "LEVEL: which debug lines, -1 or 0 to 255",
     run_debug_mask},
    {{"diagnose", "debug", "application", "updated"},
     1,
     1,
     0,
     "LEVEL: debug lines about packages, 0 for none",
     run_debug_updated},
    {{"diagnose", "debug", "cli"}, 1, 1, 0, "LEVEL: 8 shows each command of installs and rollbacks", run_debug_cli},
    {{"diagnose", "debug", "enable"}, 0, 0, 0, "debug lines in this shell", run_debug_enable},
    {{"diagnose", "debug", "disable"}, 0, 0, 0, "no more debug lines in this shell", run_debug_disable},
    {{"diagnose", "test", "application", "fgfmd"}, 0, 1, 0, "list of dumps, or one by its number", run_test},
    {{"execute", "central-mgmt", "register-device"},
     2,
     2,
     0,
     "SERIAL PASSWORD: admit a manager for 10 minutes",
     run_register},
    {{"execute", "central-mgmt", "unregister-device"},
     1,
     1,
     0,
     "SERIAL: take a manager off the trusted list",
     run_unregister},
    {{"execute", "central-mgmt", "set-mgmt-id"}, 1, 1, 0, "ID: the management id told to the manager", run_set_mgmtid},
    {{"execute", "fgfm", "install", "confirm"}, 0, 0, 0, "keep the pending install", run_confirm},
    {{"execute", "fgfm", "install", "revert"}, 0, 0, 0, "undo the pending install", run_revert},
    {{"execute", "revision", "list"}, 0, 0, HAS_JSON, "the last saved configurations", run_revision_list},
    {{"execute", "revision", "diff"}, 1, 2, 0, "A [B]: from revision A to B, or to what runs", run_revision_diff},
    {{"execute", "revision", "restore"}, 1, 1, 0, "N: install revision N, with a rollback", run_revision_restore},
    {{"execute", "backup", "config"}, 1, 1, FILE_OUT, "FILE: the running configuration into a file", run_backup},
    {{"execute", "restore", "config"}, 1, 1, FILE_IN, "FILE: replace the configuration by a file's", run_restore},
    {{"execute", "restore", "ips", "tftp"}, 2, 2, 0, "FILE SERVER: install an IPS package", run_restore_package},
    {{"execute", "restore", "ips", "https"}, 1, 1, 0, "URL: install an IPS package", run_restore_package},
    {{"execute", "restore", "ips", "file"}, 1, 1, FILE_IN, "FILE: install an IPS package", run_restore_package},
    {{"execute", "restore", "av", "tftp"}, 2, 2, 0, "FILE SERVER: install an AV package", run_restore_package},
    {{"execute", "restore", "av", "https"}, 1, 1, 0, "URL: install an AV package", run_restore_package},
    {{"execute", "restore", "av", "file"}, 1, 1, FILE_IN, "FILE: install an AV package", run_restore_package},
    {{"execute", "update-now"}, 0, 0, 0, "fetch and install newer packages", run_update_now},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* --- finding them ------------------------------------------------------------------------------------------------- */

static size_t
word_count(const struct cli_command *c)
{
	size_t n = 0;

	while (n < COMMAND_WORDS && c->words[n])
		n++;
	return n;
}

/* Narrows the candidates by one more word: exact if any has it, otherwise by prefix. How many are left. */
static size_t
narrow(const struct cli_command *left[], size_t count, size_t at, const char *word)
{
	size_t kept = 0, exact = 0;

	for (size_t i = 0; i < count; i++) {
		if (left[i]->words[at] && !strcmp(left[i]->words[at], word))
			exact++;
	}
	for (size_t i = 0; i < count; i++) {
		const char *w = at < COMMAND_WORDS ? left[i]->words[at] : NULL;

		if (w && (exact ? !strcmp(w, word) : !strncmp(w, word, strlen(word))))
			left[kept++] = left[i];
	}
	return kept;
}

static bool
same_word(const struct cli_command *const left[], size_t count, size_t at)
{
	for (size_t i = 1; i < count; i++) {
		if (strcmp(left[i]->words[at], left[0]->words[at]) != 0)
			return false;
	}
	return true;
}

/* The command the words begin with, abbreviations allowed where unique. 0, CLI_PARSE or CLI_INCOMPLETE. */
static int
find_command(size_t argc, const char *const argv[], const struct cli_command **out, struct err *e)
{
	const struct cli_command *left[COMMANDS];
	size_t count = COMMANDS;
	char shown[64];

	for (size_t i = 0; i < COMMANDS; i++)
		left[i] = &commands[i];
	for (size_t at = 0; at < argc; at++) {
		count = narrow(left, count, at, argv[at]);
		if (!count || !same_word(left, count, at)) {
			err_set(e, -EINVAL, "%s before '%s'", count ? "ambiguous command" : "command parse error",
				text_escape(shown, sizeof(shown), argv[at], strlen(argv[at])));
			return CLI_PARSE;
		}
		if (count == 1 && word_count(left[0]) == at + 1) {
			*out = left[0];
			return CLI_OK;
		}
	}
	err_set(e, -EINVAL, "incomplete command");
	return CLI_INCOMPLETE;
}

static bool
is_abbreviation(const char *word, const char *of)
{
	return *word && !strncmp(word, of, strlen(word));
}

static int
run_other(struct call *k, size_t argc, const char *const argv[], struct err *e)
{
	const struct cli_command *c;
	size_t words;
	int code;

	/* a manager looks, it does not execute: not even what this version does not know */
	if (!k->c && !is_abbreviation(argv[0], "get")) {
		err_set(e, -EPERM, "permission denied: only on the device");
		return CLI_DENIED;
	}
	code = find_command(argc, argv, &c, e);
	if (code)
		return code;
	words = word_count(c);
	k->command = c;
	k->argc = argc - words;
	k->argv = argv + words;
	if (k->argc < c->min) {
		err_set(e, -EINVAL, "incomplete command: %s", c->help);
		return CLI_INCOMPLETE;
	}
	if (k->argc > c->max) {
		char shown[64];

		err_set(e, -EINVAL, "command parse error before '%s'",
			text_escape(shown, sizeof(shown), k->argv[c->max], strlen(k->argv[c->max])));
		return CLI_PARSE;
	}
	k->json = k->c && k->c->json && (c->flags & HAS_JSON);
	code = c->run(k, e);
	if (k->json && !code)
		k->c->json_done = true;
	return code;
}

int
cli_other_for_manager(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	struct call k = {.agent = ctx, .out = out};

	return run_other(&k, argc, argv, e);
}

bool
cli_file_wanted(const char *text, size_t len, size_t *word, bool *write)
{
	const struct cli_command *c;
	struct script *s = NULL;
	bool wanted = false;

	if (script_parse_line(text, len, &s, NULL))
		return false;
	if (script_count(s)) {
		const struct command *cmd = script_at(s, 0);

		if (!find_command(cmd->argc, cmd->argv, &c, NULL) && (c->flags & (FILE_IN | FILE_OUT)) &&
		    cmd->argc == word_count(c) + 1) {
			*word = word_count(c);
			*write = (c->flags & FILE_OUT) != 0;
			wanted = true;
		}
	}
	script_free(s);
	return wanted;
}

/* --- a shell ------------------------------------------------------------------------------------------------------ */

static int
on_apply(void *ctx, const struct change *change, struct err *e)
{
	struct cli *c = ctx;
	struct agent_parts p;

	agent_parts(c->agent, &p);
	return device_apply_for_shell(p.device, change, e);
}

static int
on_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	struct cli *c = ctx;
	struct call k = {.agent = c->agent, .c = c, .out = out};

	return run_other(&k, argc, argv, e);
}

static void
on_changed(void *ctx)
{
	struct cli *c = ctx;
	struct agent_parts p;

	/* what this shell had committed was saved when the install began; the tree that is on trial must not be */
	if (check_no_install(c->agent, NULL) != CLI_OK)
		return;
	agent_parts(c->agent, &p);
	device_changed_by_shell(p.device);
}

static int
on_may_change(void *ctx, struct err *e)
{
	struct cli *c = ctx;

	return check_no_install(c->agent, e);
}

struct cli *
cli_new(struct agent *a, const char *who, const struct cli_ops *ops)
{
	struct cli *c = calloc(1, sizeof(*c));
	struct agent_parts p;

	if (!c)
		return NULL;
	const struct exec_ops own = {
	    .apply = on_apply, .other = on_other, .may_change = on_may_change, .changed = on_changed, .ctx = c};

	agent_parts(a, &p);
	c->agent = a;
	c->ops = *ops;
	c->held = BUF_INIT(OUTPUT_MAX);
	c->fd = -1;
	c->mask = DBG_ALL;
	snprintf(c->who, sizeof(c->who), "%s", who);
	c->sink = (struct log_sink){.line = ops->line, .ctx = ops->ctx};
	c->exec = exec_new(device_running(p.device), &own, false);
	if (!c->exec) {
		free(c);
		return NULL;
	}
	log_attach(&c->sink);
	return c;
}

void
cli_set_interactive(struct cli *c)
{
	exec_set_interactive(c->exec);
}

void
cli_free(struct cli *c)
{
	struct agent_parts p;
	struct err e = ERR_NONE;

	if (!c)
		return;
	if (c->pending)
		(void)agent_packages_cancel(c->agent);
	buf_free(&c->held);
	log_detach(&c->sink);
	exec_free(c->exec);
	/* entries committed before the shell went away count: they are in the running configuration */
	agent_parts(c->agent, &p);
	if (device_save_changes(p.device, c->who, &e))
		log_say(LOG_LEVEL_ERROR, "%s: %s", c->who, e.text);
	free(c);
}

static int
run_one(struct cli *c, const struct command *cmd, struct buf *out, struct err *e)
{
	struct agent_parts p;
	struct err save = ERR_NONE;
	enum verb verb;
	int code;

	agent_parts(c->agent, &p);
	device_turn(p.device);
	code = exec_run(c->exec, cmd, out, e);
	if (!verb_match(cmd->argv[0], &verb) && verb == VERB_SHOW)
		device_say_kept(p.device);
	if (!exec_at_top(c->exec))
		return code;
	if (device_save_changes(p.device, c->who, &save)) {
		*e = save;
		return CLI_FAILED;
	}
	return code;
}

struct cli_result
cli_run(struct cli *c, const char *text, size_t len, bool json, int fd, struct buf *out, struct err *e)
{
	struct buf plain = BUF_INIT(OUTPUT_MAX);
	struct cli_result r = {.code = CLI_OK};
	struct script *s = NULL;
	bool empty;

	c->json = json;
	c->json_done = false;
	c->fd = fd;
	r.code = script_parse_line(text, len, &s, e);
	r.incomplete = r.code == CLI_INCOMPLETE;
	empty = !r.code && (!script_count(s) || !script_at(s, 0)->argc);
	if (!r.code && !empty)
		r.code = run_one(c, script_at(s, 0), json ? &plain : out, e);
	r.pending = c->pending;
	if (json && c->json_done)
		buf_put(out, buf_head(&plain), plain.len);
	else if (json && !r.incomplete && !empty && !r.pending)
		wrap_json(r.code, e->text, &plain, out);
	buf_free(&plain);
	script_free(s);
	c->fd = -1;
	return r;
}

const char *
cli_prompt(const struct cli *c)
{
	return exec_prompt(c->exec);
}

bool
cli_at_top(const struct cli *c)
{
	return exec_at_top(c->exec);
}

/* Words of the command table that may stand next. */
static void
complete_commands(size_t argc, const char *const argv[], struct buf *out)
{
	const char *last = "";

	for (size_t i = 0; i < COMMANDS; i++) {
		size_t at = 0, words = word_count(&commands[i]);

		while (at + 1 < argc && at < words && !strncmp(commands[i].words[at], argv[at], strlen(argv[at])))
			at++;
		if (at + 1 != argc || at >= words || strncmp(commands[i].words[at], argv[at], strlen(argv[at])) != 0 ||
		    !strcmp(last, commands[i].words[at]))
			continue;
		last = commands[i].words[at];
		buf_printf(out, "%s\t%s\n", last, at + 1 == words ? commands[i].help : "");
	}
}

/* True when `words` offers this word already: tables and commands share their first words. */
static bool
is_offered(const struct buf *words, const char *line, size_t word_len)
{
	const char *p = (const char *)buf_head(words), *end = p + words->len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if ((size_t)(end - p) > word_len && !memcmp(p, line, word_len) && p[word_len] == '\t')
			return true;
		p = nl ? nl + 1 : end;
	}
	return false;
}

/* Appends the candidates of `more` that `words` does not have. */
static void
merge_words(const struct buf *more, struct buf *words)
{
	const char *p = (const char *)buf_head(more), *end = p + more->len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *next = nl ? nl + 1 : end;
		const char *tab = memchr(p, '\t', (size_t)(next - p));

		if (tab && !is_offered(words, p, (size_t)(tab - p)))
			buf_put(words, p, (size_t)(next - p));
		p = next;
	}
}

void
cli_complete(const struct cli *c, const char *text, size_t len, struct buf *out)
{
	static const char *const nothing[] = {""};
	struct buf more = BUF_INIT(64 * 1024);
	struct script *s = NULL;
	size_t argc = 1;
	const char *const *argv = nothing;
	const char *words[WORDS_MAX];

	if (script_parse_line(text, len, &s, NULL))
		return;
	if (script_count(s) && script_at(s, 0)->argc) {
		bool new_word = len && (text[len - 1] == ' ' || text[len - 1] == '\t');

		argc = script_at(s, 0)->argc;
		argv = script_at(s, 0)->argv;
		if (new_word && argc < WORDS_MAX) {
			memcpy(words, argv, argc * sizeof(*words));
			words[argc++] = "";
			argv = words;
		}
	}
	exec_complete(c->exec, argc, argv, out);
	if (exec_at_top(c->exec))
		complete_commands(argc, argv, &more);
	merge_words(&more, out);
	buf_free(&more);
	script_free(s);
}
