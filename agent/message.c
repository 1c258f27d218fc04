#include "agent/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

enum { VERB_MAX = 32, ARGUMENT_MAX = 64, SHOWN = 48 };

static bool
is_word(const char *s, size_t max)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n && n <= max && !s[n];
}

static const char *
shown(char dst[SHOWN], const char *s)
{
	return text_escape(dst, SHOWN, s, strlen(s));
}

/* Cuts the next line, ended by CR LF, off *p. NULL at the end of the text, or with *p still at the line when its end is
 * missing. A lone CR or LF is caught with the other control characters. */
static char *
next_line(char **p)
{
	char *line = *p, *end = strstr(line, "\r\n");

	if (!end)
		return NULL;
	*end = '\0';
	*p = end + 2;
	return line;
}

static int
check_printable(const char *line, size_t number, struct err *e)
{
	for (const unsigned char *c = (const unsigned char *)line; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			return err_set(e, -EPROTO, "message line %zu, byte %td: a printable byte expected, got %02x",
				       number, (const char *)c - line + 1, *c);
	}
	return 0;
}

static int
parse_verb(char *line, struct message *m, struct err *e)
{
	char *space = strchr(line, ' ');
	char text[SHOWN];

	m->argument = "";
	if (space) {
		*space = '\0';
		m->argument = space + 1;
	}
	m->verb = line;
	if (!is_word(m->verb, VERB_MAX))
		return err_set(e, -EPROTO, "message verb: a word of at most %d characters expected, got \"%s\"",
			       VERB_MAX, shown(text, line));
	if (*m->argument && !is_word(m->argument, ARGUMENT_MAX))
		return err_set(e, -EPROTO, "message argument: one word of at most %d characters expected, got \"%s\"",
			       ARGUMENT_MAX, shown(text, m->argument));
	return 0;
}

static int
parse_key(char *line, size_t number, struct message *m, struct err *e)
{
	char *equals = strchr(line, '=');
	char seen[SHOWN];

	if (!equals)
		return err_set(e, -EPROTO, "message line %zu: key=value expected, got \"%s\"", number,
			       shown(seen, line));
	*equals = '\0';
	if (!is_word(line, PROFILE_KEY_MAX))
		return err_set(e, -EPROTO,
			       "message line %zu: key of 1 to %d characters [a-z0-9_-] expected, got \"%s\"", number,
			       PROFILE_KEY_MAX, shown(seen, line));
	if (strlen(equals + 1) > PROFILE_VALUE_MAX)
		return err_set(e, -EPROTO, "message line %zu: value of %s: at most %d bytes expected, got %zu", number,
			       line, PROFILE_VALUE_MAX, strlen(equals + 1));
	if (message_get(m, line)) {
		if (!m->repeated++)
			m->repeated_first = line;
		return 0;
	}
	if (m->count == PROFILE_KEYS_MAX)
		return err_set(e, -EPROTO, "message line %zu: at most %d keys expected, got \"%s\", too", number,
			       PROFILE_KEYS_MAX, shown(seen, line));
	m->keys[m->count].key = line;
	m->keys[m->count].value = equals + 1;
	m->count++;
	return 0;
}

static int
parse_lines(char *text, struct message *m, struct err *e)
{
	size_t number = 0;
	char seen[SHOWN];
	char *line;

	while ((line = next_line(&text))) {
		int rc;

		number++;
		if (!*line && *text)
			return err_set(e, -EPROTO,
				       "message line %zu: nothing expected after this empty line, got \"%s\"", number,
				       shown(seen, text));
		if (!*line)
			break;
		rc = check_printable(line, number, e);
		if (!rc)
			rc = number == 1 ? parse_verb(line, m, e) : parse_key(line, number, m, e);
		if (rc)
			return rc;
	}
	if (*text)
		return err_set(e, -EPROTO, "message line %zu: CR LF expected at its end, got \"%s\"", number + 1,
			       shown(seen, text));
	return m->verb ? 0 : err_set(e, -EPROTO, "message: a verb expected, got an empty text");
}

int
message_parse(uint8_t *body, size_t len, struct message *out, struct err *e)
{
	size_t window = len < PROFILE_TEXT_MAX + 1 ? len : PROFILE_TEXT_MAX + 1;
	const uint8_t *nul = memchr(body, 0, window);
	struct message m = {0};
	int rc;

	if (!nul)
		return err_set(e, -EPROTO, "message text: a NUL within %d bytes expected, got none in %zu",
			       PROFILE_TEXT_MAX + 1, window);
	rc = parse_lines((char *)body, &m, e);
	if (rc)
		return rc;
	m.data = nul + 1;
	m.data_len = (size_t)(body + len - m.data);
	if (m.data_len && strcmp(m.verb, PROFILE_VERB_CHANNEL))
		return err_set(e, -EPROTO, "message %s: nothing expected after the NUL, got %zu bytes", m.verb,
			       m.data_len);
	*out = m;
	return 0;
}

const char *
message_get(const struct message *m, const char *key)
{
	for (size_t i = 0; i < m->count; i++) {
		if (!strcmp(m->keys[i].key, key))
			return m->keys[i].value;
	}
	return NULL;
}

const char *
message_str(const struct message *m, const char *key)
{
	const char *v = message_get(m, key);

	return v ? v : "";
}

void
message_begin(struct buf *b, const char *verb, const char *argument)
{
	buf_str(b, verb);
	if (argument && *argument) {
		buf_str(b, " ");
		buf_str(b, argument);
	}
	buf_str(b, "\r\n");
}

void
message_key(struct buf *b, const char *key, const char *value)
{
	buf_str(b, key);
	buf_str(b, "=");
	for (const char *p = value; *p && p - value < PROFILE_VALUE_MAX; p++) {
		if ((unsigned char)*p >= 0x20 && *p != 0x7f)
			buf_put(b, p, 1);
	}
	buf_str(b, "\r\n");
}

void
message_key_u(struct buf *b, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	message_key(b, key, text);
}

int
message_end(struct buf *b)
{
	buf_put(b, "\r\n", sizeof("\r\n"));
	return b->error;
}

int
message_secret(const char *key)
{
	return strstr(key, "passwd") || strstr(key, "password") || !strcmp(key, "user");
}

void
message_log(const char *title, const struct message *m)
{
	char value[PROFILE_VALUE_MAX];

	if (!log_wants(DBG_MESSAGE))
		return;
	log_debug(DBG_MESSAGE, "%s", title);
	log_raw(DBG_MESSAGE, *m->argument ? "%s %s" : "%s%s", m->verb, m->argument);
	for (size_t i = 0; i < m->count; i++) {
		const char *v = m->keys[i].value;
		bool secret = message_secret(m->keys[i].key) && *v;

		log_raw(DBG_MESSAGE, "%s=%s", m->keys[i].key,
			secret ? "******" : text_escape(value, sizeof(value), v, strlen(v)));
	}
	if (m->data_len)
		log_raw(DBG_MESSAGE, "(%zu bytes)", m->data_len);
}
