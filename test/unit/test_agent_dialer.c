/* agent/dialer: who is dialled when, in virtual time, told as scripts.
 *
 * A script is a list of words; each does one thing to the dialer at the time that it is. What the dialer does is
 * written down beside the time, and compared.
 */
#include "agent/dialer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/backoff.h"
#include "agent/resolve.h"

enum { START = 1000000 };

struct rig {
	struct dialer *dialer;
	mono_t now;
	uint32_t random;
	/* what it does at this moment */
	bool dialling, resolving;
	struct addr address;
	char told[2000];
	/* of all dials so far */
	unsigned dials;
	mono_t last_dial;
	struct addr last_address;
};

static void
tell(struct rig *r, const char *what, const char *who)
{
	size_t used = strlen(r->told);

	used += (size_t)snprintf(r->told + used, sizeof(r->told) - used, "%s%s", used ? " " : "", what);
	if (who)
		snprintf(r->told + used, sizeof(r->told) - used, ":%s", who);
	assert_true(strlen(r->told) + 100 < sizeof(r->told));
}

static void
do_dial(void *ctx, const char *target, const struct addr *a)
{
	struct rig *r = ctx;
	char host[ADDR_TEXT], text[DIALER_NAME_MAX + ADDR_TEXT + 1];

	assert_false(r->dialling || r->resolving); /* one thing at a time */
	addr_host(host, a);
	snprintf(text, sizeof(text), "%s%s%s", target, strcmp(target, host) ? "=" : "",
		 strcmp(target, host) ? host : "");
	tell(r, "dial", text);
	r->dialling = true;
	r->address = *a;
	r->dials++;
	r->last_dial = r->now;
	r->last_address = *a;
}

static void
do_resolve(void *ctx, const char *name)
{
	struct rig *r = ctx;

	assert_false(r->dialling || r->resolving);
	tell(r, "resolve", name);
	r->resolving = true;
}

static void
do_resolve_stop(void *ctx)
{
	struct rig *r = ctx;

	assert_true(r->resolving);
	tell(r, "stop", NULL);
	r->resolving = false;
}

static uint32_t
do_random(void *ctx)
{
	return ((struct rig *)ctx)->random;
}

static int
set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct dialer_ops ops = {r, do_dial, do_resolve, do_resolve_stop, do_random};

	if (!r)
		return -1;
	r->dialer = dialer_new(&ops);
	r->now = (mono_t){START};
	*state = r;
	return r->dialer ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct rig *r = *state;

	dialer_free(r->dialer);
	free(r);
	return 0;
}

/* Goes on by so many milliseconds, waking the dialer when it wants to be. The time of what happens then is told. */
static void
pass(struct rig *r, int64_t ms)
{
	const mono_t end = mono_in(r->now, ms);
	char text[40];

	while (mono_due(dialer_deadline(r->dialer), end)) {
		assert_true(dialer_deadline(r->dialer).ms > r->now.ms); /* never a loop on the spot */
		r->now = dialer_deadline(r->dialer);
		snprintf(text, sizeof(text), "@%d", (int)(r->now.ms - START));
		tell(r, text, NULL);
		dialer_tick(r->dialer, r->now);
	}
	r->now = end;
}

/* The addresses of "A,B,C"; "" gives none. */
static size_t
addresses(const char *text, struct addr *out)
{
	char copy[400], *rest = NULL;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *one = strtok_r(copy, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
		assert_int_equal(addr_parse_host(one, &out[n++]), 0);
	return n;
}

static void
set_targets(struct rig *r, const char *text)
{
	const char *names[DIALER_TARGETS + 4];
	char copy[400], *rest = NULL;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *one = strtok_r(copy, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
		names[n++] = one;
	dialer_set_targets(r->dialer, names, n, r->now);
}

static void
remember(struct rig *r, const char *text)
{
	const char *equals = strchr(text, '=');
	struct addr a;
	char name[100];

	snprintf(name, sizeof(name), "%.*s", equals ? (int)(equals - text) : (int)strlen(text), text);
	assert_int_equal(addr_parse_host(equals ? equals + 1 : text, &a), 0);
	dialer_remember(r->dialer, name, &a);
}

static void
resolved(struct rig *r, const char *text)
{
	struct addr addrs[RESOLVE_MAX + 4];

	r->resolving = false;
	dialer_resolved(r->dialer, addrs, addresses(text, addrs), r->now);
}

/* What a word without an argument does; false: there is no such word. */
static bool
do_word(struct rig *r, const char *word)
{
	if (!strcmp(word, "want"))
		dialer_want(r->dialer, true, r->now);
	else if (!strcmp(word, "unwant"))
		dialer_want(r->dialer, false, r->now);
	else if (!strcmp(word, "later"))
		dialer_want_later(r->dialer, r->now);
	else if (!strcmp(word, "kick"))
		dialer_kick(r->dialer, r->now);
	else
		return false;
	return true;
}

/* What ends an attempt, which the rig has to know of first. */
static bool
do_end(struct rig *r, const char *word)
{
	bool was = r->dialling;

	if (!strcmp(word, "unstarted")) { /* what was to be started has not begun */
		r->dialling = r->resolving = false;
		dialer_start_failed(r->dialer, r->now);
		return true;
	}
	r->dialling = false;
	if (!strcmp(word, "fail"))
		dialer_failed(r->dialer, r->now);
	else if (!strcmp(word, "ok"))
		dialer_succeeded(r->dialer);
	else if (!strcmp(word, "again"))
		dialer_again(r->dialer, r->now);
	else {
		r->dialling = was;
		return false;
	}
	return true;
}

static void
do_step(struct rig *r, const char *word)
{
	if (do_word(r, word) || do_end(r, word))
		return;
	if (!strncmp(word, "targets:", 8))
		set_targets(r, word + 8);
	else if (!strncmp(word, "last:", 5))
		remember(r, word + 5);
	else if (!strncmp(word, "found:", 6))
		resolved(r, word + 6);
	else if (!strncmp(word, "pass:", 5))
		pass(r, atoi(word + 5));
	else if (!strncmp(word, "jitter:", 7))
		r->random = (uint32_t)strtoul(word + 7, NULL, 0);
	else
		fail_msg("the script has an unknown word: %s", word);
}

static void
play(struct rig *r, const char *script)
{
	char copy[1000], *rest = NULL;

	assert_true(strlen(script) < sizeof(copy));
	strcpy(copy, script);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		do_step(r, word);
}

struct story {
	const char *what, *script, *told;
};

static void
assert_stories(const struct story *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct rig *r;
		void *state;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(set_up(&state), 0);
		r = state;
		play(r, rows[i].script);
		assert_string_equal(r->told, rows[i].told);
		assert_int_equal(dialer_busy(r->dialer), r->dialling || r->resolving);
		tear_down(&state);
	}
}

static void
nobody_to_dial(void **state)
{
	static const struct story rows[] = {
	    {"not wanted", "targets:192.0.2.1 pass:100000", ""},
	    {"no targets", "want pass:100000", ""},
	    {"targets come later", "want pass:5000 targets:192.0.2.1", "dial:192.0.2.1"},
	    {"the targets go while waiting", "targets:192.0.2.1 want fail targets: pass:100000", "dial:192.0.2.1"},
	    {"the targets go while dialling", "targets:192.0.2.1 want targets: fail pass:100000",
	     "dial:192.0.2.1 @1000"},
	    {"ends of what never began", "targets:192.0.2.1 fail ok again found:192.0.2.1 unstarted kick pass:100000",
	     ""},
	    {"wanted twice is once", "targets:192.0.2.1 want want", "dial:192.0.2.1"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
order_of_a_round(void **state)
{
	static const struct story rows[] = {
	    {"all addresses of all targets, both versions",
	     "targets:192.0.2.1,fmg,2001:db8::1 want fail found:198.51.100.1,2001:db8::2 fail fail fail",
	     "dial:192.0.2.1 resolve:fmg dial:fmg=198.51.100.1 dial:fmg=2001:db8::2 dial:2001:db8::1"},
	    {"two names of one manager: its address once",
	     "targets:a,b,192.0.2.1 want found:192.0.2.1,192.0.2.2 fail fail found:192.0.2.2,192.0.2.3,192.0.2.1 fail "
	     "pass:999 pass:1",
	     "resolve:a dial:a=192.0.2.1 dial:a=192.0.2.2 resolve:b dial:b=192.0.2.3 @1000 resolve:a"},
	    {"the same one in the next round", "targets:192.0.2.1,192.0.2.1 want fail pass:1000 fail",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"again at once is not another turn", "targets:192.0.2.1,192.0.2.2 want again fail",
	     "dial:192.0.2.1 dial:192.0.2.1 dial:192.0.2.2"},
	    {"then a pause, then all again", "targets:192.0.2.1,192.0.2.2 want fail fail pass:1000 fail fail",
	     "dial:192.0.2.1 dial:192.0.2.2 @1000 dial:192.0.2.1 dial:192.0.2.2"},
	    {"a name is looked up anew in each round",
	     "targets:fmg want found:192.0.2.1 fail pass:1000 found:192.0.2.9",
	     "resolve:fmg dial:fmg=192.0.2.1 @1000 resolve:fmg dial:fmg=192.0.2.9"},
	    {"the last good one first, and once only",
	     "targets:192.0.2.1,192.0.2.2 last:192.0.2.2 want fail fail pass:999", "dial:192.0.2.2 dial:192.0.2.1"},
	    {"the last good one of a name, without a look-up first",
	     "targets:192.0.2.1,fmg last:fmg=192.0.2.7 want fail fail found:192.0.2.8,192.0.2.7 fail pass:999",
	     "dial:fmg=192.0.2.7 dial:192.0.2.1 resolve:fmg dial:fmg=192.0.2.8"},
	    {"the only one", "targets:192.0.2.1 last:192.0.2.1 want fail pass:999 pass:1 fail",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"the last good one is no longer configured", "targets:192.0.2.1 last:fmg=192.0.2.7 want fail pass:999",
	     "dial:192.0.2.1"},
	    {"a success is remembered", "targets:192.0.2.1,192.0.2.2 want fail ok want fail fail pass:999",
	     "dial:192.0.2.1 dial:192.0.2.2 dial:192.0.2.2 dial:192.0.2.1"},
	    {"new targets while waiting: at once", "targets:192.0.2.1 want fail targets:192.0.2.2 pass:0",
	     "dial:192.0.2.1 dial:192.0.2.2"},
	    {"new targets during a look-up", "targets:fmg want targets:192.0.2.2", "resolve:fmg stop dial:192.0.2.2"},
	    {"new targets during a look-up that nobody wants any more",
	     "targets:fmg want unwant targets:192.0.2.2 pass:100000", "resolve:fmg stop"},
	    {"new targets during an attempt: soon after it",
	     "targets:192.0.2.1,192.0.2.3 want targets:192.0.2.2 fail pass:1000",
	     "dial:192.0.2.1 @1000 dial:192.0.2.2"},
	    {"an attempt that succeeds under new targets", "targets:192.0.2.1 want targets:192.0.2.2 ok pass:100000",
	     "dial:192.0.2.1"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
names_that_fail(void **state)
{
	static const struct story rows[] = {
	    {"the next one's turn", "targets:fmg,192.0.2.1 want found:", "resolve:fmg dial:192.0.2.1"},
	    {"all of them", "targets:a,b want found: found: pass:1000", "resolve:a resolve:b @1000 resolve:a"},
	    {"the look-up does not begin", "targets:a,192.0.2.1 want unstarted", "resolve:a dial:192.0.2.1"},
	    {"the dial does not begin", "targets:192.0.2.1,192.0.2.2 want unstarted", "dial:192.0.2.1 dial:192.0.2.2"},
	    {"the last good address works without any name",
	     "targets:fmg last:fmg=192.0.2.7 want fail found: pass:1000",
	     "dial:fmg=192.0.2.7 resolve:fmg @1000 dial:fmg=192.0.2.7"},
	    {"an answer to nobody", "targets:fmg want unwant found:192.0.2.1 pass:100000", "resolve:fmg stop"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
kicks(void **state)
{
	static const struct story rows[] = {
	    {"nothing wanted", "targets:192.0.2.1 kick pass:100000", ""},
	    {"while waiting: within a second",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail pass:100 kick pass:1000",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 @2600 dial:192.0.2.1"},
	    {"a burst does not put it off",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail kick pass:300 kick pass:150 kick pass:900",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 @2500 dial:192.0.2.1"},
	    {"nor later than it was due", "targets:192.0.2.1 want fail pass:900 kick pass:1000",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"while dialling: a new round soon after it",
	     "targets:192.0.2.1,192.0.2.2 last:192.0.2.1 want pass:700 kick fail pass:1000",
	     "dial:192.0.2.1 @1200 dial:192.0.2.1"},
	    {"while dialling, and it succeeds", "targets:192.0.2.1 want kick ok pass:100000", "dial:192.0.2.1"},
	    {"only once for a kick", "targets:192.0.2.1,192.0.2.2 want kick fail pass:500 fail",
	     "dial:192.0.2.1 @500 dial:192.0.2.1 dial:192.0.2.2"},
	    {"an attempt nobody wants any more", "targets:192.0.2.1 want kick unwant fail pass:100000",
	     "dial:192.0.2.1"},
	    {"during a look-up: it goes on, and then within a second",
	     "jitter:0xffffffff targets:fmg want found: pass:2000 found: pass:4000 kick found: pass:1000 found: "
	     "pass:1999",
	     "resolve:fmg @2000 resolve:fmg @6000 resolve:fmg @6500 resolve:fmg"},
	    {"the backoff begins anew",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail pass:4000 fail kick pass:500 fail pass:2000",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 @6000 dial:192.0.2.1 @6500 dial:192.0.2.1 @8500 dial:192.0.2.1"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
wanting(void **state)
{
	static const struct story rows[] = {
	    {"not any more, while waiting", "targets:192.0.2.1 want fail unwant pass:100000", "dial:192.0.2.1"},
	    {"not any more, while looking up", "targets:fmg want unwant pass:100000", "resolve:fmg stop"},
	    {"not any more, while dialling", "targets:192.0.2.1,192.0.2.2 want unwant fail pass:100000",
	     "dial:192.0.2.1"},
	    {"again, while dialling: the same attempt", "targets:192.0.2.1,192.0.2.2 want unwant want fail",
	     "dial:192.0.2.1 dial:192.0.2.2"},
	    {"again after it", "targets:192.0.2.1 want unwant fail pass:5000 want", "dial:192.0.2.1 dial:192.0.2.1"},
	    {"after a success nothing is wanted", "targets:192.0.2.1 want ok pass:100000", "dial:192.0.2.1"},
	    {"a session lost much later: at once", "targets:192.0.2.1 want ok pass:100000 want",
	     "dial:192.0.2.1 dial:192.0.2.1"},
	    {"a session lost at once: not at once", "targets:192.0.2.1 want ok later pass:999 pass:1",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"wanting it twice does not hurry", "targets:192.0.2.1 want ok later want want pass:1000",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"later is no more than wanted already", "targets:192.0.2.1 want later fail pass:1000",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1"},
	    {"later while another attempt nobody wants is under way",
	     "targets:192.0.2.1,192.0.2.2 want unwant later fail pass:100000", "dial:192.0.2.1"},
	    {"later, then not", "targets:192.0.2.1 want ok later unwant pass:100000", "dial:192.0.2.1"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
out_of_turn(void **state)
{
	static const struct story rows[] = {
	    {"the same address at once", "targets:192.0.2.1,192.0.2.2 want again", "dial:192.0.2.1 dial:192.0.2.1"},
	    {"the name it came from", "targets:fmg want found:192.0.2.7 again",
	     "resolve:fmg dial:fmg=192.0.2.7 dial:fmg=192.0.2.7"},
	    {"then the round goes on", "targets:192.0.2.1,192.0.2.2 want again fail fail pass:1000",
	     "dial:192.0.2.1 dial:192.0.2.1 dial:192.0.2.2 @1000 dial:192.0.2.1"},
	    {"a success of it counts", "targets:192.0.2.1,192.0.2.2 want fail again ok want",
	     "dial:192.0.2.1 dial:192.0.2.2 dial:192.0.2.2 dial:192.0.2.2"},
	    {"not while waiting", "targets:192.0.2.1 want fail again pass:999", "dial:192.0.2.1"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
pauses_grow(void **state)
{
	static const struct story rows[] = {
	    {"to sixty seconds",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail pass:4000 fail pass:8000 fail pass:16000 "
	     "fail pass:32000 fail pass:60000 fail pass:60000 fail pass:59999",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 @6000 dial:192.0.2.1 @14000 dial:192.0.2.1 @30000 dial:192.0.2.1 "
	     "@62000 dial:192.0.2.1 @122000 dial:192.0.2.1 @182000 dial:192.0.2.1"},
	    {"by chance, but never below one second",
	     "targets:192.0.2.1 want fail pass:1000 fail pass:1000 fail pass:1000 fail pass:999",
	     "dial:192.0.2.1 @1000 dial:192.0.2.1 @2000 dial:192.0.2.1 @3000 dial:192.0.2.1"},
	    {"half of it by half a chance", "jitter:0x80000000 targets:192.0.2.1 want fail pass:1500 fail pass:2500",
	     "dial:192.0.2.1 @1500 dial:192.0.2.1 @4000 dial:192.0.2.1"},
	    {"a round counts once, however many addresses it has",
	     "jitter:0xffffffff targets:192.0.2.1,192.0.2.2,192.0.2.3 want fail fail fail pass:2000 fail fail fail "
	     "pass:4000",
	     "dial:192.0.2.1 dial:192.0.2.2 dial:192.0.2.3 @2000 dial:192.0.2.1 dial:192.0.2.2 dial:192.0.2.3 @6000 "
	     "dial:192.0.2.1"},
	    {"a success begins anew",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail pass:4000 ok want fail pass:2000",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 @6000 dial:192.0.2.1 dial:192.0.2.1 @8000 dial:192.0.2.1"},
	    {"new targets begin anew",
	     "jitter:0xffffffff targets:192.0.2.1 want fail pass:2000 fail targets:192.0.2.2 fail pass:2000",
	     "dial:192.0.2.1 @2000 dial:192.0.2.1 dial:192.0.2.2 @4000 dial:192.0.2.2"},
	};

	(void)state;
	assert_stories(rows, sizeof(rows) / sizeof(rows[0]));
}
/* --- what holds in any story -------------------------------------------------------------------------------------- */

static void
as_many_as_there_is_room_for(void **state)
{
	struct rig *r = *state;
	char names[DIALER_TARGETS + 4][DIALER_NAME_MAX + 1];
	const char *list[DIALER_TARGETS + 4];
	struct addr addrs[RESOLVE_MAX + 4];

	for (size_t i = 0; i < DIALER_TARGETS + 4; i++) {
		snprintf(names[i], sizeof(names[i]), "192.0.2.%zu", i);
		list[i] = names[i];
	}
	/* one that does not fit is left out, so is an empty one, and what comes after the last place */
	memset(names[0], 'x', DIALER_NAME_MAX);
	names[0][DIALER_NAME_MAX] = '\0';
	names[1][0] = '\0';
	dialer_set_targets(r->dialer, list, DIALER_TARGETS + 4, r->now);
	assert_int_equal(dialer_target_count(r->dialer), DIALER_TARGETS);
	play(r, "want");
	for (size_t i = 0; i < DIALER_TARGETS + 4; i++)
		play(r, "fail");
	assert_int_equal(r->dials, DIALER_TARGETS);

	r->dials = 0;
	play(r, "targets:fmg");
	for (size_t i = 0; i < RESOLVE_MAX + 4; i++)
		addrs[i] = (struct addr){.family = AF_INET, .bytes = {10, 0, 0, (uint8_t)i}, .prefix = 32};
	r->resolving = false;
	dialer_resolved(r->dialer, addrs, RESOLVE_MAX + 4, r->now);
	while (r->dialling)
		play(r, "fail");
	assert_int_equal(r->dials, RESOLVE_MAX);
}

/* A manager that accepts and drops at once is not dialled in a tight loop. */
static void
accepted_and_dropped(void **state)
{
	struct rig *r = *state;

	play(r, "targets:192.0.2.1 want");
	for (int i = 0; i < 1000; i++) {
		mono_t dialled = r->last_dial;

		assert_true(r->dialling);
		play(r, "ok later want");
		pass(r, mono_left_ms(dialer_deadline(r->dialer), r->now));
		assert_true(r->last_dial.ms - dialled.ms >= 1000);
		r->told[0] = '\0';
	}
}

static unsigned
chance(uint64_t *seed, unsigned below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*seed >> 33) % below;
}

/* An event of a hostile network; most attempts end in the instant they begin. */
static void
happen(struct rig *r, uint64_t *seed)
{
	static const char *const answers[] = {"found:", "found:198.51.100.1", "found:2001:db8::5,192.0.2.99"};

	r->told[0] = '\0';
	r->random = (uint32_t)(*seed >> 20);
	if (r->resolving)
		play(r, chance(seed, 8) ? answers[chance(seed, 3)] : "unstarted");
	else if (r->dialling)
		play(r, chance(seed, 8) ? "fail" : "ok later");
	else if (!chance(seed, 20))
		play(r, "kick");
	else
		pass(r, chance(seed, 3000));
}

static void
never_twice_at_the_same_instant(void **state)
{
	struct rig *r = *state;
	uint64_t seed = 42;
	unsigned dials = 0;

	play(r, "targets:192.0.2.1,fmg,2001:db8::1 last:fmg=198.51.100.1 want");
	for (int i = 0; i < 100000; i++) {
		mono_t dialled = r->last_dial;
		struct addr address = r->last_address;

		dials = r->dials;
		happen(r, &seed);
		if (r->dials > dials + 1 || (r->dials > dials && addr_same_host(&address, &r->last_address) &&
					     r->last_dial.ms - dialled.ms < BACKOFF_KICK_MS))
			fail_msg("dialled again after %d ms", (int)(r->last_dial.ms - dialled.ms));
		/* something is always under way or due: it never goes to sleep for good */
		assert_true(r->dialling || r->resolving || dialer_deadline(r->dialer).ms != MONO_NEVER.ms);
		if (!r->dialling && !r->resolving)
			assert_true(mono_left_ms(dialer_deadline(r->dialer), r->now) <= 60000);
	}
	assert_true(dials > 1000);
}

#define WITH_A_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_to_dial),  cmocka_unit_test(order_of_a_round),
	    cmocka_unit_test(names_that_fail), cmocka_unit_test(kicks),
	    cmocka_unit_test(wanting),         cmocka_unit_test(out_of_turn),
	    cmocka_unit_test(pauses_grow),     WITH_A_RIG(as_many_as_there_is_room_for),
	    WITH_A_RIG(accepted_and_dropped),  WITH_A_RIG(never_twice_at_the_same_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
