/* packages: runs one update in the event loop: the job's pieces, a vendor's programs, questions to whoever ordered it.
 *
 * Programs are in the handler directory. `package.NAME.validate` gets the unpacked payload on its standard input and
 * says by its exit status whether the database is one; it is confined: it reads system files and the handler directory,
 * writes none, and has no network. It had better not be root: Landlock keeps nobody from changing the modes of his own
 * files. `package.NAME.reload` makes what uses the database take the new one; it gets the payload on standard input and
 * its path as the last argument, and may do what its user may.
 *
 * No part of the agent is known here, so that fgfmctl can run an update, too.
 */
#ifndef AGENT_PACKAGES_H
#define AGENT_PACKAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "package/anchor.h"
#include "package/level.h"

struct err;
struct loop;
struct packages;
struct pkg_job;
struct pkg_question;
struct pkg_result;
struct pkg_store;

/* --- what packages are judged by ---------------------------------------------------------------------------------- */

struct packages_trust {
	struct anchors *anchors;
	struct denylist *denied; /* the installed list; NULL: none is */
	struct anchor_check check;
	enum level level;
	char level_why[LEVEL_WHY];
};

/* Reads authorities, security level, and the list in `store` (NULL: none). `now_s`: the latest of clock, build time and
 * last good time. 0, or -errno with *out empty. */
int packages_trust_read(const char *ca, const char *level_file, const struct pkg_store *store, int64_t now_s,
			struct packages_trust *out, struct err *e);
void packages_trust_free(struct packages_trust *t); /* and empties it: twice is fine */

/* --- one update --------------------------------------------------------------------------------------------------- */

struct packages_programs {
	const char *dir;            /* the handler directory */
	const char *validator_user; /* whom validators run as; "": who runs this */
	const char *hook_user;      /* whom reload hooks run as, likewise */
};

/* None is called before packages_new() has returned. */
struct packages_ops {
	void *ctx;
	void (*ask)(void *ctx, const struct pkg_question *q); /* answered with packages_answer(), at any time */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void (*done)(void *ctx, const struct pkg_result *r); /* the last one; packages_free() may be called in it */
};

/* Takes the job, also on failure. Texts are copied. 0 or -errno. */
int packages_new(struct loop *l, struct pkg_job *job, const struct packages_programs *programs,
		 const struct packages_ops *ops, struct packages **out, struct err *e);
void packages_answer(struct packages *p, bool yes, const uint8_t digest[32]);
/* As pkg_job_stop(): if it has to go on, `done` follows. */
bool packages_stop(struct packages *p);
void packages_free(struct packages *p); /* NULL-safe, at any time: what was begun is undone */

#endif
