/* The agent's own state, shared by agent*.c only. */
#ifndef AGENT_AGENT_PRIVATE_H
#define AGENT_AGENT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/admin.h"
#include "agent/agent.h"
#include "agent/dialer.h"
#include "agent/explain.h"
#include "agent/memory.h"
#include "agent/requests.h"
#include "agent/update.h"
#include "config/checksum.h"

struct agent_monitor;
struct agent_packages;
struct apply;
struct control;
struct history;
struct listener;
struct loop_io;
struct loop_task;
struct loop_timer;
struct netlink;
struct message;
struct netlink_watch;
struct notice;
struct uplink_ops;

enum { PASSWORD_MAX = 128, PINS_MAX = 32 };

struct agent {
	struct loop *loop;
	char path[512]; /* of the bootstrap file */
	mono_t started;
	bool stopping;
	int lock_fd; /* of the run directory: one agent only */

	struct schema *schema;
	struct settings *settings;
	struct tls_creds *creds; /* NULL: the files are not in order, and nothing is dialled */
	char serial[40];
	struct trust_list *trust;
	struct memory memory;
	struct receipts *receipts;
	struct reboots *reboots;
	struct history *history; /* of scripts */
	struct store *store;
	struct apply *apply;
	struct device *device;
	struct install *install;
	struct requests requests;
	struct explain_note last; /* what the last attempt to reach a manager left behind */
	struct uplink *uplink;
	struct control *control;
	char sum_text[CHECKSUM_TEXT];

	/* the network around us */
	struct netlink *netlink; /* in the agent's own namespace, for route look-ups */
	struct netlink_watch *watch;
	struct loop_io *watch_io;

	/* the tunnel */
	struct tun *tun;
	struct loop_io *tun_io;
	struct loop_timer *tun_timer; /* tries again what failed */
	struct loop_timer *tun_queue; /* makes the device's queue short, or long again */
	bool tun_short;               /* it is short */
	mono_t tun_held;              /* since when its packets wait for the session; MONO_NEVER: they do not */
	mono_t tun_waited;            /* when they last had to for long */
	uint64_t packets_unsent;
	struct addr tunnel_local, tunnel_manager; /* what the manager gave; family 0: nothing */
	bool tunnel_said;                         /* the event that it is up is out */
	struct agent_monitor *monitor;            /* NULL: not part of this build, or not open yet */
	struct agent_packages *packages;

	/* time and work of our own */
	struct loop_timer *install_timer, *settle_timer, *uptime_timer, *stop_timer, *admit_timer, *creds_timer,
	    *control_timer;
	struct loop_task *install_task, *changed_task, *sums_task, *results_task, *idle_task;
	mono_t uptime_counted;
	mono_t install_turn_end;

	/* register-device */
	char admitted[40]; /* "": nobody */
	char password[PASSWORD_MAX];
	mono_t admitted_until;

	/* connections and notices that managers send on their own */
	struct listener *listener; /* NULL: nobody may connect to this box */
	uint16_t listen_port;
	struct admin_gate admin_gate;
	struct notice *notice; /* NULL: automatic updates are off */
	struct update update;
	struct loop_timer *listen_timer, *update_timer;

	const char *pins[PINS_MAX];
	char *uplink_key; /* what the uplink was configured with: only a difference starts a new round */
};

/* agent_uplink.c: what the uplink asks and tells. */
void agent_uplink_ops(struct agent *a, struct uplink_ops *out);
int agent_configure_uplink(struct agent *a, struct err *e);
void agent_forget_admission(struct agent *a);
int64_t agent_trust_time_s(const struct agent *a); /* the latest of clock, build time and last good time */

/* agent_listen.c: what managers begin: connections, logins, notices of newer versions. */
int agent_open_listen(struct agent *a, struct err *e);
void agent_close_listen(struct agent *a);
void agent_configure_listen(struct agent *a); /* opens and closes what the configuration asks for */
bool agent_may_listen(const struct agent *a, const struct tree *t);
enum auth_login agent_login(struct agent *a, const struct addr *manager, const char *user, const char *password);
void agent_take_versions(struct agent *a, const struct message *m);

/* agent_install.c: what an install asks and tells. */
int agent_open_install(struct agent *a, struct err *e);
void agent_close_install(struct agent *a);
void agent_install_touch(struct agent *a); /* its deadline or its work may have changed */

/* agent_tunnel.c: the TUN device and the packets through it. */
void agent_open_tunnel(struct agent *a);
void agent_close_tunnel(struct agent *a);
void agent_tunnel_write(struct agent *a, uint8_t *p, size_t len); /* borrowed until agent_tunnel_flush() */
void agent_tunnel_flush(struct agent *a);
void agent_tunnel_resume(struct agent *a); /* there may be room for packets again */
/* True when this is another pair than before. What cannot be set now is tried again. */
bool agent_tunnel_set(struct agent *a, const struct addr *local, const struct addr *manager);

/* agent_packages.c: update packages. What an operator orders is in agent_packages.h. */
int agent_open_packages(struct agent *a, struct err *e);
void agent_close_packages(struct agent *a);
void agent_configure_packages(struct agent *a);       /* the schedule may be another one */
void agent_packages_notice(struct agent *a);          /* a manager has something newer, and it is time to ask for it */
const char *agent_packages_av(const struct agent *a); /* version of a database; PROFILE_NO_DATABASE: none is there */
const char *agent_packages_ips(const struct agent *a);
const struct pkg_store *agent_packages_store(const struct agent *a); /* NULL: not open */
const struct pkg_status *agent_packages_status(const struct agent *a);

/* agent_monitor.c, or agent_monitor_none.c in a build without: the HTTP service at the tunnel's address. */
void agent_open_monitor(struct agent *a);
void agent_close_monitor(struct agent *a);
/* Address, device or `allow-monitor` may have changed; `anew`: what it listens on is surely gone. */
void agent_monitor_touch(struct agent *a, bool anew);

#endif
