#include "base/mbed.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/crypto.h"
#include "base/text.h"

int
crypto_start(void)
{
	return psa_crypto_init() == PSA_SUCCESS ? 0 : -EIO;
}

void
crypto_stop(void)
{
	mbedtls_psa_crypto_free();
}

static int
digest(mbedtls_md_type_t type, const void *data, size_t len, uint8_t *out)
{
	const mbedtls_md_info_t *info = mbedtls_md_info_from_type(type);

	return info && !mbedtls_md(info, data, len, out) ? 0 : -EIO;
}

int
crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES])
{
	return digest(MBEDTLS_MD_SHA256, data, len, out);
}

int
crypto_md5(const void *data, size_t len, uint8_t out[MD5_BYTES])
{
	return digest(MBEDTLS_MD_MD5, data, len, out);
}

int
crypto_sha256_text(const void *data, size_t len, char out[SHA256_TEXT])
{
	uint8_t raw[SHA256_BYTES];
	int rc = crypto_sha256(data, len, raw);

	if (rc)
		return rc;
	text_hex(out, SHA256_TEXT, raw, sizeof(raw));
	return 0;
}

int
crypto_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
mbed_random(void *ctx, unsigned char *out, size_t len)
{
	(void)ctx;
	return crypto_random(out, len) ? MBEDTLS_ERR_ERROR_GENERIC_ERROR : 0;
}

int
mbed_parse_key(struct mbedtls_pk_context *pk, const unsigned char *key, size_t len)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_parse_key(pk, key, len, NULL, 0, mbed_random, NULL);
#else
	return mbedtls_pk_parse_key(pk, key, len, NULL, 0);
#endif
}

void
mbed_conf_versions(struct mbedtls_ssl_config *conf)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

bool
mbed_call_again(int rc)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
	return rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
#else
	(void)rc;
	return false;
#endif
}

char *
mbed_strerror(char *dst, size_t size, int rc)
{
	char text[160];

	mbedtls_strerror(rc, text, sizeof(text));
	snprintf(dst, size, "%s (-0x%04x)", text, (unsigned)-rc);
	return dst;
}

char *
mbed_version(char *dst, size_t size)
{
	char text[18] = "";

	mbedtls_version_get_string(text);
	snprintf(dst, size, "%s", text);
	return dst;
}
