#include "test/fault/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "config/tree.h"

enum { LINES = 128, LINE = 256, WORDS = 32 };

#define RESOLVER SYSTEM_HOST "/resolv.conf"
#define BATCH_BOOT "/run/boot.ip"
#define BATCH_READ "/run/read.ip"
#define BATCH_LINE "/run/line.ip"

static const char *const devices[] = {"wan1", "lan1"};

enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

/* One address in the subnet of the configured one, which the kernel makes a secondary of it; one of its own; a route
 * through the device and one through none. */
static const char *const by_hand[] = {
    "address wan1 192.168.50.200/24",
    "address wan1 172.31.9.9/32",
    "route 172.30.0.0/16 via 192.168.50.254 dev wan1",
    "route blackhole 172.29.0.0/16",
};

static const char boot_script[] = "link set wan1 mtu 1500 up\n"
				  "link set lan1 mtu 1500 up\n"
				  "addr flush dev wan1\n"
				  "addr flush dev lan1\n"
				  "route flush table main\n"
				  "addr add 192.168.50.200/24 dev wan1\n"
				  "addr add 172.31.9.9/32 dev wan1\n"
				  "route add 172.30.0.0/16 via 192.168.50.254 dev wan1\n"
				  "route add blackhole 172.29.0.0/16\n";

/* Links last: after them `ip` knows nothing else in the same batch. */
static const char read_script[] = "addr show dev wan1\n"
				  "addr show dev lan1\n"
				  "route show table main\n"
				  "link show dev wan1\n"
				  "link show dev lan1\n";

static void
die(const char *what)
{
	fprintf(stderr, "%s: %s\nthe fault matrix needs root, private namespaces and iproute2\n", what,
		strerror(errno));
	exit(2);
}

static void
write_script(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
}

static pid_t
spawn_ip(const char *batch, int out, bool quiet)
{
	static char words[][8] = {"ip", "-o", "-force", "-batch"};
	char *const argv[] = {words[0], words[1], words[2], words[3], (char *)(uintptr_t)batch, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;

	errno = posix_spawn_file_actions_init(&actions);
	if (!errno)
		errno = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!errno && quiet)
		errno = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	if (!errno)
		errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (pid < 0)
		die("starting ip");
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Without a shell: this is done thousands of times. `out` NULL: what it says is of no interest. */
static void
run_ip(const char *batch, char *out, size_t size)
{
	size_t used = 0;
	ssize_t n = 1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		die("pipe");
	pid = spawn_ip(batch, ends[1], !out);
	close(ends[1]);
	while (out && used < size - 1 && n > 0) {
		n = read(ends[0], out + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	if (waitpid(pid, NULL, 0) < 0)
		die("ip");
	close(ends[0]);
	if (out)
		out[used] = '\0';
}

void
system_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS) || mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) ||
	    mount("none", "/run", "tmpfs", 0, "mode=0755"))
		die("namespaces");
	if (system("ip link set lo up && ip link add wan1 type veth peer name wan1p && "
		   "ip link add lan1 type veth peer name lan1p && ip link set wan1p up && ip link set lan1p up"))
		die("devices");
	write_script(BATCH_BOOT, boot_script);
	write_script(BATCH_READ, read_script);
}

/* The switch lets the kernel keep the other addresses of a subnet; a boot has it off. */
static void
reset_promotion(void)
{
	write_script("/proc/sys/net/ipv4/conf/wan1/promote_secondaries", "0");
	write_script("/proc/sys/net/ipv4/conf/lan1/promote_secondaries", "0");
}

void
system_boot(void)
{
	reset_promotion();
	run_ip(BATCH_BOOT, NULL, 0);
	if (sethostname("booted", 6) || (unlink(SYSTEM_RUN "/hostname.before-fgfmd") && errno != ENOENT))
		die("host name");
}

void
system_host(void)
{
	if (unlink(RESOLVER ".before-fgfmd") && errno != ENOENT)
		die(RESOLVER);
	write_script(RESOLVER, "nameserver 198.51.100.53\n");
}

void
system_disturb(const char *line)
{
	write_script(BATCH_LINE, line);
	run_ip(BATCH_LINE, NULL, 0);
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

struct lines {
	char line[LINES][LINE];
	int count;
};

static void __attribute__((format(printf, 2, 3))) add(struct lines *l, const char *fmt, ...)
{
	va_list ap;

	if (l->count == LINES) {
		errno = E2BIG;
		die("lines of the system");
	}
	va_start(ap, fmt);
	vsnprintf(l->line[l->count++], LINE, fmt, ap);
	va_end(ap);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
join(struct lines *l, char text[SYSTEM_TEXT])
{
	size_t used = 0;

	qsort(l->line, (size_t)l->count, LINE, by_text);
	text[0] = '\0';
	for (int i = 0; i < l->count && used < SYSTEM_TEXT; i++)
		used += (size_t)snprintf(text + used, SYSTEM_TEXT - used, "%s\n", l->line[i]);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

/* The word after `key`; "" when there is none. */
static const char *
after(char *const words[], int n, const char *key)
{
	for (int i = 0; i + 1 < n; i++) {
		if (!strcmp(words[i], key))
			return words[i + 1];
	}
	return "";
}

/* "7: wan1@wan1p: <BROADCAST,UP> mtu 1500 …" */
static void
take_link(struct lines *l, char *const words[], int n)
{
	bool up = strstr(words[2], "<UP") || strstr(words[2], ",UP,") || strstr(words[2], ",UP>");

	add(l, "link %.*s %s mtu %s", (int)strcspn(words[1], "@:"), words[1], up ? "up" : "down",
	    after(words, n, "mtu"));
}

/* "10.0.0.0/8 via 192.0.2.1 dev wan1 proto static metric 5 …" */
static void
take_route(struct lines *l, char *const words[], int n)
{
	bool blackhole = !strcmp(words[0], "blackhole");
	const char *via = after(words, n, "via"), *dev = after(words, n, "dev"), *metric = after(words, n, "metric");

	if (!strcmp(after(words, n, "proto"), "kernel"))
		return;
	add(l, "route %s%s%s%s%s%s%s%s", blackhole ? "blackhole " : "", words[blackhole], *via ? " via " : "", via,
	    *dev ? " dev " : "", dev, *metric ? " metric " : "", metric);
}

static void
take_line(struct lines *l, char *line)
{
	char *words[WORDS], *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t\\", &save); w && n < WORDS; w = strtok_r(NULL, " \t\\", &save))
		words[n++] = w;
	if (n < 2)
		return;
	if (n > 3 && !strcmp(words[2], "inet6"))
		return; /* the kernel's own link-local ones */
	if (n > 3 && !strcmp(words[2], "inet"))
		add(l, "address %s %s", words[1], words[3]);
	else if (n > 4 && words[2][0] == '<')
		take_link(l, words, n);
	else
		take_route(l, words, n);
}

/* The resolver file, and whether another one is kept beside it. */
static void
take_resolver(struct lines *l)
{
	char line[LINE];
	FILE *f = fopen(RESOLVER, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] != '#')
			add(l, "resolver %.*s", (int)strcspn(line, "\n"), line);
	}
	if (f)
		fclose(f);
	if (!access(RESOLVER ".before-fgfmd", F_OK))
		add(l, "resolver kept aside");
}

/* What an agent may have left on. */
static void
take_switch(struct lines *l, const char *dev)
{
	char path[96], value[8] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/promote_secondaries", dev);
	f = fopen(path, "re");
	if (!f || !fgets(value, sizeof(value), f))
		die(path);
	fclose(f);
	add(l, "promotion %s %.*s", dev, (int)strcspn(value, "\n"), value);
}

void
system_read(char text[SYSTEM_TEXT])
{
	static char raw[64 * 1024];
	struct lines l = {.count = 0};
	char name[HOST_NAME_MAX + 1] = "", *save = NULL;

	run_ip(BATCH_READ, raw, sizeof(raw));
	for (char *line = strtok_r(raw, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(&l, line);
	for (int i = 0; i < DEVICES; i++)
		take_switch(&l, devices[i]);
	take_resolver(&l);
	gethostname(name, sizeof(name));
	add(&l, "hostname %s", name);
	join(&l, text);
}

/* --- what there should be ----------------------------------------------------------------------------------------- */

static void
expect_device(struct lines *l, const struct tree *t, const char *dev)
{
	const struct entry *e = tree_entry(t, "system interface", dev);
	bool up = !e || !strcmp(entry_get(e, "status"), "up");
	char text[ADDR_TEXT];
	struct addr a;

	add(l, "link %s %s mtu %lld", dev, up ? "up" : "down",
	    e && entry_enabled(e, "mtu-override") ? entry_int(e, "mtu") : 1500);
	if (e && !addr_parse_and_mask(entry_get(e, "ip"), &a) && !addr_is_any(&a))
		add(l, "address %s %s", dev, addr_cidr(text, &a));
	for (const struct entry *s = entry_child_first(e, "secondaryip"); s; s = entry_next(s)) {
		if (entry_enabled(e, "secondary-IP") && !addr_parse_and_mask(entry_get(s, "ip"), &a))
			add(l, "address %s %s", dev, addr_cidr(text, &a));
	}
}

static void
expect_route(struct lines *l, const struct entry *e)
{
	long long metric = entry_int(e, "distance") * 65536 + entry_int(e, "priority");
	char dst[ADDR_TEXT];
	struct addr a;

	if (addr_parse_and_mask(entry_get(e, "dst"), &a))
		return;
	addr_cidr(dst, &a);
	if (entry_enabled(e, "blackhole"))
		add(l, "route blackhole %s metric %lld", dst, metric);
	else
		add(l, "route %s via %s dev %s metric %lld", dst, entry_get(e, "gateway"), entry_get(e, "device"),
		    metric);
}

void
system_expect(const struct tree *t, char text[SYSTEM_TEXT])
{
	const char *name = entry_get(tree_entry(t, "system global", ""), "hostname");
	const char *server = entry_get(tree_entry(t, "system dns", ""), "primary");
	struct lines l = {.count = 0};

	if (*server && strcmp(server, "0.0.0.0") != 0) {
		add(&l, "resolver nameserver %s", server);
		add(&l, "resolver kept aside");
	} else {
		add(&l, "resolver nameserver 198.51.100.53");
	}
	for (int i = 0; i < DEVICES; i++) {
		expect_device(&l, t, devices[i]);
		add(&l, "promotion %s 0", devices[i]);
	}
	for (const struct entry *e = tree_first(t, "router static"); e; e = entry_next(e))
		expect_route(&l, e);
	for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++)
		add(&l, "%s", by_hand[i]);
	add(&l, "hostname %s", *name ? name : "booted");
	join(&l, text);
}

static bool
has_line(const char *text, const char *line, size_t len)
{
	for (const char *p = text; *p; p += strcspn(p, "\n") + 1) {
		if (!strncmp(p, line, len) && p[len] == '\n')
			return true;
	}
	return false;
}

/* Also a line that is twice in one, once in the other. */
bool
system_differ(const char *is, const char *should, char line[256])
{
	if (!strcmp(is, should))
		return false;
	snprintf(line, 256, "lines in another number");
	for (const char *p = should; *p; p += strcspn(p, "\n") + 1) {
		if (!has_line(is, p, strcspn(p, "\n")))
			snprintf(line, 256, "-%.*s", (int)strcspn(p, "\n"), p);
	}
	for (const char *p = is; *p; p += strcspn(p, "\n") + 1) {
		if (!has_line(should, p, strcspn(p, "\n")))
			snprintf(line, 256, "+%.*s", (int)strcspn(p, "\n"), p);
	}
	return true;
}
