#include "config_world.h"

static void
attributes_are_changed(void **state)
{
	static const struct {
		const char *what, *text, *codes, *shown;
	} cases[] = {
	    {"set alone", "set", "-160", ""},
	    {"set without a value", "set note", "-160", ""},
	    {"unknown attribute", "set foo x", "-61", ""},
	    {"ambiguous attribute", "set s x", "-61", ""},
	    {"value too long", "set hostname 123456789", "-1", ""},
	    {"value out of range", "set timeout 481", "-651", ""},
	    {"two values for one", "set note a b", "-61", ""},
	    {"a failure keeps the old value", "set timeout 7\nset timeout x", "0 -651", "set timeout 7\n"},
	    {"abbreviated", "set tim 7", "0", "set timeout 7\n"},
	    {"unset alone", "unset", "-160", ""},
	    {"unset with a value", "set note x\nunset note x", "0 -61", "set note \"x\"\n"},
	    {"unset of an unknown one", "unset foo", "-61", ""},
	    {"unset", "set note x\nunset note", "0 0", ""},
	    {"unset of what is not set", "unset note", "0", ""},
	    {"set to the default", "set timeout 7\nset timeout 05", "0 0", ""},
	    {"set replaces a list", "set servers a b\nset servers c", "0 0", "set servers \"c\"\n"},
	    {"a list emptied", "set servers a\nset servers \"\"", "0 0", ""},
	    {"a list too long", "set servers a b c d", "-1", ""},
	    {"append to a single value", "append note x", "-61", ""},
	    {"append without a value", "append servers", "-160", ""},
	    {"append to nothing", "append servers a", "0", "set servers \"a\"\n"},
	    {"append", "set servers a\nappend servers c b", "0 0", "set servers \"a\" \"c\" \"b\"\n"},
	    {"append what is there", "set servers a\nappend servers b a", "0 -15", "set servers \"a\"\n"},
	    {"append the same twice", "append servers a a", "-15", ""},
	    {"append too many", "set servers a b\nappend servers c d", "0 -1", "set servers \"a\" \"b\"\n"},
	    {"append to the default", "append features snmp", "0", "set features web ssh snmp\n"},
	    {"append an abbreviated option", "append features sn", "0", "set features web ssh snmp\n"},
	    {"select keeps the order", "set servers a b c\nselect servers c a", "0 0", "set servers \"a\" \"c\"\n"},
	    {"select what is not there", "set servers a\nselect servers b", "0 -3", "set servers \"a\"\n"},
	    {"unselect", "set servers a b c\nunselect servers b", "0 0", "set servers \"a\" \"c\"\n"},
	    {"unselect what is not there", "unselect servers b", "-3", ""},
	    {"unselect the last", "set servers a\nunselect servers a", "0 0", ""},
	    {"unselect of the default", "unselect features web", "0", "set features ssh\n"},
	    {"unselect everything of the default", "unselect features web ssh", "0", "set features \"\"\n"},
	    {"back to the default", "unselect features ssh\nappend features ssh", "0 0", ""},
	    {"a word that is a value of two", "set secret ENC abc", "0", "set secret \"ENC abc\"\n"},
	    {"the mask of a secret", "set secret pass\nset secret ENC ***", "0 -651", "set secret \"pass\"\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		struct buf b = BUF_INIT(4096);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, "config box global\n"), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		assert_int_equal(world_run(w, "end\n"), 0);
		assert_int_equal(print_entry(tree_entry(w->tree, "box global", ""), PRINT_SECRETS, &b), 0);
		assert_int_equal(buf_put(&b, "", 1), 0);
		assert_string_equal((const char *)buf_head(&b), cases[i].shown);
		buf_free(&b);
		world_free(w);
	}
}

/* "host" wants a name and ports, "range" wants ports, "plain" wants nothing. */
static void
some_attributes_are_required_at_times(void **state)
{
	static const struct {
		const char *what, *text, *codes, *missing;
	} cases[] = {
	    {"not as it is", "next", "0", NULL},
	    {"not where it says so", "set kind plain\nnext", "0 0", NULL},
	    {"missing", "set kind host\nset ports 80\nnext", "0 0 -56", "'name'"},
	    {"another missing", "set kind host\nset name a.b\nnext", "0 0 -56", "'ports'"},
	    {"missing in another case", "set kind range\nnext", "0 -56", "'ports'"},
	    {"unset again", "set kind range\nset ports 80\nunset ports\nnext", "0 0 0 -56", "'ports'"},
	    {"empty", "set kind range\nset ports \"\"\nnext", "0 0 -56", "'ports'"},
	    {"all there", "set ports 80\nset name a.b\nset kind host\nnext", "0 0 0 0", NULL},
	    {"needed no more", "set kind range\nunset kind\nnext", "0 0 0", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new_shop();

		print_message("  %s\n", cases[i].what);
		assert_int_equal(world_run(w, "config shop item\nedit a\n"), 0);
		world_run(w, cases[i].text);
		assert_string_equal(w->codes, cases[i].codes);
		if (cases[i].missing)
			assert_non_null(strstr(w->err.text, cases[i].missing));
		assert_int_equal(tree_entry(w->tree, "shop item", "a") != NULL, cases[i].missing == NULL);
		world_free(w);
	}
}

static void
fixed_attributes_stay(void **state)
{
	struct world *w = world_new();

	(void)state;
	world_run(w, "config net port\nedit a\nset type vlan\nunset type\nset comment x\nnext\nend\n");
	assert_string_equal(w->codes, "0 0 0 -23 0 0 0");
	assert_string_equal(entry_get(tree_entry(w->tree, "net port", "a"), "type"), "vlan");
	assert_string_equal(entry_get(tree_entry(w->tree, "net port", "a"), "comment"), "x");
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(attributes_are_changed),
	    cmocka_unit_test(some_attributes_are_required_at_times),
	    cmocka_unit_test(fixed_attributes_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
