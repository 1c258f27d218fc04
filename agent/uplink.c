#include "agent/uplink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/listener.h"
#include "agent/profile.h"
#include "agent/resolve.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"

enum {
	SHORT_MS = 60 * 1000,    /* a session that did not last this long is not redialled at once */
	STALE_CONNECT_MS = 1000, /* a TCP attempt older than this is given up when the network changes */
	HELD = 16,               /* sources that failed, remembered */
	SOURCE6_BITS = 64,       /* one site can have any address of these */
};

enum role {
	ROLE_DIALING,
	ROLE_CALL, /* the manager has opened it */
	ROLE_CURRENT,
	ROLE_LEAVING, /* replaced, or in the way of a test: closed once its channels are delivered */
};

/* One connection and the session over it. */
struct link {
	struct uplink *home;
	enum role role;
	struct conn *conn;
	struct session *session;
	bool incoming; /* opened by the manager */
	char target[DIALER_NAME_MAX];
	char interface[16]; /* that an incoming one came in by */
	struct addr manager;
	mono_t opened;
	mono_t leaving_since;
	mono_t up_since;
	bool has_address; /* the manager has given one: `address` */
	struct session_address address;
	bool gone;  /* closed: freed in the next turn */
	bool again; /* the same address once more, at once, without RSA-PSS */
	struct link *next;
};

struct uplink {
	struct loop *loop;
	struct uplink_ops ops;
	struct dialer *dialer;
	struct resolve *query;
	struct loop_timer *timer;
	struct loop_task *reaper;
	struct link *links;
	struct link *current, *dialing;
	bool on;
	bool testing;
	char test_serial[CERT_SERIAL_MAX]; /* "": any */
	char seek[CERT_SERIAL_MAX];        /* "": nobody is looked for */
	mono_t kicked;                     /* an attempt may rest on what has changed: looked at again then */
	bool again_after_leaving;          /* the manager refused a second session: redial when the old one is gone */
	bool unresolved;                   /* the last look-up gave no address, and nothing was dialled since */
	bool start_failed;                 /* an attempt or a look-up failed before it had begun */
	char last_reason[320];
	struct addr pkcs1; /* the manager that cannot be offered RSA-PSS; family 0: none */
	struct {
		struct addr source;
		mono_t until;
	} held[HELD];
	size_t held_next;
	uint64_t calls_refused;

	uint16_t port;
	struct addr source4, source6;
	char device[16], sni[256], resolv_conf[512];
	enum tls_level level;
	struct tls_creds *creds;
};

static void uplink_sync(struct uplink *u);
static void check_stale(struct uplink *u, mono_t now);

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

static mono_t
leaving_due(const struct link *k)
{
	mono_t last;

	if (k->role != ROLE_LEAVING || session_state(k->session) >= SESSION_CLOSING)
		return MONO_NEVER;
	if (!channels_count(session_channels(k->session)))
		return k->leaving_since;
	last = channels_progress(session_channels(k->session), k->leaving_since);
	if (last.ms < k->leaving_since.ms)
		last = k->leaving_since;
	return mono_in(last, PROFILE_RESULT_MS);
}

/* Opened by somebody who has not proved yet that it is a manager of ours. */
static bool
is_stranger(const struct link *k)
{
	return k->role == ROLE_CALL && !k->gone && session_state(k->session) <= SESSION_AUTH;
}

static mono_t
stranger_due(const struct link *k)
{
	return is_stranger(k) ? mono_in(k->opened, PROFILE_CALL_MS) : MONO_NEVER;
}

void
uplink_touch(struct uplink *u)
{
	mono_t first = mono_min(dialer_deadline(u->dialer), u->kicked);

	for (const struct link *k = u->links; k; k = k->next) {
		if (k->gone)
			continue;
		first = mono_min(first, session_deadline(k->session));
		first = mono_min(first, leaving_due(k));
		first = mono_min(first, stranger_due(k));
	}
	loop_timer_at(u->timer, first);
}

static void
on_timer(void *ctx)
{
	struct uplink *u = ctx;
	mono_t now = clock_mono();

	for (struct link *k = u->links; k; k = k->next) {
		if (k->gone)
			continue;
		if (mono_due(session_deadline(k->session), now))
			session_tick(k->session, now);
		if (mono_due(leaving_due(k), now))
			session_stop(k->session, "replaced by a newer session", now);
		if (mono_due(stranger_due(k), now))
			session_stop(k->session, "not authenticated in time", now);
	}
	check_stale(u, now);
	dialer_tick(u->dialer, now);
	uplink_touch(u);
}

/* --- sessions' ops: each finds its link --------------------------------------------------------------------------- */

static struct link *
link_of(const struct uplink *u, const struct session *s)
{
	for (struct link *k = u->links; k; k = k->next) {
		if (k->session == s)
			return k;
	}
	return NULL;
}

static int
op_send(void *ctx, struct session *s, const void *body, size_t len)
{
	return conn_send(link_of(ctx, s)->conn, body, len);
}

static uint8_t *
op_packet_room(void *ctx, struct session *s, size_t max)
{
	return conn_packet_room(link_of(ctx, s)->conn, max);
}

static void
op_packet_ready(void *ctx, struct session *s, size_t len)
{
	conn_packet_ready(link_of(ctx, s)->conn, len);
}

static size_t
op_queued(void *ctx, struct session *s)
{
	return conn_queued(link_of(ctx, s)->conn);
}

static void
op_close(void *ctx, struct session *s)
{
	conn_close(link_of(ctx, s)->conn);
}

static const struct cert_check *
op_peer(void *ctx, struct session *s)
{
	return conn_peer(link_of(ctx, s)->conn);
}

static void
op_local(void *ctx, struct session *s, struct addr *local)
{
	struct addr remote;
	uint16_t port;

	conn_addresses(link_of(ctx, s)->conn, local, &remote, &port);
}

static void
op_identity(void *ctx, struct session *s, struct session_identity *out)
{
	struct uplink *u = ctx;

	u->ops.identity(u->ops.ctx, &link_of(u, s)->manager, out);
}

static void
op_policy(void *ctx, struct auth_policy *out)
{
	struct uplink *u = ctx;

	u->ops.policy(u->ops.ctx, out);
}

static const char *
op_register_password(void *ctx)
{
	struct uplink *u = ctx;

	return u->ops.register_password(u->ops.ctx);
}

static enum auth_login
op_login(void *ctx, struct session *s, const char *user, const char *password)
{
	struct uplink *u = ctx;

	return u->ops.login(u->ops.ctx, &link_of(u, s)->manager, user, password);
}

static void
op_judged(void *ctx, struct session *s, const struct auth_report *r)
{
	struct uplink *u = ctx;

	u->ops.judged(u->ops.ctx, s, r, op_peer(u, s));
}

static int
op_enrol(void *ctx, struct session *s, enum trust_how how, struct err *e)
{
	struct uplink *u = ctx;

	return u->ops.enrol(u->ops.ctx, s, op_peer(u, s), how, e);
}

static void
leave(struct link *k)
{
	k->role = ROLE_LEAVING;
	k->leaving_since = clock_mono();
}

/* The manager that is wanted at this moment; "": any. */
static const char *
wanted_serial(const struct uplink *u)
{
	return u->testing ? u->test_serial : u->seek;
}

/* Why a session that has come up is not wanted beside the one in use; NULL: it takes its place. While an install is
 * tested the newer one does; otherwise the one that this device has opened stays, and of two that managers have opened
 * the newer one of the same manager, which has lost the older. */
static const char *
not_wanted(const struct uplink *u, const struct link *k)
{
	const char *serial = session_peer_serial(k->session), *wanted = wanted_serial(u);

	if (!u->current)
		return NULL;
	if (*wanted)
		return strcmp(wanted, serial) ? "another manager is wanted" : NULL;
	/* one that an operator has just let in is to be used, whatever there was */
	if (u->testing || !k->incoming || session_report(k->session)->result == AUTH_REGISTER)
		return NULL;
	if (!u->current->incoming)
		return "the session that this device has opened stays";
	return strcmp(serial, session_peer_serial(u->current->session)) ? "another manager has the session" : NULL;
}

/* A session answered `get ip` with 200: it is the one in use from now on, unless another one is wanted. */
static void
op_up(void *ctx, struct session *s)
{
	struct uplink *u = ctx;
	struct link *k = link_of(u, s);
	const char *why = not_wanted(u, k);

	if (k != u->dialing && k->role != ROLE_CALL)
		return;
	if (why) {
		session_stop(s, why, clock_mono());
		return;
	}
	if (k == u->dialing) {
		u->dialing = NULL;
		dialer_succeeded(u->dialer);
	}
	if (u->current)
		leave(u->current);
	u->current = k;
	k->role = ROLE_CURRENT;
	k->up_since = clock_mono();
	u->ops.up(u->ops.ctx, s, k->target, &k->manager);
	if (k->has_address)
		u->ops.address(u->ops.ctx, s, &k->address);
	uplink_sync(u);
}

static void
op_privileged(void *ctx, struct session *s)
{
	struct uplink *u = ctx;

	u->ops.privileged(u->ops.ctx, s);
}

/* Kept until the session is the one in use: a manager that is turned away must not move the tunnel. */
static void
op_address(void *ctx, struct session *s, const struct session_address *a)
{
	struct uplink *u = ctx;
	struct link *k = link_of(u, s);

	k->has_address = true;
	k->address = *a;
	if (k == u->current)
		u->ops.address(u->ops.ctx, s, a);
}

static void
op_packet(void *ctx, struct session *s, uint8_t *p, size_t len)
{
	struct uplink *u = ctx;

	if (link_of(u, s) == u->current)
		u->ops.packet(u->ops.ctx, s, p, len);
}

static void
op_request(void *ctx, struct session *s, const struct message *m, mono_t now)
{
	struct uplink *u = ctx;

	u->ops.request(u->ops.ctx, s, m, now);
}

static void
op_versions(void *ctx, struct session *s, const struct message *m)
{
	struct uplink *u = ctx;

	if (link_of(u, s) == u->current)
		u->ops.versions(u->ops.ctx, s, m);
}

/* True when a manager that has our old session turned a fresh one away: then the old one goes first. */
static bool
refused_second(const struct uplink *u, const struct link *k)
{
	return u->testing && u->current && !u->again_after_leaving && session_turned_away(k->session) &&
	       addr_same_host(&k->manager, &u->current->manager);
}

/* IPv6 sources are networks: nobody has one address only. */
static bool
same_source(const struct addr *a, const struct addr *b)
{
	struct addr net = *a;

	if (a->family != AF_INET6)
		return addr_same_host(a, b);
	net.prefix = SOURCE6_BITS;
	return addr_covers(&net, b);
}

static void
hold_source(struct uplink *u, const struct addr *a, mono_t now)
{
	u->held[u->held_next].source = *a;
	u->held[u->held_next].until = mono_in(now, UPLINK_HOLD_MS);
	u->held_next = (u->held_next + 1) % HELD;
}

static bool
is_held(const struct uplink *u, const struct addr *a, mono_t now)
{
	for (size_t i = 0; i < HELD; i++) {
		if (u->held[i].source.family && !mono_due(u->held[i].until, now) && same_source(&u->held[i].source, a))
			return true;
	}
	return false;
}

static void
op_down(void *ctx, struct session *s)
{
	struct uplink *u = ctx;
	struct link *k = link_of(u, s);
	mono_t now = clock_mono();
	bool was_current = k == u->current, brief = now.ms - k->up_since.ms < SHORT_MS;

	/* a stranger at the door is no reason why the manager that is dialled is not there */
	if (was_current || !k->incoming || !dialer_target_count(u->dialer))
		snprintf(u->last_reason, sizeof(u->last_reason), "%s", session_reason(s));
	if (!was_current)
		log_debug(DBG_SESSION | DBG_ERROR, "[session] ended: %s", session_reason(s));
	if (k->incoming && !session_was_up(s))
		hold_source(u, &k->manager, now);
	u->ops.down(u->ops.ctx, s, was_current, k->target, &k->manager);
	k->gone = true;
	loop_task_soon(u->reaper);
	if (was_current)
		u->current = NULL;
	if (k == u->dialing) {
		u->dialing = NULL;
		if (refused_second(u, k)) {
			log_debug(DBG_SESSION,
				  "[test] the manager refused a second session: the old one is closed first");
			u->again_after_leaving = true;
			leave(u->current);
			u->current = NULL;
			return; /* dialled again when the old one is gone */
		}
		if (k->again && u->on)
			dialer_again(u->dialer, now);
		else
			dialer_failed(u->dialer, now);
	} else if (k->role == ROLE_LEAVING && u->again_after_leaving) {
		u->again_after_leaving = false;
		if (u->on)
			dialer_again(u->dialer, now);
		else
			dialer_failed(u->dialer, now);
	} else if (was_current && brief && u->on) {
		dialer_want_later(u->dialer, now);
	}
	uplink_sync(u);
}

/* --- connections' ops --------------------------------------------------------------------------------------------- */

static void
on_step(void *ctx, enum conn_step step)
{
	struct link *k = ctx;

	if (step == CONN_TLS)
		session_on_tcp(k->session, clock_mono());
	else if (step == CONN_OPEN)
		session_on_tls(k->session, clock_mono());
	uplink_touch(k->home);
}

static void
on_frame(void *ctx, const struct frame *f)
{
	struct link *k = ctx;

	session_on_frame(k->session, f, clock_mono());
	if (f->type == FRAME_MESSAGE)
		uplink_touch(k->home); /* a run of packets does it at its end */
}

static void
on_flush(void *ctx)
{
	struct link *k = ctx;

	k->home->ops.flush(k->home->ops.ctx);
	uplink_touch(k->home);
}

static void
on_room(void *ctx)
{
	struct link *k = ctx;

	session_on_room(k->session);
	k->home->ops.room(k->home->ops.ctx);
}

static void
on_closed(void *ctx, const struct err *why)
{
	struct link *k = ctx;
	struct uplink *u = k->home;

	if (why->code == -EPROTONOSUPPORT && !addr_same_host(&u->pkcs1, &k->manager)) {
		u->pkcs1 = k->manager;
		k->again = true;
	} else if (!k->incoming && session_state(k->session) == SESSION_HANDSHAKE) {
		u->pkcs1.family = 0; /* that was not the cause */
	}
	session_on_closed(k->session, why, clock_mono());
	uplink_touch(u);
}

/* --- dialling ----------------------------------------------------------------------------------------------------- */

static void
link_free(struct link *k)
{
	session_free(k->session);
	conn_free(k->conn);
	free(k);
}

static void
on_reap(void *ctx)
{
	struct uplink *u = ctx;
	struct link **p = &u->links;

	while (*p) {
		struct link *k = *p;

		if (k->gone) {
			*p = k->next;
			link_free(k);
		} else {
			p = &k->next;
		}
	}
	if (u->start_failed) {
		u->start_failed = false;
		dialer_start_failed(u->dialer, clock_mono());
	}
	uplink_sync(u);
}

/* By dialling, or over the connection that a manager has opened, whose descriptor is taken. */
static int
link_open(struct uplink *u, const char *target, const struct addr *a, const struct listener_call *call,
	  struct link **out, struct err *e)
{
	const struct session_ops sops = {
	    .ctx = u,
	    .send = op_send,
	    .packet_room = op_packet_room,
	    .packet_ready = op_packet_ready,
	    .queued = op_queued,
	    .close = op_close,
	    .peer = op_peer,
	    .local = op_local,
	    .identity = op_identity,
	    .policy = op_policy,
	    .register_password = op_register_password,
	    .login = call ? op_login : NULL,
	    .judged = op_judged,
	    .enrol = op_enrol,
	    .up = op_up,
	    .privileged = op_privileged,
	    .address = op_address,
	    .packet = op_packet,
	    .request = op_request,
	    .versions = op_versions,
	    .down = op_down,
	};
	struct conn_target t = {
	    .addr = *a,
	    .port = u->port == PROFILE_PORT4 && a->family == AF_INET6 ? PROFILE_PORT6 : u->port,
	    .source = a->family == AF_INET6 ? u->source6 : u->source4,
	    .device = u->device,
	    .sni = u->sni,
	    .level = u->level,
	    .pkcs1 = addr_same_host(&u->pkcs1, a),
	    .now_s = u->ops.trust_time_s(u->ops.ctx),
	};
	struct link *k = calloc(1, sizeof(*k));
	struct conn_ops cops = {
	    .ctx = k, .step = on_step, .frame = on_frame, .flush = on_flush, .room = on_room, .closed = on_closed};
	int rc = -ENOMEM;

	if (k)
		k->session = session_new(&sops, clock_mono());
	if (!k || !k->session) {
		err_sys(e, rc, "session");
		goto out;
	}
	k->home = u;
	k->manager = *a;
	k->opened = clock_mono();
	text_copy(k->target, sizeof(k->target), target);
	if (call) {
		k->incoming = true;
		k->role = ROLE_CALL;
		memcpy(k->interface, call->interface, sizeof(k->interface));
		t.port = call->peer_port;
		rc = conn_accept(u->loop, u->creds, call->fd, &t, &cops, &k->conn, e);
		call = NULL;
	} else {
		rc = conn_dial(u->loop, u->creds, &t, &cops, &k->conn, e);
	}
	if (rc)
		goto out;
	k->next = u->links;
	u->links = k;
	*out = k;
	return 0;
out:
	if (call)
		close(call->fd);
	if (k)
		link_free(k);
	return rc;
}

static void
do_dial(void *ctx, const char *target, const struct addr *a)
{
	struct uplink *u = ctx;
	char text[ADDR_TEXT], shown[80];
	struct err e = ERR_NONE;
	struct link *k = NULL;

	u->unresolved = false;
	log_debug(DBG_SESSION, "[session] dialling %s (%s)", addr_host(text, a),
		  text_escape(shown, sizeof(shown), target, strlen(target)));
	if (link_open(u, target, a, NULL, &k, &e)) {
		snprintf(u->last_reason, sizeof(u->last_reason), "%s: %s", text, e.text);
		log_debug(DBG_SESSION, "[session] %s", u->last_reason);
		u->start_failed = true; /* the dialer hears of it from a fresh turn */
		loop_task_soon(u->reaper);
		return;
	}
	u->dialing = k;
}

static void
on_resolved(void *ctx, const struct addr *addrs, size_t count, const struct err *why)
{
	struct uplink *u = ctx;

	u->query = NULL;
	u->unresolved = !count;
	if (!count) {
		snprintf(u->last_reason, sizeof(u->last_reason), "name of the manager: %s", why->text);
		log_debug(DBG_SESSION, "[session] %s", u->last_reason);
	}
	dialer_resolved(u->dialer, addrs, count, clock_mono());
	uplink_touch(u);
}

static void
do_resolve(void *ctx, const char *name)
{
	struct uplink *u = ctx;
	struct err e = ERR_NONE;

	if (!resolve_start(u->loop, u->resolv_conf, name, on_resolved, u, &u->query, &e))
		return;
	snprintf(u->last_reason, sizeof(u->last_reason), "%s", e.text);
	log_debug(DBG_ERROR, "[session] %s", e.text);
	u->query = NULL;
	u->start_failed = true;
	loop_task_soon(u->reaper);
}

static void
stop_resolve(void *ctx)
{
	struct uplink *u = ctx;

	resolve_cancel(u->query);
	u->query = NULL;
}

static uint32_t
do_random(void *ctx)
{
	uint32_t r = 0;

	(void)ctx;
	crypto_random(&r, sizeof(r)); /* without randomness the shortest delay is taken: no reason to stay away */
	return r;
}

/* --- connections that managers open --------------------------------------------------------------------------------
 */

/* How many of them there are beside the one in use, and how many of them from the source of `a`. */
static size_t
count_calls(const struct uplink *u, const struct addr *a, size_t *of_one)
{
	size_t n = 0;

	*of_one = 0;
	for (const struct link *k = u->links; k; k = k->next) {
		if (!k->incoming || k->gone || k == u->current)
			continue;
		n++;
		*of_one += same_source(&k->manager, a);
	}
	return n;
}

/* Why no more can be taken from there; NULL: it can. */
static const char *
cannot_take(struct uplink *u, const struct addr *peer, mono_t now)
{
	struct link *oldest = NULL;
	size_t of_one, n = count_calls(u, peer, &of_one);

	if (!u->on || !u->creds)
		return "nobody is connected to now";
	if (is_held(u, peer, now))
		return "it failed a moment ago";
	if (of_one >= UPLINK_CALLS_OF_ONE)
		return "there are connections from there already";
	if (n < UPLINK_CALLS)
		return NULL;
	for (struct link *k = u->links; k; k = k->next) {
		if (is_stranger(k) && session_state(k->session) < SESSION_CLOSING)
			oldest = k; /* new ones are put in front */
	}
	if (!oldest)
		return "there are too many";
	session_stop(oldest->session, "it made room for a newer connection", now);
	return NULL;
}

void
uplink_accept(struct uplink *u, const struct listener_call *c)
{
	const char *why = cannot_take(u, &c->peer, clock_mono());
	struct err e = ERR_NONE;
	struct link *k = NULL;
	char text[ADDR_TEXT];

	addr_host(text, &c->peer);
	if (why) {
		u->calls_refused++;
		log_debug(DBG_SESSION, "[listen] %s: %s: refused", text, why);
		close(c->fd);
	} else if (link_open(u, "", &c->peer, c, &k, &e)) {
		log_debug(DBG_ERROR, "[listen] %s: %s", text, e.text);
	} else {
		log_debug(DBG_SESSION, "[listen] %s came in by interface %s", text, c->interface);
	}
	uplink_touch(u);
}

void
uplink_check_calls(struct uplink *u, bool (*allowed)(void *ctx, const char *interface, const struct addr *local),
		   void *ctx, const char *reason)
{
	for (struct link *k = u->links; k; k = k->next) {
		struct addr local, remote;
		uint16_t port;

		if (!k->incoming || k->gone)
			continue;
		conn_addresses(k->conn, &local, &remote, &port);
		if (local.family && !allowed(ctx, k->interface, &local))
			session_stop(k->session, reason, clock_mono());
	}
	uplink_touch(u);
}

/* --- the owner's side --------------------------------------------------------------------------------------------- */

/* Dials when there is reason to, and only then. */
static void
uplink_sync(struct uplink *u)
{
	bool want = u->on && u->creds && (!u->current || u->testing || u->seek[0]) && !u->again_after_leaving;

	dialer_want(u->dialer, want, clock_mono());
	uplink_touch(u);
}

int
uplink_new(struct loop *l, const struct uplink_ops *ops, struct uplink **out, struct err *e)
{
	struct uplink *u = calloc(1, sizeof(*u));
	struct dialer_ops dops = {
	    .ctx = u, .dial = do_dial, .resolve = do_resolve, .resolve_stop = stop_resolve, .random = do_random};

	if (!u)
		return err_sys(e, -ENOMEM, "uplink");
	u->loop = l;
	u->ops = *ops;
	u->kicked = MONO_NEVER;
	u->dialer = dialer_new(&dops);
	u->timer = loop_timer_new(l, on_timer, u);
	u->reaper = loop_task_new(l, on_reap, u);
	if (!u->dialer || !u->timer || !u->reaper) {
		uplink_free(u);
		return err_sys(e, -ENOMEM, "uplink");
	}
	*out = u;
	return 0;
}

void
uplink_free(struct uplink *u)
{
	struct link *k;

	if (!u)
		return;
	resolve_cancel(u->query);
	while ((k = u->links)) {
		u->links = k->next;
		link_free(k);
	}
	loop_timer_free(u->timer);
	loop_task_free(u->reaper);
	dialer_free(u->dialer);
	free(u);
}

/* An attempt that began before now counts no more: what it rests on has changed. A new round begins at once. */
static void
begin_anew(struct uplink *u, const char *reason)
{
	dialer_restart(u->dialer, clock_mono());
	if (u->dialing)
		session_stop(u->dialing->session, reason, clock_mono());
}

int
uplink_configure(struct uplink *u, const struct uplink_config *c, struct err *e)
{
	u->creds = c->creds; /* whatever else is wrong: the old ones are no more */
	if (text_copy(u->device, sizeof(u->device), c->device) || text_copy(u->sni, sizeof(u->sni), c->sni) ||
	    text_copy(u->resolv_conf, sizeof(u->resolv_conf), c->resolv_conf))
		return err_set(e, -ENAMETOOLONG, "interface, SNI or resolver path is too long");
	u->port = c->port;
	u->source4 = c->source4;
	u->source6 = c->source6;
	u->level = c->level;
	if (u->dialing)
		begin_anew(u, "the configuration has changed");
	if (!u->creds)
		dialer_want(u->dialer, false, clock_mono());
	dialer_set_targets(u->dialer, c->targets, c->target_count, clock_mono());
	uplink_sync(u);
	return 0;
}

void
uplink_remember(struct uplink *u, const char *target, const struct addr *a)
{
	dialer_remember(u->dialer, target, a);
}

void
uplink_enable(struct uplink *u, bool on, const char *reason)
{
	u->on = on;
	if (!on) {
		for (struct link *k = u->links; k; k = k->next) {
			if (!k->gone)
				session_stop(k->session, reason, clock_mono());
		}
	}
	uplink_sync(u);
}

bool
uplink_idle(const struct uplink *u)
{
	return !u->links;
}

void
uplink_test_begin(struct uplink *u, const char *serial)
{
	static const char reason[] = "a fresh session is wanted";

	u->testing = true;
	text_copy(u->test_serial, sizeof(u->test_serial), serial ? serial : "");
	for (struct link *k = u->links; k; k = k->next) {
		if (k->role == ROLE_CALL && !k->gone)
			session_stop(k->session, reason, clock_mono());
	}
	if (u->current && (u->current->incoming || !dialer_target_count(u->dialer))) {
		log_debug(DBG_SESSION, "[test] the manager has to come again: the old session is closed");
		leave(u->current);
		u->current = NULL;
	}
	begin_anew(u, reason);
	uplink_sync(u);
}

void
uplink_seek(struct uplink *u, const char *serial)
{
	text_copy(u->seek, sizeof(u->seek), serial ? serial : "");
	uplink_sync(u);
}

void
uplink_stop_serial(struct uplink *u, const char *serial, const char *reason)
{
	for (struct link *k = u->links; k; k = k->next) {
		if (!k->gone && !strcmp(session_peer_serial(k->session), serial))
			session_stop(k->session, reason, clock_mono());
	}
	uplink_touch(u);
}

void
uplink_test_end(struct uplink *u)
{
	u->testing = false;
	u->test_serial[0] = '\0';
	if (u->current && u->dialing)
		session_stop(u->dialing->session, "the test is over", clock_mono());
	uplink_sync(u);
}

/* A SYN sent into a dead link, or from an address that is gone, is repeated ever more rarely by the kernel: start
 * afresh. One that is younger gets its chance first. */
static void
check_stale(struct uplink *u, mono_t now)
{
	const struct session *s = u->dialing ? u->dialing->session : NULL;
	mono_t due;

	if (!mono_due(u->kicked, now))
		return;
	u->kicked = MONO_NEVER;
	if (!s || session_state(s) != SESSION_CONNECTING)
		return;
	due = mono_in(session_since(s), STALE_CONNECT_MS);
	if (mono_due(due, now))
		session_stop(u->dialing->session, "the network has changed", now);
	else
		u->kicked = due;
}

void
uplink_kick(struct uplink *u)
{
	mono_t now = clock_mono();

	dialer_kick(u->dialer, now);
	u->kicked = mono_in(now, 0);
	check_stale(u, now);
	uplink_touch(u);
}

struct session *
uplink_current(const struct uplink *u)
{
	return u->current ? u->current->session : NULL;
}

void
uplink_view(const struct uplink *u, mono_t now, struct uplink_view *out)
{
	const struct link *k = u->current ? u->current : u->dialing;
	mono_t due = dialer_deadline(u->dialer);
	size_t of_one;

	*out = (struct uplink_view){
	    .tls_version = "", .tls_suite = "", .resolving = u->query != NULL, .unresolved = u->unresolved};
	out->next_dial_ms = due.ms == MONO_NEVER.ms ? -1 : mono_left_ms(due, now);
	text_copy(out->last_reason, sizeof(out->last_reason), u->last_reason);
	out->calls = count_calls(u, &(struct addr){0}, &of_one);
	out->calls_refused = u->calls_refused;
	if (!k)
		return;
	out->session = k->session;
	out->current = k == u->current;
	out->incoming = k->incoming;
	text_copy(out->target, sizeof(out->target), k->target);
	conn_addresses(k->conn, &out->local, &out->manager, &out->port);
	out->tls_version = conn_tls_version(k->conn);
	out->tls_suite = conn_tls_suite(k->conn);
	out->peer = conn_peer(k->conn);
	out->counters = conn_counters(k->conn);
}
