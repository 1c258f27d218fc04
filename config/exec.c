#include "config/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec_private.h"
#include "config/node.h"
#include "config/reason.h"
#include "config/refs.h"
#include "config/script.h"
#include "config/tree.h"
#include "config/value.h"

struct exec *
exec_new(struct tree *t, const struct exec_ops *ops, bool bootstrap)
{
	struct exec *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->tree = t;
	x->ops = *ops;
	x->bootstrap = bootstrap;
	return x;
}

void
exec_free(struct exec *x)
{
	if (!x)
		return;
	exec_reset(x);
	free(x);
}

void
exec_set_interactive(struct exec *x)
{
	x->interactive = true;
}

bool
exec_at_top(const struct exec *x)
{
	return !x->depth && !x->dead;
}

const char *
exec_prompt(struct exec *x)
{
	const struct frame *f = x->depth ? &x->frames[x->depth - 1] : NULL;
	const char *word, *space;
	char shown[PROMPT_MAX - sizeof("() ")];

	x->prompt[0] = '\0';
	if (!f)
		return x->prompt;
	space = strrchr(f->schema->path, ' ');
	word = space ? space + 1 : f->schema->path;
	if (f->draft && !f->schema->singleton)
		word = entry_key(f->draft);
	text_escape(shown, sizeof(shown), word, strlen(word));
	snprintf(x->prompt, sizeof(x->prompt), "(%s) ", shown);
	return x->prompt;
}

/* Back at the top: what was committed in the block is worth saving. */
static void
report_changes(struct exec *x)
{
	bool changed = x->changed;

	x->changed = false;
	if (changed && x->ops.changed)
		x->ops.changed(x->ops.ctx);
}

static void
pop_frame(struct exec *x)
{
	struct frame *f = &x->frames[--x->depth];

	entry_free(f->draft);
	*f = (struct frame){0};
	if (!x->depth)
		report_changes(x);
}

void
exec_reset(struct exec *x)
{
	x->dead = DEAD_NOT;
	x->dead_depth = 0;
	while (x->depth)
		pop_frame(x);
}

struct table *
frame_table(const struct exec *x, const struct frame *f)
{
	return f->nested ? f->nested : tree_table(x->tree, f->schema);
}

int
run_may_change(struct run *r)
{
	const struct exec_ops *ops = &r->x->ops;

	return ops->may_change ? ops->may_change(ops->ctx, r->e) : CLI_OK;
}

int
run_apply(struct run *r, const struct entry *old, const struct entry *new)
{
	const struct exec_ops *ops = &r->x->ops;
	const struct entry *either = new ? new : old;
	struct change c = {
	    .table = either->schema,
	    .key = either->key,
	    .old = old,
	    .new = new,
	    .tree = r->x->tree,
	};

	return ops->apply ? ops->apply(ops->ctx, &c, r->e) : CLI_OK;
}

int
run_words(struct run *r, size_t n)
{
	if (r->argc < n + 1)
		return reason_incomplete(r->e);
	return r->argc > n + 1 ? reason_before(r->e, r->argv[n + 1]) : CLI_OK;
}

int
run_key(struct run *r, const char *word, char **out)
{
	return value_key(&r->f->schema->key, word, out, r->e);
}

static int
put_in_tree(struct run *r, struct entry *draft, struct entry *after)
{
	struct entry *old;
	int rc = tree_put(r->x->tree, draft, after, &old, r->e);

	if (rc)
		return rc;
	rc = run_apply(r, old, draft);
	if (rc) {
		tree_unput(r->x->tree, draft, old);
		return rc;
	}
	tree_keep(r->x->tree, old);
	r->x->changed = true;
	return CLI_OK;
}

/* A nested entry goes into the draft above it, and to the system with that. */
static int
put_in_draft(struct run *r, struct table *t, struct entry *draft, struct entry *after)
{
	struct entry *old = table_find(t, draft->key);
	int rc = refs_check(r->x->tree, draft, r->e);

	if (rc)
		return rc;
	if (old) {
		table_swap(t, old, draft);
		entry_free(old);
		return CLI_OK;
	}
	return table_insert(t, draft, after ? after : t->last) ? reason_memory(r->e) : CLI_OK;
}

int
run_put(struct run *r, struct table *t, struct entry *draft, struct entry *after)
{
	int rc = entry_check_required(draft, r->e);

	if (!rc)
		rc = r->f->nested ? put_in_draft(r, t, draft, after) : put_in_tree(r, draft, after);
	if (rc)
		entry_free(draft);
	return rc;
}

/* Ends the open edit. Whatever comes of it, the draft is gone afterwards. */
static int
commit(struct run *r)
{
	struct frame *f = r->f;
	struct table *t = frame_table(r->x, f);
	struct entry *draft = f->draft, *current;
	int rc = CLI_OK;

	f->draft = NULL;
	if (!draft)
		return CLI_OK;
	current = table_find(t, draft->key);
	if (current && entry_equal(current, draft)) {
		entry_free(draft);
		return CLI_OK;
	}
	if (!f->nested && f->stamp != (current ? current->stamp : 0))
		rc = err_set(r->e, CLI_CONFLICT, "value conflicts with settings: the entry was changed meanwhile");
	if (!rc)
		rc = run_may_change(r);
	if (!rc)
		return run_put(r, t, draft, NULL);
	entry_free(draft);
	return rc;
}

/* The block was not entered: its commands have nothing to act on. */
static int
die(struct run *r, enum dead kind, int code)
{
	struct exec *x = r->x;

	if (x->interactive)
		return code;
	x->dead = kind;
	x->dead_depth = kind == DEAD_CONFIG ? 1 : 0;
	x->dead_why = *r->e;
	x->dead_why.code = code;
	return code;
}

/* In a dead block. A failed `edit` ends with its `next`, or with the `end` of the live block around it, which is
 * carried out, too. */
static int
run_dead(struct run *r)
{
	struct exec *x = r->x;
	bool ends = r->verb == VERB_END || r->verb == VERB_ABORT;

	if (r->verb == VERB_CONFIG) {
		x->dead_depth++;
	} else if (!x->dead_depth && (ends || r->verb == VERB_NEXT)) {
		x->dead = DEAD_NOT;
		if (r->verb == VERB_END)
			(void)commit(
			    r); /* of the singleton around an `edit`; the answer is the failed `edit` in any case */
		if (ends)
			pop_frame(x);
	} else if (ends && !--x->dead_depth && x->dead == DEAD_CONFIG) {
		x->dead = DEAD_NOT;
	}
	*r->e = x->dead_why;
	return x->dead_why.code;
}

/* Draft of an entry as it is in the table, or of a new one. */
static int
open_draft(struct run *r, struct frame *f, const char *key)
{
	const struct entry *current = table_find(frame_table(r->x, f), key);

	f->draft = current ? entry_copy(current, NULL) : entry_new(f->schema, key);
	f->stamp = current ? current->stamp : 0;
	return f->draft ? CLI_OK : reason_memory(r->e);
}

static int
find_config(struct run *r, struct frame *out)
{
	size_t used;
	int rc;

	if (r->argc < 2)
		return reason_incomplete(r->e);
	if (!r->f) {
		rc = schema_match_first(tree_schema(r->x->tree), r->x->bootstrap, r->argv + 1, r->argc - 1,
					&out->schema, &used, r->e);
		return rc || used == r->argc - 1 ? rc : reason_before(r->e, r->argv[used + 1]);
	}
	rc = run_words(r, 1);
	if (rc)
		return rc;
	if (!r->f->draft)
		return reason_before(r->e, r->argv[0]);
	out->schema = schema_child(r->f->schema, r->argv[1]);
	if (!out->schema)
		return reason_before(r->e, r->argv[1]);
	out->nested = entry_child(r->f->draft, out->schema);
	return CLI_OK;
}

static int
run_config(struct run *r)
{
	struct frame f = {0};
	int rc = find_config(r, &f);

	if (!rc && f.schema->singleton)
		rc = open_draft(r, &f, "");
	if (rc)
		return die(r, DEAD_CONFIG, rc);
	r->x->frames[r->x->depth++] = f; /* a schema nests no deeper than there are frames */
	return CLI_OK;
}

static int
run_edit(struct run *r)
{
	char *key = NULL;
	int rc = run_words(r, 1);

	if (!r->f || (r->f->draft && !r->f->schema->singleton))
		return reason_before(r->e, r->argv[0]);
	if (r->f->draft)
		rc = reason_before(r->e, r->argv[0]);
	if (!rc)
		rc = run_key(r, r->argv[1], &key);
	if (!rc && !table_find(frame_table(r->x, r->f), key))
		rc = run_may_change(r);
	if (!rc)
		rc = open_draft(r, r->f, key);
	free(key);
	return rc ? die(r, DEAD_EDIT, rc) : CLI_OK;
}

static int
run_next(struct run *r)
{
	int rc = run_words(r, 0);

	if (rc)
		return rc;
	if (!r->f || !r->f->draft || r->f->schema->singleton)
		return reason_before(r->e, r->argv[0]);
	return commit(r);
}

/* `end` leaves the block even when what was open in it could not be committed. */
static int
run_end(struct run *r)
{
	int rc = run_words(r, 0);

	if (rc)
		return rc;
	if (!r->f)
		return reason_before(r->e, r->argv[0]);
	if (r->verb == VERB_END)
		rc = commit(r);
	pop_frame(r->x);
	return rc;
}

static int
run_other(struct run *r)
{
	const struct exec_ops *ops = &r->x->ops;

	if (!ops->other)
		return reason_before(r->e, r->argv[0]);
	return ops->other(ops->ctx, r->argc, r->argv, r->out, r->e);
}

static int
dispatch(struct run *r)
{
	switch (r->verb) {
	case VERB_CONFIG:
		return run_config(r);
	case VERB_EDIT:
		return run_edit(r);
	case VERB_SET:
	case VERB_UNSET:
	case VERB_APPEND:
	case VERB_SELECT:
	case VERB_UNSELECT:
		return run_entry(r);
	case VERB_DELETE:
	case VERB_PURGE:
	case VERB_RENAME:
	case VERB_CLONE:
	case VERB_MOVE:
		return run_table(r);
	case VERB_NEXT:
		return run_next(r);
	case VERB_END:
	case VERB_ABORT:
		return run_end(r);
	case VERB_SHOW:
		return run_show(r);
	case VERB_GET:
		return run_get(r);
	default:
		return run_other(r);
	}
}

int
exec_run(struct exec *x, const struct command *c, struct buf *out, struct err *e)
{
	struct buf unread = BUF_INIT(CONFIG_MAX_BYTES);
	struct err why = ERR_NONE;
	struct run r = {.x = x, .argc = c->argc, .argv = c->argv, .out = out ? out : &unread, .e = &why};
	int rc;

	if (!c->argc)
		return CLI_OK;
	r.f = x->depth ? &x->frames[x->depth - 1] : NULL;
	rc = verb_match(c->argv[0], &r.verb);
	if (x->dead && !rc)
		rc = run_dead(&r);
	else
		rc = rc ? reason_before(r.e, c->argv[0]) : dispatch(&r);
	buf_free(&unread);
	why.code = rc;
	if (rc && e)
		*e = why;
	return rc;
}
