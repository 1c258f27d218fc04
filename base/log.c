#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 1024 };

static struct {
	bool foreground;
	bool json;
	unsigned mask;
	unsigned wanted; /* mask of every place together */
	struct log_sink *sinks;
	char serial[40];
} state = {.foreground = true};

static const struct {
	const char *name;
	int priority;
} levels[] = {
    [LOG_LEVEL_CRITICAL] = {"critical", LOG_CRIT},  [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING}, [LOG_LEVEL_NOTICE] = {"notice", LOG_NOTICE},
    [LOG_LEVEL_INFO] = {"information", LOG_INFO},
};

static void
refresh_wanted(void)
{
	state.wanted = state.mask;
	for (struct log_sink *s = state.sinks; s; s = s->next)
		state.wanted |= s->mask;
}

void
log_open(const char *ident, bool foreground, bool json)
{
	state.foreground = foreground;
	state.json = json;
	if (!foreground)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
log_set_mask(unsigned mask)
{
	state.mask = mask & DBG_ALL;
	refresh_wanted();
}

unsigned
log_mask(void)
{
	return state.mask;
}

void
log_attach(struct log_sink *s)
{
	s->next = state.sinks;
	state.sinks = s;
	refresh_wanted();
}

void
log_detach(struct log_sink *s)
{
	for (struct log_sink **p = &state.sinks; *p; p = &(*p)->next) {
		if (*p == s) {
			*p = s->next;
			break;
		}
	}
	refresh_wanted();
}

void
log_sink_mask(struct log_sink *s, unsigned mask)
{
	s->mask = mask & (DBG_ALL | DBG_CLI);
	refresh_wanted();
}

bool
log_wants(unsigned mask)
{
	return (state.wanted & mask) != 0;
}

/* The line itself, to stderr or syslog. A log that cannot be written has nowhere to complain. */
static void
write_line(int priority, const char *line)
{
	if (state.foreground)
		fprintf(stderr, "%s\n", line);
	else
		syslog(priority, "%s", line);
}

static void
spread(unsigned mask, const char *line)
{
	if (state.mask & mask)
		write_line(mask & DBG_ERROR ? LOG_ERR : LOG_DEBUG, line);
	for (struct log_sink *s = state.sinks; s; s = s->next) {
		if (s->mask & mask)
			s->line(s->ctx, line);
	}
}

void
log_debug(unsigned mask, const char *fmt, ...)
{
	static const char prefix[] = "FGFMs: ";
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (!log_wants(mask))
		return;
	memcpy(line, prefix, sizeof(prefix));
	va_start(ap, fmt);
	vsnprintf(line + sizeof(prefix) - 1, sizeof(line) - sizeof(prefix) + 1, fmt, ap);
	va_end(ap);
	spread(mask, line);
}

void
log_raw(unsigned mask, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (!log_wants(mask))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	spread(mask, line);
}

void
log_set_device(const char *serial)
{
	snprintf(state.serial, sizeof(state.serial), "%s", serial);
}

/* One pair in the form the event log uses; quotes and backslashes in a value are escaped. Whole or, once the line is
 * full, not at all: half a pair would leave a quote open. */
static void
put_pair(struct buf *b, const char *key, const char *value, bool quoted)
{
	char safe[VALUE_MAX_BYTES];
	const char *sep = b->len ? (state.json ? "," : " ") : "";
	size_t before = b->len;

	if (b->error)
		return;
	text_escape(safe, sizeof(safe), value, strlen(value));
	if (state.json)
		buf_printf(b, "%s\"%s\":\"", sep, key);
	else
		buf_printf(b, quoted ? "%s%s=\"" : "%s%s=", sep, key);
	for (const char *p = safe; *p; p++) {
		/* text_escape() doubles a backslash already; JSON knows no \xNN, so its backslash is doubled */
		if (*p == '"' || (state.json && *p == '\\'))
			buf_put(b, "\\", 1);
		buf_put(b, p, 1);
	}
	if (state.json || quoted)
		buf_put(b, "\"", 1);
	if (b->error)
		buf_cut(b, before);
}

static void
put_stamp(struct buf *b)
{
	wall_t now = clock_wall();
	time_t t = (time_t)now.s;
	struct tm tm = {0};
	char text[32];

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	put_pair(b, "date", text, false);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	put_pair(b, "time", text, false);
	snprintf(text, sizeof(text), "%" PRId64, now.s * 1000000000 + now.ns);
	put_pair(b, "eventtime", text, false);
	strftime(text, sizeof(text), "%z", &tm);
	put_pair(b, "tz", text, true);
}

void
log_event(const char *logid, enum log_level level, const char *desc, ...)
{
	struct buf b = BUF_INIT(LINE_MAX_BYTES);
	const char *key;
	va_list ap;
	char *line;

	put_stamp(&b);
	put_pair(&b, "logid", logid, true);
	put_pair(&b, "type", "event", true);
	put_pair(&b, "subtype", "system", true);
	put_pair(&b, "level", levels[level].name, true);
	put_pair(&b, "vd", "root", true);
	put_pair(&b, "devid", state.serial, true);
	put_pair(&b, "logdesc", desc, true);
	va_start(ap, desc);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);
		put_pair(&b, key, value ? value : "", true);
	}
	va_end(ap);
	line = buf_steal(&b, NULL);
	if (!line)
		return;
	if (state.json) {
		char whole[LINE_MAX_BYTES + 3];
		snprintf(whole, sizeof(whole), "{%s}", line);
		write_line(levels[level].priority, whole);
	} else {
		write_line(levels[level].priority, line);
	}
	free(line);
}

void
log_say(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "fgfmd: %s: ", levels[level].name);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	write_line(levels[level].priority, line);
}
