/* package/level: every decision there is, and whose word the level is. The files have to be root's. */
#include "package/level.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

/* The rules in words, not as a table: what the guide and the design say. */
static enum verdict
expected(enum update_way way, enum level level, bool forced, enum signature s)
{
	if (s == SIGNATURE_VALID)
		return VERDICT_ACCEPT; /* everywhere */
	if (s == SIGNATURE_BAD)
		return VERDICT_REJECT; /* everywhere */
	if (way == UPDATE_AUTOMATIC)
		return forced ? VERDICT_REJECT : VERDICT_ACCEPT; /* at every level */
	if (level == LEVEL_2 || level == LEVEL_HIGH)
		return VERDICT_REJECT;
	if (level == LEVEL_0)
		return VERDICT_WARN;
	return way == UPDATE_MANUAL ? VERDICT_ASK : VERDICT_REJECT; /* nobody to ask */
}

static void
test_every_decision(void **state)
{
	int seen = 0;

	(void)state;
	for (enum update_way w = UPDATE_AUTOMATIC; w < UPDATE_WAYS; w++) {
		for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++) {
			for (int forced = 0; forced < 2; forced++) {
				for (enum signature s = SIGNATURE_BAD; s <= SIGNATURE_VALID; s++) {
					seen++;
					if (level_decide(w, l, forced, s) != expected(w, l, forced, s))
						fail_msg("%s, level %s, %s, signature %s: %s", update_way_name(w),
							 level_name(l), forced ? "forced" : "optional",
							 signature_name(s),
							 verdict_name(level_decide(w, l, forced, s)));
				}
			}
		}
	}
	assert_int_equal(seen, 3 * 5 * 2 * 3);
}

/* A value nobody has thought of is no signature at all, and no valid one. */
static void
test_unknown_signature(void **state)
{
	(void)state;
	assert_int_equal(level_decide(UPDATE_MANUAL, LEVEL_0, false, (enum signature)99), VERDICT_REJECT);
}

#define ATTRIBUTES "\x07\0\0\0"

static const struct {
	const char *what;
	const char *variable; /* NULL: absent */
	size_t variable_len;
	const char *file;
	mode_t mode;
	enum level level;
	const char *why;
} sources[] = {
    {"neither", NULL, 0, NULL, 0, LEVEL_1, "no level is set"},
    {"file 0", NULL, 0, "0", 0644, LEVEL_0, "level-file"},
    {"file 1 with its line's end", NULL, 0, "1\n", 0600, LEVEL_1, "level-file"},
    {"file 2", NULL, 0, "2\n", 0444, LEVEL_2, "level-file"},
    {"variable 0", ATTRIBUTES "\0", 5, NULL, 0, LEVEL_0, "level-variable"},
    {"variable 2", ATTRIBUTES "\2", 5, NULL, 0, LEVEL_2, "level-variable"},
    {"variable 0, file 1: the stricter", ATTRIBUTES "\0", 5, "1", 0644, LEVEL_1, "level-file"},
    {"variable 2, file 0: the stricter", ATTRIBUTES "\2", 5, "0", 0644, LEVEL_2, "level-variable"},
    {"both 0", ATTRIBUTES "\0", 5, "0", 0644, LEVEL_0, "level-file"},
    {"an empty file", NULL, 0, "", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"file 3", NULL, 0, "3", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"file 00", NULL, 0, "00", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"a blank before", NULL, 0, " 0", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"two ends of line", NULL, 0, "0\n\n", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"a word", NULL, 0, "low", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"a long file", NULL, 0, "0000000000000000000000", 0644, LEVEL_2, "0, 1 or 2 expected"},
    {"others may write the file", NULL, 0, "0", 0646, LEVEL_2, "only root can write"},
    {"the group may write the file", NULL, 0, "0", 0664, LEVEL_2, "only root can write"},
    {"a digit in the variable", ATTRIBUTES "0", 5, NULL, 0, LEVEL_2, "level-variable: 0, 1 or 2"},
    {"variable without attributes", "\0", 1, NULL, 0, LEVEL_2, "0, 1 or 2 expected"},
    {"a long variable", ATTRIBUTES "\0\0", 6, NULL, 0, LEVEL_2, "0, 1 or 2 expected"},
    {"a malformed variable beside file 0", ATTRIBUTES, 4, "0", 0644, LEVEL_2, "level-variable"},
    {"a malformed file beside variable 0", ATTRIBUTES "\0", 5, "x", 0644, LEVEL_2, "level-file"},
};

static char folder[] = "/tmp/fgfm-level-XXXXXX", variable[64], file[64];

static int
make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(variable, sizeof(variable), "%s/level-variable", folder);
	snprintf(file, sizeof(file), "%s/level-file", folder);
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	unlink(variable);
	unlink(file);
	return rmdir(folder);
}

static void
test_sources(void **state)
{
	char why[LEVEL_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		unlink(variable);
		unlink(file);
		if (sources[i].variable)
			assert_int_equal(
			    file_replace(variable, sources[i].variable, sources[i].variable_len, 0644, NULL, NULL), 0);
		if (sources[i].file) {
			assert_int_equal(file_replace(file, sources[i].file, strlen(sources[i].file), 0600, NULL, NULL),
					 0);
			assert_int_equal(chmod(file, sources[i].mode), 0);
		}
		if (level_read(variable, file, why) != sources[i].level || !strstr(why, sources[i].why))
			fail_msg("%s: %s", sources[i].what, why);
	}
}

/* What is no regular file of root's says nothing but that somebody was at it. */
static void
test_foreign_files(void **state)
{
	char why[LEVEL_WHY], target[96];

	(void)state;
	unlink(variable);
	unlink(file);
	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(file_replace(target, "0", 1, 0644, NULL, NULL), 0);
	assert_int_equal(symlink(target, file), 0);
	assert_int_equal(level_read(variable, file, why), LEVEL_2);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(level_read(variable, file, why), LEVEL_2);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rename(target, file), 0);
	assert_int_equal(level_read(variable, file, why), LEVEL_0);
	assert_int_equal(chown(file, 1, 0), 0);
	assert_int_equal(level_read(variable, file, why), LEVEL_2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_decision),
	    cmocka_unit_test(test_unknown_signature),
	    cmocka_unit_test(test_sources),
	    cmocka_unit_test(test_foreign_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
