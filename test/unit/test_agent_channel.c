/* agent/channel: byte streams with windows in both directions (wire profile, section 5). */
#include "agent/channel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/gzip.h"
#include "agent/profile.h"
#include "base/err.h"
#include "test/replay/wire.h"

enum { WINDOW = 4096, IDLE_MS = 90 * 1000, SENT_MAX = 4096, PEER = 700 };

/* One message that was sent. */
struct sent {
	uint32_t remoteid;
	char text[192];
	size_t data_len;
};

/* The session below the channels, and all that went out. */
static struct {
	struct channels *cs;
	mono_t now;
	int room; /* so many messages are taken, then -ENOBUFS; -1: all */
	struct sent sent[SENT_MAX];
	size_t count, seen;
	struct buf bytes[2]; /* of the streams to the peer's channels PEER and PEER + 1 */
} below;

/* The owner of one channel, and what it was told. */
struct owner {
	struct buf got; /* decoded bytes; '|' at each stream's end */
	int data_rc, end_rc;
	int delivered, closed;
	int code;
	char reason[320];
	struct channel *write_to; /* writes an answer at the stream's end */
	bool reopen;              /* asks for a channel when it is closed */
	struct channel *next;     /* … this one */
	struct channels *reopen_in;
};

static int
on_send(void *ctx, const void *body, size_t len)
{
	struct sent *s = &below.sent[below.count];
	uint8_t *copy = wire_alloc(len);
	struct message m;
	struct err e = ERR_NONE;
	char *line;

	(void)ctx;
	if (!below.room) {
		free(copy);
		return -ENOBUFS;
	}
	below.room -= below.room > 0;
	assert_true(below.count < SENT_MAX);
	memcpy(copy, body, len);
	assert_int_equal(message_parse(copy, len, &m, &e), 0);
	assert_string_equal(m.verb, "channel");
	assert_true(m.data_len <= PROFILE_CHANNEL_DATA);
	s->remoteid = (uint32_t)strtoul(message_str(&m, "remoteid"), NULL, 10);
	s->data_len = m.data_len;
	if (m.data_len && s->remoteid - PEER < 2)
		buf_put(&below.bytes[s->remoteid - PEER], m.data, m.data_len);
	line = wire_line(body, len - m.data_len);
	snprintf(s->text, sizeof(s->text), "%s", line);
	free(line);
	free(copy);
	below.count++;
	return 0;
}

static int
on_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct owner *o = ctx;

	if (o->data_rc)
		err_set(e, 0, "no %%s more");
	else
		buf_put(&o->got, p, n);
	return o->data_rc;
}

static int
on_end(void *ctx, struct err *e)
{
	struct owner *o = ctx;

	buf_str(&o->got, "|");
	if (o->end_rc)
		err_set(e, 0, "bad end");
	if (o->write_to) {
		assert_int_equal(channel_write(o->write_to, "answer", 6), 0);
		assert_int_equal(channel_write_end(o->write_to), 0);
		channel_close_when_delivered(o->write_to, 0, "done");
	}
	return o->end_rc;
}

static void
on_delivered(void *ctx)
{
	((struct owner *)ctx)->delivered++;
}

static struct channel_ops ops_of(struct owner *o);

static void
on_closed(void *ctx, int code, const char *reason)
{
	struct owner *o = ctx;
	const struct channel_ops ops = ops_of(o);

	o->closed++;
	o->code = code;
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
	if (o->reopen) {
		o->reopen = false;
		o->next = channel_ask(o->reopen_in, &ops, below.now);
	}
}

static struct channel_ops
ops_of(struct owner *o)
{
	return (struct channel_ops){
	    .ctx = o, .data = on_data, .end = on_end, .delivered = on_delivered, .closed = on_closed};
}

enum { OWNERS = 32 };

/* They outlive the test's own frame: the channels tell them of the end in teardown(). */
static struct owner owners[OWNERS];
static size_t owner_count;

static int
setup(void **state)
{
	const struct channels_ops ops = {.send = on_send};

	(void)state;
	memset(&below, 0, sizeof(below));
	owner_count = 0;
	below.room = -1;
	below.now = (mono_t){5000};
	below.bytes[0] = below.bytes[1] = BUF_INIT(64 * 1024 * 1024);
	below.cs = channels_new(&ops);
	if (!below.cs)
		return -1;
	channels_limits(below.cs, WINDOW, IDLE_MS);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	channels_free(below.cs, "the end");
	while (owner_count)
		buf_free(&owners[--owner_count].got);
	buf_free(&below.bytes[0]);
	buf_free(&below.bytes[1]);
	return 0;
}

static struct owner *
new_owner(void)
{
	struct owner *o = &owners[owner_count++];

	assert_true(owner_count <= OWNERS);
	*o = (struct owner){.got = BUF_INIT(1024 * 1024)};
	return o;
}

static struct channel *
accept_one(struct owner **out, uint32_t peer_id, uint32_t window)
{
	struct owner *o = new_owner();
	const struct channel_ops ops = ops_of(o);
	struct channel *ch = channel_accept(below.cs, peer_id, window, &ops, below.now);

	assert_non_null(ch);
	*out = o;
	return ch;
}

/* The peer sends a channel message; `line` as in wire.h, `data` comes after it. */
static void
peer_bytes(const char *line, const void *data, size_t len)
{
	struct message m;
	struct err e = ERR_NONE;
	size_t size;
	uint8_t *body = wire_body(line, data, len, &size);

	assert_int_equal(message_parse(body, size, &m, &e), 0);
	if (channels_on_message(below.cs, &m, below.now, &e))
		fail_msg("%s: %s", line, e.text);
	free(body);
}

static void
peer(const char *line)
{
	peer_bytes(line, NULL, 0);
}

static void
peer_data(const struct channel *ch, const void *data, size_t len)
{
	char line[64];

	snprintf(line, sizeof(line), "channel|remoteid=%u", channel_id(ch));
	peer_bytes(line, data, len);
}

static void
peer_ack(uint32_t id, uint64_t bytes)
{
	char line[96];

	snprintf(line, sizeof(line), "channel|remoteid=%u|action=ack|ack=%llu", id, (unsigned long long)bytes);
	peer(line);
}

/* The next message that went out; "" when there is none. */
static const char *
next_sent(void)
{
	return below.seen < below.count ? below.sent[below.seen++].text : "";
}

static void
assert_closed(const char *what, const struct owner *o, int code, const char *reason)
{
	if (o->closed != 1 || o->code != code || !strstr(o->reason, reason))
		fail_msg("%s: closed %d times, code %d, \"%s\"; %d \"%s\" expected", what, o->closed, o->code,
			 o->reason, code, reason);
}

static bool
got_is(const struct owner *o, const char *text)
{
	return o->got.len == strlen(text) && !memcmp(buf_head(&o->got), text, o->got.len);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void
a_stream_has_its_coding(void **state)
{
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 65536);

	(void)state;
	assert_int_equal(channel_write(ch, "hello\n", 6), 0);
	assert_int_equal(channel_write(ch, "", 0), 0); /* a length of 0 would be the end */
	assert_int_equal(channel_write(ch, "0123456789", 10), 0);
	assert_int_equal(channel_write_end(ch), 0);
	assert_int_equal(below.count, 0);
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "channel|remoteid=700");
	assert_int_equal(below.count, 1);
	buf_put(&below.bytes[0], "", 1);
	assert_string_equal((const char *)buf_head(&below.bytes[0]), "6\nhello\n10\n01234567890\n");
}

/* At most a window's bytes that are not acknowledged. */
static void
the_peers_window_is_respected(void **state)
{
	static const uint32_t windows[] = {1, 7, 100, 4096, 8192, 8193, 32768, 65536};
	static const char text[60000];

	(void)state;
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		size_t all = sizeof("60000\n") - 1 + sizeof(text) + sizeof("0\n") - 1;
		uint32_t w = windows[i];
		struct owner *o;
		struct channel *ch;
		uint64_t acked = 0;
		int rounds = 0;

		teardown(NULL);
		setup(NULL);
		ch = accept_one(&o, PEER, w);
		channel_write(ch, text, w < 100 ? 200 : sizeof(text));
		if (w < 100)
			all = sizeof("200\n") - 1 + 200 + sizeof("0\n") - 1;
		channel_write_end(ch);
		channels_pump(below.cs);
		while (below.bytes[0].len < all && rounds++ < 100000) {
			assert_int_equal(below.bytes[0].len - acked, w);
			below.count = 0;
			channels_pump(below.cs);
			assert_int_equal(below.count, 0);
			/* a part of it first */
			acked += w / 3;
			peer_ack(channel_id(ch), acked);
			assert_true(below.bytes[0].len - acked <= w);
			acked = below.bytes[0].len;
			assert_int_equal(o->delivered, 0);
			peer_ack(channel_id(ch), acked);
		}
		assert_int_equal(below.bytes[0].len, all);
		peer_ack(channel_id(ch), all);
		assert_int_equal(o->delivered, 1);
		peer_ack(channel_id(ch), all);
		assert_int_equal(o->delivered, 1);
		assert_int_equal(o->closed, 0);
	}
}

static void
bad_acknowledgements(void **state)
{
	static const struct {
		const char *what, *keys;
		bool closes;
	} rows[] = {
	    {"nothing", "|action=ack", true},
	    {"empty", "|action=ack|ack=", true},
	    {"more than was sent", "|action=ack|ack=11", true},
	    {"huge", "|action=ack|ack=18446744073709551615", true},
	    {"over 64 bits", "|action=ack|ack=18446744073709551617", true},
	    {"negative", "|action=ack|ack=-1", true},
	    {"hexadecimal", "|action=ack|ack=0x2", true},
	    {"less than before", "|action=ack|ack=2", true},
	    {"directives", "|action=ack|ack=%n", true},
	    {"the same again", "|action=ack|ack=5", false},
	    {"all", "|action=ack|ack=10", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct owner *o, *other;
		struct channel *ch;
		char line[128];

		teardown(NULL);
		setup(NULL);
		ch = accept_one(&o, PEER, 1000);
		accept_one(&other, PEER + 1, 1000);
		channel_write(ch, "12345678", 8); /* 10 bytes with its length */
		channels_pump(below.cs);
		peer_ack(channel_id(ch), 5);
		below.seen = below.count;
		snprintf(line, sizeof(line), "channel|remoteid=%u%s", channel_id(ch), rows[i].keys);
		peer(line);
		if (rows[i].closes) {
			assert_closed(rows[i].what, o, PROFILE_MALFORMED, "ack=");
			assert_true(
			    wire_matches("channel|remoteid=700|action=close|code=400|reason=ack=*", next_sent()));
			assert_int_equal(channels_count(below.cs), 1);
		} else {
			assert_int_equal(o->closed, 0);
		}
		assert_int_equal(other->closed, 0);
	}
}

/* Each channel gets a piece in turn: a large configuration does not keep a small result waiting. */
static void
channels_share_the_way(void **state)
{
	static const char text[40000];
	struct owner *a, *b;
	struct channel *first = accept_one(&a, PEER, 65536), *second = accept_one(&b, PEER + 1, 65536);

	(void)state;
	channel_write(first, text, sizeof(text));
	channel_write(second, text, 20000);
	channels_pump(below.cs);
	assert_int_equal(below.sent[0].remoteid, PEER);
	assert_int_equal(below.sent[1].remoteid, PEER + 1);
	assert_int_equal(below.sent[2].remoteid, PEER);
	assert_int_equal(below.sent[3].remoteid, PEER + 1);
	assert_int_equal(below.bytes[0].len, 40006);
	assert_int_equal(below.bytes[1].len, 20006);
}

/* The session's queue is full at any place: nothing is lost or sent twice. */
static void
a_full_queue_is_waited_for(void **state)
{
	(void)state;
	for (int room = 0; room < 8; room++) {
		struct owner *o;
		struct channel *ch;
		char text[30000];

		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (char)('a' + i % 26);
		teardown(NULL);
		setup(NULL);
		ch = accept_one(&o, PEER, 65536);
		channel_write(ch, text, sizeof(text));
		channel_write_end(ch);
		channel_close_when_delivered(ch, 0, "done");
		below.room = room;
		channels_pump(below.cs);
		channels_pump(below.cs);
		assert_int_equal(o->closed, 0);
		below.room = -1;
		channels_pump(below.cs);
		assert_int_equal(below.bytes[0].len, 6 + sizeof(text) + 2);
		assert_memory_equal(buf_head(&below.bytes[0]) + 6, text, sizeof(text));
		below.room = 0; /* the close, too, waits */
		peer_ack(channel_id(ch), below.bytes[0].len);
		assert_int_equal(o->delivered, 1);
		assert_int_equal(o->closed, 0);
		below.room = -1;
		below.seen = below.count;
		channels_pump(below.cs);
		assert_closed("full", o, 0, "done");
		assert_string_equal(next_sent(), "channel|remoteid=700|action=close");
		assert_string_equal(next_sent(), "");
	}
}

/* A close that cannot wait for its channel waits without it; its number is not given away meanwhile. */
static void
a_forced_close_is_not_lost(void **state)
{
	struct owner *o[3];
	const struct channel_ops ops = ops_of(new_owner());

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		channel_close(accept_one(&o[i], PEER + i, 1000), i ? 500 : 0, "no room");
	assert_string_equal(next_sent(), "channel|remoteid=700|action=close");
	below.seen = below.count;
	below.room = 0;
	for (uint32_t i = 0; i < 3; i++)
		channel_close(accept_one(&o[i], PEER + i, 1000), i ? 500 : 0, "no %s room");
	assert_closed("without room", o[1], 500, "no %s room");
	assert_int_equal(channels_count(below.cs), 0);
	assert_null(channel_accept(below.cs, PEER + 1, 1000, &ops, below.now));
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "");
	below.room = 1;
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=close");
	assert_string_equal(next_sent(), "");
	below.room = -1;
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "channel|remoteid=701|action=close|code=500|reason=no %s room");
	assert_string_equal(next_sent(), "channel|remoteid=702|action=close|code=500|reason=no %s room");
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "");
	assert_non_null(channel_accept(below.cs, PEER + 1, 1000, &ops, below.now));
}

static void
a_refusal_closes_with_its_code(void **state)
{
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 1000);

	(void)state;
	channel_write(ch, "result=refused\n", 15);
	channel_write_end(ch);
	channel_close_when_delivered(ch, 409, "install %s is pending");
	channels_pump(below.cs);
	assert_int_equal(o->closed, 0);
	peer_ack(channel_id(ch), 20);
	assert_closed("refusal", o, 409, "install %s is pending");
	next_sent();
	assert_string_equal(next_sent(), "channel|remoteid=700|action=close|code=409|reason=install %s is pending");
}

/* 65 MiB is more than a configuration can be. */
static void
what_waits_is_bounded(void **state)
{
	const size_t piece = 1024 * 1024;
	char *text = calloc(1, piece);
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 1000);
	int rc = 0, n = 0;

	(void)state;
	assert_non_null(text);
	while (!rc && n++ < 100)
		rc = channel_write(ch, text, piece);
	assert_int_equal(rc, -EMSGSIZE);
	assert_int_equal(n, 65);
	channels_pump(below.cs);
	assert_int_equal(below.bytes[0].len, 1000);
	free(text);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* "at latest when half a window is unacknowledged, and at once after a stream's final `0\n`" */
static void
acknowledgements_come_in_time(void **state)
{
	static const char text[8192];
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 1000);

	(void)state;
	peer_data(ch, "8192\n", 5);
	peer_data(ch, text, WINDOW / 2 - 5 - 1);
	assert_string_equal(next_sent(), "");
	peer_data(ch, text, 1);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=2048");
	peer_data(ch, text, WINDOW);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=6144");
	peer_data(ch, text, 2053);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=8197");
	assert_string_equal(next_sent(), "");
	peer_data(ch, "0\n", 2);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=8199");
	peer_data(ch, "0\n", 2); /* an empty second stream */
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=8201");
	assert_int_equal(o->got.len, 8192 + 2);
	assert_int_equal(o->closed, 0);
}

/* "A peer that overruns the window has its channel closed with 413", and nothing else happens. */
static void
an_overrun_is_413(void **state)
{
	static const char text[70000];
	static const struct {
		const char *what;
		size_t first, second;
		bool stuck; /* our acknowledgements do not get out */
	} rows[] = {
	    {"at once", WINDOW + 1, 0, false},
	    {"far over", 60000, 0, false},
	    {"what was acknowledged is free again", WINDOW / 2, WINDOW + 1, false},
	    {"while nothing can be acknowledged", WINDOW, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct owner *o, *other;
		struct channel *ch;

		teardown(NULL);
		setup(NULL);
		ch = accept_one(&o, PEER, 1000);
		accept_one(&other, PEER + 1, 1000);
		below.room = rows[i].stuck ? 0 : -1;
		if (rows[i].second) {
			uint8_t coded[WINDOW];

			memset(coded, 'x', sizeof(coded));
			memcpy(coded, "99999\n", 6);
			peer_data(ch, coded, rows[i].first);
			assert_int_equal(o->closed, 0);
		}
		below.room = -1;
		peer_data(ch, text, rows[i].second ? rows[i].second : rows[i].first);
		assert_closed(rows[i].what, o, PROFILE_TOO_LARGE, "window overrun");
		assert_true(wire_matches("channel|remoteid=700|action=close|code=413|reason=window overrun*",
					 below.sent[below.count - 1].text));
		assert_int_equal(channels_count(below.cs), 1);
		assert_int_equal(other->closed, 0);
	}
}

/* The peer was told a window when the channel opened: a smaller one, set later, is for later channels. */
static void
a_new_limit_is_for_new_channels(void **state)
{
	uint8_t coded[WINDOW + 1];
	struct owner *a, *b;
	struct channel *old = accept_one(&a, PEER, 1000), *fresh;

	(void)state;
	memset(coded, 'x', sizeof(coded));
	memcpy(coded, "99999\n", 6);
	channels_limits(below.cs, 100, IDLE_MS);
	assert_int_equal(channels_window(below.cs), 100);
	fresh = accept_one(&b, PEER + 1, 1000);
	peer_data(old, coded, WINDOW);
	assert_int_equal(a->closed, 0);
	peer_data(fresh, coded, 101);
	assert_closed("new", b, PROFILE_TOO_LARGE, "the window has 100");
}

static const struct {
	const char *what, *bytes;
	const char *got; /* NULL: closed with 400 */
} codings[] = {
    {"one part", "5\nhello0\n", "hello|"},
    {"two parts", "5\nhello3\n...0\n", "hello...|"},
    {"two streams", "1\na0\n2\nbc0\n", "a|bc|"},
    {"empty stream", "0\n", "|"},
    {"line feeds and digits inside", "8\n0\n5\nabc\n0\n", "0\n5\nabc\n|"},
    {"leading zeros", "005\nhello00\n", "hello|"},
    {"eight digits", "00000001\nx0\n", "x|"},
    {"nine digits", "000000001\nx0\n", NULL},
    {"no digits", "\nhello", NULL},
    {"a letter", "5a\nhello", NULL},
    {"a letter first", "x", NULL},
    {"negative", "-1\n", NULL},
    {"a sign", "+1\nx", NULL},
    {"a space", "5 \nhello", NULL},
    {"hexadecimal", "0x5\nhello", NULL},
    {"carriage return", "5\r\nhello", NULL},
    {"length too short", "4\nhello0\n", NULL},
    {"raw bytes", "config system interface\n", NULL},
    {"directives", "%n\n", NULL},
};

static void
codings_as_they_should_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
		size_t len = strlen(codings[i].bytes);

		/* in pieces of each size */
		for (size_t piece = 1; piece <= len; piece++) {
			struct owner *o;
			struct channel *ch;

			teardown(NULL);
			setup(NULL);
			ch = accept_one(&o, PEER, 1000);
			for (size_t at = 0; at < len && !o->closed; at += piece)
				peer_data(ch, codings[i].bytes + at, len - at < piece ? len - at : piece);
			if (codings[i].got && (o->closed || !got_is(o, codings[i].got)))
				fail_msg("%s, pieces of %zu: %s \"%.*s\"", codings[i].what, piece, o->reason,
					 (int)o->got.len, (const char *)buf_head(&o->got));
			if (!codings[i].got)
				assert_closed(codings[i].what, o, PROFILE_MALFORMED, "stream length");
		}
	}
}

static void
the_owner_refuses(void **state)
{
	static const struct {
		const char *what, *bytes;
		int data_rc, end_rc;
	} rows[] = {
	    {"data", "5\nhello0\n", 413, 0},
	    {"end", "5\nhello0\n", 0, 400},
	    {"nothing after it is looked at", "1\nxyz", 500, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct owner *o;
		struct channel *ch;
		char want[96];

		teardown(NULL);
		setup(NULL);
		ch = accept_one(&o, PEER, 1000);
		o->data_rc = rows[i].data_rc;
		o->end_rc = rows[i].end_rc;
		peer_data(ch, rows[i].bytes, strlen(rows[i].bytes));
		assert_closed(rows[i].what, o, rows[i].data_rc + rows[i].end_rc,
			      rows[i].data_rc ? "no %s more" : "bad end");
		snprintf(want, sizeof(want), "channel|remoteid=700|action=close|code=%d|reason=%s|.",
			 rows[i].data_rc + rows[i].end_rc, rows[i].data_rc ? "no %s more" : "bad end");
		if (!wire_matches(want, below.sent[below.count - 1].text))
			fail_msg("%s: %s", rows[i].what, below.sent[below.count - 1].text);
	}
}

/* An answer written from inside the owner's own calls goes out, and the channel closes when the peer has it. */
static void
an_answer_from_inside(void **state)
{
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 1000);

	(void)state;
	o->write_to = ch;
	peer_data(ch, "1\nx0\n", 5);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=5");
	assert_string_equal(next_sent(), "channel|remoteid=700");
	assert_string_equal(next_sent(), "");
	peer_ack(channel_id(ch), 10);
	assert_int_equal(o->delivered, 1);
	assert_closed("answered", o, 0, "done");
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

static void
sixteen_and_no_more(void **state)
{
	struct owner *all[16];
	const struct channel_ops ops = ops_of(new_owner());
	struct channel *ch = NULL;

	(void)state;
	for (uint32_t i = 0; i < 16; i++)
		ch = accept_one(&all[i], 100 + i, 1000);
	assert_int_equal(channels_count(below.cs), 16);
	assert_null(channel_accept(below.cs, 999, 1000, &ops, below.now));
	assert_null(channel_ask(below.cs, &ops, below.now));
	channel_close(ch, 0, "done");
	assert_null(channel_accept(below.cs, 105, 1000, &ops, below.now)); /* the peer's number is in use */
	assert_non_null(channel_accept(below.cs, 115, 1000, &ops, below.now));
}

/* Closed by the peer at each point of an exchange: an error of that exchange alone. */
static void
closed_at_each_point(void **state)
{
	static const struct {
		const char *what, *bytes;
		bool wrote, asked;
		const char *keys;
		int code;
		const char *reason;
	} rows[] = {
	    {"at once", "", false, false, "", 0, "closed by the manager"},
	    {"inside a length", "12", false, false, "", 0, "closed by the manager"},
	    {"inside a part", "5\nhe", false, false, "", 0, "closed by the manager"},
	    {"between parts", "5\nhello", false, false, "", 0, "closed by the manager"},
	    {"after the stream", "5\nhello0\n", false, false, "", 0, "closed by the manager"},
	    {"before it has the answer", "5\nhello0\n", true, false, "", 0, "closed by the manager"},
	    {"with a code", "", false, false, "|code=413|reason=too much", 413, "closed by the manager: too much"},
	    {"with a word for a code", "", false, false, "|code=%n|reason=%s%n", 0, "closed by the manager: %s%n"},
	    {"with a large code", "", false, false, "|code=4000000000", 0, "closed by the manager"},
	    {"asked by us", "", false, true, "|code=403", 403, "closed by the manager"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct owner *o, *other;
		struct channel_ops ops;
		struct channel *ch;
		char line[192];
		uint32_t id;

		teardown(NULL);
		setup(NULL);
		accept_one(&other, 1, 1000);
		if (rows[i].asked) {
			o = new_owner();
			ops = ops_of(o);
			ch = channel_ask(below.cs, &ops, below.now);
			channel_opened(ch, PEER, 1000, below.now);
		} else {
			ch = accept_one(&o, PEER, 1000);
		}
		id = channel_id(ch);
		peer_data(ch, rows[i].bytes, strlen(rows[i].bytes));
		if (rows[i].wrote)
			channel_write(ch, "answer", 6);
		channels_pump(below.cs);
		below.seen = below.count;
		snprintf(line, sizeof(line), "channel|remoteid=%u|action=close%s", id, rows[i].keys);
		peer(line);
		assert_closed(rows[i].what, o, rows[i].code, rows[i].reason);
		assert_int_equal(o->delivered, 0);
		assert_int_equal(other->closed, 0);
		peer(line); /* what crosses a close is nobody's */
		snprintf(line, sizeof(line), "channel|remoteid=%u|action=ack|ack=1", id + 100);
		peer(line);
		assert_string_equal(next_sent(), "");
		assert_int_equal(o->closed, 1);
	}
}

static void
numbers_that_are_none(void **state)
{
	static const char *const lines[] = {"channel",
					    "channel|remoteid=",
					    "channel|remoteid=x",
					    "channel|remoteid=-1",
					    "channel|remoteid=4294967296",
					    "channel|remoteid=%n",
					    "channel|remoteid=1 "};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct err e = ERR_NONE;
		struct message m;
		size_t size;
		uint8_t *body = wire_body(lines[i], NULL, 0, &size);

		assert_int_equal(message_parse(body, size, &m, &e), 0);
		assert_int_equal(channels_on_message(below.cs, &m, below.now, &e), -EPROTO);
		assert_non_null(strstr(e.text, "remoteid="));
		free(body);
	}
}

static void
other_actions(void **state)
{
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 1000);
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "channel|remoteid=%u|action=open", channel_id(ch));
	peer(line);
	assert_closed("open", o, PROFILE_MALFORMED, "action=");
	assert_true(wire_matches("channel|remoteid=700|action=close|code=400|reason=*", next_sent()));
}

/* A channel of ours: nothing goes out or counts before the peer has named its number. */
static void
asked_and_answered(void **state)
{
	struct owner *o = new_owner();
	const struct channel_ops ops = ops_of(o);
	struct channel *ch = channel_ask(below.cs, &ops, below.now);

	(void)state;
	assert_ptr_equal(channel_asked(below.cs, channel_id(ch)), ch);
	assert_null(channel_asked(below.cs, channel_id(ch) + 1));
	channel_write(ch, "receipt", 7);
	channel_write_end(ch);
	channels_pump(below.cs);
	peer_data(ch, "1\nx", 3);
	peer_ack(channel_id(ch), 0);
	assert_int_equal(below.count, 0);
	assert_int_equal(o->got.len, 0);
	channel_opened(ch, PEER, 1000, below.now);
	assert_null(channel_asked(below.cs, channel_id(ch)));
	channels_pump(below.cs);
	assert_string_equal(next_sent(), "channel|remoteid=700");
	peer_ack(channel_id(ch), 11);
	assert_int_equal(o->delivered, 1);
	channel_close(ch, 0, "done");
	assert_string_equal(next_sent(), "channel|remoteid=700|action=close");
	/* given up before it was answered: there is nobody to tell */
	o->closed = 0;
	ch = channel_ask(below.cs, &ops, below.now);
	channel_close(ch, 404, "not opened");
	assert_closed("not opened", o, 404, "not opened");
	assert_string_equal(next_sent(), "");
}

static void
progress_and_time_outs(void **state)
{
	struct owner *o, *idle;
	struct channel *ch = accept_one(&o, PEER, 4);
	mono_t first = below.now;

	(void)state;
	assert_int_equal(channels_deadline(below.cs).ms, first.ms + IDLE_MS);
	assert_int_equal(channels_progress(below.cs, (mono_t){1}).ms, first.ms);
	below.now = mono_in(first, 10000);
	accept_one(&idle, PEER + 1, 1000);
	below.now = mono_in(first, IDLE_MS - 1);
	channels_tick(below.cs, below.now);
	assert_int_equal(channels_count(below.cs), 2);
	peer_data(ch, "3\n", 2); /* bytes are progress */
	assert_int_equal(channels_deadline(below.cs).ms, first.ms + 10000 + IDLE_MS);
	assert_int_equal(channels_progress(below.cs, first).ms, below.now.ms);
	channels_tick(below.cs, channels_deadline(below.cs));
	assert_closed("idle", idle, PROFILE_FAILED, "no progress");
	assert_true(wire_matches("channel|remoteid=701|action=close|code=500|reason=no progress*", next_sent()));
	assert_int_equal(o->closed, 0);
	/* an acknowledgement is progress when it says something new */
	channel_write(ch, "hello", 5);
	channels_pump(below.cs);
	below.now = mono_in(first, 2 * IDLE_MS - 2);
	peer_ack(channel_id(ch), 2);
	assert_int_equal(channels_deadline(below.cs).ms, below.now.ms + IDLE_MS);
	first = below.now;
	below.now = mono_in(first, IDLE_MS);
	peer_ack(channel_id(ch), 2);
	channels_tick(below.cs, below.now);
	assert_closed("the same again", o, PROFILE_FAILED, "no progress");
	assert_int_equal(channels_deadline(below.cs).ms, MONO_NEVER.ms);
	assert_int_equal(channels_progress(below.cs, (mono_t){77}).ms, 77);
}

/* "a reply to a request 60 s", unless channels have less. */
static void
an_unanswered_request(void **state)
{
	struct owner *o = new_owner();
	const struct channel_ops ops = ops_of(o);

	(void)state;
	assert_non_null(channel_ask(below.cs, &ops, below.now));
	assert_int_equal(channels_deadline(below.cs).ms, below.now.ms + PROFILE_REPLY_MS);
	channels_tick(below.cs, mono_in(below.now, PROFILE_REPLY_MS - 1));
	assert_int_equal(o->closed, 0);
	channels_tick(below.cs, mono_in(below.now, PROFILE_REPLY_MS));
	assert_closed("unanswered", o, PROFILE_FAILED, "no reply within 60 seconds");
	assert_int_equal(below.count, 0);
}

/* What an owner does when it hears of the end must not disturb the others. */
static void
opened_anew_from_inside(void **state)
{
	struct owner *o, *other;
	struct channel *ch = accept_one(&o, PEER, 1000);

	(void)state;
	accept_one(&other, PEER + 1, 1000);
	o->reopen = true;
	o->reopen_in = below.cs;
	channel_close(ch, 0, "done");
	assert_non_null(o->next);
	assert_int_equal(channels_count(below.cs), 2);
	o->reopen = true;
	channels_free(below.cs, "the session has ended");
	below.cs = NULL;
	assert_int_equal(o->closed, 3); /* the one opened from there, too */
	assert_int_equal(o->code, PROFILE_FAILED);
	assert_closed("other", other, PROFILE_FAILED, "the session has ended");
}

/* --- turns, raw channels, compressed ones ------------------------------------------------------------------------- */

/* A queue with room for one message at a time serves every channel, and none of them twice before the others. */
static void
each_has_its_turn(void **state)
{
	static const char text[100000];
	unsigned count[3] = {0};
	struct owner *o;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(channel_write(accept_one(&o, PEER + i, 65536), text, sizeof(text)), 0);
	for (int turn = 0; turn < 12; turn++) {
		below.room = 1;
		channels_pump(below.cs);
		assert_int_equal(below.count, turn + 1);
		count[below.sent[turn].remoteid - PEER]++;
		for (int i = 0; i < 3; i++)
			assert_in_range(count[i], (unsigned)turn / 3, (unsigned)turn / 3 + 1);
	}
}

/* Bytes as they are; acknowledged when they are taken, at half a window, and never more than that at once. */
static void
raw_bytes(void **state)
{
	static const char text[WINDOW];
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 100);

	(void)state;
	channel_set_raw(ch);
	peer_data(ch, "0\nno stream", 11);
	assert_true(got_is(o, "0\nno stream"));
	assert_string_equal(next_sent(), "");
	channel_took(ch, 11);
	peer_data(ch, text, WINDOW / 2);
	assert_string_equal(next_sent(), "");
	channel_took(ch, WINDOW / 2);
	assert_string_equal(next_sent(), "channel|remoteid=700|action=ack|ack=2059");
	/* what is not taken fills the window */
	peer_data(ch, text, WINDOW);
	assert_string_equal(next_sent(), "");
	assert_int_equal(o->closed, 0);
	assert_int_equal(channel_write(ch, "raw", 3), 0);
	assert_int_equal(channel_unacked(ch), 3);
	assert_int_equal(channel_peer_window(ch), 100);
	channels_pump(below.cs);
	assert_int_equal(below.bytes[0].len, 3);
	assert_memory_equal(buf_head(&below.bytes[0]), "raw", 3);
	peer_data(ch, "x", 1);
	assert_closed("overrun", o, 413, "window overrun");
}

/* The stream of one gzip member, with its coding. */
static void
put_packed(struct buf *b, const void *text, size_t len)
{
	struct buf packed = BUF_INIT(1024 * 1024);
	struct gzip *z = gzip_new();

	assert_int_equal(gzip_put(z, text, len, &packed), 0);
	assert_int_equal(gzip_end(z, &packed), 0);
	buf_printf(b, "%zu\n", packed.len);
	buf_put(b, buf_head(&packed), packed.len);
	buf_str(b, "0\n");
	buf_free(&packed);
	gzip_free(z);
}

static void
compressed_streams_come_in(void **state)
{
	struct buf b = BUF_INIT(1024 * 1024);
	struct owner *o;
	struct channel *ch = accept_one(&o, PEER, 65536);

	(void)state;
	channel_set_gzip(ch);
	put_packed(&b, "first", 5);
	put_packed(&b, "second", 6);
	buf_str(&b, "0\n"); /* without a byte */
	for (size_t i = 0; i < b.len; i++)
		peer_data(ch, buf_head(&b) + i, 1);
	assert_true(got_is(o, "first|second||"));
	buf_free(&b);
}

static void
compressed_streams_go_out(void **state)
{
	struct owner *o, *back;
	struct channel *ch = accept_one(&o, PEER, 65536), *mirror;

	(void)state;
	channel_set_gzip(ch);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(channel_write(ch, "a line\n", 7), 0);
		assert_int_equal(channel_write_end(ch), 0);
	}
	channels_pump(below.cs);
	mirror = accept_one(&back, PEER + 1, 65536);
	channel_set_gzip(mirror);
	peer_data(mirror, buf_head(&below.bytes[0]), below.bytes[0].len);
	assert_true(got_is(back, "a line\n|a line\n|"));
}

static void
compressed_streams_that_are_none(void **state)
{
	static const char zeros[200000];
	static const struct {
		const char *what, *bytes;
		int code;
	} rows[] = {
	    {"plain text", "5\nplain0\n", 400},
	    {"its end before the member's",
	     "3\n\x1f\x8b\x08"
	     "0\n",
	     400},
	    {"a bomb", NULL, 413},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(1024 * 1024);
		struct owner *o;
		struct channel *ch = accept_one(&o, PEER + (uint32_t)i, 65536);

		channel_set_gzip(ch);
		if (rows[i].bytes)
			buf_str(&b, rows[i].bytes);
		else
			put_packed(&b, zeros, sizeof(zeros));
		peer_data(ch, buf_head(&b), b.len);
		assert_closed(rows[i].what, o, rows[i].code, "gzip");
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_stream_has_its_coding, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_peers_window_is_respected, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_acknowledgements, setup, teardown),
	    cmocka_unit_test_setup_teardown(channels_share_the_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_queue_is_waited_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_forced_close_is_not_lost, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_refusal_closes_with_its_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_waits_is_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(acknowledgements_come_in_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_overrun_is_413, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_new_limit_is_for_new_channels, setup, teardown),
	    cmocka_unit_test_setup_teardown(codings_as_they_should_be, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_owner_refuses, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_answer_from_inside, setup, teardown),
	    cmocka_unit_test_setup_teardown(sixteen_and_no_more, setup, teardown),
	    cmocka_unit_test_setup_teardown(closed_at_each_point, setup, teardown),
	    cmocka_unit_test_setup_teardown(numbers_that_are_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_actions, setup, teardown),
	    cmocka_unit_test_setup_teardown(asked_and_answered, setup, teardown),
	    cmocka_unit_test_setup_teardown(progress_and_time_outs, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_unanswered_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(opened_anew_from_inside, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_has_its_turn, setup, teardown),
	    cmocka_unit_test_setup_teardown(raw_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(compressed_streams_come_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(compressed_streams_go_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(compressed_streams_that_are_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
