#include "agent/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/gzip.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

enum { OUT_MAX = 65 * 1024 * 1024 }; /* a configuration at its bound, with its coding */

/* Where the decoder of the peer's stream stands. */
enum decode { DECODE_LENGTH, DECODE_BYTES };

struct channel {
	struct channels *home;
	struct channel_ops ops;
	uint32_t id, peer_id;
	bool open;        /* the peer's number is known */
	bool close_after; /* in order, when all is acknowledged */
	int close_code;
	const char *close_reason;
	bool told_delivered;
	bool raw;               /* bytes as they are, acknowledged when their owner says so */
	bool gzip;              /* each stream is a gzip member, both ways */
	struct gunzip *inflate; /* made when the first bytes come, as the other is */
	struct gzip *deflate;
	mono_t progress;

	struct buf out; /* coded bytes not sent yet */
	uint64_t sent, acked;
	uint32_t peer_window;

	uint64_t received, taken, acked_to_peer;
	uint32_t window; /* ours as the peer was told it: a later change is for later channels */
	enum decode decode;
	char digits[PROFILE_STREAM_DIGITS + 1];
	size_t digit_count;
	size_t bytes_left;
	bool ack_due; /* a stream has ended: acknowledge at once */

	struct channel *next;
};

/* A close that found no room in the session's queue. The channel is gone, its peer does not know yet. */
struct farewell {
	uint32_t peer_id;
	int code;
	char reason[160];
};

struct channels {
	struct channels_ops ops;
	struct channel *list;
	size_t count;
	struct farewell owed[PROFILE_CHANNELS_MAX]; /* beyond that the peer's time-out ends its side */
	size_t owed_count;
	uint32_t window;
	int64_t idle_ms;
	uint32_t last_id;
	uint64_t stray; /* messages for channels that were not open */
};

struct channels *
channels_new(const struct channels_ops *ops)
{
	struct channels *cs = calloc(1, sizeof(*cs));

	if (cs)
		*cs =
		    (struct channels){.ops = *ops, .window = PROFILE_WINDOW, .idle_ms = PROFILE_SOCK_TIMEOUT_S * 1000};
	return cs;
}

static void
unlink_channel(struct channel *ch)
{
	for (struct channel **p = &ch->home->list; *p; p = &(*p)->next) {
		if (*p == ch) {
			*p = ch->next;
			ch->home->count--;
			return;
		}
	}
}

/* The channel is gone before its owner hears of it, so that the owner may open another. */
static void
drop(struct channel *ch, int code, const char *reason)
{
	struct channel_ops ops = ch->ops;

	log_debug(DBG_CHANNEL, "[channel] %u closed: %s", ch->id, reason);
	unlink_channel(ch);
	buf_free(&ch->out);
	gunzip_free(ch->inflate);
	gzip_free(ch->deflate);
	free(ch);
	if (ops.closed)
		ops.closed(ops.ctx, code, reason);
}

void
channels_free(struct channels *cs, const char *reason)
{
	if (!cs)
		return;
	while (cs->list)
		drop(cs->list, PROFILE_FAILED, reason);
	free(cs);
}

void
channels_limits(struct channels *cs, uint32_t window, int64_t idle_ms)
{
	cs->window = window;
	cs->idle_ms = idle_ms;
}

uint32_t
channels_window(const struct channels *cs)
{
	return cs->window;
}

size_t
channels_count(const struct channels *cs)
{
	return cs->count;
}

mono_t
channels_progress(const struct channels *cs, mono_t otherwise)
{
	mono_t last = {INT64_MIN};

	for (const struct channel *ch = cs->list; ch; ch = ch->next)
		last = last.ms > ch->progress.ms ? last : ch->progress;
	return cs->list ? last : otherwise;
}

static struct channel *
find(const struct channels *cs, uint32_t id)
{
	for (struct channel *ch = cs->list; ch; ch = ch->next) {
		if (ch->id == id)
			return ch;
	}
	return NULL;
}

static bool
peer_id_used(const struct channels *cs, uint32_t peer_id)
{
	for (const struct channel *ch = cs->list; ch; ch = ch->next) {
		if (ch->open && ch->peer_id == peer_id)
			return true;
	}
	for (size_t i = 0; i < cs->owed_count; i++) {
		if (cs->owed[i].peer_id == peer_id)
			return true;
	}
	return false;
}

static struct channel *
add(struct channels *cs, const struct channel_ops *ops, mono_t now)
{
	struct channel *ch, **end;

	if (cs->count == PROFILE_CHANNELS_MAX)
		return NULL;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return NULL;
	do
		cs->last_id++;
	while (!cs->last_id || find(cs, cs->last_id));
	*ch = (struct channel){
	    .home = cs, .ops = *ops, .id = cs->last_id, .window = cs->window, .progress = now, .told_delivered = true};
	ch->out = BUF_INIT(OUT_MAX);
	for (end = &cs->list; *end; end = &(*end)->next)
		;
	*end = ch;
	cs->count++;
	return ch;
}

struct channel *
channel_accept(struct channels *cs, uint32_t peer_id, uint32_t peer_window, const struct channel_ops *ops, mono_t now)
{
	struct channel *ch = peer_id_used(cs, peer_id) ? NULL : add(cs, ops, now);

	if (ch)
		channel_opened(ch, peer_id, peer_window, now);
	return ch;
}

struct channel *
channel_ask(struct channels *cs, const struct channel_ops *ops, mono_t now)
{
	return add(cs, ops, now);
}

void
channel_opened(struct channel *ch, uint32_t peer_id, uint32_t peer_window, mono_t now)
{
	ch->open = true;
	ch->peer_id = peer_id;
	ch->peer_window = peer_window;
	ch->progress = now;
	log_debug(DBG_CHANNEL, "[channel] %u open, peer's number %u, peer's window %u bytes", ch->id, peer_id,
		  peer_window);
}

struct channel *
channel_asked(struct channels *cs, uint32_t id)
{
	struct channel *ch = find(cs, id);

	return ch && !ch->open ? ch : NULL;
}

uint32_t
channel_id(const struct channel *ch)
{
	return ch->id;
}

void
channel_set_raw(struct channel *ch)
{
	ch->raw = true;
}

void
channel_set_gzip(struct channel *ch)
{
	ch->gzip = true;
}

size_t
channel_unacked(const struct channel *ch)
{
	return ch->out.len + (size_t)(ch->sent - ch->acked);
}

uint32_t
channel_peer_window(const struct channel *ch)
{
	return ch->peer_window;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* One part of a coded stream. */
static int
write_part(struct channel *ch, const void *p, size_t n)
{
	char head[24];
	int len = snprintf(head, sizeof(head), "%zu\n", n);

	if (!n)
		return 0; /* a length of 0 would be the stream's end */
	if (!buf_room(&ch->out, (size_t)len + n))
		return ch->out.error;
	buf_put(&ch->out, head, (size_t)len);
	return buf_put(&ch->out, p, n);
}

/* The same of what `n` bytes are compressed, or of the member's end. */
static int
write_compressed(struct channel *ch, const void *p, size_t n, bool end)
{
	struct buf b = BUF_INIT(OUT_MAX);
	int rc;

	if (!ch->deflate)
		ch->deflate = gzip_new();
	if (!ch->deflate)
		return -ENOMEM;
	rc = end ? gzip_end(ch->deflate, &b) : gzip_put(ch->deflate, p, n, &b);
	if (!rc)
		rc = write_part(ch, buf_head(&b), b.len);
	buf_free(&b);
	return rc;
}

int
channel_write(struct channel *ch, const void *p, size_t n)
{
	ch->told_delivered = false;
	if (ch->raw)
		return buf_put(&ch->out, p, n);
	return ch->gzip ? write_compressed(ch, p, n, false) : write_part(ch, p, n);
}

int
channel_write_end(struct channel *ch)
{
	int rc = ch->gzip ? write_compressed(ch, NULL, 0, true) : 0;

	ch->told_delivered = false;
	return rc ? rc : buf_put(&ch->out, "0\n", 2);
}

static int
send_control(struct channels *cs, uint32_t peer_id, const char *action, const char *key, uint64_t value,
	     const char *reason)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	int rc;

	message_begin(&b, PROFILE_VERB_CHANNEL, NULL);
	message_key_u(&b, "remoteid", peer_id);
	message_key(&b, "action", action);
	if (key)
		message_key_u(&b, key, value);
	if (reason)
		message_key(&b, "reason", reason);
	rc = message_end(&b);
	if (!rc)
		rc = cs->ops.send(cs->ops.ctx, buf_head(&b), b.len);
	buf_free(&b);
	return rc;
}

static void
send_ack(struct channel *ch)
{
	ch->ack_due = true;
	if (send_control(ch->home, ch->peer_id, "ack", "ack", ch->taken, NULL))
		return; /* the queue is full: channels_pump() comes back to it */
	ch->acked_to_peer = ch->taken;
	ch->ack_due = false;
}

void
channel_took(struct channel *ch, size_t n)
{
	ch->taken += n;
	if (ch->taken - ch->acked_to_peer >= ch->window / 2)
		send_ack(ch);
}

static int
send_close(struct channels *cs, uint32_t peer_id, int code, const char *reason)
{
	return send_control(cs, peer_id, "close", code ? "code" : NULL, (uint64_t)code, code ? reason : NULL);
}

static void
owe_close(struct channels *cs, uint32_t peer_id, int code, const char *reason)
{
	struct farewell *f = &cs->owed[cs->owed_count];

	if (cs->owed_count == PROFILE_CHANNELS_MAX)
		return;
	*f = (struct farewell){.peer_id = peer_id, .code = code};
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	cs->owed_count++;
}

static void
send_owed(struct channels *cs)
{
	size_t n = 0;

	while (n < cs->owed_count && !send_close(cs, cs->owed[n].peer_id, cs->owed[n].code, cs->owed[n].reason))
		n++;
	cs->owed_count -= n;
	memmove(cs->owed, cs->owed + n, cs->owed_count * sizeof(cs->owed[0]));
}

void
channel_close(struct channel *ch, int code, const char *reason)
{
	if (ch->open && send_close(ch->home, ch->peer_id, code, reason))
		owe_close(ch->home, ch->peer_id, code, reason);
	drop(ch, code, reason);
}

static bool
all_acked(const struct channel *ch)
{
	return !ch->out.len && ch->acked == ch->sent;
}

void
channel_close_when_delivered(struct channel *ch, int code, const char *reason)
{
	ch->close_code = code;
	ch->close_reason = reason;
	ch->close_after = true; /* channels_pump() does it: this may be called from inside the channel's own ops */
}

enum piece { PIECE_SENT, PIECE_NONE, PIECE_NO_ROOM };

/* One piece of a channel's bytes, if it has some and its window admits them. */
static enum piece
send_piece(struct channel *ch)
{
	uint64_t unacked = ch->sent - ch->acked;
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX + PROFILE_CHANNEL_DATA);
	size_t n = ch->out.len;
	int rc;

	if (!ch->open || !n || unacked >= ch->peer_window)
		return PIECE_NONE;
	if (n > ch->peer_window - unacked)
		n = (size_t)(ch->peer_window - unacked);
	if (n > PROFILE_CHANNEL_DATA)
		n = PROFILE_CHANNEL_DATA;
	message_begin(&b, PROFILE_VERB_CHANNEL, NULL);
	message_key_u(&b, "remoteid", ch->peer_id);
	rc = message_end(&b);
	if (!rc)
		rc = buf_put(&b, buf_head(&ch->out), n);
	if (!rc)
		rc = ch->home->ops.send(ch->home->ops.ctx, buf_head(&b), b.len);
	buf_free(&b);
	if (rc)
		return PIECE_NO_ROOM;
	ch->sent += n;
	buf_take(&ch->out, n);
	return PIECE_SENT;
}

static void
first_to_end(struct channels *cs)
{
	struct channel *ch = cs->list, **end = &cs->list;

	cs->list = ch->next;
	ch->next = NULL;
	while (*end)
		end = &(*end)->next;
	*end = ch;
}

/* Each has its turn, over calls, too: a queue that has room for one message at a time serves all of them. */
static void
send_pieces(struct channels *cs)
{
	size_t idle = 0;

	while (idle < cs->count) {
		enum piece done = send_piece(cs->list);

		if (done == PIECE_NO_ROOM)
			return;
		idle = done == PIECE_SENT ? 0 : idle + 1;
		first_to_end(cs);
	}
}

static void
close_delivered(struct channels *cs)
{
	struct channel *ch = cs->list;

	while (ch) {
		if (ch->close_after && ch->open && all_acked(ch) &&
		    !send_close(cs, ch->peer_id, ch->close_code, ch->close_reason)) {
			drop(ch, ch->close_code, ch->close_reason);
			ch = cs->list; /* its owner may have changed the list */
		} else {
			ch = ch->next;
		}
	}
}

void
channels_pump(struct channels *cs)
{
	send_owed(cs);
	for (struct channel *ch = cs->list; ch; ch = ch->next) {
		if (ch->ack_due && ch->open)
			send_ack(ch);
	}
	send_pieces(cs);
	close_delivered(cs);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* One byte of a stream's decimal length. 0, 1 when the length is complete, or a reply code. */
static int
take_digit(struct channel *ch, char c, struct err *e)
{
	uint64_t n;

	if (c != '\n') {
		if (c < '0' || c > '9' || ch->digit_count == PROFILE_STREAM_DIGITS) {
			err_set(e, -EPROTO, "stream length: at most %d digits and a line feed expected, got byte %02x",
				PROFILE_STREAM_DIGITS, (unsigned char)c);
			return PROFILE_MALFORMED;
		}
		ch->digits[ch->digit_count++] = c;
		return 0;
	}
	ch->digits[ch->digit_count] = '\0';
	if (text_u64(ch->digits, UINT32_MAX, &n)) {
		err_set(e, -EPROTO, "stream length: digits expected before the line feed");
		return PROFILE_MALFORMED;
	}
	ch->digit_count = 0;
	ch->bytes_left = (size_t)n;
	return 1;
}

/* Bytes of a compressed stream. 0 or a reply code. */
static int
take_compressed(struct channel *ch, const uint8_t *p, size_t n, struct err *e)
{
	int rc;

	if (!ch->inflate)
		ch->inflate = gunzip_new();
	rc = ch->inflate ? gunzip_take(ch->inflate, p, n, ch->ops.data, ch->ops.ctx, e) : err_sys(e, -ENOMEM, "gzip");
	switch (rc) {
	case -EPROTO:
		return PROFILE_MALFORMED;
	case -EFBIG:
		return PROFILE_TOO_LARGE;
	default:
		return rc < 0 ? PROFILE_FAILED : rc;
	}
}

static int
take_end(struct channel *ch, struct err *e)
{
	ch->ack_due = true;
	if (ch->inflate && gunzip_end(ch->inflate, e))
		return PROFILE_MALFORMED;
	return ch->ops.end(ch->ops.ctx, e);
}

/* Decodes "<decimal length>\n<bytes>" … "0\n" and hands it to the owner. 0 or a reply code. */
static int
decode(struct channel *ch, const uint8_t *p, size_t n, struct err *e)
{
	int rc = 0;

	while (n && !rc) {
		size_t part = n < ch->bytes_left ? n : ch->bytes_left;

		if (ch->decode == DECODE_BYTES) {
			rc = ch->gzip ? take_compressed(ch, p, part, e) : ch->ops.data(ch->ops.ctx, p, part, e);
			ch->bytes_left -= part;
			if (!ch->bytes_left)
				ch->decode = DECODE_LENGTH;
		} else {
			part = 1;
			rc = take_digit(ch, (char)*p, e);
			if (rc == 1 && ch->bytes_left) {
				ch->decode = DECODE_BYTES;
				rc = 0;
			} else if (rc == 1) {
				rc = take_end(ch, e);
			}
		}
		p += part;
		n -= part;
	}
	return rc;
}

static void
take_data(struct channel *ch, const struct message *m, mono_t now)
{
	struct err e = ERR_NONE;
	int rc;

	if (ch->received + m->data_len - ch->acked_to_peer > ch->window) {
		err_set(&e, -EPROTO, "window overrun: %" PRIu64 " bytes not acknowledged, the window has %u",
			ch->received + m->data_len - ch->acked_to_peer, ch->window);
		channel_close(ch, PROFILE_TOO_LARGE, e.text);
		return;
	}
	ch->received += m->data_len;
	ch->progress = now;
	if (!ch->raw)
		ch->taken = ch->received;
	rc = ch->raw ? ch->ops.data(ch->ops.ctx, m->data, m->data_len, &e) : decode(ch, m->data, m->data_len, &e);
	if (rc) {
		channel_close(ch, rc, e.text);
		return;
	}
	if (!ch->raw && (ch->ack_due || ch->received - ch->acked_to_peer >= ch->window / 2))
		send_ack(ch);
}

static void
take_ack(struct channel *ch, const struct message *m, mono_t now)
{
	uint64_t ack;

	if (text_u64(message_str(m, "ack"), UINT64_MAX / 16, &ack) || ack < ch->acked || ack > ch->sent) {
		channel_close(ch, PROFILE_MALFORMED, "ack= is not a number of bytes that were sent");
		return;
	}
	if (ack != ch->acked)
		ch->progress = now;
	ch->acked = ack;
	if (ch->ops.acked)
		ch->ops.acked(ch->ops.ctx);
	if (!all_acked(ch) || ch->told_delivered)
		return;
	ch->told_delivered = true;
	if (ch->ops.delivered)
		ch->ops.delivered(ch->ops.ctx);
}

static void
take_close(struct channel *ch, const struct message *m)
{
	char reason[160], shown[128];
	const char *said = message_str(m, "reason");
	uint64_t code = 0;

	text_u64(message_str(m, "code"), 999, &code);
	snprintf(reason, sizeof(reason), "closed by the manager%s%s", *said ? ": " : "",
		 text_escape(shown, sizeof(shown), said, strlen(said)));
	drop(ch, (int)code, reason);
}

int
channels_on_message(struct channels *cs, const struct message *m, mono_t now, struct err *e)
{
	const char *action = message_str(m, "action");
	struct channel *ch;
	uint64_t id;

	if (text_u64(message_str(m, "remoteid"), UINT32_MAX, &id))
		return err_set(e, -EPROTO, "channel: remoteid= is not a channel number");
	ch = find(cs, (uint32_t)id);
	if (!ch || !ch->open) {
		cs->stray++;
		return 0;
	}
	if (!*action)
		take_data(ch, m, now);
	else if (!strcmp(action, "ack"))
		take_ack(ch, m, now);
	else if (!strcmp(action, "close"))
		take_close(ch, m);
	else
		channel_close(ch, PROFILE_MALFORMED, "action= is neither ack nor close");
	channels_pump(cs);
	return 0;
}

/* When it is given up: a channel of ours that nobody has answered is a request without a reply. */
static mono_t
give_up_at(const struct channel *ch)
{
	mono_t idle = mono_in(ch->progress, ch->home->idle_ms);

	return ch->open ? idle : mono_min(idle, mono_in(ch->progress, PROFILE_REPLY_MS));
}

mono_t
channels_deadline(const struct channels *cs)
{
	mono_t first = MONO_NEVER;

	for (const struct channel *ch = cs->list; ch; ch = ch->next)
		first = mono_min(first, give_up_at(ch));
	return first;
}

void
channels_tick(struct channels *cs, mono_t now)
{
	struct channel *ch = cs->list;

	while (ch) {
		if (mono_due(give_up_at(ch), now)) {
			channel_close(ch, PROFILE_FAILED,
				      ch->open ? "no progress within the time-out" : "no reply within 60 seconds");
			ch = cs->list; /* closing may have changed the list */
		} else {
			ch = ch->next;
		}
	}
}
