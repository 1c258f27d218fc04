#include "agent/control_wire.h"

#include <errno.h>

#include "base/buf.h"

int
control_put(struct buf *b, enum control_type type, const void *data, size_t len)
{
	const uint8_t head[CONTROL_HEAD] = {(uint8_t)type, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
					    (uint8_t)(len >> 8), (uint8_t)len};

	/* both or nothing: a head alone would break the stream */
	if (!buf_room(b, sizeof(head) + len))
		return b->error;
	buf_put(b, head, sizeof(head));
	return buf_put(b, data, len);
}

long
control_piece(const uint8_t *p, size_t n, size_t max, enum control_type *type, const uint8_t **body, size_t *len)
{
	struct rd r = rd_init(p, n);
	uint8_t t = rd_u8(&r);
	uint32_t size = rd_u32be(&r);

	if (r.bad)
		return 0;
	if (size > max)
		return -EPROTO;
	*body = rd_bytes(&r, size);
	if (r.bad)
		return 0;
	*type = (enum control_type)t;
	*len = size;
	return (long)(CONTROL_HEAD + size);
}
