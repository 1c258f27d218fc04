/* box: the agent without its protocol: configuration, appliers, installs and their files, as the agent wires them, with
 * a scripted manager and a clock of its own. Each life of it is a process, which ends without tidying up.
 */
#ifndef TEST_FAULT_BOX_H
#define TEST_FAULT_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "test/fault/system.h"

struct schema;
struct trace_plan;
struct trace_result;

extern const char box_saved[], box_set[], box_unset[];

#define BOX_INSTALL "install-1"

/* Where a life ends by itself, to set the scene for the next. */
enum box_end { BOX_TO_THE_END, BOX_APPLYING, BOX_TESTING, BOX_COMMITTING, BOX_REVERTING, BOX_RETESTING };

struct box_plan {
	const struct schema *schema;
	const char *state_dir, *log;
	int boot;
	int64_t now_ms;        /* of the boot-time clock, at the start */
	bool begin;            /* a manager sends the install */
	bool up, up_in_retest; /* a fresh session comes up when it is tried */
	enum box_end end;
};

/* How far a life came; bits, for whoever looks at it from outside. */
enum { BOX_STARTED = 1, BOX_ACCEPTED = 2, BOX_SESSION = 4, BOX_TOLD = 8 };

enum { BOX_NO_VERDICT = -1 };

/* What a life did, in memory that outlives it. */
struct box_seen {
	volatile unsigned phase;
	volatile int state; /* enum install_state, after the last step */
	bool failed_to_start, done, reboot;
	bool forgotten; /* an install that was not committed would be taken again */
	unsigned set_lines, tests, verdicts;
	int verdict; /* of the newest receipt of the install, or BOX_NO_VERDICT */
	unsigned receipts;
	bool memory_is_saved;
	char memory[SYSTEM_TEXT]; /* the system as the configuration in memory wants it */
	char cause[256], why[320];
};

/* One life in a process of its own, traced if there is a plan for that. `seen` is shared memory and cleared first. */
int box_live(const struct box_plan *p, struct box_seen *seen, const struct trace_plan *trace,
	     struct trace_result *result);

#endif
