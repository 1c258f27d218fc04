#include "package/level.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rows: way and level. Columns: what the object is. Guide, first list, but for the last column and HA; packages that
 * need no signature are "optional" there. The machine has one level: Low and High stand for themselves. */
static const struct {
	enum verdict valid, unsigned_forced, unsigned_optional, bad;
} decisions[UPDATE_WAYS][LEVEL_COUNT] = {
    [UPDATE_AUTOMATIC] =
	{
	    [LEVEL_0] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ACCEPT, VERDICT_REJECT},
	    [LEVEL_1] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ACCEPT, VERDICT_REJECT},
	    [LEVEL_2] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ACCEPT, VERDICT_REJECT},
	    [LEVEL_LOW] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ACCEPT, VERDICT_REJECT},
	    [LEVEL_HIGH] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_ACCEPT, VERDICT_REJECT},
	},
    [UPDATE_MANUAL] =
	{
	    [LEVEL_0] = {VERDICT_ACCEPT, VERDICT_WARN, VERDICT_WARN, VERDICT_REJECT},
	    [LEVEL_1] = {VERDICT_ACCEPT, VERDICT_ASK, VERDICT_ASK, VERDICT_REJECT},
	    [LEVEL_2] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	    [LEVEL_LOW] = {VERDICT_ACCEPT, VERDICT_ASK, VERDICT_ASK, VERDICT_REJECT},
	    [LEVEL_HIGH] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	},
    /* nobody is there to ask */
    [UPDATE_HA] =
	{
	    [LEVEL_0] = {VERDICT_ACCEPT, VERDICT_WARN, VERDICT_WARN, VERDICT_REJECT},
	    [LEVEL_1] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	    [LEVEL_2] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	    [LEVEL_LOW] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	    [LEVEL_HIGH] = {VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_REJECT, VERDICT_REJECT},
	},
};

enum verdict
level_decide(enum update_way way, enum level level, bool forced, enum signature s)
{
	if (s == SIGNATURE_VALID)
		return decisions[way][level].valid;
	if (s != SIGNATURE_NONE)
		return decisions[way][level].bad;
	return forced ? decisions[way][level].unsigned_forced : decisions[way][level].unsigned_optional;
}

/* --- the machine's ------------------------------------------------------------------------------------------------ */

enum { ATTRIBUTES = 4, ABSENT = -1, MALFORMED = -2 };

/* What stands in `path`, after `skip` bytes: a digit as text or as a byte, and the end of a line for an editor's sake.
 * A symbolic link is no answer: whose it is cannot be told. */
static int
read_digit(const char *path, size_t skip, bool text)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), level = MALFORMED;
	struct stat st;
	char b[16];
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? ABSENT : MALFORMED;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		goto out;
	n = read(fd, b, sizeof(b));
	if (text && n == (ssize_t)skip + 2 && b[skip + 1] == '\n')
		n--;
	if (n != (ssize_t)skip + 1)
		goto out;
	level = b[skip] - (text ? '0' : 0);
	if (level < LEVEL_0 || level > LEVEL_2)
		level = MALFORMED;
out:
	close(fd);
	return level;
}

enum level
level_read(const char *variable, const char *file, char why[LEVEL_WHY])
{
	int of_variable = read_digit(variable, ATTRIBUTES, false), of_file = read_digit(file, 0, true);
	const char *malformed = of_variable == MALFORMED ? variable : of_file == MALFORMED ? file : NULL;
	bool by_file = of_file >= of_variable;

	if (malformed) {
		snprintf(why, LEVEL_WHY, "%s: 0, 1 or 2 expected, in a file that only root can write", malformed);
		return LEVEL_2;
	}
	if (of_variable == ABSENT && of_file == ABSENT) {
		snprintf(why, LEVEL_WHY, "no level is set");
		return LEVEL_1;
	}
	snprintf(why, LEVEL_WHY, "%s", by_file ? file : variable);
	return (enum level)(by_file ? of_file : of_variable);
}

const char *
level_name(enum level l)
{
	static const char *const names[] = {"0", "1", "2", "Low", "High"};

	return names[l];
}

const char *
update_way_name(enum update_way w)
{
	static const char *const names[] = {"automatic", "manual", "ha"};

	return names[w];
}

const char *
verdict_name(enum verdict v)
{
	static const char *const names[] = {"reject", "ask", "accept-with-warning", "accept"};

	return names[v];
}

const char *
signature_name(enum signature s)
{
	static const char *const names[] = {"bad", "none", "valid"};

	return names[s];
}
