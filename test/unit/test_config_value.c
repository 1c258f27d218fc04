#include "config/value.h"

#include "base/password.h"
#include "config_world.h"

static const struct schema_option kinds[] = {{"up", ""}, {"down", ""}, {"downer", ""}, {"upper", ""}};

static const struct schema_attr text8 = {.name = "t", .type = ATTR_STRING, .max_length = 8};
static const struct schema_attr number = {.name = "n", .type = ATTR_INTEGER, .min = -5, .max = 100};
static const struct schema_attr option = {.name = "o", .type = ATTR_OPTION, .options = kinds, .option_count = 4};
static const struct schema_attr net = {.name = "m", .type = ATTR_IPV4_MASK};
static const struct schema_attr ip4 = {.name = "i", .type = ATTR_IPV4};
static const struct schema_attr ip6 = {.name = "j", .type = ATTR_IPV6};
static const struct schema_attr net6 = {.name = "k", .type = ATTR_IPV6_PREFIX};
static const struct schema_attr mac = {.name = "c", .type = ATTR_MAC};
static const struct schema_attr ref = {.name = "r", .type = ATTR_REFERENCE, .max_length = 15};
static const struct schema_attr password = {.name = "p", .type = ATTR_PASSWORD, .max_length = 8, .secret = true};
static const struct schema_attr texts = {
    .name = "l", .type = ATTR_STRING, .max_length = 8, .list = true, .max_values = 3};
static const struct schema_attr ports = {
    .name = "s", .type = ATTR_STRING, .format = FORMAT_PORT_RANGE, .max_length = 20, .list = true, .max_values = 3};
static const struct schema_attr hour = {.name = "h", .type = ATTR_STRING, .format = FORMAT_TIME, .max_length = 5};
static const struct schema_attr noon = {.name = "h",
					.type = ATTR_STRING,
					.format = FORMAT_TIME,
					.max_length = 5,
					.fallback = "12:00",
					.fallback_size = 6,
					.fallback_count = 1};
static const struct schema_attr range = {
    .name = "g", .type = ATTR_STRING, .format = FORMAT_IPV4_RANGE, .max_length = 31};
static const struct schema_attr nets = {.name = "ms", .type = ATTR_IPV4_MASK, .list = true, .max_values = 3};

static void
values_are_checked_and_canonical(void **state)
{
	static const struct {
		const char *what;
		const struct schema_attr *attr;
		const char *words[5];
		int rc;
		const char *packed; /* values joined by "|" */
	} cases[] = {
	    {"no words", &text8, {NULL}, CLI_INCOMPLETE, NULL},
	    {"text too long", &text8, {"123456789"}, CLI_TOO_LONG, NULL},
	    {"text with a control character", &text8, {"a\x1b"}, CLI_INVALID, NULL},
	    {"text with DEL", &text8, {"a\x7f"}, CLI_INVALID, NULL},
	    {"text that is not UTF-8", &text8, {"\xff"}, CLI_INVALID, NULL},
	    {"overlong UTF-8", &text8, {"\xc0\xaf"}, CLI_INVALID, NULL},
	    {"surrogate", &text8, {"\xed\xa0\x80"}, CLI_INVALID, NULL},
	    {"cut UTF-8", &text8, {"a\xe2\x82"}, CLI_INVALID, NULL},
	    {"two words for one value", &text8, {"a", "b"}, CLI_PARSE, NULL},
	    {"text", &text8, {"12345678"}, CLI_OK, "12345678"},
	    {"text in UTF-8", &text8, {"\xf0\x9f\x98\x80"}, CLI_OK, "\xf0\x9f\x98\x80"},
	    {"text with lines", &text8, {"a\n\tb"}, CLI_OK, "a\n\tb"},
	    {"empty text", &text8, {""}, CLI_OK, ""},

	    {"text out of form", &hour, {"noon"}, CLI_INVALID, NULL},
	    {"text out of form, and too long", &hour, {"012:00"}, CLI_TOO_LONG, NULL},
	    {"address out of form", &range, {"10.0.0.9-10.0.0.1"}, CLI_BAD_ADDRESS, NULL},
	    {"no text in place of a default", &noon, {""}, CLI_INVALID, NULL},
	    {"no text where none is the default", &hour, {""}, CLI_OK, ""},
	    {"text of a form", &hour, {"8:00"}, CLI_OK, "08:00"},
	    {"texts, one out of form", &ports, {"80", "x"}, CLI_INVALID, NULL},
	    {"texts that mean the same", &ports, {"80", "80-80"}, CLI_DUPLICATE, NULL},
	    {"texts of a form", &ports, {"443", "80-81"}, CLI_OK, "443|80-81"},

	    {"number too small", &number, {"-6"}, CLI_INVALID, NULL},
	    {"number too large", &number, {"101"}, CLI_INVALID, NULL},
	    {"number beyond 64 bits", &number, {"99999999999999999999"}, CLI_INVALID, NULL},
	    {"no number", &number, {"1x"}, CLI_INVALID, NULL},
	    {"empty number", &number, {""}, CLI_INVALID, NULL},
	    {"number with zeros", &number, {"007"}, CLI_OK, "7"},
	    {"negative number", &number, {"-5"}, CLI_OK, "-5"},

	    {"unknown option", &option, {"left"}, CLI_INVALID, NULL},
	    {"ambiguous option", &option, {"do"}, CLI_INVALID, NULL},
	    {"empty option", &option, {""}, CLI_INVALID, NULL},
	    {"exact beats longer", &option, {"down"}, CLI_OK, "down"},
	    {"abbreviated option", &option, {"downe"}, CLI_OK, "downer"},

	    {"mask with a hole", &net, {"10.0.0.0", "255.0.255.0"}, CLI_BAD_ADDRESS, NULL},
	    {"mask missing", &net, {"10.0.0.0"}, CLI_INCOMPLETE, NULL},
	    {"prefix too long", &net, {"10.0.0.0/33"}, CLI_BAD_ADDRESS, NULL},
	    {"IPv6 for IPv4", &net, {"::/0"}, CLI_BAD_ADDRESS, NULL},
	    {"short address", &net, {"10.0.0", "255.0.0.0"}, CLI_BAD_ADDRESS, NULL},
	    {"a word too many", &net, {"10.0.0.0/8", "255.0.0.0"}, CLI_PARSE, NULL},
	    {"address and mask", &net, {"10.2.0.0", "255.255.0.0"}, CLI_OK, "10.2.0.0 255.255.0.0"},
	    {"prefix", &net, {"10.2.0.0/16"}, CLI_OK, "10.2.0.0 255.255.0.0"},
	    {"both in one word", &net, {"10.2.0.1 255.255.255.255"}, CLI_OK, "10.2.0.1 255.255.255.255"},
	    {"prefix 0", &net, {"0.0.0.0/0"}, CLI_OK, "0.0.0.0 0.0.0.0"},

	    {"no address", &ip4, {"10.0.0.256"}, CLI_BAD_ADDRESS, NULL},
	    {"IPv6 for an IPv4 address", &ip4, {"::1"}, CLI_BAD_ADDRESS, NULL},
	    {"IPv4", &ip4, {"10.0.0.1"}, CLI_OK, "10.0.0.1"},
	    {"IPv4 for IPv6", &ip6, {"10.0.0.1"}, CLI_BAD_ADDRESS, NULL},
	    {"IPv6 is shortened", &ip6, {"2001:DB8:0:0::1"}, CLI_OK, "2001:db8::1"},
	    {"IPv6 prefix without length", &net6, {"2001:db8::"}, CLI_BAD_ADDRESS, NULL},
	    {"IPv6 prefix", &net6, {"2001:0db8::1/64"}, CLI_OK, "2001:db8::1/64"},
	    {"short MAC", &mac, {"00:11:22:33:44"}, CLI_INVALID, NULL},
	    {"MAC with other signs", &mac, {"00-11-22-33-44-55"}, CLI_INVALID, NULL},
	    {"MAC with a letter", &mac, {"00:11:22:33:44:5g"}, CLI_INVALID, NULL},
	    {"MAC", &mac, {"00:AA:bb:33:44:55"}, CLI_OK, "00:aa:bb:33:44:55"},

	    {"reference with a line", &ref, {"a\nb"}, CLI_INVALID, NULL},
	    {"reference", &ref, {"wan 1"}, CLI_OK, "wan 1"},
	    {"the mask of a password", &password, {"ENC", "***"}, CLI_INVALID, NULL},
	    {"the mask in one word", &password, {"ENC ***"}, CLI_INVALID, NULL},
	    {"password too long", &password, {"123456789"}, CLI_TOO_LONG, NULL},
	    {"two passwords", &password, {"a", "b"}, CLI_PARSE, NULL},
	    {"password", &password, {"pass"}, CLI_OK, "pass"},
	    {"encoded password", &password, {"ENC", "12345678"}, CLI_OK, "ENC 12345678"},

	    {"the same twice", &texts, {"a", "b", "a"}, CLI_DUPLICATE, NULL},
	    {"too many", &texts, {"a", "b", "c", "d"}, CLI_TOO_LONG, NULL},
	    {"an empty one among others", &texts, {"a", ""}, CLI_INVALID, NULL},
	    {"a bad one", &texts, {"a", "123456789"}, CLI_TOO_LONG, NULL},
	    {"empty list", &texts, {""}, CLI_OK, ""},
	    {"list in its order", &texts, {"b", "a c"}, CLI_OK, "b|a c"},
	    {"pairs and prefixes", &nets, {"10.0.0.0/8", "10.0.0.0", "255.0.0.0"}, CLI_DUPLICATE, NULL},
	    {"list of both forms",
	     &nets,
	     {"10.0.0.0/8", "11.0.0.0", "255.0.0.0"},
	     CLI_OK,
	     "10.0.0.0 255.0.0.0|11.0.0.0 255.0.0.0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packed p = {NULL, 0, 0};
		struct err e = ERR_NONE;
		char joined[128] = "";
		const char *v = NULL;
		size_t n = 0;

		while (n < 5 && cases[i].words[n])
			n++;
		print_message("  %s\n", cases[i].what);
		assert_int_equal(value_pack(cases[i].attr, cases[i].words, n, &p, &e), cases[i].rc);
		if (cases[i].rc) {
			assert_null(p.text);
			assert_int_equal(e.code, cases[i].rc);
			assert_true(strlen(e.text) > 10);
			continue;
		}
		while ((v = value_next(p.text, p.size, v)))
			sprintf(joined + strlen(joined), "%s%s", *joined ? "|" : "", v);
		assert_string_equal(joined, cases[i].packed);
		free(p.text);
	}
}

static void
passwords_that_are_hashed(void **state)
{
	static const struct schema_attr hashed = {
	    .name = "p", .type = ATTR_PASSWORD, .max_length = 128, .secret = true, .hashed = true};
	static const struct {
		const char *what, *words[2];
		size_t n;
		int rc;
		const char *stored; /* NULL: a hash */
	} cases[] = {
	    {"in clear", {"Local-Admin-7"}, 1, CLI_OK, NULL},
	    {"a hash", {"ENC", "$y$j9T$abc"}, 2, CLI_OK, "ENC $y$j9T$abc"},
	    {"as it is stored", {"ENC $y$j9T$abc"}, 1, CLI_OK, "ENC $y$j9T$abc"},
	    {"another vendor's hash", {"ENC", "SH2abc"}, 2, CLI_OK, "ENC SH2abc"},
	    {"none", {""}, 1, CLI_OK, ""},
	    {"the mark alone is a password", {"ENC"}, 1, CLI_OK, NULL},
	    {"the mask", {"ENC", "***"}, 2, CLI_INVALID, ""},
	    {"a control character", {"a\x01"}, 1, CLI_INVALID, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packed p = {0};
		struct err e = ERR_NONE;
		int rc = value_pack(&hashed, cases[i].words, cases[i].n, &p, &e);

		if (rc != cases[i].rc)
			fail_msg("%s: %d %s", cases[i].what, rc, e.text);
		if (rc == CLI_OK && cases[i].stored && strcmp(p.text, cases[i].stored) != 0)
			fail_msg("%s: \"%s\"", cases[i].what, p.text);
		if (rc == CLI_OK && !cases[i].stored &&
		    (strncmp(p.text, "ENC $y$", 7) != 0 || !password_matches(cases[i].words[0], p.text + 4)))
			fail_msg("%s: \"%s\"", cases[i].what, p.text);
		free(p.text);
	}
}

static void
secrets_are_not_in_reasons(void **state)
{
	const char *words[] = {"hunter2", "hunter3"}, *bad[] = {"hunter\x01"};
	struct packed p;
	struct err e;

	(void)state;
	assert_int_equal(value_pack(&password, words, 2, &p, &e), CLI_PARSE);
	assert_null(strstr(e.text, "hunter"));
	assert_int_equal(value_pack(&password, bad, 1, &p, &e), CLI_INVALID);
	assert_null(strstr(e.text, "hunter"));
}

static void
keys_are_never_empty(void **state)
{
	char *key = NULL;

	(void)state;
	assert_int_equal(value_key(&text8, "", &key, NULL), CLI_INVALID);
	assert_int_equal(value_key(&text8, "a\nb", &key, NULL), CLI_INVALID);
	assert_int_equal(value_key(&text8, "123456789", &key, NULL), CLI_TOO_LONG);
	assert_int_equal(value_key(&number, "x", &key, NULL), CLI_INVALID);
	assert_null(key);
	assert_int_equal(value_key(&number, "042", &key, NULL), CLI_OK);
	assert_string_equal(key, "42");
	free(key);
}

static void
defaults_are_recognised(void **state)
{
	struct schema_attr a = text8;
	char empty[] = "", x[] = "x";

	(void)state;
	assert_true(value_is_default(&a, &(struct packed){empty, 1, 1}));
	assert_false(value_is_default(&a, &(struct packed){x, 2, 1}));
	a.fallback = "x";
	a.fallback_size = 2;
	a.fallback_count = 1;
	assert_true(value_is_default(&a, &(struct packed){x, 2, 1}));
	assert_false(value_is_default(&a, &(struct packed){empty, 1, 1}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_are_checked_and_canonical), cmocka_unit_test(passwords_that_are_hashed),
	    cmocka_unit_test(secrets_are_not_in_reasons),       cmocka_unit_test(keys_are_never_empty),
	    cmocka_unit_test(defaults_are_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
