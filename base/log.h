/* log: debug lines by mask, and events that are always on.
 *
 * Debug lines read "FGFMs: …" like the vendor's and are off unless a mask bit is set, on the command line or from a
 * shell. Events are key=value lines (or JSON) for syslog. Neither ever holds a secret: callers pass none.
 * The one piece of process-wide state in this program lives here.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum {
	DBG_ERROR = 1,
	DBG_SESSION = 2,
	DBG_MESSAGE = 4,
	DBG_TUNNEL = 8,
	DBG_CONFIG = 16,
	DBG_CHANNEL = 32,
	DBG_PACKAGE = 64,
	DBG_PACKET = 128,
	DBG_ALL = 255,
	DBG_CLI = 256, /* commands of installs and rollbacks, for shells: outside the mask operators set */
};

enum log_level { LOG_LEVEL_CRITICAL, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO };

/* Where a debug line also goes, besides stderr or syslog: an operator's shell. `line` has no newline and ends with the
 * call. A sink may not log. */
struct log_sink {
	unsigned mask;
	void (*line)(void *ctx, const char *line);
	void *ctx;
	struct log_sink *next; /* the log's own */
};

/* To stderr when `foreground`, else to syslog; `mask` is the mask of that place. */
void log_open(const char *ident, bool foreground, bool json);
void log_set_mask(unsigned mask);
unsigned log_mask(void); /* that of log_set_mask() */

/* Attaches a sink the caller owns and keeps alive until detached; change `mask` only through log_sink_mask(). */
void log_attach(struct log_sink *s);
void log_detach(struct log_sink *s);
void log_sink_mask(struct log_sink *s, unsigned mask);

/* True when somebody wants lines of this kind: ask before building an expensive one. */
bool log_wants(unsigned mask);

/* One debug line, "FGFMs: " put before it. */
void log_debug(unsigned mask, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One debug line as it is, for the lines of a message. */
void log_raw(unsigned mask, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Serial and virtual domain that events carry; copied. */
void log_set_device(const char *serial);

/* One event: id, level, description, then key, value pairs ended by NULL. Values are escaped; a NULL value is "". */
void log_event(const char *logid, enum log_level level, const char *desc, ...) __attribute__((sentinel));

/* What has to be said before or beside events: start-up trouble, files that were ignored. */
void log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Event ids: the first two are the vendor's [G]; the rest up to those of packages are ours, in a range the vendor does
 * not use for fgfm. */
#define EVENT_TUNNEL_UP "0100053400"
#define EVENT_TUNNEL_DOWN "0100053401"
#define EVENT_AUTH_REFUSED "0100053410"
#define EVENT_TRUST_CHANGED "0100053411"
#define EVENT_INSTALL_BEGUN "0100053420"
#define EVENT_INSTALL_COMMITTED "0100053421"
#define EVENT_INSTALL_ROLLED_BACK "0100053422"
#define EVENT_INSTALL_REFUSED "0100053423"
#define EVENT_REBOOT "0100053424"
#define EVENT_FILE_DAMAGED "0100053430"
#define EVENT_CONFIG_CHANGED "0100053431"
#define EVENT_SECURITY "0100053440"
#define EVENT_DAEMON "0100053450"
#define EVENT_UPDATE_WANTED "0100053460"
#define EVENT_UPDATE_REFUSED "0100053461" /* an object, for another reason than its signature */
#define EVENT_UPDATE_COPIED "0100053462"  /* objects of another unit of the cluster */

/* Of packages, the vendor's: [G] its guide to signed packages, [P] its log message reference. */
#define EVENT_UPDATE_DONE "0100041000"        /* [G] automatically */
#define EVENT_UPDATE_FAILED "0100041001"      /* [P] automatically */
#define EVENT_UPDATE_IPS_BY_HAND "0100032217" /* [G] */
#define EVENT_UPDATE_AV_BY_HAND "0100032118"  /* [P] */
#define EVENT_RESTORE_FAILED "0100032231"     /* [G] by hand */
#define EVENT_SIGNATURE_INVALID "0100041009"  /* [G] one for each database */

#endif
