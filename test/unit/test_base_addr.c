/* base/addr: what is no address, masks and prefixes at their edges. */
#include "base/addr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

typedef int parse_fn(const char *s, struct addr *out);

/* None of the texts parses, and each leaves the output alone. */
static void
assert_refused(parse_fn *parse, const char *const texts[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct addr a, before;

		memset(&a, 0x5a, sizeof(a));
		before = a;
		if (parse(texts[i], &a) != -EINVAL)
			fail_msg("'%s' was taken", texts[i]);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void
no_host(void **state)
{
	static const char *const texts[] = {
	    "",
	    " ",
	    "1",
	    "1.2.3",
	    "1.2.3.4.5",
	    "256.1.1.1",
	    "01.2.3.4",
	    "1.2.3.04",
	    "1.2.3.4 ",
	    " 1.2.3.4",
	    "1.2.3.4/32",
	    "1..2.3",
	    "0x1.2.3.4",
	    "1.2.3.-4",
	    ":",
	    ":::",
	    "1:2",
	    "g::",
	    "::1%eth0",
	    "::1/128",
	    "1::2::3",
	    "12345::",
	    "[::1]",
	    "fmg.example",
	    "::1.2.3.256",
	    "1:2:3:4:5:6:7:8:9",
	};

	(void)state;
	assert_refused(addr_parse_host, texts, sizeof(texts) / sizeof(texts[0]));
}

static void
no_prefix(void **state)
{
	static const char *const texts[] = {
	    "",
	    "/",
	    "1.2.3.4",
	    "1.2.3.4/",
	    "1.2.3.4/33",
	    "1.2.3.4/-1",
	    "1.2.3.4/+1",
	    "1.2.3.4/ 1",
	    "1.2.3.4/8/",
	    "1.2.3/8",
	    "::/129",
	    "::/",
	    "/8",
	    "1.2.3.4/0x8",
	    "::/99999999999999999999",
	    "0000000000000000000000000000000000000000000000000000000000000000:1::/64",
	};

	(void)state;
	assert_refused(addr_parse_prefix, texts, sizeof(texts) / sizeof(texts[0]));
}

static void
no_mask(void **state)
{
	static const char *const masks[] = {
	    "",   "255.0.255.0", "0.0.0.255", "255.255.255.253", "0.255.255.255", "128.0.0.1", "255.255.255.256",
	    "24", "::"};
	static const char *const both[] = {
	    "",
	    "1.2.3.4",
	    "1.2.3.4 ",
	    " 255.0.0.0",
	    "1.2.3.4  255.0.0.0",
	    "1.2.3.4 255.0.255.0",
	    "1.2.3.4 255.0.0.0 ",
	    "1.2.3.4/255.0.0.0",
	    "::1 255.0.0.0",
	    "1.2.3.4 8",
	    "00000000000000000000000000000000000000000000000000000000000000000.1.1.1 255.0.0.0",
	};
	uint8_t prefix = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		if (addr_parse_mask(masks[i], &prefix) != -EINVAL)
			fail_msg("'%s' was taken", masks[i]);
	}
	assert_int_equal(prefix, 77);
	assert_refused(addr_parse_and_mask, both, sizeof(both) / sizeof(both[0]));
}

static void
every_mask(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits <= 32; bits++) {
		struct addr a = {.family = AF_INET, .bytes = {192, 0, 2, 1}, .prefix = (uint8_t)bits}, back;
		char text[ADDR_TEXT];
		uint8_t prefix = 77;

		addr_and_mask(text, &a);
		assert_int_equal(addr_parse_and_mask(text, &back), 0);
		assert_true(addr_equal(&a, &back));
		assert_int_equal(addr_parse_mask(strchr(text, ' ') + 1, &prefix), 0);
		assert_int_equal(prefix, bits);
		addr_cidr(text, &a);
		assert_int_equal(addr_parse_prefix(text, &back), 0);
		assert_true(addr_equal(&a, &back));
	}
}

static void
there_and_back(void **state)
{
	static const struct {
		const char *what, *text;
		int family;
		unsigned prefix;
		const char *host, *cidr;
		bool any;
	} rows[] = {
	    {"v4", "192.0.2.1/24", AF_INET, 24, "192.0.2.1", "192.0.2.1/24", false},
	    {"v4 none", "0.0.0.0/0", AF_INET, 0, "0.0.0.0", "0.0.0.0/0", true},
	    {"v4 all ones", "255.255.255.255/32", AF_INET, 32, "255.255.255.255", "255.255.255.255/32", false},
	    {"v6", "2001:DB8:0::1/64", AF_INET6, 64, "2001:db8::1", "2001:db8::1/64", false},
	    {"v6 none", "::/0", AF_INET6, 0, "::", "::/0", true},
	    {"v6 last bit", "::1/128", AF_INET6, 128, "::1", "::1/128", false},
	    {"v4 in v6", "::ffff:192.0.2.1/96", AF_INET6, 96, "::ffff:192.0.2.1", "::ffff:192.0.2.1/96", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[ADDR_TEXT];
		struct addr a, host;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(addr_parse_prefix(rows[i].text, &a), 0);
		assert_int_equal(a.family, rows[i].family);
		assert_int_equal(a.prefix, rows[i].prefix);
		assert_string_equal(addr_host(text, &a), rows[i].host);
		assert_int_equal(addr_parse_host(text, &host), 0);
		assert_int_equal(host.prefix, a.family == AF_INET ? 32 : 128);
		assert_true(addr_same_host(&a, &host));
		assert_string_equal(addr_cidr(text, &a), rows[i].cidr);
		assert_int_equal(addr_is_any(&a), rows[i].any);
	}
}

static void
no_address_is_empty_text(void **state)
{
	const struct addr none = {.family = 0};
	char text[ADDR_TEXT] = "x";

	(void)state;
	assert_string_equal(addr_host(text, &none), "");
}

static void
equality(void **state)
{
	static const struct {
		const char *what, *a, *b;
		bool host, equal;
	} rows[] = {
	    {"another length", "192.0.2.1/24", "192.0.2.1/25", true, false},
	    {"another host", "192.0.2.1/24", "192.0.2.2/24", false, false},
	    {"another version, same bytes", "0.0.0.0/0", "::/0", false, false},
	    {"last byte of v6", "2001:db8::1/64", "2001:db8::2/64", false, false},
	    {"the same", "2001:db8::1/64", "2001:db8:0::1/64", true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a, b;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(addr_parse_prefix(rows[i].a, &a), 0);
		assert_int_equal(addr_parse_prefix(rows[i].b, &b), 0);
		assert_int_equal(addr_same_host(&a, &b), rows[i].host);
		assert_int_equal(addr_equal(&a, &b), rows[i].equal);
	}
	/* bytes beyond an IPv4 address say nothing */
	assert_true(addr_same_host(&(struct addr){.family = AF_INET, .bytes = {1, 2, 3, 4, 5}},
				   &(struct addr){.family = AF_INET, .bytes = {1, 2, 3, 4, 6}}));
	assert_true(addr_is_any(&(struct addr){.family = AF_INET, .bytes = {0, 0, 0, 0, 5}}));
}

static void
coverage(void **state)
{
	static const struct {
		const char *what, *net, *host;
		bool covers;
	} rows[] = {
	    {"first beyond", "192.0.2.128/25", "192.0.3.0", false},
	    {"last before", "192.0.2.128/25", "192.0.2.127", false},
	    {"first", "192.0.2.128/25", "192.0.2.128", true},
	    {"last", "192.0.2.128/25", "192.0.2.255", true},
	    {"other version", "0.0.0.0/0", "::1", false},
	    {"everything", "0.0.0.0/0", "255.255.255.255", true},
	    {"one host", "192.0.2.1/32", "192.0.2.1", true},
	    {"its neighbour", "192.0.2.1/32", "192.0.2.0", false},
	    {"whole bytes", "10.0.0.0/8", "10.255.0.1", true},
	    {"not whole bytes", "10.0.0.0/9", "10.128.0.0", false},
	    {"one v6 host", "2001:db8::1/128", "2001:db8::1", true},
	    {"its neighbour, v6", "2001:db8::1/128", "2001:db8::", false},
	    {"127 bits", "2001:db8::2/127", "2001:db8::3", true},
	    {"everything v6", "::/0", "ffff::", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr net, host;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(addr_parse_prefix(rows[i].net, &net), 0);
		assert_int_equal(addr_parse_host(rows[i].host, &host), 0);
		assert_int_equal(addr_covers(&net, &host), rows[i].covers);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_host),    cmocka_unit_test(no_prefix),      cmocka_unit_test(no_mask),
	    cmocka_unit_test(every_mask), cmocka_unit_test(there_and_back), cmocka_unit_test(no_address_is_empty_text),
	    cmocka_unit_test(equality),   cmocka_unit_test(coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
