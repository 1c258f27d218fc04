/* text: small safe helpers for text that came from outside.
 *
 * Nothing here allocates. Every function that fills a buffer ends it with NUL and never overruns it.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies `src` into `dst` of `size` bytes. Returns 0, or -ENAMETOOLONG and leaves `dst` empty when it does not fit. */
int text_copy(char *dst, size_t size, const char *src);

/* A printable, one-line form of hostile bytes: \n, \r, \t, \\ and \xNN escapes; what does not fit is cut, with "..." at
 * the end. Valid UTF-8 is not special: bytes above 0x7e are escaped, so that a terminal cannot be driven. Returns dst.
 */
char *text_escape(char *dst, size_t size, const void *src, size_t len);

/* Bytes of the character that begins at `p`, 1…4, if it is one of valid UTF-8 (RFC 3629: no overlong forms, no
 * surrogates) within `len` bytes; otherwise 0. Text that ends with NUL may be said to be longer than it is. */
enum { TEXT_UTF8_MAX = 4 };
size_t text_utf8(const char *p, size_t len);

/* Strict decimal: digits only, no sign, no spaces, at most `max`. Returns 0 and sets *out, or -EINVAL / -ERANGE. */
int text_u64(const char *s, uint64_t max, uint64_t *out);

/* Strict decimal in min…max, an optional '-' when min is negative. Returns 0, -EINVAL or -ERANGE. */
int text_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* Lower-case hex of `len` bytes; `dst` needs 2 * len + 1 bytes. Returns dst. */
char *text_hex(char *dst, size_t size, const void *src, size_t len);

/* The reverse: exactly `len` bytes from 2 * len hex digits. Returns 0 or -EINVAL. */
int text_unhex(void *dst, size_t len, const char *hex);

/* Base64 with padding, without line ends; `dst` needs 4 * ((len + 2) / 3) + 1 bytes, else it is "". Returns dst. */
char *text_base64(char *dst, size_t size, const void *src, size_t len);

/* "yyyy-mm-dd hh:mm:ss" in UTC for seconds since 1970; for people and for files. Returns dst. */
char *text_utc(char *dst, size_t size, int64_t s);

/* "3d 04:05:06" or "04:05:06" for a span in seconds. Returns dst. */
char *text_span(char *dst, size_t size, int64_t s);

#endif
