#include "config/format.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/text.h"
#include "config/codes.h"

enum { LABEL_MAX = 63, MAC_BYTES = 6, HOURS = 24, MINUTES = 60, PORTS_TEXT = 16 };

/* The part of `word` before the first `c` into `left`; *right is what follows it, or NULL where there is none. */
static int
split(const char *word, char c, char *left, size_t size, const char **right)
{
	const char *at = strchr(word, c);
	size_t n = at ? (size_t)(at - word) : strlen(word);

	if (n >= size)
		return -EINVAL;
	memcpy(left, word, n);
	left[n] = '\0';
	*right = at ? at + 1 : NULL;
	return 0;
}

/* Labels of letters, digits, '-' and '_'. What ends in a label of digits is meant as an address. */
static bool
is_fqdn(const char *word, bool wildcard)
{
	bool digits = true;

	if (strlen(word) >= FORMAT_TEXT)
		return false;
	if (wildcard && !strncmp(word, "*.", 2))
		word += 2;
	for (;;) {
		size_t n = 0;

		for (digits = true; isalnum((unsigned char)word[n]) || word[n] == '-' || word[n] == '_'; n++)
			digits = digits && isdigit((unsigned char)word[n]);
		if (!n || n > LABEL_MAX || word[0] == '-' || word[n - 1] == '-' || (word[n] && word[n] != '.'))
			return false;
		if (!word[n])
			return !digits;
		word += n + 1;
	}
}

/* What a string may hold, but for the white control characters. */
static int
take_line(const char *word, char *dst)
{
	return strpbrk(word, "\n\r\t") ? -EINVAL : text_copy(dst, FORMAT_TEXT, word);
}

static int
take_fqdn(const char *word, char *dst)
{
	return is_fqdn(word, true) ? text_copy(dst, FORMAT_TEXT, word) : -EINVAL;
}

static int
take_address(const char *word, char *dst)
{
	struct addr a;

	if (addr_parse_host(word, &a))
		return -EINVAL;
	addr_host(dst, &a);
	return 0;
}

static int
take_host(const char *word, char *dst)
{
	if (!take_address(word, dst))
		return 0;
	return is_fqdn(word, false) ? text_copy(dst, FORMAT_TEXT, word) : -EINVAL;
}

static int
take_ipv4_range(const char *word, char *dst)
{
	char first[ADDR_TEXT], text[ADDR_TEXT];
	struct addr low, high;
	const char *last;

	if (split(word, '-', first, sizeof(first), &last))
		return -EINVAL;
	if (addr_parse_host(first, &low) || low.family != AF_INET)
		return -EINVAL;
	if (!last) {
		addr_host(dst, &low);
		return 0;
	}
	if (addr_parse_host(last, &high) || high.family != AF_INET || memcmp(low.bytes, high.bytes, 4) > 0)
		return -EINVAL;
	snprintf(dst, FORMAT_TEXT, "%s-%s", addr_host(first, &low), addr_host(text, &high));
	return 0;
}

int
format_mac(const char *word, char dst[FORMAT_MAC_TEXT])
{
	char hex[2 * MAC_BYTES + 1];
	uint8_t mac[MAC_BYTES];

	if (strlen(word) != FORMAT_MAC_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < MAC_BYTES; i++) {
		hex[2 * i] = word[3 * i];
		hex[2 * i + 1] = word[3 * i + 1];
		if (i < MAC_BYTES - 1 && word[3 * i + 2] != ':')
			return -EINVAL;
	}
	hex[2 * MAC_BYTES] = '\0';
	if (text_unhex(mac, sizeof(mac), hex))
		return -EINVAL;
	snprintf(dst, FORMAT_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return 0;
}

static int
take_mac_range(const char *word, char *dst)
{
	char first[FORMAT_MAC_TEXT], low[FORMAT_MAC_TEXT], high[FORMAT_MAC_TEXT];
	const char *last;

	if (split(word, '-', first, sizeof(first), &last) || format_mac(first, low))
		return -EINVAL;
	if (!last)
		return text_copy(dst, FORMAT_TEXT, low);
	/* of one length, in lower case: their order is that of their texts */
	if (format_mac(last, high) || strcmp(low, high) > 0)
		return -EINVAL;
	snprintf(dst, FORMAT_TEXT, "%s-%s", low, high);
	return 0;
}

/* "80" or "80-90"; two equal ports are one. */
static int
take_ports(const char *word, char *dst)
{
	uint64_t low, high;
	const char *last;
	char first[8];

	if (split(word, '-', first, sizeof(first), &last) || text_u64(first, UINT16_MAX, &low))
		return -EINVAL;
	high = low;
	if (last && (text_u64(last, UINT16_MAX, &high) || high < low))
		return -EINVAL;
	if (high > low)
		snprintf(dst, PORTS_TEXT, "%" PRIu64 "-%" PRIu64, low, high);
	else
		snprintf(dst, PORTS_TEXT, "%" PRIu64, low);
	return 0;
}

static int
take_port_range(const char *word, char *dst)
{
	char first[PORTS_TEXT], to[PORTS_TEXT], from[PORTS_TEXT] = "";
	const char *source;

	if (split(word, ':', first, sizeof(first), &source) || take_ports(first, to))
		return -EINVAL;
	if (source && take_ports(source, from))
		return -EINVAL;
	snprintf(dst, FORMAT_TEXT, "%s%s%s", to, source ? ":" : "", from);
	return 0;
}

static int
take_clock(const char *word, uint64_t minute_max, char *dst)
{
	uint64_t hour, minute;
	const char *rest;
	char first[3];

	if (split(word, ':', first, sizeof(first), &rest) || !rest || strlen(rest) > 2)
		return -EINVAL;
	if (text_u64(first, HOURS - 1, &hour) || text_u64(rest, minute_max, &minute))
		return -EINVAL;
	snprintf(dst, FORMAT_TEXT, "%02" PRIu64 ":%02" PRIu64, hour, minute);
	return 0;
}

static int
take_time(const char *word, char *dst)
{
	return take_clock(word, MINUTES - 1, dst);
}

static int
take_update_time(const char *word, char *dst)
{
	return take_clock(word, MINUTES, dst);
}

static int
take_uuid(const char *word, char *dst)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(word) != sizeof(form) - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(form); i++) {
		if (form[i] == 'x' ? !isxdigit((unsigned char)word[i]) : word[i] != form[i])
			return -EINVAL;
		dst[i] = (char)tolower((unsigned char)word[i]);
	}
	return 0;
}

static const struct {
	const char *name, *expected;
	int (*take)(const char *word, char *dst);
	int code; /* for what is not of the form */
	bool quoted;
} formats[] = {
    [FORMAT_FREE] = {"text", "text", NULL, CLI_INVALID, true},
    [FORMAT_ADDRESS] = {"address", "an IP address", take_address, CLI_BAD_ADDRESS, true},
    [FORMAT_LINE] = {"line", "at most 255 bytes on one line", take_line, CLI_INVALID, true},
    [FORMAT_FQDN] = {"fqdn", "a domain name", take_fqdn, CLI_INVALID, true},
    [FORMAT_HOST] = {"host", "an IP address or a domain name", take_host, CLI_INVALID, true},
    [FORMAT_IPV4_RANGE] = {"ipv4-range", "A.B.C.D or A.B.C.D-A.B.C.D", take_ipv4_range, CLI_BAD_ADDRESS, false},
    [FORMAT_MAC_RANGE] = {"mac-range", "a MAC address or two with '-' between", take_mac_range, CLI_INVALID, true},
    [FORMAT_PORT_RANGE] = {"port-range", "PORT[-PORT][:PORT[-PORT]]", take_port_range, CLI_INVALID, false},
    [FORMAT_PORTS] = {"ports", "PORT[-PORT]", take_ports, CLI_INVALID, false},
    [FORMAT_TIME] = {"time", "hh:mm", take_time, CLI_INVALID, false},
    [FORMAT_UPDATE_TIME] = {"update-time", "hh:mm, minute 60 for a random one", take_update_time, CLI_INVALID, false},
    [FORMAT_UUID] = {"uuid", "a UUID", take_uuid, CLI_INVALID, false},
};

int
format_find(const char *name, enum attr_format *out)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(formats[i].name, name)) {
			*out = (enum attr_format)i;
			return 0;
		}
	}
	return -ENOENT;
}

int
format_canonical(enum attr_format f, const char *word, char dst[FORMAT_TEXT])
{
	char text[FORMAT_TEXT];

	if (formats[f].take(word, text))
		return formats[f].code;
	memcpy(dst, text, strlen(text) + 1);
	return CLI_OK;
}

const char *
format_expected(enum attr_format f)
{
	return formats[f].expected;
}

bool
format_is_quoted(enum attr_format f)
{
	return formats[f].quoted;
}
