/* What the uplink asks the agent and tells it: identity, trust, tunnel addresses, requests. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/profile.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "config/print.h"
#include "config/schema.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "trustlist/trustlist.h"
#include "tun/netlink.h"

#define CENTRAL_MANAGEMENT "system central-management"

enum { TIME_STEP_S = 3600 }; /* the last good time on disk may lag this much */

static const struct entry *
central_management(const struct agent *a)
{
	return tree_entry(device_running(a->device), CENTRAL_MANAGEMENT, "");
}

static void
save_memory(struct agent *a)
{
	struct err e = ERR_NONE;

	if (memory_save(&a->memory, &e))
		log_say(LOG_LEVEL_WARNING, "%s", e.text);
}

/* --- asked -------------------------------------------------------------------------------------------------------- */

static void
op_identity(void *ctx, const struct addr *manager, struct session_identity *out)
{
	struct agent *a = ctx;
	const struct tree *t = device_running(a->device);

	*out = (struct session_identity){
	    .serial = a->serial,
	    .platform = settings_get(a->settings, "platform"),
	    .hostname = entry_get(tree_entry(t, "system global", ""), "hostname"),
	    .os_version = settings_get(a->settings, "os-version"),
	    .build = (unsigned)settings_int(a->settings, "build"),
	    .mgmtid = a->memory.mgmtid,
	    .first_fmgid = a->memory.first_fmgid,
	    .registered = trust_list_count(a->trust) > 0,
	    .vdom = entry_get(central_management(a), "vdom"),
	    .checksum = checksum_text(a->sum_text, device_checksum(a->device)),
	    .avdb = agent_packages_av(a),
	    .ipsdb = agent_packages_ips(a),
	    .uptime_s = (clock_mono().ms - a->started.ms) / 1000,
	};
	if (!*out->hostname)
		out->hostname = a->serial;
	if (a->netlink && netlink_route_get(a->netlink, manager, out->intf, NULL, NULL))
		out->intf[0] = '\0';
}

static void
op_policy(void *ctx, struct auth_policy *out)
{
	struct agent *a = ctx;
	const struct entry *cm = central_management(a);
	size_t n = 0;

	while (n < PINS_MAX && entry_value(cm, "serial-number", n)) {
		a->pins[n] = entry_value(cm, "serial-number", n);
		n++;
	}
	*out = (struct auth_policy){
	    .list = a->trust, .pins = a->pins, .pin_count = n, .admitted = a->admitted[0] ? a->admitted : NULL};
}

static const char *
op_register_password(void *ctx)
{
	struct agent *a = ctx;

	return a->admitted[0] ? a->password : NULL;
}

/* A box whose clock starts in 1970 judges by what it knows time cannot be before. */
int64_t
agent_trust_time_s(const struct agent *a)
{
	int64_t s = clock_wall().s;

	if (s < clock_build_s())
		s = clock_build_s();
	return s < a->memory.last_good_s ? a->memory.last_good_s : s;
}

static int64_t
op_trust_time_s(void *ctx)
{
	return agent_trust_time_s(ctx);
}

/* --- told --------------------------------------------------------------------------------------------------------- */

void
agent_forget_admission(struct agent *a)
{
	a->admitted[0] = '\0';
	explicit_bzero(a->password, sizeof(a->password));
	loop_timer_at(a->admit_timer, MONO_NEVER);
	if (a->uplink)
		uplink_seek(a->uplink, NULL);
}

static void
note_good_time(struct agent *a)
{
	int64_t now = clock_wall().s;

	if (now < a->memory.last_good_s + TIME_STEP_S)
		return;
	a->memory.last_good_s = now;
	save_memory(a);
}

/* "Last used" may lag as the last good time does: a manager that comes and goes must not wear out the disk. */
static void
note_listed(struct agent *a, const struct cert_facts *f, bool renewed)
{
	const struct trust_entry *t = trust_list_find(a->trust, f->serial);
	int64_t now = clock_wall().s;
	struct err e = ERR_NONE;

	if (renewed)
		log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Manager presents a renewed key", "serial", f->serial,
			  "key", f->key, "action", "renewed", NULL);
	else if (t && now >= t->used_s && now < t->used_s + TIME_STEP_S)
		return;
	if (trust_list_used(a->trust, f, now, &e))
		log_say(LOG_LEVEL_WARNING, "trusted list: %s", e.text);
}

static enum auth_login
op_login(void *ctx, const struct addr *manager, const char *user, const char *password)
{
	return agent_login(ctx, manager, user, password);
}

static void
op_versions(void *ctx, struct session *s, const struct message *m)
{
	(void)s;
	agent_take_versions(ctx, m);
}

static void
op_judged(void *ctx, struct session *s, const struct auth_report *r, const struct cert_check *peer)
{
	struct agent *a = ctx;

	(void)s;
	if (r->result == AUTH_DENIED) {
		log_event(EVENT_AUTH_REFUSED, LOG_LEVEL_ERROR, "Manager authentication refused", "serial",
			  peer->seen ? peer->facts.serial : "", "reason", r->reason, NULL);
		return;
	}
	if (peer->crl_stale)
		log_say(LOG_LEVEL_WARNING,
			"the CRL is past its next update: revocations in it still count, newer ones are "
			"not known");
	if (peer->crl_missing)
		log_say(LOG_LEVEL_WARNING,
			"no CRL in the configured file is of the manager's issuer: nothing of it can be "
			"revoked");
	if (r->result == AUTH_LISTED || r->result == AUTH_RENEWED)
		note_listed(a, &peer->facts, r->result == AUTH_RENEWED);
	note_good_time(a);
}

static int
op_enrol(void *ctx, struct session *s, const struct cert_check *peer, enum trust_how how, struct err *e)
{
	struct agent *a = ctx;
	int rc = trust_list_add(a->trust, &peer->facts, how, clock_wall().s, e);
	enum trust_answer now = trust_list_check(a->trust, &peer->facts);

	(void)s;
	/* it may have come in another way meanwhile: then it has to be the same one */
	if (rc == -EEXIST && (now == TRUST_LISTED || now == TRUST_RENEWED))
		rc = 0;
	if (rc) {
		log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_ERROR, "Manager could not be registered", "serial",
			  peer->facts.serial, "reason", e->text, NULL);
		return rc;
	}
	if (!strcmp(a->admitted, peer->facts.serial))
		agent_forget_admission(a);
	log_event(EVENT_TRUST_CHANGED, LOG_LEVEL_NOTICE, "Manager registered", "serial", peer->facts.serial, "action",
		  "added", "how", trust_how_name(how), NULL);
	text_copy(a->memory.first_fmgid, sizeof(a->memory.first_fmgid), peer->facts.serial);
	save_memory(a);
	return 0;
}

static void
op_up(void *ctx, struct session *s, const char *target, const struct addr *manager)
{
	struct agent *a = ctx;

	/* whoever came by itself is not where one could dial */
	if (*target && (strcmp(a->memory.target, target) != 0 || !addr_equal(&a->memory.address, manager))) {
		text_copy(a->memory.target, sizeof(a->memory.target), target);
		a->memory.address = *manager;
		save_memory(a);
	}
	install_on_session(a->install, session_peer_serial(s), clock_mono());
	agent_install_touch(a);
	agent_tunnel_resume(a); /* it may wait for the session before */
}

static void
op_privileged(void *ctx, struct session *s)
{
	struct agent *a = ctx;

	(void)s;
	loop_task_soon(a->results_task);
}

static void
take_mgmtid(struct agent *a, const struct session_address *sa)
{
	if (!sa->mgmtid[0] || (a->memory.mgmtid[0] && !sa->overwrite_mgmtid))
		return;
	if (strcmp(a->memory.mgmtid, sa->mgmtid) != 0) {
		text_copy(a->memory.mgmtid, sizeof(a->memory.mgmtid), sa->mgmtid);
		save_memory(a);
	}
	log_debug(DBG_SESSION, "Set managment id %s OK.", sa->mgmtid); /* the vendor's spelling */
}

static void
op_address(void *ctx, struct session *s, const struct session_address *sa)
{
	struct agent *a = ctx;
	char here[ADDR_TEXT], there[ADDR_TEXT];

	take_mgmtid(a, sa);
	if (!agent_tunnel_set(a, &sa->tunnel, &sa->manager) && a->tunnel_said)
		return;
	a->tunnel_said = true;
	log_event(EVENT_TUNNEL_UP, LOG_LEVEL_NOTICE, "FortiManager tunnel connection up", "serial",
		  session_peer_serial(s), "ip", addr_host(here, &sa->tunnel), "fmg_ip", addr_host(there, &sa->manager),
		  NULL);
}

static void
op_packet(void *ctx, struct session *s, uint8_t *p, size_t len)
{
	(void)s;
	agent_tunnel_write(ctx, p, len);
}

static void
op_flush(void *ctx)
{
	agent_tunnel_flush(ctx);
}

static void
op_request(void *ctx, struct session *s, const struct message *m, mono_t now)
{
	struct agent *a = ctx;

	request_take(&a->requests, s, m, now);
	agent_install_touch(a);
}

static void
op_down(void *ctx, struct session *s, bool current, const char *target, const struct addr *manager)
{
	struct agent *a = ctx;
	char text[ADDR_TEXT];
	struct uplink_view v;

	uplink_view(a->uplink, clock_mono(), &v);
	if (v.session == s) /* not one that was replaced, or looked for beside the one in use */
		explain_take(&a->last, &v);
	request_session_gone(&a->requests, s);
	agent_tunnel_resume(a); /* it may have waited for this one */
	if (current)
		a->tunnel_said = false;
	if (current)
		log_event(EVENT_TUNNEL_DOWN, LOG_LEVEL_WARNING, "FortiManager tunnel connection down", "serial",
			  session_peer_serial(s), "manager", *target ? target : "opened by the manager", "ip",
			  addr_host(text, manager), "reason", session_reason(s), NULL);
	if (a->stopping)
		loop_task_soon(a->idle_task);
}

static void
op_room(void *ctx)
{
	agent_tunnel_resume(ctx);
}

void
agent_uplink_ops(struct agent *a, struct uplink_ops *out)
{
	*out = (struct uplink_ops){
	    .ctx = a,
	    .identity = op_identity,
	    .policy = op_policy,
	    .register_password = op_register_password,
	    .login = op_login,
	    .trust_time_s = op_trust_time_s,
	    .judged = op_judged,
	    .enrol = op_enrol,
	    .up = op_up,
	    .privileged = op_privileged,
	    .address = op_address,
	    .packet = op_packet,
	    .flush = op_flush,
	    .request = op_request,
	    .versions = op_versions,
	    .down = op_down,
	    .room = op_room,
	};
}

/* --- configuring -------------------------------------------------------------------------------------------------- */

static enum tls_level
level_of(const char *enc_algorithm)
{
	if (!strcmp(enc_algorithm, "low"))
		return TLS_LEVEL_LOW;
	return strcmp(enc_algorithm, "default") ? TLS_LEVEL_HIGH : TLS_LEVEL_DEFAULT;
}

static struct addr
source_of(const struct entry *cm, const char *attr)
{
	struct addr a = {0};

	if (addr_parse_host(entry_get(cm, attr), &a) || addr_is_any(&a))
		a.family = 0;
	return a;
}

/* All that a new round of dialling depends on, as text. NULL: no memory. */
static char *
uplink_key(const struct agent *a)
{
	struct buf b = BUF_INIT(1024 * 1024);
	char *key;

	print_table(device_running(a->device), schema_find(a->schema, CENTRAL_MANAGEMENT), PRINT_FULL, &b);
	buf_printf(&b, "%lld %s %s %p", settings_int(a->settings, "manager-port"), settings_get(a->settings, "sni"),
		   settings_get(a->settings, "resolv-conf"), (const void *)a->creds);
	key = b.error ? NULL : buf_steal(&b, NULL);
	buf_free(&b);
	return key;
}

static bool
is_target(const struct uplink_config *c, const char *name)
{
	for (size_t i = 0; i < c->target_count; i++) {
		if (!strcmp(c->targets[i], name))
			return true;
	}
	return false;
}

/* A session with a manager that is configured no more ends; not while an install is pending, whose test decides. */
static void
stop_unconfigured(struct agent *a, const struct uplink_config *c)
{
	struct session *s = uplink_current(a->uplink);
	mono_t now = clock_mono();
	struct install_status st;
	struct uplink_view v;

	install_status(a->install, now, &st);
	uplink_view(a->uplink, now, &v);
	if (s && st.state == INSTALL_IDLE && !v.incoming && !is_target(c, v.target))
		session_stop(s, "this manager is not configured any more", now);
}

int
agent_configure_uplink(struct agent *a, struct err *e)
{
	const struct entry *cm = central_management(a);
	struct uplink_config c = {
	    .port = (uint16_t)settings_int(a->settings, "manager-port"),
	    .source4 = source_of(cm, "fmg-source-ip"),
	    .source6 = source_of(cm, "fmg-source-ip6"),
	    .device = strcmp(entry_get(cm, "interface-select-method"), "specify") ? "" : entry_get(cm, "interface"),
	    .sni = settings_get(a->settings, "sni"),
	    .resolv_conf = settings_get(a->settings, "resolv-conf"),
	    .level = level_of(entry_get(cm, "enc-algorithm")),
	    .creds = a->creds,
	};
	char *key = uplink_key(a);
	int rc = 0;

	if (!strcmp(entry_get(cm, "type"), "fortimanager")) {
		while (c.target_count < DIALER_TARGETS && entry_value(cm, "fmg", c.target_count)) {
			c.targets[c.target_count] = entry_value(cm, "fmg", c.target_count);
			c.target_count++;
		}
	}
	if (!key || !a->uplink_key || strcmp(key, a->uplink_key) != 0) {
		rc = uplink_configure(a->uplink, &c, e);
		free(a->uplink_key);
		a->uplink_key = rc ? NULL : key;
		key = rc ? key : NULL;
	}
	free(key);
	stop_unconfigured(a, &c);
	agent_configure_listen(a);
	agent_configure_packages(a);
	return rc;
}
