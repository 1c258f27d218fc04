/* verb: the first words of commands, and their abbreviations. */
#ifndef CONFIG_VERB_H
#define CONFIG_VERB_H

enum verb {
	VERB_CONFIG,
	VERB_EDIT,
	VERB_SET,
	VERB_UNSET,
	VERB_APPEND,
	VERB_SELECT,
	VERB_UNSELECT,
	VERB_DELETE,
	VERB_PURGE,
	VERB_RENAME,
	VERB_CLONE,
	VERB_MOVE,
	VERB_NEXT,
	VERB_END,
	VERB_ABORT,
	VERB_SHOW,
	VERB_GET,
	VERB_EXECUTE,
	VERB_DIAGNOSE,
	VERB_COUNT,
};

/* A verb, or a beginning that no other verb shares. CLI_OK or CLI_PARSE. */
int verb_match(const char *word, enum verb *out);

const char *verb_name(enum verb v);
const char *verb_help(enum verb v);

#endif
