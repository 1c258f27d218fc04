/* rollback_fixture: a state folder of its own for a test, and files in it.
 */
#ifndef TEST_UNIT_ROLLBACK_FIXTURE_H
#define TEST_UNIT_ROLLBACK_FIXTURE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

/* The folder of the test that runs; made and removed by the two functions below. */
static char fixture_dir[PATH_MAX];

static inline int
fixture_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void
fixture_empty(void)
{
	nftw(fixture_dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where there is such a file system: tests that flush thousands of times would wait for the disk alone. */
static inline int
fixture_setup(void **state)
{
	(void)state;
	snprintf(fixture_dir, sizeof(fixture_dir), "/dev/shm/fgfmd-rollback-XXXXXX");
	if (mkdtemp(fixture_dir))
		return 0;
	snprintf(fixture_dir, sizeof(fixture_dir), "/tmp/fgfmd-rollback-XXXXXX");
	return mkdtemp(fixture_dir) ? 0 : -1;
}

static inline int
fixture_teardown(void **state)
{
	(void)state;
	fixture_empty();
	return 0;
}

static inline const char *
fixture_path(const char *name)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
	return path;
}

static inline bool
fixture_exists(const char *name)
{
	struct stat st;

	return !lstat(fixture_path(name), &st);
}

static inline long
fixture_size(const char *name)
{
	struct stat st;

	return lstat(fixture_path(name), &st) ? -1 : (long)st.st_size;
}

/* Not for a test's own check of the product: a failure here is the test's. */
static inline void
fixture_write_bytes(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(fixture_path(name), "w");

	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		abort();
}

static inline void
fixture_write(const char *name, const char *text)
{
	fixture_write_bytes(name, text, strlen(text));
}

/* The caller frees it. NULL: no such file. */
static inline char *
fixture_read(const char *name, size_t *len)
{
	struct err e = ERR_NONE;
	size_t n;
	char *text = NULL;

	if (file_read(fixture_path(name), 64 * 1024 * 1024, &text, &n, &e))
		return NULL;
	if (len)
		*len = n;
	return text;
}

static inline bool
fixture_contains(const char *name, const char *part)
{
	char *text = fixture_read(name, NULL);
	bool yes = text && strstr(text, part);

	free(text);
	return yes;
}

#endif
