/* tun/offload: kernels that grant all, some and none of it. */
// wrap: ioctl
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "tun/offload.h"

static struct kernel {
	int attach_errno;   /* whatever is asked for */
	bool no_header;     /* does not know IFF_VNET_HDR */
	unsigned long most; /* flags that it grants */
	unsigned long granted;
	short flags; /* of the device made; 0: none */
	int asked;
} kernel;

int __wrap_ioctl(int fd, unsigned long request, void *arg);

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	assert_int_equal(fd, 5);
	if (request == TUNSETIFF) {
		const struct ifreq *r = arg;

		errno = kernel.attach_errno ? kernel.attach_errno : EINVAL;
		if (kernel.attach_errno || (kernel.no_header && r->ifr_flags & IFF_VNET_HDR))
			return -1;
		kernel.flags = r->ifr_flags;
		return 0;
	}
	assert_int_equal(request, TUNSETOFFLOAD);
	assert_true(kernel.flags & IFF_VNET_HDR);
	kernel.asked++;
	errno = EINVAL;
	if ((uintptr_t)arg & ~kernel.most)
		return -1;
	kernel.granted = (uintptr_t)arg;
	return 0;
}

static void
each_kernel(void **state)
{
	static const struct {
		const char *what;
		struct kernel k;
		int want;
		bool header;
		unsigned long granted;
		int asked;
	} rows[] = {
	    {"everything", {.most = 0xff}, 0, true, 0x6f, 1},
	    {"no UDP, as before 6.2", {.most = 0x1f}, 0, true, 0x0f, 2},
	    {"checksums alone", {.most = 0x01}, 0, true, 0x01, 3},
	    {"a header and nothing else", {.most = 0}, 0, true, 0, 3},
	    {"no header", {.no_header = true, .most = 0xff}, 0, false, 0, 0},
	    {"the name is taken", {.attach_errno = EBUSY}, -EBUSY, false, 0, 0},
	    {"not allowed", {.attach_errno = EPERM}, -EPERM, false, 0, 0},
	    {"nothing will do", {.attach_errno = EINVAL}, -EINVAL, false, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ifreq r = {.ifr_name = "fgfm0", .ifr_flags = (short)(IFF_TUN | IFF_NO_PI)};
		bool header = !rows[i].header;
		int rc;

		kernel = rows[i].k;
		rc = offload_attach(5, &r, &header);
		if (rc != rows[i].want || kernel.granted != rows[i].granted || kernel.asked != rows[i].asked)
			fail_msg("%s: %d, %lx granted, asked %d times", rows[i].what, rc, kernel.granted, kernel.asked);
		if (rc)
			continue;
		assert_int_equal(header, rows[i].header);
		assert_int_equal(kernel.flags, IFF_TUN | IFF_NO_PI | (header ? IFF_VNET_HDR : 0));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
