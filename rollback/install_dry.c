#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/dry_run.h"
#include "rollback/install_private.h"
#include "rollback/secret.h"

static void
name_command(void *ctx, const struct command *c)
{
	struct install *in = ctx;
	struct job *job = &in->job;
	size_t before = job->receipt.dry.named_count;
	char masked[SECRET_LINE];
	const char *text = secret_mask(tree_schema(job->saved), c, masked);

	if (receipt_name(&job->receipt, c->line, text))
		log_debug(DBG_ERROR, "no memory to name a command that is not reversible");
	else if (job->receipt.dry.named_count > before)
		log_say(LOG_LEVEL_NOTICE, "install %s: not taken back by its unset script: set:%u: %s", job->head.id,
			c->line, job->receipt.dry.named[before].text);
}

static void
tell(const struct job *job)
{
	const struct receipt_dry *d = &job->receipt.dry;

	if (d->back)
		log_say(LOG_LEVEL_INFO, "install %s: dry run: %u of %u commands reversible", job->head.id,
			d->reversible, d->commands);
	else
		log_say(LOG_LEVEL_NOTICE,
			"install %s: dry run: %u of %u commands reversible%s; a rollback restores the rest from the "
			"saved configuration",
			job->head.id, d->reversible, d->commands,
			d->reversible == d->commands ? ", but the unset script changes more than the set script" : "");
}

bool
install_dry_slice(struct install *in)
{
	struct job *job = &in->job;
	struct dry_run_result r;

	if (job->receipt.dry.made)
		return true;
	if (!job->dry)
		job->dry = dry_run_new(job->saved, job->set, job->unset);
	if (!job->dry) {
		log_say(LOG_LEVEL_WARNING, "install %s: no memory for a dry run: whether it is reversible is not known",
			job->head.id);
		return true;
	}
	if (!dry_run_step(job->dry, INSTALL_DRY_STEP))
		return false;
	dry_run_result(job->dry, name_command, in, &r);
	dry_run_free(job->dry);
	job->dry = NULL;
	job->receipt.dry.made = true;
	job->receipt.dry.back = r.back;
	job->receipt.dry.commands = (unsigned)r.commands;
	job->receipt.dry.reversible = (unsigned)r.reversible;
	tell(job);
	return true;
}
