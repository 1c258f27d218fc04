/* entry_json: an entry as JSON, for programs. */
#ifndef AGENT_ENTRY_JSON_H
#define AGENT_ENTRY_JSON_H

struct cJSON;
struct entry;

/* Every attribute, at its default or not, by its name: text as the CLI prints it, a list as an array of texts. Nested
 * tables are arrays of such objects, each with its key by the key's name; a nested table without keys is an object.
 * Secrets are in clear. Owned by the caller. NULL: no entry, or no
 * memory. */
struct cJSON *entry_json(const struct entry *en);

/* The same with every secret as ENTRY_JSON_MASK, as `show` masks them: for whoever only looks. */
#define ENTRY_JSON_MASK "ENC ***"
struct cJSON *entry_json_masked(const struct entry *en);

#endif
