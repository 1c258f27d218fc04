/* netlink_request: one question to the kernel and its answer, for the netlink*.c files of this room alone.
 *
 * Over libnl's sockets and messages, but with errors as the kernel gives them: libnl's own codes fold many into one,
 * and drop the sentence the kernel adds.
 */
#ifndef TUN_NETLINK_REQUEST_H
#define TUN_NETLINK_REQUEST_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct netlink;
struct nl_msg;
struct nlmsghdr;

/* A message of `type` with a family header of `size` bytes. NULL: no memory. */
struct nl_msg *request_new(int type, int flags, const void *header, size_t size);

/* Appends an attribute and returns the message; NULL when it was NULL, or there is no memory: then it is freed. */
struct nl_msg *request_put(struct nl_msg *msg, int attribute, const void *data, size_t size);
struct nl_msg *request_put_u32(struct nl_msg *msg, int attribute, uint32_t value);

/* Called for each message of an answer, and with NULL before the first of them; again with NULL when the kernel's
 * tables changed under a dump and it starts over: forget what came before. */
typedef void request_fn(void *ctx, const struct nlmsghdr *h);

/* Sends `msg` (takes it; NULL is -ENOMEM) and waits for the whole answer. `fn` may be NULL. 0 or the kernel's -errno.
 */
int request_run(struct netlink *n, struct nl_msg *msg, request_fn *fn, void *ctx);

/* Completes the reason of a failed request_run(): fills `e` as err_sys() does, plus what the kernel said. Returns rc.
 */
int request_failed(const struct netlink *n, struct err *e, int rc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Bytes of an address: 4 or 16. */
size_t request_address_bytes(int family);

/* The name behind an index in the socket's namespace: 0 or -errno. */
int request_ifname(const struct netlink *n, int ifindex, char name[16]);
/* Index of a device, or -errno: at a tenth of what all the facts of netlink_link() take. */
int request_ifindex(const struct netlink *n, const char *name);

#endif
