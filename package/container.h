/* container: a package file: which objects are in it, and where.
 *
 * Nothing is read into memory but headers; objects stay in the file, and whoever verifies or unpacks them reads them
 * from the same descriptor. Everything a header says is checked against the file and against the others; sums over the
 * data are checked when that is read (verify.h). Values are little-endian.
 */
#ifndef PACKAGE_CONTAINER_H
#define PACKAGE_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "package/format.h"

struct err;
struct object_type;

/* What the header before an object says; nobody signed it. */
struct container_object {
	char type[FORMAT_TYPE_BYTES + 1]; /* any bytes: match it with types.h, escape it before it is shown */
	char name[FORMAT_NAME_BYTES + 1]; /* likewise */
	char os_version[FORMAT_VERSION_BYTES + 1];
	uint32_t flags;
	uint32_t at, len;   /* of its data in the file */
	uint32_t crc;       /* of the data */
	bool bare;          /* there was no header: a file that holds the object alone, and so no sum */
	bool header_intact; /* the header's own sum; a wrong one is worth a warning, see format.h */
};

struct container {
	char version[FORMAT_VERSION_BYTES + 1]; /* printable */
	char time[FORMAT_TIME_BYTES + 1];       /* digits */
	uint32_t size;                          /* bytes of the file */
	size_t count;                           /* 1…FORMAT_OBJECTS_MAX */
	struct container_object objects[FORMAT_OBJECTS_MAX];
};

/* Reads the headers of a regular file (or memory) from its beginning; the descriptor stays the caller's, its position
 * is not used. 0, -EBADMSG with what was expected and found, -EFBIG, or an error of the file. */
int container_read(int fd, struct container *out, struct err *e);

/* An object that is a file by itself, as it is stored; which one, the caller says. The same errors. */
int container_bare(int fd, const struct object_type *kind, struct container_object *out, struct err *e);

/* Reads exactly `len` bytes at `at`. 0 or -errno; a file that ends before is -EBADMSG. */
int container_pread(int fd, void *dst, size_t len, uint32_t at, struct err *e);

#endif
