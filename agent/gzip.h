/* gzip: streams of a channel, compressed (wire profile, section 5: each stream is one gzip member).
 *
 * What a peer sends is inflated piece by piece and never grows to more than 100 times of what came (section 8). It
 * keeps no more than its windows: the owner of the bytes bounds their sum.
 */
#ifndef AGENT_GZIP_H
#define AGENT_GZIP_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct gunzip;
struct gzip;

enum { GZIP_RATIO_MAX = 100 };

struct gunzip *gunzip_new(void); /* NULL: no memory */
void gunzip_free(struct gunzip *g);

/* Inflates `n` bytes and hands what they give to `data`, whose nonzero return ends it and is returned. 0, -EPROTO for
 * what is no gzip or stands after its end, -EFBIG beyond the ratio, -ENOMEM. After a failure it is of no more use. */
int gunzip_take(struct gunzip *g, const uint8_t *p, size_t n,
		int (*data)(void *ctx, const uint8_t *p, size_t n, struct err *e), void *ctx, struct err *e);

/* The stream has ended: 0 and ready for the next one, or -EPROTO when its member has not. No bytes at all are an empty
 * stream. */
int gunzip_end(struct gunzip *g, struct err *e);

struct gzip *gzip_new(void); /* NULL: no memory */
void gzip_free(struct gzip *z);

/* Appends the compressed form of `n` bytes to `out`, complete, so that the peer can read them before more come. 0 or
 * the buffer's -errno: then the stream is lost. */
int gzip_put(struct gzip *z, const void *p, size_t n, struct buf *out);

/* Appends the end of the member; the next gzip_put() begins another. */
int gzip_end(struct gzip *z, struct buf *out);

#endif
