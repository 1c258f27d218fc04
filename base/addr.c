#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static uint8_t
full_prefix(int family)
{
	return family == AF_INET ? 32 : 128;
}

int
addr_parse_host(const char *s, struct addr *out)
{
	struct addr a = {.family = strchr(s, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(a.family, s, a.bytes) != 1)
		return -EINVAL;
	a.prefix = full_prefix(a.family);
	*out = a;
	return 0;
}

int
addr_parse_prefix(const char *s, struct addr *out)
{
	const char *slash = strchr(s, '/');
	char host[ADDR_TEXT];
	struct addr a;
	uint64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, (size_t)(slash - s));
	host[slash - s] = '\0';
	if (addr_parse_host(host, &a) || text_u64(slash + 1, full_prefix(a.family), &bits))
		return -EINVAL;
	a.prefix = (uint8_t)bits;
	*out = a;
	return 0;
}

int
addr_parse_mask(const char *s, uint8_t *prefix)
{
	struct in_addr in;
	uint32_t mask, zeros;

	if (inet_pton(AF_INET, s, &in) != 1)
		return -EINVAL;
	mask = ntohl(in.s_addr);
	zeros = ~mask;
	if (zeros & (zeros + 1))
		return -EINVAL;
	*prefix = (uint8_t)__builtin_popcount(mask);
	return 0;
}

int
addr_parse_and_mask(const char *s, struct addr *out)
{
	const char *space = strchr(s, ' ');
	char host[ADDR_TEXT];
	struct addr a;

	if (!space || (size_t)(space - s) >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, (size_t)(space - s));
	host[space - s] = '\0';
	if (addr_parse_host(host, &a) || a.family != AF_INET || addr_parse_mask(space + 1, &a.prefix))
		return -EINVAL;
	*out = a;
	return 0;
}

bool
addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return !memcmp(a->bytes, zero, a->family == AF_INET ? 4 : 16);
}

bool
addr_same_host(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, a->family == AF_INET ? 4 : 16);
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && a->prefix == b->prefix;
}

bool
addr_covers(const struct addr *net, const struct addr *host)
{
	unsigned whole = net->prefix / 8, rest = net->prefix % 8;

	if (net->family != host->family || memcmp(net->bytes, host->bytes, whole))
		return false;
	return !rest || !((net->bytes[whole] ^ host->bytes[whole]) >> (8 - rest));
}

char *
addr_host(char dst[ADDR_TEXT], const struct addr *a)
{
	if (!a->family || !inet_ntop(a->family, a->bytes, dst, ADDR_TEXT))
		dst[0] = '\0';
	return dst;
}

char *
addr_cidr(char dst[ADDR_TEXT], const struct addr *a)
{
	size_t n;

	addr_host(dst, a);
	n = strlen(dst);
	snprintf(dst + n, ADDR_TEXT - n, "/%u", a->prefix);
	return dst;
}

char *
addr_and_mask(char dst[ADDR_TEXT], const struct addr *a)
{
	uint32_t mask = htonl(a->prefix ? UINT32_MAX << (32 - a->prefix) : 0);
	char text[INET_ADDRSTRLEN];
	size_t n;

	addr_host(dst, a);
	n = strlen(dst);
	snprintf(dst + n, ADDR_TEXT - n, " %s", inet_ntop(AF_INET, &mask, text, sizeof(text)));
	return dst;
}
