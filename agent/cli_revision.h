/* cli_revision: `execute revision …`: the saved configurations, compared and brought back.
 */
#ifndef AGENT_CLI_REVISION_H
#define AGENT_CLI_REVISION_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct buf;
struct err;

/* Newest first. */
void cli_revision_list(struct agent *a, bool json, struct buf *out);

/* What leads from revision `from` to revision `to` (NULL: to the running configuration), as commands, secrets masked.
 * Lines of a revision that no schema knows any more come before, as comments. CLI_OK or a code. */
int cli_revision_diff(struct agent *a, const char *from, const char *to, struct buf *out, struct err *e);

/* Begins to restore one and says what happens next. CLI_OK or a code. */
int cli_revision_restore(struct agent *a, const char *number, const char *who, struct buf *out, struct err *e);

#endif
