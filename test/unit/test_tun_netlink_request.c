/* tun/netlink_request: requests and answers that do not get through. libnl's calls are taken instead of the system's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "test/unit/netns_fixture.h"
#include "tun/netlink.h"

static struct netlink *nl;

/* The n-th call from now on (from 1), and so many after it, fail. */
static struct {
	int at, times, error;
	int calls;
	bool hit;
} fault;

static void
fail_calls(int at, int times, int error)
{
	fault.at = at;
	fault.times = times;
	fault.error = error;
	fault.calls = 0;
	fault.hit = false;
}

static bool
fails(void)
{
	int n = ++fault.calls;

	if (!fault.at || n < fault.at || n >= fault.at + fault.times)
		return false;
	fault.hit = true;
	errno = fault.error;
	return true;
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	return fails() ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	return fails() ? -1 : syscall(SYS_recvmsg, fd, m, flags);
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	return netlink_open(-1, &nl, &e) || fixture_veth("wan1", "peer1");
}

static int
teardown(void **state)
{
	(void)state;
	fail_calls(0, 0, 0);
	netlink_free(nl);
	return fixture_sh("ip link del wan1");
}

static bool
has_address(const struct addr *a)
{
	struct addr all[8];
	size_t n = 0;

	fail_calls(0, 0, 0);
	assert_int_equal(netlink_addrs(nl, "wan1", all, 8, &n, NULL), 0);
	for (size_t i = 0; i < n && i < 8; i++)
		if (addr_equal(&all[i], a))
			return true;
	return false;
}

/* At each call of a request in turn: nobody notices, and what the next request hears is its own answer. */
static void
one_call_fails(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM, EPERM};
	struct err e = ERR_NONE;
	struct addr a;
	int hits = 0;

	(void)state;
	assert_int_equal(addr_parse_prefix("192.0.2.1/24", &a), 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		bool hit = true;

		for (int at = 1; hit; at++) {
			fail_calls(at, 1, errors[i]);
			if (netlink_addr_add(nl, "wan1", &a, &e))
				fail_msg("adding, call %d: %s", at, e.text);
			hit = fault.hit;
			hits += hit;
			assert_true(has_address(&a));
			fail_calls(at, 1, errors[i]);
			if (netlink_addr_del(nl, "wan1", &a, &e))
				fail_msg("deleting, call %d: %s", at, e.text);
			assert_false(has_address(&a));
		}
	}
	assert_true(hits >= 6);
}

/* A list that broke off keeps nobody from getting the next one. */
static void
one_call_of_a_list_fails(void **state)
{
	struct err e = ERR_NONE;
	struct addr all[8];
	bool hit = true;
	size_t n;
	int at;

	(void)state;
	for (at = 1; hit; at++) {
		fail_calls(at, 1, ENOBUFS);
		if (netlink_addrs(nl, "lo", all, 8, &n, &e) || n != 2)
			fail_msg("call %d: %zu addresses: %s", at, n, e.text);
		hit = fault.hit;
	}
	assert_true(at > 4);
}

static void
many_calls_fail(void **state)
{
	struct err e = ERR_NONE;
	struct link_facts f;
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse_prefix("192.0.2.1/24", &a), 0);
	fail_calls(1, 1000, ENOBUFS);
	assert_int_equal(netlink_unanswered(nl), 0);
	assert_int_equal(netlink_addr_add(nl, "wan1", &a, &e), -ENOMEM);
	assert_int_equal(netlink_unanswered(nl), 1);
	assert_true(fault.calls < 100);
	assert_false(has_address(&a));
	assert_int_equal(netlink_link(nl, "wan1", &f, &e), 0);
	/* a refusal is an answer */
	assert_int_equal(netlink_link(nl, "nobody0", &f, &e), -ENODEV);
	assert_int_equal(netlink_unanswered(nl), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(one_call_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_call_of_a_list_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(many_calls_fail, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
