#include "config/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_FIRST = 512, CHUNK_MAX = 256 * 1024 };

struct arena_chunk {
	struct arena_chunk *older;
	size_t used, size;
	max_align_t data[];
};

static size_t
next_size(const struct arena *a)
{
	size_t size = a->held / 4 > a->next_size ? a->held / 4 : a->next_size;

	if (size < CHUNK_FIRST)
		return CHUNK_FIRST;
	return size < CHUNK_MAX ? size : CHUNK_MAX;
}

static struct arena_chunk *
chunk_add(struct arena *a, size_t n)
{
	struct arena_chunk *c;
	size_t size = next_size(a);

	if (n > SIZE_MAX - sizeof(*c))
		return NULL;
	if (size < n)
		size = n;
	c = malloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	*c = (struct arena_chunk){.older = a->chunks, .size = size};
	a->chunks = c;
	a->held += size;
	return c;
}

static void *
arena_take(struct arena *a, size_t n, size_t align)
{
	struct arena_chunk *c = a->chunks;
	size_t start = c ? (c->used + align - 1) / align * align : 0;

	if (!c || start > c->size || n > c->size - start) {
		c = chunk_add(a, n);
		start = 0;
	}
	if (!c)
		return NULL;
	c->used = start + n;
	return (char *)c->data + start;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	void *p = arena_take(a, n, alignof(max_align_t));

	return p ? memset(p, 0, n) : NULL;
}

char *
arena_bytes(struct arena *a, size_t n)
{
	return arena_take(a, n, 1);
}

char *
arena_text(struct arena *a, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = arena_bytes(a, n);

	return p ? memcpy(p, s, n) : NULL;
}

static void
free_chunks(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *older = c->older;

		free(c);
		c = older;
	}
}

void
arena_reset(struct arena *a)
{
	if (!a->chunks)
		return;
	free_chunks(a->chunks->older);
	a->chunks->older = NULL;
	a->chunks->used = 0;
	a->next_size = a->held;
	a->held = a->chunks->size;
}

void
arena_free(struct arena *a)
{
	free_chunks(a->chunks);
	*a = (struct arena){0};
}
