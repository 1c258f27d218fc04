/* fuzz_json: a manager's JSON requests on a configuration with some entries. The input is one request.
 *
 * Whatever it is: there is a reply with an error or a result of each operation, it can be read again, its texts are in
 * their bounds, a request that only reads runs nothing, and what was written prints to a text that can be read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/json_rpc.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/load.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct tree *tree;
	struct exec *exec;
	unsigned asked, ran;
};

static const char text[] = "config system global\nset hostname \"old\"\nend\n"
			   "config system interface\nedit \"wan1\"\nset ip 192.0.2.1 255.255.255.0\nnext\nend\n"
			   "config firewall address\nedit \"a/b\"\nset subnet 10.0.0.0 255.0.0.0\nnext\nend\n"
			   "config system central-management\nconfig server-list\nedit 1\n"
			   "set server-type update\nset server-address 192.0.2.9\nnext\nend\nend\n";

static void
must(int ok)
{
	if (!ok)
		abort();
}

static const struct schema *
builtin(void)
{
	static struct schema *s;

	if (!s) {
		s = schema_new();
		must(s && !schema_add_builtin(s, NULL));
	}
	return s;
}

static const struct tree *
op_tree(void *ctx)
{
	return ((struct world *)ctx)->tree;
}

static int
op_may_write(void *ctx, struct err *e)
{
	(void)e;
	((struct world *)ctx)->asked++;
	return 0;
}

static int
op_run(void *ctx, const struct command *c, struct err *e)
{
	struct world *w = ctx;

	must(w->asked && c->argc && c->argc <= WORDS_MAX);
	w->ran++;
	return exec_run(w->exec, c, NULL, e);
}

static void
op_reset(void *ctx)
{
	exec_reset(((struct world *)ctx)->exec);
}

static int
op_show(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	(void)e;
	must(argc >= 3 && !strcmp(argv[0], "get"));
	return buf_str(out, "shown\n");
}

static void
check_status(const struct cJSON *status)
{
	const char *message;
	int64_t code = -1;

	must(status && !json_get_int(status, "code", -1000, 500, &code, NULL));
	must(!json_get_str(status, "message", &message, NULL));
	must(code == 0 ? !strcmp(message, "OK") : *message != '\0');
}

static void
check_reply(const struct cJSON *reply, const struct world *w)
{
	const struct cJSON *results = json_get_array(reply, "result");
	char *line = json_line(reply);
	struct cJSON *again;

	must(line != NULL);
	again = json_parse(line, strlen(line), NULL);
	must(again != NULL);
	json_free(again);
	free(line);
	must(!results == (json_get_object(reply, "error") != NULL));
	if (!results)
		check_status(json_get_object(reply, "error"));
	must(results || !w->asked);
	for (const struct cJSON *one = json_first(results); one; one = json_next(one))
		check_status(json_get_object(one, "status"));
}

static void
check_tree(const struct tree *t)
{
	struct buf out = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *again = tree_new(builtin());

	must(again && !print_tree(t, PRINT_SECRETS, &out));
	must(!load_text(again, "again", (const char *)buf_head(&out), out.len, false, NULL, NULL, NULL));
	must(tree_equal(t, again));
	tree_free(again);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct exec_ops memory_only;
	struct world w = {.tree = tree_new(builtin())};
	const struct json_rpc_ops ops = {
	    .ctx = &w, .tree = op_tree, .may_write = op_may_write, .run = op_run, .reset = op_reset, .show = op_show};
	struct cJSON *reply;
	bool writes;

	must(w.tree && !load_text(w.tree, "text", text, sizeof(text) - 1, false, NULL, NULL, NULL));
	w.exec = exec_new(w.tree, &memory_only, false);
	must(w.exec != NULL);
	reply = json_rpc_run(&ops, (const char *)data, size, &writes);
	must(reply != NULL && (!writes || (w.asked && exec_at_top(w.exec))));
	check_reply(reply, &w);
	check_tree(w.tree);
	json_free(reply);
	exec_free(w.exec);
	tree_free(w.tree);
	return 0;
}
