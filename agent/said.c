#include "agent/said.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

void
said_init(struct said *s, const char *kind, const char *path, unsigned mask, size_t max)
{
	const char *slash = strrchr(path, '/');

	*s = (struct said){.fd = -1, .mask = mask, .kind = kind, .max = max};
	snprintf(s->name, sizeof(s->name), "%s", slash ? slash + 1 : path);
}

static void
end_line(struct said *s)
{
	if (!s->len)
		return;
	text_escape(s->last, sizeof(s->last), s->line, s->len);
	log_debug(s->mask, "[%s] %s: %s", s->kind, s->name, s->last);
	s->len = 0;
}

static void
take(struct said *s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n')
			s->line[s->len++] = bytes[i];
		if (bytes[i] == '\n' || s->len == sizeof(s->line))
			end_line(s);
	}
}

int
said_read(struct said *s, struct err *e)
{
	char bytes[4096];
	ssize_t n = read(s->fd, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		said_close(s);
		return 0;
	}
	take(s, bytes, (size_t)n);
	s->bytes += (size_t)n;
	if (s->bytes > s->max)
		return err_set(e, -EMSGSIZE, "more than %zu bytes on standard error", s->max);
	return 0;
}

void
said_close(struct said *s)
{
	end_line(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
