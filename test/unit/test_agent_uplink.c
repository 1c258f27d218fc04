/* agent/uplink: sessions over real connections to a manager on the loopback interface. */
// wrap: clock_mono epoll_wait mbed_is_pss_refused mbed_conf_pkcs1
#include "agent/uplink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "agent/channel.h"
#include "agent/listener.h"
#include "agent/profile.h"
#include "base/crypto.h"
#include "base/mbed.h"
#include "test/unit/fake_manager.h"
#include "test/unit/netns_fixture.h"
#include "test/unit/rollback_fixture.h"

static struct world {
	struct loop *loop;
	struct tls_creds *creds;
	struct trust_list *list;
	struct uplink *uplink;
	struct fake fake;

	/* what the owner does */
	bool end_test_when_up;

	/* what the owner heard */
	int ups, privileged, addresses, downs, current_downs, denied, requests, packets, flushes, rooms;
	char serial[40], target[64], reason[320];
	char order[256]; /* of ups and downs: "up ", "down ", "DOWN " for the one in use */
} w;

/* What the library says of a failed handshake; mbedTLS 2.28 would never say it. */
static struct {
	bool refused, cured; /* cured: the manager takes the next one */
	int offered_without;
} pss;

bool __wrap_mbed_is_pss_refused(const struct mbedtls_ssl_context *ssl, int rc);
void __wrap_mbed_conf_pkcs1(struct mbedtls_ssl_config *conf);
void __real_mbed_conf_pkcs1(struct mbedtls_ssl_config *conf);

bool
__wrap_mbed_is_pss_refused(const struct mbedtls_ssl_context *ssl, int rc)
{
	(void)ssl;
	(void)rc;
	if (pss.cured)
		mbedtls_ssl_conf_ciphersuites(&w.fake.conf, mbedtls_ssl_list_ciphersuites());
	return pss.refused;
}

void
__wrap_mbed_conf_pkcs1(struct mbedtls_ssl_config *conf)
{
	pss.offered_without++;
	__real_mbed_conf_pkcs1(conf);
}

/* --- the owner ---------------------------------------------------------------------------------------------------- */

static void
op_identity(void *ctx, const struct addr *manager, struct session_identity *out)
{
	(void)ctx;
	(void)manager;
	*out = (struct session_identity){.serial = "FGVM010000000001",
					 .platform = "FortiGate-60E",
					 .hostname = "gate",
					 .os_version = "7.2.4",
					 .mgmtid = "",
					 .first_fmgid = "",
					 .vdom = "root",
					 .checksum = "00",
					 .avdb = "0",
					 .ipsdb = "0"};
}

static void
op_policy(void *ctx, struct auth_policy *out)
{
	(void)ctx;
	*out = (struct auth_policy){.list = w.list};
}

static const char *
op_register_password(void *ctx)
{
	(void)ctx;
	return NULL;
}

static int64_t
op_trust_time_s(void *ctx)
{
	(void)ctx;
	return FAKE_NOW_S;
}

static enum auth_login
op_login(void *ctx, const struct addr *manager, const char *user, const char *password)
{
	(void)ctx;
	(void)manager;
	return !strcmp(user, "admin") && !strcmp(password, "right") ? LOGIN_GOOD : LOGIN_BAD;
}

static void
op_versions(void *ctx, struct session *s, const struct message *m)
{
	(void)ctx;
	(void)s;
	(void)m;
}

static void
op_judged(void *ctx, struct session *s, const struct auth_report *r, const struct cert_check *peer)
{
	(void)ctx;
	(void)s;
	(void)peer;
	w.denied += r->result == AUTH_DENIED;
}

static int
op_enrol(void *ctx, struct session *s, const struct cert_check *peer, enum trust_how how, struct err *e)
{
	(void)ctx;
	(void)s;
	return trust_list_add(w.list, &peer->facts, how, FAKE_NOW_S, e);
}

static void
op_up(void *ctx, struct session *s, const char *target, const struct addr *manager)
{
	char text[ADDR_TEXT];

	(void)ctx;
	w.ups++;
	snprintf(w.serial, sizeof(w.serial), "%s", session_peer_serial(s));
	snprintf(w.target, sizeof(w.target), "%s %s", target, addr_host(text, manager));
	snprintf(w.order + strlen(w.order), sizeof(w.order) - strlen(w.order), "up ");
	if (w.end_test_when_up)
		uplink_test_end(w.uplink);
}

static void
op_privileged(void *ctx, struct session *s)
{
	(void)ctx;
	(void)s;
	w.privileged++;
}

static void
op_address(void *ctx, struct session *s, const struct session_address *a)
{
	(void)ctx;
	(void)s;
	(void)a;
	w.addresses++;
}

static void
op_packet(void *ctx, struct session *s, uint8_t *p, size_t len)
{
	(void)ctx;
	(void)s;
	(void)p;
	(void)len;
	w.packets++;
}

static void
op_flush(void *ctx)
{
	(void)ctx;
	w.flushes++;
}

/* A packet of 1,400 bytes from the tunnel, where there is room for it. */
static void
send_packet(void)
{
	struct session *s = uplink_current(w.uplink);
	uint8_t *dst = session_packet_room(s, 1500);

	if (!dst)
		return;
	memset(dst, 0x45, 1400);
	session_packet_ready(s, 1400);
}

static void
op_request(void *ctx, struct session *s, const struct message *m, mono_t now)
{
	(void)ctx;
	(void)s;
	(void)m;
	(void)now;
	w.requests++;
}

static void
op_down(void *ctx, struct session *s, bool current, const char *target, const struct addr *manager)
{
	(void)ctx;
	(void)target;
	(void)manager;
	w.downs++;
	w.current_downs += current;
	snprintf(w.reason, sizeof(w.reason), "%s", session_reason(s));
	snprintf(w.order + strlen(w.order), sizeof(w.order) - strlen(w.order), current ? "DOWN " : "down ");
}

static void
op_room(void *ctx)
{
	(void)ctx;
	w.rooms++;
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

static int
setup(void **state)
{
	const struct uplink_ops ops = {.identity = op_identity,
				       .policy = op_policy,
				       .register_password = op_register_password,
				       .login = op_login,
				       .trust_time_s = op_trust_time_s,
				       .judged = op_judged,
				       .enrol = op_enrol,
				       .up = op_up,
				       .privileged = op_privileged,
				       .address = op_address,
				       .packet = op_packet,
				       .flush = op_flush,
				       .request = op_request,
				       .versions = op_versions,
				       .down = op_down,
				       .room = op_room};
	struct err e = ERR_NONE;

	memset(&w, 0, sizeof(w));
	w.fake.fd = -1;
	if (fixture_setup(state))
		return -1;
	w.loop = loop_new(&e);
	if (!w.loop || trust_list_load(fixture_path("trust-list.json"), &w.list, &e) ||
	    uplink_new(w.loop, &ops, &w.uplink, &e))
		return -1;
	w.creds = fake_creds();
	return 0;
}

static int
teardown(void **state)
{
	uplink_free(w.uplink);
	fake_stop(&w.fake);
	tls_creds_free(w.creds);
	trust_list_free(w.list);
	loop_free(w.loop);
	return fixture_teardown(state);
}

/* Wants to be connected to `targets` at the manager's port. */
static void
configure(const char *const targets[], size_t count)
{
	struct uplink_config c = {.port = w.fake.port,
				  .device = "",
				  .sni = "",
				  .resolv_conf = fixture_path("resolv.conf"),
				  .level = TLS_LEVEL_HIGH,
				  .creds = w.creds,
				  .target_count = count};
	struct err e = ERR_NONE;

	for (size_t i = 0; i < count; i++)
		c.targets[i] = targets[i];
	assert_int_equal(uplink_configure(w.uplink, &c, &e), 0);
}

static void
dial(void)
{
	const char *const targets[] = {"127.0.0.1"};

	configure(targets, 1);
	uplink_enable(w.uplink, true, NULL);
}

static bool
is_up(void)
{
	return uplink_current(w.uplink) != NULL;
}

static bool
is_gone(void)
{
	return !uplink_current(w.uplink);
}

static bool
is_idle(void)
{
	return uplink_idle(w.uplink);
}

static bool
one_left(void)
{
	return fake_open(&w.fake) == 1 && w.fake.count == 2 && w.downs == 1;
}

static bool
one_was_down(void)
{
	return w.downs > 0;
}

static bool
two_came(void)
{
	return w.fake.count >= 2;
}

static bool
one_came(void)
{
	return w.fake.count >= 1;
}

static bool
asked_for_auth(void)
{
	return w.fake.count && w.fake.links[0].count;
}

static bool
two_are_up(void)
{
	return w.ups >= 2;
}

static void
run_until(const char *what, bool (*until)(void))
{
	if (!turn_run(w.loop, until, TURN_SOON_MS)) {
		struct uplink_view v;

		uplink_view(w.uplink, clock_mono(), &v);
		fail_msg("%s: not reached; %zu connections came, %s, \"%s\"", what, w.fake.count, w.order,
			 v.last_reason);
	}
}

static void
run_quiet(void)
{
	turn_quiet(w.loop);
}

static void
up_with(const char *crt)
{
	fake_start(&w.fake, w.loop, crt);
	dial();
	run_until("up", is_up);
}

static int
on_no_data(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)n;
	(void)e;
	return 0;
}

static int
on_no_end(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

/* A channel of the session in use with a result on it that the manager has not acknowledged. */
static void
open_channel(void)
{
	const struct channel_ops ops = {.data = on_no_data, .end = on_no_end};
	struct channels *cs = session_channels(uplink_current(w.uplink));
	struct channel *ch = channel_accept(cs, 90, 1000, &ops, clock_mono());

	assert_non_null(ch);
	channel_write(ch, "result", 6);
	channel_write_end(ch);
	channel_close_when_delivered(ch, 0, "done");
	channels_pump(cs);
}

static bool
three_lines(void)
{
	return w.fake.links[0].count >= 3;
}

static bool
four_lines(void)
{
	return w.fake.links[0].count >= 4;
}

static bool
has_request(void)
{
	return w.requests == 1;
}

/* --- connections that the manager opens -------------------------------------------------------------------------- */

/* The manager connects from this address of the loopback; both ends are wired up. Its end, or -1 where nobody plays
 * it: a stranger who says nothing. */
static int
call_from(const char *source, bool manager)
{
	struct listener_call c = {.interface = "lo"};
	struct sockaddr_in from = {.sin_family = AF_INET}, to;
	socklen_t n = sizeof(to);
	uint16_t port;
	int door = fake_socket(&port, 4), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&to, &n), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, n), 0);
	c.fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(c.fd >= 0);
	close(door);
	assert_int_equal(addr_parse_host(source, &c.peer), 0);
	c.peer_port = 4711;
	uplink_accept(w.uplink, &c);
	if (!manager)
		return fd;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fake_take_over(&w.fake, fd);
	return -1;
}

/* Nobody to dial; the manager comes by itself. */
static void
wait_for_calls(void)
{
	fake_start(&w.fake, w.loop, "manager");
	configure(NULL, 0);
	uplink_enable(w.uplink, true, NULL);
}

static struct uplink_view
view(void)
{
	struct uplink_view v;

	uplink_view(w.uplink, clock_mono(), &v);
	return v;
}

#define LOGIN "reply 200|request=auth|serialno=" FAKE_SERIAL "|user=admin|passwd="

static void
a_manager_that_dials(void **state)
{
	(void)state;
	wait_for_calls();
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
	assert_true(view().incoming);
	assert_string_equal(w.target, " 127.0.0.1");
	assert_string_equal(trust_list_at(w.list, 0)->serial, FAKE_SERIAL);
	assert_int_equal(trust_list_at(w.list, 0)->how, TRUST_MANAGER_INITIATED);
	assert_int_equal(view().next_dial_ms, -1);
}

static void
a_manager_that_dials_and_has_no_password(void **state)
{
	(void)state;
	wait_for_calls();
	w.fake.auth = LOGIN "wrong";
	call_from("127.0.0.1", true);
	run_until("refused", one_was_down);
	assert_int_equal(w.denied, 1);
	assert_int_equal(trust_list_count(w.list), 0);
	assert_int_equal(w.ups, 0);
	/* not again at once, but after a second */
	close(call_from("127.0.0.1", false));
	assert_int_equal(view().calls_refused, 1);
	turn_forward(w.loop, UPLINK_HOLD_MS);
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
}

static void
strangers_are_few_and_brief(void **state)
{
	int fds[UPLINK_CALLS_OF_ONE + 1];

	(void)state;
	wait_for_calls();
	for (int i = 0; i <= UPLINK_CALLS_OF_ONE; i++)
		fds[i] = call_from("127.0.0.9", false);
	assert_int_equal(view().calls, UPLINK_CALLS_OF_ONE);
	assert_int_equal(view().calls_refused, 1);
	turn_forward(w.loop, PROFILE_CALL_MS);
	run_until("given up", is_idle);
	assert_int_equal(w.downs, UPLINK_CALLS_OF_ONE);
	assert_string_equal(w.reason, "not authenticated in time");
	for (int i = 0; i <= UPLINK_CALLS_OF_ONE; i++)
		close(fds[i]);
}

static void
the_oldest_stranger_makes_room(void **state)
{
	int fds[UPLINK_CALLS];
	char from[32];

	(void)state;
	wait_for_calls();
	for (int i = 0; i < UPLINK_CALLS; i++) {
		snprintf(from, sizeof(from), "127.0.1.%d", i + 1);
		fds[i] = call_from(from, false);
	}
	assert_int_equal(view().calls, UPLINK_CALLS);
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
	assert_int_equal(w.downs, 1);
	assert_string_equal(w.reason, "it made room for a newer connection");
	assert_int_equal(view().calls_refused, 0);
	for (int i = 0; i < UPLINK_CALLS; i++)
		close(fds[i]);
}

static void
the_own_session_stays(void **state)
{
	struct session *own;

	(void)state;
	up_with("manager");
	own = uplink_current(w.uplink);
	call_from("127.0.0.1", true);
	run_until("turned down", one_was_down);
	assert_string_equal(w.reason, "the session that this device has opened stays");
	assert_ptr_equal(uplink_current(w.uplink), own);
	assert_string_equal(w.order, "up down ");
}

static void
the_newer_call_of_a_manager_stays(void **state)
{
	struct session *first;

	(void)state;
	wait_for_calls();
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
	first = uplink_current(w.uplink);
	call_from("127.0.0.1", true);
	run_until("two", two_are_up);
	assert_ptr_not_equal(uplink_current(w.uplink), first);
	run_until("one left", one_was_down);
	assert_string_equal(w.reason, "replaced by a newer session");
	assert_string_equal(w.order, "up up down ");
}

/* Recovery rules, "The connection test": it is closed so that the manager comes again. */
static void
a_test_makes_the_manager_come_again(void **state)
{
	(void)state;
	wait_for_calls();
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
	open_channel();
	uplink_test_begin(w.uplink, FAKE_SERIAL);
	assert_null(uplink_current(w.uplink));
	run_quiet();
	assert_int_equal(w.downs, 0); /* its results go first */
	turn_forward(w.loop, PROFILE_RESULT_MS);
	run_until("closed", one_was_down);
	w.end_test_when_up = true;
	call_from("127.0.0.1", true);
	run_until("up again", is_up);
	assert_string_equal(w.order, "up down up ");
}

/* What came before the test rests on what has changed. */
static void
a_test_wants_a_fresh_call(void **state)
{
	(void)state;
	wait_for_calls();
	w.fake.auth = NULL;
	call_from("127.0.0.1", true);
	run_until("asked", asked_for_auth);
	uplink_test_begin(w.uplink, FAKE_SERIAL);
	run_until("stopped", one_was_down);
	assert_string_equal(w.reason, "a fresh session is wanted");
	uplink_test_end(w.uplink);
}

static bool
never(void *ctx, const char *interface, const struct addr *local)
{
	(void)ctx;
	(void)local;
	assert_string_equal(interface, "lo");
	return false;
}

static void
calls_end_where_they_may_not_be(void **state)
{
	(void)state;
	wait_for_calls();
	w.fake.auth = LOGIN "right";
	call_from("127.0.0.1", true);
	run_until("up", is_up);
	uplink_check_calls(w.uplink, never, NULL, "not there");
	run_until("gone", is_gone);
	assert_string_equal(w.reason, "not there");
}

static void
nobody_is_taken_while_it_is_off(void **state)
{
	int fd;
	char c;

	(void)state;
	wait_for_calls();
	uplink_enable(w.uplink, false, "off");
	fd = call_from("127.0.0.1", false);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_true(is_idle());
	assert_int_equal(view().calls_refused, 1);
	close(fd);
}

/* --- one session -------------------------------------------------------------------------------------------------- */

static void
one_session(void **state)
{
	struct uplink_view v;

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	assert_true(uplink_idle(w.uplink));
	dial();
	assert_false(uplink_idle(w.uplink));
	assert_null(uplink_current(w.uplink));
	run_until("up", is_up);
	assert_string_equal(w.serial, FAKE_SERIAL);
	assert_string_equal(w.target, "127.0.0.1 127.0.0.1");
	assert_int_equal(w.privileged, 1);
	assert_int_equal(w.addresses, 1);
	assert_int_equal(trust_list_count(w.list), 1);
	uplink_view(w.uplink, clock_mono(), &v);
	assert_true(v.current);
	assert_ptr_equal(v.session, uplink_current(w.uplink));
	assert_int_equal(v.port, w.fake.port);
	assert_true(!strncmp(v.tls_version, "TLSv1.", 6) && *v.tls_suite);
	assert_true(v.peer->seen);
	assert_int_equal(v.next_dial_ms, -1);
	assert_string_equal(v.target, "127.0.0.1");
	run_until("three messages", three_lines);
	assert_true(strstr(w.fake.links[0].lines[0], "|fg_ip=127.0.0.1|") != NULL);
	assert_true(strstr(w.fake.links[0].lines[1], "get ip|") == w.fake.links[0].lines[1]);
	assert_true(strstr(w.fake.links[0].lines[2], "keepalive|") == w.fake.links[0].lines[2]);
	/* keep-alives go on, and nobody dials again */
	turn_forward(w.loop, 120 * 1000);
	run_until("a keep-alive", four_lines);
	run_quiet();
	assert_int_equal(w.fake.links[0].count, 4);
	uplink_kick(w.uplink);
	turn_forward(w.loop, 10 * 1000);
	assert_int_equal(w.fake.count, 1);
	/* requests come through */
	fake_say(&w.fake.links[0], "get file_exchange|localid=1");
	run_until("a request", has_request);
}

/* Nobody trusted: a failure, and another try later. */
static void
managers_that_fail(void **state)
{
	static const struct {
		const char *what, *crt, *auth, *ip, *reason;
		int denied;
	} rows[] = {
	    {"another CA's", "manager-other", NULL, NULL, "not by a CA in", 1},
	    {"a device", "poser", NULL, NULL, "is not a manager's", 1},
	    {"expired", "manager-expired", NULL, NULL, "expired on", 1},
	    {"another serial", "manager", "reply 200|request=auth|serialno=FMG-VM0000000002", NULL, "differs from", 1},
	    {"refuses us", "manager", "reply 403|request=auth|reason=unknown device", NULL, "unknown device", 0},
	    {"refuses get ip", "manager", NULL, "reply 500|request=ip", "get ip with 500", 0},
	    {"talks first", "manager", "keepalive", NULL, "before authentication", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct uplink_view v;

		fake_start(&w.fake, w.loop, rows[i].crt);
		if (rows[i].auth)
			w.fake.auth = rows[i].auth;
		if (rows[i].ip)
			w.fake.ip = rows[i].ip;
		dial();
		run_until(rows[i].what, one_was_down);
		run_quiet();
		if (!strstr(w.reason, rows[i].reason) || w.denied != rows[i].denied || w.ups)
			fail_msg("%s: \"%s\", denied %d, up %d", rows[i].what, w.reason, w.denied, w.ups);
		assert_int_equal(trust_list_count(w.list), 0);
		assert_int_equal(w.fake.count, 1);
		uplink_view(w.uplink, clock_mono(), &v);
		assert_string_equal(v.last_reason, w.reason);
		assert_null(v.session);
		/* 1 to 2 s after the first failure */
		assert_in_range(v.next_dial_ms, 1, 2000);
		turn_forward(w.loop, v.next_dial_ms);
		run_until("again", two_came);
		teardown(state);
		setup(state);
	}
}

/* None of these is offered to a manager. */
static void
start_without_common_suite(void)
{
	static const int foreign[] = {MBEDTLS_TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256, 0};

	fake_start(&w.fake, w.loop, "manager");
	mbedtls_ssl_conf_ciphersuites(&w.fake.conf, foreign);
}

static bool
three_came(void)
{
	return w.fake.count >= 3;
}

/* Such a manager is dialled once more at once, and without RSA-PSS from then on. */
static void
a_manager_that_signs_with_pss(void **state)
{
	int64_t from_ms = clock_mono().ms;

	(void)state;
	pss.refused = pss.cured = true;
	pss.offered_without = 0;
	start_without_common_suite();
	dial();
	run_until("up", is_up);
	assert_int_equal(w.fake.count, 2);
	assert_int_equal(pss.offered_without, 1);
	assert_in_range(clock_mono().ms - from_ms, 0, 500);
	turn_forward(w.loop, 61 * 1000);
	fake_close(&w.fake.links[1]);
	run_until("up again", two_are_up);
	assert_int_equal(w.fake.count, 3);
	assert_int_equal(pss.offered_without, 2);
}

/* Where that was not the cause it is one more try, not a tight loop, and RSA-PSS is offered again. */
static void
a_manager_that_fails_without_pss_too(void **state)
{
	struct uplink_view v;

	(void)state;
	pss.refused = true;
	pss.cured = false;
	pss.offered_without = 0;
	start_without_common_suite();
	dial();
	run_until("once more", two_came);
	run_quiet();
	assert_int_equal(w.fake.count, 2);
	assert_int_equal(pss.offered_without, 1);
	uplink_view(w.uplink, clock_mono(), &v);
	assert_null(strstr(v.last_reason, "RSA-PSS"));
	assert_in_range(v.next_dial_ms, 1, 2000);
	pss.refused = false;
	turn_forward(w.loop, v.next_dial_ms);
	run_until("after the backoff", three_came);
	run_quiet();
	assert_int_equal(w.fake.count, 3);
	assert_int_equal(pss.offered_without, 1);
}

/* Wire profile, section 3: replies within 60 s, TLS within 60 s. */
static void
managers_that_say_nothing(void **state)
{
	static const struct {
		const char *what, *reason;
		bool tcp_only;
	} rows[] = {
	    {"no TLS", "TLS handshake: not complete within 60 seconds", true},
	    {"no reply", "no reply to a request within 60 seconds", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_start(&w.fake, w.loop, "manager");
		w.fake.silent = rows[i].tcp_only;
		w.fake.auth = NULL;
		dial();
		run_until(rows[i].what, rows[i].tcp_only ? one_came : asked_for_auth);
		turn_forward(w.loop, 59 * 1000);
		assert_int_equal(w.downs, 0);
		turn_forward(w.loop, 1000);
		run_until(rows[i].what, one_was_down);
		if (strcmp(w.reason, rows[i].reason))
			fail_msg("%s: %s", rows[i].what, w.reason);
		teardown(state);
		setup(state);
	}
}

static void
several_targets(void **state)
{
	/* nobody listens at the first; the second is no address and no name server answers */
	const char *const targets[] = {"127.0.0.9", "no.such.name.invalid", "127.0.0.1"};
	struct uplink_view v;

	(void)state;
	fixture_write("resolv.conf", "nameserver 127.0.0.9\n");
	fake_start(&w.fake, w.loop, "manager");
	configure(targets, 3);
	uplink_enable(w.uplink, true, NULL);
	run_until("the third", is_up);
	assert_string_equal(w.target, "127.0.0.1 127.0.0.1");
	uplink_view(w.uplink, clock_mono(), &v);
	assert_true(strstr(v.last_reason, "name of the manager: ") != NULL);
	assert_int_equal(w.downs, 1);
	assert_true(strstr(w.reason, "Connection refused") != NULL);
}

static void
no_targets_and_no_credentials(void **state)
{
	struct uplink_view v;

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	configure(NULL, 0);
	uplink_enable(w.uplink, true, NULL);
	turn_forward(w.loop, 120 * 1000);
	tls_creds_free(w.creds);
	w.creds = NULL;
	dial();
	turn_forward(w.loop, 120 * 1000);
	assert_int_equal(w.fake.count, 0);
	uplink_view(w.uplink, clock_mono(), &v);
	assert_null(v.session);
	assert_int_equal(v.next_dial_ms, -1);
	w.creds = fake_creds();
	dial();
	run_until("with credentials", is_up);
}

static bool
has_room(void)
{
	return w.rooms > 0;
}

static bool
four_windows(void)
{
	return w.fake.links[0].in_bytes >= 4 * 65536;
}

static bool
packets_passed(void)
{
	return w.flushes && w.fake.links[0].packets == 10;
}

/* Packets pass in both directions, a large stream goes out piece by piece, and its owner hears of room again. */
static void
what_goes_over_it(void **state)
{
	static const uint8_t packet[1400] = {0x45};
	static const char text[1000000];
	const struct channel_ops ops = {.data = on_no_data, .end = on_no_end};
	struct channels *cs;
	struct channel *ch[4];

	(void)state;
	up_with("manager");
	fake_frame(&w.fake.links[0], FRAME_PACKET, packet, sizeof(packet));
	for (int i = 0; i < 10; i++)
		send_packet();
	run_until("packets both ways", packets_passed);
	assert_int_equal(w.packets, 1);
	assert_int_equal(w.flushes, 1);
	cs = session_channels(uplink_current(w.uplink));
	for (uint32_t i = 0; i < 4; i++) {
		ch[i] = channel_accept(cs, 90 + i, 65536, &ops, clock_mono());
		channel_write(ch[i], text, sizeof(text));
	}
	channels_pump(cs); /* four windows do not fit into the queue at once */
	run_until("room", has_room);
	run_until("four windows", four_windows);
	run_quiet();
	assert_in_range(w.fake.links[0].in_bytes, 4 * 65536, 4 * 65536 + 20000);
}

static bool
asked_for_ip(void)
{
	return w.fake.count == 1 && w.fake.links[0].count == 2;
}

/* A new configuration counts at once, also for an attempt that is under way; a session that is up stays. */
static void
configured_anew(void **state)
{
	const char *const nobody[] = {"127.0.0.9"}, *const somebody[] = {"127.0.0.1"};
	struct session *old;

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	w.fake.ip = NULL; /* it hangs there */
	dial();
	run_until("asked", asked_for_ip);
	w.fake.ip = "reply 200|request=ip|register_status=1";
	configure(somebody, 1);
	run_until("again", is_up);
	assert_int_equal(w.fake.count, 2);
	assert_string_equal(w.reason, "the configuration has changed");
	old = uplink_current(w.uplink);
	configure(nobody, 1);
	run_quiet();
	assert_ptr_equal(uplink_current(w.uplink), old);
	assert_int_equal(w.fake.count, 2);
}

/* An attempt that cannot begin is one that has failed: said, and tried again later. */
static void
attempts_that_cannot_begin(void **state)
{
	char long_name[300];
	struct uplink_config c = {.targets = {"127.0.0.1"},
				  .target_count = 1,
				  .port = 541,
				  .sni = "",
				  .resolv_conf = "",
				  .device = "fgfm-none9",
				  .creds = w.creds};
	struct uplink_view v;
	struct err e = ERR_NONE;

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(uplink_configure(w.uplink, &c, &e), 0);
	uplink_enable(w.uplink, true, NULL);
	run_quiet();
	uplink_view(w.uplink, clock_mono(), &v);
	assert_true(strstr(v.last_reason, "127.0.0.1: binding to interface fgfm-none9") != NULL);
	assert_null(v.session);
	assert_in_range(v.next_dial_ms, 1, 2000);
	c.sni = long_name;
	assert_int_equal(uplink_configure(w.uplink, &c, &e), -ENAMETOOLONG);
	/* the rest of the round is not held up by it */
	c.sni = "";
	c.device = "";
	fake_start(&w.fake, w.loop, "manager");
	c.port = w.fake.port;
	assert_int_equal(uplink_configure(w.uplink, &c, &e), 0);
	run_until("the next", is_up);
}

/* "the last good one first": without asking for its name. */
static void
the_last_good_address_first(void **state)
{
	const char *const targets[] = {"127.0.0.9", "manager.test"};
	struct addr last;

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	assert_int_equal(addr_parse_host("127.0.0.1", &last), 0);
	uplink_remember(w.uplink, "manager.test", &last);
	configure(targets, 2);
	uplink_enable(w.uplink, true, NULL);
	run_until("up", is_up);
	assert_string_equal(w.target, "manager.test 127.0.0.1");
	assert_int_equal(w.downs, 0);
}

/* A name server that says nothing: the question ends with the wish. */
static void
switched_off_while_resolving(void **state)
{
	const struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(53)};
	const char *const targets[] = {"manager.test"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct uplink_view v;

	(void)state;
	assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	fixture_write("resolv.conf", "nameserver 127.0.0.1\n");
	fake_start(&w.fake, w.loop, "manager");
	configure(targets, 1);
	uplink_enable(w.uplink, true, NULL);
	run_quiet();
	uplink_view(w.uplink, clock_mono(), &v);
	assert_true(v.resolving);
	uplink_enable(w.uplink, false, "off");
	uplink_view(w.uplink, clock_mono(), &v);
	assert_false(v.resolving);
	assert_true(uplink_idle(w.uplink));
	run_quiet();
	assert_int_equal(w.fake.count, 0);
	close(fd);
}

/* --- losing it ---------------------------------------------------------------------------------------------------- */

/* A manager that accepts and drops is not dialled in a tight loop; one that was lost after a good while is at once. */
static void
lost_sessions(void **state)
{
	static const struct {
		const char *what;
		int64_t after_ms;
		bool at_once, reset;
	} rows[] = {
	    {"at once", 0, false, false},
	    {"reset at once", 0, false, true},
	    {"within a minute", 59 * 1000, false, false},
	    {"after a minute", 61 * 1000, true, false},
	    {"after an hour, by a reset", 3600 * 1000, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct uplink_view v;
		int64_t from_ms;

		up_with("manager");
		turn_forward(w.loop, rows[i].after_ms);
		if (rows[i].reset)
			fake_reset(&w.fake.links[0]);
		else
			fake_close(&w.fake.links[0]);
		run_until(rows[i].what, one_was_down);
		assert_int_equal(w.current_downs, 1);
		if (!rows[i].at_once) {
			run_quiet();
			if (w.fake.count != 1)
				fail_msg("%s: dialled again at once", rows[i].what);
			uplink_view(w.uplink, clock_mono(), &v);
			assert_in_range(v.next_dial_ms, 1, 2000);
			turn_forward(w.loop, v.next_dial_ms);
		}
		from_ms = clock_mono().ms;
		run_until(rows[i].what, two_are_up);
		if (clock_mono().ms - from_ms >= 500)
			fail_msg("%s: not dialled again at once", rows[i].what);
		teardown(state);
		setup(state);
	}
}

/* "reset by … a link, address or route change, which leads to a dial within 1 s" */
static void
a_kick_ends_the_backoff(void **state)
{
	struct uplink_view v;

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	w.fake.auth = "reply 500|request=auth";
	dial();
	for (size_t i = 1; i < 8; i++) {
		uplink_view(w.uplink, clock_mono(), &v);
		run_until("refused", one_was_down);
		run_quiet();
		w.downs = 0;
		uplink_view(w.uplink, clock_mono(), &v);
		if (i < 7)
			turn_forward(w.loop, v.next_dial_ms);
	}
	assert_true(v.next_dial_ms <= 60 * 1000);
	w.fake.auth = "reply 200|request=auth|serialno=" FAKE_SERIAL;
	uplink_kick(w.uplink);
	uplink_view(w.uplink, clock_mono(), &v);
	assert_true(v.next_dial_ms <= 1000);
	turn_forward(w.loop, 1000);
	run_until("kicked", is_up);
}

static bool
two_were_down(void)
{
	return w.downs >= 2;
}

/* A SYN that was sent into a dead link is given up when the network has changed, unless it is very young. */
static void
a_kick_ends_a_stale_attempt(void **state)
{
	const char *const targets[] = {"127.0.0.1"};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = fake_socket(&w.fake.port, 0), fill[4];

	(void)state;
	in.sin_port = htons(w.fake.port);
	for (size_t i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fill[i], (struct sockaddr *)&in, sizeof(in));
	}
	configure(targets, 1);
	uplink_enable(w.uplink, true, NULL);
	run_quiet();
	uplink_kick(w.uplink);
	run_quiet();
	assert_int_equal(w.downs, 0); /* it gets its second first */
	turn_forward(w.loop, 1000);
	run_until("given up", one_was_down);
	assert_string_equal(w.reason, "the network has changed");
	turn_forward(w.loop, 1000);
	assert_false(uplink_idle(w.uplink)); /* the next one runs */
	turn_forward(w.loop, 5000);
	uplink_kick(w.uplink);
	run_until("at once", two_were_down);
	for (size_t i = 0; i < 4; i++)
		close(fill[i]);
	close(fd);
}

/* Silence and reply time-outs go by the uplink's timer alone. */
static void
a_silent_manager_is_left(void **state)
{
	(void)state;
	up_with("manager");
	fake_say(&w.fake.links[0], "keepalive");
	run_quiet();
	w.fake.links[0].deaf = true; /* the path is dead: nothing comes any more */
	for (int i = 0; i < 3; i++)
		turn_forward(w.loop, 119 * 1000);
	assert_true(is_up());
	assert_int_equal(w.downs, 0);
	turn_forward(w.loop, 4 * 1000);
	turn_forward(w.loop, 1000); /* what was queued had its second; another session may be up by now */
	run_until("left", one_was_down);
	assert_string_equal(w.reason, "nothing heard from the manager for 360 seconds");
}

/* --- a fresh session beside the old one (recovery rules, "The connection test") ----------------------------------- */

static void
a_test_beside_the_old_one(void **state)
{
	struct session *old;

	(void)state;
	up_with("manager");
	old = uplink_current(w.uplink);
	w.end_test_when_up = true;
	uplink_test_begin(w.uplink, FAKE_SERIAL);
	assert_ptr_equal(uplink_current(w.uplink), old);
	run_until("the fresh one", two_are_up);
	assert_ptr_not_equal(uplink_current(w.uplink), old);
	run_until("the old one leaves", one_left);
	assert_true(w.fake.links[0].ended); /* in order */
	assert_string_equal(w.reason, "replaced by a newer session");
	assert_int_equal(w.current_downs, 0);
	assert_string_equal(w.order, "up up down ");
	turn_forward(w.loop, 10 * 1000);
	assert_int_equal(w.fake.count, 2);
	assert_true(is_up());
}

/* "a manager that refuses a second session gets the old one closed first and is dialled again" */
static void
a_manager_of_one_session(void **state)
{
	static const struct {
		const char *what, *second;
	} rows[] = {
	    {"409", "reply 409|request=ip|reason=one session only"},
	    {"a close", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		up_with("manager");
		w.fake.one_session = true;
		w.fake.second = rows[i].second;
		w.end_test_when_up = true;
		uplink_test_begin(w.uplink, FAKE_SERIAL);
		run_until(rows[i].what, two_are_up);
		run_quiet();
		if (strcmp(w.order, "up down down up "))
			fail_msg("%s: %s", rows[i].what, w.order);
		assert_int_equal(w.fake.count, 3);
		assert_int_equal(fake_open(&w.fake), 1);
		assert_true(w.fake.links[2].fd >= 0);
		teardown(state);
		setup(state);
	}
}

/* The old one closes once its channels are delivered, or after 5 s without progress. */
static void
a_replaced_session_drains(void **state)
{
	(void)state;
	for (int acks = 0; acks < 2; acks++) {
		up_with("manager");
		open_channel();
		w.end_test_when_up = true;
		uplink_test_begin(w.uplink, NULL);
		run_until("the fresh one", two_are_up);
		run_quiet();
		assert_int_equal(fake_open(&w.fake), 2);
		turn_forward(w.loop, 4000);
		assert_int_equal(fake_open(&w.fake), 2);
		if (acks) {
			fake_say(&w.fake.links[0], "channel|remoteid=1|action=ack|ack=5"); /* a part: 5 s more */
			run_quiet();
			turn_forward(w.loop, 4000);
			assert_int_equal(fake_open(&w.fake), 2);
			fake_say(&w.fake.links[0], "channel|remoteid=1|action=ack|ack=10");
		} else {
			turn_forward(w.loop, 1000);
		}
		run_until("drained", one_left);
		assert_true(w.fake.links[0].ended);
		if (acks)
			assert_string_equal(w.fake.links[0].lines[w.fake.links[0].count - 1],
					    "channel|remoteid=90|action=close");
		teardown(state);
		setup(state);
	}
}

/* The test wants the manager that sent the install: a session with another one does not take the place. */
static void
a_test_with_another_manager(void **state)
{
	struct session *old;

	(void)state;
	up_with("manager");
	old = uplink_current(w.uplink);
	uplink_test_begin(w.uplink, "FMG-VM0000000002");
	run_until("refused", one_was_down);
	run_quiet();
	assert_string_equal(w.reason, "another manager is wanted");
	assert_ptr_equal(uplink_current(w.uplink), old);
	assert_int_equal(w.ups, 1);
	assert_int_equal(w.addresses, 1);  /* it has not moved the tunnel */
	assert_int_equal(w.fake.count, 2); /* and not again at once */
	uplink_test_end(w.uplink);
	turn_forward(w.loop, 120 * 1000);
	assert_int_equal(w.fake.count, 2);
	assert_ptr_equal(uplink_current(w.uplink), old);
}

/* Registration of a second manager looks for it beside the first; ending one's sessions leaves the other's. */
static void
another_manager_is_looked_for(void **state)
{
	struct session *old;

	(void)state;
	up_with("manager");
	old = uplink_current(w.uplink);
	uplink_seek(w.uplink, "FMG-VM0000000002");
	run_until("looked for", one_was_down);
	assert_string_equal(w.reason, "another manager is wanted");
	uplink_seek(w.uplink, NULL);
	turn_forward(w.loop, 120 * 1000);
	assert_int_equal(w.fake.count, 2);
	uplink_stop_serial(w.uplink, "FMG-VM0000000002", "nobody");
	run_quiet();
	assert_ptr_equal(uplink_current(w.uplink), old);
	uplink_stop_serial(w.uplink, FAKE_SERIAL, "unregistered by an operator");
	run_until("stopped", is_gone);
	assert_string_equal(w.reason, "unregistered by an operator");
	assert_int_equal(w.current_downs, 1);
}

/* A fresh session cannot be had: the old one stays as long as it lives. */
static void
a_test_that_fails(void **state)
{
	struct session *old;

	(void)state;
	up_with("manager");
	old = uplink_current(w.uplink);
	w.fake.silent = true; /* new connections get no answer */
	uplink_test_begin(w.uplink, FAKE_SERIAL);
	run_until("dialled", two_came);
	turn_forward(w.loop, 60 * 1000);
	run_until("given up", one_was_down);
	assert_string_equal(w.order, "up down ");
	assert_ptr_equal(uplink_current(w.uplink), old);
	/* the test is over while an attempt runs */
	turn_forward(w.loop, 60 * 1000);
	uplink_test_end(w.uplink);
	run_quiet();
	assert_ptr_equal(uplink_current(w.uplink), old);
	assert_int_equal(w.current_downs, 0);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Off ends the sessions in order, within a second also with a manager that does not read. */
static void
off_within_bounds(void **state)
{
	static const char filler[16000];
	struct channel *ch;
	const struct channel_ops ops = {.data = on_no_data, .end = on_no_end};
	struct channels *cs;

	(void)state;
	up_with("manager");
	run_quiet();
	w.fake.links[0].deaf = true;
	cs = session_channels(uplink_current(w.uplink));
	ch = channel_accept(cs, 90, 65536, &ops, clock_mono());
	for (int i = 0; i < 400; i++) {
		channel_write(ch, filler, sizeof(filler));
		send_packet();
	}
	run_quiet();
	uplink_enable(w.uplink, false, "the agent stops");
	assert_false(turn_run(w.loop, is_idle, 1) && w.downs == 0);
	turn_forward(w.loop, 1000);
	run_until("stopped", is_idle);
	assert_string_equal(w.reason, "the agent stops");
	turn_forward(w.loop, 600 * 1000);
	assert_int_equal(w.fake.count, 1);
}

static void
off_and_on_again(void **state)
{
	(void)state;
	up_with("manager");
	uplink_enable(w.uplink, false, "off");
	run_until("off", is_idle);
	assert_true(w.fake.links[0].fd < 0 && w.fake.links[0].ended);
	assert_false(is_up());
	uplink_kick(w.uplink);
	turn_forward(w.loop, 120 * 1000);
	assert_int_equal(w.fake.count, 1);
	uplink_enable(w.uplink, true, NULL);
	run_until("on", is_up);
}

/* Freed at each stage of a connection. */
static void
freed_at_any_time(void **state)
{
	(void)state;
	for (int ms = 0; ms < 12; ms++) {
		fake_start(&w.fake, w.loop, "manager");
		dial();
		turn_run(w.loop, NULL, ms);
		teardown(state);
		setup(state);
	}
}

static int
group_setup(void **state)
{
	(void)state;
	return crypto_start();
}

static int
group_teardown(void **state)
{
	(void)state;
	crypto_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_manager_that_dials, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_manager_that_dials_and_has_no_password, setup, teardown),
	    cmocka_unit_test_setup_teardown(strangers_are_few_and_brief, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_oldest_stranger_makes_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_own_session_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_newer_call_of_a_manager_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_test_makes_the_manager_come_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_test_wants_a_fresh_call, setup, teardown),
	    cmocka_unit_test_setup_teardown(calls_end_where_they_may_not_be, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_is_taken_while_it_is_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(managers_that_fail, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_manager_that_signs_with_pss, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_manager_that_fails_without_pss_too, setup, teardown),
	    cmocka_unit_test_setup_teardown(managers_that_say_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(several_targets, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_targets_and_no_credentials, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_goes_over_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(configured_anew, setup, teardown),
	    cmocka_unit_test_setup_teardown(attempts_that_cannot_begin, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_last_good_address_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(switched_off_while_resolving, setup, teardown),
	    cmocka_unit_test_setup_teardown(lost_sessions, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_kick_ends_the_backoff, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_kick_ends_a_stale_attempt, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_silent_manager_is_left, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_test_beside_the_old_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_manager_of_one_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_replaced_session_drains, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_test_with_another_manager, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_manager_is_looked_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_test_that_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(off_within_bounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(off_and_on_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_at_any_time, setup, teardown),
	};

	fixture_enter(); /* ports and names of its own */
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
