/* level: the security level of the machine, and who may have an object of which kind installed.
 *
 * The level belongs to the machine (guide: "pre-configured on the BIOS"); nothing in here sets it. What each way of
 * updating does with signed, unsigned and badly signed objects is one table.
 */
#ifndef PACKAGE_LEVEL_H
#define PACKAGE_LEVEL_H

#include <stdbool.h>

/* 0, 1, 2 of the guide; newer releases have Low and High in their place. */
enum level { LEVEL_0, LEVEL_1, LEVEL_2, LEVEL_LOW, LEVEL_HIGH, LEVEL_COUNT };
enum { LEVEL_WHY = 512 };

enum update_way { UPDATE_AUTOMATIC, UPDATE_MANUAL, UPDATE_HA, UPDATE_WAYS };

/* Of an object. Bad is also one that is damaged, or is not what it is called. */
enum signature { SIGNATURE_BAD, SIGNATURE_NONE, SIGNATURE_VALID };

enum verdict {
	VERDICT_REJECT,
	VERDICT_ASK,  /* warn, and install it if somebody at a terminal says yes */
	VERDICT_WARN, /* accepted, and the log says that it was unsigned */
	VERDICT_ACCEPT,
};

/* `forced`: the object is of a type that has to be signed. */
enum verdict level_decide(enum update_way way, enum level level, bool forced, enum signature s);

/* The machine's level: the stricter of what the firmware's variable and the file say; 1 where there is neither. What
 * is there but is not one digit 0…2, or somebody but root can write, is 2. `why`: where it comes from, for people. */
enum level level_read(const char *variable, const char *file, char why[LEVEL_WHY]);

const char *level_name(enum level l);           /* "0", "1", "2", "Low", "High" */
const char *update_way_name(enum update_way w); /* "automatic", "manual", "ha" */
const char *verdict_name(enum verdict v);       /* "reject", "ask", "accept-with-warning", "accept" */
const char *signature_name(enum signature s);   /* "bad", "none", "valid" */

#endif
