/* fuzz_container: a package file as anybody may hand it to the operator.
 *
 * Lengths and sums are put right, or hardly anything would come past them. Beyond memory errors it checks what the
 * rest relies on: objects lie within the file and apart, what is shown is printable, and nothing that is bad is
 * accepted. An object is never found to be signed without a signer. The seeds are packages of test/mkpkg.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/err.h"
#include "base/file.h"
#include "package/anchor.h"
#include "package/container.h"
#include "package/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t
get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The package's sum, and those of objects that are where their headers say. */
static void
mend(uint8_t *p, size_t len)
{
	size_t at = 64;

	put32(p + 16, (uint32_t)len - 64);
	put32(p + 60, (uint32_t)crc32(crc32(0, p, 60), (const Bytef *)"B1gS", 4));
	while (len - at > 128) {
		uint32_t n = get32(p + at + 48);

		if (n > len - at - 128)
			return;
		put32(p + at + 120, (uint32_t)crc32(0, p + at + 128, n));
		at += 128 + n;
	}
}

static void
check_finding(const struct finding *f)
{
	if (f->failed == VERIFY_NONE ? f->signature == SIGNATURE_BAD : f->signature != SIGNATURE_BAD)
		abort();
	if ((f->signature == SIGNATURE_VALID) != (f->signer.key[0] != '\0'))
		abort();
	if (f->signature != SIGNATURE_BAD && (!f->kind || f->label.payload_len + 33 != f->parts.raw_len))
		abort();
	for (const char *s = f->signature == SIGNATURE_BAD ? f->why.text : ""; *s; s++) {
		if (*s < ' ' || *s > '~')
			abort();
	}
	for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++) {
		if (f->signature == SIGNATURE_BAD && verify_decide(f, UPDATE_MANUAL, l) != VERDICT_REJECT)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct anchors *anchors;
	struct anchor_check check = {.now_s = 1767225600};
	struct container c;
	uint8_t *copy;
	uint32_t end = 64;
	int fd;

	if (!anchors && anchors_load("test/fuzz/package-root.pem", &anchors, NULL))
		abort();
	check.anchors = anchors;
	copy = malloc(size + !size);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (!copy || fd < 0)
		abort();
	memcpy(copy, data, size);
	if (size >= 64)
		mend(copy, size);
	if (file_write_all(fd, copy, size))
		abort();
	if (!container_read(fd, &c, NULL)) {
		for (size_t i = 0; i < c.count; i++) {
			struct finding f;

			if (c.objects[i].at != end + 128 || c.objects[i].len > size - c.objects[i].at)
				abort();
			end = c.objects[i].at + c.objects[i].len;
			if (verify_object(fd, &c.objects[i], &check, &f))
				abort();
			check_finding(&f);
		}
		if (end != size)
			abort();
	}
	close(fd);
	free(copy);
	return 0;
}
