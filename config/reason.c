#include "config/reason.h"

#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/schema.h"

enum { WORD_SHOWN = 80 };

static const char *
shown(char dst[WORD_SHOWN], const char *word)
{
	return text_escape(dst, WORD_SHOWN, word, strlen(word));
}

int
reason_before(struct err *e, const char *word)
{
	char w[WORD_SHOWN];

	return err_set(e, CLI_PARSE, "command parse error before '%s'", shown(w, word));
}

int
reason_ambiguous(struct err *e, const char *word)
{
	char w[WORD_SHOWN];

	return err_set(e, CLI_PARSE, "command parse error before '%s': ambiguous abbreviation", shown(w, word));
}

int
reason_incomplete(struct err *e)
{
	return err_set(e, CLI_INCOMPLETE, "incomplete command in the end");
}

int
reason_memory(struct err *e)
{
	return err_set(e, CLI_FAILED, "out of memory");
}

int
reason_not_found(struct err *e, const char *key)
{
	char w[WORD_SHOWN];

	return err_set(e, CLI_NOT_FOUND, "entry not found in datasource: '%s'", shown(w, key));
}

int
reason_duplicate(struct err *e, const char *word)
{
	char w[WORD_SHOWN];

	return err_set(e, CLI_DUPLICATE, "duplicate: '%s' is there already", shown(w, word));
}

int
reason_value(struct err *e, int code, const struct schema_attr *a, const char *word, const char *expected)
{
	char w[WORD_SHOWN];

	if (a->secret)
		word = "***";
	return err_set(e, code, "value parse error before '%s': attribute '%s' takes %s", shown(w, word), a->name,
		       expected);
}
