#include "agent/cli_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/agent.h"
#include "agent/channel.h"
#include "agent/device.h"
#include "agent/listener.h"
#include "agent/memory.h"
#include "agent/notice.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/standing.h"
#include "agent/update.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/gcm.h"
#include "base/json.h"
#include "base/text.h"
#include "config/codes.h"
#include "config/tree.h"
#include "rollback/install.h"
#include "rollback/reboots.h"
#include "rollback/store.h"
#include "trustlist/trustlist.h"
#include "tun/device.h"

/* One fact, shown as "Label: value" and kept as a JSON member: the two forms cannot drift apart. */
struct sheet {
	struct buf *out;
	struct cJSON *json; /* NULL: for people */
};

static struct sheet
sheet_open(bool json, struct buf *out)
{
	return (struct sheet){.out = out, .json = json ? json_new_object() : NULL};
}

static void
sheet_close(struct sheet *s)
{
	char *text;

	if (!s->json)
		return;
	text = json_pretty(s->json);
	if (text)
		buf_printf(s->out, "%s\n", text);
	free(text);
	json_free(s->json);
}

static void
put_text(struct sheet *s, const char *label, const char *key, const char *value)
{
	if (s->json)
		json_add_str(s->json, key, value);
	else
		buf_printf(s->out, "%s: %s\n", label, *value ? value : "-");
}

static void
put_number(struct sheet *s, const char *label, const char *key, int64_t value, const char *unit)
{
	if (s->json)
		json_add_int(s->json, key, value);
	else
		buf_printf(s->out, "%s: %" PRId64 "%s%s\n", label, value, *unit ? " " : "", unit);
}

static void
put_span(struct sheet *s, const char *label, const char *key, int64_t ms)
{
	char text[32];

	if (s->json)
		json_add_int(s->json, key, ms / 1000);
	else
		put_text(s, label, key, text_span(text, sizeof(text), ms / 1000));
}

/* --- get system status -------------------------------------------------------------------------------------------- */

void
cli_show_status(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);
	const struct entry *global;
	struct agent_parts p;
	struct utsname un;

	agent_parts(a, &p);
	global = tree_entry(device_running(p.device), "system global", "");
	put_text(&s, "Version", "version", settings_get(p.settings, "os-version"));
	put_number(&s, "Build", "build", settings_int(p.settings, "build"), "");
	put_text(&s, "Agent version", "agent-version", VERSION);
	put_text(&s, "Serial-Number", "serial", p.serial);
	put_text(&s, "Platform", "platform", settings_get(p.settings, "platform"));
	put_text(&s, "Hostname", "hostname", entry_get(global, "hostname"));
	if (!uname(&un))
		put_text(&s, "Kernel", "kernel", un.release);
	put_span(&s, "Uptime of the agent", "uptime", clock_mono().ms - p.started.ms);
	put_text(&s, "Last reboot reason", "last-reboot-reason", reboots_last_reason(p.reboots));
	put_text(&s, "Saved configuration", "saved-digest", store_digest(p.store));
	sheet_close(&s);
}

/* --- diagnose fdsm central-mgmt-status ---------------------------------------------------------------------------- */

static void
put_addresses(struct sheet *s, const struct agent_parts *p, const struct uplink_view *v)
{
	struct addr local = {0}, peer = {0};
	char text[ADDR_TEXT];

	if (p->tun)
		tun_addresses(p->tun, &local, &peer);
	put_text(s, "Manager", "manager", v->target[0] ? v->target : p->memory->target);
	put_text(s, "Manager address", "manager-address",
		 addr_host(text, v->session ? &v->manager : &p->memory->address));
	put_text(s, "Local address", "local-address", addr_host(text, &v->local));
	put_text(s, "Tunnel address", "tunnel-address", addr_host(text, &local));
	put_text(s, "Tunnel peer", "tunnel-peer", addr_host(text, &peer));
	put_text(s, "Management id", "mgmtid", p->memory->mgmtid);
}

void
cli_show_management(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);
	mono_t now = clock_mono();
	struct uplink_view v;
	struct agent_parts p;

	agent_parts(a, &p);
	uplink_view(p.uplink, now, &v);
	put_text(&s, "Connection status", "connection-status", standing_connection_name(standing_connection(&v)));
	put_text(&s, "Registration status", "registration-status",
		 standing_registration_name(standing_registration(&p, &v)));
	put_text(&s, "Serial", "serial",
		 v.session && session_peer_serial(v.session)[0] ? session_peer_serial(v.session)
								: p.memory->first_fmgid);
	put_addresses(&s, &p, &v);
	if (v.session) {
		put_text(&s, "State", "state", session_state_name(session_state(v.session)));
		put_text(&s, "Opened by", "opened-by", v.incoming ? "manager" : "device");
		put_span(&s, "In this state for", "since", now.ms - session_since(v.session).ms);
	} else if (v.resolving) {
		put_text(&s, "State", "state", "resolving");
	} else {
		put_text(&s, "State", "state", "waiting");
	}
	if (v.next_dial_ms >= 0)
		put_number(&s, "Next attempt in", "next-attempt", (v.next_dial_ms + 999) / 1000, "s");
	put_text(&s, "Reason", "reason", standing_reason(&p, &v));
	sheet_close(&s);
}

/* --- diagnose fgfm trust-list ------------------------------------------------------------------------------------- */

void
cli_show_trust_list(const struct trust_list *l, bool json, struct buf *out)
{
	char added[32], used[32];

	if (json) {
		struct sheet s = {.out = out, .json = trust_list_json(l)};

		sheet_close(&s);
		return;
	}
	for (size_t i = 0; i < TRUST_SLOTS; i++) {
		const struct trust_entry *t = i < trust_list_count(l) ? trust_list_at(l, i) : NULL;

		if (!t) {
			buf_printf(out, "%2zu  (empty)\n", i + 1);
			continue;
		}
		buf_printf(out, "%2zu  %-20s %-18s added %s UTC, last used %s\n", i + 1, t->serial,
			   trust_how_name(t->how), text_utc(added, sizeof(added), t->added_s),
			   t->used_s ? text_utc(used, sizeof(used), t->used_s) : "never");
		buf_printf(out, "    key %s\n    issuer key %s\n", t->key, t->issuer_key);
	}
	if (trust_list_damaged(l))
		buf_str(out, "The file of the list was damaged and set aside; register-device begins a new one.\n");
}

void
cli_show_trust(struct agent *a, bool json, struct buf *out)
{
	struct agent_parts p;

	agent_parts(a, &p);
	cli_show_trust_list(p.trust, json, out);
	if (!json && p.admitted)
		buf_printf(out, "register-device admits %s for another %" PRId64 " s\n", p.admitted,
			   mono_left_ms(p.admitted_until, clock_mono()) / 1000);
}

/* --- diagnose fgfm session ---------------------------------------------------------------------------------------- */

static void
put_peer(struct sheet *s, const struct cert_check *peer)
{
	char text[32];

	if (!peer || !peer->seen)
		return;
	put_text(s, "Peer serial", "peer-serial", peer->facts.serial);
	put_text(s, "Peer subject", "peer-subject", peer->facts.subject);
	put_text(s, "Peer issuer", "peer-issuer", peer->facts.issuer);
	put_text(s, "Peer key", "peer-key", peer->facts.key);
	put_text(s, "Valid from", "peer-not-before", text_utc(text, sizeof(text), peer->facts.not_before_s));
	put_text(s, "Valid until", "peer-not-after", text_utc(text, sizeof(text), peer->facts.not_after_s));
}

static void
put_report(struct sheet *s, const struct auth_report *r)
{
	static const char *const keys[AUTH_CHECKS] = {"check-serial", "check-list", "check-certificate"};

	for (size_t i = 0; i < AUTH_CHECKS; i++) {
		char label[40], text[400];

		snprintf(label, sizeof(label), "Check %zu", i + 1);
		snprintf(text, sizeof(text), "%s: %s: %s", auth_check_name(i), auth_verdict_name(r->check[i].verdict),
			 r->check[i].text);
		put_text(s, label, keys[i], text);
	}
}

static void
put_session(struct sheet *s, const struct session *x)
{
	const struct session_timers *t = session_timers(x);
	const struct session_counters *c = session_counters(x);

	put_text(s, "State", "state", session_state_name(session_state(x)));
	put_text(s, "Privileged", "privileged", session_privileged(x) ? "yes" : "no");
	put_report(s, session_report(x));
	put_number(s, "Keep-alive every", "keepalive-interval", t->keepalive_s, "s");
	put_number(s, "Socket time-out", "sock-timeout", t->sock_timeout_s, "s");
	put_number(s, "Channel window", "chan-window-sz", t->window, "bytes");
	put_number(s, "Messages in", "messages-in", (int64_t)c->messages_in, "");
	put_number(s, "Messages out", "messages-out", (int64_t)c->messages_out, "");
	put_number(s, "Keep-alives sent", "keepalives-out", (int64_t)c->keepalives_out, "");
	put_number(s, "Keep-alives answered", "keepalives-answered", (int64_t)c->keepalive_replies, "");
	put_number(s, "Keep-alives received", "keepalives-in", (int64_t)c->keepalives_in, "");
	put_number(s, "Packets in", "packets-in", (int64_t)c->packets_in, "");
	put_number(s, "Packets out", "packets-out", (int64_t)c->packets_out, "");
	put_number(s, "Stray replies", "stray-replies", (int64_t)c->stray_replies, "");
	put_number(s, "Repeated keys", "repeated-keys", (int64_t)c->repeated_keys, "");
	put_number(s, "Requests refused", "requests-refused", (int64_t)c->refused_requests, "");
}

static void
put_drop(struct sheet *s, struct cJSON *object, const char *way, const char *reason, uint64_t n)
{
	char label[48];

	if (object) {
		json_add_int(object, reason, (int64_t)n);
	} else if (n) {
		snprintf(label, sizeof(label), "Dropped %s, %s", way, reason);
		buf_printf(s->out, "%s: %" PRIu64 "\n", label, n);
	}
}

/* Packets that did not pass, by reason and direction. In JSON every counter stands, also at zero. */
static void
put_drops(struct sheet *s, const struct agent_parts *p, const struct session *x)
{
	static const char *const ways[] = {[PACKET_FROM_MANAGER] = "in", [PACKET_FROM_DEVICE] = "out"};
	struct cJSON *drops = s->json ? json_add_object(s->json, "drops") : NULL;
	const struct session_counters *c = x ? session_counters(x) : NULL;

	for (int way = 0; way < 2; way++) {
		struct cJSON *object = drops ? json_add_object(drops, ways[way]) : NULL;

		for (int v = PACKET_PASS + 1; p->tun && v < PACKET_VERDICTS; v++)
			put_drop(s, object, ways[way], packet_verdict_name((enum packet_verdict)v),
				 tun_counters(p->tun)->drops[v][way]);
		if (way == PACKET_FROM_MANAGER)
			put_drop(s, object, ways[way], "not-registered", c ? c->refused_packets : 0);
		else
			put_drop(s, object, ways[way], "session-queue-full", c ? c->packets_dropped : 0);
		if (way == PACKET_FROM_DEVICE)
			put_drop(s, object, ways[way], "no-session", p->packets_unsent);
	}
}

/* What managers begin on their own: connections to this box, and word of newer versions. */
static void
put_doors(struct sheet *s, const struct agent_parts *p, const struct uplink_view *v)
{
	const struct notice_counters *n = p->notice ? notice_counters(p->notice) : NULL;

	if (p->listener) {
		put_number(s, "Connections opened by managers", "calls", (int64_t)v->calls, "");
		put_number(s, "Refused of these", "calls-refused", (int64_t)v->calls_refused, "");
		put_number(s, "Refused by interface", "calls-refused-interface", (int64_t)listener_refused(p->listener),
			   "");
	}
	if (n) {
		put_number(s, "Notices", "notices", (int64_t)n->taken, "");
		put_number(s, "Notices not of the manager", "notices-foreign", (int64_t)n->foreign, "");
		put_number(s, "Notices malformed", "notices-malformed", (int64_t)n->malformed, "");
	}
	put_number(s, "Newer versions seen", "newer-versions", (int64_t)p->update->newer, "");
	put_number(s, "Updates asked for", "update-requests", (int64_t)p->update->requests, "");
}

void
cli_show_session(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);
	char address[ADDR_TEXT], text[ADDR_TEXT + 8];
	struct uplink_view v;
	struct agent_parts p;

	agent_parts(a, &p);
	uplink_view(p.uplink, clock_mono(), &v);
	if (!v.session) {
		put_text(&s, "State", "state", v.resolving ? "resolving" : "none");
		put_text(&s, "Last reason", "last-reason", v.last_reason);
	} else {
		snprintf(text, sizeof(text), v.manager.prefix == 128 ? "[%s]:%u" : "%s:%u",
			 addr_host(address, &v.manager), v.port);
		put_text(&s, "Manager", "manager", text);
		put_text(&s, "TLS version", "tls-version", v.tls_version);
		put_text(&s, "TLS suite", "tls-suite", v.tls_suite);
		put_text(&s, "AES-GCM by", "aes-gcm", gcm_name());
		put_peer(&s, v.peer);
		put_session(&s, v.session);
		put_number(&s, "Frames in", "frames-in", (int64_t)v.counters->in_frames, "");
		put_number(&s, "Frames out", "frames-out", (int64_t)v.counters->out_frames, "");
		put_number(&s, "Bytes in", "bytes-in", (int64_t)v.counters->in_bytes, "");
		put_number(&s, "Bytes out", "bytes-out", (int64_t)v.counters->out_bytes, "");
	}
	put_drops(&s, &p, v.session);
	put_doors(&s, &p, &v);
	sheet_close(&s);
}

/* --- diagnose fgfm install-session -------------------------------------------------------------------------------- */

static const char *
delivery_of(const struct receipt *r)
{
	if (!r->manager[0])
		return "made on the device";
	return r->delivered ? "receipt delivered" : "receipt not delivered yet";
}

static void
put_receipt(struct sheet *s, const struct receipts *rs)
{
	const struct receipt *r = receipts_count(rs) ? receipts_at(rs, receipts_count(rs) - 1) : NULL;
	char when[32];

	if (!r)
		return;
	if (s->json) {
		json_add(s->json, "last-receipt", receipt_json(r));
		return;
	}
	buf_printf(s->out, "Last install: %s: %s%s%s, %s UTC, %s\n", r->id, receipt_verdict_name(r->verdict),
		   r->cause[0] ? ": " : "", r->cause, text_utc(when, sizeof(when), r->when_s), delivery_of(r));
	if (r->dry.made)
		buf_printf(s->out, "Last install's dry run: %u of %u commands reversible\n", r->dry.reversible,
			   r->dry.commands);
	for (size_t i = 0; i < r->dry.named_count; i++)
		buf_printf(s->out, "Not reversible: set:%u: %s\n", r->dry.named[i].line, r->dry.named[i].text);
}

/* What the dry run found, of the pending install. */
static void
put_dry_run(struct sheet *s, const struct install_status *st)
{
	if (!st->dry)
		return;
	if (s->json) {
		json_add_int(s->json, "reversible", st->dry_reversible);
		json_add_int(s->json, "reversible-of", st->dry_commands);
	} else {
		buf_printf(s->out, "Reversible: %u of %u commands\n", st->dry_reversible, st->dry_commands);
	}
}

void
cli_show_install(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);
	struct install_status st;
	struct agent_parts p;

	agent_parts(a, &p);
	install_status(p.install, clock_mono(), &st);
	put_text(&s, "State", "state", install_state_name(st.state));
	if (st.state != INSTALL_IDLE) {
		put_text(&s, "Install", "id", st.id);
		put_text(&s, "Phase", "phase", st.phase);
		put_text(&s, "From manager", "manager", json || st.manager[0] ? st.manager : "made on the device");
		put_number(&s, "Commands", "commands", (int64_t)st.commands, "");
		put_number(&s, "Done", "done", (int64_t)st.done, "");
		put_number(&s, "Failed", "failed", st.failed, "");
		put_dry_run(&s, &st);
		if (json)
			json_add_bool(s.json, "awaits-operator", st.awaits_operator);
		if (st.left_ms >= 0)
			put_number(&s, "Time left", "left", (st.left_ms + 999) / 1000, "s");
		put_number(&s, "Starts of the agent", "starts", st.starts, "");
		put_text(&s, "Cause", "cause", st.cause);
	}
	put_receipt(&s, p.receipts);
	sheet_close(&s);
}

/* --- diagnose fgfm drift ------------------------------------------------------------------------------------------ */

struct drift_list {
	struct buf *out;
	struct cJSON *rows; /* NULL: for people */
	size_t count;
};

static void
put_difference(void *ctx, const struct apply_difference *x)
{
	struct drift_list *l = ctx;
	struct cJSON *row;

	l->count++;
	if (!l->rows) {
		buf_printf(l->out, "%s%s%s: %s: expected %s, found %s\n", x->table, *x->key ? " " : "", x->key, x->what,
			   x->expected, x->found);
		return;
	}
	row = json_add_object(l->rows, NULL);
	json_add_str(row, "table", x->table);
	json_add_str(row, "key", x->key);
	json_add_str(row, "what", x->what);
	json_add_str(row, "expected", x->expected);
	json_add_str(row, "found", x->found);
}

int
cli_show_drift(struct agent *a, bool json, struct buf *out, struct err *e)
{
	struct sheet s = sheet_open(json, out);
	struct drift_list l = {.out = out, .rows = s.json ? json_add_array(s.json, "drift") : NULL};
	struct agent_parts p;
	int code;

	agent_parts(a, &p);
	code = device_drift(p.device, put_difference, &l, e);
	if (!json && !l.count && code == CLI_OK)
		buf_str(out, "The system is as configured.\n");
	sheet_close(&s);
	return code;
}

/* --- checksums ---------------------------------------------------------------------------------------------------- */

static void
put_sums(struct sheet *s, struct agent *a, bool labelled)
{
	const struct checksums *c;
	struct agent_parts p;
	char text[CHECKSUM_TEXT];

	agent_parts(a, &p);
	c = device_checksums(p.device);
	const struct {
		const char *name;
		const uint8_t *sum;
	} rows[] = {{"global", c->global}, {"root", c->root}, {"all", c->all}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		checksum_text(text, rows[i].sum);
		if (s->json || labelled)
			put_text(s, rows[i].name, rows[i].name, text);
		else
			buf_printf(s->out, "%s: %s\n", rows[i].name, text);
	}
}

void
cli_show_checksums(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);

	put_sums(&s, a, false);
	sheet_close(&s);
}

void
cli_show_sync(struct agent *a, bool json, struct buf *out)
{
	struct sheet s = sheet_open(json, out);
	struct install_status st;
	struct uplink_view v;
	struct agent_parts p;

	agent_parts(a, &p);
	install_status(p.install, clock_mono(), &st);
	uplink_view(p.uplink, clock_mono(), &v);
	put_sums(&s, a, true);
	put_text(&s, "Saved", "saved", st.state == INSTALL_IDLE ? "yes" : "no, an install is pending");
	put_number(&s, "Told to the manager", "keepalives-out",
		   v.session ? (int64_t)session_counters(v.session)->keepalives_out : 0, "times");
	sheet_close(&s);
}
