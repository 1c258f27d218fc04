/* receipt: one record for each install, newest 100, on disk as JSON Lines.
 *
 * A receipt outlives reboots: it is delivered to the manager at least once, and the digest in it keeps an install that
 * was rolled back from being tried again by itself.
 */
#ifndef ROLLBACK_RECEIPT_H
#define ROLLBACK_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"

struct cJSON;
struct err;
struct receipts;

enum {
	RECEIPTS_KEPT = 100,
	RECEIPT_FAILURES = 1000,
	RECEIPT_CODES = 32,
	RECEIPT_COMMAND_MAX = 120, /* bytes kept of a failed command: enough to know it, and a bound on the file */
	RECEIPT_NAMED = 20,        /* commands named as not reversible */
	INSTALL_ID_MAX = 65
};

enum receipt_verdict {
	RECEIPT_COMMITTED,
	RECEIPT_ROLLED_BACK,
	RECEIPT_REBOOTED,
	RECEIPT_POWER_LOST,
	RECEIPT_REFUSED,
};

const char *receipt_verdict_name(enum receipt_verdict v); /* "committed", "rolled-back", … */

struct receipt_failure {
	int code;
	unsigned line;
	bool unset; /* from the unset script */
	char *text; /* owned; cut to RECEIPT_COMMAND_MAX */
};

struct receipt_count {
	int code;
	unsigned times;
};

/* What the dry run found: rollback/dry_run.h says what is reversible. */
struct receipt_dry {
	bool made; /* false: there was none, and nothing else here means anything */
	bool back; /* the copy came back to where it was */
	unsigned commands, reversible;
	struct {
		unsigned line;
		char *text;     /* owned; cut to RECEIPT_COMMAND_MAX */
	} named[RECEIPT_NAMED]; /* the first that are not reversible; after a start of the agent none */
	size_t named_count;
};

struct receipt {
	char id[INSTALL_ID_MAX];
	char manager[33]; /* serial of who sent it; "": it was made on the device, and no manager waits for it */
	char set_digest[SHA256_TEXT], unset_digest[SHA256_TEXT];
	int64_t when_s;                             /* wall clock at acceptance */
	struct receipt_count counts[RECEIPT_CODES]; /* of the set script, per code */
	size_t count_used;
	struct receipt_failure *failures; /* owned; the first 1,000 */
	size_t failure_count;
	struct receipt_dry dry;
	unsigned restored;   /* lines the agent had to restore itself */
	int64_t spent_ms[8]; /* per enum install_state */
	enum receipt_verdict verdict;
	char cause[256];
	bool delivered;
};

void receipt_init(struct receipt *r);
void receipt_clear(struct receipt *r);           /* frees what it owns */
void receipt_count(struct receipt *r, int code); /* beyond RECEIPT_CODES different ones: ignored */
int receipt_fail(struct receipt *r, int code, unsigned line, bool unset, const char *text); /* past 1,000: ignored */
int receipt_name(struct receipt *r, unsigned line,
		 const char *text); /* one not reversible; past RECEIPT_NAMED: ignored */

/* {"id","manager","verdict","cause","when","set-digest","unset-digest","counts":{"0":7,"-23":1},"failures":[{"code","line",
 * "script","command"}],"dry-run":{"commands","reversible","back","not-reversible":[{"line","command"}]},"restored",
 * "times":{"applying":…},"delivered"}; "dry-run" only where one was made. The caller frees it. */
struct cJSON *receipt_json(const struct receipt *r);
int receipt_from_json(const struct cJSON *j, struct receipt *out, struct err *e);

/* `<state>/receipts.jsonl`. Missing: empty. Damaged lines are set aside with the whole file as .corrupt, with an event,
 * and the good ones are kept; a file that cannot be read at all is treated alike. Fails for want of memory only. */
int receipts_open(const char *state_dir, struct receipts **out, struct err *e);
void receipts_free(struct receipts *rs);
size_t receipts_count(const struct receipts *rs);
const struct receipt *receipts_at(const struct receipts *rs, size_t i); /* oldest first; valid until the next change */
const struct receipt *receipts_find(const struct receipts *rs, const char *id); /* the newest of that id */

/* Appends, taking what `r` owns (it is cleared), and drops the oldest beyond 100. A write that fails keeps the receipt
 * in memory and returns the error; the next change writes everything again. */
int receipts_add(struct receipts *rs, struct receipt *r, struct err *e);

/* Writes what a failed write left in memory only. 0 also when there is nothing. */
bool receipts_unwritten(const struct receipts *rs);
int receipts_flush(struct receipts *rs, struct err *e);

/* The oldest one the manager `serial` has not got (any manager: NULL). What was made on the device goes to none. */
const struct receipt *receipts_undelivered(const struct receipts *rs, const char *serial);
/* The oldest undelivered one of that id is delivered now. -ENOENT: there is none. */
int receipts_delivered(struct receipts *rs, const char *id, struct err *e);

/* The last install with these scripts that came to an end, if it was rolled back (or rebooted, or lost its power) and
 * is still remembered; otherwise NULL. */
const struct receipt *receipts_rolled_back(const struct receipts *rs, const char *set_digest, const char *unset_digest);

#endif
