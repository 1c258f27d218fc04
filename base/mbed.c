#include "base/mbed.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/md5.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "base/crypto.h"
#include "base/gcm.h"
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

/* The functions that return a result have had two names. */
#if MBEDTLS_VERSION_MAJOR >= 3
#define md5_starts mbedtls_md5_starts
#define md5_update mbedtls_md5_update
#define md5_finish mbedtls_md5_finish
#else
#define md5_starts mbedtls_md5_starts_ret
#define md5_update mbedtls_md5_update_ret
#define md5_finish mbedtls_md5_finish_ret
#endif

/* The library's state is words and bytes without pointers: it may be kept and copied as such. */
_Static_assert(sizeof(mbedtls_md5_context) <= sizeof(struct crypto_md5), "an MD5 state fits");

int
crypto_md5_start(struct crypto_md5 *m)
{
	mbedtls_md5_context c;

	mbedtls_md5_init(&c);
	if (md5_starts(&c))
		return -EIO;
	memcpy(m->state, &c, sizeof(c));
	return 0;
}

int
crypto_md5_add(struct crypto_md5 *m, const void *data, size_t len)
{
	mbedtls_md5_context c;

	memcpy(&c, m->state, sizeof(c));
	if (md5_update(&c, data, len))
		return -EIO;
	memcpy(m->state, &c, sizeof(c));
	return 0;
}

int
crypto_md5_end(const struct crypto_md5 *m, uint8_t out[MD5_BYTES])
{
	mbedtls_md5_context c;

	memcpy(&c, m->state, sizeof(c));
	return md5_finish(&c, out) ? -EIO : 0;
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

size_t
mbed_input_size(const char *data, size_t len)
{
	return strstr(data, "-----BEGIN ") ? len + 1 : len;
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

bool
mbed_key_matches(const struct mbedtls_pk_context *public_key, const struct mbedtls_pk_context *private_key)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return !mbedtls_pk_check_pair(public_key, private_key, mbed_random, NULL);
#else
	return !mbedtls_pk_check_pair(public_key, private_key);
#endif
}

bool
mbed_is_ca(const struct mbedtls_x509_crt *crt)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_x509_crt_get_ca_istrue(crt) == 1;
#else
	return crt->ca_istrue == 1;
#endif
}

bool
mbed_has_fast_aes(void)
{
	if (gcm_is_replaced())
		return true;
#if defined(MBEDTLS_AESNI_C) && (defined(__x86_64__) || defined(__i386__))
	return __builtin_cpu_supports("aes");
#elif defined(MBEDTLS_AESCE_C) && defined(__aarch64__)
	enum { ARM64_HWCAP_AES = 1 << 3 }; /* HWCAP_AES of the kernel's asm/hwcap.h */

	return getauxval(AT_HWCAP) & ARM64_HWCAP_AES;
#else
	return false;
#endif
}

#if MBEDTLS_VERSION_MAJOR >= 3
#define SIGNATURES_NOT_PSS                                                                                             \
	MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,                          \
	    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,                            \
	    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512

void
mbed_conf_strength(struct mbedtls_ssl_config *conf)
{
	static const uint16_t groups[] = {
	    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
	    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
	};
	/* PKCS #1 before PSS: a peer that speaks TLS 1.2 takes the first it can, and 3.6 then refuses PSS, which it
	 * offered for 1.3 only */
	static const uint16_t signatures[] = {
	    SIGNATURES_NOT_PSS,
	    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
	    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
	    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
	    MBEDTLS_TLS1_3_SIG_NONE,
	};

	mbedtls_ssl_conf_groups(conf, groups);
	mbedtls_ssl_conf_sig_algs(conf, signatures);
	mbedtls_ssl_conf_dhm_min_bitlen(conf, 2048);
}
#else
void
mbed_conf_strength(struct mbedtls_ssl_config *conf)
{
	static const mbedtls_ecp_group_id curves[] = {
	    MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
	    MBEDTLS_ECP_DP_SECP521R1,  MBEDTLS_ECP_DP_NONE,
	};
	static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512, MBEDTLS_MD_NONE};

	mbedtls_ssl_conf_curves(conf, curves);
	mbedtls_ssl_conf_sig_hashes(conf, hashes);
	mbedtls_ssl_conf_dhm_min_bitlen(conf, 2048);
}
#endif

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
mbed_is_pss_refused(const struct mbedtls_ssl_context *ssl, int rc)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return rc == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER &&
	       mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_2;
#else
	(void)ssl;
	(void)rc;
	return false;
#endif
}

void
mbed_conf_pkcs1(struct mbedtls_ssl_config *conf)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	static const uint16_t signatures[] = {SIGNATURES_NOT_PSS, MBEDTLS_TLS1_3_SIG_NONE};

	mbedtls_ssl_conf_sig_algs(conf, signatures);
	mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	(void)conf;
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

bool
mbed_is_version_refused(int rc)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return rc == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION;
#else
	return rc == MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION;
#endif
}

int
mbed_last_alert(const struct mbedtls_ssl_context *ssl)
{
	/* level, then description; neither version has a function for it */
#if MBEDTLS_VERSION_MAJOR >= 3
	return ssl->MBEDTLS_PRIVATE(in_msg)[1];
#else
	return ssl->in_msg[1];
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
