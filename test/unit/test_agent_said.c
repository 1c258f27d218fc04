/* agent/said: what comes through a pipe, in whatever pieces, becomes lines of the log, and not without end. */
#include "agent/said.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/spawn.h"
#include "base/err.h"
#include "base/log.h"

enum { MAX = 4000, PIECES = 4 };

static struct {
	struct said s;
	int theirs; /* writing end; -1: closed */
	struct log_sink sink;
	char heard[8 * SAID_SHOWN];
} t;

static void
hear(void *ctx, const char *line)
{
	size_t len = strlen(t.heard);

	(void)ctx;
	snprintf(t.heard + len, sizeof(t.heard) - len, "%s\n", line);
}

static int
teardown(void **state)
{
	(void)state;
	said_close(&t.s);
	if (t.theirs >= 0)
		close(t.theirs);
	t.theirs = -1;
	log_detach(&t.sink);
	return 0;
}

/* Anew: nothing said, nothing heard. */
static int
setup(void **state)
{
	(void)state;
	said_init(&t.s, "handler", "/etc/handlers/system.ntp", DBG_CONFIG, MAX);
	t.heard[0] = '\0';
	t.sink = (struct log_sink){.mask = DBG_CONFIG, .line = hear};
	log_attach(&t.sink);
	return spawn_pipe(&t.s.fd, &t.theirs, true);
}

static void
write_all(const char *bytes, size_t n)
{
	assert_int_equal(write(t.theirs, bytes, n), n);
}

static void
read_all(void)
{
	struct err e = ERR_NONE;

	if (said_read(&t.s, &e))
		fail_msg("%s", e.text);
}

static void
end(void)
{
	close(t.theirs);
	t.theirs = -1;
	read_all();
}

/* --- too much ----------------------------------------------------------------------------------------------------- */

static void
bounded(void **state)
{
	static const char bytes[MAX + 1] = {'x'};
	static const struct {
		const char *what;
		size_t first, second; /* bytes */
		int rc;
	} cases[] = {
	    {"one byte more, at once", 0, MAX + 1, -EMSGSIZE},
	    {"one byte more, later", MAX, 1, -EMSGSIZE},
	    {"one byte more, in halves", MAX / 2, MAX / 2 + 1, -EMSGSIZE},
	    {"as much as it may", 0, MAX, 0},
	    {"the same in halves", MAX / 2, MAX / 2, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;
		int rc;

		assert_int_equal(teardown(state) || setup(state), 0);
		write_all(bytes, cases[i].first);
		read_all();
		write_all(bytes, cases[i].second);
		rc = said_read(&t.s, &e);
		if (rc != cases[i].rc || !strstr(e.text, rc ? "more than 4000 bytes" : ""))
			fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
	}
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static void
lines(void **state)
{
	static const struct {
		const char *what, *pieces[PIECES], *heard, *last;
	} cases[] = {
	    {"nothing", {""}, "", ""},
	    {"no line, only its end", {"\n\n"}, "", ""},
	    {"one", {"one\n"}, "one\n", "one"},
	    {"two at once", {"one\ntwo\n"}, "one\ntwo\n", "two"},
	    {"one in pieces", {"o", "n", "e\n"}, "one\n", "one"},
	    {"an end that comes later", {"one", "\ntwo", "\n"}, "one\ntwo\n", "two"},
	    {"without an end", {"one\nbecause"}, "one\nbecause\n", "because"},
	    {"empty ones in between", {"one\n\n\ntwo\n\n"}, "one\ntwo\n", "two"},
	    {"what drives terminals",
	     {"\033[2J\r\x07\xc3\xa4\n"},
	     "\\x1b[2J\\r\\x07\\xc3\\xa4\n",
	     "\\x1b[2J\\r\\x07\\xc3\\xa4"},
	    {"a format", {"%s%n\n"}, "%s%n\n", "%s%n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char want[1024] = "";
		const char *at = cases[i].heard;

		assert_int_equal(teardown(state) || setup(state), 0);
		for (size_t n = 0; n < PIECES && cases[i].pieces[n]; n++) {
			write_all(cases[i].pieces[n], strlen(cases[i].pieces[n]));
			read_all();
		}
		end();
		for (; *at; at += strcspn(at, "\n") + 1)
			snprintf(want + strlen(want), sizeof(want) - strlen(want),
				 "FGFMs: [handler] system.ntp: %.*s\n", (int)strcspn(at, "\n"), at);
		if (strcmp(t.heard, want) != 0 || strcmp(t.s.last, cases[i].last) != 0)
			fail_msg("%s: \"%s\", last \"%s\"", cases[i].what, t.heard, t.s.last);
	}
}

/* A zero byte ends no line and hides nothing behind it. */
static void
zeros(void **state)
{
	(void)state;
	write_all("a\0b\n", 4);
	read_all();
	assert_string_equal(t.s.last, "a\\x00b");
}

static void
long_lines(void **state)
{
	static const struct {
		const char *what;
		size_t len, lines, last;
		char byte;
		const char *ends;
	} cases[] = {
	    {"one that just fits", SAID_LINE, 1, SAID_LINE, 'x', "xx"},
	    {"one byte more makes two", SAID_LINE + 1, 2, 1, 'x', "x"},
	    {"three", 3 * SAID_LINE - 1, 3, SAID_LINE - 1, 'x', "xx"},
	    {"escaped it is cut", SAID_LINE, 1, SAID_SHOWN - 1, '\x01', "..."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char bytes[3 * SAID_LINE + 1];
		size_t n = 0, len;

		assert_int_equal(teardown(state) || setup(state), 0);
		memset(bytes, cases[i].byte, cases[i].len);
		bytes[cases[i].len] = '\n';
		write_all(bytes, cases[i].len + 1);
		read_all();
		for (const char *at = strchr(t.heard, '\n'); at; at = strchr(at + 1, '\n'))
			n++;
		len = strlen(t.s.last);
		if (n != cases[i].lines || len != cases[i].last ||
		    strcmp(t.s.last + len - strlen(cases[i].ends), cases[i].ends) != 0)
			fail_msg("%s: %zu lines, the last of %zu", cases[i].what, n, len);
	}
}

/* --- the pipe ----------------------------------------------------------------------------------------------------- */

static void
closes(void **state)
{
	int fd = t.s.fd;

	(void)state;
	read_all(); /* nothing is there, and that is not the end */
	assert_int_equal(t.s.fd, fd);
	write_all("half", 4);
	read_all();
	assert_string_equal(t.s.last, "");
	end();
	assert_int_equal(t.s.fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_string_equal(t.s.last, "half");
	t.heard[0] = '\0';
	said_close(&t.s);
	assert_string_equal(t.heard, "");
}

/* Before the program is at its end, as when it is killed. */
static void
closed_early(void **state)
{
	int fd = t.s.fd;

	(void)state;
	write_all("last words", 10);
	read_all();
	said_close(&t.s);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_string_equal(t.s.last, "last words");
}

static void
names(void **state)
{
	static const struct {
		const char *what, *path, *name;
	} cases[] = {
	    {"below a folder", "/usr/bin/curl", "curl"},
	    {"no folder", "curl", "curl"},
	    {"nothing", "", ""},
	};
	char path[400];
	struct said s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		said_init(&s, "fetch", cases[i].path, DBG_PACKAGE, MAX);
		if (strcmp(s.name, cases[i].name) != 0 || s.fd != -1)
			fail_msg("%s: \"%s\"", cases[i].what, s.name);
		said_close(&s);
	}
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	said_init(&s, "fetch", path, DBG_PACKAGE, MAX);
	assert_int_equal(strlen(s.name), sizeof(s.name) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(zeros, setup, teardown),
	    cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(closes, setup, teardown),
	    cmocka_unit_test_setup_teardown(closed_early, setup, teardown),
	    cmocka_unit_test_setup_teardown(names, setup, teardown),
	};

	log_open("test", true, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
