/* Installs in the event loop: what rollback/install asks of the agent, and what it tells. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/history.h"
#include "agent/revision.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/exec.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/reboots.h"
#include "rollback/store.h"

enum {
	TURN_MS = 20, /* hashing one password takes as long: the sessions get their turn in between */
	REBOOT_WORDS = 16,
	BOOT_ID_MAX = 64,
	UPTIME_MS = 60 * 60 * 1000
};

void
agent_install_touch(struct agent *a)
{
	if (install_busy(a->install))
		loop_task_soon(a->install_task);
	loop_timer_at(a->install_timer, install_deadline(a->install));
	/* an install that runs its scripts settles itself what it leaves */
	loop_timer_at(a->settle_timer, install_busy(a->install) ? MONO_NEVER : device_deadline(a->device));
}

static void
on_settle_timer(void *ctx)
{
	struct agent *a = ctx;

	device_tick(a->device, clock_mono());
	agent_install_touch(a);
}

static void
on_install_timer(void *ctx)
{
	struct agent *a = ctx;

	install_tick(a->install, clock_mono());
	agent_install_touch(a);
}

static void
on_install_task(void *ctx)
{
	struct agent *a = ctx;

	device_turn(a->device);
	a->install_turn_end = mono_in(clock_mono(), TURN_MS);
	if (install_busy(a->install))
		install_step(a->install, clock_mono());
	if (!install_busy(a->install))
		device_rest(a->device);
	agent_install_touch(a);
}

int
agent_end_install(struct agent *a, bool keep, struct err *e)
{
	mono_t now = clock_mono();
	int rc = keep ? install_confirm(a->install, now, e) : install_revert(a->install, now, e);

	agent_install_touch(a);
	return rc;
}

int
agent_restore_revision(struct agent *a, unsigned number, const char *who, void (*complain)(void *ctx, const char *line),
		       void *ctx, struct revision_begun *out, struct err *e)
{
	const struct revision_parts p = {.device = a->device, .store = a->store, .install = a->install};
	int rc = revision_restore(&p, number, clock_mono(), complain, ctx, out, e);

	if (!rc)
		log_say(LOG_LEVEL_NOTICE, "install %s: revision %u is restored by %s", out->id, number, who);
	agent_install_touch(a);
	return rc;
}

/* --- ops ---------------------------------------------------------------------------------------------------------- */

static struct tree *
op_running(void *ctx)
{
	struct agent *a = ctx;

	return device_running(a->device);
}

static struct exec *
op_executor(void *ctx, enum install_means means)
{
	struct agent *a = ctx;

	return device_executor(a->device, means);
}

static int
op_settle(void *ctx, struct err *e)
{
	struct agent *a = ctx;

	return device_settle_changed(a->device, e);
}

static bool
op_enough(void *ctx)
{
	struct agent *a = ctx;

	return device_is_slow(a->device) || mono_due(a->install_turn_end, clock_mono());
}

static void
op_line(void *ctx, enum install_script which, int code, const char *command)
{
	struct agent *a = ctx;

	log_raw(DBG_CLI | DBG_CONFIG, "%d: %s", code, command);
	if (which == INSTALL_SET)
		request_install_line(&a->requests, code, command);
}

static void
op_test_begin(void *ctx, const char *serial, bool retest)
{
	struct agent *a = ctx;

	struct err e = ERR_NONE;

	/* the test is of the configuration as it is now: who is dialled, from where, at which level */
	if (agent_configure_uplink(a, &e))
		log_say(LOG_LEVEL_ERROR, "central management: %s", e.text);
	log_debug(DBG_SESSION, "[install] a fresh session with %s is tried%s", serial ? serial : "any trusted manager",
		  retest ? " after the rollback" : "");
	uplink_test_begin(a->uplink, serial);
}

static void
op_test_end(void *ctx)
{
	struct agent *a = ctx;

	uplink_test_end(a->uplink);
}

static void
op_verdict(void *ctx, const struct receipt *r)
{
	struct agent *a = ctx;

	struct err e = ERR_NONE;

	device_forget_changed(a->device);
	device_own(a->device);
	if (history_settle(a->history, r->id, receipt_verdict_name(r->verdict),
			   r->verdict == RECEIPT_COMMITTED ? "" : r->cause, &e))
		log_say(LOG_LEVEL_WARNING, "%s", e.text);
	request_install_verdict(&a->requests, r);
	loop_task_soon(a->results_task);
	loop_task_soon(a->changed_task); /* sessions that were let be during the install are looked at again */
}

static void
count_uptime(struct agent *a)
{
	mono_t now = clock_mono();

	reboots_uptime(a->reboots, (now.ms - a->uptime_counted.ms) / 1000);
	a->uptime_counted = now;
}

/* `config system dm` / `set rollback-allow-reboot` (guide, "FGFM recovery logic"). */
static bool
op_reboot_wanted(void *ctx, bool manager_allows)
{
	struct agent *a = ctx;
	const char *set = entry_get(tree_entry(device_running(a->device), "system dm", ""), "rollback-allow-reboot");

	/* nothing is closed in order before a reboot: what is not counted by then is lost */
	count_uptime(a);
	return !strcmp(set, "enable") || (!strcmp(set, "manager") && manager_allows);
}

static int
split_words(char *text, char *argv[REBOOT_WORDS])
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == REBOOT_WORDS - 1)
			return -E2BIG;
		argv[n++] = w;
	}
	argv[n] = NULL;
	return n ? 0 : -EINVAL;
}

/* Starts the configured program, no shell between. It inherits nothing but stderr: every descriptor of ours is
 * close-on-exec. */
static int
spawn_reboot(const char *command, struct err *e)
{
	char text[1024], *argv[REBOOT_WORDS];
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *const env[] = {path, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int rc;

	snprintf(text, sizeof(text), "%s", command);
	rc = split_words(text, argv);
	if (rc)
		return err_sys(e, rc, "reboot-command \"%s\"", command);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn(&pid, argv[0], NULL, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	return rc ? err_sys(e, -rc, "reboot-command %s", argv[0]) : 0;
}

static int
op_reboot(void *ctx, struct err *e)
{
	struct agent *a = ctx;
	const char *command = settings_get(a->settings, "reboot-command");

	if (*command)
		return spawn_reboot(command, e);
	sync();
	if (reboot(RB_AUTOBOOT))
		return err_sys(e, -errno, "reboot");
	return 0;
}

static bool
op_can_prove(void *ctx, const struct tree *t)
{
	return device_names_manager(t) || agent_may_listen(ctx, t);
}

static int64_t
op_wall_s(void *ctx)
{
	(void)ctx;
	return clock_wall().s;
}

/* `tcp-forward` as the bootstrap file is now: a reload counts for the next connection. */
static bool
op_port_allowed(void *ctx, uint16_t port)
{
	struct agent *a = ctx;
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	return settings_has(a->settings, "tcp-forward", text);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Uptime counts towards the reboot guard; once an hour is often enough, and wakes nobody. */
static void
on_uptime(void *ctx)
{
	struct agent *a = ctx;

	count_uptime(a);
	loop_timer_at(a->uptime_timer, mono_in(a->uptime_counted, UPTIME_MS));
}

static int
read_boot_id(char out[BOOT_ID_MAX], struct err *e)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	FILE *f = fopen(path, "re"); /* of size 0 to fstat(), so file_read() is no help */
	char *end;

	if (!f || !fgets(out, BOOT_ID_MAX, f)) {
		int rc = err_sys(e, errno ? -errno : -EIO, "%s", path);

		if (f)
			fclose(f);
		return rc;
	}
	fclose(f);
	end = strchr(out, '\n');
	if (end)
		*end = '\0';
	return 0;
}

int
agent_open_install(struct agent *a, struct err *e)
{
	const struct install_ops ops = {
	    .ctx = a,
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
	struct install_files files = {.state_dir = settings_get(a->settings, "state-directory")};
	char boot_id[BOOT_ID_MAX];
	int rc = read_boot_id(boot_id, e);

	if (rc)
		return rc;
	files.boot_id = boot_id;
	a->install_timer = loop_timer_new(a->loop, on_install_timer, a);
	a->settle_timer = loop_timer_new(a->loop, on_settle_timer, a);
	a->uptime_timer = loop_timer_new(a->loop, on_uptime, a);
	a->install_task = loop_task_new(a->loop, on_install_task, a);
	if (!a->install_timer || !a->settle_timer || !a->uptime_timer || !a->install_task)
		return err_sys(e, -ENOMEM, "install");
	rc = install_new(&files, a->store, a->receipts, a->reboots, &ops, &a->install, e);
	if (rc)
		return rc;
	a->requests = (struct requests){.device = a->device,
					.store = a->store,
					.history = a->history,
					.loop = a->loop,
					.port_allowed = op_port_allowed,
					.install = a->install,
					.receipts = a->receipts,
					.install_task = a->install_task,
					.results_wanted = a->requests.results_wanted,
					.ctx = a};
	a->uptime_counted = clock_mono();
	loop_timer_at(a->uptime_timer, mono_in(a->uptime_counted, UPTIME_MS));
	return 0;
}

void
agent_close_install(struct agent *a)
{
	struct err e = ERR_NONE;

	if (a->uptime_timer && a->reboots) {
		on_uptime(a);
		if (reboots_save(a->reboots, &e))
			log_say(LOG_LEVEL_WARNING, "%s", e.text);
	}
	install_free(a->install);
	a->install = NULL;
	loop_timer_free(a->install_timer);
	loop_timer_free(a->settle_timer);
	loop_timer_free(a->uptime_timer);
	loop_task_free(a->install_task);
}
