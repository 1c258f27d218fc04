/* apply_fixture: a configuration, an executor on it that applies for real, and a pair of devices to apply it to.
 */
#ifndef TEST_UNIT_APPLY_FIXTURE_H
#define TEST_UNIT_APPLY_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "agent/apply.h"
#include "base/err.h"
#include "base/log.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "test/unit/netns_fixture.h"

static struct schema *fixture_schema;
static struct tree *fixture_tree;
static struct exec *fixture_exec;
static struct apply *fixture_apply;
static struct err fixture_err; /* of the last command that failed */

static inline int
fixture_on_apply(void *ctx, const struct change *c, struct err *e)
{
	(void)ctx;
	return apply_change(fixture_apply, c, e);
}

/* The appliers, with the files of the host in a folder of this program's own; handlers in /run/handlers. */
static inline int
fixture_host(bool system)
{
	const struct apply_options o = {.system = system,
					.resolv_conf = "/run/host/resolv.conf",
					.localtime = "/run/host/localtime",
					.zoneinfo = "/run/host/zoneinfo",
					.run_dir = "/run/host",
					.handler_dir = "/run/handlers",
					.handler_user = ""};

	apply_free(fixture_apply);
	fixture_apply = NULL;
	return apply_new(&o, &fixture_apply, &fixture_err);
}

/* wan1 and lan1 with their other ends, up and without addresses. */
static inline int
fixture_apply_setup(void **state)
{
	static const struct exec_ops ops = {.apply = fixture_on_apply};

	(void)state;
	fixture_schema = schema_new();
	if (!fixture_schema || schema_add_builtin(fixture_schema, &fixture_err))
		return -1;
	fixture_tree = tree_new(fixture_schema);
	fixture_exec = fixture_tree ? exec_new(fixture_tree, &ops, false) : NULL;
	if (!fixture_exec || fixture_host(true))
		return -1;
	return fixture_sh("mkdir -p /run/host/zoneinfo/Area /run/handlers; cd /run/host/zoneinfo/Area; "
			  "printf TZif2 > East; printf TZif2 > West; echo none > Text") ||
	       fixture_veth("wan1", "peer1") || fixture_veth("lan1", "peer2");
}

static inline int
fixture_apply_teardown(void **state)
{
	(void)state;
	exec_free(fixture_exec);
	apply_free(fixture_apply);
	tree_free(fixture_tree);
	schema_free(fixture_schema);
	fixture_apply = NULL;
	return fixture_sh("ip route flush proto static; ip -6 route flush proto static; ip link del wan1 2>/dev/null; "
			  "ip link del lan1 2>/dev/null; "
			  "ip link del late1 2>/dev/null; rm -rf /run/host /run/handlers; true");
}

/* Runs commands, one a line, as a shell would. CLI_OK, or the first code that was not. */
static inline int
fixture_cli(const char *text)
{
	struct script *s = NULL;
	int result = script_parse("test", text, strlen(text), &s, &fixture_err);

	for (size_t i = 0; result == CLI_OK && i < script_count(s); i++) {
		struct err e = ERR_NONE;
		int rc = exec_run(fixture_exec, script_at(s, i), NULL, &e);

		if (rc == CLI_OK)
			continue;
		result = rc;
		fixture_err = e;
	}
	script_free(s);
	exec_reset(fixture_exec);
	return result;
}

/* How many lines of a command's output match a basic regular expression. */
static inline int
fixture_count(const char *command, const char *pattern)
{
	char full[512], line[64];

	snprintf(full, sizeof(full), "(%s) 2>/dev/null | grep -c -e '%s'", command, pattern);
	return atoi(fixture_line(line, sizeof(line), full));
}

#endif
