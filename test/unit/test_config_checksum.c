#include "config/checksum.h"

#include "base/crypto.h"
#include "config_world.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_show_where_they_belong),
	    cmocka_unit_test(uuids_do_not_count),
	    cmocka_unit_test(the_sum_is_md5_of_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
