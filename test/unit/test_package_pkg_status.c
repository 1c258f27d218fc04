/* package/pkg_status: what is known survives; a damaged file is kept aside and begins anew. */
// wrap: log_event
#include "package/pkg_status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/package_box.h"

static const struct object_type *
kind(const char *name)
{
	return types_called(name);
}

static void
test_kept(void **state)
{
	const struct pkg_record *r;
	bool wrote = true;

	(void)state;
	assert_int_equal(box_open(), 0);
	assert_int_equal(pkg_status_save(box.status, &wrote, NULL), 0);
	assert_false(wrote);
	pkg_status_installed(box.status, kind("idsdb"), UPDATE_MANUAL, 100);
	pkg_status_installed(box.status, kind("aven"), UPDATE_AUTOMATIC, 200);
	pkg_status_unchanged(box.status, kind("idsdb"), 300);
	pkg_status_unchanged(box.status, kind("geoip"), 300);
	assert_int_equal(pkg_status_save(box.status, &wrote, NULL), 0);
	assert_true(wrote);
	assert_int_equal(pkg_status_save(box.status, &wrote, NULL), 0);
	assert_false(wrote);
	assert_int_equal(box_reopen(), 0);
	r = pkg_status_of(box.status, kind("idsdb"));
	assert_true(r->updated_s == 100 && r->way == UPDATE_MANUAL && r->attempted_s == 300);
	assert_string_equal(pkg_last_result_name(r->result), "No Updates");
	r = pkg_status_of(box.status, kind("aven"));
	assert_true(r->updated_s == 200 && r->attempted_s == 200);
	assert_string_equal(pkg_last_result_name(r->result), "Updates Installed");
	assert_string_equal(pkg_way_name(r->way), "scheduled");
	r = pkg_status_of(box.status, kind("geoip"));
	assert_true(r->updated_s == 0 && r->attempted_s == 300);
	r = pkg_status_of(box.status, kind("virdb"));
	assert_true(r->attempted_s == 0 && r->expires == 0);
	assert_string_equal(pkg_last_result_name(r->result), "n/a");
}

static void
write_status(const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/status.json", box.folder);
	assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL, NULL), 0);
}

static const struct {
	const char *what, *text, *reason;
} damaged[] = {
    {"no bytes", "", ""},
    {"no JSON", "{\"idsdb\": ", ""},
    {"an array", "[]", "an object expected"},
    {"a number", "{\"idsdb\": 5}", "an object expected"},
    {"a way that is none",
     "{\"idsdb\": {\"way\": \"luck\", \"updated\": 1, \"attempted\": 1, \"result\": 1, \"expires\": 0}}",
     "scheduled, manual or ha expected"},
    {"a key that is missing", "{\"idsdb\": {\"way\": \"manual\", \"updated\": 1, \"attempted\": 1, \"result\": 1}}",
     "expires"},
    {"a result that is none",
     "{\"idsdb\": {\"way\": \"manual\", \"updated\": 1, \"attempted\": 1, \"result\": 3, \"expires\": 0}}", "result"},
};

static void
test_damaged(void **state)
{
	char aside[256];

	(void)state;
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		bool wrote = false;

		assert_int_equal(box_open(), 0);
		write_status(damaged[i].text);
		assert_int_equal(box_reopen(), 0);
		if (!box_event("0100053430 1 Package status damaged|") || !box_event(damaged[i].reason))
			fail_msg("%s: %s", damaged[i].what, box_text(&box.events));
		assert_int_equal(pkg_status_of(box.status, kind("idsdb"))->updated_s, 0);
		snprintf(aside, sizeof(aside), "%s/status.json.corrupt", box.folder);
		assert_int_equal(access(aside, F_OK), 0);
		/* and is written anew */
		assert_int_equal(pkg_status_save(box.status, &wrote, NULL), 0);
		assert_true(wrote);
		box_hush();
		assert_int_equal(box_reopen(), 0);
		assert_int_equal(box.events.len, 0);
	}
}

/* Of a later version of this program. */
static void
test_unknown_kind(void **state)
{
	(void)state;
	assert_int_equal(box_open(), 0);
	write_status("{\"newdb\": 7, \"idsdb\": {\"way\": \"ha\", \"updated\": 5, \"attempted\": 6, \"result\": 1, "
		     "\"expires\": 20310101}}");
	assert_int_equal(box_reopen(), 0);
	assert_int_equal(box.events.len, 0);
	assert_int_equal(pkg_status_of(box.status, kind("idsdb"))->updated_s, 5);
	assert_int_equal(pkg_status_of(box.status, kind("idsdb"))->way, UPDATE_HA);
	assert_int_equal(pkg_status_of(box.status, kind("idsdb"))->expires, 20310101);
}

static const struct {
	const char *text;
	int rc;
} contracts[] = {
    {"", 0},
    {"idsdb 20310101", 0},
    {"\n# nothing\nidsdb 20240229\n\n", 0},
    {"idsdb 20230229", -EBADMSG},
    {"idsdb 21000229", -EBADMSG},
    {"idsdb 20000229", 0},
    {"idsdb 20311301", -EBADMSG},
    {"idsdb 20310001", -EBADMSG},
    {"idsdb 20310100", -EBADMSG},
    {"idsdb 20310431", -EBADMSG},
    {"idsdb 2031011", -EBADMSG},
    {"idsdb 203101011", -EBADMSG},
    {"idsdb -2031011", -EBADMSG},
    {"idsdb  20310101", -EBADMSG},
    {"idsdb\t20310101", -EBADMSG},
    {"idsdb 20310101 ", -EBADMSG},
    {"idsdb 20310101\r\n", -EBADMSG},
    {"nosuchdb 20310101", -EBADMSG},
    {"../idsdb 20310101", -EBADMSG},
    {"idsdb", -EBADMSG},
    {" 20310101", -EBADMSG},
    {"idsdb 20310101\nidsdb", -EBADMSG},
    {"idsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdbidsdb 20310101", -EBADMSG},
};

/* A contract that is wrong anywhere changes nothing. */
static void
test_contracts(void **state)
{
	(void)state;
	assert_int_equal(box_open(), 0);
	for (size_t i = 0; i < sizeof(contracts) / sizeof(contracts[0]); i++) {
		const char *text = contracts[i].text;
		struct err e = ERR_NONE;
		uint32_t expires;

		assert_int_equal(pkg_status_set_contract(box.status, "aven 20300101", 13, &e), 0);
		if (pkg_status_judge_contract(text, strlen(text), &e) != contracts[i].rc)
			fail_msg("%s: %s", text, e.text);
		assert_int_equal(pkg_status_of(box.status, kind("aven"))->expires, 20300101);
		assert_int_equal(pkg_status_set_contract(box.status, text, strlen(text), &e), contracts[i].rc);
		expires = pkg_status_of(box.status, kind("aven"))->expires;
		assert_int_equal(expires, contracts[i].rc ? 20300101 : 0);
	}
	assert_int_equal(pkg_status_judge_contract("idsdb\0 20310101", 15, NULL), -EBADMSG);
}

static int
start(void **state)
{
	(void)state;
	return fixture_start() || fixture_mkpkg("-o %s/signed.pkg");
}

static int
stop(void **state)
{
	box_close();
	return fixture_stop(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kept),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_unknown_kind),
	    cmocka_unit_test(test_contracts),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
