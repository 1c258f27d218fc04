/* agent_shell: an agent_box and what else a shell shows, behind agent.h's functions: tests that include this name
 * agent_parts agent_register agent_unregister agent_set_mgmtid agent_end_install uplink_view in their wrap line.
 */
#ifndef TEST_UNIT_AGENT_SHELL_H
#define TEST_UNIT_AGENT_SHELL_H

#include "agent/agent.h"
#include "agent/explain.h"
#include "agent/memory.h"
#include "agent/settings.h"
#include "agent/update.h"
#include "agent/uplink.h"
#include "test/unit/agent_box.h"
#include "trustlist/trustlist.h"

/* One for a test program. */
static struct {
	struct settings *settings;
	struct trust_list *trust;
	struct memory memory;
	struct update update;
	struct explain_note last;
	struct uplink_view view;
	struct agent_parts more; /* what a test adds: admitted, started, packets_unsent */

	/* what was asked of the agent */
	char asked[256];
	int answer;
} shell;

void __wrap_agent_parts(const struct agent *a, struct agent_parts *out);
int __wrap_agent_register(struct agent *a, const char *serial, const char *password, const char *who, struct err *e);
int __wrap_agent_unregister(struct agent *a, const char *serial, const char *who, struct err *e);
int __wrap_agent_set_mgmtid(struct agent *a, const char *id, const char *who, struct err *e);
int __wrap_agent_end_install(struct agent *a, bool keep, struct err *e);
void __wrap_uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out);

void
__wrap_agent_parts(const struct agent *a, struct agent_parts *out)
{
	assert_ptr_equal(a, &shell);
	*out = shell.more;
	out->last = &shell.last;
	out->schema = box.schema;
	out->settings = shell.settings;
	out->device = box.device;
	out->trust = shell.trust;
	out->install = box.install;
	out->receipts = box.receipts;
	out->reboots = box.reboots;
	out->store = box.store;
	out->memory = &shell.memory;
	out->update = &shell.update;
	out->serial = "FGVM010000000001";
}

static inline int
shell_note(struct err *e, const char *what, const char *a, const char *b, const char *c)
{
	snprintf(shell.asked, sizeof(shell.asked), "%s %s %s %s", what, a, b, c);
	return shell.answer ? err_set(e, shell.answer, "the agent does not want to") : 0;
}

int
__wrap_agent_register(struct agent *a, const char *serial, const char *password, const char *who, struct err *e)
{
	(void)a;
	return shell_note(e, "register", serial, password, who);
}

int
__wrap_agent_unregister(struct agent *a, const char *serial, const char *who, struct err *e)
{
	(void)a;
	return shell_note(e, "unregister", serial, who, "");
}

int
__wrap_agent_set_mgmtid(struct agent *a, const char *id, const char *who, struct err *e)
{
	(void)a;
	return shell_note(e, "set-mgmt-id", id, who, "");
}

int
__wrap_agent_end_install(struct agent *a, bool keep, struct err *e)
{
	(void)a;
	return shell_note(e, keep ? "confirm" : "revert", "", "", "");
}

void
__wrap_uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out)
{
	(void)u;
	(void)now;
	*out = shell.view;
}

static inline struct agent *
shell_agent(void)
{
	return (struct agent *)&shell;
}

static inline void
shell_open(const char *saved)
{
	struct err e = ERR_NONE;

	memset(&shell, 0, sizeof(shell));
	box_open(saved, NULL);
	fixture_write("fgfmd.conf", "config agent\nset platform \"FortiGate-60E\"\nset build 77\nend\n");
	if (settings_load(fixture_path("fgfmd.conf"), box.schema, NULL, NULL, &shell.settings, &e) ||
	    trust_list_load(fixture_path("trust-list.json"), &shell.trust, &e))
		fail_msg("%s", e.text);
	shell.view.tls_version = shell.view.tls_suite = "";
	shell.view.next_dial_ms = -1;
	shell.more.started = clock_mono();
}

/* Also after a test that failed half-way, and twice. */
static inline void
shell_close(void)
{
	settings_free(shell.settings);
	trust_list_free(shell.trust);
	memset(&shell, 0, sizeof(shell));
	box_close();
}

/* An install is pending: with its set script applied, waiting for a session. */
static inline void
shell_begin_install(void)
{
	static const char set[] = "config system global\nset hostname \"new\"\nend\nconfig no such\nend\n";
	const struct install_request r = {
	    .id = "i-1", .manager = "FMG-VM0000000001", .set = set, .set_len = sizeof(set) - 1, .unset = ""};
	struct err e = ERR_NONE;

	box.now = clock_mono();
	if (install_begin(box.install, &r, box.now, &e))
		fail_msg("%s", e.text);
	box_step();
}

#endif
