/* manager: the manager's end of a tunnel, fast enough not to be the bottleneck of the benchmark.
 *
 * OpenSSL, its own framing and its own TUN tricks; it shares no code with the agent. It takes one device at a time (a
 * new connection takes the place of the old one), registers it, answers what a session needs to stay up, and carries
 * packets. What it is told it believes: the lab manager is the one that judges.
 *
 * Lines on standard output: "listening", "handshake VERSION SUITE", "ready", "over WHY". SIGUSR1 resets the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/offload.h"

/* linux/if_tun.h before 6.2 lacks them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	FRAME_HEADER = 8,
	FRAME_MAX = 65536 + 4096 + FRAME_HEADER,
	TYPE_MESSAGE = 0,
	TYPE_PACKET = 1,
	RECORD_MAX = 16384,
	IN_SIZE = 512 * 1024,
	OUT_SIZE = 512 * 1024,
	OUT_FULL = 96 * 1024, /* plain text waiting at which the TUN is not read */
};

struct options {
	const char *listen, *certificate, *key, *ca, *tun, *serial, *fmg_ip, *device_ip;
};

struct manager {
	struct options o;
	SSL_CTX *tls;
	int listener, signals, tun;
	struct offload_join *join;
	/* the connection; conn is -1 without one */
	int conn;
	SSL *ssl;
	bool up;     /* the handshake is complete */
	bool ready;  /* the device knows its address: packets may pass */
	bool wanted; /* OpenSSL waits for room in the socket */
	uint8_t *in, *out;
	size_t in_used, out_at, out_used;
};

static void
die(const char *what)
{
	fprintf(stderr, "manager: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(EXIT_FAILURE);
}

__attribute__((format(printf, 1, 2))) static void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* --- setting up --------------------------------------------------------------------------------------------------- */

static int
open_tun(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), header = sizeof(struct virtio_net_hdr);
	const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &header))
		die("TUN device");
	if (ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) && ioctl(fd, TUNSETOFFLOAD, tcp))
		die("offloads of the TUN device");
	return fd;
}

static int
open_listener(const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(541)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, 8))
		die(address);
	return fd;
}

static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static SSL_CTX *
make_tls(const struct options *o)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	if (!c || SSL_CTX_use_certificate_chain_file(c, o->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c, o->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(c, o->ca, NULL) != 1)
		die("certificate, key or CA");
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_num_tickets(c, 0);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* many records a system call */
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_default_read_buffer_len(c, 256 * 1024);
	return c;
}

/* --- one connection ----------------------------------------------------------------------------------------------- */

static void
hang_up(struct manager *m, const char *why, bool reset)
{
	struct linger now = {.l_onoff = 1};

	if (m->conn < 0)
		return;
	say("over %s", why);
	if (reset)
		setsockopt(m->conn, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	SSL_free(m->ssl);
	ERR_clear_error();
	close(m->conn);
	m->conn = -1;
	m->ssl = NULL;
	m->up = m->ready = m->wanted = false;
	m->in_used = m->out_at = m->out_used = 0;
}

static void
take_connection(struct manager *m)
{
	int fd = accept4(m->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1, lowat = 128 * 1024;
	BIO *buffer, *wire;

	if (fd < 0)
		return;
	hang_up(m, "a new connection", false);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	m->conn = fd;
	m->ssl = SSL_new(m->tls);
	wire = BIO_new_socket(fd, BIO_NOCLOSE);
	buffer = BIO_new(BIO_f_buffer());
	if (!m->ssl || !wire || !buffer || !BIO_set_write_buffer_size(buffer, 256 * 1024))
		die("a connection");
	/* reading straight from the socket, writing through a buffer that is flushed once a turn */
	BIO_up_ref(wire);
	SSL_set_bio(m->ssl, wire, BIO_push(buffer, wire));
	SSL_set_accept_state(m->ssl);
}

/* What a negative or zero return means. True while the connection lives. */
static bool
lives_on(struct manager *m, int rc)
{
	switch (SSL_get_error(m->ssl, rc)) {
	case SSL_ERROR_WANT_WRITE:
		m->wanted = true;
		return true;
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_ZERO_RETURN:
		hang_up(m, "closed by the device", false);
		return false;
	default:
		hang_up(m, "TLS or the connection failed", false);
		return false;
	}
}

static void
put_header(uint8_t *at, uint8_t type, size_t body)
{
	uint32_t length = htonl((uint32_t)(body + FRAME_HEADER));

	at[0] = 0x36;
	at[1] = 0xe0;
	at[2] = 0x11;
	at[3] = type;
	memcpy(at + 4, &length, 4);
}

static void
put_packet_header(uint8_t *at, size_t len)
{
	put_header(at, TYPE_PACKET, len);
}

/* Text with the NUL that ends a message. */
static void
put_message(struct manager *m, const char *text)
{
	size_t len = strlen(text) + 1;

	if (m->out_used + FRAME_HEADER + len > OUT_SIZE)
		return;
	put_header(m->out + m->out_used, TYPE_MESSAGE, len);
	memcpy(m->out + m->out_used + FRAME_HEADER, text, len);
	m->out_used += FRAME_HEADER + len;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void
on_get_ip(struct manager *m)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "reply 200\r\noverwrite_fmgid=1\r\nrequest=ip\r\nip=%s\r\nmgmtid=247331677\r\nregister_status=1\r\n"
		 "fmg_ip=%s\r\nkeepalive_interval=120\r\nchan_window_sz=32768\r\nsock_timeout=360\r\n\r\n",
		 m->o.device_ip, m->o.fmg_ip);
	put_message(m, text);
	m->ready = true;
	say("ready");
}

static void
on_message(struct manager *m, const char *text)
{
	char reply[256];

	if (!strncmp(text, "get auth", 8)) {
		snprintf(reply, sizeof(reply),
			 "reply 200\r\nrequest=auth\r\nserialno=%s\r\nkeepalive_interval=120\r\n"
			 "chan_window_sz=32768\r\nsock_timeout=360\r\n\r\n",
			 m->o.serial);
		put_message(m, reply);
	} else if (!strncmp(text, "get ip", 6)) {
		on_get_ip(m);
	} else if (!strncmp(text, "keepalive", 9)) {
		put_message(m, "reply 200\r\nrequest=keepalive\r\n\r\n");
	}
}

/* --- both ways ---------------------------------------------------------------------------------------------------- */

/* Every whole frame of m->in. Returns the bytes used, or -1 for what is no frame. */
static ssize_t
take_frames(struct manager *m)
{
	size_t at = 0;
	uint32_t length;

	while (m->in_used - at >= FRAME_HEADER) {
		uint8_t *p = m->in + at;

		memcpy(&length, p + 4, 4);
		length = ntohl(length);
		if (p[0] != 0x36 || p[1] != 0xe0 || p[2] != 0x11 || length <= FRAME_HEADER || length > FRAME_MAX)
			return -1;
		if (m->in_used - at < length)
			break;
		if (p[3] == TYPE_PACKET)
			offload_join_add(m->join, p + FRAME_HEADER, length - FRAME_HEADER);
		else if (p[length - 1] == '\0')
			on_message(m, (const char *)p + FRAME_HEADER);
		at += length;
	}
	return (ssize_t)at;
}

/* Reads up to a buffer full. Returns true when more may be waiting inside OpenSSL. */
static bool
read_some(struct manager *m)
{
	ssize_t used;
	int n = 1;

	while (m->in_used + RECORD_MAX <= IN_SIZE / 2 || m->in_used < FRAME_MAX) {
		n = SSL_read(m->ssl, m->in + m->in_used, RECORD_MAX);
		if (n <= 0)
			break;
		m->in_used += (size_t)n;
	}
	used = take_frames(m);
	offload_join_flush(m->join);
	if (used < 0) {
		hang_up(m, "what came is no frame", false);
		return false;
	}
	memmove(m->in, m->in + used, m->in_used - (size_t)used);
	m->in_used -= (size_t)used;
	if (n <= 0)
		lives_on(m, n);
	return n > 0;
}

static void
read_tun(struct manager *m)
{
	static uint8_t packet[sizeof(struct virtio_net_hdr) + OFFLOAD_PACKET_MAX];
	struct virtio_net_hdr *h = (struct virtio_net_hdr *)packet;
	ssize_t n;

	while (m->out_used < OUT_FULL && (n = read(m->tun, packet, sizeof(packet))) > (ssize_t)sizeof(*h)) {
		if (!m->ready)
			continue;
		m->out_used += offload_cut(h, packet + sizeof(*h), (size_t)n - sizeof(*h), m->out + m->out_used,
					   OUT_SIZE - m->out_used, FRAME_HEADER, put_packet_header);
	}
}

static void
write_some(struct manager *m)
{
	int n;

	m->wanted = false;
	while (m->out_at < m->out_used) {
		size_t len = m->out_used - m->out_at;

		n = SSL_write(m->ssl, m->out + m->out_at, (int)(len < RECORD_MAX ? len : RECORD_MAX));
		if (n <= 0) {
			lives_on(m, n);
			return;
		}
		m->out_at += (size_t)n;
	}
	m->out_at = m->out_used = 0;
	if (BIO_flush(SSL_get_wbio(m->ssl)) <= 0) {
		m->wanted = BIO_should_retry(SSL_get_wbio(m->ssl));
		if (!m->wanted)
			hang_up(m, "the connection failed", false);
	}
}

static void
shake_hands(struct manager *m)
{
	int rc = SSL_accept(m->ssl);

	m->wanted = false;
	if (rc != 1) {
		if (lives_on(m, rc))
			BIO_flush(SSL_get_wbio(m->ssl));
		return;
	}
	m->up = true;
	say("handshake %s %s", SSL_get_version(m->ssl), SSL_get_cipher(m->ssl));
	write_some(m);
}

/* One turn for what poll() found. Returns whether to come back without waiting. */
static bool
turn(struct manager *m, const struct pollfd *p)
{
	bool more = false;

	if (p[0].revents)
		take_connection(m);
	else if (m->conn >= 0 && !m->up)
		shake_hands(m);
	if (m->conn >= 0 && m->up)
		more = read_some(m);
	if (p[2].revents & POLLIN)
		read_tun(m);
	if (m->conn >= 0 && m->up)
		write_some(m);
	return more;
}

static int
serve(struct manager *m)
{
	bool more = false;

	for (;;) {
		struct pollfd p[] = {
		    {.fd = m->listener, .events = POLLIN},
		    {.fd = m->conn, .events = POLLIN},
		    {.fd = m->tun, .events = POLLIN},
		    {.fd = m->signals, .events = POLLIN},
		};
		struct signalfd_siginfo s;

		if (m->wanted)
			p[1].events |= POLLOUT;
		if (m->wanted || m->out_used >= OUT_FULL)
			p[2].events = 0;
		if (poll(p, 4, more ? 0 : -1) < 0 && errno != EINTR)
			die("poll");
		if (p[3].revents && read(m->signals, &s, sizeof(s)) == sizeof(s)) {
			if (s.ssi_signo != SIGUSR1)
				return EXIT_SUCCESS;
			hang_up(m, "told to", true);
			continue;
		}
		more = turn(m, p);
	}
}

/* 0, or the exit code. */
static int
parse_options(int argc, char *argv[], struct options *o)
{
	const struct {
		const char *name, **value;
	} words[] = {
	    {"listen", &o->listen}, {"cert", &o->certificate}, {"key", &o->key},       {"ca", &o->ca},
	    {"tun", &o->tun},       {"serial", &o->serial},    {"fmg-ip", &o->fmg_ip}, {"device-ip", &o->device_ip},
	};
	enum { WORDS = sizeof(words) / sizeof(words[0]) };
	struct option longs[WORDS + 1] = {0};
	int c, which;

	for (size_t i = 0; i < WORDS; i++)
		longs[i] = (struct option){words[i].name, required_argument, NULL, 0};
	while ((c = getopt_long(argc, argv, "", longs, &which)) != -1) {
		if (c)
			return 2;
		*words[which].value = optarg;
	}
	for (size_t i = 0; i < WORDS; i++) {
		if (!*words[i].value) {
			fprintf(stderr, "manager: --%s is missing\n", words[i].name);
			return 2;
		}
	}
	return 0;
}

int
main(int argc, char *argv[])
{
	static struct manager m = {.conn = -1};
	int rc = parse_options(argc, argv, &m.o);

	if (rc)
		return rc;
	m.signals = open_signals();
	m.tls = make_tls(&m.o);
	m.tun = open_tun(m.o.tun);
	m.listener = open_listener(m.o.listen);
	m.join = offload_join_new(m.tun);
	m.in = malloc(IN_SIZE);
	m.out = malloc(OUT_SIZE);
	if (m.signals < 0 || !m.join || !m.in || !m.out)
		die("start");
	say("listening");
	return serve(&m);
}
