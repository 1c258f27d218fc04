#include "agent/trial.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/device.h"
#include "base/clock.h"
#include "base/err.h"
#include "config/codes.h"
#include "config/diff.h"
#include "config/exec.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install.h"

struct trial {
	struct device *device;
	const struct install *install;
	uint64_t base; /* of the running configuration when it was copied */
	struct tree *tree;
	struct exec *exec;
};

/* What could not be installed is denied where it stands, and not at the end of it all. */
static int
on_may_change(void *ctx, struct err *e)
{
	const struct trial *t = ctx;
	struct install_status st;

	install_status(t->install, clock_mono(), &st);
	if (st.state == INSTALL_IDLE)
		return CLI_OK;
	err_set(e, -EBUSY, "install pending (%s, %s)", st.id, install_state_name(st.state));
	return CLI_DENIED;
}

static int
on_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	struct trial *t = ctx;

	return device_other(t->device, argc, argv, out, e);
}

struct trial *
trial_new(struct device *d, const struct install *in)
{
	struct trial *t = calloc(1, sizeof(*t));
	const struct exec_ops ops = {.other = on_other, .may_change = on_may_change, .ctx = t};

	if (!t)
		return NULL;
	t->device = d;
	t->install = in;
	t->base = tree_revision(device_running(d));
	t->tree = tree_clone(device_running(d));
	t->exec = t->tree ? exec_new(t->tree, &ops, false) : NULL;
	if (!t->exec) {
		trial_free(t);
		return NULL;
	}
	return t;
}

void
trial_free(struct trial *t)
{
	if (!t)
		return;
	exec_free(t->exec);
	tree_free(t->tree);
	free(t);
}

const struct tree *
trial_tree(const struct trial *t)
{
	return t->tree;
}

int
trial_run(struct trial *t, const struct command *c, struct buf *out, struct err *e)
{
	return exec_run(t->exec, c, out, e);
}

void
trial_reset(struct trial *t)
{
	exec_reset(t->exec);
}

bool
trial_changed(const struct trial *t)
{
	return !tree_equal(t->tree, device_running(t->device));
}

int
trial_scripts(const struct trial *t, struct buf *set, struct buf *unset, struct err *e)
{
	const struct tree *running = device_running(t->device);
	int rc;

	if (tree_revision(running) != t->base)
		return err_set(e, -ESTALE, "the configuration was changed by somebody else meanwhile");
	rc = trial_script_between(running, t->tree, set, e);
	return rc ? rc : trial_script_between(t->tree, running, unset, e);
}

int
trial_script_between(const struct tree *from, const struct tree *to, struct buf *out, struct err *e)
{
	int rc = diff_trees(from, to, out, NULL);

	if (rc == -EMSGSIZE)
		return err_set(e, -EFBIG, "the difference is larger than the %d bytes of an install", SCRIPT_MAX_BYTES);
	return rc ? err_sys(e, rc, "comparing configurations") : 0;
}
