/* What is printed makes the same tree again, differences lead there, and checksums tell trees apart: for every golden
 * file, and for random trees of all the tables that are built in. RANDOM_SEED=N and RANDOM_ROUNDS=N in the environment
 * look elsewhere and longer. */
#include <dirent.h>

#include "base/file.h"
#include "config/checksum.h"
#include "config/diff.h"
#include "config/load.h"
#include "config_random.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
enum { ROUNDS = 25 };
#else
enum { ROUNDS = 100 };
#endif

enum { BLOCKS = 120, TEXT_MAX = 16 * 1024 * 1024 };

static struct schema *
builtin(void)
{
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	assert_non_null(s);
	if (schema_add_builtin(s, &e))
		fail_msg("%s", e.text);
	return s;
}

static void
complain(void *ctx, const char *line)
{
	(void)ctx;
	print_message("%s\n", line);
}

/* Runs the text on the tree; everything in it must succeed. `name` is for messages. */
static void
load_all(struct tree *t, const char *name, const char *text, size_t len)
{
	struct err e = ERR_NONE;
	int failed = load_text(t, name, text, len, false, complain, NULL, &e);

	if (failed) {
		fwrite(text, 1, len, stderr); /* messages of a test are short */
		fail_msg("%s: %d failed %s", name, failed, e.text);
	}
}

/* Printed, read and printed: the same tree and the same text. */
static void
check_print(const struct tree *t, unsigned flags, const char *name)
{
	struct tree *again = tree_new(tree_schema(t));
	char *text = world_text_of(t, flags | PRINT_SECRETS), *second;

	assert_non_null(again);
	load_all(again, name, text, strlen(text));
	if (!tree_equal(t, again)) {
		fputs(text, stderr);
		fail_msg("%s: another tree comes out of this", name);
	}
	second = world_text_of(again, flags | PRINT_SECRETS);
	assert_string_equal(second, text);
	free(text);
	free(second);
	tree_free(again);
}

static void
check_diff(const struct tree *from, const struct tree *to, const char *name)
{
	struct tree *t = tree_clone(from);
	struct buf text = BUF_INIT(TEXT_MAX);
	size_t lines;

	assert_non_null(t);
	assert_int_equal(diff_trees(from, to, &text, &lines), 0);
	assert_int_equal(lines > 0, !tree_equal(from, to));
	load_all(t, name, (const char *)buf_head(&text), text.len);
	if (!tree_equal(t, to)) {
		fwrite(buf_head(&text), 1, text.len, stderr);
		fail_msg("%s: these differences lead elsewhere", name);
	}
	buf_free(&text);
	tree_free(t);
}

/* The same in all that is summed: no unsummed tables, no uuid. Of the box, or of the virtual domain. */
static bool
same_summed(const struct tree *a, const struct tree *b, bool per_vdom)
{
	struct tree *x = tree_clone(a), *y = tree_clone(b), *both[] = {x, y};
	bool same = true;

	assert_true(x && y);
	for (size_t i = 0; i < 2 * x->count; i++) {
		struct table *t = &both[i % 2]->tables[i / 2];
		const struct schema_attr *uuid = schema_attr(t->schema, "uuid");

		for (struct entry *e = uuid ? t->first : NULL; e; e = e->next)
			entry_drop(e, uuid);
	}
	for (size_t i = 0; i < x->count && same; i++) {
		const struct schema_table *s = x->tables[i].schema;

		same = s->unsummed || s->per_vdom != per_vdom || table_equal(&x->tables[i], &y->tables[i]);
	}
	tree_free(x);
	tree_free(y);
	return same;
}

static void
check_sums(const struct tree *a, const struct tree *b, const char *name)
{
	bool global = same_summed(a, b, false), root = same_summed(a, b, true);
	struct checksums x, y;

	assert_int_equal(checksum_tree(a, &x), 0);
	assert_int_equal(checksum_tree(b, &y), 0);
	if (global != !memcmp(x.global, y.global, sizeof(x.global)) ||
	    root != !memcmp(x.root, y.root, sizeof(x.root)) || (global && root) != !memcmp(x.all, y.all, sizeof(x.all)))
		fail_msg("%s: checksums do not tell what is the same (box %d, virtual domain %d)", name, global, root);
}

/* Notes which attributes are stored somewhere in the table. */
static void
note_stored(const struct table *t, const struct schema_attr *seen[], size_t *count, size_t max)
{
	for (const struct entry *e = t->first; e; e = e->next) {
		for (size_t i = 0; i < e->value_count; i++) {
			const struct schema_attr *a = &e->schema->attrs[e->values[i].attr];
			size_t k = 0;

			while (k < *count && seen[k] != a)
				k++;
			assert_true(k < max);
			seen[k] = a;
			*count += k == *count;
		}
		for (size_t i = 0; i < e->schema->child_count; i++)
			note_stored(&e->children[i], seen, count, max);
	}
}

static size_t
count_attrs(const struct schema_table *t)
{
	size_t n = t->attr_count;

	for (size_t i = 0; i < t->child_count; i++)
		n += count_attrs(t->children[i]);
	return n;
}

static uint64_t
from_environment(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

/* A tree, one that came from it, and one that is a single block away from that. */
static void
check_round(const struct schema *s, uint64_t seed, const struct schema_attr *seen[], size_t *count, size_t max)
{
	uint64_t random = seed;
	struct tree *a = tree_new(s), *b, *c;
	char name[64];

	snprintf(name, sizeof(name), "RANDOM_SEED=%" PRIu64, seed);
	assert_non_null(a);
	assert_true(random_shake(a, &random, BLOCKS) > BLOCKS);
	b = tree_clone(a);
	assert_true(b && tree_equal(a, b));
	check_sums(a, b, name);
	random_shake(b, &random, BLOCKS / 2);
	c = tree_clone(b);
	assert_non_null(c);
	random_shake(c, &random, 1);
	check_print(a, 0, name);
	check_print(b, PRINT_FULL, name);
	check_diff(a, b, name);
	check_diff(c, a, name);
	check_diff(b, c, name);
	check_sums(a, b, name);
	check_sums(b, c, name);
	for (size_t i = 0; i < b->count; i++)
		note_stored(&b->tables[i], seen, count, max);
	tree_free(a);
	tree_free(b);
	tree_free(c);
}

static void
random_trees_survive(void **state)
{
	struct schema *s = builtin();
	uint64_t first = from_environment("RANDOM_SEED", 1), rounds = from_environment("RANDOM_ROUNDS", ROUNDS);
	const struct schema_attr *seen[1024];
	size_t count = 0, all = 0;

	(void)state;
	for (size_t i = 0; i < schema_count(s); i++)
		all += schema_at(s, i)->bootstrap_only ? 0 : count_attrs(schema_at(s, i));
	for (uint64_t i = 0; i < rounds; i++)
		check_round(s, first + i, seen, &count, sizeof(seen) / sizeof(seen[0]));
	print_message("  %zu of %zu attributes were used\n", count, all);
	if (rounds >= ROUNDS)
		assert_int_equal(count, all);
	schema_free(s);
}

static void
check_file(const struct schema *s, const char *name)
{
	struct tree *t = tree_new(s);
	char path[300], *text;
	struct err e;
	size_t len;

	snprintf(path, sizeof(path), "test/golden/config/%s", name);
	if (file_read(path, 1024 * 1024, &text, &len, &e))
		fail_msg("%s", e.text);
	assert_non_null(t);
	/* commands of a script may fail; those of the others may not */
	if (strstr(name, ".script"))
		assert_true(load_text(t, path, text, len, false, NULL, NULL, &e) >= 0);
	else
		load_all(t, path, text, len);
	check_print(t, 0, path);
	check_print(t, PRINT_FULL, path);
	free(text);
	tree_free(t);
}

/* Runs one line and appends what it prints. */
__attribute__((format(printf, 3, 4))) static void
run_line(struct exec *x, struct buf *out, const char *fmt, ...)
{
	struct err e = ERR_NONE;
	struct script *s;
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	assert_in_range(vsnprintf(line, sizeof(line), fmt, ap), 0, sizeof(line) - 1);
	va_end(ap);
	assert_int_equal(script_parse_line(line, strlen(line), &s, &e), CLI_OK);
	if (exec_run(x, script_at(s, 0), out, &e))
		fail_msg("%s: %s", line, e.text);
	script_free(s);
}

enum part { WHOLE, TABLES, ENTRIES, INSIDE_TABLES, INSIDE_ENTRIES, PARTS };

/* `show` of a table, of each entry, or of both from inside. */
static void
show_table(struct exec *x, const struct table *t, enum part part, const char *full, struct buf *out)
{
	const char *path = t->schema->path;
	bool inside = part == INSIDE_TABLES || part == INSIDE_ENTRIES;

	if (inside)
		run_line(x, NULL, "config %s", path);
	if (part == TABLES || (part == ENTRIES && t->schema->singleton))
		run_line(x, out, "show %s %s", full, path);
	else if (part == INSIDE_TABLES || t->schema->singleton)
		run_line(x, out, "show %s", full);
	for (const struct entry *e = t->schema->singleton ? NULL : t->first; e; e = e->next) {
		if (part == ENTRIES)
			run_line(x, out, "show %s %s \"%s\"", full, path, e->key);
		if (part != INSIDE_ENTRIES)
			continue;
		run_line(x, NULL, "edit \"%s\"", e->key);
		run_line(x, out, "show %s", full);
		run_line(x, NULL, "next");
	}
	if (inside)
		run_line(x, NULL, "end");
}

static void
check_shown(struct tree *t, enum part part, bool full, const char *name)
{
	static const struct exec_ops none;
	struct exec *x = exec_new(t, &none, false);
	struct tree *again = tree_new(tree_schema(t));
	struct buf out = BUF_INIT(TEXT_MAX);

	assert_true(x && again);
	if (part == WHOLE)
		run_line(x, &out, "show %s", full ? "full-configuration" : "");
	for (size_t i = 0; part != WHOLE && i < t->count; i++) {
		if (!t->tables[i].schema->bootstrap_only)
			show_table(x, &t->tables[i], part, full ? "full-configuration" : "", &out);
	}
	load_all(again, name, (const char *)buf_head(&out), out.len);
	if (!tree_equal(t, again))
		fail_msg("%s: part %d, %s: another tree", name, part, full ? "in full" : "in short");
	exec_free(x);
	buf_free(&out);
	tree_free(again);
}

/* What people see of parts of a tree, put together, makes the tree. */
static void
what_is_shown_makes_the_tree(void **state)
{
	static const char path[] = "test/golden/config/firewall-install.result";
	struct schema *s = builtin();
	struct tree *t = tree_new(s);
	struct err e;
	char *text;
	size_t len;

	(void)state;
	assert_non_null(t);
	if (file_read(path, 1024 * 1024, &text, &len, &e))
		fail_msg("%s", e.text);
	load_all(t, path, text, len);
	/* masked, it would be no password */
	assert_int_equal(tree_set(t, "system admin", "branch-admin", "password", NULL, 0, &e), CLI_OK);
	for (enum part part = WHOLE; part < PARTS; part++) {
		check_shown(t, part, false, path);
		check_shown(t, part, true, path);
	}
	free(text);
	tree_free(t);
	schema_free(s);
}

static void
golden_files_are_fixed_points(void **state)
{
	static const char *const suffixes[] = {".base", ".script", ".result"};
	struct schema *s = builtin();
	DIR *d = opendir("test/golden/config");
	const struct dirent *f;
	unsigned n = 0;

	(void)state;
	assert_non_null(d);
	while ((f = readdir(d))) {
		const char *dot = strrchr(f->d_name, '.');

		for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
			if (strcmp(dot, suffixes[i]))
				continue;
			check_file(s, f->d_name);
			n++;
		}
	}
	closedir(d);
	assert_true(n >= 27);
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_files_are_fixed_points),
	    cmocka_unit_test(what_is_shown_makes_the_tree),
	    cmocka_unit_test(random_trees_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
