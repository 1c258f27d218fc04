/* agent_packages: what an operator orders of packages, and what he is told until it is done.
 *
 * One thing at a time in all of the agent, an automatic update included: what comes second is refused. Nothing is told
 * before the function that gave the order has returned; after `done` nothing more is.
 */
#ifndef AGENT_AGENT_PACKAGES_H
#define AGENT_AGENT_PACKAGES_H

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct err;

enum { PACKAGES_DIGEST = 32 };

enum packages_asks { PACKAGES_OVERWRITE, PACKAGES_UNSIGNED, PACKAGES_OLDER };

/* Consent is for the very bytes that `digest` is of; zeros before there are any. */
struct packages_question {
	enum packages_asks kind;
	uint8_t digest[PACKAGES_DIGEST];
	const char *text; /* ends in "(y/n)" */
};

struct packages_watch {
	void *ctx;
	void (*say)(void *ctx, const char *text); /* with its ends of line */
	void (*ask)(void *ctx, const struct packages_question *q);
	void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total); /* bytes; total 0: not known */
	void (*done)(void *ctx, int code, const char *reason);                        /* CLI_OK or another CLI code */
};

enum packages_source { PACKAGES_TFTP, PACKAGES_HTTPS, PACKAGES_FILE };

/* `execute restore ips|av …`. Texts are copied. */
struct packages_order {
	enum packages_source source;
	bool av;            /* otherwise IPS: objects of the other family are refused */
	const char *name;   /* of the file; the URL */
	const char *server; /* of TFTP */
	int fd;             /* of PACKAGES_FILE: borrowed, duplicated */
	const char *user;   /* for events */
};

/* 0 or a CLI code; then `watch` is told. `watch` is copied. */
int agent_packages_restore(struct agent *a, const struct packages_order *o, const struct packages_watch *w,
			   struct err *e);
/* `execute update-now`. */
int agent_packages_update(struct agent *a, const char *user, const struct packages_watch *w, struct err *e);
/* `diagnose autoupdate signature check-all`. */
int agent_packages_check(struct agent *a, const struct packages_watch *w, struct err *e);

/* To the question asked last. */
void agent_packages_answer(struct agent *a, bool yes, const uint8_t digest[PACKAGES_DIGEST]);
/* Ends what was ordered; its `watch` is told nothing more. False: a database is being reloaded, which goes on to its
 * end; until then nothing else can be ordered. */
bool agent_packages_cancel(struct agent *a);

#endif
