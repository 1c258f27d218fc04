/* agent/notice: which datagrams are looked at, and which of them mean something. */
// wrap: clock_mono epoll_wait
#include "agent/notice.h"

#include <arpa/inet.h>
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

#include "agent/message.h"
#include "agent/profile.h"
#include "base/err.h"
#include "base/loop.h"
#include "test/unit/turn.h"

static struct world {
	struct loop *loop;
	struct notice *notice;
	const char *manager; /* who is */
	char heard[128];
} w;

static bool
from_manager(void *ctx, const struct addr *source)
{
	char text[ADDR_TEXT];

	(void)ctx;
	return !strcmp(addr_host(text, source), w.manager);
}

static void
take(void *ctx, const struct message *m)
{
	(void)ctx;
	snprintf(w.heard, sizeof(w.heard), "%s %s", message_str(m, "os_ver"), message_str(m, "avdb"));
}

static int
setup(void **state)
{
	const struct notice_ops ops = {.from_manager = from_manager, .take = take};
	struct err e = ERR_NONE;

	(void)state;
	w = (struct world){.manager = "127.0.0.1", .loop = loop_new(&e)};
	return !w.loop || notice_open(w.loop, 0, &ops, &w.notice, &e) ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	notice_close(w.notice);
	loop_free(w.loop);
	return 0;
}

static void
send_to_it(const void *p, size_t len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(notice_port(w.notice, AF_INET))};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, p, len, 0, (struct sockaddr *)&in, sizeof(in)), len);
	close(fd);
}

static bool
one_was_seen(void)
{
	const struct notice_counters *n = notice_counters(w.notice);

	return n->taken + n->foreign + n->malformed == 1;
}

#define GOOD "keepalive\r\nos_ver=7.4.0\r\navdb=91.0\r\n\r\n"

static void
a_keepalive_is_taken(void **state)
{
	(void)state;
	send_to_it(GOOD, sizeof(GOOD)); /* with its NUL */
	assert_true(turn_run(w.loop, one_was_seen, TURN_SOON_MS));
	assert_string_equal(w.heard, "7.4.0 91.0");
	assert_int_equal(notice_counters(w.notice)->taken, 1);
}

static void
the_final_nul_may_be_missing(void **state)
{
	(void)state;
	send_to_it(GOOD, strlen(GOOD));
	assert_true(turn_run(w.loop, one_was_seen, TURN_SOON_MS));
	assert_string_equal(w.heard, "7.4.0 91.0");
}

static void
others_are_not_heard(void **state)
{
	(void)state;
	w.manager = "192.0.2.1";
	send_to_it(GOOD, sizeof(GOOD));
	assert_true(turn_run(w.loop, one_was_seen, TURN_SOON_MS));
	assert_int_equal(notice_counters(w.notice)->foreign, 1);
	assert_string_equal(w.heard, "");
}

static void
what_is_no_keepalive_is_counted(void **state)
{
	static char big[PROFILE_NOTICE_MAX + 1];
	const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
	    {"nothing", "", 0},
	    {"another verb", "get auth\r\n\r\n", 12},
	    {"bytes behind it", GOOD "\0x", sizeof(GOOD) + 1},
	    {"no lines", "keepalive", 9},
	    {"a control character", "keepalive\r\nos_ver=\x01\r\n\r\n", 23},
	    {"too long", big, sizeof(big)},
	};

	memset(big, 'k', sizeof(big));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_to_it(cases[i].bytes, cases[i].len);
		if (!turn_run(w.loop, one_was_seen, TURN_SOON_MS) || notice_counters(w.notice)->malformed != 1 || w.heard[0])
			fail_msg("%s", cases[i].what);
		teardown(state);
		assert_int_equal(setup(state), 0);
	}
}

static void
a_port_in_use_is_an_error(void **state)
{
	const struct notice_ops ops = {.from_manager = from_manager, .take = take};
	struct notice *second = NULL;
	struct err e = ERR_NONE;
	uint16_t port = notice_port(w.notice, AF_INET);
	int rc = notice_open(w.loop, port, &ops, &second, &e);

	(void)state;
	/* that of IPv6 may have another number and be free: then it alone is open */
	if (!rc)
		assert_int_equal(notice_port(second, AF_INET), 0);
	else
		assert_null(second);
	notice_close(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_keepalive_is_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_final_nul_may_be_missing, setup, teardown),
	    cmocka_unit_test_setup_teardown(others_are_not_heard, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_no_keepalive_is_counted, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_port_in_use_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
