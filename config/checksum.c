#include "config/checksum.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/text.h"
#include "config/node.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"

enum part { PART_GLOBAL = 1, PART_VDOM = 2, PART_ALL = PART_GLOBAL | PART_VDOM };

static int
sum_part(const struct tree *t, enum part part, uint8_t sum[MD5_BYTES])
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	int rc = 0;

	for (size_t i = 0; i < t->count && !rc; i++) {
		const struct schema_table *s = t->tables[i].schema;

		if (!s->unsummed && (part & (s->per_vdom ? PART_VDOM : PART_GLOBAL)))
			rc = print_table(t, s, PRINT_SECRETS | PRINT_CHECKSUM, &text);
	}
	if (!rc)
		rc = crypto_md5(buf_head(&text), text.len, sum);
	buf_free(&text);
	return rc;
}

int
checksum_tree(const struct tree *t, struct checksums *out)
{
	struct checksums sums = {0};
	int rc = sum_part(t, PART_GLOBAL, sums.global);

	if (!rc)
		rc = sum_part(t, PART_VDOM, sums.root);
	if (!rc)
		rc = sum_part(t, PART_ALL, sums.all);
	if (!rc)
		*out = sums;
	return rc;
}

char *
checksum_text(char dst[CHECKSUM_TEXT], const uint8_t sum[16])
{
	for (int i = 0; i < 16; i++) {
		text_hex(dst + 3 * i, 3, &sum[i], 1);
		dst[3 * i + 2] = i < 15 ? ' ' : '\0';
	}
	return dst;
}
