#include "agent/fetch_request.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/profile.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/text.h"

#define CONNECT_S "15" /* as curl takes it */

enum { TFTP_PORT = 69, HTTPS_PORT = 443 };

/* --- checking ----------------------------------------------------------------------------------------------------- */

/* A host name: letters, digits, '-', '_' and single dots. One whose last part is a number would be read as an address
 * by some: "127.1". */
static bool
is_host_name(const char *s)
{
	const char *last = strrchr(s, '.');

	last = last ? last + 1 : s;
	if (!isalnum((unsigned char)*s) || strstr(s, "..") || last[strspn(last, "0123456789")] == '\0')
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	}
	return true;
}

static int
take_host(struct fetch_request *r, const char *host, struct err *e)
{
	char shown[80];

	if (!host || !*host)
		return err_set(e, -EINVAL, "an address or a host name was expected");
	if (text_copy(r->host, sizeof(r->host), host) || (addr_parse_host(host, &r->addr) && !is_host_name(host)))
		return err_set(e, -EINVAL, "\"%s\": an address or a host name was expected",
			       text_escape(shown, sizeof(shown), host, strlen(host)));
	return 0;
}

/* Words of a query are written as they are. */
static bool
is_word(const char *s)
{
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	}
	return true;
}

static int
add_to_query(struct fetch_request *r, const char *key, const char *value, struct err *e)
{
	size_t used = strlen(r->path);
	int n;

	if (!value || !*value)
		return 0;
	n = snprintf(r->path + used, sizeof(r->path) - used, "%s%s=%s", strchr(r->path, '?') ? "&" : "?", key, value);
	if (!is_word(value) || n < 0 || (size_t)n >= sizeof(r->path) - used)
		return err_set(e, -EINVAL, "%s: letters, digits, '.', '-' and '_' were expected", key);
	return 0;
}

static int
take_pin(struct fetch_request *r, const char *hex, struct err *e)
{
	uint8_t digest[SHA256_BYTES];
	char text[FETCH_PIN_TEXT - 8];

	if (!hex || !*hex)
		return 0;
	if (strlen(hex) != 2 * sizeof(digest) || text_unhex(digest, sizeof(digest), hex))
		return err_set(e, -EINVAL, "64 hex digits were expected for the key");
	snprintf(r->pin, sizeof(r->pin), "sha256//%s", text_base64(text, sizeof(text), digest, sizeof(digest)));
	return 0;
}

/* A manager, or a server of the configuration. */
static int
take_source(struct fetch_request *r, const struct fetch_spec *s, struct err *e)
{
	const struct fetch_has *has = &s->has;
	int rc = take_host(r, s->server, e);

	if (!rc)
		rc = take_pin(r, s->pin, e);
	if (!rc && s->serial && (!is_host_name(s->serial) || text_copy(r->name, sizeof(r->name), s->serial)))
		rc = err_set(e, -EINVAL, "a serial number was expected");
	snprintf(r->path, sizeof(r->path), "%s", PROFILE_FETCH_PATH);
	if (!rc)
		rc = add_to_query(r, PROFILE_FETCH_SERIAL, has->serial, e);
	if (!rc)
		rc = add_to_query(r, PROFILE_FETCH_OS, has->os, e);
	if (!rc)
		rc = add_to_query(r, PROFILE_FETCH_BUILD, has->build, e);
	if (!rc)
		rc = add_to_query(r, PROFILE_FETCH_AV, has->av, e);
	return rc ? rc : add_to_query(r, PROFILE_FETCH_IPS, has->ips, e);
}

/* The name goes out byte by byte as it is; curl decodes what is encoded here. */
static int
take_file(struct fetch_request *r, const struct fetch_spec *s, struct err *e)
{
	const char *p = s->file ? s->file : "";
	size_t used = 0;
	int rc = take_host(r, s->server, e);

	if (rc)
		return rc;
	if (!*p || *p == '-' || *p == '/' || strlen(p) > FETCH_FILE_MAX)
		return err_set(e, -EINVAL, "a file name of 1 to %d characters was expected", FETCH_FILE_MAX);
	r->path[used++] = '/';
	for (; *p; p++) {
		if (*p < 0x20 || *p > 0x7e)
			return err_set(e, -EINVAL, "a file name of printable ASCII characters was expected");
		if (isalnum((unsigned char)*p) || strchr("-_.", *p))
			used += (size_t)snprintf(r->path + used, sizeof(r->path) - used, "%c", *p);
		else
			used += (size_t)snprintf(r->path + used, sizeof(r->path) - used, "%%%02X", *p);
	}
	return 0;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static int
take_authority(struct fetch_request *r, char *text, struct err *e)
{
	char *host = text, *port = strrchr(text, ':');
	uint64_t number;

	if (*text == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return err_set(e, -EINVAL, "URL: [ADDRESS] was expected");
		port = end[1] ? end + 1 : NULL;
		*end = '\0';
		host++;
	}
	if (port) {
		if (text_u64(port + 1, UINT16_MAX, &number) || !number)
			return err_set(e, -EINVAL, "URL: a port of 1 to 65535 was expected");
		r->port = (uint16_t)number;
		*port = '\0';
	}
	if (take_host(r, host, e))
		return err_in(e, "URL");
	if ((r->addr.family == AF_INET6) != (host != text))
		return err_set(e, -EINVAL, "URL: an IPv6 address in brackets was expected");
	return 0;
}

static int
take_url(struct fetch_request *r, const struct fetch_spec *s, struct err *e)
{
	static const char scheme[] = "https://";
	const char *p = s->url ? s->url : "";
	char authority[FETCH_HOST_MAX + 16];
	size_t n;

	if (strncmp(p, scheme, sizeof(scheme) - 1) != 0 || strlen(p) > FETCH_URL_MAX)
		return err_set(e, -EINVAL, "URL: %sHOST/... of up to %d characters was expected", scheme,
			       FETCH_URL_MAX);
	for (const char *q = p; *q; q++) {
		if (*q <= ' ' || *q > '~' || strchr("\"#<>@\\^`{|}", *q))
			return err_set(e, -EINVAL, "URL: \"%c\" is not for it", *q > ' ' && *q <= '~' ? *q : ' ');
	}
	p += sizeof(scheme) - 1;
	n = strcspn(p, "/?");
	if (n >= sizeof(authority))
		return err_set(e, -EINVAL, "URL: the host's name is too long");
	memcpy(authority, p, n);
	authority[n] = '\0';
	snprintf(r->path, sizeof(r->path), "%s%s", p[n] == '/' ? "" : "/", p + n);
	return take_authority(r, authority, e);
}

int
fetch_request_init(struct fetch_request *r, const struct fetch_spec *spec, struct err *e)
{
	*r = (struct fetch_request){.kind = spec->kind, .port = spec->port, .max_bytes = spec->max_bytes};
	if (!r->port)
		r->port = spec->kind == FETCH_TFTP ? TFTP_PORT : HTTPS_PORT;
	if (!r->max_bytes)
		return err_set(e, -EINVAL, "a limit for the length was expected");
	switch (spec->kind) {
	case FETCH_TFTP:
		return take_file(r, spec, e);
	case FETCH_HTTPS_URL:
		return take_url(r, spec, e);
	case FETCH_MANAGER:
	case FETCH_SERVER:
		return take_source(r, spec, e);
	}
	return err_set(e, -EINVAL, "no such kind of source");
}

/* --- the command line --------------------------------------------------------------------------------------------- */

static void
add(struct fetch_words *w, const char *word)
{
	w->argv[w->count++] = word;
}

static void
add_option(struct fetch_words *w, const char *option, const char *value)
{
	add(w, option);
	add(w, value);
}

/* "NAME:443:192.0.2.1,[2001:db8::1]" : no look-up, and the name in the certificate need not be the host's. */
static void
add_addresses(struct fetch_words *w, const struct fetch_request *r, const char *name, const struct fetch_way *way)
{
	size_t used = (size_t)snprintf(w->resolve, sizeof(w->resolve), "%s:%u:", name, r->port);

	for (size_t i = 0; i < way->count && i < FETCH_ADDRS; i++) {
		bool v6 = way->addrs[i].family == AF_INET6;
		char text[ADDR_TEXT];

		used += (size_t)snprintf(w->resolve + used, sizeof(w->resolve) - used, "%s%s%s%s", i ? "," : "",
					 v6 ? "[" : "", addr_host(text, &way->addrs[i]), v6 ? "]" : "");
	}
	add_option(w, "--resolve", w->resolve);
}

static void
add_trust(struct fetch_words *w, const struct fetch_request *r, bool by_pin)
{
	if (by_pin) {
		/* the key is all that counts: it is compared also without the other checks */
		add(w, "--insecure");
		add_option(w, "--pinnedpubkey", r->pin);
		return;
	}
	add_option(w, "--cacert", "/proc/self/fd/0");
	/* beside these curl would also take the host's authorities, from the folder it was built with: so, one that has
	 * none */
	add_option(w, "--capath", "/usr/lib");
}

static void
add_https(struct fetch_words *w, const struct fetch_request *r, const struct fetch_way *way)
{
	const char *name = *r->name ? r->name : r->host;
	struct addr literal;
	bool is_name = addr_parse_host(name, &literal) != 0;

	add_option(w, "--proto", "=https");
	add(w, "--http1.1"); /* less of curl to be reached */
	add(w, "--tlsv1.2");
	add_option(w, "--dump-header", "-");
	if (is_name)
		add_addresses(w, r, name, way);
	add_trust(w, r, way->by_pin);
	snprintf(w->url, sizeof(w->url), is_name || literal.family == AF_INET ? "https://%s:%u%s" : "https://[%s]:%u%s",
		 name, r->port, r->path);
}

static void
add_tftp(struct fetch_words *w, const struct fetch_request *r, const struct fetch_way *way)
{
	add_option(w, "--proto", "=tftp");
	add_option(w, "--interface", "host!127.0.0.1"); /* out of reach of others */
	add_option(w, "--tftp-blksize", "1428");
	snprintf(w->url, sizeof(w->url), "tftp://127.0.0.1:%u%s", way->relay_port, r->path);
}

void
fetch_request_words(const struct fetch_request *r, const char *program, const struct fetch_way *way,
		    struct fetch_words *w)
{
	*w = (struct fetch_words){.count = 0};
	snprintf(w->size, sizeof(w->size), "%u", r->max_bytes);
	add(w, program);
	add(w, "--disable"); /* no .curlrc; has to be the first */
	add(w, "--silent");
	add_option(w, "--write-out", "%{stderr}%{errormsg}");
	add(w, "--globoff");
	add(w, "--no-buffer");
	add_option(w, "--noproxy", "*");
	add_option(w, "--user-agent", "fgfmd/" VERSION);
	add_option(w, "--connect-timeout", CONNECT_S);
	add_option(w, "--max-filesize", w->size);
	if (r->kind == FETCH_TFTP)
		add_tftp(w, r, way);
	else
		add_https(w, r, way);
	add_option(w, "--output", "-");
	add_option(w, "--url", w->url);
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

enum { CURL_OTHER_KEY = 90 };

int
fetch_request_too_large(const struct fetch_request *r, struct err *e)
{
	return err_set(e, -EFBIG, "more than %u bytes", r->max_bytes);
}

int
fetch_request_judge(const struct fetch_request *r, int status, const char *said, struct err *e)
{
	static const struct {
		int status, rc;
		const char *words; /* NULL: curl has better ones */
	} known[] = {
	    {28, -ETIMEDOUT, "no connection within " CONNECT_S " s"},
	    {60, -EACCES, NULL}, /* the certificate */
	    {63, -EFBIG, NULL},
	    {68, -ENOENT, "the server has no such file"},
	    {69, -EIO, "the server refuses"}, /* other errors of TFTP */
	    {71, -EIO, "the server refuses"},
	    {CURL_OTHER_KEY, -EACCES, "another key than the trusted list has"},
	};
	int rc = -EIO;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status != status)
			continue;
		rc = known[i].rc;
		said = known[i].words ? known[i].words : said;
	}
	if (rc == -EFBIG)
		return fetch_request_too_large(r, e);
	return *said ? err_set(e, rc, "%s", said) : err_set(e, rc, "curl ended with status %d", status);
}

bool
fetch_request_other_key(int status)
{
	return status == CURL_OTHER_KEY;
}
