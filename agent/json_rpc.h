/* json_rpc: a manager's JSON requests over the configuration's tables.
 *
 * One request is {"id": N, "method": M, "params": [{"url": U, "data": D}, …]}. M is get, set, add, update, delete or
 * exec; U is /cli/global/TABLE[/KEY[/TABLE/KEY]] or /api/v2/cmdb/…, words of a table divided by "/" or ".". Bounded and
 * strict (base/json.h). It changes nothing itself: commands go to `run`, which works on a copy. Secrets are masked.
 *
 * The answer is {"id", "result": [{"status": {"code", "message"}, "url", "data"}, …]}; a code is 0, one of the CLI's,
 * or a reply code (wire profile, section 2). A request without form gets {"id", "error": {"code", "message"}}.
 */
#ifndef AGENT_JSON_RPC_H
#define AGENT_JSON_RPC_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct cJSON;
struct command;
struct err;
struct tree;

struct json_rpc_ops {
	void *ctx;
	const struct tree *(*tree)(void *ctx); /* with what `run` has changed so far */
	/* Before the first command of a request: 0, or the reply code of its refusal. */
	int (*may_write)(void *ctx, struct err *e);
	int (*run)(void *ctx, const struct command *c, struct err *e); /* CLI_OK or a code */
	void (*reset)(void *ctx);                                      /* back to the top, the uncommitted dropped */
	/* A `get` of the device itself. CLI_OK or a code. */
	int (*show)(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e);
};

/* The reply, owned by the caller; NULL: no memory. *writes: every command of it went well, and what they have changed
 * is to be kept. One that fails spoils them all. */
struct cJSON *json_rpc_run(const struct json_rpc_ops *ops, const char *text, size_t len, bool *writes);

#endif
