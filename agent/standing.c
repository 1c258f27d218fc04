#include "agent/standing.h"

#include <string.h>

#include "agent/agent.h"
#include "agent/device.h"
#include "agent/session.h"
#include "agent/uplink.h"
#include "config/tree.h"
#include "trustlist/trustlist.h"

enum standing_connection
standing_connection(const struct uplink_view *v)
{
	if (v->current)
		return CONNECTION_UP;
	return v->session && session_state(v->session) >= SESSION_HANDSHAKE ? CONNECTION_HANDSHAKE : CONNECTION_DOWN;
}

enum standing_registration
standing_registration(const struct agent_parts *p, const struct uplink_view *v)
{
	if (v->current && session_privileged(v->session))
		return REGISTRATION_REGISTERED;
	if (p->admitted)
		return REGISTRATION_IN_PROGRESS;
	if (v->current)
		return REGISTRATION_UNREGISTERED;
	return trust_list_count(p->trust) ? REGISTRATION_REGISTERED : REGISTRATION_UNKNOWN;
}

const char *
standing_connection_name(enum standing_connection c)
{
	static const char *const names[] = {
	    [CONNECTION_DOWN] = "Down", [CONNECTION_HANDSHAKE] = "Handshake", [CONNECTION_UP] = "Up"};

	return names[c];
}

const char *
standing_registration_name(enum standing_registration r)
{
	static const char *const names[] = {
	    [REGISTRATION_UNKNOWN] = "Unknown",
	    [REGISTRATION_IN_PROGRESS] = "In progress",
	    [REGISTRATION_REGISTERED] = "Registered",
	    [REGISTRATION_UNREGISTERED] = "Unregistered",
	};

	return names[r];
}

const char *
standing_reason(const struct agent_parts *p, const struct uplink_view *v)
{
	const struct entry *cm = tree_entry(device_running(p->device), "system central-management", "");

	if (v->current)
		return "";
	if (strcmp(entry_get(cm, "type"), "fortimanager") != 0)
		return "no manager: `config system central-management`, `set type` is not fortimanager";
	if (!entry_count(cm, "fmg") && p->listener)
		return v->last_reason[0] ? v->last_reason : "waiting for the manager to connect";
	if (!entry_count(cm, "fmg"))
		return "no manager: `config system central-management`, `set fmg` is empty";
	if (!p->creds)
		return "the device's certificate files are not in order: `fgfmd -t` names them";
	return v->last_reason;
}
