/* channel: byte streams inside a session, with windows and acknowledgements (wire profile, section 5).
 *
 * One `struct channels` for each session. Windows are respected when sending and enforced when receiving: a peer that
 * overruns one has that channel closed with 413, and nothing else. No clock and no socket: `now` and a send function
 * come in.
 */
#ifndef AGENT_CHANNEL_H
#define AGENT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct channel;
struct channels;
struct err;
struct message;

/* How the owner of one channel hears of it. After `closed` the channel is gone. A nonzero return of `data` or `end` is
 * a reply code: the channel is closed with it and with the reason in `e`. These two may write and may ask for
 * channel_close_when_delivered(), but not call channel_close(). */
struct channel_ops {
	void *ctx;
	int (*data)(void *ctx, const uint8_t *p, size_t n, struct err *e); /* bytes of the current stream, decoded */
	int (*end)(void *ctx, struct err *e);                              /* the current stream's end */
	void (*acked)(void *ctx);     /* the peer has taken some; may be NULL, may write, may not close */
	void (*delivered)(void *ctx); /* all that was written is acknowledged */
	void (*closed)(void *ctx, int code, const char *reason); /* code 0: in order */
};

struct channels_ops {
	void *ctx;
	/* One message with a channel's bytes or a close. 0, or -ENOBUFS: later (channels_pump() again). */
	int (*send)(void *ctx, const void *body, size_t len);
};

struct channels *channels_new(const struct channels_ops *ops); /* NULL: no memory */
void channels_free(struct channels *cs, const char *reason);   /* NULL-safe; every channel hears `closed` with 500 */

/* Our window in bytes, for channels from now on, and the time without progress after which a channel is closed. One of
 * ours that gets no reply is closed after the profile's time for replies. */
void channels_limits(struct channels *cs, uint32_t window, int64_t idle_ms);
uint32_t channels_window(const struct channels *cs);
size_t channels_count(const struct channels *cs);
/* When bytes of any open channel last moved or were acknowledged; `otherwise` when none is open. */
mono_t channels_progress(const struct channels *cs, mono_t otherwise);

/* A channel the peer asked for (`peer_id` its number, `peer_window` its window), or one of ours, usable when the reply
 * has named the peer's number with channel_opened(). NULL: 16 are open, the peer's number is in use, or no memory. */
struct channel *channel_accept(struct channels *cs, uint32_t peer_id, uint32_t peer_window,
			       const struct channel_ops *ops, mono_t now);
struct channel *channel_ask(struct channels *cs, const struct channel_ops *ops, mono_t now);
void channel_opened(struct channel *ch, uint32_t peer_id, uint32_t peer_window, mono_t now);
struct channel *channel_asked(struct channels *cs, uint32_t id); /* ours that waits for its reply; NULL: none such */
uint32_t channel_id(const struct channel *ch);

/* Right after it was made. Raw: bytes both ways as they are, no streams; they are acknowledged when the owner says that
 * it has taken them (channel_took()), so that what is slow behind it slows the peer, and its window bounds what waits.
 * Gzip: each stream, both ways, is one gzip member; `data` gets it inflated. */
void channel_set_raw(struct channel *ch);
void channel_set_gzip(struct channel *ch);
void channel_took(struct channel *ch, size_t n);

/* Bytes that were written and are not acknowledged; how many of them the peer would let be under way. */
size_t channel_unacked(const struct channel *ch);
uint32_t channel_peer_window(const struct channel *ch);

/* Queues bytes of the stream to the peer, and its end. 0, -ENOMEM, or -EMSGSIZE beyond the bound on configurations. */
int channel_write(struct channel *ch, const void *p, size_t n);
int channel_write_end(struct channel *ch);

/* Closes: now, with a code (0: none is sent) and a reason; or in order, by a later channels_pump(), once all that was
 * written is acknowledged, with a code where it tells of a refusal. `closed` is called from inside; `reason` is a
 * literal or lives as long as the channel's owner. */
void channel_close(struct channel *ch, int code, const char *reason);
void channel_close_when_delivered(struct channel *ch, int code, const char *reason);

/* A `channel` message from the peer. 0, or -EPROTO with the reason when the session has to end: a number that is none.
 * Messages for channels that are not open are counted and ignored (they may cross a close). */
int channels_on_message(struct channels *cs, const struct message *m, mono_t now, struct err *e);

/* Sends what windows and the session's queue admit, a piece of each channel in turn. */
void channels_pump(struct channels *cs);

mono_t channels_deadline(const struct channels *cs);
void channels_tick(struct channels *cs, mono_t now);

#endif
