/* session: what is said over one connection to a manager, from `get auth` to the close.
 *
 * Wire profile, section 3. One table of states and events; no socket and no clock: frames and `now` come in, frames and
 * calls to its ops go out, session_deadline() says when to call session_tick(). A session is unprivileged until the
 * manager is in the trusted list and says that the device is registered: until then nothing of the manager's but
 * keep-alives and registration has any effect.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/auth.h"
#include "agent/frame.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"

struct channels;
struct message;
struct session;

enum session_state {
	SESSION_CONNECTING, /* TCP */
	SESSION_HANDSHAKE,  /* TLS */
	SESSION_AUTH,       /* `get auth` is out */
	SESSION_REGISTER,   /* `get dev_register` is out */
	SESSION_ADDRESS,    /* `get ip` is out */
	SESSION_UP,
	SESSION_CLOSING,
	SESSION_CLOSED,
	SESSION_STATES,
};

enum session_event {
	SEV_TCP_UP,
	SEV_TLS_UP,
	SEV_AUTH_PASSED,
	SEV_AUTH_REGISTER, /* passed, and register-device wants its say first */
	SEV_REGISTERED,
	SEV_ADDRESS,  /* `get ip` answered with 200, or an update of it */
	SEV_REFUSED,  /* the checks failed, or a reply's code was not 200 */
	SEV_TIMEOUT,  /* no reply to a request */
	SEV_SILENT,   /* nothing for sock_timeout */
	SEV_PROTOCOL, /* a frame or message that breaks the rules */
	SEV_LOST,     /* the connection is gone */
	SEV_STOP,     /* we want it to end */
	SESSION_EVENTS,
};

const char *session_state_name(enum session_state s);
const char *session_event_name(enum session_event e);

/* The table, for tests and for the state machine itself: false when the pair is not listed. */
bool session_next(enum session_state s, enum session_event e, enum session_state *next);

/* What the device says of itself; texts are borrowed for the length of a call. */
struct session_identity {
	const char *serial, *platform, *hostname, *os_version; /* "7.2.4" */
	unsigned build;
	const char *mgmtid, *first_fmgid;
	bool registered;          /* probe_mode */
	const char *vdom;         /* of system central-management */
	const char *checksum;     /* 16 octets, of the running configuration */
	const char *avdb, *ipsdb; /* versions of the databases */
	char intf[16];            /* the interface the route to the manager leaves by */
	int64_t uptime_s;
};

/* A management id: decimal (older) or a UUID (7.x). */
bool session_is_mgmtid(const char *text);

/* What a `get ip` reply gives, checked. */
struct session_address {
	struct addr tunnel, manager; /* family 0: none */
	char mgmtid[64];             /* "" when the reply has none */
	bool overwrite_mgmtid;
};

struct session_ops {
	void *ctx; /* the session comes along where the owner may have several */

	/* The connection. send: 0, -ENOBUFS, -ENOTCONN. The packet's as conn_packet_room(), conn_packet_ready(). */
	int (*send)(void *ctx, struct session *s, const void *body, size_t len);
	uint8_t *(*packet_room)(void *ctx, struct session *s, size_t max);
	void (*packet_ready)(void *ctx, struct session *s, size_t len);
	size_t (*queued)(void *ctx, struct session *s); /* bytes of messages that wait to go out */
	void (*close)(void *ctx, struct session *s);    /* in order: what is queued still goes out */
	const struct cert_check *(*peer)(void *ctx, struct session *s);
	void (*local)(void *ctx, struct session *s, struct addr *local);

	/* The device. */
	void (*identity)(void *ctx, struct session *s, struct session_identity *out);
	void (*policy)(void *ctx, struct auth_policy *out);
	const char *(*register_password)(void *ctx); /* of the pending register-device; NULL: none */
	/* Are these a local administrator's? Asked once, when all else is in order and only that is wanting. NULL where
	 * this device has opened the connection. */
	enum auth_login (*login)(void *ctx, struct session *s, const char *user, const char *password);

	/* What happens. `judged` comes once the checks were made, passed or not. `enrol` puts the manager into the list
	 * on disk: 0, or an error that leaves the session unprivileged. */
	void (*judged)(void *ctx, struct session *s, const struct auth_report *r);
	int (*enrol)(void *ctx, struct session *s, enum trust_how how, struct err *e);
	void (*up)(void *ctx, struct session *s);                                       /* first 200 to `get ip` */
	void (*privileged)(void *ctx, struct session *s);                               /* it has just become so */
	void (*address)(void *ctx, struct session *s, const struct session_address *a); /* privileged only */
	void (*packet)(void *ctx, struct session *s, uint8_t *p,
		       size_t len); /* privileged only; stays as the frame does */
	void (*request)(void *ctx, struct session *s, const struct message *m,
			mono_t now); /* `get …`, privileged only */
	/* A keep-alive of the manager's, with the versions it has: privileged only. */
	void (*versions)(void *ctx, struct session *s, const struct message *m);
	void (*down)(void *ctx, struct session *s); /* it is closed: session_reason() says why */
};

/* Timers as the manager sets them, within the profile's bounds. */
struct session_timers {
	unsigned keepalive_s, sock_timeout_s, window;
};

struct session_counters {
	uint64_t messages_in, messages_out, packets_in, packets_out;
	uint64_t keepalives_out, keepalive_replies, keepalives_in;
	uint64_t stray_replies; /* replies nobody asked for */
	uint64_t repeated_keys;
	uint64_t refused_requests; /* not privileged */
	uint64_t refused_packets;  /* not privileged */
	uint64_t packets_dropped;  /* there was no session for them */
};

struct session *session_new(const struct session_ops *ops, mono_t now); /* NULL: no memory */
void session_free(struct session *s);                                   /* NULL-safe; channels hear of it */

/* Events from the connection. After `closed` the session is SESSION_CLOSED and `down` has been called. */
void session_on_tcp(struct session *s, mono_t now);
void session_on_tls(struct session *s, mono_t now);
void session_on_frame(struct session *s, const struct frame *f, mono_t now);
void session_on_room(struct session *s);
void session_on_closed(struct session *s, const struct err *why, mono_t now);

mono_t session_deadline(const struct session *s);
void session_tick(struct session *s, mono_t now);

/* Ends it with a reason of ours; `down` follows when the connection is closed. */
void session_stop(struct session *s, const char *reason, mono_t now);

/* Room for one packet from the tunnel, of up to `max` bytes; write it there and say how long it is. NULL: it cannot go
 * now, the connection's `room` says when; a session that is not privileged counts it as dropped. */
uint8_t *session_packet_room(struct session *s, size_t max);
void session_packet_ready(struct session *s, size_t len);

/* The running configuration has changed: the next keep-alive comes within half a second, with the new checksum. */
void session_config_changed(struct session *s, mono_t now);

/* Replies to a request of the manager's. `reason` may be NULL. */
void session_reply(struct session *s, const char *request, unsigned code, const char *reason);
/* "get file_exchange" of ours for channel `localid`, with further keys, pairs ended by NULL. The reply opens or closes
 * the channel. 0 or -errno. */
int session_ask_file(struct session *s, uint32_t localid, const char *cmd, const char *const pairs[]);
/* The answer that opens a channel the manager asked for. */
void session_reply_channel(struct session *s, const char *request, uint32_t remoteid, uint32_t localid);

enum session_state session_state(const struct session *s);
bool session_privileged(const struct session *s);
const char *session_peer_serial(const struct session *s); /* from the certificate; "" before it is known */
const char *session_reason(const struct session *s);      /* why it ended or was refused; "" */
/* The manager turned us away: a code other than 200 to a request of ours, or a close of its own after TLS was up. */
bool session_turned_away(const struct session *s);
const struct auth_report *session_report(const struct session *s);
const struct session_timers *session_timers(const struct session *s);
const struct session_counters *session_counters(const struct session *s);
struct channels *session_channels(struct session *s);
mono_t session_since(const struct session *s); /* when it reached its state */
bool session_was_up(const struct session *s);
enum session_state
session_reached(const struct session *s); /* the furthest state, SESSION_UP at most; also when closed */

#endif
