#include "config/format.h"

#include <errno.h>

#include "config_world.h"

static void
words_have_one_canonical_form(void **state)
{
	static const struct {
		const char *what;
		enum attr_format format;
		const char *word, *canonical; /* NULL: not of the form */
	} cases[] = {
	    {"no port", FORMAT_PORT_RANGE, "", NULL},
	    {"port beyond the last", FORMAT_PORT_RANGE, "65536", NULL},
	    {"signed port", FORMAT_PORT_RANGE, "+80", NULL},
	    {"ports with a blank", FORMAT_PORT_RANGE, "80 -90", NULL},
	    {"ports the wrong way round", FORMAT_PORT_RANGE, "90-80", NULL},
	    {"range without an end", FORMAT_PORT_RANGE, "80-", NULL},
	    {"three ports", FORMAT_PORT_RANGE, "1-2-3", NULL},
	    {"no source", FORMAT_PORT_RANGE, "80:", NULL},
	    {"no destination", FORMAT_PORT_RANGE, ":80", NULL},
	    {"two sources", FORMAT_PORT_RANGE, "80:1:2", NULL},
	    {"port of many digits", FORMAT_PORT_RANGE, "000000000000000000000080", NULL},
	    {"port", FORMAT_PORT_RANGE, "80", "80"},
	    {"port with zeros", FORMAT_PORT_RANGE, "080", "80"},
	    {"range of one", FORMAT_PORT_RANGE, "80-80", "80"},
	    {"range", FORMAT_PORT_RANGE, "0-65535", "0-65535"},
	    {"range with a source", FORMAT_PORT_RANGE, "80-90:1024-65535", "80-90:1024-65535"},

	    {"ports with a source", FORMAT_PORTS, "80:80", NULL},
	    {"ports", FORMAT_PORTS, "80-090", "80-90"},

	    {"no time", FORMAT_TIME, "", NULL},
	    {"hour 24", FORMAT_TIME, "24:00", NULL},
	    {"minute 60", FORMAT_TIME, "02:60", NULL},
	    {"hour alone", FORMAT_TIME, "02", NULL},
	    {"minute missing", FORMAT_TIME, "02:", NULL},
	    {"seconds", FORMAT_TIME, "02:00:00", NULL},
	    {"three digits", FORMAT_TIME, "002:00", NULL},
	    {"time", FORMAT_TIME, "23:59", "23:59"},
	    {"short time", FORMAT_TIME, "8:5", "08:05"},
	    {"random minute", FORMAT_UPDATE_TIME, "2:60", "02:60"},
	    {"beyond it", FORMAT_UPDATE_TIME, "02:61", NULL},

	    {"no UUID", FORMAT_UUID, "", NULL},
	    {"UUID in braces", FORMAT_UUID, "{51f2b2c4-1c1a-51ee-a1b2-0123456789ab}", NULL},
	    {"UUID with another letter", FORMAT_UUID, "51f2b2c4-1c1a-51ee-a1b2-0123456789ag", NULL},
	    {"UUID with a dash out of place", FORMAT_UUID, "51f2b2c41-c1a-51ee-a1b2-0123456789ab", NULL},
	    {"UUID", FORMAT_UUID, "51F2b2c4-1c1a-51ee-a1b2-0123456789aB", "51f2b2c4-1c1a-51ee-a1b2-0123456789ab"},

	    {"no name", FORMAT_FQDN, "", NULL},
	    {"dot alone", FORMAT_FQDN, ".", NULL},
	    {"dot at the end", FORMAT_FQDN, "example.", NULL},
	    {"empty label", FORMAT_FQDN, "a..b", NULL},
	    {"dash in front", FORMAT_FQDN, "-a.example", NULL},
	    {"dash behind", FORMAT_FQDN, "a-.example", NULL},
	    {"address as a name", FORMAT_FQDN, "192.0.2.1", NULL},
	    {"slash", FORMAT_FQDN, "a/b", NULL},
	    {"star inside", FORMAT_FQDN, "a.*.example", NULL},
	    {"star alone", FORMAT_FQDN, "*", NULL},
	    {"label too long", FORMAT_FQDN, "a123456789012345678901234567890123456789012345678901234567890123", NULL},
	    {"name", FORMAT_FQDN, "www.Example.com", "www.Example.com"},
	    {"one label", FORMAT_FQDN, "server_1", "server_1"},
	    {"star", FORMAT_FQDN, "*.example.com", "*.example.com"},
	    {"longest label", FORMAT_FQDN, "a12345678901234567890123456789012345678901234567890123456789012",
	     "a12345678901234567890123456789012345678901234567890123456789012"},

	    {"name for an address", FORMAT_ADDRESS, "example", NULL},
	    {"IPv4 address", FORMAT_ADDRESS, "192.0.2.1", "192.0.2.1"},
	    {"IPv6 address", FORMAT_ADDRESS, "2001:DB8::", "2001:db8::"},

	    {"host with a star", FORMAT_HOST, "*.example.com", NULL},
	    {"host that is a prefix", FORMAT_HOST, "192.0.2.0/24", NULL},
	    {"half an address", FORMAT_HOST, "192.0.2", NULL},
	    {"host name", FORMAT_HOST, "log.example", "log.example"},
	    {"host address", FORMAT_HOST, "192.0.2.1", "192.0.2.1"},
	    {"host address of IPv6", FORMAT_HOST, "2001:DB8:0::1", "2001:db8::1"},

	    {"line feed in a line", FORMAT_LINE, "a\nb", NULL},
	    {"tabulator at its end", FORMAT_LINE, "a\t", NULL},
	    {"line", FORMAT_LINE, " B\xc3\xbcro 1 ", " B\xc3\xbcro 1 "},

	    {"range of IPv6", FORMAT_IPV4_RANGE, "2001:db8::1", NULL},
	    {"addresses the wrong way round", FORMAT_IPV4_RANGE, "10.0.0.9-10.0.0.1", NULL},
	    {"address without an end", FORMAT_IPV4_RANGE, "10.0.0.9-", NULL},
	    {"mixed families", FORMAT_IPV4_RANGE, "10.0.0.9-::1", NULL},
	    {"address", FORMAT_IPV4_RANGE, "10.0.0.9", "10.0.0.9"},
	    {"addresses", FORMAT_IPV4_RANGE, "10.0.0.9-10.0.1.1", "10.0.0.9-10.0.1.1"},

	    {"MAC address with dashes", FORMAT_MAC_RANGE, "00-11-22-33-44-55", NULL},
	    {"MAC addresses the wrong way round", FORMAT_MAC_RANGE, "00:11:22:33:44:56-00:11:22:33:44:55", NULL},
	    {"MAC address cut short", FORMAT_MAC_RANGE, "00:11:22:33:44", NULL},
	    {"MAC address", FORMAT_MAC_RANGE, "00:11:22:33:44:5A", "00:11:22:33:44:5a"},
	    {"MAC addresses", FORMAT_MAC_RANGE, "00:11:22:33:44:00-00:11:22:33:44:FF",
	     "00:11:22:33:44:00-00:11:22:33:44:ff"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[FORMAT_TEXT] = "untouched", again[FORMAT_TEXT];
		int rc = format_canonical(cases[i].format, cases[i].word, text);

		print_message("  %s\n", cases[i].what);
		if (!cases[i].canonical) {
			bool address = cases[i].format == FORMAT_IPV4_RANGE || cases[i].format == FORMAT_ADDRESS;

			assert_int_equal(rc, address ? CLI_BAD_ADDRESS : CLI_INVALID);
			assert_string_equal(text, "untouched");
			continue;
		}
		assert_int_equal(rc, CLI_OK);
		assert_string_equal(text, cases[i].canonical);
		assert_int_equal(format_canonical(cases[i].format, text, again), CLI_OK);
		assert_string_equal(again, text);
	}
}

/* Longer than any canonical text. */
static void
long_words_are_refused(void **state)
{
	char word[4 * FORMAT_TEXT], text[FORMAT_TEXT];
	static const char *const fill[] = {"1", "a", "a.", ":", "-", "0:", "1-"};

	(void)state;
	for (enum attr_format f = FORMAT_ADDRESS; f <= FORMAT_UUID; f++) {
		for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
			size_t step = strlen(fill[i]), used = 0;

			for (; used + step < sizeof(word); used += step)
				memcpy(word + used, fill[i], step);
			word[used] = '\0';
			assert_int_not_equal(format_canonical(f, word, text), CLI_OK);
		}
	}
}

static void
formats_have_names(void **state)
{
	static const struct {
		const char *name;
		enum attr_format format;
		bool quoted;
	} cases[] = {
	    {"text", FORMAT_FREE, true},
	    {"line", FORMAT_LINE, true},
	    {"fqdn", FORMAT_FQDN, true},
	    {"host", FORMAT_HOST, true},
	    {"ipv4-range", FORMAT_IPV4_RANGE, false},
	    {"mac-range", FORMAT_MAC_RANGE, true},
	    {"port-range", FORMAT_PORT_RANGE, false},
	    {"ports", FORMAT_PORTS, false},
	    {"time", FORMAT_TIME, false},
	    {"update-time", FORMAT_UPDATE_TIME, false},
	    {"uuid", FORMAT_UUID, false},
	};
	enum attr_format f = FORMAT_UUID;

	(void)state;
	assert_int_equal(format_find("regex", &f), -ENOENT);
	assert_int_equal(format_find("", &f), -ENOENT);
	assert_int_equal(f, FORMAT_UUID);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(format_find(cases[i].name, &f), 0);
		assert_int_equal(f, cases[i].format);
		assert_int_equal(format_is_quoted(f), cases[i].quoted);
		assert_true(*format_expected(f));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_have_one_canonical_form),
	    cmocka_unit_test(long_words_are_refused),
	    cmocka_unit_test(formats_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
