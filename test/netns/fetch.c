/* fetch: one file, by agent/fetch alone; for end-to-end tests. Words are KEY=VALUE. Prints what fetch_ops says, and
 * exits with 0, or 1 when it failed:
 *
 *   progress BYTES TOTAL
 *   cancelled                   after `cancel` milliseconds; it then goes on doing nothing
 *   done NAME-OF-ERROR WHY      "none" when it went well: then `save` has the bytes, or "nothing newer" is the reason
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fetch.h"
#include "agent/program.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

struct run {
	struct loop *loop;
	struct fetch *fetch;
	const char *save;
	int rc;
};

static const char *
value(char **words, const char *key)
{
	size_t n = strlen(key);

	for (; *words; words++) {
		if (!strncmp(*words, key, n) && (*words)[n] == '=')
			return *words + n + 1;
	}
	return NULL;
}

static long long
number(char **words, const char *key, long long otherwise)
{
	const char *v = value(words, key);

	return v ? strtoll(v, NULL, 10) : otherwise;
}

static enum fetch_kind
kind(char **words)
{
	static const char *const names[] = {
	    [FETCH_TFTP] = "tftp", [FETCH_HTTPS_URL] = "url", [FETCH_MANAGER] = "manager", [FETCH_SERVER] = "server"};
	const char *v = value(words, "kind");

	for (size_t i = 0; v && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], v))
			return (enum fetch_kind)i;
	}
	fprintf(stderr, "kind=tftp|url|manager|server was expected\n");
	exit(2);
}

static void
on_progress(void *ctx, uint64_t bytes, uint64_t total)
{
	(void)ctx;
	printf("progress %llu %llu\n", (unsigned long long)bytes, (unsigned long long)total);
}

static void
save(const struct run *r, int fd)
{
	int out = open(r->save, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st;

	if (out < 0 || fstat(fd, &st) || lseek(fd, 0, SEEK_CUR) != 0)
		abort();
	while (st.st_size > 0) {
		ssize_t n = sendfile(out, fd, NULL, (size_t)st.st_size);

		if (n <= 0)
			abort();
		st.st_size -= n;
	}
	close(out);
}

static void
on_done(void *ctx, int rc, int fd, const char *why)
{
	struct run *r = ctx;

	if (!rc && fd >= 0)
		save(r, fd);
	printf("done %s %s\n", rc ? strerrorname_np(-rc) : "none", rc || fd >= 0 ? why : "nothing newer");
	if (fd >= 0)
		close(fd);
	r->rc = rc;
	loop_stop(r->loop);
}

static void
on_cancel(void *ctx)
{
	struct run *r = ctx;

	fetch_cancel(r->fetch);
	printf("cancelled\n");
}

int
main(int argc, char **argv)
{
	struct err e = ERR_NONE;
	struct run r = {.loop = loop_new(&e), .save = value(argv, "save"), .rc = -EINVAL};
	const struct fetch_ops ops = {.progress = on_progress, .done = on_done};
	const char *user = value(argv, "user"), *staging = value(argv, "staging");
	struct program_user u;
	const struct fetch_spec spec = {
	    .kind = kind(argv),
	    .server = value(argv, "server"),
	    .port = (uint16_t)number(argv, "port", 0),
	    .file = value(argv, "file"),
	    .url = value(argv, "url"),
	    .has = {.serial = value(argv, "has.serial"), .av = value(argv, "has.av"), .ips = value(argv, "has.ips")},
	    .ca_file = value(argv, "ca"),
	    .pin = value(argv, "pin"),
	    .serial = value(argv, "serial"),
	    .resolv_conf = value(argv, "resolv-conf"),
	    .user = user ? &u : NULL,
	    .staging_dir = staging ? staging : "/tmp",
	    .max_bytes = (uint32_t)number(argv, "max", 16 * 1024 * 1024),
	    .timeout_ms = number(argv, "timeout", 0),
	    .stall_ms = number(argv, "stall", 0),
	};
	struct loop_timer *timer;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	log_open("fetch", true, false);
	log_set_mask(DBG_ALL);
	timer = loop_timer_new(r.loop, on_cancel, &r);
	if (value(argv, "cancel"))
		loop_timer_at(timer, mono_in(clock_mono(), number(argv, "cancel", 0)));
	if (!r.save || (user && program_user(user, &u, &e)) ||
	    (r.rc = fetch_start(r.loop, &spec, &ops, &r, &r.fetch, &e)))
		printf("done %s %s\n", r.rc ? strerrorname_np(-r.rc) : "usage", e.text);
	else if (loop_run(r.loop))
		r.rc = -EIO;
	loop_timer_free(timer);
	loop_free(r.loop);
	return r.rc ? 1 : 0;
}
