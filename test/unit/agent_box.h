/* agent_box: the parts of an agent that hold its configuration and its installs, without a network: a state folder,
 * the running tree, installs, receipts. Time is the test's own.
 */
#ifndef TEST_UNIT_AGENT_BOX_H
#define TEST_UNIT_AGENT_BOX_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/device.h"
#include "agent/history.h"
#include "agent/requests.h"
#include "base/clock.h"
#include "base/loop.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/reboots.h"
#include "rollback/store.h"
#include "test/unit/rollback_fixture.h"

struct agent_box {
	struct loop *loop;
	struct schema *schema;
	struct store *store;
	struct receipts *receipts;
	struct reboots *reboots;
	struct history *history;
	struct device *device;
	struct install *install;
	struct requests requests;
	mono_t now;
	uint16_t port;   /* of the loopback that a manager may use; 0: none */
	char wanted[40]; /* with whom a fresh session is wanted; "any"; "": none is */
	int changed, results_wanted, verdicts;
};

/* One for a test program. */
static struct agent_box box;

/* A vendor's table, for its secret. */
static const char box_vendor[] =
    "{\"tables\":[{\"path\":\"box secret\",\"attributes\":[{\"name\":\"password\",\"type\":\"password\"}]}]}";

static inline void
box_changed(void *ctx)
{
	(void)ctx;
	box.changed++;
}

static inline int
box_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	(void)argc;
	(void)argv;
	(void)out;
	return err_set(e, CLI_PARSE, "command parse error");
}

static inline struct tree *
box_running(void *ctx)
{
	(void)ctx;
	return device_running(box.device);
}

static inline struct exec *
box_executor(void *ctx, enum install_means means)
{
	(void)ctx;
	return device_executor(box.device, means);
}

static inline int
box_settle(void *ctx, struct err *e)
{
	(void)ctx;
	return device_settle(box.device, e);
}

static inline void
box_line(void *ctx, enum install_script which, int code, const char *command)
{
	(void)ctx;
	if (which == INSTALL_SET)
		request_install_line(&box.requests, code, command);
}

static inline void
box_test_begin(void *ctx, const char *serial, bool retest)
{
	(void)ctx;
	(void)retest;
	snprintf(box.wanted, sizeof(box.wanted), "%s", serial ? serial : "any");
}

static inline void
box_test_end(void *ctx)
{
	(void)ctx;
	box.wanted[0] = '\0';
}

static inline void
box_verdict(void *ctx, const struct receipt *r)
{
	(void)ctx;
	struct err e = ERR_NONE;

	box.verdicts++;
	assert_int_equal(history_settle(box.history, r->id, receipt_verdict_name(r->verdict), r->cause, &e), 0);
	request_install_verdict(&box.requests, r);
}

static inline bool
box_reboot_wanted(void *ctx, bool manager_allows)
{
	(void)ctx;
	(void)manager_allows;
	return false;
}

static inline int
box_reboot(void *ctx, struct err *e)
{
	(void)ctx;
	return err_set(e, -EPERM, "no reboot here");
}

static inline bool
box_can_prove(void *ctx, const struct tree *t)
{
	(void)ctx;
	return device_names_manager(t);
}

static inline int64_t
box_wall_s(void *ctx)
{
	(void)ctx;
	return 1767225600;
}

static inline void
box_results_wanted(void *ctx)
{
	(void)ctx;
	box.results_wanted++;
}

static inline void
box_task(void *ctx)
{
	(void)ctx;
}

/* The one port that `tcp-forward` names. */
static inline bool
box_port_allowed(void *ctx, uint16_t port)
{
	(void)ctx;
	return port == box.port;
}

static inline void
box_open_install(void)
{
	const struct install_ops ops = {.running = box_running,
					.executor = box_executor,
					.settle = box_settle,
					.line = box_line,
					.test_begin = box_test_begin,
					.test_end = box_test_end,
					.verdict = box_verdict,
					.reboot_wanted = box_reboot_wanted,
					.reboot = box_reboot,
					.can_prove = box_can_prove,
					.wall_s = box_wall_s};
	const struct install_files files = {.state_dir = fixture_dir, .boot_id = "boot-1"};
	struct err e = ERR_NONE;
	bool applied;

	if (install_new(&files, box.store, box.receipts, box.reboots, &ops, &box.install, &e) ||
	    install_resume(box.install, box.now, &applied, &e))
		fail_msg("%s", e.text);
}

/* A box with a saved configuration, running. What it would apply goes to `apply` (NULL: nothing is). */
static inline void
box_open(const char *saved, struct apply *apply)
{
	const struct device_ops ops = {.changed = box_changed, .other = box_other};
	struct err e = ERR_NONE;

	box = (struct agent_box){.now = {1000000}};
	fixture_write("sys_config.conf", saved);
	box.loop = loop_new(&e);
	box.schema = schema_new();
	if (!box.loop || !box.schema || schema_add_builtin(box.schema, &e) ||
	    schema_add_json(box.schema, "vendor.json", box_vendor, sizeof(box_vendor) - 1, &e) ||
	    store_open(fixture_dir, box.schema, &box.store, &e) || receipts_open(fixture_dir, &box.receipts, &e) ||
	    reboots_open(fixture_dir, &box.reboots, &e) || history_open(fixture_dir, &box.history, &e) ||
	    device_new(box.schema, box.store, apply, &ops, NULL, NULL, &box.device, &e))
		fail_msg("%s", e.text);
	box_open_install();
	box.requests = (struct requests){.device = box.device,
					 .store = box.store,
					 .history = box.history,
					 .loop = box.loop,
					 .port_allowed = box_port_allowed,
					 .install = box.install,
					 .receipts = box.receipts,
					 .install_task = loop_task_new(box.loop, box_task, NULL),
					 .results_wanted = box_results_wanted};
	assert_non_null(box.requests.install_task);
}

/* Also after a test that failed half-way, and twice. */
static inline void
box_close(void)
{
	install_free(box.install);
	device_free(box.device);
	store_free(box.store);
	receipts_free(box.receipts);
	reboots_free(box.reboots);
	history_free(box.history);
	schema_free(box.schema);
	loop_task_free(box.requests.install_task);
	loop_free(box.loop);
	box = (struct agent_box){.verdicts = 0};
}

static inline enum install_state
box_state(void)
{
	struct install_status st;

	install_status(box.install, box.now, &st);
	return st.state;
}

/* Runs the commands that wait. */
static inline void
box_step(void)
{
	while (install_busy(box.install))
		install_step(box.install, box.now);
}

/* An attribute of the running configuration. */
static inline const char *
box_get(const char *path, const char *key, const char *attr)
{
	return entry_get(tree_entry(device_running(box.device), path, key), attr);
}

#endif
