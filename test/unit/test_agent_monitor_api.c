/* agent/monitor_api, monitor_cmdb, monitor_metrics: what is answered to which path. */
// wrap: agent_parts agent_register agent_unregister agent_end_install uplink_view
#include "agent/monitor_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/monitor.h"
#include "base/json.h"
#include "test/unit/agent_shell.h"

static struct monitor_answer answer;

static int
setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	shell_open("config system global\n    set hostname \"gate\"\nend\n"
		   "config system interface\n    edit \"a/b c\"\n    next\n    edit \"wan1\"\n    next\n"
		   "    edit \"wan2\"\n    next\nend\nconfig box secret\n    set password \"hidden-word\"\nend\n");
	return 0;
}

static int
teardown(void **state)
{
	buf_free(&answer.body);
	shell_close();
	return fixture_teardown(state);
}

static const char *
ask_page(const char *path, uint64_t start, size_t count)
{
	const struct monitor_query q = {.path = path, .start = start, .count = count};
	struct monitor_api api = {.agent = shell_agent()};

	buf_free(&answer.body);
	answer = (struct monitor_answer){.status = 200, .type = "", .body = BUF_INIT(1024 * 1024)};
	monitor_api_answer(&api, &q, &answer);
	assert_int_equal(answer.body.error, 0);
	buf_put(&answer.body, "", 1);
	return (const char *)buf_head(&answer.body);
}

static const char *
ask(const char *path)
{
	return ask_page(path, 0, MONITOR_PAGE);
}

static void
statuses(void **state)
{
	static const struct {
		const char *path;
		unsigned status;
	} cases[] = {
	    {"/api/v2/monitor/system/status", 200},
	    {"/api/v2/monitor/system/resource/usage", 200},
	    {"/api/v2/monitor/system/fortimanager/status", 200},
	    {"/api/v2/monitor/system/available-certificates", 200},
	    {"/api/v2/monitor/system/firmware", 200},
	    {"/api/v2/monitor/license/status", 200},
	    {"/api/v2/monitor/system/interface", 503}, /* no netlink here */
	    {"/api/v2/monitor/router/ipv4", 503},
	    {"/api/v2/cmdb/system/global", 200},
	    {"/api/v2/cmdb/system/interface", 200},
	    {"/api/v2/cmdb/system/interface/", 200},
	    {"/api/v2/cmdb/system/interface/wan1", 200},
	    {"/api/v2/cmdb/system/interface/a/b c", 200},
	    {"/api/v2/cmdb/system/interface/none", 404},
	    {"/api/v2/cmdb/system interface", 404},
	    {"/api/v2/cmdb/sys/int", 404},
	    {"/api/v2/cmdb/system/global/x", 404},
	    {"/api/v2/cmdb/agent", 404}, /* the bootstrap file is none of the manager's business */
	    {"/api/v2/cmdb/", 404},
	    {"/api/v2/cmdb//", 404},
	    {"/api/v2/cmdb/ ", 404},
	    {"/api/v2/monitor/system/status/", 404},
	    {"/api/v2/monitor", 404},
	    {"/", 404},
	    {"", 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *text = ask(cases[i].path);
		struct cJSON *j = json_parse(text, answer.body.len - 1, NULL);
		const char *word = NULL;

		if (!j || answer.status != cases[i].status || json_get_str(j, "status", &word, NULL) ||
		    strcmp(word, cases[i].status == 200 ? "success" : "error"))
			fail_msg("\"%s\": %u, %s", cases[i].path, answer.status, text);
		json_free(j);
	}
}

static void
too_long_a_path(void **state)
{
	char path[2000];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	memcpy(path, "/api/v2/cmdb/", 13);
	ask(path);
	assert_int_equal(answer.status, 404);
}

static void
secrets(void **state)
{
	(void)state;
	assert_non_null(strstr(ask("/api/v2/cmdb/box/secret"), "\"password\":\"ENC ***\""));
	assert_null(strstr((const char *)buf_head(&answer.body), "hidden-word"));
}

static void
pages(void **state)
{
	static const struct {
		const char *what;
		uint64_t start;
		size_t count, rows;
		int64_t next; /* -1: that was all */
	} cases[] = {
	    {"all", 0, 256, 3, -1},      {"the first", 0, 1, 1, 1}, {"the middle", 1, 1, 1, 2},
	    {"the last", 2, 256, 1, -1}, {"behind", 3, 256, 0, -1}, {"far behind", UINT32_MAX, 256, 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *text = ask_page("/api/v2/cmdb/system/interface", cases[i].start, cases[i].count);
		struct cJSON *j = json_parse(text, answer.body.len - 1, NULL);
		const struct cJSON *row = json_first(json_get_array(j, "results"));
		int64_t size = 0, next = -1;
		size_t rows = 0;

		for (; row; row = json_next(row))
			rows++;
		json_get_int(j, "next", 0, INT32_MAX, &next, NULL);
		if (json_get_int(j, "size", 0, 10, &size, NULL) || size != 3 || rows != cases[i].rows ||
		    next != cases[i].next)
			fail_msg("%s: %s", cases[i].what, text);
		json_free(j);
	}
}

static void
values(void **state)
{
	static const struct {
		const char *path, *part;
	} cases[] = {
	    {"/api/v2/monitor/system/status", "\"hostname\":\"gate\""},
	    {"/api/v2/monitor/system/status", "\"install\":{\"state\":\"idle\"}"},
	    {"/api/v2/monitor/system/status", "\"serial\":\"FGVM010000000001\""},
	    {"/api/v2/monitor/system/status", "\"build\":77"},
	    {"/api/v2/monitor/system/firmware", "\"platform-id\":\"FortiGate-60E\""},
	    {"/api/v2/monitor/system/fortimanager/status", "\"status\":0"},
	    {"/api/v2/monitor/system/fortimanager/status", "\"registration\":0"},
	    {"/api/v2/monitor/license/status", "\"db_version\":\"0.00000\""},
	    {"/api/v2/cmdb/system/interface/a/b c", "\"name\":\"a/b c\""},
	    {"/metrics", "\nfgfm_connection_status 0\n"},
	    {"/metrics", "\nfgfm_install_state{state=\"idle\"} 1\n"},
	    {"/metrics", "\nfgfm_info{serial=\"FGVM010000000001\",platform=\"FortiGate-60E\","},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!strstr(ask(cases[i].path), cases[i].part))
			fail_msg("%s: %s expected in %s", cases[i].path, cases[i].part,
				 (const char *)buf_head(&answer.body));
	}
	assert_string_equal(answer.type, "text/plain; version=0.0.4; charset=utf-8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(statuses, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_long_a_path, setup, teardown),
	    cmocka_unit_test_setup_teardown(secrets, setup, teardown),
	    cmocka_unit_test_setup_teardown(pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(values, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
