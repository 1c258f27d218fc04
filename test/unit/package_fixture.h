/* package_fixture: packages as test/mkpkg makes them, in a folder of this program's own, and memory to break them in.
 * It has mkpkg's authority, "pki", and all cases, "all": copies of those in FGFM_PACKAGES, where the environment has
 * it, for they take seconds to make. */
#ifndef TEST_UNIT_PACKAGE_FIXTURE_H
#define TEST_UNIT_PACKAGE_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "package/anchor.h"
#include "package/denylist.h"

enum { FIXTURE_NOW = 1767225600 }; /* 2026 */

static char fixture_folder[] = "/dev/shm/fgfm-packages-XXXXXX";
static struct anchors *fixture_anchors;
static struct denylist *fixture_denied;

static inline const char *
fixture_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", fixture_folder, name);
	return path;
}

/* `words` is what mkpkg is to do, behind --pki DIR; "%s" in it stands for the folder. 0: done. */
static inline int
fixture_mkpkg(const char *words)
{
	char rest[512], command[1024];

	snprintf(rest, sizeof(rest), "%s", words);
	for (char *at = strstr(rest, "%s"); at; at = strstr(rest, "%s")) {
		char behind[512];

		snprintf(behind, sizeof(behind), "%s", at + 2);
		snprintf(at, sizeof(rest) - (size_t)(at - rest), "%s%s", fixture_folder, behind);
	}
	snprintf(command, sizeof(command), "test/mkpkg --pki %s/pki %s", fixture_folder, rest);
	return system(command);
}

static inline int
fixture_make(void)
{
	const char *made = getenv("FGFM_PACKAGES");
	char command[1024];

	if (!made)
		return fixture_mkpkg("--all %s/all");
	snprintf(command, sizeof(command), "cp -R '%s/pki' '%s/all' %s", made, made, fixture_folder);
	return system(command);
}

static inline int
fixture_start(void)
{
	struct err e = ERR_NONE;

	/* in memory where there is such a file system: tests that flush thousands of times would wait for the disk
	 * alone */
	if (access("/dev/shm", W_OK))
		snprintf(fixture_folder, sizeof(fixture_folder), "/tmp/fgfm-packages-XXXXXX");
	if (crypto_start() || !mkdtemp(fixture_folder) || fixture_make())
		return -1;
	if (anchors_load(fixture_path("pki/root.pem"), &fixture_anchors, &e) ||
	    denylist_load(fixture_path("pki/denylist"), &fixture_denied, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	return 0;
}

static inline int
fixture_stop(void **state)
{
	char command[128];

	(void)state;
	anchors_free(fixture_anchors);
	denylist_free(fixture_denied);
	crypto_stop();
	snprintf(command, sizeof(command), "rm -rf %s", fixture_folder);
	return system(command);
}

static inline struct anchor_check
fixture_check(void)
{
	return (struct anchor_check){.anchors = fixture_anchors, .denied = fixture_denied, .now_s = FIXTURE_NOW};
}

/* A file of the folder, to be freed. */
static inline uint8_t *
fixture_read(const char *name, size_t *len)
{
	struct err e = ERR_NONE;
	char *data = NULL;

	if (file_read(fixture_path(name), 64 * 1024 * 1024, &data, len, &e))
		fprintf(stderr, "%s\n", e.text);
	return (uint8_t *)data;
}

/* A file in memory with these bytes; -1: none to be had. */
static inline int
fixture_memory(const void *data, size_t len)
{
	int fd = memfd_create("package", MFD_CLOEXEC);

	if (fd >= 0 && file_write_all(fd, data, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void
fixture_put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Puts lengths and sums of a package with one object right, so that what was changed is looked at. */
static inline void
fixture_mend(uint8_t *p, size_t len)
{
	uint32_t data = (uint32_t)(len - 64 - 128);

	fixture_put32(p + 16, (uint32_t)len - 64);
	fixture_put32(p + 60, (uint32_t)crc32(crc32(0, p, 60), (const Bytef *)"B1gS", 4));
	fixture_put32(p + 64 + 48, data);
	fixture_put32(p + 64 + 120, (uint32_t)crc32(0, p + 64 + 128, data));
	fixture_put32(p + 64 + 124, (uint32_t)crc32(crc32(0, p + 64, 124), (const Bytef *)"H1dN", 4));
}

#endif
