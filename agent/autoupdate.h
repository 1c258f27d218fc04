/* autoupdate: when packages are fetched without anybody asking: `config system autoupdate schedule`, and a manager's
 * word that there is something newer (update.h says how often that counts). No socket, no clock.
 *
 * At most one update runs at a time, whoever began it. What becomes due meanwhile waits; what becomes due twice is done
 * once. One that may go better is tried again a few times, then waits for its next turn; one that was missed, because
 * the box was off, is made up for. Times of day are local time; a clock that is set while a deadline runs moves the
 * deadline.
 */
#ifndef AGENT_AUTOUPDATE_H
#define AGENT_AUTOUPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct entry;

enum autoupdate_frequency {
	AUTOUPDATE_OFF,
	AUTOUPDATE_EVERY,     /* `hour`:`minute` after the last one */
	AUTOUPDATE_DAILY,     /* at `hour`:`minute` */
	AUTOUPDATE_WEEKLY,    /* the same on `weekday` */
	AUTOUPDATE_AUTOMATIC, /* once in each hour, and when a manager says so */
};

enum { AUTOUPDATE_ANY_MINUTE = 60 };

/* The table's entry as values. */
struct autoupdate_plan {
	enum autoupdate_frequency frequency;
	unsigned hour, minute; /* 0…23, 0…59 or AUTOUPDATE_ANY_MINUTE */
	unsigned weekday;      /* 0: Sunday */
};

enum autoupdate_why {
	AUTOUPDATE_NOT_DUE,
	AUTOUPDATE_SCHEDULE,
	AUTOUPDATE_NOTICE,
	AUTOUPDATE_RETRY,
};

struct autoupdate {
	struct autoupdate_plan plan;
	bool followed;     /* there was a plan before */
	mono_t due;        /* of the schedule; MONO_NEVER: none */
	mono_t retry;      /* of one that failed; MONO_NEVER: none */
	bool noticed;      /* a manager's word waits */
	bool running;      /* an update runs */
	bool automatic;    /* … that autoupdate_take() began */
	unsigned failures; /* in a row */
	uint32_t lot;      /* state of the lots drawn: minutes and jitter */
	int64_t last_s;    /* wall clock, when the last automatic one began; 0: never */
	int64_t apart_ms;  /* wall clock less monotonic clock when `due` was computed: a clock that is set is noticed */
};

/* Values of the table's entry (NULL: off). */
void autoupdate_plan(const struct entry *schedule, struct autoupdate_plan *out);

/* Off, until there is a plan. `last_s`: when the last automatic update began, from the status file; `random`: a seed.
 */
void autoupdate_init(struct autoupdate *a, int64_t last_s, uint32_t random);

/* A plan that differs from the one in force puts the schedule anew; the same one changes nothing. */
void autoupdate_follow(struct autoupdate *a, const struct autoupdate_plan *p, mono_t now, wall_t wall);

/* A manager has something newer, and update_take() says that it is time. Counts for nothing while the plan is off. */
void autoupdate_notice(struct autoupdate *a);

/* When to call autoupdate_take(): it may turn out that nothing is due yet. MONO_NEVER while an update runs. */
mono_t autoupdate_deadline(const struct autoupdate *a, mono_t now);

/* What is due, if anything: then an update counts as running. */
enum autoupdate_why autoupdate_take(struct autoupdate *a, mono_t now, wall_t wall);

/* An operator's update begins: false when one runs already. */
bool autoupdate_begin(struct autoupdate *a);

/* The one that runs is over; not `ok`: another try may go better. Only an automatic one has it. */
void autoupdate_done(struct autoupdate *a, bool ok, mono_t now);

const char *autoupdate_why_name(enum autoupdate_why w); /* "schedule", "notice", "retry" */

#endif
