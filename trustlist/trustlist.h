/* trustlist: the ten managers this device yields to, and their file.
 *
 * Guide, "FortiGate to FortiManager authentication": at most ten unique serial numbers; not configurable. An entry
 * appears only by registration and goes only by an operator on the device. Each is bound to what was seen when it was
 * added: serial, issuer key, own key. This room refuses to change an entry when an eleventh comes.
 */
#ifndef TRUSTLIST_TRUSTLIST_H
#define TRUSTLIST_TRUSTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trustlist/cert.h"

struct cJSON;
struct err;
struct trust_list;

enum { TRUST_SLOTS = 10 };

enum trust_how { TRUST_FIRST_CONTACT, TRUST_PINNED, TRUST_REGISTER_DEVICE, TRUST_MANAGER_INITIATED };

struct trust_entry {
	char serial[CERT_SERIAL_MAX];
	char issuer_key[CERT_DIGEST_TEXT]; /* SHA-256 of the issuing certificate's public key (DER), hex */
	char key[CERT_DIGEST_TEXT];        /* of the manager's own */
	int64_t added_s;                   /* wall clock, seconds since 1970 */
	int64_t used_s;                    /* last authenticated session; 0: never */
	enum trust_how how;
};

enum trust_answer {
	TRUST_UNKNOWN,      /* the serial is not in the list */
	TRUST_LISTED,       /* listed, same issuer, same key */
	TRUST_RENEWED,      /* listed, same issuer, another key: passes, to be logged */
	TRUST_OTHER_ISSUER, /* listed, but another key issued the certificate: refused */
};

/* Reads `path`; a missing file is an empty list. A damaged one is set aside as .corrupt, named in `e`, and the call
 * fails with -EBADMSG: *out is then an empty list that admits nobody by first contact (trust_list_damaged()). It stays
 * so over restarts, as long as the .corrupt file stands there alone: until a manager is added or an operator removes
 * that file. Any other error (the file cannot be opened or read) leaves *out alone. */
int trust_list_load(const char *path, struct trust_list **out, struct err *e);
/* The same for somebody who only looks: nothing is set aside. A damaged file is -EBADMSG, with *out untouched. */
int trust_list_peek(const char *path, struct trust_list **out, struct err *e);
void trust_list_free(struct trust_list *l); /* NULL-safe */

size_t trust_list_count(const struct trust_list *l);
const struct trust_entry *trust_list_at(const struct trust_list *l, size_t i);
const struct trust_entry *trust_list_find(const struct trust_list *l, const char *serial);
bool trust_list_damaged(const struct trust_list *l);

enum trust_answer trust_list_check(const struct trust_list *l, const struct cert_facts *peer);

/* Adds a manager and writes the file; memory changes only when the disk has. -EINVAL for facts that are no verified
 * manager's, -EEXIST, -ENOSPC ("trusted list full (10)"), or the file's error. Adding clears the damaged mark. Here and
 * below: when only the folder's fsync failed, the new file is in place, memory follows it, and the error is returned.
 */
int trust_list_add(struct trust_list *l, const struct cert_facts *peer, enum trust_how how, int64_t now_s,
		   struct err *e);

/* Notes a session (last used, renewed key) on disk. -ENOENT when it is not listed, -EPERM for another issuer's. */
int trust_list_used(struct trust_list *l, const struct cert_facts *peer, int64_t now_s, struct err *e);

/* Removes one serial and writes the file. -ENOENT when it is not listed. */
int trust_list_remove(struct trust_list *l, const char *serial, struct err *e);

const char *trust_how_name(enum trust_how how); /* "first-contact", "pinned", "register-device", "manager-initiated" */

/* The ten slots as JSON, {"slots":10,"entries":[{"slot","serial","issuer-key","key","added","how","last-used"}]}: the
 * file's form and `fgfmctl --json trust-list`. Slots count from 1 without gaps; times are seconds since 1970. A reader
 * ignores keys it does not know, so that a box survives a downgrade. The caller frees it. NULL: no memory. */
struct cJSON *trust_list_json(const struct trust_list *l);

#endif
