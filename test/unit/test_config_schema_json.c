#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config_world.h"

#define TABLE(inside) "{\"tables\":[{\"path\":\"t\"," inside "}]}"
#define ATTR(inside) TABLE("\"attributes\":[{\"name\":\"a\"," inside "}]")

static int
add(struct schema *s, const char *text, struct err *e)
{
	return schema_add_json(s, "f.json", text, strlen(text), e);
}

static void
files_are_checked(void **state)
{
	static const struct {
		const char *what, *text, *reason;
	} cases[] = {
	    {"no JSON", "{", "f.json: JSON: not valid"},
	    {"not an object", "[]", "an object expected"},
	    {"no tables", "{}", "key \"tables\": at least one expected"},
	    {"tables no array", "{\"tables\":{}}", "key \"tables\": an array expected"},
	    {"unknown key in the file", "{\"tabels\":[]}", "unknown key \"tabels\""},
	    {"unknown key in a table", TABLE("\"keys\":{}"), "table \"t\": unknown key \"keys\""},
	    {"unknown key in an attribute", ATTR("\"type\":\"ipv4\",\"fixde\":true"), "unknown key \"fixde\""},
	    {"table without a path", "{\"tables\":[{}]}", "key \"path\": a name expected"},
	    {"bad path", "{\"tables\":[{\"path\":\"a  b\"}]}", "key \"path\": letters"},
	    {"slash in a path", "{\"tables\":[{\"path\":\"../x\"}]}", "key \"path\": letters"},
	    {"path ends with a blank", "{\"tables\":[{\"path\":\"a \"}]}", "key \"path\": letters"},
	    {"table twice", "{\"tables\":[{\"path\":\"t\"},{\"path\":\"t\"}]}", "exists already"},
	    {"table known", "{\"tables\":[{\"path\":\"net port\"}]}", "table \"net port\" exists already"},
	    {"nested table with two words", TABLE("\"tables\":[{\"path\":\"a b\"}]"), "key \"path\""},
	    {"nested table twice", TABLE("\"tables\":[{\"path\":\"a\"},{\"path\":\"a\"}]"), "table \"a\" stands twice"},
	    {"nested table with a placing", TABLE("\"tables\":[{\"path\":\"a\",\"unsummed\":true}]"),
	     "unknown key \"unsummed\""},
	    {"nested too deep",
	     TABLE("\"tables\":[{\"path\":\"b\",\"tables\":[{\"path\":\"c\",\"tables\":[{\"path\":\"d\",\"tables\":["
		   "{\"path\":\"e\",\"tables\":[{\"path\":\"f\"}]}]}]}]}]"),
	     "tables nested more than 4 deep"},
	    {"bad scope", TABLE("\"scope\":\"box\""), "key \"scope\""},
	    {"bad flag", TABLE("\"unsummed\":1"), "key \"unsummed\": true or false"},
	    {"key of another type", TABLE("\"key\":{\"name\":\"k\",\"type\":\"ipv4\"}"), "\"string\" or \"integer\""},
	    {"key too long", TABLE("\"key\":{\"name\":\"k\",\"type\":\"string\",\"max-length\":256}"),
	     "\"max-length\""},
	    {"key without a name", TABLE("\"key\":{\"type\":\"string\"}"), "key \"key\": key \"name\""},
	    {"attribute without a type", ATTR("\"help\":\"x\""), "attribute \"a\": key \"type\" is missing"},
	    {"attribute without a name", TABLE("\"attributes\":[{}]"), "attribute 1: key \"name\""},
	    {"unknown type", ATTR("\"type\":\"float\""), "unknown type \"float\""},
	    {"attribute twice",
	     TABLE("\"attributes\":[{\"name\":\"a\",\"type\":\"ipv4\"},{\"name\":\"a\",\"type\":\"ipv4\"}]"),
	     "a second one of that name"},
	    {"option without options", ATTR("\"type\":\"option\""), "key \"options\": expected"},
	    {"options elsewhere", ATTR("\"type\":\"ipv4\",\"options\":[\"a\"]"), "key \"options\": expected"},
	    {"option twice", ATTR("\"type\":\"option\",\"options\":[\"a\",{\"name\":\"a\"}]"),
	     "option \"a\" stands twice"},
	    {"bad option", ATTR("\"type\":\"option\",\"options\":[\"a b\"]"), "option \"a b\": not a name"},
	    {"reference without refers", ATTR("\"type\":\"reference\""), "key \"refers\": expected"},
	    {"reference to nothing", ATTR("\"type\":\"reference\",\"refers\":[\"no\"]"), "\"no\" is no earlier table"},
	    {"reference to a singleton", ATTR("\"type\":\"reference\",\"refers\":[\"box global\"]"),
	     "no earlier table"},
	    {"reference to a later table",
	     "{\"tables\":[{\"path\":\"t\",\"attributes\":[{\"name\":\"a\",\"type\":\"reference\",\"refers\":[\"u\"]}]}"
	     ","
	     "{\"path\":\"u\",\"key\":{\"name\":\"k\",\"type\":\"string\"}}]}",
	     "\"u\" is no earlier table"},
	    {"length of a number", ATTR("\"type\":\"integer\",\"max-length\":3"), "for texts only"},
	    {"range of a text", ATTR("\"type\":\"string\",\"min\":3"), "\"integer\" only"},
	    {"empty range", ATTR("\"type\":\"integer\",\"min\":3,\"max\":2"), "key \"max\""},
	    {"values of a single", ATTR("\"type\":\"ipv4\",\"max-values\":3"), "for lists only"},
	    {"too many values", ATTR("\"type\":\"ipv4\",\"list\":true,\"max-values\":1001"), "key \"max-values\""},
	    {"default out of range", ATTR("\"type\":\"integer\",\"max\":9,\"default\":\"10\""),
	     "key \"default\": value"},
	    {"default of a wrong type", ATTR("\"type\":\"integer\",\"default\":3"), "key \"default\": text expected"},
	    {"default of a list", ATTR("\"type\":\"ipv4\",\"list\":true,\"default\":\"1.1.1.1\""), "an array of texts"},
	    {"number in the default of a list", ATTR("\"type\":\"string\",\"list\":true,\"default\":[1]"),
	     "texts expected"},
	    {"default no option", ATTR("\"type\":\"option\",\"options\":[\"a\"],\"default\":\"b\""), "key \"default\""},
	    {"default of a required one", ATTR("\"type\":\"ipv4\",\"required\":true,\"default\":\"1.1.1.1\""),
	     "not for a"},
	    {"default of a secret", ATTR("\"type\":\"password\",\"default\":\"x\""), "not for a"},
	    {"secret number", ATTR("\"type\":\"integer\",\"secret\":true"), "key \"secret\""},
	    {"fixed without a default", ATTR("\"type\":\"ipv4\",\"fixed\":true"), "key \"fixed\""},
	    {"flag of a wrong type", ATTR("\"type\":\"ipv4\",\"list\":\"yes\""), "key \"list\""},
	};
	struct schema *s = world_schema_new();
	size_t known = schema_count(s);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_NONE;

		print_message("  %s\n", cases[i].what);
		assert_int_not_equal(add(s, cases[i].text, &e), 0);
		assert_memory_equal(e.text, "f.json: ", 8);
		if (!strstr(e.text, cases[i].reason))
			fail_msg("%s", e.text);
		assert_int_equal(schema_count(s), known);
	}
	schema_free(s);
}

static void
a_file_is_added_whole(void **state)
{
	struct schema *s = world_schema_new();
	const struct schema_table *t;
	const struct schema_attr *a;

	(void)state;
	assert_int_equal(
	    add(s,
		"{\"$schema\":\"x\",\"tables\":[{\"path\":\"a b\",\"help\":\"H\",\"applied-by\":\"handler\","
		"\"scope\":\"vdom\",\"unsummed\":true,\"key\":{\"name\":\"k\",\"type\":\"integer\"},"
		"\"attributes\":[{\"name\":\"x\",\"type\":\"ipv4-mask\",\"list\":true,"
		"\"default\":[\"10.0.0.0/8\",\"11.0.0.0/8\"]},"
		"{\"name\":\"y\",\"type\":\"reference\",\"refers\":[\"a b\",\"net port\"]}]}]}",
		NULL),
	    0);
	t = schema_find(s, "a b");
	assert_ptr_equal(schema_at(s, schema_count(s) - 1), t);
	assert_int_equal(t->index, schema_count(s) - 1);
	assert_string_equal(t->applied_by, "handler");
	assert_true(t->per_vdom && t->unsummed && !t->bootstrap_only && !t->singleton);
	assert_int_equal(t->key.min, 0);
	assert_int_equal(t->key.max, UINT32_MAX);
	a = schema_attr(t, "x");
	assert_string_equal(a->fallback, "10.0.0.0 255.0.0.0");
	assert_int_equal(a->fallback_count, 2);
	assert_int_equal(schema_attr(t, "y")->refers_count, 2);
	schema_free(s);
}

/* The files and the list in config/builtin.S are the same, and each passes on its own. */
static void
builtin_files_are_all_there(void **state)
{
	static const char *const expected[] = {
	    "system global", "system interface", "router static", "system central-management", "system dm", "agent",
	};
	struct schema *compiled = schema_new(), *read = schema_new();
	struct err e = ERR_NONE;

	(void)state;
	if (schema_add_builtin(compiled, &e))
		fail_msg("%s", e.text);
	if (schema_add_folder(read, "etc/schema.d", &e))
		fail_msg("%s", e.text);
	assert_int_equal(schema_count(compiled), sizeof(expected) / sizeof(expected[0]));
	assert_int_equal(schema_count(read), schema_count(compiled));
	for (size_t i = 0; i < schema_count(compiled); i++) {
		const struct schema_table *t = schema_at(compiled, i);

		assert_string_equal(t->path, expected[i]);
		assert_string_equal(schema_at(read, i)->path, expected[i]);
		assert_true(*t->help);
		for (size_t k = 0; k < t->attr_count; k++)
			assert_true(*t->attrs[k].help);
	}
	schema_free(compiled);
	schema_free(read);
}

static void
builtin_defaults_are_as_promised(void **state)
{
	static const struct {
		const char *path, *attr, *value;
	} cases[] = {
	    {"system central-management", "mode", "normal"},
	    {"system central-management", "type", "none"},
	    {"system central-management", "allow-push-configuration", "enable"},
	    {"system central-management", "allow-monitor", "enable"},
	    {"system central-management", "fmg", ""},
	    {"system central-management", "fmg-source-ip", "0.0.0.0"},
	    {"system central-management", "fmg-source-ip6", "::"},
	    {"system central-management", "vdom", "root"},
	    {"system central-management", "enc-algorithm", "high"},
	    {"system central-management", "fmg-update-port", "8890"},
	    {"system central-management", "include-default-servers", "enable"},
	    {"system central-management", "interface-select-method", "auto"},
	    {"system central-management", "interface", ""},
	    {"system dm", "rollback-allow-reboot", "manager"},
	    {"system dm", "fgfm-sock-timeout", "360"},
	    {"system dm", "fgfm_keepalive_itvl", "120"},
	    {"agent", "certificate", "/etc/fgfmd/device.pem"},
	    {"agent", "serial-number", ""},
	    {"agent", "platform", "FortiGate-VM64"},
	    {"agent", "os-version", "7.2.4"},
	    {"agent", "listen", "disable"},
	    {"agent", "listen-port", "541"},
	    {"agent", "apply-system", "enable"},
	    {"agent", "resolv-conf", "/etc/resolv.conf"},
	};
	struct schema *s = schema_new();
	struct tree *t;

	(void)state;
	assert_int_equal(schema_add_builtin(s, NULL), 0);
	t = tree_new(s);
	assert_non_null(t);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(entry_get(tree_entry(t, cases[i].path, ""), cases[i].attr), cases[i].value);
	tree_free(t);
	schema_free(s);
}

static void
write_file(const char *folder, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL, NULL), 0);
}

static void
a_folder_is_read_in_order_and_past_a_bad_file(void **state)
{
	static const char *const names[] = {"10-a.json", "20-bad.json", "30-b.json", "README", ".40.json"};
	char folder[] = "/tmp/schema.XXXXXX", path[256];
	struct schema *s = schema_new();
	struct err e = ERR_NONE;

	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file(folder, names[2],
		   "{\"tables\":[{\"path\":\"b\",\"attributes\":[{\"name\":\"r\",\"type\":\"reference\","
		   "\"refers\":[\"a\"]}]}]}");
	write_file(folder, names[0], "{\"tables\":[{\"path\":\"a\",\"key\":{\"name\":\"k\",\"type\":\"string\"}}]}");
	write_file(folder, names[1], "{\"tables\":[{\"path\":\"c\"},{\"path\":\"\"}]}");
	write_file(folder, names[3], "not JSON");
	write_file(folder, names[4], "not JSON");
	assert_int_equal(schema_add_folder(s, folder, &e), -EINVAL);
	assert_non_null(strstr(e.text, "20-bad.json: "));
	assert_int_equal(schema_count(s), 2);
	assert_string_equal(schema_at(s, 0)->path, "a");
	assert_string_equal(schema_at(s, 1)->path, "b");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(schema_add_folder(s, folder, &e), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(schema_add_folder(s, folder, &e), -ENOENT);
	assert_int_equal(schema_count(s), 2);
	schema_free(s);
	schema_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_checked),
	    cmocka_unit_test(a_file_is_added_whole),
	    cmocka_unit_test(builtin_files_are_all_there),
	    cmocka_unit_test(builtin_defaults_are_as_promised),
	    cmocka_unit_test(a_folder_is_read_in_order_and_past_a_bad_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
