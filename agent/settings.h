/* settings: the bootstrap file, `config agent`: where things are and what the device is called.
 *
 * Read at start and again on SIGHUP. Files named in it are checked by who uses them.
 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/load.h"

struct err;
struct schema;
struct settings;

/* Reads `path`. Any failing line is an error of the whole: each is given to `complain` (may be NULL) as
 * FILE:LINE:COLUMN: text, the first also in `e`. Borrows the schema. */
int settings_load(const char *path, const struct schema *s, load_complain_fn *complain, void *ctx,
		  struct settings **out, struct err *e);
/* For checking only: what could be read, with the failing lines left out, so that the files it names can be checked,
 * too. NULL when there is nothing to go on with; every error has been given to `complain`. */
struct settings *settings_check(const char *path, const struct schema *s, load_complain_fn *complain, void *ctx);

void settings_free(struct settings *s); /* NULL-safe */

/* An option's value or default, "" where there is neither; valid as long as the settings. */
const char *settings_get(const struct settings *s, const char *option);
long long settings_int(const struct settings *s, const char *option);
bool settings_enabled(const struct settings *s, const char *option);
bool settings_has(const struct settings *s, const char *option, const char *value); /* a list has it */

/* "FOLDER/name" below the state or run directory. Returns dst; a name that does not fit gives "". */
char *settings_state_path(const struct settings *s, const char *name, char *dst, size_t size);
char *settings_run_path(const struct settings *s, const char *name, char *dst, size_t size);

/* The name of an option that differs and takes effect only at a restart; NULL: none. */
const char *settings_restart_needed(const struct settings *a, const struct settings *b);

#endif
