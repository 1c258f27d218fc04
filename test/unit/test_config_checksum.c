// wrap: calloc realloc
#include "config/checksum.h"

#include <errno.h>

#include "base/crypto.h"
#include "config_world.h"

static long allowed = -1; /* allocations until one fails; -1: none does */

static bool
refuse(void)
{
	return allowed >= 0 && allowed-- == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

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

static struct checksums
sums_after(const char *text)
{
	struct world *w = world_new();
	struct checksums c;

	assert_int_equal(world_run(w, text), 0);
	assert_int_equal(checksum_tree(w->tree, &c), 0);
	world_free(w);
	return c;
}

static void
changes_show_where_they_belong(void **state)
{
	static const char base[] = "config net port\nedit a\nnext\nedit b\nend\n";
	static const struct {
		const char *what, *text;
		bool global, root;
	} cases[] = {
	    {"nothing", "", false, false},
	    {"the box", "config box global\nset note x\nend\n", true, false},
	    {"a secret", "config box global\nset secret x\nend\n", true, false},
	    {"the order", "config net port\nmove b before a\nend\n", true, false},
	    {"the vdom", "config net route\nedit 1\nset device a\nend\n", false, true},
	    {"what is left out", "config hidden\nset a x\nend\n", false, false},
	    {"back again", "config box global\nset note x\nunset note\nend\n", false, false},
	};
	struct checksums plain = sums_after(base);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct checksums c;
		char text[256];

		print_message("  %s\n", cases[i].what);
		snprintf(text, sizeof(text), "%s%s", base, cases[i].text);
		c = sums_after(text);
		assert_int_equal(memcmp(c.global, plain.global, 16) != 0, cases[i].global);
		assert_int_equal(memcmp(c.root, plain.root, 16) != 0, cases[i].root);
		assert_int_equal(memcmp(c.all, plain.all, 16) != 0, cases[i].global || cases[i].root);
	}
}

static void
uuids_do_not_count(void **state)
{
	static const char with[] =
	    "config net port\nedit a\nend\nconfig net route\nedit 1\nset uuid 1-2\nset device a\nend\n";
	static const char without[] = "config net port\nedit a\nend\nconfig net route\nedit 1\nset device a\nend\n";
	struct checksums a = sums_after(with), b = sums_after(without);

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
}

static void
the_sum_is_md5_of_the_text(void **state)
{
	struct checksums c = sums_after("config box global\nset note x\nend\n");
	const char *text = "config box global\n    set note \"x\"\nend\n";
	uint8_t expected[16];
	char hex[CHECKSUM_TEXT];

	(void)state;
	assert_int_equal(crypto_md5(text, strlen(text), expected), 0);
	assert_memory_equal(c.all, expected, 16);
	assert_memory_equal(c.global, expected, 16);
	c = sums_after("");
	assert_string_equal(checksum_text(hex, c.all), "d4 1d 8c d9 8f 00 b2 04 e9 80 09 98 ec f8 42 7e");
}

/* What the sums are by definition: of all that is printed for them, table by table. */
static void
assert_by_definition(const struct tree *t, const struct checksums *sums)
{
	struct buf parts[3] = {BUF_INIT(1 << 24), BUF_INIT(1 << 24), BUF_INIT(1 << 24)};
	const uint8_t *given[3] = {sums->global, sums->root, sums->all};
	uint8_t expected[16];

	for (size_t i = 0; i < schema_count(tree_schema(t)); i++) {
		const struct schema_table *s = schema_at(tree_schema(t), i);

		if (s->unsummed)
			continue;
		assert_int_equal(print_table(t, s, PRINT_SECRETS | PRINT_CHECKSUM, &parts[s->per_vdom]), 0);
		assert_int_equal(print_table(t, s, PRINT_SECRETS | PRINT_CHECKSUM, &parts[2]), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(crypto_md5(buf_head(&parts[i]), parts[i].len, expected), 0);
		assert_memory_equal(given[i], expected, 16);
		buf_free(&parts[i]);
	}
}

/* Long enough that the states kept on the way matter. */
static struct world *
long_world(unsigned ports)
{
	struct world *w = world_new();
	char line[200];

	assert_int_equal(world_run(w, "config net port\n"), 0);
	for (unsigned i = 0; i < ports; i++) {
		snprintf(line, sizeof(line),
			 "edit k%u\nset comment \"number %u of many, as long as a line is\"\nnext\n", i, i);
		assert_int_equal(world_run(w, line), 0);
	}
	assert_int_equal(world_run(w, "end\nconfig net route\n"), 0);
	for (unsigned i = 0; i < ports; i++) {
		snprintf(line, sizeof(line), "edit %u\nset uuid %u\nset device k%u\nnext\n", i, i, i);
		assert_int_equal(world_run(w, line), 0);
	}
	assert_int_equal(world_run(w, "end\n"), 0);
	return w;
}

static void
a_cache_follows_each_change(void **state)
{
	static const struct {
		const char *what, *text;
	} steps[] = {
	    {"nothing", ""},
	    {"the first table", "config box global\nset note x\nend\n"},
	    {"the first entry", "config net port\nedit k0\nset ip 1.1.1.1/8\nend\n"},
	    {"one in the middle", "config net port\nedit k500\nset ip 1.1.1.1/8\nend\n"},
	    {"the last one", "config net route\nedit 999\nunset uuid\nset gateway 1.1.1.1\nend\n"},
	    {"a nested one", "config net port\nedit k7\nconfig second\nedit 1\nset ip 2.2.2.2/8\nend\nend\n"},
	    {"two, far apart", "config net port\nedit k1\nset comment x\nnext\nedit k998\nset comment y\nend\n"},
	    {"a new one", "config net port\nedit new\nend\n"},
	    {"the order", "config net port\nmove new before k3\nmove k4 after k900\nend\n"},
	    {"a name", "config net port\nrename new to newer\nend\n"},
	    {"one less", "config net route\ndelete 500\nend\n"},
	    {"what is left out", "config hidden\nset a x\nend\nconfig net route\nedit 1\nset uuid z\nend\n"},
	    {"a table emptied", "config net route\npurge\nend\n"},
	    {"and filled again", "config net route\nedit 5\nset device k5\nend\n"},
	    {"nearly all", "config net route\npurge\nend\nconfig net port\npurge\nend\n"},
	};
	struct world *w = long_world(1000);
	struct checksum_cache *c = checksum_cache_new(w->tree);
	struct checksums sums;

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		print_message("  %s\n", steps[i].what);
		assert_int_equal(world_run(w, steps[i].text), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_by_definition(w->tree, &sums);
	}
	checksum_cache_free(c);
	checksum_cache_free(NULL);
	world_free(w);
}

/* A table comes and goes whose first line lies across the place where a state is kept. */
static void
a_kept_state_may_fall_anywhere(void **state)
{
	struct world *w = long_world(180);
	struct checksum_cache *c = checksum_cache_new(w->tree);
	struct checksums sums;
	char note[900] = "", text[1000];
	size_t before = 0;

	(void)state;
	assert_int_equal(world_run(w, "config net route\npurge\nend\n"), 0);
	for (size_t n = 0; n < sizeof(note) - 1; n += 3) {
		struct buf b = BUF_INIT(1 << 20);

		memset(note, 'x', n);
		snprintf(text, sizeof(text), "config box global\nset note \"%s\"\nend\n", note);
		assert_int_equal(world_run(w, text), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_int_equal(world_run(w, "config net route\nedit 1\nset device k1\nend\n"), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_by_definition(w->tree, &sums);
		assert_int_equal(world_run(w, "config net route\npurge\nend\n"), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_by_definition(w->tree, &sums);
		assert_int_equal(print_tree(w->tree, PRINT_SECRETS | PRINT_CHECKSUM, &b), 0);
		if (!n)
			before = b.len;
		if (n + 3 >= sizeof(note) - 1) /* the place was passed */
			assert_true(before < 16384 && b.len > 16384);
		buf_free(&b);
	}
	checksum_cache_free(c);
	world_free(w);
}

static void
a_change_that_the_system_refuses_is_none(void **state)
{
	struct world *w = long_world(100);
	struct checksum_cache *c = checksum_cache_new(w->tree);
	struct checksums before, after;

	(void)state;
	assert_int_equal(checksum_cache_sums(c, &before), 0);
	w->apply_code = CLI_FAILED;
	assert_true(world_run(w, "config net port\nedit k5\nset comment x\nnext\nedit new\nend\n") > 0);
	assert_true(world_run(w, "config net route\ndelete 5\nrename 6 to 1006\nend\n") > 0);
	assert_int_equal(checksum_cache_sums(c, &after), 0);
	assert_memory_equal(&before, &after, sizeof(after));
	checksum_cache_free(c);
	world_free(w);
}

static void
a_cache_follows_whatever_happens(void **state)
{
	struct world *w = long_world(300);
	struct checksum_cache *c = checksum_cache_new(w->tree);
	uint64_t seed = 7;
	struct checksums sums;
	uint8_t all[16];

	(void)state;
	for (int i = 0; i < 300; i++) {
		world_shake(w, &seed, 1 + world_random(&seed, 12));
		exec_reset(w->exec);
		assert_int_equal(checksum_cache_all(c, all), 0);
		if (i % 3) /* the other sums fall behind */
			continue;
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_memory_equal(all, sums.all, sizeof(all));
		assert_by_definition(w->tree, &sums);
	}
	checksum_cache_free(c);
	world_free(w);
}

/* A long text, in steps, with changes in between: each step is short, and what comes of them all is the sum. */
static void
steps_lead_to_the_sum(void **state)
{
	struct world *w = long_world(20000);
	struct checksum_cache *c = checksum_cache_new(w->tree);
	uint64_t seed = 11;
	struct checksums sums;
	uint8_t all[16];

	(void)state;
	for (int i = 0; i < 20; i++) {
		bool more = true;
		unsigned steps = 0;

		world_shake(w, &seed, 3);
		exec_reset(w->exec);
		while (more) {
			assert_int_equal(checksum_cache_step(c, &more), 0);
			if (more && ++steps == 2 && i % 4 == 0)
				world_shake(w, &seed, 1);
			assert_true(steps < 100);
		}
		exec_reset(w->exec);
		if (i == 0)
			assert_true(steps >= 2);
		assert_int_equal(checksum_cache_step(c, &more), 0);
		assert_int_equal(checksum_cache_all(c, all), 0);
		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		assert_memory_equal(all, sums.all, sizeof(all));
		assert_by_definition(w->tree, &sums);
	}
	checksum_cache_free(c);
	world_free(w);
}

/* A failure forgets what it had, and the next call is right again. */
static void
without_memory_there_is_no_sum(void **state)
{
	struct world *w = long_world(400);
	struct checksums sums, none = {.all = {1}};
	char line[80];
	long n = 0;
	int rc = -1;

	(void)state;
	for (; rc; n++) {
		struct checksum_cache *c = checksum_cache_new(w->tree);

		assert_int_equal(checksum_cache_sums(c, &sums), 0);
		snprintf(line, sizeof(line), "config net port\nedit k3\nset comment %ld\nnext\nedit n%ld\nend\n", n, n);
		assert_int_equal(world_run(w, line), 0);
		sums = none;
		allowed = n;
		rc = checksum_cache_sums(c, &sums);
		allowed = -1;
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_memory_equal(&sums, &none, sizeof(sums));
			assert_int_equal(checksum_cache_sums(c, &sums), 0);
		}
		assert_by_definition(w->tree, &sums);
		checksum_cache_free(c);
	}
	assert_true(n > 1);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_show_where_they_belong),
	    cmocka_unit_test(uuids_do_not_count),
	    cmocka_unit_test(the_sum_is_md5_of_the_text),
	    cmocka_unit_test(a_cache_follows_each_change),
	    cmocka_unit_test(a_kept_state_may_fall_anywhere),
	    cmocka_unit_test(a_change_that_the_system_refuses_is_none),
	    cmocka_unit_test(a_cache_follows_whatever_happens),
	    cmocka_unit_test(steps_lead_to_the_sum),
	    cmocka_unit_test(without_memory_there_is_no_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
