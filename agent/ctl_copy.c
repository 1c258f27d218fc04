#include "agent/ctl_copy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ctl_package.h"
#include "agent/memory.h"
#include "agent/packages.h"
#include "agent/settings.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/schema.h"
#include "package/format.h"
#include "package/pkg_copy.h"
#include "package/pkg_job.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/version.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };

struct copy {
	const char *folder;
	bool json;
	struct schema *schema;
	struct settings *settings;
	struct pkg_store *store;
	struct pkg_status *status;
	struct packages_trust trust;
	struct loop *loop;
	struct packages *run;
	int code;
};

static int
read_words(struct copy *c, int argc, char *argv[])
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			c->json = true;
		else if (argv[i][0] == '-' || c->folder)
			return USAGE;
		else
			c->folder = argv[i];
	}
	return c->folder ? DONE : USAGE;
}

/* --- what it is done with ----------------------------------------------------------------------------------------- */

static int
open_store(struct copy *c, const char *bootstrap, struct err *e)
{
	char dir[PATH_MAX];
	int rc = 0;

	c->schema = schema_new();
	rc = c->schema ? schema_add_builtin(c->schema, e) : err_sys(e, -ENOMEM, "schema");
	if (!rc)
		rc = settings_load(bootstrap, c->schema, NULL, NULL, &c->settings, e);
	if (!rc)
		rc = pkg_store_open(settings_state_path(c->settings, "packages", dir, sizeof(dir)), &c->store, e);
	return rc;
}

static int64_t
trust_time_s(const struct copy *c)
{
	char path[PATH_MAX];
	int64_t s = memory_peek_last_good_s(settings_state_path(c->settings, "manager.json", path, sizeof(path)));

	s = s < clock_build_s() ? clock_build_s() : s;
	return s < clock_wall().s ? clock_wall().s : s;
}

static void
close_all(struct copy *c)
{
	packages_free(c->run);
	packages_trust_free(&c->trust);
	pkg_status_free(c->status);
	pkg_store_free(c->store);
	loop_free(c->loop);
	settings_free(c->settings);
	schema_free(c->schema);
}

/* --- export ------------------------------------------------------------------------------------------------------- */

static int export(struct copy *c, struct err *e)
{
	size_t count = 0;
	int rc = pkg_copy_export(c->store, c->folder, &count, e);

	if (rc)
		return rc;
	if (c->json)
		printf("{\"exported\": %zu}\n", count);
	else
		printf("%zu signed object%s written to %s\n", count, count == 1 ? "" : "s", c->folder);
	return 0;
}

/* --- import ------------------------------------------------------------------------------------------------------- */

static const char *
outcome_name(enum pkg_outcome o)
{
	return o == PKG_INSTALLED ? "installed" : o == PKG_NO_UPDATE ? "no-update" : "refused";
}

static void
print_json(const struct pkg_result *r)
{
	struct cJSON *root = json_new_object(), *list, *j;
	char version[VERSION_TEXT], *text;

	json_add_int(root, "code", r->code);
	json_add_str(root, "summary", r->summary);
	list = json_add_array(root, "objects");
	for (size_t i = 0; i < r->count; i++) {
		const struct pkg_object_result *o = &r->objects[i];

		j = json_add_object(list, NULL);
		json_add_str(j, "name", o->name);
		json_add_str(j, "outcome", outcome_name(o->outcome));
		json_add_str(j, "version", version_text(version, o->version));
		json_add_str(j, "refusal", o->outcome == PKG_REFUSED ? pkg_refusal_name(o->refusal) : "");
		json_add_str(j, "reason", o->outcome == PKG_REFUSED ? o->why.text : "");
	}
	text = json_pretty(root);
	if (text)
		printf("%s\n", text);
	free(text);
	json_free(root);
}

static void
print_text(const struct pkg_result *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->objects[i].outcome == PKG_REFUSED)
			fprintf(stderr, "fgfmctl: %s: %s\n", r->objects[i].name, r->objects[i].why.text);
	}
	fprintf(r->code ? stderr : stdout, "%s\n", r->summary);
	if (r->why.code)
		fprintf(stderr, "fgfmctl: %s\n", r->why.text);
}

static void
on_done(void *ctx, const struct pkg_result *r)
{
	struct copy *c = ctx;

	c->code = r->code ? FAILED : DONE;
	if (c->json)
		print_json(r);
	else
		print_text(r);
	loop_stop(c->loop);
}

/* The rule for copies has no questions. */
static void
on_ask(void *ctx, const struct pkg_question *q)
{
	struct copy *c = ctx;

	packages_answer(c->run, false, q->digest);
}

static void
on_progress(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	(void)done;
	(void)total;
}

static int
begin_import(struct copy *c, struct err *e)
{
	const struct packages_programs programs = {.dir = settings_get(c->settings, "handler-directory"),
						   .validator_user = settings_get(c->settings, "fetch-user"),
						   .hook_user = settings_get(c->settings, "handler-user")};
	const struct packages_ops ops = {.ctx = c, .ask = on_ask, .progress = on_progress, .done = on_done};
	const struct pkg_job_params params = {
	    .store = c->store,
	    .status = c->status,
	    .check = c->trust.check,
	    .level = c->trust.level,
	    .way = UPDATE_HA,
	    .families = PKG_ALL,
	    .os_build = (uint32_t)settings_int(c->settings, "build"),
	    .now_s = clock_wall().s,
	    .from = c->folder,
	};
	struct pkg_copy copies[FORMAT_OBJECTS_MAX];
	struct pkg_job *job = NULL;
	size_t n = 0;
	int rc = pkg_copy_open(c->folder, copies, &n, e);

	if (!rc)
		rc = pkg_job_new_copies(&params, copies, n, &job, e);
	return rc ? rc : packages_new(c->loop, job, &programs, &ops, &c->run, e);
}

static int
import(struct copy *c, struct err *e)
{
	int rc = pkg_status_load(pkg_store_folder(c->store), &c->status, e);

	if (!rc)
		rc = packages_trust_read(settings_get(c->settings, "package-ca"),
					 settings_get(c->settings, "security-level-file"), c->store, trust_time_s(c),
					 &c->trust, e);
	if (!rc) {
		c->loop = loop_new(e);
		rc = c->loop ? begin_import(c, e) : e->code;
	}
	if (!rc) {
		rc = loop_run(c->loop);
		if (rc)
			err_sys(e, rc, "waiting");
	}
	return rc;
}

int
ctl_copy_run(const struct ctl_package *p, int argc, char *argv[])
{
	struct copy c = {.json = p->json};
	struct err e = ERR_NONE;
	int rc;

	if (read_words(&c, argc, argv)) {
		fprintf(stderr, "fgfmctl: package %s: one FOLDER expected\n", argv[0]);
		return USAGE;
	}
	log_open("fgfmctl", false, false);
	rc = open_store(&c, p->bootstrap, &e);
	if (!rc)
		rc = !strcmp(argv[0], "export") ? export(&c, &e) : import(&c, &e);
	if (rc)
		fprintf(stderr, "fgfmctl: %s\n", e.text);
	close_all(&c);
	return rc ? FAILED : c.code;
}
