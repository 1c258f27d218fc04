/* fuzz_schema: hostile text as a schema file. What is taken must make a tree that prints, in
 * full too, to a text that makes the same tree; what is refused must say why and leave nothing behind. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/load.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
check_print(const struct schema *s, unsigned flags)
{
	struct tree *t = tree_new(s), *again = tree_new(s);
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);

	must(t && again && !print_tree(t, flags, &text));
	/* a singleton whose requirements are not met prints, but cannot be committed: only the form counts then */
	must(load_text(again, "again", (const char *)buf_head(&text), text.len, true, NULL, NULL, NULL) >= 0);
	must(tree_equal(t, again));
	buf_free(&text);
	tree_free(t);
	tree_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	must(s != NULL);
	if (schema_add_json(s, "fuzz", (const char *)data, size, &e)) {
		must(*e.text && schema_count(s) == 0);
	} else {
		must(schema_count(s) > 0);
		check_print(s, PRINT_SECRETS);
		check_print(s, PRINT_SECRETS | PRINT_FULL);
	}
	schema_free(s);
	return 0;
}
