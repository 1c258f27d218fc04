/* rollback_box: a whole box for the tests of the install: state folder, running configuration, a simulated system, and
 * a manager that can or cannot be reached. Time is virtual.
 *
 * The simulated system outlives the agent, as a kernel does: it stands in shared memory, so that it keeps what a
 * process that died had done to it.
 */
#ifndef TEST_UNIT_ROLLBACK_BOX_H
#define TEST_UNIT_ROLLBACK_BOX_H

#include <sys/mman.h>

#include "base/buf.h"
#include "base/clock.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install_private.h"
#include "rollback/reboots.h"
#include "rollback/store.h"
#include "test/unit/rollback_faults.h"
#include "test/unit/rollback_fixture.h"

#define MANAGER "FMG-VM0000000001"
#define OTHER_MANAGER "FMG-VM0000000002"

enum { SIM_ROWS = 64 };

/* The running system: what was applied for each entry. */
struct sim {
	struct {
		char name[64]; /* "system interface/wan1"; "": free */
		char text[400];
	} rows[SIM_ROWS];
	int applies;
	int die_at_apply; /* the agent dies in this call; 0: never */
};

struct box {
	struct schema *schema;
	struct sim *sim;
	struct store *store;
	struct receipts *receipts;
	struct reboots *reboots;
	struct tree *running;
	struct install *in;
	struct exec_ops with_system, memory_only;
	mono_t now;
	int boots;

	/* what the outside is like */
	bool up_in_test, up_in_retest;
	bool reboot_wanted, reboot_works;
	const char *refuse;     /* the system refuses changes of this entry */
	const char *as_long_as; /* … while that one is in it; NULL: always */
	int settle_rc;
	bool nobody; /* no session with a manager can come about, before or after */

	/* what was seen */
	int tests, retests, ended, settles, reboots_asked, verdicts;
	char asked[33]; /* serial a session was asked for with; "any" */
	bool manager_allowed;
	struct receipt last; /* borrowed texts are not kept: counts, verdict, cause */
	struct buf lines;
};

/* One for a test program. */
static struct box box;

static inline void
sim_name(char dst[64], const struct schema_table *t, const char *key)
{
	snprintf(dst, 64, "%s/%s", t->path, key);
}

static inline int
sim_find(const struct sim *sim, const char *name)
{
	for (int i = 0; i < SIM_ROWS; i++) {
		if (!strcmp(sim->rows[i].name, name))
			return i;
	}
	return -1;
}

static inline void
sim_put(struct sim *sim, const char *name, const char *text)
{
	int i = sim_find(sim, name);

	if (i < 0)
		i = sim_find(sim, "");
	if (i < 0)
		abort();
	snprintf(sim->rows[i].text, sizeof(sim->rows[i].text), "%s", text);
	snprintf(sim->rows[i].name, sizeof(sim->rows[i].name), "%s", name);
}

static inline void
sim_put_entry(struct sim *sim, const struct entry *e)
{
	struct buf b = BUF_INIT(4096);
	char name[64], *text;

	sim_name(name, entry_table(e), entry_key(e));
	if (print_entry(e, PRINT_SECRETS, &b))
		abort();
	text = buf_steal(&b, NULL);
	sim_put(sim, name, text);
	free(text);
}

static inline int
box_apply(void *ctx, const struct change *c, struct err *e)
{
	struct box *b = ctx;
	char name[64];

	/* nothing is done to the system before the journal says so and is flushed */
	if (faults.kind == FAULT_NONE && faults.dirty)
		fail_msg("applied before the disk was flushed");
	if (faults.kind == FAULT_NONE && !fixture_exists("install.journal"))
		fail_msg("applied without a journal");
	sim_name(name, c->table, c->key);
	if (++b->sim->applies == b->sim->die_at_apply)
		_exit(FAULT_EXIT);
	if (b->refuse && !strcmp(name, b->refuse) && (!b->as_long_as || sim_find(b->sim, b->as_long_as) >= 0))
		return err_set(e, CLI_FAILED, "the system refuses %s", name);
	if (c->new)
		sim_put_entry(b->sim, c->new);
	else if (sim_find(b->sim, name) >= 0)
		b->sim->rows[sim_find(b->sim, name)].name[0] = '\0';
	return CLI_OK;
}

static inline int
box_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	(void)argc;
	(void)e;
	if (out)
		buf_str(out, "output that nobody reads\n");
	return strcmp(argv[0], "get") ? CLI_PARSE : CLI_OK;
}

static inline struct tree *
box_running(void *ctx)
{
	return ((struct box *)ctx)->running;
}

static inline struct exec *
box_executor(void *ctx, enum install_means means)
{
	struct box *b = ctx;

	return exec_new(b->running, means != INSTALL_MEMORY ? &b->with_system : &b->memory_only, false);
}

/* As the agent does it: entries of the configuration are put in place, nothing else is touched. */
static inline int
box_settle(void *ctx, struct err *e)
{
	struct box *b = ctx;

	b->settles++;
	for (size_t i = 0; i < schema_count(b->schema); i++) {
		const char *path = schema_at(b->schema, i)->path;

		for (const struct entry *one = tree_first(b->running, path); one; one = entry_next(one))
			sim_put_entry(b->sim, one);
	}
	return b->settle_rc ? err_set(e, b->settle_rc, "wan9: no such device") : 0;
}

static inline void
box_line(void *ctx, enum install_script which, int code, const char *command)
{
	static const char *const names[] = {"set", "unset", "restore"};
	struct box *b = ctx;

	buf_printf(&b->lines, "%s: %d: %s\n", names[which], code, command);
}

static inline void
box_test_begin(void *ctx, const char *serial, bool retest)
{
	struct box *b = ctx;

	if (retest)
		b->retests++;
	else
		b->tests++;
	snprintf(b->asked, sizeof(b->asked), "%s", serial ? serial : "any");
}

static inline void
box_test_end(void *ctx)
{
	((struct box *)ctx)->ended++;
}

static inline void
box_verdict(void *ctx, const struct receipt *r)
{
	struct box *b = ctx;
	struct install_status st;

	install_status(b->in, b->now, &st);
	if (st.state != INSTALL_IDLE)
		fail_msg("a verdict while %s", install_state_name(st.state));
	b->verdicts++;
	b->last = *r;
	b->last.failures = NULL;
}

static inline bool
box_reboot_wanted(void *ctx, bool manager_allows)
{
	struct box *b = ctx;

	b->manager_allowed = manager_allows;
	return b->reboot_wanted;
}

static inline int
box_reboot(void *ctx, struct err *e)
{
	struct box *b = ctx;

	b->reboots_asked++;
	return b->reboot_works ? 0 : err_set(e, -EPERM, "not permitted");
}

static inline bool
box_can_prove(void *ctx, const struct tree *t)
{
	struct box *b = ctx;

	/* what of the operator's makes a manager known */
	return !b->nobody || entry_count(tree_entry(t, "system central-management", ""), "fmg");
}

static inline int64_t
box_wall_s(void *ctx)
{
	return ((struct box *)ctx)->boots * INT64_C(1000000);
}

static inline struct install_ops
box_ops(void)
{
	return (struct install_ops){
	    .ctx = &box,
	    .running = box_running,
	    .executor = box_executor,
	    .settle = box_settle,
	    .line = box_line,
	    .test_begin = box_test_begin,
	    .test_end = box_test_end,
	    .verdict = box_verdict,
	    .reboot_wanted = box_reboot_wanted,
	    .reboot = box_reboot,
	    .can_prove = box_can_prove,
	    .wall_s = box_wall_s,
	};
}

/* The agent starts, in the current boot. */
static inline void
box_start(void)
{
	struct install_ops ops = box_ops();
	struct install_files files = {.state_dir = fixture_dir};
	enum store_source source;
	struct err e = ERR_NONE;
	char boot[16];
	bool applied = true;

	snprintf(boot, sizeof(boot), "boot-%d", box.boots);
	files.boot_id = boot;
	if (store_open(fixture_dir, box.schema, &box.store, &e) || receipts_open(fixture_dir, &box.receipts, &e) ||
	    reboots_open(fixture_dir, &box.reboots, &e) ||
	    store_load(box.store, &box.running, &source, NULL, NULL, &e) ||
	    install_new(&files, box.store, box.receipts, box.reboots, &ops, &box.in, &e) ||
	    install_resume(box.in, box.now, &applied, &e))
		fail_msg("the agent does not start: %s", e.text);
	if (!applied)
		box_settle(&box, &e);
}

/* The agent ends, without a word. */
static inline void
box_stop(void)
{
	install_free(box.in);
	store_free(box.store);
	receipts_free(box.receipts);
	reboots_free(box.reboots);
	tree_free(box.running);
	box.in = NULL;
	box.store = NULL;
	box.receipts = NULL;
	box.reboots = NULL;
	box.running = NULL;
}

/* The machine ends and starts: the system is empty, the boot-time clock begins anew. */
static inline void
box_power_cycle(void)
{
	if (box.in)
		box_stop();
	memset(box.sim->rows, 0, sizeof(box.sim->rows));
	sim_put(box.sim, "by hand", "another program's address");
	box.boots++;
	box.now = (mono_t){5000};
	box_start();
}

static inline void
box_write_config(const char *text)
{
	fixture_write("sys_config.conf", text);
}

static const char box_saved[] = "# saved\n"
				"config system interface\n"
				"    edit \"wan1\"\n"
				"        set ip 192.168.48.81 255.255.255.0\n"
				"    next\n"
				"    edit \"wan2\"\n"
				"        set alias \"second\"\n"
				"    next\n"
				"end\n";

static const char box_set[] = "get sys status\n"
			      "config system interface\n"
			      "edit \"wan1\"\n"
			      "set ip 192.168.49.81 255.255.255.0\n"
			      "next\n"
			      "edit \"new1\"\n"
			      "set alias \"made by the install\"\n"
			      "next\n"
			      "delete \"wan2\"\n"
			      "end\n"
			      "config no such table\n"
			      "end\n";

/* Takes back a part only, and one line of it fails: the guide's example. */
static const char box_unset[] = "config system interface\n"
				"edit \"wan1\"\n"
				"set ip 192.168.48.81 255.255.255.0\n"
				"next\n"
				"edit \"modem\"\n"
				"unset type\n"
				"next\n"
				"end\n";

/* Set-up of a test: a box with a saved configuration, running. */
static inline int
box_setup(void **state)
{
	struct err e = ERR_NONE;

	faults_clear();
	box = (struct box){.lines = BUF_INIT(1 << 20), .reboot_works = true};
	box.with_system = (struct exec_ops){.apply = box_apply, .other = box_other, .ctx = &box};
	box.memory_only = (struct exec_ops){.other = box_other, .ctx = &box};
	box.sim = mmap(NULL, sizeof(*box.sim), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	box.schema = schema_new();
	if (box.sim == MAP_FAILED || !box.schema || schema_add_builtin(box.schema, &e) || fixture_setup(state))
		return -1;
	box_write_config(box_saved);
	box_power_cycle();
	return store_keep(box.store, "at first", 1, &e);
}

static inline int
box_teardown(void **state)
{
	faults_clear();
	if (box.in)
		box_stop();
	buf_free(&box.lines);
	schema_free(box.schema);
	munmap(box.sim, sizeof(*box.sim));
	return fixture_teardown(state);
}

static inline int
box_begin_with(const char *set, const char *unset, bool force, struct err *e)
{
	struct install_request r = {
	    .id = "install-1",
	    .manager = MANAGER,
	    .set = set,
	    .unset = unset,
	    .set_len = strlen(set),
	    .unset_len = strlen(unset),
	    .manager_allows_reboot = true,
	    .force = force,
	};

	return install_begin(box.in, &r, box.now, e);
}

/* An operator's, on the device. */
static inline int
box_begin_own(const char *set, const char *unset, struct err *e)
{
	struct install_request r = {
	    .id = "own-1",
	    .manager = "",
	    .set = set,
	    .unset = unset,
	    .set_len = strlen(set),
	    .unset_len = strlen(unset),
	    .force = true,
	};

	return install_begin(box.in, &r, box.now, e);
}

static inline int
box_begin(void)
{
	struct err e = ERR_NONE;

	return box_begin_with(box_set, box_unset, false, &e);
}

static inline enum install_state
box_state(void)
{
	struct install_status st;

	install_status(box.in, box.now, &st);
	return st.state;
}

static inline void
box_run_commands(void)
{
	while (install_busy(box.in))
		install_step(box.in, box.now);
}

/* Lets time pass and the manager come up, as it can, until the install is over. A reboot is carried out. */
static inline void
box_drive(void)
{
	for (int turn = 0; turn < 100 && box_state() != INSTALL_IDLE; turn++) {
		enum install_state s = box_state();

		if (install_busy(box.in))
			install_step(box.in, box.now);
		else if ((s == INSTALL_TESTING && box.up_in_test) || (s == INSTALL_RETESTING && box.up_in_retest))
			install_on_session(box.in, MANAGER, box.now);
		else if (s == INSTALL_REBOOTING && box.reboot_works)
			box_power_cycle();
		else {
			box.now = install_deadline(box.in);
			install_tick(box.in, box.now);
		}
	}
}

static inline bool
box_in_system(const char *name, const char *part)
{
	int i = sim_find(box.sim, name);

	return i >= 0 && strstr(box.sim->rows[i].text, part);
}

static inline struct tree *
box_parse(const char *text)
{
	struct tree *t = tree_new(box.schema);
	struct exec *x = exec_new(t, &box.memory_only, false);
	struct script *s = NULL;
	struct err e = ERR_NONE;

	if (script_parse("test", text, strlen(text), &s, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < script_count(s); i++)
		exec_run(x, script_at(s, i), NULL, &e);
	script_free(s);
	exec_free(x);
	return t;
}

/* Whether memory holds the configuration of before (or of after the install). */
static inline bool
box_memory_is(bool after)
{
	char text[2048];
	struct tree *t;
	bool same;

	snprintf(text, sizeof(text), "%s%s", box_saved, after ? box_set : "");
	t = box_parse(text);
	same = tree_equal(t, box.running);
	tree_free(t);
	return same;
}

static inline bool
box_saved_is_memory(void)
{
	struct store *st = NULL;
	struct tree *t = NULL;
	enum store_source source = STORE_EMPTY;
	struct err e = ERR_NONE;
	bool same;

	if (store_open(fixture_dir, box.schema, &st, &e) || store_load(st, &t, &source, NULL, NULL, &e))
		fail_msg("%s", e.text);
	same = source == STORE_SAVED && tree_equal(t, box.running);
	tree_free(t);
	store_free(st);
	return same;
}

/* The system is what memory says, plus what was there by hand. */
static inline bool
box_system_is_memory(void)
{
	struct sim should = {.applies = 0}, *real = box.sim;
	size_t rows = 0, found = 0;

	box.sim = &should;
	box_settle(&box, NULL);
	box.sim = real;
	sim_put(&should, "by hand", "another program's address");
	for (int i = 0; i < SIM_ROWS; i++) {
		const char *name = should.rows[i].name;

		rows += real->rows[i].name[0] != '\0';
		if (real->rows[i].name[0] && sim_find(&should, real->rows[i].name) < 0)
			print_error("the system has %s, memory has not\n", real->rows[i].name);
		if (!name[0])
			continue;
		found++;
		if (sim_find(real, name) < 0 || strcmp(real->rows[sim_find(real, name)].text, should.rows[i].text)) {
			print_error("system differs from memory at %s\n", name);
			return false;
		}
	}
	return rows == found;
}

/* The invariants that hold at the end of every story; the last is that of a revert that was not given up. */
static inline void
box_check(const char *what, int n, bool in_line)
{
	const char *wrong = NULL;

	if (box_state() != INSTALL_IDLE)
		wrong = "the install is not over";
	else if (!box_memory_is(false) && !box_memory_is(true))
		wrong = "memory is neither the old nor the new configuration";
	else if (!box_saved_is_memory())
		wrong = "the saved file is not what is in memory";
	else if (in_line && !box_system_is_memory())
		wrong = "the system is not what is in memory";
	else if (fixture_exists("install.journal"))
		wrong = "a journal without an install";
	else if (box.tests + box.retests < box.ended)
		wrong = "a session is no longer wanted that never was";
	if (wrong)
		fail_msg("%s %d: %s", what, n, wrong);
}

static inline void
box_check_over(const char *what, int n)
{
	box_check(what, n, true);
}

#endif
