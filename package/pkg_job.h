/* pkg_job: one update, from a file to what is installed.
 *
 * Every object is copied into an unnamed file of the store while it is verified: each byte is read from its source
 * once, and only the copy is judged, unpacked and kept, so that a file swapped or written to meanwhile changes nothing.
 * Then level.h and the versions decide; questions are asked; each accepted object is unpacked, validated, put on disk,
 * made current, and reloaded, and taken back where that fails. The status is written last.
 * Objects are independent: a refused one keeps no other from being installed, but fails the command.
 *
 * It works in bounded pieces, so that a daemon of one thread can run it, and knows no program and no clock: who owns it
 * asks, runs, and answers. One job at a time, in all processes together.
 */
#ifndef PACKAGE_PKG_JOB_H
#define PACKAGE_PKG_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "package/anchor.h"
#include "package/format.h"
#include "package/level.h"
#include "package/types.h"
#include "package/version.h"

struct pkg_job;
struct pkg_status;
struct pkg_store;

struct pkg_job_params {
	struct pkg_store *store;   /* borrowed, as long as the job lives; read again when it begins */
	struct pkg_status *status; /* borrowed and read again likewise */
	struct anchor_check check; /* copied; what it points to is borrowed. The occasion is always ANCHOR_NEW, and the
				    * list in the store counts, where there is one */
	enum level level;
	enum update_way way;
	unsigned families;            /* PKG_AV | PKG_IPS | PKG_OTHER: what this command may install */
	uint32_t os_build;            /* of this system; objects may ask for a least one */
	int64_t now_s;                /* wall clock, for the status */
	const char *user, *ui, *from; /* borrowed, for events: who, from where, the server ("192.0.2.1:443"); or NULL */
};

/* An object by itself: a copy from another unit (pkg_copy.h). */
struct pkg_copy {
	const struct object_type *kind;
	int fd;
};

/* `fd`: a package; `copies`: `n` objects, 1…FORMAT_OBJECTS_MAX. The descriptors are taken, whatever becomes of it.
 * 0; -EBUSY: another job is under way; or -errno. What is wrong with the file is said by the job's result. */
int pkg_job_new(const struct pkg_job_params *p, int fd, struct pkg_job **out, struct err *e);
int pkg_job_new_copies(const struct pkg_job_params *p, const struct pkg_copy *copies, size_t n, struct pkg_job **out,
		       struct err *e);

/* At any time, NULL-safe: what was begun is undone, what was installed stays. While a database is being reloaded it is
 * for an end that cannot wait: what was there before is current again, but is not reloaded. */
void pkg_job_free(struct pkg_job *job);

/* Nobody wants the rest of it. True: it may be freed now. False: a database is being reloaded, and who reads it has to
 * end up with what is current, so that it goes on until that is over; then the objects left are declined and it is
 * done. */
bool pkg_job_stop(struct pkg_job *job);

enum pkg_step {
	PKG_MORE, /* call again */
	PKG_ASK,  /* pkg_job_question(), then pkg_job_answer() */
	PKG_RUN,  /* pkg_job_run(), then pkg_job_ran() */
	PKG_DONE, /* pkg_job_result() */
};

/* A bounded piece of work, about a mebibyte of data. */
enum pkg_step pkg_job_step(struct pkg_job *job);

enum pkg_ask { PKG_ASK_UNSIGNED, PKG_ASK_OLDER };

struct pkg_question {
	enum pkg_ask what;
	const char *text;   /* lines for a terminal, the last with its end; "Do you want to continue? (y/n)" follows */
	uint8_t digest[32]; /* of all objects the answer is about, as they were copied */
};

/* NULL unless the last step was PKG_ASK. */
const struct pkg_question *pkg_job_question(const struct pkg_job *job);

/* A yes with another digest than the question's is a no, and so is going on without an answer. */
void pkg_job_answer(struct pkg_job *job, bool yes, const uint8_t digest[32]);

enum pkg_program { PKG_VALIDATE, PKG_RELOAD };

struct pkg_run {
	enum pkg_program what;
	const struct object_type *kind; /* its name is the program's */
	struct version version;
	bool is_signed;
	int payload_fd;           /* the job's, for reading only; its position is 0 */
	const char *payload_path; /* NULL while it has none: before it is on disk */
};

/* NULL unless the last step was PKG_RUN. */
const struct pkg_run *pkg_job_run(const struct pkg_job *job);

/* rc 0: it is good, also when there is no such program. Above 0: what the program ended with, which refused it. Below:
 * -errno, for it did not come to a verdict. `why` (may be NULL) tells. Going on without it is a failure. */
void pkg_job_ran(struct pkg_job *job, int rc, const char *why);

enum pkg_outcome { PKG_REFUSED, PKG_INSTALLED, PKG_NO_UPDATE };

/* Why it was refused; one that is older and came without being asked for is refused, and counts as no update. */
enum pkg_refusal {
	PKG_REFUSAL_NONE,
	PKG_REFUSAL_DAMAGED,   /* sums, lengths, what it is called, what it unpacks to */
	PKG_REFUSAL_SIGNATURE, /* there is one, and it is bad */
	PKG_REFUSAL_UNSIGNED,  /* there is none, and there has to be */
	PKG_REFUSAL_DECLINED,  /* somebody said no, or nobody yes */
	PKG_REFUSAL_OLDER,
	PKG_REFUSAL_BUILD,  /* it asks for a newer system */
	PKG_REFUSAL_FAMILY, /* not what this command installs */
	PKG_REFUSAL_VALIDATOR,
	PKG_REFUSAL_RELOAD,
	PKG_REFUSAL_TROUBLE, /* on our side: the disk is full, … */
};

struct pkg_object_result {
	const struct object_type *kind; /* NULL: none that is known */
	char name[64];                  /* escaped, as the package says; `kind`'s where it is known */
	enum pkg_outcome outcome;
	enum pkg_refusal refusal;
	enum signature signature;
	struct version version; /* of the offered one; zeros until it could be read */
	bool had_before;        /* one was installed before, of version `before` */
	struct version before;
	uint32_t data_len, obj_len, sig_len;
	struct err why; /* of a refusal; it does not name the object */
};

enum { PKG_CODE_FAILED = -64 };

struct pkg_result {
	int code;       /* 0, or PKG_CODE_FAILED: something was refused */
	struct err why; /* the package itself could not be read; or the status could not be written, with code 0 */
	size_t count;
	const struct pkg_object_result *objects; /* in the package's order */
	bool changed;                            /* something was installed */
	char summary[256];                       /* one line for people */
};

/* NULL before PKG_DONE. The job's. */
const struct pkg_result *pkg_job_result(const struct pkg_job *job);

/* Bytes of work; *total is 0 until it is known. */
void pkg_job_progress(const struct pkg_job *job, uint64_t *done, uint64_t *total);

/* Says, as a job does of one that it refused, that the package could not even be had. `why` is foreign text. */
void pkg_job_not_fetched(const struct pkg_job_params *p, const char *why);

const char *pkg_refusal_name(enum pkg_refusal r); /* "damaged", "signature", … */

#endif
