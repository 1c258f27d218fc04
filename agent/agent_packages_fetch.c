/* Where packages come from: what an operator names, servers of the configuration, the manager. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_packages_private.h"
#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/program.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/err.h"
#include "base/text.h"
#include "config/tree.h"
#include "package/format.h"
#include "package/pkg_store.h"
#include "trustlist/trustlist.h"

/* What a fetch_spec points to. */
struct words {
	struct uplink_view view;
	struct program_user user;
	char build[16];
};

static const struct entry *
central_management(const struct agent *a)
{
	return tree_entry(device_running(a->device), "system central-management", "");
}

/* --- servers of the configuration --------------------------------------------------------------------------------- */

static bool
is_update_server(const struct entry *s)
{
	for (size_t i = 0; entry_value(s, "server-type", i); i++) {
		if (!strcmp(entry_value(s, "server-type", i), "update"))
			return true;
	}
	return false;
}

static const char *
address_of(const struct entry *s)
{
	const char *type = entry_get(s, "addr-type");

	if (!strcmp(type, "fqdn"))
		return entry_get(s, "fqdn");
	return entry_get(s, !strcmp(type, "ipv6") ? "server-address6" : "server-address");
}

/* NULL: there are not so many. */
static const struct entry *
update_server(const struct agent *a, size_t n)
{
	for (const struct entry *s = entry_child_first(central_management(a), "server-list"); s; s = entry_next(s)) {
		if (is_update_server(s) && !n--)
			return s;
	}
	return NULL;
}

/* --- what is asked of whom ---------------------------------------------------------------------------------------- */

static void
note_host(struct agent_packages *p, struct fetch_spec *s, const char *host, uint16_t port)
{
	text_copy(p->host, sizeof(p->host), host);
	snprintf(p->from, sizeof(p->from), strchr(p->host, ':') ? "[%s]:%u" : "%s:%u", p->host, port);
	s->server = p->host;
	s->port = port;
}

static void
from_server(struct agent_packages *p, const struct entry *server, struct fetch_spec *s)
{
	s->kind = FETCH_SERVER;
	s->ca_file = settings_get(p->agent->settings, "fetch-ca");
	note_host(p, s, address_of(server), 443);
}

/* The manager whose session is in use, known by its serial number or by the key that the trusted list has. */
static int
from_manager(struct agent_packages *p, struct words *w, struct fetch_spec *s, struct err *e)
{
	const struct agent *a = p->agent;
	const struct trust_entry *t;
	char host[ADDR_TEXT];
	uint64_t port = 0;

	uplink_view(a->uplink, clock_mono(), &w->view);
	if (!w->view.current || !session_privileged(w->view.session)) {
		err_set(e, -ENOENT, "no update server is configured, and no manager is connected");
		return PACKAGES_NOBODY;
	}
	text_u64(entry_get(central_management(a), "fmg-update-port"), UINT16_MAX, &port);
	s->kind = FETCH_MANAGER;
	s->serial = session_peer_serial(w->view.session);
	t = trust_list_find(a->trust, s->serial);
	s->pin = t ? t->key : NULL;
	s->ca_file = settings_get(a->settings, "ca-certificate");
	note_host(p, s, addr_host(host, &w->view.manager), (uint16_t)port);
	return 0;
}

static int
from_anybody(struct agent_packages *p, struct words *w, struct fetch_spec *s, struct err *e)
{
	const struct agent *a = p->agent;
	const struct entry *server = update_server(a, p->server);

	snprintf(w->build, sizeof(w->build), "%lld", settings_int(a->settings, "build"));
	s->has = (struct fetch_has){.serial = a->serial,
				    .os = settings_get(a->settings, "os-version"),
				    .build = w->build,
				    .av = p->av,
				    .ips = p->ips};
	if (server) {
		from_server(p, server, s);
		return 0;
	}
	/* after all of these comes the manager, and after that nobody */
	return p->server && !update_server(a, p->server - 1) ? PACKAGES_NOBODY : from_manager(p, w, s, e);
}

static void
from_order(struct agent_packages *p, struct fetch_spec *s)
{
	if (p->source == PACKAGES_TFTP) {
		s->kind = FETCH_TFTP;
		s->server = p->host;
		s->file = p->name;
	} else {
		s->kind = FETCH_HTTPS_URL;
		s->url = p->name;
		s->ca_file = settings_get(p->agent->settings, "fetch-ca");
	}
	snprintf(p->from, sizeof(p->from), "%.255s", p->source == PACKAGES_TFTP ? p->host : p->name);
}

int
packages_fetch(struct agent_packages *p, const struct fetch_ops *ops, struct err *e)
{
	const struct settings *set = p->agent->settings;
	const char *user = settings_get(set, "fetch-user");
	struct fetch_spec s = {.max_bytes = FORMAT_BYTES_MAX,
			       .resolv_conf = settings_get(set, "resolv-conf"),
			       .staging_dir = pkg_store_folder(p->store)};
	struct words w = {.build = ""};
	int rc = 0;

	if (p->way == UPDATE_AUTOMATIC)
		rc = from_anybody(p, &w, &s, e);
	else
		from_order(p, &s);
	if (!rc && *user) {
		rc = program_user(user, &w.user, e);
		s.user = &w.user;
	}
	return rc ? rc : fetch_start(p->agent->loop, &s, ops, p, &p->fetch, e);
}
