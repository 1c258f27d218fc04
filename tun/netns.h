/* netns: the isolated network namespace that holds the tunnel device and nothing else.
 *
 * Guide, "Protocol operation on FortiGate": management traffic lives in an isolated virtual domain. The namespace is a
 * bind mount under /run/netns, so that `ip netns exec` works on it; it survives a restart of the agent and is adopted
 * again. Forwarding is off in it, loopback is up.
 */
#ifndef TUN_NETNS_H
#define TUN_NETNS_H

#include <stdbool.h>

struct err;

/* Opens the namespace called `name` (a plain file name: no '/', not "." or ".."), creating it where needed, and applies
 * its rules (lo up, ip_forward and IPv6 forwarding 0, no router solicitations, accept_ra 0, source routes and redirects
 * refused). A stale file that is no network namespace is replaced; the caller's own namespace is refused: the rules are
 * not for the host. *fd is the caller's, close-on-exec. *created may be NULL. */
int netns_open(const char *name, int *fd, bool *created, struct err *e);

/* Enters the namespace of `fd` with the calling (only) thread and runs `fn`; always comes back. Returns fn's result, or
 * -errno when entering failed. Coming back cannot fail without the process being unusable: then it aborts. */
int netns_run(int fd, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e);

/* Removes the bind mount and its file. For tests and `fgfmd` uninstall; the daemon keeps it. */
int netns_remove(const char *name, struct err *e);

#endif
