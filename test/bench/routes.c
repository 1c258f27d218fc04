/* routes: applies the static routes of a configuration to the system and takes them back, and prints what each took,
 * "NAME VALUE" a line, in milliseconds of processor time. Only inside a network namespace made for it, in which the
 * devices the configuration names are there. test/bench/config runs it.
 *
 *   routes FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/apply.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "config/diff.h"
#include "config/exec.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
must(bool ok, const char *what, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "routes: %s: %s\n", what, e ? e->text : "failed");
	exit(1);
}

static int
on_apply(void *ctx, const struct change *c, struct err *e)
{
	return apply_change(ctx, c, e);
}

static void
run_text(struct tree *t, struct apply *a, const char *text, size_t len, const char *name)
{
	struct exec_ops ops = {.apply = on_apply, .ctx = a};
	struct exec *x = exec_new(t, &ops, false);
	struct err e = ERR_NONE;
	struct script *s = NULL;
	double at = now_ms();

	must(x && !script_parse("bench", text, len, &s, &e), "parsing", &e);
	for (size_t i = 0; i < script_count(s); i++)
		must(!exec_run(x, script_at(s, i), NULL, &e), script_at(s, i)->text, &e);
	printf("%s %.4f\n", name, now_ms() - at);
	exec_free(x);
	script_free(s);
}

int
main(int argc, char *argv[])
{
	const struct apply_options host = {.resolv_conf = "",
					   .localtime = "",
					   .zoneinfo = "",
					   .run_dir = argc == 3 ? argv[2] : "",
					   .handler_dir = "",
					   .handler_user = ""};
	struct schema *s = schema_new();
	struct buf back = BUF_INIT(CONFIG_MAX_BYTES);
	struct tree *t, *interfaces;
	struct apply *a = NULL;
	struct err e = ERR_NONE;
	char *text, *routes;
	size_t len;

	must(argc == 3 && s && !schema_add_builtin(s, &e), "usage: routes FILE FOLDER", &e);
	must(!file_read(argv[1], CONFIG_MAX_BYTES, &text, &len, &e), argv[1], &e);
	routes = strstr(text, "config router static\n");
	t = tree_new(s);
	must(t && routes && !apply_new(&host, &a, &e), "starting", &e);
	run_text(t, a, text, (size_t)(routes - text), "interfaces");
	interfaces = tree_clone(t);
	must(interfaces, "memory", NULL);
	run_text(t, a, routes, len - (size_t)(routes - text), "apply");
	must(!diff_trees(t, interfaces, &back, NULL), "diff", NULL);
	run_text(t, a, (const char *)buf_head(&back), back.len, "revert");
	must(tree_equal(t, interfaces), "a revert leads back", NULL);
	buf_free(&back);
	apply_free(a);
	tree_free(interfaces);
	tree_free(t);
	schema_free(s);
	free(text);
	return 0;
}
