#include "test/fault/box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply.h"
#include "agent/device.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "config/codes.h"
#include "config/load.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/reboots.h"
#include "rollback/store.h"
#include "test/fault/trace.h"

#define MANAGER "FMG-VM0000000001"

enum { TURNS = 1000, IDLE_TURNS = 3 };

const char box_saved[] = "config system global\n"
			 "    set hostname \"old-name\"\n"
			 "end\n"
			 "config system interface\n"
			 "    edit \"wan1\"\n"
			 "        set ip 192.168.50.81 255.255.255.0\n"
			 "    next\n"
			 "    edit \"lan1\"\n"
			 "        set ip 10.1.1.1 255.255.255.0\n"
			 "        set secondary-IP enable\n"
			 "        config secondaryip\n"
			 "            edit 1\n"
			 "                set ip 10.1.1.2 255.255.255.0\n"
			 "            next\n"
			 "        end\n"
			 "    next\n"
			 "end\n"
			 "config router static\n"
			 "    edit 1\n"
			 "        set dst 10.20.0.0 255.255.0.0\n"
			 "        set gateway 192.168.50.1\n"
			 "        set device \"wan1\"\n"
			 "    next\n"
			 "    edit 2\n"
			 "        set dst 10.66.0.0 255.255.0.0\n"
			 "        set blackhole enable\n"
			 "    next\n"
			 "end\n";

/* Something of every kind: names, addresses, one of which moves to another subnet with a route behind it, a size,
 * routes that come, go and change, and a line that fails. */
const char box_set[] = "get system status\n"
		       "config system global\n"
		       "set hostname \"new-name\"\n"
		       "end\n"
		       "config system interface\n"
		       "edit \"wan1\"\n"
		       "set ip 192.168.51.81 255.255.255.0\n"
		       "next\n"
		       "edit \"lan1\"\n"
		       "set mtu-override enable\n"
		       "set mtu 1400\n"
		       "config secondaryip\n"
		       "edit 1\n"
		       "set ip 10.1.2.2 255.255.255.0\n"
		       "next\n"
		       "end\n"
		       "next\n"
		       "end\n"
		       "config router static\n"
		       "delete 2\n"
		       "edit 3\n"
		       "set dst 10.30.0.0 255.255.0.0\n"
		       "set gateway 192.168.51.1\n"
		       "set device \"wan1\"\n"
		       "next\n"
		       "edit 4\n"
		       "set dst 10.67.0.0 255.255.0.0\n"
		       "set blackhole enable\n"
		       "next\n"
		       "end\n"
		       "config system dns\n"
		       "set primary 192.0.2.53\n"
		       "end\n"
		       "config no such table\n"
		       "end\n";

/* Takes back a part only, and one line of it fails: the agent restores the rest itself. */
const char box_unset[] = "config system global\n"
			 "set hostname \"old-name\"\n"
			 "end\n"
			 "config system interface\n"
			 "edit \"wan1\"\n"
			 "set ip 192.168.50.81 255.255.255.0\n"
			 "next\n"
			 "end\n"
			 "config router static\n"
			 "delete 4\n"
			 "delete 99\n"
			 "end\n";

struct box {
	const struct box_plan *plan;
	struct box_seen *seen;
	mono_t now;
	struct store *store;
	struct receipts *receipts;
	struct reboots *reboots;
	struct apply *apply;
	struct device *device;
	struct install *in;
	unsigned unset_lines;
	int idle_turns;
};

static enum install_state
state_of(const struct box *b)
{
	struct install_status st;

	install_status(b->in, b->now, &st);
	return st.state;
}

/* --- what the agent wires ----------------------------------------------------------------------------------------- */

static void
on_changed(void *ctx)
{
	(void)ctx;
}

static int
on_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	(void)out;
	return argc && !strcmp(argv[0], "get") ? CLI_OK : err_set(e, CLI_PARSE, "command parse error");
}

static struct tree *
op_running(void *ctx)
{
	return device_running(((struct box *)ctx)->device);
}

static struct exec *
op_executor(void *ctx, enum install_means means)
{
	return device_executor(((struct box *)ctx)->device, means);
}

static int
op_settle(void *ctx, struct err *e)
{
	return device_settle_changed(((struct box *)ctx)->device, e);
}

static bool
op_enough(void *ctx)
{
	return device_is_slow(((struct box *)ctx)->device);
}

static bool
op_can_prove(void *ctx, const struct tree *t)
{
	(void)ctx;
	return device_names_manager(t);
}

static void
op_line(void *ctx, enum install_script which, int code, const char *command)
{
	struct box *b = ctx;

	(void)code;
	if (which == INSTALL_SET)
		b->seen->set_lines++;
	if (which == INSTALL_UNSET)
		b->unset_lines++;
	if (b->plan->end == BOX_APPLYING && !strcmp(command, "delete 2"))
		_exit(0);
	if (b->plan->end == BOX_REVERTING && b->unset_lines == 7)
		_exit(0);
}

static void
op_test_begin(void *ctx, const char *serial, bool retest)
{
	struct box *b = ctx;

	(void)serial;
	b->seen->tests += !retest;
}

static void
op_test_end(void *ctx)
{
	(void)ctx;
}

static void
op_verdict(void *ctx, const struct receipt *r)
{
	struct box *b = ctx;

	(void)r;
	device_forget_changed(b->device);
	device_own(b->device);
	b->seen->verdicts++;
	b->seen->phase |= BOX_TOLD;
}

static bool
op_reboot_wanted(void *ctx, bool manager_allows)
{
	(void)ctx;
	return manager_allows;
}

static int
op_reboot(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

static int64_t
op_wall_s(void *ctx)
{
	struct box *b = ctx;

	if (b->in && b->plan->end == BOX_COMMITTING && state_of(b) == INSTALL_COMMITTING)
		_exit(0);
	return 1700000000 + b->now.ms / 1000;
}

static int
open_install(struct box *b, struct err *e)
{
	const struct install_ops ops = {
	    .ctx = b,
	    .running = op_running,
	    .executor = op_executor,
	    .settle = op_settle,
	    .enough = op_enough,
	    .line = op_line,
	    .test_begin = op_test_begin,
	    .test_end = op_test_end,
	    .verdict = op_verdict,
	    .reboot_wanted = op_reboot_wanted,
	    .reboot = op_reboot,
	    .can_prove = op_can_prove,
	    .wall_s = op_wall_s,
	};
	char boot[16];
	const struct install_files files = {.state_dir = b->plan->state_dir, .boot_id = boot};

	snprintf(boot, sizeof(boot), "boot-%d", b->plan->boot);
	return install_new(&files, b->store, b->receipts, b->reboots, &ops, &b->in, e);
}

/* In the order of the agent's own start. */
static int
start(struct box *b, struct err *e)
{
	const struct device_ops ops = {.ctx = b, .changed = on_changed, .other = on_other};
	const struct apply_options host = {
	    .system = true,
	    .resolv_conf = SYSTEM_HOST "/resolv.conf",
	    .localtime = SYSTEM_HOST "/localtime",
	    .zoneinfo = "/usr/share/zoneinfo",
	    .run_dir = SYSTEM_RUN,
	    .handler_dir = SYSTEM_HOST "/handlers",
	    .handler_user = "root",
	};
	const char *dir = b->plan->state_dir;
	struct err why = ERR_NONE;
	bool applied = false;
	int rc = receipts_open(dir, &b->receipts, e);

	if (!rc)
		rc = reboots_open(dir, &b->reboots, e);
	if (!rc)
		rc = store_open(dir, b->plan->schema, &b->store, e);
	if (!rc)
		rc = apply_new(&host, &b->apply, e);
	if (!rc)
		rc = device_new(b->plan->schema, b->store, b->apply, &ops, NULL, NULL, &b->device, e);
	if (!rc)
		rc = open_install(b, e);
	if (!rc)
		rc = install_resume(b->in, b->now, &applied, e);
	if (!rc && state_of(b) == INSTALL_IDLE)
		device_own(b->device);
	if (!rc && !applied)
		device_settle(b->device, &why);
	if (!rc)
		store_keep(b->store, "found at start", op_wall_s(b), &why);
	if (!rc)
		b->seen->phase |= BOX_STARTED;
	return rc;
}

/* --- a life ------------------------------------------------------------------------------------------------------- */

static int
send_install(struct box *b, struct err *e)
{
	const struct install_request r = {
	    .id = BOX_INSTALL,
	    .manager = MANAGER,
	    .set = box_set,
	    .unset = box_unset,
	    .set_len = strlen(box_set),
	    .unset_len = strlen(box_unset),
	    .manager_allows_reboot = true,
	};

	return install_begin(b->in, &r, b->now, e);
}

static void
end_here_if(const struct box *b, enum box_end end)
{
	if (b->plan->end == end)
		_exit(0);
}

/* One turn of the loop. False: nothing more happens in this life. */
static bool
turn(struct box *b)
{
	enum install_state s = state_of(b);

	b->seen->state = (int)s;
	if (s == INSTALL_TESTING)
		end_here_if(b, BOX_TESTING);
	if (s == INSTALL_RETESTING)
		end_here_if(b, BOX_RETESTING);
	if (s == INSTALL_REBOOTING) {
		b->seen->reboot = true;
		return false;
	}
	device_turn(b->device);
	if (install_busy(b->in)) {
		install_step(b->in, b->now);
		if (!install_busy(b->in))
			device_rest(b->device);
	} else if ((s == INSTALL_TESTING && b->plan->up) || (s == INSTALL_RETESTING && b->plan->up_in_retest)) {
		b->seen->phase |= BOX_SESSION;
		install_on_session(b->in, MANAGER, b->now);
	} else {
		mono_t next = mono_min(install_deadline(b->in), device_deadline(b->device));

		/* a disk that failed for good is asked for ever */
		if (next.ms == MONO_NEVER.ms || (s == INSTALL_IDLE && ++b->idle_turns > IDLE_TURNS))
			return false;
		if (mono_due(b->now, next))
			b->now = next;
		device_tick(b->device, b->now);
		install_tick(b->in, b->now);
	}
	return true;
}

static void
note_memory(struct box *b)
{
	struct tree *saved = tree_new(b->plan->schema);
	char path[512], *text = NULL;
	struct err e = ERR_NONE;
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/sys_config.conf", b->plan->state_dir);
	if (!file_read(path, CONFIG_MAX_BYTES, &text, &len, &e) && saved &&
	    !load_text(saved, path, text, len, false, NULL, NULL, &e))
		b->seen->memory_is_saved = tree_equal(saved, device_running(b->device));
	system_expect(device_running(b->device), b->seen->memory);
	free(text);
	tree_free(saved);
}

/* Invariant 5: sent again by itself, an install that did not stand is refused. A journal whose scripts were lost has
 * none that could be known again; of one that was refused no command ran. */
static bool
would_try_again(struct box *b, const struct receipt *r)
{
	struct err e = ERR_NONE;

	if (!r || !r->set_digest[0] || r->verdict == RECEIPT_COMMITTED || r->verdict == RECEIPT_REFUSED)
		return false;
	return send_install(b, &e) != -EALREADY;
}

static void
note_end(struct box *b)
{
	const struct receipt *r = receipts_find(b->receipts, BOX_INSTALL);

	b->seen->state = (int)state_of(b);
	b->seen->receipts = (unsigned)receipts_count(b->receipts);
	if (r)
		b->seen->verdict = (int)r->verdict;
	if (r)
		snprintf(b->seen->cause, sizeof(b->seen->cause), "%s", r->cause);
	note_memory(b);
	if (b->seen->state == INSTALL_IDLE)
		b->seen->forgotten = would_try_again(b, r);
	b->seen->done = true;
}

static void
live(const struct box_plan *p, struct box_seen *seen)
{
	struct box b = {.plan = p, .seen = seen, .now = {p->now_ms}};
	struct err e = ERR_NONE;
	int turns = 0;

	if (!p->begin)
		trace_mark(true);
	if (start(&b, &e)) {
		seen->failed_to_start = true;
		snprintf(seen->why, sizeof(seen->why), "%s", e.text);
		return;
	}
	if (p->begin) {
		trace_mark(true);
		if (!send_install(&b, &e))
			seen->phase |= BOX_ACCEPTED;
	}
	while (turn(&b)) {
		if (++turns == TURNS) {
			snprintf(seen->why, sizeof(seen->why), "it never comes to rest");
			return;
		}
	}
	trace_mark(false);
	note_end(&b);
}

static void
child(const struct box_plan *p, struct box_seen *seen, bool traced)
{
	int log = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	if (traced)
		trace_wait();
	live(p, seen);
	_exit(0);
}

int
box_live(const struct box_plan *p, struct box_seen *seen, const struct trace_plan *trace, struct trace_result *result)
{
	pid_t pid;
	int status;

	memset(seen, 0, sizeof(*seen));
	seen->verdict = BOX_NO_VERDICT;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		child(p, seen, trace != NULL);
	if (trace)
		return trace_run(pid, trace, result);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}
