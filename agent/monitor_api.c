#include "agent/monitor_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/agent.h"
#include "agent/cli_package.h"
#include "agent/device.h"
#include "agent/memory.h"
#include "agent/monitor.h"
#include "agent/monitor_cmdb.h"
#include "agent/monitor_metrics.h"
#include "agent/profile.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/standing.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "config/tree.h"
#include "package/pkg_store.h"
#include "package/types.h"
#include "package/version.h"
#include "rollback/install.h"
#include "rollback/reboots.h"
#include "rollback/receipt.h"
#include "trustlist/cert.h"
#include "trustlist/trustlist.h"
#include "tun/device.h"
#include "tun/netlink.h"

#define CMDB "/api/v2/cmdb/"

enum {
	ADDRS_MAX = 32,
	ROUTES_MAX = 100 * 1000, /* read of the kernel to give a page of them */
	CERT_MAX = 256 * 1024,
	HTTP_OK = 200,
	HTTP_NOT_FOUND = 404,
	HTTP_UNAVAILABLE = 503,
};

/* One answer in the making. */
struct call {
	struct monitor_api *api;
	struct agent_parts p;
	const struct monitor_query *q;
	struct cJSON *root; /* "results" goes here */
};

/* Negative: -errno, which becomes an error answer. */
typedef int answer_fn(struct call *k);

/* --- system/status ------------------------------------------------------------------------------------------------ */

static void
add_install(struct cJSON *parent, const struct agent_parts *p)
{
	const struct receipt *r =
	    receipts_count(p->receipts) ? receipts_at(p->receipts, receipts_count(p->receipts) - 1) : NULL;
	struct cJSON *j = json_add_object(parent, "install"), *last;
	struct install_status st;

	install_status(p->install, clock_mono(), &st);
	json_add_str(j, "state", install_state_name(st.state));
	if (st.state != INSTALL_IDLE) {
		json_add_str(j, "id", st.id);
		json_add_str(j, "phase", st.phase);
		json_add_int(j, "commands", (int64_t)st.commands);
		json_add_int(j, "done", (int64_t)st.done);
		json_add_int(j, "failed", st.failed);
		if (st.left_ms >= 0)
			json_add_int(j, "left", (st.left_ms + 999) / 1000);
	}
	if (!r)
		return;
	last = json_add_object(j, "last");
	json_add_str(last, "id", r->id);
	json_add_str(last, "verdict", receipt_verdict_name(r->verdict));
	json_add_str(last, "cause", r->cause);
	json_add_int(last, "when", r->when_s);
}

static int
answer_status(struct call *k)
{
	struct cJSON *j = json_add_object(k->root, "results");
	struct utsname un;

	json_add_str(j, "hostname",
		     entry_get(tree_entry(device_running(k->p.device), "system global", ""), "hostname"));
	json_add_str(j, "model", settings_get(k->p.settings, "platform"));
	json_add_str(j, "agent_version", VERSION);
	if (!uname(&un))
		json_add_str(j, "kernel", un.release);
	json_add_int(j, "uptime", (clock_mono().ms - k->p.started.ms) / 1000);
	json_add_str(j, "last_reboot_reason", reboots_last_reason(k->p.reboots));
	add_install(j, &k->p);
	return 0;
}

static int
answer_firmware(struct call *k)
{
	struct cJSON *j = json_add_object(k->root, "results"), *now = json_add_object(j, "current");

	json_add_str(now, "platform-id", settings_get(k->p.settings, "platform"));
	json_add_str(now, "version", settings_get(k->p.settings, "os-version"));
	json_add_int(now, "build", settings_int(k->p.settings, "build"));
	json_add_array(j, "available");
	return 0;
}

static void
add_database(struct cJSON *results, const struct agent_parts *p, const char *key, const char *name)
{
	const struct pkg_installed *i = p->packages ? pkg_store_current(p->packages, types_called(name)) : NULL;
	struct cJSON *j = json_add_object(results, key);
	char version[VERSION_TEXT];

	json_add_str(j, "db_version",
		     i && i->health != PKG_BAD ? version_text(version, i->version) : PROFILE_NO_DATABASE);
}

/* What of a vendor's databases there is: the two the session tells the manager, and everything that is installed. */
static int
answer_license(struct call *k)
{
	struct cJSON *j = json_add_object(k->root, "results");

	add_database(j, &k->p, "antivirus", "virdb");
	add_database(j, &k->p, "ips", "idsdb");
	cli_package_json(k->p.packages, k->p.package_status, json_add_array(j, "objects"));
	return 0;
}

/* --- system/interface --------------------------------------------------------------------------------------------- */

static void
add_addresses(struct cJSON *j, const struct agent_parts *p, const char *name)
{
	struct cJSON *list = json_add_array(j, "addresses");
	struct addr addrs[ADDRS_MAX];
	size_t n = 0;
	char text[ADDR_TEXT];

	if (netlink_addrs(p->netlink, name, addrs, ADDRS_MAX, &n, NULL))
		return;
	for (size_t i = 0; i < n && i < ADDRS_MAX; i++)
		json_add_str(list, NULL, addr_cidr(text, &addrs[i]));
}

static void
add_counters(struct cJSON *j, const struct host_link *c)
{
	json_add_int(j, "rx_bytes", (int64_t)c->rx_bytes);
	json_add_int(j, "rx_packets", (int64_t)c->rx_packets);
	json_add_int(j, "rx_errors", (int64_t)c->rx_errors);
	json_add_int(j, "rx_dropped", (int64_t)c->rx_dropped);
	json_add_int(j, "tx_bytes", (int64_t)c->tx_bytes);
	json_add_int(j, "tx_packets", (int64_t)c->tx_packets);
	json_add_int(j, "tx_errors", (int64_t)c->tx_errors);
	json_add_int(j, "tx_dropped", (int64_t)c->tx_dropped);
}

static void
add_interface(struct cJSON *results, const struct agent_parts *p, const struct link_facts *l,
	      const struct host_link *counters, size_t count)
{
	struct cJSON *j = json_add_object(results, l->name);
	char mac[18];

	json_add_str(j, "name", l->name);
	json_add_str(j, "status", l->up ? "up" : "down");
	json_add_bool(j, "link", l->running);
	json_add_int(j, "mtu", l->mtu);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3],
		 l->mac[4], l->mac[5]);
	json_add_str(j, "mac", mac);
	json_add_str(j, "kind", l->kind);
	add_addresses(j, p, l->name);
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(counters[i].name, l->name))
			add_counters(j, &counters[i]);
	}
}

static int
answer_interface(struct call *k)
{
	struct link_facts *links = calloc(HOST_LINKS_MAX, sizeof(*links));
	struct host_link *counters = calloc(HOST_LINKS_MAX, sizeof(*counters));
	struct cJSON *results;
	size_t n = 0, counted;
	int rc = links && counters ? 0 : -ENOMEM;

	if (!rc && !k->p.netlink)
		rc = -EIO;
	if (!rc)
		rc = netlink_links(k->p.netlink, links, HOST_LINKS_MAX, &n, NULL);
	if (!rc) {
		counted = host_links(counters, HOST_LINKS_MAX);
		results = json_add_object(k->root, "results");
		for (size_t i = 0; i < n && i < HOST_LINKS_MAX; i++)
			add_interface(results, &k->p, &links[i], counters, counted);
		json_add_int(k->root, "size", (int64_t)n);
	}
	free(links);
	free(counters);
	return rc;
}

/* --- system/resource/usage ---------------------------------------------------------------------------------------- */

static void
add_current(struct cJSON *results, const char *name, int64_t value)
{
	json_add_int(json_add_object(json_add_array(results, name), NULL), "current", value);
}

static int
answer_usage(struct call *k)
{
	struct cJSON *j = json_add_object(k->root, "results");
	struct host_memory mem;
	struct host_cpu cpu;
	uint64_t sessions;
	bool tracked;

	if (!host_cpu(&cpu))
		add_current(j, "cpu", host_load(&k->api->load, &cpu, clock_mono()));
	json_add_int(j, "processors", host_processors());
	if (!host_memory(&mem) && mem.total_kb) {
		add_current(j, "mem",
			    (int64_t)(100 - (mem.available_kb < mem.total_kb ? mem.available_kb : mem.total_kb) * 100 /
						mem.total_kb));
		json_add_int(j, "mem_total_kb", (int64_t)mem.total_kb);
		json_add_int(j, "mem_available_kb", (int64_t)mem.available_kb);
	}
	if (!host_sessions(&sessions, &tracked)) {
		add_current(j, "session", (int64_t)sessions);
		json_add_str(j, "session_source", tracked ? "conntrack" : "tcp-sockets");
	}
	json_add_int(j, "agent_resident_kb", (int64_t)host_own_memory_kb());
	return 0;
}

/* --- system/fortimanager/status ----------------------------------------------------------------------------------- */

static void
add_host(struct cJSON *j, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT];

	json_add_str(j, key, a->family ? addr_host(text, a) : "");
}

static int
answer_fortimanager(struct call *k)
{
	const struct entry *cm = tree_entry(device_running(k->p.device), "system central-management", "");
	struct cJSON *j = json_add_object(k->root, "results");
	struct addr local = {0}, peer = {0};
	struct uplink_view v;
	mono_t now = clock_mono();

	uplink_view(k->p.uplink, now, &v);
	if (k->p.tun)
		tun_addresses(k->p.tun, &local, &peer);
	json_add_str(j, "mode", entry_get(cm, "mode"));
	json_add_int(j, "status", standing_connection(&v));
	json_add_str(j, "status_text", standing_connection_name(standing_connection(&v)));
	json_add_int(j, "registration", standing_registration(&k->p, &v));
	json_add_str(j, "registration_text", standing_registration_name(standing_registration(&k->p, &v)));
	json_add_str(j, "serial", v.session ? session_peer_serial(v.session) : k->p.memory->first_fmgid);
	json_add_str(j, "manager", v.target[0] ? v.target : k->p.memory->target);
	add_host(j, "manager_address", v.session ? &v.manager : &k->p.memory->address);
	add_host(j, "tunnel_address", &local);
	add_host(j, "tunnel_peer", &peer);
	json_add_str(j, "management_id", k->p.memory->mgmtid);
	if (v.session)
		json_add_int(j, "since", (now.ms - session_since(v.session).ms) / 1000);
	json_add_str(j, "reason", standing_reason(&k->p, &v));
	add_install(j, &k->p);
	return 0;
}

/* --- router/ipv4 -------------------------------------------------------------------------------------------------- */

static const char *
route_type(const struct route *r)
{
	switch (r->protocol) {
	case RTPROT_KERNEL:
		return "connect";
	case RTPROT_BOOT:
	case RTPROT_STATIC:
		return "static";
	default:
		return "other";
	}
}

static void
add_route(struct cJSON *list, const struct route *r)
{
	struct cJSON *j = json_add_object(list, NULL);
	char text[ADDR_TEXT];

	json_add_int(j, "ip_version", 4);
	json_add_str(j, "type", route_type(r));
	json_add_str(j, "ip_mask", addr_cidr(text, &r->dst));
	add_host(j, "gateway", &r->gateway);
	json_add_str(j, "interface", r->dev);
	json_add_int(j, "metric", r->metric);
	json_add_int(j, "table", r->table ? r->table : RT_TABLE_MAIN);
	json_add_bool(j, "blackhole", r->blackhole);
}

static int
answer_routes(struct call *k)
{
	uint64_t want = k->q->start + k->q->count;
	struct route *routes;
	struct cJSON *list;
	size_t n = 0, have;
	int rc;

	if (want > ROUTES_MAX)
		want = ROUTES_MAX;
	routes = calloc(want, sizeof(*routes));
	rc = !routes ? -ENOMEM : !k->p.netlink ? -EIO : 0;
	if (!rc)
		rc = netlink_routes(k->p.netlink, AF_INET, routes, want, &n, NULL);
	if (!rc) {
		have = n < want ? n : want;
		list = json_add_array(k->root, "results");
		for (uint64_t i = k->q->start; i < have; i++)
			add_route(list, &routes[i]);
		json_add_int(k->root, "size", (int64_t)n);
		if (n > have && k->q->start < have)
			json_add_int(k->root, "next", (int64_t)have);
	}
	free(routes);
	return rc;
}

/* --- system/available-certificates -------------------------------------------------------------------------------- */

static const char *
date_status(const struct cert_facts *f)
{
	int64_t now = clock_wall().s;

	if (now > f->not_after_s)
		return "expired";
	return now < f->not_before_s ? "not-yet-valid" : "valid";
}

/* The first certificate of a file that `config agent` names. */
static void
add_certificate(struct cJSON *list, const struct agent_parts *p, const char *option, const char *type)
{
	const char *path = settings_get(p->settings, option);
	struct cJSON *j;
	struct cert_facts f;
	struct err e = ERR_NONE;
	char *text = NULL;
	size_t len;
	int rc;

	if (!*path)
		return;
	j = json_add_object(list, NULL);
	json_add_str(j, "name", option);
	json_add_str(j, "type", type);
	rc = file_read(path, CERT_MAX, &text, &len, &e);
	if (!rc)
		rc = cert_read_bytes(text, len, &f, &e);
	free(text);
	if (rc) {
		json_add_str(j, "status", "unreadable");
		json_add_str(j, "reason", e.text);
		return;
	}
	json_add_str(j, "subject", f.subject);
	json_add_str(j, "issuer", f.issuer);
	json_add_str(j, "key", f.key);
	json_add_int(j, "valid_from", f.not_before_s);
	json_add_int(j, "valid_to", f.not_after_s);
	json_add_str(j, "status", date_status(&f));
}

static int
answer_certificates(struct call *k)
{
	struct cJSON *list = json_add_array(k->root, "results");

	add_certificate(list, &k->p, "certificate", "local-cer");
	add_certificate(list, &k->p, "ca-certificate", "remote-ca");
	return 0;
}

/* --- the paths ---------------------------------------------------------------------------------------------------- */

static const struct {
	const char *path;
	answer_fn *answer;
} paths[] = {
    {"/api/v2/monitor/system/status", answer_status},
    {"/api/v2/monitor/system/interface", answer_interface},
    {"/api/v2/monitor/system/resource/usage", answer_usage},
    {"/api/v2/monitor/system/fortimanager/status", answer_fortimanager},
    {"/api/v2/monitor/router/ipv4", answer_routes},
    {"/api/v2/monitor/system/available-certificates", answer_certificates},
    {"/api/v2/monitor/system/firmware", answer_firmware},
    {"/api/v2/monitor/license/status", answer_license},
};

static int
find_answer(struct call *k)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!strcmp(k->q->path, paths[i].path))
			return paths[i].answer(k);
	}
	if (!strncmp(k->q->path, CMDB, strlen(CMDB)))
		return monitor_cmdb(&k->p, k->q->path + strlen(CMDB), k->q, k->root);
	return -ENOENT;
}

static void
put_envelope(const struct call *k, int rc, struct monitor_answer *out)
{
	char version[80], *text;

	out->status = !rc ? HTTP_OK : rc == -ENOENT ? HTTP_NOT_FOUND : HTTP_UNAVAILABLE;
	if (rc)
		json_add_str(k->root, "error", strerror(-rc));
	snprintf(version, sizeof(version), "v%s", settings_get(k->p.settings, "os-version"));
	json_add_str(k->root, "status", rc ? "error" : "success");
	json_add_int(k->root, "http_status", out->status);
	json_add_str(k->root, "serial", k->p.serial);
	json_add_str(k->root, "version", version);
	json_add_int(k->root, "build", settings_int(k->p.settings, "build"));
	text = json_line(k->root);
	if (text)
		buf_printf(&out->body, "%s\n", text);
	else
		out->body.error = -ENOMEM;
	free(text);
}

void
monitor_api_answer(void *ctx, const struct monitor_query *q, struct monitor_answer *out)
{
	struct monitor_api *api = ctx;
	struct call k = {.api = api, .q = q};

	agent_parts(api->agent, &k.p);
	if (!strcmp(q->path, "/metrics")) {
		out->type = "text/plain; version=0.0.4; charset=utf-8";
		monitor_metrics(&k.p, &out->body);
		return;
	}
	k.root = json_new_object();
	if (!k.root) {
		out->body.error = -ENOMEM;
		return;
	}
	put_envelope(&k, find_answer(&k), out);
	json_free(k.root);
}
