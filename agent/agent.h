/* agent: owns every part and wires them together. It decides nothing that a room decides.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct agent;
struct device;
struct err;
struct explain_note;
struct history;
struct install;
struct listener;
struct loop;
struct memory;
struct netlink;
struct notice;
struct pkg_status;
struct pkg_store;
struct reboots;
struct receipts;
struct revision_begun;
struct schema;
struct settings;
struct store;
struct tls_creds;
struct trust_list;
struct tun;
struct update;
struct uplink;

/* Reads the bootstrap file `path` and everything it names, makes the tunnel device, applies the saved configuration or
 * goes on with a pending install, and begins to dial. What is not there yet (certificates, the tunnel) is said and
 * tried again; only what makes work impossible is an error. Failing lines of the bootstrap file go to `complain` as
 * FILE:LINE:COLUMN: text. */
int agent_new(struct loop *l, const char *path, void (*complain)(void *ctx, const char *line), struct agent **out,
	      struct err *e);
void agent_free(struct agent *a); /* NULL-safe */

void agent_reload(struct agent *a); /* SIGHUP: bootstrap file and certificates, without dropping a healthy session */
void agent_stop(struct agent *a);   /* SIGTERM: closes sessions in order, then stops the loop, within 2 seconds */

bool agent_has_monitor(void); /* whether the HTTP service in the namespace is part of this build */

/* `fgfmd -t`: reads and checks every file the daemon would use; each error goes to `say`. How many there were. */
unsigned agent_check(const char *path, void (*say)(void *ctx, const char *line), void *ctx);

/* The parts, for those who show them. All borrowed. `tun` and `creds` may be NULL. */
struct agent_parts {
	const struct schema *schema;
	const struct settings *settings;
	struct device *device;
	struct uplink *uplink;
	struct tun *tun;
	struct trust_list *trust;
	struct install *install;
	struct receipts *receipts;
	struct reboots *reboots;
	const struct history *history;
	struct store *store;
	const struct memory *memory;
	const struct tls_creds *creds;
	struct netlink *netlink;         /* in the agent's own namespace; NULL: it could not be opened */
	const struct explain_note *last; /* attempt to reach a manager */
	mono_t started;
	const char *serial;      /* of the device */
	uint64_t packets_unsent; /* from the tunnel while no session could take them */
	const char *admitted;    /* serial that register-device admits; NULL: none */
	mono_t admitted_until;
	const struct listener *listener; /* NULL: nobody may connect to this box */
	const struct notice *notice;     /* NULL: automatic updates are off */
	const struct update *update;
	const struct pkg_store *packages;        /* what is installed; NULL: not open */
	const struct pkg_status *package_status; /* likewise */
};

void agent_parts(const struct agent *a, struct agent_parts *out);

/* `execute central-mgmt register-device`: admits this serial for 10 minutes. 0 or a CLI code. */
int agent_register(struct agent *a, const char *serial, const char *password, const char *who, struct err *e);
/* `execute central-mgmt unregister-device`: takes it off the list and ends its session. 0 or a CLI code. */
int agent_unregister(struct agent *a, const char *serial, const char *who, struct err *e);

/* `execute central-mgmt set-mgmt-id`: what the device says it is called by its manager. 0 or a CLI code. */
int agent_set_mgmtid(struct agent *a, const char *id, const char *who, struct err *e);

/* An operator ends the pending install: keeps it or undoes it. 0 or -errno, as install_confirm() and install_revert().
 */
int agent_end_install(struct agent *a, bool keep, struct err *e);

/* `execute revision restore`: as revision_restore(), and lets the install run. */
int agent_restore_revision(struct agent *a, unsigned number, const char *who,
			   void (*complain)(void *ctx, const char *line), void *ctx, struct revision_begun *out,
			   struct err *e);

#endif
