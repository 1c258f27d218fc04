/* agent/monitor: the HTTP service alone, over loopback, with the clock put forward. */
// wrap: clock_mono epoll_wait
#include "agent/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "test/unit/netns_fixture.h"
#include "test/unit/turn.h"

enum { PORT = 8099 };

static struct loop *loop;
static struct monitor *monitor;
static struct monitor_query asked;
static char path[64];
static int client = -1, calls;
static char got[65536];
static size_t got_len;
static bool ended;

static void
on_ask(void *ctx, const struct monitor_query *q, struct monitor_answer *out)
{
	(void)ctx;
	calls++;
	asked = *q;
	snprintf(path, sizeof(path), "%s", q->path);
	if (!strcmp(q->path, "/too-large"))
		out->body.error = -EMSGSIZE;
	else
		buf_str(&out->body, "{}\n");
}

static int
setup(void **state)
{
	struct addr lo;
	struct err e = ERR_NONE;
	int ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;

	(void)state;
	assert_int_equal(addr_parse_host("127.0.0.1", &lo), 0);
	loop = loop_new(&e);
	assert_non_null(loop);
	if (monitor_listen(ns, &lo, "lo", PORT, &fd, &e) || monitor_new(loop, fd, on_ask, NULL, &monitor, &e))
		fail_msg("%s", e.text);
	close(ns);
	calls = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (client >= 0)
		close(client);
	client = -1;
	monitor_free(monitor);
	monitor = NULL;
	loop_free(loop);
	return 0;
}

static int
dial(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Takes what is there; true when the other end has closed. */
static bool
is_closed(void)
{
	ssize_t n;

	while ((n = recv(client, got + got_len, sizeof(got) - 1 - got_len, 0)) > 0)
		got_len += (size_t)n;
	got[got_len] = '\0';
	ended = n == 0 || errno == ECONNRESET;
	return ended;
}

static void
say(const char *text)
{
	client = dial();
	got_len = 0;
	ended = false;
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static unsigned
status(void)
{
	unsigned n = 0;

	return sscanf(got, "HTTP/1.1 %u", &n) == 1 ? n : 0;
}

static void
requests(void **state)
{
	static const struct {
		const char *what, *text, *path;
		unsigned status;
		uint64_t start;
		size_t count;
	} cases[] = {
	    {"plain", "GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n", "/a/b", 200, 0, MONITOR_PAGE},
	    {"decoded", "GET /a%20b%2fc HTTP/1.1\r\nHost: x\r\n\r\n", "/a b/c", 200, 0, MONITOR_PAGE},
	    {"a page", "GET /a?start=7&count=3 HTTP/1.1\r\nHost: x\r\n\r\n", "/a", 200, 7, 3},
	    {"bounded", "GET /a?count=99999 HTTP/1.1\r\nHost: x\r\n\r\n", "/a", 200, 0, MONITOR_PAGE},
	    {"HEAD", "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", "/a", 200, 0, MONITOR_PAGE},
	    {"no entries", "GET /a?count=0 HTTP/1.1\r\nHost: x\r\n\r\n", NULL, 400, 0, 0},
	    {"no number", "GET /a?start=1x HTTP/1.1\r\nHost: x\r\n\r\n", NULL, 400, 0, 0},
	    {"an argument without a value", "GET /a?start HTTP/1.1\r\nHost: x\r\n\r\n", "/a", 200, 0, MONITOR_PAGE},
	    {"POST", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", NULL, 405, 0, 0},
	    {"DELETE", "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", NULL, 405, 0, 0},
	    {"lower case", "get /a HTTP/1.1\r\nHost: x\r\n\r\n", NULL, 405, 0, 0},
	    {"no answer fits", "GET /too-large HTTP/1.1\r\nHost: x\r\n\r\n", "/too-large", 500, 0, MONITOR_PAGE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		calls = 0;
		say(cases[i].text);
		assert_true(turn_run(loop, is_closed, TURN_SOON_MS));
		if (status() != cases[i].status || calls != (cases[i].path != NULL) ||
		    (calls &&
		     (strcmp(path, cases[i].path) || asked.start != cases[i].start || asked.count != cases[i].count)))
			fail_msg("%s: %d calls, path %s, %s", cases[i].what, calls, path, got);
		close(client);
		client = -1;
	}
}

static void
the_header(void **state)
{
	(void)state;
	say("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(turn_run(loop, is_closed, TURN_SOON_MS));
	assert_non_null(strstr(got, "\r\nAllow: GET, HEAD\r\n"));
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_null(strstr(got, "\r\nDate:")); /* the clock may be wrong, and nobody needs it */
}

/* However it drips: the deadline is that of the whole request. */
static void
a_slow_request(void **state)
{
	(void)state;
	say("GET / HTTP/1.1\r\nX: ");
	for (int i = 0; i < 9; i++) {
		turn_forward(loop, MONITOR_REQUEST_MS / 10);
		assert_false(is_closed());
		assert_int_equal(send(client, "y", 1, MSG_NOSIGNAL), 1);
	}
	turn_forward(loop, MONITOR_REQUEST_MS / 10 + 100);
	assert_true(turn_run(loop, is_closed, TURN_SOON_MS));
	assert_int_equal(calls, 0);
}

static void
too_many(void **state)
{
	int many[MONITOR_CLIENTS_EACH + 4];

	(void)state;
	for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++)
		many[i] = dial();
	turn_quiet(loop);
	say("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); /* one address: its share is taken */
	assert_true(turn_run(loop, is_closed, TURN_SOON_MS));
	assert_int_equal(calls, 0);
	close(client);
	for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++)
		close(many[i]);
	turn_quiet(loop);
	say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(turn_run(loop, is_closed, TURN_SOON_MS));
	assert_int_equal(status(), 200);
}

static void
freed_with_clients(void **state)
{
	(void)state;
	say("GET / HTTP/1.1\r\n");
	turn_quiet(loop);
	monitor_free(monitor);
	monitor = NULL;
	assert_true(is_closed());
}

static void
no_such_socket(void **state)
{
	int ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;
	struct err e = ERR_NONE;
	struct addr lo;

	(void)state;
	assert_int_equal(addr_parse_host("127.0.0.1", &lo), 0);
	assert_int_equal(monitor_listen(ns, &lo, "none0", PORT + 1, &fd, &e), -ENODEV);
	assert_non_null(strstr(e.text, "none0"));
	assert_int_equal(monitor_listen(ns, &lo, "lo", PORT, &fd, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "127.0.0.1"));
	assert_int_equal(fd, -1);
	close(ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(requests, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slow_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_with_clients, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_such_socket, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
