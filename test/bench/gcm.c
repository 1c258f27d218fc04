/* gcm: how fast AES-GCM is in the libraries that could stand behind mbedTLS, beside mbedTLS itself.
 *
 * One line for each key size, record size and direction, in MB/s of one core: the median of ROUNDS, the libraries in
 * turn within each round so that all of them meet the same neighbours. Then what each library adds to the memory of a
 * process. Used for the choice of GCM=; no part of the product.
 */
#include <mbedtls/gcm.h>
#include <nettle/gcm.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 5, SLICE_MS = 40, RECORD_MAX = 16384, AAD_BYTES = 13, IV_BYTES = 12, TAG_BYTES = 16 };

/* One library with a key. Both functions work in place, as the record layer does, and return 0. */
struct engine {
	const char *name;
	void *(*make)(unsigned bits, const uint8_t *key); /* NULL where the library has no such key size */
	int (*seal)(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag);
	int (*open)(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag);
};

static void
die(const char *what)
{
	fprintf(stderr, "gcm: %s\n", what);
	exit(EXIT_FAILURE);
}

static void *
get(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) / 64 * 64);

	if (!p)
		die("no memory");
	memset(p, 0, size);
	return p;
}

/* --- mbedTLS ------------------------------------------------------------------------------------------------------ */

static void *
stock_make(unsigned bits, const uint8_t *key)
{
	mbedtls_gcm_context *c = get(sizeof(*c));

	mbedtls_gcm_init(c);
	return mbedtls_gcm_setkey(c, MBEDTLS_CIPHER_ID_AES, key, bits) ? NULL : c;
}

static int
stock_seal(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	return mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_ENCRYPT, len, iv, IV_BYTES, aad, AAD_BYTES, data, data,
					 TAG_BYTES, tag);
}

static int
stock_open(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	return mbedtls_gcm_auth_decrypt(ctx, len, iv, IV_BYTES, aad, AAD_BYTES, tag, TAG_BYTES, data, data);
}

/* --- libcrypto ---------------------------------------------------------------------------------------------------- */

struct evp {
	EVP_CIPHER_CTX *seal, *open;
};

static void *
evp_make(unsigned bits, const uint8_t *key)
{
	const EVP_CIPHER *cipher = bits == 128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	struct evp *c = get(sizeof(*c));

	c->seal = EVP_CIPHER_CTX_new();
	c->open = EVP_CIPHER_CTX_new();
	if (!c->seal || !c->open || !EVP_EncryptInit_ex(c->seal, cipher, NULL, key, NULL) ||
	    !EVP_DecryptInit_ex(c->open, cipher, NULL, key, NULL))
		return NULL;
	return c;
}

static int
evp_seal(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = ((struct evp *)ctx)->seal;
	int n;

	return EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv) && EVP_EncryptUpdate(c, NULL, &n, aad, AAD_BYTES) &&
		       EVP_EncryptUpdate(c, data, &n, data, (int)len) && EVP_EncryptFinal_ex(c, data, &n) &&
		       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag)
		   ? 0
		   : -1;
}

static int
evp_open(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = ((struct evp *)ctx)->open;
	int n;

	return EVP_DecryptInit_ex(c, NULL, NULL, NULL, iv) && EVP_DecryptUpdate(c, NULL, &n, aad, AAD_BYTES) &&
		       EVP_DecryptUpdate(c, data, &n, data, (int)len) &&
		       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) && EVP_DecryptFinal_ex(c, data, &n)
		   ? 0
		   : -1;
}

/* --- nettle ------------------------------------------------------------------------------------------------------- */

struct nettle {
	struct gcm_key hash;
	struct gcm_ctx gcm;
	nettle_cipher_func *encrypt;
	union {
		struct aes128_ctx aes128;
		struct aes256_ctx aes256;
	} key;
};

static void *
nettle_make(unsigned bits, const uint8_t *key)
{
	struct nettle *c = get(sizeof(*c));

	if (bits == 128) {
		aes128_set_encrypt_key(&c->key.aes128, key);
		c->encrypt = (nettle_cipher_func *)aes128_encrypt;
	} else {
		aes256_set_encrypt_key(&c->key.aes256, key);
		c->encrypt = (nettle_cipher_func *)aes256_encrypt;
	}
	gcm_set_key(&c->hash, &c->key, c->encrypt);
	return c;
}

static int
nettle_seal(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	struct nettle *c = ctx;

	gcm_set_iv(&c->gcm, &c->hash, IV_BYTES, iv);
	gcm_update(&c->gcm, &c->hash, AAD_BYTES, aad);
	gcm_encrypt(&c->gcm, &c->hash, &c->key, c->encrypt, len, data, data);
	gcm_digest(&c->gcm, &c->hash, &c->key, c->encrypt, TAG_BYTES, tag);
	return 0;
}

static int
nettle_open(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	struct nettle *c = ctx;
	uint8_t own[TAG_BYTES];

	gcm_set_iv(&c->gcm, &c->hash, IV_BYTES, iv);
	gcm_update(&c->gcm, &c->hash, AAD_BYTES, aad);
	gcm_decrypt(&c->gcm, &c->hash, &c->key, c->encrypt, len, data, data);
	gcm_digest(&c->gcm, &c->hash, &c->key, c->encrypt, TAG_BYTES, own);
	return memcmp(own, tag, TAG_BYTES);
}

/* --- libsodium ---------------------------------------------------------------------------------------------------- */

static void *
sodium_make(unsigned bits, const uint8_t *key)
{
	crypto_aead_aes256gcm_state *c = get(sizeof(*c));

	if (bits != 256 || sodium_init() < 0 || !crypto_aead_aes256gcm_is_available())
		return NULL;
	crypto_aead_aes256gcm_beforenm(c, key);
	return c;
}

static int
sodium_seal(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	return crypto_aead_aes256gcm_encrypt_detached_afternm(data, tag, NULL, data, len, aad, AAD_BYTES, NULL, iv,
							      ctx);
}

static int
sodium_open(void *ctx, uint8_t *data, size_t len, const uint8_t *iv, const uint8_t *aad, uint8_t *tag)
{
	return crypto_aead_aes256gcm_decrypt_detached_afternm(data, NULL, data, len, tag, aad, AAD_BYTES, iv, ctx);
}

static const struct engine engines[] = {
    {"mbedTLS", stock_make, stock_seal, stock_open},
    {"libcrypto", evp_make, evp_seal, evp_open},
    {"nettle", nettle_make, nettle_seal, nettle_open},
    {"libsodium", sodium_make, sodium_seal, sodium_open},
};
enum { ENGINES = sizeof(engines) / sizeof(engines[0]) };

/* --- measuring ---------------------------------------------------------------------------------------------------- */

/* Processor time, not wall time: other programs of this machine do not count. */
static double
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* MB/s. The record to open is the same one each time: sealed once, copied in before each call, as it comes from the
 * network. */
static double
rate(const struct engine *e, void *ctx, bool seal, size_t len)
{
	static uint8_t data[RECORD_MAX], sealed[RECORD_MAX];
	uint8_t iv[IV_BYTES] = {1}, aad[AAD_BYTES] = {2}, tag[TAG_BYTES];
	double began, spent;
	size_t n = 0;

	memset(data, 3, len);
	if (e->seal(ctx, data, len, iv, aad, tag))
		die(e->name);
	memcpy(sealed, data, len);
	began = cpu_ms();
	do {
		for (int i = 0; i < 16; i++) {
			if (!seal)
				memcpy(data, sealed, len);
			if (seal ? e->seal(ctx, data, len, iv, aad, tag) : e->open(ctx, data, len, iv, aad, tag))
				die(e->name);
		}
		n += 16;
		spent = cpu_ms() - began;
	} while (spent < SLICE_MS);
	return (double)(n * len) / 1e3 / spent;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
compare(unsigned bits, size_t len, bool seal)
{
	static const uint8_t key[32] = {9};
	double seen[ENGINES][ROUNDS];
	void *ctx[ENGINES];

	for (size_t i = 0; i < ENGINES; i++)
		ctx[i] = engines[i].make(bits, key);
	for (int r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < ENGINES; i++)
			seen[i][r] = ctx[i] ? rate(&engines[i], ctx[i], seal, len) : 0;
	}
	printf("AES-%u  %5zu bytes  %-4s", bits, len, seal ? "seal" : "open");
	for (size_t i = 0; i < ENGINES; i++) {
		qsort(seen[i], ROUNDS, sizeof(seen[i][0]), ascending);
		if (ctx[i])
			printf("  %9.0f", seen[i][ROUNDS / 2]);
		else
			printf("  %9s", "-");
	}
	printf("\n");
}

/* Resident memory of this process in kB: all of it, or only what it has written to. */
static long
memory(const char *which)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	long kb = 0;

	if (!f)
		die("/proc/self/smaps_rollup cannot be read");
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, which, strlen(which)))
			kb = strtol(line + strlen(which), NULL, 10);
	}
	fclose(f);
	return kb;
}

/* What the first two keys and records add. In a child, for libraries keep what they made. The pages that merely
 * linking a library costs are not in it: see the daemon's own figures for those. */
static void
memory_of(const struct engine *e)
{
	static const uint8_t key[32] = {9};
	long all = memory("Rss:"), written = memory("Private_Dirty:");
	void *a, *b;

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	all = memory("Rss:");
	written = memory("Private_Dirty:");
	a = e->make(256, key);
	b = e->make(256, key);
	if (!a || !b)
		die(e->name);
	rate(e, a, true, RECORD_MAX);
	rate(e, b, false, RECORD_MAX);
	printf("%-10s %6ld kB resident, %5ld kB of it written\n", e->name, memory("Rss:") - all,
	       memory("Private_Dirty:") - written);
	fflush(stdout);
	_exit(EXIT_SUCCESS);
}

int
main(void)
{
	static const size_t sizes[] = {16384, 1400, 256};

	printf("memory that two keys and the first records add\n");
	for (size_t i = 0; i < ENGINES; i++)
		memory_of(&engines[i]);
	printf("\nMB/s of one core, median of %d  ", ROUNDS);
	for (size_t i = 0; i < ENGINES; i++)
		printf("  %9s", engines[i].name);
	printf("\n");
	for (unsigned bits = 128; bits <= 256; bits += 128) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			compare(bits, sizes[i], true);
			compare(bits, sizes[i], false);
		}
	}
	return EXIT_SUCCESS;
}
