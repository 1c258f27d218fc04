#include "agent/frame.h"

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"

static int
check_byte(const char *field, unsigned expected, unsigned came, struct err *e)
{
	if (expected == came)
		return 0;
	return err_set(e, -EPROTO, "frame %s: expected %02x, got %02x", field, expected, came);
}

/* Each field is judged as soon as its bytes are there: a peer that speaks something else need not send 8 bytes. */
static int
check_start(const uint8_t *p, size_t n, struct err *e)
{
	static const struct {
		const char *field;
		uint8_t expected;
	} fixed[] = {
	    {"magic (first byte)", PROFILE_MAGIC_0},
	    {"magic (second byte)", PROFILE_MAGIC_1},
	    {"version", PROFILE_VERSION},
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && i < n; i++) {
		if (check_byte(fixed[i].field, fixed[i].expected, p[i], e))
			return -EPROTO;
	}
	if (n > 3 && p[3] != PROFILE_TYPE_MESSAGE && p[3] != PROFILE_TYPE_PACKET)
		return err_set(e, -EPROTO, "frame type: expected %02x or %02x, got %02x", PROFILE_TYPE_MESSAGE,
			       PROFILE_TYPE_PACKET, p[3]);
	return 0;
}

ssize_t
frame_parse(uint8_t *p, size_t n, struct frame *out, struct err *e)
{
	struct rd r = rd_init(p, n);
	uint32_t total;

	if (check_start(p, n, e))
		return -EPROTO;
	if (n < PROFILE_FRAME_HEADER)
		return 0;
	rd_bytes(&r, 4);
	total = rd_u32be(&r);
	if (total < PROFILE_FRAME_MIN || total > PROFILE_FRAME_MAX)
		return err_set(e, -EPROTO, "frame length: expected %d to %d, got %u", PROFILE_FRAME_MIN,
			       PROFILE_FRAME_MAX, total);
	if (n < total)
		return 0;
	*out = (struct frame){.type = p[3] == PROFILE_TYPE_PACKET ? FRAME_PACKET : FRAME_MESSAGE,
			      .body = p + PROFILE_FRAME_HEADER,
			      .len = total - PROFILE_FRAME_HEADER};
	return (ssize_t)total;
}

void
frame_header(uint8_t dst[PROFILE_FRAME_HEADER], enum frame_type type, size_t body_len)
{
	uint32_t total = (uint32_t)(body_len + PROFILE_FRAME_HEADER);

	dst[0] = PROFILE_MAGIC_0;
	dst[1] = PROFILE_MAGIC_1;
	dst[2] = PROFILE_VERSION;
	dst[3] = (uint8_t)type;
	dst[4] = (uint8_t)(total >> 24);
	dst[5] = (uint8_t)(total >> 16);
	dst[6] = (uint8_t)(total >> 8);
	dst[7] = (uint8_t)total;
}
