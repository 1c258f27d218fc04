#include "agent/ctl_package.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ctl_copy.h"
#include "agent/memory.h"
#include "agent/settings.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "config/schema.h"
#include "package/anchor.h"
#include "package/container.h"
#include "package/denylist.h"
#include "package/format.h"
#include "package/level.h"
#include "package/object.h"
#include "package/types.h"
#include "package/verify.h"
#include "package/version.h"

enum { DONE = 0, FAILED = 1, USAGE = 2, OUTPUT_MAX = 4 * 1024 * 1024, NAME_SHOWN = 96 };

/* Where the bootstrap file is missing: its defaults. */
#define DEFAULT_CA SYSCONFDIR "/fgfmd/package-ca.pem"
#define DEFAULT_LEVEL SYSCONFDIR "/fgfmd/security-level"
#define DEFAULT_MEMORY "/var/lib/fgfmd/manager.json"

/* One command, as it was typed, and what it found. */
struct run {
	const char *file;
	bool list, explain, json;
	char ca[PATH_MAX], level_file[PATH_MAX], memory[PATH_MAX];
	const char *denylist; /* NULL: none */
	int fd;
	struct anchors *anchors;
	struct denylist *denied;
	struct anchor_check check;
	enum level level;
	char level_why[LEVEL_WHY];
	struct container container;
	struct finding *findings; /* one for each object */
	struct err damage;        /* why there are no objects; code 0: there are */
	struct buf out;
};

static int
complain(const struct err *e)
{
	fprintf(stderr, "fgfmctl: %s\n", e->text);
	return FAILED;
}

/* --- what it is judged by ----------------------------------------------------------------------------------------- */

static int
read_settings(struct run *r, const struct ctl_package *p)
{
	struct schema *schema = schema_new();
	struct settings *s = NULL;
	struct err e = ERR_NONE;
	int rc = schema ? schema_add_builtin(schema, &e) : err_sys(&e, -ENOMEM, "schema");

	snprintf(r->ca, sizeof(r->ca), "%s", DEFAULT_CA);
	snprintf(r->level_file, sizeof(r->level_file), "%s", DEFAULT_LEVEL);
	snprintf(r->memory, sizeof(r->memory), "%s", DEFAULT_MEMORY);
	if (!rc && !(p->bootstrap_default && access(p->bootstrap, F_OK)))
		rc = settings_load(p->bootstrap, schema, NULL, NULL, &s, &e);
	if (!rc && s) {
		snprintf(r->ca, sizeof(r->ca), "%s", settings_get(s, "package-ca"));
		snprintf(r->level_file, sizeof(r->level_file), "%s", settings_get(s, "security-level-file"));
		settings_state_path(s, "manager.json", r->memory, sizeof(r->memory));
	}
	settings_free(s);
	schema_free(schema);
	return rc ? complain(&e) : DONE;
}

/* Time is not before the build, nor before the last authenticated session. */
static int64_t
trust_time_s(const char *memory)
{
	int64_t s = clock_wall().s, known = memory_peek_last_good_s(memory);

	if (s < clock_build_s())
		s = clock_build_s();
	return s < known ? known : s;
}

static int
read_trust(struct run *r)
{
	struct err e = ERR_NONE;
	int rc = anchors_load(r->ca, &r->anchors, &e);

	if (!rc && r->denylist)
		rc = denylist_load(r->denylist, &r->denied, &e);
	if (rc)
		return complain(&e);
	r->check = (struct anchor_check){
	    .anchors = r->anchors,
	    .denied = r->denied,
	    .now_s = trust_time_s(r->memory),
	    .occasion = ANCHOR_NEW,
	};
	r->level = level_read(FORMAT_LEVEL_VARIABLE, r->level_file, r->level_why);
	return DONE;
}

static int
read_package(struct run *r)
{
	struct err e = ERR_NONE;

	r->fd = open(r->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (r->fd < 0) {
		err_sys(&e, -errno, "%s", r->file);
		return complain(&e);
	}
	if (container_read(r->fd, &r->container, &r->damage))
		r->container.count = 0;
	r->findings = calloc(FORMAT_OBJECTS_MAX, sizeof(*r->findings));
	if (r->findings)
		return DONE;
	err_sys(&e, -ENOMEM, "%s", r->file);
	return complain(&e);
}

/* --- one object --------------------------------------------------------------------------------------------------- */

/* NAME(ID,SUB) as the guide shows it; what the header outside says where that is no known object. */
static const char *
object_name(char dst[NAME_SHOWN], const struct container_object *o, const struct finding *f)
{
	char name[NAME_SHOWN / 2], type[24];

	if (f->kind) {
		snprintf(dst, NAME_SHOWN, "%s(%u,%u)", f->kind->name, f->kind->id, f->kind->sub);
	} else {
		text_escape(name, sizeof(name), o->name, strlen(o->name));
		text_escape(type, sizeof(type), o->type, FORMAT_TYPE_BYTES);
		snprintf(dst, NAME_SHOWN, "%s %s", type, name);
	}
	return dst;
}

/* In the guide's words; a type that need not be signed and is not, has passed. What is wrong before or behind the
 * signature is none of its fault. */
static const char *
signature_words(const struct finding *f)
{
	if (f->failed == VERIFY_CHECKSUM || f->failed == VERIFY_LABEL || f->failed == VERIFY_PAYLOAD)
		return "object is invalid.";
	if (f->signature == SIGNATURE_VALID)
		return "signature is valid.";
	if (f->signature == SIGNATURE_BAD)
		return "signature is invalid.";
	return f->kind->forced ? "signature is missing." : "signature check passed.";
}

static void
explain_checks(struct run *r, const struct finding *f)
{
	for (enum verify_check c = VERIFY_RECORD; c < VERIFY_NONE; c++) {
		bool of_signature = c >= VERIFY_CMS && c <= VERIFY_SIGNATURE;

		buf_printf(&r->out, "  %-10s ", verify_check_name(c));
		if (c > f->failed)
			buf_str(&r->out, "not made\n");
		else if (c == f->failed)
			buf_printf(&r->out, "FAILED: %s\n", f->why.text);
		else if (of_signature && !f->parts.sig_len)
			buf_str(&r->out, "no signature\n");
		else if (c == VERIFY_SIGNER && f->signer.subject[0])
			buf_printf(&r->out, "passed: %s, key %s\n", f->signer.subject, f->signer.key);
		else
			buf_str(&r->out, "passed\n");
	}
}

static void
explain_verdicts(struct run *r, const struct finding *f)
{
	static const int widths[] = {21, 21, 8, 8, 8};

	buf_printf(&r->out, "\n  %-10s", "level");
	for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++)
		buf_printf(&r->out, " %-*s", l + 1 < LEVEL_COUNT ? widths[l] : 0, level_name(l));
	for (enum update_way w = UPDATE_AUTOMATIC; w < UPDATE_WAYS; w++) {
		buf_printf(&r->out, "\n  %-10s", update_way_name(w));
		for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++)
			buf_printf(&r->out, " %-*s", l + 1 < LEVEL_COUNT ? widths[l] : 0,
				   verdict_name(verify_decide(f, w, l)));
	}
	buf_str(&r->out, "\n");
}

static void
show_object(struct run *r, const struct container_object *o, const struct finding *f)
{
	char name[NAME_SHOWN], version[VERSION_TEXT];

	if (r->explain)
		buf_str(&r->out, "\n");
	buf_printf(&r->out, "%s %s\n", object_name(name, o, f), signature_words(f));
	if (!r->explain) {
		if (f->signature == SIGNATURE_BAD)
			buf_printf(&r->out, "  %s\n", f->why.text);
		return;
	}
	if (f->label.type[0])
		buf_printf(&r->out, "  version %s, %" PRIu32 " bytes unpacked\n",
			   version_text(version, f->label.version), f->unpacked_len);
	buf_printf(&r->out, "  data_len=%" PRIu32 ", obj_len=%" PRIu32 ", sig_len=%" PRIu32 "\n", o->len,
		   f->parts.raw_len, f->parts.sig_len);
	if (!o->header_intact)
		buf_str(&r->out, "  warning: the sum of the header before it is wrong\n");
	explain_checks(r, f);
	explain_verdicts(r, f);
}

static void
add_label(struct cJSON *j, const struct finding *f)
{
	char version[VERSION_TEXT];

	json_add_str(j, "type", f->label.type);
	json_add_int(j, "id", f->kind->id);
	json_add_int(j, "sub", f->label.sub);
	json_add_str(j, "title", f->kind->title);
	json_add_str(j, "version", version_text(version, f->label.version));
	json_add_int(j, "built", f->label.built_s > INT64_C(1) << 40 ? 0 : (int64_t)f->label.built_s);
	json_add_int(j, "os-build", f->label.os_build);
	json_add_bool(j, "forced", f->kind->forced);
}

static void
add_parts(struct cJSON *j, const struct container_object *o, const struct finding *f)
{
	json_add_int(j, "data-len", o->len);
	json_add_int(j, "obj-len", f->parts.raw_len);
	json_add_int(j, "sig-len", f->parts.sig_len);
	json_add_bool(j, "header-intact", o->header_intact);
}

static struct cJSON *
object_json(const struct container_object *o, const struct finding *f)
{
	struct cJSON *j = json_new_object(), *verdicts, *levels;
	char name[NAME_SHOWN];

	json_add_str(j, "name", f->kind ? f->kind->name : object_name(name, o, f));
	if (f->kind)
		add_label(j, f);
	add_parts(j, o, f);
	json_add_int(j, "unpacked-len", f->unpacked_len);
	json_add_str(j, "signature", signature_name(f->signature));
	json_add_str(j, "failed", f->failed == VERIFY_NONE ? "" : verify_check_name(f->failed));
	json_add_str(j, "reason", f->failed == VERIFY_NONE ? "" : f->why.text);
	json_add_str(j, "signer", f->signer.subject);
	json_add_str(j, "signer-key", f->signer.key);
	verdicts = json_add_object(j, "verdicts");
	for (enum update_way w = UPDATE_AUTOMATIC; w < UPDATE_WAYS; w++) {
		levels = json_add_object(verdicts, update_way_name(w));
		for (enum level l = LEVEL_0; l < LEVEL_COUNT; l++)
			json_add_str(levels, level_name(l), verdict_name(verify_decide(f, w, l)));
	}
	return j;
}

/* --- the whole package -------------------------------------------------------------------------------------------- */

/* Level plays no part in an automatic update: this is the answer that is the same on every machine. */
static bool
is_acceptable(const struct run *r)
{
	for (size_t i = 0; i < r->container.count; i++) {
		if (verify_decide(&r->findings[i], UPDATE_AUTOMATIC, r->level) != VERDICT_ACCEPT)
			return false;
	}
	return r->container.count > 0;
}

static void
flush_json(struct run *r, struct cJSON *j)
{
	char *text = json_pretty(j);

	if (text)
		buf_printf(&r->out, "%s\n", text);
	free(text);
	json_free(j);
}

static struct cJSON *
package_json(const struct run *r)
{
	struct cJSON *j = json_new_object();

	json_add_str(j, "file", r->file);
	json_add_str(j, "version", r->container.version);
	json_add_str(j, "time", r->container.time);
	json_add_str(j, "damage", r->damage.code ? r->damage.text : "");
	return j;
}

static void
verify_as_json(struct run *r)
{
	struct cJSON *j = package_json(r), *list;

	json_add_str(j, "authorities", r->ca);
	json_add_int(j, "judged-at", r->check.now_s);
	json_add_str(j, "level", level_name(r->level));
	json_add_str(j, "level-source", r->level_why);
	json_add_bool(j, "accepted", is_acceptable(r));
	list = json_add_array(j, "objects");
	for (size_t i = 0; i < r->container.count; i++)
		json_add(list, NULL, object_json(&r->container.objects[i], &r->findings[i]));
	flush_json(r, j);
}

static void
verify_as_text(struct run *r)
{
	char when[32];

	if (r->explain) {
		buf_printf(&r->out, "Package:     %s\n", r->file);
		buf_printf(&r->out, "Authorities: %s\n", r->ca);
		buf_printf(&r->out, "Judged at:   %s\n", text_utc(when, sizeof(when), r->check.now_s));
		buf_printf(&r->out, "Level:       %s (%s)\n", level_name(r->level), r->level_why);
	}
	if (r->damage.code)
		buf_printf(&r->out, "package is damaged: every update rejects it.\n  %s\n", r->damage.text);
	for (size_t i = 0; i < r->container.count; i++)
		show_object(r, &r->container.objects[i], &r->findings[i]);
}

static int
verify(struct run *r)
{
	struct err e = ERR_NONE;

	for (size_t i = 0; i < r->container.count; i++) {
		int rc = verify_object(r->fd, &r->container.objects[i], &r->check, &r->findings[i]);

		if (rc) {
			err_set(&e, rc, "%s", r->findings[i].why.text);
			return complain(&e);
		}
	}
	if (r->json)
		verify_as_json(r);
	else
		verify_as_text(r);
	return is_acceptable(r) ? DONE : FAILED;
}

/* --- list --------------------------------------------------------------------------------------------------------- */

/* What can be said without looking at data: nothing is verified. */
static int
read_entry(struct run *r, size_t i)
{
	const struct container_object *o = &r->container.objects[i];
	struct finding *f = &r->findings[i];
	bool is_signed;
	int rc = object_divide(r->fd, o, &f->parts, &is_signed, &f->why);

	if (!rc)
		rc = object_read_label(r->fd, o, &f->parts, &f->label, &f->kind, &f->why);
	return rc;
}

static void
list_as_text(struct run *r, size_t i, int rc)
{
	const struct container_object *o = &r->container.objects[i];
	const struct finding *f = &r->findings[i];
	char name[NAME_SHOWN], version[VERSION_TEXT] = "", built[32] = "";

	if (!rc) {
		version_text(version, f->label.version);
		text_utc(built, sizeof(built), f->label.built_s > INT64_C(1) << 40 ? 0 : (int64_t)f->label.built_s);
	}
	buf_printf(&r->out, "%-18s %-12s %-20s %10" PRIu32 " %10" PRIu32 "  %s\n", object_name(name, o, f), version,
		   built, o->len, f->parts.sig_len, rc ? f->why.text : f->kind->title);
}

static struct cJSON *
entry_json(const struct run *r, size_t i, int rc)
{
	const struct container_object *o = &r->container.objects[i];
	const struct finding *f = &r->findings[i];
	struct cJSON *j = json_new_object();
	char name[NAME_SHOWN];

	json_add_str(j, "name", f->kind ? f->kind->name : object_name(name, o, f));
	if (!rc)
		add_label(j, f);
	add_parts(j, o, f);
	json_add_str(j, "reason", rc ? f->why.text : "");
	return j;
}

static int
list(struct run *r)
{
	struct cJSON *j = r->json ? package_json(r) : NULL, *objects = j ? json_add_array(j, "objects") : NULL;
	int code = r->damage.code ? FAILED : DONE;

	if (r->damage.code && !r->json)
		return complain(&r->damage);
	if (!r->json)
		buf_printf(&r->out, "Package %s, made %s, not verified\n%-18s %-12s %-20s %10s %10s  %s\n",
			   r->container.version, r->container.time, "OBJECT", "VERSION", "BUILT", "BYTES", "SIGNATURE",
			   "WHAT");
	for (size_t i = 0; i < r->container.count; i++) {
		int rc = read_entry(r, i);

		if (r->json)
			json_add(objects, NULL, entry_json(r, i, rc));
		else
			list_as_text(r, i, rc);
		if (rc)
			code = FAILED;
	}
	if (j)
		flush_json(r, j);
	return code;
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static int
bad_usage(const char *what)
{
	fprintf(stderr,
		"fgfmctl: %s\n"
		"usage: fgfmctl package verify FILE [--explain] [--json] [--ca FILE] [--level-file FILE] "
		"[--deny-list FILE]\n"
		"       fgfmctl package list FILE [--json]\n"
		"       fgfmctl package export|import FOLDER [--json]\n",
		what);
	return USAGE;
}

static int
read_options(struct run *r, int argc, char *argv[])
{
	static const struct option longs[] = {
	    {"explain", no_argument, NULL, 'e'},         {"json", no_argument, NULL, 'j'},
	    {"ca", required_argument, NULL, 'a'},        {"level-file", required_argument, NULL, 'l'},
	    {"deny-list", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0},
	};
	int opt;

	optind = 0; /* main() has used it for the words before */
	while ((opt = getopt_long(argc, argv, "j", longs, NULL)) != -1) {
		if (opt == 'j')
			r->json = true;
		else if (opt == '?' || r->list)
			return bad_usage("package: unknown option");
		else if (opt == 'e')
			r->explain = true;
		else if (opt == 'd')
			r->denylist = optarg;
		else
			snprintf(opt == 'a' ? r->ca : r->level_file, PATH_MAX, "%s", optarg);
	}
	if (optind + 1 != argc)
		return bad_usage("package: one FILE expected");
	r->file = argv[optind];
	return DONE;
}

static int
run(struct run *r, const struct ctl_package *p, int argc, char *argv[])
{
	int code = argc < 2 ? bad_usage("package: verify, list, export or import expected") : DONE;

	if (code)
		return code;
	if (!strcmp(argv[1], "export") || !strcmp(argv[1], "import"))
		return ctl_copy_run(p, argc - 1, argv + 1);
	r->list = !strcmp(argv[1], "list");
	if (!r->list && strcmp(argv[1], "verify") != 0)
		return bad_usage("package: verify, list, export or import expected");
	code = r->list ? DONE : read_settings(r, p);
	if (!code)
		code = read_options(r, argc - 1, argv + 1);
	if (!code && !r->list)
		code = read_trust(r);
	if (!code)
		code = read_package(r);
	if (code)
		return code;
	return r->list ? list(r) : verify(r);
}

int
ctl_package_run(const struct ctl_package *p, int argc, char *argv[])
{
	struct run *r = calloc(1, sizeof(*r));
	struct err e = ERR_NONE;
	int code;

	if (!r || crypto_start()) {
		free(r);
		err_set(&e, -ENOMEM, "package: no memory");
		return complain(&e);
	}
	r->fd = -1;
	r->json = p->json;
	r->out = BUF_INIT(OUTPUT_MAX);
	code = run(r, p, argc, argv);
	fwrite(buf_head(&r->out), 1, r->out.len, stdout);
	buf_free(&r->out);
	if (r->fd >= 0)
		close(r->fd);
	free(r->findings);
	denylist_free(r->denied);
	anchors_free(r->anchors);
	free(r);
	crypto_stop();
	return code;
}

void
ctl_package_complete(const char *line, size_t len, struct buf *out)
{
	static const struct {
		const char *word, *help;
		bool option;
	} words[] = {
	    {"verify", "Whether a package is signed, and what would become of it.", false},
	    {"list", "What is in a package.", false},
	    {"export", "The signed objects installed here, for another unit.", false},
	    {"import", "Install what another unit has exported.", false},
	    {"--explain", "Each check, and the verdict for every level and way.", true},
	    {"--json", "JSON with stable keys.", true},
	    {"--ca", "The authorities that packages are signed under.", true},
	    {"--level-file", "The file with the security level.", true},
	    {"--deny-list", "Keys that sign no more.", true},
	};
	size_t start = len, blanks = 0;

	while (start && line[start - 1] != ' ')
		start--;
	for (size_t i = 0; i < start; i++)
		blanks += line[i] == ' ' && i && line[i - 1] != ' ';
	for (size_t i = 0; blanks && i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].option == (blanks > 1) && !strncmp(words[i].word, line + start, len - start))
			buf_printf(out, "%s\t%s\n", words[i].word, words[i].help);
	}
}
