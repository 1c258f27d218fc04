#include "base/password.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

enum { SALT_BYTES = 16, COST = 5 };

/* What a hash of COST begins with; the rest of a setting for nobody's password. */
#define PREFIX "$y$j9T$"
#define NOBODY PREFIX "uCbtGV5XhqDjnZeJmLzBz."

/* Hashes by the salt of `setting`. 0, or -errno with `out` untouched. */
static int
hash_by(const char *clear, const char *setting, char out[PASSWORD_HASH_TEXT])
{
	struct crypt_data *work = calloc(1, sizeof(*work));
	const char *text;
	int rc = 0;

	if (!work)
		return -ENOMEM;
	errno = EINVAL;
	text = crypt_rn(clear, setting, work, (int)sizeof(*work));
	if (!text)
		rc = -errno;
	else if (strlen(text) >= PASSWORD_HASH_TEXT)
		rc = -EINVAL;
	else
		strcpy(out, text);
	explicit_bzero(work, sizeof(*work));
	free(work);
	return rc;
}

int
password_hash(const char *clear, char out[PASSWORD_HASH_TEXT])
{
	char salt[SALT_BYTES], setting[CRYPT_GENSALT_OUTPUT_SIZE];
	int rc = crypto_random(salt, sizeof(salt));

	if (rc)
		return rc;
	if (!crypt_gensalt_rn("$y$", COST, salt, sizeof(salt), setting, sizeof(setting)))
		return -errno;
	return hash_by(clear, setting, out);
}

static bool
same_text(const char *a, const char *b)
{
	size_t n = strlen(a);
	unsigned char differ = 0;

	if (n != strlen(b))
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return !differ;
}

bool
password_matches(const char *clear, const char *hash)
{
	bool usable = hash && !strncmp(hash, PREFIX, strlen(PREFIX)), good = false;
	char text[PASSWORD_HASH_TEXT];

	if (!hash_by(clear, usable ? hash : NOBODY, text))
		good = usable && same_text(text, hash);
	explicit_bzero(text, sizeof(text));
	return good;
}
