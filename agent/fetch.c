#include "agent/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/fetch_request.h"
#include "agent/http_head.h"
#include "agent/program.h"
#include "agent/resolve.h"
#include "agent/spawn.h"
#include "agent/tftp_relay.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"

#define CURL "/usr/bin/curl"

enum {
	CA_MAX = 4 * 1024 * 1024,
	BYTES_A_TURN = 64 * 1024,
	MEMORY_MAX = 512 * 1024 * 1024, /* of address space, most of it libraries */
	HTTP_OK = 200,
	HTTP_NOTHING = 204,
};

struct fetch {
	struct loop *loop;
	struct fetch_request req;
	struct fetch_ops ops;
	void *ctx;
	struct program_user user;
	bool has_user;
	mono_t deadline;
	int64_t stall_ms;
	struct addr addrs[FETCH_ADDRS];
	size_t addr_count;
	bool by_pin;
	int ca, file, pipe; /* -1: none */
	struct resolve *resolve;
	struct tftp_relay *relay;
	struct child *child;
	struct loop_io *pipe_io;
	struct http_head head; /* of HTTPS */
	uint64_t bytes;
};

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Ends the attempt that runs. */
static void
stop(struct fetch *f)
{
	child_free(f->child);
	f->child = NULL;
	tftp_relay_close(f->relay);
	f->relay = NULL;
	loop_io_free(f->pipe_io);
	f->pipe_io = NULL;
	close_fd(&f->pipe);
}

void
fetch_cancel(struct fetch *f)
{
	if (!f)
		return;
	stop(f);
	resolve_cancel(f->resolve);
	close_fd(&f->ca);
	close_fd(&f->file);
	free(f);
}

/* Over. `e` is NULL when it went well. */
static void
finish(struct fetch *f, const struct err *e)
{
	const struct fetch_ops ops = f->ops;
	void *ctx = f->ctx;
	int file = -1;

	if (!e && (f->req.kind == FETCH_TFTP || f->head.status == HTTP_OK)) {
		file = f->file;
		f->file = -1;
		(void)lseek(file, 0, SEEK_SET);
	}
	fetch_cancel(f);
	ops.done(ctx, e ? e->code : 0, file, e ? e->text : "");
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

/* The head is complete: is it worth to go on? */
static int
judge_head(const struct fetch *f, struct err *e)
{
	unsigned status = f->head.status;
	bool asked = f->req.kind == FETCH_MANAGER || f->req.kind == FETCH_SERVER;

	if (status == HTTP_OK)
		return f->head.has_length && f->head.length > f->req.max_bytes ? fetch_request_too_large(&f->req, e)
									       : 0;
	if (status == HTTP_NOTHING && asked)
		return 0;
	if (status >= 300 && status < 400)
		return err_set(e, -EPERM, "the server answers %u, a redirect", status);
	return err_set(e, status == 404 || status == 410 ? -ENOENT : -EIO, "the server answers %u", status);
}

static int
take_body(struct fetch *f, const char *bytes, size_t n, struct err *e)
{
	int rc;

	if (n > f->req.max_bytes - f->bytes)
		return fetch_request_too_large(&f->req, e);
	rc = file_write_all(f->file, bytes, n);
	if (rc)
		return err_sys(e, rc, "writing what was fetched");
	f->bytes += n;
	if (n && f->ops.progress)
		f->ops.progress(f->ctx, f->bytes, f->head.has_length ? f->head.length : 0);
	return 0;
}

static int
take(struct fetch *f, const char *bytes, size_t n, struct err *e)
{
	size_t used = 0;
	int rc;

	if (f->req.kind != FETCH_TFTP && !f->head.complete) {
		rc = http_head_take(&f->head, bytes, n, &used, e);
		if (!rc && f->head.complete)
			rc = judge_head(f, e);
		if (rc)
			return rc;
	}
	return take_body(f, bytes + used, n - used, e);
}

/* What is there. 0; 1 at the end; -EAGAIN when nothing is; or another -errno with the reason. */
static int
read_pipe(struct fetch *f, struct err *e)
{
	char bytes[BYTES_A_TURN];
	ssize_t n;

	do {
		n = read(f->pipe, bytes, sizeof(bytes));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : err_sys(e, -errno, "reading what is fetched");
	if (!n)
		return 1;
	return take(f, bytes, (size_t)n, e);
}

static void
on_pipe(void *ctx, uint32_t events)
{
	struct fetch *f = ctx;
	struct err e = ERR_NONE;
	int rc = read_pipe(f, &e);

	(void)events;
	if (rc < 0 && rc != -EAGAIN) {
		finish(f, &e);
	} else if (rc == 1) {
		loop_io_free(f->pipe_io);
		f->pipe_io = NULL;
	} else if (!rc) {
		child_progress(f->child);
	}
}

/* --- one attempt -------------------------------------------------------------------------------------------------- */

static int attempt(struct fetch *f, struct err *e);

/* It is over and ended well: is everything here? */
static int
check_whole(struct fetch *f, struct err *e)
{
	int rc;

	while (!(rc = read_pipe(f, e)))
		;
	if (rc < 0 && rc != -EAGAIN)
		return rc;
	if (f->req.kind == FETCH_TFTP)
		return 0;
	if (!f->head.complete)
		return err_set(e, -EIO, "the server's answer ends in its head");
	if (f->head.status == HTTP_OK && f->head.has_length && f->head.length != f->bytes)
		return err_set(e, -EIO, "%llu of %llu bytes came", (unsigned long long)f->bytes,
			       (unsigned long long)f->head.length);
	return 0;
}

static void
on_end(void *ctx, const struct child_end *end)
{
	struct fetch *f = ctx;
	struct err e = ERR_NONE;
	int rc = end->rc;

	f->child = NULL;
	if (!rc) {
		rc = check_whole(f, &e);
	} else if (f->by_pin && f->ca >= 0 && fetch_request_other_key(end->status)) {
		log_debug(DBG_PACKAGE, "[fetch] %s shows another key than the trusted list has: by its authority, then",
			  f->req.host);
		stop(f);
		f->by_pin = false;
		rc = attempt(f, &e);
		if (!rc)
			return;
	} else if (end->status > 0) {
		rc = fetch_request_judge(&f->req, end->status, end->said, &e);
	} else {
		rc = err_set(&e, rc, "curl: %s", end->why);
	}
	finish(f, rc ? &e : NULL);
}

static void
on_unreachable(void *ctx, int rc)
{
	struct err e = ERR_NONE;

	err_sys(&e, rc, "the TFTP server cannot be reached");
	finish(ctx, &e);
}

static int
start_curl(struct fetch *f, int out, struct err *e)
{
	/* of a system that links it with one TLS library or another; the authorities come through its input */
	static const char *const readable[] = {CURL,
					       "/lib",
					       "/lib64",
					       "/usr/lib",
					       "/usr/lib64",
					       "/etc/ld.so.cache",
					       "/etc/ssl/openssl.cnf",
					       "/etc/gnutls",
					       "/dev/urandom",
					       NULL};
	const struct fetch_way way = {.addrs = f->addrs,
				      .count = f->addr_count,
				      .relay_port = f->relay ? tftp_relay_port(f->relay) : 0,
				      .by_pin = f->by_pin};
	struct fetch_words words;
	const struct child_spec spec = {
	    .path = CURL,
	    .argv = words.argv,
	    .user = f->has_user ? &f->user : NULL,
	    .in = f->by_pin ? -1 : f->ca,
	    .out = out,
	    .readable = readable,
	    .network = true,
	    .alone = true,
	    .memory_max = MEMORY_MAX,
	    .timeout_ms = mono_left_ms(f->deadline, clock_mono()),
	    .stall_ms = f->stall_ms,
	};

	fetch_request_words(&f->req, CURL, &way, &words);
	return child_start(f->loop, &spec, on_end, f, &f->child, e);
}

/* To the addresses that are known now, with the trust of f->by_pin. */
static int
attempt(struct fetch *f, struct err *e)
{
	int out = -1, rc = 0;

	if (f->req.kind == FETCH_TFTP)
		rc = tftp_relay_open(f->loop, &f->addrs[0], f->req.port, on_unreachable, f, &f->relay, e);
	if (rc)
		return rc;
	rc = spawn_pipe(&f->pipe, &out, true);
	if (rc)
		return err_sys(e, rc, "starting %s", CURL);
	f->pipe_io = loop_io_new(f->loop, f->pipe, EPOLLIN, on_pipe, f);
	rc = f->pipe_io ? start_curl(f, out, e) : err_sys(e, -ENOMEM, "starting %s", CURL);
	close(out);
	return rc;
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

static void
on_resolved(void *ctx, const struct addr *addrs, size_t count, const struct err *why)
{
	struct fetch *f = ctx;
	struct err e = ERR_NONE;
	int rc;

	f->resolve = NULL;
	f->addr_count = count < FETCH_ADDRS ? count : FETCH_ADDRS;
	memcpy(f->addrs, addrs, f->addr_count * sizeof(*addrs));
	rc = count ? attempt(f, &e) : err_set(&e, -ENOENT, "%s", why->text);
	if (rc)
		finish(f, &e);
}

static int
put_pem(int fd, const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n", end[] = "-----END CERTIFICATE-----\n";
	enum { LINE = 48 }; /* bytes, which are 64 characters */
	char line[LINE / 3 * 4 + 2];
	int rc = file_write_all(fd, begin, sizeof(begin) - 1);

	for (size_t i = 0; !rc && i < len; i += LINE) {
		text_base64(line, sizeof(line), text + i, len - i < LINE ? len - i : LINE);
		strcat(line, "\n");
		rc = file_write_all(fd, line, strlen(line));
	}
	return rc ? rc : file_write_all(fd, end, sizeof(end) - 1);
}

/* The authorities, in memory: curl's user may not be able to read the file. */
static int
open_authorities(struct fetch *f, const char *path, struct err *e)
{
	char *text = NULL;
	size_t len;
	int rc = file_read(path, CA_MAX, &text, &len, e);

	if (rc)
		return rc;
	f->ca = memfd_create("authorities", MFD_CLOEXEC);
	rc = f->ca < 0 ? -errno : 0;
	if (!rc && text[0] == 0x30) /* DER */
		rc = put_pem(f->ca, text, len);
	else if (!rc)
		rc = file_write_all(f->ca, text, len);
	free(text);
	return rc ? err_sys(e, rc, "authorities in memory") : 0;
}

static int
open_files(struct fetch *f, const struct fetch_spec *s, struct err *e)
{
	bool has_ca = s->ca_file && *s->ca_file;
	int rc = 0;

	f->file = open(s->staging_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->file < 0)
		return err_sys(e, -errno, "a file in %s", s->staging_dir);
	if (f->req.kind == FETCH_TFTP)
		return 0;
	if (has_ca)
		rc = open_authorities(f, s->ca_file, e);
	/* a pinned key does without */
	if (f->by_pin && rc) {
		log_debug(DBG_PACKAGE, "[fetch] %s", e->text);
		return 0;
	}
	return rc || has_ca || f->by_pin ? rc : err_set(e, -EINVAL, "authorities or a key were expected");
}

int
fetch_start(struct loop *l, const struct fetch_spec *spec, const struct fetch_ops *ops, void *ctx, struct fetch **out,
	    struct err *e)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_sys(e, -ENOMEM, "fetching");
	f->loop = l;
	f->ops = *ops;
	f->ctx = ctx;
	f->ca = f->file = f->pipe = -1;
	f->has_user = spec->user != NULL;
	if (spec->user)
		f->user = *spec->user;
	f->deadline = mono_in(clock_mono(), spec->timeout_ms ? spec->timeout_ms : FETCH_TIMEOUT_MS);
	f->stall_ms = spec->stall_ms ? spec->stall_ms : FETCH_STALL_MS;
	rc = fetch_request_init(&f->req, spec, e);
	f->by_pin = *f->req.pin;
	if (!rc)
		rc = open_files(f, spec, e);
	if (!rc && f->req.addr.family) {
		f->addrs[f->addr_count++] = f->req.addr;
		rc = attempt(f, e);
	} else if (!rc) {
		rc = resolve_start(l, spec->resolv_conf, f->req.host, on_resolved, f, &f->resolve, e);
	}
	if (rc) {
		fetch_cancel(f);
		return rc;
	}
	*out = f;
	return 0;
}
