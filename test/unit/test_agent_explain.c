/* agent/explain: which step failed, for every end an attempt can have. */
// wrap: agent_parts agent_register agent_unregister agent_end_install uplink_view
#include "agent/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "test/unit/agent_shell.h"

static struct buf out;

static int
setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	shell_open("config system central-management\n    set type fortimanager\n    set fmg \"192.0.2.1\"\nend\n");
	shell.more.creds = (struct tls_creds *)&shell; /* only whether there are any is looked at */
	out = BUF_INIT(64 * 1024);
	return 0;
}

static int
teardown(void **state)
{
	buf_free(&out);
	shell_close();
	return fixture_teardown(state);
}

/* What an attempt to the manager of 192.0.2.1 has left. */
static struct explain_note
note(enum session_state reached, bool ended)
{
	struct explain_note n = {.made = true, .ended = ended, .reached = reached, .port = 541, .target = "192.0.2.1"};

	addr_parse_host("192.0.2.1", &n.manager);
	if (ended)
		strcpy(n.reason, "the reason");
	if (reached > SESSION_HANDSHAKE)
		strcpy(n.tls, "TLSv1.2, SUITE");
	return n;
}

static void
steps_by_state(void **state)
{
	static const struct {
		const char *what;
		enum session_state reached;
		bool ended;
		enum explain_step failed;
	} cases[] = {
	    {"being connected", SESSION_CONNECTING, false, EXPLAIN_STEPS},
	    {"no connection", SESSION_CONNECTING, true, EXPLAIN_TCP},
	    {"in the handshake", SESSION_HANDSHAKE, false, EXPLAIN_STEPS},
	    {"handshake failed", SESSION_HANDSHAKE, true, EXPLAIN_TLS},
	    {"no reply to get auth", SESSION_AUTH, true, EXPLAIN_SERIAL},
	    {"no reply to get dev_register", SESSION_REGISTER, true, EXPLAIN_REGISTRATION},
	    {"no reply to get ip", SESSION_ADDRESS, true, EXPLAIN_REGISTRATION},
	    {"up and not registered", SESSION_UP, false, EXPLAIN_REGISTRATION},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct explain_note n = note(cases[i].reached, cases[i].ended);
		struct explain x = {.failed = EXPLAIN_STEPS};
		struct agent_parts p;

		agent_parts(shell_agent(), &p);
		explain_judge(&p, &n, &x);
		if (x.failed != cases[i].failed)
			fail_msg("%s: step %d", cases[i].what, x.failed);
		if (cases[i].ended && strcmp(x.row[x.failed].presented, "the reason") != 0)
			fail_msg("%s: %s", cases[i].what, x.row[x.failed].presented);
	}
}

static void
steps_by_report(void **state)
{
	static const struct {
		const char *what;
		enum session_state reached;
		enum cert_verdict check[AUTH_CHECKS];
		enum explain_step failed;
	} cases[] = {
	    {"a bad chain", SESSION_HANDSHAKE, {VERDICT_NOT_MADE, VERDICT_PASS, VERDICT_FAIL}, EXPLAIN_CERTIFICATE},
	    {"another serial", SESSION_AUTH, {VERDICT_FAIL, VERDICT_PASS, VERDICT_PASS}, EXPLAIN_SERIAL},
	    {"not in the list", SESSION_AUTH, {VERDICT_PASS, VERDICT_FAIL, VERDICT_PASS}, EXPLAIN_TRUSTED_LIST},
	    {"neither", SESSION_AUTH, {VERDICT_FAIL, VERDICT_FAIL, VERDICT_PASS}, EXPLAIN_SERIAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct explain_note n = note(cases[i].reached, true);
		struct explain x = {.failed = EXPLAIN_STEPS};
		struct agent_parts p;

		n.seen = true;
		strcpy(n.serial, "FMG-VM0000000001");
		strcpy(n.report.serialno, "FMG-VM0000000077");
		for (size_t k = 0; k < AUTH_CHECKS; k++)
			n.report.check[k].verdict = cases[i].check[k];
		agent_parts(shell_agent(), &p);
		explain_judge(&p, &n, &x);
		if (x.failed != cases[i].failed)
			fail_msg("%s: step %d", cases[i].what, x.failed);
		assert_int_equal(x.row[EXPLAIN_TLS].verdict, VERDICT_PASS);
		assert_non_null(strstr(x.row[EXPLAIN_SERIAL].expected, "FMG-VM0000000001"));
		assert_non_null(strstr(x.row[EXPLAIN_SERIAL].presented, "FMG-VM0000000077"));
	}
}

static void
a_session_that_ended(void **state)
{
	struct explain_note n = note(SESSION_UP, true);
	struct explain x = {.failed = EXPLAIN_STEPS};
	struct agent_parts p;

	(void)state;
	n.privileged = true;
	agent_parts(shell_agent(), &p);
	explain_judge(&p, &n, &x);
	assert_int_equal(x.failed, EXPLAIN_SESSION);
	/* where there is no way, TCP is not to blame */
	n = note(SESSION_CONNECTING, true);
	x.row[EXPLAIN_ROUTE].verdict = VERDICT_FAIL;
	explain_judge(&p, &n, &x);
	assert_int_equal(x.failed, EXPLAIN_ROUTE);
	assert_int_equal(x.row[EXPLAIN_TCP].verdict, VERDICT_NOT_MADE);
}

static const char *
shown(bool json)
{
	buf_cut(&out, 0);
	explain_show(shell_agent(), json, &out);
	buf_put(&out, "", 1);
	return (const char *)buf_head(&out);
}

static void
assert_failed(const char *what, const char *step)
{
	const char *text = shown(true), *failed = "";
	struct cJSON *j = json_parse(text, strlen(text), NULL);

	if (!j || json_get_str(j, "failed", &failed, NULL) || strcmp(failed, step) != 0)
		fail_msg("%s: %s expected in %s", what, step, text);
	json_free(j);
}

/* What is known without any attempt, and after one that ended before there was a session. */
static void
without_a_session(void **state)
{
	(void)state;
	assert_failed("nothing yet", "");
	assert_non_null(strstr(shown(false), "Nothing has failed"));
	strcpy(shell.view.last_reason, "name of the manager: none");
	shell.view.unresolved = true;
	assert_failed("a name", "manager");
	shell.view.unresolved = false;
	strcpy(shell.view.last_reason, "binding to interface wan9");
	assert_failed("could not begin", "tcp");
	assert_non_null(strstr(shown(false), "The connection fails at: TCP"));
	assert_non_null(strstr(shown(false), "presented: binding to interface wan9"));
	shell.last = note(SESSION_AUTH, true);
	strcpy(shell.view.last_reason, shell.last.reason);
	assert_failed("the last attempt", "serial");
	shell.more.creds = NULL;
	assert_failed("no certificate", "manager");
}

static void
keys(void **state)
{
	(void)state;
	for (int i = 0; i < EXPLAIN_STEPS; i++) {
		assert_true(explain_step_key((enum explain_step)i)[0] >= 'a');
		assert_non_null(strstr(shown(true), explain_step_key((enum explain_step)i)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(steps_by_state, setup, teardown),
	    cmocka_unit_test_setup_teardown(steps_by_report, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_session_that_ended, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_a_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(keys, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
