#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 256 };

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max, .keep = b->keep};
}

/* Empty from now on. */
static void
empty(struct buf *b)
{
	if (!b->keep)
		buf_free(b);
	b->off = b->len = 0;
}

/* Moves unread bytes to the front and makes room for n more plus a NUL. */
static int
make_room(struct buf *b, size_t n)
{
	size_t need, cap;
	uint8_t *p;

	if (n > b->max || b->len > b->max - n)
		return -EMSGSIZE;
	need = b->len + n + 1;
	if (b->off + need <= b->cap)
		return 0;
	if (need <= b->cap && b->off >= b->len) {
		memcpy(b->data, b->data + b->off, b->len);
		b->off = 0;
		return 0;
	}
	for (cap = b->cap ? b->cap : BUF_FIRST; cap < need; cap *= 2)
		;
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	if (b->len)
		memcpy(p, b->data + b->off, b->len);
	free(b->data);
	b->data = p;
	b->cap = cap;
	b->off = 0;
	return 0;
}

static int
buf_reserve(struct buf *b, size_t n)
{
	int rc = make_room(b, n);

	if (rc && !b->error)
		b->error = rc;
	return rc;
}

uint8_t *
buf_room(struct buf *b, size_t n)
{
	if (buf_reserve(b, n))
		return NULL;
	return b->data + b->off + b->len;
}

void
buf_grew(struct buf *b, size_t used)
{
	b->len += used;
}

int
buf_put(struct buf *b, const void *src, size_t n)
{
	bool fits = n < b->cap && b->len + n <= b->max && b->off + b->len + n < b->cap;
	int rc = fits ? 0 : buf_reserve(b, n);

	if (rc)
		return rc;
	if (n)
		memcpy(b->data + b->off + b->len, src, n);
	b->len += n;
	return 0;
}

int
buf_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n, rc;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return -EINVAL;
	rc = buf_reserve(b, (size_t)n);
	if (rc)
		return rc;
	vsnprintf((char *)b->data + b->off + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

const uint8_t *
buf_head(const struct buf *b)
{
	return b->data ? b->data + b->off : (const uint8_t *)"";
}

void
buf_take(struct buf *b, size_t n)
{
	b->off += n;
	b->len -= n;
	if (!b->len)
		empty(b);
}

void
buf_cut(struct buf *b, size_t n)
{
	b->len = n;
	if (!n)
		empty(b);
}

char *
buf_steal(struct buf *b, size_t *len)
{
	char *p;

	if (buf_reserve(b, 0))
		return NULL;
	if (b->off) {
		memmove(b->data, b->data + b->off, b->len);
		b->off = 0;
	}
	p = (char *)b->data;
	p[b->len] = '\0';
	if (len)
		*len = b->len;
	b->data = NULL;
	buf_free(b);
	return p;
}

struct rd
rd_init(const void *p, size_t n)
{
	return (struct rd){.p = p, .left = n};
}

const uint8_t *
rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

uint8_t
rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

uint16_t
rd_u16be(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t
rd_u32be(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}
