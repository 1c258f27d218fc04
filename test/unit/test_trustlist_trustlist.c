/* trustlist/trustlist: the ten slots, their file, and what happens when the disk refuses.
 *
 * wrapped, to fail on demand:
 */
// wrap: rename fsync json_add_str json_add_object

#include "trustlist/trustlist.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define CA_2 "2222222222222222222222222222222222222222222222222222222222222222"

static struct {
	bool rename, text, object;
	int fsync_in; /* the n-th fsync from now fails; 0: none */
} broken;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
void __real_json_add_str(struct cJSON *parent, const char *key, const char *text);
void __wrap_json_add_str(struct cJSON *parent, const char *key, const char *text);
struct cJSON *__real_json_add_object(struct cJSON *parent, const char *key);
struct cJSON *__wrap_json_add_object(struct cJSON *parent, const char *key);

int
__wrap_rename(const char *from, const char *to)
{
	if (broken.rename) {
		errno = EROFS;
		return -1;
	}
	return __real_rename(from, to);
}

int
__wrap_fsync(int fd)
{
	if (broken.fsync_in && !--broken.fsync_in) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

/* As if memory had run out: the member is dropped. */
void
__wrap_json_add_str(struct cJSON *parent, const char *key, const char *text)
{
	if (!broken.text)
		__real_json_add_str(parent, key, text);
}

struct cJSON *
__wrap_json_add_object(struct cJSON *parent, const char *key)
{
	return broken.object ? NULL : __real_json_add_object(parent, key);
}

struct place {
	char dir[64], file[80], aside[96];
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	memset(&broken, 0, sizeof(broken));
	if (!p)
		return -1;
	strcpy(p->dir, "/tmp/fgfmd-trust-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->file, sizeof(p->file), "%s/list.json", p->dir);
	snprintf(p->aside, sizeof(p->aside), "%s.corrupt", p->file);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char tmp[96];

	snprintf(tmp, sizeof(tmp), "%s.tmp", p->file);
	unlink(tmp);
	if (rmdir(p->file))
		unlink(p->file);
	if (rmdir(p->aside))
		unlink(p->aside);
	rmdir(p->dir);
	free(p);
	return 0;
}

static struct cert_facts
peer(const char *serial, const char *issuer_key, const char *key)
{
	struct cert_facts f = {.manager = true};

	snprintf(f.serial, sizeof(f.serial), "%s", serial);
	snprintf(f.issuer_key, sizeof(f.issuer_key), "%s", issuer_key);
	snprintf(f.key, sizeof(f.key), "%s", key);
	return f;
}

static struct cert_facts
numbered(int n)
{
	char serial[CERT_SERIAL_MAX];

	snprintf(serial, sizeof(serial), "FMG-VM%010d", n);
	return peer(serial, CA_1, KEY_A);
}

static struct trust_list *
load(const struct place *p)
{
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;

	if (trust_list_load(p->file, &l, &e))
		fail_msg("load: %s", e.text);
	return l;
}

static void
add(struct trust_list *l, int n)
{
	struct cert_facts f = numbered(n);

	assert_int_equal(trust_list_add(l, &f, TRUST_FIRST_CONTACT, 1000 + n, NULL), 0);
}

#define ENTRY(slot, serial, rest)                                                                                      \
	"{\"slot\":" slot ",\"serial\":\"" serial "\",\"issuer-key\":\"" CA_1 "\",\"key\":\"" KEY_A "\"" rest "}"
#define REST ",\"added\":1,\"how\":\"pinned\",\"last-used\":0"
#define LIST(entries) "{\"slots\":10,\"entries\":[" entries "]}"
#define ONE(n) ENTRY(n, "FMG-VM000000000" n, REST)

static void
damaged_files(void **state)
{
	static const struct {
		const char *what, *text, *why;
	} cases[] = {
	    {"empty file", "", "JSON"},
	    {"cut off", "{\"slots\":10,\"entries\":[{\"slot\":1", "JSON"},
	    {"text behind it", LIST("") "x", "JSON"},
	    {"not an object", "[]", "an object expected"},
	    {"no slots", "{\"entries\":[]}", "\"slots\" is missing"},
	    {"other slots", "{\"slots\":11,\"entries\":[]}", "\"slots\""},
	    {"no entries", "{\"slots\":10}", "\"entries\": an array expected"},
	    {"entries is an object", "{\"slots\":10,\"entries\":{}}", "\"entries\": an array expected"},
	    {"entry is a number", LIST("1"), "entry 1: an object expected"},
	    {"key twice", LIST("{\"slot\":1,\"slot\":1}"), "twice"},
	    {"gap", LIST(ONE("2")), "entry 1: key \"slot\""},
	    {"the same serial twice", LIST(ONE("1") "," ENTRY("2", "FMG-VM0000000001", REST)), "stands there twice"},
	    {"a device", LIST(ENTRY("1", "FGVM010000000001", REST)), "a manager's serial number expected"},
	    {"no serial number", LIST(ENTRY("1", "../../etc/passwd", REST)), "a manager's serial number expected"},
	    {"serial is a number", LIST("{\"slot\":1,\"serial\":1}"), "\"serial\": text expected"},
	    {"digest too short", LIST("{\"slot\":1,\"serial\":\"FMG-VM0000000001\",\"issuer-key\":\"11\"}"),
	     "\"issuer-key\": 64 hex digits expected"},
	    {"digest in upper case",
	     LIST("{\"slot\":1,\"serial\":\"FMG-VM0000000001\",\"issuer-key\":\"" CA_1 "\",\"key\":\"AAAAAAAAAAAAAAAA"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
	     "\"key\": 64 hex digits expected"},
	    {"no date", LIST(ENTRY("1", "FMG-VM0000000001", "")), "\"added\" is missing"},
	    {"date before 1970", LIST(ENTRY("1", "FMG-VM0000000001", ",\"added\":-1")), "\"added\""},
	    {"date with a fraction", LIST(ENTRY("1", "FMG-VM0000000001", ",\"added\":1.5")), "\"added\""},
	    {"last use missing", LIST(ENTRY("1", "FMG-VM0000000001", ",\"added\":1,\"how\":\"pinned\"")),
	     "\"last-used\""},
	    {"how unknown", LIST(ENTRY("1", "FMG-VM0000000001", ",\"added\":1,\"how\":\"by-magic\",\"last-used\":0")),
	     "\"how\""},
	    {"eleven",
	     LIST(ONE("1") "," ONE("2") "," ONE("3") "," ONE("4") "," ONE("5") "," ONE("6") "," ONE("7") "," ONE(
		 "8") "," ONE("9") "," ENTRY("10", "FMG-VM0000000010", REST) "," ENTRY("11", "FMG-VM0000000011", REST)),
	     "more than 10 entries"},
	};
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trust_list *l = NULL;
		struct err e = ERR_NONE;
		char *kept = NULL;
		size_t len = 0;

		assert_int_equal(file_replace(p->file, cases[i].text, strlen(cases[i].text), 0600, NULL, NULL), 0);
		if (trust_list_load(p->file, &l, &e) != -EBADMSG || !l || !trust_list_damaged(l) || trust_list_count(l))
			fail_msg("%s: taken (%s)", cases[i].what, e.text);
		if (!strstr(e.text, cases[i].why) || !strstr(e.text, p->file))
			fail_msg("%s: says \"%s\"", cases[i].what, e.text);
		trust_list_free(l);
		assert_int_equal(access(p->file, F_OK), -1);
		assert_int_equal(file_read(p->aside, 4096, &kept, &len, NULL), 0);
		assert_string_equal(kept, cases[i].text);
		free(kept);
	}
}

/* A restart must not turn a damaged list into an empty one that lets anybody in. */
static void
damage_outlives_a_restart(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(file_replace(p->file, "x", 1, 0600, NULL, NULL), 0);
	assert_int_equal(trust_list_load(p->file, &l, NULL), -EBADMSG);
	trust_list_free(l);
	assert_int_equal(trust_list_load(p->file, &l, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "was damaged earlier"));
	assert_true(trust_list_damaged(l));
	add(l, 1);
	assert_false(trust_list_damaged(l));
	trust_list_free(l);
	l = load(p);
	assert_false(trust_list_damaged(l));
	assert_int_equal(trust_list_count(l), 1);
	trust_list_free(l);
}

static void
damage_that_stays_in_place(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(file_replace(p->file, "x", 1, 0600, NULL, NULL), 0);
	broken.rename = true;
	assert_int_equal(trust_list_load(p->file, &l, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "could not be set aside"));
	assert_true(trust_list_damaged(l));
	trust_list_free(l);
}

static void
not_a_file(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(mkdir(p->file, 0700), 0);
	assert_int_equal(trust_list_load(p->file, &l, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "not a regular file"));
	assert_true(trust_list_damaged(l));
	trust_list_free(l);
}

static void
unreadable_is_not_empty(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;
	char below[128];

	assert_int_equal(file_replace(p->file, "x", 1, 0600, NULL, NULL), 0);
	snprintf(below, sizeof(below), "%s/list.json", p->file);
	assert_int_equal(trust_list_load(below, &l, &e), -ENOTDIR);
	assert_null(l);
}

static void
refused_additions(void **state)
{
	static const struct {
		const char *what, *serial, *issuer_key, *key;
		int code;
	} cases[] = {
	    {"no serial", "", CA_1, KEY_A, -EINVAL},
	    {"a device", "FGVM010000000001", CA_1, KEY_A, -EINVAL},
	    {"chain not verified", "FMG-VM0000000002", "", KEY_A, -EINVAL},
	    {"no key", "FMG-VM0000000002", CA_1, "", -EINVAL},
	    {"listed", "FMG-VM0000000001", CA_1, KEY_A, -EEXIST},
	    {"listed, with another key", "FMG-VM0000000001", CA_2, KEY_B, -EEXIST},
	};
	struct trust_list *l = load(*state);

	add(l, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_facts f = peer(cases[i].serial, cases[i].issuer_key, cases[i].key);
		struct err e = ERR_NONE;

		if (trust_list_add(l, &f, TRUST_PINNED, 1, &e) != cases[i].code || trust_list_count(l) != 1)
			fail_msg("%s: %s", cases[i].what, e.text);
	}
	assert_string_equal(trust_list_at(l, 0)->key, KEY_A);
	trust_list_free(l);
}

static void
eleventh_is_refused(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = load(p);
	struct cert_facts eleventh = numbered(11);
	struct err e = ERR_NONE;

	for (int n = 1; n <= TRUST_SLOTS; n++)
		add(l, n);
	assert_int_equal(trust_list_add(l, &eleventh, TRUST_PINNED, 1, &e), -ENOSPC);
	assert_string_equal(e.text, "trusted list full (10)");
	trust_list_free(l);
	l = load(p);
	assert_int_equal(trust_list_count(l), TRUST_SLOTS);
	for (int n = 1; n <= TRUST_SLOTS; n++) {
		struct cert_facts f = numbered(n);

		assert_string_equal(trust_list_at(l, (size_t)n - 1)->serial, f.serial);
		assert_int_equal(trust_list_at(l, (size_t)n - 1)->added_s, 1000 + n);
	}
	assert_null(trust_list_at(l, TRUST_SLOTS));
	assert_null(trust_list_find(l, eleventh.serial));
	trust_list_free(l);
}

static void
answers(void **state)
{
	static const struct {
		const char *what, *serial, *issuer_key, *key;
		enum trust_answer answer;
	} cases[] = {
	    {"other serial", "FMG-VM0000000002", CA_1, KEY_A, TRUST_UNKNOWN},
	    {"no serial", "", CA_1, KEY_A, TRUST_UNKNOWN},
	    {"other issuer, same key", "FMG-VM0000000001", CA_2, KEY_A, TRUST_OTHER_ISSUER},
	    {"other issuer and key", "FMG-VM0000000001", CA_2, KEY_B, TRUST_OTHER_ISSUER},
	    {"chain not verified", "FMG-VM0000000001", "", KEY_A, TRUST_OTHER_ISSUER},
	    {"renewed", "FMG-VM0000000001", CA_1, KEY_B, TRUST_RENEWED},
	    {"the same", "FMG-VM0000000001", CA_1, KEY_A, TRUST_LISTED},
	};
	struct trust_list *l = load(*state);

	add(l, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_facts f = peer(cases[i].serial, cases[i].issuer_key, cases[i].key);

		if (trust_list_check(l, &f) != cases[i].answer)
			fail_msg("%s", cases[i].what);
	}
	trust_list_free(l);
}

static void
use_is_noted(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = load(p);
	struct cert_facts renewed = peer("FMG-VM0000000001", CA_1, KEY_B);
	struct cert_facts impostor = peer("FMG-VM0000000001", CA_2, KEY_B);
	struct cert_facts stranger = numbered(2);
	struct err e = ERR_NONE;

	add(l, 1);
	assert_int_equal(trust_list_used(l, &stranger, 5000, &e), -ENOENT);
	assert_int_equal(trust_list_used(l, &impostor, 5000, &e), -EPERM);
	assert_string_equal(trust_list_at(l, 0)->key, KEY_A);
	assert_int_equal(trust_list_used(l, &renewed, 5000, NULL), 0);
	trust_list_free(l);
	l = load(p);
	assert_string_equal(trust_list_at(l, 0)->key, KEY_B);
	assert_int_equal(trust_list_at(l, 0)->used_s, 5000);
	assert_int_equal(trust_list_at(l, 0)->added_s, 1001);
	trust_list_free(l);
}

static void
removal(void **state)
{
	const struct place *p = *state;
	struct trust_list *l = load(p);
	struct err e = ERR_NONE;

	for (int n = 1; n <= 3; n++)
		add(l, n);
	assert_int_equal(trust_list_remove(l, "FMG-VM000000000\n", &e), -ENOENT);
	assert_string_equal(e.text, "FMG-VM000000000\\n is not in the trusted list");
	assert_int_equal(trust_list_remove(l, "FMG-VM0000000002", NULL), 0);
	assert_int_equal(trust_list_remove(l, "FMG-VM0000000002", NULL), -ENOENT);
	trust_list_free(l);
	l = load(p);
	assert_int_equal(trust_list_count(l), 2);
	assert_string_equal(trust_list_at(l, 0)->serial, "FMG-VM0000000001");
	assert_string_equal(trust_list_at(l, 1)->serial, "FMG-VM0000000003");
	assert_int_equal(trust_list_remove(l, "FMG-VM0000000001", NULL), 0);
	assert_int_equal(trust_list_remove(l, "FMG-VM0000000003", NULL), 0);
	trust_list_free(l);
	l = load(p);
	assert_int_equal(trust_list_count(l), 0);
	assert_false(trust_list_damaged(l));
	trust_list_free(l);
}

/* Memory never holds what the disk does not. */
static void
failing_disk(void **state)
{
	static const struct {
		const char *what;
		bool rename, text, object;
		int fsync_in;
		int code;
		size_t count; /* afterwards, in memory and on disk, of the one there was */
	} cases[] = {
	    {"rename", .rename = true, .code = -EROFS, .count = 1},
	    {"fsync of the file", .fsync_in = 1, .code = -EIO, .count = 1},
	    {"no memory for a text", .text = true, .code = -ENOMEM, .count = 1},
	    {"no memory for an entry", .object = true, .code = -ENOMEM, .count = 1},
	    {"fsync of the folder: the new file is in place", .fsync_in = 2, .code = -EIO, .count = 2},
	};
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trust_list *l = load(p), *again;
		struct cert_facts second = numbered(2);
		struct err e = ERR_NONE;
		int rc;

		if (!trust_list_count(l))
			add(l, 1);
		broken.rename = cases[i].rename;
		broken.text = cases[i].text;
		broken.object = cases[i].object;
		broken.fsync_in = cases[i].fsync_in;
		rc = trust_list_add(l, &second, TRUST_PINNED, 1, &e);
		memset(&broken, 0, sizeof(broken));
		again = load(p);
		if (rc != cases[i].code || trust_list_count(l) != cases[i].count ||
		    trust_list_count(again) != cases[i].count)
			fail_msg("%s: %d %s, %zu in memory, %zu on disk", cases[i].what, rc, e.text,
				 trust_list_count(l), trust_list_count(again));
		trust_list_free(again);
		trust_list_free(l);
	}
}

static void
file_form(void **state)
{
	static const enum trust_how hows[] = {TRUST_FIRST_CONTACT, TRUST_PINNED, TRUST_REGISTER_DEVICE,
					      TRUST_MANAGER_INITIATED};
	const struct place *p = *state;
	struct trust_list *l = load(p);
	struct cJSON *root;
	struct stat st;
	char *line;

	for (int n = 0; n < 4; n++) {
		struct cert_facts f = numbered(n + 1);

		assert_int_equal(trust_list_add(l, &f, hows[n], 7, NULL), 0);
	}
	for (size_t i = 3; i > 0; i--)
		assert_int_equal(trust_list_remove(l, trust_list_at(l, i)->serial, NULL), 0);
	root = trust_list_json(l);
	line = json_line(root);
	assert_string_equal(
	    line, "{\"slots\":10,\"entries\":[{\"slot\":1,\"serial\":\"FMG-VM0000000001\",\"issuer-key\""
		  ":\"" CA_1 "\",\"key\":\"" KEY_A "\",\"added\":7,\"how\":\"first-contact\",\"last-used\":0}]}");
	free(line);
	json_free(root);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	trust_list_free(l);
	trust_list_free(NULL);
}

/* A newer release's additions do not cost an older one its manager. */
static void
unknown_keys_are_ignored(void **state)
{
	static const char text[] =
	    "{\"slots\":10,\"format\":2,\"entries\":[" ENTRY("1", "FMG-VM0000000001", REST ",\"note\":\"x\"") "]}";
	const struct place *p = *state;
	struct trust_list *l;

	assert_int_equal(file_replace(p->file, text, strlen(text), 0600, NULL, NULL), 0);
	l = load(p);
	assert_int_equal(trust_list_count(l), 1);
	assert_int_equal(trust_list_at(l, 0)->how, TRUST_PINNED);
	trust_list_free(l);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(damaged_files),
	    TEST(damage_outlives_a_restart),
	    TEST(damage_that_stays_in_place),
	    TEST(not_a_file),
	    TEST(unreadable_is_not_empty),
	    TEST(refused_additions),
	    TEST(eleventh_is_refused),
	    TEST(answers),
	    TEST(use_is_noted),
	    TEST(removal),
	    TEST(failing_disk),
	    TEST(file_form),
	    TEST(unknown_keys_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
