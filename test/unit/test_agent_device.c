/* agent/device: the running configuration, what applies it, and the saved one. The system is a list of what it was told
 * to be. */
// wrap: apply_change apply_all apply_again apply_own apply_rest apply_drift store_save
// wrap: apply_owed apply_pay apply_write_off apply_will_be_paid
#include "agent/device.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/apply.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/script.h"
#include "test/unit/agent_box.h"

static const char saved[] = "config system global\n"
			    "    set hostname \"old\"\n"
			    "end\n"
			    "config system interface\n"
			    "    edit \"wan1\"\n"
			    "        set alias \"first\"\n"
			    "    next\n"
			    "    edit \"wan2\"\n"
			    "        set alias \"second\"\n"
			    "    next\n"
			    "end\n";

/* The system's side: aliases by interface, and the host's name. */
static struct {
	char wan1[64], wan2[64], wan3[64], hostname[64];
	const char *refuse; /* a change of this entry is refused */
	int refuse_after;   /* … after so many were taken */
	int applied, settled;
	char again[256]; /* entries that were settled one by one */
	size_t owed;     /* entries, and how many tries that takes */
	int pays_needed, pays, written_off;
	int rests, owns;
	int save_rc;
	bool save_renamed;
} sys;

int __wrap_apply_change(struct apply *a, const struct change *c, struct err *e);
int __wrap_apply_all(struct apply *a, const struct tree *t, struct err *e);
int __real_store_save(struct store *st, const struct tree *t, const char *who, int64_t now_s, bool *renamed,
		      struct err *e);
int __wrap_store_save(struct store *st, const struct tree *t, const char *who, int64_t now_s, bool *renamed,
		      struct err *e);

int __wrap_apply_again(struct apply *a, const struct tree *t, const struct schema_table *table, const char *key,
		       struct err *e);
void __wrap_apply_rest(struct apply *a);
void __wrap_apply_own(struct apply *a);
int __wrap_apply_drift(struct apply *a, const struct tree *t, apply_drift_fn *fn, void *ctx, struct err *e);

int
__wrap_apply_again(struct apply *a, const struct tree *t, const struct schema_table *table, const char *key,
		   struct err *e)
{
	size_t used = strlen(sys.again);

	assert_ptr_equal(a, &sys);
	assert_ptr_equal(t, device_running(box.device));
	snprintf(sys.again + used, sizeof(sys.again) - used, "%s %s;", table->path, key);
	return sys.refuse ? err_set(e, CLI_FAILED, "the system refuses it") : CLI_OK;
}

size_t __wrap_apply_owed(const struct apply *a);
size_t __wrap_apply_pay(struct apply *a, const struct tree *t, struct err *e);
void __wrap_apply_write_off(struct apply *a);
bool __wrap_apply_will_be_paid(const struct apply *a);

size_t
__wrap_apply_owed(const struct apply *a)
{
	assert_ptr_equal(a, &sys);
	return sys.owed;
}

size_t
__wrap_apply_pay(struct apply *a, const struct tree *t, struct err *e)
{
	assert_ptr_equal(a, &sys);
	assert_ptr_equal(t, device_running(box.device));
	if (++sys.pays >= sys.pays_needed)
		sys.owed = 0;
	else
		err_set(e, CLI_FAILED, "not yet");
	return sys.owed;
}

void
__wrap_apply_write_off(struct apply *a)
{
	assert_ptr_equal(a, &sys);
	sys.owed = 0;
	sys.written_off++;
}

bool
__wrap_apply_will_be_paid(const struct apply *a)
{
	assert_ptr_equal(a, &sys);
	return sys.owed > 0;
}

void
__wrap_apply_rest(struct apply *a)
{
	assert_ptr_equal(a, &sys);
	sys.rests++;
}

void
__wrap_apply_own(struct apply *a)
{
	assert_ptr_equal(a, &sys);
	sys.owns++;
}

int
__wrap_apply_drift(struct apply *a, const struct tree *t, apply_drift_fn *fn, void *ctx, struct err *e)
{
	const struct apply_difference one = {"system global", "", "hostname", "old", "other"};

	(void)a;
	(void)t;
	(void)e;
	fn(ctx, &one);
	return CLI_OK;
}

static char *
place_of(const char *path, const char *key)
{
	if (!strcmp(path, "system global"))
		return sys.hostname;
	if (strcmp(path, "system interface") != 0)
		return NULL;
	return !strcmp(key, "wan1") ? sys.wan1 : !strcmp(key, "wan2") ? sys.wan2 : sys.wan3;
}

int
__wrap_apply_change(struct apply *a, const struct change *c, struct err *e)
{
	char *place = place_of(c->table->path, c->key);

	assert_ptr_equal(a, &sys);
	sys.applied++;
	if (sys.refuse && !strcmp(sys.refuse, *c->key ? c->key : c->table->path) && sys.refuse_after-- <= 0)
		return err_set(e, CLI_FAILED, "the system refuses it");
	if (place)
		snprintf(place, 64, "%s", c->new ? entry_get(c->new, *c->key ? "alias" : "hostname") : "");
	return CLI_OK;
}

int
__wrap_apply_all(struct apply *a, const struct tree *t, struct err *e)
{
	(void)e;
	assert_ptr_equal(a, &sys);
	assert_ptr_equal(t, device_running(box.device));
	sys.settled++;
	return 3;
}

int
__wrap_store_save(struct store *st, const struct tree *t, const char *who, int64_t now_s, bool *renamed, struct err *e)
{
	if (!sys.save_rc)
		return __real_store_save(st, t, who, now_s, renamed, e);
	*renamed = sys.save_renamed;
	return err_sys(e, sys.save_rc, "sys_config.conf");
}

static int
setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	memset(&sys, 0, sizeof(sys));
	box_open(saved, (struct apply *)&sys);
	snprintf(sys.hostname, sizeof(sys.hostname), "old");
	snprintf(sys.wan1, sizeof(sys.wan1), "first");
	snprintf(sys.wan2, sizeof(sys.wan2), "second");
	return 0;
}

static int
teardown(void **state)
{
	box_close();
	return fixture_teardown(state);
}

static int
on_shell_apply(void *ctx, const struct change *c, struct err *e)
{
	return device_apply_for_shell(ctx, c, e);
}

static void
on_shell_changed(void *ctx)
{
	device_changed_by_shell(ctx);
}

/* Runs a script as an executor of the kind would. The first code that was not 0. */
static int
run_with(struct exec *x, const char *text)
{
	struct script *s = NULL;
	struct err e = ERR_NONE;
	int first = 0;

	assert_non_null(x);
	assert_int_equal(script_parse("test", text, strlen(text), &s, &e), 0);
	for (size_t i = 0; i < script_count(s); i++) {
		int code = exec_run(x, script_at(s, i), NULL, &e);

		first = first ? first : code;
	}
	script_free(s);
	exec_free(x);
	return first;
}

static int
shell(const char *text)
{
	const struct exec_ops ops = {.apply = on_shell_apply, .changed = on_shell_changed, .ctx = box.device};

	return run_with(exec_new(device_running(box.device), &ops, false), text);
}

/* Memory, system and saved file all say so. */
static void
assert_all(const char *hostname, const char *wan1)
{
	char line[128];

	assert_string_equal(box_get("system global", "", "hostname"), hostname);
	assert_string_equal(sys.hostname, hostname);
	assert_string_equal(box_get("system interface", "wan1", "alias"), wan1);
	assert_string_equal(sys.wan1, wan1);
	snprintf(line, sizeof(line), "set hostname \"%s\"", hostname);
	assert_true(fixture_contains("sys_config.conf", line));
	snprintf(line, sizeof(line), "set alias \"%s\"", wan1);
	assert_true(fixture_contains("sys_config.conf", line));
}

static size_t
revisions(void)
{
	struct revision r[STORE_REVISIONS];

	return store_revisions(box.store, r, STORE_REVISIONS);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static char complaints[1024];

static void
complain(void *ctx, const char *line)
{
	size_t used = strlen(complaints);

	(void)ctx;
	snprintf(complaints + used, sizeof(complaints) - used, "%s\n", line);
}

static void
lines_that_fail_are_left_out(void **state)
{
	const struct device_ops ops = {.changed = box_changed, .other = box_other};
	struct device *d = NULL;
	struct err e = ERR_NONE;

	(void)state;
	complaints[0] = '\0';
	fixture_write("sys_config.conf", "config system global\nset hostname \"x\"\nset nonsense 5\nend\n");
	assert_int_equal(device_new(box.schema, box.store, NULL, &ops, complain, NULL, &d, &e), 0);
	assert_non_null(strstr(complaints, "sys_config.conf:3:"));
	assert_string_equal(entry_get(tree_entry(device_running(d), "system global", ""), "hostname"), "x");
	assert_int_equal(device_settle(d, &e), 0); /* nothing is applied */
	device_free(d);
}

static void
a_damaged_file_is_named(void **state)
{
	const struct device_ops ops = {.changed = box_changed, .other = box_other};
	struct device *d = NULL;
	struct err e = ERR_NONE;

	(void)state;
	fixture_write("sys_config.conf", "config system global\nset hostname \"x");
	assert_int_equal(device_new(box.schema, box.store, NULL, &ops, NULL, NULL, &d, &e), 0);
	assert_non_null(strstr(e.text, "sys_config.conf"));
	assert_true(fixture_exists("sys_config.conf.corrupt"));
	device_free(d);
	device_free(NULL);
}

/* --- executors ---------------------------------------------------------------------------------------------------- */

static void
executors_apply_or_do_not(void **state)
{
	static const char text[] = "config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\nend\n";
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(run_with(device_executor(box.device, INSTALL_MEMORY), text), 0);
	assert_int_equal(sys.applied, 0);
	assert_string_equal(box_get("system interface", "wan1", "alias"), "x");
	assert_true(box.changed > 0);
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM),
				  "config system interface\nedit \"wan2\"\nset alias \"y\"\nend\n"),
			 0);
	assert_int_equal(sys.applied, 1);
	assert_string_equal(sys.wan2, "y");
	/* an install saves by itself, or not */
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_true(fixture_contains("sys_config.conf", "second"));
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM), "execute reboot\n"), CLI_PARSE);
	assert_int_equal(device_settle(box.device, &e), 3);
	assert_int_equal(sys.settled, 1);
}

/* After a revert only what executors changed is settled, each entry once, in the order of applying; an operator's
 * changes are none of it. */
static void
only_the_changed_is_settled(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(device_settle_changed(box.device, &e), 0);
	assert_string_equal(sys.again, "");
	assert_int_equal(shell("config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\nend\n"), 0);
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM),
				  "config system interface\nedit \"wan2\"\nset alias \"y\"\nnext\nend\n"
				  "config system global\nset hostname \"z\"\nend\n"
				  "config system dm\nset rollback-allow-reboot enable\nend\n"),
			 0);
	assert_int_equal(run_with(device_executor(box.device, INSTALL_MEMORY),
				  "config system interface\nedit \"wan2\"\nset alias \"second\"\nnext\n"
				  "edit \"wan3\"\nset alias \"third\"\nnext\nend\n"),
			 0);
	sys.refuse = "any";
	assert_int_equal(device_settle_changed(box.device, &e), 3);
	assert_string_equal(sys.again, "system global ;system interface wan2;system interface wan3;");
	assert_string_equal(e.text, "the system refuses it");
	sys.again[0] = '\0';
	assert_int_equal(device_settle_changed(box.device, &e), 0);
	assert_string_equal(sys.again, "");
	assert_int_equal(sys.settled, 0);
	/* an install that is through has nothing left to settle */
	sys.refuse = NULL;
	assert_int_equal(
	    run_with(device_executor(box.device, INSTALL_SYSTEM), "config system global\nset hostname \"q\"\nend\n"),
	    0);
	device_forget_changed(box.device);
	assert_int_equal(device_settle_changed(box.device, &e), 0);
	assert_string_equal(sys.again, "");
}

/* In virtual time: at once, then at longer and longer intervals; not a wake-up more. */
static void
what_is_owed_is_tried_again(void **state)
{
	static const int64_t waits_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 64000};
	enum { WAITS = sizeof(waits_ms) / sizeof(*waits_ms) };
	mono_t now = {1000 * 1000};

	(void)state;
	assert_true(device_deadline(box.device).ms == MONO_NEVER.ms);
	device_tick(box.device, now);
	assert_int_equal(sys.pays, 0);
	sys.owed = 2;
	sys.pays_needed = WAITS + 1;
	assert_true(mono_due(device_deadline(box.device), now));
	for (int i = 0; i < WAITS; i++) {
		device_tick(box.device, now);
		assert_int_equal(sys.pays, i + 1);
		assert_int_equal(mono_left_ms(device_deadline(box.device), now), waits_ms[i]);
		device_tick(box.device, mono_in(now, waits_ms[i] - 1));
		assert_int_equal(sys.pays, i + 1);
		now = device_deadline(box.device);
	}
	device_tick(box.device, now);
	assert_true(device_deadline(box.device).ms == MONO_NEVER.ms);
	/* the next time begins anew */
	sys.owed = 1;
	sys.pays_needed = 100;
	device_tick(box.device, now);
	assert_int_equal(mono_left_ms(device_deadline(box.device), now), SETTLE_MIN_MS);
	assert_int_equal(sys.written_off, 0);
}

/* "An impossible revert retried for ever" is what others do. */
static void
not_for_ever(void **state)
{
	mono_t now = {1000};

	(void)state;
	sys.owed = 1;
	sys.pays_needed = 1000;
	for (int i = 0; i < SETTLE_TRIES; i++) {
		device_tick(box.device, now);
		assert_int_equal(sys.written_off, 0);
		now = device_deadline(box.device);
	}
	device_tick(box.device, now);
	assert_int_equal(sys.written_off, 1);
	assert_true(device_deadline(box.device).ms == MONO_NEVER.ms);
}

/* A revert does not leave it to later. */
static void
a_revert_settles_what_is_owed(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	sys.owed = 1;
	assert_int_equal(device_settle_changed(box.device, &e), 0);
	assert_int_equal(sys.pays, 1);
	assert_int_equal(device_settle_changed(box.device, &e), 0);
	assert_int_equal(sys.pays, 1);
	sys.owed = 1;
	sys.pays_needed = 10;
	assert_int_equal(device_settle_changed(box.device, &e), 1);
	assert_string_equal(e.text, "not yet");
}

/* What the system had taken before a start of the agent is not refused for a passing reason. */
static void
what_was_taken_before_is_taken_again(void **state)
{
	static const char text[] = "config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\nend\n";

	(void)state;
	sys.refuse = "wan1";
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM_AGAIN), text), CLI_FAILED);
	assert_string_equal(box_get("system interface", "wan1", "alias"), "first");
	sys.owed = 1;
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM), text), CLI_FAILED);
	assert_string_equal(box_get("system interface", "wan1", "alias"), "first");
	assert_int_equal(run_with(device_executor(box.device, INSTALL_SYSTEM_AGAIN), text), 0);
	assert_string_equal(box_get("system interface", "wan1", "alias"), "x");
}

/* Programs that apply tables end with the command that started them. */
static void
programs_rest(void **state)
{
	static const char text[] = "config system global\nset hostname \"x\"\nend\n";
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(shell(text), 0);
	assert_int_equal(sys.owns, 0);
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_int_equal(sys.rests, 1);
	assert_int_equal(sys.owns, 1); /* what is saved is the configuration's own */
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_int_equal(sys.rests, 1);
	assert_int_equal(sys.owns, 1);
	assert_int_equal(device_replace(box.device, "backup", text, strlen(text), "uid 0", &e), 0);
	assert_true(sys.rests > 1);
	sys.rests = 0;
	device_rest(box.device);
	assert_int_equal(device_settle(box.device, &e), 3);
	assert_int_equal(sys.rests, 2);
}

/* What the system refuses is not in the configuration, either. */
static void
a_refused_change(void **state)
{
	struct checksums before = *device_checksums(box.device);
	struct err e = ERR_NONE;

	(void)state;
	sys.refuse = "wan1";
	assert_int_equal(shell("config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\nend\n"), CLI_FAILED);
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_all("old", "first");
	assert_memory_equal(&before, device_checksums(box.device), sizeof(before));
}

static void
checksums_follow_the_configuration(void **state)
{
	struct checksums a = *device_checksums(box.device), b;

	(void)state;
	assert_int_equal(shell("config system global\nset hostname \"new\"\nend\n"), 0);
	assert_memory_not_equal(a.all, device_checksum(box.device), sizeof(a.all));
	b = *device_checksums(box.device);
	assert_memory_not_equal(a.all, b.all, sizeof(a.all));
	assert_memory_equal(b.all, device_checksum(box.device), sizeof(b.all));
	/* the order of entries, which no applier hears of, counts as well */
	assert_int_equal(shell("config system interface\nmove \"wan2\" before \"wan1\"\nend\n"), 0);
	assert_memory_not_equal(b.all, device_checksums(box.device)->all, sizeof(b.all));
	assert_int_equal(shell("config system interface\nmove \"wan2\" after \"wan1\"\nend\n"
			       "config system global\nset hostname \"old\"\nend\n"),
			 0);
	assert_memory_equal(&a, device_checksums(box.device), sizeof(a));
}

/* --- saving ------------------------------------------------------------------------------------------------------- */

static void
a_shells_change_is_saved(void **state)
{
	struct revision r[STORE_REVISIONS];
	struct err e = ERR_NONE;
	size_t before = revisions();

	(void)state;
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0); /* nothing to save */
	assert_int_equal(revisions(), before);
	assert_int_equal(shell("config system global\nset hostname \"new\"\nend\n"), 0);
	assert_false(fixture_contains("sys_config.conf", "new"));
	assert_int_equal(device_save_changes(box.device, "uid 1000", &e), 0);
	assert_all("new", "first");
	assert_int_equal(store_revisions(box.store, r, STORE_REVISIONS), before + 1);
	assert_non_null(strstr(r[0].who, "uid 1000"));
	assert_int_equal(device_save_changes(box.device, "uid 1000", &e), 0);
	assert_int_equal(revisions(), before + 1);
}

/* "Running and saved configuration are the same": what cannot be saved is undone, in memory and in the system. */
static void
what_cannot_be_saved_is_undone(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(shell("config system global\nset hostname \"new\"\nend\n"
			       "config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\ndelete \"wan2\"\n"
			       "edit \"wan3\"\nset alias \"third\"\nnext\nend\n"),
			 0);
	assert_string_equal(sys.wan3, "third");
	sys.save_rc = -ENOSPC;
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), -ENOSPC);
	assert_non_null(strstr(e.text, "the change was undone, it could not be saved: "));
	assert_non_null(strstr(e.text, "No space left"));
	assert_all("old", "first");
	assert_string_equal(sys.wan2, "second");
	assert_string_equal(sys.wan3, "");
	/* it is over: no second try of the same */
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_all("old", "first");
}

/* A part of the way back fails: the rest of it goes on. */
static void
going_back_does_not_stop(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(shell("config system global\nset hostname \"new\"\nend\n"
			       "config system interface\nedit \"wan1\"\nset alias \"x\"\nnext\nedit \"wan2\"\n"
			       "set alias \"y\"\nnext\nend\n"),
			 0);
	sys.save_rc = -EROFS;
	sys.refuse = "system global";
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), -EROFS);
	assert_string_equal(sys.hostname, "new");
	assert_string_equal(sys.wan1, "first");
	assert_string_equal(sys.wan2, "second");
}

/* After its rename a save cannot be undone any more. */
static void
a_save_that_is_nearly_whole(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(shell("config system global\nset hostname \"new\"\nend\n"), 0);
	sys.save_rc = -EIO;
	sys.save_renamed = true;
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_string_equal(box_get("system global", "", "hostname"), "new");
	assert_string_equal(sys.hostname, "new");
}

/* --- replacing ---------------------------------------------------------------------------------------------------- */

static int
replace(const char *text, struct err *e)
{
	return device_replace(box.device, "backup.conf", text, strlen(text), "uid 0", e);
}

static void
replaced_as_a_whole(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(replace("config system global\nset hostname \"other\"\nend\n"
				 "config system interface\nedit \"wan1\"\nset alias \"uplink\"\nnext\nend\n",
				 &e),
			 CLI_OK);
	assert_all("other", "uplink");
	assert_null(tree_entry(device_running(box.device), "system interface", "wan2"));
	assert_string_equal(sys.wan2, "");
	assert_int_equal(replace(saved, &e), CLI_OK);
	assert_all("old", "first");
}

static void
replacements_that_are_refused(void **state)
{
	static const struct {
		const char *what, *text;
		int code;
		const char *reason;
	} rows[] = {
	    {"an unknown table", "config no such\nend\nconfig system global\nset hostname \"new\"\nend\n", CLI_PARSE,
	     "nothing was changed"},
	    {"no form", "config system global\nset hostname \"new\"\n", CLI_INCOMPLETE, "backup.conf:"},
	    {"no text", "\x01\x02\x03", CLI_PARSE, "backup.conf:"},
	    {"nothing", "", CLI_FAILED, "it configures nothing"},
	    {"commands that set nothing", "# cut\nconfig system global\nend\n", CLI_FAILED, "it configures nothing"},
	    {"the system refuses", "config system global\nset hostname \"new\"\nend\n", CLI_FAILED,
	     "the system refuses"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		size_t before = revisions();

		sys.refuse = rows[i].code == CLI_FAILED ? "wan2" : NULL;
		sys.refuse_after = 0;
		if (replace(rows[i].text, &e) != rows[i].code || !strstr(e.text, rows[i].reason))
			fail_msg("%s: \"%s\"", rows[i].what, e.text);
		assert_all("old", "first");
		assert_string_equal(sys.wan2, "second");
		assert_int_equal(revisions(), before);
	}
}

static void
a_replacement_that_cannot_be_saved(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	sys.save_rc = -ENOSPC;
	assert_int_equal(replace("config system global\nset hostname \"new\"\nend\n", &e), CLI_FAILED);
	assert_non_null(strstr(e.text, "No space left"));
	assert_all("old", "first");
	assert_string_equal(sys.wan2, "second");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(lines_that_fail_are_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_damaged_file_is_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(executors_apply_or_do_not, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_the_changed_is_settled, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_owed_is_tried_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(not_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_revert_settles_what_is_owed, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_was_taken_before_is_taken_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(programs_rest, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_refused_change, setup, teardown),
	    cmocka_unit_test_setup_teardown(checksums_follow_the_configuration, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_shells_change_is_saved, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_cannot_be_saved_is_undone, setup, teardown),
	    cmocka_unit_test_setup_teardown(going_back_does_not_stop, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_save_that_is_nearly_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(replaced_as_a_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(replacements_that_are_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_replacement_that_cannot_be_saved, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
