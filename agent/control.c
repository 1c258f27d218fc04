#include "agent/control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/control_wire.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "config/codes.h"

enum {
	CLIENTS_MAX = 16,
	BACKLOG = 8,
	READ_CHUNK = 16384,
	ANSWERS_ROOM = 1024 * 1024, /* unread by a client: its commands wait */
	ACCEPT_PAUSE_MS = 1000,
	DEBUG_ROOM = 256 * 1024, /* debug lines are dropped for a client that is this far behind */
	QUESTION_MAX = 8 * 1024,
};

struct client {
	struct control *home;
	int fd;
	struct loop_io *io;
	struct cli *cli;
	struct buf in, out;
	struct buf pending; /* the command that waits for its file */
	bool pending_json;
	int received_fd; /* -1: none */
	bool busy;       /* a command goes on */
	bool held_up;    /* what it has sent since has to wait for that */
	bool gone;
	struct client *next;
};

struct control {
	struct loop *loop;
	struct agent *agent;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;
	struct loop_io *io;
	struct loop_task *reaper;
	struct loop_timer *pause; /* of accepting */
	struct client *clients;
	unsigned count;
};

static void
client_drop(struct client *k)
{
	if (k->gone)
		return;
	k->gone = true;
	loop_io_free(k->io);
	k->io = NULL;
	loop_task_soon(k->home->reaper);
}

static void
client_free(struct client *k)
{
	loop_io_free(k->io);
	cli_free(k->cli);
	buf_free(&k->in);
	buf_free(&k->out);
	buf_free(&k->pending);
	if (k->received_fd >= 0)
		close(k->received_fd);
	close(k->fd);
	k->home->count--;
	free(k);
}

static void
on_reap(void *ctx)
{
	struct control *c = ctx;
	struct client **p = &c->clients;

	while (*p) {
		struct client *k = *p;

		if (k->gone) {
			*p = k->next;
			client_free(k);
		} else {
			p = &k->next;
		}
	}
}

/* A client that does not read its answers is given no more of them, and one whose next command waits is not read. */
static bool
may_read(const struct client *k)
{
	return k->out.len < ANSWERS_ROOM && !k->held_up;
}

static void
refresh_wants(struct client *k)
{
	if (k->io)
		loop_io_want(k->io, (may_read(k) ? EPOLLIN : 0u) | (k->out.len ? EPOLLOUT : 0u));
}

static void
put(struct client *k, enum control_type type, const void *data, size_t len)
{
	if (k->gone)
		return;
	if (control_put(&k->out, type, data, len))
		client_drop(k);
	else
		refresh_wants(k);
}

static void
on_debug_line(void *ctx, const char *line)
{
	struct client *k = ctx;

	if (k->out.len < DEBUG_ROOM)
		put(k, CONTROL_DEBUG, line, strlen(line));
}

static void
put_result(struct client *k, struct cli_result r, const char *reason)
{
	struct buf b = BUF_INIT(64 * 1024);
	uint32_t code = (uint32_t)r.code;
	const uint8_t head[] = {(uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code,
				(uint8_t)r.incomplete};
	const char *prompt = cli_prompt(k->cli);

	buf_put(&b, head, sizeof(head));
	buf_put(&b, prompt, strlen(prompt) + 1);
	buf_put(&b, reason, strlen(reason) + 1);
	put(k, CONTROL_RESULT, buf_head(&b), b.len);
	buf_free(&b);
}

static void
run(struct client *k, const char *text, size_t len, bool json, int fd)
{
	struct buf out = BUF_INIT(CONTROL_PIECE_MAX);
	struct err e = ERR_NONE;
	struct cli_result r = cli_run(k->cli, text, len, json, fd, &out, &e);

	if (out.len)
		put(k, CONTROL_OUTPUT, buf_head(&out), out.len);
	k->busy = r.pending;
	if (!r.pending)
		put_result(k, r, e.text);
	buf_free(&out);
}

/* --- a command that goes on --------------------------------------------------------------------------------------- */

static void
on_output(void *ctx, const char *text, size_t len)
{
	put(ctx, CONTROL_OUTPUT, text, len);
}

static void
on_ask(void *ctx, const struct packages_question *q)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	const uint8_t kind = (uint8_t)q->kind;

	buf_put(&b, &kind, 1);
	buf_put(&b, q->digest, sizeof(q->digest));
	buf_str(&b, q->text);
	put(ctx, CONTROL_ASK, buf_head(&b), b.len);
	buf_free(&b);
}

static void
on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct client *k = ctx;

	if (k->out.len >= DEBUG_ROOM)
		return;
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_put(&b, &(const uint8_t){(uint8_t)(done >> shift)}, 1);
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_put(&b, &(const uint8_t){(uint8_t)(total >> shift)}, 1);
	buf_str(&b, what);
	put(k, CONTROL_PROGRESS, buf_head(&b), b.len);
	buf_free(&b);
}

/* What the client has sent meanwhile is looked at when the result is on its way. */
static void
on_done(void *ctx, struct cli_result r, const char *reason)
{
	struct client *k = ctx;

	k->busy = false;
	put_result(k, r, reason);
}

static void
on_answer(struct client *k, const uint8_t *p, size_t len)
{
	if (len == 1 + PACKAGES_DIGEST)
		cli_answer(k->cli, p[0] == 1, p + 1);
	else
		client_drop(k);
}

/* --- what a client sends ------------------------------------------------------------------------------------------ */

/* A command that names a file waits until the client has handed it over. */
static void
on_command(struct client *k, const uint8_t *p, size_t len)
{
	size_t word;
	bool write;

	if (!len) {
		client_drop(k);
		return;
	}
	if (p[0] & CONTROL_TYPED)
		cli_set_interactive(k->cli);
	if (!cli_file_wanted((const char *)p + 1, len - 1, &word, &write)) {
		run(k, (const char *)p + 1, len - 1, p[0] & CONTROL_JSON, -1);
		return;
	}
	const uint8_t want[] = {write, (uint8_t)(word >> 8), (uint8_t)word};

	buf_free(&k->pending);
	if (buf_put(&k->pending, p + 1, len - 1)) {
		client_drop(k);
		return;
	}
	k->pending_json = p[0] & CONTROL_JSON;
	put(k, CONTROL_WANT_FILE, want, sizeof(want));
}

/* Only a regular file (a memfd is one) is taken, so that a FIFO cannot stall the daemon. */
static void
on_file(struct client *k)
{
	struct stat st;
	int fd = k->received_fd;

	k->received_fd = -1;
	if (!k->pending.len || fd < 0) {
		client_drop(k);
	} else if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		put_result(k, (struct cli_result){.code = CLI_FAILED}, "not a regular file");
	} else {
		run(k, (const char *)buf_head(&k->pending), k->pending.len, k->pending_json, fd);
	}
	buf_free(&k->pending);
	if (fd >= 0)
		close(fd);
}

static void
on_end(struct client *k)
{
	if (cli_at_top(k->cli))
		put_result(k, (struct cli_result){.code = CLI_OK}, "");
	else
		put_result(k, (struct cli_result){.code = CLI_INCOMPLETE},
			   "incomplete command: the script ends inside a block");
}

static void
on_piece(struct client *k, enum control_type type, const uint8_t *p, size_t len)
{
	struct buf words = BUF_INIT(1024 * 1024);

	switch (type) {
	case CONTROL_COMMAND:
		on_command(k, p, len);
		break;
	case CONTROL_COMPLETE:
		cli_complete(k->cli, (const char *)p, len, &words);
		put(k, CONTROL_WORDS, buf_head(&words), words.len);
		break;
	case CONTROL_FILE:
		on_file(k);
		break;
	case CONTROL_NO_FILE:
		buf_free(&k->pending);
		put_result(k, (struct cli_result){.code = CLI_FAILED}, "the file could not be opened");
		break;
	case CONTROL_END:
		on_end(k);
		break;
	case CONTROL_ANSWER:
		on_answer(k, p, len);
		break;
	case CONTROL_CANCEL:
		cli_cancel(k->cli);
		break;
	default:
		client_drop(k);
		break;
	}
	buf_free(&words);
}

/* --- the socket --------------------------------------------------------------------------------------------------- */

/* Whatever the kernel has installed is ours to close: one descriptor is kept, the last of them. */
static void
take_descriptors(struct client *k, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && i < count; i++) {
			if (k->received_fd >= 0)
				close(k->received_fd);
			memcpy(&k->received_fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
}

/* The whole pieces received so far, until the client is too far behind with reading, or a command goes on. */
static void
run_pieces(struct client *k)
{
	k->held_up = false;
	while (!k->gone && may_read(k)) {
		enum control_type type;
		const uint8_t *body;
		size_t len;
		long whole = control_piece(buf_head(&k->in), k->in.len, CONTROL_COMMAND_MAX, &type, &body, &len);

		if (whole < 0)
			client_drop(k);
		if (whole <= 0)
			break;
		k->held_up = k->busy && type != CONTROL_ANSWER && type != CONTROL_CANCEL;
		if (k->held_up)
			break;
		on_piece(k, type, body, len);
		buf_take(&k->in, (size_t)whole);
	}
	if (!k->gone)
		refresh_wants(k);
}

static void
do_read(struct client *k)
{
	char chunk[READ_CHUNK], control[CMSG_SPACE(sizeof(int))];
	struct iovec v = {.iov_base = chunk, .iov_len = sizeof(chunk)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(k->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buf_put(&k->in, chunk, (size_t)n)) {
		client_drop(k);
		return;
	}
	take_descriptors(k, &m);
	run_pieces(k);
}

static void
do_write(struct client *k)
{
	while (k->out.len) {
		ssize_t n = send(k->fd, buf_head(&k->out), k->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			client_drop(k);
			return;
		}
		buf_take(&k->out, (size_t)n);
		refresh_wants(k);
	}
	run_pieces(k); /* commands that had to wait */
}

static void
on_client(void *ctx, uint32_t events)
{
	struct client *k = ctx;

	if (events & EPOLLOUT)
		do_write(k);
	if (!k->gone && (events & (EPOLLHUP | EPOLLERR)) && k->held_up)
		client_drop(k); /* nobody is there to answer, and nothing more is read */
	if (!k->gone && (may_read(k) || (events & (EPOLLHUP | EPOLLERR))) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		do_read(k);
}

static void
peer_name(int fd, char *dst, size_t size)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n))
		snprintf(dst, size, "unknown");
	else
		snprintf(dst, size, "uid %u", who.uid);
}

static void
on_accept(void *ctx, uint32_t events)
{
	struct control *c = ctx;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct cli_ops ops = {
	    .line = on_debug_line, .output = on_output, .ask = on_ask, .progress = on_progress, .done = on_done};
	struct client *k;
	char who[32];

	(void)events;
	if (fd < 0) {
		/* out of descriptors: the listener stays readable, so it is left alone for a moment */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			loop_io_want(c->io, 0);
			loop_timer_at(c->pause, mono_in(clock_mono(), ACCEPT_PAUSE_MS));
		}
		return;
	}
	k = c->count < CLIENTS_MAX ? calloc(1, sizeof(*k)) : NULL;
	if (!k) {
		close(fd);
		return;
	}
	*k = (struct client){.home = c, .fd = fd, .received_fd = -1};
	k->in = BUF_INIT(CONTROL_COMMAND_MAX + CONTROL_HEAD + READ_CHUNK);
	k->out = BUF_INIT((size_t)2 * CONTROL_PIECE_MAX);
	k->pending = BUF_INIT(CONTROL_COMMAND_MAX);
	c->count++;
	peer_name(fd, who, sizeof(who));
	ops.ctx = k;
	k->cli = cli_new(c->agent, who, &ops);
	if (k->cli)
		k->io = loop_io_new(c->loop, fd, EPOLLIN, on_client, k);
	if (!k->io) {
		client_free(k);
		return;
	}
	k->next = c->clients;
	c->clients = k;
}

/* The group's number, -1 where there is none. From the file itself: the name service would load its modules, and keep
 * them, for this one question. */
static gid_t
operators_group(void)
{
	FILE *f = fopen("/etc/group", "re");
	const struct group *g = NULL;
	gid_t gid = (gid_t)-1;

	while (f && (g = fgetgrent(f)) && strcmp(g->gr_name, "fgfmd") != 0)
		;
	if (g)
		gid = g->gr_gid;
	if (f)
		fclose(f);
	return gid;
}

static void
on_pause(void *ctx)
{
	struct control *c = ctx;

	loop_io_want(c->io, EPOLLIN);
}

static int
listen_at(struct control *c, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	gid_t group = operators_group();
	mode_t old;
	int rc = 0;

	memcpy(un.sun_path, c->path, sizeof(un.sun_path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_sys(e, -errno, "control socket");
	/* the run directory is locked by this process: what stands here is a dead agent's */
	unlink(c->path);
	old = umask(0117);
	if (bind(c->fd, (struct sockaddr *)&un, sizeof(un)))
		rc = err_sys(e, -errno, "control socket %s", c->path);
	umask(old);
	if (!rc && group != (gid_t)-1 && chown(c->path, (uid_t)-1, group))
		rc = err_sys(e, -errno, "control socket %s: group fgfmd", c->path);
	if (!rc && listen(c->fd, BACKLOG))
		rc = err_sys(e, -errno, "control socket %s", c->path);
	return rc;
}

int
control_open(struct loop *l, struct agent *a, const char *path, struct control **out, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_sys(e, -ENOMEM, "control socket");
	*c = (struct control){.loop = l, .agent = a, .fd = -1};
	rc = !*path || text_copy(c->path, sizeof(c->path), path) ? -ENAMETOOLONG : 0;
	if (rc)
		err_set(e, rc, "control socket: the path of the run directory is longer than %zu bytes",
			sizeof(c->path) - 1);
	else
		rc = listen_at(c, e);
	if (!rc) {
		c->reaper = loop_task_new(l, on_reap, c);
		c->pause = loop_timer_new(l, on_pause, c);
		c->io = c->reaper && c->pause ? loop_io_new(l, c->fd, EPOLLIN, on_accept, c) : NULL;
		rc = c->io ? 0 : err_sys(e, -ENOMEM, "control socket");
	}
	if (rc) {
		control_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
control_close(struct control *c)
{
	struct client *k;

	if (!c)
		return;
	while ((k = c->clients)) {
		c->clients = k->next;
		client_free(k);
	}
	loop_io_free(c->io);
	loop_task_free(c->reaper);
	loop_timer_free(c->pause);
	if (c->fd >= 0) {
		unlink(c->path);
		close(c->fd);
	}
	free(c);
}
