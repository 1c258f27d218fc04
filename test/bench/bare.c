/* bare: what the agent's mbedTLS moves through TLS with nothing around it, the mark its tunnel is measured against.
 *
 *   bare serve ADDRESS PORT CERTIFICATE KEY      OpenSSL, one connection after the other
 *   bare connect ADDRESS PORT up|down SECONDS    mbedTLS, linked as the agent is; prints one line of JSON
 *
 * Full records over a blocking socket. Nobody is authenticated: only the record layer is measured.
 */
#include <arpa/inet.h>
#include <mbedtls/ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/gcm.h"
#include "base/mbed.h"

enum { RECORD_BYTES = 16384 };

static uint8_t record[RECORD_BYTES];

static void
die(const char *what)
{
	fprintf(stderr, "bare: %s\n", what);
	exit(EXIT_FAILURE);
}

static double
seconds_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in
address_of(const char *address, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	return a;
}

/* --- the peer ----------------------------------------------------------------------------------------------------- */

static void
serve_one(SSL_CTX *c, int fd)
{
	SSL *ssl = SSL_new(c);
	char way;

	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		die("a connection");
	if (SSL_accept(ssl) == 1 && SSL_read(ssl, &way, 1) == 1) {
		if (way == 'd') {
			while (SSL_write(ssl, record, RECORD_BYTES) > 0)
				;
		} else {
			while (SSL_read(ssl, record, RECORD_BYTES) > 0)
				;
		}
	}
	SSL_free(ssl);
	close(fd);
}

static int
serve(char *argv[])
{
	struct sockaddr_in a = address_of(argv[0], argv[1]);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, fd;
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	if (!c || SSL_CTX_use_certificate_chain_file(c, argv[2]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c, argv[3], SSL_FILETYPE_PEM) != 1)
		die("certificate or key");
	SSL_CTX_set_num_tickets(c, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
		die(argv[0]);
	printf("listening\n");
	fflush(stdout);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		serve_one(c, fd);
	return EXIT_FAILURE;
}

/* --- the library measured ----------------------------------------------------------------------------------------- */

static int
wire_send(void *ctx, const unsigned char *data, size_t len)
{
	return (int)send(*(int *)ctx, data, len, MSG_NOSIGNAL);
}

static int
wire_recv(void *ctx, unsigned char *data, size_t size)
{
	return (int)recv(*(int *)ctx, data, size, 0);
}

static void
configure(mbedtls_ssl_config *conf)
{
	static const int suites[] = {
	    0x1302 /* TLS 1.3, AES-256-GCM */,
	    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	    0,
	};

	mbedtls_ssl_config_init(conf);
	if (mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT))
		die("the TLS configuration");
	mbed_conf_versions(conf);
	mbed_conf_strength(conf);
	mbedtls_ssl_conf_ciphersuites(conf, suites);
	mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(conf, mbed_random, NULL);
}

/* Moves full records for so long; returns the bytes. */
static double
move(mbedtls_ssl_context *ssl, bool up, double seconds)
{
	double until = seconds_of(CLOCK_MONOTONIC) + seconds, bytes = 0;

	while (seconds_of(CLOCK_MONOTONIC) < until) {
		int n = up ? mbedtls_ssl_write(ssl, record, RECORD_BYTES) : mbedtls_ssl_read(ssl, record, RECORD_BYTES);

		if (n > 0)
			bytes += n;
		else if (!mbed_call_again(n))
			die("the connection broke");
	}
	return bytes;
}

static int
measure(char *argv[])
{
	struct sockaddr_in a = address_of(argv[0], argv[1]);
	bool up = !strcmp(argv[2], "up");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	double began, cpu, bytes;
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;

	if (crypto_start())
		die("the TLS library");
	gcm_start(NULL);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die(argv[0]);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	configure(&conf);
	mbedtls_ssl_init(&ssl);
	if (mbedtls_ssl_setup(&ssl, &conf) || mbedtls_ssl_set_hostname(&ssl, NULL))
		die("the TLS context");
	mbedtls_ssl_set_bio(&ssl, &fd, wire_send, wire_recv, NULL);
	if (mbedtls_ssl_handshake(&ssl) || mbedtls_ssl_write(&ssl, (const unsigned char *)(up ? "u" : "d"), 1) != 1)
		die("the handshake failed");
	began = seconds_of(CLOCK_MONOTONIC);
	cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	bytes = move(&ssl, up, strtod(argv[3], NULL));
	printf("{\"mbit\": %.1f, \"cpu\": %.3f, \"bytes\": %.0f, \"gcm\": \"%s\", \"suite\": \"%s\"}\n",
	       bytes * 8 / 1e6 / (seconds_of(CLOCK_MONOTONIC) - began), seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu,
	       bytes, gcm_name(), mbedtls_ssl_get_ciphersuite(&ssl));
	mbedtls_ssl_free(&ssl);
	mbedtls_ssl_config_free(&conf);
	crypto_stop();
	close(fd);
	return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 6 && !strcmp(argv[1], "serve"))
		return serve(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "connect") && (!strcmp(argv[4], "up") || !strcmp(argv[4], "down")))
		return measure(argv + 2);
	fprintf(stderr, "usage: bare serve ADDRESS PORT CERTIFICATE KEY | bare connect ADDRESS PORT up|down SECONDS\n");
	return 2;
}
