/* reason: the reason lines that several commands share, in the words of FortiOS, with foreign words escaped. */
#ifndef CONFIG_REASON_H
#define CONFIG_REASON_H

struct err;
struct schema_attr;

/* Each fills `e` (may be NULL) and returns its code. */
int reason_before(struct err *e, const char *word);    /* CLI_PARSE: command parse error before 'WORD' */
int reason_ambiguous(struct err *e, const char *word); /* CLI_PARSE, with the reason that several match */
int reason_incomplete(struct err *e);                  /* CLI_INCOMPLETE */
int reason_memory(struct err *e);                      /* CLI_FAILED */
int reason_not_found(struct err *e, const char *key);  /* CLI_NOT_FOUND */
int reason_duplicate(struct err *e, const char *word); /* CLI_DUPLICATE */

/* `code`, reading "value parse error before 'WORD': attribute 'NAME' takes EXPECTED". */
int reason_value(struct err *e, int code, const struct schema_attr *a, const char *word, const char *expected);

#endif
