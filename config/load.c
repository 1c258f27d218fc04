#include "config/load.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/script.h"

/* The form of the whole text. 0, or a code with its reason; -ENOMEM of no reader. */
static int
check_form(const char *name, const char *text, size_t len, struct err *e)
{
	struct reader *r = reader_new(name, text, len);
	struct command c = {.argc = 1};
	int rc = r ? CLI_OK : err_sys(e, -ENOMEM, "%s", name);

	while (!rc && c.argc)
		rc = reader_next(r, &c, e);
	reader_free(r);
	return rc;
}

static void
tell(load_complain_fn *complain, void *ctx, const char *name, const struct command *c, const struct err *why)
{
	char line[512];

	snprintf(line, sizeof(line), "%s:%u:%u: %s", name, c->line, c->column, why->text);
	if (complain)
		complain(ctx, line);
}

/* The text is read twice, once for its form and once to run it: a script of it would take several times its size, at
 * every start. */
int
load_text(struct tree *t, const char *name, const char *text, size_t len, bool bootstrap, load_complain_fn *complain,
	  void *ctx, struct err *e)
{
	static const struct exec_ops memory_only;
	struct reader *r = NULL;
	struct exec *x = NULL;
	struct command c = {.argc = 1};
	struct err why;
	int rc = check_form(name, text, len, e), failed = 0;

	if (rc)
		return rc;
	r = reader_new(name, text, len);
	x = exec_new(t, &memory_only, bootstrap);
	if (!r || !x)
		rc = err_sys(e, -ENOMEM, "%s", name);
	while (!rc && !(rc = reader_next(r, &c, e)) && c.argc) {
		if (exec_run(x, &c, NULL, &why) == CLI_OK)
			continue;
		failed++;
		tell(complain, ctx, name, &c, &why);
	}
	exec_free(x);
	reader_free(r);
	return rc ? rc : failed;
}
