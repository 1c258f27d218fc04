#include "rollback/dry_run.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "config/value.h"
#include "config/verb.h"

enum { DEPTH_MAX = SCHEMA_NESTING_MAX + 1 };

enum phase { PHASE_SET, PHASE_UNSET, PHASE_JUDGE, PHASE_DONE };

/* One `config` block that the commands being judged stand in. */
struct place {
	const struct schema_table *table; /* NULL: the block was not entered */
	char *key;                        /* owned; of the entry being edited; NULL: none is */
};

/* What became of a table's entries as a whole. */
struct fate {
	bool known;
	bool kept;    /* each entry of before is there, the same */
	bool ordered; /* those that stayed stand in the same order */
};

struct dry_run {
	const struct tree *before;
	const struct script *set, *unset;
	struct tree *after; /* the copy */
	struct exec *exec;  /* on the copy */
	uint8_t *done;      /* a bit for each command of the set script: it succeeded */
	uint8_t *left;      /* … something it changed is left different */
	struct fate *fates; /* by schema_table.index */
	struct place at[DEPTH_MAX];
	size_t depth; /* beyond DEPTH_MAX no block was entered */
	enum phase phase;
	size_t next; /* command of the phase's script */
	size_t irreversible;
	bool back;
};

static void
bit_set(uint8_t *bits, size_t i)
{
	bits[i / 8] |= (uint8_t)(1U << i % 8);
}

static bool
bit_get(const uint8_t *bits, size_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

struct dry_run *
dry_run_new(const struct tree *before, const struct script *set, const struct script *unset)
{
	static const struct exec_ops nothing = {.apply = NULL};
	struct dry_run *d = calloc(1, sizeof(*d));
	size_t bytes = script_count(set) / 8 + 1;

	if (!d)
		return NULL;
	d->before = before;
	d->set = set;
	d->unset = unset;
	d->done = calloc(bytes, 1);
	d->left = calloc(bytes, 1);
	d->fates = calloc(schema_count(tree_schema(before)) + 1, sizeof(*d->fates));
	d->after = tree_clone(before);
	d->exec = d->after ? exec_new(d->after, &nothing, false) : NULL;
	if (!d->done || !d->left || !d->fates || !d->exec) {
		dry_run_free(d);
		return NULL;
	}
	return d;
}

static void
leave(struct dry_run *d)
{
	if (!d->depth)
		return;
	if (--d->depth < DEPTH_MAX) {
		free(d->at[d->depth].key);
		d->at[d->depth] = (struct place){.table = NULL};
	}
}

void
dry_run_free(struct dry_run *d)
{
	if (!d)
		return;
	while (d->depth)
		leave(d);
	exec_free(d->exec);
	tree_free(d->after);
	free(d->done);
	free(d->left);
	free(d->fates);
	free(d);
}

static bool
same_values(const struct entry *a, const struct entry *b, const char *attr)
{
	size_t n = entry_count(a, attr);

	if (n != entry_count(b, attr) || entry_is_set(a, attr) != entry_is_set(b, attr))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(entry_value(a, attr, i), entry_value(b, attr, i)) != 0)
			return false;
	}
	return true;
}

static const struct entry *
child_of(const struct entry *e, const struct schema_table *table, const char *key)
{
	const struct entry *c = e ? entry_child_first(e, table->path) : NULL;

	while (c && strcmp(entry_key(c), key) != 0)
		c = entry_next(c);
	return c;
}

/* The entry of this key in the innermost block's table; NULL: there is none. */
static const struct entry *
entry_in(const struct dry_run *d, const struct tree *t, const char *key)
{
	size_t last = d->depth - 1;
	const struct entry *e;

	if (!last)
		return tree_entry(t, d->at[0].table->path, key);
	e = tree_entry(t, d->at[0].table->path, d->at[0].key);
	for (size_t i = 1; i <= last; i++)
		e = child_of(e, d->at[i].table, i < last ? d->at[i].key : key);
	return e;
}

/* Walks both tables over the entries that are in both. */
static bool
same_order(const struct dry_run *d, const char *path)
{
	const struct entry *a = tree_first(d->before, path), *b = tree_first(d->after, path);

	for (;;) {
		while (a && !tree_entry(d->after, path, entry_key(a)))
			a = entry_next(a);
		while (b && !tree_entry(d->before, path, entry_key(b)))
			b = entry_next(b);
		if (!a || !b)
			return true;
		if (strcmp(entry_key(a), entry_key(b)) != 0)
			return false;
		a = entry_next(a);
		b = entry_next(b);
	}
}

static const struct fate *
fate_of(struct dry_run *d, const struct schema_table *table)
{
	struct fate *f = &d->fates[table->index];

	if (f->known)
		return f;
	*f = (struct fate){.known = true, .kept = true, .ordered = same_order(d, table->path)};
	for (const struct entry *e = tree_first(d->before, table->path); e && f->kept; e = entry_next(e))
		f->kept = entry_equal(e, tree_entry(d->after, table->path, entry_key(e)));
	return f;
}

/* Whether a nested table is the same as a whole. */
static bool
same_nested(const struct dry_run *d)
{
	const struct entry *a, *b;
	size_t last = d->depth - 1;

	a = tree_entry(d->before, d->at[0].table->path, d->at[0].key);
	b = tree_entry(d->after, d->at[0].table->path, d->at[0].key);
	for (size_t i = 1; i < last; i++) {
		a = child_of(a, d->at[i].table, d->at[i].key);
		b = child_of(b, d->at[i].table, d->at[i].key);
	}
	a = a ? entry_child_first(a, d->at[last].table->path) : NULL;
	b = b ? entry_child_first(b, d->at[last].table->path) : NULL;
	for (; a && b && entry_equal(a, b); a = entry_next(a))
		b = entry_next(b);
	return !a && !b;
}

static bool
ordered(struct dry_run *d)
{
	return d->depth > 1 ? same_nested(d) : fate_of(d, d->at[0].table)->ordered;
}

static bool
kept(struct dry_run *d)
{
	return d->depth > 1 ? same_nested(d) : fate_of(d, d->at[0].table)->kept && ordered(d);
}

static bool
left_attr(const struct dry_run *d, const char *word)
{
	const struct place *p = &d->at[d->depth - 1];
	const struct entry *a, *b;
	const struct schema_attr *attr;

	if (!p->key || schema_match_attr(p->table, word, &attr, NULL))
		return false;
	a = entry_in(d, d->before, p->key);
	b = entry_in(d, d->after, p->key);
	if (a && b)
		return !same_values(a, b, attr->name);
	return a ? entry_is_set(a, attr->name) : b && entry_is_set(b, attr->name);
}

/* An entry that the command made is still there, or one that it took away is not there as it was. */
static bool
left_entry(struct dry_run *d, const char *word, bool made)
{
	const struct entry *a, *b;
	bool left = false;
	char *key = NULL;

	if (value_key(&d->at[d->depth - 1].table->key, word, &key, NULL))
		return false;
	a = entry_in(d, d->before, key);
	b = entry_in(d, d->after, key);
	if (made)
		left = !a && b;
	else
		left = a && (!entry_equal(a, b) || !ordered(d));
	free(key);
	return left;
}

/* `rename A to B`, `clone A to B`: the words stand where exec_run() took them from. */
static bool
is_left(struct dry_run *d, enum verb verb, const struct command *c)
{
	const char *word = c->argc > 1 ? c->argv[1] : "";
	const char *to = c->argc > 3 ? c->argv[3] : "";

	switch (verb) {
	case VERB_SET:
	case VERB_UNSET:
	case VERB_APPEND:
	case VERB_SELECT:
	case VERB_UNSELECT:
		return left_attr(d, word);
	case VERB_EDIT:
		return left_entry(d, word, true);
	case VERB_CLONE:
		return left_entry(d, to, true);
	case VERB_RENAME:
		return left_entry(d, word, false) || left_entry(d, to, true);
	case VERB_DELETE:
		return left_entry(d, word, false);
	case VERB_PURGE:
		return !kept(d);
	case VERB_MOVE:
		return !ordered(d);
	default:
		return false;
	}
}

/* The block that a `config` which succeeded has entered. */
static void
enter(struct dry_run *d, const struct command *c, bool done)
{
	const struct schema *s = tree_schema(d->before);
	struct place p = {.table = NULL};
	size_t used;

	if (done && !d->depth)
		(void)schema_match_first(s, false, c->argv + 1, c->argc - 1, &p.table, &used, NULL);
	else if (done && d->depth < DEPTH_MAX && d->at[d->depth - 1].key)
		p.table = schema_child(d->at[d->depth - 1].table, c->argv[1]);
	if (p.table && p.table->singleton)
		p.key = strdup("");
	if (d->depth < DEPTH_MAX)
		d->at[d->depth] = p;
	d->depth++;
}

/* `edit` and `next` stand in a block, which script_parse() has seen to. */
static void
stand_at(struct dry_run *d, const char *word)
{
	struct place *p = d->depth && d->depth <= DEPTH_MAX ? &d->at[d->depth - 1] : NULL;

	if (!p)
		return;
	free(p->key);
	p->key = NULL;
	if (word && p->table && value_key(&p->table->key, word, &p->key, NULL))
		p->key = NULL;
}

static void
judge(struct dry_run *d, size_t i)
{
	const struct command *c = script_at(d->set, i);
	bool done = bit_get(d->done, i);
	enum verb verb;

	if (!c->argc || verb_match(c->argv[0], &verb))
		return;
	if (verb == VERB_CONFIG) {
		enter(d, c, done);
		return;
	}
	if (done && d->depth && d->depth <= DEPTH_MAX && d->at[d->depth - 1].table && is_left(d, verb, c)) {
		bit_set(d->left, i);
		d->irreversible++;
	}
	if (verb == VERB_EDIT)
		stand_at(d, done ? c->argv[1] : NULL);
	else if (verb == VERB_NEXT)
		stand_at(d, NULL);
	else if (verb == VERB_END || verb == VERB_ABORT)
		leave(d);
}

/* What looks around is left out: it changes nothing, and may print much. */
static bool
changes_something(const struct command *c)
{
	enum verb verb;

	return c->argc && !verb_match(c->argv[0], &verb) && verb < VERB_SHOW;
}

static void
run(struct dry_run *d, const struct command *c, size_t i)
{
	if (changes_something(c) && exec_run(d->exec, c, NULL, NULL) == CLI_OK && d->phase == PHASE_SET)
		bit_set(d->done, i);
}

static const struct script *
script_of(const struct dry_run *d)
{
	return d->phase == PHASE_UNSET ? d->unset : d->set;
}

/* A script is through. Mostly the copy is as it was, and no command has to be looked at. */
static void
next_phase(struct dry_run *d)
{
	d->next = 0;
	d->phase++;
	exec_reset(d->exec);
	if (d->phase != PHASE_JUDGE)
		return;
	d->back = tree_equal(d->before, d->after);
	if (d->back)
		d->phase = PHASE_DONE;
}

bool
dry_run_step(struct dry_run *d, size_t commands)
{
	while (d->phase != PHASE_DONE) {
		if (d->next == script_count(script_of(d))) {
			next_phase(d);
			continue;
		}
		if (!commands--)
			return false;
		if (d->phase == PHASE_JUDGE)
			judge(d, d->next);
		else
			run(d, script_at(script_of(d), d->next), d->next);
		d->next++;
	}
	return true;
}

size_t
dry_run_done(const struct dry_run *d)
{
	const size_t sets = script_count(d->set), unsets = script_count(d->unset);

	switch (d->phase) {
	case PHASE_SET:
		return d->next;
	case PHASE_UNSET:
		return sets + d->next;
	case PHASE_JUDGE:
		return sets + unsets + d->next;
	default:
		return dry_run_total(d);
	}
}

size_t
dry_run_total(const struct dry_run *d)
{
	return 2 * script_count(d->set) + script_count(d->unset);
}

void
dry_run_result(const struct dry_run *d, void (*name)(void *ctx, const struct command *c), void *ctx,
	       struct dry_run_result *out)
{
	size_t count = script_count(d->set);

	for (size_t i = 0; i < count && d->irreversible; i++) {
		if (bit_get(d->left, i))
			name(ctx, script_at(d->set, i));
	}
	*out = (struct dry_run_result){.commands = count, .reversible = count - d->irreversible, .back = d->back};
}
