/* What agent_packages*.c share. */
#ifndef AGENT_AGENT_PACKAGES_PRIVATE_H
#define AGENT_AGENT_PACKAGES_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent_packages.h"
#include "agent/autoupdate.h"
#include "agent/fetch.h"
#include "agent/packages.h"
#include "base/err.h"
#include "package/version.h"

struct agent;
struct loop_io;
struct loop_task;
struct loop_timer;
struct packages;
struct pkg_check;
struct pkg_status;
struct pkg_store;

enum packages_stage {
	STAGE_IDLE,
	STAGE_OVERWRITE, /* asked whether what is there may be overwritten */
	STAGE_FETCH,
	STAGE_INSTALL,
	STAGE_CHECK, /* verifies what is installed */
};

enum { PACKAGES_USER = 32, PACKAGES_HOST = 256, PACKAGES_FROM = 300, PACKAGES_WHY = 512 };

struct agent_packages {
	struct agent *agent;
	struct pkg_store *store;   /* NULL: not open yet, or it cannot be opened */
	struct pkg_status *status; /* likewise */
	struct err trouble;        /* why it could not */
	char av[VERSION_TEXT], ips[VERSION_TEXT], denied[VERSION_TEXT];
	int watch_fd; /* tells when another process has changed the store; -1: nobody does */
	struct loop_io *watch_io;
	bool changed; /* … while something was under way here */

	struct autoupdate schedule;
	struct loop_timer *schedule_timer, *check_timer;
	char said[PACKAGES_WHY]; /* why no update could begin, when that was last said */

	/* what is under way */
	enum packages_stage stage;
	bool counted;                /* the schedule counts it as an update that runs */
	struct loop_task *task;      /* its next step */
	struct loop_timer *patience; /* for an answer */
	bool asked;                  /* one is waited for */
	struct packages_trust trust;
	struct fetch *fetch;
	struct packages *run;
	struct pkg_check *check;
	size_t reported; /* findings of the check that were told */
	bool watched;    /* somebody is told; otherwise it is the agent's own work */
	struct packages_watch watch;
	enum update_way way;
	unsigned families;
	enum packages_source source;
	size_t server;                /* which of the servers is asked */
	char failed[PACKAGES_WHY];    /* what the one before said; "": none was asked */
	int fd;                       /* of a file, until the job takes it; -1 */
	char name[FETCH_URL_MAX + 1]; /* of file or URL */
	char host[PACKAGES_HOST];
	char user[PACKAGES_USER];
	char from[PACKAGES_FROM];
};

/* agent_packages_fetch.c: begins to fetch what was ordered; in an automatic update from server number p->server. 0;
 * PACKAGES_NOBODY: there is no such server; or -errno. */
enum { PACKAGES_NOBODY = 1 };
int packages_fetch(struct agent_packages *p, const struct fetch_ops *ops, struct err *e);

#endif
