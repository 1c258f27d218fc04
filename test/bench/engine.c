/* engine: takes one configuration through the engine and prints what each step took, "NAME VALUE" a line: times in
 * milliseconds, memory in bytes. test/bench/config runs it, one process a round, and compares.
 *
 *   engine FILE
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "config/checksum.h"
#include "config/diff.h"
#include "config/exec.h"
#include "config/load.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/script.h"
#include "config/tree.h"

static const struct exec_ops memory_only;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t
heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Resident at most, of this program alone: what getrusage() says includes the program that started it. */
static size_t
peak(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t kilobytes = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmHWM: %zu", &kilobytes) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kilobytes * 1024;
}

static void
must(bool ok, const char *what, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "engine: %s: %s\n", what, e ? e->text : "failed");
	exit(1);
}

static void
tell(const char *name, double value)
{
	printf("%s %.4f\n", name, value);
}

static double
lap(const char *name, double since)
{
	tell(name, now_ms() - since);
	return now_ms();
}

/* As an install does it: the whole text checked for form, then command by command. */
static void
run_text(struct tree *t, const char *text, size_t len, const char *parse, const char *apply)
{
	struct err e = ERR_NONE;
	struct script *s = NULL;
	double at = now_ms();
	size_t before = heap();
	struct exec *x = exec_new(t, &memory_only, false);

	must(x && !script_parse("bench", text, len, &s, &e), "parsing", &e);
	at = lap(parse, at);
	if (!strcmp(parse, "parse"))
		tell("script-bytes", (double)(heap() - before));
	at = now_ms();
	for (size_t i = 0; i < script_count(s); i++)
		must(!exec_run(x, script_at(s, i), NULL, &e), script_at(s, i)->text, &e);
	exec_free(x);
	lap(apply, at);
	script_free(s);
}

static size_t
count_lines(const struct buf *text, const char *start)
{
	const char *p = (const char *)buf_head(text), *end = p + text->len, *nl;
	size_t n = 0, len = strlen(start);

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			break;
		while (*p == ' ')
			p++;
		n += (size_t)(nl - p) > len && !strncmp(p, start, len);
	}
	return n;
}

/* As the agent does after a change: in steps, one in each turn of its loop. */
static void
sum_in_steps(struct checksum_cache *c, const char *name)
{
	double longest = 0;
	bool more = true;
	char label[64];

	while (more) {
		double at = now_ms(), took;

		must(!checksum_cache_step(c, &more), name, NULL);
		took = now_ms() - at;
		longest = took > longest ? took : longest;
	}
	snprintf(label, sizeof(label), "%s-step", name);
	tell(label, longest);
}

/* One attribute of the n-th entry gets another value, and the sums are asked for as a keep-alive does: at once, and
 * after the steps. */
static void
sum_after(struct checksum_cache *c, struct tree *t, const char *path, size_t n, const char *attr, const char *name)
{
	const struct entry *entry = tree_first(t, path);
	const char *const changed[] = {"changed"};
	struct checksums sums, whole;
	struct err e = ERR_NONE;
	char *key, *was, label[64];
	double at;

	while (n--)
		entry = entry_next(entry);
	key = strdup(entry_key(entry));
	was = strdup(entry_get(entry, attr));
	must(key && was, "memory", NULL);
	must(!tree_set(t, path, key, attr, changed, 1, &e), name, &e);
	at = now_ms();
	must(!checksum_cache_all(c, sums.all), name, NULL);
	lap(name, at);
	must(!checksum_cache_sums(c, &sums), name, NULL);
	must(!checksum_tree(t, &whole) && !memcmp(&whole, &sums, sizeof(sums)), "the same sums", NULL);
	must(!tree_set(t, path, key, attr, &(const char *){was}, *was ? 1 : 0, &e), name, &e);
	sum_in_steps(c, name);
	at = now_ms();
	must(!checksum_cache_all(c, sums.all), name, NULL);
	snprintf(label, sizeof(label), "%s-ready", name);
	lap(label, at);
	must(!checksum_cache_sums(c, &sums), name, NULL);
	free(was);
	free(key);
}

static void
run_checksums(struct tree *t)
{
	static const char policy[] = "firewall policy", address[] = "firewall address";
	struct checksum_cache *c = checksum_cache_new(t);
	struct checksums sums;
	double at = now_ms();
	size_t before = heap();

	must(c && !checksum_cache_sums(c, &sums), "checksum", NULL);
	lap("checksum", at);
	tell("checksum-bytes", (double)(heap() - before));
	if (tree_count(t, policy)) {
		sum_after(c, t, policy, tree_count(t, policy) - 1, "comments", "resum-last");
		sum_after(c, t, policy, tree_count(t, policy) / 2, "comments", "resum-policy");
		sum_after(c, t, address, tree_count(t, address) / 2, "comment", "resum-address");
		sum_after(c, t, "system global", 0, "hostname", "resum-first");
	}
	checksum_cache_free(c);
}

static void
run_back(struct tree *t, const struct tree *empty)
{
	struct buf back = BUF_INIT(CONFIG_MAX_BYTES);
	double at = now_ms();

	must(!diff_trees(t, empty, &back, NULL), "diff", NULL);
	lap("diff", at);
	run_text(t, (const char *)buf_head(&back), back.len, "revert-parse", "revert-apply");
	must(tree_equal(t, empty), "a revert leads back", NULL);
	buf_free(&back);
}

static void
run_load(const struct schema *s, const char *text, size_t len)
{
	struct tree *t = tree_new(s);
	struct err e = ERR_NONE;
	double at = now_ms();

	must(t && !load_text(t, "bench", text, len, false, NULL, NULL, &e), "loading", &e);
	lap("load", at);
	tree_free(t);
}

static void
run_all(const struct schema *s, const char *text, size_t len)
{
	struct tree *t = tree_new(s), *empty = tree_new(s);
	struct buf out = BUF_INIT(CONFIG_MAX_BYTES);
	size_t before = heap();
	double at;

	must(t && empty, "trees", NULL);
	run_text(t, text, len, "parse", "apply");
	tell("tree-bytes", (double)(heap() - before));
	tell("peak-bytes", (double)peak());
	at = now_ms();
	must(!print_tree(t, PRINT_SECRETS, &out), "print", NULL);
	lap("print", at);
	must(out.len == len && !memcmp(buf_head(&out), text, len), "what goes in comes out", NULL);
	tell("attributes", (double)count_lines(&out, "set "));
	tell("objects", (double)count_lines(&out, "edit "));
	buf_free(&out);
	run_checksums(t);
	run_back(t, empty);
	tree_free(t);
	tree_free(empty);
	run_load(s, text, len);
}

int
main(int argc, char *argv[])
{
	struct schema *s = schema_new();
	struct err e = ERR_NONE;
	char *text;
	size_t len;

	must(argc == 2 && s, "usage: engine FILE", NULL);
	must(!schema_add_builtin(s, &e), "built-in tables", &e);
	must(!file_read(argv[1], CONFIG_MAX_BYTES, &text, &len, &e), argv[1], &e);
	run_all(s, text, len);
	free(text);
	schema_free(s);
	return 0;
}
