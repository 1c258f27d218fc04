/* package/anchor: which files are authorities. The ways to one are in test_package_verify. */
#include "package/anchor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/package_fixture.h"

static const struct {
	const char *what, *file;
	int rc;
	const char *reason;
} files[] = {
    {"a root in PEM", "pki/root.pem", 0, ""},
    {"a root in DER", "pki/root.der", 0, ""},
    {"an intermediate", "pki/inter.der", -EINVAL, "a root expected"},
    {"a signer", "pki/signer.der", -EINVAL, "a certificate with CA:TRUE expected"},
    {"a key", "pki/root.key", -EINVAL, "no certificates"},
    {"text", "pki/denylist", -EINVAL, "no certificates"},
    {"no file", "pki/nosuch", -ENOENT, "pki/nosuch"},
    {"a folder", "pki", -EISDIR, "pki"},
};

static void
test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct anchors *a = NULL;
		struct err e = ERR_NONE;
		int rc = anchors_load(fixture_path(files[i].file), &a, &e);

		if (rc != files[i].rc || !a != (rc != 0) || !strstr(e.text, files[i].reason))
			fail_msg("%s: %d, %s", files[i].what, rc, e.text);
		anchors_free(a);
	}
}

/* One that does not belong there is not skipped: the operator would think it counts. */
static void
test_bundles(void **state)
{
	struct anchors *a = NULL;
	struct err e = ERR_NONE;
	size_t len;
	char *root = (char *)fixture_read("pki/root.pem", &len), *both = malloc(2 * len + 1);

	(void)state;
	assert_non_null(root);
	memcpy(both, root, len);
	memcpy(both + len, root, len);
	assert_int_equal(anchors_parse("both", both, 2 * len, &a, &e), 0);
	anchors_free(a);
	a = NULL;
	both[len + 60] ^= 1;
	assert_int_equal(anchors_parse("both", both, 2 * len, &a, &e), -EINVAL);
	assert_non_null(strstr(e.text, "1 of the certificates cannot be read"));
	assert_int_equal(anchors_parse("empty", "", 0, &a, &e), -EINVAL);
	assert_null(a);
	free(both);
	free(root);
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_bundles)};

	return cmocka_run_group_tests(tests, start, fixture_stop);
}
