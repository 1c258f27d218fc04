#include "config/verb.h"

#include <string.h>

#include "config/codes.h"

static const struct {
	const char *name, *help;
} verbs[VERB_COUNT] = {
    [VERB_CONFIG] = {"config", "Enter a table."},
    [VERB_EDIT] = {"edit", "Enter an entry of the table, a new one if there is none of that name."},
    [VERB_SET] = {"set", "Set an attribute."},
    [VERB_UNSET] = {"unset", "Set an attribute to its default."},
    [VERB_APPEND] = {"append", "Add values to a list."},
    [VERB_SELECT] = {"select", "Keep only these values of a list."},
    [VERB_UNSELECT] = {"unselect", "Remove values from a list."},
    [VERB_DELETE] = {"delete", "Delete an entry."},
    [VERB_PURGE] = {"purge", "Delete all entries of the table."},
    [VERB_RENAME] = {"rename", "Give an entry another key."},
    [VERB_CLONE] = {"clone", "Copy an entry."},
    [VERB_MOVE] = {"move", "Move an entry before or after another."},
    [VERB_NEXT] = {"next", "Commit the entry."},
    [VERB_END] = {"end", "Commit and leave the table."},
    [VERB_ABORT] = {"abort", "Leave the table without committing."},
    [VERB_SHOW] = {"show", "Show the configuration as commands."},
    [VERB_GET] = {"get", "Show values and states."},
    [VERB_EXECUTE] = {"execute", "Run an action."},
    [VERB_DIAGNOSE] = {"diagnose", "Look inside."},
};

int
verb_match(const char *word, enum verb *out)
{
	size_t len = strlen(word);
	int found = -1;

	if (!len)
		return CLI_PARSE;
	for (int i = 0; i < VERB_COUNT; i++) {
		if (verbs[i].name[0] != word[0] || strncmp(verbs[i].name, word, len))
			continue;
		if (!verbs[i].name[len]) {
			*out = (enum verb)i;
			return CLI_OK;
		}
		if (found >= 0)
			found = VERB_COUNT;
		else
			found = i;
	}
	if (found < 0 || found == VERB_COUNT)
		return CLI_PARSE;
	*out = (enum verb)found;
	return CLI_OK;
}

const char *
verb_name(enum verb v)
{
	return verbs[v].name;
}

const char *
verb_help(enum verb v)
{
	return verbs[v].help;
}
