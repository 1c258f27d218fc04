/* buf: bounded bytes. A growing buffer with a ceiling, and a reader that cannot run past its end.
 *
 * Wire bytes go through `struct rd`; what is left over is the caller's error to report.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A byte queue: appended at the end, consumed from the front. Zero bytes of storage until used. */
struct buf {
	uint8_t *data; /* owned; the first unread byte is data + off */
	size_t off;
	size_t len; /* unread bytes */
	size_t cap;
	size_t max; /* ceiling for `len`; an append beyond it fails with -EMSGSIZE and changes nothing */
	int error;  /* the first failed append since the buffer was new or freed: several appends, one check */
	bool keep;  /* storage stays when emptied, for one that fills again at once; buf_free() still releases it */
};

#define BUF_INIT(ceiling) ((struct buf){.max = (ceiling)})

void buf_free(struct buf *b); /* releases storage, keeps the ceiling and `keep`; safe to call twice */

/* 0, -EMSGSIZE or -ENOMEM; unchanged on failure. buf_str() takes text without its NUL. */
int buf_put(struct buf *b, const void *src, size_t n);
int buf_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Room for `n` more bytes at the end; NULL when the ceiling or memory forbids it. Then buf_grew(b, used <= n). */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t used);

const uint8_t *buf_head(const struct buf *b);
void buf_take(struct buf *b,
	      size_t n); /* drops n <= len bytes from the front; frees storage when emptied, but see keep */
void buf_cut(struct buf *b, size_t n); /* shortens to the first n bytes */

/* Hands the bytes over as a NUL-terminated string the caller frees; the buffer is empty afterwards. NULL: no memory. */
char *buf_steal(struct buf *b, size_t *len);

/* Reader over borrowed bytes. After a short read `bad` is set and every further read gives 0 / NULL. */
struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct rd rd_init(const void *p, size_t n);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16be(struct rd *r);
uint32_t rd_u32be(struct rd *r);
const uint8_t *rd_bytes(struct rd *r, size_t n);

#endif
