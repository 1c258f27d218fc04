#include "rollback/secret.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/codes.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/verb.h"

/* Also for tables and attributes no schema knows: a command that failed is shown too. */
static bool
sounds_secret(const char *name)
{
	static const char *const parts[] = {"pass", "pwd", "secret", "psk", "private-key", "token"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcasestr(name, parts[i]))
			return true;
	}
	return false;
}

/* Tables nest as deep as the schema files say, which the agent's owner wrote. */
static bool
table_has_secret(const struct schema_table *t, const char *word, size_t len)
{
	for (size_t i = 0; i < t->attr_count; i++) {
		const struct schema_attr *a = &t->attrs[i];

		if ((a->secret || a->type == ATTR_PASSWORD) && !strncmp(a->name, word, len))
			return true;
	}
	for (size_t i = 0; i < t->child_count; i++) {
		if (table_has_secret(t->children[i], word, len))
			return true;
	}
	return false;
}

static bool
may_be_secret(const struct schema *s, const char *name)
{
	if (sounds_secret(name))
		return true;
	for (size_t i = 0; i < schema_count(s); i++) {
		if (table_has_secret(schema_at(s, i), name, strlen(name)))
			return true;
	}
	return false;
}

const char *
secret_mask(const struct schema *s, const struct command *c, char dst[SECRET_LINE])
{
	char name[128];
	enum verb verb;

	if (c->argc < 3 || verb_match(c->argv[0], &verb) != CLI_OK || (verb != VERB_SET && verb != VERB_APPEND))
		return c->text;
	if (!may_be_secret(s, c->argv[1]))
		return c->text;
	text_escape(name, sizeof(name), c->argv[1], strlen(c->argv[1]));
	snprintf(dst, SECRET_LINE, "%s %s ***", verb_name(verb), name);
	return dst;
}
