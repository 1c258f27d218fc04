/* agent_order: what was ordered of agent_packages.h, and somebody to tell: tests that include this name
 * agent_packages_restore agent_packages_update agent_packages_check agent_packages_answer agent_packages_cancel in
 * their wrap line.
 */
#ifndef TEST_UNIT_AGENT_ORDER_H
#define TEST_UNIT_AGENT_ORDER_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_packages.h"
#include "base/err.h"

/* One for a test program. */
static struct {
	char asked[2048]; /* "restore ips tftp NAME SERVER uid 0" */
	int answer;       /* a CLI code that refuses the order */
	bool under_way;
	struct packages_watch watch;
	char answers[256]; /* "yes 07 " */
	int cancelled;
	bool goes_on; /* what is cancelled */
} order;

int __wrap_agent_packages_restore(struct agent *a, const struct packages_order *o, const struct packages_watch *w,
				  struct err *e);
int __wrap_agent_packages_update(struct agent *a, const char *user, const struct packages_watch *w, struct err *e);
int __wrap_agent_packages_check(struct agent *a, const struct packages_watch *w, struct err *e);
void __wrap_agent_packages_answer(struct agent *a, bool yes, const uint8_t digest[PACKAGES_DIGEST]);
bool __wrap_agent_packages_cancel(struct agent *a);

static inline int
order_take(const struct packages_watch *w, struct err *e)
{
	if (order.answer) {
		err_set(e, order.answer, "an update is under way");
		return order.answer;
	}
	order.under_way = true;
	order.watch = *w;
	return 0;
}

int
__wrap_agent_packages_restore(struct agent *a, const struct packages_order *o, const struct packages_watch *w,
			      struct err *e)
{
	static const char *const sources[] = {"tftp", "https", "file"};
	char first = '-';

	(void)a;
	if (o->source == PACKAGES_FILE && pread(o->fd, &first, 1, 0) != 1)
		first = '?';
	snprintf(order.asked, sizeof(order.asked), "restore %s %s %s|%s|%c|%s", o->av ? "av" : "ips",
		 sources[o->source], o->name, o->server, first, o->user);
	return order_take(w, e);
}

int
__wrap_agent_packages_update(struct agent *a, const char *user, const struct packages_watch *w, struct err *e)
{
	(void)a;
	snprintf(order.asked, sizeof(order.asked), "update %s", user);
	return order_take(w, e);
}

int
__wrap_agent_packages_check(struct agent *a, const struct packages_watch *w, struct err *e)
{
	(void)a;
	snprintf(order.asked, sizeof(order.asked), "check");
	return order_take(w, e);
}

void
__wrap_agent_packages_answer(struct agent *a, bool yes, const uint8_t digest[PACKAGES_DIGEST])
{
	size_t used = strlen(order.answers);

	(void)a;
	snprintf(order.answers + used, sizeof(order.answers) - used, "%s %02x ", yes ? "yes" : "no", digest[0]);
}

bool
__wrap_agent_packages_cancel(struct agent *a)
{
	(void)a;
	order.cancelled++;
	order.under_way = false;
	return !order.goes_on;
}

/* What the agent would tell. */
static inline void
order_ask(enum packages_asks kind, uint8_t digest, const char *text)
{
	const struct packages_question q = {.kind = kind, .digest = {digest}, .text = text};

	order.watch.ask(order.watch.ctx, &q);
}

static inline void
order_say(const char *text)
{
	order.watch.say(order.watch.ctx, text);
}

static inline void
order_done(int code, const char *reason)
{
	order.under_way = false;
	order.watch.done(order.watch.ctx, code, reason);
}

#endif
