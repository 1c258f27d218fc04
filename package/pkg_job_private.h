/* pkg_job_private: one update from the inside; pkg_job.c does it, pkg_job_say.c tells of it.
 */
#ifndef PACKAGE_PKG_JOB_PRIVATE_H
#define PACKAGE_PKG_JOB_PRIVATE_H

#include "package/container.h"
#include "package/pkg_job.h"
#include "package/pkg_store_private.h"
#include "package/verify.h"

/* One object. */
struct item {
	int source_fd; /* owned when it is a copy's; else the package's */
	struct container_object o;
	int object_fd, payload_fd;            /* owned; -1: not yet, or no longer */
	uint64_t object_begun, payload_begun; /* see write_behind() */
	struct verify *v;                     /* owned */
	unsigned flushed;                     /* of the two files */
	bool asks_unsigned, asks_older;
	struct pkg_placed placed;
};

enum phase {
	PHASE_OPEN,
	PHASE_VERIFY,
	PHASE_ASK_UNSIGNED,
	PHASE_ASK_OLDER,
	PHASE_UNPACK,
	PHASE_VALIDATED,
	PHASE_PLACE,
	PHASE_SWAP,
	PHASE_RELOADED,
	PHASE_RELOADED_BEFORE,
	PHASE_END,
	PHASE_DONE,
};

enum { QUESTION_TEXT = 4096 };

struct pkg_job {
	struct pkg_job_params p;
	struct denylist *denied; /* owned: the installed list; NULL: none is */
	int package_fd;          /* owned; -1: copies */
	bool is_package;
	enum phase phase;
	size_t at; /* the item at work */
	size_t count;
	struct item items[FORMAT_OBJECTS_MAX];
	struct pkg_object_result results[FORMAT_OBJECTS_MAX]; /* of the same index */
	struct pkg_question question;
	char question_text[QUESTION_TEXT];
	bool answered_yes;
	bool stopped; /* the objects left are declined */
	struct pkg_run run;
	int run_fd; /* owned: the payload, for a program */
	int ran_rc;
	struct err ran_why;
	struct pkg_result result;
	bool concluded;
};

/* Debug lines in the guide's words, and events. */
void pkg_say_found(const struct pkg_job *job, size_t i);
void pkg_say_verified(const struct pkg_job *job, size_t i);
void pkg_say_refused(const struct pkg_job *job, size_t i);
void pkg_say_unpacked(const struct pkg_job *job, size_t i);
void pkg_say_placed(const struct pkg_job *job, size_t i, const char *to);
void pkg_say_installed(const struct pkg_job *job, size_t i);
void pkg_say_status(bool wrote, const struct err *failed);
void pkg_say_end(const struct pkg_job *job);

/* Fills question_text for those that ask. */
void pkg_say_question(struct pkg_job *job, enum pkg_ask what);
void pkg_say_summary(struct pkg_job *job);

#endif
