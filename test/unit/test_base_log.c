/* base/log: who gets which line, and that nothing hostile breaks a line's form. */
// wrap: clock_wall openlog syslog __syslog_chk
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

/* What went to syslog; `priority` is that of the last line. */
static struct {
	char ident[20];
	char lines[2000];
	int priority;
} sys;

wall_t __wrap_clock_wall(void);
void __wrap_openlog(const char *ident, int option, int facility);
void __wrap_syslog(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap___syslog_chk(int priority, int flag, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

wall_t
__wrap_clock_wall(void)
{
	return (wall_t){1767225600, 5};
}

void
__wrap_openlog(const char *ident, int option, int facility)
{
	(void)option;
	assert_int_equal(facility, LOG_DAEMON);
	text_copy(sys.ident, sizeof(sys.ident), ident);
}

__attribute__((format(printf, 1, 0))) static void
take_syslog(const char *fmt, va_list ap)
{
	size_t used = strlen(sys.lines);

	vsnprintf(sys.lines + used, sizeof(sys.lines) - used, fmt, ap);
	strcat(sys.lines, "\n");
}

void
__wrap_syslog(int priority, const char *fmt, ...)
{
	va_list ap;

	sys.priority = priority;
	va_start(ap, fmt);
	take_syslog(fmt, ap);
	va_end(ap);
}

void
__wrap___syslog_chk(int priority, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	sys.priority = priority;
	va_start(ap, fmt);
	take_syslog(fmt, ap);
	va_end(ap);
}

/* Standard error goes to a file from begin to end; the end gives what was written. */
static struct {
	int was;
	FILE *file;
	char text[20000];
} captured;

static void
capture_begin(void)
{
	fflush(stderr);
	captured.was = dup(STDERR_FILENO);
	captured.file = tmpfile();
	assert_non_null(captured.file);
	dup2(fileno(captured.file), STDERR_FILENO);
}

static const char *
capture_end(void)
{
	size_t n;

	fflush(stderr);
	dup2(captured.was, STDERR_FILENO);
	close(captured.was);
	rewind(captured.file);
	n = fread(captured.text, 1, sizeof(captured.text) - 1, captured.file);
	captured.text[n] = '\0';
	fclose(captured.file);
	return captured.text;
}

struct heard {
	struct log_sink sink;
	char lines[10000];
};

static void
hear(void *ctx, const char *line)
{
	struct heard *h = ctx;

	strcat(h->lines, line);
	strcat(h->lines, "\n");
}

static int
set_up(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	log_open("test", true, false);
	log_set_mask(0);
	log_set_device("FGVM000000000001");
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static void
nobody_listens(void **state)
{
	(void)state;
	capture_begin();
	log_debug(DBG_ALL, "a");
	log_raw(DBG_ALL, "b");
	assert_string_equal(capture_end(), "");
	assert_false(log_wants(DBG_ALL | DBG_CLI));
}

static void
masks(void **state)
{
	static const struct {
		const char *what;
		unsigned mask, sink_mask, line;
		bool here, there;
	} rows[] = {
	    {"another kind", DBG_SESSION, DBG_TUNNEL, DBG_CONFIG, false, false},
	    {"only the log", DBG_SESSION, DBG_TUNNEL, DBG_SESSION, true, false},
	    {"only the sink", DBG_SESSION, DBG_TUNNEL, DBG_TUNNEL, false, true},
	    {"both", DBG_ALL, DBG_ALL, DBG_PACKET, true, true},
	    {"a line of two kinds", DBG_SESSION, DBG_ERROR, DBG_ERROR | DBG_SESSION, true, true},
	    {"commands are for shells", DBG_ALL | DBG_CLI, DBG_ALL, DBG_CLI, false, false},
	    {"a shell that asked for them", DBG_ALL | DBG_CLI, DBG_CLI, DBG_CLI, false, true},
	    {"no such kinds", ~(unsigned)(DBG_ALL | DBG_CLI), ~(unsigned)(DBG_ALL | DBG_CLI), ~0u, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heard h = {.sink = {.line = hear}};
		bool wanted;

		print_message("  %s\n", rows[i].what);
		h.sink.ctx = &h;
		log_set_mask(rows[i].mask);
		log_attach(&h.sink);
		log_sink_mask(&h.sink, rows[i].sink_mask);
		wanted = log_wants(rows[i].line);
		capture_begin();
		log_raw(rows[i].line, "%s", "x");
		log_debug(rows[i].line, "%d", 1);
		assert_string_equal(capture_end(), rows[i].here ? "x\nFGFMs: 1\n" : "");
		assert_string_equal(h.lines, rows[i].there ? "x\nFGFMs: 1\n" : "");
		assert_int_equal(wanted, rows[i].here || rows[i].there);
		assert_int_equal(log_mask(), rows[i].mask & DBG_ALL);
		log_detach(&h.sink);
		assert_int_equal(log_wants(rows[i].line), rows[i].here);
	}
}

static void
several_sinks_come_and_go(void **state)
{
	struct heard h[3] = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		h[i].sink = (struct log_sink){.mask = DBG_SESSION, .line = hear, .ctx = &h[i]};
		log_attach(&h[i].sink);
	}
	log_raw(DBG_SESSION, "1");
	log_detach(&h[1].sink);
	log_raw(DBG_SESSION, "2");
	log_detach(&h[1].sink); /* not there: nothing happens */
	log_detach(&h[2].sink);
	log_raw(DBG_SESSION, "3");
	log_detach(&h[0].sink);
	log_raw(DBG_SESSION, "4");
	assert_string_equal(h[0].lines, "1\n2\n3\n");
	assert_string_equal(h[1].lines, "1\n");
	assert_string_equal(h[2].lines, "1\n2\n");
}

static void
long_line_is_cut(void **state)
{
	static char text[20000];
	struct heard h = {.sink = {.mask = DBG_SESSION, .line = hear}};

	(void)state;
	h.sink.ctx = &h;
	log_attach(&h.sink);
	memset(text, 'x', sizeof(text) - 1);
	log_raw(DBG_SESSION, "%s", text);
	assert_int_equal(strlen(h.lines), 8191 + 1);
	h.lines[0] = '\0';
	log_debug(DBG_SESSION, "%s", text);
	assert_int_equal(strlen(h.lines), 8191 + 1);
	assert_memory_equal(h.lines, "FGFMs: xxx", 10);
	log_detach(&h.sink);
	capture_begin();
	log_say(LOG_LEVEL_ERROR, "%s", text);
	assert_int_equal(strlen(capture_end()), 8191 + 1);
}

static void
event_line(void **state)
{
	(void)state;
	capture_begin();
	log_event(EVENT_TUNNEL_UP, LOG_LEVEL_NOTICE, "Tunnel up", "manager", "FMG-VM01", "port", NULL, NULL);
	assert_string_equal(capture_end(),
			    "date=2026-01-01 time=00:00:00 eventtime=1767225600000000005 tz=\"+0000\" "
			    "logid=\"0100053400\" type=\"event\" subtype=\"system\" level=\"notice\" vd=\"root\" "
			    "devid=\"FGVM000000000001\" logdesc=\"Tunnel up\" manager=\"FMG-VM01\" port=\"\"\n");
}

static void
hostile_value(void **state)
{
	static const struct {
		const char *what, *value, *in_text, *in_json;
	} rows[] = {
	    {"quotes", "a\" level=\"b", "v=\"a\\\" level=\\\"b\"\n", "a\" level=\"b"},
	    {"a line end", "a\nb\r", "v=\"a\\nb\\r\"\n", "a\\nb\\r"},
	    {"backslash at the end", "a\\", "v=\"a\\\\\"\n", "a\\\\"},
	    {"backslash and quote", "\\\"", "v=\"\\\\\\\"\"\n", "\\\\\""},
	    {"a terminal's escape", "\x1b[2J\x9b", "v=\"\\x1b[2J\\x9b\"\n", "\\x1b[2J\\x9b"},
	    {"a format", "%s%n", "v=\"%s%n\"\n", "%s%n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line, *v = NULL;
		struct cJSON *j;

		print_message("  %s\n", rows[i].what);
		log_open("test", true, false);
		capture_begin();
		log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "d", "v", rows[i].value, NULL);
		line = capture_end();
		assert_string_equal(strstr(line, "v=\""), strstr(line, rows[i].in_text));
		log_open("test", true, true);
		capture_begin();
		log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "d", "v", rows[i].value, NULL);
		line = capture_end();
		j = json_parse(line, strlen(line), NULL);
		assert_non_null(j);
		assert_int_equal(json_get_str(j, "v", &v, NULL), 0);
		assert_string_equal(v, rows[i].in_json);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		json_free(j);
	}
}

/* Quotes that are no part of a value. */
static size_t
quotes_of(const char *line)
{
	size_t n = 0;

	for (; *line; line++) {
		if (*line == '\\')
			line++;
		else
			n += *line == '"';
	}
	return n;
}

static void
overlong_event_keeps_its_form(void **state)
{
	char value[1500];

	(void)state;
	memset(value, '"', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int json = 0; json < 2; json++) {
		const char *line;
		struct cJSON *j;

		log_open("test", true, json);
		capture_begin();
		log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "d", "a", value, "b", value, "c", value, "d", value, "e",
			  value, "f", value, "g", "x", NULL);
		line = capture_end();
		assert_true(strlen(line) <= 8192 + 3);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		assert_int_equal(quotes_of(line) % 2, 0);
		if (!json)
			continue;
		j = json_parse(line, strlen(line), NULL);
		assert_non_null(j);
		assert_non_null(json_get(j, "c"));
		json_free(j);
	}
}

static void
to_syslog(void **state)
{
	static const struct {
		enum log_level level;
		int priority;
		const char *name;
	} rows[] = {
	    {LOG_LEVEL_CRITICAL, LOG_CRIT, "critical"},  {LOG_LEVEL_ERROR, LOG_ERR, "error"},
	    {LOG_LEVEL_WARNING, LOG_WARNING, "warning"}, {LOG_LEVEL_NOTICE, LOG_NOTICE, "notice"},
	    {LOG_LEVEL_INFO, LOG_INFO, "information"},
	};
	char line[80];

	(void)state;
	log_open("fgfmd", false, false);
	assert_string_equal(sys.ident, "fgfmd");
	log_set_mask(DBG_ALL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].name);
		sys.lines[0] = '\0';
		log_say(rows[i].level, "%s", "%s%n");
		snprintf(line, sizeof(line), "fgfmd: %s: %%s%%n\n", rows[i].name);
		assert_string_equal(sys.lines, line);
		assert_int_equal(sys.priority, rows[i].priority);
		sys.lines[0] = '\0';
		log_event(EVENT_DAEMON, rows[i].level, "d", NULL);
		snprintf(line, sizeof(line), "level=\"%s\"", rows[i].name);
		assert_non_null(strstr(sys.lines, line));
		assert_int_equal(sys.priority, rows[i].priority);
	}
	capture_begin();
	log_raw(DBG_SESSION, "a");
	assert_int_equal(sys.priority, LOG_DEBUG);
	log_raw(DBG_SESSION | DBG_ERROR, "a");
	assert_int_equal(sys.priority, LOG_ERR);
	assert_string_equal(capture_end(), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(nobody_listens, set_up),
	    cmocka_unit_test_setup(masks, set_up),
	    cmocka_unit_test_setup(several_sinks_come_and_go, set_up),
	    cmocka_unit_test_setup(long_line_is_cut, set_up),
	    cmocka_unit_test_setup(event_line, set_up),
	    cmocka_unit_test_setup(hostile_value, set_up),
	    cmocka_unit_test_setup(overlong_event_keeps_its_form, set_up),
	    cmocka_unit_test_setup(to_syslog, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
