/* history: the last 30 scripts that a manager has pushed, on disk as JSON Lines.
 */
#ifndef AGENT_HISTORY_H
#define AGENT_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct err;
struct history;

enum {
	HISTORY_KEPT = 30,
	HISTORY_ID = 65,
	HISTORY_USER = 40,
	HISTORY_RESULT = 16,
	HISTORY_REASON = 256,
};

struct history_entry {
	int64_t when_s;
	char user[HISTORY_USER]; /* serial of the manager */
	char id[HISTORY_ID];
	char install[HISTORY_ID]; /* "": it changed nothing */
	unsigned commands, done, failed;
	char result[HISTORY_RESULT]; /* "done", "stopped", "refused", "pending", or an install's verdict */
	char reason[HISTORY_REASON]; /* "" */
};

/* `<state>/script-history.jsonl`. Missing: empty. What is damaged is set aside as .corrupt with an event, and the good
 * lines are kept. -ENOMEM only. */
int history_open(const char *state_dir, struct history **out, struct err *e);
void history_free(struct history *h); /* NULL-safe */

size_t history_count(const struct history *h);
const struct history_entry *history_at(const struct history *h, size_t i); /* oldest first; until the next change */

/* Appends, and drops the oldest beyond 30. A write that fails keeps it in memory, and the next change writes all. 0 or
 * -errno. */
int history_add(struct history *h, const struct history_entry *x, struct err *e);

/* The verdict of an install: the script that waits for it has its result. 0, also when none does, or -errno. */
int history_settle(struct history *h, const char *install, const char *result, const char *reason, struct err *e);

/* {"time","user","id","install","commands","done","failed","result","reason"}; the caller frees it. */
struct cJSON *history_json(const struct history_entry *x);

#endif
