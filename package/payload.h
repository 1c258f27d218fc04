/* payload: an object's payload, unpacked if it is packed, piece by piece from the descriptor it was verified from. */
#ifndef PACKAGE_PAYLOAD_H
#define PACKAGE_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct object_label;
struct payload;

/* Takes a piece of the payload. 0, or an error that ends the extraction and becomes its result. */
typedef int payload_sink_fn(void *ctx, const void *data, size_t len);

/* Gives the whole payload to `sink`; NULL: it only sees whether it can be unpacked. At most `max` bytes come out, and
 * at most FORMAT_RATIO_MAX for each packed one. `fd` is borrowed. 0; -EBADMSG: it is longer as it is; or -errno. */
int payload_new(int fd, const struct object_label *l, uint32_t max, payload_sink_fn *sink, void *ctx,
		struct payload **out, struct err *e);
/* The same into the file `to_fd`, borrowed, from its position on. */
int payload_new_file(int fd, const struct object_label *l, uint32_t max, int to_fd, struct payload **out,
		     struct err *e);
void payload_free(struct payload *p); /* NULL-safe */

/* A bounded piece of it. 1: there is more; 0: that was all; -EBADMSG, with some of it given away already; -ENOMEM, or
 * an error of the file or the sink. */
int payload_step(struct payload *p, struct err *e);
uint32_t payload_len(const struct payload *p);   /* bytes that came out so far */
uint32_t payload_taken(const struct payload *p); /* and that went in, or were passed over since nobody takes them */

/* All of it at once; *len is how much it was. */
int payload_extract(int fd, const struct object_label *l, uint32_t max, payload_sink_fn *sink, void *ctx, uint32_t *len,
		    struct err *e);

#endif
