/* cli_history: `diagnose fgfm script-history`.
 */
#ifndef AGENT_CLI_HISTORY_H
#define AGENT_CLI_HISTORY_H

#include <stdbool.h>

struct buf;
struct history;

void cli_history_show(const struct history *h, bool json, struct buf *out); /* newest first */

#endif
