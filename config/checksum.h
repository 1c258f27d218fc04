/* checksum: MD5 over the canonical text of the configuration (wire profile, section 6). */
#ifndef CONFIG_CHECKSUM_H
#define CONFIG_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>

struct tree;

struct checksums {
	uint8_t global[16]; /* `system global` and what else belongs to no vdom */
	uint8_t root[16];   /* the one vdom */
	uint8_t all[16];
};

enum { CHECKSUM_TEXT = 16 * 3 };

/* 0 or -errno. */
int checksum_tree(const struct tree *t, struct checksums *out);

/* The same again and again of a tree that changes a little: keeps the text, and states of the digest every few
 * kilobytes of it, so that the text of changed entries alone is written anew, and digested from there to the end. */
struct checksum_cache;
struct checksum_cache *checksum_cache_new(const struct tree *t); /* borrows the tree; NULL: no memory */
void checksum_cache_free(struct checksum_cache *c);              /* NULL-safe */

/* 0 or -errno; after a failure everything is computed anew. Each sum is digested when it is asked for: a keep-alive
 * carries one of them. */
int checksum_cache_sums(struct checksum_cache *c, struct checksums *out);
int checksum_cache_all(struct checksum_cache *c, uint8_t sum[16]);

/* A part of what checksum_cache_all() would have to do now, CHECKSUM_STEP bytes of text at most: for whoever has other
 * things to do in between. *more says whether something is left. 0 or -errno, as above. */
enum { CHECKSUM_STEP = 128 * 1024 };
int checksum_cache_step(struct checksum_cache *c, bool *more);

/* "7a 87 …": 16 octets, two hex digits each, space between. Returns dst. */
char *checksum_text(char dst[CHECKSUM_TEXT], const uint8_t sum[16]);

#endif
