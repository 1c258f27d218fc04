#include "package/der.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

enum { TAG_CONSTRUCTED = 0x20, TAG_NUMBER = 0x1f, TAG_CLASS = 0xc0, LENGTH_LONG = 0x80, LENGTH_BYTES_MAX = 4 };

/* The length of an element; *used bytes of `in` held it. False: indefinite, not the shortest form, or cut off. */
static bool
read_length(struct der in, size_t *len, size_t *used)
{
	size_t n, value = 0;

	if (!in.len)
		return false;
	if (in.p[0] < LENGTH_LONG) {
		*len = in.p[0];
		*used = 1;
		return true;
	}
	n = in.p[0] & 0x7f;
	if (!n || n > LENGTH_BYTES_MAX || in.len <= n || !in.p[1])
		return false;
	for (size_t i = 1; i <= n; i++)
		value = value << 8 | in.p[i];
	if (value < LENGTH_LONG)
		return false;
	*len = value;
	*used = 1 + n;
	return true;
}

int
der_next(struct der *in, struct der_item *out)
{
	struct der rest = *in;
	size_t len, used;

	if (rest.len < 2 || (rest.p[0] & TAG_NUMBER) == TAG_NUMBER)
		return -EBADMSG;
	if (!read_length((struct der){rest.p + 1, rest.len - 1}, &len, &used) || len > rest.len - 1 - used)
		return -EBADMSG;
	*out = (struct der_item){
	    .tag = rest.p[0],
	    .body = {rest.p + 1 + used, len},
	    .whole = {rest.p, 1 + used + len},
	};
	*in = (struct der){rest.p + 1 + used + len, rest.len - 1 - used - len};
	return 0;
}

bool
der_is_next(const struct der *in, uint8_t tag)
{
	return in->len && in->p[0] == tag;
}

int
der_take(struct der *in, uint8_t tag, const char *what, struct der_item *out, struct err *e)
{
	struct der rest = *in;
	struct der_item item;

	if (!in->len)
		return err_set(e, -EBADMSG, "%s: tag 0x%02x expected, nothing found", what, tag);
	if (in->p[0] != tag)
		return err_set(e, -EBADMSG, "%s: tag 0x%02x expected, 0x%02x found", what, tag, in->p[0]);
	if (der_next(&rest, &item))
		return err_set(e, -EBADMSG, "%s: its length is malformed", what);
	*out = item;
	*in = rest;
	return 0;
}

int
der_end(const struct der *in, const char *what, struct err *e)
{
	return in->len ? err_set(e, -EBADMSG, "%s: end expected, tag 0x%02x found", what, in->p[0]) : 0;
}

bool
der_equal(struct der a, struct der b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

/* --- the whole of a value ----------------------------------------------------------------------------------------- */

static bool
is_integer(struct der b)
{
	if (!b.len)
		return false;
	return b.len == 1 || !((b.p[0] == 0 && b.p[1] < 0x80) || (b.p[0] == 0xff && b.p[1] >= 0x80));
}

static bool
is_bit_string(struct der b)
{
	if (!b.len || b.p[0] > 7 || (b.len == 1 && b.p[0]))
		return false;
	return !(b.p[b.len - 1] & ((1 << b.p[0]) - 1));
}

/* Each part in the fewest bytes, the last one complete. */
static bool
is_oid(struct der b)
{
	bool first = true;

	if (!b.len || b.p[b.len - 1] & 0x80)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		if (first && b.p[i] == 0x80)
			return false;
		first = !(b.p[i] & 0x80);
	}
	return true;
}

/* What is wrong with a value that holds no others; NULL: nothing. */
static const char *
primitive_fault(uint8_t tag, struct der b)
{
	if (tag & TAG_CLASS)
		return NULL;
	switch (tag) {
	case 0:
		return "an end of contents";
	case DER_BOOLEAN:
		return b.len == 1 && (b.p[0] == 0 || b.p[0] == 0xff) ? NULL : "a BOOLEAN that is neither 00 nor ff";
	case DER_INTEGER:
	case 0x0a: /* ENUMERATED */
		return is_integer(b) ? NULL : "an INTEGER not in its shortest form";
	case DER_BIT_STRING:
		return is_bit_string(b) ? NULL : "a BIT STRING with wrong padding";
	case DER_NULL:
		return b.len ? "a NULL with contents" : NULL;
	case DER_OID:
		return is_oid(b) ? NULL : "a malformed OBJECT IDENTIFIER";
	case 0x10:
	case 0x11:
		return "a SEQUENCE or SET that is not constructed";
	default:
		return NULL;
	}
}

/* X.690, section 11.6: by their encodings, the shorter as if zeros followed. */
bool
der_is_sorted(struct der a, struct der b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = memcmp(a.p, b.p, n);

	return order < 0 || (order == 0 && a.len <= b.len);
}

/* Why der_next() refused. */
static const char *
length_fault(struct der in)
{
	size_t len, used;

	if (in.len && (in.p[0] & TAG_NUMBER) == TAG_NUMBER)
		return "a tag above 30";
	if (in.len > 1 && in.p[1] == LENGTH_LONG)
		return "an indefinite length";
	if (in.len > 1 && read_length((struct der){in.p + 1, in.len - 1}, &len, &used))
		return "a length beyond the end";
	return in.len > 1 && in.p[1] > LENGTH_LONG ? "a length not in its shortest form" : "an element that is cut off";
}

/* One level of the walk through elements and what is in them. It does not call itself: the depth is the sender's
 * choice.
 */
struct depth {
	struct der rest, last;
	bool sorted;
};

static const char *
check_element(struct depth *l, struct der_item *item)
{
	bool constructed;

	if (der_next(&l->rest, item))
		return length_fault(l->rest);
	constructed = item->tag & TAG_CONSTRUCTED;
	if (l->sorted && l->last.p && !der_is_sorted(l->last, item->whole))
		return "a SET that is not sorted";
	l->last = item->whole;
	if (constructed && !(item->tag & TAG_CLASS) && item->tag != DER_SEQUENCE && item->tag != DER_SET)
		return "a string in pieces";
	return constructed ? NULL : primitive_fault(item->tag, item->body);
}

int
der_check(struct der in, struct err *e)
{
	struct depth stack[DER_DEPTH_MAX + 1] = {{.rest = in}};
	size_t depth = 0;

	for (;;) {
		struct depth *l = &stack[depth];
		const uint8_t *at = l->rest.p;
		struct der_item item;
		const char *fault = check_element(l, &item);

		if (!fault && item.tag & TAG_CONSTRUCTED && depth == DER_DEPTH_MAX)
			fault = "more levels than expected";
		if (!fault && depth == 0 && l->rest.len) {
			fault = "trailing bytes";
			at = l->rest.p;
		}
		if (fault)
			return err_set(e, -EBADMSG, "DER expected, %s found at byte %zu", fault, (size_t)(at - in.p));
		if (item.tag & TAG_CONSTRUCTED)
			stack[++depth] = (struct depth){.rest = item.body, .sorted = item.tag == DER_SET};
		while (depth && !stack[depth].rest.len)
			depth--;
		if (!depth)
			return 0;
	}
}

bool
der_is_integer_pair(struct der in)
{
	struct der_item seq, a, b;
	struct der rest = in;

	if (!der_is_next(&in, DER_SEQUENCE) || der_next(&rest, &seq) || rest.len)
		return false;
	rest = seq.body;
	if (der_next(&rest, &a) || der_next(&rest, &b) || rest.len)
		return false;
	return a.tag == DER_INTEGER && b.tag == DER_INTEGER && is_integer(a.body) && is_integer(b.body) &&
	       a.body.p[0] < 0x80 && b.body.p[0] < 0x80;
}
