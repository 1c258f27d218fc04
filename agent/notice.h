/* notice: datagrams at UDP port 9443, by which a manager says which versions it has (guide, "FortiManager passive
 * mode").
 *
 * They are neither signed nor encrypted, so that they are worth as little: only those from the current manager's
 * address are looked at, and all they can do is to have a manager asked, over an authenticated connection, what is new.
 */
#ifndef AGENT_NOTICE_H
#define AGENT_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct err;
struct loop;
struct message;
struct notice;

struct notice_ops {
	void *ctx;
	bool (*from_manager)(void *ctx, const struct addr *source);
	void (*take)(void *ctx, const struct message *m); /* one in the form of a keep-alive */
};

struct notice_counters {
	uint64_t taken, foreign, malformed;
};

/* 0, or -errno when no socket could be opened at all. Port 0: any (for tests). */
int notice_open(struct loop *l, uint16_t port, const struct notice_ops *ops, struct notice **out, struct err *e);
void notice_close(struct notice *n); /* NULL-safe */
uint16_t notice_port(const struct notice *n, int family);
const struct notice_counters *notice_counters(const struct notice *n);

#endif
