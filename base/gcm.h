/* gcm: whose AES-GCM the TLS library computes with.
 *
 * mbedTLS spends nine tenths of a loaded tunnel in its own AES-GCM. `make GCM=nettle` puts another library's behind the
 * functions mbedTLS calls for whole records, mbedtls_gcm_setkey(), _crypt_and_tag(), _auth_decrypt() and _free(), at
 * link time and with mbedTLS as the distribution built it, shared or static. Everything else stays mbedTLS's own:
 * streamed messages, other ciphers than AES, calls that it refuses or that overlap, and all of it on a processor
 * without the instructions or when the self-test fails. The default, `make GCM=stock`, replaces nothing.
 */
#ifndef BASE_GCM_H
#define BASE_GCM_H

#include <stdbool.h>

struct err;

/* Once at start, before any key is set: proves the replacement on this machine and puts it in. Without this call, and
 * after a failure, mbedTLS's own code computes. 0, also where nothing was built to replace it; -ENOTSUP when the
 * processor has no instructions for it; -EIO when the self-test fails; -ENOSYS when the TLS library does not come by
 * the functions replaced. */
int gcm_start(struct err *e);

/* True when keys set from now on are the replacement's. */
bool gcm_is_replaced(void);

/* Who computes: "mbed TLS" or the other library's name. */
const char *gcm_name(void);

#endif
