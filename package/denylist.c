#include "package/denylist.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "package/format.h"

struct denylist {
	struct buf keys; /* SHA256_BYTES each */
};

static int
add_line(struct denylist *d, const char *line, size_t len)
{
	char hex[SHA256_TEXT] = "";
	uint8_t key[SHA256_BYTES];

	if (!len || *line == '#')
		return 0;
	if (len != sizeof(hex) - 1)
		return -EINVAL;
	memcpy(hex, line, len);
	if (text_unhex(key, sizeof(key), hex))
		return -EINVAL;
	return buf_put(&d->keys, key, sizeof(key));
}

int
denylist_parse(const char *text, size_t len, struct denylist **out, struct err *e)
{
	struct denylist *d = calloc(1, sizeof(*d));
	size_t at = 0, number = 0;
	int rc = d ? 0 : -ENOMEM;

	if (d)
		d->keys = BUF_INIT(FORMAT_SMALL_MAX);
	while (!rc && at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		number++;
		rc = add_line(d, text + at, n);
		at += n + 1;
	}
	if (rc == -EINVAL) {
		err_set(e, rc, "line %zu: 64 hex digits expected", number);
	} else if (rc) {
		err_sys(e, rc, "deny-list");
	} else {
		*out = d;
		d = NULL;
	}
	denylist_free(d);
	return rc;
}

int
denylist_load(const char *path, struct denylist **out, struct err *e)
{
	char *text = NULL;
	size_t len;
	int rc = file_read(path, FORMAT_SMALL_MAX, &text, &len, e);

	if (!rc) {
		rc = denylist_parse(text, len, out, e);
		if (rc)
			err_in(e, "%s", path);
	}
	free(text);
	return rc;
}

void
denylist_free(struct denylist *d)
{
	if (!d)
		return;
	buf_free(&d->keys);
	free(d);
}

bool
denylist_has(const struct denylist *d, const char *key)
{
	uint8_t raw[SHA256_BYTES];

	if (!d || text_unhex(raw, sizeof(raw), key))
		return false;
	for (size_t i = 0; i < d->keys.len; i += sizeof(raw)) {
		if (!memcmp(buf_head(&d->keys) + i, raw, sizeof(raw)))
			return true;
	}
	return false;
}
