/* uplink: the sessions to managers: the one in use, the one being dialled, and one that is being replaced.
 *
 * Wires dialer, resolver, connections and sessions together. In normal times there is one session. While an install is
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

struct loop;
struct uplink;

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
	int64_t (*trust_time_s)(void *ctx); /* at which certificates are judged */
	void (*judged)(void *ctx, struct session *s, const struct auth_report *r, const struct cert_check *peer);
	int (*enrol)(void *ctx, struct session *s, const struct cert_check *peer, enum trust_how how, struct err *e);
	void (*up)(void *ctx, struct session *s, const char *target, const struct addr *manager);
	void (*privileged)(void *ctx, struct session *s);
	void (*address)(void *ctx, struct session *s, const struct session_address *a);
	void (*packet)(void *ctx, struct session *s, uint8_t *p, size_t len); /* stays until `flush` */
	void (*flush)(void *ctx);
	void (*request)(void *ctx, struct session *s, const struct message *m, mono_t now);
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

/* A fresh session is wanted with `serial` (NULL: any), beside the one in use. */
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
