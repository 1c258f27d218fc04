/* agent/resolve: names by c-ares in the event loop, asked of a name server in the same process. */
// wrap: clock_mono epoll_wait
#include "agent/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "base/loop.h"
#include "test/unit/netns_fixture.h"
#include "test/unit/rollback_fixture.h"
#include "test/unit/turn.h"
#include "test/unit/open_files.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, NXDOMAIN = 3, SERVFAIL = 2 };

static struct world {
	struct loop *loop;
	int fd; /* of the name server */
	struct loop_io *io;
	int asked;
	char conf[PATH_MAX];

	struct resolve *query;
	int answers;
	struct addr addrs[RESOLVE_MAX];
	size_t count;
	struct err why;
	const char *then; /* asked for from inside the answer */
} w;

/* --- the name server: the first letters of a name say what it answers -----------------------------------------------
 */

static size_t
put_answer(uint8_t *dst, unsigned type, unsigned number)
{
	const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, type == TYPE_A ? 4 : 16};
	size_t len = type == TYPE_A ? 4 : 16;

	memcpy(dst, head, sizeof(head));
	memset(dst + sizeof(head), 0, len);
	dst[sizeof(head)] = type == TYPE_A ? 192 : 0xfd;
	dst[sizeof(head) + 2] = type == TYPE_A ? 2 : 0;
	dst[sizeof(head) + len - 1] = (uint8_t)number;
	return sizeof(head) + len;
}

static unsigned
how_many(const char *name, unsigned type)
{
	if (!strncmp(name, "many", 4))
		return type == TYPE_A ? 30 : 0;
	if (!strncmp(name, "both", 4))
		return 1;
	return !strncmp(name, type == TYPE_A ? "v4" : "v6", 2);
}

/* The reply in place of the question. 0: none. */
static size_t
reply(uint8_t *m, size_t n)
{
	const char *name = (const char *)m + 13; /* after the header and the first label's length */
	size_t end = 12 + strlen((const char *)m + 12) + 1;
	unsigned type = m[end + 1], count = how_many(name, type);

	assert_true(end + 4 <= n);
	n = end + 4;
	if (!strncmp(name, "silent", 6))
		return 0;
	if (!strncmp(name, "garbage", 7)) {
		memset(m + 12, 0xff, n - 12);
		return n;
	}
	m[2] = 0x81;
	m[3] = 0x80;
	if (!strncmp(name, "no", 2))
		m[3] |= NXDOMAIN;
	if (!strncmp(name, "broken", 6))
		m[3] |= SERVFAIL;
	m[7] = (uint8_t)count;
	m[10] = m[11] = 0; /* no additional records */
	for (unsigned i = 1; i <= count; i++)
		n += put_answer(m + n, type, i);
	return n;
}

static void
on_server(void *ctx, uint32_t events)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t m[2048] = {0};
	ssize_t n = recvfrom(w.fd, m, 512, 0, (struct sockaddr *)&from, &len);
	size_t size = n > 12 ? reply(m, (size_t)n) : 0;

	(void)ctx;
	(void)events;
	w.asked++;
	if (size)
		sendto(w.fd, m, size, 0, (struct sockaddr *)&from, len);
}

static void
start_server(void)
{
	/* in a namespace of its own, so that the port is free */
	const struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(53)};

	w.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(w.fd >= 0);
	assert_int_equal(bind(w.fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	w.io = loop_io_new(w.loop, w.fd, EPOLLIN, on_server, NULL);
	assert_non_null(w.io);
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	memset(&w, 0, sizeof(w));
	if (fixture_setup(state))
		return -1;
	w.loop = loop_new(&e);
	if (!w.loop)
		return -1;
	start_server();
	fixture_write("resolv.conf", "nameserver 127.0.0.1\n");
	snprintf(w.conf, sizeof(w.conf), "%s", fixture_path("resolv.conf"));
	return 0;
}

static int
teardown(void **state)
{
	resolve_cancel(w.query);
	loop_io_free(w.io);
	close(w.fd);
	loop_free(w.loop);
	return fixture_teardown(state);
}

static void
on_answer(void *ctx, const struct addr *addrs, size_t count, const struct err *why)
{
	struct err e = ERR_NONE;

	assert_ptr_equal(ctx, &w);
	assert_true(count <= RESOLVE_MAX);
	w.query = NULL;
	w.answers++;
	w.count = count;
	memcpy(w.addrs, addrs, count * sizeof(*addrs));
	w.why = *why;
	if (w.then && resolve_start(w.loop, w.conf, w.then, on_answer, &w, &w.query, &e))
		fail_msg("%s", e.text);
	w.then = NULL;
}

static void
ask(const char *name)
{
	struct err e = ERR_NONE;

	w.answers = 0;
	if (resolve_start(w.loop, w.conf, name, on_answer, &w, &w.query, &e))
		fail_msg("%s: %s", name, e.text);
	assert_int_equal(w.answers, 0); /* "never from inside" */
}

static bool
is_answered(void)
{
	return w.answers && !w.query;
}

static bool
is_asked(void)
{
	return w.asked > 0;
}

static void
names(void **state)
{
	static const struct {
		const char *what, *name;
		size_t count;
		const char *has[2]; /* among the addresses */
		const char *why;
	} rows[] = {
	    {"IPv4", "v4.test", 1, {"192.0.2.1"}, NULL},
	    {"IPv6", "v6.test", 1, {"fd00::1"}, NULL},
	    {"both", "both.test", 2, {"192.0.2.1", "fd00::1"}, NULL},
	    {"more than are taken", "many.test", RESOLVE_MAX, {NULL}, NULL},
	    {"a literal", "192.0.2.9", 1, {"192.0.2.9"}, NULL},
	    {"no such name", "no.test", 0, {NULL}, "not found"},
	    {"no address", "empty.test", 0, {NULL}, "no"},
	    {"too long a label",
	     "a123456789012345678901234567890123456789012345678901234567890123456789.test",
	     0,
	     {NULL},
	     "isformatted"},
	    {"directives", "no%s%n.test", 0, {NULL}, ""},
	    {"nothing", "", 0, {NULL}, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t before = open_files();
		char text[ADDR_TEXT];

		ask(rows[i].name);
		if (!turn_run(w.loop, is_answered, TURN_SOON_MS))
			fail_msg("%s: no answer", rows[i].what);
		if (w.answers != 1 || w.count != rows[i].count)
			fail_msg("%s: %d answers, %zu addresses, \"%s\"", rows[i].what, w.answers, w.count, w.why.text);
		for (size_t k = 0; k < 2 && rows[i].has[k]; k++) {
			bool found = false;

			for (size_t a = 0; a < w.count; a++)
				found |= !strcmp(addr_host(text, &w.addrs[a]), rows[i].has[k]);
			if (!found)
				fail_msg("%s: not %s", rows[i].what, rows[i].has[k]);
		}
		if (rows[i].why && (!w.why.text[0] || !strcasestr(w.why.text, rows[i].why)))
			fail_msg("%s: \"%s\"", rows[i].what, w.why.text);
		assert_int_equal(open_files(), before); /* a resolver costs nothing when idle */
	}
}

/* The configuration is read anew each time: an install may have changed it. */
static void
the_configuration_counts_at_once(void **state)
{
	(void)state;
	fixture_write("resolv.conf", "nameserver 127.0.0.2\n");
	ask("v4.test");
	assert_true(turn_run(w.loop, is_answered, TURN_SOON_MS));
	assert_int_equal(w.count, 0);
	assert_string_not_equal(w.why.text, "");
	fixture_write("resolv.conf", "nameserver 127.0.0.1\n");
	ask("v4.test");
	assert_true(turn_run(w.loop, is_answered, TURN_SOON_MS));
	assert_int_equal(w.count, 1);
}

static void
asked_again_from_the_answer(void **state)
{
	(void)state;
	w.then = "v6.test";
	ask("v4.test");
	assert_true(turn_run(w.loop, is_answered, TURN_SOON_MS));
	assert_int_equal(w.answers, 2);
	assert_int_equal(w.addrs[0].family, AF_INET6);
}

/* Cancelled at any time: nobody is called, nothing is left. */
static void
cancelled(void **state)
{
	static const char *const asked[] = {"v4.test", "silent.test", "garbage.test", "192.0.2.9", "no.test"};
	size_t before = open_files();

	(void)state;
	resolve_cancel(NULL);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		ask(asked[i]);
		resolve_cancel(w.query);
		w.query = NULL;
		turn_quiet(w.loop);
		assert_int_equal(w.answers, 0);
		assert_int_equal(open_files(), before);
	}
	ask("silent.test");
	w.asked = 0;
	assert_true(turn_run(w.loop, is_asked, TURN_SOON_MS));
	turn_quiet(w.loop);
	resolve_cancel(w.query);
	w.query = NULL;
	turn_quiet(w.loop);
	assert_int_equal(w.answers, 0);
	assert_int_equal(open_files(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(names, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_configuration_counts_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(asked_again_from_the_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
	};

	fixture_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
