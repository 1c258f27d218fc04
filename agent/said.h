/* said: what another program says on its standard error: bounded, and line by line to the debug log, escaped. */
#ifndef AGENT_SAID_H
#define AGENT_SAID_H

#include <stddef.h>

struct err;

enum { SAID_LINE = 512, SAID_SHOWN = SAID_LINE * 2 };

struct said {
	int fd;           /* reading end, not blocking, owned; -1: closed */
	unsigned mask;    /* of the log */
	const char *kind; /* borrowed: "handler" */
	char name[128];   /* of the program */
	size_t max;       /* bytes it may say */
	size_t bytes;     /* it has said */
	size_t len;       /* of the line that is not complete yet */
	char line[SAID_LINE];
	char last[SAID_SHOWN]; /* the last line, escaped; "" : none */
};

/* `path` is the program's. The pipe comes later. */
void said_init(struct said *s, const char *kind, const char *path, unsigned mask, size_t max);

/* Reads once; at the end of the pipe it closes. 0, or -EMSGSIZE. */
int said_read(struct said *s, struct err *e);

/* What came without an end of line is a line, too. Closes. May be called twice. */
void said_close(struct said *s);

#endif
