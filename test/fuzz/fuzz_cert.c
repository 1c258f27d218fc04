/* fuzz_cert: certificates as a hostile peer may send them: the facts read, and a walk as the verify callback sees it.
 *
 * Beyond memory errors it checks what the rest of the program relies on: a serial is none or well-formed, and what is
 * shown to people is printable. The seeds are certificates of test/unit/certs, most of them in DER.
 */
#include <mbedtls/x509_crt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mbed.h"
#include "trustlist/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			abort();
	}
}

static void
check_facts(const struct cert_facts *f)
{
	if (f->serial[0] ? !cert_is_serial(f->serial) : f->manager)
		abort();
	check_text(f->subject);
	check_text(f->issuer);
}

static void
walk(mbedtls_x509_crt *chain)
{
	struct cert_check c;
	char why[320];
	int depth = 0;

	cert_check_init(&c, 1767225600);
	c.anchors = chain;
	for (const mbedtls_x509_crt *crt = chain; crt->next; crt = crt->next)
		depth++;
	for (; depth >= 0; depth--) {
		mbedtls_x509_crt *crt = chain;
		uint32_t flags = 0;

		for (int i = 0; i < depth; i++)
			crt = crt->next;
		if (cert_verify_cb(&c, crt, depth, &flags))
			abort();
	}
	if (!c.seen || (!c.flags && !c.facts.manager))
		abort();
	check_facts(&c.facts);
	cert_why(why, sizeof(why), &c);
	if (!why[0] != !c.flags)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cert_facts facts;
	struct err e = ERR_NONE;
	mbedtls_x509_crt chain;
	char *copy;

	if (cert_read_bytes(data, size, &facts, &e))
		check_text(e.text);
	else
		check_facts(&facts);
	copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	mbedtls_x509_crt_init(&chain);
	if (!mbedtls_x509_crt_parse(&chain, (const unsigned char *)copy, mbed_input_size(copy, size)))
		walk(&chain);
	mbedtls_x509_crt_free(&chain);
	free(copy);
	return 0;
}
