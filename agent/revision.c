#include "agent/revision.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/device.h"
#include "agent/trial.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/store.h"

static int
begin(const struct revision_parts *p, unsigned number, const struct tree *want, mono_t now, struct revision_begun *out,
      struct err *e)
{
	struct buf set = BUF_INIT(SCRIPT_MAX_BYTES), unset = BUF_INIT(SCRIPT_MAX_BYTES);
	const struct tree *running = device_running(p->device);
	struct revision_begun b = {.awaits_operator = !device_names_manager(running) && !device_names_manager(want)};
	int rc = trial_script_between(running, want, &set, e);

	snprintf(b.id, sizeof(b.id), "revision-%u-%" PRId64, number, clock_wall().s);
	if (!rc)
		rc = trial_script_between(want, running, &unset, e);
	if (!rc) {
		const struct install_request r = {.id = b.id,
						  .manager = "",
						  .set = (const char *)buf_head(&set),
						  .set_len = set.len,
						  .unset = (const char *)buf_head(&unset),
						  .unset_len = unset.len,
						  .force = true};

		rc = install_begin(p->install, &r, now, e);
	}
	buf_free(&set);
	buf_free(&unset);
	if (!rc)
		*out = b;
	return rc;
}

int
revision_restore(const struct revision_parts *p, unsigned number, mono_t now, load_complain_fn *complain, void *ctx,
		 struct revision_begun *out, struct err *e)
{
	struct tree *want = NULL;
	int rc;

	/* what a shell has committed inside a block it has not ended belongs to the configuration installed upon */
	rc = device_save_changes(p->device, "operator", e);
	if (!rc)
		rc = store_revision_load(p->store, number, &want, complain, ctx, e);
	if (rc == -ENOENT)
		err_set(e, rc, "there is no revision %u: `execute revision list` shows those there are", number);
	if (!rc && tree_equal(device_running(p->device), want))
		rc = err_set(e, -EALREADY, "revision %u is what runs already", number);
	if (!rc)
		rc = begin(p, number, want, now, out, e);
	tree_free(want);
	return rc;
}
