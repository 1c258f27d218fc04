/* rollback/states: every pair of state and event, against the table of the recovery rules written down again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "rollback/states.h"

/* By letter: a state's initial. */
static const char letters[INSTALL_STATES + 1] = {
    [INSTALL_IDLE] = 'i',       [INSTALL_JOURNALED] = 'j', [INSTALL_APPLYING] = 'a',  [INSTALL_TESTING] = 't',
    [INSTALL_COMMITTING] = 'c', [INSTALL_REVERTING] = 'r', [INSTALL_RETESTING] = 'R', [INSTALL_REBOOTING] = 'B',
};

static void
every_pair(void **state)
{
	static const struct {
		enum install_event event;
		const char *next; /* for each state in the order of `letters`; '-': means nothing */
	} rows[] = {
	    {ON_ACCEPT, "j-------"},   {ON_START, "-a------"},      {ON_APPLIED, "--t-----"},
	    {ON_SESSION, "---c--i-"},  {ON_CONFIRM, "---c----"},    {ON_REVERT, "---r----"},
	    {ON_DEADLINE, "--rr--ii"}, {ON_SAVED, "----i---"},      {ON_REVERTED, "-----R--"},
	    {ON_REBOOT, "------B-"},   {ON_FAILED, "-irrr-ii"},     {ON_RESTARTED, "-irtcrri"},
	    {ON_UNFIT, "---rrRR-"},    {ON_OTHER_BOOT, "-iiiiiii"}, {ON_FOUND_SAVED, "----i---"},
	};

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), INSTALL_EVENTS);
	for (size_t i = 0; i < INSTALL_EVENTS; i++) {
		for (int s = 0; s < INSTALL_STATES; s++) {
			const struct install_row *row = states_row((enum install_state)s, rows[i].event);
			char next = row ? letters[row->next] : '-';

			if (next != rows[i].next[s])
				fail_msg("%s while %s: leads to %c, %c expected", states_event_name(rows[i].event),
					 install_state_name((enum install_state)s), next, rows[i].next[s]);
		}
	}
}

static void
idle_is_entered_with_a_verdict_only(void **state)
{
	(void)state;
	for (int s = 0; s < INSTALL_STATES; s++) {
		for (int ev = 0; ev < INSTALL_EVENTS; ev++) {
			const struct install_row *row = states_row((enum install_state)s, (enum install_event)ev);

			if (row)
				assert_int_equal(row->next == INSTALL_IDLE, row->action >= ACTION_COMMITTED);
		}
	}
}

/* Whatever cannot be entered without its mark has a way on when the mark fails. */
static void
a_mark_that_fails_leads_somewhere(void **state)
{
	(void)state;
	for (int s = INSTALL_JOURNALED; s < INSTALL_STATES; s++) {
		for (int ev = 0; ev < INSTALL_EVENTS; ev++) {
			const struct install_row *row = states_row((enum install_state)s, (enum install_event)ev);
			const struct install_row *then = states_row((enum install_state)s, ON_FAILED);

			if (!row || !states_need_mark(row->next))
				continue;
			assert_non_null(then);
			assert_false(states_need_mark(then->next));
		}
	}
}

static void
everything_has_a_name(void **state)
{
	(void)state;
	for (int s = 0; s < INSTALL_STATES; s++)
		assert_string_not_equal(install_state_name((enum install_state)s), "unknown");
	for (int ev = 0; ev < INSTALL_EVENTS; ev++)
		assert_string_not_equal(states_event_name((enum install_event)ev), "unknown");
	assert_string_equal(install_state_name(INSTALL_STATES), "unknown");
	assert_string_equal(states_event_name(INSTALL_EVENTS), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_pair),
	    cmocka_unit_test(idle_is_entered_with_a_verdict_only),
	    cmocka_unit_test(a_mark_that_fails_leads_somewhere),
	    cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
