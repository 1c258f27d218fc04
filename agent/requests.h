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
#include "config/script.h"
#include "rollback/install.h"

struct buf;
struct device;
struct err;
struct history;
struct loop;
struct loop_task;
struct message;
struct receipts;
struct session;
struct store;
struct trial;

enum { REQUEST_HELD_MAX = 2 * SCRIPT_MAX_BYTES };

struct requests;

/* A request that may become an install, and the channel it came over: the first member of its own struct. */
struct request_install {
	struct requests *home;
	struct session *session;
	struct channel *channel;
	char id[INSTALL_ID_MAX];
	bool verdict; /* it is written: what is acknowledged now is the result */
	/* One command of the set script is done; the verdict. While the channel is open only. */
	void (*line)(struct request_install *w, int code, const char *command);
	void (*done)(struct request_install *w, const struct receipt *r);
};

struct requests {
	struct device *device; /* borrowed, as all of these */
	struct store *store;
	struct install *install;
	struct receipts *receipts;
	struct history *history; /* of scripts */
	struct loop *loop;
	/* Whether `config agent` names this port for a manager (`tcp-forward`). */
	bool (*port_allowed)(void *ctx, uint16_t port);
	struct loop_task *install_task;    /* runs install_step() */
	void (*results_wanted)(void *ctx); /* a receipt waits for a session: request_results() from a fresh turn */
	void *ctx;

	/* the rooms of the single requests */
	size_t scripts_held;             /* bytes of all scripts that are being received: two of the largest together */
	struct request_install *pending; /* whose install is pending; NULL: none, or its channel is gone */
	struct request_install *verdict_out; /* a verdict is on its way on the install's own channel; NULL: none */
	bool script_runs;                    /* one at a time */
	unsigned json_count;                 /* of installs out of JSON requests: a part of their ids */
	struct session *result_session;      /* where a put_install_result is under way, or was refused; NULL: none */
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

/* --- one for each file_exch_cmd: 0 and the channel's ops, or the code of the refusal with its reason ----------------
 */

typedef int request_begin_fn(struct requests *rq, struct session *s, const struct message *m, struct channel_ops *ops,
			     struct err *e);

request_begin_fn request_get_config, request_get_config_diff, request_put_config, request_put_script, request_put_json;

/* Once its channel is open: who only writes does so, the others keep it. The ctx is that of the ops. */
void request_text_opened(void *ctx, struct channel *ch);    /* get_config, get_config_diff */
void request_install_opened(void *ctx, struct channel *ch); /* put_config, put_script, put_json_cmd */

/* `get connect_tcp`: bytes to and from a port of the loopback that `tcp-forward` names, and nothing else (wire profile,
 * section 5). */
int request_connect_tcp(struct requests *rq, struct session *s, const struct message *m, mono_t now, struct err *e);

/* Whether the administrator lets a manager change the configuration (`config system central-management`). 0 or a reply
 * code. */
int request_may_push(const struct requests *rq, struct err *e);

/* The numbers of an opening message. 0 or a reply code. */
int request_take_numbers(const struct message *m, uint32_t *peer_id, uint32_t *window, struct err *e);
/* Of 1…max characters [A-Za-z0-9._-]; 0 or 1, "" is 0. 0 or a reply code. */
int request_take_id(const struct message *m, const char *key, size_t max, const char **out, struct err *e);
int request_take_flag(const struct message *m, const char *key, bool *out, struct err *e);

/* Bytes of a script that is being received, in `b`, within what all may hold together. 0 or a reply code. */
int request_hold(struct requests *rq, struct buf *b, const uint8_t *bytes, size_t n, struct err *e);
void request_release(struct requests *rq, struct buf *b);

/* --- what becomes an install ----------------------------------------------------------------------------------------
 */

/* Begins it; from then on `w` hears of it. 0, or -errno as install_begin(), with the refusal logged. */
int request_install_begin(struct request_install *w, const struct install_request *r, struct err *e);
/* The same of what a trial has changed. Also -errno as trial_scripts(). */
int request_install_trial(struct request_install *w, const struct trial *t, bool force, struct err *e);
int request_install_refusal(int rc); /* -errno of these two as a reply code */

/* For its channel's ops. */
void request_install_delivered(struct request_install *w);
void request_install_closed(struct request_install *w);

/* One command of the set script is done: to the manager, as long as the install's channel is open. */
void request_install_line(struct requests *rq, int code, const char *command);

/* The verdict. On the install's own channel if that is still open; the receipt counts as delivered when it is
 * acknowledged there. Otherwise request_results() brings it. */
void request_install_verdict(struct requests *rq, const struct receipt *r);

/* Opens a put_install_result for the oldest receipt this manager has not got, if none is under way. */
void request_results(struct requests *rq, struct session *s, mono_t now);

#endif
