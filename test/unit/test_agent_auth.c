/* agent/auth: every combination of the three checks, and what each says. */
#include "agent/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "test/unit/rollback_fixture.h"

#define SERIAL "FMG-VM0000000001"
#define OTHER "FMG-VM0000000002"
#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define CA_2 "2222222222222222222222222222222222222222222222222222222222222222"

enum { EXPIRED = 1 /* MBEDTLS_X509_BADCERT_EXPIRED */ };

/* What the list holds, seen from a manager SERIAL with CA_1 and KEY_A. */
enum holds { NOTHING, DAMAGE, OTHERS, TEN_OTHERS, IT, IT_OLD_KEY, IT_OTHER_ISSUER, LISTS };

static const char *const list_names[LISTS] = {"empty list",  "damaged list", "others in the list", "full of others",
					      "in the list", "older key",    "other issuer"};

static struct cert_facts
facts(const char *serial, const char *issuer_key, const char *key)
{
	struct cert_facts f = {.manager = true, .server_auth = true, .signs = true};

	snprintf(f.serial, sizeof(f.serial), "%s", serial);
	snprintf(f.issuer_key, sizeof(f.issuer_key), "%s", issuer_key);
	snprintf(f.key, sizeof(f.key), "%s", key);
	return f;
}

static void
add(struct trust_list *l, const char *serial, const char *issuer_key, const char *key)
{
	struct cert_facts f = facts(serial, issuer_key, key);
	struct err e = ERR_NONE;

	if (trust_list_add(l, &f, TRUST_FIRST_CONTACT, 1, &e))
		fail_msg("%s", e.text);
}

static struct trust_list *
list_of(enum holds what)
{
	struct trust_list *l = NULL;
	struct err e = ERR_NONE;
	char name[40];

	fixture_empty();
	assert_int_equal(file_make_dir(fixture_dir, 0700, &e), 0);
	if (what == DAMAGE)
		fixture_write("list.json", "{");
	trust_list_load(fixture_path("list.json"), &l, &e);
	assert_non_null(l);
	for (int i = 0; i < (what == OTHERS ? 1 : what == TEN_OTHERS ? TRUST_SLOTS : 0); i++) {
		snprintf(name, sizeof(name), "FMG-VM00000001%02d", i);
		add(l, name, CA_1, KEY_B);
	}
	if (what >= IT)
		add(l, SERIAL, what == IT_OTHER_ISSUER ? CA_2 : CA_1, what == IT_OLD_KEY ? KEY_B : KEY_A);
	return l;
}

/* A certificate of SERIAL as the handshake leaves it. */
static struct cert_check
peer_of(const char *serial, bool seen, uint32_t flags)
{
	struct cert_check c;

	cert_check_init(&c, 1767225600);
	c.seen = seen;
	c.flags = seen ? flags : c.flags;
	c.blamed_flags = flags;
	if (seen)
		c.facts = c.blamed = facts(serial, CA_1, KEY_A);
	return c;
}

/* What the administrator has said. */
enum says { NOT_A_WORD, PINNED, PINNED_OTHER, ADMITTED, ADMITTED_OTHER, POLICIES };

static const char *const policy_names[POLICIES] = {"no policy", "pinned", "another pinned", "admitted",
						   "another admitted"};

static struct auth_policy
policy_of(enum says what, const struct trust_list *l)
{
	static const char *const pins[] = {OTHER, SERIAL}, *const other_pin[] = {OTHER};
	struct auth_policy p = {.list = l};

	switch (what) {
	case PINNED:
		p.pins = pins;
		p.pin_count = 2;
		break;
	case PINNED_OTHER:
		p.pins = other_pin;
		p.pin_count = 1;
		break;
	case ADMITTED:
		p.admitted = SERIAL;
		break;
	case ADMITTED_OTHER:
		p.admitted = OTHER;
		break;
	default:
		break;
	}
	return p;
}

/* Wire profile, section 4, as a table: what check 2 alone leads to. */
static const struct {
	enum auth_result result[POLICIES];
} admission[LISTS] = {
    [NOTHING] = {{AUTH_FIRST_CONTACT, AUTH_FIRST_CONTACT, AUTH_DENIED, AUTH_REGISTER, AUTH_FIRST_CONTACT}},
    [DAMAGE] = {{AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_REGISTER, AUTH_DENIED}},
    [OTHERS] = {{AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_REGISTER, AUTH_DENIED}},
    [TEN_OTHERS] = {{AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_DENIED}},
    [IT] = {{AUTH_LISTED, AUTH_LISTED, AUTH_LISTED, AUTH_LISTED, AUTH_LISTED}},
    [IT_OLD_KEY] = {{AUTH_RENEWED, AUTH_RENEWED, AUTH_RENEWED, AUTH_RENEWED, AUTH_RENEWED}},
    [IT_OTHER_ISSUER] = {{AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_DENIED, AUTH_DENIED}},
};

/* Check 1 and check 3, each in every way. */
static const struct {
	const char *what, *reply;
	bool seen;
	uint32_t flags;
	enum cert_verdict first, third;
} ways[] = {
    {"no reply", NULL, true, 0, VERDICT_NOT_MADE, VERDICT_PASS},
    {"no reply, bad certificate", NULL, true, EXPIRED, VERDICT_NOT_MADE, VERDICT_FAIL},
    {"no certificate", SERIAL, false, 0, VERDICT_NOT_MADE, VERDICT_NOT_MADE},
    {"neither", NULL, false, 0, VERDICT_NOT_MADE, VERDICT_NOT_MADE},
    {"another serial", OTHER, true, 0, VERDICT_FAIL, VERDICT_PASS},
    {"another serial, bad certificate", OTHER, true, EXPIRED, VERDICT_FAIL, VERDICT_FAIL},
    {"empty serial", "", true, 0, VERDICT_FAIL, VERDICT_PASS},
    {"other case", "fmg-vm0000000001", true, 0, VERDICT_FAIL, VERDICT_PASS},
    {"a part of it", "FMG-VM000000000", true, 0, VERDICT_FAIL, VERDICT_PASS},
    {"and more", SERIAL " ", true, 0, VERDICT_FAIL, VERDICT_PASS},
    {"bad certificate", SERIAL, true, EXPIRED, VERDICT_PASS, VERDICT_FAIL},
    {"every flag", SERIAL, true, ~0u, VERDICT_PASS, VERDICT_FAIL},
    {"all well", SERIAL, true, 0, VERDICT_PASS, VERDICT_PASS},
};

static void
judge_one(const struct auth_policy *p, size_t way, enum auth_result may)
{
	struct cert_check peer = peer_of(SERIAL, ways[way].seen, ways[way].flags);
	enum cert_verdict second = !ways[way].seen ? VERDICT_NOT_MADE : may ? VERDICT_PASS : VERDICT_FAIL;
	const enum cert_verdict verdicts[AUTH_CHECKS] = {ways[way].first, second, ways[way].third};
	struct auth_report r;
	bool all = true;

	memset(&r, 0x5a, sizeof(r));
	auth_judge(p, ways[way].reply, &peer, &r);
	for (size_t i = 0; i < AUTH_CHECKS; i++) {
		all = all && verdicts[i] == VERDICT_PASS;
		assert_int_equal(r.check[i].verdict, verdicts[i]);
		assert_true(r.check[i].text[0]);
	}
	assert_int_equal(r.result, all ? may : AUTH_DENIED);
	assert_int_equal(!r.reason[0], r.result != AUTH_DENIED);
}

static void
every_combination(void **state)
{
	(void)state;
	for (int what = 0; what < LISTS; what++) {
		struct trust_list *l = list_of((enum holds)what);

		for (int says = 0; says < POLICIES; says++) {
			const struct auth_policy p = policy_of((enum says)says, l);

			for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
				print_message("  %s, %s, %s\n", list_names[what], policy_names[says], ways[way].what);
				judge_one(&p, way, admission[what].result[says]);
			}
		}
		trust_list_free(l);
	}
}

/* A manager that has opened the connection: with an empty list credentials count, and nowhere else. */
static void
logins(void **state)
{
	static const struct {
		const char *what;
		enum auth_login login;
		enum auth_result first; /* where first contact would be the answer */
	} cases[] = {
	    {"to be asked for", LOGIN_WANTED, AUTH_LOGIN},
	    {"good", LOGIN_GOOD, AUTH_FIRST_CONTACT},
	    {"bad", LOGIN_BAD, AUTH_DENIED},
	    {"locked", LOGIN_LOCKED, AUTH_DENIED},
	};

	(void)state;
	for (int what = 0; what < LISTS; what++) {
		struct trust_list *l = list_of((enum holds)what);

		for (int says = 0; says < POLICIES; says++) {
			for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
				struct auth_policy p = policy_of((enum says)says, l);
				enum auth_result may = admission[what].result[says];

				p.login = cases[i].login;
				print_message("  %s, %s, login %s\n", list_names[what], policy_names[says],
					      cases[i].what);
				for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
					judge_one(&p, way, may == AUTH_FIRST_CONTACT ? cases[i].first : may);
			}
		}
		trust_list_free(l);
	}
}

static void
a_login_says_how_it_came(void **state)
{
	struct trust_list *l = list_of(NOTHING);
	struct auth_policy p = {.list = l, .login = LOGIN_GOOD};
	struct cert_check peer = peer_of(SERIAL, true, 0);
	struct auth_report r;

	(void)state;
	auth_judge(&p, SERIAL, &peer, &r);
	assert_int_equal(r.how, TRUST_MANAGER_INITIATED);
	p.login = LOGIN_LOCKED;
	auth_judge(&p, SERIAL, &peer, &r);
	assert_non_null(strstr(r.reason, "too many logins have failed"));
	p.login = LOGIN_BAD;
	auth_judge(&p, SERIAL, &peer, &r);
	assert_non_null(strstr(r.reason, "not a local administrator's"));
	trust_list_free(l);
}

/* A failed check is the reason before one that could not be made, and the first one before later ones. */
static void
reason_is_the_first_failure(void **state)
{
	static const struct {
		const char *what, *reply;
		bool seen;
		uint32_t flags;
		enum holds holds;
		int check; /* whose text is the reason */
	} rows[] = {
	    {"all fail", OTHER, true, EXPIRED, OTHERS, 0},
	    {"second and third fail", SERIAL, true, EXPIRED, OTHERS, 1},
	    {"only the third", SERIAL, true, EXPIRED, IT, 2},
	    {"first not made, third fails", NULL, true, EXPIRED, IT, 2},
	    {"first not made", NULL, true, 0, IT, 0},
	    {"nothing made", NULL, false, 0, IT, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cert_check peer = peer_of(SERIAL, rows[i].seen, rows[i].flags);
		struct trust_list *l = list_of(rows[i].holds);
		const struct auth_policy p = policy_of(NOT_A_WORD, l);
		struct auth_report r;

		print_message("  %s\n", rows[i].what);
		auth_judge(&p, rows[i].reply, &peer, &r);
		assert_int_equal(r.result, AUTH_DENIED);
		assert_string_equal(r.reason, r.check[rows[i].check].text);
		trust_list_free(l);
	}
}

/* Each text names what was compared and both values. */
static void
texts(void **state)
{
	static const struct {
		const char *what;
		enum holds holds;
		enum says says;
		const char *reply;
		bool seen;
		size_t check;
		const char *text;
	} rows[] = {
	    {"equal serials", IT, NOT_A_WORD, SERIAL, true, 0,
	     "serialno \"" SERIAL "\" in the reply equals \"" SERIAL "\" in the certificate"},
	    {"other serials", IT, NOT_A_WORD, OTHER, true, 0,
	     "serialno \"" OTHER "\" in the reply differs from \"" SERIAL "\" in the certificate"},
	    {"a hostile serial", IT, NOT_A_WORD, "\x1b[2J\n", true, 0,
	     "serialno \"\\x1b[2J\\n\" in the reply differs from \"" SERIAL "\" in the certificate"},
	    {"no reply", IT, NOT_A_WORD, NULL, true, 0, "no reply to get auth"},
	    {"no certificate", IT, NOT_A_WORD, SERIAL, false, 0, "no certificate was presented"},
	    {"no certificate, list", IT, NOT_A_WORD, SERIAL, false, 1, "the manager's serial number is not known"},
	    {"no certificate, third", IT, NOT_A_WORD, SERIAL, false, 2, "no certificate was presented"},
	    {"in the list", IT, NOT_A_WORD, SERIAL, true, 1, SERIAL " is in the list"},
	    {"renewed", IT_OLD_KEY, NOT_A_WORD, SERIAL, true, 1,
	     SERIAL " is in the list; its key is new, its issuer the same"},
	    {"other issuer", IT_OTHER_ISSUER, NOT_A_WORD, SERIAL, true, 1,
	     SERIAL " is in the list with issuer key 2222222222222222..., the certificate's issuer key is "
		    "1111111111111111..."},
	    {"the profile's words", OTHERS, NOT_A_WORD, SERIAL, true, 1,
	     "connection denied; sn " SERIAL " is not in the current list"},
	    {"damaged", DAMAGE, NOT_A_WORD, SERIAL, true, 1,
	     "connection denied; sn " SERIAL " is not in the current list (the list's file was damaged: nobody is "
	     "admitted by first contact)"},
	    {"the profile's words for a full list", TEN_OTHERS, ADMITTED, SERIAL, true, 1, "trusted list full (10)"},
	    {"not pinned", NOTHING, PINNED_OTHER, SERIAL, true, 1,
	     "connection denied; sn " SERIAL " is not one of the 1 configured serial numbers"},
	    {"pinned", NOTHING, PINNED, SERIAL, true, 1, "the list is empty: first contact with " SERIAL " (pinned)"},
	    {"first contact", NOTHING, NOT_A_WORD, SERIAL, true, 1, "the list is empty: first contact with " SERIAL},
	    {"admitted", OTHERS, ADMITTED, SERIAL, true, 1, SERIAL " is admitted by register-device"},
	    {"valid", IT, NOT_A_WORD, SERIAL, true, 2, "chain, dates, key usage and revocation are in order"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cert_check peer = peer_of(SERIAL, rows[i].seen, 0);
		struct trust_list *l = list_of(rows[i].holds);
		const struct auth_policy p = policy_of(rows[i].says, l);
		struct auth_report r;

		print_message("  %s\n", rows[i].what);
		auth_judge(&p, rows[i].reply, &peer, &r);
		assert_string_equal(r.check[rows[i].check].text, rows[i].text);
		trust_list_free(l);
	}
}

static void
bad_certificate_in_the_words_of_its_check(void **state)
{
	struct cert_check peer = peer_of(SERIAL, true, EXPIRED);
	struct trust_list *l = list_of(IT);
	const struct auth_policy p = policy_of(NOT_A_WORD, l);
	struct auth_report r;
	char why[320];

	(void)state;
	auth_judge(&p, SERIAL, &peer, &r);
	assert_string_equal(r.check[2].text, cert_why(why, sizeof(why), &peer));
	assert_true(why[0]);
	trust_list_free(l);
}

/* A serial that nobody has proves nothing, even when both sides name none. */
static void
no_serial_equals_no_serial(void **state)
{
	struct cert_check peer = peer_of("", true, 0);
	struct trust_list *l = list_of(NOTHING);
	const struct auth_policy p = {.list = l, .admitted = ""};
	struct auth_report r;

	(void)state;
	auth_judge(&p, "", &peer, &r);
	assert_int_equal(r.check[0].verdict, VERDICT_FAIL);
	assert_int_equal(r.check[1].verdict, VERDICT_NOT_MADE);
	assert_int_equal(r.result, AUTH_DENIED);
	trust_list_free(l);
}

static void
a_check_that_saw_nothing_fails(void **state)
{
	struct trust_list *l = list_of(NOTHING);
	const struct auth_policy p = {.list = l};
	struct cert_check fresh;
	struct auth_report r;

	(void)state;
	cert_check_init(&fresh, 0);
	auth_judge(&p, SERIAL, &fresh, &r);
	assert_int_equal(r.result, AUTH_DENIED);
	fresh.seen = true;
	fresh.facts = facts(SERIAL, CA_1, KEY_A);
	auth_judge(&p, SERIAL, &fresh, &r);
	assert_int_equal(r.check[2].verdict, VERDICT_FAIL);
	assert_int_equal(r.result, AUTH_DENIED);
	trust_list_free(l);
}

static void
how_it_would_enter(void **state)
{
	static const struct {
		const char *what;
		enum holds holds;
		enum says says;
		enum trust_how how;
	} rows[] = {
	    {"first contact", NOTHING, NOT_A_WORD, TRUST_FIRST_CONTACT},
	    {"pinned", NOTHING, PINNED, TRUST_PINNED},
	    {"register-device, empty list", NOTHING, ADMITTED, TRUST_REGISTER_DEVICE},
	    {"register-device, others", OTHERS, ADMITTED, TRUST_REGISTER_DEVICE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cert_check peer = peer_of(SERIAL, true, 0);
		struct trust_list *l = list_of(rows[i].holds);
		const struct auth_policy p = policy_of(rows[i].says, l);
		struct auth_report r;

		print_message("  %s\n", rows[i].what);
		auth_judge(&p, SERIAL, &peer, &r);
		assert_int_equal(r.how, rows[i].how);
		trust_list_free(l);
	}
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(auth_check_name(0), "serial number");
	assert_string_equal(auth_check_name(1), "trusted list");
	assert_string_equal(auth_check_name(2), "certificate");
	assert_string_equal(auth_verdict_name(VERDICT_PASS), "passed");
	assert_string_equal(auth_verdict_name(VERDICT_FAIL), "failed");
	assert_string_equal(auth_verdict_name(VERDICT_NOT_MADE), "not made");
}

#define WITH_LISTS(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_LISTS(every_combination),
	    WITH_LISTS(logins),
	    WITH_LISTS(a_login_says_how_it_came),
	    WITH_LISTS(reason_is_the_first_failure),
	    WITH_LISTS(texts),
	    WITH_LISTS(bad_certificate_in_the_words_of_its_check),
	    WITH_LISTS(no_serial_equals_no_serial),
	    WITH_LISTS(a_check_that_saw_nothing_fails),
	    WITH_LISTS(how_it_would_enter),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
