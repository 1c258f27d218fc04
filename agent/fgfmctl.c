/* fgfmctl: the operator's tool: one command, a script, or a shell with history and completion. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cli_show.h"
#include "agent/control_wire.h"
#include "agent/ctl_package.h"
#include "agent/ctl_prompt.h"
#include "agent/settings.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "config/codes.h"
#include "config/schema.h"
#include "config/script.h"
#include "trustlist/trustlist.h"

#define DEFAULT_SOCKET "/run/fgfmd/fgfmd.sock"
#define DEFAULT_BOOTSTRAP SYSCONFDIR "/fgfmd/fgfmd.conf"
#define DEFAULT_STATE "/var/lib/fgfmd"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 3, HISTORY_LINES = 500, READ_CHUNK = 16384 };

struct ctl {
	const char *socket, *script, *bootstrap;
	bool json, offline;
	struct ctl_prompt questions;
	int interrupt;  /* a signalfd that tells of Ctrl-C; -1: it ends the program */
	bool cancelled; /* the command that goes on */
	int fd;
	struct buf in;
	char prompt[128];
	bool incomplete;  /* the last line ended inside a quote */
	struct buf words; /* the last answer to a completion */
	EditLine *el;     /* NULL unless it is the shell */
};

static void
usage(FILE *f)
{
	fprintf(f, "usage: fgfmctl [--socket PATH] [--json] COMMAND...\n"
		   "       fgfmctl [--socket PATH] [--json] -f FILE\n"
		   "       fgfmctl [--socket PATH]\n"
		   "       fgfmctl [--config FILE] [--json] trust-list --offline\n"
		   "       fgfmctl [--config FILE] [--json] package verify FILE [--explain]\n"
		   "       fgfmctl [--json] package list FILE\n"
		   "       fgfmctl [--config FILE] [--json] package export|import FOLDER\n"
		   "\n"
		   "Sends one command to fgfmd, runs a script of commands, or is a shell.\n"
		   "\n"
		   "  -s, --socket PATH  control socket (default " DEFAULT_SOCKET ")\n"
		   "  -f, --file FILE    run the commands of a file; goes on after a failing one\n"
		   "  -j, --json         print JSON with stable keys\n"
		   "  -c, --config FILE  bootstrap file, for --offline and package\n"
		   "                     (default " DEFAULT_BOOTSTRAP ")\n"
		   "      --offline      read the file of the trusted list; no daemon is needed\n"
		   "      --yes          overwrite packages without being asked\n"
		   "      --accept-unsigned  take unsigned ones where the security level lets one choose\n"
		   "  -V, --version      print the version and exit\n"
		   "  -h, --help         print this and exit\n"
		   "\n"
		   "Often used:\n"
		   "  fgfmctl diagnose fdsm central-mgmt-status   is the manager connected, and why not\n"
		   "  fgfmctl diagnose fgfm install-session       a pending install and the last receipt\n"
		   "  fgfmctl trust-list                          whom this device yields to\n"
		   "  fgfmctl package verify FILE --explain       is a package signed; needs no daemon\n"
		   "  fgfmctl show system interface\n"
		   "\n"
		   "Exit: 0 done, 1 the command failed, 2 bad usage, 3 no daemon. Manual: fgfmctl(1)\n");
}

/* --- the socket --------------------------------------------------------------------------------------------------- */

static int
connect_daemon(struct ctl *c)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (strlen(c->socket) >= sizeof(un.sun_path)) {
		fprintf(stderr, "fgfmctl: --socket %s: at most %zu characters expected\n", c->socket,
			sizeof(un.sun_path) - 1);
		return EXIT_USAGE;
	}
	memcpy(un.sun_path, c->socket, strlen(c->socket) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&un, sizeof(un))) {
		fprintf(stderr, "fgfmctl: no daemon at %s: %s\n", c->socket, strerror(errno));
		return EXIT_NO_DAEMON;
	}
	return EXIT_DONE;
}

static int
send_piece(struct ctl *c, enum control_type type, const void *data, size_t len)
{
	struct buf b = BUF_INIT(CONTROL_COMMAND_MAX + CONTROL_HEAD);
	int rc = control_put(&b, type, data, len);

	if (!rc)
		rc = file_write_all(c->fd, buf_head(&b), b.len);
	buf_free(&b);
	return rc;
}

static int
send_descriptor(struct ctl *c, int fd)
{
	uint8_t head[CONTROL_HEAD] = {CONTROL_FILE};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {.iov_base = head, .iov_len = sizeof(head)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	return sendmsg(c->fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(head) ? 0 : -errno;
}

static int
send_answer(struct ctl *c, enum ctl_answer a)
{
	uint8_t piece[1 + PACKAGES_DIGEST] = {a == CTL_YES};

	memcpy(piece + 1, c->questions.digest, PACKAGES_DIGEST);
	return a == CTL_WAITS ? 0 : send_piece(c, CONTROL_ANSWER, piece, sizeof(piece));
}

/* Ctrl-C asks the daemon to end the command; when that does not answer, the second one ends the shell. */
static int
cancel(struct ctl *c)
{
	struct signalfd_siginfo info;

	if (read(c->interrupt, &info, sizeof(info)) < 0)
		return -errno;
	ctl_prompt_drop(&c->questions);
	if (c->cancelled)
		return -EINTR;
	c->cancelled = true;
	return send_piece(c, CONTROL_CANCEL, "", 0);
}

/* Until the daemon says something. Meanwhile the operator may answer its question, or cancel. */
static int
wait_daemon(struct ctl *c)
{
	int rc = 0;

	while (!rc) {
		struct pollfd fds[] = {
		    {.fd = c->fd, .events = POLLIN},
		    {.fd = c->questions.open ? STDIN_FILENO : -1, .events = POLLIN},
		    {.fd = c->interrupt, .events = POLLIN},
		};

		if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
			rc = errno == EINTR ? 0 : -errno;
		else if (fds[0].revents)
			return 0; /* it may have given up to wait */
		else if (fds[2].revents)
			rc = cancel(c);
		else if (fds[1].revents)
			rc = send_answer(c, ctl_prompt_read(&c->questions));
	}
	return rc;
}

/* The next piece, waiting for it. The body stays valid until the next call. */
static int
next_piece(struct ctl *c, enum control_type *type, const uint8_t **body, size_t *len, size_t *whole)
{
	for (;;) {
		long n = control_piece(buf_head(&c->in), c->in.len, CONTROL_PIECE_MAX, type, body, len);
		char chunk[READ_CHUNK];
		ssize_t got;
		int rc;

		if (n < 0)
			return -EPROTO;
		if (n > 0) {
			*whole = (size_t)n;
			return 0;
		}
		rc = wait_daemon(c);
		if (rc)
			return rc;
		got = read(c->fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EPIPE;
		if (buf_put(&c->in, chunk, (size_t)got))
			return -ENOMEM;
	}
}

/* --- files named in a command ------------------------------------------------------------------------------------- */

/* A copy of whatever it is (a FIFO, a terminal) in memory, so that it cannot stall the daemon. */
static int
copy_to_memory(int from, int to)
{
	char chunk[READ_CHUNK];
	size_t total = 0;
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) > 0) {
		total += (size_t)n;
		if (total > CONFIG_MAX_BYTES)
			return -EFBIG;
		if (file_write_all(to, chunk, (size_t)n))
			return -EIO;
	}
	return n < 0 ? -errno : 0;
}

static int
open_input(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), memory, rc;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	memory = memfd_create("fgfmctl", MFD_CLOEXEC);
	rc = memory < 0 ? -errno : copy_to_memory(fd, memory);
	close(fd);
	if (rc && memory >= 0)
		close(memory);
	return rc ? rc : memory;
}

/* The word of the typed command that names the file: the client opens only what its user has typed. */
static char *
typed_word(const char *command, size_t word)
{
	struct script *s = NULL;
	char *path = NULL;

	if (!script_parse_line(command, strlen(command), &s, NULL) && script_count(s) && word < script_at(s, 0)->argc)
		path = strdup(script_at(s, 0)->argv[word]);
	script_free(s);
	return path;
}

/* A file that is written: the daemon fills memory, and this process, as its user, the file. */
static int
save_output(int memory, const char *path)
{
	struct err e = ERR_NONE;
	char *text = NULL;
	size_t len;
	int rc = file_read_fd(memory, path, CONFIG_MAX_BYTES, &text, &len, &e);

	if (!rc)
		rc = file_replace(path, text, len, 0600, NULL, &e);
	if (rc)
		fprintf(stderr, "fgfmctl: %s\n", e.text);
	free(text);
	return rc;
}

struct pending_file {
	int memory; /* -1: none is written */
	char *path;
};

static int
give_file(struct ctl *c, const char *command, const uint8_t *p, size_t len, struct pending_file *out)
{
	bool write = len == 3 && p[0];
	char *path = len == 3 ? typed_word(command, (size_t)(p[1] << 8 | p[2])) : NULL;
	int fd = -EINVAL, rc;

	if (path)
		fd = write ? memfd_create("fgfmctl", MFD_CLOEXEC) : open_input(path);
	if (fd < 0) {
		fprintf(stderr, "fgfmctl: %s: %s\n", path ? path : "file", strerror(-fd));
		free(path);
		return send_piece(c, CONTROL_NO_FILE, "", 0);
	}
	rc = send_descriptor(c, fd);
	if (write && !out->path) {
		out->memory = fd;
		out->path = path;
		return rc;
	}
	close(fd);
	free(path);
	return rc;
}

/* --- one command -------------------------------------------------------------------------------------------------- */

static int
take_result(struct ctl *c, const uint8_t *p, size_t len)
{
	const char *prompt, *reason;
	int code;

	if (len < 7 || p[len - 1])
		return CLI_FAILED;
	code = (int)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
	prompt = (const char *)p + 5;
	reason = prompt + strlen(prompt) + 1;
	if (reason >= (const char *)p + len)
		reason = "";
	snprintf(c->prompt, sizeof(c->prompt), "%s", prompt);
	c->incomplete = p[4] != 0;
	if (code && !c->incomplete)
		fprintf(stderr, "%s\nCommand fail. Return code %d\n", *reason ? reason : "failed", code);
	return code;
}

/* Waits for the answer to a command; everything that comes before it is shown. The code, or -errno as *lost. */
static int
wait_result(struct ctl *c, const char *command, int *lost)
{
	struct pending_file file = {.memory = -1};
	int code = CLI_FAILED;
	bool done = false;

	*lost = 0;
	while (!done && !*lost) {
		enum control_type type;
		const uint8_t *p;
		size_t len, whole;

		*lost = next_piece(c, &type, &p, &len, &whole);
		if (*lost)
			break;
		if (type == CONTROL_PROGRESS)
			ctl_prompt_progress(&c->questions, p, len);
		else
			ctl_prompt_clear(&c->questions);
		if (type == CONTROL_OUTPUT) {
			fwrite(p, 1, len, stdout);
		} else if (type == CONTROL_DEBUG) {
			printf("%.*s\n", (int)len, (const char *)p);
		} else if (type == CONTROL_WANT_FILE) {
			*lost = give_file(c, command, p, len, &file);
		} else if (type == CONTROL_ASK) {
			*lost = send_answer(c, ctl_prompt_ask(&c->questions, p, len));
		} else if (type == CONTROL_RESULT) {
			ctl_prompt_drop(&c->questions);
			code = take_result(c, p, len);
			done = true;
		} else if (type == CONTROL_WORDS) {
			buf_free(&c->words);
			buf_put(&c->words, p, len);
			done = true;
		}
		buf_take(&c->in, whole);
		fflush(stdout);
	}
	if (file.memory >= 0) {
		if (done && !code && save_output(file.memory, file.path))
			code = CLI_FAILED;
		close(file.memory);
	}
	free(file.path);
	return code;
}

static int
run_command(struct ctl *c, const char *text, int *lost)
{
	size_t len = strlen(text);
	char *piece = malloc(len + 1);

	if (!piece) {
		*lost = -ENOMEM;
		return CLI_FAILED;
	}
	c->cancelled = false;
	piece[0] = (char)((c->json ? CONTROL_JSON : 0) | (c->el ? CONTROL_TYPED : 0));
	memcpy(piece + 1, text, len);
	*lost = send_piece(c, CONTROL_COMMAND, piece, len + 1);
	free(piece);
	return *lost ? CLI_FAILED : wait_result(c, text, lost);
}

static int
say_lost(int lost)
{
	fprintf(stderr, "fgfmctl: the connection to the daemon is lost: %s\n", strerror(-lost));
	return EXIT_NO_DAEMON;
}

/* The arguments as one command; a word that needs quotes gets them. A single argument is taken as it is. */
static char *
join_words(int argc, char *argv[])
{
	struct buf b = BUF_INIT(CONTROL_COMMAND_MAX);

	for (int i = 0; i < argc; i++) {
		bool quote = argc > 1 && (!*argv[i] || strpbrk(argv[i], " \t\r\n\"\\#"));

		buf_str(&b, i ? " " : "");
		buf_str(&b, quote ? "\"" : "");
		for (const char *p = argv[i]; *p; p++) {
			if (quote && (*p == '"' || *p == '\\'))
				buf_str(&b, "\\");
			buf_put(&b, p, 1);
		}
		buf_str(&b, quote ? "\"" : "");
	}
	if (b.error) {
		buf_free(&b);
		return NULL;
	}
	return buf_steal(&b, NULL);
}

static int
once(struct ctl *c, int argc, char *argv[])
{
	char *text = join_words(argc, argv);
	int lost, code, rc = connect_daemon(c);

	if (rc || !text) {
		free(text);
		return rc ? rc : EXIT_USAGE;
	}
	code = run_command(c, text, &lost);
	free(text);
	if (lost)
		return say_lost(lost);
	if (c->incomplete || (!code && *c->prompt)) {
		fprintf(stderr, "incomplete command: %s\nCommand fail. Return code %d\n",
			c->incomplete ? "a quote is open" : "it ends inside a block", CLI_INCOMPLETE);
		return EXIT_FAILED;
	}
	return code ? EXIT_FAILED : EXIT_DONE;
}

/* --- a script ----------------------------------------------------------------------------------------------------- */

/* Line by line; a line inside a quote is continued by the next. Goes on after a failing command. */
static int
run_lines(struct ctl *c, FILE *f)
{
	char *line = NULL, *text = NULL;
	size_t size = 0, len = 0;
	int lost = 0, failed = 0;

	c->questions.script = true;
	while (!lost && getline(&line, &size, f) >= 0) {
		size_t n = strlen(line);
		char *longer = realloc(text, len + n + 1);

		if (!longer) {
			lost = -ENOMEM;
			break;
		}
		text = longer;
		memcpy(text + len, line, n + 1);
		len += n;
		failed += run_command(c, text, &lost) != CLI_OK && !c->incomplete;
		if (!c->incomplete)
			len = 0;
	}
	free(line);
	free(text);
	if (!lost && c->incomplete) {
		fprintf(stderr, "incomplete command: the script ends inside a quote\nCommand fail. Return code %d\n",
			CLI_INCOMPLETE);
		return EXIT_FAILED;
	}
	if (!lost && !(lost = send_piece(c, CONTROL_END, "", 0)))
		failed += wait_result(c, "", &lost) != CLI_OK;
	if (lost)
		return say_lost(lost);
	return failed ? EXIT_FAILED : EXIT_DONE;
}

static int
script(struct ctl *c)
{
	FILE *f = strcmp(c->script, "-") ? fopen(c->script, "re") : stdin;
	int rc;

	if (!f) {
		fprintf(stderr, "fgfmctl: %s: %s\n", c->script, strerror(errno));
		return EXIT_USAGE;
	}
	rc = connect_daemon(c);
	if (!rc)
		rc = run_lines(c, f);
	if (f != stdin)
		fclose(f);
	return rc;
}

/* --- packages, without a daemon ----------------------------------------------------------------------------------- */

static int
package(const struct ctl *c, int argc, char *argv[])
{
	struct ctl_package p = {
	    .bootstrap = c->bootstrap,
	    .bootstrap_default = !strcmp(c->bootstrap, DEFAULT_BOOTSTRAP),
	    .json = c->json,
	};

	return ctl_package_run(&p, argc, argv);
}

/* True for a line of the shell that is answered here. */
static bool
is_package(const char *text, size_t len)
{
	static const char word[] = "package";
	size_t n = sizeof(word) - 1;

	return len >= n && !memcmp(text, word, n) && (len == n || text[n] == ' ' || text[n] == '\n');
}

static void
package_line(const struct ctl *c, const char *line)
{
	struct script *s = NULL;
	struct err e = ERR_NONE;
	const struct command *k;
	char **argv;

	if (script_parse_line(line, strlen(line), &s, &e)) {
		fprintf(stderr, "fgfmctl: %s\n", e.text);
		return;
	}
	k = script_at(s, 0);
	argv = calloc(k->argc + 1, sizeof(*argv));
	if (argv) {
		memcpy(argv, k->argv, k->argc * sizeof(*argv));
		package(c, (int)k->argc, argv);
	}
	free(argv);
	script_free(s);
}

/* --- the shell ---------------------------------------------------------------------------------------------------- */

static char *
prompt(EditLine *el)
{
	static char text[160];
	struct ctl *c;

	el_get(el, EL_CLIENTDATA, &c);
	if (c->incomplete)
		snprintf(text, sizeof(text), "> ");
	else
		snprintf(text, sizeof(text), "fgfm %s# ", c->prompt);
	return text;
}

static int
ask_words(struct ctl *c, const char *text, size_t len)
{
	int lost;

	if (is_package(text, len) && len > strlen("package")) {
		buf_free(&c->words);
		ctl_package_complete(text, len, &c->words);
		return 0;
	}
	lost = send_piece(c, CONTROL_COMPLETE, text, len);
	if (!lost)
		wait_result(c, "", &lost);
	if (!lost && len <= strlen("package") && !strncmp(text, "package", len))
		buf_str(&c->words, "package\tupdate packages, without the daemon\n");
	return lost;
}

/* The characters all candidates share after the `typed` ones already there; "" when there are none. */
static char *
common_rest(const struct buf *words, size_t typed, size_t *count)
{
	const char *p = (const char *)buf_head(words), *end = p + words->len;
	char *first = NULL;
	size_t shared = 0;

	*count = 0;
	while (p < end) {
		const char *tab = memchr(p, '\t', (size_t)(end - p)), *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = tab ? (size_t)(tab - p) : 0;

		if (!first) {
			first = strndup(p, n);
			shared = n;
		} else {
			size_t i = 0;

			while (i < shared && i < n && first[i] == p[i])
				i++;
			shared = i;
		}
		(*count)++;
		p = nl ? nl + 1 : end;
	}
	if (!first || shared < typed) {
		free(first);
		return strdup("");
	}
	first[shared] = '\0';
	memmove(first, first + typed, shared - typed + 1);
	return first;
}

static void
list_words(const struct buf *words)
{
	char *copy = strndup((const char *)buf_head(words), words->len), *save = NULL;

	printf("\n");
	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		char *tab = strchr(line, '\t');

		if (tab)
			*tab = '\0';
		printf("  %-28s %s\n", line, tab ? tab + 1 : "");
	}
	free(copy);
}

static unsigned char
complete(EditLine *el, int ch)
{
	const LineInfo *li = el_line(el);
	size_t len = (size_t)(li->cursor - li->buffer), typed = 0, count;
	unsigned char rc = CC_ERROR;
	struct ctl *c;
	char *rest;

	(void)ch;
	el_get(el, EL_CLIENTDATA, &c);
	while (typed < len && li->cursor[-(ptrdiff_t)typed - 1] != ' ')
		typed++;
	if (ask_words(c, li->buffer, len))
		return CC_EOF;
	rest = common_rest(&c->words, typed, &count);
	if (count == 1 && rest) {
		el_insertstr(el, rest);
		el_insertstr(el, " ");
		rc = CC_REFRESH;
	} else if (rest && *rest) {
		el_insertstr(el, rest);
		rc = CC_REFRESH;
	} else if (count) {
		list_words(&c->words);
		rc = CC_REDISPLAY;
	}
	free(rest);
	return rc;
}

/* Debug lines come while the user thinks, too: they are shown above the line being typed. */
static int
read_key(EditLine *el, wchar_t *key)
{
	struct ctl *c;

	el_get(el, EL_CLIENTDATA, &c);
	for (;;) {
		fd_set fds;
		enum control_type type;
		const uint8_t *p;
		size_t len, whole;
		unsigned char byte;

		FD_ZERO(&fds);
		FD_SET(STDIN_FILENO, &fds);
		FD_SET(c->fd, &fds);
		if (select((c->fd > STDIN_FILENO ? c->fd : STDIN_FILENO) + 1, &fds, NULL, NULL, NULL) < 0)
			return -1;
		if (FD_ISSET(c->fd, &fds)) {
			if (next_piece(c, &type, &p, &len, &whole))
				return -1;
			printf("\r%.*s\n", (int)len, (const char *)p);
			buf_take(&c->in, whole);
			fflush(stdout);
			el_set(el, EL_REFRESH);
			continue;
		}
		if (read(STDIN_FILENO, &byte, 1) != 1)
			return 0;
		*key = byte;
		return 1;
	}
}

static bool
is_quit(const char *line)
{
	return !strcmp(line, "exit\n") || !strcmp(line, "quit\n");
}

/* While a command runs Ctrl-C ends that, not the shell. */
static void
run_typed(struct ctl *c, const char *text, int *lost)
{
	sigset_t only, before;

	sigemptyset(&only);
	sigaddset(&only, SIGINT);
	sigprocmask(SIG_BLOCK, &only, &before);
	c->interrupt = signalfd(-1, &only, SFD_CLOEXEC);
	run_command(c, text, lost);
	if (c->interrupt >= 0)
		close(c->interrupt);
	c->interrupt = -1;
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static int
shell_loop(struct ctl *c, History *h)
{
	struct buf text = BUF_INIT(CONTROL_COMMAND_MAX);
	HistEvent ev;
	const char *line;
	int n, lost = 0;

	while (!lost && (line = el_gets(c->el, &n)) && n > 0 && !is_quit(line)) {
		if (strcmp(line, "\n") != 0)
			history(h, &ev, H_ENTER, line);
		if (!text.len && is_package(line, strlen(line))) {
			package_line(c, line);
			continue;
		}
		if (buf_put(&text, line, (size_t)n + 1))
			break;
		run_typed(c, (const char *)buf_head(&text), &lost);
		if (c->incomplete)
			buf_cut(&text, text.len - 1); /* the next line follows, without the NUL between */
		else
			buf_free(&text);
	}
	buf_free(&text);
	printf("\n");
	return lost ? say_lost(lost) : EXIT_DONE;
}

static int
shell(struct ctl *c)
{
	History *h;
	HistEvent ev;
	int rc = connect_daemon(c);

	if (rc)
		return rc;
	if (!isatty(STDIN_FILENO))
		return run_lines(c, stdin);
	setlocale(LC_CTYPE, "");
	h = history_init();
	c->el = el_init("fgfmctl", stdin, stdout, stderr);
	if (!h || !c->el) {
		fprintf(stderr, "fgfmctl: the terminal cannot be used\n");
		return EXIT_FAILED;
	}
	history(h, &ev, H_SETSIZE, HISTORY_LINES);
	el_set(c->el, EL_CLIENTDATA, c);
	el_set(c->el, EL_PROMPT, prompt);
	el_set(c->el, EL_EDITOR, "emacs");
	el_set(c->el, EL_HIST, history, h);
	el_set(c->el, EL_ADDFN, "complete", "complete the word", complete);
	el_set(c->el, EL_BIND, "\t", "complete", NULL);
	el_set(c->el, EL_BIND, "?", "complete", NULL);
	el_set(c->el, EL_GETCFN, read_key);
	rc = shell_loop(c, h);
	el_end(c->el);
	history_end(h);
	return rc;
}

/* --- without a daemon --------------------------------------------------------------------------------------------- */

/* The state directory of the bootstrap file; the default where there is no such file. */
static int
offline_path(const struct ctl *c, char *dst, size_t size)
{
	struct settings *s = NULL;
	struct schema *schema = schema_new();
	struct err e = ERR_NONE;
	int rc = schema ? schema_add_builtin(schema, &e) : -ENOMEM;

	if (!rc && access(c->bootstrap, F_OK) && !strcmp(c->bootstrap, DEFAULT_BOOTSTRAP)) {
		snprintf(dst, size, DEFAULT_STATE "/trust-list.json");
	} else if (!rc) {
		rc = settings_load(c->bootstrap, schema, NULL, NULL, &s, &e);
		if (!rc)
			settings_state_path(s, "trust-list.json", dst, size);
	}
	if (rc)
		fprintf(stderr, "fgfmctl: %s\n", e.text);
	settings_free(s);
	schema_free(schema);
	return rc;
}

static int
offline_trust_list(const struct ctl *c)
{
	struct buf out = BUF_INIT(1024 * 1024);
	struct trust_list *l = NULL;
	char path[PATH_MAX];
	struct err e = ERR_NONE;
	int rc;

	if (offline_path(c, path, sizeof(path)))
		return EXIT_FAILED;
	rc = trust_list_peek(path, &l, &e);
	if (rc) {
		fprintf(stderr, "fgfmctl: %s\n", e.text);
		return EXIT_FAILED;
	}
	cli_show_trust_list(l, c->json, &out);
	fwrite(buf_head(&out), 1, out.len, stdout);
	buf_free(&out);
	trust_list_free(l);
	return EXIT_DONE;
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

/* Options end at the first word; those that answer an `execute` command's questions may stand behind it, too, where one
 * thinks of them. Returns how many words are left. */
static int
take_answers(struct ctl *c, int argc, char *argv[])
{
	while (argc > 1 && !strncmp(argv[0], "execute", strlen(argv[0]))) {
		if (!strcmp(argv[argc - 1], "--yes"))
			c->questions.yes = true;
		else if (!strcmp(argv[argc - 1], "--accept-unsigned"))
			c->questions.accept_unsigned = true;
		else
			break;
		argc--;
	}
	return argc;
}

/* `fgfmctl trust-list` is short for the command; options may stand behind it. */
static int
dispatch(struct ctl *c, int argc, char *argv[])
{
	static char diagnose[] = "diagnose", fgfm[] = "fgfm", list[] = "trust-list";
	char *trust_list[] = {diagnose, fgfm, list};
	bool short_form = argc && !strcmp(argv[0], "trust-list");

	/* options end at the first word, so that `… fgfmd -1` is no option; this one may follow */
	if (short_form && argc == 2 && !strcmp(argv[1], "--offline"))
		c->offline = true;
	else if (argc != 1)
		short_form = false;

	if (c->offline && !short_form) {
		fprintf(stderr, "fgfmctl: --offline goes with trust-list\n");
		return EXIT_USAGE;
	}
	if (c->script && argc) {
		fprintf(stderr, "fgfmctl: either -f FILE or a command\n");
		return EXIT_USAGE;
	}
	if (c->offline)
		return offline_trust_list(c);
	if (c->script)
		return script(c);
	if (argc && !strcmp(argv[0], "package"))
		return package(c, argc, argv);
	if (short_form)
		return once(c, 3, trust_list);
	return argc ? once(c, take_answers(c, argc, argv), argv) : shell(c);
}

int
main(int argc, char *argv[])
{
	static const struct option longs[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"file", required_argument, NULL, 'f'},
	    {"json", no_argument, NULL, 'j'},
	    {"config", required_argument, NULL, 'c'},
	    {"offline", no_argument, NULL, 'o'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {"yes", no_argument, NULL, 'y'},
	    {"accept-unsigned", no_argument, NULL, 'u'},
	    {NULL, 0, NULL, 0},
	};
	struct ctl c = {.socket = DEFAULT_SOCKET, .bootstrap = DEFAULT_BOOTSTRAP, .interrupt = -1, .fd = -1};
	int opt, rc;

	c.in = BUF_INIT(CONTROL_PIECE_MAX + CONTROL_HEAD + READ_CHUNK);
	c.words = BUF_INIT(1024 * 1024);
	while ((opt = getopt_long(argc, argv, "+s:f:jc:Vh", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			c.socket = optarg;
			break;
		case 'f':
			c.script = optarg;
			break;
		case 'j':
			c.json = true;
			break;
		case 'c':
			c.bootstrap = optarg;
			break;
		case 'o':
			c.offline = true;
			break;
		case 'y':
			c.questions.yes = true;
			break;
		case 'u':
			c.questions.accept_unsigned = true;
			break;
		case 'V':
			printf("fgfmctl %s\n", VERSION);
			return EXIT_DONE;
		case 'h':
			usage(stdout);
			return EXIT_DONE;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	c.questions.out = c.json ? stderr : stdout;
	rc = dispatch(&c, argc - optind, argv + optind);
	buf_free(&c.in);
	buf_free(&c.words);
	if (c.fd >= 0)
		close(c.fd);
	return rc;
}
