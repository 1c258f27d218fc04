/* package/pkg_job: an update installs what it may, asks what it must, and otherwise leaves everything as it was. */
// wrap: log_event malloc calloc free
#include "package/pkg_job.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "package/pkg_copy.h"
#include "test/unit/package_box.h"

/* Blocks of 16 kB and more, as these have them: how much there is, and was at most. */
enum { LARGE_BLOCK = 16 * 1024 };

static size_t large_now, large_most;

void *__wrap_malloc(size_t n);
void *__real_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__real_calloc(size_t count, size_t n);
void __wrap_free(void *p);
void __real_free(void *p);

static void *
note_taken(void *p)
{
	size_t n = p ? malloc_usable_size(p) : 0;

	large_now += n >= LARGE_BLOCK ? n : 0;
	large_most = large_now > large_most ? large_now : large_most;
	return p;
}

void *
__wrap_malloc(size_t n)
{
	return note_taken(__real_malloc(n));
}

void *
__wrap_calloc(size_t count, size_t n)
{
	return note_taken(__real_calloc(count, n));
}

void
__wrap_free(void *p)
{
	size_t n = p ? malloc_usable_size(p) : 0;

	large_now -= n >= LARGE_BLOCK && n <= large_now ? n : 0;
	__real_free(p);
}

#define CASES "test/golden/package/cases.tsv"

/* By hand and without signature. */
static void
install_first(const char *name, const char *version)
{
	struct box_object o = {.name = name, .version = version};
	struct pkg_job_params p = box_params(UPDATE_MANUAL, LEVEL_0);
	struct box_script s = {.yes_older = true};
	struct pkg_result r;

	assert_int_equal(box_update(&p, box_package(&o, 1), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	box_hush();
}

/* One object without signature, offered to a store with another of its kind. */
static const struct {
	const char *what, *before;
	enum update_way way;
	enum level level;
	const char *name, *offered;
	unsigned families;
	uint32_t os_build;
	bool yes_unsigned, yes_older, wrong_digest;
	enum pkg_outcome outcome;
	enum pkg_refusal refusal;
	unsigned asked_unsigned, asked_older;
} rules[] = {
    {"by hand, level 0", "none", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS, .outcome = PKG_INSTALLED},
    {"by hand, level 1, yes", "19.00004", UPDATE_MANUAL, LEVEL_1, "idsdb", "19.00005", PKG_IPS, .yes_unsigned = true,
     .outcome = PKG_INSTALLED, .asked_unsigned = 1},
    {"by hand, level 1, no", "19.00004", UPDATE_MANUAL, LEVEL_1, "idsdb", "19.00005", PKG_IPS,
     .refusal = PKG_REFUSAL_DECLINED, .asked_unsigned = 1},
    {"by hand, a yes to something else", "19.00004", UPDATE_MANUAL, LEVEL_1, "idsdb", "19.00005", PKG_IPS,
     .yes_unsigned = true, .wrong_digest = true, .refusal = PKG_REFUSAL_DECLINED, .asked_unsigned = 1},
    {"by hand, level 2", "19.00004", UPDATE_MANUAL, LEVEL_2, "idsdb", "19.00005", PKG_IPS,
     .refusal = PKG_REFUSAL_UNSIGNED},
    {"by hand, level Low", "19.00004", UPDATE_MANUAL, LEVEL_LOW, "idsdb", "19.00005", PKG_IPS,
     .refusal = PKG_REFUSAL_DECLINED, .asked_unsigned = 1},
    {"by hand, level High", "19.00004", UPDATE_MANUAL, LEVEL_HIGH, "idsdb", "19.00005", PKG_IPS,
     .refusal = PKG_REFUSAL_UNSIGNED},
    {"by hand, the same again", "19.00005", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS,
     .outcome = PKG_INSTALLED},
    {"by hand, older, yes", "19.00006", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS, .yes_older = true,
     .outcome = PKG_INSTALLED, .asked_older = 1},
    {"by hand, older, no", "19.00006", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS,
     .refusal = PKG_REFUSAL_DECLINED, .asked_older = 1},
    {"by hand, older and unsigned, yes to one only", "19.00006", UPDATE_MANUAL, LEVEL_1, "idsdb", "19.00005", PKG_IPS,
     .yes_unsigned = true, .refusal = PKG_REFUSAL_DECLINED, .asked_unsigned = 1, .asked_older = 1},
    {"by hand, for another command", "19.00004", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_AV,
     .refusal = PKG_REFUSAL_FAMILY},
    {"by hand, for a later system", "19.00004", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS,
     .os_build = BOX_BUILD + 1, .refusal = PKG_REFUSAL_BUILD},
    {"by hand, for this system", "19.00004", UPDATE_MANUAL, LEVEL_0, "idsdb", "19.00005", PKG_IPS,
     .os_build = BOX_BUILD, .outcome = PKG_INSTALLED},
    {"automatically, has to be signed", "19.00004", UPDATE_AUTOMATIC, LEVEL_0, "idsdb", "19.00005", PKG_ALL,
     .refusal = PKG_REFUSAL_UNSIGNED},
    {"automatically, need not be signed", "19.00004", UPDATE_AUTOMATIC, LEVEL_2, "geoip", "19.00005", PKG_ALL,
     .outcome = PKG_INSTALLED},
    {"automatically, the first", "none", UPDATE_AUTOMATIC, LEVEL_2, "geoip", "1.00000", PKG_ALL,
     .outcome = PKG_INSTALLED},
    {"automatically, the same", "19.00005", UPDATE_AUTOMATIC, LEVEL_1, "geoip", "19.00005", PKG_ALL,
     .outcome = PKG_NO_UPDATE},
    {"automatically, older", "19.00006", UPDATE_AUTOMATIC, LEVEL_1, "geoip", "19.00005", PKG_ALL,
     .outcome = PKG_NO_UPDATE, .refusal = PKG_REFUSAL_OLDER},
    {"automatically, older by its first number", "19.00001", UPDATE_AUTOMATIC, LEVEL_1, "geoip", "18.99999", PKG_ALL,
     .outcome = PKG_NO_UPDATE, .refusal = PKG_REFUSAL_OLDER},
    {"copied, level 0", "19.00004", UPDATE_HA, LEVEL_0, "geoip", "19.00005", PKG_ALL, .outcome = PKG_INSTALLED},
    {"copied, level 1", "19.00004", UPDATE_HA, LEVEL_1, "geoip", "19.00005", PKG_ALL, .refusal = PKG_REFUSAL_UNSIGNED},
    {"copied, the same", "19.00005", UPDATE_HA, LEVEL_0, "geoip", "19.00005", PKG_ALL, .outcome = PKG_NO_UPDATE},
    {"copied, older", "19.00006", UPDATE_HA, LEVEL_0, "geoip", "19.00005", PKG_ALL, .refusal = PKG_REFUSAL_OLDER},
};

static void
check_rule(size_t i)
{
	struct box_object offered = {.name = rules[i].name, .version = rules[i].offered, .os_build = rules[i].os_build};
	struct box_script s = {
	    .yes_unsigned = rules[i].yes_unsigned,
	    .yes_older = rules[i].yes_older,
	    .wrong_digest = rules[i].wrong_digest,
	};
	bool refused = rules[i].refusal != PKG_REFUSAL_NONE, installed = rules[i].outcome == PKG_INSTALLED;
	bool failed = refused && rules[i].outcome == PKG_REFUSED;
	struct pkg_object_result o = {0};
	struct pkg_result r = {0};
	struct pkg_job_params p;

	assert_int_equal(box_open(), 0);
	if (strcmp(rules[i].before, "none"))
		install_first(rules[i].name, rules[i].before);
	p = box_params(rules[i].way, rules[i].level);
	p.families = rules[i].families;
	assert_int_equal(box_update(&p, box_package(&offered, 1), &s, &r, &o), 0);
	if (o.outcome != rules[i].outcome || o.refusal != rules[i].refusal || s.asked_older != rules[i].asked_older ||
	    s.asked_unsigned != rules[i].asked_unsigned || r.code != (failed ? PKG_CODE_FAILED : 0))
		fail_msg("%s: %d %s: %s", rules[i].what, o.outcome, pkg_refusal_name(o.refusal), o.why.text);
	assert_int_equal(refused, o.why.text[0] != '\0');
	assert_int_equal(refused, box_event(" refused|") || box_event("0100041009"));
	assert_int_equal(pkg_status_of(box.status, types_called(rules[i].name))->result == PKG_RESULT_NO_UPDATES,
			 rules[i].outcome == PKG_NO_UPDATE && !refused);
	assert_int_equal(box_count(".staging"), 0);
	assert_string_equal(box_version(rules[i].name), installed ? rules[i].offered : rules[i].before);
}

static void
test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		check_rule(i);
}

/* --- what is hostile ------------------------------------------------------------------------------------------------
 */

static void
check_hostile(const char *name, const char *check, const char *words, enum update_way way)
{
	struct pkg_job_params p = box_params(way, LEVEL_0);
	struct box_script s = {.yes_unsigned = true, .yes_older = true};
	struct pkg_object_result o = {0};
	struct pkg_result r = {0};
	char file[128], *before = box_picture(), *after;
	size_t files = open_files();

	box_hush();
	snprintf(file, sizeof(file), "all/%s.pkg", name);
	assert_int_equal(box_update(&p, box_file(file), &s, &r, &o), 0);
	after = box_picture();
	if (r.code != PKG_CODE_FAILED || r.changed || strcmp(before, after))
		fail_msg("%s: %d, %s", name, r.code, r.summary);
	if (!strstr(strcmp(check, "container") ? o.why.text : r.why.text, words))
		fail_msg("%s: %s %s\n  expected: %s", name, o.why.text, r.why.text, words);
	assert_int_equal(s.validated + s.reloaded, 0);
	assert_true(box_event("0100041009 0 ") || box_event("0100053461 2 "));
	assert_true(box_event(way == UPDATE_MANUAL ? "0100032231 3 " : "0100041001 0 "));
	assert_true(box_event(words));
	assert_int_equal(open_files(), files);
	free(before);
	free(after);
}

/* Every one that can be made: its reason is said, and what was there stays, to the byte. */
static void
test_hostile_cases(void **state)
{
	FILE *cases = fopen(CASES, "re");
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r;
	char line[512];
	size_t seen = 0;

	(void)state;
	assert_non_null(cases);
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_2);
	assert_int_equal(box_update(&p, box_file("old.pkg"), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	while (fgets(line, sizeof(line), cases)) {
		char *save = NULL, *title = strtok_r(line, "\t", &save), *check = strtok_r(NULL, "\t", &save),
		     *words = strtok_r(NULL, "\n", &save);

		check_hostile(title, check, words, seen % 2 ? UPDATE_MANUAL : UPDATE_AUTOMATIC);
		seen++;
	}
	fclose(cases);
	assert_true(seen >= 45);
	assert_string_equal(box_version("idsdb"), "19.00263");
}

/* Somebody writes to the file, before each piece of work in turn. What is installed then is what was signed. */
static void
test_source_changes(void **state)
{
	size_t len;
	uint8_t *data = fixture_read("all/good-rsa.pkg", &len), *other = malloc(len);
	unsigned installed = 0, refused = 0;

	(void)state;
	assert_true(data && other);
	for (size_t i = 0; i < len; i++)
		other[i] = data[i] ^ 0xa5;
	for (int at = 0; at < 12; at++) {
		struct pkg_job_params p;
		const struct pkg_result *r = NULL;
		struct pkg_job *job = NULL;
		int fd = fixture_memory(data, len), mine = dup(fd), steps = 0;
		struct err e = ERR_NONE;

		assert_int_equal(box_open(), 0);
		p = box_params(UPDATE_MANUAL, LEVEL_2);
		assert_int_equal(pkg_job_new(&p, fd, &job, &e), 0);
		while (!r) {
			struct box_script s = {.steps_max = 1};

			if (steps++ == at)
				assert_int_equal(pwrite(mine, other, len, 0), (ssize_t)len);
			r = box_run(job, &s);
		}
		installed += r->changed;
		refused += r->code != 0;
		if (r->changed) {
			char *text;
			size_t n;

			assert_int_equal(file_read(pkg_store_current(box.store, types_called("idsdb"))->object_path,
						   len, &text, &n, &e),
					 0);
			assert_int_equal(n, len - 64 - 128);
			assert_memory_equal(text, data + 64 + 128, n);
			free(text);
		}
		pkg_job_free(job);
		close(mine);
	}
	assert_true(installed > 3 && refused > 1 && installed + refused == 12);
	free(data);
	free(other);
}

/* --- how it goes ----------------------------------------------------------------------------------------------------
 */

/* Guide: data_len=1203472, obj_len=1200241, sig_len=3231; CS INFO 544e544601000c8f. Its lines, in its order. */
static void
test_debug_lines(void **state)
{
	static const char *const lines[] = {
	    "upd_manual_idsdb-Updating ids db\n",
	    "doInstallUpdatePackage-Full obj found for NIDS026\n",
	    "doInstallUpdatePackage-Updating obj NIDS\n",
	    "installUpdateObject-Step 1:Unpack obj 4, Total=1, cur=0\n",
	    "__dump_ctx-CS INFO: 544e544601000c8f00000000000000\n",
	    "__dump_ctx-Sig len: 3215\n",
	    "__dump_ctx-Raw len: 1200241\n",
	    "__cms_verify-Verification succeeded.\n",
	    "installUpdateObject-Signature verified for obj 4, ret=0, ",
	    "data_len=1203472, obj_len=1200241, sig_len=3231.\n",
	    "installUpdateObject-Step 2:Prepare temp file for obj 4\n",
	    "installUpdObjRest-Step 7:Validate object\n",
	    "installUpdObjRest-Step 6:Copy new object 19.00264->NIDS/26/current\n",
	    "__update_status-NIDS026(idsetdb) installed successfully\n",
	    "upd_status_save_status-try to save on status file\n",
	    "upd_status_save_status-Wrote status file\n",
	    "upd_manual_idsdb-Update successful on NIDS26(idsetdb))\n",
	};
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r;
	const char *at;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_2);
	p.families = PKG_IPS;
	assert_int_equal(box_update(&p, box_file("guide.pkg"), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	at = box_text(&box.lines);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *found = strstr(at, lines[i]);

		if (!found)
			fail_msg("%s not in, or not behind what should be before it:\n%s", lines[i], at);
		at = found + strlen(lines[i]);
	}
	assert_true(box_event("0100032217 3 IPS package - Admin update successful|user=admin|ui=ssh(192.0.2.9)|"
			      "status=update|msg=Fortigate updated idsetdb(19.00264)\n"));
}

/* Nothing without signature is called verified. */
static void
test_unsigned_lines(void **state)
{
	struct box_object objects[] = {{.name = "idsdb", .version = "19.00261"},
				       {.name = "idsetdb", .version = "19.00261"}};
	struct pkg_job_params p;
	struct box_script s = {.yes_unsigned = true};
	struct pkg_result r;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_1);
	p.families = PKG_IPS;
	assert_int_equal(box_update(&p, box_package(objects, 2), &s, &r, NULL), 0);
	assert_int_equal(s.asked_unsigned, 1);
	assert_non_null(
	    strstr(s.question, "******WARNING: This package file has no signature for validation.******\n"));
	assert_non_null(strstr(s.question, "  idsdb 19.00261\n  idsetdb 19.00261\n"));
	assert_true(box_said("No signature for obj 4, ret=0, data_len=38, obj_len=38, sig_len=0."));
	assert_false(box_said("erifi"));
	assert_string_equal(r.summary, "installed: idsdb(19.00261) idsetdb(19.00261)");
	box_hush();
	p.level = LEVEL_2;
	assert_int_equal(box_update(&p, box_package(objects, 2), &s, &r, NULL), 0);
	assert_true(box_said("__upd_obj_signature_split-Signature verify and split failed, result=2.\n"
			     "installUpdateObject-Failed signature verifying for obj 4, ret=-1, forced=1, len=38\n"));
	assert_true(box_said("upd_manual_idsdb-Update failed on NIDS24(idsdb) (-5,2)\n"));
	assert_true(box_said("upd_status_save_status-Status file is up-to-date\n"));
	assert_true(box_event("0100041009 0 FortiGate database signature invalid|user=admin|ui=ssh(192.0.2.9)|"
			      "action=restore-ips|status=failure|msg=Fortigate idsetdb signature invalid.|"));
	assert_true(box_event("0100032231 3 FortiGuard service failed to restore|user=admin|ui=ssh(192.0.2.9)|"
			      "action=restore-ips-package|msg=User admin failed to restore IPS package file from "
			      "ssh(192.0.2.9)\n"));
}

/* One is refused, the others are not, and the command has failed. */
static void
test_objects_are_independent(void **state)
{
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_AUTOMATIC, LEVEL_1);
	p.from = "192.0.2.1:443";
	assert_int_equal(box_update(&p, box_file("all/good-mixed.pkg"), &s, &r, NULL), 0);
	assert_int_equal(r.code, PKG_CODE_FAILED);
	assert_string_equal(box_version("idsdb"), "19.00264");
	assert_string_equal(box_version("fcni"), "19.00264");
	assert_string_equal(box_version("appdb"), "none");
	assert_string_equal(r.summary, "installed: idsdb(19.00264) fcni(19.00264); refused: appdb(19.00264)");
	assert_true(box_event("0100041000 3 FortiGate update succeeded|"));
	assert_true(box_event("msg=Fortigate update now idsdb(19.00264) fcni(19.00264) from 192.0.2.1:443\n"));
	assert_true(box_event("msg=Fortigate appdb signature invalid."));
	assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->result, PKG_RESULT_INSTALLED);
	assert_int_equal(pkg_status_of(box.status, types_called("appdb"))->attempted_s, 0);
}

static void
test_programs(void **state)
{
	struct box_object o = {.name = "idsdb", .version = "19.00006"};
	struct pkg_job_params p;
	struct box_script refuses = {.validate_rc = 1}, fails = {.reload_rc = -ETIMEDOUT};
	struct pkg_object_result first;
	struct pkg_result r;
	char *before, *after;

	(void)state;
	assert_int_equal(box_open(), 0);
	install_first("idsdb", "19.00005");
	before = box_picture();
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(box_update(&p, box_package(&o, 1), &refuses, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_VALIDATOR);
	assert_non_null(strstr(first.why.text, "its validator refused it: because"));
	assert_int_equal(refuses.reloaded, 0);
	refuses.validate_rc = -ETIMEDOUT; /* no verdict */
	assert_int_equal(box_update(&p, box_package(&o, 1), &refuses, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_TROUBLE);
	assert_non_null(strstr(first.why.text, "its validator failed: because"));
	after = box_picture();
	assert_string_equal(before, after);
	free(after);
	assert_int_equal(box_update(&p, box_package(&o, 1), &fails, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_RELOAD);
	assert_int_equal(fails.reloaded, 2); /* the new one, and the one before again */
	assert_string_equal(fails.loaded, "19.00005");
	after = box_picture();
	assert_string_equal(before, after);
	assert_string_equal(box_version("idsdb"), "19.00005");
	free(before);
	free(after);
	/* nothing before it: nothing after it */
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	fails.reloaded = 0;
	assert_int_equal(box_update(&p, box_package(&o, 1), &fails, &r, &first), 0);
	assert_int_equal(fails.reloaded, 1);
	assert_string_equal(box_version("idsdb"), "none");
	assert_int_equal(box_count("NIDS/24"), 0);
}

/* What a validator gets can only be read. */
static void
test_descriptor_of_a_validator(void **state)
{
	struct box_object o = {.name = "idsdb", .version = "19.00006", .payload = "signatures"};
	struct pkg_job_params p;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;
	char text[32] = "";

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &job, &e), 0);
	while (pkg_job_step(job) != PKG_RUN)
		assert_null(pkg_job_run(job));
	assert_int_equal(pkg_job_run(job)->what, PKG_VALIDATE);
	assert_null(pkg_job_run(job)->payload_path);
	assert_int_equal(read(pkg_job_run(job)->payload_fd, text, sizeof(text)), 10);
	assert_string_equal(text, "signatures");
	assert_int_equal(write(pkg_job_run(job)->payload_fd, "x", 1), -1);
	/* going on without an answer is a failure */
	assert_int_equal(pkg_job_step(job), PKG_MORE);
	while (pkg_job_step(job) != PKG_DONE)
		;
	assert_int_equal(pkg_job_result(job)->objects[0].refusal, PKG_REFUSAL_TROUBLE);
	pkg_job_free(job);
}

/* Broken off after each number of steps: the old or the new one, whole, and nothing else. */
static void
test_broken_off_anywhere(void **state)
{
	struct box_object objects[] = {{.name = "idsdb", .version = "19.00006"},
				       {.name = "geoip", .version = "19.00006"}};
	bool done = false;

	(void)state;
	for (int steps = 1; !done; steps++) {
		struct pkg_job_params p;
		struct box_script s = {.yes_unsigned = true, .steps_max = steps};
		struct pkg_result r = {0};
		size_t files;
		const char *v;

		assert_int_equal(box_open(), 0);
		install_first("idsdb", "19.00005");
		files = open_files();
		p = box_params(UPDATE_MANUAL, LEVEL_1);
		done = !box_update(&p, box_package(objects, 2), &s, &r, NULL);
		assert_int_equal(open_files(), files);
		v = box_version("idsdb");
		assert_true(!strcmp(v, "19.00005") || !strcmp(v, "19.00006"));
		assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->updated_s, BOX_NOW);
		assert_int_equal(box_count(".staging"), 0);
		assert_int_equal(box_count("NIDS/24"), !strcmp(v, "19.00005") ? 2 : 3);
		assert_int_equal(box_reopen(), 0);
		assert_string_equal(box_version("idsdb"), v);
		assert_true(steps < 100);
	}
	assert_string_equal(box_version("geoip"), "19.00006");
}

/* While a database is being reloaded it goes on, to whichever of the two is then current, and ends. */
static void
test_stopped(void **state)
{
	static const struct {
		const char *what;
		int reload_rc;
		enum pkg_program at;
		bool at_once;
		unsigned reloaded;
		const char *after;
	} cases[] = {
	    {"while it validates", 0, PKG_VALIDATE, true, 0, "19.00005"},
	    {"while it reloads", 0, PKG_RELOAD, false, 1, "19.00006"},
	    {"while it reloads in vain", 1, PKG_RELOAD, false, 2, "19.00005"},
	};
	struct box_object objects[] = {{.name = "idsdb", .version = "19.00006"},
				       {.name = "geoip", .version = "19.00006"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box_script s = {.reload_rc = cases[i].reload_rc};
		const struct pkg_result *r;
		struct pkg_job_params p;
		struct pkg_job *job = NULL;
		struct err e = ERR_NONE;
		bool at_once;

		print_message("  %s\n", cases[i].what);
		assert_int_equal(box_open(), 0);
		install_first("idsdb", "19.00005");
		p = box_params(UPDATE_MANUAL, LEVEL_0);
		assert_int_equal(pkg_job_new(&p, box_package(objects, 2), &job, &e), 0);
		while (pkg_job_step(job) != PKG_RUN || pkg_job_run(job)->what != cases[i].at) {
			if (pkg_job_run(job))
				pkg_job_ran(job, 0, NULL);
		}
		at_once = pkg_job_stop(job);
		assert_int_equal(at_once, cases[i].at_once);
		if (!at_once) {
			box_execute(job, &s);
			r = box_run(job, &s);
			assert_int_equal(r->code, PKG_CODE_FAILED);
			assert_int_equal(r->objects[1].refusal, PKG_REFUSAL_DECLINED);
			assert_string_equal(r->objects[1].why.text, "the update was broken off");
			assert_string_equal(s.loaded, cases[i].after);
		}
		assert_int_equal(s.reloaded, cases[i].reloaded);
		pkg_job_free(job);
		assert_string_equal(box_version("idsdb"), cases[i].after);
		assert_string_equal(box_version("geoip"), "none");
		assert_int_equal(box_count(".staging"), 0);
	}
}

static void
test_one_at_a_time(void **state)
{
	struct box_object o = {.name = "idsdb", .version = "19.00006"};
	struct pkg_job *first = NULL, *second = NULL;
	struct pkg_store *other = NULL;
	struct pkg_job_params p;
	struct err e = ERR_NONE;
	size_t files;

	(void)state;
	assert_int_equal(box_open(), 0);
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	files = open_files();
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &first, &e), 0);
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &second, &e), -EBUSY);
	p.store = other;
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &second, &e), -EBUSY);
	assert_non_null(strstr(e.text, "another update is under way"));
	pkg_job_free(first);
	assert_int_equal(open_files(), files);
	assert_int_equal(pkg_job_new(&p, box_package(&o, 1), &second, &e), 0);
	pkg_job_free(second);
	pkg_store_free(other);
}

/* Somebody who has read all of it before others change it: store, status, and the list of keys. */
static void
test_what_others_have_installed(void **state)
{
	struct box_object idsdb[] = {{.name = "idsdb", .version = "19.00006"},
				     {.name = "idsdb", .version = "19.00005"}};
	struct box_object geoip = {.name = "geoip", .version = "1.00001"};
	struct box_object list = {.name = "denylist", .version = "1.00001"};
	struct pkg_status *status = NULL;
	struct pkg_store *other = NULL;
	struct pkg_job_params p, q;
	struct box_script s = {.yes_older = true};
	struct pkg_object_result first;
	struct pkg_result r;
	struct err e = ERR_NONE;
	char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(file_read(fixture_path("pki/denylist"), 4096, &text, &len, &e), 0);
	list.payload = text;
	assert_int_equal(box_open(), 0);
	assert_int_equal(pkg_store_open(box.folder, &other, &e), 0);
	assert_int_equal(pkg_status_load(box.folder, &status, &e), 0);
	p = q = box_params(UPDATE_MANUAL, LEVEL_0);
	q.store = other;
	q.status = status;
	q.check.denied = NULL;
	assert_int_equal(box_update(&q, box_file("all/signer-denied.pkg"), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	assert_int_equal(box_update(&p, box_package(&idsdb[0], 1), &s, &r, NULL), 0);
	assert_int_equal(box_update(&p, box_package(&list, 1), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	q.way = UPDATE_HA;
	assert_int_equal(box_update(&q, box_package(&idsdb[1], 1), &s, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_OLDER);
	assert_int_equal(box_update(&q, box_file("all/signer-denied.pkg"), &s, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_SIGNATURE);
	assert_int_equal(box_update(&q, box_package(&geoip, 1), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	assert_int_equal(box_reopen(), 0);
	assert_string_equal(box_version("idsdb"), "19.00006");
	assert_int_equal(pkg_status_of(box.status, types_called("denylist"))->result, PKG_RESULT_INSTALLED);
	assert_int_equal(pkg_status_of(box.status, types_called("geoip"))->result, PKG_RESULT_INSTALLED);
	pkg_status_free(status);
	pkg_store_free(other);
	free(text);
}

static void
test_contract(void **state)
{
	struct box_object good = {
	    .name = "contract", .version = "1.00001", .payload = "idsdb 20310101\n# none for others\naven 20301231\n"};
	struct box_object bad = {
	    .name = "contract", .version = "1.00002", .payload = "idsdb 20310101\nnosuchdb 20310101\n"};
	struct box_object next = {.name = "contract", .version = "1.00003", .payload = "aven 20400229"};
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_object_result first;
	struct pkg_result r;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_AUTOMATIC, LEVEL_1);
	assert_int_equal(box_update(&p, box_package(&good, 1), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->expires, 20310101);
	assert_int_equal(box_update(&p, box_package(&bad, 1), &s, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_VALIDATOR);
	assert_non_null(strstr(first.why.text, "line 2"));
	assert_int_equal(box_reopen(), 0);
	p = box_params(UPDATE_AUTOMATIC, LEVEL_1);
	assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->expires, 20310101);
	assert_int_equal(pkg_status_of(box.status, types_called("aven"))->expires, 20301231);
	/* what the next one does not name is paid for no more */
	assert_int_equal(box_update(&p, box_package(&next, 1), &s, &r, NULL), 0);
	assert_int_equal(pkg_status_of(box.status, types_called("idsdb"))->expires, 0);
	assert_int_equal(pkg_status_of(box.status, types_called("aven"))->expires, 20400229);
}

static void
test_deny_list(void **state)
{
	static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct box_object good = {.name = "denylist", .version = "1.00001", .payload = key},
			  bad = {.name = "denylist", .version = "1.00002", .payload = "0011"};
	struct pkg_job_params p;
	struct pkg_job *job = NULL;
	struct denylist *list = NULL;
	struct err e = ERR_NONE;
	char path[256];
	struct box_script s = {0};
	struct pkg_object_result first;
	struct pkg_result r;

	(void)state;
	assert_int_equal(box_open(), 0);
	assert_int_equal(pkg_store_denylist(box.store, &list, NULL), 0);
	assert_null(list);
	p = box_params(UPDATE_MANUAL, LEVEL_0);
	assert_int_equal(box_update(&p, box_package(&good, 1), &s, &r, NULL), 0);
	assert_int_equal(box_update(&p, box_package(&bad, 1), &s, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_VALIDATOR);
	assert_int_equal(pkg_store_denylist(box.store, &list, NULL), 0);
	assert_true(denylist_has(list, key));
	denylist_free(list);
	list = NULL;
	/* a damaged one is no reason to believe anybody */
	snprintf(path, sizeof(path), "%s/DENY/1/1.00001/object", box.folder);
	assert_int_equal(truncate(path, 3), 0);
	assert_int_equal(pkg_job_new(&p, box_package(&good, 1), &job, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "denylist"));
	assert_int_equal(pkg_store_denylist(box.store, &list, &e), -EBADMSG);
	assert_null(list);
}

/* An object may not be larger than its type's are, packed or not. */
static void
test_too_large(void **state)
{
	enum { LARGE = 1024 * 1024 + 1 };
	struct box_object o = {.name = "fcni", .version = "1.00001"};
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_object_result first;
	struct pkg_result r;
	char *text = malloc(LARGE + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', LARGE);
	text[LARGE] = '\0';
	o.payload = text;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_AUTOMATIC, LEVEL_1);
	assert_int_equal(box_update(&p, box_package(&o, 1), &s, &r, &first), 0);
	assert_int_equal(first.refusal, PKG_REFUSAL_DAMAGED);
	assert_non_null(strstr(first.why.text, "fcni: at most 1048576 bytes expected"));
	text[LARGE - 34] = '\0';
	assert_int_equal(box_update(&p, box_package(&o, 1), &s, &r, &first), 0);
	assert_int_equal(r.code, 0);
	free(text);
}

static void
test_progress(void **state)
{
	uint64_t done, total, last = 0;
	struct pkg_job_params p;
	struct pkg_job *job = NULL;
	struct err e = ERR_NONE;
	enum pkg_step step;

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_2);
	assert_int_equal(pkg_job_new(&p, box_file("guide.pkg"), &job, &e), 0);
	pkg_job_progress(job, &done, &total);
	assert_int_equal(total, 0);
	assert_null(pkg_job_result(job));
	while ((step = pkg_job_step(job)) != PKG_DONE) {
		if (step == PKG_RUN)
			pkg_job_ran(job, 0, NULL);
		pkg_job_progress(job, &done, &total);
		assert_int_equal(total, 2 * 1203472);
		assert_true(done >= last && done <= total);
		last = done;
	}
	assert_int_equal(done, total);
	pkg_job_free(job);
}

/* Verified ones wait for the others, and wait without their buffers. */
static void
test_many_objects(void **state)
{
	struct pkg_job_params p;
	struct box_script s = {0};
	struct pkg_result r = {0};

	(void)state;
	assert_int_equal(box_open(), 0);
	p = box_params(UPDATE_MANUAL, LEVEL_2);
	p.families = PKG_ALL;
	large_now = large_most = 0;
	assert_int_equal(box_update(&p, box_file("many.pkg"), &s, &r, NULL), 0);
	assert_int_equal(r.code, 0);
	assert_string_equal(box_version("aven"), "1.00001");
	assert_string_equal(box_version("mmdb"), "1.00001");
	assert_true(large_most >= 256 * 1024 && large_most < 1024 * 1024);
}

static int
start(void **state)
{
	(void)state;
	if (fixture_start() || fixture_mkpkg("-o %s/old.pkg idsdb=19.00263"))
		return -1;
	if (fixture_mkpkg("-o %s/many.pkg --raw-len 300000 aven=1.00001 virdb=1.00001 etdb=1.00001 exdb=1.00001 "
			  "avai=1.00001 fldb=1.00001 idsetdb=1.00001 appdb=1.00001 isdb=1.00001 mmdb=1.00001"))
		return -1;
	return fixture_mkpkg("-o %s/guide.pkg --raw-len 1200241 --cms-len 3215 idsetdb=19.00264");
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
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_hostile_cases),
	    cmocka_unit_test(test_source_changes),
	    cmocka_unit_test(test_debug_lines),
	    cmocka_unit_test(test_unsigned_lines),
	    cmocka_unit_test(test_objects_are_independent),
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_descriptor_of_a_validator),
	    cmocka_unit_test(test_broken_off_anywhere),
	    cmocka_unit_test(test_stopped),
	    cmocka_unit_test(test_one_at_a_time),
	    cmocka_unit_test(test_what_others_have_installed),
	    cmocka_unit_test(test_contract),
	    cmocka_unit_test(test_deny_list),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_progress),
	    cmocka_unit_test(test_many_objects),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
