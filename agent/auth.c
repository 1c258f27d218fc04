#include "agent/auth.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *
auth_check_name(size_t check)
{
	static const char *const names[AUTH_CHECKS] = {"serial number", "trusted list", "certificate"};

	return names[check];
}

const char *
auth_verdict_name(enum cert_verdict verdict)
{
	static const char *const names[] = {
	    [VERDICT_NOT_MADE] = "not made", [VERDICT_PASS] = "passed", [VERDICT_FAIL] = "failed"};

	return names[verdict];
}

static void
put(struct auth_report *r, size_t check, enum cert_verdict v, const char *text)
{
	r->check[check].verdict = v;
	snprintf(r->check[check].text, sizeof(r->check[check].text), "%s", text);
}

/* Check 1: the serial number in the authentication message against the one in the certificate. */
static void
judge_serial(const char *reply_serial, const struct cert_check *peer, struct auth_report *r)
{
	const char *own = peer->facts.serial;
	char shown[80], text[320];
	bool same;

	if (!peer->seen || !reply_serial) {
		put(r, 0, VERDICT_NOT_MADE, peer->seen ? "no reply to get auth" : "no certificate was presented");
		return;
	}
	/* an empty serial proves nothing, even when both are empty */
	same = own[0] && !strcmp(reply_serial, own);
	text_escape(shown, sizeof(shown), reply_serial, strlen(reply_serial));
	snprintf(text, sizeof(text), "serialno \"%s\" in the reply %s \"%s\" in the certificate", shown,
		 same ? "equals" : "differs from", own);
	put(r, 0, same ? VERDICT_PASS : VERDICT_FAIL, text);
}

static bool
is_pinned(const struct auth_policy *p, const char *serial)
{
	for (size_t i = 0; i < p->pin_count; i++) {
		if (!strcmp(p->pins[i], serial))
			return true;
	}
	return false;
}

/* First contact by a manager that has opened the connection itself: a local administrator has to vouch for it. */
static enum auth_result
judge_login(const struct auth_policy *p, const struct cert_facts *f, struct auth_report *r)
{
	const char *why = p->login == LOGIN_LOCKED ? "too many logins have failed, none is tried now"
						   : "user and password are not a local administrator's";
	char text[320];

	r->how = TRUST_MANAGER_INITIATED;
	if (p->login == LOGIN_GOOD || p->login == LOGIN_WANTED) {
		snprintf(text, sizeof(text), "the list is empty: first contact, opened by %s, with %s", f->serial,
			 p->login == LOGIN_GOOD ? "a local administrator's credentials" : "credentials to be checked");
		put(r, 1, VERDICT_PASS, text);
		return p->login == LOGIN_GOOD ? AUTH_FIRST_CONTACT : AUTH_LOGIN;
	}
	snprintf(text, sizeof(text), "connection denied; sn %s opened the first contact, but %s", f->serial, why);
	put(r, 1, VERDICT_FAIL, text);
	return AUTH_DENIED;
}

/* A serial that is not in the list: may it come in all the same? Fills check 2 and gives the way it comes in. */
static enum auth_result
judge_unlisted(const struct auth_policy *p, const struct cert_facts *f, struct auth_report *r)
{
	char text[320];

	if (p->admitted && !strcmp(p->admitted, f->serial)) {
		if (trust_list_count(p->list) >= TRUST_SLOTS) {
			put(r, 1, VERDICT_FAIL, "trusted list full (10)");
			return AUTH_DENIED;
		}
		snprintf(text, sizeof(text), "%s is admitted by register-device", f->serial);
		put(r, 1, VERDICT_PASS, text);
		r->how = TRUST_REGISTER_DEVICE;
		return AUTH_REGISTER;
	}
	if (trust_list_count(p->list) || trust_list_damaged(p->list)) {
		snprintf(text, sizeof(text), "connection denied; sn %s is not in the current list%s", f->serial,
			 trust_list_damaged(p->list)
			     ? " (the list's file was damaged: nobody is admitted by first contact)"
			     : "");
		put(r, 1, VERDICT_FAIL, text);
		return AUTH_DENIED;
	}
	if (p->pin_count && !is_pinned(p, f->serial)) {
		snprintf(text, sizeof(text), "connection denied; sn %s is not one of the %zu configured serial numbers",
			 f->serial, p->pin_count);
		put(r, 1, VERDICT_FAIL, text);
		return AUTH_DENIED;
	}
	if (p->login != LOGIN_NOT_ASKED)
		return judge_login(p, f, r);
	snprintf(text, sizeof(text), "the list is empty: first contact with %s%s", f->serial,
		 p->pin_count ? " (pinned)" : "");
	put(r, 1, VERDICT_PASS, text);
	r->how = p->pin_count ? TRUST_PINNED : TRUST_FIRST_CONTACT;
	return AUTH_FIRST_CONTACT;
}

/* Check 2: the serial number is in the local table of allowed ones. */
static enum auth_result
judge_list(const struct auth_policy *p, const struct cert_check *peer, struct auth_report *r)
{
	const struct cert_facts *f = &peer->facts;
	char text[320];

	if (!peer->seen || !f->serial[0]) {
		put(r, 1, VERDICT_NOT_MADE, "the manager's serial number is not known");
		return AUTH_DENIED;
	}
	switch (trust_list_check(p->list, f)) {
	case TRUST_LISTED:
		snprintf(text, sizeof(text), "%s is in the list", f->serial);
		put(r, 1, VERDICT_PASS, text);
		return AUTH_LISTED;
	case TRUST_RENEWED:
		snprintf(text, sizeof(text), "%s is in the list; its key is new, its issuer the same", f->serial);
		put(r, 1, VERDICT_PASS, text);
		return AUTH_RENEWED;
	case TRUST_OTHER_ISSUER:
		snprintf(text, sizeof(text),
			 "%s is in the list with issuer key %.16s..., the certificate's issuer key is %.16s...",
			 f->serial, trust_list_find(p->list, f->serial)->issuer_key,
			 f->issuer_key[0] ? f->issuer_key : "unknown");
		put(r, 1, VERDICT_FAIL, text);
		return AUTH_DENIED;
	case TRUST_UNKNOWN:
		break;
	}
	return judge_unlisted(p, f, r);
}

/* Check 3: validity of the certificate, as the handshake found it. */
static void
judge_certificate(const struct cert_check *peer, struct auth_report *r)
{
	char why[320];

	if (!peer->seen)
		put(r, 2, VERDICT_NOT_MADE, "no certificate was presented");
	else if (peer->flags)
		put(r, 2, VERDICT_FAIL, cert_why(why, sizeof(why), peer));
	else
		put(r, 2, VERDICT_PASS, "chain, dates, key usage and revocation are in order");
}

/* The text of the first check with this verdict; NULL: none has it. */
static const char *
first_with(const struct auth_report *r, enum cert_verdict v)
{
	for (size_t i = 0; i < AUTH_CHECKS; i++) {
		if (r->check[i].verdict == v)
			return r->check[i].text;
	}
	return NULL;
}

void
auth_judge(const struct auth_policy *p, const char *reply_serial, const struct cert_check *peer,
	   struct auth_report *out)
{
	struct auth_report r = {.result = AUTH_DENIED};
	enum auth_result way;
	const char *why;

	judge_serial(reply_serial, peer, &r);
	if (reply_serial)
		text_escape(r.serialno, sizeof(r.serialno), reply_serial, strlen(reply_serial));
	way = judge_list(p, peer, &r);
	judge_certificate(peer, &r);
	why = first_with(&r, VERDICT_FAIL);
	if (!why)
		why = first_with(&r, VERDICT_NOT_MADE);
	if (why)
		snprintf(r.reason, sizeof(r.reason), "%s", why);
	else
		r.result = way;
	*out = r;
}
