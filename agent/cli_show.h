/* cli_show: what the status commands print, for people and as JSON with stable keys.
 */
#ifndef AGENT_CLI_SHOW_H
#define AGENT_CLI_SHOW_H

#include <stdbool.h>

struct agent;
struct buf;
struct err;

void cli_show_status(struct agent *a, bool json, struct buf *out);     /* get system status */
void cli_show_management(struct agent *a, bool json, struct buf *out); /* diagnose fdsm central-mgmt-status */
void cli_show_trust(struct agent *a, bool json, struct buf *out);      /* diagnose fgfm trust-list */
void cli_show_session(struct agent *a, bool json, struct buf *out);    /* diagnose fgfm session */
void cli_show_install(struct agent *a, bool json, struct buf *out);    /* diagnose fgfm install-session */
void cli_show_checksums(struct agent *a, bool json, struct buf *out);  /* get system mgmt-csum */
void cli_show_sync(struct agent *a, bool json, struct buf *out);       /* get system checksum status */
/* diagnose fgfm drift. CLI_OK, or CLI_FAILED when the system could not be read in full. */
int cli_show_drift(struct agent *a, bool json, struct buf *out, struct err *e);

struct trust_list;
void cli_show_trust_list(const struct trust_list *l, bool json, struct buf *out); /* also for --offline */

#endif
