#include "config/index.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

/* Up to SMALL places a search is short whatever the hashes are; those need no random key. */
enum { FIRST = 4, SMALL = 16 };

struct place {
	void *thing; /* NULL: free */
	uint32_t hash;
};

/* At most three of four places are taken, so that every search ends at a free one. */
struct index {
	uint64_t key[2];
	uint32_t count, cap; /* places; a power of two */
	struct place places[];
};

static uint64_t
rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012): one round for eight bytes, three at the end. */
static uint32_t
hash_of(const struct index *x, const char *text)
{
	uint64_t v[4] = {x->key[0] ^ UINT64_C(0x736f6d6570736575), x->key[1] ^ UINT64_C(0x646f72616e646f6d),
			 x->key[0] ^ UINT64_C(0x6c7967656e657261), x->key[1] ^ UINT64_C(0x7465646279746573)};
	size_t len = strlen(text), left = len;
	uint64_t word;

	for (; left >= sizeof(word); left -= sizeof(word), text += sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)(unsigned char)text[i] << 8 * i;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	word = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (uint32_t)(word ^ word >> 32);
}

static const char *
key_of(const void *thing)
{
	return ((const struct keyed *)thing)->key;
}

/* The place of a key, or the free one where it would have to go. */
static struct place *
place_of(struct index *x, uint32_t hash, const char *key)
{
	uint32_t i = hash & (x->cap - 1);

	while (x->places[i].thing && (x->places[i].hash != hash || strcmp(key_of(x->places[i].thing), key) != 0))
		i = (i + 1) & (x->cap - 1);
	return &x->places[i];
}

/* The first free place for a thing that is not there yet. */
static void
put(struct index *x, void *thing, uint32_t hash)
{
	uint32_t i = hash & (x->cap - 1);

	while (x->places[i].thing)
		i = (i + 1) & (x->cap - 1);
	x->places[i] = (struct place){thing, hash};
	x->count++;
}

/* Twice the places. The key comes when the index stops being small: then all hashes are new. */
static bool
grow(void **root)
{
	struct index *old = *root, *x;
	uint32_t cap = old ? 2 * old->cap : FIRST;
	bool keyed = cap == 2 * SMALL;

	if (!cap)
		return false;
	x = calloc(1, sizeof(*x) + cap * sizeof(x->places[0]));
	if (!x)
		return false;
	x->cap = cap;
	if (old)
		memcpy(x->key, old->key, sizeof(x->key));
	if (keyed && crypto_random(x->key, sizeof(x->key))) {
		free(x);
		return false;
	}
	for (uint32_t i = 0; old && i < old->cap; i++) {
		void *thing = old->places[i].thing;

		if (thing)
			put(x, thing, keyed ? hash_of(x, key_of(thing)) : old->places[i].hash);
	}
	free(old);
	*root = x;
	return true;
}

void *
index_find(void *const *root, const char *key)
{
	struct index *x = *root;

	return x ? place_of(x, hash_of(x, key), key)->thing : NULL;
}

bool
index_add(void **root, void *thing)
{
	struct index *x = *root;

	if ((!x || x->count >= x->cap / 4 * 3) && !grow(root))
		return false;
	x = *root;
	put(x, thing, hash_of(x, key_of(thing)));
	return true;
}

void
index_replace(void **root, void *with)
{
	struct index *x = *root;

	place_of(x, hash_of(x, key_of(with)), key_of(with))->thing = with;
}

/* What follows moves up, unless it would come before the place it belongs to: no search may meet a free place early. */
static void
close_gap(struct index *x, uint32_t gap)
{
	uint32_t mask = x->cap - 1;

	for (uint32_t i = (gap + 1) & mask; x->places[i].thing; i = (i + 1) & mask) {
		uint32_t home = x->places[i].hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		x->places[gap] = x->places[i];
		gap = i;
	}
	x->places[gap] = (struct place){NULL, 0};
}

void
index_remove(void **root, void *thing)
{
	struct index *x = *root;
	struct place *p = place_of(x, hash_of(x, key_of(thing)), key_of(thing));

	close_gap(x, (uint32_t)(p - x->places));
	if (--x->count)
		return;
	free(x);
	*root = NULL;
}

void
index_clear(void **root, void (*each)(void *thing))
{
	struct index *x = *root;

	*root = NULL;
	for (uint32_t i = 0; each && x && i < x->cap; i++) {
		if (x->places[i].thing)
			each(x->places[i].thing);
	}
	free(x);
}
