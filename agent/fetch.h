/* fetch: one file from a TFTP or HTTPS server into an unnamed file of ours, in the event loop.
 *
 * curl does it, as a child that may do nothing else: another user, an empty environment, Landlock, no files, no
 * processes. It writes into a pipe; the agent counts, and writes into the file, which nobody else has. Bytes that came
 * are worth nothing yet: the package room judges them. Names and addresses are checked here before they are words of a
 * command line; a redirect is never followed; a proxy, a .curlrc or a netrc file is never used.
 *
 * Who the other end is: a web server by the authorities given and its name; a manager by the key that the trusted list
 * has of it, or by the authorities given and its serial number. TFTP knows no such thing: there only the address
 * counts, and the port the first answer came from.
 */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H

#include <stdint.h>

struct err;
struct fetch;
struct loop;
struct program_user;

enum fetch_kind {
	FETCH_TFTP,      /* `file` of `server` */
	FETCH_HTTPS_URL, /* `url` */
	FETCH_MANAGER,   /* what `server`, a manager, has that is newer than `has` */
	FETCH_SERVER,    /* the same of a server that the configuration lists */
};

enum { FETCH_FILE_MAX = 200, FETCH_URL_MAX = 1024 };

/* What is here, for a manager or server to compare. Each a word of letters, digits, '.', '-' and '_', or "". */
struct fetch_has {
	const char *serial; /* of this device */
	const char *os, *build;
	const char *av, *ips; /* versions of virdb and idsdb */
};

/* Everything is borrowed, and only for the call; what is NULL or 0 is not given. */
struct fetch_spec {
	enum fetch_kind kind;
	const char *server; /* an address, or a host name, which is looked up with `resolv_conf` */
	uint16_t port;      /* 0: 69 for TFTP, 443 otherwise */
	const char *file;   /* up to FETCH_FILE_MAX printable ASCII characters, not beginning with '-' or '/' */
	const char *url;    /* https://HOST[:PORT]/… up to FETCH_URL_MAX characters; no user, no fragment */
	struct fetch_has has;
	const char *ca_file; /* authorities, PEM: for a manager those of the session */
	const char *pin; /* FETCH_MANAGER, FETCH_SERVER: 64 hex digits, SHA-256 of the one key accepted without more */
	const char *serial; /* FETCH_MANAGER, FETCH_SERVER: the name in the certificate instead of `server` */
	const char *resolv_conf;
	const struct program_user *user; /* curl's; NULL: the agent's own */
	const char *staging_dir; /* on the file system that the bytes are to be on; nothing with a name is made */
	uint32_t max_bytes;      /* has to be given */
	int64_t timeout_ms;      /* for everything; 0: FETCH_TIMEOUT_MS */
	int64_t stall_ms;        /* without a byte; 0: FETCH_STALL_MS */
};

enum { FETCH_TIMEOUT_MS = 60 * 60 * 1000, FETCH_STALL_MS = 30 * 1000 };

struct fetch_ops {
	/* So many bytes are here, of `total`, or 0 where nobody has said. May be NULL; must not cancel. */
	void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
	/* Called once, from the loop; the fetch is over by then and must not be cancelled any more. With rc 0 the
	 * descriptor is the callee's, for reading and writing, at its beginning; or it is -1: a manager or server says
	 * that it has nothing newer. Otherwise -1 and a reason:
	 *   -ENOENT    no such file, or no such host
	 *   -EACCES    not who was expected: the certificate, or the key
	 *   -EPERM     a redirect
	 *   -EFBIG     more than max_bytes
	 *   -ETIMEDOUT too long, or nothing came
	 *   -ENOSPC …  the file could not be written, the server not be reached: what the system says
	 *   -EIO       anything else: refused, broken off, another answer than was asked for */
	void (*done)(void *ctx, int rc, int fd, const char *why);
};

/* 0, or -errno with nothing started: -EINVAL when a name, an address or a URL is none. */
int fetch_start(struct loop *l, const struct fetch_spec *spec, const struct fetch_ops *ops, void *ctx,
		struct fetch **out, struct err *e);

/* Ends it; done is not called, and nothing is left. NULL-safe. */
void fetch_cancel(struct fetch *f);

#endif
