/* trustlist/cert: who a certificate says it is, and what the verify callback makes of a chain. */
#include "trustlist/cert.h"

#include <errno.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"

/* Made by test/unit/make-certs; the tests run from the top of the source tree. */
#define CERTS "test/unit/certs/"
#define MANAGER "FMG-VM0000000001"

enum { NOW = 1767225600, IN_2022 = 1640995200, IN_2005 = 1104537600 };

/* The library's clock: it must make no difference. */
static time_t system_clock;

time_t
time(time_t *out)
{
	if (out)
		*out = system_clock;
	return system_clock;
}

static void
load_crt(mbedtls_x509_crt *crt, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), CERTS "%s.pem", name);
	if (mbedtls_x509_crt_parse_file(crt, path))
		fail_msg("cannot read %s", path);
}

struct verdict {
	struct cert_check check;
	int rc;
	uint32_t flags;
	char why[320];
};

/* As a handshake does it: the library builds the chain and calls back. `alone`: it does not know of the CRL. */
static struct verdict
verify_with(const char *manager, const char *ca, const char *crl, int64_t now_s, bool alone)
{
	struct verdict v;
	mbedtls_x509_crt chain, anchors;
	mbedtls_x509_crl list;
	char path[128];

	mbedtls_x509_crt_init(&chain);
	mbedtls_x509_crt_init(&anchors);
	mbedtls_x509_crl_init(&list);
	load_crt(&chain, manager);
	load_crt(&anchors, ca);
	cert_check_init(&v.check, now_s);
	v.check.anchors = &anchors;
	v.check.anchors_name = "ca.pem";
	if (crl) {
		snprintf(path, sizeof(path), CERTS "%s.pem", crl);
		assert_int_equal(mbedtls_x509_crl_parse_file(&list, path), 0);
		v.check.crl = &list;
	}
	v.rc = mbedtls_x509_crt_verify_with_profile(&chain, &anchors, crl && !alone ? &list : NULL, cert_profile(),
						    NULL, &v.flags, cert_verify_cb, &v.check);
	cert_why(v.why, sizeof(v.why), &v.check);
	mbedtls_x509_crl_free(&list);
	mbedtls_x509_crt_free(&anchors);
	mbedtls_x509_crt_free(&chain);
	return v;
}

static struct verdict
verify(const char *manager, const char *ca, const char *crl, int64_t now_s)
{
	return verify_with(manager, ca, crl, now_s, false);
}

static const struct chain_case {
	const char *what, *manager, *ca, *crl;
	int64_t now_s;
	uint32_t flags;
	const char *why;
	bool stale, missing;
} chain_cases[] = {
    {.what = "expired at the time given",
     .manager = "manager-expired",
     .flags = MBEDTLS_X509_BADCERT_EXPIRED,
     .why = "certificate O=Unit, CN=FMG-VM0000000001: expired on 2023-12-31 23:59:59 (judged at 2026-01-01 00:00:00)"},
    {.what = "not yet valid",
     .manager = "manager-future",
     .flags = MBEDTLS_X509_BADCERT_FUTURE,
     .why = "not valid before 2090-01-01 00:00:00 (judged at 2026-01-01 00:00:00)"},
    {.what = "another CA",
     .manager = "manager-other",
     .flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
     .why = "issued by O=Unit, CN=Other CA, not by a CA in ca.pem"},
    {.what = "another CA of the same name",
     .manager = "manager-twin",
     .flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
     .why = "issued by O=Unit, CN=Unit CA, not by a CA in ca.pem"},
    {.what = "intermediate without its root",
     .manager = "manager-inter",
     .ca = "other-ca",
     .flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
     .why = "CA certificate O=Unit, CN=Inter CA: issued by O=Unit, CN=Unit CA, not by a CA in ca.pem"},
    {.what = "intermediate expired",
     .manager = "manager-short",
     .flags = MBEDTLS_X509_BADCERT_EXPIRED,
     .why = "CA certificate O=Unit, CN=Short CA: expired on 2021-01-01"},
    {.what = "CA expired",
     .manager = "manager",
     .ca = "old-ca",
     .flags = MBEDTLS_X509_BADCERT_EXPIRED,
     .why = "CA certificate O=Unit, CN=Unit CA: expired on 2010-12-31"},
    {.what = "self-signed, unknown",
     .manager = "manager-self",
     .flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
     .why = "not by a CA in ca.pem"},
    {.what = "self-signed, in the CA file",
     .manager = "manager-self",
     .ca = "manager-self",
     .flags = MBEDTLS_X509_BADCERT_OTHER,
     .why = "self-signed, a certificate issued by a CA expected"},
    {.what = "revoked",
     .manager = "manager-revoked",
     .crl = "crl",
     .flags = MBEDTLS_X509_BADCERT_REVOKED,
     .why = "revoked by O=Unit, CN=Unit CA"},
    {.what = "revoked in a CRL that lapsed",
     .manager = "manager-revoked",
     .crl = "crl-stale",
     .flags = MBEDTLS_X509_BADCERT_REVOKED,
     .why = "revoked",
     .stale = true},
    {.what = "revoked as of a later day",
     .manager = "manager-revoked",
     .crl = "crl-later",
     .flags = MBEDTLS_X509_BADCERT_REVOKED,
     .why = "revoked"},
    {.what = "CRL signed by another key",
     .manager = "manager",
     .crl = "crl-forged",
     .flags = MBEDTLS_X509_BADCRL_NOT_TRUSTED,
     .why = "the CRL in its issuer's name was not signed by its issuer"},
    {.what = "client certificate",
     .manager = "manager-clientonly",
     .flags = MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
     .why = "extendedKeyUsage lacks serverAuth"},
    {.what = "anyExtendedKeyUsage is not serverAuth",
     .manager = "manager-anyeku",
     .flags = MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
     .why = "extendedKeyUsage lacks serverAuth"},
    {.what = "key usage without signatures",
     .manager = "manager-nosign",
     .flags = MBEDTLS_X509_BADCERT_KEY_USAGE,
     .why = "keyUsage lacks digitalSignature"},
    {.what = "signed with SHA-1",
     .manager = "manager-sha1",
     .flags = MBEDTLS_X509_BADCERT_BAD_MD,
     .why = "weak digest"},
    {.what = "signed with SHA-224",
     .manager = "manager-sha224",
     .flags = MBEDTLS_X509_BADCERT_BAD_MD,
     .why = "weak digest"},
    {.what = "RSA of 1024 bits",
     .manager = "manager-weak",
     .flags = MBEDTLS_X509_BADCERT_BAD_KEY,
     .why = "RSA of 2048 bits or more"},
    {.what = "a device with serverAuth",
     .manager = "poser",
     .flags = MBEDTLS_X509_BADCERT_OTHER,
     .why = "serial FGVM010000000099 is not a manager's, FMG… expected"},
    {.what = "a device",
     .manager = "device",
     .flags = MBEDTLS_X509_BADCERT_OTHER | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
     .why = "is not a manager's, FMG… expected; its extendedKeyUsage lacks serverAuth"},
    {.what = "no serial",
     .manager = "no-serial",
     .flags = MBEDTLS_X509_BADCERT_OTHER,
     .why = "neither CN nor a DNS name is a serial number"},
    {.what = "two CNs", .manager = "manager-twocn", .flags = MBEDTLS_X509_BADCERT_OTHER, .why = "several CNs"},
    {.what = "two serials among the DNS names",
     .manager = "manager-san2",
     .flags = MBEDTLS_X509_BADCERT_OTHER,
     .why = "several serial numbers"},
    {.what = "good", .manager = "manager"},
    {.what = "good, RSA", .manager = "manager-rsa"},
    {.what = "good, without extensions", .manager = "manager-plain"},
    {.what = "good, by DNS name", .manager = "manager-san"},
    {.what = "good, DNS name without CN", .manager = "manager-nocn"},
    {.what = "good, by an intermediate", .manager = "manager-inter"},
    {.what = "good, CRL that does not name it", .manager = "manager", .crl = "crl"},
    {.what = "good, CRL that lapsed", .manager = "manager", .crl = "crl-stale", .stale = true},
    {.what = "good, CRL of another CA", .manager = "manager", .crl = "crl-other", .missing = true},
    {.what = "good, no CRL of the intermediate", .manager = "manager-inter", .crl = "crl", .missing = true},
    {.what = "good, expired CA beside its renewal", .manager = "manager", .ca = "both-ca"},
    {.what = "good at a time when it had not expired", .manager = "manager-expired", .now_s = IN_2022},
};

static void
chain_is_judged(void **state)
{
	/* lost power, a little slow, right, far ahead */
	static const time_t clocks[] = {0, IN_2005, NOW, 4102444800};

	(void)state;
	for (size_t i = 0; i < sizeof(chain_cases) / sizeof(chain_cases[0]); i++) {
		const struct chain_case *t = &chain_cases[i];

		for (size_t k = 0; k < sizeof(clocks) / sizeof(clocks[0]); k++) {
			struct verdict v;

			system_clock = clocks[k];
			v = verify(t->manager, t->ca ? t->ca : "ca", t->crl, t->now_s ? t->now_s : NOW);
			if (v.flags != t->flags || v.check.flags != t->flags || !v.rc != !t->flags || !v.check.seen)
				fail_msg("%s (clock %ld): flags 0x%x, expected 0x%x: %s", t->what, (long)clocks[k],
					 v.flags, t->flags, v.why);
			if (!strstr(v.why, t->why ? t->why : "") || !v.why[0] != !t->flags)
				fail_msg("%s: says \"%s\"", t->what, v.why);
			if (v.check.crl_stale != t->stale || v.check.crl_missing != t->missing)
				fail_msg("%s: stale %d, missing %d", t->what, v.check.crl_stale, v.check.crl_missing);
			if (!t->flags && strcmp(v.check.facts.serial, MANAGER) != 0)
				fail_msg("%s: serial %s", t->what, v.check.facts.serial);
		}
	}
}

/* The digest of a certificate's public key, by another way than the code's: written anew from the parsed key. */
static void
key_digest(const char *name, char out[CERT_DIGEST_TEXT])
{
	unsigned char der[600];
	mbedtls_x509_crt crt;
	int n;

	mbedtls_x509_crt_init(&crt);
	load_crt(&crt, name);
	n = mbedtls_pk_write_pubkey_der(&crt.pk, der, sizeof(der));
	assert_true(n > 0);
	assert_int_equal(crypto_sha256_text(der + sizeof(der) - n, (size_t)n, out), 0);
	mbedtls_x509_crt_free(&crt);
}

static void
issuer_is_a_key(void **state)
{
	static const struct {
		const char *what, *manager, *ca, *own, *issuer;
	} cases[] = {
	    {"by the root", "manager", "ca", "manager", "ca"},
	    {"renewed: another key, the same issuer", "manager-renewed", "ca", "manager-renewed", "ca"},
	    {"renewed CA: the same issuer", "manager", "both-ca", "manager", "ca"},
	    {"by the intermediate, not the root", "manager-inter", "ca", "manager", "inter-ca"},
	    {"another issuer of the same name", "manager-twin", "twin-ca", "manager", "twin-ca"},
	    {"unknown issuer: none", "manager-twin", "ca", "manager", NULL},
	    {"unknown root: none", "manager-inter", "other-ca", "manager", NULL},
	};

	(void)state;
	system_clock = NOW;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict v = verify(cases[i].manager, cases[i].ca, NULL, NOW);
		char own[CERT_DIGEST_TEXT], issuer[CERT_DIGEST_TEXT] = "";

		key_digest(cases[i].own, own);
		if (cases[i].issuer)
			key_digest(cases[i].issuer, issuer);
		if (strcmp(own, v.check.facts.key) != 0 || strcmp(issuer, v.check.facts.issuer_key) != 0)
			fail_msg("%s: key %s, issuer %s", cases[i].what, v.check.facts.key, v.check.facts.issuer_key);
	}
}

/* Whatever a release of the library makes of a revocation's date, ours does not ask. */
static void
revocation_does_not_depend_on_the_library(void **state)
{
	static const char *const lists[] = {"crl", "crl-stale", "crl-later"};

	(void)state;
	system_clock = NOW;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct verdict v = verify_with("manager-revoked", "ca", lists[i], NOW, true);

		assert_int_equal(v.flags, MBEDTLS_X509_BADCERT_REVOKED);
		v = verify_with("manager", "ca", lists[i], NOW, true);
		assert_int_equal(v.flags, 0);
	}
}

static void
check_starts_failed(void **state)
{
	struct cert_check c;
	char why[64], tiny[8];

	(void)state;
	cert_check_init(&c, NOW);
	assert_false(c.seen);
	assert_int_equal(c.flags, ~0U);
	assert_string_equal(cert_why(why, sizeof(why), &c), "no certificate was presented");
	assert_string_equal(cert_why(tiny, sizeof(tiny), &c), "no cert");
	c.flags = 0;
	assert_string_equal(cert_why(why, sizeof(why), &c), "");
}

/* A flag of the library's that nobody here has words for must not read as "all is well". */
static void
unknown_flag_is_told(void **state)
{
	struct verdict v;

	(void)state;
	system_clock = NOW;
	v = verify("manager", "ca", NULL, NOW);
	v.check.flags = MBEDTLS_X509_BADCERT_NS_CERT_TYPE;
	cert_why(v.why, sizeof(v.why), &v.check);
	assert_non_null(strstr(v.why, "verification flags 0x"));
}

static void
a_configured_name_is_not_compared(void **state)
{
	struct cert_check c;
	mbedtls_x509_crt chain, anchors;
	uint32_t flags;

	(void)state;
	system_clock = NOW;
	mbedtls_x509_crt_init(&chain);
	mbedtls_x509_crt_init(&anchors);
	load_crt(&chain, "manager");
	load_crt(&anchors, "ca");
	cert_check_init(&c, NOW);
	assert_int_equal(mbedtls_x509_crt_verify(&chain, &anchors, NULL, "fmg.example", &flags, cert_verify_cb, &c), 0);
	mbedtls_x509_crt_free(&anchors);
	mbedtls_x509_crt_free(&chain);
}

static void
serial_form(void **state)
{
	static const struct {
		const char *what, *text;
		bool good;
	} cases[] = {
	    {"empty", "", false},
	    {"too short", "FMG-VM0", false},
	    {"lower case", "fmg-vm0000000001", false},
	    {"another prefix", "XFMG-VM000000001", false},
	    {"blank", "FMG VM0000000001", false},
	    {"dot", "FMG-VM.000000001", false},
	    {"path", "FMG-VM/../../etc", false},
	    {"newline", "FMG-VM000000001\n", false},
	    {"33 characters", "FMG456789012345678901234567890123", false},
	    {"32 characters", "FMG45678901234567890123456789012", true},
	    {"8 characters", "FMG-VM00", true},
	    {"manager", "FMG-VM0000000001", true},
	    {"device", "FGVM010000000001", true},
	    {"hardware", "FG100FTK19000001", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cert_is_serial(cases[i].text) != cases[i].good)
			fail_msg("%s", cases[i].what);
	}
}

static char *
read_fixture(const char *name, size_t *len)
{
	char path[128];
	char *text = NULL;

	snprintf(path, sizeof(path), CERTS "%s", name);
	assert_int_equal(file_read(path, 1 << 20, &text, len, NULL), 0);
	return text;
}

static void
facts_are_read(void **state)
{
	static const struct {
		const char *what, *file, *serial, *error;
		bool manager, server_auth, signs;
	} cases[] = {
	    {"two CNs", "manager-twocn.pem", .error = "several CNs"},
	    {"two serials among the DNS names", "manager-san2.pem", .error = "several serial numbers"},
	    {"a key", "leaf.key", .error = "not a certificate"},
	    {"a CRL", "crl.der", .error = "not a certificate"},
	    {"no serial", "no-serial.pem", "", NULL, false, true, true},
	    {"PEM", "device.pem", "FGVM010000000001", NULL, false, false, true},
	    {"DER", "device.der", "FGVM010000000001", NULL, false, false, true},
	    {"manager", "manager.pem", MANAGER, NULL, true, true, true},
	    {"chain: the first", "manager-inter.pem", MANAGER, NULL, true, true, true},
	    {"CN before DNS name", "manager-cnsan.pem", MANAGER, NULL, true, true, true},
	    {"DNS name", "manager-san.pem", MANAGER, NULL, true, true, true},
	    {"no extensions", "manager-plain.pem", MANAGER, NULL, true, true, true},
	    {"any EKU", "manager-anyeku.pem", MANAGER, NULL, true, false, true},
	    {"no signatures", "manager-nosign.pem", MANAGER, NULL, true, true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_facts f = {.serial = "untouched"};
		struct err e = ERR_NONE;
		size_t len = 0;
		char *data = read_fixture(cases[i].file, &len);
		int rc = cert_read_bytes(data, len, &f, &e);

		free(data);
		if (cases[i].error) {
			if (rc != -EINVAL || !strstr(e.text, cases[i].error) || strcmp(f.serial, "untouched") != 0)
				fail_msg("%s: %d \"%s\"", cases[i].what, rc, e.text);
		} else if (rc || strcmp(f.serial, cases[i].serial) != 0 || f.manager != cases[i].manager ||
			   f.server_auth != cases[i].server_auth || f.signs != cases[i].signs) {
			fail_msg("%s: %d %s serial %s", cases[i].what, rc, e.text, f.serial);
		}
	}
}

static void
names_and_dates_are_read(void **state)
{
	struct cert_facts f;
	size_t len = 0;
	char *data = read_fixture("manager-expired.pem", &len);

	(void)state;
	assert_int_equal(cert_read_bytes(data, len, &f, NULL), 0);
	free(data);
	assert_string_equal(f.subject, "O=Unit, CN=" MANAGER);
	assert_string_equal(f.issuer, "O=Unit, CN=Unit CA");
	assert_int_equal(f.not_before_s, 1577836800); /* 2020-01-01 00:00:00 */
	assert_int_equal(f.not_after_s, 1704067199);  /* 2023-12-31 23:59:59 */
	assert_string_equal(f.issuer_key, "");
}

/* Replaces the first `old` in a DER certificate by as many bytes; the signature plays no part in reading. */
static int
read_altered(const char *old, const char *new, struct cert_facts *f, struct err *e)
{
	size_t len = 0;
	char *data = read_fixture("device.der", &len);
	char *at = memmem(data, len, old, strlen(old));
	int rc;

	assert_non_null(at);
	memcpy(at, new, strlen(old));
	rc = cert_read_bytes(data, len, f, e);
	free(data);
	return rc;
}

static void
hostile_names(void **state)
{
	struct cert_facts f = {0};
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(read_altered("FGVM010000000001", "FGVM0100\0.evil.x", &f, &e), -EINVAL);
	assert_string_equal(e.text, "the subject's CN holds a NUL byte");
	/* an escape sequence for somebody's terminal: no serial, and harmless in what is shown */
	assert_int_equal(read_altered("FGVM010000000001", "FGVM01\033]0;owned\a", &f, NULL), 0);
	assert_string_equal(f.serial, "");
	for (const char *p = f.subject; *p; p++)
		assert_true(*p >= ' ' && *p <= '~');
}

/* Every truncation, and every byte changed, is read or refused, never more. */
static void
damaged_bytes(void **state)
{
	struct cert_facts f;
	size_t len = 0;
	char *data = read_fixture("device.der", &len);

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(cert_read_bytes(data, n, &f, NULL), -EINVAL);
	for (size_t i = 0; i < len; i++) {
		char keep = data[i];

		data[i] = (char)~keep;
		(void)cert_read_bytes(data, len, &f, NULL);
		data[i] = keep;
	}
	assert_int_equal(cert_read_bytes(data, len, &f, NULL), 0);
	free(data);
}

static int
start(void **state)
{
	(void)state;
	return crypto_start();
}

static int
stop(void **state)
{
	(void)state;
	crypto_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chain_is_judged),
	    cmocka_unit_test(issuer_is_a_key),
	    cmocka_unit_test(revocation_does_not_depend_on_the_library),
	    cmocka_unit_test(check_starts_failed),
	    cmocka_unit_test(unknown_flag_is_told),
	    cmocka_unit_test(a_configured_name_is_not_compared),
	    cmocka_unit_test(serial_form),
	    cmocka_unit_test(facts_are_read),
	    cmocka_unit_test(names_and_dates_are_read),
	    cmocka_unit_test(hostile_names),
	    cmocka_unit_test(damaged_bytes),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
