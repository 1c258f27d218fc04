#include "agent/inlet.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"

static int
set_one(int fd, int level, int name)
{
	const int one = 1;

	return setsockopt(fd, level, name, &one, sizeof(one)) ? -errno : 0;
}

static int
prepare(int fd, int family, int type)
{
	int rc = 0;

	/* of TCP only: two programs at one UDP port would take each other's datagrams */
	if (type == SOCK_STREAM)
		rc = set_one(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!rc && family == AF_INET)
		rc = set_one(fd, IPPROTO_IP, IP_PKTINFO);
	if (!rc && family == AF_INET6)
		rc = set_one(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!rc && family == AF_INET6)
		rc = set_one(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	return rc;
}

static int
bind_any(int fd, int family, uint16_t port, uint16_t *bound)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool v4 = family == AF_INET;
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct addr any;

	if (bind(fd, v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6, v4 ? sizeof(in) : sizeof(in6)) ||
	    getsockname(fd, (struct sockaddr *)&ss, &n))
		return -errno;
	inlet_addr(&ss, &any, bound);
	return 0;
}

int
inlet_open(int family, int type, uint16_t port, uint16_t *bound, struct err *e)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc = fd < 0 ? -errno : 0;

	if (!rc)
		rc = prepare(fd, family, type);
	if (!rc)
		rc = bind_any(fd, family, port, bound);
	if (!rc)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_sys(e, rc, "%s port %u with %s", type == SOCK_STREAM ? "TCP" : "UDP", port,
		       family == AF_INET ? "IPv4" : "IPv6");
}

socklen_t
inlet_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)a->family;
	if (a->family == AF_INET) {
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->bytes, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->bytes, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

void
inlet_addr(const struct sockaddr_storage *ss, struct addr *a, uint16_t *port)
{
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		*a = (struct addr){.family = AF_INET, .prefix = 32};
		memcpy(a->bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		*a = (struct addr){.family = AF_INET6, .prefix = 128};
		memcpy(a->bytes, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
	}
}
