/* base/gcm_nettle: the standard's test cases by the interface alone, and what its callers rely on. */
// wrap: calloc
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/gcm_cipher.h"

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* "The Galois/Counter Mode of Operation", McGrew and Viega, 2005, appendix B. The tag covers the cipher text. */
static const char key_1[] = "0000000000000000000000000000000000000000000000000000000000000000";
static const char key_3[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char text_3[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24"
			     "49a6b525b16aedf5aa0de657ba637b391aafd255";
static const char aad_4[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char iv_6[] =
    "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b5254"
    "16aedbf5a0de6a57a637b39b";
static const struct {
	const char *what;
	unsigned bits;
	const char *key, *iv, *aad, *text;
	size_t len;
	const char *tag;
} rows[] = {
    {"1", 128, key_1, "000000000000000000000000", "", "", 0, "58e2fccefa7e3061367f1d57a4e7455a"},
    {"2", 128, key_1, "000000000000000000000000", "", key_1, 16, "ab6e47d42cec13bdf53a67b21257bddf"},
    {"3", 128, key_3, "cafebabefacedbaddecaf888", "", text_3, 64, "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"4", 128, key_3, "cafebabefacedbaddecaf888", aad_4, text_3, 60, "5bc94fbc3221a5db94fae95ae7121a47"},
    {"5", 128, key_3, "cafebabefacedbad", aad_4, text_3, 60, "3612d2e79e3b0785561be14aaca2fccb"},
    {"6", 128, key_3, iv_6, aad_4, text_3, 60, "619cc5aefffe0bfa462af43c1699d050"},
    {"7", 192, key_1, "000000000000000000000000", "", "", 0, "cd33b28ac773f74ba00ed1f312572435"},
    {"8", 192, key_1, "000000000000000000000000", "", key_1, 16, "2ff58d80033927ab8ef4d4587514f0fb"},
    {"9", 192, key_3, "cafebabefacedbaddecaf888", "", text_3, 64, "9924a7c8587336bfb118024db8674a14"},
    {"10", 192, key_3, "cafebabefacedbaddecaf888", aad_4, text_3, 60, "2519498e80f1478f37ba55bd6d27618c"},
    {"11", 192, key_3, "cafebabefacedbad", aad_4, text_3, 60, "65dcc57fcf623a24094fcca40d3533f8"},
    {"12", 192, key_3, iv_6, aad_4, text_3, 60, "dcf566ff291c25bbb8568fc3d376a6d9"},
    {"13", 256, key_1, "000000000000000000000000", "", "", 0, "530f8afbc74536b9a963b4f1c4cb738b"},
    {"14", 256, key_1, "000000000000000000000000", "", key_1, 16, "d0d1c8a799996bf0265b98b5d48ab919"},
    {"15", 256, key_3, "cafebabefacedbaddecaf888", "", text_3, 64, "b094dac5d93471bdec1a502270e3cc6c"},
    {"16", 256, key_3, "cafebabefacedbaddecaf888", aad_4, text_3, 60, "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"17", 256, key_3, "cafebabefacedbad", aad_4, text_3, 60, "3a337dbf46a792c45e454913fe2ea8f2"},
    {"18", 256, key_3, iv_6, aad_4, text_3, 60, "a44a8266ee1c8eb0c8b5d4cf5ae9f19a"},
};

static size_t
unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (; hex[2 * n] && n < size; n++) {
		char pair[3] = {hex[2 * n], hex[2 * n + 1], '\0'};

		out[n] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}

static void
test_cases_of_the_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t key[32], iv[64], aad[32], text[64], data[64], tag[GCM_TAG_BYTES], want[GCM_TAG_BYTES];
		struct gcm_message m = {.iv = iv, .aad = aad, .in = text};
		struct gcm_cipher *c;

		print_message("  test case %s\n", rows[i].what);
		unhex(rows[i].key, key, sizeof(key));
		m.iv_len = unhex(rows[i].iv, iv, sizeof(iv));
		m.aad_len = unhex(rows[i].aad, aad, sizeof(aad));
		m.len = unhex(rows[i].text, text, rows[i].len);
		assert_int_equal(m.len, rows[i].len);
		assert_int_equal(unhex(rows[i].tag, want, sizeof(want)), sizeof(want));
		assert_int_equal(gcm_cipher_new(key, rows[i].bits, &c), 0);
		gcm_cipher_seal(c, &m, data, tag);
		assert_memory_equal(tag, want, sizeof(tag));
		m.in = data;
		gcm_cipher_open(c, &m, data, tag);
		assert_memory_equal(tag, want, sizeof(tag));
		assert_memory_equal(data, text, m.len);
		gcm_cipher_free(c);
	}
}

static void
nothing_may_be_a_null_pointer(void **state)
{
	uint8_t key[16] = {0}, iv[12] = {0}, tag[GCM_TAG_BYTES], want[GCM_TAG_BYTES];
	struct gcm_message m = {.iv = iv, .iv_len = sizeof(iv)};
	struct gcm_cipher *c;

	(void)state;
	unhex(rows[0].tag, want, sizeof(want));
	assert_int_equal(gcm_cipher_new(key, 128, &c), 0);
	gcm_cipher_seal(c, &m, NULL, tag);
	assert_memory_equal(tag, want, sizeof(tag));
	gcm_cipher_open(c, &m, NULL, tag);
	assert_memory_equal(tag, want, sizeof(tag));
	gcm_cipher_free(c);
	gcm_cipher_free(NULL);
}

static void
keys_refused(void **state)
{
	static const unsigned bits[] = {0, 64, 127, 160, 512};
	struct gcm_cipher *untouched = (struct gcm_cipher *)&no_memory, *c = untouched;
	uint8_t key[64] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		assert_int_equal(gcm_cipher_new(key, bits[i], &c), -EINVAL);
	no_memory = true;
	assert_int_equal(gcm_cipher_new(key, 256, &c), -ENOMEM);
	no_memory = false;
	assert_ptr_equal(c, untouched);
	assert_string_equal(gcm_cipher_library(), "nettle");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases_of_the_specification),
	    cmocka_unit_test(nothing_may_be_a_null_pointer),
	    cmocka_unit_test(keys_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
