/* uplink: the sessions to managers: the one in use, the one being dialled, those that managers open, and one that is
 * being replaced.
 *
 * Wires dialer, resolver, connections and sessions together. In normal times there is one session; of two the one that
 * this device has opened stays (wire profile, "Two sessions at once"). While an install is
 * tested a fresh one is dialled beside it; when it is up it takes its place, and the old one is closed as soon as its
 * channels are delivered (recovery rules, "The connection test").
 */
#ifndef AGENT_UPLINK_H
#define AGENT_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/conn.h"
#include "agent/dialer.h"
#include "agent/session.h"
#include "agent/tls.h"

struct listener_call;
struct loop;
struct uplink;

/* Connections that managers have opened and that are not in use: so many, and of one source so few. When all are taken
 * the oldest that has not proved who it is makes room: a manager needs a moment for that, and a flood cannot lock it
 * out. A source that failed waits before it may try again. */
enum { UPLINK_CALLS = 16, UPLINK_CALLS_OF_ONE = 2, UPLINK_HOLD_MS = 1000 };

struct uplink_config {
	const char *targets[DIALER_TARGETS];
	size_t target_count;
	uint16_t port;                /* the profile's default means 541 for IPv4 and 542 for IPv6 */
	struct addr source4, source6; /* family 0: the kernel's choice */
	const char *device;           /* "" or the interface to leave by */
	const char *sni;
	const char *resolv_conf;
	enum tls_level level;
	struct tls_creds *creds; /* borrowed; replaced together with this */
};

struct uplink_ops {
	void *ctx;
	void (*identity)(void *ctx, const struct addr *manager, struct session_identity *out);
	void (*policy)(void *ctx, struct auth_policy *out);
	const char *(*register_password)(void *ctx);
	/* Credentials that a manager which has opened the connection gives: as session_ops.login. */
	enum auth_login (*login)(void *ctx, const struct addr *manager, const char *user, const char *password);
	int64_t (*trust_time_s)(void *ctx); /* at which certificates are judged */
	void (*judged)(void *ctx, struct session *s, const struct auth_report *r, const struct cert_check *peer);
	int (*enrol)(void *ctx, struct session *s, const struct cert_check *peer, enum trust_how how, struct err *e);
	/* `target` is "" where the manager has opened the connection: here and below. */
	void (*up)(void *ctx, struct session *s, const char *target, const struct addr *manager);
	void (*privileged)(void *ctx, struct session *s);
	void (*address)(void *ctx, struct session *s, const struct session_address *a);
	void (*packet)(void *ctx, struct session *s, uint8_t *p, size_t len); /* stays until `flush` */
	void (*flush)(void *ctx);
	void (*request)(void *ctx, struct session *s, const struct message *m, mono_t now);
	void (*versions)(void *ctx, struct session *s, const struct message *m); /* a privileged manager's keep-alive */
	/* A session has ended; `current`: it was the one in use. It is freed after this. */
	void (*down)(void *ctx, struct session *s, bool current, const char *target, const struct addr *manager);
	void (*room)(void *ctx); /* a session can take packets again */
};

int uplink_new(struct loop *l, const struct uplink_ops *ops, struct uplink **out, struct err *e);
void uplink_free(struct uplink *u); /* NULL-safe */

/* Texts are copied. Sessions that are up stay; new ones follow the new configuration. */
int uplink_configure(struct uplink *u, const struct uplink_config *c, struct err *e);
void uplink_remember(struct uplink *u, const char *target, const struct addr *a);

void uplink_enable(struct uplink *u, bool on, const char *reason); /* off ends the sessions, in order */
bool uplink_idle(const struct uplink *u);                          /* no connection is left */

/* A connection that a manager has opened: takes its descriptor, and closes it when there are too many. */
void uplink_accept(struct uplink *u, const struct listener_call *c);
/* Ends those that came in where they may not any more. */
void uplink_check_calls(struct uplink *u, bool (*allowed)(void *ctx, const char *interface, const struct addr *local),
			void *ctx, const char *reason);

/* A fresh session is wanted with `serial` (NULL: any), beside the one in use. Where the manager has opened that one, or
 * nobody can be dialled, it is closed when its results are sent: only that makes the manager come again. */
void uplink_test_begin(struct uplink *u, const char *serial);
void uplink_test_end(struct uplink *u);

/* A session with this serial number is looked for, beside the one in use, until told otherwise (NULL): registration of
 * a second manager. */
void uplink_seek(struct uplink *u, const char *serial);

/* Ends every session with this manager. */
void uplink_stop_serial(struct uplink *u, const char *serial, const char *reason);

void uplink_kick(struct uplink *u);  /* a link, an address or a route has changed */
void uplink_touch(struct uplink *u); /* something outside changed a session's deadline */

struct session *uplink_current(const struct uplink *u); /* NULL: none is up */

/* The session in use, or else the attempt under way, or else what is remembered of the last one. */
struct uplink_view {
	const struct session *session; /* NULL: none at this moment */
	bool current, resolving;
	bool incoming; /* opened by the manager */
	size_t calls;  /* connections of managers that are not in use */
	uint64_t calls_refused;
	bool unresolved; /* the last thing that failed was the look-up of a name */
	char target[DIALER_NAME_MAX];
	struct addr local, manager;
	uint16_t port;
	const char *tls_version, *tls_suite;
	const struct cert_check *peer; /* NULL: none */
	const struct conn_counters *counters;
	int64_t next_dial_ms;  /* to the next attempt; -1: none is due */
	char last_reason[320]; /* why the last session or attempt ended */
};

void uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out);

#endif
