/* agent/tftp_relay: who is heard, and who is not. */
#include "agent/tftp_relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

enum { QUIET_MS = 100 };

struct world {
	struct loop *loop;
	struct loop_timer *timer;
	struct tftp_relay *relay;
	int server, other_port, other_host, client, other_client;
	int failed;
};

static int
udp(const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, address, &in.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t n = sizeof(in);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	return ntohs(in.sin_port);
}

static void
on_failed(void *ctx, int rc)
{
	struct world *w = ctx;

	assert_int_equal(w->failed, 0);
	w->failed = rc;
	loop_stop(w->loop);
}

static void
on_timer(void *ctx)
{
	loop_stop(ctx);
}

static int
setup(void **state)
{
	static struct world w;
	struct err e = ERR_NONE;
	struct addr a;

	w = (struct world){.loop = loop_new(&e)};
	w.timer = loop_timer_new(w.loop, on_timer, w.loop);
	w.server = udp("127.0.0.2");
	w.other_port = udp("127.0.0.2");
	w.other_host = udp("127.0.0.3");
	w.client = udp("127.0.0.1");
	w.other_client = udp("127.0.0.1");
	addr_parse_host("127.0.0.2", &a);
	*state = &w;
	return tftp_relay_open(w.loop, &a, port_of(w.server), on_failed, &w, &w.relay, &e);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	tftp_relay_close(w->relay);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	close(w->server);
	close(w->other_port);
	close(w->other_host);
	close(w->client);
	close(w->other_client);
	return 0;
}

/* What is under way on the loopback device has arrived; the loop passes it on. */
static void
settle(struct world *w)
{
	loop_timer_at(w->timer, mono_in(clock_mono(), QUIET_MS));
	assert_int_equal(loop_run(w->loop), 0);
}

static void
send_to(int fd, const char *address, uint16_t port, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, address, &in.sin_addr);
	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&in, sizeof(in)), strlen(text));
}

/* The text that came and the port it came from; "" and 0: none. */
static const char *
heard(int fd, uint16_t *from)
{
	static char text[256];
	struct sockaddr_in in = {.sin_port = 0};
	socklen_t size = sizeof(in);
	ssize_t n = recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&in, &size);

	text[n < 0 ? 0 : n] = '\0';
	*from = ntohs(in.sin_port);
	return text;
}

static void
to_and_fro(void **state)
{
	struct world *w = *state;
	uint16_t in = tftp_relay_port(w->relay), out, from;

	send_to(w->client, "127.0.0.1", in, "read");
	settle(w);
	assert_string_equal(heard(w->server, &out), "read");
	/* the answer's port is the one that counts from now on */
	send_to(w->other_port, "127.0.0.1", out, "data 1");
	settle(w);
	assert_string_equal(heard(w->client, &from), "data 1");
	assert_int_equal(from, in);
	send_to(w->client, "127.0.0.1", in, "ack 1");
	settle(w);
	assert_string_equal(heard(w->other_port, &from), "ack 1");
	assert_string_equal(heard(w->server, &from), "");
	assert_int_equal(tftp_relay_foreign(w->relay), 0);
	assert_int_equal(w->failed, 0);
}

static void
strangers(void **state)
{
	struct world *w = *state;
	uint16_t in = tftp_relay_port(w->relay), out, from;

	send_to(w->client, "127.0.0.1", in, "read");
	settle(w);
	assert_string_equal(heard(w->server, &out), "read");
	send_to(w->other_host, "127.0.0.1", out, "evil");
	settle(w);
	assert_string_equal(heard(w->client, &from), "");
	send_to(w->server, "127.0.0.1", out, "data 1");
	send_to(w->other_port, "127.0.0.1", out, "evil");
	send_to(w->other_host, "127.0.0.1", out, "evil");
	send_to(w->server, "127.0.0.1", out, "data 2");
	settle(w);
	assert_string_equal(heard(w->client, &from), "data 1");
	assert_string_equal(heard(w->client, &from), "data 2");
	assert_string_equal(heard(w->client, &from), "");
	assert_int_equal(tftp_relay_foreign(w->relay), 3);
	/* another client on this machine */
	send_to(w->other_client, "127.0.0.1", in, "ack 9");
	settle(w);
	assert_string_equal(heard(w->server, &from), "");
	assert_int_equal(tftp_relay_foreign(w->relay), 4);
}

/* Nobody has asked: the first that comes from the server's address is not its answer. */
static void
too_early(void **state)
{
	struct world *w = *state;
	uint16_t out, from;
	FILE *f = fopen("/proc/self/net/udp", "r");
	char line[256];
	unsigned port, found = 0;

	/* the relay's other socket is the one that is bound to no address */
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: 00000000:%x", &port) == 1)
			found = port;
	}
	if (f)
		fclose(f);
	out = (uint16_t)found;
	if (!out)
		skip();
	send_to(w->other_port, "127.0.0.1", out, "evil");
	settle(w);
	send_to(w->client, "127.0.0.1", tftp_relay_port(w->relay), "read");
	settle(w);
	assert_string_equal(heard(w->server, &out), "read");
	send_to(w->server, "127.0.0.1", out, "data 1");
	settle(w);
	assert_string_equal(heard(w->client, &from), "data 1");
}

static void
large_ones(void **state)
{
	struct world *w = *state;
	static const char large[8192];
	uint16_t out, from;
	struct sockaddr_in in = {.sin_family = AF_INET};

	send_to(w->client, "127.0.0.1", tftp_relay_port(w->relay), "read");
	settle(w);
	assert_string_equal(heard(w->server, &out), "read");
	in.sin_port = htons(out);
	inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
	assert_int_equal(sendto(w->server, large, sizeof(large), 0, (struct sockaddr *)&in, sizeof(in)), sizeof(large));
	settle(w);
	assert_string_equal(heard(w->client, &from), "");
	assert_int_equal(from, 0);
}

static void
nobody_there(void **state)
{
	struct world *w = *state;

	close(w->server);
	w->server = -1;
	send_to(w->client, "127.0.0.1", tftp_relay_port(w->relay), "read");
	assert_int_equal(loop_run(w->loop), 0);
	assert_int_equal(w->failed, -ECONNREFUSED);
	settle(w); /* said once */
}

/* A server that has closed its port by the time of the last acknowledgement has done nothing wrong. */
static void
gone_at_the_end(void **state)
{
	struct world *w = *state;
	uint16_t in = tftp_relay_port(w->relay), out, from;

	send_to(w->client, "127.0.0.1", in, "read");
	settle(w);
	(void)heard(w->server, &out);
	send_to(w->other_port, "127.0.0.1", out, "data 1");
	settle(w);
	assert_string_equal(heard(w->client, &from), "data 1");
	close(w->other_port);
	w->other_port = -1;
	for (int i = 0; i < 3; i++) {
		send_to(w->client, "127.0.0.1", in, "ack 1");
		settle(w);
	}
	assert_int_equal(w->failed, 0);
}

static void
ipv6_and_nothing(void **state)
{
	struct world *w = *state;
	struct tftp_relay *r = NULL;
	struct err e = ERR_NONE;
	struct addr a;

	assert_int_equal(addr_parse_host("::1", &a), 0);
	if (!tftp_relay_open(w->loop, &a, 9, on_failed, w, &r, &e))
		assert_true(tftp_relay_port(r) > 0);
	else
		assert_true(e.code && e.text[0]); /* a box without IPv6 */
	tftp_relay_close(r);
	tftp_relay_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(to_and_fro, setup, teardown),
	    cmocka_unit_test_setup_teardown(strangers, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_early, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_ones, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(gone_at_the_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(ipv6_and_nothing, setup, teardown),
	};

	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
