/* agent/ctl_prompt: who answers a question, and what counts as an answer. */
#include "agent/ctl_prompt.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
	int old_stdin, old_stderr, master;
	struct ctl_prompt p;
	char *shown;
	size_t len;
} t;

/* Standard input and error are a terminal, whose other end is t.master. */
static int
setup(void **state)
{
	int slave;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.old_stdin = dup(STDIN_FILENO);
	t.old_stderr = dup(STDERR_FILENO);
	t.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t.master < 0 || grantpt(t.master) || unlockpt(t.master))
		return -1;
	slave = open(ptsname(t.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	t.p.out = open_memstream(&t.shown, &t.len);
	if (slave < 0 || !t.p.out || dup2(slave, STDIN_FILENO) < 0)
		return -1;
	close(slave);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dup2(t.old_stdin, STDIN_FILENO);
	dup2(t.old_stderr, STDERR_FILENO);
	close(t.old_stdin);
	close(t.old_stderr);
	close(t.master);
	fclose(t.p.out);
	free(t.shown);
	return 0;
}

static enum ctl_answer
ask(enum packages_asks kind)
{
	uint8_t body[1 + PACKAGES_DIGEST + 5] = {(uint8_t)kind, 7};

	memcpy(body + 1 + PACKAGES_DIGEST, "sure?", 5);
	return ctl_prompt_ask(&t.p, body, sizeof(body));
}

static const char *
shown(void)
{
	fflush(t.p.out);
	return t.shown;
}

static void
type(const char *keys)
{
	assert_int_equal(write(t.master, keys, strlen(keys)), strlen(keys));
}

/* Each option is for one kind of question. */
static void
options(void **state)
{
	static const struct {
		bool yes, accept_unsigned;
		enum packages_asks kind;
		enum ctl_answer answer;
	} rows[] = {
	    {true, false, PACKAGES_OVERWRITE, CTL_YES}, {true, false, PACKAGES_UNSIGNED, CTL_NO},
	    {true, false, PACKAGES_OLDER, CTL_NO},      {false, true, PACKAGES_OVERWRITE, CTL_NO},
	    {false, true, PACKAGES_UNSIGNED, CTL_YES},  {false, true, PACKAGES_OLDER, CTL_NO},
	    {true, true, PACKAGES_OLDER, CTL_NO},       {false, false, PACKAGES_OVERWRITE, CTL_NO},
	};

	(void)state;
	t.p.script = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t.p.yes = rows[i].yes;
		t.p.accept_unsigned = rows[i].accept_unsigned;
		if (ask(rows[i].kind) != rows[i].answer)
			fail_msg("row %zu", i);
		assert_int_equal(t.p.digest[0], 7);
	}
	assert_memory_equal(shown(), "sure?y\nsure?n\n", 14);
}

static void
nobody_at_a_terminal(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(write(pipes[1], "y\n", 2), 2);
	dup2(pipes[0], STDIN_FILENO);
	assert_int_equal(ask(PACKAGES_OVERWRITE), CTL_NO);
	assert_false(t.p.open);
	close(pipes[0]);
	close(pipes[1]);
}

static void
what_is_typed(void **state)
{
	static const struct {
		const char *keys;
		enum ctl_answer answer;
	} rows[] = {
	    {"y\n", CTL_YES},
	    {"Y\n", CTL_YES},
	    {"yes\n", CTL_YES},
	    {"n\n", CTL_NO},
	    {"\n", CTL_NO},
	    {"\4", CTL_NO},
	    {"yn\n", CTL_NO},
	    {"why\n", CTL_NO},
	    {" y\n", CTL_NO},
	    {"y\4", CTL_NO},
	    {"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n",
	     CTL_NO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(ask(PACKAGES_UNSIGNED), CTL_WAITS);
		assert_true(t.p.open);
		type(rows[i].keys);
		if (ctl_prompt_read(&t.p) != rows[i].answer)
			fail_msg("row %zu", i);
		assert_false(t.p.open);
	}
}

/* What was typed before there was a question answers none. */
static void
typed_ahead(void **state)
{
	(void)state;
	type("y\n");
	assert_int_equal(ask(PACKAGES_UNSIGNED), CTL_WAITS);
	type("n\n");
	assert_int_equal(ctl_prompt_read(&t.p), CTL_NO);
}

static void
a_question_that_is_no_more(void **state)
{
	(void)state;
	assert_int_equal(ctl_prompt_ask(&t.p, (const uint8_t *)"\0short", 6), CTL_NO);
	assert_int_equal(ask(PACKAGES_OVERWRITE), CTL_WAITS);
	ctl_prompt_drop(&t.p);
	assert_false(t.p.open);
	assert_string_equal(shown(), "sure?\n");
	ctl_prompt_drop(&t.p);
	assert_string_equal(shown(), "sure?\n");
}

/* On a terminal alone, and gone before anything else is shown. */
static void
progress(void **state)
{
	static const uint8_t half[] = {0, 0, 0,    0,    0, 0x1e, 0x84, 0x80, 0,   0,  0,
				       0, 0, 0x3d, 0x09, 0, 'f',  'e',  't',  'c', 'h'};
	static const uint8_t unknown[] = {0, 0, 0, 0, 0, 0x1e, 0x84, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 'f'};
	static const char expected[] = "\r\033[Kfetch 50% of 4.0 MB\r\033[Kf 2.0 MB\r\033[K";
	char seen[sizeof(expected)] = "";

	(void)state;
	ctl_prompt_clear(&t.p);
	assert_int_equal(dup2(STDIN_FILENO, STDERR_FILENO), STDERR_FILENO);
	ctl_prompt_progress(&t.p, half, 3);
	ctl_prompt_progress(&t.p, half, sizeof(half));
	ctl_prompt_progress(&t.p, unknown, sizeof(unknown));
	assert_true(t.p.progress);
	ctl_prompt_clear(&t.p);
	assert_false(t.p.progress);
	dup2(t.old_stderr, STDERR_FILENO);
	for (size_t len = 0; len < sizeof(expected) - 1;) {
		ssize_t n = read(t.master, seen + len, sizeof(expected) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_string_equal(seen, expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(options, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_at_a_terminal, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_typed, setup, teardown),
	    cmocka_unit_test_setup_teardown(typed_ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_question_that_is_no_more, setup, teardown),
	    cmocka_unit_test_setup_teardown(progress, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
