/* cli_package: `diagnose autoupdate versions`: the objects that are installed, and when and how they were updated.
 */
#ifndef AGENT_CLI_PACKAGE_H
#define AGENT_CLI_PACKAGE_H

#include <stdbool.h>

struct buf;
struct cJSON;
struct pkg_status;
struct pkg_store;

/* NULL for both: the store is not open. */
void cli_package_versions(const struct pkg_store *store, const struct pkg_status *status, bool json, struct buf *out);

/* An object for each that is installed, appended to the array `list`. */
void cli_package_json(const struct pkg_store *store, const struct pkg_status *status, struct cJSON *list);

#endif
