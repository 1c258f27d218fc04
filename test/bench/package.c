/* package: one package through the room, as a daemon would take it, and what that took, "NAME VALUE" a line: times in
 * milliseconds, memory in kilobytes beyond what this program has when it begins. test/bench/packages runs it.
 *
 *   package digest FILE            the digest alone, by the same library: what nothing can be faster than
 *   package write FILE DIR         written twice and nothing else: what a store costs that keeps object and payload
 *   package verify FILE ROOT       verified and unpacked, nothing kept
 *   package install FILE ROOT DIR  into a store
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "package/anchor.h"
#include "package/cms.h"
#include "package/container.h"
#include "package/pkg_job.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/verify.h"

enum { PIECE = 64 * 1024 };

static double
now_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t
memory_kb(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t kilobytes = 0, len = strlen(key);
	char line[128];

	while (f && !kilobytes && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, len))
			kilobytes = strtoul(line + len + 1, NULL, 10);
	}
	if (f)
		fclose(f);
	return kilobytes;
}

static int
fail(const char *what)
{
	fprintf(stderr, "package: %s\n", what);
	return 1;
}

static int
digest(int fd)
{
	struct cms_hash *h = cms_hash_new(CMS_SHA256);
	uint8_t piece[PIECE], out[CMS_DIGEST_MAX];
	size_t len;
	ssize_t n;
	int rc = h ? 0 : fail("no memory");

	while (!rc && (n = read(fd, piece, sizeof(piece))) > 0)
		rc = cms_hash_add(h, piece, (size_t)n);
	if (!rc)
		rc = cms_hash_end(h, out, &len);
	cms_hash_free(h);
	return rc;
}

/* All of `fd` into a file without a name in `dir`, which stays open: what freeing it takes is not measured. */
static int
write_once(int fd, const char *dir)
{
	static uint8_t piece[4 * PIECE];
	int to = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), rc = to < 0 ? fail(dir) : 0;
	off_t at = 0;
	ssize_t n = 0;

	for (; !rc && (n = pread(fd, piece, sizeof(piece), at)) > 0; at += n)
		rc = file_write_all(to, piece, (size_t)n);
	return n < 0 ? fail("cannot read") : rc;
}

static int
write_twice(int fd, const char *dir)
{
	int rc = write_once(fd, dir);

	return rc ? rc : write_once(fd, dir);
}

static int
verify(int fd, const struct anchor_check *check)
{
	struct err e = ERR_NONE;
	struct container c;
	struct finding f;

	if (container_read(fd, &c, &e))
		return fail(e.text);
	for (size_t i = 0; i < c.count; i++) {
		if (verify_object(fd, &c.objects[i], check, &f) || f.signature != SIGNATURE_VALID)
			return fail(f.why.text);
	}
	return 0;
}

/* Each step's time is what a daemon could not do anything else in. */
static int
run_job(struct pkg_job *job, double *longest)
{
	enum pkg_step step = PKG_MORE;

	while (step != PKG_DONE) {
		double began = now_ms(CLOCK_MONOTONIC), took;

		step = pkg_job_step(job);
		took = now_ms(CLOCK_MONOTONIC) - began;
		*longest = took > *longest ? took : *longest;
		if (step == PKG_ASK)
			return fail("asked something");
		if (step == PKG_RUN)
			pkg_job_ran(job, 0, NULL);
	}
	return pkg_job_result(job)->code ? fail(pkg_job_result(job)->summary) : 0;
}

static int
install(int fd, const struct anchor_check *check, const char *dir, double *longest)
{
	struct pkg_job_params p = {.check = *check,
				   .level = LEVEL_2,
				   .way = UPDATE_MANUAL,
				   .families = PKG_ALL,
				   .os_build = UINT32_MAX,
				   .now_s = check->now_s};
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;
	int rc = pkg_store_open(dir, &p.store, &e);

	if (!rc)
		rc = pkg_status_load(dir, &p.status, &e);
	if (!rc)
		rc = pkg_job_new(&p, dup(fd), &job, &e);
	if (rc)
		fail(e.text);
	else
		rc = run_job(job, longest);
	pkg_job_free(job);
	pkg_status_free(p.status);
	pkg_store_free(p.store);
	return rc;
}

int
main(int argc, char *argv[])
{
	struct anchor_check check = {.now_s = 1767225600};
	struct anchors *anchors = NULL;
	struct err e = ERR_NONE;
	double wall, cpu, longest = 0;
	size_t before;
	int fd, rc;

	if (argc < 3 || (!strcmp(argv[1], "write") && argc < 4) || crypto_start())
		return fail("digest FILE | write FILE DIR | verify FILE ROOT | install FILE ROOT DIR expected");
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (argc > 3 && strcmp(argv[1], "write") && anchors_load(argv[3], &anchors, &e)))
		return fail(fd < 0 ? argv[2] : e.text);
	check.anchors = anchors;
	before = memory_kb("VmRSS");
	wall = now_ms(CLOCK_MONOTONIC);
	cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
	if (!strcmp(argv[1], "write"))
		rc = write_twice(fd, argv[3]);
	else
		rc = argc == 3 ? digest(fd) : argc == 4 ? verify(fd, &check) : install(fd, &check, argv[4], &longest);
	printf("cpu %.1f\nwall %.1f\nlongest %.1f\n", now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu,
	       now_ms(CLOCK_MONOTONIC) - wall, longest);
	printf("memory %zu\n", memory_kb("VmHWM") - before);
	anchors_free(anchors);
	crypto_stop();
	return rc != 0;
}
