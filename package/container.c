#include "package/container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/err.h"
#include "base/text.h"
#include "package/types.h"

enum { SHOWN = 64 };

static uint32_t
u32le(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Over a header and the four bytes that stand in for its own sum. */
static uint32_t
header_sum(const uint8_t *p, size_t len, const char tail[4])
{
	uLong crc = crc32(crc32(0, Z_NULL, 0), p, (uInt)len);

	return (uint32_t)crc32(crc, (const Bytef *)tail, 4);
}

int
container_pread(int fd, void *dst, size_t len, uint32_t at, struct err *e)
{
	uint8_t *p = dst;
	off_t from = at;

	while (len) {
		ssize_t n = pread(fd, p, len, from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "package");
		if (!n)
			return err_set(e, -EBADMSG, "package: %zu more bytes expected, the file's end found", len);
		p += n;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Text that is filled up with zeros. False: something stands behind the first zero, or it is not printable. */
static bool
take_text(char *dst, const uint8_t *src, size_t len, bool printable)
{
	size_t n = strnlen((const char *)src, len);

	for (size_t i = 0; i < len; i++) {
		if (i >= n ? src[i] : printable && (src[i] <= ' ' || src[i] > '~'))
			return false;
	}
	memcpy(dst, src, n);
	dst[n] = '\0';
	return true;
}

static bool
is_time(const char *s)
{
	for (size_t i = 0; i < FORMAT_TIME_BYTES; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
	}
	return true;
}

static int
judge_package_numbers(const uint8_t *h, uint32_t size, struct err *e)
{
	uint32_t count = u32le(h + FORMAT_PACKAGE_COUNT_AT), payload = u32le(h + FORMAT_PACKAGE_PAYLOAD_AT);
	uint32_t own = u32le(h + FORMAT_PACKAGE_SIZE_AT);

	if (own != FORMAT_PACKAGE_HEADER)
		return err_set(e, -EBADMSG, "package header: its length %d expected, %u found", FORMAT_PACKAGE_HEADER,
			       own);
	if (!count || count > FORMAT_OBJECTS_MAX)
		return err_set(e, -EBADMSG, "package header: 1 to %d objects expected, %u found", FORMAT_OBJECTS_MAX,
			       count);
	if (payload != size - FORMAT_PACKAGE_HEADER)
		return err_set(e, -EBADMSG, "package header: it says %u bytes follow, %u found", payload,
			       size - FORMAT_PACKAGE_HEADER);
	for (size_t i = FORMAT_PACKAGE_ZEROS_AT; i < FORMAT_PACKAGE_CRC_AT; i++) {
		if (h[i])
			return err_set(e, -EBADMSG, "package header: zeros expected, 0x%02x found at byte %zu", h[i],
				       i);
	}
	return 0;
}

static int
read_package_header(int fd, struct container *c, struct err *e)
{
	uint8_t h[FORMAT_PACKAGE_HEADER];
	char shown[SHOWN];
	uint32_t sum;
	int rc = container_pread(fd, h, sizeof(h), 0, e);

	if (rc)
		return rc;
	if (memcmp(h, FORMAT_PACKAGE_MAGIC, 4) != 0)
		return err_set(e, -EBADMSG, "package header: %s expected, %s found", FORMAT_PACKAGE_MAGIC,
			       text_escape(shown, sizeof(shown), h, 4));
	sum = header_sum(h, FORMAT_PACKAGE_CRC_AT, FORMAT_PACKAGE_CRC_TAIL);
	if (sum != u32le(h + FORMAT_PACKAGE_CRC_AT))
		return err_set(e, -EBADMSG, "package header: its sum %08x expected, %08x found", sum,
			       u32le(h + FORMAT_PACKAGE_CRC_AT));
	rc = judge_package_numbers(h, c->size, e);
	if (rc)
		return rc;
	if (!take_text(c->version, h + FORMAT_PACKAGE_VERSION_AT, FORMAT_VERSION_BYTES, true))
		return err_set(e, -EBADMSG, "package header: a version in ASCII expected, %s found",
			       text_escape(shown, sizeof(shown), h + FORMAT_PACKAGE_VERSION_AT, FORMAT_VERSION_BYTES));
	if (!take_text(c->time, h + FORMAT_PACKAGE_TIME_AT, FORMAT_TIME_BYTES, true) || !is_time(c->time))
		return err_set(e, -EBADMSG, "package header: a time yyyymmddHHMM expected, %s found",
			       text_escape(shown, sizeof(shown), h + FORMAT_PACKAGE_TIME_AT, FORMAT_TIME_BYTES));
	c->count = u32le(h + FORMAT_PACKAGE_COUNT_AT);
	return 0;
}

/* `left`: bytes of the file behind this header. */
static int
read_object_header(const uint8_t *h, size_t number, uint32_t left, struct container_object *o, struct err *e)
{
	char shown[SHOWN];
	uint32_t own = u32le(h + FORMAT_OBJECT_SIZE_AT);

	if (own != FORMAT_OBJECT_HEADER)
		return err_set(e, -EBADMSG, "header of object %zu: its length %d expected, %u found", number,
			       FORMAT_OBJECT_HEADER, own);
	o->len = u32le(h + FORMAT_LENGTH_AT);
	if (!o->len || o->len > left)
		return err_set(e, -EBADMSG, "header of object %zu: a length of 1 to %u expected, %u found", number,
			       left, o->len);
	memcpy(o->type, h, FORMAT_TYPE_BYTES);
	if (!take_text(o->name, h + FORMAT_NAME_AT, FORMAT_NAME_BYTES, false))
		return err_set(e, -EBADMSG, "header of object %zu: a name filled up with zeros expected, %s found",
			       number, text_escape(shown, sizeof(shown), h + FORMAT_NAME_AT, FORMAT_NAME_BYTES));
	/* a hint: what is no text is none */
	if (!take_text(o->os_version, h + FORMAT_OS_VERSION_AT, FORMAT_VERSION_BYTES, true))
		o->os_version[0] = '\0';
	o->flags = u32le(h + FORMAT_FLAGS_AT);
	o->crc = u32le(h + FORMAT_DATA_CRC_AT);
	o->header_intact =
	    u32le(h + FORMAT_OBJECT_CRC_AT) == header_sum(h, FORMAT_OBJECT_CRC_AT, FORMAT_OBJECT_CRC_TAIL);
	return 0;
}

/* By type and name, which stand for the sub-id. */
static int
refuse_twice(const struct container *c, size_t i, struct err *e)
{
	char type[SHOWN], name[SHOWN];

	for (size_t k = 0; k < i; k++) {
		if (memcmp(c->objects[k].type, c->objects[i].type, FORMAT_TYPE_BYTES) ||
		    strcmp(c->objects[k].name, c->objects[i].name) != 0)
			continue;
		return err_set(e, -EBADMSG, "object %zu: each once expected, %s %s found twice", i + 1,
			       text_escape(type, sizeof(type), c->objects[i].type, FORMAT_TYPE_BYTES),
			       text_escape(name, sizeof(name), c->objects[i].name, strlen(c->objects[i].name)));
	}
	return 0;
}

static int
read_objects(int fd, struct container *c, struct err *e)
{
	uint32_t at = FORMAT_PACKAGE_HEADER;

	for (size_t i = 0; i < c->count; i++) {
		struct container_object *o = &c->objects[i];
		uint8_t h[FORMAT_OBJECT_HEADER];
		int rc;

		if (c->size - at < FORMAT_OBJECT_HEADER)
			return err_set(e, -EBADMSG, "object %zu: a header of %d bytes expected, %u bytes left", i + 1,
				       FORMAT_OBJECT_HEADER, c->size - at);
		rc = container_pread(fd, h, sizeof(h), at, e);
		at += FORMAT_OBJECT_HEADER;
		if (!rc)
			rc = read_object_header(h, i + 1, c->size - at, o, e);
		if (!rc)
			rc = refuse_twice(c, i, e);
		if (rc)
			return rc;
		o->at = at;
		at += o->len;
	}
	if (at != c->size)
		return err_set(e, -EBADMSG, "package: its end expected after object %zu, %u more bytes found", c->count,
			       c->size - at);
	return 0;
}

static int
size_of(int fd, uint32_t least, uint32_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(e, -errno, "package");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "package: a regular file expected");
	if (st.st_size > FORMAT_BYTES_MAX)
		return err_set(e, -EFBIG, "package: at most %d bytes expected, %lld found", FORMAT_BYTES_MAX,
			       (long long)st.st_size);
	if (st.st_size < least)
		return err_set(e, -EBADMSG, "package: a header of %u bytes expected, %lld bytes found", least,
			       (long long)st.st_size);
	*size = (uint32_t)st.st_size;
	return 0;
}

int
container_bare(int fd, const struct object_type *kind, struct container_object *out, struct err *e)
{
	struct container_object o = {.bare = true, .header_intact = true};
	int rc = size_of(fd, FORMAT_INNER, &o.len, e);

	if (rc)
		return rc;
	memcpy(o.type, kind->type, sizeof(kind->type));
	snprintf(o.name, sizeof(o.name), "%s", kind->name);
	*out = o;
	return 0;
}

int
container_read(int fd, struct container *out, struct err *e)
{
	struct container c = {0};
	int rc = size_of(fd, FORMAT_PACKAGE_HEADER, &c.size, e);

	if (!rc)
		rc = read_package_header(fd, &c, e);
	if (!rc)
		rc = read_objects(fd, &c, e);
	if (!rc)
		*out = c;
	return rc;
}
