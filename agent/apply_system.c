/* The host's own names. Its UTS namespace is the agent's: tests run in one of their own. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply_parts.h"
#include "base/err.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/tree.h"

static int
set_hostname(const char *name, struct err *e)
{
	char now[HOST_NAME_MAX + 1] = "";
	size_t len = strlen(name);

	if (len > HOST_NAME_MAX)
		return err_set(e, CLI_TOO_LONG, "hostname: %zu bytes, at most %d expected", len, HOST_NAME_MAX);
	if (!gethostname(now, sizeof(now)) && !strcmp(now, name))
		return CLI_OK;
	if (sethostname(name, len))
		return err_set(e, CLI_FAILED, "hostname %s: %s", name, strerror(errno));
	if (gethostname(now, sizeof(now)) || strcmp(now, name))
		return err_set(e, CLI_FAILED, "hostname %s: read back as \"%.64s\"", name, now);
	return CLI_OK;
}

/* An empty name (the default) is nothing the configuration speaks of: the host keeps the one it has, or gets back the
 * one it had before the configuration named it. */
int
apply_system_change(struct apply *a, const struct change *c, struct err *e)
{
	const char *before = c->old ? entry_get(c->old, "hostname") : "";
	const char *name = c->new ? entry_get(c->new, "hostname") : "";

	if (!*name && *before)
		name = a->found_hostname;
	if (!a->system || !*name)
		return CLI_OK;
	return set_hostname(name, e);
}
