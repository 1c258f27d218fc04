/* agent/message: every rule of the text broken, every bound on both sides, and messages built and read again. */
#include "agent/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

/* A body of its exact size on the heap, so that a sanitizer sees each byte read beyond it. */
struct body {
	uint8_t *p;
	size_t len;
};

static struct body
body_of(const void *bytes, size_t len)
{
	struct body b = {malloc(len ? len : 1), len};

	assert_non_null(b.p);
	memcpy(b.p, bytes, len);
	return b;
}

/* `text` with its NUL. */
static struct body
body_of_text(const char *text)
{
	return body_of(text, strlen(text) + 1);
}

/* A message of `lines`, in which "@" stands for `n` times the letter x. */
static struct body
stretched(const char *lines, size_t n)
{
	const char *at = strchr(lines, '@');
	char *text = malloc(strlen(lines) + n + 1);
	struct body b;
	size_t before;

	assert_non_null(at);
	assert_non_null(text);
	before = (size_t)(at - lines);
	memcpy(text, lines, before);
	memset(text + before, 'x', n);
	strcpy(text + before + n, at + 1);
	b = body_of_text(text);
	free(text);
	return b;
}

/* Parses and expects a refusal that says all three. */
static void
assert_refused(struct body b, const char *where, const char *expected, const char *got)
{
	struct message m, before;
	struct err e = ERR_NONE;

	memset(&m, 0x5a, sizeof(m));
	before = m;
	assert_int_equal(message_parse(b.p, b.len, &m, &e), -EPROTO);
	assert_int_equal(e.code, -EPROTO);
	if (!strstr(e.text, where) || !strstr(e.text, expected) || !strstr(e.text, got))
		fail_msg("'%s' does not say '%s', '%s', '%s'", e.text, where, expected, got);
	for (const char *p = e.text; *p; p++)
		assert_in_range(*p, ' ', '~');
	assert_memory_equal(&m, &before, sizeof(m));
	free(b.p);
}

static void
malformed(void **state)
{
	static const struct {
		const char *what, *text;
		size_t len; /* 0: the text with its NUL */
		const char *where, *expected, *got;
	} rows[] = {
	    {"no NUL", "get auth\r\n\r\n", 12, "text", "a NUL within 16385 bytes", "none in 12"},
	    {"one byte", "g", 1, "text", "a NUL", "none in 1"},
	    {"only the NUL", "", 0, "message", "a verb", "an empty text"},
	    {"only an empty line", "\r\n", 0, "message", "a verb", "an empty text"},
	    {"capitals", "GET auth\r\n", 0, "verb", "a word of at most 32", "\"GET\""},
	    {"no verb before the argument", " auth\r\n", 0, "verb", "a word", "\"\""},
	    {"two arguments", "get a b\r\n", 0, "argument", "one word of at most 64", "\"a b\""},
	    {"two spaces", "get  a\r\n", 0, "argument", "one word", "\" a\""},
	    {"a path", "get ../../x\r\n", 0, "argument", "one word", "\"../../x\""},
	    {"a tab", "get\tauth\r\n", 0, "line 1, byte 4", "printable", "09"},
	    {"no line end", "get auth", 0, "line 1", "CR LF", "\"get auth\""},
	    {"no line end after a key", "get auth\r\na=b", 0, "line 2", "CR LF", "\"a=b\""},
	    {"a lone CR as the end", "get auth\r\n\r", 0, "line 2", "CR LF", "\"\\r\""},
	    {"a lone LF as the end", "get auth\na=b\r\n", 0, "line 1, byte 9", "printable", "0a"},
	    {"a lone LF in a value", "get a\r\na=b\nc=d\r\n", 0, "line 2, byte 4", "printable", "0a"},
	    {"a lone CR in a value", "get a\r\na=b\rc\r\n", 0, "line 2, byte 4", "printable", "0d"},
	    {"CR twice", "get a\r\na=b\r\r\n", 0, "line 2, byte 4", "printable", "0d"},
	    {"an escape in a value", "get a\r\na=b\x1b[2J\r\n", 0, "line 2, byte 4", "printable", "1b"},
	    {"the lowest control character", "get a\r\na=\x01\r\n", 0, "line 2, byte 3", "printable", "01"},
	    {"the highest one", "get a\r\na=\x1f\r\n", 0, "line 2, byte 3", "printable", "1f"},
	    {"delete in a value", "get a\r\na=\x7f\r\n", 0, "line 2, byte 3", "printable", "7f"},
	    {"no equals sign", "get a\r\nserialno\r\n", 0, "line 2", "key=value", "\"serialno\""},
	    {"no key", "get a\r\n=x\r\n", 0, "line 2", "key of 1 to 64", "\"\""},
	    {"a capital in a key", "get a\r\nserialNo=x\r\n", 0, "line 2", "[a-z0-9_-]", "\"serialNo\""},
	    {"a space in a key", "get a\r\na =x\r\n", 0, "line 2", "[a-z0-9_-]", "\"a \""},
	    {"a space before a key", "get a\r\n a=x\r\n", 0, "line 2", "[a-z0-9_-]", "\" a\""},
	    {"a dot in a key", "get a\r\na=1\r\na.b=x\r\n", 0, "line 3", "[a-z0-9_-]", "\"a.b\""},
	    {"UTF-8 in a key", "get a\r\n\xc3\xa4=x\r\n", 0, "line 2", "[a-z0-9_-]", "\"\\xc3\\xa4\""},
	    {"a key after the empty line", "get a\r\n\r\na=b\r\n", 0, "line 2", "nothing", "\"a=b\\r\\n\""},
	    {"two empty lines", "get a\r\n\r\n\r\n", 0, "line 2", "nothing", "\"\\r\\n\""},
	    {"bytes after the NUL", "get a\r\n\r\n\0xy", 12, "message get", "nothing expected after the NUL",
	     "2 bytes"},
	    {"NUL after the NUL", "reply 200\r\n\r\n\0\0", 15, "message reply", "nothing", "1 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		assert_refused(body_of(rows[i].text, rows[i].len ? rows[i].len : strlen(rows[i].text) + 1),
			       rows[i].where, rows[i].expected, rows[i].got);
	}
	print_message("  nothing at all\n");
	assert_refused(body_of("", 0), "text", "a NUL", "none in 0");
}

static void
bounds(void **state)
{
	static const struct {
		const char *what, *lines;
		size_t most;
		const char *where, *expected, *got;
	} rows[] = {
	    {"verb", "@ a\r\n", 32, "verb", "at most 32", "xxx"},
	    {"argument", "get @\r\n", 64, "argument", "at most 64", "xxx"},
	    {"key", "get a\r\n@=v\r\n", PROFILE_KEY_MAX, "line 2: key", "1 to 64", "xxx"},
	    {"value", "get a\r\nkey=@\r\n", PROFILE_VALUE_MAX, "value of key", "at most 4096", "4097"},
	    {"text", "channel\r\na=@\r\n", 0, "text", "within 16385", "none in 16385"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		struct message m;
		struct body b;

		print_message("  %s\n", rows[i].what);
		if (rows[i].most) {
			b = stretched(rows[i].lines, rows[i].most);
			if (message_parse(b.p, b.len, &m, &e))
				fail_msg("%s", e.text);
			free(b.p);
		}
		assert_refused(stretched(rows[i].lines, rows[i].most ? rows[i].most + 1 : 20000), rows[i].where,
			       rows[i].expected, rows[i].got);
	}
}

/* A text of exactly `len` bytes before its NUL, all of it good. */
static struct body
text_of_length(size_t len)
{
	static const char first[] = "get a\r\n";
	char *text = malloc(len + 1);
	size_t used = sizeof(first) - 1;
	struct body b;

	assert_non_null(text);
	memcpy(text, first, used);
	for (char key = 'a'; used < len; key++) {
		size_t line = len - used > 8000 ? 4000 : len - used > 4000 ? (len - used) / 2 : len - used;

		memset(text + used, 'v', line);
		memcpy(text + used, (char[]){key, '='}, 2);
		memcpy(text + used + line - 2, "\r\n", 2);
		used += line;
	}
	text[len] = '\0';
	b = body_of_text(text);
	free(text);
	return b;
}

static void
longest_text(void **state)
{
	struct body b = text_of_length(PROFILE_TEXT_MAX);
	struct message m;

	(void)state;
	assert_int_equal(PROFILE_TEXT_MAX, 16384);
	assert_int_equal(b.len, PROFILE_TEXT_MAX + 1);
	assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
	free(b.p);
	assert_refused(text_of_length(PROFILE_TEXT_MAX + 1), "text", "within 16385", "none in 16385");
}

/* So many keys, k0…; then one that is there already when `repeat`. */
static struct body
body_of_keys(int count, bool repeat)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct body body;

	buf_str(&b, "get a\r\n");
	for (int i = 0; i < count; i++)
		buf_printf(&b, "k%d=%d\r\n", i, i);
	if (repeat)
		buf_str(&b, "k5=again\r\n");
	assert_int_equal(buf_put(&b, "\r\n", 3), 0);
	body = body_of(buf_head(&b), b.len);
	buf_free(&b);
	return body;
}

static void
number_of_keys(void **state)
{
	struct body b = body_of_keys(PROFILE_KEYS_MAX, true);
	struct message m;

	(void)state;
	assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
	assert_int_equal(m.count, 128);
	assert_string_equal(message_str(&m, "k127"), "127");
	/* a repeated key is none more */
	assert_int_equal(m.repeated, 1);
	assert_string_equal(m.repeated_first, "k5");
	assert_string_equal(message_str(&m, "k5"), "5");
	free(b.p);
	assert_refused(body_of_keys(PROFILE_KEYS_MAX + 1, false), "line 130", "at most 128 keys", "\"k128\"");
}

static void
well_formed(void **state)
{
	static const struct {
		const char *what, *text;
		const char *verb, *argument;
		size_t count;
		const char *key, *value; /* the last one */
	} rows[] = {
	    {"a verb alone", "keepalive\r\n\r\n", "keepalive", "", 0, NULL, NULL},
	    {"empty line missing", "get auth\r\nserialno=FGVM01\r\n", "get", "auth", 1, "serialno", "FGVM01"},
	    {"empty line missing, no key", "keepalive\r\n", "keepalive", "", 0, NULL, NULL},
	    {"empty argument", "reply \r\n\r\n", "reply", "", 0, NULL, NULL},
	    {"empty value", "get ip\r\nfirst_fmgid=\r\n\r\n", "get", "ip", 1, "first_fmgid", ""},
	    {"equals signs in a value", "get a\r\nk==a=b=\r\n\r\n", "get", "a", 1, "k", "=a=b="},
	    {"spaces in a value", "get a\r\nk= a b \r\n\r\n", "get", "a", 1, "k", " a b "},
	    {"first and last printable byte", "get a\r\nk= ~\r\n\r\n", "get", "a", 1, "k", " ~"},
	    {"bytes above ASCII in a value", "get a\r\nk=\xc3\xa4\xff\x80\r\n\r\n", "get", "a", 1, "k",
	     "\xc3\xa4\xff\x80"},
	    {"every kind of character in a key", "get a\r\naz09_-=1\r\n\r\n", "get", "a", 1, "az09_-", "1"},
	    {"an unknown verb", "frobnicate this\r\n\r\n", "frobnicate", "this", 0, NULL, NULL},
	    {"a format as value", "get a\r\nk=%s%n\r\n\r\n", "get", "a", 1, "k", "%s%n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct body b = body_of_text(rows[i].text);
		struct err e = ERR_NONE;
		struct message m;

		print_message("  %s\n", rows[i].what);
		if (message_parse(b.p, b.len, &m, &e))
			fail_msg("%s", e.text);
		assert_string_equal(m.verb, rows[i].verb);
		assert_string_equal(m.argument, rows[i].argument);
		assert_int_equal(m.count, rows[i].count);
		if (rows[i].key) {
			assert_string_equal(m.keys[m.count - 1].key, rows[i].key);
			assert_string_equal(message_get(&m, rows[i].key), rows[i].value);
		}
		assert_int_equal(m.data_len, 0);
		free(b.p);
	}
}

/* The guide's answer to `get ip`. */
static void
answer_of_the_guide(void **state)
{
	struct body b = body_of_text("reply 200\r\noverwrite_fmgid=1\r\nrequest=ip\r\nip=169.254.0.2\r\n"
				     "mgmtid=247331677\r\nregister_status=1\r\nfmg_ip=192.168.48.46\r\n"
				     "keepalive_interval=300\r\nchan_window_sz=32768\r\nsock_timeout=900\r\n\r\n");
	struct message m;

	(void)state;
	assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
	assert_string_equal(m.argument, "200");
	assert_int_equal(m.count, 9);
	assert_string_equal(message_get(&m, "fmg_ip"), "192.168.48.46");
	assert_string_equal(message_str(&m, "sock_timeout"), "900");
	assert_null(message_get(&m, "sock"));
	assert_null(message_get(&m, "IP"));
	assert_string_equal(message_str(&m, "passwd"), "");
	assert_int_equal(m.repeated, 0);
	free(b.p);
}

static void
first_of_repeated_keys_counts(void **state)
{
	struct body b = body_of_text("reply 200\r\nserialno=FMG1\r\nrequest=auth\r\nserialno=FMG2\r\nrequest=ip\r\n"
				     "serialno=FMG3\r\n\r\n");
	struct message m;

	(void)state;
	assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
	assert_string_equal(message_str(&m, "serialno"), "FMG1");
	assert_string_equal(message_str(&m, "request"), "auth");
	assert_int_equal(m.count, 2);
	assert_int_equal(m.repeated, 3);
	assert_string_equal(m.repeated_first, "serialno");
	free(b.p);
}

static void
data_of_a_channel(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len, text;
	} rows[] = {
	    {"none", "channel\r\nremoteid=1\r\n\r\n", 24, 24},
	    {"none, no empty line", "channel\r\nremoteid=1\r\n", 22, 22},
	    {"one NUL", "channel\r\nremoteid=1\r\n\r\n\0", 25, 24},
	    {"what looks like a message", "channel\r\nremoteid=1\r\n\r\n\0a=b\r\n\0\xff", 31, 24},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct body b = body_of(rows[i].bytes, rows[i].len);
		struct message m;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
		assert_int_equal(m.data_len, rows[i].len - rows[i].text);
		assert_ptr_equal(m.data, b.p + rows[i].text);
		assert_memory_equal(m.data, rows[i].bytes + rows[i].text, m.data_len);
		assert_string_equal(message_str(&m, "remoteid"), "1");
		free(b.p);
	}
}

/* --- building ----------------------------------------------------------------------------------------------------- */

static void
built_in_the_profiles_form(void **state)
{
	static const char expected[] =
	    "get ip\r\nfirst_fmgid=\r\nprobe_mode=yes\r\nuptime=0\r\nbig=18446744073709551615\r\n\r\n";
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);

	(void)state;
	message_begin(&b, "get", "ip");
	message_key(&b, "first_fmgid", "");
	message_key(&b, "probe_mode", "yes");
	message_key_u(&b, "uptime", 0);
	message_key_u(&b, "big", UINT64_MAX);
	assert_int_equal(message_end(&b), 0);
	assert_int_equal(b.len, sizeof(expected)); /* the NUL is part of it */
	assert_memory_equal(buf_head(&b), expected, sizeof(expected));
	buf_free(&b);
}

static void
verb_alone(void **state)
{
	static const char *const none[] = {NULL, ""};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf b = BUF_INIT(100);

		message_begin(&b, "keepalive", none[i]);
		assert_int_equal(message_end(&b), 0);
		assert_int_equal(b.len, 14);
		assert_memory_equal(buf_head(&b), "keepalive\r\n\r\n", 14);
		buf_free(&b);
	}
}

/* A host name from a file cannot add a line of its own, nor make a message that the peer has to refuse. */
static void
own_values_are_made_harmless(void **state)
{
	char *longest = malloc(PROFILE_VALUE_MAX + 10);
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct message m;
	struct body body;

	(void)state;
	assert_non_null(longest);
	memset(longest, 'v', PROFILE_VALUE_MAX + 9);
	longest[PROFILE_VALUE_MAX + 9] = '\0';
	message_begin(&b, "get", "auth");
	message_key(&b, "hostname", "a\r\nserialno=FG1\x1b\x7f\xc3\xa4");
	message_key(&b, "long", longest);
	assert_int_equal(message_end(&b), 0);
	body = body_of(buf_head(&b), b.len);
	assert_int_equal(message_parse(body.p, body.len, &m, NULL), 0);
	assert_int_equal(m.count, 2);
	assert_string_equal(message_str(&m, "hostname"), "aserialno=FG1\xc3\xa4");
	assert_int_equal(strlen(message_str(&m, "long")), PROFILE_VALUE_MAX);
	free(body.p);
	buf_free(&b);
	free(longest);
}

static void
what_does_not_fit_is_noticed_at_the_end(void **state)
{
	struct buf b = BUF_INIT(14);

	(void)state;
	message_begin(&b, "get", "auth");
	message_key(&b, "serialno", "FGVM");
	assert_int_equal(message_end(&b), -EMSGSIZE);
	buf_free(&b);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static char heard[2 * PROFILE_VALUE_MAX];

static void
hear(void *ctx, const char *line)
{
	(void)ctx;
	strcat(heard, line);
	strcat(heard, "\n");
}

static void
logged_without_secrets(void **state)
{
	struct log_sink sink = {.mask = DBG_MESSAGE, .line = hear};
	struct body b =
	    body_of_text("reply 200\r\nrequest=auth\r\nuser=admin\r\npasswd=hunter2\r\nregist_passwd=hunter3\r\n"
			 "password=hunter4\r\nx=\xff\r\nuser_count=3\r\nadmin_passwd=\r\n\r\n");
	struct body c = body_of("channel\r\nremoteid=1\r\n\r\n\0abc", 27);
	struct message m;

	(void)state;
	assert_int_equal(message_parse(b.p, b.len, &m, NULL), 0);
	message_log("client:", &m); /* nobody listens */
	assert_string_equal(heard, "");
	log_attach(&sink);
	message_log("client:", &m);
	assert_string_equal(heard, "FGFMs: client:\nreply 200\nrequest=auth\nuser=******\npasswd=******\n"
				   "regist_passwd=******\npassword=******\nx=\\xff\nuser_count=3\nadmin_passwd=\n");
	heard[0] = '\0';
	assert_int_equal(message_parse(c.p, c.len, &m, NULL), 0);
	message_log("client:send:", &m);
	assert_string_equal(heard, "FGFMs: client:send:\nchannel\nremoteid=1\n(3 bytes)\n");
	log_detach(&sink);
	free(b.p);
	free(c.p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(malformed),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(longest_text),
	    cmocka_unit_test(number_of_keys),
	    cmocka_unit_test(well_formed),
	    cmocka_unit_test(answer_of_the_guide),
	    cmocka_unit_test(first_of_repeated_keys_counts),
	    cmocka_unit_test(data_of_a_channel),
	    cmocka_unit_test(built_in_the_profiles_form),
	    cmocka_unit_test(verb_alone),
	    cmocka_unit_test(own_values_are_made_harmless),
	    cmocka_unit_test(what_does_not_fit_is_noticed_at_the_end),
	    cmocka_unit_test(logged_without_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
