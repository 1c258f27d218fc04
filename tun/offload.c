#include "tun/offload.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "base/log.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* kernel 6.2 */
#define TUN_F_USO6 0x40
#endif

static void
ask(int fd)
{
	static const struct {
		const char *what;
		unsigned flags;
	} wishes[] = {
	    {"TCP and UDP",
	     TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | (unsigned)TUN_F_USO4 | (unsigned)TUN_F_USO6},
	    {"TCP", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN},
	    {"checksums", TUN_F_CSUM},
	};

	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
		if (!ioctl(fd, TUNSETOFFLOAD, (unsigned long)wishes[i].flags)) {
			log_debug(DBG_TUNNEL, "[tunnel] offloads: %s", wishes[i].what);
			return;
		}
	}
	log_debug(DBG_TUNNEL, "[tunnel] offloads: none");
}

int
offload_attach(int fd, struct ifreq *r, bool *header)
{
	const short flags = r->ifr_flags;

	r->ifr_flags = (short)(flags | IFF_VNET_HDR);
	if (!ioctl(fd, TUNSETIFF, r)) {
		*header = true;
		ask(fd);
		return 0;
	}
	if (errno != EINVAL)
		return -errno;
	r->ifr_flags = flags;
	if (ioctl(fd, TUNSETIFF, r))
		return -errno;
	*header = false;
	log_debug(DBG_TUNNEL, "[tunnel] offloads: this kernel has none");
	return 0;
}
