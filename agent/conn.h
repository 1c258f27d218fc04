/* conn: one connection to a manager: TCP, then TLS, then frames both ways.
 *
 * Many frames are received before the first is handed out, and many are sent together at the end of a turn of the loop;
 * nothing waits for more to come. It knows nothing of what the frames say. Everything is reported through its ops, from
 * the event loop; after `closed` nothing more is. Its owner frees it, but not from inside one of its callbacks.
 */
#ifndef AGENT_CONN_H
#define AGENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/frame.h"
#include "agent/tls.h"
#include "base/addr.h"

struct conn;
struct err;
struct loop;

enum conn_step { CONN_TCP, CONN_TLS, CONN_OPEN, CONN_CLOSING, CONN_CLOSED };

struct conn_ops {
	void *ctx;
	void (*step)(void *ctx, enum conn_step step);    /* CONN_TLS: TCP is up; CONN_OPEN: the handshake is through */
	void (*frame)(void *ctx, const struct frame *f); /* a packet's body stays until `flush`, a message's does not */
	void (*flush)(void *ctx);                        /* after a run of packets */
	void (*room)(void *ctx); /* after conn_queued() was CONN_LOW or more, or a packet was refused: there is again */
	void (*closed)(void *ctx, const struct err *why); /* why->code 0: cleanly, by the peer or after conn_close() */
};

struct conn_target {
	struct addr addr;
	uint16_t port;
	struct addr source; /* family 0: the kernel's choice */
	const char *device; /* "" or the interface to leave by */
	const char *sni;    /* "" for none */
	enum tls_level level;
	bool pkcs1;    /* TLS 1.2 and PKCS #1 signatures only: tls_offer_pkcs1() */
	int64_t now_s; /* the time certificates are judged at */
};

enum { CONN_LOW = 64 * 1024, CONN_QUEUE_MAX = 1024 * 1024, CONN_PACKETS_LOW = 64 * 1024 };

/* Starts to connect; the TLS connection keeps what it needs of the credentials. 0 or -errno; then nothing was made. */
int conn_dial(struct loop *l, struct tls_creds *creds, const struct conn_target *t, const struct conn_ops *ops,
	      struct conn **out, struct err *e);
/* The same over a TCP connection that the manager has opened: non-blocking, taken in any case. Of the target its
 * address and port, which are the peer's, level, sni, pkcs1 and time count. This side is still the TLS client. */
int conn_accept(struct loop *l, struct tls_creds *creds, int fd, const struct conn_target *t,
		const struct conn_ops *ops, struct conn **out, struct err *e);
void conn_free(struct conn *c); /* NULL-safe; drops what is queued */

/* Queues one message. They overtake queued packets. -ENOBUFS when the queue is full, -ENOTCONN unless open. */
int conn_send(struct conn *c, const void *body, size_t len);
/* Room for one packet of up to `max` bytes, to be written there before anything else is asked of the connection, and
 * then queued with its length, 1…max. NULL: not open, or CONN_PACKETS_LOW bytes are queued, or what was encrypted
 * before waits for the socket; `room` follows unless the connection ends. */
uint8_t *conn_packet_room(struct conn *c, size_t max);
void conn_packet_ready(struct conn *c, size_t len);
size_t conn_queued(const struct conn *c); /* bytes of messages not yet handed to TLS */

/* Sends what is queued and close_notify, for at most a second, then reports `closed`. */
void conn_close(struct conn *c);
/* Reports `closed` with this reason in the next turn; nothing more is sent. */
void conn_abort(struct conn *c, const struct err *why);

enum conn_step conn_step(const struct conn *c);
const struct cert_check *conn_peer(const struct conn *c); /* NULL before TLS began */
const char *conn_tls_version(const struct conn *c);
const char *conn_tls_suite(const struct conn *c);
void conn_addresses(const struct conn *c, struct addr *local, struct addr *remote, uint16_t *port);

struct conn_counters {
	uint64_t in_frames, in_bytes, out_frames, out_bytes;
};
const struct conn_counters *conn_counters(const struct conn *c);

#endif
