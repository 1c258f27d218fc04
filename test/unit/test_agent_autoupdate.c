/* agent/autoupdate: turns over weeks in no time, and what happens between them. */
#include "agent/autoupdate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/profile.h"
#include "base/text.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

/* Both clocks, which only move when somebody moves them. */
struct box {
	struct autoupdate a;
	mono_t now;
	wall_t wall;
};

static int64_t
at(const char *text)
{
	struct tm tm = {.tm_isdst = -1};

	assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
				&tm.tm_min, &tm.tm_sec),
			 6);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return mktime(&tm);
}

static const char *
shown(int64_t s)
{
	static char text[32];
	time_t t = (time_t)s;
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return text;
}

static struct box
box_at(const char *when, int64_t last_s)
{
	struct box b = {.now = {1000}, .wall = {.s = at(when)}};

	autoupdate_init(&b.a, last_s, 4711);
	return b;
}

static void
pass(struct box *b, int64_t ms)
{
	b->now = mono_in(b->now, ms);
	ms += b->wall.ns / 1000000;
	b->wall = (wall_t){b->wall.s + ms / 1000, (int32_t)(ms % 1000) * 1000000};
}

/* Waits from deadline to deadline until something is due. */
static enum autoupdate_why
next(struct box *b)
{
	for (int i = 0; i < 100000; i++) {
		mono_t deadline = autoupdate_deadline(&b->a, b->now);
		enum autoupdate_why why;

		if (deadline.ms == MONO_NEVER.ms)
			return AUTOUPDATE_NOT_DUE;
		pass(b, mono_left_ms(deadline, b->now));
		why = autoupdate_take(&b->a, b->now, b->wall);
		if (why != AUTOUPDATE_NOT_DUE)
			return why;
	}
	fail_msg("nothing becomes due");
	return AUTOUPDATE_NOT_DUE;
}

static void
follow(struct box *b, enum autoupdate_frequency f, unsigned hour, unsigned minute, unsigned weekday)
{
	const struct autoupdate_plan p = {.frequency = f, .hour = hour, .minute = minute, .weekday = weekday};

	autoupdate_follow(&b->a, &p, b->now, b->wall);
}

/* The next is of the schedule, at this local time, and goes well. */
static void
expect_turn(struct box *b, const char *when)
{
	assert_int_equal(next(b), AUTOUPDATE_SCHEDULE);
	assert_string_equal(shown(b->wall.s), when);
	autoupdate_done(&b->a, true, b->now);
}

static void
expect_turn_in(struct box *b, const char *from, int64_t span_s)
{
	assert_int_equal(next(b), AUTOUPDATE_SCHEDULE);
	if (b->wall.s < at(from) || b->wall.s > at(from) + span_s)
		fail_msg("%s, not within %lld s from %s", shown(b->wall.s), (long long)span_s, from);
	autoupdate_done(&b->a, true, b->now);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void
daily(void **state)
{
	struct box b = box_at("2026-03-27 12:00:00", 0);

	(void)state;
	follow(&b, AUTOUPDATE_DAILY, 2, 30, 0);
	expect_turn(&b, "2026-03-28 02:30:00");
	/* the clocks of Berlin go forward: there is no 02:30, which is then 03:30 */
	expect_turn(&b, "2026-03-29 03:30:00");
	expect_turn(&b, "2026-03-30 02:30:00");
	/* the same plan again changes nothing; one that lies a minute ahead is met */
	follow(&b, AUTOUPDATE_DAILY, 2, 30, 0);
	pass(&b, HOUR * 1000);
	follow(&b, AUTOUPDATE_DAILY, 3, 31, 0);
	expect_turn(&b, "2026-03-30 03:31:00");
	expect_turn(&b, "2026-03-31 03:31:00");
}

static void
weekly(void **state)
{
	struct box b = box_at("2026-11-30 17:00:00", 0); /* a Monday */

	(void)state;
	follow(&b, AUTOUPDATE_WEEKLY, 17, 1, 1);
	expect_turn(&b, "2026-11-30 17:01:00");
	expect_turn(&b, "2026-12-07 17:01:00");
	follow(&b, AUTOUPDATE_WEEKLY, 17, 0, 1);
	expect_turn(&b, "2026-12-14 17:00:00");
	follow(&b, AUTOUPDATE_WEEKLY, 0, 0, 0);
	expect_turn(&b, "2026-12-20 00:00:00");
	follow(&b, AUTOUPDATE_WEEKLY, 23, 59, 6);
	expect_turn(&b, "2026-12-26 23:59:00");
}

/* Minute 60: another one each time, all over the hour, and one turn for each day. */
static void
random_minute(void **state)
{
	struct box b = box_at("2026-05-01 12:00:00", 0);
	bool seen[4] = {false, false, false, false};
	char from[64];

	(void)state;
	follow(&b, AUTOUPDATE_DAILY, 3, AUTOUPDATE_ANY_MINUTE, 0);
	for (int day = 2; day <= 31; day++) {
		snprintf(from, sizeof(from), "2026-05-%02d 03:00:00", day);
		expect_turn_in(&b, from, HOUR - 1);
		seen[(b.wall.s - at(from)) / (15 * MINUTE)] = true;
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
	follow(&b, AUTOUPDATE_WEEKLY, 3, AUTOUPDATE_ANY_MINUTE, 3);
	expect_turn_in(&b, "2026-06-03 03:00:00", HOUR - 1);
	expect_turn_in(&b, "2026-06-10 03:00:00", HOUR - 1);
}

static void
every(void **state)
{
	struct box b = box_at("2026-05-01 12:00:00", 0);
	int64_t before;

	(void)state;
	/* never yet: soon, but not all devices at once */
	follow(&b, AUTOUPDATE_EVERY, 4, 30, 0);
	expect_turn_in(&b, "2026-05-01 12:00:00", PROFILE_UPDATE_JITTER_MS / 1000);
	for (int i = 0; i < 10; i++) {
		before = b.a.last_s;
		assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
		assert_int_equal(b.wall.s - before, 4 * HOUR + 30 * MINUTE);
		pass(&b, 20 * 1000); /* it takes a while, which does not count */
		autoupdate_done(&b.a, true, b.now);
	}
	/* the rest of the span, after a restart */
	before = b.a.last_s;
	pass(&b, HOUR * 1000);
	autoupdate_init(&b.a, before, 1);
	follow(&b, AUTOUPDATE_EVERY, 4, 30, 0);
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	assert_int_equal(b.wall.s - before, 4 * HOUR + 30 * MINUTE);
	autoupdate_done(&b.a, true, b.now);
	/* none without end, and the minute is drawn */
	follow(&b, AUTOUPDATE_EVERY, 0, 0, 0);
	before = b.wall.s;
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	assert_int_equal(b.wall.s - before, 10 * MINUTE);
	autoupdate_done(&b.a, true, b.now);
	follow(&b, AUTOUPDATE_EVERY, 2, AUTOUPDATE_ANY_MINUTE, 0);
	before = b.wall.s;
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	assert_in_range(b.wall.s - before, 2 * HOUR, 3 * HOUR - 1);
}

static void
automatic(void **state)
{
	struct box b = box_at("2026-05-01 12:20:00", 0);
	bool early = false, late = false;

	(void)state;
	follow(&b, AUTOUPDATE_AUTOMATIC, 0, 0, 0);
	expect_turn_in(&b, "2026-05-01 12:20:00", PROFILE_UPDATE_JITTER_MS / 1000);
	for (int hour = 13; hour < 24; hour++) {
		char from[32];

		snprintf(from, sizeof(from), "2026-05-01 %02d:00:00", hour);
		expect_turn_in(&b, from, HOUR - 1);
		early |= b.wall.s - at(from) < HOUR / 2;
		late |= b.wall.s - at(from) >= HOUR / 2;
	}
	assert_true(early && late);
}

static void
off(void **state)
{
	struct box b = box_at("2026-05-01 12:00:00", 0);

	(void)state;
	assert_int_equal(next(&b), AUTOUPDATE_NOT_DUE);
	autoupdate_notice(&b.a);
	assert_int_equal(next(&b), AUTOUPDATE_NOT_DUE);
	/* what waited when it was put off is forgotten */
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	autoupdate_notice(&b.a);
	follow(&b, AUTOUPDATE_OFF, 3, 0, 0);
	assert_int_equal(next(&b), AUTOUPDATE_NOT_DUE);
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	expect_turn(&b, "2026-05-02 03:00:00");
}

/* --- a box that was off, and clocks that are set -------------------------------------------------------------------
 */

static void
missed(void **state)
{
	static const struct {
		const char *what, *now, *last;
		unsigned minute;
		bool soon;
	} cases[] = {
	    {"on time yesterday, not yet today", "2026-05-02 02:00:00", "2026-05-01 03:00:00", 0, false},
	    {"off tonight", "2026-05-02 08:00:00", "2026-05-01 03:00:00", 0, true},
	    {"done tonight", "2026-05-02 08:00:00", "2026-05-02 03:00:00", 0, false},
	    {"done a little too early", "2026-05-02 08:00:00", "2026-05-02 02:59:30", 0, false},
	    {"off for a month", "2026-05-02 04:00:00", "2026-04-01 03:00:00", 0, true},
	    {"in its hour, not yet", "2026-05-02 03:10:00", "2026-05-01 03:40:00", AUTOUPDATE_ANY_MINUTE, true},
	    {"in its hour, done", "2026-05-02 03:50:00", "2026-05-02 03:40:00", AUTOUPDATE_ANY_MINUTE, false},
	    {"in the future", "2026-05-02 08:00:00", "2027-01-01 00:00:00", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct box b = box_at(cases[i].now, at(cases[i].last));

		follow(&b, AUTOUPDATE_DAILY, 3, cases[i].minute, 0);
		assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
		if ((b.wall.s - at(cases[i].now) <= PROFILE_UPDATE_JITTER_MS / 1000) != cases[i].soon)
			fail_msg("%s: %s", cases[i].what, shown(b.wall.s));
		autoupdate_done(&b.a, true, b.now);
		expect_turn_in(&b,
			       cases[i].soon || cases[i].now[12] < '3' ? "2026-05-03 03:00:00" : "2026-05-04 03:00:00",
			       HOUR - 1);
	}
}

static void
clock_is_set(void **state)
{
	struct box b = box_at("1970-01-02 00:00:00", at("2026-05-01 03:00:00"));

	(void)state;
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	/* the network is there, and with it the time: in the middle of the day, with nothing missed */
	pass(&b, 60 * 1000);
	b.wall.s = at("2026-05-01 12:00:00");
	expect_turn(&b, "2026-05-02 03:00:00");
	/* an hour back, before the turn: it comes at its time all the same */
	pass(&b, 10 * HOUR * 1000);
	b.wall.s -= HOUR;
	expect_turn(&b, "2026-05-03 03:00:00");
	/* half a minute back, right after it: not twice, and the next is that much early */
	pass(&b, 1000);
	b.wall.s -= 30;
	expect_turn(&b, "2026-05-04 02:59:30");
	/* forward, over a turn: it is made up for */
	b.wall.s = at("2026-05-06 09:00:00");
	expect_turn_in(&b, "2026-05-06 09:00:00", 10 * MINUTE + PROFILE_UPDATE_JITTER_MS / 1000);
	expect_turn(&b, "2026-05-07 03:00:00");
}

/* --- one at a time, and what fails ---------------------------------------------------------------------------------
 */

static void
notices(void **state)
{
	struct box b = box_at("2026-05-01 12:00:00", 0);

	(void)state;
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	for (int i = 0; i < 1000; i++)
		autoupdate_notice(&b.a);
	assert_int_equal(autoupdate_deadline(&b.a, b.now).ms, b.now.ms);
	assert_int_equal(next(&b), AUTOUPDATE_NOTICE);
	/* one that comes while it runs waits for its end */
	assert_int_equal(autoupdate_deadline(&b.a, b.now).ms, MONO_NEVER.ms);
	autoupdate_notice(&b.a);
	assert_int_equal(autoupdate_take(&b.a, b.now, b.wall), AUTOUPDATE_NOT_DUE);
	assert_false(autoupdate_begin(&b.a));
	autoupdate_done(&b.a, true, b.now);
	assert_int_equal(next(&b), AUTOUPDATE_NOTICE);
	autoupdate_done(&b.a, true, b.now);
	expect_turn(&b, "2026-05-02 03:00:00");
}

static void
operators(void **state)
{
	struct box b = box_at("2026-05-01 12:00:00", 0);

	(void)state;
	assert_true(autoupdate_begin(&b.a)); /* also with no plan */
	autoupdate_done(&b.a, false, b.now);
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	assert_true(autoupdate_begin(&b.a));
	assert_false(autoupdate_begin(&b.a));
	/* a turn that comes meanwhile is not lost */
	pass(&b, 16 * (int64_t)HOUR * 1000);
	assert_int_equal(autoupdate_take(&b.a, b.now, b.wall), AUTOUPDATE_NOT_DUE);
	autoupdate_done(&b.a, false, b.now);
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	assert_string_equal(shown(b.wall.s), "2026-05-02 04:00:00");
}

static void
failures(void **state)
{
	static const int64_t waits[] = {5 * MINUTE, 15 * MINUTE, 45 * MINUTE};
	struct box b = box_at("2026-05-01 12:00:00", 0);

	(void)state;
	follow(&b, AUTOUPDATE_DAILY, 3, 0, 0);
	for (int day = 2; day < 5; day++) {
		assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
		for (size_t i = 0; i < 3; i++) {
			int64_t before = b.wall.s;

			autoupdate_done(&b.a, false, b.now);
			assert_int_equal(next(&b), AUTOUPDATE_RETRY);
			assert_in_range(b.wall.s - before, waits[i], waits[i] + MINUTE);
		}
		autoupdate_done(&b.a, false, b.now); /* then it waits for its turn */
	}
	/* one that goes well ends it */
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	autoupdate_done(&b.a, false, b.now);
	assert_int_equal(next(&b), AUTOUPDATE_RETRY);
	autoupdate_done(&b.a, true, b.now);
	expect_turn(&b, "2026-05-06 03:00:00");
	/* a notice in between takes its place */
	assert_int_equal(next(&b), AUTOUPDATE_SCHEDULE);
	autoupdate_done(&b.a, false, b.now);
	autoupdate_notice(&b.a);
	assert_int_equal(next(&b), AUTOUPDATE_NOTICE);
	autoupdate_done(&b.a, true, b.now);
	expect_turn(&b, "2026-05-08 03:00:00");
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(autoupdate_why_name(AUTOUPDATE_SCHEDULE), "schedule");
	assert_string_equal(autoupdate_why_name(AUTOUPDATE_NOTICE), "notice");
	assert_string_equal(autoupdate_why_name(AUTOUPDATE_RETRY), "retry");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(daily),     cmocka_unit_test(weekly),       cmocka_unit_test(random_minute),
	    cmocka_unit_test(every),     cmocka_unit_test(automatic),    cmocka_unit_test(off),
	    cmocka_unit_test(missed),    cmocka_unit_test(clock_is_set), cmocka_unit_test(notices),
	    cmocka_unit_test(operators), cmocka_unit_test(failures),     cmocka_unit_test(names),
	};

	/* with rules of its own, so that it does not matter which zones are installed */
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
