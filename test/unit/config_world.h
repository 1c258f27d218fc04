/* config_world: a schema with something of everything, a tree and an executor on it that remembers what it was told.
 * For the tests of config/. */
#ifndef TEST_CONFIG_WORLD_H
#define TEST_CONFIG_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

/* clang-format off */
static const char world_schema[] =
"{\"tables\":["
"{\"path\":\"box global\",\"help\":\"The box.\",\"attributes\":["
" {\"name\":\"hostname\",\"type\":\"string\",\"max-length\":8,\"default\":\"box\"},"
" {\"name\":\"timeout\",\"type\":\"integer\",\"min\":-5,\"max\":480,\"default\":\"5\"},"
" {\"name\":\"secret\",\"type\":\"password\",\"max-length\":16},"
" {\"name\":\"servers\",\"type\":\"string\",\"list\":true,\"max-values\":3},"
" {\"name\":\"features\",\"type\":\"option\",\"list\":true,\"options\":[\"web\",\"ssh\",\"snmp\"],\"default\":[\"web\",\"ssh\"]},"
" {\"name\":\"note\",\"type\":\"string\",\"max-length\":1000}],"
" \"tables\":[{\"path\":\"proxy\",\"attributes\":[{\"name\":\"status\",\"type\":\"option\",\"options\":[\"enable\",\"disable\"],\"default\":\"disable\"}]}]},"
"{\"path\":\"net port\",\"help\":\"Ports.\",\"applied-by\":\"interface\",\"key\":{\"name\":\"name\",\"type\":\"string\",\"max-length\":15},\"attributes\":["
" {\"name\":\"ip\",\"type\":\"ipv4-mask\",\"default\":\"0.0.0.0 0.0.0.0\"},"
" {\"name\":\"ip6\",\"type\":\"ipv6-prefix\"},"
" {\"name\":\"mac\",\"type\":\"mac\"},"
" {\"name\":\"type\",\"type\":\"option\",\"fixed\":true,\"default\":\"physical\",\"options\":[\"physical\",\"vlan\",\"vxlan\"]},"
" {\"name\":\"parent\",\"type\":\"reference\",\"refers\":[\"net port\"],\"max-length\":15},"
" {\"name\":\"comment\",\"type\":\"string\"}],"
" \"tables\":[{\"path\":\"second\",\"key\":{\"name\":\"id\",\"type\":\"integer\",\"min\":1,\"max\":99},\"attributes\":["
"   {\"name\":\"ip\",\"type\":\"ipv4-mask\",\"required\":true},"
"   {\"name\":\"via\",\"type\":\"reference\",\"refers\":[\"net port\"]}],"
"   \"tables\":[{\"path\":\"deep\",\"key\":{\"name\":\"name\",\"type\":\"string\"},\"attributes\":[{\"name\":\"x\",\"type\":\"string\"}]}]}]},"
"{\"path\":\"net route\",\"scope\":\"vdom\",\"key\":{\"name\":\"id\",\"type\":\"integer\"},\"attributes\":["
" {\"name\":\"uuid\",\"type\":\"string\"},"
" {\"name\":\"gateway\",\"type\":\"ipv4\"},{\"name\":\"gateway6\",\"type\":\"ipv6\"},"
" {\"name\":\"device\",\"type\":\"reference\",\"refers\":[\"net port\"],\"required\":true}]},"
"{\"path\":\"net group\",\"scope\":\"vdom\",\"key\":{\"name\":\"name\",\"type\":\"string\"},\"attributes\":["
" {\"name\":\"member\",\"type\":\"reference\",\"list\":true,\"required\":true,\"refers\":[\"net port\",\"net group\"]}]},"
"{\"path\":\"hidden\",\"unsummed\":true,\"attributes\":[{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"ab\",\"type\":\"string\"},{\"name\":\"abc\",\"type\":\"string\"}]},"
"{\"path\":\"boot\",\"bootstrap-only\":true,\"attributes\":[{\"name\":\"file\",\"type\":\"string\",\"default\":\"/f\"}]}"
"]}";
/* More tables, for those who want them: names that need no entry, and attributes that are required at times. */
static const char world_shop[] =
"{\"tables\":["
"{\"path\":\"shop item\",\"key\":{\"name\":\"name\",\"type\":\"string\",\"max-length\":15},\"predefined\":[\"all\",\"none\"],\"attributes\":["
" {\"name\":\"kind\",\"type\":\"option\",\"options\":[\"plain\",\"host\",\"range\"],\"default\":\"plain\"},"
" {\"name\":\"name\",\"type\":\"string\",\"format\":\"fqdn\",\"required-when\":{\"kind\":[\"host\"]}},"
" {\"name\":\"ports\",\"type\":\"string\",\"format\":\"port-range\",\"list\":true,\"required-when\":{\"kind\":[\"host\",\"range\"]}},"
" {\"name\":\"part\",\"type\":\"reference\",\"list\":true,\"refers\":[\"shop item\"]}]},"
"{\"path\":\"shop rule\",\"key\":{\"name\":\"id\",\"type\":\"integer\"},\"attributes\":["
" {\"name\":\"item\",\"type\":\"reference\",\"list\":true,\"refers\":[\"shop item\"]},"
" {\"name\":\"port\",\"type\":\"reference\",\"refers\":[\"net port\"],\"predefined\":[\"any\"],\"default\":\"any\"}]}"
"]}";
/* clang-format on */

struct world {
	struct schema *schema;
	struct tree *tree;
	struct exec *exec;
	struct exec_ops ops;
	struct buf out;
	struct err err;     /* of the last failure */
	char codes[4096];   /* of the commands of the last run, "0 0 -61" */
	char applied[4096]; /* "+key" created, "-key" deleted, "~key" changed, in order */
	unsigned saved;     /* calls of `changed` */
	int apply_code;     /* what apply answers when its time has come */
	unsigned apply_ok;  /* so many times it says yes before */
	int may_code;
};

static inline int
world_apply(void *ctx, const struct change *c, struct err *e)
{
	struct world *w = ctx;
	size_t used = strlen(w->applied);
	const struct entry *now = tree_entry(c->tree, c->table->path, c->key);

	assert_ptr_equal(now, c->new);
	snprintf(w->applied + used, sizeof(w->applied) - used, "%s%s%s", used ? " " : "",
		 !c->old   ? "+"
		 : !c->new ? "-"
			   : "~",
		 *c->key ? c->key : c->table->path);
	if (w->apply_ok) {
		w->apply_ok--;
		return CLI_OK;
	}
	return w->apply_code ? err_set(e, w->apply_code, "the system said no") : CLI_OK;
}

static inline int
world_other(void *ctx, size_t argc, const char *const argv[], struct buf *out, struct err *e)
{
	(void)ctx;
	if (argc < 2 || strcmp(argv[argc - 1], "known"))
		return err_set(e, CLI_PARSE, "command parse error before '%s'", argv[argc - 1]);
	return buf_str(out, "known!\n");
}

static inline int
world_may_change(void *ctx, struct err *e)
{
	struct world *w = ctx;

	return w->may_code ? err_set(e, w->may_code, "install pending") : CLI_OK;
}

static inline void
world_changed(void *ctx)
{
	((struct world *)ctx)->saved++;
}

static inline struct schema *
world_schema_new(void)
{
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	assert_non_null(s);
	if (schema_add_json(s, "world.json", world_schema, strlen(world_schema), &e))
		fail_msg("%s", e.text);
	return s;
}

static inline void
world_enter(struct world *w, bool bootstrap)
{
	exec_free(w->exec);
	w->exec = exec_new(w->tree, &w->ops, bootstrap);
	assert_non_null(w->exec);
}

/* With the given schema, which the world owns from here. */
static inline struct world *
world_new_on(struct schema *s)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->out = BUF_INIT(64 * 1024 * 1024);
	w->schema = s;
	w->tree = tree_new(s);
	assert_non_null(w->tree);
	w->ops = (struct exec_ops){world_apply, world_other, world_may_change, world_changed, w};
	world_enter(w, false);
	return w;
}

static inline struct world *
world_new(void)
{
	return world_new_on(world_schema_new());
}

static inline struct world *
world_new_shop(void)
{
	struct schema *s = world_schema_new();
	struct err e = ERR_NONE;

	if (schema_add_json(s, "shop.json", world_shop, strlen(world_shop), &e))
		fail_msg("%s", e.text);
	return world_new_on(s);
}

static inline void
world_free(struct world *w)
{
	exec_free(w->exec);
	tree_free(w->tree);
	schema_free(w->schema);
	buf_free(&w->out);
	free(w);
}

/* Runs a text line by line, so that it need not be balanced, and notes the codes. Returns how many failed. */
static inline int
world_run(struct world *w, const char *text)
{
	size_t used = 0;
	int failed = 0;

	w->codes[0] = w->applied[0] = '\0';
	buf_cut(&w->out, 0);
	while (*text) {
		size_t len = strcspn(text, "\n");
		struct script *s;
		int rc;

		assert_int_equal(script_parse_line(text, len, &s, &w->err), CLI_OK);
		rc = exec_run(w->exec, script_at(s, 0), &w->out, &w->err);
		failed += rc != CLI_OK;
		if (script_at(s, 0)->argc && used < sizeof(w->codes) - 16)
			used += (size_t)snprintf(w->codes + used, sizeof(w->codes) - used, "%s%d", used ? " " : "", rc);
		script_free(s);
		text += len + (text[len] == '\n');
	}
	return failed;
}

static inline const char *
world_output(struct world *w)
{
	assert_int_equal(buf_put(&w->out, "", 1), 0);
	buf_cut(&w->out, w->out.len - 1);
	return (const char *)buf_head(&w->out);
}

/* The text of a tree, which the caller frees. */
static inline char *
world_text_of(const struct tree *t, unsigned flags)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);
	char *text;

	assert_int_equal(print_tree(t, flags, &b), 0);
	text = buf_steal(&b, NULL);
	assert_non_null(text);
	return text;
}

/* A small generator: the same numbers on every machine. */
static inline unsigned
world_random(uint64_t *seed, unsigned below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*seed >> 33) % below;
}

/* Changes the world at random, in ways that may fail and ways that may not. */
static inline void
world_shake(struct world *w, uint64_t *seed, unsigned steps)
{
	static const char *const ports[] = {"a", "b", "c", "d", "e \\\"q\\\""};
	static const char *const notes[] = {"x", "two words", "q\\\"uo\\\\te", "#hash", "\xc3\xa4"};
	char text[1024];

	while (steps--) {
		const char *p = ports[world_random(seed, 5)], *q = ports[world_random(seed, 5)];
		const char *note = notes[world_random(seed, 5)];
		unsigned n = world_random(seed, 9) + 1;

		switch (world_random(seed, 14)) {
		case 0:
			snprintf(text, sizeof(text), "config box global\nset note \"%s\"\nset timeout %u\nend\n", note,
				 n);
			break;
		case 1:
			snprintf(text, sizeof(text), "config box global\nunset note\nset servers s%u t%u\nend\n", n, n);
			break;
		case 2:
			snprintf(text, sizeof(text),
				 "config box global\nset secret \"p%u\"\nconfig proxy\nset status %s\nend\nend\n", n,
				 n % 2 ? "enable" : "disable");
			break;
		case 3:
		case 4:
			snprintf(text, sizeof(text), "config net port\nedit \"%s\"\nset ip 10.0.0.%u/24\nend\n", p, n);
			break;
		case 5:
			snprintf(text, sizeof(text),
				 "config net port\nedit \"%s\"\nset parent \"%s\"\nset type vlan\nend\n", p, q);
			break;
		case 6:
			snprintf(text, sizeof(text),
				 "config net port\nedit \"%s\"\nconfig second\nedit %u\nset ip 10.1.0.%u/24\nset via "
				 "\"%s\"\n"
				 "config deep\nedit d%u\nset x \"%s\"\nend\nend\nend\n",
				 p, n, n, q, n, note);
			break;
		case 7:
			snprintf(text, sizeof(text), "config net port\ndelete \"%s\"\nend\n", p);
			break;
		case 8:
			snprintf(text, sizeof(text), "config net port\nmove \"%s\" %s \"%s\"\nend\n", p,
				 n % 2 ? "before" : "after", q);
			break;
		case 9:
			snprintf(text, sizeof(text),
				 "config net port\nedit \"%s\"\nunset parent\nconfig second\nmove %u before %u\n"
				 "delete %u\nend\nend\n",
				 p, n, n % 9 + 1, n % 3);
			break;
		case 10:
			snprintf(text, sizeof(text), "config net route\nedit %u\nset device \"%s\"\nend\n", n, p);
			break;
		case 11:
			snprintf(text, sizeof(text), "config net route\ndelete %u\nmove %u after %u\nend\n", n,
				 n % 9 + 1, n % 7);
			break;
		case 12:
			snprintf(text, sizeof(text), "config net group\nedit g%u\nset member \"%s\" g%u\nend\n", n, p,
				 world_random(seed, 9) + 1);
			break;
		default:
			snprintf(text, sizeof(text),
				 "config net group\nedit g%u\nset member \"%s\"\nnext\ndelete g%u\nend\n", n, p, n % 5);
			break;
		}
		world_run(w, text);
		assert_true(exec_at_top(w->exec));
	}
}

#endif
