/* agent/agent_packages: one thing at a time, whom packages are asked of, and what is told of it. What it stands on, the
 * fetch, the job and the check, is a script here.
 */
// wrap: clock_mono epoll_wait clock_wall fetch_start fetch_cancel packages_trust_read packages_new packages_answer
// wrap: packages_stop packages_free pkg_job_new pkg_store_current pkg_check_new pkg_check_free pkg_check_step pkg_check_count
// wrap: uplink_view session_privileged session_peer_serial trust_list_find
#include "agent/agent_packages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/fetch.h"
#include "agent/packages.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "package/pkg_check.h"
#include "package/pkg_job.h"
#include "package/pkg_store.h"
#include "test/unit/agent_box.h"
#include "test/unit/turn.h"
#include "trustlist/trustlist.h"

enum { THURSDAY = 1767225600, MINUTE_MS = 60 * 1000, TEXT = 2048 };

/* The schedule's own turns are days away. */
#define WEEKLY "config system autoupdate schedule\nset frequency weekly\nset day Monday\nset time 03:00\nend\n"
#define SERVERS                                                                                                        \
	WEEKLY "config system central-management\nconfig server-list\n"                                                \
	       "edit 1\nset server-type update\nset server-address 192.0.2.1\nnext\n"                                  \
	       "edit 2\nset server-type rating\nset server-address 192.0.2.2\nnext\n"                                  \
	       "edit 3\nset server-type rating update\nset addr-type fqdn\nset fqdn c.example\nnext\nend\nend\n"

static struct {
	struct agent agent;
	mono_t begun;
	struct settings *settings;
	bool manager, installed, endless; /* one is connected; something is installed; the check does not end */
	bool goes_on;                     /* a job that is stopped */
	int trust_rc;
	/* what was begun here and is not over */
	const struct fetch_ops *fetch;
	const struct packages_ops *run;
	struct packages_ops run_ops;
	bool checking;
	void *ctx;
	struct buf asked; /* "192.0.2.1 manager:192.0.2.10 …" */
	int fetches, checks, steps;
	struct buf told; /* to the one who ordered */
} t;

/* --- the world ---------------------------------------------------------------------------------------------------- */

wall_t __wrap_clock_wall(void);
int __wrap_fetch_start(struct loop *l, const struct fetch_spec *spec, const struct fetch_ops *ops, void *ctx,
		       struct fetch **out, struct err *e);
void __wrap_fetch_cancel(struct fetch *f);
int __wrap_packages_trust_read(const char *ca, const char *level_file, const struct pkg_store *store, int64_t now_s,
			       struct packages_trust *out, struct err *e);
int __wrap_packages_new(struct loop *l, struct pkg_job *job, const struct packages_programs *programs,
			const struct packages_ops *ops, struct packages **out, struct err *e);
void __wrap_packages_answer(struct packages *p, bool yes, const uint8_t digest[32]);
bool __wrap_packages_stop(struct packages *p);
void __wrap_packages_free(struct packages *p);
int __wrap_pkg_job_new(const struct pkg_job_params *p, int fd, struct pkg_job **out, struct err *e);
const struct pkg_installed *__wrap_pkg_store_current(const struct pkg_store *s, const struct object_type *kind);
int __wrap_pkg_check_new(struct pkg_store *s, const struct anchor_check *check, const struct object_type *kind,
			 struct pkg_check **out, struct err *e);
void __wrap_pkg_check_free(struct pkg_check *c);
int __wrap_pkg_check_step(struct pkg_check *c);
size_t __wrap_pkg_check_count(const struct pkg_check *c);
void __wrap_uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out);
bool __wrap_session_privileged(const struct session *s);
const char *__wrap_session_peer_serial(const struct session *s);
const struct trust_entry *__wrap_trust_list_find(const struct trust_list *l, const char *serial);

wall_t
__wrap_clock_wall(void)
{
	int64_t ms = clock_mono().ms - t.begun.ms;

	return (wall_t){.s = THURSDAY + ms / 1000, .ns = (int)(ms % 1000) * 1000000};
}

int
__wrap_fetch_start(struct loop *l, const struct fetch_spec *spec, const struct fetch_ops *ops, void *ctx,
		   struct fetch **out, struct err *e)
{
	(void)l;
	(void)e;
	buf_printf(&t.asked, "%s%s ", spec->kind == FETCH_MANAGER ? "manager:" : "", spec->server);
	t.fetches++;
	t.fetch = ops;
	t.ctx = ctx;
	*out = (struct fetch *)&t;
	return 0;
}

void
__wrap_fetch_cancel(struct fetch *f)
{
	if (f)
		t.fetch = NULL;
}

int
__wrap_packages_trust_read(const char *ca, const char *level_file, const struct pkg_store *store, int64_t now_s,
			   struct packages_trust *out, struct err *e)
{
	(void)level_file;
	(void)store;
	(void)now_s;
	if (t.trust_rc)
		return err_set(e, t.trust_rc, "%s: no authority", ca);
	*out = (struct packages_trust){.anchors = NULL};
	return 0;
}

/* Takes the file. */
int
__wrap_pkg_job_new(const struct pkg_job_params *p, int fd, struct pkg_job **out, struct err *e)
{
	(void)p;
	(void)e;
	close(fd);
	*out = (struct pkg_job *)&t;
	return 0;
}

int
__wrap_packages_new(struct loop *l, struct pkg_job *job, const struct packages_programs *programs,
		    const struct packages_ops *ops, struct packages **out, struct err *e)
{
	(void)l;
	(void)programs;
	(void)e;
	assert_ptr_equal(job, &t);
	assert_null(t.run);
	t.run_ops = *ops;
	t.run = &t.run_ops;
	*out = (struct packages *)&t;
	return 0;
}

void
__wrap_packages_answer(struct packages *p, bool yes, const uint8_t digest[32])
{
	(void)p;
	buf_printf(&t.told, "[answer %s %02x]", yes ? "yes" : "no", digest[0]);
}

bool
__wrap_packages_stop(struct packages *p)
{
	(void)p;
	return !t.goes_on;
}

void
__wrap_packages_free(struct packages *p)
{
	if (p)
		t.run = NULL;
}

const struct pkg_installed *
__wrap_pkg_store_current(const struct pkg_store *s, const struct object_type *kind)
{
	static struct pkg_installed one = {.version = {19, 264}};

	(void)s;
	one.kind = kind;
	return t.installed ? &one : NULL;
}

int
__wrap_pkg_check_new(struct pkg_store *s, const struct anchor_check *check, const struct object_type *kind,
		     struct pkg_check **out, struct err *e)
{
	(void)s;
	(void)check;
	(void)kind;
	(void)e;
	t.checking = true;
	t.checks++;
	*out = (struct pkg_check *)&t;
	return 0;
}

void
__wrap_pkg_check_free(struct pkg_check *c)
{
	if (c)
		t.checking = false;
}

int
__wrap_pkg_check_step(struct pkg_check *c)
{
	assert_ptr_equal(c, &t);
	assert_true(t.checking);
	t.steps++;
	return t.endless;
}

size_t
__wrap_pkg_check_count(const struct pkg_check *c)
{
	(void)c;
	return 0;
}

void
__wrap_uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out)
{
	(void)u;
	(void)now;
	*out = (struct uplink_view){.session = (const struct session *)&t, .current = t.manager};
	assert_int_equal(addr_parse_host("192.0.2.10", &out->manager), 0);
}

bool
__wrap_session_privileged(const struct session *s)
{
	(void)s;
	return t.manager;
}

const char *
__wrap_session_peer_serial(const struct session *s)
{
	(void)s;
	return "FMG-VM0000000001";
}

const struct trust_entry *
__wrap_trust_list_find(const struct trust_list *l, const char *serial)
{
	(void)l;
	(void)serial;
	return NULL;
}

/* --- the agent ---------------------------------------------------------------------------------------------------- */

static void
begin(const char *config)
{
	struct err e = ERR_NONE;
	char text[PATH_MAX + TEXT];

	assert_int_equal(fixture_setup(NULL), 0);
	t.told = t.asked = BUF_INIT(64 * 1024);
	t.begun = clock_mono();
	box_open(config, NULL);
	snprintf(text, sizeof(text), "config agent\nset state-directory \"%s\"\nset fetch-user \"\"\nend\n",
		 fixture_dir);
	fixture_write("fgfmd.conf", text);
	if (settings_load(fixture_path("fgfmd.conf"), box.schema, NULL, NULL, &t.settings, &e))
		fail_msg("%s", e.text);
	t.agent = (struct agent){
	    .loop = box.loop, .settings = t.settings, .device = box.device, .serial = "FGVM000000000001"};
	if (agent_open_packages(&t.agent, &e))
		fail_msg("%s", e.text);
	turn_quiet(box.loop); /* it opens the store */
	assert_non_null(agent_packages_store(&t.agent));
	assert_int_equal(t.fetches, 0);
}

static void
end(void)
{
	agent_close_packages(&t.agent);
	settings_free(t.settings);
	box_close();
	buf_free(&t.told);
	buf_free(&t.asked);
	assert_null(t.fetch);
	assert_null(t.run);
	assert_false(t.checking);
	memset(&t, 0, sizeof(t));
	fixture_empty();
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t)); /* of a test that failed */
	return 0;
}

static const char *
text_of(struct buf *b)
{
	static char text[TEXT];

	snprintf(text, sizeof(text), "%.*s", (int)b->len, (const char *)buf_head(b));
	buf_cut(b, 0);
	return text;
}

/* What was told since, when nothing moves any more. */
static const char *
told(void)
{
	turn_quiet(box.loop);
	return text_of(&t.told);
}

static void
on_say(void *ctx, const char *text)
{
	assert_ptr_equal(ctx, &t);
	buf_str(&t.told, text);
}

static void
on_ask(void *ctx, const struct packages_question *q)
{
	(void)ctx;
	buf_printf(&t.told, "[ask %02x]", q->digest[0]);
}

static void
on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	(void)ctx;
	buf_printf(&t.told, "[%s %d of %d]", what, (int)done, (int)total);
}

static void
on_done(void *ctx, int code, const char *reason)
{
	(void)ctx;
	buf_printf(&t.told, "[done %d %s]", code, reason);
}

static const struct packages_watch watch = {
    .ctx = &t, .say = on_say, .ask = on_ask, .progress = on_progress, .done = on_done};

static int
restore(struct err *e)
{
	const struct packages_order o = {
	    .source = PACKAGES_TFTP, .name = "ips.pkg", .server = "192.0.2.7", .fd = -1, .user = "admin"};

	return agent_packages_restore(&t.agent, &o, &watch, e);
}

static int
update(struct err *e)
{
	return agent_packages_update(&t.agent, "admin", &watch, e);
}

static int
check(struct err *e)
{
	return agent_packages_check(&t.agent, &watch, e);
}

static const struct {
	const char *what;
	int (*give)(struct err *e);
} orders[] = {{"restore", restore}, {"update", update}, {"check", check}};

enum { ORDERS = sizeof(orders) / sizeof(orders[0]) };

static void
answer(bool yes, uint8_t digest)
{
	const uint8_t d[PACKAGES_DIGEST] = {digest};

	agent_packages_answer(&t.agent, yes, d);
}

static void
fetched(int rc, int fd, const char *why)
{
	const struct fetch_ops *ops = t.fetch;

	assert_non_null(ops);
	t.fetch = NULL;
	ops->done(t.ctx, rc, fd, why);
}

static bool
is_checking(void)
{
	return t.checking;
}

static bool
has_checked_long(void)
{
	return t.steps >= 50;
}

/* The agent's own check, some time after the start. */
static void
begin_own_check(void)
{
	turn.now_ms += MINUTE_MS;
	assert_true(turn_run(box.loop, is_checking, TURN_SOON_MS));
}

/* --- one thing at a time ------------------------------------------------------------------------------------------ */

static void
expect_conflict(const char *what, int (*give)(struct err *e))
{
	struct err e = ERR_NONE;
	int code = give(&e);

	if (code != CLI_CONFLICT || strcmp(e.text, "an update is under way") != 0)
		fail_msg("%s: %d \"%s\"", what, code, e.text);
}

static void
second_is_refused(void **state)
{
	(void)state;
	begin(WEEKLY);
	for (size_t i = 0; i < ORDERS * ORDERS; i++) {
		int (*first)(struct err * e) = orders[i / ORDERS].give,
					  (*second)(struct err * e) = orders[i % ORDERS].give;
		struct err e = ERR_NONE;

		assert_int_equal(first(&e), CLI_OK);
		expect_conflict(orders[i / ORDERS].what, second);
		assert_int_equal(t.checking, first == check); /* it goes on */
		agent_packages_cancel(&t.agent);
		assert_int_equal(second(&e), CLI_OK);
		agent_packages_cancel(&t.agent);
		assert_string_equal(told(), "");
	}
	end();
}

static void
automatic_counts(void **state)
{
	(void)state;
	begin(SERVERS);
	agent_packages_notice(&t.agent);
	turn_quiet(box.loop);
	assert_int_equal(t.fetches, 1);
	for (size_t i = 0; i < ORDERS; i++)
		expect_conflict(orders[i].what, orders[i].give);
	fetched(0, -1, "");
	assert_string_equal(told(), "");
	assert_int_equal(update(NULL), CLI_OK);
	agent_packages_cancel(&t.agent);
	end();
}

/* Its next piece was asked for already, and is not taken for one of the update's. */
static void
check_makes_way(void **state)
{
	static const struct {
		const char *what;
		int (*give)(struct err *e); /* NULL: a manager's notice */
		int fetches, checks;
	} cases[] = {
	    {"for a notice", NULL, 1, 1},
	    {"for an update", update, 1, 1},
	    {"for a restore", restore, 0, 1},
	    {"for a check that was ordered", check, 0, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		t.installed = t.endless = true;
		begin(SERVERS);
		begin_own_check();
		t.endless = false;
		if (cases[i].give)
			assert_int_equal(cases[i].give(&e), CLI_OK);
		else
			agent_packages_notice(&t.agent);
		turn_quiet(box.loop);
		if (t.fetches != cases[i].fetches || t.checks != cases[i].checks || t.checking)
			fail_msg("%s: %d fetches, %d checks", cases[i].what, t.fetches, t.checks);
		if (t.fetch)
			fetched(0, -1, "");
		else
			agent_packages_cancel(&t.agent);
		turn_forward(box.loop, MINUTE_MS); /* it comes again */
		assert_int_equal(t.checks, cases[i].checks + 1);
		end();
	}
}

/* An operator's does not, and what came meanwhile is not lost. */
static void
ordered_check_stays(void **state)
{
	(void)state;
	t.endless = true;
	begin(SERVERS);
	assert_int_equal(check(NULL), CLI_OK);
	agent_packages_notice(&t.agent);
	assert_true(turn_run(box.loop, has_checked_long, TURN_SOON_MS));
	assert_int_equal(t.fetches, 0);
	t.endless = false;
	assert_string_equal(told(), "update objects signature check finished.\n[done 0 ]");
	assert_int_equal(t.fetches, 1);
	end();
}

/* --- notices ------------------------------------------------------------------------------------------------------ */

static void
flood(void)
{
	for (int i = 0; i < 1000; i++)
		agent_packages_notice(&t.agent);
	turn_quiet(box.loop);
}

static void
flood_is_one_request(void **state)
{
	(void)state;
	begin(SERVERS);
	flood();
	assert_int_equal(t.fetches, 1);
	flood(); /* while it runs: once more, afterwards */
	assert_int_equal(t.fetches, 1);
	fetched(0, -1, "");
	turn_quiet(box.loop);
	assert_int_equal(t.fetches, 2);
	fetched(0, -1, "");
	turn_quiet(box.loop);
	assert_int_equal(t.fetches, 2);
	end();
}

static void
notices_that_count_for_nothing(void **state)
{
	static const struct {
		const char *what, *config;
		int trust_rc;
	} cases[] = {
	    {"updates are off", SERVERS "config system autoupdate schedule\nset status disable\nend\n", 0},
	    {"no authority", SERVERS, -ENOENT},
	    {"nobody to ask", WEEKLY, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		begin(cases[i].config);
		t.trust_rc = cases[i].trust_rc;
		flood();
		if (t.fetches)
			fail_msg("%s", cases[i].what);
		t.trust_rc = 0;
		assert_int_equal(check(&e), CLI_OK); /* nothing is taken to be under way */
		end();
	}
}

/* --- whom packages are asked of ----------------------------------------------------------------------------------- */

static void
servers_before_the_manager(void **state)
{
	static const struct {
		const char *what, *config;
		bool manager;
		int failing; /* so many say no */
		const char *asked, *done;
	} cases[] = {
	    {"nobody is there", WEEKLY, false, 0, "",
	     "[done -1000 no update server is configured, and no manager is connected]"},
	    {"all servers fail, and no manager is there", SERVERS, false, 2, "192.0.2.1 c.example ",
	     "[done -1000 no 2]"},
	    {"all fail", SERVERS, true, 3, "192.0.2.1 c.example manager:192.0.2.10 ", "[done -1000 no 3]"},
	    {"the manager alone fails", WEEKLY, true, 1, "manager:192.0.2.10 ", "[done -1000 no 1]"},
	    {"the first", SERVERS, true, 0, "192.0.2.1 ", "192.0.2.1:443 has nothing newer.\n[done 0 ]"},
	    {"the second", SERVERS, true, 1, "192.0.2.1 c.example ", "c.example:443 has nothing newer.\n[done 0 ]"},
	    {"the manager", SERVERS, true, 2, "192.0.2.1 c.example manager:192.0.2.10 ",
	     "192.0.2.10:8890 has nothing newer.\n[done 0 ]"},
	    {"no servers", WEEKLY, true, 0, "manager:192.0.2.10 ", "192.0.2.10:8890 has nothing newer.\n[done 0 ]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char why[16];
		const char *said, *at;

		begin(cases[i].config);
		t.manager = cases[i].manager;
		assert_int_equal(update(NULL), CLI_OK);
		turn_quiet(box.loop);
		for (int n = 1; n <= cases[i].failing; n++) {
			snprintf(why, sizeof(why), "no %d", n);
			fetched(-EIO, -1, why);
		}
		if (t.fetch)
			fetched(0, -1, "");
		said = told();
		at = strstr(said, cases[i].done);
		if (!at || strcmp(at, cases[i].done) != 0 || strstr(said, "[done") != strstr(at, "[done"))
			fail_msg("%s: \"%s\"", cases[i].what, said);
		said = text_of(&t.asked);
		if (strcmp(said, cases[i].asked) != 0)
			fail_msg("%s: asked \"%s\"", cases[i].what, said);
		end();
	}
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void
consent(void **state)
{
	static const char no[] = "[done -64 nothing is changed]";
	static const struct {
		const char *what;
		bool yes;
		uint8_t digest;
		const char *told;
		int fetches;
	} cases[] = {
	    {"no", false, 0, no, 0},
	    {"yes, to something else", true, 7, no, 0},
	    {"yes", true, 0, "Please wait...\n\nConnect to tftp server 192.0.2.7 ...\n", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *said;

		begin(WEEKLY);
		answer(true, 0); /* nobody has asked */
		assert_int_equal(restore(NULL), CLI_OK);
		answer(true, 0); /* not yet, either */
		assert_int_equal(t.told.len, 0);
		assert_string_equal(told(), "[ask 00]");
		answer(cases[i].yes, cases[i].digest);
		answer(true, 0); /* the first one counts */
		said = told();
		if (strcmp(said, cases[i].told) != 0 || t.fetches != cases[i].fetches)
			fail_msg("%s: \"%s\"", cases[i].what, said);
		end();
	}
}

static void
nobody_answers(void **state)
{
	(void)state;
	begin(WEEKLY);
	assert_int_equal(restore(NULL), CLI_OK);
	assert_string_equal(told(), "[ask 00]");
	turn_forward(box.loop, MINUTE_MS);
	assert_string_equal(told(), "");
	turn_forward(box.loop, 2 * MINUTE_MS);
	assert_string_equal(told(), "\nNobody has answered.\n[done -64 nothing is changed]");
	turn_forward(box.loop, 10 * MINUTE_MS);
	assert_string_equal(told(), "");
	end();
}

static void
begin_install(void)
{
	assert_int_equal(restore(NULL), CLI_OK);
	turn_quiet(box.loop);
	answer(true, 0);
	t.fetch->progress(t.ctx, 5, 9);
	fetched(0, open("/dev/null", O_RDONLY | O_CLOEXEC), "");
	assert_non_null(t.run);
	assert_string_equal(told(), "[ask 00]Please wait...\n\nConnect to tftp server 192.0.2.7 ...\n[fetching 5 of 9]"
				    "Get IPS database from tftp server OK.\n");
}

static void
results_are_told_once(void **state)
{
	static const struct pkg_object_result objects[] = {
	    {.name = "idsdb", .outcome = PKG_REFUSED, .why = {.code = -EBADMSG, .text = "a wrong sum"}},
	    {.name = "idsetdb", .outcome = PKG_INSTALLED},
	};
	static const struct {
		const char *what;
		struct pkg_result result;
		const char *told;
	} cases[] = {
	    {"no package",
	     {.code = PKG_CODE_FAILED, .why = {.code = -EBADMSG, .text = "no magic"}, .summary = "nothing installed"},
	     "[done -64 nothing installed: no magic]"},
	    {"one of them is refused",
	     {.code = PKG_CODE_FAILED, .count = 2, .objects = objects, .summary = "1 of 2"},
	     "idsdb: a wrong sum\n[done -64 1 of 2]"},
	    {"good",
	     {.count = 1, .objects = objects + 1, .summary = "1 installed"},
	     "1 installed\n[done 0 1 installed]"},
	};

	(void)state;
	begin(WEEKLY);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *said;

		begin_install();
		t.run->progress(t.run->ctx, 1, 2);
		t.run->done(t.run->ctx, &cases[i].result);
		assert_null(t.run);
		said = told();
		if (strncmp(said, "[installing 1 of 2]", 19) != 0 || strcmp(said + 19, cases[i].told) != 0)
			fail_msg("%s: \"%s\"", cases[i].what, said);
	}
	end();
}

/* The job's questions reach the operator, and without one it is no. */
static void
questions_of_the_job(void **state)
{
	const struct pkg_question q = {.what = PKG_ASK_OLDER, .text = "older\n", .digest = {7}};

	(void)state;
	begin(SERVERS);
	begin_install();
	t.run->ask(t.run->ctx, &q);
	answer(true, 7);
	answer(true, 7);
	assert_string_equal(told(), "[ask 07][answer yes 07]");
	agent_packages_cancel(&t.agent);
	assert_null(t.run);
	agent_packages_notice(&t.agent);
	turn_quiet(box.loop);
	fetched(0, open("/dev/null", O_RDONLY | O_CLOEXEC), "");
	t.run->ask(t.run->ctx, &q);
	assert_string_equal(told(), "[answer no 07]");
	end();
}

/* By itself it is fetched again only if that may help. */
static void
what_is_tried_again(void **state)
{
	static const struct {
		const char *what;
		enum pkg_refusal refusal;
		int unreadable;
		int fetches;
	} cases[] = {
	    {"all is well", PKG_REFUSAL_NONE, 0, 1},
	    {"a bad signature", PKG_REFUSAL_SIGNATURE, 0, 1},
	    {"a validator said no", PKG_REFUSAL_VALIDATOR, 0, 1},
	    {"a wrong sum", PKG_REFUSAL_DAMAGED, 0, 2},
	    {"its reader is not there", PKG_REFUSAL_RELOAD, 0, 2},
	    {"a full disk", PKG_REFUSAL_TROUBLE, 0, 2},
	    {"no package at all", PKG_REFUSAL_NONE, -EBADMSG, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct pkg_object_result o = {.name = "idsdb", .refusal = cases[i].refusal};
		const struct pkg_result r = {.code = cases[i].refusal || cases[i].unreadable ? PKG_CODE_FAILED : 0,
					     .why = {.code = cases[i].unreadable},
					     .count = 1,
					     .objects = &o};

		begin(SERVERS);
		agent_packages_notice(&t.agent);
		turn_quiet(box.loop);
		fetched(0, open("/dev/null", O_RDONLY | O_CLOEXEC), "");
		t.run->done(t.run->ctx, &r);
		turn_forward(box.loop, 60 * MINUTE_MS);
		if (t.fetches != cases[i].fetches)
			fail_msg("%s: %d fetches", cases[i].what, t.fetches);
		if (t.fetch)
			fetched(0, -1, "");
		end();
	}
}

/* A database is being reloaded: nobody is told any more, and nothing else begins before its end. */
static void
stopped_job_goes_on(void **state)
{
	const struct pkg_result r = {.count = 0, .summary = "1 installed"};

	(void)state;
	begin(SERVERS);
	begin_install();
	t.goes_on = true;
	assert_false(agent_packages_cancel(&t.agent));
	assert_non_null(t.run);
	for (size_t i = 0; i < ORDERS; i++)
		expect_conflict(orders[i].what, orders[i].give);
	t.run->progress(t.run->ctx, 1, 2);
	t.run->done(t.run->ctx, &r);
	assert_null(t.run);
	assert_string_equal(told(), "");
	assert_int_equal(update(NULL), CLI_OK);
	assert_true(agent_packages_cancel(&t.agent));
	end();
}

static void
orders_that_cannot_begin(void **state)
{
	(void)state;
	begin(SERVERS);
	for (size_t i = 0; i < ORDERS; i++) {
		struct err e = ERR_NONE;

		t.trust_rc = -ENOENT;
		if (orders[i].give(&e) != CLI_FAILED || !strstr(e.text, "no authority"))
			fail_msg("%s: %s", orders[i].what, e.text);
		t.trust_rc = 0;
		assert_string_equal(told(), "");
		assert_int_equal(orders[i].give(&e), CLI_OK); /* nothing of it is left */
		agent_packages_cancel(&t.agent);
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(orders_that_cannot_begin, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(second_is_refused, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(automatic_counts, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(check_makes_way, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(ordered_check_stays, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(notices_that_count_for_nothing, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(flood_is_one_request, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(servers_before_the_manager, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(consent, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(nobody_answers, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(results_are_told_once, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(questions_of_the_job, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(what_is_tried_again, setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(stopped_job_goes_on, setup, fixture_teardown),
	};

	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
