/* tally: how often each of many words counts. */
#ifndef CONFIG_TALLY_H
#define CONFIG_TALLY_H

#include <stddef.h>

/* NULL is an empty tally. Words are copied. */
int tally_add(void **root, const char *word);   /* 0 or -ENOMEM */
void tally_drop(void **root, const char *word); /* takes back one tally_add() of the same word */
size_t tally_count(void *const *root, const char *word);
void tally_clear(void **root);

#endif
