#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/entry_json.h"
#include "base/err.h"
#include "base/json.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/tree.h"

static const char tables[] =
    "{\"tables\":[{\"path\":\"a b\",\"key\":{\"name\":\"n\",\"type\":\"integer\"},\"attributes\":["
    "{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"number\",\"type\":\"integer\",\"default\":\"5\"},"
    "{\"name\":\"list\",\"type\":\"string\",\"list\":true},{\"name\":\"secret\",\"type\":\"password\"}],"
    "\"tables\":[{\"path\":\"inner\",\"key\":{\"name\":\"id\",\"type\":\"string\"},"
    "\"attributes\":[{\"name\":\"x\",\"type\":\"ipv4-mask\"}]},"
    "{\"path\":\"one\",\"attributes\":[{\"name\":\"y\",\"type\":\"string\",\"default\":\"d\"}]}]}]}";

static void
entries(void **state)
{
	static const struct {
		const char *what, *text, *want;
	} cases[] = {
	    {"defaults", "",
	     "{\"text\":\"\",\"number\":\"5\",\"list\":[],\"secret\":\"\",\"inner\":[],\"one\":{\"y\":\"d\"}}"},
	    {"everything",
	     "set text \"a \\\" b\"\nset number 7\nset list p \"q r\"\nset secret s3\nconfig inner\nedit i\n"
	     "set x 10.0.0.0/8\nnext\nedit \"j k\"\nnext\nend\nconfig one\nset y z\nend\n",
	     "{\"text\":\"a \\\" b\",\"number\":\"7\",\"list\":[\"p\",\"q r\"],\"secret\":\"s3\","
	     "\"inner\":[{\"id\":\"i\",\"x\":\"10.0.0.0 255.0.0.0\"},{\"id\":\"j k\",\"x\":\"\"}],"
	     "\"one\":{\"y\":\"z\"}}"},
	};
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(schema_add_json(s, "t", tables, strlen(tables), &e), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tree *t = tree_new(s);
		char text[512], *line;
		struct cJSON *j;

		snprintf(text, sizeof(text), "config a b\nedit 1\n%snext\nend\n", cases[i].text);
		if (load_text(t, "t", text, strlen(text), false, NULL, NULL, &e))
			fail_msg("%s: %s", cases[i].what, e.text);
		j = entry_json(tree_entry(t, "a b", "1"));
		line = json_line(j);
		assert_string_equal(line, cases[i].want);
		free(line);
		json_free(j);
		tree_free(t);
	}
	assert_null(entry_json(NULL));
	schema_free(s);
}

/* Every secret that is set, nested or not; one that is not set hides nothing. */
static void
masked(void **state)
{
	static const char text[] = "config a b\nedit 1\nset text open\nset secret s3\nnext\nedit 2\nnext\nend\n";
	struct schema *s = schema_new();
	struct err e = ERR_NONE;
	struct cJSON *j;
	struct tree *t;
	char *line;

	(void)state;
	assert_int_equal(schema_add_json(s, "t", tables, strlen(tables), &e), 0);
	t = tree_new(s);
	assert_int_equal(load_text(t, "t", text, strlen(text), false, NULL, NULL, &e), 0);
	for (int i = 0; i < 2; i++) {
		j = entry_json_masked(tree_entry(t, "a b", i ? "2" : "1"));
		line = json_line(j);
		assert_null(strstr(line, "s3"));
		assert_non_null(strstr(line, i ? "\"secret\":\"\"" : "\"secret\":\"ENC ***\""));
		assert_int_equal(strstr(line, "open") != NULL, !i);
		free(line);
		json_free(j);
	}
	assert_null(entry_json_masked(NULL));
	tree_free(t);
	schema_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(entries), cmocka_unit_test(masked)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
