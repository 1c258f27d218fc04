/* replay: a scripted manager on the other side of one session, in virtual time: 900 seconds pass in none.
 *
 * A script is text, one step a line; what the session does, messages and calls to its owner, is one record, and every
 * piece of it has to be expected, in its order:
 *
 *   at 119.5                       time goes on to this second; the session is ticked whenever its deadline says so
 *   tcp | tls                      the connection's events
 *   manager get ip|key=value…      the manager sends a message (wire.h)
 *   packet 4500…                   the manager sends an IP packet, in hexadecimal
 *   lost TEXT | stop TEXT          the connection is gone | the owner wants it to end
 *   device get auth|key=value…     the next thing the session did is sending this (wire_matches())
 *   call up                        … is this call to its owner
 *   nothing                        it has done nothing more
 *   state up | privileged yes | turned-away no | channels 0
 *                                  how it stands now
 *   reason TEXT | log TEXT | nolog TEXT
 *                                  part of the reason it ended | of what was logged so far
 *   count stray-replies 1          a counter
 *   timers 120 360 32768           keep-alive, socket time-out, window
 */
#ifndef TEST_REPLAY_REPLAY_H
#define TEST_REPLAY_REPLAY_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "agent/channel.h"
#include "agent/session.h"
#include "base/log.h"
#include "test/replay/wire.h"

#define REPLAY_MANAGER "FMG-VM0000000001"
#define REPLAY_DEVICE "FGVM010000000001"
#define REPLAY_CHECKSUM "7a 87 00 11 22 33 44 55 66 77 88 99 aa bb cc dd"
#define REPLAY_PASSWORD "open-sesame"

enum { REPLAY_LINES = 8192 };

struct replay {
	struct session *session; /* owned */
	mono_t now;
	const char *name; /* of the script, for messages */

	/* the device and what it knows */
	struct session_identity identity;
	struct trust_list *list; /* borrowed */
	const char *pins[2];
	size_t pin_count;
	const char *admitted; /* by register-device */
	const char *login;    /* "USER:PASSWORD" that is right, or "locked"; NULL: the device has dialled */
	unsigned versions;    /* keep-alives heard of */
	struct cert_check peer;
	int enrol_rc;
	int send_rc; /* what sending answers */
	size_t queued;
	uint8_t packet[1500]; /* where one may be written */
	struct addr local;

	/* `get …` of a privileged manager; NULL: recorded */
	void (*request)(void *ctx, struct session *s, const struct message *m, mono_t now);
	void *request_ctx;

	char *lines[REPLAY_LINES]; /* what it did, owned */
	size_t count, seen;
	struct log_sink sink;
	struct buf log;
};

static inline void __attribute__((format(printf, 2, 3))) replay_note(struct replay *r, const char *fmt, ...)
{
	struct buf b = BUF_INIT(16 * 1024 * 1024);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (r->count == REPLAY_LINES)
		fail_msg("%s: the session does not come to rest", r->name);
	r->lines[r->count++] = buf_steal(&b, NULL);
}

/* --- the session's owner ------------------------------------------------------------------------------------------ */

static inline int
replay_send(void *ctx, struct session *s, const void *body, size_t len)
{
	struct replay *r = ctx;
	char *line;

	(void)s;
	if (r->send_rc)
		return r->send_rc;
	line = wire_line(body, len);
	replay_note(r, "> %s", line);
	free(line);
	return 0;
}

static inline uint8_t *
replay_packet_room(void *ctx, struct session *s, size_t max)
{
	struct replay *r = ctx;

	(void)s;
	return r->send_rc || max > sizeof(r->packet) ? NULL : r->packet;
}

static inline void
replay_packet_ready(void *ctx, struct session *s, size_t len)
{
	(void)s;
	replay_note(ctx, "packet out %zu", len);
}

static inline size_t
replay_queued(void *ctx, struct session *s)
{
	(void)s;
	return ((struct replay *)ctx)->queued;
}

static inline void
replay_close(void *ctx, struct session *s)
{
	(void)s;
	replay_note(ctx, "close");
}

static inline const struct cert_check *
replay_peer(void *ctx, struct session *s)
{
	(void)s;
	return &((struct replay *)ctx)->peer;
}

static inline void
replay_local(void *ctx, struct session *s, struct addr *local)
{
	(void)s;
	*local = ((struct replay *)ctx)->local;
}

static inline void
replay_identity(void *ctx, struct session *s, struct session_identity *out)
{
	struct replay *r = ctx;

	(void)s;
	*out = r->identity;
	out->registered = trust_list_count(r->list) > 0;
	out->uptime_s = r->now.ms / 1000;
}

static inline void
replay_policy(void *ctx, struct auth_policy *out)
{
	struct replay *r = ctx;

	*out =
	    (struct auth_policy){.list = r->list, .pins = r->pins, .pin_count = r->pin_count, .admitted = r->admitted};
}

static inline const char *
replay_register_password(void *ctx)
{
	return ((struct replay *)ctx)->admitted ? REPLAY_PASSWORD : NULL;
}

static inline enum auth_login
replay_login(void *ctx, struct session *s, const char *user, const char *password)
{
	const char *login = ((struct replay *)ctx)->login;
	char given[128];

	(void)s;
	snprintf(given, sizeof(given), "%s:%s", user, password);
	if (!strcmp(login, "locked"))
		return LOGIN_LOCKED;
	return strcmp(given, login) ? LOGIN_BAD : LOGIN_GOOD;
}

static inline void
replay_versions(void *ctx, struct session *s, const struct message *m)
{
	(void)s;
	(void)m;
	((struct replay *)ctx)->versions++;
}

static inline void
replay_judged(void *ctx, struct session *s, const struct auth_report *report)
{
	static const char *const names[] = {[AUTH_DENIED] = "denied",
					    [AUTH_LISTED] = "listed",
					    [AUTH_RENEWED] = "renewed",
					    [AUTH_FIRST_CONTACT] = "first-contact",
					    [AUTH_REGISTER] = "register"};

	(void)s;
	replay_note(ctx, "judged %s", names[report->result]);
}

static inline int
replay_enrol(void *ctx, struct session *s, enum trust_how how, struct err *e)
{
	struct replay *r = ctx;
	int rc = r->enrol_rc ? err_sys(e, r->enrol_rc, "trust-list.json")
			     : trust_list_add(r->list, &r->peer.facts, how, 1, e);

	(void)s;
	replay_note(r, "enrol %s %d", trust_how_name(how), rc);
	return rc;
}

static inline void
replay_up(void *ctx, struct session *s)
{
	(void)s;
	replay_note(ctx, "up");
}

static inline void
replay_privileged(void *ctx, struct session *s)
{
	(void)s;
	replay_note(ctx, "privileged");
}

static inline void
replay_address(void *ctx, struct session *s, const struct session_address *a)
{
	char tunnel[ADDR_TEXT], manager[ADDR_TEXT];

	(void)s;
	replay_note(ctx, "address %s %s mgmtid=%s%s", a->tunnel.family ? addr_host(tunnel, &a->tunnel) : "-",
		    a->manager.family ? addr_host(manager, &a->manager) : "-", a->mgmtid,
		    a->overwrite_mgmtid ? " overwrite" : "");
}

static inline void
replay_packet(void *ctx, struct session *s, uint8_t *p, size_t len)
{
	(void)s;
	(void)p;
	replay_note(ctx, "packet in %zu", len);
}

static inline void
replay_request(void *ctx, struct session *s, const struct message *m, mono_t now)
{
	struct replay *r = ctx;

	if (r->request)
		r->request(r->request_ctx, s, m, now);
	else
		replay_note(r, "request %s", m->argument);
}

static inline void
replay_down(void *ctx, struct session *s)
{
	(void)s;
	replay_note(ctx, "down");
}

static inline void
replay_log_line(void *ctx, const char *line)
{
	struct replay *r = ctx;

	buf_printf(&r->log, "%s\n", line);
}

/* --- a life ------------------------------------------------------------------------------------------------------- */

static inline struct session *
replay_session(struct replay *r)
{
	const struct session_ops ops = {.ctx = r,
					.send = replay_send,
					.packet_room = replay_packet_room,
					.packet_ready = replay_packet_ready,
					.queued = replay_queued,
					.close = replay_close,
					.peer = replay_peer,
					.local = replay_local,
					.identity = replay_identity,
					.policy = replay_policy,
					.register_password = replay_register_password,
					.login = r->login ? replay_login : NULL,
					.judged = replay_judged,
					.enrol = replay_enrol,
					.up = replay_up,
					.privileged = replay_privileged,
					.address = replay_address,
					.packet = replay_packet,
					.request = replay_request,
					.versions = replay_versions,
					.down = replay_down};
	struct session *s = session_new(&ops, r->now);

	assert_non_null(s);
	return s;
}

static inline void
replay_facts(struct cert_facts *f, const char *serial)
{
	*f = (struct cert_facts){.manager = true, .server_auth = true, .signs = true};
	snprintf(f->serial, sizeof(f->serial), "%s", serial);
	memset(f->key, 'a', sizeof(f->key) - 1);
	memset(f->issuer_key, 'b', sizeof(f->issuer_key) - 1);
}

/* A session that begins to connect, to a manager with a good certificate. Borrows the list. */
static inline void
replay_start(struct replay *r, const char *name, struct trust_list *list)
{
	*r = (struct replay){.name = name, .list = list, .now = {1000000}};
	r->identity = (struct session_identity){.serial = REPLAY_DEVICE,
						.platform = "FortiGate-60E",
						.hostname = "gate",
						.os_version = "7.2.4",
						.build = 1396,
						.mgmtid = "",
						.first_fmgid = "",
						.vdom = "root",
						.checksum = REPLAY_CHECKSUM,
						.avdb = "0.00000",
						.ipsdb = "1.00002",
						.intf = "wan1"};
	assert_int_equal(addr_parse_host("192.0.2.81", &r->local), 0);
	cert_check_init(&r->peer, 0);
	r->peer.seen = true;
	r->peer.flags = 0;
	replay_facts(&r->peer.facts, REPLAY_MANAGER);
	r->log = BUF_INIT(16 * 1024 * 1024);
	r->sink = (struct log_sink){.line = replay_log_line, .ctx = r};
	log_attach(&r->sink);
	log_sink_mask(&r->sink, DBG_ALL);
	r->session = replay_session(r);
}

/* The connection is another one; the record and the log go on. */
static inline void
replay_reconnect(struct replay *r)
{
	session_free(r->session);
	r->session = replay_session(r);
}

/* Also after a test that failed half-way, and twice. */
static inline void
replay_stop(struct replay *r)
{
	session_free(r->session);
	r->session = NULL;
	log_detach(&r->sink);
	buf_free(&r->log);
	while (r->count)
		free(r->lines[--r->count]);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static inline void
replay_frame(struct replay *r, enum frame_type type, const void *body, size_t len)
{
	uint8_t *copy = wire_alloc(len + 1); /* parsed in place */
	struct frame f = {.type = type, .body = copy, .len = len};

	memcpy(copy, body, len);
	session_on_frame(r->session, &f, r->now);
	free(copy);
}

/* The manager sends a message with bytes after it. */
static inline void
replay_manager_bytes(struct replay *r, const char *line, const void *data, size_t len)
{
	size_t size;
	uint8_t *body = wire_body(line, data, len, &size);

	replay_frame(r, FRAME_MESSAGE, body, size);
	free(body);
}

static inline void
replay_manager(struct replay *r, const char *line)
{
	replay_manager_bytes(r, line, NULL, 0);
}

static inline void
replay_packet_in(struct replay *r, const char *hex)
{
	uint8_t bytes[256];
	size_t n = strlen(hex) / 2;

	assert_true(n <= sizeof(bytes) && !text_unhex(bytes, n, hex));
	replay_frame(r, FRAME_PACKET, bytes, n);
}

static inline void
replay_to(struct replay *r, mono_t then)
{
	int spins = 0;

	while (mono_due(session_deadline(r->session), then)) {
		mono_t due = session_deadline(r->session);

		if (r->now.ms < due.ms) {
			r->now = due;
			spins = 0;
		} else if (spins++ == 100) {
			fail_msg("%s: the session asks for a tick again and again", r->name);
		}
		session_tick(r->session, r->now);
	}
	if (r->now.ms < then.ms)
		r->now = then;
}

static inline void
replay_pass(struct replay *r, int64_t ms)
{
	replay_to(r, mono_in(r->now, ms));
}

static inline const char *
replay_next(struct replay *r)
{
	return r->seen < r->count ? r->lines[r->seen++] : "(nothing)";
}

/* What the record holds and nobody has looked at is let go. */
static inline void
replay_forget(struct replay *r)
{
	r->seen = r->count;
}

static inline bool
replay_logged(struct replay *r, const char *part)
{
	return memmem(buf_head(&r->log), r->log.len, part, strlen(part)) != NULL;
}

static inline bool
replay_counter(const struct replay *r, const char *name, size_t len, uint64_t *out)
{
	const struct session_counters *c = session_counters(r->session);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"stray-replies", c->stray_replies},       {"repeated-keys", c->repeated_keys},
	    {"refused-requests", c->refused_requests}, {"refused-packets", c->refused_packets},
	    {"keepalives-out", c->keepalives_out},     {"keepalive-replies", c->keepalive_replies},
	    {"keepalives-in", c->keepalives_in},       {"packets-in", c->packets_in},
	    {"packets-out", c->packets_out},           {"packets-dropped", c->packets_dropped},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len)) {
			*out = rows[i].value;
			return true;
		}
	}
	return false;
}

/* "NAME N" */
static inline bool
replay_check_count(const struct replay *r, const char *arg)
{
	size_t len = strcspn(arg, " ");
	uint64_t value;

	return replay_counter(r, arg, len, &value) && value == strtoull(arg + len, NULL, 10);
}

static inline bool
replay_check_timers(const struct replay *r, const char *arg)
{
	const struct session_timers *t = session_timers(r->session);
	char text[64];

	snprintf(text, sizeof(text), "%u %u %u", t->keepalive_s, t->sock_timeout_s, t->window);
	return !strcmp(text, arg);
}

static inline bool
replay_check_record(struct replay *r, const char *verb, const char *arg)
{
	const char *got = replay_next(r);
	bool good;

	if (!strcmp(verb, "device"))
		good = !strncmp(got, "> ", 2) && wire_matches(arg, got + 2);
	else
		good = !strcmp(got, arg);
	if (!good)
		print_error("%s: the session did: %s\n", r->name, got);
	return good;
}

/* A step that makes something happen. False: it is none of these. */
static inline bool
replay_act(struct replay *r, const char *verb, const char *arg)
{
	struct err why = ERR_NONE;

	if (!strcmp(verb, "at")) {
		replay_to(r, (mono_t){1000000 + (int64_t)(strtod(arg, NULL) * 1000 + 0.5)});
	} else if (!strcmp(verb, "tcp")) {
		session_on_tcp(r->session, r->now);
	} else if (!strcmp(verb, "tls")) {
		session_on_tls(r->session, r->now);
	} else if (!strcmp(verb, "manager")) {
		replay_manager(r, arg);
	} else if (!strcmp(verb, "packet")) {
		replay_packet_in(r, arg);
	} else if (!strcmp(verb, "lost")) {
		err_set(&why, -ECONNRESET, "%s", arg);
		session_on_closed(r->session, &why, r->now);
	} else if (!strcmp(verb, "stop")) {
		session_stop(r->session, arg, r->now);
	} else {
		return false;
	}
	return true;
}

/* A step that looks. */
static inline bool
replay_check(struct replay *r, const char *verb, const char *arg)
{
	if (!strcmp(verb, "device") || !strcmp(verb, "call"))
		return replay_check_record(r, verb, arg);
	if (!strcmp(verb, "nothing"))
		return r->seen == r->count || replay_check_record(r, "call", "(nothing)");
	if (!strcmp(verb, "state"))
		return !strcmp(session_state_name(session_state(r->session)), arg);
	if (!strcmp(verb, "privileged"))
		return session_privileged(r->session) == !strcmp(arg, "yes");
	if (!strcmp(verb, "turned-away"))
		return session_turned_away(r->session) == !strcmp(arg, "yes");
	if (!strcmp(verb, "reason"))
		return strstr(session_reason(r->session), arg) != NULL;
	if (!strcmp(verb, "log"))
		return replay_logged(r, arg);
	if (!strcmp(verb, "nolog"))
		return !replay_logged(r, arg);
	if (!strcmp(verb, "count"))
		return replay_check_count(r, arg);
	if (!strcmp(verb, "timers"))
		return replay_check_timers(r, arg);
	if (!strcmp(verb, "channels"))
		return channels_count(session_channels(r->session)) == strtoul(arg, NULL, 10);
	return false;
}

static inline void
replay_step(struct replay *r, const char *step)
{
	char verb[32];
	size_t len = strcspn(step, " ");
	const char *arg = step[len] ? step + len + 1 : "";

	snprintf(verb, sizeof(verb), "%.*s", (int)len, step);
	if (!replay_act(r, verb, arg) && !replay_check(r, verb, arg))
		fail_msg("%s: \"%s\" (state %s, reason \"%s\")", r->name, step,
			 session_state_name(session_state(r->session)), session_reason(r->session));
}

/* Runs a script. What the session has done at its end and no step expected is a failure. */
static inline void
replay_run(struct replay *r, const char *script)
{
	char *text = strdup(script), *save = NULL;

	if (!text)
		abort();
	for (char *step = strtok_r(text, "\n", &save); step; step = strtok_r(NULL, "\n", &save))
		replay_step(r, step);
	free(text);
	replay_step(r, "nothing");
}

#endif
