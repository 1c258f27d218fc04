/* traffic: what the benchmark sends through tunnels, and whether all of it came, once and in order.
 *
 *   traffic udp-send ADDRESS PORT BYTES SECONDS FLOWS RATE   numbered IP packets, RATE a second; 0: all it can
 *   traffic udp-recv PORT FLOWS                              until one second after the last of them
 *   traffic tcp-send ADDRESS PORT SECONDS                    a stream of known bytes
 *   traffic tcp-recv PORT                                    until its end; each byte is compared
 *
 * Receivers print "listening" when they are; at its end each prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	STEP_NS = 200000,
	BATCH = 32,
	PACKET_MAX = 9000,
	IP_UDP_HEADERS = 28,
	FLOWS_MAX = 64,
	WAKE_UPS = 4,
	STREAM_CHUNK = 128 * 1024
};

/* At the beginning of every datagram. */
struct mark {
	uint32_t flow;
	uint32_t reserved;
	uint64_t number; /* within its flow, from 1 */
};

static void
die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long
number(const char *text, long least, long most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || n < least || n > most) {
		fprintf(stderr, "traffic: %s: %ld to %ld expected\n", text, least, most);
		exit(2);
	}
	return n;
}

static int
open_socket(int type, const char *address, const char *port, bool connects)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(port, 1, 65535))};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1, large = 8 << 20;

	if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* a datagram that is lost shall be the tunnel's loss, not that of a full socket */
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, connects ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &large, sizeof(large));
	if (connects ? connect(fd, (struct sockaddr *)&a, sizeof(a)) : bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die(address);
	return fd;
}

/* --- datagrams ---------------------------------------------------------------------------------------------------- */

/* The rate, exceeded in no step of STEP_NS: who was kept from a processor does not make up for it in a burst, which
 * would be another load. */
struct pace {
	double rate; /* packets a second; 0: as many as go */
	double last; /* when `due` was right */
	double due;  /* packets that may be sent */
};

static unsigned
may_send(struct pace *p)
{
	double now = now_s(), most = 1 + 2 * p->rate * STEP_NS / 1e9;

	if (!p->rate)
		return BATCH;
	p->due += (now - p->last) * p->rate;
	p->due = p->due < most ? p->due : most;
	p->last = now;
	return p->due < BATCH ? (unsigned)p->due : BATCH;
}

static int
udp_send(char *argv[])
{
	static uint8_t data[BATCH][PACKET_MAX];
	long bytes = number(argv[2], IP_UDP_HEADERS + (long)sizeof(struct mark), PACKET_MAX);
	long seconds = number(argv[3], 1, 3600), flows = number(argv[4], 1, FLOWS_MAX),
	     rate = number(argv[5], 0, 10000000);
	int fd = open_socket(SOCK_DGRAM, argv[0], argv[1], true);
	struct mmsghdr messages[BATCH] = {0};
	struct iovec v[BATCH];
	uint64_t sent = 0;
	double began = now_s();
	struct pace pace = {(double)rate, began, 0};

	while (now_s() - began < (double)seconds) {
		unsigned n = 0, may = may_send(&pace);
		int rc;

		for (; n < may; n++) {
			struct mark mark = {(uint32_t)((sent + n) % (uint64_t)flows), 0,
					    (sent + n) / (uint64_t)flows + 1};

			memcpy(data[n], &mark, sizeof(mark));
			v[n] = (struct iovec){data[n], (size_t)(bytes - IP_UDP_HEADERS)};
			messages[n].msg_hdr.msg_iov = &v[n];
			messages[n].msg_hdr.msg_iovlen = 1;
		}
		rc = n ? sendmmsg(fd, messages, n, 0) : 0;
		if (rc > 0) {
			sent += (uint64_t)rc;
			pace.due -= rc;
		} else if (!n || errno == ENOBUFS || errno == EAGAIN) {
			nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
		} else {
			die("sending");
		}
	}
	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.6f}\n", sent, now_s() - began);
	return EXIT_SUCCESS;
}

struct count {
	uint64_t received, behind, foreign, bytes;
	double first, last;
	uint64_t highest[FLOWS_MAX];
};

static void
count_packet(struct count *c, const uint8_t *data, size_t len, long flows)
{
	struct mark mark;

	memcpy(&mark, data, sizeof(mark));
	if (len < sizeof(mark) || mark.flow >= (uint32_t)flows) {
		c->foreign++;
		return;
	}
	c->received++;
	c->bytes += len + IP_UDP_HEADERS;
	if (mark.number <= c->highest[mark.flow])
		c->behind++;
	else
		c->highest[mark.flow] = mark.number;
}

static int
udp_recv(char *argv[])
{
	static uint8_t data[BATCH][PACKET_MAX];
	long flows = number(argv[1], 1, FLOWS_MAX);
	int fd = open_socket(SOCK_DGRAM, "0.0.0.0", argv[0], false);
	struct timeval quiet = {.tv_sec = 1};
	struct mmsghdr messages[BATCH] = {0};
	struct iovec v[BATCH];
	struct count c = {0};
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){data[i], sizeof(data[i])};
		messages[i].msg_hdr.msg_iov = &v[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	printf("listening\n");
	fflush(stdout);
	while ((n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL)) > 0) {
		if (!c.received) {
			c.first = now_s();
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet));
		}
		c.last = now_s();
		for (int i = 0; i < n; i++)
			count_packet(&c, data[i], messages[i].msg_len, flows);
	}
	printf("{\"received\": %" PRIu64 ", \"behind\": %" PRIu64 ", \"foreign\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"seconds\": %.6f}\n",
	       c.received, c.behind, c.foreign, c.bytes, c.last - c.first);
	return EXIT_SUCCESS;
}

/* --- a stream ----------------------------------------------------------------------------------------------------- */

/* The stream's next bytes: both ends make the same (Marsaglia's xorshift). */
static void
make_bytes(uint64_t *state, uint64_t *out, size_t words)
{
	uint64_t x = *state;

	for (size_t i = 0; i < words; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = x;
	}
	*state = x;
}

static int
tcp_send(char *argv[])
{
	static uint64_t words[STREAM_CHUNK / 8];
	long seconds = number(argv[2], 1, 24 * 3600);
	int fd = open_socket(SOCK_STREAM, argv[0], argv[1], true);
	uint64_t state = 1, sent = 0;
	double began = now_s();

	while (now_s() - began < (double)seconds) {
		make_bytes(&state, words, STREAM_CHUNK / 8);
		for (size_t at = 0; at < STREAM_CHUNK;) {
			ssize_t n = send(fd, (uint8_t *)words + at, STREAM_CHUNK - at, MSG_NOSIGNAL);

			if (n < 0)
				die("sending");
			at += (size_t)n;
		}
		sent += STREAM_CHUNK;
	}
	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.6f}\n", sent, now_s() - began);
	return EXIT_SUCCESS;
}

static int
tcp_recv(char *argv[])
{
	static uint64_t want[STREAM_CHUNK / 8], got[STREAM_CHUNK / 8];
	int listener = open_socket(SOCK_STREAM, "0.0.0.0", argv[0], false), fd;
	uint64_t state = 1, received = 0;
	size_t at = 0;
	ssize_t n;

	if (listen(listener, 1))
		die("listening");
	printf("listening\n");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accepting");
	while ((n = recv(fd, (uint8_t *)got + at, STREAM_CHUNK - at, 0)) > 0) {
		received += (uint64_t)n;
		at += (size_t)n;
		if (at < STREAM_CHUNK)
			continue;
		make_bytes(&state, want, STREAM_CHUNK / 8);
		if (memcmp(want, got, STREAM_CHUNK)) {
			printf("{\"received\": %" PRIu64 ", \"intact\": false}\n", received);
			return EXIT_FAILURE;
		}
		at = 0;
	}
	printf("{\"received\": %" PRIu64 ", \"intact\": %s}\n", received, n || at ? "false" : "true");
	return n || at ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

/* Passes on what it reads, until there is no more. */
static void
pass_on(int from, int to)
{
	char c;

	while (read(from, &c, 1) == 1 && write(to, &c, 1) == 1)
		;
	_exit(EXIT_SUCCESS);
}

/* Another process of the ring: it reads from `from`, and what it passes on can be read from the result. */
static int
lengthen_ring(int from, int begin)
{
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(begin);
		close(fd[0]);
		pass_on(from, fd[1]);
	}
	close(from);
	close(fd[1]);
	return fd[0];
}

/* A byte around a ring of WAKE_UPS processes, each of which sleeps until it comes: what a round trip through two ends
 * of a tunnel waits for, were nothing done there. */
static int
wake(char *argv[])
{
	long count = number(argv[0], 1, 1000000), interval_us = number(argv[1], 0, 1000000);
	int fd[2], from;
	double spent = 0;
	char c = 0;

	if (pipe(fd))
		die("pipe");
	from = fd[0];
	for (int i = 1; i < WAKE_UPS; i++)
		from = lengthen_ring(from, fd[1]);
	for (long i = 0; i < count; i++) {
		double began = now_s();

		if (write(fd[1], &c, 1) != 1 || read(from, &c, 1) != 1)
			die("the ring");
		spent += now_s() - began;
		usleep((useconds_t)interval_us);
	}
	close(fd[1]);
	while (wait(NULL) > 0)
		;
	printf("{\"us\": %.1f}\n", spent * 1e6 / (double)count);
	return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		int words;
		int (*run)(char *argv[]);
	} modes[] = {
	    {"udp-send", 6, udp_send}, {"udp-recv", 2, udp_recv}, {"tcp-send", 3, tcp_send},
	    {"tcp-recv", 1, tcp_recv}, {"wake", 2, wake},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(argv[1], modes[i].name) && argc == modes[i].words + 2)
			return modes[i].run(argv + 2);
	}
	fprintf(stderr, "usage: traffic udp-send ADDRESS PORT BYTES SECONDS FLOWS RATE | udp-recv PORT FLOWS |\n"
			"               tcp-send ADDRESS PORT SECONDS | tcp-recv PORT | wake COUNT INTERVAL-US\n");
	return 2;
}
