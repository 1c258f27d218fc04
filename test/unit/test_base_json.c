/* base/json: what is refused although the library takes it, and members of the wrong kind. */
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

static void
no_value(void **state)
{
	static const struct {
		const char *what, *text;
		size_t len; /* 0: all of it */
		const char *reason;
	} rows[] = {
	    {"nothing", "", 0, "not valid at offset 0"},
	    {"only space", "  ", 0, "not valid"},
	    {"cut in an object", "{\"a\":1", 0, "not valid"},
	    {"cut in a text", "\"abc", 0, "not valid"},
	    {"cut in an escape", "\"abc\\", 0, "not valid"},
	    {"cut by its length", "[1,2]", 4, "not valid"},
	    {"a word", "nope", 0, "not valid at offset 0"},
	    {"wrong bracket", "[1}", 0, "not valid at offset 2"},
	    {"a comma too many", "[1,]", 0, "not valid"},
	    {"key without quotes", "{a:1}", 0, "not valid"},
	    {"text after it", "{} x", 0, "text after the value at offset 2"},
	    {"a second value", "1 2", 0, "text after the value at offset 1"},
	    {"NUL after it", "{}\0", 3, "NUL byte at offset 2"},
	    {"NUL before it", "\0{}", 3, "NUL byte at offset 0"},
	    {"NUL in a text", "\"a\0b\"", 5, "NUL byte at offset 2"},
	    {"NUL after a backslash", "\"a\\\0\"", 5, "not valid"},
	    {"NUL by escape", "\"a\\u0000b\"", 0, "NUL character at offset 2"},
	    {"NUL by escape in a key", "{\"a\\u0000\":1}", 0, "NUL character at offset 3"},
	    {"half a character", "\"\xc3\"", 0, "not UTF-8 at offset 1"},
	    {"overlong quote", "[\"\xc0\xa2\"]", 0, "not UTF-8 at offset 2"},
	    {"surrogate", "\"a\xed\xa0\x80\"", 0, "not UTF-8 at offset 2"},
	    {"cut in a character", "\"\xc3\xa4\"", 2, "not UTF-8 at offset 1"},
	    {"no text at all", "{}\xff", 0, "not UTF-8 at offset 2"},
	    {"key twice", "{\"a\":1,\"b\":2,\"a\":3}", 0, "key \"a\" stands twice"},
	    {"key twice by escape", "{\"a\":1,\"\\u0061\":3}", 0, "key \"a\" stands twice"},
	    {"key twice, deep", "[{\"x\":{\"b\":{},\"b\":{}}}]", 0, "key \"b\" stands twice"},
	    {"empty key twice", "{\"\":1,\"\":2}", 0, "key \"\" stands twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		print_message("  %s\n", rows[i].what);
		assert_null(json_parse(rows[i].text, rows[i].len ? rows[i].len : strlen(rows[i].text), &e));
		assert_int_equal(e.code, -EINVAL);
		if (!strstr(e.text, rows[i].reason))
			fail_msg("'%s' does not say '%s'", e.text, rows[i].reason);
	}
	assert_null(json_parse("[", 1, NULL));
}

static void
value(void **state)
{
	static const struct {
		const char *what, *text, *line;
	} rows[] = {
	    {"space around it", " \r\n\t{ } \r\n\t", "{}"},
	    {"a scalar", "true", "true"},
	    {"keys differ in case", "{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}"},
	    {"same key in two objects", "[{\"a\":1},{\"a\":1}]", "[{\"a\":1},{\"a\":1}]"},
	    {"brackets in a text", "\"[[{{\"", "\"[[{{\""},
	    {"an escaped quote", "\"\\\"[\"", "\"\\\"[\""},
	    {"no NUL: an escaped backslash", "\"\\\\u0000\"", "\"\\\\u0000\""},
	    {"UTF-8", "\"\\u00e4\"", "\"\xc3\xa4\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		struct cJSON *j;
		char *line;

		print_message("  %s\n", rows[i].what);
		j = json_parse(rows[i].text, strlen(rows[i].text), &e);
		assert_non_null(j);
		line = json_line(j);
		assert_string_equal(line, rows[i].line);
		free(line);
		json_free(j);
	}
}

/* `depth` arrays or objects in one another. */
static struct cJSON *
nested(int depth, bool objects, struct err *e)
{
	char text[6 * 2000] = "";
	struct cJSON *j;

	for (int i = 0; i < depth; i++)
		strcat(text, objects ? i + 1 < depth ? "{\"a\":" : "{" : "[");
	for (int i = 0; i < depth; i++)
		strcat(text, objects ? "}" : "]");
	j = json_parse(text, strlen(text), e);
	return j;
}

static void
depth(void **state)
{
	static const struct {
		const char *what;
		int depth;
		bool objects, taken;
	} rows[] = {
	    {"arrays, one too deep", JSON_DEPTH_MAX + 1, false, false},
	    {"objects, one too deep", JSON_DEPTH_MAX + 1, true, false},
	    {"deeper than the library bears", 2000, false, false},
	    {"arrays", JSON_DEPTH_MAX, false, true},
	    {"objects", JSON_DEPTH_MAX, true, true},
	};

	(void)state;
	assert_int_equal(JSON_DEPTH_MAX, 32); /* wire profile, section 8 */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		struct cJSON *j = nested(rows[i].depth, rows[i].objects, &e);

		print_message("  %s\n", rows[i].what);
		assert_int_equal(j != NULL, rows[i].taken);
		if (!j)
			assert_non_null(strstr(e.text, "deeper than 32 levels at offset "));
		json_free(j);
	}
}

/* Width is not depth. */
static void
many_beside_each_other(void **state)
{
	struct err e = ERR_NONE;
	struct cJSON *j;
	char text[4000] = "[";

	(void)state;
	for (int i = 0; i < 1000; i++)
		strcat(text, i ? ",[]" : "[]");
	strcat(text, "]");
	j = json_parse(text, strlen(text), &e);
	assert_non_null(j);
	json_free(j);
}

/* A hostile object of very many keys is done in no time, and its one repetition is found. */
static void
very_many_keys(void **state)
{
	enum { KEYS = 50000 };
	char *text = malloc(KEYS * 16);
	struct err e = ERR_NONE;
	size_t used = 1;

	(void)state;
	assert_non_null(text);
	text[0] = '{';
	for (int i = 0; i < KEYS; i++)
		used += (size_t)sprintf(text + used, "%s\"k%d\":0", i ? "," : "", i == KEYS - 1 ? 0 : i);
	text[used++] = '}';
	alarm(20);
	assert_null(json_parse(text, used, &e));
	alarm(0);
	assert_non_null(strstr(e.text, "key \"k0\" stands twice"));
	free(text);
}

static void
whole_numbers(void **state)
{
	static const struct {
		const char *what, *text;
		int64_t min, max;
		int rc;
		int64_t value;
	} rows[] = {
	    {"missing", "{}", 0, 9, -ENOENT, 0},
	    {"another key's case", "{\"N\":1}", 0, 9, -ENOENT, 0},
	    {"a text", "{\"n\":\"1\"}", 0, 9, -EINVAL, 0},
	    {"null", "{\"n\":null}", 0, 9, -EINVAL, 0},
	    {"true", "{\"n\":true}", 0, 9, -EINVAL, 0},
	    {"not whole", "{\"n\":1.5}", 0, 9, -EINVAL, 0},
	    {"hardly not whole", "{\"n\":1.0000001}", 0, 9, -EINVAL, 0},
	    {"below", "{\"n\":-1}", 0, 9, -EINVAL, 0},
	    {"above", "{\"n\":10}", 0, 9, -EINVAL, 0},
	    {"infinite", "{\"n\":1e999}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"infinite below", "{\"n\":-1e999}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"beyond 64 bits", "{\"n\":1e30}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"one beyond 64 bits", "{\"n\":9223372036854775808}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"not exact", "{\"n\":9007199254740993}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"not exact below", "{\"n\":-9007199254740993}", INT64_MIN, INT64_MAX, -EINVAL, 0},
	    {"largest exact", "{\"n\":9007199254740991}", INT64_MIN, INT64_MAX, 0, 9007199254740991},
	    {"smallest exact", "{\"n\":-9007199254740991}", INT64_MIN, INT64_MAX, 0, -9007199254740991},
	    {"beyond int", "{\"n\":2147483648}", INT_MIN, INT64_MAX, 0, 2147483648},
	    {"beyond int, not wanted", "{\"n\":2147483648}", INT_MIN, INT_MAX, -EINVAL, 0},
	    {"least", "{\"n\":-3}", -3, 9, 0, -3},
	    {"most", "{\"n\":9}", -3, 9, 0, 9},
	    {"zero", "{\"n\":-0}", 0, 0, 0, 0},
	    {"whole all the same", "{\"n\":1e2}", 0, 100, 0, 100},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cJSON *j = json_parse(rows[i].text, strlen(rows[i].text), NULL);
		struct err e = ERR_NONE;
		int64_t n = 77;

		print_message("  %s\n", rows[i].what);
		assert_non_null(j);
		assert_int_equal(json_get_int(j, "n", rows[i].min, rows[i].max, &n, &e), rows[i].rc);
		assert_true(n == (rows[i].rc ? 77 : rows[i].value));
		if (rows[i].rc)
			assert_non_null(strstr(e.text, "key \"n\""));
		json_free(j);
	}
}

static void
members(void **state)
{
	static const char text[] = "{\"s\":\"x\",\"n\":1,\"t\":true,\"f\":false,\"a\":[1],\"o\":{},\"z\":null}";
	struct cJSON *j = json_parse(text, strlen(text), NULL);
	struct err e = ERR_NONE;
	const char *s = NULL;
	char word[8];
	bool b = false;

	(void)state;
	assert_int_equal(json_get_str(j, "none", &s, &e), -ENOENT);
	assert_string_equal(e.text, "key \"none\" is missing");
	assert_int_equal(json_get_str(j, "n", &s, &e), -EINVAL);
	assert_string_equal(e.text, "key \"n\": text expected");
	assert_int_equal(json_get_str(j, "z", &s, &e), -EINVAL);
	assert_null(s);
	assert_int_equal(json_get_bool(j, "none", &b, &e), -ENOENT);
	assert_int_equal(json_get_bool(j, "n", &b, &e), -EINVAL);
	assert_string_equal(e.text, "key \"n\": true or false expected");
	assert_null(json_get(j, "S"));
	assert_null(json_get(NULL, "s"));
	assert_null(json_get_array(j, "o"));
	assert_null(json_get_object(j, "a"));
	assert_null(json_string(json_get(j, "n")));
	assert_null(json_first(NULL));

	assert_int_equal(json_get_str(j, "s", &s, &e), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_get_text(j, "s", word, 2, &e), 0);
	assert_string_equal(word, "x");
	assert_int_equal(json_get_text(j, "n", word, 2, &e), -EINVAL);
	assert_int_equal(json_get_text(j, "s", word, 1, &e), -EINVAL);
	assert_string_equal(e.text, "key \"s\": at most 0 bytes expected");
	assert_int_equal(json_get_bool(j, "t", &b, &e), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(j, "f", &b, &e), 0);
	assert_false(b);
	assert_non_null(json_get_array(j, "a"));
	assert_non_null(json_get_object(j, "o"));
	assert_true(json_is_object(j) && !json_is_array(j) && json_is_array(json_get(j, "a")) && !json_is_null(j));
	assert_string_equal(json_key(json_first(j)), "s");
	assert_string_equal(json_string(json_first(j)), "x");
	assert_string_equal(json_key(json_next(json_first(j))), "n");
	assert_null(json_first(json_get(j, "o")));
	json_free(j);
}

static void
built(void **state)
{
	struct cJSON *j = json_new_object(), *a;
	char *line;

	(void)state;
	json_add_str(j, "s", "a\"b\n");
	json_add_str(j, "none", NULL);
	json_add_int(j, "n", -5);
	json_add_bool(j, "t", true);
	a = json_add_array(j, "a");
	json_add_int(a, NULL, INT64_C(1) << 40);
	json_add_str(json_add_object(a, NULL), "k", "v");
	json_add(j, "o", json_new_array());
	line = json_line(j);
	assert_string_equal(line, "{\"s\":\"a\\\"b\\n\",\"none\":null,\"n\":-5,\"t\":true,"
				  "\"a\":[1099511627776,{\"k\":\"v\"}],\"o\":[]}");
	free(line);
	line = json_pretty(json_get(j, "a"));
	assert_non_null(strchr(line, '\n'));
	free(line);
	json_free(j);
}

/* Whatever it was made of, the text is one that everybody can read. */
static void
built_of_bytes(void **state)
{
	struct cJSON *j = json_new_object(), *back;
	char *line;

	(void)state;
	json_add_str(j, "cut",
		     "Stra\xc3\x9f"
		     "e \xc3");
	json_add_str(j, "latin", "\xe4\xf6 \xff\xfe");
	line = json_line(j);
	assert_string_equal(line, "{\"cut\":\"Stra\xc3\x9f"
				  "e ?\",\"latin\":\"?? ??\"}");
	back = json_parse(line, strlen(line), NULL);
	assert_non_null(back);
	json_free(back);
	free(line);
	json_free(j);
}

/* As when memory ran out for the parent: the child is freed, nothing crashes. */
static void
built_on_nothing(void **state)
{
	(void)state;
	json_add_str(NULL, "s", "x");
	json_add_int(NULL, "n", 1);
	json_add(NULL, "o", json_new_object());
	json_add(NULL, "o", NULL);
	assert_null(json_add_object(NULL, "o"));
	assert_null(json_add_array(NULL, "a"));
	assert_null(json_line(NULL));
	assert_null(json_pretty(NULL));
	json_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_value),       cmocka_unit_test(value),
	    cmocka_unit_test(depth),          cmocka_unit_test(many_beside_each_other),
	    cmocka_unit_test(very_many_keys), cmocka_unit_test(whole_numbers),
	    cmocka_unit_test(members),        cmocka_unit_test(built),
	    cmocka_unit_test(built_of_bytes), cmocka_unit_test(built_on_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
