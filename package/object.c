#include "package/object.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "package/container.h"
#include "package/format.h"
#include "package/types.h"

enum { SHOWN = 64 };

int
object_divide_at(const uint8_t *record, uint32_t len, struct object_parts *out, bool *is_signed, struct err *e)
{
	struct rd r = rd_init(record, FORMAT_RECORD);
	uint16_t version, cms_len;

	*is_signed = len >= FORMAT_RECORD && !memcmp(rd_bytes(&r, 4), FORMAT_RECORD_MAGIC, 4);
	if (!*is_signed) {
		*out = (struct object_parts){.raw_len = len};
		return 0;
	}
	version = rd_u16be(&r);
	cms_len = rd_u16be(&r);
	if (version != FORMAT_RECORD_VERSION)
		return err_set(e, -EBADMSG, "record: version %04x expected, %04x found", FORMAT_RECORD_VERSION,
			       version);
	if (!cms_len || cms_len > len - FORMAT_RECORD)
		return err_set(e, -EBADMSG, "record: a signature of 1 to %u bytes expected, %u found",
			       len - FORMAT_RECORD, cms_len);
	*out = (struct object_parts){
	    .raw_len = len - FORMAT_RECORD - cms_len,
	    .cms_len = cms_len,
	    .sig_len = (uint32_t)cms_len + FORMAT_RECORD,
	};
	return 0;
}

int
object_divide(int fd, const struct container_object *o, struct object_parts *out, bool *is_signed, struct err *e)
{
	uint8_t record[FORMAT_RECORD] = {0};
	int rc = 0;

	*is_signed = false;
	if (o->len >= FORMAT_RECORD)
		rc = container_pread(fd, record, sizeof(record), o->at + o->len - FORMAT_RECORD, e);
	return rc ? rc : object_divide_at(record, o->len, out, is_signed, e);
}

static uint64_t
rd_u64be(struct rd *r)
{
	uint64_t high = rd_u32be(r);

	return high << 32 | rd_u32be(r);
}

static int
read_label(const uint8_t *p, const struct container_object *o, const struct object_parts *parts, struct object_label *l,
	   struct err *e)
{
	struct rd r = rd_init(p, FORMAT_INNER);
	const uint8_t *magic = rd_bytes(&r, 4);
	uint8_t format = rd_u8(&r);
	char shown[SHOWN];

	if (memcmp(magic, FORMAT_INNER_MAGIC, 4) != 0)
		return err_set(e, -EBADMSG, "inner header: %s expected, %s found", FORMAT_INNER_MAGIC,
			       text_escape(shown, sizeof(shown), magic, 4));
	if (format != FORMAT_INNER_FORMAT)
		return err_set(e, -EBADMSG, "inner header: format %d expected, %u found", FORMAT_INNER_FORMAT, format);
	memcpy(l->type, rd_bytes(&r, FORMAT_TYPE_BYTES), FORMAT_TYPE_BYTES);
	l->sub = rd_u16be(&r);
	l->version.major = rd_u16be(&r);
	l->version.minor = rd_u32be(&r);
	l->built_s = rd_u64be(&r);
	l->os_build = rd_u32be(&r);
	l->payload_len = rd_u32be(&r);
	l->payload_at = o->at + FORMAT_INNER;
	if (l->version.minor > FORMAT_MINOR_MAX)
		return err_set(e, -EBADMSG, "inner header: a minor version of at most %d expected, %u found",
			       FORMAT_MINOR_MAX, l->version.minor);
	if (l->payload_len != parts->raw_len - FORMAT_INNER)
		return err_set(e, -EBADMSG, "inner header: it says %u bytes of payload, %u found", l->payload_len,
			       parts->raw_len - FORMAT_INNER);
	return 0;
}

/* The header outside is nobody's word: it has to say what the signed one says, or one database could be passed off as
 * another. */
static int
judge_label(const struct container_object *o, const struct object_label *l, const struct object_type **kind,
	    struct err *e)
{
	const struct object_type *k = types_named(o->type, o->name, strlen(o->name));
	char type[SHOWN], name[SHOWN];

	text_escape(type, sizeof(type), o->type, FORMAT_TYPE_BYTES);
	text_escape(name, sizeof(name), o->name, strlen(o->name));
	if (!k)
		return err_set(e, -EBADMSG, "type and name: a known object expected, %s %s found", type, name);
	if (memcmp(l->type, k->type, FORMAT_TYPE_BYTES) || l->sub != k->sub) {
		char inner[SHOWN];

		return err_set(e, -EBADMSG, "label: %s expected, which is %s %u, %s %u found in the inner header", name,
			       k->type, k->sub, text_escape(inner, sizeof(inner), l->type, FORMAT_TYPE_BYTES), l->sub);
	}
	if (o->len > k->max)
		return err_set(e, -EBADMSG, "%s: at most %u bytes expected, %u found", k->name, k->max, o->len);
	*kind = k;
	return 0;
}

int
object_read_label(int fd, const struct container_object *o, const struct object_parts *parts, struct object_label *out,
		  const struct object_type **kind, struct err *e)
{
	struct object_label l = {0};
	uint8_t bytes[FORMAT_INNER];
	int rc;

	if (parts->raw_len < FORMAT_INNER)
		return err_set(e, -EBADMSG, "inner header: %d bytes expected, %u found", FORMAT_INNER, parts->raw_len);
	rc = container_pread(fd, bytes, sizeof(bytes), o->at, e);
	if (!rc)
		rc = read_label(bytes, o, parts, &l, e);
	if (!rc)
		rc = judge_label(o, &l, kind, e);
	if (!rc)
		*out = l;
	return rc;
}
