#include "config/index.h"

#include <search.h>
#include <stddef.h>
#include <string.h>

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

void *
index_find(void *const *root, const char *key)
{
	struct keyed probe = {(char *)key}; /* only read */
	void **slot = tfind(&probe, root, compare);

	return slot ? *slot : NULL;
}

bool
index_add(void **root, void *thing)
{
	return tsearch(thing, root, compare) != NULL;
}

void
index_replace(void **root, void *with)
{
	void **slot = tfind(with, root, compare);

	*slot = with;
}

void
index_remove(void **root, void *thing)
{
	tdelete(thing, root, compare);
}

static void
leave(void *thing)
{
	(void)thing;
}

void
index_clear(void **root, void (*each)(void *thing))
{
	tdestroy(*root, each ? each : leave);
	*root = NULL;
}
