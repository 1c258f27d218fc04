/* monitor: the HTTP service for monitoring, inside the isolated namespace (interfaces: "Monitoring (RTM)").
 *
 * HTTP/1.1 by libmicrohttpd, in our own event loop: no thread, and no wake-up while nobody asks. GET and HEAD only; one
 * request a connection; connections, their number for each client, the size of a request and the time for it are
 * bounded, so that a slow or hostile client takes nothing from the rest of the agent. What is answered is its owner's.
 */
#ifndef AGENT_MONITOR_H
#define AGENT_MONITOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct addr;
struct err;
struct loop;
struct monitor;

enum {
	MONITOR_PORT = 80,
	MONITOR_CLIENTS = 16,          /* connections at once */
	MONITOR_CLIENTS_EACH = 8,      /* ... of one address */
	MONITOR_REQUEST_MAX = 8192,    /* bytes of a request's line and header, and of the answer's */
	MONITOR_REQUEST_MS = 10000,    /* from the connection to the end of the request */
	MONITOR_ANSWER_MS = 60 * 1000, /* to the last byte of the answer taken by the client */
	MONITOR_PAGE = 256,            /* entries in one answer at most */
	MONITOR_BODY_MAX = 4 * 1024 * 1024,
};

struct monitor_query {
	const char *path; /* decoded; hostile */
	uint64_t start;   /* "?start=N": entries to leave out */
	size_t count;     /* "?count=N": 1...MONITOR_PAGE */
};

struct monitor_answer {
	unsigned status;  /* HTTP's */
	const char *type; /* static */
	struct buf body;  /* the monitor frees it */
};

/* The answer to a GET: fills all of `out`, whose body comes empty with its ceiling. */
typedef void monitor_answer_fn(void *ctx, const struct monitor_query *q, struct monitor_answer *out);

/* A listening socket at `port` of `local`, in the namespace of `netns_fd`, taking what comes in by `device` alone. The
 * caller closes it. */
int monitor_listen(int netns_fd, const struct addr *local, const char *device, uint16_t port, int *fd, struct err *e);

/* Serves a listening socket, which is taken, also on failure. */
int monitor_new(struct loop *l, int listen_fd, monitor_answer_fn *answer, void *ctx, struct monitor **out,
		struct err *e);
void monitor_free(struct monitor *m); /* NULL-safe; ends its connections; not from inside an answer */

#endif
