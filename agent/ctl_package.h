/* ctl_package: `fgfmctl package …`: what is in a package file, and what would become of it here; copies of what is
 * installed, from and to other units. No daemon is asked.
 */
#ifndef AGENT_CTL_PACKAGE_H
#define AGENT_CTL_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

struct ctl_package {
	const char *bootstrap;  /* names authorities, level file and state directory */
	bool bootstrap_default; /* nobody asked for it: it may be missing */
	bool json;
};

/* `argv` begins with "package". 0 done, 1 failed or not acceptable, 2 bad usage; output on stdout, reasons on stderr.
 */
int ctl_package_run(const struct ctl_package *p, int argc, char *argv[]);

/* For a line that begins with `package`: "WORD\tHELP\n"… of what may stand where it ends. */
void ctl_package_complete(const char *line, size_t len, struct buf *out);

#endif
