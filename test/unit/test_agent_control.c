/* agent/control: the control socket, with clients as they should be and as they should not. */
// wrap: clock_mono epoll_wait agent_parts agent_register agent_unregister agent_set_mgmtid agent_end_install
// wrap: uplink_view
// wrap: agent_packages_restore agent_packages_update agent_packages_check agent_packages_answer agent_packages_cancel
#include "agent/control.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/control_wire.h"
#include "base/buf.h"
#include "base/log.h"
#include "test/unit/agent_order.h"
#include "test/unit/agent_shell.h"
#include "test/unit/turn.h"
#include "test/unit/open_files.h"

enum { CLIENTS = 20, PIECES_MAX = 100 * 1024 * 1024 };

/* A client, not blocking. */
struct peer {
	int fd;
	bool closed; /* by the agent */
	struct buf in;
};

static struct {
	struct loop *loop;
	struct control *control;
	struct peer peers[CLIENTS];
	char path[PATH_MAX];
} t;

static int
setup(void **state)
{
	struct err e = ERR_NONE;

	if (fixture_setup(state))
		return -1;
	memset(&t, 0, sizeof(t));
	memset(&order, 0, sizeof(order));
	for (size_t i = 0; i < CLIENTS; i++)
		t.peers[i] = (struct peer){.fd = -1, .in = BUF_INIT(PIECES_MAX)};
	shell_open("config system global\n    set hostname \"old\"\nend\n");
	snprintf(t.path, sizeof(t.path), "%s", fixture_path("control.sock"));
	t.loop = loop_new(&e);
	return t.loop && !control_open(t.loop, shell_agent(), t.path, &t.control, &e) ? 0 : -1;
}

static int
teardown(void **state)
{
	control_close(t.control);
	t.control = NULL;
	for (size_t i = 0; i < CLIENTS; i++) {
		if (t.peers[i].fd >= 0)
			close(t.peers[i].fd);
		buf_free(&t.peers[i].in);
	}
	loop_free(t.loop);
	shell_close();
	return fixture_teardown(state);
}

static void
run_quiet(void)
{
	turn_quiet(t.loop);
}

static struct peer *
join(size_t i)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct peer *p = &t.peers[i];

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", t.path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(connect(p->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return p;
}

static void
leave(struct peer *p)
{
	close(p->fd);
	p->fd = -1;
}

/* Takes what the agent has sent. */
static void
drain(struct peer *p)
{
	static char chunk[65536];
	ssize_t n;

	while ((n = recv(p->fd, chunk, sizeof(chunk), 0)) > 0)
		assert_int_equal(buf_put(&p->in, chunk, (size_t)n), 0);
	if (!n || errno == ECONNRESET)
		p->closed = true;
}

static struct peer *waiting; /* the client whose piece is waited for */

/* Also true when none will come any more. */
static bool
has_piece(void)
{
	enum control_type type;
	const uint8_t *body;
	size_t len;

	drain(waiting);
	return waiting->closed ||
	       control_piece(buf_head(&waiting->in), waiting->in.len, PIECES_MAX, &type, &body, &len);
}

/* The next piece for the client, "TYPE:text" with a result as "R:CODE[+] PROMPT|REASON"; "" when there is none. */
static const char *
next_piece(struct peer *p)
{
	static char text[16384];
	enum control_type type;
	const uint8_t *body;
	size_t len;
	long whole;

	waiting = p;
	turn_settle(t.loop, has_piece);
	whole = control_piece(buf_head(&p->in), p->in.len, PIECES_MAX, &type, &body, &len);
	assert_true(whole >= 0);
	if (!whole)
		return "";
	if (type == CONTROL_RESULT) {
		int32_t code =
		    (int32_t)((uint32_t)body[0] << 24 | (uint32_t)body[1] << 16 | (uint32_t)body[2] << 8 | body[3]);
		const char *prompt = (const char *)body + 5;

		snprintf(text, sizeof(text), "R:%d%s %s|%s", code, body[4] ? "+" : "", prompt,
			 prompt + strlen(prompt) + 1);
	} else if (type == CONTROL_WANT_FILE) {
		snprintf(text, sizeof(text), "W:%d %d", body[0], body[1] << 8 | body[2]);
	} else if (type == CONTROL_ASK) {
		snprintf(text, sizeof(text), "A:%d %02x %.*s", body[0], body[1], (int)len - 1 - PACKAGES_DIGEST,
			 (const char *)body + 1 + PACKAGES_DIGEST);
	} else if (type == CONTROL_PROGRESS) {
		snprintf(text, sizeof(text), "P:%x of %x%02x %.*s", body[7], body[14], body[15], (int)len - 16,
			 (const char *)body + 16);
	} else {
		snprintf(text, sizeof(text), "%c:%.*s", type, (int)len, (const char *)body);
	}
	buf_take(&p->in, (size_t)whole);
	return text;
}

static void
expect(struct peer *p, const char *start)
{
	const char *got = next_piece(p);

	if (strncmp(got, start, strlen(start)) != 0 || (!*start && *got))
		fail_msg("\"%s\" expected, got \"%s\"%s", start, got, p->closed ? ", closed" : "");
}

static void
expect_closed(const char *what, struct peer *p)
{
	for (int i = 0; i < 20 && !p->closed; i++)
		next_piece(p);
	if (!p->closed)
		fail_msg("%s: still there", what);
}

/* A piece, with descriptors beside it. */
static void
say_fds(struct peer *p, enum control_type type, const void *data, size_t len, const int fds[], size_t count)
{
	struct buf b = BUF_INIT(PIECES_MAX);
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {.room = {0}};
	struct iovec v;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct cmsghdr *c = &control.align;

	assert_int_equal(control_put(&b, type, data, len), 0);
	v = (struct iovec){.iov_base = b.data + b.off, .iov_len = b.len};
	if (count) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(p->fd, &m, MSG_NOSIGNAL), b.len);
	buf_free(&b);
}

static void
say(struct peer *p, enum control_type type, const void *data, size_t len)
{
	say_fds(p, type, data, len, NULL, 0);
}

static void
command(struct peer *p, uint8_t flags, const char *text)
{
	char body[16384];

	body[0] = (char)flags;
	snprintf(body + 1, sizeof(body) - 1, "%s", text);
	say(p, CONTROL_COMMAND, body, strlen(text) + 1);
}

/* --- the socket --------------------------------------------------------------------------------------------------- */

static void
the_socket_itself(void **state)
{
	char long_path[300];
	struct control *c = NULL;
	struct err e = ERR_NONE;
	struct stat st;

	(void)state;
	assert_int_equal(stat(t.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	control_close(t.control);
	t.control = NULL;
	assert_int_equal(stat(t.path, &st), -1);
	/* what a dead agent left is replaced */
	fixture_write("control.sock", "stale");
	assert_int_equal(control_open(t.loop, shell_agent(), t.path, &t.control, &e), 0);
	expect(join(0), "");
	memset(long_path, 'x', sizeof(long_path));
	memcpy(long_path, "/tmp/", 5);
	long_path[299] = '\0';
	assert_int_equal(control_open(t.loop, shell_agent(), long_path, &c, &e), -ENAMETOOLONG);
	assert_int_equal(control_open(t.loop, shell_agent(), "", &c, &e), -ENAMETOOLONG);
	assert_int_equal(control_open(t.loop, shell_agent(), "/no/such/folder/sock", &c, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/no/such/folder/sock"));
	assert_null(c);
	control_close(NULL);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static void
commands_and_results(void **state)
{
	struct peer *p = join(0);

	(void)state;
	command(p, 0, "get system mgmt-csum");
	expect(p, "O:global: ");
	expect(p, "R:0 |");
	command(p, 0, "diagnose x");
	expect(p, "R:-61 |command parse error before 'x'");
	command(p, CONTROL_JSON, "diagnose x");
	expect(p, "O:{");
	expect(p, "R:-61 |command parse error before 'x'");
	command(p, CONTROL_TYPED, "config system global");
	expect(p, "R:0 (global) |");
	command(p, 0, "set hostname \"a");
	expect(p, "R:-160+ (global) |");
	command(p, 0, "set hostname \"new\"");
	expect(p, "R:0 (global) |");
	say(p, CONTROL_COMPLETE, "set hostn", 9);
	expect(p, "L:hostname\t");
	say(p, CONTROL_END, "", 0);
	expect(p, "R:-160 (global) |incomplete command");
	command(p, 0, "end");
	expect(p, "R:0 |");
	say(p, CONTROL_END, "", 0);
	expect(p, "R:0 |");
	expect(p, "");
	assert_true(fixture_contains("sys_config.conf", "new"));
	assert_false(p->closed);
}

/* Two shells do not get into each other's way. */
static void
each_its_own_shell(void **state)
{
	struct peer *a = join(0), *b = join(1);

	(void)state;
	command(a, 0, "config system global");
	expect(a, "R:0 (global) |");
	command(b, 0, "get system status");
	expect(b, "O:Version: ");
	expect(b, "R:0 |");
	command(a, 0, "set hostname \"mine\"");
	expect(a, "R:0 (global) |");
	leave(a); /* uncommitted: dropped */
	run_quiet();
	command(b, 0, "show system global");
	expect(b, "O:config system global\n    set hostname \"old\"");
}

/* The same bytes in pieces of each size, and several commands at once. */
static void
bytes_in_pieces(void **state)
{
	static const size_t sizes[] = {1, 3, 5, 7, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf b = BUF_INIT(4096);
		struct peer *p = join(i);

		control_put(&b, CONTROL_COMMAND, "\0config system global", 21);
		control_put(&b, CONTROL_COMMAND, "\0end", 4);
		control_put(&b, CONTROL_END, "", 0);
		while (b.len) {
			size_t n = b.len < sizes[i] ? b.len : sizes[i];

			assert_int_equal(send(p->fd, buf_head(&b), n, 0), n);
			buf_take(&b, n);
			turn_run(t.loop, NULL, 1);
		}
		expect(p, "R:0 (global) |");
		expect(p, "R:0 |");
		expect(p, "R:0 |");
		expect(p, "");
		buf_free(&b);
	}
}

/* What no fgfmctl sends ends that connection, and nothing else. */
static void
strange_clients(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} rows[] = {
	    {"an unknown type", "Z\0\0\0\0", 5},         {"a type of the other side", "R\0\0\0\0", 5},
	    {"a command without flags", "C\0\0\0\0", 5}, {"a piece too large", "C\0\x10\0\x01", 5},
	    {"a huge piece", "C\xff\xff\xff\xff", 5},    {"a file nobody asked for", "F\0\0\0\0", 5},
	    {"HTTP", "GET / HTTP/1.1\r\n\r\n", 18},
	};
	struct peer *good = join(CLIENTS - 1);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = join(i);

		assert_int_equal(send(p->fd, rows[i].bytes, rows[i].len, 0), rows[i].len);
		expect_closed(rows[i].what, p);
	}
	command(good, 0, "diagnose debug disable");
	expect(good, "R:0 |");
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int
make_fd(const char *kind)
{
	int fds[2], fd;

	if (!strcmp(kind, "pipe")) {
		assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
		close(fds[1]);
		return fds[0];
	}
	if (!strcmp(kind, "socket")) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		close(fds[1]);
		return fds[0];
	}
	if (!strcmp(kind, "memfd"))
		fd = memfd_create("config", MFD_CLOEXEC);
	else if (!strcmp(kind, "file"))
		fd = open(fixture_path("file.conf"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	else
		fd = open(kind, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* "regular files only": nothing that could make the daemon wait. */
static void
kinds_of_files(void **state)
{
	static const char text[] = "config system global\n    set hostname \"restored\"\nend\n";
	static const struct {
		const char *kind;
		bool taken;
	} rows[] = {
	    {"pipe", false},      {"socket", false}, {"/tmp", false}, {"/dev/null", false},
	    {"/dev/zero", false}, {"file", true},    {"memfd", true},
	};
	struct peer *p = join(0);

	(void)state;
	run_quiet();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t before = open_files();
		int fd = make_fd(rows[i].kind);

		if (rows[i].taken)
			assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
		command(p, 0, "execute restore config named.conf");
		expect(p, "W:0 3");
		say_fds(p, CONTROL_FILE, "", 0, &fd, 1);
		if (rows[i].taken)
			expect(p, "R:0 |");
		else
			expect(p, "R:-1000 |not a regular file");
		close(fd);
		assert_int_equal(open_files(), before);
		assert_string_equal(box_get("system global", "", "hostname"), rows[i].taken ? "restored" : "old");
	}
}

static void
files_that_do_not_come(void **state)
{
	struct peer *p = join(0), *none = join(1);
	int fd = make_fd("file");

	(void)state;
	command(p, 0, "execute backup config out.conf");
	expect(p, "W:1 3");
	say(p, CONTROL_NO_FILE, "no such file", 12);
	expect(p, "R:-1000 |the file could not be opened");
	/* it is not asked for any more */
	command(p, 0, "execute backup config out.conf");
	expect(p, "W:1 3");
	command(p, 0, "diagnose debug disable");
	expect(p, "R:0 |");
	say_fds(p, CONTROL_FILE, "", 0, &fd, 1);
	expect(p, "R:0 |");
	assert_true(fixture_contains("file.conf", "hostname"));
	command(none, 0, "execute restore config x");
	expect(none, "W:0 3");
	say(none, CONTROL_FILE, "", 0);
	expect_closed("a file without a descriptor", none);
	close(fd);
}

/* Descriptors nobody asked for, many at once, or on the wrong piece: none stays open. */
static void
descriptors_do_not_pile_up(void **state)
{
	struct peer *p = join(0);
	size_t before;
	int fds[8];

	(void)state;
	run_quiet();
	before = open_files();
	for (size_t i = 0; i < 8; i++)
		fds[i] = make_fd("memfd");
	for (size_t count = 1; count <= 8; count++) {
		for (int round = 0; round < 10; round++) {
			say_fds(p, CONTROL_COMMAND, "\0diagnose debug disable", 23, fds, count);
			expect(p, "R:0 |");
		}
	}
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	assert_in_range(open_files(), before, before + 1); /* one waits for its piece */
	leave(p);
	run_quiet();
	assert_int_equal(open_files(), before - 2);
}

/* --- many and slow ------------------------------------------------------------------------------------------------ */

static void
the_seventeenth_client(void **state)
{
	(void)state;
	for (size_t i = 0; i < 16; i++) {
		join(i);
		turn_run(t.loop, NULL, 1);
	}
	expect_closed("the seventeenth", join(16));
	command(&t.peers[15], 0, "diagnose debug disable");
	expect(&t.peers[15], "R:0 |");
	leave(&t.peers[3]);
	run_quiet();
	join(17);
	command(&t.peers[17], 0, "diagnose debug disable");
	expect(&t.peers[17], "R:0 |");
}

/* A client that does not read delays nobody, and what waits for it is bounded; when it reads, all is there. */
static void
a_client_that_does_not_read(void **state)
{
	enum { COMMANDS = 2000 };
	struct peer *slow = join(0), *good = join(1);
	size_t sent = 0, results = 0, taken = 0;
	struct buf one = BUF_INIT(4096);

	(void)state;
	control_put(&one, CONTROL_COMMAND, "\0show full-configuration", 24);
	while (sent < COMMANDS) {
		ssize_t n = send(slow->fd, buf_head(&one), one.len, MSG_NOSIGNAL);

		if (n < 0)
			break; /* its commands wait in the socket */
		assert_int_equal(n, one.len);
		sent++;
		if (sent % 50 == 0)
			turn_run(t.loop, NULL, 1);
	}
	command(good, 0, "get system status");
	expect(good, "O:Version: ");
	expect(good, "R:0 |");
	assert_true(sent > 100);
	while (results < sent) {
		enum control_type type;
		const uint8_t *body;
		size_t len;
		long whole;

		turn_run(t.loop, NULL, 1);
		drain(slow);
		assert_false(slow->closed);
		taken += slow->in.len;
		assert_true(taken < PIECES_MAX);
		while ((whole = control_piece(buf_head(&slow->in), slow->in.len, PIECES_MAX, &type, &body, &len)) > 0) {
			results += type == CONTROL_RESULT;
			buf_take(&slow->in, (size_t)whole);
		}
	}
	assert_int_equal(results, sent);
	buf_free(&one);
}

/* Its debug lines are dropped when it is far behind, the client is not. */
static void
debug_lines_of_a_slow_client(void **state)
{
	static char text[1000];
	struct peer *slow = join(0);
	size_t lines = 0;
	const char *piece;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	command(slow, 0, "diagnose debug enable");
	expect(slow, "R:0 |");
	for (int i = 0; i < 10000; i++) {
		log_debug(DBG_SESSION, "%d %s", i, text);
		if (i % 100 == 0)
			turn_run(t.loop, NULL, 1);
	}
	log_set_mask(0);
	command(slow, 0, "diagnose debug disable");
	while ((piece = next_piece(slow)) && *piece == 'D') {
		enum control_type type;
		const uint8_t *body;
		size_t len;
		long whole;

		lines++;
		while ((whole = control_piece(buf_head(&slow->in), slow->in.len, PIECES_MAX, &type, &body, &len)) > 0 &&
		       type == CONTROL_DEBUG) {
			lines++;
			buf_take(&slow->in, (size_t)whole);
		}
	}
	assert_string_equal(piece, "R:0 |");
	assert_in_range(lines, 100, 9000);
	assert_false(slow->closed);
}

/* --- a command that goes on --------------------------------------------------------------------------------------- */

static void
answer(struct peer *p, bool yes, uint8_t digest)
{
	const uint8_t body[1 + PACKAGES_DIGEST] = {yes, digest};

	say(p, CONTROL_ANSWER, body, sizeof(body));
	run_quiet();
}

static void
questions_and_answers(void **state)
{
	struct peer *p = join(0), *other = join(1);

	(void)state;
	command(p, 0, "execute update-now");
	run_quiet();
	assert_string_equal(order.asked, "update uid 0");
	order_ask(PACKAGES_OLDER, 0xab, "older? (y/n)");
	expect(p, "A:2 ab older? (y/n)");
	answer(other, true, 0xab); /* nobody has asked it */
	assert_string_equal(order.answers, "");
	answer(p, true, 0xab);
	answer(p, false, 0);
	assert_string_equal(order.answers, "yes ab no 00 ");
	order.watch.progress(order.watch.ctx, "fetching", 5, 0x1234);
	expect(p, "P:5 of 1234 fetching");
	order_say("so far\n");
	expect(p, "O:so far");
	command(other, 0, "get system mgmt-csum"); /* the rest of the agent goes on */
	expect(other, "O:global: ");
	order_done(CLI_REFUSED, "no signature");
	expect(p, "R:-64 |no signature");
	command(p, 0, "get system mgmt-csum");
	expect(p, "O:global: ");
	expect(p, "R:0 |");
	expect(p, "");
}

/* What comes behind it waits, an answer excepted; and what is read of that is bounded. */
static void
commands_behind_it_wait(void **state)
{
	struct peer *p = join(0);

	(void)state;
	command(p, 0, "execute update-now");
	run_quiet();
	answer(p, true, 1);
	command(p, 0, "get system mgmt-csum");
	command(p, 0, "diagnose x");
	answer(p, false, 2); /* behind a command: it waits as well */
	expect(p, "");
	assert_string_equal(order.answers, "yes 01 ");
	order_say("said\n");
	expect(p, "O:said");
	expect(p, "");
	order_done(CLI_OK, "");
	expect(p, "R:0 |");
	expect(p, "O:global: ");
	expect(p, "R:0 |");
	expect(p, "R:-61 |");
	expect(p, "");
	assert_string_equal(order.answers, "yes 01 ");
	assert_false(p->closed);
}

static void
cancelling(void **state)
{
	struct peer *p = join(0);
	size_t before;

	(void)state;
	run_quiet();
	before = open_files();
	say(p, CONTROL_CANCEL, "", 0); /* nothing runs */
	expect(p, "");
	command(p, 0, "execute update-now");
	run_quiet();
	say(p, CONTROL_CANCEL, "", 0);
	expect(p, "R:-64 |cancelled");
	assert_int_equal(order.cancelled, 1);
	/* a client that goes takes its command with it, with others waiting behind it, too */
	for (int round = 0; round < 2; round++) {
		command(p, 0, "execute update-now");
		if (round)
			command(p, 0, "get system status");
		run_quiet();
		leave(p);
		run_quiet();
		assert_int_equal(order.cancelled, 2 + round);
		p = join(0);
	}
	run_quiet();
	assert_int_equal(open_files(), before);
	command(p, 0, "execute update-now");
	run_quiet();
	say(p, CONTROL_ANSWER, "y", 1);
	expect_closed("an answer without a digest", p);
	assert_int_equal(order.cancelled, 4);
}

/* Gone at any moment: nothing is left of it. */
static void
clients_that_go(void **state)
{
	size_t before = open_files();
	struct peer *p;

	(void)state;
	for (int round = 0; round < 4; round++) {
		p = join(0);
		if (round >= 1)
			command(p, 0, "config system global");
		if (round == 2)
			command(p, 0, "execute backup config x");
		if (round >= 3)
			for (int i = 0; i < 50; i++)
				command(p, 0, "show full-configuration");
		if (round % 2)
			run_quiet();
		leave(p);
		run_quiet();
		assert_int_equal(open_files(), before);
	}
	/* the socket closes with clients still there */
	join(0);
	command(&t.peers[0], 0, "diagnose debug enable");
	run_quiet();
	control_close(t.control);
	t.control = NULL;
	expect_closed("closed with the socket", &t.peers[0]);
	log_debug(DBG_SESSION, "nobody hears this");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_socket_itself, setup, teardown),
	    cmocka_unit_test_setup_teardown(commands_and_results, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_its_own_shell, setup, teardown),
	    cmocka_unit_test_setup_teardown(bytes_in_pieces, setup, teardown),
	    cmocka_unit_test_setup_teardown(strange_clients, setup, teardown),
	    cmocka_unit_test_setup_teardown(kinds_of_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(files_that_do_not_come, setup, teardown),
	    cmocka_unit_test_setup_teardown(descriptors_do_not_pile_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_seventeenth_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_client_that_does_not_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(debug_lines_of_a_slow_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(questions_and_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(commands_behind_it_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(cancelling, setup, teardown),
	    cmocka_unit_test_setup_teardown(clients_that_go, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
