/* agent/session: what is said over one connection, against a scripted manager in virtual time. */
#include "agent/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/replay/replay.h"
#include "test/unit/rollback_fixture.h"

#define AUTH_REPLY "reply 200|request=auth|serialno=" REPLAY_MANAGER
#define IP_REPLY                                                                                                       \
	"reply 200|overwrite_fmgid=1|request=ip|ip=169.254.0.2|mgmtid=247331677|register_status=1"                     \
	"|fmg_ip=192.168.48.46|keepalive_interval=300|chan_window_sz=32768|sock_timeout=900"
#define ADDRESS_CALL "address 169.254.0.2 192.168.48.46 mgmtid=247331677 overwrite"
#define NASTY "%s%n%n%100000d%p"

/* A listed manager, up to its `get ip`; then with the guide's reply, up and privileged. */
#define TO_ADDRESS                                                                                                     \
	"tcp\n"                                                                                                        \
	"tls\n"                                                                                                        \
	"device get auth\n"                                                                                            \
	"manager " AUTH_REPLY "\n"                                                                                     \
	"call judged listed\n"                                                                                         \
	"device get ip\n"
#define TO_UP                                                                                                          \
	TO_ADDRESS                                                                                                     \
	"manager reply 200|request=ip|ip=169.254.0.2|register_status=1|fmg_ip=192.168.48.46\n"                         \
	"call privileged\n"                                                                                            \
	"call address 169.254.0.2 192.168.48.46 mgmtid=\n"                                                             \
	"call up\n"                                                                                                    \
	"at 0\n"                                                                                                       \
	"device keepalive\n"

static struct replay rp;
static struct trust_list *list;

static void
set_listed(bool listed)
{
	struct cert_facts f;
	struct err e = ERR_NONE;

	trust_list_free(list);
	list = NULL;
	fixture_empty();
	assert_int_equal(mkdir(fixture_dir, 0700), 0);
	assert_int_equal(trust_list_load(fixture_path("trust-list.json"), &list, &e), 0);
	replay_facts(&f, REPLAY_MANAGER);
	if (listed)
		assert_int_equal(trust_list_add(list, &f, TRUST_REGISTER_DEVICE, 1, &e), 0);
}

static void
start(const char *name, bool listed)
{
	set_listed(listed);
	replay_start(&rp, name, list);
}

static int
setup(void **state)
{
	return fixture_setup(state);
}

static int
teardown(void **state)
{
	replay_stop(&rp);
	trust_list_free(list);
	list = NULL;
	return fixture_teardown(state);
}

/* One script, from the first step to the last. */
static void
run(const char *name, bool listed, const char *script)
{
	start(name, listed);
	replay_run(&rp, script);
	replay_stop(&rp);
}

/* --- the table (wire profile, section 3) -------------------------------------------------------------------------- */

static const struct {
	enum session_state state;
	enum session_event event;
	enum session_state next;
} listed_pairs[] = {
    {SESSION_CONNECTING, SEV_TCP_UP, SESSION_HANDSHAKE},
    {SESSION_CONNECTING, SEV_LOST, SESSION_CLOSED},
    {SESSION_CONNECTING, SEV_STOP, SESSION_CLOSING},
    {SESSION_HANDSHAKE, SEV_TLS_UP, SESSION_AUTH},
    {SESSION_HANDSHAKE, SEV_LOST, SESSION_CLOSED},
    {SESSION_HANDSHAKE, SEV_STOP, SESSION_CLOSING},
    {SESSION_AUTH, SEV_AUTH_PASSED, SESSION_ADDRESS},
    {SESSION_AUTH, SEV_AUTH_REGISTER, SESSION_REGISTER},
    {SESSION_AUTH, SEV_REFUSED, SESSION_CLOSING},
    {SESSION_AUTH, SEV_TIMEOUT, SESSION_CLOSING},
    {SESSION_AUTH, SEV_PROTOCOL, SESSION_CLOSING},
    {SESSION_AUTH, SEV_LOST, SESSION_CLOSED},
    {SESSION_AUTH, SEV_STOP, SESSION_CLOSING},
    {SESSION_REGISTER, SEV_REGISTERED, SESSION_ADDRESS},
    {SESSION_REGISTER, SEV_REFUSED, SESSION_CLOSING},
    {SESSION_REGISTER, SEV_TIMEOUT, SESSION_CLOSING},
    {SESSION_REGISTER, SEV_PROTOCOL, SESSION_CLOSING},
    {SESSION_REGISTER, SEV_LOST, SESSION_CLOSED},
    {SESSION_REGISTER, SEV_STOP, SESSION_CLOSING},
    {SESSION_ADDRESS, SEV_ADDRESS, SESSION_UP},
    {SESSION_ADDRESS, SEV_REFUSED, SESSION_CLOSING},
    {SESSION_ADDRESS, SEV_TIMEOUT, SESSION_CLOSING},
    {SESSION_ADDRESS, SEV_PROTOCOL, SESSION_CLOSING},
    {SESSION_ADDRESS, SEV_LOST, SESSION_CLOSED},
    {SESSION_ADDRESS, SEV_STOP, SESSION_CLOSING},
    {SESSION_UP, SEV_ADDRESS, SESSION_UP},
    {SESSION_UP, SEV_SILENT, SESSION_CLOSING},
    {SESSION_UP, SEV_PROTOCOL, SESSION_CLOSING},
    {SESSION_UP, SEV_LOST, SESSION_CLOSED},
    {SESSION_UP, SEV_STOP, SESSION_CLOSING},
    {SESSION_CLOSING, SEV_STOP, SESSION_CLOSING},
    {SESSION_CLOSING, SEV_LOST, SESSION_CLOSED},
};

static bool
expected_next(enum session_state s, enum session_event e, enum session_state *next)
{
	for (size_t i = 0; i < sizeof(listed_pairs) / sizeof(listed_pairs[0]); i++) {
		if (listed_pairs[i].state == s && listed_pairs[i].event == e) {
			*next = listed_pairs[i].next;
			return true;
		}
	}
	return false;
}

static void
every_pair_of_the_table(void **state)
{
	(void)state;
	for (int s = 0; s < SESSION_STATES; s++) {
		for (int e = 0; e < SESSION_EVENTS; e++) {
			enum session_state want = SESSION_STATES, got = SESSION_STATES;
			bool listed = expected_next(s, e, &want);

			if (session_next(s, e, &got) != listed || got != want)
				fail_msg("%s in %s", session_event_name(e), session_state_name(s));
		}
	}
}

/* Brings a session into a state. With `admitted` by way of register-device. */
static void
drive(enum session_state s, bool admitted)
{
	struct err why = {-ECONNRESET, "reset"};

	if (s >= SESSION_HANDSHAKE)
		session_on_tcp(rp.session, rp.now);
	if (s >= SESSION_AUTH)
		session_on_tls(rp.session, rp.now);
	if (s >= SESSION_REGISTER)
		replay_manager(&rp, AUTH_REPLY);
	if (s >= SESSION_ADDRESS && admitted)
		replay_manager(&rp, "reply 200|request=dev_register");
	if (s >= SESSION_UP)
		replay_manager(&rp, "reply 200|request=ip|register_status=1");
	replay_to(&rp, rp.now);
	if (s >= SESSION_CLOSING)
		session_stop(rp.session, "enough", rp.now);
	if (s >= SESSION_CLOSED)
		session_on_closed(rp.session, &why, rp.now);
	if (session_state(rp.session) != s)
		fail_msg("cannot bring a session to %s: %s", session_state_name(s), session_reason(rp.session));
	replay_forget(&rp);
}

/* The outside's doing that stands for each event. */
static void
cause(enum session_state s, enum session_event ev)
{
	static const char *const refusals[SESSION_STATES] = {
	    [SESSION_AUTH] = "reply 403|request=auth", [SESSION_REGISTER] = "reply 403|request=dev_register"};
	struct err why = {-ECONNRESET, "reset"};

	switch (ev) {
	case SEV_TCP_UP:
		session_on_tcp(rp.session, rp.now);
		break;
	case SEV_TLS_UP:
		session_on_tls(rp.session, rp.now);
		break;
	case SEV_AUTH_PASSED:
	case SEV_AUTH_REGISTER:
		replay_manager(&rp, AUTH_REPLY);
		break;
	case SEV_REGISTERED:
		replay_manager(&rp, "reply 200|request=dev_register");
		break;
	case SEV_ADDRESS:
		replay_manager(&rp, "reply 200|request=ip|register_status=1");
		break;
	case SEV_REFUSED:
		replay_manager(&rp, refusals[s] ? refusals[s] : "reply 403|request=ip");
		break;
	case SEV_TIMEOUT:
		replay_pass(&rp, 60 * 1000);
		break;
	case SEV_SILENT:
		/* nothing waits for longer than a minute before a session is up */
		replay_pass(&rp, s < SESSION_UP ? 60 * 1000 - 1 : 360 * 1000);
		break;
	case SEV_PROTOCOL:
		replay_frame(&rp, FRAME_MESSAGE, "no end", 6);
		break;
	case SEV_LOST:
		session_on_closed(rp.session, &why, rp.now);
		break;
	case SEV_STOP:
		session_stop(rp.session, "enough", rp.now);
		break;
	default:
		fail();
	}
}

static void
walk_one(enum session_state s, enum session_event ev)
{
	enum session_state want = s;
	bool admitted = s == SESSION_REGISTER || ev == SEV_AUTH_REGISTER, expected, was_privileged;
	char name[64];
	mono_t since;

	snprintf(name, sizeof(name), "%s in %s", session_event_name(ev), session_state_name(s));
	start(name, !admitted);
	rp.admitted = admitted ? REPLAY_MANAGER : NULL;
	drive(s, admitted);
	if (ev == SEV_SILENT && s == SESSION_UP) {
		replay_manager(&rp, "keepalive");
		replay_forget(&rp);
	}
	since = session_since(rp.session);
	was_privileged = session_privileged(rp.session);
	cause(s, ev);
	/* before authentication every message but the awaited reply breaks the rules */
	if (s == SESSION_AUTH && (ev == SEV_REGISTERED || ev == SEV_ADDRESS))
		ev = SEV_PROTOCOL;
	expected = expected_next(s, ev, &want);
	if (session_state(rp.session) != want)
		fail_msg("%s: now %s", name, session_state_name(session_state(rp.session)));
	if (!expected && (session_since(rp.session).ms != since.ms ||
			  session_privileged(rp.session) != was_privileged || strcmp(replay_next(&rp), "(nothing)")))
		fail_msg("%s: something happened: %s", name, rp.lines[rp.seen - 1]);
	if (want == SESSION_CLOSING && s != SESSION_CLOSING && strcmp(rp.lines[rp.count - 1], "close"))
		fail_msg("%s: the connection is not closed", name);
	if (want == SESSION_CLOSED && s != SESSION_CLOSED && strcmp(replay_next(&rp), "down"))
		fail_msg("%s: nobody is told", name);
	if (want >= SESSION_CLOSING) {
		assert_false(session_privileged(rp.session));
		assert_int_equal(session_deadline(rp.session).ms, MONO_NEVER.ms);
	}
	replay_stop(&rp);
}

static void
every_pair_of_the_machine(void **state)
{
	(void)state;
	for (int s = 0; s < SESSION_STATES; s++) {
		for (int e = 0; e < SESSION_EVENTS; e++)
			walk_one(s, e);
	}
}

/* --- before authentication ---------------------------------------------------------------------------------------- */

static void
keys_stand_in_their_order(void **state)
{
	(void)state;
	run("identity", false,
	    "state connecting\n"
	    "tcp\n"
	    "state handshake\n"
	    "nothing\n"
	    "tls\n"
	    "device get auth|serialno=FGVM010000000001|platform=FortiGate-60E|hostname=gate"
	    "|mgmtid=00000000-0000-0000-0000-000000000000|fos_ver=700|minor=2|patch=4|build=1396|branch=1396|maxvdom=2"
	    "|fg_ip=192.0.2.81|harddisk=yes|harddisk_size=0|logdisk_size=0|biover=04000002|mgmt_mode=normal|enc_flags=0"
	    "|mgmtip=192.0.2.81|mgmtport=443|.\n"
	    "state authentication\n"
	    "manager " AUTH_REPLY "|keepalive_interval=120|chan_window_sz=32768|sock_timeout=360|user=admin|passwd=x\n"
	    "call judged first-contact\n"
	    "device get ip|serialno=FGVM010000000001|platform=FortiGate-60E|hostname=gate"
	    "|mgmtid=00000000-0000-0000-0000-000000000000|fos_ver=700|minor=2|patch=4|build=1396|branch=1396|maxvdom=2"
	    "|fg_ip=192.0.2.81|harddisk=yes|harddisk_size=0|logdisk_size=0|biover=04000002|mgmt_mode=normal|enc_flags=0"
	    "|mgmtip=192.0.2.81|mgmtport=443|first_fmgid=|probe_mode=yes|vdom=root|intf=wan1|.\n"
	    "state address\n"
	    "log [fgfm_msg_put_tuninfo] vdom='root', physical_intf=, intf='wan1'\n"
	    "log passwd=******\n"
	    "log user=******\n");
}

static void
identity_of_a_registered_device(void **state)
{
	(void)state;
	start("registered", true);
	rp.identity.mgmtid = "247331677";
	rp.identity.first_fmgid = REPLAY_MANAGER;
	rp.identity.os_version = "7.x";
	replay_run(&rp, "tcp\n"
			"tls\n"
			"device get auth|mgmtid=247331677|fos_ver=700|minor=0|patch=0\n"
			"manager " AUTH_REPLY "\n"
			"call judged listed\n"
			"device get ip|mgmtid=247331677|first_fmgid=" REPLAY_MANAGER "|probe_mode=no\n");
	replay_stop(&rp);
}

/* "Before authentication anything but a valid reply to `get auth` ends the connection." */
static void
anything_else_before_authentication_ends_it(void **state)
{
	static const struct {
		const char *what, *step, *reason;
	} rows[] = {
	    {"keep-alive", "manager keepalive|os_ver=7", "before authentication"},
	    {"request", "manager get file_exchange|localid=1|file_exch_cmd=get_config", "before authentication"},
	    {"shell", "manager get connect_tcp|cmd=id", "before authentication"},
	    {"channel", "manager channel|remoteid=1|:x", "before authentication"},
	    {"packet", "packet 4500001400000000400000007f0000017f000001", "before authentication"},
	    {"other reply", "manager reply 200|request=ip|register_status=1", "before authentication"},
	    {"reply to nothing", "manager reply 200", "before authentication"},
	    {"no code", "manager reply|request=auth", "three digits"},
	    {"code of a word", "manager reply ok|request=auth", "three digits"},
	    {"code too small", "manager reply 99|request=auth", "three digits"},
	    {"code too large", "manager reply 1000|request=auth", "three digits"},
	    {"unknown verb", "manager put auth|request=auth", "before authentication"},
	    {"refusal", "manager reply 401|request=auth|reason=go away", "answered get auth with 401: go away"},
	    {"refusal without words", "manager reply 500|request=auth", "answered get auth with 500"},
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(script, sizeof(script),
			 "tcp\ntls\ndevice get auth\n%s\ncall close\nstate closing\nprivileged no\nreason %s\n"
			 "manager " AUTH_REPLY "\nnothing\nlost closed\ncall down\nstate closed\nreason %s\n",
			 rows[i].step, rows[i].reason, rows[i].reason);
		run(rows[i].what, true, script);
	}
}

static void
the_three_checks(void **state)
{
	static const struct {
		const char *what, *serial, *issuer, *reply, *pin, *reason;
		uint32_t flags;
	} rows[] = {
	    {"another serial in the reply", NULL, NULL, "FMG-VM0000000002", NULL,
	     "authentication failed: serialno \"FMG-VM0000000002\" in the reply differs from \"" REPLAY_MANAGER "\"",
	     0},
	    {"no serial in the reply", NULL, NULL, "", NULL, "serialno \"\" in the reply differs", 0},
	    {"not in the list", "FMG-VM0000000002", NULL, "FMG-VM0000000002", NULL,
	     "connection denied; sn FMG-VM0000000002 is not in the current list", 0},
	    {"another issuer", NULL, "c", REPLAY_MANAGER, NULL, "the certificate's issuer key is cccc", 0},
	    {"bad certificate", NULL, NULL, REPLAY_MANAGER, NULL, "authentication failed: ", 1},
	    {"directives", NULL, NULL, NASTY, NULL, "serialno \"" NASTY "\" in the reply differs", 0},
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what, true);
		if (rows[i].serial)
			replay_facts(&rp.peer.facts, rows[i].serial);
		if (rows[i].issuer)
			memset(rp.peer.facts.issuer_key, rows[i].issuer[0], CERT_DIGEST_TEXT - 1);
		rp.peer.flags = rows[i].flags;
		snprintf(script, sizeof(script),
			 "tcp\ntls\ndevice get auth\n"
			 "manager reply 200|request=auth|serialno=%s|keepalive_interval=30|register_status=1\n"
			 "call judged denied\ncall close\nstate closing\nreason %s\ntimers 120 360 32768\n"
			 "log [auth] check 1, serial number\nlog [auth] check 2, trusted list\n"
			 "log [auth] check 3, certificate\n",
			 rows[i].reply, rows[i].reason);
		replay_run(&rp, script);
		replay_stop(&rp);
	}
}

/* A chain that does not verify ends the handshake; the verdict still names what could be checked. */
static void
a_bad_chain_is_judged_too(void **state)
{
	(void)state;
	start("bad chain", true);
	rp.peer.flags = 1;
	replay_run(&rp, "tcp\n"
			"lost the handshake failed\n"
			"call judged denied\n"
			"call down\n"
			"state closed\n"
			"turned-away no\n"
			"reason authentication failed\n"
			"log check 1, serial number: not made\n"
			"log check 2, trusted list: passed\n"
			"log check 3, certificate: failed\n");
	replay_stop(&rp);
	start("no certificate seen", true);
	rp.peer.seen = false;
	replay_run(&rp, "tcp\nlost reset by peer\ncall down\nstate closed\nreason reset by peer\n");
	replay_stop(&rp);
}

static void
pins_admit_only_their_own(void **state)
{
	(void)state;
	start("pinned to another", false);
	rp.pins[0] = "FMG-VM0000000009";
	rp.pin_count = 1;
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged denied\ncall close\n"
			"reason not one of the 1 configured serial numbers\n");
	replay_stop(&rp);
	start("pinned", false);
	rp.pins[0] = REPLAY_MANAGER;
	rp.pin_count = 1;
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged first-contact\ndevice get ip\n"
			"manager " IP_REPLY "\ncall enrol pinned 0\ncall privileged\ncall " ADDRESS_CALL "\ncall up\n");
	replay_stop(&rp);
}

/* --- a manager that has opened the connection --------------------------------------------------------------------- */

static void
log_in(const char *what, bool listed, const char *login, const char *script)
{
	start(what, listed);
	rp.login = login;
	replay_reconnect(&rp);
	replay_run(&rp, script);
	replay_stop(&rp);
}

/* Wire profile, section 4: with an empty list its first contact takes a local administrator's credentials. */
static void
first_contact_of_a_manager_that_dials(void **state)
{
	(void)state;
	log_in("right", false, "admin:right",
	       "tcp\ntls\ndevice get auth\n"
	       "manager " AUTH_REPLY "|user=admin|passwd=right\n"
	       "call judged first-contact\n"
	       "device get ip\n"
	       "manager " IP_REPLY "\n"
	       "call enrol manager-initiated 0\ncall privileged\ncall " ADDRESS_CALL "\ncall up\n");
	log_in("wrong", false, "admin:right",
	       "tcp\ntls\ndevice get auth\n"
	       "manager " AUTH_REPLY "|user=admin|passwd=wrong\n"
	       "call judged denied\ncall close\n"
	       "reason user and password are not a local administrator's\n"
	       "nolog wrong\n");
	log_in("nothing", false, "admin:right",
	       "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged denied\ncall close\n"
	       "reason user and password are not a local administrator's\n");
	log_in("locked", false, "locked",
	       "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "|user=admin|passwd=right\n"
	       "call judged denied\ncall close\nreason too many logins have failed\n");
	log_in("listed already", true, "locked",
	       "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged listed\ndevice get ip\n");
}

static void
only_a_registered_managers_versions_are_heard(void **state)
{
	(void)state;
	start("registered", true);
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged listed\ndevice get ip\n"
			"manager " IP_REPLY "\ncall privileged\ncall " ADDRESS_CALL "\ncall up\n");
	replay_run(&rp, "manager keepalive|os_ver=8.0|avdb=91\ndevice reply 200|request=keepalive\n");
	assert_int_equal(rp.versions, 1);
	replay_stop(&rp);
	start("not registered", true);
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged listed\ndevice get ip\n"
			"manager reply 200|request=ip|register_status=0\ncall up\n"
			"manager keepalive|os_ver=8.0|avdb=91\ndevice reply 200|request=keepalive\n");
	assert_int_equal(rp.versions, 0);
	replay_stop(&rp);
}

/* --- registration ------------------------------------------------------------------------------------------------- */

/* Wire profile, section 4: first contact is unprivileged until `register_status=1`; then the list, then privilege. */
static void
first_contact(void **state)
{
	(void)state;
	run("first contact", false,
	    "tcp\n"
	    "tls\n"
	    "device get auth\n"
	    "manager " AUTH_REPLY "\n"
	    "call judged first-contact\n"
	    "device get ip|first_fmgid=|probe_mode=yes\n"
	    "manager reply 200|request=ip|ip=169.254.0.2|register_status=0|fmg_ip=192.168.48.46\n"
	    "call up\n"
	    "state up\n"
	    "privileged no\n"
	    "at 0\n"
	    "device keepalive\n"
	    /* nothing of it has any effect */
	    "manager get file_exchange|localid=1|file_exch_cmd=get_config\n"
	    "device reply 401|request=file_exchange|reason=*\n"
	    "manager get file_exchange|localid=1|file_exch_cmd=put_config|install_id=i\n"
	    "device reply 401|request=file_exchange\n"
	    "manager get connect_tcp|cmd=id\n"
	    "device reply 401|request=connect_tcp\n"
	    "manager get auth\n"
	    "device reply 401|request=auth\n"
	    "manager frobnicate\n"
	    "device reply 401|request=frobnicate\n"
	    "manager channel|remoteid=1|:5\\nhello\n"
	    "packet 4500001400000000400000007f0000017f000001\n"
	    "nothing\n"
	    "count refused-requests 6\n"
	    "count refused-packets 1\n"
	    "count packets-in 0\n"
	    "manager keepalive\n"
	    "device reply 200|request=keepalive|.\n"
	    /* the manager's administrator takes it in */
	    "at 40\n"
	    "manager " IP_REPLY "\n"
	    "call enrol first-contact 0\n"
	    "call privileged\n"
	    "call " ADDRESS_CALL "\n"
	    "privileged yes\n"
	    "state up\n"
	    "manager get file_exchange|localid=1\n"
	    "call request file_exchange\n"
	    "packet 4500001400000000400000007f0000017f000001\n"
	    "call packet in 20\n"
	    "count packets-in 1\n");
	assert_int_equal(trust_list_count(list), 1);
}

/* No packet goes out, either. One that has to wait is no loss. */
static void
no_packet_leaves_unprivileged(void **state)
{
	(void)state;
	start("packets", false);
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged first-contact\ndevice get ip\n"
			"manager reply 200|request=ip\ncall up\nat 0\ndevice keepalive\n");
	assert_null(session_packet_room(rp.session, 1500));
	replay_run(&rp, "count packets-dropped 1\ncount packets-out 0\nmanager " IP_REPLY
			"\ncall enrol first-contact 0\ncall privileged\ncall " ADDRESS_CALL "\n");
	assert_ptr_equal(session_packet_room(rp.session, 1500), rp.packet);
	session_packet_ready(rp.session, 20);
	rp.send_rc = -ENOBUFS;
	assert_null(session_packet_room(rp.session, 1500));
	replay_run(&rp, "call packet out 20\ncount packets-dropped 1\ncount packets-out 1\n");
	replay_stop(&rp);
}

/* "if the list cannot be written it stays unprivileged" */
static void
a_list_that_cannot_be_written(void **state)
{
	(void)state;
	start("disk full", false);
	rp.enrol_rc = -ENOSPC;
	replay_run(&rp, "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged first-contact\ndevice get ip\n"
			"manager " IP_REPLY "\ncall enrol first-contact -28\ncall up\nstate up\nprivileged no\n"
			"at 0\ndevice keepalive\n"
			"log stays unprivileged: trust-list.json: No space left on device\n"
			"manager get file_exchange\ndevice reply 401|request=file_exchange\n");
	rp.enrol_rc = 0;
	replay_run(&rp, "manager " IP_REPLY "\ncall enrol first-contact 0\ncall privileged\ncall " ADDRESS_CALL "\n");
	replay_stop(&rp);
}

/* "A listed manager whose reply lacks `register_status=1` stays listed, unprivileged." */
static void
other_register_statuses(void **state)
{
	static const struct {
		const char *what, *key;
		bool privileged;
	} rows[] = {
	    {"absent", "", false},
	    {"empty", "|register_status=", false},
	    {"0", "|register_status=0", false},
	    {"2", "|register_status=2", false},
	    {"01", "|register_status=01", false},
	    {"true", "|register_status=true", false},
	    {"a space after it", "|register_status=1 ", false},
	    {"the first of two counts", "|register_status=0|register_status=1", false},
	    {"directives", "|register_status=" NASTY, false},
	    {"1", "|register_status=1", true},
	    {"the first of two counts, again", "|register_status=1|register_status=0", true},
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(script, sizeof(script),
			 TO_ADDRESS "manager reply 200|request=ip|ip=169.254.0.2%s\n%sstate up\n", rows[i].key,
			 rows[i].privileged
			     ? "call privileged\ncall address 169.254.0.2 - mgmtid=\ncall up\nprivileged yes\n"
			     : "call up\nprivileged no\n");
		run(rows[i].what, true, script);
		assert_int_equal(trust_list_count(list), 1);
	}
}

static int
on_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)n;
	(void)e;
	return 0;
}

static int
on_end(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

static void
on_channel_closed(void *ctx, int code, const char *reason)
{
	snprintf(ctx, 128, "%d %s", code, reason);
}

/* Registered, then no longer: privilege, tunnel address and channels go; then registered again. */
static void
registration_taken_back(void **state)
{
	char closed[128] = "";
	const struct channel_ops ops = {.ctx = closed, .data = on_data, .end = on_end, .closed = on_channel_closed};

	(void)state;
	start("taken back", true);
	replay_run(&rp, TO_UP);
	assert_non_null(channel_accept(session_channels(rp.session), 7, 4096, &ops, rp.now));
	/* an update that speaks of something else takes nothing back */
	replay_run(&rp, "channels 1\nmanager reply 200|request=ip|ip=169.254.0.3|keepalive_interval=120\n"
			"call address 169.254.0.3 - mgmtid=\nprivileged yes\nchannels 1\n"
			"manager reply 200|request=ip|ip=169.254.0.3|register_status=0\n"
			"call address - - mgmtid=\nprivileged no\nstate up\nchannels 0\n"
			"manager get file_exchange\ndevice reply 401|request=file_exchange\n"
			"packet 4500001400000000400000007f0000017f000001\n"
			"manager channel|remoteid=1|:1\\nx\nnothing\ncount refused-packets 1\n"
			"manager reply 200|request=ip|ip=169.254.0.4|register_status=1\n"
			"call privileged\ncall address 169.254.0.4 - mgmtid=\nprivileged yes\n");
	assert_string_equal(closed, "500 the device is no longer registered");
	assert_int_equal(trust_list_count(list), 1);
	replay_stop(&rp);
}

/* An update without `ip` leaves the tunnel's address as it is; an empty one takes it away. */
static void
updates_of_the_address(void **state)
{
	(void)state;
	run("updates", true,
	    TO_UP "manager reply 200|request=ip|keepalive_interval=60\nnothing\ntimers 60 360 32768\n"
		  "manager reply 200|request=ip|ip=\ncall address - - mgmtid=\n"
		  "manager reply 200|request=ip|ip=169.254.0.9|fmg_ip=169.254.0.1|mgmtid=5\n"
		  "call address 169.254.0.9 169.254.0.1 mgmtid=5\nprivileged yes\n");
}

/* A refusal of an update that nobody asked for changes nothing. */
static void
an_update_with_a_bad_code(void **state)
{
	(void)state;
	run("update", true, TO_UP "manager reply 403|request=ip|ip=169.254.0.9\nnothing\nstate up\nprivileged yes\n");
}

/* Wire profile, section 4: `get dev_register` after the checks, a `reply 200` registers. */
static void
register_device(void **state)
{
	static const struct {
		const char *what, *rest;
		int enrol_rc;
		size_t listed;
	} rows[] = {
	    {"registered",
	     "manager reply 200|request=dev_register\ncall enrol register-device 0\ndevice get ip|probe_mode=no\n"
	     "state address\nmanager " IP_REPLY "\ncall privileged\ncall " ADDRESS_CALL "\ncall up\n",
	     0, 1},
	    {"registered, not by register_status",
	     "manager reply 200|request=dev_register\ncall enrol register-device 0\ndevice get ip\n"
	     "manager reply 200|request=ip\ncall up\nprivileged no\n",
	     0, 1},
	    {"list not written",
	     "manager reply 200|request=dev_register\ncall enrol register-device -30\ncall close\nstate closing\n"
	     "reason could not be put into the trusted list\n",
	     -EROFS, 0},
	    {"refused",
	     "manager reply 403|request=dev_register|reason=wrong password\ncall close\nturned-away yes\n"
	     "reason get dev_register with 403: wrong password\n",
	     0, 0},
	    {"no answer", "at 59.999\nnothing\nat 60\ncall close\nreason no reply to a request within 60 seconds\n", 0,
	     0},
	    {"unprivileged meanwhile",
	     "manager get file_exchange\ndevice reply 401|request=file_exchange\n"
	     "packet 4500001400000000400000007f0000017f000001\nnothing\n"
	     "manager reply 200|request=ip|register_status=1\nnothing\ncount stray-replies 1\nstate registration\n",
	     0, 0},
	};
	char script[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what, false);
		rp.admitted = REPLAY_MANAGER;
		rp.enrol_rc = rows[i].enrol_rc;
		snprintf(script, sizeof(script),
			 "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY "\ncall judged register\n"
			 "device get dev_register|serialno=" REPLAY_DEVICE "|fmg_serialno=" REPLAY_MANAGER
			 "|regist_passwd=" REPLAY_PASSWORD "|.\nstate registration\n%s"
			 "nolog " REPLAY_PASSWORD "\nlog regist_passwd=******\n",
			 rows[i].rest);
		replay_run(&rp, script);
		assert_int_equal(trust_list_count(list), rows[i].listed);
		replay_stop(&rp);
	}
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

static void
timers_are_clamped(void **state)
{
	static const struct {
		const char *what, *keys, *timers, *log;
	} rows[] = {
	    {"none", "", "120 360 32768", NULL},
	    {"the guide's", "|keepalive_interval=300|chan_window_sz=32768|sock_timeout=900", "300 900 32768",
	     "[__chg_by_fgfm_msg] set keepalive_interval: 300\n"
	     "FGFMs: [__chg_by_fgfm_msg] set channel buffer/window size to 32768 bytes\n"
	     "FGFMs: [__chg_by_fgfm_msg] set sock timeout: 900\n"},
	    {"lowest", "|keepalive_interval=30|chan_window_sz=4096|sock_timeout=90", "30 90 4096", NULL},
	    {"highest", "|keepalive_interval=600|chan_window_sz=65536|sock_timeout=1800", "600 1800 65536", NULL},
	    {"interval too low", "|keepalive_interval=29", "30 360 32768",
	     "keepalive_interval out of range: 30 to 600 expected, got 29; 30 is used"},
	    {"interval 0", "|keepalive_interval=0", "30 360 32768", "got 0; 30 is used"},
	    {"interval too high", "|keepalive_interval=601", "600 360 32768", "got 601; 600 is used"},
	    {"time-out too low", "|sock_timeout=89", "120 90 32768",
	     "sock_timeout out of range: 90 to 1800 expected, got 89; 90 is used"},
	    {"time-out too high", "|sock_timeout=1801", "120 1800 32768", "got 1801; 1800 is used"},
	    {"window too low", "|chan_window_sz=4095", "120 360 4096",
	     "chan_window_sz out of range: 4096 to 65536 expected, got 4095; 4096 is used"},
	    {"window too high", "|chan_window_sz=65537", "120 360 65536", "got 65537; 65536 is used"},
	    {"over 32 bits", "|keepalive_interval=4294967297", "600 360 32768", "got 4294967297; 600 is used"},
	    {"over 64 bits", "|sock_timeout=99999999999999999999999", "120 1800 32768", "; 1800 is used"},
	    {"negative", "|keepalive_interval=-1", "120 360 32768",
	     "keepalive_interval: a number expected, got \"-1\": ignored"},
	    {"empty", "|sock_timeout=", "120 360 32768", "sock_timeout: a number expected, got \"\""},
	    {"hexadecimal", "|chan_window_sz=0x2000", "120 360 32768", "a number expected"},
	    {"with a unit", "|sock_timeout=900s", "120 360 32768", "a number expected"},
	    {"directives", "|keepalive_interval=" NASTY, "120 360 32768", "got \"" NASTY "\": ignored"},
	};
	char script[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int in_ip = 0; in_ip < 2; in_ip++) {
			snprintf(script, sizeof(script),
				 "tcp\ntls\ndevice get auth\nmanager " AUTH_REPLY
				 "%s\ncall judged listed\ndevice get ip\n"
				 "manager reply 200|request=ip%s\ncall up\ntimers %s\n",
				 in_ip ? "" : rows[i].keys, in_ip ? rows[i].keys : "", rows[i].timers);
			start(rows[i].what, true);
			replay_run(&rp, script);
			if (rows[i].log && !replay_logged(&rp, rows[i].log))
				fail_msg("%s: not in the log: %s", rows[i].what, rows[i].log);
			assert_int_equal(channels_window(session_channels(rp.session)),
					 session_timers(rp.session)->window);
			replay_stop(&rp);
		}
	}
}

static void
keepalives_have_their_schedule(void **state)
{
	(void)state;
	run("schedule", true,
	    TO_UP "at 119.999\n"
		  "nothing\n"
		  "at 120\n"
		  "device keepalive|checksum=" REPLAY_CHECKSUM
		  "|os_ver=7.2.4|platform=FortiGate-60E|avdb=0.00000|ipsdb=1.00002|uptime=1120|.\n"
		  "at 239\n"
		  "nothing\n"
		  "at 240\n"
		  "device keepalive\n"
		  /* a shorter interval counts from now, a longer one from the next on */
		  "at 250\n"
		  "manager reply 200|request=ip|register_status=1|keepalive_interval=30\n"
		  "at 279.999\n"
		  "nothing\n"
		  "at 280\n"
		  "device keepalive\n"
		  "manager reply 200|request=ip|register_status=1|keepalive_interval=600\n"
		  "at 310\n"
		  "device keepalive\n"
		  "at 909\n"
		  "nothing\n"
		  "at 910\n"
		  "device keepalive\n"
		  "count keepalives-out 6\n"
		  "state up\n");
}

/* The checksum reaches the manager soon after a change; a burst of changes is one keep-alive. */
static void
a_change_is_told(void **state)
{
	(void)state;
	start("change", true);
	session_config_changed(rp.session, rp.now);
	assert_int_equal(session_deadline(rp.session).ms, MONO_NEVER.ms);
	replay_run(&rp, TO_UP "at 50\n");
	rp.identity.checksum = "00 11";
	session_config_changed(rp.session, rp.now);
	replay_run(&rp, "at 50.3\n");
	session_config_changed(rp.session, rp.now);
	replay_run(&rp,
		   "nothing\nat 50.5\ndevice keepalive|checksum=00 11\nat 51\nnothing\nat 170.5\ndevice keepalive\n");
	replay_stop(&rp);
}

/* Silence counts once a keep-alive or an answer to one was seen, and any valid frame ends it. */
static void
silence(void **state)
{
	static const struct {
		const char *what, *script;
	} rows[] = {
	    {"never any keep-alive",
	     TO_UP "at 0\nmanager reply 200|request=ip|register_status=1|keepalive_interval=600\n"
		   "at 120\ndevice keepalive\nat 720\ndevice keepalive\n"
		   "at 1320\ndevice keepalive\nat 1900\nstate up\n"},
	    {"a keep-alive of its own",
	     TO_UP "manager keepalive|os_ver=7\ndevice reply 200|request=keepalive|.\n"
		   "at 120\ndevice keepalive\nat 240\ndevice keepalive\nat 359.999\nstate up\nat 360\ncall close\n"
		   "reason nothing heard from the manager for 360 seconds\nstate closing\n"},
	    {"an answer",
	     TO_UP "at 10\nmanager reply 200|request=keepalive\nat 120\ndevice keepalive\nat 240\ndevice keepalive\n"
		   "at 360\ndevice keepalive\nat 369.999\nstate up\nat 370\ncall close\nreason nothing heard\n"},
	    {"answers nobody asked for do not count",
	     TO_UP "manager reply 200|request=keepalive\ncount stray-replies 0\ncount keepalive-replies 1\n"
		   "manager reply 200|request=keepalive\ncount stray-replies 1\ncount keepalive-replies 1\n"},
	    {"any valid frame",
	     TO_UP "manager keepalive\ndevice reply 200|request=keepalive\n"
		   "at 120\ndevice keepalive\nat 240\ndevice keepalive\nat 350\n"
		   "packet 4500001400000000400000007f0000017f000001\ncall packet in 20\nat 360\ndevice keepalive\n"
		   "at 480\ndevice keepalive\nat 600\ndevice keepalive\nat 700\nmanager reply 200|request=nothing\n"
		   "at 720\ndevice keepalive\nat 840\ndevice keepalive\nat 960\ndevice keepalive\nat 1050\n"
		   "manager channel|remoteid=9\nat 1080\ndevice keepalive\nat 1200\ndevice keepalive\n"
		   "at 1320\ndevice keepalive\nat 1409.999\nstate up\nat 1410\ncall close\nreason nothing heard\n"},
	    {"the manager's time-out",
	     TO_UP "manager reply 200|request=ip|register_status=1|sock_timeout=90\n"
		   "manager keepalive\ndevice reply 200|request=keepalive\nat 89.999\nstate up\nat 90\ncall close\n"
		   "reason for 90 seconds\n"},
	    {"unprivileged, too",
	     TO_ADDRESS "manager reply 200|request=ip\ncall up\nat 0\ndevice keepalive\nmanager keepalive\n"
			"device reply 200|request=keepalive\nat 120\ndevice keepalive\nat 240\ndevice keepalive\n"
			"at 360\ncall close\nreason nothing heard\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run(rows[i].what, true, rows[i].script);
}

static void
replies_have_their_time(void **state)
{
	(void)state;
	run("get auth", true,
	    "tcp\ntls\ndevice get auth\nat 59.999\nnothing\nat 60\ncall close\nstate closing\nturned-away no\n"
	    "reason no reply to a request within 60 seconds\nlost closed\ncall down\nstate closed\n"
	    "at 5000\nnothing\n");
	run("get ip", true,
	    TO_ADDRESS "at 59.999\nnothing\nat 60\ncall close\nreason no reply to a request within 60 seconds\n");
	run("each its own", true,
	    "tcp\nat 50\ntls\ndevice get auth\nat 109\nmanager " AUTH_REPLY "\ncall judged listed\ndevice get ip\n"
	    "at 168.999\nnothing\nat 169\ncall close\n");
	run("keep-alives do not prolong it", true,
	    TO_ADDRESS "at 30\nmanager keepalive\ndevice reply 200|request=keepalive\nat 60\ncall close\n");
	run("answered", true, TO_UP "at 60\nstate up\n");
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void
stray_replies_are_counted(void **state)
{
	(void)state;
	run("stray", true,
	    TO_ADDRESS
	    "manager " AUTH_REPLY "\nmanager reply 200|request=dev_register\nmanager reply 200\n"
	    "manager reply 500|request=auth\nmanager reply 200|request=keepalive\n"
	    "manager reply 200|request=file_exchange|remoteid=1|localid=1\nnothing\ncount stray-replies 6\n"
	    "state address\nlog a reply nobody asked for: ignored\n"
	    "manager " IP_REPLY "\ncall privileged\ncall " ADDRESS_CALL "\ncall up\nat 0\ndevice keepalive\n"
	    "manager reply 200|request=auth|serialno=FMG-VM0000000666\nmanager reply 200|request=connect_tcp\n"
	    "manager reply 404|request=" NASTY "\nnothing\ncount stray-replies 9\nprivileged yes\n");
}

static void
codes_are_three_digits(void **state)
{
	static const char *const codes[] = {
	    "", " 1", " 20", " 99", " 1000", " abc", " -200", " 2oo", " 18446744073709551816"};
	char script[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(script, sizeof(script),
			 TO_UP "manager reply%s|request=keepalive\ncall close\nreason three digits\n", codes[i]);
		run(codes[i], true, script);
	}
}

static void
refusals_of_get_ip(void **state)
{
	(void)state;
	run("403", true,
	    TO_ADDRESS "manager reply 403|request=ip|reason=one session only\ncall close\nstate closing\n"
		       "turned-away yes\nreason the manager answered get ip with 403: one session only\n"
		       "lost closed\ncall down\nreason one session only\n");
	run("201 is a failure, too", true, TO_ADDRESS "manager reply 201|request=ip\ncall close\nturned-away yes\n");
	run("a close instead", true,
	    TO_ADDRESS
	    "lost closed by the peer\ncall down\nstate closed\nturned-away yes\nreason closed by the peer\n");
	run("our own close", true,
	    TO_UP "stop replaced\ncall close\nlost closed\ncall down\nturned-away no\n"
		  "reason replaced\n");
}

static void
addresses(void **state)
{
	static const struct {
		const char *what, *keys, *call; /* NULL: the session ends */
	} rows[] = {
	    {"none", "", "- - mgmtid="},
	    {"empty", "|ip=|fmg_ip=", "- - mgmtid="},
	    {"any", "|ip=0.0.0.0|fmg_ip=::", "- - mgmtid="},
	    {"IPv6", "|ip=fd00::2|fmg_ip=fd00::1", "fd00::2 fd00::1 mgmtid="},
	    {"no address", "|ip=gate", NULL},
	    {"with a length", "|ip=169.254.0.2/16", NULL},
	    {"leading zero", "|ip=169.254.0.02", NULL},
	    {"three numbers", "|ip=169.254.2", NULL},
	    {"a space", "|ip= 169.254.0.2", NULL},
	    {"loopback", "|ip=127.0.0.1", NULL},
	    {"loopback of the manager", "|ip=169.254.0.2|fmg_ip=127.1.2.3", NULL},
	    {"IPv6 loopback", "|ip=::1", NULL},
	    {"multicast", "|ip=224.0.0.1", NULL},
	    {"broadcast", "|fmg_ip=255.255.255.255", NULL},
	    {"IPv6 multicast", "|fmg_ip=ff02::1", NULL},
	    {"zone", "|ip=fe80::1%wan1", NULL},
	    {"directives", "|ip=" NASTY, NULL},
	    {"decimal id", "|mgmtid=247331677", "- - mgmtid=247331677"},
	    {"UUID", "|mgmtid=6d5b0d8a-8d0e-51ee-9a3b-0CC47A112233", "- - mgmtid=6d5b0d8a-8d0e-51ee-9a3b-0CC47A112233"},
	    {"nil UUID", "|mgmtid=00000000-0000-0000-0000-000000000000|overwrite_fmgid=1",
	     "- - mgmtid=00000000-0000-0000-0000-000000000000 overwrite"},
	    {"overwrite is 1 only", "|mgmtid=1|overwrite_fmgid=yes", "- - mgmtid=1"},
	    {"no id", "|mgmtid=none", NULL},
	    {"id is a path", "|mgmtid=../../etc/passwd", NULL},
	    {"id with directives", "|mgmtid=" NASTY, NULL},
	    {"id of 64", "|mgmtid=0123456789012345678901234567890123456789012345678901234567890123", NULL},
	};
	char script[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(script, sizeof(script), TO_ADDRESS "manager reply 200|request=ip|register_status=1%s\n",
			 rows[i].keys);
		start(rows[i].what, true);
		for (char *step = strtok(script, "\n"); step; step = strtok(NULL, "\n"))
			replay_step(&rp, step);
		if (rows[i].call) {
			snprintf(script, sizeof(script), "call privileged\ncall address %s\ncall up\nstate up\n",
				 rows[i].call);
			replay_run(&rp, script);
		} else {
			replay_run(&rp, "call close\nstate closing\nprivileged no\nreason is not what was expected\n");
			assert_false(session_was_up(rp.session));
		}
		replay_stop(&rp);
	}
}

/* --- hostile text ------------------------------------------------------------------------------------------------- */

#define RAW(text) text, sizeof(text) - 1

/* What is said of each is the message reader's own test. */
static const struct {
	const char *what, *body;
	size_t len;
	bool good;
} raws[] = {
    {"no NUL", RAW("keepalive\r\n\r\n"), false},
    {"empty", RAW("\0"), false},
    {"empty lines", RAW("\r\n\r\n\0"), false},
    {"line feed alone", RAW("keepalive\nos_ver=1\n\n\0"), false},
    {"carriage return alone", RAW("keepalive\ros_ver=1\r\n\r\n\0"), false},
    {"control character", RAW("keepalive\r\nos_ver=\x1b[2J\r\n\r\n\0"), false},
    {"DEL", RAW("keepalive\r\nos_ver=\x7f\r\n\r\n\0"), false},
    {"no equals sign", RAW("keepalive\r\nos_ver\r\n\r\n\0"), false},
    {"empty key", RAW("keepalive\r\n=x\r\n\r\n\0"), false},
    {"capitals in a key", RAW("keepalive\r\nOS=x\r\n\r\n\0"), false},
    {"verb with directives", RAW("%s%n\r\n\r\n\0"), false},
    {"argument of two words", RAW("get a b\r\n\r\n\0"), false},
    {"text after the end", RAW("keepalive\r\n\r\nx=y\r\n\0"), false},
    {"bytes after the NUL", RAW("keepalive\r\n\r\n\0x"), false},
    {"no empty line", RAW("keepalive\r\nos_ver=1\r\n\0"), true},
    {"no keys", RAW("keepalive\r\n\0"), true},
    {"equals sign in a value", RAW("keepalive\r\nos_ver=a=b=c\r\n\r\n\0"), true},
    {"unknown keys", RAW("keepalive\r\nzzz=1\r\n_-9=\r\n\r\n\0"), true},
    {"UTF-8", RAW("keepalive\r\nos_ver=\xc3\xa4\r\n\r\n\0"), true},
};

static void
malformed_text_ends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(raws) / sizeof(raws[0]); i++) {
		for (int auth = 0; auth < 2; auth++) {
			start(raws[i].what, true);
			drive(auth ? SESSION_AUTH : SESSION_UP, false);
			replay_frame(&rp, FRAME_MESSAGE, raws[i].body, raws[i].len);
			if (raws[i].good && !auth)
				replay_run(&rp, "device reply 200|request=keepalive\nstate up\n");
			else if (strcmp(replay_next(&rp), "close") != 0 || session_privileged(rp.session) ||
				 !strstr(session_reason(rp.session),
					 raws[i].good ? "before authentication" : "message"))
				fail_msg("%s: \"%s\"", raws[i].what, session_reason(rp.session));
			replay_stop(&rp);
		}
	}
}

/* One message of `keys` keys with values of `value` bytes. */
static void
send_large(size_t keys, size_t key_len, size_t value)
{
	struct buf b = BUF_INIT(1024 * 1024);

	buf_str(&b, "keepalive\r\n");
	for (size_t i = 0; i < keys; i++) {
		buf_printf(&b, "k%0*zu=", (int)key_len - 1, i);
		for (size_t n = 0; n < value; n++)
			buf_str(&b, "v");
		buf_str(&b, "\r\n");
	}
	buf_put(&b, "\r\n", 3);
	assert_int_equal(b.error, 0);
	replay_frame(&rp, FRAME_MESSAGE, buf_head(&b), b.len);
	buf_free(&b);
}

static void
bounds_of_a_message(void **state)
{
	static const struct {
		const char *what;
		size_t keys, key_len, value;
		const char *reason;
	} rows[] = {
	    {"128 keys", 128, 8, 8, NULL},
	    {"129 keys", 129, 8, 8, "128 keys"},
	    {"key of 64", 1, 64, 1, NULL},
	    {"key of 65", 1, 65, 1, "64"},
	    {"value of 4096", 1, 8, 4096, NULL},
	    {"value of 4097", 1, 8, 4097, "4096"},
	    {"text over 16384", 5, 8, 4000, "16385"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what, true);
		drive(SESSION_UP, false);
		send_large(rows[i].keys, rows[i].key_len, rows[i].value);
		if (rows[i].reason) {
			replay_run(&rp, "call close\nstate closing\n");
			if (!strstr(session_reason(rp.session), rows[i].reason))
				fail_msg("%s: %s", rows[i].what, session_reason(rp.session));
		} else {
			replay_run(&rp, "device reply 200|request=keepalive\nstate up\n");
		}
		replay_stop(&rp);
	}
}

static void
repeated_keys_keep_the_first(void **state)
{
	(void)state;
	run("repeated", true,
	    TO_ADDRESS "manager reply 200|request=ip|request=auth|ip=169.254.0.2|ip=127.0.0.1|register_status=1\n"
		       "call privileged\ncall address 169.254.0.2 - mgmtid=\ncall up\ncount repeated-keys 2\n"
		       "log repeated keys in reply 200: 2, first request\n");
}

/* Every value is data: what a manager writes is shown as it is, and nothing more happens. */
static void
directives_are_data(void **state)
{
	(void)state;
	run("directives", true,
	    "tcp\ntls\ndevice get auth\n"
	    "manager " AUTH_REPLY "|user=" NASTY "|passwd=" NASTY "|authip=" NASTY "|x=" NASTY "\n"
	    "call judged listed\ndevice get ip\nlog authip=" NASTY "\nlog x=" NASTY "\nlog passwd=******\n"
	    "manager reply 200|request=ip|register_status=1|overwrite_fmgid=" NASTY "|reason=" NASTY "\n"
	    "call privileged\ncall address - - mgmtid=\ncall up\nat 0\ndevice keepalive\n"
	    "manager keepalive|os_ver=" NASTY "|avdb=" NASTY "|ipsdb=" NASTY "\ndevice reply 200|request=keepalive|.\n"
	    "manager get file_exchange|file_exch_cmd=" NASTY "|install_id=" NASTY "\ncall request file_exchange\n"
	    "manager reply 500|request=file_exchange|remoteid=" NASTY "|reason=" NASTY "\n"
	    "manager channel|remoteid=1|action=" NASTY "|reason=" NASTY "\nnothing\nstate up\n"
	    "log reason=" NASTY "\n");
	run("directives in a refusal", true,
	    TO_ADDRESS "manager reply 500|request=ip|reason=" NASTY "\ncall close\nreason with 500: " NASTY "\n");
	run("directives in a channel's number", true,
	    TO_UP "manager channel|remoteid=" NASTY "\ncall close\nreason remoteid= is not a channel number\n");
}

/* A device's own texts may come from files: control characters do not reach the wire. */
static void
our_own_values_are_clean(void **state)
{
	(void)state;
	start("own", true);
	rp.identity.hostname = "ga\r\nevil=1\x01te";
	replay_run(&rp, "tcp\ntls\ndevice get auth|hostname=gaevil=1te\n");
	replay_stop(&rp);
}

/* --- requests, exchanges of ours, the end ------------------------------------------------------------------------- */

static void
unknown_verbs(void **state)
{
	(void)state;
	run("unknown verbs", true,
	    TO_UP "manager put config|x=y\ndevice reply 404|request=config|reason=unknown verb|.\n"
		  "manager frobnicate\ndevice reply 404|request=frobnicate\n"
		  "manager get\ndevice reply 404|request=get|reason=get: a request expected|.\n"
		  "manager get tea\ncall request tea\nstate up\n");
}

struct exchange {
	char closed[128];
	int delivered;
};

static void
on_delivered(void *ctx)
{
	((struct exchange *)ctx)->delivered++;
}

static void
exchange_closed(void *ctx, int code, const char *reason)
{
	struct exchange *x = ctx;

	snprintf(x->closed, sizeof(x->closed), "%d %s", code, reason);
}

/* A `get file_exchange` of ours, on its way. */
static void
ask(struct exchange *x)
{
	const struct channel_ops ops = {
	    .ctx = x, .data = on_data, .end = on_end, .delivered = on_delivered, .closed = exchange_closed};
	const char *const pairs[] = {"install_id", "i-1", NULL};
	struct channel *ch;

	*x = (struct exchange){.delivered = 0};
	replay_run(&rp, TO_UP);
	ch = channel_ask(session_channels(rp.session), &ops, rp.now);
	assert_non_null(ch);
	assert_int_equal(channel_write(ch, "hello", 5), 0);
	assert_int_equal(channel_write_end(ch), 0);
	assert_int_equal(session_ask_file(rp.session, channel_id(ch), "put_install_result", pairs), 0);
	channel_close_when_delivered(ch, 0, "done");
	replay_run(&rp, "device get file_exchange|localid=1|chan_window_sz=32768|file_exch_cmd=put_install_result"
			"|install_id=i-1|.\nchannels 1\n");
}

static void
exchanges_of_ours(void **state)
{
	static const struct {
		const char *what, *script, *closed;
		int delivered;
	} rows[] = {
	    {"delivered",
	     "manager reply 200|request=file_exchange|action=ack|remoteid=1|localid=44|chan_window_sz=4096\n"
	     "device channel|remoteid=44|:5\\nhello0\\n\nmanager channel|remoteid=1|action=ack|ack=9\n"
	     "device channel|remoteid=44|action=close|.\n",
	     "0 done", 1},
	    {"a small window",
	     "manager reply 200|request=file_exchange|remoteid=1|localid=44|chan_window_sz=4\n"
	     "device channel|remoteid=44|:5\\nhe\nnothing\nmanager channel|remoteid=1|action=ack|ack=4\n"
	     "device channel|remoteid=44|:llo0\n",
	     "", 0},
	    {"refused", "manager reply 404|request=file_exchange|remoteid=1\n",
	     "404 the manager did not open the channel", 0},
	    {"no number", "manager reply 200|request=file_exchange|remoteid=1\n",
	     "400 the manager did not open the channel", 0},
	    {"bad number", "manager reply 200|request=file_exchange|remoteid=1|localid=-4\n",
	     "400 the manager did not open the channel", 0},
	    {"another's number",
	     "manager reply 200|request=file_exchange|remoteid=2|localid=4\ncount stray-replies 1\nchannels 1\n", "",
	     0},
	    {"answered twice",
	     "manager reply 200|request=file_exchange|remoteid=1|localid=44\ndevice "
	     "channel|remoteid=44|:5\\nhello0\\n\n"
	     "manager reply 200|request=file_exchange|remoteid=1|localid=45\ncount stray-replies 1\nnothing\n",
	     "", 0},
	    {"data before the answer", "manager channel|remoteid=1|:1\\nx\nnothing\nchannels 1\n", "", 0},
	    /* "a reply to a request 60 s" */
	    {"no answer", "at 59.999\nchannels 1\nat 60\nchannels 0\nstate up\n", "500 no reply within 60 seconds", 0},
	    {"the session ends", "lost reset\ncall down\n", "", 0},
	};
	struct exchange x;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what, true);
		ask(&x);
		replay_run(&rp, rows[i].script);
		if (strcmp(x.closed, rows[i].closed) || x.delivered != rows[i].delivered)
			fail_msg("%s: closed \"%s\", delivered %d", rows[i].what, x.closed, x.delivered);
		replay_stop(&rp);
		assert_string_not_equal(x.closed, "");
	}
}

/* A channel's bytes wait while much waits to go out; the session's own messages and acknowledgements do not. */
static void
channels_wait_for_room(void **state)
{
	static const char text[2000];
	char closed[128] = "";
	const struct channel_ops ops = {.ctx = closed, .data = on_data, .end = on_end, .closed = on_channel_closed};
	struct channel *ch;

	(void)state;
	start("room", true);
	replay_run(&rp, TO_UP);
	ch = channel_accept(session_channels(rp.session), 44, 32768, &ops, rp.now);
	channel_write(ch, text, sizeof(text));
	rp.queued = 64 * 1024;
	session_on_room(rp.session);
	replay_run(&rp, "nothing\nmanager keepalive\ndevice reply 200|request=keepalive\n"
			"manager channel|remoteid=1|:0\\n\ndevice channel|remoteid=44|action=ack|ack=2\n");
	rp.queued = 64 * 1024 - 1;
	session_on_room(rp.session);
	replay_run(&rp, "device channel|remoteid=44|:2000\\n*\n");
	replay_stop(&rp);
}

static void
a_stalled_channel_is_closed(void **state)
{
	struct exchange x;

	(void)state;
	start("stalled", true);
	ask(&x);
	replay_run(&rp,
		   "manager reply 200|request=file_exchange|remoteid=1|localid=44\n"
		   "device channel|remoteid=44|:5\\nhello0\\n\nat 120\ndevice keepalive\nat 240\ndevice keepalive\n"
		   "at 359.999\nchannels 1\nat 360\ndevice keepalive\n"
		   "device channel|remoteid=44|action=close|code=500|reason=*\nchannels 0\nstate up\n");
	assert_string_equal(x.closed, "500 no progress within the time-out");
	replay_stop(&rp);
}

static void
the_first_reason_stays(void **state)
{
	(void)state;
	run("reason", true,
	    TO_UP "stop first\ncall close\nstop second\nstate closing\nreason first\n"
		  "manager get file_exchange\nmanager keepalive\npacket 4500001400000000400000007f0000017f000001\n"
		  "at 4000\nnothing\nlost third\ncall down\nreason first\nlost fourth\nstop fifth\ntls\ntcp\nnothing\n"
		  "reason first\nstate closed\n");
}

/* Sending fails: nobody dies, and what was not sent is not counted. */
static void
a_full_queue(void **state)
{
	(void)state;
	start("full", true);
	replay_run(&rp, TO_UP);
	rp.send_rc = -ENOBUFS;
	replay_run(&rp, "manager keepalive\nat 120\nat 240\nnothing\ncount keepalives-out 1\nstate up\n"
			"log a message could not be queued: No buffer space available\n");
	rp.send_rc = 0;
	replay_run(&rp, "manager keepalive\ndevice reply 200|request=keepalive\nat 360\ndevice keepalive\n");
	replay_stop(&rp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_pair_of_the_table, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_pair_of_the_machine, setup, teardown),
	    cmocka_unit_test_setup_teardown(keys_stand_in_their_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(identity_of_a_registered_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(anything_else_before_authentication_ends_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_three_checks, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_bad_chain_is_judged_too, setup, teardown),
	    cmocka_unit_test_setup_teardown(pins_admit_only_their_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(first_contact_of_a_manager_that_dials, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_a_registered_managers_versions_are_heard, setup, teardown),
	    cmocka_unit_test_setup_teardown(first_contact, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_packet_leaves_unprivileged, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_list_that_cannot_be_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_register_statuses, setup, teardown),
	    cmocka_unit_test_setup_teardown(registration_taken_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(updates_of_the_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_update_with_a_bad_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(register_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(timers_are_clamped, setup, teardown),
	    cmocka_unit_test_setup_teardown(keepalives_have_their_schedule, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_change_is_told, setup, teardown),
	    cmocka_unit_test_setup_teardown(silence, setup, teardown),
	    cmocka_unit_test_setup_teardown(replies_have_their_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(stray_replies_are_counted, setup, teardown),
	    cmocka_unit_test_setup_teardown(codes_are_three_digits, setup, teardown),
	    cmocka_unit_test_setup_teardown(refusals_of_get_ip, setup, teardown),
	    cmocka_unit_test_setup_teardown(addresses, setup, teardown),
	    cmocka_unit_test_setup_teardown(malformed_text_ends_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(bounds_of_a_message, setup, teardown),
	    cmocka_unit_test_setup_teardown(repeated_keys_keep_the_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(directives_are_data, setup, teardown),
	    cmocka_unit_test_setup_teardown(our_own_values_are_clean, setup, teardown),
	    cmocka_unit_test_setup_teardown(unknown_verbs, setup, teardown),
	    cmocka_unit_test_setup_teardown(exchanges_of_ours, setup, teardown),
	    cmocka_unit_test_setup_teardown(channels_wait_for_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_stalled_channel_is_closed, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_first_reason_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_queue, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
