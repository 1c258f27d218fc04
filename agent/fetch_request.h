/* fetch_request: what is to be fetched, checked, and the words of curl's command line for it. No socket, no file.
 *
 * Names, addresses and URLs come from operators, the configuration and managers. What is not plainly one of these is
 * refused here; what passes can be no option, no second URL, no pattern and no other protocol.
 */
#ifndef AGENT_FETCH_REQUEST_H
#define AGENT_FETCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/fetch.h"
#include "base/addr.h"

enum {
	FETCH_HOST_MAX = 253,
	FETCH_PATH_MAX = FETCH_URL_MAX, /* more than 3 * FETCH_FILE_MAX */
	FETCH_PIN_TEXT = 60,
	FETCH_WORDS = 48,
	FETCH_ADDRS = 16,
};

struct fetch_request {
	enum fetch_kind kind;
	char host[FETCH_HOST_MAX + 1]; /* whom to connect to */
	struct addr addr;              /* its address; family 0: it has to be looked up */
	uint16_t port;
	char name[FETCH_HOST_MAX + 1]; /* what the certificate says; "" : the host */
	char path[FETCH_PATH_MAX + 1]; /* of the URL, from its '/' on */
	char pin[FETCH_PIN_TEXT];      /* "sha256//…" ; "" : none */
	uint32_t max_bytes;
};

/* Where to and how, this time. */
struct fetch_way {
	const struct addr *addrs; /* HTTPS: in the order to try */
	size_t count;
	uint16_t relay_port; /* TFTP */
	bool by_pin;         /* HTTPS: by the key; otherwise by authorities and name */
};

struct fetch_words {
	const char *argv[FETCH_WORDS]; /* NULL last; into this struct, or constant */
	size_t count;
	char url[FETCH_URL_MAX + FETCH_HOST_MAX + 64];
	char resolve[FETCH_HOST_MAX + 16 + FETCH_ADDRS * ADDR_TEXT];
	char size[16];
};

/* Checks and copies. 0, or -EINVAL with the reason. */
int fetch_request_init(struct fetch_request *r, const struct fetch_spec *spec, struct err *e);

/* `program` is borrowed. The authorities' file is the child's standard input. */
void fetch_request_words(const struct fetch_request *r, const char *program, const struct fetch_way *way,
			 struct fetch_words *w);

/* What an exit status of curl means: -ENOENT, -EACCES, -EFBIG, -ETIMEDOUT or -EIO, in words of ours or those it said.
 */
int fetch_request_judge(const struct fetch_request *r, int status, const char *said, struct err *e);
int fetch_request_too_large(const struct fetch_request *r, struct err *e); /* -EFBIG */
bool fetch_request_other_key(int status);                                  /* not the pinned one */

#endif
