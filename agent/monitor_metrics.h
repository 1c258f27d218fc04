/* monitor_metrics: what monitoring knows, in the text form of Prometheus (version 0.0.4).
 */
#ifndef AGENT_MONITOR_METRICS_H
#define AGENT_MONITOR_METRICS_H

struct agent_parts;
struct buf;

/* Appends all of it. What cannot be read at this moment is left out. */
void monitor_metrics(const struct agent_parts *p, struct buf *out);

#endif
