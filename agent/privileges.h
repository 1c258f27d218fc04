/* privileges: what the daemon keeps of root's power, and what it gives away at start.
 *
 * It needs to make namespaces, a TUN device, addresses and routes, to set the host's name, and to reboot. Everything
 * else leaves the bounding set, so that no program it starts can have it either.
 */
#ifndef AGENT_PRIVILEGES_H
#define AGENT_PRIVILEGES_H

struct err;

/* 0, or -errno with the reason. Not being root is no error here: what then fails says so itself. */
int privileges_limit(struct err *e);

#endif
