/* agent/fetch_request: what is a source, what is none, and the command line it becomes. */
#include "agent/fetch_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define PIN "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct fetch_spec
of_kind(enum fetch_kind kind)
{
	return (struct fetch_spec){
	    .kind = kind, .server = "192.0.2.1", .file = "f", .url = "https://192.0.2.1/", .max_bytes = 1000};
}

static void
urls(void **state)
{
	static const struct {
		const char *url;
		int rc;
		const char *host;
		int family;
		unsigned port;
		const char *path;
	} cases[] = {
	    {"https://192.0.2.1/x", 0, "192.0.2.1", AF_INET, 443, "/x"},
	    {"https://192.0.2.1", 0, "192.0.2.1", AF_INET, 443, "/"},
	    {"https://192.0.2.1?a=b", 0, "192.0.2.1", AF_INET, 443, "/?a=b"},
	    {"https://[2001:db8::1]:8443/x?y=%41&z=[1-3]", 0, "2001:db8::1", AF_INET6, 8443, "/x?y=%41&z=[1-3]"},
	    {"https://a-b.example_c.org:65535/", 0, "a-b.example_c.org", 0, 65535, "/"},
	    {"https://a.1b/", 0, "a.1b", 0, 443, "/"},
	    {"", -EINVAL, NULL, 0, 0, NULL},
	    {"http://192.0.2.1/", -EINVAL, NULL, 0, 0, NULL},
	    {"HTTPS://192.0.2.1/", -EINVAL, NULL, 0, 0, NULL},
	    {" https://192.0.2.1/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://", -EINVAL, NULL, 0, 0, NULL},
	    {"https:///x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://:443/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a:/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a:0/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a:65536/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a:+1/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a:1:2/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://u@a/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://u:p@a/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/x#y", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/x y", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/x\ty", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/x\ny", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/\xc3\xa4", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a/{b,c}", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a\\@b/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://[2001:db8::1/x", -EINVAL, NULL, 0, 0, NULL},
	    {"https://[2001:db8::1]x/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://[192.0.2.1]/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://[a]/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://2001:db8::1/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://127.1/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://2130706433/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://192.0.2.01/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a./", -EINVAL, NULL, 0, 0, NULL},
	    {"https://.a/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a..b/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://-a/", -EINVAL, NULL, 0, 0, NULL},
	    {"https://a%2fb/", -EINVAL, NULL, 0, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fetch_spec s = of_kind(FETCH_HTTPS_URL);
		struct fetch_request r;
		struct err e = ERR_NONE;
		int rc;

		s.url = cases[i].url;
		rc = fetch_request_init(&r, &s, &e);
		if (rc != cases[i].rc || (rc && !e.text[0]))
			fail_msg("\"%s\": %d %s", cases[i].url, rc, e.text);
		if (!rc && (strcmp(r.host, cases[i].host) != 0 || r.addr.family != cases[i].family ||
			    r.port != cases[i].port || strcmp(r.path, cases[i].path) != 0))
			fail_msg("\"%s\": %s %d %u %s", cases[i].url, r.host, r.addr.family, r.port, r.path);
	}
}

/* As long as allowed, and longer: every part has a bound of its own. */
static void
lengths(void **state)
{
	char text[2 * FETCH_URL_MAX], host[FETCH_HOST_MAX + 2];
	struct fetch_request r;
	struct fetch_spec s = of_kind(FETCH_HTTPS_URL);
	struct err e = ERR_NONE;
	size_t n;

	(void)state;
	memset(host, 'h', sizeof(host));
	host[FETCH_HOST_MAX] = '\0';
	n = (size_t)snprintf(text, sizeof(text), "https://%s:65535/", host);
	memset(text + n, 'x', sizeof(text) - n);
	text[FETCH_URL_MAX] = '\0';
	s.url = text;
	assert_int_equal(fetch_request_init(&r, &s, &e), 0);
	assert_string_equal(r.host, host);
	text[FETCH_URL_MAX] = 'x';
	text[FETCH_URL_MAX + 1] = '\0';
	assert_int_equal(fetch_request_init(&r, &s, &e), -EINVAL);
	snprintf(text, sizeof(text), "https://%sh/", host);
	assert_int_equal(fetch_request_init(&r, &s, &e), -EINVAL);
	s = of_kind(FETCH_TFTP);
	memset(text, '%', FETCH_FILE_MAX + 1);
	text[FETCH_FILE_MAX] = '\0';
	s.file = text;
	assert_int_equal(fetch_request_init(&r, &s, &e), 0);
	assert_int_equal(strlen(r.path), 1 + 3 * FETCH_FILE_MAX);
	text[FETCH_FILE_MAX] = '%';
	text[FETCH_FILE_MAX + 1] = '\0';
	assert_int_equal(fetch_request_init(&r, &s, &e), -EINVAL);
	s = of_kind(FETCH_MANAGER);
	memset(text, '9', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	s.has.av = text;
	assert_int_equal(fetch_request_init(&r, &s, &e), -EINVAL);
}

static void
sources(void **state)
{
	static const struct {
		const char *what;
		struct fetch_spec s;
		int rc;
		const char *name, *path, *pin;
	} cases[] = {
	    {"a manager",
	     {.kind = FETCH_MANAGER,
	      .server = "192.0.2.1",
	      .port = 8890,
	      .serial = "FMG-VM0000000001",
	      .pin = PIN,
	      .max_bytes = 1,
	      .has = {.serial = "FGVM01", .os = "7.2.4", .build = "1396", .av = "90.00001", .ips = "19.00264"}},
	     0,
	     "FMG-VM0000000001",
	     "/fdsupdate?serial=FGVM01&os_ver=7.2.4&build=1396&avdb=90.00001&ipsdb=19.00264",
	     "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
	    {"a server", {.kind = FETCH_SERVER, .server = "updates.example", .max_bytes = 1}, 0, "", "/fdsupdate", ""},
	    {"some of it",
	     {.kind = FETCH_SERVER, .server = "a", .max_bytes = 1, .has = {.os = "", .ips = "1"}},
	     0,
	     "",
	     "/fdsupdate?ipsdb=1",
	     ""},
	    {"no limit", {.kind = FETCH_SERVER, .server = "a"}, -EINVAL, NULL, NULL, NULL},
	    {"no server", {.kind = FETCH_SERVER, .max_bytes = 1}, -EINVAL, NULL, NULL, NULL},
	    {"an option", {.kind = FETCH_SERVER, .server = "--help", .max_bytes = 1}, -EINVAL, NULL, NULL, NULL},
	    {"more of the query",
	     {.kind = FETCH_SERVER, .server = "a", .max_bytes = 1, .has = {.av = "1&x"}},
	     -EINVAL,
	     NULL,
	     NULL,
	     NULL},
	    {"a short key",
	     {.kind = FETCH_SERVER, .server = "a", .max_bytes = 1, .pin = "00"},
	     -EINVAL,
	     NULL,
	     NULL,
	     NULL},
	    {"no hex",
	     {.kind = FETCH_SERVER, .server = "a", .max_bytes = 1, .pin = "x" PIN},
	     -EINVAL,
	     NULL,
	     NULL,
	     NULL},
	    {"a serial number with more",
	     {.kind = FETCH_SERVER, .server = "a", .max_bytes = 1, .serial = "a:443:b"},
	     -EINVAL,
	     NULL,
	     NULL,
	     NULL},
	    {"an unknown kind", {.kind = (enum fetch_kind)9, .server = "a", .max_bytes = 1}, -EINVAL, NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fetch_request r;
		struct err e = ERR_NONE;
		int rc = fetch_request_init(&r, &cases[i].s, &e);

		if (rc != cases[i].rc || (rc && !e.text[0]))
			fail_msg("%s: %d %s", cases[i].what, rc, e.text);
		if (!rc && (strcmp(r.name, cases[i].name) != 0 || strcmp(r.path, cases[i].path) != 0 ||
			    strcmp(r.pin, cases[i].pin) != 0))
			fail_msg("%s: %s %s %s", cases[i].what, r.name, r.path, r.pin);
	}
}

/* Words between blanks, as they would be typed. */
static const char *
line_of(const struct fetch_spec *s, const struct fetch_way *way)
{
	static char line[4096];
	struct fetch_request r;
	struct fetch_words w;
	struct err e = ERR_NONE;
	size_t used = 0;

	assert_int_equal(fetch_request_init(&r, s, &e), 0);
	fetch_request_words(&r, "curl", way, &w);
	assert_true(w.count < FETCH_WORDS);
	assert_null(w.argv[w.count]);
	for (size_t i = 0; i < w.count; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s ", w.argv[i]);
	return line;
}

#define ALWAYS                                                                                                         \
	"curl --disable --silent --write-out %{stderr}%{errormsg} --globoff --no-buffer --noproxy * "                  \
	"--user-agent fgfmd/" VERSION " --connect-timeout 15 --max-filesize 1000 "
#define HTTPS "--proto =https --http1.1 --tlsv1.2 --dump-header - "

static void
command_lines(void **state)
{
	struct addr addrs[2];
	struct fetch_way way = {.addrs = addrs, .count = 2, .relay_port = 4711};
	struct fetch_spec s = of_kind(FETCH_TFTP);

	(void)state;
	addr_parse_host("192.0.2.1", &addrs[0]);
	addr_parse_host("2001:db8::1", &addrs[1]);
	s.file = "a b%/c.pkg";
	assert_string_equal(line_of(&s, &way),
			    ALWAYS "--proto =tftp --interface host!127.0.0.1 --tftp-blksize 1428 --output - "
				   "--url tftp://127.0.0.1:4711/a%20b%25%2Fc.pkg ");
	s = of_kind(FETCH_HTTPS_URL);
	s.url = "https://[2001:db8::1]/x";
	assert_string_equal(line_of(&s, &way), ALWAYS HTTPS "--cacert /proc/self/fd/0 --capath /usr/lib --output - "
							    "--url https://[2001:db8::1]:443/x ");
	s.url = "https://a.example/x";
	assert_string_equal(line_of(&s, &way),
			    ALWAYS HTTPS "--resolve a.example:443:192.0.2.1,[2001:db8::1] --cacert /proc/self/fd/0 "
					 "--capath /usr/lib --output - --url https://a.example:443/x ");
	s = of_kind(FETCH_MANAGER);
	s.port = 8890;
	s.serial = "FMG-VM0000000001";
	s.pin = PIN;
	way.count = 1;
	assert_string_equal(line_of(&s, &way),
			    ALWAYS HTTPS "--resolve FMG-VM0000000001:8890:192.0.2.1 --cacert /proc/self/fd/0 --capath "
					 "/usr/lib --output - --url https://FMG-VM0000000001:8890/fdsupdate ");
	way.by_pin = true;
	assert_string_equal(line_of(&s, &way),
			    ALWAYS HTTPS "--resolve FMG-VM0000000001:8890:192.0.2.1 --insecure --pinnedpubkey "
					 "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= --output - "
					 "--url https://FMG-VM0000000001:8890/fdsupdate ");
}

/* The longest of everything still fits. */
static void
longest_line(void **state)
{
	char host[FETCH_HOST_MAX + 1], path[FETCH_URL_MAX + 1];
	struct addr addrs[FETCH_ADDRS + 4];
	struct fetch_way way = {.addrs = addrs, .count = FETCH_ADDRS + 4};
	struct fetch_spec s = of_kind(FETCH_HTTPS_URL);
	struct fetch_request r;
	struct fetch_words w;
	struct err e = ERR_NONE;
	size_t n;

	(void)state;
	for (size_t i = 0; i < FETCH_ADDRS + 4; i++)
		addr_parse_host("2001:db8:1111:2222:3333:4444:5555:6666", &addrs[i]);
	memset(host, 'h', sizeof(host));
	host[FETCH_HOST_MAX] = '\0';
	n = (size_t)snprintf(path, sizeof(path), "https://%s:65535/", host);
	memset(path + n, 'x', sizeof(path) - n);
	path[FETCH_URL_MAX] = '\0';
	s.url = path;
	assert_int_equal(fetch_request_init(&r, &s, &e), 0);
	fetch_request_words(&r, "curl", &way, &w);
	assert_string_equal(w.url, path);
	n = strlen(w.resolve);
	assert_string_equal(w.resolve + n - 6, ":6666]");
	n = 0;
	for (const char *p = w.resolve; (p = strstr(p, "[2001")); p++)
		n++;
	assert_int_equal(n, FETCH_ADDRS);
}

static void
ends(void **state)
{
	static const struct {
		int status, rc;
		const char *said, *want;
	} cases[] = {
	    {60, -EACCES, "SSL certificate problem", "SSL certificate problem"},
	    {90, -EACCES, "x", "another key than the trusted list has"},
	    {68, -ENOENT, "x", "the server has no such file"},
	    {71, -EIO, "x", "the server refuses"},
	    {63, -EFBIG, "x", "more than 1000 bytes"},
	    {28, -ETIMEDOUT, "x", "no connection within 15 s"},
	    {7, -EIO, "Failed to connect", "Failed to connect"},
	    {127, -EIO, "", "curl ended with status 127"},
	};

	const struct fetch_request r = {.max_bytes = 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_NONE;

		assert_int_equal(fetch_request_judge(&r, cases[i].status, cases[i].said, &e), cases[i].rc);
		assert_string_equal(e.text, cases[i].want);
		assert_int_equal(fetch_request_other_key(cases[i].status), cases[i].status == 90);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls),          cmocka_unit_test(lengths),      cmocka_unit_test(sources),
	    cmocka_unit_test(command_lines), cmocka_unit_test(longest_line), cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
