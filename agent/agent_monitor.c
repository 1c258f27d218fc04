/* Monitoring comes and goes with the tunnel's address, its device and `allow-monitor`. */
#include <stdlib.h>

#include "agent/agent_private.h"
#include "agent/device.h"
#include "agent/monitor.h"
#include "agent/monitor_api.h"
#include "agent/settings.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/tree.h"
#include "tun/device.h"

enum { RETRY_MS = 5000 };

struct agent_monitor {
	struct monitor *http; /* NULL: closed */
	struct monitor_api api;
	struct addr local; /* where it listens */
	struct loop_timer *timer;
};

static bool
is_allowed(const struct agent *a)
{
	return entry_enabled(tree_entry(device_running(a->device), "system central-management", ""), "allow-monitor");
}

static void
close_http(struct agent_monitor *m)
{
	if (m->http)
		log_debug(DBG_TUNNEL, "[monitor] closed");
	monitor_free(m->http);
	m->http = NULL;
	loop_timer_at(m->timer, MONO_NEVER);
}

static void
open_http(struct agent *a, const struct addr *local)
{
	struct agent_monitor *m = a->monitor;
	char text[ADDR_TEXT];
	struct err e = ERR_NONE;
	int fd = -1;

	if (monitor_listen(tun_netns_fd(a->tun), local, settings_get(a->settings, "tun-device"), MONITOR_PORT, &fd,
			   &e) ||
	    monitor_new(a->loop, fd, monitor_api_answer, &m->api, &m->http, &e)) {
		log_say(LOG_LEVEL_ERROR, "monitoring: %s; tried again in %d s", e.text, RETRY_MS / 1000);
		m->http = NULL;
		loop_timer_at(m->timer, mono_in(clock_mono(), RETRY_MS));
		return;
	}
	m->local = *local;
	log_debug(DBG_TUNNEL, "[monitor] answers at %s port %d", addr_host(text, local), MONITOR_PORT);
}

static void
on_timer(void *ctx)
{
	agent_monitor_touch(ctx, false);
}

void
agent_open_monitor(struct agent *a)
{
	struct agent_monitor *m = calloc(1, sizeof(*m));

	if (m)
		m->timer = loop_timer_new(a->loop, on_timer, a);
	if (!m || !m->timer) {
		free(m);
		log_say(LOG_LEVEL_ERROR, "monitoring: no memory");
		return;
	}
	m->api.agent = a;
	a->monitor = m;
	agent_monitor_touch(a, false);
}

void
agent_close_monitor(struct agent *a)
{
	struct agent_monitor *m = a->monitor;

	if (!m)
		return;
	close_http(m);
	loop_timer_free(m->timer);
	free(m);
	a->monitor = NULL;
}

void
agent_monitor_touch(struct agent *a, bool anew)
{
	struct agent_monitor *m = a->monitor;
	struct addr local = {0}, peer;

	if (!m)
		return;
	if (a->tun && tun_fd(a->tun) >= 0 && is_allowed(a))
		tun_addresses(a->tun, &local, &peer);
	if (m->http && !anew && addr_same_host(&m->local, &local))
		return;
	close_http(m);
	if (local.family)
		open_http(a, &local);
}

bool
agent_has_monitor(void)
{
	return true;
}
