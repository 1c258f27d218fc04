/* schema_private: what the files of the schema share. */
#ifndef CONFIG_SCHEMA_PRIVATE_H
#define CONFIG_SCHEMA_PRIVATE_H

#include <stddef.h>

#include "config/arena.h"

struct schema_table;

/* The memory of one schema file: kept or dropped as a whole. */
struct schema_source {
	struct schema_source *next;
	struct arena arena;
};

struct schema {
	struct schema_source *sources;
	const struct schema_table **tables; /* owned arrays; what they point to is in the sources */
	size_t count;
	struct schema_family *families; /* no two with the same tables in the same order */
	size_t family_count;
};

struct schema_builtin {
	const char *name;
	const char *text;
	size_t len;
};

/* config/builtin.S */
extern const struct schema_builtin schema_builtin[];
extern const size_t schema_builtin_count;

#endif
