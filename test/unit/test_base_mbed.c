/* base/mbed: digests against published values, random bytes that run short, keys and certificates of both forms. */
// wrap: getrandom
#include "base/mbed.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

/* Made by test/unit/make-certs; the tests run from the top of the source tree. */
#define CERTS "test/unit/certs/"

/* What the kernel does: so many interruptions, then at most `most` bytes a call, or an error. */
static struct {
	int interruptions, error;
	size_t most;
} kernel;

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

ssize_t
__wrap_getrandom(void *out, size_t len, unsigned flags)
{
	if (kernel.interruptions) {
		kernel.interruptions--;
		errno = EINTR;
		return -1;
	}
	if (kernel.error) {
		errno = kernel.error;
		return -1;
	}
	return __real_getrandom(out, kernel.most && kernel.most < len ? kernel.most : len, flags);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return crypto_start();
}

static int
tear_down(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	crypto_stop();
	return 0;
}

static void
digests(void **state)
{
	static const struct {
		const char *what, *text, *sha256, *md5;
	} rows[] = {
	    {"nothing", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	     "d41d8cd98f00b204e9800998ecf8427e"},
	    {"FIPS 180-2, RFC 1321", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	     "900150983cd24fb0d6963f7d28e17f72"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t sha256[SHA256_BYTES], md5[MD5_BYTES];
		char text[SHA256_TEXT];
		size_t len = strlen(rows[i].text);

		print_message("  %s\n", rows[i].what);
		assert_int_equal(crypto_sha256(rows[i].text, len, sha256), 0);
		assert_string_equal(text_hex(text, sizeof(text), sha256, sizeof(sha256)), rows[i].sha256);
		assert_int_equal(crypto_sha256_text(rows[i].text, len, text), 0);
		assert_string_equal(text, rows[i].sha256);
		assert_int_equal(crypto_md5(rows[i].text, len, md5), 0);
		assert_string_equal(text_hex(text, sizeof(text), md5, sizeof(md5)), rows[i].md5);
	}
}

static void
md5_goes_on_from_a_copy(void **state)
{
	static const char text[] =
	    "a text that is longer than one block of sixty-four bytes, so that the state matters";
	uint8_t whole[MD5_BYTES], parts[MD5_BYTES];
	struct crypto_md5 m, copy;

	(void)state;
	for (size_t i = 0; i <= strlen(text); i++) {
		assert_int_equal(crypto_md5_start(&m), 0);
		assert_int_equal(crypto_md5_add(&m, text, i), 0);
		copy = m;
		assert_int_equal(crypto_md5(text, i, whole), 0);
		assert_int_equal(crypto_md5_end(&m, parts), 0);
		assert_memory_equal(parts, whole, sizeof(whole));
		assert_int_equal(crypto_md5_add(&copy, text + i, strlen(text) - i), 0);
		assert_int_equal(crypto_md5(text, strlen(text), whole), 0);
		assert_int_equal(crypto_md5_end(&copy, parts), 0);
		assert_memory_equal(parts, whole, sizeof(whole));
	}
}

static void
random_bytes(void **state)
{
	static const struct {
		const char *what;
		int interruptions, error;
		size_t most, len;
		int rc;
	} rows[] = {
	    {"no such call", 0, ENOSYS, 0, 16, -ENOSYS},
	    {"an error after a signal", 2, EAGAIN, 0, 16, -EAGAIN},
	    {"signals", 3, 0, 0, 16, 0},
	    {"a few at a time", 0, 0, 3, 64, 0},
	    {"more than the kernel gives at once", 0, 0, 256, 1000, 0},
	    {"none", 0, ENOSYS, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[1008] = {0};
		size_t zeros = 0;

		print_message("  %s\n", rows[i].what);
		kernel.interruptions = rows[i].interruptions;
		kernel.error = rows[i].error;
		kernel.most = rows[i].most;
		assert_int_equal(crypto_random(bytes, rows[i].len), rows[i].rc);
		kernel.interruptions = rows[i].interruptions;
		assert_int_equal(!mbed_random(NULL, bytes, rows[i].len), !rows[i].rc);
		/* 16 zeros in a row do not happen; bytes past the end stay zero */
		for (size_t k = 0; k < rows[i].len; k++)
			zeros = bytes[k] ? 0 : zeros + 1;
		assert_true(zeros < 16 || rows[i].rc);
		for (size_t k = rows[i].len; k < rows[i].len + 8; k++)
			assert_int_equal(bytes[k], 0);
	}
}

static char *
load(const char *name, size_t *len)
{
	char path[200], *text = NULL;
	struct err e = ERR_NONE;

	snprintf(path, sizeof(path), CERTS "%s", name);
	if (file_read(path, 65536, &text, len, &e))
		fail_msg("%s", e.text);
	return text;
}

static bool
parse_key(const char *name, size_t len_of, mbedtls_pk_context *pk)
{
	size_t len;
	char *text = load(name, &len);
	int rc;

	rc = mbed_parse_key(pk, (unsigned char *)text, len_of ? len_of : mbed_input_size(text, len));
	free(text);
	return !rc;
}

static void
keys(void **state)
{
	static const struct {
		const char *what, *name;
		size_t len; /* 0: what mbed_input_size() says */
		bool parsed;
	} rows[] = {
	    {"with a pass phrase", "locked.key", 0, false},
	    {"a certificate", "device.pem", 0, false},
	    {"cut", "leaf.key.der", 20, false},
	    {"PEM without its NUL", "leaf.key", 40, false},
	    {"PEM", "leaf.key", 0, true},
	    {"DER", "leaf.key.der", 0, true},
	    {"RSA", "rsa.key", 0, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mbedtls_pk_context pk;

		print_message("  %s\n", rows[i].what);
		mbedtls_pk_init(&pk);
		assert_int_equal(parse_key(rows[i].name, rows[i].len, &pk), rows[i].parsed);
		mbedtls_pk_free(&pk);
	}
}

static void
pairs(void **state)
{
	static const struct {
		const char *what, *public_key, *private_key;
		bool match;
	} rows[] = {
	    {"another of its kind", "leaf.key", "renewed.key", false},
	    {"another kind", "rsa.key", "leaf.key", false},
	    {"the other way round", "leaf.key", "rsa.key", false},
	    {"the same", "leaf.key", "leaf.key.der", true},
	    {"the same, RSA", "rsa.key", "rsa.key", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mbedtls_pk_context a, b;

		print_message("  %s\n", rows[i].what);
		mbedtls_pk_init(&a);
		mbedtls_pk_init(&b);
		assert_true(parse_key(rows[i].public_key, 0, &a));
		assert_true(parse_key(rows[i].private_key, 0, &b));
		assert_int_equal(mbed_key_matches(&a, &b), rows[i].match);
		mbedtls_pk_free(&a);
		mbedtls_pk_free(&b);
	}
}

static void
authorities(void **state)
{
	static const struct {
		const char *what, *name;
		bool ca;
	} rows[] = {
	    {"a device", "device.der", false},
	    {"a manager", "manager.pem", false},
	    {"one that signed itself", "manager-self.pem", false},
	    {"a root", "ca.der", true},
	    {"one below it", "inter-ca.pem", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mbedtls_x509_crt crt;
		size_t len;
		char *text = load(rows[i].name, &len);

		print_message("  %s\n", rows[i].what);
		mbedtls_x509_crt_init(&crt);
		assert_int_equal(mbedtls_x509_crt_parse(&crt, (unsigned char *)text, mbed_input_size(text, len)), 0);
		assert_int_equal(mbed_is_ca(&crt), rows[i].ca);
		mbedtls_x509_crt_free(&crt);
		free(text);
	}
}

static void
input_size(void **state)
{
	(void)state;
	assert_int_equal(mbed_input_size("", 0), 0);
	assert_int_equal(mbed_input_size("\x30\x82\0-----BEGIN ", 14), 14);
	assert_int_equal(mbed_input_size("-----BEGIN CERT", 15), 16);
	assert_int_equal(mbed_input_size("words before\n-----BEGIN CERT", 28), 29);
}

/* What is offered is nothing weak: the profile's section 1. */
static void
strength(void **state)
{
	mbedtls_ssl_config conf;

	(void)state;
	mbedtls_ssl_config_init(&conf);
	mbed_conf_versions(&conf);
	mbed_conf_strength(&conf);
#if MBEDTLS_VERSION_MAJOR >= 3
	assert_int_equal(conf.MBEDTLS_PRIVATE(min_tls_version), MBEDTLS_SSL_VERSION_TLS1_2);
	assert_int_equal(conf.MBEDTLS_PRIVATE(dhm_min_bitlen), 2048);
	for (const uint16_t *s = conf.MBEDTLS_PRIVATE(sig_algs); *s; s++) {
		assert_int_not_equal(*s, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA1);
		assert_int_not_equal(*s, MBEDTLS_TLS1_3_SIG_ECDSA_SHA1);
	}
	for (const uint16_t *g = conf.MBEDTLS_PRIVATE(group_list); *g; g++)
		assert_int_not_equal(*g, MBEDTLS_SSL_IANA_TLS_GROUP_SECP192R1);
#else
	assert_int_equal(conf.min_major_ver, MBEDTLS_SSL_MAJOR_VERSION_3);
	assert_int_equal(conf.min_minor_ver, MBEDTLS_SSL_MINOR_VERSION_3);
	assert_int_equal(conf.dhm_min_bitlen, 2048);
	for (const int *h = conf.sig_hashes; *h != MBEDTLS_MD_NONE; h++)
		assert_true(*h >= MBEDTLS_MD_SHA256);
	for (const mbedtls_ecp_group_id *g = conf.curve_list; *g != MBEDTLS_ECP_DP_NONE; g++)
		assert_true(*g == MBEDTLS_ECP_DP_CURVE25519 || mbedtls_ecp_curve_info_from_grp_id(*g)->bit_size >= 256);
#endif
	mbedtls_ssl_config_free(&conf);
}

static void
return_codes(void **state)
{
	char text[200], cut[8];

	(void)state;
	assert_false(mbed_call_again(0));
	assert_false(mbed_call_again(MBEDTLS_ERR_SSL_WANT_READ));
	assert_false(mbed_call_again(MBEDTLS_ERR_SSL_CONN_EOF));
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
	assert_true(mbed_call_again(MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET));
#endif
	assert_false(mbed_is_version_refused(0));
	assert_false(mbed_is_version_refused(MBEDTLS_ERR_SSL_CONN_EOF));
	mbed_strerror(text, sizeof(text), MBEDTLS_ERR_SSL_CONN_EOF);
	assert_non_null(strstr(text, "(-0x7280)"));
	assert_true(strlen(text) > strlen(" (-0x7280)"));
	mbed_strerror(cut, sizeof(cut), MBEDTLS_ERR_SSL_CONN_EOF);
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

static void
version(void **state)
{
	char text[20], expected[20];

	(void)state;
	snprintf(expected, sizeof(expected), "%d.%d.", MBEDTLS_VERSION_MAJOR, MBEDTLS_VERSION_MINOR);
	assert_memory_equal(mbed_version(text, sizeof(text)), expected, strlen(expected));
	assert_string_equal(mbed_version(text, 2), MBEDTLS_VERSION_MAJOR == 2 ? "2" : "3");
}

#define WITH_CRYPTO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_CRYPTO(digests),      WITH_CRYPTO(md5_goes_on_from_a_copy),
	    WITH_CRYPTO(random_bytes), WITH_CRYPTO(keys),
	    WITH_CRYPTO(pairs),        WITH_CRYPTO(authorities),
	    WITH_CRYPTO(input_size),   WITH_CRYPTO(strength),
	    WITH_CRYPTO(return_codes), WITH_CRYPTO(version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
