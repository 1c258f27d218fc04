/* package/verify: every package test/mkpkg can break is refused for the reason it was broken, and good ones are not. */
#include "package/verify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "package/container.h"
#include "package/format.h"
#include "package/types.h"
#include "test/unit/package_fixture.h"

#define CASES "test/golden/package/cases.tsv"

/* What became of a package: its only or first bad object, or the container itself. */
struct outcome {
	size_t count;
	struct finding found[FORMAT_OBJECTS_MAX];
	const char *failed; /* "container", a check's name, or "none" */
	char why[320];
};

static void
judge(int fd, const struct anchor_check *check, struct outcome *out)
{
	struct container c;
	struct err e = ERR_NONE;

	*out = (struct outcome){.failed = "none"};
	if (container_read(fd, &c, &e)) {
		out->failed = "container";
		snprintf(out->why, sizeof(out->why), "%s", e.text);
		return;
	}
	out->count = c.count;
	for (size_t i = 0; i < c.count; i++) {
		struct finding *f = &out->found[i];

		assert_int_equal(verify_object(fd, &c.objects[i], check, f), 0);
		if (f->signature == SIGNATURE_BAD) {
			out->failed = verify_check_name(f->failed);
			snprintf(out->why, sizeof(out->why), "%s", f->why.text);
		}
	}
}

static void
judge_bytes(const uint8_t *p, size_t len, const struct anchor_check *check, struct outcome *out)
{
	int fd = fixture_memory(p, len);

	assert_true(fd >= 0);
	judge(fd, check, out);
	close(fd);
}

static void
judge_file(const char *name, const struct anchor_check *check, struct outcome *out)
{
	size_t len;
	uint8_t *data = fixture_read(name, &len);

	assert_non_null(data);
	judge_bytes(data, len, check, out);
	free(data);
}

static void
check_case(const char *name, const char *failed, const char *words)
{
	struct anchor_check check = fixture_check();
	static struct outcome o;
	char file[128];

	snprintf(file, sizeof(file), "all/%s.pkg", name);
	judge_file(file, &check, &o);
	if (strcmp(o.failed, failed) || !strstr(o.why, words))
		fail_msg("%s: %s: %s\n  expected: %s: %s", name, o.failed, o.why, failed, words);
	for (size_t i = 0; i < o.count; i++) {
		const struct finding *f = &o.found[i];

		assert_string_equal(f->signer.key, "");
		for (enum update_way w = UPDATE_AUTOMATIC; w < UPDATE_WAYS; w++) {
			for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++) {
				if (f->signature == SIGNATURE_BAD)
					assert_int_equal(verify_decide(f, w, l), VERDICT_REJECT);
			}
		}
	}
}

/* The list is complete: what mkpkg can break has its line, in its order. */
static void
test_hostile_cases(void **state)
{
	FILE *cases = fopen(CASES, "re"), *list = popen("test/mkpkg --list", "re");
	char line[512], name[128];
	size_t seen = 0;

	(void)state;
	assert_true(cases && list);
	while (fgets(line, sizeof(line), cases)) {
		char *save = NULL, *title = strtok_r(line, "\t", &save), *failed = strtok_r(NULL, "\t", &save),
		     *words = strtok_r(NULL, "\n", &save);

		assert_true(title && failed && words);
		assert_non_null(fgets(name, sizeof(name), list));
		name[strcspn(name, "\n")] = '\0';
		assert_string_equal(title, name);
		check_case(title, failed, words);
		seen++;
	}
	assert_null(fgets(name, sizeof(name), list));
	assert_int_equal(pclose(list), 0);
	fclose(cases);
	assert_true(seen >= 45);
}

static const struct {
	const char *file;
	size_t count;
	enum signature signature[3];
} good[] = {
    {"rsa", 1, {SIGNATURE_VALID}},
    {"ecdsa", 1, {SIGNATURE_VALID}},
    {"p384-sha384", 1, {SIGNATURE_VALID}},
    {"rsa-sha512", 1, {SIGNATURE_VALID}},
    {"direct", 1, {SIGNATURE_VALID}},
    {"no-signing-time", 1, {SIGNATURE_VALID}},
    {"with-root", 1, {SIGNATURE_VALID}},
    {"sha256-with-rsa", 1, {SIGNATURE_VALID}},
    {"curious", 1, {SIGNATURE_VALID}},         /* an extension that nobody knows, and nobody has to */
    {"under-longer-ca", 1, {SIGNATURE_VALID}}, /* path lengths that just suffice */
    {"loud", 1, {SIGNATURE_VALID}},            /* its issuer's name in capitals */
    {"long-serial", 1, {SIGNATURE_VALID}},     /* of 20 bytes */
    {"zlib", 1, {SIGNATURE_VALID}},
    {"object-header-sum", 1, {SIGNATURE_VALID}},
    {"two-objects", 2, {SIGNATURE_VALID, SIGNATURE_VALID}},
    {"unsigned", 1, {SIGNATURE_NONE}},
    {"unsigned-optional", 1, {SIGNATURE_NONE}},
    {"mixed", 3, {SIGNATURE_VALID, SIGNATURE_NONE, SIGNATURE_NONE}},
};

static void
test_good_ones(void **state)
{
	struct anchor_check check = fixture_check();
	static struct outcome o;
	char file[128];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(file, sizeof(file), "all/good-%s.pkg", good[i].file);
		judge_file(file, &check, &o);
		if (strcmp(o.failed, "none") || o.count != good[i].count)
			fail_msg("%s: %s: %s", good[i].file, o.failed, o.why);
		for (size_t k = 0; k < o.count; k++) {
			const struct finding *f = &o.found[k];

			assert_int_equal(f->signature, good[i].signature[k]);
			assert_int_equal(f->failed, VERIFY_NONE);
			assert_int_equal(!f->signer.key[0], f->signature != SIGNATURE_VALID);
			assert_int_equal(f->label.version.minor, 264);
		}
	}
}

/* Guide: "Raw len: 1200241", "Sig len: 3215", data_len=1203472, sig_len=3231, CS INFO 544e544601000c8f. */
static void
test_arithmetic_of_the_guide(void **state)
{
	static const uint8_t record[] = {'T', 'N', 'T', 'F', 1, 0, 0x0c, 0x8f};
	struct anchor_check check = fixture_check();
	static struct outcome o;
	uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(fixture_mkpkg("-o %s/guide.pkg --raw-len 1200241 --cms-len 3215 idsetdb=19.00264"), 0);
	judge_file("guide.pkg", &check, &o);
	assert_string_equal(o.why, "");
	assert_int_equal(o.found[0].signature, SIGNATURE_VALID);
	assert_int_equal(o.found[0].parts.raw_len, 1200241);
	assert_int_equal(o.found[0].parts.cms_len, 3215);
	assert_int_equal(o.found[0].parts.sig_len, 3231);
	assert_string_equal(o.found[0].kind->name, "idsetdb");
	data = fixture_read("guide.pkg", &len);
	assert_int_equal(len - 64 - 128, 1203472);
	assert_memory_equal(data + len - 16, record, sizeof(record));
	free(data);
}

/* Cut off anywhere, with lengths and sums put right: never signed, and unsigned only where nothing of the signature is
 * left. */
static void
test_cut_off_anywhere(void **state)
{
	struct anchor_check check = fixture_check();
	static struct outcome o;
	size_t len;
	uint8_t *data = fixture_read("all/good-rsa.pkg", &len);

	(void)state;
	assert_non_null(data);
	for (size_t n = 64 + 128 + 1; n < len; n++) {
		fixture_mend(data, n);
		judge_bytes(data, n, &check, &o);
		if (o.found[0].signature == SIGNATURE_VALID || !strcmp(o.failed, "none") != (n == 64 + 128 + 33 + 200))
			fail_msg("cut to %zu of %zu bytes: %s", n, len, o.why);
	}
	free(data);
}

/* Every byte of the object changed, with the sums put right: refused, but for the record's eight that say nothing. */
static void
test_touched_anywhere(void **state)
{
	struct anchor_check check = fixture_check();
	static struct outcome o;
	size_t len;
	uint8_t *data = fixture_read("all/good-rsa.pkg", &len);

	(void)state;
	assert_non_null(data);
	for (size_t i = 64 + 128; i < len; i++) {
		bool ignored = i >= len - 8;

		data[i] ^= 0x10;
		fixture_mend(data, len);
		judge_bytes(data, len, &check, &o);
		if (!strcmp(o.failed, "none") != ignored)
			fail_msg("byte %zu of %zu: %s: %s", i, len, o.failed, o.why);
		data[i] ^= 0x10;
	}
	free(data);
}

static const struct {
	const char *what, *file;
	enum anchor_occasion occasion;
	int64_t now_s;
	const char *failed;
} times[] = {
    {"new, its signer's time is over", "all/signer-expired.pkg", ANCHOR_NEW, FIXTURE_NOW, "signer"},
    {"installed, its signer's time is over", "all/signer-expired.pkg", ANCHOR_INSTALLED, FIXTURE_NOW, "none"},
    {"installed, its authority's time is over", "all/signer-under-old-ca.pkg", ANCHOR_INSTALLED, FIXTURE_NOW, "none"},
    {"installed, its signer's time has not come", "all/signer-future.pkg", ANCHOR_INSTALLED, FIXTURE_NOW, "signer"},
    {"installed, its signer is revoked", "all/signer-denied.pkg", ANCHOR_INSTALLED, FIXTURE_NOW, "signer"},
    {"installed, no code signer", "all/signer-tls.pkg", ANCHOR_INSTALLED, FIXTURE_NOW, "signer"},
    {"a clock at 1970", "all/good-rsa.pkg", ANCHOR_NEW, 0, "signer"},
    {"the signer's last second", "all/signer-expired.pkg", ANCHOR_NEW, 1577836800, "none"},
    {"the second after", "all/signer-expired.pkg", ANCHOR_NEW, 1577836801, "signer"},
    {"the signer's first second", "all/good-rsa.pkg", ANCHOR_NEW, 1577836800, "none"},
    {"the second before", "all/good-rsa.pkg", ANCHOR_NEW, 1577836799, "signer"},
};

static void
test_times(void **state)
{
	static struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct anchor_check check = fixture_check();

		check.occasion = times[i].occasion;
		check.now_s = times[i].now_s;
		judge_file(times[i].file, &check, &o);
		if (strcmp(o.failed, times[i].failed))
			fail_msg("%s: %s: %s", times[i].what, o.failed, o.why);
	}
}

/* Nobody is revoked without a list, so that the case above is about the list. */
static void
test_revoked_by_list_only(void **state)
{
	struct anchor_check check = fixture_check();
	static struct outcome o;

	(void)state;
	check.denied = NULL;
	judge_file("all/signer-denied.pkg", &check, &o);
	assert_string_equal(o.failed, "none");
}

/* The file shrinks after its headers were read. */
static void
test_file_shrinks(void **state)
{
	struct anchor_check check = fixture_check();
	struct container c;
	struct finding f;
	size_t len;
	uint8_t *data = fixture_read("all/good-unsigned.pkg", &len);
	int fd = fixture_memory(data, len);

	(void)state;
	assert_int_equal(container_read(fd, &c, NULL), 0);
	assert_int_equal(ftruncate(fd, (off_t)len - 20), 0);
	assert_int_equal(verify_object(fd, &c.objects[0], &check, &f), 0);
	assert_int_equal(f.signature, SIGNATURE_BAD);
	assert_non_null(strstr(f.why.text, "the file's end found"));
	close(fd);
	assert_int_equal(verify_object(-1, &c.objects[0], &check, &f), -EBADF);
	assert_int_equal(f.signature, SIGNATURE_BAD);
	free(data);
}

/* While it is read it is copied, whole, and then only the copy is looked at: the source may be gone. */
static void
test_copied_while_read(void **state)
{
	struct anchor_check check = fixture_check();
	struct verify *v = NULL;
	struct container c;
	size_t len;
	uint8_t *data, *copy;
	int fd, copy_fd = fixture_memory("", 0), rc, steps = 0;

	(void)state;
	assert_int_equal(fixture_mkpkg("-o %s/large.pkg --zlib --raw-len 3000000 idsetdb"), 0);
	data = fixture_read("large.pkg", &len);
	fd = fixture_memory(data, len);
	assert_int_equal(container_read(fd, &c, NULL), 0);
	assert_int_equal(verify_new(fd, &c.objects[0], &check, copy_fd, &v, NULL), 0);
	while ((rc = verify_read(v)) > 0)
		steps++;
	assert_int_equal(rc, 0);
	assert_int_equal(verify_finding(v)->signature, SIGNATURE_VALID);
	assert_int_equal(verify_progress(v), c.objects[0].len);
	assert_int_equal(ftruncate(fd, 0), 0);
	while ((rc = verify_unpack(v, NULL, NULL)) > 0) {
		/* not good before it has been looked at */
		assert_int_equal(verify_finding(v)->signature, SIGNATURE_BAD);
		steps++;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(verify_finding(v)->signature, SIGNATURE_VALID);
	assert_int_equal(verify_finding(v)->unpacked_len, 3000000 - 33);
	assert_true(steps > 5);
	verify_free(v);
	copy = malloc(len);
	assert_int_equal(pread(copy_fd, copy, len, 0), c.objects[0].len);
	assert_memory_equal(copy, data + c.objects[0].at, c.objects[0].len);
	free(copy);
	free(data);
	close(fd);
	close(copy_fd);
}

static int
start(void **state)
{
	(void)state;
	return fixture_start();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hostile_cases),           cmocka_unit_test(test_good_ones),
	    cmocka_unit_test(test_arithmetic_of_the_guide), cmocka_unit_test(test_cut_off_anywhere),
	    cmocka_unit_test(test_touched_anywhere),        cmocka_unit_test(test_times),
	    cmocka_unit_test(test_revoked_by_list_only),    cmocka_unit_test(test_file_shrinks),
	    cmocka_unit_test(test_copied_while_read),
	};

	return cmocka_run_group_tests(tests, start, fixture_stop);
}
