/* agent/fetch: what does not even begin, and files from a small TFTP server; the rest is test/netns/test_fetch.py. */
#include "agent/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "test/unit/open_files.h"

enum { BLOCK = 512, FILE_BYTES = 20 * BLOCK + 17, GIVE_UP_MS = 60 * 1000 };

struct world {
	struct loop *loop;
	struct loop_timer *timer;
	struct fetch *fetch;
	pid_t server;
	uint16_t port;
	int files; /* open ones, before */
	int times, rc;
	uint64_t progress;
	bool stop_early;
	char why[256];
	uint8_t got[FILE_BYTES + 1];
	ssize_t got_len;
};

static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

/* Blocks of 512 bytes, each after the last one's acknowledgement; those of "stalls" end in the middle. */
static void
serve_file(const char *name, const struct sockaddr_in *client)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t blocks = strcmp(name, "stalls") ? FILE_BYTES / BLOCK + 1 : 4;
	uint8_t packet[4 + BLOCK], ack[64];

	for (size_t n = 1; n <= blocks; n++) {
		size_t from = (n - 1) * BLOCK, len = FILE_BYTES - from < BLOCK ? FILE_BYTES - from : BLOCK;

		packet[0] = 0;
		packet[1] = 3;
		packet[2] = 0;
		packet[3] = (uint8_t)n;
		for (size_t i = 0; i < len; i++)
			packet[4 + i] = byte_at(from + i);
		if (sendto(fd, packet, 4 + len, 0, (const struct sockaddr *)client, sizeof(*client)) < 0 ||
		    recv(fd, ack, sizeof(ack), 0) < 0)
			break;
	}
	close(fd);
}

static void
serve(int fd)
{
	char request[600];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct sockaddr_in client;
		socklen_t size = sizeof(client);
		ssize_t n = recvfrom(fd, request, sizeof(request) - 1, 0, (struct sockaddr *)&client, &size);

		request[n < 0 ? 0 : n] = '\0';
		if (n > 2)
			serve_file(request + 2, &client);
	}
}

static int
setup(void **state)
{
	static struct world w;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(in);
	struct err e = ERR_NONE;

	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) || getsockname(fd, (struct sockaddr *)&in, &size))
		return -1;
	w = (struct world){.port = ntohs(in.sin_port), .server = fork(), .got_len = -1};
	if (!w.server)
		serve(fd);
	close(fd);
	w.loop = loop_new(&e);
	w.files = open_files();
	*state = &w;
	return w.server > 0 && w.loop ? 0 : -1;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	loop_timer_free(w->timer);
	assert_int_equal(open_files(), w->files);
	loop_free(w->loop);
	kill(w->server, SIGKILL);
	return waitpid(w->server, NULL, 0) == w->server ? 0 : -1;
}

static void
on_progress(void *ctx, uint64_t bytes, uint64_t total)
{
	struct world *w = ctx;

	assert_true(bytes > w->progress);
	assert_int_equal(total, 0);
	w->progress = bytes;
	if (w->stop_early)
		loop_stop(w->loop);
}

static void
on_done(void *ctx, int rc, int fd, const char *why)
{
	struct world *w = ctx;

	w->times++;
	w->rc = rc;
	w->fetch = NULL;
	snprintf(w->why, sizeof(w->why), "%s", why);
	assert_int_equal(fd < 0, rc != 0);
	if (fd >= 0) {
		w->got_len = read(fd, w->got, sizeof(w->got)); /* from its beginning */
		close(fd);
	}
	loop_stop(w->loop);
}

static void
give_up(void *ctx)
{
	(void)ctx;
	fail_msg("nothing comes of it");
}

static const struct fetch_ops ops = {.progress = on_progress, .done = on_done};

static struct fetch_spec
tftp_of(const struct world *w, const char *file)
{
	return (struct fetch_spec){.kind = FETCH_TFTP,
				   .server = "127.0.0.1",
				   .port = w->port,
				   .file = file,
				   .staging_dir = "/tmp",
				   .max_bytes = FILE_BYTES};
}

static void
fetch(struct world *w, const struct fetch_spec *spec)
{
	struct err e = ERR_NONE;

	if (fetch_start(w->loop, spec, &ops, w, &w->fetch, &e))
		fail_msg("%s", e.text);
	assert_int_equal(w->times, 0);
	w->timer = loop_timer_new(w->loop, give_up, w);
	loop_timer_at(w->timer, mono_in(clock_mono(), GIVE_UP_MS));
	assert_int_equal(loop_run(w->loop), 0);
}

static void
not_begun(void **state)
{
	static const struct {
		const char *what;
		struct fetch_spec spec;
		int rc;
		const char *why;
	} cases[] = {
	    {"no URL",
	     {.kind = FETCH_HTTPS_URL,
	      .url = "ftp://192.0.2.1/",
	      .ca_file = "/dev/null",
	      .staging_dir = "/tmp",
	      .max_bytes = 1},
	     -EINVAL,
	     "URL"},
	    {"no limit",
	     {.kind = FETCH_TFTP, .server = "192.0.2.1", .file = "f", .staging_dir = "/tmp"},
	     -EINVAL,
	     "a limit"},
	    {"no folder",
	     {.kind = FETCH_TFTP, .server = "192.0.2.1", .file = "f", .staging_dir = "/nowhere", .max_bytes = 1},
	     -ENOENT,
	     "a file in /nowhere"},
	    {"no authorities' file",
	     {.kind = FETCH_HTTPS_URL,
	      .url = "https://192.0.2.1/",
	      .ca_file = "/nowhere/ca",
	      .staging_dir = "/tmp",
	      .max_bytes = 1},
	     -ENOENT,
	     "/nowhere/ca"},
	    {"nobody to trust",
	     {.kind = FETCH_HTTPS_URL,
	      .url = "https://192.0.2.1/",
	      .ca_file = "",
	      .staging_dir = "/tmp",
	      .max_bytes = 1},
	     -EINVAL,
	     "authorities or a key"},
	    {"no name servers",
	     {.kind = FETCH_TFTP,
	      .server = "a.example",
	      .file = "f",
	      .resolv_conf = "/nowhere/resolv.conf",
	      .staging_dir = "/tmp",
	      .max_bytes = 1},
	     0,
	     ""},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fetch *f = NULL;
		struct err e = ERR_NONE;
		int rc = fetch_start(w->loop, &cases[i].spec, &ops, w, &f, &e);

		if (rc != cases[i].rc || !strstr(e.text, cases[i].why) || !f != !!rc)
			fail_msg("%s: %d %s", cases[i].what, rc, e.text);
		fetch_cancel(f);
	}
	assert_int_equal(w->times, 0);
	fetch_cancel(NULL);
}

static void
whole(void **state)
{
	struct world *w = *state;
	struct fetch_spec spec = tftp_of(w, "good");

	fetch(w, &spec);
	assert_string_equal(w->why, "");
	assert_int_equal(w->rc, 0);
	assert_int_equal(w->times, 1);
	assert_int_equal(w->progress, FILE_BYTES);
	assert_int_equal(w->got_len, FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++)
		assert_int_equal(w->got[i], byte_at(i));
}

static void
too_large(void **state)
{
	struct world *w = *state;
	struct fetch_spec spec = tftp_of(w, "good");

	spec.max_bytes = FILE_BYTES - 1;
	fetch(w, &spec);
	assert_int_equal(w->rc, -EFBIG);
	assert_string_equal(w->why, "more than 10256 bytes");
	assert_int_equal(w->times, 1);
}

static void
stalls(void **state)
{
	struct world *w = *state;
	struct fetch_spec spec = tftp_of(w, "stalls");

	spec.stall_ms = 1000;
	fetch(w, &spec);
	assert_int_equal(w->rc, -ETIMEDOUT);
	assert_string_equal(w->why, "curl: nothing came of it for 1 s");
}

/* In the middle; done is not called, and no descriptor is left (teardown). */
static void
cancelled(void **state)
{
	struct world *w = *state;
	struct fetch_spec spec = tftp_of(w, "stalls");

	w->stop_early = true;
	fetch(w, &spec);
	assert_true(w->progress >= BLOCK);
	fetch_cancel(w->fetch);
	assert_int_equal(w->times, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(not_begun, setup, teardown),
	    cmocka_unit_test_setup_teardown(whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_large, setup, teardown),
	    cmocka_unit_test_setup_teardown(stalls, setup, teardown),
	    cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
	};

	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
