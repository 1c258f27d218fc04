/* agent/ctl_package: what may follow in the shell. The commands themselves are in test/netns/test_package.py. */
#include "agent/ctl_package.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static const struct {
	const char *what, *line;
	const char *words; /* each with a blank behind it */
} lines[] = {
    {"nothing yet", "package ", "verify list export import "},
    {"a beginning", "package v", "verify "},
    {"another", "package e", "export "},
    {"many blanks", "package   l", "list "},
    {"neither", "package x", ""},
    {"options", "package verify file.pkg --", "--explain --json --ca --level-file --deny-list "},
    {"options that begin so", "package verify --e", "--explain "},
    {"a file's name", "package verify fi", ""},
};

static void
test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct buf out = BUF_INIT(4096);
		char words[256] = "", *text, *save = NULL;

		ctl_package_complete(lines[i].line, strlen(lines[i].line), &out);
		text = buf_steal(&out, NULL);
		for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
			assert_non_null(strchr(l, '\t'));
			strncat(words, l, strcspn(l, "\t"));
			strcat(words, " ");
		}
		if (strcmp(words, lines[i].words) != 0)
			fail_msg("%s: \"%s\"", lines[i].what, words);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
