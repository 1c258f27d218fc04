/* requests: what a privileged manager may ask for, and what the agent itself has to bring: install results.
 *
 * Wire profile, section 5. Each request has a file of its own, request_*.c; request_file.c checks and dispatches.
 * Everything of the manager's is bounded: over a bound the channel is closed with 413 and nothing has changed.
 */
#ifndef AGENT_REQUESTS_H
#define AGENT_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/channel.h"
#include "base/clock.h"
#include "rollback/install.h"

struct device;
struct err;
struct loop_task;
struct message;
struct put_config;
struct receipts;
struct session;

struct requests {
	struct device *device; /* borrowed, as all of these */
	struct install *install;
	struct receipts *receipts;
	struct loop_task *install_task;    /* runs install_step() */
	void (*results_wanted)(void *ctx); /* a receipt waits for a session: request_results() from a fresh turn */
	void *ctx;

	/* the rooms of the single requests */
	size_t scripts_held;            /* bytes of all scripts that are being received: two of the largest together */
	struct put_config *put_config;  /* the exchange whose install is pending; NULL: none, or its channel is gone */
	struct put_config *verdict_out; /* a verdict is on its way on the install's own channel; NULL: none */
	struct session *result_session; /* where a put_install_result is under way, or was refused; NULL: none */
	char result_id[INSTALL_ID_MAX];
	bool result_taken; /* the manager has acknowledged all of it */
};

/* `get …` of a privileged manager. Answers it in any case. */
void request_take(struct requests *rq, struct session *s, const struct message *m, mono_t now);

/* For channels on which only the agent speaks: bytes are refused; an empty stream says nothing and is let through. */
int request_no_data(void *ctx, const uint8_t *p, size_t n, struct err *e);
int request_no_end(void *ctx, struct err *e);

/* A session that may have an exchange of ours under way has ended. */
void request_session_gone(struct requests *rq, const struct session *s);

/* --- one for each file_exch_cmd: 0 and the channel's ops, or the code of the refusal with its reason
 * --------------------- */

int request_get_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		       struct err *e);
int request_put_config(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
		       struct err *e);

/* Once its channel is open: `get_config` writes, `put_config` keeps the number. The ctx is that of the ops. */
void request_get_config_opened(void *ctx, struct channel *ch);
void request_put_config_opened(void *ctx, struct channel *ch);

/* --- the install's side of put_config
 * ---------------------------------------------------------------------------------- */

/* One command of the set script is done: to the manager, as long as the install's channel is open. */
void request_put_config_line(struct requests *rq, int code, const char *command);

/* The verdict. On the install's own channel if that is still open; the receipt counts as delivered when it is
 * acknowledged there. Otherwise request_results() brings it. */
void request_put_config_verdict(struct requests *rq, const struct receipt *r);

/* Opens a put_install_result for the oldest receipt this manager has not got, if none is under way. */
void request_results(struct requests *rq, struct session *s, mono_t now);

#endif
