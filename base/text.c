#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int
text_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size) {
		dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, n + 1);
	return 0;
}

/* The escaped form of one byte; at most 4 characters. */
static size_t
escape_byte(char out[5], unsigned char c)
{
	static const char named[][2] = {{'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\\', '\\'}};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (c == (unsigned char)named[i][0]) {
			out[0] = '\\';
			out[1] = named[i][1];
			return 2;
		}
	}
	if (c >= 0x20 && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	return (size_t)snprintf(out, 5, "\\x%02x", c);
}

char *
text_escape(char *dst, size_t size, const void *src, size_t len)
{
	const unsigned char *p = src;
	const size_t tail = sizeof("...") - 1;
	size_t used = 0, cut = 0; /* cut: the last place between two bytes that leaves room for the dots */
	char one[5];

	if (!size)
		return dst;
	for (size_t i = 0; i < len; i++) {
		size_t n = escape_byte(one, p[i]);

		if (used + n >= size) {
			used = cut;
			if (used + tail < size) {
				memcpy(dst + used, "...", tail);
				used += tail;
			}
			break;
		}
		memcpy(dst + used, one, n);
		used += n;
		if (used + tail < size)
			cut = used;
	}
	dst[used] = '\0';
	return dst;
}

size_t
text_utf8(const char *p, size_t len)
{
	static const struct {
		unsigned char first, last, low, high; /* of the first byte, of the second */
		size_t span;
	} forms[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const unsigned char *u = (const unsigned char *)p;

	if (len && *u < 0x80)
		return 1;
	for (size_t i = 0; len > 1 && i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t k = 2;

		if (*u < forms[i].first || *u > forms[i].last)
			continue;
		if (forms[i].span > len || u[1] < forms[i].low || u[1] > forms[i].high)
			return 0;
		while (k < forms[i].span && u[k] >= 0x80 && u[k] <= 0xbf)
			k++;
		return k == forms[i].span ? k : 0;
	}
	return 0;
}

int
text_u64(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		uint64_t digit;

		if (*s < '0' || *s > '9')
			return -EINVAL;
		digit = (uint64_t)(*s - '0');
		if (v > max / 10 || (v == max / 10 && digit > max % 10))
			return -ERANGE;
		v = v * 10 + digit;
	}
	*out = v;
	return 0;
}

int
text_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *s == '-' && min < 0;
	/* one more below zero than above it */
	uint64_t v, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	int rc = text_u64(s + (negative ? 1 : 0), most, &v);
	int64_t n;

	if (rc)
		return rc;
	n = !negative ? (int64_t)v : v == most ? INT64_MIN : -(int64_t)v;
	if (n < min || n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

char *
text_hex(char *dst, size_t size, const void *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = src;
	size_t used = 0;

	if (!size)
		return dst;
	for (size_t i = 0; i < len && used + 2 < size; i++) {
		dst[used++] = digits[p[i] >> 4];
		dst[used++] = digits[p[i] & 15];
	}
	dst[used] = '\0';
	return dst;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
text_unhex(void *dst, size_t len, const char *hex)
{
	unsigned char *p = dst;

	if (strlen(hex) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (hex_digit(hex[2 * i]) < 0 || hex_digit(hex[2 * i + 1]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return 0;
}

char *
text_base64(char *dst, size_t size, const void *src, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = src;
	char *out = dst;

	if (size < 4 * ((len + 2) / 3) + 1)
		len = 0;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = n > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[v & 63] : '=';
	}
	if (size)
		*out = '\0';
	return dst;
}

char *
text_utc(char *dst, size_t size, int64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(dst, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(dst, size, "@%" PRId64, s);
	return dst;
}

char *
text_span(char *dst, size_t size, int64_t s)
{
	int64_t days = s / 86400;

	s %= 86400;
	if (days)
		snprintf(dst, size, "%" PRId64 "d %02d:%02d:%02d", days, (int)(s / 3600), (int)(s / 60 % 60),
			 (int)(s % 60));
	else
		snprintf(dst, size, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
	return dst;
}
