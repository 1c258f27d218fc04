/* What libmicrohttpd, linked without the GnuTLS it was built with (Makefile, MHD_ARCHIVE), refers to at its start: it
 * initialises that library in a constructor, whatever it serves. All its other calls into it are for HTTPS, which is
 * never asked for here, and have no target.
 */
#include <stddef.h>

int gnutls_global_init(void);
void gnutls_global_deinit(void);
extern void *(*gnutls_malloc)(size_t);

static void *
none(size_t size)
{
	(void)size;
	return NULL;
}

void *(*gnutls_malloc)(size_t) = none;

int
gnutls_global_init(void)
{
	return -1250; /* GNUTLS_E_UNIMPLEMENTED_FEATURE */
}

void
gnutls_global_deinit(void)
{
}
