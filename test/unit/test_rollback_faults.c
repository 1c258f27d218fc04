/* The invariants of the recovery rules, with a disk that fails and an agent that dies at every step of whole installs.
 * FAULT_STRIDE=N in the environment: at every N-th step. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "test/unit/rollback_box.h"

struct story {
	const char *what;
	bool up_in_test, up_in_retest, reboot_wanted;
};

static const struct story stories[] = {
    {"commit", true, false, false},
    {"roll back", false, true, false},
    {"roll back and stay offline", false, false, false},
    {"reboot", false, false, true},
};

enum { STORIES = sizeof(stories) / sizeof(stories[0]) };

static int stride = 1;

static void
tell(const struct story *s)
{
	box.up_in_test = s->up_in_test;
	box.up_in_retest = s->up_in_retest;
	box.reboot_wanted = s->reboot_wanted;
}

static void
new_box(void **state, const struct story *s)
{
	box_teardown(state);
	if (box_setup(state))
		fail_msg("no box");
	tell(s);
}

/* Time for what is tried again each 30 s. */
static void
let_chores_be_done(void)
{
	for (int i = 0; i < 3 && install_deadline(box.in).ms != MONO_NEVER.ms; i++) {
		box.now = install_deadline(box.in);
		install_tick(box.in, box.now);
	}
}

static void
restart(void)
{
	box_stop();
	box_start();
	box_drive();
}

/* While the disk is still in trouble: the install came to an end, and what is in memory is what a start would load. */
static void
check_in_trouble(const struct story *s, int n)
{
	if (box_state() != INSTALL_IDLE || !box_saved_is_memory() || !box_system_is_memory())
		fail_msg("%s, trouble from call %d on: %s", s->what, n, install_state_name(box_state()));
}

static void
one_call_fails(void **state)
{
	static const struct {
		enum fault_kind kind;
		int error;
	} rows[] = {{FAULT_ONCE, EIO}, {FAULT_ONCE, ENOSPC}, {FAULT_TORN, ENOSPC}};

	for (size_t k = 0; k < STORIES * 3; k++) {
		const struct story *s = &stories[k / 3];
		int n = 0;
		bool hit;

		do {
			new_box(state, s);
			n += stride;
			faults_set(rows[k % 3].kind, n, rows[k % 3].error);
			if (box_begin())
				assert_true(box_memory_is(false));
			box_drive();
			hit = faults.hit;
			faults_clear();
			let_chores_be_done();
			box_check_over(s->what, n);
			restart();
			box_check_over(s->what, n);
		} while (hit);
		if (n <= 25)
			fail_msg("%s: only %d calls", s->what, n);
	}
}

/* Full or read-only from the n-th call on, then mended. */
static void
every_later_call_fails(void **state)
{
	static const int errors[] = {ENOSPC, EROFS};

	for (size_t k = 0; k < STORIES * 2; k++) {
		const struct story *s = &stories[k / 2];
		int n = 0;
		bool hit;

		do {
			new_box(state, s);
			n += stride;
			faults_set(FAULT_ALL, n, errors[k % 2]);
			box_begin();
			box_drive();
			hit = faults.hit;
			check_in_trouble(s, n);
			restart();
			check_in_trouble(s, n);
			faults_clear();
			let_chores_be_done();
			box_check_over(s->what, n);
			restart();
			box_check_over(s->what, n);
		} while (hit);
		if (n <= 25)
			fail_msg("%s: only %d calls", s->what, n);
	}
}

/* Runs the story, or what is left of it, in a process of its own. True when it died of the fault that was set. */
static bool
live_and_die(bool begin, enum fault_kind kind, int n)
{
	int status = 0;
	pid_t pid;

	box.sim->applies = 0;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		faults_set(kind, n, EIO);
		if (begin)
			box_begin();
		else
			box_start();
		box_drive();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != FAULT_EXIT))
		fail_msg("the agent crashed by itself: %d", status);
	return WEXITSTATUS(status) == FAULT_EXIT;
}

static void
dies_at_every_call(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_DIE, FAULT_DIE_TORN};

	for (size_t k = 0; k < STORIES * 4; k++) {
		const struct story *s = &stories[k / 4];
		bool power = k & 1, died;
		int n = 0;

		do {
			new_box(state, s);
			n += stride;
			died = live_and_die(true, kinds[k / 2 % 2], n);
			if (power) {
				box_power_cycle();
			} else {
				box_stop();
				box_start();
			}
			box_drive();
			let_chores_be_done();
			box_check_over(s->what, n);
			assert_true(receipts_count(box.receipts) <= 1);
		} while (died);
		if (n <= 25)
			fail_msg("%s: only %d calls", s->what, n);
	}
}

/* The install, or what takes it back, kills the agent whenever it touches the system: in each life anew. */
static void
dies_at_every_apply(void **state)
{
	for (size_t k = 0; k < STORIES * 2; k++) {
		const struct story *s = &stories[k / 2];
		bool again = k & 1, died, given_up;
		int n = 0;

		do {
			new_box(state, s);
			box.sim->die_at_apply = ++n;
			died = live_and_die(true, FAULT_NONE, 0);
			for (int lives = 0; again && lives < 12 && live_and_die(false, FAULT_NONE, 0); lives++)
				assert_true(lives < 11);
			box.sim->die_at_apply = 0;
			restart();
			given_up = fixture_contains("receipts.jsonl", "stays in the system");
			assert_true(again || !given_up);
			box_check(s->what, n, !given_up);
		} while (died);
		assert_true(n > 3);
	}
}

/* Every start dies at the same call of its own: however often, the end is a good one. */
static void
dies_in_every_life(void **state)
{
	for (size_t k = 0; k < STORIES; k++) {
		for (int first = 10; first < 80; first += 10) {
			for (int n = 1; n < 60; n += 3 * stride) {
				int lives = 0;

				new_box(state, &stories[k]);
				live_and_die(true, FAULT_DIE_TORN, first);
				while (lives < 8 && live_and_die(false, FAULT_DIE_TORN, n))
					lives++;
				restart();
				let_chores_be_done();
				box_check_over(stories[k].what, first * 100 + n);
			}
		}
	}
}

#define IN_BOX(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_BOX(one_call_fails),      IN_BOX(every_later_call_fails), IN_BOX(dies_at_every_call),
	    IN_BOX(dies_at_every_apply), IN_BOX(dies_in_every_life),
	};

	const char *every = getenv("FAULT_STRIDE");

	if (every && atoi(every) > 0)
		stride = atoi(every);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
