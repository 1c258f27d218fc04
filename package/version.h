/* version: of an object: two numbers, shown as the guide shows them, `19.00264`. */
#ifndef PACKAGE_VERSION_H
#define PACKAGE_VERSION_H

#include <stdint.h>

enum { VERSION_TEXT = 24 };

struct version {
	uint16_t major;
	uint32_t minor; /* 0…99999 */
};

/* Below, equal to, above 0: `a` is older than, the same as, newer than `b`. */
int version_compare(struct version a, struct version b);

char *version_text(char dst[VERSION_TEXT], struct version v); /* returns dst */

/* The reverse; `minor` has five digits. 0 or -EINVAL, with *out untouched. */
int version_parse(const char *text, struct version *out);

#endif
