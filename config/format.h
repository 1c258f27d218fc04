/* format: named forms of text that schema files may ask for: "port-range", "time", "uuid" … Each has one canonical
 * text, which is what a tree keeps.
 */
#ifndef CONFIG_FORMAT_H
#define CONFIG_FORMAT_H

#include <stdbool.h>

enum attr_format {
	FORMAT_FREE,        /* any text */
	FORMAT_ADDRESS,     /* IPv4 or IPv6 */
	FORMAT_LINE,        /* text on one line */
	FORMAT_FQDN,        /* a name of dots and labels; the first may be "*" */
	FORMAT_HOST,        /* an address or a name */
	FORMAT_IPV4_RANGE,  /* A.B.C.D or A.B.C.D-A.B.C.D */
	FORMAT_MAC_RANGE,   /* a MAC address or two with "-" between */
	FORMAT_PORT_RANGE,  /* PORT[-PORT][:PORT[-PORT]], destination and source */
	FORMAT_PORTS,       /* PORT[-PORT] */
	FORMAT_TIME,        /* hh:mm */
	FORMAT_UPDATE_TIME, /* hh:mm; minute 60: a random one */
	FORMAT_UUID,
};

enum { FORMAT_TEXT = 256, FORMAT_MAC_TEXT = 18 };

/* By its name in a schema file: 0 or -ENOENT. */
int format_find(const char *name, enum attr_format *out);

/* The canonical text of `word`: CLI_OK, or the code of the CLI for a value that is not of the form; then
 * format_expected() says in words what is. Not for FORMAT_FREE. */
int format_canonical(enum attr_format f, const char *word, char dst[FORMAT_TEXT]);
const char *format_expected(enum attr_format f);

/* Whether its values are printed in quotes, as texts are. */
bool format_is_quoted(enum attr_format f);

/* Lower-case "xx:xx:xx:xx:xx:xx" out of exactly that with either case: 0 or -EINVAL. */
int format_mac(const char *word, char dst[FORMAT_MAC_TEXT]);

#endif
