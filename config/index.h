/* index: things by key, found in logarithmic time whatever the keys are. A thin cover for tsearch(3), whose header
 * takes the name `struct entry` for itself. */
#ifndef CONFIG_INDEX_H
#define CONFIG_INDEX_H

#include <stdbool.h>

/* What every indexed thing begins with. */
struct keyed {
	char *key;
};

/* NULL is an empty index. Things are borrowed. */
void *index_find(void *const *root, const char *key); /* NULL: none */
bool index_add(void **root, void *thing);             /* false: no memory */
void index_replace(void **root, void *with);          /* in the place of the thing with the same key, which is there */
void index_remove(void **root, void *thing);
void index_clear(void **root, void (*each)(void *thing)); /* `each` may be NULL */

#endif
