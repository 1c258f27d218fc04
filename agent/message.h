/* message: the text of an fgfm message: a verb line, key=value lines, and for a channel raw bytes. Pure.
 *
 * Wire profile, section 2. Values are hostile text: bounded, free of control characters, and nothing more is promised.
 */
#ifndef AGENT_MESSAGE_H
#define AGENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/profile.h"

struct buf;
struct err;

struct message {
	const char *verb;     /* "get", "reply", "keepalive", "channel" or another word */
	const char *argument; /* "" when there is none */
	size_t count;
	struct {
		const char *key, *value;
	} keys[PROFILE_KEYS_MAX];
	unsigned repeated;          /* keys that came again and were ignored */
	const char *repeated_first; /* … the first of them */
	const uint8_t *data;        /* after the NUL: a channel's bytes */
	size_t data_len;
};

/* Parses in place: `body` is changed, and what `out` points to lives as long as it. 0 or -EPROTO: `e` says which rule
 * was broken and where. */
int message_parse(uint8_t *body, size_t len, struct message *out, struct err *e);

/* The value of a key; NULL when it is missing. message_str() gives "" instead. */
const char *message_get(const struct message *m, const char *key);
const char *message_str(const struct message *m, const char *key);

/* Building: message_begin(b, "get", "auth"), message_key(…)…, message_end(b), then raw bytes if it is a channel. A
 * value of ours that holds a control character (a host name from a file) loses it. message_end() returns 0 or the first
 * -errno of all the appends. */
void message_begin(struct buf *b, const char *verb, const char *argument);
void message_key(struct buf *b, const char *key, const char *value);
void message_key_u(struct buf *b, const char *key, uint64_t value);
int message_end(struct buf *b);

/* True for keys whose value never shows in a log. */
int message_secret(const char *key);

/* Debug lines of a message: `title` ("client:send:" or "client:"), verb line, keys; secrets masked, bytes counted. */
void message_log(const char *title, const struct message *m);

#endif
