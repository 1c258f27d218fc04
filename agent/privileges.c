#include "agent/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

static const int kept[] = {
    CAP_NET_ADMIN,        /* TUN, addresses, routes */
    CAP_NET_BIND_SERVICE, /* ports below 1024 */
    CAP_NET_RAW,          /* binding a socket to an interface on older kernels */
    CAP_SYS_ADMIN,        /* namespaces, the bind mount, the host's name */
    CAP_SYS_BOOT,         /* the reboot at the end of a rollback */
    CAP_DAC_OVERRIDE,     /* certificates and keys owned by others */
    CAP_CHOWN,            /* the control socket's group */
    CAP_FOWNER,
    CAP_SETUID, /* programs started as other users */
    CAP_SETGID,
    CAP_KILL, /* … and ended */
};

static bool
is_kept(int cap)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (kept[i] == cap)
			return true;
	}
	return false;
}

/* glibc has no wrapper; libcap would be one more library for one call. */
static int
limit_own(struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t mask[_LINUX_CAPABILITY_U32S_3] = {0};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		mask[CAP_TO_INDEX(kept[i])] |= CAP_TO_MASK(kept[i]);
	if (syscall(SYS_capget, &head, data))
		return err_sys(e, -errno, "capget");
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].effective &= mask[i];
		data[i].permitted &= mask[i];
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data))
		return err_sys(e, -errno, "capset");
	return 0;
}

int
privileges_limit(struct err *e)
{
	umask(0022); /* every file is made with its own mode; what others may enter is not to be narrowed by accident */
	/* no core file with keys in it, no ptrace by the same user */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_sys(e, -errno, "prctl(PR_SET_DUMPABLE)");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, -errno, "prctl(PR_SET_NO_NEW_PRIVS)");
	if (geteuid() != 0)
		return 0;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		/* a container may have taken CAP_SETPCAP from us; then it has taken care of the rest, too */
		if (!is_kept(cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EPERM)
			return err_sys(e, -errno, "dropping capability %d", cap);
	}
	return limit_own(e);
}
