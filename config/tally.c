#include "config/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/index.h"

struct counted {
	char *word; /* first, for the index; stands behind the struct */
	size_t count;
};

int
tally_add(void **root, const char *word)
{
	struct counted *c = index_find(root, word);
	size_t size = strlen(word) + 1;

	if (c) {
		c->count++;
		return 0;
	}
	c = malloc(sizeof(*c) + size);
	if (!c)
		return -ENOMEM;
	c->word = memcpy(c + 1, word, size);
	c->count = 1;
	if (index_add(root, c))
		return 0;
	free(c);
	return -ENOMEM;
}

void
tally_drop(void **root, const char *word)
{
	struct counted *c = index_find(root, word);

	if (--c->count)
		return;
	index_remove(root, c);
	free(c);
}

size_t
tally_count(void *const *root, const char *word)
{
	const struct counted *c = index_find(root, word);

	return c ? c->count : 0;
}

void
tally_clear(void **root)
{
	index_clear(root, free);
}
