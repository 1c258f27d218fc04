/* explain: how far the connection to the manager came, and what failed: `diagnose fgfm explain`.
 *
 * Link and route are looked at when asked; the rest is what the session in use shows, or else what the last attempt
 * that has ended left behind.
 */
#ifndef AGENT_EXPLAIN_H
#define AGENT_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/auth.h"
#include "agent/dialer.h"
#include "agent/session.h"
#include "base/addr.h"

struct agent;
struct agent_parts;
struct buf;
struct netlink;
struct uplink_view;

enum { EXPLAIN_TEXT = 400 };

/* What a session shows, or has shown. */
struct explain_note {
	bool made;  /* false: there was none yet */
	bool ended; /* false: it is the one in use, or being made */
	enum session_state reached;
	bool privileged;
	char target[DIALER_NAME_MAX];
	struct addr manager;
	uint16_t port;
	char reason[320];          /* why it ended; "" */
	char tls[80];              /* version and suite; "" before the handshake is through */
	struct auth_report report; /* as far as it was made */
	bool seen;                 /* the manager presented a certificate: */
	char certificate[480];     /* whose, by whom, from when, until when */
	char serial[CERT_SERIAL_MAX];
};

/* Fills `out` from the session on view; at its end `ended` is for the caller's session that is closed by then. */
void explain_take(struct explain_note *out, const struct uplink_view *v);

enum explain_step {
	EXPLAIN_MANAGER, /* one is configured, its name has an address, the device's own certificate is in order */
	EXPLAIN_LINK,
	EXPLAIN_ROUTE,
	EXPLAIN_TCP,
	EXPLAIN_TLS,
	EXPLAIN_CERTIFICATE,
	EXPLAIN_SERIAL,
	EXPLAIN_TRUSTED_LIST,
	EXPLAIN_REGISTRATION,
	EXPLAIN_SESSION, /* it stays */
	EXPLAIN_STEPS,
};

const char *explain_step_key(enum explain_step s); /* "trusted-list" */

struct explain_row {
	enum cert_verdict verdict; /* VERDICT_NOT_MADE: it did not come to that */
	char expected[EXPLAIN_TEXT], presented[EXPLAIN_TEXT];
};

struct explain {
	struct explain_row row[EXPLAIN_STEPS];
	enum explain_step failed; /* the first that did; EXPLAIN_STEPS: none */
};

/* The rows EXPLAIN_LINK and EXPLAIN_ROUTE, by asking the kernel. `manager` of family 0: its address is not known.
 * `n` may be NULL. */
void explain_way(struct netlink *n, const struct addr *manager, struct explain_row *link, struct explain_row *route);

/* The rows behind these, from what a session has shown; those of the way have to be there. */
void explain_judge(const struct agent_parts *p, const struct explain_note *note, struct explain *x);

void explain_show(struct agent *a, bool json, struct buf *out);

#endif
