#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config_world.h"

static int
add(struct schema *s, const char *text, struct err *e)
{
	return schema_add_json(s, "f.json", text, strlen(text), e);
}

/* One line off the text, without its end; NULL after the last. */
static char *
next_line(char **text)
{
	char *line = *text;

	if (!*line)
		return NULL;
	*text += strcspn(line, "\n");
	if (**text)
		*(*text)++ = '\0';
	return line;
}

static void
check_case(struct schema *s, const char *what, const char *verdict, const char *reason, const char *file)
{
	size_t known = schema_count(s);
	struct err e = ERR_NONE;
	int rc = add(s, file, &e);

	print_message("  %s\n", what);
	if (!strcmp(verdict, "good")) {
		if (rc)
			fail_msg("%s", e.text);
		assert_true(schema_count(s) > known);
		return;
	}
	assert_int_not_equal(rc, 0);
	assert_memory_equal(e.text, "f.json: ", 8);
	if (!strstr(e.text, reason))
		fail_msg("%s", e.text);
	assert_int_equal(schema_count(s), known);
}

/* test_schema.py runs the same cases through a validator and etc/schema.schema.json. */
static void
files_are_checked(void **state)
{
	char *text, *at, *line;
	unsigned good = 0, bad = 0;
	struct err e = ERR_NONE;
	size_t len;

	(void)state;
	if (file_read("test/golden/schema/cases", SCHEMA_FILE_MAX, &text, &len, &e))
		fail_msg("%s", e.text);
	at = text;
	while ((line = next_line(&at))) {
		char what[128], verdict[16], reason[128] = "";
		struct schema *s;

		if (!*line || *line == '#')
			continue;
		assert_in_range(sscanf(line, "%127[^|]| %15s | %127[^\n]", what, verdict, reason), 2, 3);
		*(strcmp(verdict, "good") ? &bad : &good) += 1;
		s = world_schema_new();
		line = next_line(&at);
		assert_non_null(line);
		check_case(s, what, verdict, reason, line);
		schema_free(s);
	}
	assert_true(good >= 2 && bad >= 80);
	free(text);
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
		"\"predefined\":[\"007\"],"
		"\"attributes\":[{\"name\":\"x\",\"type\":\"ipv4-mask\",\"list\":true,"
		"\"default\":[\"10.0.0.0/8\",\"11.0.0.0/8\"]},"
		"{\"name\":\"k\",\"type\":\"option\",\"options\":[\"p\",\"q/r\",\"s\"]},"
		"{\"name\":\"f\",\"type\":\"string\",\"format\":\"uuid\",\"required-when\":{\"k\":[\"s\",\"q/\"]}},"
		"{\"name\":\"y\",\"type\":\"reference\",\"refers\":[\"a b\",\"net port\"],"
		"\"predefined\":[\"any\",\"7\"]}]}]}",
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
	assert_int_equal(t->predefined_count, 1);
	assert_string_equal(t->predefined[0], "7");
	a = schema_attr(t, "f");
	assert_int_equal(a->format, FORMAT_UUID);
	assert_ptr_equal(a->when, schema_attr(t, "k"));
	assert_int_equal(a->when_count, 2);
	assert_string_equal(a->when_values[1], "q/r");
	a = schema_attr(t, "y");
	assert_int_equal(a->refers_count, 2);
	assert_int_equal(a->predefined_count, 2); /* its own and the table's, each once */
	assert_true(schema_is_predefined(a, "any") && schema_is_predefined(a, "7"));
	assert_false(schema_is_predefined(a, "8"));
	schema_free(s);
}

/* The files and the list in config/builtin.S are the same, and each passes on its own. */
static void
builtin_files_are_all_there(void **state)
{
	static const char *const expected[] = {
	    "system global",
	    "system interface",
	    "system dns",
	    "router static",
	    "router static6",
	    "system accprofile",
	    "system admin",
	    "system central-management",
	    "system dm",
	    "system ntp",
	    "system autoupdate schedule",
	    "log syslogd setting",
	    "firewall address",
	    "firewall addrgrp",
	    "firewall service category",
	    "firewall service custom",
	    "firewall service group",
	    "firewall schedule recurring",
	    "firewall ippool",
	    "firewall vip",
	    "firewall policy",
	    "agent",
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
	    {"system autoupdate schedule", "frequency", "automatic"},
	    {"system autoupdate schedule", "day", "Monday"},
	    {"log syslogd setting", "status", "disable"},
	    {"log syslogd setting", "port", "514"},
	    {"log syslogd setting", "facility", "local7"},
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
