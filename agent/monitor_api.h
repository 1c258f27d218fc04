/* monitor_api: what monitoring answers: the paths of interfaces, "Monitoring (RTM)". Reads, and changes nothing.
 */
#ifndef AGENT_MONITOR_API_H
#define AGENT_MONITOR_API_H

#include "agent/monitor_host.h"

struct agent;
struct monitor_answer;
struct monitor_query;

struct monitor_api {
	struct agent *agent; /* borrowed */
	struct host_load load;
};

/* A monitor_answer_fn; `ctx` is a struct monitor_api. */
void monitor_api_answer(void *ctx, const struct monitor_query *q, struct monitor_answer *out);

#endif
