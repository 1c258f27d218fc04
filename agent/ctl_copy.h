/* ctl_copy: `fgfmctl package export|import FOLDER`: signed objects from one unit of a cluster to another. No daemon is
 * needed; one that runs notices what has been imported.
 */
#ifndef AGENT_CTL_COPY_H
#define AGENT_CTL_COPY_H

struct ctl_package;

/* `argv`: "export" or "import", and the folder. The TLS library has been started. 0 done, 1 failed or something was
 * refused, 2 bad usage. */
int ctl_copy_run(const struct ctl_package *p, int argc, char *argv[]);

#endif
