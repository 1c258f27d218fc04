/* agent/conn: one connection over loopback: opening, frames both ways, queues, closing. */
// wrap: clock_mono epoll_wait setsockopt send malloc_trim
#include "agent/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "agent/profile.h"
#include "base/crypto.h"
#include "base/err.h"
#include "test/unit/fake_manager.h"
#include "trustlist/cert.h"

enum { FRAMES = 4096 };

static struct world {
	struct loop *loop;
	struct tls_creds *creds;
	struct fake fake;
	struct conn *conn;
	struct conn_target target;

	enum conn_step steps[8];
	size_t step_count;
	size_t frames, frame_lens[FRAMES];
	enum frame_type frame_types[FRAMES];
	int closed, rooms, flushes;
	size_t flushed; /* frames until the last flush */
	struct err why;
	bool close_in_frame;     /* the owner closes from inside the callback */
	enum conn_step abort_at; /* … or aborts at this step; CONN_TCP: never */
	bool old_kernel;         /* refuses every option of TCP's */
	int tuned_fd;            /* the last socket that options of TCP's were asked for */
	size_t sends;            /* calls over it */
	char congestion[16];     /* the algorithm asked for */
} w;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

int
__wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level != IPPROTO_TCP)
		return __real_setsockopt(fd, level, name, value, len);
	w.tuned_fd = fd;
	if (name == TCP_CONGESTION && len < sizeof(w.congestion)) {
		memcpy(w.congestion, value, len);
		w.congestion[len] = '\0';
	}
	errno = ENOPROTOOPT;
	return w.old_kernel ? -1 : __real_setsockopt(fd, level, name, value, len);
}

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
int __wrap_malloc_trim(size_t pad);

static int trims; /* how often memory was given back */

int
__wrap_malloc_trim(size_t pad)
{
	(void)pad;
	trims++;
	return 0;
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);

ssize_t
__wrap_send(int fd, const void *data, size_t len, int flags)
{
	w.sends += fd == w.tuned_fd;
	return __real_send(fd, data, len, flags);
}

static void
on_step(void *ctx, enum conn_step step)
{
	const struct err why = {-ECANCELED, "not wanted"};

	(void)ctx;
	w.steps[w.step_count++] = step;
	if (step == w.abort_at)
		conn_abort(w.conn, &why);
}

static void
on_frame(void *ctx, const struct frame *f)
{
	(void)ctx;
	assert_true(w.frames < FRAMES);
	w.frame_types[w.frames] = f->type;
	w.frame_lens[w.frames++] = f->len;
	if (w.close_in_frame)
		conn_close(w.conn);
}

static void
on_flush(void *ctx)
{
	(void)ctx;
	w.flushes++;
	w.flushed = w.frames;
}

static void
on_room(void *ctx)
{
	(void)ctx;
	w.rooms++;
}

static void
on_closed(void *ctx, const struct err *why)
{
	(void)ctx;
	w.closed++;
	w.why = *why;
}

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.fake.fd = -1;
	w.loop = loop_new(&e);
	if (!w.loop || addr_parse_host("127.0.0.1", &w.target.addr))
		return -1;
	w.creds = fake_creds();
	w.target.device = "";
	w.target.sni = "";
	w.target.now_s = FAKE_NOW_S;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	conn_free(w.conn);
	fake_stop(&w.fake);
	tls_creds_free(w.creds);
	loop_free(w.loop);
	return 0;
}

static int
dial_rc(struct err *e)
{
	const struct conn_ops ops = {
	    .step = on_step, .frame = on_frame, .flush = on_flush, .room = on_room, .closed = on_closed};

	if (w.fake.fd >= 0)
		w.target.port = w.fake.port;
	return conn_dial(w.loop, w.creds, &w.target, &ops, &w.conn, e);
}

static void
dial(void)
{
	struct err e = ERR_NONE;

	if (dial_rc(&e))
		fail_msg("%s", e.text);
}

static bool
is_open(void)
{
	return conn_step(w.conn) == CONN_OPEN && w.fake.count && w.fake.links[0].tls_up;
}

static bool
is_closed(void)
{
	return w.closed > 0;
}

static bool
fake_is_gone(void)
{
	return w.fake.count && w.fake.links[0].fd < 0;
}

static void
run_until(const char *what, bool (*until)(void))
{
	if (!turn_run(w.loop, until, TURN_SOON_MS))
		fail_msg("%s: not reached, step %d, \"%s\"", what, conn_step(w.conn), w.why.text);
}

static void
run_quiet(void)
{
	turn_quiet(w.loop);
}

static void
open_it(void)
{
	fake_start(&w.fake, w.loop, "manager");
	w.fake.auth = w.fake.ip = NULL;
	dial();
	run_until("open", is_open);
}

/* Queues one packet where there is room for it. */
static int
send_packet(const void *body, size_t len)
{
	uint8_t *dst = conn_packet_room(w.conn, len);

	if (!dst)
		return -ENOBUFS;
	memcpy(dst, body, len);
	conn_packet_ready(w.conn, len);
	return 0;
}

static void
assert_why(const char *what, int code, const char *text)
{
	if (w.closed != 1 || w.why.code != code || !strstr(w.why.text, text))
		fail_msg("%s: closed %d times, %d \"%s\"", what, w.closed, w.why.code, w.why.text);
	assert_int_equal(conn_step(w.conn), CONN_CLOSED);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void
steps_of_an_opening(void **state)
{
	struct addr local, remote;
	uint16_t port;
	char text[ADDR_TEXT];

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	dial();
	assert_int_equal(conn_step(w.conn), CONN_TCP);
	assert_int_equal(conn_send(w.conn, "x", 1), -ENOTCONN);
	assert_string_equal(conn_tls_version(w.conn), "");
	run_until("open", is_open);
	assert_int_equal(w.step_count, 2);
	assert_int_equal(w.steps[0], CONN_TLS);
	assert_int_equal(w.steps[1], CONN_OPEN);
	conn_addresses(w.conn, &local, &remote, &port);
	assert_string_equal(addr_host(text, &local), "127.0.0.1");
	assert_string_equal(addr_host(text, &remote), "127.0.0.1");
	assert_int_equal(port, w.fake.port);
	assert_string_equal(conn_peer(w.conn)->facts.serial, FAKE_SERIAL);
	assert_string_not_equal(conn_tls_suite(w.conn), "");
}

static int
option(int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(w.tuned_fd, level, name, &value, &len), 0);
	return value;
}

/* Small messages do not wait, the kernel holds little that is not sent, a dead path shows within a minute. */
static void
the_socket_is_tuned(void **state)
{
	static const struct {
		const char *what;
		int level, name, value;
	} rows[] = {
	    {"no waiting for more", IPPROTO_TCP, TCP_NODELAY, 1},
	    {"unsent bytes", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 * 1024},
	    {"unacknowledged, ms", IPPROTO_TCP, TCP_USER_TIMEOUT, 60 * 1000},
	    {"keep-alives", SOL_SOCKET, SO_KEEPALIVE, 1},
	    {"the first after, s", IPPROTO_TCP, TCP_KEEPIDLE, 30},
	    {"others after, s", IPPROTO_TCP, TCP_KEEPINTVL, 10},
	    {"lost in a row", IPPROTO_TCP, TCP_KEEPCNT, 3},
	};

	(void)state;
	open_it();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int value = option(rows[i].level, rows[i].name);

		if (value != rows[i].value)
			fail_msg("%s: %d", rows[i].what, value);
	}
	assert_string_equal(w.congestion, "bbr");
}

static void
an_old_kernel(void **state)
{
	(void)state;
	w.old_kernel = true;
	open_it();
	assert_string_equal(w.congestion, "bbr");
	assert_int_equal(w.closed, 0);
}

static void
a_source_address(void **state)
{
	struct addr local, remote;
	uint16_t port;
	char text[ADDR_TEXT];

	(void)state;
	assert_int_equal(addr_parse_host("127.0.0.7", &w.target.source), 0);
	open_it();
	conn_addresses(w.conn, &local, &remote, &port);
	assert_string_equal(addr_host(text, &local), "127.0.0.7");
}

/* What cannot even begin is said at once, and nothing is left. */
static void
beginnings_that_fail(void **state)
{
	static const struct {
		const char *what, *source, *device, *text;
		int rc;
	} rows[] = {
	    {"a source that is not ours", "192.0.2.77", "", "binding to source 192.0.2.77", -EADDRNOTAVAIL},
	    {"a device that is not there", NULL, "fgfm-none9", "binding to interface fgfm-none9", -ENODEV},
	};

	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;

		w.target.source.family = 0;
		if (rows[i].source)
			assert_int_equal(addr_parse_host(rows[i].source, &w.target.source), 0);
		w.target.device = rows[i].device;
		if (dial_rc(&e) != rows[i].rc || !strstr(e.text, rows[i].text))
			fail_msg("%s: %d \"%s\"", rows[i].what, e.code, e.text);
		assert_null(w.conn);
	}
}

static void
refused(void **state)
{
	uint16_t port;
	int fd = fake_socket(&port, 1);

	(void)state;
	close(fd);
	w.target.port = port;
	dial();
	assert_int_equal(w.closed, 0); /* never from inside */
	run_until("refused", is_closed);
	assert_why("refused", -ECONNREFUSED, "TCP connection: Connection refused");
}

/* A listener whose queue is full answers no SYN. */
static void
no_answer_to_tcp(void **state)
{
	uint16_t port;
	int fd = fake_socket(&port, 0), fill[4];
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&in, sizeof(in));
	}
	w.target.port = port;
	dial();
	run_quiet();
	assert_int_equal(conn_step(w.conn), CONN_TCP);
	turn_forward(w.loop, 29 * 1000);
	assert_int_equal(w.closed, 0);
	turn_forward(w.loop, 1000);
	run_until("given up", is_closed);
	assert_why("no answer", -ETIMEDOUT, "no answer within 30 seconds");
	for (size_t i = 0; i < 4; i++)
		close(fill[i]);
	close(fd);
}

static bool
one_came(void)
{
	return w.fake.count > 0;
}

static void
no_answer_to_tls(void **state)
{
	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	w.fake.silent = true;
	dial();
	run_until("connected", one_came);
	run_quiet();
	assert_int_equal(conn_step(w.conn), CONN_TLS);
	turn_forward(w.loop, 59 * 1000);
	assert_int_equal(w.closed, 0);
	turn_forward(w.loop, 1000);
	run_until("given up", is_closed);
	assert_why("silent", -ETIMEDOUT, "not complete within 60 seconds");
}

static void
a_certificate_that_fails(void **state)
{
	(void)state;
	fake_start(&w.fake, w.loop, "manager-other");
	dial();
	run_until("refused", is_closed);
	assert_why("other CA", w.why.code, "not by a CA in");
	assert_true(conn_peer(w.conn)->seen && conn_peer(w.conn)->flags);
	assert_int_equal(w.step_count, 1);
	assert_int_equal(w.fake.links[0].count, 0); /* nothing went over it */
}

static void
aborted_at_each_step(void **state)
{
	static const enum conn_step steps[] = {CONN_TLS, CONN_OPEN};

	for (size_t i = 0; i < 2; i++) {
		fake_start(&w.fake, w.loop, "manager");
		w.abort_at = steps[i];
		dial();
		run_until("aborted", is_closed);
		assert_why("aborted", -ECANCELED, "not wanted");
		run_quiet();
		assert_int_equal(w.closed, 1);
		teardown(state);
		setup(state);
	}
}

static void
closed_before_it_is_open(void **state)
{
	(void)state;
	fake_start(&w.fake, w.loop, "manager");
	dial();
	conn_close(w.conn);
	assert_int_equal(w.closed, 0);
	run_until("closed", is_closed);
	assert_why("closed", 0, "closed");
	conn_close(w.conn);
	run_quiet();
	assert_int_equal(w.closed, 1);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static bool
six_frames(void)
{
	return w.frames >= 6;
}

/* The same bytes in pieces of each size, each its own TLS record. */
static void
frames_in_pieces(void **state)
{
	static const size_t pieces[] = {1, 2, 7, 8, 9, 100, 100000};
	static const uint8_t text[5000];
	static const size_t lens[] = {1, 2, 8, 100, 5000, 1};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct buf b = BUF_INIT(100000);
		size_t count = sizeof(lens) / sizeof(lens[0]);

		open_it();
		for (size_t k = 0; k < count; k++) {
			uint8_t header[PROFILE_FRAME_HEADER];

			frame_header(header, k % 2 ? FRAME_PACKET : FRAME_MESSAGE, lens[k]);
			buf_put(&b, header, sizeof(header));
			buf_put(&b, text, lens[k]);
		}
		while (b.len) {
			size_t n = b.len < pieces[i] ? b.len : pieces[i];

			fake_bytes(&w.fake.links[0], buf_head(&b), n);
			buf_take(&b, n);
		}
		run_until("all frames", six_frames);
		run_quiet();
		assert_int_equal(w.frames, count);
		for (size_t k = 0; k < count; k++) {
			assert_int_equal(w.frame_lens[k], lens[k]);
			assert_int_equal(w.frame_types[k], k % 2 ? FRAME_PACKET : FRAME_MESSAGE);
		}
		assert_int_equal(conn_counters(w.conn)->in_frames, count);
		buf_free(&b);
		teardown(state);
		setup(state);
	}
}

/* Any other magic, version, type or length ends it, with a line that names the field. */
static void
bad_frames(void **state)
{
	static const struct {
		const char *what, *hex, *text;
		bool end; /* then the peer closes */
	} rows[] = {
	    {"magic", "37", "frame magic", false},
	    {"second byte", "36e1", "frame magic", false},
	    {"version", "36e012", "frame version", false},
	    {"type", "36e01102", "frame type", false},
	    {"length 8", "36e0110000000008", "frame length", false},
	    {"length 0", "36e0110000000000", "frame length", false},
	    {"largest and one", "36e0110000011009", "frame length", false},
	    {"all ones", "36e01101ffffffff", "frame length", false},
	    {"after a good one", "36e011000000000961ff", "frame magic", false},
	    {"HTTP", "474554202f20485454502f312e31", "frame magic", false},
	    {"closed inside a header", "36e011", "closed by the peer inside a frame", true},
	    {"closed inside a body", "36e0110000000010414243", "closed by the peer inside a frame", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[64];
		size_t n = strlen(rows[i].hex) / 2;

		open_it();
		assert_int_equal(text_unhex(bytes, n, rows[i].hex), 0);
		fake_bytes(&w.fake.links[0], bytes, n);
		if (rows[i].end)
			fake_close(&w.fake.links[0]);
		run_until(rows[i].what, is_closed);
		assert_why(rows[i].what, -EPROTO, rows[i].text);
		assert_int_equal(conn_send(w.conn, "x", 1), -ENOTCONN);
		teardown(state);
		setup(state);
	}
}

/* The peer goes on sending what did not fit into its socket. */
static bool
twenty_frames(void)
{
	fake_flush(&w.fake.links[0]);
	return w.frames >= 20;
}

/* The largest there may be, and what follows it. */
static void
the_largest_frame(void **state)
{
	static const uint8_t body[PROFILE_FRAME_MAX - PROFILE_FRAME_HEADER];

	(void)state;
	open_it();
	for (int i = 0; i < 20; i++)
		fake_frame(&w.fake.links[0], FRAME_MESSAGE, body, sizeof(body));
	run_until("all", twenty_frames);
	assert_int_equal(w.frames, 20);
	assert_int_equal(w.frame_lens[19], sizeof(body));
}

static void
the_peer_closes(void **state)
{
	(void)state;
	open_it();
	fake_close(&w.fake.links[0]);
	run_until("closed", is_closed);
	assert_why("in order", 0, "closed by the peer");
	teardown(state);
	setup(state);
	open_it();
	fake_reset(&w.fake.links[0]);
	run_until("reset", is_closed);
	assert_true(w.why.code < 0);
	teardown(state);
	setup(state);
	open_it();
	fake_drop(&w.fake.links[0]); /* no close_notify: it may have been cut */
	run_until("cut", is_closed);
	assert_true(w.why.code < 0);
}

static void
closed_from_inside_a_frame(void **state)
{
	uint8_t two[] = {0x36, 0xe0, 0x11, 0, 0, 0, 0, 9, 'a', 0x36, 0xe0, 0x11, 0, 0, 0, 0, 9, 'b'};

	(void)state;
	open_it();
	w.close_in_frame = true;
	fake_bytes(&w.fake.links[0], two, sizeof(two));
	run_until("closed", is_closed);
	assert_why("closed", 0, "closed");
	assert_int_equal(w.frames, 1);
	run_until("the peer hears of it", fake_is_gone);
	assert_true(w.fake.links[0].ended);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static size_t packets_sent, messages_sent;

static bool
all_there(void)
{
	return w.fake.links[0].packets == packets_sent && w.fake.links[0].count == messages_sent;
}

static bool
has_room(void)
{
	return w.rooms > 0;
}

static void
frames_arrive(void **state)
{
	static const uint8_t packet[1400] = {0x45};

	(void)state;
	open_it();
	for (packets_sent = 0; packets_sent < 100; packets_sent++) {
		w.rooms = 0;
		if (send_packet(packet, sizeof(packet))) {
			run_until("room", has_room);
			assert_int_equal(send_packet(packet, sizeof(packet)), 0);
		}
		if (packets_sent % 10 == 0)
			assert_int_equal(conn_send(w.conn, "keepalive\r\n\r\n", 14), 0);
	}
	messages_sent = 10;
	run_until("all", all_there);
	assert_int_equal(conn_counters(w.conn)->out_frames, 110);
	assert_int_equal(conn_queued(w.conn), 0);
}

/* A message overtakes every packet that waits in the same turn. */
static void
messages_overtake_packets(void **state)
{
	static const uint8_t packet[1400] = {0x45};

	(void)state;
	open_it();
	for (packets_sent = 0; packets_sent < 40; packets_sent++)
		assert_int_equal(send_packet(packet, sizeof(packet)), 0);
	assert_int_equal(conn_send(w.conn, "keepalive\r\n\r\n", 14), 0);
	messages_sent = 1;
	run_until("all", all_there);
	assert_int_equal(w.fake.links[0].packets_first, 0);
	assert_int_equal(conn_step(w.conn), CONN_OPEN);
}

/* Packets in one record after the other, each full, without regard to where a packet ends. */
static void
records_are_filled(void **state)
{
	static const uint8_t packet[1400] = {0x45};
	size_t total;

	(void)state;
	open_it();
	for (packets_sent = 0; packets_sent < 40; packets_sent++)
		assert_int_equal(send_packet(packet, sizeof(packet)), 0);
	messages_sent = 0;
	run_until("all", all_there);
	total = 40 * (sizeof(packet) + PROFILE_FRAME_HEADER);
	assert_int_equal(w.fake.links[0].in_bytes, total);
	assert_int_equal(w.fake.links[0].records, (total + 16383) / 16384);
}

/* As many packets as are taken in one turn leave with one system call. */
static void
a_turn_is_one_call(void **state)
{
	static const uint8_t packet[1500] = {0x45};
	const int room = 1024 * 1024;

	(void)state;
	open_it();
	assert_int_equal(setsockopt(w.tuned_fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	for (packets_sent = 0; !send_packet(packet, sizeof(packet)); packets_sent++)
		;
	messages_sent = 0;
	w.sends = 0;
	run_until("all", all_there);
	assert_true(packets_sent * sizeof(packet) > 60 * 1024);
	assert_int_equal(w.sends, 1);
}

/* While a peer does not read, packets are refused as soon as what was encrypted has to wait. Where that ends inside a
 * packet, messages wait for its end: it is not torn apart. */
static void
large_packets_stay_whole(void **state)
{
	static const uint8_t packet[60000] = {0x60};
	bool refused = false;

	(void)state;
	open_it();
	loop_io_want(w.fake.links[0].io, 0);
	packets_sent = 0;
	for (int i = 0; i < 1000 && !refused; i++) {
		while (!send_packet(packet, sizeof(packet)))
			packets_sent++;
		w.rooms = 0;
		turn_settle(w.loop, has_room);
		/* where it happened to stop between two packets, the peer reads a little */
		refused = !w.rooms && conn_counters(w.conn)->out_bytes % (sizeof(packet) + PROFILE_FRAME_HEADER);
		loop_io_want(w.fake.links[0].io, w.rooms || refused ? 0 : EPOLLIN);
	}
	assert_true(refused);
	assert_int_equal(send_packet(packet, 1), -ENOBUFS);
	for (messages_sent = 0; messages_sent < 3; messages_sent++)
		assert_int_equal(conn_send(w.conn, "keepalive\r\n\r\n", 14), 0);
	loop_io_want(w.fake.links[0].io, EPOLLIN);
	run_until("room", has_room);
	run_until("all", all_there);
	assert_int_equal(w.fake.links[0].packets_first, packets_sent);
	assert_int_equal(conn_step(w.conn), CONN_OPEN);
}

static bool
all_frames(void)
{
	fake_flush(&w.fake.links[0]);
	return w.frames == 300;
}

/* Packets are handed out in runs, and none is forgotten at its end; a message is no part of a run. */
static void
packets_come_in_runs(void **state)
{
	static const uint8_t packet[1400] = {0x45};
	struct fake_link *k;

	(void)state;
	open_it();
	k = &w.fake.links[0];
	for (int i = 0; i < 300; i++) {
		uint8_t header[PROFILE_FRAME_HEADER];

		frame_header(header, i == 150 ? FRAME_MESSAGE : FRAME_PACKET, sizeof(packet));
		assert_int_equal(buf_put(&k->out, header, sizeof(header)), 0);
		assert_int_equal(buf_put(&k->out, packet, sizeof(packet)), 0);
	}
	run_until("all", all_frames);
	run_quiet();
	assert_int_equal(w.frames, 300);
	assert_int_equal(w.flushed, 300);
	assert_in_range(w.flushes, 2, 60);
}

/* What load has made grow is given back when it is over, by one timer that then rests. */
static void
storage_is_given_back(void **state)
{
	static const uint8_t packet[1400] = {0x45};
	size_t before, loaded;

	(void)state;
	open_it();
	run_quiet();
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	if (!before)
		skip(); /* a sanitizer's allocator does not say */
	for (int i = 0; i < 300; i++) {
		fake_frame(&w.fake.links[0], FRAME_PACKET, packet, sizeof(packet));
		send_packet(packet, sizeof(packet));
		if (i % 100 == 99)
			run_quiet();
	}
	run_until("all frames", all_frames);
	loaded = mallinfo2().uordblks + mallinfo2().hblkhd;
	assert_true(loaded > before + 256 * 1024);
	turn_forward(w.loop, 1000);
	turn_forward(w.loop, 1000);
	/* the peer's own buffers are part of this process */
	buf_free(&w.fake.links[0].in);
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + 40 * 1024);
}

static bool
nothing_queued(void)
{
	fake_flush(&w.fake.links[0]);
	return !conn_queued(w.conn);
}

/* Many answers that went out slowly are a load like any other, and so is one that the connection ends under. */
static void
a_long_queue_is_given_back(void **state)
{
	static const char body[8000] = "channel\r\nremoteid=1\r\n\r\n";

	(void)state;
	open_it();
	run_quiet();
	trims = 0;
	assert_int_equal(conn_send(w.conn, "keepalive\r\n\r\n", 14), 0);
	run_until("nothing queued", nothing_queued);
	turn_forward(w.loop, 1000);
	assert_int_equal(trims, 0);
	for (int i = 0; i < 12; i++)
		assert_int_equal(conn_send(w.conn, body, sizeof(body)), 0);
	run_until("nothing queued", nothing_queued);
	turn_forward(w.loop, 1000);
	turn_forward(w.loop, 1000);
	assert_int_equal(trims, 1);
	turn_forward(w.loop, 5000);
	assert_int_equal(trims, 1);
	for (int i = 0; i < 12; i++)
		assert_int_equal(conn_send(w.conn, body, sizeof(body)), 0);
	run_until("nothing queued", nothing_queued);
	conn_free(w.conn);
	w.conn = NULL;
	assert_int_equal(trims, 2);
}

/* Queues are bounded, each for itself, and there is word when there is room again. */
static void
full_queues(void **state)
{
	static const uint8_t body[16000] = {0x45};
	int messages = 0, packets = 0;

	(void)state;
	open_it();
	loop_io_want(w.fake.links[0].io, 0);
	while (!send_packet(body, sizeof(body)))
		packets++;
	assert_int_equal(send_packet(body, sizeof(body)), -ENOBUFS);
	while (!conn_send(w.conn, "keepalive\r\n\r\n", 14))
		messages++;
	assert_int_equal(conn_send(w.conn, "keepalive\r\n\r\n", 14), -ENOBUFS);
	assert_in_range(conn_queued(w.conn), CONN_QUEUE_MAX - 22, CONN_QUEUE_MAX);
	assert_int_equal(w.rooms, 0);
	assert_true(messages > 1000);
	/* nothing was half put in */
	assert_int_equal(conn_counters(w.conn)->out_frames, messages + packets);
}

static void
room_again(void **state)
{
	static const char body[8000] = "channel\r\nremoteid=1\r\n\r\n";

	(void)state;
	open_it();
	for (int i = 0; i < 12; i++)
		assert_int_equal(conn_send(w.conn, body, sizeof(body)), 0);
	assert_true(conn_queued(w.conn) > CONN_LOW);
	run_until("room", has_room);
	run_quiet();
	assert_int_equal(w.rooms, 1);
	assert_int_equal(w.fake.links[0].count, 12);
	/* below the mark nobody is told */
	assert_int_equal(conn_send(w.conn, body, sizeof(body)), 0);
	run_quiet();
	assert_int_equal(w.rooms, 1);
}

/* --- closing ------------------------------------------------------------------------------------------------------ */

/* What is queued still goes out, packets nobody will answer do not. */
static void
a_close_sends_what_is_queued(void **state)
{
	static const uint8_t packet[1400] = {0x45};

	(void)state;
	open_it();
	for (int i = 0; i < 10; i++) {
		send_packet(packet, sizeof(packet));
		conn_send(w.conn, "keepalive\r\n\r\n", 14);
	}
	conn_close(w.conn);
	assert_int_equal(conn_send(w.conn, "x", 1), -ENOTCONN);
	run_until("closed", is_closed);
	assert_why("closed", 0, "closed");
	run_until("the peer hears of it", fake_is_gone);
	assert_int_equal(w.fake.links[0].count, 10);
	assert_true(w.fake.links[0].ended);
	assert_int_equal(w.frames, 0);
}

/* "for at most a second" */
static void
a_close_does_not_wait_for_ever(void **state)
{
	static const char body[8000] = "channel\r\nremoteid=1\r\n\r\n";

	(void)state;
	open_it();
	w.fake.links[0].deaf = true;
	for (int i = 0; i < 2000; i++) {
		conn_send(w.conn, body, sizeof(body));
		if (i % 20 == 0)
			turn_run(w.loop, NULL, 1);
	}
	conn_close(w.conn);
	run_quiet();
	assert_int_equal(w.closed, 0);
	assert_int_equal(conn_step(w.conn), CONN_CLOSING);
	turn_forward(w.loop, 1000);
	run_until("closed", is_closed);
	assert_why("deaf peer", 0, "closed");
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
	    cmocka_unit_test_setup_teardown(steps_of_an_opening, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_socket_is_tuned, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_old_kernel, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_source_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(beginnings_that_fail, setup, teardown),
	    cmocka_unit_test_setup_teardown(refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_answer_to_tcp, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_answer_to_tls, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_certificate_that_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(aborted_at_each_step, setup, teardown),
	    cmocka_unit_test_setup_teardown(closed_before_it_is_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(frames_in_pieces, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_frames, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_largest_frame, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_peer_closes, setup, teardown),
	    cmocka_unit_test_setup_teardown(closed_from_inside_a_frame, setup, teardown),
	    cmocka_unit_test_setup_teardown(frames_arrive, setup, teardown),
	    cmocka_unit_test_setup_teardown(messages_overtake_packets, setup, teardown),
	    cmocka_unit_test_setup_teardown(records_are_filled, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_turn_is_one_call, setup, teardown),
	    cmocka_unit_test_setup_teardown(large_packets_stay_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(packets_come_in_runs, setup, teardown),
	    cmocka_unit_test_setup_teardown(storage_is_given_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_long_queue_is_given_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(full_queues, setup, teardown),
	    cmocka_unit_test_setup_teardown(room_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_close_sends_what_is_queued, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_close_does_not_wait_for_ever, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
