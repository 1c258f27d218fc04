/* revision: brings an earlier configuration back, as an install with the same safety as a manager's.
 */
#ifndef AGENT_REVISION_H
#define AGENT_REVISION_H

#include <stdbool.h>

#include "base/clock.h"
#include "config/load.h"
#include "rollback/receipt.h"

struct device;
struct err;
struct install;
struct store;

struct revision_parts {
	struct device *device; /* borrowed, as all of these */
	struct store *store;
	struct install *install;
};

struct revision_begun {
	char id[INSTALL_ID_MAX];
	bool awaits_operator; /* no manager is named before or after: nothing but a confirmation can keep it */
};

/* Begins an install whose set script is the difference from the running configuration to the revision, and whose unset
 * script is the difference back. It is nobody's, so that any trusted manager's session proves it good; what was rolled
 * back before may be tried again. Lines of the revision that fail go to `complain` (may be NULL) and are left out. The
 * caller lets the install run. 0 or -errno: -ENOENT there is no such revision, -EALREADY it is what runs, -EBUSY an
 * install is pending, -EFBIG the difference is too large for an install. */
int revision_restore(const struct revision_parts *p, unsigned number, mono_t now, load_complain_fn *complain, void *ctx,
		     struct revision_begun *out, struct err *e);

#endif
