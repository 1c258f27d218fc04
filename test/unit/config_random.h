/* config_random: commands at random for the tables of any schema, so that every attribute gets its turn. Most of them
 * succeed; those that do not must change nothing. For the tests of config/. */
#ifndef TEST_CONFIG_RANDOM_H
#define TEST_CONFIG_RANDOM_H

#include <inttypes.h>

#include "config/node.h"
#include "config_world.h"

struct random {
	uint64_t seed;
	struct tree *tree; /* borrowed: where references look for keys */
	struct buf text;   /* the commands */
};

static inline unsigned
random_below(struct random *r, unsigned n)
{
	return world_random(&r->seed, n);
}

static inline bool
random_often(struct random *r, unsigned percent)
{
	return random_below(r, 100) < percent;
}

__attribute__((format(printf, 2, 3))) static inline void
random_put(struct random *r, const char *fmt, ...)
{
	char part[2048];
	va_list ap;

	va_start(ap, fmt);
	assert_in_range(vsnprintf(part, sizeof(part), fmt, ap), 0, sizeof(part) - 1);
	va_end(ap);
	assert_int_equal(buf_str(&r->text, part), 0);
}

static inline void
random_put_quoted(struct random *r, const char *text)
{
	random_put(r, " \"");
	for (; *text; text++)
		random_put(r, "%s%c", strchr("\"\\", *text) ? "\\" : "", *text);
	random_put(r, "\"");
}

/* Pieces that mean something to a lexer, a printer or a terminal. */
static inline void
random_put_text(struct random *r, size_t max, bool lines)
{
	static const char *const pieces[] = {"a", "Z9",       " ",   "\"",  "\\", "#",
					     "'", "\xc3\xa4", "ENC", "end", "\n", "\t"};
	unsigned n = random_below(r, 6) + 1, kinds = lines ? 12 : 10;
	char text[64] = "x";

	while (n--) {
		const char *piece = pieces[random_below(r, kinds)];

		if (strlen(text) + strlen(piece) <= max && strlen(text) + strlen(piece) < sizeof(text))
			strcat(text, piece);
	}
	random_put_quoted(r, text);
}

static inline void
random_put_mac(struct random *r, const char *before, unsigned last)
{
	random_put(r, "%s02:00:%02x:%02X:0a:%02x", before, random_below(r, 256), random_below(r, 256), last);
}

static inline void
random_put_formatted(struct random *r, const struct schema_attr *a)
{
	unsigned n = random_below(r, 200), m = n + random_below(r, 50);

	switch (a->format) {
	case FORMAT_FREE:
		random_put_text(r, a->max_length, true);
		break;
	case FORMAT_LINE:
		random_put_text(r, a->max_length, false);
		break;
	case FORMAT_ADDRESS:
		random_put(r, n % 2 ? " 10.0.0.%u" : " 2001:DB8::%x", n);
		break;
	case FORMAT_FQDN:
		random_put(r, " %sh%u.Example", n % 3 ? "" : "*.", n);
		break;
	case FORMAT_HOST:
		random_put(r, n % 2 ? " 192.0.2.%u" : " h-%u.example", n);
		break;
	case FORMAT_IPV4_RANGE:
		random_put(r, " 10.0.0.%u-10.0.0.%u", n, m);
		break;
	case FORMAT_MAC_RANGE:
		random_put_mac(r, " ", n);
		break;
	case FORMAT_PORT_RANGE:
		random_put(r, " %u-%u%s", n, m, n % 2 ? ":1024-065535" : "");
		break;
	case FORMAT_PORTS:
		random_put(r, " %u-%u", n, m);
		break;
	case FORMAT_TIME:
	case FORMAT_UPDATE_TIME:
		random_put(r, " %u:%u", n % 24, m % 60);
		break;
	case FORMAT_UUID:
		random_put(r, " %08X-1c1a-51ee-a1b2-0123456789ab", n);
		break;
	}
}

/* The key of an entry the attribute may refer to, or a predefined name. False: there is none. */
static inline bool
random_put_reference(struct random *r, const struct schema_attr *a)
{
	unsigned table = random_below(r, (unsigned)a->refers_count);
	const struct entry *e = tree_first(r->tree, a->refers[table]);
	size_t n = tree_count(r->tree, a->refers[table]);

	if (a->predefined_count && (!n || random_often(r, 20))) {
		random_put_quoted(r, a->predefined[random_below(r, (unsigned)a->predefined_count)]);
		return true;
	}
	if (!n)
		return false;
	for (unsigned skip = random_below(r, (unsigned)n); skip--;)
		e = entry_next(e);
	random_put_quoted(r, entry_key(e));
	return true;
}

static inline bool
random_put_value(struct random *r, const struct schema_attr *a)
{
	uint64_t span = (uint64_t)(a->max - a->min);
	unsigned n = random_below(r, 256);

	switch (a->type) {
	case ATTR_STRING:
		random_put_formatted(r, a);
		break;
	case ATTR_INTEGER:
		random_put(r, " %" PRId64,
			   n < 30   ? a->min
			   : n < 60 ? a->max
				    : a->min + (int64_t)(random_below(r, 1u << 30) % (span + (span < UINT64_MAX))));
		break;
	case ATTR_OPTION:
		random_put(r, " %s", a->options[random_below(r, (unsigned)a->option_count)].name);
		break;
	case ATTR_IPV4_MASK:
		random_put(r, n % 2 ? " 10.%u.0.1/%u" : " 10.%u.0.0 255.255.%u.0", n, n % 2 ? n % 33 : 0u);
		break;
	case ATTR_IPV4:
		random_put(r, " 172.16.0.%u", n);
		break;
	case ATTR_IPV6:
		random_put(r, " 2001:db8:0::%X", n);
		break;
	case ATTR_IPV6_PREFIX:
		random_put(r, " 2001:DB8:%x::/%u", n, n % 129);
		break;
	case ATTR_MAC:
		random_put_mac(r, " ", n);
		break;
	case ATTR_PASSWORD:
		random_put(r, n % 2 ? " ENC abc%u==" : " \"p w%u\"", n);
		break;
	case ATTR_REFERENCE:
		return random_put_reference(r, a);
	}
	return true;
}

static inline void
random_set(struct random *r, const struct schema_attr *a)
{
	bool needed = a->required || a->when, several = a->list && random_often(r, needed ? 30 : 70);
	unsigned n = several ? random_below(r, a->max_values < 4 ? a->max_values : 4) + 1 : 1;
	size_t before = r->text.len;
	bool all = true;

	random_put(r, "%s %s", a->list && !needed && random_often(r, 30) ? "append" : "set", a->name);
	while (n-- && all)
		all = random_put_value(r, a);
	random_put(r, "\n");
	if (!all)
		buf_cut(&r->text, before);
}

static inline void random_fill(struct random *r, const struct schema_table *s);

static inline void
random_put_key(struct random *r, const struct schema_table *s)
{
	static const char *const names[] = {"k0",   "k1",   "k2",        "k3",    "k4", "k5",
					    "k \"", "k\\6", "#\xc3\xa4", "e n d", "all"};
	unsigned n = random_below(r, sizeof(names) / sizeof(names[0]));

	if (s->key.type == ATTR_INTEGER)
		random_put(r, " %" PRId64, s->key.min + n);
	else
		random_put_quoted(r, names[n]);
}

static inline void
random_table(struct random *r, const struct schema_table *s)
{
	static const char *const verbs[] = {"delete", "rename", "clone", "move", "purge"};
	unsigned verb = random_below(r, 40);

	random_put(r, "config %s\n", s->path);
	if (s->singleton) {
		random_fill(r, s);
	} else if (verb > 4) {
		random_put(r, "edit");
		random_put_key(r, s);
		random_put(r, "\n");
		random_fill(r, s);
		random_put(r, "next\n");
	} else {
		random_put(r, "%s", verbs[verb]);
		if (verb < 4)
			random_put_key(r, s);
		if (verb > 0 && verb < 4) {
			random_put(r, verb < 3 ? " to" : random_often(r, 50) ? " before" : " after");
			random_put_key(r, s);
		}
		random_put(r, "\n");
	}
	random_put(r, "end\n");
}

/* What is required comes always, or hardly anything would be kept. */
static inline void
random_fill(struct random *r, const struct schema_table *s)
{
	for (size_t i = 0; i < s->attr_count; i++) {
		const struct schema_attr *a = &s->attrs[i];

		if (a->required || a->when || random_often(r, 20))
			random_set(r, a);
		else if (random_often(r, 8))
			random_put(r, "unset %s\n", a->name);
	}
	for (size_t i = 0; i < s->child_count; i++) {
		if (random_often(r, 40))
			random_table(r, s->children[i]);
	}
}

/* Runs blocks of commands on a tree, the tables taking turns. Returns how many commands succeeded. */
static inline size_t
random_shake(struct tree *t, uint64_t *seed, unsigned blocks)
{
	static const struct exec_ops none;
	struct random r = {.seed = *seed, .tree = t, .text = BUF_INIT(1024 * 1024)};
	struct exec *x = exec_new(t, &none, false);
	const struct schema *schema = tree_schema(t);
	size_t done = 0, turn = random_below(&r, (unsigned)schema_count(schema));

	assert_non_null(x);
	while (blocks) {
		const struct schema_table *s = schema_at(schema, turn++ % schema_count(schema));
		struct script *script;
		struct err e;

		if (s->bootstrap_only)
			continue;
		blocks--;
		random_table(&r, s);
		if (script_parse("random", (const char *)buf_head(&r.text), r.text.len, &script, &e))
			fail_msg("%s", e.text);
		for (size_t i = 0; i < script_count(script); i++)
			done += exec_run(x, script_at(script, i), NULL, NULL) == CLI_OK;
		assert_true(exec_at_top(x));
		script_free(script);
		buf_cut(&r.text, 0);
	}
	exec_free(x);
	buf_free(&r.text);
	*seed = r.seed;
	return done;
}

#endif
