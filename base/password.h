/* password: salted slow hashes of passwords: yescrypt, by crypt(3) of libxcrypt.
 *
 * Both calls take some tens of milliseconds and 16 MiB while they run, on purpose: whoever lets strangers ask limits
 * how often.
 */
#ifndef BASE_PASSWORD_H
#define BASE_PASSWORD_H

#include <stdbool.h>

enum { PASSWORD_HASH_TEXT = 128 };

/* "$y$…" with a salt of its own: each call gives another. 0, -EINVAL for what no hash can be of (longer than 511
 * bytes), or -errno; `out` is untouched then. */
int password_hash(const char *clear, char out[PASSWORD_HASH_TEXT]);

/* True when the hash is of this password. Takes as long when it is not, or `hash` is no such hash, or NULL: how long it
 * took tells nobody whether there is such a user. Only hashes of the cost that password_hash() chooses are looked at,
 * so that nobody can plant one that takes minutes. */
bool password_matches(const char *clear, const char *hash);

#endif
