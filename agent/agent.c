#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/apply.h"
#include "agent/cli.h"
#include "agent/control.h"
#include "agent/device.h"
#include "agent/history.h"
#include "agent/profile.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/tls.h"
#include "agent/uplink.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/reboots.h"
#include "rollback/store.h"
#include "trustlist/trustlist.h"
#include "tun/netlink.h"

enum {
	STOP_MS = 1500, /* for sessions to close in order; SIGTERM promises 2 seconds */
	CREDS_RETRY_MS = 30 * 1000,
	CONTROL_RETRY_MS = 30 * 1000,
	PATH_SIZE = 512,
};

static void
warn_line(void *ctx, const char *line)
{
	(void)ctx;
	log_say(LOG_LEVEL_WARNING, "%s", line);
}

/* --- credentials -------------------------------------------------------------------------------------------------- */

static int
load_creds(const struct settings *s, struct tls_creds **out, struct err *e)
{
	const struct tls_files files = {
	    .certificate = settings_get(s, "certificate"),
	    .private_key = settings_get(s, "private-key"),
	    .ca_certificate = settings_get(s, "ca-certificate"),
	    .crl = settings_get(s, "crl"),
	};

	return tls_creds_load(&files, out, e);
}

static void
take_creds(struct agent *a, struct tls_creds *creds)
{
	const char *configured = settings_get(a->settings, "serial-number");

	tls_creds_free(a->creds);
	a->creds = creds;
	text_copy(a->serial, sizeof(a->serial), *configured ? configured : tls_creds_serial(creds));
	log_set_device(a->serial);
}

/* Certificates may come later than the agent, from whatever enrols the box. */
static void
on_creds_timer(void *ctx)
{
	struct agent *a = ctx;
	struct tls_creds *creds = NULL;
	struct err e = ERR_NONE;

	if (load_creds(a->settings, &creds, &e)) {
		log_say(LOG_LEVEL_ERROR, "%s; tried again in %d s", e.text, CREDS_RETRY_MS / 1000);
		loop_timer_at(a->creds_timer, mono_in(clock_mono(), CREDS_RETRY_MS));
		return;
	}
	take_creds(a, creds);
	if (a->uplink && agent_configure_uplink(a, &e))
		log_say(LOG_LEVEL_ERROR, "%s", e.text);
}

/* --- the network around us ---------------------------------------------------------------------------------------- */

static void
on_network_change(void *ctx, const char *what)
{
	struct agent *a = ctx;
	char name[16] = "", state[8] = "";
	struct err e = ERR_NONE;

	log_debug(DBG_SESSION, "[network] %s", what);
	if (!strcmp(what, "overrun")) {
		if (device_settle(a->device, &e))
			log_say(LOG_LEVEL_WARNING, "after missed network changes: %s", e.text);
	} else if (sscanf(what, "link %15s %7s", name, state) == 2 && (!strcmp(state, "up") || !strcmp(state, "new")) &&
		   apply_link(a->apply, device_running(a->device), name, &e)) {
		log_say(LOG_LEVEL_WARNING, "interface %s: %s", name, e.text);
	}
	agent_install_touch(a); /* something may be owed to the system */
	uplink_kick(a->uplink);
}

static void
on_watch(void *ctx, uint32_t events)
{
	struct agent *a = ctx;

	(void)events;
	if (netlink_watch_read(a->watch))
		log_debug(DBG_ERROR, "[network] changes could not be read");
}

/* Not being told of changes only makes reconnecting slower: no reason not to start. */
static void
watch_network(struct agent *a)
{
	struct err e = ERR_NONE;

	if (netlink_open(-1, &a->netlink, &e) || netlink_watch_open(-1, on_network_change, a, &a->watch, &e)) {
		log_say(LOG_LEVEL_WARNING, "network changes: %s", e.text);
		return;
	}
	a->watch_io = loop_io_new(a->loop, netlink_watch_fd(a->watch), EPOLLIN, on_watch, a);
}

/* --- small work of its own ---------------------------------------------------------------------------------------- */

/* The checksum of a large configuration takes milliseconds: here a part in each turn of the loop, so that the
 * keep-alive that carries it finds it ready. */
static void
on_sums_task(void *ctx)
{
	struct agent *a = ctx;

	if (device_checksum_step(a->device))
		loop_task_soon(a->sums_task);
}

static void
on_changed_task(void *ctx)
{
	struct agent *a = ctx;
	struct session *s = uplink_current(a->uplink);
	struct err e = ERR_NONE;

	if (agent_configure_uplink(a, &e))
		log_say(LOG_LEVEL_ERROR, "central management: %s", e.text);
	if (s)
		session_config_changed(s, clock_mono());
	if (store_unfinished(a->store))
		install_tick(a->install, clock_mono()); /* it tries the rest of a save again */
	agent_install_touch(a);
	agent_monitor_touch(a, false);
	uplink_touch(a->uplink);
	if (!install_busy(a->install)) /* its next commands would make it another one */
		loop_task_soon(a->sums_task);
}

static void
on_results_task(void *ctx)
{
	struct agent *a = ctx;
	struct session *s = uplink_current(a->uplink);

	if (s && session_privileged(s))
		request_results(&a->requests, s, clock_mono());
	uplink_touch(a->uplink);
}

static void
on_idle_task(void *ctx)
{
	struct agent *a = ctx;

	if (a->stopping && uplink_idle(a->uplink))
		loop_stop(a->loop);
	else if (a->stopping)
		loop_timer_at(a->stop_timer, mono_in(clock_mono(), 1));
}

static void
on_stop_timer(void *ctx)
{
	struct agent *a = ctx;

	loop_stop(a->loop);
}

/* Without its socket the agent cannot be asked, but it can be managed: no reason not to start. */
static void
on_control_timer(void *ctx)
{
	struct agent *a = ctx;
	char path[PATH_SIZE];
	struct err e = ERR_NONE;

	if (!control_open(a->loop, a, settings_run_path(a->settings, "fgfmd.sock", path, sizeof(path)), &a->control,
			  &e))
		return;
	log_say(LOG_LEVEL_ERROR, "%s; tried again in %d s", e.text, CONTROL_RETRY_MS / 1000);
	loop_timer_at(a->control_timer, mono_in(clock_mono(), CONTROL_RETRY_MS));
}

static void
on_admit_timer(void *ctx)
{
	struct agent *a = ctx;

	log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Admission by register-device has lapsed", "serial",
		  a->admitted, NULL);
	agent_forget_admission(a);
}

static void
on_device_changed(void *ctx)
{
	struct agent *a = ctx;

	loop_task_soon(a->changed_task);
}

static void
on_results_wanted(void *ctx)
{
	struct agent *a = ctx;

	loop_task_soon(a->results_task);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int
make_handles(struct agent *a, struct err *e)
{
	a->stop_timer = loop_timer_new(a->loop, on_stop_timer, a);
	a->admit_timer = loop_timer_new(a->loop, on_admit_timer, a);
	a->creds_timer = loop_timer_new(a->loop, on_creds_timer, a);
	a->control_timer = loop_timer_new(a->loop, on_control_timer, a);
	a->changed_task = loop_task_new(a->loop, on_changed_task, a);
	a->sums_task = loop_task_new(a->loop, on_sums_task, a);
	a->results_task = loop_task_new(a->loop, on_results_task, a);
	a->idle_task = loop_task_new(a->loop, on_idle_task, a);
	a->requests.results_wanted = on_results_wanted;
	if (!a->stop_timer || !a->admit_timer || !a->creds_timer || !a->control_timer || !a->changed_task ||
	    !a->sums_task || !a->results_task || !a->idle_task)
		return err_sys(e, -ENOMEM, "agent");
	return 0;
}

static int
load_schema(struct schema **out, struct err *e)
{
	struct schema *s = schema_new();
	int rc;

	if (!s)
		return err_sys(e, -ENOMEM, "schema");
	rc = schema_add_builtin(s, e);
	if (rc)
		schema_free(s);
	else
		*out = s;
	return rc;
}

static void
add_vendor_tables(struct agent *a)
{
	struct err e = ERR_NONE;

	if (schema_add_folder(a->schema, settings_get(a->settings, "schema-directory"), &e))
		log_say(LOG_LEVEL_WARNING, "%s", e.text);
}

/* Two agents on one state would undo each other's work. The lock goes with the process. */
static int
lock_run(struct agent *a, struct err *e)
{
	char path[PATH_SIZE];

	settings_run_path(a->settings, "fgfmd.lock", path, sizeof(path));
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->lock_fd < 0)
		return err_sys(e, -errno, "%s", path);
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? err_set(e, -EBUSY, "%s is locked: another fgfmd runs", path)
					    : err_sys(e, -errno, "locking %s", path);
	return 0;
}

/* State that survives restarts. What is damaged is set aside and said; the agent comes up all the same. */
static int
open_state(struct agent *a, struct err *e)
{
	const char *dir = settings_get(a->settings, "state-directory");
	char path[PATH_SIZE];
	struct err said = ERR_NONE;
	int rc = file_make_dir(dir, 0700, e);

	if (!rc)
		rc = file_make_dir(settings_get(a->settings, "run-directory"), 0755, e);
	if (!rc)
		rc = lock_run(a, e);
	if (rc)
		return rc;
	if (memory_load(&a->memory, settings_state_path(a->settings, "manager.json", path, sizeof(path)), &said))
		log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_WARNING, "State file damaged", "reason", said.text, NULL);
	rc = trust_list_load(settings_state_path(a->settings, "trust-list.json", path, sizeof(path)), &a->trust, e);
	if (rc == -EBADMSG)
		log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_CRITICAL, "Trusted list damaged", "reason", e->text, NULL);
	else if (rc)
		return rc;
	rc = receipts_open(dir, &a->receipts, e);
	if (!rc)
		rc = reboots_open(dir, &a->reboots, e);
	if (!rc)
		rc = history_open(dir, &a->history, e);
	return rc ? rc : store_open(dir, a->schema, &a->store, e);
}

static int
open_device(struct agent *a, struct err *e)
{
	const struct device_ops ops = {.ctx = a, .changed = on_device_changed, .other = cli_other_for_manager};
	const struct apply_options host = {
	    .system = settings_enabled(a->settings, "apply-system"),
	    .resolv_conf = settings_get(a->settings, "resolv-conf"),
	    .localtime = settings_get(a->settings, "localtime"),
	    .zoneinfo = settings_get(a->settings, "zoneinfo-directory"),
	    .run_dir = settings_get(a->settings, "run-directory"),
	    .handler_dir = settings_get(a->settings, "handler-directory"),
	    .handler_user = settings_get(a->settings, "handler-user"),
	};
	int rc = apply_new(&host, &a->apply, e);

	if (rc)
		return rc;
	e->text[0] = '\0';
	rc = device_new(a->schema, a->store, a->apply, &ops, warn_line, NULL, &a->device, e);
	if (!rc && e->text[0])
		log_event(EVENT_FILE_DAMAGED, LOG_LEVEL_CRITICAL, "Saved configuration damaged", "reason", e->text,
			  NULL);
	return rc;
}

/* A pending install goes on before anything is applied; without one the saved configuration is. */
static int
resume(struct agent *a, struct err *e)
{
	struct err why = ERR_NONE;
	bool applied = false;
	int rc = agent_open_install(a, e);
	struct install_status st;

	if (!rc)
		rc = install_resume(a->install, clock_mono(), &applied, e);
	if (!rc) {
		install_status(a->install, clock_mono(), &st);
		if (st.state == INSTALL_IDLE)
			device_own(a->device);
	}
	if (!rc && !applied && device_settle(a->device, &why))
		log_say(LOG_LEVEL_WARNING, "applying the saved configuration: %s", why.text);
	/* a file edited by hand, or the first one, is worth a revision, too */
	if (!rc && store_keep(a->store, "found at start", clock_wall().s, &why))
		log_say(LOG_LEVEL_WARNING, "keeping a revision: %s", why.text);
	return rc;
}

static int
open_uplink(struct agent *a, struct err *e)
{
	struct uplink_ops ops;
	int rc;

	agent_uplink_ops(a, &ops);
	rc = uplink_new(a->loop, &ops, &a->uplink, e);
	if (!rc && a->memory.address.family)
		uplink_remember(a->uplink, a->memory.target, &a->memory.address);
	return rc;
}

static int
open_all(struct agent *a, load_complain_fn *complain, struct err *e)
{
	int rc = make_handles(a, e);

	if (!rc)
		rc = load_schema(&a->schema, e);
	if (!rc)
		rc = settings_load(a->path, a->schema, complain, NULL, &a->settings, e);
	if (rc)
		return rc;
	add_vendor_tables(a);
	on_creds_timer(a);
	rc = open_state(a, e);
	if (!rc)
		rc = open_device(a, e);
	if (!rc)
		rc = open_uplink(a, e);
	if (!rc)
		rc = agent_open_listen(a, e);
	if (!rc)
		rc = resume(a, e);
	if (rc)
		return rc;
	agent_open_tunnel(a);
	agent_open_monitor(a);
	watch_network(a);
	rc = agent_open_packages(a, e);
	if (rc)
		return rc;
	on_control_timer(a);
	rc = agent_configure_uplink(a, e);
	if (rc)
		return rc;
	uplink_enable(a->uplink, true, NULL);
	agent_install_touch(a);
	malloc_trim(0); /* reading schemas and files has left holes that nothing needs again */
	return 0;
}

int
agent_new(struct loop *l, const char *path, void (*complain)(void *ctx, const char *line), struct agent **out,
	  struct err *e)
{
	struct agent *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return err_sys(e, -ENOMEM, "agent");
	a->loop = l;
	a->started = clock_mono();
	a->lock_fd = -1;
	rc = text_copy(a->path, sizeof(a->path), path) ? err_sys(e, -ENAMETOOLONG, "%s", path)
						       : open_all(a, complain, e);
	if (rc) {
		agent_free(a);
		return rc;
	}
	log_event(EVENT_DAEMON, LOG_LEVEL_NOTICE, "fgfm agent started", "version", VERSION, "serial", a->serial, NULL);
	*out = a;
	return 0;
}

void
agent_free(struct agent *a)
{
	if (!a)
		return;
	control_close(a->control);
	agent_close_packages(a);
	agent_close_listen(a);
	uplink_free(a->uplink); /* channels tell the requests, so these are still there */
	agent_close_install(a);
	agent_close_monitor(a);
	agent_close_tunnel(a);
	loop_io_free(a->watch_io);
	netlink_watch_free(a->watch);
	netlink_free(a->netlink);
	device_free(a->device);
	apply_free(a->apply);
	store_free(a->store);
	reboots_free(a->reboots);
	receipts_free(a->receipts);
	history_free(a->history);
	trust_list_free(a->trust);
	tls_creds_free(a->creds);
	settings_free(a->settings);
	schema_free(a->schema);
	loop_timer_free(a->stop_timer);
	loop_timer_free(a->admit_timer);
	loop_timer_free(a->creds_timer);
	loop_timer_free(a->control_timer);
	loop_task_free(a->changed_task);
	loop_task_free(a->sums_task);
	loop_task_free(a->results_task);
	loop_task_free(a->idle_task);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	free(a->uplink_key);
	explicit_bzero(a->password, sizeof(a->password));
	free(a);
}

void
agent_reload(struct agent *a)
{
	struct settings *fresh = NULL;
	struct tls_creds *creds = NULL;
	struct err e = ERR_NONE;
	const char *fixed;

	if (settings_load(a->path, a->schema, warn_line, NULL, &fresh, &e) || load_creds(fresh, &creds, &e)) {
		log_say(LOG_LEVEL_ERROR, "reload: %s; everything stays as it was", e.text);
		settings_free(fresh);
		return;
	}
	fixed = settings_restart_needed(a->settings, fresh);
	if (fixed)
		log_say(LOG_LEVEL_WARNING, "reload: a new %s counts only after a restart", fixed);
	settings_free(a->settings);
	a->settings = fresh;
	loop_timer_at(a->creds_timer, MONO_NEVER);
	take_creds(a, creds);
	if (agent_configure_uplink(a, &e))
		log_say(LOG_LEVEL_ERROR, "reload: %s", e.text);
	log_event(EVENT_DAEMON, LOG_LEVEL_NOTICE, "fgfm agent reloaded its files", "serial", a->serial, NULL);
}

void
agent_stop(struct agent *a)
{
	if (a->stopping)
		return;
	a->stopping = true;
	log_event(EVENT_DAEMON, LOG_LEVEL_NOTICE, "fgfm agent stops", "serial", a->serial, NULL);
	loop_timer_at(a->stop_timer, mono_in(clock_mono(), STOP_MS));
	uplink_enable(a->uplink, false, "the agent stops");
	agent_configure_listen(a);
	agent_configure_packages(a);
	loop_task_soon(a->idle_task);
}

void
agent_parts(const struct agent *a, struct agent_parts *out)
{
	*out = (struct agent_parts){
	    .schema = a->schema,
	    .settings = a->settings,
	    .device = a->device,
	    .uplink = a->uplink,
	    .tun = a->tun,
	    .trust = a->trust,
	    .install = a->install,
	    .receipts = a->receipts,
	    .reboots = a->reboots,
	    .history = a->history,
	    .store = a->store,
	    .memory = &a->memory,
	    .creds = a->creds,
	    .netlink = a->netlink,
	    .last = &a->last,
	    .started = a->started,
	    .serial = a->serial,
	    .packets_unsent = a->packets_unsent,
	    .admitted = a->admitted[0] ? a->admitted : NULL,
	    .admitted_until = a->admitted_until,
	    .listener = a->listener,
	    .notice = a->notice,
	    .update = &a->update,
	    .packages = agent_packages_store(a),
	    .package_status = agent_packages_status(a),
	};
}

/* --- registration by an operator ---------------------------------------------------------------------------------- */

int
agent_register(struct agent *a, const char *serial, const char *password, const char *who, struct err *e)
{
	char shown[80];

	if (!cert_is_serial(serial) || strncmp(serial, "FMG", 3) != 0) {
		err_set(e, -EINVAL, "a manager's serial number (FMG...) expected, got \"%s\"",
			text_escape(shown, sizeof(shown), serial, strlen(serial)));
		return CLI_INVALID;
	}
	if (trust_list_find(a->trust, serial)) {
		err_set(e, -EEXIST, "%s is in the trusted list already", serial);
		return CLI_DUPLICATE;
	}
	if (trust_list_count(a->trust) >= TRUST_SLOTS) {
		err_set(e, -ENOSPC, "trusted list full (%d)", TRUST_SLOTS);
		return CLI_CONFLICT;
	}
	if (text_copy(a->password, sizeof(a->password), password) ||
	    text_copy(a->admitted, sizeof(a->admitted), serial)) {
		agent_forget_admission(a);
		err_set(e, -ENAMETOOLONG, "a password of at most %d characters expected", PASSWORD_MAX - 1);
		return CLI_TOO_LONG;
	}
	a->admitted_until = mono_in(clock_mono(), PROFILE_REGISTER_MS);
	loop_timer_at(a->admit_timer, a->admitted_until);
	log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Manager admitted by register-device", "serial", serial,
		  "user", who, NULL);
	/* a session with it is unprivileged and asked too early; one with another manager stays while this one is
	 * looked for */
	uplink_stop_serial(a->uplink, serial, "registration was asked for");
	uplink_seek(a->uplink, serial);
	uplink_kick(a->uplink);
	return CLI_OK;
}

int
agent_unregister(struct agent *a, const char *serial, const char *who, struct err *e)
{
	char shown[80];
	int rc = trust_list_remove(a->trust, serial, e);

	if (rc == -ENOENT && a->admitted[0] && !strcmp(a->admitted, serial)) {
		agent_forget_admission(a);
		uplink_stop_serial(a->uplink, serial, "its admission was withdrawn by an operator");
		return CLI_OK;
	}
	if (rc == -ENOENT) {
		err_set(e, rc, "\"%s\" is not in the trusted list",
			text_escape(shown, sizeof(shown), serial, strlen(serial)));
		return CLI_NOT_FOUND;
	}
	if (rc)
		return CLI_FAILED;
	log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Manager unregistered", "serial", serial, "action", "removed",
		  "user", who, NULL);
	if (!strcmp(a->memory.first_fmgid, serial)) {
		a->memory.first_fmgid[0] = '\0';
		if (memory_save(&a->memory, e))
			log_say(LOG_LEVEL_WARNING, "%s", e->text);
	}
	uplink_stop_serial(a->uplink, serial, "unregistered by an operator");
	return CLI_OK;
}

int
agent_set_mgmtid(struct agent *a, const char *id, const char *who, struct err *e)
{
	char old[sizeof(a->memory.mgmtid)];

	if (!session_is_mgmtid(id) || strlen(id) >= sizeof(a->memory.mgmtid)) {
		err_set(e, -EINVAL, "a management id expected: a decimal number or a UUID");
		return CLI_INVALID;
	}
	memcpy(old, a->memory.mgmtid, sizeof(old));
	text_copy(a->memory.mgmtid, sizeof(a->memory.mgmtid), id);
	if (memory_save(&a->memory, e)) {
		memcpy(a->memory.mgmtid, old, sizeof(old));
		return CLI_FAILED;
	}
	log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Management id set", "mgmtid", id, "was", old, "user", who,
		  NULL);
	return CLI_OK;
}

/* --- fgfmd -t ----------------------------------------------------------------------------------------------------- */

struct checker {
	void (*say)(void *ctx, const char *line);
	void *ctx;
	unsigned errors;
};

static void
check_say(void *ctx, const char *line)
{
	struct checker *c = ctx;

	c->errors++;
	c->say(c->ctx, line);
}

/* The saved configuration is judged as the daemon would load it, but nothing is set aside or written. */
static void
check_saved(struct checker *c, const struct settings *s, const struct schema *schema)
{
	char path[PATH_SIZE], *text = NULL;
	struct tree *t = tree_new(schema);
	struct err e = ERR_NONE;
	size_t len;
	int rc;

	settings_state_path(s, "sys_config.conf", path, sizeof(path));
	rc = file_read(path, CONFIG_MAX_BYTES, &text, &len, &e);
	if (rc && rc != -ENOENT)
		check_say(c, e.text);
	else if (!rc && (!t || load_text(t, path, text, len, false, check_say, c, &e) < 0))
		check_say(c, t ? e.text : "no memory");
	free(text);
	tree_free(t);
}

unsigned
agent_check(const char *path, void (*say)(void *ctx, const char *line), void *ctx)
{
	struct checker c = {.say = say, .ctx = ctx};
	struct settings *s = NULL;
	struct tls_creds *creds = NULL;
	struct schema *schema = NULL;
	struct err e = ERR_NONE;

	if (load_schema(&schema, &e)) {
		check_say(&c, e.text);
		return c.errors;
	}
	s = settings_check(path, schema, check_say, &c);
	if (!s) {
		schema_free(schema);
		return c.errors;
	}
	if (schema_add_folder(schema, settings_get(s, "schema-directory"), &e) && e.code != -ENOENT)
		check_say(&c, e.text);
	if (load_creds(s, &creds, &e))
		check_say(&c, e.text);
	check_saved(&c, s, schema);
	tls_creds_free(creds);
	settings_free(s);
	schema_free(schema);
	return c.errors;
}
