/* monitor_cmdb: the running configuration for reading, as JSON, with its secrets masked.
 */
#ifndef AGENT_MONITOR_CMDB_H
#define AGENT_MONITOR_CMDB_H

struct agent_parts;
struct cJSON;
struct monitor_query;

/* The table or entry that `path` names ("system/interface", "system/interface/wan1") into "results" of `root`: an
 * object for a singleton and for one entry, otherwise an array of one page, with "size" for all there are and "next"
 * where there is more. 0, or -ENOENT: there is no such table or entry. */
int monitor_cmdb(const struct agent_parts *p, const char *path, const struct monitor_query *q, struct cJSON *root);

#endif
