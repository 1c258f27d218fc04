#include "agent/autoupdate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/profile.h"
#include "config/tree.h"

enum {
	HOUR_S = 3600,
	LOOK_MS = 10 * 60 * 1000, /* how soon a clock that was set is noticed */
	SET_MS = 60 * 1000,       /* by more than that: it was set, and did not only drift */
	EARLY_S = 60,             /* a turn that came so much too early is that turn */
	EVERY_MIN_S = 10 * 60,
	RETRIES = 3,
	RETRY_MS = 5 * 60 * 1000, /* then three times as long, and again */
};

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static unsigned
find(const char *const *names, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return 0;
}

void
autoupdate_plan(const struct entry *schedule, struct autoupdate_plan *out)
{
	static const char *const frequencies[] = {[AUTOUPDATE_OFF] = "",
						  [AUTOUPDATE_EVERY] = "every",
						  [AUTOUPDATE_DAILY] = "daily",
						  [AUTOUPDATE_WEEKLY] = "weekly",
						  [AUTOUPDATE_AUTOMATIC] = "automatic"};
	static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
					   "Thursday", "Friday", "Saturday"};

	*out = (struct autoupdate_plan){.frequency = AUTOUPDATE_OFF, .hour = 1, .minute = AUTOUPDATE_ANY_MINUTE};
	if (!schedule || !entry_enabled(schedule, "status"))
		return;
	out->frequency =
	    (enum autoupdate_frequency)find(frequencies, AUTOUPDATE_AUTOMATIC + 1, entry_get(schedule, "frequency"));
	out->weekday = find(days, 7, entry_get(schedule, "day"));
	/* the schema has checked its form; not set, it is one in the morning */
	(void)sscanf(entry_get(schedule, "time"), "%2u:%2u", &out->hour, &out->minute);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

/* A number below `n`, from a generator good enough to spread devices over an hour. */
static uint32_t
draw(struct autoupdate *a, uint32_t n)
{
	a->lot ^= a->lot << 13;
	a->lot ^= a->lot >> 17;
	a->lot ^= a->lot << 5;
	return a->lot % n;
}

/* The day's time of the plan, `days` after that of `s`, in local time. */
static int64_t
day_time(const struct autoupdate_plan *p, int64_t s, int days)
{
	time_t t = (time_t)s;
	struct tm tm;

	localtime_r(&t, &tm);
	tm.tm_mday += days;
	tm.tm_hour = (int)p->hour;
	tm.tm_min = p->minute == AUTOUPDATE_ANY_MINUTE ? 0 : (int)p->minute;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return mktime(&tm);
}

static bool
is_day(const struct autoupdate_plan *p, int64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (p->frequency != AUTOUPDATE_WEEKLY)
		return true;
	localtime_r(&t, &tm);
	return tm.tm_wday == (int)p->weekday;
}

/* The turns around `s`: the last one that began until then, and the first one that begins later. */
static void
find_turns(const struct autoupdate_plan *p, int64_t s, int64_t *before, int64_t *after)
{
	*before = *after = s - s % HOUR_S;
	*after += HOUR_S;
	if (p->frequency == AUTOUPDATE_AUTOMATIC)
		return;
	for (int days = 0; days >= -7; days--) {
		*before = day_time(p, s, days);
		if (*before <= s && is_day(p, *before))
			break;
	}
	for (int days = 0; days <= 8; days++) {
		*after = day_time(p, s, days);
		if (*after > s && is_day(p, *after))
			break;
	}
}

static uint32_t
minute_of(struct autoupdate *a)
{
	return a->plan.minute == AUTOUPDATE_ANY_MINUTE ? draw(a, 60) : a->plan.minute;
}

/* Seconds from `wall_s` to the next turn; -1: one was missed, and is made up for soon. */
static int64_t
wait_s(struct autoupdate *a, int64_t wall_s, bool make_up)
{
	const struct autoupdate_plan *p = &a->plan;
	/* one in the future was before the clock was set */
	int64_t last_s = a->last_s > wall_s + EARLY_S ? 0 : a->last_s;
	int64_t before, after, span, from_s = wall_s;

	if (p->frequency == AUTOUPDATE_EVERY) {
		span = (int64_t)p->hour * HOUR_S + minute_of(a) * 60;
		span = span < EVERY_MIN_S ? EVERY_MIN_S : span;
		return last_s && wall_s - last_s < span ? span - (wall_s - last_s) : -1;
	}
	if (from_s < last_s + EARLY_S)
		from_s = last_s + EARLY_S;
	find_turns(p, from_s, &before, &after);
	if (last_s ? make_up && last_s + EARLY_S < before : p->frequency == AUTOUPDATE_AUTOMATIC)
		return -1;
	if (p->frequency == AUTOUPDATE_AUTOMATIC || p->minute == AUTOUPDATE_ANY_MINUTE)
		after += draw(a, HOUR_S);
	return after - wall_s;
}

static int64_t
apart_ms(mono_t now, wall_t wall)
{
	return wall.s * 1000 + wall.ns / 1000000 - now.ms;
}

static void
set_due(struct autoupdate *a, mono_t now, wall_t wall, bool make_up)
{
	int64_t s = a->plan.frequency == AUTOUPDATE_OFF ? 0 : wait_s(a, wall.s, make_up);

	a->apart_ms = apart_ms(now, wall);
	if (a->plan.frequency == AUTOUPDATE_OFF)
		a->due = MONO_NEVER;
	else if (s < 0)
		a->due = mono_in(now, draw(a, PROFILE_UPDATE_JITTER_MS));
	else
		a->due = mono_in(now, s * 1000 - wall.ns / 1000000);
}

/* --- what is due -------------------------------------------------------------------------------------------------- */

void
autoupdate_init(struct autoupdate *a, int64_t last_s, uint32_t random)
{
	*a = (struct autoupdate){.due = MONO_NEVER, .retry = MONO_NEVER, .lot = random ? random : 1, .last_s = last_s};
}

static bool
same_plan(const struct autoupdate_plan *a, const struct autoupdate_plan *b)
{
	return a->frequency == b->frequency && a->hour == b->hour && a->minute == b->minute && a->weekday == b->weekday;
}

void
autoupdate_follow(struct autoupdate *a, const struct autoupdate_plan *p, mono_t now, wall_t wall)
{
	if (same_plan(&a->plan, p))
		return;
	a->plan = *p;
	/* who moves the time of day does not want one right now; a box that was off at its time does */
	set_due(a, now, wall, !a->followed || p->frequency == AUTOUPDATE_AUTOMATIC);
	a->followed = true;
	if (p->frequency != AUTOUPDATE_OFF)
		return;
	a->retry = MONO_NEVER;
	a->noticed = false;
	a->failures = 0;
}

void
autoupdate_notice(struct autoupdate *a)
{
	a->noticed = a->plan.frequency != AUTOUPDATE_OFF;
}

mono_t
autoupdate_deadline(const struct autoupdate *a, mono_t now)
{
	if (a->running || a->plan.frequency == AUTOUPDATE_OFF)
		return MONO_NEVER;
	if (a->noticed)
		return now;
	return mono_min(mono_in(now, LOOK_MS), mono_min(a->due, a->retry));
}

enum autoupdate_why
autoupdate_take(struct autoupdate *a, mono_t now, wall_t wall)
{
	int64_t moved = apart_ms(now, wall) - a->apart_ms;
	enum autoupdate_why why = AUTOUPDATE_NOT_DUE;

	if (a->running || a->plan.frequency == AUTOUPDATE_OFF)
		return AUTOUPDATE_NOT_DUE;
	if (moved > SET_MS || moved < -SET_MS)
		set_due(a, now, wall, true);
	if (mono_due(a->due, now))
		why = AUTOUPDATE_SCHEDULE;
	else if (a->noticed)
		why = AUTOUPDATE_NOTICE;
	else if (mono_due(a->retry, now))
		why = AUTOUPDATE_RETRY;
	else
		return AUTOUPDATE_NOT_DUE;
	if (why != AUTOUPDATE_RETRY)
		a->failures = 0;
	a->running = a->automatic = true;
	a->noticed = false;
	a->retry = MONO_NEVER;
	a->last_s = wall.s;
	set_due(a, now, wall, false);
	return why;
}

bool
autoupdate_begin(struct autoupdate *a)
{
	if (a->running)
		return false;
	a->running = true;
	a->automatic = false;
	return true;
}

void
autoupdate_done(struct autoupdate *a, bool ok, mono_t now)
{
	int64_t wait = RETRY_MS;

	a->running = false;
	if (!a->automatic || a->plan.frequency == AUTOUPDATE_OFF)
		return;
	if (ok || a->failures == RETRIES) {
		a->failures = 0;
		return;
	}
	for (unsigned i = 0; i < a->failures; i++)
		wait *= 3;
	a->failures++;
	a->retry = mono_in(now, wait + draw(a, SET_MS));
}

const char *
autoupdate_why_name(enum autoupdate_why w)
{
	static const char *const names[] = {[AUTOUPDATE_NOT_DUE] = "",
					    [AUTOUPDATE_SCHEDULE] = "schedule",
					    [AUTOUPDATE_NOTICE] = "notice",
					    [AUTOUPDATE_RETRY] = "retry"};

	return names[w];
}
