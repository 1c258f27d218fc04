#include "agent/http_head.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/text.h"

/* "HTTP/1.1 200 OK", the words being the server's own. */
static int
parse_status(const char *line, unsigned *status)
{
	const char *p = line;

	if (strncmp(p, "HTTP/", 5) != 0)
		return -EBADMSG;
	p += 5;
	p += strspn(p, "0123456789.");
	if (p == line + 5 || *p++ != ' ' || strspn(p, "0123456789") != 3 || (p[3] && p[3] != ' '))
		return -EBADMSG;
	*status = (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
	return *status < 100 ? -EBADMSG : 0;
}

static int
parse_field(struct http_head *h, const char *line)
{
	static const char name[] = "content-length:";
	uint64_t value;

	if (strncasecmp(line, name, sizeof(name) - 1) != 0)
		return 0;
	line += sizeof(name) - 1;
	line += strspn(line, " \t");
	if (text_u64(line, INT64_MAX, &value) || (h->has_length && h->length != value))
		return -EBADMSG;
	h->has_length = true;
	h->length = value;
	return 0;
}

/* Ends a line where it ends, white space before that taken off; returns the next. */
static char *
end_line(char *line)
{
	char *end = strchr(line, '\n'), *next = end + 1;

	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return next;
}

/* The head from h->begin on, all of it. */
static int
parse_head(struct http_head *h, struct err *e)
{
	char *line = h->text + h->begin, *end = h->text + h->len, *next = end_line(line);

	h->has_length = false;
	if (parse_status(line, &h->status))
		return err_set(e, -EBADMSG, "no HTTP answer: a line with a status was expected");
	for (line = next; line < end; line = next) {
		next = end_line(line);
		if (parse_field(h, line))
			return err_set(e, -EBADMSG, "an HTTP answer whose length is no number, or two");
	}
	h->complete = h->status >= 200;
	h->begin = h->len;
	return 0;
}

static bool
is_end(const struct http_head *h)
{
	const char *p = h->text + h->len;
	size_t n = h->len - h->begin;

	return (n >= 2 && !memcmp(p - 2, "\n\n", 2)) || (n >= 3 && !memcmp(p - 3, "\n\r\n", 3));
}

int
http_head_take(struct http_head *h, const void *bytes, size_t n, size_t *used, struct err *e)
{
	const char *p = bytes;
	int rc = 0;

	*used = 0;
	while (!rc && !h->complete && *used < n) {
		if (!p[*used])
			return err_set(e, -EBADMSG, "no HTTP answer: a NUL byte");
		if (h->len + 1 == sizeof(h->text))
			return err_set(e, -EMSGSIZE, "an HTTP head longer than %d bytes", HTTP_HEAD_MAX - 1);
		h->text[h->len++] = p[(*used)++];
		if (is_end(h))
			rc = parse_head(h, e);
	}
	return rc;
}
