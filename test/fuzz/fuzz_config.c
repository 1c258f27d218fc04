/* fuzz_config: hostile text as a script, run on an empty tree with the built-in tables. Whatever comes of it must print
 * to a text that makes the same tree without a failure, and the differences to an empty tree and back must lead there.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/checksum.h"
#include "config/codes.h"
#include "config/diff.h"
#include "config/exec.h"
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

static struct schema *
builtin(void)
{
	static struct schema *s;

	if (!s) {
		s = schema_new();
		must(s && !schema_add_builtin(s, NULL));
	}
	return s;
}

/* Runs the text on the tree; everything in it must succeed. */
static void
must_load(struct tree *t, const struct buf *text)
{
	must(load_text(t, "again", (const char *)buf_head(text), text->len, true, NULL, NULL, NULL) == 0);
}

static void
check_print(const struct tree *t, unsigned flags)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *again = tree_new(builtin());

	must(again && !print_tree(t, flags, &text));
	must_load(again, &text);
	must(tree_equal(t, again));
	tree_free(again);
	buf_free(&text);
}

static void
check_diff(const struct tree *from, const struct tree *to)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *t = tree_clone(from);

	must(t && !diff_trees(from, to, &text, NULL));
	must_load(t, &text);
	must(tree_equal(t, to));
	tree_free(t);
	buf_free(&text);
}

static void
run(struct tree *t, const struct script *s)
{
	static const struct exec_ops memory_only;
	struct exec *x = exec_new(t, &memory_only, true);
	struct buf out = BUF_INIT(CONFIG_MAX_BYTES);
	struct err e;

	must(x != NULL);
	for (size_t i = 0; i < script_count(s); i++) {
		const struct command *c = script_at(s, i);

		exec_complete(x, c->argc, c->argv, &out);
		exec_run(x, c, &out, &e);
		buf_cut(&out, 0);
	}
	exec_free(x);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script *s = NULL;
	struct checksums sums;
	struct tree *t, *empty;
	struct err e;

	if (script_parse("fuzz", (const char *)data, size, &s, &e))
		return 0;
	t = tree_new(builtin());
	empty = tree_new(builtin());
	must(t && empty);
	run(t, s);
	check_print(t, PRINT_SECRETS);
	check_print(t, PRINT_SECRETS | PRINT_FULL);
	check_diff(t, empty);
	check_diff(empty, t);
	must(checksum_tree(t, &sums) == 0);
	script_free(s);
	tree_free(t);
	tree_free(empty);
	return 0;
}
