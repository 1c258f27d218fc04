#include "agent/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apply.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "config/codes.h"
#include "config/diff.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/secret.h"
#include "rollback/store.h"

/* An entry that an executor has changed. */
struct touched {
	const struct schema_table *table;
	char *key; /* owned */
};

struct device {
	const struct schema *schema;
	struct store *store;
	struct apply *apply;
	struct device_ops ops;
	struct tree *running;
	struct checksum_cache *cache;
	struct checksums sums;
	bool unsaved; /* a shell has changed something */
	struct touched *touched;
	size_t touched_count, touched_room;
	bool touched_all; /* there was no memory to say which */
	mono_t settle_at; /* next try of what is owed; known once there was a first one */
	unsigned settle_tries;
};

int
device_new(const struct schema *s, struct store *st, struct apply *a, const struct device_ops *ops,
	   load_complain_fn *complain, void *complain_ctx, struct device **out, struct err *e)
{
	struct device *d = calloc(1, sizeof(*d));
	enum store_source source;
	int rc;

	if (!d)
		return err_sys(e, -ENOMEM, "device configuration");
	*d = (struct device){.schema = s, .store = st, .apply = a, .ops = *ops};
	rc = store_load(st, &d->running, &source, complain, complain_ctx, e);
	if (!rc) {
		d->cache = checksum_cache_new(d->running);
		if (!d->cache)
			rc = err_sys(e, -ENOMEM, "device configuration");
	}
	if (rc) {
		device_free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void
device_free(struct device *d)
{
	if (!d)
		return;
	checksum_cache_free(d->cache);
	device_forget_changed(d);
	tree_free(d->running);
	free(d);
}

struct tree *
device_running(struct device *d)
{
	return d->running;
}

const struct checksums *
device_checksums(struct device *d)
{
	(void)checksum_cache_sums(d->cache, &d->sums); /* without memory the last ones stay */
	return &d->sums;
}

const uint8_t *
device_checksum(struct device *d)
{
	(void)checksum_cache_all(d->cache, d->sums.all);
	return d->sums.all;
}

bool
device_checksum_step(struct device *d)
{
	bool more = false;

	/* without memory it is left to whoever asks for the sum */
	return !checksum_cache_step(d->cache, &more) && more;
}

bool
device_names_manager(const struct tree *t)
{
	const struct entry *cm = tree_entry(t, "system central-management", "");

	return !strcmp(entry_get(cm, "type"), "fortimanager") && entry_count(cm, "fmg");
}

struct found {
	size_t count;
	char first[256];
};

static void
on_found(void *ctx, const struct apply_difference *x)
{
	struct found *f = ctx;

	log_debug(DBG_CONFIG, "[apply] %s %s: %s %s, the configuration says %s", x->table, x->key, x->what, x->found,
		  x->expected);
	if (!f->count++)
		snprintf(f->first, sizeof(f->first), "%s %s: %s %s, was %s", x->table, x->key, x->what, x->expected,
			 x->found);
}

int
device_settle(struct device *d, struct err *e)
{
	struct found f = {.count = 0};
	int failed;

	if (!d->apply)
		return 0;
	(void)apply_drift(d->apply, d->running, on_found, &f, NULL);
	if (f.count)
		log_say(LOG_LEVEL_NOTICE, "the configuration is applied, %zu differences to the system, the first: %s",
			f.count, f.first);
	failed = apply_all(d->apply, d->running, e);
	apply_rest(d->apply);
	device_forget_changed(d);
	return failed;
}

void
device_forget_changed(struct device *d)
{
	for (size_t i = 0; i < d->touched_count; i++)
		free(d->touched[i].key);
	free(d->touched);
	d->touched = NULL;
	d->touched_count = d->touched_room = 0;
	d->touched_all = false;
}

/* By table, in the order of applying, and by key. */
static int
compare_touched(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;

	if (x->table != y->table)
		return x->table->index < y->table->index ? -1 : 1;
	return strcmp(x->key, y->key);
}

int
device_settle_changed(struct device *d, struct err *e)
{
	int failed = 0;

	if (!d->apply || d->touched_all)
		return device_settle(d, e);
	if (d->touched_count)
		qsort(d->touched, d->touched_count, sizeof(*d->touched), compare_touched);
	/* first, so that nothing of a change that failed stays */
	if (apply_owed(d->apply) && apply_pay(d->apply, d->running, e))
		failed++;
	for (size_t i = 0; i < d->touched_count; i++) {
		const struct touched *t = &d->touched[i];
		struct err why = ERR_NONE;

		if (i && !compare_touched(t, t - 1))
			continue;
		if (apply_again(d->apply, d->running, t->table, t->key, &why) == CLI_OK)
			continue;
		log_say(LOG_LEVEL_ERROR, "%s %s: %s", t->table->path, t->key, why.text);
		if (!failed++ && e)
			*e = why;
	}
	device_forget_changed(d);
	return failed;
}

static int64_t
settle_delay_ms(unsigned tries)
{
	return tries < 6 ? (int64_t)SETTLE_MIN_MS << tries : SETTLE_MAX_MS;
}

/* The first try comes at once. */
mono_t
device_deadline(const struct device *d)
{
	if (!d->apply || !apply_owed(d->apply))
		return MONO_NEVER;
	return d->settle_tries ? d->settle_at : (mono_t){0};
}

void
device_tick(struct device *d, mono_t now)
{
	struct err e = ERR_NONE;
	size_t before, left;

	if (!mono_due(device_deadline(d), now))
		return;
	before = apply_owed(d->apply);
	left = apply_pay(d->apply, d->running, &e);
	if (!left) {
		log_say(LOG_LEVEL_NOTICE,
			"the system is as the configuration says: what was left of %zu changes is done", before);
	} else if (d->settle_tries == SETTLE_TRIES) {
		apply_write_off(d->apply);
		left = 0;
	} else if (!d->settle_tries) {
		log_say(LOG_LEVEL_WARNING, "%zu changes are not in the system yet and are tried again, the first: %s",
			left, e.text);
	}
	d->settle_at = mono_in(now, settle_delay_ms(d->settle_tries));
	d->settle_tries = left ? d->settle_tries + 1 : 0;
}

int
device_drift(struct device *d, apply_drift_fn *fn, void *ctx, struct err *e)
{
	return d->apply ? apply_drift(d->apply, d->running, fn, ctx, e) : CLI_OK;
}

void
device_rest(struct device *d)
{
	if (d->apply)
		apply_rest(d->apply);
}

void
device_turn(struct device *d)
{
	if (d->apply)
		apply_turn(d->apply);
}

bool
device_is_slow(const struct device *d)
{
	return d->apply && apply_is_slow(d->apply);
}

void
device_say_kept(struct device *d)
{
	if (d->apply)
		apply_say_kept(d->apply, d->running);
}

/* Tables of the agent's own are settled again whatever came of it: cheap, and a later change may have taken from an
 * earlier one. Of those of programs only what failed: they are no part of a start. */
static void
note_touched(struct device *d, const struct change *c, int code)
{
	char *key;

	if (!apply_is_own(c->table) && code == CLI_OK)
		return;
	if (d->touched_count == d->touched_room) {
		size_t room = d->touched_room ? d->touched_room * 2 : 64;
		struct touched *more = realloc(d->touched, room * sizeof(*more));

		if (more) {
			d->touched = more;
			d->touched_room = room;
		}
	}
	key = d->touched_count < d->touched_room ? strdup(c->key) : NULL;
	if (key)
		d->touched[d->touched_count++] = (struct touched){.table = c->table, .key = key};
	else
		d->touched_all = true;
}

static void
note_change(struct device *d)
{
	d->ops.changed(d->ops.ctx);
}

static int
apply_one(struct device *d, const struct change *c, struct err *e)
{
	int rc = d->apply ? apply_change(d->apply, c, e) : CLI_OK;

	note_change(d);
	return rc;
}

static int
on_apply(void *ctx, const struct change *c, struct err *e)
{
	struct device *d = ctx;
	int rc = apply_one(d, c, e);

	note_touched(d, c, rc);
	return rc;
}

/* It is owed, and device_tick() sees to it. */
static int
on_apply_again(void *ctx, const struct change *c, struct err *e)
{
	const struct device *d = ctx;
	int rc = on_apply(ctx, c, e);

	return rc != CLI_OK && d->apply && apply_will_be_paid(d->apply) ? CLI_OK : rc;
}

static int
on_memory(void *ctx, const struct change *c, struct err *e)
{
	struct device *d = ctx;

	(void)e;
	note_touched(d, c, CLI_OK);
	note_change(d);
	return CLI_OK;
}

/* Also a change that no applier hears of: the order of entries. */
static void
on_changed(void *ctx)
{
	note_change(ctx);
}

static int
on_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	return device_other(ctx, argc, argv, out, e);
}

int
device_other(struct device *d, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	return d->ops.other(d->ops.ctx, argc, argv, out, e);
}

struct exec *
device_executor(struct device *d, enum install_means means)
{
	static int (*const apply[])(void *ctx, const struct change *c, struct err *e) = {
	    [INSTALL_MEMORY] = on_memory,
	    [INSTALL_SYSTEM] = on_apply,
	    [INSTALL_SYSTEM_AGAIN] = on_apply_again,
	};
	const struct exec_ops ops = {.apply = apply[means], .other = on_other, .changed = on_changed, .ctx = d};

	return exec_new(d->running, &ops, false);
}

void
device_changed_by_shell(struct device *d)
{
	d->unsaved = true;
	note_change(d);
}

int
device_apply_for_shell(struct device *d, const struct change *c, struct err *e)
{
	d->unsaved = true;
	return apply_one(d, c, e);
}

/* Runs `text` on the running tree with the appliers, up to the first command that fails, or with `go_on` past it. 0, or
 * nonzero with the last failure in `e`. */
static int
run_applied(struct device *d, const char *name, const char *text, size_t len, bool go_on, struct err *e)
{
	struct script *script = NULL;
	struct exec *x = device_executor(d, INSTALL_SYSTEM);
	int rc = x ? script_parse(name, text, len, &script, e) : err_sys(e, -ENOMEM, "%s", name);
	int failed = rc;

	for (size_t i = 0; !rc && (go_on || !failed) && i < script_count(script); i++) {
		const struct command *c = script_at(script, i);
		char shown[SECRET_LINE];
		struct err why = ERR_NONE;
		int code = exec_run(x, c, NULL, &why);

		log_raw(DBG_CONFIG, "%d: %s", code, secret_mask(d->schema, c, shown));
		if (code == CLI_OK)
			continue;
		err_set(e, -EIO, "%s: %s (code %d)", secret_mask(d->schema, c, shown), why.text, code);
		failed = 1;
	}
	exec_free(x);
	script_free(script);
	device_rest(d);
	return failed;
}

/* Makes the running configuration what `want` is. 0, or what failed is in `e`. */
static int
become(struct device *d, const struct tree *want, bool go_on, struct err *e)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	int rc = diff_trees(d->running, want, &text, NULL);

	if (rc)
		err_sys(e, rc, "comparing configurations");
	else if (text.len)
		rc = run_applied(d, "difference", (const char *)buf_head(&text), text.len, go_on, e);
	buf_free(&text);
	return rc;
}

/* Back to what is on disk: memory and the running system. What fails on the way keeps nothing else from going back. */
static void
go_back(struct device *d)
{
	struct tree *saved = NULL;
	enum store_source source;
	struct err e = ERR_NONE;

	if (store_load(d->store, &saved, &source, NULL, NULL, &e) || become(d, saved, true, &e))
		log_say(LOG_LEVEL_ERROR, "going back to the saved configuration: %s", e.text);
	tree_free(saved);
}

void
device_own(struct device *d)
{
	if (d->apply)
		apply_own(d->apply);
}

static int
save(struct device *d, const char *who, struct err *e)
{
	bool renamed = false;
	int rc = store_save(d->store, d->running, who, clock_wall().s, &renamed, e);

	if (rc && renamed) {
		log_say(LOG_LEVEL_WARNING, "the configuration is saved, but: %s", e->text);
		return 0;
	}
	return rc;
}

int
device_save_changes(struct device *d, const char *who, struct err *e)
{
	int rc;

	if (!d->unsaved)
		return 0;
	d->unsaved = false;
	device_rest(d);
	rc = save(d, who, e);
	if (rc) {
		go_back(d);
		err_in(e, "the change was undone, it could not be saved");
	} else {
		device_own(d);
		log_event(EVENT_CONFIG_CHANGED, LOG_LEVEL_NOTICE, "Configuration changed", "user", who, NULL);
	}
	return rc;
}

/* A backup that was cut to nothing would take the manager away with everything else. */
static int
check_not_empty(const struct tree *want, const char *name, struct err *e)
{
	struct tree *nothing = tree_new(tree_schema(want));
	int rc = CLI_OK;

	if (!nothing)
		return err_sys(e, CLI_FAILED, "%s", name);
	if (tree_equal(want, nothing))
		rc = err_set(e, CLI_FAILED, "%s: it configures nothing; nothing was changed", name);
	tree_free(nothing);
	return rc;
}

int
device_replace(struct device *d, const char *name, const char *text, size_t len, const char *who, struct err *e)
{
	struct tree *want = tree_new(d->schema);
	int rc;

	if (!want)
		return err_sys(e, CLI_FAILED, "%s", name);
	rc = load_text(want, name, text, len, false, NULL, NULL, e);
	if (rc > 0) {
		err_set(e, -EINVAL, "%s: %d commands of it fail; nothing was changed", name, rc);
		rc = CLI_PARSE;
	}
	if (!rc)
		rc = check_not_empty(want, name, e);
	if (!rc && become(d, want, false, e)) {
		go_back(d);
		rc = CLI_FAILED;
	}
	if (!rc) {
		d->unsaved = true;
		rc = device_save_changes(d, who, e) ? CLI_FAILED : CLI_OK;
	}
	tree_free(want);
	return rc;
}
