/* agent/http_head: heads of answers, whole, in pieces, and broken. */
#include "agent/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static const struct {
	const char *what, *text;
	int rc;
	unsigned status;
	int64_t length; /* -1: not said */
	const char *rest;
} cases[] = {
    {"plain", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbody", 0, 200, 12, "body"},
    {"without a length", "HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", 0, 200, -1, ""},
    {"without fields", "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, -1, ""},
    {"without words", "HTTP/1.1 404\r\n\r\n", 0, 404, -1, ""},
    {"HTTP/2", "HTTP/2 200\r\ncontent-length:7\r\n\r\n", 0, 200, 7, ""},
    {"lines end with LF", "HTTP/1.1 200 OK\ncontent-LENGTH:\t 0 \n\n\n", 0, 200, 0, "\n"},
    {"other fields", "HTTP/1.1 200 OK\r\nX-Content-Length: 1\r\nContent-Lengths: 2\r\n\r\n", 0, 200, -1, ""},
    {"a hint first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb",
     0, 200, -1, "b"},
    {"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 0, 200, 3, ""},
    {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"no length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a length of more than 63 bits", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", -EBADMSG, 0, -1,
     ""},
    {"no HTTP", "SSH-2.0-x\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"no version", "HTTP/ 200 OK\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a short status", "HTTP/1.1 20\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a long status", "HTTP/1.1 2000\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"a status below 100", "HTTP/1.1 099 x\r\n\r\n", -EBADMSG, 0, -1, ""},
    {"an empty line first", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", -EBADMSG, 0, -1, ""},
};

/* Gives the text in pieces of `step` bytes. */
static int
take(struct http_head *h, const char *text, size_t n, size_t step, size_t *used, struct err *e)
{
	int rc = 0;

	*used = 0;
	while (!rc && !h->complete && *used < n) {
		size_t some, piece = n - *used < step ? n - *used : step;

		rc = http_head_take(h, text + *used, piece, &some, e);
		*used += some;
	}
	return rc;
}

static void
heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = strlen(cases[i].text);

		for (size_t step = 1; step <= n; step++) {
			struct http_head *h = calloc(1, sizeof(*h));
			struct err e = ERR_NONE;
			size_t used;
			int rc = take(h, cases[i].text, n, step, &used, &e);

			if (rc != cases[i].rc || (rc && !e.text[0]))
				fail_msg("%s, step %zu: %d %s", cases[i].what, step, rc, e.text);
			assert_int_equal(h->complete, !rc);
			if (!rc && (h->status != cases[i].status || h->has_length != (cases[i].length >= 0) ||
				    (h->has_length && h->length != (uint64_t)cases[i].length) ||
				    strcmp(cases[i].text + used, cases[i].rest) != 0))
				fail_msg("%s, step %zu: %u, %llu, rest \"%s\"", cases[i].what, step, h->status,
					 (unsigned long long)h->length, cases[i].text + used);
			free(h);
		}
	}
}

/* As long as the bound, and a byte longer; hints count, too. */
static void
bounded(void **state)
{
	struct http_head *h;
	struct err e = ERR_NONE;
	char *text = malloc(HTTP_HEAD_MAX + 1);
	size_t used;

	(void)state;
	memset(text, 'x', HTTP_HEAD_MAX + 1);
	memcpy(text, "HTTP/1.1 200 ", 13);
	memcpy(text + HTTP_HEAD_MAX - 3, "\n\n", 2);
	h = calloc(1, sizeof(*h));
	assert_int_equal(http_head_take(h, text, HTTP_HEAD_MAX + 1, &used, &e), 0);
	assert_true(h->complete && used == HTTP_HEAD_MAX - 1);
	free(h);
	memcpy(text + HTTP_HEAD_MAX - 3, "x\n\n", 3);
	h = calloc(1, sizeof(*h));
	assert_int_equal(http_head_take(h, text, HTTP_HEAD_MAX + 1, &used, &e), -EMSGSIZE);
	free(h);
	memset(text, 'x', HTTP_HEAD_MAX + 1);
	for (size_t i = 0; i + 14 < HTTP_HEAD_MAX; i += 14)
		memcpy(text + i, "HTTP/1 100 x\n\n", 14);
	h = calloc(1, sizeof(*h));
	assert_int_equal(http_head_take(h, text, HTTP_HEAD_MAX + 1, &used, &e), -EMSGSIZE);
	free(h);
	h = calloc(1, sizeof(*h));
	assert_int_equal(http_head_take(h, "HTTP/1.1 200 \0\n\n", 16, &used, &e), -EBADMSG);
	free(h);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads),
	    cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
