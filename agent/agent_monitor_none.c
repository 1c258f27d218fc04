/* Built without monitoring (MONITOR=no): nothing listens inside the namespace. */
#include "agent/agent_private.h"
#include "base/log.h"

bool
agent_has_monitor(void)
{
	return false;
}

void
agent_open_monitor(struct agent *a)
{
	(void)a;
	log_debug(DBG_TUNNEL, "[monitor] is not part of this build");
}

void
agent_close_monitor(struct agent *a)
{
	(void)a;
}

void
agent_monitor_touch(struct agent *a, bool anew)
{
	(void)a;
	(void)anew;
}
