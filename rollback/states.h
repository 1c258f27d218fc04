/* states: the states of an install and what each event does, as one table (recovery rules). Pure data.
 */
#ifndef ROLLBACK_STATES_H
#define ROLLBACK_STATES_H

#include <stdbool.h>

#include "rollback/install.h"

enum install_event {
	ON_ACCEPT,      /* scripts checked */
	ON_START,       /* the first set command is next */
	ON_APPLIED,     /* the last set command is done */
	ON_SESSION,     /* a fresh session is up */
	ON_CONFIRM,     /* the operator's words */
	ON_REVERT,      /* … */
	ON_DEADLINE,    /* the state's time is over */
	ON_SAVED,       /* the saved file is the new one */
	ON_REVERTED,    /* memory and system equal the saved configuration */
	ON_REBOOT,      /* the state's time is over and a reboot is allowed */
	ON_FAILED,      /* the state's work, or the mark for the next state, could not be done */
	ON_RESTARTED,   /* the agent started again in the same boot */
	ON_UNFIT,       /* … too often */
	ON_OTHER_BOOT,  /* the machine started again */
	ON_FOUND_SAVED, /* the agent or the machine started again, and the saved file had been replaced */
	INSTALL_EVENTS,
};

/* What is done after the mark is on disk. Applying, testing, committing and reverting need the configuration of before
 * plus the set script in memory: an agent that was started anew rebuilds it first. */
enum install_action {
	ACTION_NONE,
	ACTION_APPLY,  /* run the set script */
	ACTION_TEST,   /* ask for a fresh session */
	ACTION_COMMIT, /* save */
	ACTION_REVERT, /* run the unset script, then restore the rest */
	ACTION_RETEST, /* ask for a fresh session under the old configuration */
	ACTION_REBOOT,
	ACTION_COMMITTED, /* the verdicts: receipt, no more journal */
	ACTION_ROLLED_BACK,
	ACTION_REBOOTED,
	ACTION_POWER_LOST,
	ACTION_REFUSED,
};

struct install_row {
	enum install_state state;
	enum install_event event;
	enum install_state next;
	enum install_action action;
};

/* The row of a pair; NULL: this event means nothing in that state. */
const struct install_row *states_row(enum install_state s, enum install_event ev);

const char *states_event_name(enum install_event ev);

/* Whether the agent may enter this state only with its mark on disk. On the way back nothing stops it. */
bool states_need_mark(enum install_state s);

#endif
