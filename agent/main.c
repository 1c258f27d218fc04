/* fgfmd: arguments, one instance, signals, the loop. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/privileges.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/gcm.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mbed.h"
#include "base/text.h"

#define DEFAULT_FILE SYSCONFDIR "/fgfmd/fgfmd.conf"

enum { EXIT_USAGE = 2 };

struct options {
	const char *file;
	unsigned mask;
	bool foreground, check, json;
};

static void
usage(FILE *f)
{
	fprintf(f, "usage: fgfmd [-c FILE] [-d LEVEL] [-f] [-t] [-V] [--log-format text|json]\n"
		   "\n"
		   "The fgfm agent: lets a FortiManager manage this appliance.\n"
		   "\n"
		   "  -c, --config FILE     bootstrap file (default " DEFAULT_FILE ")\n"
		   "  -d, --debug LEVEL     debug mask, 0 to 255, or -1 for everything:\n"
		   "                        1 errors, 2 session, 4 messages, 8 tunnel, 16 config,\n"
		   "                        32 channels, 64 packages, 128 packets\n"
		   "  -f, --foreground      stay in the foreground and log to stderr\n"
		   "  -t, --test            check every file that would be used, and exit 0 or 1\n"
		   "      --log-format FMT  events as text (default) or json\n"
		   "  -V, --version         print the version and exit\n"
		   "  -h, --help            print this and exit\n"
		   "\n"
		   "Manual: fgfmd(8), fgfmd.conf(5), fgfmctl(1)\n");
}

static int
parse_level(const char *text, unsigned *mask)
{
	int64_t level;

	if (text_i64(text, -1, DBG_ALL, &level)) {
		fprintf(stderr, "fgfmd: -d %s: a debug level of -1 to %d expected\n", text, DBG_ALL);
		return -EINVAL;
	}
	*mask = level < 0 ? DBG_ALL : (unsigned)level;
	return 0;
}

static int
parse_format(const char *text, bool *json)
{
	*json = !strcmp(text, "json");
	if (*json || !strcmp(text, "text"))
		return 0;
	fprintf(stderr, "fgfmd: --log-format %s: text or json expected\n", text);
	return -EINVAL;
}

static void
print_version(void)
{
	char tls[32];

	gcm_start(NULL); /* to name the one that would be in use on this machine */
	printf("fgfmd %s (mbed TLS %s, AES-GCM by %s)%s\n", VERSION, mbed_version(tls, sizeof(tls)), gcm_name(),
	       agent_has_monitor() ? "" : ", without monitoring");
}

/* -1: go on; otherwise the exit code. */
static int
parse_options(int argc, char *argv[], struct options *o)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},     {"debug", required_argument, NULL, 'd'},
	    {"foreground", no_argument, NULL, 'f'},       {"test", no_argument, NULL, 't'},
	    {"version", no_argument, NULL, 'V'},          {"help", no_argument, NULL, 'h'},
	    {"log-format", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:d:ftVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->file = optarg;
			break;
		case 'd':
			if (parse_level(optarg, &o->mask))
				return EXIT_USAGE;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 't':
			o->check = true;
			break;
		case 'l':
			if (parse_format(optarg, &o->json))
				return EXIT_USAGE;
			break;
		case 'V':
			print_version();
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "fgfmd: unexpected argument %s\n", argv[optind]);
	return EXIT_USAGE;
}

static void
print_line(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static int
check_files(const char *file)
{
	unsigned errors;

	if (crypto_start()) {
		fprintf(stderr, "fgfmd: the TLS library cannot be started\n");
		return EXIT_FAILURE;
	}
	errors = agent_check(file, print_line, NULL);
	crypto_stop();
	if (errors)
		fprintf(stderr, "%s: %u error%s\n", file, errors, errors == 1 ? "" : "s");
	else
		printf("%s and the files it names are in order\n", file);
	return errors ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- into the background ------------------------------------------------------------------------------------------ */

/* The parent waits until the child says that it is ready, so that whoever starts the daemon sees a failure. Returns the
 * descriptor to say so on, -1 in the foreground. */
static int
go_background(void)
{
	int ready[2], null;
	char said = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ready[1]);
		if (read(ready[0], &said, 1) == 1)
			_exit(EXIT_SUCCESS);
		_exit(EXIT_FAILURE);
	}
	close(ready[0]);
	setsid();
	if (chdir("/"))
		return -errno;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		/* stderr stays until the start is through: that is where a failure is said */
	}
	return ready[1];
}

static void
say_ready(int ready)
{
	if (ready < 0)
		return;
	dup2(STDIN_FILENO, STDERR_FILENO);
	if (write(ready, "r", 1) != 1)
		log_say(LOG_LEVEL_WARNING, "whoever started the daemon is gone");
	close(ready);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

static void
on_signal(void *ctx, int signo)
{
	struct agent **a = ctx;

	switch (signo) {
	case SIGHUP:
		agent_reload(*a);
		break;
	case SIGCHLD:
		/* the program of reboot-command; handlers have groups of their own, and are waited for where they are
		 * ended */
		while (waitpid(0, NULL, WNOHANG) > 0)
			;
		break;
	default:
		agent_stop(*a);
		break;
	}
}

/* Blocked before the agent is made, delivered once the loop runs: none is lost in between. */
static int
take_signals(struct loop *l, struct agent **a)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		int rc = loop_signal(l, signals[i], on_signal, a);

		if (rc)
			return rc;
	}
	return 0;
}

static int
serve(const struct options *o, int ready)
{
	struct agent *a = NULL;
	struct loop *l;
	struct err e = ERR_NONE;
	int rc;

	l = loop_new(&e);
	rc = l ? take_signals(l, &a) : e.code;
	if (l && rc)
		err_sys(&e, rc, "signals");
	if (!rc)
		rc = agent_new(l, o->file, print_line, &a, &e);
	if (rc) {
		fprintf(stderr, "fgfmd: %s\n", e.text);
		if (!o->foreground)
			log_say(LOG_LEVEL_CRITICAL, "%s", e.text);
	} else {
		say_ready(ready);
		rc = loop_run(l);
	}
	agent_free(a);
	loop_free(l);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
	struct options o = {.file = DEFAULT_FILE};
	char absolute[4096];
	struct err e = ERR_NONE;
	int rc = parse_options(argc, argv, &o), ready = -1;

	if (rc >= 0)
		return rc;
	if (o.check)
		return check_files(o.file);
	if (realpath(o.file, absolute))
		o.file = absolute; /* read again on SIGHUP, after the working directory has changed */
	if (!o.foreground) {
		ready = go_background();
		if (ready < 0) {
			fprintf(stderr, "fgfmd: going to the background: %s\n", strerror(-ready));
			return EXIT_FAILURE;
		}
	}
	signal(SIGPIPE, SIG_IGN); /* the TLS library writes to sockets the peer may have closed */
	log_open("fgfmd", o.foreground, o.json);
	log_set_mask(o.mask);
	if (privileges_limit(&e)) {
		fprintf(stderr, "fgfmd: %s\n", e.text);
		return EXIT_FAILURE;
	}
	if (crypto_start()) {
		fprintf(stderr, "fgfmd: the TLS library cannot be started\n");
		return EXIT_FAILURE;
	}
	if (gcm_start(&e))
		log_say(LOG_LEVEL_WARNING, "AES-GCM is computed by mbed TLS, slower: %s", e.text);
	rc = serve(&o, ready);
	crypto_stop();
	return rc;
}
