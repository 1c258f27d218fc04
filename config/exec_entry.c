/* Commands that change the draft of an entry. */
#include <stdlib.h>
#include <string.h>

#include "config/codes.h"
#include "config/exec_private.h"
#include "config/node.h"
#include "config/reason.h"
#include "config/value.h"

static int
store(struct run *r, const struct schema_attr *a, struct packed *p)
{
	return entry_store(r->f->draft, a, p) ? reason_memory(r->e) : CLI_OK;
}

static bool
has_value(const char *text, size_t size, const char *value)
{
	const char *v = NULL;

	while ((v = value_next(text, size, v))) {
		if (!strcmp(v, value))
			return true;
	}
	return false;
}

/* Lists as they are: two runs of packed values. */
struct lists {
	const char *now;
	size_t now_size;
	struct packed given;
};

static int
append(struct run *r, const struct schema_attr *a, const struct lists *l, struct packed *out)
{
	const char *v = NULL;

	while ((v = value_next(l->given.text, l->given.size, v))) {
		if (has_value(l->now, l->now_size, v))
			return reason_duplicate(r->e, v);
	}
	while ((v = value_next(l->now, l->now_size, v)))
		out->count++;
	out->count += l->given.count;
	if (out->count > a->max_values)
		return err_set(r->e, CLI_TOO_LONG, "value too long: attribute '%s' takes at most %u values", a->name,
			       a->max_values);
	if (l->now_size)
		memcpy(out->text, l->now, l->now_size);
	memcpy(out->text + l->now_size, l->given.text, l->given.size);
	out->size = l->now_size + l->given.size;
	return CLI_OK;
}

/* Keeps those values of the list that are among the given ones, or that are not. Each given one must be in the list. */
static int
keep_some(struct run *r, const struct lists *l, bool among, struct packed *out)
{
	const char *v = NULL;

	while ((v = value_next(l->given.text, l->given.size, v))) {
		if (!has_value(l->now, l->now_size, v))
			return reason_not_found(r->e, v);
	}
	while ((v = value_next(l->now, l->now_size, v))) {
		size_t size = strlen(v) + 1;

		if (has_value(l->given.text, l->given.size, v) != among)
			continue;
		memcpy(out->text + out->size, v, size);
		out->size += size;
		out->count++;
	}
	return CLI_OK;
}

static int
run_list(struct run *r, const struct schema_attr *a)
{
	struct packed p = {NULL, 0, 0};
	struct lists l = {.now = NULL};
	int rc;

	if (!a->list)
		return reason_before(r->e, r->argv[1]);
	rc = value_pack(a, r->argv + 2, r->argc - 2, &l.given, r->e);
	if (rc)
		return rc;
	l.now = entry_bytes(r->f->draft, a, &l.now_size);
	p.text = malloc(l.now_size + l.given.size + 1);
	if (!p.text)
		rc = reason_memory(r->e);
	else if (r->verb == VERB_APPEND)
		rc = append(r, a, &l, &p);
	else
		rc = keep_some(r, &l, r->verb == VERB_SELECT, &p);
	if (!rc)
		rc = store(r, a, &p);
	free(l.given.text);
	free(p.text);
	return rc;
}

static int
run_set(struct run *r, const struct schema_attr *a)
{
	struct packed p = {NULL, 0, 0};
	int rc = value_pack(a, r->argv + 2, r->argc - 2, &p, r->e);

	return rc ? rc : store(r, a, &p);
}

static int
run_unset(struct run *r, const struct schema_attr *a)
{
	int rc = run_words(r, 1);

	if (rc)
		return rc;
	if (a->fixed)
		return err_set(r->e, CLI_IN_USE, "attribute '%s' cannot be unset", a->name);
	entry_drop(r->f->draft, a);
	return CLI_OK;
}

int
run_entry(struct run *r)
{
	const struct schema_attr *a = NULL;
	int rc = CLI_OK;

	if (!r->f || !r->f->draft)
		return reason_before(r->e, r->argv[0]);
	if (r->argc < 2)
		return reason_incomplete(r->e);
	rc = schema_match_attr(r->f->schema, r->argv[1], &a, r->e);
	if (!rc && r->argc < 3 && r->verb != VERB_UNSET)
		rc = reason_incomplete(r->e);
	if (!rc)
		rc = run_may_change(r);
	if (rc)
		return rc;
	if (r->verb == VERB_SET)
		return run_set(r, a);
	return r->verb == VERB_UNSET ? run_unset(r, a) : run_list(r, a);
}
