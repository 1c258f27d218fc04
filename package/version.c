#include "package/version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "package/format.h"

int
version_compare(struct version a, struct version b)
{
	if (a.major != b.major)
		return a.major < b.major ? -1 : 1;
	return a.minor < b.minor ? -1 : a.minor > b.minor;
}

char *
version_text(char dst[VERSION_TEXT], struct version v)
{
	snprintf(dst, VERSION_TEXT, "%u.%05u", (unsigned)v.major, (unsigned)v.minor);
	return dst;
}

int
version_parse(const char *text, struct version *out)
{
	const char *dot = strchr(text, '.');
	char major[6] = "";
	uint64_t high, low;

	if (!dot || dot - text > 5 || strlen(dot + 1) != 5)
		return -EINVAL;
	memcpy(major, text, (size_t)(dot - text));
	if (text_u64(major, UINT16_MAX, &high) || text_u64(dot + 1, FORMAT_MINOR_MAX, &low))
		return -EINVAL;
	*out = (struct version){(uint16_t)high, (uint32_t)low};
	return 0;
}
