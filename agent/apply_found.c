/* Addresses that were on a device before the configuration named them. A change that asks for one finds it there; the
 * change that takes it back must leave it, for it is what the host had: without it the box may be out of reach. So it
 * is until the configuration with it is saved. The list is in the run directory, too, for an agent that is killed
 * meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apply_parts.h"
#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

enum { LIST_MAX = 1024 * 1024 };

struct found {
	char dev[16];
	struct addr addr;
};

bool
apply_found_there(const struct apply *a, const char *dev, const struct addr *addr)
{
	for (size_t i = 0; i < a->found_count; i++)
		if (!strcmp(a->found[i].dev, dev) && addr_equal(&a->found[i].addr, addr))
			return true;
	return false;
}

static int
append(struct apply *a, const char *dev, const struct addr *addr)
{
	struct found *more, f = {.addr = *addr};

	if (text_copy(f.dev, sizeof(f.dev), dev))
		return -ENAMETOOLONG;
	more = realloc(a->found, (a->found_count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	a->found = more;
	a->found[a->found_count++] = f;
	return 0;
}

/* A list that cannot be written is still in memory: it is lost with the agent only. */
static void
write_list(const struct apply *a)
{
	struct buf b = BUF_INIT(LIST_MAX);
	struct err why = ERR_NONE;
	char text[ADDR_TEXT];

	for (size_t i = 0; i < a->found_count; i++)
		buf_printf(&b, "%s %s\n", a->found[i].dev, addr_cidr(text, &a->found[i].addr));
	if (b.error)
		err_sys(&why, b.error, "%s", a->found_list);
	if (b.error || file_replace(a->found_list, buf_head(&b), b.len, 0644, NULL, &why))
		log_say(LOG_LEVEL_WARNING, "addresses found: %s", why.text);
	buf_free(&b);
}

void
apply_found_note(struct apply *a, const char *dev, const struct addr *addr)
{
	if (!a->noting || apply_found_there(a, dev, addr))
		return;
	if (append(a, dev, addr)) {
		log_debug(DBG_ERROR, "[apply] no memory to note an address of %s", dev);
		return;
	}
	write_list(a);
}

void
apply_found_load(struct apply *a)
{
	struct err why = ERR_NONE;
	char *text = NULL, *save = NULL;
	size_t len = 0;

	if (file_read(a->found_list, LIST_MAX, &text, &len, &why))
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');
		struct addr addr;

		if (!space)
			continue;
		*space = '\0';
		if (!addr_parse_prefix(space + 1, &addr))
			(void)append(a, line, &addr);
	}
	free(text);
}

void
apply_found_free(struct apply *a)
{
	free(a->found);
	a->found = NULL;
	a->found_count = 0;
}

void
apply_own(struct apply *a)
{
	struct err why = ERR_NONE;
	bool any = a->found_count || !a->noting;

	apply_found_free(a);
	a->noting = true;
	if (any && file_remove(a->found_list, &why))
		log_say(LOG_LEVEL_WARNING, "addresses found: %s", why.text);
}
