/* Memory that runs out at every single allocation: the command fails, the tree is as it was or as it should be, and
 * nothing leaks (the sanitizer's business). */
// wrap: malloc calloc realloc
#include "config/checksum.h"
#include "config/diff.h"
#include "config_world.h"

static long allowed = -1; /* allocations until one fails; -1: none does */

static bool
refuse(void)
{
	if (allowed < 0)
		return false;
	return allowed-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *
__wrap_malloc(size_t n)
{
	return refuse() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return refuse() ? NULL : __real_realloc(p, n);
}

static const char setup[] =
    "config box global\nset servers a b\nend\n"
    "config net port\nedit a\nset comment x\nconfig second\nedit 1\nset ip 1.1.1.1/8\nend\nnext\n"
    "edit b\nset parent a\nend\nconfig net group\nedit g\nset member a b\nend\n";

/* One command on a world prepared with `place`, with the n-th allocation failing. True: it did not come that far. */
static bool
run_once(const char *place, const char *line, long n)
{
	struct world *w = world_new();
	struct script *s;
	struct err e = ERR_NONE;
	char *before, *after;
	bool through;
	int rc;

	assert_int_equal(world_run(w, setup), 0);
	assert_int_equal(world_run(w, place), 0);
	before = world_text_of(w->tree, PRINT_SECRETS);
	assert_int_equal(script_parse_line(line, strlen(line), &s, &e), CLI_OK);
	allowed = n;
	rc = exec_run(w->exec, script_at(s, 0), NULL, &e);
	through = allowed >= 0;
	allowed = -1;
	after = world_text_of(w->tree, PRINT_SECRETS);
	if (rc) {
		assert_int_equal(rc, CLI_FAILED);
		assert_false(through);
		if (!strstr(line, "purge"))
			assert_string_equal(after, before);
	}
	exec_reset(w->exec);
	assert_int_equal(world_run(w, "config net group\npurge\nend\nconfig net port\npurge\nend\n"), 0);
	script_free(s);
	free(before);
	free(after);
	world_free(w);
	return through;
}

static void
commands_fail_whole(void **state)
{
	static const struct {
		const char *place, *line;
	} cases[] = {
	    {"", "config box global"},
	    {"config net port\n", "edit c"},
	    {"config net port\n", "edit a"},
	    {"config net port\nedit c\nset comment y\nset parent b\n", "next"},
	    {"config net port\nedit c\nnext\nedit d\nset parent c\n", "next"},
	    {"config net port\nedit a\nset comment y\n", "next"},
	    {"config net port\nedit a\nset comment y\n", "end"},
	    {"config net port\nedit a\n", "set comment y"},
	    {"config net port\nedit a\n", "set ip6 2001:db8::/64"},
	    {"config box global\n", "append servers c"},
	    {"config box global\n", "unselect servers a"},
	    {"config box global\n", "set secret ENC abc"},
	    {"config net port\nedit a\nconfig second\nedit 2\nset ip 2.2.2.2/8\n", "next"},
	    {"config net port\nedit a\nconfig second\n", "rename 1 to 2"},
	    {"config net group\n", "clone g to h"},
	    {"config net group\n", "rename g to h"},
	    {"config net group\n", "delete g"},
	    {"config net group\n", "purge"},
	    {"", "show full-configuration"},
	    {"", "get net port a"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long n = 0;

		while (!run_once(cases[i].place, cases[i].line, n))
			n++;
		print_message("  %s: %ld allocations\n", cases[i].line, n);
	}
}

static void
readers_fail_whole(void **state)
{
	static const char text[] = "config a b\nset x \"y z\"\nend\n";
	struct world *w = world_new();
	int rc = -1;

	(void)state;
	for (long n = 0; rc; n++) {
		struct script *s = NULL;

		allowed = n;
		rc = script_parse("f", text, strlen(text), &s, NULL);
		allowed = -1;
		script_free(s);
	}
	rc = -1;
	for (long n = 0; rc; n++) {
		struct schema *s = schema_new();

		allowed = n;
		rc = schema_add_json(s, "f", world_schema, strlen(world_schema), NULL);
		allowed = -1;
		assert_int_equal(schema_count(s) > 0, !rc);
		schema_free(s);
	}
	rc = -1;
	for (long n = 0; rc; n++) {
		struct schema *s = world_schema_new();
		size_t known = schema_count(s);

		allowed = n;
		rc = schema_add_json(s, "shop", world_shop, strlen(world_shop), NULL);
		allowed = -1;
		assert_int_equal(schema_count(s) > known, !rc);
		schema_free(s);
	}
	world_free(w);
}

static void
trees_fail_whole(void **state)
{
	struct world *w = world_new();
	struct tree *copy = NULL;
	struct checksums sums;
	int rc = -1;

	(void)state;
	world_run(w, setup);
	for (long n = 0; !copy; n++) {
		allowed = n;
		copy = tree_clone(w->tree);
		allowed = -1;
	}
	assert_true(tree_equal(copy, w->tree));
	tree_free(copy);
	copy = NULL;
	for (long n = 0; !copy; n++) {
		allowed = n;
		copy = tree_new(w->schema);
		allowed = -1;
	}
	for (long n = 0; rc; n++) {
		struct buf b = BUF_INIT(1024 * 1024);

		allowed = n;
		rc = diff_trees(copy, w->tree, &b, NULL);
		allowed = -1;
		assert_int_equal(b.len > 0, !rc);
		buf_free(&b);
	}
	/* a name that moves from one table to another */
	world_run(w, "config net port\nedit h\nend\nconfig net group\nedit i\nset member h\nend\n");
	assert_int_equal(tree_set(copy, "net port", "x", "comment", &(const char *){"x"}, 1, NULL), 0);
	assert_int_equal(tree_set(copy, "net group", "h", "member", &(const char *){"x"}, 1, NULL), 0);
	rc = -1;
	for (long n = 0; rc; n++) {
		struct buf b = BUF_INIT(1024 * 1024);

		allowed = n;
		rc = diff_trees(w->tree, copy, &b, NULL);
		allowed = -1;
		assert_int_equal(b.len > 0, !rc);
		buf_free(&b);
	}
	rc = -1;
	for (long n = 0; rc; n++) {
		allowed = n;
		rc = checksum_tree(w->tree, &sums);
		allowed = -1;
	}
	rc = -1;
	for (long n = 0; rc; n++) {
		allowed = n;
		rc = tree_set(copy, "net port", "a", "comment", &(const char *){"x"}, 1, NULL);
		allowed = -1;
		assert_int_equal(tree_count(copy, "net port"), rc ? 1 : 2);
	}
	tree_free(copy);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_fail_whole),
	    cmocka_unit_test(readers_fail_whole),
	    cmocka_unit_test(trees_fail_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
