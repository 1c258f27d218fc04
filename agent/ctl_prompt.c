#include "agent/ctl_prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"

enum { LINE = 64, MEGABYTE = 1000 * 1000 };

static bool
option_says_yes(const struct ctl_prompt *p, enum packages_asks kind)
{
	return (kind == PACKAGES_OVERWRITE && p->yes) || (kind == PACKAGES_UNSIGNED && p->accept_unsigned);
}

enum ctl_answer
ctl_prompt_ask(struct ctl_prompt *p, const uint8_t *body, size_t len)
{
	struct rd r = rd_init(body, len);
	enum packages_asks kind = (enum packages_asks)rd_u8(&r);
	const uint8_t *digest = rd_bytes(&r, sizeof(p->digest));

	if (r.bad)
		return CTL_NO;
	memcpy(p->digest, digest, sizeof(p->digest));
	fprintf(p->out, "%.*s", (int)r.left, (const char *)r.p);
	if (option_says_yes(p, kind)) {
		fprintf(p->out, "y\n");
		return CTL_YES;
	}
	if (p->script || !isatty(STDIN_FILENO)) {
		fprintf(p->out, "n\n");
		return CTL_NO;
	}
	/* what was typed before the question was there is no answer to it */
	tcflush(STDIN_FILENO, TCIFLUSH);
	fflush(p->out);
	p->open = true;
	return CTL_WAITS;
}

enum ctl_answer
ctl_prompt_read(struct ctl_prompt *p)
{
	char line[LINE];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n < 0 && errno == EINTR)
		return CTL_WAITS;
	p->open = false;
	if (n <= 0) {
		fprintf(p->out, "\n");
		return CTL_NO;
	}
	line[n] = '\0';
	if (line[n - 1] != '\n') { /* no whole line: input ended in it, or it is more than an answer */
		tcflush(STDIN_FILENO, TCIFLUSH);
		return CTL_NO;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return !strcasecmp(line, "y") || !strcasecmp(line, "yes") ? CTL_YES : CTL_NO;
}

void
ctl_prompt_drop(struct ctl_prompt *p)
{
	if (p->open)
		fprintf(p->out, "\n");
	p->open = false;
}

static uint64_t
read_u64(struct rd *r)
{
	uint64_t high = rd_u32be(r);

	return high << 32 | rd_u32be(r);
}

void
ctl_prompt_progress(struct ctl_prompt *p, const uint8_t *body, size_t len)
{
	struct rd r = rd_init(body, len);
	uint64_t done = read_u64(&r), total = read_u64(&r);

	if (r.bad || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%.*s ", (int)r.left, (const char *)r.p);
	if (total)
		fprintf(stderr, "%llu%% of ", (unsigned long long)(done < total ? done * 100 / total : 100));
	fprintf(stderr, "%.1f MB", (double)(total ? total : done) / MEGABYTE);
	fflush(stderr);
	p->progress = true;
}

void
ctl_prompt_clear(struct ctl_prompt *p)
{
	if (p->progress)
		fprintf(stderr, "\r\033[K");
	p->progress = false;
}
