/* reboots: how often this box was rebooted by a rollback, in accumulated agent uptime.
 *
 * At most 3 in 24 hours of uptime, so that a box never loops. The record must be on disk before a reboot.
 */
#ifndef ROLLBACK_REBOOTS_H
#define ROLLBACK_REBOOTS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct reboots;

enum { REBOOTS_MAX = 3, REBOOTS_WINDOW_S = 24 * 3600, REBOOTS_SAVE_S = 3600 };

/* `<state>/reboots.json`; missing: none so far; damaged: set aside, and counted as full until it was written anew with
 * one window's uptime passed (a box that cannot tell must not loop). */
int reboots_open(const char *state_dir, struct reboots **out, struct err *e);
void reboots_free(struct reboots *r);

/* Adds uptime in seconds since the last call; written when an hour has come together, and by reboots_save(). */
void reboots_uptime(struct reboots *r, int64_t seconds);
int reboots_save(struct reboots *r, struct err *e);

size_t reboots_recent(const struct reboots *r); /* in the window */

/* Notes one reboot and its reason on disk; -EDQUOT when there were 3 already, or the file's error: then do not reboot.
 */
int reboots_note(struct reboots *r, const char *reason, struct err *e);

/* The reason noted last, for `get system status`; "" when there is none. */
const char *reboots_last_reason(const struct reboots *r);

#endif
