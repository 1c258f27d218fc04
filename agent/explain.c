#include "agent/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/device.h"
#include "agent/memory.h"
#include "agent/settings.h"
#include "agent/standing.h"
#include "agent/uplink.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "config/tree.h"
#include "trustlist/cert.h"
#include "trustlist/trustlist.h"
#include "tun/netlink.h"

enum { LINKS_SHOWN = 32 };

static const struct {
	const char *key, *label;
} steps[EXPLAIN_STEPS] = {
    [EXPLAIN_MANAGER] = {"manager", "Manager"},
    [EXPLAIN_LINK] = {"link", "Link"},
    [EXPLAIN_ROUTE] = {"route", "Route"},
    [EXPLAIN_TCP] = {"tcp", "TCP"},
    [EXPLAIN_TLS] = {"tls", "TLS"},
    [EXPLAIN_CERTIFICATE] = {"certificate", "Certificate"},
    [EXPLAIN_SERIAL] = {"serial", "Serial number"},
    [EXPLAIN_TRUSTED_LIST] = {"trusted-list", "Trusted list"},
    [EXPLAIN_REGISTRATION] = {"registration", "Registration"},
    [EXPLAIN_SESSION] = {"session", "Session"},
};

const char *
explain_step_key(enum explain_step s)
{
	return steps[s].key;
}

static void
fill(struct explain_row *r, enum cert_verdict v, const char *expected, const char *presented)
{
	r->verdict = v;
	snprintf(r->expected, sizeof(r->expected), "%s", expected);
	snprintf(r->presented, sizeof(r->presented), "%s", presented);
}

/* --- taking notes ------------------------------------------------------------------------------------------------- */

void
explain_take(struct explain_note *out, const struct uplink_view *v)
{
	const struct session *s = v->session;
	struct explain_note n = {
	    .made = true,
	    .ended = session_state(s) >= SESSION_CLOSING,
	    .reached = session_reached(s),
	    .privileged = session_privileged(s),
	    .manager = v->manager,
	    .port = v->port,
	    .report = *session_report(s),
	};
	char from[32], until[32];

	text_copy(n.target, sizeof(n.target), v->target);
	snprintf(n.reason, sizeof(n.reason), "%s", session_reason(s));
	if (v->tls_version[0])
		snprintf(n.tls, sizeof(n.tls), "%.16s, %.60s", v->tls_version, v->tls_suite);
	if (v->peer && v->peer->seen) {
		const struct cert_facts *f = &v->peer->facts;

		n.seen = true;
		memcpy(n.serial, f->serial, sizeof(n.serial));
		snprintf(n.certificate, sizeof(n.certificate), "%s, issued by %s, valid %s to %s UTC", f->subject,
			 f->issuer, text_utc(from, sizeof(from), f->not_before_s),
			 text_utc(until, sizeof(until), f->not_after_s));
	}
	*out = n;
}

/* --- the way to the manager --------------------------------------------------------------------------------------- */

static const char *
link_state(const struct link_facts *l)
{
	if (!l->up)
		return "down";
	return l->running ? "up" : "up, without a carrier";
}

/* Without a route nobody knows which interface it would be: any that carries packets will do. */
static void
judge_any_link(struct netlink *n, struct explain_row *r)
{
	struct link_facts links[LINKS_SHOWN];
	struct buf text = BUF_INIT(EXPLAIN_TEXT - 1);
	size_t count = 0;
	bool good = false;

	if (netlink_links(n, links, LINKS_SHOWN, &count, NULL))
		count = 0;
	for (size_t i = 0; i < count && i < LINKS_SHOWN; i++) {
		if (!strcmp(links[i].name, "lo"))
			continue;
		good = good || (links[i].up && links[i].running);
		buf_printf(&text, "%s%s is %s", text.len ? "; " : "", links[i].name, link_state(&links[i]));
	}
	if (!text.len)
		buf_str(&text, "there is no interface");
	r->verdict = good ? VERDICT_PASS : VERDICT_FAIL;
	snprintf(r->expected, sizeof(r->expected), "an interface that is up and has a carrier");
	snprintf(r->presented, sizeof(r->presented), "%.*s", (int)text.len, (const char *)buf_head(&text));
	buf_free(&text);
}

void
explain_way(struct netlink *n, const struct addr *manager, struct explain_row *link, struct explain_row *route)
{
	char dev[16] = "", text[ADDR_TEXT], source[ADDR_TEXT], said[EXPLAIN_TEXT];
	struct addr src = {0};
	struct link_facts l;
	struct err e = ERR_NONE;

	if (!n || !manager->family) {
		fill(link, VERDICT_NOT_MADE, "an interface that is up and has a carrier", "");
		fill(route, VERDICT_NOT_MADE, "a route to the manager", "");
		if (n)
			judge_any_link(n, link);
		return;
	}
	snprintf(said, sizeof(said), "a route to %s", addr_host(text, manager));
	if (netlink_route_get(n, manager, dev, &src, &e)) {
		fill(route, VERDICT_FAIL, said, e.text);
		judge_any_link(n, link);
		return;
	}
	fill(route, VERDICT_PASS, said, "");
	snprintf(route->presented, sizeof(route->presented), "by %s, from %s", dev,
		 src.family ? addr_host(source, &src) : "no address yet");
	snprintf(said, sizeof(said), "%s is up and has a carrier", dev);
	if (netlink_link(n, dev, &l, &e))
		fill(link, VERDICT_FAIL, said, e.text);
	else
		fill(link, l.up && l.running ? VERDICT_PASS : VERDICT_FAIL, said, link_state(&l));
}

/* --- what the session shows --------------------------------------------------------------------------------------- */

/* A step the session went past; or failed at, when it ended there; or has not come to, or is at now. */
static enum cert_verdict
verdict_at(const struct explain_note *n, enum session_state at, bool before)
{
	if (n->reached > at)
		return VERDICT_PASS;
	return n->reached == at && n->ended && before ? VERDICT_FAIL : VERDICT_NOT_MADE;
}

static const char *
why(const struct explain_note *n, enum cert_verdict v, const char *good)
{
	return v == VERDICT_PASS ? good : v == VERDICT_FAIL ? n->reason : "";
}

static void
judge_tcp(const struct explain_note *n, struct explain *x)
{
	bool way = x->row[EXPLAIN_LINK].verdict != VERDICT_FAIL && x->row[EXPLAIN_ROUTE].verdict != VERDICT_FAIL;
	enum cert_verdict v = verdict_at(n, SESSION_CONNECTING, way);
	char text[ADDR_TEXT], said[EXPLAIN_TEXT];

	snprintf(said, sizeof(said), "%s port %u accepts the connection", addr_host(text, &n->manager), n->port);
	fill(&x->row[EXPLAIN_TCP], v, n->made ? said : "the manager accepts the connection", why(n, v, "accepted"));
}

static bool
chain_failed(const struct explain_note *n)
{
	return n->report.check[2].verdict == VERDICT_FAIL;
}

static void
judge_tls(const struct agent_parts *p, const struct explain_note *n, struct explain *x)
{
	const struct entry *cm = tree_entry(device_running(p->device), "system central-management", "");
	enum cert_verdict v = verdict_at(n, SESSION_HANDSHAKE, true);
	char said[EXPLAIN_TEXT];

	snprintf(said, sizeof(said), "TLS 1.2 or later with a suite of `enc-algorithm %s`, and a certificate",
		 entry_get(cm, "enc-algorithm"));
	/* a chain that does not verify ends the handshake, which came as far as it */
	if (v == VERDICT_FAIL && chain_failed(n))
		fill(&x->row[EXPLAIN_TLS], VERDICT_PASS, said, "the handshake came to the certificate");
	else
		fill(&x->row[EXPLAIN_TLS], v, said, why(n, v, n->tls));
}

static void
judge_certificate(const struct agent_parts *p, const struct explain_note *n, struct explain *x)
{
	struct explain_row *r = &x->row[EXPLAIN_CERTIFICATE];

	r->verdict = !n->seen ? VERDICT_NOT_MADE : chain_failed(n) ? VERDICT_FAIL : VERDICT_NOT_MADE;
	if (n->reached > SESSION_HANDSHAKE && !chain_failed(n))
		r->verdict = VERDICT_PASS;
	snprintf(r->expected, sizeof(r->expected), "a manager's, issued by a CA in %.200s, in its time, not revoked",
		 settings_get(p->settings, "ca-certificate"));
	snprintf(r->presented, sizeof(r->presented), "%s", n->certificate);
	if (r->verdict == VERDICT_FAIL)
		snprintf(r->presented, sizeof(r->presented), "%.200s: %.190s", n->report.check[2].text, n->certificate);
}

/* The serial number is in the reply to `get auth`: without one this step is where it ends. */
static void
judge_serial(const struct explain_note *n, struct explain *x)
{
	struct explain_row *r = &x->row[EXPLAIN_SERIAL];
	enum cert_verdict v = n->report.check[0].verdict;

	if (v == VERDICT_NOT_MADE && n->reached == SESSION_AUTH && n->ended)
		v = VERDICT_FAIL;
	r->verdict = v;
	if (n->serial[0])
		snprintf(r->expected, sizeof(r->expected), "serialno=\"%s\" in the reply, as in the certificate",
			 n->serial);
	else
		snprintf(r->expected, sizeof(r->expected), "the certificate's serial number in the reply");
	if (n->report.serialno[0])
		snprintf(r->presented, sizeof(r->presented), "serialno=\"%s\"", n->report.serialno);
	else
		snprintf(r->presented, sizeof(r->presented), "%s", v == VERDICT_FAIL ? n->reason : "");
}

static void
put_trusted(const struct agent_parts *p, struct explain_row *r)
{
	const struct entry *cm = tree_entry(device_running(p->device), "system central-management", "");
	struct buf text = BUF_INIT(EXPLAIN_TEXT - 1);
	size_t pins = entry_count(cm, "serial-number");

	for (size_t i = 0; i < trust_list_count(p->trust); i++)
		buf_printf(&text, "%s%s", i ? ", " : "one of ", trust_list_at(p->trust, i)->serial);
	if (!trust_list_count(p->trust) && !pins)
		buf_str(&text, trust_list_damaged(p->trust) ? "nobody: the list's file was damaged"
							    : "anybody's first contact: the list is empty");
	for (size_t i = 0; !trust_list_count(p->trust) && i < pins; i++)
		buf_printf(&text, "%s%s", i ? ", " : "first contact with ", entry_value(cm, "serial-number", i));
	if (p->admitted)
		buf_printf(&text, ", or %s by register-device", p->admitted);
	snprintf(r->expected, sizeof(r->expected), "%.*s", (int)text.len, (const char *)buf_head(&text));
	buf_free(&text);
}

static void
judge_list(const struct agent_parts *p, const struct explain_note *n, struct explain *x)
{
	struct explain_row *r = &x->row[EXPLAIN_TRUSTED_LIST];

	r->verdict = n->report.check[1].verdict;
	put_trusted(p, r);
	if (r->verdict == VERDICT_FAIL)
		snprintf(r->presented, sizeof(r->presented), "%s: %s", n->serial, n->report.check[1].text);
	else
		snprintf(r->presented, sizeof(r->presented), "%s", r->verdict == VERDICT_PASS ? n->serial : "");
}

static void
judge_registration(const struct explain_note *n, struct explain *x)
{
	static const char expected[] = "the manager answers, and says that it has registered this device";
	struct explain_row *r = &x->row[EXPLAIN_REGISTRATION];

	if (n->privileged)
		fill(r, VERDICT_PASS, expected, "registered");
	else if (n->reached == SESSION_UP)
		fill(r, VERDICT_FAIL, expected,
		     "the manager has not registered this device, or it is not to be trusted");
	else if (n->reached >= SESSION_REGISTER && n->ended)
		fill(r, VERDICT_FAIL, expected, n->reason);
	else
		fill(r, VERDICT_NOT_MADE, expected, "");
}

static void
judge_session(const struct explain_note *n, struct explain *x)
{
	static const char expected[] = "the session stays up";

	if (n->reached < SESSION_UP)
		fill(&x->row[EXPLAIN_SESSION], VERDICT_NOT_MADE, expected, "");
	else if (n->ended)
		fill(&x->row[EXPLAIN_SESSION], VERDICT_FAIL, expected, n->reason);
	else
		fill(&x->row[EXPLAIN_SESSION], VERDICT_PASS, expected, "up");
}

void
explain_judge(const struct agent_parts *p, const struct explain_note *note, struct explain *x)
{
	judge_tcp(note, x);
	judge_tls(p, note, x);
	judge_certificate(p, note, x);
	judge_serial(note, x);
	judge_list(p, note, x);
	judge_registration(note, x);
	judge_session(note, x);
	x->failed = EXPLAIN_MANAGER;
	while (x->failed < EXPLAIN_STEPS && x->row[x->failed].verdict != VERDICT_FAIL)
		x->failed++;
}

/* --- showing it --------------------------------------------------------------------------------------------------- */

/* What keeps the agent from dialling: no manager, no certificate of its own, no address for a name. */
static void
judge_manager(const struct agent_parts *p, const struct uplink_view *v, const struct explain_note *n,
	      struct explain_row *r)
{
	static const char expected[] = "a configured manager with an address, and this device's own certificate";
	struct uplink_view plain = *v;
	const char *setup;

	plain.last_reason[0] = '\0'; /* what is wrong without any attempt */
	setup = standing_reason(p, &plain);
	if (*setup)
		fill(r, VERDICT_FAIL, expected, setup);
	else if (v->unresolved)
		fill(r, VERDICT_FAIL, expected, v->last_reason);
	else
		fill(r, VERDICT_PASS, expected, n->target[0] ? n->target : "configured");
}

/* The session in use; else the last attempt that has ended, which may have had none; else the one under way. */
static void
choose(const struct agent_parts *p, const struct uplink_view *v, struct explain_note *out)
{
	*out = *p->last;
	if (v->session && (v->current || !out->made)) {
		explain_take(out, v);
	} else if (!v->session && v->last_reason[0] && !v->unresolved && strcmp(v->last_reason, out->reason) != 0) {
		*out = (struct explain_note){.made = true, .ended = true, .manager = out->manager, .port = out->port};
		text_copy(out->reason, sizeof(out->reason), v->last_reason);
	}
}

static void
show_text(const struct explain *x, const struct uplink_view *v, struct buf *out)
{
	if (x->failed < EXPLAIN_STEPS)
		buf_printf(out, "The connection fails at: %s\n", steps[x->failed].label);
	else
		buf_str(out,
			v->current ? "The connection is up.\n" : "Nothing has failed; the connection is not up yet.\n");
	for (int i = 0; i < EXPLAIN_STEPS; i++) {
		const struct explain_row *r = &x->row[i];

		buf_printf(out, "%-14s %s\n", steps[i].label, auth_verdict_name(r->verdict));
		if (r->verdict == VERDICT_NOT_MADE)
			continue;
		if (r->verdict == VERDICT_FAIL)
			buf_printf(out, "%14s expected:  %s\n", "", r->expected);
		if (r->presented[0])
			buf_printf(out, "%14s presented: %s\n", "", r->presented);
	}
	if (v->next_dial_ms >= 0)
		buf_printf(out, "Next attempt in: %lld s\n", (long long)(v->next_dial_ms + 999) / 1000);
}

static void
show_json(const struct explain *x, const struct explain_note *n, const struct uplink_view *v, struct buf *out)
{
	struct cJSON *root = json_new_object(), *list;
	char *text;

	json_add_str(root, "connection", standing_connection_name(standing_connection(v)));
	json_add_str(root, "failed", x->failed < EXPLAIN_STEPS ? steps[x->failed].key : "");
	json_add_str(root, "reason", x->failed < EXPLAIN_STEPS ? x->row[x->failed].presented : "");
	json_add_str(root, "manager", n->target);
	if (v->next_dial_ms >= 0)
		json_add_int(root, "next-attempt", (v->next_dial_ms + 999) / 1000);
	list = json_add_array(root, "steps");
	for (int i = 0; i < EXPLAIN_STEPS; i++) {
		struct cJSON *j = json_add_object(list, NULL);

		json_add_str(j, "step", steps[i].key);
		json_add_str(j, "verdict", auth_verdict_name(x->row[i].verdict));
		json_add_str(j, "expected", x->row[i].expected);
		json_add_str(j, "presented", x->row[i].presented);
	}
	text = json_pretty(root);
	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_free(root);
}

/* The address it was last dialled at, or that is configured. */
static void
find_manager(const struct agent_parts *p, const struct explain_note *n, struct addr *out)
{
	const struct entry *cm = tree_entry(device_running(p->device), "system central-management", "");
	const char *first = entry_value(cm, "fmg", 0);

	*out = n->manager;
	if (!out->family && (!first || addr_parse_host(first, out)))
		*out = p->memory->address;
}

void
explain_show(struct agent *a, bool json, struct buf *out)
{
	struct explain x = {.failed = EXPLAIN_STEPS};
	struct explain_note n;
	struct uplink_view v;
	struct agent_parts p;
	struct addr manager;

	agent_parts(a, &p);
	uplink_view(p.uplink, clock_mono(), &v);
	choose(&p, &v, &n);
	find_manager(&p, &n, &manager);
	judge_manager(&p, &v, &n, &x.row[EXPLAIN_MANAGER]);
	explain_way(p.netlink, &manager, &x.row[EXPLAIN_LINK], &x.row[EXPLAIN_ROUTE]);
	explain_judge(&p, &n, &x);
	if (json)
		show_json(&x, &n, &v, out);
	else
		show_text(&x, &v, out);
}
