/* frame: the fgfm header (wire profile, section 2): magic, version, type, total length. Pure. */
#ifndef AGENT_FRAME_H
#define AGENT_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/profile.h"

struct err;

enum frame_type { FRAME_MESSAGE = PROFILE_TYPE_MESSAGE, FRAME_PACKET = PROFILE_TYPE_PACKET };

struct frame {
	enum frame_type type;
	uint8_t *body; /* borrowed from the receive buffer; a message is parsed in place */
	size_t len;
};

/* Looks at `n` received bytes. Returns the total length of the first frame and fills `out`; 0 when more bytes are
 * needed; -EPROTO as soon as a byte cannot be right: `e` names the field, what was expected and what came. */
ssize_t frame_parse(uint8_t *p, size_t n, struct frame *out, struct err *e);

/* The header of a frame whose body has `body_len` bytes; that must be within the bounds. */
void frame_header(uint8_t dst[PROFILE_FRAME_HEADER], enum frame_type type, size_t body_len);

#endif
