#include "agent/handlers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/entry_json.h"
#include "agent/program.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/exec.h"
#include "config/schema.h"

enum { CODE_MIN = -99999, MESSAGE_MAX = 200 };

enum row_state { ROW_UNKNOWN, ROW_NONE, ROW_RUNS, ROW_FAILED };

/* One table since the last rest. */
struct row {
	enum row_state state;
	struct program *program; /* owned, while it runs */
	struct err why;          /* of a failed one */
};

struct handlers {
	char folder[PATH_MAX / 2];
	char user[64];
	struct row *rows; /* by the index of the table */
	size_t count;
	int64_t waited_ms;
};

struct handlers *
handlers_new(const char *folder, const char *user)
{
	struct handlers *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	if (text_copy(h->folder, sizeof(h->folder), folder) || text_copy(h->user, sizeof(h->user), user)) {
		free(h);
		return NULL;
	}
	return h;
}

void
handlers_free(struct handlers *h)
{
	if (!h)
		return;
	handlers_rest(h);
	free(h->rows);
	free(h);
}

/* "FOLDER/firewall.policy". Words of a path are letters, digits and a few signs, no slash among them. */
static int
path_of(const struct handlers *h, const struct schema_table *table, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", h->folder, table->path);

	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *p = path + strlen(h->folder); *p; p++)
		if (*p == ' ')
			*p = '.';
	return 0;
}

bool
handlers_have(struct handlers *h, const struct schema_table *table)
{
	char path[PATH_MAX];

	return *h->folder && !path_of(h, table, path) && !access(path, F_OK);
}

static struct row *
row_of(struct handlers *h, const struct schema_table *table)
{
	struct row *more;

	if (table->index >= h->count) {
		more = realloc(h->rows, (table->index + 1) * sizeof(*more));
		if (!more)
			return NULL;
		h->rows = more;
		memset(more + h->count, 0, (table->index + 1 - h->count) * sizeof(*more));
		h->count = table->index + 1;
	}
	return &h->rows[table->index];
}

/* --- one run ------------------------------------------------------------------------------------------------------ */

static int64_t
time_left(const struct handlers *h)
{
	int64_t left = HANDLER_TURN_MS - h->waited_ms;

	return left < 0 ? 0 : left < HANDLER_ANSWER_MS ? left : HANDLER_ANSWER_MS;
}

/* What it did stands in the row, for the changes that follow. */
static void
fail(struct row *r, const struct schema_table *table, const struct err *why)
{
	err_set(&r->why, CLI_FAILED, "handler of %s: %s", table->path, why->text);
	log_say(LOG_LEVEL_ERROR, "%s", r->why.text);
	r->state = ROW_FAILED;
	(void)program_end(r->program, 0, NULL);
	r->program = NULL;
}

static void
start(struct handlers *h, const struct schema_table *table, struct row *r)
{
	struct err why = ERR_NONE;
	struct program_user user;
	char path[PATH_MAX];
	int rc;

	r->state = ROW_NONE;
	if (!*h->folder || path_of(h, table, path))
		return;
	rc = program_check(path, &why);
	if (rc == -ENOENT)
		return;
	if (!rc && *h->user)
		rc = program_user(h->user, &user, &why);
	if (!rc)
		rc = program_start(path, *h->user ? &user : NULL, &r->program, &why);
	r->state = ROW_RUNS;
	if (rc)
		fail(r, table, &why);
	else
		log_debug(DBG_CONFIG, "[handler] %s started", path);
}

static void
add_state(struct cJSON *j, const char *name, const struct entry *en)
{
	if (en)
		json_add(j, name, entry_json(en));
	else
		json_add_str(j, name, NULL);
}

/* The change as a line; the caller frees it. NULL: no memory. */
static char *
line_of(const struct change *c, size_t *len)
{
	static const char *const operations[] = {"change", "delete", "create"};
	struct cJSON *j = json_new_object();
	char *text, *line = NULL;

	json_add_str(j, "table", c->table->path);
	json_add_str(j, "operation", operations[!c->new ? 1 : !c->old ? 2 : 0]);
	json_add_str(j, "key", c->key);
	add_state(j, "old", c->old);
	add_state(j, "new", c->new);
	text = json_line(j);
	if (text) {
		*len = strlen(text) + 1;
		line = realloc(text, *len + 1);
		if (line)
			memcpy(line + *len - 1, "\n", 2);
		else
			free(text);
	}
	json_free(j);
	return line;
}

/* Its word, which is another program's: checked, and escaped for whoever reads it. 0, or -EBADMSG. */
static int
take_result(const struct schema_table *table, const char *answer, int *code, struct err *reason, struct err *why)
{
	char shown[MESSAGE_MAX * 2], quoted[64];
	const char *message = "";
	struct cJSON *j = json_parse(answer, strlen(answer), why);
	int64_t number;
	int rc = !j || !json_is_object(j) ? -EBADMSG : 0;

	if (!rc)
		rc = json_get_int(j, "code", CODE_MIN, 0, &number, why);
	if (!rc && json_get(j, "message"))
		rc = json_get_str(j, "message", &message, why);
	if (rc) {
		json_free(j);
		return err_set(why, -EBADMSG, "answer \"%s\": {\"code\":0} or less, and \"message\", were expected",
			       text_escape(quoted, sizeof(quoted), answer, strlen(answer)));
	}
	text_escape(shown, sizeof(shown) / 2, message, strlen(message));
	if (number)
		err_set(reason, (int)number, "%s: %s", table->path, *shown ? shown : "refused by its handler");
	*code = (int)number;
	json_free(j);
	return 0;
}

static int
ask(struct handlers *h, struct row *r, const struct change *c, struct err *e)
{
	char answer[PROGRAM_LINE];
	struct err why = ERR_NONE;
	mono_t begun = clock_mono();
	size_t len = 0;
	char *line = line_of(c, &len);
	int code = CLI_FAILED, rc;

	if (!line)
		return err_sys(e, CLI_FAILED, "%s", c->table->path);
	rc = program_ask(r->program, line, len, time_left(h), answer, &why);
	h->waited_ms += clock_mono().ms - begun.ms;
	explicit_bzero(line, len); /* there may be secrets in it */
	free(line);
	if (!rc)
		rc = take_result(c->table, answer, &code, e, &why);
	if (!rc)
		return code;
	fail(r, c->table, &why);
	return err_set(e, CLI_FAILED, "%s", r->why.text);
}

int
handlers_change(struct handlers *h, const struct change *c, struct err *e)
{
	struct row *r = row_of(h, c->table);

	if (!r)
		return err_sys(e, CLI_FAILED, "%s", c->table->path);
	if (r->state == ROW_UNKNOWN)
		start(h, c->table, r);
	if (r->state == ROW_RUNS)
		return ask(h, r, c, e);
	return r->state == ROW_NONE ? CLI_OK : err_set(e, CLI_FAILED, "%s", r->why.text);
}

void
handlers_rest(struct handlers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		struct row *r = &h->rows[i];
		mono_t begun = clock_mono();
		struct err why = ERR_NONE;

		if (program_end(r->program, time_left(h), &why))
			log_say(LOG_LEVEL_WARNING, "a handler at its end: %s", why.text);
		if (r->program)
			h->waited_ms += clock_mono().ms - begun.ms;
		*r = (struct row){.state = ROW_UNKNOWN};
	}
}

void
handlers_turn(struct handlers *h)
{
	h->waited_ms = 0;
}

int64_t
handlers_waited_ms(const struct handlers *h)
{
	return h->waited_ms;
}
