/* agent/memory: a file that is missing, damaged, unreadable or cannot be written, and what it remembers. */
// wrap: rename fsync json_pretty
#include "agent/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/json.h"
#include "test/unit/rollback_fixture.h"

static struct {
	bool rename, memory;
	int fsyncs; /* the n-th from now fails; 0: none */
} broken;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
char *__real_json_pretty(const struct cJSON *root);
char *__wrap_json_pretty(const struct cJSON *root);

int
__wrap_rename(const char *from, const char *to)
{
	errno = EROFS;
	return broken.rename ? -1 : __real_rename(from, to);
}

int
__wrap_fsync(int fd)
{
	errno = EIO;
	return broken.fsyncs && !--broken.fsyncs ? -1 : __real_fsync(fd);
}

char *
__wrap_json_pretty(const struct cJSON *root)
{
	return broken.memory ? NULL : __real_json_pretty(root);
}

static int
set_up(void **state)
{
	memset(&broken, 0, sizeof(broken));
	return fixture_setup(state);
}

static void
assert_empty(const struct memory *m)
{
	assert_string_equal(m->mgmtid, "");
	assert_string_equal(m->first_fmgid, "");
	assert_string_equal(m->target, "");
	assert_int_equal(m->address.family, 0);
	assert_true(m->last_good_s == 0);
	assert_string_equal(m->path, fixture_path("manager.json"));
}

static int
load(struct memory *m, struct err *e)
{
	memset(m, 0x5a, sizeof(*m));
	return memory_load(m, fixture_path("manager.json"), e);
}

#define REST "\"target\":\"fmg\",\"address\":\"192.0.2.1\",\"last-good\":5"
#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void
damaged(void **state)
{
	static const struct {
		const char *what, *text, *reason;
	} rows[] = {
	    {"no bytes", "", "not valid"},
	    {"cut", "{\"mgmtid\":\"1\"", "not valid"},
	    {"a list", "[]", "\"mgmtid\" is missing"},
	    {"a key is missing", "{\"mgmtid\":\"1\"," REST "}", "\"first-fmgid\" is missing"},
	    {"a number as text", "{\"mgmtid\":1,\"first-fmgid\":\"\"," REST "}", "\"mgmtid\": text expected"},
	    {"too long an id", "{\"mgmtid\":\"" X40 X40 "\",\"first-fmgid\":\"\"," REST "}",
	     "key \"mgmtid\": at most 63 bytes expected"},
	    {"too long a serial", "{\"mgmtid\":\"1\",\"first-fmgid\":\"" X40 "\"," REST "}",
	     "key \"first-fmgid\": at most 39 bytes expected"},
	    {"no address",
	     "{\"mgmtid\":\"1\",\"first-fmgid\":\"\",\"target\":\"\",\"address\":\"192.0.2.256\",\"last-good\":5}",
	     "\"address\": an IP address expected"},
	    {"a time before all times",
	     "{\"mgmtid\":\"1\",\"first-fmgid\":\"\",\"target\":\"\",\"address\":\"\",\"last-good\":-1}",
	     "\"last-good\""},
	    {"a time beyond all times",
	     "{\"mgmtid\":\"1\",\"first-fmgid\":\"\",\"target\":\"\",\"address\":\"\",\"last-good\":1e30}",
	     "\"last-good\""},
	    {"a key twice", "{\"mgmtid\":\"1\",\"mgmtid\":\"2\",\"first-fmgid\":\"\"," REST "}", "stands twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		struct memory m;

		print_message("  %s\n", rows[i].what);
		fixture_write("manager.json", rows[i].text);
		assert_int_equal(load(&m, &e), -EBADMSG);
		if (!strstr(e.text, rows[i].reason) || !strstr(e.text, "kept as"))
			fail_msg("'%s' does not say '%s'", e.text, rows[i].reason);
		assert_empty(&m);
		assert_false(fixture_exists("manager.json"));
		if (*rows[i].text)
			assert_true(fixture_contains("manager.json.corrupt", rows[i].text));
		/* it can be used at once, and the next start finds nothing wrong */
		assert_int_equal(memory_save(&m, &e), 0);
		assert_int_equal(load(&m, &e), 0);
		assert_empty(&m);
	}
}

static void
not_a_file_of_ours(void **state)
{
	static char big[20000];
	struct err e = ERR_NONE;
	struct memory m;

	(void)state;
	memset(big, ' ', sizeof(big) - 1);
	fixture_write("manager.json", big);
	assert_int_equal(load(&m, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "16384"));
	assert_empty(&m);
	assert_int_equal(mkfifo(fixture_path("manager.json"), 0600), 0);
	assert_int_equal(load(&m, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "not a regular file"));
	assert_empty(&m);
	assert_int_equal(memory_save(&m, &e), 0);
}

static void
cannot_be_set_aside(void **state)
{
	struct err e = ERR_NONE;
	struct memory m;

	(void)state;
	fixture_write("manager.json", "{");
	broken.rename = true;
	assert_int_equal(load(&m, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "could not be set aside"));
	assert_empty(&m);
	assert_true(fixture_exists("manager.json"));
}

/* Being unable to read is no reason to throw away what was remembered. */
static void
unreadable_is_left_alone(void **state)
{
	struct err e = ERR_NONE;
	struct memory m;

	(void)state;
	assert_int_equal(symlink("manager.json", fixture_path("manager.json")), 0);
	assert_int_equal(load(&m, &e), -ELOOP);
	assert_empty(&m);
	assert_true(fixture_exists("manager.json"));
	assert_false(fixture_exists("manager.json.corrupt"));
}

static void
missing_is_empty(void **state)
{
	struct err e = ERR_NONE;
	struct memory m;

	(void)state;
	assert_int_equal(load(&m, &e), 0);
	assert_empty(&m);
}

static void
remembered(void **state)
{
	static const struct {
		const char *what, *mgmtid, *first_fmgid, *target, *address;
		int64_t last_good_s;
	} rows[] = {
	    {"nothing yet", "", "", "", "", 0},
	    {"a number, IPv4", "247331677", "FMG-VM0000000001", "fmg.example", "192.0.2.1", 1767225600},
	    {"a UUID, IPv6", "6f1c2b1e-0000-4000-8000-00000000abcd", "FMG-VM0000000001", "2001:db8::1", "2001:db8::1",
	     INT64_C(1) << 40},
	    {"hostile text", "\"\\\n\x1b}", "{", "%s%n", "", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory m = {.last_good_s = rows[i].last_good_s}, back;
		struct err e = ERR_NONE;
		struct stat st;

		print_message("  %s\n", rows[i].what);
		snprintf(m.path, sizeof(m.path), "%s", fixture_path("manager.json"));
		snprintf(m.mgmtid, sizeof(m.mgmtid), "%s", rows[i].mgmtid);
		snprintf(m.first_fmgid, sizeof(m.first_fmgid), "%s", rows[i].first_fmgid);
		snprintf(m.target, sizeof(m.target), "%s", rows[i].target);
		if (*rows[i].address)
			assert_int_equal(addr_parse_host(rows[i].address, &m.address), 0);
		assert_int_equal(memory_save(&m, &e), 0);
		assert_int_equal(load(&back, &e), 0);
		assert_string_equal(back.mgmtid, m.mgmtid);
		assert_string_equal(back.first_fmgid, m.first_fmgid);
		assert_string_equal(back.target, m.target);
		assert_true(addr_equal(&back.address, &m.address));
		assert_true(back.last_good_s == m.last_good_s);
		assert_int_equal(stat(fixture_path("manager.json"), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

/* A file of a later version: what is not known is ignored. */
static void
more_than_we_know(void **state)
{
	struct err e = ERR_NONE;
	struct memory m;

	(void)state;
	fixture_write("manager.json", "{\"new\":[1],\"mgmtid\":\"1\",\"first-fmgid\":\"\"," REST "}");
	assert_int_equal(load(&m, &e), 0);
	assert_string_equal(m.target, "fmg");
	assert_int_equal(m.address.family, AF_INET);
}

static void
saving_fails(void **state)
{
	struct memory m = {.mgmtid = "1"};
	struct err e = ERR_NONE;

	(void)state;
	snprintf(m.path, sizeof(m.path), "%s", fixture_path("manager.json"));
	assert_int_equal(memory_save(&m, &e), 0);
	strcpy(m.mgmtid, "2");
	broken.memory = true;
	assert_int_equal(memory_save(&m, &e), -ENOMEM);
	broken.memory = false;
	broken.rename = true;
	assert_int_equal(memory_save(&m, &e), -EROFS);
	broken.rename = false;
	broken.fsyncs = 1;
	assert_int_equal(memory_save(&m, &e), -EIO);
	assert_int_equal(load(&m, &e), 0);
	assert_string_equal(m.mgmtid, "1");
	snprintf(m.path, sizeof(m.path), "%s", fixture_path("none/manager.json"));
	assert_int_equal(memory_save(&m, &e), -ENOENT);
	assert_non_null(strstr(e.text, "none/manager.json"));
}

/* Somebody who only looks changes nothing. */
static void
peeked(void **state)
{
	struct memory m = {.mgmtid = "1", .last_good_s = 1767225600};

	(void)state;
	assert_int_equal(memory_peek_last_good_s(fixture_path("manager.json")), 0);
	snprintf(m.path, sizeof(m.path), "%s", fixture_path("manager.json"));
	assert_int_equal(memory_save(&m, NULL), 0);
	assert_int_equal(memory_peek_last_good_s(m.path), 1767225600);
	fixture_write("manager.json", "{\"mgmtid\":\"1\",\"first-fmgid\":\"\"," REST ",\"address\":5}");
	assert_int_equal(memory_peek_last_good_s(m.path), 0);
	assert_true(fixture_exists("manager.json"));
	fixture_write("manager.json", "{\"mgmtid\":1,\"first-fmgid\":\"\"," REST "}");
	assert_int_equal(memory_peek_last_good_s(m.path), 0);
	assert_true(fixture_exists("manager.json"));
	assert_false(fixture_exists("manager.json.corrupt"));
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_A_FOLDER(damaged),
	    IN_A_FOLDER(not_a_file_of_ours),
	    IN_A_FOLDER(cannot_be_set_aside),
	    IN_A_FOLDER(unreadable_is_left_alone),
	    IN_A_FOLDER(missing_is_empty),
	    IN_A_FOLDER(remembered),
	    IN_A_FOLDER(more_than_we_know),
	    IN_A_FOLDER(saving_fails),
	    IN_A_FOLDER(peeked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
