/* inlet: sockets at a port of this box, for whoever listens there. */
#ifndef AGENT_INLET_H
#define AGENT_INLET_H

#include <stdint.h>
#include <sys/socket.h>

struct addr;
struct err;

/* A non-blocking socket of this family and type, bound to the port on every address (0: any port), that is told by
 * which device a packet came in; *bound is its port. The descriptor, or -errno: -EAFNOSUPPORT on a box without IPv6. */
int inlet_open(int family, int type, uint16_t port, uint16_t *bound, struct err *e);

/* The address and port as system calls take them; returns the size. */
socklen_t inlet_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss);

/* Address and port of an IPv4 or IPv6 peer. */
void inlet_addr(const struct sockaddr_storage *ss, struct addr *a, uint16_t *port);

#endif
