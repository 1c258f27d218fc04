/* A configuration as a branch firewall has one, of 50,000 lines: what goes in comes out, whichever way it went in. */
#include "base/crypto.h"
#include "config/checksum.h"
#include "config/diff.h"
#include "config/load.h"
#include "config_world.h"

#define GENERATOR "/usr/bin/python3 -B test/bench/branch.py branch 50000"

static struct {
	char *text;
	size_t len;
	struct schema *schema;
	struct tree *tree; /* of the text */
} branch;

static void
read_text(void)
{
	struct buf b = BUF_INIT(CONFIG_MAX_BYTES);
	FILE *f = popen(GENERATOR, "r");
	uint8_t *room;
	size_t n = 1;

	assert_non_null(f);
	while (n) {
		room = buf_room(&b, 65536);
		assert_non_null(room);
		n = fread(room, 1, 65536, f);
		buf_grew(&b, n);
	}
	assert_int_equal(pclose(f), 0);
	branch.text = buf_steal(&b, &branch.len);
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	read_text();
	branch.schema = schema_new();
	if (schema_add_builtin(branch.schema, &e))
		fail_msg("%s", e.text);
	branch.tree = tree_new(branch.schema);
	if (load_text(branch.tree, "branch", branch.text, branch.len, false, NULL, NULL, &e))
		fail_msg("%s", e.text);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tree_free(branch.tree);
	schema_free(branch.schema);
	free(branch.text);
	return 0;
}

static void
assert_prints_as_it_was(const struct tree *t)
{
	struct buf out = BUF_INIT(CONFIG_MAX_BYTES);

	assert_int_equal(print_tree(t, PRINT_SECRETS, &out), 0);
	assert_int_equal(out.len, branch.len);
	assert_memory_equal(buf_head(&out), branch.text, branch.len);
	buf_free(&out);
}

static struct tree *
run_text(struct tree *t, const void *text, size_t len)
{
	static const struct exec_ops memory_only;
	struct exec *x = exec_new(t, &memory_only, false);
	struct err e = ERR_NONE;
	struct script *s;

	if (script_parse("branch", text, len, &s, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < script_count(s); i++) {
		if (exec_run(x, script_at(s, i), NULL, &e))
			fail_msg("line %u: %s", script_at(s, i)->line, e.text);
	}
	script_free(s);
	exec_free(x);
	return t;
}

static void
it_has_so_many_lines(void **state)
{
	size_t lines = 0;

	(void)state;
	for (size_t i = 0; i < branch.len; i++)
		lines += branch.text[i] == '\n';
	assert_in_range(lines, 50000, 52000);
}

static void
loaded_it_comes_out_as_it_went_in(void **state)
{
	(void)state;
	assert_prints_as_it_was(branch.tree);
}

static void
installed_it_is_the_same(void **state)
{
	struct tree *t = run_text(tree_new(branch.schema), branch.text, branch.len);

	(void)state;
	assert_true(tree_equal(t, branch.tree));
	assert_prints_as_it_was(t);
	tree_free(t);
}

static void
in_full_it_is_the_same(void **state)
{
	struct buf full = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *t;

	(void)state;
	assert_int_equal(print_tree(branch.tree, PRINT_SECRETS | PRINT_FULL, &full), 0);
	assert_true(full.len > branch.len);
	t = run_text(tree_new(branch.schema), buf_head(&full), full.len);
	assert_true(tree_equal(t, branch.tree));
	assert_prints_as_it_was(t);
	tree_free(t);
	buf_free(&full);
}

static void
differences_lead_there_and_back(void **state)
{
	struct buf there = BUF_INIT(CONFIG_MAX_BYTES), back = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *t = tree_new(branch.schema), *empty = tree_new(branch.schema);

	(void)state;
	assert_int_equal(diff_trees(empty, branch.tree, &there, NULL), 0);
	run_text(t, buf_head(&there), there.len);
	assert_true(tree_equal(t, branch.tree));
	assert_int_equal(diff_trees(t, empty, &back, NULL), 0);
	run_text(t, buf_head(&back), back.len);
	assert_true(tree_equal(t, empty));
	buf_free(&there);
	buf_free(&back);
	tree_free(t);
	tree_free(empty);
}

static void
its_checksum_follows_one_line(void **state)
{
	static const struct {
		const char *path, *key, *attr;
	} cases[] = {
	    {"firewall policy", "1200", "comments"},
	    {"firewall policy", "1", "comments"},
	    {"system interface", "wan1", "description"},
	    {"system global", "", "alias"},
	};
	struct tree *t = tree_clone(branch.tree);
	struct checksum_cache *c = checksum_cache_new(t);
	struct checksums before, sums, again;

	(void)state;
	assert_int_equal(checksum_cache_sums(c, &before), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const words[] = {"x"};

		print_message("  %s %s\n", cases[i].path, cases[i].key);
		assert_int_equal(tree_set(t, cases[i].path, cases[i].key, cases[i].attr, words, 1, NULL), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_int_equal(checksum_tree(t, &again), 0);
		assert_memory_equal(&sums, &again, sizeof(sums));
		assert_memory_not_equal(sums.all, before.all, sizeof(sums.all));
		before = sums;
	}
	checksum_cache_free(c);
	tree_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_has_so_many_lines),
	    cmocka_unit_test(loaded_it_comes_out_as_it_went_in),
	    cmocka_unit_test(installed_it_is_the_same),
	    cmocka_unit_test(in_full_it_is_the_same),
	    cmocka_unit_test(differences_lead_there_and_back),
	    cmocka_unit_test(its_checksum_follows_one_line),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
