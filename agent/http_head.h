/* http_head: the head of an HTTP answer, as far as a download needs it: status and length. */
#ifndef AGENT_HTTP_HEAD_H
#define AGENT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum { HTTP_HEAD_MAX = 16 * 1024 }; /* bytes, of all heads before an answer */

struct http_head {
	char text[HTTP_HEAD_MAX];
	size_t len, begin; /* of the text; of the head in work: those of 1xx come before it */
	bool complete;
	unsigned status; /* 200…999 */
	bool has_length;
	uint64_t length; /* of the body, as the server says */
};

/* Takes bytes up to the end of the head: *used of `n`. 0, -EMSGSIZE or -EBADMSG. */
int http_head_take(struct http_head *h, const void *bytes, size_t n, size_t *used, struct err *e);

#endif
