#include "config/value.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/password.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/format.h"
#include "config/reason.h"
#include "config/schema.h"

/* UTF-8 without control characters; `lines` admits the white ones. What gets past here is printed on terminals and in
 * JSON. */
static bool
is_clean(const char *s, bool lines)
{
	while (*s) {
		size_t span = text_utf8(s, TEXT_UTF8_MAX);
		unsigned char c = (unsigned char)*s;
		bool white = c == '\n' || c == '\r' || c == '\t';

		if (!span || c == 0x7f || (c < 0x20 && !(lines && white)))
			return false;
		s += span;
	}
	return true;
}

static int
put(struct buf *b, const char *text, struct err *e)
{
	return buf_put(b, text, strlen(text) + 1) ? reason_memory(e) : CLI_OK;
}

static int
pack_text(const struct schema_attr *a, const char *word, struct buf *b, struct err *e)
{
	bool lines = a->type != ATTR_REFERENCE;
	char text[FORMAT_TEXT];
	int rc;

	if (strlen(word) > a->max_length)
		return err_set(e, CLI_TOO_LONG, "value too long: attribute '%s' takes at most %zu bytes, not %zu",
			       a->name, a->max_length, strlen(word));
	if (!is_clean(word, lines))
		return reason_value(e, CLI_INVALID, a, word, "UTF-8 text without control characters");
	if (a->format == FORMAT_FREE || (!*word && !a->fallback)) /* "" is the way to none */
		return put(b, word, e);
	rc = format_canonical(a->format, word, text);
	return rc ? reason_value(e, rc, a, word, format_expected(a->format)) : put(b, text, e);
}

static int
pack_encoded(const struct schema_attr *a, const char *encoded, struct buf *b, struct err *e)
{
	struct schema_attr joined = *a;
	char *text = malloc(strlen(encoded) + sizeof("ENC "));
	int rc;

	if (!text)
		return reason_memory(e);
	strcpy(text, "ENC ");
	strcat(text, encoded);
	joined.max_length += strlen("ENC ");
	rc = pack_text(&joined, text, b, e);
	free(text);
	return rc;
}

/* What was given in clear is not kept in clear. */
static int
pack_hashed(const struct schema_attr *a, const char *clear, struct buf *b, struct err *e)
{
	char hash[PASSWORD_HASH_TEXT];
	struct buf checked = BUF_INIT(b->max);
	int rc = pack_text(a, clear, &checked, e);

	if (checked.len)
		explicit_bzero(checked.data + checked.off, checked.len);
	buf_free(&checked);
	if (rc)
		return rc;
	rc = password_hash(clear, hash);
	if (rc)
		return err_set(e, CLI_FAILED, "hashing attribute '%s': %s", a->name, strerror(-rc));
	return pack_encoded(a, hash, b, e);
}

/* "ENC text" is one value in two words. The mask that stands in for a secret must never become one. */
static int
pack_password(const struct schema_attr *a, const char *const words[], size_t n, size_t *used, struct buf *b,
	      struct err *e)
{
	bool encoded = n > 1 && !strcmp(words[0], "ENC");

	*used = encoded ? 2 : 1;
	if ((encoded && !strcmp(words[1], "***")) || !strcmp(words[0], "ENC ***"))
		return reason_value(e, CLI_INVALID, a, words[0], "a password, not its mask");
	if (encoded)
		return pack_encoded(a, words[1], b, e);
	if (a->hashed && !strncmp(words[0], "ENC ", strlen("ENC ")))
		return pack_encoded(a, words[0] + strlen("ENC "), b, e); /* both words as one: as it is stored */
	if (a->hashed && *words[0])
		return pack_hashed(a, words[0], b, e);
	return pack_text(a, words[0], b, e);
}

static int
pack_integer(const struct schema_attr *a, const char *word, struct buf *b, struct err *e)
{
	char text[32], range[80];
	int64_t v;

	if (text_i64(word, a->min, a->max, &v)) {
		snprintf(range, sizeof(range), "%" PRId64 "-%" PRId64, a->min, a->max);
		return reason_value(e, CLI_INVALID, a, word, range);
	}
	snprintf(text, sizeof(text), "%" PRId64, v);
	return put(b, text, e);
}

const char *
value_option(const struct schema_attr *a, const char *word)
{
	const char *found = NULL;
	size_t len = strlen(word);

	for (size_t i = 0; len && i < a->option_count; i++) {
		const char *name = a->options[i].name;

		if (!strcmp(name, word))
			return name;
	}
	for (size_t i = 0; len && i < a->option_count; i++) {
		if (strncmp(a->options[i].name, word, len))
			continue;
		if (found)
			return NULL;
		found = a->options[i].name;
	}
	return found;
}

static int
pack_option(const struct schema_attr *a, const char *word, struct buf *b, struct err *e)
{
	const char *name = value_option(a, word);
	char known[160] = "one of";

	if (name)
		return put(b, name, e);
	for (size_t i = 0; i < a->option_count; i++) {
		size_t used = strlen(known);

		if (used + strlen(a->options[i].name) + 2 > sizeof(known) - 4) {
			strcat(known, " ...");
			break;
		}
		snprintf(known + used, sizeof(known) - used, " %s", a->options[i].name);
	}
	return reason_value(e, CLI_INVALID, a, word, known);
}

static int
bad_address(const struct schema_attr *a, const char *word, const char *expected, struct err *e)
{
	char shown[80];

	return err_set(e, CLI_BAD_ADDRESS, "invalid ip address '%s': attribute '%s' takes %s",
		       text_escape(shown, sizeof(shown), word, strlen(word)), a->name, expected);
}

/* "10.2.0.0/16", "10.2.0.0" "255.255.0.0", or both in one word as the configuration keeps them. */
static int
pack_ipv4_mask(const struct schema_attr *a, const char *const words[], size_t n, size_t *used, struct buf *b,
	       struct err *e)
{
	const char *form = "A.B.C.D M.M.M.M or A.B.C.D/N", *mask = strchr(words[0], ' ');
	char host[ADDR_TEXT], text[ADDR_TEXT];
	struct addr addr;
	size_t len = strcspn(words[0], " ");

	*used = 1;
	if (strchr(words[0], '/')) {
		if (addr_parse_prefix(words[0], &addr) || addr.family != AF_INET)
			return bad_address(a, words[0], form, e);
		return put(b, addr_and_mask(text, &addr), e);
	}
	if (len >= sizeof(host))
		return bad_address(a, words[0], form, e);
	memcpy(host, words[0], len);
	host[len] = '\0';
	if (addr_parse_host(host, &addr) || addr.family != AF_INET)
		return bad_address(a, words[0], form, e);
	if (!mask && n < 2)
		return reason_incomplete(e);
	if (!mask)
		*used = 2;
	mask = mask ? mask + 1 : words[1];
	if (addr_parse_mask(mask, &addr.prefix))
		return bad_address(a, mask, form, e);
	return put(b, addr_and_mask(text, &addr), e);
}

static int
pack_host(const struct schema_attr *a, const char *word, int family, struct buf *b, struct err *e)
{
	char text[ADDR_TEXT];
	struct addr addr;

	if (addr_parse_host(word, &addr) || addr.family != family)
		return bad_address(a, word, family == AF_INET ? "A.B.C.D" : "an IPv6 address", e);
	return put(b, addr_host(text, &addr), e);
}

static int
pack_ipv6_prefix(const struct schema_attr *a, const char *word, struct buf *b, struct err *e)
{
	char text[ADDR_TEXT];
	struct addr addr;

	if (addr_parse_prefix(word, &addr) || addr.family != AF_INET6)
		return bad_address(a, word, "an IPv6 prefix, ADDRESS/LENGTH", e);
	return put(b, addr_cidr(text, &addr), e);
}

static int
pack_mac(const struct schema_attr *a, const char *word, struct buf *b, struct err *e)
{
	char text[FORMAT_MAC_TEXT];

	if (format_mac(word, text))
		return reason_value(e, CLI_INVALID, a, word, "a MAC address, XX:XX:XX:XX:XX:XX");
	return put(b, text, e);
}

/* One value off the front of the words; *used of them. */
static int
pack_one(const struct schema_attr *a, const char *const words[], size_t n, size_t *used, struct buf *b, struct err *e)
{
	*used = 1;
	switch (a->type) {
	case ATTR_STRING:
	case ATTR_REFERENCE:
		return pack_text(a, words[0], b, e);
	case ATTR_PASSWORD:
		return pack_password(a, words, n, used, b, e);
	case ATTR_INTEGER:
		return pack_integer(a, words[0], b, e);
	case ATTR_OPTION:
		return pack_option(a, words[0], b, e);
	case ATTR_IPV4_MASK:
		return pack_ipv4_mask(a, words, n, used, b, e);
	case ATTR_IPV4:
		return pack_host(a, words[0], AF_INET, b, e);
	case ATTR_IPV6:
		return pack_host(a, words[0], AF_INET6, b, e);
	case ATTR_IPV6_PREFIX:
		return pack_ipv6_prefix(a, words[0], b, e);
	case ATTR_MAC:
		return pack_mac(a, words[0], b, e);
	}
	return reason_before(e, words[0]);
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that a long hostile list costs n log n. */
static int
check_each_once(const struct packed *p, struct err *e)
{
	const char **sorted, *v = NULL;
	size_t n = 0;
	int rc = CLI_OK;

	if (p->count < 2)
		return CLI_OK;
	sorted = calloc(p->count, sizeof(*sorted));
	if (!sorted)
		return reason_memory(e);
	while ((v = value_next(p->text, p->size, v)))
		sorted[n++] = v;
	qsort(sorted, n, sizeof(*sorted), compare_text);
	for (size_t i = 1; i < n && !rc; i++) {
		if (!strcmp(sorted[i - 1], sorted[i]))
			rc = reason_duplicate(e, sorted[i]);
	}
	free(sorted);
	return rc;
}

/* The words of a list into `b`; a lone "" is the empty list. */
static int
pack_list(const struct schema_attr *a, const char *const words[], size_t n, struct buf *b, size_t *count, struct err *e)
{
	size_t used;
	int rc;

	*count = 0;
	if (n == 1 && !*words[0])
		return CLI_OK;
	for (size_t i = 0; i < n; i += used, ++*count) {
		if (*count == a->max_values)
			return err_set(e, CLI_TOO_LONG, "value too long: attribute '%s' takes at most %u values",
				       a->name, a->max_values);
		if (!*words[i])
			return reason_value(e, CLI_INVALID, a, words[i], "no empty value in a list");
		rc = pack_one(a, words + i, n - i, &used, b, e);
		if (rc)
			return rc;
	}
	return CLI_OK;
}

static int
pack_words(const struct schema_attr *a, const char *const words[], size_t n, struct buf *b, size_t *count,
	   struct err *e)
{
	size_t used;
	int rc;

	if (!n)
		return reason_incomplete(e);
	if (a->list)
		return pack_list(a, words, n, b, count, e);
	rc = pack_one(a, words, n, &used, b, e);
	if (!rc && used < n)
		rc = reason_before(e, a->secret ? "***" : words[used]);
	*count = 1;
	return rc;
}

int
value_pack(const struct schema_attr *a, const char *const words[], size_t n, struct packed *out, struct err *e)
{
	struct buf b = BUF_INIT((size_t)(SCHEMA_VALUES_MAX + 1) * (SCHEMA_LENGTH_MAX + 1));
	struct packed p = {NULL, 0, 0};
	int rc = pack_words(a, words, n, &b, &p.count, e);

	if (rc)
		goto out;
	/* An exact copy: a tree keeps very many of them. */
	p.size = b.len;
	p.text = malloc(p.size ? p.size : 1);
	if (!p.text) {
		rc = reason_memory(e);
		goto out;
	}
	memcpy(p.text, buf_head(&b), p.size);
	rc = a->list ? check_each_once(&p, e) : CLI_OK;
	if (!rc) {
		*out = p;
		p.text = NULL;
	}
out:
	free(p.text);
	buf_free(&b);
	return rc;
}

int
value_key(const struct schema_attr *key, const char *word, char **out, struct err *e)
{
	struct packed p;
	int rc;

	if (!*word || !is_clean(word, false))
		return reason_value(e, CLI_INVALID, key, word, "text without control characters");
	rc = value_pack(key, &word, 1, &p, e);
	if (!rc)
		*out = p.text;
	return rc;
}

bool
value_is_default(const struct schema_attr *a, const struct packed *p)
{
	if (!a->fallback)
		return !p->count || (p->count == 1 && p->size == 1);
	return p->count == a->fallback_count && p->size == a->fallback_size && !memcmp(p->text, a->fallback, p->size);
}

const char *
value_next(const char *text, size_t size, const char *value)
{
	const char *next = value ? value + strlen(value) + 1 : text;

	return next && next < text + size ? next : NULL;
}
