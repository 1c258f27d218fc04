#include "agent/monitor_metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/monitor_host.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/standing.h"
#include "agent/tls.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "package/pkg_status.h"
#include "package/pkg_store.h"
#include "package/types.h"
#include "package/version.h"
#include "rollback/install.h"
#include "rollback/receipt.h"
#include "trustlist/trustlist.h"
#include "tun/device.h"
#include "tun/netlink.h"

/* All samples of a name stand together below its two lines. */
static void
family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: the format knows three escapes. */
static void
put_escaped(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			buf_str(out, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(out, "\\%c", *value);
		else
			buf_put(out, value, 1);
	}
}

static void
put_label(struct buf *out, const char *before, const char *label, const char *value)
{
	buf_printf(out, "%s%s=\"", before, label);
	put_escaped(out, value);
	buf_str(out, "\"");
}

static void
single(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
	family(out, name, type, help);
	buf_printf(out, "%s %" PRId64 "\n", name, value);
}

/* One sample with a label, and a second one unless that is NULL. */
static void
sample(struct buf *out, const char *name, const char *const labels[2], const char *one, const char *two, uint64_t value)
{
	buf_str(out, name);
	put_label(out, "{", labels[0], one);
	if (two)
		put_label(out, ",", labels[1], two);
	buf_printf(out, "} %" PRIu64 "\n", value);
}

/* --- the agent ---------------------------------------------------------------------------------------------------- */

static void
put_agent(const struct agent_parts *p, struct buf *out)
{
	family(out, "fgfm_info", "gauge", "What this is; always 1.");
	buf_str(out, "fgfm_info");
	put_label(out, "{", "serial", p->serial);
	put_label(out, ",", "platform", settings_get(p->settings, "platform"));
	put_label(out, ",", "version", settings_get(p->settings, "os-version"));
	put_label(out, ",", "build", settings_get(p->settings, "build"));
	put_label(out, ",", "agent_version", VERSION);
	buf_str(out, "} 1\n");
	single(out, "fgfm_uptime_seconds", "gauge", "Time since the agent started.",
	       (clock_mono().ms - p->started.ms) / 1000);
	single(out, "fgfm_resident_memory_bytes", "gauge", "Memory of the agent.",
	       (int64_t)host_own_memory_kb() * 1024);
	single(out, "fgfm_trusted_managers", "gauge", "Entries of the trusted list.",
	       (int64_t)trust_list_count(p->trust));
}

static void
put_certificate(const struct agent_parts *p, struct buf *out)
{
	static const char *const labels[2] = {"certificate"};
	int64_t from, to;

	if (!p->creds)
		return;
	tls_creds_validity(p->creds, &from, &to);
	family(out, "fgfm_certificate_not_before_seconds", "gauge", "Since when a certificate is valid.");
	sample(out, "fgfm_certificate_not_before_seconds", labels, "local", NULL, (uint64_t)from);
	family(out, "fgfm_certificate_not_after_seconds", "gauge", "Until when a certificate is valid.");
	sample(out, "fgfm_certificate_not_after_seconds", labels, "local", NULL, (uint64_t)to);
}

/* --- the session -------------------------------------------------------------------------------------------------- */

static void
put_both_ways(struct buf *out, const char *name, const char *help, uint64_t in, uint64_t gone_out)
{
	static const char *const labels[2] = {"direction"};

	family(out, name, "counter", help);
	sample(out, name, labels, "in", NULL, in);
	sample(out, name, labels, "out", NULL, gone_out);
}

static void
put_session(const struct agent_parts *p, struct buf *out)
{
	mono_t now = clock_mono();
	const struct session_counters *c;
	struct uplink_view v;

	uplink_view(p->uplink, now, &v);
	single(out, "fgfm_connection_status", "gauge", "Connection to the manager: 0 down, 1 handshake, 2 up.",
	       standing_connection(&v));
	single(out, "fgfm_registration_status", "gauge",
	       "Registration: 0 unknown, 1 in progress, 2 registered, 3 unregistered.", standing_registration(p, &v));
	if (!v.session)
		return;
	c = session_counters(v.session);
	single(out, "fgfm_session_seconds", "gauge", "Time since the session reached its state.",
	       (now.ms - session_since(v.session).ms) / 1000);
	put_both_ways(out, "fgfm_session_messages_total", "Messages of this session.", c->messages_in, c->messages_out);
	put_both_ways(out, "fgfm_session_packets_total", "Tunnel packets of this session.", c->packets_in,
		      c->packets_out);
	put_both_ways(out, "fgfm_session_keepalives_total", "Keep-alives of this session.", c->keepalives_in,
		      c->keepalives_out);
	if (v.counters)
		put_both_ways(out, "fgfm_session_bytes_total", "Bytes of frames of this session.", v.counters->in_bytes,
			      v.counters->out_bytes);
}

static void
put_drops(const struct agent_parts *p, struct buf *out)
{
	static const char *const labels[2] = {"direction", "reason"};
	static const char name[] = "fgfm_packets_dropped_total";

	family(out, name, "counter", "Tunnel packets that did not pass, by direction and reason.");
	sample(out, name, labels, "out", "no-session", p->packets_unsent);
	for (int v = PACKET_PASS + 1; p->tun && v < PACKET_VERDICTS; v++) {
		const char *reason = packet_verdict_name((enum packet_verdict)v);
		const struct packet_counters *c = tun_counters(p->tun);

		sample(out, name, labels, "in", reason, c->drops[v][PACKET_FROM_MANAGER]);
		sample(out, name, labels, "out", reason, c->drops[v][PACKET_FROM_DEVICE]);
	}
}

/* --- installs ----------------------------------------------------------------------------------------------------- */

static void
put_install(const struct agent_parts *p, struct buf *out)
{
	static const char *const state[2] = {"state"}, *const verdict[2] = {"verdict"};
	size_t n = receipts_count(p->receipts);
	uint64_t verdicts[RECEIPT_REFUSED + 1] = {0};
	struct install_status st;

	install_status(p->install, clock_mono(), &st);
	family(out, "fgfm_install_state", "gauge", "State of the pending install; IDLE: there is none. Always 1.");
	sample(out, "fgfm_install_state", state, install_state_name(st.state), NULL, 1);
	if (st.left_ms >= 0)
		single(out, "fgfm_install_left_seconds", "gauge", "Time to the deadline of the install's state.",
		       (st.left_ms + 999) / 1000);
	for (size_t i = 0; i < n; i++)
		verdicts[receipts_at(p->receipts, i)->verdict]++;
	family(out, "fgfm_install_receipts", "gauge", "Installs that are remembered, the last 100, by verdict.");
	for (int i = 0; i <= RECEIPT_REFUSED; i++)
		sample(out, "fgfm_install_receipts", verdict, receipt_verdict_name((enum receipt_verdict)i), NULL,
		       verdicts[i]);
	if (n)
		single(out, "fgfm_install_last_timestamp_seconds", "gauge", "When the last install was accepted.",
		       receipts_at(p->receipts, n - 1)->when_s);
}

/* --- packages ----------------------------------------------------------------------------------------------------- */

static void
put_packages(const struct agent_parts *p, struct buf *out)
{
	static const char *const name[2] = {"name"}, *const version[2] = {"name", "version"};
	char text[VERSION_TEXT];

	if (!p->packages)
		return;
	family(out, "fgfm_package_valid", "gauge",
	       "1: the installed object has not been found bad since the agent started.");
	for (size_t n = 0; n < types_count(); n++) {
		const struct pkg_installed *i = pkg_store_current(p->packages, types_at(n));

		if (i)
			sample(out, "fgfm_package_valid", version, i->kind->name, version_text(text, i->version),
			       i->health != PKG_BAD);
	}
	family(out, "fgfm_package_updated_timestamp_seconds", "gauge", "When an object was updated last.");
	for (size_t n = 0; n < types_count(); n++) {
		if (pkg_store_current(p->packages, types_at(n)))
			sample(out, "fgfm_package_updated_timestamp_seconds", name, types_at(n)->name, NULL,
			       (uint64_t)pkg_status_of(p->package_status, types_at(n))->updated_s);
	}
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

static void
put_cpu(struct buf *out)
{
	static const char *const labels[2] = {"mode"};
	static const char name[] = "fgfm_cpu_seconds_total";
	const long hertz = sysconf(_SC_CLK_TCK);
	struct host_cpu c;

	if (host_cpu(&c) || hertz <= 0)
		return;
	const struct {
		const char *mode;
		uint64_t ticks;
	} rows[] = {{"user", c.user},     {"nice", c.nice}, {"system", c.system},   {"idle", c.idle},
		    {"iowait", c.iowait}, {"irq", c.irq},   {"softirq", c.softirq}, {"steal", c.steal}};

	family(out, name, "counter", "Time of all processors, by what it was spent on.");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		sample(out, name, labels, rows[i].mode, NULL, rows[i].ticks / (uint64_t)hertz);
}

static void
put_memory(struct buf *out)
{
	struct host_memory m;
	uint64_t sessions;
	bool tracked;

	if (!host_memory(&m)) {
		single(out, "fgfm_memory_total_bytes", "gauge", "Memory of the machine.", (int64_t)m.total_kb * 1024);
		single(out, "fgfm_memory_available_bytes", "gauge", "Memory that programs could get.",
		       (int64_t)m.available_kb * 1024);
	}
	if (!host_sessions(&sessions, &tracked))
		single(out, tracked ? "fgfm_tracked_connections" : "fgfm_tcp_sockets", "gauge",
		       tracked ? "Connections the kernel tracks." : "TCP sockets in use.", (int64_t)sessions);
}

/* One family of counters, of all devices. */
static void
put_link_counters(struct buf *out, const struct host_link *links, size_t n, size_t offset, const char *name,
		  const char *help)
{
	static const char *const labels[2] = {"interface"};

	family(out, name, "counter", help);
	for (size_t i = 0; i < n; i++)
		sample(out, name, labels, links[i].name, NULL,
		       *(const uint64_t *)(const void *)((const char *)&links[i] + offset));
}

static void
put_counters(struct buf *out)
{
	static const struct {
		size_t offset;
		const char *name, *help;
	} families[] = {
	    {offsetof(struct host_link, rx_bytes), "fgfm_interface_receive_bytes_total", "Bytes received."},
	    {offsetof(struct host_link, rx_packets), "fgfm_interface_receive_packets_total", "Packets received."},
	    {offsetof(struct host_link, rx_errors), "fgfm_interface_receive_errors_total", "Errors in receiving."},
	    {offsetof(struct host_link, rx_dropped), "fgfm_interface_receive_dropped_total", "Dropped when received."},
	    {offsetof(struct host_link, tx_bytes), "fgfm_interface_transmit_bytes_total", "Bytes sent."},
	    {offsetof(struct host_link, tx_packets), "fgfm_interface_transmit_packets_total", "Packets sent."},
	    {offsetof(struct host_link, tx_errors), "fgfm_interface_transmit_errors_total", "Errors in sending."},
	    {offsetof(struct host_link, tx_dropped), "fgfm_interface_transmit_dropped_total", "Dropped when sent."},
	};
	struct host_link *links = calloc(HOST_LINKS_MAX, sizeof(*links));
	size_t n = links ? host_links(links, HOST_LINKS_MAX) : 0;

	for (size_t i = 0; n && i < sizeof(families) / sizeof(families[0]); i++)
		put_link_counters(out, links, n, families[i].offset, families[i].name, families[i].help);
	free(links);
}

static void
put_links(const struct agent_parts *p, struct buf *out)
{
	static const char *const labels[2] = {"interface"};
	struct link_facts *links = calloc(HOST_LINKS_MAX, sizeof(*links));
	size_t n = 0;

	if (links && p->netlink && !netlink_links(p->netlink, links, HOST_LINKS_MAX, &n, NULL)) {
		family(out, "fgfm_interface_up", "gauge", "1: the interface is up and has a carrier.");
		for (size_t i = 0; i < n && i < HOST_LINKS_MAX; i++)
			sample(out, "fgfm_interface_up", labels, links[i].name, NULL, links[i].up && links[i].running);
	}
	free(links);
}

void
monitor_metrics(const struct agent_parts *p, struct buf *out)
{
	put_agent(p, out);
	put_certificate(p, out);
	put_session(p, out);
	put_drops(p, out);
	put_install(p, out);
	put_packages(p, out);
	put_cpu(out);
	put_memory(out);
	put_links(p, out);
	put_counters(out);
}
