/* listener: the TCP port at which managers may open a connection to this box (guide, "Scenario 1").
 *
 * It answers on every interface, for the kernel has no other way without an order among addresses, but hands on only
 * what came in by one that the owner allows; anything else is reset at once, before a byte is said. It knows nothing of
 * TLS and sessions. IPv4 and IPv6 have a socket each; a box without one of them is no error.
 */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct err;
struct listener;
struct loop;

struct listener_call {
	int fd; /* connected, non-blocking */
	struct addr local, peer;
	uint16_t peer_port;
	char interface[16]; /* the device it came in by */
};

struct listener_ops {
	void *ctx;
	/* May connections come in by this interface, to this address? */
	bool (*allowed)(void *ctx, const char *interface, const struct addr *local);
	void (*take)(void *ctx, const struct listener_call *c); /* takes the descriptor */
};

/* 0, or -errno when no socket could be opened at all. Port 0: any (for tests). */
int listener_open(struct loop *l, uint16_t port4, uint16_t port6, const struct listener_ops *ops, struct listener **out,
		  struct err *e);
void listener_close(struct listener *ls); /* NULL-safe */

/* Where it listens; 0: not in this version. */
uint16_t listener_port(const struct listener *ls, int family);
uint64_t listener_refused(const struct listener *ls); /* came in where nobody may */

#endif
