#include "config_world.h"

static const struct {
	const char *what, *place; /* commands before it */
	const char *words[6];     /* NULL ends them */
	const char *offers;       /* the words, "|" between them */
} cases[] = {
    {"nothing typed", "", {NULL}, "config|show|get|execute|diagnose"},
    {"a verb begun", "", {"e"}, "execute"},
    {"no such verb", "", {"x"}, ""},
    {"a verb that does not fit", "", {"set", ""}, ""},
    {"an ambiguous verb", "", {"e", ""}, ""},
    {"tables", "", {"config", ""}, "box|net|hidden"},
    {"second words", "", {"conf", "net", ""}, "port|route|group"},
    {"second word begun", "", {"conf", "ne", "r"}, "route"},
    {"after the last word", "", {"conf", "net", "port", ""}, ""},
    {"show", "", {"show", ""}, "full-configuration|box|net|hidden"},
    {"show in full", "", {"show", "full-configuration", "n"}, "net"},
    {"show a key", "", {"show", "net", "port", ""}, "a|b"},
    {"verbs in a table", "config net port\n", {""}, "edit|delete|purge|rename|clone|move|end|abort|show|get"},
    {"keys", "config net port\n", {"edit", ""}, "a|b"},
    {"keys to show", "config net port\n", {"show", "b"}, "b"},
    {"rename, first", "config net port\n", {"rename", ""}, "a|b"},
    {"rename, second", "config net port\n", {"rename", "a", ""}, "to"},
    {"rename, third", "config net port\n", {"rename", "a", "to", ""}, ""},
    {"move, second", "config net port\n", {"move", "a", ""}, "before|after"},
    {"move, third", "config net port\n", {"move", "a", "after", ""}, "a|b"},
    {"verbs in an edit",
     "config net port\nedit a\n",
     {""},
     "config|set|unset|append|select|unselect|next|end|abort|show|get"},
    {"verbs in a singleton", "config hidden\n", {""}, "set|unset|append|select|unselect|end|abort|show|get"},
    {"nested tables", "config net port\nedit a\n", {"config", ""}, "second"},
    {"attributes", "config net port\nedit a\n", {"set", "i"}, "ip|ip6"},
    {"options", "config net port\nedit a\n", {"set", "type", "v"}, "vlan|vxlan"},
    {"keys of another table", "config net route\nedit 1\n", {"set", "device", ""}, "a|b"},
    {"keys, and names that need no entry",
     "config shop item\nedit x\nend\nconfig shop rule\nedit 1\n",
     {"set", "item", ""},
     "x|all|none"},
    {"names of one attribute", "config shop rule\nedit 1\n", {"set", "port", ""}, "a|b|any"},
    {"a name that has an entry",
     "config shop item\nedit all\nend\nconfig shop rule\nedit 1\n",
     {"set", "item", "a"},
     "all"},
    {"nothing for a text", "config net port\nedit a\n", {"set", "comment", ""}, ""},
    {"nothing after unset", "config net port\nedit a\n", {"unset", "type", ""}, ""},
    {"unknown attribute", "config net port\nedit a\n", {"set", "no", ""}, ""},
};

static void
candidates_are_offered(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = strstr(cases[i].place, "shop") ? world_new_shop() : world_new();
		struct buf b = BUF_INIT(4096);
		char joined[512] = "";
		size_t n = 0;

		print_message("  %s\n", cases[i].what);
		world_run(w, "config net port\nedit a\nnext\nedit b\nend\n");
		world_run(w, cases[i].place);
		while (cases[i].words[n])
			n++;
		exec_complete(w->exec, n, cases[i].words, &b);
		assert_int_equal(buf_put(&b, "", 1), 0);
		for (char *line = strtok((char *)b.data, "\n"); line; line = strtok(NULL, "\n")) {
			char *tab = strchr(line, '\t');

			assert_non_null(tab);
			*tab = '\0';
			sprintf(joined + strlen(joined), "%s%s", *joined ? "|" : "", line);
		}
		assert_string_equal(joined, cases[i].offers);
		buf_free(&b);
		world_free(w);
	}
}

static void
help_stands_beside(void **state)
{
	struct world *w = world_new();
	struct buf b = BUF_INIT(4096);
	static const char *const words[] = {"config", "box", "g"};

	(void)state;
	exec_complete(w->exec, 3, words, &b);
	assert_int_equal(buf_put(&b, "", 1), 0);
	assert_string_equal((const char *)buf_head(&b), "global\tThe box.\n");
	buf_free(&b);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(candidates_are_offered),
	    cmocka_unit_test(help_stands_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
