/* monitor_host: what the kernel tells of the machine in /proc: processors, memory, counters of devices, sessions.
 */
#ifndef AGENT_MONITOR_HOST_H
#define AGENT_MONITOR_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum { HOST_LINKS_MAX = 256 };

/* Ticks since the machine started, of all processors together. */
struct host_cpu {
	uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
};

struct host_memory {
	uint64_t total_kb, available_kb;
};

struct host_link {
	char name[16];
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* Of the texts of /proc/stat, /proc/meminfo and /proc/net/dev. 0 or -EINVAL; the last one returns how many it has put
 * into `out`. */
int host_parse_cpu(const char *text, struct host_cpu *out);
int host_parse_memory(const char *text, struct host_memory *out);
size_t host_parse_links(const char *text, struct host_link out[], size_t max);

/* The same of this machine. 0 or -errno. */
int host_cpu(struct host_cpu *out);
int host_memory(struct host_memory *out);
size_t host_links(struct host_link out[], size_t max); /* of the agent's own namespace */

/* Connections the kernel tracks, or where it tracks none TCP sockets in use: *tracked says which. 0 or -errno. */
int host_sessions(uint64_t *out, bool *tracked);

uint64_t host_own_memory_kb(void); /* resident, of this process; 0: not known */
unsigned host_processors(void);

/* Share of busy time in percent since the last time, which is `last` at `at`; since the start of the machine for one of
 * zeros. Less than a second later it is the same again: too short a time says nothing. */
struct host_load {
	struct host_cpu last;
	mono_t at;
	int percent;
};
int host_load(struct host_load *l, const struct host_cpu *now, mono_t at);

#endif
