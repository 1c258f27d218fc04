/* rollback/receipt: what is remembered of installs. */
// wrap: open write fsync rename unlink link fallocate
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "rollback/install.h"
#include "rollback/receipt.h"
#include "test/unit/rollback_faults.h"
#include "test/unit/rollback_fixture.h"

static struct receipts *
open_them(void)
{
	struct receipts *rs = NULL;
	struct err e = ERR_NONE;

	assert_int_equal(receipts_open(fixture_dir, &rs, &e), 0);
	return rs;
}

static struct receipt
sample(const char *id, enum receipt_verdict v)
{
	struct receipt r;

	receipt_init(&r);
	snprintf(r.id, sizeof(r.id), "%s", id);
	snprintf(r.manager, sizeof(r.manager), "FMG-VM0000000001");
	snprintf(r.set_digest, sizeof(r.set_digest), "aa");
	snprintf(r.unset_digest, sizeof(r.unset_digest), "bb");
	snprintf(r.cause, sizeof(r.cause), "no session");
	r.when_s = 1700000000;
	r.verdict = v;
	return r;
}

static void
add(struct receipts *rs, const char *id, enum receipt_verdict v)
{
	struct receipt r = sample(id, v);
	struct err e = ERR_NONE;

	assert_int_equal(receipts_add(rs, &r, &e), 0);
	assert_string_equal(r.id, "");
}

static const char good_line[] =
    "{\"id\":\"a\",\"manager\":\"FMG\",\"verdict\":\"committed\",\"cause\":\"\",\"when\":1,\"set-digest\":\"\","
    "\"unset-digest\":\"\",\"counts\":{},\"failures\":[],\"restored\":0,\"times\":{},\"delivered\":false}";

static void
line_that_is_wrong(void **state)
{
	static const struct {
		const char *what, *from, *to;
	} rows[] = {
	    {"no id", "\"id\":\"a\",", ""},
	    {"id is a number", "\"a\"", "7"},
	    {"unknown verdict", "committed", "perhaps"},
	    {"when is text", "\"when\":1", "\"when\":\"1\""},
	    {"count of no code", "\"counts\":{}", "\"counts\":{\"x\":1}"},
	    {"count negative", "\"counts\":{}", "\"counts\":{\"0\":-1}"},
	    {"counts are a list", "\"counts\":{}", "\"counts\":[]"},
	    {"failure without command", "\"failures\":[]",
	     "\"failures\":[{\"code\":-1,\"line\":1,\"script\":\"set\"}]"},
	    {"failure is no object", "\"failures\":[]", "\"failures\":[1]"},
	    {"restored negative", "\"restored\":0", "\"restored\":-1"},
	    {"time negative", "\"times\":{}", "\"times\":{\"testing\":-1}"},
	    {"dry run is a list", "\"failures\":[]", "\"failures\":[],\"dry-run\":[]"},
	    {"dry run without commands", "\"failures\":[]", "\"failures\":[],\"dry-run\":{}"},
	    {"more reversible than there are", "\"failures\":[]",
	     "\"failures\":[],\"dry-run\":{\"commands\":1,\"reversible\":2,\"back\":true,\"not-reversible\":[]}"},
	    {"dry run without names", "\"failures\":[]",
	     "\"failures\":[],\"dry-run\":{\"commands\":2,\"reversible\":1,\"back\":false}"},
	    {"a name without its line", "\"failures\":[]",
	     "\"failures\":[],\"dry-run\":{\"commands\":2,\"reversible\":1,\"back\":false,\"not-reversible\":"
	     "[{\"command\":\"x\"}]}"},
	    {"delivered is a number", "\"delivered\":false", "\"delivered\":0"},
	    {"cause too long", "\"cause\":\"\"", NULL},
	    {"cut off", "}", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at =
		    i + 1 == sizeof(rows) / sizeof(rows[0]) ? strrchr(good_line, '}') : strstr(good_line, rows[i].from);
		char text[4096], longer[400];
		struct receipts *rs;

		snprintf(longer, sizeof(longer), "\"cause\":\"%0300d\"", 0);
		snprintf(text, sizeof(text), "%s\n%.*s%s%s\n%s\n", good_line, (int)(at - good_line), good_line,
			 rows[i].to ? rows[i].to : longer, at + strlen(rows[i].from), good_line);
		fixture_write("receipts.jsonl", text);
		rs = open_them();
		if (receipts_count(rs) != 2 || !fixture_exists("receipts.jsonl.corrupt") || !receipts_unwritten(rs))
			fail_msg("%s: %zu kept", rows[i].what, receipts_count(rs));
		receipts_free(rs);
	}
}

static void
unreadable_file_is_kept_aside(void **state)
{
	struct receipts *rs;
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(mkdir(fixture_path("receipts.jsonl"), 0700), 0);
	rs = open_them();
	assert_int_equal(receipts_count(rs), 0);
	assert_true(fixture_exists("receipts.jsonl.corrupt"));
	assert_int_equal(receipts_flush(rs, &e), 0);
	receipts_free(rs);
}

static void
everything_survives_the_file(void **state)
{
	struct receipts *rs = open_them();
	struct receipt r = sample("id-1", RECEIPT_ROLLED_BACK);
	const struct receipt *back;
	struct err e = ERR_NONE;

	(void)state;
	receipt_count(&r, 0);
	receipt_count(&r, 0);
	receipt_count(&r, -23);
	assert_int_equal(receipt_fail(&r, -23, 8, true, "unset type"), 0);
	assert_int_equal(receipt_fail(&r, -61, 2, false, "set \"x\"\ty \xc3\xbc"), 0);
	r.spent_ms[INSTALL_TESTING] = 900000;
	r.restored = 3;
	assert_int_equal(receipts_add(rs, &r, &e), 0);
	receipts_free(rs);
	rs = open_them();
	back = receipts_find(rs, "id-1");
	assert_non_null(back);
	assert_string_equal(back->manager, "FMG-VM0000000001");
	assert_string_equal(back->cause, "no session");
	assert_string_equal(back->set_digest, "aa");
	assert_string_equal(back->unset_digest, "bb");
	assert_int_equal(back->when_s, 1700000000);
	assert_int_equal(back->verdict, RECEIPT_ROLLED_BACK);
	assert_int_equal(back->count_used, 2);
	assert_int_equal(back->counts[0].times, 2);
	assert_int_equal(back->counts[1].code, -23);
	assert_int_equal(back->failure_count, 2);
	assert_true(back->failures[0].unset);
	assert_int_equal(back->failures[0].line, 8);
	assert_string_equal(back->failures[1].text, "set \"x\"\ty \xc3\xbc");
	assert_int_equal(back->spent_ms[INSTALL_TESTING], 900000);
	assert_int_equal(back->restored, 3);
	assert_false(back->delivered);
	receipts_free(rs);
}

static void
failures_are_bounded(void **state)
{
	struct receipt r = sample("x", RECEIPT_REFUSED);
	char text[RECEIPT_COMMAND_MAX + 10];

	(void)state;
	memset(text, 'a', sizeof(text));
	/* a sequence of two bytes across the limit goes as a whole */
	memcpy(text + RECEIPT_COMMAND_MAX - 1, "\xc3\xbc", 2);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < RECEIPT_FAILURES + 5; i++)
		assert_int_equal(receipt_fail(&r, -1, 1, false, text), 0);
	assert_int_equal(r.failure_count, RECEIPT_FAILURES);
	assert_int_equal(strlen(r.failures[0].text), RECEIPT_COMMAND_MAX - 1);
	for (int i = 0; i < RECEIPT_CODES + 5; i++)
		receipt_count(&r, -i);
	assert_int_equal(r.count_used, RECEIPT_CODES);
	receipt_clear(&r);
	assert_null(r.failures);
}

static void
newest_hundred_are_kept(void **state)
{
	struct receipts *rs = open_them();
	char id[16];

	(void)state;
	for (int i = 0; i < RECEIPTS_KEPT + 3; i++) {
		snprintf(id, sizeof(id), "id-%d", i);
		add(rs, id, RECEIPT_COMMITTED);
	}
	receipts_free(rs);
	rs = open_them();
	assert_int_equal(receipts_count(rs), RECEIPTS_KEPT);
	assert_string_equal(receipts_at(rs, 0)->id, "id-3");
	assert_null(receipts_at(rs, RECEIPTS_KEPT));
	assert_null(receipts_find(rs, "id-2"));
	receipts_free(rs);
}

static void
write_that_fails_keeps_it_in_memory(void **state)
{
	int n = 0;

	(void)state;
	do {
		struct receipts *rs;
		struct receipt r = sample("late", RECEIPT_ROLLED_BACK);
		struct err e = ERR_NONE;
		int rc;

		unlink(fixture_path("receipts.jsonl"));
		rs = open_them();
		add(rs, "early", RECEIPT_COMMITTED);
		faults_set(FAULT_ONCE, ++n, ENOSPC);
		rc = receipts_add(rs, &r, &e);
		faults.kind = FAULT_NONE;
		assert_int_equal(receipts_count(rs), 2);
		assert_true(rc ? receipts_unwritten(rs) : !receipts_unwritten(rs));
		assert_int_equal(receipts_flush(rs, &e), 0);
		receipts_free(rs);
		rs = open_them();
		assert_int_equal(receipts_count(rs), 2);
		receipts_free(rs);
	} while (faults.hit);
	faults_clear();
}

static void
delivery_goes_oldest_first(void **state)
{
	struct receipts *rs = open_them();
	struct err e = ERR_NONE;

	(void)state;
	add(rs, "one", RECEIPT_COMMITTED);
	add(rs, "two", RECEIPT_COMMITTED);
	add(rs, "one", RECEIPT_ROLLED_BACK);
	assert_null(receipts_undelivered(rs, "FMG-VM0000000002"));
	assert_string_equal(receipts_undelivered(rs, "FMG-VM0000000001")->id, "one");
	assert_int_equal(receipts_delivered(rs, "one", &e), 0);
	assert_string_equal(receipts_undelivered(rs, NULL)->id, "two");
	assert_int_equal(receipts_delivered(rs, "two", &e), 0);
	receipts_free(rs);
	rs = open_them();
	assert_int_equal(receipts_undelivered(rs, NULL)->verdict, RECEIPT_ROLLED_BACK);
	assert_int_equal(receipts_delivered(rs, "one", &e), 0);
	assert_null(receipts_undelivered(rs, NULL));
	assert_int_equal(receipts_delivered(rs, "one", &e), -ENOENT);
	receipts_free(rs);
}

static void
same_install_is_known_again(void **state)
{
	static const struct {
		const char *what;
		enum receipt_verdict verdicts[2];
		size_t n;
		bool known;
	} rows[] = {
	    {"never seen", {0}, 0, false},
	    {"committed", {RECEIPT_COMMITTED}, 1, false},
	    {"rolled back", {RECEIPT_ROLLED_BACK}, 1, true},
	    {"rebooted", {RECEIPT_REBOOTED}, 1, true},
	    {"power lost", {RECEIPT_POWER_LOST}, 1, true},
	    {"refused: it never ran", {RECEIPT_REFUSED}, 1, false},
	    {"refused after a rollback", {RECEIPT_ROLLED_BACK, RECEIPT_REFUSED}, 2, true},
	    {"forced, and good this time", {RECEIPT_ROLLED_BACK, RECEIPT_COMMITTED}, 2, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct receipts *rs;

		unlink(fixture_path("receipts.jsonl"));
		rs = open_them();
		for (size_t k = 0; k < rows[i].n; k++)
			add(rs, "id", rows[i].verdicts[k]);
		if ((receipts_rolled_back(rs, "aa", "bb") != NULL) != rows[i].known)
			fail_msg("%s", rows[i].what);
		assert_null(receipts_rolled_back(rs, "aa", "cc"));
		assert_null(receipts_rolled_back(rs, "cc", "bb"));
		receipts_free(rs);
	}
}

static void
json_has_the_documented_keys(void **state)
{
	static const char *const keys[] = {"id",           "manager", "verdict",  "cause",    "when",  "set-digest",
					   "unset-digest", "counts",  "failures", "restored", "times", "delivered"};
	struct receipt r = sample("x", RECEIPT_POWER_LOST);
	struct cJSON *j;
	const char *verdict = NULL;

	(void)state;
	r.spent_ms[INSTALL_APPLYING] = 5;
	j = receipt_json(&r);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_get(j, keys[i]));
	assert_int_equal(json_get_str(j, "verdict", &verdict, NULL), 0);
	assert_string_equal(verdict, "power-lost");
	assert_non_null(json_get(json_get_object(j, "times"), "applying"));
	json_free(j);
	receipt_clear(&r);
}

/* What the dry run found, named as far as the receipt goes; a receipt of an earlier version reads as one without. */
static void
dry_run_survives_the_file(void **state)
{
	struct receipt r = sample("dry", RECEIPT_COMMITTED);
	struct receipts *rs;
	const struct receipt *back;
	struct err e = ERR_NONE;
	char line[200];

	(void)state;
	fixture_write("receipts.jsonl", good_line);
	rs = open_them();
	r.dry.made = true;
	r.dry.commands = 43;
	r.dry.reversible = 41;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (unsigned i = 0; i < RECEIPT_NAMED + 3; i++)
		assert_int_equal(receipt_name(&r, i, i ? "delete \"x\"" : line), 0);
	assert_int_equal(receipts_add(rs, &r, &e), 0);
	receipts_free(rs);
	rs = open_them();
	assert_int_equal(receipts_count(rs), 2);
	assert_false(receipts_at(rs, 0)->dry.made);
	back = receipts_at(rs, 1);
	assert_true(back->dry.made);
	assert_false(back->dry.back);
	assert_int_equal(back->dry.commands, 43);
	assert_int_equal(back->dry.reversible, 41);
	assert_int_equal(back->dry.named_count, RECEIPT_NAMED);
	assert_int_equal(strlen(back->dry.named[0].text), RECEIPT_COMMAND_MAX);
	assert_int_equal(back->dry.named[RECEIPT_NAMED - 1].line, RECEIPT_NAMED - 1);
	assert_string_equal(back->dry.named[1].text, "delete \"x\"");
	receipts_free(rs);
}

/* No manager has sent it: none waits for it, and none can take it for its own by the same id. */
static void
made_on_the_device_goes_to_nobody(void **state)
{
	struct receipts *rs = open_them();
	struct receipt r = sample("same-id", RECEIPT_COMMITTED);
	struct err e = ERR_NONE;

	(void)state;
	r.manager[0] = '\0';
	assert_int_equal(receipts_add(rs, &r, &e), 0);
	assert_null(receipts_undelivered(rs, NULL));
	assert_null(receipts_undelivered(rs, ""));
	assert_int_equal(receipts_delivered(rs, "same-id", &e), -ENOENT);
	add(rs, "same-id", RECEIPT_COMMITTED);
	assert_string_equal(receipts_undelivered(rs, NULL)->manager, "FMG-VM0000000001");
	assert_int_equal(receipts_delivered(rs, "same-id", &e), 0);
	assert_false(receipts_at(rs, 0)->delivered);
	assert_true(receipts_at(rs, 1)->delivered);
	receipts_free(rs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(line_that_is_wrong, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(unreadable_file_is_kept_aside, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(everything_survives_the_file, fixture_setup, fixture_teardown),
	    cmocka_unit_test(failures_are_bounded),
	    cmocka_unit_test_setup_teardown(newest_hundred_are_kept, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(write_that_fails_keeps_it_in_memory, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(delivery_goes_oldest_first, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(same_install_is_known_again, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(dry_run_survives_the_file, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(made_on_the_device_goes_to_nobody, fixture_setup, fixture_teardown),
	    cmocka_unit_test(json_has_the_documented_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
