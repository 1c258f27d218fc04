/* tftp_relay: between a TFTP client on this machine and one server, so that nobody else is heard.
 *
 * RFC 1350 has a client ignore what does not come from the port that answered first; curl takes whatever reaches its
 * socket. Here it talks to a port on the loopback address, and what comes from elsewhere than the server's address, or
 * after the first answer from another of its ports, is dropped and counted. It looks into no packet.
 */
#ifndef AGENT_TFTP_RELAY_H
#define AGENT_TFTP_RELAY_H

#include <stdint.h>

struct addr;
struct err;
struct loop;
struct tftp_relay;

/* The network says that the server cannot be reached: -ECONNREFUSED, … Called from the loop, at most once. */
typedef void tftp_relay_fn(void *ctx, int rc);

/* To `server`, `port`. 0 or -errno. */
int tftp_relay_open(struct loop *l, const struct addr *server, uint16_t port, tftp_relay_fn *failed, void *ctx,
		    struct tftp_relay **out, struct err *e);
void tftp_relay_close(struct tftp_relay *r); /* NULL-safe */

uint16_t tftp_relay_port(const struct tftp_relay *r);    /* where the client finds it, at 127.0.0.1 */
uint64_t tftp_relay_foreign(const struct tftp_relay *r); /* datagrams of others */

#endif
