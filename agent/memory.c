#include "agent/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

enum { MEMORY_MAX_BYTES = 16384 };

static int
read_fields(const struct cJSON *j, struct memory *m, struct err *e)
{
	char address[ADDR_TEXT];

	if (json_get_text(j, "mgmtid", m->mgmtid, sizeof(m->mgmtid), e) ||
	    json_get_text(j, "first-fmgid", m->first_fmgid, sizeof(m->first_fmgid), e) ||
	    json_get_text(j, "target", m->target, sizeof(m->target), e) ||
	    json_get_text(j, "address", address, sizeof(address), e) ||
	    json_get_int(j, "last-good", 0, INT64_C(1) << 40, &m->last_good_s, e))
		return -EBADMSG;
	if (*address && addr_parse_host(address, &m->address))
		return err_set(e, -EBADMSG, "key \"address\": an IP address expected");
	return 0;
}

int
memory_load(struct memory *m, const char *path, struct err *e)
{
	struct memory fresh = {0};
	struct cJSON *j = NULL;
	struct err aside;
	char *text = NULL;
	size_t len;
	int rc;

	text_copy(fresh.path, sizeof(fresh.path), path);
	*m = fresh;
	rc = file_read(path, MEMORY_MAX_BYTES, &text, &len, e);
	if (rc && rc != -EFBIG && rc != -EISDIR)
		return rc == -ENOENT ? 0 : rc;
	if (!rc) {
		j = json_parse(text, len, e);
		rc = j ? read_fields(j, &fresh, e) : -EBADMSG;
	}
	if (!rc)
		*m = fresh;
	else if (file_set_aside(path, &aside))
		err_in(e, "%s (and it could not be set aside)", path);
	else
		err_in(e, "%s is damaged, kept as %s.corrupt", path, path);
	json_free(j);
	free(text);
	return rc ? -EBADMSG : 0;
}

int64_t
memory_peek_last_good_s(const char *path)
{
	struct memory m = {0};
	struct cJSON *j = NULL;
	char *text = NULL;
	size_t len;

	if (!file_read(path, MEMORY_MAX_BYTES, &text, &len, NULL))
		j = json_parse(text, len, NULL);
	if (j && read_fields(j, &m, NULL))
		m.last_good_s = 0;
	json_free(j);
	free(text);
	return m.last_good_s;
}

int
memory_save(const struct memory *m, struct err *e)
{
	struct cJSON *j = json_new_object();
	char address[ADDR_TEXT];
	char *text;
	int rc;

	json_add_str(j, "mgmtid", m->mgmtid);
	json_add_str(j, "first-fmgid", m->first_fmgid);
	json_add_str(j, "target", m->target);
	json_add_str(j, "address", addr_host(address, &m->address));
	json_add_int(j, "last-good", m->last_good_s);
	text = json_pretty(j);
	json_free(j);
	if (!text)
		return err_sys(e, -ENOMEM, "%s", m->path);
	rc = file_replace(m->path, text, strlen(text), 0600, NULL, e);
	free(text);
	return rc;
}
