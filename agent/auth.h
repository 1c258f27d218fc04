/* auth: the three checks on a manager, in the guide's order, and what follows from them. Pure.
 *
 * Guide, "FortiGate to FortiManager authentication": serial in the reply against the certificate's, serial in the
 * trusted list, validity of the certificate. All three are reported, also those after a failed one, as far as they can
 * be made. The answer starts as "denied" and becomes anything else on the last line only.
 */
#ifndef AGENT_AUTH_H
#define AGENT_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "trustlist/cert.h"
#include "trustlist/trustlist.h"

enum auth_result {
	AUTH_DENIED,
	AUTH_LISTED,        /* in the list, same issuer and key */
	AUTH_RENEWED,       /* in the list, same issuer, a new key: to be logged and stored */
	AUTH_FIRST_CONTACT, /* list empty: unprivileged until registered */
	AUTH_REGISTER,      /* admitted by register-device: `get dev_register` comes first */
	AUTH_LOGIN,         /* all else is in order, but LOGIN_WANTED: to be judged again with what came of it */
};

/* What is known of the credentials in a manager's reply. */
enum auth_login {
	LOGIN_NOT_ASKED, /* this device has opened the connection: nobody has to log in */
	LOGIN_WANTED,    /* the manager has: first contact takes a local administrator's credentials */
	LOGIN_GOOD,
	LOGIN_BAD,
	LOGIN_LOCKED, /* too many were bad: none is looked at */
};

struct auth_policy {
	const struct trust_list *list;
	const char *const *pins; /* `set serial-number` of system central-management */
	size_t pin_count;
	const char *admitted; /* serial that register-device admits at this moment; NULL: none */
	enum auth_login login;
};

enum { AUTH_CHECKS = 3 };

struct auth_report {
	struct {
		enum cert_verdict verdict;
		char text[320]; /* what was compared, with the values */
	} check[AUTH_CHECKS];
	char serialno[80]; /* of the reply, escaped; "": there was none */
	enum auth_result result;
	enum trust_how how; /* how it would enter the list */
	char reason[320];   /* why it is denied, one line; "" otherwise */
};

/* `reply_serial` is NULL when no reply came (the handshake failed); `peer` may say that it saw no certificate. */
void auth_judge(const struct auth_policy *p, const char *reply_serial, const struct cert_check *peer,
		struct auth_report *out);

const char *auth_check_name(size_t check);                /* "serial number", "trusted list", "certificate" */
const char *auth_verdict_name(enum cert_verdict verdict); /* "passed", "failed", "not made" */

#endif
