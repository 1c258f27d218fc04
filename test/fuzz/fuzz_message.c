/* fuzz_message: what a peer sends before anything of it is believed: frames, and the messages in them.
 *
 * Beyond memory errors it checks what the rest of the program relies on: lengths within their bounds, keys of the
 * allowed characters, values without control characters, reasons that can be shown, and that a message built from what
 * was read says the same again. Each body is parsed in a copy of its exact size.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/frame.h"
#include "agent/message.h"
#include "base/buf.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int holds)
{
	if (!holds)
		abort();
}

static void
check_reason(const struct err *e)
{
	check(e->code < 0 && e->text[0]);
	for (const char *p = e->text; *p; p++)
		check(*p >= ' ' && *p <= '~');
}

static void
check_word(const char *word, size_t max)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	check(n && n <= max && !word[n]);
}

static void
check_value(const char *value)
{
	check(strlen(value) <= PROFILE_VALUE_MAX);
	for (; *value; value++)
		check((unsigned char)*value >= 0x20 && *value != 0x7f);
}

static void
check_message(const struct message *m, const uint8_t *body, size_t len)
{
	check(m->count <= PROFILE_KEYS_MAX);
	check_word(m->verb, PROFILE_TEXT_MAX);
	if (*m->argument)
		check_word(m->argument, PROFILE_TEXT_MAX);
	for (size_t i = 0; i < m->count; i++) {
		check_word(m->keys[i].key, PROFILE_KEY_MAX);
		check_value(m->keys[i].value);
		/* the first of its name */
		check(message_get(m, m->keys[i].key) == m->keys[i].value);
	}
	check(!m->repeated == !m->repeated_first);
	check(m->data > body && m->data + m->data_len == body + len);
	check(!m->data_len || !strcmp(m->verb, PROFILE_VERB_CHANNEL));
}

static void
check_same(const struct message *a, const struct message *b)
{
	check(!strcmp(a->verb, b->verb) && !strcmp(a->argument, b->argument));
	check(a->count == b->count && !b->repeated);
	for (size_t i = 0; i < a->count; i++) {
		check(!strcmp(a->keys[i].key, b->keys[i].key));
		check(!strcmp(a->keys[i].value, b->keys[i].value));
	}
	check(a->data_len == b->data_len && !memcmp(a->data, b->data, a->data_len));
}

/* Builds the message anew and reads that. */
static void
rebuild(const struct message *m)
{
	struct buf b = BUF_INIT(2 * (size_t)PROFILE_FRAME_MAX);
	struct message again;
	struct err e;
	char *body;
	size_t len;

	message_begin(&b, m->verb, m->argument);
	for (size_t i = 0; i < m->count; i++)
		message_key(&b, m->keys[i].key, m->keys[i].value);
	check(!message_end(&b));
	len = b.len;
	check(!buf_put(&b, m->data, m->data_len));
	/* the empty line that was missing may be what is too much */
	if (len <= PROFILE_TEXT_MAX + 1) {
		body = buf_steal(&b, &len);
		check(body != NULL);
		check(!message_parse((uint8_t *)body, len, &again, &e));
		check_same(m, &again);
		free(body);
	}
	buf_free(&b);
}

static void
take_body(const uint8_t *body, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct err e = ERR_NONE;
	struct message m;

	if (!copy)
		return;
	if (len)
		memcpy(copy, body, len);
	if (message_parse(copy, len, &m, &e)) {
		check_reason(&e);
	} else {
		check_message(&m, copy, len);
		rebuild(&m);
	}
	free(copy);
}

static void
take_frames(uint8_t *p, size_t left)
{
	struct err e = ERR_NONE;
	struct frame f;
	ssize_t n;

	while ((n = frame_parse(p, left, &f, &e)) > 0) {
		uint8_t head[PROFILE_FRAME_HEADER];

		check((size_t)n <= left && n >= PROFILE_FRAME_MIN && n <= PROFILE_FRAME_MAX);
		check(f.body == p + PROFILE_FRAME_HEADER && f.len == (size_t)n - PROFILE_FRAME_HEADER);
		frame_header(head, f.type, f.len);
		check(!memcmp(head, p, sizeof(head)));
		if (f.type == FRAME_MESSAGE)
			take_body(f.body, f.len);
		p += n;
		left -= (size_t)n;
	}
	if (n < 0)
		check_reason(&e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	take_frames(copy, size);
	free(copy);
	take_body(data, size); /* without the frame, whose length is hard to guess */
	return 0;
}
