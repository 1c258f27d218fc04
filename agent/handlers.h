/* handlers: programs that apply tables the agent does not apply itself (interfaces.md, "What applies a table").
 *
 * Each is a file of the handler directory, named after its table with dots for blanks. Started at the first change of
 * the table, told of each change on a line, asked for a line that says what came of it, ended by handlers_rest(). One
 * that breaks the rules is ended, and its table takes no change until then.
 *
 * A change waits for its answer: it is the command's result. 10 seconds for each, and a minute in one turn of the event
 * loop, are less than any session's time-out (wire.md: 90 seconds and more).
 */
#ifndef AGENT_HANDLERS_H
#define AGENT_HANDLERS_H

#include <stdbool.h>
#include <stdint.h>

struct change;
struct err;
struct handlers;
struct schema_table;

enum {
	HANDLER_ANSWER_MS = 10 * 1000,
	HANDLER_TURN_MS = 60 * 1000,
	HANDLER_SLOW_MS = 1000, /* then the rest of an install waits for the next turn */
};

/* `user`: name or number, "" for the agent's own. NULL: no memory. */
struct handlers *handlers_new(const char *folder, const char *user);
void handlers_free(struct handlers *h); /* NULL-safe; ends those that run */

/* True when the table has a handler, be it one that may not be started. */
bool handlers_have(struct handlers *h, const struct schema_table *table);

/* CLI_OK, or the handler's code with its message, or CLI_FAILED with what it did wrong. CLI_OK without a handler. */
int handlers_change(struct handlers *h, const struct change *c, struct err *e);

void handlers_rest(struct handlers *h);
void handlers_turn(struct handlers *h);
int64_t handlers_waited_ms(const struct handlers *h); /* in this turn */

#endif
