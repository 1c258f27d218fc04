#include "agent/dialer.h"

#include <stdlib.h>
#include <string.h>

#include "agent/backoff.h"
#include "agent/resolve.h"
#include "base/text.h"

/* Addresses of one round that are kept apart; one beyond them that comes twice is dialled twice. */
enum { TRIED_MAX = 64 };

enum stage { STAGE_IDLE, STAGE_WAIT, STAGE_RESOLVE, STAGE_DIAL };

struct dialer {
	struct dialer_ops ops;
	enum stage stage;
	bool want;
	bool restart; /* a new round follows the attempt under way */
	bool kicked;  /* something changed during the attempt or the look-up under way */
	struct backoff backoff;
	mono_t due; /* of STAGE_WAIT */

	char names[DIALER_TARGETS][DIALER_NAME_MAX];
	size_t count;

	/* the round */
	size_t target;                  /* index of the target being tried; count when the round is over */
	struct addr addrs[RESOLVE_MAX]; /* of that target */
	size_t addr_count, addr_next;
	bool last_first;              /* the round begins with the address last connected to */
	struct addr tried[TRIED_MAX]; /* so far: whatever names lead to one, it is dialled once */
	size_t tried_count;

	char current_name[DIALER_NAME_MAX];
	struct addr current;
	char last_name[DIALER_NAME_MAX];
	struct addr last; /* family 0: none */
};

struct dialer *
dialer_new(const struct dialer_ops *ops)
{
	struct dialer *d = calloc(1, sizeof(*d));

	if (d) {
		d->ops = *ops;
		d->due = MONO_NEVER;
	}
	return d;
}

void
dialer_free(struct dialer *d)
{
	free(d);
}

static bool
was_tried(const struct dialer *d, const struct addr *a)
{
	for (size_t i = 0; i < d->tried_count; i++) {
		if (addr_same_host(&d->tried[i], a))
			return true;
	}
	return false;
}

static void
dial(struct dialer *d, const char *name, const struct addr *a)
{
	d->stage = STAGE_DIAL;
	d->due = MONO_NEVER;
	d->kicked = false;
	d->restart = false;
	if (name != d->current_name)
		text_copy(d->current_name, sizeof(d->current_name), name);
	d->current = *a;
	if (d->tried_count < TRIED_MAX && !was_tried(d, a))
		d->tried[d->tried_count++] = *a;
	d->ops.dial(d->ops.ctx, d->current_name, &d->current);
}

static bool
is_configured(const struct dialer *d, const char *name)
{
	for (size_t i = 0; i < d->count; i++) {
		if (!strcmp(d->names[i], name))
			return true;
	}
	return false;
}

/* A new round within a second; not at once, because changes come in bursts. */
static void
wait_for_kick(struct dialer *d, mono_t now)
{
	mono_t soon = mono_in(now, BACKOFF_KICK_MS);

	d->due = d->stage == STAGE_WAIT ? mono_min(d->due, soon) : soon;
	d->stage = STAGE_WAIT;
}

static void
round_over(struct dialer *d, mono_t now)
{
	if (d->kicked) {
		wait_for_kick(d, now);
		return;
	}
	d->stage = STAGE_WAIT;
	d->due = mono_in(now, backoff_next(&d->backoff, d->ops.random(d->ops.ctx)));
}

/* The next address of the round: the last good one, then each target's. */
static void
advance(struct dialer *d, mono_t now)
{
	if (d->last_first) {
		d->last_first = false;
		if (d->last.family && is_configured(d, d->last_name)) {
			dial(d, d->last_name, &d->last);
			return;
		}
	}
	while (d->target < d->count) {
		const char *name = d->names[d->target];
		struct addr literal;

		if (d->addr_next < d->addr_count) {
			const struct addr *a = &d->addrs[d->addr_next++];

			if (was_tried(d, a))
				continue;
			dial(d, name, a);
			return;
		}
		if (d->addr_count) {
			d->addr_count = d->addr_next = 0;
			d->target++;
			continue;
		}
		if (addr_parse_host(name, &literal)) {
			d->stage = STAGE_RESOLVE;
			d->due = MONO_NEVER;
			d->ops.resolve(d->ops.ctx, name);
			return;
		}
		d->addrs[0] = literal;
		d->addr_count = 1;
	}
	round_over(d, now);
}

static void
start_round(struct dialer *d, mono_t now)
{
	if (!d->count) {
		d->stage = STAGE_IDLE;
		d->due = MONO_NEVER;
		return;
	}
	d->target = d->addr_count = d->addr_next = d->tried_count = 0;
	d->kicked = false;
	d->last_first = true;
	advance(d, now);
}

void
dialer_set_targets(struct dialer *d, const char *const names[], size_t count, mono_t now)
{
	size_t kept = 0;

	if (d->stage == STAGE_RESOLVE)
		d->ops.resolve_stop(d->ops.ctx);
	for (size_t i = 0; i < count && kept < DIALER_TARGETS; i++) {
		if (!text_copy(d->names[kept], DIALER_NAME_MAX, names[i]) && d->names[kept][0])
			kept++;
	}
	d->count = kept;
	d->target = kept; /* what an attempt under way fails into: a new round */
	d->addr_count = d->addr_next = 0;
	backoff_reset(&d->backoff);
	if (d->stage == STAGE_DIAL)
		return;
	d->stage = STAGE_IDLE;
	d->due = MONO_NEVER;
	if (d->want)
		start_round(d, now);
}

size_t
dialer_target_count(const struct dialer *d)
{
	return d->count;
}

void
dialer_remember(struct dialer *d, const char *target, const struct addr *a)
{
	if (!text_copy(d->last_name, sizeof(d->last_name), target))
		d->last = *a;
}

void
dialer_want(struct dialer *d, bool want, mono_t now)
{
	if (want == d->want)
		return;
	d->want = want;
	if (want && d->stage == STAGE_IDLE) {
		start_round(d, now);
	} else if (!want && d->stage != STAGE_DIAL) {
		if (d->stage == STAGE_RESOLVE)
			d->ops.resolve_stop(d->ops.ctx);
		d->stage = STAGE_IDLE;
		d->due = MONO_NEVER;
	}
}

void
dialer_want_later(struct dialer *d, mono_t now)
{
	if (d->want || d->stage != STAGE_IDLE)
		return;
	d->want = true;
	d->kicked = false;
	round_over(d, now);
}

bool
dialer_wants(const struct dialer *d)
{
	return d->want;
}

void
dialer_resolved(struct dialer *d, const struct addr *addrs, size_t count, mono_t now)
{
	if (d->stage != STAGE_RESOLVE)
		return;
	if (count > RESOLVE_MAX)
		count = RESOLVE_MAX;
	d->addr_count = count;
	d->addr_next = 0;
	if (count)
		memcpy(d->addrs, addrs, count * sizeof(*addrs));
	else
		d->target++; /* no address: the next target's turn */
	advance(d, now);
}

void
dialer_failed(struct dialer *d, mono_t now)
{
	if (d->stage != STAGE_DIAL)
		return;
	d->stage = STAGE_IDLE;
	if (!d->want)
		return;
	if (d->restart)
		start_round(d, now);
	else if (d->kicked)
		wait_for_kick(d, now);
	else
		advance(d, now);
}

void
dialer_start_failed(struct dialer *d, mono_t now)
{
	if (d->stage == STAGE_DIAL)
		dialer_failed(d, now);
	else
		dialer_resolved(d, NULL, 0, now);
}

void
dialer_succeeded(struct dialer *d)
{
	if (d->stage != STAGE_DIAL)
		return;
	dialer_remember(d, d->current_name, &d->current);
	backoff_reset(&d->backoff);
	d->stage = STAGE_IDLE;
	d->want = false;
}

void
dialer_kick(struct dialer *d, mono_t now)
{
	backoff_reset(&d->backoff);
	if (d->stage == STAGE_WAIT)
		wait_for_kick(d, now);
	else if (d->stage == STAGE_DIAL || d->stage == STAGE_RESOLVE)
		d->kicked = true;
}

void
dialer_restart(struct dialer *d, mono_t now)
{
	backoff_reset(&d->backoff);
	if (d->stage == STAGE_DIAL) {
		d->restart = true;
		return;
	}
	if (d->stage == STAGE_RESOLVE)
		d->ops.resolve_stop(d->ops.ctx);
	d->stage = STAGE_IDLE;
	d->due = MONO_NEVER;
	if (d->want)
		start_round(d, now);
}

void
dialer_again(struct dialer *d, mono_t now)
{
	(void)now;
	if (d->stage == STAGE_DIAL)
		dial(d, d->current_name, &d->current);
}

mono_t
dialer_deadline(const struct dialer *d)
{
	return d->stage == STAGE_WAIT ? d->due : MONO_NEVER;
}

void
dialer_tick(struct dialer *d, mono_t now)
{
	if (d->stage == STAGE_WAIT && mono_due(d->due, now))
		start_round(d, now);
}

bool
dialer_busy(const struct dialer *d)
{
	return d->stage == STAGE_DIAL || d->stage == STAGE_RESOLVE;
}
