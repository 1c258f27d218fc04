/* What managers begin on their own: connections to this box, logins with them, notices of newer versions. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/listener.h"
#include "agent/message.h"
#include "agent/notice.h"
#include "agent/profile.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "config/tree.h"
#include "rollback/install.h"

enum { RETRY_MS = 30 * 1000, SHOWN = 80 };

/* --- who may connect, and where ----------------------------------------------------------------------------------- */

static bool
lists_fgfm(const struct entry *e, const char *attr)
{
	for (size_t i = 0; e && entry_value(e, attr, i); i++) {
		if (!strcmp(entry_value(e, attr, i), "fgfm"))
			return true;
	}
	return false;
}

/* The secondary address of an interface that is `local`; NULL: none is. */
static const struct entry *
secondary(const struct entry *interface, const struct addr *local)
{
	for (const struct entry *s = entry_child_first(interface, "secondaryip"); s; s = entry_next(s)) {
		struct addr a;

		if (!addr_parse_and_mask(entry_get(s, "ip"), &a) && addr_same_host(&a, local))
			return s;
	}
	return NULL;
}

/* `allowaccess` of the interface a connection came in by counts, and that of a secondary address it came to. */
static bool
may_come_in(const struct entry *interface, const struct addr *local)
{
	const struct entry *further;

	if (local->family == AF_INET6)
		return lists_fgfm(entry_child_first(interface, "ipv6"), "ip6-allowaccess");
	further = secondary(interface, local);
	return lists_fgfm(further ? further : interface, "allowaccess");
}

static bool
op_allowed(void *ctx, const char *name, const struct addr *local)
{
	struct agent *a = ctx;
	const struct entry *interface = tree_entry(device_running(a->device), "system interface", name);

	return a->listener && interface && may_come_in(interface, local);
}

static bool
any_may_come_in(const struct entry *interface)
{
	if (lists_fgfm(interface, "allowaccess") || lists_fgfm(entry_child_first(interface, "ipv6"), "ip6-allowaccess"))
		return true;
	for (const struct entry *s = entry_child_first(interface, "secondaryip"); s; s = entry_next(s)) {
		if (lists_fgfm(s, "allowaccess"))
			return true;
	}
	return false;
}

bool
agent_may_listen(const struct agent *a, const struct tree *t)
{
	const char *type = entry_get(tree_entry(t, "system central-management", ""), "type");

	if (!settings_enabled(a->settings, "listen") || strcmp(type, "fortimanager") != 0)
		return false;
	for (const struct entry *i = tree_first(t, "system interface"); i; i = entry_next(i)) {
		if (any_may_come_in(i))
			return true;
	}
	return false;
}

static void
op_take(void *ctx, const struct listener_call *c)
{
	struct agent *a = ctx;

	uplink_accept(a->uplink, c);
}

static void
open_listener(struct agent *a, uint16_t port)
{
	const struct listener_ops ops = {.ctx = a, .allowed = op_allowed, .take = op_take};
	uint16_t port6 = port == PROFILE_PORT4 ? PROFILE_PORT6 : port;
	struct err e = ERR_NONE;

	a->listen_port = port;
	if (!listener_open(a->loop, port, port6, &ops, &a->listener, &e)) {
		log_debug(DBG_SESSION, "[listen] managers may connect to ports %u (IPv4) and %u (IPv6)",
			  listener_port(a->listener, AF_INET), listener_port(a->listener, AF_INET6));
		return;
	}
	log_say(LOG_LEVEL_ERROR, "listening: %s; tried again in %d s", e.text, RETRY_MS / 1000);
	loop_timer_at(a->listen_timer, mono_in(clock_mono(), RETRY_MS));
}

static void
close_listener(struct agent *a)
{
	listener_close(a->listener);
	a->listener = NULL;
	loop_timer_at(a->listen_timer, MONO_NEVER);
}

static void
configure_listener(struct agent *a)
{
	uint16_t port = (uint16_t)settings_int(a->settings, "listen-port");
	bool want = a->creds && !a->stopping && agent_may_listen(a, device_running(a->device));
	struct install_status st;

	if (a->listener && (!want || port != a->listen_port))
		close_listener(a);
	if (want && !a->listener)
		open_listener(a, port);
	/* while an install is pending its test decides */
	install_status(a->install, clock_mono(), &st);
	if (st.state == INSTALL_IDLE)
		uplink_check_calls(a->uplink, op_allowed, a, "fgfm is not allowed there any more");
}

/* --- local administrators ----------------------------------------------------------------------------------------- */

enum auth_login
agent_login(struct agent *a, const struct addr *manager, const char *user, const char *password)
{
	enum auth_login login =
	    admin_login(&a->admin_gate, device_running(a->device), user, password, manager, clock_mono());
	char shown[SHOWN], from[ADDR_TEXT];

	text_escape(shown, sizeof(shown), user, strlen(user));
	addr_host(from, manager);
	if (login == LOGIN_GOOD)
		log_event(EVENT_SECURITY, LOG_LEVEL_NOTICE, "Administrator's login by a manager", "user", shown, "ip",
			  from, "status", "success", NULL);
	else
		log_event(EVENT_SECURITY, LOG_LEVEL_WARNING, "Administrator's login by a manager", "user", shown, "ip",
			  from, "status", "failed", "reason",
			  login == LOGIN_LOCKED ? "locked after failed logins" : "name or password invalid", NULL);
	return login;
}

/* --- newer versions ----------------------------------------------------------------------------------------------- */

static bool
updates_wanted(const struct agent *a)
{
	const struct tree *t = device_running(a->device);

	return !a->stopping && entry_enabled(tree_entry(t, "system autoupdate schedule", ""), "status") &&
	       !strcmp(entry_get(tree_entry(t, "system central-management", ""), "type"), "fortimanager");
}

void
agent_take_versions(struct agent *a, const struct message *m)
{
	const struct update_versions here = {
	    .os = settings_get(a->settings, "os-version"), .av = agent_packages_av(a), .ips = agent_packages_ips(a)};
	const struct update_versions manager = {
	    .os = message_str(m, "os_ver"), .av = message_str(m, "avdb"), .ips = message_str(m, "ipsdb")};
	uint32_t lot = 0;

	if (!updates_wanted(a))
		return;
	crypto_random(&lot, sizeof(lot)); /* without randomness it is asked for sooner than it might */
	update_offer(&a->update, &here, &manager, lot, clock_mono());
	loop_timer_at(a->update_timer, update_deadline(&a->update));
}

static void
on_update_timer(void *ctx)
{
	struct agent *a = ctx;
	char count[32];

	if (!update_take(&a->update, clock_mono()))
		return;
	snprintf(count, sizeof(count), "%llu", (unsigned long long)a->update.requests);
	log_event(EVENT_UPDATE_WANTED, LOG_LEVEL_NOTICE, "The manager has newer versions", "what", a->update.what,
		  "requests", count, NULL);
	agent_packages_notice(a);
}

/* The address the session in use goes to: anybody can send a datagram, few from there. */
static bool
op_from_manager(void *ctx, const struct addr *source)
{
	struct agent *a = ctx;
	struct uplink_view v;

	uplink_view(a->uplink, clock_mono(), &v);
	return v.current && session_privileged(v.session) && addr_same_host(&v.manager, source);
}

static void
op_notice(void *ctx, const struct message *m)
{
	agent_take_versions(ctx, m);
}

static void
configure_notice(struct agent *a)
{
	const struct notice_ops ops = {.ctx = a, .from_manager = op_from_manager, .take = op_notice};
	struct err e = ERR_NONE;
	bool want = updates_wanted(a);

	if (want && !a->notice && notice_open(a->loop, PROFILE_NOTICE_PORT, &ops, &a->notice, &e))
		log_say(LOG_LEVEL_WARNING, "notices of the manager: %s; its keep-alives tell the same", e.text);
	if (want)
		return;
	notice_close(a->notice);
	a->notice = NULL;
	update_cancel(&a->update);
	loop_timer_at(a->update_timer, MONO_NEVER);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

void
agent_configure_listen(struct agent *a)
{
	configure_listener(a);
	configure_notice(a);
}

static void
on_listen_timer(void *ctx)
{
	configure_listener(ctx);
}

int
agent_open_listen(struct agent *a, struct err *e)
{
	update_init(&a->update);
	a->listen_timer = loop_timer_new(a->loop, on_listen_timer, a);
	a->update_timer = loop_timer_new(a->loop, on_update_timer, a);
	if (!a->listen_timer || !a->update_timer)
		return err_sys(e, -ENOMEM, "listening");
	return 0;
}

void
agent_close_listen(struct agent *a)
{
	listener_close(a->listener);
	a->listener = NULL;
	notice_close(a->notice);
	a->notice = NULL;
	loop_timer_free(a->listen_timer);
	loop_timer_free(a->update_timer);
	a->listen_timer = a->update_timer = NULL;
}
