/* agent/listener: what comes in, by which interface, and what becomes of it where nobody may. */
// wrap: clock_mono epoll_wait accept4
#include "agent/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/loop.h"
#include "test/unit/turn.h"

static struct world {
	struct loop *loop;
	struct listener *listener;
	bool allow;
	int asked, taken;
	struct listener_call last;
	int accept_errno, accepts; /* 0: accept4() works */
} w;

int __real_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);

int
__wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	w.accepts++;
	if (!w.accept_errno)
		return __real_accept4(fd, a, n, flags);
	errno = w.accept_errno;
	return -1;
}

static bool
allowed(void *ctx, const char *interface, const struct addr *local)
{
	(void)ctx;
	(void)local;
	w.asked++;
	assert_string_equal(interface, "lo");
	return w.allow;
}

static void
take(void *ctx, const struct listener_call *c)
{
	(void)ctx;
	w.taken++;
	w.last = *c;
}

static const struct listener_ops ops = {.allowed = allowed, .take = take};

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	w = (struct world){.allow = true, .loop = loop_new(&e), .last.fd = -1};
	return !w.loop || listener_open(w.loop, 0, 0, &ops, &w.listener, &e) ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	listener_close(w.listener);
	loop_free(w.loop);
	if (w.last.fd >= 0)
		close(w.last.fd);
	return 0;
}

static int
connect4(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(listener_port(w.listener, AF_INET))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static bool
was_asked(void)
{
	return w.asked > 0;
}

static bool
was_accepted(void)
{
	return w.accepts > 0;
}

static void
comes_in(void **state)
{
	struct sockaddr_in in;
	socklen_t n = sizeof(in);
	char text[ADDR_TEXT];
	int fd = connect4();

	(void)state;
	assert_true(turn_run(w.loop, was_asked, TURN_SOON_MS));
	assert_int_equal(w.taken, 1);
	assert_string_equal(w.last.interface, "lo");
	assert_string_equal(addr_host(text, &w.last.local), "127.0.0.1");
	assert_string_equal(addr_host(text, &w.last.peer), "127.0.0.1");
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	assert_int_equal(w.last.peer_port, ntohs(in.sin_port));
	assert_int_equal(listener_refused(w.listener), 0);
	close(fd);
}

static void
comes_in_over_ipv6(void **state)
{
	struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(listener_port(w.listener, AF_INET6))};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT];

	(void)state;
	in.sin6_addr = in6addr_loopback;
	if (!in.sin6_port || fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in))) {
		close(fd);
		skip(); /* a machine without IPv6 */
	}
	assert_true(turn_run(w.loop, was_asked, TURN_SOON_MS));
	assert_string_equal(w.last.interface, "lo");
	assert_string_equal(addr_host(text, &w.last.local), "::1");
	close(fd);
}

static void
is_reset_where_nobody_may(void **state)
{
	int fd = connect4();
	char c;

	(void)state;
	w.allow = false;
	assert_true(turn_run(w.loop, was_asked, TURN_SOON_MS));
	assert_int_equal(w.taken, 0);
	assert_int_equal(listener_refused(w.listener), 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

static void
without_descriptors_it_waits(void **state)
{
	int fd = connect4(), tries;

	(void)state;
	w.accept_errno = EMFILE;
	assert_true(turn_run(w.loop, was_accepted, TURN_SOON_MS));
	tries = w.accepts;
	turn_quiet(w.loop);
	assert_int_equal(w.accepts, tries);
	w.accept_errno = 0;
	turn_forward(w.loop, 1000);
	assert_true(turn_run(w.loop, was_asked, TURN_SOON_MS));
	assert_int_equal(w.taken, 1);
	close(fd);
}

static void
a_port_in_use_is_an_error(void **state)
{
	struct listener *second = NULL;
	struct err e = ERR_NONE;
	int rc = listener_open(w.loop, listener_port(w.listener, AF_INET), listener_port(w.listener, AF_INET6), &ops,
			       &second, &e);

	(void)state;
	assert_int_equal(rc, -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(e.text, "port"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(comes_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(comes_in_over_ipv6, setup, teardown),
	    cmocka_unit_test_setup_teardown(is_reset_where_nobody_may, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_descriptors_it_waits, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_port_in_use_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
