#include "config/load.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/script.h"

int
load_text(struct tree *t, const char *name, const char *text, size_t len, bool bootstrap, load_complain_fn *complain,
	  void *ctx, struct err *e)
{
	static const struct exec_ops memory_only;
	struct script *script = NULL;
	struct exec *x = NULL;
	int failed = script_parse(name, text, len, &script, e);

	if (failed)
		return failed;
	x = exec_new(t, &memory_only, bootstrap);
	if (!x) {
		script_free(script);
		return err_sys(e, -ENOMEM, "%s", name);
	}
	for (size_t i = 0; i < script_count(script); i++) {
		const struct command *c = script_at(script, i);
		struct err why = ERR_NONE;
		char line[512];

		if (exec_run(x, c, NULL, &why) == CLI_OK)
			continue;
		failed++;
		snprintf(line, sizeof(line), "%s:%u:%u: %s", name, c->line, c->column, why.text);
		if (complain)
			complain(ctx, line);
	}
	exec_free(x);
	script_free(script);
	return failed;
}
