/* addr: IPv4 and IPv6 addresses with a prefix length, as the configuration and the kernel see them. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDR_TEXT = 64 };

struct addr {
	int family;        /* AF_INET, AF_INET6, or 0: none */
	uint8_t bytes[16]; /* network order; the first 4 for IPv4 */
	uint8_t prefix;    /* bits */
};

/* "192.0.2.1" or "2001:db8::1": a full prefix. 0 or -EINVAL; strict dotted quad, no leading zeros. */
int addr_parse_host(const char *s, struct addr *out);

/* As above with "/LEN". 0 or -EINVAL. */
int addr_parse_prefix(const char *s, struct addr *out);

/* A dotted mask of contiguous ones to its length: 0 or -EINVAL. */
int addr_parse_mask(const char *s, uint8_t *prefix);

/* "ADDRESS MASK" with one space, as addr_and_mask() writes it; IPv4 only. 0 or -EINVAL. */
int addr_parse_and_mask(const char *s, struct addr *out);

bool addr_is_any(const struct addr *a);                          /* 0.0.0.0 or :: */
bool addr_equal(const struct addr *a, const struct addr *b);     /* with the prefix length */
bool addr_same_host(const struct addr *a, const struct addr *b); /* without */
bool addr_covers(const struct addr *net, const struct addr *host);

/* The address alone, "ADDRESS/LEN", and "ADDRESS MASK" (IPv4 only). Return dst. */
char *addr_host(char dst[ADDR_TEXT], const struct addr *a);
char *addr_cidr(char dst[ADDR_TEXT], const struct addr *a);
char *addr_and_mask(char dst[ADDR_TEXT], const struct addr *a);

#endif
