/* matrix: what becomes of an install when the agent is killed after any of its system calls, when any of them fails,
 * and when the power goes after any change of a file. After each the agent is started again, as often as it takes, and
 * every invariant of the recovery is checked.
 *
 * Prints what it did as "N points killed, N faults injected, N power losses replayed, N violations"; fails when there
 * was one. --self-test breaks the rules on purpose and fails when that is not noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/receipt.h"
#include "test/fault/box.h"
#include "test/fault/disk.h"
#include "test/fault/system.h"
#include "test/fault/trace.h"

#define STATE "/run/faults/state"
#define BASE "/run/faults/base"
#define LOG "/run/faults/log"

enum { PATH_SIZE = 512, LIVES = 4, LIFE_MS = 60 * 1000, WORKERS = 64, POINT = 640, SHOWN = 20 };

/* A story: the scene is set, then every call of what follows is a point. */
static const struct story {
	const char *name;
	enum box_end scene; /* BOX_TO_THE_END: none, the install begins the story */
	bool up, up_in_retest;
} stories[] = {
    {"commit", BOX_TO_THE_END, true, true},         {"revert", BOX_TO_THE_END, false, true},
    {"reboot", BOX_TO_THE_END, false, false},       {"died applying", BOX_APPLYING, true, true},
    {"died testing", BOX_TESTING, true, true},      {"died committing", BOX_COMMITTING, true, true},
    {"died reverting", BOX_REVERTING, false, true}, {"died retesting", BOX_RETESTING, false, true},
};

enum { STORIES = sizeof(stories) / sizeof(stories[0]) };

enum phase { KILLED, FAILED, POWER_LOST, PHASES };

/* Shared by the workers. */
struct totals {
	unsigned points[PHASES], violations, lives, shown;
	unsigned finished[STORIES][PHASES], story_points[STORIES][PHASES];
	int64_t began_ms[STORIES][PHASES];
};

struct options {
	int workers;
	unsigned stride, offset;
	const char *story, *keep;
	bool self_test;
};

struct worker {
	const struct options *options;
	const struct story *story;
	struct totals *totals;
	struct schema *schema;
	struct box_seen *first, *seen; /* of the life that was spoiled, and of a later one */
	int number, boot;
	unsigned turn; /* of points, to share them out */
	int64_t now_ms;
	char *old, *new;              /* the saved file before and after a good install */
	char old_system[SYSTEM_TEXT]; /* as the old configuration wants it */
	char point[POINT];            /* where we are, for whoever reads of a violation */
	bool silent, any_new;         /* any_new: what was refused by the system is missing in the new file */
	bool disk_failed;             /* for the whole rest of a life: what could not be written cannot be asked for */
	unsigned violations;
};

static void
die(const char *what)
{
	fprintf(stderr, "fault matrix: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- violations --------------------------------------------------------------------------------------------------- */

static void
keep_folder(const struct worker *w, unsigned number)
{
	char line[1024];

	snprintf(line, sizeof(line), "mkdir -p '%s' && cp -a /run/faults '%s/%u'", w->options->keep, w->options->keep,
		 number);
	if (system(line))
		fprintf(stderr, "  the folder could not be kept below %s\n", w->options->keep);
}

static void __attribute__((format(printf, 2, 3))) violation(struct worker *w, const char *fmt, ...)
{
	char text[1024];
	unsigned number;
	va_list ap;

	w->violations++;
	if (w->silent)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	number = __atomic_add_fetch(&w->totals->violations, 1, __ATOMIC_SEQ_CST);
	fprintf(stderr, "VIOLATION %u: %s: %s\n", number, w->point, text);
	if (number > SHOWN)
		return;
	fprintf(stderr, "  kept in %s/%u: state, log\n", w->options->keep, number);
	keep_folder(w, number);
}

static void __attribute__((format(printf, 2, 3))) set_point(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->point, sizeof(w->point), fmt, ap);
	va_end(ap);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static bool
there(const char *name)
{
	char path[PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), STATE "/%s", name);
	return !lstat(path, &st);
}

/* The saved file; "" when there is none. The caller frees it. */
static char *
read_saved(void)
{
	char *text = NULL;
	size_t len;

	if (file_read(STATE "/sys_config.conf", CONFIG_MAX_BYTES, &text, &len, NULL))
		text = strdup("");
	if (!text)
		die("memory");
	return text;
}

static void
put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
}

static void
cut(const char *path, off_t length)
{
	if (truncate(path, length))
		die(path);
}

/* The system as a configuration text wants it. False: the text is none. */
static bool
expect_text(const struct worker *w, const char *text, char out[SYSTEM_TEXT])
{
	struct tree *t = tree_new(w->schema);
	struct err e = ERR_NONE;
	bool good = t && *text && !load_text(t, "saved", text, strlen(text), false, NULL, NULL, &e);

	if (good)
		system_expect(t, out);
	tree_free(t);
	return good;
}

/* --- invariants --------------------------------------------------------------------------------------------------- */

static const char *
state_name(const struct box_seen *s)
{
	return install_state_name((enum install_state)s->state);
}

/* 1: a complete old or a complete new one; 7: a new one only after a session under it. */
static void
check_saved(struct worker *w, bool proven)
{
	char *text = read_saved(), wants[SYSTEM_TEXT];
	bool is_old = !strcmp(text, w->old), is_new = !strcmp(text, w->new);

	if (!is_old && w->any_new)
		is_new = expect_text(w, text, wants);
	if (!is_old && !is_new)
		violation(w, "1: the saved file is neither the old nor the new one");
	else if (!is_old && (!w->story->up || !proven))
		violation(w, "7: the saved file is the new one, which no session has proven");
	free(text);
}

/* 2, seen from outside: without a journal nothing is under way, so the system is what the saved file says. */
static void
check_journal(struct worker *w)
{
	char *text, is[SYSTEM_TEXT], should[SYSTEM_TEXT], line[256];

	if (there("install.journal"))
		return;
	text = read_saved();
	system_read(is);
	if (expect_text(w, text, should) && system_differ(is, should, line))
		violation(w, "2: no journal, and the system is not as saved: %s", line);
	free(text);
}

/* 3 and 4: what was put there by hand is in what is expected. */
static void
check_agreement(struct worker *w, const struct box_seen *s)
{
	char is[SYSTEM_TEXT], line[256];

	if (!s->memory_is_saved)
		violation(w, "3: the configuration in memory is not the saved one");
	system_read(is);
	if (system_differ(is, s->memory, line))
		violation(w, "3, 4: the system is not as the configuration says: %s", line);
}

/* The verdict says what the saved file is. */
static void
check_verdict(struct worker *w, const struct box_seen *s, bool accepted)
{
	char *text = read_saved();
	bool is_old = !strcmp(text, w->old);

	if (s->verdict == BOX_NO_VERDICT && accepted && !w->disk_failed)
		violation(w, "an accepted install without a receipt");
	else if (s->verdict == BOX_NO_VERDICT && !is_old && !w->disk_failed)
		violation(w, "a new configuration without a receipt");
	else if (s->verdict == RECEIPT_COMMITTED && is_old)
		violation(w, "the receipt says committed, the saved file is the old one");
	else if (s->verdict != BOX_NO_VERDICT && s->verdict != RECEIPT_COMMITTED && !is_old)
		violation(w, "the receipt says %s, the saved file is the new one",
			  receipt_verdict_name((enum receipt_verdict)s->verdict));
	free(text);
}

/* Everything that holds when a life has come to rest. */
static void
check_rest(struct worker *w, const struct box_seen *s, bool proven, bool accepted)
{
	if (!s->done || s->state != INSTALL_IDLE) {
		violation(w, "7: the agent does not come to rest: %s %s", state_name(s), s->why);
		return;
	}
	if (there("install.journal") && !w->disk_failed)
		violation(w, "2: a journal, and no install is pending");
	if (s->forgotten)
		violation(w, "5: the same install would be tried again");
	check_saved(w, proven);
	check_agreement(w, s);
	check_verdict(w, s, accepted);
}

/* --- lives -------------------------------------------------------------------------------------------------------- */

static int
life(struct worker *w, bool begin, enum box_end end, struct box_seen *seen, const struct trace_plan *trace,
     struct trace_result *result)
{
	const struct box_plan p = {
	    .schema = w->schema,
	    .state_dir = STATE,
	    .log = LOG,
	    .boot = w->boot,
	    .now_ms = w->now_ms,
	    .begin = begin,
	    .up = w->story->up,
	    .up_in_retest = w->story->up_in_retest,
	    .end = end,
	};

	w->now_ms += LIFE_MS;
	__atomic_add_fetch(&w->totals->lives, 1, __ATOMIC_RELAXED);
	return box_live(&p, seen, trace, result);
}

/* As before the story, and its scene set. */
static void
prepare(struct worker *w)
{
	cut(LOG, 0);
	system_boot();
	system_host();
	w->boot = 1;
	w->now_ms = 1000 * 1000;
	w->any_new = w->disk_failed = false;
	if (disk_copy(BASE, STATE))
		die(STATE);
	if (w->story->scene != BOX_TO_THE_END && life(w, true, w->story->scene, w->seen, NULL, NULL))
		die("the scene");
}

static void
power_cycle(struct worker *w)
{
	w->boot++;
	system_boot();
}

/* One more start changes nothing: what is over is over (5). */
static void
check_quiet(struct worker *w)
{
	size_t used = strlen(w->point);

	char *before = read_saved(), *after;
	int verdict = w->seen->verdict;

	snprintf(w->point + used, sizeof(w->point) - used, ", and once more");
	if (life(w, false, BOX_TO_THE_END, w->seen, NULL, NULL))
		violation(w, "the agent died in a start with nothing to do");
	after = read_saved();
	if (w->seen->set_lines || w->seen->tests || w->seen->verdicts)
		violation(w, "5: a start after the end does it again");
	if (strcmp(before, after) || w->seen->verdict != verdict)
		violation(w, "a start after the end changes the outcome");
	check_rest(w, w->seen, true, false);
	free(before);
	free(after);
}

/* Starts the agent until it rests, carrying out the reboots it asks for, and checks. */
static void
recover(struct worker *w, bool proven, bool accepted)
{
	size_t used = strlen(w->point);

	snprintf(w->point + used, sizeof(w->point) - used, ", and started again");
	w->disk_failed = w->disk_failed && !w->first->reboot;
	for (int i = 0; i < LIVES; i++) {
		if (life(w, false, BOX_TO_THE_END, w->seen, NULL, NULL)) {
			violation(w, "the agent died while it recovered");
			return;
		}
		proven = proven || w->seen->phase & BOX_SESSION;
		if (w->seen->set_lines)
			violation(w, "5: the set script was run again");
		if (!w->seen->reboot)
			break;
		power_cycle(w);
	}
	check_rest(w, w->seen, proven, accepted);
	check_quiet(w);
}

/* --- (a) killed --------------------------------------------------------------------------------------------------- */

static bool
is_mine(struct worker *w)
{
	unsigned n = w->turn++, workers = (unsigned)w->options->workers;

	return n % workers == (unsigned)w->number && n / workers % w->options->stride == w->options->offset;
}

static struct trace_plan
plan_of(enum trace_deed deed, unsigned at, int error)
{
	return (struct trace_plan){.state_dir = STATE, .deed = deed, .at = at, .error = error};
}

static bool
begins(const struct worker *w)
{
	return w->story->scene == BOX_TO_THE_END;
}

/* The story once, spoiled as planned. */
static void
tell(struct worker *w, const struct trace_plan *plan, struct trace_result *r)
{
	if (life(w, begins(w), BOX_TO_THE_END, w->first, plan, r))
		die("tracing");
}

/* How many calls the story has. */
static struct trace_result
count_calls(struct worker *w, struct trace_call *list)
{
	struct trace_plan plan = plan_of(TRACE_NOTHING, 0, 0);
	struct trace_result r = {.list = list};

	prepare(w);
	tell(w, &plan, &r);
	set_point(w, "%s: undisturbed", w->story->name);
	if (!w->first->reboot)
		check_rest(w, w->first, true, true);
	return r;
}

static bool
is_accepted(const struct worker *w)
{
	return !begins(w) || w->first->phase & BOX_ACCEPTED;
}

static bool
is_proven(const struct worker *w)
{
	return w->story->scene == BOX_COMMITTING || w->first->phase & BOX_SESSION;
}

static void
kill_at(struct worker *w, unsigned n)
{
	struct trace_plan plan = plan_of(TRACE_KILL, n, 0);
	struct trace_result r = {.calls = 0};

	prepare(w);
	tell(w, &plan, &r);
	set_point(w, "%s: killed after call %u, %s, while %s", w->story->name, n, r.what, state_name(w->first));
	if (!r.struck) {
		violation(w, "the call was not met: the story is not the same every time");
		return;
	}
	check_saved(w, is_proven(w));
	check_journal(w);
	recover(w, is_proven(w), is_accepted(w));
}

static unsigned
kill_everywhere(struct worker *w)
{
	struct trace_result r = count_calls(w, NULL);
	unsigned points = 0;

	for (unsigned n = 1; n <= r.calls; n++) {
		if (!is_mine(w))
			continue;
		kill_at(w, n);
		points++;
	}
	return points;
}

/* --- (b) failed --------------------------------------------------------------------------------------------------- */

/* What may go wrong with a call; `deed` FAIL_FROM for every call that changes a file. */
static const struct fault {
	long nr;
	enum trace_deed deed;
	int error;
} faults[] = {
    {SYS_write, TRACE_FAIL, EIO},
    {SYS_write, TRACE_FAIL, ENOSPC},
    {SYS_write, TRACE_SHORT, EIO},
    {SYS_write, TRACE_TORN, ENOSPC},
    {SYS_pwrite64, TRACE_FAIL, EIO},
    {SYS_fsync, TRACE_FAIL, EIO},
    {SYS_fsync, TRACE_FAIL, ENOSPC},
    {SYS_fdatasync, TRACE_FAIL, EIO},
    {SYS_rename, TRACE_FAIL, EIO},
    {SYS_rename, TRACE_FAIL, ENOSPC},
    {SYS_unlink, TRACE_FAIL, EIO},
    {SYS_unlink, TRACE_FAIL, EROFS},
    {SYS_link, TRACE_FAIL, EIO},
    {SYS_link, TRACE_FAIL, EPERM},
    {SYS_openat, TRACE_FAIL, EIO},
    {SYS_openat, TRACE_FAIL, EMFILE},
    {SYS_openat, TRACE_FAIL, ENOSPC},
    {SYS_fallocate, TRACE_FAIL, ENOSPC},
    {SYS_fallocate, TRACE_FAIL, EOPNOTSUPP},
    {SYS_ftruncate, TRACE_FAIL, EIO},
    {SYS_fchmod, TRACE_FAIL, EPERM},
    {SYS_mkdir, TRACE_FAIL, ENOSPC},
    {SYS_read, TRACE_FAIL, EIO},
    {SYS_pread64, TRACE_FAIL, EIO},
    {SYS_getdents64, TRACE_FAIL, EIO},
    {SYS_sendmsg, TRACE_FAIL, ENOBUFS},
    {SYS_sendmsg, TRACE_FAIL, EPERM},
    {SYS_sendmsg, TRACE_FAIL_BURST, ENOBUFS},
    {SYS_sendto, TRACE_FAIL, ENOBUFS},
    {SYS_recvmsg, TRACE_FAIL, ENOBUFS},
    {SYS_recvmsg, TRACE_FAIL, ENOMEM},
    {SYS_recvfrom, TRACE_FAIL, ENOBUFS},
    {SYS_sethostname, TRACE_FAIL, EPERM},
    {-1, TRACE_FAIL_FROM, ENOSPC},
    {-1, TRACE_FAIL_FROM, EROFS},
};

enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

static const char *
deed_name(enum trace_deed deed)
{
	static const char *const names[] = {
	    [TRACE_NOTHING] = "",
	    [TRACE_KILL] = "killed",
	    [TRACE_FAIL] = "fails",
	    [TRACE_FAIL_FROM] = "fails, and all changes from then on,",
	    [TRACE_FAIL_BURST] = "fails, and some more,",
	    [TRACE_SHORT] = "does half",
	    [TRACE_TORN] = "does half and fails",
	    [TRACE_LIE] = "is not done",
	};

	return names[deed];
}

static bool
may_go_wrong(const struct trace_call *c, const struct fault *f)
{
	return f->nr == c->nr || (f->nr == -1 && c->changes);
}

static void
fail_at(struct worker *w, unsigned n, const struct trace_call *c, const struct fault *f)
{
	struct trace_plan plan = plan_of(f->deed, n, f->error);
	struct trace_result r = {.calls = 0};

	prepare(w);
	w->any_new = c->kind != TRACE_FILE;
	w->disk_failed = f->deed == TRACE_FAIL_FROM;
	tell(w, &plan, &r);
	set_point(w, "%s: %s (the %u.) %s with %s", w->story->name, r.what, n, deed_name(f->deed), strerror(f->error));
	if (!r.struck || strcmp(r.what, c->what))
		violation(w, "the call was not met: the story is not the same every time");
	else if (!WIFEXITED(r.status) || WEXITSTATUS(r.status))
		violation(w, "the agent died of it");
	else if (w->first->reboot)
		power_cycle(w);
	else if (!w->first->failed_to_start)
		check_rest(w, w->first, is_proven(w), is_accepted(w));
	if (w->first->failed_to_start && w->first->phase & BOX_STARTED)
		violation(w, "it started, and did not: %s", w->first->why);
	recover(w, is_proven(w), is_accepted(w));
}

static unsigned
fail_everywhere(struct worker *w)
{
	struct trace_call *list = calloc(TRACE_CALLS, sizeof(*list));
	struct trace_result r;
	unsigned points = 0;

	if (!list)
		die("memory");
	r = count_calls(w, list);
	if (r.spoilers > TRACE_CALLS)
		die("more calls than are remembered");
	for (unsigned n = 1; n <= r.spoilers; n++) {
		for (int k = 0; k < FAULTS; k++) {
			if (!may_go_wrong(&list[n - 1], &faults[k]) || !is_mine(w))
				continue;
			fail_at(w, n, &list[n - 1], &faults[k]);
			points++;
		}
	}
	free(list);
	return points;
}

/* --- power loss --------------------------------------------------------------------------------------------------- */

static void
check_power_lost(struct worker *w, unsigned phase, bool had_journal)
{
	bool accepted = !begins(w) || phase & BOX_ACCEPTED;
	bool committed = phase & BOX_TOLD && w->first->verdict == RECEIPT_COMMITTED;

	recover(w, w->story->scene == BOX_COMMITTING || phase & BOX_SESSION, accepted && !had_journal);
	if (had_journal && !w->seen->receipts)
		violation(w, "a journal was there, and no receipt speaks of it");
	if (accepted && w->seen->verdict == BOX_NO_VERDICT)
		violation(w, "an accepted install is not known any more");
	if (committed && w->seen->verdict != RECEIPT_COMMITTED)
		violation(w, "the manager was told committed, which is not so any more");
}

static void
lose_power(struct worker *w, const struct disk_states *all, size_t i)
{
	struct disk_state_facts facts;

	w->boot = 1;
	w->now_ms = 5000;
	w->any_new = w->disk_failed = false;
	cut(LOG, 0);
	if (disk_state_put(all, i, STATE, &facts))
		die(STATE);
	set_point(w, "%s: power lost %s", w->story->name, facts.where);
	power_cycle(w);
	check_saved(w, w->story->scene == BOX_COMMITTING || facts.phase & BOX_SESSION);
	check_power_lost(w, facts.phase, there("install.journal"));
}

/* With a lie the disk is not asked to flush what the agent thinks it is. */
static unsigned
lose_power_everywhere(struct worker *w, long lie_nr, const char *lie_path)
{
	struct trace_plan plan = plan_of(lie_nr ? TRACE_LIE : TRACE_NOTHING, 0, 0);
	struct trace_result r = {.calls = 0};
	struct disk_states *all;
	unsigned points = 0;

	prepare(w);
	plan.lie_nr = lie_nr;
	plan.lie_path = lie_path;
	plan.disk = disk_log_new(STATE, &w->first->phase);
	if (!plan.disk)
		die(STATE);
	tell(w, &plan, &r);
	all = disk_states_of(plan.disk);
	for (size_t i = 0; i < disk_states_count(all); i++) {
		if (!is_mine(w))
			continue;
		lose_power(w, all, i);
		points++;
	}
	disk_states_free(all);
	disk_log_free(plan.disk);
	return points;
}

/* --- the test of the test ----------------------------------------------------------------------------------------- */

/* After a good install something is wrong: is it seen? */
static unsigned
doctored(struct worker *w, const char *what)
{
	struct trace_plan plan = plan_of(TRACE_NOTHING, 0, 0);
	struct trace_result r = {.calls = 0};

	prepare(w);
	tell(w, &plan, &r);
	w->violations = 0;
	if (!strcmp(what, "a saved file cut in the middle"))
		cut(STATE "/sys_config.conf", 100);
	else if (!strcmp(what, "a journal left behind"))
		put_text(STATE "/install.journal", "left");
	else if (!strcmp(what, "a route by hand taken away"))
		system_disturb("route del blackhole 172.29.0.0/16\n");
	else if (!strcmp(what, "an address by hand taken away"))
		system_disturb("addr del 172.31.9.9/32 dev wan1\n");
	else if (!strcmp(what, "an address too many"))
		system_disturb("addr add 192.168.50.81/24 dev wan1\n");
	else if (!strcmp(what, "another name") && sethostname("other", 5))
		die("host name");
	else if (!strcmp(what, "a lost receipt"))
		w->first->verdict = BOX_NO_VERDICT;
	check_rest(w, w->first, true, true);
	return w->violations;
}

static unsigned
test_doctored(struct worker *w)
{
	static const char *const what[] = {
	    "a saved file cut in the middle",
	    "a journal left behind",
	    "a route by hand taken away",
	    "an address by hand taken away",
	    "an address too many",
	    "another name",
	    "a lost receipt",
	};
	unsigned unseen = 0;

	w->story = &stories[0];
	if (doctored(w, "nothing")) {
		printf("self-test: a good install is reported as a violation\n");
		unseen++;
	}
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		bool seen = doctored(w, what[i]);

		printf("self-test: %s: %s\n", what[i], seen ? "seen" : "NOT SEEN");
		unseen += !seen;
	}
	return unseen;
}

/* A disk that forgets what it was asked to flush, or keeps what it was asked to remove. */
static unsigned
test_lies(struct worker *w)
{
	static const struct {
		const char *what;
		int story;
		long nr;
		const char *path;
	} lies[] = {
	    {"the saved file is not flushed", 0, SYS_fsync, "sys_config.conf.tmp"},
	    {"the journal is not flushed", 0, SYS_fsync, "install.journal"},
	    {"the receipts are not flushed", 1, SYS_fsync, "receipts.jsonl.tmp"},
	    {"nothing is flushed", 0, SYS_fsync, NULL},
	    {"the saved file is never renamed", 0, SYS_rename, "sys_config.conf"},
	};
	unsigned unseen = 0;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		w->story = &stories[lies[i].story];
		w->violations = 0;
		lose_power_everywhere(w, lies[i].nr, lies[i].path);
		printf("self-test: %s: %u violations\n", lies[i].what, w->violations);
		unseen += !w->violations;
	}
	return unseen;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static struct totals *
share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	return p;
}

/* The state before every story: a box that was configured and has run. And what a good install makes of it. */
static void
make_base(struct worker *w)
{
	static const struct story rest = {"base", BOX_TO_THE_END, true, true};

	w->story = &rest;
	if (mkdir("/run/faults", 0700) || mkdir(STATE, 0700) || mkdir(BASE, 0700) || mkdir(SYSTEM_HOST, 0755) ||
	    mkdir(SYSTEM_RUN, 0755))
		die(STATE);
	put_text(LOG, "");
	put_text(STATE "/sys_config.conf", box_saved);
	system_boot();
	system_host();
	if (life(w, false, BOX_TO_THE_END, w->seen, NULL, NULL) || !w->seen->done)
		die("the first start");
	w->old = read_saved();
	if (disk_copy(STATE, BASE) || strcmp(w->old, box_saved) || !expect_text(w, w->old, w->old_system))
		die(BASE);
	if (life(w, true, BOX_TO_THE_END, w->seen, NULL, NULL) || w->seen->verdict != RECEIPT_COMMITTED)
		die("a good install");
	w->new = read_saved();
	if (!strcmp(w->old, w->new))
		die("an install that changes something");
}

/* The last worker to come says it. */
static void
say_finished(struct worker *w, enum phase phase, unsigned points)
{
	static const char *const names[] = {"points killed", "faults injected", "power losses replayed"};
	struct totals *t = w->totals;
	int story = (int)(w->story - stories);

	__atomic_add_fetch(&t->points[phase], points, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&t->story_points[story][phase], points, __ATOMIC_SEQ_CST);
	if (__atomic_add_fetch(&t->finished[story][phase], 1, __ATOMIC_SEQ_CST) < (unsigned)w->options->workers)
		return;
	printf("%-16s %5u %-22s %6.1f s\n", w->story->name, t->story_points[story][phase], names[phase],
	       (double)(clock_mono().ms - t->began_ms[story][phase]) / 1000);
	fflush(stdout);
}

static void
tell_story(struct worker *w)
{
	int story = (int)(w->story - stories);

	for (enum phase p = KILLED; p < PHASES; p++) {
		unsigned points;
		int64_t none = 0;

		__atomic_compare_exchange_n(&w->totals->began_ms[story][p], &none, clock_mono().ms, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		w->turn = 0;
		points = p == KILLED   ? kill_everywhere(w)
			 : p == FAILED ? fail_everywhere(w)
				       : lose_power_everywhere(w, 0, NULL);
		say_finished(w, p, points);
	}
}

static int
work(struct worker *w)
{
	unsigned unseen;

	system_enter();
	w->first = (void *)share(sizeof(*w->first));
	w->seen = (void *)share(sizeof(*w->seen));
	make_base(w);
	if (w->options->self_test) {
		w->silent = true;
		unseen = test_doctored(w) + test_lies(w);
		printf("self-test: %s\n", unseen ? "FAILED" : "every broken rule is seen");
		return unseen ? 1 : 0;
	}
	for (int i = 0; i < STORIES; i++) {
		w->story = &stories[i];
		if (!w->options->story || !strcmp(w->options->story, stories[i].name))
			tell_story(w);
	}
	return 0;
}

static unsigned
number_of(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < min || n > max) {
		fprintf(stderr, "fault matrix: %s: a number of %u to %u expected\n", text, min, max);
		exit(2);
	}
	return (unsigned)n;
}

static struct options
parse_options(int argc, char *argv[])
{
	static const struct option longs[] = {
	    {"workers", required_argument, NULL, 'j'},
	    {"stride", required_argument, NULL, 's'},
	    {"offset", required_argument, NULL, 'o'},
	    {"story", required_argument, NULL, 'y'},
	    {"keep", required_argument, NULL, 'k'},
	    {"self-test", no_argument, NULL, 't'},
	    {NULL, 0, NULL, 0},
	};
	struct options o = {.workers = (int)sysconf(_SC_NPROCESSORS_ONLN), .stride = 1, .keep = "/tmp/fgfmd-faults"};
	int c;

	while ((c = getopt_long(argc, argv, "j:s:o:k:", longs, NULL)) != -1) {
		if (c == 'j')
			o.workers = (int)number_of(optarg, 1, WORKERS);
		else if (c == 's')
			o.stride = number_of(optarg, 1, 10000);
		else if (c == 'o')
			o.offset = number_of(optarg, 0, UINT32_MAX);
		else if (c == 'y')
			o.story = optarg;
		else if (c == 'k')
			o.keep = optarg;
		else if (c == 't')
			o.self_test = true;
		else
			exit(2);
	}
	o.offset %= o.stride;
	if (o.self_test || o.workers > WORKERS)
		o.workers = 1;
	return o;
}

/* True when every worker came to its end. */
static bool
run_workers(const struct worker *like)
{
	bool good = true;
	int status;

	fflush(NULL);
	for (int i = 0; i < like->options->workers; i++) {
		struct worker w = *like;
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		w.number = i;
		if (!pid)
			exit(work(&w));
	}
	while (wait(&status) > 0)
		good = good && WIFEXITED(status) && !WEXITSTATUS(status);
	return good;
}

int
main(int argc, char *argv[])
{
	const struct options o = parse_options(argc, argv);
	struct worker w = {.options = &o, .totals = share(sizeof(struct totals))};
	int64_t began = clock_mono().ms;
	struct err e = ERR_NONE;
	const struct totals *t = w.totals;
	bool good;

	w.schema = schema_new();
	if (crypto_start() || !w.schema || schema_add_builtin(w.schema, &e)) {
		fprintf(stderr, "fault matrix: %s\n", e.text);
		return 2;
	}
	good = run_workers(&w);
	schema_free(w.schema);
	crypto_stop();
	if (o.self_test)
		return good ? 0 : 1;
	printf("%u points killed, %u faults injected, %u power losses replayed, %u violations"
	       " (%u starts of the agent in %.0f s)\n",
	       t->points[KILLED], t->points[FAILED], t->points[POWER_LOST], t->violations, t->lives,
	       (double)(clock_mono().ms - began) / 1000);
	return good && !t->violations ? 0 : 1;
}
