/* index: things by key, found in constant time whatever the keys are.
 *
 * A hash table with open addressing. The hash is keyed with random bytes, so that a manager that chooses the keys
 * cannot choose where they collide.
 */
#ifndef CONFIG_INDEX_H
#define CONFIG_INDEX_H

#include <stdbool.h>

/* What every indexed thing begins with. */
struct keyed {
	char *key;
};

/* NULL is an empty index. Things are borrowed. */
void *index_find(void *const *root, const char *key); /* NULL: none */
bool index_add(void **root, void *thing);             /* false: no memory; the key is not there yet */
void index_replace(void **root, void *with);          /* in the place of the thing with the same key, which is there */
void index_remove(void **root, void *thing);          /* the thing with the same key, which is there */
void index_clear(void **root, void (*each)(void *thing)); /* `each` may be NULL */

#endif
