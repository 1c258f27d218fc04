#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/diff.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install_private.h"
#include "rollback/secret.h"

enum { RESTORE_PASSES = 8, NAMED_IN_CAUSE = 3, NAMED_IN_LOG = 20, NAMES_MAX = 128 };

int
install_scripts(struct job *job, const struct journal_head *h, struct err *e)
{
	int rc = script_parse("set", h->set, h->set_len, &job->set, e);

	if (!rc)
		rc = script_parse("unset", h->unset, h->unset_len, &job->unset, e);
	if (!rc)
		return 0;
	rc = rc == CLI_FAILED ? -ENOMEM : -EINVAL;
	if (e)
		e->code = rc;
	return rc;
}

void
run_stop(struct install *in)
{
	exec_free(in->job.run.exec);
	in->job.run.exec = NULL;
}

int
run_start(struct install *in, enum install_script which, const struct script *s, enum install_means means)
{
	struct run *r = &in->job.run;

	run_stop(in);
	*r = (struct run){.which = which, .script = s, .memory_only = means == INSTALL_MEMORY};
	r->exec = in->ops.executor(in->ops.ctx, means);
	return r->exec ? 0 : -ENOMEM;
}

/* The receipt counts the set script; of the unset script it names what failed. */
static void
note_result(struct install *in, int code, const struct command *c, const char *text)
{
	const struct run *r = &in->job.run;
	bool unset = r->which == INSTALL_UNSET;

	if (r->which == INSTALL_SET)
		receipt_count(&in->job.receipt, code);
	if (code && r->which != INSTALL_RESTORE && receipt_fail(&in->job.receipt, code, c->line, unset, text))
		log_debug(DBG_ERROR, "no memory to note a failed command");
	if (r->which == INSTALL_RESTORE)
		log_debug(DBG_CONFIG, "restored%s: %d: %s", r->memory_only ? " in memory" : "", code, text);
}

/* Runs the next command. Output of `get` and `show` is of no interest. */
static int
run_next(struct run *r, const struct command **out)
{
	const struct command *c = script_at(r->script, r->next++);
	struct err e = ERR_NONE;
	int code = r->exec ? exec_run(r->exec, c, NULL, &e) : CLI_FAILED;

	if (code && !r->exec)
		err_set(&e, code, "no memory to run it");
	if (code) {
		log_debug(DBG_CONFIG, "line %u: %s", c->line, e.text);
		r->why = e;
	}
	*out = c;
	return code;
}

bool
run_slice(struct install *in)
{
	struct run *r = &in->job.run;

	for (int i = 0; i < INSTALL_STEP && r->next < script_count(r->script); i++) {
		const struct command *c;
		int code = run_next(r, &c);
		char masked[SECRET_LINE];
		const char *text = secret_mask(tree_schema(in->job.saved), c, masked);

		note_result(in, code, c, text);
		in->ops.line(in->ops.ctx, r->which, code, text);
		if (in->ops.enough && in->ops.enough(in->ops.ctx))
			break;
	}
	if (r->next < script_count(r->script))
		return false;
	run_stop(in);
	return true;
}

int
run_rebuild(struct install *in, enum install_means means)
{
	struct job *job = &in->job;
	int rc;

	if (job->in_memory)
		return 0;
	rc = run_start(in, INSTALL_SET, job->set, means);
	if (rc)
		return rc;
	while (job->run.next < script_count(job->set)) {
		const struct command *c;
		int code = run_next(&job->run, &c);
		char masked[SECRET_LINE];

		/* an agent that died while applying does not know what was run: then nothing is counted */
		if (job->applied)
			note_result(in, code, c, secret_mask(tree_schema(job->saved), c, masked));
	}
	run_stop(in);
	job->in_memory = true;
	return 0;
}

/* A second pass is always worth it: what was in the way in the first may have gone in the same. Further ones as long as
 * each leaves less than the one before; a revert that cannot be done is not tried for ever. */
static bool
is_worth_it(struct job *job, size_t lines)
{
	if (job->passes >= RESTORE_PASSES || (job->passes > 1 && lines >= job->differed))
		return false;
	if (!job->passes)
		job->receipt.restored += (unsigned)lines;
	job->passes++;
	job->differed = lines;
	return true;
}

bool
run_restore(struct install *in, enum install_means means)
{
	struct buf b = BUF_INIT(CONFIG_MAX_BYTES);
	struct job *job = &in->job;
	struct err e = ERR_NONE;
	size_t lines = 0;
	int rc = diff_trees(in->ops.running(in->ops.ctx), job->saved, &b, &lines);

	if (!rc && b.len && means != INSTALL_MEMORY && !is_worth_it(job, lines)) {
		buf_free(&b);
		return false;
	}
	if (!rc && b.len) {
		script_free(job->restore);
		job->restore = NULL;
		rc = script_parse("restore", (const char *)buf_head(&b), b.len, &job->restore, &e);
	}
	if (!rc && b.len)
		rc = run_start(in, INSTALL_RESTORE, job->restore, means);
	if (rc)
		install_because(in, "restoring what differs: %s", e.text[0] ? e.text : strerror(ENOMEM));
	rc = rc || !b.len;
	buf_free(&b);
	return !rc;
}

/* One entry that differs: into the log, and the first ones into `names`. */
static void
name_entry(const struct install *in, const struct entry *e, size_t count, char names[NAMES_MAX])
{
	char key[64], one[200];
	size_t used = strlen(names);

	snprintf(one, sizeof(one), "%s %s", entry_table(e)->path,
		 text_escape(key, sizeof(key), entry_key(e), strlen(entry_key(e))));
	if (count <= NAMED_IN_CAUSE)
		snprintf(names + used, NAMES_MAX - used, "%s%s", used ? ", " : "", one);
	if (count <= NAMED_IN_LOG)
		log_say(LOG_LEVEL_ERROR, "install %s: the system did not let go back: %s", in->job.head.id, one);
}

void
run_name_refused(struct install *in)
{
	const struct tree *now = in->ops.running(in->ops.ctx), *saved = in->job.saved;
	const struct schema *s = tree_schema(saved);
	char names[NAMES_MAX] = "";
	size_t count = 0;

	if (tree_equal(now, saved))
		return;
	for (size_t i = 0; i < schema_count(s); i++) {
		const char *path = schema_at(s, i)->path;

		for (const struct entry *e = tree_first(saved, path); e; e = entry_next(e)) {
			if (!entry_equal(e, tree_entry(now, path, entry_key(e))))
				name_entry(in, e, ++count, names);
		}
		for (const struct entry *e = tree_first(now, path); e; e = entry_next(e)) {
			if (!tree_entry(saved, path, entry_key(e)))
				name_entry(in, e, ++count, names);
		}
	}
	if (count > NAMED_IN_CAUSE)
		snprintf(names + strlen(names), NAMES_MAX - strlen(names), " and %zu more", count - NAMED_IN_CAUSE);
	if (count)
		install_because(in, "the system did not let go back: %s (%.60s)", names, in->job.run.why.text);
}
