#include "agent/monitor_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

enum { PROC_MAX = 256 * 1024, LOAD_MS = 1000 };

/* A file of /proc, which has no size before it is read. The caller frees it. NULL: it cannot be read. */
static char *
read_proc(const char *path)
{
	struct buf b = BUF_INIT(PROC_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	ssize_t n = -1;

	while (fd >= 0) {
		uint8_t *room = buf_room(&b, 4096);

		n = room ? read(fd, room, 4096) : -1;
		if (n <= 0)
			break;
		buf_grew(&b, (size_t)n);
	}
	if (fd >= 0)
		close(fd);
	/* what is beyond the bound is left out */
	if (b.len)
		text = buf_steal(&b, NULL);
	buf_free(&b);
	return text;
}

int
host_parse_cpu(const char *text, struct host_cpu *out)
{
	struct host_cpu c = {0};

	/* the last ones came with later kernels */
	if (sscanf(text,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &c.user, &c.nice, &c.system, &c.idle, &c.iowait, &c.irq, &c.softirq, &c.steal) < 4)
		return -EINVAL;
	*out = c;
	return 0;
}

/* "Key:   123 kB", at the beginning of a line. */
static int
find_kb(const char *text, const char *key, uint64_t *out)
{
	size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len))
			return sscanf(p + len, "%" SCNu64, out) == 1 ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int
host_parse_memory(const char *text, struct host_memory *out)
{
	struct host_memory m = {0};

	if (find_kb(text, "MemTotal:", &m.total_kb) || find_kb(text, "MemAvailable:", &m.available_kb))
		return -EINVAL;
	*out = m;
	return 0;
}

/* "  eth0: BYTES PACKETS ERRORS DROPPED FIFO FRAME COMPRESSED MULTICAST BYTES PACKETS ERRORS DROPPED ..." */
static bool
parse_link(const char *line, struct host_link *out)
{
	struct host_link l = {.name = ""};
	const char *colon = strchr(line, ':'), *nl = strchr(line, '\n');
	size_t len;

	line += strspn(line, " ");
	if (!colon || (nl && colon > nl))
		return false;
	len = (size_t)(colon - line);
	if (!len || len >= sizeof(l.name) ||
	    sscanf(colon + 1,
		   "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64,
		   &l.rx_bytes, &l.rx_packets, &l.rx_errors, &l.rx_dropped, &l.tx_bytes, &l.tx_packets, &l.tx_errors,
		   &l.tx_dropped) != 8)
		return false;
	memcpy(l.name, line, len);
	*out = l;
	return true;
}

size_t
host_parse_links(const char *text, struct host_link out[], size_t max)
{
	size_t n = 0;

	for (const char *p = text; p && n < max; p = strchr(p, '\n')) {
		p += *p == '\n';
		n += parse_link(p, &out[n]);
	}
	return n;
}

int
host_cpu(struct host_cpu *out)
{
	char *text = read_proc("/proc/stat");
	int rc = text ? host_parse_cpu(text, out) : -EIO;

	free(text);
	return rc;
}

int
host_memory(struct host_memory *out)
{
	char *text = read_proc("/proc/meminfo");
	int rc = text ? host_parse_memory(text, out) : -EIO;

	free(text);
	return rc;
}

size_t
host_links(struct host_link out[], size_t max)
{
	char *text = read_proc("/proc/net/dev");
	size_t n = text ? host_parse_links(text, out, max) : 0;

	free(text);
	return n;
}

int
host_sessions(uint64_t *out, bool *tracked)
{
	char *text = read_proc("/proc/sys/net/netfilter/nf_conntrack_count");
	const char *tcp;
	int rc = -EIO;

	*tracked = text != NULL;
	if (text) {
		rc = sscanf(text, "%" SCNu64, out) == 1 ? 0 : -EINVAL;
	} else {
		text = read_proc("/proc/net/sockstat");
		tcp = text ? strstr(text, "TCP: inuse ") : NULL;
		if (tcp)
			rc = sscanf(tcp, "TCP: inuse %" SCNu64, out) == 1 ? 0 : -EINVAL;
	}
	free(text);
	return rc;
}

uint64_t
host_own_memory_kb(void)
{
	char *text = read_proc("/proc/self/status");
	uint64_t kb = 0;

	if (text && find_kb(text, "VmRSS:", &kb))
		kb = 0;
	free(text);
	return kb;
}

unsigned
host_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

int
host_load(struct host_load *l, const struct host_cpu *now, mono_t at)
{
	const struct host_cpu *was = &l->last;
	uint64_t busy, idle;

	if (l->at.ms && at.ms - l->at.ms < LOAD_MS)
		return l->percent;
	busy = now->user + now->nice + now->system + now->irq + now->softirq + now->steal -
	       (was->user + was->nice + was->system + was->irq + was->softirq + was->steal);
	idle = now->idle + now->iowait - (was->idle + was->iowait);
	/* the kernel's count of iowait may go back */
	if (now->idle + now->iowait < was->idle + was->iowait)
		idle = 0;
	l->percent = busy + idle ? (int)(busy * 100 / (busy + idle)) : 0;
	l->last = *now;
	l->at = at;
	return l->percent;
}
