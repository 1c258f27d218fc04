/* arena: many small pieces of memory that are freed together. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* All zero is an empty arena. */
struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t held;      /* bytes of all chunks; the next is a quarter of them, so that little is left over, … */
	size_t next_size; /* … or what was held before the last reset, if that is more; within bounds */
};

/* `n` zeroed bytes, aligned for any object, that live as long as the arena. NULL: no memory. */
void *arena_alloc(struct arena *a, size_t n);

/* The same without alignment or zeroing, for text. */
char *arena_bytes(struct arena *a, size_t n);

/* A NUL-terminated copy. NULL: no memory. */
char *arena_text(struct arena *a, const char *s);

void arena_reset(struct arena *a); /* empties it, but keeps the newest chunk for what comes */
void arena_free(struct arena *a);  /* empties it; safe to call twice */

#endif
