#include "agent/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/channel.h"
#include "agent/message.h"
#include "agent/profile.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"

enum {
	OUT_ROOM = PROFILE_TEXT_MAX + 65536, /* one message with a channel's bytes */
	CONTROL_SMALL = 512,
	CHANGE_MS = 500,           /* from a change of the configuration to the keep-alive that tells of it */
	CHANNEL_QUEUE = 64 * 1024, /* channels wait when this much waits to go out: control messages overtake */
};

struct session {
	struct session_ops ops;
	enum session_state state, reached; /* `reached`: the furthest before it closes */
	mono_t since;
	mono_t reply_due;     /* MONO_NEVER: no request of ours is open */
	mono_t keepalive_due; /* MONO_NEVER until it is up */
	mono_t heard;         /* last valid frame */
	bool keepalive_seen;  /* the manager sends keep-alives or answers ours: its silence means something */
	bool was_up, privileged;
	enum auth_login login;
	struct session_timers timers;
	struct auth_report report;
	struct channels *channels;
	struct session_counters count;
	bool turned_away;
	char peer[CERT_SERIAL_MAX];
	char reason[320];
};

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void act_none(struct session *s, mono_t now);
static void act_send_auth(struct session *s, mono_t now);
static void act_send_register(struct session *s, mono_t now);
static void act_send_ip(struct session *s, mono_t now);
static void act_up(struct session *s, mono_t now);
static void act_close(struct session *s, mono_t now);
static void act_down(struct session *s, mono_t now);

struct row {
	enum session_state state;
	enum session_event event;
	enum session_state next;
	void (*action)(struct session *s, mono_t now);
};

static const struct row table[] = {
    {SESSION_CONNECTING, SEV_TCP_UP, SESSION_HANDSHAKE, act_none},
    {SESSION_CONNECTING, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_CONNECTING, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_HANDSHAKE, SEV_TLS_UP, SESSION_AUTH, act_send_auth},
    {SESSION_HANDSHAKE, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_HANDSHAKE, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_AUTH, SEV_AUTH_PASSED, SESSION_ADDRESS, act_send_ip},
    {SESSION_AUTH, SEV_AUTH_REGISTER, SESSION_REGISTER, act_send_register},
    {SESSION_AUTH, SEV_REFUSED, SESSION_CLOSING, act_close},
    {SESSION_AUTH, SEV_TIMEOUT, SESSION_CLOSING, act_close},
    {SESSION_AUTH, SEV_PROTOCOL, SESSION_CLOSING, act_close},
    {SESSION_AUTH, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_AUTH, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_REGISTER, SEV_REGISTERED, SESSION_ADDRESS, act_send_ip},
    {SESSION_REGISTER, SEV_REFUSED, SESSION_CLOSING, act_close},
    {SESSION_REGISTER, SEV_TIMEOUT, SESSION_CLOSING, act_close},
    {SESSION_REGISTER, SEV_PROTOCOL, SESSION_CLOSING, act_close},
    {SESSION_REGISTER, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_REGISTER, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_ADDRESS, SEV_ADDRESS, SESSION_UP, act_up},
    {SESSION_ADDRESS, SEV_REFUSED, SESSION_CLOSING, act_close},
    {SESSION_ADDRESS, SEV_TIMEOUT, SESSION_CLOSING, act_close},
    {SESSION_ADDRESS, SEV_PROTOCOL, SESSION_CLOSING, act_close},
    {SESSION_ADDRESS, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_ADDRESS, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_UP, SEV_ADDRESS, SESSION_UP, act_none},
    {SESSION_UP, SEV_SILENT, SESSION_CLOSING, act_close},
    {SESSION_UP, SEV_PROTOCOL, SESSION_CLOSING, act_close},
    {SESSION_UP, SEV_LOST, SESSION_CLOSED, act_down},
    {SESSION_UP, SEV_STOP, SESSION_CLOSING, act_close},

    {SESSION_CLOSING, SEV_STOP, SESSION_CLOSING, act_none},
    {SESSION_CLOSING, SEV_LOST, SESSION_CLOSED, act_down},
};

static const struct row *
find_row(enum session_state state, enum session_event event)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].state == state && table[i].event == event)
			return &table[i];
	}
	return NULL;
}

bool
session_next(enum session_state state, enum session_event event, enum session_state *next)
{
	const struct row *row = find_row(state, event);

	if (row)
		*next = row->next;
	return row != NULL;
}

const char *
session_state_name(enum session_state s)
{
	static const char *const names[] = {
	    [SESSION_CONNECTING] = "connecting", [SESSION_HANDSHAKE] = "handshake", [SESSION_AUTH] = "authentication",
	    [SESSION_REGISTER] = "registration", [SESSION_ADDRESS] = "address",     [SESSION_UP] = "up",
	    [SESSION_CLOSING] = "closing",       [SESSION_CLOSED] = "closed",
	};

	return names[s];
}

const char *
session_event_name(enum session_event e)
{
	static const char *const names[] = {
	    [SEV_TCP_UP] = "tcp-up",
	    [SEV_TLS_UP] = "tls-up",
	    [SEV_AUTH_PASSED] = "auth-passed",
	    [SEV_AUTH_REGISTER] = "auth-register",
	    [SEV_REGISTERED] = "registered",
	    [SEV_ADDRESS] = "address",
	    [SEV_REFUSED] = "refused",
	    [SEV_TIMEOUT] = "timeout",
	    [SEV_SILENT] = "silent",
	    [SEV_PROTOCOL] = "protocol",
	    [SEV_LOST] = "lost",
	    [SEV_STOP] = "stop",
	};

	return names[e];
}

/* The one place where a session changes its state. */
static void
fire(struct session *s, enum session_event event, mono_t now)
{
	const struct row *row = find_row(s->state, event);

	if (!row) {
		log_debug(DBG_ERROR, "[session] event %s is not possible in state %s", session_event_name(event),
			  session_state_name(s->state));
		return;
	}
	if (row->next != s->state) {
		log_debug(DBG_SESSION, "[session] %s: %s -> %s", session_event_name(event),
			  session_state_name(s->state), session_state_name(row->next));
		s->since = now;
	}
	s->state = row->next;
	if (s->state <= SESSION_UP && s->state > s->reached)
		s->reached = s->state;
	row->action(s, now);
}

/* As fire(), with the reason for an end; the first reason stays. The owner says it, once, when the session is down. */
static void __attribute__((format(printf, 4, 5)))
fire_because(struct session *s, enum session_event event, mono_t now, const char *fmt, ...)
{
	va_list ap;

	if (!s->reason[0]) {
		va_start(ap, fmt);
		vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
		va_end(ap);
	}
	fire(s, event, now);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void
log_sent(const struct buf *b)
{
	struct buf copy = BUF_INIT(OUT_ROOM);
	struct message m;

	if (!log_wants(DBG_MESSAGE))
		return;
	/* parsing works in place, so a copy is shown */
	if (!buf_put(&copy, buf_head(b), b->len) && !message_parse(copy.data, copy.len, &m, NULL))
		message_log("client:send:", &m);
	buf_free(&copy);
}

/* Sends a message under construction and releases it. */
static int
send_message(struct session *s, struct buf *b)
{
	int rc = message_end(b);

	if (!rc)
		rc = s->ops.send(s->ops.ctx, s, buf_head(b), b->len);
	if (!rc) {
		s->count.messages_out++;
		log_sent(b);
	} else {
		log_debug(DBG_ERROR, "[session] a message could not be queued: %s", strerror(-rc));
	}
	buf_free(b);
	return rc;
}

static int
send_channel(void *ctx, const void *body, size_t len)
{
	struct session *s = ctx;
	int rc;

	/* what only acknowledges or closes is small, and overtakes */
	if (len > CONTROL_SMALL && s->ops.queued(s->ops.ctx, s) >= CHANNEL_QUEUE)
		return -ENOBUFS;
	rc = s->ops.send(s->ops.ctx, s, body, len);
	if (!rc)
		s->count.messages_out++;
	return rc;
}

/* "7.2.4" as the three numbers `get auth` wants: 100 times the major version, minor, patch. */
static void
put_version(struct buf *b, const char *os_version)
{
	unsigned major = 0, minor = 0, patch = 0;

	sscanf(os_version, "%3u.%3u.%3u", &major, &minor, &patch);
	message_key_u(b, "fos_ver", major * 100);
	message_key_u(b, "minor", minor);
	message_key_u(b, "patch", patch);
}

/* The identity keys of `get auth`, in the order of the wire profile. */
static void
put_identity(struct session *s, struct buf *b, const struct session_identity *id)
{
	struct addr local = {0};
	char text[ADDR_TEXT];

	s->ops.local(s->ops.ctx, s, &local);
	message_key(b, "serialno", id->serial);
	message_key(b, "platform", id->platform);
	message_key(b, "hostname", id->hostname);
	message_key(b, "mgmtid", id->mgmtid[0] ? id->mgmtid : PROFILE_MGMTID_NONE);
	put_version(b, id->os_version);
	message_key_u(b, "build", id->build);
	message_key_u(b, "branch", id->build);
	message_key(b, "maxvdom", PROFILE_MAXVDOM);
	message_key(b, "fg_ip", addr_host(text, &local));
	message_key(b, "harddisk", PROFILE_HARDDISK);
	message_key(b, "harddisk_size", PROFILE_HARDDISK_SIZE);
	message_key(b, "logdisk_size", PROFILE_LOGDISK_SIZE);
	message_key(b, "biover", PROFILE_BIOVER);
	message_key(b, "mgmt_mode", PROFILE_MGMT_MODE_NORMAL);
	message_key(b, "enc_flags", PROFILE_ENC_FLAGS);
	message_key(b, "mgmtip", addr_host(text, &local));
	message_key(b, "mgmtport", PROFILE_MGMT_PORT);
}

static void
act_none(struct session *s, mono_t now)
{
	(void)s;
	(void)now;
}

static void
act_send_auth(struct session *s, mono_t now)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct session_identity id = {0};

	s->ops.identity(s->ops.ctx, s, &id);
	message_begin(&b, PROFILE_VERB_GET, PROFILE_GET_AUTH);
	put_identity(s, &b, &id);
	send_message(s, &b);
	s->reply_due = mono_in(now, PROFILE_REPLY_MS);
}

static void
act_send_register(struct session *s, mono_t now)
{
	const char *password = s->ops.register_password(s->ops.ctx);
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct session_identity id = {0};

	s->ops.identity(s->ops.ctx, s, &id);
	message_begin(&b, PROFILE_VERB_GET, PROFILE_GET_REGISTER);
	message_key(&b, "serialno", id.serial);
	message_key(&b, PROFILE_KEY_REGISTER_SERIAL, s->peer);
	message_key(&b, PROFILE_KEY_REGISTER_PASSWORD, password ? password : "");
	send_message(s, &b);
	s->reply_due = mono_in(now, PROFILE_REPLY_MS);
}

static void
act_send_ip(struct session *s, mono_t now)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct session_identity id = {0};

	s->ops.identity(s->ops.ctx, s, &id);
	log_debug(DBG_SESSION, "[fgfm_msg_put_tuninfo] vdom='%s', physical_intf=, intf='%s'", id.vdom, id.intf);
	message_begin(&b, PROFILE_VERB_GET, PROFILE_GET_IP);
	put_identity(s, &b, &id);
	message_key(&b, "first_fmgid", id.first_fmgid);
	message_key(&b, "probe_mode", id.registered ? PROFILE_PROBE_NO : PROFILE_PROBE_YES);
	message_key(&b, "vdom", id.vdom);
	message_key(&b, "intf", id.intf);
	send_message(s, &b);
	s->reply_due = mono_in(now, PROFILE_REPLY_MS);
}

static void
send_keepalive(struct session *s, mono_t now)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	struct session_identity id = {0};

	s->ops.identity(s->ops.ctx, s, &id);
	message_begin(&b, PROFILE_VERB_KEEPALIVE, NULL);
	message_key(&b, "checksum", id.checksum);
	message_key(&b, "os_ver", id.os_version);
	message_key(&b, "platform", id.platform);
	message_key(&b, "avdb", id.avdb);
	message_key(&b, "ipsdb", id.ipsdb);
	message_key_u(&b, "uptime", (uint64_t)id.uptime_s);
	if (!send_message(s, &b))
		s->count.keepalives_out++;
	s->keepalive_due = mono_in(now, (int64_t)s->timers.keepalive_s * 1000);
}

static void
act_up(struct session *s, mono_t now)
{
	s->was_up = true;
	s->keepalive_due = now; /* the manager learns the checksum at once */
	s->ops.up(s->ops.ctx, s);
}

static void
act_close(struct session *s, mono_t now)
{
	(void)now;
	s->reply_due = MONO_NEVER;
	s->keepalive_due = MONO_NEVER;
	s->privileged = false;
	s->ops.close(s->ops.ctx, s);
}

static void
act_down(struct session *s, mono_t now)
{
	(void)now;
	s->reply_due = MONO_NEVER;
	s->keepalive_due = MONO_NEVER;
	s->privileged = false;
	s->ops.down(s->ops.ctx, s);
}

void
session_reply(struct session *s, const char *request, unsigned code, const char *reason)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);
	char text[16];

	snprintf(text, sizeof(text), "%u", code);
	message_begin(&b, PROFILE_VERB_REPLY, text);
	message_key(&b, "request", request);
	if (reason)
		message_key(&b, "reason", reason);
	send_message(s, &b);
}

void
session_reply_channel(struct session *s, const char *request, uint32_t remoteid, uint32_t localid)
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);

	message_begin(&b, PROFILE_VERB_REPLY, "200");
	message_key(&b, "request", request);
	message_key(&b, "action", "ack");
	message_key_u(&b, "remoteid", remoteid);
	message_key_u(&b, "localid", localid);
	message_key_u(&b, "chan_window_sz", channels_window(s->channels));
	send_message(s, &b);
}

int
session_ask_file(struct session *s, uint32_t localid, const char *cmd, const char *const pairs[])
{
	struct buf b = BUF_INIT(PROFILE_TEXT_MAX);

	message_begin(&b, PROFILE_VERB_GET, PROFILE_GET_FILE);
	message_key_u(&b, "localid", localid);
	message_key_u(&b, "chan_window_sz", channels_window(s->channels));
	message_key(&b, "file_exch_cmd", cmd);
	for (size_t i = 0; pairs[i]; i += 2)
		message_key(&b, pairs[i], pairs[i + 1]);
	return send_message(s, &b);
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

/* One timer of a reply: clamped to its range, and logged as the vendor does. */
static void
take_timer(const struct message *m, const char *key, unsigned min, unsigned max, const char *log_format, unsigned *out)
{
	const char *text = message_get(m, key);
	char shown[64];
	uint64_t v;
	int rc;

	if (!text)
		return;
	rc = text_u64(text, UINT32_MAX, &v);
	if (rc == -EINVAL) {
		log_debug(DBG_ERROR, "[session] %s: a number expected, got \"%s\": ignored", key,
			  text_escape(shown, sizeof(shown), text, strlen(text)));
		return;
	}
	if (rc || v < min || v > max) {
		uint64_t clamped = !rc && v < min ? min : max;

		log_debug(DBG_ERROR, "[session] %s out of range: %u to %u expected, got %s; %" PRIu64 " is used", key,
			  min, max, text_escape(shown, sizeof(shown), text, strlen(text)), clamped);
		v = clamped;
	}
	*out = (unsigned)v;
	if (!strcmp(key, "chan_window_sz"))
		log_debug(DBG_SESSION, "[__chg_by_fgfm_msg] set channel buffer/window size to %u bytes", *out);
	else
		log_debug(DBG_SESSION, "[__chg_by_fgfm_msg] set %s: %u", log_format, *out);
}

static void
take_timers(struct session *s, const struct message *m, mono_t now)
{
	unsigned keepalive_s = s->timers.keepalive_s;

	take_timer(m, "keepalive_interval", PROFILE_KEEPALIVE_MIN_S, PROFILE_KEEPALIVE_MAX_S, "keepalive_interval",
		   &s->timers.keepalive_s);
	take_timer(m, "chan_window_sz", PROFILE_WINDOW_MIN, PROFILE_WINDOW_MAX, "", &s->timers.window);
	take_timer(m, "sock_timeout", PROFILE_SOCK_TIMEOUT_MIN_S, PROFILE_SOCK_TIMEOUT_MAX_S, "sock timeout",
		   &s->timers.sock_timeout_s);
	channels_limits(s->channels, s->timers.window, (int64_t)s->timers.sock_timeout_s * 1000);
	if (s->state == SESSION_UP && keepalive_s != s->timers.keepalive_s)
		s->keepalive_due = mono_min(s->keepalive_due, mono_in(now, (int64_t)s->timers.keepalive_s * 1000));
}

static void
log_report(const struct auth_report *r)
{
	for (size_t i = 0; i < AUTH_CHECKS; i++) {
		log_debug(DBG_SESSION, "[auth] check %zu, %s: %s: %s", i + 1, auth_check_name(i),
			  auth_verdict_name(r->check[i].verdict), r->check[i].text);
	}
}

/* `m` is the reply to `get auth`; NULL: none came. A manager that opened the connection may have to log in: that is the
 * one check which takes time, and comes when the others are passed. */
static void
judge(struct session *s, const struct message *m)
{
	const struct cert_check *peer = s->ops.peer(s->ops.ctx, s);
	const char *reply_serial = m ? message_str(m, "serialno") : NULL;
	struct auth_policy policy = {0};

	s->ops.policy(s->ops.ctx, &policy);
	policy.login = s->login;
	auth_judge(&policy, reply_serial, peer, &s->report);
	if (s->report.result == AUTH_LOGIN) {
		s->login =
		    s->ops.login(s->ops.ctx, s, message_str(m, PROFILE_KEY_USER), message_str(m, PROFILE_KEY_PASSWORD));
		if (s->login == LOGIN_WANTED)
			s->login = LOGIN_BAD;
		policy.login = s->login;
		auth_judge(&policy, reply_serial, peer, &s->report);
	}
	memcpy(s->peer, peer->facts.serial, sizeof(s->peer));
	log_report(&s->report);
	s->ops.judged(s->ops.ctx, s, &s->report);
}

static void
take_auth(struct session *s, const struct message *m, mono_t now)
{
	judge(s, m);
	if (s->report.result == AUTH_DENIED) {
		fire_because(s, SEV_REFUSED, now, "authentication failed: %s", s->report.reason);
		return;
	}
	take_timers(s, m, now);
	fire(s, s->report.result == AUTH_REGISTER ? SEV_AUTH_REGISTER : SEV_AUTH_PASSED, now);
}

/* Puts the manager into the list; a failure is said, and the session stays unprivileged. */
static int
enrol(struct session *s, enum trust_how how)
{
	struct err e = ERR_NONE;
	int rc = s->ops.enrol(s->ops.ctx, s, how, &e);

	if (rc)
		log_debug(DBG_ERROR, "[session] %s stays unprivileged: %s", s->peer, e.text);
	return rc;
}

static void
take_registered(struct session *s, const struct message *m, mono_t now)
{
	(void)m;
	if (!enrol(s, TRUST_REGISTER_DEVICE))
		fire(s, SEV_REGISTERED, now);
	else
		fire_because(s, SEV_REFUSED, now, "%s could not be put into the trusted list", s->peer);
}

/* An address of a `get ip` reply. 0 with family 0 for an absent or empty one, -EINVAL for one no tunnel can have. */
static int
take_address(const struct message *m, const char *key, struct addr *out)
{
	const char *text = message_str(m, key);
	struct addr a;

	*out = (struct addr){0};
	if (!*text)
		return 0;
	if (addr_parse_host(text, &a))
		return -EINVAL;
	if (addr_is_any(&a))
		return 0;
	if (a.family == AF_INET ? a.bytes[0] == 127 || a.bytes[0] >= 224
				: a.bytes[0] == 0xff || !memcmp(a.bytes, &in6addr_loopback, sizeof(a.bytes)))
		return -EINVAL;
	*out = a;
	return 0;
}

/* Digits, letters of hexadecimal numbers and dashes cover both forms. */
bool
session_is_mgmtid(const char *text)
{
	return *text && strspn(text, "0123456789abcdefABCDEF-") == strlen(text);
}

static int
take_mgmtid(const struct message *m, char *out, size_t size)
{
	const char *text = message_str(m, "mgmtid");

	if (*text && !session_is_mgmtid(text))
		return -EINVAL;
	return text_copy(out, size, text);
}

static int
parse_address(const struct message *m, struct session_address *out, const char **bad)
{
	if (take_address(m, "ip", &out->tunnel))
		*bad = "ip";
	else if (take_address(m, "fmg_ip", &out->manager))
		*bad = "fmg_ip";
	else if (take_mgmtid(m, out->mgmtid, sizeof(out->mgmtid)))
		*bad = "mgmtid";
	else
		return 0;
	return -EINVAL;
}

static void
drop_privilege(struct session *s)
{
	static const struct session_address none;
	struct channels_ops ops = {.ctx = s, .send = send_channel};
	struct channels *fresh = channels_new(&ops);

	s->privileged = false;
	s->ops.address(s->ops.ctx, s, &none);
	if (fresh) {
		channels_free(s->channels, "the device is no longer registered");
		s->channels = fresh;
		channels_limits(fresh, s->timers.window, (int64_t)s->timers.sock_timeout_s * 1000);
	}
}

/* How the manager stands now: the list and the pins may have changed since it was judged. */
static void
judge_again(struct session *s, struct auth_report *now)
{
	struct auth_policy policy = {0};

	s->ops.policy(s->ops.ctx, &policy);
	policy.login = s->login;
	auth_judge(&policy, s->peer, s->ops.peer(s->ops.ctx, s), now);
}

static bool
is_listed(struct session *s)
{
	struct auth_report now;

	judge_again(s, &now);
	if (now.result == AUTH_LISTED || now.result == AUTH_RENEWED)
		return true;
	log_debug(DBG_ERROR, "[session] %s stays unprivileged: %s", s->peer,
		  now.reason[0] ? now.reason : "it is not listed");
	return false;
}

/* First contact ends in the list, if it still is one. */
static void
enrol_first(struct session *s)
{
	struct auth_report now;

	judge_again(s, &now);
	if (now.result == AUTH_FIRST_CONTACT)
		enrol(s, now.how);
}

/* Privileged: in the list on disk, and the manager says that the device is registered. */
static void
take_registration(struct session *s, const struct message *m)
{
	const char *status = message_get(m, "register_status");
	bool registered = status && !strcmp(status, PROFILE_REGISTERED);

	if (!status && s->was_up)
		return; /* an update that speaks of something else */
	if (registered && !s->privileged)
		enrol_first(s);
	if (registered && !s->privileged && is_listed(s)) {
		s->privileged = true;
		s->ops.privileged(s->ops.ctx, s);
	} else if (!registered && s->privileged) {
		drop_privilege(s);
	}
}

static void
take_ip(struct session *s, const struct message *m, mono_t now)
{
	struct session_address a = {0};
	const char *bad = NULL, *value;
	char shown[80];

	if (parse_address(m, &a, &bad)) {
		value = message_str(m, bad);
		fire_because(s, SEV_PROTOCOL, now, "reply to get ip: %s=\"%s\" is not what was expected", bad,
			     text_escape(shown, sizeof(shown), value, strlen(value)));
		return;
	}
	a.overwrite_mgmtid = !strcmp(message_str(m, "overwrite_fmgid"), "1");
	take_timers(s, m, now);
	take_registration(s, m);
	/* an update may speak of something else than the address */
	if (s->privileged && (message_get(m, "ip") || !s->was_up))
		s->ops.address(s->ops.ctx, s, &a);
	fire(s, SEV_ADDRESS, now);
}

/* The reply to a `get file_exchange` of ours: the channel opens or is given up. */
static void
take_file_reply(struct session *s, const struct message *m, unsigned code, mono_t now)
{
	uint64_t ours, theirs, window = PROFILE_WINDOW;
	struct channel *ch = NULL;

	if (!text_u64(message_str(m, "remoteid"), UINT32_MAX, &ours))
		ch = channel_asked(s->channels, (uint32_t)ours);
	if (!ch) {
		s->count.stray_replies++;
		return;
	}
	if (code != PROFILE_OK || text_u64(message_str(m, "localid"), UINT32_MAX, &theirs)) {
		channel_close(ch, code == PROFILE_OK ? PROFILE_MALFORMED : (int)code,
			      "the manager did not open the channel");
		return;
	}
	text_u64(message_str(m, "chan_window_sz"), PROFILE_WINDOW_MAX, &window);
	channel_opened(ch, (uint32_t)theirs, (uint32_t)window, now);
	channels_pump(s->channels);
}

/* What each request of ours does with its answer. Only the one that is open in this state may be answered. */
static const struct {
	const char *request;
	enum session_state state;
	void (*take)(struct session *s, const struct message *m, mono_t now);
} answers[] = {
    {PROFILE_GET_AUTH, SESSION_AUTH, take_auth},
    {PROFILE_GET_REGISTER, SESSION_REGISTER, take_registered},
    {PROFILE_GET_IP, SESSION_ADDRESS, take_ip},
    {PROFILE_GET_IP, SESSION_UP, take_ip}, /* an update nobody asked for is allowed */
};

static void
refuse_code(struct session *s, const struct message *m, const char *request, unsigned code, mono_t now)
{
	const char *reason = message_str(m, "reason");
	char shown[128];

	s->turned_away = true;
	fire_because(s, SEV_REFUSED, now, "the manager answered get %s with %u%s%s", request, code, *reason ? ": " : "",
		     text_escape(shown, sizeof(shown), reason, strlen(reason)));
}

static void
on_reply(struct session *s, const struct message *m, mono_t now)
{
	const char *request = message_str(m, "request");
	uint64_t code;

	if (text_u64(m->argument, 999, &code) || code < 100) {
		fire_because(s, SEV_PROTOCOL, now, "reply: a code of three digits expected, got \"%s\"", m->argument);
		return;
	}
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (s->state != answers[i].state || strcmp(request, answers[i].request))
			continue;
		if (code == PROFILE_OK) {
			s->reply_due = MONO_NEVER;
			answers[i].take(s, m, now);
		} else if (s->state != SESSION_UP) {
			refuse_code(s, m, request, (unsigned)code, now);
		}
		return;
	}
	if (s->state == SESSION_AUTH) {
		fire_because(s, SEV_PROTOCOL, now, "before authentication only a reply to get auth is expected");
	} else if (!strcmp(request, PROFILE_VERB_KEEPALIVE) && s->count.keepalives_out > s->count.keepalive_replies) {
		s->count.keepalive_replies++;
		s->keepalive_seen = true;
	} else if (!strcmp(request, PROFILE_GET_FILE)) {
		take_file_reply(s, m, (unsigned)code, now);
	} else {
		s->count.stray_replies++;
		log_debug(DBG_MESSAGE, "[session] a reply nobody asked for: ignored");
	}
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void
on_request(struct session *s, const struct message *m, mono_t now)
{
	const char *name = *m->argument ? m->argument : m->verb;

	if (!s->privileged) {
		s->count.refused_requests++;
		session_reply(s, name, PROFILE_NOT_AUTH, "this device is not registered with you");
	} else if (strcmp(m->verb, PROFILE_VERB_GET) != 0) {
		session_reply(s, name, PROFILE_UNKNOWN, "unknown verb");
	} else if (!*m->argument) {
		session_reply(s, name, PROFILE_UNKNOWN, "get: a request expected");
	} else {
		s->ops.request(s->ops.ctx, s, m, now);
	}
}

static void
on_channel(struct session *s, const struct message *m, mono_t now)
{
	struct err e = ERR_NONE;

	if (!s->privileged)
		s->count.refused_requests++;
	else if (channels_on_message(s->channels, m, now, &e))
		fire_because(s, SEV_PROTOCOL, now, "%s", e.text);
}

static void
on_message(struct session *s, const struct message *m, mono_t now)
{
	s->count.messages_in++;
	s->count.repeated_keys += m->repeated;
	if (m->repeated)
		log_debug(DBG_ERROR, "[session] repeated keys in %s %s: %u, first %s: the first of each counts",
			  m->verb, m->argument, m->repeated, m->repeated_first);
	if (strcmp(m->verb, PROFILE_VERB_CHANNEL) != 0 || log_wants(DBG_CHANNEL))
		message_log("client:", m);
	if (!strcmp(m->verb, PROFILE_VERB_REPLY)) {
		on_reply(s, m, now);
	} else if (s->state == SESSION_AUTH) {
		fire_because(s, SEV_PROTOCOL, now,
			     "before authentication a reply to get auth is expected, got \"%s %s\"", m->verb,
			     m->argument);
	} else if (!strcmp(m->verb, PROFILE_VERB_KEEPALIVE)) {
		s->count.keepalives_in++;
		s->keepalive_seen = true;
		session_reply(s, PROFILE_VERB_KEEPALIVE, PROFILE_OK, NULL);
		if (s->privileged)
			s->ops.versions(s->ops.ctx, s, m);
	} else if (!strcmp(m->verb, PROFILE_VERB_CHANNEL)) {
		on_channel(s, m, now);
	} else {
		on_request(s, m, now);
	}
}

static void
on_packet(struct session *s, const struct frame *f, mono_t now)
{
	if (s->state == SESSION_AUTH) {
		fire_because(s, SEV_PROTOCOL, now,
			     "before authentication a reply to get auth is expected, got an IP packet");
		return;
	}
	if (!s->privileged) {
		s->count.refused_packets++;
		return;
	}
	s->count.packets_in++;
	s->ops.packet(s->ops.ctx, s, f->body, f->len);
}

void
session_on_frame(struct session *s, const struct frame *f, mono_t now)
{
	struct err e = ERR_NONE;
	struct message m;

	if (s->state < SESSION_AUTH || s->state > SESSION_UP)
		return; /* closing: nothing of the peer's counts any more */
	if (f->type == FRAME_PACKET) {
		on_packet(s, f, now);
	} else if (message_parse(f->body, f->len, &m, &e)) {
		fire_because(s, SEV_PROTOCOL, now, "%s", e.text);
		return;
	} else {
		on_message(s, &m, now);
	}
	s->heard = now;
}

/* --- the connection's events, time, the owner's wishes -------------------------------------------------------------
 */

struct session *
session_new(const struct session_ops *ops, mono_t now)
{
	struct session *s = calloc(1, sizeof(*s));
	struct channels_ops cops = {.ctx = s, .send = send_channel};

	if (!s)
		return NULL;
	s->ops = *ops;
	s->since = s->heard = now;
	s->reply_due = s->keepalive_due = MONO_NEVER;
	s->login = ops->login ? LOGIN_WANTED : LOGIN_NOT_ASKED;
	s->timers = (struct session_timers){PROFILE_KEEPALIVE_S, PROFILE_SOCK_TIMEOUT_S, PROFILE_WINDOW};
	s->channels = channels_new(&cops);
	if (!s->channels) {
		free(s);
		return NULL;
	}
	return s;
}

void
session_free(struct session *s)
{
	if (!s)
		return;
	channels_free(s->channels, "the session has ended");
	free(s);
}

void
session_on_tcp(struct session *s, mono_t now)
{
	fire(s, SEV_TCP_UP, now);
}

void
session_on_tls(struct session *s, mono_t now)
{
	fire(s, SEV_TLS_UP, now);
}

void
session_on_room(struct session *s)
{
	channels_pump(s->channels);
}

void
session_on_closed(struct session *s, const struct err *why, mono_t now)
{
	const struct cert_check *peer = s->ops.peer(s->ops.ctx, s);

	/* a bad chain ends the handshake before any reply: the verdict still names every check that could be made */
	if (s->state == SESSION_HANDSHAKE && peer && peer->seen && peer->flags) {
		judge(s, NULL);
		fire_because(s, SEV_LOST, now, "authentication failed: %s", s->report.reason);
		return;
	}
	/* by the peer's hand, in whatever phase */
	if (s->state <= SESSION_UP &&
	    (!why->code || why->code == -ECONNRESET || why->code == -ECONNREFUSED || why->code == -EPIPE))
		s->turned_away = true;
	fire_because(s, SEV_LOST, now, "%s", why->text);
}

static mono_t
silence_due(const struct session *s)
{
	if (s->state != SESSION_UP || !s->keepalive_seen)
		return MONO_NEVER;
	return mono_in(s->heard, (int64_t)s->timers.sock_timeout_s * 1000);
}

mono_t
session_deadline(const struct session *s)
{
	mono_t first = mono_min(s->reply_due, s->keepalive_due);

	if (s->state == SESSION_CLOSED)
		return MONO_NEVER;
	first = mono_min(first, silence_due(s));
	return mono_min(first, channels_deadline(s->channels));
}

void
session_tick(struct session *s, mono_t now)
{
	if (s->state == SESSION_CLOSED)
		return;
	if (mono_due(s->reply_due, now)) {
		s->reply_due = MONO_NEVER;
		fire_because(s, SEV_TIMEOUT, now, "no reply to a request within %d seconds", PROFILE_REPLY_MS / 1000);
	}
	if (mono_due(silence_due(s), now))
		fire_because(s, SEV_SILENT, now, "nothing heard from the manager for %u seconds",
			     s->timers.sock_timeout_s);
	if (mono_due(s->keepalive_due, now))
		send_keepalive(s, now);
	channels_tick(s->channels, now);
	channels_pump(s->channels);
}

void
session_stop(struct session *s, const char *reason, mono_t now)
{
	if (s->state != SESSION_CLOSED)
		fire_because(s, SEV_STOP, now, "%s", reason);
}

uint8_t *
session_packet_room(struct session *s, size_t max)
{
	if (s->privileged)
		return s->ops.packet_room(s->ops.ctx, s, max);
	s->count.packets_dropped++;
	return NULL;
}

void
session_packet_ready(struct session *s, size_t len)
{
	s->ops.packet_ready(s->ops.ctx, s, len);
	s->count.packets_out++;
}

void
session_config_changed(struct session *s, mono_t now)
{
	/* changes in a row make one keep-alive */
	if (s->state == SESSION_UP)
		s->keepalive_due = mono_min(s->keepalive_due, mono_in(now, CHANGE_MS));
}

enum session_state
session_state(const struct session *s)
{
	return s->state;
}

bool
session_privileged(const struct session *s)
{
	return s->privileged;
}

const char *
session_peer_serial(const struct session *s)
{
	return s->peer;
}

const char *
session_reason(const struct session *s)
{
	return s->reason;
}

bool
session_turned_away(const struct session *s)
{
	return s->turned_away;
}

const struct auth_report *
session_report(const struct session *s)
{
	return &s->report;
}

const struct session_timers *
session_timers(const struct session *s)
{
	return &s->timers;
}

const struct session_counters *
session_counters(const struct session *s)
{
	return &s->count;
}

struct channels *
session_channels(struct session *s)
{
	return s->channels;
}

mono_t
session_since(const struct session *s)
{
	return s->since;
}

enum session_state
session_reached(const struct session *s)
{
	return s->reached;
}

bool
session_was_up(const struct session *s)
{
	return s->was_up;
}
