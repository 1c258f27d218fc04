/* wire: messages as one line of text, so that tests can write and read them: "get auth|serialno=FG…|…", bytes of a
 * channel after "|:" with \n, \\ and \xNN escapes.
 */
#ifndef TEST_REPLAY_WIRE_H
#define TEST_REPLAY_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/message.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

/* Ends the program: what fails here is the test's own memory. */
static inline void *
wire_alloc(size_t n)
{
	void *p = malloc(n);

	if (!p)
		abort();
	return p;
}

static inline size_t
wire_unescape(uint8_t *dst, const char *s)
{
	size_t n = 0;

	while (*s) {
		if (*s != '\\') {
			dst[n++] = (uint8_t)*s++;
		} else if (s[1] == 'x') {
			char hex[3] = {s[2], s[3], '\0'};

			dst[n++] = (uint8_t)strtoul(hex, NULL, 16);
			s += 4;
		} else {
			dst[n++] = s[1] == 'n' ? '\n' : s[1] == 'r' ? '\r' : (uint8_t)s[1];
			s += 2;
		}
	}
	return n;
}

/* The body of a message from its line, with further bytes after those of the line. The caller frees it. */
static inline uint8_t *
wire_body(const char *line, const void *data, size_t len, size_t *size)
{
	const char *bytes = strstr(line, "|:");
	size_t text = bytes ? (size_t)(bytes - line) : strlen(line);
	uint8_t *body = wire_alloc(2 * strlen(line) + len + 8);
	size_t n = 0;

	for (size_t i = 0; i < text; i++) {
		if (line[i] == '|')
			body[n++] = '\r';
		body[n++] = line[i] == '|' ? '\n' : (uint8_t)line[i];
	}
	memcpy(body + n, "\r\n\r\n", 5);
	n += 5;
	if (bytes)
		n += wire_unescape(body + n, bytes + 2);
	if (len)
		memcpy(body + n, data, len);
	*size = n + len;
	return body;
}

/* The line of a body that the device sent, for the caller to free. A body that does not keep the rules of its own
 * protocol gives "malformed: why". */
static inline char *
wire_line(const void *body, size_t len)
{
	struct buf b = BUF_INIT(16 * 1024 * 1024);
	uint8_t *copy = wire_alloc(len + 1);
	struct err e = ERR_NONE;
	struct message m;
	char *line;

	memcpy(copy, body, len);
	if (message_parse(copy, len, &m, &e)) {
		buf_printf(&b, "malformed: %s", e.text);
	} else {
		buf_printf(&b, "%s%s%s", m.verb, *m.argument ? " " : "", m.argument);
		for (size_t i = 0; i < m.count; i++)
			buf_printf(&b, "|%s=%s", m.keys[i].key, m.keys[i].value);
		if (m.data_len) {
			char *shown = wire_alloc(4 * m.data_len + 8);

			buf_printf(&b, "|:%s", text_escape(shown, 4 * m.data_len + 8, m.data, m.data_len));
			free(shown);
		}
	}
	free(copy);
	line = buf_steal(&b, NULL);
	if (!line)
		abort();
	return line;
}

/* The n-th part of a line, cut at '|'; bytes after "|:" are one part. Returns its length, or -1 past the end. */
static inline long
wire_part(const char *line, size_t n, const char **start)
{
	for (; n; n--) {
		const char *bar = *line == ':' ? NULL : strchr(line, '|');

		if (!bar)
			return -1;
		line = bar + 1;
	}
	*start = line;
	return (long)(*line == ':' ? strlen(line) : strcspn(line, "|"));
}

static inline bool
wire_part_matches(const char *want, long want_len, const char *got, long got_len)
{
	if (want_len && want[want_len - 1] == '*')
		return got_len >= want_len - 1 && !strncmp(want, got, (size_t)want_len - 1);
	return want_len == got_len && !strncmp(want, got, (size_t)want_len);
}

/* Whether a line is what a pattern says: the same first part, then the pattern's parts in this order, others may stand
 * between them; a part "." at the end: no other parts. "key=*" is any value. */
static inline bool
wire_matches(const char *pattern, const char *line)
{
	size_t end = strlen(pattern), at = 0;
	bool whole = end >= 2 && !strcmp(pattern + end - 2, "|.");
	const char *want, *got;
	long want_len, got_len;

	for (size_t i = 0; (want_len = wire_part(pattern, i, &want)) >= 0; i++) {
		if (whole && want_len == 1 && *want == '.')
			return wire_part(line, at, &got) < 0;
		do
			got_len = wire_part(line, at++, &got);
		while (got_len >= 0 && i && !whole && !wire_part_matches(want, want_len, got, got_len));
		if (got_len < 0 || !wire_part_matches(want, want_len, got, got_len))
			return false;
	}
	return true;
}

#endif
