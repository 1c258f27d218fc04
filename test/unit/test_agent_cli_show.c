/* agent/cli_show: what the status commands print, for people and as JSON with stable keys. */
// wrap: agent_parts agent_register agent_unregister agent_set_mgmtid agent_end_install uplink_view
#include "agent/cli_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/conn.h"
#include "base/json.h"
#include "test/replay/replay.h"
#include "test/unit/agent_shell.h"

static struct buf out;
static struct replay rp;
static struct tls_creds *const some_creds = (struct tls_creds *)&rp; /* only whether there are any is looked at */

static int
setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	memset(&rp, 0, sizeof(rp));
	out = BUF_INIT(1024 * 1024);
	shell_open("config system global\n    set hostname \"gate\"\nend\n"
		   "config system central-management\n    set type fortimanager\n    set fmg \"192.0.2.1\"\nend\n");
	return 0;
}

static int
teardown(void **state)
{
	replay_stop(&rp);
	buf_free(&out);
	shell_close();
	return fixture_teardown(state);
}

typedef void show_fn(struct agent *a, bool json, struct buf *dst);

static const char *
text_of(show_fn *show)
{
	buf_cut(&out, 0);
	show(shell_agent(), false, &out);
	buf_put(&out, "", 1);
	buf_cut(&out, out.len - 1);
	return (const char *)buf_head(&out);
}

/* The caller frees it. */
static struct cJSON *
json_of(show_fn *show)
{
	struct err e = ERR_NONE;
	struct cJSON *j;

	buf_cut(&out, 0);
	show(shell_agent(), true, &out);
	j = json_parse((const char *)buf_head(&out), out.len, &e);
	if (!j)
		fail_msg("%s", e.text);
	return j;
}

static void
assert_line(show_fn *show, const char *line)
{
	char with_end[512];

	snprintf(with_end, sizeof(with_end), "%s\n", line);
	if (!strstr(text_of(show), with_end))
		fail_msg("\"%s\" expected in\n%s", line, text_of(show));
}

static void
assert_keys(show_fn *show, const char *const keys[])
{
	struct cJSON *j = json_of(show);

	for (; *keys; keys++) {
		if (!json_get(j, *keys))
			fail_msg("no %s", *keys);
	}
	json_free(j);
}

static void
assert_json(show_fn *show, const char *key, const char *want)
{
	struct cJSON *j = json_of(show);
	const char *got = NULL;

	if (json_get_str(j, key, &got, NULL) || strcmp(got, want))
		fail_msg("%s: \"%s\" expected, got \"%s\"", key, want, got ? got : "(nothing)");
	json_free(j);
}

/* A session in some state, on view. */
static void
show_session(bool registered, bool up)
{
	static struct conn_counters counters = {.in_frames = 5, .in_bytes = 500, .out_frames = 6, .out_bytes = 600};

	replay_start(&rp, "shown", shell.trust);
	replay_run(&rp, "tcp\n");
	if (up) {
		replay_run(&rp, "tls\ndevice get auth\n"
				"manager reply 200|request=auth|serialno=" REPLAY_MANAGER "\n"
				"call judged first-contact\ndevice get ip\n");
		replay_manager(&rp, registered ? "reply 200|request=ip|register_status=1" : "reply 200|request=ip");
		replay_forget(&rp);
	}
	shell.view.session = rp.session;
	shell.view.current = up;
	shell.view.port = 541;
	shell.view.counters = &counters;
	shell.view.peer = &rp.peer;
	shell.view.tls_version = "TLSv1.2";
	shell.view.tls_suite = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384";
	snprintf(shell.view.target, sizeof(shell.view.target), "manager.test");
	assert_int_equal(addr_parse_host("192.0.2.1", &shell.view.manager), 0);
	assert_int_equal(addr_parse_host("192.0.2.81", &shell.view.local), 0);
}

/* --- get system status -------------------------------------------------------------------------------------------- */

static void
status(void **state)
{
	static const char *const keys[] = {"version", "build",  "agent-version",      "serial", "platform", "hostname",
					   "kernel",  "uptime", "last-reboot-reason", NULL};

	(void)state;
	assert_line(cli_show_status, "Version: 7.2.4");
	assert_line(cli_show_status, "Build: 77");
	assert_line(cli_show_status, "Serial-Number: FGVM010000000001");
	assert_line(cli_show_status, "Platform: FortiGate-60E");
	assert_line(cli_show_status, "Hostname: gate");
	assert_line(cli_show_status, "Last reboot reason: -");
	assert_keys(cli_show_status, keys);
	assert_json(cli_show_status, "hostname", "gate");
	assert_json(cli_show_status, "last-reboot-reason", "");
}

/* --- diagnose fdsm central-mgmt-status ---------------------------------------------------------------------------- */

static void
connection_and_registration(void **state)
{
	(void)state;
	assert_line(cli_show_management, "Connection status: Down");
	assert_line(cli_show_management, "Registration status: Unknown");
	assert_line(cli_show_management, "State: waiting");
	show_session(false, false);
	assert_line(cli_show_management, "Connection status: Handshake");
	assert_line(cli_show_management, "State: handshake");
	replay_stop(&rp);
	show_session(false, true);
	assert_line(cli_show_management, "Connection status: Up");
	assert_line(cli_show_management, "Registration status: Unregistered");
	replay_stop(&rp);
	show_session(true, true);
	assert_line(cli_show_management, "Connection status: Up");
	assert_line(cli_show_management, "Registration status: Registered");
	assert_line(cli_show_management, "Serial: " REPLAY_MANAGER);
	assert_line(cli_show_management, "Manager: manager.test");
	assert_line(cli_show_management, "Manager address: 192.0.2.1");
	assert_line(cli_show_management, "Local address: 192.0.2.81");
	assert_line(cli_show_management, "State: up");
	assert_json(cli_show_management, "connection-status", "Up");
	assert_json(cli_show_management, "registration-status", "Registered");
	assert_json(cli_show_management, "reason", "");
	/* gone again: it stays registered */
	memset(&shell.view, 0, sizeof(shell.view));
	shell.view.next_dial_ms = 1500;
	assert_line(cli_show_management, "Registration status: Registered");
	assert_line(cli_show_management, "Next attempt in: 2 s");
	shell.view.resolving = true;
	assert_line(cli_show_management, "State: resolving");
}

/* What is remembered of the last manager. */
static void
the_last_manager(void **state)
{
	(void)state;
	snprintf(shell.memory.target, sizeof(shell.memory.target), "old.test");
	snprintf(shell.memory.mgmtid, sizeof(shell.memory.mgmtid), "247331677");
	snprintf(shell.memory.first_fmgid, sizeof(shell.memory.first_fmgid), "FMG-VM0000000009");
	assert_int_equal(addr_parse_host("fd00::1", &shell.memory.address), 0);
	assert_line(cli_show_management, "Manager: old.test");
	assert_line(cli_show_management, "Manager address: fd00::1");
	assert_line(cli_show_management, "Management id: 247331677");
	assert_line(cli_show_management, "Serial: FMG-VM0000000009");
}

static void
set_central_management(const char *attr, const char *value)
{
	struct err e = ERR_NONE;

	assert_int_equal(
	    tree_set(device_running(box.device), "system central-management", "", attr, &value, value != NULL, &e), 0);
}

/* The nearest cause comes first. */
static void
why_it_is_down(void **state)
{
	(void)state;
	snprintf(shell.view.last_reason, sizeof(shell.view.last_reason), "TCP connection: %%s Connection refused");
	shell.more.creds = some_creds;
	assert_line(cli_show_management, "Reason: TCP connection: %s Connection refused");
	shell.more.creds = NULL;
	assert_line(cli_show_management,
		    "Reason: the device's certificate files are not in order: `fgfmd -t` names them");
	set_central_management("fmg", NULL);
	assert_line(cli_show_management, "Reason: no manager: `config system central-management`, `set fmg` is empty");
	set_central_management("type", "none");
	assert_json(cli_show_management, "reason",
		    "no manager: `config system central-management`, `set type` is not fortimanager");
}

/* --- diagnose fgfm trust-list ------------------------------------------------------------------------------------- */

static void
ten_slots(void **state)
{
	struct cert_facts f;
	struct err e = ERR_NONE;
	struct cJSON *j;
	char serial[32];

	(void)state;
	assert_line(cli_show_trust, " 1  (empty)");
	assert_line(cli_show_trust, "10  (empty)");
	for (int i = 1; i <= 10; i++) {
		snprintf(serial, sizeof(serial), "FMG-VM00000000%02d", i);
		replay_facts(&f, serial);
		assert_int_equal(trust_list_add(shell.trust, &f, TRUST_PINNED, 1767225600, &e), 0);
	}
	assert_non_null(strstr(text_of(cli_show_trust), " 1  FMG-VM0000000001     pinned"));
	assert_non_null(strstr(text_of(cli_show_trust), "10  FMG-VM0000000010"));
	assert_non_null(strstr(text_of(cli_show_trust), "added 2026-01-01 00:00:00 UTC, last used never"));
	assert_null(strstr(text_of(cli_show_trust), "(empty)"));
	j = json_of(cli_show_trust);
	assert_non_null(json_get_array(j, "entries"));
	json_free(j);
}

static void
an_admission_is_shown(void **state)
{
	(void)state;
	shell.more.admitted = "FMG-VM0000000002";
	shell.more.admitted_until = mono_in(clock_mono(), 61 * 1000);
	assert_non_null(strstr(text_of(cli_show_trust), "register-device admits FMG-VM0000000002 for another 6"));
}

static void
a_damaged_list_is_shown(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	trust_list_free(shell.trust);
	shell.trust = NULL;
	fixture_write("trust-list.json", "{\"slots\":");
	assert_int_equal(trust_list_load(fixture_path("trust-list.json"), &shell.trust, &e), -EBADMSG);
	assert_non_null(strstr(text_of(cli_show_trust), "was damaged and set aside"));
}

/* --- diagnose fgfm session ---------------------------------------------------------------------------------------- */

static void
no_session(void **state)
{
	struct cJSON *j;
	int64_t n = -1;

	(void)state;
	snprintf(shell.view.last_reason, sizeof(shell.view.last_reason), "because");
	shell.more.packets_unsent = 7;
	assert_line(cli_show_session, "State: none");
	assert_line(cli_show_session, "Last reason: because");
	assert_line(cli_show_session, "Dropped out, no-session: 7");
	shell.view.resolving = true;
	assert_json(cli_show_session, "state", "resolving");
	j = json_of(cli_show_session);
	assert_int_equal(
	    json_get_int(json_get_object(json_get_object(j, "drops"), "out"), "no-session", 0, 100, &n, NULL), 0);
	assert_int_equal(n, 7);
	/* in JSON a counter stands also at zero */
	assert_int_equal(
	    json_get_int(json_get_object(json_get_object(j, "drops"), "in"), "not-registered", 0, 100, &n, NULL), 0);
	assert_int_equal(n, 0);
	json_free(j);
}

static void
a_session(void **state)
{
	static const char *const keys[] = {"state",
					   "privileged",
					   "manager",
					   "tls-version",
					   "tls-suite",
					   "aes-gcm",
					   "peer-serial",
					   "peer-subject",
					   "peer-issuer",
					   "peer-not-before",
					   "peer-not-after",
					   "check-serial",
					   "check-list",
					   "check-certificate",
					   "keepalive-interval",
					   "sock-timeout",
					   "chan-window-sz",
					   "messages-in",
					   "keepalives-out",
					   "packets-in",
					   "stray-replies",
					   "requests-refused",
					   "frames-in",
					   "bytes-out",
					   "drops",
					   NULL};

	(void)state;
	show_session(false, true);
	replay_manager(&rp, "get file_exchange");
	replay_manager(&rp, "reply 200|request=nothing");
	replay_packet_in(&rp, "4500001400000000400000007f0000017f000001");
	replay_forget(&rp);
	assert_line(cli_show_session, "Manager: 192.0.2.1:541");
	assert_line(cli_show_session, "TLS version: TLSv1.2");
	assert_line(cli_show_session, "Peer serial: " REPLAY_MANAGER);
	assert_line(cli_show_session, "Valid from: 1970-01-01 00:00:00");
	assert_line(cli_show_session, "Privileged: no");
	assert_line(cli_show_session,
		    "Check 3: certificate: passed: chain, dates, key usage and revocation are in order");
	assert_line(cli_show_session, "Keep-alive every: 120 s");
	assert_line(cli_show_session, "Channel window: 32768 bytes");
	assert_line(cli_show_session, "Requests refused: 1");
	assert_line(cli_show_session, "Stray replies: 1");
	assert_line(cli_show_session, "Frames in: 5");
	assert_line(cli_show_session, "Dropped in, not-registered: 1");
	assert_keys(cli_show_session, keys);
	assert_int_equal(addr_parse_host("2001:db8::1", &shell.view.manager), 0);
	assert_line(cli_show_session, "Manager: [2001:db8::1]:541");
}

/* --- diagnose fgfm install-session -------------------------------------------------------------------------------- */

static void
installs(void **state)
{
	static const char *const keys[] = {
	    "state",         "id",   "manager", "phase", "commands",        "done", "failed", "reversible",
	    "reversible-of", "left", "starts",  "cause", "awaits-operator", NULL};
	struct err e = ERR_NONE;
	struct cJSON *j;

	(void)state;
	assert_string_equal(text_of(cli_show_install), "State: idle\n");
	shell_begin_install();
	assert_line(cli_show_install, "State: testing");
	assert_line(cli_show_install, "Install: i-1");
	assert_line(cli_show_install, "From manager: FMG-VM0000000001");
	assert_line(cli_show_install, "Phase: waiting for a fresh session");
	assert_line(cli_show_install, "Commands: 5");
	assert_line(cli_show_install, "Failed: 2");
	assert_line(cli_show_install, "Reversible: 4 of 5 commands");
	assert_true(strstr(text_of(cli_show_install), "Time left: 900 s") ||
		    strstr(text_of(cli_show_install), "Time left: 899 s"));
	assert_keys(cli_show_install, keys);
	assert_int_equal(install_confirm(box.install, clock_mono(), &e), 0);
	box_step();
	install_tick(box.install, clock_mono());
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_non_null(strstr(text_of(cli_show_install), "State: idle\nLast install: i-1: committed: "));
	assert_non_null(strstr(text_of(cli_show_install), "receipt not delivered yet\n"));
	assert_line(cli_show_install, "Last install's dry run: 4 of 5 commands reversible");
	assert_line(cli_show_install, "Not reversible: set:2: set hostname \"new\"");
	j = json_of(cli_show_install);
	assert_non_null(json_get_object(j, "last-receipt"));
	json_free(j);
}

/* The device's own: no manager waits for it. */
static void
own_install(void **state)
{
	const struct install_request r = {.id = "own", .manager = "", .set = "", .unset = ""};
	struct err e = ERR_NONE;

	(void)state;
	box.now = clock_mono();
	assert_int_equal(install_begin(box.install, &r, box.now, &e), 0);
	box_step();
	assert_line(cli_show_install, "From manager: made on the device");
	assert_int_equal(install_confirm(box.install, clock_mono(), &e), 0);
	assert_non_null(strstr(text_of(cli_show_install), "UTC, made on the device\n"));
}

/* --- checksums ---------------------------------------------------------------------------------------------------- */

/* "`global: 7a 87 …` (16 octets) per line" */
static void
checksums(void **state)
{
	static const char *const keys[] = {"global", "root", "all", NULL};
	const char *p;

	(void)state;
	p = text_of(cli_show_checksums);
	for (size_t i = 0; keys[i]; i++) {
		size_t n = strlen(keys[i]);

		assert_memory_equal(p, keys[i], n);
		assert_memory_equal(p + n, ": ", 2);
		p += n + 2;
		for (int octet = 0; octet < 16; octet++, p += 3) {
			assert_int_equal(strspn(p, "0123456789abcdef"), 2);
			assert_int_equal(p[2], octet < 15 ? ' ' : '\n');
		}
	}
	assert_int_equal(*p, '\0');
	assert_keys(cli_show_checksums, keys);
	assert_keys(cli_show_sync, keys);
	assert_line(cli_show_sync, "Saved: yes");
	assert_line(cli_show_sync, "Told to the manager: 0 times");
	shell_begin_install();
	assert_line(cli_show_sync, "Saved: no, an install is pending");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(status, setup, teardown),
	    cmocka_unit_test_setup_teardown(connection_and_registration, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_last_manager, setup, teardown),
	    cmocka_unit_test_setup_teardown(why_it_is_down, setup, teardown),
	    cmocka_unit_test_setup_teardown(ten_slots, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_admission_is_shown, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_damaged_list_is_shown, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(installs, setup, teardown),
	    cmocka_unit_test_setup_teardown(own_install, setup, teardown),
	    cmocka_unit_test_setup_teardown(checksums, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
