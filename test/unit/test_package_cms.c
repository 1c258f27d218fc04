/* package/cms: what is accepted, openssl accepts; and a signature that was touched anywhere is refused. */
#include "package/cms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "package/container.h"
#include "package/object.h"
#include "test/unit/package_fixture.h"

/* Raw bytes and signature of a good package's only object. */
struct signed_object {
	uint8_t *file; /* owned */
	struct der raw, cms;
};

static void
load(const char *name, struct signed_object *s)
{
	struct container c;
	struct object_parts parts;
	bool is_signed = false;
	size_t len;
	int fd;

	s->file = fixture_read(name, &len);
	assert_non_null(s->file);
	fd = fixture_memory(s->file, len);
	assert_int_equal(container_read(fd, &c, NULL), 0);
	assert_int_equal(object_divide(fd, &c.objects[0], &parts, &is_signed, NULL), 0);
	close(fd);
	assert_true(is_signed);
	s->raw = (struct der){s->file + c.objects[0].at, parts.raw_len};
	s->cms = (struct der){s->raw.p + s->raw.len, parts.cms_len};
}

static int
verify(struct der raw, struct der der, struct err *e)
{
	struct anchor_check check = fixture_check();
	enum cms_step step = CMS_STEP_DIGEST;
	uint8_t digest[CMS_DIGEST_MAX];
	struct anchor_signer signer;
	struct cms_hash *h;
	struct cms c;
	size_t len;
	int rc = cms_parse(der.p, der.len, &c, e);

	if (rc)
		return rc;
	h = cms_hash_new(c.digest);
	assert_non_null(h);
	/* in two pieces, as data come */
	assert_int_equal(cms_hash_add(h, raw.p, raw.len / 3), 0);
	assert_int_equal(cms_hash_add(h, raw.p + raw.len / 3, raw.len - raw.len / 3), 0);
	assert_int_equal(cms_hash_end(h, digest, &len), 0);
	cms_hash_free(h);
	return cms_verify(&c, digest, len, &check, &signer, &step, e);
}

/* The oracle: another program. */
static bool
openssl_accepts(struct der raw, struct der der)
{
	char command[1024], raw_path[256], cms_path[256];

	snprintf(raw_path, sizeof(raw_path), "%s", fixture_path("raw"));
	snprintf(cms_path, sizeof(cms_path), "%s", fixture_path("cms"));
	assert_int_equal(file_replace(raw_path, raw.p, raw.len, 0600, NULL, NULL), 0);
	assert_int_equal(file_replace(cms_path, der.p, der.len, 0600, NULL, NULL), 0);
	snprintf(command, sizeof(command),
		 "openssl cms -verify -binary -inform DER -in %s -content %s -CAfile %s/pki/root.pem -purpose any "
		 "-attime %d -out /dev/null 2> /dev/null",
		 cms_path, raw_path, fixture_folder, FIXTURE_NOW);
	return system(command) == 0;
}

static const char *const good[] = {
    "all/good-rsa.pkg",        "all/good-ecdsa.pkg",           "all/good-p384-sha384.pkg",
    "all/good-rsa-sha512.pkg", "all/good-direct.pkg",          "all/good-no-signing-time.pkg",
    "all/good-with-root.pkg",  "all/good-sha256-with-rsa.pkg", "all/good-zlib.pkg"};

static void
test_good_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct signed_object s;
		struct err e = ERR_NONE;

		load(good[i], &s);
		if (verify(s.raw, s.cms, &e))
			fail_msg("%s: %s", good[i], e.text);
		if (!openssl_accepts(s.raw, s.cms))
			fail_msg("%s: accepted here, not by openssl", good[i]);
		free(s.file);
	}
}

/* The oracle can say no. */
static void
test_oracle(void **state)
{
	struct signed_object s;

	(void)state;
	load(good[0], &s);
	s.file[s.raw.p - s.file + 5] ^= 1;
	assert_false(openssl_accepts(s.raw, s.cms));
	free(s.file);
}

/* Each byte of three signatures changed in three ways. Whatever would be accepted is put before openssl. */
static void
test_touched_anywhere(void **state)
{
	static const uint8_t masks[] = {0x01, 0x20, 0x80};
	static const char *const names[] = {"all/good-rsa.pkg", "all/good-sha256-with-rsa.pkg",
					    "all/good-with-root.pkg"};

	(void)state;
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		struct signed_object s;

		load(names[n], &s);
		for (size_t i = 0; i < s.cms.len * sizeof(masks); i++) {
			uint8_t *at = s.file + (s.cms.p - s.file) + i / sizeof(masks);
			struct err e = ERR_NONE;
			int rc;

			*at ^= masks[i % sizeof(masks)];
			rc = verify(s.raw, s.cms, &e);
			if (!rc && !openssl_accepts(s.raw, s.cms))
				fail_msg("%s, byte %zu ^ %02x: accepted here, not by openssl", names[n],
					 i / sizeof(masks), masks[i % sizeof(masks)]);
			if (!rc)
				fail_msg("%s, byte %zu ^ %02x: it makes no difference", names[n], i / sizeof(masks),
					 masks[i % sizeof(masks)]);
			if (rc != -EBADMSG && rc != -EACCES)
				fail_msg("%s, byte %zu: %d, %s", names[n], i / sizeof(masks), rc, e.text);
			assert_true(e.text[0]);
			*at ^= masks[i % sizeof(masks)];
		}
		free(s.file);
	}
}

/* The copy is exactly as long, so that a sanitizer sees a read behind it. */
static void
test_cut_off_anywhere(void **state)
{
	struct signed_object s;

	(void)state;
	load("all/good-ecdsa.pkg", &s);
	for (size_t len = 0; len < s.cms.len; len++) {
		uint8_t *copy = malloc(len + !len);
		struct cms c;

		memcpy(copy, s.cms.p, len);
		assert_int_equal(cms_parse(copy, len, &c, NULL), -EBADMSG);
		free(copy);
	}
	free(s.file);
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
	    cmocka_unit_test(test_good_ones),
	    cmocka_unit_test(test_oracle),
	    cmocka_unit_test(test_touched_anywhere),
	    cmocka_unit_test(test_cut_off_anywhere),
	};

	return cmocka_run_group_tests(tests, start, fixture_stop);
}
